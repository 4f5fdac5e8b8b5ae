//! The tags can't be read, or the endpoint is gone: what takes risk away goes on, what adds risk waits.

use http::StatusCode;
use shared::app::ports::Store;
use shared::domain::authority::{Action, Names};
use tests::ENDPOINT;

use super::super::refusals::effects;
use super::{Guarded, kind};

/// What goes on without the tags.
const GOES_ON: [Action; 6] = [
    Action::List,
    Action::Get,
    Action::History,
    Action::Checks,
    Action::Pause,
    Action::Rollback,
];

#[tokio::test]
async fn what_makes_things_safer_goes_on_and_what_adds_risk_waits() {
    let guarded = Guarded::new().await;
    let id = guarded.deployed_by("Release").await;
    guarded.cut_off_tags();
    let before = effects(&guarded.world);
    for action in [
        Action::Deploy,
        Action::Plan,
        Action::Promote,
        Action::SetWeight,
        Action::Resume,
        Action::Cancel,
        Action::Approve,
        Action::Thaw,
        Action::Infer,
    ] {
        // Not even for those who may: nobody's rights are known.
        for name in ["Release", "Everyone", "Intern"] {
            let (status, answer) = guarded.by(name, action, &id).await;
            assert_eq!(
                (status, kind(&answer)),
                (StatusCode::SERVICE_UNAVAILABLE, "access-unknown"),
                "{action} by {name}: {answer}"
            );
        }
    }
    assert_eq!(effects(&guarded.world), before);
    for action in GOES_ON {
        let (status, answer) = guarded.by("OnCall", action, &id).await;
        // A deployment that just begins can't be paused, whoever asks.
        let admitted = status.is_success() || status == StatusCode::CONFLICT;
        assert!(admitted, "{action}: {status} {answer}");
        let (status, answer) = guarded.by("Intern", action, &id).await;
        if action == Action::List {
            assert_eq!(answer["items"].as_array().map(Vec::len), Some(0));
        } else {
            assert_eq!(status, StatusCode::FORBIDDEN, "{action}: {answer}");
        }
    }
}

#[tokio::test]
async fn the_grants_at_acceptance_decide_and_not_those_of_the_last_look() {
    let guarded = Guarded::new().await;
    let id = guarded.deployed_by("Release").await;
    guarded.tag(ENDPOINT, &[("canary:approvers", "Night")]);
    assert_eq!(
        guarded.by("Night", Action::Get, &id).await.0,
        StatusCode::OK
    );
    guarded.cut_off_tags();
    assert_eq!(
        guarded.by("Night", Action::Rollback, &id).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        guarded.by("OnCall", Action::Rollback, &id).await.0,
        StatusCode::ACCEPTED
    );
}

#[tokio::test]
async fn records_that_kept_no_grants_leave_it_to_the_defaults() {
    let guarded = Guarded::with(|settings| {
        settings.defaults.approvers = Names::parse("OnCall");
    })
    .await;
    guarded.tag(ENDPOINT, &[("canary:deployers", "Release")]);
    let id = guarded.deployed_by("Release").await;
    let kept = guarded.world.load(&id).await.deployment.terms.grants;
    let kept = kept.expect("grants are kept");
    assert!(kept.deployers.hold("Release") && kept.approvers.hold("OnCall"));
    guarded.forget_grants(&id).await;
    let loaded = guarded.world.stack.aws.load(&id).await;
    let loaded = loaded.expect("a readable record").expect("a record");
    assert_eq!(loaded.deployment.terms.grants, None);
    guarded.cut_off_tags();
    for (name, status) in [
        ("OnCall", StatusCode::ACCEPTED),
        ("Release", StatusCode::FORBIDDEN),
    ] {
        let answer = guarded.by(name, Action::Rollback, &id).await;
        assert_eq!(answer.0, status, "{name}: {}", answer.1);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_read_by_the_grants_at_acceptance() {
    let guarded = Guarded::new().await;
    let id = guarded.deployed_by("Release").await;
    let (status, _) = guarded.by("Release", Action::Cancel, &id).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    guarded.world.stack.simulator.run_functions().await;
    let over = shared::domain::state::Status::Cancelled;
    guarded.world.until_over(&id, over).await;
    guarded.delete_endpoint(ENDPOINT).await;
    for (name, status) in [
        ("Release", StatusCode::OK),
        ("OnCall", StatusCode::OK),
        ("Shop", StatusCode::FORBIDDEN),
        ("Intern", StatusCode::FORBIDDEN),
    ] {
        for action in [Action::Get, Action::History, Action::Checks] {
            let answer = guarded.by(name, action, &id).await;
            assert_eq!(answer.0, status, "{name} {action}: {}", answer.1);
        }
    }
    let (_, list) = guarded.by("OnCall", Action::List, "").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
}
