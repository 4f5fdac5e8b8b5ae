//! RFC 9457 problem details: a stable `type`, the field at fault and the way out.

use serde::{Deserialize, Serialize};

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What the gate refuses: programs tell it from every other refusal.
pub const REJECTED_BY_GATE: &str = "rejected-by-gate";
/// Every `type` begins with it.
const PREFIX: &str = "urn:sagemaker-canary:problem:";

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A stable URN: what programs act on.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same in words, without the particulars.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The particulars, and what to do.
    pub detail: String,
    /// The field at fault, as a path like `plan.stages[1].weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The deployment it is about, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    /// Of `model-error`: the HTTP status that the model's container answered with, as far as SageMaker tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_status: Option<u16>,
    /// Of `model-error`: what the model's container answered, as text and as SageMaker passes it on, its first
    /// 1024 characters at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_body: Option<String>,
}

impl Problem {
    /// A problem of this kind: a word in kebab case that never changes.
    pub fn new(status: u16, kind: &str, detail: impl Into<String>) -> Self {
        let title = kind.replace('-', " ");
        Self {
            kind: format!("{PREFIX}{kind}"),
            title,
            status,
            detail: detail.into(),
            field: None,
            deployment_id: None,
            model_status: None,
            model_body: None,
        }
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: &str) -> bool {
        self.kind.strip_prefix(PREFIX) == Some(kind)
    }

    /// The document as it is sent, with [`MEDIA_TYPE`].
    pub fn body(&self) -> String {
        // Texts and a number: there is nothing that JSON could refuse.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// With the field at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// With the deployment it is about.
    #[must_use]
    pub fn deployment(mut self, id: impl Into<String>) -> Self {
        self.deployment_id = Some(id.into());
        self
    }

    /// With what a model's container answered. It may repeat what it was asked, so it is for the caller alone.
    #[must_use]
    pub fn model(mut self, status: Option<u16>, body: impl Into<String>) -> Self {
        self.model_status = status;
        self.model_body = Some(body.into());
        self
    }
}
