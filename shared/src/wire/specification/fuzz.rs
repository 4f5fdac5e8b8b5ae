//! A specification that nobody meant, as JSON and as YAML: never a panic, never more than a moment,
//! and an error that names the field and can be shown to a person.
//!
//! Each property draws its inputs at random, as many as its `with_iterations` says.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulator::malformed::{self, Choices};

use super::{SpecificationError, from_yaml, parse};
use crate::domain::policy::Policy;
use crate::domain::retreat::Rollback;
use crate::domain::specification::Specification;

/// With nearly every field there is.
fn whole() -> Value {
    json!({
        "endpoint": "wine-quality",
        "model": "wine-quality-v2",
        "canary": {"instances": 2, "instance_type": "ml.c6i.large", "autoscaling": {"min": 1, "max": 4, "invocations_per_instance": 200, "scale_in_cooldown": "5m", "scale_out_cooldown": "1m"}},
        "plan": {
            "stages": [{"weight": 10, "bake": "10m", "approval": true}, {"weight": 50, "bake": "1h"}, {"weight": 100}],
            "soak": "10m", "deadline": "2d",
            "change_windows": ["Mon-Thu 09:00-17:00 Europe/Berlin"],
        },
        "policy": {
            "error_rate": {"limit": "1%", "worse_by": "0.5%", "for": "5m", "severity": "high"},
            "latency_p99": {"limit": "100ms", "ratio": 2.0, "checks": 3, "on_breach": "hold"},
            "latency_p50": {"limit": "1.5s", "muted": true},
            "comparison": {"alpha": "1%", "tolerate": 1.25, "errors": {"severity": "medium"}},
            "min_samples": 500, "safe_gate": false, "blind_limit": "15m",
            "alarms": ["wine-down"], "on_drift": "restore",
            "memory": {"limit": "90%", "for": "10m", "severity": "high", "on_breach": "hold", "muted": false},
            "checks": [{
                "name": "wrong_predictions",
                "bad": {"namespace": "Canary/Model", "metric": "Wrong", "stat": "TC(0.5:2)", "dimensions": {"Arm": "{variant}"}},
                "of": {"namespace": "Canary/Model", "metric": "Judged", "stat": "SampleCount"},
                "limit": "3%", "compare": true, "direction": "lower_is_worse", "min_samples": 0,
            }],
        },
        "rollback": {"mode": "gradual", "weights": [25, 10], "every": "1h", "step_backs": 2},
        "watch": {"for": "7d"},
        "cleanup": {"after": "1h", "keep_old_variant": true},
        "notify": {
            "topic": "arn:aws:sns:eu-central-1:123456789012:releases",
            "audiences": {"finops": "arn:aws:sns:eu-central-1:123456789012:costs"},
        },
        "accept_baseline": true,
    })
}

/// The other ways to write a plan.
fn others() -> [Value; 2] {
    let with = |plan: Value| json!({"endpoint": "wine", "model": "wine-v2", "plan": plan});
    [
        with(json!({"preset": "phased"})),
        with(json!({"linear": {"initial": 10, "step": 20, "every": "10m"}})),
    ]
}

fn assert_shows(error: &SpecificationError) {
    let text = error.to_string();
    assert!(!error.detail.is_empty(), "{error:?}");
    assert!(
        !text.chars().any(char::is_control),
        "shown on terminals and in logs: {text:?}"
    );
    let characters = text.chars().count();
    assert!(characters < 1500, "{characters} characters: {text:.300}");
}

/// What was accepted is kept as text, and must come back as it was.
fn assert_comes_back(specification: &Specification) {
    let policy = serde_json::to_string(&specification.policy).expect("a policy is JSON");
    let again: Policy = serde_json::from_str(&policy).expect("what was written can be read");
    assert_eq!(again, specification.policy);
    let plan = serde_json::to_string(&specification.plan).expect("a plan is JSON");
    assert_eq!(
        serde_json::from_str::<crate::domain::plan::Plan>(&plan).expect("a plan"),
        specification.plan
    );
    let rollback = serde_json::to_string(&specification.rollback).expect("a way back is JSON");
    let again: Rollback = serde_json::from_str(&rollback).expect("what was written can be read");
    assert_eq!(again, specification.rollback);
    let shortest = specification.plan.shortest();
    assert!(shortest <= specification.plan.deadline, "{shortest}");
}

