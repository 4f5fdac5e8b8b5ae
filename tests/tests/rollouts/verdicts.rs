//! What the guards roll back, and with which words.

use jiff::SignedDuration;
use serde_json::json;
use shared::domain::history::{Entry, Name, Severity};
use shared::domain::state::{Phase, Status};
use tests::{CONFIG, PRODUCTION, Setup, World, specification, specification_with};

use simulator::{Distribution, FaultKind, service};

/// Rolls out a challenger that must fail; returns the line that says why it was taken back.
async fn rolled_back(setup: Setup, specification: &serde_json::Value) -> (World, String, Entry) {
    let world = World::with(setup).await;
    let id = world.deploy(specification).await;
    world.until_over(&id, Status::RolledBack).await;
    let endpoint = world.endpoint().await;
    assert_eq!(
        (endpoint.config.as_str(), endpoint.variants[0].name.as_str()),
        (CONFIG, PRODUCTION)
    );
    let entry = world.entry(&id, Name::RollingBack).await;
    assert_eq!(entry.severity, Severity::Critical);
    assert!(
        entry.reason.contains(&entry.value),
        "{} names the value {}",
        entry.reason,
        entry.value
    );
    assert!(
        entry.reason.contains(&entry.limit),
        "{} names the limit {}",
        entry.reason,
        entry.limit
    );
    (world, id, entry)
}

fn challenger(challenger: Distribution) -> Setup {
    Setup {
        challenger,
        ..Setup::default()
    }
}

#[tokio::test]
async fn errors_roll_back_at_the_second_check() {
    let failing = challenger(Distribution {
        error_rate: 0.2,
        ..Distribution::default()
    });
    let (world, id, entry) = rolled_back(failing, &specification()).await;
    assert!(
        entry.reason.starts_with("5XX errors of the canary: ")
            && entry.reason.contains("check 2 of 2"),
        "{}",
        entry.reason
    );
    assert_eq!(entry.limit, "1%");
    let share: f64 = entry
        .value
        .trim_end_matches('%')
        .parse()
        .expect("a share in percent");
    assert!((10.0..30.0).contains(&share), "about 20 %: {share}");
    let raised = world
        .history(&id)
        .await
        .iter()
        .filter(|entry| entry.event == Name::Shifted)
        .count();
    assert_eq!(raised, 1, "it never saw more than the first stage");
}

#[tokio::test]
async fn slowness_rolls_back_at_the_third_check() {
    let slow = challenger(Distribution {
        latency_p50_ms: 80.0,
        latency_p99_ms: 400.0,
        ..Distribution::default()
    });
    let (_, _, entry) = rolled_back(slow, &specification()).await;
    assert!(
        entry.reason.starts_with("latency of the canary: p99 ")
            && entry.reason.contains("check 3 of 3"),
        "{}",
        entry.reason
    );
    assert_eq!(entry.limit, "p99 100ms");
}

#[tokio::test]
async fn errors_worse_than_production_roll_back_below_the_limit() {
    let setup = Setup {
        production: Distribution {
            error_rate: 0.05,
            ..Distribution::default()
        },
        challenger: Distribution {
            error_rate: 0.25,
            ..Distribution::default()
        },
        ..Setup::default()
    };
    let policy = json!({"policy": {"min_samples": 100, "comparison": {"tolerate": 100}, "error_rate": {"limit": "60%", "worse_by": "5%"}}});
    let (_, _, entry) = rolled_back(setup, &specification_with(policy)).await;
    assert!(
        entry.reason.contains("against production") && entry.reason.contains("check 2 of 2"),
        "{}",
        entry.reason
    );
    assert_eq!(entry.limit, "5 points worse");
}

#[tokio::test]
async fn a_latency_many_times_productions_rolls_back_below_the_limit() {
    let slow = challenger(Distribution {
        latency_p50_ms: 200.0,
        latency_p99_ms: 300.0,
        ..Distribution::default()
    });
    let policy = json!({"policy": {"min_samples": 100, "comparison": {"tolerate": 100}, "latency_p99": {"limit": "5s", "ratio": 2.0}}});
    let (_, _, entry) = rolled_back(slow, &specification_with(policy)).await;
    assert_eq!(entry.limit, "2 times production");
}

