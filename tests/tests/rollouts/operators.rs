//! Operators who move a rollout along by hand: promote, weight, approve.

use http::StatusCode;
use serde_json::json;
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use simulator::{Backend, Distribution};
use tests::{NEW, World, bakes_at, specification, specification_with};

#[tokio::test]
async fn a_promote_skips_the_rest_of_the_bake() {
    let world = World::new().await;
    let plan = json!({"stages": [{"weight": 10, "bake": "2d"}, {"weight": 50, "bake": "5m"}, {"weight": 100}], "soak": "5m"});
    let id = world
        .deploy(&specification_with(json!({"plan": plan})))
        .await;
    world.until_phase(&id, Phase::Baking).await;
    world.order(&id, "promote").await;
    let state = world.load(&id).await.deployment.state;
    assert_eq!((state.phase, state.target.percent()), (Phase::Scaling, 50));
    world.until_over(&id, Status::Completed).await;
    assert_eq!(
        world.entry(&id, Name::Promoted).await.by.as_deref(),
        Some("local")
    );
}

#[tokio::test]
async fn a_full_promote_goes_straight_to_100_with_its_capacity() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let canary = world
        .until_phase(&id, Phase::Baking)
        .await
        .deployment
        .terms
        .canary;
    world.order(&id, "promote?full=true").await;
    world.until_phase(&id, Phase::Soaking).await;
    assert!((world.share(&canary).await - 100.0).abs() < 0.01);
    let shares: Vec<u8> = world
        .history(&id)
        .await
        .iter()
        .filter(|entry| entry.event == Name::Shifted)
        .map(|entry| entry.weight.percent())
        .collect();
    assert_eq!(shares, [10], "50 % was left out");
    assert_eq!(
        world
            .endpoint()
            .await
            .variant(&canary)
            .map(|canary| canary.current_instances),
        Some(2)
    );
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_promote_ends_the_soak() {
    let world = World::new().await;
    let plan = json!({"stages": [{"weight": 50, "bake": "5m"}, {"weight": 100}], "soak": "7d"});
    let id = world
        .deploy(&specification_with(json!({"plan": plan})))
        .await;
    world.until_phase(&id, Phase::Soaking).await;
    world.order(&id, "promote").await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn no_promote_goes_past_a_red_guard() {
    let world = World::new().await;
    let id = world
        .deploy(&specification_with(
            json!({"policy": {"min_samples": 100, "error_rate": {"limit": "1%", "checks": 50}}}),
        ))
        .await;
    world.until_phase(&id, Phase::Baking).await;
    world.simulator().set_backend(
        NEW,
        Backend::Distribution(Distribution {
            error_rate: 0.2,
            ..Distribution::default()
        }),
    );
    world
        .until(&id, 20, |loaded| {
            loaded
                .evidence
                .red_guard(&loaded.deployment.terms.policy)
                .is_some()
        })
        .await;
    for command in ["promote", "promote?full=true"] {
        let (status, answer) = world
            .post(&format!("/deployments/{id}/{command}"), &json!({}))
            .await;
        assert_eq!(
            (status, answer["type"].as_str()),
            (
                StatusCode::CONFLICT,
                Some("urn:sagemaker-canary:problem:red-guard")
            )
        );
    }
    let (status, answer) = world.put_weight(&id, 80).await;
    assert_eq!(
        (status, answer["type"].as_str()),
        (
            StatusCode::CONFLICT,
            Some("urn:sagemaker-canary:problem:red-guard")
        )
    );
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
}

#[tokio::test]
async fn a_weight_by_hand_goes_up_and_down_and_the_plan_goes_on() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let canary = world
        .until_phase(&id, Phase::Baking)
        .await
        .deployment
        .terms
        .canary;
    for (percent, event) in [(30, Name::Promoted), (5, Name::Retreating)] {
        let (status, answer) = world.put_weight(&id, percent).await;
        assert_eq!(
            (status, answer["target_weight"].as_u64()),
            (StatusCode::ACCEPTED, Some(percent.into()))
        );
        world.stack.simulator.run_functions().await;
        world.until(&id, 20, bakes_at(percent)).await;
        assert!((world.share(&canary).await - f64::from(percent)).abs() < 0.01);
        assert_eq!(world.entry(&id, event).await.by.as_deref(), Some("local"));
    }
    let (status, answer) = world.put_weight(&id, 5).await;
    assert_eq!(
        (status, answer["type"].as_str()),
        (
            StatusCode::CONFLICT,
            Some("urn:sagemaker-canary:problem:same-weight")
        )
    );
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_stage_waits_for_its_approval_with_the_clock_stopped() {
    let world = World::new().await;
    let plan = json!({"stages": [{"weight": 10, "bake": "5m", "approval": true}, {"weight": 50, "bake": "5m"}, {"weight": 100}], "soak": "5m"});
    let id = world
        .deploy(&specification_with(json!({"plan": plan})))
        .await;
    world.until_phase(&id, Phase::Baking).await;
    let (status, _) = world
        .post(&format!("/deployments/{id}/approve"), &json!({}))
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "nothing is asked for yet");
    let (status, answer) = world
        .post(&format!("/deployments/{id}/promote?full=true"), &json!({}))
        .await;
    assert_eq!(
        (status, answer["type"].as_str()),
        (
            StatusCode::CONFLICT,
            Some("urn:sagemaker-canary:problem:approval-needed")
        )
    );
    world.until_phase(&id, Phase::AwaitingApproval).await;
    let used = world
        .load(&id)
        .await
        .deployment
        .state
        .clock
        .used_at(world.now());
    world.minutes(30).await;
    let state = world.load(&id).await.deployment.state;
    assert_eq!(
        (state.phase, state.clock.used_at(world.now())),
        (Phase::AwaitingApproval, used)
    );
    world.order(&id, "approve").await;
    world.until_over(&id, Status::Completed).await;
    assert_eq!(
        world.entry(&id, Name::Approved).await.by.as_deref(),
        Some("local")
    );
}

#[tokio::test]
async fn raises_wait_for_the_change_window() {
    // The world begins on a Monday at 08:10 UTC, 09:10 in Berlin.
    let world = World::new().await;
    let mut wanted = specification();
    wanted["plan"]["change_windows"] = json!(["Mon-Thu 10:00-17:00 Europe/Berlin"]);
    let id = world.deploy(&wanted).await;
    world.minutes(30).await;
    let waiting = world.load(&id).await.deployment.state;
    assert_eq!(
        (
            waiting.phase,
            waiting.weight.percent(),
            waiting.clock.used_at(world.now()).secs()
        ),
        (Phase::Scaling, 0, 0)
    );
    world.until_over(&id, Status::Completed).await;
    let raised = world
        .history(&id)
        .await
        .into_iter()
        .find(|entry| entry.event == Name::Shifting)
        .expect("a raise");
    assert!(
        raised.at.to_string().as_str() >= "2026-03-02T09:00:00Z",
        "{}",
        raised.at
    );
}
