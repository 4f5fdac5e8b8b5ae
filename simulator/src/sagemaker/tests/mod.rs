//! The control plane, the runtime and scaling together, through the front door and on a manual clock.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    Backend, Clock, Distribution, Disturbance, Fault, FaultKind, Options, Simulator, Timings,
    service,
};

mod serving;

type Refusal = (String, String);

fn simulator() -> Arc<Simulator> {
    let start = "2026-01-05T09:00:00Z".parse().expect("a timestamp");
    Simulator::new(Options {
        seed: 7,
        clock: Clock::manual(start),
        timings: Timings::default(),
        state: None,
    })
    .expect("the simulator starts")
}

async fn target(simulator: &Arc<Simulator>, target: &str, input: &Value) -> Result<Value, Refusal> {
    let request = Request::post("http://127.0.0.1/")
        .header("x-amz-target", target)
        .body(Bytes::from(input.to_string()))
        .expect("a request");
    let response = simulator.handle(request).await;
    assert!(response.headers().contains_key("x-amzn-requestid"));
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    if response.status().is_success() {
        return Ok(body);
    }
    let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
    Err((text("__type"), text("message")))
}

async fn sagemaker(
    simulator: &Arc<Simulator>,
    operation: &str,
    input: Value,
) -> Result<Value, Refusal> {
    target(simulator, &format!("SageMaker.{operation}"), &input).await
}

async fn scaling(
    simulator: &Arc<Simulator>,
    operation: &str,
    mut input: Value,
) -> Result<Value, Refusal> {
    input["ServiceNamespace"] = "sagemaker".into();
    input["ScalableDimension"] = "sagemaker:variant:DesiredInstanceCount".into();
    let name = format!("AnyScaleFrontendService.{operation}");
    target(simulator, &name, &input).await
}

