//! `canary replay`: what would have become of a recorded rollout, side by side for each policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use serde::Serialize;
use shared::domain::comparison::Counts;
use shared::domain::comparison::effect::percent;
use shared::domain::replay::{Outcome, Ruling, Shown};

use super::table::{Cell, cell, table, toned};
use super::{Look, Output, Tone, printable};

/// How a trace was judged, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Judged<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    action: Ruling,
    minute: Option<u64>,
    signals: &'a BTreeMap<String, Shown>,
}

impl<'a> Judged<'a> {
    /// The policy is named where there are several.
    pub(crate) fn of(policy: Option<&'a String>, outcome: &'a Outcome) -> Self {
        Self {
            policy: policy.map(String::as_str),
            action: outcome.ruling,
            minute: outcome.minute,
            signals: &outcome.signals,
        }
    }
}

/// How a trace stood after one minute, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct MinuteLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    minute: u64,
    action: Ruling,
    /// Minutes missing, in whole or in part, since the line before.
    gap: u64,
    signals: &'a BTreeMap<String, Shown>,
}

impl<'a> MinuteLine<'a> {
    /// `gap` is what was missing up to the line before.
    pub(crate) fn of(
        policy: Option<&'a String>,
        minute: u64,
        gap: u64,
        outcome: &'a Outcome,
    ) -> Self {
        Self {
            policy: policy.map(String::as_str),
            minute,
            action: outcome.ruling,
            gap: outcome.gap.saturating_sub(gap),
            signals: &outcome.signals,
        }
    }
}

/// The lines of `--minutes`. A trace may have millions of them, so that each is printed as it
/// comes, in columns whose widths are known before.
pub(crate) struct Minutes {
    policy_width: usize,
    has_header: bool,
}

const NAMELESS: &str = "";

impl Minutes {
    /// For policies of these names.
    pub(crate) fn new(policies: &[String]) -> Self {
        let widths = policies.iter().map(|name| name.chars().count());
        Self {
            policy_width: widths.max().map_or(0, |width| width.max("POLICY".len())),
            has_header: false,
        }
    }

    /// Prints one line.
    pub(crate) fn answer(
        &mut self,
        line: &MinuteLine<'_>,
        outcome: &Outcome,
        output: &mut Output<'_>,
    ) -> io::Result<()> {
        if !self.has_header {
            let header = self.header(line);
            output.answers_of::<MinuteLine<'_>>(&[], |_, _| header)?;
            self.has_header = true;
        }
        output.answer(line, |look| self.row(look, line, outcome))
    }

    fn header(&self, line: &MinuteLine<'_>) -> String {
        let policy = if self.policy_width > 0 {
            "POLICY"
        } else {
            NAMELESS
        };
        let mut text = self.beginning(policy, "MINUTE", "ACTION", "GAP");
        for name in line.signals.keys() {
            write!(text, "  {:>width$}", title(name), width = width(name))
                .expect("a string takes everything");
        }
        text
    }

    fn row(&self, look: Look, line: &MinuteLine<'_>, outcome: &Outcome) -> String {
        let policy = printable(line.policy.unwrap_or(NAMELESS));
        let action = format!("{:9}", action(line.action));
        let action = tone(line.action).paint(look, &action);
        let (minute, gap) = (line.minute.to_string(), line.gap.to_string());
        let mut text = self.beginning(&policy, &minute, &action, &gap);
        for (name, shown) in line.signals {
            write!(text, "  {:>width$}", evidence(shown), width = width(name))
                .expect("a string takes everything");
        }
        if line.action != Ruling::GoOn {
            write!(text, "  {}", printable(&outcome.sentence)).expect("a string takes everything");
        }
        text
    }

    fn beginning(&self, policy: &str, minute: &str, action: &str, gap: &str) -> String {
        let mut text = String::new();
        if self.policy_width > 0 {
            write!(text, "{policy:width$}  ", width = self.policy_width)
                .expect("a string takes everything");
        }
        write!(text, "{minute:>13}  {action:9}  {gap:>4}").expect("a string takes everything");
        text
    }
}

