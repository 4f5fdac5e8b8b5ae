//! The fields as they are given, before they are checked against one another: what serde alone can
//! refuse is refused here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::Value;

use crate::domain::calendar::ChangeWindow;
use crate::domain::clearance::Attestation;
use crate::domain::gate::{By, Requirement, Results, TooFew};
use crate::domain::plan::Preset;
use crate::domain::policy::{Action, Grade, OnDrift};
use crate::domain::quantity::{Latency, Rate, Span, Weight};
use crate::domain::signal::Direction;

/// What a deployment is to do: the same in JSON over the API and in YAML on the command line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Specification))]
pub(super) struct Raw {
    /// The endpoint whose model is to be replaced.
    pub(super) endpoint: String,
    /// The SageMaker model to deploy, by its name; or `model_package`.
    pub(super) model: Option<String>,
    /// The ARN of a version of a model package: a model is made of it, with the execution role and the
    /// network of production's model, and the registry is told how the deployment came out. In place of
    /// `model`.
    pub(super) model_package: Option<String>,
    /// The canary's instances.
    #[serde(default)]
    pub(super) canary: RawCanary,
    /// Stages, soak and deadline.
    #[serde(default)]
    pub(super) plan: RawPlan,
    /// What the canary is held against.
    #[serde(default)]
    pub(super) policy: RawPolicy,
    /// How production takes everything back.
    pub(super) rollback: Option<RawRollback>,
    /// What is left behind, and when it goes.
    #[serde(default)]
    pub(super) cleanup: RawCleanup,
    /// How the new model is watched once the deployment is completed; for seven days if left out.
    pub(super) watch: Option<RawWatch>,
    /// Who is told beside the stack's own topic.
    #[serde(default)]
    pub(super) notify: RawNotify,
    /// Which users `inference` asks of the canary; without it requests are split by weight alone.
    pub(super) routing: Option<RawRouting>,
    /// How `inference` reads predictions off the model's answers; without it the model says nothing
    /// about itself.
    pub(super) model_signals: Option<RawReadings>,
    /// What the new model must have shown on labelled rows before it may have any traffic.
    pub(super) gate: Option<RawGate>,
    /// What somebody vouches for: kept, shown and announced. The stack and the endpoint's tag
    /// `canary:preconditions` say which must be there.
    #[serde(default)]
    pub(super) preconditions: Vec<Attestation>,
    /// This can't wait: for the lifting of a freeze, or for a change window. Only who may lift a
    /// freeze may say it, and everybody is told.
    pub(super) hotfix: Option<RawHotfix>,
    /// The same as in `policy`, where it may stand instead: it is an answer to a refusal, added in a
    /// hurry.
    pub(super) accept_baseline: Option<bool>,
}

/// Why a deployment waits for no freeze and no change window.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Hotfix))]
pub(super) struct RawHotfix {
    /// In words.
    pub(super) reason: String,
}

/// What the new model, the challenger, is held against before it may have any traffic, beside the
/// model in production, the champion. With results that fall short a deployment is refused, and
/// nothing of the endpoint is touched.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Gate))]
pub(super) struct RawGate {
    /// The least share of the positive rows that the challenger finds.
    pub(super) recall: Option<Rate>,
    /// The highest share of the negative rows that it calls positive.
    pub(super) fpr: Option<Rate>,
    /// The longest 95th percentile of its latency.
    pub(super) latency: Option<Latency>,
    /// Its least F1, as a multiple of the champion's.
    pub(super) f1_ratio: Option<f64>,
    /// Whether each is judged by its figure, once there are enough rows, or by its 95 % interval, all
    /// of which must lie inside.
    #[serde(default)]
    pub(super) by: By,
    /// What too few rows come to.
    #[serde(default)]
    pub(super) too_few: TooFew,
    /// Requirements that are not made; not all of them.
    #[serde(default)]
    pub(super) leave_out: Vec<Requirement>,
    /// How old the results may be.
    pub(super) max_age: Option<Span>,
    /// What was measured, as `canary compare` gives it; without it nothing can be deployed.
    pub(super) results: Option<Results>,
}

/// The canary's instances.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Canary))]
pub(super) struct RawCanary {
    /// How many: `match` for the canary's share of production's count, or this number at every stage.
    #[serde(default)]
    pub(super) instances: Instances,
    /// The instance type; production's own if left out.
    pub(super) instance_type: Option<String>,
    /// How it scales by itself; as production does if left out.
    pub(super) autoscaling: Option<RawAutoscaling>,
}

