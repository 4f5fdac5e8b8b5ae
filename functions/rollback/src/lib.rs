//! `rollback`: production 1.0, canary 0.0, tried several times now and again at every
//! tick until the endpoint accepts. All policy is in
//! `shared::domain`.

use std::time::Duration;

use shared::app::carry_out::{Carried, carry_out};
use shared::app::ports::PortError;
use shared::aws::Aws;
use shared::domain::due::Actor;
use shared::wire::events::Wake;

/// Does what is due for the deployment that the event names.
pub async fn handle(aws: &Aws, wake: Wake, time_left: Duration) -> Result<Carried, PortError> {
    carry_out(aws, Actor::Rollback, &wake.deployment_id, time_left).await
}
