//! CloudWatch: the very queries that the judgement asks, over samples that were put before.
//!
//! Percentiles are held between the samples beside the rank: the simulator takes the nearest one,
//! others draw a line between two, and what CloudWatch does is not documented.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, MetricDatum, StandardUnit, StateValue, Statistic,
};
use aws_smithy_types::DateTime;
use jiff::{SignedDuration, Timestamp};
use shared::app::ports::{Class, MetricAnswer, MetricQuery, Metrics as _};

use super::Case;
use crate::account::Account;

/// How many minutes ago the samples were taken: seen by every CloudWatch by now.
const AGO: i64 = 30;
const ENDPOINT: &str = "wine";

pub(crate) fn cases() -> Vec<Case> {
    super::cases!("monitoring":
        sums_and_counts_are_by_the_minute,
        percentiles_lie_between_the_samples_beside_their_rank,
        percentiles_of_one_sample_are_that_sample,
        slow_requests_are_counted,
        slow_requests_are_counted_by_their_rank,
        a_metric_that_nobody_sent_is_complete_and_empty,
        a_minute_without_samples_has_no_point,
        points_come_oldest_first_and_none_from_outside,
        variants_are_kept_apart,
        fewer_dimensions_are_another_metric,
        an_hour_is_one_point,
        five_hundred_queries_are_answered_in_their_order,
        a_day_of_minutes_is_read_whole,
        an_alarm_that_fires_is_found,
        an_alarm_that_is_not_there_is_an_error,
        an_alarm_that_is_not_there_hides_none_that_fires,
    )
}

fn namespace(account: &Account) -> String {
    account.name("Conformance")
}

fn date(at: Timestamp) -> DateTime {
    DateTime::from_secs(at.as_second())
}

/// Samples of a variant's metric, each with how often it occurred.
async fn sent(account: &Account, variant: &str, at: Timestamp, samples: &[(f64, f64)]) {
    let mut datum = MetricDatum::builder()
        .metric_name("Latency")
        .unit(StandardUnit::Microseconds)
        .timestamp(date(at))
        .dimensions(
            Dimension::builder()
                .name("EndpointName")
                .value(ENDPOINT)
                .build(),
        )
        .dimensions(
            Dimension::builder()
                .name("VariantName")
                .value(variant)
                .build(),
        );
    for (value, count) in samples {
        datum = datum.values(*value).counts(*count);
    }
    Client::new(&account.sdk)
        .put_metric_data()
        .namespace(namespace(account))
        .metric_data(datum.build())
        .send()
        .await
        .expect("samples that are taken");
}

fn query(account: &Account, variant: &str, statistic: &str) -> MetricQuery {
    MetricQuery {
        namespace: namespace(account),
        metric: "Latency".to_owned(),
        dimensions: vec![
            ("EndpointName".to_owned(), ENDPOINT.to_owned()),
            ("VariantName".to_owned(), variant.to_owned()),
        ],
        statistic: statistic.to_owned(),
        period: 60,
    }
}

/// The points of one query over these minutes, the last one included.
async fn points(
    account: &Account,
    query: MetricQuery,
    from: Timestamp,
    through: Timestamp,
) -> Vec<(Timestamp, f64)> {
    let answers = account.aws.read(&[query], from, through).await;
    match answers.expect("an answer").as_slice() {
        [MetricAnswer::Complete(points)] => points.clone(),
        other => panic!("one complete answer, not {other:?}"),
    }
}

async fn one(account: &Account, statistic: &str) -> f64 {
    let at = account.minute(AGO);
    let found = points(account, query(account, "blue", statistic), at, at).await;
    match found.as_slice() {
        [(when, value)] if *when == at => *value,
        other => panic!("one point of {at} for {statistic}, not {other:?}"),
    }
}

async fn sums_and_counts_are_by_the_minute(account: &Account) {
    let (first, second) = (account.minute(AGO), account.minute(AGO - 1));
    sent(account, "blue", first, &[(0.0, 90.0), (1.0, 10.0)]).await;
    sent(
        account,
        "blue",
        first + SignedDuration::from_secs(59),
        &[(1.0, 1.0)],
    )
    .await;
    sent(account, "blue", second, &[(5.0, 2.0)]).await;
    for (statistic, expected) in [
        ("Sum", [11.0, 10.0]),
        ("SampleCount", [101.0, 2.0]),
        ("Average", [11.0 / 101.0, 5.0]),
        ("Minimum", [0.0, 5.0]),
        ("Maximum", [1.0, 5.0]),
    ] {
        let asked = query(account, "blue", statistic);
        let found = points(account, asked, first, second).await;
        assert_eq!(
            found,
            [(first, expected[0]), (second, expected[1])],
            "{statistic}"
        );
    }
}

