//! What a model says about itself: which figures `inference` and `POST /feedback` count, and the
//! pairs of counts that are judged of them.
//!
//! Everything is a count in CloudWatch, by endpoint and variant, some of them by group as well, so a
//! signal of the model is read, compared and shown like any other. A prediction is *positive* from a
//! threshold on; a label says later what it should have been.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::signal::{Direction, MetricPair, MetricSource};

/// The namespace of every figure.
pub const NAMESPACE: &str = "Canary/Model";
/// The key under which a minute keeps what `inference` routed by name.
pub const ROUTED: &str = "routing.by_name";
/// Equal bins of the scores from 0 to 1.
pub const BINS: u8 = 10;
/// The group of whoever has none of the labels that are counted.
pub const OTHER: &str = "other";

/// How predictions are read off the model's answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// Where the score is inside one prediction, as a JSON pointer (RFC 6901); empty where the
    /// prediction itself is the score.
    pub score: String,
    /// A score from here on is a positive prediction.
    pub positive_from: f64,
    /// Where predictions are labels: the one that is positive. Then there are no scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive_label: Option<String>,
    /// Whose predictions are counted apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Grouping>,
}

/// The groups that are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grouping {
    /// The attribute of the request that names the group.
    pub attribute: String,
    /// The values that are counted; every other one is [`OTHER`].
    pub labels: Vec<String>,
}

/// What was read off one prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prediction {
    /// Whether it is positive.
    pub is_positive: bool,
    /// The bin of its score, where it has one.
    pub bin: Option<u8>,
}

impl Prediction {
    /// The figures that it adds one to.
    pub fn figures(self) -> impl Iterator<Item = Figure> {
        let positive = self.is_positive.then_some(Figure::PositivePredictions);
        let score = self.bin.map(Figure::Score);
        [Figure::Predictions]
            .into_iter()
            .chain(positive)
            .chain(score)
    }
}

/// What one request adds to the figures of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The endpoint.
    pub endpoint: String,
    /// The variant that answered.
    pub variant: String,
    /// The group, where groups are told apart.
    pub group: Option<String>,
    /// By how much each figure grows; the others stay as they are.
    pub figures: BTreeMap<Figure, u64>,
}

impl Readings {
    /// What a score says; nothing where labels are asked for.
    pub fn of_score(&self, score: f64) -> Option<Prediction> {
        self.positive_label.is_none().then(|| Prediction {
            is_positive: self.is_positive(score),
            bin: Some(Self::bin(score)),
        })
    }

    /// What a label says; nothing where scores are asked for.
    pub fn of_label(&self, label: &str) -> Option<Prediction> {
        self.positive_label.as_ref().map(|positive| Prediction {
            is_positive: label == positive,
            bin: None,
        })
    }

    /// The group of whoever has this value of the attribute, or none; absent where groups are not
    /// told apart.
    pub fn group_of<'a>(&'a self, value: impl FnOnce(&str) -> Option<&'a str>) -> Option<&'a str> {
        let Grouping { attribute, labels } = self.group.as_ref()?;
        let value = value(attribute);
        let known = labels.iter().find(|label| Some(label.as_str()) == value);
        Some(known.map_or(OTHER, String::as_str))
    }

    /// Whether a score is a positive prediction.
    pub fn is_positive(&self, score: f64) -> bool {
        score >= self.positive_from
    }

