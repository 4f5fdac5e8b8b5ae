//! A toy endpoint that follows `due`, with calls that are refused, lost, late or come back.
//!
//! Each tick is one pass: time goes on, calls land, the world is read (or not), `decide` decides,
//! the record is committed, and the effect that is due is carried out under a lease where it needs
//! one. The promises that hold at every step are asserted here, whatever drives it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::builders::*;
use crate::domain::command::{Command, apply};
use crate::domain::decide::after::look_after;
use crate::domain::decide::{Decision, decide};
use crate::domain::deployment::{Deployment, Lease, Terms};
use crate::domain::due::{Effect, due};
use crate::domain::evidence::Evidence;
use crate::domain::guard::has_tripped;
use crate::domain::history::Entry;
use crate::domain::invariants::violations;
use crate::domain::judge::bench::Bench;
use crate::domain::judge::last_judgeable;
use crate::domain::observation::{
    AlarmReading, EndpointReading, EndpointStatus, EndpointView, Metrics, Observation, Series,
    TOLERANCE,
};
use crate::domain::protocol::{self, Answer};
use crate::domain::quantity::Weight;
use crate::domain::registry::{Round, Told};
use crate::domain::state::{Outcome, Phase, Status};

/// What callers send, and how the canary answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Traffic {
    Steady,
    Quiet,
    Errors,
    Slow,
    /// Requests reach the canary, its points never reach CloudWatch.
    Unseen,
}

/// What becomes of the call that this pass makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Lands,
    Refused,
    /// A crash between the intent and the call.
    NeverMade,
    /// The call lands, its answer is lost.
    AnswerLost,
    /// The call lands while its lease still runs, after the next pass may have looked.
    Late,
    /// SageMaker accepts an update and goes back to the config before it.
    ComesBack,
}

/// One pass: how much later, and what of the world is read, or goes wrong, in it.
#[derive(Debug, Clone)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent readings, each of which may fail"
)]
pub(super) struct Tick {
    pub(super) after: i64,
    pub(super) traffic: Traffic,
    pub(super) sees_canary: bool,
    pub(super) sees_production: bool,
    pub(super) sees_endpoint: bool,
    pub(super) alarm: bool,
    pub(super) call: Call,
}

impl Tick {
    /// A minute later, and nothing is wrong.
    pub(super) fn fine() -> Self {
        Self {
            after: 1,
            traffic: Traffic::Steady,
            sees_canary: true,
            sees_production: true,
            sees_endpoint: true,
            alarm: false,
            call: Call::Lands,
        }
    }
}

#[derive(Debug, Clone)]
enum Change {
    Config(String),
    Share(Weight),
    CanaryInstances(u32),
    /// Nothing: an update that came back, or somebody's scaling.
    Nothing,
}

/// A deployment and the endpoint it works on.
#[derive(Debug, Clone)]
pub(super) struct Toy {
    pub(super) deployment: Deployment,
    pub(super) evidence: Evidence,
    pub(super) now: Timestamp,
    pub(super) history: Vec<Entry>,
    pub(super) endpoint: Option<EndpointView>,
    busy: Option<(Timestamp, Change)>,
    late: Vec<(Timestamp, Change)>,
}

impl Toy {
    pub(super) fn new(terms: Terms) -> Self {
        let now = terms.created_at;
        Self {
            deployment: Deployment::accepted(terms, INSTANCES),
            evidence: Evidence::starting_after(last_judgeable(now)),
            now,
            history: Vec::new(),
            endpoint: Some(original()),
            busy: None,
            late: Vec::new(),
        }
    }

    pub(super) fn tick(&mut self, tick: &Tick) {
        self.now += minutes(tick.after);
        self.let_calls_land();
        let seen = self.observe(tick);
        let (deployment, evidence) = (&self.deployment, &self.evidence);
        let decision = if deployment.state.status.is_terminal() {
            look_after(deployment, evidence, &seen, None, self.now)
        } else {
            decide(deployment, evidence, &seen, self.now).expect("decide uses the table rightly")
        };
        self.hold_promises(&decision, true);
        self.commit(decision);
        if let Some(effect) = due(&self.deployment, &self.evidence, &seen.endpoint, self.now) {
            self.hold_effect(&effect);
            self.act(&effect, tick.call);
        }
    }

    /// Whether the order was followed.
    pub(super) fn order(&mut self, command: Command) -> bool {
        match apply(
            &self.deployment,
            &self.evidence,
            command,
            "operator",
            None,
            self.now,
        ) {
            Ok(decision) => {
                self.hold_promises(&decision, false);
                self.commit(decision);
                true
            }
            Err(refusal) => {
                assert!(!refusal.to_string().is_empty());
                false
            }
        }
    }

