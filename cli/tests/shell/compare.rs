//! `canary compare` as a shell sees it: what is counted, what is printed, and how it ends.

use std::fmt::Write as _;
use std::process::Output;

use serde_json::{Value, json};

use crate::binary::{canary, code, file, stderr, stdout};

fn compare(arguments: &[&str], input: &str) -> Output {
    canary(&[&["compare"], arguments].concat(), input)
}

fn object(output: &Output) -> Value {
    assert_eq!(stdout(output).lines().count(), 1, "{}", stderr(output));
    serde_json::from_str(stdout(output)).expect("one object")
}

/// Rows of each truth, by who scored them positive: both, the champion, the challenger, neither.
fn predictions(positives: [u64; 4], negatives: [u64; 4]) -> String {
    let mut text = "y_true,champion,challenger,latency_ms,group\n".to_owned();
    let mut row = 0;
    for (truth, cells) in [(1, positives), (0, negatives)] {
        for (cell, scores) in [
            (0, "0.9,0.8"),
            (1, "0.7,0.1"),
            (2, "0.3,0.6"),
            (3, "0.2,0.4"),
        ] {
            for _ in 0..cells[cell] {
                row += 1;
                // From 20 to 69 ms, and a group of two.
                let (latency, group) = (20 + row % 50, ["a", "b"][row % 2]);
                writeln!(text, "{truth},{scores},{latency},{group}")
                    .expect("a string takes everything");
            }
        }
    }
    text
}

const GOOD: [[u64; 4]; 2] = [[900, 10, 55, 35], [100, 60, 20, 8820]];

/// Recall 955 of 1,000 and F1 by scikit-learn 1.9.1: 0.920481927710843 over 0.879227053140097.
#[test]
fn a_better_model_passes_with_its_figures_and_ends_with_zero() {
    let path = file("good.csv", &predictions(GOOD[0], GOOD[1]));
    let output = compare(
        &[&path, "--model", "v2", "--champion", "v1", "-o", "json"],
        "",
    );
    assert_eq!((code(&output), stderr(&output)), (0, ""));
    let found = object(&output);
    assert_eq!(
        (&found["outcome"], &found["rows"]),
        (&json!("passed"), &json!(10_000))
    );
    let requirements = found["requirements"].as_array().expect("four");
    let names: Vec<_> = requirements.iter().map(|it| &it["requirement"]).collect();
    assert_eq!(names, ["recall", "fpr", "latency", "f1_ratio"]);
    assert_eq!(requirements[0]["value"], 0.955);
    assert_eq!(requirements[2]["value"], 67.0);
    let ratio = requirements[3]["value"].as_f64().expect("a ratio");
    assert!((ratio - 0.920_481_927_710_843_4 / 0.879_227_053_140_096_6).abs() < 1e-12);
    let groups = &found["groups"];
    assert_eq!(
        groups["a"]["rows"]
            .as_u64()
            .zip(groups["b"]["rows"].as_u64()),
        Some((5000, 5000))
    );
    let results = &found["results"];
    assert_eq!(
        (&results["model"], &results["champion"]),
        (&json!("v2"), &json!("v1"))
    );
    assert_eq!(
        results["positives"],
        json!({"both": 900, "champion": 10, "challenger": 55, "neither": 35})
    );
    assert_eq!(results["latency"]["rows"], 10_000);
    assert_eq!(results["predictions"].as_str().map(str::len), Some(64));
    // From a pipe it is the same but for the time.
    let piped = compare(
        &["-", "--model", "v2", "-o", "json"],
        &predictions(GOOD[0], GOOD[1]),
    );
    assert_eq!(object(&piped)["requirements"], found["requirements"]);
    assert_eq!(
        object(&piped)["results"]["predictions"],
        results["predictions"]
    );
}

