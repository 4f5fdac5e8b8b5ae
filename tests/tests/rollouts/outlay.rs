//! What a plan says that a rollout takes is what it takes.

use serde_json::{Value, json};
use shared::domain::state::Status;
use tests::{Setup, World, specification_with};

const KIND: &str = "ml.c6i.large";

/// A rollout as it was planned, in an account whose quota allows so many instances fewer than the plan names.
async fn short_of_the_plan_by(missing: i64, instances: i32, specification: &Value) -> Rollout {
    let world = World::with(Setup {
        instances,
        ..Setup::default()
    })
    .await;
    let plan = world.post("/plan", specification).await.1;
    let quota = &plan["quotas"][0];
    assert_eq!(quota["name"], "ml.c6i.large for endpoint usage");
    let needed = quota["instances"].as_i64().expect("a number of instances");
    let sagemaker = world.simulator().sagemaker();
    sagemaker.set_instance_quota(KIND, needed - missing);
    let id = world.deploy(specification).await;
    Rollout { world, id, needed }
}

struct Rollout {
    world: World,
    id: String,
    needed: i64,
}

/// The simulated account counts both fleets of an update.
#[tokio::test]
async fn the_quota_that_a_plan_names_is_enough_and_one_instance_less_is_not() {
    let kept = json!({"after": "5m", "keep_old_variant": true});
    let rows = [
        // Where the old variant goes: it, and two fleets of the canary.
        (2, json!({}), 6),
        // Where the canary comes: two fleets of production, and it.
        (4, json!({"canary": {"instances": 1}}), 9),
        (2, json!({"cleanup": kept}), 5),
    ];
    for (instances, changes, needed) in rows {
        let specification = specification_with(changes);
        let enough = short_of_the_plan_by(0, instances, &specification).await;
        assert_eq!(enough.needed, needed);
        enough.world.until_over(&enough.id, Status::Completed).await;
        let Rollout { world, id, .. } = short_of_the_plan_by(1, instances, &specification).await;
        let refused = world
            .until(&id, 60, |loaded| {
                let refusal = loaded.deployment.state.refusal.as_deref();
                refusal.is_some_and(|why| why.contains("for endpoint usage"))
            })
            .await;
        assert!(!refused.deployment.state.status.is_terminal());
        // It goes on as soon as there is room.
        world
            .simulator()
            .sagemaker()
            .set_instance_quota(KIND, needed);
        world.until_over(&id, Status::Completed).await;
    }
}
