//! Windows and checks: how minutes become a finding, and findings a breach.

use super::builders::*;
use crate::domain::evidence::{Evidence, Finding, GuardState};
use crate::domain::guard::{WindowSize, has_tripped, take_in};
use crate::domain::judge::{Verdict, judge, last_judgeable};
use crate::domain::observation::ArmMinute;
use crate::domain::policy::{Action, Consequence, Guard, Percentile, Sustain, Test};
use crate::domain::quantity::{Rate, Span};

const MIN_SAMPLES: u64 = 500;

fn guard(test: Test, sustain: Sustain) -> Guard {
    Guard {
        name: "guard".to_owned(),
        test,
        sustain,
        consequence: Consequence::default(),
    }
}

fn rate(percent: f64) -> Rate {
    Rate::from_percent(percent).unwrap()
}

fn errors_above() -> Guard {
    guard(Test::ErrorsAbove(rate(1.0)), Sustain::Checks(2))
}

/// Feeds minutes; the findings of the checks they closed, and whether the guard tripped after
/// each minute.
fn feed(
    guard: &Guard,
    minutes: &[(ArmMinute, Option<ArmMinute>)],
) -> (GuardState, Vec<Finding>, Vec<bool>) {
    let mut state = GuardState::default();
    let (mut findings, mut tripped) = (Vec::new(), Vec::new());
    for (canary, production) in minutes {
        if take_in(
            guard,
            &mut state,
            canary,
            production.as_ref(),
            WindowSize::of(MIN_SAMPLES),
        ) {
            findings.push(state.last.as_ref().unwrap().finding);
        }
        tripped.push(has_tripped(guard, &state));
    }
    (state, findings, tripped)
}

fn alone(minutes: &[ArmMinute]) -> Vec<(ArmMinute, Option<ArmMinute>)> {
    minutes
        .iter()
        .map(|minute| (minute.clone(), None))
        .collect()
}

use Finding::{Broken, Kept, Unknown};

#[test]
fn a_check_spans_minutes_until_it_has_enough_requests() {
    let (state, findings, _) = feed(&errors_above(), &alone(&vec![arm(100, 0); 12]));
    assert_eq!(findings, [Kept, Kept], "two checks of five minutes each");
    assert_eq!(
        (state.window.minutes, state.window.canary.n),
        (2, 200),
        "and a third one open: windows never overlap"
    );
    assert_eq!(
        state.last.unwrap().sentence,
        "5XX errors of the canary: 0.00% over 500 requests in 5 min, within the limit of 1%"
    );
}

#[test]
fn one_bad_minute_is_one_check_however_often_it_is_followed() {
    let mut minutes = vec![arm(600, 60)];
    minutes.extend(vec![arm(100, 0); 4]);
    let (state, findings, tripped) = feed(&errors_above(), &alone(&minutes));
    assert_eq!((findings, state.breaches), (vec![Broken], 1));
    assert!(!tripped.contains(&true));
}

#[test]
fn a_window_closes_early_only_when_its_outcome_is_certain() {
    // Of 500 requests 5 may fail. The sixth failure decides, whatever follows.
    let (_, findings, _) = feed(&errors_above(), &alone(&[arm(50, 5), arm(50, 0)]));
    assert_eq!(findings, []);
    let (_, findings, tripped) = feed(
        &errors_above(),
        &alone(&[arm(50, 5), arm(50, 1), arm(6, 6)]),
    );
    assert_eq!(
        (findings, tripped),
        (vec![Broken, Broken], vec![false, false, true])
    );
    // One error in one request is nothing.
    let (_, findings, _) = feed(&errors_above(), &alone(&[arm(1, 1)]));
    assert_eq!(findings, []);
    let slow = guard(
        Test::LatencyAbove(Percentile::P99, latency(100.0)),
        Sustain::Checks(3),
    );
    let (_, findings, _) = feed(
        &slow,
        &alone(&[
            arm(20, 0).taking(300.0).slower(100.0, 5),
            arm(20, 0).taking(300.0).slower(100.0, 1),
        ]),
    );
    assert_eq!(findings, [Broken]);
    // A comparison is never certain early: production's own figures are still to come.
    let worse = guard(Test::ErrorsWorseBy(rate(5.0)), Sustain::Checks(2));
    let (_, findings, _) = feed(&worse, &[(arm(499, 499), Some(arm(5000, 0)))]);
    assert_eq!(findings, []);
}

