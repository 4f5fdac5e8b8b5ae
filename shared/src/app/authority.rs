//! Whether a request is admitted: the rules of [`domain::authority`](crate::domain::authority) over
//! what the endpoint's tags say at this moment.

use std::collections::HashMap;
use std::time::Duration;

use super::health::{self, About};
use super::ports::{Access, Ambient, Class, Meter, PortError};
use crate::domain::authority::{Action, Caller, Denial, Outside, Seen, in_force};
use crate::domain::deployment::{Deployment, Terms};

/// How long a request that can go on without the tags waits for them: an outage of SageMaker must
/// not hold up a rollback.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// The most endpoints whose tags are looked up for one page of a list.
const LOOKS: usize = 50;

/// Why a request is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inadmissible {
    /// The caller may not.
    #[error("{0}")]
    Denied(Denial),
    /// The stack may not touch the endpoint, and this would.
    #[error("{}", .0.detail)]
    Outside(Outside),
    /// Nobody's rights are known at the moment, and this must not be done on a guess.
    #[error("the endpoint's tags can't be read")]
    Unread(#[source] PortError),
}

/// Whether the caller may do this to the endpoint, or to this deployment of it.
pub async fn admit<P: Access + Ambient + Meter>(
    ports: &P,
    caller: &Caller,
    action: Action,
    endpoint: &str,
    deployment: Option<&Deployment>,
) -> Result<(), Inadmissible> {
    if *caller == Caller::Local {
        return Ok(());
    }
    let terms = deployment.map(|deployment| &deployment.terms);
    let about = About {
        deployment_id: terms.map(|terms| terms.id.as_str()),
        endpoint: Some(endpoint),
    };
    let (seen, unseen) = look(ports, action, endpoint, about.deployment_id).await;
    let kept = terms.and_then(|terms| terms.grants.as_ref());
    let Some(grants) = in_force(action, &seen, kept, &ports.settings().defaults) else {
        let unknown = || PortError::new(Class::Retryable, "tags", "not read");
        return Err(unseen.unwrap_or_else(|| Inadmissible::Unread(unknown())));
    };
    let requester = terms.map(|terms| requester(terms, caller));
    let permitted = action.permit(caller, &grants, requester);
    permitted.map_err(|denial| {
        health::forbidden(ports, &denial.caller, &action.to_string(), about);
        Inadmissible::Denied(denial)
    })
}

/// One look at an endpoint's tags, and why there are none; a failed one is reported. Of an endpoint that
/// the stack may not touch none are asked for: whoever names one would have IAM's refusal page people.
async fn look<P: Access + Ambient + Meter>(
    ports: &P,
    action: Action,
    endpoint: &str,
    deployment_id: Option<&str>,
) -> (Seen, Option<Inadmissible>) {
    if let Some(outside) = ports.settings().outside_endpoint(endpoint) {
        return (Seen::Outside, Some(Inadmissible::Outside(outside)));
    }
    let read = if action.rule().outlives_tags {
        let late = || PortError::new(Class::Retryable, "tags", "no answer in time");
        let within = ports.within(LOOK_LIMIT, ports.tags(endpoint)).await;
        within.unwrap_or_else(|| Err(late()))
    } else {
        ports.tags(endpoint).await
    };
    match read {
        Ok(Some(tags)) => (Seen::Tags(tags), None),
        Ok(None) => (Seen::Gone, None),
        Err(error) => {
            health::report(ports, deployment_id, &error);
            (Seen::Unread, Some(Inadmissible::Unread(error)))
        }
    }
}

/// Who asked for the deployment, by the name that the caller would have. Records without grants
/// are of before users were told from roles: there the bare name counts.
fn requester<'a>(terms: &'a Terms, caller: &'a Caller) -> &'a str {
    let bare = caller.name().rsplit('/').next();
    if terms.grants.is_none() && bare == Some(&terms.created_by) {
        caller.name()
    } else {
        &terms.created_by
    }
}

/// Tells, for one page of a list, what the caller may read. Each endpoint's tags are looked up once,
/// and not many endpoints'; after a failed look none is tried again, because it would fail as slowly.
pub struct Reader<'a, P> {
    ports: &'a P,
    caller: &'a Caller,
    seen: HashMap<String, Seen>,
    is_blind: bool,
}

impl<'a, P: Access + Ambient + Meter> Reader<'a, P> {
    /// For this caller.
    pub fn new(ports: &'a P, caller: &'a Caller) -> Self {
        Self {
            ports,
            caller,
            seen: HashMap::new(),
            is_blind: false,
        }
    }

    /// Whether the caller may read this one; `None` where the page has to end before it.
    pub async fn may_read(&mut self, deployment: &Deployment) -> Option<bool> {
        if *self.caller == Caller::Local {
            return Some(true);
        }
        let terms = &deployment.terms;
        let ports = self.ports;
        let seen = self.seen(&terms.endpoint).await?;
        let defaults = &ports.settings().defaults;
        let grants = in_force(Action::List, seen, terms.grants.as_ref(), defaults)?;
        Some(Action::List.permit(self.caller, &grants, None).is_ok())
    }

    async fn seen(&mut self, endpoint: &str) -> Option<&Seen> {
        if !self.seen.contains_key(endpoint) {
            if self.seen.len() >= LOOKS {
                return None;
            }
            let seen = if self.is_blind {
                Seen::Unread
            } else {
                look(self.ports, Action::List, endpoint, None).await.0
            };
            self.is_blind |= seen == Seen::Unread;
            self.seen.insert(endpoint.to_owned(), seen);
        }
        self.seen.get(endpoint)
    }
}
