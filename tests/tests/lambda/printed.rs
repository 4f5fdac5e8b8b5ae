//! What the processes print: lines for CloudWatch Logs, figures for CloudWatch, and nothing else.

use serde_json::Value;
use tests::lambda::Line;

/// A feature that stands in no other place.
pub(crate) const FEATURE: f64 = 8_675_309.25;
/// A user likewise.
pub(crate) const USER: &str = "user-of-whom-nobody-may-know";

/// Every line on standard output is one JSON object; every whole pass sent its heartbeat; no line holds
/// anything of a request.
pub(crate) fn assert_fit_for_a_log(lines: &[Line]) {
    let feature = FEATURE.to_string();
    let mut heartbeats = 0;
    let mut passes = 0;
    for line in lines {
        for sent in [USER, &feature] {
            assert!(!line.text.contains(sent), "{line:?}");
        }
        assert!(
            line.is_stdout,
            "nothing is printed beside the log: {line:?}"
        );
        let value: Value =
            serde_json::from_str(&line.text).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(value.is_object(), "{line:?}");
        if let Some(figure) = figure(&value) {
            assert_eq!(figure["Stack"], "canary", "{figure}");
            heartbeats += usize::from(figure["Heartbeat"] == 1);
        }
        // A pass that an event began looks at whom it concerns alone, and sends none.
        let fields = &value["fields"];
        passes += usize::from(fields["message"] == "tick" && fields["change"] == "None");
    }
    assert!(passes > 0, "the log was read");
    assert_eq!(
        heartbeats, passes,
        "one heartbeat for every pass that missed nobody"
    );
}

/// A line that CloudWatch makes metrics of, whose metrics all have a value and their dimensions.
fn figure(line: &Value) -> Option<&Value> {
    let directives = line["_aws"]["CloudWatchMetrics"].as_array()?;
    assert!(line["_aws"]["Timestamp"].is_i64(), "{line}");
    for directive in directives {
        assert_eq!(directive["Namespace"], "Canary/ControlPlane");
        for metric in directive["Metrics"].as_array().expect("metrics") {
            let name = metric["Name"].as_str().expect("a name");
            assert!(line[name].is_number(), "{name} in {line}");
        }
    }
    Some(line)
}
