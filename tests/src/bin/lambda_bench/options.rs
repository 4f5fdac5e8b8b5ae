//! The command line, which only `cargo xtask` writes.

use std::path::PathBuf;

/// What to measure, and how often.
pub(crate) struct Options {
    /// The folder with `NAME/bootstrap` and `NAME/bootstrap.zip`; without it the dev profile's binaries.
    pub(crate) rust: Option<PathBuf>,
    /// Python's interpreter, with what the handlers need; without it there is nothing to compare with.
    pub(crate) python: Option<PathBuf>,
    /// The folder of the handlers in Python.
    pub(crate) handlers: PathBuf,
    /// Cold starts of each subject.
    pub(crate) runs: usize,
    /// Warm events of each subject.
    pub(crate) requests: usize,
    /// The document whose tables are replaced.
    pub(crate) write: Option<PathBuf>,
}

impl Options {
    /// `--rust DIR --python PROGRAM --handlers DIR --runs N --requests N --write FILE`.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            rust: None,
            python: None,
            handlers: PathBuf::from("xtask/python/bench"),
            runs: 3,
            requests: 50,
            write: None,
        };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            let number = || {
                let number = value.parse().ok().filter(|number| *number > 0);
                number.ok_or_else(|| format!("{name} needs a number above zero"))
            };
            match name.as_str() {
                "--rust" => options.rust = Some(value.into()),
                "--python" => options.python = Some(value.into()),
                "--handlers" => options.handlers = value.into(),
                "--runs" => options.runs = number()?,
                "--requests" => options.requests = number()?,
                "--write" => options.write = Some(value.into()),
                _ => return Err(format!("{name} is unknown")),
            }
        }
        Ok(options)
    }
}