    /// Somebody else sets the weights.
    pub(super) fn meddle(&mut self, share: Weight) {
        if self.busy.is_none() {
            self.take_effect(&Change::Share(share));
        }
    }

    /// Somebody else keeps the endpoint busy.
    pub(super) fn occupy(&mut self, span: i64) {
        let until = self.now + minutes(span);
        if self.busy.is_none() {
            self.start(Change::Nothing, until);
        }
    }

    pub(super) fn share(&self) -> Option<f64> {
        self.endpoint.as_ref()?.share(CANARY)
    }

    fn let_calls_land(&mut self) {
        for (at, change) in std::mem::take(&mut self.late) {
            if at > self.now {
                self.late.push((at, change));
                continue;
            }
            self.finish_update(at);
            if self.busy.is_none() {
                self.start(change, at + minutes(1));
            }
        }
        self.finish_update(self.now);
    }

    fn finish_update(&mut self, at: Timestamp) {
        if self.busy.as_ref().is_some_and(|(until, _)| *until <= at)
            && let Some((_, change)) = self.busy.take()
        {
            if let Some(endpoint) = self
                .endpoint
                .as_mut()
                .filter(|endpoint| endpoint.status == EndpointStatus::Updating)
            {
                endpoint.status = EndpointStatus::InService;
            }
            self.take_effect(&change);
        }
    }

    fn start(&mut self, change: Change, until: Timestamp) {
        if let Some(endpoint) = self
            .endpoint
            .as_mut()
            .filter(|endpoint| endpoint.is_in_service())
        {
            endpoint.status = EndpointStatus::Updating;
            self.busy = Some((until, change));
        }
    }

    fn take_effect(&mut self, change: &Change) {
        let Some(endpoint) = &mut self.endpoint else {
            return;
        };
        match change {
            Change::Nothing => {}
            Change::Config(config) => {
                let kept = |name: &str| endpoint.variant(name).cloned();
                let production =
                    kept(PRODUCTION).unwrap_or_else(|| variant(PRODUCTION, 100, INSTANCES));
                let canary = kept(CANARY).unwrap_or_else(|| variant(CANARY, 0, 1));
                endpoint.variants = match config.as_str() {
                    ORIGINAL | FORMER => vec![production],
                    FINAL => vec![canary],
                    _ => vec![production, canary],
                };
                endpoint.config.clone_from(config);
            }
            Change::Share(share) => {
                let both = endpoint.variants.len() == 2;
                for variant in endpoint.variants.iter_mut().filter(|_| both) {
                    let weight = if variant.name == CANARY {
                        share.fraction()
                    } else {
                        1.0 - share.fraction()
                    };
                    (variant.current_weight, variant.desired_weight) = (weight, weight);
                }
            }
            Change::CanaryInstances(count) => {
                for variant in endpoint
                    .variants
                    .iter_mut()
                    .filter(|variant| variant.name == CANARY)
                {
                    (variant.current_instances, variant.desired_instances) = (*count, *count);
                }
            }
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of at most 1,000 requests"
    )]
    fn observe(&self, tick: &Tick) -> Observation {
        let endpoint = match &self.endpoint {
            _ if !tick.sees_endpoint => unread(),
            None => EndpointReading::Missing,
            Some(view) => EndpointReading::Seen(view.clone()),
        };
        let (from, through) = (
            self.evidence.judged_through + minutes(1),
            last_judgeable(self.now),
        );
        let series = |sees: bool, requests: u64, bad: bool| {
            let mut points = BTreeMap::new();
            let mut minute = from;
            while minute <= through && requests > 0 {
                let slow = if bad && tick.traffic == Traffic::Slow {
                    requests
                } else {
                    0
                };
                let errors = if bad && tick.traffic == Traffic::Errors {
                    requests.div_ceil(10)
                } else {
                    0
                };
                points.insert(
                    minute,
                    arm(requests, errors)
                        .taking(if slow > 0 { 400.0 } else { 20.0 })
                        .slower(100.0, slow),
                );
                minute += minutes(1);
            }
            if sees {
                Series::Read(points)
            } else {
                unreadable()
            }
        };
        let total: u32 = if tick.traffic == Traffic::Quiet {
            3
        } else {
            1000
        };
        let canary = (f64::from(total) * self.share().unwrap_or(0.0)).round() as u64;
        let seen_of_canary = if tick.traffic == Traffic::Unseen {
            0
        } else {
            canary
        };
        let metrics = Metrics {
            from,
            through,
            canary: series(tick.sees_canary, seen_of_canary, true),
            production: series(tick.sees_production, u64::from(total) - canary, false),
            unread: BTreeMap::new(),
        };
        let alarms = if tick.alarm {
            AlarmReading::Firing(vec!["pager".to_owned()])
        } else {
            AlarmReading::Firing(Vec::new())
        };
        Observation {
            endpoint,
            metrics,
            alarms,
            freeze: crate::domain::freeze::FreezeReading::NotAsked,
        }
    }