#[test]
fn every_document_is_read_or_refused_with_its_field() {
    let documents = [whole(), others()[0].clone(), others()[1].clone()];
    for document in &documents {
        parse(document).expect("valid before it is broken");
    }
    bolero::check!()
        .with_iterations(1500)
        .with_max_len(96)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let valid = choices.of(&documents);
            let Some(document) = malformed::value(valid, &mut choices) else {
                return;
            };
            match parse(&document) {
                Ok(specification) => assert_comes_back(&specification),
                Err(error) => {
                    assert_shows(&error);
                    let names_one = !error.field.is_empty()
                        || !document.is_object()
                        || error.detail.contains("larger than")
                        // A name that can't be shown.
                        || error.detail.starts_with("unknown field ``");
                    assert!(names_one, "no field: {error:?} for {document}");
                }
            }
        });
}

#[test]
fn every_text_is_yaml_or_refused() {
    let (json, block) = (whole().to_string(), BLOCK);
    assert_eq!(
        from_yaml(block).and_then(|value| parse(&value)).map(drop),
        Ok(())
    );
    bolero::check!()
        .with_iterations(1500)
        .with_max_len(96)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let text = match choices.below(4) {
                0 => malformed::json(&whole(), &mut choices),
                1 => malformed::text(&json, &mut choices),
                2 => malformed::text(block, &mut choices),
                _ => String::from_utf8_lossy(&malformed::bytes(block.as_bytes(), &mut choices))
                    .into_owned(),
            };
            match from_yaml(&text).and_then(|value| parse(&value)) {
                Ok(specification) => assert_comes_back(&specification),
                Err(error) => assert_shows(&error),
            }
        });
}

/// As a person writes it.
const BLOCK: &str = r#"# The first rollout of the new model.
endpoint: wine-quality
model: wine-quality-v2
plan:
  stages:
    - {weight: 10, bake: 10m}
    - weight: 100
  soak: 10m
policy: &policy
  error_rate:
    limit: 1%
  comparison:
    tolerate: 1.25
  checks:
    - name: wrong
      bad: {namespace: Canary/Model, metric: Wrong, dimensions: {Arm: "{variant}"}}
      of:
        namespace: Canary/Model
        metric: >-
          Judged
notify: {}
"#;

#[track_caller]
fn assert_refused_at_once(text: &str) -> SpecificationError {
    let started = Instant::now();
    let error = from_yaml(text)
        .and_then(|value| parse(&value))
        .expect_err("must be refused");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}: {error}");
    assert_shows(&error);
    error
}

#[test]
fn aliases_that_grow_are_refused_at_once() {
    let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let before = level - 1;
        let aliases = vec![format!("*a{before}"); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").expect("a string takes everything");
    }
    assert_refused_at_once(&bomb);
    assert_refused_at_once("endpoint: &x [*x]\n");
    let merged = (0..2000).fold(String::from("a: &a {b: c}\n"), |text, number| {
        format!("{text}k{number}: {{<<: *a}}\n")
    });
    assert_refused_at_once(&merged);
}

#[test]
fn depth_is_refused_and_not_followed() {
    for depth in [129, 1000, 10_000] {
        let brackets = malformed::nested(depth);
        assert_refused_at_once(&brackets);
        assert_refused_at_once(&format!("endpoint: {brackets}"));
        assert_refused_at_once(&"{a: ".repeat(depth));
        assert_refused_at_once(&"- ".repeat(depth));
    }
    let stairs = (0..340).fold(String::new(), |text, level| {
        format!("{text}{}a:\n", " ".repeat(level))
    });
    assert_refused_at_once(&stairs);
}

#[test]
fn what_no_number_is_is_no_default() {
    for (tolerate, written) in [
        (".nan", "nan"),
        (".inf", "inf"),
        ("1e400", "1e400"),
        ("-.inf", "-inf"),
    ] {
        let text = format!(
            "endpoint: wine\nmodel: wine-v2\npolicy: {{comparison: {{tolerate: {tolerate}}}}}\n"
        );
        let error = assert_refused_at_once(&text);
        assert!(
            error.field.is_empty() || error.field == "policy.comparison.tolerate",
            "{written}: {error:?}"
        );
    }
}

#[test]
fn a_key_that_stands_twice_in_yaml_is_refused() {
    let error = assert_refused_at_once("endpoint: wine\nmodel: a\nplan: {soak: 1m, soak: 2m}\n");
    assert!(error.detail.contains("soak"), "{error}");
}
