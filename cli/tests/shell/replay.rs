//! `canary replay` as a shell sees it: what is judged, what is printed, and how it ends.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use crate::binary::{canary, code, file, stderr, stdout};

const HEADER: &str = "minute,signal,variant,n,x\n";

fn replay(arguments: &[&str]) -> Output {
    canary(&[&["replay"], arguments].concat(), "")
}

fn objects(output: &Output) -> Vec<Value> {
    let lines = stdout(output).lines();
    lines
        .map(|line| serde_json::from_str(line).expect("an object per line"))
        .collect()
}

/// Production alone up to `first`, then both arms, with so many errors of the canary.
fn trace(first: u64, last: u64, errors: impl Fn(u64) -> u64) -> String {
    let mut text = HEADER.to_owned();
    for minute in 0..last {
        if minute >= first {
            let bad = errors(minute);
            writeln!(text, "{minute},errors,canary,1000,{bad}").expect("a string takes everything");
        }
        let bad = 17 + minute % 3;
        writeln!(text, "{minute},errors,production,9000,{bad}").expect("a string takes everything");
    }
    text
}

fn policy(name: &str) -> String {
    file(name, "plan: {deadline: 96h}\npolicy: {min_samples: 500}\n")
}

#[test]
fn a_healthy_trace_goes_on_and_ends_with_zero() {
    let (policy, trace) = (
        policy("healthy.yaml"),
        file("healthy.csv", &trace(60, 180, |_| 2)),
    );
    let output = replay(&["--policy", &policy, &trace, "-o", "json"]);
    assert_eq!((code(&output), stderr(&output)), (0, ""));
    let objects = objects(&output);
    assert_eq!(objects.len(), 1);
    let ln_e = &objects[0]["signals"]["errors"]["ln_e"];
    assert!(ln_e.as_f64().is_some_and(|ln_e| ln_e < 0.0));
    let expected = json!({
        "action": "go_on", "minute": null,
        "signals": {"errors": {
            "ln_e": ln_e,
            "canary": {"n": 120_000, "x": 240},
            "production": {"n": 1_080_000, "x": 2160},
        }},
    });
    assert_eq!(objects[0], expected, "exactly these keys");
}

#[test]
fn a_bad_one_is_rolled_back_within_three_minutes_and_ends_with_three() {
    let trace = file(
        "bad.csv",
        &trace(60, 180, |minute| if minute < 100 { 2 } else { 50 }),
    );
    let policy = policy("bad.yaml");
    let output = replay(&["--policy", &policy, &trace, "-o", "json", "--minutes"]);
    assert_eq!((code(&output), stderr(&output)), (3, ""));
    let lines = objects(&output);
    let (last, minutes) = lines.split_last().expect("a result");
    assert_eq!(last["action"], "rollback");
    let minute = last["minute"].as_u64().expect("the minute of the rollback");
    assert!((100..103).contains(&minute), "{minute}");

    let numbers: Vec<_> = minutes
        .iter()
        .filter_map(|line| line["minute"].as_u64())
        .collect();
    assert_eq!(
        numbers,
        (60..=minute).collect::<Vec<_>>(),
        "each judged minute, none after the end"
    );
    let ending = minutes.last().expect("a line per minute");
    assert_eq!(ending["action"], "rollback");
    assert_eq!(ending["signals"], last["signals"]);
    assert!(minutes.iter().all(|line| line["gap"] == 0));
    assert_eq!(minutes[0]["action"], "go_on");
}

