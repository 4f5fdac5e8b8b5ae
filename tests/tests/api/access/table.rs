//! Every route for everybody.

use http::StatusCode;
use shared::domain::authority::{Action, table};

use super::super::refusals::effects;
use super::{Guarded, kind, role};

/// All of [`people`] that have a name here.
const ANYBODY: &[&str] = &[
    "deployer",
    "approver",
    "requester",
    "invoker",
    "everyone",
    "stranger",
    "namesake abroad",
    "user of the name",
    "session of the name",
    "root",
];

/// Who is admitted where, of all [`people`]; the rest are not. Written out, so that a slip in the table of
/// the code is not repeated here.
const ADMITTED: [(Action, &[&str]); 24] = [
    (Action::Deploy, &["deployer", "requester", "everyone"]),
    (Action::Plan, &["deployer", "requester", "everyone"]),
    (Action::Undo, &["deployer", "requester", "everyone"]),
    (
        Action::Get,
        &["deployer", "approver", "requester", "everyone"],
    ),
    (
        Action::History,
        &["deployer", "approver", "requester", "everyone"],
    ),
    (
        Action::Checks,
        &["deployer", "approver", "requester", "everyone"],
    ),
    (
        Action::Report,
        &["deployer", "approver", "requester", "everyone"],
    ),
    (
        Action::Review,
        &["deployer", "approver", "requester", "everyone"],
    ),
    (
        Action::Pause,
        &["deployer", "approver", "requester", "everyone"],
    ),
    (Action::Resume, &["deployer", "requester", "everyone"]),
    (Action::Promote, &["deployer", "requester", "everyone"]),
    (Action::SetWeight, &["deployer", "requester", "everyone"]),
    (Action::Approve, &["approver", "everyone"]),
    (
        Action::Rollback,
        &["deployer", "approver", "requester", "everyone"],
    ),
    (Action::Cancel, &["deployer", "requester", "everyone"]),
    (
        Action::SeeFreeze,
        &["deployer", "approver", "requester", "everyone"],
    ),
    (
        Action::Freeze,
        &["deployer", "approver", "requester", "everyone"],
    ),
    (Action::Thaw, &["approver", "requester", "everyone"]),
    (Action::Infer, &["invoker", "everyone"]),
    (Action::Feedback, &["invoker", "everyone"]),
    (Action::Route, &["invoker", "everyone"]),
    (Action::List, ANYBODY),
    (Action::Health, ANYBODY),
    (Action::Describe, ANYBODY),
];

/// Everybody. `requester` is deployer and approver, and has asked for the deployment; those "of the
/// name" are called like the role `Everyone`, which may do everything, and are not it.
fn people() -> Vec<(&'static str, Option<String>)> {
    let some = |arn: &str| Some(arn.to_owned());
    vec![
        ("deployer", Some(role("Release"))),
        ("approver", Some(role("OnCall"))),
        ("requester", Some(role("Both"))),
        ("invoker", Some(role("Shop"))),
        ("everyone", Some(role("Everyone"))),
        ("stranger", Some(role("Intern"))),
        (
            "namesake abroad",
            some("arn:aws:sts::111122223333:assumed-role/Everyone/run-17"),
        ),
        (
            "user of the name",
            some("arn:aws:iam::123456789012:user/Everyone"),
        ),
        (
            "session of the name",
            some("arn:aws:sts::123456789012:assumed-role/Intern/Everyone"),
        ),
        ("root", some("arn:aws:iam::123456789012:root")),
        (
            "federated",
            some("arn:aws:sts::123456789012:federated-user/Everyone"),
        ),
        ("nobody", None),
    ]
}

