//! Every folder that ARCHITECTURE.md names is there.
//!
//! A name counts if it ends in a slash, between backticks or in a fenced drawing of the tree. It may be
//! written from the root or from further in: `shared/src/domain/` and `domain/` are one folder.

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
    let is_there = |folder: &str| tree.folders.iter().any(|found| found.ends_with(folder));
    Ok(named_folders(&tree.text(file)?)
        .into_iter()
        .filter(|(_, folder)| !is_there(folder))
        .map(|(line, folder)| format!("{FILE}:{line}: there is no folder {folder}/"))
        .collect())
}

fn named_folders(text: &str) -> BTreeSet<(usize, String)> {
    let mut found = BTreeSet::new();
    for line in markdown::lines(text) {
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
    fn folders_are_named_in_spans_and_drawings() {
        let text = "See `shared/src/domain/` and `GET /deployments/`, not word/ or `https://x/`.\n\
            ```\n├── cli/   the command line\n    src/\n```\n";
        let folders: Vec<String> = named_folders(text)
            .into_iter()
            .map(|(_, folder)| folder)
            .collect();
        assert_eq!(folders, ["shared/src/domain", "cli", "src"]);
    }
}
