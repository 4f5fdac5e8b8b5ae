//! The interval of the F1 ratio by a paired bootstrap: rows are drawn anew, each with its truth and
//! both models' answers together, and the ratio is taken of every such file. The middle 95 % of the
//! ratios is the interval (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13).
//!
//! A row is one of eight kinds, so that a file drawn anew is one draw from a multinomial
//! distribution: eight counts instead of all the rows, whatever their number. The draws come from a
//! seed that never changes: the same counts have the same interval, here and at the API.

use super::Cells;
use super::interval::ln_gamma;

/// Files drawn: the bounds rest on the 50 lowest and the 50 highest ratios.
const FILES: usize = 2000;
/// Ratios left out at each end.
const AT_EACH_END: usize = FILES / 40;
/// Any number; it only must not change.
const SEED: u64 = 0x5eed_0f1b_a11a_57e5;

/// Where the challenger's F1 over the champion's lies; absent where files without a single hit of
/// the champion, which have no ratio, are among the drawn ones.
pub(super) fn f1_ratio(cells: &Cells) -> Option<(f64, f64)> {
    let (kinds, rows) = (cells.counts(), cells.rows());
    if rows == 0 {
        return None;
    }
    let mut random = Random(SEED);
    let mut ratios = Vec::with_capacity(FILES);
    for _ in 0..FILES {
        ratios.push(Cells::of_counts(redrawn(&mut random, &kinds, rows)).f1_ratio()?);
    }
    ratios.sort_by(f64::total_cmp);
    Some((ratios[AT_EACH_END], ratios[FILES - 1 - AT_EACH_END]))
}

/// As many rows again, each kind in turn out of those that are left.
fn redrawn(random: &mut Random, kinds: &[u64; 8], rows: u64) -> [u64; 8] {
    let (mut drawn, mut left, mut others) = ([0; 8], rows, rows);
    for (place, kind) in drawn.iter_mut().zip(kinds) {
        if others == 0 {
            break;
        }
        *place = binomial(random, left, *kind as f64 / others as f64);
        left -= *place;
        others -= kind;
    }
    drawn
}

/// How many of so many trials hit, by inversion from the likeliest number outwards: exact, and in as
/// many steps as the distribution is wide.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the number of trials"
)]
pub(in crate::domain) fn binomial(random: &mut Random, trials: u64, chance: f64) -> u64 {
    if trials == 0 || chance <= 0.0 {
        return 0;
    }
    if chance >= 1.0 {
        return trials;
    }
    let n = trials as f64;
    let likeliest = ((n + 1.0) * chance).floor().min(n);
    let ways = ln_gamma(n + 1.0) - ln_gamma(likeliest + 1.0) - ln_gamma(n - likeliest + 1.0);
    let odds = chance / (1.0 - chance);
    let weight = (ways + likeliest * chance.ln() + (n - likeliest) * (-chance).ln_1p()).exp();
    let mut left = random.next() - weight;
    let (mut low, mut high) = ((likeliest, weight), (likeliest, weight));
    while left >= 0.0 {
        high = (high.0 + 1.0, high.1 * odds * (n - high.0) / (high.0 + 1.0));
        left -= high.1;
        if left < 0.0 {
            return high.0 as u64;
        }
        low = (low.0 - 1.0, low.1 * low.0 / ((n - low.0 + 1.0) * odds));
        left -= low.1;
        if left < 0.0 {
            return low.0 as u64;
        }
        // Rounding leaves dust that no number takes.
        if high.1 <= 0.0 && low.1 <= 0.0 {
            break;
        }
    }
    likeliest as u64
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(in crate::domain) struct Random(pub(in crate::domain) u64);

impl Random {
    /// From 0 to below 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_mean_and_the_variance_of_their_distribution() {
        let mut random = Random(7);
        for (trials, chance) in [(1_u64, 0.3), (12, 0.5), (1000, 0.01), (100_000, 0.97)] {
            let draws: Vec<f64> = (0..20_000)
                .map(|_| binomial(&mut random, trials, chance) as f64)
                .collect();
            let count = draws.len() as f64;
            let mean = draws.iter().sum::<f64>() / count;
            let spread = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / count;
            let (n, variance) = (trials as f64, trials as f64 * chance * (1.0 - chance));
            // Five standard errors of each.
            let far = 5.0 * (variance / count).sqrt();
            assert!((mean - n * chance).abs() < far, "{trials} {chance}: {mean}");
            assert!(
                (spread / variance - 1.0).abs() < 5.0 * ((2.0 + 1.0 / variance) / count).sqrt(),
                "{trials} {chance}: {spread} for {variance}"
            );
        }
    }

    #[test]
    fn a_file_drawn_anew_has_as_many_rows_and_no_new_kind() {
        let mut random = Random(11);
        let kinds = [900, 0, 30, 60, 7, 0, 12, 12_345];
        let rows = kinds.iter().sum();
        for _ in 0..200 {
            let drawn = redrawn(&mut random, &kinds, rows);
            assert_eq!(drawn.iter().sum::<u64>(), rows);
            assert_eq!((drawn[1], drawn[5]), (0, 0));
        }
    }
}
