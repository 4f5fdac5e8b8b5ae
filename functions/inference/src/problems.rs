//! Why a model gave no answer, as a problem document. What the caller is told and what is logged are two things.

use shared::app::health;
use shared::app::ports::{Class, PortError};
use shared::aws::Aws;
use shared::aws::runtime::InvokeError;
use shared::wire::problem::Problem;

/// What the caller is told of it, and the log.
pub(crate) fn unanswered(aws: &Aws, endpoint: &str, error: &InvokeError) -> Problem {
    match error {
        InvokeError::Model { status, message } => {
            // The model's own words may repeat the features: they go to the caller, not to the log.
            tracing::warn!(endpoint, status, "the model answered with an error");
            let shown = status.map_or_else(|| "an error".to_owned(), |status| status.to_string());
            let detail = format!("the model answered {shown}: {message}");
            Problem::new(424, "model-error", detail).model(*status, message)
        }
        InvokeError::Refused(why) => {
            tracing::warn!(endpoint, "the endpoint refused a request");
            Problem::new(
                422,
                "endpoint-refused",
                format!("the endpoint can't be asked: {why}"),
            )
            .field("endpoint")
        }
        InvokeError::Late(waited) => {
            tracing::warn!(endpoint, ?waited, "the model gave no answer in time");
            Problem::new(
                504,
                "model-late",
                "the model gave no answer while the request could wait; a model that needs more than 25 seconds is asked through SageMaker itself",
            )
        }
        InvokeError::Port(error) => {
            report(aws, endpoint, error);
            let status = if error.class == Class::Retryable {
                429
            } else {
                503
            };
            Problem::new(
                status,
                "temporarily-unavailable",
                "the endpoint did not answer; repeat the request",
            )
        }
    }
}

/// What a person has to mend is counted, for the alarms; what passes by itself is a line alone. The service's own
/// words stay out of both: they may repeat the request.
fn report(aws: &Aws, endpoint: &str, error: &PortError) {
    let (class, operation) = (error.class, error.operation);
    if class.is_for_good() {
        let which = format!("endpoint {endpoint} could not be asked");
        health::report(aws, None, &PortError::new(class, operation, which));
    } else {
        tracing::error!(
            endpoint,
            ?class,
            operation,
            "the endpoint could not be asked"
        );
    }
}
