//! What each function calls when whole rollouts run, against what `infra/permissions.toml` says it calls: a
//! call that stands nowhere there would be denied in an account.
//!
//! The functions of the simulated stack run one after another, so whatever is called while one runs is its.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use shared::app::carry_out::Carried;
use shared::app::ports::{PortError, Scaling as _};
use shared::aws::Aws;
use shared::domain::authority::Caller;
use shared::domain::scaling::{ScalableTarget, Suspension};
use shared::domain::state::{Phase, Status};
use shared::wire::events::Wake;
use simulator::{FaultKind, Function, Simulator, service};
use tests::lambda::events;
use tests::registry::specification_of;
use tests::{ENDPOINT, PRODUCTION, World, specification_with};
use tower::ServiceExt;

use super::permissions::Table;

/// The time an invocation has.
const INVOCATION: Duration = Duration::from_mins(1);

/// A list is asked whether something exists that could not be described; here all of it does, but for what
/// the API is asked about in vain.
const ONLY_WHERE_SOMETHING_IS_GONE: [&str; 5] = [
    "DeployApi ListEndpointConfigs",
    "DeployProvision ListEndpoints",
    "Monitor ListEndpoints",
    "Rollback ListEndpoints",
    "TrafficShift ListEndpoints",
];

/// Functions by their logical id, with the operations they called.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<&'static str, BTreeSet<String>>>>);

impl Seen {
    fn note(&self, function: &'static str, simulator: &Simulator, from: usize) {
        let calls = simulator.calls();
        assert!(
            calls.len() < 90_000,
            "the simulator forgets the oldest calls soon"
        );
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let operations = calls[from..].iter().map(|call| call.operation.clone());
        seen.entry(function).or_default().extend(operations);
    }
}

/// A stack whose functions are watched.
struct Watched {
    world: World,
    seen: Seen,
}

impl Watched {
    async fn new(seen: &Seen) -> Self {
        Self::on(World::new().await, seen)
    }

    fn on(world: World, seen: &Seen) -> Self {
        let watched = Self {
            world,
            seen: seen.clone(),
        };
        watched.watch(
            "canary-provision",
            "DeployProvision",
            |aws, wake| async move { deploy::provision(&aws, wake, INVOCATION).await },
        );
        watched.watch(
            "canary-traffic-shift",
            "TrafficShift",
            |aws, wake| async move { traffic_shift::handle(&aws, wake, INVOCATION).await },
        );
        watched.watch("canary-rollback", "Rollback", |aws, wake| async move {
            rollback::handle(&aws, wake, INVOCATION).await
        });
        watched
    }

