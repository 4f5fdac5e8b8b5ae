//! The status line of `canary watch` on a terminal: it stays at the bottom and is redrawn while
//! the history scrolls above it.
//!
//! The time left is counted on the control plane's clock, never on this machine's: the local mode
//! runs on virtual time.

use std::io;

use indicatif::{ProgressBar, ProgressStyle};
use shared::domain::quantity::Span;
use shared::wire::api::DeploymentView;

use super::deployment::{going_down, share, standing};
use super::text::{length, traffic, width};
use super::{Look, Tone};

/// Columns of the bar.
const BAR: usize = 24;
/// Where the bar is full: all of the traffic, in hundredths of a percent.
const WHOLE: u64 = 10_000;

/// The status line, or nothing where there is no terminal.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Draws on standard error, beside answers that go to the same terminal.
    pub(crate) fn new(look: Look) -> Self {
        let bar = look.terminal.then(|| {
            let style = ProgressStyle::with_template(&format!("{{bar:{BAR}}} {{msg}}"))
                .expect("the template is a constant");
            ProgressBar::new(WHOLE).with_style(style)
        });
        Self { bar }
    }

    /// Takes the line away while something is printed above it.
    pub(crate) fn above<T>(&self, print: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Shows how it stands now.
    pub(crate) fn show(&self, look: Look, view: &DeploymentView) {
        if let Some(bar) = &self.bar {
            bar.set_position(view.share().hundredths().into());
            bar.set_message(status(look, view));
        }
    }

    /// Takes the line away for good.
    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How it stands: stage, weight and phase, and the figures of each variant below.
pub(super) fn status(look: Look, view: &DeploymentView) -> String {
    let mut parts = vec![
        share(view),
        format!("stage {}/{}", view.stage, view.stage_count),
        standing(look, view),
    ];
    if let Some(descent) = &view.descent {
        parts.push(going_down(descent));
    }
    if let Some(left) = time_left(view) {
        parts.push(format!("about {} left", length(left)));
    }
    // The bar and the space behind it.
    let mut text = side_by_side(look, BAR + 1, &parts);
    if let Some(measured) = &view.measured {
        let mut parts = vec![
            format!("canary {}", traffic(&measured.canary)),
            format!("production {}", traffic(&measured.production)),
        ];
        if measured.blind.is_some() {
            parts.push(Tone::Warning.paint(look, "blind"));
        }
        text.push('\n');
        text.push_str(&side_by_side(look, 0, &parts));
    }
    text
}

/// On one line as long as the terminal has room, which is taken up to here already. Where the terminal
/// breaks a line by itself, words are torn.
fn side_by_side(look: Look, mut taken: usize, parts: &[String]) -> String {
    let columns = look.columns().unwrap_or(usize::MAX);
    let mut text = String::new();
    for part in parts {
        if text.is_empty() {
            taken += width(part);
        } else if taken + 2 + width(part) <= columns {
            text.push_str("  ");
            taken += 2 + width(part);
        } else {
            text.push('\n');
            taken = width(part);
        }
        text.push_str(part);
    }
    text
}

/// To the end of the soak; `None` once that has passed or is not known.
fn time_left(view: &DeploymentView) -> Option<Span> {
    let end = view.expected_end?;
    let left = Span::between(view.as_of, end);
    // Whole minutes: what it is counted from is no finer.
    let minutes = left.secs() / 60;
    (minutes > 0).then(|| Span::from_mins(minutes))
}
