//! What a stage can prove, before it has begun: the smallest regression it would catch at the
//! endpoint's own traffic, and after how many minutes.
//!
//! There is no formula of power here that could part from the procedure: the real [`Signal`] is
//! fed, once per candidate, a rollout made of whole counts. Its evidence rises with the canary's bad
//! outcomes and falls with production's. So one rollout is picked that is unlucky as one in five
//! is: it is caught at about the minute by which four in five are. Being unlucky is shared between
//! the arms in the way that is likeliest (the design point of Hasofer and Lind, "Exact and
//! invariant second-moment code format", 1974): on a small canary nearly all of it is too few bad
//! outcomes there, at 90 % nearly all of it is too many in what is left of production.
//!
//! The stages before are fed a healthy canary of middling luck, so a regression is taken to begin
//! with the stage: one that sets in when the traffic grows. The regression itself is searched by
//! halving a grid of odds from what is tolerated to "everything is bad".
//!
//! Labels come in batches of any size, so for them the same is said by the batch; few of those are drawn
//! by chance instead (`draws`).
//!
//! Taken for granted: traffic stays what it was (half of it at night proves half as much), and
//! bursts last a minute or less; longer ones make it later. The other signals are taken to add
//! nothing. Minutes are minutes of counts: the metrics of a minute are complete some time after.

mod draws;
mod normal;
mod path;
mod slowdown;

#[cfg(test)]
mod tests;

pub use slowdown::{Spread, slowdown};

use super::comparison::{
    AbsoluteGuard, AbsoluteSettings, Settings, Signal, calls_for_rollback, ln_even_part,
};
use super::plan::{Plan, Stage};
use super::quantity::{Rate, Weight};
use path::Arm;

/// The normal value that four in five lie above: the power is 80 %.
const UNLUCKY: f64 = -0.841_621_233_572_914_3;
/// Between two neighbouring candidates, as a factor of the odds.
const STEP: f64 = 1.005;
/// Rates below one in a million are not told apart.
const LOWEST_RATE: f64 = 1e-6;
/// The odds of the last candidate before "everything is bad": 999 in 1,000.
const HIGHEST_ODDS: f64 = 999.0;
/// A regression is followed for four days at the most, and at least for one.
const FOLLOWED_MINUTES: u64 = 5_760;
const ONE_DAY: u64 = 1_440;
/// More requests a minute than this add nothing that a count could hold.
const MOST_REQUESTS: f64 = 1e12;
/// Up to so many batches are drawn; over more of them one unlucky rollout stands for four in five.
const FEW_BATCHES: u64 = 12;
/// The sizes of change between which the arms' unlucky parts are weighed.
const WEIGHED_BETWEEN: (f64, f64) = (1.1, 25.0);

/// What the endpoint serves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Of the whole endpoint, both arms together: requests, or whatever the signal counts, like
    /// labelled predictions.
    pub requests_per_minute: f64,
}

/// One signal as production shows it before the rollout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watched {
    /// Production's share of bad outcomes, 0 to 1.
    pub rate: f64,
    /// What the rollout will compare it under.
    pub settings: Settings,
    /// How much more than chance the pair varies, as a squared coefficient of variation **as
    /// measured**: the settings' own burstiness is clamped, which tempers evidence but is no noise.
    pub kappa: f64,
    /// How many signals share the budget, this one included.
    pub parts: usize,
    /// The budget of false alarms.
    pub alpha: Rate,
}

/// A regression that a stage catches in four of five rollouts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// The canary's share of bad outcomes, 0 to 1.
    pub rate: f64,
    /// That over production's; absent where production has none.
    pub ratio: Option<f64>,
    /// Minutes from the stage's beginning after which four in five rollouts are caught.
    pub minutes: u64,
}

/// The smallest regression that each stage below 100 % catches before its bake is over; `None` for
/// a stage in which not even a canary with nothing but bad outcomes is. At 100 % there is no
/// production arm to compare with.
pub fn smallest_per_stage(
    plan: &Plan,
    traffic: Traffic,
    watched: &Watched,
) -> Vec<Option<Detection>> {
    per_stage(plan, traffic, watched, |start, bake| {
        start.smallest(bake.min(FOLLOWED_MINUTES))
    })
}