#[test]
fn a_worse_one_is_rejected_with_six_and_says_why() {
    let path = file("bad.csv", &predictions([895, 15, 43, 47], GOOD[1]));
    let output = compare(&[&path], "");
    assert_eq!((code(&output), stderr(&output)), (6, ""));
    let text = stdout(&output);
    let recall = text
        .lines()
        .find(|line| line.starts_with("recall"))
        .expect("a row");
    assert!(
        recall.contains("failed") && recall.contains("93.80%"),
        "{recall}"
    );
    assert!(text.contains("REJECTED: recall 93.80%"), "{text}");
    let output = compare(&[&path, "--recall", "93%"], "");
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    let output = compare(&[&path, "--leave-out", "recall"], "");
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    let output = compare(&[&path, "--leave-out", "recall", "--latency", "60ms"], "");
    assert_eq!(code(&output), 6, "{}", stdout(&output));
    let output = compare(&[&path, "--recall", "93%", "--by-interval"], "");
    assert_eq!(
        code(&output),
        6,
        "93 % lies inside the interval: {}",
        stdout(&output)
    );
}

#[test]
fn too_few_rows_pass_nothing() {
    let path = file("few.csv", &predictions([20, 0, 0, 0], [0, 0, 0, 20]));
    let output = compare(&[&path, "-o", "json"], "");
    assert_eq!(code(&output), 6);
    let found = object(&output);
    assert_eq!(found["requirements"][0]["verdict"], "too_few");
    assert_eq!(found.get("results"), None, "nobody said whose they are");
}

/// What is written goes into a specification as it is, and `canary lint` takes it.
#[test]
fn the_block_it_writes_is_part_of_a_specification() {
    let specification = "endpoint: wine-quality\nmodel: wine-quality-v2\n";
    let rules = "gate: {recall: 90%, latency: 80ms, leave_out: [fpr]}\n";
    let given = file("given.yaml", &format!("{specification}{rules}"));
    let path = file("block.csv", &predictions(GOOD[0], GOOD[1]));
    let output = compare(&[&path, "-f", &given, "--write"], "");
    assert_eq!((code(&output), stdout(&output)), (2, ""));
    assert!(
        stderr(&output).contains("--champion"),
        "{}",
        stderr(&output)
    );
    let bare = ["--model", "v2", "--leave-out", "f1_ratio", "--write"];
    let output = compare(&[&[&*path][..], &bare].concat(), "");
    assert_eq!((code(&output), stderr(&output)), (0, ""));
    let output = compare(&[&path, "-f", &given, "--champion", "v1", "--write"], "");
    assert_eq!((code(&output), stderr(&output)), (0, ""));
    let block = stdout(&output);
    assert!(block.starts_with("gate:\n  recall: \"90%\"\n"), "{block}");
    assert!(
        block.contains("\n    model: \"wine-quality-v2\"\n"),
        "{block}"
    );
    let whole = file("whole.yaml", &format!("{specification}{block}"));
    let linted = canary(&["lint", "-f", &whole], "");
    assert_eq!(stdout(&linted), "ok\n", "{}", stderr(&linted));
    // With the results in it, it is a specification to compare for again.
    let again = compare(&[&path, "-f", &whole, "-o", "json"], "");
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    assert_eq!(
        object(&again)["requirements"].as_array().map(Vec::len),
        Some(3)
    );
}

#[test]
fn a_file_that_makes_no_sense_is_an_error_with_its_place() {
    let path = file("wrong.csv", "y_true,champion,challenger\n1,1,1\n1,x,1\n");
    let output = compare(&[&path], "");
    assert_eq!((code(&output), stdout(&output)), (1, ""));
    assert!(
        stderr(&output).contains("line 3, champion: `x` is no score"),
        "{}",
        stderr(&output)
    );
    let output = compare(&[&path, "-o", "json"], "");
    let problem: Value = serde_json::from_str(stderr(&output)).expect("a problem object");
    assert_eq!(
        problem["type"],
        "urn:sagemaker-canary:problem:invalid-predictions"
    );
    let output = compare(&["/nowhere/at/all.csv"], "");
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("/nowhere/at/all.csv"));
    let output = compare(&[&path, "--recall", "0.95"], "");
    assert_eq!(code(&output), 2);
    // With nothing required anything would have passed.
    let all = ["recall", "fpr", "latency", "f1_ratio"];
    let all: Vec<&str> = all.iter().flat_map(|it| ["--leave-out", *it]).collect();
    let output = compare(&[&[&*path][..], &all].concat(), "");
    assert_eq!((code(&output), stdout(&output)), (2, ""));
    assert!(
        stderr(&output).contains("every requirement"),
        "{}",
        stderr(&output)
    );
}
