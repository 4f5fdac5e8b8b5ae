//! Steps with a name, a time and an end, and the table of them.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::counts::TestCounts;

/// How a step ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// Not run, and why that is all right here.
    Skipped(String),
    /// What is wrong, a line for each thing.
    Failed(Vec<String>),
}

impl Outcome {
    pub(crate) fn failed(what: impl Into<String>) -> Outcome {
        Outcome::Failed(vec![what.into()])
    }

    /// Passed if nothing was found.
    pub(crate) fn of_findings(findings: Vec<String>) -> Outcome {
        if findings.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed(findings)
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Skipped(_) => "skipped",
            Outcome::Failed(_) => "FAILED",
        }
    }
}

struct Step {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// The steps run so far.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
    tests: Option<TestCounts>,
}

impl Report {
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Outcome) {
        eprintln!("==> {name}");
        let started = Instant::now();
        let outcome = step();
        let took = started.elapsed();
        if let Outcome::Skipped(why) = &outcome {
            eprintln!("{name} skipped: {why}");
        }
        self.steps.push(Step {
            name,
            outcome,
            took,
        });
    }

    pub(crate) fn count_tests(&mut self, counts: Option<TestCounts>) {
        self.tests = counts;
    }

    /// Prints the table, what failed, and the number of tests if the tests said it.
    pub(crate) fn finish(&self) -> ExitCode {
        print!("{}", self.table());
        let mut code = ExitCode::SUCCESS;
        for step in &self.steps {
            if let Outcome::Failed(findings) = &step.outcome {
                code = ExitCode::FAILURE;
                for finding in findings {
                    println!("FAILED {}: {finding}", step.name);
                }
            }
        }
        if let Some(counts) = &self.tests {
            println!("{counts}");
        }
        code
    }

    fn table(&self) -> String {
        let mut table = format!("\n{:<12}{:>8}  result\n", "step", "seconds");
        for step in &self.steps {
            let seconds = step.took.as_secs_f64();
            let word = step.outcome.word();
            writeln!(table, "{:<12}{seconds:>8.1}  {word}", step.name)
                .expect("writing to a string does not fail");
        }
        let total: Duration = self.steps.iter().map(|step| step.took).sum();
        writeln!(table, "{:<12}{:>8.1}", "total", total.as_secs_f64())
            .expect("writing to a string does not fail");
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_runs_and_the_table_says_how_each_ended() {
        let mut report = Report::default();
        report.run("one", || Outcome::failed("broken"));
        report.run("two", || Outcome::Skipped("no tool".to_owned()));
        report.run("three", || Outcome::of_findings(Vec::new()));
        let table = report.table();
        let words: Vec<Option<&str>> = table
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().nth(2))
            .collect();
        assert_eq!(
            words,
            [Some("FAILED"), Some("skipped"), Some("passed"), None]
        );
        assert_eq!(report.finish(), ExitCode::FAILURE);
    }
}
