//! Benchmarks that write what the documents show.
//!
//! `bench verdict` runs the simulation study, an example of `shared`: an example is built by the
//! developer's profile, which optimises what the study spends its time in, so that nothing of the
//! SDK is compiled anew for it.

use std::path::Path;

use crate::cargo;
use crate::steps::Outcome;

/// What is run.
pub(crate) enum Bench {
    /// The study's tables and picture, put into `docs/`.
    Verdict,
    /// A smoke test of a hundred rollouts a cell, which prints the tables only.
    QuickVerdict,
}

impl Bench {
    /// By the words after `bench`; `None` for any other.
    pub(crate) fn from(arguments: &[String]) -> Option<Self> {
        match arguments {
            [what] if what == "verdict" => Some(Self::Verdict),
            [what, how] if what == "verdict" && how == "--quick" => Some(Self::QuickVerdict),
            _ => None,
        }
    }

    pub(crate) fn run(&self, root: &Path) -> Outcome {
        let mut arguments = vec!["run", "--quiet", "--package", "shared"];
        arguments.extend(["--example", "verdict_study", "--"]);
        arguments.extend(match self {
            Self::Verdict => &["--write", "docs"][..],
            Self::QuickVerdict => &["--quick"],
        });
        cargo::run(root, &arguments)
    }
}
