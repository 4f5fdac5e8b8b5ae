//! Which call to AWS is due. Derived from the record and the world alone, every time anew, so an
//! effect that failed, was lost or was doubled is simply still due, or no longer, at the next pass.

use jiff::{SignedDuration, Timestamp};

use super::deployment::Deployment;
use super::evidence::Evidence;
use super::judge::bench::Bench;
use super::observation::{EndpointReading, EndpointView, TOLERANCE};
use super::policy::OnDrift;
use super::quantity::{Span, Weight};
use super::state::{Outcome, Phase, Status};
use super::truth;

/// How long `inference` may go on pinning production after the record stopped asking for it; no
/// variant is removed before.
pub const PIN_LIFETIME: Span = Span::from_secs(30);

/// Something that is to be true of the world. Absolute, so doing it twice is doing it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The endpoint is on this config (made first, where it is ours).
    Deploy {
        /// The config's name.
        config: String,
    },
    /// Production keeps at least this many instances.
    HoldFloor {
        /// What the total traffic needs.
        instances: u32,
    },
    /// The canary scales by itself, and keeps at least this many instances.
    AutoScale {
        /// What its next share needs.
        instances: u32,
    },
    /// The canary has this many instances, and keeps them.
    Grow {
        /// What its next share needs.
        instances: u32,
    },
    /// The canary has this share.
    Shift {
        /// The share.
        weight: Weight,
    },
    /// Production has everything.
    TakeBack,
    /// Floors are as they were found and configs that nobody uses are gone.
    Tidy,
    /// The model registry says how the deployment came out.
    Register,
}

/// The function whose role may carry the effect out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// `deploy`, as provision.
    Provision,
    /// `traffic-shift`.
    TrafficShift,
    /// `rollback`.
    Rollback,
}

impl Effect {
    /// Who carries it out.
    pub const fn actor(&self) -> Actor {
        match self {
            Self::Deploy { .. } | Self::Tidy | Self::Register => Actor::Provision,
            Self::HoldFloor { .. }
            | Self::AutoScale { .. }
            | Self::Grow { .. }
            | Self::Shift { .. } => Actor::TrafficShift,
            Self::TakeBack => Actor::Rollback,
        }
    }

    /// Whether it gives the canary more than it has now, or removes the way back: what a freeze holds.
    /// A share that can't be seen counts as less.
    pub fn goes_up(&self, deployment: &Deployment, endpoint: &EndpointReading) -> bool {
        match (self, endpoint) {
            (Self::Shift { weight }, EndpointReading::Seen(view)) => view
                .share(&deployment.terms.canary)
                .is_none_or(|share| share < weight.fraction() - TOLERANCE),
            (Self::Shift { .. }, _) => true,
            (Self::Deploy { config }, _) => *config == deployment.terms.final_config,
            _ => false,
        }
    }

    /// Whether it needs a lease: what could do harm to the endpoint if it landed late. Taking
    /// everything back can't, and the registry is none of the endpoint's business.
    pub const fn is_leased(&self) -> bool {
        !matches!(self, Self::TakeBack | Self::Register)
    }
}

/// The effect that is due now, if any. The endpoint comes first: the registry waits for whatever is due
/// there, and nothing waits for the registry.
pub fn due(
    deployment: &Deployment,
    evidence: &Evidence,
    endpoint: &EndpointReading,
    now: Timestamp,
) -> Option<Effect> {
    let filing = deployment.state.filing.as_ref();
    let is_to_be_told = filing.is_some_and(|filing| filing.is_due(now));
    due_at_endpoint(deployment, evidence, endpoint, now)
        .or_else(|| is_to_be_told.then_some(Effect::Register))
}

