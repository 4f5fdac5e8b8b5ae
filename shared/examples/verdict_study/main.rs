//! The study of the verdict: simulated rollouts, judged by this project's comparison and by what
//! else teams judge canaries by. Seeded: a run can be repeated.
//!
//! `cargo run -p shared --example verdict_study [-- --quick] [--write DIR]` prints the tables;
//! with a folder it puts them into `verdict.md` there, between its markers, and draws
//! `verdict.svg`. `cargo xtask bench verdict` does that.

mod cells;
mod default_policy;
mod former;
mod picture;
mod rivals;
mod table;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use shared::domain::comparison::burstiness::{self, Variation};
use shared::domain::comparison::{
    Counts, Settings, Signal, calls_for_rollback, combined, ln_even_part,
};
use shared::domain::quantity::Rate;

use cells::Cell;
use former::{Former, Past};
use world::{MINUTES, Stream, World};

pub(crate) const SEED: u64 = 20_260_101;
/// The default deadline, four days, over which the stakes are laid.
const LONGEST: u64 = 5_760;
/// After a late onset so many minutes are followed.
const FOLLOWED: u64 = 150;
pub(crate) const METHODS: [&str; 7] = [
    "threshold, 3 checks",
    "p<5 % each minute",
    "hourly rank test",
    "Flagger",
    "Argo Rollouts",
    "first design",
    "this test",
];

/// What became of one cell's rollouts under one method.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    /// Rolled back, in percent; before an onset does not count.
    pub(crate) rolled_back: f64,
    /// Before the onset: false, in percent.
    pub(crate) too_early: f64,
    /// Minutes from the onset to the rollback, the median over all rollouts.
    pub(crate) median: Option<u64>,
    /// The canary's bad outcomes from the onset on, the mean.
    pub(crate) bad: f64,
}

/// A cell with its figures by method.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) figures: Vec<Figures>,
}

/// One rollout: by method the minute of the rollback, and the canary's bad outcomes until then.
type Ends = [(Option<u64>, u64); METHODS.len()];

fn rollout(world: World, chance: &mut ChaCha8Rng) -> Ends {
    let mut streams: Vec<Stream> = (0..world.signals)
        .map(|index| Stream::new(world, index == 0, chance))
        .collect();
    let histories: Vec<Vec<Counts>> = streams
        .iter_mut()
        .map(|stream| stream.history(chance))
        .collect();
    let settings: Vec<Settings> = histories.iter().map(|history| settings(history)).collect();
    let past: Vec<Past> = histories
        .iter()
        .map(|history| Past::of(history, LONGEST))
        .collect();
    let mut signals = vec![Signal::default(); world.signals];
    let mut former = vec![Former::default(); world.signals];
    let mut threshold = rivals::Threshold::default();
    let mut every_minute = rivals::EveryMinute::default();
    let mut hourly = rivals::Hourly::default();
    let mut flagger = rivals::Flagger::default();
    let mut argo = rivals::Argo::default();
    let alpha = Rate::from_percent(1.0).expect("a rate");
    let mut ends: Ends = [(None, 0); METHODS.len()];
    let last = if world.onset > 1 {
        world.onset + FOLLOWED
    } else {
        MINUTES
    };
    for minute in 1..=last {
        let mut first = None;
        for (index, stream) in streams.iter_mut().enumerate() {
            let seen = stream.next(minute, chance);
            signals[index].take_in(&settings[index], seen.canary, seen.production);
            former[index].take_in(&past[index], seen.canary, seen.production);
            first = first.or(Some(seen));
        }
        let seen = first.expect("every world has a signal");
        let budget = ln_even_part(world.signals);
        let evidence: f64 = former.iter().map(Former::evidence).sum();
        let calls = [
            threshold.rolls_back(&seen),
            every_minute.rolls_back(&seen),
            ends[2].0.is_none() && hourly.rolls_back(&seen),
            flagger.rolls_back(&seen),
            argo.rolls_back(&seen),
            evidence >= 100.0 * world.signals as f64,
            calls_for_rollback(
                combined(signals.iter().map(|signal| (budget, signal.ln_e()))),
                alpha,
            ),
        ];
        for ((end, bad), call) in ends.iter_mut().zip(calls) {
            if end.is_none() {
                *bad += if minute >= world.onset {
                    seen.canary.x()
                } else {
                    0
                };
                *end = call.then_some(minute);
            }
        }
        if ends.iter().all(|(end, _)| end.is_some()) {
            break;
        }
    }
    ends
}

