//! What speaks against the canary: guards that tripped, wagers that were won, and everything else
//! that stands in the way of more traffic.

use std::collections::BTreeSet;

use super::Breach;
use super::bench::Bench;
use crate::domain::comparison;
use crate::domain::evidence::{Evidence, Finding};
use crate::domain::fairness::Fairness;
use crate::domain::guard;
use crate::domain::policy::{Action, Consequence, Grade};
use crate::domain::signal::SignalRule;

/// Minutes without anything that speaks against the canary, after which evidence short of a
/// rollback no longer holds it: without bad outcomes in either arm it would stand for ever.
const FORGIVEN_AFTER: u64 = 60;

/// What breaches are told apart by, the strongest first. Each is won by what asks for it or for more,
/// together. What is critical takes everything back at once only where critical signals have won by
/// themselves: where it took others beside them, the breach goes by steps as theirs would.
const RANKS: [(Action, bool); 5] = [
    (Action::Rollback, true),
    (Action::Rollback, false),
    (Action::StepBack, false),
    (Action::Hold, false),
    (Action::Notify, false),
];

fn rank(action: Action, severity: Grade) -> (Action, bool) {
    let is_critical = action == Action::Rollback && severity == Grade::Critical;
    (action, is_critical)
}

/// Absent while it is muted.
fn rank_of(rule: &SignalRule) -> Option<(Action, bool)> {
    let Consequence { severity, .. } = rule.consequence;
    let action = rule.consequence.action()?;
    Some(rank(action, severity))
}

/// What breaches of no single signal go by.
const TOGETHER: &str = "comparison.together";

/// Whether something spoke against the canary within the last hour.
fn is_fed(rule: &SignalRule, evidence: &Evidence) -> bool {
    let state = evidence.signals.get(&rule.name);
    state.is_some_and(|state| state.comparison.quiet_minutes() < FORGIVEN_AFTER)
}

fn weight_of(rule: &SignalRule, evidence: &Evidence) -> f64 {
    Bench::wagers(rule, evidence).fold(f64::NEG_INFINITY, f64::max)
}

