//! Whether the requests are split between the arms as the weights say: the sample-ratio check.
//!
//! A split that does not fit is a fault of routing (a sticky client, a cache, a variant that refuses
//! connections), and then no comparison of the arms can be trusted. Each request falls on the canary
//! with the intended share; bets on a larger and on a smaller share go on as in
//! [`super::e_process`], each against odds that are still tolerated.

use serde::{Deserialize, Serialize};

use super::capital::Capital;
use super::e_process::MOST_PER_MINUTE;

/// The factor by which the odds may differ from the intended ones, either way: what keep-alive and
/// a handful of heavy clients do.
pub const TOLERATED: f64 = 1.2;
/// How much further the odds are bet to differ.
const FURTHER: [f64; 2] = [1.5, 3.0];
/// Evidence, as a factor, from which the split counts as wrong.
const REFUTED_FROM: f64 = 1000.0;
/// Minutes in a row without a sign of it, after which a wrong split counts as repaired.
const REPAIRED_AFTER: u32 = 10;
/// Minutes over which the beginnings of a fault are spread: a day.
const LONGEST_MINUTES: u64 = 1440;

/// The requests of one stage, and the evidence that they are split otherwise than intended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Split {
    capital: Capital<4>,
    #[serde(default)]
    intended: Option<f64>,
    canary: u64,
    production: u64,
    #[serde(default)]
    fitting: u32,
}

impl Split {
    /// Takes in one minute's requests of both arms under an intended share of the canary; false
    /// when there is nothing to tell from: no request, or all of them meant for one arm.
    pub fn take_in(&mut self, share: f64, canary: u64, production: u64) -> bool {
        if canary == 0 && production == 0 || !(share > 0.0 && share < 1.0) {
            return false;
        }
        let factors = factors(share, canary, production);
        let fits = factors.iter().all(|factor| *factor <= 0.0);
        self.fitting = if fits { self.fitting + 1 } else { 0 };
        if self.is_refuted() && self.fitting >= REPAIRED_AFTER {
            // A capital of hours would take hours to lose: what was repaired is judged anew.
            *self = Self::default();
        }
        self.capital.take_in(factors, [0.25; 4], LONGEST_MINUTES);
        self.intended = Some(share);
        self.canary = self.canary.saturating_add(canary);
        self.production = self.production.saturating_add(production);
        true
    }

    /// The logarithm of the evidence; minus infinity before the first minute.
    pub fn ln_e(&self) -> f64 {
        self.capital.ln_total()
    }

    /// Whether the requests are not split as intended.
    pub fn is_refuted(&self) -> bool {
        self.ln_e() >= REFUTED_FROM.ln()
    }

    /// The share that the canary was meant to get.
    pub const fn intended(&self) -> Option<f64> {
        self.intended
    }

    /// The canary's share of the requests taken in, and their number.
    pub fn observed(&self) -> Option<(f64, u64)> {
        let all = self.canary.saturating_add(self.production);
        (all > 0).then(|| (self.canary as f64 / all as f64, all))
    }
}

/// The logarithms of one minute's factors: the canary's odds too high, then too low.
pub(super) fn factors(share: f64, canary: u64, production: u64) -> [f64; 4] {
    let (canary, production) = (canary as f64, production as f64);
    let bet = |share: f64, own: f64, ratio: f64| {
        let most = TOLERATED * share / (TOLERATED * share + 1.0 - share);
        let gain = own * ratio.ln() - (canary + production) * (most * (ratio - 1.0)).ln_1p();
        gain.min(MOST_PER_MINUTE)
    };
    let [near, far] = FURTHER;
    [
        bet(share, canary, near),
        bet(share, canary, far),
        bet(1.0 - share, production, near),
        bet(1.0 - share, production, far),
    ]
}
