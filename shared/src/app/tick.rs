//! One pass of the control loop, over every active deployment or over those that an event concerns.
//!
//! A deployment whose record, endpoint or metrics break never keeps the others from being judged:
//! each has its own result, its own time and its own panic. The tick as a whole ends within its
//! budget; the next minute's order begins elsewhere.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::future::join;
use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::announce::SHARDS;
use super::freeze;
use super::health::{self, Figure};
use super::observe;
use super::ports::{Ambient, Class, Commit, Loaded, PortError, Ports};
use crate::domain::decide::after::{self, Successor, asks_what_follows, look_after};
use crate::domain::decide::{Decision, effect_after, settle};
use crate::domain::deployment::Deployment;
use crate::domain::freeze::FreezeReading;
use crate::domain::judge::last_judgeable;
use crate::domain::observation::Observation;
use crate::domain::quantity::Span;
use crate::domain::state::{Phase, Status};

/// What one deployment may take of a tick, once for its reading and once for its writing.
const EACH: Duration = Duration::from_secs(20);

/// Records read and written side by side.
const AT_ONCE: usize = 64;

/// What is kept of a tick's time, whatever the readings take.
const FOR_PASSES: Duration = Duration::from_secs(15);

/// The operation of an error that only says that the time was over.
const OUT_OF_TIME: &str = "tick in time";

/// What a tick did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ticked {
    /// Deployments that are not over; of a pass that an event began, those that it concerns.
    pub active: usize,
    /// Records written.
    pub committed: usize,
    /// Effects that other functions were woken for.
    pub woken: usize,
    /// Passes that another worker was faster at.
    pub conflicts: usize,
    /// Deployments whose pass failed, or parts of the index that could not be read, with the reason.
    pub failed: Vec<(String, String)>,
    /// The first of them that no later pass mends by itself.
    #[serde(skip)]
    pub failed_for_good: Option<String>,
    /// Whether somebody may have been missed: part of the index unread, a reading without an answer
    /// in time, or the time at its end.
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
    let time = Time::of(ports, budget);
    let mut ticked = Ticked::default();
    let ids = active(ports, time.now, &mut ticked).await;
    ticked.active = ids.len();
    let records = load(ports, ids, &time, &mut ticked).await;
    judge(ports, records, &time, &mut ticked).await;
    ticked.broken_off |= time.left().is_zero();
    ticked.measure(ports);
    ticked
}

/// Judges the deployment that an endpoint has, if it has one. The heartbeat and the figures of the
/// whole are left to [`tick`].
pub async fn tick_endpoint<P: Ports>(ports: &P, endpoint: &str, budget: Duration) -> Ticked {
    let time = Time::of(ports, budget);
    let mut ticked = Ticked::default();
    let ids = match bounded(ports, time.left(), ports.lock_holder(endpoint)).await {
        Ok(id) => Vec::from_iter(id),
        Err(error) => {
            ticked.fail(ports, endpoint, &error);
            return ticked;
        }
    };
    ticked.active = ids.len();
    let records = load(ports, ids, &time, &mut ticked).await;
    judge(ports, records, &time, &mut ticked).await;
    ticked
}

/// Judges those deployments whose policy names this alarm. One that concerns nobody costs no more
/// than reading the records: in an incident a hundred of them may fire at once.
pub async fn tick_alarm<P: Ports>(ports: &P, alarm: &str, budget: Duration) -> Ticked {
    let time = Time::of(ports, budget);
    let mut ticked = Ticked::default();
    let ids = active(ports, time.now, &mut ticked).await;
    let mut records = load(ports, ids, &time, &mut ticked).await;
    records.retain(|record| {
        let alarms = &record.deployment.terms.policy.alarms;
        alarms.iter().any(|named| named == alarm)
    });
    ticked.active = records.len();
    judge(ports, records, &time, &mut ticked).await;
    ticked
}

/// When a pass began, and how long it may take.
struct Time {
    now: Timestamp,
    started: Instant,
    budget: Duration,
}

impl Time {
    fn of<A: Ambient>(ports: &A, budget: Duration) -> Self {
        Self {
            now: ports.now(),
            started: Instant::now(),
            budget,
        }
    }

