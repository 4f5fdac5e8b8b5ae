//! Down by steps: what sets it going, what ends it, and that nothing on the way is a way up.

use super::builders::*;
use crate::domain::command::{Command, IllegalCommand, apply};
use crate::domain::comparison::Counts;
use crate::domain::decide::{Decision, decide};
use crate::domain::due::Effect;
use crate::domain::fairness::{Fairness, FairnessRule, Measure};
use crate::domain::history::Name;
use crate::domain::judge::floor_minute;
use crate::domain::observation::{AlarmReading, ArmMinute, EndpointStatus};
use crate::domain::policy::{Action, Consequence, Grade};
use crate::domain::quantity::Span;
use crate::domain::retreat::Steps;
use crate::domain::signal::{CLIENT_ERRORS, ERRORS, SLOWNESS};
use crate::domain::state::{Outcome, Phase, Status};

const GUARD: &str = "error_rate.limit";

/// Goes down by 25 and 10 %, half an hour each.
fn by_steps(case: Case) -> Case {
    case.with(|case| case.deployment.terms.rollback.steps = Some(steps()))
}

fn graded(case: Case, guard: &str, consequence: Consequence) -> Case {
    case.with(|case| {
        let guards = &mut case.deployment.terms.policy.guards;
        let found = guards.iter_mut().find(|rule| rule.name == guard);
        found.expect("a guard of the preset").consequence = consequence;
    })
}

fn shift(percent: u8) -> Effect {
    Effect::Shift {
        weight: weight(percent),
    }
}

fn down(from: u8, to: u8) -> Expect {
    goes_on(Phase::Retreating).weight(from).target(to)
}

#[test]
fn a_breach_below_critical_takes_the_first_step_that_lies_below() {
    for (at, first) in [(100, 25), (60, 25), (30, 25), (25, 10), (20, 10), (11, 10)] {
        let case = match at {
            100 => Case::soaking(),
            at => Case::baking(at),
        };
        let case = by_steps(case).red(GUARD, 2);
        let expected = down(at, first)
            .tells(&[Name::Retreating])
            .says("going back by steps")
            .due(shift(first));
        let decision = check(&case, &seen(split(at)), &expected);
        let entry = &decision.entries[0];
        assert_eq!(entry.signal.as_deref(), Some(GUARD));
        assert_eq!(entry.signal_severity, Some(Grade::High));
    }
}

#[test]
fn where_no_step_lies_below_everything_is_taken_back_at_once() {
    for at in [10, 5, 1] {
        let case = by_steps(Case::baking(at)).red(GUARD, 2);
        check(&case, &seen(split(at)), &rolls_back());
    }
    let finalizing = by_steps(Case::finalizing()).red(GUARD, 2);
    check(&finalizing, &seen(split(100)), &rolls_back());
    let begun = by_steps(Case::scaling(0, 10)).red(GUARD, 2);
    check(&begun, &seen(split(0)), &rolls_back());
    let drifted = by_steps(Case::baking(60))
        .red(GUARD, 2)
        .with(|case| case.deployment.state.drift = Some("moved".to_owned()));
    check(&drifted, &seen(split(60)), &rolls_back());
}

#[test]
fn what_is_critical_takes_everything_back_at_once() {
    let critical = graded(Case::baking(60), GUARD, Consequence::of(Grade::Critical));
    check(
        &by_steps(critical).red(GUARD, 2),
        &seen(split(60)),
        &rolls_back(),
    );
    let firing = AlarmReading::Firing(vec!["pager".to_owned()]);
    let alarmed = by_steps(Case::baking(60)).red(GUARD, 2);
    check(&alarmed, &seen(split(60)).alarms(firing), &rolls_back());
    let blind = by_steps(Case::baking(60)).blind_for(10, false);
    check(&blind, &seen(split(60)), &rolls_back());
    let late = by_steps(Case::baking(60)).with(|case| {
        case.deployment.terms.plan.deadline = Span::from_mins(30);
    });
    check(
        &late,
        &seen(split(60)),
        &rolls_back().says("the deadline of 30m passed"),
    );
}

