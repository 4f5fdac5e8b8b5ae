//! Reading metrics.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{DIMENSIONS, NAMESPACE, at, call, refused};
use crate::cloudwatch::{CloudWatch, Gap, GapKind};

/// One request a second from 12:00 to 12:10, in the minute M each with latency M.
fn ten_minutes() -> CloudWatch {
    let cloudwatch = CloudWatch::new();
    for second in 0..600 {
        let at = at("12:00:00") + SignedDuration::from_secs(second);
        let minute = (second / 60) as f64;
        cloudwatch.record(
            NAMESPACE,
            "ModelLatency",
            &DIMENSIONS,
            at,
            minute,
            "Microseconds",
        );
    }
    cloudwatch
}

fn query(id: &str, stat: &str, period: i64) -> Value {
    json!({
        "Id": id,
        "MetricStat": {
            "Metric": {
                "Namespace": NAMESPACE,
                "MetricName": "ModelLatency",
                "Dimensions": [
                    {"Name": "VariantName", "Value": "canary"},
                    {"Name": "EndpointName", "Value": "wine"},
                ],
            },
            "Period": period,
            "Stat": stat,
        },
    })
}

fn request(start: &str, end: &str, queries: &[Value]) -> Value {
    json!({
        "MetricDataQueries": queries,
        "StartTime": at(start).as_second(),
        "EndTime": at(end).as_second(),
        "ScanBy": "TimestampAscending",
    })
}

/// Status, minutes after 12:00, and values of the first result.
fn points(cloudwatch: &CloudWatch, now: &str, input: &Value) -> (String, Vec<i64>, Vec<f64>) {
    let answer = call(cloudwatch, now, "GetMetricData", input).expect("an answer");
    let result = &answer["MetricDataResults"][0];
    let numbers = |name: &str| result[name].as_array().expect("a list").clone();
    let minute = |time: &Value| (time.as_i64().expect("whole") - at("12:00:00").as_second()) / 60;
    (
        result["StatusCode"].as_str().expect("a status").to_owned(),
        numbers("Timestamps").iter().map(minute).collect(),
        numbers("Values").iter().filter_map(Value::as_f64).collect(),
    )
}

fn complete(minutes: &[i64], values: &[f64]) -> (String, Vec<i64>, Vec<f64>) {
    ("Complete".to_owned(), minutes.to_vec(), values.to_vec())
}

#[test]
fn the_start_is_inclusive_and_the_end_exclusive() {
    let cloudwatch = ten_minutes();
    for (start, end, minutes) in [
        ("12:02:00", "12:04:00", &[2, 3][..]),
        ("12:02:30", "12:04:00", &[2, 3]),
        ("12:02:00", "12:04:01", &[2, 3, 4]),
        ("11:00:00", "12:01:00", &[0]),
        ("12:09:00", "15:00:00", &[9]),
        ("13:00:00", "14:00:00", &[]),
    ] {
        let input = request(start, end, &[query("a", "SampleCount", 60)]);
        let expected = complete(minutes, &vec![60.0; minutes.len()]);
        assert_eq!(
            points(&cloudwatch, "13:00:00", &input),
            expected,
            "{start} to {end}"
        );
    }
}

#[test]
fn periods_are_aligned_to_the_epoch_and_pool_their_samples() {
    let cloudwatch = ten_minutes();
    let input = request("12:02:00", "12:08:00", &[query("a", "Sum", 300)]);
    let first = 60.0 * (0.0 + 1.0 + 2.0 + 3.0 + 4.0);
    let second = 60.0 * (5.0 + 6.0 + 7.0);
    assert_eq!(
        points(&cloudwatch, "13:00:00", &input),
        complete(&[0, 5], &[first, second])
    );
    let input = request("12:00:00", "12:10:00", &[query("a", "TC(7:)", 600)]);
    assert_eq!(
        points(&cloudwatch, "13:00:00", &input),
        complete(&[0], &[120.0])
    );
    let input = request("12:00:00", "12:10:00", &[query("a", "p90", 600)]);
    assert_eq!(
        points(&cloudwatch, "13:00:00", &input),
        complete(&[0], &[8.0])
    );
}

