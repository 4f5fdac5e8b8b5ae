//! Requests as API Gateway hands them over, before any handler sees them: which row of the table of
//! [`authority`](crate::domain::authority) this is, and who calls.
//!
//! Both routers lie behind [`admit`]. A request without an identity ends there, and so does one for
//! a route that nobody has written a rule for. What the rule asks for beyond that needs the endpoint,
//! which only a handler knows: it takes [`Asked`] and holds it against the endpoint's tags.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use lambda_http::request::RequestContext;

use crate::app::health::{self, About};
use crate::aws::Aws;
use crate::domain::authority::{Action, Caller, Denial, Outside, Why};
use crate::wire::problem::{MEDIA_TYPE, Problem};

/// Who asks for what. Nothing but [`admit`] makes one for a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Who.
    pub caller: Caller,
    /// What.
    pub action: Action,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let asked = parts.extensions.get::<Self>().cloned();
        asked.ok_or_else(|| respond(&unruled()))
    }
}

/// Lets a request through to its handler, with [`Asked`]; a middleware of the routes alone, so that
/// a path that is no route stays a 404.
///
/// The caller is what the composition says ([`Caller::Local`] in the request's extensions), or the
/// principal that API Gateway's IAM authorizer has found.
pub async fn admit(State(aws): State<Arc<Aws>>, mut request: Request, next: Next) -> Response {
    let (method, path) = (request.method().as_str(), request.uri().path());
    let Some(action) = Action::of(method, path) else {
        tracing::error!(method, "a route without a rule");
        return respond(&unruled());
    };
    let extensions = request.extensions();
    let known = extensions.get::<Caller>().cloned();
    let caller = known.or_else(|| {
        let arn = match extensions.get::<RequestContext>()? {
            RequestContext::ApiGatewayV1(context) => context.identity.user_arn.as_deref()?,
            _ => return None,
        };
        Caller::of(arn, &aws.config().access.home.account)
    });
    let Some(caller) = caller else {
        health::forbidden(&*aws, "unknown", &action.to_string(), About::default());
        let detail = "the request carries no IAM identity that can be named; sign it with the credentials of a role or a user";
        return respond(&Problem::new(403, "unknown-caller", detail));
    };
    request.extensions_mut().insert(Asked { caller, action });
    next.run(request).await
}

/// A denied request as its caller is told of it.
pub fn denied(denial: &Denial) -> Problem {
    let kind = match denial.why {
        Why::NoRole(_) => "forbidden",
        Why::OwnRequest => "own-approval",
    };
    Problem::new(403, kind, denial.to_string())
}

/// A request for what the stack does not give, whoever asks.
pub fn outside(outside: Outside) -> Problem {
    Problem::new(422, outside.kind, outside.detail).field(outside.field)
}

/// Nobody's rights are known.
pub fn unread() -> Problem {
    let detail = "the endpoint's tags, which say who may do this, can't be read at the moment; repeat the request. Reads, pause and rollback go on without them";
    Problem::new(503, "access-unknown", detail)
}

fn unruled() -> Problem {
    Problem::new(403, "forbidden", "this route admits nobody")
}

/// A problem document as an answer.
pub fn respond(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], problem.body()).into_response()
}
