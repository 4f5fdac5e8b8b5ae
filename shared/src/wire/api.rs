//! What the API answers: flat JSON with `deployment_id` and `status` on top.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::clearance::Attestation;
use crate::domain::deployment::Deployment;
use crate::domain::evidence::{Evidence, Totals};
use crate::domain::forecast::{Forecast, StageForecast};
use crate::domain::freeze::Freeze;
use crate::domain::history::Entry;
use crate::domain::judge::bench::Bench;
use crate::domain::judge::{MinuteReport, SignalStanding, report};
use crate::domain::model_plan::ModelPlan;
use crate::domain::policy::Policy;
use crate::domain::quantity::{Span, Weight};
use crate::domain::state::{Phase, Status};

/// A deployment as callers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Deployment))]
pub struct DeploymentView {
    /// A UUID of version 7.
    pub deployment_id: String,
    /// See the states in ARCHITECTURE.md.
    pub status: Status,
    /// What it does inside its status.
    pub phase: Phase,
    /// The endpoint.
    pub endpoint: String,
    /// The new model.
    pub model: String,
    /// The model it replaces.
    pub former_model: String,
    /// The new model's variant.
    pub canary_variant: String,
    /// The old model's variant.
    pub production_variant: String,
    /// The canary's share, last confirmed, in percent.
    pub weight: Weight,
    /// The canary's share, intended, in percent.
    pub target_weight: Weight,
    /// The present stage, counted from 1; 0 before the first.
    pub stage: usize,
    /// How many stages there are.
    pub stage_count: usize,
    /// One plain sentence.
    pub reason: String,
    /// Counts the writes of the record.
    pub version: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// The role that asked for it.
    pub created_by: String,
    /// What the gate said before it began; absent without a gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// What was vouched for before it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preconditions: Vec<Attestation>,
    /// Why it waits for no freeze and no change window; absent where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<String>,
    /// The last write.
    pub updated_at: Timestamp,
    /// The control plane's time when it answered: virtual in the local mode.
    pub as_of: Timestamp,
    /// When 100 % and the end of the soak come, if nothing holds it up. Absent once it is ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_end: Option<Timestamp>,
    /// The way down by steps, while it is on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descent: Option<DescentView>,
    /// The stages with their dates.
    pub stages: Vec<StageView>,
    /// The soak at 100 %.
    pub soak: Span,
    /// From IN_PROGRESS to 100 %, and what has been used of it.
    pub deadline: Span,
    /// What has been used of the deadline.
    pub deadline_used: Span,
    /// What was measured; absent where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Until when the completed deployment is watched; absent once that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_until: Option<Timestamp>,
    /// The completed deployment that this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The ARN of the version of a model package that the new model is of, where it was deployed by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_package: Option<String>,
    /// The same of production's model, where the registry will be told that it is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_model_package: Option<String>,
    /// Whether the model registry is still to be told how the deployment came out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub registry_waits: bool,
    /// Where to go from here.
    pub links: Links,
}

/// A way down by steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Descent))]
pub struct DescentView {
    /// When it began.
    pub since: Timestamp,
    /// What set it going.
    pub cause: String,
    /// The share that follows the present one, in percent; 0 where production takes everything back.
    pub next_weight: Weight,
    /// When that step is due; absent while the one before it is not confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

impl DescentView {
    fn of(deployment: &Deployment) -> Option<Self> {
        let (rollback, state) = (&deployment.terms.rollback, &deployment.state);
        let descent = state.descent.as_ref()?;
        let rests = state.rests_on_the_way_down();
        let next = if rests {
            rollback.step_below(state).unwrap_or(Weight::ZERO)
        } else {
            state.target
        };
        Some(Self {
            since: descent.since,
            cause: descent.cause.clone(),
            next_weight: next,
            next_at: rests.then(|| state.stage_since + rollback.every().duration()),
        })
    }
}

/// A stage with its date.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Stage))]
pub struct StageView {
    /// The canary's share in percent.
    pub weight: Weight,
    /// The bake time; the soak takes its place at 100 %.
    pub bake: Span,
    /// Whether a person must approve before it is left.
    pub approval: bool,
    /// When it begins, if nothing holds the rollout up.
    pub begins_at: Timestamp,
}

/// What was measured over the whole deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Measured {
    /// The start of the last minute taken in.
    pub judged_through: Timestamp,
    /// The new model.
    pub canary: Totals,
    /// The old model.
    pub production: Totals,
    /// Canary requests in the present stage.
    pub stage_samples: u64,
    /// Canary requests a minute.
    pub canary_per_minute: f64,
    /// Why the canary can't be seen, while it can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<String>,
    /// What stands in the way of more traffic, the amount of data apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objection: Option<String>,
    /// How each signal stands against production.
    #[serde(default)]
    pub signals: BTreeMap<String, SignalStanding>,
}

