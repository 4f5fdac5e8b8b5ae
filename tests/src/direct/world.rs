//! The world and its runner: invocations that take turns, one port call at a time.
//!
//! Nothing runs by itself. Whoever drives the world starts invocations, lets them make calls, moves
//! the clock, and looks. [`Fast::run`] does all of it until nothing is left to do, choosing among
//! what is possible by a [`Policy`]: invocations that live may proceed, and async invokes that are
//! due may start. The same choices give the same run, call by call.
//!
//! An invocation that the clock leaves behind is ended as Lambda would end it, so no lease is ever
//! outlived by its holder.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::app::accept::{Accepted, Key, accept};
use shared::app::announce::{Swept, sweep_all};
use shared::app::carry_out::{Carried, carry_out};
use shared::app::health::Figure;
use shared::app::order::{OrderError, order};
use shared::app::ports::{Loaded, MetricAnswer, MetricQuery, OutboxRow, PortError, Store};
use shared::app::refusal::Refusal;
use shared::app::tick::{Ticked, tick};
use shared::app::undo::undo;
use shared::domain::command::Command;
use shared::domain::due::Actor;
use shared::domain::invariants;
use shared::wire::specification;
use simulator::Simulator;

use super::calls::{Caller, Direct, Event, Fate, Shared};
use super::chance::Chance;
use super::gate::{Gate, Passed, Role};
use super::store::MemoryStore;

/// The template's timeouts.
const MONITOR_TIMEOUT: SignedDuration = SignedDuration::from_secs(55);
const FUNCTION_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);
const API_TIMEOUT: SignedDuration = SignedDuration::from_secs(29);
/// What an invocation has left when it begins.
const TIME_LEFT: Duration = Duration::from_mins(1);
/// How `monitor` divides its time between judging and telling.
const TICK_TIME: Duration = Duration::from_secs(44);
const SWEEP_TIME: Duration = Duration::from_secs(10);
/// More steps without end are a loop.
const MOST_STEPS: usize = 100_000;

/// What an invocation does.
#[derive(Debug, Clone)]
pub enum Job {
    /// A tick, and the sweep of the outbox.
    Monitor,
    /// A function that was woken.
    Carry(Actor, String),
    /// A request to make a deployment.
    Accept(Value, Option<Key>),
    /// An operator's command.
    Order(String, Command),
    /// A request to bring the former model back.
    Undo(String),
}

/// What an invocation answered.
#[derive(Debug)]
#[allow(missing_docs, reason = "one for each job")]
pub enum Answer {
    Monitor(Ticked, Swept),
    Carried(Result<Carried, PortError>),
    Accepted(Box<Result<Accepted, Refusal>>),
    Ordered(Box<Result<Loaded, OrderError>>),
    Undone(Box<Result<Accepted, Refusal>>),
}

/// An invocation that is over.
#[derive(Debug)]
pub struct Ended {
    /// Its number.
    pub invocation: u64,
    /// What it did.
    pub job: Job,
    /// Its answer; `None` if it crashed or ran out of time.
    pub answer: Option<Answer>,
}

/// Which of the possible steps is taken.
#[derive(Debug, Clone)]
pub enum Policy {
    /// One invocation after the other, each to its end, in the order in which they were started.
    InOrder,
    /// Any, by this chance.
    Seeded(Chance),
    /// These, counted from 0; the first possible one when the list is used up.
    Chosen(std::collections::VecDeque<usize>),
}

struct Live {
    job: Job,
    until: Timestamp,
    future: Pin<Box<dyn Future<Output = Answer>>>,
}

/// A world of invocations over a simulated account.
pub struct Fast {
    shared: Arc<Shared>,
    live: BTreeMap<u64, Live>,
    ended: Vec<Ended>,
    policy: Policy,
    choices: Vec<(usize, usize)>,
    started: u64,
}

impl Fast {
    /// A world over this account.
    pub fn over(simulator: Arc<Simulator>) -> Self {
        Self {
            shared: Arc::new(Shared::new(simulator)),
            live: BTreeMap::new(),
            ended: Vec::new(),
            policy: Policy::InOrder,
            choices: Vec::new(),
            started: 0,
        }
    }

    /// The ports of an observer: its calls happen at once, are not counted, and pass no gate.
    pub fn ports(&self) -> Direct {
        Direct {
            shared: Arc::clone(&self.shared),
            caller: None,
        }
    }

    /// The simulated account.
    pub fn simulator(&self) -> &Arc<Simulator> {
        &self.shared.simulator
    }

    /// The records.
    pub fn store(&self) -> &MemoryStore {
        &self.shared.store
    }

    /// The world's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Who decides what becomes of calls, from now on.
    pub fn set_gate(&self, gate: impl Gate + 'static) {
        self.shared.state().gate = Box::new(gate);
    }

