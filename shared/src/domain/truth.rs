//! The endpoint held against the record: what ends a deployment from outside, and what somebody
//! else changed.

use super::deployment::{Deployment, State};
use super::observation::{EndpointReading, EndpointStatus, EndpointView, TOLERANCE};
use super::quantity::Weight;
use super::state::{Interrupted, Outcome, Phase, Status};

/// What makes it impossible to go on; `None` while there is no such thing, or no reading.
pub(super) fn fatal(deployment: &Deployment, endpoint: &EndpointReading) -> Option<String> {
    let (terms, state) = (&deployment.terms, &deployment.state);
    if state.outcome == Some(Outcome::Failed) {
        return None;
    }
    let view = match endpoint {
        EndpointReading::Failed { .. } => return None,
        EndpointReading::Missing => {
            return Some(format!("endpoint {} was deleted", terms.endpoint));
        }
        EndpointReading::Seen(view) => view,
    };
    if !view.was_made_at(terms.endpoint_created_at) {
        return Some(format!(
            "endpoint {} was deleted and made again",
            terms.endpoint
        ));
    }
    match view.status {
        EndpointStatus::Failed
        | EndpointStatus::UpdateRollbackFailed
        | EndpointStatus::Deleting => {
            let why = view
                .failure
                .as_deref()
                .unwrap_or("SageMaker gives no reason");
            Some(format!(
                "endpoint {} is {:?}: {why}",
                terms.endpoint, view.status
            ))
        }
        EndpointStatus::InService
            if !own_configs(deployment, &view.config).contains(&view.config.as_str()) =>
        {
            Some(format!(
                "endpoint {} was updated by somebody else: it is on config {}, which this deployment did not make",
                terms.endpoint, view.config
            ))
        }
        EndpointStatus::InService if lost_a_variant(deployment, view) => Some(format!(
            "endpoint {} no longer has the variants of config {}",
            terms.endpoint, view.config
        )),
        _ => None,
    }
}

/// The configs the endpoint may be on in this phase. While an update runs, DescribeEndpoint still
/// shows the config before it.
fn own_configs<'a>(deployment: &'a Deployment, config: &'a str) -> Vec<&'a str> {
    let terms = &deployment.terms;
    let (original, canary, last) = (
        terms.original_config.as_str(),
        terms.canary_config.as_str(),
        terms.final_config.as_str(),
    );
    match (deployment.state.status, deployment.state.phase) {
        (Status::Pending, _) => vec![original, canary],
        (Status::InProgress, Phase::CleaningUp) if terms.cleanup.keep_old_variant => vec![canary],
        (Status::InProgress, Phase::CleaningUp) => vec![last],
        (Status::InProgress, Phase::Finalizing) => vec![canary, last],
        (Status::InProgress, _) => vec![canary],
        _ if terms.is_home(config) => vec![config],
        _ => vec![canary, last],
    }
}

fn lost_a_variant(deployment: &Deployment, view: &EndpointView) -> bool {
    let terms = &deployment.terms;
    view.config == terms.canary_config
        && (view.variant(&terms.production).is_none() || view.variant(&terms.canary).is_none())
}

/// Weights or instances that are not the ones committed, and that nothing of ours can have made.
pub(super) fn drift(deployment: &Deployment, view: &EndpointView) -> Option<String> {
    let (terms, state) = (&deployment.terms, &deployment.state);
    let is_known = is_settled(deployment) || is_undercut(deployment, view);
    if !is_known || !view.is_in_service() {
        return None;
    }
    if is_ours(deployment, view) {
        let asked = view.variant(&terms.canary)?.desired_instances;
        return lost_instances(deployment, view).then(|| {
            format!(
                "the canary is to have {asked} instances, not the {} its share was confirmed with: somebody else changed them",
                state.canary_instances
            )
        });
    }
    let share = view.share(&terms.canary).unwrap_or(0.0) * 100.0;
    // On the way down it is the lower one that was committed.
    let committed = state.weight.min(state.target);
    Some(format!(
        "the canary's share is {share:.2} % at the endpoint, not the {committed} committed: somebody else changed the weights"
    ))
}

