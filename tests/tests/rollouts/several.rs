//! Several deployments in one tick.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::json;
use shared::app::observe::observe;
use shared::domain::observation::{Observation, Series};
use shared::domain::state::{Phase, Status};
use simulator::{Fault, FaultKind, service};
use tests::{ENDPOINT, World, is_over, specification, specification_with};

#[tokio::test]
async fn calls_are_filled_and_where_one_fails_its_deployments_were_not_read() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let baking = world.until_phase(&id, Phase::Baking).await;
    world.pass(SignedDuration::from_mins(1)).await;
    // 28 queries each: 3,500 are seven full calls.
    let many = vec![baking; 125];
    let read = async || {
        let deadline = Instant::now() + Duration::from_secs(20);
        observe(&world.stack.aws, &many, world.now(), deadline).await
    };
    let before = world.count_calls("GetMetricData");
    let seen = read().await;
    assert_eq!(world.count_calls("GetMetricData") - before, 7);
    let is_read = |series: &Series| matches!(series, Series::Read(_));
    for Observation { metrics, .. } in &seen.observations {
        assert!(is_read(&metrics.canary) && is_read(&metrics.production));
    }
    world.simulator().inject(Fault {
        service: service::CLOUDWATCH.to_owned(),
        operation: Some("GetMetricData".to_owned()),
        skip: 1,
        times: 1,
        kind: FaultKind::Error {
            status: 400,
            code: "AccessDenied".to_owned(),
            message: "no".to_owned(),
        },
    });
    let seen = read().await;
    let is_unread = |Observation { metrics, .. }: &Observation| {
        let arms = [&metrics.canary, &metrics.production].map(is_read);
        assert_eq!(arms[0], arms[1], "both arms or none: {metrics:?}");
        !arms[0]
    };
    let unread: Vec<bool> = seen.observations.iter().map(is_unread).collect();
    // The calls are under way side by side, so any of them may be the second to arrive.
    let hit_by = |call: usize| -> Vec<bool> {
        let begins_before = |number: usize| number * 28 < (call + 1) * 500;
        let ends_after = |number: usize| (number + 1) * 28 > call * 500;
        (0..many.len())
            .map(|number| begins_before(number) && ends_after(number))
            .collect()
    };
    assert!((0..7).any(|call| hit_by(call) == unread), "{unread:?}");
    assert!(!seen.is_late);
}

#[tokio::test]
async fn two_endpoints_share_a_tick_and_a_metric_call() {
    let world = World::new().await;
    world.add_endpoint("fraud").await;
    let first = world.deploy(&specification()).await;
    let second = world
        .deploy(&specification_with(json!({"endpoint": "fraud"})))
        .await;
    world.until_phase(&first, Phase::Baking).await;
    world.until_phase(&second, Phase::Baking).await;
    let before = world.count_calls("GetMetricData");
    world.minutes(2).await;
    assert_eq!(
        world.count_calls("GetMetricData") - before,
        2,
        "one call a minute for both"
    );
    for id in [&first, &second] {
        world.until(id, 100, is_over).await;
    }
    for id in [&first, &second] {
        world.assert_over(id).await;
        assert_eq!(
            world.load(id).await.deployment.state.status,
            Status::Completed
        );
    }
}

#[tokio::test]
async fn a_broken_endpoint_holds_up_nobody_else() {
    let world = World::new().await;
    world.add_endpoint("fraud").await;
    let first = world.deploy(&specification()).await;
    let second = world
        .deploy(&specification_with(json!({"endpoint": "fraud"})))
        .await;
    world.until_phase(&second, Phase::Baking).await;
    world
        .simulator()
        .sagemaker()
        .set_status(ENDPOINT, "Failed", jiff::Timestamp::MAX);
    world.until_over(&first, Status::Failed).await;
    world.until_over(&second, Status::Completed).await;
}
