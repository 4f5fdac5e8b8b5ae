//! The gate before any traffic (row C1): champion and challenger on the same labelled rows, held
//! against four requirements. Nothing of it touches an endpoint.
//!
//! What is kept of a file is counts: how often each of the two called a row positive, where it was
//! and where it was not, and the 95th percentile of the challenger's latency. All figures, intervals
//! and verdicts follow from them, so that the API rules on what `canary compare` counted by the same
//! code, and never has to believe a verdict.
//!
//! A requirement is passed, failed, or there are too few rows to tell. By its estimate (what
//! challenger pipelines do) it is judged once there are so many rows that a flawless challenger's
//! interval would lie inside the limit; by its interval only where all of that lies on one side. An
//! interval that lies outside fails either way.

pub mod interval;
pub(super) mod resample;
mod ruling;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de};

pub use self::ruling::{Finding, Judgement, Outcome, TOO_FEW, Verdict, judge};
use super::quantity::{Latency, Rate, Span};
use super::text::excerpt;

/// The most rows that results may stand for.
pub const MOST_ROWS: u64 = 100_000_000;
/// How far the clock of whoever compared may be ahead.
const AHEAD: Span = Span::from_mins(5);

/// One of the requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Requirement {
    /// The share of the positive rows that the challenger finds.
    Recall,
    /// The share of the negative rows that it calls positive.
    Fpr,
    /// The 95th percentile of its latency.
    Latency,
    /// Its F1 over the champion's.
    F1Ratio,
}

impl Requirement {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Recall, Self::Fpr, Self::Latency, Self::F1Ratio];

    /// As it stands in a specification.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::Fpr => "fpr",
            Self::Latency => "latency",
            Self::F1Ratio => "f1_ratio",
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// By what a requirement is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum By {
    /// By the figure itself, once there are enough rows.
    #[default]
    Estimate,
    /// By its 95 % interval, all of which must lie on the right side.
    Interval,
}

/// What too few rows come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TooFew {
    /// Not passed.
    #[default]
    Reject,
    /// Let through where the figure itself is on the right side.
    Accept,
}

/// What a challenger is held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// The least share of the positive rows to be found.
    pub recall: Rate,
    /// The largest share of the negative rows to be called positive.
    pub fpr: Rate,
    /// The longest 95th percentile of the latency.
    pub latency: Latency,
    /// The least F1, as a multiple of the champion's.
    pub f1_ratio: f64,
    /// By what each is judged.
    pub by: By,
    /// What too few rows come to.
    pub too_few: TooFew,
    /// Requirements that are not made.
    pub leave_out: Vec<Requirement>,
    /// How old results may be.
    pub max_age: Span,
}

impl Default for Rules {
    fn default() -> Self {
        let percent = |percent| Rate::from_percent(percent).expect("a share");
        Self {
            recall: percent(95.0),
            fpr: percent(2.0),
            latency: Latency::from_ms(100.0).expect("above zero"),
            f1_ratio: 1.01,
            by: By::default(),
            too_few: TooFew::default(),
            leave_out: Vec::new(),
            max_age: Span::from_hours(30 * 24),
        }
    }
}

/// The gate of a specification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// What is required.
    pub rules: Rules,
    /// What was measured; needed before a deployment begins.
    pub results: Option<Results>,
}

/// Rows of one truth, by who called them positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"counts of rows, such as {"both": 900, "champion": 10, "challenger": 50, "neither": 40}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = GateRows))]
pub struct Called {
    /// Both models did.
    pub both: u64,
    /// The champion alone.
    pub champion: u64,
    /// The challenger alone.
    pub challenger: u64,
    /// Neither of them.
    pub neither: u64,
}

impl Called {
    /// Takes in a row; false where the count is full.
    #[must_use]
    pub fn count(&mut self, champion: bool, challenger: bool) -> bool {
        let cell = match (champion, challenger) {
            (true, true) => &mut self.both,
            (true, false) => &mut self.champion,
            (false, true) => &mut self.challenger,
            (false, false) => &mut self.neither,
        };
        *cell = cell.saturating_add(1);
        *cell <= MOST_ROWS
    }