/// Whether the record is in a phase in which it is known what weights the endpoint may have: nothing
/// should move them, or a single call that moves them from one share to another.
pub(super) fn is_settled(deployment: &Deployment) -> bool {
    deployment.state.rests_on_the_way_down()
        || matches!(
            deployment.state.phase,
            Phase::Scaling
                | Phase::Shifting
                | Phase::Baking
                | Phase::Holding
                | Phase::AwaitingApproval
                | Phase::Soaking
                | Phase::Finalizing
                | Phase::Paused
        )
}

/// Whether the way down to a committed share would be a way up, because somebody else has put less on
/// the canary since it was committed. Less that was there before is what an operator's order puts right;
/// on a way down by steps it is the end of that.
fn is_undercut(deployment: &Deployment, view: &EndpointView) -> bool {
    let state = &deployment.state;
    let Some(share) = view.share(&deployment.terms.canary) else {
        return false;
    };
    let was_known = state.in_force.is_some_and(|it| {
        it.since <= state.phase_since && share >= it.share.fraction() - TOLERANCE
    });
    state.phase == Phase::Retreating
        && state.descent.is_none()
        && share < state.target.fraction() - TOLERANCE
        && !was_known
}

/// Whether the share is one that this deployment committed. A raise may just have landed, and one that a
/// pause interrupted may have landed all the same.
fn is_ours(deployment: &Deployment, view: &EndpointView) -> bool {
    let state = &deployment.state;
    let raise_may_have_landed = matches!(state.phase, Phase::Scaling | Phase::Shifting)
        || state.interrupted == Some(Interrupted::Raise);
    let canary = &deployment.terms.canary;
    view.is_settled_at(canary, state.weight)
        || (raise_may_have_landed && view.is_settled_at(canary, state.target))
}

/// The canary's share that was confirmed last; `None` where that does not tell which one is in force.
pub(super) fn confirmed_weight(state: &State) -> Option<Weight> {
    let is_on_its_way = match state.phase {
        Phase::Shifting | Phase::Reverting => true,
        Phase::Retreating => !state.rests_on_the_way_down(),
        _ => false,
    };
    // Back to the same share: the raise that was called off may have landed all the same.
    let may_have_landed = is_on_its_way && state.weight == state.target;
    let is_others = state.drift.is_some() || state.outcome == Some(Outcome::Failed);
    (!may_have_landed && !is_others).then_some(state.weight)
}

/// Whether the drift put more on the canary than was committed.
pub(super) fn drifted_up(deployment: &Deployment, view: &EndpointView) -> bool {
    let confirmed = deployment.state.weight.fraction();
    let share = view.share(&deployment.terms.canary);
    !is_ours(deployment, view) && share.is_some_and(|share| share > confirmed + TOLERANCE)
}

/// Whether the drift left the canary less than was confirmed.
pub(super) fn drifted_down(deployment: &Deployment, view: &EndpointView) -> bool {
    view.share(&deployment.terms.canary)
        .is_some_and(|share| share < deployment.state.weight.fraction() - TOLERANCE)
}

/// Whether somebody took instances of the canary away. While they grow, ours are on their way; and the
/// update that removes the old variant makes them what the last config says.
pub(super) fn lost_instances(deployment: &Deployment, view: &EndpointView) -> bool {
    !matches!(deployment.state.phase, Phase::Scaling | Phase::Finalizing)
        && view
            .variant(&deployment.terms.canary)
            .is_some_and(|canary| canary.desired_instances < deployment.state.canary_instances)
}

/// Production's instances where they are fewer than the total traffic needs.
pub(super) fn short_of(deployment: &Deployment, view: &EndpointView) -> Option<u32> {
    let production = view.variant(&deployment.terms.production)?;
    let is_held = deployment.state.floor.is_some();
    let has = production.current_instances;
    (is_held && has < deployment.production_needs()).then_some(has)
}
