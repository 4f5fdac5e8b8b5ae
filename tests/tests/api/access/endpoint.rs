//! What an endpoint's tags say: opt-in, absent and empty tags, a change while a rollout is under way.

use http::StatusCode;
use serde_json::{Value, json};
use shared::domain::authority::{Action, Names};
use shared::domain::state::Status;
use tests::{ENDPOINT, specification, specification_with};

use super::super::refusals::{assert_problem, effects};
use super::{Guarded, kind, role};

#[tokio::test]
async fn without_tags_the_stacks_defaults_decide_and_an_empty_tag_shuts_everybody_out() {
    let guarded = Guarded::with(|settings| {
        settings.defaults.deployers = Names::parse("Release");
        settings.defaults.approvers = Names::parse("OnCall");
        settings.defaults.invokers = Names::parse("Shop");
    })
    .await;
    let id = guarded.deployed_by("Release").await;
    assert_eq!(
        guarded.by("OnCall", Action::Get, &id).await.0,
        StatusCode::OK
    );
    assert_eq!(
        guarded.by("Shop", Action::Infer, &id).await.0,
        StatusCode::OK
    );
    assert_eq!(
        guarded.by("Intern", Action::Get, &id).await.0,
        StatusCode::FORBIDDEN
    );
    // One tag leaves the others to the defaults.
    guarded.tag(ENDPOINT, &[("canary:deployers", "Wine")]);
    assert_eq!(guarded.by("Wine", Action::Get, &id).await.0, StatusCode::OK);
    assert_eq!(
        guarded.by("Release", Action::Get, &id).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        guarded.by("OnCall", Action::Get, &id).await.0,
        StatusCode::OK
    );
    guarded.tag(
        ENDPOINT,
        &[("canary:deployers", ""), ("canary:approvers", " ")],
    );
    for name in ["Wine", "Release", "OnCall"] {
        let (status, answer) = guarded.by(name, Action::Get, &id).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{name}: {answer}");
    }
}

#[tokio::test]
async fn by_default_nobody_may_do_anything() {
    let guarded = Guarded::with(|_| {}).await;
    let before = effects(&guarded.world);
    for action in [Action::Deploy, Action::Plan, Action::Infer] {
        let (status, answer) = guarded.by("Release", action, "").await;
        assert_eq!(
            (status, kind(&answer)),
            (StatusCode::FORBIDDEN, "forbidden"),
            "{action}: {answer}"
        );
    }
    assert_eq!(effects(&guarded.world), before);
}

