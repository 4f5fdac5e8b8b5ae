//! Application Auto Scaling of a variant's instances.

use std::collections::BTreeMap;

use aws_sdk_applicationautoscaling::operation::put_scaling_policy::PutScalingPolicyError;
use aws_sdk_applicationautoscaling::operation::tag_resource::TagResourceError;
use aws_sdk_applicationautoscaling::types::{
    self, CustomizedMetricSpecification, MetricDimension, MetricStatistic, MetricType, PolicyType,
    PredefinedMetricSpecification, ScalableDimension, ScalingPolicy, ServiceNamespace,
    SuspendedState, TargetTrackingScalingPolicyConfiguration,
};

use super::Aws;
use super::error::{nonsense, sort};
use crate::app::ports::{Class, PortError, Scaling};
use crate::domain::scaling::{
    Bounds, CustomizedMetric, ScalableTarget, Suspension, TrackingPolicy,
};

const DIMENSION: ScalableDimension = ScalableDimension::SageMakerVariantDesiredInstanceCount;

impl Scaling for Aws {
    async fn target(
        &self,
        endpoint: &str,
        variant: &str,
    ) -> Result<Option<ScalableTarget>, PortError> {
        let id = resource(endpoint, variant);
        let Some(target) = self.described(&id).await? else {
            return Ok(None);
        };
        if self.has_schedule(&id).await? {
            return Err(scheduled(variant));
        }
        let policies = self.policies(&id, variant).await?;
        let suspended = target
            .suspended_state()
            .map_or_else(Suspension::default, |state| {
                let is = |flag: Option<bool>| flag == Some(true);
                Suspension {
                    scale_in: is(state.dynamic_scaling_in_suspended),
                    scale_out: is(state.dynamic_scaling_out_suspended),
                    scheduled: is(state.scheduled_scaling_suspended),
                }
            });
        let tags = match target.scalable_target_arn() {
            Some(arn) => self.tags_of_target(arn).await?,
            None => BTreeMap::new(),
        };
        let Bounds { min, max } = bounds(&target);
        Ok(Some(ScalableTarget {
            min,
            max,
            policies,
            suspended,
            tags,
        }))
    }

    async fn bounds(&self, endpoint: &str, variant: &str) -> Result<Option<Bounds>, PortError> {
        let target = self.described(&resource(endpoint, variant)).await?;
        Ok(target.as_ref().map(bounds))
    }

    async fn set_floor(&self, endpoint: &str, variant: &str, min: u32) -> Result<(), PortError> {
        let call = self
            .control
            .autoscaling_once
            .register_scalable_target()
            .service_namespace(ServiceNamespace::Sagemaker);
        let call = call
            .resource_id(resource(endpoint, variant))
            .scalable_dimension(DIMENSION)
            .min_capacity(signed(min));
        call.send()
            .await
            .map(drop)
            .map_err(|error| sort("RegisterScalableTarget", &error))
    }

