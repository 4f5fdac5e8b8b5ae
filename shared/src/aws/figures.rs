//! Figures of the control plane, and of what models say about themselves, in CloudWatch's embedded metric
//! format: a line of a function's log that CloudWatch turns into metrics, without a call.
//!
//! The format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Aws;
use crate::app::health::Figure;
use crate::app::ports::{Ambient, Class, Meter};
use crate::domain::deployment::Terms;
use crate::domain::model_signals::{self, OTHER, Prediction, Tally};

/// The namespace of every figure of the control plane.
pub const NAMESPACE: &str = "Canary/ControlPlane";

/// Where the lines go.
pub type Sink = std::sync::Arc<dyn Fn(&Value) + Send + Sync>;

impl Meter for Aws {
    fn measure(&self, figure: &Figure) {
        if let Some(sink) = &self.figures {
            sink(&line(figure, &self.config.stack, self.now()));
        }
    }
}

impl Aws {
    /// Counts what a model says about itself: one line, whatever the request held.
    pub fn count(&self, tally: &Tally) {
        if let Some(sink) = self.figures.as_ref().filter(|_| !tally.figures.is_empty()) {
            sink(&model_line(tally, self.now()));
        }
    }
}

/// The figures of one variant as a log line; those that are kept by group stand in two directives.
pub fn model_line(tally: &Tally, at: Timestamp) -> Value {
    let named = |figures: &mut dyn Iterator<Item = &model_signals::Figure>| -> Vec<Value> {
        figures
            .map(|figure| json!({"Name": figure.metric(), "Unit": "Count"}))
            .collect()
    };
    let directive = |dimensions: Value, metrics: Vec<Value>| {
        json!({
            "Namespace": model_signals::NAMESPACE,
            "Dimensions": [dimensions],
            "Metrics": metrics,
        })
    };
    let own = json!(["EndpointName", "VariantName"]);
    let mut directives = vec![directive(own, named(&mut tally.figures.keys()))];
    let mut by_group = tally.figures.keys().filter(|figure| figure.is_grouped());
    let by_group = named(&mut by_group);
    if tally.group.is_some() && !by_group.is_empty() {
        let own = json!(["EndpointName", "VariantName", "Group"]);
        directives.push(directive(own, by_group));
    }
    let mut document = json!({
        "_aws": {"Timestamp": at.as_millisecond(), "CloudWatchMetrics": directives},
        "EndpointName": tally.endpoint,
        "VariantName": tally.variant,
    });
    if let Some(fields) = document.as_object_mut() {
        fields.extend(
            tally
                .group
                .iter()
                .map(|group| ("Group".to_owned(), json!(group))),
        );
        let figures = tally.figures.iter();
        fields.extend(figures.map(|(figure, by)| (figure.metric(), json!(by))));
    }
    document
}

/// Bytes of the line that a prediction of the canary is told in: one that adds to all the figures it can,
/// of the group with the longest label.
pub fn prediction_line(terms: &Terms) -> usize {
    let readings = terms.readings.as_ref();
    if readings.is_none() && terms.routing.is_none() {
        return 0;
    }
    let groups = readings.and_then(|readings| readings.group.as_ref());
    let labels = groups.map(|groups| groups.labels.iter().map(String::as_str));
    let group = labels.and_then(|labels| labels.chain([OTHER]).max_by_key(|label| label.len()));
    let said = readings.map(|readings| Prediction {
        is_positive: true,
        bin: readings.positive_label.is_none().then_some(0),
    });
    let said = said.into_iter().flat_map(Prediction::figures);
    let routed = terms.routing.as_ref();
    let routed = routed.map(|_| [model_signals::Figure::Served, model_signals::Figure::Routed]);
    let figures = said.chain(routed.into_iter().flatten());
    let tally = Tally {
        endpoint: terms.endpoint.clone(),
        variant: terms.canary.clone(),
        group: group.map(str::to_owned),
        figures: figures.map(|figure| (figure, 1)).collect(),
    };
    model_line(&tally, terms.created_at).to_string().len() + 1
}

/// The log of a Lambda function: one write a line, so that lines never mix.
pub(super) fn to_the_log(line: &Value) {
    use std::io::Write;
    // Without a log there is nobody left to tell.
    drop(
        std::io::stdout()
            .lock()
            .write_all(format!("{line}\n").as_bytes()),
    );
}

