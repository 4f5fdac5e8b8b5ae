//! What the stack and an endpoint's owner ask every deployment to bring.

use http::StatusCode;
use serde_json::{Value, json};
use shared::domain::authority::Names;
use shared::domain::history::Name;
use tests::{ENDPOINT, specification_with};

use super::super::refusals::{assert_problem, effects};
use super::{Guarded, TAGS, role};

fn attested(names: &[&str]) -> Value {
    let attestations = names.iter().map(|name| {
        json!({"name": name, "link": format!("https://wiki.example.com/{name}"), "by": "anna"})
    });
    let attestations: Vec<Value> = attestations.collect();
    specification_with(json!({"preconditions": attestations}))
}

#[tokio::test]
async fn what_is_asked_for_must_be_there_and_is_kept() {
    let guarded = Guarded::with(|settings| {
        settings.preconditions = Names::parse("model_card");
    })
    .await;
    guarded.tag(ENDPOINT, &TAGS);
    guarded.tag(ENDPOINT, &[("canary:preconditions", "security_scan gate")]);
    let release = role("Release");
    let before = effects(&guarded.world);
    for (names, missing) in [
        (&[][..], "without gate, model_card, security_scan;"),
        (
            &["model_card", "rollback_test"],
            "without gate, security_scan;",
        ),
        (&["model_card", "security_scan"], "without gate;"),
    ] {
        for path in ["/deploy", "/plan"] {
            let answer = guarded
                .send(Some(&release), "POST", path, &attested(names))
                .await;
            assert_problem(&answer, 422, "preconditions-missing", Some("preconditions"));
            let detail = answer.1["detail"].as_str().expect("a detail");
            assert!(detail.contains(missing), "{detail}");
        }
    }
    assert_eq!(effects(&guarded.world), before, "nothing is written");

    guarded.tag(ENDPOINT, &[("canary:preconditions", "security_scan")]);
    let given = attested(&["model_card", "security_scan"]);
    let (status, view) = guarded
        .send(Some(&release), "POST", "/deploy", &given)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    assert_eq!(view["preconditions"], given["preconditions"]);
    let id = view["deployment_id"].as_str().expect("an id");
    let first = guarded.world.entry(id, Name::Started).await;
    assert!(
        first.reason.ends_with(
            "; attested: model_card by anna (https://wiki.example.com/model_card), security_scan by anna (https://wiki.example.com/security_scan)"
        ),
        "{}",
        first.reason
    );
}
