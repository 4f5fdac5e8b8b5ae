//! How good the predictions are, once labels came.

use std::collections::BTreeMap;

use super::super::builders::*;
use super::{after, baking, counted};
use crate::domain::baseline::{Baseline, SlowCount};
use crate::domain::comparison::{AbsoluteGuard, AbsoluteSettings, Counts, Limit};
use crate::domain::decide::{Decision, decide};
use crate::domain::model_signals::{Figure, Outcome, Quality};
use crate::domain::observation::{ArmMinute, Metrics, Series};
use crate::domain::policy::{Consequence, Grade};
use crate::domain::quantity::Rate;
use crate::domain::signal::{MetricSource, SignalRule, Source};
use crate::domain::state::{Phase, Status};

fn quality(limit: Option<f64>) -> SignalRule {
    SignalRule {
        name: Quality::Accuracy.name().to_owned(),
        source: Source::Quality(Quality::Accuracy),
        compares: true,
        limit: limit.and_then(Rate::from_percent),
        min_samples: 0,
        consequence: Consequence::default(),
        family: None,
    }
}

/// A minute with 1000 requests of the canary, of which 100 were labelled, and so many wrong.
fn labelled(requests: u64, wrong: u64) -> ArmMinute {
    counted(arm(requests, 0), "accuracy", requests / 10, wrong)
}

#[test]
fn accuracy_below_85_percent_rolls_back_although_production_is_no_better() {
    let with = |limit| {
        let mut case = baking(10);
        case.deployment.terms.policy.signals.push(quality(limit));
        after(&mut case, 30, &labelled(1000, 30), &labelled(9000, 270))
    };
    let decision = with(Some(15.0));
    assert_eq!(decision.next.state.status, Status::RollingBack);
    let reason = &decision.next.state.reason;
    assert!(
        reason.starts_with("wrong predictions among the labelled (1 - accuracy)"),
        "{reason}"
    );
    // What it goes back for stands first, and production, which is no better, after it.
    let (limited, compared) = reason.split_once("; ").expect("two wagers");
    assert!(limited.contains("limit 15%, odds against luck"), "{reason}");
    assert!(compared.contains("not yet shown to be worse"), "{reason}");
    let compared_alone = with(None).next.state;
    assert_eq!(
        compared_alone.phase,
        Phase::Scaling,
        "{}",
        compared_alone.reason
    );
}

#[test]
fn f1_is_said_as_f1() {
    let mut case = baking(10);
    let rule = SignalRule {
        name: Quality::F1.name().to_owned(),
        source: Source::Quality(Quality::F1),
        // 85 % of F1: 6 of 23 trials.
        ..quality(Some(600.0 / 23.0))
    };
    case.deployment.terms.policy.signals.push(rule);
    // 600 true positives, 500 false alarms and misses: F1 is 1200 / 1700. Production's is 12 / 13.
    let canary = counted(arm(1000, 0), "f1", 1100, 500);
    let production = counted(arm(9000, 0), "f1", 7000, 1000);
    let state = after(&mut case, 1, &canary, &production).next.state;
    assert_eq!(state.status, Status::RollingBack);
    assert!(
        state
            .reason
            .ends_with("F1 canary 0.706, production 0.923, at least 0.850 is asked for"),
        "{}",
        state.reason
    );
}

/// What one labelled prediction adds to the capital against its own limit, where 3 in 10 are true
/// positives, 2 false alarms, 2 misses and 3 true negatives, is a fair game for every measure.
#[test]
fn no_label_of_a_model_at_its_limit_is_expected_to_gain() {
    let cells = [
        ((true, true), 0.3),
        ((true, false), 0.2),
        ((false, true), 0.2),
        ((false, false), 0.3),
    ];
    // By hand: accuracy 0.6, recall and precision 3/5, F1 6/10, 2 of 5 negatives flagged.
    for (quality, value) in Quality::ALL.into_iter().zip([0.6, 0.6, 0.6, 0.6, 0.4]) {
        let pair = quality.pair();
        let percent = quality.bad_share(value) * 100.0;
        let limit = Limit::new(Rate::from_percent(percent).unwrap()).unwrap();
        let settings = AbsoluteSettings::new(limit, 1, 0.0).unwrap();
        let (mut counted, mut expected) = (0.0, 0.0);
        for ((predicted, actual), chance) in cells {
            let figures = Outcome { predicted, actual }.figures();
            let of = |source: &MetricSource| {
                let named = |(figure, _): &&(Figure, u64)| figure.metric() == source.metric;
                figures.iter().find(named).map_or(0, |(_, by)| *by)
            };
            let counts = pair
                .counts(Some(of(&pair.of)), Some(of(&pair.bad)))
                .unwrap();
            let mut guard = AbsoluteGuard::default();
            if guard.take_in(&settings, counts) {
                counted += chance;
                expected += chance * guard.ln_e().exp();
            }
        }
        // Of the capital 94 parts in 100 are laid at the first of one minute.
        let gain = expected / counted / 0.94;
        assert!(gain < 1.0 + 1e-9, "{quality:?}: {gain}");
    }
}

