//! Requests that no client means, to every service and in every protocol: an answer in the protocol
//! of the question, 2XX or 4XX, and the simulator goes on.
//!
//! The valid requests are the ones that the control plane makes. Bodies are broken as documents and
//! as bytes; paths and targets as texts.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use simulator::clock::Clock;
use simulator::malformed::{self, Choices};
use simulator::{Options, Simulator, Timings};

/// A simulator with what the valid requests name, and a runtime to ask it.
struct Account {
    simulator: Arc<Simulator>,
    runtime: tokio::runtime::Runtime,
}

impl Account {
    /// The engine repeats a failing input on the same account: nothing here is left half done.
    fn new() -> AssertUnwindSafe<Self> {
        let start = "2026-03-02T08:00:00Z".parse().expect("a time");
        let simulator = Simulator::new(Options {
            seed: 7,
            clock: Clock::manual(start),
            timings: Timings::default(),
            state: None,
        })
        .expect("an empty account");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let account = Self { simulator, runtime };
        for (target, input) in documents() {
            account.ask("/", Some(target), input.to_string().into_bytes());
        }
        AssertUnwindSafe(account)
    }

    fn ask(&self, path: &str, target: Option<&str>, body: Vec<u8>) -> Option<Response<Bytes>> {
        let mut request = Request::post(path);
        if let Some(target) = target {
            request = request.header("x-amz-target", target);
        }
        // What is no path or header never arrives.
        let request = request.body(Bytes::from(body)).ok()?;
        let response = self.runtime.block_on(self.simulator.handle(request));
        let status = response.status();
        // The embedded DynamoDB answers so for a second table whose name differs by case alone.
        let by_case = b"backend: table ";
        let mut windows = response.body().windows(by_case.len());
        let is_known = windows.any(|part| part == by_case);
        assert!(
            status.is_success() || status.is_client_error() || is_known,
            "{status}: {:?}",
            response.body()
        );
        Some(response)
    }

    fn assert_json(&self, target: &str, body: Vec<u8>) {
        if let Some(response) = self.ask("/", Some(target), body) {
            let answer: Result<Value, _> = serde_json::from_slice(response.body());
            assert!(answer.is_ok(), "{target}: {:?}", response.body());
        }
    }
}

