//! Lambda: invokes of functions that live in this process.
//!
//! An asynchronous invoke is only queued, as on AWS: the caller learns nothing of the outcome. Tests run the
//! queue themselves (`Simulator::run_functions`), in order and alone, so that every run is the same; the local
//! mode spawns each event at once. A failed event is tried again after one and after two further virtual
//! minutes, then dropped and kept for the reader, where AWS would hand it to the failure destination.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::wire::{self, AwsError, Protocol};

/// The answer of a simulated function: its result, or the text of its error.
pub type FunctionFuture = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;
/// A simulated function: the event in, the result out.
pub type Function = Arc<dyn Fn(Value) -> FunctionFuture + Send + Sync>;

/// Waits before the second and the third attempt.
const RETRIES: [SignedDuration; 2] = [SignedDuration::from_mins(1), SignedDuration::from_mins(2)];
const LARGEST_SYNCHRONOUS: usize = 6 * 1024 * 1024;
const LARGEST_ASYNCHRONOUS: usize = 1024 * 1024;

/// An asynchronous invoke that failed in every attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct DroppedEvent {
    /// The function.
    pub function: String,
    /// The event.
    pub event: Value,
    /// The last attempt's error.
    pub error: String,
    /// When the last attempt failed, in virtual time.
    pub at: Timestamp,
}

#[derive(Clone)]
struct Event {
    function: String,
    payload: Value,
    attempt: usize,
    not_before: Timestamp,
}

#[derive(Default)]
struct State {
    functions: HashMap<String, Function>,
    queue: VecDeque<Event>,
    dropped: Vec<DroppedEvent>,
    spawning: bool,
}

/// Cheap to clone: the spawned attempts hold on to the same state.
#[derive(Clone)]
pub(crate) struct Lambda {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

impl Lambda {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn register(&self, name: &str, function: Function) {
        self.state().functions.insert(name.to_owned(), function);
    }

    pub(crate) fn dropped(&self) -> Vec<DroppedEvent> {
        self.state().dropped.clone()
    }

    /// Runs what is due, until nothing is: what the functions themselves queue runs too.
    pub(crate) async fn run_due(&self) {
        loop {
            let event = {
                let now = self.clock.now();
                let mut state = self.state();
                let due = state.queue.iter().position(|event| event.not_before <= now);
                due.and_then(|position| state.queue.remove(position))
            };
            let Some(event) = event else { return };
            if let Some(retry) = self.attempt(event).await {
                self.state().queue.push_back(retry);
            }
        }
    }

    /// From now on every asynchronous invoke runs at once in a task of its own.
    pub(crate) fn start_spawning(&self) {
        let waiting = {
            let mut state = self.state();
            state.spawning = true;
            std::mem::take(&mut state.queue)
        };
        for event in waiting {
            self.spawn(event);
        }
    }

    fn spawn(&self, event: Event) {
        let lambda = self.clone();
        tokio::spawn(async move {
            let mut next = Some(event);
            while let Some(event) = next {
                let wait = event.not_before.duration_since(lambda.clock.now());
                lambda.clock.sleep(wait).await;
                next = lambda.attempt(event).await;
            }
        });
    }

    /// One attempt; the event to try again later if it failed and may.
    async fn attempt(&self, event: Event) -> Option<Event> {
        let function = self.state().functions.get(&event.function).cloned();
        let outcome = match function {
            Some(function) => function(event.payload.clone()).await,
            None => Err(format!("no function {}", event.function)),
        };
        let error = outcome.err()?;
        tracing::warn!(
            function = event.function,
            attempt = event.attempt,
            error,
            "an asynchronous invoke failed"
        );
        let now = self.clock.now();
        if let Some(wait) = RETRIES.get(event.attempt) {
            return Some(Event {
                attempt: event.attempt + 1,
                not_before: now.checked_add(*wait).unwrap_or(Timestamp::MAX),
                ..event
            });
        }
        self.state().dropped.push(DroppedEvent {
            function: event.function,
            event: event.payload,
            error,
            at: now,
        });
        None
    }

