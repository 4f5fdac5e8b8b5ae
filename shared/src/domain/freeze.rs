//! A freeze: nothing new begins and nothing is raised, on one endpoint or on all of the stack's.
//! Guards go on judging and roll back; what is already on the canary stays there.
//!
//! It lies beside the endpoint's lock and not in it, because it outlasts deployments, and is read where
//! it matters: before a deployment is accepted, before an order that raises, before a pass commits a
//! raise, and before the call that makes one. A freeze that can't be read holds like one that stands. A
//! deployment that was accepted as a hotfix goes on through it, and through closed change windows.
//!
//! Whoever may deploy may freeze, and only who may lift a freeze may make one end earlier. So an order
//! that would end a standing freeze later, or never, prolongs it: who froze first, and why, stays.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::deployment::Deployment;
use super::due::Effect;
use super::observation::EndpointReading;

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
    /// Who prolonged it last, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prolonged: Option<Prolonged>,
}

/// A freeze that stood was made to stand longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Prolonged {
    /// Why, in the words of whoever ordered it.
    pub reason: String,
    /// Who ordered it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Why a freeze can't end when it is ordered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitEnd {
    /// No time, or one beyond all calendars.
    #[error("until is a time like 2026-12-27T00:00:00Z, at most 366 days ahead")]
    Unreadable,
    /// It would stand for no moment.
    #[error("until is over already; name a time to come, or leave it out")]
    Over,
    /// Further ahead than [`Freeze::LONGEST`].
    #[error(
        "until is more than 366 days ahead; name an earlier time, or leave it out: the freeze then stands until somebody lifts it"
    )]
    Far,
}

impl Freeze {
    /// The longest that one is ordered for with an end of its own: whoever means for ever says no end.
    pub const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

    /// The end that an order names.
    pub fn end(text: &str) -> Result<Timestamp, UnfitEnd> {
        text.parse().map_err(|_| UnfitEnd::Unreadable)
    }

    /// Whether an order may name this end now.
    pub fn check_end(until: Timestamp, now: Timestamp) -> Result<(), UnfitEnd> {
        match until.duration_since(now) {
            left if left <= SignedDuration::ZERO => Err(UnfitEnd::Over),
            left if left > Self::LONGEST => Err(UnfitEnd::Far),
            _ => Ok(()),
        }
    }

    /// Whether it still stands.
    pub fn stands_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether it ends before the other one does.
    pub fn ends_before(&self, other: &Self) -> bool {
        let end = |freeze: &Self| freeze.until.unwrap_or(Timestamp::MAX);
        end(self) < end(other)
    }

    /// This one until the other one's end, which is no earlier. The same order once more changes
    /// nothing but that.
    #[must_use]
    pub fn prolonged_by(&self, order: Self) -> Self {
        let is_the_same = self.by == order.by && self.reason == order.reason;
        let Self {
            reason,
            by,
            at,
            until,
            ..
        } = order;
        let prolonged = if is_the_same {
            self.prolonged.clone()
        } else {
            Some(Prolonged { reason, by, at })
        };
        Self {
            until,
            prolonged,
            ..self.clone()
        }
    }
}

/// What was set over an endpoint, whether or not it still stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Freezes {
    /// Under the name that was asked for.
    pub own: Option<Freeze>,
    /// The whole stack's, where that is another.
    pub stack: Option<Freeze>,
}

impl Freezes {
    /// The one that stands: the endpoint's own first.
    pub fn standing_at(self, now: Timestamp) -> Option<Freeze> {
        let both = self.own.into_iter().chain(self.stack);
        both.into_iter().find(|freeze| freeze.stands_at(now))
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, by, at, .. } = self;
        write!(f, "frozen by {by} at {at:.0}")?;
        if let Some(until) = self.until {
            write!(f, " until {until:.0}")?;
        }
        write!(f, ": {reason}")?;
        match &self.prolonged {
            Some(Prolonged { reason, by, at }) => {
                write!(f, "; prolonged by {by} at {at:.0}: {reason}")
            }
            None => Ok(()),
        }
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
    /// What it lets through of an effect that is due: what goes up waits, but for a hotfix.
    pub fn let_through(
        &self,
        effect: Effect,
        deployment: &Deployment,
        endpoint: &EndpointReading,
    ) -> Option<Effect> {
        let waits = self.obstacle().is_some()
            && deployment.terms.clearance.hotfix.is_none()
            && effect.goes_up(deployment, endpoint);
        (!waits).then_some(effect)
    }

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
