//! A request held against the endpoint's tags. A handler has nothing to work on before it has passed
//! here: the record of a deployment comes out of `api::load` alone.

use shared::app::authority::{Inadmissible, admit};
use shared::aws::Aws;
use shared::domain::deployment::Deployment;
use shared::gateway::Asked;

/// For what is about an endpoint, before there is a deployment.
pub(crate) async fn to_endpoint(
    aws: &Aws,
    asked: &Asked,
    endpoint: &str,
) -> Result<(), Inadmissible> {
    admit(aws, &asked.caller, asked.action, endpoint, None).await
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
