//! Application Auto Scaling of a variant's instances.

use aws_sdk_applicationautoscaling::types::{
    MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension, ScalingPolicy,
    ServiceNamespace, TargetTrackingScalingPolicyConfiguration,
};
use serde::{Deserialize, Serialize};

use super::Aws;
use super::error::{nonsense, sort};
use crate::app::ports::{Class, PortError, Scaling};
use crate::domain::deployment::ScalableTarget;

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
        if let Some(suspended) = target.suspended_state()
            && [
                suspended.dynamic_scaling_in_suspended,
                suspended.dynamic_scaling_out_suspended,
                suspended.scheduled_scaling_suspended,
            ]
            .contains(&Some(true))
        {
            return Err(unkept("its scaling is suspended"));
        }
        if self.has_schedule(&id).await? {
            return Err(unkept("it has scheduled scaling actions"));
        }
        let policies = self.policies(&id).await?;
        let whole = |number: i32| u32::try_from(number).unwrap_or(0);
        Ok(Some(ScalableTarget {
            min: whole(target.min_capacity),
            max: whole(target.max_capacity),
            policies,
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
            .max_capacity(signed(target.max));
        call.send()
            .await
            .map_err(|error| sort("RegisterScalableTarget", &error))?;
        for text in &target.policies {
            let saved: SavedPolicy = serde_json::from_str(text)
                .map_err(|error| nonsense("PutScalingPolicy", error.to_string()))?;
            let call = self
                .control
                .autoscaling_once
                .put_scaling_policy()
                .service_namespace(ServiceNamespace::Sagemaker);
            let call = call
                .policy_name(&saved.name)
                .resource_id(&id)
                .scalable_dimension(DIMENSION)
                .policy_type(PolicyType::TargetTrackingScaling);
            let call = call.target_tracking_scaling_policy_configuration(saved.configuration()?);
            call.send()
                .await
                .map_err(|error| sort("PutScalingPolicy", &error))?;
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

    async fn policies(&self, id: &str) -> Result<Vec<String>, PortError> {
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
            policies.push(SavedPolicy::of(&policy).and_then(|saved| saved.to_json())?);
        }
        Ok(policies)
    }
}

/// Deregistering deletes it, and this version can't put it back: refused before anything moves.
fn unkept(what: &str) -> PortError {
    let text = format!("{what}, which could not be put back after the rollout; remove it first");
    PortError::new(Class::Invalid, "DescribeScalableTargets", text)
}

fn resource(endpoint: &str, variant: &str) -> String {
    format!("endpoint/{endpoint}/variant/{variant}")
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A target-tracking policy as it is kept in the record. Step policies and customized metrics are
/// refused rather than half kept: a deployment on such an endpoint says so before anything moves.
#[derive(Debug, Serialize, Deserialize)]
struct SavedPolicy {
    name: String,
    target_value: f64,
    #[serde(default)]
    metric: Option<String>,
    #[serde(default)]
    scale_in_cooldown: Option<i32>,
    #[serde(default)]
    scale_out_cooldown: Option<i32>,
    #[serde(default)]
    disable_scale_in: Option<bool>,
}

impl SavedPolicy {
    fn of(policy: &ScalingPolicy) -> Result<Self, PortError> {
        let name = policy.policy_name();
        let unkept = |what: &str| {
            PortError::new(
                Class::Invalid,
                "DescribeScalingPolicies",
                format!(
                    "scaling policy {name} {what}, which can't be put back after the rollout; use target tracking on a predefined metric"
                ),
            )
        };
        let tracking = policy
            .target_tracking_scaling_policy_configuration()
            .ok_or_else(|| unkept("is not a target-tracking policy"))?;
        if tracking.customized_metric_specification().is_some() {
            return Err(unkept("tracks a customized metric"));
        }
        Ok(Self {
            name: name.to_owned(),
            target_value: tracking.target_value(),
            metric: tracking
                .predefined_metric_specification()
                .map(|metric| metric.predefined_metric_type().as_str().to_owned()),
            scale_in_cooldown: tracking.scale_in_cooldown(),
            scale_out_cooldown: tracking.scale_out_cooldown(),
            disable_scale_in: tracking.disable_scale_in(),
        })
    }

    fn to_json(&self) -> Result<String, PortError> {
        serde_json::to_string(self)
            .map_err(|error| nonsense("DescribeScalingPolicies", error.to_string()))
    }

    fn configuration(&self) -> Result<TargetTrackingScalingPolicyConfiguration, PortError> {
        let metric = match &self.metric {
            None => None,
            Some(name) => {
                let built = PredefinedMetricSpecification::builder()
                    .predefined_metric_type(MetricType::from(name.as_str()))
                    .build();
                Some(built.map_err(|error| nonsense("PutScalingPolicy", error.to_string()))?)
            }
        };
        TargetTrackingScalingPolicyConfiguration::builder()
            .target_value(self.target_value)
            .set_predefined_metric_specification(metric)
            .set_scale_in_cooldown(self.scale_in_cooldown)
            .set_scale_out_cooldown(self.scale_out_cooldown)
            .set_disable_scale_in(self.disable_scale_in)
            .build()
            .map_err(|error| nonsense("PutScalingPolicy", error.to_string()))
    }
}
