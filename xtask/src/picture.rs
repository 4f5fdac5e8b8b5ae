//! The picture of the README, drawn from what demos kept by the code that draws a report's.

use std::path::Path;

use crate::cargo;
use crate::steps::Outcome;

/// Draws `docs/rollout.svg` from the files that demos kept.
pub(crate) fn draw(root: &Path, files: &[String]) -> Outcome {
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    cargo::write_output(root, "picture", &files, "docs/rollout.svg")
}
