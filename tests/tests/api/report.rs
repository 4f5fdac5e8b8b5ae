//! The report of a deployment: the same in three forms, for whoever may read the deployment, and nothing
//! in it that a browser would fetch, run or take for more than text.

use std::fmt::Write as _;

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::json;
use shared::domain::audience::Audience;
use shared::domain::history::Name;
use shared::domain::state::{Phase, Status};
use shared::wire::html::escaped;
use shared::wire::report::Report;
use shared::wire::{base64url, digest};
use simulator::{Distribution, Fault, FaultKind, service};
use tests::{World, specification, specification_with};
use tower::ServiceExt;

use super::refusals::{assert_problem, effects};

const PAGE: &str = "text/html";
const MARKDOWN: &str = "text/markdown";
const JSON: &str = "application/json";

async fn text(world: &World, id: &str, form: &str) -> String {
    let path = format!("/deployments/{id}/report");
    let (status, answer) = world
        .request(Method::GET, &path, &[("accept", form)], Vec::new())
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer.as_str().expect("a text").to_owned()
}

async fn report(world: &World, id: &str) -> Report {
    let path = format!("/deployments/{id}/report");
    let (status, answer) = world
        .request(Method::GET, &path, &[("accept", JSON)], Vec::new())
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    serde_json::from_value(answer).expect("a report")
}

async fn with_headers(world: &World, id: &str) -> (HeaderMap, String) {
    let path = format!("/deployments/{id}/report");
    let request = Request::get(&path).body(Body::empty()).expect("a request");
    let response = world.stack.router().oneshot(request).await;
    let response = response.expect("the router is infallible");
    let headers = response.headers().clone();
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    (headers, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

fn failing() -> Distribution {
    Distribution {
        error_rate: 0.5,
        ..Distribution::default()
    }
}

#[tokio::test]
async fn a_completed_deployment_is_told_from_beginning_to_end() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
    let before = effects(&world);
    let report = report(&world, &id).await;
    assert_eq!(report.deployment.status, Status::Completed);
    let history = world.history(&id).await;
    assert_eq!(report.timeline.len(), history.len());
    for (line, entry) in report.timeline.iter().zip(&history) {
        assert_eq!((&line.entry, line.announced), (entry, Some(true)));
        assert_eq!(line.told, Audience::of(entry));
    }
    assert!(
        report.post_mortem.is_none() && report.breaches.is_empty(),
        "{:?}",
        report.breaches
    );
    let series = &report.series;
    assert_eq!(
        (series.minutes_per_point, series.left_out.as_ref()),
        (1, None)
    );
    assert!(series.minutes >= 10 && series.points.len() == series.minutes);
    let totals = |of: fn(&shared::wire::report::series::Point) -> u64| -> u64 {
        series.points.iter().map(of).sum()
    };
    let measured = report
        .deployment
        .measured
        .as_ref()
        .expect("what was measured");
    assert_eq!(
        totals(|point| point.canary.invocations),
        measured.canary.invocations
    );
    assert_eq!(
        totals(|point| point.production.invocations),
        measured.production.invocations
    );
    let weights: Vec<u8> = series
        .points
        .iter()
        .map(|point| point.weight.percent())
        .collect();
    assert!(
        weights.is_sorted() && weights.last() == Some(&100),
        "{weights:?}"
    );
    let asked = series.points.iter().filter(|it| it.canary.invocations > 0);
    assert!(asked.clone().count() > 5 && asked.clone().all(|it| it.canary_latency.is_some()));
    assert_eq!((&series.scores, &series.scores_left_out), (&None, &None));
    let ended = world.entry(&id, Name::Completed).await.at;
    assert_eq!(report.ended_at, Some(ended));
    let counted = format!("Canary: {} requests", measured.canary.invocations);
    let page = text(&world, &id, PAGE).await;
    assert!(page.contains("Latency of the models"), "{page}");
    let markdown = text(&world, &id, MARKDOWN).await;
    for form in [&page, &markdown] {
        assert!(form.contains(&counted) && form.contains("Target"), "{form}");
    }
    let commands: Vec<&str> = report.advice.iter().map(|it| it.command.as_str()).collect();
    assert_eq!(commands[0], format!("canary undo {id}"));
    assert_eq!(effects(&world), before, "a report changes nothing");
}

#[tokio::test]
async fn a_rollback_is_told_with_its_breach_and_the_draft_of_a_post_mortem() {
    let world = World::with_challenger(failing()).await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::RolledBack).await;
    let report = report(&world, &id).await;
    let decided = world.entry(&id, Name::RollingBack).await;
    let breach = report.breaches.last().expect("a breach");
    assert_eq!(
        (&breach.reason, &breach.value, &breach.limit),
        (&decided.reason, &decided.value, &decided.limit)
    );
    let draft = report.post_mortem.as_ref().expect("a draft");
    assert_eq!(draft.cause.signal, decided.signal);
    assert!(draft.traffic_back_at.is_some(), "it goes on to the end");
    assert_eq!(draft.timeline.len(), report.timeline.len());
    let errors = &report.series.tracks["errors"];
    let last = errors.readings.last().expect("readings");
    assert!(last.low.is_some_and(|low| low > 10.0), "{last:?}");
    let trials: u64 = errors.shares.iter().map(|it| it.canary.n()).sum();
    let measured = report.deployment.measured.as_ref();
    let requests = measured.map(|measured| measured.canary.invocations);
    assert_eq!(Some(trials), requests, "every request once");
    let page = text(&world, &id, PAGE).await;
    assert!(
        page.contains("each model by itself: share of bad outcomes"),
        "{page}"
    );
    for form in [PAGE, MARKDOWN] {
        let text = text(&world, &id, form).await;
        for part in [
            "ROLLED_BACK",
            "Post-mortem, a draft",
            &draft.incident_id,
            "Open questions",
            "on call, ML team",
        ] {
            assert!(text.contains(part), "{form}: {part} in {text}");
        }
    }
}

