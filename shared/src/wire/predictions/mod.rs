//! Predictions of two models for the same rows, in CSV, read once and counted as they come: whatever
//! the length of the file, what is kept of it is [`Cells`] and how often each latency occurred.
//!
//! The header names the columns, in any order: `y_true`, `champion`, `challenger`, and, where they
//! are measured, `latency_ms` (the challenger's) and `group`. What can't be meant is refused with
//! line, column and the way out, as in [`super::trace`]: half a file would be another result.
//!
//! No row, no group and no value of it is kept beside the counts.

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use sha2::{Digest, Sha256};

use super::trace::{BYTE_ORDER_MARK, TraceError, shown, unquoted};
use crate::domain::gate::{Cells, MOST_ROWS, Measured, QUANTILE, interval};
use crate::domain::text::is_readable;

/// The columns, as the header names them; the last two may be left out.
pub const COLUMNS: [&str; 5] = ["y_true", "champion", "challenger", "latency_ms", "group"];
/// Columns that must be there.
const NEEDED: usize = 3;
/// Bytes of a line.
const LONGEST_LINE: u64 = 4096;
/// Groups are coarse; more of them are ids.
pub const MOST_GROUPS: usize = 50;
/// Characters of a group's label.
const LONGEST_GROUP: usize = 64;
/// A day: whoever has more has another unit.
const LONGEST_MS: f64 = 86_400_000.0;
/// Distinct microseconds that are kept: some 100 MB.
const MOST_LATENCIES: usize = 2_000_000;

/// Why a file of predictions can't be read: with the line and the column.
pub type PredictionsError = TraceError;

/// What is positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Labels: this one is positive, and every other is not. Without it the truth is 0 or 1, and
    /// predictions are scores from 0 to 1.
    pub positive: Option<String>,
    /// The champion's score from which a row is called positive.
    pub champion_from: f64,
    /// The challenger's.
    pub challenger_from: f64,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            positive: None,
            champion_from: 0.5,
            challenger_from: 0.5,
        }
    }
}

/// What a file comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// All rows.
    pub cells: Cells,
    /// The challenger's latency, where the file has it.
    pub latency: Option<Measured>,
    /// Row by group, where the file has them.
    pub groups: BTreeMap<String, Cells>,
    /// SHA-256 of the file in hexadecimal.
    pub digest: String,
}

/// Reads all of a file.
pub fn read(input: impl BufRead, reading: &Reading) -> Result<Counted, PredictionsError> {
    let mut reader = Reader {
        input,
        reading,
        line: 0,
        buffer: Vec::new(),
        places: [None; 5],
        width: 0,
        digest: Sha256::new(),
        cells: Cells::default(),
        groups: BTreeMap::new(),
        latencies: BTreeMap::new(),
    };
    reader.header()?;
    while reader.next_line()? {
        let buffer = std::mem::take(&mut reader.buffer);
        reader.take_in(&buffer)?;
        reader.buffer = buffer;
    }
    if reader.cells.rows() == 0 {
        let detail = "there is no row below the header".to_owned();
        return Err(reader.wrong(None, detail));
    }
    if let Some(label) = &reading.positive
        && reader.cells.positives.rows() == 0
    {
        let detail = format!(
            "no row has the label `{}`, which is to be the positive one; write it as the file does",
            shown(label)
        );
        return Err(reader.wrong(Some(COLUMNS[0]), detail));
    }
    Ok(reader.counted())
}

struct Reader<'a, R> {
    input: R,
    reading: &'a Reading,
    line: u64,
    buffer: Vec<u8>,
    /// Where each of [`COLUMNS`] stands.
    places: [Option<usize>; 5],
    /// Columns of the header.
    width: usize,
    digest: Sha256,
    cells: Cells,
    groups: BTreeMap<String, Cells>,
    /// How many rows took so many microseconds.
    latencies: BTreeMap<u64, u64>,
}

