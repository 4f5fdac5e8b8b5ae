//! What is expected of the canary goes by the weights in force, whoever set them.

use super::builders::*;
use crate::domain::command::{Command, apply};
use crate::domain::comparison::Split;
use crate::domain::decide::decide;
use crate::domain::due::due;
use crate::domain::exposure::last_minute;
use crate::domain::history::Name;
use crate::domain::in_force::InForce;
use crate::domain::invariants::violations;
use crate::domain::observation::{ArmMinute, EndpointReading, EndpointStatus, EndpointView};
use crate::domain::policy::OnDrift;
use crate::domain::quantity::TrafficShare;
use crate::domain::state::{Interrupted, Outcome, Phase, Status};

/// So many passes, a minute apart: the endpoint as it shows itself meanwhile, and what was counted in each
/// minute that is judged then. What was told.
fn pass(
    case: &mut Case,
    count: usize,
    view: &EndpointView,
    (canary, production): (Option<&ArmMinute>, &ArmMinute),
) -> Vec<Name> {
    pass_with(case, count, view, (canary, Some(production)))
}

/// The same, where production need not be asked.
fn pass_with(
    case: &mut Case,
    count: usize,
    view: &EndpointView,
    (canary, production): (Option<&ArmMinute>, Option<&ArmMinute>),
) -> Vec<Name> {
    let mut told = Vec::new();
    for _ in 0..count {
        case.now += minutes(1);
        let metrics = last_minutes(case, 1, canary, production);
        let seen = seen(view.clone()).metrics(metrics);
        let decision = decide(&case.deployment, &case.evidence, &seen, case.now).unwrap();
        assert_eq!(violations(&decision.next), Vec::<String>::new());
        told.extend(decision.entries.iter().map(|entry| entry.event));
        (case.deployment, case.evidence) = (decision.next, decision.evidence);
    }
    told
}

fn share(percent: f64) -> TrafficShare {
    TrafficShare::from_fraction(percent / 100.0)
}

/// The minutes of before are judged until three minutes later, and those of the drift as long after it.
#[test]
fn a_canary_from_which_somebody_took_every_request_is_not_blind() {
    let (tenth, rest, all) = (arm(100, 0), arm(900, 0), arm(1000, 0));
    let (asked, unasked) = ((Some(&tenth), &rest), (None, &all));
    let mut case = Case::baking(10);
    let taken = split(0);
    let told = pass(&mut case, 3, &taken, asked);
    assert_eq!(told, [Name::Drift, Name::Held]);
    assert_eq!(pass(&mut case, 30, &taken, unasked), Vec::<Name>::new());
    let state = &case.deployment.state;
    assert_eq!(
        (state.status, state.phase),
        (Status::InProgress, Phase::Holding)
    );
    assert!(
        state.reason.contains("the canary's share is 0.00 %"),
        "{}",
        state.reason
    );
    assert_eq!(
        (state.weight, state.observed_weight()),
        (weight(10), Some(0.0))
    );
    assert_eq!(
        (&case.evidence.blind, case.evidence.expected_unseen),
        (&None, 0.0)
    );
    // Put back: the last minutes without a share come in after that.
    let told = pass(&mut case, 3, &split(10), unasked);
    assert_eq!(told[0], Name::DriftEnded);
    assert!(!told.contains(&Name::Blind), "{told:?}");
    assert_eq!(case.deployment.state.observed_weight(), None);
    // Nobody excuses the minutes that follow.
    let told = pass(&mut case, 3, &split(10), unasked);
    assert!(told.contains(&Name::Blind), "{told:?}");
}

#[test]
fn what_was_missed_before_is_missed_no_longer_once_there_is_no_share() {
    let all = arm(900, 0);
    let unasked = (None, &all);
    let mut case = Case::holding(10);
    let told = pass(&mut case, 3, &split(10), unasked);
    assert_eq!(told, [Name::Blind]);
    let told = pass(&mut case, 3, &split(0), unasked);
    assert_eq!(told, [Name::Drift, Name::Sighted]);
    let told = pass(&mut case, 30, &split(0), unasked);
    assert_eq!(told, Vec::<Name>::new());
    assert_eq!(case.deployment.state.status, Status::InProgress);
}

