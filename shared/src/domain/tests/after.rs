//! After a completion: what is told, when, and how the watch ends.

use std::collections::BTreeMap;

use super::builders::*;
use crate::domain::comparison::Counts;
use crate::domain::decide::{Decision, after};
use crate::domain::deployment::Watch;
use crate::domain::history::{Name, Severity};
use crate::domain::invariants::violations;
use crate::domain::observation::{
    AlarmReading, ArmMinute, EndpointReading, EndpointStatus, Observation, Series,
};
use crate::domain::policy::Sustain;
use crate::domain::quantity::{Span, Weight};
use crate::domain::signal::{CLIENT_ERRORS, ERRORS};
use crate::domain::state::{Outcome, Phase, Status};

const GUARD: &str = "error_rate.limit";

/// Completed an hour ago, watched for a day.
fn watched() -> Case {
    Case::ended(Outcome::Completed).with(|case| {
        case.deployment.terms.watch = Span::from_hours(24);
        let since = case.now - minutes(60);
        case.deployment.state.watch = Some(Watch {
            since,
            until: since + minutes(24 * 60),
            unseen: BTreeMap::new(),
        });
    })
}

#[track_caller]
fn look(case: &Case, seen: &Observation, successor: Option<&str>) -> Decision {
    let (deployment, evidence) = (&case.deployment, &case.evidence);
    assert_eq!(violations(deployment), Vec::<String>::new());
    let successor = successor.map(|id| after::Successor {
        id: id.to_owned(),
        package: None,
    });
    let decision = after::look_after(deployment, evidence, seen, successor.as_ref(), case.now);
    assert_eq!(violations(&decision.next), Vec::<String>::new());
    let (before, after) = (&deployment.state, &decision.next.state);
    assert_eq!(
        (after.status, after.phase, after.weight, after.target),
        (before.status, before.phase, before.weight, before.target),
        "the watch changes nothing"
    );
    decision
}

fn names(decision: &Decision) -> Vec<Name> {
    decision.entries.iter().map(|entry| entry.event).collect()
}

#[test]
fn a_breach_is_told_once_until_it_recovers() {
    let red = watched().red(GUARD, 2);
    let told = look(&red, &seen(finished()), None);
    assert_eq!(names(&told), [Name::Breached]);
    let entry = &told.entries[0];
    assert_eq!(
        (entry.status, entry.phase),
        (Status::Completed, Phase::Ended)
    );
    assert_eq!(entry.severity, Severity::Critical);
    assert!(
        entry.reason.contains("canary undo 019c0000"),
        "{}",
        entry.reason
    );
    let mut again = red.clone();
    (again.deployment, again.evidence) = (told.next, told.evidence);
    assert!(names(&look(&again, &seen(finished()), None)).is_empty());
    let well = again.clone().with(|case| {
        case.evidence.guards.clear();
    });
    let well = look(&well, &seen(finished()), None);
    let mut relapsed = again;
    relapsed.evidence = well.evidence;
    let relapsed = relapsed.red(GUARD, 2);
    assert_eq!(
        names(&look(&relapsed, &seen(finished()), None)),
        [Name::Breached]
    );
}

/// The pass so many minutes later.
fn later(case: &Case, decision: Decision, by: i64) -> Case {
    Case {
        deployment: decision.next,
        evidence: decision.evidence,
        now: case.now + minutes(by),
    }
}

fn reasons(decision: &Decision) -> Vec<&str> {
    let entries = decision.entries.iter();
    entries.map(|entry| entry.reason.as_str()).collect()
}

#[test]
fn what_trips_and_recovers_within_one_reading_is_told() {
    let mut case = watched().with(|case| {
        let policy = &mut case.deployment.terms.policy;
        policy.signals.clear();
        for guard in &mut policy.guards {
            guard.sustain = Sustain::Checks(1);
        }
    });
    let mut metrics = last_minutes(&mut case, 5, Some(&arm(1000, 0)), None);
    let Series::Read(read) = &mut metrics.canary else {
        unreachable!("it was read")
    };
    let second = *read.keys().nth(1).expect("five minutes");
    read.insert(second, arm(1000, 300));
    let decision = look(&case, &seen(finished()).metrics(metrics), None);
    assert_eq!(names(&decision), [Name::Breached]);
    assert_eq!(decision.entries[0].signal.as_deref(), Some(GUARD));
    assert!(!decision.evidence.told.contains(GUARD), "it has recovered");
    assert_eq!(decision.minutes.len(), 5);
}

