//! Model servers as real processes of the built `canary` binary.

// The module that the binary has, so that its own starting and killing is what
// is tested; a binary crate cannot be imported.
#[expect(dead_code, reason = "the binary uses what these tests do not")]
#[path = "../src/models/mod.rs"]
mod models;

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use models::process::{ModelProcess, ProcessError};
use models::server::Behaviour;
use models::train::{ModelName, SEED};
use models::wine::{ALCOHOL, FEATURES, Wines};
use serde_json::{Value, json};

fn canary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_canary"))
}

async fn invoke(url: &str, features: &[f64; FEATURES]) -> (StatusCode, Value) {
    let request = Request::post(format!("{url}/invocations"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(
            json!({ "features": features }).to_string(),
        )))
        .expect("the request is well formed");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.expect("the server answers");
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .expect("the answer arrives whole")
        .to_bytes();
    (
        status,
        serde_json::from_slice(&body).expect("the server answers in JSON"),
    )
}

/// Whether anything accepts connections at the URL.
fn is_open(url: &str) -> bool {
    let address: SocketAddr = url
        .trim_start_matches("http://")
        .parse()
        .expect("a server's URL is an address");
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Waits for something that another process does soon.
fn soon(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_until_it_is_killed() {
    let mut process =
        ModelProcess::spawn(canary(), ModelName::WineQualityV1, &Behaviour::default())
            .await
            .expect("the server starts");
    let wines = Wines::load(SEED);
    let (status, answer) = invoke(&process.url, &wines.test[0].features).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(answer["predictions"][0]["score"].is_f64(), "{answer}");

    process.kill().await.expect("it can be killed");
    assert!(!is_open(&process.url));
    assert_eq!(process.id(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_challenger_misbehaves_as_told_and_dies_when_dropped() {
    let behaviour = Behaviour {
        fail_above_alcohol: Some(11.5),
        delay: Duration::from_millis(50),
        ..Behaviour::default()
    };
    let process = ModelProcess::spawn(canary(), ModelName::WineQualityV2, &behaviour)
        .await
        .expect("the server starts");
    let wines = Wines::load(SEED);
    let strong = |sample: &&models::wine::Sample| sample.features[ALCOHOL] > 11.5;
    let strong_wine = wines.test.iter().find(strong).unwrap();
    let mild_wine = wines.test.iter().find(|sample| !strong(sample)).unwrap();

    let before = Instant::now();
    let (status, _) = invoke(&process.url, &mild_wine.features).await;
    assert_eq!(status, StatusCode::OK);
    assert!(before.elapsed() >= behaviour.delay);
    let (status, answer) = invoke(&process.url, &strong_wine.features).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer["error"].is_string(), "{answer}");

    let url = process.url.clone();
    drop(process);
    assert!(soon(|| !is_open(&url)));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_inherits_no_environment() {
    let process = ModelProcess::spawn(canary(), ModelName::WineQualityV1, &Behaviour::default())
        .await
        .expect("the server starts");
    let id = process.id().expect("it runs");
    let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap();
    assert!(environment.is_empty());
}

#[test]
fn a_server_ends_with_its_input() {
    let mut child = Command::new(canary())
        .args(["model-server", "--model", "wine-quality-v1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut line = String::new();
    let output = child.stdout.take().expect("its output is piped");
    BufReader::new(output).read_line(&mut line).unwrap();
    let announcement: Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}", announcement["listening"].as_str().unwrap());
    assert!(url.starts_with("http://127.0.0.1:"));
    assert!(is_open(&url));

    drop(child.stdin.take());
    let mut status = None;
    assert!(soon(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    }));
    assert!(status.is_some_and(|status| status.success()));
    assert!(!is_open(&url));
}

#[test]
fn arguments_that_cannot_be_meant_are_refused() {
    for arguments in [
        ["--model", "wine-quality-v3", "--delay-ms", "0"],
        ["--model", "wine-quality-v1", "--delay-ms", "-1"],
        ["--model", "wine-quality-v1", "--fail-above-alcohol", "NaN"],
    ] {
        let output = Command::new(canary())
            .arg("model-server")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_binary_that_cannot_serve_is_an_error() {
    let behaviour = Behaviour::default();
    let missing = Path::new("/nonexistent/canary");
    let error = ModelProcess::spawn(missing, ModelName::WineQualityV1, &behaviour).await;
    assert!(matches!(error, Err(ProcessError::Start { .. })));
    let silent = Path::new("/bin/true");
    let error = ModelProcess::spawn(silent, ModelName::WineQualityV1, &behaviour).await;
    assert!(matches!(error, Err(ProcessError::Ended { .. })));
}