#[test]
fn a_raise_on_its_way_turns_round() {
    // It may have landed at 60 %: the step lies below what is confirmed.
    let case = by_steps(Case::shifting(30, 60)).red(GUARD, 2);
    check(&case, &seen(split(60)), &down(30, 25).due(shift(25)));
    // A way down that is under way is never turned into a way up.
    let lowered = by_steps(Case::retreating(60, 20)).red(GUARD, 2);
    check(&lowered, &seen(split(60)), &down(60, 10).due(shift(10)));
}

#[test]
fn no_further_step_back_goes_down_by_steps_too() {
    let spent = |most: u32, done: u32| {
        let medium = graded(Case::baking(60), GUARD, Consequence::of(Grade::Medium));
        medium.red(GUARD, 2).with(|case| {
            case.deployment.terms.rollback.step_backs = most;
            case.deployment.state.step_backs = done;
        })
    };
    check(
        &spent(3, 2),
        &seen(split(60)),
        &down(60, 50).says("to bake again"),
    );
    for (most, done, words) in [
        (3, 3, "it went back 3 times already"),
        (1, 1, "it went back once already"),
        (0, 0, "allows no step back"),
    ] {
        check(
            &spent(most, done),
            &seen(split(60)),
            &rolls_back().says(words),
        );
        let by_steps = by_steps(spent(most, done));
        check(&by_steps, &seen(split(60)), &down(60, 25).says(words));
    }
}

#[test]
fn each_step_is_confirmed_and_kept_before_the_next() {
    let moving = Case::descending(30, 25);
    check(
        &moving,
        &seen(split(30)),
        &down(30, 25).quietly().due(shift(25)),
    );
    check(
        &moving.clone().leased(),
        &seen(split(25)),
        &down(30, 25).quietly(),
    );
    let confirmed = down(25, 25)
        .tells(&[Name::Shifted])
        .says("10 % is next, after 30m")
        .nothing_due();
    let decision = check(&moving, &seen(split(25)), &confirmed);
    assert_eq!(decision.next.state.stage_since, moving.now);
    assert_eq!(
        decision.next.state.clock.running_since, None,
        "the deadline waits"
    );
    let kept = |minutes_ago: i64| {
        Case::descending(25, 25).with(|case| {
            case.deployment.state.stage_since = case.now - minutes(minutes_ago);
        })
    };
    check(
        &kept(29),
        &seen(split(25)),
        &down(25, 25).quietly().nothing_due(),
    );
    check(
        &kept(30),
        &seen(split(25)),
        &down(25, 10).tells(&[Name::Retreating]).due(shift(10)),
    );
    let last = kept(30).with(|case| {
        let state = &mut case.deployment.state;
        (state.weight, state.target) = (weight(10), weight(10));
    });
    let over = rolls_back()
        .says("too many errors; the last step down is over")
        .due(Effect::TakeBack);
    let decision = check(&last, &seen(split(10)), &over);
    // Who is told of cost alone, or looks at the incident, is told what it is about.
    for name in [Name::RollingBack, Name::Incident] {
        let mut entries = decision.entries.iter();
        let entry = entries.find(|entry| entry.event == name).unwrap();
        assert_eq!(entry.signal.as_deref(), Some("errors"));
        assert_eq!(entry.signal_severity, Some(Grade::High));
        assert_eq!((&*entry.value, &*entry.limit), ("9 %", "1 %"));
    }
}

#[test]
fn no_step_is_taken_unseen() {
    // Immediate is taken back unseen too, and pins production; a step would be neither.
    let begins = by_steps(Case::baking(60)).red(GUARD, 2);
    let at_once = rolls_back()
        .says("could not be read, so no step down could be confirmed")
        .due(Effect::TakeBack);
    check(&begins, &reading(unread()), &at_once);
    let rests = |minutes_ago: i64| {
        Case::descending(25, 25).with(|case| {
            case.deployment.state.stage_since = case.now - minutes(minutes_ago);
        })
    };
    let waits = down(25, 25).quietly().nothing_due();
    check(&rests(29), &reading(unread()), &waits);
    let ends = rolls_back()
        .says("no further step could be confirmed")
        .due(Effect::TakeBack);
    check(&rests(30), &reading(unread()), &ends);
}

