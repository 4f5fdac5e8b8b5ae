//! What the counts say of each requirement, and of all together.

use serde::Serialize;

use super::{
    By, Cells, Measured, QUANTILE, Requirement, Results, Rules, TooFew, interval, resample,
};
use crate::domain::comparison::effect::percent;

/// How the sentence begins about a challenger that was let in on too few rows.
pub const TOO_FEW: &str = "accepted with too few rows: ";
/// A limit that is met to the last digit is met, however the digits came about.
const DUST: f64 = 1e-12;
/// Rows on which the models must differ before one can be better: were all in the challenger's
/// favour, the sign test would be at 2 x 0.5^6 = 3 %, and with one less at 6 %.
const LEAST_DIFFERING: u64 = 6;

/// What becomes of one requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Verdict {
    /// Met.
    Passed,
    /// Not met.
    Failed,
    /// There are too few rows to tell.
    TooFew,
}

/// What becomes of the challenger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It may have traffic.
    Passed,
    /// It may not.
    Rejected,
}

/// One requirement, in numbers and in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Which.
    pub requirement: Requirement,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The figure: a fraction, milliseconds, or a multiple of the champion's F1. Absent where there
    /// is nothing to compute it from.
    pub value: Option<f64>,
    /// The lower bound of its 95 % interval.
    pub low: Option<f64>,
    /// The upper bound.
    pub high: Option<f64>,
    /// What it is held against, in the same unit.
    pub limit: f64,
    /// Both in words, with the counts.
    pub sentence: String,
    /// Whether the figure itself is on the right side; of one that is not known it is not.
    #[serde(skip)]
    pub is_met: bool,
}

/// All requirements that were made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// What becomes of the challenger.
    pub outcome: Outcome,
    /// Requirement by requirement.
    pub requirements: Vec<Finding>,
}

impl Judgement {
    /// Why it is as it is: the requirements that were not passed, or all of them.
    pub fn sentence(&self) -> String {
        let fails = |finding: &&Finding| finding.verdict != Verdict::Passed;
        let failing: Vec<&Finding> = self.requirements.iter().filter(fails).collect();
        let (begins, told) = match self.outcome {
            Outcome::Passed if failing.is_empty() => ("", self.requirements.iter().collect()),
            Outcome::Passed => (TOO_FEW, self.requirements.iter().collect()),
            Outcome::Rejected => ("", failing),
        };
        let told: Vec<&str> = told.iter().map(|finding| &*finding.sentence).collect();
        format!("{begins}{}", told.join("; "))
    }
}

/// Holds results against the rules. A gate that requires nothing lets nobody through by accident:
/// the specification refuses one.
pub fn judge(results: &Results, rules: &Rules) -> Judgement {
    let made = |requirement: &Requirement| !rules.leave_out.contains(requirement);
    let requirements: Vec<Finding> = Requirement::ALL
        .into_iter()
        .filter(made)
        .map(|requirement| match requirement {
            Requirement::Recall => recall(&results.cells(), rules),
            Requirement::Fpr => fpr(&results.cells(), rules),
            Requirement::Latency => latency(results.latency.as_ref(), rules),
            Requirement::F1Ratio => f1_ratio(&results.cells(), rules),
        })
        .collect();
    let passes = |finding: &Finding| match finding.verdict {
        Verdict::Passed => true,
        Verdict::Failed => false,
        // What was not measured, or lies on the wrong side, is no matter of how many rows there are.
        Verdict::TooFew => rules.too_few == TooFew::Accept && finding.is_met,
    };
    let outcome = if requirements.iter().all(passes) {
        Outcome::Passed
    } else {
        Outcome::Rejected
    };
    Judgement {
        outcome,
        requirements,
    }
}

/// How an interval lies to the limit.
#[derive(Clone, Copy)]
enum Lies {
    /// All of it on the right side.
    Inside,
    /// On both.
    Across,
    /// All of it on the wrong one.
    Outside,
}

impl Lies {
    const fn of(is_inside: bool, is_outside: bool) -> Self {
        match (is_inside, is_outside) {
            (_, true) => Self::Outside,
            (true, false) => Self::Inside,
            (false, false) => Self::Across,
        }
    }
}

/// How a figure stands to the limit.
struct Stand {
    /// Whether it is on the right side.
    is_met: bool,
    /// Its interval.
    interval: Lies,
    /// Whether there are so many rows that a flawless challenger would be shown to be one.
    is_enough: bool,
}

impl Stand {
    const fn verdict(&self, by: By) -> Verdict {
        match (self.interval, by) {
            (Lies::Outside, _) => Verdict::Failed,
            _ if !self.is_enough => Verdict::TooFew,
            (Lies::Inside, By::Interval) => Verdict::Passed,
            (Lies::Across, By::Interval) => Verdict::TooFew,
            (_, By::Estimate) if self.is_met => Verdict::Passed,
            (_, By::Estimate) => Verdict::Failed,
        }
    }
}

fn recall(cells: &Cells, rules: &Rules) -> Finding {
    let (found, all) = (cells.positives.by_challenger(), cells.positives.rows());
    let limit = rules.recall.fraction();
    let (low, high) = interval::share(found, all);
    let stand = Stand {
        is_met: rate(found, all).is_some_and(|rate| rate >= limit - DUST),
        interval: Lies::of(low >= limit, high < limit),
        is_enough: interval::share(all, all).0 >= limit,
    };
    let verdict = stand.verdict(rules.by);
    let (what, is_met) = ("recall", stand.is_met);
    let counted = format!("{found} of {all} positive rows found");
    let bound = format!("at least {}", rules.recall);
    let words = |value: &str| sentence(what, value, &counted, &bound, verdict);
    Finding {
        is_met,
        ..of_share(Requirement::Recall, verdict, (found, all), limit, words)
    }
}

