//! `POST /inference`: grants are kept for a minute, and go on deciding while the tags can't be read.

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::json;
use shared::domain::authority::{Action, Patterns};
use simulator::{FaultKind, service};
use tests::ENDPOINT;

use super::super::refusals::assert_problem;
use super::{Guarded, TAGS, kind, role};

fn reads(guarded: &Guarded) -> usize {
    guarded.world.count_calls("GetResources")
}

async fn status(guarded: &Guarded, name: &str) -> StatusCode {
    guarded.by(name, Action::Infer, "").await.0
}

#[tokio::test]
async fn tags_are_read_once_a_minute_and_count_for_everybody() {
    let guarded = Guarded::new().await;
    for _ in 0..20 {
        assert_eq!(status(&guarded, "Shop").await, StatusCode::OK);
        assert_eq!(status(&guarded, "Intern").await, StatusCode::FORBIDDEN);
    }
    assert_eq!(reads(&guarded), 1);
    assert_eq!(guarded.world.count_calls("ListTags"), 0);
    guarded.tag(ENDPOINT, &[("canary:invokers", "Intern")]);
    assert_eq!(status(&guarded, "Shop").await, StatusCode::OK);
    guarded.world.pass(SignedDuration::from_secs(61)).await;
    assert_eq!(status(&guarded, "Shop").await, StatusCode::FORBIDDEN);
    assert_eq!(status(&guarded, "Intern").await, StatusCode::OK);
    assert_eq!(reads(&guarded), 2);
}

#[tokio::test]
async fn simultaneous_first_requests_read_once() {
    let guarded = Guarded::new().await;
    let answers = tokio::join!(
        status(&guarded, "Shop"),
        status(&guarded, "Shop"),
        status(&guarded, "Intern"),
        status(&guarded, "Everyone"),
    );
    let (ok, no) = (StatusCode::OK, StatusCode::FORBIDDEN);
    assert_eq!(answers, (ok, ok, no, ok));
    assert_eq!(reads(&guarded), 1);
}

#[tokio::test]
async fn what_was_read_last_decides_while_the_tags_can_not_be_read() {
    let guarded = Guarded::new().await;
    assert_eq!(status(&guarded, "Shop").await, StatusCode::OK);
    guarded.cut_off_tags();
    for _ in 0..3 {
        guarded.world.pass(SignedDuration::from_mins(30)).await;
        assert_eq!(status(&guarded, "Shop").await, StatusCode::OK);
        assert_eq!(status(&guarded, "Intern").await, StatusCode::FORBIDDEN);
    }
    // Another endpoint was never read: nobody is admitted to it, and it is not said whether it is there.
    let other = json!({"endpoint": "another", "features": [1]});
    for name in ["Shop", "Intern"] {
        let (status, answer) = guarded
            .send(Some(&role(name)), "POST", "/inference", &other)
            .await;
        assert_eq!(
            (status, kind(&answer)),
            (StatusCode::SERVICE_UNAVAILABLE, "access-unknown"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_read_that_failed_is_tried_again_soon() {
    let guarded = Guarded::new().await;
    let refused = FaultKind::Error {
        status: 400,
        code: "InvalidParameterException".to_owned(),
        message: "no".to_owned(),
    };
    guarded.world.disturb("tagging", "GetResources", 1, refused);
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!(status(&guarded, "Shop").await, unavailable);
    guarded.world.pass(SignedDuration::from_secs(2)).await;
    assert_eq!(status(&guarded, "Shop").await, StatusCode::OK);
}

/// The tagging API does not tell an endpoint that is not there from one without tags.
#[tokio::test]
async fn a_missing_endpoint_is_told_to_those_whom_the_defaults_admit() {
    let guarded = Guarded::with(|settings| {
        settings.defaults.invokers = shared::domain::authority::Names::parse("Shop");
    })
    .await;
    let missing = json!({"endpoint": "nowhere", "features": [1]});
    for (name, status, problem) in [
        ("Shop", StatusCode::UNPROCESSABLE_ENTITY, "endpoint-refused"),
        ("Intern", StatusCode::FORBIDDEN, "forbidden"),
    ] {
        let answer = guarded
            .send(Some(&role(name)), "POST", "/inference", &missing)
            .await;
        assert_eq!(
            (answer.0, kind(&answer.1)),
            (status, problem),
            "{}",
            answer.1
        );
    }
}

/// IAM would refuse each invocation, and each refusal would page somebody.
#[tokio::test]
async fn an_endpoint_that_is_not_the_stacks_is_refused_before_any_call() {
    let guarded = Guarded::with(|settings| settings.endpoints = Patterns::parse("beer-*")).await;
    guarded.tag(ENDPOINT, &TAGS);
    let before = guarded.world.simulator().calls().len();
    for name in ["Shop", "Intern"] {
        let answer = guarded.by(name, Action::Infer, "").await;
        assert_problem(&answer, 422, "endpoint-not-allowed", Some("endpoint"));
    }
    assert_eq!(guarded.world.simulator().calls().len(), before);
    // Neither asks the endpoint for anything: callers that ask it themselves still learn of a rollback.
    for action in [Action::Route, Action::Feedback] {
        let (status, answer) = guarded.by("Shop", action, "").await;
        assert_eq!(status, StatusCode::OK, "{action}: {answer}");
    }
    assert_eq!(guarded.denied(), [""; 0]);
}

fn denied() -> FaultKind {
    FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not by this role".to_owned(),
    }
}

/// Nothing but the alarm tells of them where requests are answered all the same.
#[tokio::test]
async fn reads_that_are_denied_are_counted_once_for_as_long_as_they_are_kept() {
    let guarded = Guarded::new().await;
    let world = &guarded.world;
    world.disturb(service::DYNAMODB, "GetItem", 10_000, denied());
    for _ in 0..3 {
        assert_eq!(status(&guarded, "Shop").await, StatusCode::OK);
    }
    // The route and the keys, side by side.
    assert_eq!(guarded.denied(), ["GetItem"; 2]);
    world.pass(SignedDuration::from_secs(6)).await;
    assert_eq!(status(&guarded, "Shop").await, StatusCode::OK);
    assert_eq!(guarded.denied(), ["GetItem"; 4]);
}

#[tokio::test]
async fn tags_that_may_not_be_read_are_counted_while_the_last_ones_decide() {
    let guarded = Guarded::new().await;
    assert_eq!(status(&guarded, "Shop").await, StatusCode::OK);
    guarded.cut_off_tags();
    guarded.world.pass(SignedDuration::from_secs(61)).await;
    for _ in 0..3 {
        assert_eq!(status(&guarded, "Shop").await, StatusCode::OK);
    }
    assert_eq!(guarded.denied(), ["GetResources"]);
}

#[tokio::test]
async fn invocations_are_counted_where_a_permission_is_missing_and_not_where_they_are_throttled() {
    let guarded = Guarded::new().await;
    for (fault, answered, counted) in [
        (FaultKind::Throttle, StatusCode::TOO_MANY_REQUESTS, 0),
        (denied(), StatusCode::SERVICE_UNAVAILABLE, 1),
    ] {
        let world = &guarded.world;
        world.disturb(service::SAGEMAKER_RUNTIME, "InvokeEndpoint", 1, fault);
        assert_eq!(status(&guarded, "Shop").await, answered);
        assert_eq!(guarded.denied(), vec!["InvokeEndpoint"; counted]);
        assert_eq!(guarded.errors(), counted);
    }
}
