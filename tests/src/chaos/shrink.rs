//! From a run that broke a promise to the few faults it takes: one after the other is left out, and
//! stays out where the promise is broken all the same.

use super::journey::Journey;
use super::voyage::{Outcome, sail};

/// The smallest journey found, and how it ends.
pub fn shrink(journey: &Journey) -> (Journey, Outcome) {
    let mut smallest = journey.clone();
    let mut outcome = sail(journey);
    loop {
        let before = smallest.strikes.len() + smallest.acts.len();
        for index in (0..smallest.strikes.len()).rev() {
            let mut less = smallest.clone();
            less.strikes.remove(index);
            keep_if_broken(less, &mut smallest, &mut outcome);
        }
        for index in (0..smallest.acts.len()).rev() {
            let mut less = smallest.clone();
            less.acts.remove(index);
            keep_if_broken(less, &mut smallest, &mut outcome);
        }
        if smallest.strikes.len() + smallest.acts.len() == before {
            return (smallest, outcome);
        }
    }
}

fn keep_if_broken(less: Journey, smallest: &mut Journey, outcome: &mut Outcome) {
    let tried = sail(&less);
    if tried.broken.is_some() {
        (*smallest, *outcome) = (less, tried);
    }
}