/// How the canary scales by itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Autoscaling))]
pub(super) struct RawAutoscaling {
    /// The fewest instances.
    pub(super) min: Option<u32>,
    /// The most instances.
    pub(super) max: Option<u32>,
    /// Requests a minute and instance that are aimed at.
    pub(super) invocations_per_instance: Option<u32>,
    /// How long after a change instances may be taken away.
    pub(super) scale_in_cooldown: Option<Span>,
    /// How long after a change instances may be added.
    pub(super) scale_out_cooldown: Option<Span>,
}

/// The stages, as one of a preset, a line and a list, and how long all of it may take.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PlanSpecification))]
pub(super) struct RawPlan {
    /// Named stages, which also set the policy's defaults.
    pub(super) preset: Option<Preset>,
    /// Equal steps.
    pub(super) linear: Option<RawLinear>,
    /// The stages one by one: weights rise and end at 100.
    pub(super) stages: Option<Vec<RawStage>>,
    /// How long the canary serves everything before the old variant goes; a day if left out, and ten
    /// minutes with the preset `quick`.
    pub(super) soak: Option<Span>,
    /// From IN_PROGRESS to 100 %, soak apart; the clock stops in pauses, approvals and closed windows.
    pub(super) deadline: Option<Span>,
    /// Traffic is raised inside one of them only; at any time if there is none.
    #[serde(default)]
    pub(super) change_windows: Vec<ChangeWindow>,
}

/// Equal steps up to 100 %.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = LinearPlan))]
pub(super) struct RawLinear {
    /// The first share in percent.
    pub(super) initial: WholePercent,
    /// What each step adds, in percent.
    pub(super) step: WholePercent,
    /// How long each stage below 100 % bakes.
    pub(super) every: Span,
}

/// One stage.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = StageSpecification))]
pub(super) struct RawStage {
    /// The canary's share in percent.
    pub(super) weight: WholePercent,
    /// How long the share is held at the least; needed below 100 %, where the soak takes its place.
    pub(super) bake: Option<Span>,
    /// Whether a person must approve before the stage is left.
    #[serde(default)]
    pub(super) approval: bool,
    /// Labelled predictions of the canary that the stage must see before it is left; needs
    /// `policy.accuracy`.
    #[serde(default)]
    pub(super) min_labels: u64,
}

/// What the canary is held against. What is left out is the preset's own.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Policy))]
pub(super) struct RawPolicy {
    /// Answers 5XX of the canary.
    pub(super) error_rate: Option<RawErrorRate>,
    /// The median of the canary's ModelLatency.
    pub(super) latency_p50: Option<RawLatency>,
    /// The 90th percentile of the canary's ModelLatency.
    pub(super) latency_p90: Option<RawLatency>,
    /// The 95th percentile of the canary's ModelLatency.
    pub(super) latency_p95: Option<RawLatency>,
    /// The 99th percentile of the canary's ModelLatency.
    pub(super) latency_p99: Option<RawLatency>,
    /// The comparison with production, every minute, over the whole rollout.
    pub(super) comparison: Option<RawComparison>,
    /// Canary requests that a check, and a stage before it is left, must hold.
    pub(super) min_samples: Option<u64>,
    /// Whether a stage is left only once the canary is shown to be below the limits.
    #[serde(default)]
    pub(super) safe_gate: bool,
    /// Without metrics of the canary for longer than this: roll back. A minute at the least.
    pub(super) blind_limit: Option<Span>,
    /// CloudWatch alarms whose ALARM state rolls back at once.
    #[serde(default)]
    pub(super) alarms: Vec<String>,
    /// What follows when somebody else changed the endpoint.
    pub(super) on_drift: Option<OnDrift>,
    /// Further signals: shares of counts in CloudWatch.
    #[serde(default)]
    pub(super) checks: Vec<RawCheck>,
    /// Start although production itself breaks the policy today: the guards it breaks are muted.
    pub(super) accept_baseline: Option<bool>,
    /// Right predictions among the labelled: the lowest share still good.
    pub(super) accuracy: Option<RawQuality>,
    /// Found positives among the actual ones: the lowest share still good.
    pub(super) recall: Option<RawQuality>,
    /// Right predictions among the positive ones: the lowest share still good.
    pub(super) precision: Option<RawQuality>,
    /// The harmonic mean of precision and recall: the lowest still good.
    pub(super) f1: Option<RawQuality>,
    /// Wrongly flagged negatives: the highest share still tolerated.
    pub(super) false_positive_rate: Option<RawQuality>,
    /// Whether groups are treated alike.
    pub(super) fairness: Option<RawFairness>,
    /// Whether the scores lie as production's do: a breach holds and notifies unless it is told
    /// otherwise. A stage waits for `min_samples` predictions whose score could be read.
    pub(super) drift: Option<RawConsequence>,
    /// Predictions that could not be read, compared with production wherever there is `model_signals`: a
    /// breach holds and notifies unless it is told otherwise.
    pub(super) unread_predictions: Option<RawConsequence>,
    /// What a request costs beside production's.
    pub(super) cost: Option<RawCost>,
    /// How much of their memory the canary's instances use; part of the preset `playbook`.
    pub(super) memory: Option<RawMemory>,
}

