//! Production's last day, read once when a deployment is planned or accepted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::metrics::{self, Answers, Arm, points};
use super::observe;
use super::ports::{Ambient, Class, Meter, MetricAnswer, MetricQuery, Metrics, PortError};
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
    /// The minutes with requests, or with counts of further checks alone.
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
pub async fn read<P: Metrics + Ambient + Meter>(
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
        skips_gaps: true,
    };
    let (latency_ms, slow_over) = typical_latency(ports, &arm, policy, range).await?;
    arm.limits = metrics::limits(policy, slow_over);
    let answers = ask(ports, &arm, range).await;
    arm.counted_by = counted_by(&arm, slow_over, &answers)?;
    match arm.minutes(&answers) {
        (Series::Read(minutes), _) => {
            let mut baseline = Baseline::of(policy, &minutes, slow_over, arm.counted_by);
            baseline.latency_ms = latency_ms;
            Ok(Past { baseline, minutes })
        }
        (Series::Failed { reason }, _) => Err(unreadable(&reason)),
    }
}

/// How long after it was made, or asked to change to its config, an endpoint may come to rest.
const SETTLES: SignedDuration = SignedDuration::from_mins(30);

/// When the endpoint was last changed, where that lies within the time that [`read`] takes for that of its
/// config. A config may be older than the endpoint's use of it, and no call tells since when it is in
/// use: what was measured in between may be another one's. A change of instances or weights moves the
/// same time, so nothing is left out for it.
pub fn changed_within(
    modified_at: Option<Timestamp>,
    since: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let from = since.max(now - LENGTH.duration());
    modified_at.filter(|at| at.duration_since(from) > SETTLES)
}

fn unreadable(reason: &str) -> PortError {
    PortError::new(
        Class::Retryable,
        "GetMetricData",
        format!("production's last day could not be read: {reason}"),
    )
}

