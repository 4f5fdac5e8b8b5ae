//! The comparison of one signal with production: a conditional-binomial e-process with a mixture
//! over the size and the beginning of a change.
//!
//! Given a minute's m bad outcomes, the canary's part of them is Fisher's noncentral
//! hypergeometric: a sum of independent Bernoullis whose mean, at odds ratios up to r0 >= 1, is at
//! most m q with q = r0 n_c / (r0 n_c + n_p). So the expectation of rho^x is at most
//! (1 - q + q rho)^m, and the factor rho^x / (1 - q + q rho)^m is expected to be at most one. A
//! power below one (Jensen) and a ceiling only lower it.
//!
//! The power tempers the evidence where counts are burstier than chance. It is made of production's
//! *past* rate: one that looked at this minute's own outcomes would be no fair stake. The ceiling
//! is lower where production's bursts last several minutes. Both are fixed before the minute; with
//! extra-binomial noise the bound is calibrated by simulation, not proved.
//!
//! The bound on the mean is tight where bad outcomes are rare and says nothing where nearly all are:
//! no share of the canary's can then lie above it. What is rare there is the good outcomes, and at
//! odds ratios up to r0 production's part of those is bounded in the same way, with the arms in each
//! other's place. So where more than half of production's past outcomes are bad (impressions without
//! a click), the wager is on the good ones. The past decides, so that the stake stays fair; size of
//! change, odds ratio and hypothesis are the same on both sides.
//!
//! A minute in which either arm had no trials says nothing about the pair and is left out whole:
//! no stake is laid, and its counts enter neither the totals nor the past rate. Only labels wait for the
//! other arm's, because their minute means nothing ([`super::pool`]).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::capital::Capital;
use super::{Counts, Limit};

/// The odds ratios bet on.
pub const ODDS_RATIOS: [f64; 6] = [1.5, 2.0, 3.0, 5.0, 10.0, 25.0];
/// The part of the capital on each. Most lies on small changes, where a larger part saves minutes;
/// a large change is seen in as few minutes as the ceiling allows, whatever its part.
const PARTS: [f64; 6] = [0.25, 0.45, 0.15, 0.05, 0.05, 0.05];
/// The most that one minute may add, in nats: two wild minutes prove nothing, three may.
pub const MOST_PER_MINUTE: f64 = 3.4;
/// The past rate is taken to be at least this.
pub const LEAST_RATE: f64 = 1e-5;

/// What a signal is compared under; the same for the whole rollout but for the burstiness, which
/// may follow the number of instances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    tolerate: f64,
    longest_minutes: u64,
    history: Counts,
    kappa: f64,
    ceiling: f64,
}

impl Settings {
    /// `tolerate` is the odds ratio still as good as production, `history` what production counted
    /// before the rollout, `kappa` the burstiness ([`super::burstiness::kappa`]).
    ///
    /// `None` for a tolerance below one, where the bound on the mean no longer holds, for a
    /// burstiness below zero, for anything not finite, and for a rollout of no length.
    pub fn new(tolerate: f64, longest_minutes: u64, history: Counts, kappa: f64) -> Option<Self> {
        let fit = tolerate.is_finite()
            && tolerate >= 1.0
            && kappa.is_finite()
            && kappa >= 0.0
            && longest_minutes > 0;
        fit.then_some(Self {
            tolerate,
            longest_minutes,
            history,
            kappa,
            ceiling: MOST_PER_MINUTE,
        })
    }

    /// With a lower ceiling on what one minute may add, in nats
    /// ([`super::burstiness::ceiling`]); one above [`MOST_PER_MINUTE`], or no number above zero, is
    /// taken as that.
    #[must_use]
    pub fn with_ceiling(mut self, ceiling: f64) -> Self {
        self.ceiling = lowered(ceiling);
        self
    }

    /// For a minute whose trials were not made in that minute, in so many equal parts: each is
    /// tempered, and may add, as a minute does. How many must be known without the outcomes.
    ///
    /// Parts that share the outcomes evenly multiply to the power of the whole, with as many ceilings:
    /// still at most what the fair factor is.
    #[must_use]
    pub fn in_parts(mut self, parts: u64) -> Self {
        let parts = parts.max(1) as f64;
        (self.kappa, self.ceiling) = (self.kappa / parts, self.ceiling * parts);
        self
    }

    /// The odds ratio still tolerated.
    pub const fn tolerate(&self) -> f64 {
        self.tolerate
    }
}

/// A ceiling within what any minute may add.
pub(super) fn lowered(ceiling: f64) -> f64 {
    if ceiling > 0.0 {
        ceiling.min(MOST_PER_MINUTE)
    } else {
        MOST_PER_MINUTE
    }
}

