//! Rollback, cleanup, failure: how a deployment ends, what it waits for, and the deadline.

use super::builders::*;
use crate::domain::deployment::Clock;
use crate::domain::due::Effect;
use crate::domain::history::{Name, Severity};
use crate::domain::observation::{AlarmReading, EndpointReading, EndpointStatus};
use crate::domain::quantity::Span;
use crate::domain::state::{Interrupted, Outcome, Phase, Status};

fn in_progress() -> Vec<Case> {
    Case::every()
        .into_iter()
        .filter(|case| {
            case.deployment.state.status == Status::InProgress
                && case.deployment.state.phase != Phase::CleaningUp
        })
        .collect()
}

#[test]
fn an_alarm_rolls_back_from_every_phase_in_progress() {
    let firing = AlarmReading::Firing(vec!["checkout-5xx".to_owned(), "p99".to_owned()]);
    for case in in_progress() {
        check(
            &case,
            &seen(case.endpoint()).alarms(firing.clone()),
            &rolls_back().says("CloudWatch alarm checkout-5xx, p99 is in state ALARM"),
        );
        check(
            &case,
            &reading(unread()).alarms(firing.clone()),
            &rolls_back(),
        );
        let silent = AlarmReading::Firing(Vec::new());
        check(
            &case,
            &seen(case.endpoint().is(EndpointStatus::Updating)).alarms(silent),
            &goes_on_somewhere(&case),
        );
    }
}

/// With the endpoint `Updating`, only a baked stage moves on.
fn goes_on_somewhere(case: &Case) -> Expect {
    match case.deployment.state.phase {
        Phase::Baking | Phase::Holding => goes_on(Phase::Scaling),
        Phase::Soaking => goes_on(Phase::Finalizing),
        phase => goes_on(phase),
    }
}

#[test]
fn a_tripped_guard_rolls_back_from_every_phase_in_progress() {
    // On the way down by steps a guard that is not critical changes nothing.
    let at_once = |case: &Case| case.deployment.state.descent.is_none();
    for case in in_progress().into_iter().filter(at_once) {
        let tripped = case.clone().red("error_rate.limit", 2);
        check(
            &tripped,
            &seen(case.endpoint()),
            &rolls_back().says("past the limit of 1%"),
        );
        let once = case.clone().red("error_rate.limit", 1);
        let next = check(&once, &seen(case.endpoint()), &stays_without_a_raise(&case)).next;
        assert_eq!(
            next.state.target, case.deployment.state.target,
            "no raise past a red guard"
        );
    }
}

fn stays_without_a_raise(case: &Case) -> Expect {
    goes_on(if case.deployment.state.phase == Phase::Baking {
        Phase::Holding
    } else {
        case.deployment.state.phase
    })
}

#[test]
fn reverting_asks_again_and_again_and_waits_for_leases() {
    let waits = becomes(Status::RollingBack, Phase::Reverting)
        .weight(30)
        .target(0)
        .quietly();
    let case = || {
        Case::reverting(30, Outcome::RolledBack)
            .with(|case| case.deployment.state.phase_since = case.now)
    };
    check(
        &case(),
        &seen(split(30)),
        &waits.clone().due(Effect::TakeBack),
    );
    check(
        &case(),
        &seen(split(30).is(EndpointStatus::Updating)),
        &waits.clone().due(Effect::TakeBack),
    );
    check(
        &case(),
        &seen(split(30).is(EndpointStatus::SystemUpdating)),
        &waits.clone().due(Effect::TakeBack),
    );
    check(
        &case().leased(),
        &seen(split(30)),
        &waits.clone().due(Effect::TakeBack),
    );
    // Throttled, denied or out: the weights are set all the same, and people are told.
    check(
        &case(),
        &reading(unread()),
        &waits.clone().due(Effect::TakeBack),
    );
    let long = Case::reverting(30, Outcome::RolledBack)
        .with(|case| case.deployment.state.phase_since = case.now - minutes(5));
    let alarm = becomes(Status::RollingBack, Phase::Reverting).tells(&[Name::RollbackWaits]);
    let told = check(&long, &reading(unread()), &alarm.due(Effect::TakeBack));
    assert!(told.entries[0].reason.contains("unreadable"));
    check(
        &case(),
        &seen(split(0).is(EndpointStatus::Updating)),
        &waits.clone().nothing_due(),
    );
    // The weights are back, but a raise may still land.
    check(
        &case().leased(),
        &seen(split(0)),
        &waits.clone().nothing_due(),
    );
    let back = becomes(Status::RollingBack, Phase::CleaningUp)
        .weight(0)
        .tells(&[Name::Reverted])
        .nothing_due();
    check(&case(), &seen(split(0)), &back);
    // Cancelled before the canary came up.
    let unborn = Case::reverting(0, Outcome::Cancelled);
    check(
        &unborn,
        &seen(original()),
        &back.due(Effect::Tidy).outcome(Outcome::Cancelled),
    );
    check(
        &unborn,
        &seen(original().is(EndpointStatus::Updating)),
        &becomes(Status::RollingBack, Phase::Reverting)
            .tells(&[Name::RollbackWaits])
            .says("why it stands where it stands"),
    );
    // The old variant had gone already: a copy of the kept config with the instances of today.
    let late = Case::reverting(100, Outcome::RolledBack);
    let redeploys = becomes(Status::RollingBack, Phase::Reverting);
    check(
        &late,
        &seen(finished()),
        &redeploys.clone().due(Effect::Deploy {
            config: FORMER.to_owned(),
        }),
    );
    check(
        &late,
        &seen(finished().is(EndpointStatus::Updating)),
        &redeploys.clone().nothing_due(),
    );
    check(
        &late.clone().leased(),
        &seen(finished()),
        &redeploys.nothing_due(),
    );
    check(
        &late,
        &seen(original()),
        &becomes(Status::RollingBack, Phase::CleaningUp).weight(0),
    );
}