impl<R: BufRead> Reader<'_, R> {
    /// The next line into the buffer; false at the end of the file.
    fn next_line(&mut self) -> Result<bool, PredictionsError> {
        self.buffer.clear();
        self.line += 1;
        let mut limited = (&mut self.input).take(LONGEST_LINE + 1);
        let read = limited.read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|source| TraceError::Read {
            line: self.line,
            source,
        })?;
        if self.buffer.len() as u64 > LONGEST_LINE {
            return Err(self.wrong(None, format!("longer than {LONGEST_LINE} bytes")));
        }
        self.digest.update(&self.buffer);
        Ok(read > 0)
    }

    fn header(&mut self) -> Result<(), PredictionsError> {
        let expected = "the first line names the columns: y_true,champion,challenger and, where they are measured, latency_ms and group";
        if !self.next_line()? {
            return Err(self.wrong(None, format!("the file is empty; {expected}")));
        }
        let text = self.text(&self.buffer)?;
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let (mut places, mut width) = ([None; 5], 0);
        for (place, name) in text.split(',').map(unquoted).enumerate() {
            let Some(column) = COLUMNS.iter().position(|column| *column == name.trim()) else {
                return Err(self.wrong(
                    None,
                    format!("`{}` is no column of it; {expected}", shown(name)),
                ));
            };
            if places[column].replace(place).is_some() {
                return Err(self.wrong(Some(COLUMNS[column]), "is there twice".to_owned()));
            }
            width = place + 1;
        }
        if let Some(missing) = (0..NEEDED).find(|column| places[*column].is_none()) {
            return Err(self.wrong(Some(COLUMNS[missing]), format!("is missing; {expected}")));
        }
        (self.places, self.width) = (places, width);
        Ok(())
    }

    fn text<'a>(&self, bytes: &'a [u8]) -> Result<&'a str, PredictionsError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| self.wrong(None, "not UTF-8; save the file as UTF-8".to_owned()))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        Ok(text.strip_suffix('\r').unwrap_or(text))
    }

    fn take_in(&mut self, bytes: &[u8]) -> Result<(), PredictionsError> {
        let text = self.text(bytes)?;
        if text.is_empty() {
            return Ok(());
        }
        let found = text.split(',').count();
        if found != self.width {
            return Err(self.wrong(
                None,
                format!("{found} columns instead of the header's {}", self.width),
            ));
        }
        let mut fields = [None; 5];
        for (field, place) in fields.iter_mut().zip(self.places) {
            *field = place
                .and_then(|place| text.split(',').nth(place))
                .map(unquoted);
        }
        let needed = |column: usize| fields[column].unwrap_or_default();
        let truth = self.truth(needed(0))?;
        let champion = self.called(1, needed(1), self.reading.champion_from)?;
        let challenger = self.called(2, needed(2), self.reading.challenger_from)?;
        let fits = self.cells.count(truth, champion, challenger);
        if !fits || self.cells.rows() > MOST_ROWS {
            return Err(self.wrong(None, format!("more than {MOST_ROWS} rows; draw from them")));
        }
        if let Some(latency) = fields[3] {
            let microseconds = self.microseconds(latency)?;
            *self.latencies.entry(microseconds).or_default() += 1;
            if self.latencies.len() > MOST_LATENCIES {
                let detail =
                    format!("more than {MOST_LATENCIES} distinct values; round them to 0.01 ms");
                return Err(self.wrong(Some("latency_ms"), detail));
            }
        }
        if let Some(group) = fields[4] {
            let cells = self.group(group)?;
            // It has no more rows than all of them.
            let _ = cells.count(truth, champion, challenger);
        }
        Ok(())
    }

    fn truth(&self, text: &str) -> Result<bool, PredictionsError> {
        if let Some(positive) = &self.reading.positive {
            return self.label(0, text).map(|label| label == positive);
        }
        match text.trim() {
            "1" | "1.0" | "true" | "True" | "TRUE" => Ok(true),
            "0" | "0.0" | "false" | "False" | "FALSE" => Ok(false),
            _ => Err(self.wrong(
                Some(COLUMNS[0]),
                format!(
                    "`{}` is neither 0 nor 1; say which label is positive with --positive LABEL",
                    shown(text)
                ),
            )),
        }
    }

    /// Whether a model called the row positive.
    fn called(&self, column: usize, text: &str, from: f64) -> Result<bool, PredictionsError> {
        if let Some(positive) = &self.reading.positive {
            return self.label(column, text).map(|label| label == positive);
        }
        match text.trim() {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            number => {
                let score = number.parse::<f64>().ok();
                let score = score.filter(|score| (0.0..=1.0).contains(score));
                score.map(|score| score >= from).ok_or_else(|| {
                    self.wrong(
                        Some(COLUMNS[column]),
                        format!(
                            "`{}` is no score from 0 to 1; say which label is positive with --positive LABEL, or bring the scores into that range",
                            shown(text)
                        ),
                    )
                })
            }
        }
    }

    fn label<'a>(&self, column: usize, text: &'a str) -> Result<&'a str, PredictionsError> {
        let label = text.trim();
        if label.is_empty() {
            let detail = "there is no label; leave the row out where it is not known".to_owned();
            return Err(self.wrong(Some(COLUMNS[column]), detail));
        }
        Ok(label)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to the microseconds of a day"
    )]
    fn microseconds(&self, text: &str) -> Result<u64, PredictionsError> {
        let milliseconds = text.trim().parse::<f64>().ok();
        let milliseconds = milliseconds.filter(|it| (0.0..=LONGEST_MS).contains(it));
        let microseconds = milliseconds.map(|it| (it * 1000.0).round() as u64);
        microseconds.ok_or_else(|| {
            let what = shown(text);
            let detail = format!(
                "`{what}` is no latency: milliseconds from 0 to {LONGEST_MS}, in every row or in no column at all"
            );
            self.wrong(Some("latency_ms"), detail)
        })
    }

    fn group(&mut self, text: &str) -> Result<&mut Cells, PredictionsError> {
        let label = text.trim();
        if !is_readable(label, LONGEST_GROUP) {
            let detail = format!("a group has a label of 1 to {LONGEST_GROUP} characters");
            return Err(self.wrong(Some("group"), detail));
        }
        if !self.groups.contains_key(label) {
            if self.groups.len() == MOST_GROUPS {
                let detail = format!("more than {MOST_GROUPS} groups; make them coarser");
                return Err(self.wrong(Some("group"), detail));
            }
            self.groups.insert(label.to_owned(), Cells::default());
        }
        Ok(self.groups.entry(label.to_owned()).or_default())
    }

    fn wrong(&self, column: Option<&'static str>, detail: String) -> PredictionsError {
        TraceError::Wrong {
            line: self.line,
            column,
            detail,
        }
    }

    fn counted(self) -> Counted {
        Counted {
            latency: self.places[3].map(|_| measured(&self.latencies)),
            cells: self.cells,
            groups: self.groups,
            digest: super::hexadecimal(&self.digest.finalize()),
        }
    }
}

/// The 95th percentile with its interval: values by rank.
fn measured(latencies: &BTreeMap<u64, u64>) -> Measured {
    let rows = latencies.values().sum();
    let milliseconds = |rank: u64| {
        let mut below = 0;
        let mut found = 0;
        for (microseconds, count) in latencies {
            (below, found) = (below + count, *microseconds);
            if below >= rank {
                break;
            }
        }
        found as f64 / 1000.0
    };
    let (low, high) = interval::ranks(QUANTILE, rows);
    Measured {
        rows,
        // In whole numbers: 0.95 has no exact form, and 95 % of 20 rows are 19.
        p95_ms: milliseconds((rows * 95).div_ceil(100)),
        low_ms: low.map(milliseconds),
        high_ms: high.map(milliseconds),
    }
}
