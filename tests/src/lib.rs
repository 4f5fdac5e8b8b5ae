//! A world for the tests: a simulated account, an endpoint with traffic, the stack, and a clock
//! that only the test moves. No test sleeps.

use axum::Router;
use axum::body::Body;
use canary::Stack;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::app::ports::{Loaded, Store};
use shared::domain::invariants;
use simulator::clock::Clock;
use simulator::{Backend, Distribution, Options, Simulator, Timings};
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

/// A simulated account with an endpoint that serves.
pub struct World {
    /// The control plane.
    pub stack: Stack,
    router: Router,
}

impl World {
    /// An endpoint with 2 instances on the old model and 1,000 requests a minute.
    pub async fn new() -> Self {
        Self::with_challenger(Distribution::default()).await
    }

    /// The same, with a challenger that behaves like this.
    pub async fn with_challenger(challenger: Distribution) -> Self {
        let start: Timestamp = "2026-03-02T08:00:00Z".parse().expect("a valid timestamp");
        let options = Options { seed: 7, clock: Clock::manual(start), timings: Timings::default(), state: None };
        let simulator = Simulator::new(options).expect("an empty simulator starts");
        simulator.set_backend(OLD, Backend::Distribution(Distribution::default()));
        simulator.set_backend(NEW, Backend::Distribution(challenger));
        let stack = Stack::new(simulator.clone()).await.expect("a stack on an empty account");
        for model in [OLD, NEW] {
            stack.aws.create_model(model, "123456789012.dkr.ecr.eu-central-1.amazonaws.com/wine:1").await.expect("a new model");
        }
        stack.aws.create_endpoint(ENDPOINT, CONFIG, PRODUCTION, OLD, 2).await.expect("a new endpoint");
        simulator.set_traffic(ENDPOINT, 1000.0);
        let router = stack.router();
        let world = Self { stack, router };
        world.pass(SignedDuration::from_mins(10)).await;
        world
    }

    /// Moves the clock without the control plane.
    pub async fn pass(&self, time: SignedDuration) {
        self.stack.simulator.advance(time).await;
    }

    /// One minute with the control plane in it: a tick, and what it woke.
    pub async fn minute(&self) {
        self.pass(SignedDuration::from_mins(1)).await;
        self.stack.tick().await.expect("the tick goes through");
        self.stack.simulator.run_functions().await;
    }

    /// Minutes until the deployment satisfies this, checking the record at every step.
    ///
    /// # Panics
    /// When it does not within `minutes`.
    pub async fn until(&self, id: &str, minutes: usize, reached: impl Fn(&Loaded) -> bool) -> Loaded {
        for _ in 0..minutes {
            let loaded = self.load(id).await;
            assert_eq!(invariants::violations(&loaded.deployment), Vec::<String>::new());
            if reached(&loaded) {
                return loaded;
            }
            self.minute().await;
        }
        panic!("not reached in {minutes} minutes: {:#?}", self.load(id).await.deployment.state);
    }

    /// The record.
    pub async fn load(&self, id: &str) -> Loaded {
        self.stack.aws.load(id).await.expect("a readable record").expect("a known id")
    }

    /// A request to the API: status and JSON.
    pub async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).expect("a well-formed request");
        let response = self.router.clone().oneshot(request).await.expect("the router is infallible");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
        let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        (status, value)
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.request(Method::POST, path, &[("content-type", "application/json")], body.to_string().into_bytes()).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.request(Method::GET, path, &[], Vec::new()).await
    }

    /// Accepts a deployment and carries out what it woke; returns its id.
    pub async fn deploy(&self, specification: &Value) -> String {
        let (status, answer) = self.post("/deploy", specification).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        self.stack.simulator.run_functions().await;
        answer["deployment_id"].as_str().expect("an id").to_owned()
    }

    /// DescribeEndpoint, as the adapters see it.
    pub async fn endpoint(&self) -> shared::domain::observation::EndpointView {
        use shared::app::ports::Endpoints;
        self.stack.aws.endpoint(ENDPOINT).await.expect("a readable endpoint").expect("an endpoint")
    }

    /// The names of the events announced over SNS, in order.
    pub fn announced(&self) -> Vec<String> {
        self.stack.simulator.published().iter().filter_map(|message| message.attributes.get("event").cloned()).collect()
    }
}

/// A short rollout with a small `min_samples`: 10, 50 and 100 %.
pub fn specification() -> Value {
    json!({
        "endpoint": ENDPOINT,
        "model": NEW,
        "plan": {"stages": [{"weight": 10, "bake": "5m"}, {"weight": 50, "bake": "5m"}, {"weight": 100}], "soak": "5m"},
        "policy": {"min_samples": 100},
        "cleanup": {"after": "5m"},
    })
}
