//! Workers between two steps: a tick of the control loop, and a function that carries one effect
//! out. Between any two steps anything else may happen, the worker may vanish, and time may pass.
//!
//! ```text
//! tick      load ▸ describe (and what the alarm and the minutes say) ▸ settle and commit
//!                                                                 └ conflict: load ▸ describe ▸ settle and commit
//! function  load ▸ describe ▸ due, and what is written or made before the lease
//!             ├ leased    ▸ intend and commit ▸ may_call, call ▸ (lands) ▸ answered and commit
//!             ├ take back ▸ (lands) ▸ refused and commit
//!             └ tidy      ▸ configs deleted ▸ tidied and commit
//! ```
//!
//! A function is not told what to do, so it stands for every invocation: early, late, doubled and
//! of any of the three functions. A call belongs to its worker while that waits for the answer;
//! when the worker vanishes, or gives up waiting, the call stays and may still land.

use std::sync::Arc;

use jiff::Timestamp;
use shared::app::ports::Loaded;
use shared::domain::deployment::Lease;
use shared::domain::due::Effect;
use shared::domain::protocol::Answer;
use shared::domain::state::Phase;

use super::world::{Call, Change, Config, Endpoint, RecordKey, World, minutes_between};

/// The minutes, as one pass read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The first minute asked for.
    pub(crate) from: Timestamp,
    /// The last.
    pub(crate) through: Timestamp,
    /// Whether the canary fails in these minutes.
    pub(crate) is_bad: bool,
}

/// A worker between two steps.
#[derive(Debug, Clone)]
pub(crate) enum Worker {
    /// A tick has read the record; after a conflict it keeps its minutes.
    TickLoaded {
        before: Arc<Loaded>,
        reading: Option<Reading>,
    },
    /// A tick has seen the endpoint, and decides next.
    TickSeen {
        before: Arc<Loaded>,
        sight: Endpoint,
        looked_at: i64,
        reading: Reading,
        is_again: bool,
    },
    /// A tick that somebody was faster than, before it reads again.
    TickConflicted { reading: Reading },
    /// A function has read the record.
    Loaded { before: Arc<Loaded> },
    /// A function has seen the endpoint.
    Seen {
        before: Arc<Loaded>,
        sight: Endpoint,
        looked_at: i64,
    },
    /// Where a variant prepares before the lease: that is next.
    Preparing { before: Arc<Loaded>, effect: Effect },
    /// What is due is known; the intent is written next.
    Due { before: Arc<Loaded>, effect: Effect },
    /// The intent is written; what the call needs is next, or the call.
    Leased { lease: Lease, effect: Effect },
    /// What the call needs is there; the call is next.
    Ready { lease: Lease, effect: Effect },
    /// The call is under way. Without a lease, nothing is written after it.
    Calling {
        call: Call,
        effect: Effect,
        lease: Option<Lease>,
        /// What is written after the call where a variant calls first.
        unwritten: Option<Arc<Loaded>>,
    },
    /// The answer is there, and the lease is to be given back.
    Answered {
        lease: Lease,
        effect: Effect,
        answer: Answer,
    },
    /// What needs no lease was refused, and the record is to say so.
    Refused { before: Arc<Loaded>, why: String },
}

/// A worker as far as any rule can tell it from another.
pub(crate) type WorkerKey = (u8, Option<RecordKey>, Option<Endpoint>, [i64; 4]);

impl Worker {
    /// The call that it waits for.
    pub(crate) fn call(&self) -> Option<Call> {
        match self {
            Self::Calling { call, .. } => Some(*call),
            _ => None,
        }
    }

    fn before(&self) -> Option<&Loaded> {
        match self {
            Self::TickLoaded { before, .. }
            | Self::TickSeen { before, .. }
            | Self::Loaded { before }
            | Self::Seen { before, .. }
            | Self::Due { before, .. }
            | Self::Preparing { before, .. }
            | Self::Refused { before, .. } => Some(before),
            Self::TickConflicted { .. }
            | Self::Leased { .. }
            | Self::Ready { .. }
            | Self::Calling { .. }
            | Self::Answered { .. } => None,
        }
    }

    /// Whether nothing that this worker may still do can be seen by anybody: its commit is bound to
    /// fail, and it makes no call and no config before. True of the rules as they are built, where
    /// every commit is conditional.
    pub(crate) fn is_doomed(&self, world: &World) -> bool {
        if !self.before().is_some_and(|before| world.is_stale(before)) {
            return false;
        }
        match self {
            Self::TickSeen { is_again, .. } => *is_again,
            // What a tick would still do is what one does that starts now.
            Self::Due { .. } | Self::Refused { .. } | Self::TickLoaded { .. } => true,
            // Taking everything back asks no lease.
            Self::Loaded { before } | Self::Seen { before, .. } => !matches!(
                before.deployment.state.phase,
                Phase::Reverting | Phase::CleaningUp
            ),
            _ => false,
        }
    }

