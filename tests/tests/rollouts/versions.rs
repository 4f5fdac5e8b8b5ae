//! Records of other versions, and records that can't be, in the middle of a tick: each stops its own
//! deployment and no other, and is left as it was found.

use std::path::Path;

use axum::body::Bytes;
use http::{Request, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::ports::Store;
use shared::domain::deployment::SCHEMA_VERSION;
use shared::domain::state::{Phase, Status};
use tests::{World, specification};

/// A deployment's items as a version wrote them, in DynamoDB's own JSON.
fn fixture(version: u32, name: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
        "../shared/src/wire/fixtures/v{version}/{name}.json"
    ));
    let text = std::fs::read_to_string(file).expect("a recorded version");
    serde_json::from_str(&text).expect("a list of items")
}

fn id_of(items: &[Value]) -> String {
    let meta = items.iter().find(|item| item["sk"]["S"] == "META");
    let id = meta.and_then(|meta| meta["deployment_id"]["S"].as_str());
    id.expect("an id").to_owned()
}

/// Past the adapters: what another version or a hand has written.
async fn dynamodb(world: &World, operation: &str, mut input: Value) -> Value {
    input["TableName"] = json!(world.stack.aws.config().table);
    let request = Request::post("http://127.0.0.1/")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .body(Bytes::from(input.to_string()))
        .expect("a well-formed request");
    let response = world.stack.simulator.handle(request).await;
    assert_eq!(response.status(), StatusCode::OK, "{:?}", response.body());
    serde_json::from_slice(response.body()).expect("a JSON answer")
}

async fn put_all(world: &World, items: &[Value]) {
    for item in items {
        dynamodb(world, "PutItem", json!({"Item": item})).await;
    }
}

async fn meta(world: &World, id: &str) -> Value {
    let key = json!({"pk": {"S": format!("DEP#{id}")}, "sk": {"S": "META"}});
    dynamodb(world, "GetItem", json!({"Key": key})).await["Item"].take()
}

/// A rollout beside this record is judged minute by minute, the tick names the record, and nobody
/// touches it.
async fn assert_stops_alone(items: &[Value], why: &str) {
    let world = World::new().await;
    let poisoned = id_of(items);
    put_all(&world, items).await;
    world.let_ticks_fail();
    let sound = world.deploy(&specification()).await;
    world.until_phase(&sound, Phase::Baking).await;
    let error = world
        .stack
        .tick()
        .await
        .expect_err("the alarm has to see it");
    assert!(error.message.contains(&poisoned), "{error}");
    assert!(error.message.contains(why), "{why}: {error}");
    let before = meta(&world, &poisoned).await;
    let judged = world.load(&sound).await.evidence.judged_through;
    world.minutes(3).await;
    let since = world.load(&sound).await.evidence.judged_through;
    assert_eq!(since.duration_since(judged), SignedDuration::from_mins(3));
    assert_eq!(meta(&world, &poisoned).await, before);
    let (status, list) = world.get("/deployments").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
}

/// The record of this version with something else in one of its items.
fn with(sort_key: &str, change: impl FnOnce(&mut Value)) -> Vec<Value> {
    let mut items = fixture(SCHEMA_VERSION, "baking");
    let item = items.iter_mut().find(|item| item["sk"]["S"] == sort_key);
    change(item.expect("an item of the record"));
    items
}

#[tokio::test]
async fn a_record_of_a_version_to_come_stops_its_own_deployment_alone() {
    for version in [SCHEMA_VERSION + 1, 999] {
        for part in ["META", "SPEC"] {
            let items = with(part, |item| {
                item["schema_version"] = json!({"N": version.to_string()});
            });
            assert_stops_alone(&items, &format!("schema version {version}")).await;
        }
    }
}

#[tokio::test]
async fn a_record_of_a_version_long_gone_stops_its_own_deployment_alone() {
    let oldest = SCHEMA_VERSION.saturating_sub(1).max(1);
    for version in 1..oldest {
        assert_stops_alone(&fixture(version, "baking"), "functions that wrote it").await;
    }
    let items = with("META", |item| item["schema_version"] = json!({"N": "0"}));
    assert_stops_alone(&items, "functions that wrote it").await;
}

#[tokio::test]
async fn a_record_that_breaks_a_rule_stops_its_own_deployment_alone() {
    let items = with("META", |item| {
        item["state"]["M"]["target"] = json!({"N": "50"});
    });
    assert_stops_alone(&items, "confirmed while a stage is judged").await;
    let items = with("EVIDENCE", |item| {
        item["evidence"] = json!({"S": "{\"guards\""});
    });
    assert_stops_alone(&items, "evidence that can't be read").await;
    let items = with("META", |item| item["state"] = json!({"S": "?"}));
    assert_stops_alone(&items, "invalid type").await;
}

/// Half a record, as a table restored in pieces has it.
#[tokio::test]
async fn half_a_record_stops_its_own_deployment_alone() {
    let mut items = fixture(SCHEMA_VERSION, "baking");
    items.retain(|item| item["sk"]["S"] != "SPEC");
    assert_stops_alone(&items, "incomplete").await;
}

/// New functions take over in the middle of a rollout that the old ones began.
#[tokio::test]
async fn a_rollout_that_the_version_before_began_is_carried_on() {
    let oldest = SCHEMA_VERSION.saturating_sub(1).max(1);
    for version in oldest..=SCHEMA_VERSION {
        for name in ["baking", "paused", "rolling_back", "completed"] {
            let world = World::new().await;
            let items = fixture(version, name);
            let id = id_of(&items);
            put_all(&world, &items).await;
            let before = world.load(&id).await.deployment.state;
            // Every pass goes through, over an endpoint that is gone.
            world.minutes(3).await;
            let after = world.load(&id).await.deployment.state;
            if before.status.is_terminal() {
                assert_eq!(after, before, "v{version}/{name}");
            } else {
                assert_eq!(
                    after.status,
                    Status::Failed,
                    "v{version}/{name}: {}",
                    after.reason
                );
                let written = meta(&world, &id).await["schema_version"].clone();
                assert_eq!(written, json!({"N": SCHEMA_VERSION.to_string()}));
                let holder = world.stack.aws.lock_holder("recorded").await;
                assert_eq!(holder, Ok(None), "the lock is free again");
            }
            assert!(world.stack.aws.history(&id).await.expect("history").len() >= 4);
            assert!(
                !world
                    .stack
                    .aws
                    .past(&id)
                    .await
                    .expect("the past")
                    .is_empty()
            );
        }
    }
}
