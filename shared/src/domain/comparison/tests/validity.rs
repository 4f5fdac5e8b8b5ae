//! The bound itself, without simulation: small tables are enumerated whole, the canary's part of m
//! bad outcomes being Fisher's noncentral hypergeometric.

use super::super::absolute::{self, AbsoluteSettings, Limit, SafeGate};
use super::super::{Counts, Settings, Signal, split};
use super::counts;
use crate::domain::quantity::Rate;

/// Rounding alone may lift an expectation above its bound.
const ROUNDING: f64 = 1e-9;
const TOLERATED: f64 = 1.25;
const ODDS: [f64; 5] = [0.2, 0.8, 1.0, 1.1, TOLERATED];
const TABLES: [(u64, u64); 9] = [
    (1, 1),
    (1, 9),
    (9, 1),
    (5, 5),
    (3, 20),
    (20, 3),
    (10, 30),
    (30, 30),
    (12, 108),
];

fn ln_choose(n: u64, k: u64) -> f64 {
    (0..k).map(|i| ((n - i) as f64 / (i + 1) as f64).ln()).sum()
}

/// Every (x, probability) of the canary's part of `bad` outcomes.
fn parts(canary_n: u64, production_n: u64, bad: u64, odds: f64) -> Vec<(u64, f64)> {
    let lowest = bad.saturating_sub(production_n);
    let weights: Vec<(u64, f64)> = (lowest..=bad.min(canary_n))
        .map(|x| {
            let ln =
                ln_choose(canary_n, x) + ln_choose(production_n, bad - x) + x as f64 * odds.ln();
            (x, ln.exp())
        })
        .collect();
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    weights
        .into_iter()
        .map(|(x, weight)| (x, weight / sum))
        .collect()
}

/// No tempering, the least, and the most with rates so high that it bites; and where most outcomes are
/// bad, so that the wager is on the others.
fn all_settings() -> Vec<Settings> {
    [
        (0.0, Counts::NONE),
        (0.1, counts(1000, 2)),
        (5.0, counts(1000, 400)),
        (0.0, counts(1000, 970)),
        (5.0, counts(1000, 600)),
    ]
    .into_iter()
    .flat_map(|(kappa, history)| {
        let settings = Settings::new(TOLERATED, 2, history, kappa).expect("these are fit");
        [
            settings,
            settings.with_ceiling(0.12),
            settings.in_parts(7),
            settings.with_ceiling(0.12).in_parts(3),
        ]
    })
    .collect()
}

fn expected_factors(
    settings: &Settings,
    (canary_n, production_n): (u64, u64),
    bad: u64,
    odds: f64,
) -> [f64; 6] {
    let mut expected = [0.0; 6];
    for (x, probability) in parts(canary_n, production_n, bad, odds) {
        let factors =
            Signal::default().factors(settings, counts(canary_n, x), counts(production_n, bad - x));
        for (sum, factor) in expected.iter_mut().zip(factors) {
            *sum += probability * factor.exp();
        }
    }
    expected
}

#[test]
fn no_single_minute_is_expected_to_gain() {
    for settings in all_settings() {
        for table in TABLES {
            for bad in 0..=table.0 + table.1 {
                for odds in ODDS {
                    let expected = expected_factors(&settings, table, bad, odds);
                    assert!(
                        expected.iter().all(|e| *e <= 1.0 + ROUNDING),
                        "{table:?}, {bad} bad, odds ratio {odds}: {expected:?}"
                    );
                }
            }
        }
    }
}

/// The enumeration can fail: past what is tolerated the same factors are expected to gain.
#[test]
fn a_worse_canary_is_expected_to_gain() {
    let untempered = all_settings()[0];
    let expected = expected_factors(&untempered, (30, 30), 6, 3.0);
    assert!(expected[..3].iter().all(|e| *e > 1.1), "{expected:?}");
}

/// Both minutes together, through the public door: the second minute's power comes from the first
/// one's outcome, and the stakes of both are laid.
#[test]
fn no_two_minutes_are_expected_to_gain() {
    let sequences = [
        // One bad outcome leaves no slack: at the tolerated odds the expectation is the stakes.
        ((5, 5), 1, (8, 2), 1),
        ((5, 5), 4, (8, 2), 5),
        ((3, 20), 6, (10, 13), 9),
        ((20, 3), 8, (1, 9), 3),
        ((10, 30), 12, (30, 10), 20),
    ];
    for settings in all_settings() {
        for (first, first_bad, second, second_bad) in sequences {
            for (odds, later_odds) in ODDS.into_iter().flat_map(|a| ODDS.map(|b| (a, b))) {
                let mut expected = 0.0;
                for (x, probability) in parts(first.0, first.1, first_bad, odds) {
                    let mut after_one = Signal::default();
                    after_one.take_in(
                        &settings,
                        counts(first.0, x),
                        counts(first.1, first_bad - x),
                    );
                    for (later_x, later) in parts(second.0, second.1, second_bad, later_odds) {
                        let mut after_two = after_one.clone();
                        after_two.take_in(
                            &settings,
                            counts(second.0, later_x),
                            counts(second.1, second_bad - later_x),
                        );
                        expected += probability * later * after_two.ln_e().exp();
                    }
                }
                assert!(
                    expected <= 1.0 + ROUNDING,
                    "{first:?} {second:?} at {odds} and {later_odds}: {expected}"
                );
            }
        }
    }
}

