//! The schema and the parser, on the same documents.
//!
//! What the parser takes the schema must take: a client that validates first would otherwise be kept from
//! something that works. What the schema takes but the parser refuses must be refused for a reason that
//! no schema can state; those reasons are listed, and a refusal that is not on the list is a gap.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use shared::wire::api::{CommandBody, LONGEST_REASON, WeightBody};
use shared::wire::specification::{self, SpecificationError, from_yaml, parse};
use simulator::malformed::{self, Choices};
use tests::openapi::mismatches;
use tests::{specification, specification_with};

const SPECIFICATION: &str = "/components/schemas/Specification";

/// Reasons that no schema can state.
const BEYOND_A_SCHEMA: &[&str] = &[
    // Sizes of numbers that are written as texts.
    "is longer than a year",
    "is not a duration",
    "is not a latency",
    "alpha is the share of healthy rollouts",
    "blind_limit is one minute",
    "limit is the highest share",
    "counts the values above low and up to high",
    "a number of instances from min to 1000",
    "at most 24h",
    "every is from 5m to 24h",
    "the watch after a completion lasts",
    // Times of day and time zones.
    "not a change window",
    // Lengths in bytes.
    "at most 100 names of CloudWatch alarms",
    "the specification is larger than",
    "a JSON pointer inside one prediction",
    "a label has 1 to 64 bytes",
    "a text of 1 to 128 bytes without control characters",
    "above 0% and below 100%",
    "at least 1m",
    // Times.
    "is not a time",
    // Sums, and figures that rise.
    "draw from them",
    "are milliseconds from 0 on, and rise",
    "rows with a latency, and",
    // One field against another.
    "leave the gate itself out",
    "is there twice; keep one",
    "longer than the deadline",
    "does not rise above",
    "each below the one before",
    "a plan ends at 100",
    "bake is zero",
    "judges nothing",
    "another check has this name",
    "the same counts as in of",
    "can't be told apart",
    "policy.accept_baseline says the opposite",
    "shows a canary to be below 0%",
    "needs model_signals",
    "needs scores",
    "needs policy.accuracy",
    "positive_from says the same of scores",
    "measures nothing",
    // Rates that leave nothing to judge.
    "a share above \"0%\" and below \"100%\"",
    // Placeholders, and what is filled in for them.
    "placeholders are written in lower case",
    "names of up to 63 filled in",
];

fn shape_of(document: &Value) -> Vec<String> {
    mismatches(SPECIFICATION, document)
}

#[track_caller]
fn assert_agreed(document: &Value) -> bool {
    let mismatches = shape_of(document);
    match parse(document) {
        Ok(_) => {
            assert_eq!(
                mismatches,
                Vec::<String>::new(),
                "the parser takes {document}"
            );
            true
        }
        Err(SpecificationError { field, detail }) => {
            let is_beyond = BEYOND_A_SCHEMA.iter().any(|reason| detail.contains(reason));
            assert!(
                is_beyond || !mismatches.is_empty(),
                "the schema takes what is refused at {field}: {detail}: {document}"
            );
            false
        }
    }
}