#[tokio::test]
async fn every_route_admits_whom_it_should_and_nobody_else() {
    for action in Action::ALL {
        let (_, admitted) = ADMITTED
            .into_iter()
            .find(|(listed, _)| *listed == action)
            .expect("every action is listed");
        let guarded = Guarded::new().await;
        let id = guarded.deployed_by("Both").await;
        let people = people();
        let (inside, outside): (Vec<_>, Vec<_>) =
            people.iter().partition(|(who, _)| admitted.contains(who));
        assert_eq!(inside.len(), admitted.len(), "{action}: a name is unknown");
        let before = effects(&guarded.world);
        let counted = guarded.forbidden();
        for (who, arn) in &outside {
            let (status, answer) = guarded.ask(arn.as_deref(), action, &id).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{action} by {who}: {answer}");
            let expected = match *who {
                "nobody" | "federated" => "unknown-caller",
                "requester" if action == Action::Approve => "own-approval",
                _ => "forbidden",
            };
            assert_eq!(kind(&answer), expected, "{action} by {who}: {answer}");
            // Nothing of the deployment or of the grants is told.
            let text = answer.to_string();
            for secret in ["Everyone Both", "wine-quality-v", "canary-", &id] {
                assert!(!text.contains(secret), "{action} by {who}: {text}");
            }
        }
        assert_eq!(
            effects(&guarded.world),
            before,
            "{action}: nothing happened"
        );
        assert_eq!(guarded.world.count_calls("InvokeEndpoint"), 0);
        assert_eq!(
            guarded.forbidden() - counted,
            outside.len(),
            "{action}: each is counted"
        );
        for (who, arn) in &inside {
            let (status, answer) = guarded.ask(arn.as_deref(), action, &id).await;
            assert!(
                status != StatusCode::FORBIDDEN && !status.is_server_error(),
                "{action} by {who}: {status} {answer}"
            );
        }
        assert_eq!(guarded.forbidden() - counted, outside.len(), "{action}");
    }
}

#[tokio::test]
async fn a_denied_caller_learns_the_name_it_has_here_and_what_would_admit_it() {
    let guarded = Guarded::new().await;
    let id = guarded.deployed_by("Both").await;
    let foreign = "arn:aws:sts::111122223333:assumed-role/Release/run-17";
    for (arn, action, told) in [
        (
            role("Intern"),
            Action::Deploy,
            ["Intern", "canary:deployers", "DefaultDeployers"],
        ),
        (
            role("Shop"),
            Action::Approve,
            ["Shop", "canary:approvers", "DefaultApprovers"],
        ),
        (
            role("Release"),
            Action::Infer,
            ["Release", "canary:invokers", "DefaultInvokers"],
        ),
        (
            foreign.to_owned(),
            Action::Get,
            [
                "111122223333/Release",
                "canary:deployers or canary:approvers",
                "DefaultDeployers or DefaultApprovers",
            ],
        ),
        (
            "arn:aws:iam::123456789012:user/team/anna".to_owned(),
            Action::Rollback,
            [
                "user/anna",
                "canary:deployers or canary:approvers",
                "POST /deployments/{id}/rollback",
            ],
        ),
        (
            role("Both"),
            Action::Approve,
            ["Both", "canary:approvers", "somebody else"],
        ),
    ] {
        let (status, answer) = guarded.ask(Some(&arn), action, &id).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
        let detail = answer["detail"].as_str().expect("a detail");
        for part in told {
            assert!(detail.contains(part), "{part} in {detail}");
        }
    }
}

#[tokio::test]
async fn a_route_that_is_none_stays_one_and_other_methods_too() {
    let guarded = Guarded::new().await;
    let release = role("Release");
    for (method, path, status) in [
        ("GET", "/nowhere", 404),
        ("GET", "/deployments/x/y/z", 404),
        ("DELETE", "/deployments", 405),
        ("PUT", "/deploy", 405),
        ("GET", "/inference", 405),
        ("GET", "/feedback", 405),
        ("POST", "/route", 405),
    ] {
        let answer = guarded
            .send(Some(&release), method, path, &serde_json::Value::Null)
            .await;
        assert_eq!(answer.0.as_u16(), status, "{method} {path}: {}", answer.1);
    }
}

/// The table in the guide is the one in the code.
#[test]
fn the_guide_prints_the_table() {
    let guide = include_str!("../../../../docs/access.md");
    assert!(
        guide.contains(&table()),
        "docs/access.md should hold\n{}",
        table()
    );
}
