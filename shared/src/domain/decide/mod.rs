//! One pass of the control loop, as a pure function: the record, the evidence, what was seen and
//! the time go in; the next record, the next evidence and what to tell people come out.
//!
//! The order is the order of danger: what ends the deployment from outside, then the end of one
//! that is already ending, then reasons to roll back, and only then progress. Progress asks for
//! everything at once: a finished bake, enough requests, no red guard, nothing blind, no drift.

pub mod after;
mod breach;
mod descent;
mod ending;
mod progress;
mod registry;
mod soak;
mod watch;

use jiff::{SignedDuration, Timestamp};

use super::cost;
use super::deployment::Deployment;
use super::due;
use super::evidence::Evidence;
use super::exposure;
use super::freeze::FreezeReading;
use super::history::{Entry, Name, Severity};
use super::judge::{self, MinuteReport, Verdict};
use super::observation::{AlarmReading, EndpointReading, EndpointView, Metrics, Observation};
use super::policy::{Action, Grade};
use super::quantity::{Span, Weight};
use super::state::{self, Event, IllegalEvent, Outcome, Phase, Status};
use super::truth;

/// How long the canary variant may take to come up before the deployment gives up.
pub const PROVISIONING_LIMIT: Span = Span::from_hours(2);
/// How often one UpdateEndpoint is tried before the deployment gives up.
pub const UPDATE_ATTEMPTS: u32 = 10;
/// How long a rollback may wait for the endpoint before people are told, and told again.
pub const ROLLBACK_BUDGET: Span = Span::from_mins(5);

/// What one pass makes of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The next record.
    pub next: Deployment,
    /// The next evidence.
    pub evidence: Evidence,
    /// A row for each minute taken in.
    pub minutes: Vec<MinuteReport>,
    /// What happened.
    pub entries: Vec<Entry>,
}

impl Decision {
    /// Whether it brings the canary more traffic than the record before did, or removes the way back.
    pub fn goes_up_from(&self, before: &Deployment) -> bool {
        let (then, next) = (&before.state, &self.next.state);
        let rises = matches!(
            next.phase,
            Phase::Scaling | Phase::Shifting | Phase::Finalizing
        ) || (then.phase, next.phase) == (Phase::Soaking, Phase::CleaningUp);
        next.status == Status::InProgress && next.phase != then.phase && rises
    }

    /// Whether it has to be known whether a freeze stands: where something goes up, be it a raise
    /// that was committed before, and where one waits, so that the time does not count.
    pub fn asks_for_freeze(
        &self,
        before: &Deployment,
        endpoint: &EndpointReading,
        now: Timestamp,
    ) -> bool {
        let waits = self.next.state.phase == Phase::Holding;
        let effect = || effect_after(self, endpoint, now);
        waits
            || self.goes_up_from(before)
            || effect().is_some_and(|effect| effect.goes_up(&self.next, endpoint))
    }
}

/// Decides one pass. Total: the error is a bug in the transition table's use, never a state of
/// the world.
pub fn decide(
    before: &Deployment,
    evidence: &Evidence,
    seen: &Observation,
    now: Timestamp,
) -> Result<Decision, IllegalEvent> {
    let mut pass = Pass::new(before, evidence, now);
    pass.frozen =
        matches!(seen.freeze, FreezeReading::Frozen(_)) && before.terms.clearance.hotfix.is_none();
    // Kept, so that the call that a committed raise is due for is barred as the commit would be.
    pass.evidence.alarms_unread = match &seen.alarms {
        AlarmReading::Failed { reason } => Some(reason.clone()),
        AlarmReading::NotAsked | AlarmReading::Firing(_) => None,
    };
    if before.is_judged() {
        let was_blind = evidence.blind.is_some();
        let metrics = priced(before, seen);
        let (verdict, minutes) = judge::judge(before, &mut pass.evidence, &metrics, now);
        pass.minutes = minutes;
        pass.tell_sight(was_blind);
        pass.step(seen, &verdict)?;
    } else {
        exposure::take_in(before, &mut pass.evidence, &seen.metrics);
        pass.step(seen, &Verdict::default())?;
    }
    Ok(pass.finish())
}

