//! The gate at `POST /deploy`: what passes is a deployment like any other, and what does not is
//! announced, without a record and without a look at the endpoint.

use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::ports::Store;
use shared::domain::history::Name;
use simulator::{FaultKind, service};
use tests::{ENDPOINT, NEW, OLD, World, specification_with};

use super::refusals::{assert_problem, effects, refused};

/// 950 of 1,000 positive rows found and 120 of 9,000 negative ones called positive, 4.4 % better
/// than the champion, at 87.5 ms.
fn results(world: &World) -> Value {
    json!({
        "model": NEW, "champion": OLD, "compared_at": world.now(),
        "predictions": "0".repeat(64),
        "positives": {"both": 900, "champion": 10, "challenger": 50, "neither": 40},
        "negatives": {"both": 100, "champion": 60, "challenger": 20, "neither": 8820},
        "latency": {"rows": 10_000, "p95_ms": 87.5, "low_ms": 86.0, "high_ms": 89.25},
    })
}

/// With the gate, and its results changed like this.
fn gated(world: &World, changes: Value) -> Value {
    let mut results = results(world);
    if let (Some(fields), Value::Object(changes)) = (results.as_object_mut(), changes) {
        fields.extend(changes);
    }
    specification_with(json!({"gate": {"results": results}}))
}

/// 12 positive rows fewer are found.
fn worse() -> Value {
    json!({"positives": {"both": 895, "champion": 15, "challenger": 43, "neither": 47}})
}

/// Every announcement of the gate, over the topic and over the bus.
fn told(world: &World) -> [Vec<Value>; 2] {
    let is_rejection = |name: &str| name == Name::Rejected.as_str();
    let published = world.simulator().published().into_iter();
    let published = published.filter(|message| is_rejection(&message.attributes["event"]));
    let machine = |text: &str| -> Value {
        let protocols: Value = serde_json::from_str(text).expect("a text for each protocol");
        let machine = protocols["sqs"].as_str().expect("a text for queues");
        serde_json::from_str(machine).expect("queues get JSON")
    };
    let events = world.simulator().events().into_iter();
    let events = events.filter(|event| is_rejection(&event.detail_type));
    [
        published.map(|message| machine(&message.message)).collect(),
        events.map(|event| event.detail).collect(),
    ]
}

#[tokio::test]
async fn a_rejected_model_is_announced_and_nothing_else_happens() {
    let world = World::new().await;
    let looks = || {
        let calls = [
            "DescribeEndpoint",
            "DescribeEndpointConfig",
            "DescribeModel",
        ];
        calls
            .iter()
            .map(|call| world.count_calls(call))
            .sum::<usize>()
    };
    let before = looks();
    let answer = world.post("/deploy", &gated(&world, worse())).await;
    assert_problem(&answer, 422, "rejected-by-gate", Some("gate.results"));
    let detail = answer.1["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("the gate refuses wine-quality-v2: recall 93.80%")
            && detail.contains("938 of 1000 positive rows found, at least 95% is required: failed")
            && !detail.contains("latency"),
        "what it fell short of, and no more: {detail}"
    );
    assert_eq!(looks(), before, "no endpoint is looked at");
    for told in told(&world) {
        let [message] = &told[..] else {
            panic!("once each way: {told:?}")
        };
        assert_eq!(message["status"], "REJECTED");
        assert_eq!(
            (&message["model"], &message["former_model"]),
            (&json!(NEW), &json!(OLD))
        );
        assert_eq!(message["reason"], "the gate refuses wine-quality-v2");
        let value = message["value"].as_str().expect("what was measured");
        assert!(value.starts_with("recall 93.80%"), "{value}");
    }
    let (status, list) = world
        .request(Method::GET, "/deployments", &[], Vec::new())
        .await;
    assert_eq!((status, &list["items"]), (StatusCode::OK, &json!([])));
    let holder = world.stack.aws.lock_holder(ENDPOINT).await;
    assert_eq!(holder.expect("a readable table"), None);
    world.minutes(2).await;
    assert_eq!(told(&world).map(|told| told.len()), [1, 1], "and not again");
}

#[tokio::test]
async fn what_passes_is_a_deployment_that_says_so() {
    let world = World::new().await;
    let id = world.deploy(&gated(&world, json!({}))).await;
    let path = format!("/deployments/{id}");
    let (_, view) = world.request(Method::GET, &path, &[], Vec::new()).await;
    let gate = view["gate"].as_str().expect("what the gate said");
    assert!(
        gate.starts_with("recall 95.00% (95% interval 93.46% to 96.27%)"),
        "{gate}"
    );
    let first = world.entry(&id, Name::Started).await;
    assert!(
        first.reason.ends_with("; it has passed the gate"),
        "{}",
        first.reason
    );
    assert_eq!(told(&world).map(|told| told.len()), [0, 0]);
}

#[tokio::test]
async fn a_plan_is_refused_the_same_way_and_nobody_is_told() {
    let world = World::new().await;
    let before = effects(&world);
    let answer = world.post("/plan", &gated(&world, worse())).await;
    assert_problem(&answer, 422, "rejected-by-gate", Some("gate.results"));
    assert_eq!(effects(&world), before);
    let (status, plan) = world.post("/plan", &gated(&world, json!({}))).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
}

