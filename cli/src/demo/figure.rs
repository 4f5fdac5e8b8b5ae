//! The one figure of each model that a scenario is about, minute by minute and at the end.

use shared::domain::comparison::Counts;
use shared::domain::judge::MinuteReport;
use shared::domain::model_signals::BINS;
use shared::domain::observation::ArmMinute;
use shared::domain::signal::DRIFT;

/// What is shown of each model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Answers 5XX, of this minute.
    Errors,
    /// Right ones among the labels that came in this minute.
    Accuracy,
    /// How much more often one group's wines are called good than the other's, of all minutes so far.
    Gap,
    /// Dollars for a million requests at this minute's traffic.
    Cost,
    /// The mean score of this minute.
    Score,
}

/// Which of the two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The new one.
    Canary,
    /// The old one.
    Production,
}

impl Side {
    /// What it did in this minute.
    pub(super) const fn of(self, report: &MinuteReport) -> Option<&ArmMinute> {
        match self {
            Self::Canary => report.canary.as_ref(),
            Self::Production => report.production.as_ref(),
        }
    }
}

impl Figure {
    /// Above its column: eight characters at the most.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Errors => "5XX",
            Self::Accuracy => "RIGHT",
            Self::Gap => "GAP",
            Self::Cost => "$/MILL.",
            Self::Score => "SCORE",
        }
    }

    /// What the column holds, in words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Errors => "5XX: answers with an error",
            Self::Accuracy => "RIGHT: predictions that were right, by the labels of that minute",
            Self::Gap => {
                "GAP: how much more often wines of one group are called good than of the other, since the beginning"
            }
            Self::Cost => "$/MILL.: dollars for a million requests",
            Self::Score => "SCORE: the mean score",
        }
    }

    /// In this minute; absent where nothing was measured.
    pub(super) fn of(self, report: &MinuteReport, side: Side) -> Option<f64> {
        let arm = side.of(report);
        match self {
            Self::Errors => {
                let arm = arm?;
                Counts::new(arm.invocations, arm.errors_5xx)?.rate()
            }
            // What is counted are the wrong ones.
            Self::Accuracy => Some(1.0 - labels(report, side)?.rate()?),
            Self::Gap => {
                let standing = report.fairness.get("demographic_parity")?;
                let measured = match side {
                    Side::Canary => standing.canary.as_ref()?,
                    Side::Production => standing.production.as_ref()?,
                };
                Some(measured.value)
            }
            Self::Cost => {
                let arm = arm?;
                Some(arm.cost? / arm.invocations as f64 * 1e6).filter(|cost| cost.is_finite())
            }
            Self::Score => mean_score(arm?),
        }
    }

    /// Whether this minute by itself is worse than the policy allows, however little a minute proves.
    pub(super) fn is_past_limit(self, report: &MinuteReport) -> bool {
        let limit = report.signals.get("accuracy").and_then(|it| it.limit);
        let wrong = labels(report, Side::Canary).and_then(Counts::rate);
        self == Self::Accuracy && limit.is_some_and(|limit| wrong > Some(limit))
    }

    /// Over a whole rollout, in words.
    pub(super) fn over(self, minutes: &[MinuteReport], side: Side) -> Option<String> {
        match self {
            // They are counted anyway.
            Self::Errors => None,
            Self::Accuracy => {
                let labels = minutes.iter().filter_map(|report| labels(report, side));
                let all = labels.fold(Counts::NONE, Counts::plus);
                Some(all.rate().map_or_else(
                    || "no labels".to_owned(),
                    |wrong| {
                        let right = 100.0 * (1.0 - wrong);
                        format!("right in {right:.1} % of {} labels", all.n())
                    },
                ))
            }
            Self::Gap => {
                let last = minutes
                    .iter()
                    .rev()
                    .find_map(|report| self.of(report, side))?;
                Some(format!("a gap of {:.0} points", 100.0 * last))
            }
            Self::Cost => {
                let usual = self.median(minutes, side)?;
                Some(format!("{usual:.2} dollars for a million"))
            }
            Self::Score => Some(format!("mean score {:.2}", self.median(minutes, side)?)),
        }
    }

    /// Of the minutes: the one in the middle. Those in which instances wait for their traffic are others.
    fn median(self, minutes: &[MinuteReport], side: Side) -> Option<f64> {
        let values = minutes.iter().filter_map(|report| self.of(report, side));
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// As it stands in its column.
    pub(super) fn shown(self, value: f64) -> String {
        match self {
            Self::Errors | Self::Accuracy => format!("{:.1} %", 100.0 * value),
            Self::Gap | Self::Cost | Self::Score => format!("{value:.2}"),
        }
    }
}

/// The labels of this minute, and the wrong predictions among them.
fn labels(report: &MinuteReport, side: Side) -> Option<Counts> {
    let standing = report.signals.get("accuracy")?;
    match side {
        Side::Canary => standing.minute,
        Side::Production => standing.production_minute,
    }
}

/// By the middles of the bins.
fn mean_score(arm: &ArmMinute) -> Option<f64> {
    // A bin without a prediction may have no point.
    let inside = |bin: u8| {
        let counts = arm.checks.get(&format!("{DRIFT}.{bin}"));
        counts.map_or(0, |counts| counts.x())
    };
    let all: u64 = (0..BINS).map(inside).sum();
    let middle = |bin: u8| (f64::from(bin) + 0.5) / f64::from(BINS);
    let weighed = (0..BINS).map(|bin| inside(bin) as f64 * middle(bin));
    (all > 0).then(|| weighed.sum::<f64>() / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_label_nothing_is_said_to_be_wrong() {
        let over = Figure::Accuracy.over(&[], Side::Canary);
        assert_eq!(over.as_deref(), Some("no labels"));
    }
}
