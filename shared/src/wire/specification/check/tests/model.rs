//! What may be asked of the model itself.

use serde_json::{Value, json};

use super::{assert_refused, of_guard, of_signal, parse, read};
use crate::domain::fairness::Measure;
use crate::domain::policy::{Action, Grade, Sustain, Test};
use crate::domain::quantity::Span;
use crate::domain::signal::{DRIFT, SignalRule};

/// These fields of a policy, over a model whose answers are read and grouped.
fn with(policy: &Value) -> Value {
    json!({
        "model_signals": {
            "score": "/score",
            "group": {"attribute": "region", "labels": ["north", "south"]},
        },
        "policy": policy,
    })
}

#[test]
fn answers_are_read_as_is_said() {
    let whole = json!({
        "endpoint": "wine", "model": "wine-v2",
        "model_signals": {"positive_from": 0.7},
    });
    let readings = parse(&whole).unwrap().readings.unwrap();
    assert_eq!((readings.score.as_str(), readings.positive_from), ("", 0.7));
    assert_eq!(readings.group, None);
    assert!(readings.is_positive(0.7) && !readings.is_positive(0.699));
}

#[test]
fn a_limit_of_quality_is_the_share_that_is_still_good() {
    let policy = read(&with(&json!({
        "accuracy": {"limit": "85%", "min_labels": 200},
        "false_positive_rate": {"limit": "2%", "compare": false, "severity": "critical"},
        "f1": {},
        "precision": {"limit": "85%", "compare": false},
    })))
    .unwrap();
    let rule = |name: &str| {
        policy
            .signals
            .iter()
            .find(|rule| rule.name == name)
            .unwrap()
    };
    let bad = |name: &str| rule(name).limit.map(|limit| limit.to_string());
    assert_eq!(
        bad("accuracy").as_deref(),
        Some("15%"),
        "wrong ones, at most"
    );
    assert_eq!(rule("accuracy").min_samples, 200);
    assert_eq!(bad("false_positive_rate").as_deref(), Some("2%"));
    assert!(!rule("false_positive_rate").compares);
    assert_eq!(
        of_signal(&policy, "false_positive_rate").severity,
        Grade::Critical
    );
    assert_eq!((bad("f1"), rule("f1").compares), (None, true));
    assert_eq!(bad("precision").as_deref(), Some("15%"));
}

/// F1 of 85 % is 2 TP = 0.85 (2 TP + FP + FN), so FP + FN = 6/17 TP and 6 of 23 trials are bad.
#[test]
fn a_limit_of_f1_is_one_of_false_alarms_and_misses_among_its_trials() {
    let policy = read(&with(&json!({"f1": {"limit": "85%"}}))).unwrap();
    let rule = policy.signals.iter().find(|rule| rule.name == "f1");
    let limit = rule.unwrap().limit.unwrap();
    assert!((limit.fraction() - 6.0 / 23.0).abs() < 1e-11, "{limit}");
}

#[test]
fn drift_holds_unless_it_is_told_otherwise() {
    let bins = |policy: &Value| {
        let policy = read(&with(policy)).unwrap();
        let drift = policy
            .signals
            .into_iter()
            .filter(|rule| rule.family.as_deref() == Some(DRIFT));
        drift
            .map(|rule| rule.consequence.on_breach)
            .collect::<Vec<_>>()
    };
    assert_eq!(bins(&json!({"drift": {}})), [Action::Hold; 10]);
    assert_eq!(
        bins(&json!({"drift": {"on_breach": "notify"}})),
        [Action::Notify; 10]
    );
    assert_eq!(bins(&json!({})), []);
}

#[test]
fn answers_that_can_not_be_read_are_judged_wherever_answers_are_read() {
    let unread = |policy: &Value| {
        let policy = read(&with(policy)).unwrap();
        of_signal(&policy, "unread_predictions")
    };
    let usual = unread(&json!({}));
    assert_eq!(
        (usual.severity, usual.on_breach, usual.muted),
        (Grade::Medium, Action::Hold, false)
    );
    let muted = unread(&json!({"unread_predictions": {"muted": true}}));
    assert!(muted.muted);
    let policy = read(&json!({"policy": {}})).unwrap();
    let is_unread = |rule: &SignalRule| rule.name == "unread_predictions";
    assert!(!policy.signals.iter().any(is_unread), "nothing is read");
}

#[test]
fn drift_waits_for_as_many_scores_as_a_stage_for_requests() {
    let asked = |policy: &Value| {
        let policy = read(&with(policy)).unwrap();
        let mut bins = policy.signals.into_iter();
        bins.find(|rule| rule.family.as_deref() == Some(DRIFT))
            .unwrap()
            .min_samples
    };
    assert_eq!(asked(&json!({"drift": {}})), 500);
    assert_eq!(asked(&json!({"drift": {}, "min_samples": 70})), 70);
}

