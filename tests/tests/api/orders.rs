//! Commands, routes and answers of AWS that can't be followed: refused with the way out, and
//! without an effect.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::domain::history::Name;
use shared::domain::state::Phase;
use simulator::{FaultKind, service};
use tests::{World, specification};

use crate::refusals::{assert_problem, effects};

#[tokio::test]
async fn commands_to_nobody_and_with_nonsense() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let before = effects(&world);
    let unknown = "019cad98-d3c0-7177-8e00-9f60d7bff2fc";
    for id in [
        unknown,
        "nobody",
        "DEP%23x",
        "%F0%9F%8D%B7",
        "%00",
        &"a".repeat(36),
        &"-".repeat(36),
    ] {
        for path in ["", "/history", "/checks"] {
            assert_problem(
                &world.get(&format!("/deployments/{id}{path}")).await,
                404,
                "deployment-not-found",
                None,
            );
        }
        for command in [
            "pause", "resume", "promote", "rollback", "cancel", "approve", "undo",
        ] {
            assert_problem(
                &world
                    .post(&format!("/deployments/{id}/{command}"), &json!({}))
                    .await,
                404,
                "deployment-not-found",
                None,
            );
        }
        assert_problem(
            &world.put_weight(id, 20).await,
            404,
            "deployment-not-found",
            None,
        );
    }
    let order = |body: Value| (format!("/deployments/{id}/pause"), body);
    for (body, kind, field) in [
        (json!({"why": "x"}), "invalid-body", Some("why")),
        (
            json!({"reason": "x".repeat(501)}),
            "invalid-reason",
            Some("reason"),
        ),
        (json!({"reason": 5}), "invalid-body", Some("reason")),
        (json!([]), "invalid-body", None),
    ] {
        let (path, body) = order(body);
        assert_problem(&world.post(&path, &body).await, 422, kind, field);
    }
    assert_problem(
        &world
            .post(&format!("/deployments/{id}/pause?full=true"), &json!({}))
            .await,
        422,
        "invalid-parameter",
        Some("full"),
    );
    assert_problem(
        &world
            .post(&format!("/deployments/{id}/promote?full=maybe"), &json!({}))
            .await,
        422,
        "invalid-parameter",
        Some("full"),
    );
    assert_problem(
        &world
            .post(&format!("/deployments/{id}/promote?fool=true"), &json!({}))
            .await,
        422,
        "invalid-parameter",
        Some("fool"),
    );
    let big = vec![b' '; 200 * 1024];
    assert_problem(
        &world
            .request(Method::POST, &format!("/deployments/{id}/pause"), &[], big)
            .await,
        413,
        "body-too-large",
        None,
    );
    assert_eq!(effects(&world), before);
}

#[tokio::test]
async fn weights_by_hand_that_are_none() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    let before = effects(&world);
    for weight in [
        json!(0),
        json!(101),
        json!(-1),
        json!(0.5),
        json!("10"),
        json!(null),
        json!(300),
    ] {
        let body = json!({"weight": weight}).to_string().into_bytes();
        let (status, problem) = world
            .request(Method::PUT, &format!("/deployments/{id}/weight"), &[], body)
            .await;
        let kind = problem["type"].as_str().unwrap_or_default();
        assert!(
            status == 422 && (kind.ends_with(":invalid-weight") || kind.ends_with(":invalid-body")),
            "{weight}: {problem}"
        );
    }
    assert_problem(
        &world
            .request(
                Method::PUT,
                &format!("/deployments/{id}/weight"),
                &[],
                b"{}".to_vec(),
            )
            .await,
        422,
        "invalid-body",
        Some("weight"),
    );
    assert_problem(
        &world
            .request(
                Method::PUT,
                &format!("/deployments/{id}/weight"),
                &[],
                Vec::new(),
            )
            .await,
        400,
        "not-json",
        None,
    );
    assert_eq!(effects(&world), before);
}

/// What can't be seen of a reason is dropped, and refuses no order: a rollback least of all.
#[tokio::test]
async fn a_reason_that_says_nothing_or_hides_something_keeps_no_order_waiting() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    let order = async |name: &str, reason: &str| {
        let path = format!("/deployments/{id}/{name}");
        let (status, answer) = world.post(&path, &json!({"reason": reason})).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{reason:?}: {answer}");
    };
    order("pause", "safe \u{202e}lla\nand\u{200b} sound").await;
    let kept = world.entry(&id, Name::Paused).await.reason;
    assert!(kept.contains("safe lla and sound"), "{kept}");
    order("resume", " \u{a0}\u{200d}").await;
    let weight = json!({"weight": 5, "reason": "\u{feff}"}).to_string();
    let path = format!("/deployments/{id}/weight");
    let (status, answer) = world.request(Method::PUT, &path, &[], weight.into()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    for blank in ["", "\u{200b}"] {
        let path = format!("/deployments/{id}/undo");
        let answer = world.post(&path, &json!({"reason": blank})).await;
        assert_problem(&answer, 409, "no-way-back", None);
    }
    order("rollback", "").await;
    let long = json!({"reason": "x".repeat(501)});
    for name in ["pause", "rollback", "undo"] {
        let path = format!("/deployments/{id}/{name}");
        let answer = world.post(&path, &long).await;
        assert_problem(&answer, 422, "invalid-reason", Some("reason"));
    }
}

