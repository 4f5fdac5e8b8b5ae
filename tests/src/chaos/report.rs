//! Many runs on a few threads, and what there is to say about them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use shared::domain::state::Status;

use super::fault::{Fault, Fired};
use super::journey::Journey;
use super::shrink::shrink;
use super::voyage::{Outcome, sail, sail_with_trace};

/// Runs at once.
const THREADS: usize = 2;
/// Lines of a trace that are shown of a failure.
const LAST_LINES: usize = 80;
/// Failures that are made small and shown; the others are counted.
const MOST_SHOWN: usize = 5;

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Report {
    /// The first run's seed; the others count on from it.
    pub seed: u64,
    /// How many.
    pub runs: u64,
    /// How often each fault was done.
    pub fired: Fired,
    /// How deployments ended.
    pub statuses: BTreeMap<String, u64>,
    /// The runs that broke a promise, by seed.
    pub failures: BTreeMap<u64, String>,
    /// The wall clock's time for all.
    pub took: Duration,
}

/// So many runs, from this seed on.
pub fn run_many(seed: u64, runs: u64) -> Report {
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let report = Mutex::new(Report {
        seed,
        runs,
        ..Report::default()
    });
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= runs {
                        break;
                    }
                    let outcome = sail(&Journey::of(seed.wrapping_add(index)));
                    let mut report = report.lock().expect("no thread panics with the report");
                    report.take_in(outcome);
                }
            });
        }
    });
    let mut report = report.into_inner().expect("every thread is over");
    report.took = started.elapsed();
    report
}

impl Report {
    fn take_in(&mut self, outcome: Outcome) {
        self.fired.add(&outcome.fired);
        for status in &outcome.statuses {
            *self.statuses.entry(status.to_string()).or_default() += 1;
        }
        if let Some(broken) = outcome.broken {
            self.failures.insert(outcome.seed, broken);
        }
    }

    /// Faults that were never done in any run.
    pub fn never_fired(&self) -> Vec<Fault> {
        self.fired.missing()
    }

    /// In words: a line for every fault, how deployments ended, and how fast it went.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for fault in Fault::all() {
            line(
                &mut text,
                &format!("{fault:<46} {:>9}", self.fired.of(fault)),
            );
        }
        for status in [
            Status::Completed,
            Status::RolledBack,
            Status::Cancelled,
            Status::Failed,
        ] {
            let name = status.to_string();
            let count = self.statuses.get(&name).copied().unwrap_or(0);
            line(&mut text, &format!("{name:<49} {count:>6}"));
        }
        for fault in self.never_fired() {
            line(&mut text, &format!("NEVER FIRED: {fault}"));
        }
        let seconds = self.took.as_secs_f64();
        let rate = self.runs as f64 / seconds.max(0.001);
        line(
            &mut text,
            &format!(
                "seed {}: {} runs in {seconds:.1} s, {rate:.1} a second; {} broke a promise",
                self.seed,
                self.runs,
                self.failures.len()
            ),
        );
        text
    }

    /// The failures, the first few of them made small.
    pub fn failures_in_words(&self) -> String {
        let mut text = String::new();
        for (seed, broken) in self.failures.iter().skip(MOST_SHOWN) {
            let first = broken.lines().next().unwrap_or_default();
            line(&mut text, &format!("seed {seed}: {first}"));
        }
        for (seed, broken) in self.failures.iter().take(MOST_SHOWN) {
            line(&mut text, &format!("\nseed {seed}: {broken}"));
            text.push_str(&minimal(*seed));
        }
        text
    }
}

/// The few faults that it takes to break the run of a seed, and its last calls.
pub fn minimal(seed: u64) -> String {
    let (journey, outcome) = shrink(&Journey::of(seed));
    let mut text = String::new();
    let broken = outcome.broken.unwrap_or_default();
    line(&mut text, &format!("with these alone: {broken}"));
    for strike in &journey.strikes {
        line(
            &mut text,
            &format!("  minute {:2}: {}", strike.minute, strike.fault),
        );
    }
    for act in &journey.acts {
        line(
            &mut text,
            &format!("  minute {:2}: {:?}", act.minute, act.deed),
        );
    }
    let from = outcome.trace.len().saturating_sub(LAST_LINES);
    for entry in &outcome.trace[from..] {
        line(&mut text, entry);
    }
    line(
        &mut text,
        &format!("replay: cargo xtask chaos --seed {seed} --runs 1 --trace"),
    );
    text
}

/// Everything that happens in the run of a seed.
pub fn trace(seed: u64) -> String {
    let outcome = sail_with_trace(&Journey::of(seed));
    let mut text = outcome.trace.join("\n");
    line(&mut text, "");
    match outcome.broken {
        Some(broken) => line(&mut text, &format!("BROKEN: {broken}")),
        None => line(&mut text, &format!("kept; ends: {:?}", outcome.statuses)),
    }
    text
}

fn line(text: &mut String, what: &str) {
    writeln!(text, "{what}").expect("writing to a string does not fail");
}
