//! What went wrong, in the one shape that it has everywhere: a problem document. The API's own are
//! passed on; what goes wrong on this side gets the same fields, without an HTTP status that
//! nobody sent.

use serde::Serialize;
use shared::wire::problem::Problem;
use shared::wire::specification::SpecificationError;
use std::fmt::Write as _;

use super::{Look, Tone, fitted, printable};

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Complaint {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_id: Option<String>,
}

impl Complaint {
    /// Of this side: a stable word in kebab case, and the particulars.
    pub(crate) fn own(kind: &str, detail: &str) -> Self {
        let mut complaint = Self::from(Problem::new(0, kind, printable(detail)));
        complaint.status = None;
        complaint
    }

    /// With the deployment it is about.
    pub(crate) fn deployment(mut self, id: &str) -> Self {
        self.deployment_id = Some(id.to_owned());
        self
    }

    /// For people: what it is, the particulars, the field.
    pub(crate) fn text(&self, look: Look) -> String {
        let title = Tone::Bad.paint(look, &format!("error: {}", self.title));
        let mut text = format!("{title}: {}\n", self.detail);
        if let Some(field) = &self.field {
            writeln!(text, "  field: {field}").expect("a string takes everything");
        }
        if let Some(id) = &self.deployment_id {
            writeln!(text, "  deployment: {id}").expect("a string takes everything");
        }
        fitted(look, &text)
    }

    /// For programs: one compact object.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and a number make JSON")
    }
}

impl From<Problem> for Complaint {
    fn from(problem: Problem) -> Self {
        Self {
            kind: problem.kind,
            title: problem.title,
            status: Some(problem.status),
            detail: problem.detail,
            field: problem.field,
            deployment_id: problem.deployment_id,
        }
    }
}

/// As the API would put it, were it asked.
impl From<&SpecificationError> for Complaint {
    fn from(error: &SpecificationError) -> Self {
        let mut complaint = Self::own("invalid-specification", &error.detail);
        complaint.field = Some(printable(&error.field)).filter(|field| !field.is_empty());
        complaint
    }
}
