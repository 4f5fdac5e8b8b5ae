//! The way up, row by row: what each phase waits for, and what it says while it waits.

use super::builders::*;
use crate::domain::due::Effect;
use crate::domain::history::Name;
use crate::domain::observation::{AlarmReading, EndpointStatus};
use crate::domain::quantity::{Span, Weight};
use crate::domain::schedule::Schedule;
use crate::domain::state::{Outcome, Phase, Status};

fn waits_pending() -> Expect {
    becomes(Status::Pending, Phase::Provisioning)
        .weight(0)
        .target(0)
        .quietly()
}

#[test]
fn provisioning_deploys_the_canary_config_and_waits_for_it() {
    check(
        &Case::pending(),
        &seen(original()),
        &waits_pending().due(Effect::Deploy {
            config: CANARY_CONFIG.to_owned(),
        }),
    );
    check(
        &Case::pending(),
        &seen(original().is(EndpointStatus::Updating)),
        &waits_pending().nothing_due(),
    );
    check(
        &Case::pending(),
        &reading(unread()),
        &waits_pending().nothing_due(),
    );
    check(
        &Case::pending().leased(),
        &seen(original()),
        &waits_pending().nothing_due(),
    );
}

#[test]
fn provisioning_ends_with_the_canary_in_service_at_weight_zero() {
    let up = goes_on(Phase::Scaling)
        .weight(0)
        .target(10)
        .tells(&[Name::Provisioned])
        .says("in service with 1 instance");
    check(
        &Case::pending(),
        &seen(split(0).canary_instances(1, 1)),
        &up,
    );
    check(
        &Case::pending(),
        &seen(split(0).canary_instances(0, 1)),
        &waits_pending(),
    );
    check(
        &Case::pending(),
        &seen(split(0).is(EndpointStatus::Updating)),
        &waits_pending(),
    );
}

#[test]
fn provisioning_fails_when_the_update_came_back() {
    let failed = becomes(Status::Pending, Phase::CleaningUp)
        .outcome(Outcome::Failed)
        .due(Effect::Tidy);
    let back = seen(original().failed_because("no capacity"));
    check(
        &Case::pending().accepted(CANARY_CONFIG, 5),
        &back,
        &failed
            .clone()
            .says("came back on config wine-original: no capacity"),
    );
    check(
        &Case::pending().accepted(CANARY_CONFIG, 5),
        &seen(original()),
        &failed.clone().says("SageMaker gives no reason"),
    );
    // DescribeEndpoint may still show the moment before the update, and a call may still be out.
    check(
        &Case::pending().accepted(CANARY_CONFIG, 0),
        &back,
        &waits_pending(),
    );
    check(
        &Case::pending().accepted(CANARY_CONFIG, 5).leased(),
        &back,
        &waits_pending(),
    );
    // An update to another config says nothing about this one.
    check(&Case::pending().accepted(FINAL, 5), &back, &waits_pending());
}

#[test]
fn provisioning_fails_when_refused_too_often() {
    let failed = becomes(Status::Pending, Phase::CleaningUp)
        .outcome(Outcome::Failed)
        .says("refused 10 times");
    check(
        &Case::pending().refused(CANARY_CONFIG, 9),
        &seen(original()),
        &waits_pending(),
    );
    check(
        &Case::pending().refused(CANARY_CONFIG, 10),
        &seen(original()),
        &failed,
    );
    check(
        &Case::pending().refused(CANARY_CONFIG, 10).leased(),
        &seen(original()),
        &waits_pending(),
    );
}

#[test]
fn provisioning_gives_up_after_two_hours() {
    let late = |seconds: i64| {
        Case::pending()
            .with(|case| case.now = accepted_at() + jiff::SignedDuration::from_secs(seconds))
    };
    check(
        &late(7199),
        &seen(original().is(EndpointStatus::Updating)),
        &waits_pending(),
    );
    check(
        &late(7200),
        &seen(original().is(EndpointStatus::Updating)),
        &rolls_back().says("within 2h"),
    );
    check(&late(7200), &reading(unread()), &rolls_back());
}