    fn left(&self) -> Duration {
        self.budget.saturating_sub(self.started.elapsed())
    }

    /// Until when readings are waited for.
    fn deadline(&self) -> Instant {
        self.started + self.budget.saturating_sub(FOR_PASSES)
    }
}

/// Every active id, in an order that begins elsewhere every minute: where time runs out, it does not
/// run out for the same ones again.
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
    let turn = first_of(ids.len(), now);
    ids.rotate_left(turn);
    ids
}

/// Where a minute's order begins: at the multiples of the golden ratio, which leave no part of the
/// circle out for long. An order that moved on by one a minute would leave the last of a thousand
/// unreached for hours where time suffices for three hundred. Not by the oldest judged minute: who
/// is not judged (provisioning, cleaning up) has one that stands still.
fn first_of(count: usize, now: Timestamp) -> usize {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let minute = now.as_second().unsigned_abs() / 60;
    let turn = u128::from(minute.wrapping_mul(GOLDEN)) * count as u128;
    usize::try_from(turn >> 64).unwrap_or(0)
}

/// The records that are not over, in this order.
async fn load<P: Ports>(
    ports: &P,
    ids: Vec<String>,
    time: &Time,
    ticked: &mut Ticked,
) -> Vec<Loaded> {
    let mut records = Vec::with_capacity(ids.len());
    let loads: Vec<_> = ids
        .into_iter()
        .map(|id| async {
            let loaded = bounded(ports, time.left(), ports.load(&id)).await;
            (id, loaded)
        })
        .collect();
    let mut loads = stream::iter(loads).buffered(AT_ONCE);
    while let Some((id, loaded)) = loads.next().await {
        match loaded {
            // The index is eventually consistent: over since.
            Ok(Some(record)) if !record.deployment.state.is_active() => {}
            Ok(Some(record)) if record.deployment.state.status.is_terminal() => {
                // It is over, and its minutes may gather.
                ticked.active = ticked.active.saturating_sub(1);
                if after::is_due(&record.deployment, &record.evidence, time.now) {
                    records.push(record);
                }
            }
            Ok(Some(record)) => records.push(record),
            // Gone since.
            Ok(None) => {}
            // Nobody judges it. What no later pass mends fails the pass, which has an alarm of its own,
            // and must not hide by a missing heartbeat that the loop lives.
            Err(error) => {
                ticked.broken_off |= !error.class.is_for_good();
                ticked.fail(ports, &id, &error);
            }
        }
    }
    records
}

/// Observes and passes over these records.
async fn judge<P: Ports>(ports: &P, records: Vec<Loaded>, time: &Time, ticked: &mut Ticked) {
    // Who needs no metrics waits for nobody's: a rollback under way above all.
    let (judged, mut others): (Vec<_>, Vec<_>) =
        records.into_iter().partition(observe::has_minutes);
    others.sort_by_key(|record| record.deployment.state.status != Status::RollingBack);
    // Boxed, because the compiler bounds how deep futures may lie in each other.
    let (others_done, judged_done) = join(
        Box::pin(pass_over(ports, &others, time)),
        Box::pin(pass_over(ports, &judged, time)),
    )
    .await;
    for (records, (done, is_late)) in [(others, others_done), (judged, judged_done)] {
        ticked.broken_off |= is_late;
        for (record, done) in records.iter().zip(done) {
            ticked.take_in(ports, record, done, time.now);
        }
    }
}

/// What became of each record, in their order, and whether a reading had no answer in time.
async fn pass_over<P: Ports>(
    ports: &P,
    records: &[Loaded],
    time: &Time,
) -> (Vec<Result<Done, PortError>>, bool) {
    let looked_at = ports.now();
    // The minutes that are judgeable by then, and not when the tick began: it may have been another minute.
    let seen = observe::observe(ports, records, looked_at, time.deadline()).await;
    let passes: Vec<_> = records
        .iter()
        .zip(&seen.observations)
        .map(|(record, seen)| async move {
            let pass = pass_or_again(ports, record, seen, looked_at);
            bounded(ports, time.left(), pass).await
        })
        .collect();
    let passes = stream::iter(passes).buffered(AT_ONCE);
    (passes.collect().await, seen.is_late)
}

