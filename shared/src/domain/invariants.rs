//! What no record may ever look like. Held on every write and on every read: a record that breaks
//! one of these is a bug or was edited by hand, and nothing may act on it.

use super::deployment::Deployment;
use super::quantity::Weight;
use super::state::{Outcome, Phase, Status, belongs};

/// Every rule that the record breaks, each as a sentence. Empty for a sound record.
pub fn violations(deployment: &Deployment) -> Vec<String> {
    let (terms, state) = (&deployment.terms, &deployment.state);
    let mut found = Vec::new();
    let mut hold = |holds: bool, rule: &str| {
        if !holds {
            found.push(format!(
                "{rule} (status {}, phase {}, weight {}, target {})",
                state.status, state.phase, state.weight, state.target
            ));
        }
    };
    hold(
        belongs(state.status, state.phase),
        "the phase belongs to the status",
    );
    hold(
        terms.production != terms.canary,
        "canary and production are two variants",
    );
    hold(
        terms
            .plan
            .stages
            .last()
            .is_some_and(|stage| stage.weight == Weight::FULL),
        "the plan ends at 100 %",
    );
    hold(
        state.phase != Phase::Paused || state.interrupted.is_some(),
        "a pause knows where it returns to",
    );
    hold(
        state.interrupted.is_none() || matches!(state.phase, Phase::Paused | Phase::Retreating),
        "only a pause, or the way down from one, returns to something",
    );
    hold(
        matches!(
            state.phase,
            Phase::CleaningUp | Phase::Ended | Phase::Reverting
        ) == state.outcome.is_some(),
        "an outcome is set from the beginning of the end on, and not before",
    );
    hold(
        state.status != Status::Pending
            || (state.weight == Weight::ZERO && state.target == Weight::ZERO),
        "no traffic while pending",
    );
    hold(
        state.status != Status::RollingBack || state.target == Weight::ZERO,
        "a rollback's target is 0 %",
    );
    hold(
        !matches!(
            state.phase,
            Phase::Baking
                | Phase::Holding
                | Phase::AwaitingApproval
                | Phase::Soaking
                | Phase::Finalizing
        ) || state.weight == state.target,
        "the share is confirmed while a stage is judged",
    );
    hold(
        !matches!(state.phase, Phase::Scaling | Phase::Shifting) || state.weight < state.target,
        "a raise has a target above the share",
    );
    hold(
        !matches!(state.phase, Phase::Soaking | Phase::Finalizing) || state.weight == Weight::FULL,
        "soak and finalizing are at 100 %",
    );
    hold(
        state.outcome != Some(Outcome::Completed) || state.weight == Weight::FULL,
        "a completion is at 100 %",
    );
    hold(
        !matches!(state.status, Status::RolledBack | Status::Cancelled)
            || state.weight == Weight::ZERO,
        "rolled back and cancelled are at 0 %",
    );
    hold(
        !state.status.is_terminal() || (state.lease.is_none() && state.cleaned),
        "a terminal state holds no lease and has cleaned up",
    );
    let matching = match state.status {
        Status::Completed => Some(Outcome::Completed),
        Status::RolledBack => Some(Outcome::RolledBack),
        Status::Cancelled => Some(Outcome::Cancelled),
        Status::Failed => Some(Outcome::Failed),
        Status::Pending | Status::InProgress | Status::RollingBack => state.outcome,
    };
    hold(
        state.outcome == matching,
        "the terminal status is the outcome",
    );
    found
}
