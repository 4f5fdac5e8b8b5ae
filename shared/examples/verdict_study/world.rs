//! The simulated endpoint: one signal's counts of both arms, minute by minute.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution as _, Gamma};
use shared::domain::comparison::Counts;

pub(crate) const MINUTES: u64 = 600;
pub(crate) const HISTORY_MINUTES: u64 = 1_440;
/// A rate is never more than this, however hard it bursts.
const MOST: f64 = 0.95;

/// How the bad outcomes vary beyond chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bursts {
    Calm,
    /// Each arm's rate is multiplied anew every minute, by a Gamma of mean one and this variance.
    OfAnArm(f64),
    /// The same factor for both arms.
    Shared(f64),
    /// Each arm has ten times its rate for so many minutes on average, every two hours.
    Lasting(f64),
    /// Both arms have ten times their rate for 20 minutes of the rollout.
    Incident,
    /// Production had ten times its rate for 20 minutes of the day before.
    IncidentBefore,
}

/// How the requests are spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Traffic {
    Even,
    /// 1, 10, 50 and 90 % on the canary, a quarter of the rollout each.
    Staged,
    /// Four times as many at noon as at midnight.
    Daily,
}

/// One cell of the study.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct World {
    /// Canary requests a minute.
    pub(crate) per_minute: f64,
    /// The canary's share of the requests.
    pub(crate) share: f64,
    /// Production's share of bad outcomes.
    pub(crate) rate: f64,
    /// The canary's, from the onset on.
    pub(crate) canary_rate: f64,
    /// The minute, counted from one.
    pub(crate) onset: u64,
    pub(crate) bursts: Bursts,
    pub(crate) traffic: Traffic,
    pub(crate) signals: usize,
    /// Of production's bad outcomes, those that a fixed limit counts as well, and of the canary's:
    /// all errors, but only the requests slower than 100 ms.
    pub(crate) past_limit: (f64, f64),
}

/// One minute of both arms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Minute {
    pub(crate) canary: Counts,
    pub(crate) production: Counts,
    /// The canary's bad outcomes by the fixed limit.
    pub(crate) canary_past_limit: u64,
}

/// The factor of one arm's rate.
struct Factor {
    gamma: Option<Gamma<f64>>,
    lasting: Option<f64>,
    is_on: bool,
}

impl Factor {
    fn new(bursts: Bursts) -> Self {
        let gamma = match bursts {
            Bursts::OfAnArm(variance) | Bursts::Shared(variance) => {
                Gamma::new(1.0 / variance, variance).ok()
            }
            _ => None,
        };
        let lasting = match bursts {
            Bursts::Lasting(minutes) => Some(minutes),
            _ => None,
        };
        Self {
            gamma,
            lasting,
            is_on: false,
        }
    }

    fn next(&mut self, chance: &mut ChaCha8Rng) -> f64 {
        if let Some(gamma) = &self.gamma {
            return gamma.sample(chance);
        }
        let Some(minutes) = self.lasting else {
            return 1.0;
        };
        let draw: f64 = chance.random();
        self.is_on = draw
            < if self.is_on {
                1.0 - 1.0 / minutes
            } else {
                1.0 / 120.0
            };
        if self.is_on { 10.0 } else { 1.0 }
    }
}

/// One signal of one rollout.
pub(crate) struct Stream {
    world: World,
    canary: Factor,
    production: Factor,
    incident: u64,
    is_worse: bool,
}

impl Stream {
    /// Only the first of several signals ever gets worse.
    pub(crate) fn new(world: World, is_worse: bool, chance: &mut ChaCha8Rng) -> Self {
        Self {
            world,
            canary: Factor::new(world.bursts),
            production: Factor::new(world.bursts),
            incident: chance.random_range(100..500),
            is_worse,
        }
    }

    /// Production's bad outcomes of the day before, and its requests.
    pub(crate) fn history(&mut self, chance: &mut ChaCha8Rng) -> Vec<Counts> {
        (0..HISTORY_MINUTES)
            .map(|minute| {
                let mut rate = self.world.rate * self.production.next(chance);
                if self.world.bursts == Bursts::IncidentBefore && (700..720).contains(&minute) {
                    rate *= 10.0;
                }
                counts(self.world.requests(minute), rate, chance)
            })
            .collect()
    }

    pub(crate) fn next(&mut self, minute: u64, chance: &mut ChaCha8Rng) -> Minute {
        let world = self.world;
        let requests = world.requests(minute);
        let share = match world.traffic {
            Traffic::Staged => [0.01, 0.1, 0.5, 0.9][((minute - 1) * 4 / MINUTES).min(3) as usize],
            _ => world.share,
        };
        let production = self.production.next(chance);
        let canary = match world.bursts {
            Bursts::Shared(_) => production,
            _ => self.canary.next(chance),
        };
        let during = self.incident..self.incident + 20;
        let incident = if world.bursts == Bursts::Incident && during.contains(&minute) {
            10.0
        } else {
            1.0
        };
        let is_worse = self.is_worse && minute >= world.onset;
        let (rate, past_limit) = if is_worse {
            (world.canary_rate, world.past_limit.1)
        } else {
            (world.rate, world.past_limit.0)
        };
        let canary = counts(requests * share, rate * canary * incident, chance);
        Minute {
            canary,
            production: counts(
                requests * (1.0 - share),
                world.rate * production * incident,
                chance,
            ),
            canary_past_limit: binomial(canary.x(), past_limit, chance),
        }
    }
}

impl World {
    /// Of both arms together.
    fn requests(&self, minute: u64) -> f64 {
        let all = self.per_minute / self.share;
        match self.traffic {
            Traffic::Daily => {
                let part = minute as f64 / HISTORY_MINUTES as f64;
                all * (1.0 + 0.6 * (std::f64::consts::TAU * part).sin())
            }
            _ => all,
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "requests are above zero and few"
)]
fn counts(requests: f64, rate: f64, chance: &mut ChaCha8Rng) -> Counts {
    let trials = requests.round() as u64;
    let bad = binomial(trials, rate.min(MOST), chance);
    Counts::new(trials, bad).expect("a binomial draw is within its trials")
}

/// Few expected ones by the inverse of the distribution function, many by rejection.
fn binomial(trials: u64, rate: f64, chance: &mut ChaCha8Rng) -> u64 {
    if trials == 0 || rate <= 0.0 {
        return 0;
    }
    if rate >= 1.0 {
        return trials;
    }
    if trials as f64 * rate > 12.0 {
        let binomial = Binomial::new(trials, rate).expect("a rate between 0 and 1");
        return binomial.sample(chance);
    }
    let draw: f64 = chance.random();
    let odds = rate / (1.0 - rate);
    let mut probability = (trials as f64 * (-rate).ln_1p()).exp();
    let (mut sum, mut bad) = (probability, 0);
    while draw > sum && bad < trials && probability > 0.0 {
        probability *= (trials - bad) as f64 / (bad + 1) as f64 * odds;
        bad += 1;
        sum += probability;
    }
    bad
}
