//! Why a value does not fit, in the words of whoever wrote the document: a plan and not a `struct`, a list and
//! not a sequence, a whole number and not an `u64`.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::domain::text::excerpt;

/// The most characters of a given value that are repeated.
const LONGEST_VALUE: usize = 40;
/// The most of a field's name.
const LONGEST_NAME: usize = 100;
/// The most of what a type itself says of a value.
const LONGEST_WORDS: usize = 400;

/// Why a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// A field that nobody knows.
    #[error("unknown field `{name}`; known here: {known}")]
    Unknown {
        /// Its name, as far as it can be shown.
        name: String,
        /// Those that are known.
        known: String,
    },
    /// A field that must be there, and is not.
    #[error("missing field `{0}`")]
    Missing(&'static str),
    /// A value of another shape.
    #[error("this must be {needed}, not {given}")]
    Shape {
        /// What is needed, with an example: never a part of the document.
        needed: String,
        /// What was given.
        given: String,
    },
    /// A value of the right shape that its type refuses, in its own words.
    #[error("{0}")]
    Unfit(String),
}

impl Mismatch {
    /// A value that is not one of these names.
    pub(super) fn none_of(names: &[&str], given: Unexpected<'_>) -> Self {
        Self::Shape {
            needed: format!("one of {}", listed(names)),
            given: in_words(given),
        }
    }

    fn shape(given: Unexpected<'_>, needed: &dyn Expected) -> Self {
        Self::Shape {
            needed: of_a_type(&needed.to_string()),
            given: in_words(given),
        }
    }
}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Self::Unfit(excerpt(&words.to_string(), LONGEST_WORDS))
    }

    fn invalid_type(given: Unexpected<'_>, needed: &dyn Expected) -> Self {
        Self::shape(given, needed)
    }

    fn invalid_value(given: Unexpected<'_>, needed: &dyn Expected) -> Self {
        Self::shape(given, needed)
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::none_of(known, Unexpected::Str(name))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::Unknown {
            name: excerpt(name, LONGEST_NAME),
            known: listed(known),
        }
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let names = names.iter().map(|name| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}

/// What is needed. The types of this project say it in these words themselves; those of the language say their
/// names.
fn of_a_type(name: &str) -> String {
    let words = match name {
        "a string" => r#"a text, like "wine-quality""#,
        "a boolean" => "true or false",
        "a sequence" => r#"a list, like ["one", "two"]"#,
        "a map" => r#"an object, like {"name": "value"}"#,
        "f64" => "a number, like 1.5",
        "u8" => "a whole number from 0 to 255, like 10",
        "u32" => "a whole number from 0 to 4294967295, like 10",
        "u64" | "usize" => "a whole number from 0 on, like 500",
        own => own,
    };
    words.to_owned()
}

/// What was given.
fn in_words(given: Unexpected<'_>) -> String {
    match given {
        Unexpected::Bool(flag) => flag.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        // Written out, some have three hundred digits.
        Unexpected::Float(number) => format!("{number:?}"),
        Unexpected::Str(text) => format!("the text `{}`", excerpt(text, LONGEST_VALUE)),
        Unexpected::Unit | Unexpected::Option => "empty".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        // Nothing else stands in a document of JSON.
        _ => "this".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::super::{Misfit, known_path, shaped};
    use crate::domain::plan::Preset;

    #[derive(Debug, Deserialize)]
    #[serde(
        deny_unknown_fields,
        expecting = "an example, such as {\"name\": \"a\"}"
    )]
    #[expect(dead_code, reason = "they are read and never looked at")]
    struct Example {
        name: String,
        preset: Option<Preset>,
        flag: Option<bool>,
        factor: Option<f64>,
        few: Option<u8>,
        some: Option<u32>,
        many: Option<u64>,
        list: Option<Vec<Example>>,
        by_name: Option<BTreeMap<String, u64>>,
    }

    fn misfit(value: &Value) -> Misfit {
        shaped::<Example>(value).expect_err("it does not fit")
    }

    #[test]
    fn a_wrong_shape_is_told_in_the_words_of_a_document() {
        for (value, words) in [
            (
                json!([]),
                r#"this must be an example, such as {"name": "a"}, not a list"#,
            ),
            (
                json!(null),
                r#"this must be an example, such as {"name": "a"}, not empty"#,
            ),
            (
                json!({"name": 5}),
                r#"this must be a text, like "wine-quality", not 5"#,
            ),
            (
                json!({"name": "a", "preset": "fast"}),
                "this must be one of `linear`, `playbook`, `quick`, `phased`, not the text `fast`",
            ),
            (
                json!({"name": "a", "preset": -3}),
                "this must be one of `linear`, `playbook`, `quick`, `phased`, not -3",
            ),
            (
                json!({"name": "a", "flag": "yes"}),
                "this must be true or false, not the text `yes`",
            ),
            (
                json!({"name": "a", "factor": true}),
                "this must be a number, like 1.5, not true",
            ),
            (
                json!({"name": "a", "few": 256}),
                "this must be a whole number from 0 to 255, like 10, not 256",
            ),
            (
                json!({"name": "a", "some": 4_294_967_296_u64}),
                "this must be a whole number from 0 to 4294967295, like 10, not 4294967296",
            ),
            (
                json!({"name": "a", "many": -1}),
                "this must be a whole number from 0 on, like 500, not -1",
            ),
            (
                json!({"name": "a", "many": 1e300}),
                "this must be a whole number from 0 on, like 500, not 1e300",
            ),
            (
                json!({"name": "a", "list": "b"}),
                r#"this must be a list, like ["one", "two"], not the text `b`"#,
            ),
            (
                json!({"name": "a", "by_name": [1]}),
                r#"this must be an object, like {"name": "value"}, not a list"#,
            ),
            (
                json!({"name": "a", "nmae": 1}),
                "unknown field `nmae`; known here: `name`, `preset`, `flag`, `factor`, `few`, `some`, `many`, `list`, `by_name`",
            ),
            (json!({}), "missing field `name`"),
        ] {
            assert_eq!(misfit(&value).inner().to_string(), words, "{value}");
        }
    }

    /// The way out comes before what was given, and a long text can't push it off the end.
    #[test]
    fn of_what_was_given_a_little_is_repeated() {
        let long = format!("\u{202e}{}", "x".repeat(5000));
        let said = misfit(&json!({"name": "a", "flag": long}));
        let words = format!(
            "this must be true or false, not the text `{}`",
            "x".repeat(40)
        );
        assert_eq!(said.inner().to_string(), words);
    }

    #[test]
    fn a_path_is_told_as_far_as_its_names_are_known() {
        let names = ["name", "list", "by_name"];
        for (value, path) in [
            (json!([]), ""),
            (json!({"name": 5}), "name"),
            (json!({"name": "a", "secret": 5}), ""),
            (
                json!({"name": "a", "list": [{"name": "b"}, {"name": 5}]}),
                "list[1].name",
            ),
            (json!({"name": "a", "list": [{}]}), "list[0]"),
            (
                json!({"name": "a", "list": [{"name": "b", "secret": 1}]}),
                "list[0]",
            ),
            (json!({"name": "a", "by_name": {"secret": "x"}}), "by_name"),
        ] {
            assert_eq!(known_path(&misfit(&value), &names), path, "{value}");
        }
    }
}
