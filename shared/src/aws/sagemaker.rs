//! SageMaker's control plane.
//!
//! DescribeEndpoint answers a missing endpoint with the same ValidationException as any other bad
//! request. Whether it is missing is not read off the message's text but asked of the list.

use aws_sdk_sagemaker::error::ProvideErrorMetadata;
use aws_sdk_sagemaker::operation::describe_endpoint::DescribeEndpointOutput;
use aws_sdk_sagemaker::types::{
    DesiredWeightAndCapacity, EndpointStatus as SdkStatus, ProductionVariant,
    ProductionVariantSummary,
};
use jiff::Timestamp;

use super::config_copy::AsItCame;
use super::error::{nonsense, sort};
use super::{Aws, config_copy};
use crate::app::ports::{Class, ConfigVariant, ConfigView, Endpoints, PortError, Recipe};
use crate::domain::observation::{EndpointStatus, EndpointView, VariantView};

impl Endpoints for Aws {
    async fn endpoint(&self, name: &str) -> Result<Option<EndpointView>, PortError> {
        const OPERATION: &str = "DescribeEndpoint";
        match self
            .control
            .sagemaker
            .describe_endpoint()
            .endpoint_name(name)
            .send()
            .await
        {
            Ok(output) => view(&output).map(Some),
            Err(error) => {
                let error = sort(OPERATION, &error);
                if error.class == Class::Invalid && !self.lists_endpoint(name).await? {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
        }
    }

    async fn endpoint_config(&self, name: &str) -> Result<Option<ConfigView>, PortError> {
        let came = AsItCame::default();
        let call = self.control.sagemaker.describe_endpoint_config();
        let call = call.endpoint_config_name(name).customize();
        let output = match call.interceptor(came.clone()).send().await {
            Ok(output) => output,
            Err(error) => {
                let error = sort("DescribeEndpointConfig", &error);
                return if error.class == Class::Invalid && !self.lists_config(name).await? {
                    Ok(None)
                } else {
                    Err(error)
                };
            }
        };
        let lacking = |what: &str| nonsense("DescribeEndpointConfig", what);
        let arn = output.endpoint_config_arn();
        let tags = self.tags_of(arn.ok_or_else(|| lacking("no ARN"))?).await?;
        let keys = tags.into_iter().map(|(key, _)| key);
        let variants = output.production_variants().iter().map(config_variant);
        Ok(Some(ConfigView {
            unknown_fields: came.unknown_fields(),
            variants: variants.collect(),
            shadow_variants: output.shadow_production_variants().len(),
            is_async: output.async_inference_config().is_some(),
            execution_role: output.execution_role_arn().map(str::to_owned),
            created_at: output
                .creation_time()
                .and_then(|at| Timestamp::from_second(at.secs()).ok())
                .ok_or_else(|| lacking("no creation time"))?,
            copied_tags: keys.filter(|key| config_copy::is_copied(key)).collect(),
        }))
    }

    async fn make_config(&self, recipe: &Recipe) -> Result<(), PortError> {
        let (source, name) = match recipe {
            Recipe::WithCanary { source, name, .. } | Recipe::Only { source, name, .. } => {
                (source, name)
            }
        };
        let described = self
            .control
            .sagemaker
            .describe_endpoint_config()
            .endpoint_config_name(source)
            .send()
            .await;
        let described = described.map_err(|error| sort("DescribeEndpointConfig", &error))?;
        let arn = described
            .endpoint_config_arn()
            .ok_or_else(|| nonsense("DescribeEndpointConfig", "no ARN"))?;
        let tags = self.tags_of(arn).await?;
        let request = config_copy::copy(&self.control.sagemaker_once, &described, tags, recipe)
            .map_err(|what| nonsense("CreateEndpointConfig", what))?;
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = sort("CreateEndpointConfig", &error);
                // The name is this deployment's alone: what is there already is what an earlier try made.
                if error.class == Class::Invalid && self.endpoint_config(name).await?.is_some() {
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }

    async fn delete_config(&self, name: &str) -> Result<(), PortError> {
        match self
            .control
            .sagemaker_once
            .delete_endpoint_config()
            .endpoint_config_name(name)
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = sort("DeleteEndpointConfig", &error);
                if error.class == Class::Invalid && self.endpoint_config(name).await?.is_none() {
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }

    async fn update(&self, endpoint: &str, config: &str) -> Result<(), PortError> {
        let call = self
            .control
            .sagemaker_once
            .update_endpoint()
            .endpoint_name(endpoint)
            .endpoint_config_name(config);
        // Else live weights and counts fall back to the config's initial ones.
        let call = call.retain_all_variant_properties(true);
        call.send()
            .await
            .map(drop)
            .map_err(|error| refused("UpdateEndpoint", &error))
    }

    async fn set_weights(&self, endpoint: &str, weights: &[(&str, f32)]) -> Result<(), PortError> {
        let mut desired = Vec::with_capacity(weights.len());
        for (variant, weight) in weights {
            desired.push(desired_of(
                DesiredWeightAndCapacity::builder()
                    .variant_name(*variant)
                    .desired_weight(*weight),
            ));
        }
        self.change(endpoint, desired).await
    }

    async fn set_instances(
        &self,
        endpoint: &str,
        variant: &str,
        instances: u32,
    ) -> Result<(), PortError> {
        let count = i32::try_from(instances).map_err(|_| {
            nonsense(
                "UpdateEndpointWeightsAndCapacities",
                "an instance count past 2^31",
            )
        })?;
        self.change(
            endpoint,
            vec![desired_of(
                DesiredWeightAndCapacity::builder()
                    .variant_name(variant)
                    .desired_instance_count(count),
            )],
        )
        .await
    }
}

fn desired_of(
    builder: aws_sdk_sagemaker::types::builders::DesiredWeightAndCapacityBuilder,
) -> DesiredWeightAndCapacity {
    builder.build()
}

/// While an endpoint changes it refuses updates with a ValidationException: for the moment, not
/// for good.
fn refused<E>(operation: &'static str, error: &aws_sdk_sagemaker::error::SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let error = sort(operation, error);
    if error.class == Class::Invalid {
        PortError {
            class: Class::Refused,
            ..error
        }
    } else {
        error
    }
}

impl Aws {
    async fn change(
        &self,
        endpoint: &str,
        desired: Vec<DesiredWeightAndCapacity>,
    ) -> Result<(), PortError> {
        let call = self
            .control
            .sagemaker_once
            .update_endpoint_weights_and_capacities()
            .endpoint_name(endpoint);
        let call = call.set_desired_weights_and_capacities(Some(desired));
        call.send()
            .await
            .map(drop)
            .map_err(|error| refused("UpdateEndpointWeightsAndCapacities", &error))
    }

    /// The tags of a resource.
    pub(super) async fn tags_of(&self, arn: &str) -> Result<Vec<(String, String)>, PortError> {
        let mut tags = Vec::new();
        let mut pages = self
            .control
            .sagemaker
            .list_tags()
            .resource_arn(arn)
            .into_paginator()
            .items()
            .send();
        while let Some(tag) = pages.next().await {
            let tag = tag.map_err(|error| sort("ListTags", &error))?;
            tags.push((
                tag.key().unwrap_or_default().to_owned(),
                tag.value().unwrap_or_default().to_owned(),
            ));
        }
        Ok(tags)
    }

    pub(super) async fn lists_endpoint(&self, name: &str) -> Result<bool, PortError> {
        let call = self.control.sagemaker.list_endpoints().name_contains(name);
        let pages = call.into_paginator().items().send();
        let found = pages.try_collect().await;
        let found: Vec<_> = found.map_err(|error| sort("ListEndpoints", &error))?;
        Ok(found.iter().any(|it| it.endpoint_name() == Some(name)))
    }

    async fn lists_config(&self, name: &str) -> Result<bool, PortError> {
        let call = self.control.sagemaker.list_endpoint_configs();
        let pages = call.name_contains(name).into_paginator().items().send();
        let found = pages.try_collect().await;
        let found: Vec<_> = found.map_err(|error| sort("ListEndpointConfigs", &error))?;
        Ok(found
            .iter()
            .any(|it| it.endpoint_config_name() == Some(name)))
    }
}

fn config_variant(variant: &ProductionVariant) -> ConfigVariant {
    ConfigVariant {
        name: variant.variant_name().unwrap_or_default().to_owned(),
        model: variant.model_name().map(str::to_owned),
        is_serverless: variant.serverless_config().is_some(),
        instance_type: variant.instance_type().map(|kind| kind.as_str().to_owned()),
        initial_instances: count(variant.initial_instance_count()),
        is_reserved: variant.capacity_reservation_config().is_some(),
    }
}

fn view(output: &DescribeEndpointOutput) -> Result<EndpointView, PortError> {
    let lacking = |what: &str| nonsense("DescribeEndpoint", format!("no {what} in the answer"));
    let created = output
        .creation_time()
        .ok_or_else(|| lacking("CreationTime"))?;
    let created_at = time(created).ok_or_else(|| lacking("readable CreationTime"))?;
    let mut variants = Vec::new();
    for summary in output.production_variants() {
        variants.push(variant_view(summary).ok_or_else(|| lacking("VariantName"))?);
    }
    Ok(EndpointView {
        name: output.endpoint_name().unwrap_or_default().to_owned(),
        status: output
            .endpoint_status()
            .map_or(EndpointStatus::Unknown, status),
        config: output.endpoint_config_name().unwrap_or_default().to_owned(),
        created_at,
        modified_at: output.last_modified_time().and_then(time),
        failure: output.failure_reason().map(str::to_owned),
        variants,
    })
}

fn time(at: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(at.subsec_nanos()).unwrap_or(0);
    Timestamp::new(at.secs(), nanoseconds).ok()
}

fn variant_view(summary: &ProductionVariantSummary) -> Option<VariantView> {
    Some(VariantView {
        name: summary.variant_name()?.to_owned(),
        current_weight: summary.current_weight().map_or(0.0, f64::from),
        desired_weight: summary.desired_weight().map_or(0.0, f64::from),
        current_instances: count(summary.current_instance_count()),
        desired_instances: count(summary.desired_instance_count()),
    })
}

fn count(number: Option<i32>) -> u32 {
    number
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(0)
}

fn status(status: &SdkStatus) -> EndpointStatus {
    match status {
        SdkStatus::OutOfService => EndpointStatus::OutOfService,
        SdkStatus::Creating => EndpointStatus::Creating,
        SdkStatus::Updating => EndpointStatus::Updating,
        SdkStatus::SystemUpdating => EndpointStatus::SystemUpdating,
        SdkStatus::RollingBack => EndpointStatus::RollingBack,
        SdkStatus::InService => EndpointStatus::InService,
        SdkStatus::Deleting => EndpointStatus::Deleting,
        SdkStatus::Failed => EndpointStatus::Failed,
        SdkStatus::UpdateRollbackFailed => EndpointStatus::UpdateRollbackFailed,
        _ => EndpointStatus::Unknown,
    }
}
