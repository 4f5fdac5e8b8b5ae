//! Every error as a problem document. What a caller is told and what is logged are two things.

use axum::response::{IntoResponse, Response};
use shared::app::authority::Inadmissible;
use shared::app::order::OrderError;
use shared::app::ports::{Class, PortError};
use shared::app::refusal::Refusal;
use shared::domain::command::IllegalCommand;
use shared::gateway;
use shared::wire::problem::{Problem, REJECTED_BY_GATE};
use shared::wire::specification::{SpecificationError, Unreadable};

/// A problem document as an answer.
#[derive(Debug)]
pub(crate) struct Answer(Box<Problem>);

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        gateway::respond(&self.0)
    }
}

impl From<SpecificationError> for Answer {
    fn from(error: SpecificationError) -> Self {
        unfit("invalid-specification", error)
    }
}

/// A document of another shape. The field is absent where the whole of it is at fault.
pub(crate) fn unfit(kind: &str, error: SpecificationError) -> Answer {
    let problem = Problem::new(422, kind, error.detail);
    if error.field.is_empty() {
        problem.into()
    } else {
        problem.field(error.field).into()
    }
}

impl From<Unreadable> for Answer {
    fn from(error: Unreadable) -> Self {
        let text = error.to_string();
        match error {
            Unreadable::Empty | Unreadable::NotJson(_) => {
                Problem::new(400, "not-json", text).into()
            }
            Unreadable::Doubled(SpecificationError { field, detail }) => {
                Problem::new(400, "duplicate-key", detail)
                    .field(field)
                    .into()
            }
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Unfit {
                kind,
                field,
                detail,
            } => Problem::new(422, kind, detail).field(field).into(),
            Refusal::Rejected { .. } => Problem::new(422, REJECTED_BY_GATE, text)
                .field("gate.results")
                .into(),
            Refusal::Frozen { .. } => Problem::new(409, "endpoint-frozen", text)
                .field("endpoint")
                .into(),
            Refusal::Locked { by, .. } => Problem::new(409, "endpoint-locked", text)
                .field("endpoint")
                .deployment(by)
                .into(),
            Refusal::NoWayBack { detail } => Problem::new(409, "no-way-back", detail).into(),
            Refusal::KeyReused => Problem::new(422, "idempotency-key-reused", text)
                .field("Idempotency-Key")
                .into(),
            Refusal::KeyInProgress => Problem::new(409, "request-in-progress", text)
                .field("Idempotency-Key")
                .into(),
            Refusal::Port(error) => error_of(&error),
        }
    }
}

impl From<Inadmissible> for Answer {
    fn from(why: Inadmissible) -> Self {
        match why {
            Inadmissible::Denied(denial) => gateway::denied(&denial).into(),
            Inadmissible::Outside(outside) => gateway::outside(outside).into(),
            Inadmissible::Unread(_) => gateway::unread().into(),
        }
    }
}

impl From<OrderError> for Answer {
    fn from(error: OrderError) -> Self {
        let text = error.to_string();
        match error {
            OrderError::Unknown(id) => unknown(&id),
            OrderError::Frozen { .. } => Problem::new(409, "endpoint-frozen", text).into(),
            OrderError::Port(error) => error_of(&error),
            OrderError::Illegal(illegal) => match illegal {
                IllegalCommand::State { .. } => Problem::new(409, "illegal-command", text).into(),
                IllegalCommand::RedGuard(_) => Problem::new(409, "red-guard", text).into(),
                IllegalCommand::Blind(_) => Problem::new(409, "metrics-blind", text).into(),
                IllegalCommand::Drift(_) => Problem::new(409, "endpoint-drifted", text).into(),
                IllegalCommand::SameWeight(_) => Problem::new(409, "same-weight", text)
                    .field("weight")
                    .into(),
                IllegalCommand::NeedsApproval(_) => {
                    Problem::new(409, "approval-needed", text).into()
                }
                IllegalCommand::Event(event) => {
                    error_of(&PortError::new(Class::Bug, "command", event.to_string()))
                }
            },
        }
    }
}

impl From<PortError> for Answer {
    fn from(error: PortError) -> Self {
        error_of(&error)
    }
}

/// There is no deployment of this id.
pub(crate) fn unknown(id: &str) -> Answer {
    let shown: String = id.chars().filter(char::is_ascii_graphic).take(64).collect();
    Problem::new(
        404,
        "deployment-not-found",
        format!("there is no deployment {shown}; list them with GET /deployments"),
    )
    .into()
}

/// Something behind the API went wrong: logged in full, told in brief.
fn error_of(error: &PortError) -> Answer {
    tracing::error!(class = ?error.class, %error, "a request failed");
    let (status, kind, detail) = match error.class {
        Class::Retryable | Class::Refused | Class::Conflict | Class::InDoubt => (
            503,
            "temporarily-unavailable",
            "AWS did not answer as it should; repeat the request, with the same Idempotency-Key if it was a POST /deploy",
        ),
        Class::Invalid | Class::Denied => (
            502,
            "refused-by-aws",
            "AWS refused a call that this request needs; the function's log says which, most often a missing permission",
        ),
        Class::Bug => (
            500,
            "internal-error",
            "this is a fault of the service; the function's log says which",
        ),
    };
    Problem::new(status, kind, detail).into()
}
