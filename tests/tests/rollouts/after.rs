//! The watch after a completion, through CloudWatch, the table and every function.

use http::StatusCode;
use serde_json::{Value, json};
use shared::app::ports::{Loaded, Store};
use shared::domain::history::{Entry, Name};
use shared::domain::state::Status;
use simulator::{Backend, Distribution};
use tests::{ENDPOINT, NEW, OLD, World, specification_with};

fn watched(span: &str) -> Value {
    specification_with(json!({"watch": {"for": span}}))
}

/// A completed deployment that is watched.
async fn completed(span: &str) -> (World, String) {
    let world = World::new().await;
    let id = world.deploy(&watched(span)).await;
    world
        .until(&id, 100, |loaded| {
            loaded.deployment.state.status == Status::Completed
        })
        .await;
    (world, id)
}

fn fails(world: &World, error_rate: f64) {
    let model = Distribution {
        error_rate,
        ..Distribution::default()
    };
    world
        .simulator()
        .set_backend(NEW, Backend::Distribution(model));
}

async fn told(world: &World, id: &str, name: Name) -> Vec<Entry> {
    let mut history = world.history(id).await;
    history.retain(|entry| entry.event == name);
    history
}

async fn delete(world: &World) {
    let config = shared::aws::loopback::sdk_config(world.stack.simulator.http_client());
    let sagemaker = aws_sdk_sagemaker::Client::new(&config);
    let deleted = sagemaker
        .delete_endpoint()
        .endpoint_name(ENDPOINT)
        .send()
        .await;
    deleted.expect("an endpoint to delete");
}

fn is_watched(loaded: &Loaded) -> bool {
    loaded.deployment.state.watch.is_some()
}

#[tokio::test]
async fn a_model_that_turns_bad_after_its_completion_is_told_and_left() {
    let (world, id) = completed("4h").await;
    let (_, view) = world.get(&format!("/deployments/{id}")).await;
    assert!(view["watched_until"].is_string(), "{view}");
    let holder = world.stack.aws.lock_holder(ENDPOINT).await;
    assert_eq!(holder.expect("a readable lock"), None, "it holds no lock");
    world.minutes(20).await;
    assert!(told(&world, &id, Name::Breached).await.is_empty());
    let updates = world.count_calls("UpdateEndpointWeightsAndCapacities");
    let before = world.endpoint().await;
    for times in 1..=2 {
        fails(&world, 0.3);
        world.minutes(25).await;
        let found = told(&world, &id, Name::Breached).await;
        let limits: Vec<&Entry> = found
            .iter()
            .filter(|entry| entry.signal.as_deref() == Some("error_rate.limit"))
            .collect();
        assert_eq!(limits.len(), times, "{found:#?}");
        assert!(
            limits[0].reason.contains(&format!("canary undo {id}")),
            "{}",
            limits[0].reason
        );
        fails(&world, 0.0);
        world.minutes(25).await;
    }
    assert_eq!(world.endpoint().await.config, before.config);
    assert_eq!(
        world.count_calls("UpdateEndpointWeightsAndCapacities"),
        updates,
        "nothing is moved"
    );
    world.until(&id, 240, |loaded| !is_watched(loaded)).await;
    assert_eq!(told(&world, &id, Name::WatchEnded).await.len(), 1);
    world.assert_over(&id).await;
    let reads = world.count_calls("GetMetricData");
    world.minutes(10).await;
    assert_eq!(
        world.count_calls("GetMetricData"),
        reads,
        "and nothing is read any more"
    );
}

#[tokio::test]
async fn a_new_deployment_is_not_kept_waiting_and_ends_the_watch() {
    let (world, id) = completed("7d").await;
    let next = specification_with(json!({"model": OLD}));
    let next = world.deploy(&next).await;
    world.until(&id, 10, |loaded| !is_watched(loaded)).await;
    let ended = world.entry(&id, Name::WatchEnded).await;
    assert!(ended.reason.contains(&next), "{}", ended.reason);
    world.until_over(&next, Status::Completed).await;
}

#[tokio::test]
async fn the_watch_is_cheap_and_ends_with_the_endpoint() {
    let (world, id) = completed("7d").await;
    world.minutes(5).await;
    let reads = world.count_calls("GetMetricData");
    world.minutes(20).await;
    let reads = world.count_calls("GetMetricData") - reads;
    assert!(reads <= 5, "{reads} reads in 20 minutes");
    delete(&world).await;
    world.until(&id, 10, |loaded| !is_watched(loaded)).await;
    let ended = world.entry(&id, Name::WatchEnded).await;
    assert!(ended.reason.contains("was deleted"), "{}", ended.reason);
}

#[tokio::test]
async fn how_long_is_said_in_the_specification() {
    let world = World::new().await;
    for (span, fits) in [("0s", true), ("30d", true), ("31d", false), ("week", false)] {
        let (status, answer) = world.post("/plan", &watched(span)).await;
        let expected = if fits {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        assert_eq!(status, expected, "{span}: {answer}");
        assert!(fits || answer["field"] == "watch.for", "{answer}");
    }
    let id = world.deploy(&watched("0s")).await;
    world.until_over(&id, Status::Completed).await;
    // A week, where nothing is said.
    let mut given = specification_with(json!({"model": OLD}));
    given.as_object_mut().expect("fields").remove("watch");
    let id = world.deploy(&given).await;
    let watch = world
        .until(&id, 100, is_watched)
        .await
        .deployment
        .state
        .watch;
    let watch = watch.expect("it is watched");
    assert_eq!(watch.until.duration_since(watch.since).as_hours(), 7 * 24);
}