    pub(crate) async fn handle(
        &self,
        name: &str,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, AwsError> {
        let name = function_name(name);
        let asynchronous = match invocation_type(request) {
            "Event" => true,
            "RequestResponse" => false,
            "DryRun" => return Ok(empty(StatusCode::NO_CONTENT)),
            other => {
                return Err(AwsError::new(
                    400,
                    "InvalidParameterValueException",
                    format!("unknown invocation type {other}"),
                ));
            }
        };
        let function = self.state().functions.get(&name).cloned().ok_or_else(|| {
            let arn = wire::arn("lambda", &format!("function:{name}"));
            AwsError::new(
                404,
                "ResourceNotFoundException",
                format!("Function not found: {arn}"),
            )
            .with("Type", "User")
        })?;
        let payload = parse_payload(request.body(), asynchronous)?;
        if asynchronous {
            self.enqueue(name, payload);
            return Ok(empty(StatusCode::ACCEPTED));
        }
        Ok(answer(function(payload).await))
    }

    fn enqueue(&self, function: String, payload: Value) {
        let event = Event {
            function,
            payload,
            attempt: 0,
            not_before: self.clock.now(),
        };
        let mut state = self.state();
        if state.spawning {
            drop(state);
            self.spawn(event);
        } else {
            state.queue.push_back(event);
        }
    }
}

fn invocation_type(request: &Request<Bytes>) -> &str {
    request
        .headers()
        .get("x-amz-invocation-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("RequestResponse")
}

/// The plain name out of a name, a name with a qualifier, or an ARN with or without one.
fn function_name(given: &str) -> String {
    let decoded = wire::percent_decode(given, false);
    let unqualified = decoded
        .split_once(":function:")
        .map_or(decoded.as_str(), |(_, name)| name);
    unqualified.split(':').next().unwrap_or_default().to_owned()
}

fn parse_payload(body: &[u8], asynchronous: bool) -> Result<Value, AwsError> {
    let largest = if asynchronous {
        LARGEST_ASYNCHRONOUS
    } else {
        LARGEST_SYNCHRONOUS
    };
    if body.len() > largest {
        return Err(AwsError::new(
            413,
            "RequestTooLargeException",
            format!(
                "Request must be smaller than {largest} bytes for the InvokeFunction operation"
            ),
        ));
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| {
        AwsError::new(
            400,
            "InvalidRequestContentException",
            format!("Could not parse request body into json: {error}"),
        )
        .with("Type", "User")
    })
}

fn answer(outcome: Result<Value, String>) -> Response<Bytes> {
    let (body, failed) = match outcome {
        Ok(result) => (result, false),
        Err(error) => (
            json!({"errorType": "Runtime.Error", "errorMessage": error}),
            true,
        ),
    };
    let mut response = wire::json_response(StatusCode::OK, Protocol::Rest, &body);
    let headers = response.headers_mut();
    headers.insert(
        "x-amz-executed-version",
        HeaderValue::from_static("$LATEST"),
    );
    if failed {
        headers.insert(
            "x-amz-function-error",
            HeaderValue::from_static("Unhandled"),
        );
    }
    response
}

fn empty(status: StatusCode) -> Response<Bytes> {
    wire::respond(status, "application/json", Bytes::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoke(kind: &str, body: &str) -> Request<Bytes> {
        Request::post("/")
            .header("X-Amz-Invocation-Type", kind)
            .body(Bytes::from(body.to_owned()))
            .expect("a request")
    }

    fn counting(fails: usize) -> (Function, Arc<Mutex<Vec<Value>>>) {
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let function: Function = Arc::new({
            let seen = Arc::clone(&seen);
            move |event| {
                let seen = Arc::clone(&seen);
                Box::pin(async move {
                    let mut seen = seen.lock().expect("no test panics while it holds this");
                    seen.push(event);
                    if seen.len() <= fails {
                        Err("not yet".to_owned())
                    } else {
                        Ok(json!(seen.len()))
                    }
                })
            }
        });
        (function, seen)
    }

    #[tokio::test]
    async fn an_event_waits_is_run_and_tried_again() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let lambda = Lambda::new(clock.clone());
        let (function, seen) = counting(1);
        lambda.register("work", function);
        let accepted = lambda
            .handle("work", &invoke("Event", "{\"n\": 1}"))
            .await
            .expect("queued");
        assert_eq!(accepted.status(), 202);
        assert!(seen.lock().expect("unpoisoned").is_empty());
        lambda.run_due().await;
        lambda.run_due().await;
        assert_eq!(seen.lock().expect("unpoisoned").len(), 1);
        clock.advance(SignedDuration::from_mins(1));
        lambda.run_due().await;
        assert_eq!(seen.lock().expect("unpoisoned").len(), 2);
        assert!(lambda.dropped().is_empty());
    }

    #[tokio::test]
    async fn an_event_that_always_fails_is_dropped_after_three_attempts() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let lambda = Lambda::new(clock.clone());
        let (function, seen) = counting(usize::MAX);
        lambda.register("work", function);
        lambda
            .handle("work", &invoke("Event", "{}"))
            .await
            .expect("queued");
        for _ in 0..10 {
            lambda.run_due().await;
            clock.advance(SignedDuration::from_mins(1));
        }
        assert_eq!(seen.lock().expect("unpoisoned").len(), 3);
        assert_eq!(lambda.dropped()[0].error, "not yet");
    }

    #[tokio::test]
    async fn a_synchronous_invoke_answers_the_result_or_the_error() {
        let lambda = Lambda::new(Clock::manual(Timestamp::UNIX_EPOCH));
        let (function, _) = counting(1);
        lambda.register("work", function);
        let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Awork%3Alive";
        let failed = lambda
            .handle(arn, &invoke("RequestResponse", "{}"))
            .await
            .expect("answered");
        assert_eq!(failed.headers()["x-amz-function-error"], "Unhandled");
        let done = lambda
            .handle("work", &invoke("RequestResponse", ""))
            .await
            .expect("answered");
        assert_eq!(done.body().as_ref(), b"2");
        let missing = lambda
            .handle("other", &invoke("Event", "{}"))
            .await
            .expect_err("refused");
        assert_eq!(
            (missing.status, missing.code.as_str()),
            (404, "ResourceNotFoundException")
        );
    }
}
