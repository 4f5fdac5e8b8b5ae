//! Roles, and who has them.
//!
//! A tag of an endpoint names the callers, separated by spaces: values of tags take letters, digits,
//! spaces and `_ . : / = + - @`, so a comma can't separate, and a role with one in its name can be
//! named only by the stack's parameter. There are no wildcards: a name is one principal.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The tags of an endpoint.
pub type Tags = BTreeMap<String, String>;

/// The tag by which an endpoint takes deployments at all; the stack's permissions to change an
/// endpoint ask for it too.
pub const ENABLED_TAG: &str = "canary:enabled";

/// Whether the endpoint takes deployments.
pub fn is_enabled(tags: &Tags) -> bool {
    tags.get(ENABLED_TAG).is_some_and(|value| value == "true")
}

/// What somebody is to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Makes deployments and drives them.
    Deployer,
    /// Lets those of others pass.
    Approver,
    /// Asks the model.
    Invoker,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Deployer, Self::Approver, Self::Invoker];

    /// The endpoint's tag that names who has it.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Deployer => "canary:deployers",
            Self::Approver => "canary:approvers",
            Self::Invoker => "canary:invokers",
        }
    }

    /// The stack's parameter that stands for an absent tag.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Deployer => "DefaultDeployers",
            Self::Approver => "DefaultApprovers",
            Self::Invoker => "DefaultInvokers",
        }
    }
}

/// Names of callers, separated by spaces when written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// The names of a tag's or a parameter's value; an empty one names nobody.
    pub fn parse(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Whether this caller is named, letter by letter.
    pub fn hold(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Every name, in the order of the alphabet.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The names of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }
}

/// Who has which role on an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grants {
    /// See [`Role::Deployer`].
    #[serde(default)]
    pub deployers: Names,
    /// See [`Role::Approver`].
    #[serde(default)]
    pub approvers: Names,
    /// See [`Role::Invoker`].
    #[serde(default)]
    pub invokers: Names,
}

impl Grants {
    /// What an endpoint's tags say. An absent tag leaves it to the defaults; an empty one shuts
    /// everybody out.
    pub fn of(tags: &Tags, defaults: &Self) -> Self {
        let names = |role: Role| match tags.get(role.tag()) {
            Some(value) => Names::parse(value),
            None => defaults.names(role).clone(),
        };
        Self {
            deployers: names(Role::Deployer),
            approvers: names(Role::Approver),
            invokers: names(Role::Invoker),
        }
    }

    /// Whoever has a role by either.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            deployers: self.deployers.and(&other.deployers),
            approvers: self.approvers.and(&other.approvers),
            invokers: self.invokers.and(&other.invokers),
        }
    }

    /// Who has this role.
    pub fn names(&self, role: Role) -> &Names {
        match role {
            Role::Deployer => &self.deployers,
            Role::Approver => &self.approvers,
            Role::Invoker => &self.invokers,
        }
    }
}
