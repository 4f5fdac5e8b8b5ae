//! `POST /inference`, as one router for Lambda and loopback alike.
//!
//! A model is waited for as long as the invocation lasts, less what the answer takes: whoever asks is told
//! that the model is late, and not that the function died of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router, middleware};
use http::StatusCode;
use lambda_http::Context;
use serde::Serialize;
use serde_json::Value;
use shared::app::health::{self, About};
use shared::app::ports::{Ambient, Class};
use shared::aws::runtime::{Answer, Invocation, InvokeError};
use shared::aws::{Aws, Tagging};
use shared::domain::authority::Caller;
use shared::gateway::{self, Asked};
use shared::wire::problem::Problem;

use crate::admission::Admissions;
use crate::request::{InferenceBody, Payload};
use crate::route::Routes;

/// Real-time inference takes 6 MB.
pub(crate) const BODY_LIMIT: usize = 6 * 1024 * 1024;
/// How long a model is waited for where no invocation ends sooner: SageMaker gives a container 60
/// seconds, and its own answer must come first.
const LONGEST_WAIT: Duration = Duration::from_secs(65);
/// What is kept of an invocation's time for the answer.
const FOR_THE_ANSWER: Duration = Duration::from_secs(1);

struct Serving {
    aws: Arc<Aws>,
    tagging: Tagging,
    admissions: Admissions,
    routes: Routes,
}

