//! What would go wrong only at the end of a rollout is refused in the beginning.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::ports::Scaling as _;
use shared::domain::scaling::{ScalableTarget, Suspension};
use simulator::service;
use tests::{CONFIG, ENDPOINT, OLD, PRODUCTION, Setup, World, specification, specification_with};

use super::refusals::refused;

fn sagemaker(world: &World, operation: &str, input: &Value) -> Value {
    let answer = world.simulator().call(service::SAGEMAKER, operation, input);
    answer.expect("the simulator takes it")
}

/// What the refusal says, once it is held against the rest.
async fn detail(world: &World, specification: &Value, kind: &str, field: &str) -> String {
    refused(
        world,
        specification.to_string().as_bytes(),
        422,
        kind,
        Some(field),
    )
    .await;
    let (_, problem) = world.post("/plan", specification).await;
    problem["detail"].as_str().unwrap_or_default().to_owned()
}

fn canary(canary: &Value) -> Value {
    specification_with(json!({"canary": canary}))
}

/// Production scales, up to four instances.
async fn scale_production(world: &World) {
    let target = ScalableTarget {
        min: 1,
        max: 4,
        policies: Vec::new(),
        suspended: Suspension::default(),
        tags: BTreeMap::new(),
    };
    let registered = world.stack.aws.register(ENDPOINT, PRODUCTION, &target);
    registered.await.expect("a variant to scale");
}

#[tokio::test]
async fn a_ceiling_below_productions_fleet_is_refused() {
    let world = World::with(Setup {
        instances: 12,
        ..Setup::default()
    })
    .await;
    let field = "canary.autoscaling.max";
    for (asked, needs) in [
        (json!({"autoscaling": {}}), "12"),
        (json!({"autoscaling": {"max": 11}}), "12"),
        (json!({"autoscaling": {}, "instances": 11}), "11"),
    ] {
        let said = detail(&world, &canary(&asked), "scaling-ceiling", field).await;
        assert!(said.contains(&format!("set max to {needs}")), "{said}");
    }
    for fits in [
        json!({"autoscaling": {"max": 12}}),
        json!({"autoscaling": {}, "instances": 10}),
        json!({"instances": 40}),
    ] {
        let (status, plan) = world.post("/plan", &canary(&fits)).await;
        assert_eq!(status, 200, "{plan}");
    }
}

/// Nobody needs more instances than production may have, and a fixed number is held against the
/// ceiling that the canary takes over.
#[tokio::test]
async fn a_number_above_the_ceiling_of_productions_scaling_is_refused() {
    let world = World::with(Setup {
        instances: 6,
        ..Setup::default()
    })
    .await;
    scale_production(&world).await;
    let too_many = canary(&json!({"instances": 5}));
    let said = detail(&world, &too_many, "scaling-ceiling", "canary.instances").await;
    assert!(said.contains("at most 4"), "{said}");
    for fits in [json!({"instances": 4}), json!({"autoscaling": {"max": 4}})] {
        let (status, plan) = world.post("/plan", &canary(&fits)).await;
        assert_eq!(status, 200, "{plan}");
    }
}

/// SageMaker refuses to scale them, and would do so before the first share is raised.
#[tokio::test]
async fn burstable_instances_that_are_to_scale_are_refused() {
    let world = World::new().await;
    let own = canary(&json!({"instance_type": "ml.t2.medium", "autoscaling": {}}));
    let said = detail(&world, &own, "scaling-burstable", "canary.instance_type").await;
    assert!(said.contains("leave canary.autoscaling out"), "{said}");
    let small = canary(&json!({"instance_type": "ml.t2.medium"}));
    let (status, plan) = world.post("/plan", &small).await;
    assert_eq!(status, 200, "{plan}");
    scale_production(&world).await;
    let said = detail(&world, &small, "scaling-burstable", "canary.instance_type").await;
    assert!(said.contains("production's scaling"), "{said}");
}

#[tokio::test]
async fn a_config_without_room_for_a_tag_is_refused() {
    let world = World::new().await;
    let described = sagemaker(
        &world,
        "DescribeEndpointConfig",
        &json!({"EndpointConfigName": CONFIG}),
    );
    let arn = described["EndpointConfigArn"].as_str().expect("an ARN");
    let tag = |key: &str| world.simulator().sagemaker().set_tag(arn, key, "x");
    for number in 0..49 {
        tag(&format!("cost-{number}"));
    }
    // Neither is copied: one is AWS's own, and the other is written anew.
    tag("aws:cloudformation:stack-name");
    tag("canary:deployment-id");
    let (status, plan) = world.post("/plan", &specification()).await;
    assert_eq!(status, 200, "{plan}");
    tag("team");
    let said = detail(&world, &specification(), "too-many-tags", "endpoint").await;
    for part in ["has 50 tags", "team", "cost-48"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("aws:cloudformation"), "{said}");
}

#[tokio::test]
async fn instances_of_a_reservation_serve_one_variant() {
    let world = World::new().await;
    let config = json!({
        "EndpointConfigName": "reserved",
        "ProductionVariants": [{
            "VariantName": "only", "ModelName": OLD, "InitialInstanceCount": 1,
            "InstanceType": "ml.c6i.large", "InitialVariantWeight": 1.0,
            "CapacityReservationConfig": {
                "CapacityReservationPreference": "capacity-reservations-only",
                "MlReservationArn": "arn:aws:sagemaker:eu-central-1:123456789012:training-plan/wine",
            },
        }],
    });
    sagemaker(&world, "CreateEndpointConfig", &config);
    let endpoint = json!({"EndpointName": "reserved", "EndpointConfigName": "reserved"});
    sagemaker(&world, "CreateEndpoint", &endpoint);
    world.pass(SignedDuration::from_mins(2)).await;
    let asked = specification_with(json!({"endpoint": "reserved"}));
    let said = detail(&world, &asked, "capacity-reservation", "endpoint").await;
    assert!(said.contains("CapacityReservationConfig"), "{said}");
}
