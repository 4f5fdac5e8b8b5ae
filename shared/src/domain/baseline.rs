//! What production did before the rollout: fixed when a deployment is accepted, and never changed.
//!
//! It says how frequent bad outcomes are, how bursty, and what "slow" means. At 100 %, where there
//! is no production arm any more, its worst hour is what the canary is held against.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::comparison::burstiness::{self, Variation};
use super::comparison::{Counts, Limit, Signal};
use super::evidence::{Finding, GuardState};
use super::fairness::Fairness;
use super::guard::{self, WindowSize};
use super::observation::ArmMinute;
use super::policy::{Guard, Policy, Sustain, Test};
use super::quantity::{Latency, Rate, Span};
use super::signal::{ERRORS, SLOWNESS, SignalRule};

/// How much of production's past is read.
pub const LENGTH: Span = Span::from_hours(24);
/// A guard that production breaks in more than one of so many checks would sooner or later trip on
/// a canary that is just as good.
const BROKEN_CHECKS: u64 = 20;
/// Minutes.
const HOUR: u64 = 60;
/// Minutes: past it a limit says nothing about a rollout of today.
const LONGEST_WINDOW: f64 = 120.0;

/// Production before the rollout.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// Minutes from the first to the last that had requests.
    pub minutes: u64,
    /// Requests in them.
    pub requests: u64,
    /// What a request has to exceed to be slow; absent where nothing says so.
    pub slow_over: Option<Latency>,
    /// How requests over a limit are counted.
    #[serde(default)]
    pub counted_by: SlowCount,
    /// Median and p99 of latency in milliseconds, typical of the hours read.
    pub latency_ms: Option<(f64, f64)>,
    /// By signal.
    pub signals: BTreeMap<String, Past>,
    /// What is counted by group, by the counter's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Counts>,
    /// Whether CloudWatch has figures of the memory of its instances.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_memory: bool,
    /// When the endpoint was last changed, where that lies within what is summed up here: the minutes
    /// before it may be of another config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
}

/// How requests slower than a limit are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowCount {
    /// CloudWatch's trimmed count.
    #[default]
    TrimmedCount,
    /// From CloudWatch's percentile rank and the sample count.
    PercentileRank,
    /// This account serves neither: percentiles alone.
    Neither,
}

/// One signal of production before the rollout.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Past {
    /// All that was counted.
    pub counts: Counts,
    /// How much the bad outcomes vary from minute to minute beyond chance; the good ones, where most
    /// outcomes are bad.
    pub variation: Variation,
    /// The hour with the highest share of bad outcomes.
    pub worst_hour: Counts,
    /// The hour under way.
    hour: Counts,
    /// Minutes in it.
    hour_minutes: u32,
}

impl Past {
    /// Takes in production's next minute.
    pub fn take_in(&mut self, minute: Counts) {
        self.counts = self.counts.plus(minute);
        // What is rare is what bursts: the comparison is of the same side.
        self.variation.push(if self.counts.are_mostly_bad() {
            minute.turned().x()
        } else {
            minute.x()
        });
        self.hour = self.hour.plus(minute);
        self.hour_minutes += 1;
        if u64::from(self.hour_minutes) == HOUR {
            self.end_hour();
        }
    }

    fn end_hour(&mut self) {
        if upper_rate(self.hour) > upper_rate(self.worst_hour) {
            self.worst_hour = self.hour;
        }
        (self.hour, self.hour_minutes) = (Counts::NONE, 0);
    }

    /// Minutes over which bursts average out enough for a rate over them to be held against a
    /// limit: four times their excess variation, and four times more of what lasts. Calibrated by
    /// the study of the default policy on bursty endpoints.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 1 and an hour before"
    )]
    pub fn bursts_average_out(&self) -> u32 {
        let excess = self.variation.excess() + 4.0 * self.variation.lasting();
        (2.0 * burstiness::of_pair(excess, 1, 1))
            .ceil()
            .clamp(1.0, LONGEST_WINDOW) as u32
    }

    /// What a canary without a production arm is held against: so many times the worst that
    /// production showed, in an hour before the rollout or during it. Absent where it was not seen
    /// for an hour: a few quiet minutes are no measure of a model.
    pub fn frozen(&self, tolerate: f64, during: &Signal) -> Option<Limit> {
        let hour = upper_rate(self.worst_hour);
        let beside = (during.minutes_compared() >= HOUR).then(|| upper_rate(during.production()));
        let worst = hour.unwrap_or(0.0).max(beside.flatten().unwrap_or(0.0));
        let limit = if worst > 0.5 {
            // So many times the odds: so many times the rate would be beyond all of them.
            let odds = tolerate * worst / (1.0 - worst).max(f64::MIN_POSITIVE);
            odds / (1.0 + odds)
        } else {
            (worst * tolerate).min(0.99)
        };
        Rate::from_percent(limit * 100.0).and_then(Limit::new)
    }
}

