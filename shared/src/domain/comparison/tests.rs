//! Tests of the comparison: that it is the procedure it says, that its bound holds to the digit,
//! and that nothing a trace can hold upsets it.
//!
//! | module | holds |
//! |---|---|
//! | [`batches`] | outcomes that come many at a time, as labels do |
//! | [`bursts`] | how bursts are measured; the sample-ratio check |
//! | [`validity`] | E[factor] <= 1 by enumerating small tables |
//! | [`stability`] | extremes, restarts, order, monotony |
//! | [`rare_good`] | signals of which nearly every outcome is a bad one |
//! | [`rollouts`] | seeded simulations: false alarms and medians to detection |
//! | [`words`] | intervals and sentences |

mod batches;
mod bursts;
mod rare_good;
mod rollouts;
mod stability;
mod validity;
mod words;

use super::{Counts, Settings};

fn counts(n: u64, x: u64) -> Counts {
    Counts::new(n, x).expect("a test's counts are possible")
}

/// As the default policy compares, with a day of production at 0.2 % behind it.
fn settings() -> Settings {
    Settings::new(1.25, 600, counts(1_440_000, 2_880), 0.1).expect("these are fit")
}
