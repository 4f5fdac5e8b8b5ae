//! The API: one method per route.
//!
//! The local mode takes plain requests on loopback; a deployed stack takes signed ones over TLS.
//! [`Access`] holds what either needs, so that a client without a signer has no way off this machine.
//! What may be repeated without harm (reads, plans, a deploy with its key) is repeated a few times when
//! it fails in passing; an operator's order never is, for the second would be refused or meant twice.
//! Texts of an answer are made printable here, in the one place that all of them pass, so that nothing
//! further in has to remember it.

pub(crate) mod address;
pub(crate) mod error;
pub(crate) mod exchange;
pub(crate) mod refusal;
pub(crate) mod signer;

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use rand::Rng as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::domain::state::Status;
use shared::wire::api::{
    ChecksView, CommandBody, DeploymentView, FreezeBody, FreezeView, HistoryView, ListView,
    PlanView, WeightBody,
};
use shared::wire::report::Report;

use crate::output::printable;

use address::Address;
pub(crate) use error::ClientError;
use exchange::{Answer, Exchange, Trust};
use refusal::{Kind, Refusal};
use signer::Signer;

/// How often a call that may be repeated is tried.
const TRIES: u32 = 4;
/// The longest wait before the second try; it doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Whoever asks for a longer wait than this is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How requests name their sender in access logs.
const USER_AGENT: &str = concat!("canary/", env!("CARGO_PKG_VERSION"));

/// Which deployments to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListFilter {
    /// Of this endpoint.
    pub(crate) endpoint: Option<String>,
    /// In this status.
    pub(crate) status: Option<Status>,
}

/// What a request needs to be let in.
#[derive(Debug)]
enum Access {
    /// Nothing: it stays on this machine.
    Loopback,
    /// A signature.
    Signed(Box<Signer>),
}

/// The API of one stack.
#[derive(Debug)]
pub(crate) struct Client {
    api: String,
    access: Access,
    exchange: Exchange,
    first_wait: Duration,
}

impl Client {
    /// For the local mode. Nothing else takes unsigned requests, so nothing else is spoken to.
    pub(crate) fn on_loopback(address: &Address) -> Self {
        assert!(address.is_loopback(), "unsigned requests stay here");
        Self {
            api: address.url.clone(),
            access: Access::Loopback,
            exchange: Exchange::on_loopback(),
            first_wait: FIRST_WAIT,
        }
    }

    /// For a deployed stack.
    pub(crate) fn signed(address: &Address, signer: Signer, trust: &Trust) -> Self {
        Self {
            api: address.url.clone(),
            access: Access::Signed(Box::new(signer)),
            exchange: Exchange::over_tls(trust),
            first_wait: FIRST_WAIT,
        }
    }

    /// What signs the requests; nothing does in the local mode.
    pub(crate) fn signer(&self) -> Option<&Signer> {
        match &self.access {
            Access::Loopback => None,
            Access::Signed(signer) => Some(signer),
        }
    }

    /// `POST /deploy`.
    pub(crate) async fn deploy(
        &self,
        specification: &Value,
        key: &HeaderValue,
    ) -> Result<DeploymentView, ClientError> {
        let call = Call::new(Method::POST, "/deploy").body(specification);
        self.call(Call {
            key: Some(key.clone()),
            // The key makes it start one deployment only.
            may_repeat: true,
            ..call
        })
        .await
    }

    /// `POST /plan`.
    pub(crate) async fn plan(&self, specification: &Value) -> Result<PlanView, ClientError> {
        let call = Call::new(Method::POST, "/plan").body(specification);
        // Nothing is done by it.
        self.call(Call {
            may_repeat: true,
            ..call
        })
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

    /// `GET /deployments/{id}/report`, as JSON.
    pub(crate) async fn report(&self, id: &str) -> Result<Report, ClientError> {
        self.get(&format!("/deployments/{}/report", encoded(id)))
            .await
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
        self.call(Call::new(Method::POST, &path).body(&body)).await
    }

    /// `POST /deployments/{id}/undo`.
    pub(crate) async fn undo(
        &self,
        id: &str,
        reason: Option<String>,
        key: &HeaderValue,
    ) -> Result<DeploymentView, ClientError> {
        let path = format!("/deployments/{}/undo", encoded(id));
        let body = serde_json::to_value(CommandBody { reason }).expect("texts make JSON");
        let call = Call::new(Method::POST, &path).body(&body);
        self.call(Call {
            key: Some(key.clone()),
            // The key makes it start one deployment only.
            may_repeat: true,
            ..call
        })
        .await
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
        self.call(Call::new(Method::PUT, &path).body(&body)).await
    }

    /// `PUT /endpoints/{name}/freeze`; doing it twice is as good as once.
    pub(crate) async fn freeze(
        &self,
        name: &str,
        body: &FreezeBody,
    ) -> Result<FreezeView, ClientError> {
        let path = format!("/endpoints/{}/freeze", encoded(name));
        let body = serde_json::to_value(body).expect("texts make JSON");
        let call = Call::new(Method::PUT, &path).body(&body);
        self.call(Call {
            may_repeat: true,
            ..call
        })
        .await
    }

    /// `DELETE /endpoints/{name}/freeze`.
    pub(crate) async fn thaw(&self, name: &str) -> Result<FreezeView, ClientError> {
        let path = format!("/endpoints/{}/freeze", encoded(name));
        let call = Call::new(Method::DELETE, &path);
        self.call(Call {
            may_repeat: true,
            ..call
        })
        .await
    }

    /// A route of the local mode, which no deployed API has: `/local/…`.
    pub(crate) async fn local<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, ClientError> {
        let call = Call::new(method, path);
        self.call(match body {
            Some(body) => call.body(body),
            None => call,
        })
        .await
    }

    /// Where it is.
    pub(crate) fn api(&self) -> &str {
        &self.api
    }

    /// `GET /health`, with the headers that came along.
    pub(crate) async fn health(&self) -> Result<Answer, ClientError> {
        self.answered(&Call::new(Method::GET, "/health")).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Call::new(Method::GET, path)).await
    }

