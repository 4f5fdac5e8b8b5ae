//! Repeated and simultaneous requests: the Idempotency-Key, and the lock of an endpoint.

use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::state::Status;
use tests::{World, specification, specification_with};

async fn deploy(world: &World, key: &str, body: &Value) -> (StatusCode, Value) {
    world
        .request(
            Method::POST,
            "/deploy",
            &[("idempotency-key", key)],
            body.to_string().into_bytes(),
        )
        .await
}

fn kind(problem: &Value) -> &str {
    problem["type"]
        .as_str()
        .unwrap_or_default()
        .rsplit(':')
        .next()
        .unwrap_or_default()
}

#[tokio::test]
async fn the_same_key_gets_the_same_deployment_for_a_day() {
    let world = World::new().await;
    let (status, first) = deploy(&world, "release-7", &specification()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let again = deploy(&world, "release-7", &specification()).await;
    assert_eq!(again, (StatusCode::OK, first.clone()), "the same answer");
    world.stack.simulator.run_functions().await;
    let id = first["deployment_id"].as_str().expect("an id").to_owned();
    world.until_over(&id, Status::Completed).await;
    // Over, and another endpoint state: the key still names what it made.
    let (status, late) = deploy(&world, "release-7", &specification()).await;
    assert_eq!(
        (
            status,
            late["deployment_id"].as_str(),
            late["status"].as_str()
        ),
        (StatusCode::OK, Some(id.as_str()), Some("COMPLETED"))
    );
    assert_eq!(
        world.get("/deployments").await.1["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let world = World::new().await;
    let (_, first) = deploy(&world, "nightly", &specification()).await;
    let id = first["deployment_id"].as_str().expect("an id").to_owned();
    world.stack.simulator.run_functions().await;
    world.order(&id, "cancel").await;
    world.until_over(&id, Status::Cancelled).await;
    let created = world.load(&id).await.deployment.terms.created_at;
    world.simulator().set_traffic(tests::ENDPOINT, 0.0);
    world
        .pass(
            SignedDuration::from_hours(24)
                - SignedDuration::from_secs(5)
                - world.now().duration_since(created),
        )
        .await;
    assert_eq!(
        deploy(&world, "nightly", &specification()).await.0,
        StatusCode::OK,
        "one day less five seconds"
    );
    world.pass(SignedDuration::from_secs(10)).await;
    let (status, second) = deploy(&world, "nightly", &specification()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{second}");
    assert_ne!(second["deployment_id"].as_str(), Some(id.as_str()));
}

#[tokio::test]
async fn a_key_is_for_one_request() {
    let world = World::new().await;
    assert_eq!(
        deploy(&world, "release-7", &specification()).await.0,
        StatusCode::ACCEPTED
    );
    let (status, problem) = deploy(
        &world,
        "release-7",
        &specification_with(json!({"cleanup": {"after": "2h"}})),
    )
    .await;
    assert_eq!(
        (status.as_u16(), kind(&problem), problem["field"].as_str()),
        (422, "idempotency-key-reused", Some("Idempotency-Key"))
    );
    let spaced = format!(
        "  {}  ",
        serde_json::to_string_pretty(&specification()).expect("JSON")
    );
    let answer = world
        .request(
            Method::POST,
            "/deploy",
            &[("idempotency-key", "release-7")],
            spaced.into_bytes(),
        )
        .await;
    assert_eq!(answer.0, StatusCode::OK, "spaces make no other request");
    let (status, problem) = deploy(&world, "release-8", &specification()).await;
    assert_eq!((status.as_u16(), kind(&problem)), (409, "endpoint-locked"));
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_key() {
    let world = World::new().await;
    assert_eq!(
        deploy(
            &world,
            "release-7",
            &specification_with(json!({"model": "nobody"}))
        )
        .await
        .0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        deploy(&world, "release-7", &specification()).await.0,
        StatusCode::ACCEPTED
    );
}

#[tokio::test]
async fn keys_that_are_none() {
    let world = World::new().await;
    for key in ["", "a b", "schlüssel", &"k".repeat(256)] {
        let (status, problem) = deploy(&world, key, &specification()).await;
        assert_eq!(
            (status.as_u16(), kind(&problem), problem["field"].as_str()),
            (422, "invalid-idempotency-key", Some("Idempotency-Key")),
            "{key:?}"
        );
    }
    assert_eq!(world.count_calls("TransactWriteItems"), 0);
}

#[tokio::test]
async fn of_two_simultaneous_requests_one_is_accepted() {
    let world = World::new().await;
    let specification = specification();
    let (one, other) = tokio::join!(
        world.post("/deploy", &specification),
        world.post("/deploy", &specification)
    );
    let mut answers = [one, other];
    answers.sort_by_key(|(status, _)| *status);
    let [(accepted, winner), (refused, problem)] = answers;
    assert_eq!(
        (accepted, refused, kind(&problem)),
        (
            StatusCode::ACCEPTED,
            StatusCode::CONFLICT,
            "endpoint-locked"
        )
    );
    assert_eq!(
        problem["deployment_id"], winner["deployment_id"],
        "the problem names who holds the lock"
    );
    world.stack.simulator.run_functions().await;
    world
        .until_over(
            winner["deployment_id"].as_str().expect("an id"),
            Status::Completed,
        )
        .await;
}

#[tokio::test]
async fn of_two_simultaneous_requests_with_one_key_none_makes_a_second_deployment() {
    let world = World::new().await;
    let specification = specification();
    let (one, other) = tokio::join!(
        deploy(&world, "twice", &specification),
        deploy(&world, "twice", &specification)
    );
    assert!(
        [one.0, other.0].contains(&StatusCode::ACCEPTED),
        "{} {}",
        one.1,
        other.1
    );
    assert_eq!(
        world.get("/deployments").await.1["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        deploy(&world, "twice", &specification).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_undo_that_is_asked_for_twice_is_one_deployment() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
    let undo = async |key: &str, why: &str| {
        let path = format!("/deployments/{id}/undo");
        let body = json!({"reason": why}).to_string().into_bytes();
        let headers = [("idempotency-key", key)];
        world.request(Method::POST, &path, &headers, body).await
    };
    let (status, first) = undo("night-shift", "complaints").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    let again = undo("night-shift", "complaints").await;
    assert_eq!(again, (StatusCode::OK, first.clone()), "the same answer");
    let (status, problem) = undo("night-shift", "another reason").await;
    assert_eq!(
        (status, kind(&problem)),
        (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused")
    );
    // The key of a deployment is none of an undo, and another key is another request.
    let (status, problem) = undo("day-shift", "complaints").await;
    assert_eq!(
        (status, kind(&problem)),
        (StatusCode::CONFLICT, "endpoint-locked")
    );
    assert_eq!(problem["deployment_id"], first["deployment_id"]);
    world.stack.simulator.run_functions().await;
    let back = first["deployment_id"].as_str().expect("an id").to_owned();
    world.until_over(&back, Status::Completed).await;
    let (status, late) = undo("night-shift", "complaints").await;
    assert_eq!(
        (status, &late["status"]),
        (StatusCode::OK, &json!("COMPLETED"))
    );
}
