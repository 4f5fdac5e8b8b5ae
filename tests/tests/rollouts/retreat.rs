//! The way back: down by steps, a stage back as often as is allowed, and how soon each severity acts.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::app::ports::Loaded;
use shared::domain::history::{Entry, Name};
use shared::domain::policy::Grade;
use shared::domain::state::{Phase, Status};
use simulator::{Backend, Distribution};
use tests::{NEW, OLD, World, bakes_at, specification_with};

const HEALTHY: Distribution = Distribution {
    latency_p50_ms: 20.0,
    latency_p99_ms: 60.0,
    error_rate: 0.0,
    client_error_rate: 0.0,
};

fn errors(error_rate: f64) -> Distribution {
    Distribution {
        error_rate,
        ..HEALTHY
    }
}

/// The limit of errors alone judges, with this severity; everything else is out of the way.
fn judged(severity: &str, rollback: &Value) -> Value {
    let quiet = json!({"muted": true});
    specification_with(json!({
        "policy": {
            "min_samples": 100,
            "error_rate": {"limit": "5%", "worse_by": "90%", "checks": 2, "severity": severity},
            "latency_p99": {"limit": "60s", "ratio": 1000.0},
            "comparison": {"errors": quiet, "client_errors": quiet, "slowness": quiet},
        },
        "rollback": rollback,
    }))
}

fn gradual() -> Value {
    json!({"mode": "gradual", "weights": [25, 10], "every": "10m"})
}

fn turns(world: &World, model: Distribution) {
    world
        .simulator()
        .set_backend(NEW, Backend::Distribution(model));
}

/// A rollout that bakes at 50 %, where the canary turns bad.
async fn bad_at_half(severity: &str, rollback: &Value) -> (World, String) {
    let world = World::new().await;
    let id = world.deploy(&judged(severity, rollback)).await;
    world.until(&id, 60, bakes_at(50)).await;
    turns(&world, errors(0.3));
    (world, id)
}

fn rests_at(percent: u8) -> impl Fn(&Loaded) -> bool {
    move |loaded| {
        let state = &loaded.deployment.state;
        state.weight.percent() == percent && state.rests_on_the_way_down()
    }
}

#[tokio::test]
async fn a_gradual_rollback_goes_down_by_its_steps() {
    let (world, id) = bad_at_half("high", &gradual()).await;
    let canary = world.load(&id).await.deployment.terms.canary;
    let mut begun: Vec<Timestamp> = Vec::new();
    for (percent, next) in [(25, 10), (10, 0)] {
        let rests = world.until(&id, 30, rests_at(percent)).await;
        begun.push(rests.deployment.state.stage_since);
        assert!((world.share(&canary).await - f64::from(percent)).abs() < 0.1);
        let (status, view) = world.get(&format!("/deployments/{id}")).await;
        assert_eq!(
            (status, &view["status"]),
            (StatusCode::OK, &json!("IN_PROGRESS"))
        );
        assert_eq!(view["descent"]["next_weight"], next, "{view}");
        let due: Timestamp = view["descent"]["next_at"]
            .as_str()
            .expect("a date")
            .parse()
            .expect("a time");
        assert_eq!(due.duration_since(begun[begun.len() - 1]).as_secs(), 600);
        assert!(view.get("expected_end").is_none(), "it has none any more");
    }
    assert!(
        begun[1].duration_since(begun[0]).as_secs() >= 600,
        "each step is kept"
    );
    let done = world.until_over(&id, Status::RolledBack).await;
    assert_eq!(done.deployment.state.descent, None);
    let told: Vec<(Name, u8)> = world
        .history(&id)
        .await
        .iter()
        .filter(|entry| matches!(entry.event, Name::Retreating | Name::RollingBack))
        .map(|entry| (entry.event, entry.weight.percent()))
        .collect();
    assert_eq!(
        told,
        [
            (Name::Retreating, 25),
            (Name::Retreating, 10),
            (Name::RollingBack, 0)
        ]
    );
    let why = world.entry(&id, Name::RollingBack).await.reason;
    assert!(
        why.contains("5XX errors of the canary") && why.contains("the last step down is over"),
        "{why}"
    );
}

