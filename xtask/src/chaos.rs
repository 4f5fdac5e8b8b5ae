//! `chaos --seed S --runs N [--trace]`: rollouts in a storm of faults.
//!
//! It is a binary of the test crate, built by the developer's profile, which optimises what the runs
//! spend their time in.

use std::path::Path;

use crate::cargo;
use crate::steps::Outcome;

/// Hands everything after `chaos` on.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Outcome {
    let mut all = vec![
        "run",
        "--quiet",
        "--package",
        "tests",
        "--bin",
        "chaos",
        "--",
    ];
    all.extend(arguments.iter().map(String::as_str));
    cargo::run(root, &all)
}