/// The work, within its time and with its panics caught: to the others both are this one's error.
async fn bounded<A: Ambient, T: Send>(
    ports: &A,
    left: Duration,
    work: impl Future<Output = Result<T, PortError>> + Send,
) -> Result<T, PortError> {
    if left.is_zero() {
        let why = "no time was left in this tick";
        return Err(PortError::new(Class::Retryable, OUT_OF_TIME, why));
    }
    let limit = EACH.min(left);
    let caught = async {
        let done = AssertUnwindSafe(work).catch_unwind().await;
        done.unwrap_or_else(|_| Err(PortError::new(Class::Bug, "tick", "the pass panicked")))
    };
    ports.within(limit, caught).await.unwrap_or_else(|| {
        let why = format!("not done within {} s", limit.as_secs());
        Err(PortError::new(Class::InDoubt, OUT_OF_TIME, why))
    })
}

impl Ticked {
    fn fail<P: Ports>(&mut self, ports: &P, id: &str, error: &PortError) {
        health::report(ports, Some(id), error);
        self.broken_off |= error.operation == OUT_OF_TIME;
        if error.class.is_for_good() && self.failed_for_good.is_none() {
            self.failed_for_good = Some(format!("{id}: {error}"));
        }
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
        if deployment.is_judged() && deployment.state.watch.is_none() {
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
    let now = ports.now();
    // In another minute than the metrics were read in, one more would be missed: it is decided as of theirs.
    let is_another = last_judgeable(now) > last_judgeable(looked_at);
    let looked_at = if is_another { looked_at } else { now };
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
    let mut decision = decided(ports, before, seen, now).await?;
    let mut frozen = FreezeReading::NotAsked;
    // Asked only where something is about to be raised, or waits for that: any other pass needs no
    // answer, and no rollback waits for one.
    if decision.asks_for_freeze(&before.deployment, &seen.endpoint, now) {
        frozen = freeze::reading(ports, &before.deployment).await;
        let seen = Observation {
            freeze: frozen.clone(),
            ..seen.clone()
        };
        decision = decided(ports, before, &seen, now).await?;
    }
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
    let due = effect_after(&decision, &seen.endpoint, now);
    let due = due.and_then(|due| frozen.let_through(due, &decision.next, &seen.endpoint));
    if let Some(effect) = due {
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

async fn decided<P: Ports>(
    ports: &P,
    before: &Loaded,
    seen: &Observation,
    now: Timestamp,
) -> Result<Decision, PortError> {
    let (deployment, evidence) = (&before.deployment, &before.evidence);
    if deployment.state.status.is_terminal() {
        let successor = successor(ports, deployment).await?;
        let successor = successor.as_ref();
        return Ok(look_after(deployment, evidence, seen, successor, now));
    }
    settle(deployment, evidence, seen, now)
        .map_err(|error| PortError::new(Class::Bug, "decide", error.to_string()))
}

/// The deployment that has the endpoint after this one, read only as far as it is asked.
async fn successor<P: Ports>(
    ports: &P,
    deployment: &Deployment,
) -> Result<Option<Successor>, PortError> {
    let Some(id) = ports.lock_holder(&deployment.terms.endpoint).await? else {
        return Ok(None);
    };
    let mut package = None;
    if asks_what_follows(deployment) {
        let follows = ports.load(&id).await?;
        package = follows.and_then(|follows| follows.deployment.terms.packages.new);
    }
    Ok(Some(Successor { id, package }))
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

    #[test]
    fn where_time_suffices_for_some_all_have_their_turn_soon() {
        for (count, reached, minutes) in [(1000, 300, 8), (1000, 50, 40), (7, 1, 20), (2, 1, 4)] {
            for start in [0, 1, 29_500_000] {
                let mut seen = vec![false; count];
                for minute in start..start + minutes {
                    let now = Timestamp::from_second(minute * 60).expect("a minute");
                    let first = first_of(count, now);
                    (0..reached).for_each(|place| seen[(first + place) % count] = true);
                }
                let missed = seen.iter().filter(|seen| !**seen).count();
                assert_eq!(
                    missed, 0,
                    "{reached} of {count} a minute, {minutes} minutes"
                );
            }
        }
        assert_eq!(first_of(0, Timestamp::UNIX_EPOCH), 0);
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
