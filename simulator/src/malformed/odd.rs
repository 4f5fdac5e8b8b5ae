//! Leaves, texts and numbers that are known to hurt.

use serde_json::Value;

use super::Choices;

/// As they stand in a document, some of which are no JSON.
const LEAVES: [&str; 34] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1",
    "-1",
    "0.1",
    "1.5",
    "100",
    "101",
    "255",
    "256",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "-1e308",
    "1e400",
    "1e-400",
    "5e-324",
    "NaN",
    "Infinity",
    "-Infinity",
    "\"\\ud800\"",
    "[]",
    "{}",
    "[null]",
    "{\"\": null}",
    "",
];

const TEXTS: [&str; 36] = [
    "",
    " ",
    ".",
    "\0",
    "a\0b",
    "\n",
    "\u{7f}",
    "\u{202e}",
    "\u{feff}",
    "é",
    "🍷🍷",
    "NaN",
    "inf",
    "-1",
    "0",
    "1e9",
    "0x10",
    "99999999999999999999999999",
    "1%",
    "100.000000001%",
    "1e9%",
    ".%",
    "0s",
    "-5m",
    "99999999999999999999d",
    "366d",
    "0.0000000001ms",
    "Mon-Mon 24:00-24:00 UTC",
    "9999-12-30T22:00:00.999999999Z",
    "-009999-01-02T01:59:59Z",
    "2026-03-02T08:00:60Z",
    "`weight` is a field",
    "$serde_json::private::Number",
    "__proto__",
    "{variant}{endpoint}",
    "DEP#../..",
];

/// A leaf as it is written.
pub(crate) fn leaf(choices: &mut Choices<'_>) -> String {
    if choices.below(2) == 0 {
        (*choices.of(&LEAVES)).to_owned()
    } else {
        quoted(&text(choices))
    }
}

/// A text: odd in itself, or by its length.
pub(crate) fn text(choices: &mut Choices<'_>) -> String {
    let text = *choices.of(&TEXTS);
    match choices.below(8) {
        0 => text.repeat(300),
        1 => format!("{text}x").repeat(40_000),
        _ => text.to_owned(),
    }
}

/// A leaf that resembles the one that was there.
pub(crate) fn changed(written: &str, choices: &mut Choices<'_>) -> String {
    match serde_json::from_str(written) {
        Ok(Value::String(text)) => {
            if choices.below(4) == 0 {
                // Without its quotes: a number, a word, or nothing that can be read.
                text
            } else {
                quoted(&edited(&text, choices))
            }
        }
        Ok(Value::Number(number)) => match choices.below(6) {
            0 => format!("-{number}"),
            1 => format!("{number}.5"),
            2 => format!("{number}e3"),
            3 => format!("{number}00000000000000000000"),
            4 => quoted(&number.to_string()),
            _ => leaf(choices),
        },
        _ => leaf(choices),
    }
}

/// A text that resembles this one.
pub(crate) fn edited(text: &str, choices: &mut Choices<'_>) -> String {
    let characters: Vec<char> = text.chars().collect();
    let at = choices.below(characters.len() + 1);
    let (before, after) = characters.split_at(at.min(characters.len()));
    let (before, after): (String, String) = (before.iter().collect(), after.iter().collect());
    match choices.below(8) {
        0 => before,
        1 => after,
        2 => format!("{before}{after}{after}"),
        3 => text.to_uppercase(),
        4 => self::text(choices),
        5 => {
            let digit = choices.below(10);
            format!("{before}{digit}{after}")
        }
        6 => {
            let mut rest = after.chars();
            rest.next();
            format!("{before}{}{}", choices.of(&TEXTS), rest.as_str())
        }
        _ => format!("{before}{}{after}", choices.of(&TEXTS)),
    }
}

/// A text as JSON writes it.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
