//! Versions of model packages that can't be deployed, refused before anything is written, by the field and
//! with the way out.

use serde_json::{Value, json};
use tests::registry::{REGISTERED, arn, model, specification_of};
use tests::{NEW, World};

use super::refusals::refused;

/// What the refusal says, once it is held against the rest.
async fn detail(world: &World, specification: &Value, kind: &str, field: &str) -> String {
    let body = specification.to_string();
    refused(world, body.as_bytes(), 422, kind, Some(field)).await;
    let (_, problem) = world.post("/plan", specification).await;
    problem["detail"].as_str().unwrap_or_default().to_owned()
}

fn named(package: &str) -> Value {
    let mut specification = specification_of(2);
    specification["model_package"] = json!(package);
    specification
}

#[tokio::test]
async fn what_is_no_version_is_refused_with_the_way_to_one() {
    let world = World::with_registry().await;
    let kind = "invalid-specification";
    for (package, says) in [
        (
            arn(2).replace("model-package/wine/2", "model-package-group/wine"),
            "name one of them",
        ),
        (arn(2).replace("/wine/2", "/wine"), "has no version"),
        (arn(2).replace("/2", "/latest"), "like \"arn:aws:sagemaker"),
        ("wine/2".to_owned(), "like \"arn:aws:sagemaker"),
        (String::new(), "like \"arn:aws:sagemaker"),
    ] {
        let said = detail(&world, &named(&package), kind, "model_package").await;
        assert!(said.contains(says), "{package}: {said}");
    }
    let mut both = specification_of(2);
    both["model"] = json!(NEW);
    let said = detail(&world, &both, kind, "model_package").await;
    assert!(said.contains("`model` and `model_package`"), "{said}");
    let mut neither = specification_of(2);
    neither["model_package"] = Value::Null;
    let said = detail(&world, &neither, kind, "model").await;
    assert!(said.contains("or `model_package`"), "{said}");
}