/// Paths of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Links {
    /// This deployment.
    #[serde(rename = "self")]
    pub own: String,
    /// What happened and why.
    pub history: String,
    /// Minute by minute.
    pub checks: String,
    /// What is known of it, for people.
    #[serde(default)]
    pub report: String,
}

impl DeploymentView {
    /// The record, with what was measured where it was read.
    pub fn new(deployment: &Deployment, evidence: Option<&Evidence>, now: Timestamp) -> Self {
        let (terms, state) = (&deployment.terms, &deployment.state);
        let own = format!("/deployments/{}", terms.id);
        let begun = state.weight > Weight::ZERO;
        Self {
            deployment_id: terms.id.clone(),
            status: state.status,
            phase: state.phase,
            endpoint: terms.endpoint.clone(),
            model: terms.model.clone(),
            former_model: terms.former_model.clone(),
            canary_variant: terms.canary.clone(),
            production_variant: terms.production.clone(),
            weight: state.weight,
            target_weight: state.target,
            stage: if begun {
                terms.plan.stage_index(state.weight) + 1
            } else {
                0
            },
            stage_count: terms.plan.stages.len(),
            reason: state.reason.clone(),
            version: state.version,
            created_at: terms.created_at,
            created_by: terms.created_by.clone(),
            gate: terms.clearance.gate.clone(),
            preconditions: terms.clearance.preconditions.clone(),
            hotfix: terms.clearance.hotfix.clone(),
            updated_at: state.updated_at,
            as_of: now,
            expected_end: expected_end(deployment, now),
            descent: DescentView::of(deployment),
            stages: stages(deployment),
            soak: terms.plan.soak,
            deadline: terms.plan.deadline,
            deadline_used: state.clock.used_at(now),
            measured: evidence.map(|evidence| Measured::new(deployment, evidence)),
            watched_until: state.watch.as_ref().map(|watch| watch.until),
            undoes: terms.undoes.clone(),
            model_package: terms.packages.new.clone().map(Into::into),
            former_model_package: terms.packages.former.clone().map(Into::into),
            registry_waits: state.filing.is_some(),
            links: Links {
                history: format!("{own}/history"),
                checks: format!("{own}/checks"),
                report: format!("{own}/report"),
                own,
            },
        }
    }
}

impl Measured {
    fn new(deployment: &Deployment, evidence: &Evidence) -> Self {
        let bench = Bench::of(deployment);
        Self {
            judged_through: evidence.judged_through,
            canary: evidence.canary,
            production: evidence.production,
            stage_samples: evidence.stage_samples,
            canary_per_minute: evidence.canary_per_minute,
            blind: evidence.blind.as_ref().map(|blind| blind.reason.clone()),
            objection: bench.objection(evidence),
            signals: report::signals(&bench, evidence, None, None),
        }
    }
}

fn stages(deployment: &Deployment) -> Vec<StageView> {
    let plan = &deployment.terms.plan;
    let mut begins_at = deployment.terms.created_at;
    let mut views = Vec::with_capacity(plan.stages.len());
    for stage in &plan.stages {
        views.push(StageView {
            weight: stage.weight,
            bake: stage.bake,
            approval: stage.approval,
            begins_at,
        });
        begins_at += stage.bake.duration();
    }
    views
}

