//! One pass of the control loop, as a pure function: the record, the evidence, what was seen and
//! the time go in; the next record, the next evidence and what to tell people come out.
//!
//! The order is the order of danger: what ends the deployment from outside, then the end of one
//! that is already ending, then reasons to roll back, and only then progress. Progress asks for
//! everything at once: a finished bake, enough requests, no red guard, nothing blind, no drift.

use jiff::{SignedDuration, Timestamp};

use super::deployment::{Deployment, Update};
use super::due::{self, floor_is_held};
use super::evidence::Evidence;
use super::history::{Entry, Name, Severity};
use super::judge::{self, MinuteReport, Verdict};
use super::observation::{AlarmReading, EndpointReading, EndpointView, Observation};
use super::policy::OnDrift;
use super::quantity::{Span, Weight};
use super::state::{self, Event, IllegalEvent, Outcome, Phase, Status};
use super::truth;

/// How long the canary variant may take to come up before the deployment gives up.
pub const PROVISIONING_LIMIT: Span = Span::from_hours(2);
/// How often one UpdateEndpoint is tried before the deployment gives up.
pub const UPDATE_ATTEMPTS: u32 = 3;
/// How long after SageMaker accepted an update an unchanged config means that it came back.
const UPDATE_SETTLES: SignedDuration = SignedDuration::from_secs(30);

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

/// Decides one pass. Total: the error is a bug in the transition table's use, never a state of
/// the world.
pub fn decide(before: &Deployment, evidence: &Evidence, seen: &Observation, now: Timestamp) -> Result<Decision, IllegalEvent> {
    let mut pass = Pass::new(before, evidence, now);
    if before.state.status == Status::InProgress && before.state.phase != Phase::CleaningUp {
        let was_blind = evidence.blind.is_some();
        let (verdict, minutes) = judge::judge(before, &mut pass.evidence, &seen.metrics, now);
        pass.minutes = minutes;
        pass.tell_sight(was_blind);
        pass.step(seen, &verdict)?;
    } else {
        pass.step(seen, &Verdict::Healthy)?;
    }
    Ok(pass.finish())
}

/// The record under way from before to next.
pub(super) struct Pass {
    pub(super) next: Deployment,
    pub(super) evidence: Evidence,
    minutes: Vec<MinuteReport>,
    entries: Vec<Entry>,
    pub(super) now: Timestamp,
    pub(super) by: Option<String>,
}

/// What happened, how loudly, and the figures it goes with.
pub(super) struct Said {
    pub(super) name: Name,
    pub(super) severity: Severity,
    pub(super) reason: String,
    pub(super) value: String,
    pub(super) limit: String,
}

pub(super) fn said(name: Name, severity: Severity, reason: impl Into<String>, value: impl Into<String>, limit: impl Into<String>) -> Said {
    Said { name, severity, reason: reason.into(), value: value.into(), limit: limit.into() }
}

impl Pass {
    pub(super) fn new(before: &Deployment, evidence: &Evidence, now: Timestamp) -> Self {
        Self { next: before.clone(), evidence: evidence.clone(), minutes: Vec::new(), entries: Vec::new(), now, by: None }
    }

    pub(super) fn finish(mut self) -> Decision {
        self.run_clock();
        Decision { next: self.next, evidence: self.evidence, minutes: self.minutes, entries: self.entries }
    }

    fn step(&mut self, seen: &Observation, verdict: &Verdict) -> Result<(), IllegalEvent> {
        if self.next.state.status.is_terminal() {
            return Ok(());
        }
        if let Some(fault) = truth::fatal(&self.next, &seen.endpoint) {
            return self.fail(&fault);
        }
        let view = match &seen.endpoint {
            EndpointReading::Seen(view) => Some(view),
            EndpointReading::Failed { .. } | EndpointReading::Missing => None,
        };
        match (self.next.state.status, self.next.state.phase) {
            (_, Phase::CleaningUp) => self.clean_up(view),
            (Status::RollingBack, _) => self.confirm_reverted(view),
            (Status::Pending, _) => self.confirm_provisioned(view),
            _ => match self.reason_to_roll_back(&seen.alarms, verdict) {
                Some(what) => self.roll_back(Outcome::RolledBack, what),
                None => self.progress(view, seen, verdict),
            },
        }
    }

