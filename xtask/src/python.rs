//! Tools written in Python, each in an environment of its own that this program makes and keeps.
//!
//! The environment lies in the cache folder under a name that holds a digest of the list of packages
//! and of the interpreter's version, so a new list makes a new environment and an old checkout still
//! finds its own. A marker is written last; an environment without one was cut short and is made anew.
//! Every file is held to its hash and no package is built from source, so installing runs no code of
//! theirs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment;
use crate::steps::Outcome;

/// The oldest Python that the pinned packages run on.
const OLDEST: (u32, u32) = (3, 11);

/// Why a tool could not be had.
#[derive(Debug, thiserror::Error)]
enum PythonError {
    /// The machine has no Python to run it: a person may go on without.
    #[error("{0}")]
    Missing(String),
    #[error("{what}: {source}")]
    Io {
        what: String,
        source: std::io::Error,
    },
    #[error("neither XDG_CACHE_HOME nor HOME says where to install")]
    NoCache,
    #[error("installing it failed ({0}); the lines above say why")]
    Install(String),
}

/// What the tests need: all but the builder of the functions and what they are measured beside.
const TESTED: [&str; 10] = [
    "cfn-lint",
    "sam",
    "checkov",
    "parliament",
    "openapi",
    "probe",
    "moto",
    "ministack",
    "boto3",
    "schemathesis",
];

/// Makes the environments of the tools that the tests need, so that they find them.
pub(crate) fn install(root: &Path) -> Outcome {
    let mut findings = Vec::new();
    for tool in TESTED {
        match programs_of(root, tool) {
            Ok(_) => {}
            Err(Outcome::Failed(why)) => findings.extend(why),
            Err(skipped) => return skipped,
        }
    }
    Outcome::of_findings(findings)
}

/// The folder of programs of the environment whose packages `xtask/python/TOOL.txt` lists, made if it is
/// not there. Otherwise how the step that needs it ends: skipped where a person has no Python, failed in
/// CI.
pub(crate) fn programs_of(root: &Path, tool: &str) -> Result<PathBuf, Outcome> {
    let requirements = root.join(format!("xtask/python/{tool}.txt"));
    environment_for(tool, &requirements).map_err(|error| match error {
        PythonError::Missing(what) if !environment::is_ci() => {
            Outcome::Skipped(format!("{tool} needs Python; {what}"))
        }
        error => Outcome::failed(format!("{tool}: {error}")),
    })
}

/// The folder of programs of an environment that has just these packages.
fn environment_for(tool: &str, requirements: &Path) -> Result<PathBuf, PythonError> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| PythonError::Io { what, source }
    };
    let version = interpreter_version()?;
    let list = std::fs::read(requirements).map_err(io("the list of packages"))?;
    let digest = digest(&[&list, version.as_bytes()]);
    let folder = environment::cache_folder()
        .ok_or(PythonError::NoCache)?
        .join("python")
        .join(format!("{tool}-{digest:016x}"));
    let programs = folder.join("bin");
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(programs);
    }
    eprintln!("installing {tool}, once");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(io("removing half an environment"))?;
    }
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&folder)
        .status()
        .map_err(io("python3"))?;
    if !made.success() {
        return Err(PythonError::Missing(
            "python3 has no venv module (on Debian it is the package python3-venv)".to_owned(),
        ));
    }
    let installed = Command::new(programs.join("python"))
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps"])
        // A lint loads a small part of what is installed: compiling all of it takes longer than running it.
        .args([
            "--no-compile",
            "--disable-pip-version-check",
            "--require-hashes",
        ])
        .args(["--only-binary", ":all:", "--requirement"])
        .arg(requirements)
        .status()
        .map_err(io("pip"))?;
    if !installed.success() {
        return Err(PythonError::Install(installed.to_string()));
    }
    std::fs::write(&complete, version).map_err(io("marking the environment complete"))?;
    Ok(programs)
}

/// What `python3` says it is, if it is new enough.
fn interpreter_version() -> Result<String, PythonError> {
    let output = Command::new("python3")
        .arg("--version")
        .output()
        .ok()
        .filter(|output| output.status.success())
        .ok_or_else(|| PythonError::Missing("there is no python3".to_owned()))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if parse_version(&version).is_none_or(|found| found < OLDEST) {
        let (major, minor) = OLDEST;
        return Err(PythonError::Missing(format!(
            "python3 says it is {version}, and {major}.{minor} is the oldest that will do"
        )));
    }
    Ok(version)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("Python ")?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

/// FNV-1a, 64 bits: names a folder and nothing else. The standard library's own hasher may change from
/// one Rust to the next, and would then install everything again.
fn digest(parts: &[&[u8]]) -> u64 {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .fold(0xcbf2_9ce4_8422_2325, |state, byte| {
            (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse_version("Python 3.9.2"), Some((3, 9)));
        assert!(parse_version("Python 3.9.2") < Some(OLDEST));
        assert!(parse_version("Python 3.14.0rc1") > Some(OLDEST));
        assert_eq!(parse_version("pyenv: no such command"), None);
    }

    #[test]
    fn the_digest_is_the_published_one_and_tells_lists_apart() {
        assert_eq!(digest(&[b"a"]), 0xaf63_dc4c_8601_ec8c);
        assert_ne!(digest(&[b"one"]), digest(&[b"two"]));
    }
}
