//! Why there is no answer from the API, or not the one asked for.

use std::time::Duration;

use shared::wire::problem::Problem;

use super::exchange::Unanswered;
use super::refusal::{Kind, Refusal};
use super::signer::Unsigned;

/// Why there is no answer, or not the one asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens on loopback.
    #[error(
        "nothing answers at {api}: start `canary local`, or name another address with --api, CANARY_API, --stack or CANARY_STACK_NAME"
    )]
    NotStarted {
        /// Where it was looked for.
        api: String,
    },
    /// A deployed stack can't be reached.
    #[error("{api} can't be reached; is the address right, and does HTTPS_PROXY fit the network?")]
    Unreachable {
        /// Where it was looked for.
        api: String,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A deployed stack could not prove who it is.
    #[error(
        "{api} can't be trusted; if a proxy of your own stands in between, name its CA certificate with --ca-file or AWS_CA_BUNDLE: {why}"
    )]
    Untrusted {
        /// Who could not.
        api: String,
        /// What TLS says about it.
        why: String,
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
    /// A redirect, which a signed request must not follow.
    #[error(
        "{api} sends on to another address, which is not followed; name that one if it is the API"
    )]
    Redirect {
        /// Who answered.
        api: String,
    },
    /// The request was not signed, and so not sent.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    /// API Gateway, not the API, refused.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// A problem document.
    #[error("{}: {}", .0.title, .0.detail)]
    Problem(Box<Problem>),
}

impl ClientError {
    pub(super) fn unanswered(api: &str, is_loopback: bool, error: Unanswered) -> Self {
        let api = api.to_owned();
        match error {
            Unanswered::Unreachable(_) if is_loopback => Self::NotStarted { api },
            Unanswered::Unreachable(source) => Self::Unreachable {
                api,
                source: source.into(),
            },
            Unanswered::Untrusted(why) => Self::Untrusted { api, why },
            Unanswered::Broken(source) => Self::Broken { api, source },
            Unanswered::Late(limit) => Self::Late { api, limit },
            Unanswered::TooLarge(limit) => Self::TooLarge { limit },
        }
    }

    /// Whether the same call may well work in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NotStarted { .. }
            | Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Late { .. } => true,
            Self::Unexplained { status, .. } => *status >= 500 || *status == 429,
            // The second is the API's word for a request that another try of ours is still at.
            Self::Problem(problem) => {
                matches!(problem.status, 429 | 503)
                    || problem.kind.ends_with(":request-in-progress")
            }
            Self::Refused(refusal) => refusal.is_passing(),
            Self::Unsigned(unsigned) => unsigned.is_passing(),
            Self::Untrusted { .. }
            | Self::TooLarge { .. }
            | Self::Unreadable { .. }
            | Self::Redirect { .. } => false,
        }
    }

    /// Whether the request may have been carried out all the same.
    pub(crate) fn is_in_doubt(&self) -> bool {
        match self {
            Self::Broken { .. }
            | Self::Late { .. }
            | Self::TooLarge { .. }
            | Self::Unreadable { .. } => true,
            Self::Unexplained { status, .. } => *status >= 500,
            Self::Refused(refusal) => matches!(refusal.kind, Kind::TimedOut | Kind::Failed),
            Self::Problem(problem) => problem.status >= 500,
            Self::NotStarted { .. }
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::Redirect { .. }
            | Self::Unsigned(_) => false,
        }
    }

    /// A stable word for it, where it is no problem document with one of its own.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NotStarted { .. } | Self::Unreachable { .. } => "api-unreachable",
            Self::Untrusted { .. } => "api-untrusted",
            Self::Late { .. } => "api-late",
            Self::Unsigned(unsigned) => unsigned.kind(),
            Self::Refused(refusal) => refusal.word(),
            Self::Broken { .. }
            | Self::TooLarge { .. }
            | Self::Unreadable { .. }
            | Self::Unexplained { .. }
            | Self::Redirect { .. }
            | Self::Problem(_) => "api-answer",
        }
    }
}