#[tokio::test]
async fn versions_elsewhere_and_versions_that_are_not_there() {
    let world = World::with_registry().await;
    for elsewhere in [
        arn(2).replace("eu-central-1", "us-east-1"),
        arn(2).replace("123456789012", "210987654321"),
        arn(2).replace("arn:aws:", "arn:aws-cn:"),
    ] {
        let kind = "model-package-elsewhere";
        let said = detail(&world, &named(&elsewhere), kind, "model_package").await;
        assert!(
            said.contains("123456789012") && said.contains("eu-central-1"),
            "{said}"
        );
    }
    for missing in [arn(9), arn(2).replace("/wine/", "/beer/")] {
        let kind = "model-package-not-found";
        let said = detail(&world, &named(&missing), kind, "model_package").await;
        assert!(
            said.contains(&missing) && said.contains("does not exist"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn only_what_is_approved_is_deployed_unless_the_stack_says_otherwise() {
    let mut world = World::with_registry().await;
    let kind = "model-package-not-approved";
    world.decide_on(2, "Rejected");
    let said = detail(&world, &specification_of(2), kind, "model_package").await;
    assert!(said.contains("is Rejected"), "{said}");
    let (status, plan) = world.post("/plan", &specification_of(3)).await;
    assert_eq!(status, 200, "a stack that takes what is pending: {plan}");
    let mut access = world.stack.aws.config().access.clone();
    access.packages.pending = false;
    world.stack = world.stack.with_access(access);
    let world = world.with_a_new_router();
    let said = detail(&world, &specification_of(3), kind, "model_package").await;
    assert!(
        said.contains("is PendingManualApproval") && said.contains("ModelPackageApprovals"),
        "{said}"
    );
    world.decide_on(3, "Approved");
    let (status, plan) = world.post("/plan", &specification_of(3)).await;
    assert_eq!(status, 200, "{plan}");
}

#[tokio::test]
async fn the_new_models_role_is_productions_and_has_to_be_one_that_may_be_passed_on() {
    let mut world = World::with_registry().await;
    let mut access = world.stack.aws.config().access.clone();
    access.roles =
        shared::domain::authority::Patterns::parse("arn:aws:iam::123456789012:role/other");
    world.stack = world.stack.with_access(access);
    let mut world = world.with_a_new_router();
    let kind = "execution-role-not-allowed";
    let said = detail(&world, &specification_of(2), kind, "model_package").await;
    assert!(
        said.contains("role/serving") && said.contains("ExecutionRoleArns"),
        "{said}"
    );
    let mut access = world.stack.aws.config().access.clone();
    access.roles = shared::domain::authority::Patterns::parse("arn:aws:iam::123456789012:role/s*");
    world.stack = world.stack.with_access(access);
    let world = world.with_a_new_router();
    let (status, plan) = world.post("/plan", &specification_of(2)).await;
    assert_eq!(status, 200, "{plan}");
    // Whose model is gone tells nobody its role.
    world.sagemaker("DeleteModel", &json!({"ModelName": model(1)}));
    let kind = "execution-role-unknown";
    let said = detail(&world, &specification_of(2), kind, "model_package").await;
    assert!(said.contains(&model(1)), "{said}");
}

#[tokio::test]
async fn a_model_of_the_same_name_is_taken_only_if_it_was_made_of_the_version() {
    let world = World::with_registry().await;
    let role = "arn:aws:iam::123456789012:role/other";
    let make = |container: Value| {
        let name = model(2);
        world.sagemaker(
            "CreateModel",
            &json!({"ModelName": name, "ExecutionRoleArn": role, "PrimaryContainer": container}),
        )
    };
    for other in [
        json!({"Image": "wine:1"}),
        json!({"ModelPackageName": arn(3)}),
    ] {
        make(other);
        let said = detail(
            &world,
            &specification_of(2),
            "model-name-taken",
            "model_package",
        )
        .await;
        assert!(
            said.contains(&model(2)) && said.contains("delete that one"),
            "{said}"
        );
        world.sagemaker("DeleteModel", &json!({"ModelName": model(2)}));
    }
    // One that was made of it beside another production leaves it a name of its own, unless that is taken too.
    make(json!({"ModelPackageName": arn(2)}));
    let (status, plan) = world.post("/plan", &specification_of(2)).await;
    assert_eq!(status, 200, "{plan}");
    let own = format!("{}-bb82c7ee", model(2));
    assert!(plan.to_string().contains(&own), "{plan}");
    world.sagemaker(
        "CreateModel",
        &json!({
            "ModelName": own,
            "ExecutionRoleArn": role,
            "PrimaryContainer": {"ModelPackageName": arn(2)},
        }),
    );
    let kind = "model-name-taken";
    let said = detail(&world, &specification_of(2), kind, "model_package").await;
    let says = "with another execution role, another network (VpcConfig) than";
    assert!(said.contains(&own) && said.contains(says), "{said}");
}

#[tokio::test]
async fn models_that_the_stack_may_deploy_are_told_by_the_groups_name() {
    let mut world = World::with_registry().await;
    let mut access = world.stack.aws.config().access.clone();
    access.models = shared::domain::authority::Patterns::parse("beer-*");
    world.stack = world.stack.with_access(access);
    let world = world.with_a_new_router();
    let kind = "model-not-allowed";
    let said = detail(&world, &specification_of(2), kind, "model_package").await;
    assert!(said.contains(&model(2)), "{said}");
    // However the group is written, there and here.
    let mut access = world.stack.aws.config().access.clone();
    access.models = shared::domain::authority::Patterns::parse("Wine-package-?");
    let mut world = world;
    world.stack = world.stack.with_access(access);
    let world = world.with_a_new_router();
    let (status, plan) = world
        .post("/plan", &named(&arn(2).replace("wine", "WINE")))
        .await;
    assert_eq!(status, 200, "{plan}");
    assert!(plan.to_string().contains(&model(2)), "{plan}");
    // The name that it has beside another production has to be among them too.
    world.sagemaker(
        "CreateModel",
        &json!({"ModelName": model(2), "PrimaryContainer": {"ModelPackageName": arn(2)}}),
    );
    let said = detail(&world, &specification_of(2), kind, "model_package").await;
    assert!(said.contains(&format!("{}-bb82c7ee", model(2))), "{said}");
}

#[tokio::test]
async fn versions_of_groups_that_are_not_the_stacks_are_refused_with_the_parameter() {
    for (groups, is_allowed) in [
        ("beer wi?e", true),
        ("w*e", true),
        ("beer", false),
        ("", false),
    ] {
        let mut world = World::with_registry().await;
        let mut access = world.stack.aws.config().access.clone();
        access.groups = shared::domain::authority::Patterns::parse(groups);
        world.stack = world.stack.with_access(access);
        let world = world.with_a_new_router();
        if is_allowed {
            // A name counts in any case, as the ARN has it in lower case.
            for version in [arn(2), arn(2).replace("/wine/", "/Wine/")] {
                let (status, plan) = world.post("/plan", &named(&version)).await;
                assert_ne!(
                    plan["type"],
                    "urn:sagemaker-canary:problem:model-not-allowed"
                );
                assert!(status == 200 || version != arn(2), "{plan}");
            }
        } else {
            let kind = "model-not-allowed";
            let said = detail(&world, &specification_of(2), kind, "model_package").await;
            assert!(said.contains("ModelPackageGroups"), "{said}");
            assert_eq!(
                world.count_calls("DescribeModelPackage"),
                0,
                "not even looked at"
            );
        }
    }
}

#[tokio::test]
async fn a_gates_results_may_name_the_version() {
    let world = World::with_registry().await;
    let gated = |challenger: &str| {
        let mut specification = specification_of(2);
        specification["gate"] = json!({"results": {
            "model": challenger, "champion": model(1), "compared_at": world.now(),
            "positives": {"both": 900, "champion": 10, "challenger": 50, "neither": 40},
            "negatives": {"both": 100, "champion": 60, "challenger": 20, "neither": 8820},
            "latency": {"rows": 10_000, "p95_ms": 87.5, "low_ms": 86.0, "high_ms": 89.25},
        }});
        specification
    };
    for challenger in [arn(2), arn(2).replace("wine", "Wine"), model(2)] {
        let (status, plan) = world.post("/plan", &gated(&challenger)).await;
        assert_eq!(status, 200, "{plan}");
    }
    let said = detail(
        &world,
        &gated(&arn(3)),
        "gate-results-of-another",
        "gate.results.model",
    )
    .await;
    assert!(said.contains(&arn(3)), "{said}");
    assert_eq!(gated(&arn(2))["endpoint"], REGISTERED);
}