#[test]
fn scaling_waits_for_floor_and_instances() {
    let waits = goes_on(Phase::Scaling).weight(40).target(50).quietly();
    let without_floor = Case::scaling(40, 50).with(|case| case.deployment.state.floor = None);
    check(
        &without_floor,
        &seen(split(40)),
        &waits.clone().due(Effect::HoldFloor {
            instances: INSTANCES,
        }),
    );
    // Autoscaling grew production meanwhile, for 60 % of the traffic: the total needs 6 / 60 %.
    let mut grown = split(40);
    grown.variants[0].current_instances = 6;
    check(
        &Case::scaling(40, 50).scales(),
        &seen(grown),
        &waits.clone().due(Effect::HoldFloor { instances: 10 }),
    );
    check(
        &Case::scaling(40, 50),
        &seen(split(40).canary_instances(1, 1)),
        &waits.clone().due(Effect::Grow { instances: 2 }),
    );
    check(
        &Case::scaling(40, 50),
        &seen(split(40).canary_instances(1, 2)),
        &waits.clone().nothing_due(),
    );
    check(
        &Case::scaling(40, 50),
        &seen(split(40).is(EndpointStatus::Updating)),
        &waits.clone().nothing_due(),
    );
    check(
        &Case::scaling(40, 50),
        &reading(unread()),
        &waits.nothing_due(),
    );
    let ready = goes_on(Phase::Shifting)
        .weight(40)
        .target(50)
        .tells(&[Name::Shifting])
        .due(Effect::Shift { weight: weight(50) });
    check(
        &Case::scaling(40, 50),
        &seen(split(40).canary_instances(2, 2)),
        &ready,
    );
}

#[test]
fn scaling_takes_a_fixed_number_of_instances_as_given() {
    let fixed =
        Case::scaling(40, 50).with(|case| case.deployment.terms.capacity.instances = Some(3));
    check(
        &fixed,
        &seen(split(40).canary_instances(2, 2)),
        &goes_on(Phase::Scaling).due(Effect::Grow { instances: 3 }),
    );
    check(
        &fixed,
        &seen(split(40).canary_instances(3, 3)),
        &goes_on(Phase::Shifting),
    );
}

#[test]
fn scaling_waits_while_blind_past_a_red_guard_or_outside_the_windows() {
    let waits = goes_on(Phase::Scaling).quietly();
    check(
        &Case::scaling(40, 50).blind_for(3, false),
        &seen(split(40)),
        &waits,
    );
    check(
        &Case::scaling(40, 50).red("error_rate.limit", 1),
        &seen(split(40)),
        &waits,
    );
    check(
        &Case::scaling(40, 50).change_windows(&["Mon-Fri 14:00-17:00 UTC"]),
        &seen(split(40)),
        &waits,
    );
    check(
        &Case::scaling(40, 50).change_windows(&["Mon-Fri 10:00-17:00 UTC"]),
        &seen(split(40)),
        &goes_on(Phase::Shifting),
    );
}

#[test]
fn shifting_is_confirmed_by_current_weights_alone() {
    let waits = goes_on(Phase::Shifting).weight(20).target(30).quietly();
    let mut asked = split(20);
    (
        asked.variants[0].desired_weight,
        asked.variants[1].desired_weight,
    ) = (0.7, 0.3);
    check(
        &Case::shifting(20, 30),
        &seen(asked.clone()),
        &waits.clone().due(Effect::Shift { weight: weight(30) }),
    );
    check(
        &Case::shifting(20, 30),
        &seen(split(30).is(EndpointStatus::Updating)),
        &waits.clone().nothing_due(),
    );
    check(
        &Case::shifting(20, 30),
        &reading(unread()),
        &waits.clone().nothing_due(),
    );
    check(
        &Case::shifting(20, 30).leased(),
        &seen(split(20)),
        &waits.clone().nothing_due(),
    );
    check(
        &Case::shifting(20, 30).blind_for(1, false),
        &seen(split(20)),
        &waits.nothing_due(),
    );
    let confirmed = goes_on(Phase::Baking)
        .weight(30)
        .tells(&[Name::Shifted])
        .nothing_due();
    let decision = check(&Case::shifting(20, 30), &seen(split(30)), &confirmed);
    assert_eq!(
        (
            decision.next.state.stage_since,
            decision.evidence.stage_samples
        ),
        (now(), 0),
        "the stage begins anew"
    );
    // The share is weight / sum of weights, whatever the sum.
    let mut scaled = split(30);
    (
        scaled.variants[0].current_weight,
        scaled.variants[1].current_weight,
    ) = (7.0, 3.0);
    check(&Case::shifting(20, 30), &seen(scaled), &confirmed);
}