#[test]
fn no_signal_stands_behind_a_heavier_one_and_none_is_told_twice() {
    let case = watched().with(|case| {
        let terms = &mut case.deployment.terms;
        terms.policy.guards.clear();
        for signal in [ERRORS, CLIENT_ERRORS] {
            let past = terms.baseline.signals.entry(signal.to_owned()).or_default();
            past.worst_hour = Counts::new(60_000, 120).expect("fewer bad ones than all");
        }
    });
    let both = |errors_4xx, errors_5xx| ArmMinute {
        errors_4xx,
        ..arm(1000, errors_5xx)
    };
    let pass = |mut case: Case, canary: &ArmMinute| {
        let metrics = last_minutes(&mut case, 10, Some(canary), None);
        let decision = look(&case, &seen(finished()).metrics(metrics), None);
        let told: Vec<String> = decision
            .entries
            .iter()
            .filter_map(|entry| entry.signal.clone())
            .collect();
        (told, later(&case, decision, 10))
    };
    let (told, case) = pass(case, &both(2, 300));
    assert_eq!(told, [ERRORS]);
    // The lighter one beside it.
    let (told, case) = pass(case, &both(60, 300));
    assert_eq!(told, [CLIENT_ERRORS]);
    // They take turns at being the heavier one.
    let (told, case) = pass(case, &both(600, 20));
    assert_eq!(told, Vec::<String>::new());
    let (told, _) = pass(case, &both(20, 600));
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn a_model_without_requests_is_told_once_it_has_lasted() {
    let usual = watched().with(|case| {
        let baseline = &mut case.deployment.terms.baseline;
        (baseline.requests, baseline.minutes) = (60_000, 60);
    });
    let pass = |mut case: Case, canary: Option<&ArmMinute>| {
        let metrics = last_minutes(&mut case, 5, canary, None);
        let decision = look(&case, &seen(finished()).metrics(metrics), None);
        (names(&decision), later(&case, decision, 5))
    };
    let (told, case) = pass(usual.clone(), Some(&arm(1000, 0)));
    assert!(told.is_empty());
    // The first five silent minutes, of which the last ended two minutes ago.
    let (told, case) = pass(case, None);
    assert!(told.is_empty());
    assert_eq!(
        case.deployment
            .state
            .watch
            .as_ref()
            .map(|it| it.unseen.len()),
        Some(1)
    );
    let (told, case) = pass(case, None);
    assert_eq!(told, [Name::Blind]);
    let (told, case) = pass(case, None);
    assert!(told.is_empty(), "once");
    let (told, case) = pass(case, Some(&arm(1000, 0)));
    assert!(told.is_empty());
    assert_eq!(
        case.deployment
            .state
            .watch
            .as_ref()
            .map(|it| it.unseen.len()),
        Some(0)
    );
    let (_, case) = pass(case, None);
    let (told, _) = pass(case, None);
    assert_eq!(told, [Name::Blind], "and again after it had recovered");
    // Where hardly anybody asks, silence is quiet.
    let (_, case) = pass(watched(), None);
    let (_, case) = pass(case, None);
    let (told, _) = pass(case, None);
    assert!(told.is_empty());
}

#[test]
fn a_check_that_can_not_be_read_is_told_once_it_has_lasted() {
    let pass = |mut case: Case, is_read: bool| {
        let mut metrics = last_minutes(&mut case, 5, Some(&arm(1000, 0)), None);
        if !is_read {
            let why = "AccessDenied".to_owned();
            metrics.unread.insert("refunds".to_owned(), why);
        }
        let decision = look(&case, &seen(finished()).metrics(metrics), None);
        let told = reasons(&decision).join("; ");
        (told, later(&case, decision, 5))
    };
    let (told, case) = pass(watched(), false);
    assert_eq!(told, "");
    let (told, case) = pass(case, false);
    assert_eq!(told, "");
    let (told, case) = pass(case, false);
    assert_eq!(told, "the check refunds could not be read: AccessDenied");
    let (told, case) = pass(case, false);
    assert_eq!(told, "");
    let (told, _) = pass(case, true);
    assert_eq!(told, "");
}

#[test]
fn alarms_that_fire_are_told_once_each_and_so_is_that_they_can_not_be_read() {
    let firing = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        seen(finished()).alarms(AlarmReading::Firing(names))
    };
    let failed = || {
        seen(finished()).alarms(AlarmReading::Failed {
            reason: "throttled".to_owned(),
        })
    };
    let case = watched();
    let told = look(&case, &firing(&["pager"]), None);
    assert_eq!(names(&told), [Name::Breached]);
    assert_eq!(told.entries[0].severity, Severity::Critical);
    assert!(reasons(&told)[0].contains("alarm pager is in state ALARM"));
    assert!(reasons(&told)[0].contains("canary undo 019c0000"));
    let case = later(&case, told, 5);
    let told = look(&case, &firing(&["pager", "budget"]), None);
    assert_eq!(told.entries.len(), 1);
    assert!(reasons(&told)[0].contains("alarm budget is"));
    // Unread, they stand as they were told.
    let case = later(&case, told, 5);
    let told = look(&case, &failed(), None);
    assert!(names(&told).is_empty());
    let case = later(&case, told, 10);
    let told = look(&case, &failed(), None);
    assert_eq!(names(&told), [Name::Blind]);
    assert!(reasons(&told)[0].contains("alarms could not be read: throttled"));
    let case = later(&case, told, 5);
    let told = look(&case, &firing(&["pager"]), None);
    assert!(names(&told).is_empty());
    let case = later(&case, told, 5);
    let told = look(&case, &firing(&["budget"]), None);
    assert_eq!(told.entries.len(), 1, "it had stopped");
}