/// With one bad outcome more than counted (Laplace): nothing is known to be impossible. Absent of
/// nothing.
fn upper_rate(counts: Counts) -> Option<f64> {
    (counts.n() > 0).then(|| (counts.x() as f64 + 1.0) / (counts.n() as f64 + 1.0))
}

impl Baseline {
    /// What production's minutes show.
    pub fn of(
        policy: &Policy,
        minutes: &BTreeMap<Timestamp, ArmMinute>,
        slow_over: Option<Latency>,
        counted_by: SlowCount,
    ) -> Self {
        let mut baseline = Self {
            slow_over,
            counted_by,
            ..Self::default()
        };
        let says_something = |minute: &&ArmMinute| minute.invocations > 0 || minute.is_unasked();
        for minute in minutes.values().filter(says_something) {
            baseline.requests += minute.invocations;
            baseline.has_memory |= minute.memory_percent.is_some();
            baseline.take_in(&policy.signals, minute);
            for (key, _) in policy.fairness.iter().flat_map(Fairness::counters) {
                if let Some(counts) = minute.checks.get(&key) {
                    let before = baseline.groups.entry(key).or_default();
                    *before = before.plus(*counts);
                }
            }
        }
        let asked = minutes.iter().filter(|(_, minute)| !minute.is_unasked());
        let asked: Vec<Timestamp> = asked.map(|(at, _)| *at).collect();
        if let (Some(first), Some(last)) = (asked.first(), asked.last()) {
            baseline.minutes = Span::between(*first, *last).secs() / 60 + 1;
        }
        baseline
    }

    /// Takes one of production's minutes into every signal.
    pub fn take_in(&mut self, rules: &[SignalRule], minute: &ArmMinute) {
        for rule in rules {
            if let Some(counts) = rule.counts(minute, self.slow_over) {
                let past = self.signals.entry(rule.name.clone()).or_default();
                past.take_in(counts);
            }
        }
    }

    /// What a guard's window has to hold. Costs vary from minute to minute as requests do, so one check
    /// of them spans all the time for which they must be past the limit. An emergency does not wait for bursts to average out, a
    /// guard that is sustained for a time looks at no more than that time at once, and the bounds of
    /// a ratio only widen with more minutes.
    pub fn window_size(&self, guard: &Guard, min_samples: u64) -> WindowSize {
        let signal = match guard.test {
            Test::ErrorsAbove(_) | Test::ErrorsWorseBy(_) => Some(ERRORS),
            Test::LatencyAbove(..) => Some(SLOWNESS),
            Test::LatencyRatio(..) | Test::CostRatio(_) | Test::MemoryAbove(_) => None,
        };
        let past = signal.and_then(|signal| self.signals.get(signal));
        let longest = match guard.sustain {
            _ if guard.name.ends_with(".emergency") => 1,
            Sustain::For(span) => span.secs().div_ceil(60).max(1),
            Sustain::Checks(_) => u64::MAX,
        };
        let least = match (guard.test, guard.sustain) {
            (Test::CostRatio(_), Sustain::For(_)) => u32::MAX,
            _ => past.map_or(1, Past::bursts_average_out),
        };
        WindowSize {
            min_samples,
            least_minutes: u32::try_from(longest).unwrap_or(u32::MAX).min(least),
        }
    }

    /// Requests a minute of the whole endpoint; zero when nothing was seen.
    pub fn requests_per_minute(&self) -> f64 {
        self.requests as f64 / self.minutes.max(1) as f64
    }
}

/// A guard that production itself does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The guard.
    pub guard: String,
    /// With production's figures.
    pub sentence: String,
}

/// The guards that production itself would have tripped, were it the canary: tripped now, or
/// broken too often to be kept by anything as good.
pub fn broken_by_production(
    policy: &Policy,
    baseline: &Baseline,
    minutes: &BTreeMap<Timestamp, ArmMinute>,
) -> Vec<Breach> {
    let absolute = policy
        .all_guards()
        .filter(|guard| !guard.test.compares() && guard.consequence.holds());
    absolute
        .filter_map(|guard| {
            let size = baseline.window_size(guard, policy.min_samples);
            broken(guard, minutes, size)
        })
        .collect()
}

fn broken(
    rule: &Guard,
    minutes: &BTreeMap<Timestamp, ArmMinute>,
    size: WindowSize,
) -> Option<Breach> {
    let mut state = GuardState::default();
    let (mut checks, mut broken, mut last) = (0u64, 0u64, None);
    for minute in minutes.values().filter(|minute| minute.invocations > 0) {
        if !guard::take_in(rule, &mut state, minute, None, size) {
            continue;
        }
        checks += 1;
        if let Some(check) = state
            .last
            .as_ref()
            .filter(|check| check.finding == Finding::Broken)
        {
            broken += 1;
            last = Some(check.value.clone());
        }
    }
    let value = last?;
    let trips = guard::has_tripped(rule, &state) || broken * BROKEN_CHECKS > checks;
    trips.then(|| Breach {
        guard: rule.name.clone(),
        sentence: format!(
            "production itself breaks {} ({rule}) in {broken} of {checks} checks of the last day, the last with {value}",
            rule.name
        ),
    })
}
