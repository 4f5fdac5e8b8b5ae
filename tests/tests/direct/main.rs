//! The fast world itself: what it runs is the product's own loop, to the same ends, and the same
//! choices give the same calls.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::json;
use shared::app::ports::{Class, Endpoints as _, FreezeTurn, PortError};
use shared::app::refusal::Refusal;
use shared::domain::command::Command;
use shared::domain::freeze::{EVERY_ENDPOINT, Freeze};
use shared::domain::history::Entry;
use shared::domain::state::{Phase, Status};
use tests::direct::chance::Chance;
use tests::direct::gate::{Call, Passed, Role, Verdict};
use tests::direct::scenario::{Scenario, specification};
use tests::direct::world::{Answer, Fast, Job, Policy, ready};

fn deployed() -> (Fast, String) {
    let mut world = Scenario::default().world();
    let id = world.accepted(json!({}));
    world.run();
    (world, id)
}

#[test]
fn a_good_challenger_completes_and_takes_over_the_scaling() {
    let (mut world, id) = deployed();
    assert_eq!(world.until_over(&id, 60), Status::Completed);
    let canary = world.load(&id).deployment.terms.canary;
    let scaling = world.simulator().autoscaling();
    assert_eq!(scaling.bounds(tests::ENDPOINT, &canary), Some((1, 8)));
}

#[test]
fn a_rollback_from_the_middle_gives_everything_back() {
    let (mut world, id) = deployed();
    world.until(&id, 60, |loaded| {
        loaded.deployment.state.weight.percent() == 50
    });
    world.ordered(&id, Command::Rollback);
    world.run();
    assert_eq!(world.until_over(&id, 60), Status::RolledBack);
    let scaling = world.simulator().autoscaling();
    assert_eq!(
        scaling.bounds(tests::ENDPOINT, tests::PRODUCTION),
        Some((1, 8))
    );
}

#[test]
fn after_a_completion_the_model_that_is_left_is_asked_about_and_no_other() {
    let mut world = Scenario::default().world();
    let id = world.accepted(json!({"watch": {"for": "4h"}}));
    world.run();
    world.until(&id, 60, |loaded| loaded.deployment.state.watch.is_some());
    let canary = world.load(&id).deployment.terms.canary;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    world.set_lens(move |query, answer| {
        let variant = query.dimensions.iter().find(|it| it.0 == "VariantName");
        let variant = variant.map(|it| it.1.clone()).unwrap_or_default();
        heard.lock().expect("no panic").push(variant);
        answer
    });
    let before = world.load(&id).evidence.canary.invocations;
    for _ in 0..60 {
        world.minute();
    }
    let asked = asked.lock().expect("no panic");
    assert!(asked.iter().all(|variant| *variant == canary), "{asked:?}");
    // What docs/costs.md goes by: 13 or 14 metrics, every five minutes.
    let count = asked.len();
    assert!((11 * 13..=13 * 14).contains(&count), "{count} in an hour");
    let judged = world.load(&id).evidence.canary.invocations - before;
    assert!(judged > 50 * 250, "{judged} requests were judged");
}

/// A whole rollout in which every minute has two ticks, and whatever lives takes turns by chance.
fn interleaved(seed: u64) -> (Status, Vec<Passed>) {
    let (mut world, id) = deployed();
    world.set_policy(Policy::Seeded(Chance::new(seed)));
    for _ in 0..60 {
        if world.load(&id).deployment.state.status.is_terminal() {
            break;
        }
        world.advance(SignedDuration::from_mins(1));
        world.start_skewed(Job::Monitor, SignedDuration::from_secs(2));
        world.start_skewed(Job::Monitor, SignedDuration::from_secs(-2));
        world.run();
    }
    (world.until_over(&id, 5), world.calls())
}

#[test]
fn the_same_seed_gives_the_same_calls() {
    let (status, calls) = interleaved(1);
    assert_eq!(status, Status::Completed);
    assert_eq!(interleaved(1), (status, calls.clone()));
    assert_ne!(interleaved(2).1, calls, "another seed, another schedule");
}

/// A world whose gate gives the first call of this operation by this role this verdict.
fn disturbed(role: Role, operation: &'static str, verdict: Verdict) -> (Fast, String) {
    let (world, id) = deployed();
    let mut left = Some(verdict);
    world.set_gate(move |call: &Call| {
        if call.by == role && call.operation == operation {
            left.take().unwrap_or(Verdict::Go)
        } else {
            Verdict::Go
        }
    });
    (world, id)
}

