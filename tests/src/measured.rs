//! Tables of a benchmark: on what they were measured, and where in a document they go.

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;

/// "Measured on DAY by `COMMAND`: PROFILE profile, PROCESSORS, load L", without a full stop: what was
/// done follows.
pub fn origin(command: &str, profile: &str) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "a document says on which day it was measured"
    )]
    let day = Timestamp::now().strftime("%Y-%m-%d").to_string();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
    let model = model.unwrap_or_else(|| "an unknown processor".to_owned());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!(
        "Measured on {day} by `{command}`: {profile} profile, {}, {processors} processors ({model}), load {load}",
        std::env::consts::ARCH,
    )
}

/// Puts the tables in place of the command's last ones, between its two comments.
pub fn put(document: &Path, command: &str, tables: &str) -> ExitCode {
    let begin = format!("<!-- {command}: begin -->\n");
    let end = format!("<!-- {command}: end -->");
    let replaced = std::fs::read_to_string(document).ok().and_then(|text| {
        let (before, rest) = text.split_once(&begin)?;
        let (_, after) = rest.split_once(&end)?;
        Some(format!("{before}{begin}{tables}{end}{after}"))
    });
    let Some(text) = replaced else {
        eprintln!("{} has no place for these tables", document.display());
        return ExitCode::FAILURE;
    };
    match std::fs::write(document, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", document.display());
            ExitCode::FAILURE
        }
    }
}
