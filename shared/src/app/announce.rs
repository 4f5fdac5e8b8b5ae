//! The outbox: what was committed is told at least once, in order per deployment. The rows are
//! written in the transaction of the transition they tell of, so nothing that happened goes
//! untold, and are removed once sent.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::health::{self, Figure};
use super::ports::{Class, OutboxRow, PortError, Ports};
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
/// failure keeps the rest of that deployment's rows for the next sweep, so their order stands.
async fn sweep<P: Ports>(ports: &P, shard: u8) -> Result<(usize, Vec<Timestamp>), PortError> {
    let outbox = ports.outbox(shard).await?;
    for (id, error) in &outbox.unread {
        health::report(ports, Some(id), error);
    }
    let rows = outbox.rows;
    let mut stuck: HashSet<&str> = HashSet::new();
    let mut left = Vec::new();
    for row in &rows {
        if stuck.contains(row.deployment_id.as_str()) {
            left.push(row.entry.at);
            continue;
        }
        let late = || PortError::new(Class::InDoubt, "announce", "not taken in time");
        let sent = ports.within(EACH, send(ports, row)).await;
        if let Err(error) = sent.unwrap_or_else(|| Err(late())) {
            health::report(ports, Some(&row.deployment_id), &error);
            stuck.insert(&row.deployment_id);
            left.push(row.entry.at);
        }
    }
    Ok((rows.len() - left.len(), left))
}

async fn send<P: Ports>(ports: &P, row: &OutboxRow) -> Result<(), PortError> {
    ports.announce(row).await?;
    ports.sent(row).await
}
