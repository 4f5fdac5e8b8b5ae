//! Ends that come from outside: updates that SageMaker takes back, endpoints that break, vanish or
//! are changed by somebody else. Each ends FAILED, says why, and frees the lock.

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::types::{ProductionVariant, ProductionVariantInstanceType};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use shared::aws::loopback::sdk_config;
use shared::domain::history::{Name, Severity};
use shared::domain::observation::EndpointStatus;
use shared::domain::state::{Phase, Status};
use tests::{CONFIG, ENDPOINT, NEW, OLD, PRODUCTION, World, specification, specification_with};

/// A client of the account, as a team's own tools have one.
fn client(world: &World) -> Client {
    Client::new(&sdk_config(world.stack.simulator.http_client()))
}

/// The end is FAILED, loud, and for this reason; the lock is free for the next deployment.
async fn fails_because(world: &World, id: &str, reason: &str) {
    world.until_over(id, Status::Failed).await;
    let failed = world.entry(id, Name::Failed).await;
    assert!(
        failed.reason.contains(reason),
        "{} names {reason}",
        failed.reason
    );
    assert_eq!(failed.severity, Severity::Critical);
}

#[tokio::test]
async fn an_update_that_comes_back_fails_and_leaves_nothing() {
    let world = World::new().await;
    world
        .simulator()
        .sagemaker()
        .fail_next_update(ENDPOINT, "no capacity for ml.c6i.large");
    let id = world.deploy(&specification()).await;
    fails_because(&world, &id, "no capacity for ml.c6i.large").await;
    let view = world.endpoint().await;
    assert_eq!(
        (view.config.as_str(), view.variants.len(), view.status),
        (CONFIG, 1, EndpointStatus::InService)
    );
    assert_eq!(world.simulator().sagemaker().endpoint_configs(), [CONFIG]);
    let next = world.deploy(&specification()).await;
    world.until_over(&next, Status::Completed).await;
}

#[tokio::test]
async fn a_final_update_that_comes_back_keeps_the_config_in_use() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let terms = world
        .until_phase(&id, Phase::Soaking)
        .await
        .deployment
        .terms;
    world
        .simulator()
        .sagemaker()
        .fail_next_update(ENDPOINT, "an internal failure");
    fails_because(&world, &id, "an internal failure").await;
    assert_eq!(world.endpoint().await.config, terms.canary_config);
    assert!(
        (world.share(&terms.canary).await - 100.0).abs() < 0.01,
        "the traffic stays where it was confirmed"
    );
}

#[tokio::test]
async fn a_rollback_whose_update_comes_back_has_the_traffic_back_all_the_same() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let terms = world.until_phase(&id, Phase::Baking).await.deployment.terms;
    world
        .simulator()
        .sagemaker()
        .fail_next_update(ENDPOINT, "an internal failure");
    world.order(&id, "rollback").await;
    fails_because(&world, &id, "an internal failure").await;
    assert!(world.share(&terms.canary).await.abs() < 0.01);
}

#[tokio::test]
async fn a_failed_endpoint_fails_the_deployment() {
    for (status, phase) in [
        ("Failed", Phase::Baking),
        ("UpdateRollbackFailed", Phase::Soaking),
        ("Failed", Phase::Provisioning),
    ] {
        let world = World::new().await;
        let id = world.deploy(&specification()).await;
        world.until_phase(&id, phase).await;
        world
            .simulator()
            .sagemaker()
            .set_status(ENDPOINT, status, Timestamp::MAX);
        fails_because(&world, &id, status).await;
    }
}

#[tokio::test]
async fn a_deleted_endpoint_fails_the_deployment() {
    for phase in [Phase::Scaling, Phase::Baking, Phase::Finalizing] {
        let world = World::new().await;
        let id = world.deploy(&specification()).await;
        world.until_phase(&id, phase).await;
        // An endpoint that is changing can't be deleted: wait until it rests.
        world.pass(jiff::SignedDuration::from_mins(5)).await;
        client(&world)
            .delete_endpoint()
            .endpoint_name(ENDPOINT)
            .send()
            .await
            .expect("an endpoint to delete");
        fails_because(&world, &id, ENDPOINT).await;
        assert_eq!(
            world.simulator().sagemaker().endpoint_configs(),
            [CONFIG],
            "nothing of ours is left"
        );
    }
}

#[tokio::test]
async fn an_endpoint_made_again_is_another_one() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    let sagemaker = client(&world);
    sagemaker
        .delete_endpoint()
        .endpoint_name(ENDPOINT)
        .send()
        .await
        .expect("an endpoint to delete");
    world.pass(jiff::SignedDuration::from_mins(5)).await;
    sagemaker
        .create_endpoint()
        .endpoint_name(ENDPOINT)
        .endpoint_config_name(CONFIG)
        .send()
        .await
        .expect("a free name");
    world.pass(jiff::SignedDuration::from_mins(2)).await;
    fails_because(&world, &id, "was deleted and made again").await;
    assert_eq!(world.endpoint().await.variants[0].name, PRODUCTION);
}

