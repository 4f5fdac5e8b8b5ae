//! The stage that `canary local` plays on, and the ports before it, which stay open while everything behind
//! them is made anew.
//!
//! A reset makes a new account, a new control plane and new model servers, and only then puts them in place of
//! the old: nothing of what was can reach into what is, no order on its way and no tick that runs late. The
//! old ones go with the last request that they still answer. Time alone goes on, for whoever looks meanwhile.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use super::state::{State, StateError};
use crate::stage::{Setting, Stage, StageError, TABLE};
use crate::verbs::chain;

/// How long requests may go on at the end: a client that keeps its connection open must not keep the
/// process alive.
pub(crate) const GRACE: Duration = Duration::from_secs(2);
/// How often it is written down how far virtual time is, by the wall clock.
const KEPT_EVERY: Duration = Duration::from_secs(1);

/// The house.
pub(crate) struct House {
    setting: Setting,
    /// The file of the records; nobody else has it for as long as the house stands.
    records: Option<State>,
    /// Where the AWS wire listens; each stage accepts on a copy.
    aws: std::net::TcpListener,
    stage: RwLock<Arc<Stage>>,
    /// Who serves the AWS wire at present; held while the stage is changed.
    served: Mutex<Option<Served>>,
}

/// The AWS wire of one stage.
struct Served {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    /// Until nobody can reach it any more.
    async fn end(self) {
        drop(self.stop);
        drop(tokio::time::timeout(GRACE, self.task).await);
    }
}

impl House {
    /// Sets the stage, and opens its AWS wire.
    pub(crate) async fn open(
        setting: Setting,
        records: Option<State>,
        aws: TcpListener,
    ) -> Result<Self, StageError> {
        let stage = Stage::set(setting.clone()).await;
        let stage = stage.map_err(|error| match &records {
            Some(kept) => kept.told(error),
            None => error,
        });
        let stage = Arc::new(stage?);
        let house = Self {
            setting,
            records,
            aws: aws.into_std().map_err(broken)?,
            served: Mutex::default(),
            stage: RwLock::new(stage.clone()),
        };
        house.keep_time()?;
        *house.served.lock().await = Some(house.serve(&stage)?);
        Ok(house)
    }

    /// Writes down how far virtual time is, for the next run on the same records.
    fn keep_time(&self) -> Result<(), StateError> {
        let Some(state) = &self.records else {
            return Ok(());
        };
        state.keep(self.stage().now(), self.setting.speed)
    }

    /// Does so for as long as it is let.
    pub(crate) async fn keep_times(self: Arc<Self>) {
        loop {
            tokio::time::sleep(KEPT_EVERY).await;
            if let Err(error) = self.keep_time() {
                tracing::warn!(error = %chain(&error), "how far time is was not written down");
            }
        }
    }

    /// What is played on now.
    pub(crate) fn stage(&self) -> Arc<Stage> {
        let stage = self.stage.read().unwrap_or_else(PoisonError::into_inner);
        stage.clone()
    }

    /// Everything but the time as it was at the start, records in a file included.
    pub(crate) async fn reset(&self) -> Result<(), StageError> {
        let mut served = self.served.lock().await;
        if self.setting.state.is_some() {
            self.stage().forget().await;
        }
        let setting = Setting {
            goes_on_from: Some(self.stage().now()),
            ..self.setting.clone()
        };
        let fresh = Arc::new(Stage::set(setting).await?);
        let next = self.serve(&fresh)?;
        *self.stage.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        if let Some(old) = served.replace(next) {
            old.end().await;
        }
        Ok(())
    }

    /// Serves nobody any more.
    pub(crate) async fn close(&self) {
        if let Some(served) = self.served.lock().await.take() {
            served.end().await;
        }
    }

    fn serve(&self, stage: &Stage) -> Result<Served, StageError> {
        let listener = self.aws.try_clone().and_then(TcpListener::from_std);
        let listener = listener.map_err(broken)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let simulator = stage.stack.simulator.clone();
        let task = tokio::spawn(simulator.serve(listener, async move { drop(stopped.await) }));
        Ok(Served { stop, task })
    }
}

fn broken(error: std::io::Error) -> StageError {
    StageError::Io("the AWS wire can't be served".to_owned(), error)
}

impl Stage {
    /// Removes the records. Whoever is still at work on them finds none, and makes none.
    async fn forget(&self) {
        let request = Request::post("http://127.0.0.1/")
            .header("x-amz-target", "DynamoDB_20120810.DeleteTable")
            .body(Bytes::from(format!("{{\"TableName\":\"{TABLE}\"}}")))
            .expect("constants make a request");
        let simulator = &self.stack.simulator;
        let answer = simulator.handle(request).await;
        if !answer.status().is_success() {
            tracing::warn!(status = %answer.status(), "the records were not removed");
        }
    }
}
