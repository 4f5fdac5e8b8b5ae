//! What the model says about itself: how good, how fair and how different it is.

use std::collections::BTreeMap;

use super::builders::*;
use crate::domain::baseline::{Baseline, SlowCount};
use crate::domain::comparison::{AbsoluteGuard, AbsoluteSettings, Counts, Limit};
use crate::domain::decide::{Decision, decide};
use crate::domain::fairness::{Fairness, FairnessRule, Measure};
use crate::domain::history::Name;
use crate::domain::judge::bench::Bench;
use crate::domain::model_signals::{Figure, Outcome, Quality, ROUTED};
use crate::domain::observation::ArmMinute;
use crate::domain::policy::{Action, Consequence, Grade};
use crate::domain::quantity::Rate;
use crate::domain::routing::Sticky;
use crate::domain::signal::{DRIFT, MetricSource, SignalRule, Source};
use crate::domain::state::{Interrupted, Phase, Status};

/// A stage without guards that is over as soon as nothing speaks against it.
fn baking(at: u8) -> Case {
    Case::baking(at).with(|case| case.deployment.terms.policy.guards.clear())
}

fn after(case: &mut Case, count: i64, canary: &ArmMinute, production: &ArmMinute) -> Decision {
    let metrics = last_minutes(case, count, Some(canary), Some(production));
    let seen = seen(split(case.deployment.state.weight.percent())).metrics(metrics);
    decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
}

fn counted(mut minute: ArmMinute, name: &str, n: u64, x: u64) -> ArmMinute {
    minute
        .checks
        .insert(name.to_owned(), Counts::new(n, x).unwrap());
    minute
}

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

/// A minute whose scores are spread evenly but for so many in the last bin.
fn scored(requests: u64, last: u64) -> ArmMinute {
    let each = (requests - last) / 9;
    (0..10).fold(arm(requests, 0), |minute, bin| {
        let in_bin = if bin == 9 { requests - each * 9 } else { each };
        counted(minute, &format!("drift.{bin}"), requests, in_bin)
    })
}

fn drifting() -> Case {
    let hold = Consequence {
        on_breach: Action::Hold,
        ..Consequence::of(Grade::Medium)
    };
    baking(10).with(|case| {
        case.deployment
            .terms
            .policy
            .signals
            .extend(SignalRule::drift(hold, 0));
    })
}

#[test]
fn scores_that_move_hold_and_are_told_but_take_nothing_back() {
    let decision = after(&mut drifting(), 30, &scored(1000, 300), &scored(9000, 900));
    assert_eq!(
        decision.next.state.phase,
        Phase::Holding,
        "{}",
        decision.next.state.reason
    );
    let told: Vec<_> = decision
        .entries
        .iter()
        .filter(|entry| entry.event == Name::Breached)
        .collect();
    let [entry] = told.as_slice() else {
        panic!("ten bins are one word to people: {told:?}")
    };
    assert!(
        entry.reason.contains("scores from 0.9 to 1.0"),
        "{}",
        entry.reason
    );
    assert!(
        entry.reason.contains("population stability index 0.2"),
        "{}",
        entry.reason
    );
    assert!(decision.evidence.told.contains("drift"));
    let last = decision.minutes.last().expect("thirty minutes");
    assert!(
        last.drift
            .is_some_and(|drift| drift.index > 0.2 && drift.by_luck < 0.01)
    );
}

#[test]
fn the_same_scores_hold_nothing() {
    let decision = after(&mut drifting(), 30, &scored(1000, 100), &scored(9000, 900));
    assert_eq!(
        decision.next.state.phase,
        Phase::Scaling,
        "{}",
        decision.next.state.reason
    );
}