fn limit(percent: f64) -> Limit {
    let rate = Rate::from_percent(percent).expect("a test's rates are rates");
    Limit::new(rate).expect("a test's limits can be kept and broken")
}

fn binomial(n: u64, p: f64) -> impl Iterator<Item = (u64, f64)> {
    (0..=n).map(move |x| {
        let ln = ln_choose(n, x) + x as f64 * p.ln() + (n - x) as f64 * (-p).ln_1p();
        (x, ln.exp())
    })
}

#[test]
fn a_canary_within_its_limit_is_not_expected_to_gain_on_the_guard() {
    for percent in [0.1, 1.0, 10.0, 50.0, 90.0] {
        for kappa in [0.0, 0.1, 5.0] {
            let settings =
                AbsoluteSettings::new(limit(percent), 600, kappa).expect("these are fit");
            for part in [0.3, 0.9, 1.0] {
                for n in [1, 10, 60] {
                    let mut expected = [0.0; 5];
                    for (x, probability) in binomial(n, percent / 100.0 * part) {
                        let factors = absolute::factors(&settings, counts(n, x));
                        for (sum, factor) in expected.iter_mut().zip(factors) {
                            *sum += probability * factor.exp();
                        }
                    }
                    assert!(
                        expected.iter().all(|e| *e <= 1.0 + ROUNDING),
                        "{percent} % x {part}, {n} trials: {expected:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_canary_above_its_limit_is_not_expected_to_open_the_gate() {
    for percent in [0.1, 1.0, 10.0, 50.0, 60.0, 97.0] {
        for factor in [1.0, 1.02, 1.1, 1.9] {
            for n in [1, 10, 60] {
                let expected: f64 = binomial(n, f64::min(percent / 100.0 * factor, 0.999))
                    .map(|(x, probability)| {
                        let mut gate = SafeGate::default();
                        gate.take_in(counts(n, x));
                        probability * gate.ln_e(limit(percent)).exp()
                    })
                    .sum();
                assert!(
                    expected <= 1.0 + ROUNDING,
                    "{percent} % x {factor}: {expected}"
                );
            }
        }
    }
}

/// Without a production arm each factor is again a fair game: against a rate fixed before, whose
/// odds ratios may reach past what is a rate.
#[test]
fn a_canary_within_the_frozen_rate_is_not_expected_to_gain_alone() {
    for percent in [0.1, 1.0, 10.0, 50.0, 90.0] {
        for part in [0.3, 0.9, 1.0] {
            for n in [1, 10, 60] {
                for settings in all_settings() {
                    let expected: f64 = binomial(n, percent / 100.0 * part)
                        .map(|(x, probability)| {
                            let mut signal = Signal::default();
                            signal.take_in_alone(&settings, limit(percent), counts(n, x));
                            probability * signal.ln_e().exp()
                        })
                        .sum();
                    assert!(
                        expected <= 1.0 + ROUNDING,
                        "{percent} % x {part}: {expected}"
                    );
                }
            }
        }
    }
}

/// Requests fall on the canary at any odds within the tolerance of what is intended, either way.
#[test]
fn a_split_as_intended_is_not_expected_to_gain() {
    for share in [0.01, 0.1, 0.5, 0.9] {
        for off in [1.0 / split::TOLERATED, 1.0, split::TOLERATED] {
            let odds = share / (1.0 - share) * off;
            for n in [1, 7, 80] {
                let mut expected = [0.0; 4];
                for (canary, probability) in binomial(n, odds / (1.0 + odds)) {
                    let factors = split::factors(share, canary, n - canary);
                    for (sum, factor) in expected.iter_mut().zip(factors) {
                        *sum += probability * factor.exp();
                    }
                }
                assert!(
                    expected.iter().all(|e| *e <= 1.0 + ROUNDING),
                    "{share} off by {off}, {n} requests: {expected:?}"
                );
            }
        }
    }
}