#[test]
fn a_whole_specification_is_a_policy_too() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/wine-quality.yaml");
    let trace = file("example.csv", &trace(0, 60, |_| 2));
    let output = replay(&["--policy", example, &trace, "-o", "json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn two_policies_stand_side_by_side() {
    let strict = policy("strict.yaml");
    let lenient = file(
        "lenient.yaml",
        "policy: {error_rate: {limit: 20%}, comparison: {tolerate: 50}, min_samples: 500}\n",
    );
    let trace = file(
        "two.csv",
        &trace(30, 90, |minute| if minute < 60 { 2 } else { 50 }),
    );
    let arguments = ["--policy", &strict, "--policy", &lenient, &trace];
    let output = replay(&[&arguments[..], &["-o", "json"]].concat());
    assert_eq!(code(&output), 3, "one of them rolled back");
    let objects = objects(&output);
    assert_eq!(objects.len(), 2);
    assert_eq!(
        (&objects[0]["policy"], &objects[0]["action"]),
        (&json!(strict), &json!("rollback"))
    );
    assert_eq!(
        (&objects[1]["policy"], &objects[1]["action"]),
        (&json!(lenient), &json!("go_on"))
    );

    let output = replay(&arguments);
    let text = stdout(&output);
    let first = text.lines().next().expect("a header");
    assert!(
        first.contains(&strict) && first.contains(&lenient),
        "{text}"
    );
    let action = text
        .lines()
        .find(|line| line.starts_with("action"))
        .expect("a row");
    assert!(
        action.contains("roll back") && action.contains("go on"),
        "{text}"
    );
    for file in [&strict, &lenient] {
        assert!(
            text.lines()
                .any(|line| line.starts_with(&format!("{file}: "))),
            "{text}"
        );
    }
    assert!(
        stderr(&output).contains("latency_p99"),
        "what can't be judged is said"
    );

    let output = replay(&[&arguments[..], &["--minutes"]].concat());
    let text = stdout(&output);
    assert!(text.starts_with("POLICY"), "{text}");
    let of = |minute: &str, file: &str| {
        let fits = |line: &&str| line.starts_with(file) && line.contains(minute);
        text.lines().find(fits).map(str::to_owned)
    };
    let held = of(" 60  hold ", &strict).expect("the first bad minute holds");
    assert!(held.ends_with("check 1 of 2"), "{held}");
    assert!(of(" 61  roll back ", &strict).is_some(), "{text}");
    assert!(of(" 62 ", &strict).is_none(), "it was over: {text}");
    assert!(of(" 89  go on ", &lenient).is_some(), "{text}");
}

#[test]
fn a_check_of_the_policy_is_a_signal_and_only_where_it_is_known() {
    let metric = |name: &str| format!("{{namespace: Canary/Model, metric: {name}, stat: Sum}}");
    let check = format!(
        "{{name: misses, bad: {}, of: {}}}",
        metric("Missed"),
        metric("Labelled")
    );
    let knowing = file("knowing.yaml", &format!("policy: {{checks: [{check}]}}\n"));
    let plain = policy("plain.yaml");
    let text = trace(0, 60, |_| 2).replace("errors", "misses");
    let misses = file("misses.csv", &text);
    let output = replay(&["--policy", &knowing, &misses, "-o", "json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        objects(&output)[0]["signals"]["misses"]["canary"]["n"],
        60_000
    );

    let output = replay(&["--policy", &plain, &misses]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("line 2, signal: `misses` is no signal"),
        "{}",
        stderr(&output)
    );
    // Beside a policy that knows it the trace is sound, but this one has nothing to say.
    let both = ["--policy", &knowing, "--policy", &plain];
    let output = replay(&[&both[..], &[&misses]].concat());
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("has none of the trace's signals (misses)"),
        "{}",
        stderr(&output)
    );

    let mixed = file(
        "mixed.csv",
        &format!("{text}60,errors,canary,1000,2\n60,errors,production,9000,18\n"),
    );
    let output = replay(&[&both[..], &[&mixed, "-o", "json"]].concat());
    let objects = objects(&output);
    assert_eq!(
        objects[0]["signals"].as_object().map(serde_json::Map::len),
        Some(2)
    );
    assert_eq!(
        objects[1]["signals"].as_object().map(serde_json::Map::len),
        Some(1)
    );
}

#[test]
fn gaps_are_counted_and_a_blind_end_holds() {
    let mut text = trace(10, 60, |_| 2);
    text.push_str("63,errors,canary,1000,2\n63,errors,production,9000,18\n");
    text.push_str("64,errors,production,9000,18\n");
    let (policy, trace) = (policy("gaps.yaml"), file("gaps.csv", &text));
    let output = replay(&["--policy", &policy, &trace, "-o", "json", "--minutes"]);
    assert_eq!(code(&output), 0);
    let lines = objects(&output);
    let by_minute = |minute: u64| {
        lines
            .iter()
            .find(|line| line["minute"] == minute)
            .expect("a line")
    };
    assert_eq!(
        (&by_minute(63)["gap"], &by_minute(63)["action"]),
        (&json!(3), &json!("go_on"))
    );
    assert_eq!(
        (&by_minute(64)["gap"], &by_minute(64)["action"]),
        (&json!(1), &json!("hold"))
    );
    let last = lines.last().expect("a result");
    assert_eq!(
        (&last["action"], &last["minute"]),
        (&json!("hold"), &Value::Null)
    );
    assert_eq!(last["signals"]["errors"]["canary"]["n"], 51_000);

    let output = replay(&["--policy", &policy, &trace]);
    assert!(stdout(&output).contains("blind: errors has no row of the canary in minute 64"));
}

#[test]
fn the_same_twice_is_the_same_to_the_byte() {
    let (policy, trace) = (
        policy("same.yaml"),
        file("same.csv", &trace(20, 200, |m| 2 + m % 3)),
    );
    let once = || replay(&["--policy", &policy, &trace, "-o", "json", "--minutes"]).stdout;
    assert_eq!(once(), once());
}

#[test]
fn bad_traces_are_refused_with_their_line_and_nothing_is_judged() {
    let good = trace(0, 60, |_| 50);
    let policy = policy("refused.yaml");
    for (name, text, expected) in [
        (
            "negative",
            format!("{good}60,errors,canary,-5,1\n"),
            "line 122, n: `-5`",
        ),
        (
            "above",
            format!("{good}60,errors,canary,5,6\n"),
            "line 122, x: 6 bad ones of 5",
        ),
        (
            "nan",
            format!("{good}60,errors,canary,5,NaN\n"),
            "line 122, x: `NaN`",
        ),
        (
            "order",
            format!("{good}58,errors,canary,5,1\n"),
            "line 122, minute: 58 comes after 59",
        ),
        (
            "twice",
            format!("{good}59,errors,canary,5,1\n"),
            "line 122: a second row",
        ),
        (
            "signal",
            format!("{good}60,accuracy,canary,5,1\n"),
            "client_errors, errors, slowness",
        ),
        (
            "variant",
            format!("{good}60,errors,challenger,5,1\n"),
            "canary or production",
        ),
        (
            "header",
            good.replacen("signal", "metric", 1),
            "line 1: the first line must be",
        ),
        ("empty", String::new(), "line 1: the file is empty"),
        ("rows", HEADER.to_owned(), "no row below the header"),
        ("alone", trace(60, 60, |_| 0), "no canary row has n above 0"),
    ] {
        let trace = file(&format!("refused-{name}.csv"), &text);
        let output = replay(&["--policy", &policy, &trace, "--minutes"]);
        assert_eq!((code(&output), stdout(&output)), (1, ""), "{name}");
        let said = stderr(&output);
        assert!(
            said.starts_with(&format!("error: invalid trace: {trace}: ")),
            "{said}"
        );
        assert!(said.contains(expected), "{said}");

        let output = replay(&["--policy", &policy, &trace, "-o", "json"]);
        assert_eq!((code(&output), stdout(&output)), (1, ""), "{name}");
        let problem: Value = serde_json::from_str(stderr(&output)).expect("a problem object");
        assert_eq!(
            problem["type"],
            "urn:sagemaker-canary:problem:invalid-trace"
        );
    }
}

#[test]
fn what_is_no_file_and_no_policy_is_refused() {
    let (policy, trace) = (policy("none.yaml"), file("none.csv", &trace(0, 10, |_| 2)));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.to_str().expect("a plain path");
    for (arguments, ending, expected) in [
        (
            &["--policy", &policy, "/nowhere/trace.csv"][..],
            1,
            "/nowhere/trace.csv can't be read",
        ),
        (&["--policy", &policy, folder], 1, "not a regular file"),
        (
            &["--policy", "/nowhere/policy.yaml", &trace],
            1,
            "/nowhere/policy.yaml",
        ),
        (&["--policy", &policy, "-"], 2, "standard input"),
        (&[&trace], 2, "--policy"),
    ] {
        let output = replay(arguments);
        assert_eq!(
            (code(&output), stdout(&output)),
            (ending, ""),
            "{arguments:?}"
        );
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    let bad = file("bad-policy.yaml", "policy: {error_rate: {limit: 0.01}}\n");
    let output = replay(&["--policy", &bad, &trace]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).ends_with("  field: policy.error_rate.limit\n"),
        "{}",
        stderr(&output)
    );
    let output = replay(&["--policy", &policy, "--policy", &bad, &trace]);
    assert!(
        stderr(&output).contains(&bad),
        "which of the two: {}",
        stderr(&output)
    );
}
