//! The exhaustive crash loop.
//!
//! Every scenario is played once without a fault, and its calls are counted. Then it is played again
//! for every call and everything that can become of it: the function ends before the call, or after
//! it, or does not learn whether it happened. Each time the deployment must come to its end within
//! a few minutes of the clean run's, and everything that is true of an end must be true: the records
//! keep their invariants at every step, all traffic is on one variant, the record agrees with the
//! endpoint, the lock is free, every transition was announced in order, nothing is left behind,
//! nothing in use was deleted, and the scaling is as it was found.
//!
//! | module | holds |
//! |---|---|
//! | [`scenarios`] | what is played |
//! | [`rollout`] | one rollout under the driver |
//! | [`steps`] | what each call was for |
//! | [`faults`] | one fault at one call, and what must be true after it |
//! | [`pairs`] | two crashes, one soon after the other |
//! | [`wire`] | a sample of the same through the adapters of the SDK |
//! | [`table`] | what a crash between two steps leaves behind, and who makes up for it |
//! | [`workers`] | work on every core |
//!
//! `cargo test -p tests --test crash -- --nocapture` prints how many runs there were, the table, and the short form of it
//! that stands in `docs/reliability.md`.

mod faults;
mod pairs;
mod rollout;
mod scenarios;
mod steps;
mod table;
mod wire;
mod workers;

use std::time::Instant;

use faults::{Case, Ended, LATER, STRIDE};
use rollout::Scenario;
use table::Table;
use workers::side_by_side;

/// No more failures than that are told in full.
const TOLD: usize = 3;

/// Every scenario, with its clean run.
fn prepared() -> Vec<(Scenario, Ended)> {
    side_by_side(&scenarios::ALL, |make| {
        let scenario = make();
        let clean = faults::clean(&scenario);
        (scenario, clean)
    })
}

/// Fails with what went wrong, as far as anybody would read it.
fn assert_none(failures: &[String]) {
    let told = &failures[..failures.len().min(TOLD)];
    assert!(
        failures.is_empty(),
        "{} runs failed:\n{}",
        failures.len(),
        told.join("\n\n")
    );
}

#[test]
fn every_scenario_survives_every_fault_at_every_call() {
    let begun = Instant::now();
    let prepared = prepared();
    let complete = &prepared[0].1;
    let mut work: Vec<(usize, Case)> = Vec::new();
    for (index, (_, clean)) in prepared.iter().enumerate() {
        let tried = if index == 0 { &[][..] } else { &complete.steps };
        let cases = faults::cases(&clean.steps, tried);
        work.extend(cases.into_iter().map(|case| (index, case)));
    }
    let runs = side_by_side(&work, |(index, case)| {
        let (scenario, clean) = &prepared[*index];
        let step = clean.steps.iter().find(|step| step.number == case.number);
        let step = step.map(ToString::to_string).unwrap_or_default();
        let run = faults::under(scenario, clean, *case, LATER);
        run.map_err(|why| format!("{:?} at {step}\n{why}", case.mode))
    });
    let mut failures = Vec::new();
    let mut table = Table::default();
    let mut latest = vec![0; prepared.len()];
    for ((index, case), run) in work.iter().zip(runs) {
        let clean = &prepared[*index].1;
        match run {
            Ok(run) => {
                let later = run.at.duration_since(clean.at).as_mins();
                latest[*index] = later.max(latest[*index]);
                if case.mode.is_crash() {
                    table.take_in(clean, &run);
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    for ((scenario, clean), later) in prepared.iter().zip(latest) {
        println!(
            "{}: {} in {} min, {} calls; {later} min later at the most",
            scenario.name,
            clean.status,
            faults::minutes_of(clean),
            clean.steps.len()
        );
        if let Some(other) = &scenario.also {
            println!("    or {}: {}", other.status, other.why);
        }
    }
    println!(
        "{} runs in {:.0} s (stride {STRIDE} for lost calls that `complete` has tried)\n\n{}",
        work.len(),
        begun.elapsed().as_secs_f64(),
        table.markdown()
    );
    println!("docs/reliability.md:\n\n{}", table.short());
    assert_none(&failures);
}
