//! How `canary` ends: the numbers that pipelines branch on.
//!
//! They are part of the interface, like the names of the verbs.

use std::process::ExitCode;

use shared::domain::state::{Phase, Status};
use shared::wire::api::DeploymentView;

/// What became of what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done as asked; a watched deployment is completed.
    Done = 0,
    /// It did not work, or a watched deployment failed.
    Error = 1,
    /// It was not asked for in a way that makes sense.
    Usage = 2,
    /// A watched deployment was rolled back or cancelled.
    TakenBack = 3,
    /// A watched deployment goes on only once a person has approved or let it go on.
    NeedsPerson = 4,
    /// A watched deployment was not over in time; it goes on.
    TimedOut = 5,
    /// The gate refuses the model; no endpoint was touched.
    Rejected = 6,
}

impl Exit {
    /// How watching ends with a deployment that stands like this; `None` while there is more to see.
    pub(crate) fn of(view: &DeploymentView) -> Option<Self> {
        match view.status {
            Status::Completed => Some(Self::Done),
            Status::Failed => Some(Self::Error),
            Status::RolledBack | Status::Cancelled => Some(Self::TakenBack),
            // A pause has no end of its own, and stops even the deadline's clock: a pipeline that waited on
            // would hang for as long as nobody comes back.
            Status::InProgress if matches!(view.phase, Phase::AwaitingApproval | Phase::Paused) => {
                Some(Self::NeedsPerson)
            }
            Status::Pending | Status::InProgress | Status::RollingBack => None,
        }
    }
}

impl Exit {
    /// The number, and what it says.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Done => "0, done",
            Self::Error => "1, failed",
            Self::Usage => "2, wrong usage",
            Self::TakenBack => "3, rolled back or cancelled",
            Self::NeedsPerson => "4, waiting for a person",
            Self::TimedOut => "5, timed out",
            Self::Rejected => "6, rejected by the gate",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn every_state_has_its_end_or_goes_on() {
        let cases = [
            (Status::Pending, Phase::Provisioning, None),
            (Status::InProgress, Phase::Baking, None),
            (Status::InProgress, Phase::Holding, None),
            (Status::InProgress, Phase::Finalizing, None),
            (Status::InProgress, Phase::Paused, Some(Exit::NeedsPerson)),
            (
                Status::InProgress,
                Phase::AwaitingApproval,
                Some(Exit::NeedsPerson),
            ),
            (Status::RollingBack, Phase::CleaningUp, None),
            (Status::Completed, Phase::Ended, Some(Exit::Done)),
            (Status::RolledBack, Phase::Ended, Some(Exit::TakenBack)),
            (Status::Cancelled, Phase::Ended, Some(Exit::TakenBack)),
            (Status::Failed, Phase::Ended, Some(Exit::Error)),
        ];
        for (status, phase, expected) in cases {
            let mut view = samples::baking();
            (view.status, view.phase) = (status, phase);
            assert_eq!(Exit::of(&view), expected, "{status}/{phase}");
        }
    }
}
