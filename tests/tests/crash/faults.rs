//! One fault at one call: which cases there are, and what must be true after each.
//!
//! Every call number is tried in every mode, except where two cases are the same by construction
//! and one of them is enough ([`is_own_case`]): invocations run one after the other here, so what
//! the world and the record are when an invocation ends depends on its last effect alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use shared::app::ports::Store;
use shared::domain::history::Name;
use shared::domain::quantity::Weight;
use shared::domain::state::Status;
use tests::direct::gate::{Call, Gate, Verdict};
use tests::direct::world::ready;
use tests::{ENDPOINT, PRODUCTION};

use crate::rollout::{Crash, Rollout, Scenario};
use crate::steps::Step;

/// How many minutes later than the clean run one after a fault may end: one for a call that is made
/// again in the next minute, and two more where the minutes after it then say something else.
pub(crate) const LATER: i64 = 3;
/// Every how many-th of the cases is tried that another scenario has tried already.
pub(crate) const STRIDE: usize = 4;
/// What a clean run may take.
const LONGEST: i64 = 90;

/// What becomes of the one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The invocation ends before it.
    CrashBefore,
    /// It happens, and the invocation ends.
    CrashAfter,
    /// It happens, and the caller does not learn so.
    LoseAnswer,
    /// It does not happen, and the caller does not learn so.
    LoseRequest,
}

impl Mode {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::LoseAnswer,
        Self::LoseRequest,
    ];

    /// What the gate says.
    pub(crate) const fn verdict(self) -> Verdict {
        match self {
            Self::CrashBefore => Verdict::CrashBefore,
            Self::CrashAfter => Verdict::CrashAfter,
            Self::LoseAnswer => Verdict::LoseAnswer,
            Self::LoseRequest => Verdict::LoseRequest,
        }
    }

    /// Whether it ends the invocation.
    pub(crate) const fn is_crash(self) -> bool {
        matches!(self, Self::CrashBefore | Self::CrashAfter)
    }
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    /// The call.
    pub(crate) number: u64,
    /// What becomes of it.
    pub(crate) mode: Mode,
}