#[test]
fn two_consecutive_error_checks_and_a_limit_that_may_be_reached() {
    let (bad, good, brim) = (arm(1000, 11), arm(1000, 9), arm(1000, 10));
    let trips = |minutes: &[ArmMinute]| feed(&errors_above(), &alone(minutes)).2;
    assert_eq!(trips(&[bad.clone(), bad.clone()]), [false, true]);
    assert_eq!(
        trips(&[bad.clone(), good.clone(), bad.clone()]),
        [false, false, false]
    );
    assert_eq!(
        trips(&[brim.clone(), brim]),
        [false, false],
        "1 % is not above 1 %"
    );
    let client_errors = ArmMinute {
        errors_4xx: 900,
        ..arm(1000, 0)
    };
    assert_eq!(
        trips(&[client_errors.clone(), client_errors]),
        [false, false],
        "4XX are the caller's"
    );
    let (state, ..) = feed(&errors_above(), &alone(&[bad.clone(), bad]));
    assert!(
        state
            .last
            .unwrap()
            .sentence
            .ends_with("past the limit of 1%, check 2 of 2")
    );
}

#[test]
fn exactly_the_allowed_share_is_never_a_breach() {
    for hundreds in 5..400 {
        let n = hundreds * 100;
        let (_, findings, _) = feed(&errors_above(), &alone(&[arm(n, hundreds)]));
        assert_eq!(findings, [Kept], "{hundreds} errors of {n}");
        for percentile in Percentile::ALL {
            let tail = match percentile {
                Percentile::P50 => 50,
                Percentile::P90 => 10,
                Percentile::P95 => 5,
                Percentile::P99 => 1,
            };
            let slow = guard(
                Test::LatencyAbove(percentile, latency(100.0)),
                Sustain::Checks(1),
            );
            let minute = |extra: u64| {
                arm(n, 0)
                    .taking(100.0)
                    .slower(100.0, hundreds * tail + extra)
            };
            assert_eq!(
                feed(&slow, &alone(&[minute(0)])).1,
                [Kept],
                "{percentile}, {n} requests"
            );
            assert_eq!(
                feed(&slow, &alone(&[minute(1)])).1,
                [Broken],
                "{percentile}, {n} requests"
            );
        }
    }
}

#[test]
fn three_consecutive_latency_checks() {
    let slow = guard(
        Test::LatencyAbove(Percentile::P99, latency(100.0)),
        Sustain::Checks(3),
    );
    let bad = arm(1000, 0).taking(140.0).slower(100.0, 11);
    let good = arm(1000, 0).taking(90.0).slower(100.0, 10);
    let trips = |minutes: &[ArmMinute]| feed(&slow, &alone(minutes)).2;
    assert_eq!(
        trips(&[bad.clone(), bad.clone(), bad.clone(), good.clone()]),
        [false, false, true, false]
    );
    assert_eq!(
        trips(&[bad.clone(), bad.clone(), good, bad.clone()]),
        [false; 4]
    );
    // A minute without latency points says nothing: the row of breaches neither grows nor ends.
    assert_eq!(
        trips(&[bad.clone(), arm(1000, 0), bad.clone(), bad]),
        [false, false, false, true]
    );
}

#[test]
fn a_percentile_is_a_count_and_never_a_mean_of_minutes() {
    // Four quick minutes and one with a p99 of 900 ms: 6 of 1000 requests are slow, less than 1 %.
    let slow = guard(
        Test::LatencyAbove(Percentile::P99, latency(100.0)),
        Sustain::Checks(1),
    );
    let quick = arm(100, 0).taking(20.0).slower(100.0, 0);
    let burst = arm(600, 0).taking(900.0).slower(100.0, 6);
    let (state, findings, _) = feed(
        &slow,
        &alone(&[quick.clone(), quick.clone(), quick.clone(), quick, burst]),
    );
    assert_eq!(findings, [Kept]);
    assert!(state.last.unwrap().sentence.contains(
        "p99 20.0 to 900.0ms, 0.60% of requests slower than 100ms over 1000 requests in 5 min"
    ));
}

