//! What people and programs read, held as snapshots.

use insta::assert_snapshot;
use serde_json::{Value, json};
use shared::domain::quantity::Weight;
use shared::domain::state::{Phase, Status};
use shared::wire::api::DeploymentView;
use shared::wire::problem::Problem;
use shared::wire::specification::parse;

use super::complaint::Complaint;
use super::*;

const PIPE: Look = Look {
    terminal: false,
    colour: false,
    width: None,
};
const TERMINAL: Look = Look {
    terminal: true,
    colour: false,
    width: Some(100),
};
const COLOURFUL: Look = Look {
    colour: true,
    ..TERMINAL
};
/// Wide enough for sentences beside figures.
const ROOMY: Look = Look {
    width: Some(160),
    ..TERMINAL
};
/// As wide as terminals are at first.
const USUAL: Look = Look {
    width: Some(80),
    ..TERMINAL
};

/// Escapes made visible.
fn visible(text: &str) -> String {
    text.replace('\u{1b}', "^")
}

#[test]
fn get() {
    assert_snapshot!("get", deployment::in_full(PIPE, &samples::baking()));
    assert_snapshot!(
        "get_terminal",
        deployment::in_full(TERMINAL, &samples::baking())
    );
    let mut blind = samples::baking();
    blind.target_weight = Weight::FULL;
    blind.measured.as_mut().unwrap().blind = Some("GetMetricData failed".to_owned());
    assert_snapshot!("get_blind_and_shifting", deployment::in_full(PIPE, &blind));
}

#[test]
fn a_stage_that_has_no_date_is_shown_without_one() {
    let mut view = samples::baking_json();
    for stage in view["stages"].as_array_mut().unwrap().iter_mut().take(1) {
        stage.as_object_mut().unwrap().remove("begins_at");
    }
    let text = deployment::in_full(PIPE, &serde_json::from_value(view).unwrap());
    assert!(text.contains("1    10 %  10m   -         -\n"), "{text}");
}

#[test]
fn the_traffic_is_shown_as_it_is_and_beside_it_as_it_is_meant() {
    let mut view = samples::baking();
    (view.observed_weight, view.drifted) = (Some(0.0), true);
    let text = deployment::in_full(PIPE, &view);
    let split = "traffic     0 % on canary-456789ab (wine-quality-v2), 100 % on AllTraffic (wine-quality-v1); somebody else set it, 50 % on the canary is intended\n";
    assert!(text.contains(split), "{text}");
    let listed = |view: &DeploymentView| list::list(PIPE, std::slice::from_ref(view));
    assert!(listed(&view).contains("  0 % (50 % intended)  "));
    let line = deployment::standing_line(PIPE, &view);
    assert!(line.contains("canary at 0 % (50 % intended)"), "{line}");
    assert!(progress::status(PIPE, &view).starts_with("0 % (50 % intended)  stage"));
    // On their way to where they are meant to be, the weights are nobody else's: a raise that a rollback caught
    // up with is not, either.
    view.drifted = false;
    let text = deployment::in_full(PIPE, &view);
    assert!(text.contains("; canary on its way to 50 %\n"), "{text}");
    view.observed_weight = Some(100.0);
    view.target_weight = Weight::FULL;
    let text = deployment::in_full(PIPE, &view);
    let moving = "0 % on AllTraffic (wine-quality-v1); canary to go to 100 %\n";
    assert!(text.contains(moving), "{text}");
    // After a failure nothing is meant.
    (view.status, view.phase) = (Status::Failed, Phase::Ended);
    view.observed_weight = Some(33.33);
    let text = deployment::in_full(PIPE, &view);
    let seen = "33.33 % on canary-456789ab (wine-quality-v2), 66.67 % on AllTraffic (wine-quality-v1) when last seen\n";
    assert!(text.contains(seen), "{text}");
    assert!(listed(&view).contains("  33.33 %  "));
    let mut minutes = samples::minutes();
    minutes[0].observed_weight = Some(33.33);
    assert!(checks::checks(PIPE, &minutes).contains(" 33.33 %  "));
}

#[test]
fn what_is_held_up_has_no_date_for_its_end() {
    let mut view = samples::baking();
    view.expected_end = None;
    for (phase, is_said) in [
        (Phase::Holding, true),
        (Phase::Soaking, true),
        (Phase::Baking, false),
    ] {
        view.phase = phase;
        let text = deployment::in_full(PIPE, &view);
        let words = "ends        not known, for the reason above\n";
        assert_eq!(text.contains(words), is_said, "{text}");
    }
}

