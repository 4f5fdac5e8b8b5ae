//! Two crashes, one soon after the other: whatever repairs the first may be the second's victim.
//!
//! The first is at any point of a function that acts on the endpoint. The second is at each of the
//! points that follow in other invocations, [`FOLLOWING`] of them: before an invocation's first
//! call, and after every call that changes something. That reaches through the next tick and into
//! the function that it wakes.

use tests::direct::gate::{Call, Gate, Verdict};

use crate::faults::{self, Case, LATER, Mode};
use crate::rollout::Scenario;
use crate::steps;
use crate::workers::side_by_side;
use crate::{assert_none, scenarios};

/// At how many of the points after the first crash the second is tried.
const FOLLOWING: usize = 14;

/// A crash, and another at the so many-th point of the invocations after it.
#[derive(Debug, Clone, Copy)]
struct Pair {
    first: Case,
    second: usize,
    /// The invocation that crashed first, and the one that runs now.
    crashed: Option<u64>,
    running: Option<u64>,
    points: usize,
}

impl Pair {
    const fn of(first: Case, second: usize) -> Self {
        Self {
            first,
            second,
            crashed: None,
            running: None,
            points: 0,
        }
    }

    /// Whether the point that is reached now is the one; it is reached only once.
    fn is_second(&mut self) -> bool {
        self.points += 1;
        self.points == self.second + 1
    }
}

impl Gate for Pair {
    fn pass(&mut self, call: &Call) -> Verdict {
        if call.number == self.first.number {
            self.crashed = Some(call.invocation);
            self.running = self.crashed;
            return self.first.mode.verdict();
        }
        if self.crashed.is_none() {
            return Verdict::Go;
        }
        if self.running != Some(call.invocation) {
            self.running = Some(call.invocation);
            if self.is_second() {
                return Verdict::CrashBefore;
            }
        }
        if steps::has_effect(call.operation) && self.is_second() {
            return Verdict::CrashAfter;
        }
        Verdict::Go
    }
}

fn survives_every_pair(make: fn() -> Scenario) {
    let scenario = make();
    let clean = faults::clean(&scenario);
    let acting = |case: &Case| {
        let step = clean.steps.iter().find(|step| step.number == case.number);
        case.mode.is_crash() && step.is_some_and(steps::Step::acts)
    };
    let cases = faults::cases(&clean.steps, &[]);
    let firsts: Vec<Case> = cases.into_iter().filter(acting).collect();
    let pairs = firsts
        .iter()
        .flat_map(|first| (0..FOLLOWING).map(|second| Pair::of(*first, second)));
    let pairs: Vec<Pair> = pairs.collect();
    let runs = side_by_side(&pairs, |pair| {
        let run = faults::under(&scenario, &clean, *pair, 2 * LATER);
        run.map_err(|why| {
            let Case { number, mode } = pair.first;
            let second = pair.second;
            format!("{mode:?} at call {number}, then at point {second}\n{why}")
        })
    });
    let mut failures = Vec::new();
    let (mut latest, mut both) = (0, 0);
    for run in runs {
        match run {
            Ok(run) => {
                latest = latest.max(run.at.duration_since(clean.at).as_mins());
                both += usize::from(run.crashes.len() == 2);
            }
            Err(failure) => failures.push(failure),
        }
    }
    println!(
        "{}: {} pairs of crashes, {both} of them with both; {latest} min later at the most",
        scenario.name,
        pairs.len()
    );
    assert_none(&failures);
    assert!(2 * both > pairs.len(), "most pairs are pairs");
}

#[test]
fn a_completion_survives_every_pair_of_crashes() {
    survives_every_pair(scenarios::complete);
}

#[test]
fn a_rollback_survives_every_pair_of_crashes() {
    survives_every_pair(scenarios::roll_back_from_50_percent);
}

#[test]
fn a_rollback_after_the_old_variant_is_gone_survives_every_pair_of_crashes() {
    survives_every_pair(scenarios::roll_back_from_finalizing_after_the_update);
}

#[test]
fn the_second_crash_is_in_another_invocation() {
    let first = Case {
        number: 7,
        mode: Mode::CrashAfter,
    };
    let scenario = scenarios::complete();
    let clean = faults::clean(&scenario);
    let run = faults::under(&scenario, &clean, Pair::of(first, 1), 2 * LATER);
    let crashes = run.expect("a sound run").crashes;
    assert_eq!(crashes.len(), 2);
}
