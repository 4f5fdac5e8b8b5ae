//! What the endpoint shows beside its weights, said to people while it stands and once when it is
//! over: weights and instances that somebody else changed, too few instances to take everything
//! back, an endpoint that is changing for too long, a phase that does not come to its end.

use super::{Pass, said};
use crate::domain::deployment::{Busy, CanaryCapacity, Short};
use crate::domain::due;
use crate::domain::history::{Name, Severity};
use crate::domain::judge::Verdict;
use crate::domain::observation::{EndpointReading, EndpointStatus, EndpointView, Observation};
use crate::domain::policy::OnDrift;
use crate::domain::quantity::{Span, Weight, counted};
use crate::domain::state::{IllegalEvent, Outcome, Phase};
use crate::domain::truth;

/// How long SageMaker's own maintenance may last before people are told.
const LONG_MAINTENANCE: Span = Span::from_mins(10);
/// How long any other change of the endpoint may last.
const LONG_UPDATE: Span = Span::from_mins(30);
/// How long production may have too few instances; scaling takes some minutes.
const LONG_SHORTAGE: Span = Span::from_mins(5);
/// How long a phase may last that waits for AWS alone.
const LONG_PHASE: Span = Span::from_mins(30);

impl Pass {
    /// What the total traffic needs: the most instances production was seen with. Those that its
    /// scaling adds above the floor are for its own share, so the total needs more; one that a
    /// person adds to a fleet that does not scale, or no more, is one more and says nothing about the
    /// traffic.
    pub(super) fn count_production(&mut self, view: &EndpointView) {
        let (terms, state) = (&self.next.terms, &self.next.state);
        let Some(production) = view.variant(&terms.production) else {
            return;
        };
        let seen = production.current_instances;
        let floor = state
            .floor
            .as_ref()
            .filter(|floor| floor.target().is_some());
        let held_at = floor.map_or(0, |floor| floor.held_at);
        let grew = held_at > 0 && seen > held_at && state.weight < Weight::FULL;
        let needs = if grew {
            state.weight.rest().whole_of(seen)
        } else {
            seen
        };
        let needs = needs.max(self.needed_by_canary(view));
        let state = &mut self.next.state;
        state.production_instances = state.production_instances.max(needs);
    }

    /// What the total traffic needs at the least: what scaling has given the canary for its part of it.
    /// Another type of instance, or a policy of its own, tells nothing about production.
    fn needed_by_canary(&self, view: &EndpointView) -> u32 {
        let (terms, scaling) = (&self.next.terms, self.next.canary_target());
        let capacity = &terms.capacity;
        if scaling.is_none() || *capacity != CanaryCapacity::default() {
            return 0;
        }
        let canary = view.variant(&terms.canary);
        canary.map_or(0, |canary| canary.current_instances)
    }

    pub(super) fn watch_drift(&mut self, view: &EndpointView) -> Result<(), IllegalEvent> {
        // An endpoint that is changing says nothing about the weights it comes to rest at.
        if !view.is_in_service() {
            return Ok(());
        }
        let found = truth::drift(&self.next, view);
        let abandons = self.next.terms.policy.on_drift == OnDrift::Abandon;
        if abandons
            && self.next.state.drift.is_none()
            && let Some(what) = &found
        {
            return self.fail(what);
        }
        // Kept before it is told: while it stands, no line says that the share is in force.
        let known = std::mem::replace(&mut self.next.state.drift, found.clone());
        if found.is_some() && truth::drifted_down(&self.next, view) {
            let since = &mut self.next.state.lowered_since;
            *since = since.or(Some(self.now));
        }
        match (known, found) {
            (None, Some(what)) => {
                let value = format!(
                    "{:.2} %",
                    view.share(&self.next.terms.canary).unwrap_or(0.0) * 100.0
                );
                self.tell(said(
                    Name::Drift,
                    Severity::Warning,
                    what,
                    value,
                    self.next
                        .state
                        .weight
                        .min(self.next.state.target)
                        .to_string(),
                ));
            }
            // Where the weights are going down, nothing can be said to be as committed again.
            (Some(_), None) if truth::is_settled(&self.next) => self.end_drift(),
            _ => {}
        }
        Ok(())
    }