#[test]
fn a_way_down_by_steps_says_what_is_next_and_when() {
    let mut view = samples::baking_json();
    let since = "2026-11-21T10:16:00Z";
    view["phase"] = json!("Retreating");
    view["descent"] = json!({"since": since, "cause": "5XX errors", "next_weight": 10});
    let read = |view: &Value| serde_json::from_value(view.clone()).unwrap();
    let text = deployment::in_full(PIPE, &read(&view));
    assert!(
        text.contains("going down  10 % is next, under way\n"),
        "{text}"
    );
    view["descent"]["next_weight"] = json!(0);
    view["descent"]["next_at"] = json!("2026-11-21T11:16:00Z");
    let words = "all of it goes back at 2026-11-21 11:16:00 UTC";
    let text = deployment::in_full(PIPE, &read(&view));
    assert!(text.contains(&format!("going down  {words}\n")), "{text}");
    assert!(progress::status(PIPE, &read(&view)).contains(words));
}

#[test]
fn deploy() {
    assert_snapshot!("deploy", deployment::accepted(PIPE, &samples::baking()));
}

#[test]
fn plan_of_a_specification() {
    assert_snapshot!("plan", plan::plan(PIPE, &samples::plan()));
    let speaking = plan::plan(PIPE, &samples::speaking_plan());
    let about = speaking.split("\nWhat inference").nth(1);
    let about = about.and_then(|rest| rest.split("\nRolled back by").next());
    assert_snapshot!(
        "plan_model_signals",
        about.expect("it stands before the guards")
    );
}

#[test]
fn the_stages_of_a_plan_have_room_on_a_small_terminal() {
    let mut json = samples::plan_json();
    let stages = json["stages"].as_array_mut().unwrap();
    stages[1]["bake"] = json!("36h");
    stages[1]["canary_requests"] = json!(12_345_678);
    stages[1]["instances"] = json!(1000);
    json["quotas"][0]["name"] = json!("ml.p4de.24xlarge for endpoint usage");
    json["quotas"][0]["instances"] = json!(3000);
    json["instance_dollars"] = json!(1_234_567.89);
    let wide: shared::wire::api::PlanView = serde_json::from_value(json.clone()).unwrap();
    let text = plan::plan(USUAL, &wide);
    let stages = text.split("\nThe smallest").next().unwrap();
    assert!(stages.contains("12345678 ┆     +1000"), "{stages}");
    let widest = stages.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{stages}");
    json.as_object_mut().unwrap().remove("instance_dollars");
    let unknown = plan::plan(USUAL, &serde_json::from_value(json).unwrap());
    assert!(unknown.contains("costs      not known"), "{unknown}");
}

#[test]
fn list_of_deployments() {
    let views = [samples::baking(), samples::rolled_back()];
    assert_snapshot!("list", list::list(PIPE, &views));
    let mut views = [samples::baking(), samples::rolled_back()];
    views[1].deployment_id = "01931e00-1111-7abc-8def-0123456789ab".to_owned();
    assert_snapshot!("list_terminal", list::list(TERMINAL, &views));
    let roomy = Look {
        colour: true,
        ..ROOMY
    };
    assert_snapshot!("list_colour", visible(&list::list(roomy, &views)));
    assert_snapshot!("list_empty", list::list(PIPE, &[]));
}

#[test]
fn history_of_a_deployment() {
    assert_snapshot!("history", history::history(PIPE, &samples::entries()));
    assert_snapshot!(
        "history_terminal",
        history::history(TERMINAL, &samples::entries())
    );
    assert_snapshot!(
        "history_roomy",
        history::history(ROOMY, &samples::entries())
    );
}

#[test]
fn checks_of_a_deployment() {
    assert_snapshot!("checks", checks::checks(PIPE, &samples::minutes()));
    assert_snapshot!(
        "checks_terminal",
        checks::checks(TERMINAL, &samples::minutes())
    );
    assert_snapshot!("checks_roomy", checks::checks(ROOMY, &samples::minutes()));
}

#[test]
fn a_minute_has_the_share_of_its_own_time() {
    let history = samples::entries();
    let share = |minute: &str| {
        let mut report = samples::minutes().remove(0);
        report.minute = minute.parse().unwrap();
        report.with_share_of(&history).weight.percent()
    };
    assert_eq!(share("2026-11-21T23:55:00Z"), 0);
    assert_eq!(share("2026-11-21T23:56:00Z"), 10, "confirmed within it");
    assert_eq!(share("2026-11-22T00:05:00Z"), 10, "the way back is meant");
}

