//! The three protocols CloudWatch speaks, reduced to one shape.
//!
//! The same operation arrives as rpc-v2-cbor (the Rust SDK), as JSON 1.0 (boto3 and the AWS CLI)
//! or as an awsQuery form (older SDKs, curl). Each is decoded into a [`Tree`], and the answer, a
//! tree again, is encoded in the protocol of the question. A form carries nothing but text, so
//! the accessors of [`Fields`] take a number or a flag as text as well.
//!
//! CloudWatch is "query compatible": an error has one name in the model (`...Exception`, in the
//! body) and another one on the query wire, which newer protocols repeat in the header
//! `x-amzn-query-error`. The SDKs match on the latter.

mod cbor;
mod json;
mod query;
mod tree;

use std::io::Read;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

pub(super) use tree::{Fields, Tree, structure};

const SERVICE: &str = "GraniteServiceVersion20100801";
const API_VERSION: &str = "2010-08-01";
const CBOR_PATH: &str = "/service/GraniteServiceVersion20100801/operation/";

/// What a compressed body may unfold to. AWS takes 1 MB; this only has to stop a bomb.
const BODY_LIMIT: u64 = 16 * 1024 * 1024;

/// An error as the client will see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    status: StatusCode,
    /// The name on the query wire.
    code: &'static str,
    /// The name in the model.
    shape: &'static str,
    message: String,
}

impl ApiError {
    fn bad_request(code: &'static str, shape: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            shape,
            message: message.into(),
        }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::bad_request("ValidationError", "ValidationException", message)
    }

    pub(super) fn invalid_value(message: impl Into<String>) -> Self {
        let shape = "InvalidParameterValueException";
        Self::bad_request("InvalidParameterValue", shape, message)
    }

    pub(super) fn invalid_combination(message: impl Into<String>) -> Self {
        let shape = "InvalidParameterCombinationException";
        Self::bad_request("InvalidParameterCombination", shape, message)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        let shape = "MissingRequiredParameterException";
        let message = format!("The parameter {parameter} is required.");
        Self::bad_request("MissingParameter", shape, message)
    }

    pub(super) fn invalid_token() -> Self {
        let message = "The token in NextToken does not belong to this request.";
        Self::bad_request("InvalidNextToken", "InvalidNextToken", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            ..Self::bad_request("ResourceNotFound", "ResourceNotFound", message)
        }
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            ..Self::bad_request("InternalServiceError", "InternalServiceFault", message)
        }
    }

    pub(super) fn unknown_operation(operation: &str) -> Self {
        let message = format!("CloudWatch has no operation {operation} in this simulator.");
        Self::bad_request("InvalidAction", "UnknownOperationException", message)
    }

    /// The body cannot be read, or a field has the wrong type.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::bad_request("MalformedInput", "SerializationException", message)
    }

    /// The same message under the code that `GetMetricData` and alarms use for a bad parameter.
    pub(super) fn into_validation(self) -> Self {
        match self.code {
            "MissingParameter" | "InvalidParameterValue" | "InvalidParameterCombination" => {
                Self::validation(self.message)
            }
            _ => self,
        }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    fn fault(&self) -> &'static str {
        if self.status.is_server_error() {
            "Receiver"
        } else {
            "Sender"
        }
    }
}

/// How a request came in and its answer goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Cbor,
    Json,
    Query,
}

impl Protocol {
    /// The protocol of a request. What is neither of the newer two is taken for a form.
    pub(super) fn of(request: &Request<Bytes>) -> Self {
        if request.uri().path().starts_with(CBOR_PATH) {
            Self::Cbor
        } else if target(request.headers()).is_some() {
            Self::Json
        } else {
            Self::Query
        }
    }

    /// The operation's name and its input.
    pub(super) fn decode(self, request: &Request<Bytes>) -> Result<(String, Tree), ApiError> {
        let body = body(request)?;
        match self {
            Self::Cbor => {
                let path = request.uri().path();
                let operation = path.strip_prefix(CBOR_PATH).unwrap_or(path);
                Ok((operation.to_owned(), cbor::decode(&body)?))
            }
            Self::Json => {
                let operation = target(request.headers()).unwrap_or_default();
                Ok((operation.to_owned(), json::decode(&body)?))
            }
            Self::Query => {
                let uri_query = request.uri().query().unwrap_or_default();
                query::decode(if body.is_empty() {
                    uri_query.as_bytes()
                } else {
                    &body
                })
            }
        }
    }

