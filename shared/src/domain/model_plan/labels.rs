//! The labels without which nothing is shown, by how they come.
//!
//! What one minute may add to the evidence has a ceiling, and labels come by the night as well as one by one.
//! So the real wagers are fed the same labels at several paces, and all of them in a single minute, with the
//! ceiling that a minute of so many labels has. Minutes without any cost nothing: a batch of a hundred each
//! night is a hundred a minute.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::comparison::{AbsoluteGuard, Counts, Signal, ln_even_part};
use crate::domain::deployment::Deployment;
use crate::domain::judge::bench::Bench;
use crate::domain::model_signals::Quality;
use crate::domain::power::{self, Batches, Budget};
use crate::domain::signal::{SignalRule, Source};

/// Labels a minute: what trickles in, what a program sends on, and what a single request can hold.
const PACES: [u64; 3] = [1, 10, 100];
/// Labels that are tried before it is said that none are enough.
const MOST_LABELS: u64 = 100_000;

/// How many labels a signal needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabelNeed {
    /// Which labels: what the signal's trials are.
    pub of: String,
    /// The canary's labels without which no stage, or not the one that asks for the most, is left; of each
    /// group where there are `groups`. Absent where none are waited for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waits_for: u64,
    /// The groups that are compared; absent where none are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The fewest of the canary's on which the signal acts by itself, by how they come: with each of them
    /// bad. Empty where groups are compared.
    #[serde(default)]
    pub all_bad: Vec<Arrival>,
    /// A canary with twice the bad ones of its limit; absent without a limit, and with one above 50 % bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twice: Option<Twice>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A canary with twice the bad outcomes that its limit allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TwiceTheLimit))]
pub struct Twice {
    /// Its share of bad outcomes, 0 to 1.
    pub rate: f64,
    /// The labels within which four of five such canaries are caught, by how they come.
    pub caught: Vec<Arrival>,
}

/// Labels that are enough when they come like this: so many in each of so many minutes, whatever lies
/// between these minutes. The last of a list is one minute that has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = LabelArrival))]
pub struct Arrival {
    /// Of the canary's predictions, in one minute.
    pub labels_a_minute: u64,
    /// Minutes with so many.
    pub minutes: u64,
}

impl Arrival {
    /// All of them.
    pub const fn labels(self) -> u64 {
        self.labels_a_minute.saturating_mul(self.minutes)
    }
}

/// By signal. What is muted needs none.
pub(super) fn needs(deployment: &Deployment) -> BTreeMap<String, LabelNeed> {
    let bench = Bench::of(deployment);
    let rules = deployment.terms.policy.signals.iter();
    let acting = rules.filter(|rule| !rule.consequence.muted);
    let of_quality = acting.filter_map(|rule| {
        let Source::Quality(quality) = rule.source else {
            return None;
        };
        let need = Wager::of(deployment, &bench, rule).need(quality, deployment);
        Some((rule.name.clone(), need))
    });
    of_quality.chain(of_groups(deployment)).collect()
}

/// Of the measure of fairness that is about labels. Groups that are too small are unknown, and that holds.
fn of_groups(deployment: &Deployment) -> Option<(String, LabelNeed)> {
    let fairness = deployment.terms.policy.fairness.as_ref()?;
    let rule = fairness
        .rules
        .iter()
        .find(|rule| rule.measure.needs_labels() && fairness.consequence.holds())?;
    let need = LabelNeed {
        of: rule.measure.trials().to_owned(),
        waits_for: rule.min_samples,
        groups: fairness.groups.clone(),
        all_bad: Vec::new(),
        twice: None,
    };
    Some((rule.measure.full_name(), need))
}

/// The wagers of one signal.
struct Wager<'a> {
    bench: &'a Bench<'a>,
    rule: &'a SignalRule,
    budget: Budget,
    /// Production's labels for each of the canary's, at the first share.
    beside: u64,
}

impl<'a> Wager<'a> {
    fn of(deployment: &'a Deployment, bench: &'a Bench<'a>, rule: &'a SignalRule) -> Self {
        let first = deployment.terms.plan.stages.first();
        let share = first.map_or(100, |stage| stage.weight.percent()).max(1);
        Self {
            bench,
            rule,
            budget: Budget {
                ln_part: ln_even_part(bench.parts()),
                alpha: deployment.terms.policy.comparison.alpha,
            },
            beside: u64::from((100 - share) / share).max(1),
        }
    }

