//! What a call was for, in words: the steps of the protocol. A commit is told by how it changed the
//! record, every other call by its name.

use std::fmt;

use jiff::Timestamp;
use shared::domain::deployment::Deployment;
use tests::direct::gate::{Passed, Role};

/// A call that was made, and what it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// As the gate counts.
    pub(crate) number: u64,
    /// Whose it was.
    pub(crate) invocation: u64,
    /// What the invocation was.
    pub(crate) by: Role,
    /// The port's method.
    pub(crate) operation: &'static str,
    /// What it was for.
    pub(crate) label: &'static str,
    /// When.
    pub(crate) at: Timestamp,
    /// Whether it was the first call of its invocation.
    pub(crate) is_first: bool,
    /// Whether it read a part of an index in which the deployment is not.
    pub(crate) is_elsewhere: bool,
}

impl Step {
    /// Whether it changes anything outside its invocation.
    pub(crate) fn has_effect(&self) -> bool {
        has_effect(self.operation)
    }

    /// Whether it is one of a function that acts on the endpoint.
    pub(crate) fn acts(&self) -> bool {
        matches!(
            self.by,
            Role::Provision | Role::TrafficShift | Role::Rollback
        )
    }
}

/// Whether a port's method changes anything outside its invocation.
pub(crate) fn has_effect(operation: &str) -> bool {
    !READS.contains(&operation)
}

/// The methods of the ports that only look.
const READS: [&str; 19] = [
    "load",
    "active",
    "lock_holder",
    "freezes",
    "idempotency",
    "list",
    "history",
    "minutes",
    "past",
    "outbox",
    "endpoint",
    "endpoint_config",
    "model",
    "package",
    "tags",
    "target",
    "bounds",
    "read",
    "firing",
];

/// The intent of a call that needs a lease is written.
pub(crate) const INTENT: &str = "commit the intent, with a lease";
/// The lease is given back: a shortcut, because it runs out by itself.
pub(crate) const GIVEN_BACK: &str = "commit the answer, the lease given back";

/// The terminal status is written.
pub(crate) const END: &str = "commit the end, the lock freed";
/// What `monitor` writes of a completed deployment that is watched.
pub(crate) const WATCHED: &str = "commit minutes after the end";
/// What `monitor` writes of a minute that changed no phase.
pub(crate) const MINUTE: &str = "commit a minute without a transition";
/// What `monitor` writes of a minute that did.
pub(crate) const TRANSITION: &str = "commit a transition";

/// What a call was for; `before` and `after` are the record around a commit.
pub(crate) fn label(
    passed: &Passed,
    before: Option<&Deployment>,
    after: Option<&Deployment>,
) -> &'static str {
    match (passed.call.operation, before, after) {
        ("commit", Some(before), Some(after)) => commit(passed.call.by, before, after),
        ("commit", ..) => "commit",
        ("create", ..) => "create the record, the lock and the announcement",
        ("wake", ..) => "wake",
        ("make_config", ..) => "CreateEndpointConfig",
        ("delete_config", ..) => "DeleteEndpointConfig",
        ("update", ..) => "UpdateEndpoint",
        ("set_weights", ..) => "UpdateEndpointWeightsAndCapacities (weights)",
        ("set_instances", ..) => "UpdateEndpointWeightsAndCapacities (instances)",
        ("set_floor", ..) => "RegisterScalableTarget (floor)",
        ("register", ..) => "RegisterScalableTarget",
        ("put_policy", ..) => "PutScalingPolicy",
        ("deregister", ..) => "DeregisterScalableTarget",
        ("make_model", ..) => "CreateModel",
        ("update_package", ..) => "UpdateModelPackage",
        ("put_event", ..) => "PutEvents",
        ("publish", ..) => "Publish",
        ("sent", ..) => "remove the announcement",
        ("half_sent", ..) => "keep who took the announcement",
        (other, ..) => other,
    }
}

fn commit(by: Role, before: &Deployment, after: &Deployment) -> &'static str {
    let (before, after) = (&before.state, &after.state);
    let released = |state: &shared::domain::deployment::State| {
        state.floor.as_ref().is_some_and(|floor| floor.released)
    };
    match by {
        Role::Api => "commit an order",
        Role::Monitor if before.status.is_terminal() && before.filing != after.filing => {
            "commit that the registry was told"
        }
        Role::Monitor if before.status.is_terminal() => WATCHED,
        Role::Monitor if after.status.is_terminal() => END,
        Role::Monitor if after.phase != before.phase => TRANSITION,
        Role::Monitor => MINUTE,
        Role::Rollback => "commit the refusal",
        _ if after.filing != before.filing => "commit what the registry says",
        _ if after.cleaned && !before.cleaned => "commit that all is tidy",
        _ if after.lease.is_some() && after.lease != before.lease => INTENT,
        _ if after.lease.is_none() && before.lease.is_some() => GIVEN_BACK,
        _ if before.floor.is_none() && after.floor.is_some() => "commit the scaling as found",
        _ if released(after) && !released(before) => "commit that the scaling is to go",
        _ => "commit nothing new",
    }
}

/// The function's name.
pub(crate) const fn name(role: Role) -> &'static str {
    match role {
        Role::Monitor => "`monitor`",
        Role::Provision => "`deploy` (provision)",
        Role::TrafficShift => "`traffic-shift`",
        Role::Rollback => "`rollback`",
        Role::Api => "`deploy` (API)",
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            invocation,
            by,
            operation,
            label,
            ..
        } = self;
        write!(
            f,
            "call {number}, {operation} ({label}) of {by:?} {invocation}"
        )
    }
}
