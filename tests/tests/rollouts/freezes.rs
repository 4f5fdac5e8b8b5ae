//! The freeze switch over whole rollouts: nothing goes up, guards go on, and a hotfix goes through.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use simulator::{Backend, Distribution, FaultKind, service};
use tests::{ENDPOINT, NEW, OLD, World, specification, specification_with};

async fn put(world: &World, name: &str, body: &Value) -> (StatusCode, Value) {
    let path = format!("/endpoints/{name}/freeze");
    let headers = [("content-type", "application/json")];
    let body = body.to_string().into_bytes();
    world.request(Method::PUT, &path, &headers, body).await
}

async fn thaw(world: &World, name: &str) {
    let path = format!("/endpoints/{name}/freeze");
    let (status, answer) = world.request(Method::DELETE, &path, &[], Vec::new()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

async fn freeze(world: &World, name: &str) {
    let (status, answer) = put(world, name, &json!({"reason": "a sale"})).await;
    assert_eq!(
        (status, &answer["frozen"]),
        (StatusCode::OK, &json!(true)),
        "{answer}"
    );
}

#[tokio::test]
async fn a_frozen_rollout_holds_where_it_is_and_goes_on_afterwards() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    freeze(&world, ENDPOINT).await;
    let held = world.until_phase(&id, Phase::Holding).await.deployment;
    let state = &held.state;
    assert_eq!(state.weight.percent(), 10);
    assert!(
        state.reason.contains("frozen by local at "),
        "{}",
        state.reason
    );
    assert!(state.reason.ends_with(": a sale"), "{}", state.reason);
    // An hour does not count against the deadline, but for the minutes of the bake before it.
    world.minutes(60).await;
    let after = world.load(&id).await.deployment.state;
    assert_eq!((after.phase, after.weight), (Phase::Holding, state.weight));
    assert!(after.clock.used_at(world.now()).secs() < 20 * 60);
    let (status, refused) = world
        .post(&format!("/deployments/{id}/promote"), &json!({}))
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    let kind = refused["type"].as_str().expect("a type");
    assert!(kind.ends_with(":endpoint-frozen"), "{kind}");
    thaw(&world, ENDPOINT).await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_guard_rolls_back_under_a_freeze() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    freeze(&world, "*").await;
    let bad = Distribution {
        error_rate: 0.5,
        ..Distribution::default()
    };
    world
        .simulator()
        .set_backend(NEW, Backend::Distribution(bad));
    world.until_over(&id, Status::RolledBack).await;
}

#[tokio::test]
async fn nothing_begins_on_a_frozen_endpoint_but_a_hotfix() {
    let world = World::new().await;
    freeze(&world, "*").await;
    for path in ["/deploy", "/plan"] {
        let (status, refused) = world.post(path, &specification()).await;
        assert_eq!(status, StatusCode::CONFLICT, "{refused}");
        assert_eq!(refused["field"], "endpoint");
        let detail = refused["detail"].as_str().expect("a detail");
        assert!(
            detail.contains("a sale") && detail.contains("hotfix"),
            "{detail}"
        );
    }
    let mut hotfix = specification_with(json!({"hotfix": {"reason": "v1 leaks"}}));
    // And no window is open for years.
    hotfix["plan"]["change_windows"] = json!(["Sun 03:00-03:01 UTC"]);
    let id = world.deploy(&hotfix).await;
    let first = world.entry(&id, Name::Started).await;
    let told = "a hotfix, which waits for no freeze and no change window: v1 leaks";
    assert!(first.reason.ends_with(told), "{}", first.reason);
    world.until_over(&id, Status::Completed).await;
    let path = format!("/deployments/{id}");
    let (_, view) = world.request(Method::GET, &path, &[], Vec::new()).await;
    assert_eq!(view["hotfix"], "v1 leaks");
}

#[tokio::test]
async fn a_freeze_that_cannot_be_read_raises_nothing() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    let refused = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not by this role".to_owned(),
    };
    world.disturb(service::DYNAMODB, "GetItem", 15, refused);
    let held = world
        .until_phase(&id, Phase::Holding)
        .await
        .deployment
        .state;
    assert!(held.reason.contains("could not be read"), "{}", held.reason);
    assert_eq!(held.weight.percent(), 10);
    world.until_over(&id, Status::Completed).await;
}

/// Whoever brings the former model back at night must not look for an approver first.
#[tokio::test]
async fn an_undo_waits_for_no_freeze() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
    freeze(&world, ENDPOINT).await;
    let path = format!("/deployments/{id}/undo");
    let (status, view) = world.post(&path, &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    world.stack.simulator.run_functions().await;
    let back = view["deployment_id"].as_str().expect("an id").to_owned();
    assert_eq!(view["hotfix"], format!("deployment {id} is undone"));
    world.until_over(&back, Status::Completed).await;
    assert_eq!(world.load(&back).await.deployment.terms.model, OLD);
}
