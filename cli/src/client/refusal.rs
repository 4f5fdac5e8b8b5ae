//! What API Gateway says by itself, before or instead of the function: no problem documents, but
//! `{"message": …}` with the kind of error in the header `x-amzn-ErrorType`.
//!
//! The kinds are those of the gateway's responses and of IAM's common errors. Gateway responses can be
//! customised and headers can get lost on the way, so the message decides where the header does not,
//! and an unknown combination is still shown as it is.

use std::fmt;

use http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::exchange::Answer;
use crate::output::printable;

/// IAM accepts a signature that is this much older or younger than the present.
pub(crate) const SKEW_LIMIT: SignedDuration = SignedDuration::from_mins(5);

/// A refusal of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Which of the known ones it is.
    pub(crate) kind: Kind,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What was said, printable.
    said: String,
    /// How far this machine's clock is ahead of the gateway's.
    skew: Option<SignedDuration>,
}

/// The refusals with a way out of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The session is over.
    ExpiredToken,
    /// The signature's time is not the gateway's.
    ClockSkew,
    /// The signature's region is not the API's.
    WrongRegion,
    /// The signature does not fit the request or the key.
    Signature,
    /// Nobody knows the access key.
    UnknownKey,
    /// IAM or the API's policy says no.
    AccessDenied,
    /// No such route, or no signature arrived.
    MissingToken,
    /// A firewall, a private API, a domain without a mapping.
    Forbidden,
    /// Too many requests.
    Throttled,
    /// The function took too long.
    TimedOut,
    /// The function or the gateway failed.
    Failed,
    /// Anything else.
    Other,
}

#[derive(Deserialize)]
struct Said {
    #[serde(alias = "Message")]
    message: Option<String>,
}

impl Refusal {
    /// Reads the answer; `None` where nothing in it is the gateway's.
    pub(crate) fn of(answer: &Answer, now: Timestamp) -> Option<Self> {
        let said: Option<String> = serde_json::from_slice::<Said>(&answer.body)
            .ok()
            .and_then(|said| said.message);
        let name = error_name(&answer.headers);
        if said.is_none() && name.is_none() {
            return None;
        }
        let said = said.unwrap_or_default();
        let skew = skew_of(&answer.headers, now);
        Some(Self {
            kind: Kind::of(answer.status, name.unwrap_or_default(), &said, skew),
            status: answer.status.as_u16(),
            said: printable(&said).trim().to_owned(),
            skew,
        })
    }

    /// Whether the same request may well be taken in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.kind, Kind::Throttled | Kind::TimedOut | Kind::Failed)
    }

    /// A stable word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self.kind {
            Kind::ExpiredToken => "credentials-expired",
            Kind::ClockSkew => "clock-skew",
            Kind::WrongRegion => "wrong-region",
            Kind::Signature => "signature-refused",
            Kind::UnknownKey => "credentials-unknown",
            Kind::AccessDenied => "access-denied",
            Kind::MissingToken => "no-such-route",
            Kind::Forbidden => "forbidden-by-gateway",
            Kind::Throttled => "throttled",
            Kind::TimedOut => "gateway-timeout",
            Kind::Failed => "gateway-failure",
            Kind::Other => "gateway-refusal",
        }
    }
}

impl Kind {
    fn of(status: StatusCode, name: &str, said: &str, skew: Option<SignedDuration>) -> Self {
        let says = |text: &str| said.contains(text);
        match name {
            _ if says("Credential should be scoped to") => Self::WrongRegion,
            "RequestExpired" | "RequestTimeTooSkewed" => Self::ClockSkew,
            _ if says("Signature expired") || says("Signature not yet current") => Self::ClockSkew,
            "ExpiredTokenException" | "ExpiredToken" => Self::ExpiredToken,
            _ if says("security token included in the request is expired") => Self::ExpiredToken,
            "InvalidSignatureException" | "SignatureDoesNotMatch"
                if skew.is_some_and(|skew| skew.abs() > SKEW_LIMIT) =>
            {
                Self::ClockSkew
            }
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignatureException"
            | "IncompleteSignature" => Self::Signature,
            "UnrecognizedClientException" | "InvalidClientTokenId" => Self::UnknownKey,
            _ if says("security token included in the request is invalid") => Self::UnknownKey,
            "MissingAuthenticationTokenException" | "MissingAuthenticationToken" => {
                Self::MissingToken
            }
            "AccessDeniedException" | "AccessDenied" => Self::AccessDenied,
            _ if says("is not authorized to") => Self::AccessDenied,
            "TooManyRequestsException" | "LimitExceededException" | "ThrottlingException" => {
                Self::Throttled
            }
            "ForbiddenException" => Self::Forbidden,
            _ => Self::by_status(status),
        }
    }

    fn by_status(status: StatusCode) -> Self {
        match status.as_u16() {
            403 => Self::Forbidden,
            429 => Self::Throttled,
            504 => Self::TimedOut,
            500..=599 => Self::Failed,
            _ => Self::Other,
        }
    }

    fn way_out(self) -> &'static str {
        match self {
            Self::ExpiredToken => {
                "the AWS credentials have expired: sign in again (`aws sso login`), or renew \
                 AWS_SESSION_TOKEN and the two keys with it"
            }
            Self::ClockSkew => {
                "this machine's clock is not right, and a signature is good for five minutes: set it, \
                 as by NTP"
            }
            Self::WrongRegion => "the API is in another region: name it with --region",
            Self::Signature => {
                "the signature was refused: the secret key does not belong to the access key, or a \
                 proxy changed the request on its way"
            }
            Self::UnknownKey => {
                "AWS does not know the access key: it was deleted, is of another partition, or its \
                 session token is missing"
            }
            Self::AccessDenied => {
                "the caller needs execute-api:Invoke on this API, in a policy of its own, and \
                 the API's policy must not refuse it"
            }
            Self::MissingToken => {
                "API Gateway has no such route there: the address must end with the API's stage, as \
                 the stack's output ApiUrl does"
            }
            Self::Forbidden => {
                "something in front of the API refused the request: a firewall (WAF), a private API \
                 that is reached through its VPC endpoint alone, or a domain without a mapping"
            }
            Self::Throttled => "there are too many requests; repeat it in a moment",
            Self::TimedOut => {
                "the API's function did not answer within API Gateway's limit of 29 s; its log says \
                 what it waited for"
            }
            Self::Failed => {
                "the API's function failed or is not there; its log says why, and the stack's alarms"
            }
            Self::Other => "API Gateway refused the request",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.way_out())?;
        if let (Kind::ClockSkew, Some(skew)) = (self.kind, self.skew) {
            write!(f, " ({})", skew_words(skew))?;
        }
        if self.said.is_empty() {
            write!(f, " (HTTP {})", self.status)
        } else {
            write!(f, " (HTTP {}: {})", self.status, self.said)
        }
    }
}

/// `it is 7 minutes ahead`.
pub(crate) fn skew_words(skew: SignedDuration) -> String {
    let seconds = skew.abs().as_secs();
    let direction = if skew.is_negative() {
        "behind"
    } else {
        "ahead"
    };
    if seconds < 120 {
        format!("it is {seconds} s {direction}")
    } else {
        format!("it is {} minutes {direction}", seconds / 60)
    }
}

/// How far this machine's clock is ahead of whoever answered.
pub(crate) fn skew_of(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let then = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(date)
        .ok()?;
    Some(now.duration_since(then))
}

/// The header may carry a namespace behind a colon.
fn error_name(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("x-amzn-errortype")?.to_str().ok()?;
    value.split([':', ',']).next().map(str::trim)
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
