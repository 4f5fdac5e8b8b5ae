//! `shared/src/domain` knows no I/O, no clock and no environment.
//!
//! Cargo can't hold this, because the layers around the domain live in the same crate and need those
//! dependencies. Comments and literals may say the words; code may not use them.

use std::io;
use std::path::Path;

use super::Tree;
use super::rust_code::{self, Name};

const FOLDER: &str = "shared/src/domain";

pub(super) fn check(tree: &Tree) -> io::Result<Vec<String>> {
    let mut findings = Vec::new();
    let inside = |file: &&std::path::PathBuf| file.starts_with(FOLDER);
    for file in tree.files_ending("rs").filter(inside) {
        findings.extend(impurities(file, &tree.text(file)?));
    }
    Ok(findings)
}

fn impurities(file: &Path, source: &str) -> Vec<String> {
    rust_code::names(source)
        .iter()
        .filter_map(|name| {
            let what = impurity(name)?;
            Some(format!(
                "{}:{}: `{}` in the domain, which knows no {what}",
                file.display(),
                name.line,
                name.text
            ))
        })
        .collect()
}

/// What the name brings in that the domain must not have.
fn impurity(name: &Name) -> Option<&'static str> {
    let mut segments = name.text.split("::").peekable();
    while let Some(segment) = segments.next() {
        let what = match (segment, segments.peek().copied()) {
            ("async" | "tokio", _) => "asynchronous code",
            ("tracing", _) => "logging",
            ("SystemTime", _) | ("Timestamp" | "Zoned", Some("now")) => "clock",
            ("std", Some("env")) => "environment",
            (segment, _) if segment.starts_with("aws_") => "AWS",
            _ => continue,
        };
        return Some(what);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_domain_may_not_use_is_found_with_its_line() {
        for (code, what) in [
            ("pub async fn f() {}", "asynchronous code"),
            ("use tokio::time;", "asynchronous code"),
            ("tracing::info!(\"x\");", "logging"),
            ("let now = jiff::Timestamp::now();", "clock"),
            ("let now = Timestamp :: now();", "clock"),
            ("use std::time::SystemTime;", "clock"),
            ("std::env::var(\"X\")", "environment"),
            ("use aws_sdk_sagemaker::Client;", "AWS"),
        ] {
            let source = format!("//! About async code.\n\n{code}");
            let found = impurities(Path::new("domain/x.rs"), &source);
            assert_eq!(found.len(), 1, "{code}: {found:?}");
            assert!(found[0].starts_with("domain/x.rs:3: "), "{found:?}");
            assert!(found[0].ends_with(what), "{found:?}");
        }
    }

    #[test]
    fn words_that_only_look_alike_are_left_alone() {
        let source = r#"
            // async, tokio, aws_sdk, SystemTime, std::env
            let async_endpoint = "tracing tokio async";
            let at: jiff::Timestamp = later(now); draws_ (std::time::Duration::ZERO);
            struct AsyncInference; let environment = ();
        "#;
        assert_eq!(impurities(Path::new("x.rs"), source), Vec::<String>::new());
    }
}