#[test]
fn the_last_shift_begins_the_soak() {
    check(
        &Case::shifting(90, 100),
        &seen(split(100)),
        &goes_on(Phase::Soaking)
            .weight(100)
            .tells(&[Name::Soaking])
            .says("soak of 20m")
            .nothing_due(),
    );
}

#[test]
fn baking_goes_on_only_with_everything_at_once() {
    let raised = goes_on(Phase::Scaling)
        .weight(30)
        .target(40)
        .tells(&[Name::Scaling]);
    check(&Case::baking(30), &seen(split(30)), &raised);
    check(&Case::holding(30), &seen(split(30)), &raised);

    let bakes = Case::baking(30).with(|case| {
        case.deployment.state.stage_since = case.now - jiff::SignedDuration::from_secs(599);
    });
    check(&bakes, &seen(split(30)), &goes_on(Phase::Baking).quietly());
    let over =
        Case::baking(30).with(|case| case.deployment.state.stage_since = case.now - minutes(10));
    check(&over, &seen(split(30)), &raised);

    let unread_alarms = seen(split(30)).alarms(AlarmReading::Failed {
        reason: "AccessDenied".to_owned(),
    });
    let stale = |case: &mut Case| case.evidence.judged_through -= minutes(1);
    let rows = vec![
        (
            Case::baking(30).with(|case| case.evidence.stage_samples = 499),
            seen(split(30)),
            "needs about 1 more canary request:",
        ),
        (
            Case::baking(30).red("error_rate.limit", 1),
            seen(split(30)),
            "past the limit of 1%",
        ),
        (
            Case::baking(30).with(stale),
            seen(split(30)),
            "are not judged yet",
        ),
        (
            Case::baking(30).blind_for(3, false),
            seen(split(30)),
            "blind since",
        ),
        (
            Case::baking(30),
            unread_alarms,
            "alarms could not be read: AccessDenied",
        ),
        (
            Case::baking(30),
            reading(unread()),
            "the endpoint could not be read: ThrottlingException",
        ),
    ];
    for (before, seen, says) in rows {
        let held = goes_on(Phase::Holding)
            .weight(30)
            .target(30)
            .tells(&[Name::Held])
            .says(says)
            .nothing_due();
        check(&before, &seen, &held);
    }
    check(
        &Case::baking(30),
        &seen(split(20)),
        &goes_on(Phase::Holding)
            .target(30)
            .tells(&[Name::Drift, Name::Held])
            .says("holding: the canary's share is 20.00 %"),
    );
}

#[test]
fn a_closed_window_stops_the_raise_and_says_so() {
    let closed = Case::baking(30).change_windows(&["Tue-Thu 09:00-17:00 UTC"]);
    check(
        &closed,
        &seen(split(30)),
        &goes_on(Phase::Baking)
            .target(30)
            .quietly()
            .says("next change window"),
    );
    let open = Case::baking(30).change_windows(&["Tue-Thu 09:00-17:00 UTC", "Mon 10:00-10:01 UTC"]);
    check(&open, &seen(split(30)), &goes_on(Phase::Scaling).target(40));
    let approval = Case::awaiting(30)
        .change_windows(&["Tue 09:00-17:00 UTC"])
        .with(|case| case.deployment.state.phase = Phase::Baking);
    check(
        &approval,
        &seen(split(30)),
        &goes_on(Phase::AwaitingApproval),
    );
}

#[test]
fn holding_says_how_many_requests_it_waits_for() {
    let short = |samples: u64, of_all: f64| {
        Case::holding(30).with(|case| {
            case.evidence.stage_samples = samples;
            case.evidence.requests_per_minute = of_all;
        })
    };
    let holds = goes_on(Phase::Holding).quietly();
    check(
        &short(380, 90.0),
        &seen(split(30)),
        &holds
            .clone()
            .says("needs about 120 more canary requests: 5 min at today's rate"),
    );
    check(
        &short(0, 0.04),
        &seen(split(30)),
        &holds.says("needs about 500 more canary requests: there is hardly any traffic"),
    );
}

