//! From the fields as given to a specification that can be acted on: what the fields mean together,
//! and the defaults for those that are left out.

mod checks;
mod gate;
mod model;
mod plan;
mod policy;
mod preconditions;
mod rollback;
mod routing;
#[cfg(test)]
mod tests;

#[cfg(feature = "openapi")]
pub(super) use self::checks::{
    LONGEST_IN_CLOUDWATCH, LONGEST_NAME as LONGEST_CHECK_NAME,
    LONGEST_VALUE as LONGEST_DIMENSION_VALUE, MOST_CHECKS, MOST_DIMENSIONS,
};
#[cfg(feature = "openapi")]
pub(super) use self::model::{GROUP_SAMPLES, LABELS, LONGEST as LONGEST_WORD};
#[cfg(feature = "openapi")]
pub(super) use self::policy::MOST_SAMPLES;
use self::preconditions::check_preconditions;
#[cfg(feature = "openapi")]
pub(super) use self::preconditions::{LONGEST_BY, LONGEST_LINK, MOST as MOST_PRECONDITIONS};
#[cfg(feature = "openapi")]
pub(super) use self::rollback::{EVERY, MOST_STEPS};
#[cfg(feature = "openapi")]
pub(super) use self::routing::LONGEST as LONGEST_ROUTING;
use super::raw::{
    Instances, Raw, RawAudiences, RawAutoscaling, RawCanary, RawGate, RawHotfix, RawNotify,
    RawReadings, RawWatch,
};
use super::{SpecificationError, wrong};
use crate::domain::audience::Audience;
use crate::domain::deployment::{CanaryCapacity, Cleanup, Watch};
use crate::domain::history::Topics;
use crate::domain::quantity::Span;
use crate::domain::registry::{PackageArn, Packages};
use crate::domain::scaling::Autoscaling;
use crate::domain::specification::{Specification, is_name};
use crate::domain::text::is_readable;
use crate::wire::api::LONGEST_REASON;

impl Raw {
    pub(super) fn check(self) -> Result<Specification, SpecificationError> {
        check_name("endpoint", &self.endpoint)?;
        let (model, packages) = challenger(self.model, self.model_package)?;
        check_preconditions(&self.preconditions)?;
        let routing = self.routing.map(|routing| routing.check(&self.endpoint));
        let policy_accepts = self.policy.accept_baseline;
        let topics = self.notify.check()?;
        let mut given = self.policy;
        let asked = model::Asked::take(&mut given);
        let preset = self.plan.preset;
        let mut policy = given.check(preset.unwrap_or_default())?;
        let plan = self.plan.check()?;
        let readings = self.model_signals.map(RawReadings::check).transpose()?;
        let prices = asked.lay_over(&mut policy, readings.as_ref(), &plan)?;
        policy.accept_baseline = match (self.accept_baseline, policy_accepts) {
            (Some(one), Some(other)) if one != other => {
                return Err(wrong(
                    "accept_baseline",
                    "policy.accept_baseline says the opposite; keep one of them",
                ));
            }
            (one, other) => one.or(other).unwrap_or_default(),
        };
        Ok(Specification {
            endpoint: self.endpoint,
            model,
            packages,
            undoes: None,
            capacity: self.canary.check()?,
            policy,
            plan,
            preset,
            routing: routing.transpose()?,
            readings,
            prices,
            cleanup: Cleanup {
                after: self.cleanup.after.unwrap_or(Cleanup::AFTER),
                keep_old_variant: self.cleanup.keep_old_variant,
            },
            rollback: self.rollback.unwrap_or_default().check()?,
            watch: self.watch.map_or(Ok(Watch::USUAL), RawWatch::check)?,
            topics,
            gate: self.gate.map(RawGate::check).transpose()?,
            preconditions: self.preconditions,
            hotfix: self.hotfix.map(RawHotfix::check).transpose()?,
        })
    }
}