    async fn register(
        &self,
        endpoint: &str,
        variant: &str,
        target: &ScalableTarget,
    ) -> Result<(), PortError> {
        let id = resource(endpoint, variant);
        let call = self
            .control
            .autoscaling_once
            .register_scalable_target()
            .service_namespace(ServiceNamespace::Sagemaker);
        let call = call
            .resource_id(&id)
            .scalable_dimension(DIMENSION)
            .min_capacity(signed(target.min))
            .max_capacity(signed(target.max))
            .set_suspended_state(suspended_state(target.suspended));
        let registered = call
            .send()
            .await
            .map_err(|error| sort("RegisterScalableTarget", &error))?;
        for text in &target.policies {
            let policy: TrackingPolicy = serde_json::from_str(text)
                .map_err(|error| nonsense("PutScalingPolicy", error.to_string()))?;
            let call = self
                .control
                .autoscaling_once
                .put_scaling_policy()
                .service_namespace(ServiceNamespace::Sagemaker);
            let call = call
                .policy_name(&policy.name)
                .resource_id(&id)
                .scalable_dimension(DIMENSION)
                .policy_type(PolicyType::TargetTrackingScaling);
            let configuration = configuration(&policy, variant)?;
            let call = call.target_tracking_scaling_policy_configuration(configuration);
            call.send().await.map_err(|error| {
                let refusal = error.as_service_error();
                let is_unknown =
                    refusal.is_some_and(PutScalingPolicyError::is_object_not_found_exception);
                let error = sort("PutScalingPolicy", &error);
                // The target was made a moment ago, and is not known everywhere at once.
                let class = if is_unknown {
                    Class::Retryable
                } else {
                    error.class
                };
                PortError { class, ..error }
            })?;
        }
        // Last: without its tags it scales all the same.
        if target.tags.is_empty() {
            return Ok(());
        }
        let arn = registered.scalable_target_arn();
        let arn = arn.ok_or_else(|| nonsense("RegisterScalableTarget", "no ARN"))?;
        self.tag_target(arn, &target.tags).await
    }

    async fn deregister(&self, endpoint: &str, variant: &str) -> Result<(), PortError> {
        let call = self
            .control
            .autoscaling_once
            .deregister_scalable_target()
            .service_namespace(ServiceNamespace::Sagemaker);
        match call.resource_id(resource(endpoint, variant)).scalable_dimension(DIMENSION).send().await {
            Ok(_) => Ok(()),
            // Gone already: an earlier try removed it.
            Err(error) if error.as_service_error().is_some_and(aws_sdk_applicationautoscaling::operation::deregister_scalable_target::DeregisterScalableTargetError::is_object_not_found_exception) => Ok(()),
            Err(error) => Err(sort("DeregisterScalableTarget", &error)),
        }
    }
}

impl Aws {
    async fn described(&self, id: &str) -> Result<Option<types::ScalableTarget>, PortError> {
        let call = self
            .control
            .autoscaling
            .describe_scalable_targets()
            .service_namespace(ServiceNamespace::Sagemaker);
        let output = call
            .resource_ids(id)
            .scalable_dimension(DIMENSION)
            .send()
            .await
            .map_err(|error| sort("DescribeScalableTargets", &error))?;
        Ok(output
            .scalable_targets
            .and_then(|targets| targets.into_iter().next()))
    }

    /// What AWS reserves for itself can't be given to another target.
    async fn tags_of_target(&self, arn: &str) -> Result<BTreeMap<String, String>, PortError> {
        let call = self.control.autoscaling.list_tags_for_resource();
        let output = call
            .resource_arn(arn)
            .send()
            .await
            .map_err(|error| sort("ListTagsForResource", &error))?;
        let tags = output.tags.unwrap_or_default().into_iter();
        Ok(tags
            .filter(|(key, _)| !key.to_ascii_lowercase().starts_with("aws:"))
            .collect())
    }

    async fn tag_target(
        &self,
        arn: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), PortError> {
        let call = self.control.autoscaling_once.tag_resource();
        let tags = tags.clone().into_iter().collect();
        let call = call.resource_arn(arn).set_tags(Some(tags));
        call.send().await.map(drop).map_err(|error| {
            let refusal = error.as_service_error();
            let is_unknown = refusal.is_some_and(TagResourceError::is_resource_not_found_exception);
            let error = sort("TagResource", &error);
            // As with its policies: it may not be known everywhere at once.
            let class = if is_unknown {
                Class::Retryable
            } else {
                error.class
            };
            PortError { class, ..error }
        })
    }

    async fn has_schedule(&self, id: &str) -> Result<bool, PortError> {
        let call = self
            .control
            .autoscaling
            .describe_scheduled_actions()
            .service_namespace(ServiceNamespace::Sagemaker);
        let call = call.resource_id(id).scalable_dimension(DIMENSION);
        let output = call
            .send()
            .await
            .map_err(|error| sort("DescribeScheduledActions", &error))?;
        Ok(!output.scheduled_actions().is_empty())
    }