/// The inference route.
pub fn router(aws: Aws) -> Router {
    let aws = Arc::new(aws);
    let serving = Arc::new(Serving {
        aws: aws.clone(),
        tagging: aws.tagging(),
        admissions: Admissions::default(),
        routes: Routes::default(),
    });
    Router::new()
        .route("/inference", post(inference))
        .route_layer(middleware::from_fn_with_state(aws, gateway::admit))
        .method_not_allowed_fallback(async || {
            gateway::respond(&Problem::new(
                405,
                "method-not-allowed",
                "this route does not take this method",
            ))
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(serving)
}

async fn inference(
    State(serving): State<Arc<Serving>>,
    asked: Asked,
    invoked: Option<Extension<Context>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let started = Instant::now();
    let wait = || time_for_the_model(invoked.as_deref());
    match answer(&serving, &asked, wait, body).await {
        Ok(Answered {
            inference_id,
            model,
            answer,
        }) => {
            let latency_ms = started.elapsed().as_secs_f64() * 1000.0;
            Json(InferenceView {
                predictions: predictions(&answer),
                variant: answer.variant,
                model,
                inference_id,
                latency_ms: (latency_ms * 1000.0).round() / 1000.0,
            })
            .into_response()
        }
        Err(problem) => gateway::respond(&problem),
    }
}

/// What is left now of the invocation that this request came with; without one, the longest wait.
fn time_for_the_model(invoked: Option<&Context>) -> Duration {
    invoked.map_or(LONGEST_WAIT, |context| {
        let left = shared::time_left(context.deadline());
        LONGEST_WAIT.min(left.saturating_sub(FOR_THE_ANSWER))
    })
}

async fn answer(
    serving: &Serving,
    asked: &Asked,
    wait: impl Fn() -> Duration + Send,
    body: Result<Bytes, BytesRejection>,
) -> Result<Answered, Box<Problem>> {
    let bytes = body.map_err(|rejection| {
        let too_large = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
        Box::new(if too_large {
            Problem::new(413, "body-too-large", "a body has at most 6 MB")
        } else {
            Problem::new(400, "unreadable-body", "the body could not be read")
        })
    })?;
    let body = InferenceBody::parse(&bytes)?;
    let endpoint = body.endpoint.clone();
    admit(serving, asked, &endpoint).await?;
    let Payload {
        body,
        content_type,
        accept,
        custom_attributes,
    } = body.payload()?;
    let inference_id = serving.aws.new_id();
    let route = serving.routes.of(&serving.aws, &endpoint).await;
    let invocation = Invocation {
        endpoint: endpoint.clone(),
        body,
        content_type: Some(content_type),
        accept,
        custom_attributes,
        target_variant: route.pin.clone(),
        inference_id: inference_id.clone(),
    };
    let answered = match serving.aws.invoke(invocation.clone(), wait()).await {
        // The pinned variant may have gone since: once more, by the weights. Only an answer shows that
        // it was the pin; a request that is refused either way must not let the others' pin go.
        Err(InvokeError::Refused(_)) if invocation.target_variant.is_some() => {
            let unpinned = Invocation {
                target_variant: None,
                ..invocation
            };
            let answered = serving.aws.invoke(unpinned, wait()).await;
            if answered.is_ok() {
                serving.routes.unpin(&serving.aws, &endpoint);
            }
            answered
        }
        answered => answered,
    };
    let answer = answered.map_err(|error| Box::new(problem(&endpoint, &error)))?;
    Ok(Answered {
        inference_id,
        model: route.model(&answer.variant).map(str::to_owned),
        answer,
    })
}

/// Whether the caller may ask this endpoint.
async fn admit(serving: &Serving, asked: &Asked, endpoint: &str) -> Result<(), Box<Problem>> {
    let Asked { caller, action } = asked;
    if *caller == Caller::Local {
        return Ok(());
    }
    let (aws, tagging) = (&*serving.aws, &serving.tagging);
    let known = serving.admissions.grants(tagging, aws, endpoint).await;
    let grants = known.map_err(|error| {
        health::report(aws, None, &error);
        gateway::unread()
    })?;
    action.permit(caller, &grants, None).map_err(|denial| {
        let about = About {
            endpoint: Some(endpoint),
            ..About::default()
        };
        health::forbidden(aws, &denial.caller, &action.to_string(), about);
        Box::new(gateway::denied(&denial))
    })
}

/// What a model answered.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Inference))]
pub(crate) struct InferenceView {
    /// The `predictions` of a JSON answer, or the whole of it; any other answer as text.
    predictions: Value,
    /// The variant that answered.
    variant: String,
    /// The model behind it; unknown on an endpoint that never had a deployment.
    model: Option<String>,
    /// Names this answer.
    inference_id: String,
    /// How long it took here, the model included, in milliseconds.
    latency_ms: f64,
}

struct Answered {
    inference_id: String,
    /// SageMaker tells the variant only; the model behind it is in the records.
    model: Option<String>,
    answer: Answer,
}

fn problem(endpoint: &str, error: &InvokeError) -> Problem {
    match error {
        InvokeError::Model { status, message } => {
            // The model's own words may repeat the features: they go to the caller, not to the log.
            tracing::warn!(endpoint, status, "the model answered with an error");
            Problem::new(
                424,
                "model-error",
                format!("the model answered {status}: {message}"),
            )
        }
        InvokeError::Refused(why) => {
            tracing::warn!(endpoint, "the endpoint refused a request");
            Problem::new(
                422,
                "endpoint-refused",
                format!("the endpoint can't be asked: {why}"),
            )
            .field("endpoint")
        }
        InvokeError::Late(waited) => {
            tracing::warn!(endpoint, ?waited, "the model gave no answer in time");
            Problem::new(
                504,
                "model-late",
                "the model gave no answer while the request could wait; a model that needs more than 25 seconds is asked through SageMaker itself",
            )
        }
        InvokeError::Port(error) => {
            tracing::error!(endpoint, class = ?error.class, operation = error.operation, "the endpoint could not be asked");
            let status = if error.class == Class::Retryable {
                429
            } else {
                503
            };
            Problem::new(
                status,
                "temporarily-unavailable",
                "the endpoint did not answer; repeat the request",
            )
        }
    }
}

/// The `predictions` of a JSON answer, or the whole of it; any other answer as text.
fn predictions(answer: &Answer) -> Value {
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(Value::Object(mut fields)) => fields
            .remove("predictions")
            .unwrap_or(Value::Object(fields)),
        Ok(other) => other,
        Err(_) => Value::String(String::from_utf8_lossy(&answer.body).into_owned()),
    }
}