#[test]
fn a_stage_waits_for_scores_that_can_be_read() {
    let waiting = |min_samples, canary: &ArmMinute| {
        let mut case = drifting();
        let signals = case.deployment.terms.policy.signals.iter_mut();
        for rule in signals.filter(|rule| rule.family.as_deref() == Some(DRIFT)) {
            rule.min_samples = min_samples;
        }
        after(&mut case, 5, canary, &scored(9000, 900)).next.state
    };
    let silent = waiting(500, &arm(1000, 0));
    assert_eq!(silent.phase, Phase::Holding, "nothing was read of it");
    assert!(
        silent.reason.contains("500 more trials of drift"),
        "{}",
        silent.reason
    );
    let read = waiting(5000, &scored(1000, 100));
    assert_eq!(read.phase, Phase::Scaling, "{}", read.reason);
}

#[test]
fn answers_that_can_not_be_read_hold_and_are_told() {
    let judged = |unread| {
        let mut case = baking(10).with(|case| {
            let signals = &mut case.deployment.terms.policy.signals;
            signals.push(SignalRule::unread(Consequence {
                on_breach: Action::Hold,
                ..Consequence::of(Grade::Medium)
            }));
        });
        let canary = counted(arm(1000, 0), "unread_predictions", 1000, unread);
        let production = counted(arm(9000, 0), "unread_predictions", 9000, 90);
        after(&mut case, 10, &canary, &production)
    };
    let other_form = judged(1000);
    assert_eq!(other_form.next.state.phase, Phase::Holding);
    let reason = &other_form.next.state.reason;
    assert!(
        reason.contains("predictions that could not be read: canary 100.00%"),
        "{reason}"
    );
    assert!(other_form.evidence.told.contains("unread_predictions"));
    let as_ever = judged(10).next.state;
    assert_eq!(as_ever.phase, Phase::Scaling, "{}", as_ever.reason);
}

#[test]
fn ten_bins_take_one_part_of_the_budget() {
    let case = drifting();
    assert_eq!(
        Bench::of(&case.deployment).parts(),
        4,
        "errors, client errors, slowness, drift"
    );
}

const GROUPS: [&str; 2] = ["north", "south"];

/// A minute with these positive predictions of each group's half of the requests.
fn grouped(requests: u64, positive: [u64; 2]) -> ArmMinute {
    std::iter::zip(GROUPS, positive).fold(arm(requests, 0), |minute, (label, x)| {
        counted(minute, &format!("fairness.parity.{label}"), requests / 2, x)
    })
}

fn fair(min_samples: u64, consequence: Consequence) -> Case {
    let rule = |measure, limit| FairnessRule {
        measure,
        limit,
        min_samples,
    };
    baking(10).with(|case| {
        case.deployment.terms.policy.fairness = Some(Fairness {
            rules: vec![
                rule(Measure::DemographicParity, 0.1),
                rule(Measure::DisparateImpact, 0.8),
            ],
            groups: GROUPS.map(str::to_owned).to_vec(),
            consequence,
        });
    })
}

#[test]
fn an_unfair_model_is_taken_back() {
    let alike = grouped(9000, [2250, 2260]);
    let mut case = fair(100, Consequence::default());
    let decision = after(&mut case, 10, &grouped(1000, [300, 120]), &alike);
    assert_eq!(decision.next.state.status, Status::RollingBack);
    let reason = &decision.next.state.reason;
    assert!(
        reason.starts_with("demographic parity difference: canary 0.360")
            || reason.starts_with("disparate impact ratio: canary 0.400"),
        "{reason}"
    );
    assert!(
        reason.contains("north has the most positive predictions"),
        "{reason}"
    );
    let last = decision.minutes.last().expect("ten minutes");
    assert_eq!(
        last.fairness.len(),
        2,
        "both measures are shown: {:?}",
        last.fairness
    );
}