#[test]
fn a_minute_shows_once_it_ended_and_the_delay_passed() {
    let cloudwatch = ten_minutes();
    let input = request("12:00:00", "12:10:00", &[query("a", "Maximum", 60)]);
    for (now, visible) in [
        ("12:00:59", 0),
        ("12:01:19", 0),
        ("12:01:20", 1),
        ("12:03:30", 3),
    ] {
        assert_eq!(points(&cloudwatch, now, &input).1.len(), visible, "{now}");
    }
    cloudwatch.set_delay(SignedDuration::from_secs(90));
    assert_eq!(points(&cloudwatch, "12:03:30", &input).1.len(), 2);
}

#[test]
fn a_late_sample_changes_a_minute_that_was_visible() {
    let cloudwatch = ten_minutes();
    let input = request("12:02:00", "12:03:00", &[query("a", "SampleCount", 60)]);
    assert_eq!(points(&cloudwatch, "12:05:00", &input).2, [60.0]);
    cloudwatch.record(
        NAMESPACE,
        "ModelLatency",
        &DIMENSIONS,
        at("12:02:10"),
        1.0,
        "Microseconds",
    );
    assert_eq!(points(&cloudwatch, "12:05:00", &input).2, [61.0]);
}

#[test]
fn newest_first_unless_asked_otherwise() {
    let cloudwatch = ten_minutes();
    let mut input = request("12:00:00", "12:03:00", &[query("a", "Maximum", 60)]);
    assert_eq!(points(&cloudwatch, "13:00:00", &input).1, [0, 1, 2]);
    input["ScanBy"] = Value::Null;
    assert_eq!(points(&cloudwatch, "13:00:00", &input).1, [2, 1, 0]);
}

#[test]
fn an_unknown_metric_is_empty_and_complete() {
    let cloudwatch = ten_minutes();
    let mut unknown = query("a", "Sum", 60);
    unknown["MetricStat"]["Metric"]["Dimensions"] = json!([]);
    let input = request("12:00:00", "12:10:00", &[unknown]);
    assert_eq!(points(&cloudwatch, "13:00:00", &input), complete(&[], &[]));
    let mut other_unit = query("a", "Sum", 60);
    other_unit["MetricStat"]["Unit"] = json!("Seconds");
    let input = request("12:00:00", "12:10:00", &[other_unit]);
    assert_eq!(points(&cloudwatch, "13:00:00", &input), complete(&[], &[]));
}

#[test]
fn pages_hold_every_point_once() {
    let cloudwatch = ten_minutes();
    let mut empty = query("empty", "Sum", 60);
    empty["MetricStat"]["Metric"]["MetricName"] = json!("Nothing");
    let queries = [query("a", "Sum", 60), empty, query("b", "Maximum", 60)];
    let mut input = request("12:00:00", "12:10:00", &queries);
    input["MaxDatapoints"] = json!(4);
    let (mut seen, mut pages, mut last) = (Vec::new(), 0, Vec::new());
    loop {
        pages += 1;
        let answer = call(&cloudwatch, "12:09:00", "GetMetricData", &input).expect("a page");
        for result in answer["MetricDataResults"].as_array().expect("a list") {
            let id = result["Id"].as_str().expect("an id").to_owned();
            for time in result["Timestamps"].as_array().expect("a list") {
                seen.push((id.clone(), time.as_i64().expect("whole")));
            }
            last.retain(|(known, _)| *known != id);
            last.push((id, result["StatusCode"].clone()));
        }
        match answer["NextToken"].as_str() {
            Some(token) => input["NextToken"] = json!(token),
            None => break,
        }
    }
    assert_eq!(pages, 4, "16 points, 4 a page");
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), all), (16, 16));
    assert_eq!(last.len(), 3);
    assert!(
        last.iter().all(|(_, status)| status == "Complete"),
        "{last:?}"
    );

    input["StartTime"] = json!(at("11:00:00").as_second());
    for token in [input["NextToken"].clone(), json!("x"), json!("0.0.0.0")] {
        input["NextToken"] = token;
        refused(
            &cloudwatch,
            "GetMetricData",
            &input,
            "InvalidNextToken",
            "NextToken",
        );
    }
}

