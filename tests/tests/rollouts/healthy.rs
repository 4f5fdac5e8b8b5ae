//! Rollouts that nothing speaks against.

use serde_json::json;
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use tests::{CONFIG, NEW, OLD, PRODUCTION, World, specification, specification_with};

#[tokio::test]
async fn a_healthy_canary_takes_over() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let done = world.until_over(&id, Status::Completed).await;
    let endpoint = world.endpoint().await;
    assert_eq!(
        endpoint.variants[0].current_instances, 2,
        "capacity for the whole traffic"
    );
    let configs = [
        CONFIG.to_owned(),
        done.deployment.terms.final_config.clone(),
    ];
    assert_eq!(world.simulator().sagemaker().endpoint_configs(), configs);
    assert_eq!(
        (
            done.deployment.terms.former_model.as_str(),
            done.deployment.terms.model.as_str()
        ),
        (OLD, NEW)
    );
    let completed = world.entry(&id, Name::Completed).await;
    assert!(
        completed
            .reason
            .contains(&done.deployment.terms.final_config),
        "the event names the config for those who keep it in a template"
    );
}

#[tokio::test]
async fn each_thing_is_told_once_when_nothing_fails() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
    let lines = world.history(&id).await.len();
    assert_eq!(
        (
            world.told_by_sns(&id).len(),
            world.told_by_events(&id).len()
        ),
        (lines, lines)
    );
}

#[tokio::test]
async fn the_linear_preset_has_ten_stages() {
    let world = World::new().await;
    let id = world
        .deploy(&specification_with(
            json!({"plan": {"preset": "linear", "soak": "10m"}}),
        ))
        .await;
    let done = world.until_over(&id, Status::Completed).await;
    let history = world.history(&id).await;
    let reached = history
        .iter()
        .filter(|entry| matches!(entry.event, Name::Shifted | Name::Soaking));
    let shares: Vec<u8> = reached
        .clone()
        .map(|entry| entry.weight.percent())
        .collect();
    assert_eq!(shares, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    let times: Vec<_> = reached.map(|entry| entry.at).collect();
    for pair in times.windows(2) {
        let minutes = pair[1].duration_since(pair[0]).as_mins();
        assert!(
            (10..=16).contains(&minutes),
            "a stage bakes for 10 minutes, then capacity and weights take a few: {minutes}"
        );
    }
    assert!(done.deployment.state.last_seq > 20);
}

/// Document 2 asks for less than two hours from the order to production, the end of the old model included.
#[tokio::test]
async fn the_quick_preset_is_over_within_two_hours() {
    let world = World::new().await;
    let id = world
        .deploy(&specification_with(json!({"plan": {"preset": "quick"}})))
        .await;
    let done = world.until_over(&id, Status::Completed).await;
    let terms = &done.deployment.terms;
    let shares: Vec<u8> = terms
        .plan
        .stages
        .iter()
        .map(|it| it.weight.percent())
        .collect();
    assert_eq!(shares, [5, 25, 100]);
    let completed = world.entry(&id, Name::Completed).await;
    let took = completed.at.duration_since(terms.created_at).as_mins();
    assert!((100..120).contains(&took), "it took {took} minutes");
}

#[tokio::test]
async fn the_canary_has_its_instances_before_its_traffic() {
    let world = World::with(tests::Setup {
        instances: 4,
        ..tests::Setup::default()
    })
    .await;
    let id = world.deploy(&specification()).await;
    let canary = world.load(&id).await.deployment.terms.canary;
    for _ in 0..40 {
        world.minute().await;
        let view = world.endpoint().await;
        let (Some(variant), Some(share)) = (view.variant(&canary), view.share(&canary)) else {
            continue;
        };
        let needed = (4.0 * share).ceil();
        assert!(
            f64::from(variant.current_instances) >= needed,
            "{} instances at a share of {share}",
            variant.current_instances
        );
        if let Some(production) = view.variant(PRODUCTION) {
            assert!(
                production.current_instances >= 4,
                "production can take everything back"
            );
        }
    }
    world.until_over(&id, Status::Completed).await;
    assert_eq!(world.endpoint().await.variants[0].current_instances, 4);
}

#[tokio::test]
async fn the_canary_is_born_without_traffic() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let canary = world.load(&id).await.deployment.terms.canary;
    world.pass(jiff::SignedDuration::from_mins(5)).await;
    let view = world.endpoint().await;
    assert!(
        view.is_in_service() && view.variant(&canary).is_some(),
        "the update is over, and no tick has come"
    );
    assert!(
        view.share(&canary).is_some_and(|share| share.abs() < 1e-9),
        "a dead control plane leaves no traffic on it"
    );
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn the_old_variant_can_be_kept() {
    let world = World::new().await;
    let id = world
        .deploy(&specification_with(
            json!({"cleanup": {"keep_old_variant": true}}),
        ))
        .await;
    let done = world.until_over(&id, Status::Completed).await;
    let view = world.endpoint().await;
    assert_eq!(view.config, done.deployment.terms.canary_config);
    assert!(view.variant(PRODUCTION).is_some() && view.variants.len() == 2);
    assert_eq!(world.count_calls("UpdateEndpoint"), 1, "no second fleet");
}

#[tokio::test]
async fn a_second_deployment_follows_the_first() {
    let world = World::new().await;
    let first = world.deploy(&specification()).await;
    for phase in [Phase::Provisioning, Phase::Baking, Phase::Soaking] {
        world.until_phase(&first, phase).await;
        let (status, answer) = world.post("/deploy", &specification()).await;
        assert_eq!(
            (status.as_u16(), answer["deployment_id"].as_str()),
            (409, Some(first.as_str())),
            "in {phase}: {answer}"
        );
    }
    let before = world
        .until_over(&first, Status::Completed)
        .await
        .deployment
        .terms;
    let second = world
        .deploy(&specification_with(json!({"model": OLD})))
        .await;
    let after = world
        .until_over(&second, Status::Completed)
        .await
        .deployment
        .terms;
    assert_eq!(
        (after.production, after.original_config, after.former_model),
        (before.canary, before.final_config, NEW.to_owned())
    );
}

#[tokio::test]
async fn a_finished_rollout_needs_nothing_more() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let done = world.until_over(&id, Status::Completed).await;
    let changes = |world: &World| {
        [
            "UpdateEndpoint",
            "UpdateEndpointWeightsAndCapacities",
            "CreateEndpointConfig",
            "DeleteEndpointConfig",
        ]
        .map(|operation| world.count_calls(operation))
    };
    let before = changes(&world);
    world.minutes(10).await;
    assert_eq!(changes(&world), before);
    assert_eq!(world.load(&id).await, done);
    assert_eq!(done.deployment.state.phase, Phase::Ended);
}
