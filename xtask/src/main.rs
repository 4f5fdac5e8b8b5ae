//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! A command is a list of steps. Every step of it runs, whatever became of the one before, so that one
//! run shows all that is wrong; the table at the end says what each cost and how it ended. What needs
//! another language (cfn-lint, the SAM CLI, checkov) installs itself, held to hashes; where a person has no Python that step
//! is skipped aloud, and under `CI=true` it fails instead, because a check that CI skips is no check.

mod bans;
mod bench;
mod cargo;
mod chaos;
mod conformance;
mod costs;
mod counts;
mod environment;
mod lambda;
mod licences;
mod openapi;
mod picture;
mod probe;
mod python;
mod schemathesis;
mod spdx;
mod steps;
mod template;
mod tidy;
mod yanked;

use std::path::Path;
use std::process::ExitCode;

use steps::{Outcome, Report};

const USAGE: &str = "\
cargo xtask COMMAND

  test      every check below but lint, then the tests
  lint      formatting and clippy, warnings denied
  licences  every crate, its licence and its source against deny.toml
  yanked    whether the authors of a crate have taken its release back
  template  infra/template.yaml by cfn-lint, the SAM CLI, checkov and parliament
  tools     installs what the tests need, as CI does while it compiles
  openapi [--record]  docs/openapi.json out of the code; with --record its examples anew, too
  openapi-lint  docs/openapi.json by openapi-spec-validator
  schemathesis  the API against its description
  tidy      the purity of the domain; links, folders and proofs named in the documents
  fidelity  docs/fidelity.md against botocore's models, and the probes of AWS rehearsed on the simulator
  probe-aws [--help]  asks a real account what docs/fidelity.md leaves open; says first what it costs
  lambda [--release] [--arm64]  the functions as Lambda takes them, by cargo-lambda
  bench lambda [--quick]  what they cost to start, to keep and to ask: docs/performance.md
  bench monitor  a tick over 1 to 10,000 deployments, with 20 ms for each answer of AWS
  bench verdict [--quick]  the simulation study: the tables and the picture of docs/verdict.md
  conformance [WORD...]  the adapters on moto and ministack, boto3 and the AWS CLI on the simulator
  chaos [--seed S] [--runs N] [--trace]  rollouts in a storm of faults, each promise held
  costs [FILE]  what a stack costs, by infra/prices.toml or a file like it
  picture FILE...  docs/rollout.svg from the files that demos kept
";

fn main() -> ExitCode {
    let root = environment::workspace_root();
    let mut arguments = std::env::args().skip(1);
    let (command, rest) = (arguments.next(), arguments.collect::<Vec<_>>());
    let fits = match command.as_deref() {
        Some("picture" | "bench") => !rest.is_empty(),
        Some("costs") => rest.len() <= 1,
        Some("chaos" | "conformance" | "lambda" | "probe-aws") => true,
        Some("openapi") => rest.is_empty() || rest == ["--record"],
        _ => rest.is_empty(),
    };
    if !fits {
        return usage();
    }
    let mut report = Report::default();
    match command.as_deref() {
        Some("test") => test(&root, &mut report),
        Some("lint") => lint(&root, &mut report),
        Some("licences") => report.run("licences", || licences::check(&root)),
        Some("yanked") => report.run("yanked", || yanked::check(&root)),
        Some("template") => template::lint(&root, &mut report),
        Some("tools") => report.run("tools", || python::install(&root)),
        Some("openapi") => report.run("openapi", || openapi::write(&root, &rest)),
        Some("openapi-lint") => report.run("openapi", || openapi::lint(&root)),
        Some("schemathesis") => report.run("schemathesis", || schemathesis::run(&root)),
        Some("tidy") => report.run("tidy", || tidy::check(&root)),
        Some("fidelity") => {
            report.run("models", || probe::check_models(&root));
            report.run("rehearsal", || probe::rehearse(&root));
        }
        Some("probe-aws") => return probe::run(&root, &rest),
        Some("costs") => {
            let file = rest.first().map(String::as_str);
            report.run("costs", || costs::print(&root, file));
        }
        Some("conformance") => report.run("conformance", || conformance::run(&root, &rest)),
        Some("chaos") => report.run("chaos", || chaos::run(&root, &rest)),
        Some("picture") => report.run("picture", || picture::draw(&root, &rest)),
        Some("bench") => match bench::Bench::from(&rest) {
            Some(bench) => bench.run(&root, &mut report),
            None => return usage(),
        },
        Some("lambda") => match lambda::Build::from(&rest) {
            Some(build) => report.run("lambda", || build.run(&root)),
            None => return usage(),
        },
        _ => return usage(),
    }
    report.finish()
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}

fn lint(root: &Path, report: &mut Report) {
    report.run("fmt", || cargo::run(root, &["fmt", "--all", "--check"]));
    report.run("clippy", || {
        if cargo::compiles_by_clippy() {
            return cargo::build_all(root);
        }
        cargo::run_locked(
            root,
            &["clippy", "--workspace", "--all-targets"],
            &["--", "-D", "warnings"],
        )
    });
}

/// The seconds-long checks come first: a broken link should not wait for the tests to be seen.
fn test(root: &Path, report: &mut Report) {
    report.run("tidy", || tidy::check(root));
    report.run("licences", || licences::check(root));
    report.run("yanked", || yanked::check(root));
    report.run("models", || probe::check_models(root));
    template::lint(root, report);
    report.run("openapi", || openapi::lint(root));
    let mut counts = None;
    report.run("tests", || {
        let (outcome, counted) = cargo::test(root);
        counts = counted;
        outcome
    });
    report.count_tests(counts);
    // Last, because they run what the tests have built.
    std::thread::scope(|scope| {
        // It waits for virtual minutes most of the time, and the others need not wait for it. What the table
        // says of it is what it took longer than they did.
        let rehearsal = scope.spawn(|| probe::rehearse(root));
        report.run("conformance", || conformance::run(root, &[]));
        report.run("schemathesis", || schemathesis::run(root));
        report.run("rehearsal", || {
            let ended = rehearsal.join();
            ended.unwrap_or_else(|_| Outcome::failed("it panicked; the lines above say where"))
        });
    });
}
