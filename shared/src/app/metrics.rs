//! A variant's metrics: which queries are asked, and how their answers become minutes.
//!
//! What the judgement rests on must be whole. The machine's own figures (overhead, CPU, memory) are
//! shown when they are there, and a further check that can't be read blinds nothing but itself.
//!
//! A variant's minutes are those in which it was asked, and those in which one of its checks had trials
//! all the same: labels come when they come, and none may be lost for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::ports::{MetricAnswer, MetricQuery};
use crate::domain::baseline::SlowCount;
use crate::domain::comparison::Counts;
use crate::domain::deployment::Deployment;
use crate::domain::fairness::Fairness;
use crate::domain::model_signals::{ROUTED, routed_pair};
use crate::domain::observation::{ArmMinute, LatencyMinute, Series, limit_key};
use crate::domain::policy::{Percentile, Policy};
use crate::domain::quantity::Latency;
use crate::domain::signal::{MetricPair, MetricSource, SLOWNESS};

const SAGEMAKER: &str = "AWS/SageMaker";
const INSTANCES: &str = "/aws/sagemaker/Endpoints";
/// The statistic that tells a minute without slow requests from one in which they were not counted.
const MAXIMUM: &str = "Maximum";
/// How many requests there were, and how many of them were answered 4XX and 5XX.
const COUNTS: [&str; 3] = ["Invocations", "Invocation4XXErrors", "Invocation5XXErrors"];
/// Seconds: one point a minute.
pub(super) const MINUTE: u32 = 60;

/// Points of one query, by the start of their minute.
type Points = BTreeMap<Timestamp, f64>;
/// What was answered, by query.
pub(super) type Answers = HashMap<MetricQuery, MetricAnswer>;

/// What is asked about one variant.
pub(super) struct Arm<'a> {
    pub(super) endpoint: &'a str,
    pub(super) variant: &'a str,
    /// In microseconds, each once.
    pub(super) limits: Vec<u64>,
    pub(super) counted_by: SlowCount,
    pub(super) checks: Vec<(String, MetricPair)>,
    /// Whether a minute with requests and no error counts is left out: a gap of yesterday tells
    /// nothing about today, and it can't be read again.
    pub(super) skips_gaps: bool,
}

impl<'a> Arm<'a> {
    /// One variant of a deployment.
    pub(super) fn of(deployment: &'a Deployment, variant: &'a str) -> Self {
        let terms = &deployment.terms;
        let by_name = terms.routing.as_ref();
        let by_name = by_name.map(|_| (ROUTED.to_owned(), routed_pair()));
        Self {
            endpoint: &terms.endpoint,
            variant,
            limits: limits(&terms.policy, terms.baseline.slow_over),
            counted_by: terms.baseline.counted_by,
            checks: checks(&terms.policy).into_iter().chain(by_name).collect(),
            skips_gaps: false,
        }
    }

    /// Why slow requests could not be counted although this account counts them: an answer that
    /// failed, or one without any point beside samples that the limit does not hold.
    fn uncounted(&self, answers: &Answers) -> Option<String> {
        let samples = points(answers, &self.latency("SampleCount")).unwrap_or_default();
        let maximum = self.maximum(answers);
        self.limits.iter().find_map(|limit| {
            let query = self.slow(*limit)?;
            let is_open = |at: &Timestamp| !is_within(&maximum, *at, *limit);
            match points(answers, &query) {
                Err(reason) => Some(reason),
                Ok(found) if found.is_empty() && samples.keys().any(is_open) => {
                    Some(format!("{} has no points", query.statistic))
                }
                Ok(_) => None,
            }
        })
    }

    /// The slowest sample of each minute, where counts of slow ones are what is asked for.
    fn maximum(&self, answers: &Answers) -> Points {
        if self.counted_by != SlowCount::TrimmedCount {
            return Points::new();
        }
        points(answers, &self.latency(MAXIMUM)).unwrap_or_default()
    }

