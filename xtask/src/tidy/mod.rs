//! What no compiler holds: the domain stays pure, and the documents stay true.

mod architecture;
mod domain;
mod links;
mod markdown;
mod proofs;
mod rust_code;

use std::io;
use std::path::{Path, PathBuf};

use crate::steps::Outcome;

/// Folders that are made, not written.
const GENERATED: [&str; 6] = [
    ".git",
    ".aws-sam",
    ".venv",
    "__pycache__",
    "node_modules",
    "target",
];

pub(crate) fn check(root: &Path) -> Outcome {
    match Tree::read(root) {
        Ok(tree) => {
            let checks = [
                domain::check,
                links::check,
                architecture::check,
                proofs::check,
            ];
            let found: io::Result<Vec<Vec<String>>> =
                checks.iter().map(|check| check(&tree)).collect();
            match found {
                Ok(findings) => {
                    let mut findings = findings.concat();
                    findings.extend(crate::costs::check(root));
                    Outcome::of_findings(findings)
                }
                Err(error) => Outcome::failed(format!("a file can't be read: {error}")),
            }
        }
        Err(error) => Outcome::failed(format!("the checkout can't be read: {error}")),
    }
}

/// The paths of a checkout, relative to its root, in order.
struct Tree {
    root: PathBuf,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Tree {
    fn read(root: &Path) -> io::Result<Tree> {
        let mut tree = Tree {
            root: root.to_path_buf(),
            files: Vec::new(),
            folders: Vec::new(),
        };
        let mut to_visit = vec![PathBuf::new()];
        while let Some(folder) = to_visit.pop() {
            for entry in std::fs::read_dir(root.join(&folder))? {
                let entry = entry?;
                let name = entry.file_name();
                let path = folder.join(&name);
                if !entry.file_type()?.is_dir() {
                    tree.files.push(path);
                } else if !GENERATED.iter().any(|generated| name == *generated) {
                    tree.folders.push(path.clone());
                    to_visit.push(path);
                }
            }
        }
        tree.files.sort();
        tree.folders.sort();
        Ok(tree)
    }

    fn text(&self, file: &Path) -> io::Result<String> {
        std::fs::read_to_string(self.root.join(file))
    }

    fn files_ending<'tree>(
        &'tree self,
        extension: &'tree str,
    ) -> impl Iterator<Item = &'tree PathBuf> {
        self.files
            .iter()
            .filter(move |file| file.extension().is_some_and(|found| found == extension))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_checkout_is_seen_without_what_is_generated() {
        let tree = Tree::read(&crate::environment::workspace_root()).expect("it can be read");
        assert!(tree.files.contains(&PathBuf::from("xtask/src/tidy/mod.rs")));
        assert!(!tree.folders.iter().any(|folder| folder.starts_with(".git")));
    }
}
