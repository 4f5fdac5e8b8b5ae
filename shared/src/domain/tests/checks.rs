//! Further checks: minutes in which their metrics count what can't be, and wanted outcomes that are
//! rare.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::builders::*;
use crate::domain::baseline::{Baseline, SlowCount};
use crate::domain::comparison::Counts;
use crate::domain::decide::{Decision, decide};
use crate::domain::evidence::Evidence;
use crate::domain::forecast::Forecast;
use crate::domain::observation::{ArmMinute, Metrics};
use crate::domain::policy::{Consequence, Grade};
use crate::domain::signal::{Direction, MetricPair, MetricSource, Miscount, SignalRule, Source};
use crate::domain::state::{Phase, Status};

fn pair(direction: Direction) -> MetricPair {
    let source = |metric: &str| MetricSource {
        namespace: "Shop".to_owned(),
        metric: metric.to_owned(),
        statistic: "Sum".to_owned(),
        dimensions: BTreeMap::new(),
    };
    MetricPair {
        bad: source("Clicks"),
        of: source("Impressions"),
        direction,
        beside: false,
    }
}

/// Clicks of impressions, of which no number is waited for.
fn clicks(severity: Grade) -> SignalRule {
    SignalRule {
        name: "clicks".to_owned(),
        source: Source::Metrics(pair(Direction::LowerIsWorse)),
        compares: true,
        limit: None,
        min_samples: 0,
        consequence: Consequence::of(severity),
        family: None,
    }
}

fn judged_by(rule: SignalRule) -> Case {
    Case::baking(10).with(|case| {
        case.deployment.terms.policy.guards.clear();
        case.deployment.terms.policy.signals.push(rule);
    })
}

/// A minute with so many impressions and clicks.
fn minute(requests: u64, impressions: u64, clicks: u64) -> ArmMinute {
    let pair = pair(Direction::LowerIsWorse);
    let (of, bad) = (Some(impressions), Some(clicks));
    let named = |name: &str| name.to_owned();
    ArmMinute {
        checks: pair
            .counts(of, bad)
            .map(|it| (named("clicks"), it))
            .into_iter()
            .collect(),
        miscounted: pair
            .miscount(of, bad)
            .map(|it| (named("clicks"), it))
            .into_iter()
            .collect(),
        ..arm(requests, 0)
    }
}

fn decided(case: &Case, metrics: Metrics) -> Decision {
    let seen = seen(split(10)).metrics(metrics);
    decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
}

fn after(case: &mut Case, count: i64, canary: &ArmMinute, production: &ArmMinute) -> Decision {
    let metrics = last_minutes(case, count, Some(canary), Some(production));
    decided(case, metrics)
}

#[test]
fn more_outcomes_than_trials_are_neither_counts_nor_nothing() {
    for direction in [Direction::HigherIsWorse, Direction::LowerIsWorse] {
        let pair = pair(direction);
        for (trials, counted) in [(Some(3), Some(14)), (None, Some(14)), (Some(0), Some(1))] {
            assert_eq!(pair.counts(trials, counted), None);
            let miscount = Miscount {
                trials: trials.unwrap_or(0),
                counted: counted.unwrap_or(0),
            };
            assert_eq!(pair.miscount(trials, counted), Some(miscount));
        }
        for (trials, counted) in [
            (Some(3), Some(3)),
            (Some(3), None),
            (None, None),
            (None, Some(0)),
        ] {
            assert_eq!(
                pair.miscount(trials, counted),
                None,
                "{trials:?} {counted:?}"
            );
        }
    }
    let beside = MetricPair {
        beside: true,
        ..pair(Direction::HigherIsWorse)
    };
    assert_eq!(beside.miscount(Some(3), Some(14)), None);
    assert_eq!(beside.counts(Some(3), Some(14)), Counts::new(17, 14));
}

