//! What the model's answer says, as figures: how many predictions, how many of them positive, and in which
//! bins their scores lie. What can't be read is counted as unread, never guessed.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::domain::model_signals::{Figure, Prediction, Readings};

/// The predictions of one answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// By how much each figure grows.
    pub(crate) figures: BTreeMap<Figure, u64>,
    /// The prediction, where the answer is one and it could be read.
    pub(crate) only: Option<Prediction>,
}

/// Reads the predictions of an answer: a list of them, or a single one.
pub(crate) fn read(readings: &Readings, predictions: &Value) -> Read {
    let all = match predictions {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut figures = BTreeMap::new();
    let mut last = None;
    for value in all {
        last = prediction(readings, value);
        match last {
            Some(prediction) => {
                for figure in prediction.figures() {
                    *figures.entry(figure).or_default() += 1;
                }
            }
            None => *figures.entry(Figure::UnreadPredictions).or_default() += 1,
        }
    }
    Read {
        figures,
        only: last.filter(|_| all.len() == 1),
    }
}

fn prediction(readings: &Readings, value: &Value) -> Option<Prediction> {
    match value.pointer(&readings.score)? {
        Value::Number(score) => readings.of_score(score.as_f64()?),
        Value::String(label) => readings.of_label(label),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn readings(score: &str, label: Option<&str>) -> Readings {
        Readings {
            score: score.to_owned(),
            positive_from: 0.5,
            positive_label: label.map(str::to_owned),
            group: None,
        }
    }

    fn counted(read: &Read) -> Vec<(String, u64)> {
        let figures = read.figures.iter();
        figures
            .map(|(figure, times)| (figure.metric(), *times))
            .collect()
    }

    fn expected(figures: &[(&str, u64)]) -> Vec<(String, u64)> {
        let figures = figures.iter();
        figures
            .map(|(name, times)| ((*name).to_owned(), *times))
            .collect()
    }

    #[test]
    fn scores_are_counted_in_bins_and_by_the_threshold() {
        let read = read(&readings("", None), &json!([0.5, 0.49, 0.45, 1]));
        let all = [
            ("Predictions", 4),
            ("PositivePredictions", 2),
            ("Score4", 2),
            ("Score5", 1),
            ("Score9", 1),
        ];
        assert_eq!(counted(&read), expected(&all));
        assert_eq!(
            read.only, None,
            "which of the four a label is of nobody knows"
        );
    }

    #[test]
    fn one_prediction_keeps_its_class() {
        let read = read(&readings("/score", None), &json!([{"score": 0.87}]));
        let only = read.only.expect("it could be read");
        assert_eq!((only.is_positive, only.bin), (true, Some(8)));
        // A model that answers without a list.
        let plain = super::read(&readings("", None), &json!(0.2));
        assert_eq!(plain.only.map(|only| only.is_positive), Some(false));
    }

    #[test]
    fn labels_have_no_bins() {
        let fraud = readings("/label", Some("fraud"));
        let read = read(&fraud, &json!([{"label": "fraud"}, {"label": "Fraud"}]));
        let all = [("Predictions", 2), ("PositivePredictions", 1)];
        assert_eq!(counted(&read), expected(&all));
    }

    #[test]
    fn what_can_not_be_read_is_counted_and_not_guessed() {
        let scores = readings("/score", None);
        for value in [
            json!(["0.7"]),
            json!([{"score": "0.7"}]),
            json!([{"score": null}]),
            json!([{"score": true}]),
            json!([[0.7]]),
            json!("0.7,0.2"),
            json!({"quality": 6.5}),
        ] {
            let read = read(&scores, &value);
            assert_eq!(
                counted(&read),
                expected(&[("UnreadPredictions", 1)]),
                "{value}"
            );
            assert_eq!(read.only, None);
        }
        assert_eq!(read(&scores, &json!([])), Read::default());
        let labels = readings("", Some("fraud"));
        assert_eq!(
            counted(&read(&labels, &json!([0.9]))),
            expected(&[("UnreadPredictions", 1)])
        );
    }
}
