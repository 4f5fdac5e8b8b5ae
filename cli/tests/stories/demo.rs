//! Each scenario of the demo about the model itself, from the outside: how it ends, by which exit code, and
//! that the challenger was what the scenario says, by what its server answered and by what the rollout found.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::binary::command;

/// Two at a time: each has its own model servers and traffic, and more of them would slow one another down.
static STAGES: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
static PLAYED: AtomicUsize = AtomicUsize::new(0);

/// What a scenario left behind.
struct Run {
    code: i32,
    /// One object for each line of the output; the last is how it ended.
    lines: Vec<Value>,
    /// What was kept in a file; nothing of a challenger that got no traffic.
    kept: Value,
}

fn run(scenario: &str) -> Run {
    let stage = &STAGES[PLAYED.fetch_add(1, Ordering::Relaxed) % STAGES.len()];
    let _held = stage.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder(scenario);
    let output = command(&["demo", "--scenario", scenario, "-o", "json"])
        .env("TMPDIR", &folder)
        .output()
        .expect("the binary starts");
    let text = String::from_utf8(output.stdout).expect("text is UTF-8");
    let complaint = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object on each line"))
        .collect();
    assert!(!lines.is_empty(), "{complaint}");
    Run {
        code: output.status.code().expect("no signal ended it"),
        kept: kept(&folder),
        lines,
    }
}

/// An empty one.
fn folder(scenario: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{scenario}"));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).expect("the folder for tests takes folders");
    folder
}

fn kept(folder: &Path) -> Value {
    let files = std::fs::read_dir(folder).expect("it was just made");
    let mut files = files.filter_map(|file| Some(file.ok()?.path()));
    let file = files.find(|file| file.extension().is_some_and(|kind| kind == "json"));
    let text = file.map(|file| std::fs::read_to_string(file).expect("it can be read"));
    text.map_or(Value::Null, |text| {
        serde_json::from_str(&text).expect("JSON")
    })
}

impl Run {
    fn last(&self) -> &Value {
        self.lines.last().expect("there is a line")
    }

    fn entries(&self) -> impl Iterator<Item = &Value> {
        self.kept["history"].as_array().into_iter().flatten()
    }

    /// The entry of this event.
    fn entry(&self, event: &str) -> &Value {
        let found = self.entries().find(|entry| entry["event"] == event);
        found.unwrap_or_else(|| panic!("there is no {event} in {:#}", self.kept["history"]))
    }

    fn checks(&self) -> impl Iterator<Item = &Value> {
        self.kept["checks"].as_array().into_iter().flatten()
    }

    /// Something of both models on the wines that neither has learned from.
    fn held_out(&self, of: &str) -> (f64, f64) {
        let [champion, challenger] = [0, 1].map(|model| number(&self.kept["held_out"][model][of]));
        (champion, challenger)
    }

    /// The largest share that the canary had.
    fn most_traffic(&self) -> u64 {
        let shares = self.checks().filter_map(|check| check["weight"].as_u64());
        shares.max().unwrap_or(0)
    }

