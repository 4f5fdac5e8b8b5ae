//! The ways out: production takes everything back, what the rollout made is cleaned up, and the
//! terminal status is written from a reading of the endpoint that confirms it.

use std::collections::BTreeMap;

use super::{Pass, ROLLBACK_BUDGET, Said, said};
use crate::domain::deployment::Watch;
use crate::domain::history::{Name, Severity};
use crate::domain::observation::EndpointView;
use crate::domain::quantity::{Span, TrafficShare, Weight};
use crate::domain::registry::Ending;
use crate::domain::state::{Event, IllegalEvent, Outcome, Phase};

impl Pass {
    pub(super) fn fail(&mut self, why: &str) -> Result<(), IllegalEvent> {
        let state = &mut self.next.state;
        state.outcome = Some(Outcome::Failed);
        state.cause = Some(why.to_owned());
        state.cleaned = false;
        // What was still to come is intended no longer.
        state.target = state.target.min(state.weight);
        let share = state.share_in_force();
        let value = format!("{share} of the traffic on the canary when last seen");
        self.go(
            Event::Fail,
            said(
                Name::CleaningUp,
                Severity::Critical,
                why,
                value,
                "the endpoint as this deployment left it",
            ),
        )
    }

    /// Production takes everything back. Legal from every phase that is not already an end.
    pub(in crate::domain) fn roll_back(
        &mut self,
        outcome: Outcome,
        what: Said,
    ) -> Result<(), IllegalEvent> {
        let state = &mut self.next.state;
        // Of a record that was written before it was kept, the share tells. Not a request that somebody made
        // of the canary by name: nobody is sent there who did not ask for it.
        state.had_traffic |= state.weight > Weight::ZERO
            || state.phase == Phase::Shifting
            || state.share_in_force() > TrafficShare::NONE;
        let incident = self.incident(outcome, &what);
        let state = &mut self.next.state;
        state.outcome = Some(outcome);
        state.cause = Some(what.reason.clone());
        state.target = Weight::ZERO;
        state.drift = None;
        self.go(Event::RollBack, what)?;
        if let Some(incident) = incident {
            self.tell(incident);
        }
        Ok(())
    }

    /// What somebody has to look into: every rollback, but not a deployment that was called off before
    /// it had any traffic. A rollback begins once in a deployment, so there is one incident at the most.
    fn incident(&self, outcome: Outcome, what: &Said) -> Option<Said> {
        if outcome == Outcome::Cancelled && !self.next.state.had_traffic {
            return None;
        }
        let reason = format!("{} is taken back: {}", self.next.terms.model, what.reason);
        let incident = said(
            Name::Incident,
            what.severity,
            reason,
            what.value.clone(),
            what.limit.clone(),
        );
        Some(Said {
            signal: what.signal.clone(),
            ..incident
        })
    }

    pub(super) fn confirm_reverted(
        &mut self,
        view: Option<&EndpointView>,
    ) -> Result<(), IllegalEvent> {
        let Some(view) = view else {
            self.tell_waiting(None);
            return Ok(());
        };
        self.watch_capacity(view);
        let terms = &self.next.terms;
        let all_back = match view.variant(&terms.canary) {
            Some(_) => view.is_settled_at(&terms.canary, Weight::ZERO),
            None => view.is_in_service() && view.share(&terms.production).is_some(),
        };
        if !all_back {
            self.tell_waiting(Some(view));
        }
        // A raise that is still in flight may land after this reading: wait until it can't.
        if !all_back || self.next.is_leased(self.now) {
            return Ok(());
        }
        let state = &mut self.next.state;
        let had_traffic = state.had_traffic || state.weight > Weight::ZERO;
        state.confirm(Weight::ZERO);
        let wait = self.next.terms.cleanup.after;
        let reason = format!(
            "production has all the traffic back, confirmed by DescribeEndpoint; the canary goes after {wait}"
        );
        self.go(
            Event::Reverted,
            said(
                Name::Reverted,
                Severity::Info,
                reason,
                "100 % production",
                "100 % production",
            ),
        )?;
        // What was taken out before anybody was served by it says nothing about the model: there was no
        // room for it, or somebody changed their mind.
        if had_traffic {
            let why = self.next.state.cause.clone().unwrap_or_default();
            self.begin_filing(Ending::WentBack { why });
        }
        Ok(())
    }

