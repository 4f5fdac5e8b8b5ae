//! Lints of `infra/template.yaml` that nobody here wrote: the shapes by cfn-lint, SAM's own by the SAM CLI,
//! good practice by checkov, policies by parliament. None of them reaches AWS. `versions` asks SAM's own transform
//! whether a changed parameter reaches the functions that run.
//!
//! What only this project can know about its template (that roles fit calls, that alarms fit figures) is held
//! by the tests in `tests/tests/template`.

use std::path::Path;
use std::process::Command;

use crate::environment;
use crate::python::programs_of;
use crate::steps::{Outcome, Report};

const TEMPLATE: &str = "infra/template.yaml";

pub(crate) fn lint(root: &Path, report: &mut Report) {
    // Its exit code is not 0 for a warning either.
    report.run("cfn-lint", || {
        run(root, "cfn-lint", "cfn-lint", &[TEMPLATE])
    });
    report.run("sam", || {
        let arguments = [
            "validate",
            "--lint",
            "--template",
            TEMPLATE,
            "--region",
            "us-east-1",
        ];
        run(root, "sam", "sam", &arguments)
    });
    report.run("versions", || {
        run(
            root,
            "sam",
            "python",
            &["xtask/python/lint_versions.py", TEMPLATE],
        )
    });
    report.run("checkov", || {
        let arguments = ["--config-file", "infra/checkov.yaml", "--file", TEMPLATE];
        run(root, "checkov", "checkov", &arguments)
    });
    report.run("iam", || {
        run(
            root,
            "parliament",
            "python",
            &["xtask/python/lint_iam.py", TEMPLATE],
        )
    });
}

/// A program of a tool's environment, which says by its exit code whether all is well.
fn run(root: &Path, tool: &str, program: &str, arguments: &[&str]) -> Outcome {
    let programs = match programs_of(root, tool) {
        Ok(programs) => programs,
        Err(outcome) => return outcome,
    };
    let mut command = Command::new(programs.join(program));
    command
        .args(arguments)
        .current_dir(root)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SAM_CLI_TELEMETRY", "0");
    if let Some(cache) = environment::cache_folder() {
        // The SAM CLI keeps a folder at home otherwise.
        command.env("__SAM_CLI_APP_DIR", cache.join("python/sam-settings"));
    }
    match command.status() {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(status) => Outcome::failed(format!("{program} {}: {status}", arguments.join(" "))),
        Err(error) => Outcome::failed(format!("{program} did not start: {error}")),
    }
}
