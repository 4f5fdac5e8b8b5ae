//! Severities, actions, the safe gate and the accepted baseline.

use serde_json::{Value, json};

use super::{assert_policy_refused, assert_refused, of_guard, of_signal, read, read_policy};
use crate::domain::policy::{Action, Consequence, Grade, Policy, Sustain, Test};
use crate::domain::signal::SignalRule;

fn consequence(severity: Grade, on_breach: Action, muted: bool) -> Consequence {
    Consequence {
        severity,
        on_breach,
        muted,
    }
}

/// What is said, and what it comes to.
fn said() -> Vec<(Value, Consequence)> {
    use Action::{Hold, Notify, Rollback, StepBack};
    use Grade::{Critical, High, Low, Medium};
    vec![
        (json!({}), consequence(High, Rollback, false)),
        (
            json!({"severity": "critical"}),
            consequence(Critical, Rollback, false),
        ),
        (
            json!({"severity": "high"}),
            consequence(High, Rollback, false),
        ),
        (
            json!({"severity": "medium"}),
            consequence(Medium, StepBack, false),
        ),
        (json!({"severity": "low"}), consequence(Low, Notify, false)),
        (
            json!({"on_breach": "rollback"}),
            consequence(High, Rollback, false),
        ),
        (
            json!({"on_breach": "step_back"}),
            consequence(High, StepBack, false),
        ),
        (json!({"on_breach": "hold"}), consequence(High, Hold, false)),
        (
            json!({"on_breach": "notify"}),
            consequence(High, Notify, false),
        ),
        (
            json!({"severity": "low", "on_breach": "rollback"}),
            consequence(Low, Rollback, false),
        ),
        (
            json!({"severity": "critical", "on_breach": "hold", "muted": true}),
            consequence(Critical, Hold, true),
        ),
        (json!({"muted": true}), consequence(High, Rollback, true)),
        (json!({"muted": false}), consequence(High, Rollback, false)),
    ]
}

fn with(mut fields: Value, more: &Value) -> Value {
    let object = fields.as_object_mut().unwrap();
    object.extend(more.as_object().unwrap().clone());
    fields
}

#[test]
fn a_keys_consequence_is_that_of_all_its_guards() {
    for (words, expected) in said() {
        let errors = with(json!({"limit": "2%", "worse_by": "1%"}), &words);
        let latency = with(json!({"limit": "80ms", "ratio": 1.5}), &words);
        let policy = read_policy(&json!({"error_rate": errors, "latency_p50": latency})).unwrap();
        for name in [
            "error_rate.limit",
            "error_rate.worse_by",
            "latency_p50.limit",
            "latency_p50.ratio",
        ] {
            assert_eq!(of_guard(&policy, name), expected, "{name}: {words}");
        }
        for name in ["latency_p99.limit", "latency_p99.ratio"] {
            assert_eq!(of_guard(&policy, name), Consequence::default(), "{name}");
        }
    }
}

#[test]
fn a_presets_own_guards_take_a_consequence_and_keep_their_tests() {
    let policy = read_policy(&json!({"latency_p99": {"on_breach": "hold"}})).unwrap();
    assert_eq!(
        of_guard(&policy, "latency_p99.ratio").on_breach,
        Action::Hold
    );
    let guard = |name: &str| policy.guards.iter().find(|guard| guard.name == name);
    let limit = guard("latency_p99.limit").unwrap();
    assert!(matches!(limit.test, Test::LatencyAbove(_, limit) if limit.to_string() == "100ms"));
    assert_eq!(limit.sustain, Sustain::Checks(3));
}

#[test]
fn an_emergency_guard_is_weakened_by_nothing() {
    let words = json!({"severity": "low", "on_breach": "notify", "muted": true, "checks": 9});
    let policy = read(&json!({
        "plan": {"preset": "playbook"},
        "policy": {"error_rate": words, "latency_p95": words},
    }))
    .unwrap();
    let untouched = read(&json!({"plan": {"preset": "playbook"}})).unwrap();
    for name in ["error_rate.emergency", "latency_p95.emergency"] {
        let guard = |policy: &Policy| policy.guards.iter().find(|g| g.name == name).cloned();
        assert_eq!(guard(&policy), guard(&untouched), "{name}");
        let critical = Consequence::of(Grade::Critical);
        assert_eq!(of_guard(&policy, name), critical, "{name}");
    }
    assert!(of_guard(&policy, "error_rate.limit").muted);
    assert!(of_guard(&policy, "latency_p95.ratio").muted);
}

