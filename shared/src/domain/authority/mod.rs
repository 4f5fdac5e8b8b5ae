//! Who may do what: nobody anything, unless it is said.
//!
//! IAM has said who calls ([`Caller`]). What the caller may do is said per endpoint, by the
//! endpoint's own tags ([`Grants`]), so that whoever owns an endpoint decides about it without a
//! change of the stack; the stack's defaults stand where an endpoint says nothing. [`Action::rule`]
//! is the only table of what each route asks for; the functions hold every request against it, and
//! a route that is not in it admits nobody.
//!
//! What takes risk away (a pause, a rollback) must not depend on whether the tags can be read at
//! the moment: there, and for reads, the grants that were in force when the deployment was accepted
//! decide ([`in_force`]). Nor on whether the tags are still what they were: whoever could order a
//! pause or a rollback at acceptance can, even where an apply has since removed the tag.
//!
//! | module | holds |
//! |---|---|
//! | `caller` | an IAM principal, and the name that grants call it by |
//! | `grants` | roles, the tags that give them, the opt-in of an endpoint |
//! | `limits` | which endpoints, models and topics the stack may be asked for |

mod caller;
mod grants;
mod limits;

use std::fmt;

pub use caller::Caller;
pub use grants::{ENABLED_TAG, Grants, Names, Role, Tags, is_enabled};
pub use limits::{Home, Outside, Patterns, Settings};

use Role::{Approver, Deployer, Invoker};

/// What a caller asks for: one for each route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Whether the API answers.
    Health,
    /// How the API is described.
    Describe,
    /// A new deployment.
    Deploy,
    /// What a deployment would do.
    Plan,
    /// The deployments that the caller may read.
    List,
    /// One deployment.
    Get,
    /// Its history.
    History,
    /// Its evidence, minute by minute.
    Checks,
    /// What was deployed, what happened, what was seen.
    Report,
    /// What is to be approved, as a page.
    Review,
    /// No raises for now.
    Pause,
    /// Raises again.
    Resume,
    /// The rest of the bake is skipped.
    Promote,
    /// The share is set by hand.
    SetWeight,
    /// Production takes everything back.
    Rollback,
    /// The same, and the deployment was not wanted.
    Cancel,
    /// A person lets the rollout leave its stage.
    Approve,
    /// The former model comes back after a completion.
    Undo,
    /// Whether an endpoint is frozen.
    SeeFreeze,
    /// Nothing is raised on it.
    Freeze,
    /// Raises again.
    Thaw,
    /// A prediction.
    Infer,
    /// Labels of predictions.
    Feedback,
    /// Where a user's requests go.
    Route,
}

/// Whom a route admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Any of these roles on the endpoint; `None` admits whoever IAM has let in.
    pub roles: Option<&'static [Role]>,
    /// Whether whoever asked for the deployment is shut out.
    pub never_requester: bool,
    /// Whether it goes on while the tags can't be read, by the grants that the record keeps: a read,
    /// or what only ever makes things safer.
    pub outlives_tags: bool,
}

/// Those who may look.
const READERS: &[Role] = &[Deployer, Approver];

impl Action {
    /// Every action, in the order of the documents.
    pub const ALL: [Self; 24] = [
        Self::Deploy,
        Self::Plan,
        Self::Undo,
        Self::List,
        Self::Get,
        Self::History,
        Self::Checks,
        Self::Report,
        Self::Review,
        Self::Promote,
        Self::SetWeight,
        Self::Resume,
        Self::Cancel,
        Self::Approve,
        Self::Pause,
        Self::Rollback,
        Self::SeeFreeze,
        Self::Freeze,
        Self::Thaw,
        Self::Infer,
        Self::Feedback,
        Self::Route,
        Self::Health,
        Self::Describe,
    ];

