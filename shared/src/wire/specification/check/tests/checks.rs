//! Further checks: what they come to, and everything that is refused about them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::super::from_yaml;
use super::policy::wrong_words;
use super::{assert_policy_refused, of_signal, read, read_policy};
use crate::domain::comparison::Counts;
use crate::domain::policy::{Action, Consequence, Grade, Policy};
use crate::domain::signal::{Direction, MetricPair, SignalRule, Source};

/// A check that makes sense.
fn sound(name: &str) -> Value {
    json!({
        "name": name,
        "bad": {"namespace": "Canary/Model", "metric": "Wrong"},
        "of": {"namespace": "Canary/Model", "metric": "Labelled"},
    })
}

/// The sound check with one value put in at a path like `/bad/stat`; its parent must be there.
fn changed(path: &str, value: Value) -> Value {
    let mut check = sound("wrong");
    let (parent, field) = path.rsplit_once('/').unwrap();
    let parent = check.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.unwrap().insert(field.to_owned(), value);
    check
}

/// The policy of this one check.
fn read_one(check: &Value) -> Policy {
    read_policy(&json!({"checks": [check]})).unwrap()
}

fn further(policy: &Policy) -> Vec<&SignalRule> {
    let built_in = SignalRule::built_in().len();
    policy.signals.iter().skip(built_in).collect()
}

fn pair(policy: &Policy) -> &MetricPair {
    match &further(policy)[0].source {
        Source::Metrics(pair) => pair,
        other => panic!("{other:?} is no pair of metrics"),
    }
}

fn text_map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// Refused as the second check, after one that is fine.
#[track_caller]
fn assert_check_refused(check: &Value, field: &str, way_out: &str) {
    assert_policy_refused(
        &json!({"checks": [sound("fine"), check]}),
        &format!("policy.checks[1]{field}"),
        way_out,
    );
}

#[test]
fn a_check_is_a_signal_beside_the_three() {
    let policy = read_one(&sound("wrong"));
    assert_eq!(policy.signals[..3], SignalRule::built_in());
    let [rule] = further(&policy)[..] else {
        panic!("one further signal");
    };
    assert_eq!(rule.name, "wrong");
    assert!(rule.compares);
    assert_eq!(rule.limit, None);
    assert_eq!(rule.min_samples, Policy::MIN_SAMPLES);
    assert_eq!(rule.consequence, Consequence::default());
    let both = text_map(&[("EndpointName", "{endpoint}"), ("VariantName", "{variant}")]);
    let MetricPair {
        bad, of, direction, ..
    } = pair(&policy);
    assert_eq!(*direction, Direction::HigherIsWorse);
    for (source, metric) in [(bad, "Wrong"), (of, "Labelled")] {
        assert_eq!(source.namespace, "Canary/Model");
        assert_eq!(source.metric, metric);
        assert_eq!(source.statistic, "Sum");
        assert_eq!(source.dimensions, both);
    }
}

#[test]
fn everything_a_check_may_say_in_yaml() {
    let text = r#"
endpoint: wine-quality
model: wine-quality-v2
policy:
  min_samples: 200
  checks:
    - name: low-confidence_1
      bad: {namespace: Shop, metric: Score, stat: "TC(0:0.5)", dimensions: {Model: "{endpoint}/{variant}", Stage: "3"}}
      of: {namespace: Shop, metric: Score, stat: SampleCount, dimensions: {Model: "{endpoint}/{variant}"}}
      limit: 3%
      compare: false
      direction: lower_is_worse
      min_samples: 0
      severity: low
      on_breach: hold
      muted: true
    - name: refunds
      bad: {namespace: Shop, metric: Refunds}
      of: {namespace: Shop, metric: Sales}
      severity: medium
"#;
    let value = from_yaml(text).unwrap();
    let policy = super::super::super::parse(&value).unwrap().policy;
    let [first, second] = further(&policy)[..] else {
        panic!("two further signals");
    };
    assert!(!first.compares);
    assert_eq!(first.limit.unwrap().to_string(), "3%");
    assert_eq!((first.min_samples, second.min_samples), (0, 200));
    assert_eq!(
        first.consequence,
        Consequence {
            severity: Grade::Low,
            on_breach: Action::Hold,
            muted: true
        }
    );
    assert_eq!(second.consequence, Consequence::of(Grade::Medium));
    let MetricPair {
        bad, of, direction, ..
    } = pair(&policy);
    assert_eq!(*direction, Direction::LowerIsWorse);
    assert_eq!(
        (bad.statistic.as_str(), of.statistic.as_str()),
        ("TC(0:0.5)", "SampleCount")
    );
    assert_eq!(
        bad.dimensions,
        text_map(&[("Model", "{endpoint}/{variant}"), ("Stage", "3")])
    );
}

