//! Reading the world. Every failed reading becomes a value in the observation.
//!
//! The metric queries of all deployments are packed into as few GetMetricData calls as the limit
//! of 500 queries allows. A call that is refused as invalid is halved until the query at fault
//! stands alone, so one deployment's bad query never blinds the others.

use std::collections::{BTreeMap, HashMap};

use futures_util::StreamExt;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};

use super::ports::{self, Class, Loaded, MetricAnswer, MetricQuery, PortError, Ports};
use crate::domain::judge::last_judgeable;
use crate::domain::observation::{
    AlarmReading, ArmMinute, EndpointReading, LatencyMinute, Metrics, Observation, Series,
    limit_key,
};
use crate::domain::policy::Percentile;
use crate::domain::state::{Phase, Status};

/// GetMetricData's own limit.
const QUERIES_A_CALL: usize = 500;
/// Endpoints looked at side by side.
const AT_ONCE: usize = 16;
/// Minutes taken in at once: a transaction holds at most 100 rows.
const MINUTES_A_PASS: i64 = 40;

const SAGEMAKER: &str = "AWS/SageMaker";
const INSTANCES: &str = "/aws/sagemaker/Endpoints";

/// What DescribeEndpoint says, as a value in every case.
pub async fn endpoint<P: Ports>(ports: &P, name: &str) -> EndpointReading {
    match ports.endpoint(name).await {
        Ok(Some(view)) => EndpointReading::Seen(view),
        Ok(None) => EndpointReading::Missing,
        Err(error) => EndpointReading::Failed {
            reason: error.to_string(),
        },
    }
}

/// Observations of all these deployments, in their order.
pub async fn observe<P: Ports>(ports: &P, all: &[Loaded], now: Timestamp) -> Vec<Observation> {
    let metrics = metrics(ports, all, now).await;
    // Side by side, so that one slow answer does not use up the others' minute.
    let looks: Vec<_> = all
        .iter()
        .zip(metrics)
        .map(|(loaded, metrics)| look(ports, loaded, metrics))
        .collect();
    stream::iter(looks).buffered(AT_ONCE).collect().await
}

async fn look<P: Ports>(ports: &P, loaded: &Loaded, metrics: Metrics) -> Observation {
    Observation {
        endpoint: endpoint(ports, &loaded.deployment.terms.endpoint).await,
        alarms: alarms(ports, loaded).await,
        metrics,
    }
}

async fn alarms<P: Ports>(ports: &P, loaded: &Loaded) -> AlarmReading {
    let names = &loaded.deployment.terms.policy.alarms;
    if names.is_empty() || !is_judged(loaded) {
        return AlarmReading::NotAsked;
    }
    match ports.firing(names).await {
        Ok(firing) => AlarmReading::Firing(firing),
        Err(error) => AlarmReading::Failed {
            reason: error.to_string(),
        },
    }
}

fn is_judged(loaded: &Loaded) -> bool {
    let state = &loaded.deployment.state;
    state.status == Status::InProgress && state.phase != Phase::CleaningUp
}

/// The minutes a deployment has still to be judged by.
fn range(loaded: &Loaded, now: Timestamp) -> (Timestamp, Timestamp) {
    let minute = SignedDuration::from_mins(1);
    let from = loaded.evidence.judged_through + minute;
    let most = from + minute * i32::try_from(MINUTES_A_PASS - 1).unwrap_or(0);
    (from, last_judgeable(now).min(most))
}

async fn metrics<P: Ports>(ports: &P, all: &[Loaded], now: Timestamp) -> Vec<Metrics> {
    let mut wanted = Vec::new();
    let mut owners = Vec::new();
    for (index, loaded) in all.iter().enumerate() {
        let (from, through) = range(loaded, now);
        if is_judged(loaded) && from <= through {
            for query in queries(loaded) {
                wanted.push(query);
                owners.push(index);
            }
        }
    }
    let mut answers: Vec<Vec<(MetricQuery, MetricAnswer)>> = vec![Vec::new(); all.len()];
    for (batch, batch_owners) in wanted
        .chunks(QUERIES_A_CALL)
        .zip(owners.chunks(QUERIES_A_CALL))
    {
        let ranges = batch_owners.iter().map(|owner| range(&all[*owner], now));
        let (from, through) = ranges.fold((now, Timestamp::MIN), |(from, through), (f, t)| {
            (from.min(f), through.max(t))
        });
        let read = read_bisecting(ports, batch, from, through).await;
        for ((query, answer), owner) in batch.iter().zip(read).zip(batch_owners) {
            answers[*owner].push((query.clone(), answer));
        }
    }
    all.iter()
        .zip(answers)
        .map(|(loaded, answers)| assemble(loaded, answers, now))
        .collect()
}

