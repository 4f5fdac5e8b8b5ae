//! What listens on this machine for this machine alone: `canary local` and `canary dashboard`.
//!
//! Requests are unsigned here, so a page in the person's browser must not be able to make them: the Host
//! must be loopback, and so must the Origin where there is one.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use shared::wire::problem::{MEDIA_TYPE, Problem};
use simulator::is_from_loopback;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why nobody can be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoopbackError {
    /// The port is somebody else's.
    #[error("{address} can't be listened on; name another port")]
    Taken {
        /// Where it was to be.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Nothing would stop it.
    #[error("signals can't be handled")]
    Signals(#[source] std::io::Error),
}

/// Listens on a port of loopback, on a free one for 0; says which.
pub(crate) async fn listen(port: u16) -> Result<(TcpListener, u16), LoopbackError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let taken = |source| LoopbackError::Taken { address, source };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let port = listener.local_addr().map_err(taken)?.port();
    Ok((listener, port))
}

/// Ctrl-C and SIGTERM, from the moment it is made: one that comes while something starts is not lost.
pub(crate) struct Interrupts {
    terminate: Signal,
    interrupt: Signal,
}

impl Interrupts {
    /// From now on they end nothing by themselves.
    pub(crate) fn new() -> Result<Self, LoopbackError> {
        let of = |kind| signal(kind).map_err(LoopbackError::Signals);
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
        })
    }

    /// Until one comes.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The same routes, for requests from this machine alone.
pub(crate) fn guarded(router: Router) -> Router {
    router.layer(middleware::from_fn(only_from_loopback))
}

async fn only_from_loopback(request: Request, next: Next) -> Response {
    if is_from_loopback(request.headers()) {
        return next.run(request).await;
    }
    let problem = Problem::new(
        403,
        "not-from-loopback",
        "requests are taken from this machine only: Host and Origin must name 127.0.0.1 or localhost",
    );
    (
        StatusCode::FORBIDDEN,
        [(header::CONTENT_TYPE, MEDIA_TYPE)],
        problem.body(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    /// A page that a browser has loaded from elsewhere, by its own name or by one that was pointed at
    /// this machine, reaches no route: not to read, and not to order.
    #[tokio::test]
    async fn a_page_from_elsewhere_reaches_no_route() {
        let own = "127.0.0.1:8686";
        for (host, origin, reaches) in [
            (own, None, true),
            ("localhost:8686", None, true),
            (own, Some("http://127.0.0.1:8686"), true),
            (own, Some("http://localhost:3000"), true),
            ("rebound.example:8686", None, false),
            (
                "rebound.example:8686",
                Some("http://rebound.example:8686"),
                false,
            ),
            ("127.0.0.1.example:8686", None, false),
            (own, Some("https://example.org"), false),
            (own, Some("http://127.0.0.1.example"), false),
            (own, Some("null"), false),
        ] {
            for (method, path) in [
                ("GET", "/deployments"),
                ("POST", "/deployments/{id}/rollback"),
            ] {
                let reached = async || "reached";
                let routes = Router::new().route(path, axum::routing::any(reached));
                let request = Request::builder()
                    .method(method)
                    .uri(path.replace("{id}", "7"))
                    .header(header::HOST, host)
                    .header(header::CONTENT_TYPE, "text/plain");
                let request = match origin {
                    Some(origin) => request.header(header::ORIGIN, origin),
                    None => request,
                };
                let request = request.body(axum::body::Body::empty()).expect("a request");
                let response = guarded(routes).oneshot(request).await;
                let status = response.expect("the router is infallible").status();
                let expected = if reaches {
                    StatusCode::OK
                } else {
                    StatusCode::FORBIDDEN
                };
                assert_eq!(status, expected, "{method} {host} {origin:?}");
            }
        }
    }
}
