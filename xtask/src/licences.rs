//! Every crate in Cargo.lock, for whatever platform, against the licences that deny.toml permits.
//!
//! The file is cargo-deny's own, read here for its licences, and by `bans` for banned crates and sources, so that the
//! check needs neither a half-hour build of cargo-deny nor its advisory database. An exception must say why, in a comment above it. One that nothing uses any more
//! is reported too: it would permit the next crate of that name unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use toml_edit::{DocumentMut, Table};

use crate::bans;
use crate::cargo;
use crate::spdx::Expression;
use crate::steps::Outcome;

/// Why the licences could not be checked.
#[derive(Debug, thiserror::Error)]
enum LicenceError {
    #[error("deny.toml can't be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("deny.toml is no TOML: {0}")]
    Toml(#[from] toml_edit::TomlError),
    #[error("deny.toml: {0}")]
    Shape(String),
    #[error("cargo metadata failed: {0}")]
    Metadata(String),
    #[error("cargo metadata is no JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What deny.toml permits.
#[derive(Debug, Default, PartialEq, Eq)]
struct Policy {
    allow: BTreeSet<String>,
    /// By crate name.
    exceptions: BTreeMap<String, BTreeSet<String>>,
}

/// A crate and its licence as its manifest has it.
#[derive(Debug)]
struct Crate {
    name: String,
    version: String,
    licence: Option<String>,
}

pub(crate) fn check(root: &Path) -> Outcome {
    match findings(root) {
        Ok(findings) => Outcome::of_findings(findings),
        Err(error) => Outcome::failed(error.to_string()),
    }
}

fn findings(root: &Path) -> Result<Vec<String>, LicenceError> {
    let text = std::fs::read_to_string(root.join("deny.toml"))?;
    let policy = Policy::parse(&text)?;
    let output = cargo::command(root)
        .args(["metadata", "--format-version", "1", "--locked"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| LicenceError::Metadata(error.to_string()))?;
    if !output.status.success() {
        return Err(LicenceError::Metadata(output.status.to_string()));
    }
    let metadata = serde_json::from_slice(&output.stdout)?;
    let crates = crates_of(&metadata)?;
    let mut findings = policy.judge(&crates);
    findings.extend(bans::judge(&text.parse()?, &metadata, root));
    if findings.is_empty() {
        println!(
            "{} crates, all under permitted licences, none banned, none from elsewhere than crates.io",
            crates.len()
        );
    }
    Ok(findings)
}

fn crates_of(metadata: &Value) -> Result<Vec<Crate>, LicenceError> {
    let text = |package: &Value, key: &str| package[key].as_str().map(str::to_owned);
    metadata["packages"]
        .as_array()
        .ok_or_else(|| LicenceError::Metadata("it lists no packages".to_owned()))?
        .iter()
        .map(|package| {
            Ok(Crate {
                name: text(package, "name")
                    .ok_or_else(|| LicenceError::Metadata("a package has no name".to_owned()))?,
                version: text(package, "version").unwrap_or_default(),
                licence: text(package, "license"),
            })
        })
        .collect()
}

impl Policy {
    fn parse(text: &str) -> Result<Policy, LicenceError> {
        let document: DocumentMut = text.parse()?;
        let licences = document
            .get("licenses")
            .and_then(|item| item.as_table())
            .ok_or_else(|| LicenceError::Shape("there is no [licenses]".to_owned()))?;
        let mut policy = Policy {
            allow: strings(licences, "allow")?,
            exceptions: BTreeMap::new(),
        };
        let Some(exceptions) = licences.get("exceptions") else {
            return Ok(policy);
        };
        let exceptions = exceptions.as_array_of_tables().ok_or_else(|| {
            LicenceError::Shape("write exceptions as [[licenses.exceptions]]".to_owned())
        })?;
        for exception in exceptions {
            let name = exception
                .get("crate")
                .and_then(|item| item.as_str())
                .ok_or_else(|| LicenceError::Shape("an exception names no crate".to_owned()))?;
            let above = exception
                .decor()
                .prefix()
                .and_then(|prefix| prefix.as_str());
            if !above.is_some_and(|above| above.contains('#')) {
                return Err(LicenceError::Shape(format!(
                    "the exception for {name} has no comment above it that says why"
                )));
            }
            let allow = strings(exception, "allow")?;
            policy.exceptions.insert(name.to_owned(), allow);
        }
        Ok(policy)
    }

    fn judge(&self, crates: &[Crate]) -> Vec<String> {
        let mut findings = Vec::new();
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for one in crates {
            let place = format!("{} {}", one.name, one.version);
            let Some(licence) = &one.licence else {
                findings.push(format!("{place} names no licence"));
                continue;
            };
            let expression = match Expression::parse(licence) {
                Ok(expression) => expression,
                Err(error) => {
                    findings.push(format!("{place}: {error}"));
                    continue;
                }
            };
            if expression.is_met_by(&|licence| self.allow.contains(licence)) {
                continue;
            }
            let exception = self.exceptions.get(&one.name);
            let excepted = |licence: &str| {
                self.allow.contains(licence)
                    || exception.is_some_and(|allow| allow.contains(licence))
            };
            if expression.is_met_by(&excepted) {
                used.insert(&one.name);
            } else {
                findings.push(format!(
                    "{place} is under {expression}, which deny.toml does not permit"
                ));
            }
        }
        for name in self.exceptions.keys() {
            if !used.contains(name.as_str()) {
                findings.push(format!(
                    "the exception for {name} in deny.toml is not needed"
                ));
            }
        }
        findings
    }
}

fn strings(table: &Table, key: &str) -> Result<BTreeSet<String>, LicenceError> {
    let shape = || LicenceError::Shape(format!("`{key}` must be a list of licences"));
    table
        .get(key)
        .and_then(|item| item.as_array())
        .ok_or_else(shape)?
        .iter()
        .map(|value| value.as_str().map(str::to_owned).ok_or_else(shape))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
[licenses]
allow = ["MIT", "Apache-2.0"]
# Small, and unavoidable.
[[licenses.exceptions]]
crate = "odd"
allow = ["Odd-1.0"]
"#;

    fn judged(crates: &[(&str, Option<&str>)]) -> Vec<String> {
        let crates: Vec<Crate> = crates
            .iter()
            .map(|(name, licence)| Crate {
                name: (*name).to_owned(),
                version: "1.0.0".to_owned(),
                licence: licence.map(str::to_owned),
            })
            .collect();
        Policy::parse(POLICY)
            .expect("the policy is well formed")
            .judge(&crates)
    }

    #[test]
    fn permitted_and_excepted_crates_pass() {
        let findings = judged(&[
            ("plain", Some("MIT OR GPL-3.0-only")),
            ("odd", Some("Odd-1.0 AND MIT")),
        ]);
        assert_eq!(findings, Vec::<String>::new());
    }

    #[test]
    fn everything_else_is_found() {
        let findings = judged(&[
            ("other", Some("Odd-1.0")),
            ("silent", None),
            ("garbled", Some("MIT OR")),
        ]);
        assert_eq!(
            findings,
            [
                "other 1.0.0 is under Odd-1.0, which deny.toml does not permit",
                "silent 1.0.0 names no licence",
                "garbled 1.0.0: a licence is expected at the end of `MIT OR`",
                "the exception for odd in deny.toml is not needed",
            ]
        );
    }

    #[test]
    fn an_exception_says_why() {
        let bare = POLICY.replace("# Small, and unavoidable.\n", "");
        let error = Policy::parse(&bare).expect_err("there is no reason");
        assert!(error.to_string().contains("says why"), "{error}");
    }

    #[test]
    fn the_policy_of_this_workspace_can_be_read() {
        let root = crate::environment::workspace_root();
        let text = std::fs::read_to_string(root.join("deny.toml")).expect("the file is there");
        let policy = Policy::parse(&text).expect("it is well formed");
        assert!(policy.allow.contains("Apache-2.0"));
    }
}
