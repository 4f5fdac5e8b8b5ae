//! How much more than chance the bad outcomes vary from one minute to the next, and whether their
//! bursts last.
//!
//! Independent requests give counts whose variance is their mean. Real errors come in bursts: a
//! slow dependency, a garbage collection, one bad client. The excess is measured on production
//! before the rollout, from second differences of neighbouring minutes (von Neumann's idea of 1941,
//! one order up), so that neither the level nor the slow curve of a day counts as a burst.
//!
//! A burst that lasts ten minutes is ten minutes in a row that look like a worse canary, and single
//! minutes do not show it. So the same is measured on blocks of 2, 4, 8 and 16 minutes: of
//! independent minutes the variance of a block grows with its length, of lasting bursts with its
//! square. What blocks show beyond minutes is the **lasting** part. It lowers the ceiling on what one
//! minute may add: a large burst is then told from a worse canary by its end, not by its size.
//!
//! One incident is no habit. It makes at most four differences at each length, so the four largest
//! count no more than the fifth.

use serde::{Deserialize, Serialize};

use super::e_process::MOST_PER_MINUTE;

/// Evidence is tempered at least this much, for what a calm day does not show.
pub const LEAST: f64 = 0.01;
/// And at most this much: past it the counts say little of anything.
pub const MOST: f64 = 100.0;
/// The lowest ceiling, in nats: a gross change is still found, in an hour or two.
pub const LOWEST_CEILING: f64 = 0.12;

/// What is measured in a day of minutes is known to some 10 to 50 %: tempering allows for half more.
const MARGIN: f64 = 1.5;
/// By how many of the lasting part the ceiling is divided, one added.
const LOWERED_BY: f64 = 100.0;
/// How many standard deviations of what independent minutes show are no sign of lasting bursts.
const NOISE: f64 = 1.5;
/// Blocks of 1, 2, 4, 8 and 16 minutes.
const LENGTHS: usize = 5;
/// The differences that one incident makes.
const INCIDENT: usize = 4;
/// Fewer differences than this tell nothing.
const LEAST_DIFFERENCES: u64 = 8;

/// How the bad outcomes vary, taken in one minute at a time. Its size does not grow.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Variation {
    minutes: u64,
    sum: f64,
    blocks: [Blocks; LENGTHS],
}

/// Blocks of one length.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Blocks {
    /// How many were taken in.
    count: u64,
    /// The last but one, and the last.
    last: [f64; 2],
    /// The first half of a block twice as long.
    half: Option<f64>,
    /// The largest squared second differences, each divided by six: its expectation is then the
    /// variance of a block.
    largest: [f64; INCIDENT],
    /// The largest of all others, and their sum.
    fifth: f64,
    others: f64,
}

impl Blocks {
    fn take_in(&mut self, block: f64) {
        if self.count >= 2 {
            let difference = block - 2.0 * self.last[1] + self.last[0];
            self.add(difference * difference / 6.0);
        }
        self.count += 1;
        self.last = [self.last[1], block];
    }

    fn add(&mut self, mut square: f64) {
        for large in &mut self.largest {
            if square > *large {
                std::mem::swap(large, &mut square);
            }
        }
        self.fifth = self.fifth.max(square);
        self.others += square;
    }

    /// The variance of a block, one incident apart; absent of too few blocks.
    fn variance(&self) -> Option<f64> {
        let differences = self
            .count
            .checked_sub(2)
            .filter(|differences| *differences >= LEAST_DIFFERENCES)?;
        Some((self.others + INCIDENT as f64 * self.fifth) / differences as f64)
    }
}

impl Variation {
    /// The next minute's bad outcomes.
    pub fn push(&mut self, bad: u64) {
        self.minutes += 1;
        self.sum += bad as f64;
        let mut block = bad as f64;
        for blocks in &mut self.blocks {
            blocks.take_in(block);
            match blocks.half.take() {
                None => {
                    blocks.half = Some(block);
                    break;
                }
                Some(first) => block += first,
            }
        }
    }

    /// The squared coefficient of variation of single minutes beyond chance, never below zero.
    /// Zero of fewer than ten minutes and of no bad outcome at all.
    pub fn excess(&self) -> f64 {
        self.beyond_chance(0, self.noise(0, 0.0))
    }

    /// What lasting bursts add to that in blocks of several minutes, never below zero; zero where
    /// it is within what independent minutes show by chance.
    pub fn lasting(&self) -> f64 {
        let excess = self.excess();
        (1..LENGTHS)
            .map(|length| {
                let noise = NOISE * self.noise(length, excess);
                self.beyond_chance(length, noise) - excess
            })
            .fold(0.0, f64::max)
    }

    /// The excess in blocks of 2^length minutes, for one minute, less some noise.
    fn beyond_chance(&self, length: usize, noise: f64) -> f64 {
        let Some(variance) = self.blocks[length].variance().filter(|_| self.sum > 0.0) else {
            return 0.0;
        };
        let minutes = f64::from(1u32 << length);
        let mean = self.sum / self.minutes as f64 * minutes;
        let excess = (variance - mean) / (mean * mean) * minutes - noise;
        excess.max(0.0)
    }

    /// The standard deviation of the excess in blocks of 2^length minutes, when minutes are
    /// independent and have this excess. Second differences of white noise are correlated by -2/3
    /// and 1/6, which makes the variance of their mean square 3.9 of its square over the blocks.
    fn noise(&self, length: usize, excess: f64) -> f64 {
        if self.sum <= 0.0 {
            return 0.0;
        }
        let minutes = f64::from(1u32 << length);
        let by_chance = self.minutes as f64 / self.sum;
        (3.9 * minutes / self.minutes as f64).sqrt() * (excess + by_chance)
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

/// The burstiness of the pair as measured. Bursts of single instances average out over many, so an
/// arm with fewer of them than production is the burstier one by that ratio; a count of zero is
/// taken as one.
pub fn of_pair(excess_variation: f64, production_instances: u32, canary_instances: u32) -> f64 {
    excess_variation
        * (1.0 + f64::from(production_instances.max(1)) / f64::from(canary_instances.max(1)))
}

/// The burstiness by which evidence is tempered: half more than measured, within bounds.
pub fn kappa(excess_variation: f64, production_instances: u32, canary_instances: u32) -> f64 {
    let kappa = MARGIN * of_pair(excess_variation, production_instances, canary_instances);
    // `clamp` would hand a NaN on.
    if kappa.is_nan() {
        MOST
    } else {
        kappa.clamp(LEAST, MOST)
    }
}

/// The most that one minute may add, in nats, where bursts last ([`Variation::lasting`]).
pub fn ceiling(lasting: f64, production_instances: u32, canary_instances: u32) -> f64 {
    let each = of_pair(lasting.max(0.0), production_instances, canary_instances) / 2.0;
    (MOST_PER_MINUTE / (1.0 + LOWERED_BY * each)).max(LOWEST_CEILING)
}
