//! What the local mode can do and no deployed stack: disturb its models and its AWS, look now, begin again.
//!
//! The routes lie under `/local/` on the API's port. They are made here and nowhere else, so that a deployed
//! API neither has nor documents them, and they are behind the same guard as the rest: requests of this machine
//! alone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::wire::api::{DeploymentView, ListView};
use shared::wire::problem::{MEDIA_TYPE, Problem};
use tower::ServiceExt as _;

use super::faults::{AwsFault, Faults, ModelFault};
use super::house::House;
use crate::stage::{CHALLENGER, Stage, StageError};
use crate::verbs::chain;

/// The controls, before everything that the stage itself serves.
pub(crate) fn routes(house: Arc<House>) -> Router {
    let behind = house.clone();
    Router::new()
        .route("/local/tick", post(tick))
        .route("/local/fault", get(faults).post(fault).delete(clear))
        .route("/local/reset", post(reset))
        .with_state(house)
        .fallback(async move |request: Request| {
            let routes = behind.stage().router.clone();
            match routes.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
}

/// What is refused, as the API would put it.
struct Refused(Box<Problem>);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<StageError> for Refused {
    fn from(error: StageError) -> Self {
        Problem::new(500, "local-mode-failed", chain(&error)).into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], self.0.body()).into_response()
    }
}

type At = State<Arc<House>>;

/// One pass of the control loop, without waiting for the minute.
async fn tick(State(house): At) -> Result<Response, Refused> {
    let ticked = house.stage().stack.tick().await;
    let report = ticked.map_err(|error| Problem::new(503, "tick-failed", chain(&error)))?;
    Ok(Json(report).into_response())
}

async fn reset(State(house): At) -> Result<Json<Value>, Refused> {
    house.reset().await?;
    Ok(Json(json!({"status": "ok"})))
}

async fn faults(State(house): At) -> Json<Faults> {
    Json(in_force(&house.stage()))
}

async fn clear(State(house): At) -> Json<Faults> {
    let stage = house.stage();
    stage.stack.simulator.undisturb();
    Json(in_force(&stage))
}

/// One more; of a model that is disturbed already what is said now is added to what was said before.
async fn fault(State(house): At, body: Bytes) -> Result<Json<Faults>, Refused> {
    let stage = house.stage();
    let document: Value = serde_json::from_slice(&body).map_err(|error| {
        Problem::new(
            400,
            "invalid-json",
            format!("the body is not a JSON object: {error}"),
        )
    })?;
    if !document.is_object() {
        return Err(Problem::new(400, "invalid-json", "the body is not a JSON object").into());
    }
    if document.get("service").is_some() {
        let fault: AwsFault = read(document)?;
        if let Some((field, why)) = fault.unfit() {
            return Err(unfit(field, why).into());
        }
        stage.stack.simulator.inject(fault.injected());
    } else {
        disturb(&stage, read(document)?).await?;
    }
    Ok(Json(in_force(&stage)))
}

async fn disturb(stage: &Stage, fault: ModelFault) -> Result<(), Refused> {
    if let Some((field, why)) = fault.unfit() {
        return Err(unfit(field, why).into());
    }
    let model = match &fault.model {
        Some(model) => model.clone(),
        None => being_deployed(stage).await?,
    };
    let simulator = &stage.stack.simulator;
    let now = simulator.clock().now();
    let in_force = simulator.disturbances();
    let before = in_force.into_iter().find(|(name, _)| *name == model);
    let before = before.map_or_else(Default::default, |(_, before)| before);
    if !simulator.disturb(&model, fault.over(before, now)) {
        let detail =
            format!("there is no model {model} in the simulated account; name one with `model`");
        return Err(Problem::new(404, "model-not-found", detail)
            .field("model")
            .into());
    }
    Ok(())
}

/// The model of the deployment that is under way, and the built-in challenger where none is.
async fn being_deployed(stage: &Stage) -> Result<String, Refused> {
    let page: ListView<DeploymentView> = stage
        .ask(Method::GET, "/deployments?limit=100", None)
        .await?;
    let under_way = page
        .items
        .into_iter()
        .filter(|view| !view.status.is_terminal());
    let mut models: Vec<String> = under_way.map(|view| view.model).collect();
    models.sort_unstable();
    models.dedup();
    match models.as_slice() {
        [] => Ok(CHALLENGER.to_owned()),
        [model] => Ok(model.clone()),
        several => {
            let why = format!(
                "several models are being deployed; name one of {}",
                several.join(", ")
            );
            Err(unfit("model", why).into())
        }
    }
}

fn in_force(stage: &Stage) -> Faults {
    let simulator = &stage.stack.simulator;
    Faults::of(simulator.disturbances(), simulator.faults())
}

fn read<T: DeserializeOwned>(document: Value) -> Result<T, Refused> {
    serde_json::from_value(document).map_err(|error| unfit("", error.to_string()).into())
}

fn unfit(field: &str, why: impl Into<String>) -> Problem {
    let problem = Problem::new(422, "unfit-fault", why);
    if field.is_empty() {
        problem
    } else {
        problem.field(field)
    }
}
