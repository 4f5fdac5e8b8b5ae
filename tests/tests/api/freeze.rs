//! The freeze switch: what it takes, what it tells, and who may turn it.

use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::history::Name;
use simulator::{FaultKind, service};
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
    let own = json!({"reason": "a sale"});
    ask(&world, Method::PUT, ENDPOINT, &own).await;
    for _ in 0..2 {
        let (_, lifted) = ask(&world, Method::DELETE, ENDPOINT, &Value::Null).await;
        assert_eq!(
            lifted["freeze"]["reason"], "the holidays",
            "the stack's still stands"
        );
    }
    for _ in 0..2 {
        let (_, lifted) = ask(&world, Method::DELETE, "*", &Value::Null).await;
        assert_eq!(lifted, json!({"endpoint": "*", "frozen": false}));
    }

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
            (frozen, "FROZEN"),
            (thawed, "THAWED"),
            (thawed, "THAWED")
        ],
        "nobody is told of what was not lifted"
    );
    let events = world.simulator().events().into_iter();
    let events = events.filter(|event| event.detail_type.starts_with("endpoint."));
    for event in events {
        let detail = &event.detail;
        assert_eq!((detail.get("phase"), detail.get("weight")), (None, None));
        let limit = detail["limit"].as_str().unwrap_or_default();
        match (&*event.detail_type, detail["endpoint"].as_str()) {
            ("endpoint.thawed", Some(ENDPOINT)) => {
                assert!(
                    limit.starts_with("the whole stack is still frozen"),
                    "{limit}"
                );
            }
            ("endpoint.thawed", _) => assert!(limit.starts_with("raises go on"), "{limit}"),
            _ => assert!(limit.starts_with("until"), "{limit}"),
        }
    }
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
            json!({"reason": "a \u{202e}elas"}),
            "invalid-reason",
            "reason",
        ),
        (ENDPOINT, json!(["a"]), "invalid-body", ""),
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
        let field = Some(field).filter(|field| !field.is_empty());
        assert_problem(&answer, 422, kind, field);
    }
    assert_eq!(effects(&world), before);
}