    /// All of them.
    pub fn rows(&self) -> u64 {
        let cells = [self.both, self.champion, self.challenger, self.neither];
        cells.into_iter().fold(0, u64::saturating_add)
    }

    const fn by_champion(&self) -> u64 {
        self.both.saturating_add(self.champion)
    }

    const fn by_challenger(&self) -> u64 {
        self.both.saturating_add(self.challenger)
    }
}

/// What both models said, against what was true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cells {
    /// Rows that are positive.
    pub positives: Called,
    /// Rows that are negative.
    pub negatives: Called,
}

impl Cells {
    /// Takes in a row; false where a count is full.
    #[must_use]
    pub fn count(&mut self, truth: bool, champion: bool, challenger: bool) -> bool {
        let called = if truth {
            &mut self.positives
        } else {
            &mut self.negatives
        };
        called.count(champion, challenger)
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.positives.rows().saturating_add(self.negatives.rows())
    }

    /// Rows on which the two models differ.
    pub fn differing(&self) -> u64 {
        let (positives, negatives) = (self.positives, self.negatives);
        let cells = [
            positives.champion,
            positives.challenger,
            negatives.champion,
            negatives.challenger,
        ];
        cells.into_iter().fold(0, u64::saturating_add)
    }

    /// The champion's F1, and the challenger's: 2 TP / (2 TP + FP + FN); absent where nothing is
    /// positive, or called so.
    pub fn f1(&self) -> (Option<f64>, Option<f64>) {
        let all = self.positives.rows();
        let f1 = |hits: u64, alarms: u64| {
            // FN and one TP are the positives, the other TP and FP what was called positive.
            let either = all as f64 + hits as f64 + alarms as f64;
            (either > 0.0).then(|| 2.0 * hits as f64 / either)
        };
        (
            f1(self.positives.by_champion(), self.negatives.by_champion()),
            f1(
                self.positives.by_challenger(),
                self.negatives.by_challenger(),
            ),
        )
    }

    /// The challenger's F1 over the champion's; absent where the champion has none to speak of.
    pub fn f1_ratio(&self) -> Option<f64> {
        let (champion, challenger) = self.f1();
        let champion = champion.filter(|champion| *champion > 0.0)?;
        Some(challenger? / champion)
    }

    fn counts(&self) -> [u64; 8] {
        let of = |called: Called| {
            [
                called.both,
                called.champion,
                called.challenger,
                called.neither,
            ]
        };
        let (positives, negatives) = (of(self.positives), of(self.negatives));
        std::array::from_fn(|place| {
            if place < 4 {
                positives[place]
            } else {
                negatives[place - 4]
            }
        })
    }

    fn of_counts(counts: [u64; 8]) -> Self {
        let of = |cells: &[u64]| Called {
            both: cells[0],
            champion: cells[1],
            challenger: cells[2],
            neither: cells[3],
        };
        Self {
            positives: of(&counts[..4]),
            negatives: of(&counts[4..]),
        }
    }
}

/// The 95th percentile of the challenger's latency: the smallest value that at least 95 % of the
/// rows do not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a latency that was measured, such as {"rows": 1000, "p95_ms": 87.5}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = GateLatency))]
pub struct Measured {
    /// Rows with a latency.
    pub rows: u64,
    /// In milliseconds.
    pub p95_ms: f64,
    /// The lower bound of its 95 % interval, in milliseconds; absent of a single row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_ms: Option<f64>,
    /// The upper bound; absent below 72 rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_ms: Option<f64>,
}

/// The quantile of [`Measured`].
pub const QUANTILE: f64 = 0.95;

