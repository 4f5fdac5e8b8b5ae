//! Who is told of what. One entry may be for several audiences, and a step between two milestones is
//! for nobody but those who pay for instances.
//!
//! | audience | is told of |
//! |---|---|
//! | on call | whatever is a warning or worse; of the model's own signals and of cost only what is critical, unless traffic moves for it |
//! | the ML team | every milestone: whatever is more than a detail |
//! | FinOps | what changes the instances that are paid for, and whatever is about cost |

use std::fmt;

use serde::{Deserialize, Serialize};

use super::history::{Entry, Name, Severity};
use super::model_signals::Quality;
use super::policy::Grade;
use super::signal::{DRIFT, UNREAD};

/// People who are told of different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Audience {
    /// Who has to act now.
    OnCall,
    /// Whose model it is.
    MlTeam,
    /// Who looks after what it costs.
    #[serde(rename = "finops")]
    FinOps,
}

/// What a breach is about, by the name of its guard or signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concern {
    /// How the endpoint serves: errors, latency, and checks of the team's own.
    Service,
    /// What the model says: its quality, its fairness, the drift of its scores.
    Model,
    /// What a request costs.
    Cost,
}

/// What starts, grows or ends a fleet of instances.
const CHANGES_INSTANCES: [Name; 6] = [
    Name::Provisioned,
    Name::Scaling,
    Name::Completed,
    Name::RolledBack,
    Name::Cancelled,
    Name::Failed,
];
/// The family of the guards of cost.
const COST: &str = "cost";
/// The family of the measures of fairness.
const FAIRNESS: &str = "fairness";

impl Audience {
    /// All of them, in the order in which they are named.
    pub const ALL: [Self; 3] = [Self::OnCall, Self::MlTeam, Self::FinOps];

    /// The name in attributes, filter policies and event rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnCall => "on_call",
            Self::MlTeam => "ml_team",
            Self::FinOps => "finops",
        }
    }

    /// Who is told of an entry.
    pub fn of(entry: &Entry) -> Vec<Self> {
        let all = Self::ALL.into_iter();
        all.filter(|audience| audience.is_told(entry)).collect()
    }

    /// Whether this audience is told of an entry.
    pub fn is_told(self, entry: &Entry) -> bool {
        let concern = Concern::of(entry);
        match self {
            // A word about the model is no reason to be woken; what moves traffic because of it is.
            Self::OnCall if entry.event == Name::Breached && concern != Concern::Service => {
                let is_loud = entry.severity >= Severity::Critical;
                let graded = entry.signal_severity;
                graded.map_or(is_loud, |grade| grade == Grade::Critical)
            }
            Self::OnCall => entry.severity >= Severity::Warning,
            Self::MlTeam => entry.severity >= Severity::Info,
            Self::FinOps => concern == Concern::Cost || CHANGES_INSTANCES.contains(&entry.event),
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OnCall => "on call",
            Self::MlTeam => "ML team",
            Self::FinOps => "FinOps",
        })
    }
}