#[test]
fn a_step_that_is_not_confirmed_in_time_takes_everything_back() {
    let moving = |minutes_ago: i64| {
        Case::descending(30, 25).with(|case| {
            let state = &mut case.deployment.state;
            state.phase_since = case.now - minutes(minutes_ago);
            state.refusal = Some("ThrottlingException: slow down".to_owned());
        })
    };
    let updating = || seen(split(30).is(EndpointStatus::Updating));
    // Unread, taking no updates, and refusing.
    for seen in [reading(unread()), updating(), seen(split(30))] {
        check(&moving(4), &seen, &down(30, 25).quietly());
        let late = rolls_back()
            .says("the step to 25 % could not be confirmed within 5m")
            .says("slow down")
            .due(Effect::TakeBack);
        let decision = check(&moving(5), &seen, &late);
        assert!(decision.next.pins_production());
    }
    // Late, and confirmed all the same.
    check(&moving(5), &seen(split(25)), &down(25, 25));
}

#[test]
fn a_step_waits_for_a_minute_of_its_own_and_not_for_ever() {
    let kept = |minutes_ago: i64, judged: i64| {
        Case::descending(25, 25).with(|case| {
            case.deployment.terms.rollback.steps = Some(Steps {
                every: Span::from_mins(5),
                ..steps()
            });
            let since = case.now - minutes(minutes_ago);
            case.deployment.state.stage_since = since;
            case.evidence.judged_through = floor_minute(since) + minutes(judged);
        })
    };
    for (minutes_ago, judged, goes_on) in
        [(5, 0, false), (9, 0, false), (10, 0, true), (5, 1, true)]
    {
        let expected = if goes_on {
            down(25, 10).tells(&[Name::Retreating]).due(shift(10))
        } else {
            down(25, 25).quietly().nothing_due()
        };
        check(&kept(minutes_ago, judged), &seen(split(25)), &expected);
    }
}

#[test]
fn what_is_critical_goes_at_once_even_where_it_would_only_step_back() {
    let consequence = Consequence {
        on_breach: Action::StepBack,
        ..Consequence::of(Grade::Critical)
    };
    for case in [Case::descending(30, 25), Case::descending(25, 25)] {
        let at = case.deployment.state.weight.percent();
        let critical = graded(case.red(GUARD, 2), GUARD, consequence);
        check(&critical, &seen(split(at)), &rolls_back());
        let milder = graded(critical, GUARD, Consequence::of(Grade::Medium));
        check(&milder, &seen(split(at)), &down(at, 25));
    }
    let baking = graded(by_steps(Case::baking(60)), GUARD, consequence).red(GUARD, 2);
    check(
        &baking,
        &seen(split(60)),
        &down(60, 50).says("to bake again"),
    );
}

