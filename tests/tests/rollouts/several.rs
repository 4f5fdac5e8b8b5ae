//! Several deployments in one tick.

use serde_json::json;
use shared::domain::state::{Phase, Status};
use tests::{ENDPOINT, World, specification, specification_with};

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
    world
        .until(&first, 100, |loaded| {
            loaded.deployment.state.status.is_terminal()
        })
        .await;
    world
        .until(&second, 100, |loaded| {
            loaded.deployment.state.status.is_terminal()
        })
        .await;
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