    fn query(&self, namespace: &str, metric: &str, statistic: &str) -> MetricQuery {
        MetricQuery {
            namespace: namespace.to_owned(),
            metric: metric.to_owned(),
            dimensions: vec![
                ("EndpointName".to_owned(), self.endpoint.to_owned()),
                ("VariantName".to_owned(), self.variant.to_owned()),
            ],
            statistic: statistic.to_owned(),
            period: MINUTE,
        }
    }

    pub(super) fn latency(&self, statistic: &str) -> MetricQuery {
        self.query(SAGEMAKER, "ModelLatency", statistic)
    }

    fn slow(&self, limit: u64) -> Option<MetricQuery> {
        match self.counted_by {
            SlowCount::TrimmedCount => Some(self.latency(&trimmed_count(limit))),
            SlowCount::PercentileRank => Some(self.latency(&percentile_rank(limit))),
            SlowCount::Neither => None,
        }
    }

    fn source(&self, source: &MetricSource) -> MetricQuery {
        let filled = |value: &String| {
            value
                .replace("{endpoint}", self.endpoint)
                .replace("{variant}", self.variant)
        };
        let dimensions = source.dimensions.iter();
        MetricQuery {
            namespace: source.namespace.clone(),
            metric: source.metric.clone(),
            dimensions: dimensions
                .map(|(name, value)| (name.clone(), filled(value)))
                .collect(),
            statistic: source.statistic.clone(),
            period: MINUTE,
        }
    }

    /// How many requests there were and what became of them, and nothing else.
    pub(super) fn count_queries(&self) -> Vec<MetricQuery> {
        COUNTS
            .map(|metric| self.query(SAGEMAKER, metric, "Sum"))
            .into()
    }

    /// Everything that is asked.
    pub(super) fn queries(&self) -> Vec<MetricQuery> {
        let mut queries = self.count_queries();
        queries.push(self.latency("SampleCount"));
        queries.extend(Percentile::ALL.map(|percentile| self.latency(percentile.statistic())));
        queries.extend(self.limits.iter().filter_map(|limit| self.slow(*limit)));
        if self.counted_by == SlowCount::TrimmedCount && !self.limits.is_empty() {
            queries.push(self.latency(MAXIMUM));
        }
        queries.push(self.query(SAGEMAKER, "OverheadLatency", "Average"));
        queries.push(self.query(INSTANCES, "CPUUtilization", "Average"));
        queries.push(self.query(INSTANCES, "MemoryUtilization", "Average"));
        // Ten bins of the scores are all of the same predictions, and a check may ask for what is read
        // anyway: each query is billed.
        let sources = self
            .checks
            .iter()
            .flat_map(|(_, pair)| [&pair.of, &pair.bad]);
        for query in sources.map(|source| self.source(source)) {
            if !queries.contains(&query) {
                queries.push(query);
            }
        }
        queries
    }

    /// The answers as minutes, and the checks that could not be read.
    pub(super) fn minutes(&self, answers: &Answers) -> (Series, BTreeMap<String, String>) {
        let mut unread = BTreeMap::new();
        let mut counted = Vec::new();
        for (name, pair) in &self.checks {
            let trials = points(answers, &self.source(&pair.of));
            let outcomes = points(answers, &self.source(&pair.bad));
            match (trials, outcomes) {
                (Ok(trials), Ok(outcomes)) => counted.push((name, pair, trials, outcomes)),
                (Err(reason), _) | (_, Err(reason)) => {
                    unread.insert(name.clone(), reason);
                }
            }
        }
        unread.extend(
            self.uncounted(answers)
                .map(|why| (SLOWNESS.to_owned(), why)),
        );
        let mut minutes = match self.own_minutes(answers) {
            Ok(minutes) => minutes,
            Err(reason) => return (Series::Failed { reason }, unread),
        };
        let asked = points(answers, &self.query(SAGEMAKER, "Invocations", "Sum"));
        let asked = asked.unwrap_or_default();
        for (name, pair, trials, outcomes) in counted {
            let counted_at: BTreeSet<&Timestamp> = trials.keys().chain(outcomes.keys()).collect();
            for at in counted_at {
                let of = |points: &Points| points.get(at).copied().map(whole);
                let (trials, outcomes) = (of(&trials), of(&outcomes));
                let counts = pair.counts(trials, outcomes);
                let miscount = pair.miscount(trials, outcomes);
                let tried = miscount.map_or(0, |it| it.trials);
                let tried = counts.map_or(tried, Counts::n);
                let minute = if asked.contains_key(at) {
                    minutes.get_mut(at)
                } else if tried > 0 && name != ROUTED {
                    Some(minutes.entry(*at).or_default())
                } else {
                    // Outcomes of no trials say nothing, and what `inference` routed is nothing but requests.
                    None
                };
                let Some(minute) = minute else { continue };
                minute
                    .checks
                    .extend(counts.map(|counts| (name.clone(), counts)));
                minute
                    .miscounted
                    .extend(miscount.map(|miscount| (name.clone(), miscount)));
            }
        }
        (Series::Read(minutes), unread)
    }

