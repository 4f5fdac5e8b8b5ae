//! The model registry: groups of model packages and their versions, kept as they were sent. What a version
//! is made of is not looked at, but for an image that means a server, as a model's may. Its approval and its
//! stage are what others act on.

use serde_json::{Value, json};

use super::input::{self, Kind};
use super::{Context, World, backend, tags};
use crate::wire::{AwsError, epoch_seconds};

/// `ModelApprovalStatus` of the service model.
const APPROVALS: [&str; 3] = ["Approved", "Rejected", "PendingManualApproval"];
/// Of a description (`EntityDescription`, `ApprovalDescription` and `StageDescription`).
const LONGEST_DESCRIPTION: usize = 1024;
/// `VersionedArnOrName`.
const LONGEST_ARN_OR_NAME: usize = 176;

impl World {
    pub(super) fn create_package_group(
        &mut self,
        context: &Context<'_>,
        input: &Value,
    ) -> Result<Value, AwsError> {
        const NAME: &str = "ModelPackageGroupName";
        let name = input::name(input, NAME)?;
        let arn = Kind::PackageGroup.arn(name);
        if self.package_groups.contains_key(&arn) {
            return Err(Kind::PackageGroup.exists(name));
        }
        description(input, "ModelPackageGroupDescription")?;
        self.adopt_tags(&arn, tags::parse(input)?);
        let mut group = without_tags(input);
        group["ModelPackageGroupArn"] = arn.clone().into();
        group["CreationTime"] = epoch_seconds(context.now);
        self.package_groups.insert(arn.clone(), group);
        Ok(json!({"ModelPackageGroupArn": arn}))
    }

    pub(super) fn create_package(
        &mut self,
        context: &Context<'_>,
        input: &Value,
    ) -> Result<Value, AwsError> {
        backend::server_of_image(image_of(input)).map_err(AwsError::validation)?;
        description(input, "ModelPackageDescription")?;
        life_cycle(input)?;
        let (own, group) = (&input["ModelPackageName"], &input["ModelPackageGroupName"]);
        let mut package = without_tags(input);
        let arn = match (own.as_str(), group.as_str()) {
            (Some(_), Some(_)) => {
                return Err(AwsError::validation(
                    "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which \
                     one to use.",
                ));
            }
            (None, None) => return Err(AwsError::validation("Missing ARN.")),
            (Some(_), None) => self.unversioned(input)?,
            (None, Some(group)) => self.next_version(group, &mut package)?,
        };
        self.adopt_tags(&arn, tags::parse(input)?);
        package["ModelPackageArn"] = arn.clone().into();
        package["CreationTime"] = epoch_seconds(context.now);
        package["ModelPackageStatus"] = "Completed".into();
        package["ModelPackageStatusDetails"] = json!({"ValidationStatuses": []});
        if let Some(members) = package.as_object_mut() {
            members.remove("ClientToken");
        }
        self.packages.insert(arn.clone(), package);
        Ok(json!({"ModelPackageArn": arn}))
    }

    /// The ARN of a package that is in no group.
    fn unversioned(&self, input: &Value) -> Result<String, AwsError> {
        let name = input::name(input, "ModelPackageName")?;
        if !input["ModelApprovalStatus"].is_null() {
            return Err(no_approval());
        }
        let arn = Kind::Package.arn(name);
        if self.packages.contains_key(&arn) {
            return Err(Kind::Package.exists(name));
        }
        Ok(arn)
    }

    /// Makes the package the next version in its group; its ARN.
    fn next_version(&self, group: &str, package: &mut Value) -> Result<String, AwsError> {
        let approval = one_of(package, "ModelApprovalStatus", &APPROVALS)?;
        let approval = approval.unwrap_or("PendingManualApproval").to_owned();
        let name = group.rsplit('/').next().unwrap_or_default();
        let arn = Kind::PackageGroup.arn(name);
        let Some(group) = self.package_groups.get(&arn) else {
            return Err(AwsError::validation(format!(
                "Model Package Group {arn} does not exist."
            )));
        };
        let name = group["ModelPackageGroupName"].clone();
        let versions = self.packages.values();
        let before = versions.filter(|package| package["ModelPackageGroupName"] == name);
        let numbers = before.filter_map(|package| package["ModelPackageVersion"].as_u64());
        let version = numbers.max().unwrap_or(0) + 1;
        let path = format!("{}/{version}", name.as_str().unwrap_or_default());
        package["ModelPackageName"] = name.clone();
        package["ModelPackageGroupName"] = name;
        package["ModelPackageVersion"] = version.into();
        package["ModelApprovalStatus"] = approval.into();
        Ok(Kind::Package.arn(&path))
    }

