//! A copied endpoint config, field by field: what one config was made with is what the copy is
//! described with. One case a field, so that an emulator that drops one still vouches for the others.
//!
//! Fields are compared by the SDK's own `Debug` output, which shows every member of a type.

use std::sync::Arc;

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::operation::create_endpoint_config::builders::CreateEndpointConfigFluentBuilder;
use aws_sdk_sagemaker::operation::describe_endpoint_config::DescribeEndpointConfigOutput;
use aws_sdk_sagemaker::types::builders::ProductionVariantBuilder;
use aws_sdk_sagemaker::types::{
    AsyncInferenceConfig, AsyncInferenceOutputConfig, CapacityReservationPreference,
    CaptureContentTypeHeader, CaptureMode, CaptureOption, ClarifyExplainerConfig,
    ClarifyShapBaselineConfig, ClarifyShapConfig, DataCaptureConfig, ExplainerConfig, InstancePool,
    ManagedInstanceScalingStatus, MetricsConfig, ProductionVariant,
    ProductionVariantCapacityReservationConfig, ProductionVariantCoreDumpConfig,
    ProductionVariantInferenceAmiVersion, ProductionVariantInstanceType,
    ProductionVariantManagedInstanceScaling, ProductionVariantRoutingConfig, RoutingStrategy, Tag,
    VpcConfig,
};
use shared::app::ports::{Endpoints as _, Recipe};
use shared::aws::config_copy::{COPIED, DEPLOYMENT_TAG, VARIANT_FIELDS};

use super::Case;
use crate::account::Account;

const PRODUCTION: &str = "production";
const ROLE: &str = "arn:aws:iam::123456789012:role/serving";

type Set = fn(CreateEndpointConfigFluentBuilder, &Account) -> CreateEndpointConfigFluentBuilder;
type Show = fn(&DescribeEndpointConfigOutput) -> String;
type SetVariant = fn(ProductionVariantBuilder) -> ProductionVariantBuilder;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = super::cases!("none": every_field_of_a_config_has_its_case);
    cases.extend(super::cases!("sagemaker":
        the_copy_has_the_teams_tags_and_our_own,
        the_former_config_is_one_variant_with_all_the_weight,
    ));
    for (field, set, show) in config_fields() {
        let name = format!("a copied config keeps {field}");
        cases.push(Case::new("sagemaker", &name, move |account| {
            Box::pin(async move { keeps(&account, set, show).await })
        }));
    }
    for (field, set) in variant_fields() {
        let name = format!("a copied variant keeps {field}");
        cases.push(Case::new("sagemaker", &name, move |account| {
            Box::pin(async move { variant_keeps(account, set).await })
        }));
    }
    cases
}