#[test]
fn every_verdict_does_what_it_says_to_a_raise() {
    let refusal = PortError::new(Class::Refused, "set_weights", "not now");
    let weight_after = |verdict: Verdict| {
        let (mut world, id) = disturbed(Role::TrafficShift, "set_weights", verdict.clone());
        let shift = |passed: &Passed| passed.verdict == verdict;
        while !world.calls().iter().any(shift) {
            world.minute();
        }
        world.advance(SignedDuration::from_secs(40));
        let (canary, lease) = {
            let deployment = world.load(&id).deployment;
            (deployment.terms.canary, deployment.state.lease.is_some())
        };
        let view = ready(world.ports().endpoint(tests::ENDPOINT));
        let view = view.expect("an answer").expect("an endpoint");
        let crashed = world.ended().iter().any(|ended| ended.answer.is_none());
        assert_eq!(world.until_over(&id, 60), Status::Completed);
        (view.share(&canary), lease, crashed)
    };
    let (none, raised) = (Some(0.0), Some(0.25));
    let seconds = SignedDuration::from_secs(8);
    // Share after 40 s, whether the lease was left behind, whether the invocation died.
    assert_eq!(weight_after(Verdict::Fail(refusal)), (none, false, false));
    assert_eq!(weight_after(Verdict::LoseRequest), (none, true, false));
    assert_eq!(weight_after(Verdict::LoseAnswer), (raised, true, false));
    assert_eq!(weight_after(Verdict::Stall(seconds)), (raised, true, false));
    assert_eq!(weight_after(Verdict::CrashBefore), (none, true, true));
    assert_eq!(weight_after(Verdict::CrashAfter), (raised, true, true));
}

#[test]
fn an_invocation_that_the_clock_leaves_behind_is_ended() {
    let (mut world, id) = deployed();
    let slow = world.start(Job::Monitor);
    world.step(slow);
    world.advance(SignedDuration::from_secs(56));
    assert_eq!(world.live(), Vec::<u64>::new());
    let ended = world.ended().last().expect("an end");
    assert_eq!((ended.invocation, ended.answer.is_none()), (slow, true));
    assert_eq!(world.until_over(&id, 60), Status::Completed);
}

/// A rollout whose every tick begins in the last second of a minute, and goes on in the next one after the
/// first call of this operation. The first write of each tick conflicts where `conflicts`.
fn across_the_minute(operation: &str, conflicts: bool) -> (Status, Vec<String>) {
    let (mut world, id) = deployed();
    let mut refused = 0;
    world.set_gate(move |call: &Call| {
        let is_write = call.by == Role::Monitor && call.operation == "commit";
        if !conflicts || !is_write || call.invocation == refused {
            return Verdict::Go;
        }
        refused = call.invocation;
        Verdict::Fail(PortError::new(Class::Conflict, "commit", "somebody else"))
    });
    let second = world.now().as_second().rem_euclid(60);
    world.advance(SignedDuration::from_secs(59 - second));
    for _ in 0..60 {
        if world.load(&id).deployment.state.status.is_terminal() {
            break;
        }
        let (from, tick) = (world.count_calls(), world.start(Job::Monitor));
        let is_reached = |world: &Fast| {
            let calls = world.calls();
            let mut since = calls[from..].iter();
            since.any(|one| one.call.operation == operation)
        };
        while world.live().contains(&tick) && !is_reached(&world) {
            world.step(tick);
        }
        world.advance(SignedDuration::from_secs(2));
        world.run();
        world.advance(SignedDuration::from_secs(58));
    }
    let lines = world.store().lines(&id).into_iter();
    let missed = |entry: &Entry| entry.reason.contains("are not judged yet");
    let held = lines.filter(missed).map(|entry| entry.reason).collect();
    (world.until_over(&id, 5), held)
}

/// The minutes that are asked for are those that are judgeable when it is decided, whenever the tick began.
#[test]
fn a_tick_that_crosses_the_minute_misses_none() {
    for (operation, conflicts) in [("active", false), ("commit", true)] {
        let (status, held) = across_the_minute(operation, conflicts);
        assert_eq!(status, Status::Completed, "after {operation}: {held:?}");
        assert_eq!(held, Vec::<String>::new(), "after {operation}");
    }
}

#[test]
fn a_list_of_choices_is_followed() {
    let (mut world, id) = deployed();
    world.until_phase(&id, Phase::Baking);
    world.advance(SignedDuration::from_mins(1));
    let before = world.choices().len();
    let (first, second) = (world.start(Job::Monitor), world.start(Job::Monitor));
    world.set_policy(Policy::Chosen([1, 0, 1, 0].into()));
    let calls = world.count_calls();
    world.run();
    let order: Vec<u64> = world.calls()[calls..]
        .iter()
        .map(|one| one.call.invocation)
        .collect();
    assert_eq!(order[..4], [second, first, second, first]);
    assert_eq!(world.choices()[before], (1, 2));
    let reports = world
        .ended()
        .iter()
        .filter(|ended| ended.invocation >= first);
    let mut conflicts = 0;
    for ended in reports {
        if let Some(Answer::Monitor(ticked, _)) = &ended.answer {
            conflicts += ticked.conflicts;
        }
    }
    assert!(conflicts <= 1, "one of the two was first");
}

