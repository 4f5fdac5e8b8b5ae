//! Settings from the environment, read once when a function starts: a missing one fails the cold
//! start, not the first invocation.

use std::time::Duration;

use crate::domain::quantity::Span;

/// What a function needs to know about its stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The stack's name, by which its figures are told from another's.
    pub stack: String,
    /// The table's name.
    pub table: String,
    /// The stack's own topic.
    pub topic: String,
    /// The event bus.
    pub bus: String,
    /// The function names.
    pub functions: FunctionNames,
    /// How long one raise or UpdateEndpoint may take, wall clock.
    pub call_timeout: Duration,
    /// How many times faster than the wall clock the deployment's clock runs: 1, except in the
    /// local mode, where leases must scale with it.
    pub speed: f64,
    /// Whether waits between tries take time: not on a clock that only a test moves.
    pub waits: bool,
}

/// Names of the functions that others wake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionNames {
    /// `deploy`, as provision.
    pub provision: String,
    /// `traffic-shift`.
    pub traffic_shift: String,
    /// `rollback`.
    pub rollback: String,
}

/// A setting that is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set; the stack's template sets it")]
pub struct MissingSetting(pub &'static str);

impl Config {
    /// How long one call may take in a Lambda function.
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
    /// Room for clocks that differ, on top of the call's own time.
    const LEASE_MARGIN: Duration = Duration::from_secs(20);

    /// From the environment.
    pub fn from_env() -> Result<Self, MissingSetting> {
        Ok(Self {
            stack: required("CANARY_STACK")?,
            table: required("CANARY_TABLE")?,
            topic: required("CANARY_TOPIC_ARN")?,
            bus: required("CANARY_BUS")?,
            functions: FunctionNames {
                provision: required("CANARY_FUNCTION_PROVISION")?,
                traffic_shift: required("CANARY_FUNCTION_TRAFFIC_SHIFT")?,
                rollback: required("CANARY_FUNCTION_ROLLBACK")?,
            },
            call_timeout: Self::CALL_TIMEOUT,
            speed: 1.0,
            waits: true,
        })
    }

    /// For `inference`, which wakes nobody and tells nobody.
    pub fn for_inference() -> Result<Self, MissingSetting> {
        let nobody = FunctionNames {
            provision: String::new(),
            traffic_shift: String::new(),
            rollback: String::new(),
        };
        Ok(Self {
            stack: String::new(),
            table: required("CANARY_TABLE")?,
            topic: String::new(),
            bus: String::new(),
            functions: nobody,
            call_timeout: Self::CALL_TIMEOUT,
            speed: 1.0,
            waits: true,
        })
    }

    /// Longer than a call can still land, in the deployment's own time.
    pub fn lease(&self) -> Span {
        self.own_time(self.call_timeout + Self::LEASE_MARGIN)
    }

    /// How long after its start a call can still land, in the deployment's own time.
    pub fn landing(&self) -> Span {
        self.own_time(self.call_timeout)
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds of a bounded timeout, above zero"
    )]
    fn own_time(&self, wall: Duration) -> Span {
        Span::from_secs((wall.as_secs_f64() * self.speed.max(1.0)).ceil() as u64)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the environment enters"
)]
fn required(name: &'static str) -> Result<String, MissingSetting> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .ok_or(MissingSetting(name))
}

/// Which of its two roles the `deploy` binary plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeployMode {
    /// Answers the API; may change nothing in SageMaker.
    Api,
    /// Makes configs, updates endpoints, cleans up; reachable by async invoke alone.
    Provision,
}

impl DeployMode {
    /// From `CANARY_MODE`.
    pub fn from_env() -> Result<Self, MissingSetting> {
        match required("CANARY_MODE")?.as_str() {
            "api" => Ok(Self::Api),
            "provision" => Ok(Self::Provision),
            _ => Err(MissingSetting("CANARY_MODE")),
        }
    }
}