/// Everything about the minutes, with both ways to count the slow ones.
async fn ask<P: Metrics + Ambient + Meter>(
    ports: &P,
    arm: &Arm<'_>,
    range: (Timestamp, Timestamp),
) -> Answers {
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
fn counted_by(
    arm: &Arm<'_>,
    slow_over: Option<Latency>,
    answers: &Answers,
) -> Result<SlowCount, PortError> {
    let limit = slow_over
        .map(limit_key)
        .or_else(|| arm.limits.first().copied());
    let Some(limit) = limit else {
        return Ok(SlowCount::TrimmedCount);
    };
    if !has_points(answers, &arm.latency("SampleCount"))? {
        return Ok(SlowCount::TrimmedCount);
    }
    let ways = [
        (SlowCount::TrimmedCount, metrics::trimmed_count(limit)),
        (SlowCount::PercentileRank, metrics::percentile_rank(limit)),
    ];
    let samples = points(answers, &arm.latency("SampleCount")).unwrap_or_default();
    for (way, statistic) in ways {
        let query = arm.latency(&statistic);
        let served = has_points(answers, &query)?;
        let counts = points(answers, &query).unwrap_or_default();
        // One odd minute is no reason to count in another way; a minute is held to the same when it is read.
        let is_count = counts.iter().any(|(at, found)| {
            let samples = samples.get(at);
            samples.is_none_or(|samples| metrics::can_be(way, *found, *samples))
        });
        if served && is_count {
            return Ok(way);
        }
    }
    Ok(SlowCount::Neither)
}

/// Whether a query was answered with any point; one that failed is no answer, and one that is
/// refused is not served.
fn has_points(answers: &Answers, query: &MetricQuery) -> Result<bool, PortError> {
    match answers.get(query) {
        Some(MetricAnswer::Complete(found)) => Ok(!found.is_empty()),
        Some(MetricAnswer::Incomplete(reason)) => Err(unreadable(reason)),
        Some(MetricAnswer::Refused(_)) | None => Ok(false),
    }
}

/// Median and p99 of a typical hour in milliseconds, and what counts as slow: production's own p99
/// of the last day, or what the policy calls slow where there was no traffic.
async fn typical_latency<P: Metrics + Ambient + Meter>(
    ports: &P,
    arm: &Arm<'_>,
    policy: &Policy,
    range: (Timestamp, Timestamp),
) -> Result<(Option<(f64, f64)>, Option<Latency>), PortError> {
    let hourly = |statistic: &str| MetricQuery {
        period: HOUR,
        ..arm.latency(statistic)
    };
    let asked = ["SampleCount", "p50", "p99"].map(hourly);
    let answers = observe::answers(ports, asked.to_vec(), range).await;
    let [samples, p50, p99] = asked.map(|query| points(&answers, &query));
    let read = |found: Result<BTreeMap<Timestamp, f64>, String>| {
        found.map_err(|reason| unreadable(&reason))
    };
    let (samples, p50, p99) = (read(samples)?, read(p50)?, read(p99)?);
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
    Ok((latency, own.or_else(|| from_policy(policy))))
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::domain::plan::Preset;
    use crate::domain::signal::SLOWNESS;

    /// CloudWatch with two hours of a steady endpoint: 100 requests a minute, two of them slow.
    struct Account {
        serves: &'static [&'static str],
        fails: Option<&'static str>,
        /// Whether a statistic that is not served is answered with the average.
        averages: bool,
        asked: Mutex<Vec<MetricQuery>>,
    }

    fn account(serves: &'static [&'static str]) -> Account {
        Account {
            serves,
            fails: None,
            averages: false,
            asked: Mutex::new(Vec::new()),
        }
    }

    fn value(query: &MetricQuery) -> f64 {
        let hour = f64::from(query.period / 60);
        match (query.metric.as_str(), query.statistic.as_str()) {
            ("Invocations", _) | ("ModelLatency", "SampleCount") => 100.0 * hour,
            ("ModelLatency", "p99") => 80_123.0,
            ("ModelLatency", text) if text.starts_with("TC(") => 2.0,
            ("ModelLatency", text) if text.starts_with("PR(") => 98.0,
            ("ModelLatency", _) => 20_000.0,
            _ => 0.0,
        }
    }

    impl Metrics for Account {
        async fn read(
            &self,
            queries: &[MetricQuery],
            from: Timestamp,
            through: Timestamp,
        ) -> Result<Vec<MetricAnswer>, PortError> {
            self.asked.lock().unwrap().extend_from_slice(queries);
            let answers = queries.iter().map(|query| {
                if self.fails == Some(query.metric.as_str()) {
                    return MetricAnswer::Incomplete("InternalError".to_owned());
                }
                let counts = query.statistic.contains('(');
                let unserved = counts
                    && !self
                        .serves
                        .iter()
                        .any(|way| query.statistic.starts_with(way));
                if unserved && !self.averages {
                    return MetricAnswer::Complete(Vec::new());
                }
                let mut points = Vec::new();
                let mut at = from;
                while at <= through {
                    points.push((at, if unserved { 20_000.0 } else { value(query) }));
                    at += SignedDuration::from_secs(i64::from(query.period));
                }
                MetricAnswer::Complete(points)
            });
            Ok(answers.collect())
        }

        async fn firing(&self, _alarms: &[String]) -> Result<Vec<String>, PortError> {
            Ok(Vec::new())
        }
    }

    impl Meter for Account {
        fn measure(&self, _figure: &crate::app::health::Figure) {}
    }

    impl Ambient for Account {
        fn now(&self) -> Timestamp {
            "2026-03-02T10:00:00Z".parse().unwrap()
        }
        fn new_id(&self) -> String {
            String::new()
        }
        fn call_timeout(&self) -> Duration {
            Duration::ZERO
        }
        fn lease(&self) -> crate::domain::quantity::Span {
            crate::domain::quantity::Span::ZERO
        }
        fn landing(&self) -> crate::domain::quantity::Span {
            crate::domain::quantity::Span::ZERO
        }
        async fn pause(&self, _wait: Duration) {}
        async fn within<T: Send>(
            &self,
            _limit: Duration,
            work: impl Future<Output = T> + Send,
        ) -> Option<T> {
            Some(work.await)
        }
    }

    async fn read_two_hours(account: &Account) -> Result<Past, PortError> {
        let policy = Policy::preset(Preset::Linear);
        let since = "2026-03-02T08:00:00Z".parse().unwrap();
        read(account, "wine", "blue", &policy, since).await
    }

    #[tokio::test]
    async fn slow_requests_are_counted_in_the_way_that_the_account_serves() {
        let ways = [
            (&["TC(", "PR("][..], SlowCount::TrimmedCount),
            (&["TC("], SlowCount::TrimmedCount),
            (&["PR("], SlowCount::PercentileRank),
        ];
        for (serves, way) in ways {
            let past = read_two_hours(&account(serves)).await.unwrap();
            assert_eq!(past.baseline.counted_by, way, "{serves:?}");
            // Two of a hundred, whichever way they were counted.
            let slow = past.baseline.signals[SLOWNESS].counts;
            assert_eq!(slow.x() * 50, slow.n(), "{serves:?}");
        }
        let past = read_two_hours(&account(&[])).await.unwrap();
        assert_eq!(past.baseline.counted_by, SlowCount::Neither);
        assert!(!past.baseline.signals.contains_key(SLOWNESS));
        assert_eq!(past.baseline.requests, past.minutes.len() as u64 * 100);
    }

    #[tokio::test]
    async fn more_slow_requests_than_requests_are_no_count() {
        for (serves, way) in [
            (&[][..], SlowCount::Neither),
            (&["PR("], SlowCount::PercentileRank),
        ] {
            let mut averaging = account(serves);
            averaging.averages = true;
            let past = read_two_hours(&averaging).await.unwrap();
            assert_eq!(past.baseline.counted_by, way, "{serves:?}");
        }
    }

    #[tokio::test]
    async fn slow_is_production_s_own_p99_or_else_what_the_policy_says() {
        let past = read_two_hours(&account(&["TC("])).await.unwrap();
        // Rounded up to three digits.
        assert_eq!(past.baseline.slow_over, Latency::from_ms(80.2));
        assert_eq!(past.baseline.latency_ms, Some((20.0, 80.123)));
        let policy = Policy::preset(Preset::Linear);
        let now = account(&[]).now();
        let fresh = read(&account(&["TC("]), "wine", "blue", &policy, now)
            .await
            .unwrap();
        assert_eq!(
            fresh.baseline.slow_over,
            Latency::from_ms(100.0),
            "the preset's p99 limit"
        );
        assert_eq!(fresh.minutes.len(), 0);
    }

    #[tokio::test]
    async fn nothing_is_read_from_before_the_config() {
        let account = account(&["TC("]);
        let past = read_two_hours(&account).await.unwrap();
        let first = past.minutes.first_key_value().unwrap().0;
        assert_eq!(first.to_string(), "2026-03-02T08:01:00Z");
        let last = past.minutes.last_key_value().unwrap().0;
        assert_eq!(*last, last_judgeable(account.now()));
    }

    #[test]
    fn a_change_within_the_day_is_told_unless_the_endpoint_came_to_rest_by_it() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-03-02T10:00:00Z");
        let changed =
            |modified: Option<&str>, since: &str| changed_within(modified.map(at), at(since), now);
        let old = "2026-02-01T00:00:00Z";
        // Back on a config of last month, an hour ago.
        let hour_ago = "2026-03-02T09:00:00Z";
        assert_eq!(changed(Some(hour_ago), old), Some(at(hour_ago)));
        // Before the day that is read, and just after its beginning.
        assert_eq!(changed(Some("2026-02-28T00:00:00Z"), old), None);
        assert_eq!(changed(Some("2026-03-01T10:20:00Z"), old), None);
        // The update that put a new config in force.
        assert_eq!(changed(Some(hour_ago), "2026-03-02T08:45:00Z"), None);
        assert_eq!(changed(None, old), None);
    }

    #[tokio::test]
    async fn a_past_that_cannot_be_read_is_an_error() {
        let mut blind = account(&["TC("]);
        blind.fails = Some("Invocation5XXErrors");
        let error = read_two_hours(&blind).await.err().unwrap();
        assert_eq!(error.class, Class::Retryable);
        assert!(error.message.contains("Invocation5XXErrors"), "{error}");
    }
}
