//! Weights that somebody else set: what is expected of the canary, and what is shown, go by those in force.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::ports::Loaded;
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use tests::{PRODUCTION, World, bakes_at, specification, specification_with};

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

/// Minutes until a pass commits this phase; what it has woken has not looked yet.
async fn until_committed(world: &World, id: &str, phase: Phase) {
    for _ in 0..60 {
        world.pass(SignedDuration::from_mins(1)).await;
        world.stack.tick().await.expect("the tick goes through");
        if world.load(id).await.deployment.state.phase == phase {
            return;
        }
        world.stack.simulator.run_functions().await;
    }
    panic!("{phase} is not reached");
}

/// The raise to 50 % is committed, and not made yet.
async fn raising(on_drift: &str) -> (World, String, String) {
    let world = World::new().await;
    let policy = json!({"policy": {"min_samples": 100, "on_drift": on_drift}});
    let id = world.deploy(&specification_with(policy)).await;
    let baking = world.until(&id, 60, bakes_at(10)).await;
    until_committed(&world, &id, Phase::Shifting).await;
    (world, id, baking.deployment.terms.canary)
}

/// Everything went back to production by somebody's hand between the pass that committed the raise and the
/// call that makes it.
#[tokio::test]
async fn a_raise_that_is_committed_is_not_made_past_a_share_that_somebody_set() {
    let (world, id, canary) = raising("hold").await;
    world.set_share(&canary, 0.0).await;
    world.minutes(30).await;
    let state = world.load(&id).await.deployment.state;
    assert_eq!(
        (state.status, state.phase, state.weight.percent()),
        (Status::InProgress, Phase::Shifting, 10),
        "{}",
        state.reason
    );
    let says = "holding: the canary's share is 0.00 %";
    assert!(state.reason.starts_with(says), "{}", state.reason);
    assert!(world.share(&canary).await.abs() < 1e-6);
    let history = world.history(&id).await;
    let told = history.iter().filter(|entry| entry.event == Name::Drift);
    assert_eq!(told.count(), 1, "told, and told once");
    // The committed share once more puts it back, and its stage begins anew.
    let (status, answer) = world.put_weight(&id, 10).await;
    assert!(status.is_success(), "{answer}");
    world.stack.simulator.run_functions().await;
    world.until(&id, 10, bakes_at(10)).await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn more_than_a_committed_raise_leads_to_is_taken_back_before_it_is_made() {
    let (world, id, canary) = raising("restore").await;
    world.set_share(&canary, 0.8).await;
    world.until_over(&id, Status::Completed).await;
    let history = world.history(&id).await;
    let told = |name| history.iter().filter(|entry| entry.event == name).count();
    assert_eq!((told(Name::Drift), told(Name::DriftEnded)), (1, 1));
}

#[tokio::test]
async fn a_drift_ends_a_deployment_in_the_middle_of_a_raise_too_where_it_is_to() {
    let (world, id, canary) = raising("abandon").await;
    world.set_share(&canary, 0.0).await;
    world.until_over(&id, Status::Failed).await;
    assert!(world.share(&canary).await.abs() < 1e-6, "left as it was");
}

/// The update that removes the old variant is committed and not made yet, and somebody gives it everything back.
#[tokio::test]
async fn the_old_variant_is_not_removed_under_somebody_who_went_back_to_it() {
    for goes_on in [true, false] {
        let world = World::new().await;
        let id = world.deploy(&specification()).await;
        let soaking = world.until_phase(&id, Phase::Soaking).await;
        let canary = soaking.deployment.terms.canary;
        until_committed(&world, &id, Phase::Finalizing).await;
        world.set_share(&canary, 0.0).await;
        let calls = world.count_calls("UpdateEndpoint");
        world.minutes(40).await;
        let state = world.load(&id).await.deployment.state;
        assert_eq!(state.phase, Phase::Finalizing, "{}", state.reason);
        assert_eq!(world.count_calls("UpdateEndpoint"), calls);
        assert!(world.endpoint().await.variant(PRODUCTION).is_some());
        let told = world.entry(&id, Name::Drift).await;
        assert!(told.reason.contains("0.00 %"), "{}", told.reason);
        if goes_on {
            world.set_share(&canary, 1.0).await;
            world.until_over(&id, Status::Completed).await;
        } else {
            world.order(&id, "rollback").await;
            world.until_over(&id, Status::RolledBack).await;
        }
    }
}

/// A soak of half an hour, of which somebody's hand took the last part.
#[tokio::test]
async fn the_time_at_a_share_that_somebody_lowered_is_no_soak() {
    let world = World::new().await;
    let plan =
        json!({"plan": {"stages": [{"weight": 10, "bake": "5m"}, {"weight": 100}], "soak": "30m"}});
    let id = world.deploy(&specification_with(plan)).await;
    let soaking = world.until_phase(&id, Phase::Soaking).await;
    let canary = soaking.deployment.terms.canary;
    world.minutes(5).await;
    world.set_share(&canary, 0.0).await;
    world.minutes(60).await;
    world.set_share(&canary, 1.0).await;
    world.until(&id, 5, |loaded| !drifted(loaded)).await;
    let back = world.now();
    world.minutes(20).await;
    let state = world.load(&id).await.deployment.state;
    assert_eq!(state.phase, Phase::Soaking, "{}", state.reason);
    let over = world.until_phase(&id, Phase::Finalizing).await;
    let soaked = over.deployment.state.phase_since.duration_since(back);
    assert!(soaked.as_mins() >= 29, "{soaked:?}");
    world.until_over(&id, Status::Completed).await;
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