/// The reading, with what each minute cost on the instances that the endpoint shows.
fn priced(before: &Deployment, seen: &Observation) -> Metrics {
    let mut metrics = seen.metrics.clone();
    let instances = canary_instances(before, &seen.endpoint);
    cost::price(&mut metrics, before, instances);
    metrics
}

/// Absent where the endpoint could not be looked at.
fn canary_instances(before: &Deployment, seen: &EndpointReading) -> Option<u32> {
    let EndpointReading::Seen(view) = seen else {
        return None;
    };
    Some(view.variant(&before.terms.canary)?.current_instances)
}

/// The record under way from before to next.
pub(super) struct Pass {
    pub(super) next: Deployment,
    pub(super) evidence: Evidence,
    minutes: Vec<MinuteReport>,
    entries: Vec<Entry>,
    pub(super) now: Timestamp,
    pub(super) by: Option<String>,
    /// Whether a freeze was seen that holds this deployment.
    frozen: bool,
    /// Whether the endpoint could not be looked at.
    is_unread: bool,
    /// Whether the endpoint is no longer as a completion left it.
    has_moved_on: bool,
}

/// What happened, how loudly, and the figures it goes with.
pub(super) struct Said {
    pub(super) name: Name,
    pub(super) severity: Severity,
    pub(super) reason: String,
    pub(super) value: String,
    pub(super) limit: String,
    /// The breach that it is about: what is broken, and how bad that is.
    pub(super) signal: Option<(String, Grade)>,
}

pub(super) fn said(
    name: Name,
    severity: Severity,
    reason: impl Into<String>,
    value: impl Into<String>,
    limit: impl Into<String>,
) -> Said {
    Said {
        name,
        severity,
        reason: reason.into(),
        value: value.into(),
        limit: limit.into(),
        signal: None,
    }
}

impl Pass {
    pub(super) fn new(before: &Deployment, evidence: &Evidence, now: Timestamp) -> Self {
        Self {
            next: before.clone(),
            evidence: evidence.clone(),
            minutes: Vec::new(),
            entries: Vec::new(),
            now,
            by: None,
            frozen: false,
            is_unread: false,
            has_moved_on: false,
        }
    }

    pub(super) fn finish(mut self) -> Decision {
        self.run_clock();
        Decision {
            next: self.next,
            evidence: self.evidence,
            minutes: self.minutes,
            entries: self.entries,
        }
    }

    fn step(&mut self, seen: &Observation, verdict: &Verdict) -> Result<(), IllegalEvent> {
        if self.next.state.status.is_terminal() {
            return Ok(());
        }
        let view = match &seen.endpoint {
            EndpointReading::Seen(view) => Some(view),
            EndpointReading::Failed { .. } | EndpointReading::Missing => None,
        };
        if let Some(view) = view {
            let share = view.share(&self.next.terms.canary).unwrap_or(0.0);
            self.next.state.see_share(share, self.now);
        }
        if let Some(fault) = truth::fatal(&self.next, &seen.endpoint) {
            return self.fail(&fault);
        }
        self.is_unread = view.is_none();
        if let Some(view) = view {
            self.watch_status(view);
        }
        self.follow_filing();
        match (self.next.state.status, self.next.state.phase) {
            (_, Phase::CleaningUp) => self.clean_up(view),
            (Status::RollingBack, _) => self.confirm_reverted(view),
            (Status::Pending, _) => self.confirm_provisioned(view),
            _ => self.judge(view, seen, verdict),
        }?;
        if self.waits_for_freeze(seen) || self.waits_for_known(view) {
            self.next.state.waited_until = Some(self.now);
        } else {
            self.watch_stall(seen, verdict);
        }
        Ok(())
    }

