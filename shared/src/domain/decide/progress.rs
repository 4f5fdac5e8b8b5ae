//! Towards 100 %: the canary comes up, its capacity and its share grow, each stage is judged. Progress
//! asks for everything at once: a finished bake, enough requests, no red guard, nothing blind, no drift.

use jiff::SignedDuration;

use super::{PROVISIONING_LIMIT, Pass, Said, UPDATE_ATTEMPTS, said};
use crate::domain::deployment::Update;
use crate::domain::due::{canary_floor_is_held, floor_is_held};
use crate::domain::forecast::roughly;
use crate::domain::history::{Name, Severity};
use crate::domain::judge::bench::Bench;
use crate::domain::judge::{self, Lack, Verdict};
use crate::domain::observation::{AlarmReading, EndpointReading, EndpointView, Observation};
use crate::domain::quantity::{Span, Weight, counted};
use crate::domain::state::{Event, IllegalEvent, Interrupted, Outcome, Phase};

/// How long after SageMaker accepted an update an endpoint that rests on the config before it means
/// that the update came back. Too short is what hurts: an update that shows late would pass for one
/// that came back, and the deployment would fail with the endpoint about to change. Too long costs a
/// minute or two, and only where an update came back without ever having been seen under way.
const UPDATE_SETTLES: SignedDuration = SignedDuration::from_mins(2);
/// Canary requests a minute, one an hour, from which on it is said how long more of them take.
const WORTH_A_FIGURE: f64 = 1.0 / 60.0;

impl Pass {
    pub(super) fn confirm_provisioned(
        &mut self,
        view: Option<&EndpointView>,
    ) -> Result<(), IllegalEvent> {
        let waited = Span::between(self.next.terms.created_at, self.now);
        if waited >= PROVISIONING_LIMIT {
            let reason = format!("the canary variant did not come up within {PROVISIONING_LIMIT}");
            let what = said(
                Name::RollingBack,
                Severity::Critical,
                reason,
                waited.to_string(),
                PROVISIONING_LIMIT.to_string(),
            );
            return self.roll_back(Outcome::RolledBack, what);
        }
        let Some(view) = view.filter(|view| view.is_in_service()) else {
            return Ok(());
        };
        if view.config == self.next.terms.original_config {
            return match self.came_back(view, &self.next.terms.canary_config) {
                Some(why) => self.fail(&why),
                None => Ok(()),
            };
        }
        let instances = view
            .variant(&self.next.terms.canary)
            .map_or(0, |canary| canary.current_instances);
        if instances == 0 {
            return Ok(());
        }
        self.next.state.target = self.next.terms.plan.stages[0].weight;
        let reason = format!(
            "the canary variant is in service with {}",
            counted(instances, "instance")
        );
        let what = said(
            Name::Provisioned,
            Severity::Info,
            reason,
            counted(instances, "instance"),
            format!("first stage: {}", self.next.state.target),
        );
        self.go(Event::Provisioned, what)
    }

    /// Why an update will not come: SageMaker accepted it and is back on the config before it, or
    /// it was refused too often.
    pub(super) fn came_back(&self, view: &EndpointView, config: &str) -> Option<String> {
        let update = self
            .next
            .state
            .update
            .as_ref()
            .filter(|update| update.config == config)?;
        if self.next.is_leased(self.now) {
            return None;
        }
        let Update {
            attempts,
            accepted_at,
            ..
        } = update;
        let told = view.failure.as_deref().or(update.last_error.as_deref());
        let why = told.unwrap_or("SageMaker gives no reason");
        match accepted_at {
            Some(at) if self.now - UPDATE_SETTLES >= *at => Some(format!(
                "UpdateEndpoint to {config} came back on config {}: {why}",
                view.config
            )),
            None if *attempts >= UPDATE_ATTEMPTS => Some(format!(
                "the update to {config} was refused {attempts} times: {why}"
            )),
            _ => None,
        }
    }

    pub(super) fn progress(
        &mut self,
        view: Option<&EndpointView>,
        seen: &Observation,
        verdict: &Verdict,
    ) -> Result<(), IllegalEvent> {
        let Some(view) = view else {
            return self.advance_blindly(&seen.endpoint);
        };
        self.count_production(view);
        self.watch_capacity(view);
        self.watch_drift(view)?;
        match self.next.state.phase {
            Phase::Scaling => self.confirm_capacity(view, seen, verdict),
            Phase::Retreating if self.next.state.descent.is_some() => self.descend(Some(view)),
            Phase::Shifting | Phase::Retreating => self.confirm_weights(view),
            Phase::Baking | Phase::Holding => self.advance(seen, verdict),
            Phase::Soaking => self.soak(seen, verdict),
            Phase::Finalizing => self.confirm_final(view),
            _ => Ok(()),
        }
    }

