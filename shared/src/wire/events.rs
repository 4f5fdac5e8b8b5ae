//! What the functions send each other.

use serde::{Deserialize, Serialize};

/// A hint that something is due for a deployment. The version says which record was meant; the
/// receiver re-reads it and does only what is committed there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wake {
    /// The deployment's id.
    pub deployment_id: String,
    /// The record's version when it was sent.
    pub version: u64,
}
