//! Back to the former model after a completion: what comes back, and when that can't be.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};
use shared::app::ports::{Endpoints, Loaded, Scaling};
use shared::domain::history::Name;
use shared::domain::scaling::{ScalableTarget, Suspension};
use shared::domain::state::{Phase, Status};
use simulator::{Backend, Distribution};
use tests::{
    CONFIG, ENDPOINT, NEW, OLD, PRODUCTION, Setup, World, specification, specification_with,
};

/// A deployment that is over and went well.
async fn completed(given: &Value) -> (World, String) {
    completed_in(World::new().await, given).await
}

async fn completed_in(world: World, given: &Value) -> (World, String) {
    let id = world.deploy(given).await;
    world.until_over(&id, Status::Completed).await;
    (world, id)
}

/// A world with so many instances in production.
async fn of_instances(instances: i32) -> World {
    let setup = Setup {
        instances,
        ..Setup::default()
    };
    World::with(setup).await
}

/// The id of an undo that was accepted.
async fn begun(world: &World, id: &str) -> String {
    let (status, view) = undo(world, id).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    view["deployment_id"].as_str().expect("an id").to_owned()
}

/// An undo that has all the traffic.
async fn undone(world: &World, id: &str) -> Loaded {
    let back = begun(world, id).await;
    world.until_phase(&back, Phase::Soaking).await
}

/// The instances of the former model, once it has all the traffic again.
async fn fleet(world: &World, back: &Loaded) -> u32 {
    let view = world.endpoint().await;
    let former = view.variant(&back.deployment.terms.canary);
    former.expect("the variant").current_instances
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
async fn the_former_model_gets_the_fleet_it_had_and_not_that_of_the_smaller_one() {
    let given = specification_with(json!({"canary": {"instances": 1}}));
    let (world, id) = completed_in(of_instances(4).await, &given).await;
    assert_eq!(world.endpoint().await.variants[0].current_instances, 1);
    let back = undone(&world, &id).await;
    assert_eq!(fleet(&world, &back).await, 4);
}

#[tokio::test]
async fn the_former_model_gets_more_where_the_fleet_has_grown_since() {
    for (canary, expected) in [
        (json!({}), 6),
        (json!({"instances": 3, "instance_type": "ml.c6i.xlarge"}), 4),
    ] {
        let given = specification_with(json!({"canary": canary}));
        let (world, id) = completed_in(of_instances(2).await, &given).await;
        // Three times as many as then: in the second case six instead of three, so twice as many.
        let terms = world.load(&id).await.deployment.terms;
        let grown = world.stack.aws.set_instances(ENDPOINT, &terms.canary, 6);
        grown.await.expect("room for more");
        world.minutes(10).await;
        assert_eq!(world.endpoint().await.variants[0].current_instances, 6);
        let back = undone(&world, &id).await;
        assert_eq!(fleet(&world, &back).await, expected, "{given}");
    }
}

#[tokio::test]
async fn no_more_is_asked_for_than_the_scaling_allows() {
    let target = |max| ScalableTarget {
        min: 1,
        max,
        policies: Vec::new(),
        suspended: Suspension::default(),
        tags: BTreeMap::new(),
    };
    let world = of_instances(4).await;
    let aws = world.stack.aws.clone();
    let registered = aws.register(ENDPOINT, PRODUCTION, &target(10)).await;
    registered.expect("a variant to scale");
    let given = specification_with(json!({"canary": {"instances": 1}}));
    let (world, id) = completed_in(world, &given).await;
    let canary = world.load(&id).await.deployment.terms.canary;
    let lowered = aws.register(ENDPOINT, &canary, &target(3)).await;
    lowered.expect("the new variant scales");
    let back = undone(&world, &id).await;
    assert_eq!(back.deployment.terms.capacity.instances, Some(3));
}

/// The bad model's callers have turned away, so there is no traffic at all.
#[tokio::test]
async fn an_undo_does_not_wait_for_traffic_or_for_proof() {
    let (world, id) = completed(&specification()).await;
    world.minutes(20).await;
    world.simulator().set_traffic(ENDPOINT, 0.0);
    world.minutes(5).await;
    let asked = world.now();
    let back = undone(&world, &id).await.deployment.terms;
    assert!(back.baseline.requests_per_minute() > 100.0, "it was busy");
    world.until_over(&back.id, Status::Completed).await;
    let took = world.now().duration_since(asked).as_mins();
    assert!(took <= 60, "a soak of 30 minutes, and it took {took}");
}

/// It is far slower than what it replaces, and breaks no limit: that was so before, too.
#[tokio::test]
async fn a_former_model_that_is_slower_comes_back_and_that_is_told() {
    let answers = |latency_p50_ms, latency_p99_ms| Distribution {
        latency_p50_ms,
        latency_p99_ms,
        ..Distribution::default()
    };
    let setup = Setup {
        production: answers(50.0, 80.0),
        challenger: answers(5.0, 10.0),
        ..Setup::default()
    };
    let (world, id) = completed_in(World::with(setup).await, &specification()).await;
    // Long enough for an hour of its own that the former model is held against.
    world.minutes(80).await;
    let back = begun(&world, &id).await;
    world.until_over(&back, Status::Completed).await;
    let told = world.entry(&back, Name::Breached).await;
    assert_eq!(told.signal.as_deref(), Some("slowness"), "{}", told.reason);
    assert!(told.reason.contains("slow requests"), "{}", told.reason);
}

#[tokio::test]
async fn a_former_model_that_does_not_work_is_taken_back() {
    let (world, id) = completed(&specification()).await;
    world.minutes(10).await;
    world.simulator().set_backend(
        OLD,
        Backend::Distribution(Distribution {
            error_rate: 0.3,
            ..Distribution::default()
        }),
    );
    let back = begun(&world, &id).await;
    let done = world.until_over(&back, Status::RolledBack).await;
    let cause = done.deployment.state.cause.unwrap_or_default();
    assert!(cause.contains("5XX errors"), "{cause}");
    let config = world.endpoint().await.config;
    let config = world.stack.aws.endpoint_config(&config).await;
    let config = config.expect("a readable config").expect("a config");
    assert_eq!(config.variants[0].model.as_deref(), Some(NEW));
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
    // What was taken out comes back by a specification, past its gate and its approvals.
    refused(&world, &back, "an undo can't be undone").await;
    refused(&world, &back, &format!("deploy {NEW}")).await;
    let again = world.deploy(&specification()).await;
    world.until_over(&again, Status::Completed).await;
    let terms = world.load(&again).await.deployment.terms;
    let deleted = world.stack.aws.delete_config(&terms.original_config).await;
    deleted.expect("it is not in use");
    refused(&world, &again, "was deleted since").await;
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
