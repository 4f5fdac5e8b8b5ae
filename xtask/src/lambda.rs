//! The five functions as Lambda takes them: `NAME/bootstrap` and `NAME/bootstrap.zip` in the target
//! folder's `lambda/`, built by cargo-lambda as `sam build` does.
//!
//! Each is built as a package by itself. Built together, cargo would give `shared` the features of all of
//! them, and `inference` the largest SDK of all with it; that this did not happen is looked up in the
//! binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment;
use crate::python;
use crate::steps::Outcome;

/// The packages, whose binaries have the same names.
const FUNCTIONS: [&str; 5] = [
    "deploy",
    "monitor",
    "traffic-shift",
    "rollback",
    "inference",
];
/// An operation's name that stands in every binary that asks SageMaker's control plane anything.
const CONTROL_PLANE: &[u8] = b"DescribeEndpoint";
/// The C library of `provided.al2023`: <https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html>. A
/// binary that wants a newer one does not start.
const GLIBC: (&[u8], u32) = (b"GLIBC_2.", 34);

/// How the functions are built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Build {
    is_release: bool,
    is_arm64: bool,
}

impl Build {
    /// The release profile, for this machine's processor.
    pub(crate) const RELEASE: Self = Self {
        is_release: true,
        is_arm64: false,
    };

    /// By the words after `lambda`; `None` for any other.
    pub(crate) fn from(arguments: &[String]) -> Option<Self> {
        let mut build = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--release" => build.is_release = true,
                "--arm64" => build.is_arm64 = true,
                _ => return None,
            }
        }
        Some(build)
    }

    /// Builds another package in the same way.
    pub(crate) fn of(self, root: &Path, name: &str) -> Outcome {
        let built = match python::programs_of(root, "cargo-lambda") {
            Ok(programs) => self.build(root, &programs, name),
            Err(outcome) => return outcome,
        };
        built.map_or_else(Outcome::failed, |()| Outcome::Passed)
    }

    /// Builds all five and says how large they are.
    pub(crate) fn run(self, root: &Path) -> Outcome {
        let programs = match python::programs_of(root, "cargo-lambda") {
            Ok(programs) => programs,
            Err(outcome) => return outcome,
        };
        for name in FUNCTIONS {
            if let Err(what) = self.build(root, &programs, name) {
                return Outcome::failed(what);
            }
        }
        let folder = folder(root);
        let mut findings = Vec::new();
        for name in FUNCTIONS {
            let Ok(binary) = std::fs::read(folder.join(name).join("bootstrap")) else {
                findings.push(format!(
                    "{name}: there is no bootstrap in {}",
                    folder.display()
                ));
                continue;
            };
            println!("{name:<14} {:>6.2} MB", megabytes(binary.len()));
            let expected = name != "inference";
            if contains(&binary, CONTROL_PLANE) != expected {
                let word = if expected { "lacks" } else { "has" };
                findings.push(format!("{name} {word} SageMaker's control plane"));
            }
            let glibc = newest(&binary, GLIBC.0).unwrap_or(0);
            if glibc > GLIBC.1 {
                findings.push(format!(
                    "{name} needs glibc 2.{glibc}; Lambda has 2.{}",
                    GLIBC.1
                ));
            }
        }
        Outcome::of_findings(findings)
    }

    /// The binary, and the same in an archive: cargo-lambda makes one of them at a time.
    fn build(self, root: &Path, programs: &Path, name: &str) -> Result<(), String> {
        for format in ["binary", "zip"] {
            let mut command = Command::new(programs.join("cargo-lambda"));
            command.args(["lambda", "build", "--output-format", format]);
            command.args(["--package", name, "--bin", name]);
            if self.is_release {
                command.arg("--release");
            }
            if self.is_arm64 {
                command.arg("--arm64");
            }
            if environment::is_ci() {
                command.arg("--locked");
            }
            // It finds zig through the environment's own Python.
            let status = command
                .current_dir(root)
                .env("PATH", path_with(programs))
                .status()
                .map_err(|error| format!("cargo lambda build of {name} did not start: {error}"))?;
            if !status.success() {
                return Err(format!("cargo lambda build of {name}: {status}"));
            }
        }
        Ok(())
    }
}

/// Where cargo-lambda puts what it built.
pub(crate) fn folder(root: &Path) -> PathBuf {
    environment::variable("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder))
        .join("lambda")
}

fn path_with(programs: &Path) -> String {
    let rest = environment::variable("PATH").unwrap_or_default();
    format!("{}:{rest}", programs.display())
}

/// The highest number that stands after this text in the binary.
fn newest(binary: &[u8], text: &[u8]) -> Option<u32> {
    let places = 0..binary.len().saturating_sub(text.len());
    let after = places.filter_map(|at| binary[at..].strip_prefix(text));
    let number = |rest: &[u8]| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    };
    after.filter_map(number).max()
}

fn contains(binary: &[u8], text: &[u8]) -> bool {
    binary.windows(text.len()).any(|window| window == text)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a binary has fewer than 2^53 bytes"
)]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_after_lambda() {
        let from = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Build::from(&words)
        };
        assert_eq!(from(&[]), Some(Build::default()));
        assert_eq!(from(&["--release"]), Some(Build::RELEASE));
        assert_eq!(
            from(&["--arm64", "--release"]).map(|build| build.is_arm64),
            Some(true)
        );
        assert_eq!(from(&["--fast"]), None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let binary = b"\0GLIBC_2.9\0GLIBC_2.17\0GLIBC_PRIVATE\0GLIBC_2.";
        assert_eq!(newest(binary, GLIBC.0), Some(17));
        assert_eq!(newest(b"static", GLIBC.0), None);
    }

    /// cargo-lambda puts its own value, "abort", where the manifest has none.
    #[test]
    fn the_release_profile_lets_a_panic_be_caught() {
        let manifest = std::fs::read_to_string(environment::workspace_root().join("Cargo.toml"))
            .expect("the workspace's manifest");
        let manifest: toml_edit::DocumentMut = manifest.parse().expect("TOML");
        let panic = manifest["profile"]["release"]["panic"].as_str();
        assert_eq!(
            panic,
            Some("unwind"),
            "app::tick catches the panics of one deployment"
        );
    }
}