#[test]
fn after_a_rollback_the_canary_stays_for_inspection_and_then_goes() {
    for (outcome, status, name) in [
        (Outcome::RolledBack, Status::RolledBack, Name::RolledBack),
        (Outcome::Cancelled, Status::Cancelled, Name::Cancelled),
    ] {
        let waits = becomes(Status::RollingBack, Phase::CleaningUp)
            .outcome(outcome)
            .quietly();
        let since = |ago: i64| {
            Case::cleaning(outcome)
                .with(|case| case.deployment.state.phase_since = case.now - minutes(ago))
        };
        check(&since(59), &seen(split(0)), &waits.clone().nothing_due());
        check(
            &since(60),
            &seen(split(0)),
            &waits.clone().due(Effect::Deploy {
                config: ORIGINAL.to_owned(),
            }),
        );
        check(
            &since(60).leased(),
            &seen(split(0)),
            &waits.clone().nothing_due(),
        );
        check(
            &since(60),
            &seen(split(0).is(EndpointStatus::Updating)),
            &waits.clone().nothing_due(),
        );
        check(
            &since(70),
            &seen(original()),
            &waits.clone().due(Effect::Tidy),
        );
        let tidy = || since(70).with(|case| case.deployment.state.cleaned = true);
        check(
            &tidy().leased(),
            &seen(original()),
            &waits.clone().nothing_due(),
        );
        check(&tidy(), &reading(unread()), &waits.clone().nothing_due());
        check(&tidy(), &seen(split(0)), &waits);
        check(
            &tidy(),
            &seen(original()),
            &becomes(status, Phase::Ended)
                .weight(0)
                .tells(&[name])
                .says("wine-v1 keeps all traffic of wine")
                .nothing_due(),
        );
    }
}

#[test]
fn a_canary_is_never_removed_while_production_may_be_pinned() {
    let at_once = |ago: i64| {
        Case::cleaning(Outcome::RolledBack).with(|case| {
            case.deployment.terms.cleanup.after = Span::ZERO;
            case.deployment.state.phase_since = case.now - jiff::SignedDuration::from_secs(ago);
        })
    };
    let waits = becomes(Status::RollingBack, Phase::CleaningUp);
    check(&at_once(29), &seen(split(0)), &waits.clone().nothing_due());
    check(
        &at_once(30),
        &seen(split(0)),
        &waits.due(Effect::Deploy {
            config: ORIGINAL.to_owned(),
        }),
    );
    for case in Case::every() {
        assert_eq!(
            case.deployment.pins_production(),
            case.deployment.state.phase == Phase::Reverting
        );
    }
}

#[test]
fn a_rollback_that_waits_is_told_again_and_again() {
    let waits = becomes(Status::RollingBack, Phase::Reverting)
        .weight(30)
        .target(0);
    let since = |began: i64, told: Option<i64>| {
        Case::reverting(30, Outcome::RolledBack).with(|case| {
            case.deployment.state.phase_since = case.now - minutes(began);
            case.deployment.state.alarmed_at = told.map(|ago| case.now - minutes(ago));
        })
    };
    let view = || seen(split(30).is(EndpointStatus::SystemUpdating));
    check(&since(4, None), &view(), &waits.clone().quietly());
    check(&since(9, Some(4)), &view(), &waits.clone().quietly());
    for told in [(5, None), (10, Some(5))] {
        let alarm = waits.clone().tells(&[Name::RollbackWaits]);
        let decision = check(&since(told.0, told.1), &view(), &alarm);
        let entry = &decision.entries[0];
        assert_eq!(entry.severity, Severity::Critical);
        for part in ["SystemUpdating", "with 30 % on the canary"] {
            assert!(entry.reason.contains(part), "{}", entry.reason);
        }
    }
}

