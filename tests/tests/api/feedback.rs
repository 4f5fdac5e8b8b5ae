//! `POST /feedback`: what is counted, what is not and why, and what is refused.

use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::model_signals::{NAMESPACE, Prediction};
use shared::domain::state::Status;
use shared::wire::inference_id::{InferenceId, Key};
use simulator::{Backend, Distribution, FaultKind, service};
use tests::{ENDPOINT, NEW, OLD, PRODUCTION, World, specification_with};

/// A model whose score is its first feature.
fn first_feature(body: &[u8]) -> Vec<u8> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let instances = body["instances"].as_array().cloned().unwrap_or_default();
    let scores: Vec<Value> = instances
        .iter()
        .map(|instance| json!({"score": instance[0]}))
        .collect();
    json!({"predictions": scores}).to_string().into_bytes()
}

async fn world() -> World {
    let world = World::new().await;
    for model in [OLD, NEW] {
        let backend = Backend::Function {
            answer: first_feature,
            like: Distribution::default(),
        };
        world.simulator().set_backend(model, backend);
    }
    world
}

/// A deployment that reads scores and tells two groups apart, at its first share.
async fn deploy(world: &World) -> String {
    let changes = json!({
        "model_signals": {
            "score": "/score",
            "group": {"attribute": "region", "labels": ["north", "south"]},
        },
        "plan": {"stages": [{"weight": 10, "bake": "2h"}, {"weight": 100}], "soak": "5m"},
    });
    let id = world.deploy(&specification_with(changes)).await;
    world
        .until(&id, 30, |loaded| {
            loaded.deployment.state.weight.percent() == 10
        })
        .await;
    world.pass(SignedDuration::from_secs(6)).await;
    id
}

