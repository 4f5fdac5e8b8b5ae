//! Following, against a router that plays a deployment look by look.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::client::address::Address;
use crate::client::deployed_tests::client;
use crate::gateway::{Gateway, Reply};
use crate::output::samples;

/// What each look at the record gets; an error where there is none. The last one stays.
type Script = Arc<Mutex<VecDeque<Option<Value>>>>;

async fn playing(script: Vec<Option<Value>>) -> Client {
    let script: Script = Arc::new(Mutex::new(script.into()));
    let router = Router::new()
        .route("/deployments/{id}", get(record))
        .route(
            "/deployments/{id}/history",
            get(async || Json(json!({"items": samples::entries_json()}))),
        )
        .with_state(script);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Client::on_loopback(&Address::parse(&api).unwrap())
}

async fn record(State(script): State<Script>) -> Response {
    let mut script = script.lock().unwrap();
    let next = if script.len() > 1 {
        script.pop_front().unwrap()
    } else {
        script[0].clone()
    };
    match next {
        Some(view) => Json(view).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn followed(
    script: Vec<Option<Value>>,
    format: Format,
    limit: Option<Span>,
) -> (Result<Exit, Failure>, String) {
    let client = playing(script).await;
    let pace = Pace {
        interval: Duration::ZERO,
        patience: 30,
        limit,
    };
    let (mut answers, mut remarks) = (Vec::new(), Vec::new());
    let mut output = Output::new(format, Look::default(), &mut answers, &mut remarks);
    let result = follow(&client, samples::ID, pace, &mut output).await;
    (result, String::from_utf8(answers).unwrap())
}

#[tokio::test]
async fn each_entry_is_printed_once_and_the_end_last() {
    let baking = samples::baking_json();
    let script = vec![
        Some(baking.clone()),
        Some(baking),
        None,
        Some(samples::rolled_back_json()),
    ];
    let (result, text) = followed(script.clone(), Format::Text, None).await;
    assert_eq!(result.unwrap(), Exit::TakenBack);
    insta::assert_snapshot!("followed", text);

    let (_, text) = followed(script, Format::Json, None).await;
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let numbers: Vec<Option<u64>> = lines.iter().map(|line| line["seq"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3), None]);
    assert_eq!(lines[3]["status"], "ROLLED_BACK");
}

#[tokio::test]
async fn a_person_is_waited_for_outside() {
    for (phase, way_on) in [
        ("AwaitingApproval", "canary approve"),
        ("Paused", "canary resume"),
    ] {
        let mut waiting = samples::baking_json();
        waiting["phase"] = json!(phase);
        let (result, text) = followed(vec![Some(waiting)], Format::Text, None).await;
        assert_eq!(result.unwrap(), Exit::NeedsPerson, "{phase}");
        assert!(text.contains(way_on), "{text}");
    }
}

#[tokio::test]
async fn an_api_that_is_gone_is_sat_out_but_not_for_ever() {
    let (result, _) = followed(vec![None], Format::Text, None).await;
    let at_first = result.unwrap_err();
    assert_eq!(at_first.exit(), Exit::Error);

    let script = vec![Some(samples::baking_json()), None];
    let (result, text) = followed(script, Format::Text, None).await;
    assert!(matches!(result, Err(Failure::Client(_))));
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[tokio::test]
async fn time_runs_out() {
    let script = vec![Some(samples::baking_json())];
    let (result, _) = followed(script, Format::Text, Some(Span::ZERO)).await;
    let failure = result.unwrap_err();
    assert_eq!(failure.exit(), Exit::TimedOut);
    let complaint = failure.complaint().json();
    assert!(complaint.contains("timed-out") && complaint.contains(samples::ID));
}

#[tokio::test]
async fn a_session_that_ends_meanwhile_is_renewed() {
    let gateway = Gateway::open(|before, seen| match (before, seen.path.as_str()) {
        // The first look, its history, then the end of the session.
        (2, _) => Reply::gateway(
            403,
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ),
        // And a gateway that is out of order for longer than a call is repeated.
        (4..10, _) => Reply::gateway(502, "InternalServerErrorException", "Internal server error"),
        (_, path) if path.ends_with("/history") => {
            Reply::json(200, &json!({"items": samples::entries_json()}))
        }
        (..10, _) => Reply::json(200, &samples::baking_json()),
        _ => Reply::json(200, &samples::rolled_back_json()),
    })
    .await;
    let client = client(&gateway);
    let pace = Pace {
        interval: Duration::ZERO,
        patience: 2,
        limit: None,
    };
    let (mut answers, mut remarks) = (Vec::new(), Vec::new());
    let mut output = Output::new(Format::Json, Look::default(), &mut answers, &mut remarks);
    let exit = follow(&client, samples::ID, pace, &mut output)
        .await
        .unwrap();
    assert_eq!(exit, Exit::TakenBack);
    assert!(gateway.asked().len() > 10);
}