/// How much of their memory the canary's instances use on average (`MemoryUtilization`).
///
/// A minute without a reading speaks neither for the canary nor against it. After ten of them nothing is
/// raised until there is one, unless CloudWatch never had any of either model.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MemoryGuard))]
pub(super) struct RawMemory {
    /// The highest share still tolerated: above 0 % and below 100 %.
    pub(super) limit: Option<Rate>,
    /// For how long it must be above to act, in minutes that have a reading.
    #[serde(rename = "for")]
    pub(super) sustained: Option<Span>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does; critical if left out.
    pub(super) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(super) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(super) muted: Option<bool>,
}

/// How good the predictions are, by the labels that `POST /feedback` takes.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = QualityGuard))]
pub(super) struct RawQuality {
    /// Above 0 % and below 100 %; left out, it is compared with production alone.
    pub(super) limit: Option<Rate>,
    /// Whether it is compared with production.
    pub(super) compare: Option<bool>,
    /// Of the canary's labels, how many that say something of this measure a stage needs before it is
    /// left: all for accuracy, those of actual positives for recall, of flagged ones for precision, of
    /// either for F1, of actual negatives for the false-positive rate. 0, the default, asks for none.
    #[serde(default)]
    pub(super) min_labels: u64,
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(super) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(super) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(super) muted: Option<bool>,
}

/// Whether groups are treated alike, by the measures that are named; where none is, by all three with a
/// limit of 0.1, 0.1 and 0.8. Equal opportunity needs labels.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FairnessGuard))]
pub(super) struct RawFairness {
    /// The largest difference between two groups' shares of positive predictions, like 0.1.
    pub(super) demographic_parity: Option<f64>,
    /// The largest difference between two groups' shares of positives that are found, like 0.1.
    pub(super) equal_opportunity: Option<f64>,
    /// The smallest ratio of two groups' shares of positive predictions, like 0.8.
    pub(super) disparate_impact: Option<f64>,
    /// Predictions, or actual positives, of a group that say something about it; 100 if left out.
    pub(super) min_samples: Option<u64>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(super) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(super) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(super) muted: Option<bool>,
}

/// The cost of a request, by instances and their prices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CostGuard))]
pub(super) struct RawCost {
    /// Dollars for an hour of an instance, by its type, like `ml.c6i.large: 0.102`. Those of production's
    /// type and the canary's are needed, here or in the stack's parameter `InstancePrices`.
    #[serde(default)]
    pub(super) prices: BTreeMap<String, f64>,
    /// How many times production's cost is still tolerated; 1.5 if left out.
    pub(super) ratio: Option<f64>,
    /// For how long it must be above to act; an hour if left out.
    #[serde(rename = "for")]
    pub(super) sustained: Option<Span>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does; low if left out.
    pub(super) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(super) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(super) muted: Option<bool>,
}

/// Which users are asked of the canary: the same ones as long as its share does not fall.
///
/// A user's bucket is the first eight hexadecimal digits of a digest, as a number, modulo 100: the MD5
/// of `user_id:model_name`, or, with a salt, the SHA-256 of the netstrings of salt, user_id and
/// model_name. The canary has the buckets below its share in percent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Routing))]
pub(super) struct RawRouting {
    /// What tells users apart: the request's `user_id`. A request without one goes by the weights.
    pub(super) sticky: StickyBy,
    /// The logical model, the same for all its versions; the endpoint's name if left out.
    pub(super) model_name: Option<String>,
    /// Makes other buckets of the same users, which nobody can foresee who does not know it.
    pub(super) salt: Option<String>,
}

/// What tells users apart.
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(rename_all = "snake_case")
)]
pub(super) enum StickyBy {
    /// The request's `user_id`.
    UserId,
}