    /// The endpoint is as committed again, on whatever way it came back. The time in which the canary had
    /// less is none of its stage, which begins anew: what it shows at this share is still to be seen.
    fn end_drift(&mut self) {
        let state = &mut self.next.state;
        let mut reason = "the endpoint is as committed again".to_owned();
        let stays = matches!(
            state.phase,
            Phase::Baking
                | Phase::Holding
                | Phase::AwaitingApproval
                | Phase::Soaking
                | Phase::Paused
        );
        let was_lowered = state.lowered_since.take().is_some();
        // A raise that is interrupted has its stage behind it, and asks for what is seen before it is made.
        if was_lowered && stays && state.weight == state.target {
            (state.stage_since, state.stall_told) = (self.now, false);
            self.evidence.begin_stage_again();
            reason.push_str("; the canary had less meanwhile, so its stage begins anew");
        }
        // What a pause or an approval waits for is still what it says.
        if !matches!(state.phase, Phase::Paused | Phase::AwaitingApproval) {
            state.reason.clone_from(&reason);
        }
        let weight = state.weight.to_string();
        self.tell(said(
            Name::DriftEnded,
            Severity::Info,
            reason,
            weight.clone(),
            weight,
        ));
    }

    /// What is committed and not made waits for whoever moved the weights: said for as long as it does.
    pub(super) fn say_drift(&mut self) {
        if let Some(drift) = &self.next.state.drift {
            self.next.state.reason = format!("holding: {drift}");
        }
    }

    /// Production must be able to take everything back: where it could not, nothing is raised. A
    /// rollback does not wait for it, but people have to know.
    pub(super) fn watch_capacity(&mut self, view: &EndpointView) {
        let Some(has) = truth::short_of(&self.next, view) else {
            if self.next.state.short.take().is_some_and(|short| short.told) {
                let reason = "production has the instances again that the total traffic needs";
                let what = counted(self.next.production_needs(), "instance");
                self.tell(said(
                    Name::CapacityBack,
                    Severity::Info,
                    reason,
                    what.clone(),
                    what,
                ));
            }
            return;
        };
        let reverts = self.next.state.phase == Phase::Reverting;
        let mut short = self.next.state.short.unwrap_or(Short {
            since: self.now,
            told: false,
        });
        if !short.told && (reverts || Span::between(short.since, self.now) >= LONG_SHORTAGE) {
            short.told = true;
            let (needs, has) = (
                counted(self.next.production_needs(), "instance"),
                counted(has, "instance"),
            );
            let (severity, end) = if reverts {
                (
                    Severity::Critical,
                    "it takes everything back all the same: give it more instances",
                )
            } else {
                (Severity::Warning, "nothing is raised until it has them")
            };
            let reason =
                format!("production has {has}, and the total traffic needs {needs}; {end}");
            self.tell(said(Name::CapacityShort, severity, reason, has, needs));
        }
        self.next.state.short = Some(short);
    }

    /// Counts how long the endpoint has taken no updates, its own maintenance apart.
    pub(super) fn watch_status(&mut self, view: &EndpointView) {
        if view.status.is_resting() {
            if self.next.state.busy.take().is_some_and(|busy| busy.told) {
                let status = format!("{:?}", view.status);
                let reason = "the endpoint takes updates again";
                self.tell(said(
                    Name::EndpointRests,
                    Severity::Info,
                    reason,
                    status,
                    "InService",
                ));
            }
            return;
        }
        let mut busy = self.next.state.busy.unwrap_or(Busy {
            seen_at: self.now,
            system_updating: Span::ZERO,
            updating: Span::ZERO,
            told: false,
        });
        let more = Span::between(busy.seen_at, self.now);
        let counter = if view.status == EndpointStatus::SystemUpdating {
            &mut busy.system_updating
        } else {
            &mut busy.updating
        };
        *counter = Span::from_secs(counter.secs() + more.secs());
        busy.seen_at = self.now;
        let is_long = busy.system_updating >= LONG_MAINTENANCE || busy.updating >= LONG_UPDATE;
        if is_long && !busy.told {
            busy.told = true;
            let reason = format!(
                "the endpoint is {:?} and takes no updates: {}",
                view.status,
                busy.in_words()
            );
            let limit = format!("{LONG_UPDATE}, {LONG_MAINTENANCE} of SystemUpdating");
            self.tell(said(
                Name::EndpointBusy,
                Severity::Warning,
                reason,
                busy.in_words(),
                limit,
            ));
        }
        self.next.state.busy = Some(busy);
    }

