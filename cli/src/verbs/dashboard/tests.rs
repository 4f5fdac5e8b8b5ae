//! The pages, over an API that counts what it is asked.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use axum::Json;
use axum::body::Body;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use shared::wire::api::DeploymentView;
use shared::wire::html::escaped;
use shared::wire::{base64url, digest};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::*;
use crate::client::address::Address;
use crate::output::samples::{ID, baking_json, rolled_back_json};

/// What no browser may take for more than text.
const EVIL: &str = "<script>alert(1)</script>\"><img src=x onerror='alert(2)'>";

/// An API with one deployment under way and one that is over.
#[derive(Default)]
struct Api {
    version: AtomicU64,
    is_away: AtomicBool,
    reports: AtomicUsize,
}

impl Api {
    fn deployment(&self) -> Value {
        let mut view = baking_json();
        view["version"] = json!(self.version.load(Ordering::SeqCst));
        view["reason"] = json!(EVIL);
        view
    }

    fn report(&self) -> Value {
        self.reports.fetch_add(1, Ordering::SeqCst);
        json!({
            "deployment": self.deployment(), "ending": EVIL, "breaches": [], "timeline": [], "told": [],
            "advice": [{"what": "Follow it", "command": format!("canary watch {ID}")}],
            "series": {"minutes": 0, "minutes_per_point": 1, "points": [], "tracks": {}},
        })
    }

    async fn open(self: Arc<Self>) -> Arc<Board> {
        let answer = async move |path: axum::http::Uri| {
            if self.is_away.load(Ordering::SeqCst) {
                let problem = json!({
                    "type": "urn:sagemaker-canary:problem:temporarily-unavailable",
                    "title": "temporarily unavailable", "status": 503, "detail": EVIL,
                });
                return (StatusCode::SERVICE_UNAVAILABLE, Json(problem));
            }
            let found = match path.path() {
                "/deployments" => {
                    json!({"items": [self.deployment(), rolled_back_json()], "cursor": "more"})
                }
                path if path == format!("/deployments/{ID}") => self.deployment(),
                path if path == format!("/deployments/{ID}/report") => self.report(),
                _ => {
                    let problem = json!({
                        "type": "urn:sagemaker-canary:problem:deployment-not-found",
                        "title": "deployment not found", "status": 404, "detail": "there is none",
                    });
                    return (StatusCode::NOT_FOUND, Json(problem));
                }
            };
            (StatusCode::OK, Json(found))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let routes = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let address = Address::parse(&format!("http://{address}")).expect("an address");
        Board::of(Place {
            client: Client::on_loopback(&address),
            address,
            origin: String::new(),
            account: None,
            stack: None,
        })
    }
}

async fn ask(
    board: &Arc<Board>,
    method: Method,
    path: &str,
    host: &str,
) -> (StatusCode, HeaderMap, String) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::HOST, host).body(Body::empty());
    let routes = guarded(router(board.clone(), "secret/"));
    let response = routes.oneshot(request.expect("a request")).await;
    let (head, body) = response.expect("the router is infallible").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (head.status, head.headers, text)
}

async fn page(board: &Arc<Board>, path: &str) -> (StatusCode, HeaderMap, String) {
    ask(board, Method::GET, path, "127.0.0.1:8687").await
}

/// What stands between two marks, the first time.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).expect(from);
    rest.split_once(to).expect(to).0
}

#[tokio::test]
async fn the_list_leads_to_each_report_and_shows_what_people_wrote_as_text() {
    let board = Arc::new(Api::default()).open().await;
    let (status, headers, list) = page(&board, "/secret/").await;
    assert_eq!(status, StatusCode::OK, "{list}");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
    assert!(list.contains("IN_PROGRESS/Baking") && list.contains("ROLLED_BACK"));
    assert!(list.contains("<code>canary list</code> has all"), "{list}");
    let link = between(&list, "<a href=\"deployments/", "\"");
    assert_eq!(link, ID);
    let (status, _, one) = page(&board, &format!("/secret/deployments/{link}")).await;
    assert_eq!(status, StatusCode::OK, "{one}");
    assert!(
        one.contains(&format!("<code>canary watch {ID}</code>")),
        "{one}"
    );
    assert!(one.contains("<a href=\"../\">All deployments</a>"), "{one}");
    for page in [list, one] {
        assert!(page.contains(&escaped(EVIL)), "{page}");
        let own = page.replace(&escaped(EVIL), "");
        for part in [
            "<img", "<link", "<iframe", "onerror", "src=", "alert", "url(",
        ] {
            assert!(!own.contains(part), "{part} in {own}");
        }
        assert_eq!(page.matches("<script>").count(), 1, "{page}");
    }
}

