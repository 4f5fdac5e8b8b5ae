//! Models: kept as they were sent. Only the image is looked at, because a loopback URL in its place means a server.

use serde_json::{Value, json};

use super::input::{self, Kind};
use super::listing::{self, Item};
use super::{Context, World, backend, tags};
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
        }
        let arn = Kind::Model.arn(name);
        self.adopt_tags(&arn, tags::parse(input)?);
        let mut model = input.clone();
        if let Some(members) = model.as_object_mut() {
            members.remove("Tags");
        }
        model["ModelArn"] = arn.clone().into();
        model["CreationTime"] = epoch_seconds(context.now);
        self.models.insert(name.to_owned(), model);
        Ok(json!({"ModelArn": arn}))
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

/// A model's containers, whichever way it names them.
pub(super) fn containers(model: &Value) -> Vec<&Value> {
    let primary = Some(&model["PrimaryContainer"]).filter(|container| container.is_object());
    primary
        .into_iter()
        .chain(input::list(model, "Containers"))
        .collect()
}