#[test]
fn a_cleanup_whose_update_came_back_fails_and_says_so() {
    let failed = becomes(Status::RollingBack, Phase::CleaningUp)
        .outcome(Outcome::Failed)
        .says("cleanup is incomplete")
        .due(Effect::Tidy);
    check(
        &Case::cleaning(Outcome::RolledBack).accepted(ORIGINAL, 5),
        &seen(split(0)),
        &failed,
    );
    check(
        &Case::cleaning(Outcome::RolledBack).refused(ORIGINAL, 10),
        &seen(split(0)),
        &failed,
    );
}

#[test]
fn completion_is_confirmed_by_the_endpoint() {
    let waits = goes_on(Phase::CleaningUp)
        .outcome(Outcome::Completed)
        .quietly();
    let tidy =
        || Case::cleaning(Outcome::Completed).with(|case| case.deployment.state.cleaned = true);
    check(
        &Case::cleaning(Outcome::Completed),
        &seen(finished()),
        &waits.clone().due(Effect::Tidy),
    );
    check(&tidy(), &reading(unread()), &waits.clone().nothing_due());
    check(
        &tidy(),
        &seen(finished().is(EndpointStatus::Updating)),
        &waits.clone().nothing_due(),
    );
    check(
        &tidy().leased(),
        &seen(finished()),
        &waits.clone().nothing_due(),
    );
    check(
        &tidy(),
        &seen(finished()),
        &becomes(Status::Completed, Phase::Ended)
            .weight(100)
            .tells(&[Name::Completed])
            .says("on config wine-final-0a1b2c3d"),
    );
    let kept = || tidy().with(|case| case.deployment.terms.cleanup.keep_old_variant = true);
    check(
        &kept(),
        &seen(split(100)),
        &becomes(Status::Completed, Phase::Ended).says("on config wine-canary-0a1b2c3d"),
    );
    // Somebody moved the weights in the last minute: nobody judges any more whether that is right.
    check(
        &kept(),
        &seen(split(90)),
        &goes_on(Phase::CleaningUp)
            .outcome(Outcome::Failed)
            .says("somebody else changed the weights"),
    );
}

/// One reading has the fraction of a second, another one rounds it: that is the same endpoint.
#[test]
fn a_creation_told_to_the_second_is_the_same_creation() {
    for milliseconds in [-1000, -999, 1, 500, 1000] {
        let mut view = split(30);
        view.created_at += jiff::SignedDuration::from_millis(milliseconds);
        check(&Case::baking(30), &seen(view), &goes_on(Phase::Scaling));
    }
}

#[test]
fn what_ends_a_deployment_from_outside() {
    let foreign = |config: &str| {
        let mut view = split(30);
        config.clone_into(&mut view.config);
        EndpointReading::Seen(view)
    };
    let again = {
        let mut view = split(30);
        view.created_at += jiff::SignedDuration::from_secs(2);
        EndpointReading::Seen(view)
    };
    let without = |name: &str| {
        let mut view = split(30);
        view.variants.retain(|variant| variant.name != name);
        EndpointReading::Seen(view)
    };
    let status = |status| EndpointReading::Seen(split(30).is(status).failed_because("out of disk"));
    let rows = [
        (EndpointReading::Missing, "endpoint wine was deleted"),
        (again, "deleted and made again"),
        (status(EndpointStatus::Failed), "is Failed: out of disk"),
        (
            status(EndpointStatus::UpdateRollbackFailed),
            "is UpdateRollbackFailed: out of disk",
        ),
        (status(EndpointStatus::Deleting), "is Deleting"),
        (
            foreign("someone-elses"),
            "updated by somebody else: it is on config someone-elses",
        ),
        (without(PRODUCTION), "no longer has the variants"),
        (without(CANARY), "no longer has the variants"),
    ];
    for case in Case::every() {
        let before = &case.deployment.state;
        for (endpoint, says) in &rows {
            if before.status.is_terminal() {
                check(
                    &case,
                    &reading(endpoint.clone()),
                    &becomes(before.status, Phase::Ended).quietly().nothing_due(),
                );
            } else if before.outcome == Some(Outcome::Failed) {
                check(
                    &case,
                    &reading(endpoint.clone()),
                    &becomes(before.status, Phase::CleaningUp)
                        .quietly()
                        .due(Effect::Tidy),
                );
            } else {
                // Completed, it is on the last config alone.
                let is_foreign = before.outcome == Some(Outcome::Completed);
                let says = match *says {
                    "no longer has the variants" if is_foreign => "updated by somebody else",
                    says => says,
                };
                let failed = becomes(before.status, Phase::CleaningUp)
                    .outcome(Outcome::Failed)
                    .says(says)
                    .tells(&[Name::CleaningUp])
                    .due(Effect::Tidy);
                check(&case, &reading(endpoint.clone()), &failed);
            }
        }
    }
}