    fn commit(&mut self, decision: Decision) {
        let Decision {
            next,
            evidence,
            entries,
            ..
        } = decision;
        (self.deployment, self.evidence) = (next, evidence);
        self.deployment.state.version += 1;
        self.history.extend(entries);
    }

    /// What holds at every step, whatever the world does.
    fn hold_promises(&self, decision: &Decision, by_itself: bool) {
        let (before, after) = (&self.deployment.state, &decision.next.state);
        assert_eq!(violations(&decision.next), Vec::<String>::new());
        let has_failed = after.status == Status::Failed;
        let goes_on = before.status == Status::InProgress && !has_failed;
        let raises = after.target > before.target && goes_on;
        if raises {
            let policy = &self.deployment.terms.policy;
            let tripped = policy.guards.iter().any(|guard| {
                decision
                    .evidence
                    .guards
                    .get(&guard.name)
                    .is_some_and(|state| has_tripped(guard, state))
            });
            assert!(
                !tripped
                    && decision.evidence.blind.is_none()
                    && Bench::of(&decision.next)
                        .objection(&decision.evidence)
                        .is_none(),
                "raised while not healthy: {}",
                after.reason
            );
            assert!(!by_itself || after.drift.is_none(), "raised past a drift");
        }
        if before.descent.is_some() && by_itself {
            assert!(after.target <= before.target, "raised on the way down");
        }
        if before.status == Status::RollingBack {
            let back = matches!(
                after.status,
                Status::RollingBack | Status::RolledBack | Status::Cancelled | Status::Failed
            );
            // What failed says what was confirmed last.
            let is_meant =
                after.target == Weight::ZERO || (has_failed && after.target == after.weight);
            assert!(
                back && is_meant,
                "a rollback turned into {}/{}",
                after.status,
                after.phase
            );
        }
        assert!(
            decision.evidence.judged_through >= self.evidence.judged_through,
            "the watermark never goes back"
        );
        assert!(
            decision.evidence.judged_through <= last_judgeable(self.now),
            "nothing is judged early"
        );
        assert!(
            after.weight == Weight::ZERO || after.had_traffic,
            "a share that nobody remembers"
        );
        let new_entries = usize::try_from(after.last_seq - before.last_seq).unwrap();
        assert_eq!(
            new_entries,
            decision.entries.len(),
            "every line of history has its number"
        );
        let moved = (before.status, before.phase) != (after.status, after.phase);
        assert!(
            !moved || !decision.entries.is_empty(),
            "every transition is told"
        );
        let taken_back = before.phase == Phase::Reverting
            && after.phase == Phase::CleaningUp
            && after.outcome != Some(Outcome::Failed);
        if taken_back || (before.phase == Phase::Retreating && after.phase == Phase::Baking) {
            assert!(
                self.late.is_empty(),
                "a raise may still land after {}",
                after.reason
            );
        }
        if after.status.is_terminal() && !before.status.is_terminal() {
            self.hold_end(after.status);
        }
    }

    /// A terminal state is true of the world, and stays true.
    fn hold_end(&self, status: Status) {
        assert!(self.late.is_empty(), "a call may still land after {status}");
        let config = self
            .endpoint
            .as_ref()
            .map(|endpoint| endpoint.config.as_str());
        match status {
            Status::Completed if self.deployment.terms.cleanup.keep_old_variant => {
                assert_eq!((config, self.share()), (Some(CANARY_CONFIG), Some(1.0)));
            }
            Status::Completed => assert_eq!((config, self.share()), (Some(FINAL), Some(1.0))),
            Status::RolledBack | Status::Cancelled => {
                assert!(matches!(config, Some(ORIGINAL | FORMER)), "{config:?}");
                assert_eq!(self.share(), None);
            }
            _ => {}
        }
    }