fn title(signal: &str) -> String {
    format!("{} ln e", printable(signal))
}

fn width(signal: &str) -> usize {
    title(signal).chars().count().max(8)
}

/// Every policy's column, and below them why.
pub(crate) fn side_by_side(look: Look, columns: &[(String, &Outcome)]) -> String {
    let mut header = vec![NAMELESS];
    let names: Vec<String> = columns.iter().map(|(name, _)| printable(name)).collect();
    header.extend(names.iter().map(String::as_str));
    let outcomes: Vec<&Outcome> = columns.iter().map(|(_, outcome)| *outcome).collect();
    let mut rows = rows_of_all(&outcomes);
    rows.extend(rows_by_signal(&outcomes));
    let mut text = table(look, &header, rows);
    for (name, outcome) in names.iter().zip(outcomes) {
        text.push_str(&reasons(name, outcome));
    }
    text
}

fn row(name: &str, outcomes: &[&Outcome], value: impl Fn(&Outcome) -> Cell) -> Vec<Cell> {
    let values = outcomes.iter().map(|outcome| value(outcome));
    std::iter::once(cell(name)).chain(values).collect()
}

fn rows_of_all(outcomes: &[&Outcome]) -> Vec<Vec<Cell>> {
    let minute = |minute: Option<u64>| minute.map_or_else(|| "-".to_owned(), |m| m.to_string());
    vec![
        row("action", outcomes, |outcome| {
            toned(action(outcome.ruling), tone(outcome.ruling))
        }),
        row("in minute", outcomes, |outcome| {
            cell(minute(outcome.minute))
        }),
        row("minutes judged", outcomes, |outcome| {
            cell(outcome.minutes.to_string())
        }),
        row("minutes with gaps", outcomes, |outcome| {
            cell(outcome.gap.to_string())
        }),
    ]
}

/// One figure of a signal, in words.
type Show = fn(&Shown) -> String;

fn rows_by_signal(outcomes: &[&Outcome]) -> Vec<Vec<Cell>> {
    let names = outcomes.iter().flat_map(|outcome| outcome.signals.keys());
    let names: BTreeSet<&String> = names.collect();
    let shown = |outcome: &Outcome, signal: &str, show: Show| {
        let shown = outcome.signals.get(signal);
        cell(shown.map_or_else(|| "not judged".to_owned(), show))
    };
    let parts: [(&str, Show); 3] = [
        ("canary", |shown| share(shown.canary)),
        ("production", |shown| share(shown.production)),
        ("ln e", evidence),
    ];
    let rows = names.into_iter().flat_map(|signal| {
        parts.map(|(what, show)| {
            let name = format!("{}: {what}", printable(signal));
            row(&name, outcomes, |outcome| shown(outcome, signal, show))
        })
    });
    rows.collect()
}

/// The sentence that decided, and under it those of the signals that say something else.
fn reasons(name: &str, outcome: &Outcome) -> String {
    let mut text = format!("\n{name}: {}\n", printable(&outcome.sentence));
    let signals = outcome.signals.values();
    for shown in signals.filter(|shown| shown.sentence != outcome.sentence) {
        writeln!(text, "  {}", printable(&shown.sentence)).expect("a string takes everything");
    }
    text
}

fn share(counts: Counts) -> String {
    let Some(rate) = counts.rate() else {
        return "-".to_owned();
    };
    format!("{} ({} of {})", percent(rate), counts.x(), counts.n())
}

fn evidence(shown: &Shown) -> String {
    shown
        .ln_e
        .map_or_else(|| "-".to_owned(), |ln_e| format!("{ln_e:.2}"))
}

const fn action(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::GoOn => "go on",
        Ruling::Hold => "hold",
        Ruling::StepBack => "step back",
        Ruling::Rollback => "roll back",
    }
}

const fn tone(ruling: Ruling) -> Tone {
    match ruling {
        Ruling::GoOn => Tone::Good,
        Ruling::Hold | Ruling::StepBack => Tone::Warning,
        Ruling::Rollback => Tone::Bad,
    }
}
