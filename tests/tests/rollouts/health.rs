//! What the control plane says of its own health: the heartbeat, and every error with its deployment.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::announce::SHARDS;
use shared::app::tick::tick;
use shared::domain::deployment::SCHEMA_VERSION;
use shared::domain::state::{Phase, Status};
use simulator::{Fault, FaultKind, service};
use tests::lambda::events;
use tests::{ENDPOINT, World, specification, specification_with};

type Lines = Arc<Mutex<Vec<Value>>>;

/// The figures of every tick from here on.
fn listen(world: &mut World) -> Lines {
    let lines = Lines::default();
    let heard = lines.clone();
    let sink = Arc::new(move |line: &Value| heard.lock().expect("no panic").push(line.clone()));
    world.stack.aws = world.stack.aws.clone().with_figures(sink);
    lines
}

fn values(lines: &Lines, name: &str) -> Vec<Value> {
    let lines = lines.lock().expect("no panic");
    let named = lines.iter().filter_map(|line| line.get(name).cloned());
    named.collect()
}

fn errors(lines: &Lines, class: &str, id: &str) -> usize {
    let lines = lines.lock().expect("no panic");
    let ours = |line: &&Value| line["Class"] == class && line["deployment_id"] == id;
    lines.iter().filter(ours).count()
}

#[tokio::test]
async fn every_full_pass_has_a_heartbeat() {
    let mut world = World::new().await;
    let lines = listen(&mut world);
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    let before = values(&lines, "Heartbeat").len();
    world.minutes(3).await;
    assert_eq!(values(&lines, "Heartbeat").len() - before, 3);
    assert_eq!(values(&lines, "ActiveDeployments").last(), Some(&json!(1)));
    let oldest = values(&lines, "OldestUnjudged");
    let oldest = oldest.last().and_then(Value::as_f64).expect("a figure");
    assert!((120.0..=180.0).contains(&oldest), "{oldest} s");
}

#[tokio::test]
async fn a_pass_that_may_have_missed_somebody_has_none() {
    let mut world = World::new().await;
    world.let_ticks_fail();
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    // A part of the index, and the records.
    for (operation, code) in [
        ("Query", "AccessDeniedException"),
        ("BatchGetItem", "ServiceUnavailable"),
        ("BatchGetItem", "ThrottlingException"),
    ] {
        let lines = listen(&mut world);
        let refused = FaultKind::Error {
            status: 400,
            code: code.to_owned(),
            message: "no".to_owned(),
        };
        // What is throttled is asked for again, however often the SDK does: it lasts until it is lifted.
        let is_repeated = code == "ThrottlingException";
        let times = if is_repeated { u32::MAX } else { 1 };
        world.disturb(service::DYNAMODB, operation, times, refused);
        world.minute().await;
        let none = Vec::<Value>::new();
        assert_eq!(values(&lines, "Heartbeat"), none, "{operation} {code}");
        world.simulator().undisturb();
        world.minute().await;
        assert_eq!(values(&lines, "Heartbeat").len(), 1, "{operation} {code}");
    }
}

#[tokio::test]
async fn only_a_whole_pass_has_a_heartbeat() {
    let mut world = World::new().await;
    world.deploy(&specification()).await;
    let lines = listen(&mut world);
    for event in [
        events::alarm_state_change("disk-full", world.now()),
        events::endpoint_state_change("IN_SERVICE", world.now()),
    ] {
        world.stack.wake_monitor(&event).await.expect("a pass");
    }
    assert_eq!(values(&lines, "Heartbeat"), Vec::<Value>::new());
    assert_eq!(values(&lines, "ActiveDeployments"), Vec::<Value>::new());
}

#[tokio::test]
async fn only_what_no_later_pass_mends_is_for_the_failure_queue() {
    let world = World::new().await;
    world.let_ticks_fail();
    world.deploy(&specification()).await;
    for (status, code, is_for_good) in [
        (400, "ServiceUnavailable", false),
        (400, "AccessDeniedException", true),
        (400, "ValidationException", true),
    ] {
        let error = FaultKind::Error {
            status,
            code: code.to_owned(),
            message: "no".to_owned(),
        };
        // The record; and a part of the outbox, which comes after those of the active index.
        world.disturb(service::DYNAMODB, "BatchGetItem", 1, error.clone());
        let ticked = world.stack.tick().await;
        assert_eq!(ticked.is_err(), is_for_good, "{code}: {ticked:?}");
        if let Ok(report) = ticked {
            assert_eq!(report.ticked.failed.len(), 1, "it is told all the same");
        }
        world.simulator().inject(Fault {
            service: service::DYNAMODB.to_owned(),
            operation: Some("Query".to_owned()),
            skip: u32::from(SHARDS),
            times: 1,
            kind: error,
        });
        let ticked = world.stack.tick().await;
        assert_eq!(ticked.is_err(), is_for_good, "outbox, {code}: {ticked:?}");
    }
}