/// With nearly every field there is, and the other ways to write a plan.
fn corpus() -> Vec<Value> {
    let checks = json!([{
        "name": "wrong_predictions",
        "bad": {"namespace": "Canary/Model", "metric": "Wrong", "stat": "TC(0.5:2)", "dimensions": {"Arm": "{variant}"}},
        "of": {"namespace": "Canary/Model", "metric": "Judged", "stat": "SampleCount"},
        "limit": "3%", "compare": true, "direction": "lower_is_worse", "min_samples": 0,
        "severity": "low", "on_breach": "notify", "muted": false,
    }]);
    let whole = json!({
        "endpoint": "wine-quality", "model": "wine-quality-v2",
        "canary": {"instances": 2, "instance_type": "ml.c6i.large"},
        "plan": {
            "stages": [{"weight": 10, "bake": "10m", "approval": true}, {"weight": 50, "bake": "1h"}, {"weight": 100}],
            "soak": "10m", "deadline": "2d", "change_windows": ["Mon-Thu 09:00-17:00 Europe/Berlin"],
        },
        "policy": {
            "error_rate": {"limit": "1%", "worse_by": "0.5%", "for": "5m", "severity": "high"},
            "latency_p99": {"limit": "100ms", "ratio": 2.0, "checks": 3, "on_breach": "hold"},
            "latency_p50": {"limit": "1.5s", "muted": true},
            "comparison": {"alpha": "1%", "tolerate": 1.25, "errors": {"severity": "medium"}},
            "min_samples": 500, "safe_gate": false, "blind_limit": "15m",
            "alarms": ["wine-down"], "on_drift": "restore", "checks": checks,
            "memory": {"limit": "90%", "for": "10m", "severity": "high", "on_breach": "hold", "muted": false},
        },
        "rollback": {"mode": "gradual", "weights": [25, 10], "every": "1h", "step_backs": 2},
        "watch": {"for": "7d"},
        "cleanup": {"after": "1h", "keep_old_variant": true},
        "notify": {"topic": "arn:aws:sns:eu-central-1:123456789012:releases"},
        "accept_baseline": true,
        "gate": {
            "recall": "90%", "fpr": "5%", "latency": "80ms", "f1_ratio": 1.0, "by": "interval",
            "too_few": "accept", "leave_out": ["fpr"], "max_age": "7d",
            "results": {
                "model": "wine-quality-v2", "champion": "wine-quality-v1",
                "compared_at": "2026-03-02T10:00:00Z",
                "predictions": "0".repeat(64),
                "positives": {"both": 900, "champion": 10, "challenger": 50, "neither": 40},
                "negatives": {"both": 100, "champion": 60, "challenger": 20, "neither": 8820},
                "latency": {"rows": 10_000, "p95_ms": 87.5, "low_ms": 86, "high_ms": 89.25},
            },
        },
        "preconditions": [
            {"name": "model_card", "link": "https://wiki.example.com/cards/wine?v=2#top", "by": "anna"},
        ],
    });
    let planned = |plan: Value| specification_with(json!({"plan": plan}));
    let yaml = [
        include_str!("../../../examples/wine-quality.yaml"),
        include_str!("../../../cli/src/demo/specifications/usual.yaml"),
        include_str!("../../../cli/src/demo/specifications/accuracy.yaml"),
        include_str!("../../../cli/src/demo/specifications/unfair.yaml"),
        include_str!("../../../cli/src/demo/specifications/costly.yaml"),
        include_str!("../../../cli/src/demo/specifications/drift.yaml"),
        include_str!("../../../cli/src/demo/specifications/rejected.yaml"),
        include_str!("../../../cli/src/demo/specifications/gradual.yaml"),
    ];
    let mut all = vec![
        whole,
        specification(),
        specification_with(json!({
            "plan": {"stages": [{"weight": 10, "bake": "10m", "min_labels": 200}, {"weight": 100}], "soak": "10m"},
            "routing": {"sticky": "user_id", "model_name": "wine", "salt": "2026"},
            "model_signals": {
                "score": "/score", "positive_from": 0.6,
                "group": {"attribute": "region", "labels": ["north", "south"]},
            },
            "policy": {
                "accuracy": {"limit": "85%", "min_labels": 100}, "recall": {"compare": true},
                "precision": {"limit": "70%", "muted": true}, "f1": {}, "false_positive_rate": {"limit": "2%", "compare": false},
                "fairness": {"demographic_parity": 0.1, "equal_opportunity": 0.1, "disparate_impact": 0.8, "min_samples": 50, "min_positives": 20},
                "drift": {"severity": "low"},
                "cost": {"prices": {"ml.c6i.large": 0.102}, "ratio": 1.5, "for": "1h"},
            },
        })),
        specification_with(
            json!({"model_signals": {"score": "/label", "positive_label": "fraud"}, "policy": {"accuracy": {}}}),
        ),
        planned(json!({"preset": "phased"})),
        planned(json!({"linear": {"initial": 10, "step": 20, "every": "10m"}})),
        planned(
            json!({"preset": "linear", "linear": {"initial": 1, "step": 99, "every": "1s"}, "stages": null}),
        ),
        json!({"endpoint": "w", "model": "m"}),
        json!({"endpoint": "w", "model_package": PACKAGE}),
        specification_with(json!({"model": null, "model_package": PACKAGE})),
        specification_with(json!({"rollback": {"mode": "immediate", "weights": null}})),
        specification_with(json!({"rollback": {"step_backs": 0}})),
    ];
    all.extend(yaml.map(|text| from_yaml(text).expect("YAML")));
    all
}