#[test]
fn production_s_groups_count_in_a_minute_without_the_canary_once_that_was_asked() {
    for (asked, counted) in [(0, 0), (1000, 4500)] {
        let mut case = fair(100, Consequence::default());
        case.evidence.canary.invocations = asked;
        let theirs = grouped(9000, [2250, 2260]);
        let metrics = last_minutes(&mut case, 1, None, Some(&theirs));
        let seen = seen(split(10)).metrics(metrics);
        let decision = decide(&case.deployment, &case.evidence, &seen, case.now).unwrap();
        let tally = decision.evidence.tallies.get("fairness.parity.north");
        let tally = tally.copied().unwrap_or_default();
        assert_eq!((tally.canary.n(), tally.production.n()), (0, counted));
    }
}

#[test]
fn a_model_that_only_watches_fairness_goes_on() {
    let mut case = fair(100, Consequence::of(Grade::Low));
    let decision = after(
        &mut case,
        10,
        &grouped(1000, [300, 120]),
        &grouped(9000, [2250, 2260]),
    );
    assert_eq!(
        decision.next.state.phase,
        Phase::Scaling,
        "{}",
        decision.next.state.reason
    );
    assert!(decision.evidence.told.contains("fairness.disparate_impact"));
}

#[test]
fn the_first_share_needs_no_group_to_be_known() {
    let mut case = Case::scaling(0, 10).with(|case| {
        let baking = fair(100, Consequence::default());
        case.deployment.terms.policy = baking.deployment.terms.policy;
    });
    let metrics = last_minutes(&mut case, 1, None, Some(&grouped(9000, [2250, 2260])));
    let mut view = split(0);
    view = view.canary_instances(1, 1);
    let decision = decide(
        &case.deployment,
        &case.evidence,
        &seen(view).metrics(metrics),
        case.now,
    )
    .unwrap();
    assert_eq!(
        decision.next.state.phase,
        Phase::Shifting,
        "{}",
        decision.next.state.reason
    );
    let last = decision.minutes.last().expect("a minute");
    assert_eq!(last.verdict, "inconclusive", "unknown is not fair");
}

#[test]
fn a_group_too_small_to_tell_holds_what_fairness_would_take_back() {
    let (canary, production) = (grouped(1000, [125, 126]), grouped(9000, [1125, 1130]));
    let held = after(
        &mut fair(6000, Consequence::default()),
        10,
        &canary,
        &production,
    );
    assert_eq!(held.next.state.phase, Phase::Holding);
    assert!(
        held.next
            .state
            .reason
            .contains("group north has 5000 of 6000 predictions"),
        "{}",
        held.next.state.reason
    );
    let known = after(
        &mut fair(5000, Consequence::default()),
        10,
        &canary,
        &production,
    );
    assert_eq!(
        known.next.state.phase,
        Phase::Scaling,
        "{}",
        known.next.state.reason
    );
}

fn sticky(case: Case) -> Case {
    case.with(|case| {
        case.deployment.terms.routing = Some(Sticky {
            model_name: "wine".to_owned(),
            salt: None,
        });
    })
}

#[test]
fn users_follow_the_lower_of_what_is_there_and_what_is_wanted() {
    let share = |case: Case| {
        let deployment = sticky(case).deployment;
        deployment.sticky_share().map(|(_, share)| share.percent())
    };
    let cases = vec![
        (Case::pending(), None),
        (Case::scaling(20, 30), Some(20)),
        (Case::shifting(20, 30), Some(20)),
        (Case::baking(30), Some(30)),
        (Case::holding(30), Some(30)),
        (Case::awaiting(30), Some(30)),
        (Case::paused(Interrupted::Raise, 20, 30), Some(20)),
        (Case::retreating(30, 20), Some(20)),
        (Case::soaking(), Some(100)),
        (Case::finalizing(), None),
        (
            Case::baking(30).with(|case| case.deployment.state.status = Status::RollingBack),
            None,
        ),
        (
            // Somebody else's hand is at the endpoint, and may have had to take the canary out.
            Case::baking(30).with(|case| {
                case.deployment.state.drift = Some("the canary has 0.00 %".to_owned());
            }),
            None,
        ),
    ];
    for (case, expected) in cases {
        let phase = case.deployment.state.phase;
        assert_eq!(share(case), expected, "{phase:?}");
    }
    assert_eq!(
        Case::baking(30).deployment.sticky_share(),
        None,
        "nobody asked for it"
    );
}