async fn percentiles_lie_between_the_samples_beside_their_rank(account: &Account) {
    let samples: Vec<(f64, f64)> = (1..=100).map(|n| (f64::from(n) * 1000.0, 2.0)).collect();
    sent(account, "blue", account.minute(AGO), &samples).await;
    for (statistic, rank) in [("p50", 50.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0)] {
        let found = one(account, statistic).await;
        let beside = rank * 1000.0..=(rank + 1.0) * 1000.0;
        assert!(beside.contains(&found), "{statistic}: {found}");
    }
}

async fn percentiles_of_one_sample_are_that_sample(account: &Account) {
    sent(account, "blue", account.minute(AGO), &[(80_123.0, 1.0)]).await;
    for statistic in ["p50", "p90", "p95", "p99"] {
        let found = one(account, statistic).await;
        assert!((found - 80_123.0).abs() < 1.0, "{statistic}: {found}");
    }
}

/// 150 samples, 45 of them above 50 ms and one at just that.
async fn some_slow(account: &Account) {
    let samples = [(20_000.0, 104.0), (50_000.0, 1.0), (90_000.0, 45.0)];
    sent(account, "blue", account.minute(AGO), &samples).await;
}

async fn slow_requests_are_counted(account: &Account) {
    some_slow(account).await;
    let found = one(account, "TC(50000:)").await;
    assert!((found - 45.0).abs() < 1e-6, "counted {found} of 45");
}

async fn slow_requests_are_counted_by_their_rank(account: &Account) {
    some_slow(account).await;
    let found = one(account, "PR(:50000)").await;
    assert!((found - 70.0).abs() < 1e-6, "ranked {found} for 70 %");
}

async fn a_metric_that_nobody_sent_is_complete_and_empty(account: &Account) {
    let (from, through) = (account.minute(AGO), account.minute(AGO - 5));
    for statistic in ["Sum", "SampleCount", "p99", "TC(50000:)"] {
        let found = points(account, query(account, "nobody", statistic), from, through).await;
        assert_eq!(found, [], "{statistic}");
    }
}

async fn a_minute_without_samples_has_no_point(account: &Account) {
    let (first, third) = (account.minute(AGO), account.minute(AGO - 2));
    for at in [first, third] {
        sent(account, "blue", at, &[(1.0, 3.0)]).await;
    }
    let found = points(account, query(account, "blue", "Sum"), first, third).await;
    assert_eq!(found, [(first, 3.0), (third, 3.0)]);
}

async fn points_come_oldest_first_and_none_from_outside(account: &Account) {
    let minutes: Vec<Timestamp> = (0..6).map(|n| account.minute(AGO - n)).collect();
    for (at, value) in minutes.iter().rev().zip(1..) {
        sent(account, "blue", *at, &[(f64::from(value), 1.0)]).await;
    }
    let asked = query(account, "blue", "Maximum");
    let found = points(account, asked, minutes[1], minutes[4]).await;
    let expected: Vec<(Timestamp, f64)> = minutes[1..=4]
        .iter()
        .copied()
        .zip([5.0, 4.0, 3.0, 2.0])
        .collect();
    assert_eq!(found, expected);
}

async fn variants_are_kept_apart(account: &Account) {
    let at = account.minute(AGO);
    sent(account, "blue", at, &[(1.0, 7.0)]).await;
    sent(account, "green", at, &[(1.0, 9.0)]).await;
    for (variant, expected) in [("blue", 7.0), ("green", 9.0)] {
        let found = points(account, query(account, variant, "Sum"), at, at).await;
        assert_eq!(found, [(at, expected)], "{variant}");
    }
}

async fn fewer_dimensions_are_another_metric(account: &Account) {
    let at = account.minute(AGO);
    sent(account, "blue", at, &[(1.0, 7.0)]).await;
    let mut asked = query(account, "blue", "Sum");
    asked.dimensions.truncate(1);
    assert_eq!(points(account, asked, at, at).await, []);
    // In another order it is the same one.
    let mut asked = query(account, "blue", "Sum");
    asked.dimensions.reverse();
    assert_eq!(points(account, asked, at, at).await, [(at, 7.0)]);
}

