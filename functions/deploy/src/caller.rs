//! Who calls. IAM has authenticated them already; here the role's name is taken from the request
//! context, not the session's.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use lambda_http::request::RequestContext;

use crate::problems::Answer;
use shared::wire::problem::Problem;

/// The role that calls. The local mode puts it into the request's extensions itself; in Lambda it
/// comes from API Gateway's request context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub String);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let arn = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV1(context)) => context.identity.user_arn.clone(),
            _ => None,
        };
        let role = arn.as_deref().and_then(role_name).map(str::to_owned);
        role.map(Self).ok_or_else(|| {
            let detail = "the request carries no IAM identity; sign it with the credentials of a role or user";
            Answer::from(Problem::new(403, "unknown-caller", detail)).into_response()
        })
    }
}

/// `arn:aws:sts::123456789012:assumed-role/Release/session` → `Release`;
/// `arn:aws:iam::123456789012:user/path/anna` → `anna`.
fn role_name(arn: &str) -> Option<&str> {
    let resource = arn.splitn(6, ':').nth(5)?;
    let mut parts = resource.split('/');
    match parts.next()? {
        "assumed-role" => parts.next(),
        "user" | "role" => resource.rsplit('/').next(),
        "root" => Some("root"),
        _ => None,
    }
    .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::role_name;

    #[test]
    fn the_role_not_the_session_is_the_caller() {
        assert_eq!(
            role_name("arn:aws:sts::123456789012:assumed-role/Release/i-0abc"),
            Some("Release")
        );
        assert_eq!(
            role_name("arn:aws:iam::123456789012:user/team/anna"),
            Some("anna")
        );
        assert_eq!(role_name("arn:aws:iam::123456789012:root"), Some("root"));
        for unfit in [
            "",
            "arn:aws:sts::123456789012:federated-user/x",
            "arn:aws:sts::123456789012:assumed-role/",
            "nonsense",
        ] {
            assert_eq!(role_name(unfit), None, "{unfit}");
        }
    }
}
