//! Copying an endpoint config with a change. Everything the SDK knows is carried over: a config
//! that silently loses its DataCaptureConfig or its KMS key is a serious fault. A contract test
//! holds [`COPIED`] and [`VARIANT_FIELDS`] against the SDK's own shapes, so a field that a newer
//! SDK adds fails the build instead of vanishing. What SageMaker has and this SDK does not know
//! can't be carried over: [`AsItCame`] sees it, and a config that has such a field is refused.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_sagemaker::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sagemaker::error::BoxError;
use aws_sdk_sagemaker::operation::create_endpoint_config::builders::CreateEndpointConfigFluentBuilder;
use aws_sdk_sagemaker::operation::describe_endpoint_config::DescribeEndpointConfigOutput;
use aws_sdk_sagemaker::types::{
    MetricsConfig, ProductionVariant, ProductionVariantInstanceType, Tag,
};
use serde_json::{Map, Value};

use crate::app::ports::Recipe;

/// The fields of `DescribeEndpointConfig` that a copy carries over. The rest (name, ARN, creation
/// time) belong to the original alone.
pub const COPIED: [&str; 10] = [
    "production_variants",
    "data_capture_config",
    "kms_key_id",
    "async_inference_config",
    "explainer_config",
    "shadow_production_variants",
    "execution_role_arn",
    "vpc_config",
    "enable_network_isolation",
    "metrics_config",
];

/// The fields of a production variant, all of which a copied variant keeps.
pub const VARIANT_FIELDS: [&str; 19] = [
    "variant_name",
    "model_name",
    "initial_instance_count",
    "instance_type",
    "instance_pools",
    "variant_instance_provision_timeout_in_seconds",
    "initial_variant_weight",
    "accelerator_type",
    "core_dump_config",
    "serverless_config",
    "volume_size_in_gb",
    "model_data_download_timeout_in_seconds",
    "container_startup_health_check_timeout_in_seconds",
    "enable_ssm_access",
    "managed_instance_scaling",
    "routing_config",
    "inference_ami_version",
    "capacity_reservation_config",
    "accelerator_partition_layouts",
];

/// What belongs to a described config itself.
const OWN: [&str; 3] = [
    "endpoint_config_name",
    "endpoint_config_arn",
    "creation_time",
];

/// The tag that says which deployment made a config, or a model.
pub const DEPLOYMENT_TAG: &str = "canary:deployment-id";

/// The request that makes the copy.
pub fn copy(
    client: &Client,
    source: &DescribeEndpointConfigOutput,
    tags: Vec<(String, String)>,
    recipe: &Recipe,
) -> Result<CreateEndpointConfigFluentBuilder, String> {
    let (name, deployment_id) = match recipe {
        Recipe::WithCanary {
            name,
            deployment_id,
            ..
        }
        | Recipe::Only {
            name,
            deployment_id,
            ..
        } => (name, deployment_id),
    };
    Ok(client
        .create_endpoint_config()
        .endpoint_config_name(name)
        .set_production_variants(Some(variants(source, recipe)?))
        .set_data_capture_config(source.data_capture_config.clone())
        .set_kms_key_id(source.kms_key_id.clone())
        .set_async_inference_config(source.async_inference_config.clone())
        .set_explainer_config(source.explainer_config.clone())
        .set_shadow_production_variants(
            source
                .shadow_production_variants
                .clone()
                .filter(|shadows| !shadows.is_empty()),
        )
        .set_execution_role_arn(source.execution_role_arn.clone())
        .set_vpc_config(source.vpc_config.clone())
        .set_enable_network_isolation(source.enable_network_isolation)
        .metrics_config(metrics(source.metrics_config.clone()))
        .set_tags(Some(own_tags(tags, deployment_id))))
}

/// What the old one had, said explicitly: detailed observability is on by default in new configs
/// and off in old ones.
fn metrics(found: Option<MetricsConfig>) -> MetricsConfig {
    let found = found.unwrap_or_else(|| MetricsConfig::builder().build());
    let observability = found.enable_detailed_observability.unwrap_or(false);
    MetricsConfig::builder()
        .set_enable_enhanced_metrics(found.enable_enhanced_metrics)
        .enable_detailed_observability(observability)
        .set_metric_publish_frequency_in_seconds(found.metric_publish_frequency_in_seconds)
        .build()
}

