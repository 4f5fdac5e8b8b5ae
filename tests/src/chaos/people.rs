//! What people and pipelines do in a run: requests, orders, and a function of the version before.

use serde_json::json;
use shared::app::accept::Key;
use shared::domain::command::Command;
use shared::domain::deployment::Deployment;
use shared::domain::state::{Phase, Status};
use simulator::Backend;

use super::fault::Fault;
use super::journey::{ALARM, Deed, Strike, broken};
use super::voyage::{MOST_DEPLOYMENTS, PATIENCE, Voyage};
use crate::direct::world::Job;

impl Voyage {
    /// What operators do in the calm: what the rollout asks them for.
    pub(super) fn operate(&mut self, calm: u32) -> Vec<(usize, Strike)> {
        let mut active: Vec<Deployment> = Vec::new();
        self.world.store().visit(|loaded| {
            if !loaded.deployment.state.status.is_terminal() {
                active.push(loaded.deployment.clone());
            }
        });
        for deployment in active {
            let state = &deployment.state;
            let command = match state.phase {
                _ if calm == PATIENCE => Command::Rollback,
                Phase::AwaitingApproval => Command::Approve,
                Phase::Paused => Command::Resume,
                _ if state.drift.is_some() && calm >= 2 => Command::SetWeight(state.weight),
                _ => continue,
            };
            if calm == PATIENCE {
                self.say(format!(
                    "out of patience with {}: {}",
                    state.phase, state.reason
                ));
            }
            self.start(Job::Order(deployment.terms.id.clone(), command));
        }
        Vec::new()
    }

    pub(super) fn act(&mut self, site: usize, deed: Deed) {
        self.say(format!("+ {deed:?}"));
        match deed {
            Deed::Order(command) => {
                if let Some(id) = self.active(site) {
                    self.start(Job::Order(id, command));
                }
            }
            Deed::Alarm => self
                .world
                .simulator()
                .cloudwatch()
                .set_alarm(ALARM, "ALARM"),
            Deed::Undo => self.regrets.push(site),
            Deed::Decline => {
                self.declined = true;
                for site in &self.journey.sites {
                    let account = self.world.simulator();
                    account.set_backend(&site.new, Backend::Distribution(broken()));
                }
            }
        }
    }

    /// Undoes what is completed where somebody wants that.
    pub(super) fn undo(&mut self) {
        for site in std::mem::take(&mut self.regrets) {
            let completed = self.find(site, |deployment| {
                deployment.state.status == Status::Completed && !deployment.terms.is_undo()
            });
            match completed {
                Some(id) if self.active(site).is_none() => {
                    self.start(Job::Undo(id));
                }
                _ => self.regrets.push(site),
            }
        }
    }

    /// A new deployment where the last one is over.
    pub(super) fn post_again(&mut self) {
        for site in 0..self.journey.sites.len() {
            let endpoint = self.journey.sites[site].endpoint.clone();
            let (mut open, mut all) = (false, 0);
            self.world.store().visit(|loaded| {
                if loaded.deployment.terms.endpoint == endpoint {
                    open |= !loaded.deployment.state.status.is_terminal();
                    all += 1;
                }
            });
            if !open && all < MOST_DEPLOYMENTS && self.chance.per_mille(400) {
                self.post(site, None, "again");
            }
        }
    }

    /// The deployment of a site that is not over.
    pub(super) fn active(&self, site: usize) -> Option<String> {
        self.find(site, |deployment| !deployment.state.status.is_terminal())
    }

    /// The deployment of a site that is about to complete.
    pub(super) fn ending(&self, site: usize) -> Option<String> {
        self.find(site, |deployment| {
            let state = &deployment.state;
            state.status == Status::InProgress
                && matches!(
                    state.phase,
                    Phase::Soaking | Phase::Finalizing | Phase::CleaningUp
                )
        })
    }

    fn find(&self, site: usize, fits: impl Fn(&Deployment) -> bool) -> Option<String> {
        let endpoint = &self.journey.sites[site].endpoint;
        let mut found = None;
        self.world.store().visit(|loaded| {
            let deployment = &loaded.deployment;
            if deployment.terms.endpoint == *endpoint && fits(deployment) {
                found = Some(deployment.terms.id.clone());
            }
        });
        found
    }

    /// A request for a deployment; the label makes its body another one's.
    pub(super) fn post(&mut self, site: usize, key: Option<&str>, label: &str) -> u64 {
        let index = site;
        let mut given = self.journey.sites[site].specification.clone();
        let name = if key.is_some() {
            format!("{label}-{index}")
        } else {
            format!("{label}-{index}-{}", self.steps)
        };
        given["notify"] = json!({"topic": format!("arn:aws:sns:eu-central-1:123456789012:{name}")});
        let key = key.map(|key| Key {
            key: format!("chaos#{key}-{index}"),
            digest: shared::wire::digest(given.to_string().as_bytes()),
        });
        self.start(Job::Accept(given, key))
    }

    /// A record as a function of the version before writes it: what that one did not know is gone.
    pub(super) fn write_as_before(&mut self, fault: Fault) -> bool {
        let Some(id) = (0..self.journey.sites.len()).find_map(|site| self.active(site)) else {
            return false;
        };
        let mut loaded = self.world.load(&id);
        let mut state = serde_json::to_value(&loaded.deployment.state).expect("a record is JSON");
        if let Some(members) = state.as_object_mut() {
            let new = [
                "refusal",
                "canary_instances",
                "short",
                "busy",
                "stall_told",
                "in_force",
                "lowered_since",
                "waited_until",
            ];
            for new in new {
                members.remove(new);
            }
        }
        if let Some(floor) = state["floor"].as_object_mut() {
            for new in ["released", "withdrawn"] {
                floor.remove(new);
            }
        }
        state["schema_version"] = json!(1);
        loaded.deployment.state = serde_json::from_value(state).expect("version 1 is read");
        self.world.store().rewrite(loaded);
        self.fired(fault);
        true
    }
}