#[test]
fn a_page_keeps_the_time_of_the_first() {
    let cloudwatch = ten_minutes();
    let mut input = request("12:00:00", "12:10:00", &[query("a", "Sum", 60)]);
    input["ScanBy"] = Value::Null;
    input["MaxDatapoints"] = json!(2);
    let first = call(&cloudwatch, "12:04:30", "GetMetricData", &input).expect("a page");
    assert_eq!(first["MetricDataResults"][0]["StatusCode"], "PartialData");
    input["NextToken"] = first["NextToken"].clone();
    assert_eq!(points(&cloudwatch, "12:08:00", &input).1, [1, 0]);
}

#[test]
fn gaps_do_what_they_say() {
    let input = request("12:00:00", "12:10:00", &[query("a", "SampleCount", 60)]);
    let with_gap = |kind, namespace: &str| {
        let cloudwatch = ten_minutes();
        cloudwatch.set_gap(Gap {
            namespace: namespace.to_owned(),
            from: at("12:02:00"),
            to: at("12:05:00"),
            kind,
        });
        cloudwatch
    };
    let missing = with_gap(GapKind::Missing, NAMESPACE);
    let (status, minutes, _) = points(&missing, "13:00:00", &input);
    assert_eq!(
        (status.as_str(), &minutes[..]),
        ("Complete", &[0, 1, 5, 6, 7, 8, 9][..])
    );

    let partial = with_gap(GapKind::Partial, NAMESPACE);
    let (status, minutes, _) = points(&partial, "12:04:30", &input);
    assert_eq!(
        (status.as_str(), &minutes[..]),
        ("PartialData", &[0, 1][..])
    );
    assert_eq!(points(&partial, "12:05:00", &input).0, "Complete");

    let failing = with_gap(GapKind::InternalError, NAMESPACE);
    let (status, minutes, _) = points(&failing, "12:04:30", &input);
    assert_eq!((status.as_str(), &minutes[..]), ("InternalError", &[][..]));
    assert_eq!(points(&failing, "12:05:00", &input).1.len(), 4);

    let elsewhere = with_gap(GapKind::InternalError, "Other");
    assert_eq!(points(&elsewhere, "12:04:30", &input).0, "Complete");
}

/// A good request with one member, found by its path, changed or added.
fn changed(path: &str, value: Value) -> Value {
    let mut input = request("12:00:00", "12:10:00", &[query("a", "Sum", 60)]);
    let (parent, member) = path.rsplit_once('/').expect("a path");
    input.pointer_mut(parent).expect("a known parent")[member] = value;
    input
}

#[test]
fn bad_requests_are_refused() {
    let cloudwatch = ten_minutes();
    let early = json!(at("11:00:00").as_second());
    let many: Vec<Value> = (0..501)
        .map(|n| query(&format!("q{n}"), "Sum", 60))
        .collect();
    let twice = [query("a", "Sum", 60), query("a", "p50", 60)];
    for (path, value, culprit) in [
        ("/StartTime", Value::Null, "StartTime"),
        ("/EndTime", json!(at("12:00:00").as_second()), "less than"),
        ("/EndTime", early, "less than"),
        ("/MaxDatapoints", json!(0), "MaxDatapoints"),
        ("/MaxDatapoints", json!(100_801), "MaxDatapoints"),
        ("/ScanBy", json!("Down"), "ScanBy"),
        ("/MetricDataQueries", json!([]), "MetricDataQueries"),
        ("/MetricDataQueries", json!(many), "500"),
        ("/MetricDataQueries", json!(twice), "not unique"),
    ] {
        let input = changed(path, value);
        refused(
            &cloudwatch,
            "GetMetricData",
            &input,
            "ValidationError",
            culprit,
        );
    }
    let wrong_type = changed("/MaxDatapoints", json!("few"));
    refused(
        &cloudwatch,
        "GetMetricData",
        &wrong_type,
        "MalformedInput",
        "MaxDatapoints",
    );
    refused(
        &cloudwatch,
        "GetMetricDta",
        &json!({}),
        "InvalidAction",
        "GetMetricDta",
    );
}

