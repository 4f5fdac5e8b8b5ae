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
        let recorded = write_output(root, &["--record"], RECORDED);
        if recorded != Outcome::Passed {
            return recorded;
        }
    }
    write_output(root, &[], DOCUMENT)
}

fn write_output(root: &Path, arguments: &[&str], file: &str) -> Outcome {
    let output = cargo::command(root)
        .args([
            "run",
            "--quiet",
            "--package",
            "tests",
            "--bin",
            "openapi",
            "--",
        ])
        .args(arguments)
        .stderr(std::process::Stdio::inherit())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            match std::fs::write(root.join(file), output.stdout) {
                Ok(()) => Outcome::Passed,
                Err(error) => Outcome::failed(format!("{file}: {error}")),
            }
        }
        Ok(output) => Outcome::failed(format!(
            "the description could not be made: {}",
            output.status
        )),
        Err(error) => Outcome::failed(format!("cargo did not start: {error}")),
    }
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
