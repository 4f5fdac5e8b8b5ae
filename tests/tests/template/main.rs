//! What `sam deploy` makes, held against the code that runs there: roles against the calls each function
//! makes, alarms and dashboard against the figures that are sent, settings against what is read.
//!
//! Nothing here asks AWS. The template is read as CloudFormation would read it, with every intrinsic
//! function left as it stands.

mod document;
mod essentials;
mod figures;
mod permissions;
mod reach;
mod routes;
mod sources;
mod wiring;

use std::path::PathBuf;

/// The workspace's own folder.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A file of the workspace.
fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