    fn hold_effect(&self, effect: &Effect) {
        let state = &self.deployment.state;
        assert!(*effect == Effect::Register || !state.status.is_terminal());
        if state.status == Status::RollingBack {
            let goes_back = match effect {
                Effect::TakeBack | Effect::Tidy | Effect::Register => true,
                Effect::Deploy { config } => [ORIGINAL, FORMER].contains(&config.as_str()),
                // The target that a finalizing update had removed comes back.
                Effect::HoldFloor { .. } => {
                    state.floor.as_ref().is_some_and(|floor| floor.released)
                }
                Effect::AutoScale { .. } | Effect::Grow { .. } | Effect::Shift { .. } => false,
            };
            assert!(goes_back, "{effect:?} while rolling back");
        }
        if let Effect::Shift { weight } = effect
            && state.phase == Phase::Shifting
        {
            let share = self.share().unwrap_or(0.0);
            // What somebody else put on the canary is taken back before the raise is made.
            let takes_back = state.drift.is_some()
                && *weight == state.weight
                && weight.fraction() < share - TOLERANCE;
            let raises =
                state.drift.is_none() && *weight == state.target && self.evidence.blind.is_none();
            assert!(
                takes_back || raises,
                "a raise while blind, or past a drift: {weight} from {share}"
            );
        }
        if state.phase == Phase::Finalizing && matches!(effect, Effect::Deploy { .. }) {
            let has_all = |share: f64| share > 1.0 - TOLERANCE;
            assert!(
                self.share().is_some_and(has_all),
                "somebody uses the way back"
            );
        }
        if let Effect::Shift { weight } = effect
            && state.descent.is_some()
        {
            let share = self.share().unwrap_or(0.0);
            assert!(weight.fraction() <= share + TOLERANCE, "up on the way down");
        }
        if effect.is_leased() {
            assert!(!self.deployment.is_leased(self.now), "two leases at once");
        }
    }

    fn act(&mut self, effect: &Effect, call: Call) {
        let holder = "toy";
        if *effect == Effect::Register {
            return self.register(call);
        }
        if matches!(effect, Effect::HoldFloor { .. }) && self.deployment.state.floor.is_none() {
            self.deployment = protocol::target_seen(&self.deployment, None);
        }
        if effect.is_leased() {
            let lease = Lease {
                until: self.now + minutes(3),
                holder: holder.to_owned(),
            };
            self.deployment = protocol::intend(&self.deployment, effect, lease);
        }
        let in_service = self
            .endpoint
            .as_ref()
            .is_some_and(EndpointView::is_in_service);
        let answer = match call {
            Call::Lands | Call::ComesBack
                if in_service || !effect.is_leased() || change_of(effect).is_none() =>
            {
                Answer::Accepted
            }
            Call::Lands | Call::ComesBack | Call::Refused => Answer::Refused("busy".to_owned()),
            Call::NeverMade | Call::AnswerLost | Call::Late => Answer::InDoubt,
        };
        match change_of(effect) {
            Some((change, _)) if call == Call::Late && effect.is_leased() => {
                self.late.push((self.now + minutes(2), change));
            }
            Some(_) if matches!(call, Call::NeverMade | Call::Refused) => {}
            Some((change, takes)) => {
                let comes_back = call == Call::ComesBack && matches!(effect, Effect::Deploy { .. });
                let change = if comes_back { Change::Nothing } else { change };
                self.start(change, self.now + minutes(takes));
            }
            None => {}
        }
        if answer == Answer::Accepted && *effect == Effect::Tidy {
            self.deployment.state.floor = None;
        }
        if let Some(next) = protocol::answered(&self.deployment, effect, holder, &answer, self.now)
        {
            self.deployment = next;
        }
    }
}

impl Toy {
    /// The registry takes what it is told, or refuses it; a function that ended keeps nothing.
    fn register(&mut self, call: Call) {
        let most = match call {
            Call::Lands | Call::Late => usize::MAX,
            Call::AnswerLost => 1,
            Call::Refused | Call::ComesBack => 0,
            Call::NeverMade => return,
        };
        let left = self.deployment.standings();
        let told = left.iter().take(most).map(|standing| Told {
            package: standing.package.clone(),
            says: "as it came out".to_owned(),
        });
        let round = Round {
            told: told.collect(),
            refusal: (left.len() > most).then(|| "throttled".to_owned()),
        };
        if let Some(next) = protocol::registered(&self.deployment, &round, self.now) {
            self.deployment = next;
        }
    }
}

/// What the call changes at the endpoint, and how many minutes that takes.
fn change_of(effect: &Effect) -> Option<(Change, i64)> {
    match effect {
        Effect::HoldFloor { .. } | Effect::AutoScale { .. } | Effect::Tidy | Effect::Register => {
            None
        }
        Effect::Deploy { config } => Some((Change::Config(config.clone()), 4)),
        Effect::Grow { instances } => Some((Change::CanaryInstances(*instances), 2)),
        Effect::Shift { weight } => Some((Change::Share(*weight), 1)),
        Effect::TakeBack => Some((Change::Share(Weight::ZERO), 1)),
    }
}
