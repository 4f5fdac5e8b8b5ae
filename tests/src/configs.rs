//! Endpoint configs with something in every field, for what a copy of one must not lose: field by field for
//! the cases that ask one backend about one of them, all together for the others.

use aws_sdk_sagemaker::operation::create_endpoint_config::builders::CreateEndpointConfigFluentBuilder;
use aws_sdk_sagemaker::types::builders::ProductionVariantBuilder;
use aws_sdk_sagemaker::types::{
    AsyncInferenceConfig, AsyncInferenceOutputConfig, CapacityReservationPreference,
    CaptureContentTypeHeader, CaptureMode, CaptureOption, ClarifyExplainerConfig,
    ClarifyShapBaselineConfig, ClarifyShapConfig, DataCaptureConfig, ExplainerConfig, InstancePool,
    ManagedInstanceScalingStatus, MetricsConfig, ProductionVariantCapacityReservationConfig,
    ProductionVariantCoreDumpConfig, ProductionVariantInferenceAmiVersion,
    ProductionVariantInstanceType, ProductionVariantManagedInstanceScaling,
    ProductionVariantRoutingConfig, RoutingStrategy, VpcConfig,
};

/// Sets one field of a config that is to be made.
pub type SetConfig = fn(CreateEndpointConfigFluentBuilder) -> CreateEndpointConfigFluentBuilder;
/// Sets one field of a variant.
pub type SetVariant = fn(ProductionVariantBuilder) -> ProductionVariantBuilder;

/// The fields of a config but for its variants. Asynchronous inference, which can't take a canary, is one.
pub fn config_fields() -> [(&'static str, SetConfig); 8] {
    [
        ("data_capture_config", |config| {
            config.data_capture_config(capture())
        }),
        ("kms_key_id", |config| config.kms_key_id("volume-key")),
        ("async_inference_config", |config| {
            config.async_inference_config(asynchronous())
        }),
        ("explainer_config", |config| {
            config.explainer_config(explainer())
        }),
        ("execution_role_arn", |config| {
            config.execution_role_arn("arn:aws:iam::123456789012:role/serving")
        }),
        ("vpc_config", |config| config.vpc_config(network())),
        ("enable_network_isolation", |config| {
            config.enable_network_isolation(true)
        }),
        ("metrics_config", |config| config.metrics_config(figures())),
    ]
}

/// The fields of a variant that go with weighted traffic: all but its names and a serverless config.
pub fn variant_fields() -> [(&'static str, SetVariant); 15] {
    [
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