#[tokio::test]
async fn a_star_is_a_name_like_another() {
    let guarded = Guarded::with(|settings| {
        settings.defaults.deployers = Names::parse("*");
    })
    .await;
    let (status, _) = guarded.by("Release", Action::Deploy, "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_endpoint_that_its_owner_has_not_opened_takes_no_deployments() {
    let guarded = Guarded::new().await;
    let release = role("Release");
    let before = effects(&guarded.world);
    for value in ["false", "", "True", "true "] {
        guarded.tag(ENDPOINT, &[("canary:enabled", value)]);
        for path in ["/deploy", "/plan"] {
            let answer = guarded
                .send(Some(&release), "POST", path, &specification())
                .await;
            assert_problem(&answer, 422, "endpoint-not-enabled", Some("endpoint"));
            let command = format!(
                "aws sagemaker add-tags --resource-arn {} --tags Key=canary:enabled,Value=true",
                guarded.arn(ENDPOINT)
            );
            let detail = answer.1["detail"].as_str().expect("a detail");
            assert!(detail.contains(&command), "{detail}");
        }
    }
    assert_eq!(effects(&guarded.world), before);
    guarded.tag(ENDPOINT, &[("canary:enabled", "true")]);
    guarded.deployed_by("Release").await;
}

#[tokio::test]
async fn a_simulated_account_has_nobody_who_could_open_an_endpoint() {
    let guarded = Guarded::new().await;
    guarded.tag(ENDPOINT, &[("canary:enabled", "false")]);
    let (status, answer) = guarded.world.post("/deploy", &specification()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(answer["created_by"], "local");
}

#[tokio::test]
async fn whether_an_endpoint_exists_is_told_to_deployers_alone() {
    let guarded = Guarded::with(|settings| {
        settings.defaults.deployers = Names::parse("Release");
    })
    .await;
    let missing = specification_with(json!({"endpoint": "nowhere"}));
    let answer = guarded
        .send(Some(&role("Release")), "POST", "/deploy", &missing)
        .await;
    assert_problem(&answer, 422, "endpoint-not-found", Some("endpoint"));
    let there = guarded
        .send(Some(&role("Intern")), "POST", "/deploy", &specification())
        .await;
    let not_there = guarded
        .send(Some(&role("Intern")), "POST", "/deploy", &missing)
        .await;
    assert_eq!(there, not_there);
    assert_eq!(there.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn tags_that_go_while_it_runs_take_away_everything_but_what_lowers_risk() {
    let guarded = Guarded::new().await;
    let id = guarded.deployed_by("Release").await;
    let keys = ["canary:deployers", "canary:approvers", "canary:enabled"];
    guarded.untag(ENDPOINT, &keys);
    for action in [
        Action::Get,
        Action::Promote,
        Action::SetWeight,
        Action::Resume,
        Action::Cancel,
        Action::Undo,
    ] {
        let (status, answer) = guarded.by("Release", action, &id).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{action}: {answer}");
    }
    for action in [Action::Pause, Action::Rollback] {
        for name in ["Intern", "Shop"] {
            let (status, answer) = guarded.by(name, action, &id).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{action}: {answer}");
        }
        let (status, answer) = guarded.by("OnCall", action, &id).await;
        // A deployment that just begins can't be paused, whoever asks.
        let admitted = status.is_success() || status == StatusCode::CONFLICT;
        assert!(admitted, "{action}: {status} {answer}");
    }
    guarded.world.stack.simulator.run_functions().await;
    guarded.world.until_over(&id, Status::RolledBack).await;
}

#[tokio::test]
async fn a_change_of_tags_counts_at_once_and_two_people_carry_a_rollout_through() {
    let guarded = Guarded::new().await;
    let staged = specification_with(json!({"plan": {"stages": [
        {"weight": 10, "bake": "5m", "approval": true}, {"weight": 100},
    ], "soak": "5m"}}));
    let answer = guarded
        .send(Some(&role("Both")), "POST", "/deploy", &staged)
        .await;
    assert_eq!(answer.0, StatusCode::ACCEPTED, "{}", answer.1);
    let id = answer.1["deployment_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(answer.1["created_by"], "Both");
    guarded.world.stack.simulator.run_functions().await;
    let waits = shared::domain::state::Phase::AwaitingApproval;
    guarded.world.until_phase(&id, waits).await;
    let (status, refused) = guarded.by("Both", Action::Approve, &id).await;
    assert_eq!(
        (status, kind(&refused)),
        (StatusCode::FORBIDDEN, "own-approval")
    );
    // Shut out while it runs, and let in again.
    guarded.tag(ENDPOINT, &[("canary:approvers", "")]);
    let (status, _) = guarded.by("OnCall", Action::Approve, &id).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    guarded.tag(ENDPOINT, &[("canary:approvers", "Night OnCall")]);
    let (status, approved) = guarded.by("OnCall", Action::Approve, &id).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{approved}");
    guarded.world.stack.simulator.run_functions().await;
    guarded.world.until_over(&id, Status::Completed).await;
    let history = guarded.by("OnCall", Action::History, &id).await.1;
    let by: Vec<&Value> = history["items"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| &line["by"])
        .filter(|by| !by.is_null())
        .collect();
    assert_eq!(by, [&json!("Both"), &json!("OnCall")]);
}
