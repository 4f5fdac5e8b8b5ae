//! What a trace can hold, and what a restart may not change.

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::absolute::{AbsoluteGuard, AbsoluteSettings, Limit, SafeGate};
use super::super::burstiness::Variation;
use super::super::capital::stake;
use super::super::e_process::MOST_PER_MINUTE;
use super::super::{
    Counts, Settings, Signal, Split, burstiness, calls_for_rollback, combined, forbids_promotion,
    ln_even_part,
};
use super::{counts, settings};
use crate::domain::quantity::Rate;

fn percent(value: f64) -> Rate {
    Rate::from_percent(value).expect("a test's rates are rates")
}

/// From nothing over one request to more than there are.
fn trials() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        1..100u64,
        1..100_000u64,
        Just(1_000_000_000),
        Just(u64::MAX),
        any::<u64>()
    ]
}

fn any_counts() -> impl Strategy<Value = Counts> {
    (
        trials(),
        prop_oneof![Just(0.0), Just(1.0), 0.0..0.01, 0.0..1.0],
    )
        .prop_map(|(n, share)| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of n, bounded by n"
            )]
            let x = (n as f64 * share) as u64;
            counts(n, x.min(n))
        })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let tolerate = prop_oneof![Just(1.0), Just(1.25), 1.0..100.0, Just(f64::MAX)];
    let longest = prop_oneof![Just(1), Just(5_760), Just(u64::MAX)];
    let kappa = prop_oneof![Just(0.0), 0.1..5.0, Just(f64::MAX)];
    let ceiling = prop_oneof![Just(f64::MAX), 0.01..10.0];
    (tolerate, longest, any_counts(), kappa, ceiling).prop_map(
        |(tolerate, longest, history, kappa, ceiling)| {
            Settings::new(tolerate, longest, history, kappa)
                .expect("these are fit")
                .with_ceiling(ceiling)
        },
    )
}

fn any_minutes() -> impl Strategy<Value = Vec<(Counts, Counts)>> {
    prop::collection::vec((any_counts(), any_counts()), 1..30)
}

fn through_text<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("state is text");
    serde_json::from_str(&text).expect("what was written is read")
}