#[test]
fn every_valid_specification_has_the_shape() {
    for document in corpus() {
        assert!(assert_agreed(&document), "valid: {document}");
    }
}

#[test]
fn specifications_gone_wrong_are_taken_or_refused_by_both() {
    let corpus = corpus();
    let [taken, refused, by_both] = [(); 3].map(|()| AtomicUsize::new(0));
    let count = |counter: &AtomicUsize| counter.fetch_add(1, Ordering::Relaxed);
    bolero::check!()
        .with_iterations(6000)
        .with_max_len(96)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let valid = choices.of(&corpus);
            let Some(document) = malformed::value(valid, &mut choices) else {
                return;
            };
            if assert_agreed(&document) {
                count(&taken);
            } else {
                count(&refused);
                if !shape_of(&document).is_empty() {
                    count(&by_both);
                }
            }
        });
    // A schema that takes everything would pass, too.
    let [taken, refused, by_both] = [taken, refused, by_both].map(AtomicUsize::into_inner);
    assert!(
        taken > 100 && by_both * 2 > refused,
        "{taken} taken, {by_both} of {refused} refused by both"
    );
}

/// A field at its limit, and past it.
type Limit = (Value, Value);

/// A version of a model package.
const PACKAGE: &str = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/wine-quality/3";

/// A version whose number has so many digits.
fn package(digits: usize) -> String {
    let group = PACKAGE.trim_end_matches('3');
    format!("{group}{}", "9".repeat(digits))
}

/// So many characters.
fn long(length: usize) -> Value {
    "x".repeat(length).into()
}

fn limits_of_the_plan() -> Vec<Limit> {
    let field = |name: &str, value: Value| json!({name: value});
    let canary = |field: &str, value: Value| json!({"canary": {field: value}});
    let instance_type =
        |length: usize| canary("instance_type", format!("ml.{}", "x".repeat(length)).into());
    let last = || json!({"weight": 100});
    let rising = (1..100).map(|weight| json!({"weight": weight, "bake": "1s"}));
    let hundred: Vec<Value> = rising.chain([last()]).collect();
    let first = |weight: u8| json!([{"weight": weight, "bake": "1s"}, last()]);
    let plan = |plan: Value| json!({"plan": plan});
    vec![
        (field("endpoint", long(63)), field("endpoint", long(64))),
        (
            field("endpoint", json!("a-b")),
            field("endpoint", json!("-ab")),
        ),
        (field("model", json!("0")), field("model", json!("a_b"))),
        (
            field("model_package", json!(null)),
            field("model_package", json!(PACKAGE)),
        ),
        (
            json!({"model": null, "model_package": PACKAGE}),
            json!({"model": null, "model_package": format!("{PACKAGE}x")}),
        ),
        (
            json!({"model": null, "model_package": package(9)}),
            json!({"model": null, "model_package": package(10)}),
        ),
        (
            field("routing", json!({"sticky": "user_id"})),
            field("routing", json!({})),
        ),
        (
            field("routing", json!({"sticky": "user_id", "salt": long(128)})),
            field("routing", json!({"sticky": "user_id", "salt": long(129)})),
        ),
        (
            field("routing", json!({"sticky": "user_id", "model_name": "m"})),
            field("routing", json!({"sticky": "user_id", "model_name": ""})),
        ),
        (
            canary("instances", json!(1000)),
            canary("instances", json!(1001)),
        ),
        (canary("instances", json!(1)), canary("instances", json!(0))),
        (
            canary("instances", json!(2.0)),
            canary("instances", json!(2.5)),
        ),
        (instance_type(37), instance_type(38)),
        (
            json!({"hotfix": {"reason": "a\u{200d}b"}}),
            json!({"hotfix": {"reason": "\u{200d}"}}),
        ),
        (
            json!({"hotfix": {"reason": "süß 漢"}}),
            json!({"hotfix": {"reason": "a\u{202e}b"}}),
        ),
        (
            json!({"hotfix": {"reason": long(500)}}),
            json!({"hotfix": {"reason": long(501)}}),
        ),
        (
            json!({"notify": {"topic": "arn:a:sns:b:c:d"}}),
            json!({"notify": {"topic": "arn:a:sns:b:c:d:e"}}),
        ),
        (
            plan(json!({"stages": hundred})),
            plan(json!({"stages": []})),
        ),
        (
            plan(json!({"stages": first(1)})),
            plan(json!({"stages": first(0)})),
        ),
        (
            plan(json!({"preset": "quick"})),
            plan(json!({"preset": "quick", "stages": [last()]})),
        ),
    ]
}

