//! The stage that `demo` and `local` play on: a simulated account whose endpoint is served by real
//! model servers, a stream of real requests through the inference function, and a schedule that
//! wakes `monitor` every minute of virtual time.
//!
//! Nothing here reads the caller's AWS settings or can leave loopback: clients speak to the
//! simulator in this process, with dummy credentials.

use std::collections::HashMap;
use std::path::PathBuf;

use axum::Router;
use axum::body::{Body, Bytes};
use canary::Stack;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use shared::app::ports::{Endpoints as _, PortError};
use shared::wire::problem::Problem;
use simulator::clock::Clock;
use simulator::{Options, Simulator, SimulatorError, Timings};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::local::state::StateError;
use crate::loopback::LoopbackError;
use crate::models::process::{ModelProcess, ProcessError};
use crate::models::server::Behaviour;
use crate::models::train::{ModelName, SEED};
use crate::traffic::{Labels, Traffic};

/// The endpoint that is there from the start.
pub(crate) const ENDPOINT: &str = "wine-quality";
/// The config that it is on.
pub(crate) const CONFIG: &str = "wine-quality-config";

/// The model that waits to replace the one in production.
pub(crate) const CHALLENGER: &str = "wine-quality-v2";
/// The table of the records.
pub(crate) const TABLE: &str = "canary";

/// How the stage is set.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Virtual seconds per wall-clock second.
    pub(crate) speed: f64,
    /// Requests per wall-clock second; 0 for none.
    pub(crate) rps: f64,
    /// How the challenger is made, and how its server behaves.
    pub(crate) challenger: Behaviour,
    /// What becomes known of the answers, and when; nothing without it.
    pub(crate) labels: Option<Labels>,
    /// Where the records live; in memory without it.
    pub(crate) state: Option<PathBuf>,
    /// Where virtual time has been already: it begins no earlier, and otherwise at the present.
    pub(crate) goes_on_from: Option<Timestamp>,
}

/// Why the stage can't be set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// The simulator did not start.
    #[error("the simulated account can't be started")]
    Simulator(#[from] SimulatorError),
    /// A model server did not start.
    #[error("a model server can't be started")]
    Model(#[from] ProcessError),
    /// The simulated account refused something.
    #[error("the simulated account refused a call")]
    Account(#[from] PortError),
    /// The file of the records.
    #[error(transparent)]
    State(#[from] StateError),
    /// A port or the signals.
    #[error(transparent)]
    Loopback(#[from] LoopbackError),
    /// A socket or a file.
    #[error("{0}")]
    Io(String, #[source] std::io::Error),
    /// The API refused a request.
    #[error("{title}: {detail}", title = .0.title, detail = .0.detail)]
    Refused(Box<Problem>),
    /// The rollout did not come to its end in time.
    #[error("{0}")]
    Unfinished(String),
    /// A model could not be measured before the rollout.
    #[error("{0} can't be measured on the held-out wines")]
    Unmeasured(&'static str),
    /// An answer that is not what the API promises.
    #[error("the API answered something unreadable")]
    Answer(#[from] serde_json::Error),
}

/// The stage, set.
pub(crate) struct Stage {
    /// The control plane and the account.
    pub(crate) stack: Stack,
    /// The API and inference.
    pub(crate) router: Router,
    models: HashMap<&'static str, ModelProcess>,
    /// Traffic and schedule: they end with the stage.
    _running: JoinSet<()>,
}

impl Stage {
    /// Starts everything and waits until the endpoint serves.
    pub(crate) async fn set(setting: Setting) -> Result<Self, StageError> {
        let timings = Timings::default();
        // An endpoint takes a minute to come into service, which nobody has to wait for: time begins that much
        // earlier, and is moved on to the present.
        let present = setting
            .goes_on_from
            .map_or_else(wall_clock, |from| from.max(wall_clock()));
        let clock = Clock::running(present - timings.create, setting.speed);
        let options = Options {
            seed: SEED,
            clock,
            timings,
            state: setting.state,
        };
        let simulator = Simulator::new(options)?;
        simulator.start_workers();
        let stack = Stack::new(simulator).await?;
        let exe = std::env::current_exe().map_err(|error| {
            StageError::Io("this program's own file can't be found".to_owned(), error)
        })?;
        let mut models = HashMap::new();
        for (name, model, behaviour) in [
            (
                "wine-quality-v1",
                ModelName::WineQualityV1,
                Behaviour::default(),
            ),
            (CHALLENGER, ModelName::WineQualityV2, setting.challenger),
        ] {
            let process = ModelProcess::spawn(&exe, model, &behaviour).await?;
            stack.aws.create_model(name, &process.url).await?;
            models.insert(name, process);
        }
        stack
            .aws
            .create_endpoint(ENDPOINT, CONFIG, "production", "wine-quality-v1", 2)
            .await?;
        stack.simulator.advance(timings.create).await;
        let router = stack.router();
        let mut running = JoinSet::new();
        running.spawn(schedule(stack.clone()));
        let stage = Self {
            stack,
            router: router.clone(),
            models,
            _running: JoinSet::new(),
        };
        stage.wait_until_it_serves().await?;
        if setting.rps > 0.0 {
            let clock = stage.stack.simulator.clock().clone();
            Traffic::new(router, clock, setting.labels).start(&mut running, setting.rps);
        }
        Ok(Self {
            _running: running,
            ..stage
        })
    }

    async fn wait_until_it_serves(&self) -> Result<(), StageError> {
        while !self
            .stack
            .aws
            .endpoint(ENDPOINT)
            .await?
            .is_some_and(|view| view.is_in_service())
        {
            self.stack
                .simulator
                .clock()
                .sleep(SignedDuration::from_secs(5))
                .await;
        }
        Ok(())
    }

    /// Kills a model's server: the real crash of a real process.
    pub(crate) async fn kill(&mut self, model: &str) -> Result<(), StageError> {
        if let Some(process) = self.models.get_mut(model) {
            process.kill().await?;
        }
        Ok(())
    }

    /// Where a model is served.
    pub(crate) fn url(&self, model: &str) -> Option<&str> {
        let process = self.models.get(model)?;
        Some(&process.url)
    }

    /// The account's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.stack.simulator.clock().now()
    }

    /// A request to the API, as a client makes it, without the socket.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<T, StageError> {
        let (status, bytes) = send(&self.router, method, path, body).await;
        if status.is_success() {
            return Ok(serde_json::from_slice(&bytes)?);
        }
        Err(StageError::Refused(Box::new(serde_json::from_slice(
            &bytes,
        )?)))
    }
}

/// Asks one of the routes, without a socket.
pub(crate) async fn send(
    router: &Router,
    method: Method,
    path: &str,
    body: Option<String>,
) -> (StatusCode, Bytes) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    let request = request
        .body(Body::from(body.unwrap_or_default()))
        .expect("paths here are made of ids and constants");
    let response = match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    let bytes = response
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    (status, bytes)
}

/// EventBridge Scheduler: once a minute, whether the tick before went well or not.
async fn schedule(stack: Stack) {
    let clock = stack.simulator.clock().clone();
    loop {
        clock.sleep(SignedDuration::from_mins(1)).await;
        if let Err(error) = stack.tick().await {
            tracing::error!(%error, "the tick failed");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "virtual time begins at the present, where it has not been further already"
)]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
