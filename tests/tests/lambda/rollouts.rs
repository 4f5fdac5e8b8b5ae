//! Whole rollouts, and processes that end in the middle of them.

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::ports::Loaded;
use shared::domain::state::Status;
use simulator::{Distribution, FaultKind, service};
use tests::lambda::{Fleet, events};
use tests::{PRODUCTION, World, specification, specification_with};

use crate::printed::{self, FEATURE, USER};

/// One prediction with features that must not be seen anywhere; the variant that answered.
async fn variant_that_answers(fleet: &Fleet) -> String {
    let body = json!({"endpoint": tests::ENDPOINT, "features": [FEATURE, 0.7], "user_id": USER});
    let (status, answer) = fleet.request("POST", "/inference", Some(&body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["variant"].as_str().expect("a variant").to_owned()
}

/// `POST /deploy`, and what it woke; the id.
async fn deploy(fleet: &Fleet, specification: &Value) -> String {
    let (status, accepted) = fleet.request("POST", "/deploy", Some(specification)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    assert_eq!(accepted["created_by"], "Release");
    fleet.world.stack.simulator.run_functions().await;
    accepted["deployment_id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

/// Minutes until the deployment is over, with a prediction in each, and then everything that must hold
/// of one that ended like this. The variants that answered.
async fn until_over(fleet: &Fleet, id: &str, expected: Status) -> Vec<String> {
    let mut variants = Vec::new();
    for _ in 0..120 {
        fleet.minute().await;
        variants.push(variant_that_answers(fleet).await);
        let (status, seen) = fleet
            .request("GET", &format!("/deployments/{id}"), None)
            .await;
        assert_eq!(status, StatusCode::OK, "{seen}");
        if fleet
            .world
            .load(id)
            .await
            .deployment
            .state
            .status
            .is_terminal()
        {
            assert_eq!(seen["status"], json!(expected), "{seen}");
            fleet.world.assert_over(id).await;
            return variants;
        }
    }
    panic!(
        "not over: {:#?}",
        fleet.world.load(id).await.deployment.state
    );
}

/// Minutes until the record says so.
async fn until(fleet: &Fleet, id: &str, reached: impl Fn(&Loaded) -> bool) {
    for _ in 0..60 {
        if reached(&fleet.world.load(id).await) {
            return;
        }
        fleet.minute().await;
    }
    panic!(
        "not reached: {:#?}",
        fleet.world.load(id).await.deployment.state
    );
}

#[tokio::test]
async fn a_sound_challenger_takes_over() {
    let fleet = Fleet::over(World::new().await, "info").await;
    let (status, health) = fleet.request("GET", "/health", None).await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &json!("ok")));
    let id = deploy(&fleet, &specification()).await;
    let canary = fleet.world.load(&id).await.deployment.terms.canary.clone();
    // The endpoint is being updated: the event comes between two of the schedule's.
    fleet.pass(SignedDuration::from_secs(20)).await;
    let updating = events::endpoint_state_change("UPDATING", fleet.world.now());
    fleet.wake_monitor(&updating).await;
    let variants = until_over(&fleet, &id, Status::Completed).await;
    assert_eq!(variants.first().map(String::as_str), Some(PRODUCTION));
    assert_eq!(variants.last(), Some(&canary));
    for function in [
        "deploy",
        "provision",
        "monitor",
        "traffic-shift",
        "inference",
    ] {
        let starts = fleet.starts(&format!("canary-{function}"));
        assert_eq!(starts, 1, "one process of {function} serves every event");
    }
    assert_eq!(fleet.starts("canary-rollback"), 0, "nothing to roll back");
    printed::assert_fit_for_a_log(&fleet.stop().await);
}

#[tokio::test]
async fn a_breach_is_rolled_back_through_crashes() {
    let world = World::with_challenger(Distribution {
        error_rate: 0.2,
        ..Distribution::default()
    })
    .await;
    let fleet = Fleet::over(world, "info").await;
    let id = deploy(&fleet, &specification()).await;
    // The raise lands, and nobody is left to hear of it.
    let operation = "UpdateEndpointWeightsAndCapacities";
    fleet
        .world
        .disturb(service::SAGEMAKER, operation, 1, FaultKind::Silence);
    let raising = until(&fleet, &id, |loaded| {
        loaded.deployment.state.weight.percent() > 0
    });
    tokio::join!(
        raising,
        fleet.cut_power_during("canary-traffic-shift", operation)
    );
    // Lambda takes idle environments away whenever it likes.
    assert!(fleet.retire("canary-monitor").await);
    assert!(fleet.retire("canary-deploy").await);
    // The same for the call that takes the traffic back.
    let rolling_back = |loaded: &Loaded| loaded.deployment.state.status == Status::RollingBack;
    fleet
        .world
        .disturb(service::SAGEMAKER, operation, 1, FaultKind::Silence);
    tokio::join!(
        until(&fleet, &id, rolling_back),
        fleet.cut_power_during("canary-rollback", operation)
    );
    let variants = until_over(&fleet, &id, Status::RolledBack).await;
    assert!(
        variants.iter().all(|variant| variant == PRODUCTION),
        "from the commit on, production is asked for by name: {variants:?}"
    );
    for function in ["traffic-shift", "rollback", "monitor", "deploy"] {
        let starts = fleet.starts(&format!("canary-{function}"));
        assert!(starts >= 2, "{function} was started {starts} times");
    }
    printed::assert_fit_for_a_log(&fleet.stop().await);
}

#[tokio::test]
async fn a_firing_alarm_wakes_the_monitor_and_nothing_sent_is_printed_at_debug() {
    let fleet = Fleet::over(World::new().await, "debug").await;
    let cloudwatch = fleet.world.simulator().cloudwatch();
    cloudwatch.set_alarm("orders-too-few", "OK");
    let policy = json!({"policy": {"min_samples": 100, "alarms": ["orders-too-few"]}});
    let id = deploy(&fleet, &specification_with(policy)).await;
    until(&fleet, &id, |loaded| {
        loaded.deployment.state.weight.percent() > 0
    })
    .await;
    variant_that_answers(&fleet).await;
    cloudwatch.set_alarm("orders-too-few", "ALARM");
    let alarm = events::alarm_state_change("orders-too-few", fleet.world.now());
    fleet.wake_monitor(&alarm).await;
    let status = fleet.world.load(&id).await.deployment.state.status;
    assert_eq!(
        status,
        Status::RollingBack,
        "before the schedule's next event"
    );
    until_over(&fleet, &id, Status::RolledBack).await;
    printed::assert_fit_for_a_log(&fleet.stop().await);
}
