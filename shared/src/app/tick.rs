//! One pass of the control loop over every active deployment. A deployment whose record, endpoint
//! or metrics break never keeps the others from being judged: each has its own result.

use serde::Serialize;

use super::observe;
use super::ports::{Class, Commit, Loaded, PortError, Ports};
use crate::domain::decide::{effect_after, settle};
use crate::domain::observation::Observation;

/// What a tick did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ticked {
    /// Deployments that are not over.
    pub active: usize,
    /// Records written.
    pub committed: usize,
    /// Effects that other functions were woken for.
    pub woken: usize,
    /// Passes that another worker was faster at.
    pub conflicts: usize,
    /// Deployments whose pass failed, with the reason.
    pub failed: Vec<(String, String)>,
}

/// Judges every active deployment once.
pub async fn tick<P: Ports>(ports: &P) -> Result<Ticked, PortError> {
    let now = ports.now();
    let ids = ports.active().await?;
    let mut ticked = Ticked {
        active: ids.len(),
        ..Ticked::default()
    };
    let mut loaded = Vec::with_capacity(ids.len());
    for id in ids {
        match ports.load(&id).await {
            Ok(Some(record)) if !record.deployment.state.status.is_terminal() => {
                loaded.push(record);
            }
            // The index is eventually consistent: over or gone since.
            Ok(_) => {}
            Err(error) => ticked.fail(&id, &error),
        }
    }
    let seen = observe::observe(ports, &loaded, now).await;
    for (record, seen) in loaded.iter().zip(&seen) {
        match pass_or_again(ports, record, seen).await {
            Ok(done) => {
                ticked.committed += usize::from(done.committed);
                ticked.woken += usize::from(done.woken);
            }
            Err(error) if error.class == Class::Conflict => ticked.conflicts += 1,
            Err(error) => ticked.fail(&record.deployment.terms.id, &error),
        }
    }
    Ok(ticked)
}

impl Ticked {
    fn fail(&mut self, id: &str, error: &PortError) {
        tracing::error!(deployment_id = id, class = ?error.class, %error, "the pass over a deployment failed");
        self.failed.push((id.to_owned(), error.to_string()));
    }
}

struct Done {
    committed: bool,
    woken: bool,
}

/// A function that gave its lease back a moment ago must not cost the canary a minute: the minutes
/// that were read are held against the record as it is now, and against the endpoint as it is
/// after that reading; an older look could not tell what the other writer has set going. A second
/// conflict is left to the next tick.
async fn pass_or_again<P: Ports>(
    ports: &P,
    before: &Loaded,
    seen: &Observation,
) -> Result<Done, PortError> {
    let error = match pass(ports, before, seen).await {
        Err(error) if error.class == Class::Conflict => error,
        other => return other,
    };
    let terms = &before.deployment.terms;
    let fresh = ports.load(&terms.id).await?.ok_or(error)?;
    let endpoint = observe::endpoint(ports, &terms.endpoint).await;
    let seen = Observation {
        endpoint,
        ..seen.clone()
    };
    pass(ports, &fresh, &seen).await
}

/// Decide, commit, wake. A conflict stops with no effect: whoever wrote has acted.
async fn pass<P: Ports>(ports: &P, before: &Loaded, seen: &Observation) -> Result<Done, PortError> {
    let now = ports.now();
    let decision = settle(&before.deployment, &before.evidence, seen, now)
        .map_err(|error| PortError::new(Class::Bug, "decide", error.to_string()))?;
    let changed = decision.next != before.deployment || decision.evidence != before.evidence;
    let mut version = before.deployment.state.version;
    if changed {
        let commit = Commit {
            before,
            next: &decision.next,
            evidence: &decision.evidence,
            minutes: &decision.minutes,
            entries: &decision.entries,
        };
        version = ports.commit(commit).await?.deployment.state.version;
    }
    let Some(effect) = effect_after(&decision, &seen.endpoint, now) else {
        return Ok(Done {
            committed: changed,
            woken: false,
        });
    };
    let id = &before.deployment.terms.id;
    // The invoke is a hint: if it is lost, the effect is still due at the next tick.
    if let Err(error) = ports.wake(effect.actor(), id, version).await {
        tracing::warn!(deployment_id = %id, %error, "the function that acts could not be woken");
        return Ok(Done {
            committed: changed,
            woken: false,
        });
    }
    Ok(Done {
        committed: changed,
        woken: true,
    })
}
