//! Autoscaling beside a rollout: production keeps what the whole traffic needs, and whatever
//! scaled before scales afterwards.

use serde_json::json;
use shared::app::ports::{Class, Scaling};
use shared::domain::scaling::{ScalableTarget, Suspension};
use shared::domain::state::{Phase, Status};
use simulator::{Fault, FaultKind, service};
use tests::{ENDPOINT, PRODUCTION, World, specification, specification_with};

const POLICY: &str = "requests-per-instance";

/// A world whose production scales between 1 and 10 instances with this many requests each.
async fn scaling(requests_per_instance: f64) -> World {
    let world = World::new().await;
    let policy = json!({"name": POLICY, "target_value": requests_per_instance, "metric": "SageMakerVariantInvocationsPerInstance", "scale_in_cooldown": 60, "scale_out_cooldown": 60});
    let target = ScalableTarget {
        min: 1,
        max: 10,
        policies: vec![policy.to_string()],
        suspended: Suspension::default(),
    };
    world
        .stack
        .aws
        .register(ENDPOINT, PRODUCTION, &target)
        .await
        .expect("a variant to scale");
    world
}

fn bounds(world: &World, variant: &str) -> Option<(i64, i64)> {
    world.simulator().autoscaling().bounds(ENDPOINT, variant)
}

#[tokio::test]
async fn productions_floor_is_held_until_it_is_needed_no_more() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    assert_eq!(bounds(&world, PRODUCTION), Some((2, 10)));
    let canary = world
        .until_phase(&id, Phase::Soaking)
        .await
        .deployment
        .terms
        .canary;
    world.order(&id, "pause").await;
    world.minutes(40).await;
    let view = world.endpoint().await;
    assert_eq!(
        view.variant(PRODUCTION)
            .map(|production| production.current_instances),
        Some(2),
        "40 minutes without traffic shrink nothing"
    );
    world.order(&id, "resume").await;
    world.until_over(&id, Status::Completed).await;
    assert_eq!(
        (bounds(&world, &canary), bounds(&world, PRODUCTION)),
        (Some((1, 10)), None),
        "the new model scales as the old one did"
    );
    assert_eq!(
        world.simulator().autoscaling().policies(ENDPOINT, &canary),
        [POLICY]
    );
}

/// On a rollout from its first share to all of the traffic the canary has a target of its own, with
/// production's policies and ceiling; its floor is what the share needs.
#[tokio::test]
async fn the_canary_scales_as_production_does() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    let baking = world.until_phase(&id, Phase::Baking).await;
    let canary = baking.deployment.terms.canary;
    assert_eq!(bounds(&world, &canary), Some((1, 10)));
    assert_eq!(
        world.simulator().autoscaling().policies(ENDPOINT, &canary),
        [POLICY]
    );
    world.until_phase(&id, Phase::Soaking).await;
    assert_eq!(bounds(&world, &canary), Some((2, 10)));
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
    assert_eq!(
        (bounds(&world, &canary), bounds(&world, PRODUCTION)),
        (None, Some((1, 10))),
        "a variant that is registered can't be removed"
    );
}

/// Three times the traffic at 100 %: the canary grows by itself, and production's floor with it, so
/// that a rollback still has where to go.
#[tokio::test]
async fn productions_floor_follows_a_canary_that_grows() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    let soaking = world.until_phase(&id, Phase::Soaking).await;
    let canary = soaking.deployment.terms.canary;
    world.order(&id, "pause").await;
    world.simulator().set_traffic(ENDPOINT, 3000.0);
    world.minutes(12).await;
    let view = world.endpoint().await;
    let has = |name: &str| view.variant(name).map(|it| it.current_instances);
    assert_eq!(
        has(&canary),
        Some(5),
        "3000 requests, 600 for each instance"
    );
    assert_eq!(bounds(&world, PRODUCTION), Some((5, 10)));
    assert_eq!(has(PRODUCTION), Some(5));
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
    assert_eq!(bounds(&world, PRODUCTION), Some((1, 10)));
}

#[tokio::test]
async fn a_canary_scales_as_the_specification_says() {
    let world = World::new().await;
    let asked = json!({"canary": {"autoscaling": {"max": 4}}});
    let id = world.deploy(&specification_with(asked)).await;
    let baking = world.until_phase(&id, Phase::Baking).await;
    let canary = baking.deployment.terms.canary;
    assert_eq!(
        (bounds(&world, &canary), bounds(&world, PRODUCTION)),
        (Some((1, 4)), None),
        "production never scaled and does not now"
    );
    world.until_over(&id, Status::Completed).await;
    assert_eq!(bounds(&world, &canary), Some((1, 4)));
    let aws = &world.stack.aws;
    let target = aws.target(ENDPOINT, &canary).await.expect("it is read");
    let policy = &target.expect("it scales").policies[0];
    let policy: serde_json::Value = serde_json::from_str(policy).expect("JSON");
    assert_eq!(
        (
            &policy["target_value"],
            &policy["scale_in_cooldown"],
            &policy["scale_out_cooldown"]
        ),
        (&json!(1000.0), &json!(300), &json!(60))
    );
}

