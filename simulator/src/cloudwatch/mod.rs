//! CloudWatch in memory: real statistics over the real samples of each minute.
//!
//! The simulated services call [`CloudWatch::record`] for every request they serve; clients put
//! and read metrics over the wire through [`CloudWatch::handle`], in any of the three protocols
//! that SDKs of different ages speak (`protocol`). An operation (`operations`) works on one shape
//! of input, whatever the protocol, reads samples from the `store` and evaluates `statistics`.
//!
//! Three things set this apart from a plain table of numbers, because a control plane has to live
//! with them: a minute becomes visible only some time after it ended ([`CloudWatch::set_delay`]),
//! samples recorded late change minutes that were visible already, and CloudWatch itself can fail
//! to answer ([`CloudWatch::set_gap`]).
//!
//! Not simulated: metric math, sub-minute periods, anomaly detection, alarms that evaluate
//! themselves, metric streams.

mod embedded;
mod operations;
mod protocol;
mod statistics;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use operations::Alarm;
use protocol::Protocol;
use statistics::Samples;
use store::{MINUTE_SECONDS, Store};

/// How long a minute's samples usually take to show up.
const DEFAULT_DELAY: SignedDuration = SignedDuration::from_secs(20);

/// What a metric gap does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapKind {
    /// The minutes that begin inside the gap have no samples, now or later; answers call
    /// themselves complete. What a metric looks like whose publisher was down.
    Missing,
    /// While the clock is inside the gap, answers carry only the older half of their points
    /// (rounded down, so a single point is left out) and say `PartialData`.
    Partial,
    /// While the clock is inside the gap, every query of the namespace ends in `InternalError`.
    InternalError,
}

/// A stretch of time in which one namespace misbehaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The namespace affected.
    pub namespace: String,
    /// The first instant affected.
    pub from: Timestamp,
    /// The first instant no longer affected.
    pub to: Timestamp,
    /// What happens.
    pub kind: GapKind,
}

/// One query of [`CloudWatch::metric_data`].
#[derive(Debug, Clone, Copy)]
pub struct MetricRequest<'a> {
    /// For instance `AWS/SageMaker`.
    pub namespace: &'a str,
    /// The metric's name.
    pub metric: &'a str,
    /// Names and values, in any order.
    pub dimensions: &'a [(String, String)],
    /// `Sum`, `p99`, `TC(100000:)`.
    pub statistic: &'a str,
    /// Whole minutes, in seconds.
    pub period: u32,
}

/// One query's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSeries {
    /// `Complete`, `PartialData` or `InternalError`.
    pub status: &'static str,
    /// Oldest first, by the start of the period.
    pub points: Vec<(Timestamp, f64)>,
}

/// What was sampled of one metric in one minute, as PutMetricData would carry it to another CloudWatch.
#[derive(Debug, Clone, PartialEq)]
pub struct MinuteSamples {
    /// Like `AWS/SageMaker`.
    pub namespace: String,
    /// The metric's name.
    pub metric: String,
    /// Names and values, sorted by name.
    pub dimensions: Vec<(String, String)>,
    /// The unit, by CloudWatch's name for it.
    pub unit: String,
    /// The start of the minute.
    pub at: Timestamp,
    /// The values, each with how often it occurred.
    pub values: Vec<(f64, f64)>,
}

/// An in-memory CloudWatch, shared by reference between threads.
#[derive(Debug)]
pub struct CloudWatch {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    store: Store,
    alarms: BTreeMap<String, Alarm>,
    gaps: Vec<Gap>,
    delay: SignedDuration,
    requests: u64,
    /// The latest instant seen, for changes that come without one.
    latest: Timestamp,
}

impl Default for CloudWatch {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                store: Store::default(),
                alarms: BTreeMap::new(),
                gaps: Vec::new(),
                delay: DEFAULT_DELAY,
                requests: 0,
                latest: Timestamp::UNIX_EPOCH,
            }),
        }
    }
}

impl CloudWatch {
    /// Empty, with a delay of 20 seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records one sample. `at` may lie in a minute that is visible already: the next answer
    /// then differs from the last. A value that is not finite is dropped.
    pub fn record(
        &self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        at: Timestamp,
        value: f64,
        unit: &str,
    ) {
        self.record_all(namespace, metric, dimensions, at, &[value], unit);
    }

    /// Records many samples of one metric and minute, finding the place for them only once.
    pub fn record_all(
        &self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        at: Timestamp,
        values: &[f64],
        unit: &str,
    ) {
        self.add(namespace, metric, dimensions, at, unit, |samples| {
            for value in values.iter().filter(|value| value.is_finite()) {
                samples.add(*value, 1.0);
            }
        });
    }

    /// Records `times` samples of the same value, at the cost of one.
    #[expect(clippy::too_many_arguments)] // a metric's name alone takes three
    pub fn record_repeated(
        &self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        at: Timestamp,
        value: f64,
        times: u64,
        unit: &str,
    ) {
        if times > 0 && value.is_finite() {
            self.add(namespace, metric, dimensions, at, unit, |samples| {
                samples.add(value, times as f64);
            });
        }
    }

