//! What the stack may be asked for at all: endpoints, models, topics.

use http::StatusCode;
use serde_json::{Value, json};
use shared::domain::authority::Patterns;
use tests::{ENDPOINT, NEW, specification_with};

use super::super::refusals::{assert_problem, effects};
use super::{Guarded, TAGS, role};

async fn narrow() -> Guarded {
    let guarded = Guarded::with(|settings| {
        settings.endpoints = Patterns::parse("wine-* beer");
        settings.models = Patterns::parse("wine-quality-v? other");
        settings.topics = Patterns::parse("canary-* releases");
    })
    .await;
    guarded.tag(ENDPOINT, &TAGS);
    guarded
}

fn topic(arn: &str) -> Value {
    json!({"notify": {"topic": arn}})
}

#[tokio::test]
async fn what_is_not_on_the_stacks_lists_is_refused_with_the_parameter() {
    let guarded = narrow().await;
    let anyones = Guarded::with(|settings| {
        settings.endpoints = Patterns::parse("beer-*");
    })
    .await;
    anyones.tag(ENDPOINT, &TAGS);
    let here = "arn:aws:sns:eu-central-1:123456789012";
    for (guarded, changes, kind, field, told) in [
        (
            &anyones,
            json!({}),
            "endpoint-not-allowed",
            "endpoint",
            "EndpointNames",
        ),
        (
            &guarded,
            json!({"model": "wine-quality-v10"}),
            "model-not-allowed",
            "model",
            "ModelNames",
        ),
        (
            &guarded,
            json!({"model": "another"}),
            "model-not-allowed",
            "model",
            "ModelNames",
        ),
        (
            &guarded,
            topic(&format!("{here}:payroll")),
            "topic-not-allowed",
            "notify.topic",
            "NotificationTopics",
        ),
        (
            &guarded,
            topic(&format!("{here}:xcanary-a")),
            "topic-not-allowed",
            "notify.topic",
            "NotificationTopics",
        ),
        (
            &guarded,
            topic("arn:aws:sns:eu-central-1:111122223333:releases"),
            "topic-elsewhere",
            "notify.topic",
            "123456789012",
        ),
        (
            &guarded,
            topic("arn:aws:sns:us-east-1:123456789012:releases"),
            "topic-elsewhere",
            "notify.topic",
            "eu-central-1",
        ),
        (
            &guarded,
            topic("arn:aws-cn:sns:eu-central-1:123456789012:releases"),
            "topic-elsewhere",
            "notify.topic",
            "eu-central-1",
        ),
    ] {
        let before = effects(&guarded.world);
        for path in ["/deploy", "/plan"] {
            let given = specification_with(changes.clone());
            let answer = guarded
                .send(Some(&role("Release")), "POST", path, &given)
                .await;
            assert_problem(&answer, 422, kind, Some(field));
            let detail = answer.1["detail"].as_str().expect("a detail");
            assert!(detail.contains(told), "{told} in {detail}");
        }
        assert_eq!(effects(&guarded.world), before);
    }
}

#[tokio::test]
async fn what_is_on_them_is_taken() {
    let here = "arn:aws:sns:eu-central-1:123456789012";
    let own = canary::TOPIC;
    for topic in [
        own,
        &format!("{here}:canary-wine"),
        &format!("{here}:releases"),
    ] {
        let guarded = narrow().await;
        let given = specification_with(json!({"model": NEW, "notify": {"topic": topic}}));
        let (status, answer) = guarded
            .send(Some(&role("Release")), "POST", "/deploy", &given)
            .await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    }
}