/// Whether a copy takes a tag over: AWS reserves some for itself, and one says who made the config.
pub(super) fn is_copied(key: &str) -> bool {
    !key.to_ascii_lowercase().starts_with("aws:") && key != DEPLOYMENT_TAG
}

/// The tags of what a deployment makes: those that it takes over, and its own.
pub(super) fn own_tags(tags: Vec<(String, String)>, deployment_id: &str) -> Vec<Tag> {
    let kept = tags.into_iter().filter(|(key, _)| is_copied(key));
    let marked = kept.chain([(DEPLOYMENT_TAG.to_owned(), deployment_id.to_owned())]);
    marked
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

fn variants(
    source: &DescribeEndpointConfigOutput,
    recipe: &Recipe,
) -> Result<Vec<ProductionVariant>, String> {
    let find = |name: &str| {
        let found = source
            .production_variants()
            .iter()
            .find(|variant| variant.variant_name() == Some(name));
        found.cloned().ok_or_else(|| {
            format!(
                "config {} has no variant {name}",
                source.endpoint_config_name().unwrap_or("?")
            )
        })
    };
    match recipe {
        Recipe::WithCanary {
            production,
            canary,
            model,
            instances,
            instance_type,
            ..
        } => {
            let stable = find(production)?;
            let mut beside = stable.clone();
            beside.variant_name = Some(canary.clone());
            beside.model_name = Some(model.clone());
            // Born without traffic: a dead control plane never leaves any on it.
            beside.initial_variant_weight = Some(0.0);
            beside.initial_instance_count = Some(instance_count(*instances)?);
            // A reservation is production's own; its instances can't serve twice.
            beside.capacity_reservation_config = None;
            if let Some(kind) = instance_type {
                beside.instance_type = Some(ProductionVariantInstanceType::from(kind.as_str()));
                beside.instance_pools = None;
            }
            Ok(vec![stable, beside])
        }
        Recipe::Only {
            variant, instances, ..
        } => {
            let mut alone = find(variant)?;
            alone.initial_variant_weight = Some(1.0);
            // What the first stage needed is what the source says; a fleet made anew from this
            // config, by the next rollout's rollback say, has to carry everything.
            alone.initial_instance_count = Some(instance_count(*instances)?);
            Ok(vec![alone])
        }
    }
}

/// An answer of DescribeEndpointConfig as it came, beside what the SDK makes of it.
#[derive(Debug, Clone, Default)]
pub(super) struct AsItCame(Arc<Mutex<Vec<u8>>>);

impl Intercept for AsItCame {
    fn name(&self) -> &'static str {
        "AsItCame"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let bytes = context.response().body().bytes().unwrap_or_default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes.to_vec();
        Ok(())
    }
}

impl AsItCame {
    /// The fields of the config and of its variants that this SDK does not know.
    pub(super) fn unknown_fields(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let mut unknown = unknown(answer.as_object(), COPIED.iter().chain(&OWN));
        for list in ["ProductionVariants", "ShadowProductionVariants"] {
            for variant in answer[list].as_array().into_iter().flatten() {
                unknown.extend(self::unknown(variant.as_object(), &VARIANT_FIELDS));
            }
        }
        unknown.sort();
        unknown.dedup();
        unknown
    }
}

/// The members that are set and not among these fields. The two are spelled differently: what counts
/// is the letters.
fn unknown<'a>(
    members: Option<&Map<String, Value>>,
    known: impl IntoIterator<Item = &'a &'a str>,
) -> Vec<String> {
    let known: HashSet<String> = known
        .into_iter()
        .map(|field| field.replace('_', ""))
        .collect();
    let is_unknown = |name: &str| !known.contains(&name.to_ascii_lowercase());
    let set = members.into_iter().flatten();
    set.filter(|(name, value)| !value.is_null() && is_unknown(name))
        .map(|(name, _)| name.clone())
        .collect()
}

fn instance_count(instances: u32) -> Result<i32, String> {
    i32::try_from(instances).map_err(|_| "an instance count past 2^31".to_owned())
}
