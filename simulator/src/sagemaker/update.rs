//! UpdateEndpoint and UpdateEndpointWeightsAndCapacities.
//!
//! The two differ in kind. UpdateEndpoint builds a new fleet beside the old one, and what it forgets to carry
//! over (`RetainAllVariantProperties`) falls back to the config's initial values. The other call adjusts the
//! fleet that is there: weights of several variants or the capacity of one.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::endpoints::after;
use super::fleet::{Change, Endpoint, Variant};
use super::input::{self, Kind};
use super::{Context, World};
use crate::autoscaling::AutoScaling;
use crate::wire::AwsError;

const RETAINABLE: [&str; 3] = ["DesiredInstanceCount", "DesiredWeight", "DataCaptureConfig"];

impl World {
    pub(super) fn update_endpoint(
        &mut self,
        context: &Context<'_>,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let name = input::name(input, "EndpointName")?;
        let config_name = input::name(input, "EndpointConfigName")?;
        let retained = Retained::parse(input)?;
        self.endpoint(name)?.check_idle(context.now)?;
        let (config, mut variants, shadow) = self.fleet_of(config_name, context.now)?;
        retained.carry_over(&self.endpoint(name)?.variants, &mut variants);
        self.check_quota(&variants)?;
        let switched_off = self.failures.remove(name);
        let endpoint = self.endpoint(name)?;
        let failure =
            switched_off.or_else(|| scaling_conflict(endpoint, &variants, context.autoscaling));
        if let Some(deployment) = input
            .get("DeploymentConfig")
            .filter(|value| value.is_object())
        {
            endpoint.deployment_config = Some(deployment.clone());
        } else if input["RetainDeploymentConfig"] != true {
            endpoint.deployment_config = None;
        }
        endpoint.begin(
            Change::Deploy {
                config_name: config_name.to_owned(),
                config,
                variants,
                shadow,
                failure,
            },
            context.now,
            after(context.now, context.timings.update_endpoint),
        );
        Ok(json!({"EndpointArn": endpoint.arn}))
    }

    pub(super) fn update_weights_and_capacities(
        &mut self,
        context: &Context<'_>,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let name = input::name(input, "EndpointName")?;
        let adjustments = adjustments(input)?;
        let endpoint = self.endpoint(name)?;
        for adjustment in &adjustments {
            if !endpoint
                .variants
                .iter()
                .any(|variant| variant.name == adjustment.variant)
            {
                return Err(AwsError::validation(format!(
                    "Could not find variant \"{}\" of endpoint \"{}\".",
                    adjustment.variant, endpoint.arn
                )));
            }
        }
        endpoint.check_idle(context.now)?;
        self.check_growth(name, &adjustments)?;
        let endpoint = self.endpoint(name)?;
        let mut duration = context.timings.weights;
        for adjustment in &adjustments {
            for variant in &mut endpoint.variants {
                if variant.name != adjustment.variant {
                    continue;
                }
                if let Some(weight) = adjustment.weight {
                    variant.desired_weight = weight;
                }
                if let Some(count) = adjustment.count {
                    variant.desired_count = count;
                    duration = context.timings.capacity;
                }
            }
        }
        endpoint.begin(Change::Adjust, context.now, after(context.now, duration));
        Ok(json!({"EndpointArn": endpoint.arn}))
    }

