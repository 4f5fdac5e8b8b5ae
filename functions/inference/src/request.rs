//! The body of `POST /inference`, checked.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::domain::specification::is_name;
use shared::wire::json::{Misfit, Mismatch, Unambiguous, joined, known_path, shaped};
use shared::wire::problem::Problem;

/// A request to a model: exactly one of `features`, `instances` and `payload`.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a request to a model, such as {"endpoint": "wine-quality", "features": [7.4, 0.7]}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = InferenceRequest))]
pub(crate) struct InferenceBody {
    /// The endpoint to ask.
    pub(crate) endpoint: String,
    /// Who asks: 1 to 256 bytes. Where the deployment's routing is sticky it decides which model
    /// answers; it goes no further.
    #[serde(default)]
    pub(crate) user_id: Option<String>,
    /// One example, as a list or an object; the model gets `{"instances": [features]}`.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Value>))]
    features: Option<Unambiguous>,
    /// Several examples; the model gets `{"instances": instances}`.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Value>))]
    instances: Option<Unambiguous>,
    /// What the model gets, as it is; it needs `content_type`.
    #[serde(default)]
    payload: Option<String>,
    /// The Content-Type that the model gets; `application/json` for features and instances.
    #[serde(default)]
    content_type: Option<String>,
    /// The Accept that the model gets.
    #[serde(default)]
    accept: Option<String>,
    /// The X-Amzn-SageMaker-Custom-Attributes that the model gets.
    #[serde(default)]
    custom_attributes: Option<String>,
    /// What is known about the request, by name: at most 8 texts. The one that names the group, where the
    /// deployment tells groups apart, decides what the prediction counts for; none goes any further.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Value>))]
    attributes: Option<Unambiguous>,
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
pub(crate) const USER_LIMIT: usize = 256;
/// The most attributes.
pub(crate) const ATTRIBUTE_LIMIT: usize = 8;
/// The longest header passed through.
pub(crate) const HEADER_LIMIT: usize = 1024;

impl InferenceBody {
    /// Reads a body. The errors name fields, never what was in them.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Box<Problem>> {
        // What is wrong is looked for where something is: features may have megabytes, and are read once. And
        // serde takes a list for a structure, too.
        let is_object = bytes.trim_ascii_start().starts_with(b"{");
        let body: Self = match serde_json::from_slice(bytes) {
            Ok(body) if is_object => body,
            _ => parsed(bytes, KIND, &FIELDS)?,
        };
        if !is_name(&body.endpoint) {
            return Err(Box::new(no_endpoint("endpoint")));
        }
        if !body.user_id.as_deref().is_none_or(is_user) {
            return Err(Box::new(no_user("user_id")));
        }
        let few_texts = |Unambiguous(attributes): &Unambiguous| {
            attributes.as_object().is_some_and(|texts| {
                texts.len() <= ATTRIBUTE_LIMIT && texts.values().all(Value::is_string)
            })
        };
        if !body.attributes.as_ref().is_none_or(few_texts) {
            return Err(Box::new(refused(
                "attributes",
                "attributes are at most 8 texts by name",
            )));
        }
        Ok(body)
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let Unambiguous(attributes) = self.attributes.as_ref()?;
        attributes[name].as_str()
    }

