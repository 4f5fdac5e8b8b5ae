//! A raise that was committed and is not made: whoever holds it, people are told once, and the deadline
//! says it too.

use super::builders::*;
use crate::domain::deployment::{Busy, Clock};
use crate::domain::due::{Effect, due};
use crate::domain::history::Name;
use crate::domain::observation::EndpointStatus::{SystemUpdating, Updating};
use crate::domain::observation::{AlarmReading, Observation};
use crate::domain::quantity::Span;
use crate::domain::state::Phase;

fn lasting(case: Case, ago: i64) -> Case {
    case.with(|case| case.deployment.state.phase_since = case.now - minutes(ago))
}

/// What the one line says.
#[track_caller]
fn stalled(case: &Case, seen: &Observation) -> String {
    let phase = case.deployment.state.phase;
    let told = check(case, seen, &goes_on(phase).tells(&[Name::Stalled]));
    told.entries[0].reason.clone()
}

fn denied() -> AlarmReading {
    AlarmReading::Failed {
        reason: "AccessDenied".to_owned(),
    }
}

#[test]
fn a_raise_that_aws_accepts_and_does_not_make_is_told_once() {
    let scaling = |ago| lasting(Case::scaling(30, 40), ago);
    let shifting = |ago| lasting(Case::shifting(20, 30), ago);
    let few = || split(30).canary_instances(1, 1);
    let full = "no capacity for ml.c6i.large";
    let rows = [
        (
            scaling(30),
            few().failed_because(full),
            "Scaling does not come to its end: the endpoint is in service, and the canary has 1 of 2 instances: no capacity for ml.c6i.large",
        ),
        (
            scaling(30),
            split(30).canary_instances(1, 2),
            "the canary has 1 of 2 instances: SageMaker gives no reason",
        ),
        (
            shifting(30),
            split(20).failed_because(full),
            "Shifting does not come to its end: the endpoint is in service, and the canary has 20.00 %, not 30 %: no capacity",
        ),
    ];
    for (case, view, says) in rows {
        let reason = stalled(&case, &seen(view.clone()));
        assert!(reason.contains(says), "{reason}");
        let told = case.with(|case| case.deployment.state.stall_told = true);
        let again = goes_on(told.deployment.state.phase).quietly();
        check(&told, &seen(view), &again);
    }
    let waits = |phase| goes_on(phase).quietly();
    check(&scaling(29), &seen(few()), &waits(Phase::Scaling));
    check(&shifting(29), &seen(split(20)), &waits(Phase::Shifting));
    // While the endpoint changes, that is told by itself.
    let changing = seen(few().is(Updating));
    check(&scaling(60), &changing, &waits(Phase::Scaling));
    // It goes on, and nothing more is said of it.
    let told = scaling(60).with(|case| case.deployment.state.stall_told = true);
    let on = goes_on(Phase::Shifting).tells(&[Name::Shifting]);
    let on = check(&told, &seen(split(30)), &on).next.state;
    assert!(!on.stall_told, "the next phase has a stall of its own");
}

#[test]
fn a_raise_that_is_barred_is_told_with_what_bars_it() {
    let silent = |case: &mut Case| case.evidence.silent = true;
    let rows = [
        (
            lasting(Case::scaling(30, 40), 30),
            seen(split(30)).alarms(denied()),
            "holding: the policy's alarms could not be read: AccessDenied",
        ),
        (
            lasting(Case::scaling(30, 40), 30).with(silent),
            seen(split(30)),
            "holding: neither model has had a request in the last minute",
        ),
        (
            lasting(Case::scaling(30, 40), 30),
            reading(unread()),
            "the endpoint could not be read: ThrottlingException",
        ),
        (
            lasting(Case::shifting(20, 30), 30),
            seen(split(20)).alarms(denied()),
            "holding: the policy's alarms could not be read: AccessDenied",
        ),
        (
            lasting(Case::shifting(20, 30), 30).with(silent),
            seen(split(20)),
            "holding: neither model has had a request in the last minute",
        ),
    ];
    for (case, seen, says) in rows {
        let reason = stalled(&case, &seen);
        assert!(reason.contains(says), "{reason}");
    }
}

