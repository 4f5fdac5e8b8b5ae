//! The fields as they are given, before they are checked against one another: what serde alone can
//! refuse is refused here.

mod policy;
mod words;

use serde::Deserialize;

use crate::domain::calendar::ChangeWindow;
use crate::domain::clearance::Attestation;
use crate::domain::gate::{By, Requirement, Results, TooFew};
use crate::domain::plan::Preset;
use crate::domain::quantity::{Latency, Rate, Span};

pub(crate) use self::policy::*;
pub(crate) use self::words::*;

/// What a deployment is to do: the same in JSON over the API and in YAML on the command line.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a specification, such as {"endpoint": "wine-quality", "model": "wine-quality-v2"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Specification))]
pub(crate) struct Raw {
    /// The endpoint whose model is to be replaced.
    pub(crate) endpoint: String,
    /// The SageMaker model to deploy, by its name; or `model_package`.
    pub(crate) model: Option<String>,
    /// The ARN of a version of a model package: a model is made of it, with the execution role and the
    /// network of production's model, and the registry is told how the deployment came out. In place of
    /// `model`.
    pub(crate) model_package: Option<String>,
    /// The canary's instances.
    #[serde(default)]
    pub(crate) canary: RawCanary,
    /// Stages, soak and deadline.
    #[serde(default)]
    pub(crate) plan: RawPlan,
    /// What the canary is held against.
    #[serde(default)]
    pub(crate) policy: RawPolicy,
    /// How production takes everything back.
    pub(crate) rollback: Option<RawRollback>,
    /// What is left behind, and when it goes.
    #[serde(default)]
    pub(crate) cleanup: RawCleanup,
    /// How the new model is watched once the deployment is completed; for seven days if left out.
    pub(crate) watch: Option<RawWatch>,
    /// Who is told beside the stack's own topic.
    #[serde(default)]
    pub(crate) notify: RawNotify,
    /// Which users `inference` asks of the canary; without it requests are split by weight alone.
    pub(crate) routing: Option<RawRouting>,
    /// How `inference` reads predictions off the model's answers; without it the model says nothing
    /// about itself.
    pub(crate) model_signals: Option<RawReadings>,
    /// What the new model must have shown on labelled rows before it may have any traffic.
    pub(crate) gate: Option<RawGate>,
    /// What somebody vouches for: kept, shown and announced. The stack and the endpoint's tag
    /// `canary:preconditions` say which must be there.
    #[serde(default)]
    pub(crate) preconditions: Vec<Attestation>,
    /// This can't wait: for the lifting of a freeze, or for a change window. Only who may lift a
    /// freeze may say it, and everybody is told.
    pub(crate) hotfix: Option<RawHotfix>,
    /// The same as in `policy`, where it may stand instead: it is an answer to a refusal, added in a
    /// hurry.
    pub(crate) accept_baseline: Option<bool>,
}

/// Why a deployment waits for no freeze and no change window.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"why this can't wait, such as {"reason": "v1 leaks connections"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Hotfix))]
pub(crate) struct RawHotfix {
    /// In words.
    pub(crate) reason: String,
}

/// What the new model, the challenger, is held against before it may have any traffic, beside the
/// model in production, the champion. With results that fall short a deployment is refused, and
/// nothing of the endpoint is touched.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a gate, such as {"recall": "95%", "fpr": "2%"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Gate))]
pub(crate) struct RawGate {
    /// The least share of the positive rows that the challenger finds.
    pub(crate) recall: Option<Rate>,
    /// The highest share of the negative rows that it calls positive.
    pub(crate) fpr: Option<Rate>,
    /// The longest 95th percentile of its latency.
    pub(crate) latency: Option<Latency>,
    /// Its least F1, as a multiple of the champion's.
    pub(crate) f1_ratio: Option<f64>,
    /// Whether each is judged by its figure, once there are enough rows, or by its 95 % interval, all
    /// of which must lie inside.
    #[serde(default)]
    pub(crate) by: By,
    /// What too few rows come to.
    #[serde(default)]
    pub(crate) too_few: TooFew,
    /// Requirements that are not made; not all of them.
    #[serde(default)]
    pub(crate) leave_out: Vec<Requirement>,
    /// How old the results may be.
    pub(crate) max_age: Option<Span>,
    /// What was measured, as `canary compare` gives it; without it nothing can be deployed.
    pub(crate) results: Option<Results>,
}

