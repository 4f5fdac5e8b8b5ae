//! Queries: `GET /route` asks for somebody's way, and no other route takes any. The errors name fields, never
//! what was in them.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use shared::gateway;
use shared::wire::form;
use shared::wire::problem::Problem;

/// A request without a query.
pub(crate) struct NoQuery;

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let problem = match form::parameters(parts.uri.query().unwrap_or_default()) {
            Ok(fields) if fields.is_empty() => return Ok(Self),
            Ok(_) => unfit("this route takes no parameters: everything is said in the body"),
            Err(error) => unreadable(error.to_string()),
        };
        Err(gateway::respond(&problem))
    }
}

/// Whose way is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whose {
    pub(crate) endpoint: String,
    pub(crate) user: String,
}

const FORM: &str = "the query has endpoint and user and nothing else, each once: /route?endpoint=wine-quality&user=user-1";

impl Whose {
    /// Reads a query.
    pub(crate) fn parse(query: &str) -> Result<Self, Box<Problem>> {
        let fields = form::parameters(query).map_err(|error| {
            let problem = unreadable(format!("{error}; {FORM}"));
            Box::new(match error.field.as_str() {
                name @ ("endpoint" | "user") => problem.field(name),
                _ => problem,
            })
        })?;
        let [mut endpoint, mut user] = [None, None];
        for (name, value) in fields {
            let place = match name.as_str() {
                "endpoint" => &mut endpoint,
                "user" => &mut user,
                _ => return Err(Box::new(unfit(FORM))),
            };
            if place.replace(value).is_some() {
                return Err(Box::new(
                    unfit(format!("this is given twice; {FORM}")).field(name),
                ));
            }
        }
        let given = |name: &str, value: Option<String>| {
            let missing = || Box::new(unfit(format!("this is missing; {FORM}")).field(name));
            value.ok_or_else(missing)
        };
        let whose = Self {
            endpoint: given("endpoint", endpoint)?,
            user: given("user", user)?,
        };
        // Whatever decodes a query on its way here may have put this mark where bytes were no text: then it
        // stands for many users.
        if whose.user.contains('\u{fffd}') {
            let detail = format!("this was no text: its bytes are no UTF-8; {FORM}");
            return Err(Box::new(unreadable(detail).field("user")));
        }
        Ok(whose)
    }
}

/// A query that can't be decoded.
fn unreadable(detail: impl Into<String>) -> Problem {
    Problem::new(400, "unreadable-query", detail)
}

/// A query that says something else than the route takes.
fn unfit(detail: impl Into<String>) -> Problem {
    Problem::new(422, "invalid-parameter", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_to_the_letter() {
        for (query, name) in [
            ("endpoint=wine&user=anna", "anna"),
            ("user=a%2Bb+c&endpoint=wine", "a+b c"),
            ("endpoint=wine&user=%C3%BC", "ü"),
            ("endpoint=wine&user=", ""),
            ("X-Amz-Signature=5&endpoint=wine&user=anna", "anna"),
        ] {
            let whose = Whose::parse(query).expect(query);
            assert_eq!((&*whose.endpoint, &*whose.user), ("wine", name));
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_not_repeated() {
        for (query, status, field) in [
            ("", 422, Some("endpoint")),
            ("user=secret", 422, Some("endpoint")),
            ("endpoint=wine", 422, Some("user")),
            ("endpoint=wine&user=secret&user=secret", 422, Some("user")),
            (
                "endpoint=wine&endpoint=wine&user=secret",
                422,
                Some("endpoint"),
            ),
            ("endpoint=wine&user=secret%FF", 400, Some("user")),
            ("endpoint=wine%FF&user=secret", 400, Some("endpoint")),
            ("endpoint=wine&user=secret%EF%BF%BD", 400, Some("user")),
            ("endpoint=wine&user=secret&secret=1", 422, None),
            ("endpoint=wine&user=a&secret=%FF", 400, None),
            ("endpoint=wine&user=a&%FF=secret", 400, None),
        ] {
            let problem = Whose::parse(query).expect_err(query);
            assert_eq!(problem.field.as_deref(), field, "{query}");
            assert_eq!(problem.status, status, "{query}");
            let kind = if status == 400 {
                "unreadable-query"
            } else {
                "invalid-parameter"
            };
            assert!(problem.body().contains(kind), "{query}");
            assert!(problem.detail.contains("/route?endpoint="), "{query}");
            assert!(!problem.body().contains("secret"), "{}", problem.detail);
        }
    }
}
