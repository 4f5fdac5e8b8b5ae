//! Whether groups are treated alike.

use super::super::builders::*;
use super::{after, baking, counted};
use crate::domain::decide::{Decision, decide};
use crate::domain::deployment::Clock;
use crate::domain::fairness::{Fairness, FairnessRule, Measure};
use crate::domain::observation::ArmMinute;
use crate::domain::policy::{Consequence, Grade};
use crate::domain::quantity::Span;
use crate::domain::state::{Phase, Status};

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
        min_positives: FairnessRule::MIN_POSITIVES,
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

/// 40 of 5000 predictions of each group are positive: alike, and too few to tell.
fn rare() -> (Case, Decision) {
    let mut case = fair(100, Consequence::default());
    let (canary, production) = (grouped(1000, [4, 4]), grouped(9000, [36, 36]));
    let decision = after(&mut case, 10, &canary, &production);
    (case, decision)
}

const TOO_FEW: &str =
    "within the limit of 0.8, which too few show: group north has 40 of 50 positive predictions";

#[test]
fn groups_alike_of_which_too_few_are_positive_hold_until_there_are_more() {
    let (mut case, held) = rare();
    let state = &held.next.state;
    assert_eq!(state.phase, Phase::Holding);
    assert!(state.reason.contains(TOO_FEW), "{}", state.reason);
    (case.deployment, case.evidence) = (held.next, held.evidence);
    case.now += minutes(3);
    let more = after(
        &mut case,
        3,
        &grouped(1000, [4, 4]),
        &grouped(9000, [36, 36]),
    );
    let state = &more.next.state;
    assert_eq!(state.phase, Phase::Scaling, "{}", state.reason);
}

#[test]
fn what_is_not_shown_by_the_deadline_is_taken_back_with_what_was_seen_and_asked_for() {
    let (mut case, held) = rare();
    (case.deployment, case.evidence) = (held.next, held.evidence);
    case.deployment.state.clock = Clock {
        used: Span::from_hours(6),
        running_since: Some(case.now - minutes(1)),
    };
    let says = "the deadline of 6h passed with the canary at 10 %; holding: disparate impact ratio: canary 1.000";
    check(
        &case,
        &seen(split(10)),
        &rolls_back().says(says).says(TOO_FEW),
    );
}