#[test]
fn a_critical_signal_that_needs_others_to_win_is_no_critical_breach() {
    // Alone neither of both has a hundredfold capital; together they have.
    let case = by_steps(Case::baking(60)).with(|case| {
        let policy = &mut case.deployment.terms.policy;
        policy.guards.clear();
        policy.signals.retain(|rule| rule.name != SLOWNESS);
        for rule in &mut policy.signals {
            if rule.name == CLIENT_ERRORS {
                rule.consequence = Consequence::of(Grade::Critical);
            }
        }
    });
    let minute = |errors_4xx, errors_5xx| ArmMinute {
        errors_4xx,
        ..arm(1500, errors_5xx)
    };
    let production = ArmMinute {
        errors_4xx: 4,
        ..arm(1000, 4)
    };
    let judged = |lasting: i64, client: u64, server: u64| {
        let mut case = case.clone();
        let canary = minute(client, server);
        let metrics = last_minutes(&mut case, lasting, Some(&canary), Some(&production));
        let seen = seen(split(60)).metrics(metrics);
        decide(&case.deployment, &case.evidence, &seen, case.now).expect("a decision")
    };
    // So many client errors that they are the heavier by one, and none of both suffices alone.
    let stays = |decision: &Decision| decision.next.state.target == weight(60);
    let together = |(lasting, count): (i64, u64)| {
        let both = judged(lasting, count + 1, count);
        let goes_down = both.next.state.phase == Phase::Retreating;
        let apart = || [judged(lasting, count + 1, 6), judged(lasting, 6, count)];
        (goes_down && apart().iter().all(stays)).then_some(both)
    };
    let mut tried = (3..20).flat_map(|lasting| (8..40).map(move |count| (lasting, count)));
    let decision = tried.find_map(together);
    let decision = decision.expect("counts that suffice together");
    let state = &decision.next.state;
    assert_eq!((state.phase, state.target), (Phase::Retreating, weight(25)));
    let entry = &decision.entries[0];
    assert_eq!(entry.signal.as_deref(), Some(CLIENT_ERRORS));
    assert_eq!(entry.signal_severity, Some(Grade::High));
}

#[test]
fn a_disparity_stands_for_the_share_at_which_it_was_seen() {
    let fairness = |consequence| Fairness {
        rules: vec![FairnessRule {
            measure: Measure::DemographicParity,
            limit: 0.1,
            min_samples: 100,
            min_positives: FairnessRule::MIN_POSITIVES,
        }],
        groups: ["north", "south"].map(str::to_owned).to_vec(),
        consequence,
    };
    let grouped = |requests: u64, positive: [u64; 2]| {
        let mut minute = arm(requests, 0);
        for (label, x) in ["north", "south"].into_iter().zip(positive) {
            let counts = Counts::new(requests / 2, x).expect("no more than all");
            let name = format!("fairness.parity.{label}");
            minute.checks.insert(name, counts);
        }
        minute
    };
    for (consequence, is_forgotten) in [
        (Consequence::of(Grade::High), true),
        (Consequence::of(Grade::Medium), true),
        (Consequence::of(Grade::Critical), false),
    ] {
        let with = |case: Case, consequence| {
            case.with(|case| {
                let policy = &mut case.deployment.terms.policy;
                policy.guards.clear();
                policy.fairness = Some(fairness(consequence));
            })
        };
        let mut before = with(Case::baking(60), Consequence::of(Grade::Low));
        let unfair = grouped(3000, [900, 300]);
        let even = grouped(2000, [500, 500]);
        let metrics = last_minutes(&mut before, 5, Some(&unfair), Some(&even));
        let seen_unfair = seen(split(60)).metrics(metrics);
        let unfair = decide(
            &before.deployment,
            &before.evidence,
            &seen_unfair,
            before.now,
        );
        let tallies = unfair.expect("a decision").evidence.tallies;
        assert!(!tallies.is_empty());
        let moving = with(Case::descending(30, 25), consequence);
        let moving = moving.with(|case| case.evidence.tallies = tallies);
        let decision = decide(
            &moving.deployment,
            &moving.evidence,
            &seen(split(25)),
            moving.now,
        )
        .expect("a decision");
        if !is_forgotten {
            assert_eq!(decision.next.state.status, Status::RollingBack);
            continue;
        }
        assert_eq!(decision.evidence.tallies.len(), 0, "{consequence:?}");
        // Nor do the minutes before the step that are judged after it.
        let mut rests = moving;
        (rests.deployment, rests.evidence) = (decision.next, decision.evidence);
        rests.now += minutes(1);
        let unfair = grouped(3000, [900, 300]);
        let late = last_minutes(&mut rests, 3, Some(&unfair), Some(&even));
        let decision = check(&rests, &seen(split(25)).metrics(late), &down(25, 25));
        assert_eq!(decision.evidence.tallies.len(), 0, "{consequence:?}");
    }
}