#[test]
fn a_minute_that_cannot_be_holds_and_says_both_figures() {
    let (sound, odd) = (minute(1000, 100, 5), minute(1000, 3, 14));
    let (theirs, their_odd) = (minute(9000, 900, 45), minute(9000, 3, 14));
    for (canary, production, arm) in [
        (&odd, &theirs, "3 trials of the canary"),
        (&sound, &their_odd, "3 trials of production"),
    ] {
        let decision = after(&mut judged_by(clicks(Grade::High)), 5, canary, production);
        let reason = &decision.next.state.reason;
        assert_eq!(decision.next.state.phase, Phase::Holding, "{reason}");
        assert!(
            reason.contains("the check clicks can't be judged")
                && reason.contains(arm)
                && reason.contains("counted 14 outcomes"),
            "{reason}"
        );
        let last = decision.minutes.last().unwrap();
        assert_eq!(last.verdict, "inconclusive");
        assert_eq!(decision.evidence.blind, None, "it blinds nothing else");
        let compared = decision.evidence.signals.get("clicks");
        assert_eq!(compared.map_or(0, |it| it.comparison.minutes()), 0);
    }
    // The same minutes without it raise.
    let decision = after(&mut judged_by(clicks(Grade::High)), 5, &sound, &theirs);
    assert_eq!(decision.next.state.phase, Phase::Scaling);
    // One that only tells stands in nobody's way.
    let decision = after(&mut judged_by(clicks(Grade::Low)), 5, &odd, &theirs);
    assert_eq!(decision.next.state.phase, Phase::Scaling);
}

/// A metric that counts what can't be every now and then is not to be believed in between either; one
/// odd minute is no reason to hold for good.
#[test]
fn one_such_minute_holds_for_an_hour() {
    let (sound, odd) = (minute(1000, 100, 5), minute(1000, 3, 14));
    let theirs = minute(9000, 900, 45);
    for (sound_minutes, phase) in [(59, Phase::Holding), (60, Phase::Scaling)] {
        let mut case = judged_by(clicks(Grade::High));
        let mut metrics = last_minutes(&mut case, sound_minutes + 1, Some(&sound), Some(&theirs));
        let from = metrics.from;
        if let crate::domain::observation::Series::Read(minutes) = &mut metrics.canary {
            minutes.insert(from, odd.clone());
        }
        let decision = decided(&case, metrics);
        let reason = &decision.next.state.reason;
        assert_eq!(
            decision.next.state.phase, phase,
            "{sound_minutes}: {reason}"
        );
        let judged = &decision.evidence.signals["clicks"].comparison;
        assert_eq!(judged.minutes(), u64::try_from(sound_minutes).unwrap());
        let text = serde_json::to_string(&decision.evidence).unwrap();
        let back: Evidence = serde_json::from_str(&text).unwrap();
        assert_eq!(back, decision.evidence);
    }
}

/// Nearly every impression is without a click, so the clicks are what is compared.
#[test]
fn a_canary_with_half_the_clicks_is_taken_back_and_one_with_as_many_goes_on() {
    let theirs = minute(9000, 9000, 270);
    let decision = after(
        &mut judged_by(clicks(Grade::High)),
        90,
        &minute(1000, 1000, 12),
        &theirs,
    );
    let reason = &decision.next.state.reason;
    assert_eq!(decision.next.state.status, Status::RollingBack, "{reason}");
    assert!(
        reason.starts_with("trials without clicks: canary 98.80%")
            && reason.contains("the others 2.50 times as rare (95% interval "),
        "{reason}"
    );
    let decision = after(
        &mut judged_by(clicks(Grade::High)),
        90,
        &minute(1000, 1000, 30),
        &theirs,
    );
    assert_eq!(decision.next.state.phase, Phase::Scaling);
}

/// At 100 % nothing is beside it: what production's worst hour leaves is so many times its odds. So many
/// times its rate would be beyond all trials, or below what production itself shows.
#[test]
fn what_mostly_bad_outcomes_are_held_against_alone_is_a_multiple_of_the_odds() {
    let rule = clicks(Grade::High);
    let day: BTreeMap<Timestamp, ArmMinute> = (0..120)
        .map(|index| {
            (
                accepted_at() - minutes(120 - index),
                minute(1000, 100_000, 500),
            )
        })
        .collect();
    let mut case = judged_by(rule);
    let policy = &case.deployment.terms.policy;
    let baseline = Baseline::of(policy, &day, None, SlowCount::default());
    let past = &baseline.signals["clicks"];
    let limit = past.frozen(1.25, &crate::domain::comparison::Signal::default());
    let limit = limit.unwrap().fraction();
    // Worst hour 0.995, by hand: odds 199 (and one more counted), times 1.25, is 248.75 of 249.75.
    assert!((limit - 248.75 / 249.75).abs() < 1e-6, "{limit}");
    // Five times the odds against a click is what a stage should show, not all of them and more.
    case.deployment.terms.baseline = baseline;
    let warnings = Forecast::of(&case.deployment).warnings.join("; ");
    assert!(
        !warnings.contains("100.00% of trials without"),
        "{warnings}"
    );
}