    /// The answers to [`Arm::count_queries`] as minutes.
    pub(super) fn counts(&self, answers: &Answers) -> Series {
        match self.counted_minutes(answers) {
            Ok(minutes) => Series::Read(minutes),
            Err(reason) => Series::Failed { reason },
        }
    }

    fn counted_minutes(&self, answers: &Answers) -> Result<BTreeMap<Timestamp, ArmMinute>, String> {
        let [invocations, errors_4xx, errors_5xx] =
            COUNTS.map(|metric| points(answers, &self.query(SAGEMAKER, metric, "Sum")));
        let (invocations, errors_4xx, errors_5xx) = (invocations?, errors_4xx?, errors_5xx?);
        let mut minutes = BTreeMap::new();
        for (&at, &requests) in &invocations {
            let (Some(client), Some(server)) = (errors_4xx.get(&at), errors_5xx.get(&at)) else {
                if self.skips_gaps {
                    continue;
                }
                // Both are sent, as 0 or 1, with every request: their absence is a gap, not health.
                return Err(format!(
                    "no error counts for {at} although there were requests"
                ));
            };
            let minute = ArmMinute {
                invocations: whole(requests),
                errors_4xx: whole(*client),
                errors_5xx: whole(*server),
                ..ArmMinute::default()
            };
            minutes.insert(at, minute);
        }
        Ok(minutes)
    }

    fn own_minutes(&self, answers: &Answers) -> Result<BTreeMap<Timestamp, ArmMinute>, String> {
        let mut minutes = self.counted_minutes(answers)?;
        let shown = |query: MetricQuery| points(answers, &query).unwrap_or_default();
        let latency = self.latency_points(answers)?;
        let overhead = shown(self.query(SAGEMAKER, "OverheadLatency", "Average"));
        let cpu = shown(self.query(INSTANCES, "CPUUtilization", "Average"));
        let memory = shown(self.query(INSTANCES, "MemoryUtilization", "Average"));
        for (at, minute) in &mut minutes {
            minute.latency = latency.at(*at);
            minute.overhead_ms = overhead.get(at).map(|microseconds| microseconds / 1000.0);
            minute.cpu_percent = cpu.get(at).copied();
            minute.memory_percent = memory.get(at).copied();
        }
        Ok(minutes)
    }

    fn latency_points(&self, answers: &Answers) -> Result<LatencyPoints, String> {
        let mut percentiles = Vec::with_capacity(Percentile::ALL.len());
        for percentile in Percentile::ALL {
            percentiles.push(points(answers, &self.latency(percentile.statistic()))?);
        }
        // A statistic that this account does not serve is detected by its absence.
        let slow = self.limits.iter().filter_map(|limit| {
            let found = points(answers, &self.slow(*limit)?).ok()?;
            Some((*limit, found))
        });
        Ok(LatencyPoints {
            samples: points(answers, &self.latency("SampleCount"))?,
            percentiles,
            slow: slow.collect(),
            maximum: self.maximum(answers),
            counted_by: self.counted_by,
        })
    }
}

