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
        match parts.uri.query() {
            None | Some("") => Ok(Self),
            Some(_) => {
                let detail = "this route takes no parameters: everything is said in the body";
                Err(gateway::respond(&unreadable(detail)))
            }
        }
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
        let fields = form::fields(query).map_err(|error| match error.field.as_str() {
            name @ ("endpoint" | "user") => unfit(name, &error.to_string()),
            _ => Box::new(unreadable(FORM)),
        })?;
        let [mut endpoint, mut user] = [None, None];
        for (name, value) in fields {
            let place = match name.as_str() {
                "endpoint" => &mut endpoint,
                "user" => &mut user,
                _ => return Err(Box::new(unreadable(FORM))),
            };
            if place.replace(value).is_some() {
                return Err(unfit(&name, "this is given twice"));
            }
        }
        let given =
            |name: &str, value: Option<String>| value.ok_or_else(|| unfit(name, "this is missing"));
        let whose = Self {
            endpoint: given("endpoint", endpoint)?,
            user: given("user", user)?,
        };
        // Whatever decodes a query on its way here may have put this mark where bytes were no text: then it
        // stands for many users.
        if whose.user.contains('\u{fffd}') {
            return Err(unfit("user", "this was no text: its bytes are no UTF-8"));
        }
        Ok(whose)
    }
}

fn unreadable(detail: &str) -> Problem {
    Problem::new(400, "unreadable-query", detail)
}

fn unfit(field: &str, what: &str) -> Box<Problem> {
    Box::new(unreadable(&format!("{what}; {FORM}")).field(field))
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
        ] {
            let whose = Whose::parse(query).expect(query);
            assert_eq!((&*whose.endpoint, &*whose.user), ("wine", name));
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_not_repeated() {
        for (query, field) in [
            ("", Some("endpoint")),
            ("user=secret", Some("endpoint")),
            ("endpoint=wine", Some("user")),
            ("endpoint=wine&user=secret&user=secret", Some("user")),
            ("endpoint=wine&endpoint=wine&user=secret", Some("endpoint")),
            ("endpoint=wine&user=secret%FF", Some("user")),
            ("endpoint=wine%FF&user=secret", Some("endpoint")),
            ("endpoint=wine&user=secret%EF%BF%BD", Some("user")),
            ("endpoint=wine&user=secret&secret=1", None),
            ("endpoint=wine&user=a&secret=%FF", None),
            ("endpoint=wine&user=a&%FF=secret", None),
        ] {
            let problem = Whose::parse(query).expect_err(query);
            assert_eq!(problem.field.as_deref(), field, "{query}");
            assert_eq!(problem.status, 400);
            assert!(problem.detail.contains("/route?endpoint="), "{query}");
            assert!(!problem.body().contains("secret"), "{}", problem.detail);
        }
    }
}
