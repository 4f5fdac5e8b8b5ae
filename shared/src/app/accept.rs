//! A new deployment, written once for one request. Nothing in SageMaker is changed here: the record is the
//! intent, and `deploy` as provision carries it out.

use std::time::Duration;

use super::gate;
use super::health;
use super::ports::{Class, Creation, IdempotencyClaim, Loaded, PortError, Ports, Refused};
use super::propose::{Proposal, or_locked, propose, unfrozen, unlocked};
use super::refusal::Refusal;
use crate::domain::deployment::Deployment;
use crate::domain::due::Actor;
use crate::domain::evidence::Evidence;
use crate::domain::history::{Entry, Name, Severity};
use crate::domain::judge::floor_minute;
use crate::domain::replay::Recorded;
use crate::domain::specification::Specification;

/// How often a creation that met another writer is tried.
const CREATIONS: usize = 4;
/// The wait before the next try.
const BETWEEN_CREATIONS: Duration = Duration::from_millis(50);

/// An accepted deployment.
#[derive(Debug)]
pub struct Accepted {
    /// The record.
    pub loaded: Loaded,
    /// Whether the same key had made it before.
    pub repeated: bool,
}

/// The key of a request, and its digest.
#[derive(Debug, Clone)]
pub struct Key {
    /// The caller's role and the key given.
    pub key: String,
    /// SHA-256 of the request in hexadecimal.
    pub digest: String,
}

/// Checks and writes a new deployment.
pub async fn accept<P: Ports>(
    ports: &P,
    specification: &Specification,
    given: &serde_json::Value,
    caller: &str,
    key: Option<Key>,
) -> Result<Accepted, Refusal> {
    if let Some(accepted) = answered_before(ports, key.as_ref()).await? {
        return Ok(accepted);
    }
    let made = accept_new(ports, specification, given, caller, key.as_ref()).await;
    match or_answered(ports, key.as_ref(), made).await {
        Err(Refusal::Port(error)) => {
            health::report(ports, None, &error);
            Err(error.into())
        }
        other => other,
    }
}

async fn accept_new<P: Ports>(
    ports: &P,
    specification: &Specification,
    given: &serde_json::Value,
    caller: &str,
    key: Option<&Key>,
) -> Result<Accepted, Refusal> {
    unlocked(ports, &specification.endpoint).await?;
    let proposed = propose(ports, specification, caller).await;
    let proposed = or_locked(ports, &specification.endpoint, proposed).await;
    if let Err(Refusal::Rejected { sentence, .. }) = &proposed {
        // A refusal that could not be kept is none yet: the caller asks again.
        gate::announce(ports, specification, sentence, caller, key).await?;
    }
    accept_proposed(ports, proposed?, given, None, key).await
}

/// Writes a deployment that was proposed, with production's minutes before it, and under the key that
/// it was asked for with.
pub(super) async fn accept_proposed<P: Ports>(
    ports: &P,
    proposal: Proposal,
    given: &serde_json::Value,
    why: Option<&str>,
    key: Option<&Key>,
) -> Result<Accepted, Refusal> {
    let Proposal {
        deployment, past, ..
    } = proposal;
    let claim = key.map(|key| IdempotencyClaim {
        key: key.key.clone(),
        digest: key.digest.clone(),
        deployment_id: deployment.terms.id.clone(),
    });
    let loaded = create(ports, deployment, &past, given, why, claim.as_ref()).await?;
    Ok(woken(ports, loaded).await)
}

/// What was made, or what the same request has made: it may have won the race for the lock a moment
/// ago.
pub(super) async fn or_answered<P: Ports>(
    ports: &P,
    key: Option<&Key>,
    made: Result<Accepted, Refusal>,
) -> Result<Accepted, Refusal> {
    match made {
        Err(refusal @ (Refusal::Locked { .. } | Refusal::KeyInProgress)) => {
            answered_before(ports, key).await?.ok_or(refusal)
        }
        other => other,
    }
}

async fn woken<P: Ports>(ports: &P, loaded: Loaded) -> Accepted {
    let (id, version) = (&loaded.deployment.terms.id, loaded.deployment.state.version);
    if let Err(error) = ports.wake(Actor::Provision, id, version).await {
        // The next tick wakes it again.
        health::report(ports, Some(id), &error);
    }
    Accepted {
        loaded,
        repeated: false,
    }
}

