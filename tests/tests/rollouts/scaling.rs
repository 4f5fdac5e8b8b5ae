//! Autoscaling beside a rollout: production keeps what the whole traffic needs, and whatever
//! scaled before scales afterwards.

mod removed;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::ports::{Class, Loaded, Scaling};
use shared::domain::history::Name;
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
        tags: BTreeMap::new(),
    };
    world
        .stack
        .aws
        .register(ENDPOINT, PRODUCTION, &target)
        .await
        .expect("a variant to scale");
    world
}

/// What somebody else asks of production's scaling.
fn by_hand(world: &World, operation: &str, more: Value) {
    by_hand_at(world, PRODUCTION, operation, more);
}

fn by_hand_at(world: &World, variant: &str, operation: &str, more: Value) {
    let mut input = json!({
        "ServiceNamespace": "sagemaker",
        "ResourceId": format!("endpoint/{ENDPOINT}/variant/{variant}"),
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    });
    if let (Some(members), Value::Object(more)) = (input.as_object_mut(), more) {
        members.extend(more);
    }
    let answer = world
        .simulator()
        .call(service::AUTOSCALING, operation, &input);
    answer.expect("the target is there");
}

/// A higher ceiling, and a policy beside the first.
fn change_by_hand(world: &World) {
    by_hand(world, "RegisterScalableTarget", json!({"MaxCapacity": 30}));
    let second = json!({
        "PolicyName": "cpu",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 70.0,
            "CustomizedMetricSpecification": {
                "Namespace": "/aws/sagemaker/Endpoints", "MetricName": "CPUUtilization",
                "Dimensions": [
                    {"Name": "EndpointName", "Value": ENDPOINT},
                    {"Name": "VariantName", "Value": PRODUCTION},
                ],
                "Statistic": "Average",
            },
        },
    });
    by_hand(world, "PutScalingPolicy", second);
}

fn schedule(world: &World, operation: &str) {
    let action = json!({
        "ScheduledActionName": "nightly", "Schedule": "cron(0 22 * * ? *)",
        "ScalableTargetAction": {"MinCapacity": 1, "MaxCapacity": 2},
    });
    by_hand(world, operation, action);
}