#[tokio::test]
async fn a_canary_that_recovers_on_the_way_down_goes_up_only_when_told_to() {
    let (world, id) = bad_at_half("high", &gradual()).await;
    world.until(&id, 30, rests_at(25)).await;
    let (status, refusal) = world
        .post(&format!("/deployments/{id}/promote"), &json!({}))
        .await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        refusal["detail"]
            .as_str()
            .expect("a text")
            .contains("resume"),
        "{refusal}"
    );
    turns(&world, HEALTHY);
    world.until(&id, 30, rests_at(10)).await;
    world.minutes(5).await;
    let used = world.load(&id).await.deployment.state.clock;
    assert_eq!(used.running_since, None, "the deadline waits");
    world.order(&id, "resume").await;
    let done = world.until_over(&id, Status::Completed).await;
    assert_eq!(done.deployment.state.descent, None);
}

#[tokio::test]
async fn no_resume_past_a_red_guard_on_the_way_down() {
    let (world, id) = bad_at_half("high", &gradual()).await;
    let red = |loaded: &Loaded| {
        let policy = &loaded.deployment.terms.policy;
        rests_at(25)(loaded) && loaded.evidence.broken_guard(policy).is_some()
    };
    world.until(&id, 30, red).await;
    let (status, refusal) = world
        .post(&format!("/deployments/{id}/resume"), &json!({}))
        .await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        refusal["detail"]
            .as_str()
            .expect("a text")
            .contains("5XX errors"),
        "{refusal}"
    );
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
}

#[tokio::test]
async fn an_alarm_on_the_way_down_takes_everything_back_at_once() {
    let world = World::new().await;
    world.simulator().cloudwatch().set_alarm("pager", "OK");
    let mut given = judged("high", &gradual());
    given["policy"]["alarms"] = json!(["pager"]);
    let id = world.deploy(&given).await;
    world
        .until(&id, 60, |loaded| {
            loaded.deployment.state.weight.percent() == 50
        })
        .await;
    turns(&world, errors(0.3));
    world.until(&id, 30, rests_at(25)).await;
    world.simulator().cloudwatch().set_alarm("pager", "ALARM");
    world.minute().await;
    let state = world.load(&id).await.deployment.state;
    assert_eq!(state.status, Status::RollingBack, "{}", state.reason);
    world.until_over(&id, Status::RolledBack).await;
}

#[tokio::test]
async fn the_specification_says_how_often_a_stage_is_tried_again() {
    for (step_backs, words) in [(0, "allows no step back"), (1, "it went back once already")] {
        let (world, id) = bad_at_half("medium", &json!({"step_backs": step_backs})).await;
        if step_backs == 1 {
            world
                .until(&id, 30, |loaded| loaded.deployment.state.step_backs == 1)
                .await;
            turns(&world, HEALTHY);
            world.until(&id, 60, bakes_at(50)).await;
            turns(&world, errors(0.3));
        }
        world.until_over(&id, Status::RolledBack).await;
        let entry = world.entry(&id, Name::RollingBack).await;
        assert!(entry.reason.contains(words), "{}", entry.reason);
    }
}

/// What one severity set going: the line that says so, when the endpoint was asked to lower the share,
/// and when it had.
async fn reaction(severity: &str, rollback: &Value) -> (Entry, Timestamp, Timestamp) {
    let (world, id) = bad_at_half(severity, rollback).await;
    let before = world.simulator().calls().len();
    let canary = world.load(&id).await.deployment.terms.canary;
    let acts = |loaded: &Loaded| loaded.deployment.state.target.percent() < 50;
    let acted = world.until(&id, 30, acts).await;
    let judged_at = acted.deployment.state.phase_since;
    let history = world.history(&id).await;
    let entry = history.into_iter().find(|entry| entry.at == judged_at);
    let entry = entry.expect("the line of the transition");
    let calls = world.simulator().calls();
    let asked = calls[before..].iter().find(|call| {
        call.operation == "UpdateEndpointWeightsAndCapacities" && call.at >= judged_at
    });
    let asked = asked.expect("the endpoint was asked").at;
    while world.share(&canary).await > 49.0 {
        world.pass(jiff::SignedDuration::from_secs(5)).await;
    }
    (entry, asked, world.now())
}

