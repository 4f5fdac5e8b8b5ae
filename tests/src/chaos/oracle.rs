//! What was promised, held against every step, every minute and every end.
//!
//! The oracle knows what was done to an endpoint and by whom, so it can tell a broken promise from
//! an end that somebody else brought about. A minute is clean when its tick went through, nothing
//! was hit in it and nobody touched the endpoint: then what the tick had to see is known exactly.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use shared::app::ports::{Endpoints, Loaded};
use shared::domain::deployment::Deployment;
use shared::domain::observation::{EndpointStatus, EndpointView};
use shared::domain::policy::OnDrift;
use shared::domain::quantity::Weight;
use shared::domain::state::{Interrupted, Outcome, Phase, Status};

use super::fault::Fault;
use crate::direct::world::{Fast, ready};

/// Who wrote a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct By {
    /// The step at which the invocation began.
    pub(super) since: usize,
    pub(super) is_tick: bool,
    /// Whether metrics it read were missing, partial or no numbers.
    pub(super) saw_badly: bool,
}

/// A record as it was last seen.
#[derive(Debug, Clone)]
struct Seen {
    id: String,
    endpoint: String,
    status: Status,
    phase: Phase,
    weight: Weight,
    target: Weight,
    is_cleaned: bool,
    /// No proof is asked of what production had before.
    is_undo: bool,
}

/// What a minute began with.
pub(super) struct Morning {
    deployment: Deployment,
    view: Option<EndpointView>,
}

/// Everything that promises are held against.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    seen: BTreeMap<String, Seen>,
    /// By endpoint: the last step at which somebody else changed it.
    touched: BTreeMap<String, usize>,
    /// By deployment: the step at which everything it left behind was gone.
    cleaned: BTreeMap<String, usize>,
    /// By endpoint: what was done to it.
    noted: BTreeMap<String, BTreeSet<Fault>>,
    /// Endpoints at rest after a clean end, as they must stay.
    resting: BTreeMap<String, (String, Vec<(String, f64)>)>,
    /// Endpoints whose challenger is bad from the beginning, and raised by nobody.
    pub(super) hopeless: BTreeSet<String>,
    /// Whether raises can be told apart: with one endpoint a reading is one deployment's.
    pub(super) is_single: bool,
    pub(super) statuses: Vec<Status>,
}

impl Seen {
    fn of(loaded: &Loaded) -> Self {
        let (terms, state) = (&loaded.deployment.terms, &loaded.deployment.state);
        Self {
            id: terms.id.clone(),
            endpoint: terms.endpoint.clone(),
            status: state.status,
            phase: state.phase,
            weight: state.weight,
            target: state.target,
            is_cleaned: state.cleaned,
            is_undo: terms.is_undo(),
        }
    }
}

/// DescribeEndpoint, by nobody.
pub(super) fn view(world: &Fast, endpoint: &str) -> Option<EndpointView> {
    ready(world.ports().endpoint(endpoint)).ok().flatten()
}

impl Oracle {
    /// A fault was prepared for this endpoint.
    pub(super) fn note(&mut self, endpoint: &str, fault: Fault) {
        let noted = self.noted.entry(endpoint.to_owned()).or_default();
        noted.insert(fault);
    }

    /// Somebody else changed this endpoint.
    pub(super) fn touch(&mut self, endpoint: &str, fault: Fault, step: usize) {
        self.note(endpoint, fault);
        self.touched.insert(endpoint.to_owned(), step);
        self.resting.remove(endpoint);
    }

    /// The last step at which anybody changed any endpoint.
    pub(super) fn last_touch(&self) -> usize {
        self.touched.values().copied().max().unwrap_or(0)
    }

