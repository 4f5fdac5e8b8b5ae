//! Real answers of the API, to be shown as examples of its description.
//!
//! A rollout is driven over the simulator and asked on its way. What differs from run to run, ids and
//! measured times, is replaced by what stays the same, so that recording anew shows what has changed.

use http::Method;
use serde_json::{Map, Value, json};

use crate::{ENDPOINT, World, specification, specification_with};

/// An id as predictions are answered with.
const SIGNED: &str = "AQcBnK2t4mB4_rW3-RBfjyWYaaVDgAGcra3iYHCBooKkAogc7oACCQx3aW5lLXF1YWxpdHkPY2FuYXJ5LTg4MWNlZTgwBW5vcnRoa_LbSTTQQVRDIc6w82B03g";

/// An id that is always the same.
const ID: &str = "019cad9b-92e0-7c31-9c5f-3d8a5b1e0f42";
/// Rows that make an example long enough.
const ROWS: usize = 2;

/// What is recorded, as text.
///
/// # Panics
/// When the simulator does not play along.
pub fn record() -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let recorded = runtime.block_on(walk());
    let mut text = serde_json::to_string_pretty(&recorded).expect("JSON");
    text.push('\n');
    text
}

async fn walk() -> Value {
    let world = World::new().await;
    let mut answers = Map::new();
    let plan = world.post("/plan", &specification()).await.1;
    let id = world.deploy(&specification()).await;
    world.minutes(8).await;
    let path = format!("/deployments/{id}");
    let mut problems = Map::new();
    for problem in refusals(&world, &id).await {
        let kind = problem["type"]
            .as_str()
            .and_then(|urn| urn.rsplit(':').next());
        problems.insert(kind.expect("a type").to_owned(), problem.clone());
    }
    for (name, path) in [
        ("health", "/health".to_owned()),
        ("getDeployment", path.clone()),
        ("listDeployments", "/deployments".to_owned()),
        ("getHistory", format!("{path}/history")),
        ("getChecks", format!("{path}/checks")),
        ("trace", format!("{path}/checks?format=csv")),
    ] {
        answers.insert(name.to_owned(), short(world.get(&path).await.1));
    }
    let accept = [("accept", "application/json")];
    let way = format!("{path}/report");
    let report = world
        .request(Method::GET, &way, &accept, Vec::new())
        .await
        .1;
    answers.insert("getReport".to_owned(), short_report(report));
    answers.insert("plan".to_owned(), plan);
    let request = json!({"endpoint": ENDPOINT, "features": [7.4, 0.7, 0.0, 1.9]});
    let mut answer = world.post("/inference", &request).await.1;
    answer["latency_ms"] = json!(4.213);
    // Random, and so another one at every record.
    answer["inference_id"] = json!(SIGNED);
    answers.insert("inference".to_owned(), answer);
    let way = format!("/route?endpoint={ENDPOINT}&user=user-1");
    answers.insert("route".to_owned(), world.get(&way).await.1);
    let label = json!({"inference_id": SIGNED, "actual": true});
    let counted = json!({"answers": ["counted"], "counted": 1});
    answers.insert("feedback".to_owned(), counted);
    let reason = "the product launch is over";
    let recorded = json!({
        "answers": answers,
        "problems": problems,
        "requests": {
            "deploy": specification(),
            "plan": specification(),
            "inference": request,
            "feedback": label,
            "command": {"reason": reason},
            "setWeight": {"weight": 25, "reason": reason},
        },
    });
    let text = recorded.to_string().replace(&id, ID);
    let text = text.replace(
        &format!("canary-{}", &id[..8]),
        &format!("canary-{}", &ID[..8]),
    );
    serde_json::from_str(&text).expect("JSON still")
}

/// Requests that are refused, one of each kind.
async fn refusals(world: &World, id: &str) -> Vec<Value> {
    let path = format!("/deployments/{id}");
    let bare = specification_with(json!({"policy": {"error_rate": {"limit": 1}}}));
    let other = "00000000-0000-7000-8000-000000000000";
    let mut problems = vec![
        world.post("/deploy", &specification()).await.1,
        world.post("/deploy", &bare).await.1,
        world.post(&format!("{path}/approve"), &json!({})).await.1,
        world.put_weight(id, 0).await.1,
        world.get(&format!("/deployments/{other}")).await.1,
        world.get("/deployments?limit=0").await.1,
        world
            .post("/inference", &json!({"endpoint": ENDPOINT}))
            .await
            .1,
    ];
    for body in ["{", r#"{"endpoint": "wine", "endpoint": "water"}"#] {
        let answer = world.request(Method::POST, "/plan", &[], body.into()).await;
        problems.push(answer.1);
    }
    problems
}

/// A report of few lines, few points and one signal.
fn short_report(mut report: Value) -> Value {
    let cut = |list: &mut Value| {
        if let Some(items) = list.as_array_mut() {
            items.truncate(ROWS);
        }
    };
    cut(&mut report["timeline"]);
    cut(&mut report["series"]["points"]);
    if let Some(tracks) = report["series"]["tracks"].as_object_mut() {
        tracks.retain(|name, _| name == "errors");
        tracks
            .values_mut()
            .for_each(|track| cut(&mut track["readings"]));
    }
    report
}

/// A list with few rows, a trace with few lines.
fn short(mut answer: Value) -> Value {
    if let Some(items) = answer.get_mut("items").and_then(Value::as_array_mut) {
        items.truncate(ROWS);
    }
    if let Value::String(trace) = &answer {
        let lines = trace.lines().take(7).map(|line| format!("{line}\n"));
        return Value::String(lines.collect());
    }
    answer
}
