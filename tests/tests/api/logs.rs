//! No feature, body or user id ever reaches a log: held on the real output of a process of its own.

use std::process::Command;

use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::json;
use shared::app::ports::Loaded;
use simulator::{Backend, Distribution, FaultKind, service};
use tests::{ENDPOINT, NEW, OLD, World, specification_with};

/// Set for the process whose output is read.
const CHILD: &str = "CANARY_TEST_LOGS";
/// Stands in whatever a caller sends.
const MARKER: &str = "marker-8d1f-of-a-person";

#[test]
fn nothing_that_a_caller_sends_reaches_the_log() {
    for level in ["info", "debug"] {
        let child = Command::new(std::env::current_exe().expect("this test's own binary"))
            .args(["--exact", "logs::requests_full_of_markers", "--nocapture"])
            .envs([(CHILD, "1"), ("RUST_LOG", level)])
            .output()
            .expect("a child process");
        let log = format!(
            "{}{}",
            String::from_utf8_lossy(&child.stdout),
            String::from_utf8_lossy(&child.stderr)
        );
        assert!(child.status.success(), "{log}");
        for said in [
            "the model answered with an error",
            "InvokeEndpoint: endpoint wine-quality could not be asked",
        ] {
            assert!(log.contains(said), "the log was read: {log}");
        }
        let leak = log.lines().find(|line| line.contains(MARKER));
        assert_eq!(leak, None, "at level {level}");
    }
}

/// Runs in the child, with the functions' own logging on.
#[tokio::test]
async fn requests_full_of_markers() {
    // In the test binary itself the log would drown the other tests' output.
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    shared::telemetry::init();
    let world = World::new().await;
    let bodies = [
        json!({"endpoint": ENDPOINT, "features": {"name": MARKER}, "user_id": MARKER, "attributes": {"group": MARKER}}),
        json!({"endpoint": ENDPOINT, "instances": [[MARKER]]}),
        json!({"endpoint": ENDPOINT, "payload": MARKER, "content_type": "text/csv", "custom_attributes": MARKER}),
        json!({"endpoint": ENDPOINT, "features": MARKER}),
        json!({"endpoint": ENDPOINT, "features": [1], MARKER: 1}),
        json!({"endpoint": ENDPOINT, "features": [1], "user_id": [MARKER]}),
        json!({"endpoint": {MARKER: 1}, "features": [1]}),
        json!({"endpoint": ENDPOINT, "payload": {MARKER: MARKER}}),
        json!({"endpoint": ENDPOINT, "features": [1], "attributes": {MARKER: 1}}),
        json!([MARKER]),
        json!({"endpoint": "nobody", "features": [MARKER]}),
    ];
    for error_rate in [0.0, 1.0] {
        world.simulator().set_backend(
            OLD,
            Backend::Distribution(Distribution {
                error_rate,
                ..Distribution::default()
            }),
        );
        for body in &bodies {
            let (status, answer) = world.post("/inference", body).await;
            // A model may repeat what it was asked; the API does not.
            if status == StatusCode::UNPROCESSABLE_ENTITY {
                assert!(!answer.to_string().contains(MARKER), "{answer}");
            }
        }
    }
    world
        .request(
            Method::POST,
            "/inference",
            &[],
            format!("{{\"features\": {MARKER}").into_bytes(),
        )
        .await;
    for body in [
        json!({"inference_id": MARKER, "actual": true}),
        json!({"inference_id": [MARKER], "actual": MARKER}),
        json!({"items": [{"inference_id": MARKER, "actual": 1}], MARKER: MARKER}),
        json!({"items": [{"inference_id": MARKER, "actual": MARKER}]}),
        json!({"items": [{"inference_id": {MARKER: MARKER}, "actual": 1}]}),
        json!({"items": [{"inference_id": "x", "actual": 1, MARKER: MARKER}]}),
        json!({"items": [[MARKER, MARKER]]}),
        json!({"items": MARKER}),
        json!([MARKER]),
    ] {
        let (_, answer) = world.post("/feedback", &body).await;
        assert!(!answer.to_string().contains(MARKER), "{answer}");
    }
    for path in ["/inference", "/feedback"] {
        let path = format!("{path}?{MARKER}={MARKER}");
        let (status, answer) = world.post(&path, &json!({})).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!answer.to_string().contains(MARKER), "{answer}");
    }
    for query in [
        "endpoint=wine-quality&user=",
        "endpoint=nobody&user=",
        "endpoint=",
        "endpoint=wine-quality&user=%FF",
        "",
    ] {
        let (_, answer) = world.get(&format!("/route?{query}{MARKER}")).await;
        assert!(!answer.to_string().contains(MARKER), "{answer}");
    }
    personal_signals(&world).await;
    denied_with_its_words(&world).await;
    repeating_model(&world).await;
    world
        .post(
            "/deploy",
            &specification_with(json!({"model": MARKER, MARKER: MARKER})),
        )
        .await;
    world
        .request(Method::POST, "/deploy", &[], MARKER.as_bytes().to_vec())
        .await;
}

/// SageMaker denies a request in words that repeat it.
async fn denied_with_its_words(world: &World) {
    let denied = FaultKind::Error {
        status: 403,
        code: "AccessDeniedException".to_owned(),
        message: MARKER.to_owned(),
    };
    world.disturb(service::SAGEMAKER_RUNTIME, "InvokeEndpoint", 1, denied);
    let body = json!({"endpoint": ENDPOINT, "features": [MARKER]});
    let (status, _) = world.post("/inference", &body).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

/// A model that refuses what it was asked, and repeats it: what it says is its caller's.
async fn repeating_model(world: &World) {
    let repeats = axum::Router::new().fallback(async || (StatusCode::BAD_REQUEST, MARKER));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let served = tokio::spawn(async move { axum::serve(listener, repeats).await });
    for model in [OLD, NEW] {
        let url = url.clone();
        world.simulator().set_backend(model, Backend::Http { url });
    }
    let body = json!({"endpoint": ENDPOINT, "features": [MARKER]});
    let (status, problem) = world.post("/inference", &body).await;
    assert_eq!(status, StatusCode::FAILED_DEPENDENCY);
    assert_eq!(
        (&problem["model_status"], &problem["model_body"]),
        (&json!(400), &json!(MARKER))
    );
    served.abort();
}

/// Predictions of a deployment that knows users and their groups, and all that is counted of them.
async fn personal_signals(world: &World) {
    let world_began = world.now();
    let good = Distribution::default();
    world
        .simulator()
        .set_backend(OLD, Backend::Distribution(good));
    let signals = json!({
        "routing": {"sticky": "user_id", "salt": "2026"},
        "model_signals": {"score": "/score", "group": {"attribute": "region", "labels": ["north", "south"]}},
    });
    let id = world.deploy(&specification_with(signals)).await;
    let is_shared = |loaded: &Loaded| loaded.deployment.state.weight.percent() > 0;
    world.until(&id, 30, is_shared).await;
    world.pass(SignedDuration::from_secs(6)).await;
    let body = json!({
        "endpoint": ENDPOINT, "features": [MARKER], "user_id": MARKER, "attributes": {"region": MARKER},
    });
    let (status, answer) = world.post("/inference", &body).await;
    assert_eq!(status, StatusCode::OK);
    let label = json!({"inference_id": answer["inference_id"], "actual": true});
    world.post("/feedback", &label).await;
    let span = (world_began, world.now() + SignedDuration::from_hours(1));
    let counted = world.simulator().cloudwatch().samples(span);
    assert!(!counted.is_empty());
    println!("{counted:?}");
}
