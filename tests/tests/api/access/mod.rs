//! Who may do what, on the router as it is deployed: each request carries the request context that
//! API Gateway would give it, and nothing stands in for IAM.

mod endpoint;
mod inference;
mod labels;
mod limits;
mod lists;
mod outage;
mod preconditions;
mod table;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::SignedDuration;
use lambda_http::request::RequestContext;
use serde_json::{Value, json};
use shared::app::ports::Ambient;
use shared::domain::authority::{Action, Patterns, Settings};
use shared::domain::model_signals::Prediction;
use shared::wire::inference_id::InferenceId;
use simulator::{FaultKind, service};
use tests::{ENDPOINT, PRODUCTION, World, specification};
use tower::ServiceExt;

/// A role of the stack's own account.
pub(super) fn role(name: &str) -> String {
    format!("arn:aws:sts::123456789012:assumed-role/{name}/run-17")
}

/// A world behind a guarded router, and what it says about requests that it did not admit.
pub(super) struct Guarded {
    world: World,
    router: Router,
    figures: Arc<Mutex<Vec<Value>>>,
}

/// The tags of the endpoint in most tests. `Both` and `Everyone` have more than one role.
pub(super) const TAGS: [(&str, &str); 3] = [
    ("canary:deployers", "Release Both Everyone"),
    ("canary:approvers", "OnCall Both Everyone"),
    ("canary:invokers", "Shop Everyone"),
];

impl Guarded {
    /// With [`TAGS`] on the endpoint and no defaults of the stack.
    async fn new() -> Self {
        let guarded = Self::with(|_| {}).await;
        guarded.tag(ENDPOINT, &TAGS);
        guarded
    }