#[tokio::test]
async fn a_freeze_ends_within_a_year_or_is_lifted() {
    let world = World::new().await;
    let before = effects(&world);
    let in_days = |days: i64| world.now() + SignedDuration::from_hours(24 * days);
    for (until, says) in [
        (json!("soon"), "until is a time like 2026-12-27T00:00:00Z"),
        (json!("9999-12-31T23:59:59Z"), "at most 366 days ahead"),
        (json!("99999-01-01T00:00:00Z"), "at most 366 days ahead"),
        (json!(in_days(367)), "more than 366 days ahead"),
        (json!(in_days(0)), "until is over already"),
    ] {
        let body = json!({"reason": "a sale", "until": until});
        let answer = ask(&world, Method::PUT, ENDPOINT, &body).await;
        assert_problem(&answer, 422, "invalid-body", Some("until"));
        let detail = answer.1["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(says), "{until}: {detail}");
    }
    assert_eq!(effects(&world), before);
    let body = json!({"reason": "a sale", "until": in_days(366)});
    let (status, answer) = ask(&world, Method::PUT, ENDPOINT, &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// What nobody could lift again would hold nothing: SageMaker tells no endpoint from another by case.
#[tokio::test]
async fn a_name_is_that_of_an_endpoint_in_whatever_case() {
    let world = World::new().await;
    let order = json!({"reason": "a sale"});
    let answer = ask(&world, Method::PUT, "wine-qualify", &order).await;
    assert_problem(&answer, 404, "endpoint-not-found", Some("name"));
    let spelled = ENDPOINT.to_ascii_uppercase();
    let refused = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not by this role".to_owned(),
    };
    world.disturb(service::SAGEMAKER, "DescribeEndpoint", 1, refused);
    let (status, answer) = ask(&world, Method::PUT, &spelled, &order).await;
    assert_eq!(
        status,
        StatusCode::OK,
        "it asks for no leave of SageMaker's: {answer}"
    );
    let refused = world.post("/deploy", &specification()).await;
    assert_problem(&refused, 409, "endpoint-frozen", Some("endpoint"));
    let (_, lifted) = ask(&world, Method::DELETE, ENDPOINT, &Value::Null).await;
    assert_eq!(lifted["frozen"], false);
    let (_, seen) = ask(&world, Method::GET, &spelled, &Value::Null).await;
    assert_eq!(seen["frozen"], false);
}

#[tokio::test]
async fn a_freeze_is_shortened_by_those_alone_who_may_lift_it() {
    let guarded = Guarded::with(|settings| {
        let names = shared::domain::authority::Names::parse;
        settings.defaults.approvers = names("Chief");
        settings.defaults.deployers = names("Release");
    })
    .await;
    guarded.tag(ENDPOINT, &TAGS);
    let soon = "2026-03-02T08:10:01Z";
    for (name, lifter) in [(ENDPOINT, "OnCall"), ("*", "Chief")] {
        let path = format!("/endpoints/{name}/freeze");
        let put = async |who: &str, reason: &str, until: Value| {
            let body = json!({"reason": reason, "until": until});
            guarded.send(Some(&role(who)), "PUT", &path, &body).await
        };
        let (status, first) = put(lifter, "the holidays", Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{first}");
        let refused = put("Release", "never mind", json!(soon)).await;
        assert_problem(&refused, 403, "forbidden", Some("until"));
        let detail = refused.1["detail"].as_str().expect("a detail");
        assert!(detail.contains(": the holidays"), "{detail}");
        // Nor is it theirs by freezing once more.
        let (status, longer) = put("Release", "a sale", Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{longer}");
        let freeze = &longer["freeze"];
        assert_eq!(
            (&freeze["reason"], &freeze["by"], &freeze["at"]),
            (
                &json!("the holidays"),
                &json!(lifter),
                &first["freeze"]["at"]
            )
        );
        assert_eq!(
            (&freeze["prolonged"]["by"], &freeze["prolonged"]["reason"]),
            (&json!("Release"), &json!("a sale"))
        );
        let (status, shorter) = put(lifter, "until tonight", json!(soon)).await;
        assert_eq!(status, StatusCode::OK, "{shorter}");
        assert_eq!(shorter["freeze"]["reason"], "until tonight");
    }
    // While nobody's rights are known, a freeze can be set and not undone.
    let path = format!("/endpoints/{ENDPOINT}/freeze");
    let order = |until: Value| json!({"reason": "x", "until": until});
    guarded.cut_off_tags();
    let (status, _) = guarded
        .send(Some(&role("Release")), "PUT", &path, &order(Value::Null))
        .await;
    assert_eq!(status, StatusCode::OK);
    for (who, expected) in [
        ("Release", StatusCode::SERVICE_UNAVAILABLE),
        ("Chief", StatusCode::SERVICE_UNAVAILABLE),
        // Without the tags the stack's defaults decide who may freeze at all.
        ("OnCall", StatusCode::FORBIDDEN),
    ] {
        let (status, answer) = guarded
            .send(Some(&role(who)), "PUT", &path, &order(json!(soon)))
            .await;
        assert_eq!(status, expected, "{who}: {answer}");
    }
}

/// An endpoint's approver may lift that endpoint's freeze, and so go through it, but not the stack's.
#[tokio::test]
async fn a_hotfix_goes_through_those_freezes_that_its_caller_could_lift() {
    let guarded = Guarded::with(|settings| {
        settings.defaults.approvers = shared::domain::authority::Names::parse("Chief Both");
    })
    .await;
    guarded.tag(ENDPOINT, &TAGS);
    let order = json!({"reason": "the holidays"});
    let (status, _) = guarded
        .send(Some(&role("Chief")), "PUT", "/endpoints/*/freeze", &order)
        .await;
    assert_eq!(status, StatusCode::OK);
    let hotfix = specification_with(json!({"hotfix": {"reason": "v1 leaks"}}));
    for path in ["/plan", "/deploy"] {
        let refused = guarded
            .send(Some(&role("Everyone")), "POST", path, &hotfix)
            .await;
        assert_problem(&refused, 403, "forbidden", None);
        let (status, answer) = guarded
            .send(Some(&role("Both")), "POST", path, &hotfix)
            .await;
        assert!(status.is_success(), "{path}: {answer}");
    }
}

#[tokio::test]
async fn who_may_lift_a_freeze_may_go_through_it() {
    let guarded = Guarded::with(|settings| {
        settings.defaults.approvers = shared::domain::authority::Names::parse("Chief Both");
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
