//! A rollout as a table of counts, in CSV: one row per minute, signal and variant, under the header
//! `minute,signal,variant,n,x`. Rows come in the order of their minutes.
//!
//! The reader holds one minute at a time, whatever the length of the file, and refuses what can't
//! be meant with the line, the column and the way out. It is written by hand because its errors
//! are half of it: line numbers have to be the editor's, and a stray quote must not swallow the
//! rest of the file. A byte order mark, CRLF, blank lines and plain quotes around a field, as
//! spreadsheets and R write them, are taken.
//!
//! What is not there is not zero: a row is left out where nothing was measured, and a row with
//! n = 0 says that there were no trials.

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, BufRead, Read};

use crate::domain::comparison::Counts;
use crate::domain::replay::{Pair, Recorded};
use crate::domain::signal::{CLIENT_ERRORS, ERRORS, SLOWNESS};
use crate::domain::text::excerpt;

/// The first line.
pub const HEADER: &str = "minute,signal,variant,n,x";
/// Ten million minutes of one signal in both arms: nineteen years.
pub const MOST_ROWS: u64 = 20_000_000;
/// Minutes since 1970 stay below it for two million years.
const MINUTES_BELOW: u64 = 1 << 40;
/// Trials of one minute, so that the sum of a whole trace is still a number.
const MOST_TRIALS: u64 = 100_000_000_000;
/// Bytes of a line: a longer one is no row of a trace.
const LONGEST_LINE: u64 = 1024;
const COLUMNS: [&str; 5] = ["minute", "signal", "variant", "n", "x"];
pub(super) const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Why a trace, or another table in CSV, can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file itself.
    #[error("line {line} can't be read")]
    Read {
        /// Counted from 1.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// What stands in it.
    #[error("line {line}{}: {detail}", named(*column))]
    Wrong {
        /// Counted from 1.
        line: u64,
        /// Absent where the whole line is meant.
        column: Option<&'static str>,
        /// What is wrong and the way out.
        detail: String,
    },
}

fn named(column: Option<&'static str>) -> String {
    column.map_or_else(String::new, |column| format!(", {column}"))
}

/// The signals that a trace may always have.
pub fn built_in() -> BTreeSet<String> {
    [ERRORS, CLIENT_ERRORS, SLOWNESS].map(str::to_owned).into()
}

/// Reads a trace minute by minute. After an error there is nothing more.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    known: BTreeSet<String>,
    line: u64,
    rows: u64,
    minute: Recorded,
    has_begun: bool,
    is_over: bool,
    buffer: Vec<u8>,
}

/// One line of the table.
struct Row<'a> {
    minute: u64,
    signal: &'a str,
    is_canary: bool,
    counts: Counts,
}

impl<R: BufRead> Reader<R> {
    /// A trace with these signals at the most.
    pub fn new(input: R, known: BTreeSet<String>) -> Self {
        Self {
            input,
            known,
            line: 0,
            rows: 0,
            minute: Recorded::default(),
            has_begun: false,
            is_over: false,
            buffer: Vec::new(),
        }
    }