#[test]
fn a_stage_with_approval_waits_for_a_person() {
    let baked = Case::awaiting(30).with(|case| case.deployment.state.phase = Phase::Baking);
    let asks = goes_on(Phase::AwaitingApproval)
        .target(30)
        .tells(&[Name::ApprovalNeeded])
        .says("30 % asks for a person's approval")
        .nothing_due();
    check(&baked, &seen(split(30)), &asks);
    let held = Case::awaiting(30).with(|case| case.deployment.state.phase = Phase::Holding);
    check(&held, &seen(split(30)), &asks);
    check(
        &held.red("error_rate.limit", 1),
        &seen(split(30)),
        &goes_on(Phase::Holding),
    );
    check(
        &Case::awaiting(30),
        &seen(split(30)),
        &goes_on(Phase::AwaitingApproval)
            .target(30)
            .quietly()
            .nothing_due(),
    );
}

#[test]
fn a_pause_stays_until_resumed() {
    use crate::domain::state::Interrupted as I;
    for (interrupted, at, target) in [
        (I::Raise, 20, 30),
        (I::Bake, 30, 30),
        (I::Approval, 30, 30),
        (I::Soak, 100, 100),
    ] {
        check(
            &Case::paused(interrupted, at, target),
            &seen(split(at)),
            &goes_on(Phase::Paused)
                .weight(at)
                .target(target)
                .quietly()
                .nothing_due(),
        );
    }
    // A raise that was out when the pause came may land: that is no drift.
    check(
        &Case::paused(I::Raise, 20, 30),
        &seen(split(30)),
        &goes_on(Phase::Paused).quietly().nothing_due(),
    );
}

#[test]
fn retreating_waits_until_no_raise_can_land() {
    let waits = goes_on(Phase::Retreating).weight(30).target(20).quietly();
    check(
        &Case::retreating(30, 20),
        &seen(split(30)),
        &waits.clone().due(Effect::Shift { weight: weight(20) }),
    );
    check(
        &Case::retreating(30, 20).leased(),
        &seen(split(20)),
        &waits.clone().nothing_due(),
    );
    check(
        &Case::retreating(30, 20).blind_for(1, false),
        &seen(split(30)),
        &waits.due(Effect::Shift { weight: weight(20) }),
    );
    check(
        &Case::retreating(30, 20),
        &seen(split(20)),
        &goes_on(Phase::Baking).weight(20).tells(&[Name::Shifted]),
    );
}

#[test]
fn the_soak_ends_with_the_removal_of_the_old_variant() {
    let over = goes_on(Phase::Finalizing)
        .weight(100)
        .tells(&[Name::Finalizing])
        .due(Effect::Deploy {
            config: FINAL.to_owned(),
        });
    check(&Case::soaking(), &seen(split(100)), &over);
    let young =
        Case::soaking().with(|case| case.deployment.state.stage_since = case.now - minutes(19));
    check(
        &young,
        &seen(split(100)),
        &goes_on(Phase::Soaking).quietly().nothing_due(),
    );
    check(
        &Case::soaking().red("error_rate.limit", 1),
        &seen(split(100)),
        &goes_on(Phase::Soaking)
            .says("past the limit of 1%")
            .nothing_due(),
    );
    let quiet = Case::soaking().with(|case| case.evidence.stage_samples = 7);
    check(
        &quiet,
        &seen(split(100)),
        &goes_on(Phase::Soaking).says("needs about 493 more"),
    );
    let keeps = Case::soaking().with(|case| case.deployment.terms.cleanup.keep_old_variant = true);
    check(
        &keeps,
        &seen(split(100)),
        &goes_on(Phase::CleaningUp)
            .outcome(Outcome::Completed)
            .says("kept at weight 0")
            .due(Effect::Tidy),
    );
}

