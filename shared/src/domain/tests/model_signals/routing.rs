//! Users who are asked of one model by name.

use super::super::builders::*;
use super::{after, baking, counted};
use crate::domain::decide::{Decision, decide};
use crate::domain::history::Name;
use crate::domain::model_signals::ROUTED;
use crate::domain::observation::ArmMinute;
use crate::domain::routing::Sticky;
use crate::domain::state::{Interrupted, Status};

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