proptest! {
    #[test]
    fn extremes_give_a_number(settings in any_settings(), minutes in any_minutes()) {
        let mut signal = Signal::default();
        for (canary, production) in minutes {
            let taken = signal.take_in(&settings, canary, production);
            prop_assert_eq!(taken, canary.n() > 0 && production.n() > 0);
            prop_assert_eq!(signal.ln_e().is_finite(), signal.minutes() > 0);
            prop_assert!(signal.ln_e() < f64::INFINITY && !signal.ln_e().is_nan());
        }
    }

    #[test]
    fn extremes_give_a_number_against_a_limit(
        minutes in any_minutes(),
        limit in prop_oneof![Just(1e-7), Just(99.999_999), 0.001..99.0],
        kappa in prop_oneof![Just(0.0), 0.1..5.0, Just(f64::MAX)],
    ) {
        let limit = Limit::new(percent(limit)).expect("it can be kept and broken");
        let settings = AbsoluteSettings::new(limit, 600, kappa).expect("these are fit");
        let (mut guard, mut gate) = (AbsoluteGuard::default(), SafeGate::default());
        for (canary, _) in minutes {
            guard.take_in(&settings, canary);
            gate.take_in(canary);
            prop_assert_eq!(guard.ln_e().is_finite(), guard.minutes() > 0);
            prop_assert!(gate.ln_e(limit).is_finite());
        }
    }

    /// A restart after every minute against none at all, to the bit.
    #[test]
    fn restarts_change_nothing(settings in any_settings(), minutes in any_minutes()) {
        let (mut straight, mut restarted) = (Signal::default(), Signal::default());
        for (index, (canary, production)) in minutes.into_iter().enumerate() {
            let second = i64::try_from(index).expect("few minutes") * 60;
            let minute = Timestamp::from_second(second).expect("early");
            straight.take_in_once(&settings, minute, canary, production);
            restarted = through_text(&restarted);
            restarted.take_in_once(&settings, minute, canary, production);
            prop_assert_eq!(straight.ln_e().to_bits(), restarted.ln_e().to_bits());
        }
        prop_assert_eq!(straight, restarted);
    }

    #[test]
    fn restarts_change_nothing_against_a_limit(minutes in any_minutes()) {
        let limit = Limit::new(percent(1.0)).expect("it can be kept and broken");
        let settings = AbsoluteSettings::new(limit, 600, 0.1).expect("these are fit");
        let (mut straight, mut restarted) = (AbsoluteGuard::default(), AbsoluteGuard::default());
        for (canary, _) in minutes {
            straight.take_in(&settings, canary);
            restarted = through_text(&restarted);
            restarted.take_in(&settings, canary);
            prop_assert_eq!(straight.ln_e().to_bits(), restarted.ln_e().to_bits());
        }
        prop_assert_eq!(straight, restarted);
    }

    /// One more bad outcome of the canary, in any minute, never lowers the evidence.
    #[test]
    fn a_worse_canary_never_looks_better(
        minutes in prop::collection::vec((1u64..2000, 0.0..0.2, 1u64..20_000, 0.0..0.2), 1..20),
        at in any::<prop::sample::Index>(),
    ) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share below one of n"
        )]
        let part = |n: u64, share: f64| (n as f64 * share) as u64;
        let worse = at.index(minutes.len());
        let (mut before, mut after) = (Signal::default(), Signal::default());
        for (index, (canary_n, canary_share, production_n, share)) in
            minutes.into_iter().enumerate()
        {
            let production = counts(production_n, part(production_n, share));
            let bad = part(canary_n, canary_share);
            before.take_in(&settings(), counts(canary_n, bad), production);
            let more = bad + u64::from(index == worse);
            after.take_in(&settings(), counts(canary_n, more), production);
        }
        prop_assert!(after.ln_e() >= before.ln_e());
    }

    #[test]
    fn the_order_of_signals_changes_nothing(
        signals in prop_oneof![
            prop::collection::vec(-800.0..800.0, 1..9),
            // Close together, where every one of them decides about the last bit.
            prop::collection::vec(-3.0..3.0, 2..9),
        ],
        turn in any::<prop::sample::Index>(),
    ) {
        let part = ln_even_part(signals.len());
        let total = combined(signals.iter().map(|e| (part, *e)));
        let mut turned = signals.clone();
        turned.rotate_left(turn.index(signals.len()));
        let reversed = combined(turned.iter().rev().map(|e| (part, *e)));
        prop_assert_eq!(total.to_bits(), reversed.to_bits());
        let highest = signals.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(total <= highest + 1e-9 && total >= highest + part - 1e-9);
    }

    #[test]
    fn burstiness_stays_within_its_bounds(
        minutes in prop_oneof![
            prop::collection::vec(any::<u64>(), 0..200),
            prop::collection::vec(0..3u64, 0..200),
        ],
    ) {
        let mut variation = Variation::default();
        for bad in minutes {
            variation.push(bad);
        }
        let (excess, lasting) = (variation.excess(), variation.lasting());
        prop_assert!(excess >= 0.0 && excess.is_finite());
        prop_assert!(lasting >= 0.0 && lasting.is_finite());
        for (production, canary) in [(1, 1), (0, 0), (u32::MAX, 1), (1, u32::MAX)] {
            let kappa = burstiness::kappa(excess, production, canary);
            prop_assert!((burstiness::LEAST..=burstiness::MOST).contains(&kappa));
            let ceiling = burstiness::ceiling(lasting, production, canary);
            prop_assert!((burstiness::LOWEST_CEILING..=MOST_PER_MINUTE).contains(&ceiling));
        }
    }

    #[test]
    fn restarts_change_nothing_alone_or_of_the_split(minutes in any_minutes()) {
        let limit = Limit::new(percent(1.0)).expect("it can be kept and broken");
        let (mut straight, mut restarted) = (Signal::default(), Signal::default());
        let (mut split, mut split_restarted) = (Split::default(), Split::default());
        for (canary, production) in minutes {
            straight.take_in_alone(&settings(), limit, canary);
            restarted = through_text(&restarted);
            restarted.take_in_alone(&settings(), limit, canary);
            split.take_in(0.1, canary.n(), production.n());
            split_restarted = through_text(&split_restarted);
            split_restarted.take_in(0.1, canary.n(), production.n());
            prop_assert!(!straight.ln_e().is_nan() && straight.ln_e() < f64::INFINITY);
            prop_assert!(!split.ln_e().is_nan() && split.ln_e() < f64::INFINITY);
        }
        prop_assert_eq!(straight.ln_e().to_bits(), restarted.ln_e().to_bits());
        prop_assert_eq!(straight, restarted);
        prop_assert_eq!(split, split_restarted);
    }
}

