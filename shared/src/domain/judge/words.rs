//! What a signal shows, in numbers and in words: the same sentence in the message, the history and
//! on the terminal.

use super::bench::Bench;
use crate::domain::comparison::effect::{self, percent};
use crate::domain::comparison::{Counts, Effect};
use crate::domain::drift::{self, Stability};
use crate::domain::evidence::{Evidence, SignalState};
use crate::domain::model_signals::Quality;
use crate::domain::signal::{DRIFT, SignalRule, Source};

impl Bench<'_> {
    /// What a signal shows, in numbers.
    pub fn effect(&self, rule: &SignalRule, evidence: &Evidence) -> Option<Effect> {
        let state = evidence.signals.get(&rule.name)?;
        Some(Effect::of(&state.comparison, &self.settings(rule)))
    }

    /// What was measured and what it was held against, as they stand in the sentence: of the wager
    /// that weighs more.
    pub(super) fn figures(
        &self,
        rule: &SignalRule,
        evidence: &Evidence,
    ) -> Option<(String, String)> {
        let state = evidence.signals.get(&rule.name)?;
        if let Some(limit) = rule.limit
            && (!rule.compares || weighs_more(state))
        {
            return Some((share_of(state.absolute.canary()), format!("limit {limit}")));
        }
        let effect = Effect::of(&state.comparison, &self.settings(rule));
        match self.frozen(rule, state) {
            Some(limit) if state.comparison.alone().n() > 0 => Some((
                share_of(state.comparison.alone()),
                format!("held against {}", percent(limit.fraction())),
            )),
            _ => Some((effect.measured()?, effect.tolerance())),
        }
    }

    /// What a signal shows, in words. The comparison stands first, unless the limit shows more: the
    /// beginning of the sentence is what people read as the reason.
    pub fn sentence(&self, rule: &SignalRule, evidence: &Evidence) -> String {
        let what = rule.what();
        let Some(state) = evidence.signals.get(&rule.name) else {
            return format!("{what}: not counted yet");
        };
        let mut parts = Vec::new();
        if rule.compares {
            let effect = Effect::of(&state.comparison, &self.settings(rule));
            parts.push(effect.sentence(&what));
            parts.extend(self.frozen_words(rule, state));
        }
        if let Some(limit) = rule.limit {
            let limited = effect::against_limit(&what, &state.absolute, limit);
            let place = if shows_more(state) { 0 } else { parts.len() };
            parts.insert(place, limited);
        }
        parts.extend(f1_words(rule, state));
        if rule.family.as_deref() == Some(DRIFT) {
            parts.extend(self.stability(evidence).map(in_words));
        }
        parts.join("; ")
    }

    /// How far the scores of both variants lie apart; absent where they are not read or not counted.
    pub fn stability(&self, evidence: &Evidence) -> Option<Stability> {
        let rules = self.policy().signals.iter();
        let bins: Vec<(Counts, Counts)> = rules
            .filter(|rule| rule.family.as_deref() == Some(DRIFT))
            .map(|rule| {
                let state = evidence.signals.get(&rule.name);
                state.map_or((Counts::NONE, Counts::NONE), |state| {
                    (state.comparison.canary(), state.comparison.production())
                })
            })
            .collect();
        drift::stability_of(&bins)
    }

    fn frozen_words(&self, rule: &SignalRule, state: &SignalState) -> Option<String> {
        let alone = state.comparison.alone();
        let limit = self.frozen(rule, state).filter(|_| alone.n() > 0)?;
        Some(format!(
            "at 100 % {}, held against {} from production's worst hour",
            share_of(alone),
            percent(limit.fraction()),
        ))
    }
}

/// Whether the wager against the limit weighs more than the comparison.
fn weighs_more(state: &SignalState) -> bool {
    state.absolute.ln_e() > state.comparison.ln_e()
}

/// The same, where it shows anything: the words of a healthy minute stay in one order.
fn shows_more(state: &SignalState) -> bool {
    weighs_more(state) && effect::odds_against_luck(state.absolute.ln_e()).is_some()
}

/// F1 itself, which no share of trials is.
fn f1_words(rule: &SignalRule, state: &SignalState) -> Option<String> {
    if rule.source != Source::Quality(Quality::F1) {
        return None;
    }
    let value = |share: f64| format!("{:.3}", Quality::F1.value(share));
    let canary = if rule.limit.is_some() {
        state.absolute.canary()
    } else {
        state.comparison.canary()
    };
    let production = state.comparison.production().rate();
    let production = production.map(|share| format!(", production {}", value(share)));
    let least = rule.limit;
    let least = least.map(|limit| format!(", at least {} is asked for", value(limit.fraction())));
    Some(format!(
        "F1 canary {}{}{}",
        value(canary.rate()?),
        production.unwrap_or_default(),
        least.unwrap_or_default()
    ))
}

fn in_words(stability: Stability) -> String {
    format!(
        "population stability index {:.3} (luck alone makes about {:.3})",
        stability.index, stability.by_luck
    )
}

/// A share with its counts.
fn share_of(counts: Counts) -> String {
    let rate = counts.rate().map_or_else(|| "nothing".to_owned(), percent);
    format!("{rate} ({} of {})", counts.x(), counts.n())
}
