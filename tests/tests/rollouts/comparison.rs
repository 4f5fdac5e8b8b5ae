//! The comparison with production over whole rollouts: through CloudWatch's own statistics, the
//! table and every function.

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::history::Name;
use shared::domain::replay::{Case, Replay, Ruling, Survey};
use shared::domain::state::{Phase, Status};
use shared::wire::trace::{self, Reader};
use simulator::cloudwatch::{Gap, GapKind};
use simulator::{Backend, Distribution};
use tests::{NEW, OLD, Setup, World, specification, specification_with};

/// Guards so wide that only the comparison can speak.
fn wide() -> Value {
    json!({
        "min_samples": 100,
        "error_rate": {"limit": "90%", "worse_by": "90%"},
        "latency_p99": {"limit": "60s", "ratio": 1000.0},
    })
}

fn policy(changes: Value) -> Value {
    let mut policy = wide();
    if let (Some(fields), Value::Object(changes)) = (policy.as_object_mut(), changes) {
        fields.extend(changes);
    }
    specification_with(json!({"policy": policy}))
}

fn failing(error_rate: f64) -> Distribution {
    Distribution {
        error_rate,
        ..Distribution::default()
    }
}

#[tokio::test]
async fn a_small_regression_rolls_back_below_every_limit() {
    let world = World::with(Setup {
        production: failing(0.002),
        challenger: failing(0.04),
        ..Setup::default()
    })
    .await;
    let plan = json!({"stages": [{"weight": 30, "bake": "30m"}, {"weight": 100}], "soak": "5m"});
    let mut specification = policy(json!({}));
    specification["plan"] = plan;
    let id = world.deploy(&specification).await;
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    assert!(
        entry.reason.starts_with("5XX errors: canary "),
        "{}",
        entry.reason
    );
    assert!(
        entry.reason.contains("odds against luck about"),
        "{}",
        entry.reason
    );

    // The same sentence in the checks, the deployment and the history.
    let (_, checks) = world
        .get(&format!("/deployments/{id}/checks?limit=1"))
        .await;
    let last = &checks["items"][0];
    assert_eq!(last["verdict"], "unhealthy");
    assert_eq!(last["sentence"], json!(entry.reason));
    assert_eq!(last["signals"]["errors"]["sentence"], json!(entry.reason));
    let (_, view) = world.get(&format!("/deployments/{id}")).await;
    assert_eq!(
        view["measured"]["signals"]["errors"]["sentence"],
        json!(entry.reason)
    );
}

#[tokio::test]
async fn a_model_somewhat_slower_rolls_back() {
    let world = World::with(Setup {
        challenger: Distribution {
            latency_p50_ms: Distribution::default().latency_p50_ms * 1.6,
            latency_p99_ms: Distribution::default().latency_p99_ms * 1.6,
            ..Distribution::default()
        },
        ..Setup::default()
    })
    .await;
    let plan = json!({"stages": [{"weight": 30, "bake": "30m"}, {"weight": 100}], "soak": "5m"});
    let mut specification = policy(json!({}));
    specification["plan"] = plan;
    let id = world.deploy(&specification).await;
    let loaded = world.load(&id).await;
    let limit = loaded
        .deployment
        .terms
        .baseline
        .slow_over
        .expect("ten minutes of traffic");
    let (_, p99) = loaded
        .deployment
        .terms
        .baseline
        .latency_ms
        .expect("and of latencies");
    assert!(
        (p99..p99 * 1.02).contains(&limit.ms()),
        "production's own p99: {limit} of {p99}"
    );
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    assert!(
        entry.reason.starts_with("slow requests: canary "),
        "{}",
        entry.reason
    );
}