/// Reads a batch; on a refusal as invalid, its halves. Any other error is every query's answer.
async fn read_bisecting<P: ports::Metrics>(
    ports: &P,
    batch: &[MetricQuery],
    from: Timestamp,
    through: Timestamp,
) -> Vec<MetricAnswer> {
    let mut answers = vec![MetricAnswer::Incomplete("not asked".to_owned()); batch.len()];
    let mut pending = vec![(0, batch.len())];
    while let Some((start, end)) = pending.pop() {
        match ports.read(&batch[start..end], from, through).await {
            Ok(read) if read.len() == end - start => {
                answers.splice(start..end, read).for_each(drop);
            }
            Ok(_) => fail(
                &mut answers[start..end],
                &PortError::new(Class::Bug, "GetMetricData", "not every query was answered"),
            ),
            Err(error) if error.class == Class::Invalid && end - start > 1 => {
                let middle = start + (end - start) / 2;
                pending.extend([(start, middle), (middle, end)]);
            }
            Err(error) => fail(&mut answers[start..end], &error),
        }
    }
    answers
}

fn fail(answers: &mut [MetricAnswer], error: &PortError) {
    for answer in answers {
        *answer = MetricAnswer::Incomplete(error.to_string());
    }
}

/// The queries of one deployment: the same for both arms.
fn queries(loaded: &Loaded) -> Vec<MetricQuery> {
    let terms = &loaded.deployment.terms;
    let mut queries = Vec::new();
    for variant in [&terms.canary, &terms.production] {
        let mut ask = |namespace, metric, statistic: String| {
            queries.push(MetricQuery {
                namespace,
                metric,
                endpoint: terms.endpoint.clone(),
                variant: variant.clone(),
                statistic,
            });
        };
        for metric in ["Invocations", "Invocation4XXErrors", "Invocation5XXErrors"] {
            ask(SAGEMAKER, metric, "Sum".to_owned());
        }
        ask(SAGEMAKER, "ModelLatency", "SampleCount".to_owned());
        for percentile in Percentile::ALL {
            ask(SAGEMAKER, "ModelLatency", percentile.statistic().to_owned());
        }
        for limit in terms.policy.latency_limits() {
            ask(SAGEMAKER, "ModelLatency", slower_than(limit_key(limit)));
        }
        ask(SAGEMAKER, "OverheadLatency", "Average".to_owned());
        ask(INSTANCES, "CPUUtilization", "Average".to_owned());
        ask(INSTANCES, "MemoryUtilization", "Average".to_owned());
    }
    queries
}

/// CloudWatch's "trimmed count": how many samples lie above a limit.
fn slower_than(microseconds: u64) -> String {
    format!("TC({microseconds}:)")
}

fn assemble(loaded: &Loaded, answers: Vec<(MetricQuery, MetricAnswer)>, now: Timestamp) -> Metrics {
    let (from, through) = range(loaded, now);
    let terms = &loaded.deployment.terms;
    if answers.is_empty() {
        // Nothing was due: an empty range, not an empty reading.
        let read = || Series::Read(BTreeMap::new());
        return Metrics {
            from,
            through: from - SignedDuration::from_mins(1),
            canary: read(),
            production: read(),
        };
    }
    let (canary, production): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(query, _)| query.variant == terms.canary);
    let limits: Vec<u64> = terms
        .policy
        .latency_limits()
        .into_iter()
        .map(limit_key)
        .collect();
    Metrics {
        from,
        through,
        canary: series(canary, &limits, from, through),
        production: series(production, &limits, from, through),
    }
}