    /// A phase that waits for AWS and does not end is what somebody has to look at, and so is a raise that
    /// was committed and is not made, whatever holds it.
    pub(super) fn watch_stall(&mut self, seen: &Observation, verdict: &Verdict) {
        let state = &self.next.state;
        let since = match (state.phase, state.outcome) {
            (Phase::CleaningUp, Some(Outcome::RolledBack | Outcome::Cancelled)) => {
                due::removal_from(&self.next)
            }
            (Phase::Retreating, _) if state.rests_on_the_way_down() => return,
            (
                Phase::CleaningUp
                | Phase::Finalizing
                | Phase::Retreating
                | Phase::Scaling
                | Phase::Shifting,
                _,
            ) => state.phase_since,
            _ => return,
        };
        let since = since.max(state.waited_until.unwrap_or(since));
        let lasted = Span::between(since, self.now);
        if state.stall_told || lasted < LONG_PHASE {
            return;
        }
        let why = if matches!(state.phase, Phase::Scaling | Phase::Shifting) {
            self.keeps_raise(seen, verdict)
        } else {
            let known = state.drift.as_ref().or(state.refusal.as_ref());
            let known = known.map_or("AWS gives no reason", String::as_str);
            Some(known.to_owned())
        };
        let Some(why) = why else {
            return;
        };
        let reason = format!("{} does not come to its end: {why}", state.phase);
        self.next.state.stall_told = true;
        let limit = LONG_PHASE.to_string();
        self.tell(said(
            Name::Stalled,
            Severity::Warning,
            reason,
            lasted.to_string(),
            limit,
        ));
    }

    /// Whether a raise waits for what people know of, or are told by itself: closed hours, a freeze,
    /// SageMaker's own maintenance.
    pub(super) fn waits_for_known(&self, view: Option<&EndpointView>) -> bool {
        let is_maintained = view.is_some_and(|view| view.status == EndpointStatus::SystemUpdating);
        let is_closed = self.frozen || !self.next.terms.allows_raise_at(self.now);
        // Instances come out of hours, too.
        let lacks = || view.is_some_and(|view| self.lacks(view).is_some());
        match self.next.state.phase {
            Phase::Scaling => is_maintained || (is_closed && !lacks()),
            Phase::Shifting => is_maintained || is_closed,
            _ => false,
        }
    }

    /// What keeps a raise that was committed from being made, in words; `None` where nothing does, and
    /// while the endpoint is changing, which is told by itself.
    fn keeps_raise(&self, seen: &Observation, verdict: &Verdict) -> Option<String> {
        let state = &self.next.state;
        if let Some(drift) = &state.drift {
            return Some(format!("holding: {drift}"));
        }
        if let Some(refusal) = &state.refusal {
            return Some(refusal.clone());
        }
        let is_scaling = state.phase == Phase::Scaling;
        let barred = || {
            if is_scaling {
                return self.lasting();
            }
            let bar = due::bar(&self.next, &self.evidence)?;
            Some(format!("holding: {bar}"))
        };
        let view = match &seen.endpoint {
            EndpointReading::Seen(view) => view,
            EndpointReading::Failed { reason } => {
                let unread = format!("the endpoint could not be read: {reason}");
                return barred().or(Some(unread));
            }
            EndpointReading::Missing => return None,
        };
        if !view.is_in_service() {
            return None;
        }
        let by_aws = |shows: String| {
            let why = view.failure.as_deref();
            let why = why.unwrap_or("SageMaker gives no reason");
            format!("the endpoint is in service, and {shows}: {why}")
        };
        if is_scaling {
            let held = || barred().or_else(|| self.warning(seen, verdict));
            return self.lacks(view).map(by_aws).or_else(held);
        }
        let (canary, target) = (&self.next.terms.canary, state.target);
        let differs = || {
            let share = view.share(canary).unwrap_or(0.0) * 100.0;
            let is_there = view.is_settled_at(canary, target);
            (!is_there).then(|| by_aws(format!("the canary has {share:.2} %, not {target}")))
        };
        barred().or_else(differs)
    }

    /// Why it stood where it stands at the deadline; `None` where it went on.
    pub(super) fn kept_by(&self, seen: &Observation, verdict: &Verdict) -> Option<String> {
        let busy = || {
            let busy = self.next.state.busy?;
            let words = busy.in_words();
            Some(format!("the endpoint takes no updates: {words}"))
        };
        match self.next.state.phase {
            Phase::Holding => Some(self.held_by()),
            Phase::Scaling | Phase::Shifting => self.keeps_raise(seen, verdict).or_else(busy),
            _ => None,
        }
    }
}

impl Busy {
    /// Both counts, as far as there is anything to say.
    pub(super) fn in_words(&self) -> String {
        match (self.updating, self.system_updating) {
            (Span::ZERO, Span::ZERO) => "since a moment ago".to_owned(),
            (updating, Span::ZERO) => format!("{updating} of updates"),
            (Span::ZERO, maintenance) => format!("{maintenance} of SageMaker's own maintenance"),
            (updating, maintenance) => {
                format!("{updating} of updates and {maintenance} of SageMaker's own maintenance")
            }
        }
    }
}
