//! What users were served between the decision to take the canary back and the minute in which production
//! had everything: counted, and judged no more.
//!
//! It is counted once the traffic is back. A rollback that is under way waits for nobody's metrics, its own
//! included, and the minutes are the same whenever they are read.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::deployment::Deployment;
use super::evidence::{Evidence, Totals};
use super::judge::floor_minute;
use super::observation::{Metrics, Series};
use super::state::{Outcome, Phase, Status};

/// The requests of both models after the last judged minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// The start of the last minute that is counted.
    pub through: Timestamp,
    /// The new model.
    pub canary: Totals,
    /// The old model.
    pub production: Totals,
}

impl Exposure {
    /// What is counted so far; of no minute before the first.
    pub fn of(evidence: &Evidence) -> Self {
        evidence.exposure.unwrap_or(Self {
            through: evidence.judged_through,
            canary: Totals::default(),
            production: Totals::default(),
        })
    }

    /// The end of the last minute that is counted: the first that is not begins there.
    pub fn until(&self) -> Timestamp {
        let minute = SignedDuration::from_mins(1);
        let next = self.through.checked_add(minute);
        next.unwrap_or(Timestamp::MAX)
    }
}

/// The start of the last minute to count: the one in which production was seen to have everything back.
/// Absent while that was not seen, and where the canary had no traffic.
pub fn last_minute(deployment: &Deployment) -> Option<Timestamp> {
    let state = &deployment.state;
    let went_back = matches!(
        state.outcome,
        Some(Outcome::RolledBack | Outcome::Cancelled)
    );
    let is_back = state.status == Status::RollingBack && state.phase == Phase::CleaningUp;
    (went_back && is_back && state.had_traffic).then(|| floor_minute(state.phase_since))
}

/// Whether minutes are still to be counted.
pub fn is_counted(deployment: &Deployment, evidence: &Evidence) -> bool {
    last_minute(deployment).is_some_and(|last| Exposure::of(evidence).until() <= last)
}

/// Counts the minutes of a reading, each once. One that is not whole is asked for again, and so is one that
/// begins later than the first minute that is missing.
pub fn take_in(deployment: &Deployment, evidence: &mut Evidence, metrics: &Metrics) {
    let Some(last) = last_minute(deployment) else {
        return;
    };
    let (Series::Read(canary), Series::Read(production)) = (&metrics.canary, &metrics.production)
    else {
        return;
    };
    let mut exposure = Exposure::of(evidence);
    let mut minute = exposure.until();
    if metrics.from > minute {
        return;
    }
    while minute <= metrics.through.min(last) {
        for (totals, minutes) in [
            (&mut exposure.canary, canary),
            (&mut exposure.production, production),
        ] {
            if let Some(found) = minutes.get(&minute) {
                totals.add(found);
            }
        }
        exposure.through = minute;
        evidence.exposure = Some(exposure);
        minute += SignedDuration::from_mins(1);
    }
}
