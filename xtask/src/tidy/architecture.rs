//! Every folder that ARCHITECTURE.md names is there, and every crate lies in or around one that it names.
//!
//! A name counts if it stands between backticks in the first cell of a table's row, where it may be a file's; or if it
//! ends in a slash, between backticks or in a fenced drawing of the tree. It may be written from the root or from
//! further in: `shared/src/domain/` and `domain/` are one folder.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::{Tree, markdown};

const FILE: &str = "ARCHITECTURE.md";

pub(super) fn check(tree: &Tree) -> io::Result<Vec<String>> {
    let file = Path::new(FILE);
    if !tree.files.iter().any(|found| found == file) {
        return Ok(Vec::new());
    }
    let named = named_paths(&tree.text(file)?);
    let paths = || tree.folders.iter().chain(&tree.files);
    let is_there = |path: &str| paths().any(|found| found.ends_with(path));
    let missing = named.iter().filter(|(_, path)| !is_there(path));
    let missing = missing.map(|(line, path)| format!("{FILE}:{line}: there is no {path}"));
    let is_named = |folder: &Path| {
        let mut named = named.iter().map(|(_, path)| Path::new(path));
        named.any(|path| folder.starts_with(path) || path.starts_with(folder))
    };
    let manifests = tree
        .files
        .iter()
        .filter(|file| file.ends_with("Cargo.toml"));
    let crates = manifests.filter_map(|file| file.parent());
    let unnamed = crates
        .filter(|folder| *folder != Path::new("") && !is_named(folder))
        .map(|folder| format!("{FILE} does not name {}", folder.display()));
    Ok(missing.chain(unnamed).collect())
}

fn named_paths(text: &str) -> BTreeSet<(usize, String)> {
    let mut found = BTreeSet::new();
    for line in markdown::lines(text) {
        let row = line.text.strip_prefix('|').filter(|_| !line.is_code);
        let first = row
            .and_then(|row| row.split('|').next())
            .unwrap_or_default();
        for path in markdown::code_spans(first).filter(|path| is_relative_path(path)) {
            found.insert((line.number, path.trim_end_matches('/').to_owned()));
        }
        let candidates: Vec<&str> = if line.is_code {
            line.text.split_whitespace().collect()
        } else {
            markdown::code_spans(line.text).collect()
        };
        for candidate in candidates {
            if let Some(folder) = candidate.strip_suffix('/')
                && is_relative_path(folder)
            {
                found.insert((line.number, folder.to_owned()));
            }
        }
    }
    found
}

/// Routes start with a slash, addresses hold a colon, and commands hold spaces: none is a folder.
fn is_relative_path(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('/')
        && text
            .chars()
            .all(|character| character.is_alphanumeric() || "/._-".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_map_names_is_looked_for() {
        let text = "| folder | holds |\n|---|---|\n| `docs`, `src/gateway.rs` | `not/this` |\n| PENDING | x |\n";
        let named: Vec<String> = named_paths(text)
            .into_iter()
            .map(|(_, path)| path)
            .collect();
        assert_eq!(named, ["docs", "src/gateway.rs"]);
        let tree = Tree::read(&crate::environment::workspace_root()).expect("it can be read");
        let text = tree.text(Path::new(FILE)).expect("the file is there");
        assert!(
            named_paths(&text)
                .iter()
                .any(|(_, path)| path == "shared/src/app")
        );
        assert_eq!(check(&tree).expect("it can be read"), Vec::<String>::new());
    }

    #[test]
    fn folders_are_named_in_spans_and_drawings() {
        let text = "See `shared/src/domain/` and `GET /deployments/`, not word/ or `https://x/`.\n\
            ```\n├── cli/   the command line\n    src/\n```\n";
        let folders: Vec<String> = named_paths(text)
            .into_iter()
            .map(|(_, folder)| folder)
            .collect();
        assert_eq!(folders, ["shared/src/domain", "cli", "src"]);
    }
}