    /// Who decides what becomes of async invokes, from now on.
    pub fn set_fates(&self, fates: impl FnMut(&Event) -> Fate + Send + 'static) {
        self.shared.state().fates = Box::new(fates);
    }

    /// What becomes of every metric's answer on its way to the caller, from now on.
    pub fn set_lens(
        &self,
        lens: impl FnMut(&MetricQuery, MetricAnswer) -> MetricAnswer + Send + 'static,
    ) {
        self.shared.state().lens = Box::new(lens);
    }

    /// How [`Fast::run`] chooses, from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Every call that was made, and what became of it.
    pub fn calls(&self) -> Vec<Passed> {
        self.shared.state().passed.clone()
    }

    /// How many calls were made.
    pub fn count_calls(&self) -> usize {
        self.shared.state().passed.len()
    }

    /// The last call that was made.
    pub fn last_call(&self) -> Option<Passed> {
        self.shared.state().passed.last().cloned()
    }

    /// The part of an index that was read last: parts are read side by side, in no order.
    pub fn last_part(&self) -> Option<u8> {
        self.shared.state().part
    }

    /// Every choice that [`Fast::run`] made: which, of how many.
    pub fn choices(&self) -> &[(usize, usize)] {
        &self.choices
    }

    /// Async invokes that have not started.
    pub fn events(&self) -> Vec<Event> {
        self.shared.state().events.iter().cloned().collect()
    }

    /// What was told on the event bus and on the topic, oldest first, repeated ones too.
    pub fn told(&self) -> [Vec<OutboxRow>; 2] {
        self.shared.state().told.clone()
    }

    /// Figures about the control plane, each with the invocation that measured it.
    pub fn figures(&self) -> Vec<(u64, Figure)> {
        self.shared.state().figures.clone()
    }

    /// Invocations that are not over, oldest first.
    pub fn live(&self) -> Vec<u64> {
        self.live.keys().copied().collect()
    }

    /// Invocations that are over, in the order of their ends.
    pub fn ended(&self) -> &[Ended] {
        &self.ended
    }

    /// Starts an invocation; it makes no call before its first step.
    pub fn start(&mut self, job: Job) -> u64 {
        self.start_skewed(job, SignedDuration::ZERO)
    }

    /// The same, on a machine whose clock is ahead by so much.
    pub fn start_skewed(&mut self, job: Job, skew: SignedDuration) -> u64 {
        self.started += 1;
        let (role, timeout) = match &job {
            Job::Monitor => (Role::Monitor, MONITOR_TIMEOUT),
            Job::Carry(Actor::Provision, _) => (Role::Provision, FUNCTION_TIMEOUT),
            Job::Carry(Actor::TrafficShift, _) => (Role::TrafficShift, FUNCTION_TIMEOUT),
            Job::Carry(Actor::Rollback, _) => (Role::Rollback, FUNCTION_TIMEOUT),
            Job::Accept(..) | Job::Order(..) | Job::Undo(..) => (Role::Api, API_TIMEOUT),
        };
        let caller = Caller {
            invocation: self.started,
            role,
            skew,
        };
        let ports = Direct {
            shared: Arc::clone(&self.shared),
            caller: Some(caller),
        };
        let live = Live {
            until: self.now() + timeout,
            future: Box::pin(invoke(ports, job.clone())),
            job,
        };
        self.live.insert(self.started, live);
        self.started
    }

    /// Starts the async invoke that is `index`-th in [`Fast::events`].
    ///
    /// # Panics
    /// When there is none.
    pub fn deliver(&mut self, index: usize) -> u64 {
        self.deliver_skewed(index, SignedDuration::ZERO)
    }

    /// The same, on a machine whose clock is ahead by so much.
    ///
    /// # Panics
    /// When there is none.
    pub fn deliver_skewed(&mut self, index: usize, skew: SignedDuration) -> u64 {
        let event = self.shared.state().events.remove(index);
        let event = event.expect("an event that waits");
        self.start_skewed(Job::Carry(event.actor, event.deployment_id), skew)
    }

    /// Loses the async invoke that is `index`-th in [`Fast::events`].
    pub fn lose(&mut self, index: usize) {
        self.shared.state().events.remove(index);
    }

    /// Lets an invocation make its next call, and go on to the one after it. Then the world must be
    /// sound. Nothing happens for one that is over.
    pub fn step(&mut self, invocation: u64) {
        let Some(live) = self.live.get_mut(&invocation) else {
            return;
        };
        self.shared.state().turn = Some(invocation);
        let polled = live
            .future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        let mut state = self.shared.state();
        state.turn = None;
        let crashed = state.crashed.take();
        drop(state);
        match polled {
            Poll::Ready(answer) => self.end(invocation, Some(answer)),
            Poll::Pending if crashed == Some(invocation) => self.end(invocation, None),
            Poll::Pending => {}
        }
        self.assert_sound();
    }

    /// Ends an invocation where it stands.
    pub fn kill(&mut self, invocation: u64) {
        self.end(invocation, None);
    }

