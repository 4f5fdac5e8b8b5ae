//! What the process is told by its surroundings: the few variables that are read, and where things lie.

use std::path::{Path, PathBuf};

/// The value of a variable that is set to something.
#[expect(
    clippy::disallowed_methods,
    reason = "the rule keeps the deployed code's settings in one place; this is a build tool"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether nobody is there to read that something was skipped.
pub(crate) fn is_ci() -> bool {
    variable("CI").as_deref() == Some("true")
}

pub(crate) fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the workspace")
        .to_path_buf()
}

/// Where what is installed outlives `cargo clean` and is shared by every checkout.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let base = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")))?;
    Some(base.join("sagemaker-canary"))
}
