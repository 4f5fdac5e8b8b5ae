//! Tables: framed on a terminal, aligned columns anywhere else.
//!
//! A terminal may be too narrow for a column of sentences beside the figures. There the figures have no frame,
//! and each row's sentence stands below it.

use std::fmt::Display;

use comfy_table::{Attribute, Cell as ComfyCell, CellAlignment, Color, ColumnConstraint};
use comfy_table::{ContentArrangement, Table as ComfyTable, presets};

use super::{Look, Tone, paragraph};

/// Columns that are broken into lines on a narrow terminal. The others are there to be copied or
/// compared, and stay whole.
const BREAKABLE: [&str; 7] = [
    "MODEL",
    "VARIANT",
    "VALUE",
    "LIMIT",
    "REASON",
    "WHY",
    "COUNTED OVER",
];

/// The columns that a sentence beside figures needs of a terminal: with fewer it is a word a line.
const ROOMY: usize = 120;

/// Columns of the terminal that standard output is, or else standard error; absent where neither is one, or
/// where it does not say.
pub(super) fn terminal_width() -> Option<u16> {
    let of_answers = ComfyTable::new().width();
    let width = of_answers.or_else(|| ComfyTable::new().use_stderr().width());
    width.filter(|width| *width > 0)
}

/// Whether the terminal is too narrow for sentences beside figures.
pub(super) fn is_narrow(look: Look) -> bool {
    look.columns().is_some_and(|columns| columns < ROOMY)
}

/// The columns without a frame, and each row's sentence below it, after so many spaces.
pub(super) fn with_sentences(
    look: Look,
    header: &[&str],
    rows: Vec<(Vec<Cell>, String)>,
    indent: usize,
) -> String {
    let (rows, sentences): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let frameless = Look {
        terminal: false,
        ..look
    };
    let text = table(frameless, header, rows);
    let mut lines = text.lines().map(str::to_owned);
    let mut shown: Vec<String> = lines.next().into_iter().collect();
    for (line, sentence) in lines.zip(sentences) {
        shown.push(line);
        shown.push(paragraph(look, indent, &sentence));
    }
    shown.join("\n")
}

/// A cell.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
    is_number: bool,
}

/// A cell of text.
pub(crate) fn cell(text: impl Into<String>) -> Cell {
    toned(text, Tone::Plain)
}

/// A cell of text with a meaning.
pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Cell {
    Cell {
        text: text.into(),
        tone,
        is_number: false,
    }
}

/// A cell of a number: its digits stand under each other.
pub(crate) fn number(text: &(impl Display + ?Sized)) -> Cell {
    Cell {
        text: text.to_string(),
        tone: Tone::Plain,
        is_number: true,
    }
}

/// The table with these columns.
pub(crate) fn table(look: Look, header: &[&str], rows: Vec<Vec<Cell>>) -> String {
    let mut table = ComfyTable::new();
    if look.terminal {
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = look.width {
            table.set_width(width);
        }
    } else {
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
    }
    // It would look at the terminal and the environment itself otherwise.
    if look.colour {
        table.enforce_styling();
    } else if !look.terminal {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|name| heading(look, name)));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| painted(look, cell)));
    }
    for (column, name) in table.column_iter_mut().zip(header) {
        if !look.terminal {
            column.set_padding((0, 2));
        } else if !BREAKABLE.contains(name) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn heading(look: Look, name: &str) -> ComfyCell {
    let cell = ComfyCell::new(name);
    if look.colour {
        cell.add_attribute(Attribute::Bold)
    } else {
        cell
    }
}

fn painted(look: Look, cell: Cell) -> ComfyCell {
    let mut painted = ComfyCell::new(cell.text);
    if cell.is_number {
        painted = painted.set_alignment(CellAlignment::Right);
    }
    if !look.colour {
        return painted;
    }
    match cell.tone {
        Tone::Plain => painted,
        Tone::Strong => painted.add_attribute(Attribute::Bold),
        Tone::Quiet => painted.add_attribute(Attribute::Dim),
        // The dark ones are the terminal's own; the others are bright, and unreadable on white.
        Tone::Good => painted.fg(Color::DarkGreen),
        Tone::Warning => painted.fg(Color::DarkYellow),
        Tone::Bad => painted.fg(Color::DarkRed),
    }
}
