//! A world for the tests: a simulated account, an endpoint with traffic, the stack, and a clock
//! that only the test moves. No test sleeps.
//!
//! [`World`] drives the control plane; [`World::assert_over`] (in `over`) holds what must be true
//! after every rollout, however it ended. [`direct`] is the same control plane without the SDK, for
//! tests that need rollouts by the thousand.

#![allow(
    clippy::missing_panics_doc,
    reason = "everything here panics: that is how a test fails"
)]

pub mod chaos;
pub mod configs;
pub mod direct;
pub mod lambda;
pub mod load;
pub mod measured;
pub mod openapi;
mod over;
pub mod picture;
pub mod recorded;
pub mod records;
pub mod registry;

pub use over::Told;

use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use canary::Stack;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::app::ports::{Endpoints, Loaded, Store};
use shared::domain::history::{Entry, Name};
use shared::domain::invariants;
use shared::domain::observation::EndpointView;
use shared::domain::state::{Phase, Status};
use simulator::clock::Clock;
use simulator::{Backend, Distribution, Fault, FaultKind, Options, Simulator, Timings, service};
use tower::ServiceExt;

/// The endpoint of every test.
pub const ENDPOINT: &str = "wine-quality";
/// The model in production.
pub const OLD: &str = "wine-quality-v1";
/// The challenger.
pub const NEW: &str = "wine-quality-v2";
/// The config of the endpoint before a deployment.
pub const CONFIG: &str = "wine-quality-config";
/// The variant in production.
pub const PRODUCTION: &str = "production";
/// The image of every model that answers from a distribution.
const IMAGE: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/wine:1";

/// What a world starts with.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// How the model in production answers.
    pub production: Distribution,
    /// How the challenger answers.
    pub challenger: Distribution,
    /// Production's instances.
    pub instances: i32,
    /// Bulk requests to the endpoint.
    pub requests_per_minute: f64,
    /// When it begins, ten minutes before the test.
    pub start: Timestamp,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            production: Distribution::default(),
            challenger: Distribution::default(),
            instances: 2,
            requests_per_minute: 1000.0,
            start: "2026-03-02T08:00:00Z".parse().expect("a valid timestamp"),
        }
    }
}

/// A simulated account with an endpoint that serves.
pub struct World {
    /// The control plane.
    pub stack: Stack,
    router: Router,
    /// Whether a fault makes a tick fail: then the next one makes up for it.
    ticks_may_fail: AtomicBool,
}

impl World {
    /// An endpoint with 2 instances on the old model and 1,000 requests a minute.
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    /// The same, with a challenger that behaves like this.
    pub async fn with_challenger(challenger: Distribution) -> Self {
        Self::with(Setup {
            challenger,
            ..Setup::default()
        })
        .await
    }

    /// An endpoint as described, ten minutes old.
    pub async fn with(setup: Setup) -> Self {
        let options = Options {
            seed: 7,
            clock: Clock::manual(setup.start),
            timings: Timings::default(),
            state: None,
        };
        let simulator = Simulator::new(options).expect("an empty simulator starts");
        let stack = Stack::new(simulator)
            .await
            .expect("a stack on an empty account");
        Self::on(stack, setup).await
    }

    /// An endpoint as described on a stack without any, ten minutes after the stack's present.
    pub async fn on(stack: Stack, setup: Setup) -> Self {
        let simulator = stack.simulator.clone();
        simulator.set_backend(OLD, Backend::Distribution(setup.production));
        simulator.set_backend(NEW, Backend::Distribution(setup.challenger));
        for model in [OLD, NEW] {
            stack
                .aws
                .create_model(model, IMAGE)
                .await
                .expect("a new model");
        }
        stack
            .aws
            .create_endpoint(ENDPOINT, CONFIG, PRODUCTION, OLD, setup.instances)
            .await
            .expect("a new endpoint");
        simulator.set_traffic(ENDPOINT, setup.requests_per_minute);
        let router = stack.router();
        let world = Self {
            stack,
            router,
            ticks_may_fail: AtomicBool::new(false),
        };
        world.pass(SignedDuration::from_mins(10)).await;
        world
    }

    /// The same account behind functions that have just started and know nothing.
    #[must_use]
    pub fn with_a_new_router(self) -> Self {
        Self {
            router: self.stack.router(),
            ..self
        }
    }

    /// The simulated account.
    pub fn simulator(&self) -> &Simulator {
        &self.stack.simulator
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.stack.simulator.clock().now()
    }

    /// Moves the clock without the control plane.
    pub async fn pass(&self, time: SignedDuration) {
        self.stack.simulator.advance(time).await;
    }

