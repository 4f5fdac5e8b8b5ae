//! The recipes of the documents, as far as a machine without AWS can try them: YAML and JSON are read, every
//! `canary` in a block of code is parsed by the command line's own definition, and specifications are checked as the
//! API checks them.

use clap::Parser as _;
use serde_json::Value;
use shared::domain::history::Name;
use shared::wire::specification;

use super::Arguments;

const PIPELINES: &str = include_str!("../../../docs/pipelines.md");
const ACTION: &str = include_str!("../../../action.yml");
const GATE: &str = include_str!("../../../docs/gate.md");
/// Each page with commands in it, and how many it has at the least. Those of the tutorial are played.
const PAGES: [(&str, &str, usize); 5] = [
    ("README.md", include_str!("../../../README.md"), 4),
    ("cli.md", include_str!("../../../docs/cli.md"), 6),
    ("gate.md", GATE, 4),
    ("install.md", include_str!("../../../docs/install.md"), 3),
    ("pipelines.md", PIPELINES, 8),
];

/// A fenced block: its language and its text.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut open: Option<(&str, usize, String)> = None;
    for line in page.lines() {
        let inner = line.trim_start();
        match (&mut open, inner.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some((language, line.len() - inner.len(), String::new()));
            }
            (Some(_), Some(_)) => {
                let (language, _, text) = open.take().expect("a block that is open");
                found.push((language, text));
            }
            (Some((_, indent, text)), None) => {
                text.push_str(line.get(*indent..).unwrap_or_default());
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block that does not end");
    found
}

/// The shell scripts of a block: those of a workflow's steps, those between the quotes of Python, or the block itself.
fn scripts(language: &str, text: &str) -> Vec<String> {
    match language {
        "sh" | "console" => vec![text.to_owned()],
        "yaml" => {
            let mut texts = Vec::new();
            gather(&read(text), &mut texts);
            texts
        }
        "python" => text
            .split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

fn read(yaml: &str) -> Value {
    specification::from_yaml(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// Every text of a document.
fn gather(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| gather(item, texts)),
        Value::Object(fields) => fields.values().for_each(|item| gather(item, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a script calls `canary` with, one list of words for each call. Of the shell just what the recipes use:
/// lines that go on, quotes, comments, redirections, and what parts one command from the next.
fn calls(script: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for line in script.replace("\\\n", " ").lines() {
        let words = words(line);
        let commands = words.split(|word| ["|", "||", "&&", ";", "&"].contains(&word.as_str()));
        // `cargo run -p canary --` has another first word.
        let own = commands.filter(|words| words.first().is_some_and(|word| word == "canary"));
        calls.extend(own.map(without_redirections));
    }
    calls
}

fn without_redirections(command: &[String]) -> Vec<String> {
    let end = command.iter().position(|word| word.starts_with(['>', '<']));
    command[..end.unwrap_or(command.len())].to_vec()
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut is_begun) = (String::new(), None, false);
    for letter in line.trim_start().trim_start_matches("$ ").chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => (quote, is_begun) = (Some(letter), true),
            (None, '#') if !is_begun => break,
            (None, ' ' | '\t' | ';') => {
                words.extend(std::mem::take(&mut is_begun).then(|| std::mem::take(&mut word)));
                words.extend((letter == ';').then(|| letter.to_string()));
            }
            _ => {
                is_begun = true;
                word.push(letter);
            }
        }
    }
    words.extend(is_begun.then_some(word));
    words
}

/// A word with something in place of what only the shell, or a scheduler, knows.
fn filled_in(word: &str) -> String {
    match word {
        "$ID" | "ID" => "01997b6e".to_owned(),
        "$API" => "https://abc123.execute-api.eu-central-1.amazonaws.com/v1".to_owned(),
        "$TIMEOUT" => "5h".to_owned(),
        // A template of Airflow's.
        other if other.contains("{{") => "run-17".to_owned(),
        other => other.to_owned(),
    }
}

#[test]
fn every_command_in_the_documents_is_one_that_canary_takes() {
    for (name, page, at_least) in PAGES {
        let mut tried = 0;
        for (language, text) in blocks(page) {
            for script in scripts(language, &text) {
                for call in calls(&script) {
                    tried += 1;
                    let parsed = Arguments::try_parse_from(call.iter().map(|word| filled_in(word)));
                    assert!(parsed.is_ok(), "{name}: {call:?}: {:?}", parsed.err());
                }
            }
        }
        assert!(tried >= at_least, "{name}: {tried} commands were found");
    }
}

/// What stands beside a workflow is what its jobs deploy.
#[test]
fn specifications_in_the_pipelines_page_are_such_as_the_api_takes() {
    let mut tried = 0;
    for (language, text) in blocks(PIPELINES) {
        if language != "yaml" || !text.starts_with("endpoint:") {
            continue;
        }
        tried += 1;
        let link = "https://abc123.execute-api.eu-central-1.amazonaws.com/v1/deployments/0/report";
        let given = read(&text.replace("${STAGING_REPORT}", link));
        let checked = specification::parse(&given);
        assert!(checked.is_ok(), "{:?}\n{text}", checked.err());
    }
    assert_eq!(tried, 2);
}

/// What the page shows is taken, asks for nothing else, and is what the example brings.
#[test]
fn the_five_preconditions_of_the_gates_page_are_asked_for_and_brought_as_it_says() {
    let five = [
        "model_card",
        "security_scan",
        "fairness_analysis",
        "benchmark_report",
        "rollback_test",
    ];
    let mut shown = blocks(GATE);
    shown.retain(|(_, text)| text.starts_with("preconditions:\n"));
    let [(_, shown)] = shown.as_slice() else {
        panic!("{shown:?}");
    };
    let shown = format!("endpoint: wine-quality\nmodel: wine-quality-v2\n{shown}");
    let example = include_str!("../../../examples/preconditions.yaml");
    for text in [shown.as_str(), example] {
        let given = specification::parse(&read(text)).unwrap_or_else(|error| panic!("{error}"));
        let names = given.preconditions.iter().map(|proof| &proof.name);
        assert_eq!(names.collect::<Vec<_>>(), five, "{text}");
    }
    let asked = format!("FIVE=\"{}\"\n", five.join(" "));
    assert!(GATE.contains(&asked), "{asked}");
}

#[test]
fn events_that_a_rule_is_to_pick_are_told() {
    let rules = blocks(PIPELINES).into_iter();
    let rules: Vec<_> = rules.filter(|(language, _)| *language == "json").collect();
    assert_eq!(rules.len(), 1);
    let rule: Value = serde_json::from_str(&rules[0].1).expect("JSON");
    let picked = rule["detail-type"].as_array().expect("events");
    for event in picked {
        let event = event.as_str().expect("a text");
        assert!(
            Name::ALL.iter().any(|name| name.as_str() == event),
            "{event}"
        );
    }
    assert!(picked.len() >= 3 && rule["source"][0] == "canary");
}

/// Inputs are put into the environment, where the shell never runs them, and every output is written by the step.
#[test]
fn the_action_passes_its_inputs_on_and_ends_as_the_command_does() {
    let action = read(ACTION);
    assert_eq!(action["runs"]["using"], "composite");
    let steps = action["runs"]["steps"].as_array().expect("steps");
    let mut used = String::new();
    for step in steps {
        assert_eq!(step["shell"], "bash", "a composite step says its shell");
        let script = step["run"].as_str().expect("a script");
        assert!(!script.contains("${{"), "{script}");
        used.extend([step["if"].to_string(), step["env"].to_string()]);
    }
    for (name, input) in action["inputs"].as_object().expect("inputs") {
        assert!(used.contains(&format!("inputs.{name}")), "{name} is used");
        assert!(input["description"].is_string() && input["default"].is_string());
        assert!(
            PIPELINES.contains(&format!("`{name}`")),
            "{name} is documented"
        );
    }
    let deploy = &steps[1];
    let script = deploy["run"].as_str().expect("a script");
    for (name, output) in action["outputs"].as_object().expect("outputs") {
        assert!(script.contains(&format!("{name}=")), "{name} is written");
        let from = format!("${{{{ steps.deploy.outputs.{name} }}}}");
        assert_eq!(output["value"], from);
        assert!(
            PIPELINES.contains(&format!("`{name}`")),
            "{name} is documented"
        );
    }
    assert!(script.trim_end().ends_with("exit \"$code\""));
    let [call] = calls(script).try_into().expect("one command");
    let parsed = Arguments::try_parse_from(call.iter().map(|word| filled_in(word)));
    assert!(parsed.is_ok(), "{call:?}: {:?}", parsed.err());
    let words = ["deploy", "--wait", "--idempotency-key"];
    assert!(words.iter().all(|word| call.iter().any(|it| it == word)));
}

#[test]
fn scripts_are_taken_apart_as_a_shell_does() {
    let script = "A=1 echo x | canary a -f - > out; canary b \\\n  \"two words\" 'x' # canary c\n\"canary\" d";
    let found = calls(script);
    assert_eq!(found[0], ["canary", "a", "-f", "-"]);
    assert_eq!(found[1], ["canary", "b", "two words", "x"]);
    assert_eq!(found[2..], [["canary", "d"]]);
}