    /// Rows read so far, the header apart.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    fn advance(&mut self) -> Result<Option<Recorded>, TraceError> {
        if !self.has_begun {
            self.header()?;
            self.has_begun = true;
        }
        while self.next_line()? {
            let buffer = std::mem::take(&mut self.buffer);
            let done = self.take_in(&buffer)?;
            self.buffer = buffer;
            if done.is_some() {
                return Ok(done);
            }
        }
        self.is_over = true;
        if self.rows == 0 {
            return Err(self.wrong(None, format!("there is no row below the header {HEADER}")));
        }
        Ok(Some(std::mem::take(&mut self.minute)))
    }

    /// Takes in one line; hands over the minute before, when that is complete.
    fn take_in(&mut self, bytes: &[u8]) -> Result<Option<Recorded>, TraceError> {
        let text = self.text(bytes)?;
        if text.is_empty() {
            return Ok(None);
        }
        let row = self.row(text)?;
        self.rows += 1;
        if self.rows > MOST_ROWS {
            return Err(self.wrong(
                None,
                format!("more than {MOST_ROWS} rows; cut the trace into parts"),
            ));
        }
        let mut done = None;
        if self.rows == 1 {
            self.minute.minute = row.minute;
        } else if row.minute < self.minute.minute {
            let (earlier, later) = (row.minute, self.minute.minute);
            return Err(self.wrong(
                Some("minute"),
                format!("{earlier} comes after {later}; sort the rows by minute"),
            ));
        } else if row.minute > self.minute.minute {
            let next = Recorded {
                minute: row.minute,
                ..Recorded::default()
            };
            done = Some(std::mem::replace(&mut self.minute, next));
        }
        self.add(&row)?;
        Ok(done)
    }

    fn add(&mut self, row: &Row<'_>) -> Result<(), TraceError> {
        let pair = match self.minute.signals.get_mut(row.signal) {
            Some(pair) => pair,
            None => self
                .minute
                .signals
                .entry(row.signal.to_owned())
                .or_default(),
        };
        let arm = if row.is_canary {
            &mut pair.canary
        } else {
            &mut pair.production
        };
        if arm.replace(row.counts).is_none() {
            return Ok(());
        }
        Err(self.wrong(
            None,
            format!(
                "a second row of minute {}, {}, {}; each minute, signal and variant has one",
                row.minute,
                row.signal,
                variant(row.is_canary)
            ),
        ))
    }

    fn header(&mut self) -> Result<(), TraceError> {
        let expected = || format!("the first line must be {HEADER}");
        if !self.next_line()? {
            self.line = 1;
            return Err(self.wrong(None, format!("the file is empty; {}", expected())));
        }
        let text = self.text(&self.buffer)?;
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        if text.split(',').map(unquoted).eq(COLUMNS) {
            return Ok(());
        }
        Err(self.wrong(None, format!("{}, not `{}`", expected(), shown(text))))
    }

    /// The next line into the buffer; false at the end of the file.
    fn next_line(&mut self) -> Result<bool, TraceError> {
        self.buffer.clear();
        self.line += 1;
        let mut limited = (&mut self.input).take(LONGEST_LINE + 1);
        let read = limited.read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|source| TraceError::Read {
            line: self.line,
            source,
        })?;
        if self.buffer.len() as u64 > LONGEST_LINE {
            return Err(self.wrong(
                None,
                format!("longer than {LONGEST_LINE} bytes; a row is {HEADER}"),
            ));
        }
        Ok(read > 0)
    }

    fn text<'a>(&self, bytes: &'a [u8]) -> Result<&'a str, TraceError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| self.wrong(None, "not UTF-8; save the file as UTF-8".to_owned()))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        Ok(text.strip_suffix('\r').unwrap_or(text))
    }

    fn row<'a>(&self, text: &'a str) -> Result<Row<'a>, TraceError> {
        let mut fields = [""; 5];
        let mut found = 0;
        for field in text.split(',') {
            if let Some(place) = fields.get_mut(found) {
                *place = unquoted(field);
            }
            found += 1;
        }
        if found != COLUMNS.len() {
            let columns = if found == 1 { "column" } else { "columns" };
            return Err(self.wrong(
                None,
                format!("{found} {columns} instead of the 5 of {HEADER}"),
            ));
        }
        let [minute, signal, variant, n, x] = fields;
        let minute = self.number("minute", minute, MINUTES_BELOW - 1)?;
        let signal = self.signal(signal)?;
        let is_canary = self.is_canary(variant)?;
        let n = self.number("n", n, MOST_TRIALS)?;
        let x = self.number("x", x, MOST_TRIALS)?;
        let counts = Counts::new(n, x).ok_or_else(|| {
            self.wrong(
                Some("x"),
                format!(
                    "{x} bad ones of {n}; x counts the bad ones among the n, so it is n at the most"
                ),
            )
        })?;
        Ok(Row {
            minute,
            signal,
            is_canary,
            counts,
        })
    }

    fn number(&self, column: &'static str, text: &str, most: u64) -> Result<u64, TraceError> {
        let wrong = |what: String| {
            self.wrong(
                Some(column),
                format!("{what}: write a whole number from 0 to {most} in digits alone, like 1000"),
            )
        };
        if text.is_empty() {
            let way_out = "; leave the row out where nothing was measured";
            return Err(wrong(format!("there is nothing{way_out}, else")));
        }
        let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_whole {
            return Err(wrong(format!("`{}` is no such number", shown(text))));
        }
        let number = text.parse().ok().filter(|number| *number <= most);
        number.ok_or_else(|| wrong(format!("`{}` is too large", shown(text))))
    }

    fn signal<'a>(&self, text: &'a str) -> Result<&'a str, TraceError> {
        if self.known.contains(text) {
            return Ok(text);
        }
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        Err(self.wrong(
            Some("signal"),
            format!(
                "`{}` is no signal; the policy has {}, and further ones stand under policy.checks",
                shown(text),
                known.join(", ")
            ),
        ))
    }

    fn is_canary(&self, text: &str) -> Result<bool, TraceError> {
        match text {
            "canary" => Ok(true),
            "production" => Ok(false),
            _ => Err(self.wrong(
                Some("variant"),
                format!(
                    "`{}` is no variant; write canary or production",
                    shown(text)
                ),
            )),
        }
    }

    fn wrong(&self, column: Option<&'static str>, detail: String) -> TraceError {
        TraceError::Wrong {
            line: self.line,
            column,
            detail,
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Recorded, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = self.advance().transpose();
        self.is_over |= matches!(item, Some(Err(_)));
        item
    }
}

/// A field without the quotes around it, when they are plain ones.
pub(super) fn unquoted(field: &str) -> &str {
    let inner = field
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(field)
}

/// What stands in a file, safe and short enough to repeat in an error.
pub(super) fn shown(text: &str) -> String {
    excerpt(text, 40)
}

const fn variant(is_canary: bool) -> &'static str {
    if is_canary { "canary" } else { "production" }
}

/// The trace of these minutes, which come in their order. What was not measured gets no row.
pub fn write(minutes: impl IntoIterator<Item = Recorded>) -> String {
    let mut text = format!("{HEADER}\n");
    for Recorded { minute, signals } in minutes {
        for (signal, Pair { canary, production }) in signals {
            for (is_canary, counts) in [(true, canary), (false, production)] {
                let Some(counts) = counts else { continue };
                let variant = variant(is_canary);
                let (n, x) = (counts.n(), counts.x());
                writeln!(text, "{minute},{signal},{variant},{n},{x}")
                    .expect("a string takes everything");
            }
        }
    }
    text
}
