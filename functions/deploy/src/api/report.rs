//! The report of a deployment, in the form that the request asks for: a page for browsers and for
//! whoever does not say, Markdown, or JSON.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use shared::app::report;
use shared::gateway::Asked;
use shared::wire::problem::Problem;
use shared::wire::report::{POLICY, markdown, page};

use super::{Shared, load, told};
use crate::problems::Answer;
use crate::request::{Id, NoParameters};

/// How long the minutes may be read: API Gateway gives up after 29 seconds.
const READING: Duration = Duration::from_secs(15);

/// What a report is given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Page,
    Markdown,
    Json,
}

/// In the order of preference where the request has none.
const FORMS: [(Form, &str, &str); 3] = [
    (Form::Page, "text", "html"),
    (Form::Markdown, "text", "markdown"),
    (Form::Json, "application", "json"),
];

/// `GET /deployments/{id}/report`.
pub(super) async fn report(
    State(aws): Shared,
    asked: Asked,
    Id(id): Id,
    _: NoParameters,
    headers: HeaderMap,
) -> Result<Response, Answer> {
    let accepts = headers.get_all(header::ACCEPT).iter();
    let accepts: Vec<&str> = accepts.filter_map(|value| value.to_str().ok()).collect();
    let form = form(&accepts.join(",")).ok_or_else(|| {
        let detail = "a report is given as text/html, text/markdown or application/json; name one of them in Accept, or leave it out";
        Problem::new(406, "not-acceptable", detail).field("Accept")
    })?;
    let loaded = load(&aws, &asked, &id).await?;
    let report = told(
        &aws,
        Some(&id),
        report::report(&*aws, &loaded, READING).await,
    )?;
    let kept = (header::CACHE_CONTROL, "no-store");
    Ok(match form {
        Form::Json => ([kept], Json(report)).into_response(),
        Form::Markdown => {
            let kind = (header::CONTENT_TYPE, "text/markdown; charset=utf-8");
            ([kind, kept], markdown(&report)).into_response()
        }
        Form::Page => {
            let policy = format!("{}; frame-ancestors 'none'", *POLICY);
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, policy.as_str()),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::REFERRER_POLICY, "no-referrer"),
                kept,
            ];
            (headers, page(&report)).into_response()
        }
    })
}

/// The form that an `Accept` likes best (RFC 9110, section 12.5.1): the most exact range that fits a
/// form says how much, and what is liked equally goes by our own order. `None` where it takes none.
fn form(accept: &str) -> Option<Form> {
    let ranges: Vec<(&str, f32)> = accept
        .split(',')
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().filter(|kind| !kind.is_empty())?;
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            // What can't be read is no refusal.
            Some((
                kind,
                quality.map_or(1.0, |text| text.parse().unwrap_or(1.0)),
            ))
        })
        .collect();
    if ranges.is_empty() {
        return Some(Form::Page);
    }
    let liked = |kind: &str, subtype: &str| {
        let exact = [
            format!("{kind}/{subtype}"),
            format!("{kind}/*"),
            "*/*".to_owned(),
        ];
        let found = exact.iter().find_map(|wanted| {
            let same = |(range, _): &&(&str, f32)| range.eq_ignore_ascii_case(wanted);
            ranges.iter().find(same)
        });
        found.map_or(0.0, |(_, quality)| *quality)
    };
    let mut best = None;
    for (form, kind, subtype) in FORMS {
        let quality = liked(kind, subtype);
        if quality > best.map_or(0.0, |(_, best)| best) {
            best = Some((form, quality));
        }
    }
    best.map(|(form, _)| form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_the_request_likes_best() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, wanted) in [
            ("", Some(Form::Page)),
            ("*/*", Some(Form::Page)),
            (browser, Some(Form::Page)),
            ("text/*", Some(Form::Page)),
            ("text/markdown", Some(Form::Markdown)),
            ("TEXT/Markdown; charset=utf-8", Some(Form::Markdown)),
            ("application/json", Some(Form::Json)),
            ("application/*", Some(Form::Json)),
            ("text/html;q=0.2, application/json;q=0.9", Some(Form::Json)),
            ("text/html;q=0, */*;q=0.1", Some(Form::Markdown)),
            ("application/json, text/html;q=many", Some(Form::Page)),
            ("image/png", None),
            ("text/html;q=0", None),
        ] {
            assert_eq!(form(accept), wanted, "{accept}");
        }
    }
}