#[tokio::test]
async fn a_rejection_outlives_an_hour_without_sns_and_keeps_its_id() {
    let world = World::new().await;
    let down = FaultKind::Error {
        status: 400,
        code: "KMSAccessDenied".to_owned(),
        message: "the key can't be used".to_owned(),
    };
    world.disturb(service::SNS, "Publish", 30, down);
    let body = gated(&world, worse()).to_string().into_bytes();
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "build-17"),
    ];
    for _ in 0..2 {
        let answer = world
            .request(Method::POST, "/deploy", &headers, body.clone())
            .await;
        assert_problem(&answer, 422, "rejected-by-gate", Some("gate.results"));
    }
    assert_eq!(told(&world)[0].len(), 0);
    world.minutes(40).await;
    let [topic, bus] = told(&world);
    assert_eq!(topic.len(), 1, "told once SNS is back");
    let ids = topic
        .iter()
        .chain(&bus)
        .map(|told| told["event_id"].clone());
    let ids: std::collections::BTreeSet<String> = ids.map(|id| id.to_string()).collect();
    assert_eq!(ids.len(), 1, "the same request is the same event");
}

/// A refusal leaves the key free for the mended request; where that is refused too, it is told.
#[tokio::test]
async fn another_request_with_the_same_key_is_another_event() {
    let world = World::new().await;
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "build-17"),
    ];
    for found in [895, 890] {
        let counts =
            json!({"both": found, "champion": 15, "challenger": 43, "neither": 942 - found});
        let body = gated(&world, json!({"positives": counts}));
        let body = body.to_string().into_bytes();
        let answer = world.request(Method::POST, "/deploy", &headers, body).await;
        assert_problem(&answer, 422, "rejected-by-gate", Some("gate.results"));
    }
    let told = told(&world);
    let [first, second] = &told[0][..] else {
        panic!("both of them: {told:?}")
    };
    assert_ne!(first["event_id"], second["event_id"]);
    assert_ne!(first["value"], second["value"]);
}

/// What the record keeps does not say more than was measured.
#[tokio::test]
async fn a_deployment_that_was_let_in_on_few_rows_says_so() {
    let world = World::new().await;
    let mut few = gated(
        &world,
        json!({
            "positives": {"both": 10, "champion": 0, "challenger": 10, "neither": 0},
            "negatives": {"both": 0, "champion": 0, "challenger": 0, "neither": 20},
            "latency": {"rows": 20, "p95_ms": 80.0},
        }),
    );
    few["gate"]["too_few"] = json!("accept");
    let id = world.deploy(&few).await;
    let path = format!("/deployments/{id}");
    let (_, view) = world.request(Method::GET, &path, &[], Vec::new()).await;
    let gate = view["gate"].as_str().expect("what the gate said");
    assert!(
        gate.starts_with("accepted with too few rows: recall 100"),
        "{gate}"
    );
    let first = world.entry(&id, Name::Started).await;
    let told = "; it was accepted by the gate with too few rows";
    assert!(first.reason.ends_with(told), "{}", first.reason);
    few["gate"]["results"]["latency"] = Value::Null;
    let refused = World::new().await.post("/plan", &few).await;
    assert_problem(&refused, 422, "rejected-by-gate", Some("gate.results"));
}

/// A rejection that can't be kept is none: the caller repeats, and then it is told.
#[tokio::test]
async fn a_rejection_that_cannot_be_written_is_an_error() {
    let world = World::new().await;
    let down = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not by this role".to_owned(),
    };
    world.disturb(service::DYNAMODB, "TransactWriteItems", 1, down);
    let specification = gated(&world, worse());
    let answer = world.post("/deploy", &specification).await;
    assert_problem(&answer, 502, "refused-by-aws", None);
    let answer = world.post("/deploy", &specification).await;
    assert_problem(&answer, 422, "rejected-by-gate", Some("gate.results"));
    assert_eq!(told(&world).map(|told| told.len()), [1, 1]);
}

#[tokio::test]
async fn results_that_do_not_speak_for_this_deployment_are_refused() {
    let world = World::new().await;
    let days = |days: i64| world.now() - SignedDuration::from_hours(24 * days);
    let refuse = async |changes: Value, kind: &str, field: &str| {
        let body = gated(&world, changes).to_string();
        refused(&world, body.as_bytes(), 422, kind, Some(field)).await;
    };
    let model = "gate.results.model";
    refuse(
        json!({"model": "wine-quality-v3"}),
        "gate-results-of-another",
        model,
    )
    .await;
    let champion = "gate.results.champion";
    refuse(
        json!({"champion": "wine-quality-v0"}),
        "gate-results-of-another",
        champion,
    )
    .await;
    let missing = "gate-results-missing";
    refuse(json!({"champion": null}), missing, champion).await;
    let at = "gate.results.compared_at";
    refuse(json!({"compared_at": days(31)}), "gate-results-too-old", at).await;
    refuse(json!({"compared_at": days(-1)}), "gate-results-too-new", at).await;
    let bare = specification_with(json!({"gate": {}})).to_string();
    refused(&world, bare.as_bytes(), 422, missing, Some("gate.results")).await;
}
