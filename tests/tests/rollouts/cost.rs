//! What a request costs, over whole rollouts: while production is there to compare with, at full traffic, and
//! after the completion.

use serde_json::{Value, json};
use shared::app::ports::Loaded;
use shared::domain::audience::Audience;
use shared::domain::evidence::Finding;
use shared::domain::history::{Entry, Name};
use shared::domain::quantity::Span;
use shared::domain::state::{Phase, Status};
use tests::{World, specification_with};

/// Dollars for an hour of production's instances.
const PRICE: f64 = 0.102;

/// The canary on instances of another type, guards so wide that only its cost can speak, and this plan.
fn specification(prices: &Value, plan: &Value) -> Value {
    specification_with(json!({
        "canary": {"instance_type": "ml.c6i.xlarge"},
        "plan": plan,
        "policy": {
            "min_samples": 100,
            "error_rate": {"limit": "90%", "worse_by": "90%"},
            "latency_p99": {"limit": "60s", "ratio": 1000.0},
            "cost": {"prices": prices},
        },
    }))
}

/// At so many times production's price.
fn times(ratio: f64) -> Value {
    json!({"ml.c6i.large": PRICE, "ml.c6i.xlarge": PRICE * ratio})
}

/// Half of the traffic for so long, and a soak of so long.
fn plan(bake: &str, soak: &str) -> Value {
    json!({"stages": [{"weight": 50, "bake": bake}, {"weight": 100}], "soak": soak})
}

async fn told(world: &World, id: &str) -> Vec<Entry> {
    let mut history = world.history(id).await;
    history.retain(|entry| entry.event == Name::Breached);
    history
}

fn finding(loaded: &Loaded) -> Option<Finding> {
    let guard = loaded.evidence.guards.get("cost.ratio")?;
    Some(guard.last.as_ref()?.finding)
}

/// Once, to those who look after it, held against what production's requests cost before.
fn assert_is_recalled(told: &[Entry]) {
    let [entry] = told else {
        panic!("one word: {told:#?}")
    };
    assert_eq!(entry.signal.as_deref(), Some("cost.ratio"));
    assert!(
        entry
            .reason
            .contains("(reckoned from this rollout's stages)"),
        "{}",
        entry.reason
    );
    assert!(Audience::of(entry).contains(&Audience::FinOps));
}

#[tokio::test]
async fn a_canary_that_costs_twice_as_much_for_an_hour_is_told_and_goes_on() {
    let world = World::new().await;
    let asked = specification(&times(2.0), &plan("3h", "5m"));
    let id = world.deploy(&asked).await;
    world.until_phase(&id, Phase::Baking).await;
    world.minutes(90).await;
    let loaded = world.load(&id).await;
    let state = &loaded.deployment.state;
    assert_eq!(
        (state.status, state.phase),
        (Status::InProgress, Phase::Baking)
    );
    let entry = world.entry(&id, Name::Breached).await;
    assert!(entry.reason.contains("cost"), "{}", entry.reason);
    let after = Span::between(state.stage_since, entry.at);
    assert!(
        (Span::from_mins(58)..Span::from_mins(70)).contains(&after),
        "told after {after}"
    );
}

/// The stage is over before the hour that a cost has to last.
#[tokio::test]
async fn a_canary_that_costs_sixteen_times_as_much_is_told_in_the_soak() {
    for (ratio, is_dear) in [(16.0, true), (1.0, false)] {
        let world = World::new().await;
        let asked = specification(&times(ratio), &plan("5m", "3h"));
        let id = world.deploy(&asked).await;
        world.until_phase(&id, Phase::Soaking).await;
        assert!(told(&world, &id).await.is_empty());
        world.minutes(75).await;
        let loaded = world.load(&id).await;
        assert_eq!(loaded.deployment.state.phase, Phase::Soaking);
        assert!(loaded.evidence.production_spent.is_some());
        let found = told(&world, &id).await;
        if is_dear {
            assert_is_recalled(&found);
        } else {
            assert!(found.is_empty(), "{found:#?}");
            assert_eq!(finding(&loaded), Some(Finding::Kept));
        }
    }
}

#[tokio::test]
async fn a_cost_that_no_stage_lasted_for_is_told_in_the_watch() {
    for (ratio, is_dear) in [(16.0, true), (1.0, false)] {
        let world = World::new().await;
        let mut asked = specification(&times(ratio), &plan("5m", "5m"));
        asked["watch"] = json!({"for": "4h"});
        let id = world.deploy(&asked).await;
        let is_over = |loaded: &Loaded| loaded.deployment.state.status == Status::Completed;
        world.until(&id, 100, is_over).await;
        assert!(told(&world, &id).await.is_empty());
        world.minutes(90).await;
        let found = told(&world, &id).await;
        if is_dear {
            assert_is_recalled(&found);
        } else {
            assert!(found.is_empty(), "{found:#?}");
            assert_eq!(finding(&world.load(&id).await), Some(Finding::Kept));
        }
    }
}

#[tokio::test]
async fn a_price_that_is_missing_is_refused_by_its_field() {
    let world = World::new().await;
    for prices in [json!({}), json!({"ml.c6i.large": PRICE})] {
        let asked = specification(&prices, &plan("5m", "5m"));
        let (status, problem) = world.post("/deploy", &asked).await;
        assert_eq!(
            (status.as_u16(), problem["field"].as_str()),
            (422, Some("policy.cost.prices")),
            "{problem}"
        );
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("InstancePrices"), "{detail}");
    }
}
