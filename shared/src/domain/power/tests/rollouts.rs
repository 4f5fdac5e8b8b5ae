//! Seeded rollouts of the real signal beside what was foretold.

use super::chance::Chance;
use super::{bursty, plan, traffic, watched};
use crate::domain::comparison::{Counts, Signal, calls_for_rollback, ln_even_part};
use crate::domain::power::{Watched, minutes_per_stage, smallest_per_stage};

const ROLLOUTS: usize = 300;
const HOUR: &[(u8, u64)] = &[(10, 60)];
const TEN_MINUTES: &[(u8, u64)] = &[(10, 10)];
const HALF: &[(u8, u64)] = &[(50, 60)];
const SECOND: &[(u8, u64)] = &[(10, 60), (50, 60)];
/// What is left of production has the say.
const LAST: &[(u8, u64)] = &[(10, 60), (90, 60)];

/// The last of these stages, after healthy ones.
struct Cell {
    stages: &'static [(u8, u64)],
    requests: f64,
    watched: Watched,
    /// The gamma shape of the canary's bursts, a minute each.
    bursts: Option<u32>,
}

impl Cell {
    fn new(stages: &'static [(u8, u64)], requests: f64, rate: f64) -> Self {
        Self {
            stages,
            requests,
            watched: watched(rate),
            bursts: None,
        }
    }

    fn bursty(stages: &'static [(u8, u64)], requests: f64, rate: f64, shape: u32) -> Self {
        Self {
            stages,
            requests,
            watched: bursty(rate, 1.0 / f64::from(shape)),
            bursts: Some(shape),
        }
    }

    /// A minute of both arms, whose requests come by chance.
    fn minute(&self, chance: &mut Chance, percent: u8, rate: f64) -> (Counts, Counts) {
        let share = f64::from(percent) / 100.0;
        let burst = self.bursts.map_or(1.0, |shape| chance.burst(shape));
        let mut arm = |share: f64, rate: f64| {
            let trials = chance.poisson(self.requests * share);
            let bad = chance.binomial(trials, rate.min(1.0));
            Counts::new(trials, bad).expect("bad ones are among the trials")
        };
        (
            arm(share, rate * burst),
            arm(1.0 - share, self.watched.rate),
        )
    }

    /// The minute of the last stage in which a canary of this rate was caught, of all rollouts in
    /// order; those that were not come last.
    fn caught(&self, rate: f64, within: u64) -> Vec<u64> {
        let mut chance = Chance(20_261_121);
        let healthy_rate = self.watched.rate;
        let (last, healthy) = self.stages.split_last().expect("a cell has a stage");
        let mut caught: Vec<u64> = (0..ROLLOUTS)
            .map(|_| {
                let mut signal = Signal::default();
                let mut take_in = |percent, rate| {
                    let (canary, production) = self.minute(&mut chance, percent, rate);
                    signal.take_in(&self.watched.settings, canary, production);
                    ln_even_part(self.watched.parts) + signal.ln_e()
                };
                for (percent, minutes) in healthy {
                    for _ in 0..*minutes {
                        take_in(*percent, healthy_rate);
                    }
                }
                (1..=within)
                    .find(|_| calls_for_rollback(take_in(last.0, rate), self.watched.alpha))
                    .unwrap_or(u64::MAX)
            })
            .collect();
        caught.sort_unstable();
        caught
    }

    /// The power that the smallest regression of the last stage really has.
    fn power_of_the_smallest(&self) -> f64 {
        let found = smallest_per_stage(&plan(self.stages), traffic(self.requests), &self.watched);
        let found = found.last().copied().flatten();
        let found = found.expect("something is provable in this cell");
        let bake = self.stages.last().expect("a cell has a stage").1;
        assert!(found.minutes <= bake, "{found:?} is after the bake");
        let caught = self.caught(found.rate, bake);
        caught.partition_point(|minute| *minute <= bake) as f64 / ROLLOUTS as f64
    }

