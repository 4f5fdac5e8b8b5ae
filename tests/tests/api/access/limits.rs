//! What the stack may be asked for at all: endpoints, models, topics, roles to pass on.

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::authority::{Action, Names, Patterns};
use simulator::service;
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
            json!({"notify": {"audiences": {"on_call": format!("{here}:payroll")}}}),
            "topic-not-allowed",
            "notify.audiences.on_call",
            "NotificationTopics",
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

/// IAM would refuse each question about it, and each refusal would page somebody.
#[tokio::test]
async fn an_endpoint_that_is_not_the_stacks_is_not_asked_about() {
    let guarded = Guarded::with(|settings| {
        settings.defaults.approvers = Names::parse("Chief");
    })
    .await;
    guarded.tag(ENDPOINT, &TAGS);
    let id = guarded.deployed_by("Release").await;
    let guarded = guarded.narrowed_to("beer-*");
    guarded.cut_off_tags();
    let questions = || {
        let calls = ["ListTags", "DescribeEndpoint", "ListEndpoints"];
        calls.map(|call| guarded.world.count_calls(call))
    };
    let (before, written) = (questions(), effects(&guarded.world));
    for action in [
        Action::Deploy,
        Action::Plan,
        Action::Undo,
        Action::Promote,
        Action::SetWeight,
        Action::Resume,
        Action::Cancel,
        Action::Approve,
        Action::Thaw,
    ] {
        for name in ["Release", "Everyone", "Chief", "Intern"] {
            let answer = guarded.by(name, action, &id).await;
            assert_problem(&answer, 422, "endpoint-not-allowed", Some("endpoint"));
        }
    }
    assert_eq!(effects(&guarded.world), written);
    // By the grants that the record keeps, and where there is no record by the defaults.
    for (actions, admitted, denied) in [
        (
            [Action::Get, Action::History, Action::Checks].as_slice(),
            "OnCall",
            "Chief",
        ),
        (
            [Action::SeeFreeze, Action::Freeze].as_slice(),
            "Chief",
            "OnCall",
        ),
    ] {
        for action in actions {
            let (status, answer) = guarded.by(admitted, *action, &id).await;
            assert_eq!(status, StatusCode::OK, "{action}: {answer}");
            let (status, answer) = guarded.by(denied, *action, &id).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{action}: {answer}");
        }
    }
    assert_eq!(questions(), before);
    let (status, answer) = guarded.by("OnCall", Action::Rollback, &id).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(guarded.denied(), [""; 0]);
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

/// An endpoint whose config names this role, opened by its owner.
async fn endpoint_with_role(guarded: &Guarded, name: &str, arn: &str) {
    let simulator = guarded.world.simulator();
    let config = json!({"EndpointConfigName": name, "ExecutionRoleArn": arn, "ProductionVariants": [{
        "VariantName": "only", "ModelName": tests::OLD, "InitialInstanceCount": 1,
        "InstanceType": "ml.c6i.large", "InitialVariantWeight": 1.0,
    }]});
    let made = simulator.call(service::SAGEMAKER, "CreateEndpointConfig", &config);
    made.expect("a config");
    let endpoint = json!({"EndpointName": name, "EndpointConfigName": name});
    let made = simulator.call(service::SAGEMAKER, "CreateEndpoint", &endpoint);
    made.expect("an endpoint");
    guarded.tag(name, &TAGS);
    guarded.tag(name, &[("canary:enabled", "true")]);
    guarded.world.pass(SignedDuration::from_mins(2)).await;
}

#[tokio::test]
async fn a_config_with_a_role_is_copied_only_where_the_stack_may_pass_it_on() {
    let arn = "arn:aws:iam::123456789012:role/serving";
    for (roles, taken) in [
        ("", false),
        ("arn:aws:iam::123456789012:role/serving2", false),
        (
            "arn:aws:iam::123456789012:role/other arn:aws:iam::123456789012:role/serving",
            true,
        ),
    ] {
        let guarded = Guarded::with(|settings| settings.roles = Patterns::parse(roles)).await;
        endpoint_with_role(&guarded, "with-role", arn).await;
        let before = effects(&guarded.world);
        let given = specification_with(json!({"endpoint": "with-role"}));
        let release = role("Release");
        let answer = guarded
            .send(Some(&release), "POST", "/deploy", &given)
            .await;
        if taken {
            assert_eq!(answer.0, StatusCode::ACCEPTED, "{}", answer.1);
            continue;
        }
        assert_problem(&answer, 422, "execution-role-not-allowed", Some("endpoint"));
        let detail = answer.1["detail"].as_str().expect("a detail");
        assert!(
            detail.contains(arn) && detail.contains("ExecutionRoleArns"),
            "{detail}"
        );
        assert_eq!(effects(&guarded.world), before);
    }
}
