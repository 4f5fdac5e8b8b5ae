//! The way back: at once, or down by steps.
//!
//! At once is the default, and what every danger gets: a breach of critical severity, an alarm, a
//! canary unseen for too long, the deadline, an operator's order. A specification may ask for steps
//! where production needs time to take the traffic back (cold caches, a slow scaling): then a breach
//! below critical lowers the share through the weights that lie below the present one and ends with
//! the usual rollback. Nothing on that way ever raises the share by itself.
//!
//! After a completion the way back is a deployment of its own, which has to bring the instances that
//! the former model needs for today's traffic.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::deployment::{Deployment, State};
use super::policy::Grade;
use super::quantity::{Span, Weight};

/// How a deployment goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The steps down; absent where everything is taken back at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
    /// How often a breach may take the share back to the stage before; the next one after that
    /// takes everything back.
    #[serde(default = "Rollback::usual_step_backs")]
    pub step_backs: u32,
}

/// The steps down before everything is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// The shares, strictly falling, from 1 to 99 %.
    pub weights: Vec<Weight>,
    /// How long each share is kept once it is confirmed.
    pub every: Span,
}

/// A way down by steps that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descent {
    /// When it began.
    pub since: Timestamp,
    /// What set it going, as a sentence without a point.
    pub cause: String,
    /// The guard or signal that did, and how bad the policy calls that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<(String, Grade)>,
    /// What was measured, with its unit.
    #[serde(default)]
    pub value: String,
    /// What it was held against, with its unit.
    #[serde(default)]
    pub limit: String,
}

impl Rollback {
    /// The default of `step_backs`.
    pub const STEP_BACKS: u32 = 3;
    /// The most step backs that may be asked for.
    pub const MOST_STEP_BACKS: u32 = 10;

    const fn usual_step_backs() -> u32 {
        Self::STEP_BACKS
    }

    /// The next share on the way down from this record; absent where everything is taken back next.
    /// Never above the target: what was on its way there may have arrived.
    pub fn step_below(&self, state: &State) -> Option<Weight> {
        let weights = &self.steps.as_ref()?.weights;
        let is_lower = |weight: &&Weight| **weight < state.weight && **weight <= state.target;
        weights.iter().find(is_lower).copied()
    }

    /// How long each share is kept.
    pub fn every(&self) -> Span {
        self.steps.as_ref().map_or(Span::ZERO, |steps| steps.every)
    }
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            steps: None,
            step_backs: Self::STEP_BACKS,
        }
    }
}

/// In words, as `canary plan` shows it.
impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.steps {
            None => f.write_str("at once")?,
            Some(Steps { weights, every }) => {
                let weights: Vec<String> = weights.iter().map(ToString::to_string).collect();
                let weights = weights.join(", ");
                write!(
                    f,
                    "by steps below critical severity: {weights}, each kept for {every}, then all of it"
                )?;
            }
        }
        match self.step_backs {
            0 => f.write_str("; no step back"),
            1 => f.write_str("; after 1 step back at the most"),
            most => write!(f, "; after {most} steps back at the most"),
        }
    }
}

impl Deployment {
    /// How many instances the model that was replaced needs for today's traffic, where the one that
    /// replaced it has `present` of them and whether it had the same type: what it needed for all of the
    /// traffic during the rollout, and more by as much as the present fleet has grown since. Never fewer
    /// than either of both: who undoes something has no time for a fleet that is too small.
    pub fn instances_to_undo(&self, present: u32, is_same_type: bool) -> u32 {
        let needed = self.production_needs().max(1);
        let present_then = self.canary_instances_for(Weight::FULL);
        let grown = (u64::from(needed) * u64::from(present)).div_ceil(u64::from(present_then));
        let grown = u32::try_from(grown).unwrap_or(u32::MAX);
        let alike = if is_same_type { present } else { 0 };
        needed.max(grown).max(alike)
    }
}

impl State {
    /// Whether it stands between two steps down: the last one is confirmed, the next not yet begun.
    pub fn rests_on_the_way_down(&self) -> bool {
        self.descent.is_some() && self.weight == self.target
    }
}
