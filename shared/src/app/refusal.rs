//! Why a deployment is not accepted: one set of reasons for a new one, for its plan and for an undo, whichever of
//! the checks finds it.

use std::borrow::Cow;

use super::ports::PortError;
use crate::domain::authority::Outside;
use crate::domain::freeze::Freeze;

/// Why a deployment was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The endpoint or the model can't take it: which field, and what to do.
    #[error("{detail}")]
    Unfit {
        /// A stable word for the kind of problem.
        kind: &'static str,
        /// The field of the specification.
        field: Cow<'static, str>,
        /// What is wrong and the way out.
        detail: String,
    },
    /// The gate refuses the model.
    #[error("the gate refuses {model}: {sentence}")]
    Rejected {
        /// The model.
        model: String,
        /// What it fell short of.
        sentence: String,
    },
    /// Nothing begins at the moment.
    #[error(
        "endpoint {endpoint} is {freeze}; wait until it is lifted, or, if this can't wait, say `hotfix: {{reason: …}}` as one of its approvers"
    )]
    Frozen {
        /// The endpoint.
        endpoint: String,
        /// By whom, until when and why.
        freeze: Box<Freeze>,
    },
    /// The endpoint has a deployment that is not over.
    #[error(
        "endpoint {endpoint} has deployment {by}, which is not over; wait for it, or roll it back"
    )]
    Locked {
        /// The endpoint.
        endpoint: String,
        /// The deployment that holds the lock.
        by: String,
    },
    /// There is nothing to go back to, or nowhere to go back from.
    #[error("{detail}")]
    NoWayBack {
        /// What is missing and the way out.
        detail: String,
    },
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for another request in the last 24 h; use a new one")]
    KeyReused,
    /// A request with the same key is under way.
    #[error("a request with this Idempotency-Key is under way; repeat it in a moment")]
    KeyInProgress,
    /// Something could not be read or written.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<Outside> for Refusal {
    fn from(outside: Outside) -> Self {
        unfit(outside.kind, outside.field, outside.detail)
    }
}

/// That the endpoint or the model can't take it, by a field of the specification.
pub(super) fn unfit(
    kind: &'static str,
    field: impl Into<Cow<'static, str>>,
    detail: String,
) -> Refusal {
    Refusal::Unfit {
        kind,
        field: field.into(),
        detail,
    }
}