#[tokio::test]
async fn each_severity_acts_within_its_time() {
    let at_once = json!({"mode": "immediate"});
    let rows = [
        ("critical", &at_once, Name::RollingBack, Grade::Critical, 30),
        (
            "critical",
            &gradual(),
            Name::RollingBack,
            Grade::Critical,
            30,
        ),
        ("high", &at_once, Name::RollingBack, Grade::High, 120),
        ("high", &gradual(), Name::Retreating, Grade::High, 120),
        ("medium", &at_once, Name::Retreating, Grade::Medium, 300),
    ];
    for (severity, rollback, event, grade, within) in rows {
        let (entry, asked, lowered) = reaction(severity, rollback).await;
        assert_eq!(entry.event, event, "{severity}: {}", entry.reason);
        assert_eq!(entry.signal.as_deref(), Some("error_rate.limit"));
        assert_eq!(entry.signal_severity, Some(grade));
        assert_eq!(asked, entry.at, "{severity}: by wake, not by the next tick");
        let took = lowered.duration_since(entry.at).as_secs();
        assert!(took <= within, "{severity} took {took} s");
    }
}

/// Twice production's latency, or 5 % of errors, for five minutes: at once, although the way back goes by
/// steps of an hour and milder breaches may have begun it.
#[tokio::test]
async fn an_emergency_of_the_preset_phased_goes_by_no_steps() {
    let slow = Distribution {
        latency_p50_ms: HEALTHY.latency_p50_ms * 3.0,
        latency_p99_ms: HEALTHY.latency_p99_ms * 3.0,
        ..HEALTHY
    };
    for (model, signal) in [
        (errors(0.1), "error_rate.limit"),
        (slow, "latency_p95.emergency"),
    ] {
        let world = World::new().await;
        world
            .simulator()
            .set_backend(OLD, Backend::Distribution(HEALTHY));
        turns(&world, HEALTHY);
        world.pass(jiff::SignedDuration::from_mins(30)).await;
        let given = specification_with(json!({
            "plan": {"preset": "phased"},
            "policy": {"min_samples": 100},
            "rollback": {"mode": "gradual", "weights": [25, 10], "every": "1h"},
        }));
        let id = world.deploy(&given).await;
        world.until_phase(&id, Phase::Baking).await;
        let (status, answer) = world.put_weight(&id, 50).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        world.stack.simulator.run_functions().await;
        world.until(&id, 30, bakes_at(50)).await;
        turns(&world, model);
        let goes_back = |loaded: &Loaded| loaded.deployment.state.status == Status::RollingBack;
        world.until(&id, 20, goes_back).await;
        let entry = world.entry(&id, Name::RollingBack).await;
        assert_eq!(entry.signal.as_deref(), Some(signal), "{}", entry.reason);
        assert_eq!(entry.signal_severity, Some(Grade::Critical));
        world.until_over(&id, Status::RolledBack).await;
    }
}

/// The presets of which no document asks for more than a rollback at once.
#[tokio::test]
async fn steps_without_anything_critical_are_warned_of() {
    let world = World::new().await;
    for (preset, policy, is_warned) in [
        ("linear", json!({}), true),
        ("quick", json!({}), true),
        (
            "linear",
            json!({"error_rate": {"severity": "critical"}}),
            false,
        ),
        ("phased", json!({}), false),
        ("playbook", json!({}), false),
    ] {
        let mut given = specification_with(json!({
            "plan": {"preset": preset}, "policy": policy, "rollback": gradual(),
        }));
        let words = "no limit is critical";
        let warned = async |given: &Value| {
            let (status, plan) = world.post("/plan", given).await;
            assert_eq!(status, StatusCode::OK, "{plan}");
            plan["warnings"].to_string().contains(words)
        };
        assert_eq!(warned(&given).await, is_warned, "{preset} {policy}");
        given["rollback"] = json!({"mode": "immediate"});
        assert!(!warned(&given).await, "{preset}");
    }
}

#[tokio::test]
async fn what_is_low_is_told_with_its_severity_and_goes_on() {
    let (world, id) = bad_at_half("low", &gradual()).await;
    world.until_over(&id, Status::Completed).await;
    let told: Vec<Entry> = world
        .history(&id)
        .await
        .into_iter()
        .filter(|entry| entry.event == Name::Breached)
        .collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    let published = world.simulator().published();
    let message = published.iter().find(|message| {
        message
            .attributes
            .get("event")
            .is_some_and(|event| event == "signal.breached")
    });
    let attributes = &message.expect("people are told").attributes;
    assert_eq!(attributes["signal"], "error_rate.limit");
    assert_eq!(attributes["signal_severity"], "low");
    let events = world.told_by_events(&id);
    let detail = events
        .iter()
        .find(|told| told.message["event"] == "signal.breached")
        .expect("programs are told");
    assert_eq!(detail.message["signal_severity"], "low");
}