#[test]
fn one_pass_tells_no_more_than_a_transaction_holds() {
    let all: Vec<String> = (0..30).map(|number| format!("alarm-{number}")).collect();
    let firing = seen(finished()).alarms(AlarmReading::Firing(all));
    let case = watched();
    let first = look(&case, &firing, None);
    assert_eq!(first.entries.len(), 20);
    let case = later(&case, first, 5);
    assert_eq!(look(&case, &firing, None).entries.len(), 10);
}

#[test]
fn what_is_told_of_an_undo_points_to_no_undo() {
    let case = watched()
        .with(|case| case.deployment.terms.undoes = Some("019b".to_owned()))
        .red(GUARD, 2);
    let told = look(&case, &seen(finished()), None);
    let reason = reasons(&told)[0];
    assert!(reason.contains("deploy another model"), "{reason}");
    assert!(!reason.contains("canary undo"), "{reason}");
}

#[test]
fn minutes_are_judged_alone_and_by_limits_that_do_not_compare() {
    let mut case = watched();
    let bad = arm(1000, 300).taking(20.0).slower(100.0, 0);
    let metrics = last_minutes(&mut case, 6, Some(&bad), None);
    let decision = look(&case, &seen(finished()).metrics(metrics), None);
    assert_eq!(decision.minutes.len(), 6);
    assert!(names(&decision).contains(&Name::Breached));
    let compared = ["error_rate.worse_by", "latency_p99.ratio"];
    assert!(
        compared
            .iter()
            .all(|name| !decision.evidence.guards.contains_key(*name))
    );
}