    /// The minutes foretold for a regression by this factor, and those that 80 % took.
    fn minutes(&self, factor: f64) -> (u64, u64) {
        let rate = self.watched.rate * factor;
        let foretold = minutes_per_stage(
            &plan(self.stages),
            traffic(self.requests),
            &self.watched,
            rate,
        );
        let foretold = foretold.last().copied().flatten();
        let took = self.caught(rate, 1_440)[ROLLOUTS * 8 / 10 - 1];
        (foretold.expect("it is caught within a day"), took)
    }
}

/// Within 30 %, and a minute, which is all of it where three or four are enough.
fn assert_near(foretold: u64, took: u64, cell: &str) {
    let allowed = 1.0 + 0.3 * took as f64;
    assert!(
        (foretold as f64 - took as f64).abs() <= allowed,
        "{cell}: foretold {foretold} min, took {took}"
    );
}

#[test]
fn the_smallest_regression_is_caught_in_about_four_of_five_rollouts() {
    let grid = [TEN_MINUTES, HOUR].into_iter().flat_map(|stages| {
        [100.0, 1e3, 1e4].into_iter().flat_map(move |requests| {
            [0.002, 0.01]
                .into_iter()
                .map(move |rate| (stages, requests, rate))
        })
    });
    let others = [
        (HALF, 1e3, 0.2),
        (SECOND, 1e3, 0.01),
        (LAST, 1e3, 0.002),
        (LAST, 1e4, 0.01),
    ];
    for (stages, requests, rate) in grid.chain(others) {
        let power = Cell::new(stages, requests, rate).power_of_the_smallest();
        assert!(
            (0.65..=0.92).contains(&power),
            "{stages:?} {requests}/min {rate}: power {power}"
        );
    }
}

#[test]
fn the_minutes_foretold_are_those_that_four_in_five_take() {
    for (stages, requests, rate, factor) in [
        (HOUR, 100.0, 0.002, 10.0),
        (HOUR, 100.0, 0.01, 5.0),
        (HOUR, 1_000.0, 0.002, 5.0),
        (HOUR, 1_000.0, 0.01, 3.0),
        (HOUR, 10_000.0, 0.002, 2.5),
        (HOUR, 10_000.0, 0.002, 25.0),
        (HALF, 1_000.0, 0.002, 5.0),
        (HALF, 1_000.0, 0.2, 2.0),
        (SECOND, 1_000.0, 0.01, 3.0),
        (LAST, 1_000.0, 0.002, 5.0),
        (LAST, 10_000.0, 0.01, 2.0),
    ] {
        let (foretold, took) = Cell::new(stages, requests, rate).minutes(factor);
        assert_near(
            foretold,
            took,
            &format!("{stages:?} {requests}/min {rate} x{factor}"),
        );
    }
}

/// Minutes without a request of one arm are left out, and chance rules how many come at all.
#[test]
fn a_handful_of_requests_is_foretold_as_well() {
    for (stages, requests, rate, factor) in [
        (HOUR, 1.0, 0.01, 90.0),
        (HALF, 1.0, 0.002, 300.0),
        (LAST, 3.0, 0.01, 30.0),
        (HOUR, 10.0, 0.01, 20.0),
        (SECOND, 10.0, 0.2, 3.0),
    ] {
        let (foretold, took) = Cell::new(stages, requests, rate).minutes(factor);
        assert_near(
            foretold,
            took,
            &format!("{stages:?} {requests}/min {rate} x{factor}"),
        );
    }
}

#[test]
fn bursts_are_reckoned_with() {
    for (stages, requests, shape, factor) in [
        (HOUR, 1_000.0, 1, 5.0),
        (HOUR, 10_000.0, 2, 2.5),
        (LAST, 10_000.0, 4, 2.5),
    ] {
        let cell = Cell::bursty(stages, requests, 0.002, shape);
        let (foretold, took) = cell.minutes(factor);
        assert_near(
            foretold,
            took,
            &format!("{stages:?} {requests}/min, shape {shape}"),
        );
        let calm = Cell::new(stages, requests, 0.002).minutes(factor).0;
        assert!(
            foretold >= calm,
            "bursts make it no faster: {foretold} < {calm}"
        );
        let power = cell.power_of_the_smallest();
        assert!(
            (0.65..=0.92).contains(&power),
            "shape {shape}: power {power}"
        );
    }
}
