//! What a caller asks for, once it makes sense in itself. Whether the endpoint can take it is
//! checked against AWS, in `app::accept`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clearance::Attestation;
use super::deployment::{CanaryCapacity, Cleanup};
use super::gate::Gate;
use super::history::Topics;
use super::model_signals::Readings;
use super::plan::{Plan, Preset};
use super::policy::{Policy, Test};
use super::quantity::Span;
use super::registry::{PackageArn, Packages};
use super::retreat::Rollback;
use super::routing::Sticky;

/// A specification that makes sense in itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Specification {
    /// The endpoint whose model is to be replaced.
    pub endpoint: String,
    /// The completed deployment that this one brings the former model back from: what was asked for
    /// before a model's first traffic is not asked for again.
    pub undoes: Option<String>,
    /// The new model; where it is to be made of a package, the name that it then has.
    pub model: String,
    /// The versions of model packages that it is about, as far as that is known.
    pub packages: Packages,
    /// The canary's instances.
    pub capacity: CanaryCapacity,
    /// Stages, soak, deadline.
    pub plan: Plan,
    /// The preset that it was made of, where one was named.
    pub preset: Option<Preset>,
    /// What the canary is held against.
    pub policy: Policy,
    /// How users are told apart.
    pub routing: Option<Sticky>,
    /// How predictions are read off the model's answers.
    pub readings: Option<Readings>,
    /// Dollars for an hour of an instance, by its type.
    pub prices: BTreeMap<String, f64>,
    /// What is left behind, and when it goes.
    pub cleanup: Cleanup,
    /// How it goes back.
    pub rollback: Rollback,
    /// How long the new model is watched after a completion.
    pub watch: Span,
    /// The topics that are told beside the stack's.
    pub topics: Topics,
    /// What the model must have shown before it may have traffic.
    pub gate: Option<Gate>,
    /// What somebody vouches for.
    pub preconditions: Vec<Attestation>,
    /// Why it waits for no freeze and no change window, where it does not.
    pub hotfix: Option<String>,
}

impl Specification {
    /// What is left out of it that belongs to what it asks for, one plain sentence each.
    pub fn advice(&self) -> Vec<String> {
        let policy = &self.policy;
        let is_of_cost = |test: Test| matches!(test, Test::CostRatio(_));
        let has_cost = policy.guards.iter().any(|guard| is_of_cost(guard.test));
        let lacking = [
            ("fairness, like `fairness: {}`", policy.fairness.is_some()),
            ("cost, like `cost: {}`", has_cost),
        ];
        let lacking = lacking.into_iter().filter(|(_, is_there)| !is_there);
        let lacking: Vec<&str> = lacking.map(|(what, _)| what).collect();
        let is_asked = self.preset == Some(Preset::Playbook) && self.readings.is_some();
        if !is_asked || lacking.is_empty() {
            return Vec::new();
        }
        vec![format!(
            "the preset playbook is meant with limits of fairness and cost, and model_signals would tell of them; policy lacks {}",
            lacking.join(", and ")
        )]
    }

    /// The version that the new model is to be made of.
    pub fn package_to_make(&self) -> Option<&PackageArn> {
        self.packages.to_make(self.undoes.as_deref())
    }

    /// The field that names the new model.
    pub fn model_field(&self) -> &'static str {
        match self.package_to_make() {
            Some(_) => "model_package",
            None => "model",
        }
    }
}

/// Whether SageMaker takes this as a name of an endpoint, config, variant or model: 1 to 63
/// letters, digits and single inner hyphens (pattern of the service model).
pub fn is_name(text: &str) -> bool {
    let alphanumeric = |edge: Option<char>| edge.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && alphanumeric(text.chars().next())
        && alphanumeric(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}
