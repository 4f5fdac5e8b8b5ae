//! `deploy`: one binary, deployed twice with two roles.
//!
//! The API validates, writes intent and answers; it may change nothing in SageMaker. Provision,
//! reachable by async invoke alone, makes endpoint configs, updates the endpoint, finalizes and
//! cleans up.

mod access;
mod api;
#[cfg(feature = "openapi")]
pub mod openapi;
mod problems;
mod request;
mod site;

use std::time::Duration;

pub use api::router;
use shared::app::carry_out::{Carried, carry_out};
use shared::app::ports::PortError;
use shared::aws::Aws;
use shared::domain::due::Actor;
use shared::wire::events::Wake;

/// Does what is due for the deployment that the event names.
pub async fn provision(aws: &Aws, wake: Wake, time_left: Duration) -> Result<Carried, PortError> {
    carry_out(aws, Actor::Provision, &wake.deployment_id, time_left).await
}