    fn add(
        &self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        at: Timestamp,
        unit: &str,
        add: impl FnOnce(&mut Samples),
    ) {
        let mut state = self.state();
        state.latest = state.latest.max(at);
        let minute = at.as_second().div_euclid(MINUTE_SECONDS);
        add(state
            .store
            .minute(namespace, metric, dimensions, unit, minute));
    }

    /// Everything that was sampled in the minutes that begin in a time span (its end is exclusive), seen or
    /// not, in no order. Samples that came as statistic sets have no values and are left out.
    pub fn samples(&self, span: (Timestamp, Timestamp)) -> Vec<MinuteSamples> {
        let first_minute =
            |at: Timestamp| (at.as_second() + MINUTE_SECONDS - 1).div_euclid(MINUTE_SECONDS);
        let state = self.state();
        let minutes = first_minute(span.0)..first_minute(span.1).max(first_minute(span.0));
        let found = state.store.all(minutes);
        found
            .filter_map(|(name, unit, minute, samples)| {
                Some(MinuteSamples {
                    namespace: name.namespace.clone(),
                    metric: name.metric.clone(),
                    dimensions: name.dimensions.clone(),
                    unit: unit.to_owned(),
                    at: Timestamp::from_second(minute * MINUTE_SECONDS).ok()?,
                    values: samples.weighted().collect(),
                })
            })
            .collect()
    }

    /// Sets how long after its end a minute becomes visible.
    pub fn set_delay(&self, delay: SignedDuration) {
        self.state().delay = delay;
    }

    /// Sets an alarm's state (`OK`, `ALARM` or `INSUFFICIENT_DATA`), making the alarm if it does
    /// not exist.
    pub fn set_alarm(&self, name: &str, state: &str) {
        let mut guard = self.state();
        let now = guard.latest;
        let alarm = guard
            .alarms
            .entry(name.to_owned())
            .or_insert_with(|| Alarm::bare(now));
        alarm.set_state(now, state, "Set by the simulator", None);
    }

    /// Adds a gap; gaps may overlap.
    pub fn set_gap(&self, gap: Gap) {
        self.state().gaps.push(gap);
    }

    /// What GetMetricData answers at `now` for this time span (its end is exclusive), in one page and without a
    /// message around it; a refusal in CloudWatch's words.
    pub fn metric_data(
        &self,
        now: Timestamp,
        queries: &[MetricRequest<'_>],
        span: (Timestamp, Timestamp),
    ) -> Result<Vec<MetricSeries>, String> {
        let mut state = self.state();
        state.latest = state.latest.max(now);
        operations::read(&state, now, queries, span).map_err(|error| error.message().to_owned())
    }

    /// An alarm's state (`OK`, `ALARM` or `INSUFFICIENT_DATA`), if there is such an alarm.
    pub fn alarm(&self, name: &str) -> Option<String> {
        self.state()
            .alarms
            .get(name)
            .map(|alarm| alarm.state().to_owned())
    }

    /// Whether a request is meant for CloudWatch, by its path, its target or its signature.
    pub fn is_for(request: &http::Request<Bytes>) -> bool {
        protocol::is_for_cloudwatch(request)
    }

    /// Answers a request, at the given time of the simulated world.
    pub fn handle(&self, now: Timestamp, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let protocol = Protocol::of(request);
        let mut state = self.state();
        state.latest = state.latest.max(now);
        state.requests += 1;
        let request_id = format!("00000000-0000-4000-8000-{:012x}", state.requests);
        match protocol.decode(request) {
            Ok((operation, input)) => {
                let outcome = operations::run(&mut state, now, &operation, &input);
                drop(state);
                protocol.encode(&operation, &request_id, &outcome)
            }
            Err(error) => protocol.encode("", &request_id, &Err(error)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No operation leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first minute (since the epoch) that cannot be seen yet.
    fn first_hidden_minute(&self, now: Timestamp) -> i64 {
        let shown = now.saturating_sub(self.delay).unwrap_or(Timestamp::MIN);
        shown.as_second().div_euclid(MINUTE_SECONDS)
    }

    /// Whether the samples of a minute are lost.
    fn is_missing(&self, namespace: &str, minute: i64) -> bool {
        let second = minute.saturating_mul(MINUTE_SECONDS);
        self.gaps.iter().any(|gap| {
            gap.kind == GapKind::Missing
                && gap.namespace == namespace
                && (gap.from.as_second()..gap.to.as_second()).contains(&second)
        })
    }

    /// How answering is disturbed at this moment; the worse of two gaps counts.
    fn answering_gap(&self, namespace: &str, now: Timestamp) -> Option<GapKind> {
        let current = |kind| {
            self.gaps.iter().any(|gap| {
                gap.kind == kind && gap.namespace == namespace && (gap.from..gap.to).contains(&now)
            })
        };
        [GapKind::InternalError, GapKind::Partial]
            .into_iter()
            .find(|kind| current(*kind))
    }
}