/// The canary's instances.
#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    expecting = r#"what the canary runs on, such as {"instances": "match"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Canary))]
pub(crate) struct RawCanary {
    /// How many: `match` for the canary's share of production's count, or this number at every stage.
    #[serde(default)]
    pub(crate) instances: Instances,
    /// The instance type; production's own if left out.
    pub(crate) instance_type: Option<String>,
    /// How it scales by itself; as production does if left out.
    pub(crate) autoscaling: Option<RawAutoscaling>,
}

/// How the canary scales by itself.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"limits to scale within, such as {"min": 1, "max": 4}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Autoscaling))]
pub(crate) struct RawAutoscaling {
    /// The fewest instances.
    pub(crate) min: Option<u32>,
    /// The most instances.
    pub(crate) max: Option<u32>,
    /// Requests a minute and instance that are aimed at.
    pub(crate) invocations_per_instance: Option<u32>,
    /// How long after a change instances may be taken away.
    pub(crate) scale_in_cooldown: Option<Span>,
    /// How long after a change instances may be added.
    pub(crate) scale_out_cooldown: Option<Span>,
}

/// The stages, as one of a preset, a line and a list, and how long all of it may take.
#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a plan, such as {"preset": "linear"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PlanSpecification))]
pub(crate) struct RawPlan {
    /// Named stages, which also set the policy's defaults.
    pub(crate) preset: Option<Preset>,
    /// Equal steps.
    pub(crate) linear: Option<RawLinear>,
    /// The stages one by one: weights rise and end at 100.
    pub(crate) stages: Option<Vec<RawStage>>,
    /// How long the canary serves everything before the old variant goes; a day if left out, and ten
    /// minutes with the preset `quick`.
    pub(crate) soak: Option<Span>,
    /// From IN_PROGRESS to 100 %, soak apart; the clock stops in pauses, approvals and closed windows.
    pub(crate) deadline: Option<Span>,
    /// Traffic is raised inside one of them only; at any time if there is none.
    #[serde(default)]
    pub(crate) change_windows: Vec<ChangeWindow>,
}

/// Equal steps up to 100 %.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"equal steps, such as {"initial": 10, "step": 10, "every": "10m"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = LinearPlan))]
pub(crate) struct RawLinear {
    /// The first share in percent.
    pub(crate) initial: WholePercent,
    /// What each step adds, in percent.
    pub(crate) step: WholePercent,
    /// How long each stage below 100 % bakes.
    pub(crate) every: Span,
}

/// One stage.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a stage, such as {"weight": 10, "bake": "1h"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = StageSpecification))]
pub(crate) struct RawStage {
    /// The canary's share in percent.
    pub(crate) weight: WholePercent,
    /// How long the share is held at the least; needed below 100 %, where the soak takes its place.
    pub(crate) bake: Option<Span>,
    /// Whether a person must approve before the stage is left.
    #[serde(default)]
    pub(crate) approval: bool,
    /// Labelled predictions of the canary that the stage must see before it is left; needs
    /// `policy.accuracy`.
    #[serde(default)]
    pub(crate) min_labels: u64,
}

/// Which users are asked of the canary: the same ones as long as its share does not fall.
///
/// A user's bucket is the first eight hexadecimal digits of a digest, as a number, modulo 100: the MD5
/// of `user_id:model_name`, or, with a salt, the SHA-256 of the netstrings of salt, user_id and
/// model_name. The canary has the buckets below its share in percent.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"what tells users apart, such as {"sticky": "user_id"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Routing))]
pub(crate) struct RawRouting {
    /// What tells users apart: the request's `user_id`. A request without one goes by the weights.
    pub(crate) sticky: StickyBy,
    /// The logical model, the same for all its versions; the endpoint's name if left out.
    pub(crate) model_name: Option<String>,
    /// Makes other buckets of the same users, which nobody can foresee who does not know it.
    pub(crate) salt: Option<String>,
}

