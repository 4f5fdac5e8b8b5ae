//! The one gate that every call of a port passes: what becomes of it is decided here.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use shared::app::ports::PortError;

/// A call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Counted from 0 over the whole world.
    pub number: u64,
    /// The port's method; `register` and `announce` are two calls of AWS each, and so two here:
    /// `register` and `put_policy`, `put_event` and `publish`.
    pub operation: &'static str,
    /// Whose it is.
    pub invocation: u64,
    /// What the invocation is.
    pub by: Role,
    /// By the world's clock.
    pub at: Timestamp,
}

/// What an invocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A tick, and the sweep of the outbox after it.
    Monitor,
    /// `deploy` as provision.
    Provision,
    /// `traffic-shift`.
    TrafficShift,
    /// `rollback`.
    Rollback,
    /// A request to the API.
    Api,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It happens, and its answer arrives.
    Go,
    /// It does not happen, and this is its answer.
    Fail(PortError),
    /// It happens; the caller is left in doubt.
    LoseAnswer,
    /// It does not happen; the caller is left in doubt.
    LoseRequest,
    /// The caller is left in doubt now; it happens when so much time has passed, unless it is
    /// refused then.
    Stall(SignedDuration),
    /// The invocation ends before it.
    CrashBefore,
    /// It happens, and the invocation ends.
    CrashAfter,
}

/// A call and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The call.
    pub call: Call,
    /// Its fate.
    pub verdict: Verdict,
}

/// Decides what becomes of every call, in the order in which they are made.
pub trait Gate: Send {
    /// The fate of this call.
    fn pass(&mut self, call: &Call) -> Verdict;
}

impl<F: FnMut(&Call) -> Verdict + Send> Gate for F {
    fn pass(&mut self, call: &Call) -> Verdict {
        self(call)
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call {
            number,
            operation,
            invocation,
            by,
            at,
        } = &self.call;
        write!(f, "{number:5} {at} {by:?} {invocation} {operation}")?;
        match &self.verdict {
            Verdict::Go => Ok(()),
            other => write!(f, " -> {other:?}"),
        }
    }
}
