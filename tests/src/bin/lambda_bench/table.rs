//! The tables of the document, and where they go.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ::tests::measured;

use crate::measure::{Cold, Memory, Warm};
use crate::options::Options;
use crate::overhead::Round;
use crate::subject::Subject;

const COMMAND: &str = "cargo xtask bench lambda";

/// Everything that was measured of one subject.
pub(crate) struct Row {
    name: &'static str,
    rival: Option<&'static str>,
    /// Bytes of the binary and of its archive, of our own.
    sizes: Option<(u64, Option<u64>)>,
    cold: Vec<Cold>,
    memory: Option<Memory>,
    warm: Option<Warm>,
}

impl Row {
    pub(crate) fn new(subject: &Subject) -> Self {
        let bytes = |path: &Path| std::fs::metadata(path).map(|data| data.len()).ok();
        Self {
            name: subject.name,
            rival: subject.rival,
            sizes: bytes(&subject.program)
                .filter(|_| subject.is_ours())
                .map(|binary| (binary, bytes(&subject.archive()))),
            cold: Vec::new(),
            memory: None,
            warm: None,
        }
    }

    pub(crate) fn add_cold(&mut self, cold: Cold) {
        self.cold.push(cold);
    }

    pub(crate) fn add_memory(&mut self, memory: Memory) {
        self.memory = Some(memory);
    }

    pub(crate) fn add_warm(&mut self, warm: Warm) {
        self.warm = Some(warm);
    }

    /// Least and median of the cold starts, by this part of them.
    fn starts(&self, part: impl Fn(&Cold) -> Duration) -> (f64, f64) {
        let mut all: Vec<Duration> = self.cold.iter().map(part).collect();
        all.sort_unstable();
        (milliseconds(all[0]), milliseconds(all[all.len() / 2]))
    }

    fn quantile(&self, part: f64) -> f64 {
        let latencies = &self.warm.as_ref().expect("it was measured").latencies;
        milliseconds(quantile(latencies, part))
    }
}