#[test]
fn the_limit_of_a_wanted_outcome_is_that_of_its_absence() {
    let mut check = sound("right");
    check["direction"] = json!("lower_is_worse");
    check["limit"] = json!("3%");
    let policy = read_one(&check);
    // 970 of 1000 right: 30 bad ones, which is the limit itself.
    assert_eq!(
        pair(&policy).counts(Some(1000), Some(970)),
        Counts::new(1000, 30)
    );
}

#[test]
fn names() {
    for name in ["a", "a1-_z", &"a".repeat(40)] {
        assert_eq!(further(&read_one(&sound(name)))[0].name, name);
    }
    for name in [
        "",
        "A",
        "1a",
        "-a",
        "_a",
        "a b",
        "a.b",
        "ä",
        "a\n",
        "wine🍷",
        &"a".repeat(41),
    ] {
        assert_check_refused(&sound(name), ".name", "starts with a letter");
    }
    for name in ["errors", "client_errors", "slowness"] {
        assert_check_refused(&sound(name), ".name", "another name");
    }
    assert_check_refused(&sound("fine"), ".name", "a name of its own");
}

#[test]
fn at_most_twenty() {
    let many = |number: usize| -> Vec<Value> {
        (0..number).map(|i| sound(&format!("check-{i}"))).collect()
    };
    let policy = read_policy(&json!({"checks": many(20)})).unwrap();
    assert_eq!(further(&policy).len(), 20);
    assert_policy_refused(&json!({"checks": many(21)}), "policy.checks", "at most 20");
}

#[test]
fn only_counts_are_judged() {
    for fine in [
        "Sum",
        "SampleCount",
        "TC(0.5:)",
        "TC(:2)",
        "TC(0.5:2)",
        "TC(0:100000)",
        "TC(0.0000000001:)",
    ] {
        let policy = read_one(&changed("/bad/stat", json!(fine)));
        assert_eq!(pair(&policy).bad.statistic, fine);
    }
    for (part, path) in [(".bad.stat", "/bad/stat"), (".of.stat", "/of/stat")] {
        for no_count in [
            "",
            "p99",
            "p99.9",
            "Average",
            "Minimum",
            "Maximum",
            "tm90",
            "TM(2%:98%)",
            "WM(1:2)",
            "TS(1:2)",
            "PR(:100)",
            "IQM",
            "tc90",
            "sum",
            "TC",
            "TC()",
            "TC(5)",
            "TC(1:2",
            "TC 1:2",
            "tc(1:2)",
            "Sum\n",
        ] {
            let check = changed(path, json!(no_count));
            assert_check_refused(&check, part, "a mean or a percentile counts nothing");
        }
        for no_range in [
            "TC(2:1)",
            "TC(1:1)",
            "TC(a:)",
            "TC(-1:)",
            "TC(+1:)",
            "TC(1e3:)",
            "TC(NaN:)",
            "TC(:inf)",
            "TC( 1:2)",
            "TC(1:2:3)",
            "TC(10%:90%)",
            "TC(.5:)",
            "TC(5.:)",
            "TC(1.2.3:)",
            "TC(0.00000000001:)",
            "TC(1000000000000000:)",
            "TC(٣:)",
            "TC(\u{7}:)",
        ] {
            let check = changed(path, json!(no_range));
            assert_check_refused(&check, part, "like \"TC(0.5:)\"");
        }
        assert_check_refused(&changed(path, json!("TC(:)")), part, "\"SampleCount\"");
        assert_check_refused(&changed(path, json!(99)), part, "a text");
    }
}

#[test]
fn namespaces_and_metrics_are_as_cloudwatch_has_them() {
    let long = "n".repeat(255);
    for fine in ["AWS/SageMaker", "a:b", long.as_str()] {
        read_one(&changed("/bad/namespace", json!(fine)));
        read_one(&changed("/of/metric", json!(fine)));
    }
    let too_long = "n".repeat(256);
    for part in ["bad", "of"] {
        for wrong in ["", " ", ":a", "a\u{7}", "wine🍷", too_long.as_str()] {
            assert_check_refused(
                &changed(&format!("/{part}/namespace"), json!(wrong)),
                &format!(".{part}.namespace"),
                "like \"Canary/Model\"",
            );
        }
        for wrong in ["", " ", "a\u{7}", "a\u{200b}", too_long.as_str()] {
            assert_check_refused(
                &changed(&format!("/{part}/metric"), json!(wrong)),
                &format!(".{part}.metric"),
                "1 to 255 characters",
            );
        }
    }
}