/// Document by document: at more than 5 % errors, and at twice production's latency, `phased` takes
/// everything back at once.
#[test]
fn phased_has_emergencies_of_which_one_is_weakened_by_nothing() {
    let plan = json!({"preset": "phased"});
    let policy = read(&json!({"plan": plan})).unwrap();
    let critical = Consequence::of(Grade::Critical);
    assert_eq!(of_guard(&policy, "error_rate.limit"), critical);
    assert_eq!(of_guard(&policy, "latency_p95.emergency"), critical);
    assert_eq!(
        of_guard(&policy, "latency_p95.ratio"),
        Consequence::default()
    );
    let words = json!({"severity": "medium"});
    let policy = read(&json!({
        "plan": plan,
        "policy": {"error_rate": words, "latency_p95": {"severity": "low", "ratio": 1.5}},
    }))
    .unwrap();
    let medium = Consequence::of(Grade::Medium);
    assert_eq!(of_guard(&policy, "error_rate.limit"), medium);
    assert_eq!(of_guard(&policy, "latency_p95.emergency"), critical);
    let low = Consequence::of(Grade::Low);
    assert_eq!(of_guard(&policy, "latency_p95.ratio"), low);
}

#[test]
fn memory_is_part_of_the_playbook_and_of_whatever_names_it() {
    let memory = |plan: &str, policy: Value| {
        let given = json!({"plan": {"preset": plan}, "policy": policy});
        read(&given).unwrap().memory
    };
    for preset in ["linear", "quick", "phased"] {
        assert_eq!(memory(preset, json!({})), None, "{preset}");
    }
    let usual = memory("playbook", json!({})).unwrap();
    assert_eq!(memory("linear", json!({"memory": {}})).unwrap(), usual);
    assert_eq!(usual.to_string(), "memory above 95% for 5m");
    assert_eq!(usual.consequence, Consequence::of(Grade::Critical));
    let own = json!({"memory": {"limit": "80%", "for": "30m", "on_breach": "hold"}});
    let own = memory("playbook", own).unwrap();
    assert_eq!(own.to_string(), "memory above 80% for 30m (hold)");
    assert_eq!(own.name, usual.name);
    for limit in ["0%", "100%"] {
        assert_policy_refused(
            &json!({"memory": {"limit": limit}}),
            "policy.memory.limit",
            "95%",
        );
    }
    assert_policy_refused(
        &json!({"memory": {"for": "0s"}}),
        "policy.memory.for",
        "above zero",
    );
    assert_policy_refused(
        &json!({"memory": {"checks": 3}}),
        "policy.memory.checks",
        "unknown field",
    );
}

/// A version from before it reads what it knows.
#[test]
fn a_record_with_a_limit_of_memory_is_read_without_it() {
    let policy = read(&json!({"plan": {"preset": "playbook"}})).unwrap();
    let mut record = serde_json::to_value(&policy).unwrap();
    let guards = record["guards"].to_string();
    assert!(!guards.contains("memory"), "{guards}");
    record.as_object_mut().unwrap().remove("memory");
    let back: Policy = serde_json::from_value(record).unwrap();
    assert_eq!(
        back,
        Policy {
            memory: None,
            ..policy
        }
    );
}

#[test]
fn each_signal_of_the_comparison_has_its_own_consequence() {
    for name in ["errors", "client_errors", "slowness"] {
        for (words, expected) in said() {
            let comparison = json!({"alpha": "2%", name: words});
            let policy = read_policy(&json!({"comparison": comparison})).unwrap();
            assert_eq!(of_signal(&policy, name), expected, "{words}");
            let rest = policy.signals.iter().filter(|rule| rule.name != name);
            assert!(rest.clone().count() == 2);
            for rule in rest {
                assert_eq!(rule.consequence, Consequence::default(), "{}", rule.name);
            }
            assert_eq!(policy.comparison.alpha.to_string(), "2%");
            assert!((policy.comparison.tolerate - 1.25).abs() < f64::EPSILON);
        }
    }
    let silent = read_policy(&json!({"comparison": {}})).unwrap();
    assert_eq!(silent.signals, SignalRule::built_in());
}

