//! Models: kept as they were sent. Only the image is looked at, because a loopback URL in its place means a server,
//! that the package is there which one is made of, and that a network has its two kinds of ids. Nothing is done
//! with the network: it is told again by DescribeModel.

use serde_json::{Value, json};

use super::input::{self, Kind};
use super::listing::{self, Item};
use super::{Context, World, backend, registry, tags};
use crate::wire::{AwsError, epoch_seconds};

impl World {
    pub(super) fn create_model(
        &mut self,
        context: &Context<'_>,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let name = input::name(input, "ModelName")?;
        if self.models.contains_key(name) {
            return Err(Kind::Model.exists(name));
        }
        network(input)?;
        let containers = containers(input);
        if containers.is_empty() {
            return Err(AwsError::validation(
                "Either PrimaryContainer or Containers must be specified.",
            ));
        }
        for container in &containers {
            let image = container["Image"].as_str().unwrap_or_default();
            backend::server_of_image(image).map_err(AwsError::validation)?;
            if image.is_empty() && container["ModelPackageName"].is_null() {
                return Err(AwsError::validation(
                    "One of Image or ModelPackageName must be specified for a container.",
                ));
            }
            if let Some(package) = container["ModelPackageName"].as_str() {
                let package = self.package(package, "ModelPackageName")?;
                if package["ModelApprovalStatus"] == "Rejected" {
                    return Err(AwsError::validation(format!(
                        "ModelPackage {} is Rejected.",
                        package["ModelPackageArn"].as_str().unwrap_or_default()
                    )));
                }
            }
        }
        let arn = Kind::Model.arn(name);
        self.adopt_tags(&arn, tags::parse(input)?);
        let mut model = input.clone();
        if let Some(members) = model.as_object_mut() {
            members.remove("Tags");
        }
        self.take_images_from_packages(&mut model);
        model["ModelArn"] = arn.clone().into();
        model["CreationTime"] = epoch_seconds(context.now);
        self.models.insert(name.to_owned(), model);
        Ok(json!({"ModelArn": arn}))
    }

    /// A container that is named by its package alone runs the package's image.
    fn take_images_from_packages(&self, model: &mut Value) {
        let take = |container: &mut Value| {
            let named = container["ModelPackageName"].as_str();
            let package = named.and_then(|name| self.package(name, "ModelPackageName").ok());
            let image = package
                .map(registry::image_of)
                .filter(|image| !image.is_empty());
            if let Some(image) = image
                && container["Image"].is_null()
            {
                container["Image"] = image.into();
            }
        };
        // By `get_mut`: an index would leave a null where there was nothing.
        let primary = model.get_mut("PrimaryContainer");
        primary
            .filter(|it| it.is_object())
            .into_iter()
            .for_each(take);
        let several = model.get_mut("Containers").and_then(Value::as_array_mut);
        several.into_iter().flatten().for_each(take);
    }

    pub(super) fn describe_model(&self, input: &Value) -> Result<Value, AwsError> {
        let name = input::name(input, "ModelName")?;
        self.models
            .get(name)
            .cloned()
            .ok_or_else(|| Kind::Model.missing(name))
    }

    pub(super) fn list_models(&self, input: &Value) -> Value {
        let items = self
            .models
            .iter()
            .map(|(name, model)| Item {
                name: name.clone(),
                created: model["CreationTime"].as_f64().unwrap_or(0.0),
                modified: 0.0,
                status: None,
                summary: json!({
                    "ModelName": name,
                    "ModelArn": model["ModelArn"],
                    "CreationTime": model["CreationTime"],
                }),
            })
            .collect();
        listing::page(items, input, "Models")
    }

    pub(super) fn delete_model(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = input::name(input, "ModelName")?;
        if self.models.remove(name).is_none() {
            return Err(Kind::Model.missing(name));
        }
        self.tags.remove(&Kind::Model.arn(name));
        let users = self
            .endpoints
            .values()
            .filter(|endpoint| endpoint.uses_model(name));
        let found: Vec<String> = users
            .map(|endpoint| {
                format!(
                    "model {name} was deleted while endpoint {} uses it",
                    endpoint.name
                )
            })
            .collect();
        self.violations.extend(found);
        Ok(json!({}))
    }
}

/// `VpcConfig`, where it is named: up to 5 security groups and 16 subnets, and of both one at least.
fn network(input: &Value) -> Result<(), AwsError> {
    let network = &input["VpcConfig"];
    if network.is_null() {
        return Ok(());
    }
    for (member, most) in [("SecurityGroupIds", 5), ("Subnets", 16)] {
        let count = input::list(network, member).len();
        if !(1..=most).contains(&count) {
            return Err(input::constraint(
                &network[member].to_string(),
                member,
                &format!("Member must have length between 1 and {most}"),
            ));
        }
    }
    Ok(())
}

/// A model's containers, whichever way it names them.
pub(super) fn containers(model: &Value) -> Vec<&Value> {
    let primary = Some(&model["PrimaryContainer"]).filter(|container| container.is_object());
    primary
        .into_iter()
        .chain(input::list(model, "Containers"))
        .collect()
}
