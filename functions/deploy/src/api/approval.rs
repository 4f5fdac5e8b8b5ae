//! The page behind an approval: what is to be approved, with the evidence, and a form. Looking at it
//! changes nothing; only the form's POST approves, so that a preview in a chat or a mail client never
//! does.
//!
//! No script, and everything that is shown is escaped; the headers forbid the browser whatever the page
//! does not need. The form posts to the page's own address, with the reason as the browser sends it and
//! since when the stage has waited: a page that was left open approves nothing that its reader has not
//! seen. What another site's page sends is refused before ([`crate::site`]). A deployed stack asks for a signature, which no browser makes by itself: there the page is for
//! whoever reads it through a signing client, and it names the command that does the same.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, StatusCode, header};
use shared::app::ports::Loaded;
use shared::aws::Aws;
use shared::domain::authority::Caller;
use shared::domain::command::Command;
use shared::domain::comparison::effect::percent;
use shared::domain::evidence::Totals;
use shared::domain::history::{Entry, Name};
use shared::domain::quantity::counted;
use shared::domain::signal::SignalRule;
use shared::domain::state::Phase;
use shared::gateway::Asked;
use shared::wire::api::{DeploymentView, Measured};
use shared::wire::form;
use shared::wire::html::{by_digest, escaped};
use shared::wire::problem::{MEDIA_TYPE, Problem};
use shared::wire::report::style;

use super::orders::follow;
use super::{Shared, load, looked_back, view};
use crate::problems::Answer;
use crate::request::{Id, NoParameters, no_text};

/// What the browser may do with the page: show it in the style that it brings along, and send its form back.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = by_digest(style());
    format!(
        "default-src 'none'; style-src {style}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
});
/// The field that says which stage the page has shown.
const SHOWN: &str = "shown";
/// What a form without files is sent as.
const FORM: &str = "application/x-www-form-urlencoded";
/// To the second, as on every page.
const TIME: &str = "%Y-%m-%d %H:%M:%S UTC";

/// `GET /deployments/{id}/approve`.
pub(super) async fn page(
    State(aws): Shared,
    asked: Asked,
    Id(id): Id,
    _: NoParameters,
) -> Result<Response, Answer> {
    let loaded = load(&aws, &asked, &id).await?;
    let history = looked_back(&aws, &id).await;
    let view = view(&aws, &loaded, &history);
    let shown = Shown {
        view: &view,
        rules: &loaded.deployment.terms.policy.signals,
        waits: waits_since(&loaded),
        approved: history.iter().rfind(|entry| entry.event == Name::Approved),
        is_local: asked.caller == Caller::Local,
    };
    Ok((headers(), html(&shown)).into_response())
}

/// A refusal of the page or its form, to a browser, as a page too. Programs get the problem document.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let is_of_page = request.uri().path().ends_with("/approve");
    let is_browser = is_form(request.headers()) || prefers_pages(request.headers());
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_problem = kind.is_some_and(|kind| kind == MEDIA_TYPE);
    if !(is_of_page && is_browser && is_problem) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => (parts.status, headers(), refusal(&problem)).into_response(),
        Err(_) => Response::from_parts(parts, Body::from(bytes)),
    }
}

fn headers() -> [(HeaderName, &'static str); 5] {
    [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        // With no referrer at all the form's Origin would be null, which the local mode refuses.
        (header::REFERRER_POLICY, "same-origin"),
    ]
}

/// Whether whoever asks would rather have a page than JSON: browsers name pages first, programs name
/// JSON, anything, or nothing.
fn prefers_pages(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    let (mut page, mut json) = (0.0_f64, 0.0_f64);
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let quality = quality.map_or(1.0, |quality| quality.parse::<f64>().unwrap_or(0.0));
        match kind.as_str() {
            "text/html" => page = page.max(quality),
            "application/json" | MEDIA_TYPE => json = json.max(quality),
            _ => {}
        }
    }
    page > json
}

/// Whether a request is the page's own form, and not a program's JSON.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

