//! Status and phase, and the only table of legal transitions.
//!
//! The status is what pipelines act on; the phase says what the deployment is doing inside it.
//! [`next`] is total: every status x phase x event has an answer, and everything that is not
//! named there is an [`IllegalEvent`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Status {
    /// Accepted; the canary variant is being created at weight 0.
    Pending,
    /// The canary variant exists; traffic is moved and judged.
    InProgress,
    /// 100 % canary, confirmed.
    Completed,
    /// Traffic is being taken back, or has been and the canary awaits its cleanup.
    RollingBack,
    /// 100 % production after a breach, a deadline, blindness or an operator's rollback; confirmed.
    RolledBack,
    /// Ended by something outside the rollout's own rules; see the reason.
    Failed,
    /// 100 % production after an operator's cancel, confirmed.
    Cancelled,
}

impl Status {
    /// Every status, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::InProgress,
        Self::Completed,
        Self::RollingBack,
        Self::RolledBack,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether nothing changes any more.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::RolledBack | Self::Failed | Self::Cancelled
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::RollingBack => "ROLLING_BACK",
            Self::RolledBack => "ROLLED_BACK",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        })
    }
}

/// What a deployment does inside its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Phase {
    /// The endpoint config is made and deployed.
    Provisioning,
    /// The canary's capacity grows to its next share.
    Scaling,
    /// The weights move up to the target.
    Shifting,
    /// The stage's bake time runs and the canary is judged.
    Baking,
    /// 100 % canary, the old variant still there at weight 0.
    Soaking,
    /// The update that removes the old variant: the point of no return.
    Finalizing,
    /// The bake is over but the stage can't be decided.
    Holding,
    /// An operator stopped raises.
    Paused,
    /// A person has to approve the next raise.
    AwaitingApproval,
    /// The weights move down, or back to the committed share after somebody else moved them.
    Retreating,
    /// Rollback: production takes everything back.
    Reverting,
    /// The endpoint goes to a config with just the right model; unused configs and the lock go.
    CleaningUp,
    /// Nothing more to do: the phase of every terminal status.
    Ended,
}

impl Phase {
    /// Every phase, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Provisioning,
        Self::Scaling,
        Self::Shifting,
        Self::Baking,
        Self::Soaking,
        Self::Finalizing,
        Self::Holding,
        Self::Paused,
        Self::AwaitingApproval,
        Self::Retreating,
        Self::Reverting,
        Self::CleaningUp,
        Self::Ended,
    ];

    /// Whether it goes on by itself no more, or not upwards: somebody may have to do something.
    pub const fn waits(self) -> bool {
        matches!(
            self,
            Self::AwaitingApproval | Self::Paused | Self::Holding | Self::Retreating
        )
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

/// The terminal status that a cleanup leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// → COMPLETED
    Completed,
    /// → ROLLED_BACK
    RolledBack,
    /// → CANCELLED
    Cancelled,
    /// → FAILED
    Failed,
}

/// Where a pause returns to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Interrupted {
    /// A raise was on its way: grow and shift again (both are absolute).
    Raise,
    /// The bake, decided or not.
    Bake,
    /// A person still has to approve.
    Approval,
    /// The soak at 100 %.
    Soak,
}

/// What can happen to a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// DescribeEndpoint shows InService, the intended config and the canary's instances.
    Provisioned,
    /// The canary's instances for the target share are there.
    CapacityReady,
    /// DescribeEndpoint shows the target weights, below 100 %.
    WeightsConfirmed,
    /// DescribeEndpoint shows 100 % canary.
    FullyShifted,
    /// The bake is over but the evidence does not decide.
    Undecided,
    /// On to a higher target.
    Raise,
    /// The stage asks for a person.
    ApprovalNeeded,
    /// Back to a lower target above zero, or to the committed one after a drift.
    Retreat,
    /// An operator's pause.
    Pause,
    /// An operator's resume, of a pause or from a way down by steps.
    Resume(Interrupted),
    /// The soak is over and the old variant goes.
    SoakOver,
    /// The soak is over and the old variant is to stay.
    KeepOldVariant,
    /// DescribeEndpoint shows the final config.
    Finalized,
    /// Take everything back.
    RollBack,
    /// DescribeEndpoint shows 100 % production.
    Reverted,
    /// Something outside the rollout's rules ended it.
    Fail,
    /// Cleanup is confirmed.
    CleanedUp(Outcome),
}

impl Event {
    /// Every event, for the test of the whole table and its documentation.
    pub const ALL: [Self; 23] = [
        Self::Provisioned,
        Self::CapacityReady,
        Self::WeightsConfirmed,
        Self::FullyShifted,
        Self::Undecided,
        Self::Raise,
        Self::ApprovalNeeded,
        Self::Retreat,
        Self::Pause,
        Self::Resume(Interrupted::Raise),
        Self::Resume(Interrupted::Bake),
        Self::Resume(Interrupted::Approval),
        Self::Resume(Interrupted::Soak),
        Self::SoakOver,
        Self::KeepOldVariant,
        Self::Finalized,
        Self::RollBack,
        Self::Reverted,
        Self::Fail,
        Self::CleanedUp(Outcome::Completed),
        Self::CleanedUp(Outcome::RolledBack),
        Self::CleanedUp(Outcome::Cancelled),
        Self::CleanedUp(Outcome::Failed),
    ];
}

