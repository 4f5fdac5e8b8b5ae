//! The limit of the instances' memory, which the preset `playbook` has: over what CloudWatch says of them.

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::ports::Loaded;
use shared::domain::history::Name;
use shared::domain::judge::floor_minute;
use shared::domain::policy::Grade;
use shared::domain::state::{Phase, Status};
use simulator::cloudwatch::{Gap, GapKind};
use tests::{ENDPOINT, World, specification_with};

const INSTANCES: &str = "/aws/sagemaker/Endpoints";

fn specification() -> Value {
    specification_with(json!({"policy": {"min_samples": 100, "memory": {}}}))
}

/// A minute in which the canary's instances were nearly out of memory: so many more readings of it that
/// the mean is theirs.
async fn leaking(world: &World, canary: &str) {
    world.pass(SignedDuration::from_mins(1)).await;
    let at = floor_minute(world.now()) - SignedDuration::from_mins(1);
    let dimensions = [("EndpointName", ENDPOINT), ("VariantName", canary)];
    let metrics = world.simulator().cloudwatch();
    let (metric, unit) = ("MemoryUtilization", "Percent");
    metrics.record_repeated(INSTANCES, metric, &dimensions, at, 99.0, 1000, unit);
    world.tick().await;
}

#[tokio::test]
async fn a_canary_that_runs_out_of_memory_is_taken_back() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let baking = world.until_phase(&id, Phase::Baking).await;
    let canary = baking.deployment.terms.canary;
    for _ in 0..15 {
        leaking(&world, &canary).await;
        if world.load(&id).await.deployment.state.status == Status::RollingBack {
            break;
        }
    }
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    assert_eq!(entry.signal.as_deref(), Some("memory.limit"));
    assert_eq!(entry.signal_severity, Some(Grade::Critical));
    assert!(
        entry.reason.starts_with("memory of the canary: 9"),
        "{}",
        entry.reason
    );
}

fn lose_readings(world: &World) {
    world.simulator().cloudwatch().set_gap(Gap {
        namespace: INSTANCES.to_owned(),
        from: world.now() - SignedDuration::from_hours(1),
        to: world.now() + SignedDuration::from_hours(48),
        kind: GapKind::Missing,
    });
}

/// An endpoint that tells nothing of its memory is not kept from a deployment by that.
#[tokio::test]
async fn memory_that_is_never_told_blocks_nothing_and_is_said_before() {
    let world = World::new().await;
    lose_readings(&world);
    let (_, plan) = world.post("/plan", &specification()).await;
    assert!(
        plan["guards"]
            .to_string()
            .contains("memory above 95% for 5m"),
        "{plan}"
    );
    assert!(
        plan["warnings"]
            .to_string()
            .contains("no MemoryUtilization of production"),
        "{plan}"
    );
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn readings_that_stop_hold_until_they_come_back() {
    let world = World::new().await;
    let mut asked = specification();
    asked["plan"] =
        json!({"stages": [{"weight": 10, "bake": "20m"}, {"weight": 100}], "soak": "5m"});
    let id = world.deploy(&asked).await;
    world.until_phase(&id, Phase::Baking).await;
    world.minutes(5).await;
    let silent = Gap {
        namespace: INSTANCES.to_owned(),
        from: world.now(),
        to: world.now() + SignedDuration::from_mins(60),
        kind: GapKind::Missing,
    };
    world.simulator().cloudwatch().set_gap(silent);
    let held = |loaded: &Loaded| loaded.deployment.state.phase == Phase::Holding;
    let held = world.until(&id, 30, held).await;
    let reason = &held.deployment.state.reason;
    assert!(
        reason.contains("memory of the canary: no reading for 10 min"),
        "{reason}"
    );
    world.until_over(&id, Status::Completed).await;
}
