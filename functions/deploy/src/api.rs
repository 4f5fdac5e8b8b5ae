//! The API, as one router for Lambda and loopback alike.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router, middleware};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::accept::{Accepted, Key, accept};
use shared::app::announce::sweep_for;
use shared::app::authority::Reader;
use shared::app::health;
use shared::app::ports::{Ambient, ListQuery, Loaded, PortError, Store};
use shared::app::propose::plan as proposed;
use shared::aws::Aws;
use shared::aws::figures::prediction_line;
use shared::domain::history::Entry;
use shared::domain::specification::is_name;
use shared::gateway::{self, Asked};
use shared::wire::api::{DeploymentView, ListView, PlanView};
use shared::wire::items::{created_key, is_created_key};
use shared::wire::problem::Problem;
use shared::wire::specification;

use crate::access;
use crate::problems::{Answer, unknown};
use crate::request::{
    BODY_LIMIT, Body, Id, NoParameters, document, given_out, idempotency_key, page_size,
    parameters, status,
};
use crate::site;

/// The commands without a parameter of their own.
pub(crate) const COMMANDS: [&str; 6] = [
    "pause", "resume", "promote", "rollback", "cancel", "approve",
];
/// Deployments on a page, unless the caller says otherwise, and at the most.
pub(crate) const DEPLOYMENTS: usize = 20;
pub(crate) const MOST_DEPLOYMENTS: usize = 100;
/// Minutes on a page, unless the caller says otherwise, and at the most.
pub(crate) const CHECKS: usize = 60;
pub(crate) const MOST_CHECKS: usize = 1000;
mod approval;
mod checks;
mod description;
mod freeze;
mod orders;
mod report;

type Shared = State<Arc<Aws>>;

