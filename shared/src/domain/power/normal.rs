//! The normal distribution, to the dozen digits that quantiles of counts need.
//!
//! Near the middle Marsaglia's series, in the tails Laplace's continued fraction (both in
//! Abramowitz and Stegun, 26.2.11 and 26.2.14): one page instead of a library.

/// From here on the continued fraction is the better of the two.
const TAIL_FROM: f64 = 3.0;
/// Past this the density is zero in a float.
const FARTHEST: f64 = 38.0;

/// The probability of a value above `z`.
pub(super) fn above(z: f64) -> f64 {
    if z >= TAIL_FROM {
        density(z) / tail_fraction(z)
    } else if z <= -TAIL_FROM {
        1.0 - density(z) / tail_fraction(-z)
    } else {
        0.5 - density(z) * odd_series(z)
    }
}

/// The value that this probability lies above; `None` for a probability of zero, of one, and for
/// what is none.
pub(super) fn exceeded_by(probability: f64) -> Option<f64> {
    if !(probability > 0.0 && probability < 1.0) {
        return None;
    }
    let (mut low, mut high) = (-FARTHEST, FARTHEST);
    // Halving 76 down to the last digit of a float near one.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if above(middle) > probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(f64::midpoint(low, high))
}

fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// z + z^3/3 + z^5/(3 5) + ...
fn odd_series(z: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (z, z, 1.0);
    while term.abs() > 1e-17 {
        odd += 2.0;
        term *= z * z / odd;
        sum += term;
    }
    sum
}

/// z + 1/(z + 2/(z + 3/(z + ...))), deep enough from [`TAIL_FROM`] on.
fn tail_fraction(z: f64) -> f64 {
    (1..=100)
        .rev()
        .fold(z, |below, step| z + f64::from(step) / below)
}