#[test]
fn a_word_about_one_part_of_a_consequence_leaves_the_others() {
    let policy = read(&with(&json!({
        "drift": {"muted": false},
        "cost": {"prices": {}, "muted": false},
        "fairness": {"disparate_impact": 0.8, "on_breach": "notify"},
        "unread_predictions": {"severity": "high"},
    })))
    .unwrap();
    let drift = of_signal(&policy, "drift.0");
    assert_eq!(
        (drift.severity, drift.on_breach, drift.muted),
        (Grade::Medium, Action::Hold, false)
    );
    let cost = of_guard(&policy, "cost.ratio");
    assert_eq!(
        (cost.severity, cost.on_breach),
        (Grade::Low, Action::Notify)
    );
    let fairness = policy.fairness.as_ref().unwrap().consequence;
    assert_eq!(
        (fairness.severity, fairness.on_breach),
        (Grade::High, Action::Notify)
    );
    let unread = of_signal(&policy, "unread_predictions");
    assert_eq!(unread.on_breach, Action::Rollback, "a severity says both");
}

#[test]
fn fairness_has_the_measures_that_are_named() {
    let policy = read(&with(&json!({
        "fairness": {"demographic_parity": 0.1, "disparate_impact": 0.8},
    })))
    .unwrap();
    let fairness = policy.fairness.unwrap();
    let rules: Vec<_> = fairness
        .rules
        .iter()
        .map(|rule| (rule.measure, rule.limit))
        .collect();
    assert_eq!(
        rules,
        [
            (Measure::DemographicParity, 0.1),
            (Measure::DisparateImpact, 0.8)
        ]
    );
    assert_eq!(fairness.groups, ["north", "south"]);
    assert_eq!(fairness.consequence.on_breach, Action::Rollback);
    assert_eq!(
        fairness.counters().count(),
        2,
        "both measures are made of the same counts"
    );
}

#[test]
fn fairness_without_a_measure_has_all_three_with_their_usual_limits() {
    for given in [
        json!({}),
        json!({"severity": "medium", "min_samples": 40, "min_positives": 20}),
    ] {
        let policy = read(&with(&json!({"fairness": given}))).unwrap();
        let rules = policy.fairness.unwrap().rules;
        let limits: Vec<_> = rules.iter().map(|it| (it.measure, it.limit)).collect();
        assert_eq!(
            limits,
            [
                (Measure::DemographicParity, 0.1),
                (Measure::EqualOpportunity, 0.1),
                (Measure::DisparateImpact, 0.8)
            ]
        );
        let least = |name: &str, usual| given[name].as_u64().unwrap_or(usual);
        let (trials, positives) = (least("min_samples", 100), least("min_positives", 50));
        assert!(rules.iter().all(|it| it.min_samples == trials));
        assert!(rules.iter().all(|it| it.min_positives == positives));
    }
}

#[test]
fn a_playbook_without_fairness_and_cost_is_told_what_it_lacks() {
    let group = json!({"score": "/score", "group": {"attribute": "region", "labels": ["a", "b"]}});
    let advice = |preset: &str, signals: Option<&Value>, policy: Value| {
        let whole = json!({
            "endpoint": "wine-quality", "model": "wine-quality-v2",
            "plan": {"preset": preset}, "model_signals": signals, "policy": policy,
        });
        parse(&whole).unwrap().advice()
    };
    let lacking = advice("playbook", Some(&group), json!({}));
    let [sentence] = lacking.as_slice() else {
        panic!("one sentence: {lacking:?}")
    };
    assert!(
        sentence.contains("`fairness: {}`, and cost, like `cost: {}`"),
        "{sentence}"
    );
    let half = advice("playbook", Some(&group), json!({"fairness": {}}));
    assert!(half[0].ends_with("lacks cost, like `cost: {}`"), "{half:?}");
    for (preset, signals, policy) in [
        (
            "playbook",
            Some(&group),
            json!({"fairness": {}, "cost": {}}),
        ),
        ("playbook", None, json!({})),
        ("phased", Some(&group), json!({})),
    ] {
        assert_eq!(advice(preset, signals, policy), [""; 0], "{preset}");
    }
}

#[test]
fn cost_notifies_after_an_hour() {
    let cost = json!({"cost": {"prices": {"ml.m5.large": 0.115}}});
    let policy = read(&json!({"policy": cost})).unwrap();
    let guard = policy
        .guards
        .iter()
        .find(|guard| guard.name == "cost.ratio")
        .unwrap();
    assert_eq!(guard.test, Test::CostRatio(1.5));
    assert_eq!(guard.sustain, Sustain::For(Span::from_hours(1)));
    assert_eq!(of_guard(&policy, "cost.ratio").on_breach, Action::Notify);
}