impl<'de> Deserialize<'de> for StickyBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.as_str() {
            Some("user_id") => Ok(Self::UserId),
            _ => Err(de::Error::custom(
                "users are told apart by \"user_id\", the field of the request, and by nothing else",
            )),
        }
    }
}

/// How predictions are read off the model's answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ModelSignals))]
pub(super) struct RawReadings {
    /// Where the score stands inside one of the `predictions`, as a JSON pointer like `/score`;
    /// empty, the default, where the prediction is the score itself.
    #[serde(default)]
    pub(super) score: String,
    /// A score from here on is a positive prediction; 0.5 if left out.
    pub(super) positive_from: Option<f64>,
    /// Where predictions are labels and not scores: the text that is positive. Excludes
    /// `positive_from`, and there is no drift without scores.
    pub(super) positive_label: Option<String>,
    /// Whose predictions are counted apart.
    pub(super) group: Option<RawGroup>,
}

/// The groups that are told apart.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Group))]
pub(super) struct RawGroup {
    /// The one of the request's `attributes` that names the group.
    pub(super) attribute: String,
    /// Its values that are counted, two to eight; every other one counts as `other`. They become
    /// dimensions of metrics, so they should tell nothing about a person: `a` and `b` will do.
    pub(super) labels: Vec<String>,
}

/// The canary's share of answers 5XX.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ErrorRateGuard))]
pub(super) struct RawErrorRate {
    /// The highest share still tolerated.
    pub(super) limit: Option<Rate>,
    /// How many percentage points above production's share are still tolerated.
    pub(super) worse_by: Option<Rate>,
    /// How many checks in a row must be broken to act; 2 if nothing is said. Excludes `for`.
    pub(super) checks: Option<u32>,
    /// For how long checks in a row must be broken to act. Excludes `checks`.
    #[serde(rename = "for")]
    pub(super) sustained: Option<Span>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(super) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(super) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(super) muted: Option<bool>,
}

/// A percentile of the canary's ModelLatency: a limit, a ratio, or both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = LatencyGuard))]
pub(super) struct RawLatency {
    /// The highest value still tolerated.
    pub(super) limit: Option<Latency>,
    /// How many times production's own percentile is still tolerated.
    pub(super) ratio: Option<f64>,
    /// How many checks in a row must be broken to act; 3 if nothing is said. Excludes `for`.
    pub(super) checks: Option<u32>,
    /// For how long checks in a row must be broken to act. Excludes `checks`.
    #[serde(rename = "for")]
    pub(super) sustained: Option<Span>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(super) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(super) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(super) muted: Option<bool>,
}

/// The comparison with production.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Comparison))]
pub(super) struct RawComparison {
    /// The share of sound rollouts that it may roll back: above 0 % and at most 50 %.
    pub(super) alpha: Option<Rate>,
    /// The odds ratio, canary over production, that is still as good.
    pub(super) tolerate: Option<f64>,
    /// What worse answers 5XX set going.
    #[serde(default)]
    pub(super) errors: RawConsequence,
    /// What worse answers 4XX set going.
    #[serde(default)]
    pub(super) client_errors: RawConsequence,
    /// What more slow requests set going.
    #[serde(default)]
    pub(super) slowness: RawConsequence,
}

/// What a breach sets going: the grade's usual action, or the one that is named.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Consequence))]
pub(super) struct RawConsequence {
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(super) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(super) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(super) muted: Option<bool>,
}

/// A further signal: any two metrics of CloudWatch that count. `bad` counts some outcomes, `of` the
/// trials they are counted among.
///
/// With `direction: lower_is_worse` the counted outcomes are the wanted ones (conversions, correct
/// predictions), and the bad ones are the trials that `bad` does not count. `limit` stays the
/// highest share of **bad** outcomes still tolerated: where at least 97 % of the predictions must be
/// right, it is 3 %.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CheckSpecification))]
pub(super) struct RawCheck {
    /// Lower case, and not one of the signals that every endpoint has.
    pub(super) name: String,
    /// Counts the bad outcomes.
    pub(super) bad: RawMetric,
    /// Counts the trials they are among.
    pub(super) of: RawMetric,
    /// The highest share of bad outcomes still tolerated: above 0 % and below 100 %.
    pub(super) limit: Option<Rate>,
    /// Whether it is compared with production.
    pub(super) compare: Option<bool>,
    /// Which way is worse.
    pub(super) direction: Option<Direction>,
    /// Trials, not requests; 0 asks for none. Left out, it is the policy's own.
    pub(super) min_samples: Option<u64>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(super) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(super) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(super) muted: Option<bool>,
}