    /// From here on a tick may break off, as it does when the table can't be read.
    pub fn let_ticks_fail(&self) {
        self.ticks_may_fail.store(true, Ordering::Relaxed);
    }

    /// One minute with the control plane in it: a tick, and what it woke.
    pub async fn minute(&self) {
        self.pass(SignedDuration::from_mins(1)).await;
        self.tick().await;
    }

    /// A tick, and what it woke, without time.
    pub async fn tick(&self) {
        let ticked = self.stack.tick().await;
        if !self.ticks_may_fail.load(Ordering::Relaxed) {
            let report = ticked.expect("the tick goes through");
            assert_eq!(report.ticked.failed, Vec::new(), "every pass goes through");
        }
        self.stack.simulator.run_functions().await;
    }

    /// So many minutes.
    pub async fn minutes(&self, minutes: usize) {
        for _ in 0..minutes {
            self.minute().await;
        }
    }

    /// Minutes until the deployment satisfies this, checking the record at every step.
    ///
    /// # Panics
    /// When it does not within `minutes`.
    pub async fn until(
        &self,
        id: &str,
        minutes: usize,
        reached: impl Fn(&Loaded) -> bool,
    ) -> Loaded {
        let minute = async || self.minute().await;
        self.until_with(id, minutes, reached, minute).await
    }

    /// The same, with minutes of the caller's own making.
    ///
    /// # Panics
    /// When it does not within `minutes`.
    pub async fn until_with(
        &self,
        id: &str,
        minutes: usize,
        reached: impl Fn(&Loaded) -> bool,
        minute: impl AsyncFn(),
    ) -> Loaded {
        for _ in 0..minutes {
            let loaded = self.load(id).await;
            assert_eq!(
                invariants::violations(&loaded.deployment),
                Vec::<String>::new()
            );
            if reached(&loaded) {
                return loaded;
            }
            minute().await;
        }
        let events: Vec<String> = self
            .history(id)
            .await
            .iter()
            .map(|entry| format!("{} {}", entry.event, entry.reason))
            .collect();
        panic!(
            "not reached in {minutes} minutes: {:#?}\n{events:#?}",
            self.load(id).await.deployment.state
        );
    }

    /// Minutes until the deployment is in this phase.
    pub async fn until_phase(&self, id: &str, phase: Phase) -> Loaded {
        self.until(id, 200, |loaded| loaded.deployment.state.phase == phase)
            .await
    }

    /// Minutes until the deployment is over, which must be with this status, and the model registry has
    /// nothing left to be told; then everything in [`World::assert_over`].
    pub async fn until_over(&self, id: &str, status: Status) -> Loaded {
        let done = self
            .until(id, 400, |loaded| {
                let state = &loaded.deployment.state;
                state.status.is_terminal() && state.filing.is_none()
            })
            .await;
        assert_eq!(
            done.deployment.state.status, status,
            "{}",
            done.deployment.state.reason
        );
        self.assert_over(id).await;
        done
    }

    /// The record.
    pub async fn load(&self, id: &str) -> Loaded {
        self.stack
            .aws
            .load(id)
            .await
            .expect("a readable record")
            .expect("a known id")
    }

    /// What happened.
    pub async fn history(&self, id: &str) -> Vec<Entry> {
        self.stack
            .aws
            .history(id)
            .await
            .expect("a readable history")
    }

    /// The last line of history with this name.
    pub async fn entry(&self, id: &str, name: Name) -> Entry {
        let found = self
            .history(id)
            .await
            .into_iter()
            .rfind(|entry| entry.event == name);
        found.unwrap_or_else(|| panic!("no {name} in the history of {id}"))
    }

    /// A request to the API: status and JSON.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method.clone()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Body::from(body))
            .expect("a well-formed request");
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("the router is infallible");
        let status = response.status();
        let media_type = response.headers().get("content-type");
        let media_type = media_type.and_then(|kind| kind.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        assert_eq!(
            media_type == shared::wire::problem::MEDIA_TYPE,
            status.is_client_error() || status.is_server_error(),
            "errors, and only errors, are problem documents"
        );
        let bytes = response
            .into_body()
            .collect()
            .await
            .expect("a whole body")
            .to_bytes();
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        openapi::assert_documented(&method, path, status, &media_type, &value);
        (status, value)
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.request(
            Method::POST,
            path,
            &[("content-type", "application/json")],
            body.to_string().into_bytes(),
        )
        .await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.request(Method::GET, path, &[], Vec::new()).await
    }

    /// PUT of a weight.
    pub async fn put_weight(&self, id: &str, percent: u8) -> (StatusCode, Value) {
        let body = json!({"weight": percent, "reason": "a test"})
            .to_string()
            .into_bytes();
        self.request(Method::PUT, &format!("/deployments/{id}/weight"), &[], body)
            .await
    }