/// What the page's form approves: the stage that the page has shown, and no other.
pub(super) async fn approve(
    aws: &Aws,
    asked: &Asked,
    id: &str,
    body: &Bytes,
) -> Result<Response, Answer> {
    let reason = field(body, "reason")?;
    let shown = field(body, SHOWN)?.ok_or_else(|| {
        let detail = "the form says since when the stage that it showed has waited; open the page and send its own";
        Problem::new(422, "invalid-body", detail).field(SHOWN)
    })?;
    let loaded = load(aws, asked, id).await?;
    // Where nothing waits, the order itself says what is in its way.
    if waits_since(&loaded).is_some_and(|waits| waits != shown) {
        let detail = "this is not the stage that the page has shown; open it again and look";
        return Err(Problem::new(409, "approval-outdated", detail).into());
    }
    follow(aws, asked, id, Command::Approve, reason).await?;
    let headers = [
        (header::LOCATION, "approve"),
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Since when an approval is asked for: another stage, or the same one once more, has another time.
fn waits_since(loaded: &Loaded) -> Option<String> {
    let state = &loaded.deployment.state;
    (state.phase == Phase::AwaitingApproval).then(|| state.phase_since.to_string())
}

/// A field of the form, the first of its name.
fn field(body: &Bytes, name: &str) -> Result<Option<String>, Answer> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let fields = form::fields(text).map_err(|error| no_text(422, "invalid-body", &error))?;
    let mut fields = fields.into_iter().filter(|(found, _)| found == name);
    Ok(fields.next().map(|(_, value)| value))
}

/// What the page is made from.
struct Shown<'a> {
    view: &'a DeploymentView,
    rules: &'a [SignalRule],
    /// Since when an approval is asked for; absent where none is.
    waits: Option<String>,
    /// The last approval that there was.
    approved: Option<&'a Entry>,
    /// Whether it is the local mode's caller, who may approve what it asked for itself.
    is_local: bool,
}

fn html(shown: &Shown<'_>) -> String {
    let view = shown.view;
    let title = format!(
        "{}: {} for {}",
        view.endpoint, view.model, view.former_model
    );
    let mut text = head(&title);
    let mut facts = vec![
        ("Deployment", view.deployment_id.clone()),
        ("Asked for by", view.created_by.clone()),
        ("Status", format!("{}/{}", view.status, view.phase)),
        ("Why", view.reason.clone()),
        ("Canary now", format!("{} of the traffic", view.share())),
    ];
    let next = view.stages.iter().find(|stage| stage.weight > view.weight);
    if let (Some(next), Some(_)) = (next, &shown.waits) {
        facts.push((
            "After an approval",
            format!("{} of the traffic", next.weight),
        ));
    }
    facts.extend(shown.approved.map(|entry| {
        let at = entry.at.strftime(TIME);
        ("Last approval", format!("{at}: {}", entry.reason))
    }));
    facts.extend(view.gate.iter().map(|gate| ("Gate", gate.clone())));
    let attested = view.preconditions.iter();
    facts.extend(attested.map(|it| ("Attested", it.to_string())));
    if let Some(measured) = &view.measured {
        facts.extend(evidence(measured, shown.rules));
    }
    text.push_str("<table class=\"facts\">\n");
    for (name, value) in facts {
        let value = escaped(&value);
        writeln!(
            text,
            "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>"
        )
        .expect("a string takes everything");
    }
    text.push_str("</table>\n");
    text.push_str(&ending(shown));
    text.push_str(FOOT);
    text
}

/// A page up to and with its headline.
fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
        title = escaped(title),
        style = style()
    )
}

/// The end of a page.
const FOOT: &str = "</body>\n</html>\n";

/// What stands in the way, and the way out of it.
fn refusal(problem: &Problem) -> String {
    let what = if problem.status < 500 {
        "was refused"
    } else {
        "failed"
    };
    let way_out = if problem.status == 404 {
        "<code>canary list</code> names the deployments that there are."
    } else {
        "<a href=\"approve\">Open the page anew</a> to see how the deployment stands."
    };
    let head = head(&format!("The request {what}: {}", problem.title));
    let detail = escaped(&problem.detail);
    format!("{head}<p>{detail}</p>\n<p>{way_out}</p>\n{FOOT}")
}

fn evidence(measured: &Measured, rules: &[SignalRule]) -> Vec<(&'static str, String)> {
    let totals = |totals: &Totals| {
        let requests = counted(totals.invocations, "request");
        format!("{requests}, {} of them answered 5XX", totals.errors_5xx)
    };
    let judged_through = measured.judged_through.strftime(TIME).to_string();
    let mut facts = vec![
        ("Canary so far", totals(&measured.canary)),
        ("Production so far", totals(&measured.production)),
        ("Judged through", judged_through),
    ];
    for (name, signal) in &measured.signals {
        let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), percent);
        let (canary, production) = (rate(signal.canary_rate), rate(signal.production_rate));
        let rule = rules.iter().find(|rule| rule.name == *name);
        let what = rule.map_or_else(|| name.clone(), SignalRule::what);
        facts.push((
            "Signal",
            format!("{what}: canary {canary}, production {production}"),
        ));
    }
    let objections = [
        ("Blind", &measured.blind),
        ("Against it", &measured.objection),
    ];
    for (name, words) in objections {
        facts.extend(words.iter().map(|words| (name, words.clone())));
    }
    facts
}

