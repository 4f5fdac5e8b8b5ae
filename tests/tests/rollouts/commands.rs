//! What operators order while things are on their way: pause, cancel and rollback, in every phase.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::app::ports::Loaded;
use shared::domain::history::Name;
use shared::domain::observation::EndpointStatus;
use shared::domain::state::{Phase, Status};
use tests::lambda::events;
use tests::{CONFIG, OLD, PRODUCTION, Setup, World, bakes_at, specification, specification_with};

#[tokio::test]
async fn a_pause_stops_raises_and_the_deadlines_clock() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.order(&id, "pause").await;
    let paused = world.load(&id).await.deployment;
    world.minutes(30).await;
    let later = world.load(&id).await.deployment;
    assert_eq!(
        (later.state.phase, later.state.target),
        (Phase::Paused, paused.state.weight)
    );
    assert_eq!(
        later.state.clock.used_at(world.now()),
        paused.state.clock.used_at(world.now()),
        "the clock stands"
    );
    assert!(
        world.load(&id).await.evidence.judged_through > world.now() - SignedDuration::from_mins(5),
        "it is judged all the same"
    );
    world.order(&id, "resume").await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_pause_in_the_middle_of_a_raise_resumes_it() {
    for phase in [Phase::Scaling, Phase::Shifting, Phase::Soaking] {
        let world = World::new().await;
        let id = world.deploy(&specification()).await;
        world.until_phase(&id, phase).await;
        world.order(&id, "pause").await;
        world.minutes(15).await;
        assert_eq!(
            world.load(&id).await.deployment.state.phase,
            Phase::Paused,
            "paused in {phase}"
        );
        world.order(&id, "resume").await;
        world.until_over(&id, Status::Completed).await;
    }
}

#[tokio::test]
async fn a_resume_on_the_way_down_from_a_pause_is_refused() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Soaking).await;
    world.order(&id, "pause").await;
    assert_eq!(world.put_weight(&id, 20).await.0, StatusCode::ACCEPTED);
    let path = format!("/deployments/{id}/resume");
    let (status, answer) = world.post(&path, &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    world.until_phase(&id, Phase::Paused).await;
    world.order(&id, "resume").await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_cancel_while_the_canary_is_made_waits_and_cleans_up() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    assert_eq!(world.endpoint().await.status, EndpointStatus::Updating);
    let answer = world.order(&id, "cancel").await;
    assert_eq!(
        (answer["status"].as_str(), answer["phase"].as_str()),
        (Some("ROLLING_BACK"), Some("Reverting"))
    );
    world.until_over(&id, Status::Cancelled).await;
    assert_eq!(world.simulator().sagemaker().endpoint_configs(), [CONFIG]);
}

#[tokio::test]
async fn a_cancel_before_anything_was_made_leaves_nothing() {
    let world = World::new().await;
    let id = world.accept(&specification()).await;
    world.order(&id, "cancel").await;
    world.until_over(&id, Status::Cancelled).await;
    assert_eq!(
        world.count_calls("UpdateEndpoint"),
        0,
        "what was asked for late does nothing"
    );
}

#[tokio::test]
async fn a_cancel_in_a_bake_or_a_soak_takes_everything_back() {
    for phase in [Phase::Baking, Phase::Soaking] {
        let world = World::new().await;
        let id = world.deploy(&specification()).await;
        world.until_phase(&id, phase).await;
        world.order(&id, "cancel").await;
        world.until_over(&id, Status::Cancelled).await;
        assert_eq!(
            world.entry(&id, Name::Cancelled).await.weight.percent(),
            0,
            "cancelled in {phase}"
        );
    }
}

/// A rollout that stands in this phase.
async fn in_phase(phase: Phase) -> (World, String) {
    let world = World::new().await;
    let plan = |approval| json!({"stages": [{"weight": 10, "bake": "5m"}, {"weight": 50, "bake": "5m", "approval": approval}, {"weight": 100}], "soak": "5m"});
    let id = match phase {
        Phase::AwaitingApproval => {
            world
                .deploy(&specification_with(json!({"plan": plan(true)})))
                .await
        }
        Phase::Holding => {
            world
                .deploy(&specification_with(
                    json!({"policy": {"min_samples": 100_000}}),
                ))
                .await
        }
        _ => world.deploy(&specification()).await,
    };
    match phase {
        Phase::Paused => {
            world.until_phase(&id, Phase::Baking).await;
            world.order(&id, "pause").await;
        }
        Phase::Retreating => {
            world.until(&id, 60, bakes_at(50)).await;
            assert_eq!(world.put_weight(&id, 20).await.0, StatusCode::ACCEPTED);
        }
        phase => drop(world.until_phase(&id, phase).await),
    }
    (world, id)
}

