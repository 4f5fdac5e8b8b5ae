//! A policy cut down to what a record can be held against.

use super::record::Survey;
use crate::domain::baseline::Baseline;
use crate::domain::judge::bench::{Bench, Instances};
use crate::domain::plan::Plan;
use crate::domain::policy::{Policy, Test};
use crate::domain::signal::ERRORS;

/// A trace says nothing of instances, so both arms are taken to have as many.
const INSTANCES: Instances = Instances {
    canary: 1,
    production: 1,
};

/// Why a record can't be judged under a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The canary never served.
    #[error(
        "no canary row has n above 0, so there is nothing to judge; is the variant written `canary`?"
    )]
    NoRequests,
    /// The policy knows none of the record's signals.
    #[error("the policy has none of the trace's signals ({0})")]
    NothingKnown(String),
}

/// A policy as far as the record can be held against it, with the record's history.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub(super) policy: Policy,
    pub(super) guards: Policy,
    pub(super) signals: Policy,
    pub(super) baseline: Baseline,
    pub(super) first_request: u64,
    pub(super) counts_requests: bool,
    longest_minutes: u64,
    left_out: Vec<String>,
}

impl Case {
    /// Leaves out what the record has no counts of.
    pub fn new(policy: &Policy, plan: &Plan, survey: &Survey) -> Result<Self, Unfit> {
        let first_request = survey.first_request.ok_or(Unfit::NoRequests)?;
        let mut policy = policy.clone();
        policy
            .signals
            .retain(|rule| survey.signals.contains(&rule.name));
        if policy.signals.is_empty() {
            let names: Vec<&str> = survey.signals.iter().map(String::as_str).collect();
            return Err(Unfit::NothingKnown(names.join(", ")));
        }
        let counts_errors = survey.signals.contains(ERRORS);
        let is_told =
            |test| counts_errors && matches!(test, Test::ErrorsAbove(_) | Test::ErrorsWorseBy(_));
        let untold = policy.all_guards().filter(|guard| !is_told(guard.test));
        let left_out = untold.map(|guard| guard.name.clone()).collect();
        policy.guards.retain(|guard| is_told(guard.test));
        policy.memory = None;
        let guards = Policy {
            signals: Vec::new(),
            ..policy.clone()
        };
        let signals = Policy {
            guards: Vec::new(),
            ..policy.clone()
        };
        Ok(Self {
            policy,
            guards,
            signals,
            baseline: survey.baseline.clone(),
            first_request,
            counts_requests: survey.counts_requests(),
            longest_minutes: (plan.deadline.secs() / 60).max(1),
            left_out,
        })
    }

    /// Guards that the record does not say enough for, by name.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    pub(super) fn bench<'a>(&'a self, policy: &'a Policy) -> Bench<'a> {
        Bench::new(policy, &self.baseline, self.longest_minutes, INSTANCES)
    }
}