#[test]
fn dimensions_tell_the_variants_apart() {
    let read_dimensions = |given: Value| {
        let policy = read_one(&changed("/bad/dimensions", given));
        pair(&policy).bad.dimensions.clone()
    };
    let added = read_dimensions(json!({"Group": "b"}));
    let expected = [
        ("EndpointName", "{endpoint}"),
        ("Group", "b"),
        ("VariantName", "{variant}"),
    ];
    assert_eq!(added, text_map(&expected));
    for own in [
        json!({"Arm": "{variant}"}),
        json!({"VariantName": "{variant}"}),
        json!({"EndpointName": "shop", "VariantName": "v-{variant}"}),
    ] {
        assert_eq!(json!(read_dimensions(own.clone())), own);
    }
    for (given, name) in [
        (json!({"VariantName": "blue"}), "VariantName"),
        (json!({"EndpointName": "shop"}), "EndpointName"),
        (json!({"EndpointName": "{endpoint}"}), "EndpointName"),
        (
            json!({"EndpointName": "{endpoint}", "VariantName": "{endpoint}"}),
            "VariantName",
        ),
    ] {
        for part in ["bad", "of"] {
            assert_check_refused(
                &changed(&format!("/{part}/dimensions"), given.clone()),
                &format!(".{part}.dimensions.{name}"),
                "write \"{variant}\"",
            );
        }
    }
}

#[test]
fn dimensions_are_as_cloudwatch_has_them() {
    let many = |number: usize| -> Value {
        let names = (0..number).map(|i| (format!("D{i}"), json!("x")));
        names.collect::<serde_json::Map<_, _>>().into()
    };
    read_one(&changed("/bad/dimensions", many(28)));
    let refused = |given: Value, field: &str, way_out: &str| {
        let check = changed("/bad/dimensions", given);
        assert_check_refused(&check, &format!(".bad.dimensions{field}"), way_out);
    };
    refused(many(29), "", "at most 28");
    for name in ["", ":a", "é", "a\u{7}", &"n".repeat(256)] {
        refused(json!({name: "x"}), "", "no colon at the start");
    }
    for value in ["", "  ", "é", "a\u{7}", &"v".repeat(1025)] {
        refused(json!({"D": value}), ".D", "1 to 1024");
    }
    // With the longest name filled in it is one too long, or just fits.
    let padded = |length: usize| json!({"D": format!("{}{{variant}}", "v".repeat(length))});
    refused(padded(1024 - 62), ".D", "filled in");
    read_one(&changed("/bad/dimensions", padded(1024 - 63)));
    for misspelt in ["{Variant}", "{ENDPOINT}"] {
        refused(json!({"D": misspelt}), ".D", "lower case");
    }
    // Other braces are somebody's own, like the resources of an API.
    read_one(&changed(
        "/bad/dimensions",
        json!({"Resource": "/wines/{id}"}),
    ));
    for (value, name) in [
        (json!(3), "D"),
        (json!({"variant": null}), "D"),
        (json!(true), "D"),
    ] {
        refused(json!({name: value}), ".D", "a text in quotes");
    }
    refused(json!(["a"]), "", "an object");
}

#[test]
fn a_check_judges_something() {
    let mut check = sound("idle");
    check["compare"] = json!(false);
    assert_check_refused(&check, ".compare", "judges nothing");
    check["limit"] = json!("5%");
    let policy = read_one(&check);
    assert!(!further(&policy)[0].compares && further(&policy)[0].limit.is_some());
    check["compare"] = json!(true);
    assert!(further(&read_one(&check))[0].compares);
    let mut same = sound("same");
    same["bad"] = same["of"].clone();
    assert_check_refused(&same, ".bad", "the same counts");
    // The same metric, counted otherwise.
    same["bad"]["stat"] = json!("TC(0.5:)");
    read_one(&same);
}

#[test]
fn limits_and_samples() {
    for wrong in ["0%", "100%"] {
        assert_check_refused(
            &changed("/limit", json!(wrong)),
            ".limit",
            "above \"0%\" and below \"100%\"",
        );
        let mut check = changed("/limit", json!(wrong));
        check["direction"] = json!("lower_is_worse");
        assert_check_refused(&check, ".limit", "does not count");
    }
    for wrong in [json!(0.01), json!("1"), json!("101%"), json!("NaN%")] {
        assert_check_refused(&changed("/limit", wrong), ".limit", "like \"1%\"");
    }
    for fine in [0, 1, 1_000_000_000_u64] {
        let policy = read_one(&changed("/min_samples", json!(fine)));
        assert_eq!(further(&policy)[0].min_samples, fine);
    }
    assert_check_refused(
        &changed("/min_samples", json!(1_000_000_001_u64)),
        ".min_samples",
        "asks for none",
    );
    for wrong in [json!(-1), json!(1.5), json!("10")] {
        assert_check_refused(
            &changed("/min_samples", wrong),
            ".min_samples",
            "a whole number",
        );
    }
    assert_check_refused(
        &changed("/direction", json!("up")),
        ".direction",
        "`higher_is_worse`",
    );
    assert_check_refused(
        &changed("/compare", json!("no")),
        ".compare",
        "true or false",
    );
}

