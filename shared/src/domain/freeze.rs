//! A freeze: nothing new begins and nothing is raised, on one endpoint or on all of the stack's.
//! Guards go on judging and roll back; what is already on the canary stays there.
//!
//! It lies beside the endpoint's lock and not in it, because it outlasts deployments, and is read where
//! it matters: before a deployment is accepted, before an order that raises, and before a pass commits
//! a raise. A freeze that can't be read holds like one that stands. A deployment that was accepted as
//! a hotfix goes on through it, and through closed change windows.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The name that stands for every endpoint of the stack; no endpoint can have it.
pub const EVERY_ENDPOINT: &str = "*";

/// Nothing is raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Freeze {
    /// Why, in the words of whoever ordered it.
    pub reason: String,
    /// Who ordered it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself; absent until somebody lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Freeze {
    /// Whether it still stands.
    pub fn stands_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, by, at, .. } = self;
        write!(f, "frozen by {by} at {at}")?;
        if let Some(until) = self.until {
            write!(f, " until {until}")?;
        }
        write!(f, ": {reason}")
    }
}

/// What is known of a freeze.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FreezeReading {
    /// Nobody asked: nothing was about to be raised.
    #[default]
    NotAsked,
    /// There is none.
    Clear,
    /// One stands.
    Frozen(Freeze),
    /// It could not be read.
    Failed {
        /// Why.
        reason: String,
    },
}

impl FreezeReading {
    /// What stands in the way of a raise, in words.
    pub fn obstacle(&self) -> Option<String> {
        match self {
            Self::NotAsked | Self::Clear => None,
            Self::Frozen(freeze) => Some(freeze.to_string()),
            Self::Failed { reason } => Some(format!(
                "whether the endpoint is frozen could not be read: {reason}"
            )),
        }
    }
}
