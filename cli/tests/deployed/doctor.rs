//! `canary doctor`, from the address to the endpoint.

use serde_json::json;

use crate::account::Account;
use crate::gateway::{Gateway, REGION};
use crate::run::{Home, Run, canary, keys};
use crate::{api, api_that_plans, api_that_refuses};

/// Everything that is looked at with a stack and an endpoint, in its order.
const CHECKS: [&str; 9] = [
    "address",
    "credentials",
    "api",
    "clock",
    "version",
    "reading",
    "settings",
    "endpoint",
    "tags",
];

/// The doctor on the stack `canary-prod` of this account, with these words more.
async fn examine(gateway: &Gateway, account: Account, more: &[&str]) -> Run {
    let home = Home::new();
    let ca = home.file("ca.pem", &gateway.ca);
    let aws = account.open().await;
    let mut environment = keys();
    environment.extend([
        ("AWS_CA_BUNDLE", ca.to_str().expect("the path is text")),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", &aws),
    ]);
    if !more.contains(&"--api") {
        environment.push(("CANARY_STACK_NAME", "canary-prod"));
    }
    let mut arguments = vec!["doctor", "-o", "json"];
    arguments.extend(more);
    canary(&home, &arguments, &environment).await
}

/// How a check stands, and its words.
fn found(run: &Run, check: &str) -> (String, String) {
    let all = run.json();
    let finding = all.iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no {check}: {}", run.stdout));
    let text = |field: &str| finding[field].as_str().expect("a text").to_owned();
    (text("standing"), text("detail"))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_through_a_sound_setup() {
    let gateway = api().await;
    let account = Account::of(&gateway.api);
    let run = examine(&gateway, account, &["--endpoint", "wine"]).await;
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let all = run.json();
    let checks: Vec<_> = all
        .iter()
        .map(|finding| (&finding["check"], &finding["standing"]))
        .collect();
    assert_eq!(checks.len(), CHECKS.len(), "{}", run.stdout);
    for ((check, standing), expected) in checks.into_iter().zip(CHECKS) {
        assert_eq!(
            (check, standing),
            (&expected.into(), &"ok".into()),
            "{}",
            run.stdout
        );
    }
    let (_, credentials) = found(&run, "credentials");
    assert!(
        credentials.contains("who is Release to the API"),
        "{credentials}"
    );
    let (_, tags) = found(&run, "tags");
    for part in [
        "endpoint/wine has canary:enabled",
        "deploy: yes",
        "approve: no, there is no canary:approvers, and the stack's DefaultApprovers does not name it",
        "invoke: as the stack's DefaultInvokers says",
    ] {
        assert!(tags.contains(part), "{tags}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_the_setup_ends() {
    let gateway = api().await;
    let run = examine(&gateway, Account::of(&gateway.api), &["--stack", "missing"]).await;
    assert_eq!(run.code, 1);
    assert_eq!(found(&run, "address").0, "not_ok");
    // Without a stage API Gateway knows no route.
    let bare = gateway.api.trim_end_matches("/v1");
    let run = examine(&gateway, Account::of(bare), &["--api", bare]).await;
    assert_eq!(run.code, 1);
    let (standing, detail) = found(&run, "api");
    assert!(standing == "not_ok" && detail.contains("stage"), "{detail}");
}

/// The API looks at its list of models before it looks at the endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_with_few_models_is_asked_about_one_of_them() {
    let gateway = api_that_plans("model-not-allowed").await;
    let account = Account::of(&gateway.api);
    let run = examine(&gateway, account.clone(), &["--endpoint", "wine"]).await;
    assert_eq!(run.code, 0, "{}", run.stdout);
    let (standing, detail) = found(&run, "endpoint");
    assert!(
        standing == "unknown" && detail.contains("--model"),
        "{detail}"
    );
    let named = ["--endpoint", "wine", "--model", "other"];
    let run = examine(&gateway, account, &named).await;
    assert_eq!(run.code, 1);
    assert_eq!(found(&run, "endpoint").0, "not_ok");
}

/// A pipeline that is run again asks while its own deployment is under way, and goes on to find it.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_in_a_rollout_is_neither_sound_nor_broken() {
    let id = "01931f0a-7c00-7abc-8def-0123456789ab";
    let locked = json!({
        "type": "urn:sagemaker-canary:problem:endpoint-locked", "title": "endpoint locked", "status": 409,
        "detail": "endpoint wine has a deployment", "field": "endpoint", "deployment_id": id,
    });
    let gateway = api_that_refuses(409, locked).await;
    let account = Account::of(&gateway.api);
    for more in [
        &["--endpoint", "wine"][..],
        &["--endpoint", "wine", "--model", "new"],
    ] {
        let run = examine(&gateway, account.clone(), more).await;
        assert_eq!(run.code, 0, "{}", run.stdout);
        let (standing, detail) = found(&run, "endpoint");
        assert!(standing == "unknown" && detail.contains(id), "{detail}");
        // What does not depend on it is looked at all the same.
        assert_eq!(found(&run, "tags").0, "ok");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_not_live_are_named_and_never_shown() {
    let gateway = api().await;
    let stale = Account {
        stale: Some("canary-prod-deploy-api"),
        ..Account::of(&gateway.api)
    };
    let run = examine(&gateway, stale, &[]).await;
    assert_eq!(run.code, 1);
    let (standing, detail) = found(&run, "settings");
    assert_eq!(standing, "not_ok");
    assert!(
        detail.contains("canary-prod-deploy-api (CANARY_MODELS, timeout).")
            && detail.contains("sam deploy"),
        "{detail}"
    );
    assert!(!run.stdout.contains("wine-*") && !run.stdout.contains("narrow-*"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_may_not_read_is_unknown_and_no_failure() {
    let gateway = api().await;
    let closed = Account {
        shows_functions: false,
        ..Account::of(&gateway.api)
    };
    let run = examine(&gateway, closed, &[]).await;
    assert_eq!(run.code, 0, "{}", run.stdout);
    let (standing, detail) = found(&run, "settings");
    assert!(
        standing == "unknown" && detail.contains("lambda:GetFunctionConfiguration"),
        "{detail}"
    );
}

/// An address may be of an API of any account: a sound endpoint of the caller's own says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_leaves_open_whose_endpoint_it_drives() {
    let gateway = api().await;
    let api = gateway.api.clone();
    let arguments = ["--api", &api, "--endpoint", "wine"];
    let run = examine(&gateway, Account::of(&api), &arguments).await;
    assert_eq!(run.code, 0, "{}", run.stdout);
    assert_eq!(found(&run, "settings").0, "unknown");
    let (standing, detail) = found(&run, "tags");
    assert!(
        standing == "unknown" && detail.contains("123456789012:endpoint/wine"),
        "{detail}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_api_cannot_name_it_takes_nothing_from() {
    let gateway = api().await;
    let federated = Account {
        caller: "arn:aws:sts::123456789012:federated-user/anna",
        ..Account::of(&gateway.api)
    };
    let run = examine(&gateway, federated, &[]).await;
    assert_eq!(run.code, 1);
    assert_eq!(found(&run, "credentials").0, "not_ok");
    assert_eq!(gateway.seen().len(), 0, "the API would only say the same");
}