    /// What it takes: the table.
    pub const fn rule(self) -> Rule {
        let (roles, never_requester, outlives_tags) = match self {
            Self::Health | Self::Describe => (None, false, true),
            Self::Deploy
            | Self::Plan
            | Self::Undo
            | Self::Promote
            | Self::SetWeight
            | Self::Resume
            | Self::Cancel => (Some(&[Deployer] as &[Role]), false, false),
            Self::Approve => (Some(&[Approver] as &[Role]), true, false),
            Self::Thaw => (Some(&[Approver] as &[Role]), false, false),
            Self::List
            | Self::Get
            | Self::History
            | Self::Checks
            | Self::Report
            | Self::Review
            | Self::Pause
            | Self::Rollback
            | Self::SeeFreeze
            | Self::Freeze => (Some(READERS), false, true),
            Self::Infer | Self::Feedback | Self::Route => {
                (Some(&[Invoker] as &[Role]), false, false)
            }
        };
        Rule {
            roles,
            never_requester,
            outlives_tags,
        }
    }

    /// Whether it can only take risk away.
    pub const fn lowers_risk(self) -> bool {
        matches!(self, Self::Pause | Self::Rollback)
    }

    /// The method and the path; `{id}` and `{name}` stand for one segment.
    pub const fn route(self) -> (&'static str, &'static str) {
        match self {
            Self::Health => ("GET", "/health"),
            Self::Describe => ("GET", "/openapi.json"),
            Self::Deploy => ("POST", "/deploy"),
            Self::Plan => ("POST", "/plan"),
            Self::List => ("GET", "/deployments"),
            Self::Get => ("GET", "/deployments/{id}"),
            Self::History => ("GET", "/deployments/{id}/history"),
            Self::Checks => ("GET", "/deployments/{id}/checks"),
            Self::Report => ("GET", "/deployments/{id}/report"),
            Self::Review => ("GET", "/deployments/{id}/approve"),
            Self::Pause => ("POST", "/deployments/{id}/pause"),
            Self::Resume => ("POST", "/deployments/{id}/resume"),
            Self::Promote => ("POST", "/deployments/{id}/promote"),
            Self::SetWeight => ("PUT", "/deployments/{id}/weight"),
            Self::Rollback => ("POST", "/deployments/{id}/rollback"),
            Self::Cancel => ("POST", "/deployments/{id}/cancel"),
            Self::Approve => ("POST", "/deployments/{id}/approve"),
            Self::Undo => ("POST", "/deployments/{id}/undo"),
            Self::SeeFreeze => ("GET", "/endpoints/{name}/freeze"),
            Self::Freeze => ("PUT", "/endpoints/{name}/freeze"),
            Self::Thaw => ("DELETE", "/endpoints/{name}/freeze"),
            Self::Infer => ("POST", "/inference"),
            Self::Feedback => ("POST", "/feedback"),
            Self::Route => ("GET", "/route"),
        }
    }

    /// The action of a request; `None` for a route that is not in the table. HEAD is a GET without
    /// its body.
    pub fn of(method: &str, path: &str) -> Option<Self> {
        let method = if method == "HEAD" { "GET" } else { method };
        Self::ALL.into_iter().find(|action| {
            let (own, pattern) = action.route();
            let mut segments = path.split('/');
            own == method
                && pattern.split('/').all(|wanted| {
                    segments.next().is_some_and(|segment| {
                        segment == wanted || wanted.starts_with('{') && !segment.is_empty()
                    })
                })
                && segments.next().is_none()
        })
    }

    /// Whether these grants admit the caller. `requester` is who asked for the deployment.
    pub fn permit(
        self,
        caller: &Caller,
        grants: &Grants,
        requester: Option<&str>,
    ) -> Result<(), Denial> {
        let Caller::Named(name) = caller else {
            return Ok(());
        };
        let rule = self.rule();
        let denied = |why| Denial {
            action: self,
            caller: name.clone(),
            why,
        };
        if let Some(roles) = rule.roles
            && !roles.iter().any(|role| grants.names(*role).hold(name))
        {
            return Err(denied(Why::NoRole(roles)));
        }
        if rule.never_requester && requester == Some(name) {
            return Err(denied(Why::OwnRequest));
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, path) = self.route();
        write!(f, "{method} {path}")
    }
}

