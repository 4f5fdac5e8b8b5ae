//! What a business measures, as further checks over whole rollouts: clicks of impressions, and revenue
//! as counts of impressions that brought more than so much. The checks are those of docs/verdict.md.

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::ports::Loaded;
use shared::domain::history::Name;
use shared::domain::judge::floor_minute;
use shared::domain::state::{Phase, Status};
use shared::wire::specification::from_yaml;
use tests::{ENDPOINT, PRODUCTION, World, is_over, specification_with};

/// What one variant's users do with so many impressions in a minute: values of a metric, each so many
/// times.
type Users = fn(u64) -> Vec<(&'static str, f64, u64)>;

/// So many of a thousand.
const fn of(impressions: u64, per_mille: u64) -> u64 {
    impressions * per_mille / 1000
}

fn clicking(impressions: u64, per_mille: u64) -> Vec<(&'static str, f64, u64)> {
    vec![
        ("Impressions", 1.0, impressions),
        ("Clicks", 1.0, of(impressions, per_mille)),
    ]
}

fn paying(impressions: u64, price: f64) -> Vec<(&'static str, f64, u64)> {
    let sales = of(impressions, 100);
    vec![
        ("Revenue", 0.0, impressions - sales),
        ("Revenue", price, sales),
    ]
}

/// The shop behind the endpoint.
struct Shop {
    production: Users,
    canary: Users,
}

impl Shop {
    /// A minute of traffic, of what its users did, and of the control plane.
    async fn minute(&self, world: &World) {
        world.pass(SignedDuration::from_mins(1)).await;
        let at = floor_minute(world.now()) - SignedDuration::from_mins(1);
        let metrics = world.simulator().cloudwatch();
        let seen = metrics.samples((at, at + SignedDuration::from_mins(1)));
        let seen = seen.into_iter();
        let requests = seen.filter(|it| it.metric == "Invocations");
        for minute in requests {
            let (_, variant) = &minute.dimensions[1];
            let impressions: f64 = minute
                .values
                .iter()
                .map(|(value, times)| value * times)
                .sum();
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of requests"
            )]
            let impressions = impressions as u64;
            let users = if variant == PRODUCTION {
                self.production
            } else {
                self.canary
            };
            let dimensions = [
                ("EndpointName", ENDPOINT),
                ("VariantName", variant.as_str()),
            ];
            for (metric, value, times) in users(impressions) {
                metrics.record_repeated("Shop", metric, &dimensions, at, value, times, "None");
            }
        }
        world.tick().await;
    }

    async fn minutes(&self, world: &World, minutes: usize) {
        for _ in 0..minutes {
            self.minute(world).await;
        }
    }

    async fn until(&self, world: &World, id: &str, reached: impl Fn(&Loaded) -> bool) -> Loaded {
        let minute = async || self.minute(world).await;
        world.until_with(id, 150, reached, minute).await
    }
}

/// The checks that docs/verdict.md shows under this name.
fn documented(name: &str) -> Value {
    let text = include_str!("../../../docs/verdict.md");
    let marked = text
        .split(&format!("<!-- checks: {name} -->\n```yaml\n"))
        .nth(1);
    let block = marked.and_then(|rest| rest.split("```").next());
    let yaml = from_yaml(block.expect("an example of that name")).expect("YAML");
    yaml["checks"].clone()
}

/// Nothing can speak but these.
fn specification(checks: &Value, weight: u8, bake: &str) -> Value {
    specification_with(json!({
        "plan": {"stages": [{"weight": weight, "bake": bake}, {"weight": 100}], "soak": "10m"},
        "policy": {
            "min_samples": 100,
            "error_rate": {"limit": "90%", "worse_by": "90%"},
            "latency_p99": {"limit": "60s", "ratio": 1000.0},
            "checks": checks,
        },
    }))
}

fn is_going_back(loaded: &Loaded) -> bool {
    loaded.deployment.state.status == Status::RollingBack
}

#[tokio::test]
async fn a_canary_with_fewer_clicks_is_taken_back() {
    let shop = Shop {
        production: |impressions| clicking(impressions, 30),
        canary: |impressions| clicking(impressions, 10),
    };
    let world = World::new().await;
    shop.minutes(&world, 30).await;
    let id = world
        .deploy(&specification(&documented("clicks"), 30, "2h"))
        .await;
    shop.until(&world, &id, is_going_back).await;
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    assert_eq!(entry.signal.as_deref(), Some("clicks"));
    assert!(
        entry
            .reason
            .starts_with("trials without clicks: canary 99.")
            && entry.reason.contains("times as rare"),
        "{}",
        entry.reason
    );
}

/// For more than an hour before it, so that at 100 % there is a worst hour to hold it against.
#[tokio::test]
async fn a_canary_with_as_many_clicks_completes() {
    let users: Users = |impressions| clicking(impressions, 30);
    let shop = Shop {
        production: users,
        canary: users,
    };
    let world = World::new().await;
    shop.minutes(&world, 65).await;
    let id = world
        .deploy(&specification(&documented("clicks"), 30, "20m"))
        .await;
    let over = shop.until(&world, &id, is_over).await;
    assert_eq!(
        over.deployment.state.status,
        Status::Completed,
        "{}",
        over.deployment.state.reason
    );
    world.until_over(&id, Status::Completed).await;
    let judged = &over.evidence.signals["clicks"].comparison;
    assert!(judged.minutes_compared() > 0 && judged.alone().n() > 0);
}

