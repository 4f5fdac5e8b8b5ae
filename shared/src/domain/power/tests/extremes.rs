//! What more traffic and more time do, what nothing can prove, and inputs that no endpoint has.

use proptest::prelude::*;

use super::{plan, traffic, watched};
use crate::domain::comparison::{Counts, Settings};
use crate::domain::plan::{Plan, Stage};
use crate::domain::power::{Detection, Watched, minutes_per_stage, proves, smallest_per_stage};
use crate::domain::quantity::{Rate, Span, Weight};

fn smallest(minutes: u64, requests: f64, rate: f64) -> Option<Detection> {
    let found = smallest_per_stage(&plan(&[(10, minutes)]), traffic(requests), &watched(rate));
    assert_eq!(found.len(), 1, "one answer for each stage below 100 %");
    found[0]
}

/// A rate to compare: more than everything where nothing is provable.
fn smallest_rate(minutes: u64, requests: f64, rate: f64) -> f64 {
    smallest(minutes, requests, rate).map_or(2.0, |found| found.rate)
}

#[test]
fn more_traffic_proves_smaller_regressions() {
    for rate in [0.0, 0.002, 0.01, 0.2] {
        let rates = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e9]
            .map(|requests| smallest_rate(60, requests, rate));
        assert!(
            rates.is_sorted_by(|less, more| more <= less),
            "{rate}: {rates:?}"
        );
    }
}

#[test]
fn more_time_proves_smaller_regressions() {
    for (requests, rate) in [(30.0, 0.002), (1e3, 0.002), (1e3, 0.2), (1e5, 0.01)] {
        let rates = [1, 2, 5, 10, 30, 60, 300, 1_440, 5_000]
            .map(|minutes| smallest_rate(minutes, requests, rate));
        assert!(
            rates.is_sorted_by(|less, more| more <= less),
            "{requests} {rate}: {rates:?}"
        );
    }
}

#[test]
fn one_request_a_minute_proves_nothing_in_ten() {
    assert_eq!(smallest(10, 1.0, 0.002), None);
    assert!(!proves(None, 1.0));
}

#[test]
fn the_smallest_is_caught_at_the_minute_said() {
    let (plan, traffic, watched) = (
        plan(&[(10, 60), (30, 45)]),
        traffic(2_000.0),
        watched(0.004),
    );
    let found = smallest_per_stage(&plan, traffic, &watched);
    for (stage, detection) in found.iter().enumerate() {
        let detection = detection.expect("an hour is enough here");
        let minutes = minutes_per_stage(&plan, traffic, &watched, detection.rate);
        assert_eq!(minutes[stage], Some(detection.minutes));
        assert!(proves(Some(detection), detection.rate) && !proves(Some(detection), 0.005));
        let ratio = detection.ratio.expect("production has bad outcomes");
        assert!((ratio * 0.004 / detection.rate - 1.0).abs() < 1e-12);
    }
}

/// Whether a stage is too short, and how long it would have to be.
#[test]
fn a_bake_is_no_bound_of_the_minutes_of_a_given_rate() {
    let (short, rate) = (plan(&[(10, 10)]), 0.01);
    let found = smallest_per_stage(&short, traffic(1_000.0), &watched(0.002));
    assert!(!proves(found[0], rate));
    let minutes = minutes_per_stage(&short, traffic(1_000.0), &watched(0.002), rate)[0];
    let minutes = minutes.expect("within the day");
    assert!(minutes > 10);
    let longer = smallest_per_stage(&plan(&[(10, minutes)]), traffic(1_000.0), &watched(0.002));
    assert!(proves(longer[0], rate * 1.01));
}

#[test]
fn a_canary_as_good_as_tolerated_is_never_caught() {
    for rate in [0.001, 0.002] {
        assert_eq!(
            minutes_per_stage(&plan(&[(10, 60)]), traffic(1e5), &watched(0.002), rate),
            [None]
        );
    }
}

