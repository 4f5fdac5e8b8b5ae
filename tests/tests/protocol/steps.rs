//! The steps. Each calls the project's own rules on the stored record and on what a worker holds;
//! nothing about a rollout is decided here. A [`Variant`] other than [`Variant::AsBuilt`] breaks the
//! protocol around those rules in one place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use shared::app::ports::{Commit, Loaded};
use shared::app::transaction::Transaction;
use shared::domain::command::{Command, IllegalCommand, apply};
use shared::domain::decide::settle;
use shared::domain::deployment::{Deployment, Lease};
use shared::domain::due::{Effect, due};
use shared::domain::evidence::Evidence;
use shared::domain::history::Entry;
use shared::domain::judge::bench::Bench;
use shared::domain::protocol::{self, Answer};
use shared::domain::quantity::{Span, Weight};
use shared::domain::scaling::{ScalableTarget, Suspension};
use shared::domain::state::{Phase, Status};

use super::fair::Memory;
use super::outside::{arrive, look, observation, prepare, tidy};
use super::variants::Variant;
use super::workers::{Reading, Worker, change_of};
use super::world::{Broken, Call, Change, Config, Endpoint, Left, World};

/// How long a call may still land.
const LANDING: i64 = 1;
/// How long a lease lasts: longer than that.
const LEASE: i64 = 2;

/// Calls under way at once whose callers are gone.
const ORPHANS: usize = 1;

/// What is explored.
#[derive(Debug)]
pub(crate) struct Rollout {
    /// What is broken in the protocol, if anything.
    pub(crate) variant: Variant,
    /// Whether the canary's minutes are judged, by a guard that asks for two bad ones.
    pub(crate) judges_minutes: bool,
    /// Whether a breach goes down by a step before everything is taken back.
    pub(crate) goes_down: bool,
    /// Workers at once.
    pub(crate) workers: usize,
    /// What may happen from each beginning on, where that is bounded. Then a rollout begins at
    /// every rest of one in which nothing goes wrong, and else just accepted.
    pub(crate) left: Left,
    /// The one phase in which a bounded rollout begins, if not in every one.
    pub(crate) begins_in: Option<Phase>,
    /// The orders that an operator may give, any number of times.
    pub(crate) orders: Vec<Command>,
    /// What is known to come to an end.
    pub(crate) memory: Mutex<Memory>,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A minute passes.
    Minute,
    /// A tick begins.
    Tick,
    /// A function is invoked: woken, late, doubled.
    Function,
    /// A worker goes on.
    Step(usize),
    /// A worker reads the world.
    Look { worker: usize, is_bad: bool },
    /// The call that a worker waits for lands, and the answer arrives.
    Land(usize),
    /// The call is refused for the moment.
    Throttle(usize),
    /// A worker is gone: crashed, timed out, or its answer lost.
    Vanish(usize),
    /// A call whose worker is gone lands.
    LandOrphan(usize),
    /// The endpoint is done with what it accepted.
    Finish,
    /// The endpoint goes back to the config before.
    ComeBack,
    /// An operator orders something.
    Order(Command),
}

/// A write that somebody was faster than.
pub(crate) struct Conflict;

impl Rollout {
    /// The protocol as it is built, with everything that may happen.
    pub(crate) fn as_built() -> Self {
        Self {
            variant: Variant::AsBuilt,
            judges_minutes: false,
            goes_down: false,
            workers: 2,
            left: Left {
                invocations: Some(4),
                crashes: Some(2),
            },
            begins_in: None,
            orders: vec![
                Command::Rollback,
                Command::Cancel,
                Command::Pause,
                Command::Resume,
                Command::Promote { full: false },
                Command::SetWeight(Weight::new(50).expect("a percentage")),
            ],
            memory: Mutex::default(),
        }
    }