/// What one look at an endpoint's tags brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// They were read.
    Tags(Tags),
    /// There is no such endpoint.
    Gone,
    /// The endpoint is none that the stack may touch (`EndpointNames`), and was not asked about.
    Outside,
    /// They can't be read at the moment.
    Unread,
}

/// The grants to decide an action by; `None` where it must wait until the tags can be read, and of
/// an endpoint that the stack may not touch for good.
/// `kept` is what was in force when the deployment was accepted; records of before that was kept
/// have none, and the stack's defaults stand for it. What lowers risk is open to those of the tags
/// and to those kept; for everything else tags that can be read override what was kept.
pub fn in_force(
    action: Action,
    seen: &Seen,
    kept: Option<&Grants>,
    defaults: &Grants,
) -> Option<Grants> {
    match seen {
        Seen::Tags(tags) => {
            let now = Grants::of(tags, defaults);
            Some(match kept.filter(|_| action.lowers_risk()) {
                Some(kept) => now.and(kept),
                None => now,
            })
        }
        Seen::Outside | Seen::Unread if !action.rule().outlives_tags => None,
        Seen::Gone | Seen::Outside | Seen::Unread => Some(kept.unwrap_or(defaults).clone()),
    }
}

/// A request that is not admitted, with what would admit it and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What was asked for.
    pub action: Action,
    /// Who asked, by the name that grants call it.
    pub caller: String,
    /// Why not.
    pub why: Why,
}

/// Why a request is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The caller has none of these roles on the endpoint.
    NoRole(&'static [Role]),
    /// The caller asked for the deployment.
    OwnRequest,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            action,
            caller,
            why,
        } = self;
        match why {
            Why::OwnRequest => write!(
                f,
                "{caller} asked for this deployment, so somebody else of {} has to approve it",
                Approver.tag()
            ),
            Why::NoRole(roles) => {
                let either = |name: fn(Role) -> &'static str| {
                    let names: Vec<&str> = roles.iter().map(|role| name(*role)).collect();
                    names.join(" or ")
                };
                write!(
                    f,
                    "{action} is not open to {caller}: the endpoint's tag {} has to name it, or, where the endpoint has no such tag, the stack's parameter {}",
                    either(Role::tag),
                    either(Role::parameter)
                )
            }
        }
    }
}

/// The table as the documents print it.
pub fn table() -> String {
    let mut text = String::from(
        "| route | deployers | approvers | invokers | anyone else | while the tags can't be read |\n|---|---|---|---|---|---|\n",
    );
    for action in Action::ALL {
        let rule = action.rule();
        let cell = |role| match rule.roles {
            Some(roles) if !roles.contains(&role) => "no",
            Some(_) if rule.never_requester => "yes, but for the requester",
            Some(_) if action == Action::List => "theirs",
            None | Some(_) => "yes",
        };
        let else_cell = match rule.roles {
            None => "yes",
            Some(_) if action == Action::List => "an empty list",
            Some(_) => "no",
        };
        let outage = match (action, rule.outlives_tags) {
            (Action::Health | Action::Describe, _) => "goes on",
            (Action::SeeFreeze | Action::Freeze, _) => "goes on by the stack's defaults",
            (Action::Infer | Action::Feedback | Action::Route, _) => {
                "goes on by the grants read last; 503 where none were"
            }
            (_, true) => "goes on by the grants kept in the record",
            (_, false) => "503",
        };
        let cells = [
            format!("`{action}`"),
            cell(Deployer).to_owned(),
            cell(Approver).to_owned(),
            cell(Invoker).to_owned(),
            else_cell.to_owned(),
            outage.to_owned(),
        ];
        text.push_str("| ");
        text.push_str(&cells.join(" | "));
        text.push_str(" |\n");
    }
    text
}