/// What is left of the bakes and the soak, from now.
fn expected_end(deployment: &Deployment, now: Timestamp) -> Option<Timestamp> {
    let (plan, state) = (&deployment.terms.plan, &deployment.state);
    if !matches!(state.status, Status::Pending | Status::InProgress)
        || state.outcome.is_some()
        || state.descent.is_some()
    {
        return None;
    }
    let in_stage = if state.weight > Weight::ZERO {
        Span::between(state.stage_since, now)
    } else {
        Span::ZERO
    };
    let present = if state.weight == Weight::FULL {
        plan.soak
    } else {
        plan.stage(state.weight).bake
    };
    let left = |whole: Span| whole.secs().saturating_sub(in_stage.secs());
    let ahead: u64 = plan
        .stages
        .iter()
        .filter(|stage| stage.weight > state.weight && stage.weight < Weight::FULL)
        .map(|stage| stage.bake.secs())
        .sum();
    let now_left = if state.weight > Weight::ZERO {
        left(present)
    } else {
        0
    };
    let soak = if state.weight == Weight::FULL {
        0
    } else {
        plan.soak.secs()
    };
    let seconds = i64::try_from(now_left + ahead + soak).ok()?;
    now.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListView<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The history of a deployment.
pub type HistoryView = ListView<Entry>;
/// Minute by minute.
pub type ChecksView = ListView<MinuteReport>;

/// What a specification would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Plan))]
pub struct PlanView {
    /// The endpoint.
    pub endpoint: String,
    /// The new model.
    pub model: String,
    /// The model it would replace.
    pub former_model: String,
    /// Requests a minute of the whole endpoint over the last day.
    pub requests_per_minute: f64,
    /// The stages with the dates they would have from now, and what they will prove.
    pub stages: Vec<PlanStage>,
    /// The soak at 100 %.
    pub soak: Span,
    /// From the first weight to the end of the soak, if nothing holds it up.
    pub duration: Span,
    /// When that would be.
    pub ends_at: Timestamp,
    /// Instances that run beside production's at the most.
    pub extra_instances: u32,
    /// What rolls back, in words.
    pub guards: Vec<String>,
    /// What is compared with production, in words.
    pub signals: Vec<String>,
    /// How it would go back, in words.
    #[serde(default)]
    pub rollback: String,
    /// What the model's own figures would cost and need; absent without `model_signals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_signals: Option<ModelPlan>,
    /// What to beware of.
    pub warnings: Vec<String>,
}

/// A stage with what it will see and show; at 100 % there is nothing to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PlannedStage))]
pub struct PlanStage {
    /// The stage with its date.
    #[serde(flatten)]
    pub stage: StageView,
    /// Absent at 100 %.
    #[serde(flatten)]
    pub forecast: Option<StageForecast>,
}

impl PlanView {
    /// What the proposed deployment would do.
    pub fn new(deployment: &Deployment) -> Self {
        let terms = &deployment.terms;
        let duration = Span::from_secs(terms.plan.shortest().secs() + terms.plan.soak.secs());
        let guards = terms.policy.all_guards().map(ToString::to_string);
        let forecast = Forecast::of(deployment);
        let mut forecasts = forecast.stages.into_iter();
        let planned = stages(deployment).into_iter().map(|stage| PlanStage {
            forecast: forecasts.next(),
            stage,
        });
        Self {
            endpoint: terms.endpoint.clone(),
            model: terms.model.clone(),
            former_model: terms.former_model.clone(),
            requests_per_minute: forecast.requests_per_minute,
            stages: planned.collect(),
            soak: terms.plan.soak,
            duration,
            ends_at: terms.created_at + duration.duration(),
            extra_instances: deployment.canary_instances_for(Weight::FULL),
            guards: guards.collect(),
            signals: compared(&terms.policy),
            rollback: terms.rollback.to_string(),
            model_signals: ModelPlan::of(deployment),
            warnings: forecast.warnings,
        }
    }
}

/// What is compared with production, in words.
fn compared(policy: &Policy) -> Vec<String> {
    let rules = policy.signals.iter().map(|rule| {
        let against = match (rule.compares, rule.limit) {
            (true, None) => format!(
                "more than {} times production's odds",
                policy.comparison.tolerate
            ),
            (true, Some(limit)) => format!(
                "more than {} times production's odds, or above {limit}",
                policy.comparison.tolerate
            ),
            (false, Some(limit)) => format!("above {limit}"),
            (false, None) => "not judged".to_owned(),
        };
        format!("{}: {against}{}", rule.what(), rule.consequence)
    });
    rules.collect()
}

/// The most characters of an operator's reason.
pub const LONGEST_REASON: usize = 500;

/// An operator command's body.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Command))]
pub struct CommandBody {
    /// Why, in the operator's words: kept in the history.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The body of `PUT /endpoints/{name}/freeze`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FreezeOrder))]
pub struct FreezeBody {
    /// Why nothing may be raised: told to everybody.
    pub reason: String,
    /// When it ends by itself; without it somebody has to lift it.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// Whether nothing is raised on an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FreezeState))]
pub struct FreezeView {
    /// The endpoint, or `*` for every one of the stack.
    pub endpoint: String,
    /// Whether a freeze stands: its own, or that of the whole stack.
    pub frozen: bool,
    /// The one that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Freeze>,
}

impl FreezeView {
    /// What stands over an endpoint.
    pub fn new(endpoint: String, freeze: Option<Freeze>) -> Self {
        Self {
            endpoint,
            frozen: freeze.is_some(),
            freeze,
        }
    }
}

/// The body of `PUT /deployments/{id}/weight`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = WeightChange))]
pub struct WeightBody {
    /// Whole percent, 1 to 100.
    pub weight: u8,
    /// Why, in the operator's words: kept in the history.
    #[serde(default)]
    pub reason: Option<String>,
}
