//! The same clients against the simulator, and what a stack's template or a team's own pipeline
//! would have made before: the table, models, an endpoint.
//!
//! Nothing of the caller's AWS settings is read: credentials are dummies and every client's
//! endpoint is on loopback.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_sagemaker::types::{
    ContainerDefinition, ProductionVariant, ProductionVariantInstanceType, Tag,
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::error::{nonsense, sort};
use super::{Aws, TimeSource, bounded};
use crate::app::ports::PortError;
use crate::config::Config;
use crate::domain::authority::ENABLED_TAG;

/// The region that the simulator plays.
pub const REGION: &str = "eu-central-1";
/// Where the simulator listens, when it listens. In-process clients carry it in their requests.
pub const ENDPOINT: &str = "http://127.0.0.1:4566";

/// The SDK's settings for the simulator.
pub fn sdk_config(transport: SharedHttpClient) -> SdkConfig {
    let dummy = Credentials::new(
        "AKIAIOSFODNN7EXAMPLE",
        "loopback-only",
        None,
        None,
        "loopback",
    );
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(dummy))
        .endpoint_url(ENDPOINT)
        .http_client(transport)
        .sleep_impl(aws_smithy_async_sleep())
        .timeout_config(bounded())
        .build()
}

fn aws_smithy_async_sleep() -> aws_sdk_dynamodb::config::SharedAsyncSleep {
    aws_sdk_dynamodb::config::SharedAsyncSleep::new(TokioSleep)
}

/// Retries and timeouts wait on the runtime's own timer.
#[derive(Debug)]
struct TokioSleep;

impl aws_sdk_dynamodb::config::AsyncSleep for TokioSleep {
    fn sleep(&self, duration: std::time::Duration) -> aws_sdk_dynamodb::config::Sleep {
        aws_sdk_dynamodb::config::Sleep::new(tokio::time::sleep(duration))
    }
}

impl Aws {
    /// The clients against the simulator, with its clock.
    pub fn on_loopback(config: Config, transport: SharedHttpClient, time: TimeSource) -> Self {
        Self::new(config, &sdk_config(transport), time)
    }

    /// The table as the template makes it.
    pub async fn create_table(&self) -> Result<(), PortError> {
        const OPERATION: &str = "CreateTable";
        let mut create = self
            .dynamodb
            .create_table()
            .table_name(&self.config.table)
            .billing_mode(BillingMode::PayPerRequest);
        for attribute in [
            "pk",
            "sk",
            "active_shard",
            "active_key",
            "list_month",
            "endpoint_name",
            "created_at",
        ] {
            let definition = AttributeDefinition::builder()
                .attribute_name(attribute)
                .attribute_type(ScalarAttributeType::S)
                .build();
            create = create.attribute_definitions(
                definition.map_err(|error| nonsense(OPERATION, error.to_string()))?,
            );
        }
        for key in keys("pk", "sk")? {
            create = create.key_schema(key);
        }
        let indexes = [
            (
                "active",
                "active_shard",
                "active_key",
                ProjectionType::KeysOnly,
            ),
            ("list", "list_month", "created_at", ProjectionType::All),
            (
                "endpoint",
                "endpoint_name",
                "created_at",
                ProjectionType::All,
            ),
        ];
        for (name, hash, range, projection) in indexes {
            let index = GlobalSecondaryIndex::builder()
                .index_name(name)
                .set_key_schema(Some(keys(hash, range)?));
            let index = index
                .projection(Projection::builder().projection_type(projection).build())
                .build();
            create = create.global_secondary_indexes(
                index.map_err(|error| nonsense(OPERATION, error.to_string()))?,
            );
        }
        match create.send().await {
            Err(error) if !error.as_service_error().is_some_and(aws_sdk_dynamodb::operation::create_table::CreateTableError::is_resource_in_use_exception) => {
                return Err(sort(OPERATION, &error));
            }
            // There already, from a state file.
            _ => {}
        }
        let ttl = TimeToLiveSpecification::builder()
            .attribute_name("expires_at")
            .enabled(true)
            .build();
        let ttl = ttl.map_err(|error| nonsense("UpdateTimeToLive", error.to_string()))?;
        // Refused when it is on already.
        drop(
            self.dynamodb
                .update_time_to_live()
                .table_name(&self.config.table)
                .time_to_live_specification(ttl)
                .send()
                .await,
        );
        Ok(())
    }

    /// A model served by this image, which on the simulator may be a loopback URL.
    pub async fn create_model(&self, name: &str, image: &str) -> Result<(), PortError> {
        let container = ContainerDefinition::builder().image(image).build();
        let call = self
            .control
            .sagemaker
            .create_model()
            .model_name(name)
            .primary_container(container);
        let call = call.execution_role_arn("arn:aws:iam::123456789012:role/loopback");
        call.send()
            .await
            .map(drop)
            .map_err(|error| sort("CreateModel", &error))
    }

    /// An endpoint with one variant of this model, and its config. It is open to deployments, as its
    /// owner's pipeline would leave it.
    pub async fn create_endpoint(
        &self,
        endpoint: &str,
        config: &str,
        variant: &str,
        model: &str,
        instances: i32,
    ) -> Result<(), PortError> {
        let variant = ProductionVariant::builder()
            .variant_name(variant)
            .model_name(model)
            .initial_instance_count(instances);
        let variant = variant
            .instance_type(ProductionVariantInstanceType::from("ml.c6i.large"))
            .initial_variant_weight(1.0)
            .build();
        let call = self
            .control
            .sagemaker
            .create_endpoint_config()
            .endpoint_config_name(config)
            .production_variants(variant);
        call.send()
            .await
            .map_err(|error| sort("CreateEndpointConfig", &error))?;
        let enabled = Tag::builder().key(ENABLED_TAG).value("true").build();
        let call = self
            .control
            .sagemaker
            .create_endpoint()
            .endpoint_name(endpoint)
            .tags(enabled)
            .endpoint_config_name(config);
        call.send()
            .await
            .map(drop)
            .map_err(|error| sort("CreateEndpoint", &error))
    }
}

fn keys(hash: &str, range: &str) -> Result<Vec<KeySchemaElement>, PortError> {
    let key = |name: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
    };
    let built = [key(hash, KeyType::Hash), key(range, KeyType::Range)];
    built
        .into_iter()
        .map(|key| key.map_err(|error| nonsense("CreateTable", error.to_string())))
        .collect()
}
