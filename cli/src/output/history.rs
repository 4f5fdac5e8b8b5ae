//! `canary history`, and the lines of `canary watch`.

use jiff::tz::TimeZone;
use shared::domain::history::Entry;

use super::table::{Cell, cell, is_narrow, number, table, toned};
use super::text::{clock, time};
use super::{Look, Tone, paragraph};

/// The longest event name, so that a line printed now aligns with lines that are not there yet.
const EVENT_WIDTH: usize = 26;

/// Everything that happened, oldest first. The share is the one that is intended: the endpoint follows.
pub(crate) fn history(look: Look, entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "nothing has happened yet".to_owned();
    }
    if is_narrow(look) {
        return in_lines(look, entries);
    }
    if look.terminal {
        return on_terminal(look, entries);
    }
    let header = [
        "TIME (UTC)",
        "EVENT",
        "TARGET",
        "STATUS",
        "BY",
        "VALUE",
        "LIMIT",
        "REASON",
    ];
    let rows = entries.iter().map(|entry| {
        vec![
            cell(time(entry.at)),
            event(entry),
            number(&entry.weight),
            cell(entry.status.to_string()),
            by(entry),
            cell(or_dash(&entry.value)),
            cell(or_dash(&entry.limit)),
            cell(&entry.reason),
        ]
    });
    table(look, &header, rows.collect())
}

/// Without what the reason says in words anyway: it needs the room.
fn on_terminal(look: Look, entries: &[Entry]) -> String {
    let header = ["TIME (UTC)", "EVENT", "TARGET", "BY", "REASON"];
    let rows = entries.iter().map(|entry| {
        vec![
            cell(time(entry.at)),
            event(entry),
            number(&entry.weight),
            by(entry),
            cell(&entry.reason),
        ]
    });
    table(look, &header, rows.collect())
}

/// As it is watched, under headings.
fn in_lines(look: Look, entries: &[Entry]) -> String {
    // The share's heading is a letter longer than the shares.
    let header = format!(
        "{:8}  {:EVENT_WIDTH$} {:>6}  REASON",
        "UTC", "EVENT", "TARGET"
    );
    let mut lines = vec![Tone::Strong.paint(look, &header)];
    let mut today = None;
    for entry in entries {
        let date = entry.at.to_zoned(TimeZone::UTC).date();
        if today.replace(date) != Some(date) {
            lines.push(day(look, entry));
        }
        lines.push(line(look, entry));
    }
    lines.join("\n")
}

fn event(entry: &Entry) -> Cell {
    toned(entry.event.to_string(), Tone::of_severity(entry.severity))
}

fn by(entry: &Entry) -> Cell {
    cell(entry.by.as_deref().unwrap_or("-"))
}

/// Under what the reason stands where it has lines of its own.
const INDENT: usize = 10;
/// Time, event and weight, with the spaces after each.
const HEAD_WIDTH: usize = INDENT + EVENT_WIDTH + 9;

/// One thing that happened: on one line, or with its reason below where a terminal is too narrow for both.
pub(crate) fn line(look: Look, entry: &Entry) -> String {
    let tone = Tone::of_severity(entry.severity);
    let event = tone.paint(look, &format!("{:EVENT_WIDTH$}", entry.event));
    let time = Tone::Quiet.paint(look, &clock(entry.at));
    let head = format!("{time}  {event}  {:>5}", entry.weight.to_string());
    let by = entry.by.as_ref().map(|by| format!(" (by {by})"));
    let reason = format!("{}{}", entry.reason, by.unwrap_or_default());
    let width = HEAD_WIDTH + reason.chars().count();
    if look.columns().is_some_and(|columns| columns < width) {
        return format!("{head}\n{}", paragraph(look, INDENT, &reason));
    }
    format!("{head}  {reason}")
}

/// The line between two days of a long rollout.
pub(crate) fn day(look: Look, entry: &Entry) -> String {
    let text = entry.at.strftime("-- %Y-%m-%d (UTC) --").to_string();
    Tone::Quiet.paint(look, &text)
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod tests {
    use shared::domain::history::Name;

    use super::EVENT_WIDTH;

    #[test]
    fn every_event_fits_its_column() {
        let longest = Name::ALL.iter().map(|name| name.as_str().len()).max();
        assert_eq!(longest, Some(EVENT_WIDTH));
    }
}