/// A minute in which nobody asked, and labels of earlier predictions came.
fn late(labels: u64, wrong: u64) -> ArmMinute {
    counted(arm(0, 0), "accuracy", labels, wrong)
}

/// At a tenth, guarded, and held to an accuracy; the canary was asked before.
fn awaiting_labels() -> Case {
    Case::baking(10).with(|case| {
        let policy = &mut case.deployment.terms.policy;
        policy.signals.push(quality(Some(15.0)));
        case.evidence.canary.invocations = 1000;
    })
}

#[test]
fn labels_that_come_while_nobody_asks_take_a_bad_canary_back() {
    let decision = after(&mut awaiting_labels(), 10, &late(100, 50), &late(900, 90));
    let state = &decision.next.state;
    assert_eq!(state.status, Status::RollingBack, "{}", state.reason);
    assert!(state.reason.contains("limit 15%"), "{}", state.reason);
    let accuracy = &decision.evidence.signals["accuracy"];
    assert_eq!(accuracy.comparison.canary().n(), 1000, "both had labels");
    assert_eq!(accuracy.comparison.production().n(), 9000);
    let last = &decision.minutes[9];
    assert_eq!(last.canary, Some(late(100, 50)));
    assert_eq!(last.signals["accuracy"].minute, Counts::new(100, 50));
}

#[test]
fn production_s_labels_count_in_a_minute_in_which_only_the_canary_was_asked() {
    let canary = labelled(1000, 9);
    let decision = after(&mut awaiting_labels(), 1, &canary, &late(900, 90));
    let accuracy = &decision.evidence.signals["accuracy"].comparison;
    assert_eq!(
        (accuracy.canary().n(), accuracy.production().n()),
        (100, 900)
    );
    let errors = &decision.evidence.signals["errors"].comparison;
    assert_eq!(errors.production(), Counts::NONE);
    assert_eq!(decision.evidence.production.invocations, 0);
}

/// All but the signals stands as after a minute without anything: blindness, guards, samples, traffic.
#[test]
fn labels_without_a_request_are_no_sight_of_the_canary() {
    let production = arm(9000, 0).taking(20.0);
    for theirs in [None, Some(&production)] {
        let mut case = awaiting_labels();
        let mut seeing = |canary: Option<&ArmMinute>| {
            let metrics = last_minutes(&mut case, 3, canary, theirs);
            let seen = seen(split(10)).metrics(metrics);
            decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
        };
        let (without, with) = (seeing(None), seeing(Some(&late(100, 5))));
        assert_eq!(with.evidence.blind.is_some(), theirs.is_some());
        let accuracy = &with.evidence.signals["accuracy"];
        assert_eq!(
            (with.evidence.signals.len(), accuracy.stage_samples),
            (1, 300)
        );
        let mut others = with.evidence.clone();
        others.signals.clear();
        others.gates.clear();
        assert_eq!(others, without.evidence);
        assert_eq!(with.next.state.phase, without.next.state.phase);
        let words = |decision: &Decision| decision.minutes[2].sentence.clone();
        assert_eq!(words(&with), words(&without));
    }
}

#[test]
fn what_is_counted_before_the_canary_was_ever_asked_is_not_its_own() {
    let mut case = awaiting_labels();
    case.evidence.canary.invocations = 0;
    let decision = after(&mut case, 3, &late(100, 90), &labelled(9000, 90));
    assert!(!decision.evidence.signals.contains_key("accuracy"));
    assert_eq!(decision.minutes[2].canary, None);
}

#[test]
fn labels_without_a_request_count_into_production_s_day_and_lengthen_nothing() {
    let policy = awaiting_labels().deployment.terms.policy;
    let quiet = accepted_at() + minutes(30);
    let day = BTreeMap::from([(accepted_at(), arm(100, 1)), (quiet, late(50, 5))]);
    let baseline = Baseline::of(&policy, &day, None, SlowCount::default());
    assert_eq!((baseline.minutes, baseline.requests), (1, 100));
    let counts = |name: &str| Some(baseline.signals[name].counts);
    assert_eq!(counts("accuracy"), Counts::new(50, 5));
    assert_eq!(counts("errors"), Counts::new(100, 1));
}

/// 20 minutes by turns, the one with labels of the canary's predictions, so many of them wrong, the next with
/// labels of production's, a tenth of them wrong: no minute has both, and there is no limit.
fn by_turns(wrong: u64) -> Decision {
    let mut case = awaiting_labels().with(|case| {
        let signals = &mut case.deployment.terms.policy.signals;
        signals.pop();
        signals.push(quality(None));
    });
    let empty = last_minutes(&mut case, 20, None, None);
    let every_second = |first: i64, minute: &ArmMinute| {
        let turns = (first..20).step_by(2);
        Series::Read(
            turns
                .map(|index| (empty.from + minutes(index), minute.clone()))
                .collect(),
        )
    };
    let metrics = Metrics {
        canary: every_second(0, &late(100, wrong)),
        production: every_second(1, &late(900, 90)),
        ..empty.clone()
    };
    let seen = seen(split(10)).metrics(metrics);
    decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
}

