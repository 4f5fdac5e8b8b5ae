//! The outbox: what was committed is told at least once, in order per deployment. The rows are
//! written in the transaction of the transition they tell of, so nothing that happened goes
//! untold, and are removed once every way, the event bus and the topics, has taken them. A row that
//! some of them took says so: while another is down, be it for weeks, nobody hears a thing twice or
//! waits for it. A topic beside the stack's that is gone, or refuses for a day, is told no more of it.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::health::{self, Figure};
use super::ports::{Class, OutboxRow, PortError, Ports};
use crate::domain::history::{Name, Way};
use crate::domain::incident::PostMortem;
use crate::domain::quantity::Span;

/// Parts of the outbox and of the active index.
pub const SHARDS: u8 = 8;

/// How long one announcement may take.
const EACH: Duration = Duration::from_secs(4);
/// How long a topic beside the stack's may refuse an announcement: a key's policy is mended meanwhile.
const REFUSED: Span = Span::from_hours(24);
/// How long an incident waits for the draft of its post-mortem.
const PATIENCE: Span = Span::from_mins(5);

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
/// other ways go on.
async fn sweep<P: Ports>(ports: &P, shard: u8) -> Result<(usize, Vec<Timestamp>), PortError> {
    let outbox = ports.outbox(shard).await?;
    for (id, error) in &outbox.unread {
        health::report(ports, Some(id), error);
    }
    let mut stuck: HashSet<(&str, Way)> = HashSet::new();
    let mut left = Vec::new();
    for row in &outbox.rows {
        let id = row.deployment_id.as_str();
        let ways = ports.ways(row);
        let is_open = |way: &Way| !row.taken.contains(way);
        let open: Vec<Way> = ways.iter().copied().filter(is_open).collect();
        let (blocked, free): (Vec<Way>, Vec<Way>) = open
            .into_iter()
            .partition(|way| stuck.contains(&(id, *way)));
        let failed = send(ports, row, &free, blocked.is_empty()).await;
        if !failed.is_empty() || !blocked.is_empty() {
            left.push(row.entry.at);
        }
        stuck.extend(failed.into_iter().map(|way| (id, way)));
    }
    Ok((outbox.rows.len() - left.len(), left))
}

/// Sends a row those ways, side by side, since none waits for another's repair; and keeps what came
/// of it, so that nobody is told again and again what only another could not take. `are_all` says
/// whether no other way is open. The ways that later rows must not go.
async fn send<P: Ports>(ports: &P, row: &OutboxRow, open: &[Way], are_all: bool) -> Vec<Way> {
    if open.is_empty() && !are_all {
        return Vec::new();
    }
    let draft = match draft(ports, row).await {
        Ok(draft) => draft,
        Err(error) => {
            health::report(ports, Some(&row.deployment_id), &error);
            return open.to_vec();
        }
    };
    let told = join_all(open.iter().map(|way| async {
        let told = ports.announce(row, draft.as_ref(), *way);
        let told = ports.within(EACH, told).await;
        (*way, told.unwrap_or_else(|| Err(late())))
    }));
    let (mut taken, mut failed) = (row.taken.clone(), Vec::new());
    let age = Span::between(row.entry.at, ports.now());
    for (way, told) in told.await {
        if let Err(error) = &told {
            health::report(ports, Some(&row.deployment_id), error);
        }
        match told {
            Err(error) if !is_given_up(way, &error, age) => failed.push(way),
            _ => taken.push(way),
        }
    }
    let kept = if are_all && failed.is_empty() {
        ports.within(EACH, ports.sent(row)).await
    } else if taken.len() > row.taken.len() {
        ports.within(EACH, ports.half_sent(row, &taken)).await
    } else {
        Some(Ok(()))
    };
    if let Err(error) = kept.unwrap_or_else(|| Err(late())) {
        // It will be told once more, and before those after it.
        health::report(ports, Some(&row.deployment_id), &error);
        failed = ports.ways(row);
    }
    failed
}

/// Whether an announcement goes this way no more: a topic beside the stack's that is not there, or that
/// refused it for a day. The stack's topic and the bus are told the same.
fn is_given_up(way: Way, error: &PortError, age: Span) -> bool {
    let is_beside = !Way::ALWAYS.contains(&way);
    is_beside && (error.class == Class::Invalid || error.class == Class::Denied && age >= REFUSED)
}

/// The draft of the post-mortem that goes out with an incident, as of the incident's own line of
/// history, with what was judged by then: the same however often it is sent. One that can't be had in
/// passing is waited for, a few minutes long; the incident itself is never held back for good.
async fn draft<P: Ports>(ports: &P, row: &OutboxRow) -> Result<Option<PostMortem>, PortError> {
    if row.entry.event != Name::Incident {
        return Ok(None);
    }
    let drawn = ports.within(EACH, drawn(ports, row)).await;
    match drawn.unwrap_or_else(|| Err(late())) {
        Ok(draft) => Ok(draft),
        Err(error) => {
            let waited = Span::between(row.entry.at, ports.now());
            if !error.class.is_for_good() && waited < PATIENCE {
                return Err(error);
            }
            health::report(ports, Some(&row.deployment_id), &error);
            Ok(None)
        }
    }
}

async fn drawn<P: Ports>(ports: &P, row: &OutboxRow) -> Result<Option<PostMortem>, PortError> {
    let id = &row.deployment_id;
    let Some(loaded) = ports.load(id).await? else {
        return Ok(None);
    };
    let mut history = ports.history(id).await?;
    history.retain(|entry| entry.seq <= row.entry.seq);
    let evidence = loaded.evidence.as_judged();
    Ok(PostMortem::of(&loaded.deployment, &evidence, &history))
}

fn late() -> PortError {
    PortError::new(Class::InDoubt, "announce", "not taken in time")
}