#[test]
fn a_foreign_config_is_judged_only_once_it_is_in_force() {
    let mut view = split(30).is(EndpointStatus::Updating);
    "someone-elses".clone_into(&mut view.config);
    check(
        &Case::baking(30).with(|case| case.evidence.stage_samples = 0),
        &seen(view),
        &goes_on(Phase::Holding),
    );
    let unknown = split(30).is(EndpointStatus::Unknown);
    check(
        &Case::shifting(20, 30),
        &seen(unknown),
        &goes_on(Phase::Shifting).quietly().nothing_due(),
    );
}

#[test]
fn which_of_its_configs_the_endpoint_may_be_on() {
    let on = |config: &str| match config {
        ORIGINAL => original(),
        FORMER => endpoint(FORMER, original().variants),
        FINAL => finished(),
        _ => split(0),
    };
    let rows = vec![
        (Case::pending(), vec![ORIGINAL, CANARY_CONFIG]),
        (Case::baking(30), vec![CANARY_CONFIG]),
        (Case::soaking(), vec![CANARY_CONFIG]),
        (Case::finalizing(), vec![CANARY_CONFIG, FINAL]),
        (Case::cleaning(Outcome::Completed), vec![FINAL]),
        (
            Case::reverting(30, Outcome::RolledBack),
            vec![ORIGINAL, FORMER, CANARY_CONFIG, FINAL],
        ),
        (
            Case::cleaning(Outcome::Cancelled),
            vec![ORIGINAL, FORMER, CANARY_CONFIG, FINAL],
        ),
    ];
    for (case, own) in rows {
        for config in [ORIGINAL, FORMER, CANARY_CONFIG, FINAL] {
            let decision = crate::domain::decide::decide(
                &case.deployment,
                &case.evidence,
                &seen(on(config)),
                case.now,
            )
            .unwrap();
            let failed = decision.next.state.outcome == Some(Outcome::Failed);
            assert_eq!(
                failed,
                !own.contains(&config),
                "{}/{} on {config}: {}",
                case.deployment.state.status,
                case.deployment.state.phase,
                decision.next.state.reason
            );
        }
    }
}

/// Half of the traffic was the canary's when it was last confirmed; the way down never got anywhere.
#[test]
fn a_failure_on_the_way_down_says_the_share_last_confirmed() {
    for (case, meant) in [
        (Case::reverting(50, Outcome::RolledBack), 0),
        (Case::retreating(50, 10), 10),
    ] {
        let status = case.deployment.state.status;
        let broken = reading(EndpointReading::Seen(split(50).is(EndpointStatus::Failed)));
        let failed = becomes(status, Phase::CleaningUp).target(meant);
        let begun = check(&case, &broken, &failed);
        let tidied = Case {
            deployment: begun.next.clone(),
            evidence: begun.evidence.clone(),
            now: case.now,
        };
        let tidied = tidied.with(|case| case.deployment.state.cleaned = true);
        let ended = becomes(Status::Failed, Phase::Ended).weight(50).target(50);
        let ended = check(&tidied, &broken, &ended.tells(&[Name::Failed]));
        for entry in [begun.entries.last(), ended.entries.last()] {
            let entry = entry.expect("told");
            assert_eq!((entry.weight, entry.confirmed_weight), (weight(50), None));
        }
    }
}

#[test]
fn a_failure_touches_nothing_but_what_was_made() {
    let failed = || Case::cleaning(Outcome::Failed);
    let waits = goes_on(Phase::CleaningUp)
        .outcome(Outcome::Failed)
        .quietly();
    let endpoints = [
        EndpointReading::Missing,
        EndpointReading::Seen(split(30)),
        EndpointReading::Seen(split(30).is(EndpointStatus::Updating)),
        EndpointReading::Seen(original()),
    ];
    for endpoint in endpoints {
        check(
            &failed(),
            &reading(endpoint.clone()),
            &waits.clone().due(Effect::Tidy),
        );
        check(
            &failed().leased(),
            &reading(endpoint.clone()),
            &waits.clone().nothing_due(),
        );
        let tidy = || failed().with(|case| case.deployment.state.cleaned = true);
        check(
            &tidy().leased(),
            &reading(endpoint.clone()),
            &waits.clone().nothing_due(),
        );
        check(
            &tidy(),
            &reading(endpoint),
            &becomes(Status::Failed, Phase::Ended)
                .tells(&[Name::Failed])
                .nothing_due(),
        );
    }
    check(&failed(), &reading(unread()), &waits.nothing_due());
}

