//! Endpoint configs: the whole JSON object that came in is kept, so that every field comes back unchanged, also
//! the ones this code has never heard of. A copy that loses a field then shows.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::input::{self, Kind};
use super::listing::{self, Item};
use super::{Context, World, tags};
use crate::wire::{AwsError, epoch_seconds};

const MOST_VARIANTS: usize = 10;

impl World {
    pub(super) fn create_config(
        &mut self,
        context: &Context<'_>,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let name = input::name(input, "EndpointConfigName")?;
        if self.configs.contains_key(name) {
            return Err(Kind::Config.exists(name));
        }
        self.check_variants(input)?;
        let arn = Kind::Config.arn(name);
        self.adopt_tags(&arn, tags::parse(input)?);
        let mut config = input.clone();
        if let Some(members) = config.as_object_mut() {
            members.remove("Tags");
        }
        for list in ["ProductionVariants", "ShadowProductionVariants"] {
            let variants = config.get_mut(list).and_then(Value::as_array_mut);
            for variant in variants.into_iter().flatten() {
                if variant["InitialVariantWeight"].is_null() && variant["ModelName"].is_string() {
                    variant["InitialVariantWeight"] = json!(1.0);
                }
            }
        }
        config["EndpointConfigArn"] = arn.clone().into();
        config["CreationTime"] = epoch_seconds(context.now);
        self.configs.insert(name.to_owned(), config);
        Ok(json!({"EndpointConfigArn": arn}))
    }

    fn check_variants(&self, input: &Value) -> Result<(), AwsError> {
        let production = input::list(input, "ProductionVariants");
        let shadow = input::list(input, "ShadowProductionVariants");
        if production.is_empty() || production.len() > MOST_VARIANTS {
            return Err(AwsError::validation(format!(
                "1 validation error detected: Value at 'productionVariants' failed to satisfy \
                 constraint: Member must have length between 1 and {MOST_VARIANTS}"
            )));
        }
        if !shadow.is_empty() && (shadow.len() > 1 || production.len() > 1) {
            return Err(AwsError::validation(
                "A shadow variant needs exactly one production variant and one shadow variant.",
            ));
        }
        let mut names = HashSet::new();
        for variant in production.iter().chain(shadow) {
            let name = input::name(variant, "VariantName")?;
            if !names.insert(name) {
                return Err(AwsError::validation(format!(
                    "Variant names must be unique: \"{name}\" is used more than once."
                )));
            }
            self.check_variant(variant, production.len())?;
        }
        Ok(())
    }

    fn check_variant(&self, variant: &Value, siblings: usize) -> Result<(), AwsError> {
        input::weight(variant, "InitialVariantWeight")?;
        let count = input::instances(variant, "InitialInstanceCount")?;
        // A variant without a model hosts inference components.
        let Some(model) = variant["ModelName"].as_str() else {
            return Ok(());
        };
        if !self.models.contains_key(model) {
            return Err(Kind::Model.missing(model));
        }
        if variant["ServerlessConfig"].is_object() {
            return if siblings > 1 {
                Err(AwsError::validation(
                    "A serverless variant must be the only production variant.",
                ))
            } else {
                Ok(())
            };
        }
        let pooled = !input::list(variant, "InstancePools").is_empty();
        if !pooled && (variant["InstanceType"].as_str().is_none() || count.is_none()) {
            return Err(AwsError::validation(
                "InstanceType and InitialInstanceCount must be specified for an instance-based variant.",
            ));
        }
        Ok(())
    }

    pub(super) fn describe_config(&self, input: &Value) -> Result<Value, AwsError> {
        let name = input::name(input, "EndpointConfigName")?;
        self.configs
            .get(name)
            .cloned()
            .ok_or_else(|| Kind::Config.missing(name))
    }

    pub(super) fn list_configs(&self, input: &Value) -> Value {
        let items = self
            .configs
            .iter()
            .map(|(name, config)| Item {
                name: name.clone(),
                created: config["CreationTime"].as_f64().unwrap_or(0.0),
                modified: 0.0,
                status: None,
                summary: json!({
                    "EndpointConfigName": name,
                    "EndpointConfigArn": config["EndpointConfigArn"],
                    "CreationTime": config["CreationTime"],
                }),
            })
            .collect();
        listing::page(items, input, "EndpointConfigs")
    }

    pub(super) fn delete_config(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = input::name(input, "EndpointConfigName")?;
        if self.configs.remove(name).is_none() {
            return Err(Kind::Config.missing(name));
        }
        self.tags.remove(&Kind::Config.arn(name));
        let users = self
            .endpoints
            .values()
            .filter(|endpoint| endpoint.uses_config(name));
        let found: Vec<String> = users
            .map(|endpoint| {
                format!(
                    "endpoint config {name} was deleted while endpoint {} uses or deploys it",
                    endpoint.name
                )
            })
            .collect();
        self.violations.extend(found);
        Ok(json!({}))
    }
}
