//! One arm against a fixed limit: evidence that the canary is above it, and evidence that it is
//! below.
//!
//! Both are likelihood ratios of single rates. Against "at most p0" the ratio for a p1 above p0 is
//! expected to be at most one at every rate up to p0, and against "at least p0" the same holds
//! below; mixtures, powers up to one and ceilings keep that, as in [`super::e_process`].

use serde::{Deserialize, Serialize};

use super::Counts;
use super::capital::{Capital, ln_sum};
use super::e_process::{MOST_PER_MINUTE, lowered};
use crate::domain::quantity::Rate;

/// How many times the limit is bet on by the guard.
pub const ABOVE: [f64; 5] = [1.5, 2.0, 3.0, 5.0, 10.0];
/// The part of the capital on each.
const PARTS: [f64; 5] = [0.25, 0.45, 0.2, 0.05, 0.05];
/// Which parts of the limit are bet on by the gate.
pub const BELOW: [f64; 3] = [0.5, 0.25, 0.1];
/// Evidence, as a factor, from which the canary counts as shown to be below the limit.
pub const OPENS_FROM: f64 = 20.0;

/// A share of bad outcomes that can be exceeded as well as kept: above 0 and below 100 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit(f64);

impl Limit {
    /// `None` for 0 %, which the first bad outcome breaks, and 100 %, which nothing breaks.
    pub fn new(rate: Rate) -> Option<Self> {
        let fraction = rate.fraction();
        (fraction > 0.0 && fraction < 1.0).then_some(Self(fraction))
    }

    /// The rate as a fraction.
    pub const fn fraction(self) -> f64 {
        self.0
    }

    /// The logarithm of the likelihood of these counts at another rate, over that at the limit.
    fn ln_ratio(self, other: f64, counts: Counts) -> f64 {
        let good = (counts.n - counts.x) as f64;
        let bad = counts.x as f64;
        // ln(1 - p) by ln_1p: at limits of a few in a million the plain form loses its digits.
        bad * (other / self.0).ln() + good * ((-other).ln_1p() - (-self.0).ln_1p())
    }
}

/// What an absolute guard judges under.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AbsoluteSettings {
    limit: Limit,
    longest_minutes: u64,
    kappa: f64,
    ceiling: f64,
}

impl AbsoluteSettings {
    /// As [`super::Settings::new`].
    pub fn new(limit: Limit, longest_minutes: u64, kappa: f64) -> Option<Self> {
        let fit = kappa.is_finite() && kappa >= 0.0 && longest_minutes > 0;
        fit.then_some(Self {
            limit,
            longest_minutes,
            kappa,
            ceiling: MOST_PER_MINUTE,
        })
    }

    /// As [`super::Settings::with_ceiling`].
    #[must_use]
    pub fn with_ceiling(mut self, ceiling: f64) -> Self {
        self.ceiling = lowered(ceiling);
        self
    }

    /// As [`super::Settings::in_parts`].
    #[must_use]
    pub fn in_parts(mut self, parts: u64) -> Self {
        let parts = parts.max(1) as f64;
        (self.kappa, self.ceiling) = (self.kappa / parts, self.ceiling * parts);
        self
    }
}

/// Evidence that the canary's share of bad outcomes is above a limit, by the same mixture as the
/// comparison. The one arm's excess variance over chance is kappa times what it expects at the
/// limit, which stands where the comparison has the variance of the split; past a limit of one half,
/// of the good outcomes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AbsoluteGuard {
    capital: Capital<5>,
    canary: Counts,
}

impl AbsoluteGuard {
    /// Takes in one minute; false when it had no trials and was left out.
    pub fn take_in(&mut self, settings: &AbsoluteSettings, canary: Counts) -> bool {
        if canary.n == 0 {
            return false;
        }
        let factors = factors(settings, canary);
        self.capital
            .take_in(factors, PARTS, settings.longest_minutes);
        self.canary = self.canary.plus(canary);
        true
    }