/// Somebody takes the traffic from a canary that can't be seen, while its raise or its way back to a lower share
/// is committed and the call is still to be made, or the raise is interrupted.
#[test]
fn a_share_of_0_set_by_hand_makes_no_way_for_a_raise_of_what_was_not_seen() {
    let all = arm(900, 0);
    let unasked = (None, &all);
    for mut case in [
        Case::scaling(10, 20),
        Case::paused(Interrupted::Raise, 10, 20),
        Case::shifting(10, 20),
        Case::retreating(30, 20),
    ] {
        let phase = case.deployment.state.phase;
        let at = case.deployment.state.weight.percent();
        let told = pass(&mut case, 1, &split(at), unasked);
        assert!(told.contains(&Name::Blind), "{phase}: {told:?}");
        let told = pass(&mut case, 5, &split(0), unasked);
        assert!(!told.contains(&Name::Sighted), "{phase}: {told:?}");
        assert!(case.evidence.blind.is_some(), "{phase}");
        let seen = EndpointReading::Seen(split(0));
        let due = due(&case.deployment, &case.evidence, &seen, case.now);
        assert_eq!(due, None, "{phase}: nobody raises it past that");
    }
}

/// It was not seen before somebody took its traffic, and was not seen since: by whatever way its share comes
/// back, it is to be seen at that for a whole bake.
#[test]
fn a_share_that_somebody_lowered_comes_back_as_a_stage_that_begins_anew() {
    let served = |requests| arm(requests, 0).taking(20.0).slower(100.0, 0);
    let (tenth, rest, all) = (served(100), served(900), served(1000));
    for way_back in [&[10][..], &[5, 10], &[40, 10]] {
        let mut case = Case::holding(10);
        let told = pass(&mut case, 3, &split(10), (None, &rest));
        assert_eq!(told, [Name::Blind]);
        let told = pass(&mut case, 3, &split(0), (None, &all));
        assert_eq!(told, [Name::Drift, Name::Sighted]);
        let before = case.deployment.state.stage_since;
        let mut told = Vec::new();
        for share in way_back {
            assert_eq!(case.deployment.state.stage_since, before);
            told = pass(&mut case, 1, &split(*share), (None, &all));
        }
        assert_eq!(told, [Name::DriftEnded], "{way_back:?}");
        let state = &case.deployment.state;
        assert_eq!(
            (state.phase, state.stage_since, state.lowered_since),
            (Phase::Holding, case.now, None),
            "{way_back:?}"
        );
        assert!(
            state.reason.contains("its stage begins anew"),
            "{}",
            state.reason
        );
        assert_eq!(case.evidence.stage_samples, 0);
        let mut unseen = case.clone();
        let told = pass(&mut unseen, 6, &split(10), (None, &rest));
        assert_eq!(told, [Name::Blind], "{way_back:?}");
        pass(&mut case, 60, &split(10), (Some(&tenth), &rest));
        assert_eq!(case.deployment.state.target, weight(20), "{way_back:?}");
    }
}

/// Less than it had is no 0: who was unseen before is unseen still when the share is back.
#[test]
fn a_canary_that_was_not_seen_is_not_seen_by_a_share_that_comes_back() {
    let rest = arm(900, 0);
    let mut case = Case::holding(10);
    pass(&mut case, 2, &split(10), (None, &rest));
    pass(&mut case, 2, &split(5), (None, &rest));
    let told = pass(&mut case, 2, &split(10), (None, &rest));
    assert_eq!(told, [Name::DriftEnded]);
    assert!(case.evidence.blind.is_some());
}

/// All of it went back to production for a while, by somebody's hand: that while was no soak.
#[test]
fn a_soak_that_somebody_interrupted_begins_anew() {
    let all = arm(1000, 0).taking(20.0).slower(100.0, 0);
    let on_canary = (Some(&all), None);
    let mut case = Case::soaking();
    let told = pass(&mut case, 30, &split(0), (None, &all));
    assert_eq!(told, [Name::Drift, Name::Held]);
    let told = pass(&mut case, 1, &split(100), (None, &all));
    assert_eq!(told, [Name::DriftEnded]);
    let state = &case.deployment.state;
    assert_eq!((state.stage_since, state.stall_told), (case.now, false));
    let told = pass_with(&mut case, 19, &split(100), on_canary);
    assert_eq!(told, Vec::<Name>::new());
    assert_eq!(case.deployment.state.phase, Phase::Soaking);
    let told = pass_with(&mut case, 5, &split(100), on_canary);
    assert_eq!(told, [Name::Finalizing]);
}