    /// A rollback that the endpoint does not take is what somebody has to know, again and again.
    fn tell_waiting(&mut self, view: Option<&EndpointView>) {
        let state = &self.next.state;
        let last_told = state.alarmed_at.unwrap_or(state.phase_since);
        if Span::between(last_told, self.now) < ROLLBACK_BUDGET {
            return;
        }
        let waited = Span::between(state.phase_since, self.now).to_string();
        let refusal = state.refusal.clone();
        let refusal = refusal.unwrap_or_else(|| "it has not taken the weights yet".to_owned());
        let busy = state
            .busy
            .map_or_else(String::new, |busy| format!(" ({})", busy.in_words()));
        let endpoint = match view {
            Some(view) => {
                let share = view.share(&self.next.terms.canary).unwrap_or(0.0) * 100.0;
                format!("{:?}{busy} with {share:.0} % on the canary", view.status)
            }
            None => "unreadable; the weights are set all the same".to_owned(),
        };
        let reason = format!("the rollback waits for the endpoint, which is {endpoint}: {refusal}");
        self.next.state.alarmed_at = Some(self.now);
        let limit = ROLLBACK_BUDGET.to_string();
        self.tell(said(
            Name::RollbackWaits,
            Severity::Critical,
            reason,
            waited,
            limit,
        ));
    }

    pub(super) fn clean_up(&mut self, view: Option<&EndpointView>) -> Result<(), IllegalEvent> {
        let outcome = self.next.state.outcome.unwrap_or(Outcome::Failed);
        if self.next.is_leased(self.now) {
            return Ok(());
        }
        if outcome != Outcome::Failed {
            let Some(view) = view.filter(|view| view.is_in_service()) else {
                return Ok(());
            };
            if !self.is_final(view, outcome) {
                if outcome == Outcome::Completed && self.next.terms.cleanup.keep_old_variant {
                    return self.fail("somebody else changed the weights after the soak");
                }
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
            Outcome::Completed if terms.cleanup.keep_old_variant => {
                view.is_settled_at(&terms.canary, Weight::FULL)
            }
            Outcome::Completed => {
                view.config == terms.final_config && view.is_settled_at(&terms.canary, Weight::FULL)
            }
            Outcome::RolledBack | Outcome::Cancelled => {
                terms.is_home(&view.config) && view.is_settled_at(&terms.production, Weight::FULL)
            }
            Outcome::Failed => true,
        }
    }

    fn end(&mut self, outcome: Outcome, config: Option<String>) -> Result<(), IllegalEvent> {
        let terms = &self.next.terms;
        let why = self
            .next
            .state
            .cause
            .clone()
            .unwrap_or_else(|| self.next.state.reason.clone());
        let config = config.unwrap_or_else(|| "none".to_owned());
        let copy = if config == terms.former_config() {
            format!(
                " (the endpoint is on config {config}, a copy of {} with the instances of today)",
                terms.original_config
            )
        } else {
            String::new()
        };
        let stays = format!(
            "{} keeps all traffic of {}{copy}: {why}",
            terms.former_model, terms.endpoint
        );
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
        let state = &mut self.next.state;
        state.lease = None;
        if outcome == Outcome::Failed {
            // A rollback that failed meant to reach 0 %, and did not.
            state.target = state.weight;
        }
        let value = format!("config {config}");
        self.go(
            Event::CleanedUp(outcome),
            said(name, severity, reason, value, "nothing left behind"),
        )?;
        let watch = self.next.terms.watch;
        self.next.state.watch =
            (outcome == Outcome::Completed && !watch.is_zero()).then(|| Watch {
                since: self.now,
                until: self.now + watch.duration(),
                unseen: BTreeMap::new(),
            });
        if outcome == Outcome::Completed {
            self.begin_filing(Ending::Completed);
        }
        Ok(())
    }
}
