//! A third way in, for a caller in the same process that needs tens of thousands of rollouts: the operations
//! themselves, without a wire format around them and without a future to wait for.
//!
//! Time, faults and the record of calls are those of the other two ways, and what an operation does is the very
//! same code. Only the encoding is left out, so nothing that holds here can fail to hold over the wire but for
//! the reading and writing of messages.

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::Value;

use crate::faults::{Call, FaultKind, service};
use crate::wire::AwsError;
use crate::{Lost, Simulator};

/// An error as the service words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The HTTP status it would have.
    pub status: u16,
    /// The error code, for instance `ValidationException`.
    pub code: String,
    /// The error text.
    pub message: String,
}

impl From<AwsError> for Refusal {
    fn from(error: AwsError) -> Self {
        Self {
            status: error.status,
            code: error.code,
            message: error.message,
        }
    }
}

impl Simulator {
    /// Carries out an operation of [`service::SAGEMAKER`] or [`service::AUTOSCALING`] with the members of its
    /// request as JSON. As in [`Simulator::handle`], a call whose answer is lost ends in a 503.
    pub fn call(
        &self,
        service: &'static str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        self.catch_up();
        let fault = self.faults.strike(service, operation);
        let outcome = match &fault {
            Some(kind) if let Some(error) = kind.error(service) => Err(error),
            Some(FaultKind::LoseRequest) => Err(lost()),
            Some(FaultKind::LoseAnswer | FaultKind::Silence) => {
                self.operate(service, operation, input).and(Err(lost()))
            }
            _ => self.operate(service, operation, input),
        };
        self.faults.note(Call {
            at: self.clock.now(),
            service,
            operation: operation.to_owned(),
            ok: outcome.is_ok(),
        });
        outcome.map_err(Refusal::from)
    }

    fn operate(&self, service: &str, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let (now, sagemaker) = (self.clock.now(), &self.sagemaker);
        match service {
            service::SAGEMAKER => sagemaker.handle(now, &self.autoscaling, operation, input),
            service::AUTOSCALING => {
                let scalable =
                    |endpoint: &str, variant: &str| sagemaker.check_scalable(endpoint, variant);
                self.autoscaling.handle(now, operation, input, scalable)
            }
            _ => Err(AwsError::unknown_operation(operation)),
        }
    }

    /// Moves the clock forward at once and lets everything happen that falls into the time, each thing at its own
    /// instant. Unlike [`Simulator::advance`] it gives sleepers on the clock no turn in between.
    pub fn pass(&self, by: SignedDuration) {
        self.clock.advance(by);
        self.catch_up();
    }
}

fn lost() -> AwsError {
    AwsError::new(
        StatusCode::SERVICE_UNAVAILABLE.as_u16(),
        "ConnectionLost",
        Lost.to_string(),
    )
}
