//! What the model says about itself, over whole rollouts: predictions through `inference`, labels through
//! `POST /feedback`, figures out of the functions' log, and the same engine over them.
//!
//! Routing is sticky, so that a test can choose who is answered by the canary; bulk traffic beside it goes
//! by the weights.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::app::ports::Loaded;
use shared::domain::history::Name;
use shared::domain::routing::Sticky;
use shared::domain::state::{Phase, Status};
use shared::wire::report::series::ShareOf;
use shared::wire::report::{Report, page};
use simulator::{Backend, Distribution};
use tests::{ENDPOINT, NEW, OLD, Setup, World, specification_with};

/// The canary's share in these tests, in percent.
const SHARE: u8 = 10;

/// The answer to a body whose instances are a score and a group, as this makes of the two.
fn answer(body: &[u8], score: impl Fn(f64, f64) -> f64) -> Vec<u8> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let instances = body["instances"].as_array().cloned().unwrap_or_default();
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let scores = instances
        .iter()
        .map(|instance| score(number(&instance[0]), number(&instance[1])));
    let scores: Vec<Value> = scores.map(|score| json!({"score": score})).collect();
    json!({"predictions": scores}).to_string().into_bytes()
}

/// Scores as they should be.
fn sound(body: &[u8]) -> Vec<u8> {
    answer(body, |score, _| score)
}

/// As sound, and in another form.
fn renamed(body: &[u8]) -> Vec<u8> {
    let sound = String::from_utf8(sound(body)).expect("JSON is text");
    sound.replace("\"score\"", "\"prob\"").into_bytes()
}

/// Says yes to everybody.
fn eager(body: &[u8]) -> Vec<u8> {
    answer(body, |_, _| 0.95)
}

/// Says no to one of two groups.
fn unfair(body: &[u8]) -> Vec<u8> {
    answer(body, |score, group| if group > 0.5 { 0.1 } else { score })
}

async fn world(challenger: fn(&[u8]) -> Vec<u8>) -> World {
    let world = World::with(Setup::default()).await;
    let models = [(OLD, sound as fn(&[u8]) -> Vec<u8>), (NEW, challenger)];
    for (model, answer) in models {
        let like = Distribution::default();
        world
            .simulator()
            .set_backend(model, Backend::Function { answer, like });
    }
    world
}

