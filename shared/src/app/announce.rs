//! The outbox: what was committed is told at least once, in order per deployment. The rows are
//! written in the transaction of the transition they tell of, so nothing that happened goes
//! untold, and are removed once sent.

use std::collections::HashSet;

use super::ports::{Notifier, OutboxRow, PortError, Store};

/// Parts of the outbox and of the active index.
pub const SHARDS: u8 = 8;

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

/// Sends what lies in every shard; returns how many were sent. A failure keeps the rest of that
/// deployment's rows for the next sweep, so their order stands.
pub async fn sweep_all<P: Store + Notifier>(ports: &P) -> Result<usize, PortError> {
    let (mut sent, mut failure) = (0, None);
    for shard in 0..SHARDS {
        match sweep(ports, shard).await {
            Ok(more) => sent += more,
            // The other shards' announcements do not wait for this one's repair.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(sent), Err)
}

/// Sends what lies in one shard.
pub async fn sweep<P: Store + Notifier>(ports: &P, shard: u8) -> Result<usize, PortError> {
    let rows = ports.outbox(shard).await?;
    let mut stuck: HashSet<&str> = HashSet::new();
    let mut sent = 0;
    for row in &rows {
        if stuck.contains(row.deployment_id.as_str()) {
            continue;
        }
        match send(ports, row).await {
            Ok(()) => sent += 1,
            Err(error) => {
                tracing::warn!(deployment_id = %row.deployment_id, event_id = %row.event_id, %error, "an announcement was not sent, it stays in the outbox");
                stuck.insert(&row.deployment_id);
            }
        }
    }
    Ok(sent)
}

async fn send<P: Store + Notifier>(ports: &P, row: &OutboxRow) -> Result<(), PortError> {
    ports.announce(row).await?;
    ports.sent(row).await
}
