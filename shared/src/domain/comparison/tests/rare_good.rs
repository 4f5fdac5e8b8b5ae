//! Signals of which nearly every outcome is a bad one: impressions without a click.

use proptest::prelude::*;

use super::super::{Counts, Limit, SafeGate, Settings, Signal, calls_for_rollback};
use super::counts;
use super::rollouts::Chance;
use crate::domain::quantity::Rate;

/// A day of production at which three impressions of a hundred are clicked.
fn clicked() -> Settings {
    Settings::new(1.25, 5_760, counts(100_000, 97_000), 0.1).expect("these are fit")
}

/// By the formula of the module, written down once more in Python with the arms in each other's
/// place, over the clicks.
#[test]
fn the_wager_is_on_the_clicks() {
    for (canary, production, expected) in [
        (
            counts(100, 99),
            counts(900, 864),
            [
                0.502_315_392_280_010_9,
                0.692_904_097_114_189_9,
                0.793_414_079_918_128_2,
                0.726_097_787_371_519_8,
                0.425_190_118_628_991_3,
                -0.162_754_612_309_430_95,
            ],
        ),
        (
            counts(300, 297),
            counts(700, 672),
            [
                0.981_267_691_983_520_3,
                1.371_885_181_922_181_1,
                1.584_524_651_250_356_1,
                1.435_608_072_583_409,
                0.755_216_721_750_890_8,
                -0.598_636_900_065_333_1,
            ],
        ),
    ] {
        let found = Signal::default().factors(&clicked(), canary, production);
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        }
    }
}

/// The minute in which a canary with these clicks, on three of ten requests, is rolled back.
fn rolled_back(clicks: f64, seed: u64) -> Option<u64> {
    let alpha = Rate::from_percent(1.0).expect("a rate");
    let (mut signal, mut chance) = (Signal::default(), Chance(seed));
    let mut arm = |n: u64, rate: f64| counts(n, n - chance.binomial(n, rate));
    (1..=600).find(|_| {
        let (canary, production) = (arm(300, clicks), arm(700, 0.03));
        signal.take_in(&clicked(), canary, production);
        calls_for_rollback(signal.ln_e(), alpha)
    })
}

#[test]
fn fewer_clicks_are_found_and_as_many_stay() {
    let median = |clicks: f64| {
        let mut ends: Vec<u64> = (1..=200)
            .map(|seed| rolled_back(clicks, seed).unwrap_or(u64::MAX))
            .collect();
        ends.sort_unstable();
        ends[ends.len() / 2]
    };
    assert!(median(0.001) <= 6, "{}", median(0.001));
    assert!(median(0.01) <= 25, "{}", median(0.01));
    // As good, and as bad as is tolerated: 1.25 times the odds against a click.
    for clicks in [0.03, 0.0242, 0.05] {
        let ends = (1..=200).filter(|seed| rolled_back(clicks, *seed).is_some());
        let count = ends.count();
        assert!(count <= 2, "{count} of 200 at {clicks}");
    }
}

/// Why: of that many bad ones no share of the canary's proves anything.
#[test]
fn without_the_turn_not_even_a_canary_without_clicks_is_found() {
    let rare = Settings::new(1.25, 5_760, Counts::NONE, 0.1).expect("these are fit");
    let first = Signal::default().factors(&rare, counts(300, 300), counts(700, 679));
    assert!(first.iter().all(|factor| *factor < 0.0), "{first:?}");
}

/// At a limit of 99 % without a click, the least asked for being one in a hundred.
#[test]
fn enough_clicks_open_the_gate() {
    let limit = Limit::new(Rate::from_percent(99.0).expect("a rate")).expect("a limit");
    let shown = |clicks: u64, impressions: u64| {
        let mut gate = SafeGate::default();
        gate.take_in(counts(impressions, impressions - clicks));
        gate.is_open(limit)
    };
    assert!(shown(30, 1000) && !shown(3, 100) && !shown(10, 1000));
    let mut few = SafeGate::default();
    few.take_in(counts(100, 97));
    assert!(few.more_needed(limit).is_some_and(|more| more < 1000));
}

proptest! {
    /// One click less, in any minute, never lowers the evidence.
    #[test]
    fn a_canary_with_fewer_clicks_never_looks_better(
        minutes in prop::collection::vec((1u64..2000, 0u64..50, 1u64..20_000, 0u64..500), 1..20),
        at in any::<prop::sample::Index>(),
    ) {
        let worse = at.index(minutes.len());
        let (mut before, mut after) = (Signal::default(), Signal::default());
        for (index, (canary_n, clicks, production_n, theirs)) in minutes.into_iter().enumerate() {
            let production = counts(production_n + 500, production_n + 500 - theirs);
            let clicks = clicks.min(canary_n);
            before.take_in(&clicked(), counts(canary_n, canary_n - clicks), production);
            let fewer = clicks - u64::from(index == worse && clicks > 0);
            after.take_in(&clicked(), counts(canary_n, canary_n - fewer), production);
        }
        prop_assert!(after.ln_e() >= before.ln_e());
    }
}
