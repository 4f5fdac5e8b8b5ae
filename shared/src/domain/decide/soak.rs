//! The end of a rollout: the soak at 100 %, with the old variant still there, and the update that removes
//! it. A soak that is over is left when everything that is asked of a stage is there, as a bake is; until
//! then it goes on, which people are told once.

use super::{Pass, said};
use crate::domain::history::{Name, Severity};
use crate::domain::judge::Verdict;
use crate::domain::observation::{EndpointView, Observation};
use crate::domain::quantity::Span;
use crate::domain::state::{Event, IllegalEvent, Outcome};

impl Pass {
    pub(super) fn is_soaked(&self) -> bool {
        let state = &self.next.state;
        Span::between(state.stage_since, self.now) >= self.next.terms.plan.soak
    }

    pub(super) fn soak(
        &mut self,
        seen: &Observation,
        verdict: &Verdict,
    ) -> Result<(), IllegalEvent> {
        if !self.is_soaked() {
            return Ok(());
        }
        if let Some(obstacle) = self.obstacle(seen, verdict) {
            self.keep_soaking(obstacle);
            return Ok(());
        }
        let soak = self.next.terms.plan.soak;
        self.end_soak(
            &format!("the soak of {soak} is over and nothing speaks against the canary"),
            Name::Finalizing,
        )
    }

    /// The soak is over and can't be left. There is no phase to hold in at 100 %, so it is told here that
    /// it holds, once, and said for as long as it does.
    pub(super) fn keep_soaking(&mut self, why: String) {
        self.next.state.reason.clone_from(&why);
        if !self.next.state.stall_told {
            self.next.state.stall_told = true;
            let what = self.held(why);
            self.tell(what);
        }
    }

    pub(in crate::domain) fn end_soak(
        &mut self,
        why: &str,
        name: Name,
    ) -> Result<(), IllegalEvent> {
        let soaked = Span::between(self.next.state.stage_since, self.now).to_string();
        let limit = format!("soak {}", self.next.terms.plan.soak);
        if self.next.terms.cleanup.keep_old_variant {
            self.next.state.outcome = Some(Outcome::Completed);
            let reason = format!("{why}; the old variant is kept at weight 0");
            return self.go(
                Event::KeepOldVariant,
                said(Name::CleaningUp, Severity::Info, reason, soaked, limit),
            );
        }
        self.go(
            Event::SoakOver,
            said(
                name,
                Severity::Info,
                format!("{why}: the old variant is being removed"),
                soaked,
                limit,
            ),
        )
    }

    pub(super) fn confirm_final(&mut self, view: &EndpointView) -> Result<(), IllegalEvent> {
        if !view.is_in_service() || self.next.is_leased(self.now) {
            return Ok(());
        }
        if view.config != self.next.terms.final_config {
            if let Some(why) = self.came_back(view, &self.next.terms.final_config) {
                return self.fail(&why);
            }
            self.say_drift();
            return Ok(());
        }
        self.next.state.outcome = Some(Outcome::Completed);
        let reason = format!("the endpoint is on config {}", view.config);
        self.go(
            Event::Finalized,
            said(
                Name::CleaningUp,
                Severity::Detail,
                reason,
                view.config.clone(),
                self.next.terms.final_config.clone(),
            ),
        )
    }
}
