//! `canary dashboard`: a live page of what the API says, for a browser on this machine.
//!
//! Whoever watches a rollout in a browser has no credentials there, and the API takes signed requests. So this
//! listens on loopback, asks the API as every other verb does, and shows the report's own page and pictures
//! with a few lines around them that load them again. It reads and can do nothing else: it knows GET alone,
//! and no route of it gives an order.
//!
//! What it shows of a deployed stack is for the person who started it, and a port on loopback is open to every
//! user of the machine. So its address has a part that is drawn anew each time; the local mode, whose API
//! anybody on the machine may ask, goes without.
//!
//! One question is under way at a time, however many windows are open, and a report is asked for again only
//! once the record's version has moved: it is the dear one, with all minutes in it.

mod document;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use rand::Rng as _;
use serde::Serialize;
use shared::wire::report;
use tokio::sync::{Mutex, oneshot};

use crate::client::{Client, ClientError, ListFilter};
use crate::exit::Exit;
use crate::loopback::{Interrupts, guarded, listen};
use crate::output::{Look, Output};
use crate::place::{Place, PlaceArgs};

use super::Failure;
use super::arguments::DashboardArgs;
use document::{Frame, POLICY};

/// Seconds between two looks of a page: the local mode's time may run fast.
const LOCAL_EVERY: u64 = 2;
/// A deployed stack judges once a minute, and every look costs it a request.
const DEPLOYED_EVERY: u64 = 10;
/// So many times less often is looked at what is over.
const PATIENCE: u64 = 6;
/// Deployments on the first page, newest first.
const SHOWN: usize = 50;
/// What no new version tells: a message that waited and was sent, times that pass.
const KEPT_FOR: Duration = Duration::from_mins(1);
/// Reports that are kept; more are asked for anew.
const KEPT: usize = 16;

/// Where to look.
#[derive(Debug, Serialize)]
struct Addresses {
    /// The live page.
    url: String,
    /// The stack's dashboard in CloudWatch; null where none is known.
    cloudwatch: Option<String>,
}

/// Serves until it is stopped by Ctrl-C or SIGTERM.
pub(super) async fn dashboard(
    place: &PlaceArgs,
    args: &DashboardArgs,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let found = place.find().await?;
    let (listener, port) = listen(args.port).await?;
    let mut interrupts = Interrupts::new()?;
    // An API that isn't there is said now, and not by a page.
    found.client.list(&ListFilter::default(), 1, None).await?;
    let secret = found.client.signer().map(|_| drawn());
    let path = secret.map_or_else(String::new, |secret| format!("{secret}/"));
    let addresses = Addresses {
        url: format!("http://127.0.0.1:{port}/{path}"),
        cloudwatch: found.stack.as_ref().and_then(|it| it.dashboard.clone()),
    };
    let router = guarded(router(Board::of(found), &path));
    output.answer(&addresses, |_| shown(&addresses))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(async move {
        let ended = async move { drop(stopped.await) };
        axum::serve(listener, router)
            .with_graceful_shutdown(ended)
            .await
    });
    interrupts.wait().await;
    drop(stop);
    // Bounded: a browser that keeps its connection open must not keep the process alive.
    drop(tokio::time::timeout(Duration::from_secs(2), served).await);
    Ok(Exit::Done)
}

fn shown(addresses: &Addresses) -> String {
    let mut text = format!("The dashboard is at {}\nCtrl-C stops it.\n", addresses.url);
    if let Some(cloudwatch) = &addresses.cloudwatch {
        text.push_str("In CloudWatch: ");
        text.push_str(&crate::output::printable(cloudwatch));
    }
    text
}

/// Nothing that another user of this machine could guess.
fn drawn() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

/// What the pages are made of.
struct Board {
    client: Client,
    frame: Frame,
    /// Held while the API is asked.
    kept: Mutex<BTreeMap<String, Kept>>,
}

/// A report that was asked for.
struct Kept {
    version: u64,
    at: Instant,
    body: String,
}

impl Board {
    fn of(place: Place) -> Arc<Self> {
        let is_local = place.client.signer().is_none();
        Arc::new(Self {
            frame: Frame {
                api: place.address.url,
                cloudwatch: place.stack.and_then(|stack| stack.dashboard),
                every: if is_local {
                    LOCAL_EVERY
                } else {
                    DEPLOYED_EVERY
                },
            },
            client: place.client,
            kept: Mutex::default(),
        })
    }

    async fn list(&self) -> Result<String, ClientError> {
        let _held = self.kept.lock().await;
        let page = self
            .client
            .list(&ListFilter::default(), SHOWN, None)
            .await?;
        Ok(self.frame.list(&page.items, page.cursor.is_some()))
    }

    async fn report(&self, id: &str) -> Result<String, ClientError> {
        let mut kept = self.kept.lock().await;
        let view = self.client.deployment(id).await?;
        let known = kept
            .get(id)
            .is_some_and(|it| it.version == view.version && it.at.elapsed() < KEPT_FOR);
        if !known {
            let report = self.client.report(id).await?;
            if kept.len() >= KEPT {
                kept.clear();
            }
            let fresh = Kept {
                version: report.deployment.version,
                at: Instant::now(),
                body: report::body(&report),
            };
            kept.insert(id.to_owned(), fresh);
        }
        let body = kept.get(id).map_or("", |it| it.body.as_str());
        Ok(self.frame.report(&view, body))
    }
}

/// The pages, below a path that ends with a slash or is empty.
fn router(board: Arc<Board>, path: &str) -> Router {
    Router::new()
        .route(&format!("/{path}"), get(list))
        .route(&format!("/{path}deployments/{{id}}"), get(one))
        .with_state(board)
}

async fn list(State(board): State<Arc<Board>>) -> Response {
    let page = board.list().await;
    answer(&board, page, "./")
}

async fn one(State(board): State<Arc<Board>>, Path(id): Path<String>) -> Response {
    let page = board.report(&id).await;
    answer(&board, page, "../")
}

/// A page; where the API did not answer with success, one that says so, which goes on trying.
fn answer(board: &Board, page: Result<String, ClientError>, home: &str) -> Response {
    let (status, page) = match page {
        Ok(page) => (StatusCode::OK, page),
        Err(error) => {
            let status = match &error {
                ClientError::Problem(problem) if problem.status == 404 => StatusCode::NOT_FOUND,
                _ => StatusCode::BAD_GATEWAY,
            };
            let said = Failure::from(error).complaint().text(Look::default());
            (status, board.frame.failed(said.trim_end(), home))
        }
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_str(&POLICY).expect("digests and words of ASCII"),
        ),
    ];
    (status, headers, page).into_response()
}

#[cfg(test)]
mod tests;