fn is_scheduled(world: &World) -> bool {
    let input = json!({"ServiceNamespace": "sagemaker"});
    let told = world
        .simulator()
        .call(service::AUTOSCALING, "DescribeScheduledActions", &input);
    !told.expect("schedules")["ScheduledActions"]
        .as_array()
        .is_none_or(Vec::is_empty)
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

/// A metric of the team's own names its variant; the canary's names the canary. A stage that is called
/// as the variant is stays one. What is suspended stays suspended.
#[tokio::test]
async fn a_metric_of_its_own_follows_the_variant() {
    let world = World::new().await;
    let policy = json!({
        "name": "cpu", "target_value": 60.0,
        "customized": {
            "namespace": "/aws/sagemaker/Endpoints", "metric": "CPUUtilization",
            "dimensions": [
                ["EndpointName", ENDPOINT], ["VariantName", "{variant}"], ["Stage", PRODUCTION],
            ],
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
        tags: BTreeMap::new(),
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
    world.pass(SignedDuration::from_mins(30)).await;
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
    world.pass(SignedDuration::from_mins(10)).await;
    let id = world.deploy(&specification()).await;
    let needed = world.until_phase(&id, Phase::Finalizing).await;
    let needed = needed.deployment.state.production_instances;
    world.pass(SignedDuration::from_mins(5)).await;
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

/// Tags say whose a target is and who pays for it; they go with it.
#[tokio::test]
async fn a_targets_tags_go_on_to_the_new_variant() {
    let world = World::new().await;
    let target = ScalableTarget {
        min: 1,
        max: 10,
        policies: Vec::new(),
        suspended: Suspension::default(),
        tags: BTreeMap::from([("team".to_owned(), "wine".to_owned())]),
    };
    let aws = &world.stack.aws;
    let registered = aws.register(ENDPOINT, PRODUCTION, &target).await;
    registered.expect("a variant to scale");
    let found = aws.target(ENDPOINT, PRODUCTION).await.expect("it is read");
    assert_eq!(found.as_ref(), Some(&target));
    let id = world.deploy(&specification()).await;
    let canary = world.until_over(&id, Status::Completed).await;
    let canary = canary.deployment.terms.canary;
    let heir = aws.target(ENDPOINT, &canary).await.expect("it is read");
    assert_eq!(heir.map(|heir| heir.tags), Some(target.tags));
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

/// A rollout lasts for days. What its owner changed at production's scaling meanwhile goes on to the
/// new model; the floor alone is the one that was found.
#[tokio::test]
async fn scaling_that_was_changed_during_a_rollout_goes_on_to_the_new_model() {
    for cleanup in [json!({"after": "5m"}), json!({"keep_old_variant": true})] {
        let world = scaling(600.0).await;
        let asked = specification_with(json!({"cleanup": cleanup}));
        let id = world.deploy(&asked).await;
        let soaking = world.until_phase(&id, Phase::Soaking).await;
        let canary = soaking.deployment.terms.canary;
        change_by_hand(&world);
        world.until_over(&id, Status::Completed).await;
        assert_eq!(bounds(&world, &canary), Some((1, 30)), "{cleanup}");
        let policies = world.simulator().autoscaling().policies(ENDPOINT, &canary);
        assert_eq!(policies, ["cpu", POLICY], "{cleanup}");
        let old = bounds(&world, PRODUCTION);
        assert!(matches!(old, None | Some((1, 30))), "{cleanup}: {old:?}");
    }
}

#[tokio::test]
async fn a_rollback_puts_back_the_floor_and_nothing_that_others_changed() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    assert_eq!(bounds(&world, PRODUCTION), Some((2, 10)));
    change_by_hand(&world);
    schedule(&world, "PutScheduledAction");
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
    assert_eq!(bounds(&world, PRODUCTION), Some((1, 30)));
    let autoscaling = world.simulator().autoscaling();
    assert_eq!(autoscaling.policies(ENDPOINT, PRODUCTION), ["cpu", POLICY]);
    assert!(
        is_scheduled(&world),
        "a rollback waits for nobody's schedule"
    );
}

/// Neither is brought back against its owner's word, nor does a rollback wait for what is refused:
/// a target that was removed, a ceiling below the floor that was found, a floor above the rollout's.
#[tokio::test]
async fn a_rollback_leaves_production_the_bounds_that_others_gave_it() {
    let changes = [
        ("DeregisterScalableTarget", json!({}), None),
        (
            "RegisterScalableTarget",
            json!({"MinCapacity": 1, "MaxCapacity": 1}),
            Some((1, 1)),
        ),
        (
            "RegisterScalableTarget",
            json!({"MinCapacity": 6}),
            Some((6, 10)),
        ),
    ];
    for (operation, change, left) in changes {
        let world = scaling(600.0).await;
        by_hand(&world, "RegisterScalableTarget", json!({"MinCapacity": 2}));
        let id = world.deploy(&specification()).await;
        world.until_phase(&id, Phase::Baking).await;
        by_hand(&world, operation, change.clone());
        world.order(&id, "rollback").await;
        world.until_over(&id, Status::RolledBack).await;
        assert_eq!(bounds(&world, PRODUCTION), left, "{operation} {change}");
    }
}

/// The update that removes the old variant would delete the schedule, and nothing here could put it
/// back: it waits, with all traffic on the new model, until its owner has decided.
#[tokio::test]
async fn a_schedule_that_appears_during_a_rollout_holds_the_last_update() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    let soaking = world.until_phase(&id, Phase::Soaking).await;
    let canary = soaking.deployment.terms.canary;
    schedule(&world, "PutScheduledAction");
    world.until_phase(&id, Phase::Finalizing).await;
    world.minutes(35).await;
    let held = world.load(&id).await.deployment;
    assert_eq!(held.state.phase, Phase::Finalizing);
    assert!(is_scheduled(&world));
    assert!(world.endpoint().await.variant(PRODUCTION).is_some());
    let told = world.entry(&id, Name::Stalled).await;
    assert!(told.reason.contains("scheduled"), "{}", told.reason);
    schedule(&world, "DeleteScheduledAction");
    let over = |loaded: &Loaded| loaded.deployment.state.status == Status::Completed;
    world.until(&id, 60, over).await;
    assert_eq!(bounds(&world, &canary), Some((1, 10)));
}

/// Whoever decides against the new model while its last update waits is not kept waiting.
#[tokio::test]
async fn a_schedule_that_appears_during_a_rollout_holds_no_rollback() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Soaking).await;
    schedule(&world, "PutScheduledAction");
    world.until_phase(&id, Phase::Finalizing).await;
    world.minutes(5).await;
    world.order(&id, "rollback").await;
    let over = |loaded: &Loaded| loaded.deployment.state.status == Status::RolledBack;
    world.until(&id, 60, over).await;
    assert_eq!(bounds(&world, PRODUCTION), Some((1, 10)));
    assert!(is_scheduled(&world));
}

/// Whether the registration went through is in no record; a variant that is registered can't be
/// removed by whoever repairs the endpoint.
#[tokio::test]
async fn a_target_whose_registration_was_in_doubt_is_removed_after_a_failure() {
    let world = scaling(600.0).await;
    let id = world.deploy(&specification()).await;
    let scaling = world
        .until(&id, 60, |loaded| {
            loaded.deployment.state.floor.is_some() && !loaded.deployment.is_leased(world.now())
        })
        .await;
    let canary = scaling.deployment.terms.canary;
    world.disturb(
        service::AUTOSCALING,
        "PutScalingPolicy",
        1,
        FaultKind::LoseAnswer,
    );
    world.minute().await;
    let doubt = world.load(&id).await.deployment.state;
    assert_eq!((doubt.weight.percent(), doubt.canary_floor), (0, 0));
    assert!(bounds(&world, &canary).is_some(), "it was registered");
    world
        .simulator()
        .sagemaker()
        .set_status(ENDPOINT, "Failed", jiff::Timestamp::MAX);
    world.until_over(&id, Status::Failed).await;
    assert_eq!(bounds(&world, &canary), None);
}

/// Ten instances are what the team allows, and the canary gets no more: nothing is lifted during the
/// rollout, and nothing is cut when it is over.
#[tokio::test]
async fn the_canary_keeps_to_the_ceiling_of_productions_scaling() {
    let world = scaling(110.0).await;
    world.pass(SignedDuration::from_mins(30)).await;
    let has = world.endpoint().await.variants[0].current_instances;
    assert_eq!(has, 10, "1000 requests, 110 for each instance");
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    // One point up in traffic is no share of what is not there.
    let soaking = world.until_phase(&id, Phase::Soaking).await;
    let canary = soaking.deployment.terms.canary;
    assert_eq!(bounds(&world, &canary), Some((10, 10)));
    world.until_over(&id, Status::Completed).await;
    let view = world.endpoint().await;
    let has = view.variant(&canary).map(|it| it.current_instances);
    assert_eq!((has, bounds(&world, &canary)), (Some(10), Some((1, 10))));
}