#[tokio::test]
async fn a_medium_signal_steps_back_and_in_the_end_rolls_back() {
    let world = World::with(Setup {
        production: failing(0.002),
        challenger: failing(0.002),
        ..Setup::default()
    })
    .await;
    let specification = policy(json!({"comparison": {"errors": {"severity": "medium"}}}));
    let id = world.deploy(&specification).await;
    world
        .until(&id, 60, |loaded| {
            loaded.deployment.state.weight.percent() == 50
                && loaded.deployment.state.phase == Phase::Baking
        })
        .await;
    world
        .simulator()
        .set_backend(NEW, Backend::Distribution(failing(0.2)));
    let back = world
        .until(&id, 30, |loaded| loaded.deployment.state.step_backs == 1)
        .await;
    assert_eq!(back.deployment.state.target.percent(), 10);
    let entry = world.entry(&id, Name::Retreating).await;
    assert!(
        entry.reason.ends_with("back to 10 % to bake again"),
        "{}",
        entry.reason
    );
    // Still as bad in the first stage, below which there is none.
    world.until_over(&id, Status::RolledBack).await;
}

#[tokio::test]
async fn a_low_signal_is_told_and_completes() {
    let world = World::with(Setup {
        production: failing(0.002),
        challenger: failing(0.1),
        ..Setup::default()
    })
    .await;
    let specification = policy(json!({"comparison": {"errors": {"severity": "low"}}}));
    let id = world.deploy(&specification).await;
    world.until_over(&id, Status::Completed).await;
    let told = world.history(&id).await;
    let told: Vec<_> = told
        .iter()
        .filter(|entry| entry.event == Name::Breached)
        .collect();
    assert_eq!(told.len(), 1, "{told:#?}");
}

