//! A few batches, drawn by chance. A minute's ceiling cuts off lucky batches and leaves unlucky ones, and over
//! a few of them that does not even out: no single rollout stands for four in five, so many are played.
//! The draws come from a seed that never changes: the same plan says the same, here and at the API.

use super::{Batches, Budget};
use crate::domain::comparison::{AbsoluteGuard, AbsoluteSettings, Counts};
use crate::domain::gate::resample::{Random, binomial};

/// Rollouts played: the standard error of a share of four in five is then two in a hundred.
const ROLLOUTS: usize = 500;
/// Any number; it only must not change.
const SEED: u64 = 0x1abe_15ba_7c4e_5eed;

/// Batches after which four of five rollouts are caught.
pub(super) fn caught_after(
    settings: &AbsoluteSettings,
    batches: Batches,
    budget: Budget,
    within: u64,
) -> Option<u64> {
    let mut random = Random(SEED);
    let mut at_large = vec![AbsoluteGuard::default(); ROLLOUTS];
    (1..=within).find(|_| {
        at_large.retain_mut(|guard| {
            let bad = binomial(&mut random, batches.trials, batches.rate);
            let counts = Counts::new(batches.trials, bad).expect("no more hit than were tried");
            guard.take_in(settings, counts);
            !budget.is_won_by(guard.ln_e())
        });
        at_large.len() * 5 <= ROLLOUTS
    })
}
