//! What a stage still lacks before it may be left.

use super::bench::Bench;
use crate::domain::evidence::Evidence;
use crate::domain::guard;
use crate::domain::policy::Guard;

/// Data that a stage lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// How many more; absent when the present rate does not lead there.
    pub more: Option<u64>,
    /// Of what.
    pub of: String,
}

impl Bench<'_> {
    /// What a stage still lacks before it may be left, in words and in canary requests.
    pub fn lacking(&self, evidence: &Evidence) -> Option<Lack> {
        let missing = self
            .policy
            .min_samples
            .saturating_sub(evidence.stage_samples);
        let of_requests = (missing > 0).then(|| Lack {
            more: Some(missing),
            of: "canary requests".to_owned(),
        });
        let of_signals = self.policy.signals.iter().filter_map(|rule| {
            let seen = evidence
                .signals
                .get(&rule.name)
                .map_or(0, |state| state.stage_samples);
            let missing = rule.min_samples.saturating_sub(seen);
            (missing > 0 && rule.consequence.holds()).then(|| Lack {
                more: Some(missing),
                of: format!("trials of {}", rule.name),
            })
        });
        let of_gates = self
            .policy
            .guards
            .iter()
            .filter_map(|rule| self.closed_gate(rule, evidence));
        of_requests
            .into_iter()
            .chain(of_signals)
            .chain(of_gates)
            .max_by_key(|lack| lack.more.unwrap_or(u64::MAX))
    }

    fn closed_gate(&self, rule: &Guard, evidence: &Evidence) -> Option<Lack> {
        if !self.policy.safe_gate || !rule.consequence.holds() {
            return None;
        }
        let limit = guard::gate_limit(rule)?;
        let gate = evidence.gates.get(&rule.name).copied().unwrap_or_default();
        (!gate.is_open(limit)).then(|| Lack {
            more: gate.more_needed(limit),
            of: format!("canary requests to be shown below {}", rule.name),
        })
    }
}
