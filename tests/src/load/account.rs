//! The simulated account on loopback, with a distance: every answer takes its time, as over a network,
//! and what is asked is counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use simulator::Simulator;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What was asked of the account.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// Calls of every service.
    pub calls: u64,
    /// Calls of GetMetricData.
    pub metric_calls: u64,
    /// The queries in them.
    pub queries: u64,
}

#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    metric_calls: AtomicU64,
    queries: AtomicU64,
}

/// An account that listens.
pub struct Account {
    address: SocketAddr,
    counters: Arc<Counters>,
    /// Ends with this value.
    _server: JoinSet<()>,
}

impl Account {
    /// On a free port of this machine; every answer takes this long at the least.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn open(simulator: Arc<Simulator>, answer: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let counters = Arc::new(Counters::default());
        let mut server = JoinSet::new();
        server.spawn(serve(listener, simulator, Arc::clone(&counters), answer));
        Self {
            address,
            counters,
            _server: server,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked since [`Account::forget`].
    pub fn asked(&self) -> Asked {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Asked {
            calls: count(&self.counters.calls),
            metric_calls: count(&self.counters.metric_calls),
            queries: count(&self.counters.queries),
        }
    }

    /// Counts from nothing again.
    pub fn forget(&self) {
        let counters = &self.counters;
        for counter in [&counters.calls, &counters.metric_calls, &counters.queries] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

async fn serve(
    listener: TcpListener,
    simulator: Arc<Simulator>,
    counters: Arc<Counters>,
    answer: Duration,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (simulator, counters) = (Arc::clone(&simulator), Arc::clone(&counters));
        connections.spawn(async move {
            let service = service_fn(|request| {
                late(
                    Arc::clone(&simulator),
                    Arc::clone(&counters),
                    answer,
                    request,
                )
            });
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that hangs up has what it wanted.
            drop(served.await);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn late(
    simulator: Arc<Simulator>,
    counters: Arc<Counters>,
    answer: Duration,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    counters.calls.fetch_add(1, Ordering::Relaxed);
    if parts.uri.path().ends_with("/GetMetricData") {
        counters.metric_calls.fetch_add(1, Ordering::Relaxed);
        counters
            .queries
            .fetch_add(queries_in(&body), Ordering::Relaxed);
    }
    tokio::time::sleep(answer).await;
    let response = simulator.handle(Request::from_parts(parts, body)).await;
    Ok(response.map(Full::new))
}

/// The SDK sends CBOR, with the queries as a list under their name.
fn queries_in(body: &[u8]) -> u64 {
    let value: ciborium::Value = ciborium::from_reader(body).unwrap_or(ciborium::Value::Null);
    let members = value.as_map().map(Vec::as_slice).unwrap_or_default();
    let of_queries = |(name, _): &&(ciborium::Value, ciborium::Value)| {
        name.as_text() == Some("MetricDataQueries")
    };
    let queries = members.iter().find(of_queries);
    let queries = queries.and_then(|(_, queries)| queries.as_array());
    queries.map_or(0, |queries| queries.len() as u64)
}