    fn check_growth(&self, name: &str, adjustments: &[Adjustment<'_>]) -> Result<(), AwsError> {
        let known = self.spelled(name);
        let Some(endpoint) = known.and_then(|known| self.endpoints.get(known)) else {
            return Err(Kind::Endpoint.missing(name));
        };
        for adjustment in adjustments {
            let variant = endpoint
                .variants
                .iter()
                .find(|variant| variant.name == adjustment.variant);
            if let (Some(variant), Some(count)) = (variant, adjustment.count)
                && let Some(instance_type) = &variant.instance_type
                && count > variant.desired_count
            {
                self.check_quota_of(instance_type, count - variant.desired_count)?;
            }
        }
        Ok(())
    }
}

/// Which properties of the old fleet the new one keeps.
struct Retained {
    weight: bool,
    count: bool,
}

impl Retained {
    fn parse(input: &Value) -> Result<Retained, AwsError> {
        let all = input["RetainAllVariantProperties"] == true;
        let excluded = input::list(input, "ExcludeRetainedVariantProperties");
        if excluded.len() > RETAINABLE.len() {
            return Err(input::constraint(
                &excluded.len().to_string(),
                "ExcludeRetainedVariantProperties",
                "Member must have length less than or equal to 3",
            ));
        }
        let mut kinds = HashSet::new();
        for property in excluded {
            let kind = input::text(property, "VariantPropertyType")?;
            if !RETAINABLE.contains(&kind) {
                return Err(input::constraint(
                    kind,
                    "VariantPropertyType",
                    "Member must satisfy enum value set: [DesiredInstanceCount, DesiredWeight, \
                     DataCaptureConfig]",
                ));
            }
            kinds.insert(kind);
        }
        Ok(Retained {
            weight: all && !kinds.contains("DesiredWeight"),
            count: all && !kinds.contains("DesiredInstanceCount"),
        })
    }

    fn carry_over(&self, old: &[Variant], new: &mut [Variant]) {
        for variant in new {
            let Some(former) = old.iter().find(|former| former.name == variant.name) else {
                continue;
            };
            if self.weight {
                variant.desired_weight = former.desired_weight;
                variant.current_weight = former.desired_weight;
            }
            if self.count {
                variant.desired_count = former.desired_count;
            }
        }
    }
}

/// Why Application Auto Scaling stands in the way of a new fleet: a variant it scales would go or change its
/// instance type.
fn scaling_conflict(
    endpoint: &Endpoint,
    coming: &[Variant],
    autoscaling: &AutoScaling,
) -> Option<String> {
    let blocked: Vec<&str> = endpoint
        .variants
        .iter()
        .filter(|variant| {
            let stays = coming.iter().any(|next| {
                next.name == variant.name && next.instance_type == variant.instance_type
            });
            !stays && autoscaling.is_registered(&endpoint.name, &variant.name)
        })
        .map(|variant| variant.name.as_str())
        .collect();
    (!blocked.is_empty()).then(|| {
        format!(
            "The following variants are registered as scalable targets and cannot be removed or \
             change their instance type: [{}]. Deregister them with Application Auto Scaling first.",
            blocked.join(", ")
        )
    })
}

struct Adjustment<'input> {
    variant: &'input str,
    weight: Option<f64>,
    count: Option<i64>,
}

fn adjustments(input: &Value) -> Result<Vec<Adjustment<'_>>, AwsError> {
    let mut names = HashSet::new();
    let mut adjustments = Vec::new();
    for entry in input::list(input, "DesiredWeightsAndCapacities") {
        let adjustment = Adjustment {
            variant: input::name(entry, "VariantName")?,
            weight: input::weight(entry, "DesiredWeight")?,
            count: input::instances(entry, "DesiredInstanceCount")?,
        };
        if !names.insert(adjustment.variant) {
            return Err(AwsError::validation(format!(
                "The variant \"{}\" is named more than once.",
                adjustment.variant
            )));
        }
        if adjustment.weight.is_none() && adjustment.count.is_none() {
            return Err(AwsError::validation(
                "Either DesiredWeight or DesiredInstanceCount must be specified.",
            ));
        }
        adjustments.push(adjustment);
    }
    if adjustments.is_empty() {
        return Err(AwsError::validation(
            "1 validation error detected: Value at 'desiredWeightsAndCapacities' failed to satisfy \
             constraint: Member must have length greater than or equal to 1",
        ));
    }
    let counts = adjustments.iter().filter(|a| a.count.is_some()).count();
    let weights = adjustments.iter().filter(|a| a.weight.is_some()).count();
    if counts > 1 || (counts == 1 && weights > 0) {
        return Err(AwsError::validation(
            "One call can change the weights of several variants or the capacity of one variant, \
             not both.",
        ));
    }
    Ok(adjustments)
}
