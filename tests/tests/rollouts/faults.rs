//! Calls that fail, are lost or come twice. Every rollout converges all the same: what is due is
//! derived anew from record and world.

use std::time::Duration;

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::json;
use shared::app::ports::{Functions, Loaded};
use shared::domain::due::Actor;
use shared::domain::state::{Phase, Status};
use simulator::{Fault, FaultKind, service};
use tests::{ENDPOINT, PRODUCTION, World, specification};

/// A whole rollout during which one call of an operation is hit; whatever it is, the rollout ends
/// as if nothing had been.
async fn completes_despite(service: &str, operation: &str, skip: u32, kind: FaultKind) {
    let world = World::new().await;
    world.let_ticks_fail();
    world.simulator().inject(Fault {
        service: service.to_owned(),
        operation: Some(operation.to_owned()),
        skip,
        times: 1,
        kind: kind.clone(),
    });
    // A request whose answer was lost may fail too; the caller repeats it under its key.
    let headers = [("idempotency-key", "a-lost-answer")];
    let mut answer = (StatusCode::SERVICE_UNAVAILABLE, json!(null));
    for _ in 0..3 {
        answer = world
            .request(
                http::Method::POST,
                "/deploy",
                &headers,
                specification().to_string().into_bytes(),
            )
            .await;
        if answer.0.is_success() {
            break;
        }
    }
    let id = answer.1["deployment_id"]
        .as_str()
        .unwrap_or_else(|| panic!("{operation} {skip} {kind:?}: {}", answer.1))
        .to_owned();
    world.stack.simulator.run_functions().await;
    world.until_over(&id, Status::Completed).await;
    let was_hit = world
        .simulator()
        .calls()
        .iter()
        .any(|call| call.operation == operation && !call.ok);
    assert!(was_hit, "{operation} was called more than {skip} times");
}

#[tokio::test]
async fn lost_updates_of_the_endpoint_converge() {
    for skip in 0..2 {
        for kind in [FaultKind::LoseAnswer, FaultKind::LoseRequest] {
            completes_despite(service::SAGEMAKER, "UpdateEndpoint", skip, kind).await;
        }
    }
    completes_despite(service::SAGEMAKER, "UpdateEndpoint", 0, FaultKind::Throttle).await;
}

#[tokio::test]
async fn lost_changes_of_weights_and_capacity_converge() {
    // Two raises, the growth before the third, and the third.
    for skip in 0..4 {
        completes_despite(
            service::SAGEMAKER,
            "UpdateEndpointWeightsAndCapacities",
            skip,
            FaultKind::LoseAnswer,
        )
        .await;
    }
    completes_despite(
        service::SAGEMAKER,
        "UpdateEndpointWeightsAndCapacities",
        2,
        FaultKind::LoseRequest,
    )
    .await;
}

#[tokio::test]
async fn lost_writes_of_the_record_converge() {
    for skip in [0, 1, 2, 9] {
        completes_despite(
            service::DYNAMODB,
            "TransactWriteItems",
            skip,
            FaultKind::LoseAnswer,
        )
        .await;
    }
    completes_despite(
        service::DYNAMODB,
        "TransactWriteItems",
        1,
        FaultKind::LoseRequest,
    )
    .await;
}

#[tokio::test]
async fn lost_configs_and_wakes_converge() {
    for (service, operation) in [
        (service::SAGEMAKER, "CreateEndpointConfig"),
        (service::SAGEMAKER, "DeleteEndpointConfig"),
        (service::LAMBDA, "Invoke"),
        (service::SNS, "Publish"),
    ] {
        completes_despite(service, operation, 0, FaultKind::LoseAnswer).await;
    }
}

#[tokio::test]
async fn a_rollback_whose_answer_is_lost_lands_once_and_is_confirmed() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let canary = world
        .until(&id, 60, |loaded| {
            loaded.deployment.state.weight.percent() == 50
        })
        .await
        .deployment
        .terms
        .canary;
    world.disturb(
        service::SAGEMAKER,
        "UpdateEndpointWeightsAndCapacities",
        1,
        FaultKind::LoseAnswer,
    );
    world.order(&id, "rollback").await;
    world.minute().await;
    assert!(world.share(&canary).await.abs() < 0.01);
    world.until_over(&id, Status::RolledBack).await;
}

#[tokio::test]
async fn a_rollback_lands_in_the_first_minute_the_endpoint_accepts_and_inference_pins_production() {
    for status in ["Updating", "SystemUpdating"] {
        let world = World::new().await;
        let id = world.deploy(&specification()).await;
        let canary = world
            .until(&id, 60, |loaded| {
                loaded.deployment.state.weight.percent() == 50
            })
            .await
            .deployment
            .terms
            .canary;
        let until = world.now() + SignedDuration::from_secs(9 * 60 + 30);
        world
            .simulator()
            .sagemaker()
            .set_status(ENDPOINT, status, until);
        world.order(&id, "rollback").await;
        for _ in 0..9 {
            world.minute().await;
            assert!(
                (world.share(&canary).await - 50.0).abs() < 0.01,
                "the endpoint refuses"
            );
            assert_eq!(
                asked_variants(&world, 10).await,
                [PRODUCTION; 10],
                "the second lever"
            );
        }
        world.minute().await;
        world.pass(SignedDuration::from_secs(20)).await;
        assert!(
            world.share(&canary).await.abs() < 0.01,
            "the first minute in which it accepts"
        );
        world.until_over(&id, Status::RolledBack).await;
        assert_eq!(asked_variants(&world, 3).await, [PRODUCTION; 3]);
    }
}

