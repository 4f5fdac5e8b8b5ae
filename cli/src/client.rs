//! The API over plain HTTP.
//!
//! Only a loopback address is spoken to: a deployed stack takes signed requests alone, and an
//! unsigned one must not leave the machine. Every call has a time limit and every answer a size
//! limit. Texts of an answer are made printable here, in the one place that all of them pass,
//! so that nothing further in has to remember it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::domain::state::Status;
use shared::wire::api::{
    ChecksView, CommandBody, DeploymentView, HistoryView, ListView, PlanView, WeightBody,
};
use shared::wire::problem::Problem;

use crate::output::printable;

/// Where `canary local` listens unless told otherwise.
pub(crate) const DEFAULT_API: &str = "http://127.0.0.1:8686";

/// Loopback answers at once or not at all.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The slowest call, `POST /deploy`, asks AWS half a dozen things.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// A page of a thousand checks stays well below.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Why there is no answer, or not the one asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Not an address that this version can speak to.
    #[error("{api} can't be the API: {why}")]
    Address {
        /// As it was given.
        api: String,
        /// What is wrong with it and the way out.
        why: &'static str,
    },
    /// Nobody listens there.
    #[error(
        "nothing answers at {api}: start `canary local`, or name another address with --api or CANARY_API"
    )]
    Unreachable {
        /// Where it was looked for.
        api: String,
        /// What the system said.
        source: hyper_util::client::legacy::Error,
    },
    /// The connection broke.
    #[error("the connection to {api} broke before the answer was complete")]
    Broken {
        /// Where.
        api: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("{api} did not answer within {} s", limit.as_secs())]
    Late {
        /// Who did not.
        api: String,
        /// The time it had.
        limit: Duration,
    },
    /// An answer too large to be one.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// What is still read.
        limit: usize,
    },
    /// An answer of another shape, with a status of success.
    #[error("the answer can't be read; is {api} the API, and of this version?")]
    Unreadable {
        /// Who answered.
        api: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An error without a problem document.
    #[error("{api} answered {status} without saying why; is it the API?")]
    Unexplained {
        /// Who answered.
        api: String,
        /// The HTTP status.
        status: u16,
    },
    /// A problem document.
    #[error("{}: {}", .0.title, .0.detail)]
    Problem(Box<Problem>),
}

impl ClientError {
    /// Whether the same call may well work in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Late { .. } => true,
            Self::Unexplained { status, .. } => *status >= 500,
            Self::Problem(problem) => matches!(problem.status, 429 | 503),
            Self::Address { .. } | Self::TooLarge { .. } | Self::Unreadable { .. } => false,
        }
    }
}

/// Which deployments to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListFilter {
    /// Of this endpoint.
    pub(crate) endpoint: Option<String>,
    /// In this status.
    pub(crate) status: Option<Status>,
}

/// The API of one stack.
#[derive(Debug)]
pub(crate) struct Client {
    api: String,
    http: HttpClient<HttpConnector, Full<Bytes>>,
    call_limit: Duration,
    answer_limit: usize,
}