    /// Who was told this, by the subject and the attributes of the message.
    fn told(&self, what: &str) -> Vec<&str> {
        let messages = self.kept["told"].as_array().into_iter().flatten();
        let mut messages = messages.filter(|message| text(&message["subject"]).contains(what));
        let message = messages.next();
        let message = message.unwrap_or_else(|| panic!("no {what} in {:#}", self.kept["told"]));
        let audience = message["audience"].as_array().into_iter().flatten();
        audience.filter_map(Value::as_str).collect()
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// The signal's share of bad outcomes at the end, the canary's and production's.
fn rates(run: &Run, signal: &str) -> (f64, f64) {
    let last = run.checks().last().expect("minutes were judged");
    let standing = &last["signals"][signal];
    (
        number(&standing["canary_rate"]),
        number(&standing["production_rate"]),
    )
}

#[test]
fn labels_that_come_late_take_a_wrong_challenger_back() {
    let run = run("accuracy");
    assert_eq!(
        (run.code, &run.last()["status"]),
        (3, &"ROLLED_BACK".into())
    );
    let (champion, challenger) = run.held_out("right");
    assert!(
        champion > 0.70 && challenger < 0.60,
        "{champion} {challenger}"
    );
    // The first labels come minutes after the first predictions, and the stage has waited for them.
    let asked = run.checks().position(|check| check["canary"].is_object());
    let labels = |check: &Value| check["signals"]["accuracy"]["canary"]["n"].as_u64();
    let labelled = run.checks().position(|check| labels(check) > Some(0));
    let waited = labelled
        .zip(asked)
        .map(|(labelled, asked)| labelled - asked);
    assert!(waited >= Some(6), "{waited:?}");
    let reason = text(&run.entry("deployment.rolling_back")["reason"]);
    assert!(
        reason.starts_with("wrong predictions among the labelled"),
        "{reason}"
    );
    let (canary, production) = rates(&run, "accuracy");
    assert!(canary > production + 0.1, "{canary} {production}");
    // Nothing else spoke against it.
    assert!(
        run.checks()
            .all(|check| check["canary"]["errors_5xx"].as_u64().unwrap_or(0) == 0)
    );
    assert_eq!(run.most_traffic(), 25);
}

#[test]
fn an_accurate_challenger_that_is_unfair_is_taken_back() {
    let run = run("unfair");
    assert_eq!(
        (run.code, &run.last()["status"]),
        (3, &"ROLLED_BACK".into())
    );
    let (champion, challenger) = run.held_out("right");
    assert!(challenger > champion - 0.04, "{champion} {challenger}");
    let (dry, sweet) = (
        run.held_out("calls_dry_good"),
        run.held_out("calls_sweet_good"),
    );
    assert!(dry.1 - sweet.1 > 0.15, "{dry:?} {sweet:?}");
    assert!((dry.0 - sweet.0).abs() < 0.10, "{dry:?} {sweet:?}");
    let reason = text(&run.entry("deployment.rolling_back")["reason"]);
    assert!(
        reason.starts_with("demographic parity difference"),
        "{reason}"
    );
    assert!(
        reason.contains("dry has the most positive predictions, sweet the fewest"),
        "{reason}"
    );
}

#[test]
fn a_dear_challenger_is_told_and_takes_over() {
    let run = run("costly");
    assert_eq!((run.code, &run.last()["status"]), (0, &"COMPLETED".into()));
    let breach = run.entry("signal.breached");
    assert_eq!(
        (&breach["signal"], &breach["signal_severity"]),
        (&"cost.ratio".into(), &"low".into())
    );
    assert_eq!(run.told("breached"), ["ml_team", "finops"]);
    let is_asked = |arm: &Value| arm["cost"].is_number() && arm["invocations"].as_u64() > Some(0);
    let both = run
        .checks()
        .filter(|check| is_asked(&check["canary"]) && is_asked(&check["production"]));
    let a_request = |arm: &Value| number(&arm["cost"]) / number(&arm["invocations"]);
    let mut ratios: Vec<f64> = both
        .map(|check| a_request(&check["canary"]) / a_request(&check["production"]))
        .collect();
    ratios.sort_by(f64::total_cmp);
    // Before a raise the instances for it are there without their traffic, which costs twice as much again.
    let usual = ratios[ratios.len() / 2];
    assert!((1.7..2.3).contains(&usual), "{ratios:?}");
}

#[test]
fn scores_that_moved_hold_until_a_person_decides() {
    let run = run("drift");
    assert_eq!(
        (run.code, &run.last()["status"]),
        (3, &"ROLLED_BACK".into())
    );
    let (champion, challenger) = run.held_out("mean_score");
    assert!(challenger > champion + 0.1, "{champion} {challenger}");
    let breach = run.entry("signal.breached");
    assert!(
        text(&breach["reason"]).contains("population stability index"),
        "{breach}"
    );
    assert_eq!(run.told("breached"), ["ml_team"]);
    run.entry("deployment.held");
    assert_eq!(run.most_traffic(), 25, "it was never raised");
    let back = run.entry("deployment.rolling_back");
    assert!(back["by"].is_string(), "a person decided: {back}");
}

#[test]
fn a_challenger_that_fails_the_gate_gets_no_traffic() {
    let run = run("rejected");
    assert_eq!(run.code, 6);
    let [compared, refused] = run.lines.as_slice() else {
        panic!("{:#?}", run.lines);
    };
    assert_eq!(compared["outcome"], "rejected");
    let failed: Vec<&str> = compared["requirements"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|requirement| requirement["verdict"] == "failed")
        .map(|requirement| text(&requirement["requirement"]))
        .collect();
    assert_eq!(failed, ["fpr", "f1_ratio"]);
    assert_eq!(
        (&refused["event"], &refused["status"]),
        (&"deployment.rejected".into(), &"REJECTED".into())
    );
    assert_eq!(
        run.kept,
        Value::Null,
        "there was no deployment to keep anything of"
    );
}

#[test]
fn a_fault_at_half_of_the_traffic_goes_down_by_steps() {
    let run = run("gradual");
    assert_eq!(
        (run.code, &run.last()["status"]),
        (3, &"ROLLED_BACK".into())
    );
    let confirmed: Vec<u64> = run
        .entries()
        .filter(|entry| entry["event"] == "traffic.shifted")
        .filter_map(|entry| entry["weight"].as_u64())
        .collect();
    assert_eq!(confirmed, [25, 50, 25, 10], "{:#}", run.kept["history"]);
    let (canary, production) = rates(&run, "accuracy");
    assert!(canary > production + 0.1, "{canary} {production}");
}