#[tokio::test]
async fn a_rollback_works_in_every_phase() {
    let phases = [
        Phase::Provisioning,
        Phase::Scaling,
        Phase::Shifting,
        Phase::Baking,
        Phase::Holding,
        Phase::Paused,
        Phase::AwaitingApproval,
        Phase::Retreating,
        Phase::Soaking,
        Phase::Finalizing,
    ];
    for phase in phases {
        let (world, id) = in_phase(phase).await;
        assert_eq!(world.load(&id).await.deployment.state.phase, phase);
        world.order(&id, "rollback").await;
        world.until_over(&id, Status::RolledBack).await;
        let entry = world.entry(&id, Name::RollingBack).await;
        assert_eq!(
            (entry.by.as_deref(), entry.reason.as_str()),
            (Some("local"), "rolled back by an operator: a test"),
            "in {phase}"
        );
    }
}

/// The same, with a share on the canary already where it is being raised.
async fn with_a_share_in(phase: Phase) -> (World, String) {
    if !matches!(phase, Phase::Scaling | Phase::Shifting) {
        return in_phase(phase).await;
    }
    // One instance has 10 % of four, and two have 50 %: the fleet grows.
    let world = World::with(Setup {
        instances: 4,
        ..Setup::default()
    })
    .await;
    let id = world.deploy(&specification()).await;
    let is_raised = |loaded: &Loaded| {
        let state = &loaded.deployment.state;
        state.phase == phase && state.weight.percent() == 10
    };
    world.until(&id, 60, is_raised).await;
    (world, id)
}

/// Waits until production has everything back; answers when the endpoint took changes, and when it was.
/// EventBridge tells of an endpoint that rests, as the stack's rule asks it to.
async fn taken_back(world: &World, canary: &str) -> (Timestamp, Timestamp) {
    let mut accepts = None;
    for _ in 0..60 {
        let rests = world.endpoint().await.status == EndpointStatus::InService;
        if rests && accepts.is_none() {
            accepts = Some(world.now());
        }
        if rests && world.share(canary).await < 0.01 {
            return (accepts.expect("it rests"), world.now());
        }
        world.pass(SignedDuration::from_secs(5)).await;
        if !rests && world.endpoint().await.status == EndpointStatus::InService {
            let event = events::endpoint_state_change("IN_SERVICE", world.now());
            let woken = world.stack.wake_monitor(&event).await;
            woken.expect("the pass goes through");
            world.stack.simulator.run_functions().await;
        }
    }
    panic!("the canary still has {} %", world.share(canary).await);
}

/// From the order to the endpoint, on the simulator's clock: a change of weights takes 15 seconds there. An
/// endpoint that is changing already refuses it, so where the fleet grows, for 90, the minute begins
/// afterwards. Once the old variant is being removed there are no weights to give back:
/// `a_rollback_after_the_old_variant_has_gone_brings_it_back`.
#[tokio::test]
async fn a_rollback_by_hand_is_asked_for_at_once_and_there_within_a_minute() {
    let phases = [
        Phase::Scaling,
        Phase::Shifting,
        Phase::Baking,
        Phase::Holding,
        Phase::Paused,
        Phase::AwaitingApproval,
        Phase::Retreating,
        Phase::Soaking,
    ];
    for phase in phases {
        let (world, id) = with_a_share_in(phase).await;
        let deployment = world.load(&id).await.deployment;
        assert_eq!(deployment.state.phase, phase);
        let (canary, ordered) = (deployment.terms.canary, world.now());
        assert!(world.share(&canary).await > 9.0, "{phase}");
        let before = world.simulator().calls().len();
        world.order(&id, "rollback").await;
        let calls = world.simulator().calls();
        let asked = calls[before..].iter().find(|call| {
            call.operation == "UpdateEndpointWeightsAndCapacities" && call.at == ordered
        });
        assert!(asked.is_some(), "asked by the order itself in {phase}");
        let (accepts, back) = taken_back(&world, &canary).await;
        let minute = SignedDuration::from_mins(1);
        let took = back.duration_since(accepts);
        assert!(took <= minute, "{took:#} in {phase}");
        if phase != Phase::Scaling {
            let took = back.duration_since(ordered);
            assert!(took <= minute, "{took:#} from the order in {phase}");
        }
        world.until_over(&id, Status::RolledBack).await;
    }
}

