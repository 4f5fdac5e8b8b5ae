//! `POST /inference`, `GET /route` and `POST /feedback`, as one router for Lambda and loopback alike.
//!
//! A model is waited for as long as the invocation lasts, less what the answer takes: whoever asks is told
//! that the model is late, and not that the function died of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router, middleware};
use futures_util::future::{join_all, try_join_all};
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Context;
use serde::Serialize;
use serde_json::Value;
use shared::app::health::{self, About};
use shared::app::ports::Ambient;
use shared::aws::runtime::{Answer, Invocation, InvokeError};
use shared::aws::{Aws, Tagging};
use shared::domain::authority::Caller;
use shared::domain::model_signals::{Figure, Prediction, Tally};
use shared::domain::specification::is_name;
use shared::gateway::{self, Asked};
use shared::wire::inference_id::InferenceId;
use shared::wire::problem::Problem;

use crate::admission::Admissions;
use crate::feedback::{self, FeedbackBody, FeedbackView, Label};
use crate::keys::SigningKeys;
use crate::problems::unanswered;
use crate::query::{NoQuery, Whose};
use crate::reading;
use crate::request::{InferenceBody, Payload, is_user, no_endpoint, no_user};
use crate::route::{Route, Routes};

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
    keys: SigningKeys,
}

