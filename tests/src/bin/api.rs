//! `cargo xtask schemathesis`: the API over a simulated account, on a port of loopback.
//!
//! Whoever asks finds deployments in several states, and time that goes on by itself: a minute after so
//! many requests, so that the same requests get the same answers. `/under-test.json` is the description
//! with the ids, endpoints and models that there are: without them every request would be about a
//! deployment that does not exist. Nothing else in it differs.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Json};
use serde_json::{Value, json};
use shared::domain::state::Status;
use tests::{ENDPOINT, NEW, World, openapi, specification_with};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// A minute passes after so many requests.
const REQUESTS_PER_MINUTE: usize = 40;

type Tick = oneshot::Sender<()>;

#[derive(Clone)]
struct Turns {
    asked: Arc<AtomicUsize>,
    ticks: mpsc::Sender<Tick>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let world = World::new().await;
    let ids = deployments(&world).await;
    let (ticks, mut due) = mpsc::channel::<Tick>(1);
    let turns = Turns {
        asked: Arc::default(),
        ticks,
    };
    let document = under_test(&ids);
    let router = world
        .stack
        .router()
        .route("/under-test.json", get(async move || Json(document)))
        .layer(middleware::from_fn(take_turns))
        .layer(Extension(turns));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    while let Some(done) = due.recv().await {
        world.minute().await;
        // Whoever asked may have gone.
        let _ = done.send(());
    }
    Ok(())
}

/// Lets a minute pass before every so many requests.
async fn take_turns(Extension(turns): Extension<Turns>, request: Request, next: Next) -> Response {
    let number = turns.asked.fetch_add(1, Ordering::Relaxed) + 1;
    if number.is_multiple_of(REQUESTS_PER_MINUTE) {
        let (done, ticked) = oneshot::channel();
        if turns.ticks.send(done).await.is_ok() {
            drop(ticked.await);
        }
    }
    next.run(request).await
}

/// Deployments in the states that the routes tell apart. The endpoint of the examples stays free.
async fn deployments(world: &World) -> Vec<String> {
    let mut ids = Vec::new();
    for endpoint in ["over", "paused", "waiting", "baking"] {
        world.add_endpoint(endpoint).await;
        let approval = json!([{"weight": 10, "bake": "3m", "approval": endpoint == "waiting"}, {"weight": 100}]);
        let plan = json!({"stages": approval, "soak": "12h", "deadline": "24h"});
        let changes = json!({"endpoint": endpoint, "plan": plan, "cleanup": {"after": "1m"}});
        ids.push(world.deploy(&specification_with(changes)).await);
    }
    world.minutes(8).await;
    world.order(&ids[0], "cancel").await;
    world.order(&ids[1], "pause").await;
    world.until_over(&ids[0], Status::Cancelled).await;
    ids
}

fn under_test(ids: &[String]) -> Value {
    let mut document = openapi::document();
    let unknown = "00000000-0000-7000-8000-000000000000".to_owned();
    let ids: Vec<&String> = ids.iter().chain([&unknown]).collect();
    let id = json!({"type": "string", "enum": ids});
    let paths = document["paths"].as_object_mut().expect("paths");
    let operations = paths
        .values_mut()
        .filter_map(Value::as_object_mut)
        .flat_map(|item| item.values_mut());
    for operation in operations {
        let parameters = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["in"] == "path" {
                parameter["schema"] = id.clone();
            }
        }
    }
    let schemas = &mut document["components"]["schemas"];
    let endpoints = json!([ENDPOINT, "over", "paused", "nowhere"]);
    for name in ["Specification", "InferenceRequest"] {
        schemas[name]["properties"]["endpoint"]["enum"] = endpoints.clone();
    }
    schemas["Specification"]["properties"]["model"]["enum"] = json!([NEW, "no-such-model"]);
    document
}