/// Every route but inference.
pub fn router(aws: Aws) -> Router {
    let aws = Arc::new(aws);
    let mut router = Router::new()
        .route("/health", get(health))
        .route("/openapi.json", get(description::openapi))
        .route("/deploy", post(deploy))
        .route("/plan", post(plan))
        .route("/deployments", get(list))
        .route("/deployments/{id}", get(one))
        .route("/deployments/{id}/history", get(history))
        .route("/deployments/{id}/checks", get(checks::checks))
        .route("/deployments/{id}/report", get(report::report))
        .route("/deployments/{id}/approve", get(approval::page))
        .route("/deployments/{id}/weight", put(orders::weight))
        .route("/deployments/{id}/undo", post(orders::undo))
        .route(
            "/endpoints/{name}/freeze",
            get(freeze::see).put(freeze::freeze).delete(freeze::thaw),
        );
    for name in COMMANDS {
        router = router.route(
            &format!("/deployments/{{id}}/{name}"),
            post(move |aws, asked, id, query, headers, body| {
                orders::command(name, aws, asked, id, query, headers, body)
            }),
        );
    }
    router
        .route_layer(middleware::from_fn_with_state(aws.clone(), gateway::admit))
        .route_layer(middleware::from_fn_with_state(aws.clone(), site::guard))
        .route_layer(middleware::from_fn(approval::explain))
        .fallback(async || {
            Answer::from(Problem::new(
                404,
                "no-such-route",
                "there is no such route; begin at GET /deployments or POST /deploy",
            ))
        })
        .method_not_allowed_fallback(async || {
            Answer::from(Problem::new(
                405,
                "method-not-allowed",
                "this route does not take this method",
            ))
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(aws)
}

async fn health(_: NoParameters) -> Json<Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

async fn deploy(
    State(aws): Shared,
    asked: Asked,
    _: NoParameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Answer> {
    let (given, digest) = document(body)?;
    let specification = specification::parse(&given)?;
    access::to_endpoint(&aws, &asked, &specification.endpoint).await?;
    if specification.hotfix.is_some() {
        access::to_override(&aws, &asked, &specification.endpoint).await?;
    }
    let caller = asked.caller.name();
    let key = idempotency_key(&headers, caller)?.map(|key| Key { key, digest });
    let accepted = accept(&*aws, &specification, &given, caller, key).await?;
    Ok(answered(&aws, &accepted).await)
}

async fn plan(
    State(aws): Shared,
    asked: Asked,
    _: NoParameters,
    body: Body,
) -> Result<Json<PlanView>, Answer> {
    let (given, _) = document(body)?;
    let specification = specification::parse(&given)?;
    access::to_endpoint(&aws, &asked, &specification.endpoint).await?;
    if specification.hotfix.is_some() {
        access::to_override(&aws, &asked, &specification.endpoint).await?;
    }
    let proposal = proposed(&*aws, &specification, asked.caller.name()).await?;
    let line = prediction_line(&proposal.deployment.terms);
    let mut view = PlanView::new(&proposal.deployment, &proposal.machines, line);
    view.warnings.extend(specification.advice());
    Ok(Json(view))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    endpoint: Option<String>,
    status: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

async fn list(
    State(aws): Shared,
    asked: Asked,
    query: RawQuery,
) -> Result<Json<ListView<DeploymentView>>, Answer> {
    let parameters: ListParameters = parameters(&query)?;
    let wanted = parameters.status.map(|text| status(&text)).transpose()?;
    let limit = page_size(parameters.limit.as_deref(), DEPLOYMENTS, MOST_DEPLOYMENTS)?;
    let endpoint = parameters.endpoint;
    // It becomes a key of the table, which has a limit of its own.
    if endpoint.as_deref().is_some_and(|name| !is_name(name)) {
        let detail = "endpoint is a name in SageMaker: 1 to 63 letters, digits and hyphens";
        return Err(Problem::new(422, "invalid-parameter", detail)
            .field("endpoint")
            .into());
    }
    let mut query = ListQuery {
        endpoint,
        limit,
        cursor: given_out(parameters.cursor, is_created_key)?,
    };
    let (now, mut items) = (aws.now(), Vec::new());
    let mut reader = Reader::new(&*aws, &asked.caller);
    // What is filtered out is made up for until the page is full; a bounded number of times.
    'pages: for _ in 0..10 {
        query.limit = limit - items.len();
        let page = told(&aws, None, aws.list(&query).await)?;
        for deployment in &page.items {
            let fits = wanted.is_none_or(|wanted| deployment.state.status == wanted);
            if fits {
                match reader.may_read(deployment).await {
                    Some(true) => items.push(DeploymentView::new(deployment, None, &[], now)),
                    Some(false) => {}
                    // The next page begins with this one.
                    None => break 'pages,
                }
            }
            query.cursor = Some(created_key(&deployment.terms));
        }
        query.cursor = page.cursor;
        if query.cursor.is_none() || items.len() >= limit {
            break;
        }
    }
    Ok(Json(ListView {
        items,
        cursor: query.cursor,
    }))
}

async fn one(
    State(aws): Shared,
    asked: Asked,
    Id(id): Id,
    _: NoParameters,
) -> Result<Json<DeploymentView>, Answer> {
    let loaded = load(&aws, &asked, &id).await?;
    let history = looked_back(&aws, &id).await;
    Ok(Json(view(&aws, &loaded, &history)))
}

/// What has happened, as far as it can be read soon: an answer without it is better than none.
async fn looked_back(aws: &Aws, id: &str) -> Vec<Entry> {
    let history = aws.within(LOOKING_BACK, aws.history(id)).await;
    let history = history.map(|history| told(aws, Some(id), history));
    history.and_then(Result::ok).unwrap_or_default()
}

async fn history(
    State(aws): Shared,
    asked: Asked,
    Id(id): Id,
    _: NoParameters,
) -> Result<Response, Answer> {
    load(&aws, &asked, &id).await?;
    Ok(Json(ListView {
        items: told(&aws, Some(&id), aws.history(&id).await)?,
        cursor: None,
    })
    .into_response())
}

/// What a new deployment is answered with, or one that the same request made before.
async fn answered(aws: &Aws, accepted: &Accepted) -> Response {
    announce(aws, &accepted.loaded).await;
    let status = if accepted.repeated {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    (status, Json(view(aws, &accepted.loaded, &[]))).into_response()
}

/// The record, for a caller who may do to it what was asked for.
async fn load(aws: &Aws, asked: &Asked, id: &str) -> Result<Loaded, Answer> {
    if !is_id(id) {
        return Err(unknown(id));
    }
    let loaded = told(aws, Some(id), aws.load(id).await)?;
    let loaded = loaded.ok_or_else(|| unknown(id))?;
    access::to_deployment(aws, asked, &loaded.deployment).await?;
    Ok(loaded)
}

/// The result, with its error reported.
fn told<T>(aws: &Aws, id: Option<&str>, result: Result<T, PortError>) -> Result<T, PortError> {
    result.inspect_err(|error| health::report(aws, id, error))
}

/// How long an answer waits for the history.
const LOOKING_BACK: Duration = Duration::from_secs(3);

/// How long an answer waits for the announcement of what was just written.
const ANNOUNCING: Duration = Duration::from_secs(5);

/// Ids are UUIDs: anything else is not looked up.
fn is_id(id: &str) -> bool {
    id.len() == 36
        && id
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

fn view(aws: &Aws, loaded: &Loaded, history: &[Entry]) -> DeploymentView {
    let Loaded {
        deployment,
        evidence,
    } = loaded;
    DeploymentView::new(deployment, Some(evidence), history, aws.now())
}

/// Sends what was just written; what fails is swept by the next tick.
async fn announce(aws: &Aws, loaded: &Loaded) {
    sweep_for(aws, &loaded.deployment.terms.id, ANNOUNCING).await;
}
