//! Down by steps, where the specification asks for it: each share is confirmed, kept for a while and
//! judged, until production has everything. Whatever is worse than what set it going, and whatever
//! makes the next step doubtful, takes everything back at once: an endpoint that can't be read when a
//! step is due, a step that is not confirmed in time, weights or instances that somebody else changed.
//! A rollback is tried unseen, and pins production meanwhile; a step is neither. Forward goes only an
//! operator.

use super::breach::{about, loudness};
use super::{Pass, ROLLBACK_BUDGET, Said, said};
use crate::domain::deployment::Deployment;
use crate::domain::history::{Name, Severity};
use crate::domain::judge::Breach;
use crate::domain::observation::{EndpointView, TOLERANCE};
use crate::domain::policy::{Action, Grade};
use crate::domain::quantity::{Span, Weight};
use crate::domain::retreat::Descent;
use crate::domain::state::{Event, IllegalEvent, Outcome, Phase};

impl Pass {
    /// Whether this breach lowers the share by steps, where it would take everything back. No way
    /// down begins unseen: nobody could tell whether its first step was taken.
    pub(super) fn goes_down_by_steps(&self, breach: &Breach) -> bool {
        let begins = || !self.is_unread && step_below(&self.next).is_some();
        breach.severity < Grade::Critical && (self.next.state.descent.is_some() || begins())
    }

    /// Whether this breach takes everything back at once. On the way down there is no stage left to
    /// step back to, and what is critical waits for no further step.
    pub(super) fn takes_all_back(&self, breach: &Breach) -> bool {
        match breach.action {
            Action::Rollback => !self.goes_down_by_steps(breach),
            Action::StepBack => {
                self.next.state.descent.is_some() && breach.severity == Grade::Critical
            }
            Action::Hold | Action::Notify => false,
        }
    }

    /// Why a breach that would go down by steps does not, as the end of a sentence.
    pub(super) fn why_at_once(&self, breach: &Breach) -> &'static str {
        let could = breach.severity < Grade::Critical && step_below(&self.next).is_some();
        if could && self.is_unread {
            "; the endpoint could not be read, so no step down could be confirmed"
        } else {
            ""
        }
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
            signal: Some((breach.name.clone(), breach.severity)),
            value: breach.value.clone(),
            limit: breach.limit.clone(),
        });
        Ok(())
    }

    fn go_down(&mut self, lower: Weight, what: Said) -> Result<(), IllegalEvent> {
        self.next.state.target = lower;
        self.go(Event::Retreat, what)?;
        // Each step is a change of its own: how long it takes, and why, is told of it alone.
        let state = &mut self.next.state;
        (state.phase_since, state.stall_told) = (self.now, false);
        (state.refusal, state.waited_until) = (None, None);
        Ok(())
    }

    /// On the way down: the step that is under way is confirmed, or the next one taken. A step that is
    /// not confirmed in time may be one that the endpoint does not take.
    pub(super) fn descend(&mut self, view: Option<&EndpointView>) -> Result<(), IllegalEvent> {
        if self.next.state.rests_on_the_way_down() {
            return self.step_down();
        }
        if let Some(view) = view {
            self.confirm_step(view)?;
        }
        let state = &self.next.state;
        let is_moving = state.descent.is_some() && !state.rests_on_the_way_down();
        if !is_moving || Span::between(state.phase_since, self.now) < ROLLBACK_BUDGET {
            return Ok(());
        }
        let refusal = state.refusal.as_ref();
        let refusal = refusal.map_or_else(String::new, |told| format!(" ({told})"));
        let target = state.target;
        self.end_descent(&format!(
            "the step to {target} could not be confirmed within {ROLLBACK_BUDGET}{refusal}"
        ))
    }

    /// The step that the endpoint was asked for: confirmed, or overtaken by somebody else's.
    fn confirm_step(&mut self, view: &EndpointView) -> Result<(), IllegalEvent> {
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
        self.next.state.confirm(target);
        self.next.state.stage_since = self.now;
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

    /// The next step, once the present share was kept for long enough and a minute of it was judged.
    /// That minute is not waited for without end: less traffic on the canary is safe unjudged too.
    fn step_down(&mut self) -> Result<(), IllegalEvent> {
        let state = &self.next.state;
        if let Some(drift) = state.drift.clone() {
            return self.end_descent(&drift);
        }
        let every = self.next.terms.rollback.every();
        let longest = Span::from_secs(every.secs().saturating_add(ROLLBACK_BUDGET.secs()));
        let is_judged = self.evidence.judged_through >= state.stage_since;
        let least = if is_judged { every } else { longest };
        if Span::between(state.stage_since, self.now) < least {
            return Ok(());
        }
        let Some(lower) = step_below(&self.next) else {
            return self.end_descent("the last step down is over");
        };
        if self.is_unread {
            return self.end_descent(
                "the endpoint could not be read, so no further step could be confirmed",
            );
        }
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

    /// The rollback at its end is for what set it going.
    fn end_descent(&mut self, why: &str) -> Result<(), IllegalEvent> {
        let Some(descent) = self.next.state.descent.clone() else {
            return Ok(());
        };
        let Descent {
            cause,
            signal,
            value,
            limit,
            ..
        } = descent;
        let reason = format!("{cause}; {why}, so production takes everything back");
        let what = said(Name::RollingBack, Severity::Warning, reason, value, limit);
        self.roll_back(Outcome::RolledBack, Said { signal, ..what })
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
