//! Exact 95 % intervals of shares and of quantiles.
//!
//! For a share it is Clopper's and Pearson's (1934): the bounds are quantiles of beta distributions,
//! found by halving the regularized incomplete beta function, which is the continued fraction 8.17.22
//! of the Digital Library of Mathematical Functions, evaluated by the modified method of Lentz
//! (Thompson and Barnett 1986). For a quantile it is the pair of order statistics whose ranks the
//! binomial distribution gives, so it holds for whatever shape the values have.
//!
//! Exact here and not in `comparison::effect`, whose intervals are computed every minute: this runs
//! once for a file, on rare outcomes, where an approximation is worst.

/// What both bounds together leave out.
const LEFT_OUT: f64 = 0.05;
/// More terms than the fraction takes for a hundred million rows.
const MOST_TERMS: u32 = 200_000;
/// Halvings after which a bound between 0 and 1 does not move any more.
const HALVINGS: u32 = 100;
/// What Lentz's method puts in place of a zero.
const TINY: f64 = 1e-300;

/// Where a share lies that showed so many of so many, `hits <= trials`; everywhere without a trial.
pub fn share(hits: u64, trials: u64) -> (f64, f64) {
    let (hit, missed) = (hits as f64, (trials - hits) as f64);
    let low = if hits == 0 {
        0.0
    } else {
        beta_quantile(LEFT_OUT / 2.0, hit, missed + 1.0)
    };
    let high = if hits == trials {
        1.0
    } else {
        beta_quantile(1.0 - LEFT_OUT / 2.0, hit + 1.0, missed)
    };
    (low, high)
}

/// The ranks, counted from 1, between which a quantile of so many values lies; a bound is absent
/// where they are too few for one.
pub fn ranks(quantile: f64, values: u64) -> (Option<u64>, Option<u64>) {
    let low = how_many(values, |k| at_most(k, values, quantile) <= LEFT_OUT / 2.0);
    let high = how_many(values, |k| {
        at_most(k, values, quantile) < 1.0 - LEFT_OUT / 2.0
    });
    (
        (low > 0).then_some(low),
        (high < values).then_some(high + 1),
    )
}

/// How many numbers from 0 to below `end` fulfil a condition that, once broken, stays broken.
fn how_many(end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The chance of at most `k` hits in `trials` above `k`.
fn at_most(k: u64, trials: u64, chance: f64) -> f64 {
    incomplete_beta((trials - k) as f64, k as f64 + 1.0, 1.0 - chance)
}

fn beta_quantile(part: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if incomplete_beta(a, b, middle) < part {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularized incomplete beta function of a and b above zero.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // The fraction is quick on this side of the mean, and the two sides add up to one.
    if x < (a + 1.0) / (a + b + 2.0) {
        front / a / fraction(a, b, x)
    } else {
        1.0 - front / b / fraction(b, a, 1.0 - x)
    }
}

/// The denominator of the continued fraction.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let (mut value, mut above, mut below) = (1.0, 1.0, 0.0);
    for term in 1..MOST_TERMS {
        let m = f64::from(term / 2);
        let numerator = if term % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        below = 1.0 / not_zero(1.0 + numerator * below);
        above = not_zero(1.0 + numerator / above);
        let factor = above * below;
        value *= factor;
        if (factor - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

fn not_zero(value: f64) -> f64 {
    if value.abs() < TINY { TINY } else { value }
}

/// The logarithm of the gamma function above zero: Stirling's series (DLMF 5.11.1) from ten on,
/// and below it by the recurrence.
pub(super) fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = (1.0 / 12.0
        - square
            * (1.0 / 360.0
                - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square * (1.0 / 1188.0)))))
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}