async fn predict(world: &World, score: f64, region: &str) -> (String, String) {
    let body = json!({"endpoint": ENDPOINT, "features": [score], "attributes": {"region": region}});
    let (status, answer) = world.post("/inference", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let text = |field: &str| answer[field].as_str().expect("a text").to_owned();
    (text("inference_id"), text("variant"))
}

async fn label(world: &World, id: &str, actual: bool) -> String {
    let body = json!({"inference_id": id, "actual": actual});
    let (status, answer) = world.post("/feedback", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let first = answer["answers"][0].as_str().expect("an answer").to_owned();
    assert_eq!(answer["counted"], u64::from(first == "counted"), "{answer}");
    first
}

/// The sum of a figure over all variants since the world began, of one group or of all.
fn figure(world: &World, metric: &str, group: Option<&str>) -> f64 {
    let all = (
        world.now() - SignedDuration::from_hours(2),
        world.now() + SignedDuration::from_hours(1),
    );
    let samples = world.simulator().cloudwatch().samples(all).into_iter();
    let own = samples.filter(|sample| {
        let labels = sample.dimensions.iter();
        let mut labels = labels.filter(|(name, _)| name == "Group");
        let found = labels.next().map(|(_, value)| value.as_str());
        sample.namespace == NAMESPACE && sample.metric == metric && found == group
    });
    own.flat_map(|sample| sample.values)
        .map(|(value, times)| value * times)
        .sum()
}

#[tokio::test]
async fn a_label_counts_once_for_its_variant_and_its_group() {
    let world = world().await;
    deploy(&world).await;
    let cells = [
        (0.9, true, "north"),
        (0.8, false, "south"),
        (0.2, true, "elsewhere"),
        (0.1, false, "north"),
    ];
    for (score, actual, region) in cells {
        let (id, _) = predict(&world, score, region).await;
        assert_eq!(label(&world, &id, actual).await, "counted");
        assert_eq!(label(&world, &id, actual).await, "repeated");
        assert_eq!(
            label(&world, &id, !actual).await,
            "repeated",
            "the first one stays"
        );
    }
    for (metric, group, expected) in [
        ("Predictions", None, 4.0),
        ("PositivePredictions", None, 2.0),
        ("Score9", None, 1.0),
        ("Score8", None, 1.0),
        ("Score2", None, 1.0),
        ("Predictions", Some("north"), 2.0),
        ("Predictions", Some("south"), 1.0),
        ("Predictions", Some("other"), 1.0),
        ("PositivePredictions", Some("south"), 1.0),
        ("Labelled", None, 4.0),
        ("Correct", None, 2.0),
        ("TruePositives", None, 1.0),
        ("TruePositives", Some("north"), 1.0),
        ("FalsePositives", None, 1.0),
        ("FalseNegatives", None, 1.0),
        ("ActualPositives", None, 2.0),
        ("ActualPositives", Some("other"), 1.0),
        ("ActualNegatives", None, 2.0),
        ("F1Trials", None, 3.0),
        ("F1Misses", None, 2.0),
        ("UnreadPredictions", None, 0.0),
        // Nobody told users apart.
        ("Served", None, 0.0),
    ] {
        let found = figure(&world, metric, group);
        assert!(
            (found - expected).abs() < 0.5,
            "{metric} of {group:?}: {found}, not {expected}"
        );
    }
}

#[tokio::test]
async fn many_labels_are_answered_in_their_order() {
    let world = world().await;
    deploy(&world).await;
    let mut items = Vec::new();
    for _ in 0..40 {
        let (id, _) = predict(&world, 0.9, "north").await;
        items.push(json!({"inference_id": id, "actual": 1}));
    }
    items[7] = items[3].clone();
    items.push(json!({"inference_id": "made-up", "actual": 0}));
    let (status, answer) = world.post("/feedback", &json!({"items": items})).await;
    assert_eq!(
        (status, &answer["counted"]),
        (StatusCode::OK, &json!(39)),
        "{answer}"
    );
    let answers = answer["answers"].as_array().expect("a list");
    let repeated = [3, 7].map(|at| answers[at].as_str().expect("a text"));
    assert!(
        repeated.contains(&"counted") && repeated.contains(&"repeated"),
        "{repeated:?}"
    );
    assert_eq!(answers[40], "unknown");
    let labelled = figure(&world, "Labelled", None);
    assert!((labelled - 39.0).abs() < 0.5, "{labelled}");
}

#[tokio::test]
async fn what_says_nothing_about_the_deployment_is_dropped() {
    let world = world().await;
    let (before, _) = predict(&world, 0.9, "north").await;
    let id = deploy(&world).await;
    assert_eq!(label(&world, &before, true).await, "before_deployment");
    let (during, _) = predict(&world, 0.9, "north").await;
    let keys = world.stack.aws.signing_keys().await.expect("keys");
    let made = InferenceId::open(&during, &keys).expect("its own id");
    assert_eq!(made.deployment.map(|made| made.to_string()), Some(id));
    assert_eq!(
        made.prediction,
        Some(Prediction {
            is_positive: true,
            bin: Some(9)
        })
    );
    let moved = |hours: i64| InferenceId {
        at: made.at + SignedDuration::from_hours(hours),
        ..made.clone()
    };
    let days = 24;
    for (id, answer) in [
        (moved(1), "future"),
        (moved(-30 * days), "expired"),
        (moved(-29 * days), "counted"),
    ] {
        let signed = id.signed(&keys.current);
        assert_eq!(label(&world, &signed, true).await, answer, "{}", id.at);
    }
    let foreign = Key {
        number: keys.current.number,
        secret: [7; 32],
    };
    let unknown_key = Key {
        number: keys.current.number + 9,
        ..keys.current.clone()
    };
    let cut = &during[..during.len() - 1];
    for forged in [
        made.signed(&foreign),
        made.signed(&unknown_key),
        cut.to_owned(),
        String::new(),
        "x".repeat(5000),
    ] {
        assert_eq!(label(&world, &forged, true).await, "unknown");
    }
    assert_eq!(
        label(&world, &during, true).await,
        "repeated",
        "its older twin was counted"
    );
}

#[tokio::test]
async fn a_prediction_that_could_not_be_read_has_no_label() {
    let world = world().await;
    deploy(&world).await;
    let body = json!({"endpoint": ENDPOINT, "instances": [[0.9], [0.1]]});
    let (_, several) = world.post("/inference", &body).await;
    let body = json!({"endpoint": ENDPOINT, "instances": [["0.9"]]});
    let (_, unread) = world.post("/inference", &body).await;
    for answer in [several, unread] {
        let id = answer["inference_id"].as_str().expect("an id");
        assert_eq!(label(&world, id, true).await, "unread");
    }
    let [read, unread] =
        ["Predictions", "UnreadPredictions"].map(|name| figure(&world, name, None));
    assert!(
        (read - 2.0).abs() < 0.5 && (unread - 1.0).abs() < 0.5,
        "{read}, {unread}"
    );
}

#[tokio::test]
async fn labels_come_after_the_deployment_as_well() {
    let world = world().await;
    let id = deploy(&world).await;
    let (made, _) = predict(&world, 0.9, "north").await;
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
    world.pass(SignedDuration::from_secs(6)).await;
    assert_eq!(label(&world, &made, true).await, "counted");
    // What is read of answers goes on as the last deployment said.
    let (made, variant) = predict(&world, 0.9, "north").await;
    assert_eq!(
        (label(&world, &made, true).await.as_str(), variant.as_str()),
        ("counted", PRODUCTION)
    );
}

/// Nobody is left to judge them, and SageMaker need not be asked: an id says all that counts.
#[tokio::test]
async fn labels_of_an_endpoint_that_was_deleted_are_counted_once_as_ever() {
    let world = world().await;
    let id = deploy(&world).await;
    let (first, _) = predict(&world, 0.9, "north").await;
    let (second, _) = predict(&world, 0.8, "south").await;
    // An endpoint that is changing can't be deleted: wait until it rests.
    world.pass(SignedDuration::from_mins(5)).await;
    let gone = json!({"EndpointName": ENDPOINT});
    let deleted = world
        .simulator()
        .call(service::SAGEMAKER, "DeleteEndpoint", &gone);
    deleted.expect("an endpoint to delete");
    world.pass(SignedDuration::from_mins(2)).await;
    // While nobody has noticed, and once the deployment has ended by it.
    assert_eq!(label(&world, &first, true).await, "counted");
    world.until_over(&id, Status::Failed).await;
    world.pass(SignedDuration::from_secs(6)).await;
    let from = world.simulator().calls().len();
    assert_eq!(label(&world, &second, true).await, "counted");
    for again in [&first, &second] {
        assert_eq!(label(&world, again, false).await, "repeated");
    }
    let calls = world.simulator().calls().split_off(from);
    let is_of_the_table = calls.iter().all(|call| call.service == service::DYNAMODB);
    assert!(is_of_the_table, "{calls:?}");
    let written = calls.iter().filter(|call| call.operation == "PutItem");
    assert_eq!(written.count(), 3, "one write for each that is sent");
    for (metric, expected) in [("Labelled", 2.0), ("Correct", 2.0)] {
        let counted = figure(&world, metric, None);
        assert!((counted - expected).abs() < 0.5, "{metric}: {counted}");
    }
}

#[tokio::test]
async fn a_key_that_is_replaced_goes_on_counting() {
    let world = world().await;
    deploy(&world).await;
    let (before, _) = predict(&world, 0.9, "north").await;
    let first = world.stack.aws.signing_keys().await.expect("keys");
    // The row as it is when its key has signed for ninety days.
    let old = json!({
        "TableName": world.stack.aws.config().table,
        "Key": {"pk": {"S": "KEY#inference"}, "sk": {"S": "KEY"}},
        "UpdateExpression": "SET made_at = :then",
        "ExpressionAttributeValues": {":then": {"N": (world.now().as_second() - 90 * 86_400).to_string()}},
    });
    let request = http::Request::post("http://127.0.0.1/")
        .header("x-amz-target", "DynamoDB_20120810.UpdateItem");
    let request = request
        .body(axum::body::Bytes::from(old.to_string()))
        .expect("a request");
    let changed = world.stack.simulator.handle(request).await;
    assert_eq!(changed.status(), StatusCode::OK);
    let (one, two) = tokio::join!(
        world.stack.aws.signing_keys(),
        world.stack.aws.signing_keys()
    );
    let second = one.expect("keys");
    assert_eq!(
        second,
        two.expect("the same keys"),
        "one of two writes, both have it"
    );
    assert_eq!(second.former.as_ref(), Some(&first.current));
    assert_ne!(second.current.secret, first.current.secret);
    assert_eq!(label(&world, &before, true).await, "counted");
    // The function still holds the keys of before; what it can't open it reads them again for.
    let made = InferenceId {
        request: "019cadad-e260-7081-a282-a402881cee80"
            .parse()
            .expect("a UUID"),
        ..InferenceId::open(&before, &second).expect("signed by the former")
    };
    world.pass(SignedDuration::from_secs(6)).await;
    assert_eq!(
        label(&world, &made.signed(&second.current), true).await,
        "counted"
    );
}

#[tokio::test]
async fn what_can_not_be_kept_is_not_counted() {
    let world = world().await;
    deploy(&world).await;
    let (id, _) = predict(&world, 0.9, "north").await;
    let denied = || FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not authorized".to_owned(),
    };
    world.disturb(service::DYNAMODB, "PutItem", 1, denied());
    assert_eq!(label(&world, &id, true).await, "retry");
    assert!(figure(&world, "Labelled", None) < 0.5);
    assert_eq!(label(&world, &id, true).await, "counted");
    // The write happened, its answer was lost, and the SDK repeats it.
    let (id, _) = predict(&world, 0.9, "north").await;
    world.disturb(service::DYNAMODB, "PutItem", 1, FaultKind::LoseAnswer);
    assert_eq!(label(&world, &id, true).await, "counted");
    assert_eq!(label(&world, &id, true).await, "repeated");
}

#[tokio::test]
async fn without_keys_predictions_go_on_and_labels_wait() {
    let world = World::new().await;
    let denied = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not authorized".to_owned(),
    };
    world.disturb(service::DYNAMODB, "GetItem", 1000, denied);
    let body = json!({"endpoint": ENDPOINT, "features": [1]});
    let (status, answer) = world.post("/inference", &body).await;
    assert_eq!(
        (status, answer["inference_id"].as_str().map(str::len)),
        (StatusCode::OK, Some(36))
    );
    let body = json!({"inference_id": answer["inference_id"], "actual": true});
    let (status, problem) = world.post("/feedback", &body).await;
    assert_eq!(
        (status.as_u16(), problem["type"].as_str()),
        (
            503,
            Some("urn:sagemaker-canary:problem:temporarily-unavailable")
        )
    );
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let world = World::new().await;
    let item = json!({"inference_id": "x", "actual": true});
    for (body, field) in [
        (json!({}), "inference_id"),
        (json!({"inference_id": "x"}), "actual"),
        (json!({"actual": true}), "inference_id"),
        (
            json!({"inference_id": "x", "actual": true, "items": [item]}),
            "inference_id",
        ),
        (json!({"items": []}), "items"),
        (json!({"items": vec![item.clone(); 101]}), "items"),
        (json!({"inference_id": "x", "actual": "yes"}), "actual"),
        (json!({"inference_id": "x", "actual": 2}), "actual"),
        (json!({"inference_id": "x", "actual": 0.5}), "actual"),
        (json!({"inference_id": 7, "actual": true}), "inference_id"),
        (
            json!({"inference_id": "x", "actual": true, "label": 1}),
            "body",
        ),
        (
            json!({"items": [{"actual": true}]}),
            "items[0].inference_id",
        ),
        (json!({"items": [[]]}), "items[0]"),
        (json!({"items": [item, ["x", true]]}), "items[1]"),
        (
            json!({"items": [item, {"inference_id": "x", "actual": "yes"}]}),
            "items[1].actual",
        ),
        (
            json!({"items": [{"inference_id": "x", "actual": true, "why": 1}]}),
            "items[0]",
        ),
        (json!([item]), "body"),
    ] {
        let (status, problem) = world.post("/feedback", &body).await;
        assert_eq!(
            (status.as_u16(), problem["type"].as_str()),
            (422, Some("urn:sagemaker-canary:problem:invalid-feedback")),
            "{body}: {problem}"
        );
        assert_eq!(problem["field"].as_str(), Some(field), "{body}: {problem}");
    }
    let long = vec![b' '; 128 * 1024 + 1];
    for (body, status) in [(b"{".to_vec(), 400), (long, 413)] {
        let (found, _) = world.request(Method::POST, "/feedback", &[], body).await;
        assert_eq!(found.as_u16(), status);
    }
    assert_eq!(world.count_calls("PutItem"), 0, "nothing was written");
}

