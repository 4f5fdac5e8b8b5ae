//! The freeze switch of an endpoint, or, under the name `*`, of all that the stack has.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use shared::app::authority::Inadmissible;
use shared::app::freeze::{self, FreezeError};
use shared::app::health;
use shared::app::ports::{Access, Ambient, Endpoints};
use shared::aws::Aws;
use shared::domain::freeze::{EVERY_ENDPOINT, Freeze};
use shared::domain::specification::is_name;
use shared::domain::text::is_readable;
use shared::gateway::Asked;
use shared::wire::api::{FreezeBody, FreezeView, LONGEST_REASON};
use shared::wire::problem::Problem;

use super::{Shared, told};
use crate::access;
use crate::problems::Answer;
use crate::request::{Body, Id, NoParameters, document, typed};

/// How long a freeze waits to hear whether there is such an endpoint.
const LOOK: Duration = Duration::from_secs(3);

/// The name in the path, for a caller who may do to it what was asked for.
async fn named(aws: &Aws, asked: &Asked, name: String) -> Result<String, Answer> {
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
    _: NoParameters,
) -> Result<Json<FreezeView>, Answer> {
    let name = named(&aws, &asked, name).await?;
    let standing = told(&aws, None, freeze::standing(&*aws, &name).await)?;
    Ok(Json(FreezeView::new(name, standing)))
}

pub(super) async fn freeze(
    State(aws): Shared,
    asked: Asked,
    Id(name): Id,
    _: NoParameters,
    body: Body,
) -> Result<Json<FreezeView>, Answer> {
    let name = named(&aws, &asked, name).await?;
    let FreezeBody { reason, until } = typed(&document(body)?.0)?;
    check_reason(&reason)?;
    if let Some(until) = until {
        Freeze::check_end(until, aws.now())
            .map_err(|unfit| Problem::new(422, "invalid-body", unfit.to_string()).field("until"))?;
    }
    exists(&aws, &name).await?;
    let order = Freeze {
        reason,
        by: asked.caller.name().to_owned(),
        at: aws.now(),
        until,
        prolonged: None,
    };
    let frozen = match freeze::freeze(&*aws, &name, &order, false).await {
        Err(shortens @ FreezeError::Shortens(_)) => {
            may_lift(&aws, &asked, &name, &shortens).await?;
            freeze::freeze(&*aws, &name, &order, true).await
        }
        other => other,
    };
    let frozen = frozen.map_err(|error| failed(&aws, error))?;
    Ok(Json(FreezeView::new(name, Some(frozen))))
}

/// Why nothing may be raised is told to everybody: it has to say something.
fn check_reason(reason: &str) -> Result<(), Answer> {
    if is_readable(reason, LONGEST_REASON) {
        return Ok(());
    }
    let detail = format!(
        "reason is a text of 1 to {LONGEST_REASON} characters that can be seen, on one line"
    );
    Err(Problem::new(422, "invalid-reason", detail)
        .field("reason")
        .into())
}

/// A freeze of what is not there would hold nothing and say that it does. While SageMaker can't be
/// asked, or the stack may not ask about the endpoint, it is set all the same: it only takes risk away.
async fn exists(aws: &Aws, name: &str) -> Result<(), Answer> {
    if name == EVERY_ENDPOINT || aws.settings().outside_endpoint(name).is_some() {
        return Ok(());
    }
    match aws.within(LOOK, aws.endpoint(name)).await {
        Some(Ok(None)) => {
            let detail = format!(
                "there is no endpoint {name} in this account and region; check the name, or freeze * for all of them"
            );
            Err(Problem::new(404, "endpoint-not-found", detail)
                .field("name")
                .into())
        }
        Some(Err(error)) => {
            health::report(aws, None, &error);
            Ok(())
        }
        Some(Ok(Some(_))) | None => Ok(()),
    }
}

/// Whether the caller may end what stands.
async fn may_lift(
    aws: &Aws,
    asked: &Asked,
    name: &str,
    shortens: &FreezeError,
) -> Result<(), Answer> {
    match access::to_lift(aws, asked, name).await {
        Err(Inadmissible::Denied(denial)) => {
            let detail = format!("{shortens}; {denial}");
            Err(Problem::new(403, "forbidden", detail).field("until").into())
        }
        other => Ok(other?),
    }
}

fn failed(aws: &Aws, error: FreezeError) -> Answer {
    match error {
        // Whoever set it a moment ago may not have been asked for.
        FreezeError::Shortens(_) => Problem::new(403, "forbidden", error.to_string())
            .field("until")
            .into(),
        FreezeError::Port(error) => {
            health::report(aws, None, &error);
            error.into()
        }
    }
}

pub(super) async fn thaw(
    State(aws): Shared,
    asked: Asked,
    Id(name): Id,
    _: NoParameters,
) -> Result<Json<FreezeView>, Answer> {
    let name = named(&aws, &asked, name).await?;
    let standing = freeze::thaw(&*aws, &name, asked.caller.name()).await;
    let standing = told(&aws, None, standing)?;
    Ok(Json(FreezeView::new(name, standing)))
}
