//! Every link from one document of the project to another leads somewhere, anchors included.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::{Tree, markdown};

pub(super) fn check(tree: &Tree) -> io::Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in tree.files_ending("md") {
        let text = tree.text(file)?;
        for line in markdown::lines(&text).iter().filter(|line| !line.is_code) {
            for target in markdown::targets(line.text) {
                if let Some(fault) = fault(tree, file, &text, &target)? {
                    findings.push(format!("{}:{}: {fault}", file.display(), line.number));
                }
            }
        }
    }
    Ok(findings)
}

/// What is wrong with a link, if it leads into the checkout and something is.
fn fault(tree: &Tree, from: &Path, text: &str, target: &str) -> io::Result<Option<String>> {
    // A scheme comes before any slash; `//host` has none and leaves the project all the same.
    let is_elsewhere = target.starts_with("//")
        || target
            .split_once(':')
            .is_some_and(|(scheme, _)| !scheme.contains(['/', '#', '.']));
    if is_elsewhere {
        return Ok(None);
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    if path.is_empty() {
        let is_there = anchor.is_empty() || markdown::anchors(text).iter().any(|one| one == anchor);
        return Ok((!is_there).then(|| format!("there is no heading for #{anchor}")));
    }
    let Some(file) = resolve(from, path) else {
        return Ok(Some(format!("{target} leads out of the project")));
    };
    if tree.folders.contains(&file) || file == Path::new("") {
        return Ok(None);
    }
    if !tree.files.contains(&file) {
        return Ok(Some(format!("there is no {path}")));
    }
    if anchor.is_empty() || file.extension().is_none_or(|extension| extension != "md") {
        return Ok(None);
    }
    let anchors = markdown::anchors(&tree.text(&file)?);
    let is_there = anchors.iter().any(|one| one == anchor);
    Ok((!is_there).then(|| format!("{path} has no heading for #{anchor}")))
}

/// The path from the root of what a link in a file names; none if that lies outside.
fn resolve(from: &Path, target: &str) -> Option<PathBuf> {
    let start = match target.strip_prefix('/') {
        Some(_) => Path::new(""),
        None => from.parent().unwrap_or(Path::new("")),
    };
    let mut path = PathBuf::new();
    for component in start.join(target.trim_start_matches('/')).components() {
        match component {
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(target: &str) -> Option<String> {
        let tree = Tree::read(&crate::environment::workspace_root()).expect("it can be read");
        let from = Path::new("docs/decisions/README.md");
        fault(&tree, from, "# One heading", target).expect("the files can be read")
    }

    #[test]
    fn what_is_there_or_elsewhere_is_no_fault() {
        for target in [
            "https://example.com/no.md",
            "mailto:someone@example.com",
            "../../LICENSE",
            "/LICENSE",
            "../decisions",
            "../..",
            "#one-heading",
            "../../xtask/Cargo.toml#L1",
        ] {
            assert_eq!(faults(target), None, "{target}");
        }
    }

    #[test]
    fn what_is_not_there_is_a_fault() {
        for target in [
            "no.md",
            "../../../outside.md",
            "#no-heading",
            "README.md#no-heading-of-this-name",
        ] {
            assert!(faults(target).is_some(), "{target}");
        }
    }
}