#[tokio::test]
async fn errors_of_callers_that_both_models_see_are_not_the_canarys() {
    let callers = Distribution {
        client_error_rate: 0.3,
        ..Distribution::default()
    };
    let world = World::with(Setup {
        production: callers,
        challenger: callers,
        ..Setup::default()
    })
    .await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn requests_that_only_the_challenger_refuses_roll_back() {
    let refusing = challenger(Distribution {
        client_error_rate: 0.3,
        ..Distribution::default()
    });
    let (_, _, entry) = rolled_back(refusing, &specification()).await;
    assert!(entry.reason.starts_with("4XX errors: "), "{}", entry.reason);
    assert_eq!(entry.limit, "tolerated 1.25");
}

#[tokio::test]
async fn guards_judge_at_full_traffic_too() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world
        .until_phase(&id, shared::domain::state::Phase::Soaking)
        .await;
    let broken = Distribution {
        error_rate: 0.5,
        ..Distribution::default()
    };
    world
        .simulator()
        .set_backend(tests::NEW, simulator::Backend::Distribution(broken));
    world.until_over(&id, Status::RolledBack).await;
}

#[tokio::test]
async fn guards_judge_a_paused_rollout_too() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world
        .until_phase(&id, shared::domain::state::Phase::Baking)
        .await;
    world.order(&id, "pause").await;
    let broken = Distribution {
        error_rate: 0.5,
        ..Distribution::default()
    };
    world
        .simulator()
        .set_backend(tests::NEW, simulator::Backend::Distribution(broken));
    world.until_over(&id, Status::RolledBack).await;
}

#[tokio::test]
async fn a_firing_alarm_rolls_back_at_once() {
    let world = World::new().await;
    world
        .simulator()
        .cloudwatch()
        .set_alarm("checkout-down", "OK");
    let id = world
        .deploy(&specification_with(
            json!({"policy": {"min_samples": 100, "alarms": ["checkout-down"]}}),
        ))
        .await;
    world
        .until_phase(&id, shared::domain::state::Phase::Baking)
        .await;
    world
        .simulator()
        .cloudwatch()
        .set_alarm("checkout-down", "ALARM");
    world.minute().await;
    assert_eq!(
        world.load(&id).await.deployment.state.status,
        Status::RollingBack
    );
    world.until_over(&id, Status::RolledBack).await;
    assert!(
        world
            .entry(&id, Name::RollingBack)
            .await
            .reason
            .contains("checkout-down")
    );
}

/// The raise is committed and its function woken; before that looks, the alarms can't be read any more.
#[tokio::test]
async fn no_committed_raise_is_made_while_the_alarms_cannot_be_read() {
    let world = World::new().await;
    world.simulator().cloudwatch().set_alarm("pager", "OK");
    let policy = json!({"policy": {"min_samples": 100, "alarms": ["pager"]}});
    let id = world.deploy(&specification_with(policy)).await;
    for _ in 0..60 {
        world.pass(SignedDuration::from_mins(1)).await;
        world.stack.tick().await.expect("the tick goes through");
        if world.load(&id).await.deployment.state.phase == Phase::Shifting {
            break;
        }
        world.stack.simulator.run_functions().await;
    }
    let call = "UpdateEndpointWeightsAndCapacities";
    let calls = world.count_calls(call);
    let denied = || FaultKind::Error {
        status: 403,
        code: "AccessDenied".to_owned(),
        message: "not authorized".to_owned(),
    };
    // The tick and the wake after it in the same minute, and then three quarters of an hour.
    for minutes in [0].into_iter().chain([1; 45]) {
        world.disturb(service::CLOUDWATCH, "DescribeAlarms", 1, denied());
        world.pass(SignedDuration::from_mins(minutes)).await;
        world.tick().await;
    }
    let held = world.load(&id).await;
    assert_eq!(held.deployment.state.phase, Phase::Shifting);
    assert!(held.evidence.alarms_unread.is_some());
    assert_eq!(world.count_calls(call), calls, "nobody even tries");
    let told = world.history(&id).await;
    let told = told.iter().filter(|entry| entry.event == Name::Stalled);
    let told: Vec<&str> = told.map(|entry| entry.reason.as_str()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("alarms could not be read"), "{told:?}");
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn the_deadline_rolls_back() {
    // Too little traffic for the first stage's samples, and half an hour to get them.
    let world = World::with(Setup {
        requests_per_minute: 3.0,
        ..Setup::default()
    })
    .await;
    let plan = json!({"stages": [{"weight": 10, "bake": "5m"}, {"weight": 100}], "soak": "5m", "deadline": "30m"});
    let id = world
        .deploy(&specification_with(json!({"plan": plan})))
        .await;
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    assert!(entry.reason.contains("deadline of 30m"), "{}", entry.reason);
    assert_eq!(entry.limit, "30m");
}
