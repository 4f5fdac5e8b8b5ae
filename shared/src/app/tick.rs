//! One pass of the control loop over every active deployment.
//!
//! A deployment whose record, endpoint or metrics break never keeps the others from being judged:
//! each has its own result, its own time and its own panic. The tick as a whole ends within its
//! budget; whoever is not reached stands further ahead in the next minute's order.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::announce::SHARDS;
use super::health::{self, Figure};
use super::observe;
use super::ports::{Ambient, Class, Commit, Loaded, PortError, Ports};
use crate::domain::decide::{effect_after, settle};
use crate::domain::deployment::Deployment;
use crate::domain::observation::Observation;
use crate::domain::quantity::Span;
use crate::domain::state::{Phase, Status};

/// What one deployment may take of a tick, once for its reading and once for its writing.
const EACH: Duration = Duration::from_secs(20);

/// Records read and written side by side.
const AT_ONCE: usize = 64;

/// What is kept of a tick's time, whatever the readings take.
const FOR_PASSES: Duration = Duration::from_secs(15);

/// What a tick did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ticked {
    /// Deployments that are not over.
    pub active: usize,
    /// Records written.
    pub committed: usize,
    /// Effects that other functions were woken for.
    pub woken: usize,
    /// Passes that another worker was faster at.
    pub conflicts: usize,
    /// Deployments whose pass failed, or parts of the index that could not be read, with the reason.
    pub failed: Vec<(String, String)>,
    /// Whether somebody may have been missed: part of the index unread, or the time at its end.
    pub broken_off: bool,
    /// The oldest last judged minute of those that are judged.
    #[serde(skip)]
    oldest_unjudged: Span,
    /// The longest wait of a rollback for its endpoint.
    #[serde(skip)]
    rollback_waits: Span,
}

/// Judges every active deployment once, and says so.
pub async fn tick<P: Ports>(ports: &P, budget: Duration) -> Ticked {
    let (started, now) = (Instant::now(), ports.now());
    let left = || budget.saturating_sub(started.elapsed());
    let mut ticked = Ticked::default();
    let ids = active(ports, now, &mut ticked).await;
    ticked.active = ids.len();
    let loads: Vec<_> = ids
        .into_iter()
        .map(|id| async {
            let loaded = bounded(ports, left(), ports.load(&id)).await;
            (id, loaded)
        })
        .collect();
    let mut records = Vec::with_capacity(ticked.active);
    let mut loads = stream::iter(loads).buffered(AT_ONCE);
    while let Some((id, loaded)) = loads.next().await {
        match loaded {
            Ok(Some(record)) if !record.deployment.state.status.is_terminal() => {
                records.push(record);
            }
            // The index is eventually consistent: over or gone since.
            Ok(_) => {}
            Err(error) => ticked.fail(ports, &id, &error),
        }
    }
    let looked_at = ports.now();
    // A rollback under way needs no metrics, and waits for nobody's.
    records.sort_by_key(|record| record.deployment.state.status != Status::RollingBack);
    let deadline = started + budget.saturating_sub(FOR_PASSES);
    let seen = observe::observe(ports, &records, now, deadline).await;
    let passes: Vec<_> = records
        .iter()
        .zip(&seen)
        .map(|(record, seen)| async move {
            let done = bounded(ports, left(), pass_or_again(ports, record, seen, looked_at)).await;
            (record, done)
        })
        .collect();
    let mut passes = stream::iter(passes).buffered(AT_ONCE);
    while let Some((record, done)) = passes.next().await {
        ticked.take_in(ports, record, done, now);
    }
    ticked.broken_off |= left().is_zero();
    ticked.measure(ports);
    ticked
}

/// Every active id, in an order that moves on by one every minute: where time runs out, it does
/// not run out for the same ones again.
async fn active<P: Ports>(ports: &P, now: Timestamp, ticked: &mut Ticked) -> Vec<String> {
    let late = || PortError::new(Class::InDoubt, "active", "no answer in time");
    let shards: Vec<_> = (0..SHARDS)
        .map(|shard| async move {
            let part = ports.within(EACH, ports.active(shard)).await;
            part.unwrap_or_else(|| Err(late()))
        })
        .collect();
    let mut ids = Vec::new();
    let mut found = stream::iter(shards).buffered(AT_ONCE);
    let mut shard = 0;
    while let Some(part) = found.next().await {
        match part {
            Ok(part) => ids.extend(part),
            // The other parts' deployments are judged all the same.
            Err(error) => {
                ticked.broken_off = true;
                ticked.fail(ports, &format!("active part {shard}"), &error);
            }
        }
        shard += 1;
    }
    ids.sort_unstable();
    let minute = usize::try_from(now.as_second() / 60).unwrap_or(0);
    let turn = minute % ids.len().max(1);
    ids.rotate_left(turn);
    ids
}

/// The work, within its time and with its panics caught: to the others both are this one's error.
async fn bounded<A: Ambient, T: Send>(
    ports: &A,
    left: Duration,
    work: impl Future<Output = Result<T, PortError>> + Send,
) -> Result<T, PortError> {
    if left.is_zero() {
        let why = "no time was left in this tick";
        return Err(PortError::new(Class::Retryable, "tick", why));
    }
    let limit = EACH.min(left);
    let caught = async {
        let done = AssertUnwindSafe(work).catch_unwind().await;
        done.unwrap_or_else(|_| Err(PortError::new(Class::Bug, "tick", "the pass panicked")))
    };
    ports.within(limit, caught).await.unwrap_or_else(|| {
        let why = format!("not done within {} s", limit.as_secs());
        Err(PortError::new(Class::InDoubt, "tick", why))
    })
}

