//! The unmodified Rust SDK, over the simulator's own transport.

use std::sync::Arc;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::{BehaviorVersion, Region};
use aws_sdk_cloudwatch::error::ProvideErrorMetadata;
use aws_sdk_cloudwatch::operation::RequestId;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, StandardUnit,
    StateValue, Statistic, StatusCode,
};

use super::{DIMENSIONS, NAMESPACE, at};
use crate::{Clock, Options, Simulator, Timings};

/// A simulator whose clock stands still at the given time.
fn simulator(now: &str) -> Arc<Simulator> {
    Simulator::new(Options {
        seed: 1,
        clock: Clock::manual(at(now)),
        timings: Timings::default(),
        state: None,
    })
    .expect("the simulator starts")
}

fn client(simulator: &Arc<Simulator>) -> Client {
    let config = aws_sdk_cloudwatch::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .allow_no_auth()
        .http_client(simulator.http_client());
    Client::from_conf(config.build())
}

fn time(time: &str) -> DateTime {
    DateTime::from_secs(at(time).as_second())
}

fn dimensions() -> Vec<Dimension> {
    DIMENSIONS
        .iter()
        .map(|(name, value)| Dimension::builder().name(*name).value(*value).build())
        .collect()
}

fn query(id: &str, stat: &str) -> MetricDataQuery {
    let metric = Metric::builder()
        .namespace(NAMESPACE)
        .metric_name("ModelLatency")
        .set_dimensions(Some(dimensions()));
    let stat = MetricStat::builder()
        .metric(metric.build())
        .period(60)
        .stat(stat);
    MetricDataQuery::builder()
        .id(id)
        .metric_stat(stat.build())
        .build()
}

#[tokio::test]
async fn metrics_are_read() {
    let simulator = simulator("12:30:00");
    let cloudwatch = simulator.cloudwatch();
    for second in 0..120 {
        let at = at("12:00:00") + jiff::SignedDuration::from_secs(second);
        cloudwatch.record(
            NAMESPACE,
            "ModelLatency",
            &DIMENSIONS,
            at,
            50_000.5,
            "Microseconds",
        );
        cloudwatch.record(
            NAMESPACE,
            "ModelLatency",
            &DIMENSIONS,
            at,
            150_000.0,
            "Microseconds",
        );
    }
    let client = client(&simulator);
    let names = ["SampleCount", "Sum", "p99", "TC(100000:)", "PR(:100000)"];
    let answer = client
        .get_metric_data()
        .set_metric_data_queries(Some(
            (0..)
                .zip(names)
                .map(|(n, stat)| query(&format!("q{n}"), stat))
                .collect(),
        ))
        .start_time(time("12:00:00"))
        .end_time(time("12:10:00"))
        .send()
        .await
        .expect("an answer");
    assert!(answer.request_id().is_some());
    let expected = [120.0, 60.0 * 200_000.5, 150_000.0, 60.0, 50.0];
    for (result, expected) in answer.metric_data_results().iter().zip(expected) {
        assert_eq!(result.status_code(), Some(&StatusCode::Complete));
        assert_eq!(result.timestamps(), [time("12:01:00"), time("12:00:00")]);
        assert_eq!(result.values(), [expected, expected], "{:?}", result.id());
    }

    let pages: Vec<_> = client
        .get_metric_data()
        .metric_data_queries(query("a", "Sum"))
        .start_time(time("12:00:00"))
        .end_time(time("12:10:00"))
        .max_datapoints(1)
        .into_paginator()
        .send()
        .collect()
        .await;
    assert_eq!(pages.len(), 2);

    let listed = client
        .list_metrics()
        .namespace(NAMESPACE)
        .send()
        .await
        .expect("an answer");
    assert_eq!(listed.metrics()[0].dimensions(), dimensions());

    let statistics = client
        .get_metric_statistics()
        .namespace(NAMESPACE)
        .metric_name("ModelLatency")
        .set_dimensions(Some(dimensions()))
        .start_time(time("12:00:00"))
        .end_time(time("12:10:00"))
        .period(60)
        .extended_statistics("p50")
        .send()
        .await
        .expect("an answer");
    let first = &statistics.datapoints()[0];
    assert_eq!(first.unit(), Some(&StandardUnit::Microseconds));
    let extended = first.extended_statistics().expect("present");
    assert_eq!(extended.get("p50"), Some(&50_000.5));
}

#[tokio::test]
async fn metrics_are_written_and_errors_have_their_codes() {
    let simulator = simulator("12:00:30");
    let writing = client(&simulator);
    // Large enough for the SDK to compress the request.
    let data: Vec<MetricDatum> = (0..500)
        .map(|n| {
            MetricDatum::builder()
                .metric_name(format!("m{n}"))
                .values(f64::from(n))
                .counts(2.0)
                .timestamp(time("12:00:00"))
                .build()
        })
        .collect();
    let put = writing
        .put_metric_data()
        .namespace("Canary/Model")
        .set_metric_data(Some(data));
    put.send().await.expect("written");
    let listed = writing
        .list_metrics()
        .namespace("Canary/Model")
        .send()
        .await;
    assert_eq!(listed.expect("an answer").metrics().len(), 500);

    let datum = MetricDatum::builder().metric_name("m").value(1.0).build();
    let reserved = writing
        .put_metric_data()
        .namespace("AWS/SageMaker")
        .metric_data(datum);
    let error = reserved
        .send()
        .await
        .expect_err("reserved")
        .into_service_error();
    assert!(error.is_invalid_parameter_value_exception(), "{error:?}");

    let backwards = writing
        .get_metric_data()
        .metric_data_queries(query("a", "Sum"))
        .start_time(time("12:10:00"))
        .end_time(time("12:00:00"));
    let error = backwards
        .send()
        .await
        .expect_err("backwards")
        .into_service_error();
    assert_eq!(error.code(), Some("ValidationError"));
    let stale = writing
        .get_metric_data()
        .metric_data_queries(query("a", "Sum"))
        .start_time(time("12:00:00"))
        .end_time(time("12:10:00"))
        .next_token("stale");
    let error = stale.send().await.expect_err("stale").into_service_error();
    assert!(error.is_invalid_next_token(), "{error:?}");
}

#[tokio::test]
async fn alarms_are_seen() {
    let simulator = simulator("12:00:30");
    let client = client(&simulator);
    client
        .put_metric_alarm()
        .alarm_name("slow")
        .namespace(NAMESPACE)
        .metric_name("ModelLatency")
        .statistic(Statistic::Average)
        .period(60)
        .evaluation_periods(3)
        .threshold(5.0)
        .comparison_operator(ComparisonOperator::GreaterThanThreshold)
        .send()
        .await
        .expect("put");
    simulator.cloudwatch().set_alarm("slow", "ALARM");
    let described = client
        .describe_alarms()
        .alarm_names("slow")
        .send()
        .await
        .expect("an answer");
    let alarm = &described.metric_alarms()[0];
    assert_eq!(alarm.state_value(), Some(&StateValue::Alarm));
    assert_eq!((alarm.threshold(), alarm.period()), (Some(5.0), Some(60)));
    assert_eq!(alarm.state_updated_timestamp(), Some(&time("12:00:30")));

    let unknown = client
        .set_alarm_state()
        .alarm_name("none")
        .state_value(StateValue::Ok);
    let error = unknown.state_reason("").send().await.expect_err("unknown");
    assert!(error.into_service_error().is_resource_not_found());
    client
        .delete_alarms()
        .alarm_names("slow")
        .send()
        .await
        .expect("deleted");
}