/// The longest line, as it is seen.
fn widest(text: &str) -> usize {
    text.lines().map(text::width).max().unwrap_or(0)
}

#[test]
fn nothing_is_wider_than_a_usual_terminal() {
    let mut going = samples::baking();
    going.reason = "the evidence does not decide, and the share stays where it is ".repeat(3);
    let mut retreating = samples::baking_json();
    retreating["phase"] = json!("Retreating");
    retreating["descent"] = json!({
        "since": "2026-11-21T10:16:00Z", "cause": "5XX errors", "next_weight": 0,
        "next_at": "2026-11-21T11:16:00Z",
    });
    let retreating = serde_json::from_value(retreating).unwrap();
    let mut over = samples::rolled_back();
    over.deployment_id = "01931f0b-7c00-7abc-8def-0123456789ab".to_owned();
    let over = [samples::baking(), over];
    let mut minutes = samples::minutes();
    minutes[0].sentence = "a signal of production is measured worse than before; ".repeat(5);
    let colourful = Look {
        colour: true,
        ..USUAL
    };
    for look in [USUAL, colourful] {
        let shown = [
            fitted(look, &deployment::in_full(look, &going)),
            fitted(look, &deployment::ending(look, &going)),
            fitted(look, &plan::plan(look, &samples::plan())),
            list::list(look, &over),
            history::history(look, &samples::entries()),
            checks::checks(look, &minutes),
            progress::status(look, &retreating),
            Complaint::own("word", &going.reason).text(look),
        ];
        for text in shown {
            assert!(widest(&text) <= 80, "{text}");
        }
    }
    // The bar stands before the first line.
    let status = progress::status(USUAL, &retreating);
    let first = status.lines().next().unwrap_or_default();
    assert_eq!(first, "50 %  stage 2/3  IN_PROGRESS/Retreating");
}

#[test]
fn a_line_that_is_broken_goes_on_under_its_last_column() {
    let narrow = Look {
        width: Some(40),
        ..TERMINAL
    };
    let facts = "reason      the canary serves 50 % and is judged for 20m";
    assert_eq!(
        fitted(narrow, facts),
        "reason      the canary serves 50 % and\n            is judged for 20m"
    );
    assert_eq!(
        fitted(narrow, "  one two three four five six seven eight nine"),
        "  one two three four five six seven\n  eight nine"
    );
    let red = "\u{1b}[31;1merror\u{1b}[0m: of thirty-eight letters, as seen";
    assert_eq!(fitted(narrow, red), red);
    assert_eq!(fitted(PIPE, facts), facts);
    let framed = format!("│ {facts} │");
    assert_eq!(fitted(narrow, &framed), framed);
}

#[test]
fn what_is_over_has_no_raise_before_it() {
    for (mut view, is_said) in [(samples::baking(), true), (samples::rolled_back(), false)] {
        view.measured.as_mut().unwrap().objection = Some("it errs".to_owned());
        let text = deployment::in_full(PIPE, &view);
        assert_eq!(text.contains("no raise while: it errs"), is_said, "{text}");
    }
}

#[test]
fn what_is_too_wide_for_the_terminal_goes_on_below() {
    let narrow = Look {
        width: Some(40),
        ..TERMINAL
    };
    let text = paragraph(
        narrow,
        10,
        "one two three four five six seven eight nine ten eleven",
    );
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(40) && text.lines().count() == 2, "{text}");
    assert_eq!(paragraph(PIPE, 2, "as it is"), "  as it is");
    let entries = samples::entries();
    let line = |look| history::line(look, &entries[2]);
    assert_eq!(line(PIPE).lines().count(), 1);
    let wrapped = line(USUAL);
    assert_eq!(wrapped.lines().count(), 2, "{wrapped}");
    assert!(
        wrapped.lines().all(|line| line.chars().count() <= 80),
        "{wrapped}"
    );
}

#[test]
fn orders() {
    let lines: Vec<String> = [
        "pause",
        "resume",
        "promote",
        "rollback",
        "cancel",
        "approve",
        "weight 25",
    ]
    .iter()
    .map(|order| deployment::ordered(PIPE, order, &samples::baking()))
    .collect();
    assert_snapshot!("orders", lines.join("\n"));
}

