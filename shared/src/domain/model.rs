//! A SageMaker model as far as another one is made after it: what it was made of, and what it may reach.
//!
//! A model can't be changed, only made. So one that is there under the name that a new one is to have is
//! either the same in all of this, or another model.

use std::collections::BTreeSet;
use std::fmt;

use super::registry::PackageArn;

/// A model as `DescribeModel` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelView {
    /// The package that it was made of, as its one container names it.
    pub package: Option<String>,
    /// The ARN of the role that SageMaker takes on for it.
    pub execution_role: Option<String>,
    /// The network that its containers are in (`VpcConfig`), where it is one of the account's own.
    pub network: Option<Network>,
    /// Whether its containers reach nobody (`EnableNetworkIsolation`).
    pub is_isolated: bool,
}

/// `VpcConfig`: sets, whatever the order in which they are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// `SecurityGroupIds`.
    pub security_groups: BTreeSet<String>,
    /// `Subnets`.
    pub subnets: BTreeSet<String>,
}

/// Why a model that is there is not the one that would be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlike {
    /// It was made of another version, or of none, or of more than that.
    OfAnother,
    /// It was made of the version, and has these otherwise.
    Otherwise(Vec<&'static str>),
}

impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfAnother => f.pad("was not made of it"),
            Self::Otherwise(differences) => {
                let differences = differences.join(", another ");
                write!(
                    f,
                    "was made of it with another {differences} than the model in production has"
                )
            }
        }
    }
}

impl ModelView {
    /// Why it is not the model that would be made of this version beside this one of production's; `None` where
    /// it is.
    pub fn unlike(&self, package: &PackageArn, production: &Self) -> Option<Unlike> {
        let is_its = self.package.as_ref().is_some_and(|of| package.is_same(of));
        if !is_its {
            return Some(Unlike::OfAnother);
        }
        let differences = self.differences_from(production);
        (!differences.is_empty()).then_some(Unlike::Otherwise(differences))
    }

    /// In what it may reach less, more or else than the other one, in words; empty where they are alike.
    pub fn differences_from(&self, other: &Self) -> Vec<&'static str> {
        let rows = [
            (
                self.execution_role == other.execution_role,
                "execution role",
            ),
            (self.network == other.network, "network (VpcConfig)"),
            (
                self.is_isolated == other.is_isolated,
                "isolation (EnableNetworkIsolation)",
            ),
        ];
        let unlike = rows.into_iter().filter(|(is_alike, _)| !is_alike);
        unlike.map(|(_, what)| what).collect()
    }

    /// One text for all models that are alike, and another one for every other: role, isolation, security
    /// groups and subnets, a line each. No id of a group or of a subnet has a comma in it.
    pub fn likeness(&self) -> String {
        let role = self.execution_role.as_deref().unwrap_or_default();
        let listed = |ids: Option<&BTreeSet<String>>| {
            let ids = ids.into_iter().flatten().map(String::as_str);
            ids.collect::<Vec<_>>().join(",")
        };
        let network = self.network.as_ref();
        let groups = listed(network.map(|it| &it.security_groups));
        let subnets = listed(network.map(|it| &it.subnets));
        format!("{role}\n{}\n{groups}\n{subnets}", self.is_isolated)
    }
}