/// In the middle of a rollout the endpoint has two variants and is often changing. Whoever was told to
/// repair that would end the rollout.
#[tokio::test]
async fn a_plan_in_every_phase_says_only_which_deployment_has_the_endpoint() {
    let phases = [
        Phase::Provisioning,
        Phase::Scaling,
        Phase::Shifting,
        Phase::Baking,
        Phase::Holding,
        Phase::Paused,
        Phase::AwaitingApproval,
        Phase::Retreating,
        Phase::Soaking,
        Phase::Finalizing,
        Phase::Reverting,
        Phase::CleaningUp,
    ];
    // Not even what could be said of the model alone: it is what `deploy` says, too.
    let asked = [
        specification(),
        specification_with(json!({"model": "nobody"})),
    ];
    for phase in phases {
        let (world, id) = match phase {
            Phase::Reverting | Phase::CleaningUp => {
                let (world, id) = in_phase(Phase::Baking).await;
                world.order(&id, "rollback").await;
                world.until_phase(&id, phase).await;
                (world, id)
            }
            phase => in_phase(phase).await,
        };
        assert_eq!(world.load(&id).await.deployment.state.phase, phase);
        for (path, specification) in [
            ("/plan", &asked[0]),
            ("/plan", &asked[1]),
            ("/deploy", &asked[0]),
        ] {
            let (status, problem) = world.post(path, specification).await;
            assert_eq!(
                (
                    status.as_u16(),
                    problem["type"].as_str(),
                    problem["deployment_id"].as_str()
                ),
                (
                    409,
                    Some("urn:sagemaker-canary:problem:endpoint-locked"),
                    Some(id.as_str())
                ),
                "{path} in {phase}: {problem}"
            );
        }
    }
}

#[tokio::test]
async fn a_plan_is_made_again_as_soon_as_the_deployment_is_over() {
    let world = World::new().await;
    let id = world.accept(&specification()).await;
    let (status, problem) = world.post("/plan", &specification()).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(problem["deployment_id"], json!(id));
    world.order(&id, "cancel").await;
    world.until_over(&id, Status::Cancelled).await;
    let (status, plan) = world.post("/plan", &specification()).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
}

#[tokio::test]
async fn a_rollback_after_the_old_variant_has_gone_brings_it_back() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let done = world.until_phase(&id, Phase::Finalizing).await;
    // The update lands, and before a tick confirms it an operator takes everything back.
    world.pass(SignedDuration::from_mins(5)).await;
    assert_eq!(
        world.endpoint().await.config,
        done.deployment.terms.final_config
    );
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
    let view = world.endpoint().await;
    assert_eq!(
        (view.config.as_str(), view.variants[0].name.as_str()),
        (done.deployment.terms.former_config().as_str(), PRODUCTION)
    );
    assert_eq!(
        view.variants[0].current_instances, 2,
        "with the instances it had"
    );
    let (_, answer) = world
        .post(
            "/inference",
            &json!({"endpoint": tests::ENDPOINT, "features": [1, 2]}),
        )
        .await;
    assert_eq!(answer["variant"], PRODUCTION);
    let (_, plan) = world.post("/plan", &specification()).await;
    assert_eq!(plan["former_model"], OLD);
}

#[tokio::test]
async fn the_end_of_an_end_takes_no_commands() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.order(&id, "rollback").await;
    for over in [false, true] {
        if over {
            world.until_over(&id, Status::RolledBack).await;
        }
        for command in [
            "pause",
            "resume",
            "promote",
            "promote?full=true",
            "rollback",
            "cancel",
            "approve",
        ] {
            let (status, answer) = world
                .post(&format!("/deployments/{id}/{command}"), &json!({}))
                .await;
            assert_eq!(
                (status, answer["type"].as_str()),
                (
                    StatusCode::CONFLICT,
                    Some("urn:sagemaker-canary:problem:illegal-command")
                ),
                "{command}"
            );
            let way_out = if over {
                "the deployment is over"
            } else {
                "it is rolling back already"
            };
            assert!(
                answer["detail"]
                    .as_str()
                    .is_some_and(|detail| detail.contains(way_out)),
                "{command}: {answer}"
            );
        }
        assert_eq!(world.put_weight(&id, 30).await.0, StatusCode::CONFLICT);
    }
}