/// One arm's answers as minutes. What the judgement rests on must be whole; the machine's own
/// figures (overhead, CPU, memory) are shown when they are there.
fn series(
    answers: Vec<(MetricQuery, MetricAnswer)>,
    limits: &[u64],
    from: Timestamp,
    through: Timestamp,
) -> Series {
    let mut points: HashMap<(&'static str, String), BTreeMap<Timestamp, f64>> = HashMap::new();
    for (query, answer) in answers {
        match answer {
            MetricAnswer::Complete(found) => {
                let within = found
                    .into_iter()
                    .filter(|(at, value)| (from..=through).contains(at) && value.is_finite());
                points.insert((query.metric, query.statistic), within.collect());
            }
            // A statistic that this account does not serve is detected by its absence.
            MetricAnswer::Incomplete(_) if query.statistic.starts_with("TC(") => {}
            MetricAnswer::Incomplete(_)
                if query.namespace == INSTANCES || query.metric == "OverheadLatency" => {}
            MetricAnswer::Incomplete(reason) => {
                return Series::Failed {
                    reason: format!("{} {}: {reason}", query.metric, query.statistic),
                };
            }
        }
    }
    let at = |metric: &'static str, statistic: &str, minute: Timestamp| {
        points
            .get(&(metric, statistic.to_owned()))
            .and_then(|series| series.get(&minute))
            .copied()
    };
    let mut minutes = BTreeMap::new();
    let Some(invocations) = points.get(&("Invocations", "Sum".to_owned())) else {
        return Series::Failed {
            reason: "Invocations was not answered".to_owned(),
        };
    };
    for (&minute, &requests) in invocations {
        let errors = (
            at("Invocation4XXErrors", "Sum", minute),
            at("Invocation5XXErrors", "Sum", minute),
        );
        let (Some(errors_4xx), Some(errors_5xx)) = errors else {
            // Both are sent, as 0 or 1, with every request: their absence is a gap, not health.
            return Series::Failed {
                reason: format!("no error counts for {minute} although there were requests"),
            };
        };
        let arm = ArmMinute {
            invocations: whole(requests),
            errors_4xx: whole(errors_4xx),
            errors_5xx: whole(errors_5xx),
            latency: latency(|statistic| at("ModelLatency", statistic, minute), limits),
            overhead_ms: at("OverheadLatency", "Average", minute)
                .map(|microseconds| microseconds / 1000.0),
            cpu_percent: at("CPUUtilization", "Average", minute),
            memory_percent: at("MemoryUtilization", "Average", minute),
        };
        minutes.insert(minute, arm);
    }
    Series::Read(minutes)
}

/// CloudWatch's microseconds as milliseconds; absent unless every percentile is there.
fn latency(at: impl Fn(&str) -> Option<f64>, limits: &[u64]) -> Option<LatencyMinute> {
    let ms = |percentile: Percentile| {
        at(percentile.statistic()).map(|microseconds| microseconds / 1000.0)
    };
    let samples = whole(at("SampleCount")?);
    let slower_than = limits
        .iter()
        .filter_map(|limit| Some((*limit, whole(at(&slower_than(*limit))?))))
        .collect();
    Some(LatencyMinute {
        samples,
        p50_ms: ms(Percentile::P50)?,
        p90_ms: ms(Percentile::P90)?,
        p95_ms: ms(Percentile::P95)?,
        p99_ms: ms(Percentile::P99)?,
        slower_than,
    })
}

/// A count that travelled as a floating-point number.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole, not negative, and far below 2^53"
)]
fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Refuses every call with a query named `bad`, as CloudWatch refuses the whole call.
    #[derive(Default)]
    struct Picky {
        calls: AtomicUsize,
        denies: bool,
    }

    impl ports::Metrics for Picky {
        async fn read(
            &self,
            queries: &[MetricQuery],
            _from: Timestamp,
            _through: Timestamp,
        ) -> Result<Vec<MetricAnswer>, PortError> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if self.denies {
                return Err(PortError::new(
                    Class::Denied,
                    "GetMetricData",
                    "not allowed",
                ));
            }
            if queries.iter().any(|query| query.statistic == "bad") {
                return Err(PortError::new(Class::Invalid, "GetMetricData", "bad"));
            }
            Ok(vec![MetricAnswer::Complete(Vec::new()); queries.len()])
        }

        async fn firing(&self, _alarms: &[String]) -> Result<Vec<String>, PortError> {
            Ok(Vec::new())
        }
    }

    fn batch(bad: &[usize]) -> Vec<MetricQuery> {
        let statistic = |index| if bad.contains(&index) { "bad" } else { "Sum" };
        (0..QUERIES_A_CALL)
            .map(|index| MetricQuery {
                namespace: SAGEMAKER,
                metric: "Invocations",
                endpoint: "fraud".to_owned(),
                variant: "production".to_owned(),
                statistic: statistic(index).to_owned(),
            })
            .collect()
    }

    #[tokio::test]
    async fn one_bad_query_blinds_nobody_else() {
        for bad in [&[][..], &[0], &[499], &[250], &[17, 18, 401]] {
            let picky = Picky::default();
            let answers = read_bisecting(&picky, &batch(bad), Timestamp::MIN, Timestamp::MIN).await;
            for (index, answer) in answers.iter().enumerate() {
                let complete = matches!(answer, MetricAnswer::Complete(_));
                assert_eq!(complete, !bad.contains(&index), "query {index} of {bad:?}");
            }
            // Two calls a halving, nine halvings of 500, for each bad query.
            assert!(picky.calls.load(Ordering::Relaxed) <= 1 + bad.len() * 2 * 9);
        }
    }

    #[tokio::test]
    async fn a_call_that_is_not_allowed_is_not_halved() {
        let picky = Picky {
            denies: true,
            ..Picky::default()
        };
        let answers = read_bisecting(&picky, &batch(&[]), Timestamp::MIN, Timestamp::MIN).await;
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer, MetricAnswer::Incomplete(_)))
        );
        assert_eq!(picky.calls.load(Ordering::Relaxed), 1);
    }
}