fn fpr(cells: &Cells, rules: &Rules) -> Finding {
    let (alarms, all) = (cells.negatives.by_challenger(), cells.negatives.rows());
    let limit = rules.fpr.fraction();
    let (low, high) = interval::share(alarms, all);
    let stand = Stand {
        is_met: rate(alarms, all).is_some_and(|rate| rate <= limit + DUST),
        interval: Lies::of(high <= limit, low > limit),
        is_enough: interval::share(0, all).1 <= limit,
    };
    let verdict = stand.verdict(rules.by);
    let (what, is_met) = ("false positive rate", stand.is_met);
    let counted = format!("{alarms} of {all} negative rows called positive");
    let bound = format!("at most {}", rules.fpr);
    let words = |value: &str| sentence(what, value, &counted, &bound, verdict);
    Finding {
        is_met,
        ..of_share(Requirement::Fpr, verdict, (alarms, all), limit, words)
    }
}

/// A finding about a share; the words get the figure with its interval.
fn of_share(
    requirement: Requirement,
    verdict: Verdict,
    (hits, trials): (u64, u64),
    limit: f64,
    words: impl Fn(&str) -> String,
) -> Finding {
    let value = rate(hits, trials);
    let (low, high) = interval::share(hits, trials);
    let shown = value.map_or_else(
        || "unknown".to_owned(),
        |value| {
            let (value, low, high) = (percent(value), percent(low), percent(high));
            format!("{value} (95% interval {low} to {high})")
        },
    );
    Finding {
        requirement,
        verdict,
        value,
        low: value.map(|_| low),
        high: value.map(|_| high),
        limit,
        sentence: words(&shown),
        is_met: false,
    }
}

fn latency(measured: Option<&Measured>, rules: &Rules) -> Finding {
    let limit = rules.latency.ms();
    let bound = format!("at most {}", rules.latency);
    let Some(seen) = measured else {
        return Finding {
            requirement: Requirement::Latency,
            verdict: Verdict::TooFew,
            value: None,
            low: None,
            high: None,
            limit,
            sentence: format!("latency p95 was not measured, {bound} is required"),
            is_met: false,
        };
    };
    // By the rows, and not by whether somebody sent an upper bound.
    let is_enough = interval::ranks(QUANTILE, seen.rows).1.is_some();
    let stand = Stand {
        is_met: seen.rows > 0 && seen.p95_ms <= limit + DUST,
        interval: Lies::of(
            is_enough && seen.high_ms.is_some_and(|high| high <= limit),
            seen.low_ms.is_some_and(|low| low > limit),
        ),
        is_enough,
    };
    let verdict = stand.verdict(rules.by);
    let bounds = match (seen.low_ms, seen.high_ms) {
        (Some(low), Some(high)) => format!(" (95% interval {low}ms to {high}ms)"),
        _ => String::new(),
    };
    let value = format!("{}ms{bounds}", seen.p95_ms);
    let counted = format!("of {} rows", seen.rows);
    Finding {
        requirement: Requirement::Latency,
        verdict,
        value: Some(seen.p95_ms),
        low: seen.low_ms,
        high: seen.high_ms,
        limit,
        sentence: sentence("latency p95", &value, &counted, &bound, verdict),
        is_met: stand.is_met,
    }
}

fn f1_ratio(cells: &Cells, rules: &Rules) -> Finding {
    let limit = rules.f1_ratio;
    let (champion, challenger) = cells.f1();
    let ratio = cells.f1_ratio();
    let bounds = resample::f1_ratio(cells);
    let (low, high) = bounds.unzip();
    // A champion without a single hit is no measure: what finds any is better.
    let is_better = champion.is_none_or(|f1| f1 <= 0.0) && challenger.is_some_and(|f1| f1 > 0.0);
    let differ = cells.differing() >= LEAST_DIFFERING;
    let stand = Stand {
        is_met: is_better || ratio.is_some_and(|ratio| ratio >= limit - DUST),
        interval: Lies::of(
            low.is_some_and(|low| low >= limit) || (is_better && differ),
            high.is_some_and(|high| high < limit),
        ),
        is_enough: (ratio.is_none() || bounds.is_some()) && differ,
    };
    let verdict = stand.verdict(rules.by);
    let shown = match (ratio, bounds) {
        (Some(ratio), Some((low, high))) => {
            format!("{ratio:.3} (95% interval {low:.3} to {high:.3})")
        }
        (Some(ratio), None) => format!("{ratio:.3}"),
        (None, _) => "unknown".to_owned(),
    };
    let f1 = |f1: Option<f64>| f1.map_or_else(|| "-".to_owned(), |f1| format!("{f1:.4}"));
    let counted = format!(
        "challenger {}, champion {}, who differ on {} rows",
        f1(challenger),
        f1(champion),
        cells.differing()
    );
    let bound = format!("at least {limit}");
    Finding {
        requirement: Requirement::F1Ratio,
        verdict,
        value: ratio,
        low,
        high,
        limit,
        sentence: sentence("F1 over the champion's", &shown, &counted, &bound, verdict),
        is_met: stand.is_met,
    }
}

fn rate(hits: u64, trials: u64) -> Option<f64> {
    (trials > 0).then(|| hits as f64 / trials as f64)
}

fn sentence(what: &str, value: &str, counted: &str, bound: &str, verdict: Verdict) -> String {
    let ending = match verdict {
        Verdict::Passed => "",
        Verdict::Failed => ": failed",
        Verdict::TooFew => ": too few rows to tell",
    };
    format!("{what} {value}, {counted}, {bound} is required{ending}")
}