fn due_at_endpoint(
    deployment: &Deployment,
    evidence: &Evidence,
    endpoint: &EndpointReading,
    now: Timestamp,
) -> Option<Effect> {
    let (terms, state) = (&deployment.terms, &deployment.state);
    if state.status.is_terminal() {
        return None;
    }
    if state.phase == Phase::CleaningUp && state.outcome == Some(Outcome::Failed) {
        // Whatever became of the endpoint is not ours to touch; what we made beside it is.
        let known = !matches!(endpoint, EndpointReading::Failed { .. });
        return (known && !state.cleaned && !deployment.is_leased(now)).then_some(Effect::Tidy);
    }
    let EndpointReading::Seen(view) = endpoint else {
        // Unseen it is taken back all the same: the call names this deployment's own variant, and
        // any other endpoint refuses it.
        let unread = matches!(endpoint, EndpointReading::Failed { .. });
        return (unread && state.phase == Phase::Reverting).then_some(Effect::TakeBack);
    };
    if takes_back(deployment)
        && view.variant(&terms.production).is_some()
        && canary_has_any(deployment, view)
    {
        // No lease, and tried while the endpoint refuses too: it may accept any moment.
        return Some(Effect::TakeBack);
    }
    if deployment.is_leased(now) || !view.is_in_service() {
        return None;
    }
    if truth::fatal(deployment, endpoint).is_some() {
        // Who was woken late may see it before the pass that ends the deployment for it.
        return None;
    }
    if let Some(effect) = against_drift(deployment, view).or_else(|| keep_floor(deployment, view)) {
        return Some(effect);
    }
    match (state.status, state.phase) {
        (Status::Pending, Phase::Provisioning) => deploy(view, &terms.canary_config),
        (_, Phase::Scaling) => scale(deployment, view),
        // Committed, but nothing raises traffic past somebody else's hand (who was woken late may see that
        // before a pass does), on missing data, past a red guard or out of hours.
        (_, Phase::Shifting)
            if truth::drift(deployment, view).is_some()
                || is_long_short(deployment)
                || bars_raises(deployment, evidence, now) =>
        {
            None
        }
        // The way down is a way up from where somebody else has put less.
        (_, Phase::Retreating)
            if view.share(&terms.canary) < Some(state.target.fraction() - TOLERANCE)
                && (state.descent.is_some()
                    || truth::drift(deployment, view).is_some()
                    || bars_raises(deployment, evidence, now)) =>
        {
            None
        }
        (_, Phase::Shifting | Phase::Retreating) => shift(deployment, view, state.target),
        // Whoever has just used the way back keeps it.
        (_, Phase::Finalizing) if truth::drift(deployment, view).is_some() => None,
        (_, Phase::Finalizing) => deploy(view, &terms.final_config),
        (_, Phase::Reverting) if view.variant(&terms.production).is_none() => {
            deploy(view, &terms.former_config())
        }
        (_, Phase::CleaningUp) => clean_up(deployment, view, now),
        _ => None,
    }
}

/// Whether a raise, though committed, may not be made now.
fn bars_raises(deployment: &Deployment, evidence: &Evidence, now: Timestamp) -> bool {
    bar(deployment, evidence).is_some() || !deployment.terms.allows_raise_at(now)
}

/// What is measured, or can't be, that keeps a committed raise from being made, in words.
pub(super) fn bar(deployment: &Deployment, evidence: &Evidence) -> Option<String> {
    if let Some(blind) = &evidence.blind {
        return Some(format!("blind since {}: {}", blind.since, blind.reason));
    }
    if evidence.silent && !deployment.terms.is_undo() {
        return Some("neither model has had a request in the last minute".to_owned());
    }
    let unread = || {
        let reason = evidence.alarms_unread.as_ref()?;
        Some(format!("the policy's alarms could not be read: {reason}"))
    };
    let objection = Bench::of(deployment).objection_to_order(evidence);
    objection.or_else(unread)
}

/// What somebody else changed and is not respected: more on the canary never is; fewer instances
/// are where the policy says so. Less on the canary always is. What is over by now, as a raise that has
/// landed since, is nothing to be put back.
fn against_drift(deployment: &Deployment, view: &EndpointView) -> Option<Effect> {
    let (terms, state) = (&deployment.terms, &deployment.state);
    if state.drift.is_none() || truth::drift(deployment, view).is_none() {
        return None;
    }
    if truth::drifted_up(deployment, view) {
        return shift(deployment, view, state.weight);
    }
    let restores = terms.policy.on_drift == OnDrift::Restore;
    (restores && truth::lost_instances(deployment, view)).then_some(Effect::Grow {
        instances: state.canary_instances,
    })
}