    pub(crate) fn possible(&self, world: &World, actions: &mut Vec<Action>) {
        if world.calls().all(|call| call.lands_by > world.minute) {
            actions.push(Action::Minute);
        }
        let may_start = world.left.invocations != Some(0) && !world.status().is_terminal();
        if world.workers.len() < self.workers && may_start {
            actions.extend([Action::Tick, Action::Function]);
        }
        for (index, worker) in world.workers.iter().enumerate() {
            match worker {
                Worker::TickLoaded { reading: None, .. } => {
                    for is_bad in [false, true] {
                        if self.judges_minutes || !is_bad {
                            let worker = index;
                            actions.push(Action::Look { worker, is_bad });
                        }
                    }
                }
                Worker::TickLoaded { .. } | Worker::Loaded { .. } => {
                    actions.push(Action::Look {
                        worker: index,
                        is_bad: false,
                    });
                }
                Worker::Calling { effect, .. } => {
                    actions.push(Action::Land(index));
                    if matches!(effect, Effect::Deploy { .. }) {
                        actions.push(Action::Throttle(index));
                    }
                }
                _ => actions.push(Action::Step(index)),
            }
            let adds_orphan = worker.call().is_some();
            let may_vanish = world.left.crashes != Some(0);
            if may_vanish && (!adds_orphan || world.orphans.len() < ORPHANS) {
                actions.push(Action::Vanish(index));
            }
        }
        actions.extend((0..world.orphans.len()).map(Action::LandOrphan));
        match world.endpoint.pending {
            None => {}
            Some(Change::Deploy(_)) => actions.extend([Action::Finish, Action::ComeBack]),
            Some(_) => actions.push(Action::Finish),
        }
        actions.extend(self.orders.iter().copied().map(Action::Order));
    }

