//! Writing metrics.

use serde_json::{Value, json};

use super::{at, call, refused};
use crate::cloudwatch::CloudWatch;

fn datum(members: &Value) -> Value {
    let mut datum = json!({"MetricName": "Correct"});
    for (name, value) in members.as_object().expect("an object") {
        datum[name] = value.clone();
    }
    json!({"Namespace": "Canary/Model", "MetricData": [datum]})
}

fn read(cloudwatch: &CloudWatch, stat: &str) -> Option<f64> {
    let metric = json!({"Namespace": "Canary/Model", "MetricName": "Correct"});
    let query = json!({"Id": "a", "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}});
    let input = json!({
        "MetricDataQueries": [query],
        "StartTime": at("11:00:00").as_second(),
        "EndTime": at("13:00:00").as_second(),
    });
    let answer = call(cloudwatch, "12:30:00", "GetMetricData", &input).expect("an answer");
    answer["MetricDataResults"][0]["Values"][0].as_f64()
}

#[test]
fn values_counts_and_sets_are_kept() {
    let cloudwatch = CloudWatch::new();
    for members in [
        json!({"Value": 1}),
        json!({"Values": [2.0, 4.0], "Counts": [10, 5]}),
        json!({"Values": [8.0]}),
        json!({"StatisticValues": {"SampleCount": 2, "Sum": 6, "Minimum": 3, "Maximum": 3}}),
    ] {
        let put = call(&cloudwatch, "12:00:00", "PutMetricData", &datum(&members));
        assert_eq!(put, Ok(json!({})));
    }
    assert_eq!(read(&cloudwatch, "SampleCount"), Some(19.0));
    assert_eq!(
        read(&cloudwatch, "Sum"),
        Some(1.0 + 20.0 + 20.0 + 8.0 + 6.0)
    );
    assert_eq!(read(&cloudwatch, "p50"), Some(2.0));
    assert_eq!(read(&cloudwatch, "TC(2:4)"), Some(7.0));
}

#[test]
fn bad_data_is_refused_and_nothing_of_it_kept() {
    let cloudwatch = CloudWatch::new();
    let value = "InvalidParameterValue";
    let mut reserved = datum(&json!({"Value": 1}));
    reserved["Namespace"] = json!("AWS/SageMaker");
    let mut half = datum(&json!({"Value": 1}));
    half["MetricData"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"MetricName": "Correct", "Value": "NaN"}));
    let set = |minimum: f64, maximum: f64, count: f64| {
        json!({"StatisticValues":
            {"SampleCount": count, "Sum": 1, "Minimum": minimum, "Maximum": maximum}})
    };
    for (input, code, culprit) in [
        (reserved, value, "AWS/"),
        (half, value, "MetricData.member.2.Value"),
        (datum(&json!({"Value": "Infinity"})), value, "Value"),
        (datum(&json!({"Value": 1e200})), value, "Value"),
        (datum(&json!({"Values": [1, "NaN"]})), value, "Values"),
        (
            datum(&json!({"Values": [1, 2], "Counts": [1]})),
            value,
            "same size",
        ),
        (
            datum(&json!({"Values": [1], "Counts": [0]})),
            value,
            "positive",
        ),
        (datum(&json!({"Values": vec![1.0; 151]})), value, "150"),
        (datum(&set(2.0, 1.0, 1.0)), value, "Minimum"),
        (datum(&set(1.0, 1.0, 0.0)), value, "SampleCount"),
        (datum(&json!({})), "MissingParameter", "Value"),
        (
            datum(&json!({"Value": 1, "Values": [1]})),
            "InvalidParameterCombination",
            "mutually exclusive",
        ),
        (
            datum(&json!({"Value": 1, "Unit": "Furlong"})),
            value,
            "Unit",
        ),
        (
            datum(&json!({"Value": 1, "StorageResolution": 5})),
            value,
            "StorageResolution",
        ),
        (
            datum(&json!({"Value": 1, "Timestamp": at("14:30:00").as_second()})),
            value,
            "Timestamp",
        ),
        (
            datum(&json!({"Value": 1, "Timestamp": at("12:00:00").as_second() - 15 * 86_400})),
            value,
            "Timestamp",
        ),
        (
            datum(&json!({"Value": 1, "Dimensions": [{"Name": "", "Value": "x"}]})),
            value,
            "Dimensions.member.1.Name",
        ),
        (
            json!({"Namespace": "x", "MetricData": []}),
            "MissingParameter",
            "MetricData",
        ),
        (json!({"MetricData": []}), "MissingParameter", "Namespace"),
        (json!({"Namespace": 1}), "MalformedInput", "Namespace"),
    ] {
        refused(&cloudwatch, "PutMetricData", &input, code, culprit);
    }
    assert_eq!(read(&cloudwatch, "Sum"), None);
}
