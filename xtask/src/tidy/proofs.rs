//! Every proof that `docs/reliability.md` names is a test of that name: `file::test`, where the file
//! is one of Rust, by its stem, or by its folder's name where it is a `main.rs`. Every row of its
//! tables that begins with a number or a promise names at least one.

use std::io;
use std::path::Path;

use super::{Tree, markdown};

const DOCUMENT: &str = "docs/reliability.md";

pub(super) fn check(tree: &Tree) -> io::Result<Vec<String>> {
    let mut findings = Vec::new();
    let text = tree.text(Path::new(DOCUMENT))?;
    for line in markdown::lines(&text).iter().filter(|line| !line.is_code) {
        let proofs: Vec<(&str, &str)> = markdown::code_spans(line.text).filter_map(proof).collect();
        if is_claim(line.text) && proofs.is_empty() {
            findings.push(format!(
                "{DOCUMENT}:{}: a claim without a proof",
                line.number
            ));
        }
        for (file, test) in proofs {
            if !exists(tree, file, test)? {
                let what = format!("there is no test {test} in any {file}");
                findings.push(format!("{DOCUMENT}:{}: {what}", line.number));
            }
        }
    }
    Ok(findings)
}

/// A span that names a file and a test in it.
fn proof(span: &str) -> Option<(&str, &str)> {
    let is_name = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_')
    };
    span.split_once("::")
        .filter(|(file, test)| is_name(file) && is_name(test))
}

/// A row that begins with a fault's number or a promise's name.
fn is_claim(line: &str) -> bool {
    let first = line
        .strip_prefix("| ")
        .and_then(|row| row.split(' ').next());
    let number = first.map(|first| first.trim_start_matches('P'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn exists(tree: &Tree, file: &str, test: &str) -> io::Result<bool> {
    let wanted = [format!("fn {test}("), format!("fn {test}<")];
    for path in tree.files_ending("rs") {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let folder = path.parent().and_then(Path::file_name);
        let is_it = match stem {
            Some("main" | "mod") => folder.is_some_and(|folder| folder == file),
            other => other == Some(file),
        };
        if !is_it {
            continue;
        }
        let source = tree.text(path)?;
        if wanted.iter().any(|wanted| source.contains(wanted)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_a_file_and_a_test() {
        assert_eq!(proof("faults::an_hour"), Some(("faults", "an_hour")));
        for other in ["Phase::Baking", "decide", "cargo xtask test", "::", "a::"] {
            assert_eq!(proof(other), None, "{other}");
        }
    }

    #[test]
    fn numbered_rows_are_claims() {
        assert!(is_claim("| 12 late | x |") && is_claim("| P3 COMPLETED | x |"));
        assert!(!is_claim("| fault | x |") && !is_claim("|---|---|") && !is_claim("12 late"));
    }

    #[test]
    fn this_very_test_exists_and_another_does_not() {
        let tree = Tree::read(&crate::environment::workspace_root()).expect("it can be read");
        assert!(exists(&tree, "proofs", "numbered_rows_are_claims").expect("readable"));
        assert!(!exists(&tree, "links", "numbered_rows_are_claims").expect("readable"));
    }
}