/// One figure of a stack as a log line.
pub fn line(figure: &Figure, stack: &str, at: Timestamp) -> Value {
    let seconds = |name, time: &std::time::Duration| (name, "Seconds", json!(time.as_secs_f64()));
    let count = |name, number: usize| (name, "Count", json!(number));
    let (metrics, beside) = match figure {
        Figure::Heartbeat => (vec![count("Heartbeat", 1)], json!({})),
        Figure::Active(number) => (vec![count("ActiveDeployments", *number)], json!({})),
        Figure::Error {
            deployment_id,
            operation,
            class,
        } => (
            vec![count("Errors", 1)],
            json!({"Class": class_name(*class), "operation": operation, "deployment_id": deployment_id}),
        ),
        Figure::Forbidden => (vec![count("Forbidden", 1)], json!({})),
        Figure::OldestUnjudged(age) => (vec![seconds("OldestUnjudged", age)], json!({})),
        Figure::RollbackWaits(time) => (vec![seconds("RollbackWaits", time)], json!({})),
        Figure::Outbox { rows, oldest } => (
            vec![count("OutboxRows", *rows), seconds("OutboxOldest", oldest)],
            json!({}),
        ),
    };
    let dimensions = if beside.get("Class").is_some() {
        json!([["Stack"], ["Stack", "Class"]])
    } else {
        json!([["Stack"]])
    };
    let names: Vec<Value> = metrics
        .iter()
        .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
        .collect();
    let mut document = json!({
        "_aws": {
            "Timestamp": at.as_millisecond(),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": names}],
        },
        "Stack": stack,
    });
    if let (Some(fields), Value::Object(beside)) = (document.as_object_mut(), beside) {
        fields.extend(beside);
        for (name, _, value) in metrics {
            fields.insert(name.to_owned(), value);
        }
    }
    document
}

/// The four classes of row S10 and the three that need telling apart beside them.
const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Invalid => "Invalid",
        Class::Denied => "Denied",
        Class::Conflict => "Conflict",
        Class::Refused => "Refused",
        Class::Retryable => "Retryable",
        Class::InDoubt => "InDoubt",
        Class::Bug => "Bug",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_second(1_772_438_400).expect("a valid timestamp")
    }

    #[test]
    fn every_metric_that_is_declared_has_its_value_and_dimensions() {
        let figures = [
            Figure::Heartbeat,
            Figure::Active(3),
            Figure::Error {
                deployment_id: Some("d-1".to_owned()),
                operation: "UpdateEndpoint",
                class: Class::Denied,
            },
            Figure::Forbidden,
            Figure::OldestUnjudged(Duration::from_mins(3)),
            Figure::RollbackWaits(Duration::ZERO),
            Figure::Outbox {
                rows: 2,
                oldest: Duration::from_millis(1500),
            },
        ];
        for figure in figures {
            let line = line(&figure, "canary-prod", at());
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            for metric in directive["Metrics"].as_array().expect("a list") {
                let name = metric["Name"].as_str().expect("a name");
                assert!(line[name].is_number(), "{name} in {line}");
            }
            for set in directive["Dimensions"].as_array().expect("a list") {
                for name in set.as_array().expect("a list") {
                    let name = name.as_str().expect("a name");
                    assert!(line[name].is_string(), "{name} in {line}");
                }
            }
        }
    }

    #[test]
    fn what_is_kept_by_group_stands_in_both_sets_of_dimensions() {
        use crate::domain::model_signals::Figure;
        let tally = |group: Option<&str>| Tally {
            endpoint: "wine".to_owned(),
            variant: "canary-1".to_owned(),
            group: group.map(str::to_owned),
            figures: [
                (Figure::Predictions, 3),
                (Figure::PositivePredictions, 2),
                (Figure::Score(9), 2),
                (Figure::UnreadPredictions, 1),
            ]
            .into(),
        };
        let line = model_line(&tally(Some("north")), at());
        let [all, grouped] = line["_aws"]["CloudWatchMetrics"]
            .as_array()
            .expect("a list")
            .as_slice()
        else {
            panic!("{line}");
        };
        let names = |directive: &Value| -> Vec<String> {
            let metrics = directive["Metrics"].as_array().expect("metrics").iter();
            metrics
                .map(|metric| metric["Name"].as_str().expect("a name").to_owned())
                .collect()
        };
        assert_eq!(all["Dimensions"], json!([["EndpointName", "VariantName"]]));
        assert_eq!(
            names(all),
            [
                "Predictions",
                "PositivePredictions",
                "Score9",
                "UnreadPredictions"
            ]
        );
        assert_eq!(
            grouped["Dimensions"],
            json!([["EndpointName", "VariantName", "Group"]])
        );
        assert_eq!(names(grouped), ["Predictions", "PositivePredictions"]);
        assert_eq!(
            (&line["Score9"], &line["Group"]),
            (&json!(2), &json!("north"))
        );
        let plain = model_line(&tally(None), at());
        assert_eq!(
            plain["_aws"]["CloudWatchMetrics"].as_array().map(Vec::len),
            Some(1)
        );
        assert_eq!(plain["Group"], Value::Null);
    }

    #[test]
    fn an_error_names_its_deployment_beside_the_figure_and_never_as_a_dimension() {
        let figure = Figure::Error {
            deployment_id: Some("d-1".to_owned()),
            operation: "commit",
            class: Class::Conflict,
        };
        let line = line(&figure, "canary", at());
        assert_eq!(line["deployment_id"], "d-1");
        assert_eq!(line["Class"], "Conflict");
        assert_eq!(line["_aws"]["Timestamp"], 1_772_438_400_000_i64);
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["Stack"], ["Stack", "Class"]])
        );
    }
}