impl Client {
    /// For an API at this URL, which may have a path.
    pub(crate) fn new(api: &str) -> Result<Self, ClientError> {
        let api = api.trim_end_matches('/');
        check_address(api).map_err(|why| ClientError::Address {
            api: printable(api),
            why,
        })?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_LIMIT));
        Ok(Self {
            api: api.to_owned(),
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
            call_limit: CALL_LIMIT,
            answer_limit: ANSWER_LIMIT,
        })
    }

    /// `POST /deploy`.
    pub(crate) async fn deploy(
        &self,
        specification: &Value,
        key: Option<&HeaderValue>,
    ) -> Result<DeploymentView, ClientError> {
        self.call(Method::POST, "/deploy", Some(specification), key)
            .await
    }

    /// `POST /plan`.
    pub(crate) async fn plan(&self, specification: &Value) -> Result<PlanView, ClientError> {
        self.call(Method::POST, "/plan", Some(specification), None)
            .await
    }

    /// One page of `GET /deployments`, newest first.
    pub(crate) async fn list(
        &self,
        filter: &ListFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<ListView<DeploymentView>, ClientError> {
        let mut path = format!("/deployments?limit={limit}");
        let status = filter.status.map(|status| status.to_string());
        let parameters = [
            ("endpoint", filter.endpoint.as_deref()),
            ("status", status.as_deref()),
            ("cursor", cursor),
        ];
        for (name, value) in parameters {
            if let Some(value) = value {
                write!(path, "&{name}={}", encoded(value)).expect("a string takes everything");
            }
        }
        self.get(&path).await
    }

    /// `GET /deployments/{id}`.
    pub(crate) async fn deployment(&self, id: &str) -> Result<DeploymentView, ClientError> {
        self.get(&format!("/deployments/{}", encoded(id))).await
    }

    /// `GET /deployments/{id}/history`, oldest first.
    pub(crate) async fn history(&self, id: &str) -> Result<HistoryView, ClientError> {
        self.get(&format!("/deployments/{}/history", encoded(id)))
            .await
    }

    /// One page of `GET /deployments/{id}/checks`, newest first.
    pub(crate) async fn checks(
        &self,
        id: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<ChecksView, ClientError> {
        let mut path = format!("/deployments/{}/checks?limit={limit}", encoded(id));
        if let Some(cursor) = cursor {
            write!(path, "&cursor={}", encoded(cursor)).expect("a string takes everything");
        }
        self.get(&path).await
    }

    /// `POST /deployments/{id}/{order}`; the order may carry a query.
    pub(crate) async fn order(
        &self,
        id: &str,
        order: &str,
        reason: Option<String>,
    ) -> Result<DeploymentView, ClientError> {
        let path = format!("/deployments/{}/{order}", encoded(id));
        let body = serde_json::to_value(CommandBody { reason }).expect("texts make JSON");
        self.call(Method::POST, &path, Some(&body), None).await
    }

    /// `PUT /deployments/{id}/weight`.
    pub(crate) async fn weight(
        &self,
        id: &str,
        weight: u8,
        reason: Option<String>,
    ) -> Result<DeploymentView, ClientError> {
        let path = format!("/deployments/{}/weight", encoded(id));
        let body = serde_json::to_value(WeightBody { weight, reason })
            .expect("a number and a text make JSON");
        self.call(Method::PUT, &path, Some(&body), None).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, None, None).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&HeaderValue>,
    ) -> Result<T, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.api))
            .header(header::ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let request = request
            .body(Full::new(Bytes::from(bytes)))
            .expect("the address was checked and all else is encoded");
        let (status, answer) = tokio::time::timeout(self.call_limit, self.exchange(request))
            .await
            .map_err(|_| ClientError::Late {
                api: self.api.clone(),
                limit: self.call_limit,
            })??;
        self.read(status, &answer)
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(http::StatusCode, Bytes), ClientError> {
        let api = || self.api.clone();
        let response = self.http.request(request).await.map_err(|source| {
            if source.is_connect() {
                return ClientError::Unreachable { api: api(), source };
            }
            let source = source.into();
            ClientError::Broken { api: api(), source }
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), self.answer_limit);
        match body.collect().await {
            Ok(collected) => Ok((status, collected.to_bytes())),
            Err(source) if source.is::<LengthLimitError>() => Err(ClientError::TooLarge {
                limit: self.answer_limit,
            }),
            Err(source) => Err(ClientError::Broken { api: api(), source }),
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        status: http::StatusCode,
        answer: &[u8],
    ) -> Result<T, ClientError> {
        let value = serde_json::from_slice(answer).map(cleaned);
        if status.is_success() {
            return value.and_then(serde_json::from_value).map_err(|source| {
                ClientError::Unreadable {
                    api: self.api.clone(),
                    source,
                }
            });
        }
        match value.and_then(serde_json::from_value) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) => Err(ClientError::Unexplained {
                api: self.api.clone(),
                status: status.as_u16(),
            }),
        }
    }
}

/// Whether unsigned requests may go there.
fn check_address(api: &str) -> Result<(), &'static str> {
    const UNSIGNED: &str = "a deployed stack needs signed requests, which are not built yet; \
                            for now only http:// on loopback works, as `canary local` serves it";
    let address: Uri = api
        .parse()
        .map_err(|_| "it is not a URL like http://127.0.0.1:8686")?;
    let host = match (address.scheme_str(), address.host()) {
        (Some("http"), Some(host)) => host.trim_start_matches('[').trim_end_matches(']'),
        (Some("https"), Some(_)) => return Err(UNSIGNED),
        _ => return Err("it is not a URL like http://127.0.0.1:8686"),
    };
    if address.query().is_some() || api.contains(['#', '@']) {
        return Err("user, query and fragment have no place in it");
    }
    let loopback = host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if loopback { Ok(()) } else { Err(UNSIGNED) }
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes everything");
        }
    }
    encoded
}

/// The same document with every text printable.
fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text)),
        Value::Array(items) => items.into_iter().map(cleaned).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (printable(&name), cleaned(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