#[tokio::test]
async fn a_request_that_failed_by_name_was_meant_all_the_same() {
    let world = world().await;
    let changes = json!({
        "routing": {"sticky": "user_id"},
        "plan": {"stages": [{"weight": 50, "bake": "2h"}, {"weight": 100}], "soak": "5m"},
    });
    let id = world.deploy(&specification_with(changes)).await;
    world
        .until(&id, 30, |loaded| {
            loaded.deployment.state.weight.percent() == 50
        })
        .await;
    world.pass(SignedDuration::from_secs(6)).await;
    let failing = Distribution {
        error_rate: 1.0,
        ..Distribution::default()
    };
    for model in [OLD, NEW] {
        world
            .simulator()
            .set_backend(model, Backend::Distribution(failing));
    }
    for user in 0..10 {
        let body =
            json!({"endpoint": ENDPOINT, "features": [1], "user_id": format!("user-{user}")});
        let (status, answer) = world.post("/inference", &body).await;
        assert_eq!(status, StatusCode::FAILED_DEPENDENCY, "{answer}");
    }
    for name in ["Served", "Routed"] {
        let counted = figure(&world, name, None);
        assert!((counted - 10.0).abs() < 0.5, "{name}: {counted}");
    }
    // Which variant failed is not told where the weights decided.
    let body = json!({"endpoint": ENDPOINT, "features": [1]});
    world.post("/inference", &body).await;
    assert!((figure(&world, "Served", None) - 10.0).abs() < 0.5);
}
