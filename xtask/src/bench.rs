//! Benchmarks that write what the documents show.
//!
//! `bench verdict` runs the simulation study, an example of `shared`: an example is built by the
//! developer's profile, which optimises what the study spends its time in, so that nothing of the
//! SDK is compiled anew for it. `bench lambda` builds the functions as they are deployed and measures
//! them from outside; `--quick` takes the developer's binaries and no Python. `bench monitor` measures one
//! of them over thousands of deployments.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::lambda::{self, Build};
use crate::python;
use crate::steps::{Outcome, Report};

/// What is run.
pub(crate) enum Bench {
    /// The study's tables and picture, put into `docs/`.
    Verdict,
    /// A smoke test of a hundred rollouts a cell, which prints the tables only.
    QuickVerdict,
    /// The functions beside Python, put into `docs/performance.md`.
    Lambda,
    /// A smoke test of a few starts.
    QuickLambda,
    /// A tick over thousands of deployments, with 20 ms for each answer of AWS, put into
    /// `docs/performance.md`.
    Monitor,
}

impl Bench {
    /// By the words after `bench`; `None` for any other.
    pub(crate) fn from(arguments: &[String]) -> Option<Self> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["verdict"] => Some(Self::Verdict),
            ["verdict", "--quick"] => Some(Self::QuickVerdict),
            ["lambda"] => Some(Self::Lambda),
            ["lambda", "--quick"] => Some(Self::QuickLambda),
            ["monitor"] => Some(Self::Monitor),
            _ => None,
        }
    }

    pub(crate) fn run(&self, root: &Path, report: &mut Report) {
        match self {
            Self::Verdict => report.run("bench", || verdict(root, &["--write", "docs"])),
            Self::QuickVerdict => report.run("bench", || verdict(root, &["--quick"])),
            Self::Lambda => {
                report.run("functions", || Build::RELEASE.run(root));
                report.run("direct", || Build::RELEASE.of(root, "invoke-endpoint"));
                report.run("bench", || measure(root));
            }
            Self::Monitor => {
                report.run("functions", || Build::RELEASE.run(root));
                report.run("bench", || load(root));
            }
            Self::QuickLambda => report.run("bench", || cargo::run(root, &MEASURE)),
        }
    }
}

fn verdict(root: &Path, how: &[&str]) -> Outcome {
    let mut arguments = vec!["run", "--quiet", "--package", "shared"];
    arguments.extend(["--example", "verdict_study", "--"]);
    arguments.extend(how);
    cargo::run(root, &arguments)
}

/// The program that measures, itself in the developer's profile: it is the same for all it measures.
const MEASURE: [&str; 6] = [
    "run",
    "--quiet",
    "--package",
    "tests",
    "--bin",
    "lambda_bench",
];

/// It takes some minutes: each tick waits for one to judge.
fn load(root: &Path) -> Outcome {
    let monitor = lambda::folder(root).join("monitor/bootstrap");
    let monitor = monitor.display().to_string();
    let mut arguments = vec!["run", "--quiet", "--package", "tests", "--bin", "load"];
    arguments.extend(["--", &monitor, "20", "docs/performance.md"]);
    arguments.extend(["1", "100", "1000", "10000"]);
    cargo::run(root, &arguments)
}

/// The environment's interpreter, once the packages beside it are bytecode, as Lambda's own are: parsing them anew
/// would double each of Python's starts.
fn compiled(programs: &Path) -> Result<PathBuf, Outcome> {
    let python = programs.join("python");
    let packages = programs.with_file_name("lib");
    let mut compile = Command::new(&python);
    compile.args(["-m", "compileall", "-q"]).arg(packages);
    match compile.status() {
        Ok(status) if status.success() => Ok(python),
        Ok(status) => Err(Outcome::failed(format!("compileall: {status}"))),
        Err(error) => Err(Outcome::failed(format!("compileall: {error}"))),
    }
}

fn measure(root: &Path) -> Outcome {
    let python =
        match python::programs_of(root, "lambda-bench").and_then(|programs| compiled(&programs)) {
            Ok(python) => python.display().to_string(),
            Err(outcome) => return outcome,
        };
    let functions = lambda::folder(root).display().to_string();
    let mut arguments = MEASURE.to_vec();
    arguments.extend(["--", "--rust", &functions, "--python", &python]);
    arguments.extend(["--runs", "40", "--requests", "5000"]);
    arguments.extend(["--write", "docs/performance.md"]);
    cargo::run(root, &arguments)
}
