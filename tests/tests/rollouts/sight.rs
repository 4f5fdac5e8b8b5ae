//! Blind is not quiet: what happens when the canary, or all of CloudWatch, can't be seen, and when
//! there is little to see.

use jiff::SignedDuration;
use shared::domain::history::{Name, Severity};
use shared::domain::state::{Phase, Status};
use simulator::cloudwatch::{Gap, GapKind};
use simulator::{Backend, Distribution};
use tests::{ENDPOINT, NEW, Setup, World, specification, specification_with};

const NAMESPACE: &str = "AWS/SageMaker";

fn gap(world: &World, minutes: i64, kind: GapKind) {
    let from = world.now();
    world.simulator().cloudwatch().set_gap(Gap {
        namespace: NAMESPACE.to_owned(),
        from,
        to: from + SignedDuration::from_mins(minutes),
        kind,
    });
}

#[tokio::test]
async fn a_canary_without_points_is_held_then_rolled_back() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    // Bulk traffic reaches no real server: the canary's share of it goes unseen.
    world.simulator().set_backend(
        NEW,
        Backend::Http {
            url: "http://127.0.0.1:9".to_owned(),
        },
    );
    let blind = world
        .until(&id, 20, |loaded| loaded.evidence.blind.is_some())
        .await;
    assert!(
        !blind
            .evidence
            .blind
            .as_ref()
            .is_some_and(|blind| blind.production_too)
    );
    world.minutes(8).await;
    let state = world.load(&id).await.deployment.state;
    assert_eq!(
        (state.status, state.weight.percent()),
        (Status::InProgress, 10),
        "held, and not yet rolled back"
    );
    let (status, answer) = world
        .post(
            &format!("/deployments/{id}/promote"),
            &serde_json::json!({}),
        )
        .await;
    assert_eq!(
        (status.as_u16(), answer["type"].as_str()),
        (409, Some("urn:sagemaker-canary:problem:metrics-blind"))
    );
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    assert!(
        entry.reason.contains("could not be seen for 10m"),
        "{}",
        entry.reason
    );
    assert_eq!(
        world.entry(&id, Name::Blind).await.severity,
        Severity::Warning
    );
}

#[tokio::test]
async fn a_canary_seen_again_goes_on() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.simulator().set_backend(
        NEW,
        Backend::Http {
            url: "http://127.0.0.1:9".to_owned(),
        },
    );
    world
        .until(&id, 20, |loaded| loaded.evidence.blind.is_some())
        .await;
    world
        .simulator()
        .set_backend(NEW, Backend::Distribution(Distribution::default()));
    world.until_over(&id, Status::Completed).await;
    assert_eq!(
        world.entry(&id, Name::Sighted).await.severity,
        Severity::Info
    );
}

#[tokio::test]
async fn an_outage_of_cloudwatch_rolls_nothing_back() {
    for kind in [GapKind::InternalError, GapKind::Partial] {
        let world = World::new().await;
        world.add_endpoint("fraud").await;
        let first = world.deploy(&specification()).await;
        let second = world
            .deploy(&specification_with(
                serde_json::json!({"endpoint": "fraud"}),
            ))
            .await;
        world.until_phase(&first, Phase::Baking).await;
        world.until_phase(&second, Phase::Baking).await;
        gap(&world, 30, kind);
        world.minutes(28).await;
        for id in [&first, &second] {
            let loaded = world.load(id).await;
            assert_eq!(
                (
                    loaded.deployment.state.status,
                    loaded.deployment.state.phase
                ),
                (Status::InProgress, Phase::Holding),
                "{kind:?}"
            );
            assert!(
                loaded
                    .evidence
                    .blind
                    .is_some_and(|blind| blind.production_too)
            );
            assert_eq!(
                world.entry(id, Name::Blind).await.severity,
                Severity::Critical
            );
        }
        world.until_over(&first, Status::Completed).await;
        world
            .until(&second, 100, |loaded| {
                loaded.deployment.state.status.is_terminal()
            })
            .await;
        world.assert_over(&second).await;
        assert_eq!(
            world.load(&second).await.deployment.state.status,
            Status::Completed
        );
    }
}

#[tokio::test]
async fn a_hole_in_all_metrics_is_neither_health_nor_harm() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let stage = world
        .until_phase(&id, Phase::Baking)
        .await
        .deployment
        .state
        .stage_since;
    gap(&world, 30, GapKind::Missing);
    world.minutes(25).await;
    let loaded = world.load(&id).await;
    assert_eq!(
        (
            loaded.deployment.state.phase,
            loaded.deployment.state.stage_since
        ),
        (Phase::Holding, stage)
    );
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn minutes_missed_by_late_ticks_are_all_judged_once() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.order(&id, "pause").await;
    let before = world.load(&id).await.evidence;
    world.pass(SignedDuration::from_mins(95)).await;
    world.minutes(5).await;
    let after = world.load(&id).await.evidence;
    let minutes = after
        .judged_through
        .duration_since(before.judged_through)
        .as_mins();
    assert_eq!(minutes, 100, "every minute up to t-2");
    let taken = after.canary.invocations - before.canary.invocations;
    assert!(
        (9_500..10_500).contains(&taken),
        "about 100 requests a minute, each once: {taken}"
    );
    world.order(&id, "resume").await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn little_traffic_holds_and_says_for_how_many_requests() {
    let world = World::with(Setup {
        requests_per_minute: 20.0,
        ..Setup::default()
    })
    .await;
    let id = world.deploy(&specification()).await;
    let held = world.until_phase(&id, Phase::Holding).await;
    let reason = &held.deployment.state.reason;
    assert!(
        reason.contains("needs about")
            && reason.contains("more canary requests")
            && reason.contains("at today's rate"),
        "{reason}"
    );
    let (_, shown) = world.get(&format!("/deployments/{id}")).await;
    assert_eq!(shown["reason"].as_str(), Some(reason.as_str()));
    world.until_over(&id, Status::Completed).await;
    let entry = world.entry(&id, Name::Held).await;
    assert!(
        entry.value.contains("canary requests in this stage") && entry.limit.contains("100"),
        "{} / {}",
        entry.value,
        entry.limit
    );
}

#[tokio::test]
async fn an_endpoint_that_cant_be_read_is_held_not_rolled_back() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.unread_endpoint(15).await;
    let held = world.entry(&id, Name::Held).await;
    let kind = "the endpoint could not be read: DescribeEndpoint: AccessDeniedException";
    assert!(
        held.reason.ends_with(kind),
        "its kind, and not what AWS said: {}",
        held.reason
    );
    let state = world.load(&id).await.deployment.state;
    assert_eq!(
        (state.status, state.weight.percent()),
        (Status::InProgress, 10),
        "{ENDPOINT}: {}",
        state.reason
    );
    world.until_over(&id, Status::Completed).await;
}
