//! The same question in each protocol.

use std::io::Write;

use bytes::Bytes;
use ciborium::cbor;
use http::{Request, Response, StatusCode};

use super::{DIMENSIONS, NAMESPACE, at};
use crate::cloudwatch::CloudWatch;

fn filled() -> CloudWatch {
    let cloudwatch = CloudWatch::new();
    for latency in [100.0, 200.0, 400.5] {
        let at = at("12:00:10");
        cloudwatch.record(
            NAMESPACE,
            "ModelLatency",
            &DIMENSIONS,
            at,
            latency,
            "Microseconds",
        );
    }
    cloudwatch
}

fn form(body: &str) -> Request<Bytes> {
    Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(body.to_owned()))
        .expect("a valid request")
}

fn cbor_request(operation: &str, input: &ciborium::Value) -> Request<Bytes> {
    let mut body = Vec::new();
    ciborium::into_writer(input, &mut body).expect("CBOR");
    Request::post(format!(
        "/service/GraniteServiceVersion20100801/operation/{operation}"
    ))
    .header("smithy-protocol", "rpc-v2-cbor")
    .body(Bytes::from(body))
    .expect("a valid request")
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).expect("text")
}

#[test]
fn a_form_is_answered_in_xml() {
    let body = "Action=GetMetricData&Version=2010-08-01\
        &MetricDataQueries.member.1.Id=a&MetricDataQueries.member.1.MetricStat.Stat=Sum\
        &MetricDataQueries.member.1.MetricStat.Period=60\
        &MetricDataQueries.member.1.MetricStat.Metric.Namespace=AWS%2FSageMaker\
        &MetricDataQueries.member.1.MetricStat.Metric.MetricName=ModelLatency\
        &MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Name=EndpointName\
        &MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Value=wine\
        &MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.2.Name=VariantName\
        &MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.2.Value=canary\
        &StartTime=2026-03-01T12%3A00%3A00Z&EndTime=2026-03-01T12%3A05%3A00Z";
    let request = form(body);
    assert!(CloudWatch::is_for(&request));
    let response = filled().handle(at("12:30:00"), &request);
    assert_eq!(response.status(), StatusCode::OK);
    for part in [
        "<GetMetricDataResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\">",
        "<Timestamps><member>2026-03-01T12:00:00Z</member></Timestamps>",
        "<Values><member>700.5</member></Values>",
        "<StatusCode>Complete</StatusCode>",
        "<RequestId>",
    ] {
        assert!(
            text(&response).contains(part),
            "{part} in {}",
            text(&response)
        );
    }
    let twice = format!("{body}&MetricDataQueries.member.1.Expression=a%2Bb");
    let response = filled().handle(at("12:30:00"), &form(&twice));
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(text(&response).contains("<Code>ValidationError</Code>"));
    assert!(text(&response).contains("<Type>Sender</Type>"));
}

#[test]
fn cbor_is_answered_in_cbor() {
    let cloudwatch = filled();
    let input = cbor!({"Namespace" => "Mine", "MetricData" => [
        {"MetricName" => "Correct", "Value" => 2}
    ]});
    let input = input.expect("a value");
    let response = cloudwatch.handle(at("12:00:00"), &cbor_request("PutMetricData", &input));
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["smithy-protocol"], "rpc-v2-cbor");

    let input = cbor!({"Namespace" => "AWS/Mine", "MetricData" => []}).expect("a value");
    let response = cloudwatch.handle(at("12:00:00"), &cbor_request("PutMetricData", &input));
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        response.headers()["x-amzn-query-error"],
        "InvalidParameterValue;Sender"
    );
    let body: ciborium::Value = ciborium::from_reader(&response.body()[..]).expect("CBOR");
    assert_eq!(
        body.as_map().expect("a map")[0].1.as_text(),
        Some("com.amazonaws.cloudwatch#InvalidParameterValueException")
    );
}

#[test]
fn a_compressed_body_is_read_and_a_broken_one_refused() {
    let json = br#"{"Namespace": "Mine", "MetricData": [{"MetricName": "m", "Value": 1}]}"#;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(json).expect("written to memory");
    let packed = encoder.finish().expect("written to memory");
    let bomb = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..20 {
            encoder
                .write_all(&vec![b' '; 1024 * 1024])
                .expect("written to memory");
        }
        encoder.finish().expect("written to memory")
    };
    for (body, status) in [
        (packed.clone(), StatusCode::OK),
        (packed[..20].to_vec(), StatusCode::BAD_REQUEST),
        (bomb, StatusCode::BAD_REQUEST),
        (json.to_vec(), StatusCode::BAD_REQUEST),
    ] {
        let request = Request::post("/")
            .header(
                "x-amz-target",
                "GraniteServiceVersion20100801.PutMetricData",
            )
            .header("content-encoding", "gzip")
            .body(Bytes::from(body))
            .expect("a valid request");
        let response = CloudWatch::new().handle(at("12:00:00"), &request);
        assert_eq!(response.status(), status, "{}", text(&response));
    }
}

#[test]
fn requests_are_told_apart() {
    let header = |name: &str, value: &str| {
        let mut request = form("Action=Publish&Version=2010-03-31");
        let name: http::HeaderName = name.parse().expect("a name");
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        request
    };
    let scope = |service: &str| {
        let credential = format!("Credential=AKID/20260301/us-east-1/{service}/aws4_request");
        header(
            "authorization",
            &format!("AWS4-HMAC-SHA256 {credential}, Signature=0"),
        )
    };
    let get = Request::get("/?Action=ListMetrics&Version=2010-08-01")
        .body(Bytes::new())
        .expect("a valid request");
    let path = Request::post("/endpoints/wine/invocations")
        .body(Bytes::new())
        .expect("a valid request");
    for (request, expected) in [
        (
            header("x-amz-target", "GraniteServiceVersion20100801.ListMetrics"),
            true,
        ),
        (header("x-amz-target", "SageMaker.DescribeEndpoint"), false),
        (scope("monitoring"), true),
        (scope("sns"), false),
        (form("Action=ListMetrics&Version=2010-08-01"), true),
        (form("Action=Publish&Version=2010-03-31"), false),
        (
            cbor_request("ListMetrics", &ciborium::Value::Map(Vec::new())),
            true,
        ),
        (get, true),
        (path, false),
    ] {
        assert_eq!(CloudWatch::is_for(&request), expected, "{request:?}");
    }
}
