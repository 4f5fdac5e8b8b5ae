//! The bad outcomes of one arm, minute by minute, of a rollout that is unlucky to a given degree.
//!
//! The total over the first t minutes stays at one quantile of its distribution, for every t.
//! Minutes are its differences, so counts stay whole numbers and no rounding adds up.

use super::normal;
use crate::domain::comparison::Counts;

/// Up to this mean the distribution is summed term by term; above it a gamma curve of the same
/// mean, variance and skewness is off by less than one.
const SUMMED_UP_TO: f64 = 20.0;
/// No sum goes on for longer.
const MOST_TERMS: u32 = 10_000;

/// One arm's traffic, and how lucky it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arm {
    /// Trials a minute.
    pub(super) trials: f64,
    /// The share of bad ones.
    pub(super) rate: f64,
    /// The squared coefficient of variation of the rate from minute to minute.
    pub(super) bursts: f64,
    /// How much of the chance in the number of requests counts as chance in the bad ones, 0 to 1.
    pub(super) arrivals: f64,
    /// How many standard deviations from the middle: below zero for few bad outcomes.
    pub(super) deviation: f64,
}

impl Arm {
    /// The variance of one minute's bad outcomes.
    pub(super) fn variance(&self) -> f64 {
        let mean = self.trials * self.rate;
        let chance = 1.0 - self.rate + self.arrivals * self.rate;
        mean * chance + self.possible_bursts() * mean * mean
    }

    /// A share can't vary beyond being 0 or 1, which bounds the bursts of a high one.
    fn possible_bursts(&self) -> f64 {
        self.bursts
            .min((1.0 - self.rate) / self.rate.max(f64::MIN_POSITIVE))
    }

    /// The minutes, without end.
    pub(super) fn minutes(self) -> impl Iterator<Item = Counts> {
        let below = normal::above(-self.deviation);
        let (mean, variance) = (self.trials * self.rate, self.variance());
        let (mut trials_before, mut bad_before) = (0, 0);
        (1_u64..).map(move |minutes| {
            // Independent minutes: mean and variance of the total grow alike.
            let length = minutes as f64;
            let trials = whole(length * self.trials);
            let total = quantile(length * mean, length * variance, below, self.deviation);
            let fresh = trials.saturating_sub(trials_before);
            let bad = total.saturating_sub(bad_before).min(fresh);
            trials_before = trials;
            bad_before += bad;
            Counts::new(fresh, bad).expect("the bad ones are bounded by the trials")
        })
    }
}

/// Both arms minute by minute. The comparison leaves out minutes in which an arm had no trials, and
/// where requests come so rarely, evenly spaced ones would meet too often or never: of each arm
/// only the part that falls into minutes with both is kept, and a minute is absent until both
/// have something.
pub(super) fn pairs(
    canary: Arm,
    production: Arm,
) -> impl Iterator<Item = Option<(Counts, Counts)>> {
    let kept = |arm: Arm, other: Arm| Arm {
        // The chance of at least one trial of the other arm, arrivals being independent.
        trials: arm.trials * -(-other.trials).exp_m1(),
        ..arm
    };
    let minutes = kept(canary, production)
        .minutes()
        .zip(kept(production, canary).minutes());
    minutes.scan(
        (Counts::NONE, Counts::NONE),
        |waiting, (canary, production)| {
            *waiting = (waiting.0.plus(canary), waiting.1.plus(production));
            let complete = waiting.0.n() > 0 && waiting.1.n() > 0;
            Some(complete.then(|| std::mem::take(waiting)))
        },
    )
}

/// The smallest count that is not exceeded with probability `below`, which is that of a normal
/// value below `deviation`.
///
/// A variance below the mean is binomial, at it Poisson, above it negative binomial: the three
/// share one recursion (Panjer 1981, "Recursive evaluation of a family of compound distributions").
pub(super) fn quantile(mean: f64, variance: f64, below: f64, deviation: f64) -> u64 {
    // All trials bad, or none.
    if variance <= mean * 1e-9 {
        return whole(mean);
    }
    if mean > SUMMED_UP_TO {
        return whole(gamma_curve(mean, variance, deviation));
    }
    let slope = 1.0 - mean / variance;
    let offset = mean * mean / variance - slope;
    let ln_none = if slope.abs() < 1e-9 {
        -mean
    } else {
        (slope + offset) / slope * (-slope).ln_1p()
    };
    let mut term = ln_none.exp();
    let mut sum = term;
    let mut count = 0_u32;
    while sum < below && count < MOST_TERMS {
        count += 1;
        term *= slope + offset / f64::from(count);
        if term <= 0.0 {
            break;
        }
        sum += term;
    }
    u64::from(count)
}

/// The same for a large mean, by Wilson and Hilferty's cube ("The distribution of chi-square",
/// 1931) of a gamma curve with the mean, variance and skewness of the count.
fn gamma_curve(mean: f64, variance: f64, deviation: f64) -> f64 {
    let spread = variance.sqrt();
    let skewness = (2.0 * variance / mean - 1.0) / spread;
    let standardised = if skewness.abs() < 1e-6 {
        deviation
    } else {
        let root = 1.0 + skewness * deviation / 6.0 - skewness * skewness / 36.0;
        (root.max(0.0).powi(3) - 1.0) * 2.0 / skewness
    };
    // Rounding stands for the continuity correction: a count k takes in all up to k + 1/2.
    mean + spread * standardised
}

/// The nearest whole number of trials or outcomes.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count: never negative, and a float's cast saturates"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}