    async fn policies(&self, id: &str, variant: &str) -> Result<Vec<String>, PortError> {
        let call = self
            .control
            .autoscaling
            .describe_scaling_policies()
            .service_namespace(ServiceNamespace::Sagemaker);
        let call = call.resource_id(id).scalable_dimension(DIMENSION);
        let mut found = call.into_paginator().items().send();
        let mut policies = Vec::new();
        while let Some(policy) = found.next().await {
            let policy = policy.map_err(|error| sort("DescribeScalingPolicies", &error))?;
            let kept = serde_json::to_string(&kept(&policy, variant)?)
                .map_err(|error| nonsense("DescribeScalingPolicies", error.to_string()))?;
            policies.push(kept);
        }
        Ok(policies)
    }
}

/// A schedule changes the bounds as the day goes: those that were found when the rollout began may be
/// the night's when they are put back at noon.
fn scheduled(variant: &str) -> PortError {
    let text = format!(
        "variant {variant} has scheduled scaling actions, and the bounds that are found may not be the hour's when the rollout ends; remove them for the time of the rollout"
    );
    PortError::new(Class::Invalid, "DescribeScheduledActions", text)
}

/// Nothing is sent where nothing is suspended: a floor that is raised leaves what it does not name.
fn suspended_state(suspended: Suspension) -> Option<SuspendedState> {
    (!suspended.is_none()).then(|| {
        SuspendedState::builder()
            .dynamic_scaling_in_suspended(suspended.scale_in)
            .dynamic_scaling_out_suspended(suspended.scale_out)
            .scheduled_scaling_suspended(suspended.scheduled)
            .build()
    })
}

fn bounds(target: &types::ScalableTarget) -> Bounds {
    let whole = |number: i32| u32::try_from(number).unwrap_or(0);
    Bounds {
        min: whole(target.min_capacity),
        max: whole(target.max_capacity),
    }
}

