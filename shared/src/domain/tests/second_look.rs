//! What a fresh reader of the verdict found, held: pauses that a raise outlived, steps back that fed
//! on themselves, windows that grew past what was asked for, breaches of the innocent.

use std::collections::BTreeMap;

use super::builders::*;
use crate::domain::baseline::{Baseline, Past};
use crate::domain::comparison::{Counts, Settings, Signal};
use crate::domain::decide::{Decision, decide, settle};
use crate::domain::evidence::GuardState;
use crate::domain::guard;
use crate::domain::history::Name;
use crate::domain::judge::last_judgeable;
use crate::domain::observation::{ArmMinute, Metrics, Series};
use crate::domain::plan::Preset;
use crate::domain::policy::{Action, Consequence, Grade, Policy};
use crate::domain::signal::{CLIENT_ERRORS, ERRORS};
use crate::domain::state::{Interrupted, Phase, Status};

fn compared(at: u8) -> Case {
    Case::baking(at).with(|case| case.deployment.terms.policy.guards.clear())
}
fn consequence(case: &mut Case, signal: &str, consequence: Consequence) {
    let rule = case
        .deployment
        .terms
        .policy
        .signals
        .iter_mut()
        .find(|r| r.name == signal)
        .unwrap();
    rule.consequence = consequence;
}
fn after_at(
    mut case: Case,
    share: u8,
    count: i64,
    canary: &ArmMinute,
    production: &ArmMinute,
) -> Decision {
    let metrics = last_minutes(&mut case, count, Some(canary), Some(production));
    let seen = seen(split(share)).metrics(metrics);
    settle(&case.deployment, &case.evidence, &seen, case.now).unwrap()
}

#[test]
fn a_raise_that_landed_during_a_pause_is_no_fault_of_routing() {
    let mut case = Case::paused(Interrupted::Raise, 20, 30)
        .with(|case| case.deployment.terms.policy.guards.clear());
    let decision = after_at(case.clone(), 30, 8, &arm(3000, 6), &arm(7000, 14));
    // resumed
    case.deployment = decision.next;
    case.evidence = decision.evidence;
    let r = crate::domain::command::apply(
        &case.deployment,
        &case.evidence,
        crate::domain::command::Command::Resume,
        "me",
        None,
        case.now,
    )
    .unwrap();
    case.deployment = r.next;
    case.evidence = r.evidence;
    for _ in 0..10 {
        let decision = after_at(case.clone(), 30, 30, &arm(3000, 6), &arm(7000, 14));
        case.deployment = decision.next;
        case.evidence = decision.evidence;
    }
    assert_ne!(case.deployment.state.phase, Phase::Scaling);
}

#[test]
fn two_guards_that_step_back_step_back_once() {
    let mut case = Case::baking(30).with(|case| {
        case.deployment.terms.policy.guards.truncate(2);
        for guard in &mut case.deployment.terms.policy.guards {
            guard.consequence = Consequence::of(Grade::Medium);
        }
        for signal in &mut case.deployment.terms.policy.signals {
            signal.consequence.muted = true;
        }
    });
    let decision = after_at(case.clone(), 30, 4, &arm(3000, 600), &arm(7000, 14));
    assert_eq!(
        (decision.next.state.phase, decision.next.state.target),
        (Phase::Retreating, weight(20))
    );
    case.deployment = decision.next;
    case.evidence = decision.evidence;
    let decision = settle(&case.deployment, &case.evidence, &seen(split(20)), case.now).unwrap();
    assert_eq!(
        (decision.next.state.phase, decision.next.state.step_backs),
        (Phase::Baking, 1)
    );
}

#[test]
fn minutes_served_at_the_old_share_do_not_step_back_again() {
    let mut case =
        compared(30).with(|case| consequence(case, ERRORS, Consequence::of(Grade::Medium)));
    let decision = after_at(case.clone(), 30, 6, &arm(3000, 60), &arm(7000, 14));
    assert_eq!(decision.next.state.target, weight(20));
    case.deployment = decision.next;
    case.evidence = decision.evidence;
    // the three minutes not yet judged at that pass, and one of the retreat itself
    let decision = after_at(case.clone(), 30, 4, &arm(3000, 60), &arm(7000, 14));
    case.deployment = decision.next;
    case.evidence = decision.evidence;
    let decision = settle(&case.deployment, &case.evidence, &seen(split(20)), case.now).unwrap();
    assert_eq!(
        (decision.next.state.phase, decision.next.state.step_backs),
        (Phase::Baking, 1)
    );
}

fn minutes_of(case: &mut Case, pairs: &[(ArmMinute, ArmMinute)]) -> Metrics {
    let through = last_judgeable(case.now);
    let from = through - minutes(i64::try_from(pairs.len()).unwrap() - 1);
    case.evidence.judged_through = from - minutes(1);
    let s = |f: &dyn Fn(&(ArmMinute, ArmMinute)) -> ArmMinute| {
        Series::Read(
            pairs
                .iter()
                .enumerate()
                .map(|(index, pair)| (from + minutes(i64::try_from(index).unwrap()), f(pair)))
                .collect(),
        )
    };
    Metrics {
        from,
        through,
        canary: s(&|p| p.0.clone()),
        production: s(&|p| p.1.clone()),
        unread: BTreeMap::new(),
    }
}