#[test]
fn a_soak_that_is_over_and_cant_be_left_is_told_once_and_has_no_end() {
    let ends = |case: &Case| Schedule::ahead(&case.deployment, case.now).ends;
    let quiet = Case::soaking().with(|case| case.evidence.stage_samples = 7);
    let told = goes_on(Phase::Soaking)
        .says("needs about 493 more canary requests")
        .tells(&[Name::Held])
        .nothing_due();
    let decision = check(&quiet, &seen(split(100)), &told);
    let [held] = &decision.entries[..] else {
        panic!("one line: {:?}", decision.entries)
    };
    assert_eq!(held.reason, decision.next.state.reason);
    assert_eq!(held.value, "7 canary requests in this stage");
    let mut after = quiet.with(|case| case.deployment = decision.next);
    assert_eq!(ends(&after), None, "nobody knows when");
    let silent = goes_on(Phase::Soaking).quietly();
    check(&after, &seen(split(100)), &silent.clone().says("493 more"));
    let unread_too = silent.says("the endpoint could not be read: ThrottlingException");
    check(&after, &reading(unread()), &unread_too);
    after.evidence.stage_samples = 1000;
    check(&after, &seen(split(100)), &goes_on(Phase::Finalizing));
    // An endpoint that can't be read is as good a reason to be told of.
    let unseen = goes_on(Phase::Soaking).tells(&[Name::Held]).nothing_due();
    let decision = check(&Case::soaking(), &reading(unread()), &unseen);
    let kept = Case::soaking().with(|case| case.deployment = decision.next);
    assert_eq!(ends(&kept), None);
    // Before it is over there is nothing to hold it up.
    let young =
        Case::soaking().with(|case| case.deployment.state.stage_since = case.now - minutes(19));
    let goes = goes_on(Phase::Soaking).quietly();
    check(&young, &reading(unread()), &goes);
    assert_eq!(ends(&young), Some(young.now + minutes(1)));
}

#[test]
fn finalizing_waits_for_the_final_config() {
    let waits = goes_on(Phase::Finalizing).weight(100).quietly();
    check(
        &Case::finalizing(),
        &seen(split(100)),
        &waits.clone().due(Effect::Deploy {
            config: FINAL.to_owned(),
        }),
    );
    check(
        &Case::finalizing(),
        &seen(split(100).is(EndpointStatus::Updating)),
        &waits.clone().nothing_due(),
    );
    check(
        &Case::finalizing().leased(),
        &seen(finished()),
        &waits.nothing_due(),
    );
    check(
        &Case::finalizing(),
        &seen(finished()),
        &goes_on(Phase::CleaningUp)
            .outcome(Outcome::Completed)
            .tells(&[Name::CleaningUp])
            .due(Effect::Tidy),
    );
    let failed = goes_on(Phase::CleaningUp).outcome(Outcome::Failed);
    check(
        &Case::finalizing().accepted(FINAL, 5),
        &seen(split(100).failed_because("no capacity")),
        &failed.clone().says("no capacity"),
    );
    check(
        &Case::finalizing().refused(FINAL, 10),
        &seen(split(100)),
        &failed.says("10 times"),
    );
}

#[test]
fn a_whole_rollout_takes_the_shortest_way_when_nothing_is_wrong() {
    let mut toy = super::world::Toy::new(terms());
    let mut shares: Vec<Weight> = Vec::new();
    for _ in 0..60 * 6 {
        toy.tick(&super::world::Tick::fine());
        if shares.last() != Some(&toy.deployment.state.weight) {
            shares.push(toy.deployment.state.weight);
        }
    }
    assert_eq!(
        toy.deployment.state.status,
        Status::Completed,
        "{}",
        toy.deployment.state.reason
    );
    assert_eq!(
        shares,
        (0..=10).map(|tenth| weight(tenth * 10)).collect::<Vec<_>>()
    );
    let names = [
        Name::Provisioned,
        Name::Soaking,
        Name::Finalizing,
        Name::Completed,
    ];
    for name in names {
        assert_eq!(
            toy.history
                .iter()
                .filter(|entry| entry.event == name)
                .count(),
            1,
            "{name}"
        );
    }
    let last = toy.history.last().unwrap();
    assert!(
        last.reason.contains("wine-final-0a1b2c3d"),
        "the final config is named: {}",
        last.reason
    );
    assert!(
        Span::between(accepted_at(), last.at) < Span::from_hours(4),
        "{}",
        last.at
    );
}
