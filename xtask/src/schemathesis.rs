//! `schemathesis`: thousands of requests that the description allows, and as many that it does not,
//! against the API over the simulator.
//!
//! An answer of 500 or more, a status, a media type or a field that the description does not have, and
//! anything wrong that is accepted fail the step. `xtask/schemathesis.toml` says what is left out, and
//! why. The seed and the number of requests are fixed there, so that a failure can be repeated.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::cargo;
use crate::python;
use crate::steps::Outcome;

const SETTINGS: &str = "xtask/schemathesis.toml";

/// Builds the API, serves it, and sets schemathesis on it.
pub(crate) fn run(root: &Path) -> Outcome {
    let programs = match python::programs_of(root, "schemathesis") {
        Ok(programs) => programs,
        Err(outcome) => return outcome,
    };
    let built = cargo::run(
        root,
        &["build", "--quiet", "--package", "tests", "--bin", "api"],
    );
    if built != Outcome::Passed {
        return built;
    }
    let (api, address) = match served(root) {
        Ok(served) => served,
        Err(outcome) => return outcome,
    };
    let status = Command::new(programs.join("schemathesis"))
        .arg("--config-file")
        .arg(root.join(SETTINGS))
        .args([
            "run",
            &format!("{address}/under-test.json"),
            "--url",
            &address,
        ])
        .current_dir(std::env::temp_dir())
        .status();
    drop(api);
    match status {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(status) => Outcome::failed(format!("schemathesis: {status}")),
        Err(error) => Outcome::failed(format!("schemathesis did not start: {error}")),
    }
}

/// The API's process, ended with the step.
struct Api(Child);

impl Drop for Api {
    fn drop(&mut self) {
        // It may have ended by itself, which the run has noticed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the API, and waits until it says where.
fn served(root: &Path) -> Result<(Api, String), Outcome> {
    let child = cargo::command(root)
        .args(["run", "--quiet", "--package", "tests", "--bin", "api"])
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| Outcome::failed(format!("the API: {error}")))?;
    let stdout = child.stdout.take().expect("it was piped");
    let api = Api(child);
    let mut address = String::new();
    match BufReader::new(stdout).read_line(&mut address) {
        Ok(read) if read > 0 => Ok((api, address.trim().to_owned())),
        Ok(_) => Err(Outcome::failed("the API ended before it was up")),
        Err(error) => Err(Outcome::failed(format!("the API: {error}"))),
    }
}
