//! What an event wakes `monitor` for: those whom it concerns, and nobody else.

use serde_json::{Value, json};
use shared::domain::state::{Phase, Status};
use tests::lambda::events;
use tests::{ENDPOINT, World, specification_with};

const ALARM: &str = "orders-too-few";

/// Two deployments that bake, each on an endpoint of its own; the first names the alarm.
async fn two() -> (World, String, String) {
    let world = World::new().await;
    world.add_endpoint("fraud").await;
    world.simulator().cloudwatch().set_alarm(ALARM, "OK");
    let policy = json!({"policy": {"min_samples": 100, "alarms": [ALARM]}});
    let first = world.deploy(&specification_with(policy)).await;
    let other = json!({"endpoint": "fraud"});
    let second = world.deploy(&specification_with(other)).await;
    for id in [&first, &second] {
        world.until_phase(id, Phase::Baking).await;
    }
    (world, first, second)
}

/// What an event brought about: its report, and how many endpoints were looked at.
async fn woken(world: &World, event: &Value) -> (usize, usize) {
    let before = world.count_calls("DescribeEndpoint");
    let report = world.stack.wake_monitor(event).await;
    let report = report.expect("the pass goes through");
    let looks = world.count_calls("DescribeEndpoint") - before;
    world.stack.simulator.run_functions().await;
    (report.ticked.active, looks)
}

#[tokio::test]
async fn an_alarm_that_nobody_names_wakes_nobody() {
    let (world, ..) = two().await;
    let reads = world.count_calls("GetMetricData");
    for alarm in ["disk-full", ""] {
        let event = events::alarm_state_change(alarm, world.now());
        assert_eq!(woken(&world, &event).await, (0, 0), "{alarm}");
    }
    assert_eq!(world.count_calls("GetMetricData"), reads);
}

#[tokio::test]
async fn an_alarm_rolls_back_those_that_name_it_before_the_next_tick() {
    let (world, first, second) = two().await;
    world.simulator().cloudwatch().set_alarm(ALARM, "ALARM");
    let event = events::alarm_state_change(ALARM, world.now());
    let before = world.count_calls("DescribeEndpoint");
    let report = world.stack.wake_monitor(&event).await.expect("a pass");
    assert_eq!((report.ticked.active, report.ticked.committed), (1, 1));
    assert_eq!(world.count_calls("DescribeEndpoint") - before, 1);
    assert!(report.announced > 0, "people are told at once");
    let status = async |id| world.load(id).await.deployment.state.status;
    assert_eq!(status(&first).await, Status::RollingBack);
    assert_eq!(status(&second).await, Status::InProgress);
    world.stack.simulator.run_functions().await;
    world.until_over(&first, Status::RolledBack).await;
}

#[tokio::test]
async fn an_endpoint_wakes_its_own_deployment_alone() {
    let (world, ..) = two().await;
    let event = events::endpoint_state_change("IN_SERVICE", world.now());
    assert_eq!(event["detail"]["EndpointName"], ENDPOINT);
    assert_eq!(woken(&world, &event).await, (1, 1));
    let mut elsewhere = event;
    elsewhere["detail"]["EndpointName"] = json!("somebody-elses");
    assert_eq!(woken(&world, &elsewhere).await, (0, 0));
}

#[tokio::test]
async fn whatever_names_nobody_is_a_whole_tick() {
    let (world, ..) = two().await;
    for event in [
        events::schedule(world.now()),
        json!({"detail-type": "CloudWatch Alarm State Change", "detail": {}}),
        json!({"detail-type": "SageMaker Model State Change", "detail": {"EndpointName": ENDPOINT}}),
        Value::Null,
    ] {
        assert_eq!(woken(&world, &event).await, (2, 2), "{event}");
    }
}