    /// The answer to an operation; `None` is the answer of an operation that returns nothing.
    pub(super) fn encode(
        self,
        operation: &str,
        request_id: &str,
        outcome: &Result<Option<Tree>, ApiError>,
    ) -> Response<Bytes> {
        let (status, body) = match outcome {
            Ok(output) => (
                StatusCode::OK,
                self.output(operation, request_id, output.as_ref()),
            ),
            Err(error) => (error.status, self.error(error, request_id)),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let content_type = match self {
            Self::Cbor => "application/cbor",
            Self::Json => "application/x-amz-json-1.0",
            Self::Query => "text/xml",
        };
        let headers = response.headers_mut();
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        };
        set("x-amzn-requestid", request_id);
        set("content-type", content_type);
        if self == Self::Cbor {
            set("smithy-protocol", "rpc-v2-cbor");
        }
        if let Err(error) = outcome {
            let compatible = format!("{};{}", error.code, error.fault());
            set("x-amzn-query-error", &compatible);
        }
        response
    }

    fn output(self, operation: &str, request_id: &str, output: Option<&Tree>) -> Vec<u8> {
        let nothing = Tree::Structure(Vec::new());
        match self {
            Self::Cbor => cbor::encode(output.unwrap_or(&nothing)),
            Self::Json => json::encode(output.unwrap_or(&nothing)),
            Self::Query => query::encode(operation, request_id, output),
        }
    }

    fn error(self, error: &ApiError, request_id: &str) -> Vec<u8> {
        let tree = || {
            structure([
                (
                    "__type",
                    Tree::Text(format!("com.amazonaws.cloudwatch#{}", error.shape)),
                ),
                ("message", Tree::Text(error.message.clone())),
            ])
        };
        match self {
            Self::Cbor => cbor::encode(&tree()),
            Self::Json => json::encode(&tree()),
            Self::Query => {
                query::encode_error(error.fault(), error.code, &error.message, request_id)
            }
        }
    }
}

/// Whether a request is meant for CloudWatch, in any of its protocols.
pub(super) fn is_for_cloudwatch(request: &Request<Bytes>) -> bool {
    if request.uri().path().starts_with(CBOR_PATH) || target(request.headers()).is_some() {
        return true;
    }
    // Another service's target settles it, whatever else the request looks like.
    if request.headers().contains_key("x-amz-target") {
        return false;
    }
    match signature_scope(request.headers()) {
        Some(service) => service == "monitoring",
        None => {
            query::is_versioned(request.body(), API_VERSION)
                || query::is_versioned(
                    request.uri().query().unwrap_or_default().as_bytes(),
                    API_VERSION,
                )
        }
    }
}

/// The operation in `X-Amz-Target`, if the target is CloudWatch.
fn target(headers: &HeaderMap) -> Option<&str> {
    headers
        .get("x-amz-target")?
        .to_str()
        .ok()?
        .strip_prefix(SERVICE)?
        .strip_prefix('.')
}

/// The service in `Credential=key/date/region/service/aws4_request`.
fn signature_scope(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get("authorization")?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    credential.split(',').next()?.split('/').nth(3)
}

fn body(request: &Request<Bytes>) -> Result<Bytes, ApiError> {
    let encoding = request.headers().get("content-encoding");
    if encoding.is_none_or(|encoding| encoding != "gzip") {
        return Ok(request.body().clone());
    }
    let mut plain = Vec::new();
    let reader = flate2::read::GzDecoder::new(request.body().as_ref());
    reader
        .take(BODY_LIMIT + 1)
        .read_to_end(&mut plain)
        .map_err(|error| ApiError::malformed(format!("The body is not valid gzip: {error}")))?;
    if plain.len() as u64 > BODY_LIMIT {
        return Err(ApiError::malformed(
            "The body is too large once decompressed.",
        ));
    }
    Ok(Bytes::from(plain))
}