/// Joined signs and words that are written with marks of no width are texts like any other.
#[tokio::test]
async fn a_reason_is_kept_as_people_write_it() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    let reason = "\u{1f469}\u{200d}\u{1f4bb} says: می\u{200c}خواهم";
    let path = format!("/deployments/{id}/pause");
    let (status, answer) = world.post(&path, &json!({"reason": reason})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let kept = world.entry(&id, Name::Paused).await.reason;
    assert!(kept.contains(reason), "{kept}");
}

/// What is wrong, what to write instead, and nothing of the program that reads it.
#[tokio::test]
async fn an_order_of_another_shape_is_told_the_way_out() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let (order, weight) = (
        format!("/deployments/{id}/pause"),
        format!("/deployments/{id}/weight"),
    );
    for (method, path, body, detail) in [
        (
            Method::POST,
            &order,
            "[]",
            r#"this must be an order, such as {"reason": "the product launch is over"}, not a list"#,
        ),
        (
            Method::PUT,
            &weight,
            r#"{"weight": -1}"#,
            "this must be whole percent from 1 to 100, like 25, not -1",
        ),
        (
            Method::PUT,
            &weight,
            r#"{"weight": "10%"}"#,
            "this must be whole percent from 1 to 100, like 25, not the text `10%`",
        ),
        (
            Method::PUT,
            &weight,
            r#"{"wieght": 10}"#,
            "unknown field `wieght`; known here: `weight`, `reason`",
        ),
        (
            Method::PUT,
            &weight,
            "",
            "the body is empty: it must be JSON",
        ),
        (
            Method::PUT,
            &weight,
            r#"{"weight": 10"#,
            "the body is not JSON: EOF while parsing an object at line 1 column 13; check the quotes, commas and brackets there",
        ),
        (
            Method::GET,
            &format!("/deployments/{id}/checks?limit=abc"),
            "",
            "limit is a number from 1 to 1000",
        ),
        (
            Method::GET,
            &format!("/deployments/{id}/checks?format=xml"),
            "",
            "this must be one of `json`, `csv`, not the text `xml`",
        ),
    ] {
        let (status, problem) = world.request(method, path, &[], body.into()).await;
        assert!(status.is_client_error(), "{problem}");
        assert_eq!(problem["detail"], detail, "{path} {body}");
    }
}

#[tokio::test]
async fn commands_that_the_state_forbids() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let before = effects(&world);
    for command in ["pause", "resume", "promote", "approve"] {
        assert_problem(
            &world
                .post(&format!("/deployments/{id}/{command}"), &json!({}))
                .await,
            409,
            "illegal-command",
            None,
        );
    }
    assert_problem(
        &world.put_weight(&id, 20).await,
        409,
        "illegal-command",
        None,
    );
    assert_eq!(effects(&world), before);
}

#[tokio::test]
async fn routes_and_methods_that_are_none() {
    let world = World::new().await;
    assert_problem(&world.get("/nowhere").await, 404, "no-such-route", None);
    for (method, path) in [
        (Method::GET, "/deploy"),
        (Method::DELETE, "/deployments"),
        (Method::GET, "/inference"),
    ] {
        assert_problem(
            &world.request(method, path, &[], Vec::new()).await,
            405,
            "method-not-allowed",
            None,
        );
    }
    assert_eq!(
        world.get("/health").await,
        (
            StatusCode::OK,
            json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})
        )
    );
}

#[tokio::test]
async fn a_table_that_refuses_is_no_answer_of_success() {
    let world = World::new().await;
    let denied = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "secret detail".to_owned(),
    };
    world.disturb(service::DYNAMODB, "TransactWriteItems", 1, denied);
    let answer = world.post("/deploy", &specification()).await;
    assert_problem(&answer, 502, "refused-by-aws", None);
    assert!(
        !answer.1.to_string().contains("secret detail"),
        "the particulars are for the log"
    );
    assert_eq!(
        world.post("/deploy", &specification()).await.0,
        StatusCode::ACCEPTED,
        "nothing stayed locked"
    );
}
