//! `POST /feedback` about an endpoint that was deleted: its tags went with it, so the stack's defaults say who may.

use http::StatusCode;
use serde_json::{Value, json};
use shared::domain::authority::Names;
use shared::domain::model_signals::Prediction;
use simulator::{FaultKind, service};
use tests::ENDPOINT;

use super::super::refusals::{assert_problem, effects};
use super::{Guarded, TAGS, kind, role};

/// An endpoint that stays.
const OTHER: &str = "wine-price";

/// A label of a prediction of this endpoint's.
async fn label(guarded: &Guarded, endpoint: &str) -> Value {
    let read = Prediction {
        is_positive: true,
        bin: Some(9),
    };
    let id = guarded.signed(endpoint, Some(read)).await;
    json!({"inference_id": id, "actual": true})
}

async fn send(guarded: &Guarded, name: &str, body: &Value) -> (StatusCode, Value) {
    guarded
        .send(Some(&role(name)), "POST", "/feedback", body)
        .await
}

#[tokio::test]
async fn labels_of_a_deleted_endpoint_are_named_and_keep_no_others_waiting() {
    let guarded = Guarded::new().await;
    guarded.world.add_endpoint(OTHER).await;
    guarded.tag(OTHER, &TAGS);
    let others = [label(&guarded, OTHER).await, label(&guarded, OTHER).await];
    let gone = label(&guarded, ENDPOINT).await;
    let forged = json!({"inference_id": "made-up", "actual": true});
    guarded.delete_endpoint(ENDPOINT).await;
    let before = effects(&guarded.world);

    let mixed = json!({"items": [forged, others[0], gone, others[1], gone]});
    let refused = send(&guarded, "Shop", &mixed).await;
    assert_problem(&refused, 403, "forbidden", Some("items[2].inference_id"));
    let told = refused.1["detail"].as_str().expect("a text");
    for part in [
        "labels of endpoint wine-quality: ",
        "DefaultInvokers",
        "was deleted",
        "send the other labels without these: items[2], items[4]",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let alone = send(&guarded, "Shop", &gone).await;
    assert_problem(&alone, 403, "forbidden", None);
    let told = alone.1["detail"].as_str().expect("a text");
    assert!(told.starts_with("labels of endpoint wine-quality: "));
    assert_eq!(effects(&guarded.world), before, "nothing was counted");

    let (status, answer) = send(&guarded, "Shop", &json!({"items": others})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        answer,
        json!({"answers": ["counted", "counted"], "counted": 2})
    );
}

#[tokio::test]
async fn whom_the_defaults_admit_may_label_what_a_deleted_endpoint_predicted() {
    let guarded = Guarded::with(|settings| {
        settings.defaults.invokers = Names::parse("Shop");
    })
    .await;
    guarded.tag(ENDPOINT, &[("canary:invokers", "Everyone")]);
    let label = label(&guarded, ENDPOINT).await;
    let (status, _) = send(&guarded, "Shop", &label).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the tag decides");
    guarded.delete_endpoint(ENDPOINT).await;
    let (status, answer) = send(&guarded, "Everyone", &label).await;
    assert_eq!(
        (status, kind(&answer)),
        (StatusCode::FORBIDDEN, "forbidden"),
        "{answer}"
    );
    for outcome in ["counted", "repeated"] {
        let (status, answer) = send(&guarded, "Shop", &label).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["answers"], json!([outcome]));
    }
}

/// A label that may not be written is its caller's to send again, and somebody's to mend.
#[tokio::test]
async fn labels_that_may_not_be_kept_are_counted_as_denied() {
    let guarded = Guarded::new().await;
    let label = label(&guarded, ENDPOINT).await;
    let refused = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not by this role".to_owned(),
    };
    guarded
        .world
        .disturb(service::DYNAMODB, "PutItem", 1, refused);
    for (outcome, denied) in [("retry", 1), ("counted", 1)] {
        let (status, answer) = send(&guarded, "Shop", &label).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["answers"], json!([outcome]));
        assert_eq!(guarded.denied(), vec!["PutItem"; denied]);
    }
}
