//! Where a share lies, however often one looks: a confidence sequence for the chance of an outcome.
//!
//! The capital of a wager against a chance p, mixed over all alternatives by the Jeffreys prior
//! Beta(1/2, 1/2), is a martingale while p is the true chance. By Ville's inequality it ever reaches
//! 1/alpha with a probability of alpha at most, so the chances it has not refuted hold the true one
//! at all times together with a probability of 1 - alpha (Robbins, "Statistical methods related to
//! the law of the iterated logarithm", 1970; Howard et al., 2021). An interval for one look would be
//! wrong sooner or later where every minute is a look.
//!
//! The bound is for independent outcomes. Outcomes that come in bursts, many of one user, make it
//! narrower than it should be.

use serde::{Deserialize, Serialize};

use super::Counts;

/// Bounds of a share, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ShareBounds))]
pub struct Bounds {
    /// The lowest share that is not refuted.
    pub low: f64,
    /// The highest share that is not refuted.
    pub high: f64,
}

/// Halvings of the range in which a bound is looked for: 2^-52 of it is left.
const HALVINGS: u32 = 52;

/// The shares that are not refuted at this error probability, which is above 0 and below 1. Of
/// nothing counted, everything is possible.
pub fn bounds(counts: Counts, alpha: f64) -> Bounds {
    let Some(rate) = counts.rate() else {
        return Bounds {
            low: 0.0,
            high: 1.0,
        };
    };
    let (ceiling, mixture) = (-alpha.ln(), ln_mixture(counts));
    let is_refuted = |share: f64| mixture - ln_likelihood(counts, share) >= ceiling;
    let edge = |refuted_end: f64| {
        let (mut inside, mut outside) = (rate, refuted_end);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(inside, outside);
            if is_refuted(middle) {
                outside = middle;
            } else {
                inside = middle;
            }
        }
        outside
    };
    Bounds {
        low: if counts.x() == 0 { 0.0 } else { edge(0.0) },
        high: if counts.x() == counts.n() {
            1.0
        } else {
            edge(1.0)
        },
    }
}

/// The logarithm of the mixture's likelihood; the capital against a chance is that over its own.
fn ln_mixture(counts: Counts) -> f64 {
    let (hits, misses) = (counts.x() as f64, (counts.n() - counts.x()) as f64);
    ln_beta(hits + 0.5, misses + 0.5) - ln_beta(0.5, 0.5)
}

fn ln_likelihood(counts: Counts, chance: f64) -> f64 {
    let (hits, misses) = (counts.x() as f64, (counts.n() - counts.x()) as f64);
    times_ln(hits, chance) + times_ln(misses, 1.0 - chance)
}

/// `times` x ln `of`, where nothing times anything is nothing.
fn times_ln(times: f64, of: f64) -> f64 {
    if times == 0.0 { 0.0 } else { times * of.ln() }
}

fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn counts(n: u64, x: u64) -> Counts {
        Counts::new(n, x).expect("not more than were tried")
    }

    #[test]
    fn nothing_counted_excludes_nothing() {
        assert_eq!(
            bounds(Counts::NONE, 0.05),
            Bounds {
                low: 0.0,
                high: 1.0
            }
        );
    }

    #[test]
    fn the_bounds_hold_the_rate_and_close_in_on_it() {
        let mut last = 1.0;
        for n in [10, 100, 1000, 10_000, 1_000_000_000] {
            let Bounds { low, high } = bounds(counts(n, n / 10 * 3), 0.05);
            assert!(low < 0.3 && 0.3 < high, "{n}: {low} to {high}");
            assert!(high - low < last, "{n} narrows");
            last = high - low;
        }
        assert!(last < 1e-3, "10^9 outcomes leave {last}");
    }

    #[test]
    fn all_or_none_leave_that_end_open() {
        let none = bounds(counts(100, 0), 0.05);
        assert!(
            none.low == 0.0 && none.high > 0.02 && none.high < 0.1,
            "{none:?}"
        );
        let all = bounds(counts(100, 100), 0.05);
        assert!(
            all.high >= 1.0 && (all.low - (1.0 - none.high)).abs() < 1e-12,
            "{all:?}"
        );
    }

    /// n, x, alpha and both bounds: the roots of the capital less 1/alpha, computed apart from this
    /// code with mpmath 1.3 at 40 digits.
    const REFERENCE: [(u64, u64, f64, f64, f64); 4] = [
        (20, 3, 0.05, 0.013_269_321_691_109_6, 0.475_253_097_076_766),
        (500, 120, 0.05, 0.176_755_050_344_352, 0.311_951_787_966_446),
        (
            500,
            120,
            0.001,
            0.161_300_395_012_412,
            0.332_718_364_245_305,
        ),
        (
            100_000,
            99_000,
            0.01,
            0.988_482_232_208_851,
            0.991_379_465_237_893,
        ),
    ];

    #[test]
    fn the_bounds_are_the_roots_of_the_capital() {
        for (n, x, alpha, low, high) in REFERENCE {
            let found = bounds(counts(n, x), alpha);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(
                close(found.low, low) && close(found.high, high),
                "{n} {x}: {found:?}"
            );
        }
    }

    #[test]
    fn looking_at_every_outcome_errs_no_more_often_than_it_may() {
        let (looks, runs, alpha) = (600, 400, 0.05);
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut is_wrong_once = || {
            let mut x = 0;
            (1..=looks).any(|n| {
                x += u64::from(random.random_bool(0.2));
                let Bounds { low, high } = bounds(counts(n, x), alpha);
                !(low..=high).contains(&0.2)
            })
        };
        let wrong = (0..runs).filter(|_| is_wrong_once()).count();
        // Three standard deviations above 5 % of 400.
        assert!(
            wrong <= 33,
            "{wrong} of {runs} sequences left the true share out"
        );
    }
}
