//! From the fields as given to a specification that can be acted on: what the fields mean together,
//! and the defaults for those that are left out.

use super::raw::{
    Instances, Raw, RawCanary, RawComparison, RawErrorRate, RawLatency, RawLinear, RawPlan,
    RawPolicy, RollbackMode,
};
use super::{SpecificationError, wrong};
use crate::domain::deployment::{CanaryCapacity, Cleanup};
use crate::domain::plan::{Plan, PlanError, Preset, Stage};
use crate::domain::policy::{Comparison, Guard, Percentile, Policy, Sustain, Test};
use crate::domain::quantity::Span;
use crate::domain::specification::{Specification, is_name};

impl Raw {
    pub(super) fn check(self) -> Result<Specification, SpecificationError> {
        check_name("endpoint", &self.endpoint)?;
        if self.model_package.is_some() {
            return Err(wrong(
                "model_package",
                "deploying from the model registry is not supported yet; name a model",
            ));
        }
        let model = self.model.ok_or_else(|| {
            wrong(
                "model",
                "missing field `model`: the name of the SageMaker model to deploy",
            )
        })?;
        check_name("model", &model)?;
        if self.routing.is_some() {
            return Err(wrong(
                "routing",
                "sticky routing is not supported yet; leave the field out",
            ));
        }
        // The only mode there is: a second one would have to be told apart here.
        let RollbackMode::Immediate = self.rollback.unwrap_or_default().mode;
        let topic = self.notify.topic;
        if let Some(topic) = &topic
            && !(topic.starts_with("arn:")
                && topic.split(':').nth(2) == Some("sns")
                && topic.split(':').count() == 6)
        {
            return Err(wrong(
                "notify.topic",
                "not the ARN of an SNS topic, like \"arn:aws:sns:eu-central-1:123456789012:releases\"",
            ));
        }
        Ok(Specification {
            endpoint: self.endpoint,
            model,
            capacity: self.canary.check()?,
            policy: self.policy.check(self.plan.preset.unwrap_or_default())?,
            plan: self.plan.check()?,
            cleanup: Cleanup {
                after: self.cleanup.after.unwrap_or(Cleanup::AFTER),
                keep_old_variant: self.cleanup.keep_old_variant,
            },
            topic,
        })
    }
}

fn check_name(field: &str, name: &str) -> Result<(), SpecificationError> {
    if is_name(name) {
        return Ok(());
    }
    Err(wrong(
        field,
        "a name in SageMaker has 1 to 63 letters, digits and hyphens, with a letter or digit at both ends",
    ))
}

impl RawCanary {
    fn check(self) -> Result<CanaryCapacity, SpecificationError> {
        if let Some(kind) = &self.instance_type
            && !(kind.starts_with("ml.")
                && kind.len() <= 40
                && kind
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c)))
        {
            return Err(wrong(
                "canary.instance_type",
                "not an instance type of SageMaker, like \"ml.c6i.large\"",
            ));
        }
        let instances = match self.instances {
            Instances::Match => None,
            Instances::Number(number) => Some(number),
        };
        Ok(CanaryCapacity {
            instances,
            instance_type: self.instance_type,
        })
    }
}

impl RawPlan {
    fn check(self) -> Result<Plan, SpecificationError> {
        let given = [
            self.preset.is_some() && self.stages.is_some(),
            self.linear.is_some() && self.stages.is_some(),
            self.linear.is_some() && !matches!(self.preset, None | Some(Preset::Linear)),
        ];
        if given.contains(&true) {
            return Err(wrong(
                "plan",
                "name a preset, or spell out linear, or spell out stages: one of them",
            ));
        }
        let linear = self.linear.is_some();
        let stages = match (self.linear, self.stages) {
            (
                Some(RawLinear {
                    initial,
                    step,
                    every,
                }),
                _,
            ) => Plan::linear_stages(initial.0, step.0, every),
            (None, Some(stages)) => stages
                .into_iter()
                .map(|stage| Stage {
                    weight: stage.weight.0,
                    bake: stage.bake.unwrap_or_default(),
                    approval: stage.approval,
                })
                .collect(),
            (None, None) => self.preset.unwrap_or_default().stages(),
        };
        let (soak, deadline) = (
            self.soak.unwrap_or(Plan::SOAK),
            self.deadline.unwrap_or(Plan::DEADLINE),
        );
        Plan::new(stages, soak, deadline, self.change_windows).map_err(|error| {
            let field = match &error {
                PlanError::NoBake { .. } if linear => "plan.linear.every".to_owned(),
                PlanError::NoBake { stage } => format!("plan.stages[{}].bake", stage - 1),
                PlanError::NotRising { stage, .. } => format!("plan.stages[{}].weight", stage - 1),
                PlanError::Empty | PlanError::TooMany(_) | PlanError::NotFull(_) => {
                    "plan.stages".to_owned()
                }
                PlanError::PastDeadline { .. } => "plan.deadline".to_owned(),
            };
            wrong(field, error.to_string())
        })
    }
}

