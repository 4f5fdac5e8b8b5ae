//! The share that the canary really has, by the weights in force at the endpoint, whoever set them. The
//! share of the record is the one last confirmed; where the endpoint has the same, nothing more is kept.
//!
//! What is expected of the canary goes by the share in force: a variant that somebody took every request
//! from has none to be seen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::deployment::State;
use super::observation::TOLERANCE;
use super::quantity::{TrafficShare, Weight};

/// The canary's share at the endpoint, once it was seen to be another one than was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// As it was last seen.
    pub share: TrafficShare,
    /// The one before it.
    pub before: TrafficShare,
    /// The first pass that saw it: a minute that began earlier may have had either.
    pub since: Timestamp,
}

impl State {
    /// The canary's share when the endpoint was last seen.
    pub fn share_in_force(&self) -> TrafficShare {
        self.in_force
            .map_or_else(|| self.weight.into(), |it| it.share)
    }

    /// The share in a minute that began then, as far as the passes tell.
    pub fn share_at(&self, minute: Timestamp) -> TrafficShare {
        match self.in_force {
            Some(it) if minute < it.since => it.before,
            _ => self.share_in_force(),
        }
    }

    /// The least share that the canary may have had in that minute.
    pub fn least_share_at(&self, minute: Timestamp) -> TrafficShare {
        self.share_at(minute).min(self.share_in_force())
    }

    /// Whether the share in force has been the same since the minute began.
    pub fn is_unmoved_since(&self, minute: Timestamp) -> bool {
        self.in_force.is_none_or(|it| minute >= it.since)
    }

    /// The share in force in percent, where it is not the confirmed one.
    pub fn observed_weight(&self) -> Option<f64> {
        self.unconfirmed(self.share_in_force())
    }

    /// The same of a minute that began then.
    pub fn observed_weight_at(&self, minute: Timestamp) -> Option<f64> {
        self.unconfirmed(self.share_at(minute))
    }

    fn unconfirmed(&self, share: TrafficShare) -> Option<f64> {
        (share != TrafficShare::from(self.weight)).then(|| share.percent())
    }

    /// Takes in the share that the endpoint shows, 0 to 1.
    pub fn see_share(&mut self, share: f64, now: Timestamp) {
        let before = self.share_in_force();
        if (share - before.fraction()).abs() >= TOLERANCE {
            self.in_force = Some(InForce {
                share: TrafficShare::from_fraction(share),
                before,
                since: now,
            });
            self.had_traffic |= self.share_in_force() > TrafficShare::NONE;
        }
    }

    /// The endpoint has this share, and is to have it.
    pub fn confirm(&mut self, weight: Weight) {
        (self.weight, self.in_force, self.lowered_since) = (weight, None, None);
    }
}