#[test]
fn labels_of_the_models_in_minutes_of_their_own_are_compared_all_the_same() {
    let worse = by_turns(50);
    let state = &worse.next.state;
    assert_eq!(state.status, Status::RollingBack, "{}", state.reason);
    assert!(
        state
            .reason
            .starts_with("wrong predictions among the labelled (1 - accuracy)"),
        "{}",
        state.reason
    );
    let accuracy = &worse.evidence.signals["accuracy"];
    let compared = &accuracy.comparison;
    assert_eq!(
        (compared.canary().n(), compared.production().n()),
        (1000, 9000),
        "each label once"
    );
    assert!(accuracy.waiting.is_empty());
    let alike = by_turns(10);
    let state = &alike.next.state;
    assert_eq!(state.status, Status::InProgress, "{}", state.reason);
    assert!(alike.evidence.signals["accuracy"].comparison.ln_e() < 0.0);
}

#[test]
fn labels_at_full_traffic_are_judged_alone_and_do_not_wait_beside_that() {
    let mut case = Case::soaking().with(|case| {
        let terms = &mut case.deployment.terms;
        terms.policy.guards.clear();
        terms.policy.signals.push(quality(None));
        let signals = &mut terms.baseline.signals;
        let past = signals.entry("accuracy".to_owned()).or_default();
        past.worst_hour = Counts::new(6000, 600).unwrap();
    });
    let metrics = last_minutes(&mut case, 3, Some(&labelled(1000, 9)), None);
    let seen = seen(split(100)).metrics(metrics);
    let decision = decide(&case.deployment, &case.evidence, &seen, case.now).unwrap();
    let accuracy = &decision.evidence.signals["accuracy"];
    assert_eq!(accuracy.comparison.alone().n(), 300);
    assert!(accuracy.waiting.is_empty());
}

/// One night's labels of both arms come in one minute.
fn a_night(limit: Option<f64>, wrong: u64) -> Decision {
    let mut case = baking(10);
    case.deployment.terms.policy.signals.push(quality(limit));
    let canary = counted(arm(1000, 0), "accuracy", 50_000, wrong);
    let production = counted(arm(9000, 0), "accuracy", 450_000, 22_500);
    after(&mut case, 1, &canary, &production)
}

#[test]
fn the_labels_of_a_night_are_worth_more_than_a_minute_of_requests() {
    for limit in [Some(15.0), None] {
        let half_wrong = a_night(limit, 25_000).next.state;
        assert_eq!(half_wrong.status, Status::RollingBack, "{limit:?}");
        let sound = a_night(limit, 2500).next.state;
        assert_eq!(sound.phase, Phase::Scaling, "{}", sound.reason);
    }
}

#[test]
fn a_few_labels_past_the_limit_hold_what_they_do_not_prove() {
    let judged = |wrong, consequence| {
        let mut case = baking(10);
        let rule = SignalRule {
            consequence,
            ..quality(Some(15.0))
        };
        case.deployment.terms.policy.signals.push(rule);
        let canary = counted(arm(1000, 0), "accuracy", 40, wrong);
        let production = counted(arm(9000, 0), "accuracy", 360, 40);
        after(&mut case, 1, &canary, &production)
    };
    let held = judged(10, Consequence::default());
    assert_eq!(held.next.state.phase, Phase::Holding);
    let reason = &held.next.state.reason;
    assert!(
        reason.contains("not shown to be within its limit: wrong predictions"),
        "{reason}"
    );
    let last = held.minutes.last().expect("a minute");
    assert_eq!(last.verdict, "inconclusive");
    for (wrong, consequence) in [
        (6, Consequence::default()),
        (10, Consequence::of(Grade::Low)),
    ] {
        let state = judged(wrong, consequence).next.state;
        assert_eq!(state.phase, Phase::Scaling, "{}", state.reason);
    }
}

#[test]
fn a_stage_waits_for_the_labels_it_asks_for() {
    let waiting = |labels| {
        let mut case = baking(10);
        let (plan, policy) = {
            let terms = &mut case.deployment.terms;
            (&mut terms.plan, &mut terms.policy)
        };
        policy.signals.push(quality(None));
        let stage = plan
            .stages
            .iter_mut()
            .find(|stage| stage.weight == weight(10));
        stage.expect("the preset's first stage").min_labels = labels;
        after(&mut case, 5, &labelled(1000, 5), &labelled(9000, 45))
            .next
            .state
    };
    let enough = waiting(500);
    assert_eq!(enough.phase, Phase::Scaling, "{}", enough.reason);
    let state = waiting(2000);
    assert_eq!(state.phase, Phase::Holding);
    assert!(
        state
            .reason
            .ends_with("needs about 1500 more labelled predictions of the canary"),
        "requests say nothing of when labels come: {}",
        state.reason
    );
}