impl Concern {
    fn of(entry: &Entry) -> Self {
        let Some(signal) = entry.signal.as_deref() else {
            return Self::Service;
        };
        // `cost.ratio`, `fairness.disparate_impact`, `drift.7`: the family stands before the dot, and
        // no check of a team's own has one in its name.
        let (family, is_one_of_several) = match signal.split_once('.') {
            Some((family, _)) => (family, true),
            None => (signal, false),
        };
        let is_quality = || Quality::ALL.iter().any(|quality| quality.name() == family);
        match family {
            COST if is_one_of_several => Self::Cost,
            FAIRNESS if is_one_of_several => Self::Model,
            DRIFT | UNREAD => Self::Model,
            _ if is_quality() => Self::Model,
            _ => Self::Service,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::quantity::Weight;
    use crate::domain::state::{Phase, Status};

    fn entry(event: Name, severity: Severity, signal: Option<&str>) -> Entry {
        Entry {
            seq: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            event,
            severity,
            reason: String::new(),
            value: String::new(),
            limit: String::new(),
            status: Status::InProgress,
            phase: Phase::Baking,
            weight: Weight::ZERO,
            confirmed_weight: None,
            by: None,
            signal: signal.map(str::to_owned),
            signal_severity: None,
        }
    }

    /// How loudly it is said does not tell: `high` is said as loudly as `critical`.
    #[test]
    fn only_what_the_policy_calls_critical_of_a_model_wakes_anybody() {
        for (grade, wakes) in [(Grade::High, false), (Grade::Critical, true)] {
            let mut entry = entry(Name::Breached, Severity::Critical, Some("accuracy"));
            entry.signal_severity = Some(grade);
            assert_eq!(Audience::OnCall.is_told(&entry), wakes, "{grade}");
            assert!(Audience::MlTeam.is_told(&entry), "{grade}");
        }
    }

    #[test]
    fn each_hears_what_is_theirs() {
        use Audience::{FinOps, MlTeam, OnCall};
        use Severity::{Critical, Detail, Info, Warning};
        let cases: [(Name, Severity, Option<&str>, &[Audience]); 17] = [
            (Name::Scaling, Detail, None, &[FinOps]),
            (Name::Shifting, Detail, None, &[]),
            (Name::Shifted, Info, None, &[MlTeam]),
            (Name::Provisioned, Info, None, &[MlTeam, FinOps]),
            (Name::Held, Warning, None, &[OnCall, MlTeam]),
            (
                Name::Breached,
                Warning,
                Some("client_errors"),
                &[OnCall, MlTeam],
            ),
            (Name::Breached, Warning, Some("accuracy"), &[MlTeam]),
            (
                Name::Breached,
                Warning,
                Some("unread_predictions"),
                &[MlTeam],
            ),
            (Name::Breached, Info, Some("drift"), &[MlTeam]),
            (Name::Breached, Warning, Some("drift.7"), &[MlTeam]),
            (
                Name::Breached,
                Warning,
                Some("fairness.disparate_impact"),
                &[MlTeam],
            ),
            (
                Name::Breached,
                Critical,
                Some("fairness.disparate_impact"),
                &[OnCall, MlTeam],
            ),
            (Name::Breached, Info, Some("cost.ratio"), &[MlTeam, FinOps]),
            (
                Name::RollingBack,
                Critical,
                Some("accuracy"),
                &[OnCall, MlTeam],
            ),
            (
                Name::RollingBack,
                Critical,
                Some("cost.ratio"),
                &[OnCall, MlTeam, FinOps],
            ),
            (Name::RolledBack, Warning, None, &[OnCall, MlTeam, FinOps]),
            (Name::Incident, Critical, Some("errors"), &[OnCall, MlTeam]),
        ];
        for (event, severity, signal, told) in cases {
            let entry = entry(event, severity, signal);
            assert_eq!(Audience::of(&entry), told, "{event} {severity} {signal:?}");
        }
    }

    #[test]
    fn a_check_that_is_only_named_alike_is_the_teams_own() {
        for name in ["costly_baskets", "cost", "fairness"] {
            let own = entry(Name::Breached, Severity::Warning, Some(name));
            assert_eq!(
                Audience::of(&own),
                [Audience::OnCall, Audience::MlTeam],
                "{name}"
            );
        }
    }

    proptest! {
        /// A subscription to one audience misses nothing that is worth more than a detail.
        #[test]
        fn nothing_but_a_detail_is_for_nobody(
            event in prop::sample::select(Name::ALL),
            signal in prop::option::of("[a-z_]{1,8}(\\.[a-z0-9]{1,4})?"),
        ) {
            for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
                let told = Audience::of(&entry(event, severity, signal.as_deref()));
                prop_assert!(told.contains(&Audience::MlTeam));
                prop_assert!(severity < Severity::Critical || told.contains(&Audience::OnCall));
            }
        }
    }
}
