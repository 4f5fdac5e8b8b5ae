//! The shapes AWS answers come in: JSON and REST JSON, the query protocol's XML, and the CBOR of newer services.
//!
//! Services return `Result<_, AwsError>`; only this module knows how an error looks in each protocol, so a
//! fault injected into any service reaches the SDK as the error type it would get from AWS.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The account every simulated ARN names.
pub const ACCOUNT: &str = "123456789012";
/// The region every simulated ARN names.
pub const REGION: &str = "eu-central-1";

/// How a request was encoded, and so how its answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// JSON bodies with the operation in `X-Amz-Target`.
    Json,
    /// JSON or raw bodies with the operation in the path.
    Rest,
    /// Form-encoded requests, XML answers.
    Query,
    /// Smithy's RPC v2 with CBOR bodies.
    Cbor,
}

/// An error as AWS would word it.
#[derive(Clone, Debug)]
pub(crate) struct AwsError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// Further members of the error's shape.
    pub(crate) members: Map<String, Value>,
}

impl AwsError {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            members: Map::new(),
        }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    pub(crate) fn unknown_operation(operation: &str) -> Self {
        Self::new(
            400,
            "UnknownOperationException",
            format!("the operation {operation} is not simulated"),
        )
    }

    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// The answer that carries this error in the given protocol.
    pub(crate) fn response(&self, protocol: Protocol, request_id: &str) -> Response<Bytes> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = match protocol {
            Protocol::Json | Protocol::Rest => {
                let mut body = self.members.clone();
                body.insert("__type".to_owned(), self.code.clone().into());
                // JSON services say `message`, REST ones `Message`; the SDKs read either.
                let member = if protocol == Protocol::Json {
                    "message"
                } else {
                    "Message"
                };
                body.insert(member.to_owned(), self.message.clone().into());
                json_response(status, protocol, &Value::Object(body))
            }
            Protocol::Query => {
                let kind = if self.status < 500 {
                    "Sender"
                } else {
                    "Receiver"
                };
                let body = format!(
                    "<ErrorResponse><Error><Type>{kind}</Type><Code>{}</Code><Message>{}</Message></Error>\
                     <RequestId>{request_id}</RequestId></ErrorResponse>",
                    escape_xml(&self.code),
                    escape_xml(&self.message),
                );
                respond(status, "text/xml", Bytes::from(body))
            }
            Protocol::Cbor => {
                let value = json!({"__type": self.code, "message": self.message});
                cbor_response(status, &value)
            }
        };
        if let Ok(code) = header::HeaderValue::from_str(&self.code) {
            response.headers_mut().insert("x-amzn-errortype", code);
        }
        response
    }
}

pub(crate) fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    response
}

pub(crate) fn json_response(
    status: StatusCode,
    protocol: Protocol,
    body: &Value,
) -> Response<Bytes> {
    let content_type = if protocol == Protocol::Json {
        "application/x-amz-json-1.1"
    } else {
        "application/json"
    };
    respond(status, content_type, Bytes::from(body.to_string()))
}

/// An answer of Smithy's RPC v2.
pub(crate) fn cbor_response(status: StatusCode, answer: &Value) -> Response<Bytes> {
    let mut body = Vec::new();
    ciborium::into_writer(answer, &mut body).expect("writing CBOR into a vector cannot fail");
    let mut response = respond(status, "application/cbor", Bytes::from(body));
    let protocol = header::HeaderValue::from_static("rpc-v2-cbor");
    response.headers_mut().insert("smithy-protocol", protocol);
    response
}

/// A request of Smithy's RPC v2 without timestamps and blobs.
pub(crate) fn from_cbor(body: &[u8]) -> Result<Value, AwsError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    let read: Option<Value> = ciborium::from_reader(body).ok();
    read.filter(Value::is_object).ok_or_else(|| {
        AwsError::new(
            400,
            "SerializationException",
            "the body is not a CBOR structure",
        )
    })
}

/// Puts the request id on an answer that has none yet.
pub(crate) fn stamp(response: &mut Response<Bytes>, request_id: &str) {
    if let Ok(value) = header::HeaderValue::from_str(request_id) {
        response
            .headers_mut()
            .entry("x-amzn-requestid")
            .or_insert(value);
    }
}

/// Unique ids in the form of UUIDs, the same for the same seed and the same order of calls.
#[derive(Debug)]
pub(crate) struct Ids {
    seed: u64,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            next: AtomicU64::new(1),
        }
    }

    pub(crate) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let seed = self.seed & 0xffff_ffff;
        let high = (self.seed >> 32) & 0xffff;
        format!("{seed:08x}-{high:04x}-4000-8000-{number:012x}")
    }
}

/// A timestamp as JSON 1.1 services write it: seconds since 1970, with milliseconds.
pub(crate) fn epoch_seconds(at: Timestamp) -> Value {
    json!(at.as_millisecond() as f64 / 1000.0)
}

/// An ARN of this account.
pub(crate) fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

pub(crate) fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() && !matches!(control, '\n' | '\t') => {
                let _ = write!(escaped, "&#{};", u32::from(control));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Undoes percent-encoding; `plus` also turns `+` into a space, as forms want it. Bad escapes stay as they are.
pub(crate) fn percent_decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = text
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], escape) {
            (_, Some(byte)) => {
                decoded.push(byte);
                at += 3;
                continue;
            }
            (b'+', None) if plus => decoded.push(b' '),
            (byte, None) => decoded.push(byte),
        }
        at += 1;
    }
    match String::from_utf8_lossy(&decoded) {
        Cow::Borrowed(valid) => valid.to_owned(),
        Cow::Owned(repaired) => repaired,
    }
}

/// The fields of a form-encoded body, in order.
pub(crate) fn form_fields(body: &[u8]) -> Vec<(String, String)> {
    String::from_utf8_lossy(body)
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name, true), percent_decode(value, true))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_speaks_every_protocol() {
        let error = AwsError::validation("a < b").with("Extra", 7);
        let json = error.response(Protocol::Json, "id");
        assert_eq!(json.status(), 400);
        assert_eq!(json.headers()["x-amzn-errortype"], "ValidationException");
        let body: Value = serde_json::from_slice(json.body()).expect("JSON");
        assert_eq!(
            body,
            json!({"__type": "ValidationException", "message": "a < b", "Extra": 7})
        );
        let query = error.response(Protocol::Query, "id");
        let body = String::from_utf8_lossy(query.body()).into_owned();
        assert!(
            body.contains("<Code>ValidationException</Code><Message>a &lt; b</Message>"),
            "{body}"
        );
        let cbor = error.response(Protocol::Cbor, "id");
        assert_eq!(cbor.headers()["smithy-protocol"], "rpc-v2-cbor");
    }

    #[test]
    fn forms_and_paths_are_decoded() {
        assert_eq!(
            form_fields(b"Action=Publish&Message=a+b%26c%C3%A9&Empty"),
            vec![
                ("Action".to_owned(), "Publish".to_owned()),
                ("Message".to_owned(), "a b&cé".to_owned()),
                ("Empty".to_owned(), String::new()),
            ]
        );
        assert_eq!(percent_decode("a%3Ab+%zz%4", false), "a:b+%zz%4");
    }

    #[test]
    fn ids_are_unique_and_repeatable() {
        let (first, second) = (Ids::new(7), Ids::new(7));
        let id = first.next();
        assert_eq!(id, second.next());
        assert_ne!(id, first.next());
        assert_eq!(id.len(), 36);
    }
}
