//! How much more than chance the bad outcomes vary from one minute to the next.
//!
//! Independent requests give counts whose variance is their mean. Real errors come in bursts: a
//! slow dependency, a garbage collection, one bad client. The excess is measured on production
//! before the rollout, from differences of neighbouring minutes, so that the slow curve of a day
//! does not count as a burst.

use serde::{Deserialize, Serialize};

/// Evidence is tempered at least this much, for what a calm day does not show.
pub const LEAST: f64 = 0.1;
/// And at most this much: past it the counts say little of anything.
pub const MOST: f64 = 5.0;

/// How the bad outcomes vary from minute to minute, taken in one minute at a time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Variation {
    minutes: u64,
    sum: f64,
    squares: f64,
    last: u64,
}

impl Variation {
    /// The next minute's bad outcomes.
    pub fn push(&mut self, bad: u64) {
        if self.minutes > 0 {
            self.squares += (bad as f64 - self.last as f64).powi(2);
        }
        self.minutes += 1;
        self.sum += bad as f64;
        self.last = bad;
    }

    /// The squared coefficient of variation beyond chance: (mean of squared differences / 2 - mean)
    /// / mean^2, never below zero. Zero of fewer than two minutes and of no bad outcome at all.
    pub fn excess(&self) -> f64 {
        if self.minutes < 2 || self.sum <= 0.0 {
            return 0.0;
        }
        let mean = self.sum / self.minutes as f64;
        let half_mean_square = self.squares / (self.minutes - 1) as f64 / 2.0;
        ((half_mean_square - mean) / (mean * mean)).max(0.0)
    }
}

/// [`Variation::excess`] of minutes in order.
pub fn excess_variation(bad_by_minute: &[u64]) -> f64 {
    let mut variation = Variation::default();
    for bad in bad_by_minute {
        variation.push(*bad);
    }
    variation.excess()
}

/// The burstiness of the pair. Bursts of single instances average out over many, so an arm with
/// fewer of them than production is the burstier one by that ratio; a count of zero is taken as
/// one.
pub fn kappa(excess_variation: f64, production_instances: u32, canary_instances: u32) -> f64 {
    let ratio = f64::from(production_instances.max(1)) / f64::from(canary_instances.max(1));
    let kappa = excess_variation * (1.0 + ratio);
    // `clamp` would hand a NaN on.
    if kappa.is_nan() {
        MOST
    } else {
        kappa.clamp(LEAST, MOST)
    }
}
