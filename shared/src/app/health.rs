//! The control plane's own health: figures for its alarms, and one way to report an error.
//!
//! Figures carry no id of a deployment as a dimension: each would be a metric of its own, paid
//! for and forgotten. The id stands beside the figure in the log line that carries it.

use std::time::Duration;

use super::ports::{Class, Meter, PortError};
use crate::domain::deployment::Deployment;
use crate::domain::evidence::Evidence;

/// A figure about the control plane itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// A pass over every active deployment is over. Nothing else proves that the loop lives.
    Heartbeat,
    /// Deployments that are not over.
    Active(usize),
    /// A call or a pass failed.
    Error {
        /// Whose it was, where it was anybody's.
        deployment_id: Option<String>,
        /// The call.
        operation: &'static str,
        /// What can be done about it.
        class: Class,
    },
    /// A request that was not admitted.
    Forbidden,
    /// How far back the last judged minute of the deployment lies that has waited the longest.
    OldestUnjudged(Duration),
    /// How long the rollback has waited that has waited the longest.
    RollbackWaits(Duration),
    /// Announcements that wait, and the age of the oldest.
    Outbox {
        /// How many.
        rows: usize,
        /// How long the oldest has waited.
        oldest: Duration,
    },
}

/// What a request was about, as far as that is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// The deployment.
    pub deployment_id: Option<&'a str>,
    /// The endpoint.
    pub endpoint: Option<&'a str>,
}

/// Reports a request that was not admitted: who asked for which route, and about what. Nothing that
/// came in its body.
pub fn forbidden<P: Meter>(ports: &P, caller: &str, route: &str, about: About<'_>) {
    let (id, endpoint) = (about.deployment_id, about.endpoint);
    let (deployment_id, endpoint) = (id.unwrap_or("none"), endpoint.unwrap_or("none"));
    tracing::warn!(caller, route, deployment_id, endpoint, "forbidden");
    ports.measure(&Figure::Forbidden);
}

/// Says what a pass has judged a deployment by: the share, what was counted of either arm since it
/// began, and what stands red. It is a line of the log and no figure, for the same reason; the
/// dashboard shows the last of them.
pub fn judged(deployment: &Deployment, evidence: &Evidence) {
    let (terms, state) = (&deployment.terms, &deployment.state);
    let red = evidence.red_guard(&terms.policy);
    tracing::info!(
        deployment_id = terms.id,
        endpoint = terms.endpoint,
        phase = ?state.phase,
        weight = %state.weight,
        judged_through = %evidence.judged_through,
        stage_samples = evidence.stage_samples,
        canary_requests = evidence.canary.invocations,
        canary_5xx = evidence.canary.errors_5xx,
        production_requests = evidence.production.invocations,
        production_5xx = evidence.production.errors_5xx,
        red = red.map_or("nothing", |check| check.sentence.as_str()),
        "judged"
    );
}

/// Reports an error: a line in the log and a figure, both with the deployment's id.
pub fn report<P: Meter>(ports: &P, deployment_id: Option<&str>, error: &PortError) {
    let (class, operation) = (error.class, error.operation);
    let id = deployment_id.unwrap_or("none");
    match class {
        // Ours to mend, or a person's.
        class if class.is_for_good() => {
            tracing::error!(deployment_id = id, ?class, operation, %error, "failed");
        }
        // It is part of the protocol, and comes right by itself.
        class => {
            tracing::warn!(deployment_id = id, ?class, operation, %error, "failed for now");
        }
    }
    ports.measure(&Figure::Error {
        deployment_id: deployment_id.map(str::to_owned),
        operation,
        class,
    });
}
