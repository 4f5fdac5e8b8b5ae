//! How large the difference is, beside how sure it is: rates, their ratio with an interval, and
//! the sentence people read.
//!
//! The interval is for one look at the totals, at 95 %: it shows a size and decides nothing. It is
//! Wilson's score interval with continuity correction for the canary's share of the bad outcomes
//! (Newcombe 1998, "Two-sided confidence intervals for the single proportion", method 4), turned
//! into a ratio of rates: a share s of the bad outcomes is a ratio of s / (1 - s) x n_p / n_c.
//! The same condition as the comparison's, so the two never point apart.
//!
//! Left on purpose: the interval of the log ratio, which needs a made-up half outcome where an arm
//! had none and then has no bound to speak of, and the exact one of Clopper and Pearson, whose
//! incomplete beta takes some 10^4 terms at 10^9 counts where this takes one square root and comes
//! out nearly the same. With frequent bad outcomes the interval is wider than it need be.

use serde::{Deserialize, Serialize};

use super::{AbsoluteGuard, Counts, Settings, Signal};
use crate::domain::quantity::Rate;

/// The two-sided 95 % point of the normal distribution.
const NORMAL_95: f64 = 1.959_963_984_540_054;

/// One signal, in numbers and ready for words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// The new model's counts.
    pub canary: Counts,
    /// The old model's counts.
    pub production: Counts,
    /// The canary's rate over production's; absent when production's is zero or an arm is empty. Where
    /// production's outcomes are mostly bad, its rate of good ones over the canary's.
    pub ratio: Option<f64>,
    /// Where the ratio lies with 95 % confidence; absent without a single bad outcome.
    pub interval: Option<Interval>,
    /// The odds ratio still tolerated.
    pub tolerated: f64,
    /// The logarithm of the evidence; absent before the first minute.
    pub ln_e: Option<f64>,
    /// Minutes compared.
    pub minutes: u64,
}

/// Bounds of a ratio of rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Interval {
    /// Zero when the canary had no bad outcome.
    pub low: f64,
    /// Absent when production had no bad outcome: no bound.
    pub high: Option<f64>,
}

impl Effect {
    /// What a signal shows.
    pub fn of(signal: &Signal, settings: &Settings) -> Self {
        let (canary, production) = (signal.canary(), signal.production());
        let ln_e = signal.ln_e();
        // Which side of the outcomes is compared: the rarer one, as the wager is on it.
        let (more, fewer) = if production.are_mostly_bad() {
            (production.turned(), canary.turned())
        } else {
            (canary, production)
        };
        Self {
            canary,
            production,
            ratio: ratio(more, fewer),
            interval: interval(more, fewer),
            tolerated: settings.tolerate(),
            ln_e: ln_e.is_finite().then_some(ln_e),
            minutes: signal.minutes(),
        }
    }

    /// Both rates with their counts; absent before the first minute.
    pub fn measured(&self) -> Option<String> {
        Some(format!(
            "canary {} ({} of {}), production {} ({} of {})",
            percent(self.canary.rate()?),
            self.canary.x(),
            self.canary.n(),
            percent(self.production.rate()?),
            self.production.x(),
            self.production.n(),
        ))
    }

    /// The odds ratio that is still as good as production, in words.
    pub fn tolerance(&self) -> String {
        format!("tolerated {}", factor(self.tolerated))
    }

    /// One plain sentence, without a full stop; `what` names the bad outcome: `5XX errors`.
    pub fn sentence(&self, what: &str) -> String {
        let (Some(ln_e), Some(measured)) = (self.ln_e, self.measured()) else {
            return format!("{what}: nothing to compare yet");
        };
        let evidence = match odds_against_luck(ln_e) {
            Some(odds) => format!("odds against luck {odds}"),
            None => "not yet shown to be worse".to_owned(),
        };
        format!(
            "{what}: {measured}{}, {evidence} after {} min",
            self.times_as_often(),
            self.minutes,
        )
    }