#[tokio::test]
async fn an_incident_of_both_models_is_waited_out() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    for model in [OLD, NEW] {
        world
            .simulator()
            .set_backend(model, Backend::Distribution(failing(0.03)));
    }
    world.minutes(12).await;
    let state = world.load(&id).await.deployment.state;
    assert_eq!(
        (state.status, state.weight.percent()),
        (Status::InProgress, 10),
        "{}",
        state.reason
    );
    for model in [OLD, NEW] {
        world
            .simulator()
            .set_backend(model, Backend::Distribution(Distribution::default()));
    }
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_policy_that_production_breaks_today_is_refused_with_its_figures() {
    let world = World::with(Setup {
        production: failing(0.05),
        challenger: failing(0.05),
        ..Setup::default()
    })
    .await;
    let (status, problem) = world.post("/deploy", &specification()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("error_rate.limit") && detail.contains("accept_baseline"),
        "{detail}"
    );
    assert!(
        problem["type"]
            .as_str()
            .is_some_and(|kind| kind.ends_with("baseline-breaks-policy"))
    );
    let (status, _) = world.post("/plan", &specification()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);

    // Accepted as it is: what production breaks is muted, and the comparison judges.
    let accepting =
        specification_with(json!({"policy": {"min_samples": 100, "accept_baseline": true}}));
    let (status, plan) = world.post("/plan", &accepting).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    assert!(
        plan["warnings"]
            .to_string()
            .contains("error_rate.limit is muted"),
        "{plan}"
    );
    let id = world.deploy(&accepting).await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_plan_says_what_its_stages_prove() {
    let world = World::with(Setup {
        production: failing(0.002),
        ..Setup::default()
    })
    .await;
    let (status, plan) = world.post("/plan", &specification()).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    let rate = plan["requests_per_minute"].as_f64().unwrap_or_default();
    assert!((900.0..1100.0).contains(&rate), "{rate}");
    let first = &plan["stages"][0];
    let requests = first["canary_requests"].as_f64().unwrap_or_default();
    assert!((requests - rate * 0.1 * 5.0).abs() <= 0.5, "{requests}");
    let errors = &first["catches"]["errors"];
    let (caught, base) = (
        errors["rate"].as_f64().unwrap_or(0.0),
        errors["production_rate"].as_f64().unwrap_or(1.0),
    );
    assert!(
        (0.001..0.004).contains(&base) && (0.01..0.3).contains(&caught),
        "{errors}"
    );
    assert!(
        first["catches"]["slowness"]["slowdown"]
            .as_f64()
            .is_some_and(|factor| factor > 1.0),
        "{first}"
    );
    assert!(
        plan["stages"][2].get("catches").is_none(),
        "at 100 % there is nothing to compare with"
    );
    assert!(
        plan["warnings"]
            .to_string()
            .contains("is short for its traffic"),
        "{plan}"
    );
}

#[tokio::test]
async fn a_further_check_of_the_specification_judges() {
    let world = World::new().await;
    // 4XX once more, but as a check of the user's own: what counts is that any metric can.
    let check = |severity: &str| {
        json!({
            "name": "refusals",
            "bad": {"namespace": "AWS/SageMaker", "metric": "Invocation4XXErrors", "stat": "Sum", "dimensions": {"EndpointName": "{endpoint}", "VariantName": "{variant}"}},
            "of": {"namespace": "AWS/SageMaker", "metric": "Invocations"},
            "severity": severity,
        })
    };
    world.simulator().set_backend(
        NEW,
        Backend::Distribution(Distribution {
            client_error_rate: 0.3,
            ..Distribution::default()
        }),
    );
    let specification = policy(json!({
        "comparison": {"client_errors": {"muted": true}},
        "checks": [check("high")],
    }));
    let id = world.deploy(&specification).await;
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    assert!(
        entry.reason.starts_with("refusals: canary "),
        "{}",
        entry.reason
    );
}

#[tokio::test]
async fn an_exported_trace_holds_the_past_and_every_judged_minute() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
    let (status, csv) = world
        .get(&format!("/deployments/{id}/checks?format=csv"))
        .await;
    assert_eq!(status, StatusCode::OK);
    let csv = csv.as_str().expect("a text");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("minute,signal,variant,n,x"));
    let first: Vec<&str> = lines.next().expect("a row").split(',').collect();
    assert_eq!(first[2], "production", "the past comes first");
    let canary = csv
        .lines()
        .filter(|line| line.contains(",errors,canary,"))
        .count();
    let loaded = world.load(&id).await;
    let judged = &loaded.evidence.signals["errors"];
    assert!(canary as u64 >= judged.comparison.minutes(), "{canary}");
    let (status, _) = world
        .get(&format!("/deployments/{id}/checks?format=csv&limit=3"))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn an_exported_trace_is_judged_as_the_rollout_was() {
    let world = World::with(Setup {
        production: failing(0.002),
        challenger: failing(0.04),
        ..Setup::default()
    })
    .await;
    let plan = json!({"stages": [{"weight": 30, "bake": "30m"}, {"weight": 100}], "soak": "5m"});
    let mut specification = policy(json!({}));
    specification["plan"] = plan;
    let id = world.deploy(&specification).await;
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    let (_, csv) = world
        .get(&format!("/deployments/{id}/checks?format=csv"))
        .await;
    let csv = csv.as_str().expect("a text");
    let terms = world.load(&id).await.deployment.terms;
    let read =
        || Reader::new(csv.as_bytes(), trace::built_in()).map(|row| row.expect("a sound trace"));
    let mut survey = Survey::default();
    read().for_each(|row| survey.take_in(&row));
    let case = Case::new(&terms.policy, &terms.plan, &survey).expect("a trace of this policy");
    let mut replay = Replay::new(&case);
    for row in read() {
        replay.take_in(&row);
    }
    let outcome = replay.outcome();
    assert_eq!(outcome.ruling, Ruling::Rollback);
    assert_eq!(
        outcome.sentence, entry.reason,
        "the same minute, counts and evidence"
    );
}

#[tokio::test]
async fn nothing_is_accepted_while_productions_past_cannot_be_read() {
    let world = World::new().await;
    world.simulator().cloudwatch().set_gap(Gap {
        namespace: "AWS/SageMaker".to_owned(),
        from: world.now() - SignedDuration::from_mins(60),
        to: world.now() + SignedDuration::from_mins(60),
        kind: GapKind::Partial,
    });
    for route in ["/deploy", "/plan"] {
        let (status, problem) = world.post(route, &specification()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    }
    let (_, list) = world.get("/deployments").await;
    assert_eq!(list["items"], json!([]));
}
