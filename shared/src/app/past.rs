//! Production's last day, read once when a deployment is planned or accepted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::metrics::{self, Answers, Arm, points};
use super::observe;
use super::ports::{Class, MetricQuery, PortError, Ports};
use crate::domain::baseline::{Baseline, LENGTH, SlowCount};
use crate::domain::judge::{floor_minute, last_judgeable};
use crate::domain::observation::{ArmMinute, Series, limit_key};
use crate::domain::policy::Policy;
use crate::domain::quantity::Latency;
use crate::domain::replay::{Pair, Recorded};

/// Seconds: the percentiles of an hour are CloudWatch's own, over all of its requests.
const HOUR: u32 = 3600;
/// Requests from which an hour's p99 says something.
const LEAST_REQUESTS: f64 = 100.0;

/// What production did before the rollout, minute by minute and summed up.
pub struct Past {
    /// Summed up.
    pub baseline: Baseline,
    /// The minutes with requests.
    pub minutes: BTreeMap<Timestamp, ArmMinute>,
}

impl Past {
    /// The minutes as they are kept: the counts of every signal.
    pub fn recorded(&self, policy: &Policy) -> Vec<Recorded> {
        let minutes = self.minutes.iter().map(|(at, minute)| {
            let signals = policy.signals.iter().filter_map(|rule| {
                let production = Some(rule.counts(minute, self.baseline.slow_over)?);
                let canary = None;
                Some((rule.name.clone(), Pair { canary, production }))
            });
            Recorded {
                minute: u64::try_from(at.as_second().div_euclid(60)).unwrap_or(0),
                signals: signals.collect(),
            }
        });
        minutes.collect()
    }
}

/// Reads production's last day, but nothing from before `since`: what was measured then was
/// measured on another config.
pub async fn read<P: Ports>(
    ports: &P,
    endpoint: &str,
    variant: &str,
    policy: &Policy,
    since: Timestamp,
) -> Result<Past, PortError> {
    let now = ports.now();
    let range = (
        floor_minute(since.max(now - LENGTH.duration())) + SignedDuration::from_mins(1),
        last_judgeable(now),
    );
    if range.0 > range.1 {
        return Ok(Past {
            baseline: Baseline {
                slow_over: from_policy(policy),
                ..Baseline::default()
            },
            minutes: BTreeMap::new(),
        });
    }
    let mut arm = Arm {
        endpoint,
        variant,
        limits: Vec::new(),
        counted_by: SlowCount::Neither,
        checks: metrics::checks(policy),
    };
    let (latency_ms, slow_over) = typical_latency(ports, &arm, policy, range).await;
    arm.limits = metrics::limits(policy, slow_over);
    let answers = ask(ports, &arm, range).await;
    arm.counted_by = counted_by(&arm, slow_over, &answers);
    match arm.minutes(&answers) {
        (Series::Read(minutes), _) => {
            let mut baseline = Baseline::of(policy, &minutes, slow_over, arm.counted_by);
            baseline.latency_ms = latency_ms;
            Ok(Past { baseline, minutes })
        }
        (Series::Failed { reason }, _) => Err(PortError::new(
            Class::Retryable,
            "GetMetricData",
            format!("production's last day could not be read: {reason}"),
        )),
    }
}

/// Everything about the minutes, with both ways to count the slow ones.
async fn ask<P: Ports>(ports: &P, arm: &Arm<'_>, range: (Timestamp, Timestamp)) -> Answers {
    let ways = [SlowCount::TrimmedCount, SlowCount::PercentileRank].map(|counted_by| Arm {
        counted_by,
        limits: arm.limits.clone(),
        checks: arm.checks.clone(),
        ..*arm
    });
    let mut queries: Vec<MetricQuery> = Vec::new();
    for query in ways.iter().flat_map(Arm::queries) {
        if !queries.contains(&query) {
            queries.push(query);
        }
    }
    observe::answers(ports, queries, range).await
}

/// Which way of counting this account serves; without any traffic, the better one is believed in.
fn counted_by(arm: &Arm<'_>, slow_over: Option<Latency>, answers: &Answers) -> SlowCount {
    let Some(limit) = slow_over
        .map(limit_key)
        .or_else(|| arm.limits.first().copied())
    else {
        return SlowCount::TrimmedCount;
    };
    let has_points =
        |query: &MetricQuery| points(answers, query).is_ok_and(|found| !found.is_empty());
    if !has_points(&arm.latency("SampleCount"))
        || has_points(&arm.latency(&metrics::trimmed_count(limit)))
    {
        SlowCount::TrimmedCount
    } else if has_points(&arm.latency(&metrics::percentile_rank(limit))) {
        SlowCount::PercentileRank
    } else {
        SlowCount::Neither
    }
}

/// Median and p99 of a typical hour in milliseconds, and what counts as slow: production's own p99
/// of the last day, or what the policy calls slow where there was no traffic.
async fn typical_latency<P: Ports>(
    ports: &P,
    arm: &Arm<'_>,
    policy: &Policy,
    range: (Timestamp, Timestamp),
) -> (Option<(f64, f64)>, Option<Latency>) {
    let hourly = |statistic: &str| MetricQuery {
        period: HOUR,
        ..arm.latency(statistic)
    };
    let asked = ["SampleCount", "p50", "p99"].map(hourly);
    let answers = observe::answers(ports, asked.to_vec(), range).await;
    let [samples, p50, p99] = asked.map(|query| points(&answers, &query).unwrap_or_default());
    let typical = |percentile: &BTreeMap<Timestamp, f64>| {
        let busy = |at: &Timestamp| samples.get(at).is_some_and(|n| *n >= LEAST_REQUESTS);
        let mut hours: Vec<f64> = percentile
            .iter()
            .filter(|(at, _)| busy(at))
            .map(|(_, microseconds)| microseconds / 1000.0)
            .collect();
        hours.sort_by(f64::total_cmp);
        hours.get(hours.len() / 2).copied()
    };
    let latency = typical(&p50).zip(typical(&p99));
    let own = latency.and_then(|(_, p99)| Latency::from_ms(three_digits(p99)));
    (latency, own.or_else(|| from_policy(policy)))
}

/// Rounded up to three digits: a limit that people can read.
fn three_digits(milliseconds: f64) -> f64 {
    let unit = 10f64.powf(milliseconds.log10().floor() - 2.0).max(0.001);
    // To whole microseconds again: the product of binary fractions leaves dust.
    ((milliseconds / unit).ceil() * unit * 1000.0).round() / 1000.0
}

fn from_policy(policy: &Policy) -> Option<Latency> {
    let limits = policy.latency_limits();
    limits.into_iter().min_by(|a, b| a.ms().total_cmp(&b.ms()))
}
