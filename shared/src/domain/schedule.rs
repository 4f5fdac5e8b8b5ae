//! When the stages that are still to come will begin, if nothing holds the rollout up: bake after bake from
//! now on, each raise at the first moment at which a change window is open. What is not foreseen is an
//! approval that is late, a hold, an endpoint that takes its time. While something holds it up there are no
//! dates at all: nobody knows when that is over. Before the rollout there is a plan, which knows how long some
//! holds will be ([`super::forecast::length_at`]).
//!
//! A date that has passed is no part of it: when a stage began stands in the history.

use jiff::Timestamp;

use super::deployment::{Deployment, State};
use super::quantity::{Span, Weight};
use super::state::{Phase, Status};

/// What is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// For each stage of the plan: when it will begin. Absent for one that has begun or was passed over, and
    /// where nothing is raised any more, something holds it up, or no window opens for weeks.
    pub begins: Vec<Option<Timestamp>>,
    /// The end of the soak; absent in the latter three cases.
    pub ends: Option<Timestamp>,
}

impl Schedule {
    /// Of a deployment as it stands.
    pub fn ahead(deployment: &Deployment, now: Timestamp) -> Self {
        Self::with_lengths(deployment, now, |weight| {
            deployment.terms.plan.length_at(weight)
        })
    }

    /// The same where each share is kept for so long.
    pub fn with_lengths(
        deployment: &Deployment,
        now: Timestamp,
        length_at: impl Fn(Weight) -> Span,
    ) -> Self {
        let (terms, state) = (&deployment.terms, &deployment.state);
        let plan = &terms.plan;
        let mut schedule = Self {
            begins: vec![None; plan.stages.len()],
            ends: None,
        };
        let goes_up = matches!(state.status, Status::Pending | Status::InProgress)
            && state.outcome.is_none()
            && state.descent.is_none();
        if !goes_up || is_held_up(state) {
            return schedule;
        }
        // A raise that is committed waits for no bake; a share on its way down bakes from its arrival on.
        let is_raised = state.target > state.weight;
        let mut over = if is_raised {
            Some(now)
        } else if state.target < state.weight {
            after(now, length_at(state.target))
        } else {
            after(state.stage_since, length_at(state.weight)).map(|over| over.max(now))
        };
        let next = if is_raised {
            plan.stage_index(state.target)
        } else {
            let above = |weight: Weight| weight > state.target;
            let found = plan.stages.iter().position(|stage| above(stage.weight));
            found.unwrap_or(plan.stages.len())
        };
        for (stage, begins) in plan.stages.iter().zip(&mut schedule.begins).skip(next) {
            *begins = over.and_then(|over| terms.raises_from(over));
            over = begins.and_then(|begins| after(begins, length_at(stage.weight)));
        }
        schedule.ends = over;
        schedule
    }

    /// From the first stage that is to come to the end of the soak; absent where either has no date.
    pub fn length(&self) -> Option<Span> {
        let first = self.begins.iter().flatten().next()?;
        Some(Span::between(*first, self.ends?))
    }

    /// How long each stage lasts that is to come; absent where it has no end.
    pub fn lengths(&self) -> impl Iterator<Item = Option<Span>> {
        let later = self.begins.iter().skip(1).copied().chain([self.ends]);
        let both = self.begins.iter().copied().zip(later);
        both.map(|(begins, ends)| Some(Span::between(begins?, ends?)))
    }
}

/// Whether a stage is over and can't be left.
fn is_held_up(state: &State) -> bool {
    match state.phase {
        Phase::Holding => true,
        Phase::Soaking => state.stall_told,
        _ => false,
    }
}

fn after(begins: Timestamp, length: Span) -> Option<Timestamp> {
    begins.checked_add(length.duration()).ok()
}