#[test]
fn whatever_waits_at_a_share_has_its_stage_anew_once_it_is_back() {
    let all = arm(1000, 0);
    for (case, is_new) in [
        (Case::awaiting(30), true),
        (Case::paused(Interrupted::Bake, 30, 30), true),
        (Case::paused(Interrupted::Soak, 100, 100), true),
        // Its stage is behind it.
        (Case::paused(Interrupted::Raise, 30, 40), false),
        (Case::scaling(30, 40), false),
    ] {
        let (phase, at) = (case.deployment.state.phase, case.deployment.state.weight);
        let mut case = case.change_windows(&["Tue-Thu 09:00-17:00 UTC"]);
        let (before, reason) = (
            case.deployment.state.stage_since,
            case.deployment.state.reason.clone(),
        );
        pass(&mut case, 2, &split(0), (None, &all));
        let told = pass(&mut case, 1, &split(at.percent()), (None, &all));
        assert_eq!(told, [Name::DriftEnded], "{phase}");
        let state = &case.deployment.state;
        let since = if is_new { case.now } else { before };
        assert_eq!((state.phase, state.stage_since), (phase, since), "{phase}");
        if is_new {
            assert_eq!(state.reason, reason, "{phase}: what it waits for");
        }
    }
}

#[test]
fn a_smaller_share_predicts_fewer_requests_and_is_blind_all_the_same() {
    let mut case = Case::holding(50);
    let (taken, half, most) = (split(5), arm(40, 0), arm(950, 0));
    pass(&mut case, 1, &taken, (Some(&half), &half));
    let unasked = (None, &most);
    let told = pass(&mut case, 1, &taken, unasked);
    assert_eq!(told, [Name::Blind]);
    let expected = case.evidence.expected_unseen;
    assert!((expected - 50.0).abs() < 1e-6, "{expected}");
    let told = pass(&mut case, 10, &taken, unasked);
    assert_eq!(told, [Name::RollingBack, Name::Incident]);
}

/// No share was ever confirmed, and users were served all the same.
#[test]
fn who_was_served_through_a_drift_before_the_first_share_is_in_an_incident() {
    let (half, all) = (arm(500, 0), arm(1000, 0));
    let drifted = || {
        let mut case = Case::paused(Interrupted::Raise, 0, 10);
        pass(&mut case, 1, &split(50), (Some(&half), &half));
        case
    };
    let mut put_back = drifted();
    pass(&mut put_back, 3, &split(0), (None, &all));
    for case in [drifted(), put_back] {
        let (record, evidence, cancel) = (&case.deployment, &case.evidence, Command::Cancel);
        let done = apply(record, evidence, cancel, "operator", None, case.now).unwrap();
        let told: Vec<Name> = done.entries.iter().map(|entry| entry.event).collect();
        assert!(told.contains(&Name::Incident), "{told:?}");
        let case = case.with(|case| case.deployment = done.next);
        let back = becomes(Status::RollingBack, Phase::CleaningUp).weight(0);
        let decision = check(&case, &seen(split(0)), &back);
        assert!(
            last_minute(&decision.next).is_some(),
            "what they had is counted"
        );
    }
}

#[test]
fn a_canary_that_never_had_a_share_has_not_lost_it_when_it_can_be_seen_again() {
    let all = arm(1000, 0);
    for (case, says) in [
        (Case::scaling(0, 10), "the metrics can be read again"),
        (Case::holding(10), "the canary has no traffic any more"),
    ] {
        let mut case = case.blind_for(1, false);
        case.deployment.state.see_share(0.0, case.now);
        let metrics = last_minutes(&mut case, 1, None, Some(&all));
        let seen = seen(split(0)).metrics(metrics);
        let decision = decide(&case.deployment, &case.evidence, &seen, case.now).unwrap();
        let mut told = decision.entries.iter();
        let sighted = told.find(|entry| entry.event == Name::Sighted).unwrap();
        assert!(sighted.reason.contains(says), "{}", sighted.reason);
    }
}

