//! What no record may ever look like. Held on every write and on every read: a record that breaks
//! one of these is a bug or was edited by hand, and nothing may act on it.

use super::deployment::{Deployment, State};
use super::quantity::Weight;
use super::state::{Outcome, Phase, Status, belongs};

/// Whether a rule holds, and the rule as a sentence.
type Rule = (bool, &'static str);

/// Every rule that the record breaks, each as a sentence. Empty for a sound record.
pub fn violations(deployment: &Deployment) -> Vec<String> {
    let (terms, state) = (&deployment.terms, &deployment.state);
    let last = terms.plan.stages.last();
    let accepted: [Rule; 2] = [
        (
            terms.production != terms.canary,
            "canary and production are two variants",
        ),
        (
            last.is_some_and(|stage| stage.weight == Weight::FULL),
            "the plan ends at 100 %",
        ),
    ];
    let rules = accepted.into_iter().chain(phases(state));
    let rules = rules.chain(shares(state)).chain(ends(state));
    let (status, phase) = (state.status, state.phase);
    let (weight, target) = (state.weight, state.target);
    rules
        .filter(|(holds, _)| !holds)
        .map(|(_, rule)| {
            format!("{rule} (status {status}, phase {phase}, weight {weight}, target {target})")
        })
        .collect()
}

fn phases(state: &State) -> [Rule; 4] {
    let interrupted = state.interrupted.is_some();
    [
        (
            belongs(state.status, state.phase),
            "the phase belongs to the status",
        ),
        (
            state.phase != Phase::Paused || interrupted,
            "a pause knows where it returns to",
        ),
        (
            !interrupted || matches!(state.phase, Phase::Paused | Phase::Retreating),
            "only a pause, or the way down from one, returns to something",
        ),
        (
            state.descent.is_none()
                || (state.phase == Phase::Retreating
                    && state.target > Weight::ZERO
                    && state.target <= state.weight),
            "a way down by steps leads down, and ends with the phase",
        ),
    ]
}

fn shares(state: &State) -> [Rule; 5] {
    use Phase as P;
    let (phase, weight, target) = (state.phase, state.weight, state.target);
    let judged = matches!(
        phase,
        P::Baking | P::Holding | P::AwaitingApproval | P::Soaking | P::Finalizing
    );
    [
        (
            state.status != Status::Pending || (weight == Weight::ZERO && target == Weight::ZERO),
            "no traffic while pending",
        ),
        (
            state.status != Status::RollingBack || target == Weight::ZERO,
            "a rollback's target is 0 %",
        ),
        (
            !judged || weight == target,
            "the share is confirmed while a stage is judged",
        ),
        (
            !matches!(phase, P::Scaling | P::Shifting) || weight < target,
            "a raise has a target above the share",
        ),
        (
            !matches!(phase, P::Soaking | P::Finalizing) || weight == Weight::FULL,
            "soak and finalizing are at 100 %",
        ),
    ]
}

fn ends(state: &State) -> [Rule; 7] {
    let ending = matches!(
        state.phase,
        Phase::CleaningUp | Phase::Ended | Phase::Reverting
    );
    let matching = match state.status {
        Status::Completed => Some(Outcome::Completed),
        Status::RolledBack => Some(Outcome::RolledBack),
        Status::Cancelled => Some(Outcome::Cancelled),
        Status::Failed => Some(Outcome::Failed),
        Status::Pending | Status::InProgress | Status::RollingBack => state.outcome,
    };
    let went_back = matches!(state.status, Status::RolledBack | Status::Cancelled);
    let decided = matches!(state.phase, Phase::CleaningUp | Phase::Ended);
    [
        (
            ending == state.outcome.is_some(),
            "an outcome is set from the beginning of the end on, and not before",
        ),
        (
            state.outcome != Some(Outcome::Completed) || state.weight == Weight::FULL,
            "a completion is at 100 %",
        ),
        (
            !went_back || state.weight == Weight::ZERO,
            "rolled back and cancelled are at 0 %",
        ),
        (
            !state.status.is_terminal() || (state.lease.is_none() && state.cleaned),
            "a terminal state holds no lease and has cleaned up",
        ),
        (
            state.watch.is_none() || state.status == Status::Completed,
            "only what is completed is watched after its end",
        ),
        (
            state.filing.is_none() || decided,
            "the model registry is told of what is decided",
        ),
        (
            state.outcome == matching,
            "the terminal status is the outcome",
        ),
    ]
}