    /// A legal transition, with its line of history.
    pub(super) fn go(&mut self, event: Event, what: Said) -> Result<(), IllegalEvent> {
        let state = &mut self.next.state;
        let (status, phase) = state::next(state.status, state.phase, event)?;
        if phase != state.phase {
            state.phase_since = self.now;
        }
        (state.status, state.phase) = (status, phase);
        if phase != Phase::Paused {
            state.interrupted = None;
        }
        state.reason.clone_from(&what.reason);
        self.tell(what);
        Ok(())
    }

    /// A line of history without a transition.
    pub(super) fn tell(&mut self, what: Said) {
        let state = &mut self.next.state;
        state.last_seq += 1;
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
            weight: state.target,
            by: self.by.clone(),
        });
    }

    fn fail(&mut self, why: &str) -> Result<(), IllegalEvent> {
        self.next.state.outcome = Some(Outcome::Failed);
        self.next.state.cause = Some(why.to_owned());
        self.next.state.cleaned = false;
        let value = format!("{} of the traffic last confirmed on the canary", self.next.state.weight);
        self.go(Event::Fail, said(Name::CleaningUp, Severity::Critical, why, value, "the endpoint as this deployment left it"))
    }

    /// Production takes everything back. Legal from every phase that is not already an end.
    pub(super) fn roll_back(&mut self, outcome: Outcome, what: Said) -> Result<(), IllegalEvent> {
        let state = &mut self.next.state;
        state.outcome = Some(outcome);
        state.cause = Some(what.reason.clone());
        state.target = Weight::ZERO;
        state.drift = None;
        self.go(Event::RollBack, what)
    }

    fn reason_to_roll_back(&self, alarms: &AlarmReading, verdict: &Verdict) -> Option<Said> {
        let state = &self.next.state;
        let critical = |reason: String, value: String, limit: String| Some(said(Name::RollingBack, Severity::Critical, reason, value, limit));
        if let AlarmReading::Firing(names) = alarms
            && !names.is_empty()
        {
            let names = names.join(", ");
            return critical(format!("CloudWatch alarm {names} is in state ALARM"), names, "no alarm of the policy in ALARM".to_owned());
        }
        if let Verdict::Unhealthy { reason, value, limit } = verdict {
            return critical(reason.clone(), value.clone(), limit.clone());
        }
        let (used, deadline) = (state.clock.used_at(self.now), self.next.terms.plan.deadline);
        if state.weight < Weight::FULL && used >= deadline {
            let reason = format!("the deadline of {deadline} passed with the canary at {}", state.weight);
            return critical(reason, used.to_string(), deadline.to_string());
        }
        let limit = self.next.terms.policy.blind_limit;
        match &self.evidence.blind {
            // Production unseen too means that CloudWatch itself is out: hold, never roll back in bulk.
            Some(blind) if !blind.production_too && Span::between(blind.since, self.now) >= limit => {
                critical(format!("the canary could not be seen for {limit}: {}", blind.reason), "no readable metrics".to_owned(), limit.to_string())
            }
            _ => None,
        }
    }

    fn confirm_provisioned(&mut self, view: Option<&EndpointView>) -> Result<(), IllegalEvent> {
        let waited = Span::between(self.next.terms.created_at, self.now);
        if waited >= PROVISIONING_LIMIT {
            let reason = format!("the canary variant did not come up within {PROVISIONING_LIMIT}");
            let what = said(Name::RollingBack, Severity::Critical, reason, waited.to_string(), PROVISIONING_LIMIT.to_string());
            return self.roll_back(Outcome::RolledBack, what);
        }
        let Some(view) = view.filter(|view| view.is_in_service()) else { return Ok(()) };
        if view.config == self.next.terms.original_config {
            return match self.came_back(view, &self.next.terms.canary_config) {
                Some(why) => self.fail(&why),
                None => Ok(()),
            };
        }
        let instances = view.variant(&self.next.terms.canary).map_or(0, |canary| canary.current_instances);
        if instances == 0 {
            return Ok(());
        }
        self.next.state.target = self.next.terms.plan.stages[0].weight;
        let reason = format!("the canary variant is in service with {}", count(instances, "instance"));
        let what = said(Name::Provisioned, Severity::Info, reason, count(instances, "instance"), format!("first stage: {}", self.next.state.target));
        self.go(Event::Provisioned, what)
    }

    /// Why an update will not come: SageMaker accepted it and is back on the config before it, or
    /// it was refused too often.
    fn came_back(&self, view: &EndpointView, config: &str) -> Option<String> {
        let update = self.next.state.update.as_ref().filter(|update| update.config == config)?;
        if self.next.is_leased(self.now) {
            return None;
        }
        let Update { attempts, accepted_at, .. } = update;
        let why = view.failure.as_deref().unwrap_or("SageMaker gives no reason");
        match accepted_at {
            Some(at) if self.now - UPDATE_SETTLES >= *at => {
                Some(format!("UpdateEndpoint to {config} came back on config {}: {why}", view.config))
            }
            None if *attempts >= UPDATE_ATTEMPTS => Some(format!("UpdateEndpoint to {config} was not accepted in {attempts} attempts: {why}")),
            _ => None,
        }
    }

    fn progress(&mut self, view: Option<&EndpointView>, seen: &Observation, verdict: &Verdict) -> Result<(), IllegalEvent> {
        let Some(view) = view else { return self.advance_blindly() };
        self.count_production(view);
        self.watch_drift(view)?;
        match self.next.state.phase {
            Phase::Scaling => self.confirm_capacity(view, seen, verdict),
            Phase::Shifting | Phase::Retreating => self.confirm_weights(view),
            Phase::Baking | Phase::Holding => self.advance(seen, verdict),
            Phase::Soaking => self.soak(seen, verdict),
            Phase::Finalizing => self.confirm_final(view),
            _ => Ok(()),
        }
    }

    /// With the endpoint unread there is no progress, but a bake that is over is said to be held.
    fn advance_blindly(&mut self) -> Result<(), IllegalEvent> {
        if self.next.state.phase == Phase::Baking && self.is_baked() {
            return self.hold("DescribeEndpoint could not be read".to_owned());
        }
        Ok(())
    }

    /// The most instances production was seen with is what the total traffic needs.
    fn count_production(&mut self, view: &EndpointView) {
        if let Some(production) = view.variant(&self.next.terms.production) {
            let state = &mut self.next.state;
            state.production_instances = state.production_instances.max(production.current_instances);
        }
    }

    fn watch_drift(&mut self, view: &EndpointView) -> Result<(), IllegalEvent> {
        // An endpoint that is changing says nothing about the weights it comes to rest at.
        if !view.is_in_service() {
            return Ok(());
        }
        let found = truth::drift(&self.next, view);
        match (&self.next.state.drift, &found) {
            (None, Some(what)) if self.next.terms.policy.on_drift == OnDrift::Abandon => return self.fail(&what.clone()),
            (None, Some(what)) => {
                let value = format!("{:.2} %", view.share(&self.next.terms.canary).unwrap_or(0.0) * 100.0);
                self.tell(said(Name::Drift, Severity::Warning, what, value, self.next.state.weight.to_string()));
            }
            // Where the weights are being moved, nothing can be said to be as committed again.
            (Some(_), None) if truth::is_settled(&self.next) => {
                let weight = self.next.state.weight.to_string();
                self.tell(said(Name::DriftEnded, Severity::Info, "the weights are as committed again", weight.clone(), weight));
            }
            _ => {}
        }
        self.next.state.drift = found;
        Ok(())
    }

    fn confirm_capacity(&mut self, view: &EndpointView, seen: &Observation, verdict: &Verdict) -> Result<(), IllegalEvent> {
        let needed = self.next.canary_instances_for(self.next.state.target);
        let there = view.variant(&self.next.terms.canary).map_or(0, |canary| canary.current_instances);
        let ready = view.is_in_service() && there >= needed && floor_is_held(&self.next);
        if !ready || self.warning(seen, verdict).is_some() || !self.next.terms.plan.allows_raise_at(self.now) {
            return Ok(());
        }
        let target = self.next.state.target;
        let reason = format!("raising the canary to {target} with {}", count(there, "instance"));
        self.go(Event::CapacityReady, said(Name::Shifting, Severity::Detail, reason, count(there, "instance"), count(needed, "instance")))
    }

    fn confirm_weights(&mut self, view: &EndpointView) -> Result<(), IllegalEvent> {
        let target = self.next.state.target;
        if !view.is_settled_at(&self.next.terms.canary, target) {
            return Ok(());
        }
        // The raise that a retreat overtook may still land: wait until it can't.
        if self.next.state.phase == Phase::Retreating && self.next.is_leased(self.now) {
            return Ok(());
        }
        let state = &mut self.next.state;
        (state.weight, state.stage_since) = (target, self.now);
        (self.evidence.stage_samples, self.evidence.expected_unseen) = (0, 0.0);
        if target == Weight::FULL && state.phase == Phase::Shifting {
            let soak = self.next.terms.plan.soak;
            let reason = format!("all traffic is on the canary; the old variant stays for a soak of {soak}");
            return self.go(Event::FullyShifted, said(Name::Soaking, Severity::Info, reason, target.to_string(), format!("soak {soak}")));
        }
        let bake = self.next.terms.plan.stage(target).bake;
        let reason = format!("the canary has {target} of the traffic, confirmed by DescribeEndpoint");
        self.go(Event::WeightsConfirmed, said(Name::Shifted, Severity::Info, reason, target.to_string(), format!("bake {bake}")))
    }

    fn is_baked(&self) -> bool {
        let bake = self.next.terms.plan.stage(self.next.state.weight).bake;
        Span::between(self.next.state.stage_since, self.now) >= bake
    }

    fn advance(&mut self, seen: &Observation, verdict: &Verdict) -> Result<(), IllegalEvent> {
        if !self.is_baked() {
            return Ok(());
        }
        if let Some(obstacle) = self.obstacle(seen, verdict) {
            return self.hold(obstacle);
        }
        if self.next.terms.plan.stage(self.next.state.weight).approval {
            return self.ask_for_approval();
        }
        if !self.next.terms.plan.allows_raise_at(self.now) {
            "waiting for the next change window".clone_into(&mut self.next.state.reason);
            return Ok(());
        }
        match self.next.terms.plan.stage_above(self.next.state.weight) {
            Some(stage) => self.raise(stage.weight, Name::Scaling, Severity::Detail, "the bake is over and nothing speaks against the canary"),
            None => Ok(()),
        }
    }

    /// On to a higher share: capacity first.
    pub(super) fn raise(&mut self, target: Weight, name: Name, severity: Severity, why: &str) -> Result<(), IllegalEvent> {
        let value = format!("{} canary requests in this stage", self.evidence.stage_samples);
        let limit = format!("{} at the least", self.next.terms.policy.min_samples);
        self.next.state.target = target;
        self.go(Event::Raise, said(name, severity, format!("{why}: on to {target}"), value, limit))
    }

    pub(super) fn ask_for_approval(&mut self) -> Result<(), IllegalEvent> {
        let weight = self.next.state.weight;
        let reason = format!("the stage at {weight} asks for a person's approval before the next raise");
        self.go(Event::ApprovalNeeded, said(Name::ApprovalNeeded, Severity::Warning, reason, weight.to_string(), "an approval"))
    }

    fn hold(&mut self, why: String) -> Result<(), IllegalEvent> {
        if self.next.state.phase == Phase::Holding {
            self.next.state.reason = why;
            return Ok(());
        }
        let value = format!("{} canary requests in this stage", self.evidence.stage_samples);
        let limit = format!("{} at the least", self.next.terms.policy.min_samples);
        self.go(Event::Undecided, said(Name::Held, Severity::Warning, why, value, limit))
    }

    /// What stands in the way of more traffic, in words; `None` when nothing does.
    fn obstacle(&self, seen: &Observation, verdict: &Verdict) -> Option<String> {
        let missing = self.next.terms.policy.min_samples.saturating_sub(self.evidence.stage_samples);
        self.warning(seen, verdict).or_else(|| (missing > 0).then(|| format!("holding: {}", self.needs(missing))))
    }

    /// What speaks against more traffic at any time, the amount of data apart.
    fn warning(&self, seen: &Observation, verdict: &Verdict) -> Option<String> {
        if let Verdict::Inconclusive { reason } = verdict {
            return Some(format!("holding: {reason}"));
        }
        if self.evidence.judged_through < judge::last_judgeable(self.now) {
            return Some(format!("holding: minutes after {} are not judged yet", self.evidence.judged_through));
        }
        if let AlarmReading::Failed { reason } = &seen.alarms {
            return Some(format!("holding: the policy's alarms could not be read: {reason}"));
        }
        if let Some(drift) = &self.next.state.drift {
            return Some(format!("holding: {drift}"));
        }
        self.evidence.red_guard().map(|(_, check)| format!("holding: {}", check.sentence))
    }

    /// How many more requests, and how long they take at today's rate.
    fn needs(&self, missing: u64) -> String {
        let rate = self.evidence.canary_per_minute;
        let how_long = if rate >= 0.5 { format!("{:.0} min at today's rate", (missing as f64 / rate).ceil()) } else { "there is hardly any traffic".to_owned() };
        format!("needs about {missing} more canary requests: {how_long}")
    }

    fn soak(&mut self, seen: &Observation, verdict: &Verdict) -> Result<(), IllegalEvent> {
        let (soak, soaked) = (self.next.terms.plan.soak, Span::between(self.next.state.stage_since, self.now));
        if soaked < soak {
            return Ok(());
        }
        if let Some(obstacle) = self.obstacle(seen, verdict) {
            self.next.state.reason = obstacle;
            return Ok(());
        }
        self.end_soak(&format!("the soak of {soak} is over and nothing speaks against the canary"), Name::Finalizing)
    }

    pub(super) fn end_soak(&mut self, why: &str, name: Name) -> Result<(), IllegalEvent> {
        let soaked = Span::between(self.next.state.stage_since, self.now).to_string();
        let limit = format!("soak {}", self.next.terms.plan.soak);
        if self.next.terms.cleanup.keep_old_variant {
            self.next.state.outcome = Some(Outcome::Completed);
            let reason = format!("{why}; the old variant is kept at weight 0");
            return self.go(Event::KeepOldVariant, said(Name::CleaningUp, Severity::Info, reason, soaked, limit));
        }
        self.go(Event::SoakOver, said(name, Severity::Info, format!("{why}: the old variant is being removed"), soaked, limit))
    }

    fn confirm_final(&mut self, view: &EndpointView) -> Result<(), IllegalEvent> {
        if !view.is_in_service() || self.next.is_leased(self.now) {
            return Ok(());
        }
        if view.config != self.next.terms.final_config {
            return match self.came_back(view, &self.next.terms.final_config) {
                Some(why) => self.fail(&why),
                None => Ok(()),
            };
        }
        self.next.state.outcome = Some(Outcome::Completed);
        let reason = format!("the endpoint is on config {}", view.config);
        self.go(Event::Finalized, said(Name::CleaningUp, Severity::Detail, reason, view.config.clone(), self.next.terms.final_config.clone()))
    }

    fn confirm_reverted(&mut self, view: Option<&EndpointView>) -> Result<(), IllegalEvent> {
        let Some(view) = view else { return Ok(()) };
        let terms = &self.next.terms;
        let all_back = match view.variant(&terms.canary) {
            Some(_) => view.is_settled_at(&terms.canary, Weight::ZERO),
            None => view.is_in_service() && view.share(&terms.production).is_some(),
        };
        // A raise that is still in flight may land after this reading: wait until it can't.
        if !all_back || self.next.is_leased(self.now) {
            return Ok(());
        }
        self.next.state.weight = Weight::ZERO;
        let wait = self.next.terms.cleanup.after;
        let reason = format!("production has all the traffic back, confirmed by DescribeEndpoint; the canary goes after {wait}");
        self.go(Event::Reverted, said(Name::Reverted, Severity::Info, reason, "100 % production", "100 % production"))
    }

    fn clean_up(&mut self, view: Option<&EndpointView>) -> Result<(), IllegalEvent> {
        let outcome = self.next.state.outcome.unwrap_or(Outcome::Failed);
        if self.next.is_leased(self.now) {
            return Ok(());
        }
        if outcome != Outcome::Failed {
            let Some(view) = view.filter(|view| view.is_in_service()) else { return Ok(()) };
            if !self.is_final(view, outcome) {
                return match self.came_back(view, &self.next.terms.original_config) {
                    Some(why) => self.fail(&format!("cleanup is incomplete: {why}")),
                    None => Ok(()),
                };
            }
        }
        if !self.next.state.cleaned {
            return Ok(());
        }
        self.end(outcome, view.map(|view| view.config.clone()))
    }

    fn is_final(&self, view: &EndpointView, outcome: Outcome) -> bool {
        let terms = &self.next.terms;
        match outcome {
            Outcome::Completed if terms.cleanup.keep_old_variant => view.is_settled_at(&terms.canary, Weight::FULL),
            Outcome::Completed => view.config == terms.final_config && view.is_settled_at(&terms.canary, Weight::FULL),
            Outcome::RolledBack | Outcome::Cancelled => view.config == terms.original_config && view.is_settled_at(&terms.production, Weight::FULL),
            Outcome::Failed => true,
        }
    }

    fn end(&mut self, outcome: Outcome, config: Option<String>) -> Result<(), IllegalEvent> {
        let terms = &self.next.terms;
        let why = self.next.state.cause.clone().unwrap_or_else(|| self.next.state.reason.clone());
        let stays = format!("{} keeps all traffic of {}: {why}", terms.former_model, terms.endpoint);
        let config = config.unwrap_or_else(|| "none".to_owned());
        let (name, severity, reason) = match outcome {
            Outcome::Completed => (
                Name::Completed,
                Severity::Info,
                format!(
                    "{} serves all traffic of {}; the endpoint is on config {config}: a stack in CloudFormation or Terraform that names another would revert it",
                    terms.model, terms.endpoint
                ),
            ),
            Outcome::RolledBack => (Name::RolledBack, Severity::Warning, stays),
            Outcome::Cancelled => (Name::Cancelled, Severity::Info, stays),
            Outcome::Failed => (Name::Failed, Severity::Critical, why),
        };
        self.next.state.lease = None;
        let value = format!("config {config}");
        self.go(Event::CleanedUp(outcome), said(name, severity, reason, value, "nothing left behind"))
    }

    fn tell_sight(&mut self, was_blind: bool) {
        let limit = self.next.terms.policy.blind_limit.to_string();
        match &self.evidence.blind {
            Some(blind) if !was_blind => {
                let (severity, what) = if blind.production_too {
                    (Severity::Critical, format!("production can't be seen, so nothing is raised, nor rolled back for blindness: {}", blind.reason))
                } else {
                    (Severity::Warning, format!("the canary can't be seen, it is rolled back after {limit}: {}", blind.reason))
                };
                self.tell(said(Name::Blind, severity, what, "no readable metrics", limit));
            }
            None if was_blind => self.tell(said(Name::Sighted, Severity::Info, "the metrics can be read again", "readable metrics", limit)),
            _ => {}
        }
    }

    /// The deadline's clock runs from IN_PROGRESS to 100 %, and stops where nothing may move.
    fn run_clock(&mut self) {
        let plan_allows = self.next.terms.plan.allows_raise_at(self.now);
        let state = &mut self.next.state;
        let waits_for_people = matches!(state.phase, Phase::Paused | Phase::AwaitingApproval);
        let runs = state.status == Status::InProgress && state.weight < Weight::FULL && !waits_for_people && plan_allows && state.phase != Phase::CleaningUp;
        state.clock.run(runs, self.now);
    }
}

pub(super) fn count(number: u32, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// The effect that the decided record asks for, seen against the same reading of the endpoint.
pub fn effect_after(decision: &Decision, endpoint: &EndpointReading, now: Timestamp) -> Option<due::Effect> {
    due::due(&decision.next, &decision.evidence, endpoint, now)
}

/// Decides until the phase rests, all from one observation: a bake that is over, capacity that is
/// there already and the raise itself are one pass, not three minutes.
pub fn settle(before: &Deployment, evidence: &Evidence, seen: &Observation, now: Timestamp) -> Result<Decision, IllegalEvent> {
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
