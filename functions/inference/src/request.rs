//! The body of `POST /inference`, checked.

use serde::Deserialize;
use serde_json::{Value, json};
use shared::domain::specification::is_name;
use shared::wire::problem::Problem;

/// As it was given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InferenceBody {
    pub(crate) endpoint: String,
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    features: Option<Value>,
    #[serde(default)]
    instances: Option<Value>,
    #[serde(default)]
    payload: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    accept: Option<String>,
    #[serde(default)]
    custom_attributes: Option<String>,
    #[serde(default)]
    attributes: Option<serde_json::Map<String, Value>>,
}

/// What goes to the model.
pub(crate) struct Payload {
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: String,
    pub(crate) accept: Option<String>,
    pub(crate) custom_attributes: Option<String>,
}

const JSON: &str = "application/json";
/// The longest user id.
const USER_LIMIT: usize = 256;
/// The longest header passed through.
const HEADER_LIMIT: usize = 1024;

impl InferenceBody {
    /// Reads a body. The errors name fields, never what was in them.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Box<Problem>> {
        let body: Self =
            serde_json::from_slice(bytes).map_err(|error| Box::new(unreadable(&error)))?;
        if !is_name(&body.endpoint) {
            return Err(Box::new(wrong(
                "endpoint",
                "an endpoint's name has 1 to 63 letters, digits and hyphens",
            )));
        }
        if body.user_id.as_ref().is_some_and(|user| {
            user.is_empty() || user.len() > USER_LIMIT || user.chars().any(char::is_control)
        }) {
            return Err(Box::new(wrong(
                "user_id",
                "a user_id has 1 to 256 bytes and no control characters",
            )));
        }
        if body.attributes.as_ref().is_some_and(|attributes| {
            attributes.len() > 8 || attributes.values().any(|value| !value.is_string())
        }) {
            return Err(Box::new(wrong(
                "attributes",
                "attributes are at most 8 texts by name",
            )));
        }
        Ok(body)
    }

    /// The one of `features`, `instances` and `payload` that was given, as the model gets it.
    pub(crate) fn payload(self) -> Result<Payload, Box<Problem>> {
        let content = match (self.features, self.instances, self.payload) {
            (Some(features), None, None) => (
                json!({"instances": [checked("features", features)?]}).to_string(),
                self.content_type.unwrap_or_else(|| JSON.to_owned()),
            ),
            (None, Some(instances), None) => (
                json!({"instances": checked("instances", instances)?}).to_string(),
                self.content_type.unwrap_or_else(|| JSON.to_owned()),
            ),
            (None, None, Some(payload)) => {
                let content_type = self.content_type.ok_or_else(|| {
                    Box::new(wrong(
                        "content_type",
                        "a payload needs its content_type, like \"text/csv\"",
                    ))
                })?;
                (payload, content_type)
            }
            _ => {
                return Err(Box::new(wrong(
                    "features",
                    "give exactly one of features, instances, and payload with content_type",
                )));
            }
        };
        for (field, header) in [
            ("content_type", Some(&content.1)),
            ("accept", self.accept.as_ref()),
            ("custom_attributes", self.custom_attributes.as_ref()),
        ] {
            if header.is_some_and(|text| {
                text.is_empty()
                    || text.len() > HEADER_LIMIT
                    || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
            }) {
                return Err(Box::new(wrong(
                    field,
                    "it becomes a header: 1 to 1024 printable ASCII characters",
                )));
            }
        }
        Ok(Payload {
            body: content.0.into_bytes(),
            content_type: content.1,
            accept: self.accept,
            custom_attributes: self.custom_attributes,
        })
    }
}

/// Features are a list or an object, and not empty.
fn checked(field: &'static str, value: Value) -> Result<Value, Box<Problem>> {
    let holds_something = match &value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => field == "features" && !fields.is_empty(),
        _ => false,
    };
    if holds_something {
        Ok(value)
    } else {
        Err(Box::new(wrong(field, "a list that is not empty is needed")))
    }
}

fn wrong(field: &str, detail: &str) -> Problem {
    Problem::new(422, "invalid-inference-request", detail).field(field)
}

/// Serde's message may repeat what was sent: only the field's name and the position pass.
fn unreadable(error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        let detail = format!(
            "the body is not JSON: line {}, column {}",
            error.line(),
            error.column()
        );
        return Problem::new(400, "not-json", detail);
    }
    let text = error.to_string();
    let named = (text.starts_with("unknown field") || text.starts_with("missing field"))
        .then(|| text.split('`').nth(1))
        .flatten();
    match named {
        Some(field) if text.starts_with("missing") => wrong(field, "this field is missing"),
        Some(_) => wrong(
            "body",
            "a field is unknown; known are endpoint, user_id, features, instances, payload, content_type, accept, custom_attributes, attributes",
        ),
        None => wrong(
            "body",
            &format!(
                "a field has the wrong type, at line {}, column {}",
                error.line(),
                error.column()
            ),
        ),
    }
}
