//! The dates of stages: what was, and what is to come.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use simulator::{FaultKind, service};
use tests::{World, specification, specification_with};

/// When each stage begins or began, as a document has it.
fn dates(view: &Value) -> Vec<Option<Timestamp>> {
    let stages = view["stages"].as_array().expect("stages");
    let date = |stage: &Value| {
        let at = stage.get("begins_at")?.as_str()?;
        Some(at.parse().expect("a timestamp"))
    };
    stages.iter().map(date).collect()
}

async fn shown(world: &World, id: &str) -> Value {
    let (status, view) = world.get(&format!("/deployments/{id}")).await;
    assert_eq!(status, StatusCode::OK, "{view}");
    view
}

/// When the share of each stage was confirmed.
async fn confirmed(world: &World, id: &str) -> Vec<Option<Timestamp>> {
    let history = world.history(id).await;
    let confirmed = history
        .iter()
        .filter(|entry| matches!(entry.event, Name::Shifted | Name::Soaking));
    confirmed.map(|entry| Some(entry.at)).collect()
}

#[tokio::test]
async fn a_stage_has_its_real_date_once_it_has_begun_and_one_to_come_counts_from_now() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.order(&id, "pause").await;
    world.minutes(40).await;
    let view = shown(&world, &id).await;
    let began = world.entry(&id, Name::Shifted).await.at;
    let now = world.now();
    let later = |minutes| Some(now + SignedDuration::from_mins(minutes));
    assert!(began <= now - SignedDuration::from_mins(40));
    assert_eq!(dates(&view), [Some(began), later(0), later(5)]);
    assert_eq!(view["expected_end"], json!(later(10)));
    world.order(&id, "resume").await;
    let at_half =
        |loaded: &shared::app::ports::Loaded| loaded.deployment.state.weight.percent() == 50;
    world.until(&id, 20, at_half).await;
    let view = shown(&world, &id).await;
    assert_eq!(dates(&view)[..2], confirmed(&world, &id).await);
    assert!(dates(&view)[2] > Some(world.now()));
    // A list reads no history, and says what the record knows.
    let (_, list) = world.get("/deployments").await;
    assert_eq!(dates(&list["items"][0])[0], None);
    assert_eq!(dates(&list["items"][0])[1..], dates(&view)[1..]);
    world.until_over(&id, Status::Completed).await;
    let view = shown(&world, &id).await;
    assert_eq!(dates(&view), confirmed(&world, &id).await);
    assert_eq!(dates(&view).len(), 3);
    assert_eq!(view.get("expected_end"), None);
}

#[tokio::test]
async fn stages_that_were_passed_over_or_never_come_have_no_date() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.order(&id, "promote?full=true").await;
    world.until_phase(&id, Phase::Soaking).await;
    let view = shown(&world, &id).await;
    let confirmed = confirmed(&world, &id).await;
    assert_eq!(dates(&view), [confirmed[0], None, confirmed[1]]);
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.order(&id, "rollback").await;
    let began = Some(world.entry(&id, Name::Shifted).await.at);
    assert_eq!(dates(&shown(&world, &id).await), [began, None, None]);
    world.until_over(&id, Status::RolledBack).await;
    assert_eq!(dates(&shown(&world, &id).await), [began, None, None]);
}

/// The dates are worth less than the answer.
#[tokio::test]
async fn a_history_that_cant_be_read_costs_the_dates_alone() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let at_half =
        |loaded: &shared::app::ports::Loaded| loaded.deployment.state.weight.percent() == 50;
    world.until(&id, 40, at_half).await;
    let denied = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not authorized".to_owned(),
    };
    world.disturb(service::DYNAMODB, "Query", 1, denied);
    let without = dates(&shown(&world, &id).await);
    let with = dates(&shown(&world, &id).await);
    assert_eq!((without[0], &without[1..]), (None, &with[1..]));
    assert!(with.iter().all(Option::is_some), "{with:?}");
}

/// The world begins on a Monday, at ten past eight.
#[tokio::test]
async fn a_plan_has_the_dates_that_a_rollout_with_change_windows_keeps() {
    let world = World::new().await;
    let windows = ["Mon 09:00-09:20 UTC", "Mon 12:00-18:00 UTC"];
    let stages =
        json!([{"weight": 10, "bake": "30m"}, {"weight": 50, "bake": "5m"}, {"weight": 100}]);
    let plan = json!({"stages": stages, "soak": "5m", "change_windows": windows});
    let mut specification = specification_with(json!({"plan": plan}));
    let (_, planned) = world.post("/plan", &specification).await;
    let at = |clock: &str| -> Option<Timestamp> { format!("2026-03-02T{clock}:00Z").parse().ok() };
    assert_eq!(dates(&planned), [at("09:00"), at("12:00"), at("12:05")]);
    assert_eq!(planned["ends_at"], json!(at("12:10")));
    assert_eq!(planned["duration"], "190m");
    let id = world.deploy(&specification).await;
    world.until_over(&id, Status::Completed).await;
    let kept = dates(&shown(&world, &id).await);
    for (kept, planned) in kept.iter().zip(dates(&planned)) {
        let (kept, planned) = (kept.expect("it began"), planned.expect("a date"));
        let late = kept.duration_since(planned).as_mins();
        assert!((0..20).contains(&late), "{planned} became {kept}");
    }
    // A hotfix waits for no window.
    specification["hotfix"] = json!({"reason": "a wrong price"});
    specification["model"] = json!(tests::OLD);
    let (status, planned) = world.post("/plan", &specification).await;
    assert_eq!(status, StatusCode::OK, "{planned}");
    assert_eq!(planned["duration"], "40m");
}
