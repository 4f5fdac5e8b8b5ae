//! `openapi [--record]`: docs/openapi.json out of the code, and the linter's word on it.
//!
//! The description is put together by a binary of the test crate, which knows the routes, the types and
//! the simulator. A test holds the committed file against it; this writes the file.

use std::path::Path;
use std::process::Command;

use crate::cargo;
use crate::python;
use crate::steps::Outcome;

const DOCUMENT: &str = "docs/openapi.json";
const RECORDED: &str = "tests/src/recorded.json";

/// Writes the document; before it, with `--record`, the answers that are its examples.
pub(crate) fn write(root: &Path, arguments: &[String]) -> Outcome {
    if arguments.iter().any(|argument| argument == "--record") {
        let recorded = cargo::write_output(root, "openapi", &["--record"], RECORDED);
        if recorded != Outcome::Passed {
            return recorded;
        }
    }
    cargo::write_output(root, "openapi", &[], DOCUMENT)
}

/// openapi-spec-validator on the committed document.
pub(crate) fn lint(root: &Path) -> Outcome {
    let programs = match python::programs_of(root, "openapi") {
        Ok(programs) => programs,
        Err(outcome) => return outcome,
    };
    let status = Command::new(programs.join("openapi-spec-validator"))
        .args(["--schema", "3.1", DOCUMENT])
        .current_dir(root)
        .status();
    match status {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(status) => Outcome::failed(format!("openapi-spec-validator: {status}")),
        Err(error) => Outcome::failed(format!("openapi-spec-validator did not start: {error}")),
    }
}
