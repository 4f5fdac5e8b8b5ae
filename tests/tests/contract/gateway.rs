//! What API Gateway sends reaches the routes: the path without its stage, and the caller's role.

use std::process::Command;

use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tests::{ENDPOINT, NEW, World, specification, specification_with};
use tower::ServiceExt;

/// Set for the process whose events are parsed as in the stack.
const CHILD: &str = "CANARY_TEST_GATEWAY";
/// What keeps the stage out of the path.
const IGNORE_STAGE: &str = "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH";

/// The event of a REST API's proxy integration with IAM authorization.
fn event(path: &str, body: &Value) -> String {
    let identity = json!({
        "accountId": "123456789012",
        "caller": "AROAEXAMPLEEXAMPLE:run-17",
        "accessKey": "ASIAEXAMPLEEXAMPLE",
        "sourceIp": "198.51.100.7",
        "user": "AROAEXAMPLEEXAMPLE:run-17",
        "userAgent": "canary",
        "userArn": "arn:aws:sts::123456789012:assumed-role/Release/run-17",
    });
    json!({
        "resource": path,
        "path": path,
        "httpMethod": "POST",
        "headers": {"Host": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com", "Content-Type": "application/json", "X-Forwarded-Proto": "https"},
        "multiValueHeaders": {"Host": ["a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"], "Content-Type": ["application/json"], "X-Forwarded-Proto": ["https"]},
        "queryStringParameters": null,
        "multiValueQueryStringParameters": null,
        "pathParameters": null,
        "stageVariables": null,
        "requestContext": {
            "resourceId": "abc123",
            "resourcePath": path,
            "httpMethod": "POST",
            "extendedRequestId": "JKJaXmPLvHcESHA=",
            "requestTime": "02/Mar/2026:08:10:00 +0000",
            "path": format!("/v1{path}"),
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": "v1",
            "domainPrefix": "a1b2c3d4e5",
            "requestTimeEpoch": 1_772_439_000_000_u64,
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "identity": identity,
            "domainName": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
            "apiId": "a1b2c3d4e5",
        },
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
    .to_string()
}

#[test]
fn an_event_of_the_gateway_reaches_its_route() {
    let child = Command::new(std::env::current_exe().expect("this test's own binary"))
        .args(["--exact", "gateway::events_as_in_the_stack", "--nocapture"])
        .envs([(CHILD, "1"), (IGNORE_STAGE, "true")])
        .output()
        .expect("a child process");
    let output = format!(
        "{}{}",
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr)
    );
    assert!(child.status.success(), "{output}");
    assert!(
        output.contains("1 passed"),
        "the events were sent: {output}"
    );
}

/// Runs in the child, whose environment is that of the stack's functions.
#[tokio::test]
async fn events_as_in_the_stack() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let world = World::new().await;
    let invalid = specification_with(json!({"plan": {"preset": "no-such-preset"}}));
    let (status, problem) = send(&world, &event("/deploy", &invalid)).await;
    assert_eq!(
        (status, problem["type"].as_str()),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            Some("urn:sagemaker-canary:problem:invalid-specification")
        ),
        "{problem}"
    );
    let (status, denied) = send(&world, &event("/deploy", &specification())).await;
    assert_eq!(
        (status, denied["type"].as_str()),
        (
            StatusCode::FORBIDDEN,
            Some("urn:sagemaker-canary:problem:forbidden")
        ),
        "{denied}"
    );
    let arn = world.stack.aws.config().access.home.endpoint_arn(ENDPOINT);
    let sagemaker = world.simulator().sagemaker();
    sagemaker.set_tag(&arn, "canary:deployers", "Release");
    let (status, accepted) = send(&world, &event("/deploy", &specification())).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    assert_eq!(
        (accepted["model"].as_str(), accepted["created_by"].as_str()),
        (Some(NEW), Some("Release"))
    );
}

async fn send(world: &World, event: &str) -> (StatusCode, Value) {
    let request = lambda_http::request::from_str(event).expect("an event of a REST API");
    let router = deploy::router(world.stack.aws.clone());
    let response = router.oneshot(request).await.expect("an infallible router");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a whole body");
    let value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
    (status, value)
}

#[test]
fn the_template_keeps_the_stage_out_of_every_functions_path() {
    let template = include_str!("../../../infra/template.yaml");
    let globals = template
        .split_once("\nGlobals:\n")
        .and_then(|(_, after)| after.split_once("\nResources:\n"))
        .map(|(globals, _)| globals)
        .expect("Globals stand before Resources");
    let (_, variables) = globals
        .split_once("\n      Variables:\n")
        .expect("variables of every function");
    let setting = format!("{IGNORE_STAGE}: \"true\"");
    assert!(variables.lines().any(|line| line.trim() == setting));
}
