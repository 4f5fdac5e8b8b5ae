//! Lists with their pages and filters, history, minutes, and the plan of a specification.

use axum::body::Bytes;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use shared::domain::state::{Phase, Status};
use tests::{ENDPOINT, NEW, OLD, World, specification, specification_with};

/// Deploys and cancels at once, so many times; ids, oldest first.
async fn cancelled(world: &World, endpoint: &str, times: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..times {
        let id = world
            .accept(&specification_with(json!({"endpoint": endpoint})))
            .await;
        world.order(&id, "cancel").await;
        world.until_over(&id, Status::Cancelled).await;
        ids.push(id);
    }
    ids
}

/// Follows the pages of a list.
async fn pages(world: &World, path: &str, limit: usize) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let from = cursor.map_or(String::new(), |cursor| {
            format!("&cursor={}", encoded(&cursor))
        });
        let (status, answer) = world
            .get(&format!("{path}{joint}limit={limit}{from}"))
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        pages.push(answer["items"].as_array().expect("items").clone());
        cursor = answer["cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return pages;
        }
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded + &char::from(byte).to_string()
        } else {
            format!("{encoded}%{byte:02X}")
        }
    })
}

fn ids(items: &[Value]) -> Vec<String> {
    items
        .iter()
        .map(|item| item["deployment_id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn lists_come_newest_first_in_pages() {
    let world = World::new().await;
    let mut expected = cancelled(&world, ENDPOINT, 5).await;
    expected.reverse();
    for path in [
        "/deployments".to_owned(),
        format!("/deployments?endpoint={ENDPOINT}"),
        "/deployments?status=CANCELLED".to_owned(),
    ] {
        let found = pages(&world, &path, 2).await;
        assert_eq!(
            found.iter().map(Vec::len).collect::<Vec<_>>(),
            [2, 2, 1],
            "{path}"
        );
        assert_eq!(ids(&found.concat()), expected, "{path}");
    }
}

#[tokio::test]
async fn lists_are_filtered() {
    let world = World::new().await;
    world.add_endpoint("fraud").await;
    let wine = cancelled(&world, ENDPOINT, 1).await;
    let fraud = cancelled(&world, "fraud", 2).await;
    let active = world.deploy(&specification()).await;
    let list = async |query: &str| {
        ids(world.get(&format!("/deployments?{query}")).await.1["items"]
            .as_array()
            .expect("items"))
    };
    assert_eq!(
        list("endpoint=fraud").await,
        [fraud[1].clone(), fraud[0].clone()]
    );
    assert_eq!(
        list(&format!("endpoint={ENDPOINT}&status=CANCELLED")).await,
        wine
    );
    assert_eq!(list("status=PENDING").await, [active]);
    assert_eq!(list("status=COMPLETED").await, Vec::<String>::new());
    assert_eq!(list("endpoint=nobody").await, Vec::<String>::new());
}

#[tokio::test]
async fn lists_go_over_the_turn_of_a_month() {
    let world = World::new().await;
    let mut expected = cancelled(&world, ENDPOINT, 1).await;
    world.simulator().set_traffic(ENDPOINT, 0.0);
    world.pass(jiff::SignedDuration::from_hours(24 * 33)).await;
    expected.splice(0..0, cancelled(&world, ENDPOINT, 1).await);
    assert_eq!(
        ids(&pages(&world, "/deployments", 1).await.concat()),
        expected
    );
    assert_eq!(
        ids(&pages(&world, "/deployments", 20).await.concat()),
        expected
    );
}

#[tokio::test]
async fn parameters_that_are_none_are_refused() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let checks = format!("/deployments/{id}/checks");
    for (path, field) in [
        ("/deployments?limit=0", "limit"),
        ("/deployments?limit=101", "limit"),
        ("/deployments?limit=many", "limit"),
        ("/deployments?status=pending", "status"),
        ("/deployments?stauts=PENDING", "stauts"),
        (&format!("{checks}?limit=1001"), "limit"),
        (&format!("{checks}?since=yesterday"), "since"),
    ] {
        let (status, problem) = world.get(path).await;
        assert_eq!(
            (status.as_u16(), problem["type"].as_str()),
            (422, Some("urn:sagemaker-canary:problem:invalid-parameter")),
            "{path}: {problem}"
        );
        assert_eq!(problem["field"].as_str(), Some(field), "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_deployment_is_flat_json_with_links_that_lead_somewhere() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.minutes(4).await;
    let (_, shown) = world.get(&format!("/deployments/{id}")).await;
    assert_eq!(
        (
            shown["deployment_id"].as_str(),
            shown["status"].as_str(),
            shown["phase"].as_str()
        ),
        (Some(id.as_str()), Some("IN_PROGRESS"), Some("Baking"))
    );
    assert_eq!(
        (
            shown["weight"].as_u64(),
            shown["stage"].as_u64(),
            shown["stage_count"].as_u64()
        ),
        (Some(10), Some(1), Some(3))
    );
    assert_eq!(
        (
            shown["model"].as_str(),
            shown["former_model"].as_str(),
            shown["created_by"].as_str()
        ),
        (Some(NEW), Some(OLD), Some("local"))
    );
    assert!(
        shown["measured"]["canary"]["invocations"]
            .as_u64()
            .is_some_and(|requests| requests > 50),
        "{}",
        shown["measured"]
    );
    assert!(shown["expected_end"].as_str().is_some());
    for link in ["self", "history", "checks"] {
        assert_eq!(
            world
                .get(shown["links"][link].as_str().expect("a path"))
                .await
                .0,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn history_and_minutes_tell_what_happened_and_why() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
    let (_, history) = world.get(&format!("/deployments/{id}/history")).await;
    let events: Vec<&str> = history["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item["event"].as_str())
        .collect();
    assert_eq!(
        (events.first(), events.last()),
        (Some(&"deployment.started"), Some(&"deployment.completed"))
    );
    for item in history["items"].as_array().expect("items") {
        for field in ["reason", "value", "limit", "at", "severity"] {
            assert!(
                item[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field} of {item}"
            );
        }
    }
    let minutes = pages(&world, &format!("/deployments/{id}/checks"), 7)
        .await
        .concat();
    let at: Vec<&str> = minutes
        .iter()
        .filter_map(|minute| minute["minute"].as_str())
        .collect();
    assert!(
        at.windows(2).all(|pair| pair[0] > pair[1]),
        "newest first, each once: {at:?}"
    );
    let busy = minutes
        .iter()
        .find(|minute| {
            minute["canary"]["invocations"]
                .as_u64()
                .is_some_and(|requests| requests > 0)
        })
        .expect("a minute with traffic");
    assert_eq!(busy["verdict"], "healthy");
    assert!(
        busy["guards"]["error_rate.limit"]["sentence"]
            .as_str()
            .is_some_and(|sentence| !sentence.is_empty())
    );
}

#[tokio::test]
async fn a_plan_says_what_would_be_and_does_nothing() {
    let world = World::new().await;
    let (status, plan) = world.post("/plan", &specification()).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    assert_eq!(
        (
            plan["endpoint"].as_str(),
            plan["model"].as_str(),
            plan["former_model"].as_str()
        ),
        (Some(ENDPOINT), Some(NEW), Some(OLD))
    );
    let weights: Vec<u64> = plan["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .filter_map(|stage| stage["weight"].as_u64())
        .collect();
    assert_eq!(
        (
            weights.as_slice(),
            plan["duration"].as_str(),
            plan["extra_instances"].as_u64()
        ),
        ([10, 50, 100].as_slice(), Some("15m"), Some(2))
    );
    assert_eq!(plan["guards"].as_array().map(Vec::len), Some(4));
    // Nobody has said what an instance costs.
    assert_eq!(plan["instance_dollars"], Value::Null);
    assert_eq!(plan["stages"][0]["dollars_per_hour"], Value::Null);
    assert_eq!(world.get("/deployments").await.1["items"], json!([]));
    assert_eq!(world.count_calls("TransactWriteItems"), 0);
}

/// A canary of the type whose price the specification names, on two instances of production's.
#[tokio::test]
async fn a_plan_says_what_the_instances_of_each_stage_cost() {
    let world = World::new().await;
    let mut priced = specification();
    priced["canary"] = json!({"instance_type": "ml.c6i.xlarge"});
    priced["policy"]["cost"] = json!({"prices": {"ml.c6i.large": 0.102, "ml.c6i.xlarge": 0.204}});
    let (status, plan) = world.post("/plan", &priced).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    let stages = plan["stages"].as_array().expect("stages").iter();
    let each: Vec<_> = stages
        .map(|stage| {
            (
                stage["instances"].as_u64(),
                stage["dollars_per_hour"].as_f64(),
            )
        })
        .collect();
    assert_eq!(
        each,
        [
            (Some(1), Some(0.204)),
            (Some(1), Some(0.204)),
            (Some(2), Some(0.408))
        ]
    );
    // Five minutes at 10 %, five at 50 % and five of soak: a third of an hour of one instance.
    let dollars = plan["instance_dollars"].as_f64().expect("dollars");
    assert!((dollars - 0.068).abs() < 1e-9, "{dollars}");
    let need = |kind: &str, instances: u32| json!({"name": format!("{kind} for endpoint usage"), "instance_type": kind, "instances": instances});
    assert_eq!(
        plan["quotas"],
        json!([need("ml.c6i.large", 4), need("ml.c6i.xlarge", 4)])
    );
}

#[tokio::test]
async fn a_plan_says_what_the_models_own_figures_cost_and_which_labels_they_need() {
    let world = World::new().await;
    let mut asking = specification();
    asking["model_signals"] = json!({"score": "/score"});
    asking["policy"]["accuracy"] = json!({"limit": "85%"});
    asking["policy"]["drift"] = json!({});
    let (status, plan) = world.post("/plan", &asking).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    let own = &plan["model_signals"];
    assert_eq!(own["custom_metrics"], 22, "{own}");
    let dollars = |name: &str| own[name].as_f64().expect("dollars");
    assert!(
        dollars("rollout_dollars") < dollars("month_dollars"),
        "{own}"
    );
    // Each request has a line; with users and groups it is longer.
    let bytes = own["log_line_bytes"].as_u64().expect("bytes");
    assert!((300..500).contains(&bytes), "{own}");
    let requests = plan["requests_per_minute"].as_f64().expect("a rate");
    let lines = requests * 43_800.0 * bytes as f64;
    let month = dollars("log_month_dollars");
    assert!(
        requests > 100.0 && (month - lines / 1e9 * 0.5).abs() < 1e-6,
        "{own}"
    );
    assert!(dollars("log_rollout_dollars") < month, "{own}");
    let mut telling = asking.clone();
    telling["routing"] = json!({"sticky": "user_id"});
    telling["model_signals"]["group"] =
        json!({"attribute": "region", "labels": ["north", "south"]});
    let (_, told) = world.post("/plan", &telling).await;
    let longest = told["model_signals"]["log_line_bytes"].as_u64();
    assert!(
        longest.is_some_and(|bytes| (620..700).contains(&bytes)),
        "some 660 bytes, as docs/model.md says: {longest:?}"
    );
    let accuracy = &own["labels"]["accuracy"];
    let labels = |place: &Value| place.as_u64().expect("a number of labels");
    let one_by_one = |arrivals: &Value| labels(&arrivals[0]["minutes"]);
    assert!(
        one_by_one(&accuracy["all_bad"]) < one_by_one(&accuracy["twice"]["caught"]),
        "{accuracy}"
    );
    // They are counted from the deployment on: that there are none yet is no mistake of anybody's, and
    // one sentence says so.
    let warnings = plan["warnings"].as_array().expect("warnings");
    let about_drift = warnings.iter().filter_map(Value::as_str);
    let about_drift: Vec<_> = about_drift.filter(|it| it.contains("drift")).collect();
    assert_eq!(about_drift.len(), 1, "{warnings:?}");
    assert!(
        about_drift[0].contains("at a first deployment"),
        "{warnings:?}"
    );
    let (_, plan) = world.post("/plan", &specification()).await;
    assert_eq!(plan["model_signals"], Value::Null);
}

#[tokio::test]
async fn a_cursor_that_was_never_given_out_is_refused() {
    let world = World::new().await;
    let id = world.accept(&specification()).await;
    let at = "2026-03-02T08:10:00Z";
    let cases = [
        ("/deployments".to_owned(), "x"),
        ("/deployments".to_owned(), ""),
        ("/deployments".to_owned(), at),
        ("/deployments".to_owned(), "2026-03-02T08:10:00Z#x"),
        (
            "/deployments?endpoint=e".to_owned(),
            "CHECK#2026-03-02T08:10:00Z",
        ),
        (format!("/deployments/{id}/checks"), at),
        (format!("/deployments/{id}/checks"), "META"),
        (format!("/deployments/{id}/checks"), "CHECK#"),
        (
            format!("/deployments/{id}/checks"),
            "CHECK#2026-03-02T09:10:00+01:00",
        ),
    ];
    for (path, cursor) in cases {
        let joint = if path.contains('?') { '&' } else { '?' };
        let (status, problem) = world
            .get(&format!("{path}{joint}cursor={}", encoded(cursor)))
            .await;
        assert_eq!(
            (
                status.as_u16(),
                problem["type"].as_str(),
                problem["field"].as_str()
            ),
            (
                422,
                Some("urn:sagemaker-canary:problem:invalid-parameter"),
                Some("cursor")
            ),
            "{path} {cursor}: {problem}"
        );
    }
}

#[tokio::test]
async fn a_record_that_cant_be_read_does_not_hide_the_others() {
    let world = World::new().await;
    let made = cancelled(&world, ENDPOINT, 3).await;
    let key = json!({"pk": {"S": format!("DEP#{}", made[1])}, "sk": {"S": "EVIDENCE"}});
    let delete = json!({"TableName": world.stack.aws.config().table, "Key": key});
    let request = Request::post("http://127.0.0.1/")
        .header("x-amz-target", "DynamoDB_20120810.DeleteItem")
        .header("content-type", "application/x-amz-json-1.0")
        .body(Bytes::from(delete.to_string()))
        .expect("a well-formed request");
    let deleted = world.stack.simulator.handle(request).await;
    assert_eq!(deleted.status(), StatusCode::OK);
    let (status, list) = world.get("/deployments").await;
    assert_eq!(status, StatusCode::OK, "{list}");
    assert_eq!(
        ids(list["items"].as_array().expect("items")),
        [made[2].clone(), made[0].clone()]
    );
}
