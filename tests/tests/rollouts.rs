//! Whole rollouts over the simulator: real SDK, real adapters, a clock that only the test moves.

use shared::domain::state::Status;
use simulator::Distribution;
use tests::{CONFIG, ENDPOINT, PRODUCTION, World, specification};

#[tokio::test]
async fn a_healthy_canary_takes_over() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let done = world.until(&id, 90, |loaded| loaded.deployment.state.status.is_terminal()).await;
    assert_eq!(done.deployment.state.status, Status::Completed, "{}", done.deployment.state.reason);
    let endpoint = world.endpoint().await;
    assert_eq!(endpoint.config, done.deployment.terms.final_config);
    assert_eq!(endpoint.variants.len(), 1);
    assert_eq!(endpoint.variants[0].name, done.deployment.terms.canary);
    assert_eq!(endpoint.variants[0].current_instances, 2, "capacity for the whole traffic");
    assert_eq!(world.stack.simulator.sagemaker().endpoint_configs(), [CONFIG.to_owned(), done.deployment.terms.final_config.clone()]);
    assert_eq!(world.stack.simulator.sagemaker().violations(), Vec::<String>::new());
    println!("{:#?}", world.announced());
}

#[tokio::test]
async fn a_failing_canary_goes_back() {
    let world = World::with_challenger(Distribution { error_rate: 0.2, ..Distribution::default() }).await;
    let id = world.deploy(&specification()).await;
    let done = world.until(&id, 90, |loaded| loaded.deployment.state.status.is_terminal()).await;
    assert_eq!(done.deployment.state.status, Status::RolledBack, "{}", done.deployment.state.reason);
    let endpoint = world.endpoint().await;
    assert_eq!((endpoint.config.as_str(), endpoint.variants[0].name.as_str()), (CONFIG, PRODUCTION));
    assert_eq!(world.stack.simulator.sagemaker().endpoint_configs(), [CONFIG.to_owned()]);
    let _ = ENDPOINT;
}