#[tokio::test]
async fn a_rollback_waits_for_no_lease() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Scaling).await;
    world.disturb(
        service::SAGEMAKER,
        "UpdateEndpointWeightsAndCapacities",
        1,
        FaultKind::LoseAnswer,
    );
    let shifting = world.until_phase(&id, Phase::Shifting).await.deployment;
    assert!(
        shifting.is_leased(world.now()),
        "the raise is in doubt, so its lease stays"
    );
    // It has landed all the same.
    world.pass(SignedDuration::from_secs(20)).await;
    let canary = shifting.terms.canary;
    assert!((world.share(&canary).await - 10.0).abs() < 0.01);
    world.order(&id, "rollback").await;
    assert!(world.load(&id).await.deployment.is_leased(world.now()));
    world.pass(SignedDuration::from_secs(20)).await;
    assert!(world.share(&canary).await.abs() < 0.01);
    world.until_over(&id, Status::RolledBack).await;
}

/// The variants that answered so many requests through the inference function.
async fn asked_variants(world: &World, requests: usize) -> Vec<String> {
    // What the function has cached is older than its lifetime.
    world.pass(SignedDuration::from_secs(1)).await;
    let mut variants = Vec::new();
    for _ in 0..requests {
        let (status, answer) = world
            .post(
                "/inference",
                &json!({"endpoint": ENDPOINT, "features": [7.4, 0.7]}),
            )
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        variants.push(answer["variant"].as_str().expect("a variant").to_owned());
    }
    variants
}

#[tokio::test]
async fn an_hour_without_sns_loses_nothing_and_keeps_the_order() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let down = FaultKind::Error {
        status: 400,
        code: "KMSAccessDenied".to_owned(),
        message: "the key can't be used".to_owned(),
    };
    for _ in 0..60 {
        world.disturb(service::SNS, "Publish", 1, down.clone());
        world.minute().await;
    }
    assert_eq!(world.told_by_sns(&id).len(), 1, "only what was told before");
    world
        .until(&id, 200, |loaded| {
            loaded.deployment.state.status.is_terminal()
        })
        .await;
    // Faults that met no call during the hour hit some afterwards.
    world.minutes(60).await;
    world.assert_over(&id).await;
    assert_eq!(
        world.load(&id).await.deployment.state.status,
        Status::Completed,
        "the rollout did not wait for its messages"
    );
}

#[tokio::test]
async fn a_bus_that_is_gone_costs_people_nothing_and_loses_nothing() {
    let world = World::new().await;
    let down = FaultKind::Error {
        status: 400,
        code: "ResourceNotFoundException".to_owned(),
        message: "no such bus".to_owned(),
    };
    world.disturb(service::EVENTBRIDGE, "PutEvents", 40, down);
    let id = world.deploy(&specification()).await;
    world
        .until(&id, 200, |loaded| {
            loaded.deployment.state.status.is_terminal()
        })
        .await;
    assert_eq!(
        world.told_by_sns(&id).len(),
        world.history(&id).await.len(),
        "each once, and none waits for the bus"
    );
    world.minutes(60).await;
    world.assert_over(&id).await;
}

#[tokio::test]
async fn a_rollback_does_not_wait_for_a_look_that_hangs() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let raised = |loaded: &Loaded| loaded.deployment.state.weight.percent() == 50;
    let canary = world.until(&id, 60, raised).await.deployment.terms.canary;
    world.disturb(
        service::SAGEMAKER,
        "DescribeEndpoint",
        2,
        FaultKind::Silence,
    );
    // The order's look and the function's, 3 s each and not 15.
    let rolled_back = tokio::time::timeout(Duration::from_secs(10), world.order(&id, "rollback"));
    rolled_back.await.expect("an answer and a call in time");
    world.pass(SignedDuration::from_secs(20)).await;
    assert!(world.share(&canary).await.abs() < 0.01);
    world.until_over(&id, Status::RolledBack).await;
}

#[tokio::test]
async fn late_and_doubled_wakes_and_ticks_change_nothing() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let mut shares = vec![0];
    for _ in 0..60 {
        for actor in [Actor::Provision, Actor::TrafficShift, Actor::Rollback] {
            for version in [1, 1, 999_999] {
                world
                    .stack
                    .aws
                    .wake(actor, &id, version)
                    .await
                    .expect("a queued event");
            }
        }
        world.minute().await;
        // A second schedule fires in the same minute, twice at once.
        let (one, other) = tokio::join!(world.stack.tick(), world.stack.tick());
        let failed = [
            one.expect("a tick").ticked.failed,
            other.expect("a tick").ticked.failed,
        ]
        .concat();
        assert_eq!(failed, Vec::new());
        world.stack.simulator.run_functions().await;
        let share = world.load(&id).await.deployment.state.weight.percent();
        if shares.last() != Some(&share) {
            shares.push(share);
        }
    }
    assert_eq!(shares, [0, 10, 50, 100]);
    world.until_over(&id, Status::Completed).await;
    assert_eq!(
        world.count_calls("UpdateEndpoint"),
        2,
        "one to add the canary, one to remove production"
    );
    let minutes = world
        .get(&format!("/deployments/{id}/checks?limit=1000"))
        .await
        .1["items"]
        .as_array()
        .map(|items| {
            items
                .iter()
                .map(|item| item["minute"].to_string())
                .collect::<Vec<_>>()
        });
    let mut minutes = minutes.expect("a list of minutes");
    let all = minutes.len();
    minutes.dedup();
    assert_eq!(minutes.len(), all, "no minute counts twice");
}
