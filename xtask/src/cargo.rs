//! Cargo, called from cargo: the same toolchain, at the root of the workspace.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::counts::TestCounts;
use crate::environment;
use crate::steps::Outcome;

/// A cargo command that starts in the workspace's root. `CARGO` names the cargo that runs this
/// program, so that `cargo +nightly xtask` stays with nightly.
pub(crate) fn command(root: &Path) -> Command {
    let program = environment::variable("CARGO").unwrap_or_else(|| "cargo".to_owned());
    let mut command = Command::new(program);
    command.current_dir(root);
    command
}

pub(crate) fn run(root: &Path, arguments: &[&str]) -> Outcome {
    let shown = arguments.join(" ");
    match command(root).args(arguments).status() {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(status) => Outcome::failed(format!("cargo {shown}: {status}")),
        Err(error) => Outcome::failed(format!("cargo {shown} did not start: {error}")),
    }
}

/// What a binary of the test crate prints, as a file of the checkout.
pub(crate) fn write_output(root: &Path, binary: &str, arguments: &[&str], file: &str) -> Outcome {
    let output = command(root)
        .args([
            "run",
            "--quiet",
            "--package",
            "tests",
            "--bin",
            binary,
            "--",
        ])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            match std::fs::write(root.join(file), output.stdout) {
                Ok(()) => Outcome::Passed,
                Err(error) => Outcome::failed(format!("{file}: {error}")),
            }
        }
        Ok(output) => Outcome::failed(format!("{file} could not be made: {}", output.status)),
        Err(error) => Outcome::failed(format!("cargo did not start: {error}")),
    }
}

/// In CI a Cargo.lock that does not fit is an error; for a person it is the next thing to commit.
pub(crate) fn run_locked(root: &Path, arguments: &[&str], trailing: &[&str]) -> Outcome {
    let mut all = arguments.to_vec();
    if environment::is_ci() {
        all.push("--locked");
    }
    all.extend_from_slice(trailing);
    run(root, &all)
}

/// Whether whatever is compiled is also checked by clippy, because it is clippy that compiles it.
pub(crate) fn compiles_by_clippy() -> bool {
    let compiler = environment::variable("RUSTC_WORKSPACE_WRAPPER");
    compiler.is_some_and(|program| program.ends_with("clippy-driver"))
}

/// Compiles everything that the tests run, and the benchmark.
pub(crate) fn build_all(root: &Path) -> Outcome {
    match run_locked(root, &["test", "--workspace", "--no-run"], &[]) {
        Outcome::Passed => run_locked(root, &["test", "--workspace", "--no-run", "--benches"], &[]),
        failed => failed,
    }
}

/// All tests of the workspace. The counts are there only if the tests were built and ran.
pub(crate) fn test(root: &Path) -> (Outcome, Option<TestCounts>) {
    let mut command = command(root);
    command.args(["test", "--workspace", "--no-fail-fast"]);
    if environment::is_ci() {
        command.arg("--locked");
    }
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            return (
                Outcome::failed(format!("cargo test did not start: {error}")),
                None,
            );
        }
    };
    let stdout = child.stdout.take().expect("it was piped");
    let counts = pass_through(stdout);
    let outcome = match child.wait() {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(status) => Outcome::failed(format!("cargo test: {status}")),
        Err(error) => Outcome::failed(format!("cargo test was lost: {error}")),
    };
    match counts {
        Some(counts) if counts == TestCounts::default() => {
            let outcome = if outcome == Outcome::Passed {
                Outcome::failed("cargo test ran no test")
            } else {
                outcome
            };
            (outcome, None)
        }
        counts => (outcome, counts),
    }
}

/// Prints what the tests print as they print it, and adds up their last lines.
fn pass_through(stdout: impl Read) -> Option<TestCounts> {
    let mut counts = TestCounts::default();
    // Bytes, not lines of text: a test may print anything.
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.ok()?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        counts.add(&line);
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_test_binaries_are_added_up() {
        let output = "running 4 tests\n\
            test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\
            test result: ok. 10 passed; 0 failed; 2 ignored; 0 measured; 7 filtered out\n\
            nothing like a test result: ok. 99 passed\n";
        let counts = pass_through(output.as_bytes()).expect("bytes in memory can be read");
        assert_eq!(counts.to_string(), "13 passed, 1 failed, 2 skipped");
    }
}
