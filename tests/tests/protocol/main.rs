//! The protocol around the rules, checked exhaustively within bounds: workers that load, look,
//! decide, commit and call in any order, vanish anywhere and look at what is long over; calls that
//! land late; an endpoint that takes its time, refuses and comes back; an operator who orders at
//! any moment. The rules are the project's own ([`steps`]); [`world`] says what a state is and what
//! is left out; [`properties`] what must hold; [`variants`] what must be found out.
//!
//! The plan is 50 % and 100 %, with a minute for each bake, soak and cleanup, a minute for a call to
//! land and two for a lease. At most one call at a time is under way whose worker is gone. The
//! bounds of each check stand in its name, and it prints what it saw:
//! `cargo test -p tests --test protocol -- --nocapture`.
//!
//! Left out: drift by hand, unreadable endpoints and metrics, approvals, windows, limits of many
//! minutes. The tests of the rules and the simulated rollouts have those.

mod fair;
mod outside;
mod properties;
mod steps;
mod variants;
mod workers;
mod world;

use std::time::Instant;

use shared::domain::command::Command;
use shared::domain::state::Phase;
use stateright::{Checker, Expectation, HasDiscoveries, Model};

use self::properties as promise;
use self::steps::Rollout;
use self::variants::Variant;
use self::world::Left;

