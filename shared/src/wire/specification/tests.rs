//! What is said of a specification that has another shape: in the words of a specification, with the field,
//! with an example that works, and with what was given.

use serde_json::{Value, json};

use super::raw::Raw;
use super::{Unreadable, from_json, from_yaml, parse, typed};

/// With everything that consists of fields.
fn whole() -> Value {
    let metric = |name: &str| json!({"namespace": "Shop", "metric": name, "dimensions": {"Arm": "{variant}"}});
    let rows = json!({"both": 900, "champion": 10, "challenger": 50, "neither": 40});
    let limit = json!({"limit": "85%"});
    json!({
        "endpoint": "wine-quality", "model": "wine-quality-v2",
        "canary": {"instances": 2, "autoscaling": {"min": 1, "max": 4}},
        "plan": {
            "linear": {"initial": 10, "step": 10, "every": "10m"},
            "stages": [{"weight": 10, "bake": "10m", "approval": true, "min_labels": 5}, {"weight": 100}],
            "soak": "10m", "change_windows": ["Mon-Thu 09:00-17:00 Europe/Berlin"],
        },
        "policy": {
            "error_rate": {"limit": "1%", "checks": 2, "severity": "high", "on_breach": "hold"},
            "latency_p50": {"limit": "1s"}, "latency_p90": {"limit": "1s"},
            "latency_p95": {"limit": "1s"}, "latency_p99": {"limit": "1s", "ratio": 2.0},
            "comparison": {"alpha": "1%", "errors": {"severity": "low"}, "client_errors": {}, "slowness": {}},
            "min_samples": 500, "safe_gate": false, "blind_limit": "15m", "alarms": ["wine-down"],
            "on_drift": "restore",
            "checks": [{"name": "refunds", "bad": metric("Refunds"), "of": metric("Orders"), "direction": "lower_is_worse"}],
            "accuracy": limit, "recall": limit, "precision": limit, "f1": limit, "false_positive_rate": limit,
            "fairness": {"demographic_parity": 0.1}, "drift": {"severity": "low"},
            "unread_predictions": {"muted": true}, "memory": {"limit": "90%"},
            "cost": {"prices": {"small": 0.1}, "ratio": 1.5},
        },
        "rollback": {"mode": "gradual", "weights": [25, 10], "every": "1h", "step_backs": 2},
        "watch": {"for": "7d"},
        "cleanup": {"after": "1h", "keep_old_variant": true},
        "notify": {"topic": "arn:aws:sns:a:b:c", "audiences": {"finops": "arn:aws:sns:a:b:c"}},
        "routing": {"sticky": "user_id", "salt": "2026"},
        "model_signals": {"score": "/score", "positive_from": 0.5, "group": {"attribute": "region", "labels": ["a", "b"]}},
        "gate": {
            "recall": "90%", "latency": "80ms", "f1_ratio": 1.0, "by": "interval", "leave_out": ["fpr"],
            "results": {
                "model": "wine-quality-v2", "compared_at": "2026-03-02T10:00:00Z",
                "positives": rows, "negatives": rows, "latency": {"rows": 10, "p95_ms": 87.5},
            },
        },
        "preconditions": [{"name": "model_card", "link": "https://wiki.example.com/cards", "by": "anna"}],
        "hotfix": {"reason": "v1 leaks connections"},
    })
}

/// The pointers to everything in it, the document itself apart.
fn places(value: &Value, pointer: &str, all: &mut Vec<String>) {
    let mut inner: Vec<(String, &Value)> = Vec::new();
    match value {
        Value::Object(fields) => {
            inner.extend(fields.iter().map(|(name, value)| (name.clone(), value)));
        }
        Value::Array(items) => {
            inner.extend(
                items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| (at.to_string(), item)),
            );
        }
        _ => {}
    }
    for (name, value) in inner {
        let place = format!("{pointer}/{name}");
        all.push(place.clone());
        places(value, &place, all);
    }
}

