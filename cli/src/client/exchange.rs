//! One request and its answer over the wire: TLS, proxies, time limits and a limit of size.
//!
//! The connector is the SDK's own (hyper and rustls), so that the program has one TLS stack and one way
//! of going through a proxy. It follows no redirect: a signature is for one host, and whoever answers
//! with another place does not get a second request out of us.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Whoever is there accepts within this time; a network that swallows packets is told after it.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The slowest call, `POST /deploy`, asks AWS half a dozen things; API Gateway gives up after 29 s.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// A page of a thousand checks stays well below.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;
/// A bundle of all public authorities has a quarter of a megabyte.
const BUNDLE_LIMIT: usize = 4 * 1024 * 1024;

/// Why TLS can't be spoken at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The file with the authorities can't be used.
    #[error("{} is no usable bundle of CA certificates in PEM: {why}", file.display())]
    Bundle {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The machine trusts nobody.
    #[error(
        "this machine has no CA certificates to check the API's with: install them (on Debian the \
         package ca-certificates), or name a bundle with --ca-file or AWS_CA_BUNDLE"
    )]
    NoAuthorities,
}

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    store: TrustStore,
}

impl Trust {
    /// Those of this bundle alone, as the AWS CLI takes it; the machine's own without one.
    pub(crate) fn of(bundle: Option<&Path>) -> Result<Self, TrustError> {
        let Some(file) = bundle else {
            // The connector would only find out while it is built, and some builds of it panic.
            if rustls_native_certs::load_native_certs().certs.is_empty() {
                return Err(TrustError::NoAuthorities);
            }
            return Ok(Self {
                store: TrustStore::default(),
            });
        };
        let unfit = |why: String| TrustError::Bundle {
            file: file.to_owned(),
            why,
        };
        let pem = std::fs::read(file).map_err(|error| unfit(error.to_string()))?;
        let pem = readable(&pem).map_err(unfit)?;
        Ok(Self {
            store: TrustStore::empty().with_pem_certificate(pem),
        })
    }

    /// A client for the SDK that believes the same.
    pub(crate) fn sdk_client(&self) -> SharedHttpClient {
        let trust = self.clone();
        http_client_fn(move |settings, _| SharedHttpConnector::new(trust.connector(settings)))
    }

    fn connector(&self, settings: &HttpConnectorSettings) -> Connector {
        connector(self.store.clone(), ProxyConfig::from_env(), settings)
    }
}

/// The certificates of a bundle that TLS here can read. The connector takes a bundle as it is and panics
/// over one odd certificate, and bundles of many authorities tend to have one.
fn readable(pem: &[u8]) -> Result<Vec<u8>, String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    if pem.len() > BUNDLE_LIMIT {
        return Err(format!("it has more than {BUNDLE_LIMIT} bytes"));
    }
    let text = String::from_utf8_lossy(pem);
    let mut kept = Vec::new();
    let mut why = "it holds no certificate".to_owned();
    for block in text.split_inclusive(END) {
        let Some(start) = block.find(BEGIN).filter(|_| block.ends_with(END)) else {
            continue;
        };
        let block = &block.as_bytes()[start..];
        let read = CertificateDer::from_pem_slice(block).map_err(|error| error.to_string());
        let mut roots = rustls::RootCertStore::empty();
        match read.and_then(|read| roots.add(read).map_err(|error| error.to_string())) {
            Ok(()) => {
                kept.extend_from_slice(block);
                kept.push(b'\n');
            }
            Err(error) => why = error,
        }
    }
    if kept.is_empty() {
        return Err(why);
    }
    Ok(kept)
}

fn connector(
    store: TrustStore,
    proxies: ProxyConfig,
    settings: &HttpConnectorSettings,
) -> Connector {
    let context = TlsContext::builder().with_trust_store(store).build();
    ConnectorBuilder::default()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .tls_context(context.expect("a trust store alone can't be wrong"))
        .connector_settings(settings.clone())
        .proxy_config(proxies)
        .build()
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// Nobody took the connection, or nobody could be found.
    #[error("no connection")]
    Unreachable(#[source] ConnectorError),
    /// The other side could not prove who it is.
    #[error("TLS: {0}")]
    Untrusted(String),
    /// The connection broke.
    #[error("the connection broke before the answer was complete")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// An answer too large to be one.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// The wire to one API.
#[derive(Debug)]
pub(crate) struct Exchange {
    connector: Connector,
    pub(crate) call_limit: Duration,
    pub(crate) answer_limit: usize,
}

impl Exchange {
    /// Plain HTTP on this machine. A proxy would carry the request off it, so there is none; and a
    /// certificate has nobody to be believed by.
    pub(crate) fn on_loopback() -> Self {
        Self::over(connector(
            TrustStore::empty(),
            ProxyConfig::disabled(),
            &settings(),
        ))
    }

    /// TLS, through the proxy that HTTPS_PROXY and NO_PROXY name, if any.
    pub(crate) fn over_tls(trust: &Trust) -> Self {
        Self::over(trust.connector(&settings()))
    }

    fn over(connector: Connector) -> Self {
        Self {
            connector,
            call_limit: CALL_LIMIT,
            answer_limit: ANSWER_LIMIT,
        }
    }

    /// Sends the request and reads all of the answer.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Answer, Unanswered> {
        tokio::time::timeout(self.call_limit, self.send_in_any_time(request))
            .await
            .map_err(|_| Unanswered::Late(self.call_limit))?
    }

    async fn send_in_any_time(&self, request: Request<Bytes>) -> Result<Answer, Unanswered> {
        let request = HttpRequest::try_from(request.map(SdkBody::from))
            .expect("the address was checked, and headers are made of visible characters");
        let response = self.connector.call(request).await.map_err(unanswered)?;
        let response = response
            .try_into_http1x()
            .map_err(|error| Unanswered::Broken(error.into()))?;
        let (head, body) = response.into_parts();
        match Limited::new(body, self.answer_limit).collect().await {
            Ok(collected) => Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: collected.to_bytes(),
            }),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(Unanswered::TooLarge(self.answer_limit))
            }
            Err(error) => Err(Unanswered::Broken(error)),
        }
    }
}

fn settings() -> HttpConnectorSettings {
    HttpConnectorSettings::builder()
        .connect_timeout(CONNECT_LIMIT)
        .build()
}

/// The connector sorts for retries; what a person needs to know lies deeper in the chain.
fn unanswered(error: ConnectorError) -> Unanswered {
    let mut is_connect = error.is_timeout();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(link) = next {
        if let Some(error) = link.downcast_ref::<rustls::Error>() {
            return Unanswered::Untrusted(error.to_string());
        }
        if let Some(error) = link.downcast_ref::<hyper_util::client::legacy::Error>() {
            is_connect |= error.is_connect();
        }
        // An I/O error names what its own payload was caused by, and skips the payload.
        next = match link.downcast_ref::<std::io::Error>() {
            Some(error) => error.get_ref().map(|inner| inner as _),
            None => link.source(),
        };
    }
    if is_connect {
        Unanswered::Unreachable(error)
    } else {
        Unanswered::Broken(error.into())
    }
}