    fn need(&self, quality: Quality, deployment: &Deployment) -> LabelNeed {
        LabelNeed {
            of: quality.trials().to_owned(),
            waits_for: waits_for(self.rule, deployment),
            groups: Vec::new(),
            all_bad: arrivals(|labels, within| self.all_bad(labels, within)),
            twice: self.twice(),
        }
    }

    /// Minutes with so many labels, each of them bad, until one of the wagers is won.
    fn all_bad(&self, labels: u64, within: u64) -> Option<u64> {
        let (limited, compared) = (self.limited(labels, within), self.compared(labels, within));
        limited.into_iter().chain(compared).min()
    }

    fn limited(&self, labels: u64, within: u64) -> Option<u64> {
        let settings = self.bench.absolute(self.rule)?;
        let settings = settings.in_parts(self.rule.parts_of(labels));
        let bad = Counts::new(labels, labels)?;
        let mut guard = AbsoluteGuard::default();
        (1..=within).find(|_| {
            guard.take_in(&settings, bad);
            self.budget.is_won_by(guard.ln_e())
        })
    }

    /// Beside a production that is always right.
    fn compared(&self, labels: u64, within: u64) -> Option<u64> {
        if !self.rule.compares {
            return None;
        }
        let settings = self.bench.settings(self.rule);
        let settings = settings.in_parts(self.rule.parts_of(labels));
        let bad = Counts::new(labels, labels)?;
        let production = Counts::new(labels.saturating_mul(self.beside), 0)?;
        let mut signal = Signal::default();
        (1..=within).find(|_| {
            signal.take_in(&settings, bad, production);
            self.budget.is_won_by(signal.ln_e())
        })
    }

    fn twice(&self) -> Option<Twice> {
        let settings = self.bench.absolute(self.rule)?;
        let rate = self.rule.limit?.fraction() * 2.0;
        let caught = || {
            arrivals(|trials, within| {
                let settings = settings.in_parts(self.rule.parts_of(trials));
                power::batches_above(&settings, Batches { trials, rate }, self.budget, within)
            })
        };
        // A share that is more than everything is none.
        (rate <= 1.0).then(|| Twice {
            rate,
            caught: caught(),
        })
    }
}

/// The labels without which a stage is not left, of the stage that asks for the most.
fn waits_for(rule: &SignalRule, deployment: &Deployment) -> u64 {
    let of_all = if rule.consequence.holds() {
        rule.min_samples
    } else {
        0
    };
    let stages = deployment.terms.plan.stages.iter();
    let of_stage = stages
        .filter(|_| rule.source == Source::Quality(Quality::Accuracy))
        .map(|stage| stage.min_labels);
    of_stage.max().unwrap_or(0).max(of_all)
}

/// How they may come, `minutes` being how many minutes with so many labels are enough, within the second.
fn arrivals(minutes: impl Fn(u64, u64) -> Option<u64>) -> Vec<Arrival> {
    let steadily = PACES.into_iter().filter_map(|labels_a_minute| {
        Some(Arrival {
            labels_a_minute,
            minutes: minutes(labels_a_minute, MOST_LABELS / labels_a_minute)?,
        })
    });
    let at_once = at_once(|labels| minutes(labels, 1).is_some());
    let at_once = at_once.map(|labels_a_minute| Arrival {
        labels_a_minute,
        minutes: 1,
    });
    steadily.chain(at_once).collect()
}

/// The fewest that are enough in a single minute. More of them show more, so what lies between two powers
/// of two can be halved.
fn at_once(is_enough: impl Fn(u64) -> bool) -> Option<u64> {
    let mut enough = 1_u64;
    while !is_enough(enough) {
        enough = Some(enough * 2).filter(|labels| *labels <= MOST_LABELS)?;
    }
    let mut short = enough / 2;
    while enough - short > 1 {
        let middle = u64::midpoint(short, enough);
        if is_enough(middle) {
            enough = middle;
        } else {
            short = middle;
        }
    }
    Some(enough)
}
