//! `canary doctor`: what was found about the setup, line by line.

use serde::Serialize;

use super::text::Tone;
use super::{Look, printable};

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// As it must be.
    Ok,
    /// Something has to be done.
    NotOk,
    /// It could not be looked at.
    Unknown,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// A stable word for it.
    pub(crate) check: &'static str,
    /// How it stands.
    pub(crate) standing: Standing,
    /// What was seen, and the way out where there is one.
    pub(crate) detail: String,
}

impl Finding {
    /// A finding; its words may come from outside.
    pub(crate) fn new(check: &'static str, standing: Standing, detail: &str) -> Self {
        Self {
            check,
            standing,
            detail: printable(detail),
        }
    }

    /// For people: one line, so that the checks stand under each other.
    pub(crate) fn line(&self, look: Look) -> String {
        let (word, tone) = match self.standing {
            Standing::Ok => ("ok", Tone::Good),
            Standing::NotOk => ("not ok", Tone::Bad),
            Standing::Unknown => ("can't tell", Tone::Warning),
        };
        let word = tone.paint(look, &format!("{word:10}"));
        format!("{word}  {:11}  {}", self.check, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_under_each_other_and_are_printable() {
        let line = |standing| Finding::new("clock", standing, "a\u{1b}[2Jb").line(Look::default());
        assert_eq!(line(Standing::Ok), "ok          clock        a\u{fffd}[2Jb");
        assert_eq!(
            line(Standing::NotOk),
            "not ok      clock        a\u{fffd}[2Jb"
        );
        let json = serde_json::to_value(Finding::new("clock", Standing::Unknown, "x")).unwrap();
        assert_eq!(json["standing"], "unknown");
    }
}
