//! SageMaker's runtime, for `inference`.

use std::time::Duration;

use aws_sdk_sagemakerruntime::error::SdkError;
use aws_sdk_sagemakerruntime::operation::invoke_endpoint::InvokeEndpointError;
use aws_sdk_sagemakerruntime::primitives::Blob;
use aws_smithy_types::base64;

use super::Aws;
use super::error::sort;
use crate::app::ports::{Ambient, Class, PortError};

/// One request to a model.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// The endpoint.
    pub endpoint: String,
    /// The body as the model gets it.
    pub body: Vec<u8>,
    /// Its media type.
    pub content_type: Option<String>,
    /// The media type wanted.
    pub accept: Option<String>,
    /// Passed through to the container.
    pub custom_attributes: Option<String>,
    /// A variant by name, over the weights.
    pub target_variant: Option<String>,
    /// Joins the request to data capture and ground truth.
    pub inference_id: String,
}

/// A model's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The body.
    pub body: Vec<u8>,
    /// Its media type.
    pub content_type: Option<String>,
    /// The variant that answered.
    pub variant: String,
    /// Passed through from the container; absent where it set none.
    pub custom_attributes: Option<String>,
}

impl Answer {
    /// The body in base64 (RFC 4648, section 4, with padding).
    pub fn in_base64(&self) -> String {
        base64::encode(&self.body)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvokeError {
    /// The model itself answered with an error.
    #[error("the model answered with an error")]
    Model {
        /// The container's status, where SageMaker tells it.
        status: Option<u16>,
        /// The container's body, bounded.
        message: String,
    },
    /// The endpoint or variant can't be asked.
    #[error("the endpoint refused: {0}")]
    Refused(String),
    /// No answer within this time. The model may still be at it.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// Anything else.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl InvokeError {
    /// Whether the request went to the variant that was asked for, and is one of its invocations.
    pub const fn has_reached_the_model(&self) -> bool {
        matches!(self, Self::Model { .. } | Self::Late(_))
    }
}

/// The most of a model's error body that is passed on.
const MESSAGE_LIMIT: usize = 1024;

impl Aws {
    /// InvokeEndpoint, once: a prediction is not repeated behind the caller's back. It is broken off
    /// at the limit.
    pub async fn invoke(
        &self,
        request: Invocation,
        limit: Duration,
    ) -> Result<Answer, InvokeError> {
        let call = self
            .runtime
            .invoke_endpoint()
            .endpoint_name(request.endpoint)
            .body(Blob::new(request.body));
        let call = call
            .set_content_type(request.content_type)
            .set_accept(request.accept)
            .set_custom_attributes(request.custom_attributes);
        let call = call
            .set_target_variant(request.target_variant)
            .inference_id(request.inference_id);
        let Some(sent) = self.within(limit, call.send()).await else {
            return Err(InvokeError::Late(limit));
        };
        match sent {
            Ok(output) => Ok(Answer {
                variant: output
                    .invoked_production_variant()
                    .unwrap_or_default()
                    .to_owned(),
                content_type: given(output.content_type()),
                custom_attributes: given(output.custom_attributes()),
                body: output.body.map(Blob::into_inner).unwrap_or_default(),
            }),
            Err(error) => Err(sorted(&error)),
        }
    }
}

/// What is not set comes back empty (reference of InvokeEndpoint).
fn given(header: Option<&str>) -> Option<String> {
    header.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn sorted(error: &SdkError<InvokeEndpointError>) -> InvokeError {
    if let Some(InvokeEndpointError::ModelError(model)) = error.as_service_error() {
        let status = model
            .original_status_code()
            .and_then(|status| u16::try_from(status).ok());
        let message = model
            .original_message()
            .unwrap_or_default()
            .chars()
            .take(MESSAGE_LIMIT)
            .collect();
        return InvokeError::Model { status, message };
    }
    let error = sort("InvokeEndpoint", error);
    if error.class == Class::Invalid {
        InvokeError::Refused(error.message)
    } else {
        InvokeError::Port(error)
    }
}