impl RawNotify {
    fn check(self) -> Result<Topics, SpecificationError> {
        let RawAudiences {
            on_call,
            ml_team,
            finops,
        } = self.audiences;
        let audiences = [
            (Audience::OnCall, on_call),
            (Audience::MlTeam, ml_team),
            (Audience::FinOps, finops),
        ];
        let named = audiences
            .into_iter()
            .filter_map(|(audience, topic)| Some((audience, topic?)));
        let topics = Topics {
            topic: self.topic,
            audiences: named.collect(),
        };
        let is_topic = |arn: &str| {
            let parts: Vec<&str> = arn.split(':').collect();
            parts.len() == 6 && parts[0] == "arn" && parts[2] == "sns"
        };
        let mut named = topics.named().filter(|(_, arn)| !is_topic(arn));
        let unfit = named.next().map(|(field, _)| field);
        drop(named);
        match unfit {
            None => Ok(topics),
            Some(field) => Err(wrong(
                field,
                "not the ARN of an SNS topic, like \"arn:aws:sns:eu-central-1:123456789012:releases\"",
            )),
        }
    }
}

/// The new model's name, and the package that it is to be made of.
fn challenger(
    model: Option<String>,
    package: Option<String>,
) -> Result<(String, Packages), SpecificationError> {
    match (model, package) {
        (Some(_), Some(_)) => Err(wrong(
            "model_package",
            "`model` and `model_package` both name the new model; keep one of them",
        )),
        (None, None) => Err(wrong(
            "model",
            "missing field `model`: the name of the SageMaker model to deploy; or `model_package`: the ARN of a version of a model package",
        )),
        (Some(model), None) => {
            check_name("model", &model)?;
            Ok((model, Packages::default()))
        }
        (None, Some(text)) => {
            let package =
                PackageArn::parse(&text).map_err(|why| wrong("model_package", why.to_string()))?;
            let packages = Packages {
                new: Some(package.clone()),
                former: None,
            };
            Ok((package.model_name(), packages))
        }
    }
}

impl RawHotfix {
    fn check(self) -> Result<String, SpecificationError> {
        if is_readable(&self.reason, LONGEST_REASON) {
            return Ok(self.reason);
        }
        let detail = format!(
            "why this can't wait, in 1 to {LONGEST_REASON} characters that can be seen, on one line"
        );
        Err(wrong("hotfix.reason", detail))
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

impl RawWatch {
    /// The longest watch.
    const LONGEST: Span = Span::from_hours(30 * 24);

    fn check(self) -> Result<Span, SpecificationError> {
        if self.lasting <= Self::LONGEST {
            return Ok(self.lasting);
        }
        Err(wrong(
            "watch.for",
            "the watch after a completion lasts 30d at the most, like \"7d\"",
        ))
    }
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
            autoscaling: self.autoscaling.map(RawAutoscaling::check).transpose()?,
        })
    }
}

impl RawAutoscaling {
    /// The most instances, and the most requests a minute, that are taken for meant.
    const MOST: (u32, u32) = (1000, 10_000_000);
    /// The longest time between two changes.
    const LONGEST: Span = Span::from_hours(24);

    fn check(self) -> Result<Autoscaling, SpecificationError> {
        let usual = Autoscaling::default();
        let asked = Autoscaling {
            min: self.min.unwrap_or(usual.min),
            max: self.max.unwrap_or(usual.max),
            invocations_per_instance: self
                .invocations_per_instance
                .unwrap_or(usual.invocations_per_instance),
            scale_in_cooldown: self.scale_in_cooldown.unwrap_or(usual.scale_in_cooldown),
            scale_out_cooldown: self.scale_out_cooldown.unwrap_or(usual.scale_out_cooldown),
        };
        let (instances, requests) = Self::MOST;
        let rules = [
            (
                (1..=instances).contains(&asked.min),
                "min",
                "a number of instances from 1 to 1000",
            ),
            (
                (asked.min..=instances).contains(&asked.max),
                "max",
                "a number of instances from min to 1000",
            ),
            (
                (1..=requests).contains(&asked.invocations_per_instance),
                "invocations_per_instance",
                "requests a minute for each instance, from 1 to 10000000",
            ),
            (
                asked.scale_in_cooldown <= Self::LONGEST,
                "scale_in_cooldown",
                "at most 24h",
            ),
            (
                asked.scale_out_cooldown <= Self::LONGEST,
                "scale_out_cooldown",
                "at most 24h",
            ),
        ];
        match rules.iter().find(|(holds, ..)| !holds) {
            Some((_, field, what)) => Err(wrong(format!("canary.autoscaling.{field}"), *what)),
            None => Ok(asked),
        }
    }
}
