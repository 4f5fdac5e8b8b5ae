//! Every verb's exit codes, what goes to which stream, and the examples.

use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::binary::{canary, code, stderr, stdout};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/wine-quality.yaml");

#[test]
fn the_example_is_a_valid_specification() {
    let output = canary(&["lint", "-f", EXAMPLE], "");
    assert_eq!((code(&output), stdout(&output)), (0, "ok\n"));
    let text = std::fs::read_to_string(EXAMPLE).expect("the example is there");
    let output = canary(&["lint", "-f", "-", "-o", "json"], &text);
    assert_eq!(code(&output), 0);
    let object: Value = serde_json::from_str(stdout(&output)).expect("one object");
    assert_eq!(object["endpoint"], "wine-quality");
}

#[test]
fn the_example_with_its_proofs_is_a_valid_specification() {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/preconditions.yaml"
    );
    let output = canary(&["lint", "-f", example], "");
    assert_eq!((code(&output), stdout(&output)), (0, "ok\n"));
}

#[test]
fn bad_specifications_are_refused_with_their_field() {
    let stages = "endpoint: a\nmodel: b\nplan: {stages: [{weight: 50, bake: 1h}, {weight: 40}]}\n";
    let cases = [
        (
            "endpoint: a\nmodel: b\npolicy: {error_rate: {limit: 0.01}}\n",
            "policy.error_rate.limit",
        ),
        ("endpoint: a\nmodel: b\ncanari: {}\n", "canari"),
        ("endpoint: a_b\nmodel: b\n", "endpoint"),
        (stages, "plan.stages[1].weight"),
    ];
    for (text, field) in cases {
        let output = canary(&["lint", "-f", "-"], text);
        assert_eq!((code(&output), stdout(&output)), (1, ""), "{text}");
        let expected = format!("  field: {field}\n");
        assert!(stderr(&output).ends_with(&expected), "{}", stderr(&output));

        let output = canary(&["lint", "-f", "-", "-o", "json"], text);
        let problem: Value = serde_json::from_str(stderr(&output)).expect("a problem object");
        assert_eq!(problem["field"], field);
        assert_eq!(
            problem["type"],
            "urn:sagemaker-canary:problem:invalid-specification"
        );
    }
    for text in ["a: [", "\u{1b}[2J: 1\n", ""] {
        let output = canary(&["lint", "-f", "-"], text);
        assert_eq!(code(&output), 1, "{text:?}");
        assert!(!stderr(&output).contains('\u{1b}'));
    }
    for (text, words) in [
        (
            "",
            "the specification is empty: it needs at least `endpoint`",
        ),
        (
            "endpoint: a\nmodel: b\nplan: linear\n",
            r#"this must be a plan, such as {"preset": "linear"}, not"#,
        ),
        (
            "endpoint: a\n\tmodel: b\n",
            "not YAML at line 1, column 11: a tab stands here",
        ),
    ] {
        let output = canary(&["lint", "-f", "-"], text);
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    let output = canary(&["lint", "-f", "/nowhere/at/all.yaml"], "");
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("/nowhere/at/all.yaml"));
}

#[test]
fn wrong_usage_ends_with_two() {
    for arguments in [
        &["unknown"][..],
        &["weight", "101"],
        &["get", "--api", "http://example.com"],
    ] {
        let output = canary(arguments, "");
        assert_eq!((code(&output), stdout(&output)), (2, ""), "{arguments:?}");
        let mut with_json = arguments.to_vec();
        with_json.extend(["-o", "json"]);
        let output = canary(&with_json, "");
        assert_eq!((code(&output), stdout(&output)), (2, ""), "{arguments:?}");
        let problem: Value = serde_json::from_str(stderr(&output)).expect("a problem object");
        assert!(problem["type"].is_string());
    }
    assert_eq!(code(&canary(&["--help"], "")), 0);
    let output = canary(&["--version"], "");
    assert!(stdout(&output).starts_with("canary "));
}

#[test]
fn nobody_listening_is_said_in_one_line() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let output = canary(&["list", "--api", &format!("http://{address}")], "");
    assert_eq!((code(&output), stdout(&output)), (1, ""));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("canary local"));
}

