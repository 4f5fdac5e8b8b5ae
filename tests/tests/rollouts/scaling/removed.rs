//! A scaling target that its owner removes during a rollout: it stays removed, however that ends.

use jiff::SignedDuration;
use serde_json::json;
use shared::app::ports::Endpoints;
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use simulator::{FaultKind, service};
use tests::{ENDPOINT, PRODUCTION, World, bakes_at, specification, specification_with};

use super::{bounds, by_hand_at, scaling};

/// Its owner takes the variant's scaling away.
fn remove_by_hand(world: &World, variant: &str) {
    by_hand_at(world, variant, "DeregisterScalableTarget", json!({}));
}

/// Who pins the fleet in the soak has the new model on a fleet that is pinned, whether or not the
/// canary's target was thought of too.
#[tokio::test]
async fn scaling_that_was_removed_during_a_rollout_does_not_come_back_with_the_new_model() {
    for cleanup in [json!({"after": "5m"}), json!({"keep_old_variant": true})] {
        for both in [true, false] {
            let world = scaling(600.0).await;
            let asked = specification_with(json!({"cleanup": cleanup}));
            let id = world.deploy(&asked).await;
            let soaking = world.until_phase(&id, Phase::Soaking).await;
            let canary = soaking.deployment.terms.canary;
            remove_by_hand(&world, PRODUCTION);
            if both {
                remove_by_hand(&world, &canary);
            }
            world.until_over(&id, Status::Completed).await;
            let left = (bounds(&world, &canary), bounds(&world, PRODUCTION));
            assert_eq!(left, (None, None), "{cleanup}, both: {both}");
        }
    }
}

/// The specification's own word does not depend on what production has.
#[tokio::test]
async fn a_canary_that_was_to_scale_does_so_without_productions_target() {
    let world = scaling(600.0).await;
    let asked = json!({"canary": {"autoscaling": {"max": 4}}});
    let id = world.deploy(&specification_with(asked)).await;
    let soaking = world.until_phase(&id, Phase::Soaking).await;
    let canary = soaking.deployment.terms.canary;
    remove_by_hand(&world, PRODUCTION);
    world.until_over(&id, Status::Completed).await;
    assert_eq!(bounds(&world, &canary), Some((1, 4)));
}

/// Before the last update has landed, and after: a copy of production's variant comes back without
/// scaling then.
#[tokio::test]
async fn a_rollback_from_the_last_update_leaves_scaling_removed() {
    for minutes in [1, 5] {
        let world = scaling(600.0).await;
        let id = world.deploy(&specification()).await;
        let soaking = world.until_phase(&id, Phase::Soaking).await;
        let canary = soaking.deployment.terms.canary;
        remove_by_hand(&world, PRODUCTION);
        world.until_phase(&id, Phase::Finalizing).await;
        world.pass(SignedDuration::from_mins(minutes)).await;
        world.order(&id, "rollback").await;
        world.until_over(&id, Status::RolledBack).await;
        let left = (bounds(&world, &canary), bounds(&world, PRODUCTION));
        assert_eq!(left, (None, None), "after {minutes} minutes");
    }
}

#[tokio::test]
async fn a_final_update_that_comes_back_leaves_scaling_removed() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Soaking).await;
    remove_by_hand(&world, PRODUCTION);
    let sagemaker = world.simulator().sagemaker();
    sagemaker.fail_next_update(ENDPOINT, "an internal failure");
    world.until_over(&id, Status::Failed).await;
    assert_eq!(bounds(&world, PRODUCTION), None);
}

/// AWS registers no target by its floor alone. Asked for every minute it would be an error every minute,
/// each in the failure queue, and no raise behind it.
#[tokio::test]
async fn a_floor_is_held_no_more_once_the_target_is_removed() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    let baking = world.until(&id, 60, bakes_at(50)).await;
    let canary = baking.deployment.terms.canary;
    world.order(&id, "pause").await;
    remove_by_hand(&world, PRODUCTION);
    // The canary grows by itself, and the total with it.
    world.simulator().set_traffic(ENDPOINT, 3000.0);
    world.minutes(20).await;
    let registered = world.count_calls("RegisterScalableTarget");
    world.minutes(5).await;
    let state = world.load(&id).await.deployment.state;
    let needs = state.production_instances;
    let floor = state.floor.expect("it was looked for");
    assert!(needs > 2, "1500 requests, 600 for each instance: {needs}");
    assert_eq!((floor.held_at, floor.withdrawn), (needs, true));
    assert_eq!(state.refusal, None);
    assert_eq!(world.count_calls("RegisterScalableTarget"), registered);
    let told = world.entry(&id, Name::CapacityShort).await;
    assert!(told.reason.contains("nothing is raised"), "{}", told.reason);
    // By whoever pins the fleet.
    let aws = &world.stack.aws;
    let given = aws.set_instances(ENDPOINT, PRODUCTION, needs).await;
    given.expect("room for more");
    world.order(&id, "resume").await;
    world.until_over(&id, Status::Completed).await;
    assert_eq!(bounds(&world, &canary), None);
}

/// A reading that failed says nothing of whether the target is there.
#[tokio::test]
async fn scaling_that_can_not_be_read_is_not_taken_for_removed() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    let soaking = world.until_phase(&id, Phase::Soaking).await;
    let canary = soaking.deployment.terms.canary;
    let operation = "DescribeScalableTargets";
    let throttled = FaultKind::Throttle;
    world.disturb(service::AUTOSCALING, operation, u32::MAX, throttled);
    world.until_phase(&id, Phase::Finalizing).await;
    world.minutes(3).await;
    let waits = world.load(&id).await.deployment.state;
    let floor = waits.floor.expect("it is held");
    assert_eq!((waits.phase, floor.withdrawn), (Phase::Finalizing, false));
    assert_eq!(bounds(&world, PRODUCTION), Some((2, 10)));
    world.simulator().undisturb();
    world.until_over(&id, Status::Completed).await;
    assert_eq!(bounds(&world, &canary), Some((1, 10)));
}
