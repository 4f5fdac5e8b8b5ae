//! Application Auto Scaling of a variant's instances.

use aws_sdk_applicationautoscaling::operation::put_scaling_policy::PutScalingPolicyError;
use aws_sdk_applicationautoscaling::types::{
    CustomizedMetricSpecification, MetricDimension, MetricStatistic, MetricType, PolicyType,
    PredefinedMetricSpecification, ScalableDimension, ScalingPolicy, ServiceNamespace,
    SuspendedState, TargetTrackingScalingPolicyConfiguration,
};

use super::Aws;
use super::error::{nonsense, sort};
use crate::app::ports::{Class, PortError, Scaling};
use crate::domain::scaling::{CustomizedMetric, ScalableTarget, Suspension, TrackingPolicy};

const DIMENSION: ScalableDimension = ScalableDimension::SageMakerVariantDesiredInstanceCount;

impl Scaling for Aws {
    async fn target(
        &self,
        endpoint: &str,
        variant: &str,
    ) -> Result<Option<ScalableTarget>, PortError> {
        let id = resource(endpoint, variant);
        let call = self
            .control
            .autoscaling
            .describe_scalable_targets()
            .service_namespace(ServiceNamespace::Sagemaker);
        let output = call
            .resource_ids(&id)
            .scalable_dimension(DIMENSION)
            .send()
            .await
            .map_err(|error| sort("DescribeScalableTargets", &error))?;
        let Some(target) = output.scalable_targets().first() else {
            return Ok(None);
        };
        if self.has_schedule(&id).await? {
            return Err(scheduled());
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
        let whole = |number: i32| u32::try_from(number).unwrap_or(0);
        Ok(Some(ScalableTarget {
            min: whole(target.min_capacity),
            max: whole(target.max_capacity),
            policies,
            suspended,
        }))
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
        call.send()
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
        Ok(())
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
fn scheduled() -> PortError {
    let text = "it has scheduled scaling actions, and the bounds that were found may not be the hour's when the rollout ends; remove them for the time of the rollout";
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

/// A metric of CloudWatch, with the variant's name wherever it stands for the variant that scales.
fn of_variant(metric: &CustomizedMetricSpecification, variant: &str) -> CustomizedMetric {
    let text = |given: Option<&str>| given.unwrap_or_default().to_owned();
    let dimension = |dimension: &MetricDimension| {
        let value = match dimension.value() {
            value if value == variant => CustomizedMetric::VARIANT,
            value => value,
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