    fn times_as_often(&self) -> String {
        let tolerated = self.tolerance();
        let (which, how) = if self.production.are_mostly_bad() {
            ("the others ", "times as rare")
        } else {
            ("", "times as often")
        };
        match (self.ratio, self.interval) {
            (
                Some(ratio),
                Some(Interval {
                    low,
                    high: Some(high),
                }),
            ) => format!(
                ", {which}{} {how} (95% interval {} to {}; {tolerated})",
                factor(ratio),
                factor(low),
                factor(high)
            ),
            (_, Some(Interval { low, .. })) => format!(
                ", {which}at least {} {how} (95% interval; {tolerated})",
                factor(low)
            ),
            _ => String::new(),
        }
    }
}

/// The canary's rate over production's.
fn ratio(canary: Counts, production: Counts) -> Option<f64> {
    let base = production.rate().filter(|rate| *rate > 0.0)?;
    Some(canary.rate()? / base)
}

/// The 95 % interval of the ratio of rates.
pub(super) fn interval(canary: Counts, production: Counts) -> Option<Interval> {
    if canary.n() == 0 || production.n() == 0 || (canary.x() == 0 && production.x() == 0) {
        return None;
    }
    let trials_ratio = production.n() as f64 / canary.n() as f64;
    Some(Interval {
        low: least_odds(canary.x(), production.x()) * trials_ratio,
        high: (production.x() > 0).then(|| trials_ratio / least_odds(production.x(), canary.x())),
    })
}

/// The lower bound of the odds that `own` outcomes beside `other` show. Straight as odds: with a
/// share near one, what is left of it would have lost its digits.
fn least_odds(own: u64, other: u64) -> f64 {
    if own == 0 {
        return 0.0;
    }
    let (own, other) = (own as f64, other as f64);
    let all = own + other;
    let square = NORMAL_95 * NORMAL_95;
    let spread = square - 2.0 - 1.0 / all + 4.0 * own / all * (other + 1.0);
    let reach = NORMAL_95 * spread.max(0.0).sqrt();
    let least_own = 2.0 * own + square - 1.0 - reach;
    let most_other = 2.0 * other + square + 1.0 + reach;
    (least_own / most_other).max(0.0)
}

/// The evidence in the words of a wager; absent when luck is as good an explanation.
pub fn odds_against_luck(ln_e: f64) -> Option<String> {
    let odds = ln_e.exp();
    if odds < 1.5 {
        None
    } else if odds < 1e6 {
        Some(format!("about {} to 1", factor(odds)))
    } else {
        Some("more than a million to 1".to_owned())
    }
}

/// One sentence on a signal's own limit, without a full stop.
pub fn against_limit(what: &str, guard: &AbsoluteGuard, limit: Rate) -> String {
    let canary = guard.canary();
    let Some(rate) = canary.rate() else {
        return format!("{what}: nothing counted yet");
    };
    let evidence = match odds_against_luck(guard.ln_e()) {
        Some(odds) => format!("odds against luck {odds}"),
        None => "not yet shown to be above".to_owned(),
    };
    format!(
        "{what}: canary {} ({} of {}), limit {limit}, {evidence} after {} min",
        percent(rate),
        canary.x(),
        canary.n(),
        guard.minutes()
    )
}

/// A share with two digits that say something, and at least two decimals.
pub fn percent(fraction: f64) -> String {
    let percent = fraction * 100.0;
    format!("{percent:.*}%", decimals(percent, 2).max(2))
}

/// A factor: two decimals, and from ten on two digits.
fn factor(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    let unit = 10f64.powf(value.log10().floor() - 1.0);
    format!("{:.0}", (value / unit).round() * unit)
}

/// The decimals that show this many digits of a value; nine at most.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0 and 9 before"
)]
fn decimals(value: f64, digits: u32) -> usize {
    if value <= 0.0 {
        return 0;
    }
    (f64::from(digits) - 1.0 - value.log10().floor()).clamp(0.0, 9.0) as usize
}
