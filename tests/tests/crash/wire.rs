//! A sample of the same loop over the wire: the adapters of the SDK make calls of their own, and
//! repeat some of them, so each operation of each service is hit too, as often as time allows.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::json;
use shared::domain::state::Status;
use simulator::{Fault, FaultKind};
use tests::{World, specification};

/// How often a request is repeated that fails.
const TRIES: usize = 4;

/// The deployment, until it is accepted; its id.
async fn accept(world: &World) -> String {
    let body = specification().to_string().into_bytes();
    for _ in 0..TRIES {
        let headers = [("idempotency-key", "a-sample")];
        let (status, answer) = world
            .request(Method::POST, "/deploy", &headers, body.clone())
            .await;
        if status.is_success() {
            world.stack.simulator.run_functions().await;
            let id = answer["deployment_id"].as_str();
            return id.expect("an id").to_owned();
        }
        assert!(status.is_server_error(), "{status}: {answer}");
    }
    panic!("not accepted in {TRIES} tries");
}

/// The order, until it is followed, or refused because it was followed before.
async fn roll_back(world: &World, id: &str) {
    for again in [false, true, true, true] {
        let path = format!("/deployments/{id}/rollback");
        let (status, answer) = world.post(&path, &json!({"reason": "a test"})).await;
        world.stack.simulator.run_functions().await;
        if status.is_success() || (again && status == StatusCode::CONFLICT) {
            return;
        }
        assert!(status.is_server_error(), "{status}: {answer}");
    }
    panic!("not followed in {TRIES} tries");
}

async fn play(world: &World, rolls_back: bool) {
    let id = accept(world).await;
    if rolls_back {
        world
            .until(&id, 60, |loaded| {
                loaded.deployment.state.weight.percent() == 50
            })
            .await;
        roll_back(world, &id).await;
        world.until_over(&id, Status::RolledBack).await;
    } else {
        world.until_over(&id, Status::Completed).await;
    }
}

/// How often each operation of each service is called in a run without a fault.
async fn calls(rolls_back: bool) -> BTreeMap<(&'static str, String), usize> {
    let world = World::new().await;
    let before = world.simulator().calls().len();
    play(&world, rolls_back).await;
    let mut calls = BTreeMap::new();
    for call in world.simulator().calls().split_off(before) {
        *calls.entry((call.service, call.operation)).or_default() += 1;
    }
    calls
}

/// `of_each` of the calls of every operation are hit, spread over all of them.
async fn survives_a_sample(rolls_back: bool, of_each: usize) {
    let mut runs = 0;
    for ((service, operation), count) in calls(rolls_back).await {
        let hit = of_each.min(count);
        for index in 0..hit {
            let kind = if index % 2 == 0 {
                FaultKind::LoseAnswer
            } else {
                FaultKind::LoseRequest
            };
            let skip = index * count / hit;
            println!("{service} {operation}: call {skip} of {count}, {kind:?}");
            let world = World::new().await;
            world.let_ticks_fail();
            world.simulator().inject(Fault {
                service: service.to_owned(),
                operation: Some(operation.clone()),
                skip: u32::try_from(skip).expect("a small number of calls"),
                times: 1,
                kind,
            });
            play(&world, rolls_back).await;
            runs += 1;
        }
    }
    println!("{runs} runs over the wire, {of_each} calls of each operation");
}

#[tokio::test]
async fn a_completion_survives_a_sample_over_the_wire() {
    survives_a_sample(false, 2).await;
}

#[tokio::test]
async fn a_rollback_survives_a_sample_over_the_wire() {
    survives_a_sample(true, 1).await;
}
