//! A request held against the endpoint's tags. A handler has nothing to work on before it has passed
//! here: the record of a deployment comes out of `api::load` alone.

use shared::app::authority::{Inadmissible, admit};
use shared::app::health::{self, About};
use shared::app::ports::Access;
use shared::aws::Aws;
use shared::domain::authority::Action;
use shared::domain::deployment::Deployment;
use shared::domain::freeze::EVERY_ENDPOINT;
use shared::gateway::Asked;

/// For what is about an endpoint, before there is a deployment.
pub(crate) async fn to_endpoint(
    aws: &Aws,
    asked: &Asked,
    endpoint: &str,
) -> Result<(), Inadmissible> {
    admit(aws, &asked.caller, asked.action, endpoint, None).await
}

/// For a deployment that waits for no freeze: whoever could lift one may go through it.
pub(crate) async fn to_override(
    aws: &Aws,
    asked: &Asked,
    endpoint: &str,
) -> Result<(), Inadmissible> {
    admit(aws, &asked.caller, Action::Thaw, endpoint, None).await
}

/// For a freeze of an endpoint, by its tags, or of all of them, by the stack's own parameters.
pub(crate) async fn to_freeze(aws: &Aws, asked: &Asked, name: &str) -> Result<(), Inadmissible> {
    if name != EVERY_ENDPOINT {
        return to_endpoint(aws, asked, name).await;
    }
    let defaults = &aws.settings().defaults;
    let permitted = asked.action.permit(&asked.caller, defaults, None);
    permitted.map_err(|denial| {
        let about = About::default();
        health::forbidden(aws, &denial.caller, &asked.action.to_string(), about);
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
