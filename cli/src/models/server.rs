//! A model behind the container contract of SageMaker: `GET /ping` says that
//! it is up, `POST /invocations` answers rows of features with predictions, as
//! JSON or as CSV.
//!
//! A server can be told to misbehave, which is what some of the demo's bad challengers
//! do: it fails on strong wines only, so that most of its answers are right
//! and an error rate has to be measured, or it answers late. A refused request
//! says why as `{"error": ...}`, and a refusal never depends on the behaviour.

use std::fmt::Write as _;
use std::num::ParseFloatError;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use super::recipe::Recipe;
use super::train::{Prediction, Trained};
use super::wine::{ALCOHOL, FEATURES};

/// The largest body that is read, as SageMaker has it for one invocation.
pub(crate) const BODY_LIMIT_BYTES: usize = 6 * 1024 * 1024;

const JSON: &str = "application/json";
const CSV: &str = "text/csv";

/// How a server and its model deviate from good ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Behaviour {
    /// How the model is made.
    pub(crate) recipe: Recipe,
    /// Answers 500 when any wine of the request is stronger than this, percent
    /// by volume.
    pub(crate) fail_above_alcohol: Option<f64>,
    /// Waits this long before each answer, by the wall clock.
    pub(crate) delay: Duration,
}

/// Why a request is not answered with predictions.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "the body is not valid JSON of the form {{\"instances\": [[...]]}} or {{\"features\": [...]}}"
    )]
    Json(#[source] serde_json::Error),
    #[error("give either \"instances\" or \"features\"")]
    NeitherOrBoth,
    #[error("the body is not valid UTF-8")]
    Text(#[source] std::str::Utf8Error),
    #[error("row {row}: {cell:?} is not a number")]
    Cell {
        row: usize,
        cell: String,
        source: ParseFloatError,
    },
    #[error("there is no row to predict")]
    Empty,
    #[error("row {row} has {found} features, not {FEATURES}")]
    Width { row: usize, found: usize },
    #[error("row {row}: feature {column} is not finite")]
    NotFinite { row: usize, column: usize },
    #[error("content type {0:?} is neither application/json nor text/csv")]
    ContentType(String),
    #[error("the body cannot be read")]
    Body(#[source] BytesRejection),
    #[error("a wine above {0} % alcohol")]
    TooStrong(f64),
    #[error("the prediction was cut short")]
    CutShort(#[source] tokio::task::JoinError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Refusal::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            // 413 for a body above the limit, 400 for one that broke off.
            Refusal::Body(rejection) => rejection.status(),
            Refusal::TooStrong(_) | Refusal::CutShort(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // One line for a person: the refusal, and what the parser saw of it.
        let mut error = self.to_string();
        let mut source = std::error::Error::source(&self);
        while let Some(inner) = source {
            error = format!("{error}: {inner}");
            source = inner.source();
        }
        (self.status(), axum::Json(json!({ "error": error }))).into_response()
    }
}

/// The two forms that rows come in and predictions go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
}

impl Form {
    /// What the body is in: JSON unless the header says otherwise.
    fn of_body(headers: &HeaderMap) -> Result<Form, Refusal> {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Ok(Form::Json);
        };
        let value = String::from_utf8_lossy(value.as_bytes());
        let media_type = value.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case(JSON) {
            Ok(Form::Json)
        } else if media_type.eq_ignore_ascii_case(CSV) {
            Ok(Form::Csv)
        } else {
            Err(Refusal::ContentType(value.into_owned()))
        }
    }

    /// What the answer is in: what is asked for, else what was sent.
    fn of_answer(headers: &HeaderMap, body: Form) -> Form {
        let accept = headers
            .get(ACCEPT)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
            .unwrap_or_default();
        match (accept.contains(JSON), accept.contains(CSV)) {
            (true, false) => Form::Json,
            (false, true) => Form::Csv,
            _ => body,
        }
    }
}

struct Served {
    model: Trained,
    behaviour: Behaviour,
}

/// The routes of one model.
pub(crate) fn router(model: Trained, behaviour: Behaviour) -> Router {
    Router::new()
        .route("/ping", get(async || StatusCode::OK))
        .route("/invocations", post(invoke))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(Arc::new(Served { model, behaviour }))
}

/// Serves until the future is dropped.
pub(crate) async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    axum::serve(listener, router).await
}

async fn invoke(
    State(served): State<Arc<Served>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let form = Form::of_body(&headers)?;
    let body = body.map_err(Refusal::Body)?;
    let rows = match form {
        Form::Json => rows_of_json(&body)?,
        Form::Csv => rows_of_csv(&body)?,
    };
    check(&rows)?;

    let delay = served.behaviour.delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(limit) = served.behaviour.fail_above_alcohol
        && rows.iter().any(|row| row[ALCOHOL] > limit)
    {
        return Err(Refusal::TooStrong(limit));
    }
    // A full body holds a quarter of a million wines: seconds of work, during
    // which the other requests and the pings must still be answered.
    let predictions = tokio::task::spawn_blocking(move || {
        rows.iter()
            .map(|row| served.model.predict(row))
            .collect::<Vec<_>>()
    })
    .await
    .map_err(Refusal::CutShort)?;
    Ok(answer(&predictions, Form::of_answer(&headers, form)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    instances: Option<Vec<Vec<f64>>>,
    features: Option<Vec<f64>>,
}

fn rows_of_json(body: &[u8]) -> Result<Vec<Vec<f64>>, Refusal> {
    let request: Request = serde_json::from_slice(body).map_err(Refusal::Json)?;
    match (request.instances, request.features) {
        (Some(rows), None) => Ok(rows),
        (None, Some(row)) => Ok(vec![row]),
        _ => Err(Refusal::NeitherOrBoth),
    }
}

fn rows_of_csv(body: &[u8]) -> Result<Vec<Vec<f64>>, Refusal> {
    let text = std::str::from_utf8(body).map_err(Refusal::Text)?;
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .enumerate()
        .map(|(row, line)| {
            line.split(',')
                .map(|cell| {
                    let cell = cell.trim();
                    cell.parse().map_err(|source| Refusal::Cell {
                        row,
                        cell: cell.chars().take(40).collect(),
                        source,
                    })
                })
                .collect()
        })
        .collect()
}

/// The one place that vouches for the rows: CSV can spell `NaN` and `inf`.
fn check(rows: &[Vec<f64>]) -> Result<(), Refusal> {
    if rows.is_empty() {
        return Err(Refusal::Empty);
    }
    for (row, features) in rows.iter().enumerate() {
        if features.len() != FEATURES {
            return Err(Refusal::Width {
                row,
                found: features.len(),
            });
        }
        if let Some(column) = features.iter().position(|value| !value.is_finite()) {
            return Err(Refusal::NotFinite { row, column });
        }
    }
    Ok(())
}

fn answer(predictions: &[Prediction], form: Form) -> Response {
    match form {
        Form::Json => axum::Json(json!({ "predictions": predictions })).into_response(),
        Form::Csv => {
            let mut rows = String::new();
            for Prediction { score, label } in predictions {
                writeln!(rows, "{score},{label}").expect("a string takes every line");
            }
            ([(CONTENT_TYPE, CSV)], rows).into_response()
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