async fn invoke(
    simulator: &Arc<Simulator>,
    endpoint: &str,
    headers: &[(&str, &str)],
) -> Response<Bytes> {
    let mut request = Request::post(format!("http://127.0.0.1/endpoints/{endpoint}/invocations"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::from_static(b"{}")).expect("a request");
    simulator.handle(request).await
}

fn variant(name: &str, model: &str, count: i64, weight: f64) -> Value {
    json!({
        "VariantName": name, "ModelName": model, "InstanceType": "ml.m5.large",
        "InitialInstanceCount": count, "InitialVariantWeight": weight,
    })
}

async fn model(simulator: &Arc<Simulator>, name: &str) {
    let container = json!({"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/wine:1"});
    let input = json!({"ModelName": name, "PrimaryContainer": container});
    sagemaker(simulator, "CreateModel", input)
        .await
        .expect("created");
}

async fn config(simulator: &Arc<Simulator>, name: &str, variants: &[Value]) {
    let input = json!({"EndpointConfigName": name, "ProductionVariants": variants});
    sagemaker(simulator, "CreateEndpointConfig", input)
        .await
        .expect("created");
}

async fn describe(simulator: &Arc<Simulator>) -> Value {
    sagemaker(
        simulator,
        "DescribeEndpoint",
        json!({"EndpointName": "wine"}),
    )
    .await
    .expect("described")
}

async fn update(simulator: &Arc<Simulator>, config: &str, more: Value) -> Result<Value, Refusal> {
    let mut input = json!({"EndpointName": "wine", "EndpointConfigName": config});
    for (member, value) in more.as_object().expect("an object") {
        input[member] = value.clone();
    }
    sagemaker(simulator, "UpdateEndpoint", input).await
}

async fn adjust(simulator: &Arc<Simulator>, entries: Value) -> Result<Value, Refusal> {
    let input = json!({"EndpointName": "wine", "DesiredWeightsAndCapacities": entries});
    sagemaker(simulator, "UpdateEndpointWeightsAndCapacities", input).await
}

/// Two models, the endpoint `wine` in service on `v1`, and a config `both` with a canary at weight 0.
async fn in_service() -> Arc<Simulator> {
    let simulator = simulator();
    model(&simulator, "m1").await;
    model(&simulator, "m2").await;
    config(&simulator, "v1", &[variant("production", "m1", 2, 1.0)]).await;
    let both = [
        variant("production", "m1", 2, 1.0),
        variant("canary", "m2", 1, 0.0),
    ];
    config(&simulator, "both", &both).await;
    let input = json!({"EndpointName": "wine", "EndpointConfigName": "v1"});
    sagemaker(&simulator, "CreateEndpoint", input)
        .await
        .expect("created");
    assert_eq!(describe(&simulator).await["EndpointStatus"], "Creating");
    assert_eq!(invoke(&simulator, "wine", &[]).await.status(), 400);
    simulator.advance(SignedDuration::from_secs(60)).await;
    assert_eq!(describe(&simulator).await["EndpointStatus"], "InService");
    simulator
}

async fn with_canary() -> Arc<Simulator> {
    let simulator = in_service().await;
    let retain = json!({"RetainAllVariantProperties": true});
    update(&simulator, "both", retain).await.expect("accepted");
    simulator.advance(SignedDuration::from_mins(3)).await;
    simulator
}

fn assert_refused(outcome: Result<Value, Refusal>, code: &str, part: &str) {
    let (kind, message) = outcome.expect_err("refused");
    assert_eq!(kind, code, "{message}");
    assert!(message.contains(part), "{message}");
}

#[tokio::test]
async fn a_config_comes_back_as_it_went_in() {
    let simulator = simulator();
    model(&simulator, "m1").await;
    let mut input = json!({
        "EndpointConfigName": "full",
        "ProductionVariants": [variant("production", "m1", 1, 1.0)],
        "DataCaptureConfig": {"EnableCapture": true, "CaptureOptions": [{"CaptureMode": "Input"}]},
        "KmsKeyId": "key", "ExecutionRoleArn": "arn:aws:iam::123456789012:role/r",
        "VpcConfig": {"Subnets": ["s"], "SecurityGroupIds": ["g"]},
        "MetricsConfig": {"EnableEnhancedMetrics": false},
        "AFieldOfNextYear": {"Deep": [1, 2.5, null]},
        "Tags": [{"Key": "team", "Value": "wine"}],
    });
    sagemaker(&simulator, "CreateEndpointConfig", input.clone())
        .await
        .expect("created");
    let name = json!({"EndpointConfigName": "full"});
    let mut described = sagemaker(&simulator, "DescribeEndpointConfig", name)
        .await
        .expect("described");
    let arn = described["EndpointConfigArn"].clone();
    let tags = sagemaker(&simulator, "ListTags", json!({"ResourceArn": arn}))
        .await
        .expect("listed");
    assert_eq!(tags["Tags"], json!([{"Key": "team", "Value": "wine"}]));
    for added in ["EndpointConfigArn", "CreationTime"] {
        described.as_object_mut().expect("an object").remove(added);
    }
    input.as_object_mut().expect("an object").remove("Tags");
    assert_eq!(described, input);
}

#[tokio::test]
async fn bad_input_is_refused_in_sagemakers_words() {
    let simulator = in_service().await;
    let long = "a".repeat(64);
    for name in [long.as_str(), "-a", "wine🍷", ""] {
        let outcome = sagemaker(
            &simulator,
            "DescribeEndpoint",
            json!({"EndpointName": name}),
        )
        .await;
        assert_refused(
            outcome,
            "ValidationException",
            "failed to satisfy constraint",
        );
    }
    let outcome = sagemaker(
        &simulator,
        "DescribeEndpoint",
        json!({"EndpointName": "no"}),
    )
    .await;
    assert_refused(outcome, "ValidationException", "Could not find endpoint");
    let again = json!({"EndpointName": "wine", "EndpointConfigName": "v1"});
    let outcome = sagemaker(&simulator, "CreateEndpoint", again).await;
    assert_refused(
        outcome,
        "ValidationException",
        "Cannot create already existing",
    );
    let outcome = update(&simulator, "missing", json!({})).await;
    assert_refused(
        outcome,
        "ValidationException",
        "Could not find endpoint configuration",
    );
    let image = json!({"ModelName": "m9", "PrimaryContainer": {"Image": "http://example.com:80"}});
    let outcome = sagemaker(&simulator, "CreateModel", image).await;
    assert_refused(outcome, "ValidationException", "loopback");
    let variant_lists = [
        json!([]),
        json!([variant("v", "unknown", 1, 1.0)]),
        json!([variant("v", "m1", 1, -1.0)]),
        json!([variant("v", "m1", 0, 1.0)]),
        json!([variant("v", "m1", 1, 1.0), variant("v", "m2", 1, 1.0)]),
        Value::Array(
            (0..11)
                .map(|n| variant(&format!("v{n}"), "m1", 1, 1.0))
                .collect(),
        ),
    ];
    for variants in variant_lists {
        let input = json!({"EndpointConfigName": "bad", "ProductionVariants": variants});
        let outcome = sagemaker(&simulator, "CreateEndpointConfig", input).await;
        assert_refused(outcome, "ValidationException", "");
    }
    let entries = [
        json!([]),
        json!([{"VariantName": "nobody", "DesiredWeight": 1.0}]),
        json!([{"VariantName": "production"}]),
        json!([{"VariantName": "production", "DesiredWeight": "NaN"}]),
        json!([{"VariantName": "production", "DesiredWeight": 1.0, "DesiredInstanceCount": 2}]),
    ];
    for entry in entries {
        assert_refused(adjust(&simulator, entry).await, "ValidationException", "");
    }
    let outcome = sagemaker(&simulator, "CreateNotebook", json!({})).await;
    assert_refused(outcome, "UnknownOperationException", "CreateNotebook");
}

#[tokio::test]
async fn an_update_deploys_a_new_fleet_and_refuses_others_meanwhile() {
    let simulator = in_service().await;
    let grow = json!([{"VariantName": "production", "DesiredInstanceCount": 5}]);
    adjust(&simulator, grow).await.expect("accepted");
    simulator.advance(SignedDuration::from_secs(90)).await;
    let retain = json!({"RetainAllVariantProperties": true});
    update(&simulator, "both", retain.clone())
        .await
        .expect("accepted");
    simulator.advance(SignedDuration::from_secs(179)).await;
    let during = describe(&simulator).await;
    assert_eq!(during["EndpointStatus"], "Updating");
    assert_eq!(during["EndpointConfigName"], "v1");
    assert_eq!(
        during["ProductionVariants"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(
        during["PendingDeploymentSummary"]["EndpointConfigName"],
        "both"
    );
    let outcome = update(&simulator, "v1", retain).await;
    assert_refused(
        outcome,
        "ValidationException",
        "Cannot update in-progress endpoint",
    );
    let weights = json!([{"VariantName": "production", "DesiredWeight": 1.0}]);
    assert_refused(
        adjust(&simulator, weights).await,
        "ValidationException",
        "Cannot update in-progress",
    );
    assert_eq!(invoke(&simulator, "wine", &[]).await.status(), 200);
    simulator.advance(SignedDuration::from_secs(1)).await;
    let after = describe(&simulator).await;
    assert_eq!(after["EndpointStatus"], "InService");
    assert_eq!(after["EndpointConfigName"], "both");
    assert_eq!(after["ProductionVariants"][0]["CurrentInstanceCount"], 5);
    assert_eq!(after["ProductionVariants"][1]["CurrentWeight"], 0.0);
    assert!(after["PendingDeploymentSummary"].is_null());
}

#[tokio::test]
async fn without_retaining_an_update_falls_back_to_initial_values() {
    for (more, weight, count) in [
        (json!({}), 1.0, 2),
        (json!({"RetainAllVariantProperties": true}), 4.0, 6),
        (
            json!({
                "RetainAllVariantProperties": true,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
            }),
            1.0,
            6,
        ),
    ] {
        let simulator = in_service().await;
        for change in [
            json!([{"VariantName": "production", "DesiredWeight": 4.0}]),
            json!([{"VariantName": "production", "DesiredInstanceCount": 6}]),
        ] {
            adjust(&simulator, change).await.expect("accepted");
            simulator.advance(SignedDuration::from_mins(2)).await;
        }
        update(&simulator, "both", more).await.expect("accepted");
        simulator.advance(SignedDuration::from_mins(3)).await;
        let production = describe(&simulator).await["ProductionVariants"][0].clone();
        assert_eq!(production["CurrentWeight"], weight);
        assert_eq!(production["DesiredInstanceCount"], count);
    }
}

#[tokio::test]
async fn a_failed_update_comes_back_on_the_old_config() {
    let simulator = in_service().await;
    simulator
        .sagemaker()
        .fail_next_update("wine", "the image does not start");
    update(&simulator, "both", json!({}))
        .await
        .expect("accepted");
    simulator.advance(SignedDuration::from_mins(3)).await;
    let after = describe(&simulator).await;
    assert_eq!(after["EndpointStatus"], "InService");
    assert_eq!(after["EndpointConfigName"], "v1");
    assert_eq!(after["FailureReason"], "the image does not start");
    update(&simulator, "both", json!({}))
        .await
        .expect("accepted");
    simulator.advance(SignedDuration::from_mins(3)).await;
    let after = describe(&simulator).await;
    assert_eq!(after["EndpointConfigName"], "both");
    assert!(after["FailureReason"].is_null());
}

#[tokio::test]
async fn a_registered_variant_cannot_be_removed_by_an_update() {
    let simulator = with_canary().await;
    let id =
        json!({"ResourceId": "endpoint/wine/variant/canary", "MinCapacity": 1, "MaxCapacity": 4});
    scaling(&simulator, "RegisterScalableTarget", id.clone())
        .await
        .expect("registered");
    update(&simulator, "v1", json!({})).await.expect("accepted");
    simulator.advance(SignedDuration::from_mins(3)).await;
    let after = describe(&simulator).await;
    assert_eq!(after["EndpointConfigName"], "both");
    let reason = after["FailureReason"].as_str().expect("a reason");
    assert!(reason.contains("canary"), "{reason}");
    scaling(&simulator, "DeregisterScalableTarget", id)
        .await
        .expect("deregistered");
    update(&simulator, "v1", json!({})).await.expect("accepted");
    simulator.advance(SignedDuration::from_mins(3)).await;
    assert_eq!(describe(&simulator).await["EndpointConfigName"], "v1");
}

#[tokio::test]
async fn forced_statuses_refuse_updates_until_they_end() {
    let simulator = in_service().await;
    let until = simulator.clock().now() + SignedDuration::from_mins(5);
    simulator
        .sagemaker()
        .set_status("wine", "SystemUpdating", until);
    assert_eq!(
        describe(&simulator).await["EndpointStatus"],
        "SystemUpdating"
    );
    assert_refused(
        update(&simulator, "both", json!({})).await,
        "ValidationException",
        "Cannot update in-progress",
    );
    simulator.advance(SignedDuration::from_mins(5)).await;
    update(&simulator, "both", json!({}))
        .await
        .expect("accepted");
    simulator
        .sagemaker()
        .set_status("wine", "Failed", Timestamp::MAX);
    simulator.advance(SignedDuration::from_mins(30)).await;
    assert_eq!(describe(&simulator).await["EndpointStatus"], "Failed");
    assert_eq!(invoke(&simulator, "wine", &[]).await.status(), 400);
    sagemaker(
        &simulator,
        "DeleteEndpoint",
        json!({"EndpointName": "wine"}),
    )
    .await
    .expect("deleted");
    assert_eq!(describe(&simulator).await["EndpointStatus"], "Deleting");
    simulator.advance(SignedDuration::from_mins(1)).await;
    let outcome = sagemaker(
        &simulator,
        "DescribeEndpoint",
        json!({"EndpointName": "wine"}),
    )
    .await;
    assert_refused(outcome, "ValidationException", "Could not find endpoint");
}

#[tokio::test]
async fn deleting_what_is_in_use_is_allowed_and_written_down() {
    let simulator = in_service().await;
    let both = json!({"EndpointConfigName": "both"});
    sagemaker(&simulator, "DeleteEndpointConfig", both)
        .await
        .expect("deleted");
    assert!(simulator.sagemaker().violations().is_empty());
    let live = json!({"EndpointConfigName": "v1"});
    sagemaker(&simulator, "DeleteEndpointConfig", live)
        .await
        .expect("deleted");
    sagemaker(&simulator, "DeleteModel", json!({"ModelName": "m1"}))
        .await
        .expect("deleted");
    assert_eq!(simulator.sagemaker().violations().len(), 2);
    assert!(simulator.sagemaker().endpoint_configs().is_empty());
    assert_eq!(invoke(&simulator, "wine", &[]).await.status(), 200);
}

#[tokio::test]
async fn a_models_network_is_told_as_it_was_given() {
    let simulator = simulator();
    let of = |network: Value| {
        json!({
            "ModelName": "m",
            "PrimaryContainer": {"Image": "wine:1"},
            "VpcConfig": network,
            "EnableNetworkIsolation": true,
        })
    };
    for (network, member) in [
        (json!({"SecurityGroupIds": ["sg-1"]}), "'subnets'"),
        (
            json!({"SecurityGroupIds": [], "Subnets": ["s"]}),
            "'securityGroupIds'",
        ),
        (
            json!({"SecurityGroupIds": vec!["sg"; 6], "Subnets": ["s"]}),
            "'securityGroupIds'",
        ),
        (
            json!({"SecurityGroupIds": ["sg"], "Subnets": vec!["s"; 17]}),
            "'subnets'",
        ),
    ] {
        let outcome = sagemaker(&simulator, "CreateModel", of(network)).await;
        assert_refused(outcome, "ValidationException", member);
    }
    let network = json!({"SecurityGroupIds": ["sg-2", "sg-1"], "Subnets": ["s"]});
    let given = of(network.clone());
    sagemaker(&simulator, "CreateModel", given)
        .await
        .expect("a new model");
    let told = sagemaker(&simulator, "DescribeModel", json!({"ModelName": "m"})).await;
    let told = told.expect("a model");
    assert_eq!(told["VpcConfig"], network);
    assert_eq!(told["EnableNetworkIsolation"], true);
}

#[tokio::test]
async fn a_version_that_is_deleted_is_gone_and_the_others_keep_their_numbers() {
    let simulator = simulator();
    let group = json!({"ModelPackageGroupName": "wine"});
    sagemaker(&simulator, "CreateModelPackageGroup", group.clone())
        .await
        .expect("a new group");
    let mut arns = Vec::new();
    for version in 1..=3 {
        if version == 3 {
            let first = json!({"ModelPackageName": arns[0]});
            for deleted in [true, false] {
                let outcome = sagemaker(&simulator, "DeleteModelPackage", first.clone()).await;
                assert_eq!(outcome.is_ok(), deleted, "{outcome:?}");
            }
            let outcome = sagemaker(&simulator, "DescribeModelPackage", first).await;
            assert_refused(outcome, "ValidationException", "does not exist");
        }
        let made = sagemaker(&simulator, "CreateModelPackage", group.clone()).await;
        let arn = made.expect("a new version")["ModelPackageArn"].clone();
        let end = format!("model-package/wine/{version}");
        assert!(arn.as_str().is_some_and(|arn| arn.ends_with(&end)), "{arn}");
        arns.push(arn);
    }
}

#[tokio::test]
async fn instances_beyond_the_quota_are_refused() {
    let simulator = in_service().await;
    simulator.sagemaker().set_instance_quota("ml.m5.large", 4);
    let grow = json!([{"VariantName": "production", "DesiredInstanceCount": 5}]);
    assert_refused(
        adjust(&simulator, grow).await,
        "ResourceLimitExceeded",
        "request delta of 3",
    );
    // Two run, three more would come beside them.
    assert_refused(
        update(&simulator, "both", json!({})).await,
        "ResourceLimitExceeded",
        "current utilization of 2",
    );
    simulator.sagemaker().set_instance_quota("ml.m5.large", 5);
    update(&simulator, "both", json!({}))
        .await
        .expect("accepted");
}

#[tokio::test]
async fn listings_filter_sort_and_page() {
    let simulator = in_service().await;
    let page = json!({"MaxResults": 1, "SortBy": "Name", "SortOrder": "Ascending"});
    let first = sagemaker(&simulator, "ListModels", page.clone())
        .await
        .expect("listed");
    assert_eq!(first["Models"][0]["ModelName"], "m1");
    let mut next = page;
    next["NextToken"] = first["NextToken"].clone();
    let second = sagemaker(&simulator, "ListModels", next)
        .await
        .expect("listed");
    assert_eq!(second["Models"][0]["ModelName"], "m2");
    assert!(second["NextToken"].is_null());
    for (status, expected) in [("InService", 1), ("Failed", 0)] {
        let input = json!({"StatusEquals": status, "NameContains": "in"});
        let found = sagemaker(&simulator, "ListEndpoints", input)
            .await
            .expect("listed");
        assert_eq!(found["Endpoints"].as_array().map(Vec::len), Some(expected));
    }
}

#[tokio::test]
async fn tags_are_kept_and_reserved_keys_refused() {
    let simulator = in_service().await;
    let arn = describe(&simulator).await["EndpointArn"].clone();
    let reserved = json!({"ResourceArn": arn, "Tags": [{"Key": "aws:x", "Value": "1"}]});
    assert_refused(
        sagemaker(&simulator, "AddTags", reserved).await,
        "ValidationException",
        "aws:",
    );
    simulator
        .sagemaker()
        .set_tag(arn.as_str().expect("text"), "aws:x", "1");
    let own = json!({"ResourceArn": arn, "Tags": [{"Key": "team", "Value": "wine"}]});
    let tags = sagemaker(&simulator, "AddTags", own).await.expect("tagged");
    assert_eq!(tags["Tags"].as_array().map(Vec::len), Some(2));
    let gone = json!({"ResourceArn": arn, "TagKeys": ["aws:x", "team"]});
    sagemaker(&simulator, "DeleteTags", gone)
        .await
        .expect("untagged");
    let none = sagemaker(&simulator, "ListTags", json!({"ResourceArn": arn})).await;
    assert_eq!(none.expect("listed")["Tags"], json!([]));
}

#[tokio::test]
async fn changes_may_take_no_time_at_all() {
    let timings = Timings {
        create: SignedDuration::ZERO,
        ..Timings::default()
    };
    let simulator = Simulator::new(Options {
        seed: 1,
        clock: Clock::manual(Timestamp::UNIX_EPOCH),
        timings,
        state: None,
    })
    .expect("the simulator starts");
    model(&simulator, "m1").await;
    config(&simulator, "v1", &[variant("production", "m1", 1, 1.0)]).await;
    let input = json!({"EndpointName": "wine", "EndpointConfigName": "v1"});
    sagemaker(&simulator, "CreateEndpoint", input)
        .await
        .expect("created");
    assert_eq!(describe(&simulator).await["EndpointStatus"], "InService");
}
