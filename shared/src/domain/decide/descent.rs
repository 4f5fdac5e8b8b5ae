//! Down by steps, where the specification asks for it: each share is confirmed, kept for a while and
//! judged, until production has everything. Whatever is worse than what set it going, and whatever
//! makes the next step doubtful, takes everything back at once. Forward goes only an operator.

use super::breach::{about, loudness};
use super::{Pass, said};
use crate::domain::deployment::Deployment;
use crate::domain::history::{Name, Severity};
use crate::domain::judge::Breach;
use crate::domain::observation::{EndpointView, TOLERANCE};
use crate::domain::policy::Grade;
use crate::domain::quantity::{Span, Weight};
use crate::domain::retreat::Descent;
use crate::domain::state::{Event, IllegalEvent, Outcome, Phase};

impl Pass {
    /// Whether this breach lowers the share by steps, where it would take everything back.
    pub(super) fn goes_down_by_steps(&self, breach: &Breach) -> bool {
        let is_milder = breach.severity < Grade::Critical;
        is_milder && (self.next.state.descent.is_some() || step_below(&self.next).is_some())
    }

    /// The first step down. One that is under way already goes on as it does.
    pub(super) fn begin_descent(&mut self, breach: &Breach, why: &str) -> Result<(), IllegalEvent> {
        let Some(lower) = step_below(&self.next) else {
            return Ok(());
        };
        let words = format!("{why}; going back by steps, to {lower} first");
        let severity = loudness(breach.severity);
        self.evidence.told.insert(breach.name.clone());
        self.go_down(lower, about(breach, Name::Retreating, severity, &words))?;
        self.next.state.descent = Some(Descent {
            since: self.now,
            cause: breach.reason.clone(),
        });
        Ok(())
    }

    fn go_down(&mut self, lower: Weight, what: super::Said) -> Result<(), IllegalEvent> {
        self.next.state.target = lower;
        self.go(Event::Retreat, what)?;
        // Each step is a change of its own: how long it takes, and why, is told of it alone.
        let state = &mut self.next.state;
        (state.phase_since, state.stall_told) = (self.now, false);
        state.refusal = None;
        Ok(())
    }

    /// The step that the endpoint was asked for: confirmed, or overtaken by somebody else's.
    pub(super) fn confirm_step(&mut self, view: &EndpointView) -> Result<(), IllegalEvent> {
        // The raise that the first step overtook may still land: wait until it can't.
        if self.next.is_leased(self.now) || !view.is_in_service() {
            return Ok(());
        }
        let target = self.next.state.target;
        if !view.is_settled_at(&self.next.terms.canary, target) {
            return match view.share(&self.next.terms.canary) {
                // The step would be a way up: nothing on the way down is.
                Some(share) if share < target.fraction() - TOLERANCE => {
                    self.end_descent("somebody else has put less on the canary")
                }
                _ => Ok(()),
            };
        }
        (self.next.state.weight, self.next.state.stage_since) = (target, self.now);
        // What was seen before was seen of the higher share, and has been acted on.
        self.evidence.forget_retreats(&self.next.terms.policy);
        self.evidence.begin_stage();
        let rollback = &self.next.terms.rollback;
        let next = rollback.step_below(&self.next.state).map_or_else(
            || "production takes everything back".to_owned(),
            |lower| format!("{lower} is next"),
        );
        let every = rollback.every();
        let reason = format!(
            "on the way down the canary has {target} of the traffic, confirmed by DescribeEndpoint; {next}, after {every}"
        );
        self.next.state.reason.clone_from(&reason);
        let limit = format!("{every} at each step");
        self.tell(said(
            Name::Shifted,
            Severity::Info,
            reason,
            target.to_string(),
            limit,
        ));
        Ok(())
    }

    /// The next step, once the present share was kept for long enough.
    pub(super) fn step_down(&mut self) -> Result<(), IllegalEvent> {
        let state = &self.next.state;
        let every = self.next.terms.rollback.every();
        let kept = Span::between(state.stage_since, self.now);
        if kept < every {
            return Ok(());
        }
        if state.drift.is_some() {
            return self.end_descent("somebody else changed the weights");
        }
        let Some(lower) = step_below(&self.next) else {
            return self.end_descent("the last step down is over");
        };
        let reason = format!(
            "{} was kept for {every}: further down to {lower}",
            state.weight
        );
        let what = said(
            Name::Retreating,
            Severity::Info,
            reason,
            state.weight.to_string(),
            lower.to_string(),
        );
        self.go_down(lower, what)
    }

    fn end_descent(&mut self, why: &str) -> Result<(), IllegalEvent> {
        let state = &self.next.state;
        let cause = state
            .descent
            .as_ref()
            .map_or("", |descent| descent.cause.as_str());
        let reason = format!("{cause}; {why}, so production takes everything back");
        let value = state.weight.to_string();
        let what = said(Name::RollingBack, Severity::Warning, reason, value, "0 %");
        self.roll_back(Outcome::RolledBack, what)
    }
}

/// The next share down. None from the point of no return, nor from weights that somebody else set:
/// down from the record could be up from what they made of it.
fn step_below(deployment: &Deployment) -> Option<Weight> {
    let state = &deployment.state;
    if state.phase == Phase::Finalizing || state.drift.is_some() {
        return None;
    }
    deployment.terms.rollback.step_below(state)
}