/// The fields of `COPIED` but for the variants, which have cases of their own.
fn config_fields() -> [(&'static str, Set, Show); 9] {
    [
        (
            "data_capture_config",
            |config, _| config.data_capture_config(capture()),
            |found| format!("{:?}", found.data_capture_config()),
        ),
        (
            "kms_key_id",
            |config, _| config.kms_key_id("volume-key"),
            |found| format!("{:?}", found.kms_key_id()),
        ),
        (
            "async_inference_config",
            |config, _| config.async_inference_config(asynchronous()),
            |found| format!("{:?}", found.async_inference_config()),
        ),
        (
            "explainer_config",
            |config, _| config.explainer_config(explainer()),
            |found| format!("{:?}", found.explainer_config()),
        ),
        (
            "shadow_production_variants",
            |config, account| {
                config.shadow_production_variants(plain(account).variant_name("shadow").build())
            },
            |found| format!("{:?}", found.shadow_production_variants()),
        ),
        (
            "execution_role_arn",
            |config, _| config.execution_role_arn(ROLE),
            |found| format!("{:?}", found.execution_role_arn()),
        ),
        (
            "vpc_config",
            |config, _| config.vpc_config(network()),
            |found| format!("{:?}", found.vpc_config()),
        ),
        (
            "enable_network_isolation",
            |config, _| config.enable_network_isolation(true),
            |found| format!("{:?}", found.enable_network_isolation()),
        ),
        (
            "metrics_config",
            |config, _| config.metrics_config(figures()),
            |found| format!("{:?}", found.metrics_config()),
        ),
    ]
}

/// The fields of a variant that go with weighted traffic: all but its names and a serverless config.
fn variant_fields() -> Vec<(&'static str, SetVariant)> {
    vec![
        ("initial_instance_count", |variant| {
            variant.initial_instance_count(7)
        }),
        ("initial_variant_weight", |variant| {
            variant.initial_variant_weight(2.5)
        }),
        ("instance_type", |variant| {
            variant.instance_type(ProductionVariantInstanceType::from("ml.c5.xlarge"))
        }),
        ("instance_pools", |variant| {
            variant.instance_pools(
                InstancePool::builder()
                    .instance_type(ProductionVariantInstanceType::from("ml.m5.xlarge"))
                    .priority(1)
                    .build(),
            )
        }),
        ("variant_instance_provision_timeout_in_seconds", |variant| {
            variant.variant_instance_provision_timeout_in_seconds(600)
        }),
        ("accelerator_type", |variant| {
            variant.accelerator_type("ml.eia2.medium".into())
        }),
        ("core_dump_config", |variant| {
            variant.core_dump_config(
                ProductionVariantCoreDumpConfig::builder()
                    .destination_s3_uri("s3://bucket/dumps")
                    .kms_key_id("dump-key")
                    .build(),
            )
        }),
        ("volume_size_in_gb", |variant| variant.volume_size_in_gb(64)),
        ("model_data_download_timeout_in_seconds", |variant| {
            variant.model_data_download_timeout_in_seconds(900)
        }),
        (
            "container_startup_health_check_timeout_in_seconds",
            |variant| variant.container_startup_health_check_timeout_in_seconds(450),
        ),
        ("enable_ssm_access", |variant| {
            variant.enable_ssm_access(true)
        }),
        ("managed_instance_scaling", |variant| {
            variant.managed_instance_scaling(
                ProductionVariantManagedInstanceScaling::builder()
                    .status(ManagedInstanceScalingStatus::Enabled)
                    .min_instance_count(1)
                    .max_instance_count(4)
                    .build(),
            )
        }),
        ("routing_config", |variant| {
            variant.routing_config(
                ProductionVariantRoutingConfig::builder()
                    .routing_strategy(RoutingStrategy::LeastOutstandingRequests)
                    .build(),
            )
        }),
        ("inference_ami_version", |variant| {
            variant.inference_ami_version(ProductionVariantInferenceAmiVersion::from(
                "al2-ami-sagemaker-inference-gpu-2",
            ))
        }),
        ("capacity_reservation_config", |variant| {
            variant.capacity_reservation_config(
                ProductionVariantCapacityReservationConfig::builder()
                    .capacity_reservation_preference(
                        CapacityReservationPreference::CapacityReservationsOnly,
                    )
                    .ml_reservation_arn(
                        "arn:aws:sagemaker:eu-central-1:123456789012:training-plan/wine",
                    )
                    .build(),
            )
        }),
    ]
}

fn capture() -> DataCaptureConfig {
    DataCaptureConfig::builder()
        .enable_capture(true)
        .initial_sampling_percentage(25)
        .destination_s3_uri("s3://bucket/capture")
        .kms_key_id("capture-key")
        .capture_options(
            CaptureOption::builder()
                .capture_mode(CaptureMode::InputAndOutput)
                .build(),
        )
        .capture_content_type_header(
            CaptureContentTypeHeader::builder()
                .json_content_types("application/json")
                .build(),
        )
        .build()
}

fn asynchronous() -> AsyncInferenceConfig {
    let output = AsyncInferenceOutputConfig::builder()
        .s3_output_path("s3://bucket/answers")
        .build();
    AsyncInferenceConfig::builder()
        .output_config(output)
        .build()
}

fn explainer() -> ExplainerConfig {
    let baseline = ClarifyShapBaselineConfig::builder()
        .mime_type("text/csv")
        .shap_baseline("1,2")
        .build();
    let shap = ClarifyShapConfig::builder()
        .shap_baseline_config(baseline)
        .number_of_samples(10)
        .build();
    ExplainerConfig::builder()
        .clarify_explainer_config(
            ClarifyExplainerConfig::builder()
                .enable_explanations("`true`")
                .shap_config(shap)
                .build(),
        )
        .build()
}

fn network() -> VpcConfig {
    VpcConfig::builder()
        .security_group_ids("sg-1")
        .security_group_ids("sg-2")
        .subnets("subnet-1")
        .build()
}

fn figures() -> MetricsConfig {
    MetricsConfig::builder()
        .enable_enhanced_metrics(true)
        .enable_detailed_observability(true)
        .metric_publish_frequency_in_seconds(60)
        .build()
}

/// A variant with what every one needs.
fn plain(account: &Account) -> ProductionVariantBuilder {
    ProductionVariant::builder()
        .variant_name(PRODUCTION)
        .model_name(account.name("old"))
        .initial_instance_count(2)
        .instance_type(ProductionVariantInstanceType::from("ml.m5.large"))
        .initial_variant_weight(1.0)
}

fn recipe(account: &Account) -> Recipe {
    Recipe::WithCanary {
        source: account.name("base"),
        name: account.name("copy"),
        production: PRODUCTION.to_owned(),
        canary: "canary".to_owned(),
        model: account.name("new"),
        instances: 1,
        instance_type: None,
        deployment_id: "one".to_owned(),
    }
}

/// A config `base`, made by what `set` adds to the plain request.
async fn base(
    account: &Account,
    set: impl FnOnce(CreateEndpointConfigFluentBuilder) -> CreateEndpointConfigFluentBuilder,
) {
    for model in ["old", "new"] {
        let image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/wine:1";
        let made = account.aws.create_model(&account.name(model), image).await;
        made.expect("a new model");
    }
    let request = Client::new(&account.sdk)
        .create_endpoint_config()
        .endpoint_config_name(account.name("base"));
    set(request).send().await.expect("a config that is taken");
}

async fn described(account: &Account, name: &str) -> DescribeEndpointConfigOutput {
    Client::new(&account.sdk)
        .describe_endpoint_config()
        .endpoint_config_name(account.name(name))
        .send()
        .await
        .expect("a config")
}

/// `Only` copies the config with production alone, so a shadow variant may stay beside it.
async fn keeps(account: &Account, set: Set, show: Show) {
    let production = plain(account).build();
    base(account, |config| {
        set(config.production_variants(production), account)
    })
    .await;
    let only = Recipe::Only {
        source: account.name("base"),
        name: account.name("copy"),
        variant: PRODUCTION.to_owned(),
        instances: 2,
        deployment_id: "one".to_owned(),
    };
    account.aws.make_config(&only).await.expect("a copy");
    // What was asked for is what the SDK would send, shown the same way.
    let blank = DescribeEndpointConfigOutput::builder().build();
    let (original, copy) = (
        show(&described(account, "base").await),
        show(&described(account, "copy").await),
    );
    assert_ne!(original, show(&blank), "dropped when it was made");
    assert_eq!(copy, original);
}

async fn variant_keeps(account: Arc<Account>, set: SetVariant) {
    let wanted = set(plain(&account)).build();
    let production = wanted.clone();
    base(&account, |config| config.production_variants(production)).await;
    let made = account.aws.make_config(&recipe(&account)).await;
    made.expect("a copy");
    let copy = described(&account, "copy").await;
    let [stable, canary] = copy.production_variants() else {
        panic!("two variants, not {:?}", copy.production_variants());
    };
    assert_eq!(*stable, wanted, "production is as it was");
    let mut beside = wanted;
    beside.variant_name = Some("canary".to_owned());
    beside.model_name = Some(account.name("new"));
    beside.initial_variant_weight = Some(0.0);
    beside.initial_instance_count = Some(1);
    // A reservation is production's own.
    beside.capacity_reservation_config = None;
    assert_eq!(
        *canary, beside,
        "the canary is as production, but for what it must be"
    );
}

/// A newer SDK's field fails here until it has a case.
async fn every_field_of_a_config_has_its_case(_: &Account) {
    let mut held: Vec<&str> = config_fields().iter().map(|field| field.0).collect();
    held.push("production_variants");
    held.sort_unstable();
    let mut copied = COPIED.to_vec();
    copied.sort_unstable();
    assert_eq!(held, copied);
    let mut held: Vec<&str> = variant_fields().iter().map(|field| field.0).collect();
    // Every case of a variant holds the first two; the third can't take a canary, and the last has
    // no shape that can be made up.
    held.extend([
        "variant_name",
        "model_name",
        "serverless_config",
        "accelerator_partition_layouts",
    ]);
    held.sort_unstable();
    let mut fields = VARIANT_FIELDS.to_vec();
    fields.sort_unstable();
    assert_eq!(held, fields);
}

async fn the_copy_has_the_teams_tags_and_our_own(account: &Account) {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let production = plain(account).build();
    base(account, |config| {
        config
            .production_variants(production)
            .tags(tag("team", "wine"))
            .tags(tag(DEPLOYMENT_TAG, "an earlier one"))
    })
    .await;
    let made = account.aws.make_config(&recipe(account)).await;
    made.expect("a copy");
    let copy = described(account, "copy").await;
    let listed = Client::new(&account.sdk)
        .list_tags()
        .resource_arn(copy.endpoint_config_arn().expect("an ARN"))
        .send()
        .await
        .expect("readable tags");
    let mut tags: Vec<(&str, &str)> = listed
        .tags()
        .iter()
        .filter_map(|tag| Some((tag.key()?, tag.value()?)))
        .collect();
    tags.sort_unstable();
    assert_eq!(tags, [(DEPLOYMENT_TAG, "one"), ("team", "wine")]);
}

async fn the_former_config_is_one_variant_with_all_the_weight(account: &Account) {
    let production = plain(account).initial_variant_weight(0.25).build();
    let other = plain(account).variant_name("other").build();
    base(account, |config| {
        config
            .production_variants(production)
            .production_variants(other)
    })
    .await;
    let only = Recipe::Only {
        source: account.name("base"),
        name: account.name("copy"),
        variant: PRODUCTION.to_owned(),
        instances: 6,
        deployment_id: "one".to_owned(),
    };
    account.aws.make_config(&only).await.expect("a copy");
    let copy = described(account, "copy").await;
    let alone = plain(account).initial_instance_count(6).build();
    assert_eq!(copy.production_variants(), [alone]);
}