async fn report(world: &World, id: &str) -> Report {
    let path = format!("/deployments/{id}/report");
    let accept = [("accept", "application/json")];
    let (status, answer) = world.request(Method::GET, &path, &accept, Vec::new()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    serde_json::from_value(answer).expect("a report")
}

/// Guards so wide that only the model's own figures can speak, and these.
fn specification(policy: Value, bake: &str) -> Value {
    let mut whole = json!({
        "min_samples": 100,
        "error_rate": {"limit": "90%", "worse_by": "90%"},
        "latency_p99": {"limit": "60s", "ratio": 1000.0},
    });
    if let (Some(fields), Value::Object(policy)) = (whole.as_object_mut(), policy) {
        fields.extend(policy);
    }
    specification_with(json!({
        "policy": whole,
        "plan": {"stages": [{"weight": SHARE, "bake": bake}, {"weight": 100}], "soak": "5m"},
        "routing": {"sticky": "user_id"},
        "model_signals": {
            "score": "/score",
            "group": {"attribute": "region", "labels": ["north", "south"]},
        },
    }))
}

/// Users, and the group of each.
struct Crowd(Vec<(String, &'static str)>);

impl Crowd {
    /// So many of the canary's users and as many of production's, in these regions by turns.
    fn of(each: usize, regions: &[&'static str]) -> Self {
        let sticky = Sticky {
            model_name: ENDPOINT.to_owned(),
            salt: None,
        };
        let side = |of_canary: bool| {
            let named = (0..).map(|user| format!("user-{user}"));
            let own = named.filter(move |user| (sticky.bucket(user) < SHARE) == of_canary);
            // Every second prediction should be positive, in each region alike.
            let regions = regions.iter().flat_map(|region| [*region; 2]).cycle();
            own.take(each).zip(regions).collect::<Vec<_>>()
        };
        Self([side.clone()(true), side(false)].concat())
    }

    /// Each of them asks once; the labels say what the answers should have been.
    async fn ask(&self, world: &World) -> Vec<Value> {
        let mut labels = Vec::new();
        for (at, (user, region)) in self.0.iter().enumerate() {
            let actual = at % 2 == 0;
            let score = if actual { 0.8 } else { 0.2 };
            let body = json!({
                "endpoint": ENDPOINT, "user_id": user,
                "features": [score, f64::from(u8::from(*region == "south"))],
                "attributes": {"region": region},
            });
            let (status, answer) = world.post("/inference", &body).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            labels.push(json!({"inference_id": answer["inference_id"], "actual": actual}));
        }
        labels
    }

    /// A minute in which each of them asks once, and learns what the answer should have been, or not.
    async fn minute(&self, world: &World, learns: bool) {
        let labels = self.ask(world).await;
        if learns {
            learn(world, &labels).await;
        }
        world.minute().await;
    }

    /// Such minutes until the deployment satisfies this.
    async fn until(
        &self,
        world: &World,
        id: &str,
        (minutes, learns): (usize, bool),
        reached: impl Fn(&Loaded) -> bool,
    ) -> Loaded {
        let minute = async || self.minute(world, learns).await;
        world.until_with(id, minutes, reached, minute).await
    }
}

/// Sends labels, all of which have to count.
async fn learn(world: &World, labels: &[Value]) {
    let (_, answer) = world.post("/feedback", &json!({"items": labels})).await;
    assert_eq!(answer["counted"], labels.len(), "{answer}");
}

/// A deployment at its first share.
async fn deploy(world: &World, specification: &Value) -> String {
    let id = world.deploy(specification).await;
    world.until_phase(&id, Phase::Baking).await;
    world.pass(jiff::SignedDuration::from_secs(6)).await;
    id
}

fn phase(loaded: &Loaded) -> Phase {
    loaded.deployment.state.phase
}

#[tokio::test]
async fn accuracy_below_its_limit_rolls_back_and_says_so() {
    let world = world(eager).await;
    let policy = json!({"accuracy": {"limit": "85%", "compare": false}});
    let id = deploy(&world, &specification(policy, "3h")).await;
    let crowd = Crowd::of(24, &["north", "south"]);
    let is_over = |loaded: &Loaded| loaded.deployment.state.status == Status::RollingBack;
    crowd.until(&world, &id, (30, true), is_over).await;
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    assert!(
        entry
            .reason
            .starts_with("wrong predictions among the labelled (1 - accuracy)"),
        "{}",
        entry.reason
    );
    assert!(entry.reason.contains("limit 15%"), "{}", entry.reason);
    let (_, view) = world.get(&format!("/deployments/{id}")).await;
    // With a word on why there is no histogram.
    let report = report(&world, &id).await;
    assert!(report.series.scores.is_none() && page(&report).contains("`policy.drift`"));
    let rate = view["measured"]["signals"]["accuracy"]["canary_rate"].as_f64();
    // It is compared with nothing, and so has no rate beside production's.
    let is_half = |rate: f64| (0.4..0.6).contains(&rate);
    assert!(rate.is_none_or(is_half), "{rate:?}");
}

#[tokio::test]
async fn labels_that_come_when_nobody_asks_any_more_take_the_canary_back() {
    let world = world(eager).await;
    let policy = json!({"accuracy": {"limit": "85%", "compare": false}});
    let mut specification = specification(policy, "3h");
    specification["plan"]["stages"][0]["min_labels"] = json!(30);
    let id = deploy(&world, &specification).await;
    let crowd = Crowd::of(24, &["north", "south"]);
    let mut batches = Vec::new();
    for _ in 0..8 {
        batches.push(crowd.ask(&world).await);
        world.minute().await;
    }
    world.simulator().set_traffic(ENDPOINT, 0.0);
    world.minutes(6).await;
    let before = world.load(&id).await;
    assert_eq!(before.deployment.state.status, Status::InProgress);
    assert!(!before.evidence.signals.contains_key("accuracy"));

    let mut now = before.clone();
    for batch in &batches {
        learn(&world, batch).await;
        world.minute().await;
        now = world.load(&id).await;
        if now.deployment.state.status != Status::InProgress {
            break;
        }
    }
    assert!(now.evidence.signals.contains_key("accuracy"));
    assert_eq!(
        now.evidence.canary, before.evidence.canary,
        "no label is a request"
    );
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    let reason = &entry.reason;
    assert!(
        reason.starts_with("wrong predictions among the labelled (1 - accuracy)"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_canary_less_accurate_than_production_rolls_back_without_any_limit() {
    let world = world(eager).await;
    let id = deploy(&world, &specification(json!({"accuracy": {}}), "3h")).await;
    let crowd = Crowd::of(24, &["north", "south"]);
    let is_over = |loaded: &Loaded| loaded.deployment.state.status == Status::RollingBack;
    let loaded = crowd.until(&world, &id, (30, true), is_over).await;
    let reason = &loaded.deployment.state.reason;
    assert!(
        reason.contains("production 0.00 %") || reason.contains("production 0.00%"),
        "{reason}"
    );
    let report = report(&world, &id).await;
    let shown = report.series.tracks["accuracy"].shown;
    assert_eq!(shown, ShareOf::Good, "as it is called");
}

#[tokio::test]
async fn labels_of_each_model_that_come_minutes_apart_are_compared() {
    let world = world(eager).await;
    let id = deploy(&world, &specification(json!({"accuracy": {}}), "3h")).await;
    let each = 24;
    let crowd = Crowd::of(each, &["north", "south"]);
    for _ in 0..15 {
        let labels = crowd.ask(&world).await;
        let (of_canary, of_production) = labels.split_at(each);
        for labels in [of_canary, of_production] {
            learn(&world, labels).await;
            world.minute().await;
        }
        if world.load(&id).await.deployment.state.status != Status::InProgress {
            break;
        }
    }
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    assert_eq!(entry.signal.as_deref(), Some("accuracy"));
}

#[tokio::test]
async fn a_stage_waits_for_its_labels_and_a_sound_model_gets_there() {
    let world = world(sound).await;
    let mut specification = specification(json!({"accuracy": {"limit": "85%"}}), "2m");
    specification["plan"]["stages"][0]["min_labels"] = json!(60);
    let id = deploy(&world, &specification).await;
    let crowd = Crowd::of(20, &["north", "south"]);
    for _ in 0..8 {
        crowd.minute(&world, false).await;
    }
    let held = world.load(&id).await;
    assert_eq!(phase(&held), Phase::Holding);
    let reason = &held.deployment.state.reason;
    assert!(
        reason.contains("60 more labelled predictions of the canary"),
        "{reason}"
    );
    crowd
        .until(&world, &id, (12, true), |loaded| {
            loaded.deployment.state.target.percent() == 100
        })
        .await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_canary_that_says_no_to_one_group_rolls_back() {
    let world = world(unfair).await;
    let policy = json!({"fairness": {"demographic_parity": 0.2, "min_samples": 50}});
    let id = deploy(&world, &specification(policy, "3h")).await;
    let crowd = Crowd::of(40, &["north", "south"]);
    let is_over = |loaded: &Loaded| loaded.deployment.state.status == Status::RollingBack;
    let loaded = crowd.until(&world, &id, (40, false), is_over).await;
    let reason = &loaded.deployment.state.reason;
    assert!(
        reason.starts_with("demographic parity difference: canary 0.5"),
        "{reason}"
    );
    let (_, checks) = world
        .get(&format!("/deployments/{id}/checks?limit=1"))
        .await;
    let shown = &checks["items"][0]["fairness"]["demographic_parity"];
    assert_eq!(
        (&shown["finding"], &shown["canary"]["highest"]),
        (&json!("broken"), &json!("north")),
        "{shown}"
    );
}

#[tokio::test]
async fn a_group_too_small_to_tell_is_unknown_and_not_fair() {
    let world = world(sound).await;
    let policy = json!({"fairness": {"disparate_impact": 0.8, "min_samples": 20}});
    let id = deploy(&world, &specification(policy, "2m")).await;
    let crowd = Crowd::of(20, &["north", "west"]);
    for _ in 0..8 {
        crowd.minute(&world, false).await;
    }
    let held = world.load(&id).await;
    assert_eq!(phase(&held), Phase::Holding);
    let reason = &held.deployment.state.reason;
    assert!(
        reason.contains("unknown: group south has 0 of 20 predictions"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_ratio_waits_for_positive_predictions_of_each_group_and_goes_on_with_them() {
    let world = world(sound).await;
    let policy = json!({"fairness": {"disparate_impact": 0.8, "min_samples": 20}});
    let id = deploy(&world, &specification(policy, "2m")).await;
    // Of each group ten of the canary's a minute, and five of them positive.
    let crowd = Crowd::of(20, &["north", "south"]);
    let waits = |loaded: &Loaded| {
        let reason = &loaded.deployment.state.reason;
        reason.contains("of 50 positive predictions")
    };
    let held = crowd.until(&world, &id, (12, false), waits).await;
    assert_eq!(phase(&held), Phase::Holding);
    let goes_on = |loaded: &Loaded| loaded.deployment.state.target.percent() == 100;
    crowd.until(&world, &id, (20, false), goes_on).await;
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_group_that_never_asks_is_waited_for_until_the_deadline_and_named_there() {
    let world = world(sound).await;
    let policy = json!({"fairness": {"disparate_impact": 0.8, "min_samples": 20}});
    let mut specification = specification(policy, "2m");
    specification["plan"]["deadline"] = json!("30m");
    let id = deploy(&world, &specification).await;
    let crowd = Crowd::of(20, &["north", "west"]);
    for _ in 0..4 {
        crowd.minute(&world, false).await;
    }
    world.until_over(&id, Status::RolledBack).await;
    let reason = world.entry(&id, Name::RollingBack).await.reason;
    assert!(
        reason.starts_with(
            "the deadline of 30m passed with the canary at 10 %; holding: disparate impact ratio: "
        ) && reason.contains("group south has 0 of 20 predictions"),
        "{reason}"
    );
}

#[tokio::test]
async fn scores_that_moved_hold_and_are_told_and_take_nothing_back() {
    let world = world(eager).await;
    let id = deploy(&world, &specification(json!({"drift": {}}), "5m")).await;
    let crowd = Crowd::of(30, &["north", "south"]);
    for _ in 0..25 {
        crowd.minute(&world, false).await;
    }
    let held = world.load(&id).await;
    assert_eq!(
        (held.deployment.state.status, phase(&held)),
        (Status::InProgress, Phase::Holding),
        "{}",
        held.deployment.state.reason
    );
    let entry = world.entry(&id, Name::Breached).await;
    assert!(
        entry.reason.contains("population stability index"),
        "{}",
        entry.reason
    );
    let history = world.history(&id).await;
    let told = history.iter().filter(|entry| entry.event == Name::Breached);
    assert_eq!(told.count(), 1, "ten bins are one word to people");

    // The report shows where they lie now: the eager model says 0.95 to everybody.
    let report = report(&world, &id).await;
    let scores = report.series.scores.as_ref().expect("a histogram");
    let (last, others) = scores.canary.split_last().expect("ten bins");
    assert!(
        *last > 100 && others.iter().all(|count| *count == 0),
        "{scores:?}"
    );
    let spread = scores.production.iter().filter(|count| **count > 0);
    assert_eq!(spread.count(), 2, "production says two things: {scores:?}");
    assert!(page(&report).contains("Scores of the predictions"));
}

#[tokio::test]
async fn answers_that_can_not_be_read_as_productions_can_hold_the_rollout() {
    for (policy, reason) in [
        (json!({"accuracy": {"limit": "85%"}}), "could not be read"),
        // What speaks against the canary is said before what it lacks.
        (
            json!({"drift": {}, "unread_predictions": {"muted": true}}),
            "100 more trials of drift",
        ),
    ] {
        let world = world(renamed).await;
        let id = deploy(&world, &specification(policy, "5m")).await;
        let crowd = Crowd::of(20, &["north", "south"]);
        for _ in 0..15 {
            crowd.minute(&world, false).await;
        }
        let state = world.load(&id).await.deployment.state;
        assert_eq!(
            (state.status, state.phase),
            (Status::InProgress, Phase::Holding),
            "{}",
            state.reason
        );
        assert!(state.reason.contains(reason), "{}", state.reason);
    }
}

#[tokio::test]
async fn heavy_users_are_no_fault_of_routing() {
    let world = World::with(Setup {
        requests_per_minute: 0.0,
        ..Setup::default()
    })
    .await;
    let id = deploy(&world, &specification(json!({}), "3h")).await;
    // As many requests of the canary's users as of all others, at a share of a tenth.
    let crowd = Crowd::of(30, &["north"]);
    for _ in 0..20 {
        crowd.minute(&world, false).await;
    }
    let history = world.history(&id).await;
    assert!(
        history.iter().all(|entry| entry.event != Name::Skewed),
        "{history:?}"
    );
    let (_, checks) = world
        .get(&format!("/deployments/{id}/checks?limit=5"))
        .await;
    let last = &checks["items"][0];
    assert_eq!(last["unjudged_split"], Value::Null, "{last}");
    assert_eq!(
        last["canary"]["checks"]["routing.by_name"],
        json!({"n": 30, "x": 30}),
        "{last}"
    );
}