/// A metric of the team's own names its variant; the canary's names the canary. What is suspended
/// stays suspended.
#[tokio::test]
async fn a_metric_of_its_own_follows_the_variant() {
    let world = World::new().await;
    let policy = json!({
        "name": "cpu", "target_value": 60.0,
        "customized": {
            "namespace": "/aws/sagemaker/Endpoints", "metric": "CPUUtilization",
            "dimensions": [["EndpointName", ENDPOINT], ["VariantName", "{variant}"]],
            "statistic": "Average", "unit": "Percent",
        },
    });
    let suspended = Suspension {
        scale_in: true,
        ..Suspension::default()
    };
    let target = ScalableTarget {
        min: 2,
        max: 6,
        policies: vec![policy.to_string()],
        suspended,
    };
    let aws = &world.stack.aws;
    let registered = aws.register(ENDPOINT, PRODUCTION, &target).await;
    registered.expect("a variant to scale");
    let found = aws.target(ENDPOINT, PRODUCTION).await.expect("it is read");
    let found = found.expect("it scales");
    let kept: serde_json::Value = serde_json::from_str(&found.policies[0]).expect("JSON");
    assert_eq!(kept["customized"], policy["customized"]);
    let id = world.deploy(&specification()).await;
    let canary = world.until_over(&id, Status::Completed).await;
    let canary = canary.deployment.terms.canary;
    let heir = aws.target(ENDPOINT, &canary).await.expect("it is read");
    assert_eq!(
        heir.expect("it scales"),
        found,
        "but for the variant's name"
    );
    let told = world.simulator().call(
        simulator::service::AUTOSCALING,
        "DescribeScalingPolicies",
        &json!({"ServiceNamespace": "sagemaker"}),
    );
    let told = told.expect("policies");
    let metric = &told["ScalingPolicies"][0]["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"];
    assert_eq!(
        metric["Dimensions"][1],
        json!({"Name": "VariantName", "Value": canary})
    );
}

#[tokio::test]
async fn a_rollback_puts_the_floor_back() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    world
        .until(&id, 60, |loaded| {
            loaded.deployment.state.weight.percent() == 50
        })
        .await;
    assert_eq!(bounds(&world, PRODUCTION), Some((2, 10)));
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
    assert_eq!(bounds(&world, PRODUCTION), Some((1, 10)));
    assert_eq!(
        world
            .simulator()
            .autoscaling()
            .policies(ENDPOINT, PRODUCTION),
        [POLICY]
    );
}

#[tokio::test]
async fn what_autoscaling_had_grown_stays_grown() {
    let world = scaling(250.0).await;
    world.pass(jiff::SignedDuration::from_mins(30)).await;
    let grown = world.endpoint().await.variants[0].current_instances;
    assert!(grown >= 4, "autoscaling has grown production: {grown}");
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Scaling).await;
    let production = world
        .endpoint()
        .await
        .variant(PRODUCTION)
        .map(|production| production.current_instances);
    assert_eq!(
        production,
        Some(grown),
        "the new fleet has the live count, not the config's"
    );
    assert_eq!(
        world.load(&id).await.deployment.state.production_instances,
        grown
    );
    world.until_over(&id, Status::Completed).await;
    assert!(
        world.endpoint().await.variants[0].current_instances >= grown,
        "and so has the new model"
    );
}

#[tokio::test]
async fn a_final_update_that_comes_back_puts_the_scaling_back() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Soaking).await;
    world
        .simulator()
        .sagemaker()
        .fail_next_update(ENDPOINT, "an internal failure");
    world.until_over(&id, Status::Failed).await;
    assert_eq!(bounds(&world, PRODUCTION), Some((1, 10)));
    assert_eq!(
        world
            .simulator()
            .autoscaling()
            .policies(ENDPOINT, PRODUCTION),
        [POLICY]
    );
}

#[tokio::test]
async fn a_rollback_after_the_old_variant_has_gone_puts_the_scaling_back() {
    let world = scaling(300.0).await;
    // Made with 2, grown to 4 by the traffic.
    world.pass(jiff::SignedDuration::from_mins(10)).await;
    let id = world.deploy(&specification()).await;
    let needed = world.until_phase(&id, Phase::Finalizing).await;
    let needed = needed.deployment.state.production_instances;
    world.pass(jiff::SignedDuration::from_mins(5)).await;
    world.order(&id, "rollback").await;
    let back = world
        .until(&id, 60, |loaded| {
            loaded.deployment.state.phase == Phase::CleaningUp
        })
        .await;
    let view = world.endpoint().await;
    assert_eq!(view.config, back.deployment.terms.former_config());
    assert!(
        view.variants[0].current_instances >= needed && needed > 2,
        "production comes back with the instances of the day, not with those it was born with"
    );
    world.until_over(&id, Status::RolledBack).await;
    assert_eq!(bounds(&world, PRODUCTION), Some((1, 10)));
    assert_eq!(
        world
            .simulator()
            .autoscaling()
            .policies(ENDPOINT, PRODUCTION),
        [POLICY]
    );
}

/// Application Auto Scaling is eventually consistent. Taken for good, the refusal would leave the
/// variant without its policy after a deployment that failed.
#[tokio::test]
async fn a_target_that_is_not_known_yet_takes_its_policy_later() {
    let world = scaling(600.0).await;
    let aws = &world.stack.aws;
    let target = aws.target(ENDPOINT, PRODUCTION).await.expect("readable");
    let target = target.expect("it was registered");
    aws.deregister(ENDPOINT, PRODUCTION).await.expect("gone");
    world.simulator().inject(Fault {
        service: service::AUTOSCALING.to_owned(),
        operation: Some("PutScalingPolicy".to_owned()),
        skip: 0,
        times: 1,
        kind: FaultKind::Error {
            status: 400,
            code: "ObjectNotFoundException".to_owned(),
            message: "No scalable target registered".to_owned(),
        },
    });
    let early = aws.register(ENDPOINT, PRODUCTION, &target).await;
    assert_eq!(early.expect_err("too early").class, Class::Retryable);
    aws.register(ENDPOINT, PRODUCTION, &target)
        .await
        .expect("known by now");
    let policies = world
        .simulator()
        .autoscaling()
        .policies(ENDPOINT, PRODUCTION);
    assert_eq!(policies, [POLICY]);
}