    /// The bin of a score: ten equal ones from 0 to 1, the ends open.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the bins before"
    )]
    pub fn bin(score: f64) -> u8 {
        (score * f64::from(BINS))
            .floor()
            .clamp(0.0, f64::from(BINS - 1)) as u8
    }
}

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Figure {
    /// Predictions made; also by group.
    Predictions,
    /// Positive ones among them; also by group.
    PositivePredictions,
    /// Predictions whose score lies in this bin, 0 to 9.
    Score(u8),
    /// Predictions whose score could not be read: in no other figure.
    UnreadPredictions,
    /// Requests that `inference` had an answer for, where users are told apart.
    Served,
    /// Those among them whose variant was asked for by name.
    Routed,
    /// Predictions that a label came for.
    Labelled,
    /// Those that were right.
    Correct,
    /// Labelled ones that should have been positive; also by group.
    ActualPositives,
    /// Labelled ones that should have been negative.
    ActualNegatives,
    /// Labelled ones that were predicted positive.
    LabelledPositives,
    /// Rightly positive; also by group.
    TruePositives,
    /// Positive, and should not have been.
    FalsePositives,
    /// Negative, and should not have been.
    FalseNegatives,
    /// What F1 is about: true positives + false positives + false negatives.
    F1Trials,
    /// The wrong ones among them: false positives + false negatives.
    F1Misses,
}

impl Figure {
    /// The metric's name.
    pub fn metric(self) -> String {
        match self {
            Self::Score(bin) => format!("Score{bin}"),
            other => format!("{other:?}"),
        }
    }

    /// Whether it is counted by group as well.
    pub const fn is_grouped(self) -> bool {
        matches!(
            self,
            Self::Predictions
                | Self::PositivePredictions
                | Self::ActualPositives
                | Self::TruePositives
        )
    }

    /// Where CloudWatch has it, of all or of one group.
    fn source(self, group: Option<&str>) -> MetricSource {
        let dimension = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let own = [
            dimension("EndpointName", "{endpoint}"),
            dimension("VariantName", "{variant}"),
        ];
        let group = group.map(|label| dimension("Group", label));
        MetricSource {
            namespace: NAMESPACE.to_owned(),
            metric: self.metric(),
            statistic: "Sum".to_owned(),
            dimensions: own.into_iter().chain(group).collect::<BTreeMap<_, _>>(),
        }
    }
}

/// What a labelled prediction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it was positive.
    pub predicted: bool,
    /// Whether it should have been.
    pub actual: bool,
}

impl Outcome {
    /// The figures that this outcome adds to, and by how much.
    pub fn figures(self) -> Vec<(Figure, u64)> {
        let Self { predicted, actual } = self;
        let cell = match (predicted, actual) {
            (true, true) => vec![(Figure::TruePositives, 1), (Figure::F1Trials, 1)],
            (true, false) => vec![
                (Figure::FalsePositives, 1),
                (Figure::F1Trials, 1),
                (Figure::F1Misses, 1),
            ],
            (false, true) => vec![
                (Figure::FalseNegatives, 1),
                (Figure::F1Trials, 1),
                (Figure::F1Misses, 1),
            ],
            (false, false) => Vec::new(),
        };
        let actual = if actual {
            Figure::ActualPositives
        } else {
            Figure::ActualNegatives
        };
        let always = [
            (Figure::Labelled, true),
            (Figure::Correct, predicted == self.actual),
            (Figure::LabelledPositives, predicted),
        ];
        let counted = always
            .into_iter()
            .filter(|(_, counts)| *counts)
            .map(|(figure, _)| (figure, 1));
        counted.chain([(actual, 1)]).chain(cell).collect()
    }
}

/// How good the predictions are, once labels have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Right ones among the labelled.
    Accuracy,
    /// Found ones among the actual positives.
    Recall,
    /// Right ones among the predicted positives.
    Precision,
    /// The harmonic mean of precision and recall.
    F1,
    /// Wrongly flagged ones among the actual negatives: fewer are better.
    FalsePositiveRate,
}

