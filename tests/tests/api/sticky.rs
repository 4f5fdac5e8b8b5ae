//! Sticky routing: who is asked of the canary, what `GET /route` says of it, and what falls back to the
//! weights.

use std::collections::BTreeSet;

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::routing::Sticky;
use shared::domain::state::{Phase, Status};
use simulator::{FaultKind, service};
use tests::{ENDPOINT, PRODUCTION, World, bakes_at, specification_with};

const USERS: usize = 60;

fn sticky() -> Sticky {
    Sticky {
        model_name: "wine".to_owned(),
        salt: Some("2026".to_owned()),
    }
}

async fn deploy(world: &World) -> String {
    let routing = json!({"sticky": "user_id", "model_name": "wine", "salt": "2026"});
    world
        .deploy(&specification_with(json!({"routing": routing})))
        .await
}

async fn at(world: &World, id: &str, percent: u8) -> String {
    let reached = world.until(id, 60, bakes_at(percent)).await;
    // What is known of the endpoint is a few seconds old at the most.
    world.pass(SignedDuration::from_secs(6)).await;
    reached.deployment.terms.canary
}

fn users() -> impl Iterator<Item = String> {
    (0..USERS).map(|user| format!("user-{user}"))
}

async fn way(world: &World, user: &str) -> Value {
    let path = format!("/route?endpoint={ENDPOINT}&user={user}");
    let (status, answer) = world.get(&path).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

async fn variant(world: &World, user: Option<&str>) -> String {
    let body = json!({"endpoint": ENDPOINT, "features": [1], "user_id": user});
    let (status, answer) = world.post("/inference", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["variant"].as_str().expect("a variant").to_owned()
}

/// The users that are answered by the canary, each of them asked for as `/route` says.
async fn inside(world: &World, canary: &str, share: u8) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for user in users() {
        let bucket = sticky().bucket(&user);
        let (is_canary, name) = if bucket < share {
            (true, canary)
        } else {
            (false, PRODUCTION)
        };
        let expected = json!({"variant": name, "is_canary": is_canary, "bucket": bucket});
        assert_eq!(way(world, &user).await, expected, "{user}");
        assert_eq!(variant(world, Some(&user)).await, name, "{user}");
        if is_canary {
            found.insert(user);
        }
    }
    found
}

#[tokio::test]
async fn a_user_stays_where_their_bucket_is_and_whoever_is_in_stays_in() {
    let world = World::new().await;
    let id = deploy(&world).await;
    let canary = at(&world, &id, 10).await;
    let few = inside(&world, &canary, 10).await;
    let canary = at(&world, &id, 50).await;
    let many = inside(&world, &canary, 50).await;
    assert!(!few.is_empty() && few.len() < many.len() && many.len() < USERS);
    assert!(few.is_subset(&many));
    world.until_phase(&id, Phase::Soaking).await;
    world.pass(SignedDuration::from_secs(6)).await;
    assert_eq!(inside(&world, &canary, 100).await.len(), USERS);
    world.until_over(&id, Status::Completed).await;
    world.pass(SignedDuration::from_secs(6)).await;
    let weights = json!({"variant": null, "is_canary": null, "bucket": null});
    assert_eq!(way(&world, "user-1").await, weights);
    assert_eq!(variant(&world, Some("user-1")).await, canary);
}

#[tokio::test]
async fn before_the_first_share_and_without_a_user_the_weights_decide() {
    let world = World::new().await;
    let id = world
        .accept(&specification_with(
            json!({"routing": {"sticky": "user_id"}}),
        ))
        .await;
    // By default a model goes by its endpoint, without a salt.
    let plain = Sticky {
        model_name: ENDPOINT.to_owned(),
        salt: None,
    };
    let bucket = plain.bucket("user-7");
    let weights = json!({"variant": null, "is_canary": null, "bucket": bucket});
    assert_eq!(way(&world, "user-7").await, weights);
    assert_eq!(variant(&world, Some("user-7")).await, PRODUCTION);
    world.stack.simulator.run_functions().await;
    let canary = at(&world, &id, 50).await;
    let mut hits = 0;
    for _ in 0..60 {
        hits += usize::from(variant(&world, None).await == canary);
    }
    assert!((15..45).contains(&hits), "about half of 60: {hits}");
}

#[tokio::test]
async fn a_rollback_takes_everybody_out_although_the_endpoint_refuses() {
    let world = World::new().await;
    let id = deploy(&world).await;
    let canary = at(&world, &id, 50).await;
    let user = users().find(|user| sticky().bucket(user) < 50);
    let user = user.expect("one of sixty");
    assert_eq!(variant(&world, Some(&user)).await, canary);
    let until = world.now() + SignedDuration::from_mins(9);
    let sagemaker = world.simulator().sagemaker();
    sagemaker.set_status(ENDPOINT, "Updating", until);
    world.order(&id, "rollback").await;
    world.pass(SignedDuration::from_secs(6)).await;
    for user in [Some(user.as_str()), None] {
        assert_eq!(variant(&world, user).await, PRODUCTION);
    }
    let pinned = way(&world, &user).await;
    assert_eq!(
        (&pinned["variant"], &pinned["is_canary"]),
        (&json!(PRODUCTION), &json!(false))
    );
}

#[tokio::test]
async fn what_somebody_set_at_the_endpoint_is_respected() {
    let world = World::new().await;
    let id = deploy(&world).await;
    let canary = at(&world, &id, 50).await;
    let weights = json!({"EndpointName": ENDPOINT, "DesiredWeightsAndCapacities": [
        {"VariantName": PRODUCTION, "DesiredWeight": 1.0},
        {"VariantName": canary, "DesiredWeight": 0.0},
    ]});
    let simulator = world.simulator();
    let operation = "UpdateEndpointWeightsAndCapacities";
    let set = simulator.call(service::SAGEMAKER, operation, &weights);
    set.expect("an endpoint that takes weights");
    world.minutes(3).await;
    let drift = world.load(&id).await.deployment.state.drift;
    assert!(drift.is_some(), "the control plane has seen it");
    world.pass(SignedDuration::from_secs(6)).await;
    for user in users().take(20) {
        assert_eq!(variant(&world, Some(&user)).await, PRODUCTION, "{user}");
    }
}

#[tokio::test]
async fn a_store_that_can_not_be_read_leaves_it_to_the_weights() {
    let world = World::new().await;
    let id = deploy(&world).await;
    at(&world, &id, 50).await;
    // Past anything that is kept: a router of its own has read nothing.
    let world = world.with_a_new_router();
    let denied = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not authorized".to_owned(),
    };
    world.disturb(service::DYNAMODB, "GetItem", 1000, denied);
    let weights = json!({"variant": null, "is_canary": null, "bucket": null});
    assert_eq!(way(&world, "user-1").await, weights);
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        seen.insert(variant(&world, Some("user-1")).await);
    }
    assert_eq!(seen.len(), 2, "by the weights: {seen:?}");
}

