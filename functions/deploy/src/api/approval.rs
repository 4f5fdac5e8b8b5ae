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

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use shared::app::ports::Loaded;
use shared::aws::Aws;
use shared::domain::command::Command;
use shared::domain::comparison::effect::percent;
use shared::domain::evidence::Totals;
use shared::domain::state::Phase;
use shared::gateway::Asked;
use shared::wire::api::{DeploymentView, Measured};
use shared::wire::html::{by_digest, escaped};
use shared::wire::problem::Problem;
use shared::wire::report::style;

use super::{Shared, check_reason, follow, load, view};
use crate::problems::Answer;
use crate::request::Id;

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

/// `GET /deployments/{id}/approve`.
pub(super) async fn page(State(aws): Shared, asked: Asked, Id(id): Id) -> Result<Response, Answer> {
    let loaded = load(&aws, &asked, &id).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        // With no referrer at all the form's Origin would be null, which the local mode refuses.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    let waits = waits_since(&loaded);
    let page = html(&view(&aws, &loaded, &[]), waits.as_deref());
    Ok((headers, page).into_response())
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
    let reason = field(body, "reason").filter(|reason| !reason.trim().is_empty());
    check_reason(reason.as_deref())?;
    let shown = field(body, SHOWN).ok_or_else(|| {
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

/// A field of the form.
fn field(body: &Bytes, name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let mut fields = text.split('&').filter_map(|field| field.split_once('='));
    fields
        .find(|(found, _)| *found == name)
        .map(|(_, value)| decoded(value))
}

/// `+` is a space, and `%` begins a byte; what is no text becomes the mark for that.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let byte = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |digit: &u8| char::from(*digit).to_digit(16);
                digit(high)
                    .zip(digit(low))
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        if let Some(byte) = byte {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn html(view: &DeploymentView, waits: Option<&str>) -> String {
    let title = format!(
        "{}: {} for {}",
        view.endpoint, view.model, view.former_model
    );
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
        title = escaped(&title),
        style = style()
    );
    let mut facts = vec![
        ("Deployment", view.deployment_id.clone()),
        ("Asked for by", view.created_by.clone()),
        ("Status", format!("{}/{}", view.status, view.phase)),
        ("Why", view.reason.clone()),
        ("Canary now", format!("{} of the traffic", view.weight)),
    ];
    let next = view.stages.iter().find(|stage| stage.weight > view.weight);
    if let Some(next) = next {
        facts.push((
            "After an approval",
            format!("{} of the traffic", next.weight),
        ));
    }
    facts.extend(view.gate.iter().map(|gate| ("Gate", gate.clone())));
    let attested = view.preconditions.iter();
    facts.extend(attested.map(|it| ("Attested", it.to_string())));
    if let Some(measured) = &view.measured {
        facts.extend(evidence(measured));
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
    text.push_str(&ending(view, waits));
    text.push_str("</body>\n</html>\n");
    text
}

fn evidence(measured: &Measured) -> Vec<(&'static str, String)> {
    let totals = |totals: &Totals| {
        let (requests, errors) = (totals.invocations, totals.errors_5xx);
        format!("{requests} requests, {errors} of them answered 5XX")
    };
    let mut facts = vec![
        ("Canary so far", totals(&measured.canary)),
        ("Production meanwhile", totals(&measured.production)),
        ("Judged through", measured.judged_through.to_string()),
    ];
    for (name, signal) in &measured.signals {
        let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), percent);
        let (canary, production) = (rate(signal.canary_rate), rate(signal.production_rate));
        facts.push((
            "Signal",
            format!("{name}: canary {canary}, production {production}"),
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
fn ending(view: &DeploymentView, waits: Option<&str>) -> String {
    let Some(waits) = waits else {
        return "<p>No approval is asked for now. Nothing here changes anything.</p>\n".to_owned();
    };
    let (id, waits) = (escaped(&view.deployment_id), escaped(waits));
    format!(
        "<form method=\"post\" action=\"approve\">\n<input type=\"hidden\" name=\"{SHOWN}\" value=\"{waits}\">\n<p><label>Why <input name=\"reason\" maxlength=\"500\"></label> <button>Approve the next raise</button></p>\n</form>\n<p>Who asked for the deployment can't approve it. The same on the command line: <code>canary approve {id}</code>; against it: <code>canary rollback {id}</code>.</p>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_send_it() {
        let of = |text: &'static str| field(&Bytes::from_static(text.as_bytes()), "reason");
        assert_eq!(
            of("reason=looks+good%2C+50+%25"),
            Some("looks good, 50 %".to_owned())
        );
        assert_eq!(of("a=b&reason=%C3%BC"), Some("\u{fc}".to_owned()));
        assert_eq!(of("reason=%zz%4"), Some("%zz%4".to_owned()));
        assert_eq!(of("reason=%FF"), Some("\u{fffd}".to_owned()));
        assert_eq!(of("reason=&reason=2"), Some(String::new()), "the first one");
        assert_eq!((of("reasons=x"), of("reason"), of("")), (None, None, None));
    }
}