/// One metric. Where no dimension holds `{variant}`, the two that SageMaker's own metrics have are
/// added.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Metric))]
pub(super) struct RawMetric {
    /// ASCII, and no colon at the start.
    pub(super) namespace: String,
    /// The metric's name.
    pub(super) metric: String,
    /// `Sum`, `SampleCount`, or `TC(low:high)`, which counts the values above low and up to high.
    pub(super) stat: Option<String>,
    /// By name, with `{endpoint}` and `{variant}` where their names belong.
    #[serde(default)]
    pub(super) dimensions: BTreeMap<String, QuotedText>,
}

/// A text that YAML takes for something else unless it is quoted: bare, `{variant}` is a map and
/// `3` a number.
pub(super) struct QuotedText(pub(super) String);

impl<'de> Deserialize<'de> for QuotedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;
        impl Visitor<'_> for Quoted {
            type Value = QuotedText;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text in quotes, like \"{variant}\" or \"3\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<QuotedText, E> {
                Ok(QuotedText(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Quoted)
    }
}

/// How production takes everything back, and how often a stage is tried again first.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Rollback))]
pub(super) struct RawRollback {
    /// At once, or down by steps.
    #[serde(default)]
    pub(super) mode: RollbackMode,
    /// The canary's shares on the way down in percent, strictly falling; needed with `gradual`, and
    /// only there. The last step, to 0, is not named, and one that is not below the present share is
    /// left out.
    pub(super) weights: Option<Vec<WholePercent>>,
    /// How long each share is kept, from its confirmation on; needed with `gradual`, and only there.
    pub(super) every: Option<Span>,
    /// How often a breach that steps back may do so; the next one takes everything back.
    pub(super) step_backs: Option<u32>,
}

/// How production takes everything back.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(super) enum RollbackMode {
    /// All of it at once.
    #[default]
    Immediate,
    /// Down by steps where a breach is not critical. Whatever is critical, an alarm, a canary unseen
    /// for too long, the deadline and an operator's order take everything back at once all the same.
    Gradual,
}

/// What is left behind.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Cleanup))]
pub(super) struct RawCleanup {
    /// How long a canary that was rolled back stays, at weight 0, to be looked at.
    pub(super) after: Option<Span>,
    /// Whether the old variant stays, at weight 0, after a completed deployment.
    #[serde(default)]
    pub(super) keep_old_variant: bool,
}

/// The watch after a completion: people are told what speaks against the new model, and nothing is taken
/// back by itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Watch))]
pub(super) struct RawWatch {
    /// For how long; `0s` for not at all, 30 days at the most.
    #[serde(rename = "for")]
    pub(super) lasting: Span,
}

/// Who is told.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Notify))]
pub(super) struct RawNotify {
    /// The ARN of an SNS topic that is told everything, beside the stack's own.
    pub(super) topic: Option<String>,
    /// Topics for what is for an audience, beside those that the stack has for it.
    #[serde(default)]
    pub(super) audiences: RawAudiences,
}

/// A topic for each audience.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Audiences))]
pub(super) struct RawAudiences {
    /// The ARN of an SNS topic for who has to act now.
    pub(super) on_call: Option<String>,
    /// The ARN of an SNS topic for those whose model it is.
    pub(super) ml_team: Option<String>,
    /// The ARN of an SNS topic for those who look after what it costs.
    pub(super) finops: Option<String>,
}

/// `match`, or a number.
#[derive(Default)]
pub(super) enum Instances {
    #[default]
    Match,
    Number(u32),
}

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (value.as_str(), value.as_u64()) {
            (Some("match"), _) => Ok(Self::Match),
            (_, Some(number @ 1..=1000)) => Ok(Self::Number(
                u32::try_from(number).map_err(de::Error::custom)?,
            )),
            _ => Err(de::Error::custom(
                "instances is \"match\" (the canary's share of production's count) or a number from 1 to 1000",
            )),
        }
    }
}

/// A weight from 1 to 100: a whole number, so that 0.1, "10%" and NaN are refused alike.
#[derive(Clone, Copy)]
pub(super) struct WholePercent(pub(super) Weight);

impl<'de> Deserialize<'de> for WholePercent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = WholePercent;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("whole percent from 1 to 100, without a sign, like 10")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<WholePercent, E> {
                let percent = u8::try_from(number)
                    .ok()
                    .filter(|percent| *percent > 0)
                    .and_then(Weight::new);
                percent
                    .map(WholePercent)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}
