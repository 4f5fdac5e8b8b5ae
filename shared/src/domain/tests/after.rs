//! After a completion: what is told, when, and how the watch ends.

use super::builders::*;
use crate::domain::decide::{Decision, after};
use crate::domain::deployment::Watch;
use crate::domain::history::{Name, Severity};
use crate::domain::invariants::violations;
use crate::domain::observation::{EndpointReading, Observation};
use crate::domain::quantity::Span;
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
        });
    })
}

#[track_caller]
fn look(case: &Case, seen: &Observation, successor: Option<&str>) -> Decision {
    let (deployment, evidence) = (&case.deployment, &case.evidence);
    assert_eq!(violations(deployment), Vec::<String>::new());
    let decision = after::look_after(deployment, evidence, seen, successor, case.now);
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
        assert!(
            decision.entries[0].reason.contains(says),
            "{}",
            decision.entries[0].reason
        );
    }
    let unread = look(&watched(), &reading(unread()), None);
    assert!(unread.next.state.watch.is_some() && unread.entries.is_empty());
    let kept = watched().with(|case| case.deployment.terms.cleanup.keep_old_variant = true);
    assert!(
        look(&kept, &seen(split(100)), None)
            .next
            .state
            .watch
            .is_some()
    );
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
