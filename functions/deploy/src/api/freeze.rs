//! The freeze switch of an endpoint, or, under the name `*`, of all that the stack has.

use axum::Json;
use axum::extract::State;
use shared::app::freeze;
use shared::domain::freeze::EVERY_ENDPOINT;
use shared::domain::specification::is_name;
use shared::gateway::Asked;
use shared::wire::api::{FreezeBody, FreezeView, LONGEST_REASON};
use shared::wire::problem::Problem;

use super::{Shared, told};
use crate::access;
use crate::problems::Answer;
use crate::request::{Body, Id, document, typed};

/// The name in the path, for a caller who may do to it what was asked for.
async fn named(aws: &shared::aws::Aws, asked: &Asked, name: String) -> Result<String, Answer> {
    if name != EVERY_ENDPOINT && !is_name(&name) {
        let detail =
            "an endpoint has 1 to 63 letters, digits and hyphens; * stands for all of them";
        return Err(Problem::new(422, "invalid-parameter", detail)
            .field("name")
            .into());
    }
    access::to_freeze(aws, asked, &name).await?;
    Ok(name)
}

pub(super) async fn see(
    State(aws): Shared,
    asked: Asked,
    Id(name): Id,
) -> Result<Json<FreezeView>, Answer> {
    let name = named(&aws, &asked, name).await?;
    let standing = told(&aws, None, freeze::standing(&*aws, &name).await)?;
    Ok(Json(FreezeView::new(name, standing)))
}

pub(super) async fn freeze(
    State(aws): Shared,
    asked: Asked,
    Id(name): Id,
    body: Body,
) -> Result<Json<FreezeView>, Answer> {
    let name = named(&aws, &asked, name).await?;
    let FreezeBody { reason, until } = typed(&document(body)?.0)?;
    let fits = (1..=LONGEST_REASON).contains(&reason.chars().count())
        && !reason.trim().is_empty()
        && !reason.chars().any(char::is_control);
    if !fits {
        let detail = format!(
            "reason is a text of 1 to {LONGEST_REASON} characters, without line breaks or control characters"
        );
        return Err(Problem::new(422, "invalid-reason", detail)
            .field("reason")
            .into());
    }
    if until.is_some_and(|until| until <= shared::app::ports::Ambient::now(&*aws)) {
        let detail = "until is over already; name a time to come, or leave it out";
        return Err(Problem::new(422, "invalid-body", detail)
            .field("until")
            .into());
    }
    let by = asked.caller.name();
    let frozen = freeze::freeze(&*aws, &name, reason, by, until).await;
    let frozen = told(&aws, None, frozen)?;
    Ok(Json(FreezeView::new(name, Some(frozen))))
}

pub(super) async fn thaw(
    State(aws): Shared,
    asked: Asked,
    Id(name): Id,
) -> Result<Json<FreezeView>, Answer> {
    let name = named(&aws, &asked, name).await?;
    let lifted = freeze::thaw(&*aws, &name, asked.caller.name()).await;
    told(&aws, None, lifted)?;
    let standing = told(&aws, None, freeze::standing(&*aws, &name).await)?;
    Ok(Json(FreezeView::new(name, standing)))
}