/// What goes on by itself looks otherwise than what waits for somebody.
#[tokio::test]
async fn the_list_shows_who_waits_for_a_person_and_says_whose_time_it_is() {
    let board = Arc::new(Api::default()).open().await;
    let list = |phase: &str| {
        let mut view = baking_json();
        view["phase"] = json!(phase);
        let view: DeploymentView = serde_json::from_value(view).expect("a deployment");
        board.frame.list(&[view], false)
    };
    let baking = list("Baking");
    assert!(baking.contains("<span class=\"status muted\">"), "{baking}");
    assert!(!baking.contains("has to decide"), "{baking}");
    assert!(
        baking.contains("begun 2026-11-21 10:00:00 UTC · over at 2026-11-21 11:04:00 UTC"),
        "{baking}"
    );
    for (phase, verb) in [("AwaitingApproval", "approve"), ("Paused", "resume")] {
        let waiting = list(phase);
        let pill = format!("<span class=\"status warn\">IN_PROGRESS/{phase}</span>");
        let order = format!("<code>canary {verb} {ID}</code>");
        assert!(
            waiting.contains(&pill) && waiting.contains(&order),
            "{waiting}"
        );
    }
    assert!(list("Holding").contains("<span class=\"status warn\">"));
}

/// The browser runs the one script and shows the one style that are ours, and asks nobody else.
#[tokio::test]
async fn the_policy_names_the_style_and_the_script_that_the_page_has() {
    let board = Arc::new(Api::default()).open().await;
    let (_, headers, list) = page(&board, "/secret/").await;
    let policy = headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .expect("a text");
    for (directive, element) in [("style-src", "style"), ("script-src", "script")] {
        let allowed = between(policy, &format!("{directive} 'sha256-"), "='");
        let allowed = base64url::decode(allowed).expect("base 64");
        let allowed: Vec<String> = allowed.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = between(&list, &format!("<{element}>"), &format!("</{element}>"));
        assert_eq!(allowed.concat(), digest(text.as_bytes()), "{directive}");
    }
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(
        policy.contains("; connect-src 'self'; ") && policy.ends_with("frame-ancestors 'none'")
    );
}

#[tokio::test]
async fn it_is_read_only_for_this_machine_and_below_its_secret_alone() {
    let board = Arc::new(Api::default()).open().await;
    let rollback = format!("/secret/deployments/{ID}/rollback");
    let report = format!("/secret/deployments/{ID}");
    for (method, path, host, expected) in [
        (Method::POST, "/secret/", "localhost:8687", 405),
        (Method::PUT, report.as_str(), "localhost:8687", 405),
        (Method::POST, rollback.as_str(), "localhost:8687", 404),
        (Method::GET, "/", "localhost:8687", 404),
        (Method::GET, "/other/", "localhost:8687", 404),
        (Method::GET, "/secret/", "rebound.example:8687", 403),
        (Method::GET, report.as_str(), "rebound.example", 403),
        (Method::GET, report.as_str(), "localhost:8687", 200),
    ] {
        let (status, _, text) = ask(&board, method.clone(), path, host).await;
        assert_eq!(status.as_u16(), expected, "{method} {host}{path}: {text}");
    }
}

#[tokio::test]
async fn a_report_is_asked_for_again_once_the_record_has_moved() {
    let api = Arc::new(Api::default());
    let board = api.clone().open().await;
    let path = format!("/secret/deployments/{ID}");
    for _ in 0..3 {
        assert_eq!(page(&board, &path).await.0, StatusCode::OK);
    }
    assert_eq!(api.reports.load(Ordering::SeqCst), 1);
    api.version.fetch_add(1, Ordering::SeqCst);
    let (_, _, text) = page(&board, &path).await;
    assert!(text.contains("version 1 of the record"), "{text}");
    assert_eq!(api.reports.load(Ordering::SeqCst), 2);
}

/// What the API says then is on the page, which goes on asking and is well again by itself.
#[tokio::test]
async fn an_api_that_is_away_is_said_and_asked_again() {
    let api = Arc::new(Api::default());
    let board = api.clone().open().await;
    api.is_away.store(true, Ordering::SeqCst);
    let (status, _, text) = page(&board, "/secret/").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(
        text.contains("<p id=\"failed\" class=\"bad\">error: temporarily unavailable"),
        "{text}"
    );
    assert!(
        text.contains(&escaped(EVIL)) && text.contains("<main data-every=\"2\">"),
        "{text}"
    );
    api.is_away.store(false, Ordering::SeqCst);
    let (status, _, text) = page(&board, "/secret/").await;
    assert_eq!(
        (status, text.contains("failed\"")),
        (StatusCode::OK, true),
        "in the script alone"
    );
    assert!(!text.contains("<p id=\"failed\""), "{text}");
    let (status, _, text) = page(&board, "/secret/deployments/0193").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(text.contains("deployment not found"), "{text}");
}

#[test]
fn the_secret_is_another_one_each_time() {
    let (one, other) = (drawn(), drawn());
    assert!(one.len() == 32 && one != other, "{one} {other}");
}