    pub(crate) fn key(&self, world: &World) -> WorkerKey {
        let now = world.now();
        // The stored record is in the key of the world already.
        let record = self
            .before()
            .filter(|before| world.is_stale(before))
            .map(|before| RecordKey::of(before, now));
        let is_stale = i64::from(record.is_some());
        let is_ours = |lease: &Lease| {
            let stored = world.stored.deployment.state.lease.as_ref();
            i64::from(stored.is_some_and(|stored| stored.holder == lease.holder))
        };
        let behind = |reading: &Reading| behind(reading, world);
        let lands_in = |call: &Call| call.lands_by - world.minute;
        let as_of = |before: &Loaded, looked_at: i64| {
            let then = World::at(looked_at);
            let age = (world.minute - looked_at).min(2);
            (Some(RecordKey::of(before, then)), age)
        };
        match self {
            Self::TickLoaded { reading, .. } => {
                let [through, bad] = reading.as_ref().map_or([-1, -1], behind);
                (0, record, None, [is_stale, through, bad, 0])
            }
            Self::TickSeen {
                before,
                sight,
                looked_at,
                reading,
                is_again,
            } => {
                let [through, bad] = behind(reading);
                let (record, age) = as_of(before, *looked_at);
                let flags = is_stale + 2 * i64::from(*is_again);
                (1, record, Some(*sight), [flags, through, bad, age])
            }
            Self::TickConflicted { reading } => {
                let [through, bad] = behind(reading);
                (2, None, None, [through, bad, 0, 0])
            }
            Self::Loaded { .. } => (3, record, None, [is_stale, 0, 0, 0]),
            Self::Seen {
                before,
                sight,
                looked_at,
            } => {
                let (record, age) = as_of(before, *looked_at);
                (4, record, Some(*sight), [is_stale, age, 0, 0])
            }
            Self::Preparing { effect, .. } | Self::Due { effect, .. } => {
                let [kind, value] = code_of_effect(effect);
                let step = if matches!(self, Self::Due { .. }) {
                    5
                } else {
                    11
                };
                (step, record, None, [is_stale, kind, value, 0])
            }
            Self::Leased { lease, effect } | Self::Ready { lease, effect } => {
                let [kind, value] = code_of_effect(effect);
                let left = minutes_between(now, lease.until).max(0);
                let step = if matches!(self, Self::Ready { .. }) {
                    10
                } else {
                    6
                };
                (step, None, None, [is_ours(lease), kind, value, left])
            }
            Self::Calling {
                call,
                lease,
                unwritten,
                ..
            } => {
                let [kind, value] = code_of(call.change);
                let record = unwritten.as_ref().map(|before| RecordKey::of(before, now));
                let is_fresh = unwritten
                    .as_ref()
                    .is_some_and(|before| !world.is_stale(before));
                let held = lease.as_ref().map_or(-1, is_ours) + 10 * i64::from(is_fresh);
                (7, record, None, [held, kind, value, lands_in(call)])
            }
            Self::Answered {
                lease,
                effect,
                answer,
            } => {
                let [kind, value] = code_of_effect(effect);
                (
                    8,
                    None,
                    None,
                    [is_ours(lease), code_of_answer(answer), kind, value],
                )
            }
            Self::Refused { .. } => (9, record, None, [is_stale, 0, 0, 0]),
        }
    }
}

/// What the one call of an effect asks for; tidying up makes several, and none that could wait.
pub(crate) fn change_of(effect: &Effect) -> Change {
    match effect {
        Effect::Deploy { config } => Change::Deploy(Config::named(config)),
        Effect::Grow { instances } => Change::Instances(*instances),
        Effect::Shift { weight } => Change::Share(weight.percent()),
        Effect::TakeBack => Change::Share(0),
        Effect::AutoScale { .. } => Change::CanaryFloor,
        // No deployment here is of a model package.
        Effect::HoldFloor { .. } | Effect::Tidy | Effect::Register => {
            Change::Floor { registers: false }
        }
    }
}

/// How far a reading lies behind, and what it shows.
fn behind(reading: &Reading, world: &World) -> [i64; 2] {
    let last = shared::domain::judge::last_judgeable(world.now());
    let is_new = reading.through > world.stored.evidence.judged_through;
    [
        i64::from(reading.through < last) + 2 * i64::from(is_new),
        i64::from(reading.is_bad),
    ]
}

const fn code_of_answer(answer: &Answer) -> i64 {
    match answer {
        Answer::Accepted => 0,
        Answer::Refused(_) => 1,
        Answer::NotNow(_) => 2,
        Answer::InDoubt => 3,
    }
}

fn code_of_effect(effect: &Effect) -> [i64; 2] {
    match effect {
        Effect::Tidy => [4, 0],
        _ => code_of(change_of(effect)),
    }
}

const fn code_of(change: Change) -> [i64; 2] {
    match change {
        Change::Deploy(config) => [0, config as i64],
        Change::Share(share) => [1, share as i64],
        Change::Instances(count) => [2, count as i64],
        Change::Floor { registers } => [3, registers as i64],
        Change::CanaryFloor => [5, 0],
    }
}
