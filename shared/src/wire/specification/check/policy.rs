//! What a canary is held against: the preset's policy with the specification's own laid over it.
//!
//! What a breach sets going is said per key and holds for all guards of that key, but never for an
//! emergency guard: a preset's last line can't be weakened by a word about something else.

use super::super::raw::{
    RawComparison, RawConsequence, RawErrorRate, RawLatency, RawMemory, RawPolicy,
};
use super::super::{SpecificationError, wrong};
use super::checks;
use crate::domain::comparison::Limit;
use crate::domain::plan::Preset;
use crate::domain::policy::{Comparison, Consequence, Guard, Percentile, Policy, Sustain, Test};
use crate::domain::quantity::{Rate, Span};
use crate::domain::signal;

/// The most requests or trials that may be asked for before a stage is left.
pub(in super::super) const MOST_SAMPLES: u64 = 1_000_000_000;

impl RawPolicy {
    /// The preset's policy with what the specification says laid over it, guard by guard.
    pub(super) fn check(self, preset: Preset) -> Result<Policy, SpecificationError> {
        let mut policy = Policy::preset(preset);
        if let Some(errors) = self.error_rate {
            errors.lay_over(&mut policy)?;
        }
        let latencies = [
            (Percentile::P50, self.latency_p50),
            (Percentile::P90, self.latency_p90),
            (Percentile::P95, self.latency_p95),
            (Percentile::P99, self.latency_p99),
        ];
        for (percentile, latency) in latencies {
            if let Some(latency) = latency {
                latency.lay_over(&mut policy, percentile)?;
            }
        }
        if let Some(memory) = self.memory {
            policy.memory = Some(memory.lay_over(policy.memory)?);
        }
        if let Some(comparison) = self.comparison {
            comparison.lay_over(&mut policy)?;
        }
        policy.min_samples = min_samples(self.min_samples)?.unwrap_or(policy.min_samples);
        policy.blind_limit = blind_limit(self.blind_limit)?.unwrap_or(policy.blind_limit);
        policy.alarms = alarms(self.alarms)?;
        policy.on_drift = self.on_drift.unwrap_or_default();
        let further = checks::check(self.checks, policy.min_samples)?;
        policy.signals.extend(further);
        policy.safe_gate = self.safe_gate;
        if policy.safe_gate {
            check_gate(&policy)?;
        }
        Ok(policy)
    }
}

fn min_samples(given: Option<u64>) -> Result<Option<u64>, SpecificationError> {
    match given {
        None | Some(1..=MOST_SAMPLES) => Ok(given),
        Some(_) => Err(wrong(
            "policy.min_samples",
            "min_samples is a number of requests from 1 to 1000000000",
        )),
    }
}

fn blind_limit(given: Option<Span>) -> Result<Option<Span>, SpecificationError> {
    match given {
        Some(limit) if limit < Span::from_mins(1) => Err(wrong(
            "policy.blind_limit",
            "blind_limit is one minute at the least: metrics come once a minute",
        )),
        _ => Ok(given),
    }
}

fn alarms(given: Vec<String>) -> Result<Vec<String>, SpecificationError> {
    let unfit = |name: &String| name.is_empty() || name.len() > 255;
    if given.len() > 100 || given.iter().any(unfit) {
        return Err(wrong(
            "policy.alarms",
            "at most 100 names of CloudWatch alarms, each of 1 to 255 characters",
        ));
    }
    Ok(given)
}

/// A gate that no canary can open is refused here, before it holds a rollout until its deadline.
fn check_gate(policy: &Policy) -> Result<(), SpecificationError> {
    let never_shown = |guard: &&Guard| {
        let nothing = |limit: Rate| limit.fraction() <= 0.0;
        matches!(guard.test, Test::ErrorsAbove(limit) if nothing(limit))
            && guard.consequence.holds()
    };
    match policy.guards.iter().find(never_shown) {
        None => Ok(()),
        Some(guard) => Err(wrong(
            "policy.safe_gate",
            format!(
                "no number of requests shows a canary to be below 0%, the limit of policy.{}; raise it, to \"0.1%\" for example, or leave the safe gate out",
                guard.name
            ),
        )),
    }
}

impl RawConsequence {
    /// What is said laid over the usual consequence of what it is said of: a severity says the action
    /// too, unless that is named, and what is left out stays as it is.
    pub(super) fn check(self, usual: Consequence) -> Consequence {
        let usual = Consequence {
            muted: usual.muted,
            ..self.severity.map_or(usual, Consequence::of)
        };
        Consequence {
            on_breach: self.on_breach.unwrap_or(usual.on_breach),
            muted: self.muted.unwrap_or(usual.muted),
            ..usual
        }
    }
}

impl RawErrorRate {
    fn lay_over(self, policy: &mut Policy) -> Result<(), SpecificationError> {
        const KEY: &str = "error_rate";
        let sustain = sustain(&format!("policy.{KEY}"), self.checks, self.sustained)?;
        if let Some(limit) = self.limit {
            put(policy, format!("{KEY}.limit"), Test::ErrorsAbove(limit), 2);
        }
        if let Some(points) = self.worse_by {
            let test = Test::ErrorsWorseBy(points);
            put(policy, format!("{KEY}.worse_by"), test, 2);
        }
        let consequence = RawConsequence {
            severity: self.severity,
            on_breach: self.on_breach,
            muted: self.muted,
        };
        settle(policy, KEY, sustain, consequence);
        Ok(())
    }
}