/// `/plan/stages/0` as a field is named: `plan.stages[0]`.
fn path(pointer: &str) -> String {
    let parts = pointer.split('/').filter(|part| !part.is_empty());
    parts.fold(String::new(), |path, part| match part.parse::<usize>() {
        Ok(index) => format!("{path}[{index}]"),
        Err(_) if path.is_empty() => part.to_owned(),
        Err(_) => format!("{path}.{part}"),
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut document = whole();
    *document.pointer_mut(pointer).expect("a place") = value;
    document
}

#[test]
fn whatever_stands_in_the_wrong_place_is_told_without_the_names_of_types() {
    let _: Raw = typed(&whole()).expect("everything has its shape");
    let mut all = Vec::new();
    places(&whole(), "", &mut all);
    assert!(all.len() > 120, "{}", all.len());
    let mut refused = 0;
    for pointer in &all {
        for strange in [
            json!("strange"),
            json!(-7.5),
            json!(true),
            json!(null),
            json!([[]]),
            json!({"strange": 1}),
        ] {
            let document = with(pointer, strange.clone());
            let Err(error) = typed::<Raw>(&document) else {
                continue;
            };
            refused += 1;
            let field = path(pointer);
            assert!(
                error.field.starts_with(&field),
                "{error} of {field}: {strange}"
            );
            for word in [
                "struct",
                "Raw",
                "enum",
                "variant ",
                "expected",
                "invalid type",
                "sequence",
                " map",
                "boolean",
                "integer",
                "string",
                "f64",
                "u32",
                "u64",
                "null",
            ] {
                assert!(!error.detail.contains(word), "{word} in {error}");
            }
        }
    }
    assert!(refused > 500, "{refused}");
}

/// What an error gives as an example can be put in place of what was wrong.
#[test]
fn every_example_is_taken() {
    let mut all = Vec::new();
    places(&whole(), "", &mut all);
    let objects = all.iter().filter(|place| {
        let object = whole().pointer(place).is_some_and(Value::is_object);
        // They have names of the writer's own, or are what a program prints.
        object
            && !place.ends_with("/dimensions")
            && !place.ends_with("/prices")
            && !place.ends_with("/results")
    });
    let mut seen = 0;
    for place in objects {
        let error = typed::<Raw>(&with(place, json!(7)))
            .map(drop)
            .expect_err(place);
        let example = error.detail.split(" such as ").nth(1);
        let example = example.and_then(|rest| rest.strip_suffix(", not 7"));
        let example = example.unwrap_or_else(|| panic!("no example in {error}"));
        let example: Value =
            serde_json::from_str(example).unwrap_or_else(|why| panic!("{why}: {example}"));
        let fits = typed::<Raw>(&with(place, example.clone())).map(drop);
        assert_eq!(fits, Ok(()), "{place}: {example}");
        let yaml = from_yaml(&format!("it: {example}\n")).expect("JSON is YAML");
        assert_eq!(yaml["it"], example);
        seen += 1;
    }
    assert!(seen > 35, "{seen}");
}

/// And where it needs no other field, it makes a specification that says nothing senseless.
#[test]
fn an_example_by_itself_makes_a_specification() {
    for place in [
        "canary",
        "plan",
        "plan/linear",
        "policy",
        "policy/error_rate",
        "policy/latency_p95",
        "policy/memory",
        "policy/comparison",
        "policy/comparison/errors",
        "policy/checks/0",
        "rollback",
        "watch",
        "cleanup",
        "notify",
        "notify/audiences",
        "routing",
        "model_signals",
        "gate",
        "hotfix",
    ] {
        let error = typed::<Raw>(&with(&format!("/{place}"), json!(7)))
            .map(drop)
            .expect_err(place);
        let example = error.detail.split(" such as ").nth(1);
        let example = example.and_then(|rest| rest.strip_suffix(", not 7"));
        let example = example.unwrap_or_else(|| panic!("no example in {error}"));
        let example: Value = serde_json::from_str(example).expect("an example is JSON");
        let part = place.rsplit('/').fold(example, |inner, name| match name {
            "0" => json!([inner]),
            name => json!({name: inner}),
        });
        let mut document = json!({"endpoint": "wine-quality", "model": "wine-quality-v2"});
        let fields = document.as_object_mut().expect("an object");
        fields.extend(part.as_object().expect("a field").clone());
        assert_eq!(parse(&document).map(drop), Ok(()), "{place}: {document}");
    }
}

/// As people write it who have read the documents once.
#[test]
fn a_short_form_is_answered_with_the_long_one() {
    let wrong = |line: &str| {
        let text = format!("endpoint: wine\nmodel: wine-v2\n{line}\n");
        let error = from_yaml(&text)
            .and_then(|value| parse(&value).map(drop))
            .expect_err(line);
        error.to_string()
    };
    for (line, said) in [
        (
            "plan: linear",
            r#"plan: this must be a plan, such as {"preset": "linear"}, not the text `linear`"#,
        ),
        (
            "policy: {error_rate: 1%}",
            r#"policy.error_rate: this must be a limit of errors, such as {"limit": "1%"}, not the text `1%`"#,
        ),
        (
            "plan: {stages: [10, 50]}",
            r#"plan.stages[0]: this must be a stage, such as {"weight": 10, "bake": "1h"}, not 10"#,
        ),
        (
            "rollback: gradual",
            r#"rollback: this must be a way back, such as {"mode": "gradual", "weights": [25, 10], "every": "1h"}, not the text `gradual`"#,
        ),
        (
            "cleanup: 1h",
            r#"cleanup: this must be what is left behind and for how long, such as {"after": "1h"}, not the text `1h`"#,
        ),
        (
            "notify: arn:aws:sns:a:b:c",
            r#"notify: this must be who is told, such as {"topic": "arn:aws:sns:eu-central-1:123456789012:releases"}, not the text `arn:aws:sns:a:b:c`"#,
        ),
        (
            "plan:",
            r#"plan: this must be a plan, such as {"preset": "linear"}, not empty"#,
        ),
        (
            "plan: {soak: [1h]}",
            r#"plan.soak: this must be a duration with its unit, like "90s", "10m", "1h" or "7d", not a list"#,
        ),
        (
            "policy: {alarms: wine-down}",
            r#"policy.alarms: this must be a list, like ["one", "two"], not the text `wine-down`"#,
        ),
        (
            "policy: {accept_baseline: yes}",
            "policy.accept_baseline: this must be true or false, not the text `yes`",
        ),
        (
            "rollback: {mode: slow}",
            "rollback.mode: this must be one of `immediate`, `gradual`, not the text `slow`",
        ),
    ] {
        assert_eq!(wrong(line), said);
    }
}

#[test]
fn nothing_at_all_is_told_what_it_needs() {
    for text in ["", "\n\n", "# nothing yet\n", "---\n", "~"] {
        let error = from_yaml(text).expect_err("there is nothing");
        assert!(
            error.detail.contains("at least `endpoint` and `model`"),
            "{error}"
        );
        assert_eq!(error.field, "");
    }
    let error = parse(&Value::Null).expect_err("there is nothing");
    assert!(
        error.detail.starts_with("the specification is empty"),
        "{error}"
    );
    let error = parse(&json!([])).expect_err("no specification");
    assert!(
        error
            .detail
            .starts_with("this must be a specification, such as {\"endpoint\""),
        "{error}"
    );
    assert!(error.detail.ends_with(", not a list"), "{error}");
    let error = parse(&json!({})).expect_err("there is nothing");
    assert_eq!(
        (error.field.as_str(), error.detail.as_str()),
        ("endpoint", "missing field `endpoint`")
    );
    let error = parse(&json!({".": "1%"})).expect_err("nobody knows it");
    assert_eq!(
        error.field, ".",
        "a field of that name and not the whole: {error}"
    );
}

#[test]
fn a_body_that_is_no_json_says_where_and_what_to_look_for() {
    for empty in ["", " \n"] {
        let said = from_json(empty.as_bytes()).expect_err("there is nothing");
        assert!(matches!(said, Unreadable::Empty), "{said}");
    }
    for (text, place) in [
        ("{", "line 1 column 1"),
        ("{\"a\": 1\n\"b\": 2}", "line 2 column 1"),
    ] {
        let said = from_json(text.as_bytes()).expect_err("no JSON").to_string();
        assert!(
            said.starts_with("the body is not JSON: ") && said.contains(place),
            "{said}"
        );
        assert!(
            said.ends_with("check the quotes, commas and brackets there"),
            "{said}"
        );
    }
}