impl Quality {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Accuracy,
        Self::Recall,
        Self::Precision,
        Self::F1,
        Self::FalsePositiveRate,
    ];

    /// The name of its signal, and its key in the specification.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Recall => "recall",
            Self::Precision => "precision",
            Self::F1 => "f1",
            Self::FalsePositiveRate => "false_positive_rate",
        }
    }

    /// The bad outcome in words.
    pub const fn bad(self) -> &'static str {
        match self {
            Self::Accuracy => "wrong predictions among the labelled (1 - accuracy)",
            Self::Recall => "missed positives (1 - recall)",
            Self::Precision => "wrong ones among the flagged (1 - precision)",
            Self::F1 => "false alarms and misses among all flagged or positive (F1)",
            Self::FalsePositiveRate => "wrongly flagged negatives",
        }
    }

    /// The labels that it is counted over, in words.
    pub const fn trials(self) -> &'static str {
        match self {
            Self::Accuracy => "labels",
            Self::Recall => "labels that are positive",
            Self::Precision => "labels of positive predictions",
            Self::F1 => "labels that are positive or predicted so",
            Self::FalsePositiveRate => "labels that are negative",
        }
    }

    /// The share of bad outcomes at a value of the measure, both 0 to 1.
    ///
    /// F1 = 2 TP / (2 TP + FP + FN) counts a true positive twice, which no trial can. Among the trials
    /// TP + FP + FN the share q of false alarms and misses gives F1 = 2 (1 - q) / (2 - q), which falls
    /// as q grows: a limit of the one is a limit of the other.
    pub fn bad_share(self, value: f64) -> f64 {
        match self {
            Self::F1 => 2.0 * (1.0 - value) / (2.0 - value),
            Self::FalsePositiveRate => value,
            Self::Accuracy | Self::Recall | Self::Precision => 1.0 - value,
        }
    }

    /// The value of the measure at a share of bad outcomes: [`Self::bad_share`] turned round, which
    /// comes to the same formula.
    pub fn value(self, bad_share: f64) -> f64 {
        self.bad_share(bad_share)
    }

    /// The counts that it is judged by.
    pub fn pair(self) -> MetricPair {
        let (bad, of, direction) = match self {
            Self::Accuracy => (Figure::Correct, Figure::Labelled, Direction::LowerIsWorse),
            Self::Recall => (
                Figure::FalseNegatives,
                Figure::ActualPositives,
                Direction::HigherIsWorse,
            ),
            Self::Precision => (
                Figure::FalsePositives,
                Figure::LabelledPositives,
                Direction::HigherIsWorse,
            ),
            Self::F1 => (Figure::F1Misses, Figure::F1Trials, Direction::HigherIsWorse),
            Self::FalsePositiveRate => (
                Figure::FalsePositives,
                Figure::ActualNegatives,
                Direction::HigherIsWorse,
            ),
        };
        MetricPair {
            bad: bad.source(None),
            of: of.source(None),
            direction,
            beside: false,
        }
    }
}

/// The counts of one bin of the scores, among all predictions.
pub fn score_pair(bin: u8) -> MetricPair {
    MetricPair {
        bad: Figure::Score(bin).source(None),
        of: Figure::Predictions.source(None),
        direction: Direction::HigherIsWorse,
        beside: false,
    }
}

/// Predictions that could not be read, beside those that could.
pub fn unread_pair() -> MetricPair {
    MetricPair {
        bad: Figure::UnreadPredictions.source(None),
        of: Figure::Predictions.source(None),
        direction: Direction::HigherIsWorse,
        beside: true,
    }
}

/// Requests whose variant was asked for by name, among all that `inference` had an answer for.
pub fn routed_pair() -> MetricPair {
    MetricPair {
        bad: Figure::Routed.source(None),
        of: Figure::Served.source(None),
        direction: Direction::HigherIsWorse,
        beside: false,
    }
}

/// Positive predictions among all predictions of a group.
pub fn parity_pair(label: &str) -> MetricPair {
    MetricPair {
        bad: Figure::PositivePredictions.source(Some(label)),
        of: Figure::Predictions.source(Some(label)),
        direction: Direction::HigherIsWorse,
        beside: false,
    }
}

