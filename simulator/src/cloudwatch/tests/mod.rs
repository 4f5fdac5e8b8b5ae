//! CloudWatch as its clients see it: over the wire.

mod alarms;
mod metric_data;
mod put_metric_data;
mod sdk;
mod wire;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::CloudWatch;

const NAMESPACE: &str = "AWS/SageMaker";
const DIMENSIONS: [(&str, &str); 2] = [("EndpointName", "wine"), ("VariantName", "canary")];

/// A time of the test day.
fn at(time: &str) -> Timestamp {
    format!("2026-03-01T{time}Z")
        .parse()
        .expect("a time of day")
}

/// Calls by JSON: the answer, or the error's code on the query wire and its message.
fn call(
    cloudwatch: &CloudWatch,
    now: &str,
    operation: &str,
    input: &Value,
) -> Result<Value, (String, String)> {
    let target = format!("GraniteServiceVersion20100801.{operation}");
    let request = http::Request::post("/")
        .header("x-amz-target", target)
        .body(Bytes::from(input.to_string()))
        .expect("a valid request");
    assert!(CloudWatch::is_for(&request));
    let response = cloudwatch.handle(at(now), &request);
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    if response.status().is_success() {
        return Ok(body);
    }
    let code = response.headers()["x-amzn-query-error"]
        .to_str()
        .expect("text");
    let code = code.split(';').next().unwrap_or_default().to_owned();
    let message = body["message"].as_str().expect("a message").to_owned();
    Err((code, message))
}

/// Calls by JSON and expects an error with this code and a message that names the culprit.
fn refused(cloudwatch: &CloudWatch, operation: &str, input: &Value, code: &str, culprit: &str) {
    let (actual, message) = call(cloudwatch, "12:00:00", operation, input)
        .expect_err(&format!("{operation} takes {input}"));
    assert_eq!(actual, code, "{input}: {message}");
    assert!(message.contains(culprit), "{input}: {message}");
}
