//! Whole rollouts of versions of a model package: what becomes of them in the registry, however the rollout
//! ends and whatever the registry does.

use http::StatusCode;
use serde_json::{Value, json};
use shared::domain::authority::Patterns;
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use simulator::{Backend, Distribution, Fault, FaultKind, service};
use tests::registry::{REGISTERED, arn, model, specification_of};
use tests::{PRODUCTION, World, is_over};

/// Before anything is said of its stage.
fn unstaged(approval: &str) -> [Value; 3] {
    [json!(approval), Value::Null, Value::Null]
}

fn in_production(approval: &str) -> [Value; 3] {
    [json!(approval), json!("Production"), json!("Approved")]
}

fn archived(approval: &str) -> [Value; 3] {
    [json!(approval), json!("Archived"), json!("Retired")]
}

/// The registry refuses whoever updates it.
fn denied() -> FaultKind {
    FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not by this role".to_owned(),
    }
}

async fn names(world: &World, id: &str) -> Vec<Name> {
    let history = world.history(id).await;
    history.iter().map(|entry| entry.event).collect()
}

#[tokio::test]
async fn a_version_that_completes_is_approved_and_in_production_and_the_former_one_archived() {
    let world = World::with_registry().await;
    let (status, view) = world.post("/deploy", &specification_of(2)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    assert_eq!(view["model"], model(2).as_str());
    assert_eq!(view["former_model"], model(1).as_str());
    assert_eq!(view["model_package"], arn(2).as_str());
    assert_eq!(view["former_model_package"], arn(1).as_str());
    let id = view["deployment_id"].as_str().expect("an id").to_owned();
    world.stack.simulator.run_functions().await;
    let made = world.sagemaker("DescribeModel", &json!({"ModelName": model(2)}));
    let like = world.sagemaker("DescribeModel", &json!({"ModelName": model(1)}));
    for member in ["ExecutionRoleArn", "VpcConfig"] {
        assert_eq!(made[member], like[member], "{member}");
    }
    assert_eq!(
        made["PrimaryContainer"]["ModelPackageName"],
        arn(2).as_str()
    );
    let tags = world.sagemaker("ListTags", &json!({"ResourceArn": made["ModelArn"]}));
    let own = json!([{"Key": "canary:deployment-id", "Value": id}]);
    assert_eq!(
        tags["Tags"], own,
        "whoever made it can be told from the team"
    );
    world.until_phase(&id, Phase::Soaking).await;
    assert_eq!(
        world.count_calls("UpdateModelPackage"),
        0,
        "nothing is decided yet"
    );
    world.until_over(&id, Status::Completed).await;
    assert_eq!(world.standing(2), in_production("Approved"));
    assert_eq!(world.standing(1), archived("Approved"));
    let said = world.package(1)["ModelLifeCycle"]["StageDescription"].clone();
    let said = said.as_str().expect("a text");
    assert!(said.contains(&model(2)) && said.contains(&id), "{said}");
    assert_eq!(
        world.count_calls("UpdateModelPackage"),
        2,
        "each version once"
    );
    let told = world.entry(&id, Name::Registered).await;
    assert!(
        told.reason.contains("and in stage Production"),
        "{}",
        told.reason
    );
    let (_, view) = world.get(&format!("/deployments/{id}")).await;
    assert_eq!(view["registry_waits"], Value::Null, "{view}");
}

#[tokio::test]
async fn a_pending_version_is_approved_by_its_completion() {
    let world = World::with_registry().await;
    let id = world.deploy(&specification_of(3)).await;
    world.until_over(&id, Status::Completed).await;
    assert_eq!(world.standing(3), in_production("Approved"));
}

#[tokio::test]
async fn a_version_that_is_rolled_back_is_rejected_with_the_reason_before_the_canary_goes() {
    let world = World::with_registry().await;
    let fails = Distribution {
        error_rate: 0.3,
        ..Distribution::default()
    };
    world
        .simulator()
        .set_backend(&model(2), Backend::Distribution(fails));
    let id = world.deploy(&specification_of(2)).await;
    let inspected = world.until_phase(&id, Phase::CleaningUp).await.deployment;
    world.minutes(1).await;
    assert_eq!(world.standing(2), unstaged("Rejected"));
    assert!(world.load(&id).await.deployment.state.phase == Phase::CleaningUp);
    let said = world.package(2)["ApprovalDescription"].clone();
    let cause = inspected.state.cause.expect("a cause");
    assert_eq!(
        said.as_str(),
        Some(format!("{REGISTERED}: {cause} (deployment {id})").as_str())
    );
    assert_eq!(
        world.standing(1),
        unstaged("Approved"),
        "nothing became of it"
    );
    world.until_over(&id, Status::RolledBack).await;
    assert_eq!(world.count_calls("UpdateModelPackage"), 1);
    // Which nobody deploys again, until somebody says otherwise.
    let (status, problem) = world.post("/deploy", &specification_of(2)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!(problem["field"], "model_package");
}

#[tokio::test]
async fn a_version_that_was_cancelled_before_any_traffic_stays_as_it_was() {
    let world = World::with_registry().await;
    let id = world.deploy(&specification_of(3)).await;
    world.order(&id, "cancel").await;
    world.until_over(&id, Status::Cancelled).await;
    assert_eq!(world.standing(3), unstaged("PendingManualApproval"));
    let id = world.deploy(&specification_of(3)).await;
    world.until_phase(&id, Phase::Baking).await;
    world.order(&id, "cancel").await;
    world.until_over(&id, Status::Cancelled).await;
    assert_eq!(
        world.standing(3),
        unstaged("Rejected"),
        "with traffic it was tried"
    );
}

#[tokio::test]
async fn an_undo_puts_the_former_version_back_and_judges_neither() {
    let world = World::with_registry().await;
    let id = world.deploy(&specification_of(2)).await;
    world.until_over(&id, Status::Completed).await;
    // Only a rejection is an obstacle on the way back.
    world.decide_on(1, "PendingManualApproval");
    let path = format!("/deployments/{id}/undo");
    let body = json!({"reason": "complaints since midnight"});
    let (status, view) = world.post(&path, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    assert_eq!(view["model_package"], arn(1).as_str());
    let back = view["deployment_id"].as_str().expect("an id").to_owned();
    world.stack.simulator.run_functions().await;
    world.until_phase(&back, Phase::Soaking).await;
    world.order(&back, "rollback").await;
    world.until_over(&back, Status::RolledBack).await;
    assert_eq!(
        world.standing(1),
        archived("PendingManualApproval"),
        "an undo that fails says nothing"
    );
    assert_eq!(world.standing(2), in_production("Approved"));
    let (status, view) = world.post(&path, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    let back = view["deployment_id"].as_str().expect("an id").to_owned();
    world.stack.simulator.run_functions().await;
    world.until_over(&back, Status::Completed).await;
    assert_eq!(world.standing(1), in_production("PendingManualApproval"));
    assert_eq!(world.standing(2), archived("Approved"));
    assert_eq!(world.count_calls("CreateModel"), 4, "an undo makes none");
}

#[tokio::test]
async fn a_version_that_was_rejected_since_comes_back_by_no_undo() {
    let world = World::with_registry().await;
    let id = world.deploy(&specification_of(2)).await;
    world.until_over(&id, Status::Completed).await;
    world.decide_on(1, "Rejected");
    let path = format!("/deployments/{id}/undo");
    let body = json!({"reason": "complaints since midnight"});
    let (status, problem) = world.post(&path, &body).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let kind = problem["type"].as_str().expect("a type");
    assert!(kind.ends_with(":no-way-back"), "{kind}");
    let detail = problem["detail"].as_str().expect("a text");
    for says in [arn(1).as_str(), "Rejected", "approved in the registry"] {
        assert!(detail.contains(says), "{detail}");
    }
    // A registry that can't be read keeps nobody from the way back, and that is said.
    world.disturb(service::SAGEMAKER, "DescribeModelPackage", 1, denied());
    let (status, view) = world.post(&path, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    let back = view["deployment_id"].as_str().expect("an id").to_owned();
    world.stack.simulator.run_functions().await;
    let began = world.entry(&back, Name::Started).await;
    for says in ["complaints since midnight; ", "could not be read"] {
        assert!(began.reason.contains(says), "{}", began.reason);
    }
    world.until_over(&back, Status::Completed).await;
    assert_eq!(world.standing(1), in_production("Rejected"));
}

#[tokio::test]
async fn a_version_that_somebody_rejects_meanwhile_is_in_production_and_stays_rejected() {
    let world = World::with_registry().await;
    let id = world.deploy(&specification_of(2)).await;
    world.until_phase(&id, Phase::Soaking).await;
    world.decide_on(2, "Rejected");
    world.until_over(&id, Status::Completed).await;
    assert_eq!(world.standing(2), in_production("Rejected"));
    assert_eq!(world.package(2)["ApprovalDescription"], "by a person");
    let told = world.entry(&id, Name::Registered).await;
    assert!(
        told.reason.contains("Rejected by somebody meanwhile"),
        "{}",
        told.reason
    );
}

#[tokio::test]
async fn an_approval_is_read_again_before_the_model_is_made() {
    let world = World::with_registry().await;
    let taken_back = world.accept(&specification_of(2)).await;
    world.decide_on(2, "Rejected");
    world.stack.simulator.run_functions().await;
    world.until_over(&taken_back, Status::Failed).await;
    let failed = world.load(&taken_back).await.deployment.state;
    assert!(failed.reason.contains("is Rejected"), "{}", failed.reason);
    let missing = json!({"ModelName": model(2)});
    let described = world
        .simulator()
        .call(service::SAGEMAKER, "DescribeModel", &missing);
    assert!(described.is_err(), "no model was made");
    assert_eq!(world.count_calls("UpdateEndpoint"), 0);
    // Where it is approved again in time, the deployment goes on by itself.
    world.decide_on(2, "Approved");
    let goes_on = world.accept(&specification_of(2)).await;
    world.decide_on(2, "Rejected");
    world.stack.simulator.run_functions().await;
    world.minutes(3).await;
    world.decide_on(2, "Approved");
    world.until_over(&goes_on, Status::Completed).await;
}

/// Whatever comes between the two calls, both versions are told in the end, each as it is.
#[tokio::test]
async fn lost_and_refused_updates_of_the_registry_converge() {
    let kinds = [
        FaultKind::LoseAnswer,
        FaultKind::LoseRequest,
        FaultKind::Throttle,
        denied(),
    ];
    for (skip, kind) in [0, 1]
        .into_iter()
        .flat_map(|skip| kinds.clone().map(|kind| (skip, kind)))
    {
        let world = World::with_registry().await;
        world.simulator().inject(Fault {
            service: service::SAGEMAKER.to_owned(),
            operation: Some("UpdateModelPackage".to_owned()),
            skip,
            times: 1,
            kind: kind.clone(),
        });
        let id = world.deploy(&specification_of(2)).await;
        world.until_over(&id, Status::Completed).await;
        assert_eq!(
            world.standing(2),
            in_production("Approved"),
            "{skip} {kind:?}"
        );
        assert_eq!(world.standing(1), archived("Approved"), "{skip} {kind:?}");
        let calls = world.count_calls("UpdateModelPackage");
        // What was said although the answer was lost is not said again.
        let expected = if kind == FaultKind::LoseAnswer { 2 } else { 3 };
        assert_eq!(calls, expected, "{skip} {kind:?}");
    }
}

/// The function ends between the two calls: what it did not keep is looked up and completed.
#[tokio::test]
async fn a_crash_between_the_two_calls_is_made_up_for() {
    let world = World::with_registry().await;
    let id = world.deploy(&specification_of(2)).await;
    world.until_phase(&id, Phase::CleaningUp).await;
    // Everything that the function would still have done, from its second look on.
    for operation in ["DescribeModelPackage", "UpdateModelPackage"] {
        world.simulator().inject(Fault {
            service: service::SAGEMAKER.to_owned(),
            operation: Some(operation.to_owned()),
            skip: 1,
            times: 1,
            kind: FaultKind::LoseRequest,
        });
    }
    world
        .until(&id, 20, |loaded| loaded.deployment.state.filing.is_some())
        .await;
    assert_eq!(world.standing(2), in_production("Approved"));
    assert_eq!(world.standing(1), unstaged("Approved"));
    world.until_over(&id, Status::Completed).await;
    assert_eq!(world.standing(1), archived("Approved"));
}

/// The minutes until a deployment of version 2 has this status; a registry that refuses adds none.
async fn minutes_until(world: &World, id: &str, status: Status) -> i64 {
    let began = world.now();
    world
        .until(id, 100, |loaded| loaded.deployment.state.status == status)
        .await;
    world.now().duration_since(began).as_mins()
}

#[tokio::test]
async fn a_registry_that_refuses_throughout_delays_no_end_and_is_given_up() {
    for (status, order) in [
        (Status::Completed, None),
        (Status::RolledBack, Some("rollback")),
    ] {
        let mut lasted = Vec::new();
        for refuses in [false, true] {
            let world = World::with_registry().await;
            let id = world.deploy(&specification_of(2)).await;
            if refuses {
                world.disturb(service::SAGEMAKER, "UpdateModelPackage", 1000, denied());
            }
            world.until_phase(&id, Phase::Baking).await;
            if let Some(order) = order {
                world.order(&id, order).await;
            }
            lasted.push(minutes_until(&world, &id, status).await);
            if !refuses {
                continue;
            }
            let holder = world.get(&format!("/deployments/{id}")).await.1;
            assert_eq!(holder["registry_waits"], true, "{holder}");
            world.minutes(35).await;
            assert!(!names(&world, &id).await.contains(&Name::RegistryLeft));
            world.until_over(&id, status).await;
            let told = world.entry(&id, Name::RegistryLeft).await;
            assert!(
                told.reason.contains("not by this role") && told.reason.contains(&arn(2)),
                "{}",
                told.reason
            );
            let calls = world.count_calls("UpdateModelPackage");
            let tries = if order.is_none() { calls / 2 } else { calls };
            assert!((10..=13).contains(&tries), "{tries} tries in an hour");
            world.minutes(30).await;
            assert_eq!(
                world.count_calls("UpdateModelPackage"),
                calls,
                "and none after it"
            );
        }
        assert_eq!(lasted[0], lasted[1], "{status}");
    }
}

#[tokio::test]
async fn the_next_deployment_waits_for_no_registry_and_has_the_last_word() {
    let world = World::with_registry().await;
    let first = world.deploy(&specification_of(2)).await;
    world.until_phase(&first, Phase::Soaking).await;
    world.disturb(
        service::SAGEMAKER,
        "UpdateModelPackage",
        1,
        FaultKind::Throttle,
    );
    world.until(&first, 60, is_over).await;
    let second = world.deploy(&specification_of(3)).await;
    world
        .until(&first, 10, |loaded| {
            loaded.deployment.state.filing.is_none()
        })
        .await;
    let told = world.entry(&first, Name::RegistryLeft).await;
    assert!(told.reason.contains(&second), "{}", told.reason);
    world.until_over(&second, Status::Completed).await;
    assert_eq!(world.standing(3), in_production("Approved"));
    assert_eq!(world.standing(2), archived("Approved"));
}

#[tokio::test]
async fn a_watch_goes_on_beside_the_registry() {
    let world = World::with_registry().await;
    let mut given = specification_of(2);
    given["watch"] = json!({"for": "2h"});
    let id = world.deploy(&given).await;
    world.until_phase(&id, Phase::Soaking).await;
    world.disturb(
        service::SAGEMAKER,
        "UpdateModelPackage",
        1,
        FaultKind::Throttle,
    );
    world
        .until(&id, 60, |loaded| {
            let state = &loaded.deployment.state;
            state.watch.is_some() && state.filing.is_none()
        })
        .await;
    assert_eq!(world.standing(2), in_production("Approved"));
    world
        .until(&id, 150, |loaded| loaded.deployment.state.watch.is_none())
        .await;
    world.assert_over(&id).await;
}

/// Nobody is refused for it, and nobody tries to tell the registry what may not be told.
#[tokio::test]
async fn a_former_version_of_a_group_that_is_not_the_stacks_is_left_alone() {
    for (groups, is_told) in [("*", true), ("wine", false)] {
        let mut world = World::with_registry().await;
        let group = json!({"ModelPackageGroupName": "beer"});
        world.sagemaker("CreateModelPackageGroup", &group);
        let version = json!({
            "ModelPackageGroupName": "beer", "ModelApprovalStatus": "Approved",
            "InferenceSpecification": {"Containers": [{"Image": "wine:1"}]},
        });
        let beer = world.sagemaker("CreateModelPackage", &version)["ModelPackageArn"].clone();
        let serving = json!({
            "ModelName": "beer-package-1",
            "ExecutionRoleArn": "arn:aws:iam::123456789012:role/serving",
            "PrimaryContainer": {"ModelPackageName": beer},
        });
        world.sagemaker("CreateModel", &serving);
        let aws = &world.stack.aws;
        aws.create_endpoint("bar", "bar-config", PRODUCTION, "beer-package-1", 2)
            .await
            .expect("a new endpoint");
        world.simulator().set_traffic("bar", 1000.0);
        world.pass(jiff::SignedDuration::from_mins(10)).await;
        let mut access = world.stack.aws.config().access.clone();
        access.groups = Patterns::parse(groups);
        world.stack = world.stack.with_access(access);
        let world = world.with_a_new_router();
        let mut specification = specification_of(2);
        specification["endpoint"] = json!("bar");
        let (status, view) = world.post("/deploy", &specification).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{view}");
        assert_eq!(view["model_package"], arn(2).as_str());
        let told = view["former_model_package"].clone();
        assert_eq!(told, if is_told { beer } else { Value::Null });
    }
}

#[tokio::test]
async fn a_version_that_nobody_was_served_by_is_not_rejected() {
    let world = World::with_registry().await;
    let no_room = FaultKind::Error {
        status: 400,
        code: "ResourceLimitExceeded".to_owned(),
        message: "no more models in this account".to_owned(),
    };
    world.disturb(service::SAGEMAKER, "CreateModel", 10_000, no_room);
    let id = world.deploy(&specification_of(2)).await;
    let done = world.until_over(&id, Status::RolledBack).await.deployment;
    let cause = done.state.cause.unwrap_or_default();
    assert!(cause.contains("within 2h"), "{cause}");
    assert_eq!(world.standing(2), unstaged("Approved"));
    let id = world.deploy(&specification_of(3)).await;
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
    assert_eq!(world.standing(3), unstaged("PendingManualApproval"));
    assert_eq!(world.count_calls("UpdateModelPackage"), 0);
}

/// The weights are there, and the pass that would have confirmed them comes after the order.
#[tokio::test]
async fn a_cancel_right_after_the_weights_have_moved_is_one_with_traffic() {
    let world = World::with_registry().await;
    let id = world.deploy(&specification_of(2)).await;
    world.until_phase(&id, Phase::Shifting).await;
    world.pass(jiff::SignedDuration::from_mins(1)).await;
    world.order(&id, "cancel").await;
    world.until_over(&id, Status::Cancelled).await;
    assert_eq!(world.standing(2), unstaged("Rejected"));
    assert!(names(&world, &id).await.contains(&Name::Incident));
}

#[tokio::test]
async fn the_version_that_production_has_itself_is_neither_rejected_nor_archived() {
    let world = World::with_registry().await;
    let (status, view) = world.post("/deploy", &specification_of(1)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    assert_eq!(view["former_model_package"], view["model_package"]);
    let id = view["deployment_id"].as_str().expect("an id").to_owned();
    world.stack.simulator.run_functions().await;
    world.until_phase(&id, Phase::Baking).await;
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
    assert_eq!(world.standing(1), unstaged("Approved"));
    let id = world.deploy(&specification_of(1)).await;
    world.until_over(&id, Status::Completed).await;
    assert_eq!(world.standing(1), in_production("Approved"));
}

/// Either version may be gone by then: the other one is told all the same, and nobody is asked to set by
/// hand what can't be set.
#[tokio::test]
async fn a_version_that_was_deleted_keeps_nobody_from_telling_of_the_other() {
    for (deleted, kept, expected) in [
        (1, 2, in_production("Approved")),
        (2, 1, archived("Approved")),
    ] {
        let world = World::with_registry().await;
        let id = world.deploy(&specification_of(2)).await;
        world.until_phase(&id, Phase::Soaking).await;
        world.sagemaker(
            "DeleteModelPackage",
            &json!({"ModelPackageName": arn(deleted)}),
        );
        world.until_over(&id, Status::Completed).await;
        assert_eq!(world.standing(kept), expected);
        assert_eq!(world.count_calls("UpdateModelPackage"), 1);
        let told = world.entry(&id, Name::Registered).await;
        let gone = format!("{} can't be described any more", arn(deleted));
        assert!(told.reason.contains(&gone), "{}", told.reason);
    }
}

#[tokio::test]
async fn a_version_that_is_refused_keeps_nobody_from_telling_of_the_other() {
    let world = World::with_registry().await;
    let id = world.deploy(&specification_of(2)).await;
    world.until_phase(&id, Phase::Soaking).await;
    world.disturb(service::SAGEMAKER, "UpdateModelPackage", 1, denied());
    world
        .until(&id, 60, |loaded| {
            let filing = loaded.deployment.state.filing.as_ref();
            filing.is_some_and(|filing| filing.refused.is_some())
        })
        .await;
    assert_eq!(world.standing(2), unstaged("Approved"));
    assert_eq!(world.standing(1), archived("Approved"));
    world.until_over(&id, Status::Completed).await;
    assert_eq!(world.standing(2), in_production("Approved"));
    assert_eq!(world.count_calls("UpdateModelPackage"), 3);
}

#[tokio::test]
async fn a_rejection_outlasts_the_deployment_of_another_version() {
    let world = World::with_registry().await;
    let first = world.deploy(&specification_of(2)).await;
    world.until_phase(&first, Phase::Baking).await;
    world.disturb(
        service::SAGEMAKER,
        "UpdateModelPackage",
        3,
        FaultKind::Throttle,
    );
    world.order(&first, "rollback").await;
    world.until(&first, 60, is_over).await;
    assert_eq!(world.standing(2), unstaged("Approved"));
    let second = world.deploy(&specification_of(3)).await;
    world
        .until(&first, 30, |loaded| {
            loaded.deployment.state.filing.is_none()
        })
        .await;
    assert_eq!(world.standing(2), unstaged("Rejected"));
    assert!(world.load(&second).await.deployment.state.is_active());
    world.entry(&first, Name::Registered).await;
    world.until_over(&second, Status::Completed).await;
    assert_eq!(world.standing(2), unstaged("Rejected"));
    assert_eq!(world.standing(1), archived("Approved"));
}

/// The registry takes one line. Unicode's own ends of one come with a text that is pasted from a page, and are
/// no part of a reason.
#[tokio::test]
async fn a_reason_of_one_line_is_said() {
    let world = World::with_registry().await;
    let id = world.deploy(&specification_of(2)).await;
    world.until_phase(&id, Phase::Baking).await;
    let path = format!("/deployments/{id}/rollback");
    let lines = json!({"reason": "too slow\u{2028}says the team\u{2029}of the shop"});
    let (status, answer) = world.post(&path, &lines).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    world.stack.simulator.run_functions().await;
    world.until_over(&id, Status::RolledBack).await;
    let said = world.package(2)["ApprovalDescription"].clone();
    let said = said.as_str().expect("a text");
    assert!(
        said.contains("too slow says the team of the shop"),
        "{said}"
    );
}
