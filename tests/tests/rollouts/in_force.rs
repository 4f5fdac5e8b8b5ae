//! Weights that somebody else set: what is expected of the canary, and what is shown, go by those in force.

use http::Method;
use serde_json::{Value, json};
use shared::app::ports::Loaded;
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use tests::{World, specification, specification_with};

async fn shown(world: &World, id: &str) -> Value {
    world.get(&format!("/deployments/{id}")).await.1
}

/// The report as this form.
async fn report(world: &World, id: &str, form: &str) -> Value {
    let path = format!("/deployments/{id}/report");
    let accept = [("accept", form)];
    world
        .request(Method::GET, &path, &accept, Vec::new())
        .await
        .1
}

fn drifted(loaded: &Loaded) -> bool {
    loaded.deployment.state.drift.is_some()
}

/// Longer than the canary may be blind. It is as little blind as it is served.
#[tokio::test]
async fn a_canary_that_somebody_gave_no_traffic_is_held_and_not_blind() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let canary = world
        .until_phase(&id, Phase::Baking)
        .await
        .deployment
        .terms
        .canary;
    world.minutes(4).await;
    world.set_share(&canary, 0.0).await;
    world.until(&id, 5, drifted).await;
    world.minutes(30).await;
    let loaded = world.load(&id).await;
    let state = &loaded.deployment.state;
    assert_eq!(
        (state.status, state.phase, state.weight.percent()),
        (Status::InProgress, Phase::Holding, 10),
        "{}",
        state.reason
    );
    assert!(
        state.reason.contains("the canary's share is 0.00 %"),
        "{}",
        state.reason
    );
    assert_eq!(loaded.evidence.blind, None);
    let view = shown(&world, &id).await;
    assert_eq!(
        (&view["weight"], &view["observed_weight"]),
        (&json!(10), &json!(0.0))
    );
    assert_eq!(view["drifted"], json!(true));
    assert_eq!(view["measured"]["canary_per_minute"], json!(0.0));
    assert_eq!(view.get("expected_end"), None, "nobody knows when");
    let (_, list) = world.get("/deployments").await;
    assert_eq!(list["items"][0]["observed_weight"], json!(0.0));
    let (_, checks) = world
        .get(&format!("/deployments/{id}/checks?limit=20"))
        .await;
    let checks = checks["items"].as_array().expect("minutes");
    assert!(checks.iter().all(|it| it["observed_weight"] == json!(0.0)));
    let page = report(&world, &id, "text/html").await;
    let page = page.as_str().expect("a page").replace('\u{a0}', " ");
    let words = "0 % (somebody else set it, 10 % is intended) of the traffic";
    assert!(page.contains(words), "{page}");
    // The same share once more is an order to put it back.
    let (status, answer) = world.put_weight(&id, 10).await;
    assert!(status.is_success(), "{answer}");
    world.stack.simulator.run_functions().await;
    world.until_over(&id, Status::Completed).await;
    let history = world.history(&id).await;
    assert!(history.iter().all(|entry| entry.event != Name::Blind));
    let view = shown(&world, &id).await;
    assert_eq!(view.get("observed_weight"), None);
    assert_eq!(view.get("drifted"), None);
}

/// More than was committed is taken back, and meanwhile production is missed no more than it was asked.
#[tokio::test]
async fn a_production_that_somebody_gave_no_traffic_has_it_back_and_is_not_blind() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let canary = world
        .until_phase(&id, Phase::Baking)
        .await
        .deployment
        .terms
        .canary;
    world.set_share(&canary, 1.0).await;
    let drift = world.until(&id, 5, drifted).await;
    assert_eq!(drift.deployment.state.observed_weight(), Some(100.0));
    world.until_over(&id, Status::Completed).await;
    let history = world.history(&id).await;
    assert!(history.iter().any(|entry| entry.event == Name::DriftEnded));
    assert!(history.iter().all(|entry| entry.event != Name::Blind));
}

/// Nobody wants anything any more: what there was is what is shown.
#[tokio::test]
async fn a_failure_shows_the_share_that_was_last_seen() {
    let world = World::new().await;
    let policy = json!({"policy": {"min_samples": 100, "on_drift": "abandon"}});
    let id = world.deploy(&specification_with(policy)).await;
    let canary = world
        .until_phase(&id, Phase::Baking)
        .await
        .deployment
        .terms
        .canary;
    world.set_share(&canary, 0.6).await;
    world.until_over(&id, Status::Failed).await;
    let view = shown(&world, &id).await;
    assert_eq!(
        (
            &view["weight"],
            &view["target_weight"],
            &view["observed_weight"]
        ),
        (&json!(10), &json!(10), &json!(60.0))
    );
    let failing = world.entry(&id, Name::CleaningUp).await;
    assert_eq!(
        failing.value,
        "60 % of the traffic on the canary when last seen"
    );
    let markdown = report(&world, &id, "text/markdown").await;
    let markdown = markdown.as_str().expect("a text");
    assert!(
        markdown.contains("Canary: 60 % of the traffic when last seen"),
        "{markdown}"
    );
}