fn limits_of_the_policy() -> Vec<Limit> {
    let policy = |field: &str, value: Value| json!({"policy": {field: value}});
    let errors = |guard: Value| policy("error_rate", guard);
    let tolerate = |ratio: f64| policy("comparison", json!({"tolerate": ratio}));
    let samples = |number: u64| policy("min_samples", number.into());
    let alarms = |count: usize| policy("alarms", json!(vec!["a"; count]));
    vec![
        (samples(1), samples(0)),
        (samples(1_000_000_000), samples(1_000_000_001)),
        (alarms(100), alarms(101)),
        (
            policy("alarms", json!([long(255)])),
            policy("alarms", json!([long(256)])),
        ),
        (alarms(0), policy("alarms", json!([""]))),
        (
            errors(json!({"checks": 1000})),
            errors(json!({"checks": 1001})),
        ),
        (errors(json!({"checks": 1})), errors(json!({"checks": 0}))),
        (errors(json!({"for": "1s"})), errors(json!({"for": "0s"}))),
        (
            errors(json!({"for": "1m", "checks": null})),
            errors(json!({"for": "1m", "checks": 1})),
        ),
        (
            errors(json!({"limit": "100%"})),
            errors(json!({"limit": "100.1%"})),
        ),
        (
            errors(json!({"limit": ".5 %"})),
            errors(json!({"limit": "-1%"})),
        ),
        (
            policy("latency_p50", json!({"ratio": 1})),
            policy("latency_p50", json!({"ratio": 0.99})),
        ),
        (
            policy("latency_p90", json!({"limit": "0.1ms"})),
            policy("latency_p90", json!({"limit": "0.0ms"})),
        ),
        (tolerate(100.0), tolerate(100.1)),
        (tolerate(1.0), tolerate(0.9)),
    ]
}

fn limits_of_checks() -> Vec<Limit> {
    let sound = |name: &str| {
        let (bad, of) = (
            json!({"namespace": "A", "metric": "B"}),
            json!({"namespace": "A", "metric": "C"}),
        );
        json!({"name": name, "bad": bad, "of": of})
    };
    let with = |checks: Vec<Value>| json!({"policy": {"checks": checks}});
    let check = |field: &str, value: Value| {
        let mut check = sound("c");
        check[field] = value;
        with(vec![check])
    };
    let metric = |field: &str, value: Value| {
        let mut check = sound("c");
        check["bad"][field] = value;
        with(vec![check])
    };
    let many = |count: usize| {
        with(
            (0..count)
                .map(|number| sound(&format!("c{number}")))
                .collect(),
        )
    };
    let dimensions = |count: usize| {
        let all = (0..count).map(|number| (format!("d{number}"), json!("{variant}")));
        metric("dimensions", Value::Object(all.collect()))
    };
    let valued = |length: usize| metric("dimensions", json!({"a": long(length), "b": "{variant}"}));
    let statistic = |text: &str| metric("stat", text.into());
    vec![
        (many(20), many(21)),
        (check("name", long(40)), check("name", long(41))),
        (
            check("name", json!("error")),
            check("name", json!("errors")),
        ),
        (
            check("min_samples", json!(0)),
            check("min_samples", json!(1_000_000_001)),
        ),
        (
            metric("namespace", long(255)),
            metric("namespace", long(256)),
        ),
        (
            metric("namespace", json!(" a:")),
            metric("namespace", json!(":a")),
        ),
        (
            metric("namespace", json!(" a")),
            metric("namespace", json!("  ")),
        ),
        (
            metric("metric", "é".repeat(255).into()),
            metric("metric", "é".repeat(256).into()),
        ),
        (
            metric("metric", json!("a b")),
            metric("metric", json!("a\u{85}b")),
        ),
        (statistic("TC(0.5:)"), statistic("Average")),
        (
            statistic("TC(:1.0123456789)"),
            statistic("TC(:1.01234567891)"),
        ),
        (dimensions(28), dimensions(29)),
        (valued(1024), valued(1025)),
    ]
}