    /// What was made of it stays, and so does the model that an endpoint is on.
    pub(super) fn delete_package(&mut self, input: &Value) -> Result<Value, AwsError> {
        let text = input::text(input, "ModelPackageName")?;
        let arn = self.package(text, "ModelPackageName")?["ModelPackageArn"].clone();
        let key = arn.as_str().unwrap_or_default();
        self.packages.remove(key);
        self.tags.remove(key);
        Ok(json!({}))
    }

    pub(super) fn describe_package(&self, input: &Value) -> Result<Value, AwsError> {
        let text = input::text(input, "ModelPackageName")?;
        self.package(text, "ModelPackageName").cloned()
    }

    /// The package that an ARN, a name or a group with a version names.
    pub(super) fn package(&self, text: &str, member: &str) -> Result<&Value, AwsError> {
        if text.is_empty() || text.len() > LONGEST_ARN_OR_NAME {
            return Err(input::constraint(
                text,
                member,
                "Member must have length between 1 and 176",
            ));
        }
        let key = if text.starts_with("arn:") {
            text.to_ascii_lowercase()
        } else {
            Kind::Package.arn(text)
        };
        self.packages
            .get(&key)
            .ok_or_else(|| AwsError::validation(format!("ModelPackage {key} does not exist.")))
    }

    pub(super) fn update_package(
        &mut self,
        context: &Context<'_>,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let arn = input::text(input, "ModelPackageArn")?;
        if !arn.starts_with("arn:") || !arn.contains(":model-package/") {
            return Err(input::constraint(
                arn,
                "ModelPackageArn",
                r"Member must satisfy regular expression pattern: ^arn:aws(-cn|-us-gov|-iso-f)?:sagemaker:[a-z0-9\-]{9,16}:[0-9]{12}:model-package/[\S]{1,2048}$",
            ));
        }
        let approval = one_of(input, "ModelApprovalStatus", &APPROVALS)?;
        description(input, "ApprovalDescription")?;
        life_cycle(input)?;
        let arn = self.package(arn, "ModelPackageArn")?["ModelPackageArn"].clone();
        let key = arn.as_str().unwrap_or_default();
        let Some(package) = self.packages.get_mut(key) else {
            return Err(AwsError::validation(format!(
                "ModelPackage {key} does not exist."
            )));
        };
        if approval.is_some() && package["ModelPackageVersion"].is_null() {
            return Err(no_approval());
        }
        for member in [
            "ModelApprovalStatus",
            "ApprovalDescription",
            "ModelLifeCycle",
        ] {
            if !input[member].is_null() {
                package[member] = input[member].clone();
            }
        }
        package["LastModifiedTime"] = epoch_seconds(context.now);
        Ok(json!({"ModelPackageArn": arn}))
    }
}

/// The image of a package's first container, which answers for it.
pub(super) fn image_of(package: &Value) -> &str {
    let containers = &package["InferenceSpecification"]["Containers"];
    containers[0]["Image"].as_str().unwrap_or_default()
}

fn no_approval() -> AwsError {
    AwsError::validation("ModelApprovalStatus does not apply to an unversioned model package.")
}

/// What was sent, without its tags.
fn without_tags(input: &Value) -> Value {
    let mut kept = input.clone();
    if let Some(members) = kept.as_object_mut() {
        members.remove("Tags");
    }
    kept
}

/// An optional member of an enumeration.
fn one_of<'input>(
    input: &'input Value,
    member: &str,
    allowed: &[&str],
) -> Result<Option<&'input str>, AwsError> {
    match input[member].as_str() {
        None if input[member].is_null() => Ok(None),
        Some(value) if allowed.contains(&value) => Ok(Some(value)),
        _ => Err(input::constraint(
            &input[member].to_string(),
            member,
            &format!(
                "Member must satisfy enum value set: [{}]",
                allowed.join(", ")
            ),
        )),
    }
}

/// An optional text of one line.
fn description(input: &Value, member: &str) -> Result<(), AwsError> {
    let Some(text) = input[member].as_str() else {
        return Ok(());
    };
    if text.chars().count() > LONGEST_DESCRIPTION {
        return Err(input::constraint(
            text,
            member,
            "Member must have length less than or equal to 1024",
        ));
    }
    // `.` stands for anything but a line break.
    if text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
        return Err(input::constraint(
            text,
            member,
            "Member must satisfy regular expression pattern: .*",
        ));
    }
    Ok(())
}

/// An optional `ModelLifeCycle`.
fn life_cycle(input: &Value) -> Result<(), AwsError> {
    let at = &input["ModelLifeCycle"];
    if at.is_null() {
        return Ok(());
    }
    input::name(at, "Stage")?;
    input::name(at, "StageStatus")?;
    description(at, "StageDescription")
}
