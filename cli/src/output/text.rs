//! The small pieces of text: times, lengths of time, shares, colours, and what may be printed.

use std::fmt::Write as _;

use jiff::Timestamp;
use owo_colors::{OwoColorize as _, Style};
use shared::domain::evidence::Totals;
use shared::domain::history::Severity;
use shared::domain::quantity::{Span, counted};
use shared::domain::state::{Phase, Status};

use super::Look;

/// What a text means, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// What stands out without being good or bad.
    Strong,
    /// Of less interest.
    Quiet,
    /// As hoped.
    Good,
    /// Somebody may want to look.
    Warning,
    /// Not as hoped.
    Bad,
}

impl Tone {
    /// Of a deployment that stands like this.
    pub(crate) fn of(status: Status, phase: Phase) -> Self {
        match (status, phase) {
            (Status::Completed, _) => Self::Good,
            (Status::Failed | Status::RolledBack | Status::RollingBack, _) => Self::Bad,
            (Status::Cancelled, _) => Self::Warning,
            (_, phase) if phase.waits() => Self::Warning,
            (Status::Pending | Status::InProgress, _) => Self::Strong,
        }
    }

    /// Of something said this loudly.
    pub(crate) fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Detail => Self::Quiet,
            Severity::Info => Self::Plain,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Bad,
        }
    }

    /// The text in its colour, where colours are fine.
    pub(crate) fn paint(self, look: Look, text: &str) -> String {
        let style = match self {
            _ if !look.colour => return text.to_owned(),
            Self::Plain => return text.to_owned(),
            Self::Strong => Style::new().bold(),
            Self::Quiet => Style::new().dimmed(),
            Self::Good => Style::new().green().bold(),
            Self::Warning => Style::new().yellow(),
            Self::Bad => Style::new().red().bold(),
        };
        text.style(style).to_string()
    }
}

/// The text on one line, with whatever could move the cursor, recolour the terminal or reorder
/// the line replaced by a visible mark.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\r' | '\t' => ' ',
            // The second group is Unicode's line breaks, invisible marks and reordering.
            _ if character.is_control() => '\u{fffd}',
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => '\u{fffd}',
            _ => character,
        })
        .collect()
}

/// `2026-11-21 10:20:00`, in UTC.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `2026-11-21 10:20`, in UTC.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// `10:20:00`, in UTC.
pub(super) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// The two largest units: `2d 3h`, `7h 10m`, `45s`.
pub(super) fn length(span: Span) -> String {
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let mut rest = span.secs();
    let mut parts = Vec::new();
    for (size, unit) in units {
        // Only neighbours: `2d 3m` reads as if the hours were forgotten.
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() {
        return "0s".to_owned();
    }
    parts.join(" ")
}

/// The share of answers that were 5XX; a dash of none.
pub(super) fn error_rate(errors: u64, requests: u64) -> String {
    if requests == 0 {
        return "-".to_owned();
    }
    format!("{:.2} %", errors as f64 / requests as f64 * 100.0)
}

/// `1234 requests, 0.08 % errors`.
pub(super) fn traffic(totals: &Totals) -> String {
    let requests = totals.invocations;
    match requests {
        0 => "no requests".to_owned(),
        _ => format!(
            "{}, {} errors",
            counted(requests, "request"),
            error_rate(totals.errors_5xx, requests)
        ),
    }
}

/// The text in lines that fit the terminal, each after so many spaces; in a single one where there is
/// no terminal to fit.
pub(crate) fn paragraph(look: Look, indent: usize, text: &str) -> String {
    let line = format!("{}{text}", " ".repeat(indent));
    match look.columns() {
        Some(columns) => broken(columns, indent, &line),
        None => line,
    }
}

/// The text with the lines that are too wide for the terminal broken between words; as it is where there
/// is no terminal to fit.
pub(crate) fn fitted(look: Look, text: &str) -> String {
    let Some(columns) = look.columns() else {
        return text.to_owned();
    };
    let lines = text.split('\n').map(|line| {
        // A frame is fitted where it is drawn.
        if width(line) <= columns || line.starts_with(['┌', '│', '╞', '└']) {
            line.to_owned()
        } else {
            broken(columns, hanging(columns, line), line)
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Under what a broken line goes on: where the last column begins that leaves half of the terminal to the
/// text, or where the line itself does.
fn hanging(columns: usize, line: &str) -> usize {
    let (mut spaces, mut begins) = (0, 0);
    for (place, character) in uncoloured(line).take(columns / 2 + 1).enumerate() {
        if character == ' ' {
            spaces += 1;
            continue;
        }
        // Words have one space between them, columns have more.
        if spaces > 1 || spaces == place {
            begins = place;
        }
        spaces = 0;
    }
    begins
}

/// One line as several, the first as it begins and the others after so many spaces.
fn broken(columns: usize, indent: usize, text: &str) -> String {
    // However narrow it is, a word has room.
    let columns = columns.max(indent + 20);
    let margin = " ".repeat(indent);
    let mut words = text.split(' ');
    let mut lines = vec![words.next().unwrap_or_default().to_owned()];
    for word in words {
        let line = lines.last_mut().expect("there is one from the start");
        let begun = width(line);
        if begun <= indent || begun + 1 + width(word) <= columns {
            line.push(' ');
            line.push_str(word);
        } else if !word.is_empty() {
            lines.push(format!("{margin}{word}"));
        }
    }
    lines.join("\n")
}

/// Columns that a line takes.
pub(super) fn width(line: &str) -> usize {
    uncoloured(line).count()
}

/// What is to be seen of a line: colours take no room.
fn uncoloured(line: &str) -> impl Iterator<Item = char> {
    let mut is_escape = false;
    line.chars().filter(move |character| {
        let was_escape = is_escape;
        is_escape = *character == '\u{1b}' || (is_escape && *character != 'm');
        !was_escape && !is_escape
    })
}

/// Names and values in two columns.
pub(super) fn facts(look: Look, rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in rows {
        let name = Tone::Quiet.paint(look, &format!("{name:width$}"));
        writeln!(text, "{name}  {value}").expect("a string takes everything");
    }
    text
}
