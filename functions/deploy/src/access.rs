//! A request held against the endpoint's tags. A handler has nothing to work on before it has passed
//! here: the record of a deployment comes out of `api::load` alone.

use shared::app::authority::{Inadmissible, admit};
use shared::app::freeze;
use shared::app::health::{self, About};
use shared::app::ports::Access;
use shared::aws::Aws;
use shared::domain::authority::Action;
use shared::domain::deployment::Deployment;
use shared::domain::freeze::EVERY_ENDPOINT;
use shared::gateway::Asked;

use crate::problems::Answer;

/// For what is about an endpoint, before there is a deployment.
pub(crate) async fn to_endpoint(
    aws: &Aws,
    asked: &Asked,
    endpoint: &str,
) -> Result<(), Inadmissible> {
    admit(aws, &asked.caller, asked.action, endpoint, None).await
}

/// For a deployment that waits for no freeze: whoever could lift those that stand may go through them.
pub(crate) async fn to_override(aws: &Aws, asked: &Asked, endpoint: &str) -> Result<(), Answer> {
    to_lift(aws, asked, endpoint).await?;
    let stack = freeze::standing(aws, EVERY_ENDPOINT).await;
    let stack = stack.inspect_err(|error| health::report(aws, None, error))?;
    if stack.is_some() {
        to_lift(aws, asked, EVERY_ENDPOINT).await?;
    }
    Ok(())
}

/// For the freeze switch of an endpoint, by its tags, or that of all of them, by the stack's own
/// parameters.
pub(crate) async fn to_freeze(aws: &Aws, asked: &Asked, name: &str) -> Result<(), Inadmissible> {
    to_switch(aws, asked, asked.action, name).await
}

/// For what would end a freeze.
pub(crate) async fn to_lift(aws: &Aws, asked: &Asked, name: &str) -> Result<(), Inadmissible> {
    to_switch(aws, asked, Action::Thaw, name).await
}

async fn to_switch(
    aws: &Aws,
    asked: &Asked,
    action: Action,
    name: &str,
) -> Result<(), Inadmissible> {
    if name != EVERY_ENDPOINT {
        return admit(aws, &asked.caller, action, name, None).await;
    }
    let permitted = action.permit(&asked.caller, &aws.settings().defaults, None);
    permitted.map_err(|denial| {
        let about = About::default();
        health::forbidden(aws, &denial.caller, &action.to_string(), about);
        Inadmissible::Denied(denial)
    })
}

/// For what is about a deployment.
pub(crate) async fn to_deployment(
    aws: &Aws,
    asked: &Asked,
    deployment: &Deployment,
) -> Result<(), Inadmissible> {
    let endpoint = &deployment.terms.endpoint;
    admit(aws, &asked.caller, asked.action, endpoint, Some(deployment)).await
}
