//! The client against a router on loopback that answers what each test says.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request as AxumRequest, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::json;
use shared::wire::problem::Problem;
use tokio::net::TcpListener;

use super::*;
use crate::output::samples;

/// Method, path with query, idempotency key and body of a request.
type Seen = Arc<Mutex<Vec<(String, String, Option<String>, String)>>>;

/// Serves one answer for everything and remembers what it was asked.
async fn serving(status: StatusCode, answer: impl Into<Bytes>) -> (String, Seen) {
    let seen = Seen::default();
    let state = (seen.clone(), status, answer.into());
    let router = Router::new().fallback(remember).with_state(state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (api, seen)
}

async fn remember(
    State((seen, status, answer)): State<(Seen, StatusCode, Bytes)>,
    request: AxumRequest,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let key = parts.headers.get("idempotency-key");
    let key = key.map(|key| key.to_str().unwrap().to_owned());
    seen.lock().unwrap().push((
        parts.method.to_string(),
        parts.uri.to_string(),
        key,
        String::from_utf8(body.to_vec()).unwrap(),
    ));
    (status, Body::from(answer)).into_response()
}

fn local(api: &str) -> Client {
    Client::on_loopback(&Address::parse(api).unwrap())
}

#[tokio::test]
async fn every_call_asks_its_route() {
    let (api, seen) = serving(StatusCode::OK, samples::baking_json().to_string()).await;
    let client = local(&format!("{api}/"));
    let key = HeaderValue::from_static("build-17");
    let document = json!({"endpoint": "e"});
    client.deploy(&document, &key).await.unwrap();
    client.deployment("0193").await.unwrap();
    client
        .order("0193", "promote?full=true", None)
        .await
        .unwrap();
    client
        .weight("0193", 25, Some("why".to_owned()))
        .await
        .unwrap();
    let seen = seen.lock().unwrap().clone();
    let asked = |method: &str, path: &str, key: Option<&str>, body: &str| {
        let key = key.map(str::to_owned);
        (method.to_owned(), path.to_owned(), key, body.to_owned())
    };
    assert_eq!(
        seen,
        [
            asked("POST", "/deploy", Some("build-17"), r#"{"endpoint":"e"}"#),
            asked("GET", "/deployments/0193", None, ""),
            asked(
                "POST",
                "/deployments/0193/promote?full=true",
                None,
                r#"{"reason":null}"#
            ),
            asked(
                "PUT",
                "/deployments/0193/weight",
                None,
                r#"{"reason":"why","weight":25}"#
            ),
        ]
    );
}

#[tokio::test]
async fn queries_are_encoded() {
    let (api, seen) = serving(StatusCode::OK, r#"{"items": []}"#).await;
    let client = local(&api);
    let filter = ListFilter {
        endpoint: Some("a b&c".to_owned()),
        status: Some(Status::RolledBack),
    };
    client.list(&filter, 7, Some("x+1")).await.unwrap();
    client.checks("0193", 5, None).await.unwrap();
    let paths: Vec<String> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|seen| seen.1.clone())
        .collect();
    assert_eq!(
        paths,
        [
            "/deployments?limit=7&endpoint=a%20b%26c&status=ROLLED_BACK&cursor=x%2B1",
            "/deployments/0193/checks?limit=5",
        ]
    );
}

#[tokio::test]
async fn a_problem_document_comes_through_and_is_printable() {
    let problem = Problem::new(409, "endpoint-locked", "taken\u{1b}[2J").field("endpoint");
    let body = serde_json::to_string(&problem).unwrap();
    let (api, _) = serving(StatusCode::CONFLICT, body).await;
    let error = local(&api).deployment("0").await.unwrap_err();
    assert!(!error.is_passing());
    let ClientError::Problem(problem) = error else {
        panic!("{error:?}")
    };
    assert_eq!(problem.detail, "taken\u{fffd}[2J");
    assert_eq!(problem.field.as_deref(), Some("endpoint"));
}

#[tokio::test]
async fn answers_of_something_else_are_told_apart() {
    let (api, _) = serving(StatusCode::BAD_GATEWAY, "<html>").await;
    let error = local(&api).deployment("0").await.unwrap_err();
    assert!(matches!(
        error,
        ClientError::Unexplained { status: 502, .. }
    ));
    assert!(error.is_passing());

    let (api, _) = serving(StatusCode::OK, "{}").await;
    let error = local(&api).deployment("0").await.unwrap_err();
    assert!(matches!(error, ClientError::Unreadable { .. }), "{error:?}");
    assert!(!error.is_passing());
}

#[tokio::test]
async fn an_answer_has_an_end_in_size_and_time() {
    let (api, _) = serving(StatusCode::OK, vec![b' '; 1000]).await;
    let mut client = local(&api);
    client.exchange.answer_limit = 999;
    let error = client.deployment("0").await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { limit: 999 }));

    // A listener that nobody accepts from: connected, and silent.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = local(&format!("http://{}", silent.local_addr().unwrap()));
    client.exchange.call_limit = Duration::from_millis(20);
    let error = client.deployment("0").await.unwrap_err();
    assert!(matches!(error, ClientError::Late { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_there_says_what_to_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = local(&api).deployment("0").await.unwrap_err();
    assert!(matches!(error, ClientError::NotStarted { .. }));
    assert!(error.to_string().contains("canary local"), "{error}");
}