/// ModelLatency of one variant, by statistic.
struct LatencyPoints {
    samples: Points,
    percentiles: Vec<Points>,
    slow: Vec<(u64, Points)>,
    maximum: Points,
    counted_by: SlowCount,
}

impl LatencyPoints {
    /// CloudWatch's microseconds as milliseconds; absent unless every percentile is there.
    fn at(&self, at: Timestamp) -> Option<LatencyMinute> {
        let samples = *self.samples.get(&at)?;
        let [p50, p90, p95, p99] = self.percentiles.as_slice() else {
            return None;
        };
        let ms = |points: &Points| points.get(&at).map(|microseconds| microseconds / 1000.0);
        let slower = |limit: u64, points: &Points| {
            // Whether a count of nothing is a point or none, no document says.
            let none = is_within(&self.maximum, at, limit).then_some(0.0);
            let found = points.get(&at).copied().or(none)?;
            can_be(self.counted_by, found, samples).then(|| {
                whole(match self.counted_by {
                    SlowCount::PercentileRank => samples * (1.0 - found / 100.0),
                    _ => found,
                })
            })
        };
        let slow = self.slow.iter();
        Some(LatencyMinute {
            samples: whole(samples),
            p50_ms: ms(p50)?,
            p90_ms: ms(p90)?,
            p95_ms: ms(p95)?,
            p99_ms: ms(p99)?,
            slower_than: slow
                .filter_map(|(limit, points)| Some((*limit, slower(*limit, points)?)))
                .collect(),
        })
    }
}

/// The limits whose slower requests are counted, in microseconds.
pub(super) fn limits(policy: &Policy, slow_over: Option<Latency>) -> Vec<u64> {
    let mut limits: Vec<u64> = policy.latency_limits().into_iter().map(limit_key).collect();
    limits.extend(slow_over.map(limit_key));
    limits.sort_unstable();
    limits.dedup();
    limits
}

/// What is counted beside SageMaker's own figures: signals that are metrics of their own, and the
/// counts by group.
pub(super) fn checks(policy: &Policy) -> Vec<(String, MetricPair)> {
    let signals = policy.signals.iter();
    let pairs = signals.filter_map(|rule| Some((rule.name.clone(), rule.pair()?)));
    let groups = policy.fairness.iter().flat_map(Fairness::counters);
    pairs.chain(groups).collect()
}

/// CloudWatch's "trimmed count": how many samples lie above a limit.
pub(super) fn trimmed_count(microseconds: u64) -> String {
    format!("TC({microseconds}:)")
}

/// CloudWatch's "percentile rank": which percentage of the samples lies at or below a limit.
pub(super) fn percentile_rank(microseconds: u64) -> String {
    format!("PR(:{microseconds})")
}

/// Whether no sample of the minute lies above the limit.
fn is_within(maximum: &Points, at: Timestamp, limit: u64) -> bool {
    maximum.get(&at).is_some_and(|most| *most <= limit as f64)
}

/// Whether this can be the answer to how many of so many samples were slow. Who does not know a
/// statistic may answer with another one: ministack does, with the average.
pub(super) fn can_be(way: SlowCount, found: f64, samples: f64) -> bool {
    match way {
        SlowCount::TrimmedCount => whole(found) <= whole(samples),
        SlowCount::PercentileRank => (0.0..=100.0).contains(&found),
        SlowCount::Neither => false,
    }
}