    async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let answer = self.answered(&call).await?;
        let value = serde_json::from_slice(&answer.body).map(cleaned);
        value
            .and_then(serde_json::from_value)
            .map_err(|source| ClientError::Unreadable {
                api: self.api.clone(),
                source,
            })
    }

    /// The answer of success, after as many tries as the call allows.
    async fn answered(&self, call: &Call) -> Result<Answer, ClientError> {
        let tries = if call.may_repeat && self.signer().is_some() {
            TRIES
        } else {
            1
        };
        let mut wait = self.first_wait;
        for _ in 1..tries {
            match self.once_renewed(call).await {
                Err(Failed { error, after }) if error.is_passing() && after <= LONGEST_WAIT => {
                    // Random, so that those who were throttled together don't come back together.
                    let random = wait.mul_f64(rand::rng().random_range(0.5..1.0));
                    tokio::time::sleep(random.max(after)).await;
                    wait *= 2;
                }
                other => return other.map_err(|failed| failed.error),
            }
        }
        let last = self.once_renewed(call).await;
        last.map_err(|failed| failed.error)
    }

    /// One try; two where AWS says that the credentials are over, for there may be new ones by now.
    async fn once_renewed(&self, call: &Call) -> Result<Answer, Failed> {
        let first = self.once(call).await;
        match (&first, self.signer()) {
            (Err(failed), Some(signer)) if failed.is_expired() => {
                signer.forget().await;
                self.once(call).await
            }
            _ => first,
        }
    }

    async fn once(&self, call: &Call) -> Result<Answer, Failed> {
        let mut request = call.request(&self.api);
        if let Access::Signed(signer) = &self.access {
            signer
                .sign(&mut request)
                .await
                .map_err(ClientError::Unsigned)?;
        }
        let is_loopback = self.signer().is_none();
        let answer = self.exchange.send(request).await;
        let answer =
            answer.map_err(|error| ClientError::unanswered(&self.api, is_loopback, error))?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(Failed {
            after: asked_to_wait(&answer),
            error: self.refused(&answer),
        })
    }

    /// What an answer without success says.
    fn refused(&self, answer: &Answer) -> ClientError {
        let api = self.api.clone();
        if answer.status.is_redirection() {
            return ClientError::Redirect { api };
        }
        let value = serde_json::from_slice(&answer.body).map(cleaned);
        if let Ok(problem) = value.and_then(serde_json::from_value) {
            return ClientError::Problem(Box::new(problem));
        }
        let now = self.signer().map(Signer::now);
        match now.and_then(|now| Refusal::of(answer, now)) {
            Some(refusal) => ClientError::Refused(Box::new(refusal)),
            None => ClientError::Unexplained {
                api,
                status: answer.status.as_u16(),
            },
        }
    }
}

/// One call of the API.
#[derive(Debug)]
struct Call {
    method: Method,
    path: String,
    body: Option<String>,
    key: Option<HeaderValue>,
    /// Whether doing it twice is as good as once.
    may_repeat: bool,
}

impl Call {
    /// Reads may be repeated; anything else only where it says so.
    fn new(method: Method, path: &str) -> Self {
        Self {
            may_repeat: method == Method::GET,
            method,
            path: path.to_owned(),
            body: None,
            key: None,
        }
    }

    fn body(mut self, document: &Value) -> Self {
        self.body = Some(document.to_string());
        self
    }

    fn request(&self, api: &str) -> Request<Bytes> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(format!("{api}{}", self.path))
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json");
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        request
            .body(Bytes::from(self.body.clone().unwrap_or_default()))
            .expect("the address was checked and all else is encoded")
    }
}

/// A try that failed.
struct Failed {
    error: ClientError,
    /// How long the answer asks to be left alone.
    after: Duration,
}

impl Failed {
    fn is_expired(&self) -> bool {
        matches!(&self.error, ClientError::Refused(refusal) if refusal.kind == Kind::ExpiredToken)
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self {
            error,
            after: Duration::ZERO,
        }
    }
}

/// `Retry-After` in seconds; nobody here sends dates.
fn asked_to_wait(answer: &Answer) -> Duration {
    let header = answer.headers.get(header::RETRY_AFTER);
    let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
pub(crate) fn encoded(text: &str) -> String {
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
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
#[path = "deployed_tests.rs"]
pub(crate) mod deployed_tests;
