//! The page behind an approval: it shows, its form approves, and nothing else does.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use jiff::SignedDuration;
use serde_json::json;
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use tests::{World, specification_with};
use tower::ServiceExt;

use super::refusals::{assert_problem, effects};

async fn awaiting() -> (World, String) {
    let world = World::new().await;
    let plan = json!({
        "stages": [{"weight": 10, "bake": "5m", "approval": true}, {"weight": 100}], "soak": "5m",
    });
    let preconditions = json!([
        {"name": "model_card", "link": "https://wiki.example.com/?a=1&b=2", "by": "<b>anna</b>"},
    ]);
    let specification = specification_with(json!({"plan": plan, "preconditions": preconditions}));
    let id = world.deploy(&specification).await;
    world.until_phase(&id, Phase::AwaitingApproval).await;
    (world, id)
}

#[tokio::test]
async fn the_page_shows_what_is_to_be_approved_and_changes_nothing() {
    let (world, id) = awaiting().await;
    let before = effects(&world);
    let path = format!("/deployments/{id}/approve");
    let request = Request::get(&path).body(Body::empty()).expect("a request");
    let response = world.stack.router().oneshot(request).await;
    let response = response.expect("the router is infallible");
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    let of = |name: header::HeaderName| headers[name].to_str().expect("a text").to_owned();
    assert_eq!(of(header::CONTENT_TYPE), "text/html; charset=utf-8");
    let policy = of(header::CONTENT_SECURITY_POLICY);
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-")
            && policy.contains("; form-action 'self'; "),
        "{policy}"
    );
    assert_eq!(of(header::CACHE_CONTROL), "no-store");
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    let page = std::str::from_utf8(&bytes).expect("UTF-8");
    for part in [
        "wine-quality: wine-quality-v2 for wine-quality-v1",
        "<tr><th scope=\"row\">Canary now</th><td>10 % of the traffic</td></tr>",
        "<tr><th scope=\"row\">After an approval</th><td>100 % of the traffic</td></tr>",
        "model_card by &lt;b&gt;anna&lt;/b&gt; (https://wiki.example.com/?a=1&amp;b=2)",
        "5XX errors: canary ",
        " UTC</td></tr>",
        "<form method=\"post\" action=\"approve\">\n<input type=\"hidden\" name=\"shown\" value=\"20",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    // The local mode's caller may.
    assert!(!page.contains("can't approve it"), "{page}");
    assert_eq!(effects(&world), before);
    let phase = world.load(&id).await.deployment.state.phase;
    assert_eq!(phase, Phase::AwaitingApproval, "a look is no approval");
}

#[tokio::test]
async fn the_form_approves_with_its_reason_and_leads_back() {
    let (world, id) = awaiting().await;
    let path = format!("/deployments/{id}/approve");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let send = async |body: &str| {
        let body = body.as_bytes().to_vec();
        world.request(Method::POST, &path, &form, body).await
    };
    let shown = shown(&world, &id).await;
    let long = format!("shown={shown}&reason={}", "x".repeat(501));
    let refused = send_form(&world, &path, &long).await;
    assert_page(&refused, 422, "invalid reason");
    let no_text = format!("shown={shown}&reason=looks%FFgood");
    assert_page(
        &send_form(&world, &path, &no_text).await,
        422,
        "invalid body",
    );
    let refused = send_form(&world, &path, "reason=looks+good").await;
    assert_page(&refused, 422, "invalid body");
    let (status, _) = send(&format!(
        "shown={shown}&reason=looks+%E2%80%AEgood%2C%0Areally"
    ))
    .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let approved = world.entry(&id, Name::Approved).await;
    assert!(
        approved
            .reason
            .starts_with("approved by local: looks good, really"),
        "{}",
        approved.reason
    );
    let (_, page) = world.request(Method::GET, &path, &[], Vec::new()).await;
    let page = page.as_str().expect("a page");
    assert!(
        page.contains("No approval is asked for now: the canary is on its way to 100 % of")
            && !page.contains("<form")
            && !page.contains("After an approval"),
        "{page}"
    );
    assert!(
        page.contains("Last approval") && page.contains(": approved by local: looks good, really"),
        "{page}"
    );
    let again = send_form(&world, &path, &format!("shown={shown}&reason=")).await;
    assert_page(&again, 409, "illegal command");
    world.stack.simulator.run_functions().await;
    world.until_over(&id, Status::Completed).await;
}

/// An answer as a browser gets it.
async fn ask(
    world: &World,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned()));
    let request = request.expect("a well-formed request");
    let response = world.stack.router().oneshot(request).await;
    let response = response.expect("the router is infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a whole body");
    let text = String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8");
    (status, text)
}

async fn send_form(world: &World, path: &str, body: &str) -> (StatusCode, String) {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    ask(world, Method::POST, path, &form, body).await
}