#[test]
fn on_the_way_down_the_worse_goes_at_once_and_the_like_changes_nothing() {
    for case in [Case::descending(30, 25), Case::descending(25, 25)] {
        let at = case.deployment.state.weight.percent();
        let still = case.clone().red(GUARD, 2);
        let stays = down(at, 25).tells(&[Name::Breached]);
        check(&still, &seen(split(at)), &stays);
        let worse = graded(still, GUARD, Consequence::of(Grade::Critical));
        check(&worse, &seen(split(at)), &rolls_back());
        check(
            &case.clone().blind_for(10, false),
            &seen(split(at)),
            &rolls_back(),
        );
        let firing = AlarmReading::Firing(vec!["pager".to_owned()]);
        check(&case, &seen(split(at)).alarms(firing), &rolls_back());
    }
}

#[test]
fn a_critical_signal_is_heard_beside_a_heavier_one() {
    let arms = (arm(6000, 240), arm(4000, 8));
    let mut case = by_steps(Case::baking(60)).with(|case| {
        let policy = &mut case.deployment.terms.policy;
        policy.guards.clear();
        for rule in &mut policy.signals {
            if rule.name == CLIENT_ERRORS {
                rule.consequence = Consequence::of(Grade::Critical);
            }
        }
    });
    let both = |canary: &crate::domain::observation::ArmMinute, errors_4xx| {
        let mut minute = canary.clone();
        minute.errors_4xx = errors_4xx;
        minute
    };
    // 5XX alone, which is not critical.
    let alone = last_minutes(&mut case.clone(), 6, Some(&arms.0), Some(&arms.1));
    case.evidence.judged_through = alone.from - minutes(1);
    let decision = check(&case, &seen(split(60)).metrics(alone), &down(60, 25));
    assert_eq!(decision.entries[0].signal.as_deref(), Some(ERRORS));
    // 4XX beside them, which is, though the 5XX weigh more.
    let (canary, production) = (both(&arms.0, 120), both(&arms.1, 8));
    let beside = last_minutes(&mut case, 6, Some(&canary), Some(&production));
    let decision = check(&case, &seen(split(60)).metrics(beside), &rolls_back());
    assert_eq!(decision.entries[0].signal.as_deref(), Some(CLIENT_ERRORS));
    assert_eq!(decision.entries[0].signal_severity, Some(Grade::Critical));
}

#[test]
fn what_was_seen_of_the_higher_share_does_not_stand_against_the_lower_one() {
    let moving = Case::descending(30, 25).red(GUARD, 2);
    let decision = check(&moving, &seen(split(25)), &down(25, 25));
    assert!(!decision.evidence.guards.contains_key(GUARD));
    // Nor do the minutes before the step that are judged after it.
    let mut rests = moving.clone();
    (rests.deployment, rests.evidence) = (decision.next, decision.evidence);
    rests.now += minutes(1);
    let bad = arm(1000, 300).taking(20.0).slower(100.0, 0);
    let good = arm(3000, 0).taking(20.0).slower(100.0, 0);
    let late = last_minutes(&mut rests, 3, Some(&bad), Some(&good));
    let decision = check(&rests, &seen(split(25)).metrics(late), &down(25, 25));
    assert!(!decision.evidence.guards.contains_key(GUARD));
    assert_eq!(decision.minutes.len(), 3, "they are judged, and said");
}

