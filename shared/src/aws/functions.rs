//! Waking the other functions by async invoke.

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;

use super::Aws;
use super::error::{nonsense, sort};
use crate::app::ports::{Functions, PortError};
use crate::domain::due::Actor;
use crate::wire::events::Wake;

impl Functions for Aws {
    async fn wake(&self, actor: Actor, deployment_id: &str, version: u64) -> Result<(), PortError> {
        let names = &self.config.functions;
        let name = match actor {
            Actor::Provision => &names.provision,
            Actor::TrafficShift => &names.traffic_shift,
            Actor::Rollback => &names.rollback,
        };
        let event = serde_json::to_vec(&Wake {
            deployment_id: deployment_id.to_owned(),
            version,
        });
        let event = event.map_err(|error| nonsense("Invoke", error.to_string()))?;
        let call = self
            .control
            .lambda
            .invoke()
            .function_name(name)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(event));
        call.send()
            .await
            .map(drop)
            .map_err(|error| sort("Invoke", &error))
    }
}