#[test]
fn consequences_fields_and_shapes() {
    for (name, value, way_out) in wrong_words() {
        let check = changed(&format!("/{name}"), value);
        assert_check_refused(&check, &format!(".{name}"), way_out);
    }
    let policy = read_one(&changed("/severity", json!("medium")));
    assert_eq!(of_signal(&policy, "wrong"), Consequence::of(Grade::Medium));
    for field in ["name", "bad", "of"] {
        let mut check = sound("lacking");
        check.as_object_mut().unwrap().remove(field);
        assert_check_refused(&check, &format!(".{field}"), "missing field");
    }
    for field in ["namespace", "metric"] {
        let mut check = sound("lacking");
        check["of"].as_object_mut().unwrap().remove(field);
        assert_check_refused(&check, &format!(".of.{field}"), "missing field");
    }
    assert_check_refused(&changed("/limits", json!("1%")), ".limits", "`limit`");
    assert_check_refused(
        &changed("/bad/statistic", json!("Sum")),
        ".bad.statistic",
        "`stat`",
    );
    assert_policy_refused(&json!({"checks": {}}), "policy.checks", "a list");
    assert_policy_refused(
        &json!({"checks": ["wrong"]}),
        "policy.checks[0]",
        "a check, such as",
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "TC\\([0-9.%]{0,3}:[0-9.]{0,3}\\)".prop_map(Value::from),
        "[0-9]{1,3}%".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

const PATHS: [&str; 17] = [
    "/name",
    "/bad",
    "/bad/namespace",
    "/bad/metric",
    "/bad/stat",
    "/bad/dimensions",
    "/of",
    "/of/namespace",
    "/of/metric",
    "/of/stat",
    "/of/dimensions",
    "/limit",
    "/compare",
    "/direction",
    "/min_samples",
    "/severity",
    "/on_breach",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever stands in one field: the check is taken and judges, or the error names the field
    /// (or what lies in it).
    #[test]
    fn one_strange_value_is_taken_or_named(path in prop::sample::select(&PATHS[..]), value in any_json()) {
        let check = changed(path, value);
        match read_policy(&json!({"checks": [check]})) {
            Ok(policy) => {
                let rule = further(&policy)[0];
                prop_assert!(rule.compares || rule.limit.is_some());
                let MetricPair { bad, of, .. } = pair(&policy);
                prop_assert!(bad != of);
                for source in [bad, of] {
                    prop_assert!(source.dimensions.len() <= 30);
                    let apart = source.dimensions.values().any(|value| value.contains("{variant}"));
                    prop_assert!(apart, "{:?}", source.dimensions);
                    let statistic = source.statistic.as_str();
                    prop_assert!(["Sum", "SampleCount"].contains(&statistic) || statistic.starts_with("TC("));
                }
            }
            Err(error) => {
                let expected = format!("policy.checks[0]{}", path.replace('/', "."));
                // A pair of equal metrics is an error of the pair.
                prop_assert!(error.field.starts_with(&expected) || error.field == "policy.checks[0].bad", "{error}");
                prop_assert!(error.detail.len() > 10);
            }
        }
    }

    /// A range is taken exactly when it is one.
    #[test]
    fn a_range_of_values_has_its_ends_in_order(low in 0_u32..2000, high in 0_u32..2000, tenths in 0_u32..10) {
        let check = changed("/bad/stat", json!(format!("TC({low}.{tenths}:{high})")));
        let fits = f64::from(low) + f64::from(tenths) / 10.0 < f64::from(high);
        prop_assert_eq!(read_policy(&json!({"checks": [check]})).is_ok(), fits);
    }

    /// Names are what their rule says, and unique.
    #[test]
    fn names_follow_their_rule(name in "[a-z0-9A-Z_. -]{0,45}") {
        let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        let fits = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 40 && name.chars().all(rest);
        let once = json!({"policy": {"checks": [sound(&name)]}});
        prop_assert_eq!(read(&once).is_ok(), fits);
        let twice = json!({"policy": {"checks": [sound(&name), sound(&name)]}});
        prop_assert!(read(&twice).is_err());
    }
}
