//! Random sequences of what operators, AWS and bad luck can do. Whatever they do, no step breaks a
//! record or deletes a config in use, and once the world behaves the deployment comes to an end.

use http::Method;
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;
use shared::domain::invariants;
use shared::domain::state::Phase;
use simulator::cloudwatch::{Gap, GapKind};
use simulator::{Backend, Distribution, FaultKind, service};
use tests::{ENDPOINT, NEW, World, specification};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Minutes(usize),
    Command(&'static str),
    Weight(u8),
    LateTick,
    Lose {
        operation: (&'static str, &'static str),
        answer: bool,
    },
    Busy(i64),
    Gap(i64, GapKind),
    Errors(bool),
    FailUpdate,
}

fn step() -> impl Strategy<Value = Step> {
    let commands = [
        "pause",
        "resume",
        "promote",
        "promote?full=true",
        "approve",
        "rollback",
        "cancel",
    ];
    let operations = [
        (service::SAGEMAKER, "UpdateEndpoint"),
        (service::SAGEMAKER, "UpdateEndpointWeightsAndCapacities"),
        (service::SAGEMAKER, "CreateEndpointConfig"),
        (service::LAMBDA, "Invoke"),
    ];
    prop_oneof![
        8 => (1..8_usize).prop_map(Step::Minutes),
        3 => prop::sample::select(commands[..5].to_vec()).prop_map(Step::Command),
        1 => prop::sample::select(commands[5..].to_vec()).prop_map(Step::Command),
        2 => (1..=100_u8).prop_map(Step::Weight),
        1 => Just(Step::LateTick),
        2 => (prop::sample::select(operations.to_vec()), any::<bool>()).prop_map(|(operation, answer)| Step::Lose { operation, answer }),
        1 => (1..6_i64).prop_map(Step::Busy),
        1 => (1..12_i64, prop::sample::select(vec![GapKind::Missing, GapKind::Partial, GapKind::InternalError])).prop_map(|(minutes, kind)| Step::Gap(minutes, kind)),
        1 => any::<bool>().prop_map(Step::Errors),
        1 => Just(Step::FailUpdate),
    ]
}

async fn happen(world: &World, id: &str, step: &Step) {
    let soon = |minutes| world.now() + SignedDuration::from_mins(minutes);
    match step {
        Step::Minutes(minutes) => world.minutes(*minutes).await,
        Step::Command(command) => drop(
            world
                .post(&format!("/deployments/{id}/{command}"), &json!({}))
                .await,
        ),
        Step::Weight(percent) => {
            let body = json!({"weight": percent}).to_string().into_bytes();
            drop(
                world
                    .request(Method::PUT, &format!("/deployments/{id}/weight"), &[], body)
                    .await,
            );
        }
        Step::LateTick => world.pass(SignedDuration::from_mins(7)).await,
        Step::Lose {
            operation: (service, operation),
            answer,
        } => {
            let kind = if *answer {
                FaultKind::LoseAnswer
            } else {
                FaultKind::LoseRequest
            };
            world.disturb(service, operation, 1, kind);
        }
        Step::Busy(minutes) => {
            world
                .simulator()
                .sagemaker()
                .set_status(ENDPOINT, "SystemUpdating", soon(*minutes));
        }
        Step::Gap(minutes, kind) => {
            let gap = Gap {
                namespace: "AWS/SageMaker".to_owned(),
                from: world.now(),
                to: soon(*minutes),
                kind: *kind,
            };
            world.simulator().cloudwatch().set_gap(gap);
        }
        Step::Errors(broken) => {
            let error_rate = if *broken { 0.3 } else { 0.0 };
            world.simulator().set_backend(
                NEW,
                Backend::Distribution(Distribution {
                    error_rate,
                    ..Distribution::default()
                }),
            );
        }
        Step::FailUpdate => world
            .simulator()
            .sagemaker()
            .fail_next_update(ENDPOINT, "bad luck"),
    }
    world.stack.simulator.run_functions().await;
}

async fn run(steps: &[Step], goes_down: bool) {
    let world = World::new().await;
    let mut given = specification();
    if goes_down {
        given["rollback"] = json!({"mode": "gradual", "weights": [25, 5], "every": "5m"});
    }
    let id = world.deploy(&given).await;
    for step in steps {
        happen(&world, &id, step).await;
        let loaded = world.load(&id).await;
        assert_eq!(
            invariants::violations(&loaded.deployment),
            Vec::<String>::new(),
            "after {step:?}"
        );
        assert_eq!(
            world.simulator().sagemaker().violations(),
            Vec::<String>::new(),
            "after {step:?}"
        );
    }
    world
        .simulator()
        .set_backend(NEW, Backend::Distribution(Distribution::default()));
    if world.load(&id).await.deployment.state.phase == Phase::Paused {
        world.order(&id, "resume").await;
    }
    world
        .until(&id, 300, |loaded| {
            loaded.deployment.state.status.is_terminal()
        })
        .await;
    // What was last done to the endpoint may outlast the deployment.
    world.minutes(6).await;
    world.assert_over(&id).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_rollout_comes_to_a_sound_end(steps in prop::collection::vec(step(), 1..25), goes_down in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run(&steps, goes_down));
    }
}