impl Gate for Case {
    fn pass(&mut self, call: &Call) -> Verdict {
        if call.number == self.number {
            self.mode.verdict()
        } else {
            Verdict::Go
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    /// How.
    pub(crate) status: Status,
    /// When.
    pub(crate) at: Timestamp,
    /// The shares that were confirmed, in their order.
    pub(crate) shares: Vec<Weight>,
    /// What was said, in its order.
    pub(crate) said: Vec<(Timestamp, Name)>,
    /// Its calls.
    pub(crate) steps: Vec<Step>,
    /// Where invocations crashed.
    pub(crate) crashes: Vec<Crash>,
}

/// The scenario without a fault.
///
/// # Panics
/// When it is not sound, or not over in time.
pub(crate) fn clean(scenario: &Scenario) -> Ended {
    let mut rollout = Rollout::begin(scenario, |_: &Call| Verdict::Go);
    rollout.play(LONGEST);
    assert_eq!(
        rollout.acted,
        scenario.script.len(),
        "{}: its whole script happens\n{}",
        scenario.name,
        rollout.story()
    );
    end_of(&rollout)
}

/// The scenario behind this gate: what it came to, or all that is known about how it failed.
pub(crate) fn under(
    scenario: &Scenario,
    clean: &Ended,
    gate: impl Gate + 'static,
    later: i64,
) -> Result<Ended, String> {
    let mut rollout = Rollout::begin(scenario, gate);
    let also = scenario.also.as_ref();
    let most = minutes_of(clean) + also.map_or(later, |other| other.later.max(later));
    let ended = catch_unwind(AssertUnwindSafe(|| {
        // One more, for an announcement that waits for the tick after the end.
        rollout.play(most + 2);
        let ended = end_of(&rollout);
        let allowed = match also {
            Some(other) if ended.status == other.status => other.later.max(later),
            _ if ended.status == clean.status => later,
            _ => panic!("{}, and {} without the fault", ended.status, clean.status),
        };
        let after = ended.at.duration_since(clean.at).as_mins();
        assert!(after <= allowed, "{after} minutes after the clean run");
        ended
    }));
    ended.map_err(|panic| {
        let why = panic.downcast_ref::<String>().cloned();
        let why = why.or_else(|| panic.downcast_ref::<&str>().map(|why| (*why).to_owned()));
        format!(
            "{}: {}\n{}",
            scenario.name,
            why.unwrap_or_default(),
            rollout.story()
        )
    })
}

/// Minutes from the first call to the last.
pub(crate) fn minutes_of(ended: &Ended) -> i64 {
    let first = ended.steps.first().map_or(ended.at, |step| step.at);
    let last = ended.steps.last().map_or(ended.at, |step| step.at);
    last.duration_since(first).as_mins()
}

/// Holds what is true of every end.
fn end_of(rollout: &Rollout<'_>) -> Ended {
    let id = rollout.id();
    rollout.world.assert_over(id);
    let state = rollout.deployment().state;
    assert_pure(rollout, state.status);
    assert_scaling(rollout);
    let lines = ready(rollout.world.ports().history(id)).expect("a readable history");
    let shifted = lines
        .iter()
        .filter(|line| matches!(line.event, Name::Shifted) || (line.event == Name::Soaking));
    Ended {
        status: state.status,
        at: lines.last().map_or(state.updated_at, |line| line.at),
        shares: shifted.map(|line| line.weight).collect(),
        said: lines.iter().map(|line| (line.at, line.event)).collect(),
        steps: rollout.steps.clone(),
        crashes: rollout.crashes.clone(),
    }
}

/// All traffic is on one variant, and its weight says so.
fn assert_pure(rollout: &Rollout<'_>, status: Status) {
    let Some(view) = rollout.view().filter(|_| status != Status::Failed) else {
        return;
    };
    let canary = rollout.deployment().terms.canary;
    let whole = if status == Status::Completed {
        canary.as_str()
    } else {
        PRODUCTION
    };
    assert!(
        view.is_settled_at(whole, Weight::FULL),
        "{whole} has everything: {view:#?}"
    );
}

/// The target that production had is there with its policy: under production, as far as that is
/// there, and under the canary where that has traffic.
fn assert_scaling(rollout: &Rollout<'_>) {
    let Some(view) = rollout.view() else { return };
    let scaling = rollout.world.simulator().autoscaling();
    let terms = rollout.deployment().terms;
    let has_traffic = view.share(&terms.canary).is_some_and(|share| share > 0.0);
    let heirs = [
        (PRODUCTION, view.variant(PRODUCTION).is_some()),
        (terms.canary.as_str(), has_traffic),
    ];
    for (variant, inherits) in heirs {
        let (bounds, policies) = if inherits {
            (Some((1, 8)), vec!["requests-per-instance".to_owned()])
        } else {
            (None, Vec::new())
        };
        assert_eq!(
            (
                scaling.bounds(ENDPOINT, variant),
                scaling.policies(ENDPOINT, variant)
            ),
            (bounds, policies),
            "the scaling of {variant}"
        );
    }
}

/// The cases of a clean run's calls, each of its own. `tried` are the calls of another scenario: as
/// far as this one's are the same, a call that only fails is tried again for every [`STRIDE`]-th.
pub(crate) fn cases(steps: &[Step], tried: &[Step]) -> Vec<Case> {
    let shared = steps
        .iter()
        .zip(tried)
        .take_while(|(one, other)| one == other);
    let shared = shared.count();
    let every = (0..steps.len()).flat_map(|at| Mode::ALL.map(|mode| (at, mode)));
    let own = every.filter(|(at, mode)| is_own_case(steps, *at, *mode));
    let full = own.filter(|(at, mode)| {
        *at >= shared || mode.is_crash() || steps[*at].acts() || at % STRIDE == 0
    });
    full.map(|(at, mode)| Case {
        number: steps[at].number,
        mode,
    })
    .collect()
}

/// Whether a case is not the same as another one that is tried.
///
/// - A crash before a call is the crash after the one before it in the same invocation.
/// - A crash after a call that only looks is the crash before it.
/// - Where a call only looks, its answer and its request are lost alike.
/// - The parts of an index in which the deployment is not are alike: the first stands for them.
pub(crate) fn is_own_case(steps: &[Step], at: usize, mode: Mode) -> bool {
    let step = &steps[at];
    let repeats_part = step.is_elsewhere
        && steps[..at].iter().rev().any(|earlier| {
            earlier.invocation == step.invocation
                && earlier.is_elsewhere
                && earlier.operation == step.operation
        });
    match mode {
        Mode::CrashBefore => step.is_first,
        Mode::CrashAfter | Mode::LoseRequest => step.has_effect(),
        Mode::LoseAnswer => !repeats_part,
    }
}

/// The case that stands for one that is not tried; `None` for one that is.
fn stands_for(steps: &[Step], at: usize, mode: Mode) -> Option<Case> {
    if is_own_case(steps, at, mode) {
        return None;
    }
    let step = &steps[at];
    let same = |one: &&Step| one.invocation == step.invocation;
    let earlier = || steps[..at].iter().rev().find(same);
    let number = |step: &Step| step.number;
    let (number, mode) = match mode {
        Mode::CrashBefore => (number(earlier()?), Mode::CrashAfter),
        Mode::CrashAfter => (step.number, Mode::CrashBefore),
        Mode::LoseRequest => (step.number, Mode::LoseAnswer),
        Mode::LoseAnswer => {
            let mut alike = steps.iter().filter(same);
            let first = alike.find(|one| one.is_elsewhere && one.operation == step.operation)?;
            (number(first), Mode::LoseAnswer)
        }
    };
    Some(Case { number, mode })
}

#[test]
fn what_is_not_tried_is_the_same_as_what_is() {
    let scenario = crate::scenarios::complete();
    let clean = clean(&scenario);
    let steps = &clean.steps;
    let every = (0..steps.len()).flat_map(|at| Mode::ALL.map(|mode| (at, mode)));
    let left_out = every.filter_map(|(at, mode)| {
        let instead = stands_for(steps, at, mode)?;
        let number = steps[at].number;
        Some((Case { number, mode }, instead))
    });
    // A prime, so that every kind of call and mode comes up.
    let left_out: Vec<(Case, Case)> = left_out.step_by(31).collect();
    assert!(left_out.len() > 40);
    for (one, other) in left_out {
        let run = |case: Case| {
            let ended = under(&scenario, &clean, case, LATER).unwrap_or_else(|why| panic!("{why}"));
            (ended.status, ended.at, ended.shares, ended.said)
        };
        assert_eq!(run(one), run(other), "{one:?} and {other:?}");
    }
}

#[test]
fn what_never_comes_right_is_found() {
    let scenario = crate::scenarios::complete();
    let clean = clean(&scenario);
    for operation in ["wake", "publish", "set_weights", "commit"] {
        let gate = move |call: &Call| {
            // Some that go well first, so that it breaks in the middle.
            if call.operation == operation && call.number > 100 {
                Verdict::LoseRequest
            } else {
                Verdict::Go
            }
        };
        let found = under(&scenario, &clean, gate, LATER);
        let why = found.expect_err("a rollout that does not end");
        assert!(why.contains("not over in"), "{operation}: {why}");
        assert!(why.contains("LoseRequest") && why.contains("deployment.started"));
    }
}