    /// The logarithm of the evidence against "at most the limit"; minus infinity before the first
    /// minute.
    pub fn ln_e(&self) -> f64 {
        self.capital.ln_total()
    }

    /// The canary's counts over the minutes taken in.
    pub const fn canary(&self) -> Counts {
        self.canary
    }

    /// Minutes taken in.
    pub const fn minutes(&self) -> u64 {
        self.capital.minutes()
    }
}

/// The logarithms of one minute's factors, one per alternative.
pub(super) fn factors(settings: &AbsoluteSettings, canary: Counts) -> [f64; 5] {
    let tempering = (settings.kappa, settings.ceiling);
    factors_at(settings.limit, tempering, ABOVE, canary)
}

/// The same for any multiples of a limit, at a burstiness and a ceiling. A multiple that would be no rate gives way to the middle
/// between the limit and everything.
pub(super) fn factors_at<const K: usize>(
    limit: Limit,
    (kappa, ceiling): (f64, f64),
    multiples: [f64; K],
    canary: Counts,
) -> [f64; K] {
    // Burstiness is that of the rarer outcomes, as it was measured.
    let rarer = limit.0.min(1.0 - limit.0);
    let power = 1.0 / (1.0 + kappa * rarer * canary.n as f64);
    multiples.map(|multiple| {
        let rate = if limit.0 * multiple < 1.0 {
            limit.0 * multiple
        } else {
            f64::midpoint(limit.0, 1.0)
        };
        (power * limit.ln_ratio(rate, canary)).min(ceiling)
    })
}

/// Evidence that the canary's share of bad outcomes is below a limit: what a stage may be asked
/// for before it is left. It has one beginning and no ceiling, so the totals say all of it.
/// Bursty counts are not tempered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SafeGate {
    canary: Counts,
}

impl SafeGate {
    /// Takes in one minute.
    pub fn take_in(&mut self, canary: Counts) {
        self.canary = self.canary.plus(canary);
    }

    /// The logarithm of the evidence against "at least the limit"; 0 before the first minute.
    pub fn ln_e(&self, limit: Limit) -> f64 {
        let part = 1.0 / BELOW.len() as f64;
        let terms = BELOW.map(|factor| {
            // Of mostly bad outcomes so many times the good ones: half the bad ones would be far more.
            let good = (1.0 - limit.0) / factor;
            let other = if limit.0 > 0.5 && good < 1.0 {
                1.0 - good
            } else {
                limit.0 * factor
            };
            part.ln() + limit.ln_ratio(other, self.canary)
        });
        ln_sum(&terms)
    }

    /// Whether the canary is shown to be below the limit.
    pub fn is_open(&self, limit: Limit) -> bool {
        self.ln_e(limit) >= OPENS_FROM.ln()
    }

    /// How many more trials it takes to open at the present share of bad outcomes; `None` when it
    /// does not lead there.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is a count"
    )]
    pub fn more_needed(&self, limit: Limit) -> Option<u64> {
        let seen = self.canary.n();
        let share = self.canary.rate().unwrap_or(0.0);
        // Doubling, then halving: the evidence of a constant share grows with the trials.
        let opens = |more: u64| {
            let trials = seen.saturating_add(more);
            let bad = (trials as f64 * share).round() as u64;
            Counts::new(trials, bad.min(trials))
                .is_some_and(|canary| Self { canary }.is_open(limit))
        };
        let mut enough = 1u64;
        while !opens(enough) {
            enough = enough.checked_mul(2).filter(|more| *more < 1 << 40)?;
        }
        let mut short = enough / 2;
        while enough - short > 1 {
            let middle = u64::midpoint(short, enough);
            if opens(middle) {
                enough = middle;
            } else {
                short = middle;
            }
        }
        Some(enough)
    }

    /// The canary's counts so far.
    pub const fn canary(&self) -> Counts {
        self.canary
    }
}