/// Production's floor where it has to be raised again: the total traffic has grown, or an update
/// for which the target was removed was overtaken by a rollback.
fn keep_floor(deployment: &Deployment, view: &EndpointView) -> Option<Effect> {
    let state = &deployment.state;
    let floor = state.floor.as_ref()?;
    let is_there = view.variant(&deployment.terms.production).is_some();
    let is_due = match state.phase {
        Phase::Reverting | Phase::CleaningUp => {
            state.status == Status::RollingBack && floor.released && !state.cleaned
        }
        Phase::Finalizing => false,
        Phase::Retreating if !state.rests_on_the_way_down() => false,
        // Missing instances for long: somebody else may have put the floor down again, if there is one.
        _ => !floor_is_held(deployment) || (floor.target().is_some() && is_long_short(deployment)),
    };
    (is_there && is_due).then_some(Effect::HoldFloor {
        instances: state.production_instances,
    })
}

/// Whether production has had too few instances for so long that people were told: nothing is raised
/// until it has them.
fn is_long_short(deployment: &Deployment) -> bool {
    deployment.state.short.is_some_and(|short| short.told)
}

/// Whether production is to have everything: while a rollback reverts, and for as long as the
/// canary then stays for inspection.
fn takes_back(deployment: &Deployment) -> bool {
    let state = &deployment.state;
    let gone_back = matches!(
        state.outcome,
        Some(Outcome::RolledBack | Outcome::Cancelled)
    );
    state.phase == Phase::Reverting || (state.phase == Phase::CleaningUp && gone_back)
}

/// Whether the canary has a share, or is on its way to one: where every weight is 0, SageMaker
/// splits evenly.
fn canary_has_any(deployment: &Deployment, view: &EndpointView) -> bool {
    let Some(canary) = view.variant(&deployment.terms.canary) else {
        return false;
    };
    let variants = &view.variants;
    canary.current_weight > 0.0
        || canary.desired_weight > 0.0
        || variants.iter().all(|variant| variant.current_weight <= 0.0)
        || variants.iter().all(|variant| variant.desired_weight <= 0.0)
}

fn deploy(view: &EndpointView, config: &str) -> Option<Effect> {
    (view.config != config).then(|| Effect::Deploy {
        config: config.to_owned(),
    })
}

fn shift(deployment: &Deployment, view: &EndpointView, weight: Weight) -> Option<Effect> {
    (!view.is_settled_at(&deployment.terms.canary, weight)).then_some(Effect::Shift { weight })
}

/// Production's floor first, then the canary's instances with a floor of their own: capacity precedes
/// weights.
fn scale(deployment: &Deployment, view: &EndpointView) -> Option<Effect> {
    let state = &deployment.state;
    if !floor_is_held(deployment) {
        return Some(Effect::HoldFloor {
            instances: state.production_instances,
        });
    }
    let needed = deployment.canary_instances_for(state.target);
    let asked = view
        .variant(&deployment.terms.canary)
        .map_or(0, |canary| canary.desired_instances);
    if asked < needed {
        return Some(Effect::Grow { instances: needed });
    }
    (!canary_floor_is_held(deployment)).then_some(Effect::AutoScale { instances: needed })
}

/// Whether the canary can't shrink below what its next share needs, where it scales by itself.
pub fn canary_floor_is_held(deployment: &Deployment) -> bool {
    let needed = deployment.canary_instances_for(deployment.state.target);
    deployment.canary_target().is_none() || deployment.state.canary_floor >= needed
}

/// Whether production can't shrink below what the total traffic needs.
pub fn floor_is_held(deployment: &Deployment) -> bool {
    let state = &deployment.state;
    state
        .floor
        .as_ref()
        .is_some_and(|floor| floor.held_at >= state.production_instances)
}

fn clean_up(deployment: &Deployment, view: &EndpointView, now: Timestamp) -> Option<Effect> {
    let (terms, state) = (&deployment.terms, &deployment.state);
    let rolled_back = matches!(
        state.outcome,
        Some(Outcome::RolledBack | Outcome::Cancelled)
    );
    if rolled_back && !terms.is_home(&view.config) {
        return (now >= removal_from(deployment)).then(|| Effect::Deploy {
            config: terms.original_config.clone(),
        });
    }
    (!state.cleaned).then_some(Effect::Tidy)
}

/// When the canary variant may be removed after a rollback: once it has been there for inspection
/// long enough, and nobody pins production any more.
pub fn removal_from(deployment: &Deployment) -> Timestamp {
    let wait: SignedDuration = deployment.terms.cleanup.after.max(PIN_LIFETIME).duration();
    deployment.state.phase_since + wait
}