fn settings(history: &[Counts]) -> Settings {
    let mut variation = Variation::default();
    for minute in history {
        variation.push(minute.x());
    }
    let counts = history.iter().copied().fold(Counts::NONE, Counts::plus);
    let kappa = burstiness::kappa(variation.excess(), 1, 1);
    Settings::new(1.25, LONGEST, counts, kappa)
        .expect("a tolerance above one, a clamped burstiness, a length above zero")
        .with_ceiling(burstiness::ceiling(variation.lasting(), 1, 1))
}

fn study(cell: &Cell, index: usize, rollouts: u64) -> Row {
    let mut ends: Vec<Vec<(Option<u64>, u64)>> = vec![Vec::new(); METHODS.len()];
    for number in 0..rollouts {
        let seed = SEED ^ ((index as u64 + 1) << 32) ^ number;
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        for (ends, end) in ends.iter_mut().zip(rollout(cell.world, &mut chance)) {
            ends.push(end);
        }
    }
    let figures = ends.iter().map(|ends| figures(ends, cell.world.onset));
    Row {
        name: cell.name.clone(),
        figures: figures.collect(),
    }
}

fn figures(ends: &[(Option<u64>, u64)], onset: u64) -> Figures {
    let percent = |count: usize| 100.0 * count as f64 / ends.len() as f64;
    let is_early = |end: &Option<u64>| end.is_some_and(|minute| minute < onset);
    // A false rollback before the onset says nothing of the time to find it.
    let after: Vec<&(Option<u64>, u64)> = ends.iter().filter(|(end, _)| !is_early(end)).collect();
    let mut minutes: Vec<u64> = after
        .iter()
        .map(|(end, _)| end.map_or(u64::MAX, |minute| minute + 1 - onset))
        .collect();
    minutes.sort_unstable();
    let median = minutes.get(minutes.len() / 2).copied();
    let found = minutes.iter().filter(|minutes| **minutes < u64::MAX);
    let bad: u64 = after.iter().map(|(_, bad)| bad).sum();
    Figures {
        rolled_back: percent(found.count()),
        too_early: percent(ends.iter().filter(|(end, _)| is_early(end)).count()),
        median: median.filter(|median| *median < u64::MAX),
        bad: bad as f64 / after.len().max(1) as f64,
    }
}

/// Every item's result, by as many threads as there are cores, in the items' order.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(usize, &T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let result = work(index, item);
                    let mut results = results.lock().expect("no thread panics with it");
                    results.push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no thread panics with it");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let write = arguments
        .iter()
        .position(|argument| argument == "--write")
        .and_then(|at| arguments.get(at + 1))
        .map(PathBuf::from);
    let rollouts = if is_quick { 100 } else { 2_000 };
    let begun = Instant::now();
    let healthy_cells = cells::healthy();
    let run = |cells: &[Cell], offset: usize| {
        in_parallel(cells, |index, cell| study(cell, offset + index, rollouts))
    };
    let healthy = run(&healthy_cells, 0);
    let worse = run(&cells::worse(), 1_000);
    let policy = default_policy::study(rollouts);
    let text = table::markdown(&healthy, &worse, &policy, rollouts);
    println!("{text}");
    println!(
        "seed {SEED}, {rollouts} rollouts a cell, {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    let Some(folder) = write else {
        return ExitCode::SUCCESS;
    };
    let written = table::put(&folder.join("verdict.md"), &text)
        .and_then(|()| std::fs::write(folder.join("verdict.svg"), picture::draw(&healthy, &worse)));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
