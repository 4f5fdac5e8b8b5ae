//! The page behind an approval: it shows, its form approves, and nothing else does.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
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
        policy.starts_with("default-src 'none'; form-action 'self'; "),
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
        "errors: canary ",
        "<form method=\"post\" action=\"approve\">",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
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
    let refused = send("reason=a%0Ab").await;
    assert_problem(&refused, 422, "invalid-reason", Some("reason"));
    let (status, _) = send("reason=looks+good%2C+really").await;
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
        page.contains("No approval is asked for now") && !page.contains("<form"),
        "{page}"
    );
    let again = send("reason=").await;
    assert_problem(&again, 409, "illegal-command", None);
    world.stack.simulator.run_functions().await;
    world.until_over(&id, Status::Completed).await;
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
