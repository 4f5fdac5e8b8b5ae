//! API Gateway with IAM authentication, on loopback: TLS with a certificate of its own, every signature
//! verified, and its time held to five minutes, before the script says what to answer.

pub(crate) mod signature;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The region that signatures must be for.
pub(crate) const REGION: &str = "eu-central-1";

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// GET, POST, PUT.
    pub(crate) method: String,
    /// As sent, percent signs and all.
    pub(crate) path: String,
    /// The same, without the question mark.
    pub(crate) query: String,
    /// All of them.
    pub(crate) headers: HeaderMap,
    /// All of it.
    pub(crate) body: Bytes,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Beside the ones that every answer has.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: String,
}

impl Reply {
    /// A document.
    pub(crate) fn json(status: u16, document: &serde_json::Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: document.to_string(),
        }
    }

    /// What API Gateway says by itself.
    pub(crate) fn gateway(status: u16, kind: &str, message: &str) -> Self {
        let body = serde_json::json!({"message": message});
        Self::json(status, &body).with("x-amzn-errortype", kind)
    }

    /// With a header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Says what a request whose signature is good gets; told how many came before it.
type Script = Arc<dyn Fn(usize, &Seen) -> Reply + Send + Sync>;

/// What arrived, and what was wrong with each signature.
type Log = Mutex<Vec<(Seen, Result<(), String>)>>;

/// The gateway, open until the test is over.
pub(crate) struct Gateway {
    /// Where it is.
    pub(crate) api: String,
    /// The certificate to believe, in PEM.
    pub(crate) ca: String,
    seen: Arc<Log>,
}

impl Gateway {
    /// Opens one on a free port.
    pub(crate) async fn open(
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into(), "localhost".into()])
            .expect("names make a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .expect("the key is the certificate's");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::default();
        let gateway = Self {
            api: format!("https://{address}/v1"),
            ca: own.cert.pem(),
            seen: Arc::clone(&seen),
        };
        let script: Script = Arc::new(script);
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen, script) =
                    (acceptor.clone(), Arc::clone(&seen), script.clone());
                tokio::spawn(async move {
                    // A client that does not believe the certificate leaves.
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(|request| answer(request, &seen, &script));
                    let connection = http1::Builder::new();
                    let served = connection.serve_connection(TokioIo::new(stream), service);
                    // So does one that has read enough.
                    let _ = served.await;
                });
            }
        });
        gateway
    }

    /// What has been asked, and what was wrong with the signature.
    pub(crate) fn seen(&self) -> Vec<(Seen, Result<(), String>)> {
        self.seen
            .lock()
            .expect("no test panics while it holds it")
            .clone()
    }

    /// What has been asked; every signature must have been good.
    pub(crate) fn asked(&self) -> Vec<Seen> {
        let checked = |(seen, verdict): (Seen, Result<(), String>)| {
            verdict.unwrap_or_else(|why| panic!("{} {}: {why}", seen.method, seen.path));
            seen
        };
        self.seen().into_iter().map(checked).collect()
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: &Log,
    script: &Script,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let asked = Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    };
    let verdict = signature::verify(&asked, REGION);
    let before = {
        let mut all = seen.lock().expect("no test panics while it holds it");
        all.push((asked.clone(), verdict.clone()));
        all.len() - 1
    };
    let now = wall_clock();
    let is_of_now = signature::age(&asked, now).is_some_and(|age| age.abs() <= 300);
    let reply = match verdict {
        Ok(()) if is_of_now => script(before, &asked),
        Ok(()) => Reply::gateway(
            403,
            "InvalidSignatureException",
            "Signature expired: it is now earlier than it may be",
        ),
        Err(_) => Reply::gateway(
            403,
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        ),
    };
    let mut response = Response::builder()
        .status(StatusCode::from_u16(reply.status).expect("a status"))
        .header(
            "date",
            now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        )
        .header("content-type", "application/json");
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response
        .body(Full::new(Bytes::from(reply.body)))
        .expect("headers are sound"))
}

#[expect(clippy::disallowed_methods, reason = "the gateway's clock is right")]
fn wall_clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