/// The form, where there is something to approve.
fn ending(shown: &Shown<'_>) -> String {
    let view = shown.view;
    let Some(waits) = &shown.waits else {
        let target = view.target_weight;
        let how = if matches!(view.phase, Phase::Scaling | Phase::Shifting) {
            format!(
                "No approval is asked for now: the canary is on its way to {target} of the traffic."
            )
        } else {
            "No approval is asked for now.".to_owned()
        };
        return format!("<p>{how} Nothing here changes anything.</p>\n");
    };
    let (id, waits) = (escaped(&view.deployment_id), escaped(waits));
    let who = if shown.is_local {
        ""
    } else {
        "Who asked for the deployment can't approve it. "
    };
    format!(
        "<form method=\"post\" action=\"approve\">\n<input type=\"hidden\" name=\"{SHOWN}\" value=\"{waits}\">\n<p><label>Your reason <input name=\"reason\" maxlength=\"500\"></label> <button>Approve the next raise</button></p>\n</form>\n<p>{who}The same on the command line: <code>canary approve {id}</code>; against it: <code>canary rollback {id}</code>.</p>\n"
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_of_the_form_is_the_first_of_its_name() {
        let of = |text: &'static str| field(&Bytes::from_static(text.as_bytes()), "reason");
        let first = |text| of(text).expect("a form");
        assert_eq!(first("a=b&reason=%C3%BC"), Some("\u{fc}".to_owned()));
        assert_eq!(first("reason=&reason=2"), Some(String::new()));
        assert_eq!((first("reasons=x"), first("")), (None, None));
        let refused = of("reason=%FF").expect_err("no text").into_response();
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[test]
    fn a_browser_is_told_from_a_program_by_what_it_would_rather_have() {
        let prefers = |accept: Option<&'static str>| {
            let values = accept.map(|accept| (header::ACCEPT, HeaderValue::from_static(accept)));
            prefers_pages(&values.into_iter().collect())
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(prefers(Some(browser)));
        assert!(prefers(Some("application/json;q=0.5, text/html; q=0.6")));
        for program in ["*/*", "application/json", "application/problem+json", ""] {
            assert!(!prefers(Some(program)), "{program}");
        }
        assert!(!prefers(Some("application/json, text/html")));
        assert!(!prefers(Some("text/html;q=0")) && !prefers(None));
    }

    fn page(phase: &str, is_local: bool, waits: Option<&str>) -> String {
        let view = json!({
            "deployment_id": "x", "status": "IN_PROGRESS", "phase": phase,
            "endpoint": "e", "model": "m", "former_model": "f",
            "canary_variant": "c", "production_variant": "p",
            "weight": 10, "target_weight": 50, "stage": 1, "stage_count": 2, "reason": "r",
            "version": 1, "created_at": "2026-03-02T10:00:00Z", "created_by": "Release",
            "updated_at": "2026-03-02T10:00:00Z", "as_of": "2026-03-02T10:00:00Z",
            "stages": [
                {"weight": 10, "bake": "5m", "approval": true},
                {"weight": 50, "bake": "5m", "approval": false},
            ],
            "soak": "5m", "deadline": "6h", "deadline_used": "0s",
            "links": {"self": "", "history": "", "checks": ""},
        });
        html(&Shown {
            view: &serde_json::from_value(view).expect("a deployment"),
            rules: &[],
            waits: waits.map(str::to_owned),
            approved: None,
            is_local,
        })
    }

    #[test]
    fn nothing_is_said_that_is_not_so() {
        let offer = "After an approval</th><td>50 % of the traffic";
        let own = "Who asked for the deployment can't approve it";
        let waits = Some("2026-03-02T10:00:00Z");
        let asked = page("AwaitingApproval", false, waits);
        assert!(asked.contains(offer) && asked.contains(own), "{asked}");
        // The reason of the wait is not the reason that is asked for.
        assert!(asked.contains("<label>Your reason <input"), "{asked}");
        let local = page("AwaitingApproval", true, waits);
        assert!(local.contains(offer) && !local.contains(own), "{local}");
        let raised = page("Scaling", false, None);
        assert!(
            raised.contains("on its way to 50 % of the traffic"),
            "{raised}"
        );
        let back = page("Reverting", false, None);
        assert!(
            !back.contains(offer) && !back.contains("on its way"),
            "{back}"
        );
    }

    #[test]
    fn a_refusal_escapes_what_it_says() {
        let page = refusal(&Problem::new(409, "red-guard", "5 % < 6 %"));
        assert!(
            page.contains("<h1>The request was refused: red guard</h1>"),
            "{page}"
        );
        assert!(page.contains("<p>5 % &lt; 6 %</p>"), "{page}");
        assert!(page.contains("<a href=\"approve\">"), "{page}");
    }
}
