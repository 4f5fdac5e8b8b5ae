//! Deployments by the thousand: one that was rolled out, and copies of its record.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::app::announce::sweep_all;
use shared::app::ports::{Creation, Loaded, Store};
use shared::domain::deployment::Deployment;
use shared::domain::judge::last_judgeable;
use shared::domain::state::Phase;
use simulator::service;

use crate::{NEW, OLD, PRODUCTION, Setup, World, specification_with};

/// Requests a minute to each endpoint.
const REQUESTS: f64 = 200.0;
/// Long enough for nothing to be raised while it is measured.
const BAKE: &str = "48h";

/// An account with so many deployments in their first stage, at the time of the wall clock.
///
/// # Panics
/// When the simulated account refuses something.
pub async fn set(deployments: usize) -> World {
    // Whole seconds: a creation time passes through floating point.
    let hour_ago = wall_clock().as_second() - 3600;
    let world = World::with(Setup {
        start: Timestamp::from_second(hour_ago).expect("this century"),
        requests_per_minute: REQUESTS,
        ..Setup::default()
    })
    .await;
    let stages = json!({"plan": {"stages": [{"weight": 10, "bake": BAKE}, {"weight": 100}]}});
    let id = world.deploy(&specification_with(stages)).await;
    world.until_phase(&id, Phase::Baking).await;
    world.minutes(3).await;
    let first = world.load(&id).await;
    let names: Vec<String> = (1..deployments).map(|one| format!("load-{one}")).collect();
    for name in &names {
        add_endpoint(&world, name, &first.deployment.terms.canary);
    }
    world.pass(SignedDuration::from_mins(2)).await;
    for name in &names {
        world.simulator().set_traffic(name, REQUESTS);
    }
    catch_up(&world).await;
    let entry = world.history(&id).await.remove(0);
    let (judged_through, specification) = (last_judgeable(world.now()), json!({}));
    for (number, name) in names.iter().enumerate() {
        let loaded = copy(&world, &first, name, number, judged_through);
        let created = world.stack.aws.create(Creation {
            loaded: &loaded,
            specification: &specification,
            past: &[],
            entry: &entry,
            idempotency: None,
            freezes: None,
        });
        created.await.expect("an endpoint without a deployment");
    }
    tell(&world).await;
    world
}

/// That they were accepted is told before anything is measured: no minute has thousands of that.
async fn tell(world: &World) {
    const ENOUGH: Duration = Duration::from_mins(10);
    let swept = sweep_all(&world.stack.aws, ENOUGH).await;
    assert_eq!((swept.waiting, swept.unread), (0, 0), "{swept:?}");
}

/// Waits for the wall clock's next minute, so that a tick has one more to judge.
pub async fn come_to_the_next_minute(world: &World) {
    let second = wall_clock().as_second().rem_euclid(60);
    let seconds = u64::try_from(62 - second).expect("a second of a minute");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    catch_up(world).await;
}

/// The virtual clock is brought to the wall clock.
async fn catch_up(world: &World) {
    world.pass(wall_clock().duration_since(world.now())).await;
}

fn add_endpoint(world: &World, name: &str, canary: &str) {
    let call = |operation, input: &Value| {
        let answer = world.simulator().call(service::SAGEMAKER, operation, input);
        answer.expect("a new name");
    };
    let variant = |variant: &str, model: &str, weight: f64| {
        json!({
            "VariantName": variant, "ModelName": model, "InitialInstanceCount": 2,
            "InstanceType": "ml.c6i.large", "InitialVariantWeight": weight,
        })
    };
    let both = [variant(PRODUCTION, OLD, 0.9), variant(canary, NEW, 0.1)];
    let config = json!({"EndpointConfigName": name, "ProductionVariants": both});
    call("CreateEndpointConfig", &config);
    call(
        "CreateEndpoint",
        &json!({"EndpointName": name, "EndpointConfigName": name}),
    );
}

/// The record under another name, as if it had been judged up to now.
fn copy(
    world: &World,
    first: &Loaded,
    endpoint: &str,
    number: usize,
    judged_through: Timestamp,
) -> Loaded {
    let mut loaded = first.clone();
    let described = world.simulator().call(
        service::SAGEMAKER,
        "DescribeEndpoint",
        &json!({"EndpointName": endpoint}),
    );
    let described = described.expect("it was made");
    let created = described["CreationTime"].as_f64().expect("a time");
    let Deployment { terms, .. } = &mut loaded.deployment;
    terms.id = format!("{}{number:08x}", &first.deployment.terms.id[..28]);
    endpoint.clone_into(&mut terms.endpoint);
    endpoint.clone_into(&mut terms.canary_config);
    terms.endpoint_created_at = time(created);
    loaded.evidence.judged_through = judged_through;
    loaded
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "milliseconds of a timestamp in this century"
)]
fn time(seconds: f64) -> Timestamp {
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).expect("this century")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the binary that is measured reads the wall clock"
)]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