/// An arm of which so many requests came through inference, and so many of them by name.
fn routed(requests: u64, served: u64, by_name: u64) -> ArmMinute {
    counted(arm(requests, 0), ROUTED, served, by_name)
}

#[test]
fn users_who_are_asked_of_production_by_name_predict_no_canary() {
    let unseen = |case: Case, production: &ArmMinute, unread: bool| {
        let mut case = sticky(case);
        let mut metrics = last_minutes(&mut case, 12, None, Some(production));
        if unread {
            metrics
                .unread
                .insert(ROUTED.to_owned(), "InternalError".to_owned());
        }
        let share = case.deployment.state.weight.percent();
        let seen = seen(split(share)).metrics(metrics);
        decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
    };
    // Twenty users at a share of 5 %: none of them is the canary's in a third of all rollouts.
    let all_by_name = routed(2000, 2000, 2000);
    for unread in [false, true] {
        let decision = unseen(baking(10), &all_by_name, unread);
        assert_eq!(decision.evidence.blind, None);
        assert!(decision.evidence.expected_unseen < 1e-9);
        assert_eq!(decision.next.state.status, Status::InProgress);
    }
    // What goes by the weights predicts as ever: 90 of them, 10 of the canary's.
    for (by_weight, is_blind) in [(7, false), (8, true)] {
        let production = routed(2000, 2000, 2000 - by_weight);
        let decision = unseen(baking(10), &production, false);
        assert_eq!(decision.evidence.blind.is_some(), is_blind, "{by_weight}");
    }
    // A long time without the canary, and nobody by name: it is unseen.
    let blind = unseen(
        baking(10).blind_for(10, false),
        &routed(2000, 100, 0),
        false,
    );
    assert_eq!(blind.next.state.status, Status::RollingBack);
}

#[test]
fn the_split_follows_what_was_asked_for_by_name() {
    let judged = |canary: &ArmMinute, production: &ArmMinute| {
        after(&mut sticky(baking(10)), 8, canary, production)
    };
    let is_skewed = |decision: &Decision| {
        decision
            .entries
            .iter()
            .any(|entry| entry.event == Name::Skewed)
    };
    // Three in ten requests are of the users of the canary's buckets: no fault of routing.
    let heavy = judged(&routed(3000, 3000, 3000), &routed(7000, 7000, 7000));
    assert!(!is_skewed(&heavy), "{:?}", heavy.entries);
    // They were meant for production.
    let lost = judged(&routed(3000, 3000, 1000), &routed(7000, 7000, 9000 - 2000));
    assert!(is_skewed(&lost), "{:?}", lost.next.state.reason);
    assert!(
        lost.next.state.reason.contains("users and weights say"),
        "{}",
        lost.next.state.reason
    );
    // Without user ids the weights speak, and ...
    assert!(!is_skewed(&judged(
        &routed(1000, 1000, 0),
        &routed(9000, 9000, 0)
    )));
    assert!(is_skewed(&judged(
        &routed(3000, 3000, 0),
        &routed(7000, 7000, 0)
    )));
    // ... where most requests came another way, nobody does, which the row says.
    let other_way = judged(&routed(3000, 100, 100), &routed(7000, 200, 200));
    assert!(!is_skewed(&other_way));
    let why = other_way.minutes[0]
        .unjudged_split
        .as_deref()
        .expect("a reason");
    assert!(
        why.contains("of 10000 requests inference tells of 300"),
        "{why}"
    );
    assert_eq!(heavy.minutes[0].unjudged_split, None);
}
