//! A recorded rollout, judged again: by the same bench as a live one, but without the endpoint, the
//! plan and the clock, which the record does not hold.
//!
//! Minutes before the canary's first request are history and give what production's last day
//! gives a live deployment: its usual rates and how bursty they are. So a trace is read twice,
//! first into a [`Survey`], then into one [`Replay`] per policy; both keep no more than one minute.
//!
//! The record's silence is not health. A minute, or an arm of it, that is not there is skipped by
//! the comparison; nothing is rolled back by it, and a record that ends without the canary ends in
//! a hold. One that ends without production may be of a rollout at 100 %: it goes on unless the
//! canary is past the worst that production showed.
//!
//! A record has no stages, so a step back takes nothing back: it is noted, what it acted on begins
//! anew, and unlike in a live rollout there is no end to them.
//!
//! | module | holds |
//! |---|---|
//! | `record` | a minute of the record, and what is surveyed of all of them |
//! | `case` | a policy cut down to what the record can be held against |

mod case;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::comparison::{Counts, effect};
use super::evidence::Evidence;
use super::judge::BLIND_FROM;
use super::judge::bench::{Bench, Minute};
use super::policy::Action;
use super::signal::SignalRule;

pub use case::{Case, Unfit};
pub use record::{Pair, Recorded, Survey};

/// What would have become of the canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// More traffic.
    GoOn,
    /// No more traffic for now.
    Hold,
    /// Back a stage.
    StepBack,
    /// All of it taken back.
    Rollback,
}

/// How a record is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What would have become of the canary.
    pub ruling: Ruling,
    /// The minute that decided it, in the record's own numbers; absent unless something was undone.
    pub minute: Option<u64>,
    /// Why, in one plain sentence.
    pub sentence: String,
    /// By signal, at that minute or at the end.
    pub signals: BTreeMap<String, Shown>,
    /// Minutes judged.
    pub minutes: u64,
    /// Minutes since the canary's first request that are missing in whole or in part.
    pub gap: u64,
}

/// What a signal has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The logarithm of the evidence against the canary; absent before the first minute.
    pub ln_e: Option<f64>,
    /// The canary's counts over the minutes compared.
    pub canary: Counts,
    /// Production's.
    pub production: Counts,
    /// One plain sentence.
    #[serde(skip)]
    pub sentence: String,
}

/// A record being judged under one policy.
#[derive(Debug, Clone)]
pub struct Replay<'a> {
    case: &'a Case,
    evidence: Evidence,
    sights: Vec<Sight>,
    minutes: u64,
    gap: u64,
    last_minute: Option<u64>,
    first_step_back: Option<Outcome>,
    last_step_back: Option<Outcome>,
    rollback: Option<Outcome>,
}

/// What can be seen of one signal.
#[derive(Debug, Clone, Copy, Default)]
struct Sight {
    /// Counts over the minutes compared. Unlike the wager, they don't begin anew.
    compared: (Counts, Counts),
    /// Whether the canary's row was missing in the last minute.
    is_missing: bool,
    /// Canary trials that production's predict since the canary was last seen.
    expected_unseen: f64,
    /// The canary's counts since production was last seen, and since when that is.
    alone: Option<(u64, Counts)>,
}

impl Sight {
    fn take_in(&mut self, minute: u64, compares: bool, pair: Pair) {
        self.is_missing = pair.canary.is_none();
        let seen = |counts: &Counts| counts.n() > 0;
        match (pair.canary.filter(seen), pair.production.filter(seen)) {
            (Some(canary), Some(production)) => {
                self.expected_unseen = 0.0;
                self.alone = None;
                self.add(canary, production);
            }
            (Some(canary), None) => {
                self.expected_unseen = 0.0;
                let (since, before) = self.alone.unwrap_or((minute, Counts::NONE));
                self.alone = Some((since, before.plus(canary)));
                if !compares {
                    self.add(canary, Counts::NONE);
                }
            }
            (None, Some(production)) => {
                let (canary, other) = self.compared;
                let share = canary.n() as f64 / other.n().max(1) as f64;
                self.expected_unseen += production.n() as f64 * share;
            }
            (None, None) => {}
        }
    }

