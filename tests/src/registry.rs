//! A model registry in the simulated account, and an endpoint whose model came from it.

use serde_json::{Value, json};
use shared::domain::deployment::Deployment;
use shared::domain::registry::{PackageArn, Packages};
use shared::domain::state::Status;
use simulator::{Simulator, service};

use crate::{PRODUCTION, World, specification_with};

/// The group of the packages.
pub const GROUP: &str = "wine";
/// The endpoint whose model is version 1.
pub const REGISTERED: &str = "registered";
/// How the versions 1, 2 and 3 begin.
const APPROVALS: [&str; 3] = ["Approved", "Approved", "PendingManualApproval"];

/// The ARN of a version.
pub fn arn(version: u32) -> String {
    format!("arn:aws:sagemaker:eu-central-1:123456789012:model-package/{GROUP}/{version}")
}

/// The name of the model that is made of a version.
pub fn model(version: u32) -> String {
    format!("{GROUP}-package-{version}")
}

/// The short rollout of a version on [`REGISTERED`].
pub fn specification_of(version: u32) -> Value {
    specification_with(json!({
        "endpoint": REGISTERED,
        "model": null,
        "model_package": arn(version),
    }))
}

/// Makes the group and its versions.
pub(crate) fn register(simulator: &Simulator) {
    let ask = |operation: &str, input: Value| {
        let answer = simulator.call(service::SAGEMAKER, operation, &input);
        answer.unwrap_or_else(|refusal| panic!("{operation}: {refusal}"));
    };
    ask(
        "CreateModelPackageGroup",
        json!({"ModelPackageGroupName": GROUP}),
    );
    for approval in APPROVALS {
        let version = json!({
            "ModelPackageGroupName": GROUP,
            "ModelApprovalStatus": approval,
            "InferenceSpecification": {"Containers": [{"Image": crate::IMAGE}]},
        });
        ask("CreateModelPackage", version);
    }
}

/// The registry says of both versions what the end of the deployment means.
pub(crate) fn assert_registered(simulator: &Simulator, deployment: &Deployment) {
    let Deployment { terms, state } = deployment;
    // Nothing is said of a version that somebody has deleted meanwhile.
    let seen = |package: &PackageArn| {
        let input = json!({"ModelPackageName": package.as_str()});
        let answer = simulator.call(service::SAGEMAKER, "DescribeModelPackage", &input);
        answer.ok()
    };
    let is_in = |package: &PackageArn, stage: &str| {
        seen(package).is_none_or(|seen| seen["ModelLifeCycle"]["Stage"] == stage)
    };
    let Packages { new, former } = &terms.packages;
    let is_new = |other: &PackageArn| new.iter().any(|new| new.is_same(other.as_str()));
    match state.status {
        Status::Completed => {
            assert!(new.iter().all(|new| is_in(new, "Production")), "{terms:?}");
            let mut replaced = former.iter().filter(|former| !is_new(former));
            assert!(replaced.all(|it| is_in(it, "Archived")), "{terms:?}");
        }
        // Who was served by nobody, or goes on in production, is not judged.
        Status::RolledBack
            if terms.undoes.is_none() && state.had_traffic && !former.iter().any(is_new) =>
        {
            let is_rejected = |new: &PackageArn| {
                seen(new).is_none_or(|seen| seen["ModelApprovalStatus"] == "Rejected")
            };
            assert!(new.iter().all(is_rejected), "{terms:?}");
        }
        _ => {}
    }
}

impl World {
    /// A world with three versions, the first of them in production on [`REGISTERED`].
    pub async fn with_registry() -> Self {
        let world = Self::new().await;
        register(world.simulator());
        let serving = json!({
            "ModelName": model(1),
            "ExecutionRoleArn": "arn:aws:iam::123456789012:role/serving",
            "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
            "PrimaryContainer": {"ModelPackageName": arn(1)},
        });
        world.sagemaker("CreateModel", &serving);
        let config = format!("{REGISTERED}-config");
        let aws = &world.stack.aws;
        aws.create_endpoint(REGISTERED, &config, PRODUCTION, &model(1), 2)
            .await
            .expect("a new endpoint");
        world.simulator().set_traffic(REGISTERED, 1000.0);
        world.pass(jiff::SignedDuration::from_mins(10)).await;
        world
    }

    /// A call of somebody else's, which the simulator takes.
    ///
    /// # Panics
    /// When it does not.
    pub fn sagemaker(&self, operation: &str, input: &Value) -> Value {
        let answer = self.simulator().call(service::SAGEMAKER, operation, input);
        answer.unwrap_or_else(|refusal| panic!("{operation}: {refusal}"))
    }

    /// DescribeModelPackage.
    pub fn package(&self, version: u32) -> Value {
        let input = json!({"ModelPackageName": arn(version)});
        self.sagemaker("DescribeModelPackage", &input)
    }

    /// Approval, stage and the stage's status of a version.
    pub fn standing(&self, version: u32) -> [Value; 3] {
        let package = self.package(version);
        let at = &package["ModelLifeCycle"];
        [
            package["ModelApprovalStatus"].clone(),
            at["Stage"].clone(),
            at["StageStatus"].clone(),
        ]
    }

    /// Somebody gives a verdict on a version.
    pub fn decide_on(&self, version: u32, approval: &str) {
        let input = json!({
            "ModelPackageArn": arn(version),
            "ModelApprovalStatus": approval,
            "ApprovalDescription": "by a person",
        });
        self.sagemaker("UpdateModelPackage", &input);
    }
}