#[test]
fn bad_queries_are_refused() {
    let cloudwatch = ten_minutes();
    let twice = json!([{"Name": "a", "Value": "1"}, {"Name": "a", "Value": "2"}]);
    for (path, value, culprit) in [
        ("/Id", json!("Upper"), "member.1.Id"),
        ("/Id", json!("a-b"), "pattern"),
        ("/Id", json!(""), "member.1.Id"),
        ("/MetricStat", Value::Null, "MetricStat"),
        (
            "/Expression",
            json!("a + b"),
            "metric math is not simulated",
        ),
        ("/ReturnData", json!(false), "ReturnData"),
        ("/MetricStat/Stat", json!("avg"), "MetricStat.Stat"),
        ("/MetricStat/Period", json!(0), "Period"),
        ("/MetricStat/Period", json!(90), "multiple of 60"),
        ("/MetricStat/Period", Value::Null, "Period"),
        ("/MetricStat/Unit", json!("Furlong"), "Unit"),
        (
            "/MetricStat/Metric/Namespace",
            Value::Null,
            "Metric.Namespace",
        ),
        ("/MetricStat/Metric/Dimensions", twice, "twice"),
    ] {
        let input = changed(&format!("/MetricDataQueries/0{path}"), value);
        refused(
            &cloudwatch,
            "GetMetricData",
            &input,
            "ValidationError",
            culprit,
        );
    }
}

#[test]
fn statistics_of_one_metric() {
    let cloudwatch = ten_minutes();
    let input = |name: &str, statistics: Value| {
        let mut input = query("a", "Sum", 300)["MetricStat"]["Metric"].clone();
        input["StartTime"] = json!(at("12:00:00").as_second());
        input["EndTime"] = json!(at("12:10:00").as_second());
        input["Period"] = json!(300);
        input[name] = statistics;
        input
    };
    let basic = input("Statistics", json!(["Sum", "Maximum"]));
    let answer = call(&cloudwatch, "13:00:00", "GetMetricStatistics", &basic).expect("an answer");
    assert_eq!(answer["Label"], "ModelLatency");
    assert_eq!(
        answer["Datapoints"][1],
        json!({"Timestamp": at("12:05:00").as_second(), "Unit": "Microseconds",
               "Sum": 60.0 * 35.0, "Maximum": 9.0})
    );
    let extended = input("ExtendedStatistics", json!(["p50", "TC(2:)"]));
    let answer =
        call(&cloudwatch, "13:00:00", "GetMetricStatistics", &extended).expect("an answer");
    assert_eq!(
        answer["Datapoints"][0]["ExtendedStatistics"],
        json!({"p50": 2.0, "TC(2:)": 120.0})
    );
    for (bad, code, culprit) in [
        (
            input("Statistics", json!(["p50"])),
            "InvalidParameterValue",
            "p50",
        ),
        (
            input("ExtendedStatistics", json!(["Sum"])),
            "InvalidParameterValue",
            "Sum",
        ),
        (
            input("Statistics", json!([])),
            "MissingParameter",
            "Statistics",
        ),
    ] {
        refused(&cloudwatch, "GetMetricStatistics", &bad, code, culprit);
    }
    let mut wide = basic;
    wide["StartTime"] = json!(0);
    let (code, _) = call(&cloudwatch, "13:00:00", "GetMetricStatistics", &wide).expect_err("wide");
    assert_eq!(code, "InvalidParameterCombination");
}

#[test]
fn metrics_are_listed() {
    let cloudwatch = ten_minutes();
    cloudwatch.record("Other", "Old", &[], at("08:00:00"), 1.0, "None");
    let names = |now: &str, input: Value| -> Vec<String> {
        let answer = call(&cloudwatch, now, "ListMetrics", &input).expect("an answer");
        let metrics = answer["Metrics"].as_array().expect("a list").clone();
        let name = |metric: &Value| metric["MetricName"].as_str().expect("a name").to_owned();
        metrics.iter().map(name).collect()
    };
    assert_eq!(names("12:30:00", json!({})), ["ModelLatency", "Old"]);
    assert_eq!(
        names("12:30:00", json!({"RecentlyActive": "PT3H"})),
        ["ModelLatency"]
    );
    assert_eq!(names("12:30:00", json!({"Namespace": "Other"})), ["Old"]);
    for (value, found) in [
        (Value::Null, 1),
        (json!("canary"), 1),
        (json!("production"), 0),
    ] {
        let filter = json!({"Dimensions": [{"Name": "VariantName", "Value": value}]});
        assert_eq!(names("12:30:00", filter).len(), found);
    }
}
