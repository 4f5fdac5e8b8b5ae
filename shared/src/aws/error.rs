//! Sorting the SDK's errors into what a caller can do about them.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::app::ports::{Class, PortError};

/// Codes of errors that go away by themselves.
const RETRYABLE: [&str; 12] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "LimitExceededException",
    "ResourceLimitExceeded",
    "ConcurrentUpdateException",
    "ServiceUnavailable",
    // SNS, of a topic that is encrypted.
    "KMSThrottling",
];

/// Codes of errors that say that somebody else was faster.
const CONFLICT: [&str; 4] = [
    "ConditionalCheckFailedException",
    "TransactionConflictException",
    "ConflictException",
    "ResourceInUse",
];

/// The class and the service's own words.
pub(super) fn sort<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> PortError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let (code, text) = (
                service.err().code().unwrap_or("unknown"),
                service.err().message().unwrap_or("no message"),
            );
            PortError::new(
                class_of(code, service.raw().status().as_u16()),
                operation,
                format!("{code}: {text}"),
            )
        }
        SdkError::ConstructionFailure(_) => PortError::new(Class::Bug, operation, chain(error)),
        // Timed out, cut off or unreadable: it may have happened.
        _ => PortError::new(Class::InDoubt, operation, chain(error)),
    }
}

/// Codes of errors that only a person can mend, by a permission.
const DENIED: [&str; 8] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "KMSAccessDenied",
    "NotAuthorizedForDetailTypeException",
    "NotAuthorizedForSourceException",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// The class of a service's error, by its code and its HTTP status.
pub fn class_of(code: &str, status: u16) -> Class {
    if DENIED.contains(&code) || status == 403 {
        Class::Denied
    } else if RETRYABLE.contains(&code) || status == 429 {
        Class::Retryable
    } else if CONFLICT.contains(&code) {
        Class::Conflict
    } else if status >= 500 {
        Class::InDoubt
    } else {
        Class::Invalid
    }
}

/// An error with its sources, outermost first.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// An answer that makes no sense.
pub(super) fn nonsense(operation: &'static str, what: impl Into<String>) -> PortError {
    PortError::new(Class::Bug, operation, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_not_taken_for_wrong() {
        // As the service models name them; SNS's own codes lack the `Exception`.
        assert_eq!(class_of("KMSThrottling", 400), Class::Retryable);
        assert_eq!(class_of("Throttled", 429), Class::Retryable);
        assert_eq!(class_of("ConcurrentUpdateException", 400), Class::Retryable);
        assert_eq!(
            class_of("TransactionConflictException", 400),
            Class::Conflict
        );
        assert_eq!(class_of("KMSAccessDenied", 400), Class::Denied);
        assert_eq!(class_of("ValidationException", 400), Class::Invalid);
    }
}