fn resource(endpoint: &str, variant: &str) -> String {
    format!("endpoint/{endpoint}/variant/{variant}")
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A policy as it is kept in the record. What could not be put back is refused rather than half kept:
/// a deployment on such an endpoint says so before anything moves.
fn kept(policy: &ScalingPolicy, variant: &str) -> Result<TrackingPolicy, PortError> {
    let name = policy.policy_name();
    let unkept = |what: &str| {
        let text = format!(
            "scaling policy {name} {what}, which can't be put back after the rollout; use target tracking on a metric without math"
        );
        PortError::new(Class::Invalid, "DescribeScalingPolicies", text)
    };
    let tracking = policy
        .target_tracking_scaling_policy_configuration()
        .ok_or_else(|| unkept("is not a target-tracking policy"))?;
    let customized = tracking.customized_metric_specification();
    if customized.is_some_and(|metric| !metric.metrics().is_empty()) {
        return Err(unkept("tracks metric math"));
    }
    let predefined = tracking.predefined_metric_specification();
    Ok(TrackingPolicy {
        name: name.to_owned(),
        target_value: tracking.target_value(),
        metric: predefined.map(|metric| metric.predefined_metric_type().as_str().to_owned()),
        customized: customized.map(|metric| of_variant(metric, variant)),
        scale_in_cooldown: tracking.scale_in_cooldown(),
        scale_out_cooldown: tracking.scale_out_cooldown(),
        disable_scale_in: tracking.disable_scale_in(),
    })
}

/// A metric of CloudWatch, with the variant's name left open where a dimension says that it is one:
/// `VariantName`, or whatever a team calls it as long as the word is in it. By its value alone nothing
/// can be told: a variant may be called as its endpoint is, or `production` as a stage is.
fn of_variant(metric: &CustomizedMetricSpecification, variant: &str) -> CustomizedMetric {
    let text = |given: Option<&str>| given.unwrap_or_default().to_owned();
    let names_variant = |dimension: &MetricDimension| {
        let name = dimension.name().to_lowercase();
        name.contains("variant") && dimension.value() == variant
    };
    let dimension = |dimension: &MetricDimension| {
        let value = if names_variant(dimension) {
            CustomizedMetric::VARIANT
        } else {
            dimension.value()
        };
        (dimension.name().to_owned(), value.to_owned())
    };
    CustomizedMetric {
        namespace: text(metric.namespace()),
        metric: text(metric.metric_name()),
        dimensions: metric.dimensions().iter().map(dimension).collect(),
        statistic: text(metric.statistic().map(MetricStatistic::as_str)),
        unit: metric.unit().map(str::to_owned),
    }
}

/// The policy as PutScalingPolicy takes it, for this variant.
fn configuration(
    policy: &TrackingPolicy,
    variant: &str,
) -> Result<TargetTrackingScalingPolicyConfiguration, PortError> {
    let unfit = |error: aws_sdk_applicationautoscaling::error::BuildError| {
        nonsense("PutScalingPolicy", error.to_string())
    };
    let predefined = policy.metric.as_deref().map(|name| {
        PredefinedMetricSpecification::builder()
            .predefined_metric_type(MetricType::from(name))
            .build()
    });
    let customized = policy.customized.as_ref();
    let customized = customized.map(|metric| customized_metric(metric, variant));
    TargetTrackingScalingPolicyConfiguration::builder()
        .target_value(policy.target_value)
        .set_predefined_metric_specification(predefined.transpose().map_err(unfit)?)
        .set_customized_metric_specification(customized.transpose().map_err(unfit)?)
        .set_scale_in_cooldown(policy.scale_in_cooldown)
        .set_scale_out_cooldown(policy.scale_out_cooldown)
        .set_disable_scale_in(policy.disable_scale_in)
        .build()
        .map_err(unfit)
}

fn customized_metric(
    metric: &CustomizedMetric,
    variant: &str,
) -> Result<CustomizedMetricSpecification, aws_sdk_applicationautoscaling::error::BuildError> {
    let mut builder = CustomizedMetricSpecification::builder()
        .namespace(&metric.namespace)
        .metric_name(&metric.metric)
        .statistic(MetricStatistic::from(metric.statistic.as_str()))
        .set_unit(metric.unit.clone());
    for (name, value) in &metric.dimensions {
        let value = if value == CustomizedMetric::VARIANT {
            variant
        } else {
            value
        };
        let dimension = MetricDimension::builder().name(name).value(value).build()?;
        builder = builder.dimensions(dimension);
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A variant may have its endpoint's name.
    #[test]
    fn only_a_dimension_of_variants_names_the_variant() {
        let given = [
            ("EndpointName", "wine", "wine"),
            ("VariantName", "wine", CustomizedMetric::VARIANT),
            ("model_variant", "wine", CustomizedMetric::VARIANT),
            ("VariantName", "other", "other"),
            ("Service", "wine", "wine"),
        ];
        for (name, value, wanted) in given {
            let metric = CustomizedMetric {
                namespace: "Team".to_owned(),
                metric: "Queue".to_owned(),
                dimensions: vec![(name.to_owned(), value.to_owned())],
                statistic: "Average".to_owned(),
                unit: None,
            };
            let sent = customized_metric(&metric, "wine").unwrap();
            let kept = of_variant(&sent, "wine");
            assert_eq!(kept.dimensions[0].1, wanted, "{name}={value}");
            let heir = customized_metric(&kept, "canary").unwrap();
            let is_variant = wanted == CustomizedMetric::VARIANT;
            let named = if is_variant { "canary" } else { value };
            assert_eq!(heir.dimensions()[0].value(), named, "{name}={value}");
        }
    }
}
