//! SageMaker's models and the registry of their packages: what the adapters read of them, make and tell.

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::types::{
    ContainerDefinition, InferenceSpecification, ModelApprovalStatus,
    ModelPackageContainerDefinition, VpcConfig,
};
use shared::app::ports::{Class, Registry as _};
use shared::domain::registry::{Approval, PackageArn, Stage, Standing};

use super::Case;
use crate::account::Account;

const IMAGE: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/wine:1";
const ROLE: &str = "arn:aws:iam::123456789012:role/serving";
/// The deployment that a model is made for.
const ID: &str = "01997b6e-0000-7000-8000-0123456789ab";

pub(crate) fn cases() -> Vec<Case> {
    super::cases!("sagemaker":
        a_version_is_seen_as_it_was_registered,
        a_version_is_told_its_approval,
        a_version_is_told_its_stage_and_keeps_its_approval,
        a_version_that_is_not_there_is_invalid,
        a_model_of_a_version_is_made_like_another,
        a_model_of_a_version_made_twice_is_invalid,
        a_model_that_is_not_there_is_none,
    )
}

/// A group with one version that nobody has decided on.
async fn registered(account: &Account) -> PackageArn {
    let client = Client::new(&account.sdk);
    let group = account.name("wine");
    let made = client.create_model_package_group();
    let made = made.model_package_group_name(&group).send().await;
    made.expect("a new group");
    let container = ModelPackageContainerDefinition::builder()
        .image(IMAGE)
        .build();
    let inference = InferenceSpecification::builder()
        .containers(container)
        .build();
    let version = client
        .create_model_package()
        .model_package_group_name(&group)
        .model_approval_status(ModelApprovalStatus::PendingManualApproval)
        .inference_specification(inference)
        .send()
        .await
        .expect("a new version");
    let arn = version.model_package_arn().expect("an ARN");
    PackageArn::parse(arn).expect("the ARN of a version")
}

async fn told(account: &Account, standing: &Standing) {
    let told = account.aws.update_package(standing).await;
    told.expect("a version that is there");
}

async fn a_version_is_seen_as_it_was_registered(account: &Account) {
    let version = registered(account).await;
    assert_eq!(version.model_name(), account.name("wine") + "-package-1");
    let seen = account.aws.package(&version).await.expect("a version");
    assert_eq!(seen.status, "Completed");
    assert_eq!(seen.approval, Some(Approval::PendingManualApproval));
    assert_eq!(seen.stage, None);
}

async fn a_version_is_told_its_approval(account: &Account) {
    let version = registered(account).await;
    for approval in [Approval::Approved, Approval::Rejected] {
        let standing = Standing {
            package: version.clone(),
            approval: Some((approval, "too many errors".to_owned())),
            stage: None,
        };
        told(account, &standing).await;
        let seen = account.aws.package(&version).await.expect("a version");
        assert_eq!(seen.approval, Some(approval));
        assert_eq!(standing.over(&seen), None, "nothing is left to be said");
    }
    let client = Client::new(&account.sdk);
    let described = client.describe_model_package();
    let described = described.model_package_name(version.as_str()).send().await;
    let described = described.expect("a version");
    assert_eq!(described.approval_description(), Some("too many errors"));
}

async fn a_version_is_told_its_stage_and_keeps_its_approval(account: &Account) {
    let version = registered(account).await;
    for stage in [Stage::Production, Stage::Archived] {
        let standing = Standing {
            package: version.clone(),
            approval: None,
            stage: Some((stage, "by a rollout".to_owned())),
        };
        told(account, &standing).await;
        let seen = account.aws.package(&version).await.expect("a version");
        assert_eq!(seen.approval, Some(Approval::PendingManualApproval));
        let (is, status) = stage.words();
        assert_eq!(seen.stage, Some((is.to_owned(), status.to_owned())));
    }
}

async fn a_version_that_is_not_there_is_invalid(account: &Account) {
    let version = registered(account).await;
    let missing = PackageArn::parse(&format!("{version}7")).expect("the ARN of a version");
    let seen = account.aws.package(&missing).await;
    assert_eq!(seen.expect_err("no such version").class, Class::Invalid);
    let standing = Standing {
        package: missing,
        approval: Some((Approval::Approved, "fine".to_owned())),
        stage: None,
    };
    let told = account.aws.update_package(&standing).await;
    assert_eq!(told.expect_err("no such version").class, Class::Invalid);
}

/// A model in a network of its own.
async fn serving(account: &Account) -> String {
    let client = Client::new(&account.sdk);
    let network = VpcConfig::builder()
        .security_group_ids("sg-1")
        .subnets("subnet-1")
        .build();
    let made = client
        .create_model()
        .model_name(account.name("serving"))
        .execution_role_arn(ROLE)
        .vpc_config(network)
        .primary_container(ContainerDefinition::builder().image(IMAGE).build());
    made.send().await.expect("a new model");
    account.name("serving")
}

async fn a_model_of_a_version_is_made_like_another(account: &Account) {
    let (version, like) = (registered(account).await, serving(account).await);
    let name = version.model_name();
    let made = account.aws.make_model(&name, &version, &like, ID).await;
    made.expect("a new model");
    let seen = account.aws.model(&name).await.expect("a readable model");
    let seen = seen.expect("a model");
    assert_eq!(seen.package.as_deref(), Some(version.as_str()));
    assert_eq!(seen.execution_role.as_deref(), Some(ROLE));
    let network = seen.network.as_ref().expect("a network");
    assert!(network.subnets.iter().eq(["subnet-1"]), "{network:?}");
    assert!(network.security_groups.iter().eq(["sg-1"]), "{network:?}");
    let other = account.aws.model(&like).await.expect("a readable model");
    let other = other.expect("a model");
    assert_eq!(other.package, None, "made of an image");
    assert_eq!(seen.differences_from(&other), Vec::<&str>::new());
}

async fn a_model_of_a_version_made_twice_is_invalid(account: &Account) {
    let (version, like) = (registered(account).await, serving(account).await);
    let name = version.model_name();
    let made = account.aws.make_model(&name, &version, &like, ID).await;
    made.expect("a new model");
    let again = account.aws.make_model(&name, &version, &like, ID).await;
    assert_eq!(again.map_err(|error| error.class), Err(Class::Invalid));
}

async fn a_model_that_is_not_there_is_none(account: &Account) {
    let like = serving(account).await;
    let missing = like.trim_end_matches(|letter: char| letter.is_ascii_alphanumeric());
    let missing = missing.trim_end_matches('-');
    assert_eq!(account.aws.model(missing).await, Ok(None));
}