/// An API with one deployment that is over, and a lock that is taken.
async fn api() -> String {
    let view = deployment();
    let (whole, listed) = (view.clone(), json!({"items": [view]}));
    let problem = json!({
        "type": "urn:sagemaker-canary:problem:endpoint-locked", "title": "endpoint locked",
        "status": 409, "detail": "in use", "field": "endpoint",
    });
    let router = Router::new()
        .route("/deployments", get(async || Json(listed)))
        .route("/deployments/{id}", get(async || Json(whole)))
        .route(
            "/deployments/{id}/history",
            get(async || Json(json!({"items": []}))),
        )
        .route("/deployments/{id}/report", get(async || Json(report())))
        .route(
            "/deploy",
            post(async || (StatusCode::CONFLICT, Json(problem))),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// With something on the way that no terminal should take for more than text.
fn report() -> Value {
    json!({
        "deployment": deployment(),
        "ending": "Cancelled: called off.",
        "advice": [{"what": "See the evidence", "command": "canary checks 0193"}],
        "breaches": [],
        "timeline": [{
            "entry": {
                "seq": 1, "at": "2026-11-21T10:00:00Z", "event": "deployment.started",
                "severity": "info", "reason": "accepted <b>\u{1b}[2J", "value": "v", "limit": "l",
                "status": "PENDING", "phase": "Provisioning", "weight": 0, "by": "Release",
            },
            "told": ["ml_team"], "announced": true,
        }],
        "told": [],
        "series": {"minutes": 0, "minutes_per_point": 1, "points": [], "tracks": {}},
    })
}

fn deployment() -> Value {
    json!({
        "deployment_id": "01931f0a-7c00-7abc-8def-0123456789ab",
        "status": "CANCELLED", "phase": "Ended", "endpoint": "wine-quality",
        "model": "wine-quality-v2", "former_model": "wine-quality-v1",
        "canary_variant": "canary-456789ab", "production_variant": "AllTraffic",
        "weight": 0, "target_weight": 0, "stage": 0, "stage_count": 1,
        "reason": "called off", "version": 3,
        "created_at": "2026-11-21T10:00:00Z", "created_by": "Release",
        "updated_at": "2026-11-21T10:14:05Z", "as_of": "2026-11-21T10:18:30Z", "stages": [],
        "soak": "30m", "deadline": "4h", "deadline_used": "0s",
        "links": {"self": "/", "history": "/", "checks": "/"},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_api_is_used_from_end_to_end() {
    let api = api().await;
    let output = canary(&["watch", "0193", "-o", "json", "--api", &api], "");
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 1);
    assert!(stderr(&output).is_empty());

    // Nothing is under way, so that a name is needed.
    let output = canary(&["get", "--api", &api], "");
    assert_eq!((code(&output), stdout(&output)), (1, ""));
    let output = canary(&["get", "01931", "--api", &api], "");
    assert_eq!(code(&output), 0);
    assert!(stderr(&output).contains("01931f0a-7c00"), "it says which");

    let output = canary(&["report", "0193", "--api", &api], "");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let markdown = stdout(&output);
    assert!(
        markdown.starts_with("# wine-quality: wine-quality-v2 for wine-quality-v1 (CANCELLED)\n")
    );
    assert!(
        markdown.contains("accepted &lt;b&gt;") && !markdown.contains('\u{1b}'),
        "{markdown}"
    );
    let file = std::env::temp_dir().join(format!("canary-report-{}.html", std::process::id()));
    let path = file.to_str().expect("a path in UTF-8");
    let output = canary(&["report", "0193", "--html", path, "--api", &api], "");
    assert_eq!(
        (code(&output), stdout(&output)),
        (0, format!("The report is in {path}\n").as_str())
    );
    let page = std::fs::read_to_string(&file).expect("the page");
    std::fs::remove_file(&file).expect("a file to remove");
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("accepted &lt;b&gt;"),
        "{page}"
    );
    let output = canary(
        &[
            "report",
            "0193",
            "--html",
            "/nowhere/at/all.html",
            "--api",
            &api,
        ],
        "",
    );
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("/nowhere/at/all.html can't be written"),
        "{}",
        stderr(&output)
    );
    let output = canary(&["report", "0193", "-o", "json", "--api", &api], "");
    let object: Value = serde_json::from_str(stdout(&output)).expect("one object");
    assert_eq!(object["deployment"]["status"], "CANCELLED");

    let output = canary(&["deploy", "-f", EXAMPLE, "--api", &api], "");
    let expected = "error: endpoint locked: in use\n  field: endpoint\n";
    assert_eq!((code(&output), stderr(&output)), (1, expected));
}
