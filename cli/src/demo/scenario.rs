//! What goes wrong, or not, in each scenario, and what the operator does about it.

use std::time::Duration;

use shared::domain::state::{Phase, Status};
use shared::wire::api::DeploymentView;

use crate::models::server::Behaviour;

/// The alcohol content in percent above which the failing challenger fails: about a quarter of
/// the wines.
const FAILS_ABOVE: f64 = 11.0;
/// How late the slow challenger answers.
const LATE: Duration = Duration::from_millis(300);

/// The scenarios of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// The challenger is sound: it takes over.
    #[default]
    Healthy,
    /// The challenger fails on part of its input: rolled back.
    Errors,
    /// The challenger answers late: rolled back.
    Slow,
    /// The challenger's process is killed under traffic: rolled back.
    Crash,
    /// An operator pauses the rollout and lets it go on.
    Pause,
    /// An operator calls the rollout off.
    Cancel,
}

/// What happens next on the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cue {
    /// The challenger's process dies.
    Kill,
    /// The operator gives this order.
    Order(&'static str),
}

impl Scenario {
    /// How the challenger's server behaves.
    pub(crate) fn challenger(self) -> Behaviour {
        match self {
            Self::Errors => Behaviour {
                fail_above_alcohol: Some(FAILS_ABOVE),
                ..Behaviour::default()
            },
            Self::Slow => Behaviour {
                delay: LATE,
                ..Behaviour::default()
            },
            _ => Behaviour::default(),
        }
    }

    /// What is to be seen.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Healthy => "a sound challenger takes over the endpoint, stage by stage",
            Self::Errors => "the challenger fails on wines above 11 % alcohol: it is rolled back",
            Self::Slow => "the challenger answers 300 ms late: it is rolled back",
            Self::Crash => "the challenger's process is killed under traffic: it is rolled back",
            Self::Pause => {
                "an operator pauses the rollout at 25 % and resumes it four minutes later"
            }
            Self::Cancel => "an operator calls the rollout off at 25 %",
        }
    }

    /// What happens now, `given` being how many cues were given before. Each is given once.
    pub(crate) fn cue(
        self,
        view: &DeploymentView,
        given: usize,
        minutes_since_last: i64,
    ) -> Option<Cue> {
        let at_a_quarter = view.status == Status::InProgress
            && view.phase == Phase::Baking
            && view.weight.percent() == 25;
        match (self, given) {
            (Self::Crash, 0) if at_a_quarter => Some(Cue::Kill),
            (Self::Pause, 0) if at_a_quarter => Some(Cue::Order("pause")),
            (Self::Pause, 1) if minutes_since_last >= 4 => Some(Cue::Order("resume")),
            (Self::Cancel, 0) if at_a_quarter => Some(Cue::Order("cancel")),
            _ => None,
        }
    }
}