/// What one check found.
struct Found {
    /// The broken promises, each with the steps that lead there.
    broken: Vec<(&'static str, Vec<steps::Action>)>,
    /// What is reachable of what should be.
    reached: Vec<&'static str>,
}

fn check(name: &str, rollout: Rollout, until: HasDiscoveries) -> Found {
    let started = Instant::now();
    let expectations: Vec<_> = rollout
        .properties()
        .into_iter()
        .map(|property| (property.name, property.expectation))
        .collect();
    let is_failure = |name: &str| {
        expectations
            .iter()
            .any(|(known, expectation)| *known == name && *expectation != Expectation::Sometimes)
    };
    let checker = rollout.checker().threads(1).finish_when(until).spawn_bfs();
    let checker = checker.join();
    let mut found = Found {
        broken: Vec::new(),
        reached: Vec::new(),
    };
    for (property, path) in checker.discoveries() {
        if is_failure(property) {
            found.broken.push((property, path.into_actions()));
        } else {
            found.reached.push(property);
        }
    }
    println!(
        "{name}: {} states, {} of them unique, {} deep, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        started.elapsed().as_secs_f64()
    );
    for (property, actions) in &found.broken {
        println!("  broken after {} steps: {property}", actions.len());
    }
    found
}

/// Every state within the bounds keeps every promise, and the states that matter are among them.
fn holds(name: &str, rollout: Rollout, reaches: &[&str]) {
    let promises = rollout.properties().into_iter();
    let failures = promises
        .filter(|property| property.expectation == Expectation::Always)
        .map(|property| property.name)
        .collect();
    let found = check(name, rollout, HasDiscoveries::AnyOf(failures));
    assert!(found.broken.is_empty(), "{:#?}", found.broken);
    for reached in reaches {
        assert!(found.reached.contains(reached), "{reached}");
    }
}

#[test]
fn one_worker_at_a_time_keeps_every_promise_however_often_anything_happens() {
    let rollout = Rollout {
        workers: 1,
        left: Left::default(),
        ..Rollout::as_built()
    };
    holds("one worker, no bound", rollout, &promise::REACHED);
}

#[test]
fn two_workers_at_once_keep_every_promise() {
    let rollout = Rollout {
        orders: vec![Command::Rollback],
        ..Rollout::as_built()
    };
    let reached: Vec<&str> = promise::REACHED
        .into_iter()
        .filter(|name| *name != promise::CANCELLED)
        .collect();
    holds(
        "two workers, 4 invocations and 2 crashes from each rest",
        rollout,
        &reached,
    );
}

#[test]
fn two_workers_keep_every_promise_under_every_order() {
    let rollout = Rollout {
        left: Left {
            invocations: Some(3),
            crashes: Some(0),
        },
        ..Rollout::as_built()
    };
    holds(
        "two workers, every order, 3 invocations from each rest",
        rollout,
        &[],
    );
}

#[test]
fn minutes_that_are_judged_once_are_never_raised_past() {
    let rollout = Rollout {
        judges_minutes: true,
        left: Left {
            invocations: Some(3),
            crashes: Some(0),
        },
        orders: vec![Command::Promote { full: false }],
        ..Rollout::as_built()
    };
    holds("judged minutes, 3 invocations from each rest", rollout, &[]);
}

#[test]
fn a_way_down_by_steps_keeps_every_promise() {
    let rollout = Rollout {
        judges_minutes: true,
        goes_down: true,
        left: Left {
            invocations: Some(3),
            crashes: Some(0),
        },
        orders: vec![Command::Resume],
        ..Rollout::as_built()
    };
    holds(
        "down by steps, 3 invocations from each rest",
        rollout,
        &[promise::GOES_DOWN],
    );
}

#[test]
fn what_is_made_before_the_lease_outlives_the_deployment() {
    let rollout = Rollout {
        variant: Variant::PrepareFirst,
        begins_in: Some(Phase::Provisioning),
        orders: vec![Command::Cancel],
        ..Rollout::as_built()
    };
    is_broken("PrepareFirst", rollout, promise::NO_CONFIG_LEFT);
}

#[test]
fn what_is_removed_before_the_lease_is_gone_after_the_end() {
    let rollout = Rollout {
        variant: Variant::PrepareFirst,
        begins_in: Some(Phase::Soaking),
        left: Left {
            invocations: Some(6),
            crashes: Some(0),
        },
        orders: Vec::new(),
        ..Rollout::as_built()
    };
    is_broken("PrepareFirst", rollout, promise::SCALING);
}

/// This promise is broken; the shortest way there is shown.
fn is_broken(name: &str, rollout: Rollout, promise: &'static str) {
    let any = [promise].into_iter().collect();
    let found = check(name, rollout, HasDiscoveries::AnyOf(any));
    let trace = found.broken.iter().find(|(broken, _)| *broken == promise);
    let (_, actions) = trace.unwrap_or_else(|| panic!("{name} keeps {promise:?}"));
    for action in actions {
        println!("    {action:?}");
    }
}

/// A protocol with one rule left out breaks this promise, from this phase on or from any.
fn is_found_out(variant: Variant, begins_in: Option<Phase>, promise: &'static str) {
    let rollout = Rollout {
        variant,
        begins_in,
        judges_minutes: variant == Variant::AnyWatermark,
        orders: vec![Command::Rollback],
        left: Left {
            invocations: Some(5),
            crashes: Some(0),
        },
        ..Rollout::as_built()
    };
    is_broken(&format!("{variant:?}"), rollout, promise);
}

#[test]
fn a_raise_without_a_lease_is_found_out() {
    is_found_out(Variant::RaiseUnleased, None, promise::STAYS_BACK);
}

#[test]
fn a_call_before_its_record_is_found_out() {
    is_found_out(Variant::CallFirst, None, promise::NOTHING_LANDS);
}

#[test]
fn an_end_under_a_lease_is_found_out() {
    is_found_out(
        Variant::EndUnderLease,
        Some(Phase::Provisioning),
        promise::NOTHING_LANDS,
    );
}

#[test]
fn a_lease_shorter_than_a_call_is_found_out() {
    is_found_out(Variant::ShortLease, None, promise::STAYS_BACK);
}

#[test]
fn an_end_on_the_strength_of_an_answer_is_found_out() {
    is_found_out(
        Variant::TrustAnswers,
        Some(Phase::Soaking),
        promise::STAYS_BACK,
    );
}

#[test]
fn a_finalizing_update_without_a_lease_is_found_out() {
    is_found_out(
        Variant::FinalizeUnleased,
        Some(Phase::Soaking),
        promise::STAYS_BACK,
    );
}

#[test]
fn a_look_that_is_judged_later_is_found_out() {
    is_found_out(Variant::JudgeLater, None, promise::STAYS_BACK);
}

#[test]
fn a_commit_over_any_version_is_found_out() {
    is_found_out(Variant::AnyVersion, None, promise::NOT_UNDONE);
}

#[test]
fn a_commit_past_any_watermark_is_found_out() {
    is_found_out(Variant::AnyWatermark, None, promise::EVIDENCE);
}
