//! The freeze switch over whole rollouts: nothing goes up, guards go on, and a hotfix goes through.

use http::{Method, StatusCode};
use jiff::SignedDuration;
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

/// The endpoint refuses the call for a while, as one that is being updated does, and the freeze comes in
/// between: the raise was committed on Friday, and is not made on Monday.
#[tokio::test]
async fn a_raise_that_was_committed_and_not_made_waits_for_the_freeze() {
    let world = World::new().await;
    let busy = FaultKind::Error {
        status: 400,
        code: "ThrottlingException".to_owned(),
        message: "the endpoint is being updated".to_owned(),
    };
    let call = "UpdateEndpointWeightsAndCapacities";
    world.disturb(service::SAGEMAKER, call, 3, busy);
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Shifting).await;
    freeze(&world, "*").await;
    let calls = world.count_calls(call);
    world.minutes(60).await;
    let held = world.load(&id).await.deployment.state;
    assert_eq!((held.phase, held.weight.percent()), (Phase::Shifting, 0));
    assert!(
        held.reason.starts_with("waiting: frozen by local at "),
        "{}",
        held.reason
    );
    assert_eq!(world.count_calls(call), calls, "nobody even tries");
    let used = held.clock.used_at(world.now());
    assert!(used.secs() < 10 * 60, "the hour does not count: {used}");
    thaw(&world, "*").await;
    world.until_over(&id, Status::Completed).await;
}

/// The pass has decided and woken `traffic-shift`; the freeze comes before that looks.
#[tokio::test]
async fn a_freeze_holds_the_call_that_is_about_to_be_made() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let call = "UpdateEndpointWeightsAndCapacities";
    for _ in 0..60 {
        world.pass(SignedDuration::from_mins(1)).await;
        world.stack.tick().await.expect("the tick goes through");
        if world.load(&id).await.deployment.state.phase == Phase::Shifting {
            break;
        }
        world.stack.simulator.run_functions().await;
    }
    let state = world.load(&id).await.deployment.state;
    assert_eq!(state.phase, Phase::Shifting);
    let calls = world.count_calls(call);
    freeze(&world, ENDPOINT).await;
    world.stack.simulator.run_functions().await;
    assert_eq!(world.count_calls(call), calls);
    world.minutes(5).await;
    assert_eq!(world.count_calls(call), calls);
    thaw(&world, ENDPOINT).await;
    world.until_over(&id, Status::Completed).await;
}

/// A soak that is over has committed the end; the old variant is the way back, and stays.
#[tokio::test]
async fn the_old_variant_stays_while_the_end_waits_for_the_freeze() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Soaking).await;
    let refused = FaultKind::Error {
        status: 400,
        code: "ThrottlingException".to_owned(),
        message: "later".to_owned(),
    };
    world.disturb(service::SAGEMAKER, "UpdateEndpoint", 1, refused);
    world.until_phase(&id, Phase::Finalizing).await;
    freeze(&world, ENDPOINT).await;
    let calls = world.count_calls("UpdateEndpoint");
    world.minutes(60).await;
    let held = world.load(&id).await.deployment.state;
    assert_eq!(held.phase, Phase::Finalizing);
    assert!(
        held.reason.starts_with("waiting: frozen"),
        "{}",
        held.reason
    );
    assert_eq!(world.count_calls("UpdateEndpoint"), calls);
    let stalled = world.history(&id).await;
    let stalled = stalled.iter().filter(|entry| entry.event == Name::Stalled);
    assert_eq!(stalled.count(), 0, "what it waits for is known");
    thaw(&world, ENDPOINT).await;
    world.until_over(&id, Status::Completed).await;
}

/// Somebody took the canary's share away. The same share once more is a raise of what it has, and so
/// is a lower one.
#[tokio::test]
async fn a_share_that_somebody_else_lowered_is_not_put_back_under_a_freeze() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    let canary = world.load(&id).await.deployment.terms.canary;
    let weights = json!({
        "EndpointName": ENDPOINT,
        "DesiredWeightsAndCapacities": [
            {"VariantName": canary, "DesiredWeight": 0.0},
        ],
    });
    let changed = world.simulator().call(
        service::SAGEMAKER,
        "UpdateEndpointWeightsAndCapacities",
        &weights,
    );
    changed.expect("a variant of the endpoint");
    world
        .until(&id, 10, |loaded| loaded.deployment.state.drift.is_some())
        .await;
    freeze(&world, ENDPOINT).await;
    let path = format!("/deployments/{id}/weight");
    let headers = [("content-type", "application/json")];
    for weight in [10, 5] {
        let body = json!({"weight": weight}).to_string().into_bytes();
        let (status, refused) = world.request(Method::PUT, &path, &headers, body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{weight}: {refused}");
        let kind = refused["type"].as_str().expect("a type");
        assert!(kind.ends_with(":endpoint-frozen"), "{kind}");
    }
    let (status, answer) = world
        .post(&format!("/deployments/{id}/rollback"), &json!({}))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    world.stack.simulator.run_functions().await;
    world.until_over(&id, Status::RolledBack).await;
}

/// Where something else holds the rollout besides, the freeze stops the clock all the same.
#[tokio::test]
async fn the_deadline_stands_still_whatever_else_holds() {
    let used_after_an_hour = async |is_frozen: bool| {
        let world = World::new().await;
        let id = world.deploy(&specification()).await;
        world.until_phase(&id, Phase::Baking).await;
        world.simulator().set_traffic(ENDPOINT, 0.0);
        let held = world.until_phase(&id, Phase::Holding).await;
        assert!(!held.deployment.state.reason.contains("frozen"));
        let before = held.deployment.state.clock.used_at(world.now());
        if is_frozen {
            freeze(&world, ENDPOINT).await;
        }
        world.minutes(20).await;
        let state = world.load(&id).await.deployment.state;
        assert_eq!(state.phase, Phase::Holding, "{}", state.reason);
        state.clock.used_at(world.now()).secs() - before.secs()
    };
    assert!(used_after_an_hour(false).await >= 19 * 60);
    // The minute in which it came.
    assert!(used_after_an_hour(true).await <= 60);
}
