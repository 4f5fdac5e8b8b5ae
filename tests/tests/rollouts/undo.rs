//! Back to the former model after a completion: what comes back, and when that can't be.

use http::StatusCode;
use serde_json::{Value, json};
use shared::app::ports::Endpoints;
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use simulator::{Backend, Distribution};
use tests::{CONFIG, ENDPOINT, NEW, OLD, World, specification, specification_with};

/// A deployment that is over and went well.
async fn completed(given: &Value) -> (World, String) {
    let world = World::new().await;
    let id = world.deploy(given).await;
    world.until_over(&id, Status::Completed).await;
    (world, id)
}

async fn undo(world: &World, id: &str) -> (StatusCode, Value) {
    let body = json!({"reason": "complaints since midnight"});
    let answered = world.post(&format!("/deployments/{id}/undo"), &body).await;
    world.stack.simulator.run_functions().await;
    answered
}

async fn refused(world: &World, id: &str, says: &str) {
    let (status, problem) = undo(world, id).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let kind = problem["type"].as_str().expect("a type");
    assert!(kind.ends_with(":no-way-back"), "{kind}");
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains(says), "{detail}");
}

#[tokio::test]
async fn an_undo_brings_the_former_model_back_in_one_stage() {
    let (world, id) = completed(&specification()).await;
    // What sets the undo off must not keep it from being accepted, nor roll it back.
    world.simulator().set_backend(
        NEW,
        Backend::Distribution(Distribution {
            error_rate: 0.3,
            ..Distribution::default()
        }),
    );
    world.minutes(10).await;
    let asked = world.now();
    let (status, view) = undo(&world, &id).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    assert_eq!(
        (&view["model"], &view["former_model"]),
        (&json!(OLD), &json!(NEW))
    );
    assert_eq!(view["undoes"], id.as_str());
    assert_eq!(
        (&view["stage_count"], &view["soak"]),
        (&json!(1), &json!("30m"))
    );
    let back = view["deployment_id"].as_str().expect("an id").to_owned();
    let started = world.entry(&back, Name::Started).await;
    assert!(
        started.reason.contains(&id) && started.reason.contains("complaints since midnight"),
        "{}",
        started.reason
    );
    world.until_phase(&back, Phase::Soaking).await;
    let took = world.now().duration_since(asked).as_secs() / 60;
    assert!(took <= 12, "all of it is back after {took} minutes");
    assert_eq!(
        world.endpoint().await.variants.len(),
        2,
        "the other one can still take it all back"
    );
    let done = world.until_over(&back, Status::Completed).await;
    let endpoint = world.endpoint().await;
    assert_eq!(endpoint.variants.len(), 1);
    let config = world.stack.aws.endpoint_config(&endpoint.config).await;
    let config = config.expect("a readable config").expect("a config");
    assert_eq!(config.variants[0].model.as_deref(), Some(OLD));
    assert_eq!(done.deployment.terms.undoes, Some(id));
}

#[tokio::test]
async fn an_undo_can_be_taken_back_too() {
    let (world, id) = completed(&specification()).await;
    let (_, view) = undo(&world, &id).await;
    let back = view["deployment_id"].as_str().expect("an id").to_owned();
    world.until_phase(&back, Phase::Soaking).await;
    world.order(&back, "rollback").await;
    world.until_over(&back, Status::RolledBack).await;
    let endpoint = world.endpoint().await;
    let config = world.stack.aws.endpoint_config(&endpoint.config).await;
    let config = config.expect("a readable config").expect("a config");
    assert_eq!(config.variants[0].model.as_deref(), Some(NEW));
    // And the undo undone is undone again.
    let (status, view) = undo(&world, &id).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
}

#[tokio::test]
async fn the_former_instance_type_comes_back() {
    let given = specification_with(json!({"canary": {"instance_type": "ml.c6i.xlarge"}}));
    let (world, id) = completed(&given).await;
    let former = world.stack.aws.endpoint_config(CONFIG).await;
    let former = former
        .expect("a readable config")
        .expect("the former config");
    let (_, view) = undo(&world, &id).await;
    let back = view["deployment_id"].as_str().expect("an id").to_owned();
    let done = world.until_over(&back, Status::Completed).await;
    let config = world
        .stack
        .aws
        .endpoint_config(&done.deployment.terms.final_config)
        .await;
    let config = config
        .expect("a readable config")
        .expect("the final config");
    assert_eq!(
        config.variants[0].instance_type,
        former.variants[0].instance_type
    );
}

#[tokio::test]
async fn what_is_not_completed_is_not_undone() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    refused(&world, &id, "roll it back").await;
    world.until_phase(&id, Phase::Baking).await;
    refused(&world, &id, "is IN_PROGRESS").await;
    world.order(&id, "rollback").await;
    refused(&world, &id, "everything back already").await;
    world.until_over(&id, Status::RolledBack).await;
    refused(&world, &id, "everything back already").await;
    let (status, _) = undo(&world, "01997b6e-0000-7000-8000-0123456789ab").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn where_the_old_variant_was_kept_it_has_to_be_given_its_weight_by_hand() {
    let given = specification_with(json!({"cleanup": {"after": "5m", "keep_old_variant": true}}));
    let (world, id) = completed(&given).await;
    refused(&world, &id, "weight back by hand").await;
}

#[tokio::test]
async fn no_way_back_once_the_former_config_is_gone_or_the_endpoint_has_moved_on() {
    let (world, id) = completed(&specification()).await;
    // Another deployment since: first it has the endpoint, then it has left it elsewhere.
    let (status, view) = undo(&world, &id).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    let back = view["deployment_id"].as_str().expect("an id").to_owned();
    let (status, problem) = undo(&world, &id).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        problem["type"]
            .as_str()
            .expect("a type")
            .ends_with(":endpoint-locked")
    );
    assert_eq!(problem["deployment_id"], back.as_str());
    world.until_over(&back, Status::Completed).await;
    refused(&world, &id, "undo what came after it first").await;
    // The undo's own former config.
    let terms = world.load(&back).await.deployment.terms;
    let deleted = world.stack.aws.delete_config(&terms.original_config).await;
    deleted.expect("it is not in use");
    refused(&world, &back, "was deleted since").await;
    assert_eq!(
        world.endpoint().await.config,
        terms.final_config,
        "nothing was touched"
    );
    assert!(
        world.simulator().sagemaker().violations().is_empty(),
        "{ENDPOINT}"
    );
}
