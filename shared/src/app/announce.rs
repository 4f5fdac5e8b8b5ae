//! The outbox: what was committed is told at least once, in order per deployment. The rows are
//! written in the transaction of the transition they tell of, so nothing that happened goes
//! untold, and are removed once both ways, the event bus and the topic, have taken them. A row that
//! one of them took says so: while the other is down, be it for weeks, nobody hears a thing twice
//! or waits for it.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::health::{self, Figure};
use super::ports::{Class, OutboxRow, PortError, Ports};
use crate::domain::history::Way;
use crate::domain::quantity::Span;

/// Parts of the outbox and of the active index.
pub const SHARDS: u8 = 8;

/// How long one announcement may take.
const EACH: Duration = Duration::from_secs(4);

/// The shard a deployment belongs to.
///
/// # Panics
/// Never: the remainder of a division by a `u8` fits into one.
pub fn shard_of(deployment_id: &str) -> u8 {
    // FNV-1a: spread is all that matters, and it must never change.
    let hash = deployment_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    u8::try_from(hash % u64::from(SHARDS)).expect("a remainder of a u8 fits into one")
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Announcements sent.
    pub sent: usize,
    /// Announcements that stay, for the next sweep.
    pub waiting: usize,
    /// Parts of the outbox that could not be read.
    pub unread: usize,
    /// Those among them that no later sweep will read by itself.
    pub unreadable: usize,
}

/// Sends what lies in every shard, side by side, and says what is left. What is not done within the
/// budget waits for the next sweep.
pub async fn sweep_all<P: Ports>(ports: &P, budget: Duration) -> Swept {
    let sweeps = (0..SHARDS).map(|shard| async move {
        let late = || PortError::new(Class::Retryable, "sweep", "not done within its time");
        let sweep = ports.within(budget, sweep(ports, shard)).await;
        sweep.unwrap_or_else(|| Err(late()))
    });
    let (mut total, mut oldest) = (Swept::default(), None::<Timestamp>);
    for swept in join_all(sweeps).await {
        match swept {
            Ok((sent, left)) => {
                total.sent += sent;
                total.waiting += left.len();
                oldest = oldest.into_iter().chain(left).min();
            }
            // The other shards' announcements do not wait for this one's repair.
            Err(error) => {
                health::report(ports, None, &error);
                total.unread += 1;
                total.unreadable += usize::from(error.class.is_for_good());
            }
        }
    }
    let age = oldest.map_or(Span::ZERO, |oldest| Span::between(oldest, ports.now()));
    // Nothing is said of what was not seen.
    if total.unread == 0 {
        ports.measure(&Figure::Outbox {
            rows: total.waiting,
            oldest: Duration::from_secs(age.secs()),
        });
    }
    total
}

/// Sends what lies in the shard of a deployment, at once. What fails or takes longer than the
/// budget waits for the next tick.
pub async fn sweep_for<P: Ports>(ports: &P, deployment_id: &str, budget: Duration) {
    let sweep = ports.within(budget, sweep(ports, shard_of(deployment_id)));
    if let Some(Err(error)) = sweep.await {
        health::report(ports, Some(deployment_id), &error);
    }
}

/// Sends what lies in one shard: how many were sent, and when those happened that were not. A
/// failure keeps that deployment's later rows from going the same way, so their order stands; the
/// other way goes on.
async fn sweep<P: Ports>(ports: &P, shard: u8) -> Result<(usize, Vec<Timestamp>), PortError> {
    let outbox = ports.outbox(shard).await?;
    for (id, error) in &outbox.unread {
        health::report(ports, Some(id), error);
    }
    let mut stuck: HashSet<(&str, Way)> = HashSet::new();
    let mut left = Vec::new();
    for row in &outbox.rows {
        let id = row.deployment_id.as_str();
        let is_open = |way: &Way| row.taken != Some(*way) && !stuck.contains(&(id, *way));
        let open: Vec<Way> = Way::ALL.into_iter().filter(is_open).collect();
        let failed = send(ports, row, &open).await;
        let is_sent = failed.is_empty() && open.len() + usize::from(row.taken.is_some()) == 2;
        if !is_sent {
            left.push(row.entry.at);
        }
        stuck.extend(failed.into_iter().map(|way| (id, way)));
    }
    Ok((outbox.rows.len() - left.len(), left))
}

/// Sends a row those ways, side by side, since neither waits for the other's repair; and keeps what
/// came of it, so that nobody is told again and again what only the other could not take. The ways
/// that later rows must not go.
async fn send<P: Ports>(ports: &P, row: &OutboxRow, open: &[Way]) -> Vec<Way> {
    if open.is_empty() {
        return Vec::new();
    }
    let told = join_all(open.iter().map(|way| async move {
        let told = ports.within(EACH, ports.announce(row, *way)).await;
        (*way, told.unwrap_or_else(|| Err(late())))
    }));
    let (mut taken, mut failed) = (Vec::from_iter(row.taken), Vec::new());
    for (way, told) in told.await {
        match told {
            Ok(()) => taken.push(way),
            Err(error) => {
                health::report(ports, Some(&row.deployment_id), &error);
                failed.push(way);
            }
        }
    }
    let kept = match taken[..] {
        [_, _] => ports.within(EACH, ports.sent(row)).await,
        [one] if row.taken.is_none() => ports.within(EACH, ports.half_sent(row, one)).await,
        _ => Some(Ok(())),
    };
    if let Err(error) = kept.unwrap_or_else(|| Err(late())) {
        // It will be told once more, and before those after it.
        health::report(ports, Some(&row.deployment_id), &error);
        failed = Way::ALL.to_vec();
    }
    failed
}

fn late() -> PortError {
    PortError::new(Class::InDoubt, "announce", "not taken in time")
}
