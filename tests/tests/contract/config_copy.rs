//! A copy of an endpoint config loses nothing. The lists of copied fields are held against the
//! SDK's own types, so a field that a newer SDK adds fails here instead of vanishing.

use std::collections::BTreeSet;

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::operation::create_endpoint_config::CreateEndpointConfigInput;
use aws_sdk_sagemaker::operation::describe_endpoint_config::DescribeEndpointConfigOutput;
use aws_sdk_sagemaker::types::{AcceleratorPartitionLayout, ProductionVariant, Tag};
use serde_json::{Value, json};
use shared::app::ports::{Endpoints, Recipe};
use shared::aws::config_copy::{COPIED, DEPLOYMENT_TAG, VARIANT_FIELDS};
use shared::aws::loopback::sdk_config;
use shared::domain::state::Status;
use tests::configs::{config_fields, variant_fields};
use tests::{ENDPOINT, NEW, OLD, PRODUCTION, World, specification};

/// The names of a type's own fields, from its `Debug` output.
fn fields(debug: &str) -> BTreeSet<String> {
    let (_, inside) = debug.split_once('{').expect("a type with fields");
    let (mut depth, mut name, mut names) = (0_i32, String::new(), BTreeSet::new());
    for character in inside.chars() {
        match character {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ':' if depth == 0 && !name.is_empty() => drop(names.insert(std::mem::take(&mut name))),
            ',' => name.clear(),
            character
                if depth == 0
                    && (character.is_ascii_lowercase()
                        || character.is_ascii_digit()
                        || character == '_') =>
            {
                name.push(character);
            }
            _ => {}
        }
    }
    names
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_field_that_is_described_is_copied() {
    let described = fields(&format!(
        "{:?}",
        DescribeEndpointConfigOutput::builder().build()
    ));
    let own = names([
        "endpoint_config_name",
        "endpoint_config_arn",
        "creation_time",
        "_request_id",
    ]);
    assert_eq!(&described - &own, names(COPIED));
    let input = CreateEndpointConfigInput::builder()
        .build()
        .expect("an input without required fields");
    let taken = fields(&format!("{input:?}"));
    assert_eq!(
        &taken - &names(["endpoint_config_name", "tags"]),
        names(COPIED),
        "what can be made is what can be described"
    );
}

#[test]
fn every_field_of_a_variant_is_known() {
    assert_eq!(
        fields(&format!("{:?}", ProductionVariant::builder().build())),
        names(VARIANT_FIELDS)
    );
}

/// A variant with every field that goes together with weighted traffic.
fn full_variant() -> ProductionVariant {
    let named = ProductionVariant::builder()
        .variant_name(PRODUCTION)
        .model_name(OLD)
        .accelerator_partition_layouts(AcceleratorPartitionLayout::builder().build());
    let fields = variant_fields().into_iter();
    fields.fold(named, |variant, (_, set)| set(variant)).build()
}

/// Makes a config with every field there is (a shadow variant and asynchronous inference can't
/// take a canary and have tests of their own), and moves the endpoint onto it.
async fn full_config(world: &World, sagemaker: &Client, name: &str, variant: ProductionVariant) {
    let request = sagemaker
        .create_endpoint_config()
        .endpoint_config_name(name)
        .production_variants(variant);
    let fields = config_fields()
        .into_iter()
        .filter(|(field, _)| *field != "async_inference_config");
    fields
        .fold(request, |request, (_, set)| set(request))
        .tags(Tag::builder().key("team").value("wine").build())
        .tags(
            Tag::builder()
                .key("canary:deployment-id")
                .value("an earlier one")
                .build(),
        )
        .send()
        .await
        .expect("a config that the simulator takes");
    sagemaker
        .update_endpoint()
        .endpoint_name(ENDPOINT)
        .endpoint_config_name(name)
        .send()
        .await
        .expect("an endpoint at rest");
    world.pass(jiff::SignedDuration::from_mins(5)).await;
}

/// DescribeEndpointConfig as it stands on the wire, with its tags.
async fn described(
    world: &World,
    sagemaker: &Client,
    name: &str,
) -> (Value, Vec<(String, String)>) {
    let request = http::Request::post("http://127.0.0.1:4566/")
        .header("x-amz-target", "SageMaker.DescribeEndpointConfig")
        .header("content-type", "application/x-amz-json-1.1")
        .body(json!({"EndpointConfigName": name}).to_string().into())
        .expect("a well-formed request");
    let response = world.stack.simulator.handle(request).await;
    let mut config: Value = serde_json::from_slice(response.body()).expect("JSON");
    let arn = config["EndpointConfigArn"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    for own in ["EndpointConfigName", "EndpointConfigArn", "CreationTime"] {
        config.as_object_mut().expect("an object").remove(own);
    }
    let output = sagemaker
        .list_tags()
        .resource_arn(arn)
        .send()
        .await
        .expect("readable tags");
    let mut tags: Vec<(String, String)> = output
        .tags()
        .iter()
        .map(|tag| {
            (
                tag.key().unwrap_or_default().to_owned(),
                tag.value().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    tags.sort();
    (config, tags)
}

#[tokio::test]
async fn the_canarys_config_is_productions_and_a_variant_beside_it() {
    let world = World::new().await;
    let sagemaker = Client::new(&sdk_config(world.stack.simulator.http_client()));
    // A reservation takes no canary; the rest does.
    let mut variant = full_variant();
    variant.capacity_reservation_config = None;
    full_config(&world, &sagemaker, "full", variant).await;
    let (original, _) = described(&world, &sagemaker, "full").await;
    for member in [
        "DataCaptureConfig",
        "KmsKeyId",
        "ExplainerConfig",
        "ExecutionRoleArn",
        "VpcConfig",
        "EnableNetworkIsolation",
        "MetricsConfig",
    ] {
        assert!(!original[member].is_null(), "{member} was set at all");
    }
    assert_eq!(
        original["ProductionVariants"][0]
            .as_object()
            .map(serde_json::Map::len),
        Some(VARIANT_FIELDS.len() - 2),
        "all but serverless and the reservation"
    );
    let arn = "arn:aws:sagemaker:eu-central-1:123456789012:endpoint-config/full";
    world
        .simulator()
        .sagemaker()
        .set_tag(arn, "aws:cloudformation:stack-name", "serving");

    let id = world.deploy(&specification()).await;
    let terms = world.load(&id).await.deployment.terms;
    let (copy, tags) = described(&world, &sagemaker, &terms.canary_config).await;
    let mut expected = original.clone();
    let mut canary = original["ProductionVariants"][0].clone();
    canary["VariantName"] = terms.canary.clone().into();
    canary["ModelName"] = NEW.into();
    canary["InitialVariantWeight"] = json!(0.0);
    canary["InitialInstanceCount"] = json!(1);
    expected["ProductionVariants"]
        .as_array_mut()
        .expect("variants")
        .push(canary.clone());
    assert_eq!(copy, expected);
    let marked = [
        (DEPLOYMENT_TAG.to_owned(), id.clone()),
        ("team".to_owned(), "wine".to_owned()),
    ];
    assert_eq!(tags, marked, "the team's tags, our own, and none of AWS's");

    world.until_over(&id, Status::Completed).await;
    let (last, tags) = described(&world, &sagemaker, &terms.final_config).await;
    canary["InitialVariantWeight"] = json!(1.0);
    // What the whole traffic needs, not what the first stage did.
    canary["InitialInstanceCount"] =
        original["ProductionVariants"][0]["InitialInstanceCount"].clone();
    expected["ProductionVariants"] = json!([canary]);
    assert_eq!((last, tags.as_slice()), (expected, marked.as_slice()));
}

#[tokio::test]
async fn detailed_observability_is_said_out_loud() {
    let world = World::new().await;
    let sagemaker = Client::new(&sdk_config(world.stack.simulator.http_client()));
    let (original, _) = described(&world, &sagemaker, tests::CONFIG).await;
    assert!(
        original["MetricsConfig"].is_null(),
        "the old config said nothing, which means off"
    );
    let id = world.deploy(&specification()).await;
    let config = world.load(&id).await.deployment.terms.canary_config;
    let (copy, _) = described(&world, &sagemaker, &config).await;
    assert_eq!(
        copy["MetricsConfig"],
        json!({"EnableDetailedObservability": false}),
        "new configs would have it on"
    );
}

#[tokio::test]
async fn a_canary_of_another_type_has_no_pools_of_productions() {
    let world = World::new().await;
    let sagemaker = Client::new(&sdk_config(world.stack.simulator.http_client()));
    full_config(&world, &sagemaker, "full", full_variant()).await;
    let recipe = Recipe::WithCanary {
        source: "full".to_owned(),
        name: "copy".to_owned(),
        production: PRODUCTION.to_owned(),
        canary: "canary-1".to_owned(),
        model: NEW.to_owned(),
        instances: 2,
        instance_type: Some("ml.m5.large".to_owned()),
        deployment_id: "one".to_owned(),
    };
    for _ in 0..2 {
        world
            .stack
            .aws
            .make_config(&recipe)
            .await
            .expect("made once, and found the second time");
    }
    let (copy, _) = described(&world, &sagemaker, "copy").await;
    let canary = &copy["ProductionVariants"][1];
    assert_eq!(
        (
            canary["InstanceType"].as_str(),
            canary["InitialInstanceCount"].as_i64()
        ),
        (Some("ml.m5.large"), Some(2))
    );
    assert!(canary["InstancePools"].is_null() && canary["CapacityReservationConfig"].is_null());
}

/// What SageMaker has and this SDK does not is lost by a typed copy: a canary is refused, and nobody
/// finds out afterwards. `CrossRegionTrafficConfig` is one: botocore 1.44 knows it.
#[tokio::test]
async fn a_config_with_a_field_that_the_sdk_does_not_know_takes_no_canary() {
    let world = World::new().await;
    let aws = &world.stack.aws;
    let known = aws.endpoint_config(tests::CONFIG).await.expect("readable");
    let known = known.expect("it is there");
    assert_eq!(known.unknown_fields, Vec::<String>::new());
    let variant = json!({
        "VariantName": PRODUCTION, "ModelName": OLD, "InstanceType": "ml.c6i.large",
        "InitialInstanceCount": 1, "FutureVariantField": {"On": true}, "ServerlessConfig": null,
    });
    let config = json!({
        "EndpointConfigName": "newer", "ProductionVariants": [variant],
        "CrossRegionTrafficConfig": {"MaxInvocationsPerSecondPerInstance": 5},
    });
    control(&world, "CreateEndpointConfig", &config).await;
    let update = json!({"EndpointName": ENDPOINT, "EndpointConfigName": "newer"});
    control(&world, "UpdateEndpoint", &update).await;
    world.pass(jiff::SignedDuration::from_mins(5)).await;
    let newer = aws.endpoint_config("newer").await.expect("readable");
    assert_eq!(
        newer.expect("it is there").unknown_fields,
        ["CrossRegionTrafficConfig", "FutureVariantField"]
    );
    let (status, problem) = world.post("/plan", &specification()).await;
    assert_eq!(status, 422, "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("CrossRegionTrafficConfig"), "{detail}");
}

/// A call with a body that no SDK would send.
async fn control(world: &World, operation: &str, input: &Value) {
    let request = http::Request::post("http://127.0.0.1:4566/")
        .header("x-amz-target", format!("SageMaker.{operation}"))
        .header("content-type", "application/x-amz-json-1.1")
        .body(input.to_string().into())
        .expect("a well-formed request");
    let response = world.stack.simulator.handle(request).await;
    assert!(response.status().is_success(), "{:?}", response.body());
}
