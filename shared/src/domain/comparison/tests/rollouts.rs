//! Seeded simulations, a few hundred rollouts each: that the code is the procedure whose rates of
//! false rollbacks and times to detection are known. The full study is a benchmark of its own.

use super::super::absolute::{AbsoluteGuard, AbsoluteSettings, Limit, SafeGate};
use super::super::burstiness::{self, Variation};
use super::super::{Counts, Settings, Signal, calls_for_rollback, combined, ln_even_part};
use super::counts;
use crate::domain::quantity::Rate;

const ROLLOUTS: u64 = 300;
const MINUTES: u64 = 600;
/// The default deadline, which the stakes are spread over.
const LONGEST: u64 = 5_760;

/// SplitMix64 (Steele, Lea and Flood 2014): a fixed seed gives the same rollouts everywhere.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Above 0 and up to 1.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Of mean one.
    fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// Bad ones of n, by the gaps between them.
    pub(super) fn binomial(&mut self, n: u64, rate: f64) -> u64 {
        let (mut at, mut bad) = (0.0, 0);
        loop {
            at += (self.uniform().ln() / (-rate).ln_1p()).floor() + 1.0;
            if at > n as f64 {
                return bad;
            }
            bad += 1;
        }
    }
}

/// One cell of the study; production has nine requests to the canary's one.
#[derive(Clone, Copy)]
struct Cell {
    canary_per_minute: u64,
    production_rate: f64,
    canary_rate: f64,
    /// The minute, counted from one, from which the canary's rate holds.
    onset: u64,
    /// With bursts each arm's rate varies by minute by a Gamma factor of this shape and mean one: a
    /// squared coefficient of variation of 1 / shape beyond chance.
    burst_shape: Option<u32>,
    signals: usize,
}

impl Cell {
    const fn calm(canary_per_minute: u64, canary_rate: f64) -> Self {
        Self {
            canary_per_minute,
            production_rate: 0.002,
            canary_rate,
            onset: 1,
            burst_shape: None,
            signals: 1,
        }
    }

    fn arm(&self, chance: &mut Chance, n: u64, rate: f64) -> Counts {
        let factor = match self.burst_shape {
            None => 1.0,
            Some(shape) => {
                let sum: f64 = (0..shape).map(|_| chance.exponential()).sum();
                sum / f64::from(shape)
            }
        };
        counts(n, chance.binomial(n, (rate * factor).min(0.5)))
    }

    /// The day before: the baseline and the burstiness come from it.
    fn settings(&self, chance: &mut Chance) -> Settings {
        let day: Vec<Counts> = (0..1440)
            .map(|_| self.arm(chance, self.canary_per_minute * 10, self.production_rate))
            .collect();
        let mut variation = Variation::default();
        for minute in &day {
            variation.push(minute.x());
        }
        let history = day.into_iter().fold(Counts::NONE, Counts::plus);
        let kappa = burstiness::kappa(variation.excess(), 1, 1);
        Settings::new(1.25, LONGEST, history, kappa)
            .expect("these are fit")
            .with_ceiling(burstiness::ceiling(variation.lasting(), 1, 1))
    }