#[test]
fn without_counts_the_bounds_must_prove_it() {
    let slow = guard(
        Test::LatencyAbove(Percentile::P99, latency(100.0)),
        Sustain::Checks(1),
    );
    let finds = |minutes: &[ArmMinute]| feed(&slow, &alone(minutes)).1;
    assert_eq!(
        finds(&[arm(300, 0).taking(120.0), arm(300, 0).taking(140.0)]),
        [Broken]
    );
    assert_eq!(
        finds(&[arm(300, 0).taking(80.0), arm(300, 0).taking(100.0)]),
        [Kept]
    );
    assert_eq!(
        finds(&[arm(300, 0).taking(80.0), arm(300, 0).taking(140.0)]),
        [Unknown]
    );
    // Some minutes were counted: nine slow ones of 600 prove it whatever the others were.
    assert_eq!(
        finds(&[
            arm(300, 0).taking(80.0),
            arm(300, 0).taking(140.0).slower(100.0, 9)
        ]),
        [Broken]
    );
    assert_eq!(
        finds(&[
            arm(300, 0).taking(80.0),
            arm(300, 0).taking(140.0).slower(100.0, 5)
        ]),
        [Unknown]
    );
    let (state, ..) = feed(
        &slow,
        &alone(&[arm(300, 0).taking(80.0), arm(300, 0).taking(140.0)]),
    );
    assert_eq!(
        state.last.unwrap().sentence,
        "latency of the canary: p99 80.0 to 140.0ms over 600 requests in 2 min, can't be told against the limit of p99 100ms"
    );
}

#[test]
fn what_cannot_be_told_neither_breaks_nor_mends_a_row() {
    let slow = guard(
        Test::LatencyAbove(Percentile::P99, latency(100.0)),
        Sustain::Checks(2),
    );
    let (bad, mixed) = (
        arm(500, 0).taking(140.0),
        [arm(250, 0).taking(80.0), arm(250, 0).taking(140.0)],
    );
    let [low, high] = mixed;
    let (state, findings, tripped) = feed(
        &slow,
        &alone(&[bad.clone(), low.clone(), high.clone(), bad.clone()]),
    );
    assert_eq!(
        (findings, state.breaches),
        (vec![Broken, Unknown, Broken], 2)
    );
    assert_eq!(tripped, [false, false, false, true]);
    // A check that can't be told never rolls back by itself.
    let (_, _, tripped) = feed(&slow, &alone(&[bad.clone(), bad, low, high]));
    assert_eq!(tripped, [false, true, true, false]);
}

#[test]
fn the_ratio_compares_bounds() {
    let ratio = guard(Test::LatencyRatio(Percentile::P99, 2.0), Sustain::Checks(1));
    let pair = |canary: f64, production: f64| {
        (
            arm(600, 0).taking(canary),
            Some(arm(600, 0).taking(production)),
        )
    };
    let finds = |minutes: &[(ArmMinute, Option<ArmMinute>)]| feed(&ratio, minutes).1;
    assert_eq!(finds(&[pair(81.0, 40.0)]), [Broken]);
    assert_eq!(finds(&[pair(80.0, 40.0)]), [Kept]);
    let small = |canary: f64, production: f64| {
        (
            arm(300, 0).taking(canary),
            Some(arm(300, 0).taking(production)),
        )
    };
    assert_eq!(finds(&[small(110.0, 40.0), small(130.0, 50.0)]), [Broken]);
    // Bounds that overlap show no breach.
    assert_eq!(finds(&[small(90.0, 40.0), small(130.0, 50.0)]), [Kept]);
    // Without production, or without its latency, there is nothing to compare with.
    assert_eq!(
        finds(&[
            (arm(600, 0).taking(500.0), None),
            (arm(600, 0).taking(500.0), Some(arm(600, 0)))
        ]),
        []
    );
    // Both arms need enough.
    assert_eq!(
        finds(&[(arm(600, 0).taking(500.0), Some(arm(499, 0).taking(40.0)))]),
        []
    );
}

#[test]
fn the_difference_is_in_points() {
    let worse = guard(Test::ErrorsWorseBy(rate(5.0)), Sustain::Checks(2));
    let finds = |canary: u64, production: u64| {
        feed(
            &worse,
            &[(arm(1000, canary), Some(arm(4000, production * 4)))],
        )
    };
    assert_eq!(finds(52, 1).1, [Broken]);
    assert_eq!(finds(249, 200).1, [Kept], "a shared incident cancels out");
    assert_eq!(finds(0, 200).1, [Kept]);
    let (state, ..) = finds(52, 1);
    let sentence = state.last.unwrap().sentence;
    assert!(sentence.contains("5.20% against 0.10% over 1000 requests in 1 min, past the limit of 5 points worse, check 1 of 2"), "{sentence}");
}

