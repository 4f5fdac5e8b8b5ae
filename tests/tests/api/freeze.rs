//! The freeze switch: what it takes, what it tells, and who may turn it.

use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::history::Name;
use tests::{ENDPOINT, World, specification, specification_with};

use super::access::{Guarded, TAGS, role};
use super::refusals::{assert_problem, effects};

async fn ask(world: &World, method: Method, name: &str, body: &Value) -> (StatusCode, Value) {
    let path = format!("/endpoints/{name}/freeze");
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let headers = [("content-type", "application/json")];
    world.request(method, &path, &headers, body).await
}

fn told(world: &World) -> Vec<(String, String, String)> {
    let events = world.simulator().events().into_iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events
        .filter(|event| event.detail_type.starts_with("endpoint."))
        .map(|event| {
            let detail = &event.detail;
            (
                event.detail_type,
                text(&detail["status"]),
                text(&detail["reason"]),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_freeze_is_seen_told_lifted_and_over_in_time() {
    let world = World::new().await;
    let until = world.now() + SignedDuration::from_hours(1);
    let order = json!({"reason": "a sale", "until": until});
    let (status, frozen) = ask(&world, Method::PUT, ENDPOINT, &order).await;
    assert_eq!(status, StatusCode::OK, "{frozen}");
    assert_eq!(
        (
            &frozen["endpoint"],
            &frozen["frozen"],
            &frozen["freeze"]["by"]
        ),
        (&json!(ENDPOINT), &json!(true), &json!("local"))
    );
    let (_, seen) = ask(&world, Method::GET, ENDPOINT, &Value::Null).await;
    assert_eq!(seen, frozen);
    let (_, others) = ask(&world, Method::GET, "another", &Value::Null).await;
    assert_eq!(others, json!({"endpoint": "another", "frozen": false}));
    world.pass(SignedDuration::from_hours(1)).await;
    let (_, over) = ask(&world, Method::GET, ENDPOINT, &Value::Null).await;
    assert_eq!(over["frozen"], false, "it ends by itself");

    ask(&world, Method::PUT, "*", &json!({"reason": "the holidays"})).await;
    let (_, seen) = ask(&world, Method::GET, ENDPOINT, &Value::Null).await;
    assert_eq!(
        seen["freeze"]["reason"], "the holidays",
        "of every endpoint"
    );
    let (_, lifted) = ask(&world, Method::DELETE, ENDPOINT, &Value::Null).await;
    assert_eq!(lifted["frozen"], true, "the stack's still stands");
    let (_, lifted) = ask(&world, Method::DELETE, "*", &Value::Null).await;
    assert_eq!(lifted, json!({"endpoint": "*", "frozen": false}));

    let told = told(&world);
    let names: Vec<_> = told
        .iter()
        .map(|(name, status, _)| (&**name, &**status))
        .collect();
    let (frozen, thawed) = (Name::Frozen.as_str(), Name::Thawed.as_str());
    assert_eq!(
        names,
        [
            (frozen, "FROZEN"),
            (frozen, "FROZEN"),
            (thawed, "THAWED"),
            (thawed, "THAWED")
        ]
    );
    assert!(
        told[0]
            .2
            .starts_with("endpoint wine-quality: frozen by local at "),
        "{}",
        told[0].2
    );
    assert!(
        told[1]
            .2
            .starts_with("every endpoint of the stack: frozen by"),
        "{}",
        told[1].2
    );
}

#[tokio::test]
async fn what_is_no_freeze_is_refused() {
    let world = World::new().await;
    let before = effects(&world);
    let past = world.now() - SignedDuration::from_secs(1);
    for (name, body, kind, field) in [
        (ENDPOINT, json!({}), "invalid-body", "reason"),
        (ENDPOINT, json!({"reason": ""}), "invalid-reason", "reason"),
        (ENDPOINT, json!({"reason": " "}), "invalid-reason", "reason"),
        (
            ENDPOINT,
            json!({"reason": "a\nb"}),
            "invalid-reason",
            "reason",
        ),
        (
            ENDPOINT,
            json!({"reason": "a".repeat(501)}),
            "invalid-reason",
            "reason",
        ),
        (
            ENDPOINT,
            json!({"reason": "a", "until": past}),
            "invalid-body",
            "until",
        ),
        (
            ENDPOINT,
            json!({"reason": "a", "until": "soon"}),
            "invalid-body",
            "until",
        ),
        (
            ENDPOINT,
            json!({"reason": "a", "for": "1h"}),
            "invalid-body",
            "for",
        ),
        ("-wine", json!({"reason": "a"}), "invalid-parameter", "name"),
        ("wine*", json!({"reason": "a"}), "invalid-parameter", "name"),
    ] {
        let answer = ask(&world, Method::PUT, name, &body).await;
        assert_problem(&answer, 422, kind, Some(field));
    }
    assert_eq!(effects(&world), before);
}

#[tokio::test]
async fn who_may_lift_a_freeze_may_go_through_it() {
    let guarded = Guarded::with(|settings| {
        settings.defaults.approvers = shared::domain::authority::Names::parse("Chief");
    })
    .await;
    guarded.tag(ENDPOINT, &TAGS);
    let own = format!("/endpoints/{ENDPOINT}/freeze");
    let order = json!({"reason": "a sale"});
    let ask = async |who: &str, method: &str, path: &str| {
        let body = if method == "PUT" {
            order.clone()
        } else {
            Value::Null
        };
        guarded.send(Some(&role(who)), method, path, &body).await.0
    };
    assert_eq!(
        ask("Release", "PUT", &own).await,
        StatusCode::OK,
        "deployers may stop"
    );
    assert_eq!(ask("Release", "DELETE", &own).await, StatusCode::FORBIDDEN);
    let every = "/endpoints/*/freeze";
    assert_eq!(
        ask("Everyone", "PUT", every).await,
        StatusCode::FORBIDDEN,
        "of one endpoint alone"
    );
    assert_eq!(ask("Chief", "PUT", every).await, StatusCode::OK);
    assert_eq!(ask("Chief", "DELETE", every).await, StatusCode::OK);

    let hotfix = specification_with(json!({"hotfix": {"reason": "v1 leaks"}}));
    let release = role("Release");
    let refused = guarded
        .send(Some(&release), "POST", "/deploy", &hotfix)
        .await;
    assert_problem(&refused, 403, "forbidden", None);
    let plain = guarded
        .send(Some(&release), "POST", "/deploy", &specification())
        .await;
    assert_problem(&plain, 409, "endpoint-frozen", Some("endpoint"));
    let (status, answer) = guarded
        .send(Some(&role("Both")), "POST", "/deploy", &hotfix)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
}
