//! YAML as people write it. What its parser complains of is put in words that say what to look for; the place
//! is the parser's own.

use serde_json::Value;
use serde_saphyr::{Error, MessageFormatter as _, UserMessageFormatter};

use super::{SpecificationError, shown, wrong};

/// A colon where the parser can't take one, for whatever reason.
const COLON: &str = "a colon can't stand here: give each field a line of its own, as far to the right as its neighbours, close the quotes and brackets before it, and put a text that holds a colon in quotes";
const FIELD: &str = "no field begins here: a field has its name, a colon and a space, and begins in the same column as its neighbours";
const DASH: &str = "a dash begins an item of a list, on a line of its own: put a text that begins with one in quotes";
const TOO_DEEP: &str = "it is nested too deeply, or repeats too much (`*name`)";

/// What the parser says, by a part of it, and what that means. The first that fits.
const MEANINGS: [(&str, &str); 26] = [
    ("mapping values are not allowed", COLON),
    ("illegal placement of ':'", COLON),
    ("':' may not precede", "a space is missing after this colon"),
    (
        "simple key",
        "the name of a field is followed by a colon and a space, like `soak: 1h`",
    ),
    (
        "expected ','",
        "a comma or the closing bracket is missing before this",
    ),
    (
        "unclosed bracket",
        "the bracket that is opened here is never closed",
    ),
    (
        "bracket",
        "this bracket closes none, or one of another kind",
    ),
    (
        "unclosed quote",
        "the quote that is opened here is never closed",
    ),
    (
        "multiline quoted scalar",
        "a quote that is opened before this line is not closed; close it, or indent the text's further lines",
    ),
    (
        "trailing content",
        "there is more behind a closing quote: put all of the text into the quotes",
    ),
    (
        "while parsing a quoted scalar",
        "in double quotes a backslash begins a sign of its own: write it twice, or use single quotes",
    ),
    ("tab", "a tab stands here: indent with spaces"),
    (
        "block scalar",
        "the text that `|` or `>` announces begins on the next line, further right than its field",
    ),
    (
        "anchor or alias",
        "a name is missing after `&` or `*`: put a text that begins with one of them in quotes",
    ),
    ("is only valid inside a block", DASH),
    ("block sequence entries", DASH),
    ("did not find expected key", FIELD),
    ("expected '-' indicator", FIELD),
    ("indentation", FIELD),
    (
        "<document start>",
        "this belongs to nothing before it: check the brackets, and where the line begins",
    ),
    (
        "unexpected character",
        "this character can't stand here: put the text in quotes",
    ),
    (
        "string scalar",
        "the name of a field is a text, and no list, object or number",
    ),
    ("unexpected EOF", "the text ends before it is complete"),
    ("unexpected end", "the text ends before it is complete"),
    ("recursion limit", TOO_DEEP),
    ("ecursive reference", TOO_DEEP),
];

/// Reads YAML 1.2: of 1.1 are the booleans `yes`, `no`, `on` and `off`, which are texts.
pub(super) fn read(text: &str) -> Result<Value, SpecificationError> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or_else(String::new, |at| {
            format!(" at line {}, column {}", at.line(), at.column())
        });
        let words = shown(&in_plain_words(&error));
        wrong("", format!("not YAML{place}: {words}"))
    })
}

fn in_plain_words(error: &Error) -> String {
    match error.without_snippet() {
        Error::AliasError { error, .. } => in_plain_words(error),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or_default();
            format!("the field `{key}` is there twice; keep one of the two")
        }
        Error::MultipleDocuments { .. } => {
            "a second document begins here; leave one of the two, without a line `---` between them"
                .to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "`*` repeats what has a name (`&name`), and nothing has this one; put a text that begins with a star in quotes"
                .to_owned()
        }
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            "`<<` takes over the fields of an object, and this is none".to_owned()
        }
        Error::NonFiniteFloat { value, .. } => format!("`{value}` is no number that can be used"),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => TOO_DEEP.to_owned(),
        other => {
            let said = UserMessageFormatter.format_message(other);
            let known = MEANINGS.iter().find(|(part, _)| said.contains(part));
            known.map_or_else(|| said.to_string(), |(_, meaning)| (*meaning).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Line, column and a part of what is to be done about it.
    #[test]
    fn an_error_says_where_and_what_to_look_for() {
        for (text, line, column, words) in [
            (
                "endpoint: a\nmodel: b\nplan: linear: 5\n",
                3,
                13,
                "a colon can't stand here",
            ),
            ("endpoint: a\n  model: b\n", 2, 8, "a line of its own"),
            (
                "endpoint: [a, b\nmodel: c\n",
                2,
                6,
                "close the quotes and brackets",
            ),
            ("endpoint: a\nplan: {preset: linear\n", 2, 7, "never closed"),
            (
                "endpoint: \"a\nmodel: b\n",
                2,
                1,
                "a quote that is opened before",
            ),
            ("endpoint: a\n\tmodel: b\n", 1, 11, "indent with spaces"),
            (
                "endpoint: a\nendpoint: b\n",
                2,
                1,
                "the field `endpoint` is there twice",
            ),
            ("endpoint: *x\n", 1, 11, "begins with a star"),
            ("endpoint: a\n---\nendpoint: b\n", 3, 1, "a second document"),
            (
                "endpoint: a\nmodel: b\nplan:\n  preset: linear\n soak: 1h\n",
                5,
                2,
                "in the same column",
            ),
            ("endpoint: @a\n", 1, 11, "put the text in quotes"),
            ("endpoint: .nan\n", 1, 11, "`.nan` is no number"),
            (
                "a: &a {b: c}\nx: {<<: 5}\n",
                2,
                9,
                "the fields of an object",
            ),
            ("? [a]\n: b\n", 1, 3, "the name of a field is a text"),
            (
                "{\"endpoint\": 1 \"b\": 2}",
                1,
                19,
                "a comma or the closing bracket",
            ),
        ] {
            let error = read(text).expect_err(text);
            let begins = format!("not YAML at line {line}, column {column}: ");
            assert!(error.detail.starts_with(&begins), "{text}: {error}");
            assert!(error.detail.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_boolean_is_true_or_false_and_nothing_else() {
        for text in ["no", "yes", "on", "off", "No", "YES", "y", "n"] {
            let read = read(&format!("it: {text}\n")).expect(text);
            assert_eq!(read, json!({"it": text}));
        }
        for (text, value) in [("true", true), ("false", false), ("True", true)] {
            let read = read(&format!("it: {text}\n")).expect(text);
            assert_eq!(read, json!({"it": value}));
        }
    }

    /// Its own words are for those who program with it.
    #[test]
    fn the_parser_does_not_speak_of_its_options() {
        let nested = "[".repeat(3000);
        for text in [
            "a: 1\na: 2\n",
            "a: 1\n---\na: 2\n",
            nested.as_str(),
            "a: &a [*a]\n",
            "a: 1e400\n",
            "a: \"\\q\"\n",
            "a: - b\n",
        ] {
            let error = read(text).expect_err("no YAML that can be used");
            for word in [
                "Option", "from_str", "olicy", "weak", "limit", "scalar", "sequence",
            ] {
                assert!(!error.detail.contains(word), "{word} in {error}");
            }
        }
    }
}
