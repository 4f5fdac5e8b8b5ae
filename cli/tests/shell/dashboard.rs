//! `canary dashboard` as a shell and a browser see it: what it prints, whom it serves, and how it ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::binary::{canary, code, first_object, started, stderr, terminated};

/// An API without deployments.
async fn api() -> String {
    let router = Router::new().route("/deployments", get(async || Json(json!({"items": []}))));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// The whole answer to one request.
fn asked(authority: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(authority).expect("it listens");
    let request = format!("{request}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_it_is_serves_this_machine_and_stops() {
    let api = api().await;
    let arguments = ["dashboard", "--port", "0", "-o", "json", "--api", &api];
    let mut child = started(&arguments);
    let object = first_object(&mut child);
    assert_eq!(object["cloudwatch"], Value::Null, "{object}");
    let url = object["url"].as_str().expect("an address");
    let authority = url.strip_prefix("http://").expect("plain http on loopback");
    let authority = authority.trim_end_matches('/');
    assert!(authority.starts_with("127.0.0.1:"), "{url}");
    let page = asked(authority, &format!("GET / HTTP/1.1\r\nHost: {authority}"));
    assert!(
        page.starts_with("HTTP/1.1 200 ") && page.contains("None is under way"),
        "{page}"
    );
    let page = asked(authority, "GET / HTTP/1.1\r\nHost: rebound.example");
    assert!(page.starts_with("HTTP/1.1 403 "), "{page}");
    let from_elsewhere =
        format!("GET / HTTP/1.1\r\nHost: {authority}\r\nOrigin: https://example.org");
    assert!(asked(authority, &from_elsewhere).starts_with("HTTP/1.1 403 "));
    let order = format!("POST / HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 0");
    assert!(asked(authority, &order).starts_with("HTTP/1.1 405 "));
    assert_eq!(terminated(&mut child), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_and_an_api_that_is_not_there_are_said_at_once() {
    let api = api().await;
    let port = api.rsplit(':').next().expect("a port");
    let taken = canary(&["dashboard", "--port", port, "--api", &api], "");
    let said = stderr(&taken);
    assert_eq!(code(&taken), 1, "{said}");
    assert!(
        said.contains("can't be listened on; name another port"),
        "{said}"
    );
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("http://{}", free.local_addr().expect("it is bound"));
    drop(free);
    let alone = canary(&["dashboard", "--port", "0", "--api", &nobody], "");
    assert_eq!((code(&alone), alone.stdout.len()), (1, 0));
    assert!(stderr(&alone).contains("canary local"));
}