/// One query's points, or why there are none to trust.
pub(super) fn points(answers: &Answers, query: &MetricQuery) -> Result<Points, String> {
    let named = |reason: &str| format!("{} {}: {reason}", query.metric, query.statistic);
    match answers.get(query) {
        Some(MetricAnswer::Complete(found)) => Ok(found
            .iter()
            .copied()
            .filter(|(_, value)| value.is_finite())
            .collect()),
        Some(MetricAnswer::Incomplete(reason) | MetricAnswer::Refused(reason)) => {
            Err(named(reason))
        }
        None => Err(named("was not asked")),
    }
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
    use super::*;
    use crate::domain::fairness::{FairnessRule, Measure};
    use crate::domain::model_signals::Quality;
    use crate::domain::plan::Preset;
    use crate::domain::policy::Consequence;
    use crate::domain::signal::{Direction, SignalRule, Source};

    const LIMIT: u64 = 80_000;

    /// A minute of 100 requests, the slowest of which took this long, where nothing is said of slow ones.
    fn minute(counted_by: SlowCount, slowest: Option<f64>) -> (Option<u64>, bool) {
        let arm = Arm {
            endpoint: "wine",
            variant: "blue",
            limits: vec![LIMIT],
            counted_by,
            checks: Vec::new(),
            skips_gaps: false,
        };
        let at = Timestamp::from_second(60).expect("a minute");
        let value = |query: &MetricQuery| match (query.metric.as_str(), query.statistic.as_str()) {
            ("Invocations", _) | (_, "SampleCount") => Some(100.0),
            (_, MAXIMUM) => slowest,
            ("ModelLatency", text) if text.contains('(') => None,
            ("ModelLatency", _) => Some(20_000.0),
            _ => Some(0.0),
        };
        // Of the last day both ways are asked for, and then the maximum is there for either.
        let asked = arm.queries().into_iter().chain([arm.latency(MAXIMUM)]);
        let answers = asked.map(|query| {
            let found = value(&query).map(|value| (at, value));
            (query, MetricAnswer::Complete(found.into_iter().collect()))
        });
        let (Series::Read(minutes), unread) = arm.minutes(&answers.collect()) else {
            panic!("every answer was complete");
        };
        let latency = minutes[&at].latency.as_ref().expect("its percentiles");
        (
            latency.slower_than.get(&LIMIT).copied(),
            unread.contains_key(SLOWNESS),
        )
    }

    #[test]
    fn a_count_without_a_point_is_zero_where_no_sample_is_slow() {
        let counted = SlowCount::TrimmedCount;
        assert_eq!(minute(counted, Some(79_999.0)), (Some(0), false));
        assert_eq!(
            minute(counted, Some(80_000.0)),
            (Some(0), false),
            "TC is above"
        );
        assert_eq!(minute(counted, Some(80_001.0)), (None, true));
        assert_eq!(minute(counted, None), (None, true));
        assert_eq!(minute(SlowCount::PercentileRank, Some(1.0)), (None, true));
    }

    /// Scores in ten bins, labels, and two groups, as docs/costs.md reckons with: each figure once.
    #[test]
    fn what_several_signals_are_made_of_is_asked_for_once() {
        let consequence = Consequence::default();
        let mut policy = Policy::preset(Preset::Linear);
        policy.signals.push(SignalRule::unread(consequence));
        policy.signals.extend(SignalRule::drift(consequence, 500));
        policy.signals.push(SignalRule {
            source: Source::Quality(Quality::Accuracy),
            ..SignalRule::unread(consequence)
        });
        let rule = |(measure, limit)| FairnessRule {
            measure,
            limit,
            min_samples: 100,
            min_positives: FairnessRule::MIN_POSITIVES,
        };
        policy.fairness = Some(Fairness {
            rules: [Measure::DemographicParity, Measure::DisparateImpact]
                .map(|measure| rule((measure, 0.5)))
                .to_vec(),
            groups: ["north", "south"].map(str::to_owned).to_vec(),
            consequence,
        });
        let arm = |checks| Arm {
            endpoint: "wine",
            variant: "blue",
            limits: vec![LIMIT],
            counted_by: SlowCount::TrimmedCount,
            checks,
            skips_gaps: false,
        };
        let plain = arm(Vec::new()).queries();
        assert_eq!(plain.len(), 13);
        let asked = arm(checks(&policy)).queries();
        // Predictions and those that could not be read, ten bins, labels and the right ones, and two
        // figures of each group.
        assert_eq!(asked.len() - plain.len(), 2 + 10 + 2 + 2 * 2);
        for (index, query) in asked.iter().enumerate() {
            assert!(
                !asked[..index].contains(query),
                "asked for twice: {query:?}"
            );
        }
        // One answer serves all that are made of it.
        let at = Timestamp::from_second(60).expect("a minute");
        let answers = asked.into_iter().map(|query| {
            let value = if query.metric == "Predictions" {
                50.0
            } else {
                5.0
            };
            (query, MetricAnswer::Complete(vec![(at, value)]))
        });
        let (Series::Read(minutes), _) = arm(checks(&policy)).minutes(&answers.collect()) else {
            panic!("every answer was complete");
        };
        for bin in 0..10 {
            let found = minutes[&at].checks.get(&format!("drift.{bin}"));
            assert_eq!(found.copied(), Counts::new(50, 5), "bin {bin}");
        }
    }

    /// Two minutes: one with ten requests, and one in which labels came and nobody asked.
    #[test]
    fn labels_make_a_minute_of_their_own_where_nobody_asked() {
        let at = [60, 120].map(|second| Timestamp::from_second(second).expect("a minute"));
        let pairs = [
            ("accuracy", Quality::Accuracy.pair()),
            (ROUTED, routed_pair()),
        ];
        let mut arm = Arm {
            endpoint: "wine",
            variant: "blue",
            limits: Vec::new(),
            counted_by: SlowCount::Neither,
            checks: pairs.map(|(name, pair)| (name.to_owned(), pair)).into(),
            skips_gaps: false,
        };
        let value = |query: &MetricQuery| match query.metric.as_str() {
            "Labelled" => [None, Some(30.0)],
            "Correct" => [None, Some(12.0)],
            "Served" => [Some(9.0), Some(1.0)],
            "Invocations" => [Some(10.0), None],
            "Routed" | "ModelLatency" => [None, None],
            _ => [Some(0.0), None],
        };
        let answers = |arm: &Arm<'_>| -> Answers {
            let answered = arm.queries().into_iter().map(|query| {
                let found = at.into_iter().zip(value(&query));
                let found = found.filter_map(|(at, value)| Some((at, value?)));
                let answer = MetricAnswer::Complete(found.collect());
                (query, answer)
            });
            answered.collect()
        };
        let whole = answers(&arm);
        let (Series::Read(minutes), _) = arm.minutes(&whole) else {
            panic!("every answer was complete");
        };
        assert_eq!(minutes[&at[0]].checks.keys().collect::<Vec<_>>(), [ROUTED]);
        let wrong = Counts::new(30, 18).expect("no more than were labelled");
        let only_labels = ArmMinute {
            checks: [("accuracy".to_owned(), wrong)].into(),
            ..ArmMinute::default()
        };
        assert_eq!(minutes[&at[1]], only_labels);
        assert!(only_labels.is_unasked() && !minutes[&at[0]].is_unasked());

        // What is routed makes none, and where the requests can't be read nothing is taken in.
        arm.checks.remove(0);
        let (Series::Read(minutes), _) = arm.minutes(&whole) else {
            panic!("every answer was complete");
        };
        assert_eq!(minutes.len(), 1);
        let mut torn = whole;
        let requests = arm.query(SAGEMAKER, "Invocations", "Sum");
        torn.insert(requests, MetricAnswer::Incomplete("PartialData".to_owned()));
        let (seen, _) = arm.minutes(&torn);
        assert!(matches!(seen, Series::Failed { .. }), "{seen:?}");
    }

    #[test]
    fn a_check_of_what_is_read_anyway_costs_nothing() {
        let source = |metric: &str| MetricSource {
            namespace: SAGEMAKER.to_owned(),
            metric: metric.to_owned(),
            statistic: "Sum".to_owned(),
            dimensions: [("EndpointName", "{endpoint}"), ("VariantName", "{variant}")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        let pair = MetricPair {
            bad: source("Invocation4XXErrors"),
            of: source("Invocations"),
            direction: Direction::HigherIsWorse,
            beside: false,
        };
        let arm = |checks| Arm {
            endpoint: "wine",
            variant: "blue",
            limits: Vec::new(),
            counted_by: SlowCount::Neither,
            checks,
            skips_gaps: false,
        };
        let more = arm(vec![("refusals".to_owned(), pair)]).queries();
        assert_eq!(more, arm(Vec::new()).queries());
    }
}
