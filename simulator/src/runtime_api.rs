//! Lambda's Runtime API on loopback: what the binary of a function asks for events and gives its
//! answers to. It runs the programs that are deployed, where [`crate::Function`] runs their handlers.
//!
//! One function, one event at a time, as in an execution environment. Whether an answer came as a
//! response or as an error is all that Lambda goes by: only an error is tried again and ends in the
//! failure queue.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;

const PREFIX: &str = "/2018-06-01/runtime/";
/// The year 2100: an invocation here has all the time it wants.
const DEADLINE_MS: &str = "4102444800000";

/// What became of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The function's answer.
    Answered(Value),
    /// The function failed: Lambda would try again, and then hand the event to the failure queue.
    Failed {
        /// `errorType`.
        kind: String,
        /// `errorMessage`.
        message: String,
    },
}

type Waiting = HashMap<String, oneshot::Sender<Outcome>>;

struct State {
    events: AsyncMutex<mpsc::UnboundedReceiver<(String, Bytes)>>,
    waiting: Mutex<Waiting>,
    is_polled: watch::Sender<bool>,
}

/// A Runtime API for one function.
pub struct RuntimeApi {
    address: SocketAddr,
    state: Arc<State>,
    events: mpsc::UnboundedSender<(String, Bytes)>,
    /// Ends with this value.
    _server: JoinSet<()>,
}

impl RuntimeApi {
    /// Listens on a free port of this machine.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (events, receiver) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            events: AsyncMutex::new(receiver),
            waiting: Mutex::default(),
            is_polled: watch::Sender::new(false),
        });
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            events,
            _server: server,
        })
    }

    /// What the function gets as `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the function has asked for an event: it has started.
    pub async fn polled(&self) {
        let mut is_polled = self.state.is_polled.subscribe();
        // The sender lives as long as this value.
        drop(is_polled.wait_for(|is_polled| *is_polled).await);
    }

    /// Hands an event to the function and waits for what becomes of it; `None` when the server is
    /// gone. It waits for as long as the function takes.
    pub async fn invoke(&self, id: &str, event: impl Into<Bytes>) -> Option<Outcome> {
        let (sender, outcome) = oneshot::channel();
        self.state.waiting().insert(id.to_owned(), sender);
        self.events.send((id.to_owned(), event.into())).ok()?;
        outcome.await.ok()
    }
}

impl State {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&state), request));
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                tracing::debug!(%error, "a function hung up");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let segments: Vec<&str> = path.split('/').collect();
    match (&parts.method, segments.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => Ok(next(&state).await),
        (&Method::POST, ["invocation", id, end @ ("response" | "error")]) => {
            let body = body.collect().await?.to_bytes();
            if let Some(sender) = state.waiting().remove(*id) {
                // Whoever asked may have given up.
                let _ = sender.send(outcome(end, &body));
            }
            Ok(status(StatusCode::ACCEPTED))
        }
        (&Method::POST, ["init", "error"]) => Ok(status(StatusCode::ACCEPTED)),
        _ => Ok(status(StatusCode::NOT_FOUND)),
    }
}

/// Waits for the next event, as the real one does.
async fn next(state: &State) -> Response<Full<Bytes>> {
    state.is_polled.send_replace(true);
    let Some((id, event)) = state.events.lock().await.recv().await else {
        return status(StatusCode::GONE);
    };
    let response = Response::builder()
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", DEADLINE_MS)
        .header(
            "lambda-runtime-invoked-function-arn",
            crate::wire::arn("lambda", "function:under-test"),
        )
        .header("content-type", "application/json")
        .body(Full::new(event));
    response.unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR))
}

fn outcome(end: &str, body: &[u8]) -> Outcome {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    if end == "response" {
        return Outcome::Answered(value);
    }
    let text = |member: &str| value[member].as_str().unwrap_or_default().to_owned();
    Outcome::Failed {
        kind: text("errorType"),
        message: text("errorMessage"),
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