/// Rightly positive predictions among the actual positives of a group.
pub fn opportunity_pair(label: &str) -> MetricPair {
    MetricPair {
        bad: Figure::TruePositives.source(Some(label)),
        of: Figure::ActualPositives.source(Some(label)),
        direction: Direction::HigherIsWorse,
        beside: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::comparison::Counts;

    fn counted(outcomes: &[(bool, bool, u64)], figure: Figure) -> u64 {
        let all = outcomes.iter().flat_map(|(predicted, actual, times)| {
            let outcome = Outcome {
                predicted: *predicted,
                actual: *actual,
            };
            outcome
                .figures()
                .into_iter()
                .map(move |(figure, by)| (figure, by * times))
        });
        all.filter(|(found, _)| *found == figure)
            .map(|(_, by)| by)
            .sum()
    }

    /// 70 true positives, 10 false, 20 misses, 100 true negatives.
    const CELLS: [(bool, bool, u64); 4] = [
        (true, true, 70),
        (true, false, 10),
        (false, true, 20),
        (false, false, 100),
    ];

    /// The textbook's values of these cells.
    #[test]
    fn the_counts_give_the_usual_measures() {
        for (quality, value) in [
            (Quality::Accuracy, 170.0 / 200.0),
            (Quality::Recall, 70.0 / 90.0),
            (Quality::Precision, 70.0 / 80.0),
            (
                Quality::F1,
                2.0 * (70.0 / 80.0) * (70.0 / 90.0) / (70.0 / 80.0 + 70.0 / 90.0),
            ),
            (Quality::FalsePositiveRate, 10.0 / 110.0),
        ] {
            let pair = quality.pair();
            let sum = |source: &MetricSource| {
                let figure = FIGURES
                    .into_iter()
                    .find(|figure| figure.metric() == source.metric);
                counted(&CELLS, figure.expect("a figure of that name"))
            };
            let counts = pair
                .counts(Some(sum(&pair.of)), Some(sum(&pair.bad)))
                .expect("fewer than all");
            let bad = counts.rate().expect("something was counted");
            let found = quality.value(bad);
            assert!(
                (quality.bad_share(value) - bad).abs() < 1e-12,
                "{quality:?}"
            );
            assert!(
                (found - value).abs() < 1e-12,
                "{quality:?}: {found}, not {value}"
            );
        }
    }

    const FIGURES: [Figure; 9] = [
        Figure::Labelled,
        Figure::Correct,
        Figure::ActualPositives,
        Figure::ActualNegatives,
        Figure::LabelledPositives,
        Figure::FalsePositives,
        Figure::FalseNegatives,
        Figure::F1Trials,
        Figure::F1Misses,
    ];

    #[test]
    fn every_score_has_a_bin() {
        for (score, bin) in [
            (f64::NEG_INFINITY, 0),
            (-0.1, 0),
            (0.0, 0),
            (0.0999, 0),
            (0.1, 1),
            (0.95, 9),
            (1.0, 9),
            (7.0, 9),
            (f64::INFINITY, 9),
        ] {
            assert_eq!(Readings::bin(score), bin, "{score}");
        }
    }

    #[test]
    fn predictions_that_can_not_be_read_are_tried_beside_the_others() {
        let counts = |read, unread| unread_pair().counts(read, unread);
        assert_eq!(counts(Some(90), Some(10)), Counts::new(100, 10));
        // A minute in which none could be read has no point of the others.
        assert_eq!(counts(None, Some(10)), Counts::new(10, 10));
        assert_eq!(counts(Some(90), None), Counts::new(90, 0));
        assert_eq!(counts(None, None), None);
        assert_eq!(score_pair(3).counts(None, Some(10)), None, "of what?");
    }

    #[test]
    fn groups_are_a_dimension_of_their_own() {
        let pair = parity_pair("north");
        for source in [&pair.bad, &pair.of] {
            assert_eq!(source.namespace, NAMESPACE);
            assert_eq!(source.dimensions["Group"], "north");
            assert_eq!(source.dimensions["VariantName"], "{variant}");
        }
    }
}