#[test]
fn production_without_bad_outcomes_has_no_ratio() {
    let found = smallest(60, 1_000.0, 0.0).expect("many bad outcomes are seen");
    assert_eq!(found.ratio, None);
    assert!(found.rate > 1e-5 && found.rate < 0.05, "{found:?}");
}

#[test]
fn no_traffic_and_nothing_worse_prove_nothing() {
    for requests in [0.0, -1.0, f64::NAN] {
        assert_eq!(smallest(60, requests, 0.002), None);
    }
    for rate in [1.0, 1.5, -0.1, f64::NAN] {
        let broken = Watched {
            rate,
            ..watched(0.5)
        };
        assert_eq!(
            smallest_per_stage(&plan(&[(10, 60)]), traffic(1e3), &broken),
            [None]
        );
    }
    for rate in [-0.1, 1.1, f64::NAN] {
        assert_eq!(
            minutes_per_stage(&plan(&[(10, 60)]), traffic(1e3), &watched(0.002), rate),
            [None]
        );
    }
}

#[test]
fn a_bake_below_a_minute_has_no_minute_of_counts() {
    let stage = |percent, bake| Stage {
        weight: Weight::new(percent).expect("a share"),
        bake,
        approval: false,
        min_labels: 0,
    };
    let stages = vec![stage(10, Span::from_secs(59)), stage(100, Span::ZERO)];
    let plan = Plan::new(stages, Span::ZERO, Plan::DEADLINE, Vec::new()).expect("it is a plan");
    assert_eq!(
        smallest_per_stage(&plan, traffic(1e6), &watched(0.002)),
        [None]
    );
}

fn any_number(usual: impl Strategy<Value = f64> + 'static) -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => usual,
        1 => prop_oneof![
            Just(0.0),
            Just(1.0),
            Just(f64::MIN_POSITIVE),
            Just(1.0 - f64::EPSILON),
            Just(f64::MAX),
            Just(f64::INFINITY),
            Just(f64::NAN),
            any::<f64>()
        ],
    ]
}

prop_compose! {
    fn any_watched()(
        rate in any_number(0.0..1.0),
        kappa in any_number(0.0..10.0),
        tolerate in prop_oneof![1.0..3.0, Just(f64::MAX)],
        longest in prop_oneof![Just(1), Just(5_760), Just(u64::MAX)],
        tempering in prop_oneof![0.0..5.0, Just(f64::MAX)],
        history in prop_oneof![Just((0, 0)), Just((1_000_000, 2_000)), Just((u64::MAX, u64::MAX))],
        parts in prop_oneof![Just(0), Just(2), Just(usize::MAX)],
        percent in prop_oneof![Just(0.0), Just(1.0), Just(100.0)],
    ) -> Watched {
        let history = Counts::new(history.0, history.1).expect("these are counts");
        Watched {
            rate,
            settings: Settings::new(tolerate, longest, history, tempering).expect("these are fit"),
            kappa,
            parts,
            alpha: Rate::from_percent(percent).expect("these are rates"),
        }
    }
}

proptest! {
    #[test]
    fn every_input_has_an_answer(
        watched in any_watched(),
        requests in any_number(0.0..1e9),
        rate in any_number(0.0..1.0),
        minutes in 1..40_u64,
    ) {
        let plan = plan(&[(1, minutes), (50, minutes), (99, minutes)]);
        let found = smallest_per_stage(&plan, traffic(requests), &watched);
        prop_assert_eq!(found.len(), 3);
        for detection in found.into_iter().flatten() {
            prop_assert!(detection.rate > 0.0 && detection.rate <= 1.0);
            prop_assert!((1..=minutes).contains(&detection.minutes));
            prop_assert!(detection.ratio.is_none_or(|ratio| ratio > 0.0));
        }
        let minutes = minutes_per_stage(&plan, traffic(requests), &watched, rate);
        prop_assert_eq!(minutes.len(), 3);
    }
}