#[test]
fn six_minutes_of_a_common_incident_at_low_traffic_roll_nothing_back() {
    let mut case = Case::baking(10).with(|case| {
        case.deployment.terms.policy.guards.truncate(1);
        case.deployment.state.stage_since -= minutes(600);
    });
    let mut pairs = vec![(arm(10, 0), arm(90, 0)); 32];
    pairs.extend(vec![(arm(10, 1), arm(90, 9)); 6]);
    let metrics = minutes_of(&mut case, &pairs);
    let decision = decide(
        &case.deployment,
        &case.evidence,
        &seen(split(10)).metrics(metrics),
        case.now,
    )
    .unwrap();
    assert_eq!(decision.next.state.status, Status::InProgress);
}

#[test]
fn production_unread_is_no_fault_of_routing() {
    let mut case = compared(10);
    let mut metrics = last_minutes(&mut case, 20, Some(&arm(10, 0)), None);
    metrics.production = Series::Failed {
        reason: "PartialData".to_owned(),
    };
    let decision = decide(
        &case.deployment,
        &case.evidence,
        &seen(split(10)).metrics(metrics),
        case.now,
    )
    .unwrap();
    case.deployment = decision.next;
    case.evidence = decision.evidence;
    let mut good = 0;
    let mut told = false;
    loop {
        let decision = after_at(case.clone(), 10, 1, &arm(10, 0), &arm(90, 0));
        told |= decision.entries.iter().any(|e| e.event == Name::Skewed);
        if good == 0 {
            println!(
                "{:?}",
                decision
                    .entries
                    .iter()
                    .map(|e| (e.event, e.reason.clone()))
                    .collect::<Vec<_>>()
            );
        }
        case.evidence = decision.evidence;
        good += 1;
        if !case.evidence.split.is_refuted() || good > 3000 {
            break;
        }
    }
    assert!(!told);
}

fn found_after(longest: u64, healthy: u64) -> Option<u64> {
    let past = Counts::new(1_440_000, 2_880).unwrap();
    let settings = Settings::new(1.25, longest, past, 0.1).unwrap();
    let mut signal = Signal::default();
    let c = |n, x| Counts::new(n, x).unwrap();
    for _ in 0..healthy {
        signal.take_in(&settings, c(1000, 2), c(9000, 18));
    }
    (1..=3000).find(|_| {
        signal.take_in(&settings, c(1000, 50), c(9000, 18));
        signal.ln_e() - 3f64.ln() >= 100f64.ln()
    })
}

#[test]
fn a_change_after_the_deadline_is_found() {
    for (longest, healthy) in [(240, 600), (120, 600), (240, 1_680), (5_760, 7_200)] {
        let found = found_after(longest, healthy);
        assert!(
            found.is_some_and(|minutes| minutes < 10),
            "{found:?} after {healthy} of {longest}"
        );
    }
}

#[test]
fn the_emergency_guard_acts_at_once() {
    let mut past = Past::default();
    for m in 0..1440u64 {
        past.take_in(
            Counts::new(
                10_000,
                if m % 120 < 10 {
                    200 + m % 3
                } else {
                    20 + m % 5
                },
            )
            .unwrap(),
        );
    }
    assert!(past.bursts_average_out() > 60);
    let mut baseline = Baseline::default();
    baseline.signals.insert(ERRORS.to_owned(), past);
    let policy = Policy::preset(Preset::Playbook);
    let g = policy
        .guards
        .iter()
        .find(|g| g.name == "error_rate.emergency")
        .unwrap();
    let size = baseline.window_size(g, 500);
    for rate in [60u64, 100, 200, 500] {
        let mut state = GuardState::default();
        let at = (1..500).find(|_| {
            guard::take_in(g, &mut state, &arm(1000, rate), Some(&arm(9000, 18)), size);
            guard::has_tripped(g, &state)
        });
        assert!(at.unwrap() <= 10);
    }
}

#[test]
fn a_signal_without_evidence_is_not_announced() {
    let case = compared(10).with(|case| {
        consequence(
            case,
            ERRORS,
            Consequence {
                on_breach: Action::Hold,
                ..Consequence::default()
            },
        );
        consequence(case, CLIENT_ERRORS, Consequence::of(Grade::Low));
    });
    let decision = after_at(case, 10, 6, &arm(1000, 20), &arm(9000, 18));
    let e: Vec<_> = decision
        .entries
        .iter()
        .filter(|e| e.event == Name::Breached)
        .map(|e| e.reason.clone())
        .collect();
    assert_eq!(e.len(), 1);
}

#[test]
fn a_canary_that_keeps_the_limit_may_be_promoted_off_a_failing_production() {
    let case = Case::baking(50).with(|case| {
        case.deployment.terms.policy.guards.truncate(1);
    });
    let decision = after_at(case.clone(), 50, 10, &arm(1000, 0), &arm(1000, 100));
    let r = crate::domain::command::apply(
        &decision.next,
        &decision.evidence,
        crate::domain::command::Command::Promote { full: false },
        "me",
        None,
        case.now,
    );
    assert!(r.is_ok());
}

#[test]
fn a_hold_signal_that_recovered_lets_go() {
    let mut case = compared(10).with(|case| {
        consequence(
            case,
            ERRORS,
            Consequence {
                on_breach: Action::Hold,
                ..Consequence::default()
            },
        );
    });
    let decision = after_at(case.clone(), 10, 8, &arm(1000, 20), &arm(9000, 0));
    case.deployment = decision.next;
    case.evidence = decision.evidence;
    for _ in 0..40 {
        case.now += minutes(36);
        let decision = after_at(case.clone(), 10, 36, &arm(1000, 0), &arm(9000, 0));
        case.evidence = decision.evidence;
        case.deployment = decision.next;
    }
    assert_ne!(case.deployment.state.phase, Phase::Holding);
}