#[test]
fn terminal_states_stay_as_they_are() {
    for outcome in [
        Outcome::Completed,
        Outcome::RolledBack,
        Outcome::Cancelled,
        Outcome::Failed,
    ] {
        let case = Case::ended(outcome);
        for endpoint in [
            EndpointReading::Missing,
            EndpointReading::Seen(split(50)),
            unread(),
        ] {
            let alarm = reading(endpoint).alarms(AlarmReading::Firing(vec!["a".to_owned()]));
            let decision = check(
                &case,
                &alarm,
                &becomes(case.deployment.state.status, Phase::Ended)
                    .quietly()
                    .nothing_due(),
            );
            assert_eq!(decision.next, case.deployment);
        }
    }
}

#[test]
fn the_deadline_rolls_back_below_full_traffic() {
    let used = |case: Case, minutes_used: u64| {
        case.with(|case| {
            case.deployment.state.clock = Clock {
                used: Span::from_mins(minutes_used),
                running_since: Some(case.now - minutes(1)),
            }
        })
    };
    let says = "the deadline of 6h passed with the canary at 30 %";
    check(
        &used(Case::baking(30), 359),
        &seen(split(30)),
        &rolls_back().says(says),
    );
    check(
        &used(Case::holding(30), 359),
        &reading(unread()),
        &rolls_back().says(says),
    );
    // A reading that failed in the last minute is not why it was held for hours.
    let lacks = used(Case::holding(30), 358).with(|case| case.evidence.stage_samples = 0);
    let held = goes_on(Phase::Holding).says("could not be read: ThrottlingException");
    let held = check(&lacks, &reading(unread()), &held);
    let late = lacks.with(|case| {
        case.deployment = held.next;
        case.now += minutes(1);
    });
    check(
        &late,
        &reading(unread()),
        &rolls_back()
            .says(says)
            .says("; holding: needs about 500 more canary requests"),
    );
    check(
        &used(Case::retreating(30, 20), 400),
        &seen(split(30)),
        &rolls_back(),
    );
    check(
        &used(Case::scaling(20, 30), 400),
        &seen(split(20)),
        &rolls_back(),
    );
    check(
        &used(Case::baking(30), 358),
        &seen(split(30)),
        &goes_on(Phase::Scaling),
    );
    check(
        &used(Case::soaking(), 400),
        &seen(split(100)),
        &goes_on(Phase::Finalizing),
    );
}

#[test]
fn the_deadlines_clock_stops_where_nothing_may_move() {
    let runs = |case: &Case| {
        let decision = crate::domain::decide::decide(
            &case.deployment,
            &case.evidence,
            &seen(case.endpoint()),
            case.now,
        )
        .unwrap();
        (
            decision.next.state.clock.running_since.is_some(),
            decision.next.state.clock.used_at(case.now + minutes(60)),
        )
    };
    let stopped = (false, Span::from_mins(40));
    let running = |case: Case| {
        case.with(|case| {
            case.deployment
                .state
                .clock
                .run(true, case.now - minutes(40));
        })
    };
    assert_eq!(runs(&Case::baking(30)), (true, Span::from_mins(100)));
    assert_eq!(runs(&Case::holding(30)), (true, Span::from_mins(100)));
    assert_eq!(
        runs(&running(Case::paused(Interrupted::Bake, 30, 30))),
        stopped
    );
    assert_eq!(runs(&running(Case::awaiting(30))), stopped);
    assert_eq!(
        runs(&Case::baking(30).change_windows(&["Tue 09:00-17:00 UTC"])),
        stopped
    );
    assert_eq!(runs(&running(Case::soaking())), stopped);
    assert_eq!(
        runs(&running(Case::reverting(30, Outcome::RolledBack))),
        stopped
    );
    // A pass that stops it counts once; a second one changes nothing.
    let mut clock = Clock::default();
    clock.run(true, now());
    clock.run(true, now() + minutes(5));
    clock.run(false, now() + minutes(10));
    clock.run(false, now() + minutes(20));
    assert_eq!(clock.used_at(now() + minutes(30)), Span::from_mins(10));
}
