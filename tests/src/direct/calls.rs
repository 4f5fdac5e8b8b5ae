//! What all invocations share, and the way of one call: its turn, the gate, its effect.
//!
//! What a call does is a closure that owns its arguments, so it can also land later than its
//! caller lives. An observer's calls are nobody's: they happen at once and are not counted.

use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use jiff::{SignedDuration, Timestamp};
use shared::app::health::Figure;
use shared::app::ports::{Ambient, Class, MetricAnswer, MetricQuery, OutboxRow, PortError};
use shared::config::{Config, FunctionNames};
use shared::domain::authority::Settings;
use shared::domain::due::Actor;
use simulator::Simulator;

use super::gate::{Call, Gate, Passed, Role, Verdict};
use super::store::MemoryStore;

/// The adapters give up on a call that has no limit of its own.
const CALL_LIMIT: SignedDuration = SignedDuration::from_secs(15);

/// An async invoke that was accepted and has not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The function.
    pub actor: Actor,
    /// The deployment.
    pub deployment_id: String,
    /// The record's version when it was sent.
    pub version: u64,
    /// When it can start, by the world's clock.
    pub due: Timestamp,
}

/// What becomes of an async invoke that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It starts once.
    Once,
    /// It never starts.
    Lost,
    /// It starts twice.
    Twice,
    /// It starts, but not before so much time has passed.
    Later(SignedDuration),
}

/// Changes a metric's answer on its way to the caller.
pub(super) type Lens = Box<dyn FnMut(&MetricQuery, MetricAnswer) -> MetricAnswer + Send>;
/// Decides what becomes of an async invoke.
pub(super) type Fates = Box<dyn FnMut(&Event) -> Fate + Send>;
type Effect = Box<dyn FnOnce(&Shared) + Send>;

/// What all invocations share.
pub(super) struct Shared {
    pub(super) simulator: Arc<Simulator>,
    pub(super) store: MemoryStore,
    pub(super) config: Config,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) gate: Box<dyn Gate>,
    pub(super) fates: Fates,
    pub(super) lens: Lens,
    pub(super) passed: Vec<Passed>,
    /// The invocation that may make one call now.
    pub(super) turn: Option<u64>,
    /// The invocation that has just crashed.
    pub(super) crashed: Option<u64>,
    pub(super) events: VecDeque<Event>,
    /// On the event bus, and on the topic.
    pub(super) told: [Vec<OutboxRow>; 2],
    /// Calls that have not landed yet, in the order in which they were made.
    stalled: Vec<(Timestamp, Effect)>,
    /// Figures about the control plane, with the invocation that measured them.
    pub(super) figures: Vec<(u64, Figure)>,
    calls: u64,
    /// The part of an index that was read last.
    pub(super) part: Option<u8>,
    /// Ids given out.
    pub(super) ids: u64,
}