#[test]
fn how_long_a_rollout_takes() {
    let begun = Instant::now();
    let rollouts = 20;
    let (mut calls, mut minutes) = (0, 0);
    let mut setting_up = Duration::ZERO;
    for _ in 0..rollouts {
        let started = Instant::now();
        let (mut world, id) = deployed();
        setting_up += started.elapsed();
        let from = world.now();
        assert_eq!(world.until_over(&id, 60), Status::Completed);
        calls = world.count_calls();
        minutes = world.now().duration_since(from).as_mins();
    }
    println!(
        "{:.1} ms a rollout, {:.1} ms of them to set it up; {calls} calls in {minutes} minutes each",
        begun.elapsed().as_secs_f64() * 1000.0 / f64::from(rollouts),
        setting_up.as_secs_f64() * 1000.0 / f64::from(rollouts),
    );
}

/// A freeze that comes between any two calls of a request: the deployment was there before it, or there
/// is none.
#[test]
fn nothing_begins_after_a_freeze_whenever_it_comes() {
    for name in [tests::ENDPOINT, EVERY_ENDPOINT] {
        let mut refused = 0;
        loop {
            let mut world = Scenario::default().world();
            let request = world.start(Job::Accept(specification(), None));
            for _ in 0..refused {
                world.step(request);
            }
            let was_there = !world.store().records().is_empty();
            let freeze = Freeze {
                reason: "a sale".to_owned(),
                by: "anna".to_owned(),
                at: world.now(),
                until: None,
                prolonged: None,
            };
            let turn = FreezeTurn {
                endpoint: name,
                before: None,
                next: Some(&freeze),
                told: &tests::records::announcement(),
            };
            world.store().turn(&turn).expect("nobody else's freeze");
            while world.live().contains(&request) {
                world.step(request);
            }
            let answer = world
                .ended()
                .first()
                .and_then(|ended| ended.answer.as_ref());
            let Some(Answer::Accepted(answer)) = answer else {
                panic!("the request ended with {answer:?}");
            };
            let is_there = !world.store().records().is_empty();
            assert_eq!(is_there, was_there, "{name} after {refused} calls");
            match &**answer {
                Ok(_) if was_there => break,
                Err(Refusal::Frozen { .. }) if !was_there => refused += 1,
                other => panic!("{name} after {refused} calls: {other:?}"),
            }
        }
        assert!(
            refused > 10,
            "the record is the last of many calls: {refused}"
        );
    }
}

/// Runs every async invoke that waits, each to its end.
fn delivered(world: &mut Fast) {
    while !world.events().is_empty() {
        let woken = world.deliver(0);
        while world.live().contains(&woken) {
            world.step(woken);
        }
    }
}

/// Two requests for one endpoint, the second between any two calls of the first: who is late is told who has
/// the endpoint, and not what is to be seen of it half way.
#[test]
fn who_is_late_for_an_endpoint_is_told_who_has_it() {
    let accept = || {
        let world = Scenario::default().world();
        (world, Job::Accept(specification(), None))
    };
    let undo = || {
        let (mut world, id) = deployed();
        assert_eq!(world.until_over(&id, 60), Status::Completed);
        (world, Job::Undo(id))
    };
    let begun: [fn() -> (Fast, Job); 2] = [accept, undo];
    for begin in begun {
        let mut late = 0;
        loop {
            let (mut world, job) = begin();
            let request = world.start(job.clone());
            for _ in 0..late {
                world.step(request);
            }
            if world.store().holder(tests::ENDPOINT).is_some() {
                break;
            }
            world.finish(job);
            let first = world.store().holder(tests::ENDPOINT);
            let first = first.expect("the second request was the faster one");
            delivered(&mut world);
            let seen = ready(world.ports().endpoint(tests::ENDPOINT));
            let seen = seen.expect("an answer").expect("an endpoint");
            assert!(!seen.is_in_service(), "{seen:?}");
            while world.live().contains(&request) {
                world.step(request);
            }
            let mut ended = world.ended().iter();
            let answer = ended.find(|ended| ended.invocation == request);
            match answer.and_then(|ended| ended.answer.as_ref()) {
                Some(Answer::Accepted(answer) | Answer::Undone(answer)) => match &**answer {
                    Err(Refusal::Locked { by, .. }) => assert_eq!(*by, first, "{late}"),
                    other => panic!("after {late} calls: {other:?}"),
                },
                other => panic!("after {late} calls the request ended with {other:?}"),
            }
            late += 1;
        }
        assert!(late > 10, "the record is the last of many calls: {late}");
    }
}
