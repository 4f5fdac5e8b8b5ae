//! The freeze switch: who turned it, until when, and that subscribers are told.

use std::time::Duration;

use super::announce::{shard_of, sweep_for};
use super::health;
use super::ports::{Class, FreezeTurn, OutboxRow, PortError, Ports};
use crate::domain::deployment::Deployment;
use crate::domain::freeze::{EVERY_ENDPOINT, Freeze, FreezeReading, Freezes};
use crate::domain::history::{Entry, Name, Severity, Topics};
use crate::domain::quantity::Weight;
use crate::domain::state::{Phase, Status};
use crate::wire::items::event_id;

/// How long the answer waits for the announcement.
const ANNOUNCING: Duration = Duration::from_secs(5);
/// How long a pass waits for the reading.
const LOOK: Duration = Duration::from_secs(3);

/// How often a turn of the switch that somebody else was faster at is tried.
const TRIES: usize = 5;

/// Why a freeze was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FreezeError {
    /// It would end before the one that stands, which is only for who may lift that.
    #[error(
        "it is {0}; a freeze that ends before that one would lift it, so name a later end or none"
    )]
    Shortens(Box<Freeze>),
    /// Something could not be read or written.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The freeze that stands over an endpoint: its own, or that of the whole stack.
pub async fn standing<P: Ports>(ports: &P, endpoint: &str) -> Result<Option<Freeze>, PortError> {
    Ok(ports.freezes(endpoint).await?.standing_at(ports.now()))
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

/// Why nothing of this deployment may go up now, in words.
pub(super) async fn holds<P: Ports>(ports: &P, deployment: &Deployment) -> Option<String> {
    if deployment.terms.clearance.hotfix.is_some() {
        return None;
    }
    reading(ports, deployment).await.obstacle()
}

/// Freezes an endpoint, or all of them. A freeze that stands is prolonged; only with `may_lift` does
/// one that ends before it take its place.
pub async fn freeze<P: Ports>(
    ports: &P,
    endpoint: &str,
    order: &Freeze,
    may_lift: bool,
) -> Result<Freeze, FreezeError> {
    for _ in 0..TRIES {
        let before = ports.freezes(endpoint).await?.own;
        let standing = before.as_ref().filter(|it| it.stands_at(ports.now()));
        let next = match standing {
            Some(standing) if !order.ends_before(standing) => standing.prolonged_by(order.clone()),
            Some(standing) if !may_lift => {
                return Err(FreezeError::Shortens(Box::new(standing.clone())));
            }
            _ => order.clone(),
        };
        let limit = next.until.map_or_else(
            || "until it is lifted".to_owned(),
            |at| format!("until {at:.0}"),
        );
        let told = row(
            ports,
            endpoint,
            Name::Frozen,
            (next.to_string(), limit),
            &order.by,
        );
        let turn = FreezeTurn {
            endpoint,
            before: before.as_ref(),
            next: Some(&next),
            told: &told,
        };
        if turned(ports, turn).await? {
            return Ok(next);
        }
    }
    Err(late().into())
}

/// Lifts the freeze under this name, and says which one still stands. Nobody is told where nothing
/// stood.
pub async fn thaw<P: Ports>(
    ports: &P,
    endpoint: &str,
    by: &str,
) -> Result<Option<Freeze>, PortError> {
    for _ in 0..TRIES {
        let now = ports.now();
        let Freezes { own, stack } = ports.freezes(endpoint).await?;
        let stack = stack.filter(|freeze| freeze.stands_at(now));
        let Some(own) = own.filter(|freeze| freeze.stands_at(now)) else {
            return Ok(stack);
        };
        let limit = match &stack {
            Some(stack) => format!("the whole stack is still {stack}"),
            None if endpoint == EVERY_ENDPOINT => {
                "raises go on, but for endpoints with a freeze of their own".to_owned()
            }
            None => "raises go on".to_owned(),
        };
        let reason = format!("the freeze was lifted by {by}; it was {own}");
        let told = row(ports, endpoint, Name::Thawed, (reason, limit), by);
        let turn = FreezeTurn {
            endpoint,
            before: Some(&own),
            next: None,
            told: &told,
        };
        if turned(ports, turn).await? {
            return Ok(stack);
        }
    }
    Err(late())
}

/// Turns the switch and tells people; false where somebody else was faster.
async fn turned<P: Ports>(ports: &P, turn: FreezeTurn<'_>) -> Result<bool, PortError> {
    let id = &turn.told.deployment_id;
    match ports.turn_freeze(turn.clone()).await {
        Ok(()) => {
            sweep_for(ports, id, ANNOUNCING).await;
            Ok(true)
        }
        Err(error) if error.class == Class::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

fn late() -> PortError {
    let why = "somebody else turned the switch at every try";
    PortError::new(Class::Conflict, "turn_freeze", why)
}

fn row<P: Ports>(
    ports: &P,
    endpoint: &str,
    event: Name,
    (reason, limit): (String, String),
    by: &str,
) -> OutboxRow {
    let id = format!("freeze-{}", ports.new_id());
    let what = match endpoint {
        EVERY_ENDPOINT => "every endpoint of the stack".to_owned(),
        name => format!("endpoint {name}"),
    };
    OutboxRow {
        event_id: event_id(&id, 1),
        shard: shard_of(&id),
        topics: Topics::default(),
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
            confirmed_weight: None,
            by: Some(by.to_owned()),
        },
        taken: Vec::new(),
    }
}