#[test]
fn only_a_resume_stops_it_and_only_where_nothing_speaks_against_that() {
    let resume = |case: &Case| {
        apply(
            &case.deployment,
            &case.evidence,
            Command::Resume,
            "operator",
            None,
            case.now,
        )
    };
    let rests = Case::descending(25, 25);
    let stopped = resume(&rests).expect("nothing speaks against it");
    let state = &stopped.next.state;
    assert_eq!(
        (state.phase, state.weight, &state.descent),
        (Phase::Baking, weight(25), &None)
    );
    assert_eq!(state.stage_since, rests.now, "baked anew");
    assert!(state.clock.running_since.is_some(), "the deadline goes on");
    let refused = [
        rests.clone().red(GUARD, 1),
        rests.clone().blind_for(1, false),
        rests.clone().leased(),
        rests
            .clone()
            .with(|case| case.deployment.state.drift = Some("moved".to_owned())),
        Case::descending(30, 25),
    ];
    for case in refused {
        assert!(resume(&case).is_err(), "{:?}", case.deployment.state);
    }
    for command in [
        Command::Promote { full: false },
        Command::SetWeight(weight(60)),
        Command::SetWeight(weight(10)),
        Command::Pause,
        Command::Approve,
    ] {
        let refusal = apply(
            &rests.deployment,
            &rests.evidence,
            command,
            "operator",
            None,
            rests.now,
        );
        assert!(
            matches!(refusal, Err(IllegalCommand::State { .. })),
            "{refusal:?}"
        );
    }
    for (command, outcome) in [
        (Command::Rollback, Outcome::RolledBack),
        (Command::Cancel, Outcome::Cancelled),
    ] {
        let ended = apply(
            &rests.deployment,
            &rests.evidence,
            command,
            "operator",
            None,
            rests.now,
        );
        let state = ended.expect("always").next.state;
        assert_eq!(
            (state.status, state.outcome),
            (Status::RollingBack, Some(outcome))
        );
        assert_eq!(state.descent, None);
    }
}

#[test]
fn weights_or_instances_that_somebody_else_moves_end_it_at_once() {
    let rests = Case::descending(25, 25).with(|case| {
        case.deployment.state.canary_instances = INSTANCES;
    });
    let ends = || {
        becomes(Status::RollingBack, Phase::Reverting)
            .target(0)
            .tells(&[Name::Drift, Name::RollingBack, Name::Incident])
            .due(Effect::TakeBack)
    };
    for share in [40, 5] {
        let changed = ends().says("somebody else changed the weights");
        check(&rests, &seen(split(share)), &changed);
    }
    let fewer = split(25).canary_instances(INSTANCES, 1);
    let taken = ends().says("is to have 1 instances, not the 4");
    check(&rests, &seen(fewer), &taken);
    // A step that would be a way up is none.
    let moving = Case::descending(30, 25);
    check(
        &moving,
        &seen(split(5)),
        &rolls_back().says("somebody else has put less"),
    );
    // What stood before the endpoint could not be read any more stands.
    let drifted = rests.with(|case| case.deployment.state.drift = Some("moved".to_owned()));
    check(
        &drifted,
        &reading(unread()),
        &rolls_back().says("; moved, so"),
    );
}

#[test]
fn a_floor_that_was_put_down_is_raised_again_between_steps_and_never_before_one() {
    let low = |case: Case| {
        case.with(|case| {
            let floor = case.deployment.state.floor.as_mut();
            floor.expect("it is held").held_at = 1;
        })
    };
    let hold = Effect::HoldFloor {
        instances: INSTANCES,
    };
    check(
        &low(Case::descending(25, 25)),
        &seen(split(25)),
        &down(25, 25).due(hold),
    );
    check(
        &low(Case::descending(30, 25)),
        &seen(split(30)),
        &down(30, 25).due(shift(25)),
    );
}

#[test]
fn what_lowers_the_share_by_steps() {
    let rows = [
        (Grade::Critical, Action::Rollback, false),
        (Grade::Critical, Action::StepBack, true),
        (Grade::High, Action::Rollback, true),
        (Grade::Medium, Action::StepBack, true),
        (Grade::Low, Action::Rollback, true),
        (Grade::High, Action::Hold, false),
        (Grade::Low, Action::Notify, false),
    ];
    for (severity, on_breach, retreats) in rows {
        let loud = Consequence {
            severity,
            on_breach,
            muted: false,
        };
        assert_eq!(loud.retreats(), retreats, "{severity} {on_breach}");
        let muted = Consequence {
            muted: true,
            ..loud
        };
        assert!(!muted.retreats());
    }
}