/// The state of one signal. Its size does not grow, and text and back leaves every bit in place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Signal {
    capital: Capital<6>,
    canary: Counts,
    production: Counts,
    #[serde(default)]
    alone: Counts,
    #[serde(default)]
    minutes_alone: u64,
    #[serde(default)]
    quiet_minutes: u64,
    last_minute: Option<Timestamp>,
}

impl Signal {
    /// Takes in one minute of both arms. False when it was left out because an arm had no trials.
    pub fn take_in(&mut self, settings: &Settings, canary: Counts, production: Counts) -> bool {
        if canary.n == 0 || production.n == 0 {
            return false;
        }
        let factors = self.factors(settings, canary, production);
        self.stake(settings, factors);
        self.canary = self.canary.plus(canary);
        self.production = self.production.plus(production);
        true
    }

    /// Goes on where production has no traffic any more: the same capital, held against a rate that
    /// was fixed before. Each factor is a fair game of its own, so one budget covers both parts of
    /// the rollout. False when there were no trials.
    pub fn take_in_alone(&mut self, settings: &Settings, limit: Limit, canary: Counts) -> bool {
        if canary.n == 0 {
            return false;
        }
        let factors = super::absolute::factors_at(
            limit,
            (settings.kappa, settings.ceiling),
            ODDS_RATIOS,
            canary,
        );
        self.stake(settings, factors);
        self.alone = self.alone.plus(canary);
        self.minutes_alone = self.minutes_alone.saturating_add(1);
        true
    }

    fn stake(&mut self, settings: &Settings, factors: [f64; 6]) {
        self.capital
            .take_in(factors, PARTS, settings.longest_minutes);
        if factors.iter().any(|factor| *factor > 0.0) {
            self.quiet_minutes = 0;
        } else {
            self.quiet_minutes = self.quiet_minutes.saturating_add(1);
        }
    }

    /// Minutes in a row in which no bet gained anything. Without a bad outcome in either arm the
    /// capital stands still, however long the canary behaves.
    pub const fn quiet_minutes(&self) -> u64 {
        self.quiet_minutes
    }

    /// The same for a minute known by its start: false, and nothing changed, when that minute or a
    /// later one was handed in already. One left out is not judged again either, whatever a later
    /// revision says.
    pub fn take_in_once(
        &mut self,
        settings: &Settings,
        minute: Timestamp,
        canary: Counts,
        production: Counts,
    ) -> bool {
        if self.last_minute.is_some_and(|last| minute <= last) {
            return false;
        }
        self.last_minute = Some(minute);
        self.take_in(settings, canary, production)
    }

    /// The logarithm of the evidence; minus infinity before the first minute.
    pub fn ln_e(&self) -> f64 {
        self.capital.ln_total()
    }

    /// The canary's counts over the minutes taken in.
    pub const fn canary(&self) -> Counts {
        self.canary
    }

    /// Production's counts over the minutes taken in.
    pub const fn production(&self) -> Counts {
        self.production
    }

    /// The canary's counts over the minutes without a production arm.
    pub const fn alone(&self) -> Counts {
        self.alone
    }

    /// Minutes taken in.
    pub const fn minutes(&self) -> u64 {
        self.capital.minutes()
    }

    /// Those of them in which production had traffic.
    pub const fn minutes_compared(&self) -> u64 {
        self.capital.minutes().saturating_sub(self.minutes_alone)
    }

    /// The start of the last minute handed to [`Self::take_in_once`].
    pub const fn last_minute(&self) -> Option<Timestamp> {
        self.last_minute
    }

    /// The logarithms of this minute's factors, one per odds ratio.
    pub(super) fn factors(
        &self,
        settings: &Settings,
        canary: Counts,
        production: Counts,
    ) -> [f64; 6] {
        let past = self.production.plus(settings.history);
        // The arm that must not have too many of the rare outcomes, and the other one.
        let (arm, other, past) = if past.are_mostly_bad() {
            (production.turned(), canary.turned(), past.turned())
        } else {
            (canary, production, past)
        };
        let arm_odds = settings.tolerate * arm.n as f64;
        let both_odds = arm_odds + other.n as f64;
        let share = arm_odds / both_odds;
        let other_share = other.n as f64 / both_odds;
        let outcomes = arm.x as f64 + other.x as f64;
        let trials = arm.n as f64 + other.n as f64;
        let past_rate = past.rate().unwrap_or(0.0).max(LEAST_RATE);
        let expected_variance = past_rate * trials * share * other_share;
        let power = 1.0 / (1.0 + settings.kappa * expected_variance);
        ODDS_RATIOS.map(|ratio| {
            let gain = arm.x as f64 * ratio.ln() - outcomes * (share * (ratio - 1.0)).ln_1p();
            (power * gain).min(settings.ceiling)
        })
    }
}