/// Closed hours, a freeze and SageMaker's own maintenance are no stall, and none counts before their end.
#[test]
fn what_people_know_of_is_no_stall() {
    let closed = ["Tue-Thu 09:00-17:00 UTC"];
    let shifting = || lasting(Case::shifting(20, 30), 600);
    let rows = [
        (
            lasting(Case::scaling(30, 40), 600).change_windows(&closed),
            seen(split(30)),
        ),
        (
            lasting(Case::scaling(30, 40), 600),
            seen(split(30)).freeze(frozen()),
        ),
        (
            lasting(Case::scaling(30, 40), 600),
            seen(split(30).canary_instances(1, 1).is(SystemUpdating)),
        ),
        (shifting().change_windows(&closed), seen(split(20))),
        (shifting(), seen(split(20)).freeze(frozen())),
        (shifting(), seen(split(20).is(SystemUpdating))),
    ];
    for (case, held) in rows {
        let phase = case.deployment.state.phase;
        let waits = goes_on(phase).quietly();
        let next = check(&case, &held, &waits).next;
        assert_eq!(next.state.waited_until, Some(case.now), "{phase}");
    }
    // The first minute in which the raise is due again is not the end of ten hours.
    let after = |ago| {
        let waited = move |case: &mut Case| {
            case.deployment.state.waited_until = Some(case.now - minutes(ago));
        };
        shifting().with(waited)
    };
    let waits = goes_on(Phase::Shifting).quietly();
    check(&after(29), &seen(split(20)), &waits);
    stalled(&after(30), &seen(split(20)));
    // Instances come out of hours, too, and are missed there.
    let lacks = lasting(Case::scaling(30, 40), 30).change_windows(&closed);
    stalled(&lacks, &seen(split(30).canary_instances(1, 1)));
}

#[test]
fn the_deadline_says_what_held_a_raise() {
    let used = |case: Case| {
        case.with(|case| {
            case.deployment.state.clock = Clock {
                used: Span::from_mins(359),
                running_since: Some(case.now - minutes(1)),
            };
        })
    };
    let scaling = || used(Case::scaling(20, 30));
    let few = split(20).canary_instances(1, 1);
    let no_capacity = "passed with the canary at 20 %; the endpoint is in service, and the canary has 1 of 2 instances: no capacity";
    let ended = rolls_back().says(no_capacity);
    check(&scaling(), &seen(few.failed_because("no capacity")), &ended);
    let unread = "passed with the canary at 20 %; holding: the policy's alarms could not be read";
    let ended = rolls_back().says(unread);
    check(&scaling(), &seen(split(20)).alarms(denied()), &ended);
    let shifting = used(Case::shifting(20, 30));
    let ended = rolls_back().says(unread);
    check(&shifting, &seen(split(20)).alarms(denied()), &ended);
    let busy = shifting.with(|case| {
        case.deployment.state.busy = Some(Busy {
            seen_at: case.now,
            system_updating: Span::ZERO,
            updating: Span::from_mins(300),
            told: true,
        });
    });
    let ended = rolls_back().says("; the endpoint takes no updates: 5h of updates");
    check(&busy, &seen(split(20).is(Updating)), &ended);
    let free = check(&scaling(), &seen(split(20)), &rolls_back())
        .next
        .state;
    assert!(free.reason.ends_with("at 20 %"), "{}", free.reason);
}

/// The record of the raise stands; whoever is woken for it finds in the evidence that the alarms are unread.
#[test]
fn a_committed_raise_is_not_due_while_the_alarms_are_unread() {
    let case = Case::shifting(20, 30);
    let waits = goes_on(Phase::Shifting).quietly();
    let held = seen(split(20)).alarms(denied());
    let held = check(&case, &held, &waits.clone().nothing_due());
    let endpoint = seen(split(20)).endpoint;
    assert_eq!(due(&held.next, &held.evidence, &endpoint, case.now), None);
    let raise = Effect::Shift { weight: weight(30) };
    let read = case.with(|case| case.evidence = held.evidence);
    let clear = seen(split(20)).alarms(AlarmReading::Firing(Vec::new()));
    let read = check(&read, &clear, &waits.due(raise));
    assert_eq!(read.evidence.alarms_unread, None);
}