/// How predictions are read off the model's answers.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"where the score stands in an answer, such as {"score": "/score"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ModelSignals))]
pub(crate) struct RawReadings {
    /// Where the score stands inside one of the `predictions`, as a JSON pointer like `/score`;
    /// empty, the default, where the prediction is the score itself.
    #[serde(default)]
    pub(crate) score: String,
    /// A score from here on is a positive prediction; 0.5 if left out.
    pub(crate) positive_from: Option<f64>,
    /// Where predictions are labels and not scores: the text that is positive. Excludes
    /// `positive_from`, and there is no drift without scores.
    pub(crate) positive_label: Option<String>,
    /// Whose predictions are counted apart.
    pub(crate) group: Option<RawGroup>,
}

/// The groups that are told apart.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"groups to be told apart, such as {"attribute": "region", "labels": ["a", "b"]}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Group))]
pub(crate) struct RawGroup {
    /// The one of the request's `attributes` that names the group.
    pub(crate) attribute: String,
    /// Its values that are counted, two to eight; every other one counts as `other`. They become
    /// dimensions of metrics, so they should tell nothing about a person: `a` and `b` will do.
    pub(crate) labels: Vec<String>,
}

/// How production takes everything back, and how often a stage is tried again first.
#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a way back, such as {"mode": "gradual", "weights": [25, 10], "every": "1h"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Rollback))]
pub(crate) struct RawRollback {
    /// At once, or down by steps.
    #[serde(default)]
    pub(crate) mode: RollbackMode,
    /// The canary's shares on the way down in percent, strictly falling; needed with `gradual`, and
    /// only there. The last step, to 0, is not named, and one that is not below the present share is
    /// left out.
    pub(crate) weights: Option<Vec<WholePercent>>,
    /// How long each share is kept, from its confirmation on; needed with `gradual`, and only there.
    pub(crate) every: Option<Span>,
    /// How often a breach that steps back may do so; the next one takes everything back.
    pub(crate) step_backs: Option<u32>,
}

/// How production takes everything back.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) enum RollbackMode {
    /// All of it at once.
    #[default]
    Immediate,
    /// Down by steps where a breach is not critical. Whatever is critical, an alarm, a canary unseen
    /// for too long, the deadline and an operator's order take everything back at once all the same.
    Gradual,
}

/// What is left behind.
#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    expecting = r#"what is left behind and for how long, such as {"after": "1h"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Cleanup))]
pub(crate) struct RawCleanup {
    /// How long a canary that was rolled back stays, at weight 0, to be looked at.
    pub(crate) after: Option<Span>,
    /// Whether the old variant stays, at weight 0, after a completed deployment.
    #[serde(default)]
    pub(crate) keep_old_variant: bool,
}

/// The watch after a completion: people are told what speaks against the new model, and nothing is taken
/// back by itself.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"how long the new model is watched, such as {"for": "7d"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Watch))]
pub(crate) struct RawWatch {
    /// For how long; `0s` for not at all, 30 days at the most.
    #[serde(rename = "for")]
    pub(crate) lasting: Span,
}

/// Who is told.
#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    expecting = r#"who is told, such as {"topic": "arn:aws:sns:eu-central-1:123456789012:releases"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Notify))]
pub(crate) struct RawNotify {
    /// The ARN of an SNS topic that is told everything, beside the stack's own.
    pub(crate) topic: Option<String>,
    /// Topics for what is for an audience, beside those that the stack has for it.
    #[serde(default)]
    pub(crate) audiences: RawAudiences,
}

/// A topic for each audience.
#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a topic for each audience, such as {"on_call": "arn:aws:sns:eu-central-1:123456789012:pager"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Audiences))]
pub(crate) struct RawAudiences {
    /// The ARN of an SNS topic for who has to act now.
    pub(crate) on_call: Option<String>,
    /// The ARN of an SNS topic for those whose model it is.
    pub(crate) ml_team: Option<String>,
    /// The ARN of an SNS topic for those who look after what it costs.
    pub(crate) finops: Option<String>,
}