#[test]
fn watch() {
    let lines = |look| -> Vec<String> {
        let entries = samples::entries();
        entries
            .iter()
            .map(|entry| history::line(look, entry))
            .collect()
    };
    assert_snapshot!("watch_lines", lines(PIPE).join("\n"));
    assert_snapshot!("watch_lines_colour", visible(&lines(COLOURFUL).join("\n")));
    assert_snapshot!(
        "watch_status",
        progress::status(TERMINAL, &samples::baking())
    );
    assert_snapshot!(
        "watch_end",
        deployment::ending(PIPE, &samples::rolled_back())
    );
    let mut waiting = samples::baking();
    waiting.phase = Phase::AwaitingApproval;
    assert_snapshot!("watch_approval", deployment::ending(PIPE, &waiting));
    waiting.phase = Phase::Paused;
    let paused = deployment::ending(PIPE, &waiting);
    let expected = format!(
        "\npaused: {}\nGo on with: canary resume {}\n",
        waiting.reason,
        samples::ID
    );
    assert!(paused.starts_with(&expected), "{paused}");
}

#[test]
fn complaints() {
    let locked = Problem::new(
        409,
        "endpoint-locked",
        "wine-quality has a deployment already",
    );
    let locked = Complaint::from(locked.field("endpoint").deployment(samples::ID));
    assert_snapshot!("complaint", locked.text(PIPE));
    assert_snapshot!("complaint_colour", visible(&locked.text(COLOURFUL)));
    assert_snapshot!("complaint_json", locked.json());
    let bad = json!({"endpoint": "a", "model": "b", "policy": {"error_rate": {"limit": 0.01}}});
    let error = parse(&bad).unwrap_err();
    assert_snapshot!("complaint_lint", Complaint::from(&error).text(PIPE));
    assert_snapshot!("complaint_lint_json", Complaint::from(&error).json());
}

#[test]
fn json_is_one_compact_object_a_line() {
    let (mut answers, mut remarks) = (Vec::new(), Vec::new());
    let mut output = Output::new(Format::Json, TERMINAL, &mut answers, &mut remarks);
    output
        .answers_of(&samples::entries(), |_, _| unreachable!())
        .unwrap();
    output
        .answer(&samples::baking(), |_| unreachable!())
        .unwrap();
    output.remark("for people").unwrap();
    let text = String::from_utf8(answers).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1]["event"], "traffic.shifted");
    assert_eq!(lines[3]["deployment_id"], samples::ID);
    assert!(remarks.is_empty());
}

#[test]
fn what_came_from_outside_cannot_steer_the_terminal() {
    let shown = printable("a\u{1b}[2Jb\r\nc\u{7f}\u{9b}d\u{202e}e\u{200b} ümläut 漢");
    assert_eq!(
        shown,
        "a\u{fffd}[2Jb  c\u{fffd}\u{fffd}d\u{fffd}e\u{fffd} ümläut 漢"
    );
    let complaint = Complaint::own("word", "x\u{1b}]0;y\u{7}");
    assert!(!complaint.text(PIPE).contains(['\u{1b}', '\u{7}']));
}

#[test]
fn colour_needs_a_terminal_and_nobody_against_it() {
    let surroundings =
        |no_color: Option<&str>, clicolor: Option<&str>, term: Option<&str>| Surroundings {
            no_color: None,
            environment_no_color: no_color.map(OsString::from),
            clicolor: clicolor.map(OsString::from),
            term: term.map(OsString::from),
        };
    let cases = [
        (None, None, Some("xterm"), true, true),
        (Some(""), Some("1"), None, true, true),
        (Some("1"), None, None, true, false),
        (None, Some("0"), None, true, false),
        (None, None, Some("dumb"), false, false),
    ];
    for (no_color, clicolor, term, terminal, colour) in cases {
        let given = surroundings(no_color, clicolor, term);
        let look = Look::of(true, &given);
        assert_eq!(
            (look.terminal, look.colour),
            (terminal, colour),
            "{given:?}"
        );
        let pipe = Look::of(false, &given);
        assert_eq!((pipe.terminal, pipe.colour), (false, false), "{given:?}");
    }
    let typed = Surroundings {
        no_color: Some(OsString::from("1")),
        ..Surroundings::default()
    };
    assert!(!Look::of(true, &typed).colour);
}

#[test]
fn lengths_of_time_have_two_neighbouring_units_at_most() {
    use shared::domain::quantity::Span;
    let cases = [
        (0, "0s"),
        (45, "45s"),
        (805, "13m 25s"),
        (3600, "1h"),
        (3661, "1h 1m"),
        (86_400 + 60, "1d"),
        (183_600, "2d 3h"),
    ];
    for (seconds, expected) in cases {
        assert_eq!(text::length(Span::from_secs(seconds)), expected);
    }
}