impl Bench<'_> {
    /// How many wagers share the budget: each comparison and each limit of a signal that acts, and
    /// all of a family together.
    pub fn parts(&self) -> usize {
        let mut families = BTreeSet::new();
        let wagers = |rule: &SignalRule| match &rule.family {
            Some(family) => usize::from(families.insert(family.clone())),
            None => usize::from(rule.compares) + usize::from(rule.limit.is_some()),
        };
        self.acting().map(wagers).sum()
    }

    fn acting(&self) -> impl Iterator<Item = &SignalRule> {
        let rules = self.policy.signals.iter();
        rules.filter(|rule| !rule.consequence.muted)
    }

    /// Into how many such parts the budget of a signal's wager goes: those of its family part theirs.
    pub fn parts_of(&self, rule: &SignalRule) -> usize {
        let relatives = match &rule.family {
            Some(_) => self
                .acting()
                .filter(|other| other.family == rule.family)
                .count(),
            None => 1,
        };
        self.parts() * relatives.max(1)
    }

    /// The logarithm of the part of the budget that each wager of a signal has.
    fn ln_part(&self, rule: &SignalRule) -> f64 {
        comparison::ln_even_part(self.parts_of(rule))
    }

    fn ln_total_of(&self, evidence: &Evidence, counts: impl Fn(&SignalRule) -> bool) -> f64 {
        let acting = self.policy.signals.iter().filter(|rule| counts(rule));
        let wagers = acting.flat_map(|rule| {
            let part = self.ln_part(rule);
            Self::wagers(rule, evidence).map(move |ln_e| (part, ln_e))
        });
        comparison::combined(wagers)
    }

    fn wagers(rule: &SignalRule, evidence: &Evidence) -> impl Iterator<Item = f64> {
        let state = evidence.signals.get(&rule.name);
        let compared = state
            .filter(|_| rule.compares)
            .map(|state| state.comparison.ln_e());
        let limited = state
            .filter(|_| rule.limit.is_some())
            .map(|state| state.absolute.ln_e());
        compared.into_iter().chain(limited)
    }

    /// Everything that speaks against the canary for long enough to act, the strongest first.
    pub fn breaches(&self, evidence: &Evidence) -> Vec<Breach> {
        let mut breaches = self.guard_breaches(evidence);
        breaches.extend(self.fairness_breaches(evidence));
        let is_won =
            |ln_total| comparison::calls_for_rollback(ln_total, self.policy.comparison.alpha);
        let mut stronger_won = false;
        for rank in RANKS {
            let (action, _) = rank;
            let counts = |rule: &SignalRule| {
                // What nothing feeds any more is no reason to go on holding or telling.
                rank_of(rule) >= Some(rank)
                    && (action >= Action::StepBack || is_fed(rule, evidence))
            };
            // Beside a stronger breach only what these signals show by themselves is news.
            let adds =
                |rule: &SignalRule| counts(rule) && (!stronger_won || rank_of(rule) == Some(rank));
            if is_won(self.ln_total_of(evidence, adds)) {
                breaches.extend(self.comparison_breach(evidence, rank, adds));
            }
            stronger_won |= is_won(self.ln_total_of(evidence, counts));
        }
        breaches.sort_by_key(|breach| std::cmp::Reverse(rank(breach.action, breach.severity)));
        breaches
    }

    fn guard_breaches(&self, evidence: &Evidence) -> Vec<Breach> {
        let tripped = self.policy.all_guards().filter_map(|rule| {
            let state = evidence.guards.get(&rule.name)?;
            let check = state.last.as_ref()?;
            Some(Breach {
                name: rule.name.clone(),
                action: rule.consequence.action()?,
                severity: rule.consequence.severity,
                reason: check.sentence.clone(),
                value: check.value.clone(),
                limit: check.limit.clone(),
            })
            .filter(|_| guard::has_tripped(rule, state))
        });
        tripped.collect()
    }

    fn fairness_breaches(&self, evidence: &Evidence) -> Vec<Breach> {
        let Some((fairness, action)) = self.fairness_that_acts() else {
            return Vec::new();
        };
        let judged = fairness.judge(&evidence.tallies).into_iter();
        let broken = judged.filter(|(_, judged)| judged.finding == Finding::Broken);
        broken
            .map(|(rule, judged)| Breach {
                name: rule.measure.full_name(),
                action,
                severity: fairness.consequence.severity,
                value: judged
                    .canary
                    .map_or_else(String::new, |canary| format!("{:.3}", canary.value)),
                limit: rule.limit.to_string(),
                reason: judged.sentence,
            })
            .collect()
    }

    fn fairness_that_acts(&self) -> Option<(&Fairness, Action)> {
        let fairness = self.policy.fairness.as_ref()?;
        Some((fairness, fairness.consequence.action()?))
    }

    /// A measure that is not shown to be fair: small groups are unknown, and with that no stage is
    /// left. It can't stand in the way of the first share, before which there is nothing to show.
    pub(super) fn unfair(&self, evidence: &Evidence) -> Option<String> {
        let (fairness, _) = self
            .fairness_that_acts()
            .filter(|(_, action)| *action >= Action::Hold)?;
        let judged = fairness.judge(&evidence.tallies).into_iter();
        let mut open = judged.filter(|(_, judged)| judged.finding == Finding::Unknown);
        open.next().map(|(_, judged)| judged.sentence)
    }

    /// The signal that weighs most among these, as the one that sets this off.
    fn comparison_breach(
        &self,
        evidence: &Evidence,
        rank: (Action, bool),
        counts: impl Fn(&SignalRule) -> bool,
    ) -> Option<Breach> {
        let rule = self
            .policy
            .signals
            .iter()
            .filter(|rule| counts(rule))
            .max_by(|a, b| weight_of(a, evidence).total_cmp(&weight_of(b, evidence)))?;
        let (value, limit) = self.figures(rule, evidence)?;
        let own = rule.consequence.severity;
        // A stronger signal that could not win by itself lends its weight and not its severity.
        let severity = if rank_of(rule) == Some(rank) {
            own
        } else {
            own.min(Grade::High)
        };
        Some(Breach {
            name: rule.known_as().to_owned(),
            action: rank.0,
            severity,
            reason: self.sentence(rule, evidence),
            value,
            limit,
        })
    }

    /// Everything that speaks against the model, each signal by itself, the worst first: for where
    /// nothing acts on it and people are told, so that no signal stands behind a heavier one. What was
    /// told stands until its capital is worth no holding any more, so that it is not told again and
    /// again around the threshold. Signals that have won only together are one, and go by a name of
    /// their own.
    pub fn breaches_apart(&self, evidence: &Evidence) -> Vec<Breach> {
        let mut breaches = self.guard_breaches(evidence);
        breaches.extend(self.fairness_breaches(evidence));
        let speaks = |rule: &SignalRule| {
            let action = rule.consequence.action();
            action >= Some(Action::StepBack) || (action.is_some() && is_fed(rule, evidence))
        };
        let stands = |name: &str, ln_total: f64| {
            comparison::calls_for_rollback(ln_total, self.policy.comparison.alpha)
                || (evidence.told.contains(name) && comparison::forbids_promotion(ln_total))
        };
        let names: BTreeSet<&str> = self.acting().map(SignalRule::known_as).collect();
        let mut is_any = false;
        for name in names {
            let own = |rule: &SignalRule| speaks(rule) && rule.known_as() == name;
            if stands(name, self.ln_total_of(evidence, own))
                && let Some(breach) = self.heaviest_breach(evidence, own)
            {
                breaches.push(breach);
                is_any = true;
            }
        }
        if !is_any && stands(TOGETHER, self.ln_total_of(evidence, speaks)) {
            let heaviest = self.heaviest_breach(evidence, speaks);
            breaches.extend(heaviest.map(|breach| Breach {
                name: TOGETHER.to_owned(),
                severity: breach.severity.min(Grade::High),
                reason: format!("several signals together, most of all {}", breach.reason),
                ..breach
            }));
        }
        breaches.sort_by_key(|breach| std::cmp::Reverse((breach.severity, breach.action)));
        breaches
    }

    /// The one of these that weighs most, at its own rank.
    fn heaviest_breach(
        &self,
        evidence: &Evidence,
        counts: impl Fn(&SignalRule) -> bool,
    ) -> Option<Breach> {
        let rules = self.policy.signals.iter().filter(|rule| counts(rule));
        let heaviest =
            rules.max_by(|a, b| weight_of(a, evidence).total_cmp(&weight_of(b, evidence)))?;
        let rank = rank_of(heaviest)?;
        self.comparison_breach(evidence, rank, |rule| rule.name == heaviest.name)
    }

    /// What speaks against more traffic at any time, the amount of data apart.
    pub fn objection(&self, evidence: &Evidence) -> Option<String> {
        match evidence.red_guard(self.policy) {
            Some(check) => Some(check.sentence.clone()),
            None => self.objection_to_order(evidence),
        }
    }

    /// What speaks against more traffic even when an operator asks for it: not that production
    /// breaks a limit that the canary keeps, nor a cost at 100 % that can never be told.
    pub fn objection_to_order(&self, evidence: &Evidence) -> Option<String> {
        if let Some(check) = evidence.broken_guard(self.policy) {
            return Some(check.sentence.clone());
        }
        let breaches = self.breaches(evidence);
        if let Some(breach) = breaches.iter().find(|breach| breach.action >= Action::Hold) {
            return Some(breach.reason.clone());
        }
        if comparison::forbids_promotion(self.ln_total_of(evidence, |rule| {
            rule.consequence.holds() && is_fed(rule, evidence)
        })) {
            return self.heaviest(evidence);
        }
        self.skewed(evidence).or_else(|| self.unread(evidence))
    }

    fn heaviest(&self, evidence: &Evidence) -> Option<String> {
        let holds = |rule: &SignalRule| rule.consequence.holds() && is_fed(rule, evidence);
        let breach = self.comparison_breach(evidence, (Action::Hold, false), holds)?;
        Some(format!(
            "too much speaks against it for more traffic: {}",
            breach.reason
        ))
    }

    /// The fault of routing that the split of the requests shows. What can't be seen is no fault of
    /// routing.
    pub fn skewed(&self, evidence: &Evidence) -> Option<String> {
        if !evidence.split.is_refuted() || evidence.blind.is_some() {
            return None;
        }
        let (share, requests) = evidence.split.observed()?;
        let intended = evidence.split.intended()?;
        Some(format!(
            "routing: the canary got {:.1} % of {requests} requests where {} {:.1} %; until the split fits, the arms can't be compared",
            share * 100.0,
            if self.is_sticky {
                "users and weights say"
            } else {
                "the weights say"
            },
            intended * 100.0
        ))
    }

    fn unread(&self, evidence: &Evidence) -> Option<String> {
        let holding = |name: &&String| {
            let rule = self.policy.signals.iter().find(|rule| rule.name == **name);
            let of_groups = name.starts_with("fairness.")
                && self
                    .fairness_that_acts()
                    .is_some_and(|(_, action)| action >= Action::Hold);
            of_groups || rule.is_some_and(|rule| rule.consequence.holds())
        };
        if let Some(name) = evidence.unread.keys().find(holding) {
            let why = &evidence.unread[name];
            return Some(format!("the check {name} could not be read: {why}"));
        }
        let name = evidence.miscounted.keys().find(holding)?;
        let what = evidence.miscounted[name];
        Some(format!("the check {name} can't be judged: {what}"))
    }
}
