//! How far the predictions of two variants lie apart: the population stability index of their score
//! histograms, over the same bins.
//!
//! It is a size, not a proof: the index of two samples of one distribution is never 0, and grows as
//! they get smaller. What is sure is told by the comparison of each bin with production's. The usual
//! reading, below 0.1 stable and above 0.25 shifted, is a rule of thumb (Siddiqi, "Credit Risk
//! Scorecards", 2006); expected of two samples without any shift is about
//! (bins - 1) x (1 / n + 1 / m) (Yurdakul, "Statistical properties of population stability index",
//! 2018).

use serde::{Deserialize, Serialize};

use super::comparison::Counts;

/// What is added to each bin, so that an empty one has a logarithm: Jeffreys' half.
const HALF: f64 = 0.5;

/// How far two histograms lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stability {
    /// The population stability index: 0 where both are the same.
    pub index: f64,
    /// What luck alone makes of samples as small as these.
    pub by_luck: f64,
}

/// The index of two histograms of predictions, bin by bin; absent while one holds none.
pub fn stability(canary: &[u64], production: &[u64]) -> Option<Stability> {
    let total = |bins: &[u64]| bins.iter().sum::<u64>() as f64;
    let (ours, theirs) = (total(canary), total(production));
    if ours == 0.0 || theirs == 0.0 || canary.len() != production.len() {
        return None;
    }
    let bins = canary.len() as f64;
    let share = |count: u64, of: f64| (count as f64 + HALF) / (of + HALF * bins);
    let index = std::iter::zip(canary, production)
        .map(|(&a, &b)| {
            let (a, b) = (share(a, ours), share(b, theirs));
            (a - b) * (a / b).ln()
        })
        .sum();
    Some(Stability {
        index,
        by_luck: (bins - 1.0) * (1.0 / ours + 1.0 / theirs),
    })
}

/// The same of the counts of each bin, which all have the same trials.
pub fn stability_of(bins: &[(Counts, Counts)]) -> Option<Stability> {
    let side = |of: fn(&(Counts, Counts)) -> Counts| -> Vec<u64> {
        bins.iter().map(|pair| of(pair).x()).collect()
    };
    stability(&side(|pair| pair.0), &side(|pair| pair.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Option<Stability>, index: f64) {
        let found = found.expect("both hold predictions").index;
        assert!((found - index).abs() < 1e-6, "{found}");
    }

    #[test]
    fn the_same_histogram_has_no_distance() {
        near(stability(&[10, 20, 70], &[10, 20, 70]), 0.0);
        // Larger by the same factor, up to the half in each bin.
        let larger = stability(&[1000, 2000, 7000], &[10_000, 20_000, 70_000]);
        assert!(larger.is_some_and(|it| it.index < 1e-6), "{larger:?}");
    }

    #[test]
    fn the_index_is_the_sum_over_the_bins() {
        // Without the halves: (0.6-0.3) ln 2 + (0.4-0.7) ln(4/7) = 0.3758288...
        near(
            stability(&[600_000_000, 400_000_000], &[300_000_000, 700_000_000]),
            0.375_828_9,
        );
    }

    #[test]
    fn an_empty_bin_has_a_logarithm_and_an_empty_arm_no_index() {
        let one_sided = stability(&[0, 100], &[100, 0]);
        assert!(one_sided.is_some_and(|it| it.index.is_finite() && it.index > 5.0));
        assert_eq!(stability(&[0, 0], &[3, 4]), None);
        assert_eq!(stability(&[1, 2], &[3]), None);
    }
}
