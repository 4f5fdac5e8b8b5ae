//! The stream of requests on the stage: real wines, asked about one by one through the inference
//! function, and labels of some of the answers, which come a while after them, as the truth does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use simulator::clock::Clock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::models::train::SEED;
use crate::models::wine::{Sample, Wines};
use crate::stage::{ENDPOINT, send};

/// Requests under way at once; past it the stream skips, as a client with a bounded pool would.
const CONCURRENCY: usize = 64;
/// Labels of one request, the most that `POST /feedback` takes.
const AT_ONCE: usize = 100;
/// Between two deliveries of labels, virtual.
const EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What becomes known of the answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Labels {
    /// Of how many of them, 0 to 1.
    pub(crate) share: f64,
    /// How long after the answer, virtual.
    pub(crate) after: SignedDuration,
}

/// A label that is on its way.
struct Due {
    at: Timestamp,
    inference_id: String,
    actual: bool,
}

/// Whoever asks about wines.
pub(crate) struct Traffic {
    router: Router,
    clock: Clock,
    labels: Option<Labels>,
    /// In the order in which they are due.
    due: Mutex<VecDeque<Due>>,
}

impl Traffic {
    /// Asks through these routes, by this clock.
    pub(crate) fn new(router: Router, clock: Clock, labels: Option<Labels>) -> Arc<Self> {
        Arc::new(Self {
            router,
            clock,
            labels,
            due: Mutex::default(),
        })
    }

    /// Asks so often a second, by the wall clock, until the tasks are dropped.
    pub(crate) fn start(self: Arc<Self>, running: &mut JoinSet<()>, rps: f64) {
        if self.labels.is_some() {
            running.spawn(self.clone().label());
        }
        running.spawn(self.ask(rps));
    }

    async fn ask(self: Arc<Self>, rps: f64) {
        let wines = Arc::new(Wines::load(SEED).test);
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let mut beat = tokio::time::interval(Duration::from_secs_f64(1.0 / rps));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let places = Arc::new(Semaphore::new(CONCURRENCY));
        loop {
            beat.tick().await;
            let Ok(place) = places.clone().try_acquire_owned() else {
                continue;
            };
            let wine = wines[random.random_range(0..wines.len())].clone();
            let user = format!("user-{}", random.random_range(0..5000));
            let is_labelled = self
                .labels
                .is_some_and(|labels| random.random_bool(labels.share));
            let this = self.clone();
            tokio::spawn(async move {
                this.ask_about(&wine, &user, is_labelled).await;
                drop(place);
            });
        }
    }

    async fn ask_about(&self, wine: &Sample, user: &str, is_labelled: bool) {
        let body = json!({
            "endpoint": ENDPOINT, "user_id": user, "features": wine.features,
            "attributes": {
                "alcohol": wine.group.as_str(), "sweetness": wine.sweetness.as_str(),
            },
        });
        let (status, answer) = send(
            &self.router,
            Method::POST,
            "/inference",
            Some(body.to_string()),
        )
        .await;
        let Some(labels) = self.labels.filter(|_| is_labelled && status.is_success()) else {
            return;
        };
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if let Some(id) = answer["inference_id"].as_str() {
            self.due().push_back(Due {
                at: self.clock.now() + labels.after,
                inference_id: id.to_owned(),
                actual: wine.good,
            });
        }
    }

    fn due(&self) -> MutexGuard<'_, VecDeque<Due>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is due, again and again.
    async fn label(self: Arc<Self>) {
        loop {
            self.clock.sleep(EVERY).await;
            let now = self.clock.now();
            let labels: Vec<Due> = {
                let mut waiting = self.due();
                let due = waiting.partition_point(|label| label.at <= now);
                waiting.drain(..due).collect()
            };
            for labels in labels.chunks(AT_ONCE) {
                let items: Vec<Value> = labels
                    .iter()
                    .map(
                        |label| json!({"inference_id": label.inference_id, "actual": label.actual}),
                    )
                    .collect();
                let body = json!({"items": items}).to_string();
                let (status, _) = send(&self.router, Method::POST, "/feedback", Some(body)).await;
                if status != StatusCode::OK {
                    tracing::warn!(%status, labels = labels.len(), "labels were not taken");
                }
            }
        }
    }
}
