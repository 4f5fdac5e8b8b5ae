//! Records the fixtures of the present schema version: every item of the table, as DynamoDB holds
//! it, in the middle of a rollout, in the middle of a rollback, in a pause, and after the end.
//!
//! `cargo run -p tests --example record_fixture -- shared/src/wire/fixtures`, once for each version,
//! by the code that is the first to write it. What is there is never written again: the point of a
//! fixture is that no later code has touched it.

use std::path::Path;
use std::process::ExitCode;

use axum::body::Bytes;
use http::{Method, Request, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::deployment::SCHEMA_VERSION;
use shared::domain::state::{Phase, Status};
use simulator::{Distribution, FaultKind, service};
use tests::{NEW, World};

/// Not the endpoint that every test has: a fixture can then be put beside a live deployment.
const ENDPOINT: &str = "recorded";

#[tokio::main]
async fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: record_fixture FOLDER");
        return ExitCode::FAILURE;
    };
    let folder = Path::new(&folder).join(format!("v{SCHEMA_VERSION}"));
    if folder.exists() {
        eprintln!("{} is recorded already", folder.display());
        return ExitCode::FAILURE;
    }
    std::fs::create_dir_all(&folder).expect("a folder that can be made");
    for (name, items) in [
        ("baking", baking().await),
        ("paused", paused().await),
        ("rolling_back", rolling_back().await),
        ("completed", completed().await),
    ] {
        // An item a line, so that a reader finds one.
        let lines: Vec<String> = items.iter().map(Value::to_string).collect();
        let text = format!("[\n{}\n]\n", lines.join(",\n"));
        let file = folder.join(format!("{name}.json"));
        std::fs::write(file, text).expect("a file that can be written");
    }
    ExitCode::SUCCESS
}

/// With every field of a specification that leaves a trace in the terms.
async fn baking() -> Vec<Value> {
    let world = world(Distribution::default()).await;
    world.simulator().cloudwatch().set_alarm("wine-down", "OK");
    let specification = json!({
        "endpoint": ENDPOINT,
        "model": NEW,
        "canary": {"instances": 1, "instance_type": "ml.c6i.large"},
        "plan": {
            "stages": [
                {"weight": 10, "bake": "30m", "approval": true},
                {"weight": 50, "bake": "10m"},
                {"weight": 100},
            ],
            "soak": "5m",
            "deadline": "2d",
            "change_windows": ["Mon-Sun 00:00-24:00 UTC"],
        },
        "policy": {
            "error_rate": {"limit": "5%", "worse_by": "2%", "for": "5m", "on_breach": "notify"},
            "latency_p99": {"limit": "500ms", "ratio": 3.0, "checks": 3, "severity": "medium"},
            "comparison": {"alpha": "2%", "tolerate": 1.5, "slowness": {"muted": true}},
            "min_samples": 100,
            "safe_gate": true,
            "blind_limit": "15m",
            "alarms": ["wine-down"],
            "on_drift": "restore",
            "checks": [{
                "name": "wrong_predictions",
                "bad": {"namespace": "Canary/Model", "metric": "Wrong", "dimensions": {"Arm": "{variant}"}},
                "of": {"namespace": "Canary/Model", "metric": "Judged", "stat": "SampleCount"},
                "limit": "3%",
                "direction": "lower_is_worse",
                "min_samples": 0,
            }],
        },
        "cleanup": {"after": "5m", "keep_old_variant": true},
        "notify": {"topic": "arn:aws:sns:eu-central-1:123456789012:releases"},
    });
    let id = deploy(&world, &specification).await;
    world.until_phase(&id, Phase::Baking).await;
    world.minutes(7).await;
    items(&world).await
}

async fn paused() -> Vec<Value> {
    let world = world(Distribution::default()).await;
    let id = deploy(&world, &plain()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.minutes(2).await;
    world.order(&id, "pause").await;
    world.minutes(2).await;
    items(&world).await
}

/// Before anybody was woken: the weights are still those of the breach.
async fn rolling_back() -> Vec<Value> {
    let broken = Distribution {
        error_rate: 0.2,
        ..Distribution::default()
    };
    let world = world(broken).await;
    let id = deploy(&world, &plain()).await;
    world
        .until(&id, 60, |loaded| {
            loaded.deployment.state.status == Status::RollingBack
        })
        .await;
    items(&world).await
}

async fn completed() -> Vec<Value> {
    let world = world(Distribution::default()).await;
    let id = deploy(&world, &plain()).await;
    world.until_phase(&id, Phase::Ended).await;
    items(&world).await
}

fn plain() -> Value {
    let mut specification = tests::specification();
    specification["endpoint"] = json!(ENDPOINT);
    specification
}

/// SNS takes nothing, so that every announcement is still in the outbox.
async fn world(challenger: Distribution) -> World {
    let world = World::with_challenger(challenger).await;
    world.add_endpoint(ENDPOINT).await;
    // So that there are minutes of production before the rollout.
    world.pass(SignedDuration::from_mins(20)).await;
    world.disturb(service::SNS, "Publish", u32::MAX, FaultKind::Throttle);
    world
}

/// Under an Idempotency-Key, which is an item too.
async fn deploy(world: &World, specification: &Value) -> String {
    let key = [("idempotency-key", "3f1c9a52")];
    let body = specification.to_string().into_bytes();
    let (status, answer) = world.request(Method::POST, "/deploy", &key, body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    world.stack.simulator.run_functions().await;
    answer["deployment_id"].as_str().expect("an id").to_owned()
}

/// The whole table, in the order of its keys.
async fn items(world: &World) -> Vec<Value> {
    let request = Request::post("http://127.0.0.1/")
        .header("x-amz-target", "DynamoDB_20120810.Scan")
        .body(Bytes::from(
            json!({"TableName": world.stack.aws.config().table}).to_string(),
        ))
        .expect("a well-formed request");
    let response = world.stack.simulator.handle(request).await;
    let mut answer: Value = serde_json::from_slice(response.body()).expect("a JSON answer");
    assert!(answer["LastEvaluatedKey"].is_null(), "one page holds all");
    let Value::Array(mut items) = answer["Items"].take() else {
        panic!("no items: {answer}");
    };
    items.sort_by_key(|item| [item["pk"].to_string(), item["sk"].to_string()]);
    items
}