/// Targets and inputs, in the order in which one makes what the next names.
fn documents() -> Vec<(&'static str, Value)> {
    let variant = json!({
        "VariantName": "production", "ModelName": "wine-v1", "InitialInstanceCount": 2,
        "InstanceType": "ml.c6i.large", "InitialVariantWeight": 1.0,
    });
    let key = json!({"pk": {"S": "DEP#1"}});
    let mut documents = vec![
        (
            "SageMaker.CreateModel",
            json!({
                "ModelName": "wine-v1", "ExecutionRoleArn": "arn:aws:iam::123456789012:role/wine",
                "PrimaryContainer": {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/wine:1"},
                "Tags": [{"Key": "team", "Value": "wine"}],
            }),
        ),
        (
            "SageMaker.CreateEndpointConfig",
            json!({"EndpointConfigName": "wine-config", "ProductionVariants": [variant]}),
        ),
        (
            "SageMaker.CreateEndpoint",
            json!({"EndpointName": "wine", "EndpointConfigName": "wine-config"}),
        ),
        (
            "SageMaker.DescribeEndpoint",
            json!({"EndpointName": "wine"}),
        ),
        (
            "SageMaker.UpdateEndpoint",
            json!({"EndpointName": "wine", "EndpointConfigName": "wine-config", "RetainAllVariantProperties": true}),
        ),
        (
            "SageMaker.UpdateEndpointWeightsAndCapacities",
            json!({
                "EndpointName": "wine",
                "DesiredWeightsAndCapacities": [{"VariantName": "production", "DesiredWeight": 0.5, "DesiredInstanceCount": 3}],
            }),
        ),
        (
            "SageMaker.ListTags",
            json!({"ResourceArn": "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/wine"}),
        ),
        (
            "DynamoDB_20120810.CreateTable",
            json!({
                "TableName": "canary", "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            }),
        ),
        (
            "DynamoDB_20120810.PutItem",
            json!({
                "TableName": "canary", "Item": {"pk": {"S": "DEP#1"}, "version": {"N": "1"}, "state": {"M": {"a": {"L": [{"NULL": true}]}}}},
                "ConditionExpression": "attribute_not_exists(pk) OR #v < :v",
                "ExpressionAttributeNames": {"#v": "version"}, "ExpressionAttributeValues": {":v": {"N": "2"}},
            }),
        ),
        (
            "DynamoDB_20120810.GetItem",
            json!({"TableName": "canary", "Key": key, "ConsistentRead": true}),
        ),
        (
            "DynamoDB_20120810.Query",
            json!({
                "TableName": "canary", "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": {":pk": {"S": "DEP#1"}}, "Limit": 5,
            }),
        ),
        (
            "DynamoDB_20120810.TransactWriteItems",
            json!({"TransactItems": [{"Delete": {"TableName": "canary", "Key": key}}]}),
        ),
    ];
    documents.extend(registry());
    documents.extend(beside_sagemaker());
    documents.extend(cloudwatch().map(|(operation, input)| match operation {
        "PutMetricData" => ("GraniteServiceVersion20100801.PutMetricData", input),
        "GetMetricData" => ("GraniteServiceVersion20100801.GetMetricData", input),
        _ => ("GraniteServiceVersion20100801.DescribeAlarms", input),
    }));
    documents
}

/// The model registry, and a model that is made of what it holds.
fn registry() -> [(&'static str, Value); 5] {
    let package = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/wine/1";
    [
        (
            "SageMaker.CreateModelPackageGroup",
            json!({"ModelPackageGroupName": "wine", "Tags": [{"Key": "team", "Value": "wine"}]}),
        ),
        (
            "SageMaker.CreateModelPackage",
            json!({
                "ModelPackageGroupName": "wine", "ModelApprovalStatus": "Approved",
                "InferenceSpecification": {"Containers": [{"Image": "wine:1"}]},
            }),
        ),
        (
            "SageMaker.DescribeModelPackage",
            json!({"ModelPackageName": package}),
        ),
        (
            "SageMaker.UpdateModelPackage",
            json!({
                "ModelPackageArn": package, "ModelApprovalStatus": "Approved", "ApprovalDescription": "fine",
                "ModelLifeCycle": {"Stage": "Production", "StageStatus": "Approved", "StageDescription": "it serves"},
            }),
        ),
        (
            "SageMaker.CreateModel",
            json!({"ModelName": "wine-package-1", "PrimaryContainer": {"ModelPackageName": package}}),
        ),
    ]
}

fn beside_sagemaker() -> [(&'static str, Value); 4] {
    [
        (
            "ResourceGroupsTaggingAPI_20170126.GetResources",
            json!({
                "ResourcesPerPage": 5, "ResourceTypeFilters": ["sagemaker:model"],
                "TagFilters": [{"Key": "team", "Values": ["wine"]}],
            }),
        ),
        (
            "SageMaker.ListEndpoints",
            json!({"MaxResults": 10, "NameContains": "wine", "SortBy": "Name"}),
        ),
        (
            "AnyScaleFrontendService.RegisterScalableTarget",
            json!({
                "ServiceNamespace": "sagemaker", "ResourceId": "endpoint/wine/variant/production",
                "ScalableDimension": "sagemaker:variant:DesiredInstanceCount", "MinCapacity": 1, "MaxCapacity": 4,
            }),
        ),
        (
            "AWSEvents.PutEvents",
            json!({"Entries": [{"Source": "canary", "DetailType": "Started", "Detail": "{\"a\": 1}", "Resources": ["wine"]}]}),
        ),
    ]
}

fn cloudwatch() -> [(&'static str, Value); 3] {
    let dimensions = json!([{"Name": "EndpointName", "Value": "wine"}]);
    [
        (
            "PutMetricData",
            json!({
                "Namespace": "Canary/Model",
                "MetricData": [{
                    "MetricName": "Wrong", "Dimensions": dimensions, "Timestamp": 1_772_438_400,
                    "Values": [1.0, 2.5], "Counts": [3.0, 1.0], "Unit": "Count",
                }],
            }),
        ),
        (
            "GetMetricData",
            json!({
                "StartTime": 1_772_438_400, "EndTime": 1_772_442_000, "ScanBy": "TimestampAscending", "MaxDatapoints": 500,
                "MetricDataQueries": [{
                    "Id": "q0", "ReturnData": true,
                    "MetricStat": {
                        "Metric": {"Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": dimensions},
                        "Period": 60, "Stat": "TC(0.5:2)",
                    },
                }],
            }),
        ),
        (
            "DescribeAlarms",
            json!({"AlarmNames": ["wine-down"], "StateValue": "ALARM", "MaxRecords": 10}),
        ),
    ]
}

const FORMS: [&str; 5] = [
    "Action=PutMetricData&Version=2010-08-01&Namespace=A%2FB&MetricData.member.1.MetricName=x&MetricData.member.1.Value=5&MetricData.member.1.Dimensions.member.1.Name=a&MetricData.member.1.Dimensions.member.1.Value=b",
    "Action=GetMetricStatistics&Version=2010-08-01&Namespace=A&MetricName=x&StartTime=2026-03-02T07%3A00%3A00Z&EndTime=2026-03-02T08%3A00%3A00Z&Period=60&Statistics.member.1=Sum",
    "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A123456789012%3Acanary&Message=a+b&Subject=c&MessageAttributes.entry.1.Name=n&MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=v",
    "Action=CreateTopic&Version=2010-03-31&Name=canary",
    "Action=GetCallerIdentity&Version=2011-06-15",
];

#[test]
fn every_document_is_answered() {
    let (account, documents) = (Account::new(), documents());
    bolero::check!()
        .with_iterations(3000)
        .with_max_len(96)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let (target, input) = choices.of(&documents);
            let body = match choices.below(4) {
                0 => malformed::bytes(input.to_string().as_bytes(), &mut choices),
                _ => malformed::json(input, &mut choices).into_bytes(),
            };
            let account: &Account = &account;
            account.assert_json(target, body);
        });
}

#[test]
fn every_form_is_answered() {
    let account = Account::new();
    bolero::check!()
        .with_iterations(3000)
        .with_max_len(96)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let form: &&str = choices.of(&FORMS);
            let body = match choices.below(2) {
                0 => malformed::text(form, &mut choices).into_bytes(),
                _ => malformed::bytes(form.as_bytes(), &mut choices),
            };
            let account: &Account = &account;
            account.ask("/", None, body);
        });
}

fn cbor(value: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    ciborium::into_writer(value, &mut body).expect("memory takes everything");
    body
}

#[test]
fn every_cbor_is_answered_in_cbor() {
    let (account, operations) = (Account::new(), cloudwatch());
    bolero::check!()
        .with_iterations(3000)
        .with_max_len(96)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let (operation, input) = choices.of(&operations);
            let path = format!("/service/GraniteServiceVersion20100801/operation/{operation}");
            let body = match choices.below(3) {
                0 => malformed::value(input, &mut choices).map(|value| cbor(&value)),
                1 => Some(malformed::bytes(&cbor(input), &mut choices)),
                _ => Some(bytes.to_vec()),
            };
            let (Some(body), account) = (body, &*account) else {
                return;
            };
            let response = account.ask(&path, None, body).expect("a valid path");
            let answer: Result<ciborium::Value, _> =
                ciborium::from_reader(response.body().as_ref());
            assert!(answer.is_ok(), "{:?}", response.body());
        });
}