/// An event that the present state forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is not possible in {status}/{phase}")]
pub struct IllegalEvent {
    /// The status it met.
    pub status: Status,
    /// The phase it met.
    pub phase: Phase,
    /// What was to happen.
    pub event: Event,
}

/// The state after `event`, or why there is none.
#[allow(
    clippy::match_same_arms,
    reason = "grouped by what happens, not by where it leads"
)]
pub fn next(status: Status, phase: Phase, event: Event) -> Result<(Status, Phase), IllegalEvent> {
    use Event as E;
    use Phase as P;
    use Status as S;
    let stays = |phase| Ok((status, phase));
    match (status, phase, event) {
        (S::Pending, P::Provisioning, E::Provisioned) => Ok((S::InProgress, P::Scaling)),

        (S::InProgress, P::Scaling, E::CapacityReady) => stays(P::Shifting),
        (S::InProgress, P::Shifting | P::Retreating, E::WeightsConfirmed) => stays(P::Baking),
        (S::InProgress, P::Shifting | P::Retreating, E::FullyShifted) => stays(P::Soaking),
        (S::InProgress, P::Baking, E::Undecided) => stays(P::Holding),
        (S::InProgress, P::Baking | P::Holding, E::ApprovalNeeded) => stays(P::AwaitingApproval),
        (S::InProgress, P::Baking | P::Holding | P::AwaitingApproval, E::Raise) => {
            stays(P::Scaling)
        }

        (
            S::InProgress,
            P::Scaling | P::Shifting | P::Baking | P::Holding | P::AwaitingApproval | P::Soaking,
            E::Pause,
        ) => stays(P::Paused),
        (S::InProgress, P::Paused, E::Resume(Interrupted::Raise)) => stays(P::Scaling),
        (S::InProgress, P::Paused | P::Retreating, E::Resume(Interrupted::Bake)) => {
            stays(P::Baking)
        }
        (S::InProgress, P::Paused, E::Resume(Interrupted::Approval)) => stays(P::AwaitingApproval),
        (S::InProgress, P::Paused, E::Resume(Interrupted::Soak)) => stays(P::Soaking),
        (
            S::InProgress,
            P::Scaling
            | P::Shifting
            | P::Baking
            | P::Holding
            | P::Paused
            | P::AwaitingApproval
            | P::Retreating
            | P::Soaking,
            E::Retreat,
        ) => stays(P::Retreating),

        (S::InProgress, P::Soaking, E::SoakOver) => stays(P::Finalizing),
        (S::InProgress, P::Soaking, E::KeepOldVariant)
        | (S::InProgress, P::Finalizing, E::Finalized) => stays(P::CleaningUp),
        (S::InProgress, P::CleaningUp, E::CleanedUp(Outcome::Completed)) => {
            Ok((S::Completed, P::Ended))
        }

        (S::Pending, P::Provisioning, E::RollBack)
        | (
            S::InProgress,
            P::Scaling
            | P::Shifting
            | P::Baking
            | P::Holding
            | P::Paused
            | P::AwaitingApproval
            | P::Retreating
            | P::Soaking
            | P::Finalizing,
            E::RollBack,
        ) => Ok((S::RollingBack, P::Reverting)),
        (S::RollingBack, P::Reverting, E::Reverted) => stays(P::CleaningUp),
        (S::RollingBack, P::CleaningUp, E::CleanedUp(Outcome::RolledBack)) => {
            Ok((S::RolledBack, P::Ended))
        }
        (S::RollingBack, P::CleaningUp, E::CleanedUp(Outcome::Cancelled)) => {
            Ok((S::Cancelled, P::Ended))
        }

        (S::Pending | S::InProgress | S::RollingBack, phase, E::Fail) if belongs(status, phase) => {
            stays(P::CleaningUp)
        }
        (
            S::Pending | S::InProgress | S::RollingBack,
            P::CleaningUp,
            E::CleanedUp(Outcome::Failed),
        ) => Ok((S::Failed, P::Ended)),

        _ => Err(IllegalEvent {
            status,
            phase,
            event,
        }),
    }
}

/// Whether a record may be in this phase of this status at all.
pub const fn belongs(status: Status, phase: Phase) -> bool {
    match status {
        Status::Pending => matches!(phase, Phase::Provisioning | Phase::CleaningUp),
        Status::InProgress => {
            !matches!(phase, Phase::Provisioning | Phase::Reverting | Phase::Ended)
        }
        Status::RollingBack => matches!(phase, Phase::Reverting | Phase::CleaningUp),
        Status::Completed | Status::RolledBack | Status::Failed | Status::Cancelled => {
            matches!(phase, Phase::Ended)
        }
    }
}