#[tokio::test]
async fn while_cloudwatch_hangs_endpoints_are_seen_and_a_rollback_goes_on() {
    let mut world = World::new().await;
    world.add_endpoint("fraud").await;
    let rolled_back = world.deploy(&specification()).await;
    let other = world
        .deploy(&specification_with(json!({"endpoint": "fraud"})))
        .await;
    for id in [&rolled_back, &other] {
        world.until_phase(id, Phase::Baking).await;
    }
    let (sagemaker, until) = (world.simulator().sagemaker(), SignedDuration::from_mins(9));
    sagemaker.set_status(ENDPOINT, "SystemUpdating", world.now() + until);
    world.order(&rolled_back, "rollback").await;
    world.pass(SignedDuration::from_mins(1)).await;
    let lines = listen(&mut world);
    world.disturb(service::CLOUDWATCH, "GetMetricData", 1, FaultKind::Silence);
    let done = |world: &World| {
        let calls = ["DescribeEndpoint", "Invoke", "GetMetricData"];
        calls.map(|operation| world.count_calls(operation))
    };
    let [looks, wakes, reads] = done(&world);
    // What a pass keeps for its writes, and so much for its readings.
    let budget = Duration::from_millis(15_300);
    let mut ticking = pin!(tick(&world.stack.aws, budget));
    let meanwhile = async {
        while done(&world) != [looks + 2, wakes + 1, reads + 1] {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = meanwhile => {}
        ticked = &mut ticking => panic!("they waited for CloudWatch: {ticked:?}"),
    }
    let ticked = ticking.await;
    assert!(ticked.broken_off, "the other may have been missed");
    assert_eq!(values(&lines, "Heartbeat"), Vec::<Value>::new());
    world.minute().await;
    assert_eq!(values(&lines, "Heartbeat").len(), 1);
}

#[tokio::test]
async fn a_record_of_a_newer_version_stops_its_own_deployment_alone_and_says_so() {
    let mut world = World::new().await;
    world.let_ticks_fail();
    let lines = listen(&mut world);
    world.add_endpoint("fraud").await;
    let newer = world.deploy(&specification()).await;
    let other = world
        .deploy(&specification_with(json!({"endpoint": "fraud"})))
        .await;
    world.until_phase(&newer, Phase::Baking).await;
    set_version(&world, &newer, 999).await;
    let calls = world.count_calls("UpdateEndpointWeightsAndCapacities");
    world.minutes(20).await;
    assert!(errors(&lines, "Bug", &newer) >= 20, "an error every minute");
    assert_eq!(errors(&lines, "Bug", &other), 0);
    assert!(values(&lines, "Heartbeat").len() >= 20, "the loop lives");
    assert!(world.count_calls("UpdateEndpointWeightsAndCapacities") > calls);
    world.until_over(&other, Status::Completed).await;
    // With the functions back that know it, it goes on where it stood.
    set_version(&world, &newer, SCHEMA_VERSION).await;
    world.until_over(&newer, Status::Completed).await;
}

#[tokio::test]
async fn whoever_lags_far_behind_is_read_by_itself() {
    let world = World::new().await;
    world.let_ticks_fail();
    world.add_endpoint("fraud").await;
    let late = world.deploy(&specification()).await;
    let other = world
        .deploy(&specification_with(json!({"endpoint": "fraud"})))
        .await;
    for id in [&late, &other] {
        world.until_phase(id, Phase::Baking).await;
        world.order(id, "pause").await;
    }
    set_version(&world, &late, 999).await;
    world.minutes(130).await;
    set_version(&world, &late, SCHEMA_VERSION).await;
    let reads = |world: &World| world.count_calls("GetMetricData");
    let before = reads(&world);
    world.minute().await;
    assert_eq!(reads(&world) - before, 2, "a range of its own");
    world.minutes(5).await;
    let before = reads(&world);
    world.minute().await;
    assert_eq!(reads(&world) - before, 1, "caught up");
    for id in [&late, &other] {
        assert_eq!(world.load(id).await.evidence.blind, None);
        world.order(id, "resume").await;
    }
    world.until_over(&other, Status::Completed).await;
}

#[tokio::test]
async fn a_reading_that_failed_is_told_with_its_deployment() {
    let mut world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    let lines = listen(&mut world);
    let denied = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not allowed to describe".to_owned(),
    };
    world.disturb(service::SAGEMAKER, "DescribeEndpoint", 1, denied);
    world.minute().await;
    assert_eq!(errors(&lines, "Denied", &id), 1);
}

#[tokio::test]
async fn an_undo_that_aws_does_not_let_through_is_told_with_its_deployment() {
    let mut world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
    let lines = listen(&mut world);
    let world = world.with_a_new_router();
    let denied = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not allowed to describe".to_owned(),
    };
    world.disturb(service::SAGEMAKER, "DescribeEndpointConfig", 1, denied);
    let (status, problem) = world
        .post(&format!("/deployments/{id}/undo"), &json!({}))
        .await;
    assert!(status.is_server_error(), "{problem}");
    assert_eq!(errors(&lines, "Denied", &id), 1);
}

/// The record as another version of the functions would have left it.
async fn set_version(world: &World, id: &str, version: u32) {
    let update = json!({
        "TableName": "canary",
        "Key": {"pk": {"S": format!("DEP#{id}")}, "sk": {"S": "META"}},
        "UpdateExpression": "SET schema_version = :version",
        "ExpressionAttributeValues": {":version": {"N": version.to_string()}},
    });
    let request = http::Request::post("/")
        .header("x-amz-target", "DynamoDB_20120810.UpdateItem")
        .body(update.to_string().into())
        .expect("a request");
    let response = world.stack.simulator.handle(request).await;
    assert!(response.status().is_success(), "{:?}", response.body());
}
