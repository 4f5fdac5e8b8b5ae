//! The two ways in: a connector for the SDK that never leaves the process, and a server on a socket.
//!
//! A lost answer is an I/O error to the SDK and a connection closed without an answer on the socket, so the
//! caller's own retries and doubts are what is exercised.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wire::{AwsError, Protocol};
use crate::{Lost, Simulator, is_from_loopback, router};

/// More than any simulated service takes.
const LARGEST_REQUEST: usize = 26 * 1024 * 1024;
/// How long connections may finish what they do after the server was told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// A weak handle: functions registered with the simulator hold clients, and a strong one would close a circle
/// that keeps every finished simulator in memory.
#[derive(Clone)]
struct InProcess(Weak<Simulator>);

impl fmt::Debug for InProcess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InProcess")
    }
}

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let simulator = self.0.upgrade();
        HttpConnectorFuture::new(async move {
            let simulator =
                simulator.ok_or_else(|| ConnectorError::io("the simulator is gone".into()))?;
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
            let response = router::answer(&simulator, Request::from_parts(parts, body))
                .await
                .map_err(|lost| ConnectorError::io(lost.into()))?;
            HttpResponse::try_from(response.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl Simulator {
    /// A transport for SDK clients that ends here, without a socket. It does not keep the simulator alive.
    pub fn http_client(self: &Arc<Self>) -> SharedHttpClient {
        SharedHttpClient::new(InProcess(Arc::downgrade(self)))
    }

    /// Serves every service, and `GET /health`, on a socket until `shutdown` ends, to callers on loopback only.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let stop = watch::Sender::new(());
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(
                        Arc::clone(&self),
                        stream,
                        stop.subscribe(),
                    ));
                }
                Err(error) => {
                    // Out of file descriptors, usually: waiting lets some of them close.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
        stop.send_replace(());
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, finished).await.is_err() {
            tracing::warn!("connections were still busy at the end");
        }
    }
}

async fn serve_connection(
    simulator: Arc<Simulator>,
    stream: TcpStream,
    mut stop: watch::Receiver<()>,
) {
    let service = service_fn(move |request| {
        let simulator = Arc::clone(&simulator);
        async move { respond(&simulator, request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// An error from here makes hyper drop the connection without an answer, which is what [`Lost`] means.
async fn respond(
    simulator: &Arc<Simulator>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Lost> {
    if !is_from_loopback(request.headers()) {
        let refusal = AwsError::new(
            StatusCode::FORBIDDEN.as_u16(),
            "AccessDeniedException",
            "the simulator takes requests from this machine only: Host and Origin must name 127.0.0.1 or localhost",
        );
        let response = refusal.response(Protocol::Json, &simulator.ids.next());
        return Ok(response.map(Full::new));
    }
    let (parts, body) = request.into_parts();
    let response = match Limited::new(body, LARGEST_REQUEST).collect().await {
        Ok(body) => {
            let request = Request::from_parts(parts, body.to_bytes());
            router::answer(simulator, request).await?
        }
        Err(error) => AwsError::new(
            StatusCode::PAYLOAD_TOO_LARGE.as_u16(),
            "RequestEntityTooLargeException",
            error.to_string(),
        )
        .response(Protocol::Json, &simulator.ids.next()),
    };
    Ok(response.map(Full::new))
}