#[test]
fn every_path_and_target_is_answered() {
    const PATHS: [&str; 5] = [
        "/endpoints/wine/invocations",
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Awork/invocations",
        "/service/GraniteServiceVersion20100801/operation/GetMetricData",
        "/?Action=ListMetrics&Version=2010-08-01",
        "/health",
    ];
    let (account, documents) = (Account::new(), documents());
    bolero::check!()
        .with_iterations(3000)
        .with_max_len(96)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let path: &&str = choices.of(&PATHS);
            let path = malformed::text(path, &mut choices);
            let (target, input) = choices.of(&documents);
            let target = malformed::text(target, &mut choices);
            let target = (choices.below(2) == 0).then_some(target.as_str());
            let account: &Account = &account;
            account.ask(&path, target, input.to_string().into_bytes());
        });
}

/// Lengths that a body claims and does not have, and depth.
#[test]
fn cbor_that_lies_is_refused_at_once() {
    let account = Account::new();
    let lies = [
        vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0x7b, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0x81; 10_000],
        [0xa1, 0x61, b'a'].repeat(10_000),
        vec![0xc1; 10_000],
        vec![0xbf; 10_000],
    ];
    for body in lies {
        let path = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
        let response = account.ask(path, None, body).expect("a valid path");
        assert!(response.status().is_client_error());
    }
}

#[test]
fn depth_is_refused_in_every_service() {
    let account = Account::new();
    for (target, _) in documents() {
        for depth in [127, 128, 10_000] {
            let brackets = malformed::nested(depth);
            account.assert_json(target, brackets.clone().into_bytes());
            account.assert_json(target, format!("{{\"TableName\":{brackets}}}").into_bytes());
        }
    }
    let deep = format!(
        "Action=PutMetricData&Version=2010-08-01&{}=1",
        "a.".repeat(10_000)
    );
    account.ask("/", None, deep.into_bytes());
}