/// Of one that runs the report says how it stands and what waits to be told.
#[tokio::test]
async fn a_running_deployment_says_what_can_be_done_and_what_waits() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    world.disturb(service::SNS, "Publish", 50, FaultKind::Throttle);
    world.order(&id, "pause").await;
    let report = report(&world, &id).await;
    let waiting: Vec<Name> = report
        .timeline
        .iter()
        .filter(|line| line.announced == Some(false))
        .map(|line| line.entry.event)
        .collect();
    assert_eq!(waiting, [Name::Paused]);
    let commands: Vec<&str> = report.advice.iter().map(|it| it.command.as_str()).collect();
    assert_eq!(
        commands[..2],
        [
            format!("canary resume {id}"),
            format!("canary rollback {id}")
        ]
    );
    let page = text(&world, &id, PAGE).await;
    assert!(
        page.contains("(waits)") && page.contains(">IN_PROGRESS/Paused<"),
        "{page}"
    );
}

/// Before the first minute there is nothing to draw.
#[tokio::test]
async fn a_deployment_without_a_judged_minute_has_a_report() {
    let world = World::new().await;
    let id = world.accept(&specification()).await;
    let page = text(&world, &id, PAGE).await;
    assert!(
        page.contains("No minute was judged") && !page.contains("<svg"),
        "{page}"
    );
    assert!(
        text(&world, &id, MARKDOWN)
            .await
            .contains("No minute was judged")
    );
}

#[tokio::test]
async fn the_page_fetches_nothing_runs_nothing_and_shows_what_people_wrote_as_text() {
    let world = World::new().await;
    let evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\" onload='x'";
    let preconditions = json!([
        {"name": "model_card", "link": "https://wiki.example.com/?a=1&b=2", "by": evil},
    ]);
    let id = world
        .deploy(&specification_with(json!({"preconditions": preconditions})))
        .await;
    world.until_phase(&id, Phase::Baking).await;
    let body = json!({"reason": evil});
    let (status, answer) = world
        .post(&format!("/deployments/{id}/rollback"), &body)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    world.stack.simulator.run_functions().await;
    world.until_over(&id, Status::RolledBack).await;
    let (headers, page) = with_headers(&world, &id).await;
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
    // What is left without it is ours.
    let own = page.replace(&escaped(evil), "");
    for part in [
        "<script", "<img", "<link", "<iframe", "<object", " src=", " href=", "url(", "@import",
        " style=", "onload='",
    ] {
        assert!(!own.contains(part), "{part} in {own}");
    }
    let markdown = text(&world, &id, MARKDOWN).await;
    assert!(
        !markdown.contains("<script") && !markdown.contains("<img"),
        "{markdown}"
    );
    let policy = headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .expect("a text");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-")
            && policy.ends_with("frame-ancestors 'none'"),
        "{policy}"
    );
    // The one style that is allowed is the one that the page has.
    let (_, rest) = page.split_once("<style>").expect("a style");
    let (style, _) = rest.split_once("</style>").expect("its end");
    let (_, rest) = policy.split_once("'sha256-").expect("a digest");
    let (allowed, _) = rest.split_once("='").expect("its padding");
    let allowed = base64url::decode(allowed).expect("base 64");
    let digits = allowed.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a string takes everything");
        digits
    });
    assert_eq!(digits, digest(style.as_bytes()));
    assert_eq!(page.matches("<style>").count(), 1);
}

#[tokio::test]
async fn a_request_gets_the_form_it_asks_for_or_is_told_which_there_are() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let path = format!("/deployments/{id}/report");
    let (_, page) = with_headers(&world, &id).await;
    assert!(
        page.starts_with("<!DOCTYPE html>"),
        "a page where nothing is said"
    );
    assert!(
        text(&world, &id, MARKDOWN)
            .await
            .starts_with("# wine-quality: ")
    );
    let refused = world
        .request(Method::GET, &path, &[("accept", "image/png")], Vec::new())
        .await;
    assert_problem(&refused, 406, "not-acceptable", Some("Accept"));
    let unknown = "/deployments/00000000-0000-7000-8000-000000000000/report";
    assert_problem(&world.get(unknown).await, 404, "deployment-not-found", None);
}

/// The table answers for the record and the history, and not for the minutes: no report that would say
/// that there were none.
#[tokio::test]
async fn minutes_that_cant_be_read_are_not_taken_for_none() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    // After the history and what waits to be told.
    world.simulator().inject(Fault {
        service: service::DYNAMODB.to_owned(),
        operation: Some("Query".to_owned()),
        skip: 2,
        times: 50,
        kind: FaultKind::Throttle,
    });
    let path = format!("/deployments/{id}/report");
    let answer = world.request(Method::GET, &path, &[], Vec::new()).await;
    assert_problem(&answer, 503, "temporarily-unavailable", None);
}