    /// Whether what was committed before is held by a freeze, which is said: nobody has to look for
    /// what else might be in its way.
    fn waits_for_freeze(&mut self, seen: &Observation) -> bool {
        let Some(obstacle) = seen.freeze.obstacle() else {
            return false;
        };
        let (next, endpoint) = (&self.next, &seen.endpoint);
        let due = due::due(next, &self.evidence, endpoint, self.now);
        let waits = due.is_some_and(|effect| {
            let let_through = seen.freeze.let_through(effect, next, endpoint);
            let_through.is_none()
        });
        if waits {
            self.next.state.reason = format!("waiting: {obstacle}");
        }
        waits
    }

    /// The strongest thing that is asked for: all the way back, a stage back, or on.
    fn judge(
        &mut self,
        view: Option<&EndpointView>,
        seen: &Observation,
        verdict: &Verdict,
    ) -> Result<(), IllegalEvent> {
        if let Some(what) = self.reason_to_roll_back(seen, verdict) {
            return self.roll_back(Outcome::RolledBack, what);
        }
        if let Some(breach) = verdict.asks_for(Action::Rollback)
            && self.next.state.descent.is_none()
        {
            return self.begin_descent(breach, "");
        }
        if let Some(breach) = verdict.asks_for(Action::StepBack)
            && self.next.state.phase != Phase::Retreating
        {
            return self.step_back(breach);
        }
        self.tell_breaches(verdict);
        self.progress(view, seen, verdict)
    }

    /// A legal transition, with its line of history.
    pub(super) fn go(&mut self, event: Event, what: Said) -> Result<(), IllegalEvent> {
        let state = &mut self.next.state;
        let (status, phase) = state::next(state.status, state.phase, event)?;
        if phase != state.phase {
            (state.phase_since, state.stall_told) = (self.now, false);
            (state.refusal, state.waited_until) = (None, None);
        }
        (state.status, state.phase) = (status, phase);
        if phase != Phase::Paused {
            state.interrupted = None;
        }
        // From here on the weights may move: nobody has to remember later whether they did.
        state.had_traffic |= phase == Phase::Shifting;
        if phase != Phase::Retreating {
            state.descent = None;
        }
        state.reason.clone_from(&what.reason);
        self.tell(what);
        Ok(())
    }

    /// A line of history without a transition.
    pub(super) fn tell(&mut self, what: Said) {
        let state = &mut self.next.state;
        state.last_seq += 1;
        let confirmed = truth::confirmed_weight(state);
        // Nothing is intended any more after a failure: what was confirmed last is all that is known.
        let weight = if state.outcome == Some(Outcome::Failed) {
            state.weight
        } else {
            state.target
        };
        self.entries.push(Entry {
            seq: state.last_seq,
            at: self.now,
            event: what.name,
            severity: what.severity,
            reason: what.reason,
            value: what.value,
            limit: what.limit,
            status: state.status,
            phase: state.phase,
            weight,
            confirmed_weight: confirmed.filter(|_| !self.has_moved_on),
            by: self.by.clone(),
            signal_severity: what.signal.as_ref().map(|(_, severity)| *severity),
            signal: what.signal.map(|(name, _)| name),
        });
    }

