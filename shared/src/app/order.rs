//! An operator's command: read, apply, commit, and wake the function that acts on it.

use super::freeze;
use super::health;
use super::observe::{self, SHORT_LOOK};
use super::ports::{Class, Commit, Loaded, PortError, Ports};
use crate::domain::command::{Command, IllegalCommand, apply};
use crate::domain::decide::effect_after;
use crate::domain::freeze::Freeze;

/// Why a command was not followed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is no such deployment.
    #[error("there is no deployment {0}")]
    Unknown(String),
    /// The state forbids it.
    #[error(transparent)]
    Illegal(#[from] IllegalCommand),
    /// Nothing is raised at the moment.
    #[error("no raise while endpoint {endpoint} is {freeze}")]
    Frozen {
        /// The endpoint.
        endpoint: String,
        /// By whom, until when and why.
        freeze: Box<Freeze>,
    },
    /// The record could not be read or written.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Follows the command. A conflict with the control loop is read again and tried again.
pub async fn order<P: Ports>(
    ports: &P,
    id: &str,
    command: Command,
    by: &str,
    why: Option<&str>,
) -> Result<Loaded, OrderError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match once(ports, id, command, by, why).await {
            Err(OrderError::Port(error)) if error.class == Class::Conflict && tries < 5 => {}
            Err(OrderError::Port(error)) => {
                health::report(ports, Some(id), &error);
                return Err(error.into());
            }
            other => return other,
        }
    }
}

async fn once<P: Ports>(
    ports: &P,
    id: &str,
    command: Command,
    by: &str,
    why: Option<&str>,
) -> Result<Loaded, OrderError> {
    let Some(before) = ports.load(id).await? else {
        return Err(OrderError::Unknown(id.to_owned()));
    };
    let terms = &before.deployment.terms;
    if command.raises(&before.deployment)
        && terms.clearance.hotfix.is_none()
        && let Some(freeze) = freeze::standing(ports, &terms.endpoint).await?
    {
        let endpoint = terms.endpoint.clone();
        let freeze = Box::new(freeze);
        return Err(OrderError::Frozen { endpoint, freeze });
    }
    let decision = apply(
        &before.deployment,
        &before.evidence,
        command,
        by,
        why,
        ports.now(),
    )?;
    let commit = Commit {
        before: &before,
        next: &decision.next,
        evidence: &decision.evidence,
        minutes: &[],
        entries: &decision.entries,
    };
    let written = ports.commit(commit).await?;
    // What takes risk away is due unseen, and anything else at the next tick: neither the caller nor a
    // rollback's first call waits for a look that hangs.
    let terms = &written.deployment.terms;
    let endpoint = observe::endpoint_within(ports, terms, SHORT_LOOK).await;
    if let Some(effect) = effect_after(&decision, &endpoint, ports.now())
        && let Err(error) = ports
            .wake(effect.actor(), id, written.deployment.state.version)
            .await
    {
        // The next tick wakes it again.
        health::report(ports, Some(id), &error);
    }
    Ok(written)
}
