//! What would go wrong only at the end of a rollout, or half way through, and can be told in the
//! beginning: an endpoint that can't have two weighted variants, a config of which no true copy can be
//! made, a canary that may not become as large as production is, and checks whose metrics count what
//! can't be.

use super::past::Past;
use super::ports::ConfigView;
use super::refusal::{Refusal, unfit};
use crate::domain::deployment::CanaryCapacity;
use crate::domain::policy::Policy;
use crate::domain::scaling::ScalableTarget;
use crate::domain::signal::{SignalRule, Source};

/// The most tags that an endpoint config takes (botocore's `TagList`).
const MOST_TAGS: usize = 50;

/// Whether a weighted canary variant can stand beside what the endpoint has; returns the model in
/// production.
pub(super) fn can_take_canary(endpoint: &str, config: &ConfigView) -> Result<String, Refusal> {
    let refuse = |kind, detail: String| Err(unfit(kind, "endpoint", detail));
    let [production] = config.variants.as_slice() else {
        return refuse(
            "several-variants",
            format!(
                "endpoint {endpoint} has {} production variants; a canary needs exactly one, so update it to a config with one first",
                config.variants.len()
            ),
        );
    };
    if !config.unknown_fields.is_empty() {
        return refuse(
            "unknown-config-fields",
            format!(
                "the config of endpoint {endpoint} has {}, which this version does not know and its copy would lose; upgrade this stack, or update the endpoint to a config without it",
                config.unknown_fields.join(", ")
            ),
        );
    }
    if config.shadow_variants > 0 {
        return refuse(
            "shadow-variant",
            format!(
                "endpoint {endpoint} has a shadow variant, and SageMaker allows no second production variant beside it; remove the shadow first"
            ),
        );
    }
    if config.is_async {
        return refuse(
            "async-endpoint",
            format!(
                "endpoint {endpoint} is asynchronous: its latency metrics do not measure requests; canaries need a real-time endpoint"
            ),
        );
    }
    if production.is_serverless {
        return refuse(
            "serverless-variant",
            format!(
                "endpoint {endpoint} is serverless, which allows one production variant only; canaries need instances"
            ),
        );
    }
    match &production.model {
        Some(model) => Ok(model.clone()),
        None => refuse(
            "inference-components",
            format!(
                "endpoint {endpoint} serves inference components, which have no weighted split between variants"
            ),
        ),
    }
}

/// Whether a config with a canary, and at the end one with the new model alone, can be made of it.
///
/// A reservation is one variant's: two can't draw on the same instances, so the canary is made without
/// one. To give it to the new model in the end would be to change a variant that serves everything, by
/// an update that needs the reserved instances while the old variant still has them.
pub(super) fn can_be_copied(endpoint: &str, config: &ConfigView) -> Result<(), Refusal> {
    if config.variants.iter().any(|variant| variant.is_reserved) {
        let detail = format!(
            "the config of endpoint {endpoint} has CapacityReservationConfig, and reserved instances serve one variant: the new model would be left without them; update the endpoint to a config without CapacityReservationConfig first, and to one with it after the rollout"
        );
        return Err(unfit("capacity-reservation", "endpoint", detail));
    }
    let tags = &config.copied_tags;
    if tags.len() >= MOST_TAGS {
        let detail = format!(
            "the config of endpoint {endpoint} has {} tags, and its copy needs room for one more, of {MOST_TAGS} at the most; delete one of them from the config with sagemaker delete-tags first: {}",
            tags.len(),
            tags.join(", ")
        );
        return Err(unfit("too-many-tags", "endpoint", detail));
    }
    Ok(())
}