    /// The state after a step; `None` where it changes nothing.
    pub(crate) fn take(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::Minute => world.minute += 1,
            Action::Tick => {
                spend(&mut world.left.invocations);
                let before = Arc::clone(&world.stored);
                world.workers.push(Worker::TickLoaded {
                    before,
                    reading: None,
                });
            }
            Action::Function => {
                spend(&mut world.left.invocations);
                let before = Arc::clone(&world.stored);
                world.workers.push(Worker::Loaded { before });
            }
            Action::Step(index) => self.go_on(&mut world, index),
            Action::Look { worker, is_bad } => look(&mut world, worker, is_bad),
            Action::Land(index) => self.land(&mut world, index),
            Action::Throttle(index) => {
                let worker = world.workers.remove(index);
                self.answer(&mut world, worker, Answer::NotNow("throttled".to_owned()));
            }
            Action::Vanish(index) => {
                spend(&mut world.left.crashes);
                let worker = world.workers.remove(index);
                world.orphans.extend(worker.call());
            }
            Action::LandOrphan(index) => {
                let call = world.orphans.remove(index);
                // Its answer reaches nobody.
                let _ = arrive(&mut world, call.change);
            }
            Action::Finish => world.endpoint.finish(),
            Action::ComeBack => world.endpoint.pending = None,
            Action::Order(command) => self.order(&mut world, command)?,
        }
        self.settle_workers(&mut world);
        Some(world)
    }

    /// Removes workers that can do nothing any more, so that they are not told apart. Only where
    /// every commit is conditional.
    fn settle_workers(&self, world: &mut World) {
        if !self.variant.is_conditional() {
            return;
        }
        let mut workers = std::mem::take(&mut world.workers);
        workers.retain(|worker| !worker.is_doomed(world));
        for worker in &mut workers {
            if let Worker::TickSeen {
                before, reading, ..
            } = worker
                && world.is_stale(before)
            {
                *worker = Worker::TickConflicted { reading: *reading };
            }
        }
        world.workers = workers;
    }

    fn go_on(&self, world: &mut World, index: usize) {
        let worker = world.workers.remove(index);
        match worker {
            Worker::TickSeen {
                before,
                sight,
                looked_at,
                reading,
                is_again,
            } => {
                let now = self.decided_at(world, looked_at);
                self.decide(world, &before, sight, now, reading, is_again);
            }
            Worker::TickConflicted { reading } => {
                let before = Arc::clone(&world.stored);
                if !before.deployment.state.status.is_terminal() {
                    world.workers.push(Worker::TickLoaded {
                        before,
                        reading: Some(reading),
                    });
                }
            }
            Worker::Seen {
                before,
                sight,
                looked_at,
            } => {
                let (now, sight) = (self.decided_at(world, looked_at), self.variant.sight(sight));
                self.begin_effect(world, before, sight, now);
            }
            Worker::Preparing { before, effect } => {
                if let Effect::Deploy { config } = &effect {
                    prepare(world, Config::named(config));
                }
                world.workers.push(Worker::Due { before, effect });
            }
            Worker::Due { before, effect } => self.intend(world, before, effect),
            Worker::Leased { lease, effect } => self.under(world, lease, effect),
            Worker::Ready { lease, effect } => self.call(world, lease, effect),
            Worker::Answered {
                lease,
                effect,
                answer,
            } => self.give_back(world, &effect, &lease.holder, &answer),
            Worker::Refused { before, why } => {
                let next = protocol::refused(&before.deployment, &why);
                let _ = self.write(world, &before, &next);
            }
            Worker::TickLoaded { .. } | Worker::Loaded { .. } | Worker::Calling { .. } => {}
        }
    }

    /// As of when a worker judges what it saw.
    fn decided_at(&self, world: &World, looked_at: i64) -> Timestamp {
        if self.variant == Variant::JudgeLater {
            world.now()
        } else {
            World::at(looked_at)
        }
    }

    /// The pass of a tick: settle and commit. The wake after it is nothing here: a function may
    /// begin at any time.
    fn decide(
        &self,
        world: &mut World,
        before: &Loaded,
        sight: Endpoint,
        now: Timestamp,
        reading: Reading,
        is_again: bool,
    ) {
        let seen = observation(self.variant.sight(sight), reading, &before.deployment);
        let asked = self.variant.before_deciding(&before.deployment);
        let Ok(mut decision) = settle(&asked, &before.evidence, &seen, now) else {
            world.broken.insert(Broken::Unsound);
            return;
        };
        forget_what_is_only_told(&mut decision.next);
        self.variant
            .after_deciding(&before.deployment, &mut decision.next);
        if decision.next == before.deployment && decision.evidence == before.evidence {
            return;
        }
        let done = self.commit(
            world,
            before,
            &decision.next,
            &decision.evidence,
            &decision.entries,
        );
        if done.is_err() && !is_again {
            world.workers.push(Worker::TickConflicted { reading });
        }
    }

    /// What is due, from the record as it was read and the endpoint as it was seen.
    fn begin_effect(
        &self,
        world: &mut World,
        before: Arc<Loaded>,
        sight: Endpoint,
        now: Timestamp,
    ) {
        let endpoint = sight.describe();
        let asked = self.variant.before_acting(&before.deployment);
        let Some(effect) = due(&asked, &before.evidence, &endpoint, now) else {
            return;
        };
        let floor = before.deployment.state.floor.as_ref();
        match &effect {
            Effect::TakeBack => world.workers.push(Worker::Calling {
                call: self.new_call(world, &effect),
                effect,
                lease: None,
                unwritten: Some(before),
            }),
            Effect::HoldFloor { .. } if floor.is_none() => {
                let found = ScalableTarget {
                    min: 1,
                    max: 4,
                    policies: Vec::new(),
                    suspended: Suspension::default(),
                    tags: BTreeMap::new(),
                };
                let next = protocol::target_seen(&before.deployment, Some(found));
                if let Ok(before) = self.write(world, &before, &next) {
                    world.workers.push(Worker::Due { before, effect });
                }
            }
            Effect::Deploy { .. } if self.variant == Variant::PrepareFirst => {
                world.workers.push(Worker::Preparing { before, effect });
            }
            _ => world.workers.push(Worker::Due { before, effect }),
        }
    }

    fn new_call(&self, world: &World, effect: &Effect) -> Call {
        let floor = world.stored.deployment.state.floor.as_ref();
        let change = match change_of(effect) {
            Change::Floor { .. } => Change::Floor {
                registers: floor.is_some_and(|floor| floor.released),
            },
            change => change,
        };
        Call {
            change,
            lands_by: world.minute + self.variant.landing(LANDING),
        }
    }

    fn intend(&self, world: &mut World, before: Arc<Loaded>, effect: Effect) {
        let minutes = if self.variant == Variant::ShortLease {
            1
        } else {
            LEASE
        };
        let lease = Lease {
            until: world.now() + SignedDuration::from_mins(minutes),
            holder: format!("of version {}", before.deployment.state.version),
        };
        if self.variant == Variant::CallFirst {
            start_call(world, &before, &effect);
            let call = self.new_call(world, &effect);
            world.workers.push(Worker::Calling {
                call,
                effect,
                lease: Some(lease),
                unwritten: Some(before),
            });
            return;
        }
        let mut next = protocol::intend(&before.deployment, &effect, lease.clone());
        if self.variant.is_unleased(&effect) {
            next.state.lease.clone_from(&before.deployment.state.lease);
        }
        if self.write(world, &before, &next).is_ok() {
            start_call(world, &before, &effect);
            world.workers.push(Worker::Leased { lease, effect });
        }
    }

    /// What comes before the one call of an update, and all of what tidies up. Each part is held
    /// against the lease by itself; here they are one step, and cannot be told apart.
    fn under(&self, world: &mut World, lease: Lease, effect: Effect) {
        match &effect {
            Effect::Tidy if self.still_fits(world, &lease) => {
                let answer = tidy(world);
                world.workers.push(Worker::Answered {
                    lease,
                    effect,
                    answer,
                });
            }
            Effect::Deploy { config } if self.still_fits(world, &lease) => {
                if self.variant != Variant::PrepareFirst {
                    prepare(world, Config::named(config));
                }
                world.workers.push(Worker::Ready { lease, effect });
            }
            _ => self.call(world, lease, effect),
        }
    }

    fn still_fits(&self, world: &World, lease: &Lease) -> bool {
        let landing = match self.variant {
            Variant::ShortLease => 0,
            _ => LANDING,
        };
        protocol::may_call(world.now(), lease, Span::from_mins(landing.unsigned_abs()))
    }

    fn call(&self, world: &mut World, lease: Lease, effect: Effect) {
        if effect != Effect::Tidy && self.still_fits(world, &lease) {
            world.workers.push(Worker::Calling {
                call: self.new_call(world, &effect),
                effect,
                lease: Some(lease),
                unwritten: None,
            });
        } else {
            let answer = Answer::NotNow("the lease was too old to call under".to_owned());
            world.workers.push(Worker::Answered {
                lease,
                effect,
                answer,
            });
        }
    }

    fn land(&self, world: &mut World, index: usize) {
        let worker = world.workers.remove(index);
        if let Some(call) = worker.call() {
            let answer = arrive(world, call.change);
            self.answer(world, worker, answer);
        }
    }

    /// The worker that waited has its answer.
    fn answer(&self, world: &mut World, worker: Worker, answer: Answer) {
        match worker {
            Worker::Calling {
                effect,
                lease: Some(lease),
                unwritten: None,
                ..
            } => world.workers.push(Worker::Answered {
                lease,
                effect,
                answer,
            }),
            Worker::Calling {
                effect,
                lease: Some(lease),
                unwritten: Some(before),
                ..
            } => {
                let (holder, now) = (lease.holder.clone(), world.now());
                let next = protocol::intend(&before.deployment, &effect, lease);
                let noted = protocol::answered(&next, &effect, &holder, &answer, now);
                let _ = self.write(world, &before, &noted.unwrap_or(next));
            }
            Worker::Calling {
                lease: None,
                unwritten: Some(before),
                ..
            } => {
                // It may be tried again within the invocation: that is another invocation here.
                if let Answer::Refused(why) | Answer::NotNow(why) = answer {
                    world.workers.push(Worker::Refused { before, why });
                }
            }
            _ => {}
        }
    }

    /// Read again and written again until nobody is faster: one step, because whoever is faster may
    /// as well come before it.
    fn give_back(&self, world: &mut World, effect: &Effect, holder: &str, answer: &Answer) {
        let stored = Arc::clone(&world.stored);
        let now = world.now();
        if let Some(next) = protocol::answered(&stored.deployment, effect, holder, answer, now) {
            let _ = self.write(world, &stored, &next);
        }
    }

    /// An order is read, followed and written in one step: a conflict makes it read again.
    fn order(&self, world: &mut World, command: Command) -> Option<()> {
        let stored = Arc::clone(&world.stored);
        let (deployment, evidence) = (&stored.deployment, &stored.evidence);
        let ordered = apply(deployment, evidence, command, "operator", None, world.now());
        if matches!(ordered, Err(IllegalCommand::Event(_))) {
            world.broken.insert(Broken::Unsound);
            return Some(());
        }
        let decision = ordered.ok()?;
        let _ = self.commit(
            world,
            &stored,
            &decision.next,
            &decision.evidence,
            &decision.entries,
        );
        Some(())
    }

    fn write(
        &self,
        world: &mut World,
        before: &Loaded,
        next: &Deployment,
    ) -> Result<Arc<Loaded>, Conflict> {
        self.commit(world, before, next, &before.evidence, &[])
    }

    /// The store: what [`Transaction`] asks for is held, all of it is written or none.
    fn commit(
        &self,
        world: &mut World,
        before: &Loaded,
        next: &Deployment,
        evidence: &Evidence,
        entries: &[Entry],
    ) -> Result<Arc<Loaded>, Conflict> {
        let mut next = next.clone();
        forget_what_is_only_told(&mut next);
        let next = &next;
        let commit = Commit {
            before,
            next,
            evidence,
            minutes: &[],
            entries,
        };
        let Ok(transaction) = Transaction::of(&commit, world.now()) else {
            world.broken.insert(Broken::Unsound);
            return Err(Conflict);
        };
        let stored = Arc::clone(&world.stored);
        let is_current = stored.deployment.state.version == transaction.if_version
            || self.variant == Variant::AnyVersion;
        let is_judged = stored.evidence.judged_through == transaction.if_judged_through
            || self.variant.ignores_watermark();
        if !is_current || !is_judged {
            return Err(Conflict);
        }
        let known = if transaction.writes_evidence {
            evidence
        } else {
            &stored.evidence
        };
        hold_steps(world, &stored, &transaction.next, known, entries);
        let mut written = Loaded::clone(&stored);
        if transaction.writes_record {
            written.deployment = transaction.next;
            let version = stored.deployment.state.version + 1;
            written.deployment.state.version = version;
        }
        if transaction.writes_evidence {
            written.evidence.clone_from(evidence);
        }
        if transaction.ends {
            world.is_locked = false;
        }
        world.stored = Arc::new(written);
        Ok(Arc::clone(&world.stored))
    }
}

