//! The freeze switch: who turned it, until when, and that everybody is told.

use std::time::Duration;

use jiff::Timestamp;

use super::announce::{shard_of, sweep_for};
use super::health;
use super::ports::{OutboxRow, PortError, Ports};
use crate::domain::deployment::Deployment;
use crate::domain::freeze::{EVERY_ENDPOINT, Freeze, FreezeReading};
use crate::domain::history::{Entry, Name, Severity};
use crate::domain::quantity::Weight;
use crate::domain::state::{Phase, Status};
use crate::wire::items::event_id;

/// How long the answer waits for the announcement.
const ANNOUNCING: Duration = Duration::from_secs(5);
/// How long a pass waits for the reading.
const LOOK: Duration = Duration::from_secs(3);

/// The freeze that stands over an endpoint: its own, or that of the whole stack.
pub async fn standing<P: Ports>(ports: &P, endpoint: &str) -> Result<Option<Freeze>, PortError> {
    let found = ports.freezes(endpoint).await?;
    let now = ports.now();
    Ok(found.into_iter().find(|freeze| freeze.stands_at(now)))
}

/// The same as a value in every case, for a pass.
pub(super) async fn reading<P: Ports>(ports: &P, deployment: &Deployment) -> FreezeReading {
    let terms = &deployment.terms;
    match ports.within(LOOK, standing(ports, &terms.endpoint)).await {
        Some(Ok(None)) => FreezeReading::Clear,
        Some(Ok(Some(freeze))) => FreezeReading::Frozen(freeze),
        Some(Err(error)) => {
            health::report(ports, Some(&terms.id), &error);
            FreezeReading::Failed {
                reason: error.to_string(),
            }
        }
        None => FreezeReading::Failed {
            reason: "no answer in time".to_owned(),
        },
    }
}

/// Freezes an endpoint, or all of them; a freeze that stands is replaced.
pub async fn freeze<P: Ports>(
    ports: &P,
    endpoint: &str,
    reason: String,
    by: &str,
    until: Option<Timestamp>,
) -> Result<Freeze, PortError> {
    let freeze = Freeze {
        reason,
        by: by.to_owned(),
        at: ports.now(),
        until,
    };
    ports.set_freeze(endpoint, Some(&freeze)).await?;
    let limit = until.map_or_else(
        || "until it is lifted".to_owned(),
        |at| format!("until {at}"),
    );
    announce(
        ports,
        endpoint,
        Name::Frozen,
        (freeze.to_string(), limit),
        by,
    )
    .await?;
    Ok(freeze)
}

/// Lifts it; what is not frozen stays so.
pub async fn thaw<P: Ports>(ports: &P, endpoint: &str, by: &str) -> Result<(), PortError> {
    ports.set_freeze(endpoint, None).await?;
    let said = (
        format!("the freeze was lifted by {by}"),
        "raises go on".to_owned(),
    );
    announce(ports, endpoint, Name::Thawed, said, by).await
}

async fn announce<P: Ports>(
    ports: &P,
    endpoint: &str,
    event: Name,
    (reason, limit): (String, String),
    by: &str,
) -> Result<(), PortError> {
    let id = format!("freeze-{}", ports.new_id());
    let what = match endpoint {
        EVERY_ENDPOINT => "every endpoint of the stack".to_owned(),
        name => format!("endpoint {name}"),
    };
    let row = OutboxRow {
        event_id: event_id(&id, 1),
        shard: shard_of(&id),
        topic: None,
        deployment_id: id,
        endpoint: endpoint.to_owned(),
        model: String::new(),
        former_model: String::new(),
        entry: Entry {
            signal: None,
            signal_severity: None,
            seq: 1,
            at: ports.now(),
            event,
            severity: Severity::Warning,
            reason: format!("{what}: {reason}"),
            value: what,
            limit,
            // There is no deployment whose status it could tell; messages say FROZEN or THAWED.
            status: Status::Pending,
            phase: Phase::Ended,
            weight: Weight::ZERO,
            by: Some(by.to_owned()),
        },
        taken: None,
    };
    ports.tell(&row).await?;
    sweep_for(ports, &row.deployment_id, ANNOUNCING).await;
    Ok(())
}