    /// Holds the records against what they were: one deployment an endpoint (P1), no raise on
    /// metrics that were not there (P5), no end that the endpoint does not confirm (P3). Gives the
    /// ids that are rolling back or over.
    pub(super) fn look(
        &mut self,
        world: &Fast,
        by: Option<By>,
        step: usize,
    ) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        world.store().visit(|loaded| all.push(Seen::of(loaded)));
        let mut open = BTreeSet::new();
        let mut backwards = Vec::new();
        for now in all {
            if !now.status.is_terminal() && !open.insert(now.endpoint.clone()) {
                return Err(format!("P1: {} has two deployments", now.endpoint));
            }
            if now.status == Status::RollingBack || now.status.is_terminal() {
                backwards.push(now.id.clone());
            }
            let before = self.seen.get(&now.id).cloned();
            let is_news = before.as_ref().is_none_or(|it| it.phase != now.phase);
            if let Some(before) = before {
                self.judge_raise(&before, &now, by)?;
            } else {
                self.resting.remove(&now.endpoint);
            }
            if now.is_cleaned {
                self.cleaned.entry(now.id.clone()).or_insert(step);
            } else {
                self.cleaned.remove(&now.id);
            }
            if is_news && now.status.is_terminal() {
                self.judge_end(world, &now, by)?;
            }
            self.seen.insert(now.id.clone(), now);
        }
        Ok(backwards)
    }

    fn judge_raise(&self, before: &Seen, now: &Seen, by: Option<By>) -> Result<(), String> {
        // Of what failed the share is the one last confirmed, be it above the one it was to go down to.
        let is_what_was_left = now.status == Status::Failed && now.target == now.weight;
        let raised = (now.target > before.target && !is_what_was_left)
            || (now.phase == Phase::Shifting && before.phase == Phase::Scaling);
        let saw_badly = by.is_some_and(|by| by.is_tick && by.saw_badly);
        let was_judged = before.status == Status::InProgress && !now.is_undo;
        if self.is_single && raised && saw_badly && was_judged {
            return Err(format!(
                "P5: {} goes from {} to {} ({} to {}) on metrics that were not all there",
                now.id, before.phase, now.phase, before.target, now.target
            ));
        }
        Ok(())
    }

    fn judge_end(&mut self, world: &Fast, now: &Seen, by: Option<By>) -> Result<(), String> {
        self.statuses.push(now.status);
        // What somebody does between the last look and the end, nobody could see.
        let cleaned = self.cleaned.get(&now.id).copied().unwrap_or(0);
        let since = by.map_or(0, |by| by.since).min(cleaned);
        let touched = self.touched.get(&now.endpoint).copied().unwrap_or(0);
        // What landed late is seen at the minute's end, when scaling may have begun a change.
        let view_now = view(world, &now.endpoint);
        let is_scaling = by.is_none() && view_now.is_some_and(|view| !view.is_in_service());
        if (touched == 0 || touched < since) && !is_scaling {
            world.assert_ended(&now.id);
        }
        let deployment = world.load(&now.id).deployment;
        if now.status == Status::Failed {
            return self.judge_failure(&deployment);
        }
        if now.status == Status::Completed && self.hopeless.contains(&now.endpoint) {
            return Err(format!("{} completes with a bad challenger", now.id));
        }
        if let Some(view) = view(world, &now.endpoint).filter(|_| touched < since) {
            self.resting.insert(now.endpoint.clone(), at_rest(&view));
        }
        Ok(())
    }

    /// A failure has a cause outside, and names it.
    fn judge_failure(&self, deployment: &Deployment) -> Result<(), String> {
        let cause = deployment.state.cause.clone().unwrap_or_default();
        let nothing = BTreeSet::new();
        let noted = self.noted.get(&deployment.terms.endpoint);
        let noted = noted.unwrap_or(&nothing);
        let any = |numbers: &[u8]| noted.iter().any(|fault| numbers.contains(&fault.get()));
        let is_known = if cause.contains("deleted") || cause.contains("is Deleting") {
            any(&[24, 25])
        } else if cause.contains("is Failed") || cause.contains("is UpdateRollbackFailed") {
            any(&[22, 23])
        } else if cause.contains("updated by somebody else") || cause.contains("no longer has") {
            any(&[27, 28])
        } else if cause.contains("came back") {
            any(&[32])
        } else if cause.contains("somebody else changed") {
            // Nothing is raised any more where the old variant is kept after the soak.
            let ends = deployment.terms.policy.on_drift == OnDrift::Abandon
                || deployment.terms.cleanup.keep_old_variant;
            ends && any(&[21, 26, 27, 29])
        } else {
            // Attempts are used up by anything that keeps an update from being accepted.
            cause.contains("was refused")
        };
        if is_known {
            return Ok(());
        }
        let done: Vec<String> = noted.iter().map(ToString::to_string).collect();
        Err(format!(
            "{} failed without a cause: {cause}; done to the endpoint: {done:?}",
            deployment.terms.id
        ))
    }

    /// After a clean end nothing in flight moves the endpoint any more (P3).
    pub(super) fn hold_rest(&self, world: &Fast) -> Result<(), String> {
        for (endpoint, was) in &self.resting {
            let now = view(world, endpoint).map(|view| at_rest(&view));
            if now.as_ref() != Some(was) {
                return Err(format!(
                    "P3: {endpoint} ended as {was:?} and is now {now:?}"
                ));
            }
        }
        Ok(())
    }

    /// What the active deployments are before a tick.
    pub(super) fn morning(world: &Fast) -> Vec<Morning> {
        let mut active = Vec::new();
        world.store().visit(|loaded| {
            if !loaded.deployment.state.status.is_terminal() {
                active.push(loaded.deployment.clone());
            }
        });
        let all = active.into_iter().map(|deployment| Morning {
            view: view(world, &deployment.terms.endpoint),
            deployment,
        });
        all.collect()
    }

    /// After a clean minute: the rollback was called (P4), and what had changed was seen (P6).
    pub(super) fn evening(
        world: &Fast,
        mornings: &[Morning],
        taken_back: &BTreeSet<String>,
    ) -> Result<(), String> {
        for morning in mornings {
            let now = world.load(&morning.deployment.terms.id).deployment;
            hold_rollback(&now, morning, taken_back)?;
            hold_drift(&now, morning)?;
        }
        Ok(())
    }

    /// With no tick, weights stay (P9).
    pub(super) fn frozen(world: &Fast, mornings: &[Morning]) -> Result<(), String> {
        for morning in mornings {
            let endpoint = &morning.deployment.terms.endpoint;
            let now = view(world, endpoint);
            let (Some(before), Some(after)) = (&morning.view, &now) else {
                continue;
            };
            // What was under way when the ticks ended still comes to its end.
            if before.is_in_service() && at_rest(before) != at_rest(after) {
                return Err(format!("P9: {endpoint} moved with no tick"));
            }
        }
        Ok(())
    }
}