    fn end(&mut self, invocation: u64, answer: Option<Answer>) {
        if let Some(live) = self.live.remove(&invocation) {
            self.ended.push(Ended {
                invocation,
                job: live.job,
                answer,
            });
        }
    }

    /// Moves the clock. Stalled calls land at their time, and invocations run out of theirs.
    pub fn advance(&mut self, by: SignedDuration) {
        let until = self.now() + by;
        while let Some(at) = self.shared.next_landing(until) {
            self.pass_to(at);
            self.shared.land();
        }
        self.pass_to(until);
        self.assert_sound();
    }

    fn pass_to(&mut self, at: Timestamp) {
        self.shared.simulator.pass(at.duration_since(self.now()));
        let late = self.live.iter().filter(|(_, live)| live.until <= at);
        let late: Vec<u64> = late.map(|(invocation, _)| *invocation).collect();
        for invocation in late {
            self.kill(invocation);
        }
    }

    /// Steps and starts, as the policy chooses, until no invocation lives and no event is due.
    ///
    /// # Panics
    /// When that never comes.
    pub fn run(&mut self) {
        for _ in 0..MOST_STEPS {
            let now = self.now();
            let live = self.live();
            let state = self.shared.state();
            let events = state.events.iter().enumerate();
            let due = events.filter(|(_, event)| event.due <= now);
            let due: Vec<usize> = due.map(|(index, _)| index).collect();
            drop(state);
            let options = live.len() + due.len();
            if options == 0 {
                return;
            }
            let chosen = self.policy.choose(options);
            self.choices.push((chosen, options));
            match live.get(chosen) {
                Some(invocation) => self.step(*invocation),
                None => drop(self.deliver(due[chosen - live.len()])),
            }
        }
        panic!("still running after {MOST_STEPS} steps");
    }

    /// Runs one invocation alone to its end, whatever else lives; its answer, unless it crashed.
    pub fn finish(&mut self, job: Job) -> Option<Answer> {
        let invocation = self.start(job);
        while self.live.contains_key(&invocation) {
            self.step(invocation);
        }
        let ended = self.ended.pop_if(|ended| ended.invocation == invocation);
        ended.and_then(|ended| ended.answer)
    }

    /// What must hold after every step: records keep their invariants, nobody did to the endpoint
    /// what nobody should, and an endpoint's lock is held by the one deployment that is not over.
    ///
    /// # Panics
    /// When something does not hold; the message has the last calls.
    pub fn assert_sound(&self) {
        let mut wrong = self.simulator().sagemaker().violations();
        for loaded in self.store().take_written() {
            let (terms, state) = (&loaded.deployment.terms, &loaded.deployment.state);
            wrong.extend(invariants::violations(&loaded.deployment));
            let holder = self.store().holder(&terms.endpoint);
            let holds = holder.as_ref() == Some(&terms.id);
            if holds == state.status.is_terminal() {
                wrong.push(format!(
                    "{} is {}, lock: {holder:?}",
                    terms.id, state.status
                ));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}\n{}", self.last_calls(60));
    }

    /// The last calls, for the message of a failed assertion.
    pub fn last_calls(&self, most: usize) -> String {
        let state = self.shared.state();
        let from = state.passed.len().saturating_sub(most);
        let lines = state.passed[from..].iter().map(ToString::to_string);
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Policy {
    fn choose(&mut self, options: usize) -> usize {
        match self {
            Self::InOrder => 0,
            Self::Seeded(chance) => chance.below(options),
            Self::Chosen(list) => list.pop_front().unwrap_or(0).min(options - 1),
        }
    }
}

/// As the functions' own handlers do it.
async fn invoke(ports: Direct, job: Job) -> Answer {
    match job {
        Job::Monitor => {
            let ticked = tick(&ports, TICK_TIME).await;
            Answer::Monitor(ticked, sweep_all(&ports, SWEEP_TIME).await)
        }
        Job::Carry(actor, id) => Answer::Carried(carry_out(&ports, actor, &id, TIME_LEFT).await),
        Job::Accept(given, key) => {
            let specification = specification::parse(&given).expect("a sound specification");
            let accepted = accept(&ports, &specification, &given, "fast", key).await;
            Answer::Accepted(Box::new(accepted))
        }
        Job::Order(id, command) => {
            let ordered = order(&ports, &id, command, "fast", Some("a test")).await;
            Answer::Ordered(Box::new(ordered))
        }
        Job::Undo(id) => Answer::Undone(Box::new(undone(&ports, &id).await)),
    }
}

async fn undone(ports: &Direct, id: &str) -> Result<Accepted, Refusal> {
    let loaded = ports.load(id).await?.expect("a deployment that is known");
    undo(ports, &loaded, "fast", Some("a test"), None).await
}

/// The result of a future that has nothing to wait for, as an observer's have.
///
/// # Panics
/// When it waits.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("an observer never waits"),
    }
}
