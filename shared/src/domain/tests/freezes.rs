//! A freeze stops what goes up, and nothing else; a hotfix goes on through it and through windows.

use super::builders::*;
use crate::domain::freeze::{Freeze, FreezeReading};
use crate::domain::history::Name;
use crate::domain::observation::Observation;
use crate::domain::state::{Phase, Status};

fn frozen() -> FreezeReading {
    FreezeReading::Frozen(Freeze {
        reason: "a sale".to_owned(),
        by: "anna".to_owned(),
        at: now() - minutes(60),
        until: None,
    })
}

fn unread() -> FreezeReading {
    FreezeReading::Failed {
        reason: "GetItem: throttled".to_owned(),
    }
}

fn under(freeze: FreezeReading, share: u8) -> Observation {
    seen(split(share)).freeze(freeze)
}

#[test]
fn nothing_goes_up_under_a_freeze_or_an_unread_one() {
    for (freeze, says) in [
        (frozen(), "frozen by anna"),
        (unread(), "could not be read"),
    ] {
        let held = goes_on(Phase::Holding).target(30).says(says);
        let told = held.tells(&[Name::Held]);
        check(&Case::baking(30), &under(freeze.clone(), 30), &told);
        let waits = goes_on(Phase::Scaling).weight(40).target(50).quietly();
        let scaled = Case::scaling(40, 50);
        check(&scaled, &under(freeze.clone(), 40), &waits);
        let soaks = goes_on(Phase::Soaking).weight(100).quietly().says(says);
        let soaked = Case::soaking();
        check(&soaked, &under(freeze, 100), &soaks);
    }
    let clear = under(FreezeReading::Clear, 30);
    check(
        &Case::baking(30),
        &clear,
        &goes_on(Phase::Scaling).target(40),
    );
}

#[test]
fn what_takes_back_goes_on_under_a_freeze() {
    let red = Case::baking(30).red("error_rate.limit", 2);
    let decision = check(&red, &under(frozen(), 30), &rolls_back());
    assert!(!decision.goes_up_from(&red.deployment), "nobody is asked");
    let past = Case::holding(30).with(|case| {
        case.deployment.state.clock.used = case.deployment.terms.plan.deadline;
    });
    check(&past, &under(frozen(), 30), &rolls_back());
}

#[test]
fn a_hotfix_waits_for_no_freeze_and_no_window() {
    let hotfix = |case: Case| {
        case.with(|case| {
            case.deployment.terms.clearance.hotfix = Some("a leak".to_owned());
        })
    };
    let closed = Case::baking(30).change_windows(&["Tue-Thu 09:00-17:00 UTC"]);
    let goes = goes_on(Phase::Scaling).target(40);
    check(&hotfix(closed), &under(frozen(), 30), &goes);
    check(&hotfix(Case::baking(30)), &under(unread(), 30), &goes);
}

#[test]
fn the_deadline_stands_still_while_frozen() {
    let running = |freeze| {
        let case = Case::holding(30);
        let seen = under(freeze, 30);
        let decided =
            crate::domain::decide::decide(&case.deployment, &case.evidence, &seen, case.now);
        let clock = decided.expect("a decision").next.state.clock;
        clock.running_since.is_some()
    };
    assert!(!running(frozen()));
    assert!(running(unread()), "what is not known stops no clock");
}

/// Where somebody has to be asked: whatever brings the canary more, and what removes the way back.
#[test]
fn only_what_goes_up_asks() {
    let asked = |before: &Case, view| {
        let seen = seen(view);
        let decided =
            crate::domain::decide::settle(&before.deployment, &before.evidence, &seen, before.now);
        let decision = decided.expect("a decision");
        assert_ne!(decision.next.state.status, Status::RollingBack);
        decision.goes_up_from(&before.deployment)
    };
    assert!(asked(&Case::baking(30), split(30)));
    assert!(asked(&Case::scaling(40, 50), split(40)));
    assert!(asked(&Case::soaking(), split(100)));
    assert!(
        !asked(&Case::shifting(20, 30), split(30)),
        "it is there already"
    );
    assert!(!asked(&Case::retreating(40, 30), split(30)));
    let bakes = Case::baking(30).with(|case| case.deployment.state.stage_since = case.now);
    assert!(!asked(&bakes, split(30)));
}

#[test]
fn a_freeze_ends_by_itself_at_its_time() {
    let until = |until| Freeze {
        reason: "a sale".to_owned(),
        by: "anna".to_owned(),
        at: now(),
        until,
    };
    assert!(until(None).stands_at(now() + minutes(1_000_000)));
    let hour = until(Some(now() + minutes(60)));
    assert!(hour.stands_at(now() + minutes(59)) && !hour.stands_at(now() + minutes(60)));
    assert!(hour.to_string().contains(" until "), "{hour}");
}