impl Ticked {
    fn fail<P: Ports>(&mut self, ports: &P, id: &str, error: &PortError) {
        health::report(ports, Some(id), error);
        self.failed.push((id.to_owned(), error.to_string()));
    }

    fn take_in<P: Ports>(
        &mut self,
        ports: &P,
        before: &Loaded,
        done: Result<Done, PortError>,
        now: Timestamp,
    ) {
        let (deployment, judged_through) = match done {
            Ok(done) => {
                self.committed += usize::from(done.committed);
                self.woken += usize::from(done.woken);
                (done.next, done.judged_through)
            }
            Err(error) => {
                if error.class == Class::Conflict {
                    self.conflicts += 1;
                } else {
                    self.fail(ports, &before.deployment.terms.id, &error);
                }
                (before.deployment.clone(), before.evidence.judged_through)
            }
        };
        if deployment.is_judged() {
            let age = Span::between(judged_through, now);
            self.oldest_unjudged = self.oldest_unjudged.max(age);
        }
        if deployment.state.phase == Phase::Reverting {
            let waited = Span::between(deployment.state.phase_since, now);
            self.rollback_waits = self.rollback_waits.max(waited);
        }
    }

    fn measure<P: Ports>(&self, ports: &P) {
        let time = |span: Span| Duration::from_secs(span.secs());
        ports.measure(&Figure::Active(self.active));
        ports.measure(&Figure::OldestUnjudged(time(self.oldest_unjudged)));
        ports.measure(&Figure::RollbackWaits(time(self.rollback_waits)));
        if !self.broken_off {
            ports.measure(&Figure::Heartbeat);
        }
    }
}

struct Done {
    committed: bool,
    woken: bool,
    next: Deployment,
    judged_through: Timestamp,
}

/// A function that gave its lease back a moment ago must not cost the canary a minute: the minutes
/// that were read are held against the record as it is now, and against the endpoint as it is
/// after that reading; an older look could not tell what the other writer has set going. A second
/// conflict is left to the next tick.
async fn pass_or_again<P: Ports>(
    ports: &P,
    before: &Loaded,
    seen: &Observation,
    looked_at: Timestamp,
) -> Result<Done, PortError> {
    let error = match pass(ports, before, seen, looked_at).await {
        Err(error) if error.class == Class::Conflict => error,
        other => return other,
    };
    let terms = &before.deployment.terms;
    let fresh = ports.load(&terms.id).await?.ok_or(error)?;
    let looked_at = ports.now();
    let endpoint = observe::endpoint(ports, terms).await;
    let seen = Observation {
        endpoint,
        ..seen.clone()
    };
    pass(ports, &fresh, &seen, looked_at).await
}

/// Decide, commit, wake. A conflict stops with no effect: whoever wrote has acted.
///
/// It is decided as of the time before the look: a lease that has run out since may have let its
/// call land after it.
async fn pass<P: Ports>(
    ports: &P,
    before: &Loaded,
    seen: &Observation,
    now: Timestamp,
) -> Result<Done, PortError> {
    let decision = settle(&before.deployment, &before.evidence, seen, now)
        .map_err(|error| PortError::new(Class::Bug, "decide", error.to_string()))?;
    let committed = decision.next != before.deployment || decision.evidence != before.evidence;
    let mut version = before.deployment.state.version;
    if committed {
        let commit = Commit {
            before,
            next: &decision.next,
            evidence: &decision.evidence,
            minutes: &decision.minutes,
            entries: &decision.entries,
        };
        version = ports.commit(commit).await?.deployment.state.version;
        if !decision.minutes.is_empty() {
            health::judged(&decision.next, &decision.evidence);
        }
    }
    let mut woken = false;
    if let Some(effect) = effect_after(&decision, &seen.endpoint, now) {
        let id = &before.deployment.terms.id;
        match ports.wake(effect.actor(), id, version).await {
            Ok(()) => woken = true,
            // The invoke is a hint: if it is lost, the effect is still due at the next tick.
            Err(error) => health::report(ports, Some(id), &error),
        }
    }
    Ok(Done {
        committed,
        woken,
        next: decision.next,
        judged_through: decision.evidence.judged_through,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wall clock, and nothing else.
    struct Wall;

    impl Ambient for Wall {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
        fn new_id(&self) -> String {
            String::new()
        }
        fn call_timeout(&self) -> Duration {
            Duration::ZERO
        }
        fn lease(&self) -> Span {
            Span::ZERO
        }
        fn landing(&self) -> Span {
            Span::ZERO
        }
        async fn pause(&self, _wait: Duration) {}
        async fn within<T: Send>(
            &self,
            limit: Duration,
            work: impl Future<Output = T> + Send,
        ) -> Option<T> {
            tokio::time::timeout(limit, work).await.ok()
        }
    }

    fn class(result: Result<u8, PortError>) -> Class {
        result.expect_err("an error").class
    }

    #[tokio::test]
    async fn a_panic_is_one_deployments_error() {
        let panics = async {
            assert!(jiff::Timestamp::UNIX_EPOCH.as_second() > 0, "a bug of ours");
            Ok(1)
        };
        assert_eq!(class(bounded(&Wall, EACH, panics).await), Class::Bug);
    }

    #[tokio::test]
    async fn what_never_answers_is_broken_off() {
        let hangs = std::future::pending();
        let limit = Duration::from_millis(20);
        assert_eq!(class(bounded(&Wall, limit, hangs).await), Class::InDoubt);
    }

    #[tokio::test]
    async fn nothing_begins_when_no_time_is_left() {
        let begins = async { unreachable!("it has begun") };
        let left = Duration::ZERO;
        assert_eq!(class(bounded(&Wall, left, begins).await), Class::Retryable);
    }
}