    /// Puts the same function in its own place, with its calls noted.
    fn watch<F, R>(&self, name: &str, function: &'static str, run: F)
    where
        F: Fn(Aws, Wake) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Carried, PortError>> + Send + 'static,
    {
        let (aws, simulator) = (
            self.world.stack.aws.clone(),
            self.world.stack.simulator.clone(),
        );
        let seen = self.seen.clone();
        let noted: Function = Arc::new(move |event: Value| {
            let (aws, run) = (aws.clone(), run.clone());
            let (simulator, seen) = (simulator.clone(), seen.clone());
            Box::pin(async move {
                let wake = serde_json::from_value(event).map_err(|error| error.to_string())?;
                let from = simulator.calls().len();
                let done = run(aws, wake).await;
                seen.note(function, &simulator, from);
                done.map(|_| Value::Null).map_err(|error| error.to_string())
            })
        });
        self.world.simulator().register_function(name, noted);
    }

    async fn ask(&self, function: &'static str, method: Method, path: &str, body: Value) -> Value {
        let from = self.world.simulator().calls().len();
        let kind = [
            ("content-type", "application/json"),
            ("idempotency-key", "once"),
        ];
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let (_, answer) = self.world.request(method, path, &kind, body).await;
        self.seen.note(function, self.world.simulator(), from);
        answer
    }

    async fn api(&self, method: Method, path: &str, body: Value) -> Value {
        self.ask("DeployApi", method, path, body).await
    }

    async fn minute(&self) {
        self.world.pass(jiff::SignedDuration::from_mins(1)).await;
        let from = self.world.simulator().calls().len();
        // A pass over what somebody destroyed fails, and is noted all the same.
        drop(self.world.stack.tick().await);
        self.seen.note("Monitor", self.world.simulator(), from);
        self.world.stack.simulator.run_functions().await;
        let asked = json!({"endpoint": ENDPOINT, "features": [1, 2]});
        let answer = self
            .ask("Inference", Method::POST, "/inference", asked)
            .await;
        let way = format!("/route?endpoint={ENDPOINT}&user=user-1");
        self.ask("Inference", Method::GET, &way, Value::Null).await;
        if answer["inference_id"].is_string() {
            let label = json!({"inference_id": answer["inference_id"], "actual": true});
            self.ask("Inference", Method::POST, "/feedback", label)
                .await;
        }
    }

    async fn deploy(&self, changes: Value) -> String {
        let specification = specification_with(changes);
        self.api(Method::POST, "/plan", specification.clone()).await;
        let answer = self.api(Method::POST, "/deploy", specification).await;
        let id = answer["deployment_id"].as_str();
        let id = id.unwrap_or_else(|| panic!("{answer}")).to_owned();
        self.world.stack.simulator.run_functions().await;
        id
    }

    /// What SageMaker says of the endpoint reaches `monitor`.
    async fn endpoint_changed(&self) {
        let from = self.world.simulator().calls().len();
        let event = events::endpoint_state_change("IN_SERVICE", self.world.now());
        let woken = self.world.stack.wake_monitor(&event).await;
        woken.expect("a pass over its deployment");
        self.seen.note("Monitor", self.world.simulator(), from);
    }

    async fn until(&self, id: &str, reached: impl Fn(Status, Phase) -> bool) {
        for _ in 0..200 {
            let state = self.world.load(id).await.deployment.state;
            if reached(state.status, state.phase) {
                return;
            }
            self.minute().await;
        }
        panic!(
            "{id} did not get there: {:?}",
            self.world.load(id).await.deployment.state
        );
    }

    async fn scales(&self) {
        let policy = json!({"name": "requests", "target_value": 600.0, "metric": "SageMakerVariantInvocationsPerInstance"});
        let target = ScalableTarget {
            min: 1,
            max: 10,
            policies: vec![policy.to_string()],
            suspended: Suspension::default(),
            tags: BTreeMap::from([("team".to_owned(), "wine".to_owned())]),
        };
        let aws = &self.world.stack.aws;
        let registered = aws.register(ENDPOINT, PRODUCTION, &target).await;
        registered.expect("a variant to scale");
    }
}

#[tokio::test]
async fn whole_rollouts_call_nothing_that_is_not_listed() {
    let seen = Seen::default();
    completed(&seen).await;
    taken_back(&seen).await;
    refused(&seen).await;
    held(&seen).await;
    registered(&seen).await;
    let seen = seen
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let table = Table::read();
    assert_eq!(seen.len(), table.functions().len(), "every function ran");
    let mut unseen = BTreeSet::new();
    for (function, called) in seen {
        let listed: BTreeSet<String> = table.calls_of(function).map(|it| operation(&it)).collect();
        let unlisted: Vec<_> = called.difference(&listed).collect();
        assert!(
            unlisted.is_empty(),
            "{function} called {unlisted:?}: infra/permissions.toml"
        );
        unseen.extend(
            listed
                .difference(&called)
                .map(|it| format!("{function} {it}")),
        );
    }
    let unseen: Vec<&str> = unseen.iter().map(String::as_str).collect();
    assert_eq!(
        unseen, ONLY_WHERE_SOMETHING_IS_GONE,
        "listed, and called in none of these rollouts"
    );
}

/// With scaling, to its end, and everything the API can be asked on the way.
async fn completed(seen: &Seen) {
    let stack = Watched::new(seen).await;
    stack.scales().await;
    let alarms = json!({"min_samples": 100, "alarms": ["wine-down"]});
    let alarm = stack.world.simulator().cloudwatch();
    alarm.set_alarm("wine-down", "OK");
    let id = stack.deploy(json!({"policy": alarms})).await;
    stack.until(&id, |_, phase| phase == Phase::Baking).await;
    stack.endpoint_changed().await;
    for path in ["", "/history", "/checks", "/checks?format=csv"] {
        stack
            .api(
                Method::GET,
                &format!("/deployments/{id}{path}"),
                Value::Null,
            )
            .await;
    }
    for path in ["/deployments", "/deployments?endpoint=wine-quality"] {
        stack.api(Method::GET, path, Value::Null).await;
    }
    for command in ["pause", "resume", "promote"] {
        stack
            .api(
                Method::POST,
                &format!("/deployments/{id}/{command}"),
                Value::Null,
            )
            .await;
    }
    stack.until(&id, |status, _| status.is_terminal()).await;
}

/// By order, from the middle, while the endpoint refuses for a while: people are told why it waits.
async fn taken_back(seen: &Seen) {
    let stack = Watched::new(seen).await;
    stack.scales().await;
    let id = stack.deploy(json!({})).await;
    stack.until(&id, |_, phase| phase == Phase::Baking).await;
    let busy = FaultKind::Error {
        status: 400,
        code: "ValidationException".to_owned(),
        message: "Cannot update in-progress endpoint".to_owned(),
    };
    let call = "UpdateEndpointWeightsAndCapacities";
    stack.world.disturb(service::SAGEMAKER, call, 8, busy);
    stack
        .api(
            Method::POST,
            &format!("/deployments/{id}/rollback"),
            Value::Null,
        )
        .await;
    stack.until(&id, |status, _| status.is_terminal()).await;
}

/// What is not there is looked for in the lists.
async fn refused(seen: &Seen) {
    let stack = Watched::new(seen).await;
    for changes in [json!({"endpoint": "nowhere"}), json!({"model": "nothing"})] {
        stack
            .api(Method::POST, "/plan", specification_with(changes))
            .await;
    }
}

/// Of a version of a model package, to its end; the model is looked for in the list before it is made.
async fn registered(seen: &Seen) {
    let stack = Watched::on(World::with_registry().await, seen);
    let specification = specification_of(2);
    let answer = stack.api(Method::POST, "/deploy", specification).await;
    let id = answer["deployment_id"].as_str();
    let id = id.unwrap_or_else(|| panic!("{answer}")).to_owned();
    stack.world.stack.simulator.run_functions().await;
    stack.until(&id, |status, _| status.is_terminal()).await;
    stack.minute().await;
}

/// A caller with a name is held against the endpoint's tags, which a caller on loopback is not.
async fn held(seen: &Seen) {
    let stack = Watched::new(seen).await;
    let stranger = Caller::Named("Stranger".to_owned());
    let router = stack.world.stack.guarded_router();
    let router = router.layer(axum::Extension(stranger));
    let invocation = json!({"endpoint": ENDPOINT, "features": [1, 2]});
    for (function, path, body) in [
        ("DeployApi", "/plan", specification_with(json!({}))),
        ("Inference", "/inference", invocation),
    ] {
        let from = stack.world.simulator().calls().len();
        let request = Request::post(path).header("content-type", "application/json");
        let request = request.body(Body::from(body.to_string()));
        let request = request.expect("a well-formed request");
        let answer = router.clone().oneshot(request).await;
        let answer = answer.expect("an infallible router");
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        stack.seen.note(function, stack.world.simulator(), from);
    }
}

/// `sagemaker.describe_endpoint` is DescribeEndpoint on the wire.
fn operation(call: &str) -> String {
    let (_, name) = call.split_once('.').expect("crate.operation");
    let words = name
        .split('_')
        .map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect()
}
