//! The specification of a deployment, as JSON over the API and as YAML in the CLI: one shape, read
//! strictly. An unknown field, a bare rate or a weight that does not rise is an error that names
//! the field and the way out.

mod check;
#[cfg(test)]
mod fuzz;
#[cfg(feature = "openapi")]
pub(crate) mod openapi;
mod raw;

use serde::de::DeserializeOwned;
use serde_json::Value;

use self::raw::Raw;
use super::json;
use crate::domain::specification::Specification;

/// The largest specification that is kept, in bytes of its JSON.
pub const SIZE_LIMIT: usize = 64 * 1024;
/// The most characters of an error that come from what was given.
const LONGEST_SHOWN: usize = 400;

/// What is wrong with a specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct SpecificationError {
    /// As a path: `plan.stages[1].weight`.
    pub field: String,
    /// What is wrong and the way out.
    pub detail: String,
}

fn wrong(field: impl Into<String>, detail: impl Into<String>) -> SpecificationError {
    SpecificationError {
        field: field.into(),
        detail: detail.into(),
    }
}

/// Reads YAML 1.2 (of which JSON is a part) into the JSON that the API takes.
pub fn from_yaml(text: &str) -> Result<Value, SpecificationError> {
    if text.len() > SIZE_LIMIT {
        return Err(too_large());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let text = error.to_string();
        wrong("", format!("not YAML: {}", shown(first_line(&text))))
    })
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

/// What a person wrote, safe and short enough to repeat in an error: it goes to terminals and logs.
pub fn shown(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(LONGEST_SHOWN)
        .collect()
}

fn too_large() -> SpecificationError {
    wrong(
        "",
        format!("the specification is larger than {SIZE_LIMIT} bytes"),
    )
}

/// Reads and checks a specification.
pub fn parse(value: &Value) -> Result<Specification, SpecificationError> {
    if value.to_string().len() > SIZE_LIMIT {
        return Err(too_large());
    }
    let raw: Raw = typed(value)?;
    raw.check()
}

/// Reads any document of the API; the error has the path of the field at fault.
pub fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, SpecificationError> {
    json::shaped(value).map_err(|error| located(&error))
}

/// Why a text is no document of the API.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// An object has a key twice.
    #[error("{0}")]
    Doubled(SpecificationError),
}

/// Reads JSON, in which no object may have a key twice.
pub fn from_json(bytes: &[u8]) -> Result<Value, Unreadable> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize::<_, json::Unambiguous>(&mut deserializer);
    let json::Unambiguous(value) = read.map_err(|error| {
        if error.inner().is_data() {
            Unreadable::Doubled(located(&error))
        } else {
            Unreadable::NotJson(error.into_inner())
        }
    })?;
    deserializer.end().map_err(Unreadable::NotJson)?;
    Ok(value)
}

/// Serde's error with the path of the field: unknown and missing ones are named themselves.
fn located(error: &serde_path_to_error::Error<serde_json::Error>) -> SpecificationError {
    let text = shown(&error.inner().to_string());
    let parent = match shown(&error.path().to_string()) {
        path if path == "." => String::new(),
        // A field without a name leaves a point behind.
        path => path.trim_end_matches('.').to_owned(),
    };
    let join = |name: &str| match parent.rsplit('.').next() {
        Some("") | None => name.to_owned(),
        Some(last) if last == name || name.is_empty() => parent.clone(),
        Some(_) => format!("{parent}.{name}"),
    };
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    if text.starts_with(json::DOUBLED) {
        let field = join(&quoted(&text));
        return wrong(field, format!("{text}; keep one of the two"));
    }
    if text.starts_with("unknown field") || text.starts_with("missing field") {
        return wrong(join(&quoted(&text)), text);
    }
    wrong(parent, text)
}