/// The recursion by hand: two minutes of one trial in each arm, nothing tempered.
#[test]
fn two_minutes_by_hand() {
    let settings = Settings::new(1.0, 4, Counts::NONE, 0.0).expect("these are fit");
    let mut signal = Signal::default();
    signal.take_in(&settings, counts(1, 1), counts(1, 0));
    // q = 1/2, m = 1: each factor is rho / (1 + (rho - 1) / 2) = 2 rho / (1 + rho).
    let gains = [1.5, 2.0, 3.0, 5.0, 10.0, 25.0].map(|rho: f64| 2.0 * rho / (1.0 + rho));
    // Four minutes at the longest: a quarter of 0.9 each, and 0.04 more at once.
    let parts = [0.25, 0.45, 0.15, 0.05, 0.05, 0.05];
    let first: f64 = gains
        .iter()
        .zip(parts)
        .map(|(gain, part)| (0.04 + 0.225) * part * gain)
        .sum();
    assert!((signal.ln_e() - first.ln()).abs() < 1e-12);
    signal.take_in(&settings, counts(1, 1), counts(1, 0));
    let second: f64 = gains
        .iter()
        .zip(parts)
        .map(|(gain, part)| ((0.04 + 0.225) * gain + 0.225) * part * gain)
        .sum();
    assert!((signal.ln_e() - second.ln()).abs() < 1e-12);
}

#[test]
fn stakes_sum_to_one() {
    for longest in [1, 4, 600, 720, 721, 5_760, 100_000] {
        let within: f64 = (1..=longest).map(|minute| stake(minute, longest)).sum();
        assert!((within - 0.94).abs() < 1e-9, "{within} over {longest}");
        // Past it the sum to any minute is what is kept for that, times the part of time gone.
        let last = 1_000 * longest;
        let after: f64 = (longest + 1..=last)
            .map(|minute| stake(minute, longest))
            .sum();
        let expected = 0.06 * (1.0 - longest as f64 / last as f64);
        assert!((after - expected).abs() < 1e-9, "{after} over {longest}");
    }
}

/// A rollout that outlasts its length goes on being watched: a pause or a long soak is no blind spot.
#[test]
fn a_change_after_the_longest_length_is_found() {
    for longest in [120, 240, 5_760] {
        let settings =
            Settings::new(1.25, longest, counts(1_440_000, 2_880), 0.1).expect("these are fit");
        let mut signal = Signal::default();
        for _ in 0..longest + 2_000 {
            signal.take_in(&settings, counts(1_000, 2), counts(9_000, 18));
        }
        let found = (1..100).find(|_| {
            signal.take_in(&settings, counts(1_000, 50), counts(9_000, 18));
            calls_for_rollback(signal.ln_e(), percent(1.0))
        });
        assert!(
            found.is_some_and(|minutes| minutes <= 8),
            "{found:?} after {longest}"
        );
    }
}

/// However wild two minutes are, by themselves they prove nothing.
#[test]
fn two_wild_minutes_prove_nothing() {
    let alpha = percent(1.0);
    let mut signal = Signal::default();
    for _ in 0..2 {
        signal.take_in(
            &settings(),
            counts(1_000_000, 1_000_000),
            counts(9_000_000, 0),
        );
    }
    assert!(signal.ln_e() <= 2.0 * MOST_PER_MINUTE && !calls_for_rollback(signal.ln_e(), alpha));
    let limit = Limit::new(alpha).expect("it can be kept and broken");
    let against = AbsoluteSettings::new(limit, 600, 0.1).expect("these are fit");
    let mut guard = AbsoluteGuard::default();
    guard.take_in(&against, counts(1_000_000, 1_000_000));
    guard.take_in(&against, counts(1_000_000, 1_000_000));
    assert!(guard.ln_e() <= 2.0 * MOST_PER_MINUTE && !calls_for_rollback(guard.ln_e(), alpha));
}