/// What was measured of a challenger: the answer of `canary compare`, and what a specification's
/// gate is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "the results as `canary compare --write` prints them"
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = GateResults))]
pub struct Results {
    /// The challenger: the model that is to be deployed.
    pub model: String,
    /// The champion: the model in production. It may be left out where `f1_ratio` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<String>,
    /// When they were compared.
    #[serde(deserialize_with = "time")]
    pub compared_at: Timestamp,
    /// SHA-256 of the file of predictions, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<String>,
    /// Positive rows, by who called them so.
    pub positives: Called,
    /// Negative rows, by who called them positive.
    pub negatives: Called,
    /// The challenger's latency, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Measured>,
}

/// The parser's own words for what is no time say nothing of how to write one.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    struct Time;
    impl de::Visitor<'_> for Time {
        type Value = Timestamp;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time, like \"2026-11-21T10:00:00Z\"")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
            text.parse().map_err(|_| {
                let shown = excerpt(text, 40);
                E::custom(format!(
                    "`{shown}` is not a time: write it like \"2026-11-21T10:00:00Z\""
                ))
            })
        }
    }
    deserializer.deserialize_str(Time)
}

impl Results {
    /// The counts alone.
    pub const fn cells(&self) -> Cells {
        Cells {
            positives: self.positives,
            negatives: self.negatives,
        }
    }
}

/// Why results can't speak for a deployment, whatever they say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unbound {
    /// There are none.
    #[error(
        "the gate has no results; measure them with `canary compare predictions.csv --model {model} --write`, and put them here"
    )]
    Missing {
        /// The model to deploy.
        model: String,
    },
    /// They are another model's.
    #[error(
        "these are the results of {found}, and the model to deploy is {model}; compare that one"
    )]
    OtherModel {
        /// Whose they are.
        found: String,
        /// The model to deploy.
        model: String,
    },
    /// They do not say with whom it was compared.
    #[error(
        "these results name no champion, which the requirement f1_ratio is about: compare with the model in production and name it (`canary compare --champion NAME`), or leave f1_ratio out"
    )]
    NoChampion,
    /// The champion is not in production.
    #[error(
        "the champion of these results is {found}, and production serves {model}; compare with that one"
    )]
    OtherChampion {
        /// Whom it was compared with.
        found: String,
        /// The model in production.
        model: String,
    },
    /// They are too old.
    #[error("these results are of {at}, more than {most} ago; compare again")]
    TooOld {
        /// When they were made.
        at: Timestamp,
        /// How old they may be.
        most: Span,
    },
    /// They come from the future.
    #[error("these results are of {at}, which is still to come; set the clock of whoever compares")]
    FromTheFuture {
        /// When they say they were made.
        at: Timestamp,
    },
}

impl Gate {
    /// The results, once it is clear that they speak for this model at this time.
    pub fn results_for(&self, model: &str, now: Timestamp) -> Result<&Results, Unbound> {
        let model = model.to_owned();
        let Some(results) = &self.results else {
            return Err(Unbound::Missing { model });
        };
        if results.model != model {
            let found = results.model.clone();
            return Err(Unbound::OtherModel { found, model });
        }
        let asks_for_champion = !self.rules.leave_out.contains(&Requirement::F1Ratio);
        if asks_for_champion && results.champion.is_none() {
            return Err(Unbound::NoChampion);
        }
        let at = results.compared_at;
        if at.duration_since(now) > AHEAD.duration() {
            return Err(Unbound::FromTheFuture { at });
        }
        if Span::between(at, now) > self.rules.max_age {
            let most = self.rules.max_age;
            return Err(Unbound::TooOld { at, most });
        }
        Ok(results)
    }

    /// Whether the champion, where it is named, is the model in production.
    pub fn champion_is(&self, production: &str) -> Result<(), Unbound> {
        let champion = self.results.as_ref().and_then(|it| it.champion.as_deref());
        match champion {
            Some(found) if found != production => Err(Unbound::OtherChampion {
                found: found.to_owned(),
                model: production.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}