/// How long the endpoint was busy, what AWS said, and how often an update was tried are kept for
/// people and for limits of many minutes. Here they would only tell states apart.
fn forget_what_is_only_told(next: &mut Deployment) {
    let state = &mut next.state;
    (state.busy, state.refusal, state.in_force) = (None, None, None);
    if let Some(descent) = &mut state.descent {
        descent.cause.clear();
    }
    if let Some(update) = &mut state.update {
        (update.attempts, update.last_error) = (1, None);
    }
}

fn spend(left: &mut Option<u8>) {
    if let Some(left) = left {
        *left -= 1;
    }
}

/// What a commit may do to what is stored.
fn hold_steps(
    world: &mut World,
    stored: &Loaded,
    next: &Deployment,
    known: &Evidence,
    entries: &[Entry],
) {
    let (old, new) = (&stored.deployment.state, &next.state);
    let goes_back = matches!(
        new.status,
        Status::RollingBack | Status::RolledBack | Status::Cancelled | Status::Failed
    );
    if old.status == Status::RollingBack && !goes_back
        || old.status.is_terminal() && old.status != new.status
    {
        world.broken.insert(Broken::Undone);
    }
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    let expected: Vec<u64> = (old.last_seq + 1..=new.last_seq).collect();
    let has_moved = (old.status, old.phase) != (new.status, new.phase);
    if numbers != expected || (has_moved && entries.is_empty()) {
        world.broken.insert(Broken::Untold);
    }
    let raises = matches!(new.phase, Phase::Scaling | Phase::Shifting) && new.phase != old.phase;
    let objection = Bench::of(&stored.deployment).objection(known);
    let is_rewound = known.judged_through < stored.evidence.judged_through;
    if is_rewound || (raises && objection.is_some()) {
        world.broken.insert(Broken::PastEvidence);
    }
}

/// P2, held where a raise starts: against the record that was read.
fn start_call(world: &mut World, read: &Loaded, effect: &Effect) {
    let change = change_of(effect);
    let status = read.deployment.state.status;
    let goes_up = change.raises() || matches!(change, Change::Deploy(Config::Both | Config::Last));
    if goes_up && (status == Status::RollingBack || status.is_terminal()) {
        world.broken.insert(Broken::RaiseAfterRollback);
    }
}
