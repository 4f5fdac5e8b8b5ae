//! Signatures (AWS Signature Version 4, service `execute-api`) with the caller's own credentials.
//!
//! Credentials are kept while they are good and had anew a few minutes before they expire, so that a
//! deployment can be watched for longer than a session lasts. A renewal that fails does not matter as
//! long as the present ones are still valid. Nothing of them is ever printed: the SDK's types write
//! neither the key nor the token, and the headers that carry them are marked sensitive.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::verbs::chain;

/// Credentials this close to their end are renewed first: a request must not arrive too late.
const RENEWED_BEFORE: Duration = Duration::from_mins(5);
/// What API Gateway is called in a signature's scope.
const SERVICE: &str = "execute-api";

/// Signs requests to one API.
#[derive(Debug)]
pub(crate) struct Signer {
    credentials: SharedCredentialsProvider,
    region: String,
    held: Mutex<Option<Credentials>>,
    clock: fn() -> SystemTime,
}

/// Why a request was not signed, and so not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsigned {
    /// There are no credentials, or they can't be had.
    #[error("{}", words(.0))]
    Credentials(CredentialsError),
    /// The signer refused the request.
    #[error("the request can't be signed")]
    Signing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Unsigned {
    /// Whether there may be credentials in a moment: whoever gives them out did not answer.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Credentials(
                CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_)
            )
        )
    }

    /// A stable word for it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Credentials(CredentialsError::CredentialsNotLoaded(_)) => "no-credentials",
            Self::Credentials(_) => "credentials-unavailable",
            Self::Signing(_) => "unsigned-request",
        }
    }
}

/// What is wrong with the credentials, and the way out.
fn words(error: &CredentialsError) -> String {
    // The outermost words only say that something went wrong.
    let cause = error.source().map_or_else(|| error.to_string(), chain);
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "there are no AWS credentials: sign in (`aws sso login`, `aws configure`), name a profile \
             with --profile or AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                .to_owned()
        }
        CredentialsError::InvalidConfiguration(_) => format!(
            "the AWS configuration can't be used, see ~/.aws/config and --profile: {cause}"
        ),
        _ => format!(
            "the AWS credentials can't be had; if they come from a sign-in, sign in again, as with \
             `aws sso login`: {cause}"
        ),
    }
}

impl Signer {
    /// With these credentials, for an API in this region.
    pub(crate) fn new(credentials: SharedCredentialsProvider, region: String) -> Self {
        Self {
            credentials,
            region,
            held: Mutex::new(None),
            clock: wall_clock,
        }
    }

    /// The same at another time.
    #[cfg(test)]
    pub(crate) fn at(mut self, clock: fn() -> SystemTime) -> Self {
        self.clock = clock;
        self
    }

    /// The region in the signature's scope.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// The time that signatures carry.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::try_from((self.clock)()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Signs for the present moment: method, address, headers and body as they are now.
    pub(crate) async fn sign(&self, request: &mut Request<Bytes>) -> Result<(), Unsigned> {
        let credentials = self.credentials().await.map_err(Unsigned::Credentials)?;
        self.sign_with(&credentials, request)
            .map_err(Unsigned::Signing)
    }

    fn sign_with(
        &self,
        credentials: &Credentials,
        request: &mut Request<Bytes>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let identity = Identity::from(credentials.clone());
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time((self.clock)())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let mut headers = Vec::with_capacity(request.headers().len());
        for (name, value) in request.headers() {
            headers.push((name.as_str(), value.to_str()?));
        }
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers.into_iter(),
            SignableBody::Bytes(request.body()),
        )?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        signature.apply_to_request_http1x(request);
        Ok(())
    }

    /// The credentials to sign with now.
    pub(crate) async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let mut held = self.held.lock().await;
        let now = (self.clock)();
        if let Some(credentials) = held.as_ref() {
            let good_until = credentials.expiry().map(|end| end - RENEWED_BEFORE);
            if good_until.is_none_or(|end| now < end) {
                return Ok(credentials.clone());
            }
        }
        match self.credentials.provide_credentials().await {
            Ok(renewed) => {
                *held = Some(renewed.clone());
                Ok(renewed)
            }
            Err(error) => held
                .clone()
                .filter(|last| last.expiry().is_some_and(|end| now < end))
                .ok_or(error),
        }
    }

    /// Has the credentials anew for the next request: AWS says that these are over. Some are written
    /// into a file without their end.
    pub(crate) async fn forget(&self) {
        *self.held.lock().await = None;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a signature carries the time at which it is made"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod tests;