impl RawLatency {
    fn lay_over(
        self,
        policy: &mut Policy,
        percentile: Percentile,
    ) -> Result<(), SpecificationError> {
        let key = format!("latency_{percentile}");
        let field = format!("policy.{key}");
        let sustain = sustain(&field, self.checks, self.sustained)?;
        if let Some(limit) = self.limit {
            let test = Test::LatencyAbove(percentile, limit);
            put(policy, format!("{key}.limit"), test, 3);
        }
        if let Some(ratio) = self.ratio {
            if !(ratio.is_finite() && ratio >= 1.0) {
                return Err(wrong(
                    format!("{field}.ratio"),
                    "ratio is how many times production's percentile is still allowed: a number from 1 up, like 2.0",
                ));
            }
            let test = Test::LatencyRatio(percentile, ratio);
            put(policy, format!("{key}.ratio"), test, 3);
        }
        if guards_of(policy, &key).next().is_none() {
            return Err(wrong(
                field,
                "judges nothing; give it a limit, like \"100ms\", or a ratio, like 2.0",
            ));
        }
        let consequence = RawConsequence {
            severity: self.severity,
            on_breach: self.on_breach,
            muted: self.muted,
        };
        settle(policy, &key, sustain, consequence);
        Ok(())
    }
}

fn sustain(
    field: &str,
    checks: Option<u32>,
    sustained: Option<Span>,
) -> Result<Option<Sustain>, SpecificationError> {
    match (checks, sustained) {
        (Some(_), Some(_)) => Err(wrong(
            field,
            "checks and for exclude each other; keep one of them",
        )),
        (Some(checks @ 1..=1000), None) => Ok(Some(Sustain::Checks(checks))),
        (Some(_), None) => Err(wrong(
            format!("{field}.checks"),
            "checks is a number from 1 to 1000",
        )),
        (None, Some(span)) if span.is_zero() => Err(wrong(
            format!("{field}.for"),
            "for is a duration above zero, like \"5m\"",
        )),
        (None, Some(span)) => Ok(Some(Sustain::For(span))),
        (None, None) => Ok(None),
    }
}

/// Replaces the test of the guard of this name, or adds a guard.
fn put(policy: &mut Policy, name: String, test: Test, default_checks: u32) {
    match policy.guards.iter_mut().find(|guard| guard.name == name) {
        Some(guard) => guard.test = test,
        None => policy.guards.push(Guard {
            name,
            test,
            sustain: Sustain::Checks(default_checks),
            consequence: Consequence::default(),
        }),
    }
}

/// The guards that a key of the specification speaks of: all of its own but the emergency guard.
fn guards_of<'a>(policy: &'a mut Policy, key: &'a str) -> impl Iterator<Item = &'a mut Guard> {
    policy.guards.iter_mut().filter(move |guard| {
        let kind = guard.name.strip_prefix(key);
        kind.is_some_and(|kind| kind.starts_with('.') && kind != ".emergency")
    })
}

fn settle(policy: &mut Policy, key: &str, sustain: Option<Sustain>, consequence: RawConsequence) {
    for guard in guards_of(policy, key) {
        guard.sustain = sustain.unwrap_or(guard.sustain);
        guard.consequence = consequence.check(guard.consequence);
    }
}

impl RawMemory {
    fn lay_over(self, preset: Option<Guard>) -> Result<Guard, SpecificationError> {
        let usual = preset.unwrap_or_else(Guard::memory);
        let test = match self.limit {
            None => usual.test,
            Some(limit) if Limit::new(limit).is_some() => Test::MemoryAbove(limit),
            Some(_) => {
                return Err(wrong(
                    "policy.memory.limit",
                    "a share above \"0%\" and below \"100%\" of the instances' memory, like \"95%\"",
                ));
            }
        };
        let sustain = sustain("policy.memory", None, self.sustained)?;
        let consequence = RawConsequence {
            severity: self.severity,
            on_breach: self.on_breach,
            muted: self.muted,
        };
        Ok(Guard {
            name: usual.name,
            test,
            sustain: sustain.unwrap_or(usual.sustain),
            consequence: consequence.check(usual.consequence),
        })
    }
}

impl RawComparison {
    fn lay_over(self, policy: &mut Policy) -> Result<(), SpecificationError> {
        let default = policy.comparison;
        let alpha = self.alpha.unwrap_or(default.alpha);
        if !(alpha.fraction() > 0.0 && alpha.fraction() <= 0.5) {
            return Err(wrong(
                "policy.comparison.alpha",
                "alpha is the share of healthy rollouts that may be rolled back: above \"0%\" and at most \"50%\"",
            ));
        }
        let tolerate = self.tolerate.unwrap_or(default.tolerate);
        if !(tolerate.is_finite() && (1.0..=100.0).contains(&tolerate)) {
            return Err(wrong(
                "policy.comparison.tolerate",
                "tolerate is an odds ratio from 1 to 100, like 1.25",
            ));
        }
        policy.comparison = Comparison { alpha, tolerate };
        let said = [
            (signal::ERRORS, self.errors),
            (signal::CLIENT_ERRORS, self.client_errors),
            (signal::SLOWNESS, self.slowness),
        ];
        for (name, consequence) in said {
            let rules = policy.signals.iter_mut().filter(|rule| rule.name == name);
            for rule in rules {
                rule.consequence = consequence.check(rule.consequence);
            }
        }
        Ok(())
    }
}