    /// The one of `features`, `instances` and `payload` that was given, as the model gets it.
    pub(crate) fn payload(&mut self) -> Result<Payload, Box<Problem>> {
        let content_type = self.content_type.take();
        let given = (
            self.features.take(),
            self.instances.take(),
            self.payload.take(),
        );
        let content = match given {
            (Some(Unambiguous(features)), None, None) => (
                json!({"instances": [checked("features", features)?]}).to_string(),
                content_type.unwrap_or_else(|| JSON.to_owned()),
            ),
            (None, Some(Unambiguous(instances)), None) => (
                json!({"instances": checked("instances", instances)?}).to_string(),
                content_type.unwrap_or_else(|| JSON.to_owned()),
            ),
            (None, None, Some(payload)) => {
                let content_type = content_type.ok_or_else(|| {
                    Box::new(refused(
                        "content_type",
                        "a payload needs its content_type, like \"text/csv\"",
                    ))
                })?;
                (payload, content_type)
            }
            _ => {
                return Err(Box::new(refused(
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
                return Err(Box::new(refused(
                    field,
                    "it becomes a header: 1 to 1024 printable ASCII characters",
                )));
            }
        }
        Ok(Payload {
            body: content.0.into_bytes(),
            content_type: content.1,
            accept: self.accept.take(),
            custom_attributes: self.custom_attributes.take(),
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
        Err(Box::new(refused(
            field,
            "a list that is not empty is needed",
        )))
    }
}

/// The kind of a body's problem.
const KIND: &str = "invalid-inference-request";
/// Names that are ours, and that an error may say.
const FIELDS: [&str; 9] = [
    "endpoint",
    "user_id",
    "features",
    "instances",
    "payload",
    "content_type",
    "accept",
    "custom_attributes",
    "attributes",
];

fn refused(field: &str, detail: &str) -> Problem {
    wrong(KIND, field, detail)
}

/// Whether this can be a user.
pub(crate) fn is_user(user: &str) -> bool {
    (1..=USER_LIMIT).contains(&user.len()) && !user.chars().any(char::is_control)
}

/// What is wrong with an endpoint's name.
pub(crate) fn no_endpoint(field: &str) -> Problem {
    refused(
        field,
        "an endpoint's name has 1 to 63 letters, digits and hyphens",
    )
}

/// What is wrong with a user.
pub(crate) fn no_user(field: &str) -> Problem {
    refused(
        field,
        "a user_id has 1 to 256 bytes and no control characters",
    )
}

/// A field that is wrong, in a document of this kind.
pub(crate) fn wrong(kind: &'static str, field: &str, detail: &str) -> Problem {
    Problem::new(422, kind, detail).field(field)
}

/// Reads a body to the letter. The errors name fields and places in lists, never what was in them.
pub(crate) fn parsed<T: DeserializeOwned>(
    bytes: &[u8],
    kind: &'static str,
    names: &[&str],
) -> Result<T, Box<Problem>> {
    let Unambiguous(document) =
        serde_json::from_slice(bytes).map_err(|error| Box::new(unreadable(&error)))?;
    shaped(&document).map_err(|misfit| Box::new(misshapen(&misfit, kind, names)))
}

/// Serde's message may repeat what was sent: only the position passes.
fn unreadable(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    if error.is_data() {
        let detail = format!(
            "a key stands twice in one object: the second time at line {line}, column {column}"
        );
        return Problem::new(400, "duplicate-key", detail).field("body");
    }
    let detail = format!(
        "the body is not JSON: line {line}, column {column}; check the quotes, commas and brackets there"
    );
    Problem::new(400, "not-json", detail)
}

/// What is needed, and where: neither a value nor a name that is not one of these passes.
fn misshapen(misfit: &Misfit, kind: &'static str, names: &[&str]) -> Problem {
    let path = known_path(misfit, names);
    let (field, detail) = match misfit.inner() {
        Mismatch::Missing(name) => (joined(&path, name), "this field is missing".to_owned()),
        Mismatch::Unknown { known, .. } => {
            (path, format!("a field here is unknown; known are {known}"))
        }
        Mismatch::Shape { needed, .. } => (path, format!("this must be {needed}")),
        Mismatch::Unfit(_) => (path, "this can't be read".to_owned()),
    };
    let field = if field.is_empty() { "body" } else { &field };
    wrong(kind, field, &detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands in whatever is sent.
    const MARKER: &str = "marker-8d1f";

    fn refused(body: &Value) -> Problem {
        let refused = InferenceBody::parse(body.to_string().as_bytes()).map(drop);
        *refused.expect_err("no request")
    }

    #[test]
    fn a_wrong_type_names_its_field_and_repeats_nothing() {
        let with = |field: &str, value: Value| {
            let mut body = json!({"endpoint": "wine", "features": [1]});
            body[field] = value;
            body
        };
        for value in [
            json!({MARKER: MARKER}),
            json!([MARKER]),
            json!(8_151_623),
            json!(81.516),
            json!(true),
        ] {
            for field in [
                "endpoint",
                "user_id",
                "payload",
                "content_type",
                "accept",
                "custom_attributes",
            ] {
                let problem = refused(&with(field, value.clone()));
                assert_eq!(problem.field.as_deref(), Some(field), "{value}");
                assert_eq!(
                    problem.detail,
                    r#"this must be a text, like "wine-quality""#
                );
            }
        }
        let problem = refused(&with("attributes", json!({MARKER: 8_151_623})));
        assert_eq!(problem.field.as_deref(), Some("attributes"));
        for (body, detail) in [
            (
                json!([MARKER]),
                "this must be a request to a model, such as ",
            ),
            (json!(MARKER), "this must be a request to a model, such as "),
            (
                with(MARKER, json!(1)),
                "a field here is unknown; known are `endpoint`, ",
            ),
        ] {
            let problem = refused(&body);
            assert_eq!(problem.field.as_deref(), Some("body"), "{body}");
            assert!(problem.detail.starts_with(detail), "{}", problem.detail);
            assert!(!problem.body().contains(MARKER), "{}", problem.detail);
        }
        let problem = refused(&json!({"features": [MARKER]}));
        assert_eq!(problem.field.as_deref(), Some("endpoint"));
        assert_eq!(problem.detail, "this field is missing");
    }

    /// serde would take a list for the structure.
    #[test]
    fn a_request_is_an_object_and_an_object_is_enough() {
        let list = br#"["wine", null, [1]]"#;
        assert!(InferenceBody::parse(list).is_err());
        let body = br#" {"endpoint": "wine", "features": {"age": 7}, "user_id": null} "#;
        let body = InferenceBody::parse(body).expect("a request");
        assert_eq!((body.endpoint.as_str(), body.user_id), ("wine", None));
    }

    #[test]
    fn what_is_no_json_is_told_by_its_place_alone() {
        let body = format!("{{\"endpoint\": \"wine\",\n \"features\": {MARKER}");
        let problem = InferenceBody::parse(body.as_bytes()).map(drop);
        let problem = *problem.expect_err("no JSON");
        assert_eq!(problem.status, 400);
        assert!(
            problem.detail.contains("line 2, column "),
            "{}",
            problem.detail
        );
        assert!(!problem.body().contains(MARKER), "{}", problem.detail);
    }
}
