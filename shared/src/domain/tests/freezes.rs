//! A freeze stops what goes up, and nothing else; a hotfix goes on through it and through windows.

use super::builders::*;
use crate::domain::command::Command;
use crate::domain::decide::effect_after;
use crate::domain::deployment::Deployment;
use crate::domain::due::{Effect, due};
use crate::domain::freeze::{Freeze, FreezeReading};
use crate::domain::history::Name;
use crate::domain::observation::Observation;
use crate::domain::state::{Phase, Status};

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
        let soaks = goes_on(Phase::Soaking).weight(100).says(says);
        let told = soaks.tells(&[Name::Held]);
        let soaked = Case::soaking();
        check(&soaked, &under(freeze, 100), &told);
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

/// A raise that was committed before the freeze, a share that somebody else lowered, and the update
/// that removes the old variant: what is not made yet is not made.
#[test]
fn what_was_committed_before_waits_for_the_freeze() {
    let drifted = Case::retreating(40, 30).with(|case| {
        let state = &mut case.deployment.state;
        state.drift = Some("the canary's share is 5.00 %".to_owned());
        state.see_share(0.05, state.phase_since);
    });
    for (case, view) in [
        (Case::shifting(20, 30), split(20)),
        (drifted, split(5)),
        (Case::finalizing(), split(100)),
    ] {
        let open = seen(view.clone());
        let decide = |case: &Case, seen: &Observation| {
            let (deployment, evidence) = (&case.deployment, &case.evidence);
            crate::domain::decide::settle(deployment, evidence, seen, case.now).expect("a decision")
        };
        let decision = decide(&case, &open);
        assert!(!decision.goes_up_from(&case.deployment), "it did before");
        assert!(decision.asks_for_freeze(&case.deployment, &open.endpoint, case.now));
        for (freeze, says) in [
            (frozen(), "frozen by anna"),
            (unread(), "could not be read"),
        ] {
            let under = open.clone().freeze(freeze.clone());
            let held = decide(&case, &under);
            let phase = held.next.state.phase;
            assert_eq!(phase, case.deployment.state.phase);
            assert!(
                held.next.state.reason.contains(says),
                "{phase}: {}",
                held.next.state.reason
            );
            let let_through = |deployment: &Deployment| {
                let due = effect_after(&held, &under.endpoint, case.now).expect("something is due");
                freeze.let_through(due, deployment, &under.endpoint)
            };
            assert_eq!(let_through(&held.next), None, "{phase}");
            let mut hotfix = held.next.clone();
            hotfix.terms.clearance.hotfix = Some("a leak".to_owned());
            assert!(let_through(&hotfix).is_some(), "{phase}");
        }
        let clear = FreezeReading::Clear;
        let due = effect_after(&decision, &open.endpoint, case.now).expect("something is due");
        let due = clear.let_through(due, &case.deployment, &open.endpoint);
        assert!(due.is_some());
    }
}

/// What takes from the canary is let through, whatever is known of a freeze.
#[test]
fn what_goes_down_waits_for_no_freeze() {
    let case = Case::retreating(40, 30);
    let seen = under(frozen(), 40);
    let due = due(&case.deployment, &case.evidence, &seen.endpoint, case.now);
    let due = due.expect("a step down is due");
    let through = frozen().let_through(due.clone(), &case.deployment, &seen.endpoint);
    assert_eq!(through, Some(due));
    for effect in [
        Effect::TakeBack,
        Effect::Tidy,
        Effect::Deploy {
            config: CANARY_CONFIG.to_owned(),
        },
        Effect::Deploy {
            config: FORMER.to_owned(),
        },
    ] {
        assert!(!effect.goes_up(&case.deployment, &seen.endpoint));
    }
    let unseen = reading(super::builders::unread()).endpoint;
    let shift = Effect::Shift { weight: weight(5) };
    assert!(shift.goes_up(&case.deployment, &unseen), "nobody knows");
}

/// Where the weights were moved, the record does not tell what an order would do to them.
#[test]
fn an_order_for_a_share_counts_as_a_raise_while_the_weights_have_drifted() {
    let raises =
        |case: &Case, percent| Command::SetWeight(weight(percent)).raises(&case.deployment);
    let case = Case::baking(30);
    assert!(raises(&case, 31) && !raises(&case, 30) && !raises(&case, 5));
    let drifted = case.with(|case| {
        case.deployment.state.drift = Some("the canary's share is 0.00 %".to_owned());
    });
    assert!(raises(&drifted, 30) && raises(&drifted, 5));
    for command in [Command::Pause, Command::Rollback, Command::Cancel] {
        assert!(!command.raises(&drifted.deployment));
    }
}

/// Who may not lift a freeze can't end it by another, nor take its place.
#[test]
fn a_freeze_that_stands_is_prolonged_and_keeps_who_ordered_it() {
    let order = |by: &str, reason: &str, until| Freeze {
        reason: reason.to_owned(),
        by: by.to_owned(),
        at: now(),
        until,
        prolonged: None,
    };
    let hour = Some(now() + minutes(60));
    let day = Some(now() + minutes(24 * 60));
    let (short, long) = (order("anna", "a sale", hour), order("ben", "holidays", day));
    let endless = order("chief", "an audit", None);
    assert!(short.ends_before(&long) && long.ends_before(&endless));
    assert!(!long.ends_before(&short) && !endless.ends_before(&long));
    assert!(!endless.ends_before(&endless) && !short.ends_before(&short));
    let longer = short.prolonged_by(long.clone());
    assert_eq!(
        (&*longer.by, &*longer.reason, longer.until),
        ("anna", "a sale", day)
    );
    let told = longer.to_string();
    assert!(
        told.contains(": a sale; prolonged by ben at ") && told.ends_with(": holidays"),
        "{told}"
    );
    assert_eq!(
        longer.prolonged_by(short.clone()).prolonged,
        longer.prolonged
    );
    assert_eq!(
        short.prolonged_by(short.clone()),
        short,
        "once more is nothing new"
    );
    assert_eq!(longer.prolonged_by(endless).until, None);
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

/// A freeze over what waits for something else too stops the clock as well.
#[test]
fn what_waits_asks_and_what_bakes_does_not() {
    let asks = |case: &Case| {
        let seen = seen(split(30));
        let decided =
            crate::domain::decide::settle(&case.deployment, &case.evidence, &seen, case.now);
        let decision = decided.expect("a decision");
        decision.asks_for_freeze(&case.deployment, &seen.endpoint, case.now)
    };
    let needs = |case: Case| case.with(|case| case.evidence.stage_samples = 0);
    assert!(asks(&needs(Case::holding(30))), "too few requests");
    assert!(
        asks(&needs(Case::baking(30))),
        "and from the first minute on"
    );
    let bakes = Case::baking(30).with(|case| case.deployment.state.stage_since = case.now);
    assert!(!asks(&bakes));
}

#[test]
fn a_freeze_ends_by_itself_at_its_time() {
    let until = |until| Freeze {
        reason: "a sale".to_owned(),
        by: "anna".to_owned(),
        at: now(),
        until,
        prolonged: None,
    };
    assert!(until(None).stands_at(now() + minutes(1_000_000)));
    let hour = until(Some(now() + minutes(60)));
    assert!(hour.stands_at(now() + minutes(59)) && !hour.stands_at(now() + minutes(60)));
    assert!(hour.to_string().contains(" until "), "{hour}");
}