impl RawPolicy {
    /// The preset's policy with what the specification says laid over it, guard by guard.
    fn check(self, preset: Preset) -> Result<Policy, SpecificationError> {
        if self.safe_gate {
            return Err(wrong(
                "policy.safe_gate",
                "the safe gate is not supported yet; leave the field out",
            ));
        }
        if !self.checks.is_empty() {
            return Err(wrong(
                "policy.checks",
                "further checks are not supported yet; leave the field out",
            ));
        }
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
        if let Some(comparison) = self.comparison {
            policy.comparison = comparison.check(policy.comparison)?;
        }
        policy.min_samples = match self.min_samples {
            None => policy.min_samples,
            Some(samples @ 1..=1_000_000_000) => samples,
            Some(_) => {
                return Err(wrong(
                    "policy.min_samples",
                    "min_samples is a number of requests from 1 to 1000000000",
                ));
            }
        };
        policy.blind_limit = match self.blind_limit {
            None => policy.blind_limit,
            Some(limit) if limit < Span::from_mins(1) => {
                return Err(wrong(
                    "policy.blind_limit",
                    "blind_limit is one minute at the least: metrics come once a minute",
                ));
            }
            Some(limit) => limit,
        };
        if self.alarms.len() > 100
            || self
                .alarms
                .iter()
                .any(|name| name.is_empty() || name.len() > 255)
        {
            return Err(wrong(
                "policy.alarms",
                "at most 100 names of CloudWatch alarms, each of 1 to 255 characters",
            ));
        }
        policy.alarms = self.alarms;
        policy.on_drift = self.on_drift.unwrap_or_default();
        Ok(policy)
    }
}

impl RawErrorRate {
    fn lay_over(self, policy: &mut Policy) -> Result<(), SpecificationError> {
        let field = "policy.error_rate";
        let sustain = sustain(field, self.checks, self.sustained)?;
        if let Some(limit) = self.limit {
            put(
                policy,
                "error_rate.limit",
                Test::ErrorsAbove(limit),
                sustain,
                2,
            );
        }
        if let Some(points) = self.worse_by {
            put(
                policy,
                "error_rate.worse_by",
                Test::ErrorsWorseBy(points),
                sustain,
                2,
            );
        }
        resustain(policy, "error_rate.", sustain);
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
            put(
                policy,
                &format!("{key}.limit"),
                Test::LatencyAbove(percentile, limit),
                sustain,
                3,
            );
        }
        if let Some(ratio) = self.ratio {
            if !(ratio.is_finite() && ratio >= 1.0) {
                return Err(wrong(
                    format!("{field}.ratio"),
                    "ratio is how many times production's percentile is still allowed: a number from 1 up, like 2.0",
                ));
            }
            put(
                policy,
                &format!("{key}.ratio"),
                Test::LatencyRatio(percentile, ratio),
                sustain,
                3,
            );
        }
        resustain(policy, &format!("{key}."), sustain);
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

/// Replaces the guard of this name, or adds it.
fn put(policy: &mut Policy, name: &str, test: Test, sustain: Option<Sustain>, default_checks: u32) {
    match policy.guards.iter_mut().find(|guard| guard.name == name) {
        Some(guard) => guard.test = test,
        None => policy.guards.push(Guard {
            name: name.to_owned(),
            test,
            sustain: sustain.unwrap_or(Sustain::Checks(default_checks)),
        }),
    }
}

/// What is said for a key holds for each of its guards, but never for an emergency guard.
fn resustain(policy: &mut Policy, prefix: &str, sustain: Option<Sustain>) {
    let Some(sustain) = sustain else { return };
    for guard in policy
        .guards
        .iter_mut()
        .filter(|guard| guard.name.starts_with(prefix) && !guard.name.ends_with(".emergency"))
    {
        guard.sustain = sustain;
    }
}

impl RawComparison {
    fn check(self, default: Comparison) -> Result<Comparison, SpecificationError> {
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
        Ok(Comparison { alpha, tolerate })
    }
}