#[test]
fn a_time_is_filled_by_the_minutes_of_broken_checks() {
    let emergency = guard(
        Test::ErrorsAbove(rate(5.0)),
        Sustain::For(Span::from_mins(5)),
    );
    let (bad, good) = (arm(600, 60), arm(600, 0));
    let trips = |minutes: &[ArmMinute]| feed(&emergency, &alone(minutes)).2;
    assert_eq!(
        trips(&vec![bad.clone(); 5]),
        [false, false, false, false, true]
    );
    let mut mended = vec![bad.clone(); 4];
    mended.push(good);
    mended.extend(vec![bad; 4]);
    assert!(!trips(&mended).contains(&true));
    // At low traffic one check may cover it all.
    assert_eq!(
        trips(&vec![arm(100, 5 + 1); 5]),
        [false, false, false, false, true]
    );
    let (state, ..) = feed(&emergency, &alone(&[arm(600, 60), arm(600, 60)]));
    assert!(state.last.unwrap().sentence.ends_with("for 2m of 5m"));
}

fn judged(
    case: &Case,
    evidence: &mut Evidence,
    metrics: &crate::domain::observation::Metrics,
) -> Verdict {
    judge(&case.deployment, evidence, metrics, case.now).0
}

#[test]
fn nothing_is_judged_twice() {
    let mut case = Case::baking(30);
    let metrics = last_minutes(&mut case, 2, Some(&arm(600, 60)), Some(&arm(1000, 0)));
    let mut once = case.evidence.clone();
    assert!(
        judged(&case, &mut once, &metrics)
            .asks_for(Action::Rollback)
            .is_some()
    );
    assert_eq!(
        (
            once.judged_through,
            once.canary.invocations,
            once.stage_samples
        ),
        (last_judgeable(case.now), 1200, 1000),
        "no latency, no samples"
    );

    // The same reading again, as a tick that was slow to commit would bring it.
    let mut twice = once.clone();
    let (_, reports) = judge(&case.deployment, &mut twice, &metrics, case.now);
    assert_eq!((twice, reports.len()), (once, 0));

    // One bad minute, read three times, is one check.
    let mut case = Case::baking(30);
    let metrics = last_minutes(&mut case, 1, Some(&arm(600, 60)), Some(&arm(1000, 0)));
    let mut evidence = case.evidence.clone();
    for _ in 0..3 {
        assert_eq!(judged(&case, &mut evidence, &metrics), Verdict::default());
    }
    assert_eq!(evidence.guards["error_rate.limit"].breaches, 1);
}

#[test]
fn missed_ticks_lose_nothing() {
    let feeds = |step: i64| {
        let mut case = Case::baking(30);
        let all = last_minutes(
            &mut case,
            12,
            Some(&arm(150, 1).taking(30.0).slower(100.0, 0)),
            Some(&arm(350, 0).taking(20.0)),
        );
        let mut evidence = case.evidence.clone();
        let mut from = all.from;
        while from <= all.through {
            let part = crate::domain::observation::Metrics {
                from,
                through: from + minutes(step - 1),
                ..all.clone()
            };
            judged(&case, &mut evidence, &part);
            from += minutes(step);
        }
        evidence
    };
    assert_eq!(feeds(1), feeds(12));
    assert_eq!(feeds(1), feeds(4));
    assert_eq!(feeds(1).stage_samples, 1000 + 12 * 150);
}

#[test]
fn a_minute_is_judged_two_minutes_after_it_ended() {
    let at = |text: &str| text.parse().unwrap();
    assert_eq!(
        last_judgeable(at("2026-03-02T10:05:00Z")),
        at("2026-03-02T10:02:00Z")
    );
    assert_eq!(
        last_judgeable(at("2026-03-02T10:05:59Z")),
        at("2026-03-02T10:02:00Z")
    );
    assert_eq!(
        last_judgeable(at("2026-03-02T10:06:00Z")),
        at("2026-03-02T10:03:00Z")
    );
}

#[test]
fn samples_count_from_the_first_whole_minute_of_the_stage() {
    let mut case =
        Case::baking(30).with(|case| {
            case.deployment.terms.policy.guards.retain(|guard| {
                !matches!(guard.test, Test::LatencyAbove(..) | Test::LatencyRatio(..))
            });
            case.deployment.state.stage_since =
                last_judgeable(case.now) - jiff::SignedDuration::from_secs(59);
            case.evidence.stage_samples = 0;
        });
    let metrics = last_minutes(&mut case, 3, Some(&arm(100, 0)), Some(&arm(100, 0)));
    let mut evidence = case.evidence.clone();
    judged(&case, &mut evidence, &metrics);
    assert_eq!(
        (evidence.stage_samples, evidence.canary.invocations),
        (100, 300)
    );
}