#[test]
fn consequences_that_are_none_are_refused_by_field() {
    for key in [
        "error_rate",
        "latency_p50",
        "latency_p90",
        "latency_p95",
        "latency_p99",
    ] {
        let limit = if key == "error_rate" { "1%" } else { "100ms" };
        for (name, value, way_out) in wrong_words() {
            assert_policy_refused(
                &json!({key: {"limit": limit, name: value}}),
                &format!("policy.{key}.{name}"),
                way_out,
            );
        }
    }
    for key in ["errors", "client_errors", "slowness"] {
        for (name, value, way_out) in wrong_words() {
            assert_policy_refused(
                &json!({"comparison": {key: {name: value}}}),
                &format!("policy.comparison.{key}.{name}"),
                way_out,
            );
        }
        assert_policy_refused(
            &json!({"comparison": {key: {"limit": "1%"}}}),
            &format!("policy.comparison.{key}.limit"),
            "known here: `severity`",
        );
    }
    assert_policy_refused(
        &json!({"comparison": {"error": {}}}),
        "policy.comparison.error",
        "`client_errors`",
    );
}

/// Field, what it can't be, and a word of the way out.
pub(super) fn wrong_words() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("severity", json!("urgent"), "`critical`"),
        ("severity", json!("High"), "`high`"),
        ("severity", json!(1), "`critical`"),
        ("on_breach", json!("roll_back"), "`rollback`"),
        ("on_breach", json!("pause"), "`step_back`"),
        ("on_breach", json!(true), "`rollback`"),
        ("muted", json!("yes"), "true or false"),
        ("muted", json!(1), "true or false"),
    ]
}

#[test]
fn a_key_without_a_guard_judges_nothing() {
    for key in ["latency_p50", "latency_p90", "latency_p95"] {
        for words in [json!({}), json!({"checks": 2}), json!({"severity": "low"})] {
            assert_policy_refused(
                &json!({key: words}),
                &format!("policy.{key}"),
                "give it a limit",
            );
        }
    }
    assert!(read_policy(&json!({"latency_p99": {"checks": 2}})).is_ok());
}

#[test]
fn the_safe_gate_is_taken_unless_no_canary_could_open_it() {
    assert!(!read_policy(&json!({})).unwrap().safe_gate);
    for preset in ["linear", "playbook", "quick", "phased"] {
        let given = json!({"plan": {"preset": preset}, "policy": {"safe_gate": true}});
        assert!(read(&given).unwrap().safe_gate, "{preset}");
    }
    assert_policy_refused(
        &json!({"safe_gate": true, "error_rate": {"limit": "0%"}}),
        "policy.safe_gate",
        "raise it",
    );
    assert_policy_refused(
        &json!({"safe_gate": true, "error_rate": {"limit": "0%", "on_breach": "hold"}}),
        "policy.safe_gate",
        "policy.error_rate.limit",
    );
    for fine in [
        json!({"safe_gate": false, "error_rate": {"limit": "0%"}}),
        json!({"safe_gate": true, "error_rate": {"limit": "0.1%"}}),
        // What holds nobody is not asked for at the gate.
        json!({"safe_gate": true, "error_rate": {"limit": "0%", "muted": true}}),
        json!({"safe_gate": true, "error_rate": {"limit": "0%", "on_breach": "notify"}}),
        json!({"safe_gate": true, "error_rate": {"worse_by": "0%"}}),
    ] {
        assert!(read_policy(&fine).is_ok(), "{fine}");
    }
    assert_policy_refused(
        &json!({"safe_gate": "yes"}),
        "policy.safe_gate",
        "true or false",
    );
}

#[test]
fn the_baseline_is_accepted_in_either_place() {
    let cases = [
        (None, None, Some(false)),
        (Some(true), None, Some(true)),
        (None, Some(true), Some(true)),
        (Some(true), Some(true), Some(true)),
        (Some(false), None, Some(false)),
        (Some(false), Some(false), Some(false)),
        (Some(true), Some(false), None),
        (Some(false), Some(true), None),
    ];
    for (above, below, expected) in cases {
        let given = json!({"accept_baseline": above, "policy": {"accept_baseline": below}});
        match expected {
            Some(expected) => assert_eq!(
                read(&given).map(|policy| policy.accept_baseline),
                Ok(expected),
                "{given}"
            ),
            None => assert_refused(&given, "accept_baseline", "keep one of them"),
        }
    }
    assert_refused(
        &json!({"accept_baseline": "yes"}),
        "accept_baseline",
        "true or false",
    );
    assert_policy_refused(
        &json!({"accept_baseline": 1}),
        "policy.accept_baseline",
        "true or false",
    );
}