    /// With the endpoint unread there is no progress, but a bake or a soak that is over is said to be
    /// held, and a way down by steps waits no longer than it would otherwise.
    fn advance_blindly(&mut self, endpoint: &EndpointReading) -> Result<(), IllegalEvent> {
        if self.next.state.descent.is_some() {
            return self.descend(None);
        }
        let EndpointReading::Failed { reason } = endpoint else {
            return Ok(());
        };
        let why = format!("holding: the endpoint could not be read: {reason}");
        match self.next.state.phase {
            Phase::Baking if self.is_baked() => self.hold(why),
            Phase::Holding => self.hold(why),
            Phase::Soaking if self.is_soaked() => {
                self.keep_soaking(why);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn confirm_capacity(
        &mut self,
        view: &EndpointView,
        seen: &Observation,
        verdict: &Verdict,
    ) -> Result<(), IllegalEvent> {
        let needed = self.next.canary_instances_for(self.next.state.target);
        let there = view
            .variant(&self.next.terms.canary)
            .map_or(0, |canary| canary.current_instances);
        let is_ready = view.is_in_service() && self.lacks(view).is_none();
        if !is_ready || !self.next.terms.allows_raise_at(self.now) {
            return Ok(());
        }
        if let Some(warning) = self.warning(seen, verdict) {
            self.next.state.reason = warning;
            return Ok(());
        }
        let target = self.next.state.target;
        self.next.state.canary_instances = needed;
        let reason = format!(
            "raising the canary to {target} with {}",
            counted(there, "instance")
        );
        self.go(
            Event::CapacityReady,
            said(
                Name::Shifting,
                Severity::Detail,
                reason,
                counted(there, "instance"),
                counted(needed, "instance"),
            ),
        )
    }

    /// What the canary's next share asks for and is not there, in words.
    pub(super) fn lacks(&self, view: &EndpointView) -> Option<String> {
        let needed = self.next.canary_instances_for(self.next.state.target);
        let canary = view.variant(&self.next.terms.canary);
        let there = canary.map_or(0, |canary| canary.current_instances);
        if there < needed {
            let needed = counted(needed, "instance");
            return Some(format!("the canary has {there} of {needed}"));
        }
        let is_held = floor_is_held(&self.next) && canary_floor_is_held(&self.next);
        (!is_held).then(|| "its scaling does not keep the instances yet".to_owned())
    }

    fn confirm_weights(&mut self, view: &EndpointView) -> Result<(), IllegalEvent> {
        let target = self.next.state.target;
        if !view.is_settled_at(&self.next.terms.canary, target) {
            self.say_drift();
            return Ok(());
        }
        // The raise that a retreat overtook may still land: wait until it can't.
        if self.next.state.phase == Phase::Retreating && self.next.is_leased(self.now) {
            return Ok(());
        }
        self.next.state.confirm(target);
        self.next.state.stage_since = self.now;
        if self.next.state.phase == Phase::Retreating {
            // What was seen on the way down was seen of the higher share.
            self.evidence.forget_step_backs(&self.next.terms.policy);
        }
        self.evidence.begin_stage();
        let was_paused = self.next.state.interrupted.is_some();
        if target == Weight::FULL {
            let soak = self.next.terms.plan.soak;
            let reason =
                format!("all traffic is on the canary; the old variant stays for a soak of {soak}");
            self.go(
                Event::FullyShifted,
                said(
                    Name::Soaking,
                    Severity::Info,
                    reason,
                    target.to_string(),
                    format!("soak {soak}"),
                ),
            )?;
            return self.stay_paused(was_paused, Interrupted::Soak);
        }
        let bake = self.next.terms.plan.stage(target).bake;
        let reason =
            format!("the canary has {target} of the traffic, confirmed by DescribeEndpoint");
        self.go(
            Event::WeightsConfirmed,
            said(
                Name::Shifted,
                Severity::Info,
                reason,
                target.to_string(),
                format!("bake {bake}"),
            ),
        )?;
        self.stay_paused(was_paused, Interrupted::Bake)
    }

    /// A rollout that was paused when its share was set stays paused at that share.
    fn stay_paused(
        &mut self,
        was_paused: bool,
        interrupted: Interrupted,
    ) -> Result<(), IllegalEvent> {
        if !was_paused {
            return Ok(());
        }
        let (why, limit) = if interrupted == Interrupted::Soak {
            ("still paused, at 100 %", "no end until resumed")
        } else {
            ("still paused, at the lower share", "no raise until resumed")
        };
        let value = self.next.state.weight.to_string();
        let what = said(Name::Paused, Severity::Detail, why, value, limit);
        self.go(Event::Pause, what)?;
        self.next.state.interrupted = Some(interrupted);
        Ok(())
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
        if !self.next.terms.allows_raise_at(self.now) {
            "waiting for the next change window".clone_into(&mut self.next.state.reason);
            return Ok(());
        }
        match self.next.terms.plan.stage_above(self.next.state.weight) {
            Some(stage) => self.raise(
                stage.weight,
                Name::Scaling,
                Severity::Detail,
                "the bake is over and nothing speaks against the canary",
            ),
            None => Ok(()),
        }
    }

    /// On to a higher share: capacity first.
    pub(in crate::domain) fn raise(
        &mut self,
        target: Weight,
        name: Name,
        severity: Severity,
        why: &str,
    ) -> Result<(), IllegalEvent> {
        let seen = counted(self.evidence.stage_samples, "canary request");
        let value = format!("{seen} in this stage");
        let limit = format!("{} at the least", self.next.terms.policy.min_samples);
        self.next.state.target = target;
        self.go(
            Event::Raise,
            said(
                name,
                severity,
                format!("{why}: on to {target}"),
                value,
                limit,
            ),
        )
    }

    fn ask_for_approval(&mut self) -> Result<(), IllegalEvent> {
        let weight = self.next.state.weight;
        let reason =
            format!("the stage at {weight} asks for a person's approval before the next raise");
        self.go(
            Event::ApprovalNeeded,
            said(
                Name::ApprovalNeeded,
                Severity::Warning,
                reason,
                weight.to_string(),
                "an approval",
            ),
        )
    }

    fn hold(&mut self, why: String) -> Result<(), IllegalEvent> {
        if self.next.state.phase == Phase::Holding {
            self.next.state.reason = why;
            return Ok(());
        }
        let what = self.held(why);
        self.go(Event::Undecided, what)
    }

    /// A stage that can't be left, as people are told of it.
    pub(super) fn held(&self, why: String) -> Said {
        let seen = counted(self.evidence.stage_samples, "canary request");
        let value = format!("{seen} in this stage");
        let limit = format!("{} at the least", self.next.terms.policy.min_samples);
        said(Name::Held, Severity::Warning, why, value, limit)
    }

    /// What stands in the way of more traffic, in words; `None` when nothing does. An undo is asked for
    /// no proof: production had its model before.
    pub(super) fn obstacle(&self, seen: &Observation, verdict: &Verdict) -> Option<String> {
        let warning = self.warning(seen, verdict);
        if warning.is_some() || self.next.terms.is_undo() {
            return warning;
        }
        self.missing()
    }

    /// What is not shown yet, of what is asked of a stage.
    fn missing(&self) -> Option<String> {
        let bench = Bench::of(&self.next);
        let unshown = bench.unshown(&self.evidence);
        let lacking = || Some(self.needs(&bench.lacking(&self.evidence)?));
        let missing = unshown.or_else(lacking)?;
        Some(format!("holding: {missing}"))
    }

    /// Why a stage was not left by its deadline: by the record and what was measured, and only where these
    /// say nothing the last word, which may be of a reading that failed once.
    pub(super) fn held_by(&self) -> String {
        let missing = || self.missing().filter(|_| !self.next.terms.is_undo());
        let lasting = self.lasting().or_else(missing);
        lasting.unwrap_or_else(|| self.next.state.reason.clone())
    }

    /// What speaks against more traffic at any time, the amount of data apart.
    pub(super) fn warning(&self, seen: &Observation, verdict: &Verdict) -> Option<String> {
        if let Some(reason) = &verdict.unsure {
            return Some(format!("holding: {reason}"));
        }
        if self.evidence.judged_through < judge::last_judgeable(self.now) {
            return Some(format!(
                "holding: minutes after {} are not judged yet",
                self.evidence.judged_through
            ));
        }
        if self.evidence.silent && !self.next.terms.is_undo() {
            let usual = self.next.terms.baseline.requests_per_minute();
            return Some(format!(
                "holding: neither model has had a request in the last minute, and the endpoint has {usual:.0} a minute"
            ));
        }
        if self.next.terms.clearance.hotfix.is_none()
            && let Some(reason) = seen.freeze.obstacle()
        {
            return Some(format!("holding: {reason}"));
        }
        if let AlarmReading::Failed { reason } = &seen.alarms {
            return Some(format!(
                "holding: the policy's alarms could not be read: {reason}"
            ));
        }
        self.lasting()
    }

    /// The same, as far as it is no matter of a single reading.
    pub(super) fn lasting(&self) -> Option<String> {
        if let Some(drift) = &self.next.state.drift {
            return Some(format!("holding: {drift}"));
        }
        // At 100 % nothing is raised any more, and production is about to go.
        if self.next.state.short.is_some() && self.next.state.weight < Weight::FULL {
            let needs = counted(self.next.production_needs(), "instance");
            return Some(format!(
                "holding: production has fewer than the {needs} that the total traffic needs, so it could not take everything back"
            ));
        }
        let objection = Bench::of(&self.next).objection(&self.evidence);
        objection.map(|reason| format!("holding: {reason}"))
    }

    /// How many more, and how long they take at today's rate: of the endpoint's requests, the part that
    /// the share in force brings the canary. What it had at the share before says nothing of this one.
    fn needs(&self, lack: &Lack) -> String {
        let Some(missing) = lack.more else {
            return format!("{lack}, and at the present rate never has enough");
        };
        if !lack.are_requests {
            return lack.to_string();
        }
        let share = self.next.state.share_in_force().fraction();
        let a_minute = self.evidence.requests_per_minute * share;
        let how_long = if a_minute >= WORTH_A_FIGURE {
            format!("{} at today's rate", roughly(missing as f64 / a_minute))
        } else {
            "there is hardly any traffic".to_owned()
        };
        format!("{lack}: {how_long}")
    }
}
