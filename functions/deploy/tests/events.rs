//! Malformed events through the binary that is deployed: each ends as an error that says what is
//! wrong, and the process goes on.

use serde_json::json;
use tests::lambda::Binary;
use tests::{World, specification};

#[tokio::test]
async fn a_malformed_wake_fails_and_the_next_one_is_carried_out() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let mut function = Binary::start(
        env!("CARGO_BIN_EXE_deploy"),
        &world,
        &[("CANARY_MODE", "provision")],
    )
    .await;
    let good = json!({"deployment_id": id, "version": 1});
    function.assert_refuses_malformed_wakes(&good).await;
}