/// The power comes from the past: this minute's outcomes of production temper only later ones.
#[test]
fn this_minute_tempers_only_later_ones() {
    let bursty = Settings::new(1.25, 600, counts(1000, 10), 5.0).expect("these are fit");
    let calm = Settings::new(1.25, 600, counts(1000, 10), 0.0).expect("these are fit");
    let (canary, production) = (counts(100, 3), counts(900, 2));
    let ratio_after = |past: Counts| {
        let mut signal = Signal::default();
        signal.take_in(&calm, counts(100, 0), past);
        let tempered = signal.factors(&bursty, canary, production)[0];
        tempered / signal.factors(&calm, canary, production)[0]
    };
    let after_few = ratio_after(counts(900, 0));
    let after_many = ratio_after(counts(900, 300));
    assert!(after_many < after_few * 0.5, "{after_many} {after_few}");
    let fresh = Signal::default();
    let power = |bad: u64| {
        fresh.factors(&bursty, canary, counts(900, bad))[0]
            / fresh.factors(&calm, canary, counts(900, bad))[0]
    };
    assert!((power(2) - power(500)).abs() < 1e-12);
}

#[test]
fn a_minute_without_an_arm_is_left_out_whole() {
    let mut signal = Signal::default();
    signal.take_in(&settings(), counts(100, 1), counts(900, 2));
    let before = signal.clone();
    assert!(!signal.take_in(&settings(), counts(0, 0), counts(900, 900)));
    assert!(!signal.take_in(&settings(), counts(100, 100), counts(0, 0)));
    assert_eq!(signal, before);
}

#[test]
fn a_minute_counts_once() {
    let minute = |number: i64| Timestamp::from_second(number * 60).expect("early");
    let mut signal = Signal::default();
    assert!(signal.take_in_once(&settings(), minute(2), counts(100, 1), counts(900, 2)));
    let before = signal.clone();
    assert!(!signal.take_in_once(&settings(), minute(2), counts(100, 50), counts(900, 2)));
    assert!(!signal.take_in_once(&settings(), minute(1), counts(100, 50), counts(900, 2)));
    assert_eq!(signal, before);
    assert!(signal.take_in_once(&settings(), minute(9), counts(100, 1), counts(900, 2)));
}

#[test]
fn what_cannot_be_is_refused() {
    assert_eq!(Counts::new(1, 2), None);
    for tolerate in [0.99, 0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Settings::new(tolerate, 600, Counts::NONE, 0.1), None);
    }
    for kappa in [-0.1, f64::NAN, f64::INFINITY] {
        assert_eq!(Settings::new(1.25, 600, Counts::NONE, kappa), None);
    }
    assert_eq!(Settings::new(1.25, 0, Counts::NONE, 0.1), None);
    assert_eq!(Limit::new(percent(0.0)), None);
    assert_eq!(Limit::new(percent(100.0)), None);
    for ln in [
        r#"["-inf","-inf"]"#,
        r#"["inf","0","0","0","0","0"]"#,
        r#"["NaN","0","0","0","0","0"]"#,
        r#"["","0","0","0","0","0"]"#,
    ] {
        let text = format!(
            r#"{{"capital":{{"ln":{ln},"minutes":1}},"canary":{{"n":1,"x":0}},"production":{{"n":1,"x":0}},"last_minute":null}}"#
        );
        assert!(serde_json::from_str::<Signal>(&text).is_err(), "{text}");
    }
    assert!(serde_json::from_str::<Counts>(r#"{"n":1,"x":2}"#).is_err());
}

#[test]
fn the_budget_is_shared() {
    let part = ln_even_part(4);
    // One signal alone must reach four times as much as when it stands by itself.
    let total =
        |e: f64| combined([e, f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0].map(|e| (part, e)));
    assert!(!calls_for_rollback(total(300f64.ln()), percent(1.0)));
    assert!(calls_for_rollback(total(401f64.ln()), percent(1.0)));
    assert!(forbids_promotion(total(40f64.ln())));
    assert!(!forbids_promotion(total(38f64.ln())));
    let nothing = combined(std::iter::empty());
    assert!(!calls_for_rollback(nothing, percent(1.0)) && !forbids_promotion(nothing));
    assert!(
        !calls_for_rollback(700.0, percent(0.0)),
        "no budget, no false rollback"
    );
}
