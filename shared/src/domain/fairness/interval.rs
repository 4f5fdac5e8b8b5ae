//! Intervals of the largest difference and of the smallest ratio between groups, from an interval of each
//! group's share.
//!
//! What a share is uncertain by is read off its own interval, and the variances of the two are added, not the
//! widths: MOVER, the method of variance estimates recovery (Zou and Donner, "Construction of confidence limits
//! about effect measures", 2008; for two shares it is Newcombe's hybrid interval of 1998), and for a ratio MOVER-R
//! (Donner and Zou, "Closed-form confidence intervals for functions of the normal mean and standard deviation",
//! 2012). Dividing the one end by the other, as if both groups were unlucky at once, asks for twice as many
//! predictions before a ratio of 0.5 is shown.
//!
//! The intervals that go in hold at all times together ([`crate::domain::comparison::proportion`]). That those
//! that come out do is simulated and not proved: a measure exactly at its limit is called broken at any of 1000
//! looks in at most 1 % of rollouts, and in 2 % where groups of two count. That is so for shares from 1 to 95 %,
//! for two groups and for eight, and where one group is nine times as large as the other; 5 % are allowed.

use crate::domain::comparison::proportion::Bounds;

/// A group's share of positive predictions, and where it lies.
pub(super) struct Rated<'a> {
    pub(super) name: &'a str,
    pub(super) rate: f64,
    pub(super) bounds: Bounds,
}

impl Rated<'_> {
    fn above_low(&self) -> f64 {
        self.rate - self.bounds.low
    }

    fn below_high(&self) -> f64 {
        self.bounds.high - self.rate
    }
}

/// A bound of what lies between two groups.
type Bound = fn(&Rated<'_>, &Rated<'_>) -> f64;

/// Bounds of the highest share less the lowest.
pub(super) fn difference(groups: &[Rated<'_>]) -> Bounds {
    let highest = |bound: Bound| pairs(groups, bound).fold(0.0, f64::max);
    Bounds {
        low: highest(|a, b| a.rate - b.rate - a.above_low().hypot(b.below_high())),
        high: highest(|a, b| a.rate - b.rate + a.below_high().hypot(b.above_low())),
    }
}

/// Bounds of the lowest share over the highest.
pub(super) fn ratio(groups: &[Rated<'_>]) -> Bounds {
    let lowest = |bound: Bound| pairs(groups, bound).fold(1.0, f64::min);
    Bounds {
        low: lowest(lowest_ratio),
        high: lowest(highest_ratio),
    }
}

/// The roots of the same quadratic, each in the form that stays exact where the other one cancels.
fn lowest_ratio(a: &Rated<'_>, b: &Rated<'_>) -> f64 {
    let above = a.bounds.low * (2.0 * a.rate - a.bounds.low);
    if above <= 0.0 {
        return 0.0;
    }
    let below = b.bounds.high * (2.0 * b.rate - b.bounds.high);
    above / (a.rate * b.rate + root(a, b, above * below))
}

/// Without end where nothing says that the other share is above zero.
fn highest_ratio(a: &Rated<'_>, b: &Rated<'_>) -> f64 {
    let below = b.bounds.low * (2.0 * b.rate - b.bounds.low);
    if below <= 0.0 {
        return f64::INFINITY;
    }
    let above = a.bounds.high * (2.0 * a.rate - a.bounds.high);
    (a.rate * b.rate + root(a, b, above * below)) / below
}

fn root(a: &Rated<'_>, b: &Rated<'_>, product: f64) -> f64 {
    ((a.rate * b.rate).powi(2) - product).max(0.0).sqrt()
}

/// The bound of every pair of two groups, in both orders.
fn pairs<'a>(groups: &'a [Rated<'a>], bound: Bound) -> impl Iterator<Item = f64> + 'a {
    let ordered = groups.iter().enumerate().flat_map(move |(index, a)| {
        let others = groups
            .iter()
            .enumerate()
            .filter(move |(other, _)| *other != index);
        others.map(move |(_, b)| (a, b))
    });
    ordered.map(move |(a, b)| bound(a, b))
}