    /// Without tags, under other parameters of the stack.
    pub(super) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut world = World::new().await;
        let figures = Arc::new(Mutex::new(Vec::new()));
        let heard = figures.clone();
        let sink = Arc::new(move |line: &Value| heard.lock().expect("no panic").push(line.clone()));
        let mut access = world.stack.aws.config().access.clone();
        access.by_tag = true;
        change(&mut access);
        world.stack = world.stack.with_access(access);
        world.stack.aws = world.stack.aws.clone().with_figures(sink);
        let keys = world.stack.aws.signing_keys().await;
        // Made before, so that what writes them is no effect of a request.
        keys.expect("a new table takes keys");
        let router = world.stack.guarded_router();
        Self {
            world,
            router,
            figures,
        }
    }

    fn arn(&self, endpoint: &str) -> String {
        let home = &self.world.stack.aws.config().access.home;
        home.endpoint_arn(endpoint)
    }

    pub(super) fn tag(&self, endpoint: &str, tags: &[(&str, &str)]) {
        for (key, value) in tags {
            let sagemaker = self.world.simulator().sagemaker();
            sagemaker.set_tag(&self.arn(endpoint), key, value);
        }
    }

    /// DeleteTags, as an apply does that does not know these.
    fn untag(&self, endpoint: &str, keys: &[&str]) {
        let input = json!({"ResourceArn": self.arn(endpoint), "TagKeys": keys});
        let simulator = self.world.simulator();
        let deleted = simulator.call(service::SAGEMAKER, "DeleteTags", &input);
        deleted.expect("an endpoint with tags");
    }

    /// The tags of endpoints can't be read from here on, by either service.
    pub(super) fn cut_off_tags(&self) {
        // Of those errors that the SDK does not repeat: its waits would be the test's.
        let refused = || FaultKind::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
            message: "not by this role".to_owned(),
        };
        self.world
            .disturb("sagemaker", "ListTags", 10_000, refused());
        self.world
            .disturb("tagging", "GetResources", 10_000, refused());
    }

    /// The same world after `EndpointNames` was narrowed.
    fn narrowed_to(mut self, endpoints: &str) -> Self {
        let mut access = self.world.stack.aws.config().access.clone();
        access.endpoints = Patterns::parse(endpoints);
        self.world.stack = self.world.stack.with_access(access);
        self.router = self.world.stack.guarded_router();
        self
    }

    /// The calls that were counted as denied by AWS, in order: each pages people.
    fn denied(&self) -> Vec<String> {
        let figures = self.figures.lock().expect("no panic");
        let denied = figures.iter().filter(|line| line["Class"] == "Denied");
        let calls = denied.map(|line| line["operation"].as_str().expect("a call").to_owned());
        calls.collect()
    }

    /// How many failed calls were counted.
    fn errors(&self) -> usize {
        let figures = self.figures.lock().expect("no panic");
        let counted = figures.iter().filter(|line| line["Errors"] == 1);
        counted.count()
    }

    /// How often a request was counted as not admitted.
    fn forbidden(&self) -> usize {
        let figures = self.figures.lock().expect("no panic");
        let counted = figures.iter().filter(|line| line["Forbidden"] == 1);
        counted.count()
    }

    /// A request as it comes from this principal; without one, as a request that IAM has not seen.
    pub(super) async fn send(
        &self,
        arn: Option<&str>,
        method: &str,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let context: RequestContext = serde_json::from_value(json!({
            "accountId": "123456789012",
            "httpMethod": method.as_str(),
            "identity": {"userArn": arn},
        }))
        .expect("a request context");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let mut request = request.body(Body::from(body)).expect("a request");
        request.extensions_mut().insert(context);
        let response = self.router.clone().oneshot(request).await;
        let response = response.expect("the router is infallible");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a whole body");
        let bytes = bytes.to_bytes();
        let text = || json!(String::from_utf8_lossy(&bytes));
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or_else(|_| text()),
        )
    }

    /// What the action takes, for this deployment.
    async fn ask(&self, arn: Option<&str>, action: Action, id: &str) -> (StatusCode, Value) {
        let (method, path) = action.route();
        let body = match action {
            Action::Deploy | Action::Plan => specification(),
            Action::SetWeight => json!({"weight": 20, "reason": "a test"}),
            Action::Freeze => json!({"reason": "a test"}),
            Action::Infer => json!({"endpoint": ENDPOINT, "features": [7.4, 0.7]}),
            Action::Feedback => json!({"inference_id": self.predicted().await, "actual": true}),
            _ => Value::Null,
        };
        let path = match action {
            Action::Route => format!("{path}?endpoint={ENDPOINT}&user=user-1"),
            _ => path.replace("{id}", id).replace("{name}", ENDPOINT),
        };
        self.send(arn, method, &path, &body).await
    }

    /// The id of a prediction that nobody had to ask for, and that could not be read.
    async fn predicted(&self) -> String {
        self.signed(ENDPOINT, None).await
    }

    /// The id of a prediction of this endpoint's.
    async fn signed(&self, endpoint: &str, prediction: Option<Prediction>) -> String {
        let keys = self.world.stack.aws.signing_keys().await;
        let made = InferenceId {
            deployment: None,
            at: self.world.now(),
            request: self.world.stack.aws.new_id().parse().expect("a UUID"),
            prediction,
            endpoint: endpoint.to_owned(),
            variant: PRODUCTION.to_owned(),
            group: None,
        };
        made.signed(&keys.expect("a readable table").current)
    }

    /// The same, by a role of the stack's own account.
    async fn by(&self, name: &str, action: Action, id: &str) -> (StatusCode, Value) {
        self.ask(Some(&role(name)), action, id).await
    }

    /// Takes the grants out of a record, as if it had been written before they were kept.
    async fn forget_grants(&self, id: &str) {
        let input = json!({
            "TableName": self.world.stack.aws.config().table,
            "Key": {"pk": {"S": format!("DEP#{id}")}, "sk": {"S": "SPEC"}},
            "UpdateExpression": "REMOVE #terms.#grants",
            "ExpressionAttributeNames": {"#terms": "terms", "#grants": "grants"},
        });
        let request = Request::post("http://127.0.0.1/")
            .header("x-amz-target", "DynamoDB_20120810.UpdateItem")
            .body(Bytes::from(input.to_string()))
            .expect("a request");
        let response = self.world.stack.simulator.handle(request).await;
        assert!(response.status().is_success(), "{:?}", response.body());
    }

    /// DeleteEndpoint, by its owner.
    async fn delete_endpoint(&self, name: &str) {
        let input = json!({"EndpointName": name});
        let deleted = self
            .world
            .simulator()
            .call(service::SAGEMAKER, "DeleteEndpoint", &input);
        deleted.expect("an endpoint that can be deleted");
        self.world.pass(SignedDuration::from_mins(2)).await;
    }

    /// A deployment of this role's.
    async fn deployed_by(&self, name: &str) -> String {
        let (status, answer) = self.by(name, Action::Deploy, "").await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        self.world.stack.simulator.run_functions().await;
        answer["deployment_id"].as_str().expect("an id").to_owned()
    }
}

/// The last part of a problem's type.
fn kind(answer: &Value) -> &str {
    let kind = answer["type"].as_str().unwrap_or_default();
    kind.rsplit(':').next().unwrap_or_default()
}