/// What must not move: the config and the weights. Instances are the scaling's.
fn at_rest(view: &EndpointView) -> (String, Vec<(String, f64)>) {
    let weights = view
        .variants
        .iter()
        .map(|variant| (variant.name.clone(), variant.desired_weight));
    (view.config.clone(), weights.collect())
}

fn hold_rollback(
    now: &Deployment,
    morning: &Morning,
    taken_back: &BTreeSet<String>,
) -> Result<(), String> {
    let (terms, state) = (&now.terms, &now.state);
    let Some(view) = morning.view.as_ref().filter(|view| view.is_in_service()) else {
        return Ok(());
    };
    let canary = view.variant(&terms.canary);
    let has_any = canary.is_some_and(|it| it.current_weight > 0.0 || it.desired_weight > 0.0);
    let was_going = morning.deployment.state.phase == Phase::Reverting;
    if was_going
        && has_any
        && view.variant(&terms.production).is_some()
        && state.outcome != Some(Outcome::Failed)
        && !taken_back.contains(&terms.id)
    {
        return Err(format!(
            "P4: {} reverts, the endpoint takes updates, and nothing was called",
            terms.id
        ));
    }
    Ok(())
}

fn hold_drift(now: &Deployment, morning: &Morning) -> Result<(), String> {
    let (terms, state) = (&now.terms, &now.state);
    let before = &morning.deployment.state;
    let ended = state.outcome == Some(Outcome::Failed);
    if before.outcome == Some(Outcome::Failed) {
        return Ok(());
    }
    let gone = match &morning.view {
        None => true,
        Some(view) => {
            let is_ours = view.config == terms.canary_config
                || view.config == terms.final_config
                || terms.is_home(&view.config);
            view.created_at != terms.endpoint_created_at
                || (view.is_in_service() && !is_ours)
                || matches!(
                    view.status,
                    EndpointStatus::Failed
                        | EndpointStatus::UpdateRollbackFailed
                        | EndpointStatus::Deleting
                )
        }
    };
    if gone && !ended {
        return Err(format!(
            "P6: {} does not see that its endpoint is gone or another's",
            terms.id
        ));
    }
    let Some(view) = morning.view.as_ref().filter(|view| view.is_in_service()) else {
        return Ok(());
    };
    let rests = |phase| {
        matches!(
            phase,
            Phase::Shifting
                | Phase::Baking
                | Phase::Holding
                | Phase::AwaitingApproval
                | Phase::Soaking
                | Phase::Finalizing
                | Phase::Paused
        )
    };
    let same = before.phase == state.phase && before.weight == state.weight;
    let raises = state.phase == Phase::Shifting || state.interrupted == Some(Interrupted::Raise);
    let landed = raises && view.is_settled_at(&terms.canary, state.target);
    let differs = !view.is_settled_at(&terms.canary, state.weight) && !landed;
    if same && rests(state.phase) && differs && state.drift.is_none() {
        return Err(format!(
            "P6: {} does not see that the weights are not its {}",
            terms.id, state.weight
        ));
    }
    Ok(())
}

/// How long a minute is.
pub(super) const MINUTE: SignedDuration = SignedDuration::from_mins(1);
