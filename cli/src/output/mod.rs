//! What people and programs read.
//!
//! Every verb hands its answer over once; the format decides whether it becomes one compact JSON
//! object per line or text. Text is rendered by pure functions from the API's own types and a
//! [`Look`], so that tests need neither a network nor a terminal. Frames, colour and the moving
//! status line are for terminals alone: what goes into a file or a pipe is aligned plain text.

pub(crate) mod checks;
pub(crate) mod compare;
pub(crate) mod complaint;
pub(crate) mod deployment;
pub(crate) mod finding;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod replay;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod simulate;
pub(crate) mod table;
mod text;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

pub(crate) use text::{Tone, fitted, paragraph, printable};

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One compact JSON object per line.
    Json,
}

/// What the terminal says about itself. Clap reads it, as it reads all of the environment.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Surroundings {
    /// Never colour anything (also: NO_COLOR set to anything but nothing).
    #[arg(
        long,
        global = true,
        value_name = "ANY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        hide_possible_values = true
    )]
    no_color: Option<OsString>,
    #[arg(long, global = true, env = "NO_COLOR", hide = true)]
    environment_no_color: Option<OsString>,
    #[arg(long, global = true, env = "CLICOLOR", hide = true)]
    clicolor: Option<OsString>,
    #[arg(long, global = true, env = "TERM", hide = true)]
    term: Option<OsString>,
}

/// How text may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Look {
    /// A person is watching: frames and a line that moves are fine.
    pub(crate) terminal: bool,
    /// Colours are fine.
    pub(crate) colour: bool,
    /// Columns of the terminal; as wide as it really is where not given.
    pub(crate) width: Option<u16>,
}

impl Look {
    /// For a stream as it is.
    pub(crate) fn of_stream(stream: &impl IsTerminal, surroundings: &Surroundings) -> Self {
        Self::of(stream.is_terminal(), surroundings)
    }

    fn of(is_terminal: bool, surroundings: &Surroundings) -> Self {
        let is = |value: &Option<OsString>, text: &str| value.as_ref().is_some_and(|v| v == text);
        let given = [&surroundings.no_color, &surroundings.environment_no_color];
        let no_colour = given.into_iter().flatten().any(|v| !v.is_empty());
        let terminal = is_terminal && !is(&surroundings.term, "dumb");
        Self {
            terminal,
            colour: terminal && !no_colour && !is(&surroundings.clicolor, "0"),
            width: None,
        }
    }
}

impl Look {
    /// How wide text may be; as wide as it likes where there is no terminal.
    pub(crate) fn columns(self) -> Option<usize> {
        let width = || self.width.or_else(table::terminal_width);
        self.terminal.then(width).flatten().map(usize::from)
    }
}

/// Where answers and remarks go.
pub(crate) struct Output<'a> {
    /// For people or for programs.
    pub(crate) format: Format,
    /// How text may look.
    pub(crate) look: Look,
    answers: &'a mut dyn Write,
    remarks: &'a mut dyn Write,
    /// The same of remarks, which may go elsewhere.
    remarks_look: Look,
}

impl<'a> Output<'a> {
    /// Answers to the first, remarks to the second: standard output and standard error.
    pub(crate) fn new(
        format: Format,
        look: Look,
        answers: &'a mut dyn Write,
        remarks: &'a mut dyn Write,
    ) -> Self {
        Self {
            format,
            look,
            answers,
            remarks,
            remarks_look: look,
        }
    }

    /// With remarks that may look otherwise than answers.
    pub(crate) fn with_remarks_look(self, remarks_look: Look) -> Self {
        Self {
            remarks_look,
            ..self
        }
    }

    /// One answer: an object for programs, a text for people.
    pub(crate) fn answer<T: Serialize>(
        &mut self,
        object: &T,
        text: impl FnOnce(Look) -> String,
    ) -> io::Result<()> {
        self.answers_of(std::slice::from_ref(object), |_, look| text(look))
    }

    /// One answer that people take elsewhere: its lines are broken nowhere.
    pub(crate) fn document<T: Serialize>(
        &mut self,
        object: &T,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        self.print(std::slice::from_ref(object), |_, _| text())
    }

    /// Many objects for programs, one text for people.
    pub(crate) fn answers_of<T: Serialize>(
        &mut self,
        objects: &[T],
        text: impl FnOnce(&[T], Look) -> String,
    ) -> io::Result<()> {
        self.print(objects, |objects, look| fitted(look, &text(objects, look)))
    }

    fn print<T: Serialize>(
        &mut self,
        objects: &[T],
        text: impl FnOnce(&[T], Look) -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Text => writeln!(self.answers, "{}", text(objects, self.look).trim_end())?,
            Format::Json => {
                for object in objects {
                    serde_json::to_writer(&mut *self.answers, object)?;
                    self.answers.write_all(b"\n")?;
                }
            }
        }
        // A pipeline reads a watched deployment line by line.
        self.answers.flush()
    }

    /// A line for people that is no part of the answer; programs don't get it.
    pub(crate) fn remark(&mut self, text: &str) -> io::Result<()> {
        match self.format {
            Format::Text => writeln!(self.remarks, "{}", fitted(self.remarks_look, text)),
            Format::Json => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