async fn an_hour_is_one_point(account: &Account) {
    let hour = account.minute(240).as_second().div_euclid(3600) * 3600;
    let hour = Timestamp::from_second(hour).expect("a time near the present");
    for minute in [0, 20, 59] {
        let at = hour + SignedDuration::from_mins(minute);
        sent(account, "blue", at, &[(10.0, 1.0), (30.0, 1.0)]).await;
    }
    let through = hour + SignedDuration::from_mins(59);
    for (statistic, expected) in [("SampleCount", 6.0), ("Average", 20.0), ("p99", 30.0)] {
        let mut asked = query(account, "blue", statistic);
        asked.period = 3600;
        let found = points(account, asked, hour, through).await;
        assert_eq!(found.len(), 1, "{statistic}: {found:?}");
        let (at, value) = found[0];
        assert_eq!(at, hour, "{statistic}");
        assert!((value - expected).abs() < 1.0, "{statistic}: {value}");
    }
}

async fn five_hundred_queries_are_answered_in_their_order(account: &Account) {
    let at = account.minute(AGO);
    for variant in 0..5 {
        let count = f64::from(variant + 1);
        sent(account, &format!("v{variant}"), at, &[(1.0, count)]).await;
    }
    let variant_of = |index: usize| format!("v{}", index * 7 % 10);
    let asked: Vec<MetricQuery> = (0..500)
        .map(|index| query(account, &variant_of(index), "Sum"))
        .collect();
    let answers = account.aws.read(&asked, at, at).await.expect("answers");
    assert_eq!(answers.len(), 500);
    for (index, answer) in answers.iter().enumerate() {
        let count = (index * 7 % 10) as f64 + 1.0;
        let expected = if count <= 5.0 {
            vec![(at, count)]
        } else {
            Vec::new()
        };
        assert_eq!(*answer, MetricAnswer::Complete(expected), "query {index}");
    }
}

async fn a_day_of_minutes_is_read_whole(account: &Account) {
    let client = Client::new(&account.sdk);
    let mut put = client.put_metric_data().namespace(namespace(account));
    for ago in 0..720 {
        let datum = MetricDatum::builder()
            .metric_name("Latency")
            .timestamp(date(account.minute(AGO + 2 * ago)))
            .dimensions(
                Dimension::builder()
                    .name("EndpointName")
                    .value(ENDPOINT)
                    .build(),
            )
            .dimensions(
                Dimension::builder()
                    .name("VariantName")
                    .value("blue")
                    .build(),
            )
            .value(2.0);
        put = put.metric_data(datum.build());
    }
    put.send().await.expect("samples that are taken");
    let (from, through) = (account.minute(AGO + 1440), account.minute(AGO));
    let found = points(account, query(account, "blue", "Sum"), from, through).await;
    assert_eq!(found.len(), 720);
    assert!(found.iter().all(|(_, value)| (*value - 2.0).abs() < 1e-9));
}

/// An alarm in this state.
async fn alarm(account: &Account, name: &str, state: StateValue) {
    let client = Client::new(&account.sdk);
    client
        .put_metric_alarm()
        .alarm_name(name)
        .namespace(namespace(account))
        .metric_name("Latency")
        .statistic(Statistic::Sum)
        .period(60)
        .evaluation_periods(1)
        .threshold(1e9)
        .comparison_operator(ComparisonOperator::GreaterThanThreshold)
        .send()
        .await
        .expect("a new alarm");
    client
        .set_alarm_state()
        .alarm_name(name)
        .state_value(state)
        .state_reason("a test")
        .send()
        .await
        .expect("an alarm to set");
}

async fn an_alarm_that_fires_is_found(account: &Account) {
    let (calm, loud, blind) = (
        account.name("calm"),
        account.name("loud"),
        account.name("blind"),
    );
    alarm(account, &calm, StateValue::Ok).await;
    alarm(account, &loud, StateValue::Alarm).await;
    alarm(account, &blind, StateValue::InsufficientData).await;
    let names = [calm.clone(), loud.clone(), blind];
    assert_eq!(account.aws.firing(&names).await, Ok(vec![loud]));
    assert_eq!(account.aws.firing(&[calm]).await, Ok(Vec::new()));
}

async fn an_alarm_that_is_not_there_is_an_error(account: &Account) {
    let calm = account.name("calm");
    alarm(account, &calm, StateValue::Ok).await;
    let found = account.aws.firing(&[calm, account.name("missing")]).await;
    assert_eq!(found.map_err(|error| error.class), Err(Class::Invalid));
}

async fn an_alarm_that_is_not_there_hides_none_that_fires(account: &Account) {
    let loud = account.name("loud");
    alarm(account, &loud, StateValue::Alarm).await;
    let names = [account.name("missing"), loud.clone()];
    assert_eq!(account.aws.firing(&names).await, Ok(vec![loud]));
}
