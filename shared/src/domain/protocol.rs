//! The record around a call to AWS: the intent before it, the answer after it. Pure, so that the
//! functions and the model checker take the same steps.
//!
//! A call that could do harm by landing late is made once, under a lease that outlasts it. While a
//! lease stands, nobody else makes such a call and no terminal status is written; what is in doubt
//! keeps its lease until it can't land any more.

use jiff::Timestamp;

use super::deployment::{Deployment, Floor, Lease, Update};
use super::due::Effect;
use super::quantity::Span;
use super::registry::Round;
use super::scaling::ScalableTarget;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was accepted.
    Accepted,
    /// It was refused, and nothing has happened.
    Refused(String),
    /// It was refused for the moment, whatever it asked for: throttled, or a quota.
    NotNow(String),
    /// The answer was lost: it may have happened, and may still happen.
    InDoubt,
}

/// The record with the intent to make this call, under this lease.
pub fn intend(before: &Deployment, effect: &Effect, lease: Lease) -> Deployment {
    let mut next = before.clone();
    next.state.lease = Some(lease);
    if let Effect::Deploy { config } = effect {
        next.state.update = Some(asked(next.state.update.take(), config));
        // The update that removes the old variant asks for its target to be removed first. Known
        // before it happens, so that a rollback can put it back.
        if *config == next.terms.final_config
            && let Some(floor) = &mut next.state.floor
            && floor.target().is_some()
        {
            (floor.held_at, floor.released) = (0, true);
        }
        // And so does the one that removes the canary.
        if next.terms.is_home(config) {
            next.state.canary_floor = 0;
        }
    }
    next
}

/// Whether a call that starts now has landed, or never will, before its lease ends.
pub fn may_call(now: Timestamp, lease: &Lease, landing: Span) -> bool {
    now + landing.duration() < lease.until
}

/// The record after the call: the lease given back, the attempt noted. `None` where there is
/// nothing to write: in doubt the lease runs out by itself, and one that is another's is left.
pub fn answered(
    before: &Deployment,
    effect: &Effect,
    holder: &str,
    answer: &Answer,
    now: Timestamp,
) -> Option<Deployment> {
    let is_ours = |lease: &Lease| lease.holder == holder;
    if *answer == Answer::InDoubt || !before.state.lease.as_ref().is_some_and(is_ours) {
        return None;
    }
    let mut next = before.clone();
    let state = &mut next.state;
    state.lease = None;
    state.refusal = match answer {
        Answer::Refused(why) | Answer::NotNow(why) => Some(why.clone()),
        Answer::Accepted | Answer::InDoubt => None,
    };
    match (effect, &mut state.update, &mut state.floor) {
        (Effect::Deploy { .. }, Some(update), _) => note(update, answer, now),
        (Effect::HoldFloor { instances }, _, Some(floor)) if *answer == Answer::Accepted => {
            (floor.held_at, floor.released) = (*instances, false);
        }
        (Effect::AutoScale { instances } | Effect::Grow { instances }, ..)
            if *answer == Answer::Accepted && before.canary_target().is_some() =>
        {
            state.canary_floor = *instances;
        }
        (Effect::Tidy, ..) if *answer == Answer::Accepted => state.cleaned = true,
        _ => {}
    }
    Some(next)
}

/// The record after a refusal of a call that needs no lease.
pub fn refused(before: &Deployment, why: &str) -> Deployment {
    let mut next = before.clone();
    next.state.refusal = Some(why.to_owned());
    next
}

/// The record once the model registry was told, or was not told everything, with what came of the try.
/// `None` where there is nothing to write: somebody else was faster, or it is given up.
pub fn registered(before: &Deployment, round: &Round, now: Timestamp) -> Option<Deployment> {
    let mut next = before.clone();
    let filing = next.state.filing.take()?;
    if filing.filed.is_some() {
        return None;
    }
    next.state.filing = Some(filing.after(round.clone(), now));
    Some(next)
}

/// The record with production's target as it is seen: for the first time, before its floor is raised,
/// or once more, before it is removed. What its owner has changed in between is kept, but for the
/// floor that this deployment holds. A target that is gone by then was removed by an update of this
/// deployment, which puts it back, or else by its owner: then it stays removed. One that is there again
/// after that is its owner's, floor and all.
pub fn target_seen(before: &Deployment, now: Option<ScalableTarget>) -> Deployment {
    let mut next = before.clone();
    let (asked, is_ours) = (next.state.production_instances, may_have_released(before));
    let Some(floor) = &mut next.state.floor else {
        next.state.floor = Some(Floor {
            held_at: 0,
            released: false,
            withdrawn: false,
            found: now,
        });
        return next;
    };
    (floor.found, floor.withdrawn) = match (floor.found.take(), now) {
        (Some(found), None) => (Some(found), floor.withdrawn || !is_ours),
        (Some(found), Some(now)) if !floor.withdrawn => {
            let min = found.own_floor(now.bounds(), asked);
            (Some(ScalableTarget { min, ..now }), false)
        }
        (_, now) => (now, false),
    };
    next
}

/// Whether an update of this deployment may have removed production's target: the intent is written
/// before the call, so whoever crashes in between has said so. A record of version 1 has no word for it
/// but the update itself.
fn may_have_released(deployment: &Deployment) -> bool {
    let (terms, state) = (&deployment.terms, &deployment.state);
    let update = state.update.as_ref();
    state.floor.as_ref().is_some_and(|floor| floor.released)
        || update.is_some_and(|update| update.config == terms.final_config)
}

/// The update as it is asked for, once more or for the first time.
fn asked(before: Option<Update>, config: &str) -> Update {
    let same = before.filter(|update| update.config == config);
    Update {
        config: config.to_owned(),
        attempts: same.as_ref().map_or(0, |update| update.attempts),
        accepted_at: None,
        last_error: same.and_then(|update| update.last_error),
    }
}

/// What became of it. Being throttled is no refusal, and neither is a doubt.
fn note(update: &mut Update, answer: &Answer, now: Timestamp) {
    match answer {
        Answer::Accepted => update.accepted_at = update.accepted_at.or(Some(now)),
        Answer::Refused(why) => {
            update.attempts += 1;
            update.last_error = Some(why.clone());
        }
        Answer::NotNow(why) => update.last_error = Some(why.clone()),
        Answer::InDoubt => {}
    }
}
