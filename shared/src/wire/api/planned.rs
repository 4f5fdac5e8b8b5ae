//! What a specification would do, as it is answered.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StageView, stages};
use crate::domain::deployment::Deployment;
use crate::domain::forecast::{self, Forecast, StageForecast};
use crate::domain::model_plan::ModelPlan;
use crate::domain::outlay::{Machines, Outlay, QuotaNeed, StageOutlay};
use crate::domain::policy::Policy;
use crate::domain::quantity::{Span, Weight};
use crate::domain::schedule::Schedule;

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
    /// From the first weight to the end of the soak, if nothing holds it up that is not foreseen; closed
    /// change windows are in it, and the holds whose length the warnings tell.
    pub duration: Span,
    /// When that would be over. The dates of the stages count in the same.
    pub ends_at: Timestamp,
    /// Instances that run beside production's at the most.
    pub extra_instances: u32,
    /// Dollars for those of all stages and of the soak, the moments apart in which an update has two fleets
    /// side by side; absent where the price of their type is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_dollars: Option<f64>,
    /// The quotas of SageMaker that must have room, or an update or a raise waits for it.
    #[serde(default)]
    pub quotas: Vec<QuotaNeed>,
    /// What rolls back, in words.
    pub guards: Vec<String>,
    /// What is compared with production, in words.
    pub signals: Vec<String>,
    /// How it would go back, in words.
    #[serde(default)]
    pub rollback: String,
    /// What the figures that inference counts would cost, and the labels that they need; absent without
    /// `model_signals` and `routing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_signals: Option<ModelPlan>,
    /// What to beware of.
    pub warnings: Vec<String>,
}

/// A stage with what it takes, and what it will see and show; at 100 % there is nothing to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PlannedStage))]
pub struct PlanStage {
    /// The stage with its date.
    #[serde(flatten)]
    pub stage: StageView,
    /// What it takes.
    #[serde(flatten)]
    pub outlay: StageOutlay,
    /// Absent at 100 %.
    #[serde(flatten)]
    pub forecast: Option<StageForecast>,
}

impl PlanView {
    /// What the proposed deployment would do on these instances, whose predictions are told in log lines
    /// of so many bytes.
    pub fn new(deployment: &Deployment, machines: &Machines, log_line_bytes: usize) -> Self {
        let terms = &deployment.terms;
        let length_at = |weight| forecast::length_at(deployment, weight);
        let schedule = Schedule::with_lengths(deployment, terms.created_at, length_at);
        // Where no window opens for weeks nothing has a date, and a warning says so.
        let shortest = Span::from_secs(terms.plan.shortest().secs() + terms.plan.soak.secs());
        let duration = schedule.length().unwrap_or(shortest);
        let ends_at = schedule
            .ends
            .unwrap_or(terms.created_at + duration.duration());
        let guards = terms.policy.all_guards().map(ToString::to_string);
        let forecast = Forecast::of(deployment);
        let mut forecasts = forecast.stages.into_iter();
        let outlay = Outlay::of(deployment, machines, &lengths(deployment, &schedule));
        let stages = stages(deployment, &schedule, &[]);
        let stages = stages.into_iter().zip(outlay.stages);
        let planned = stages.map(|(stage, outlay)| PlanStage {
            forecast: forecasts.next(),
            stage,
            outlay,
        });
        Self {
            endpoint: terms.endpoint.clone(),
            model: terms.model.clone(),
            former_model: terms.former_model.clone(),
            requests_per_minute: forecast.requests_per_minute,
            stages: planned.collect(),
            soak: terms.plan.soak,
            duration,
            ends_at,
            extra_instances: deployment.canary_instances_for(Weight::FULL),
            instance_dollars: outlay.dollars,
            quotas: outlay.quotas,
            guards: guards.collect(),
            signals: compared(&terms.policy),
            rollback: terms.rollback.to_string(),
            model_signals: ModelPlan::of(deployment, duration, log_line_bytes),
            warnings: undated(&schedule).chain(forecast.warnings).collect(),
        }
    }
}

/// How long each stage lasts if nothing holds it up that is not foreseen.
fn lengths(deployment: &Deployment, schedule: &Schedule) -> Vec<Span> {
    let plan = &deployment.terms.plan;
    let stages = plan.stages.iter().zip(schedule.lengths());
    let lengths = stages.map(|(stage, length)| length.unwrap_or(plan.length_at(stage.weight)));
    lengths.collect()
}

/// That there are no dates, where there are none.
fn undated(schedule: &Schedule) -> impl Iterator<Item = String> {
    let sentence = "no change window opens in the weeks after a stage is over, so nothing is said of when the rollout goes on, and its duration leaves the wait out";
    let undated = schedule.ends.is_none().then(|| sentence.to_owned());
    undated.into_iter()
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