    fn add(&mut self, canary: Counts, production: Counts) {
        let (canaries, productions) = self.compared;
        self.compared = (canaries.plus(canary), productions.plus(production));
    }
}

impl<'a> Replay<'a> {
    /// Nothing judged yet.
    pub fn new(case: &'a Case) -> Self {
        Self {
            case,
            evidence: Evidence::starting_after(Timestamp::UNIX_EPOCH),
            sights: vec![Sight::default(); case.policy.signals.len()],
            minutes: 0,
            gap: 0,
            last_minute: None,
            first_step_back: None,
            last_step_back: None,
            rollback: None,
        }
    }

    /// Whether a rollback has ended it: later minutes change nothing.
    pub const fn is_over(&self) -> bool {
        self.rollback.is_some()
    }

    /// Minutes since the canary's first request that are missing in whole or in part, so far.
    pub const fn gap(&self) -> u64 {
        self.gap
    }

    /// Takes in the record's next minute; false when it is history, or comes after the end.
    pub fn take_in(&mut self, recorded: &Recorded) -> bool {
        if self.is_over() || recorded.minute < self.case.first_request {
            return false;
        }
        self.minutes += 1;
        self.measure(recorded);
        for (rule, sight) in self.case.policy.signals.iter().zip(&mut self.sights) {
            let pair = recorded
                .signals
                .get(&rule.name)
                .copied()
                .unwrap_or_default();
            sight.take_in(recorded.minute, rule.compares, pair);
        }
        self.count_gap(recorded);
        self.last_minute = Some(recorded.minute);
        self.act(recorded.minute);
        true
    }

    /// The guards and the signals each on their own, since an arm may be there for one of them
    /// only.
    fn measure(&mut self, recorded: &Recorded) {
        let requests = recorded.canary_requests(self.case.counts_requests);
        self.evidence.stage_samples = self.evidence.stage_samples.saturating_add(requests);
        let (canary, production) = (|pair: &Pair| pair.canary, |pair: &Pair| pair.production);
        let parts = [
            (
                &self.case.signals,
                recorded.signals_of(canary),
                recorded.signals_of(production),
            ),
            (
                &self.case.guards,
                recorded.errors_of(canary),
                recorded.errors_of(production),
            ),
        ];
        for (policy, canary, production) in parts {
            let minute = Minute {
                at: self.ordinal(),
                in_stage: true,
                share: None,
                canary: canary.as_ref(),
                production: production.as_ref(),
            };
            self.case.bench(policy).take_in(&mut self.evidence, minute);
        }
    }

    /// The record's minutes may be numbered past the end of any calendar; only their order counts.
    fn ordinal(&self) -> Timestamp {
        let seconds = i64::try_from(self.minutes)
            .unwrap_or(i64::MAX)
            .saturating_mul(60);
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    }

    fn count_gap(&mut self, recorded: &Recorded) {
        let before = self.last_minute.map_or(recorded.minute, |last| last + 1);
        let is_whole = |rule: &SignalRule| {
            let pair = recorded
                .signals
                .get(&rule.name)
                .copied()
                .unwrap_or_default();
            pair.canary.is_some() && pair.production.is_some()
        };
        let is_whole = self.case.policy.signals.iter().all(is_whole);
        self.gap += recorded.minute.saturating_sub(before) + u64::from(!is_whole);
    }

    fn act(&mut self, minute: u64) {
        let breaches = self.bench().breaches(&self.evidence);
        let Some(breach) = breaches.first() else {
            return;
        };
        let outcome = |ruling| self.found(ruling, Some(minute), breach.reason.clone());
        match breach.action {
            Action::Rollback => self.rollback = Some(outcome(Ruling::Rollback)),
            Action::StepBack => {
                let outcome = outcome(Ruling::StepBack);
                self.first_step_back.get_or_insert_with(|| outcome.clone());
                self.last_step_back = Some(outcome);
                self.evidence.forget_step_backs(&self.case.policy);
            }
            Action::Hold | Action::Notify => {}
        }
    }

    /// What became of the canary in this minute.
    pub fn at_present(&self) -> Outcome {
        let now = |outcome: &&Outcome| outcome.minute == self.last_minute;
        let undone = self.rollback.as_ref().or(self.last_step_back.as_ref());
        undone
            .filter(now)
            .cloned()
            .unwrap_or_else(|| self.standing())
    }

