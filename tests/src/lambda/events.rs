//! Events as AWS sends them, whole: what a function does not read must not trip it either.
//!
//! | event | documented at |
//! |---|---|
//! | a REST API's proxy integration | <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html> |
//! | EventBridge Scheduler | <https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html> |
//! | SageMaker endpoint state change | <https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html> |
//! | CloudWatch alarm state change | <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html> |

use jiff::Timestamp;
use serde_json::{Value, json};
use simulator::{ACCOUNT, REGION};

use crate::ENDPOINT;

const HOST: &str = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com";

/// A request through API Gateway's REST proxy integration with IAM authorization, by a session of this
/// role of the account.
pub fn request(role: &str, method: &str, path: &str, body: Option<&str>, at: Timestamp) -> Value {
    let resource = resource_of(path);
    let headers = [
        ("Accept", "application/json"),
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLEEXAMPLE",
        ),
        ("content-type", "application/json"),
        ("Host", HOST),
        ("X-Amz-Date", "20260302T081000Z"),
        (
            "X-Amzn-Trace-Id",
            "Root=1-65e2d2c8-3f1a2b3c4d5e6f7081920a1b",
        ),
        ("X-Forwarded-For", "198.51.100.7"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
    ];
    let single: Value = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let multiple: Value = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!([value])))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let parameters = path
        .split('/')
        .nth(2)
        .map_or(Value::Null, |id| json!({"id": id}));
    json!({
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": single,
        "multiValueHeaders": multiple,
        "queryStringParameters": null,
        "multiValueQueryStringParameters": null,
        "pathParameters": parameters,
        "stageVariables": null,
        "requestContext": request_context(role, method, path, &resource, at),
        "body": body,
        "isBase64Encoded": false,
    })
}

fn request_context(role: &str, method: &str, path: &str, resource: &str, at: Timestamp) -> Value {
    json!({
        "resourceId": "xjs2b1",
        "resourcePath": resource,
        "operationName": null,
        "httpMethod": method,
        "extendedRequestId": "U0ixFGsGoAMEhsA=",
        "requestTime": at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "path": format!("/v1{path}"),
        "accountId": ACCOUNT,
        "protocol": "HTTP/1.1",
        "stage": "v1",
        "domainPrefix": "a1b2c3d4e5",
        "requestTimeEpoch": at.as_millisecond(),
        "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "identity": {
            "cognitoIdentityPoolId": null,
            "accountId": ACCOUNT,
            "cognitoIdentityId": null,
            "caller": "AROAEXAMPLEEXAMPLE:run-17",
            "sourceIp": "198.51.100.7",
            "principalOrgId": "o-exampleorgid",
            "accessKey": "ASIAEXAMPLEEXAMPLE",
            "cognitoAuthenticationType": null,
            "cognitoAuthenticationProvider": null,
            "userArn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/run-17"),
            "userAgent": "canary",
            "user": "AROAEXAMPLEEXAMPLE:run-17",
        },
        "domainName": HOST,
        "deploymentId": "lrk1fk",
        "apiId": "a1b2c3d4e5",
    })
}

/// `/deployments/ID/pause` → `/deployments/{id}/pause`.
fn resource_of(path: &str) -> String {
    let segments = path.split('/').enumerate();
    let named: Vec<&str> = segments
        .map(|(position, segment)| if position == 2 { "{id}" } else { segment })
        .collect();
    named.join("/")
}

/// What EventBridge Scheduler sends where the schedule names no input.
pub fn schedule(at: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": [format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/canary-tick")],
        "detail": "{}",
    })
}

/// The endpoint of the tests has another status. SageMaker spells it in capitals here, and may send
/// several of these for one change.
pub fn endpoint_state_change(status: &str, at: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": "d2921b5a-b0ad-cace-a8e3-0f159d018e06",
        "detail-type": "SageMaker Endpoint State Change",
        "source": "aws.sagemaker",
        "account": ACCOUNT,
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": [endpoint_arn()],
        "detail": {
            "EndpointName": ENDPOINT,
            "EndpointArn": endpoint_arn(),
            "EndpointConfigName": "wine-quality-config",
            "ProductionVariants": [{
                "VariantName": "production",
                "DeployedImages": [],
                "CurrentWeight": 1.0,
                "DesiredWeight": 1.0,
                "CurrentInstanceCount": 2,
                "DesiredInstanceCount": 2,
            }],
            "EndpointStatus": status,
            "CreationTime": at.as_millisecond(),
            "LastModifiedTime": at.as_millisecond(),
            "Tags": {"canary:enabled": "true"},
        },
    })
}

/// An alarm fires.
pub fn alarm_state_change(alarm: &str, at: Timestamp) -> Value {
    let moment = at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string();
    json!({
        "version": "0",
        "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": ACCOUNT,
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": [format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{alarm}")],
        "detail": {
            "alarmName": alarm,
            "configuration": {
                "description": "Orders per minute are too few",
                "metrics": [{
                    "id": "fedb1f4d-0c1a-4b0a-8b0a-3d1b2c3d4e5f",
                    "metricStat": {
                        "metric": {"namespace": "Shop", "name": "Orders", "dimensions": {"Site": "eu"}},
                        "period": 60,
                        "stat": "Sum",
                    },
                    "returnData": true,
                }],
            },
            "previousState": {
                "reason": "Threshold Crossed: 1 out of the last 1 datapoints was not less than the threshold.",
                "reasonData": "{\"version\":\"1.0\"}",
                "timestamp": moment,
                "value": "OK",
            },
            "state": {
                "reason": "Threshold Crossed: 1 out of the last 1 datapoints was less than the threshold.",
                "reasonData": "{\"version\":\"1.0\"}",
                "timestamp": moment,
                "value": "ALARM",
            },
        },
    })
}

/// The ARN of the endpoint of the tests.
pub fn endpoint_arn() -> String {
    format!("arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{ENDPOINT}")
}
