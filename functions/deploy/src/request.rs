//! What a request says: its body, its query, its headers, each refused with a problem that names the field.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, Path, RawQuery};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shared::domain::state::Status;
use shared::wire::form::{self, NoText};
use shared::wire::problem::Problem;
use shared::wire::specification;

use crate::problems::{Answer, unfit};

/// The largest body of a request.
pub(crate) const BODY_LIMIT: usize = 128 * 1024;
/// The longest Idempotency-Key.
pub(crate) const KEY_LIMIT: usize = 255;
pub(crate) type Body = Result<Bytes, BytesRejection>;

/// The id in a path.
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Answer> {
        // The router's own refusal would be a plain text.
        let Path(id) = Path::from_request_parts(parts, state).await.map_err(|_| {
            let detail = "the path can't be read: the id of a deployment is a UUID";
            Problem::new(400, "unreadable-path", detail)
        })?;
        Ok(Self(id))
    }
}

/// The query of a route that takes no parameters: a misspelt or misplaced one is no reason to answer something
/// else than what was asked for.
pub(crate) struct NoParameters;

impl<S: Send + Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Answer> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let Nothing {} = parameters(&RawQuery(parts.uri.query().map(str::to_owned)))?;
        Ok(Self)
    }
}

/// The JSON of a body, and its digest for the Idempotency-Key.
pub(crate) fn document(body: Body) -> Result<(Value, String), Answer> {
    let bytes = within_limit(body)?;
    let value = specification::from_json(&bytes)?;
    // Of the document, not of its bytes: spaces and the order of keys make no other request.
    let digest = shared::wire::digest(value.to_string().as_bytes());
    Ok((value, digest))
}

pub(crate) fn within_limit(body: Body) -> Result<Bytes, Answer> {
    body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(
                413,
                "body-too-large",
                format!("a body has at most {BODY_LIMIT} bytes"),
            )
            .into()
        } else {
            Problem::new(400, "unreadable-body", "the body could not be read").into()
        }
    })
}

/// A body that may be left out.
pub(crate) fn optional<T: DeserializeOwned + Default>(body: Body) -> Result<T, Answer> {
    let bytes = within_limit(body)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    typed(&document(Ok(bytes))?.0)
}

pub(crate) fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Answer> {
    specification::typed(value).map_err(|error| unfit("invalid-body", error))
}

/// The parameters of a query, each a text.
pub(crate) fn parameters<T: DeserializeOwned>(RawQuery(query): &RawQuery) -> Result<T, Answer> {
    let pairs = form::parameters(query.as_deref().unwrap_or_default());
    let pairs = pairs.map_err(|error| no_text(400, "unreadable-query", &error))?;
    let mut fields = Map::new();
    for (name, text) in pairs {
        if fields.contains_key(&name) {
            let detail = "this parameter is given twice; keep one of the two";
            return Err(Problem::new(422, "invalid-parameter", detail)
                .field(specification::shown(&name))
                .into());
        }
        fields.insert(name, Value::String(text));
    }
    specification::parameters(&Value::Object(fields))
        .map_err(|error| unfit("invalid-parameter", error))
}

/// A field of a query or a form that can't be read.
pub(crate) fn no_text(status: u16, kind: &str, error: &NoText) -> Problem {
    let problem = Problem::new(status, kind, error.to_string());
    match specification::shown(&error.field) {
        field if field.is_empty() => problem,
        field => problem.field(field),
    }
}

pub(crate) fn page_size(limit: Option<&str>, default: usize, most: usize) -> Result<usize, Answer> {
    let Some(text) = limit else {
        return Ok(default);
    };
    let limit = text
        .parse::<usize>()
        .ok()
        .filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| {
        let detail = format!("limit is a number from 1 to {most}");
        let problem = Problem::new(422, "invalid-parameter", detail);
        problem.field("limit").into()
    })
}

/// A cursor goes into a query: it must look like one that a page ended with.
pub(crate) fn given_out(
    cursor: Option<String>,
    fits: fn(&str) -> bool,
) -> Result<Option<String>, Answer> {
    if cursor.as_deref().is_none_or(fits) {
        return Ok(cursor);
    }
    let detail = "cursor is the one that the page before ended with, as it was given";
    Err(Problem::new(422, "invalid-parameter", detail)
        .field("cursor")
        .into())
}

pub(crate) fn status(text: &str) -> Result<Status, Answer> {
    let names: Vec<String> = Status::ALL.iter().map(ToString::to_string).collect();
    let found = Status::ALL
        .into_iter()
        .find(|status| status.to_string() == text);
    found.ok_or_else(|| {
        Problem::new(
            422,
            "invalid-parameter",
            format!("status is one of {}", names.join(", ")),
        )
        .field("status")
        .into()
    })
}

pub(crate) fn idempotency_key(headers: &HeaderMap, caller: &str) -> Result<Option<String>, Answer> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|key| {
        (1..=KEY_LIMIT).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let key = key.ok_or_else(|| {
        let detail = format!("an Idempotency-Key has 1 to {KEY_LIMIT} visible ASCII characters without spaces, like a UUID");
        Problem::new(422, "invalid-idempotency-key", detail).field("Idempotency-Key")
    })?;
    Ok(Some(format!("{caller}#{key}")))
}
