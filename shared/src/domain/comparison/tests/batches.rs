//! Labels of a night that come in one minute: what they prove, and that the bound still holds.

use super::super::absolute::{AbsoluteGuard, AbsoluteSettings, Limit};
use super::super::{Settings, Signal, calls_for_rollback};
use super::counts;
use super::rollouts::Chance;
use crate::domain::quantity::Rate;

const KAPPA: f64 = 0.01;

fn limit() -> Limit {
    Limit::new(Rate::from_percent(15.0).expect("a rate")).expect("a limit")
}

fn against_limit(parts: u64) -> AbsoluteSettings {
    let settings = AbsoluteSettings::new(limit(), 600, KAPPA).expect("these are fit");
    settings.in_parts(parts)
}

fn against_production(parts: u64) -> Settings {
    let history = counts(100_000, 15_000);
    let settings = Settings::new(1.25, 600, history, KAPPA).expect("these are fit");
    settings.in_parts(parts)
}

/// Labels of the canary in one minute, wrong ones, parts, and the logarithm of the evidence against 15 %:
/// computed apart from this code with mpmath 1.3 at 40 digits.
const ABSOLUTE: [(u64, u64, u64, f64); 4] = [
    (50_000, 25_000, 1, 0.217_938_148_254_514_6),
    (50_000, 25_000, 500, 1_696.817_938_148_254_5),
    (500, 150, 1, 0.112_577_632_596_810_3),
    (500, 150, 5, 13.461_848_198_249_942),
];

#[test]
fn a_batch_in_parts_proves_what_the_same_labels_prove_one_after_another() {
    let close = |found: f64, expected: f64| (found - expected).abs() < 1e-9 * expected.max(1.0);
    for (labels, wrong, parts, expected) in ABSOLUTE {
        let mut guard = AbsoluteGuard::default();
        guard.take_in(&against_limit(parts), counts(labels, wrong));
        let found = guard.ln_e();
        assert!(close(found, expected), "{labels} in {parts} parts: {found}");
    }
    // Beside 4500 of production's with 675 wrong, from the same computation.
    for (parts, expected) in [(1, -0.138_735_292_244_059_1), (5, 5.894_062_201_858_955)] {
        let mut signal = Signal::default();
        signal.take_in(
            &against_production(parts),
            counts(500, 150),
            counts(4500, 675),
        );
        let found = signal.ln_e();
        assert!((found - expected).abs() < 1e-9, "{parts} parts: {found}");
    }
}

/// Twenty nights with this share of the canary's 2000 labels wrong, beside 18,000 of production's.
fn nights(rate: f64, production: f64, seed: u64) -> (bool, bool) {
    let alpha = Rate::from_percent(1.0).expect("a rate");
    let (mut chance, mut guard, mut signal) =
        (Chance(seed), AbsoluteGuard::default(), Signal::default());
    let mut found = (false, false);
    for _ in 0..20 {
        let canary = counts(2000, chance.binomial(2000, rate));
        let beside = counts(18_000, chance.binomial(18_000, production));
        guard.take_in(&against_limit(20), canary);
        signal.take_in(&against_production(20), canary, beside);
        found.0 |= calls_for_rollback(guard.ln_e(), alpha);
        found.1 |= calls_for_rollback(signal.ln_e(), alpha);
    }
    found
}

#[test]
fn batches_in_parts_blame_a_canary_at_its_limit_no_more_often_than_they_may() {
    let rollouts = 1000;
    let wrong: Vec<_> = (1..=rollouts)
        // At the limit, and at 1.25 times production's odds: 0.15 / 0.85 = 1.25 x 0.1237 / 0.8763.
        .map(|seed| nights(0.15, 0.123_711_34, seed))
        .collect();
    let past_limit = wrong.iter().filter(|found| found.0).count();
    let worse = wrong.iter().filter(|found| found.1).count();
    // Three standard deviations above 1 % of 1000.
    assert!(
        past_limit <= 19 && worse <= 19,
        "{past_limit} and {worse} of {rollouts}"
    );
    let bad = (1..=100).map(|seed| nights(0.25, 0.12, seed));
    let found = bad.filter(|found| found.0 && found.1).count();
    assert_eq!(found, 100, "half as many again as may be");
}
