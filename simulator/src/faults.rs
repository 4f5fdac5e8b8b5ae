//! Faults on demand, and the record of every call.
//!
//! A fault names a service, perhaps an operation, and how many matching calls pass before and are hit. The two
//! that matter most are the ones a mock never shows: the answer that is lost after the effect has happened, and
//! the request that never arrives. To the caller both look the same.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::wire::AwsError;

/// The names by which faults and calls tell the services apart.
pub mod service {
    /// SageMaker's control plane.
    pub const SAGEMAKER: &str = "sagemaker";
    /// SageMaker Runtime: invocations of endpoints.
    pub const SAGEMAKER_RUNTIME: &str = "sagemaker-runtime";
    /// CloudWatch.
    pub const CLOUDWATCH: &str = "cloudwatch";
    /// Application Auto Scaling.
    pub const AUTOSCALING: &str = "application-autoscaling";
    /// DynamoDB.
    pub const DYNAMODB: &str = "dynamodb";
    /// SNS.
    pub const SNS: &str = "sns";
    /// EventBridge.
    pub const EVENTBRIDGE: &str = "eventbridge";
    /// Lambda.
    pub const LAMBDA: &str = "lambda";
    /// The Resource Groups Tagging API.
    pub const TAGGING: &str = "tagging";
    /// STS.
    pub const STS: &str = "sts";
}

/// How many calls are remembered; the oldest are forgotten first.
const CALLS_KEPT: usize = 100_000;

/// A disturbance of the calls to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// One of the names in [`service`].
    pub service: String,
    /// The operation, for instance `UpdateEndpoint`; `None` for every operation.
    pub operation: Option<String>,
    /// Matching calls that pass untouched first.
    pub skip: u32,
    /// Matching calls that are then hit.
    pub times: u32,
    /// What happens to them.
    pub kind: FaultKind,
}

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing happens, and the service answers with this error.
    Error {
        /// HTTP status.
        status: u16,
        /// Error code, for instance `InternalServerError`.
        code: String,
        /// Error text.
        message: String,
    },
    /// Nothing happens, and the service answers that it is called too often.
    Throttle,
    /// The effect happens, but the connection breaks before the answer arrives.
    LoseAnswer,
    /// The connection breaks before anything happens.
    LoseRequest,
    /// The effect happens, and the connection stays open without a word, for as long as the caller waits.
    Silence,
}

impl FaultKind {
    /// The error to answer with, for the kinds that answer.
    pub(crate) fn error(&self, service: &str) -> Option<AwsError> {
        match self {
            FaultKind::Error {
                status,
                code,
                message,
            } => Some(AwsError::new(*status, code, message.clone())),
            FaultKind::Throttle => Some(throttled(service)),
            FaultKind::LoseAnswer | FaultKind::LoseRequest | FaultKind::Silence => None,
        }
    }
}

fn throttled(service: &str) -> AwsError {
    let (status, code) = match service {
        service::LAMBDA => (429, "TooManyRequestsException"),
        service::SAGEMAKER_RUNTIME => (429, "ThrottlingException"),
        service::SNS => (429, "Throttled"),
        service::CLOUDWATCH | service::STS => (400, "Throttling"),
        _ => (400, "ThrottlingException"),
    };
    AwsError::new(status, code, "Rate exceeded")
}

/// One call of an AWS operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When, in virtual time.
    pub at: Timestamp,
    /// One of the names in [`service`].
    pub service: &'static str,
    /// The operation.
    pub operation: String,
    /// Whether the caller got an answer, and no error.
    pub ok: bool,
}

/// The faults in force and the calls seen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pending: Mutex<Vec<Fault>>,
    calls: Mutex<VecDeque<Call>>,
}

impl Faults {
    pub(crate) fn inject(&self, fault: Fault) {
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    pub(crate) fn pending(&self) -> Vec<Fault> {
        let pending = self.pending.lock();
        pending.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn clear(&self) {
        let pending = self.pending.lock();
        pending.unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The fault that hits this call, if any. Counts the call against every fault it matches up to the one that hits.
    pub(crate) fn strike(&self, service: &str, operation: &str) -> Option<FaultKind> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut struck = None;
        for fault in pending.iter_mut() {
            let matches = fault.service == service
                && fault
                    .operation
                    .as_deref()
                    .is_none_or(|wanted| wanted == operation);
            if !matches || fault.times == 0 {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times -= 1;
            struck = Some(fault.kind.clone());
            break;
        }
        pending.retain(|fault| fault.times > 0);
        struck
    }

    pub(crate) fn note(&self, call: Call) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() == CALLS_KEPT {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_skips_then_hits_then_is_gone() {
        let faults = Faults::default();
        faults.inject(Fault {
            service: service::SNS.to_owned(),
            operation: Some("Publish".to_owned()),
            skip: 1,
            times: 2,
            kind: FaultKind::LoseAnswer,
        });
        assert_eq!(faults.strike(service::SNS, "CreateTopic"), None);
        assert_eq!(faults.strike(service::DYNAMODB, "Publish"), None);
        let struck: Vec<bool> = (0..4)
            .map(|_| faults.strike(service::SNS, "Publish").is_some())
            .collect();
        assert_eq!(struck, [false, true, true, false]);
    }
}
