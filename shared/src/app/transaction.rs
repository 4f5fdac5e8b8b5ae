//! What one commit writes, and under which conditions: the rules that every store keeps, whatever
//! it is made of.

use jiff::Timestamp;

use super::ports::{Class, Commit, PortError};
use crate::domain::deployment::Deployment;
use crate::domain::invariants;

/// A commit made ready. All of it is written, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// The next record, with its version.
    pub next: Deployment,
    /// The version that must still be stored.
    pub if_version: u64,
    /// The watermark that must still be stored: what was decided on evidence that has since grown
    /// is not written.
    pub if_judged_through: Timestamp,
    /// Whether the record is written, or only held unchanged.
    pub writes_record: bool,
    /// Whether the evidence is written, or only held unchanged.
    pub writes_evidence: bool,
    /// Whether the endpoint's lock is freed.
    pub ends: bool,
}

impl Transaction {
    /// The transaction of a commit. A record that breaks its invariants is never written.
    pub fn of(commit: &Commit<'_>, now: Timestamp) -> Result<Self, PortError> {
        sound(commit.next)?;
        let before = &commit.before.deployment.state;
        let mut next = commit.next.clone();
        let writes_record = commit.next.state != *before;
        if writes_record {
            next.state.version = before.version + 1;
            next.state.updated_at = now;
        }
        Ok(Self {
            if_version: before.version,
            if_judged_through: commit.before.evidence.judged_through,
            writes_record,
            writes_evidence: *commit.evidence != commit.before.evidence,
            ends: next.state.status.is_terminal() && !before.status.is_terminal(),
            next,
        })
    }
}

/// The invariants, on write and on read: nothing acts on a record that breaks one.
pub fn sound(deployment: &Deployment) -> Result<(), PortError> {
    let broken = invariants::violations(deployment);
    if broken.is_empty() {
        return Ok(());
    }
    let what = format!(
        "the record of {} breaks its invariants: {}",
        deployment.terms.id,
        broken.join("; ")
    );
    Err(PortError::new(Class::Bug, "record", what))
}