/// While the endpoint is changing nobody says that it drifted, and the share is another one all the same.
#[test]
fn the_wait_for_more_requests_is_told_by_the_share_in_force() {
    let case = Case::holding(50).with(|case| {
        case.evidence.stage_samples = 489;
        case.evidence.requests_per_minute = 30.0;
    });
    let waits = goes_on(Phase::Holding).quietly();
    for (view, says) in [
        (
            split(50),
            "needs about 11 more canary requests: 1 min at today's rate",
        ),
        (
            split(5).is(EndpointStatus::Updating),
            "needs about 11 more canary requests: 8 min at today's rate",
        ),
        (
            split(0).is(EndpointStatus::Updating),
            "needs about 11 more canary requests: there is hardly any traffic",
        ),
    ] {
        check(&case, &seen(view), &waits.clone().says(says));
    }
}

/// It is over, but the minutes of it are judged now: somebody else's split is no fault of routing.
#[test]
fn minutes_of_a_drift_that_is_over_say_nothing_about_the_split() {
    let mut case = Case::holding(10);
    case.deployment.state.in_force = Some(InForce {
        share: share(10.0),
        before: share(60.0),
        since: case.now - minutes(1),
    });
    let metrics = last_minutes(&mut case, 1, Some(&arm(60, 0)), Some(&arm(40, 0)));
    let seen = seen(split(10)).metrics(metrics);
    let decision = decide(&case.deployment, &case.evidence, &seen, case.now).unwrap();
    assert_eq!(decision.evidence.split, Split::default());
    let [row] = &decision.minutes[..] else {
        panic!("one minute: {:?}", decision.minutes)
    };
    assert_eq!(
        (row.weight, row.observed_weight, row.share()),
        (weight(10), Some(60.0), share(60.0))
    );
}

#[test]
fn a_confirmed_share_is_the_one_in_force() {
    let moved =
        |case: Case| case.with(|case| case.deployment.state.see_share(0.4, case.now - minutes(5)));
    let case = moved(Case::shifting(20, 30));
    assert_eq!(case.deployment.state.share_in_force(), share(40.0));
    let decision = check(&case, &seen(split(30)), &goes_on(Phase::Baking).weight(30));
    assert_eq!(decision.next.state.in_force, None);
    let reverting = moved(Case::reverting(20, Outcome::RolledBack));
    let back = becomes(Status::RollingBack, Phase::CleaningUp).weight(0);
    let decision = check(&reverting, &seen(split(0)), &back);
    assert_eq!(decision.next.state.in_force, None);
    // Weights are single-precision numbers, and what lies within them is the same share.
    let mut near = Case::baking(30);
    near.deployment.state.see_share(0.300_000_01, near.now);
    assert_eq!(near.deployment.state.in_force, None);
}

/// What was wanted is nobody's any more, and what there was stands in the record.
#[test]
fn a_failure_tells_the_share_that_was_last_seen() {
    let abandon =
        Case::baking(30).with(|case| case.deployment.terms.policy.on_drift = OnDrift::Abandon);
    let foreign = |mut view: EndpointView| {
        "someone-elses".clone_into(&mut view.config);
        view
    };
    for (case, view, confirmed, last) in [
        (abandon, split(45), 30, "45 %"),
        (Case::shifting(20, 50), foreign(split(33)), 20, "33 %"),
        (Case::scaling(20, 50), foreign(original()), 20, "0 %"),
    ] {
        let failed = goes_on(Phase::CleaningUp).outcome(Outcome::Failed);
        let failed = failed.weight(confirmed).target(confirmed);
        let decision = check(&case, &seen(view), &failed);
        let state = &decision.next.state;
        assert_eq!(state.share_in_force().to_string(), last);
        let told = decision.entries.last().unwrap();
        let said = format!("{last} of the traffic on the canary when last seen");
        assert_eq!((&told.value, told.weight), (&said, weight(confirmed)));
    }
    let gone = Case::shifting(20, 50)
        .with(|case| case.deployment.state.see_share(0.35, case.now - minutes(1)));
    let missing = reading(EndpointReading::Missing);
    let failed = goes_on(Phase::CleaningUp).outcome(Outcome::Failed);
    let decision = check(&gone, &missing, &failed);
    assert_eq!(decision.next.state.observed_weight(), Some(35.0));
}