/// The minutes after which each stage below 100 % has caught a canary with this share of bad
/// outcomes in four of five rollouts, should it begin with the stage. The bake's end is no bound,
/// so that a plan can say how long it would have to be; `None` when a day, or the bake where that
/// is longer, is not enough either.
pub fn minutes_per_stage(
    plan: &Plan,
    traffic: Traffic,
    watched: &Watched,
    rate: f64,
) -> Vec<Option<u64>> {
    per_stage(plan, traffic, watched, |start, bake| {
        (0.0..=1.0)
            .contains(&rate)
            .then(|| start.caught_after(rate, bake.clamp(ONE_DAY, FOLLOWED_MINUTES)))
            .flatten()
    })
}

/// Whether a stage that catches this much proves anything against a canary with this share of bad
/// outcomes; where it does not, its bake is too short for the traffic.
pub fn proves(smallest: Option<Detection>, rate: f64) -> bool {
    smallest.is_some_and(|detection| detection.rate <= rate)
}

/// Trials that come in batches: so many of them in each of some minutes, and none in those between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batches {
    /// In each.
    pub trials: u64,
    /// The share of bad ones, 0 to 1.
    pub rate: f64,
}

/// What a wager may spend on false alarms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// The logarithm of the wager's part.
    pub ln_part: f64,
    /// The budget of all wagers together.
    pub alpha: Rate,
}

impl Budget {
    /// Whether this much evidence calls for a rollback by itself.
    pub fn is_won_by(&self, ln_e: f64) -> bool {
        calls_for_rollback(self.ln_part + ln_e, self.alpha)
    }
}

/// Batches within which four of five canaries are shown to be above a limit; `None` where so many are not
/// enough.
pub fn batches_above(
    settings: &AbsoluteSettings,
    batches: Batches,
    budget: Budget,
    within: u64,
) -> Option<u64> {
    let canary = Arm {
        trials: batches.trials as f64,
        rate: batches.rate,
        bursts: 0.0,
        arrivals: 0.0,
        deviation: UNLUCKY,
    };
    let mut guard = AbsoluteGuard::default();
    let foretold = (1..=within)
        .zip(canary.minutes())
        .find_map(|(minute, counts)| {
            guard.take_in(settings, counts);
            budget.is_won_by(guard.ln_e()).then_some(minute)
        })?;
    // Of a single batch the unlucky rollout is the very quantile.
    if within > 1 && foretold <= FEW_BATCHES {
        draws::caught_after(settings, batches, budget, within)
    } else {
        Some(foretold)
    }
}

/// Asks each stage below 100 % in turn, given its beginning and its bake in minutes.
fn per_stage<T>(
    plan: &Plan,
    traffic: Traffic,
    watched: &Watched,
    ask: impl Fn(&Start<'_>, u64) -> Option<T>,
) -> Vec<Option<T>> {
    let requests = traffic.requests_per_minute;
    let sound = requests > 0.0
        && (0.0..1.0).contains(&watched.rate)
        && watched.kappa >= 0.0
        && watched.kappa.is_finite();
    let mut signal = Signal::default();
    plan.stages
        .iter()
        .filter(|stage| stage.weight < Weight::FULL)
        .map(|stage| {
            if !sound {
                return None;
            }
            let start = Start {
                watched,
                signal: &signal,
                canary_requests: requests.min(MOST_REQUESTS) * stage.weight.fraction(),
                production_requests: requests.min(MOST_REQUESTS) * (1.0 - stage.weight.fraction()),
            };
            let bake = whole_minutes(*stage);
            let answer = ask(&start, bake);
            signal = start.after_healthy(bake);
            answer
        })
        .collect()
}

/// A bake's full minutes; what is left of it is no minute of counts.
const fn whole_minutes(stage: Stage) -> u64 {
    stage.bake.secs() / 60
}

/// The beginning of a stage: what the signal has seen until then, and what it will.
struct Start<'a> {
    watched: &'a Watched,
    signal: &'a Signal,
    canary_requests: f64,
    production_requests: f64,
}

