//! Where the scores lie, and answers that can't be read.

use super::super::builders::*;
use super::{after, baking, counted};
use crate::domain::history::Name;
use crate::domain::judge::bench::Bench;
use crate::domain::observation::ArmMinute;
use crate::domain::policy::{Action, Consequence, Grade};
use crate::domain::signal::{DRIFT, SignalRule};
use crate::domain::state::Phase;

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
