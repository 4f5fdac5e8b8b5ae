//! What a stage still lacks before it may be left.

use std::fmt;

use super::bench::Bench;
use crate::domain::comparison::Limit;
use crate::domain::evidence::Evidence;
use crate::domain::guard;
use crate::domain::model_signals::Quality;
use crate::domain::quantity::counted;
use crate::domain::signal::{SignalRule, Source};

/// Data that a stage lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// How many more; absent when the present rate does not lead there.
    pub more: Option<u64>,
    /// Of what: a single one of them.
    pub one: &'static str,
    /// The words that follow it, with a space before them, where there are any.
    pub rest: String,
    /// Whether each canary request is one, so that today's rate says how long they take. Labels and
    /// trials come at a rate of their own.
    pub are_requests: bool,
}

/// What a stage asks for first.
const CANARY_REQUEST: &str = "canary request";

/// In words, as in `needs about 2 more canary requests`.
impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { one, rest, .. } = self;
        match self.more {
            Some(more) => write!(
                f,
                "needs about {}{rest}",
                counted(more, &format!("more {one}"))
            ),
            None => write!(f, "needs more {one}s{rest}"),
        }
    }
}

impl Bench<'_> {
    /// What is not shown although it was asked for: with that no stage is left.
    pub fn unshown(&self, evidence: &Evidence) -> Option<String> {
        self.unfair(evidence)
            .or_else(|| self.past_its_limit(evidence))
    }

    /// A measure of quality on the wrong side of its limit, proven or not: labels are few and late,
    /// and a share that looks too bad is not shown to be good enough.
    fn past_its_limit(&self, evidence: &Evidence) -> Option<String> {
        let rules = self.policy.signals.iter();
        let mut asked = rules.filter(|rule| rule.is_of_labels() && rule.consequence.holds());
        asked.find_map(|rule| {
            let limit = rule.limit?;
            let state = evidence.signals.get(&rule.name)?;
            let rate = state.absolute.canary().rate()?;
            (rate > limit.fraction()).then(|| {
                format!(
                    "not shown to be within its limit: {}",
                    self.sentence(rule, evidence)
                )
            })
        })
    }

    /// What a stage still lacks before it may be left, in words and in canary requests.
    pub fn lacking(&self, evidence: &Evidence) -> Option<Lack> {
        let missing = self
            .policy
            .min_samples
            .saturating_sub(evidence.stage_samples);
        let of_requests = (missing > 0).then(|| Lack {
            more: Some(missing),
            one: CANARY_REQUEST,
            rest: String::new(),
            are_requests: true,
        });
        let of_signals = self.policy.signals.iter().filter_map(|rule| {
            let seen = evidence
                .signals
                .get(&rule.name)
                .map_or(0, |state| state.stage_samples);
            let missing = rule.min_samples.saturating_sub(seen);
            (missing > 0 && rule.consequence.holds()).then(|| Lack {
                more: Some(missing),
                one: "trial",
                rest: format!(" of {}", rule.known_as()),
                are_requests: false,
            })
        });
        let labelled = |rule: &&SignalRule| rule.source == Source::Quality(Quality::Accuracy);
        let of_labels = self.policy.signals.iter().find(labelled).and_then(|rule| {
            let state = evidence.signals.get(&rule.name);
            let seen = state.map_or(0, |state| state.stage_samples);
            let missing = self.min_labels.saturating_sub(seen);
            (missing > 0).then(|| Lack {
                more: Some(missing),
                one: "labelled prediction",
                rest: " of the canary".to_owned(),
                are_requests: false,
            })
        });
        let of_gates = self
            .gates()
            .filter_map(|(name, limit, of)| closed_gate(name, limit, of, evidence));
        of_requests
            .into_iter()
            .chain(of_signals)
            .chain(of_labels)
            .chain(of_gates)
            .max_by_key(|lack| lack.more.unwrap_or(u64::MAX))
    }

    /// The limits that the canary has to be shown below, where the policy asks for that: of guards
    /// and of signals, by name.
    fn gates(&self) -> impl Iterator<Item = (&str, Limit, Of)> {
        let guards = self.policy.guards.iter().filter_map(|rule| {
            let limit = guard::gate_limit(rule)?;
            Some((rule.name.as_str(), rule.consequence, limit, Of::Requests))
        });
        let signals = self.policy.signals.iter().filter_map(|rule| {
            let limit = rule.limit.and_then(Limit::new)?;
            Some((rule.name.as_str(), rule.consequence, limit, Of::Trials))
        });
        let asked = guards
            .chain(signals)
            .filter(|(_, consequence, ..)| consequence.holds());
        asked
            .filter(|_| self.policy.safe_gate)
            .map(|(name, _, limit, of)| (name, limit, of))
    }
}

/// What a gate counts.
#[derive(Clone, Copy)]
enum Of {
    Requests,
    Trials,
}

fn closed_gate(name: &str, limit: Limit, of: Of, evidence: &Evidence) -> Option<Lack> {
    let gate = evidence.gates.get(name).copied().unwrap_or_default();
    let (one, whose) = match of {
        Of::Requests => (CANARY_REQUEST, ""),
        Of::Trials => ("trial", " of the canary"),
    };
    (!gate.is_open(limit)).then(|| Lack {
        more: gate.more_needed(limit),
        one,
        rest: format!("{whose} to be shown below {name}"),
        are_requests: matches!(of, Of::Requests),
    })
}
