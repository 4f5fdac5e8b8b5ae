//! SageMaker Runtime: an invocation picks a variant by the current weights, or takes the one asked for, and
//! gets the answer of what serves it.
//!
//! A real server's latency is measured on the wall clock and never scaled, whatever the speed of virtual time:
//! it is the one thing here that is not simulated. Every invocation reports its metrics, failed ones too.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand::Rng;

use super::backend::{self, Backend, Distribution, Outcome};
use super::{Disturbance, SageMaker, World};
use crate::clock::Clock;
use crate::cloudwatch::CloudWatch;
use crate::wire::{self, ACCOUNT, AwsError};

pub(super) type ContainerClient = Client<HttpConnector, Full<Bytes>>;

const MODEL_TIMEOUT: Duration = Duration::from_mins(1);
const LARGEST_BODY: usize = 6 * 1024 * 1024;
const LONGEST_MESSAGE: usize = 2_048;
const TARGET_VARIANT: &str = "x-amzn-sagemaker-target-variant";
const CUSTOM_ATTRIBUTES: HeaderName = HeaderName::from_static("x-amzn-sagemaker-custom-attributes");
const INFERENCE_ID: HeaderName = HeaderName::from_static("x-amzn-sagemaker-inference-id");

pub(super) fn container_client() -> ContainerClient {
    Client::builder(TokioExecutor::new()).build_http()
}

/// The variant a request goes to, and what will answer there.
struct Chosen {
    variant: String,
    source: Source,
    disturbance: Disturbance,
}

/// The body of an answer to the body of a request.
type Answering = fn(&[u8]) -> Vec<u8>;

enum Source {
    Server(String),
    /// Nobody is asked.
    Failing,
    Drawn(Outcome, Option<Answering>),
}

/// What came back from where the request went.
struct Reply {
    outcome: Outcome,
    headers: HeaderMap,
    body: Bytes,
}

impl SageMaker {
    pub(crate) async fn invoke(
        &self,
        clock: &Clock,
        metrics: &CloudWatch,
        endpoint: &str,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, AwsError> {
        if request.body().len() > LARGEST_BODY {
            return Err(validation(format!(
                "The request body is larger than {LARGEST_BODY} bytes."
            )));
        }
        let target = match request.headers().get(TARGET_VARIANT) {
            None => None,
            Some(value) => Some(
                value
                    .to_str()
                    .map_err(|_| validation("The target variant is no text.".to_owned()))?,
            ),
        };
        let chosen = self.world().choose(clock, endpoint, target)?;
        let reply = match chosen.source {
            Source::Server(url) => self.call_server(&url, request, chosen.disturbance).await,
            Source::Failing => self.fail(chosen.disturbance).await,
            Source::Drawn(outcome, answer) => {
                let body = answer.map(|answer| Bytes::from(answer(request.body())));
                draw_reply(clock, outcome, body, request.headers()).await
            }
        };
        self.note(clock, metrics, endpoint, &chosen.variant, &reply.outcome);
        answer(endpoint, &chosen.variant, &reply)
    }

    /// The endpoint may have changed meanwhile: a variant that is gone reports nothing more.
    fn note(
        &self,
        clock: &Clock,
        metrics: &CloudWatch,
        endpoint: &str,
        variant: &str,
        outcome: &Outcome,
    ) {
        let mut world = self.world();
        if let Some(endpoint) = world.endpoints.get_mut(endpoint)
            && let Some(position) = endpoint.variants.iter().position(|v| v.name == variant)
        {
            endpoint.record(
                position,
                clock.now(),
                std::slice::from_ref(outcome),
                metrics,
            );
        }
    }

    /// What a model that is made to fail answers in place of its server.
    async fn fail(&self, disturbance: Disturbance) -> Reply {
        let overhead_latency_us = backend::overhead_us(&mut self.world().random);
        let late = disturbance.longer(Duration::ZERO).min(MODEL_TIMEOUT);
        tokio::time::sleep(late).await;
        Reply {
            outcome: Outcome {
                status: 500,
                model_latency_us: late.as_micros() as f64,
                overhead_latency_us,
            },
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{\"error\":\"made to fail\"}"),
        }
    }

    async fn call_server(
        &self,
        url: &str,
        request: &Request<Bytes>,
        disturbance: Disturbance,
    ) -> Reply {
        let overhead_latency_us = backend::overhead_us(&mut self.world().random);
        let started = Instant::now();
        let answered = tokio::time::timeout(MODEL_TIMEOUT, self.exchange(url, request)).await;
        let late = disturbance.longer(started.elapsed()).min(MODEL_TIMEOUT);
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        let model_latency_us = started.elapsed().as_micros() as f64;
        let (status, headers, body) = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => (0, HeaderMap::new(), Bytes::from(reason)),
            Err(_) => (
                0,
                HeaderMap::new(),
                Bytes::from_static(
                    b"Your invocation timed out while waiting for a response from container primary.",
                ),
            ),
        };
        Reply {
            outcome: Outcome {
                status,
                model_latency_us,
                overhead_latency_us,
            },
            headers,
            body,
        }
    }

