//! The minutes of a deployment, as few points as a picture has room for.

mod gathered;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::comparison::Counts;
use crate::domain::evidence::Totals;
use crate::domain::history::{Entry, confirmed_share};
use crate::domain::model_signals::Quality;
use crate::domain::quantity::{TrafficShare, Weight};
use crate::domain::signal::{Direction, SignalRule, Source};

pub use gathered::Gathered;

/// What was judged, over time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Series {
    /// How many minutes were judged and are still kept.
    pub minutes: usize,
    /// How many minutes a point stands for.
    pub minutes_per_point: i64,
    /// Oldest first; a time without a judged minute has none.
    pub points: Vec<Point>,
    /// How each signal stood, by name.
    pub tracks: BTreeMap<String, Track>,
    /// Where the predictions of both models lie; absent where the minutes keep no bins of their scores, which
    /// they do under `policy.drift`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
    /// Why there are none although the model's answers have scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores_left_out: Option<String>,
    /// What is not in it; absent where it holds everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

impl Series {
    /// With the canary's share as the history has it: a minute is judged minutes later, and knows the share
    /// of then.
    #[must_use]
    pub fn with_shares_of(mut self, history: &[Entry]) -> Self {
        let length = SignedDuration::from_mins(self.minutes_per_point);
        for point in &mut self.points {
            point.weight = confirmed_share(history, point.from + length);
        }
        self
    }
}

/// Some minutes of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Point {
    /// Where it begins.
    pub from: Timestamp,
    /// How many minutes of it were judged.
    pub minutes: u64,
    /// The canary's confirmed share at its end, in percent.
    pub weight: Weight,
    /// The canary's share by the weights in force in its last judged minute, in percent, where that was not the
    /// confirmed one: somebody else had set them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_weight: Option<f64>,
    /// The new model.
    pub canary: Totals,
    /// The old model.
    pub production: Totals,
    /// The new model's latency; absent where none was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_latency: Option<Latency>,
    /// The old model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production_latency: Option<Latency>,
}

impl Point {
    /// The canary's share of the traffic at its end, as the endpoint had it.
    pub fn share(&self) -> TrafficShare {
        TrafficShare::observed_or(self.observed_weight, self.weight)
    }
}

/// The ModelLatency of some minutes: of each percentile the slowest minute's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SlowestMinute))]
pub struct Latency {
    /// In milliseconds.
    pub p50_ms: f64,
    /// In milliseconds.
    pub p95_ms: f64,
    /// In milliseconds.
    pub p99_ms: f64,
}

/// The predictions of both models by their score: ten bins from 0 to 1, over all minutes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scores {
    /// The new model's, from the lowest bin up.
    pub canary: Vec<u64>,
    /// The old model's.
    pub production: Vec<u64>,
}

/// How one signal stood, over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Track {
    /// What its values are.
    pub scale: Scale,
    /// What is still good; absent where it is held against nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// How it stood at the end, in words.
    pub sentence: String,
    /// Oldest first.
    pub readings: Vec<Reading>,
    /// What is shown of `shares`: the bad outcomes, or what the signal is named for.
    #[serde(default)]
    pub shown: ShareOf,
    /// What was counted of each model in each point's minutes, oldest first; empty of a measure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
}

/// What was counted of a signal in some minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SignalShare))]
pub struct Share {
    /// Where they begin.
    pub from: Timestamp,
    /// The new model's trials and bad outcomes; none where nothing was counted.
    pub canary: Counts,
    /// The old model's.
    pub production: Counts,
}

/// What is shown of trials and their bad outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ShareOf {
    /// The share of bad outcomes: errors, complaints.
    #[default]
    Bad,
    /// The share of the others: accuracy, conversions.
    Good,
    /// F1, which follows from the share of bad outcomes and is none itself.
    F1,
}

impl ShareOf {
    /// As the signal is called: `accuracy` counts wrong predictions and is named for the right ones.
    pub const fn of(rule: &SignalRule) -> Self {
        match &rule.source {
            Source::Metrics(pair) => match pair.direction {
                Direction::LowerIsWorse => Self::Good,
                Direction::HigherIsWorse => Self::Bad,
            },
            Source::Quality(Quality::F1) => Self::F1,
            Source::Quality(Quality::Accuracy | Quality::Recall | Quality::Precision) => Self::Good,
            Source::Quality(Quality::FalsePositiveRate)
            | Source::ServerErrors
            | Source::ClientErrors
            | Source::Slowness
            | Source::Score(_)
            | Source::Unread => Self::Bad,
        }
    }

    /// What is shown for a share of bad outcomes, 0 to 1.
    pub fn value(self, bad: f64) -> f64 {
        match self {
            Self::Bad => bad,
            Self::Good => 1.0 - bad,
            Self::F1 => Quality::F1.value(bad),
        }
    }
}

/// What the values of a track are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Scale {
    /// The canary's rate over production's.
    Ratio,
    /// The canary's share of bad outcomes, 0 to 1.
    Share,
    /// A measure of its own: of fairness, or of drift.
    Measure,
}

/// A track at one time, over everything since the rollout began, or since it last stepped back for that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reading {
    /// The minute it was taken after.
    pub at: Timestamp,
    /// The value; absent where there is a bound alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Where it lies with 95 % confidence: from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Up to here; absent where there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}