    fn reason_to_roll_back(&self, seen: &Observation, verdict: &Verdict) -> Option<Said> {
        let state = &self.next.state;
        let critical = |reason: String, value: String, limit: String| {
            Some(said(
                Name::RollingBack,
                Severity::Critical,
                reason,
                value,
                limit,
            ))
        };
        if let AlarmReading::Firing(names) = &seen.alarms
            && !names.is_empty()
        {
            let names = names.join(", ");
            return critical(
                format!("CloudWatch alarm {names} is in state ALARM"),
                names,
                "no alarm of the policy in ALARM".to_owned(),
            );
        }
        let mut breaches = verdict.breaches.iter();
        if let Some(breach) = breaches.find(|breach| self.takes_all_back(breach)) {
            let end = self.why_at_once(breach);
            let what = breach::about(breach, Name::RollingBack, Severity::Critical, end);
            return Some(what);
        }
        let (used, deadline) = (state.clock.used_at(self.now), self.next.terms.plan.deadline);
        if state.weight < Weight::FULL && used >= deadline {
            let held = self.kept_by(seen, verdict).map(|why| format!("; {why}"));
            let reason = format!(
                "the deadline of {deadline} passed with the canary at {}{}",
                state.weight,
                held.unwrap_or_default()
            );
            return critical(reason, used.to_string(), deadline.to_string());
        }
        let limit = self.next.terms.policy.blind_limit;
        match &self.evidence.blind {
            // Production unseen too means that CloudWatch itself is out: hold, never roll back in bulk.
            Some(blind) if blind.unseen_for(self.now) >= limit => critical(
                format!("the canary could not be seen for {limit}: {}", blind.reason),
                "no readable metrics".to_owned(),
                limit.to_string(),
            ),
            _ => None,
        }
    }

    fn tell_sight(&mut self, was_blind: bool) {
        let limit = self.next.terms.policy.blind_limit.to_string();
        match &self.evidence.blind {
            Some(blind) if !was_blind => {
                let (severity, what) = if blind.production_too {
                    (
                        Severity::Critical,
                        format!(
                            "production can't be seen, so nothing is raised, nor rolled back for blindness: {}",
                            blind.reason
                        ),
                    )
                } else {
                    (
                        Severity::Warning,
                        format!(
                            "the canary can't be seen, it is rolled back after {limit}: {}",
                            blind.reason
                        ),
                    )
                };
                self.tell(said(
                    Name::Blind,
                    severity,
                    what,
                    "no readable metrics",
                    limit,
                ));
            }
            None if was_blind => {
                let observed = self.next.state.observed_weight();
                let (reason, value) = if observed.is_some_and(|percent| percent <= 0.0) {
                    (
                        "the canary has no traffic any more, so there is nothing of it to be seen",
                        "no traffic",
                    )
                } else {
                    ("the metrics can be read again", "readable metrics")
                };
                self.tell(said(Name::Sighted, Severity::Info, reason, value, limit));
            }
            _ => {}
        }
    }

    /// The deadline's clock runs from IN_PROGRESS to 100 %, and stops where nothing may move. On a way
    /// down by steps it stands still: it bounds the way up, and must not cut the other one short.
    fn run_clock(&mut self) {
        let plan_allows = self.next.terms.allows_raise_at(self.now) && !self.frozen;
        let state = &mut self.next.state;
        let waits_for_people = matches!(state.phase, Phase::Paused | Phase::AwaitingApproval);
        let runs = state.status == Status::InProgress
            && state.weight < Weight::FULL
            && !waits_for_people
            && plan_allows
            && state.descent.is_none()
            && state.phase != Phase::CleaningUp;
        state.clock.run(runs, self.now);
    }
}

/// The effect that the decided record asks for, seen against the same reading of the endpoint.
pub fn effect_after(
    decision: &Decision,
    endpoint: &EndpointReading,
    now: Timestamp,
) -> Option<due::Effect> {
    due::due(&decision.next, &decision.evidence, endpoint, now)
}

/// Decides until the phase rests, all from one observation: a bake that is over, capacity that is
/// there already and the raise itself are one pass, not three minutes.
pub fn settle(
    before: &Deployment,
    evidence: &Evidence,
    seen: &Observation,
    now: Timestamp,
) -> Result<Decision, IllegalEvent> {
    let mut decision = decide(before, evidence, seen, now)?;
    let mut again = seen.clone();
    again.metrics.from = again.metrics.through + SignedDuration::from_mins(1);
    // No way through the table is longer than this without the world changing in between.
    for _ in 0..4 {
        let more = decide(&decision.next, &decision.evidence, &again, now)?;
        if more.next.state.phase == decision.next.state.phase {
            break;
        }
        decision.next = more.next;
        decision.evidence = more.evidence;
        decision.entries.extend(more.entries);
    }
    Ok(decision)
}