/// Whether the canary's own scaling allows it the instances that it needs at 100 %: those that
/// production has, as far as production's scaling allows those, or the number that was asked for.
pub(super) fn has_room(
    capacity: &CanaryCapacity,
    production: u32,
    found: Option<&ScalableTarget>,
) -> Result<(), Refusal> {
    let production = found.map_or(production, |target| production.min(target.max));
    let needs = capacity.instances.unwrap_or(production);
    let (field, most) = match (&capacity.autoscaling, found) {
        (Some(asked), _) => ("canary.autoscaling.max", asked.max),
        (None, Some(found)) => ("canary.instances", found.max),
        (None, None) => return Ok(()),
    };
    if needs <= most {
        return Ok(());
    }
    let instances = |count: u32| match count {
        1 => "1 instance".to_owned(),
        _ => format!("{count} instances"),
    };
    let detail = match (capacity.instances, &capacity.autoscaling) {
        (Some(_), None) => format!(
            "the canary is to have {}, and production's scaling, which it takes over, allows {most}; ask for at most {most}, or raise the ceiling of production's scaling first",
            instances(needs)
        ),
        (Some(_), Some(_)) => format!(
            "the canary is to have {}, and its own scaling would cut it to {most}; set max to {needs} or more",
            instances(needs)
        ),
        (None, _) => format!(
            "production has {}, the canary needs as many at 100 %, and its own scaling would cut it to {most}; set max to {needs} or more",
            instances(needs)
        ),
    };
    Err(unfit("scaling-ceiling", field, detail))
}

/// The family of instances behind endpoints that can burst. SageMaker does not scale them: registering
/// one is refused (Amazon SageMaker AI Developer Guide, Configure model auto scaling with the console).
const BURSTABLE: &str = "ml.t2.";

/// Whether the canary's instances are of a type that scales, where it is to scale: no share would ever
/// be raised, because before each raise its floor is.
pub(super) fn can_scale(
    capacity: &CanaryCapacity,
    production: Option<&str>,
    found: Option<&ScalableTarget>,
) -> Result<(), Refusal> {
    let scales = capacity.autoscaling.is_some() || found.is_some();
    let kind = capacity.instance_type.as_deref().or(production);
    let Some(kind) = kind.filter(|kind| scales && kind.starts_with(BURSTABLE)) else {
        return Ok(());
    };
    let (field, way_out) = match (&capacity.instance_type, &capacity.autoscaling) {
        (Some(_), Some(_)) => (
            "canary.instance_type",
            "name another type, or leave canary.autoscaling out",
        ),
        (Some(_), None) => (
            "canary.instance_type",
            "production's scaling is taken over, so name a type that scales as production's does",
        ),
        (None, _) => (
            "canary.autoscaling",
            "leave it out, or name another canary.instance_type",
        ),
    };
    let detail = format!("SageMaker does not scale burstable instances such as {kind}; {way_out}");
    Err(unfit("scaling-burstable", field, detail))
}

/// Whether the further checks count outcomes of their trials in production today: where there are more
/// of them than trials, no rollout could be judged by them, and each such minute would hold it. With
/// `accept_baseline` these are muted, as the limits are that production breaks.
pub(super) fn counts_what_can_be(mut policy: Policy, past: &Past) -> Result<Policy, Refusal> {
    let is_further = |rule: &&mut SignalRule| matches!(rule.source, Source::Metrics(_));
    let rules = policy.signals.iter_mut().filter(is_further);
    for (index, rule) in rules.enumerate().filter(|(_, it)| !it.consequence.muted) {
        let miscounted = past
            .minutes
            .iter()
            .filter_map(|(at, minute)| Some((at, minute.miscounted.get(&rule.name)?)));
        let Some((at, worst)) = miscounted.clone().max_by_key(|(_, it)| it.counted) else {
            continue;
        };
        if policy.accept_baseline {
            rule.consequence.muted = true;
            continue;
        }
        let detail = format!(
            "the metrics of the check {} count more outcomes than trials in {} of production's {} minutes of the last day, in the one from {at} {} of {}: no share can be made of that; count an outcome in the minute of its trial, or both when the outcome is known (an amount of money is no count: count the trials that brought at least so much), or leave the check out, or accept_baseline: true, which mutes it",
            rule.name,
            miscounted.count(),
            past.minutes.len(),
            worst.counted,
            worst.trials,
        );
        let field = format!("policy.checks[{index}].bad");
        return Err(unfit("check-miscounted", field, detail));
    }
    Ok(policy)
}