    /// The minute of the rollback, if there is one.
    fn rollout(&self, seed: u64) -> Option<u64> {
        let mut chance = Chance(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let settings = self.settings(&mut chance);
        let alpha = Rate::from_percent(1.0).expect("a rate");
        let mut signals = vec![Signal::default(); self.signals];
        (1..=MINUTES).find(|minute| {
            for (index, signal) in signals.iter_mut().enumerate() {
                // Only the first signal ever gets worse.
                let worse = index == 0 && *minute >= self.onset;
                let rate = if worse {
                    self.canary_rate
                } else {
                    self.production_rate
                };
                let canary = self.arm(&mut chance, self.canary_per_minute, rate);
                let production = self.arm(
                    &mut chance,
                    self.canary_per_minute * 9,
                    self.production_rate,
                );
                signal.take_in(&settings, canary, production);
            }
            let part = ln_even_part(self.signals);
            calls_for_rollback(
                combined(signals.iter().map(|signal| (part, signal.ln_e()))),
                alpha,
            )
        })
    }

    /// Rollbacks, and the median minute over all rollouts, the undetected counted as endless.
    fn study(&self) -> (usize, u64) {
        self.study_of(ROLLOUTS)
    }

    fn study_of(&self, rollouts: u64) -> (usize, u64) {
        let mut ends: Vec<u64> = (1..=rollouts)
            .map(|seed| self.rollout(seed).unwrap_or(u64::MAX))
            .collect();
        ends.sort_unstable();
        let rolled_back = ends.iter().filter(|end| **end < u64::MAX).count();
        (rolled_back, ends[ends.len() / 2])
    }
}

#[test]
fn healthy_canaries_stay() {
    for per_minute in [10, 100, 1000] {
        let (rolled_back, _) = Cell::calm(per_minute, 0.002).study();
        assert!(
            rolled_back <= 3,
            "{rolled_back} of {ROLLOUTS} at {per_minute} a minute"
        );
    }
}

#[test]
fn as_bad_as_tolerated_stays() {
    let (rolled_back, _) = Cell::calm(1000, 0.0025).study();
    assert!(rolled_back <= 3, "{rolled_back} of {ROLLOUTS}");
}

/// Arm-specific bursts, their size known from the day before: calibrated, not proved.
#[test]
fn healthy_canaries_stay_when_errors_come_in_bursts() {
    for shape in [1, 4] {
        let cell = Cell {
            burst_shape: Some(shape),
            ..Cell::calm(1000, 0.002)
        };
        let (rolled_back, _) = cell.study();
        assert!(
            rolled_back <= 3,
            "{rolled_back} of {ROLLOUTS} at shape {shape}"
        );
    }
}

#[test]
fn worse_canaries_are_found_in_time() {
    let cases = [
        (0.05, 1, 3),
        (0.01, 1, 4),
        (0.005, 1, 12),
        (0.05, 2, 3),
        (0.01, 2, 4),
        (0.005, 2, 12),
    ];
    for (rate, signals, within) in cases {
        let cell = Cell {
            signals,
            ..Cell::calm(1000, rate)
        };
        let (rolled_back, median) = cell.study();
        assert_eq!(rolled_back, 300, "at {rate}");
        assert!(
            median <= within,
            "median {median} at {rate} with {signals} signals"
        );
    }
}

#[test]
fn a_late_onset_is_found_hardly_later() {
    let early = Cell::calm(1000, 0.005);
    // The medians differ by three to the minute, which a few hundred do not show.
    let rollouts = 1_500;
    let soon = early.study_of(rollouts).1;
    for onset in [60, 240] {
        let (_, median) = Cell { onset, ..early }.study_of(rollouts);
        let after_onset = median + 1 - onset;
        assert!(
            after_onset <= soon + 3,
            "{after_onset} minutes after the onset, {soon} from the start"
        );
    }
}

/// The minute at which a guard at 1 % calls for a rollback.
fn guarded(rate: f64, seed: u64) -> Option<u64> {
    let alpha = Rate::from_percent(1.0).expect("a rate");
    let limit = Limit::new(alpha).expect("a limit");
    let settings = AbsoluteSettings::new(limit, MINUTES, 0.1).expect("these are fit");
    let mut chance = Chance(seed);
    let mut guard = AbsoluteGuard::default();
    (1..=MINUTES).find(|_| {
        guard.take_in(&settings, counts(1000, chance.binomial(1000, rate)));
        calls_for_rollback(guard.ln_e(), alpha)
    })
}

#[test]
fn the_guard_tells_kept_from_broken() {
    let kept = (1..=ROLLOUTS).filter(|seed| guarded(0.009, *seed).is_some());
    assert!(kept.count() <= 3);
    let mut broken: Vec<u64> = (1..=ROLLOUTS)
        .map(|seed| guarded(0.03, seed).unwrap_or(u64::MAX))
        .collect();
    broken.sort_unstable();
    assert!(broken[broken.len() / 2] <= 4, "{broken:?}");
}

/// Requests until the gate opens at a limit of 1 %.
fn requests_to_open(rate: f64) -> u64 {
    let limit = Limit::new(Rate::from_percent(1.0).expect("a rate")).expect("a limit");
    let mut needed: Vec<u64> = (1..=ROLLOUTS)
        .map(|seed| {
            let mut chance = Chance(seed);
            let mut gate = SafeGate::default();
            while !gate.is_open(limit) {
                let bad = chance.uniform() <= rate;
                gate.take_in(counts(1, u64::from(bad)));
            }
            gate.canary().n()
        })
        .collect();
    needed.sort_unstable();
    needed[needed.len() / 2]
}

#[test]
fn the_gate_opens_as_documented() {
    let clean = requests_to_open(0.0);
    assert!((330..=450).contains(&clean), "{clean} without an error");
    let good = requests_to_open(0.002);
    assert!((500..=700).contains(&good), "{good} at 0.2 %");
    let near = requests_to_open(0.006);
    assert!((2_400..=3_400).contains(&near), "{near} at 0.6 %");
}