/// That it is the page of such a refusal, with a way out.
fn assert_page((found, page): &(StatusCode, String), status: u16, title: &str) {
    assert_eq!(found.as_u16(), status, "{page}");
    let headline = format!("<h1>The request was refused: {title}</h1>");
    let way_out = if status == 404 {
        "<code>canary list</code>"
    } else {
        "<a href=\"approve\">"
    };
    for part in ["<!DOCTYPE html>", headline.as_str(), way_out] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

/// Where there is nothing to look at, a browser is told so in a page, and a program in JSON.
#[tokio::test]
async fn a_browser_is_refused_by_a_page_and_a_program_by_a_document() {
    let world = World::new().await;
    let path = "/deployments/00000000-0000-0000-0000-000000000000/approve";
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let refused = ask(&world, Method::GET, path, &browser, "").await;
    assert_page(&refused, 404, "deployment not found");
    let programs: [&[(&str, &str)]; 2] = [&[], &[("accept", "*/*")]];
    for program in programs {
        let answer = world.request(Method::GET, path, program, Vec::new()).await;
        assert_problem(&answer, 404, "deployment-not-found", None);
    }
    let elsewhere = path.replace("/approve", "");
    let answer = world.request(Method::GET, &elsewhere, &browser, Vec::new());
    assert_problem(&answer.await, 404, "deployment-not-found", None);
}

/// What the page's form carries besides the reason, as a browser sends it.
async fn shown(world: &World, id: &str) -> String {
    let path = format!("/deployments/{id}/approve");
    let (_, page) = world.request(Method::GET, &path, &[], Vec::new()).await;
    let page = page.as_str().expect("a page");
    let (_, value) = page.split_once("name=\"shown\" value=\"").expect("a field");
    let (value, _) = value.split_once('"').expect("its end");
    value.replace(':', "%3A")
}

/// Somebody else has approved the stage since, and the next one waits: its evidence is another.
#[tokio::test]
async fn a_page_that_was_left_open_approves_no_other_stage() {
    let world = World::new().await;
    let plan = json!({
        "stages": [
            {"weight": 10, "bake": "5m", "approval": true},
            {"weight": 50, "bake": "5m", "approval": true},
            {"weight": 100},
        ],
        "soak": "5m",
    });
    let id = world
        .deploy(&specification_with(json!({"plan": plan})))
        .await;
    world.until_phase(&id, Phase::AwaitingApproval).await;
    let path = format!("/deployments/{id}/approve");
    let first = shown(&world, &id).await;
    let (status, _) = world.post(&path, &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    world.stack.simulator.run_functions().await;
    let waiting = world.until(&id, 60, |loaded| {
        let state = &loaded.deployment.state;
        state.phase == Phase::AwaitingApproval && state.weight.percent() == 50
    });
    waiting.await;
    let form = |shown: &str| format!("shown={shown}&reason=");
    let outdated = send_form(&world, &path, &form(&first)).await;
    assert_page(&outdated, 409, "approval outdated");
    let state = world.load(&id).await.deployment.state;
    assert_eq!(state.phase, Phase::AwaitingApproval);
    // The same stage once more, after a pause, is to be looked at once more.
    let second = shown(&world, &id).await;
    for order in ["pause", "resume"] {
        world.pass(SignedDuration::from_secs(30)).await;
        let path = format!("/deployments/{id}/{order}");
        let (status, answer) = world.post(&path, &json!({})).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    }
    let outdated = send_form(&world, &path, &form(&second)).await;
    assert_page(&outdated, 409, "approval outdated");
    let third = shown(&world, &id).await;
    let (status, _) = send_form(&world, &path, &form(&third)).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}

/// A page that somebody is lured to: where a proxy signs, or nothing is signed, its form would count.
#[tokio::test]
async fn no_page_of_another_site_approves() {
    let (world, id) = awaiting().await;
    let path = format!("/deployments/{id}/approve");
    let shown = shown(&world, &id).await;
    let body = format!("shown={shown}&reason=");
    let kinds = [
        ("application/x-www-form-urlencoded", body.as_str()),
        ("application/json", ""),
        ("text/plain", ""),
    ];
    let host = ("host", "127.0.0.1:8686");
    let before = effects(&world);
    for (kind, body) in kinds {
        for site in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let headers = [host, ("content-type", kind), site];
            if body.is_empty() {
                let sent = world.request(Method::POST, &path, &headers, Vec::new());
                assert_problem(&sent.await, 403, "from-another-site", None);
            } else {
                let refused = ask(&world, Method::POST, &path, &headers, body).await;
                assert_page(&refused, 403, "from another site");
            }
        }
    }
    assert_eq!(effects(&world), before);
    let own = ("origin", "http://127.0.0.1:8686");
    let headers = [host, ("content-type", kinds[0].0), own];
    let (status, answer) = ask(&world, Method::POST, &path, &headers, &body).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{answer}");
}

/// Nor does it raise anything by another way.
#[tokio::test]
async fn no_page_of_another_site_orders_anything() {
    let world = World::new().await;
    let id = world.deploy(&specification_with(json!({}))).await;
    world.until_phase(&id, Phase::Baking).await;
    let before = effects(&world);
    for (method, path) in [
        (Method::POST, format!("/deployments/{id}/promote")),
        (Method::POST, format!("/deployments/{id}/rollback")),
        (Method::PUT, format!("/deployments/{id}/weight")),
        (Method::POST, "/deploy".to_owned()),
        (Method::DELETE, "/endpoints/wine-quality/freeze".to_owned()),
    ] {
        let site = [("sec-fetch-site", "cross-site")];
        let refused = world.request(method, &path, &site, Vec::new()).await;
        assert_problem(&refused, 403, "from-another-site", None);
    }
    assert_eq!(effects(&world), before);
    let site = [("sec-fetch-site", "cross-site")];
    let path = format!("/deployments/{id}");
    let (status, _) = world.request(Method::GET, &path, &site, Vec::new()).await;
    assert_eq!(status, StatusCode::OK, "a link leads here from anywhere");
}

/// Elsewhere a form is what any other body is that is no JSON.
#[tokio::test]
async fn no_other_order_takes_a_form() {
    let (world, id) = awaiting().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/deployments/{id}/rollback");
    let body = b"reason=x".to_vec();
    let answer = world.request(Method::POST, &path, &form, body).await;
    assert_problem(&answer, 400, "not-json", None);
}
