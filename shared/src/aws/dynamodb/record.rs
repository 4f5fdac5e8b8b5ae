//! From three items to a record that may be acted on, or the reason why it may not.
//!
//! Records of this version's shape and of the one before are read: while a new version of the
//! functions goes out, old and new ones share the table. Any other stops its own deployment, and no
//! other. So does a record that breaks an invariant, that names another deployment, or whose own
//! conditions could never be met: nothing acts on a record that can't be.

use aws_sdk_dynamodb::types::AttributeValue;

use super::super::error::nonsense;
use super::{Item, read, sound};
use crate::app::ports::{Loaded, PortError};
use crate::domain::deployment::{Deployment, SCHEMA_VERSION};
use crate::domain::evidence::Evidence;
use crate::wire::items::{EvidenceItem, MetaItem, SpecItem};

/// The record that lies in these items.
pub(super) fn loaded(
    id: &str,
    spec: Item,
    meta: Item,
    evidence: Item,
) -> Result<Loaded, PortError> {
    let unfit = |what: String| nonsense("load", format!("the record of {id} {what}"));
    for (part, item) in [("SPEC", &spec), ("META", &meta)] {
        check_version(part, item).map_err(&unfit)?;
    }
    let (spec, meta): (SpecItem, MetaItem) = (read(spec)?, read(meta)?);
    let item: EvidenceItem = read(evidence)?;
    let evidence: Evidence = serde_json::from_str(&item.evidence)
        .map_err(|error| unfit(format!("has evidence that can't be read: {error}")))?;
    if spec.terms.id != id {
        return Err(unfit("holds the terms of another deployment".to_owned()));
    }
    // Writes are conditional on the attributes, and name what stands in the documents.
    if meta.version != meta.state.version {
        return Err(unfit(format!(
            "has version {} and a state of version {}: no write could ever succeed",
            meta.version, meta.state.version
        )));
    }
    if item.judged_through != evidence.judged_through.to_string() {
        return Err(unfit(format!(
            "has the watermark {} and evidence up to {}: no write could ever succeed",
            item.judged_through, evidence.judged_through
        )));
    }
    let deployment = Deployment {
        terms: spec.terms,
        state: meta.state,
    };
    sound(&deployment)?;
    Ok(Loaded {
        deployment,
        evidence,
    })
}

/// SPEC keeps the version it was accepted under, META has the one that wrote it last: each is told
/// by itself.
fn check_version(part: &str, item: &Item) -> Result<(), String> {
    let version = item
        .get("schema_version")
        .and_then(|version| AttributeValue::as_n(version).ok())
        .and_then(|version| version.parse::<u32>().ok());
    let oldest = SCHEMA_VERSION.saturating_sub(1).max(1);
    match version {
        None => Err(format!(
            "has no schema version in {part}: it was not written by these functions; restore the item"
        )),
        Some(version) if version > SCHEMA_VERSION => Err(format!(
            "has schema version {version} in {part}, and this code reads up to {SCHEMA_VERSION}: bring the newer functions back"
        )),
        Some(version) if version < oldest => Err(format!(
            "has schema version {version} in {part}, and this code reads from {oldest} on: finish it with the functions that wrote it"
        )),
        Some(_) => Ok(()),
    }
}
