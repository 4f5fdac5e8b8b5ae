//! The model that is made of a version of a model package: one for all who are alike, and never one that
//! was made for somebody else.

use http::StatusCode;
use serde_json::{Value, json};
use shared::domain::state::Status;
use simulator::{FaultKind, service};
use tests::registry::{arn, model, specification_of};
use tests::{PRODUCTION, World};

#[tokio::test]
async fn one_model_is_made_of_a_version_and_taken_by_all_that_are_alike() {
    let world = World::with_registry().await;
    let id = world.deploy(&specification_of(2)).await;
    world.order(&id, "cancel").await;
    world.until_over(&id, Status::Cancelled).await;
    let made = world.count_calls("CreateModel");
    let id = world.deploy(&specification_of(2)).await;
    world.until_over(&id, Status::Completed).await;
    assert_eq!(world.count_calls("CreateModel"), made);
    // Lost on the way: it is there, or it is made again.
    for kind in [FaultKind::LoseAnswer, FaultKind::LoseRequest] {
        let world = World::with_registry().await;
        world.disturb(service::SAGEMAKER, "CreateModel", 1, kind);
        let id = world.deploy(&specification_of(2)).await;
        world.until_over(&id, Status::Completed).await;
    }
}

/// The endpoint on which a version is tried first: another role, no network of its own.
const TRIED_FIRST: &str = "tried-first";
/// Of version 2 beside the production of [`REGISTERED`]. The mark was computed outside this project:
/// `printf 'arn:aws:iam::123456789012:role/serving\nfalse\nsg-1\nsubnet-1' | sha256sum`.
const LIKE_PRODUCTION: &str = "wine-package-2-bb82c7ee";

async fn with_two_productions() -> World {
    let world = World::with_registry().await;
    world.sagemaker(
        "CreateModel",
        &json!({
            "ModelName": "tried-first-v1",
            "ExecutionRoleArn": "arn:aws:iam::123456789012:role/trying",
            "PrimaryContainer": {"ModelPackageName": arn(1)},
        }),
    );
    let aws = &world.stack.aws;
    let config = format!("{TRIED_FIRST}-config");
    aws.create_endpoint(TRIED_FIRST, &config, PRODUCTION, "tried-first-v1", 2)
        .await
        .expect("a new endpoint");
    world.simulator().set_traffic(TRIED_FIRST, 1000.0);
    world.minutes(10).await;
    world
}

fn on(endpoint: &str, version: u32) -> Value {
    let mut specification = specification_of(version);
    specification["endpoint"] = json!(endpoint);
    specification
}

fn described(world: &World, name: &str) -> Value {
    world.sagemaker("DescribeModel", &json!({"ModelName": name}))
}

#[tokio::test]
async fn a_version_gets_a_model_of_its_own_beside_another_production() {
    let world = with_two_productions().await;
    let tried = world.deploy(&on(TRIED_FIRST, 2)).await;
    world.until_over(&tried, Status::Completed).await;
    assert_eq!(described(&world, &model(2))["VpcConfig"], Value::Null);
    // The name is known before anything is made, and is the same the next time.
    let (status, plan) = world.post("/plan", &specification_of(2)).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    assert!(plan.to_string().contains(LIKE_PRODUCTION), "{plan}");
    let made = world.count_calls("CreateModel");
    let id = world.deploy(&specification_of(2)).await;
    world.order(&id, "cancel").await;
    world.until_over(&id, Status::Cancelled).await;
    let id = world.deploy(&specification_of(2)).await;
    let done = world.until_over(&id, Status::Completed).await.deployment;
    assert_eq!(done.terms.model, LIKE_PRODUCTION);
    assert_eq!(world.count_calls("CreateModel"), made + 1);
    let (new, like) = (
        described(&world, LIKE_PRODUCTION),
        described(&world, &model(1)),
    );
    for member in ["ExecutionRoleArn", "VpcConfig"] {
        assert_eq!(new[member], like[member], "{member}");
    }
    assert_eq!(new["PrimaryContainer"]["ModelPackageName"], arn(2).as_str());
    assert_eq!(
        world.standing(2),
        ["Approved", "Production", "Approved"].map(Value::from)
    );
}

#[tokio::test]
async fn a_model_that_was_made_meanwhile_beside_another_production_is_not_taken() {
    let world = with_two_productions().await;
    let id = world.accept(&specification_of(2)).await;
    assert_eq!(world.load(&id).await.deployment.terms.model, model(2));
    world.sagemaker(
        "CreateModel",
        &json!({
            "ModelName": model(2),
            "ExecutionRoleArn": "arn:aws:iam::123456789012:role/serving",
            "EnableNetworkIsolation": true,
            "PrimaryContainer": {"ModelPackageName": arn(2)},
        }),
    );
    world.stack.simulator.run_functions().await;
    world.until_over(&id, Status::Failed).await;
    let failed = world.load(&id).await.deployment.state;
    let says = "another network (VpcConfig), another isolation (EnableNetworkIsolation) than";
    assert!(failed.reason.contains(says), "{}", failed.reason);
    // Which of the calls it was is said, and no other.
    assert!(
        failed.reason.contains("DescribeModel: ") && !failed.reason.contains("CreateModel"),
        "{}",
        failed.reason
    );
    assert_eq!(world.count_calls("UpdateEndpoint"), 0);
    // The next one has a model of its own.
    let id = world.deploy(&specification_of(2)).await;
    let done = world.until_over(&id, Status::Completed).await.deployment;
    assert_eq!(done.terms.model, LIKE_PRODUCTION);
}
