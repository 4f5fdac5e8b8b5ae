//! What the API answers: flat JSON with `deployment_id` and `status` on top.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::domain::clearance::Attestation;
use crate::domain::deployment::Deployment;
use crate::domain::evidence::{Evidence, Totals};
use crate::domain::freeze::Freeze;
use crate::domain::history::{Entry, Name};
use crate::domain::judge::bench::Bench;
use crate::domain::judge::{MinuteReport, SignalStanding, report};
use crate::domain::plan::Plan;
use crate::domain::quantity::{Span, TrafficShare, Weight};
use crate::domain::schedule::Schedule;
use crate::domain::state::{Phase, Status};

mod planned;

pub use planned::{PlanStage, PlanView};

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
    /// The canary's share, intended, in percent; after a failure no more than `weight`, since nothing is
    /// raised any more.
    pub target_weight: Weight,
    /// The canary's share by the weights in force when the endpoint was last seen, in percent, where that is
    /// not `weight`: somebody else set them, or they are on their way. Absent where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_weight: Option<f64>,
    /// Whether somebody else changed the endpoint, and that still stands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drifted: bool,
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
    /// When the soak at 100 % is over, if nothing holds it up: counted like the dates of the stages. Absent
    /// once it is ending, and while a stage or the soak is over and can't be left, for which `reason` says why.
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
    /// The same of production's model; of another version the registry will be told that it is replaced.
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
    /// When it began, or will begin if nothing holds the rollout up: counted from now through the change
    /// windows. Absent where it was passed over, where it will not begin any more, where it is to come and
    /// something holds the rollout up, and, but for the present stage, where it has begun and the history was
    /// not read: in lists, in answers to orders, and while it can't be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_at: Option<Timestamp>,
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
    /// Canary requests a minute: of the endpoint's over the last minutes, the canary's share in force.
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
    /// The record, with what was measured and what has happened where that was read.
    pub fn new(
        deployment: &Deployment,
        evidence: Option<&Evidence>,
        history: &[Entry],
        now: Timestamp,
    ) -> Self {
        let (terms, state) = (&deployment.terms, &deployment.state);
        let own = format!("/deployments/{}", terms.id);
        let begun = state.weight > Weight::ZERO;
        let schedule = Schedule::ahead(deployment, now);
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
            observed_weight: state.observed_weight(),
            drifted: state.drift.is_some(),
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
            expected_end: schedule.ends,
            descent: DescentView::of(deployment),
            stages: stages(deployment, &schedule, history),
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

    /// The canary's share of the traffic, as the endpoint was last seen to have it.
    pub fn share(&self) -> TrafficShare {
        TrafficShare::observed_or(self.observed_weight, self.weight)
    }

    /// The share that is meant, where the endpoint has another one: somebody else's where it is `drifted`, and
    /// otherwise one on its way. After the end none is meant.
    pub fn intended_instead(&self) -> Option<Weight> {
        let is_other = self.share() != TrafficShare::from(self.target_weight);
        let is_meant = self.observed_weight.is_some() && !self.status.is_terminal();
        (is_other && is_meant).then_some(self.target_weight)
    }

    /// Whether a stage or the soak is over and can't be left, which `reason` says why.
    pub fn is_held_up(&self) -> bool {
        let may_hold = matches!(self.phase, Phase::Holding | Phase::Soaking);
        self.status == Status::InProgress && may_hold && self.expected_end.is_none()
    }
}

impl Measured {
    fn new(deployment: &Deployment, evidence: &Evidence) -> Self {
        let bench = Bench::of(deployment);
        let share = deployment.state.share_in_force().fraction();
        Self {
            judged_through: evidence.judged_through,
            canary: evidence.canary,
            production: evidence.production,
            stage_samples: evidence.stage_samples,
            canary_per_minute: evidence.requests_per_minute * share,
            blind: evidence.blind.as_ref().map(|blind| blind.reason.clone()),
            objection: bench.objection(evidence),
            signals: report::signals(&bench, evidence, None, None),
        }
    }
}

/// The stages with the dates on which they will begin, or began.
fn stages(deployment: &Deployment, schedule: &Schedule, history: &[Entry]) -> Vec<StageView> {
    let (plan, state) = (&deployment.terms.plan, &deployment.state);
    // The present one began with its share, even where it is left downwards and will begin again.
    let is_present = state.weight > Weight::ZERO && state.descent.is_none();
    let present = is_present.then(|| plan.stage_index(state.weight));
    let dates = schedule.begins.iter().zip(begun(plan, history));
    let stages = plan.stages.iter().zip(dates).enumerate();
    let stages = stages.map(|(index, (stage, (ahead, begun)))| StageView {
        weight: stage.weight,
        bake: stage.bake,
        approval: stage.approval,
        begins_at: if present == Some(index) {
            Some(state.stage_since)
        } else {
            ahead.or(begun)
        },
    });
    stages.collect()
}

