//! What a gate may require, and what its results may be.

use serde_json::{Value, json};

use super::super::super::parse;
use super::assert_refused;
use crate::domain::gate::{By, Gate, Requirement, Rules, TooFew};
use crate::domain::quantity::Span;

fn read(gate: &Value) -> Option<Gate> {
    let whole = json!({"endpoint": "wine-quality", "model": "wine-quality-v2", "gate": gate});
    parse(&whole).expect("a sound gate").gate
}

fn results(change: &Value) -> Value {
    let mut whole = json!({
        "model": "wine-quality-v2", "compared_at": "2026-03-02T10:00:00Z",
        "positives": {"both": 900, "champion": 10, "challenger": 50, "neither": 40},
        "negatives": {"both": 100, "champion": 60, "challenger": 20, "neither": 8820},
        "latency": {"rows": 10_000, "p95_ms": 87.5, "low_ms": 86, "high_ms": 89.25},
    });
    let fields = whole.as_object_mut().unwrap();
    fields.extend(change.as_object().unwrap().clone());
    json!({"gate": {"results": whole}})
}

#[test]
fn a_gate_of_nothing_has_the_usual_requirements() {
    assert_eq!(read(&Value::Null), None);
    let gate = read(&json!({})).expect("a gate");
    assert_eq!((gate.rules, gate.results), (Rules::default(), None));
    let gate = read(&json!({
        "recall": "90%", "fpr": "5%", "latency": "50ms", "f1_ratio": 1, "by": "interval",
        "too_few": "accept", "leave_out": ["latency"], "max_age": "7d",
    }));
    let rules = gate.expect("a gate").rules;
    assert_eq!((rules.by, rules.too_few), (By::Interval, TooFew::Accept));
    assert_eq!(rules.leave_out, [Requirement::Latency]);
    assert_eq!(
        (rules.f1_ratio, rules.max_age),
        (1.0, Span::from_hours(168))
    );
    assert_eq!(rules.recall.to_string(), "90%");
}

#[test]
fn requirements_that_cannot_be_meant_are_refused() {
    for (gate, field, way_out) in [
        (json!({"recall": 0.95}), "gate.recall", "like \"1%\""),
        (json!({"recall": "100%"}), "gate.recall", "below 100%"),
        (json!({"fpr": "0%"}), "gate.fpr", "above 0%"),
        (json!({"latency": "0ms"}), "gate.latency", "100ms"),
        (json!({"f1_ratio": 0}), "gate.f1_ratio", "like 1.01"),
        (
            json!({"f1_ratio": "1.01"}),
            "gate.f1_ratio",
            "a number, like 1.5",
        ),
        (json!({"by": "luck"}), "gate.by", "estimate"),
        (
            json!({"leave_out": ["speed"]}),
            "gate.leave_out[0]",
            "latency",
        ),
        (
            json!({"leave_out": ["recall", "fpr", "latency", "f1_ratio"]}),
            "gate.leave_out",
            "leave the gate itself out",
        ),
        (json!({"max_age": "0s"}), "gate.max_age", "at least 1m"),
        (json!({"treshold": 1}), "gate.treshold", "unknown field"),
    ] {
        assert_refused(&json!({"gate": gate}), field, way_out);
    }
}

#[test]
fn results_that_cannot_be_are_refused() {
    let rows = json!({"both": 100_000_001, "champion": 0, "challenger": 0, "neither": 0});
    let full = json!({"both": u64::MAX, "champion": 1, "challenger": 0, "neither": 0});
    for (change, field, way_out) in [
        (
            json!({"model": ""}),
            "gate.results.model",
            "the name of a model",
        ),
        (
            json!({"champion": "ü"}),
            "gate.results.champion",
            "the name of a model",
        ),
        (
            json!({"compared_at": "today"}),
            "gate.results.compared_at",
            "`today` is not a time",
        ),
        (
            json!({"predictions": "abc"}),
            "gate.results.predictions",
            "64 hexadecimal",
        ),
        (json!({"positives": rows}), "gate.results", "draw from them"),
        (json!({"positives": full}), "gate.results", "draw from them"),
        (
            json!({"positives": {"both": -1}}),
            "gate.results.positives.both",
            "-1",
        ),
        (
            json!({"latency": {"rows": 10, "p95_ms": 5, "low_ms": 6}}),
            "gate.results.latency",
            "and rise",
        ),
        (
            json!({"latency": {"rows": 10_001, "p95_ms": 5}}),
            "gate.results.latency.rows",
            "10000 in all",
        ),
        (
            json!({"verdict": "passed"}),
            "gate.results.verdict",
            "unknown field",
        ),
    ] {
        assert_refused(&results(&change), field, way_out);
    }
    assert!(read(&results(&json!({}))["gate"]).is_some());
}