#[test]
fn it_ends_by_its_time_by_a_successor_and_when_the_endpoint_moves_on() {
    let foreign = endpoint("someone-elses", vec![variant(CANARY, 100, INSTANCES)]);
    let mut made_again = finished();
    made_again.created_at += minutes(1);
    let over = watched().with(|case| {
        case.deployment.state.watch = Some(Watch {
            since: case.now - minutes(24 * 60),
            until: case.now,
            unseen: BTreeMap::new(),
        });
    });
    let rows = [
        (
            watched(),
            seen(finished()),
            Some("019c-other"),
            "019c-other has begun",
        ),
        (
            watched(),
            reading(EndpointReading::Missing),
            None,
            "was deleted",
        ),
        (watched(), seen(made_again), None, "made again"),
        (watched(), seen(foreign), None, "config someone-elses"),
        (over, seen(finished()), None, "its time is over"),
    ];
    for (case, seen, successor, says) in rows {
        let decision = look(&case, &seen, successor);
        assert_eq!(decision.next.state.watch, None, "{says}");
        assert_eq!(names(&decision), [Name::WatchEnded], "{says}");
        // What came after may have any share.
        let confirmed = decision.entries[0].confirmed_weight;
        let is_as_left = says == "its time is over";
        assert_eq!(confirmed, is_as_left.then_some(Weight::FULL), "{says}");
        assert!(
            decision.entries[0].reason.contains(says),
            "{}",
            decision.entries[0].reason
        );
    }
    let unread = look(&watched(), &reading(unread()), None);
    assert!(unread.next.state.watch.is_some() && unread.entries.is_empty());
    let kept = watched().with(|case| case.deployment.terms.cleanup.keep_old_variant = true);
    let goes_on = |view| look(&kept, &seen(view), None).next.state.watch.is_some();
    assert!(goes_on(split(100)));
    // Somebody gives the old variant its weight back, and then has.
    assert!(goes_on(split(90).is(EndpointStatus::Updating)));
    let moved = look(&kept, &seen(split(90)), None);
    assert_eq!(moved.next.state.watch, None);
    assert_eq!(names(&moved), [Name::WatchEnded]);
    let reason = reasons(&moved)[0];
    assert!(reason.contains("it has 90.00 % of the traffic"), "{reason}");
}

#[test]
fn a_model_that_can_not_be_seen_is_told_once() {
    let briefly = look(&watched().blind_for(9, true), &seen(finished()), None);
    assert!(names(&briefly).is_empty());
    let case = watched().blind_for(10, true);
    let told = look(&case, &seen(finished()), None);
    assert_eq!(names(&told), [Name::Blind]);
    let mut again = case;
    (again.deployment, again.evidence) = (told.next, told.evidence);
    assert!(names(&look(&again, &seen(finished()), None)).is_empty());
}

#[test]
fn a_completion_begins_it_where_the_specification_asks() {
    let ends = |watch: u64| {
        let case = Case::cleaning(Outcome::Completed).with(|case| {
            case.deployment.terms.watch = Span::from_hours(watch);
            case.deployment.state.cleaned = true;
        });
        let expected = becomes(Status::Completed, Phase::Ended).tells(&[Name::Completed]);
        check(&case, &seen(finished()), &expected).next.state.watch
    };
    assert_eq!(ends(0), None);
    let watch = ends(24).expect("it is watched");
    assert_eq!(
        (watch.since, watch.until),
        (now(), now() + minutes(24 * 60))
    );
}

#[test]
fn an_undo_brings_the_instances_that_todays_traffic_needs() {
    // What the former model needed, what the new one was given then and has now, and its type.
    for (needed, given, present, is_same_type, expected) in [
        (8, Some(4), 4, true, 8),
        (8, Some(4), 12, true, 24),
        (8, Some(16), 16, true, 16),
        (8, None, 8, true, 8),
        (8, None, 3, true, 8),
        (8, None, 20, true, 20),
        (8, Some(4), 4, false, 8),
        (8, Some(4), 12, false, 24),
        (8, Some(16), 16, false, 8),
        (9, Some(4), 5, false, 12),
        (8, Some(4), 0, false, 8),
        (0, None, 0, true, 1),
        (u32::MAX, Some(1), u32::MAX, true, u32::MAX),
    ] {
        let case = watched().with(|case| {
            case.deployment.state.production_instances = needed;
            case.deployment.terms.capacity.instances = given;
        });
        let found = case.deployment.instances_to_undo(present, is_same_type);
        let row = (needed, given, present, is_same_type);
        assert_eq!(found, expected, "{row:?}");
    }
}

#[test]
fn minutes_gather_before_they_are_read() {
    let behind = |count: i64| watched().with(|case| case.evidence.judged_through -= minutes(count));
    for (count, due) in [(0, false), (4, false), (5, true), (90, true)] {
        let case = behind(count);
        assert_eq!(
            after::is_due(&case.deployment, &case.evidence, case.now),
            due,
            "{count}"
        );
    }
    let over = watched().with(|case| {
        case.deployment.state.watch.as_mut().expect("a watch").until = case.now;
    });
    assert!(after::is_due(&over.deployment, &over.evidence, over.now));
}
