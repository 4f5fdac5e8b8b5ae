//! Orders that a page of another site makes a browser send.
//!
//! A signature keeps them out, because no browser makes one. Behind a proxy that signs for whoever
//! reaches it, and in the local mode, nothing does but what browsers say of a request themselves and no
//! page can change: `Sec-Fetch-Site`, how the page's site stands to the one that is asked, and `Origin`,
//! the site of the page. Programs send neither, and are not asked. A proxy that shows the API under a name of its
//! own hands on that name as the Origin: it is the stack's parameter `ApprovalUrl`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, Method, header};
use shared::app::ports::Access;
use shared::aws::Aws;
use shared::gateway::respond;
use shared::wire::problem::Problem;

/// Lets through what changes nothing, and what no page of another site has sent.
pub(crate) async fn guard(State(aws): State<Arc<Aws>>, request: Request, next: Next) -> Response {
    let changes_nothing = matches!(*request.method(), Method::GET | Method::HEAD);
    let shown_at = aws.settings().approvals.as_deref();
    if changes_nothing || is_own(request.headers(), shown_at) {
        return next.run(request).await;
    }
    let detail = "a page of another site has sent this; orders are taken from the API's own page, from the address in the stack's parameter ApprovalUrl, and from programs";
    respond(&Problem::new(403, "from-another-site", detail))
}

fn is_own(headers: &HeaderMap, shown_at: Option<&str>) -> bool {
    let of = |name: &HeaderName| {
        let value = headers.get(name)?;
        Some(value.to_str().unwrap_or_default())
    };
    let relation = of(&HeaderName::from_static("sec-fetch-site"));
    if relation.is_some_and(|relation| !matches!(relation, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = of(&header::ORIGIN) else {
        return true;
    };
    let host = of(&header::HOST);
    let is_host = origin
        .split_once("://")
        .zip(host)
        .is_some_and(|((_, authority), host)| authority.eq_ignore_ascii_case(host));
    let is_shown = shown_at.and_then(origin_of);
    is_host || is_shown.is_some_and(|shown| origin.eq_ignore_ascii_case(shown))
}

/// The scheme, the name and the port of an address.
fn origin_of(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.split('/').next()?;
    address.get(..scheme.len() + 3 + authority.len())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn own(headers: &[(&'static str, &str)], shown_at: Option<&str>) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a header's value");
            (HeaderName::from_static(name), value)
        });
        is_own(&headers.collect(), shown_at)
    }

    #[test]
    fn a_program_says_nothing_and_a_page_where_it_is_from() {
        let host = ("host", "api.example.com");
        assert!(own(&[], None) && own(&[host], None));
        for (relation, is_let_in) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
        ] {
            let sent = [host, ("sec-fetch-site", relation)];
            assert_eq!(own(&sent, None), is_let_in, "{relation}");
        }
        for (origin, is_let_in) in [
            ("https://api.example.com", true),
            ("https://API.example.com", true),
            ("https://api.example.com:8443", false),
            ("https://evil.example", false),
            ("https://api.example.com.evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(
                own(&[host, ("origin", origin)], None),
                is_let_in,
                "{origin}"
            );
        }
        let both = [
            host,
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://rebound.example"),
        ];
        assert!(!own(&both, None), "a name that was pointed here");
        assert!(!own(&[("origin", "https://api.example.com")], None));
    }

    /// The proxy asks the API under the API's name, and the browser knows the proxy's.
    #[test]
    fn the_page_may_be_shown_elsewhere_where_the_stack_says_so() {
        let sent = [
            ("host", "abc.execute-api.eu-central-1.amazonaws.com"),
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://canary.example.com:8443"),
        ];
        assert!(!own(&sent, None));
        assert!(own(&sent, Some("https://canary.example.com:8443/stack")));
        assert!(own(&sent, Some("https://canary.example.com:8443")));
        assert!(!own(&sent, Some("https://canary.example.com")));
        let elsewhere = [("sec-fetch-site", "cross-site"), sent[2]];
        assert!(!own(&elsewhere, Some("https://canary.example.com:8443")));
    }
}