/// The figure that this part of all stays within.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position in a list, between its first and its last"
)]
fn quantile<T: Copy>(ascending: &[T], part: f64) -> T {
    let rank = (ascending.len() as f64 * part).ceil() as usize;
    ascending[rank.clamp(1, ascending.len()) - 1]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn megabytes_of(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

/// All tables, with how they came about.
pub(crate) fn tables(rows: &[Row], rounds: &[Round], options: &Options) -> String {
    let mut text = origin(options);
    text.push_str(&starts(rows));
    text.push_str(&sizes(rows));
    text.push_str(&latencies(rows));
    text.push_str(&added(rounds));
    text
}

fn origin(options: &Options) -> String {
    let profile = if options.rust.is_some() {
        "release"
    } else {
        "dev"
    };
    format!(
        "{}; {} cold starts and {} warm events of each, in turns.\n",
        measured::origin(COMMAND, profile),
        options.runs,
        options.requests,
    )
}

fn starts(rows: &[Row]) -> String {
    let mut text =
        "\n| | first poll, ms | first answer, ms | Python's first answer, ms | Python / ours |\n\
         |---|---|---|---|---|\n"
            .to_owned();
    for row in rows {
        let (poll, answer) = (
            row.starts(|cold| cold.first_poll),
            row.starts(|cold| cold.first_answer),
        );
        let rival = rows.iter().find(|other| Some(other.name) == row.rival);
        let (theirs, ratio) = rival.map_or((String::new(), String::new()), |rival| {
            let theirs = rival.starts(|cold| cold.first_answer);
            let ratio = format!("{:.0} / {:.0}", theirs.0 / answer.0, theirs.1 / answer.1);
            (format!("{:.0} / {:.0}", theirs.0, theirs.1), ratio)
        });
        writeln!(
            text,
            "| {} | {:.1} / {:.1} | {:.1} / {:.1} | {theirs} | {ratio} |",
            row.name, poll.0, poll.1, answer.0, answer.1
        )
        .expect("a string takes everything");
    }
    text.push_str("\nEach cell: least / median of all starts.\n");
    text
}

fn sizes(rows: &[Row]) -> String {
    let mut text = "\n| | binary, MB | zip, MB | resident after start, MB | of its own, MB | resident when warm, MB |\n\
         |---|---|---|---|---|---|\n"
        .to_owned();
    let cell = |bytes: Option<u64>| {
        bytes.map_or(String::new(), |bytes| format!("{:.2}", bytes as f64 / 1e6))
    };
    for row in rows {
        let memory = row.memory.expect("it was measured");
        let warm = row.warm.as_ref().expect("it was measured").memory;
        writeln!(
            text,
            "| {} | {} | {} | {:.1} | {:.1} | {:.1} |",
            row.name,
            cell(row.sizes.map(|sizes| sizes.0)),
            cell(row.sizes.and_then(|sizes| sizes.1)),
            megabytes_of(memory.resident),
            megabytes_of(memory.proportional),
            megabytes_of(warm.resident),
        )
        .expect("a string takes everything");
    }
    text.push_str("\n1 MB is 10^6 bytes. \"Of its own\" counts a page that several processes share in part.\n");
    text
}

fn latencies(rows: &[Row]) -> String {
    let mut text = "\n| warm, one at a time | p50, ms | p99, ms |\n|---|---|---|\n".to_owned();
    for row in rows {
        let (half, most) = (row.quantile(0.5), row.quantile(0.99));
        writeln!(text, "| {} | {half:.2} | {most:.2} |", row.name)
            .expect("a string takes everything");
    }
    text
}

/// A figure of a round, in milliseconds.
type Figure = fn(&Round) -> f64;

/// What was measured, and the differences round by round.
const FIGURES: [(&str, Figure); 7] = [
    ("InvokeEndpoint by the SDK", |round| {
        milliseconds(round.direct)
    }),
    ("a prediction by `inference`", |round| {
        milliseconds(round.prediction)
    }),
    ("an event that `inference` refuses at once", |round| {
        milliseconds(round.refusal)
    }),
    ("a prediction with the records read anew", |round| {
        milliseconds(round.anew)
    }),
    ("**added to InvokeEndpoint**", |round| {
        milliseconds(round.prediction) - milliseconds(round.direct)
    }),
    ("of that, by the handler", |round| {
        milliseconds(round.prediction) - milliseconds(round.direct) - milliseconds(round.refusal)
    }),
    ("added with the records read anew", |round| {
        milliseconds(round.anew) - milliseconds(round.direct)
    }),
];

/// What stands beside InvokeEndpoint in a request to `inference`.
fn added(rounds: &[Round]) -> String {
    let mut text =
        "\n| InvokeEndpoint and `inference`, in turns | p50, ms | p99, ms |\n|---|---|---|\n"
            .to_owned();
    for (name, figure) in FIGURES {
        let mut all: Vec<f64> = rounds.iter().map(figure).collect();
        all.sort_unstable_by(f64::total_cmp);
        let (half, most) = (quantile(&all, 0.5), quantile(&all, 0.99));
        writeln!(text, "| {name} | {half:.2} | {most:.2} |").expect("a string takes everything");
    }
    text
}

/// Puts the tables in place of the last ones. Only the release profile's are worth keeping.
pub(crate) fn put(document: &Path, tables: &str, options: &Options) -> ExitCode {
    if options.rust.is_none() {
        eprintln!("the dev profile's tables are not worth keeping");
        return ExitCode::FAILURE;
    }
    measured::put(document, COMMAND, tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_latencies() {
        let ascending: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile(&ascending, 0.5), Duration::from_millis(100));
        assert_eq!(quantile(&ascending, 0.99), Duration::from_millis(198));
        assert_eq!(quantile(&ascending[..1], 0.99), Duration::from_millis(1));
    }
}
