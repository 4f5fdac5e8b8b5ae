//! Commands, routes and answers of AWS that can't be followed: refused with the way out, and
//! without an effect.

use http::{Method, StatusCode};
use serde_json::{Value, json};
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
        (json!({"reason": "a\nb"}), "invalid-reason", Some("reason")),
        (json!({"reason": 5}), "invalid-body", Some("reason")),
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
