//! The figures as tables, and their place in the document.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::default_policy::Whole;
use crate::{Figures, METHODS, Row, SEED};

const BEGIN: &str = "<!-- study: begin -->";
const END: &str = "<!-- study: end -->";

/// All tables.
pub(crate) fn markdown(healthy: &[Row], worse: &[Row], policy: &[Whole], rollouts: u64) -> String {
    let mut text = format!(
        "{rollouts} rollouts a cell, seed {SEED}. Where nothing else is said the canary has a tenth of the traffic, production 0.2 % errors, and 600 minutes are judged.\n\n### Healthy canaries rolled back, in percent\n\n"
    );
    head(&mut text, "endpoint");
    for row in healthy {
        line(&mut text, row, |figures| percent(figures.rolled_back));
    }
    text.push_str("\n### Worse canaries: rolled back in percent / median minutes from the onset / bad requests served until then\n\n");
    head(&mut text, "canary");
    for row in worse {
        line(&mut text, row, found);
    }
    text.push_str(
        "\n### The default policy as a whole: healthy canaries rolled back, in percent\n\n",
    );
    text.push_str("| endpoint | by a guard | by the comparison | by either |\n|---|---|---|---|\n");
    for row in policy {
        say(
            &mut text,
            format_args!(
                "| {} | {} | {} | {} |\n",
                row.name,
                percent(row.by_guards),
                percent(row.by_comparison),
                percent(row.by_either)
            ),
        );
    }
    text
}

fn say(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a text takes anything");
}

fn head(text: &mut String, what: &str) {
    say(
        text,
        format_args!(
            "| {what} | {} |\n|---|{}\n",
            METHODS.join(" | "),
            "---|".repeat(METHODS.len())
        ),
    );
}

fn line(text: &mut String, row: &Row, show: impl Fn(&Figures) -> String) {
    let shown: Vec<String> = row.figures.iter().map(show).collect();
    say(
        text,
        format_args!("| {} | {} |\n", row.name, shown.join(" | ")),
    );
}

fn found(figures: &Figures) -> String {
    let median = figures
        .median
        .map_or("-".to_owned(), |minutes| minutes.to_string());
    let early = if figures.too_early >= 5.0 {
        format!(" ({} too early)", percent(figures.too_early))
    } else {
        String::new()
    };
    format!(
        "{} / {median} / {:.0}{early}",
        percent(figures.rolled_back),
        figures.bad
    )
}

/// Whole percents where they are many; two digits below one, where the bound lies.
fn percent(value: f64) -> String {
    if value >= 10.0 {
        format!("{value:.0}")
    } else if value > 0.0 {
        format!("{value:.2}")
    } else {
        "0".to_owned()
    }
}

/// Puts the tables between the document's markers.
pub(crate) fn put(document: &Path, tables: &str) -> io::Result<()> {
    let before = std::fs::read_to_string(document)?;
    let parts = before
        .split_once(BEGIN)
        .and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let Some((head, tail)) = parts else {
        return Err(io::Error::other(format!("no {BEGIN} and {END} in it")));
    };
    std::fs::write(document, format!("{head}{BEGIN}\n{tables}\n{END}{tail}"))
}