#[tokio::test]
async fn an_endpoint_on_somebody_elses_config_is_left_alone() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    let sagemaker = client(&world);
    let variant = ProductionVariant::builder()
        .variant_name("blue")
        .model_name(OLD)
        .initial_instance_count(3);
    let variant = variant
        .instance_type(ProductionVariantInstanceType::from("ml.m5.large"))
        .build();
    sagemaker
        .create_endpoint_config()
        .endpoint_config_name("by-hand")
        .production_variants(variant)
        .send()
        .await
        .expect("a new config");
    sagemaker
        .update_endpoint()
        .endpoint_name(ENDPOINT)
        .endpoint_config_name("by-hand")
        .send()
        .await
        .expect("an endpoint at rest");
    fails_because(&world, &id, "config by-hand").await;
    let view = world.endpoint().await;
    assert_eq!(
        (view.config.as_str(), view.variants[0].current_instances),
        ("by-hand", 3)
    );
}

/// Back on a config of two hours ago: what was measured since may be another model's, and whoever
/// plans or reads the history should know.
#[tokio::test]
async fn a_config_that_was_put_in_force_long_after_it_was_made_is_warned_of() {
    let world = World::new().await;
    let sagemaker = client(&world);
    let words = "the endpoint was last changed at 2026-03-02T10:1";
    let (_, plan) = world.post("/plan", &specification()).await;
    assert!(
        !plan["warnings"].to_string().contains("was last changed"),
        "{plan}"
    );
    let variant = ProductionVariant::builder()
        .variant_name(PRODUCTION)
        .model_name(OLD)
        .initial_instance_count(2);
    let variant = variant
        .instance_type(ProductionVariantInstanceType::from("ml.m5.large"))
        .build();
    sagemaker
        .create_endpoint_config()
        .endpoint_config_name("last-month")
        .production_variants(variant)
        .send()
        .await
        .expect("a new config");
    world.pass(jiff::SignedDuration::from_hours(2)).await;
    sagemaker
        .update_endpoint()
        .endpoint_name(ENDPOINT)
        .endpoint_config_name("last-month")
        .send()
        .await
        .expect("an endpoint at rest");
    world.pass(jiff::SignedDuration::from_mins(20)).await;
    let (status, plan) = world.post("/plan", &specification()).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    assert!(plan["warnings"].to_string().contains(words), "{plan}");
    let id = world.deploy(&specification()).await;
    let first = &world.history(&id).await[0];
    assert!(first.reason.contains(words), "{}", first.reason);
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_model_that_production_runs_already_is_warned_of() {
    let world = World::new().await;
    for (model, is_warned_of) in [(NEW, false), (OLD, true)] {
        let given = specification_with(json!({"model": model}));
        let (status, plan) = world.post("/plan", &given).await;
        assert_eq!(status, StatusCode::OK, "{plan}");
        let warnings = plan["warnings"].to_string();
        let words = "the canary's model is the one that production runs already";
        assert_eq!(warnings.contains(words), is_warned_of, "{warnings}");
        let id = world.deploy(&given).await;
        let first = world.history(&id).await.swap_remove(0);
        let words = "production runs this model already";
        assert_eq!(first.reason.contains(words), is_warned_of, "{first:?}");
        world.order(&id, "cancel").await;
        world.until_over(&id, Status::Cancelled).await;
    }
}

#[tokio::test]
async fn weights_moved_by_somebody_else_are_held_restored_or_given_up() {
    for (on_drift, status) in [
        ("hold", Status::Completed),
        ("restore", Status::Completed),
        ("abandon", Status::Failed),
    ] {
        let world = World::new().await;
        let policy = json!({"policy": {"min_samples": 100, "on_drift": on_drift}});
        let id = world.deploy(&specification_with(policy)).await;
        let terms = world.until_phase(&id, Phase::Baking).await.deployment.terms;
        world.set_share(&terms.canary, 0.6).await;
        world.minutes(20).await;
        match on_drift {
            // More on the canary than was committed is never respected.
            "hold" | "restore" => assert!(
                world
                    .history(&id)
                    .await
                    .iter()
                    .any(|entry| entry.event == Name::DriftEnded)
            ),
            _ => {}
        }
        world.until_over(&id, status).await;
        assert!(
            on_drift == "abandon"
                || world.entry(&id, Name::Drift).await.severity == Severity::Warning
        );
    }
}
