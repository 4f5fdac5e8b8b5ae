//! What a record holds, minute by minute, and what has to be known of all of it before it can be
//! judged.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::baseline::Baseline;
use crate::domain::comparison::Counts;
use crate::domain::judge::{MinuteReport, SignalStanding};
use crate::domain::observation::ArmMinute;
use crate::domain::signal::{CLIENT_ERRORS, ERRORS, SLOWNESS};

/// One recorded minute: what was counted in each arm, by signal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// In the record's own numbers.
    pub minute: u64,
    /// By signal name.
    pub signals: BTreeMap<String, Pair>,
}

/// Both arms' counts of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pair {
    /// Absent when they were not measured.
    pub canary: Option<Counts>,
    /// Absent when they were not measured.
    pub production: Option<Counts>,
}

impl Recorded {
    /// A judged minute of a live deployment, numbered in minutes since 1970.
    pub fn of(report: &MinuteReport) -> Self {
        let pair = |signal: &SignalStanding| Pair {
            canary: signal.minute,
            production: signal.production_minute,
        };
        let signals = report.signals.iter();
        Self {
            minute: u64::try_from(report.minute.as_second().div_euclid(60)).unwrap_or(0),
            signals: signals
                .map(|(name, signal)| (name.clone(), pair(signal)))
                .collect(),
        }
    }

    fn has_canary_request(&self) -> bool {
        let has_trials = |pair: &Pair| pair.canary.is_some_and(|counts| counts.n() > 0);
        self.signals.values().any(has_trials)
    }

    /// Canary requests: the endpoint's own signals count them where the record has any, and trials stand in
    /// elsewhere. Beside those a minute without them had no requests, whatever labels came in it.
    pub(super) fn canary_requests(&self, has_own: bool) -> u64 {
        let signals = self.signals.iter();
        let counted = signals.filter(|(name, _)| !has_own || is_of_requests(name));
        let counted = counted.filter_map(|(_, pair)| Some(pair.canary?.n()));
        counted.max().unwrap_or(0)
    }

    /// An arm for the signals. Requests stay 0: what has no row must not pass for one without
    /// errors.
    pub(super) fn signals_of(&self, arm: impl Fn(&Pair) -> Option<Counts>) -> Option<ArmMinute> {
        let counted = |(name, pair): (&String, &Pair)| Some((name.clone(), arm(pair)?));
        let checks: BTreeMap<String, Counts> = self.signals.iter().filter_map(counted).collect();
        (!checks.is_empty()).then(|| ArmMinute {
            checks,
            ..ArmMinute::default()
        })
    }

    /// An arm for the guards on errors; absent without requests, as in a live rollout.
    pub(super) fn errors_of(&self, arm: impl Fn(&Pair) -> Option<Counts>) -> Option<ArmMinute> {
        let counts = self
            .signals
            .get(ERRORS)
            .and_then(arm)
            .filter(|counts| counts.n() > 0)?;
        Some(ArmMinute {
            invocations: counts.n(),
            errors_5xx: counts.x(),
            ..ArmMinute::default()
        })
    }
}

/// Whether the trials of a signal are the endpoint's requests.
fn is_of_requests(name: &str) -> bool {
    [ERRORS, CLIENT_ERRORS, SLOWNESS].contains(&name)
}

/// What has to be known of a record before it can be judged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Survey {
    pub(super) baseline: Baseline,
    pub(super) signals: BTreeSet<String>,
    pub(super) first_request: Option<u64>,
}

impl Survey {
    /// Takes in the next minute.
    pub fn take_in(&mut self, recorded: &Recorded) {
        for name in recorded.signals.keys() {
            if !self.signals.contains(name) {
                self.signals.insert(name.clone());
            }
        }
        if self.first_request.is_none() && recorded.has_canary_request() {
            self.first_request = Some(recorded.minute);
        }
        if self.first_request.is_none() {
            self.take_in_history(recorded);
        }
    }

    fn take_in_history(&mut self, recorded: &Recorded) {
        self.baseline.minutes += 1;
        for (name, pair) in &recorded.signals {
            // As in a live deployment's last day, a minute without trials is not a calm one.
            if let Some(counts) = pair.production.filter(|counts| counts.n() > 0) {
                let past = self.baseline.signals.entry(name.clone()).or_default();
                past.take_in(counts);
            }
        }
    }

    /// Whether any of its signals counts the endpoint's requests.
    pub(super) fn counts_requests(&self) -> bool {
        self.signals.iter().any(|name| is_of_requests(name))
    }

    /// Minutes of history.
    pub const fn history_minutes(&self) -> u64 {
        self.baseline.minutes
    }
}
