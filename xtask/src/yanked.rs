//! No crate of Cargo.lock was yanked, which is how authors take a release back: `[advisories] yanked` of deny.toml.
//!
//! A lock file keeps a release that was yanked since, and cargo builds it without a word. So a package beside the
//! checkout asks for each locked release and for no other, and cargo looks for them without a lock: it finds no
//! yanked one. Cargo is asked because it knows the index, its mirrors, the proxy and what it read before. An
//! index that gives no answer says nothing about a crate: then the step is skipped aloud, in CI too.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use toml_edit::{DocumentMut, Item};

use crate::cargo;
use crate::environment;
use crate::steps::Outcome;

/// Why cargo could not be asked.
#[derive(Debug, thiserror::Error)]
enum YankedError {
    #[error("Cargo.lock is no TOML: {0}")]
    Toml(#[from] toml_edit::TomlError),
    #[error("neither XDG_CACHE_HOME nor HOME says where to put a package")]
    NoCache,
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

pub(crate) fn check(root: &Path) -> Outcome {
    match ask(root) {
        Ok((is_resolved, said)) => judge(is_resolved, &said),
        Err(error) => Outcome::failed(error.to_string()),
    }
}

/// Whether cargo found every locked release, and what it said.
fn ask(root: &Path) -> Result<(bool, String), YankedError> {
    let manifest = manifest(&std::fs::read_to_string(root.join("Cargo.lock"))?)?;
    let cache = environment::cache_folder().ok_or(YankedError::NoCache)?;
    // Another checkout may be asking at the same time.
    let folder = cache.join(format!("yanked-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::write(folder.join("src/lib.rs"), "")?;
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    let output = cargo::command(&folder)
        .arg("generate-lockfile")
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_NET_RETRY", "1")
        .env("CARGO_HTTP_TIMEOUT", "10")
        .stdin(Stdio::null())
        .output()?;
    std::fs::remove_dir_all(&folder)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.success(), said))
}

/// A package that asks for each release that a lock file has from a registry, and for no other.
fn manifest(lock: &str) -> Result<String, toml_edit::TomlError> {
    let lock: DocumentMut = lock.parse()?;
    let mut manifest = "[package]\nname = \"locked\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
        [workspace]\n\n[dependencies]\n"
        .to_owned();
    let packages = lock.get("package").and_then(Item::as_array_of_tables);
    for (number, package) in packages.into_iter().flatten().enumerate() {
        let text = |key: &str| package.get(key).and_then(Item::as_str);
        // The workspace's own crates have no source.
        let (Some(name), Some(version), Some(_)) = (text("name"), text("version"), text("source"))
        else {
            continue;
        };
        // What stands behind a plus tells no releases apart.
        let version = version.split('+').next().unwrap_or(version);
        writeln!(
            manifest,
            "crate-{number} = {{ package = \"{name}\", version = \"={version}\", default-features = false }}"
        )
        .expect("a string takes everything");
    }
    Ok(manifest)
}

fn judge(is_resolved: bool, said: &str) -> Outcome {
    if is_resolved {
        println!("no crate of Cargo.lock is yanked");
        return Outcome::Passed;
    }
    let lines = said.lines().map(str::trim);
    let mut lines = lines.skip_while(|line| !line.starts_with("error:"));
    let error = lines.next().unwrap_or("error: cargo gave no reason");
    // Whatever else it says came from the index, or from a package that asks for what can't be.
    if error.contains("failed to select a version") {
        let why = lines.next().unwrap_or_default();
        return Outcome::failed(format!(
            "{error}: {why}; where a release was yanked, `cargo update` takes another"
        ));
    }
    Outcome::Skipped(format!(
        "the index did not say which releases are yanked ({error})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "deploy"
version = "0.1.0"
dependencies = ["http 1.5.0"]

[[package]]
name = "http"
version = "0.2.12"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "http"
version = "1.5.0"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "zstd-sys"
version = "2.0.16+zstd.1.5.7"
source = "registry+https://github.com/rust-lang/crates.io-index"
"#;

    #[test]
    fn each_locked_release_is_asked_for_and_nothing_of_the_workspace() {
        let manifest = manifest(LOCK).expect("TOML");
        let (_, asked) = manifest.split_once("[dependencies]\n").expect("a table");
        assert_eq!(
            asked,
            "crate-1 = { package = \"http\", version = \"=0.2.12\", default-features = false }\n\
             crate-2 = { package = \"http\", version = \"=1.5.0\", default-features = false }\n\
             crate-3 = { package = \"zstd-sys\", version = \"=2.0.16\", default-features = false }\n"
        );
        assert!(manifest.parse::<DocumentMut>().is_ok());
    }

    #[test]
    fn what_was_yanked_fails_and_an_index_without_an_answer_does_not() {
        let yanked = "    Updating crates.io index\n\
            error: failed to select a version for the requirement `spin = \"=0.10.0\"`\n\
            \x20 version 0.10.0 is yanked\nlocation searched: crates.io index\n";
        assert_eq!(
            judge(false, yanked),
            Outcome::failed(
                "error: failed to select a version for the requirement `spin = \"=0.10.0\"`: version 0.10.0 is \
                 yanked; where a release was yanked, `cargo update` takes another"
            )
        );
        let silent = "    Updating crates.io index\n\
            warning: spurious network error (1 try remaining)\n\
            error: failed to get `spin` as a dependency of package `locked v0.0.0`\n";
        for said in [silent, ""] {
            assert!(matches!(judge(false, said), Outcome::Skipped(_)), "{said}");
        }
        assert_eq!(judge(true, "     Locking 600 packages"), Outcome::Passed);
    }

    #[test]
    fn the_lock_of_this_workspace_is_asked_for() {
        let root = environment::workspace_root();
        let lock = std::fs::read_to_string(root.join("Cargo.lock")).expect("the file is there");
        let manifest = manifest(&lock).expect("TOML");
        let asked = |name: &str| manifest.contains(&format!("package = \"{name}\""));
        assert!(asked("aws-sdk-sagemaker") && !asked("shared"));
    }
}
