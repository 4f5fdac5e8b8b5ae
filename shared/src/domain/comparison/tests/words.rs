//! Intervals and what people read.

use super::super::effect::{Effect, interval, odds_against_luck};
use super::super::{Counts, Signal};
use super::{counts, settings};

fn binomial(n: u64, p: f64) -> Vec<f64> {
    let mut ln = n as f64 * (-p).ln_1p();
    (0..=n)
        .map(|x| {
            let probability = ln.exp();
            ln += ((n - x) as f64 / (x + 1) as f64).ln() + p.ln() - (-p).ln_1p();
            probability
        })
        .collect()
}

fn holds(canary: Counts, production: Counts, ratio: f64) -> bool {
    interval(canary, production).is_none_or(|interval| {
        interval.low <= ratio && interval.high.is_none_or(|high| ratio <= high)
    })
}

/// For rare outcomes the canary's part of m is binomial, so the coverage is enumerated exactly.
#[test]
fn the_interval_covers_for_rare_outcomes() {
    let (canary_n, production_n) = (1_000_000, 9_000_000);
    let (mut sum, mut cells, mut least) = (0.0, 0.0, 1.0f64);
    for bad in [1, 2, 3, 5, 8, 13, 30, 80, 200] {
        for step in 1u32..200 {
            let share = f64::from(step) / 200.0;
            let ratio = share / (1.0 - share) * 9.0;
            let coverage: f64 = binomial(bad, share)
                .iter()
                .zip(0..)
                .filter(|(_, x)| holds(counts(canary_n, *x), counts(production_n, bad - x), ratio))
                .map(|(probability, _)| probability)
                .sum();
            (sum, cells, least) = (sum + coverage, cells + 1.0, least.min(coverage));
        }
    }
    assert!(sum / cells >= 0.95, "mean coverage {}", sum / cells);
    assert!(least >= 0.935, "least coverage {least}");
}

/// For frequent ones it is wider than it need be, never narrower.
#[test]
fn the_interval_covers_for_frequent_outcomes() {
    for (canary_rate, production_rate) in [(0.3, 0.3), (0.1, 0.3), (0.6, 0.3), (0.8, 0.8)] {
        let (canary_n, production_n) = (40, 60);
        let mut coverage = 0.0;
        for (p, x) in binomial(canary_n, canary_rate).into_iter().zip(0..) {
            for (q, y) in binomial(production_n, production_rate).into_iter().zip(0..) {
                let ratio = canary_rate / production_rate;
                if holds(counts(canary_n, x), counts(production_n, y), ratio) {
                    coverage += p * q;
                }
            }
        }
        assert!(
            coverage >= 0.95,
            "{canary_rate} {production_rate}: {coverage}"
        );
    }
}

#[test]
fn the_interval_is_a_number_at_every_size() {
    for (canary, production) in [
        (counts(1, 1), counts(1, 1)),
        (counts(1, 0), counts(1, 1)),
        (counts(1, 1), counts(u64::MAX, u64::MAX)),
        (counts(u64::MAX, u64::MAX), counts(1, 1)),
        (counts(1_000_000_000, 1_000_000), counts(1_000_000_000, 1)),
        (counts(u64::MAX, 1), counts(u64::MAX, u64::MAX)),
    ] {
        let interval = interval(canary, production).expect("there are bad outcomes");
        let high = interval.high.expect("production had some");
        assert!(
            interval.low >= 0.0 && high.is_finite() && interval.low < high,
            "{interval:?}"
        );
    }
    assert_eq!(interval(counts(5, 0), counts(5, 0)), None);
    assert_eq!(interval(Counts::NONE, counts(5, 1)), None);
    let unbounded = interval(counts(5, 1), counts(5, 0)).expect("a bad outcome");
    assert_eq!(unbounded.high, None);
}

fn after(minutes: &[(Counts, Counts)]) -> String {
    let mut signal = Signal::default();
    for (canary, production) in minutes {
        signal.take_in(&settings(), *canary, *production);
    }
    Effect::of(&signal, &settings()).sentence("5XX errors")
}

#[test]
fn sentences() {
    insta::assert_snapshot!(after(&[]), @"5XX errors: nothing to compare yet");
    insta::assert_snapshot!(after(&[(counts(500, 0), counts(4500, 0))]), @"5XX errors: canary 0.00% (0 of 500), production 0.00% (0 of 4500), not yet shown to be worse after 1 min");
    insta::assert_snapshot!(after(&[(counts(500, 2), counts(4500, 0)); 2]), @"5XX errors: canary 0.40% (4 of 1000), production 0.00% (0 of 9000), at least 5.90 times as often (95% interval; tolerated 1.25), odds against luck about 2.76 to 1 after 2 min");
    insta::assert_snapshot!(after(&[(counts(500, 0), counts(4500, 9))]), @"5XX errors: canary 0.00% (0 of 500), production 0.20% (9 of 4500), 0.00 times as often (95% interval 0.00 to 5.31; tolerated 1.25), not yet shown to be worse after 1 min");
    insta::assert_snapshot!(after(&[(counts(1000, 2), counts(9000, 18)); 30]), @"5XX errors: canary 0.20% (60 of 30000), production 0.20% (540 of 270000), 1.00 times as often (95% interval 0.76 to 1.32; tolerated 1.25), not yet shown to be worse after 30 min");
    insta::assert_snapshot!(after(&[(counts(1000, 10), counts(9000, 18)); 4]), @"5XX errors: canary 1.00% (40 of 4000), production 0.20% (72 of 36000), 5.00 times as often (95% interval 3.34 to 7.48; tolerated 1.25), odds against luck about 11000 to 1 after 4 min");
    insta::assert_snapshot!(after(&[(counts(1_000_000, 30), counts(9_000_000, 18)); 40]), @"5XX errors: canary 0.0030% (1200 of 40000000), production 0.00020% (720 of 360000000), 15 times as often (95% interval 14 to 16; tolerated 1.25), odds against luck more than a million to 1 after 40 min");
}

#[test]
fn odds() {
    let words = |odds: f64| odds_against_luck(odds.ln());
    assert_eq!(words(0.01), None);
    assert_eq!(words(1.0), None);
    assert_eq!(words(2.346).as_deref(), Some("about 2.35 to 1"));
    assert_eq!(words(104.0).as_deref(), Some("about 100 to 1"));
    assert_eq!(words(12_345.0).as_deref(), Some("about 12000 to 1"));
    let most = Some("more than a million to 1");
    assert_eq!(words(1e300).as_deref(), most);
    assert_eq!(odds_against_luck(5000.0).as_deref(), most);
    assert_eq!(odds_against_luck(f64::NEG_INFINITY), None);
}