#[test]
fn what_makes_no_sense_names_its_field() {
    let group =
        |labels: &Value| json!({"model_signals": {"group": {"attribute": "a", "labels": labels}}});
    for (given, field, way_out) in [
        (
            json!({"model_signals": {"score": "score"}}),
            "model_signals.score",
            "/score",
        ),
        (
            json!({"model_signals": {"score": "/".repeat(65)}}),
            "model_signals.score",
            "64",
        ),
        (
            json!({"model_signals": {"group": {"attribute": "", "labels": ["a", "b"]}}}),
            "model_signals.group.attribute",
            "1 to 64",
        ),
        (
            group(&json!(["a"])),
            "model_signals.group.labels",
            "two to eight",
        ),
        (
            group(&json!(["a", "a"])),
            "model_signals.group.labels",
            "different",
        ),
        (
            group(&json!(["a", "other"])),
            "model_signals.group.labels",
            "everybody else",
        ),
        (
            group(&json!(["a", "b c"])),
            "model_signals.group.labels",
            "letters",
        ),
        (
            json!({"policy": {"accuracy": {}}}),
            "policy.accuracy",
            "model_signals",
        ),
        (
            json!({"policy": {"drift": {}}}),
            "policy.drift",
            "model_signals",
        ),
        (
            json!({"policy": {"unread_predictions": {}}}),
            "policy.unread_predictions",
            "model_signals",
        ),
        (
            json!({"policy": {"fairness": {}}}),
            "policy.fairness",
            "model_signals",
        ),
        (
            json!({"model_signals": {}, "policy": {"fairness": {"demographic_parity": 0.1}}}),
            "policy.fairness",
            "model_signals.group",
        ),
        (
            with(&json!({"fairness": {"demographic_parity": 1}})),
            "policy.fairness.demographic_parity",
            "below 1",
        ),
        (
            with(&json!({"fairness": {"disparate_impact": 0.8, "min_samples": 0}})),
            "policy.fairness.min_samples",
            "from 1",
        ),
        (
            with(&json!({"fairness": {"min_positives": 0}})),
            "policy.fairness.min_positives",
            "from 1",
        ),
        (
            with(&json!({"accuracy": {"limit": "100%"}})),
            "policy.accuracy.limit",
            "85%",
        ),
        (
            with(&json!({"recall": {"compare": false}})),
            "policy.recall.compare",
            "limit",
        ),
    ] {
        assert_refused(&given, field, way_out);
    }
    let taken = json!({"policy": {"checks": [{
        "name": "accuracy",
        "bad": {"namespace": "Shop", "metric": "a"},
        "of": {"namespace": "Shop", "metric": "b"},
    }]}});
    assert_refused(&taken, "policy.checks[0].name", "policy.accuracy");
}

#[test]
fn costs_stages_and_labels_that_make_no_sense_name_their_field() {
    for (given, field, way_out) in [
        (
            json!({"policy": {"cost": {"prices": {"ml.m5.large": 0.0}}}}),
            "policy.cost.prices.ml.m5.large",
            "from 0.000001 up",
        ),
        (
            json!({"policy": {"cost": {"prices": {"ml.m5.large": 0.000_000_1}}}}),
            "policy.cost.prices.ml.m5.large",
            "from 0.000001 up",
        ),
        (
            json!({"policy": {"cost": {"prices": {}, "ratio": 0.5}}}),
            "policy.cost.ratio",
            "from 1 up",
        ),
        (
            json!({"policy": {"cost": {"prices": {}, "for": "0s"}}}),
            "policy.cost.for",
            "1h",
        ),
        (
            json!({"plan": {"stages": [{"weight": 50, "bake": "1h", "min_labels": 5}, {"weight": 100}]}}),
            "plan.stages[0].min_labels",
            "policy.accuracy",
        ),
        (
            json!({"plan": {"stages": [{"weight": 50, "bake": "1h", "min_labels": 1_000_000_001}, {"weight": 100}]}}),
            "plan.stages[0].min_labels",
            "to 1000000000",
        ),
        (
            json!({"model_signals": {"score": "/score"}, "policy": {"accuracy": {"limit": "85%", "min_labels": 1_000_000_001}}}),
            "policy.accuracy.min_labels",
            "to 1000000000",
        ),
        (
            json!({"model_signals": {"positive_label": "fraud", "positive_from": 0.5}}),
            "model_signals.positive_label",
            "positive_from",
        ),
        (
            json!({"model_signals": {"positive_label": ""}}),
            "model_signals.positive_label",
            "1 to 64 bytes",
        ),
        (
            json!({"model_signals": {"positive_label": "fraud"}, "policy": {"drift": {}}}),
            "policy.drift",
            "needs scores",
        ),
    ] {
        assert_refused(&given, field, way_out);
    }
}