/// As many sales, each a third of the price: the sum of the money falls, and so does one of the counts.
#[tokio::test]
async fn a_canary_that_sells_as_often_and_cheaper_is_taken_back() {
    let shop = Shop {
        production: |impressions| paying(impressions, 9.0),
        canary: |impressions| paying(impressions, 3.0),
    };
    let world = World::new().await;
    shop.minutes(&world, 30).await;
    let id = world
        .deploy(&specification(&documented("revenue"), 30, "2h"))
        .await;
    shop.until(&world, &id, is_going_back).await;
    world.until_over(&id, Status::RolledBack).await;
    let entry = world.entry(&id, Name::RollingBack).await;
    assert_eq!(
        entry.signal.as_deref(),
        Some("paying_well"),
        "{}",
        entry.reason
    );
}

/// Cents of impressions: more of the one than of the other.
fn money() -> Value {
    json!([{
        "name": "revenue",
        "bad": {"namespace": "Shop", "metric": "Cents"},
        "of": {"namespace": "Shop", "metric": "Impressions"},
        "direction": "lower_is_worse",
        "min_samples": 0,
    }])
}

fn earning(impressions: u64, cents: f64) -> Vec<(&'static str, f64, u64)> {
    vec![
        ("Impressions", 1.0, impressions),
        ("Cents", cents, impressions),
    ]
}

#[tokio::test]
async fn money_that_passes_for_a_count_is_refused_with_its_figures() {
    let users: Users = |impressions| earning(impressions, 7.0);
    let shop = Shop {
        production: users,
        canary: users,
    };
    let world = World::new().await;
    shop.minutes(&world, 10).await;
    let mut asked = specification(&money(), 30, "5m");
    let mut two = documented("clicks").as_array().cloned().unwrap_or_default();
    two.extend(money().as_array().cloned().unwrap_or_default());
    asked["policy"]["checks"] = json!(two);
    for route in ["/plan", "/deploy"] {
        let (status, problem) = world.post(route, &asked).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert!(
            problem["type"]
                .as_str()
                .is_some_and(|kind| kind.ends_with("check-miscounted")),
            "{problem}"
        );
        assert_eq!(problem["field"], "policy.checks[1].bad");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains("revenue count more outcomes than trials")
                && detail.contains("an amount of money is no count"),
            "{detail}"
        );
    }
    // Accepted as it is it judges nothing, and that is said.
    asked["policy"]["accept_baseline"] = json!(true);
    let (status, plan) = world.post("/plan", &asked).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    let warnings = plan["warnings"].to_string();
    assert!(warnings.contains("revenue is muted"), "{warnings}");
    assert!(!warnings.contains("clicks is muted"), "{warnings}");
    // A check that acts on nothing is nobody's trouble.
    asked["policy"]["accept_baseline"] = json!(false);
    asked["policy"]["checks"][1]["muted"] = json!(true);
    let (status, plan) = world.post("/plan", &asked).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
}

/// A canary that is told by other counts than production: without the hold it would be promoted
/// unjudged, for nothing is waited for.
#[tokio::test]
async fn minutes_that_cannot_be_hold_although_no_samples_are_waited_for() {
    let shop = Shop {
        production: |impressions| earning(impressions, 0.0),
        canary: |impressions| earning(impressions, 7.0),
    };
    let world = World::new().await;
    shop.minutes(&world, 10).await;
    let id = world.deploy(&specification(&money(), 30, "5m")).await;
    let held = |loaded: &Loaded| loaded.deployment.state.phase == Phase::Holding;
    shop.until(&world, &id, held).await;
    shop.minutes(&world, 30).await;
    let loaded = world.load(&id).await;
    let state = &loaded.deployment.state;
    assert_eq!((state.phase, state.weight.percent()), (Phase::Holding, 30));
    assert!(
        state
            .reason
            .contains("the check revenue can't be judged: of ")
            && state
                .reason
                .contains("trials of the canary in the minute from "),
        "{}",
        state.reason
    );
    let (_, checks) = world
        .get(&format!("/deployments/{id}/checks?limit=1"))
        .await;
    let last = &checks["items"][0];
    assert_eq!(last["verdict"], "inconclusive");
    let seen = &last["canary"]["miscounted"]["revenue"];
    assert_eq!(
        seen["counted"].as_u64(),
        seen["trials"].as_u64().map(|it| it * 7),
        "{seen}"
    );
    assert_eq!(last["canary"]["checks"]["revenue"], Value::Null);
    // An order does not go past what nobody can read either.
    let (status, _) = world
        .post(&format!("/deployments/{id}/promote"), &json!({}))
        .await;
    assert_eq!(status, StatusCode::CONFLICT);
    // Once its counts are counts, and for an hour, it goes on.
    let sound = Shop {
        canary: |impressions| earning(impressions, 0.0),
        ..shop
    };
    sound.until(&world, &id, is_over).await;
    world.until_over(&id, Status::Completed).await;
}