    /// What became of it in all: the worst that happened, and else how it stands.
    pub fn outcome(&self) -> Outcome {
        let undone = self.rollback.as_ref().or(self.first_step_back.as_ref());
        let outcome = undone.cloned().unwrap_or_else(|| self.standing());
        Outcome {
            minutes: self.minutes,
            gap: self.gap,
            ..outcome
        }
    }

    fn standing(&self) -> Outcome {
        let objection = self.bench().objection(&self.evidence);
        let why = objection
            .or_else(|| self.unseen())
            .or_else(|| self.bench().unshown(&self.evidence))
            .or_else(|| self.lacking());
        match why {
            Some(why) => self.found(Ruling::Hold, None, why),
            None => self.found(
                Ruling::GoOn,
                None,
                "nothing speaks against more traffic".to_owned(),
            ),
        }
    }

    fn lacking(&self) -> Option<String> {
        let lack = self.bench().lacking(&self.evidence)?;
        Some(format!("too little to go on: {lack}"))
    }

    /// Why the end of the record can't be told from an outage.
    fn unseen(&self) -> Option<String> {
        let minute = self.last_minute?;
        let signals = self.case.policy.signals.iter().zip(&self.sights);
        let holding = signals.filter(|(rule, _)| rule.consequence.holds());
        let mut reasons = holding.filter_map(|(rule, sight)| {
            let name = &rule.name;
            if sight.is_missing {
                return Some(format!("blind: {name} has no row of the canary in minute {minute}"));
            }
            if sight.expected_unseen >= BLIND_FROM {
                let expected = sight.expected_unseen;
                return Some(format!(
                    "blind: {name} has no trials of the canary where production's predict {expected:.0}"
                ));
            }
            if rule.compares && sight.compared.0.n() == 0 && sight.alone.is_none() {
                return Some(format!("{name}: in no minute do both arms have trials"));
            }
            self.worse_alone(rule, sight)
        });
        reasons.next()
    }

    /// Minutes at the end that have no production arm, as at 100 %: nothing is rolled back by
    /// them, but a canary past the worst that production ever showed does not pass either.
    fn worse_alone(&self, rule: &SignalRule, sight: &Sight) -> Option<String> {
        let (since, canary) = sight.alone.filter(|_| rule.compares)?;
        let past = self
            .case
            .baseline
            .signals
            .get(&rule.name)
            .cloned()
            .unwrap_or_default();
        let state = self.evidence.signals.get(&rule.name);
        let during = state
            .map(|state| state.comparison.clone())
            .unwrap_or_default();
        let limit = past.frozen(self.case.policy.comparison.tolerate, &during);
        let rate = canary.rate()?;
        let what = rule.what();
        let rate_in_words = effect::percent(rate);
        let Some(limit) = limit else {
            return Some(format!(
                "{what}: canary {rate_in_words}, with no production to compare with"
            ));
        };
        (rate > limit.fraction()).then(|| {
            format!(
                "{what}: canary {rate_in_words} from minute {since} on, without production beside it, which was at {} at its worst (as tolerated)",
                effect::percent(limit.fraction())
            )
        })
    }

    fn bench(&self) -> Bench<'a> {
        self.case.bench(&self.case.policy)
    }

    fn found(&self, ruling: Ruling, minute: Option<u64>, sentence: String) -> Outcome {
        let bench = self.bench();
        let rules = self.case.policy.signals.iter().zip(&self.sights);
        let shown = rules.map(|(rule, sight)| {
            let state = self.evidence.signals.get(&rule.name);
            let ln_e = state.map(|state| {
                if rule.compares {
                    state.comparison.ln_e()
                } else {
                    state.absolute.ln_e()
                }
            });
            let shown = Shown {
                ln_e: ln_e.filter(|ln_e| ln_e.is_finite()),
                canary: sight.compared.0,
                production: sight.compared.1,
                sentence: bench.sentence(rule, &self.evidence),
            };
            (rule.name.clone(), shown)
        });
        Outcome {
            ruling,
            minute,
            sentence,
            signals: shown.collect(),
            minutes: self.minutes,
            gap: self.gap,
        }
    }
}