/// Wholly valid but for one field.
#[test]
fn limits_are_the_same() {
    let limits = [
        limits_of_the_plan(),
        limits_of_the_policy(),
        limits_of_checks(),
    ];
    for (within, past) in limits.concat() {
        let (within, past) = (specification_with(within), specification_with(past));
        assert!(
            assert_agreed(&within),
            "{:?}: {within:.300}",
            parse(&within)
        );
        assert!(!assert_agreed(&past), "{past:.300}");
        assert!(!shape_of(&past).is_empty(), "the schema takes {past:.300}");
    }
}

/// Texts that a person may well write, good and bad.
#[test]
fn written_quantities_are_read_alike() {
    let durations = [
        "10m", " 10m ", "0s", "366d", "007h", "10 m", "1.5h", "m", "", "10", "-1s", "+1s", "1h30m",
        "١m", "10M", "\t1d\n",
    ];
    let rates = [
        "1%",
        "0%",
        "100%",
        "0.5 %",
        " 1% ",
        "00100.00%",
        "1.%",
        ".5%",
        "%",
        "1",
        "101%",
        "1e1%",
        "-1%",
        "1.2.3%",
        "1\u{a0}%",
        "\u{85}1%",
        "1%\u{feff}",
        "NaN%",
        ".%",
    ];
    let latencies = [
        "100ms", "1.5s", "0.001ms", " 5 s ", "0s", "0.0ms", ".5ms", "5.ms", "ms", "5", "5us",
        "1e3ms", "inf s",
    ];
    let windows = [
        "Mon-Thu 09:00-17:00 Europe/Berlin",
        "Sun 0:00-24:00 UTC",
        "  Fri-Mon   22:00-23:59  America/New_York ",
        "mon 09:00-17:00 UTC",
        "Mon 9-17 UTC",
        "Mon 09:00-17:00",
        "Mon 17:00-09:00 UTC",
        "Mon 09:00-25:00 UTC",
        "Mon 09:00-17:00 Nowhere/Town",
        "Mon- 09:00-17:00 UTC",
        "Mon +9:00-17:00 UTC",
        "Mon 009:00-17:00 UTC",
    ];
    let mut taken = 0;
    for text in durations {
        taken += usize::from(assert_agreed(&specification_with(
            json!({"cleanup": {"after": text}}),
        )));
    }
    for text in rates {
        taken += usize::from(assert_agreed(&specification_with(
            json!({"policy": {"error_rate": {"worse_by": text}}}),
        )));
    }
    for text in latencies {
        taken += usize::from(assert_agreed(&specification_with(
            json!({"policy": {"latency_p95": {"limit": text}}}),
        )));
    }
    for text in windows {
        taken += usize::from(assert_agreed(&specification_with(
            json!({"plan": {"change_windows": [text]}}),
        )));
    }
    assert!(taken > 20, "{taken}");
}

#[test]
fn commands_gone_wrong_are_taken_or_refused_by_both() {
    let valid = json!({"weight": 25, "reason": "a slow day"});
    bolero::check!()
        .with_iterations(2000)
        .with_max_len(64)
        .for_each(|bytes: &[u8]| {
            let Some(document) = malformed::value(&valid, &mut Choices::new(bytes)) else {
                return;
            };
            let fits = |name: &str| {
                mismatches(&format!("/components/schemas/{name}"), &document).is_empty()
            };
            let reason = |text: Option<String>| {
                text.is_none_or(|text| text.chars().count() <= LONGEST_REASON)
            };
            let weight = specification::typed::<WeightBody>(&document)
                .is_ok_and(|body| (1..=100).contains(&body.weight) && reason(body.reason));
            assert_eq!(weight, fits("WeightChange"), "{document}");
            let command = specification::typed::<CommandBody>(&document)
                .is_ok_and(|body| reason(body.reason));
            assert_eq!(command, fits("Command"), "{document}");
        });
}
