//! What the five functions share: the rules of a canary deployment, the control loop over them,
//! the JSON on every wire, and AWS behind ports.
//!
//! `domain <- app <- {aws, gateway}`; `wire -> domain`; never sideways.

pub mod app;
pub mod aws;
pub mod config;
pub mod domain;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod telemetry;
pub mod wire;

use std::time::Duration;

/// What is left of an invocation, from the deadline that the Lambda runtime gives it.
#[expect(
    clippy::disallowed_methods,
    reason = "a Lambda deadline is wall-clock time"
)]
pub fn time_left(deadline: std::time::SystemTime) -> Duration {
    deadline
        .duration_since(std::time::SystemTime::now())
        .unwrap_or_default()
}