/// The answer that the key had in the last 24 h, if it was used.
pub(super) async fn answered_before<P: Ports>(
    ports: &P,
    key: Option<&Key>,
) -> Result<Option<Accepted>, Refusal> {
    let Some(key) = key else { return Ok(None) };
    let Some(claim) = ports.idempotency(&key.key).await? else {
        return Ok(None);
    };
    if claim.digest != key.digest {
        return Err(Refusal::KeyReused);
    }
    let loaded = ports.load(&claim.deployment_id).await?;
    let loaded = loaded.ok_or_else(|| {
        PortError::new(
            Class::Bug,
            "load",
            "a key names a deployment that is not there",
        )
    })?;
    Ok(Some(Accepted {
        loaded,
        repeated: true,
    }))
}

async fn create<P: Ports>(
    ports: &P,
    mut deployment: Deployment,
    past: &[Recorded],
    given: &serde_json::Value,
    why: Option<&str>,
    claim: Option<&IdempotencyClaim>,
) -> Result<Loaded, Refusal> {
    let entry = first_entry(&mut deployment, why);
    let evidence = Evidence::starting_after(floor_minute(deployment.terms.created_at));
    let loaded = Loaded {
        deployment,
        evidence,
    };
    let terms = &loaded.deployment.terms;
    let mut tries = 0;
    loop {
        tries += 1;
        // Once more, and the write is conditional on it: the checks since the first look take a while.
        let freezes = match terms.clearance.hotfix {
            Some(_) => None,
            None => Some(unfrozen(ports, &terms.endpoint).await?),
        };
        let creation = Creation {
            loaded: &loaded,
            specification: given,
            past,
            entry: &entry,
            idempotency: claim,
            freezes: freezes.as_ref(),
        };
        let error = match ports.create(creation).await {
            Ok(()) => return Ok(loaded),
            Err(Refused::Locked { by }) => {
                let endpoint = terms.endpoint.clone();
                return Err(Refusal::Locked { endpoint, by });
            }
            Err(Refused::KeyTaken) => return Err(Refusal::KeyInProgress),
            Err(Refused::FreezeTurned) => {
                let why = "the freeze switch was turned meanwhile";
                PortError::new(Class::Conflict, "create", why)
            }
            Err(Refused::Port(error)) => error,
        };
        // Others who begin a deployment look at the stack's switch in the same moment.
        if error.class != Class::Conflict || tries == CREATIONS {
            return Err(error.into());
        }
        ports.pause(BETWEEN_CREATIONS).await;
    }
}

fn first_entry(deployment: &mut Deployment, why: Option<&str>) -> Entry {
    let (terms, state) = (&deployment.terms, &mut deployment.state);
    let undoes = terms.undoes.as_ref();
    let undoes = undoes.map_or_else(String::new, |id| format!(", to undo deployment {id}"));
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    let mut reason = format!(
        "{} is to replace {} on {}{undoes}{why}",
        terms.model, terms.former_model, terms.endpoint
    );
    state.reason.clone_from(&reason);
    if let Some(clearance) = terms.clearance.sentence() {
        reason = format!("{reason}; {clearance}");
    }
    if terms.brings_the_same_model() {
        reason = format!("{reason}; production runs this model already");
    }
    if let Some(changed_at) = terms.baseline.changed_at {
        reason = format!(
            "{reason}; the endpoint was last changed at {changed_at}, and production's figures from before that may be of another config"
        );
    }
    state.last_seq = 1;
    Entry {
        seq: 1,
        at: terms.created_at,
        event: Name::Started,
        severity: Severity::Info,
        reason,
        value: format!(
            "{} stages, {} to 100 %",
            terms.plan.stages.len(),
            terms.plan.shortest()
        ),
        limit: format!("deadline {}", terms.plan.deadline),
        status: state.status,
        phase: state.phase,
        weight: state.target,
        confirmed_weight: Some(state.weight),
        by: Some(terms.created_by.clone()),
        signal: None,
        signal_severity: None,
    }
}