impl Start<'_> {
    /// The smallest regression caught within these minutes. More bad outcomes are caught no later,
    /// so the grid can be halved. It is not searched at all where a canary with nothing but bad
    /// outcomes, its last candidate, goes unseen.
    fn smallest(&self, within: u64) -> Option<Detection> {
        let production = self.watched.rate;
        let lowest_odds = odds(production.max(LOWEST_RATE)) * self.watched.settings.tolerate();
        let last = steps_between(lowest_odds, HIGHEST_ODDS);
        let candidate = |step: u32| {
            if step == last {
                1.0
            } else {
                // Not odds / (1 + odds), which is nothing where they are infinite.
                1.0 / (1.0 + 1.0 / (lowest_odds * STEP.powi(step.cast_signed())))
            }
        };
        let mut caught = (last, self.caught_after(1.0, within)?);
        let mut missed = 0;
        while missed < caught.0 {
            let middle = u32::midpoint(missed, caught.0);
            match self.caught_after(candidate(middle), within) {
                Some(minutes) => caught = (middle, minutes),
                None => missed = middle + 1,
            }
        }
        let rate = candidate(caught.0);
        Some(Detection {
            rate,
            ratio: (production > 0.0).then(|| rate / production),
            minutes: caught.1,
        })
    }

    /// The minute after which an unlucky rollout with this share of bad outcomes is rolled back.
    fn caught_after(&self, rate: f64, within: u64) -> Option<u64> {
        let part = ln_even_part(self.watched.parts);
        let (canary, production) = self.unlucky(rate);
        let mut signal = self.signal.clone();
        (1..=within)
            .zip(path::pairs(canary, production))
            .find_map(|(minute, pair)| {
                let (canary, production) = pair?;
                signal.take_in(&self.watched.settings, canary, production);
                calls_for_rollback(part + signal.ln_e(), self.watched.alpha).then_some(minute)
            })
    }

    /// The signal after as many minutes of a canary that is as good as production.
    fn after_healthy(&self, minutes: u64) -> Signal {
        let (canary, production) = (self.canary(self.watched.rate), self.production());
        let mut signal = self.signal.clone();
        let pairs = (0..minutes).zip(path::pairs(canary, production));
        for (canary, production) in pairs.filter_map(|(_, pair)| pair) {
            signal.take_in(&self.watched.settings, canary, production);
        }
        signal
    }

    /// Both arms of a rollout that four in five are luckier than, given the canary's rate.
    fn unlucky(&self, rate: f64) -> (Arm, Arm) {
        let tolerate = self.watched.settings.tolerate();
        let (mut canary, production) = (self.canary(rate), self.production());
        // How the evidence follows the arms' counts, for the bet that fits this regression best.
        let (least, most) = WEIGHED_BETWEEN;
        let worse = odds(canary.rate) / odds(production.rate.max(LOWEST_RATE));
        let bet = (worse / tolerate).clamp(least, most);
        let (canary_pull, production_pull) = if production.rate > 0.5 {
            // The wager is on the good ones, of which production has too many.
            let odds = tolerate * production.trials;
            let loss = (odds / (odds + canary.trials) * (bet - 1.0)).ln_1p();
            (loss, bet.ln() - loss)
        } else {
            // How many requests come is chance too. A request is expected to add this part of what
            // a bad outcome adds (on a small canary); squared, as variances go. At rates near one,
            // where nearly every request is bad, no other chance is left.
            canary.arrivals = (1.0 - (1.0 - 1.0 / bet) / bet.ln()).powi(2);
            let odds = tolerate * canary.trials;
            let loss = (odds / (odds + production.trials) * (bet - 1.0)).ln_1p();
            (bet.ln() - loss, loss)
        };
        let canary_pull = canary_pull * canary.variance().sqrt();
        let production_pull = production_pull * production.variance().sqrt();
        let both = canary_pull.hypot(production_pull).max(f64::MIN_POSITIVE);
        (
            Arm {
                deviation: UNLUCKY * canary_pull / both,
                ..canary
            },
            Arm {
                deviation: -UNLUCKY * production_pull / both,
                ..production
            },
        )
    }

    /// The canary with middling luck. The bursts of the pair are all laid on it: what matters is
    /// the arms' ratio.
    fn canary(&self, rate: f64) -> Arm {
        // Of mostly bad outcomes the good ones were measured: as much of them is less of the others.
        let scale = if self.watched.rate > 0.5 {
            ((1.0 - rate) / rate.max(f64::MIN_POSITIVE)).powi(2)
        } else {
            1.0
        };
        Arm {
            trials: self.canary_requests,
            rate,
            bursts: self.watched.kappa * scale,
            arrivals: 0.0,
            deviation: 0.0,
        }
    }

    /// Production with middling luck.
    const fn production(&self) -> Arm {
        Arm {
            trials: self.production_requests,
            rate: self.watched.rate,
            bursts: 0.0,
            arrivals: 0.0,
            deviation: 0.0,
        }
    }
}

/// Bad outcomes to good ones.
fn odds(rate: f64) -> f64 {
    rate / (1.0 - rate)
}

/// The steps from one odds to the other, the last one past it for "everything is bad".
fn steps_between(low: f64, high: f64) -> u32 {
    let steps = ((high / low).ln() / STEP.ln()).max(0.0).ceil();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative, and the odds of floats are some 50,000 steps apart at the most"
    )]
    let steps = steps as u32;
    steps + 1
}