impl Shared {
    pub(super) fn new(simulator: Arc<Simulator>) -> Self {
        Self {
            store: MemoryStore::new(simulator.clock().clone()),
            simulator,
            config: as_deployed(),
            state: Mutex::new(State {
                gate: Box::new(|_: &Call| Verdict::Go),
                fates: Box::new(|_: &Event| Fate::Once),
                lens: Box::new(|_: &MetricQuery, answer| answer),
                passed: Vec::new(),
                turn: None,
                crashed: None,
                events: VecDeque::new(),
                told: [Vec::new(), Vec::new()],
                stalled: Vec::new(),
                figures: Vec::new(),
                calls: 0,
                part: None,
                ids: 0,
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.simulator.clock().now()
    }

    /// When the next stalled call lands, up to this instant.
    pub(super) fn next_landing(&self, until: Timestamp) -> Option<Timestamp> {
        let state = self.state();
        let landings = state.stalled.iter().map(|(at, _)| *at);
        landings.filter(|at| *at <= until).min()
    }

    /// Lets the stalled calls land whose time has come.
    pub(super) fn land(&self) {
        let now = self.now();
        let due: Vec<_> = self
            .state()
            .stalled
            .extract_if(.., |(at, _)| *at <= now)
            .collect();
        for (_, effect) in due {
            effect(self);
        }
    }
}

/// The functions' own times; nothing here goes by a name.
fn as_deployed() -> Config {
    let nobody = FunctionNames {
        provision: String::new(),
        traffic_shift: String::new(),
        rollback: String::new(),
    };
    Config {
        stack: String::new(),
        table: String::new(),
        topic: String::new(),
        audiences: std::collections::BTreeMap::new(),
        bus: String::new(),
        functions: nobody,
        access: Settings::open(canary::TOPIC).expect("the ARN of a topic"),
        call_timeout: Config::CALL_TIMEOUT,
        speed: 1.0,
        waits: false,
    }
}

/// Whose calls they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) invocation: u64,
    pub(super) role: Role,
    /// What its clock shows more than the world's.
    pub(super) skew: SignedDuration,
}

/// Every port, for one invocation or for an observer.
#[derive(Clone)]
pub struct Direct {
    pub(super) shared: Arc<Shared>,
    /// `None` for an observer.
    pub(super) caller: Option<Caller>,
}

impl Direct {
    /// One call. `limit` is how long the caller waits for it.
    pub(super) async fn call<T, F>(
        &self,
        operation: &'static str,
        limit: SignedDuration,
        effect: F,
    ) -> Result<T, PortError>
    where
        F: FnOnce(&Shared) -> Result<T, PortError> + Send + 'static,
        T: Send,
    {
        let Some(caller) = self.caller else {
            return effect(&self.shared);
        };
        let asked_at = self.shared.now();
        self.turn(caller.invocation).await;
        let in_doubt = || PortError::new(Class::InDoubt, operation, "the answer was lost");
        let verdict = if self.shared.now().duration_since(asked_at) > limit {
            // Its turn came too late: the caller has given up on it.
            self.note(caller, operation, Some(Verdict::LoseRequest))
        } else {
            self.note(caller, operation, None)
        };
        match verdict {
            Verdict::Go => effect(&self.shared),
            Verdict::Fail(error) => Err(error),
            Verdict::LoseRequest => Err(in_doubt()),
            Verdict::LoseAnswer => {
                drop(effect(&self.shared));
                Err(in_doubt())
            }
            Verdict::Stall(time) => {
                let landing = self.shared.now() + time;
                let effect: Effect = Box::new(|shared| drop(effect(shared)));
                self.shared.state().stalled.push((landing, effect));
                Err(in_doubt())
            }
            Verdict::CrashBefore => self.crash(caller.invocation).await,
            Verdict::CrashAfter => {
                drop(effect(&self.shared));
                self.crash(caller.invocation).await
            }
        }
    }

    /// A call that has no limit of its own.
    pub(super) async fn usual<T, F>(
        &self,
        operation: &'static str,
        effect: F,
    ) -> Result<T, PortError>
    where
        F: FnOnce(&Shared) -> Result<T, PortError> + Send + 'static,
        T: Send,
    {
        self.call(operation, CALL_LIMIT, effect).await
    }

    /// A raise or UpdateEndpoint.
    pub(super) async fn once<F>(&self, operation: &'static str, effect: F) -> Result<(), PortError>
    where
        F: FnOnce(&Simulator) -> Result<(), PortError> + Send + 'static,
    {
        let limit = self.landing().duration();
        self.call(operation, limit, |shared| effect(&shared.simulator))
            .await
    }

    /// Waits until the runner lets this invocation make a call.
    fn turn(&self, invocation: u64) -> impl Future<Output = ()> + Send + '_ {
        poll_fn(move |context| {
            let mut state = self.shared.state();
            if state.turn == Some(invocation) {
                state.turn = None;
                return Poll::Ready(());
            }
            // Streams of futures poll only those that asked for it.
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    fn note(&self, caller: Caller, operation: &'static str, fixed: Option<Verdict>) -> Verdict {
        let at = self.shared.now();
        let mut state = self.shared.state();
        let call = Call {
            number: state.calls,
            operation,
            invocation: caller.invocation,
            by: caller.role,
            at,
        };
        state.calls += 1;
        let verdict = fixed.unwrap_or_else(|| state.gate.pass(&call));
        let passed = Passed {
            call,
            verdict: verdict.clone(),
        };
        state.passed.push(passed);
        verdict
    }

    async fn crash<T>(&self, invocation: u64) -> T {
        self.shared.state().crashed = Some(invocation);
        pending().await
    }
}
