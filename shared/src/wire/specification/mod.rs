//! The specification of a deployment, as JSON over the API and as YAML in the CLI: one shape, read
//! strictly. An unknown field, a bare rate or a weight that does not rise is an error that names
//! the field and the way out.

mod check;
#[cfg(test)]
mod fuzz;
#[cfg(feature = "openapi")]
pub(crate) mod openapi;
mod raw;
#[cfg(test)]
mod tests;
mod yaml;

use serde::de::DeserializeOwned;
use serde_json::Value;

use self::raw::Raw;
use super::json::{self, Misfit, Mismatch, joined};
use crate::domain::specification::Specification;
use crate::domain::text::excerpt;

/// The largest specification that is kept, in bytes of its JSON.
pub const SIZE_LIMIT: usize = 64 * 1024;
/// The most characters of an error that come from what was given.
const LONGEST_SHOWN: usize = 400;

/// What is wrong with a specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{detail}", announced(.field))]
pub struct SpecificationError {
    /// As a path: `plan.stages[1].weight`. Empty where the whole document is at fault.
    pub field: String,
    /// What is wrong and the way out.
    pub detail: String,
}

fn announced(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{field}: ")
    }
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
    let value = yaml::read(text)?;
    if value.is_null() {
        return Err(empty());
    }
    Ok(value)
}

/// What a person wrote, safe and short enough to repeat in an error: it goes to terminals and logs.
pub fn shown(text: &str) -> String {
    excerpt(text, LONGEST_SHOWN)
}

fn empty() -> SpecificationError {
    wrong(
        "",
        "the specification is empty: it needs at least `endpoint` and `model`, or `model_package` in place of `model`",
    )
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
    if value.is_null() {
        return Err(empty());
    }
    let raw: Raw = typed(value)?;
    raw.check()
}

/// Reads any document of the API; the error has the path of the field at fault.
pub fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, SpecificationError> {
    json::shaped(value).map_err(|error| located(&error))
}

/// Reads the parameters of a query. To an unknown one is said which the route takes.
pub fn parameters<T: DeserializeOwned>(value: &Value) -> Result<T, SpecificationError> {
    json::shaped(value).map_err(|misfit| {
        let error = located(&misfit);
        let Mismatch::Unknown { name, known } = misfit.inner() else {
            return error;
        };
        let detail = format!("this route has no parameter `{name}`; it takes {known}");
        wrong(error.field, detail)
    })
}

/// Why a text is no document of the API.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is nothing.
    #[error("the body is empty: it must be JSON")]
    Empty,
    /// It is not JSON.
    #[error("the body is not JSON: {0}; check the quotes, commas and brackets there")]
    NotJson(serde_json::Error),
    /// An object has a key twice.
    #[error("{0}")]
    Doubled(SpecificationError),
}

/// Reads JSON, in which no object may have a key twice.
pub fn from_json(bytes: &[u8]) -> Result<Value, Unreadable> {
    if bytes.trim_ascii().is_empty() {
        return Err(Unreadable::Empty);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize::<_, json::Unambiguous>(&mut deserializer);
    let json::Unambiguous(value) = read.map_err(|error| {
        if error.inner().is_data() {
            Unreadable::Doubled(doubled(&error))
        } else {
            Unreadable::NotJson(error.into_inner())
        }
    })?;
    deserializer.end().map_err(Unreadable::NotJson)?;
    Ok(value)
}

/// A key that stands twice, by its path.
fn doubled(error: &serde_path_to_error::Error<serde_json::Error>) -> SpecificationError {
    let text = shown(&error.inner().to_string());
    let key = text.split('`').nth(1).unwrap_or_default();
    let field = joined(&shown_path(error.path()), key);
    wrong(field, format!("{text}; keep one of the two"))
}

/// A value that does not fit, by its path: of a field that is missing there is none.
fn located(misfit: &Misfit) -> SpecificationError {
    let path = shown_path(misfit.path());
    let why = misfit.inner();
    let field = match why {
        Mismatch::Missing(name) => joined(&path, name),
        _ => path,
    };
    wrong(field, why.to_string())
}

/// Empty where the whole document is meant.
fn shown_path(path: &serde_path_to_error::Path) -> String {
    if path.iter().next().is_none() {
        return String::new();
    }
    let path = shown(&path.to_string());
    // A field without a name leaves a point behind; one whose name is a point is that alone.
    match path.trim_end_matches('.') {
        "" => path,
        rest => rest.to_owned(),
    }
}
