//! The report as Markdown, for a ticket, a wiki or a terminal: the page without its pictures.

use std::fmt::Write as _;

use super::Report;
use super::page::{audiences, cause, counted, facts, standing, subject, time};
use super::series::Scale;
use crate::domain::signal::spoken;

/// The whole report.
pub fn markdown(report: &Report) -> String {
    let view = &report.deployment;
    let mut text = String::new();
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    add(format!(
        "# {}: {} for {} ({})\n",
        plain(&view.endpoint),
        plain(&view.model),
        plain(&view.former_model),
        standing(view)
    ));
    add(format!("{}\n", plain(&report.ending)));
    add("## What was deployed\n".to_owned());
    add(pairs(&facts(report)));
    add("## What to do\n".to_owned());
    for advice in &report.advice {
        add(format!(
            "- {}: `{}`",
            plain(&advice.what),
            code(&advice.command)
        ));
    }
    add(format!("\n## What was seen\n\n{}", seen(report)));
    add(format!("## What spoke against it\n\n{}", breaches(report)));
    if let Some(draft) = &report.post_mortem {
        add(format!(
            "## Post-mortem, a draft\n\n{}: {}\n",
            plain(&draft.incident_id),
            plain(&draft.summary)
        ));
        add(pairs(&cause(draft)));
        if !draft.evidence.is_empty() {
            add("### Evidence\n".to_owned());
        }
        for shown in &draft.evidence {
            add(format!("- {}", plain(&shown.sentence)));
        }
        if !draft.evidence.is_empty() {
            add(String::new());
        }
        add("### Open questions\n".to_owned());
        for question in &draft.open_questions {
            add(format!("- {}", plain(question)));
        }
        add(String::new());
    }
    add("## Who was told\n".to_owned());
    for told in &report.told {
        let (first, last) = (time(told.first), time(told.last));
        add(format!(
            "- {}: {} of the lines below, from {first} to {last}",
            told.audience, told.lines
        ));
    }
    add(format!("\n## What happened\n\n{}", timeline(report)));
    add(format!(
        "As of {}, version {} of the record. Times are UTC.",
        time(view.as_of),
        view.version
    ));
    text
}

fn seen(report: &Report) -> String {
    let series = &report.series;
    let mut lines: Vec<String> = series.left_out.iter().map(|note| plain(note)).collect();
    if series.points.is_empty() {
        lines.push("No minute was judged, or none is kept any more.".to_owned());
    } else {
        let minutes = series.minutes;
        lines.push(format!("{minutes} judged minutes. {}\n", counted(series)));
    }
    let tracks = series.tracks.iter().map(|(name, track)| {
        let unit = match track.scale {
            Scale::Ratio => "against production",
            Scale::Share => "against its limit",
            Scale::Measure => "by its own measure",
        };
        let name = plain(spoken(name));
        format!("- {name} ({unit}): {}", plain(&track.sentence))
    });
    lines.extend(tracks);
    lines.push(String::new());
    lines.join("\n")
}

fn breaches(report: &Report) -> String {
    if report.breaches.is_empty() {
        return "Nothing.\n".to_owned();
    }
    let rows = report.breaches.iter().map(|entry| {
        [
            time(entry.at),
            plain(subject(entry)),
            plain(&entry.value),
            plain(&entry.limit),
            plain(&entry.reason),
        ]
    });
    table(
        ["When", "What", "Measured", "Held against", "In words"],
        rows,
    )
}

fn timeline(report: &Report) -> String {
    let rows = report.timeline.iter().map(|line| {
        let entry = &line.entry;
        let waits = if line.announced == Some(false) {
            " (waits)"
        } else {
            ""
        };
        [
            time(entry.at),
            entry.event.to_string(),
            plain(&entry.reason),
            entry.weight.to_string(),
            format!("{}{waits}", audiences(&line.told)),
            plain(entry.by.as_deref().unwrap_or("-")),
        ]
    });
    let names = ["When", "Event", "In words", "Target", "For", "By"];
    let mut text = table(names, rows);
    if let Some(note) = &report.timeline_left_out {
        writeln!(text, "\n{}", plain(note)).expect("a string takes everything");
    }
    text
}

fn pairs(rows: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in rows {
        writeln!(text, "- {name}: {}", plain(value)).expect("a string takes everything");
    }
    text
}

fn table<const N: usize>(names: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut text = format!("| {} |\n|{}\n", names.join(" | "), "---|".repeat(N));
    for row in rows {
        writeln!(text, "| {} |", row.join(" | ")).expect("a string takes everything");
    }
    text
}

/// Text that no reader of Markdown takes for more: marks are escaped, and a line stays one.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // What HTML takes for more is written as HTML writes it: not every reader knows a backslash.
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\\' | '`' | '*' | '[' | ']' | '|' | '#' => {
                safe.push('\\');
                safe.push(character);
            }
            control if control.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

/// Text between backticks, which nothing escapes.
fn code(text: &str) -> String {
    text.chars()
        .filter(|c| *c != '`' && !c.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_no_mark_and_no_line_of_its_own() {
        assert_eq!(
            plain("a|b *c* <img src=x>\n# [d](e) `f` g\\h & i"),
            "a\\|b \\*c\\* &lt;img src=x&gt; \\# \\[d\\](e) \\`f\\` g\\\\h &amp; i"
        );
        assert_eq!(code("canary `rm`\nx"), "canary rmx");
    }
}
