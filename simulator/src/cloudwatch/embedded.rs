//! Metrics out of a function's log: a line in the embedded metric format, as CloudWatch Logs takes it in.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>:
//! a metric or a set of dimensions whose member is missing or of another kind is left out, and the rest of
//! the line counts.

use jiff::Timestamp;
use serde_json::Value;

use super::CloudWatch;

/// The most dimensions of a set.
const MOST_DIMENSIONS: usize = 30;

impl CloudWatch {
    /// Takes in one line of a log; one that is not in the format is only a line.
    pub fn take_in_line(&self, line: &Value) {
        let metadata = &line["_aws"];
        let at = metadata["Timestamp"].as_i64();
        let Some(at) = at.and_then(|at| Timestamp::from_millisecond(at).ok()) else {
            return;
        };
        for directive in list(&metadata["CloudWatchMetrics"]) {
            let Some(namespace) = directive["Namespace"].as_str() else {
                continue;
            };
            for dimensions in list(&directive["Dimensions"]) {
                if let Some(dimensions) = dimensions_of(line, dimensions) {
                    for metric in list(&directive["Metrics"]) {
                        self.take_in_metric(line, (namespace, metric), &dimensions, at);
                    }
                }
            }
        }
    }

    fn take_in_metric(
        &self,
        line: &Value,
        (namespace, metric): (&str, &Value),
        dimensions: &[(&str, &str)],
        at: Timestamp,
    ) {
        let Some(name) = metric["Name"].as_str() else {
            return;
        };
        let values: Vec<f64> = match &line[name] {
            Value::Array(values) => values.iter().filter_map(Value::as_f64).collect(),
            value => value.as_f64().into_iter().collect(),
        };
        let unit = metric["Unit"].as_str().unwrap_or("None");
        self.record_all(namespace, name, dimensions, at, &values, unit);
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn dimensions_of<'a>(line: &'a Value, names: &'a Value) -> Option<Vec<(&'a str, &'a str)>> {
    let names = list(names);
    if names.len() > MOST_DIMENSIONS {
        return None;
    }
    let pairs = names.iter().map(|name| {
        let name = name.as_str()?;
        Some((name, line[name].as_str()?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_second(1_772_438_400).expect("a valid timestamp")
    }

    /// Sum and number of the values of a metric under these dimensions.
    fn found(
        cloudwatch: &CloudWatch,
        metric: &str,
        dimensions: &[(&str, &str)],
    ) -> Option<(f64, f64)> {
        let minute = jiff::SignedDuration::from_mins(1);
        let samples = cloudwatch.samples((at(), at() + minute)).into_iter();
        let mut samples = samples.filter(|sample| {
            let own = sample.dimensions.iter();
            sample.metric == metric
                && own
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .eq(dimensions.iter().copied())
        });
        let values = samples.next()?.values;
        let sum = values.iter().map(|(value, times)| value * times).sum();
        Some((sum, values.iter().map(|(_, times)| times).sum()))
    }

    #[test]
    fn a_line_becomes_its_metrics() {
        let cloudwatch = CloudWatch::new();
        let line = json!({
            "_aws": {"Timestamp": at().as_millisecond(), "CloudWatchMetrics": [
                {"Namespace": "Wine", "Dimensions": [["Endpoint"], ["Endpoint", "Group"]], "Metrics": [
                    {"Name": "Good", "Unit": "Count"}, {"Name": "Times"}, {"Name": "Nowhere"},
                ]},
                {"Namespace": "Wine", "Dimensions": [["Absent"]], "Metrics": [{"Name": "Lost"}]},
            ]},
            "Endpoint": "wine", "Group": "a", "Good": 3, "Times": [1.5, 2.5], "Lost": 1,
        });
        cloudwatch.take_in_line(&line);
        cloudwatch.take_in_line(&line);
        let own = [("Endpoint", "wine")];
        assert_eq!(found(&cloudwatch, "Good", &own), Some((6.0, 2.0)));
        assert_eq!(found(&cloudwatch, "Times", &own), Some((8.0, 4.0)));
        let grouped = [("Endpoint", "wine"), ("Group", "a")];
        assert_eq!(found(&cloudwatch, "Good", &grouped), Some((6.0, 2.0)));
        assert_eq!(found(&cloudwatch, "Lost", &[]), None);
    }

    #[test]
    fn any_other_line_is_only_a_line() {
        let cloudwatch = CloudWatch::new();
        for line in [
            json!("started"),
            json!({"level": "INFO", "message": "judged"}),
            json!({"_aws": {"Timestamp": "now"}}),
            json!({"_aws": {"Timestamp": at().as_millisecond(), "CloudWatchMetrics": {"Namespace": 1}}}),
        ] {
            cloudwatch.take_in_line(&line);
        }
        let day = jiff::SignedDuration::from_hours(24);
        assert_eq!(cloudwatch.samples((at() - day, at() + day)), Vec::new());
    }
}
