//! What people order of a deployment.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;
use shared::app::accept::Key;
use shared::app::order::order;
use shared::app::undo::undo as take_back;
use shared::aws::Aws;
use shared::domain::command::Command;
use shared::domain::quantity::Weight;
use shared::domain::text::visible;
use shared::gateway::Asked;
use shared::wire::api::{CommandBody, LONGEST_REASON, WeightBody};
use shared::wire::digest;
use shared::wire::problem::Problem;

use super::{Shared, announce, answered, approval, load, view};
use crate::problems::Answer;
use crate::request::{
    Body, Id, NoParameters, document, idempotency_key, optional, parameters, typed, within_limit,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandParameters {
    full: Option<String>,
}

pub(super) async fn command(
    name: &'static str,
    State(aws): Shared,
    asked: Asked,
    Id(id): Id,
    query: RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Answer> {
    let parameters: CommandParameters = parameters(&query)?;
    let full = match parameters.full.as_deref() {
        None | Some("false") => false,
        Some("true") if name == "promote" => true,
        _ => {
            return Err(Problem::new(
                422,
                "invalid-parameter",
                "full is true or false, and belongs to promote alone",
            )
            .field("full")
            .into());
        }
    };
    if name == "approve" && approval::is_form(&headers) {
        return approval::approve(&aws, &asked, &id, &within_limit(body)?).await;
    }
    let body: CommandBody = optional(body)?;
    let command = match name {
        "pause" => Command::Pause,
        "resume" => Command::Resume,
        "promote" => Command::Promote { full },
        "rollback" => Command::Rollback,
        "cancel" => Command::Cancel,
        _ => Command::Approve,
    };
    follow(&aws, &asked, &id, command, body.reason).await
}

pub(super) async fn weight(
    State(aws): Shared,
    asked: Asked,
    Id(id): Id,
    _: NoParameters,
    body: Body,
) -> Result<Response, Answer> {
    let body: WeightBody = typed(&document(body)?.0)?;
    let weight = Weight::new(body.weight).filter(|weight| *weight > Weight::ZERO);
    let weight = weight.ok_or_else(|| {
        Problem::new(
            422,
            "invalid-weight",
            "weight is whole percent from 1 to 100; to take everything back, use rollback",
        )
        .field("weight")
    })?;
    follow(&aws, &asked, &id, Command::SetWeight(weight), body.reason).await
}

pub(super) async fn undo(
    State(aws): Shared,
    asked: Asked,
    Id(id): Id,
    _: NoParameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Answer> {
    let body: CommandBody = optional(body)?;
    let reason = optional_reason(body.reason.as_deref())?;
    let why = reason.as_deref();
    let caller = asked.caller.name();
    let digest = digest(json!({"undo": id, "reason": why}).to_string().as_bytes());
    let key = idempotency_key(&headers, caller)?.map(|key| Key { key, digest });
    let completed = load(&aws, &asked, &id).await?;
    let accepted = take_back(&*aws, &completed, caller, why, key.as_ref()).await?;
    Ok(answered(&aws, &accepted).await)
}

pub(super) async fn follow(
    aws: &Aws,
    asked: &Asked,
    id: &str,
    command: Command,
    reason: Option<String>,
) -> Result<Response, Answer> {
    let reason = optional_reason(reason.as_deref())?;
    load(aws, asked, id).await?;
    let loaded = order(aws, id, command, asked.caller.name(), reason.as_deref()).await?;
    announce(aws, &loaded).await;
    Ok((StatusCode::ACCEPTED, Json(view(aws, &loaded, &[]))).into_response())
}

/// A reason that may be left out: what can be seen of it. Nothing but its length is refused, so that no word of it
/// keeps a rollback waiting.
fn optional_reason(reason: Option<&str>) -> Result<Option<String>, Answer> {
    if reason.is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
        let detail =
            format!("reason has at most {LONGEST_REASON} characters; it may also be left out");
        return Err(Problem::new(422, "invalid-reason", detail)
            .field("reason")
            .into());
    }
    Ok(reason.and_then(visible))
}
