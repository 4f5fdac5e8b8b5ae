//! Alarms and their states.

use serde_json::{Value, json};

use super::{at, call, refused};
use crate::cloudwatch::CloudWatch;

fn alarm(name: &str) -> Value {
    json!({
        "AlarmName": name,
        "Namespace": "AWS/SageMaker",
        "MetricName": "ModelLatency",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 3,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:on-call"],
    })
}

fn described(cloudwatch: &CloudWatch, input: &Value) -> Vec<(String, String)> {
    let answer = call(cloudwatch, "12:00:00", "DescribeAlarms", input).expect("an answer");
    let alarms = answer["MetricAlarms"].as_array().expect("a list").clone();
    let text = |alarm: &Value, name: &str| alarm[name].as_str().expect("text").to_owned();
    alarms
        .iter()
        .map(|alarm| (text(alarm, "AlarmName"), text(alarm, "StateValue")))
        .collect()
}

fn states(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
        .collect()
}

#[test]
fn an_alarm_lives() {
    let cloudwatch = CloudWatch::new();
    call(&cloudwatch, "12:00:00", "PutMetricAlarm", &alarm("slow")).expect("put");
    cloudwatch.set_alarm("errors", "ALARM");
    assert_eq!(
        described(&cloudwatch, &json!({})),
        states(&[("errors", "ALARM"), ("slow", "INSUFFICIENT_DATA")])
    );
    let change = json!({"AlarmName": "slow", "StateValue": "ALARM", "StateReason": "a test"});
    call(&cloudwatch, "12:05:00", "SetAlarmState", &change).expect("set");
    call(&cloudwatch, "12:06:00", "PutMetricAlarm", &alarm("slow")).expect("put again");
    for (input, expected) in [
        (
            json!({"AlarmNames": ["slow", "none"]}),
            &[("slow", "ALARM")][..],
        ),
        (json!({"AlarmNamePrefix": "err"}), &[("errors", "ALARM")]),
        (json!({"ActionPrefix": "arn:aws:sns"}), &[("slow", "ALARM")]),
        (json!({"StateValue": "OK"}), &[]),
        (json!({"AlarmTypes": ["CompositeAlarm"]}), &[]),
        (json!({"MaxRecords": 1}), &[("errors", "ALARM")]),
        (
            json!({"MaxRecords": 1, "NextToken": "1"}),
            &[("slow", "ALARM")],
        ),
    ] {
        assert_eq!(described(&cloudwatch, &input), states(expected), "{input}");
    }
    let input = json!({"AlarmNames": ["slow"]});
    let answer = call(&cloudwatch, "12:07:00", "DescribeAlarms", &input).expect("an answer");
    let slow = &answer["MetricAlarms"][0];
    assert_eq!(slow["Threshold"], json!(5.0));
    assert_eq!(slow["StateReason"], "a test");
    assert_eq!(
        slow["StateUpdatedTimestamp"],
        json!(at("12:05:00").as_second())
    );

    let both = json!({"AlarmNames": ["slow", "none"]});
    call(&cloudwatch, "12:08:00", "DeleteAlarms", &both).expect("deleted");
    assert_eq!(
        described(&cloudwatch, &json!({})),
        states(&[("errors", "ALARM")])
    );
}

#[test]
fn bad_alarms_are_refused() {
    let cloudwatch = CloudWatch::new();
    for (name, value, culprit) in [
        ("Statistic", json!("p99"), "Statistic"),
        ("ExtendedStatistic", json!("p99"), "Statistic"),
        ("Period", json!(0), "Period"),
        ("Threshold", json!("NaN"), "Threshold"),
        ("ComparisonOperator", json!("About"), "ComparisonOperator"),
        ("Metrics", json!([]), "metric math"),
    ] {
        let mut bad = alarm("bad");
        bad[name] = value;
        refused(
            &cloudwatch,
            "PutMetricAlarm",
            &bad,
            "ValidationError",
            culprit,
        );
    }
    let state = |name: &str, value: &str| json!({"AlarmName": name, "StateValue": value, "StateReason": ""});
    let unknown = state("none", "OK");
    refused(
        &cloudwatch,
        "SetAlarmState",
        &unknown,
        "ResourceNotFound",
        "none",
    );
    refused(
        &cloudwatch,
        "SetAlarmState",
        &state("none", "RED"),
        "ValidationError",
        "RED",
    );
    let both = json!({"AlarmNames": ["a"], "AlarmNamePrefix": "b"});
    refused(
        &cloudwatch,
        "DescribeAlarms",
        &both,
        "ValidationError",
        "exclusive",
    );
}