/// The routes that callers of models use.
pub fn router(aws: Aws) -> Router {
    let aws = Arc::new(aws);
    let serving = Arc::new(Serving {
        aws: aws.clone(),
        tagging: aws.tagging(),
        admissions: Admissions::default(),
        routes: Routes::default(),
        keys: SigningKeys::default(),
    });
    let labels = DefaultBodyLimit::max(feedback::BODY_LIMIT);
    Router::new()
        .route("/inference", post(inference))
        .route("/feedback", post(take_labels).layer(labels))
        .route("/route", get(show_route))
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
    _: NoQuery,
    invoked: Option<Extension<Context>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let started = Instant::now();
    let wait = || time_for_the_model(invoked.as_deref());
    match answer(&serving, &asked, wait, body).await {
        Ok(answered) => {
            let latency_ms = started.elapsed().as_secs_f64() * 1000.0;
            Json(InferenceView {
                latency_ms: (latency_ms * 1000.0).round() / 1000.0,
                ..answered
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

impl Payload {
    fn invocation(self, endpoint: &str, variant: Option<String>, request: &str) -> Invocation {
        Invocation {
            endpoint: endpoint.to_owned(),
            body: self.body,
            content_type: Some(self.content_type),
            accept: self.accept,
            custom_attributes: self.custom_attributes,
            target_variant: variant,
            inference_id: request.to_owned(),
        }
    }
}

async fn answer(
    serving: &Serving,
    asked: &Asked,
    wait: impl Fn() -> Duration + Send,
    body: Result<Bytes, BytesRejection>,
) -> Result<InferenceView, Box<Problem>> {
    let bytes = whole(body, "a body has at most 6 MB")?;
    let mut body = InferenceBody::parse(&bytes)?;
    let endpoint = body.endpoint.clone();
    // Its invocation would be denied, and each denial pages people.
    if let Some(outside) = serving.aws.config().access.outside_endpoint(&endpoint) {
        return Err(Box::new(gateway::outside(outside)));
    }
    admit(serving, asked, &endpoint).await?;
    let payload = body.payload()?;
    let aws = &*serving.aws;
    let (route, keys) = tokio::join!(serving.routes.of(aws, &endpoint), serving.keys.of(aws));
    let target = route.target(body.user_id.as_deref()).variant;
    let readings = route.readings.as_ref();
    let group = readings.and_then(|readings| readings.group_of(|name| body.attribute(name)));
    let group = group.map(str::to_owned);
    let request = aws.new_id();
    let invocation = payload.invocation(&endpoint, target, &request);
    let asked_for = invocation.target_variant.clone();
    let (answered, is_by_name) = invoke(serving, invocation, wait).await;
    let made = Made {
        at: aws.now(),
        request,
        endpoint,
        group,
        is_by_name,
    };
    let answer = answered.map_err(|error| {
        if error.has_reached_the_model()
            && let Some(variant) = asked_for.filter(|_| is_by_name)
        {
            tally(aws, &route, &made, &variant, BTreeMap::new());
        }
        Box::new(unanswered(aws, &made.endpoint, &error))
    })?;
    let (predictions, encoding) = predictions(&answer);
    let prediction = counted(aws, &route, &made, &answer.variant, &predictions);
    let id = made.id(&route, &answer.variant, prediction);
    Ok(InferenceView {
        predictions,
        encoding,
        content_type: answer.content_type,
        custom_attributes: answer.custom_attributes,
        inference_id: match (id, keys) {
            (Some(id), Some(keys)) => id.signed(&keys.current),
            _ => made.request,
        },
        // SageMaker tells the variant only; the model behind it is in the records.
        model: route.model(&answer.variant).map(str::to_owned),
        variant: answer.variant,
        latency_ms: 0.0,
    })
}

/// The bytes of a body, or why there are none.
fn whole(body: Result<Bytes, BytesRejection>, limit: &str) -> Result<Bytes, Box<Problem>> {
    body.map_err(|rejection| {
        let too_large = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
        Box::new(if too_large {
            Problem::new(413, "body-too-large", limit)
        } else {
            Problem::new(400, "unreadable-body", "the body could not be read")
        })
    })
}

/// Asks the model, and says whether the variant that answered was asked for by name.
async fn invoke(
    serving: &Serving,
    invocation: Invocation,
    wait: impl Fn() -> Duration + Send,
) -> (Result<Answer, InvokeError>, bool) {
    let is_by_name = invocation.target_variant.is_some();
    match serving.aws.invoke(invocation.clone(), wait()).await {
        // The variant may have gone since: once more, by the weights. Only an answer shows that it was the
        // name; a request that is refused either way must not let the others' pin go.
        Err(InvokeError::Refused(_)) if is_by_name => {
            let endpoint = invocation.endpoint.clone();
            let unpinned = Invocation {
                target_variant: None,
                ..invocation
            };
            let answered = serving.aws.invoke(unpinned, wait()).await;
            if answered.is_ok() {
                serving.routes.unpin(&serving.aws, &endpoint);
            }
            (answered, false)
        }
        answered => (answered, is_by_name),
    }
}

/// A prediction that was made.
struct Made {
    at: Timestamp,
    /// SageMaker's InferenceId.
    request: String,
    endpoint: String,
    group: Option<String>,
    is_by_name: bool,
}

impl Made {
    /// What its id says.
    fn id(
        &self,
        route: &Route,
        variant: &str,
        prediction: Option<Prediction>,
    ) -> Option<InferenceId> {
        let active = route.active.as_deref();
        Some(InferenceId {
            deployment: active.and_then(|id| id.parse().ok()),
            at: self.at,
            request: self.request.parse().ok()?,
            prediction,
            endpoint: self.endpoint.clone(),
            variant: variant.to_owned(),
            group: self.group.clone(),
        })
    }
}

/// Counts what the answer says, and answers the prediction, where it is one that can be read.
fn counted(
    aws: &Aws,
    route: &Route,
    made: &Made,
    variant: &str,
    predictions: &Value,
) -> Option<Prediction> {
    let readings = route.readings.as_ref();
    let read = readings.map(|readings| reading::read(readings, predictions));
    let read = read.unwrap_or_default();
    tally(aws, route, made, variant, read.figures);
    read.only
}

/// Counts figures, and how the request was routed, in one line at the most.
fn tally(aws: &Aws, route: &Route, made: &Made, variant: &str, mut figures: BTreeMap<Figure, u64>) {
    if route.counts_names() {
        figures.insert(Figure::Served, 1);
        if made.is_by_name {
            figures.insert(Figure::Routed, 1);
        }
    }
    aws.count(&Tally {
        endpoint: made.endpoint.clone(),
        variant: variant.to_owned(),
        group: made.group.clone(),
        figures,
    });
}

async fn take_labels(
    State(serving): State<Arc<Serving>>,
    asked: Asked,
    _: NoQuery,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match labelled(&serving, &asked, body).await {
        Ok(view) => Json(view).into_response(),
        Err(problem) => gateway::respond(&problem),
    }
}

async fn labelled(
    serving: &Serving,
    asked: &Asked,
    body: Result<Bytes, BytesRejection>,
) -> Result<FeedbackView, Box<Problem>> {
    let bytes = whole(body, "a body has at most 128 KiB")?;
    let items = FeedbackBody::parse(&bytes)?;
    let aws = &*serving.aws;
    let labels = feedback::opened(aws, &serving.keys, &items).await?;
    let endpoints = feedback::endpoints(&labels)?;
    // Whoever may ask the model may say what it should have answered.
    let admitted = endpoints
        .iter()
        .map(|name| admit_labels(serving, asked, name, &labels));
    try_join_all(admitted).await?;
    let routes = endpoints.into_iter().map(async |name| {
        let route = serving.routes.of(aws, name).await;
        (name.to_owned(), route)
    });
    let routes: HashMap<_, _> = join_all(routes).await.into_iter().collect();
    Ok(feedback::count(aws, &routes, &labels).await)
}

async fn show_route(
    State(serving): State<Arc<Serving>>,
    asked: Asked,
    RawQuery(query): RawQuery,
) -> Response {
    match way(&serving, &asked, query.as_deref().unwrap_or_default()).await {
        Ok(view) => Json(view).into_response(),
        Err(problem) => gateway::respond(&problem),
    }
}

async fn way(serving: &Serving, asked: &Asked, query: &str) -> Result<RouteView, Box<Problem>> {
    let Whose { endpoint, user } = Whose::parse(query)?;
    if !is_name(&endpoint) {
        return Err(Box::new(no_endpoint("endpoint")));
    }
    if !is_user(&user) {
        return Err(Box::new(no_user("user")));
    }
    admit(serving, asked, &endpoint).await?;
    let route = serving.routes.of(&serving.aws, &endpoint).await;
    let target = route.target(Some(&user));
    Ok(RouteView {
        variant: target.variant,
        is_canary: target.is_canary,
        bucket: target.bucket,
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
    let grants = known.map_err(|_| gateway::unread())?;
    action.permit(caller, &grants, None).map_err(|denial| {
        let about = About {
            endpoint: Some(endpoint),
            ..About::default()
        };
        health::forbidden(aws, &denial.caller, &action.to_string(), about);
        Box::new(gateway::denied(&denial))
    })
}

/// Whether the caller may label what this endpoint predicted.
async fn admit_labels(
    serving: &Serving,
    asked: &Asked,
    endpoint: &str,
    labels: &[Label],
) -> Result<(), Box<Problem>> {
    let admitted = admit(serving, asked, endpoint).await;
    admitted.map_err(|problem| Box::new(feedback::of_endpoint(*problem, endpoint, labels)))
}

/// What a model answered.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Inference))]
pub(crate) struct InferenceView {
    /// The `predictions` of a JSON answer, or the whole of it; any other answer as text, and what is no text
    /// in base64.
    predictions: Value,
    /// The variant that answered.
    variant: String,
    /// The model behind it; unknown on an endpoint that never had a deployment.
    model: Option<String>,
    /// Names this prediction, for its label: signed, in base64url. Treat it as opaque.
    inference_id: String,
    /// How long it took here, the model included, in milliseconds.
    latency_ms: f64,
    /// How `predictions` is written where the model's answer is no UTF-8: in base64 (RFC 4648, section 4).
    /// Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<Encoding>,
    /// The Content-Type of the model's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// The X-Amzn-SageMaker-Custom-Attributes of the model's answer; absent where its container set none.
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_attributes: Option<String>,
}

/// How bytes are written that are no text.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) enum Encoding {
    /// With the plain alphabet and padding.
    Base64,
}

/// Where a user's requests go now.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Route))]
pub(crate) struct RouteView {
    /// The variant to name as TargetVariant; null where the weights decide, and then none is to be named.
    variant: Option<String>,
    /// Whether that is the new model's; null where the weights decide.
    is_canary: Option<bool>,
    /// The user's bucket, 0 to 99; null where users are not told apart.
    bucket: Option<u8>,
}

/// The `predictions` of a JSON answer, or the whole of it; any other answer as text. No byte is lost of one
/// that is no text either.
fn predictions(answer: &Answer) -> (Value, Option<Encoding>) {
    let Ok(text) = std::str::from_utf8(&answer.body) else {
        return (answer.in_base64().into(), Some(Encoding::Base64));
    };
    let value = match serde_json::from_str(text) {
        Ok(Value::Object(mut fields)) => fields
            .remove("predictions")
            .unwrap_or(Value::Object(fields)),
        Ok(other) => other,
        Err(_) => text.into(),
    };
    (value, None)
}