    async fn exchange(
        &self,
        url: &str,
        request: &Request<Bytes>,
    ) -> Result<(u16, HeaderMap, Bytes), String> {
        let uri = format!("{}/invocations", url.trim_end_matches('/'));
        let mut outgoing = Request::post(uri)
            .body(Full::new(request.body().clone()))
            .map_err(|error| error.to_string())?;
        for name in [CONTENT_TYPE, ACCEPT, CUSTOM_ATTRIBUTES, INFERENCE_ID] {
            if let Some(value) = request.headers().get(&name) {
                outgoing.headers_mut().insert(name, value.clone());
            }
        }
        let response = self
            .container
            .request(outgoing)
            .await
            .map_err(|error| format!("the container gave no answer: {error}"))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_BODY)
            .collect()
            .await
            .map_err(|error| format!("the container's answer broke off: {error}"))?;
        Ok((parts.status.as_u16(), parts.headers, body.to_bytes()))
    }
}

impl World {
    fn choose(
        &mut self,
        clock: &Clock,
        endpoint: &str,
        target: Option<&str>,
    ) -> Result<Chosen, AwsError> {
        let not_found = || {
            validation(format!(
                "Endpoint {endpoint} of account {ACCOUNT} not found."
            ))
        };
        let fleet = self.endpoints.get(endpoint).ok_or_else(not_found)?;
        if !fleet.status(clock.now()).serves() {
            return Err(not_found());
        }
        let position = if let Some(target) = target {
            fleet
                .variants
                .iter()
                .position(|variant| variant.name == target)
                .ok_or_else(|| validation(format!("Variant {target} not found for Request.")))?
        } else {
            let weights = fleet.variants.iter().map(|variant| variant.current_weight);
            backend::pick(weights, self.random.random()).ok_or_else(|| {
                validation(format!(
                    "No variant of endpoint {endpoint} has a weight above zero."
                ))
            })?
        };
        let variant = &fleet.variants[position];
        let disturbance = self.disturbances.get(&variant.model).copied();
        let disturbance = disturbance.filter(|it| it.lasts(clock.now()));
        let mut drawn = |like: &Distribution, answer| {
            let outcome = like.sample(&mut self.random);
            let disturbed = disturbance.map(|it| it.of(outcome, &mut self.random));
            Source::Drawn(disturbed.unwrap_or(outcome), answer)
        };
        let source = match (&variant.server, self.backends.get(&variant.model)) {
            (Some(url), _) | (None, Some(Backend::Http { url })) => {
                if disturbance.is_some_and(|it| it.fails(&mut self.random)) {
                    Source::Failing
                } else {
                    Source::Server(url.clone())
                }
            }
            (None, Some(Backend::Distribution(like))) => drawn(like, None),
            (None, Some(Backend::Function { answer, like })) => drawn(like, Some(*answer)),
            (None, None) => drawn(&Distribution::default(), None),
        };
        Ok(Chosen {
            variant: variant.name.clone(),
            source,
            disturbance: disturbance.unwrap_or_default(),
        })
    }
}

/// The reply of a made-up model: its own body or one prediction, and the attributes it was sent. With a running clock it takes
/// the time it says it took.
async fn draw_reply(
    clock: &Clock,
    outcome: Outcome,
    own: Option<Bytes>,
    sent: &HeaderMap,
) -> Reply {
    if !clock.is_manual() {
        let latency = Duration::from_secs_f64(outcome.model_latency_us.max(0.0) / 1e6);
        tokio::time::sleep(latency.min(MODEL_TIMEOUT)).await;
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(attributes) = sent.get(&CUSTOM_ATTRIBUTES) {
        headers.insert(CUSTOM_ATTRIBUTES, attributes.clone());
    }
    let body = match outcome.status {
        200 => own.unwrap_or(Bytes::from_static(b"{\"predictions\":[1.0]}")),
        400 => Bytes::from_static(b"{\"error\":\"the input is not what the model expects\"}"),
        _ => Bytes::from_static(b"{\"error\":\"the model failed\"}"),
    };
    Reply {
        outcome,
        headers,
        body,
    }
}

fn validation(message: String) -> AwsError {
    AwsError::new(400, "ValidationError", message)
}

fn answer(endpoint: &str, variant: &str, reply: &Reply) -> Result<Response<Bytes>, AwsError> {
    if !reply.outcome.succeeded() {
        return Err(model_error(endpoint, reply));
    }
    let mut response = Response::new(reply.body.clone());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    for name in [CONTENT_TYPE, CUSTOM_ATTRIBUTES] {
        if let Some(value) = reply.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let variant = HeaderValue::from_str(variant)
        .map_err(|_| validation("the variant's name is no header value".to_owned()))?;
    headers.insert("x-amzn-invoked-production-variant", variant);
    Ok(response)
}

fn model_error(endpoint: &str, reply: &Reply) -> AwsError {
    let status = reply.outcome.status;
    let original: String = String::from_utf8_lossy(&reply.body)
        .chars()
        .take(LONGEST_MESSAGE)
        .collect();
    let side = if reply.outcome.is_client_error() {
        "client"
    } else {
        "server"
    };
    let group = format!("log-group:/aws/sagemaker/Endpoints/{endpoint}");
    AwsError::new(
        424,
        "ModelError",
        format!(
            "Received {side} error ({status}) from primary with message \"{original}\". See the log \
             group /aws/sagemaker/Endpoints/{endpoint} for more information."
        ),
    )
    .with("OriginalStatusCode", status)
    .with("OriginalMessage", original)
    .with("LogStreamArn", wire::arn("logs", &group))
}