/// When each stage began, the last time that it did. On a way down none begins.
fn begun(plan: &Plan, history: &[Entry]) -> Vec<Option<Timestamp>> {
    let mut begun = vec![None; plan.stages.len()];
    let confirmed = history.iter().filter(|entry| {
        matches!(entry.event, Name::Shifted | Name::Soaking)
            && matches!(entry.phase, Phase::Baking | Phase::Soaking)
    });
    for entry in confirmed {
        begun[plan.stage_index(entry.weight)] = Some(entry.at);
    }
    begun
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

/// The most characters of an operator's reason.
pub const LONGEST_REASON: usize = 500;

/// An operator command's body.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"an order, such as {"reason": "the product launch is over"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Command))]
pub struct CommandBody {
    /// Why, in the operator's words: kept in the history.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The body of `PUT /endpoints/{name}/freeze`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a freeze, such as {"reason": "the holidays"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FreezeOrder))]
pub struct FreezeBody {
    /// Why nothing may be raised: told to everybody.
    pub reason: String,
    /// When it ends by itself, at most 366 days ahead; without it somebody has to lift it.
    #[serde(default, deserialize_with = "end")]
    pub until: Option<Timestamp>,
}

fn end<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    struct End;
    impl<'de> de::Visitor<'de> for End {
        type Value = Option<Timestamp>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time, like \"2026-12-27T00:00:00Z\"")
        }
        fn visit_none<E>(self) -> Result<Option<Timestamp>, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, given: D) -> Result<Self::Value, D::Error> {
            given.deserialize_str(self)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<Timestamp>, E> {
            Freeze::end(text).map(Some).map_err(E::custom)
        }
    }
    deserializer.deserialize_option(End)
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
#[serde(deny_unknown_fields, expecting = r#"a share, such as {"weight": 25}"#)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = WeightChange))]
pub struct WeightBody {
    /// Whole percent, 1 to 100.
    #[serde(deserialize_with = "percent")]
    pub weight: u8,
    /// Why, in the operator's words: kept in the history.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A number; which ones are a share is for the order to say.
fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    struct Percent;
    impl de::Visitor<'_> for Percent {
        type Value = u8;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("whole percent from 1 to 100, like 25")
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u8, E> {
            let unfit = || E::invalid_value(de::Unexpected::Unsigned(number), &self);
            u8::try_from(number).map_err(|_| unfit())
        }
    }
    deserializer.deserialize_u8(Percent)
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::specification::typed;

    #[track_caller]
    fn assert_said<T: DeserializeOwned>(body: &Value, said: &str) {
        let error = typed::<T>(body)
            .map(drop)
            .expect_err("no body of this kind");
        assert_eq!(error.to_string(), said);
    }

    #[test]
    fn a_body_of_another_shape_is_told_the_way_out() {
        assert_said::<CommandBody>(
            &json!([]),
            r#"this must be an order, such as {"reason": "the product launch is over"}, not a list"#,
        );
        assert_said::<CommandBody>(
            &json!({"reason": 5}),
            r#"reason: this must be a text, like "wine-quality", not 5"#,
        );
        for (weight, given) in [
            (json!(-1), "-1"),
            (json!("10%"), "the text `10%`"),
            (json!(0.5), "0.5"),
            (json!(256), "256"),
            (json!(null), "empty"),
        ] {
            let said =
                format!("weight: this must be whole percent from 1 to 100, like 25, not {given}");
            assert_said::<WeightBody>(&json!({"weight": weight}), &said);
        }
        assert_said::<FreezeBody>(
            &json!({"reason": "a sale", "until": 7}),
            r#"until: this must be a time, like "2026-12-27T00:00:00Z", not 7"#,
        );
        let soon = typed::<FreezeBody>(&json!({"reason": "a sale", "until": "soon"}));
        let soon = soon.map(drop).expect_err("no time");
        assert_eq!(soon.field, "until");
        assert!(soon.detail.starts_with("until is a time like "), "{soon}");
        let freeze: FreezeBody =
            typed(&json!({"reason": "a sale", "until": null})).expect("a freeze");
        assert_eq!(freeze.until, None);
        let freeze: FreezeBody =
            typed(&json!({"reason": "a sale", "until": "2026-12-27T00:00:00Z"})).expect("a freeze");
        let until = freeze.until.map(|until| until.to_string());
        assert_eq!(until.as_deref(), Some("2026-12-27T00:00:00Z"));
    }
}