#[tokio::test]
async fn a_share_that_can_not_be_read_any_longer_is_nobodys() {
    let world = World::new().await;
    let id = deploy(&world).await;
    let canary = at(&world, &id, 50).await;
    let user = users().find(|user| sticky().bucket(user) < 50);
    let user = user.expect("one of sixty");
    assert_eq!(variant(&world, Some(&user)).await, canary);
    let denied = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not authorized".to_owned(),
    };
    world.disturb(service::DYNAMODB, "GetItem", 1000, denied);
    world.pass(SignedDuration::from_secs(6)).await;
    // A rollback may have begun by now, and who could tell?
    let bucket = sticky().bucket(&user);
    let weights = json!({"variant": null, "is_canary": null, "bucket": bucket});
    assert_eq!(way(&world, &user).await, weights);
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        seen.insert(variant(&world, Some(&user)).await);
    }
    assert_eq!(seen.len(), 2, "by the weights: {seen:?}");
}

#[tokio::test]
async fn a_question_that_can_not_be_answered_names_what_is_wrong() {
    let world = World::new().await;
    let long = "u".repeat(257);
    for (query, status, field) in [
        ("", 422, Some("endpoint")),
        ("?endpoint=wine-quality", 422, Some("user")),
        ("?user=anna", 422, Some("endpoint")),
        ("?endpoint=wine-quality&user=a&user=b", 422, Some("user")),
        // Bytes that are no UTF-8, and what others put in their place: many users would become one.
        ("?endpoint=wine-quality&user=a%FF", 400, Some("user")),
        ("?endpoint=wine-quality&user=a%EF%BF%BD", 400, Some("user")),
        ("?endpoint=wine%FF&user=a", 400, Some("endpoint")),
        ("?endpoint=wine-quality&user=a&salt=b", 422, None),
        ("?endpoint=no%20name&user=a", 422, Some("endpoint")),
        ("?endpoint=wine-quality&user=", 422, Some("user")),
        ("?endpoint=wine-quality&user=%00", 422, Some("user")),
        (
            &format!("?endpoint=wine-quality&user={long}"),
            422,
            Some("user"),
        ),
    ] {
        let (found, problem) = world.get(&format!("/route{query}")).await;
        assert_eq!(found.as_u16(), status, "{query}: {problem}");
        assert_eq!(problem["field"].as_str(), field, "{query}: {problem}");
        assert!(!problem.to_string().contains(&long), "{problem}");
    }
}