    /// Accepts a deployment and carries out what it woke; returns its id.
    pub async fn deploy(&self, specification: &Value) -> String {
        let id = self.accept(specification).await;
        self.stack.simulator.run_functions().await;
        id
    }

    /// Accepts a deployment without carrying anything out; returns its id.
    pub async fn accept(&self, specification: &Value) -> String {
        let (status, answer) = self.post("/deploy", specification).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        answer["deployment_id"].as_str().expect("an id").to_owned()
    }

    /// Gives a command that must be followed, and carries out what it woke.
    pub async fn order(&self, id: &str, command: &str) -> Value {
        let (status, answer) = self
            .post(
                &format!("/deployments/{id}/{command}"),
                &json!({"reason": "a test"}),
            )
            .await;
        assert_eq!(status, StatusCode::ACCEPTED, "{command}: {answer}");
        self.stack.simulator.run_functions().await;
        answer
    }

    /// DescribeEndpoint, as the adapters see it.
    pub async fn endpoint(&self) -> EndpointView {
        self.stack
            .aws
            .endpoint(ENDPOINT)
            .await
            .expect("a readable endpoint")
            .expect("an endpoint")
    }

    /// The canary's share at the endpoint, in percent.
    pub async fn share(&self, canary: &str) -> f64 {
        self.endpoint()
            .await
            .share(canary)
            .expect("the canary's variant")
            * 100.0
    }

    /// Somebody else sets the weights: this share, 0 to 1, to the canary.
    pub async fn set_share(&self, canary: &str, share: f32) {
        let weights = [(PRODUCTION, 1.0 - share), (canary, share)];
        let set = self.stack.aws.set_weights(ENDPOINT, &weights).await;
        set.expect("an endpoint at rest");
    }

    /// DescribeEndpoint is denied for so many minutes.
    pub async fn unread_endpoint(&self, minutes: usize) {
        let denied = FaultKind::Error {
            status: 403,
            code: "AccessDeniedException".to_owned(),
            message: "not authorized".to_owned(),
        };
        for _ in 0..minutes {
            self.disturb(service::SAGEMAKER, "DescribeEndpoint", 1, denied.clone());
            self.disturb(service::SAGEMAKER, "ListEndpoints", 1, denied.clone());
            self.minute().await;
        }
    }

    /// Disturbs calls to come.
    pub fn disturb(&self, service: &str, operation: &str, times: u32, kind: FaultKind) {
        self.simulator().inject(Fault {
            service: service.to_owned(),
            operation: Some(operation.to_owned()),
            skip: 0,
            times,
            kind,
        });
    }

    /// How often an operation was called so far.
    pub fn count_calls(&self, operation: &str) -> usize {
        self.simulator()
            .calls()
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }

    /// Another endpoint like the first, with a model of its own in production.
    pub async fn add_endpoint(&self, name: &str) {
        let model = format!("{name}-v1");
        self.stack
            .aws
            .create_model(&model, IMAGE)
            .await
            .expect("a new model");
        self.stack
            .aws
            .create_endpoint(name, &format!("{name}-config"), PRODUCTION, &model, 2)
            .await
            .expect("a new endpoint");
        self.simulator().set_traffic(name, 1000.0);
        self.pass(SignedDuration::from_mins(3)).await;
    }
}

/// Whether a deployment is over, however it ended.
pub fn is_over(loaded: &Loaded) -> bool {
    loaded.deployment.state.status.is_terminal()
}

/// Whether it bakes at this share.
pub fn bakes_at(percent: u8) -> impl Fn(&Loaded) -> bool {
    move |loaded| {
        let state = &loaded.deployment.state;
        state.phase == Phase::Baking && state.weight.percent() == percent
    }
}

/// A short rollout with a small `min_samples`: 10, 50 and 100 %, over with its completion.
pub fn specification() -> Value {
    json!({
        "endpoint": ENDPOINT,
        "model": NEW,
        "plan": {"stages": [{"weight": 10, "bake": "5m"}, {"weight": 50, "bake": "5m"}, {"weight": 100}], "soak": "5m"},
        "policy": {"min_samples": 100},
        "cleanup": {"after": "5m"},
        "watch": {"for": "0s"},
    })
}

/// [`specification`] with these top-level fields in place of its own.
pub fn specification_with(changes: Value) -> Value {
    let mut specification = specification();
    if let (Some(fields), Value::Object(changes)) = (specification.as_object_mut(), changes) {
        fields.extend(changes);
    }
    specification
}
