//! The built binary against a deployed stack: API Gateway on loopback with TLS and every signature
//! verified, and the AWS services it asks beside it.

mod account;
#[allow(dead_code, reason = "the tests of the shell use the rest of it")]
#[path = "../binary/mod.rs"]
mod binary;
mod dashboard;
mod doctor;
#[allow(dead_code, reason = "the unit tests use the rest of it")]
#[path = "../gateway/mod.rs"]
mod gateway;
mod run;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use gateway::signature::{ACCESS_KEY, SECRET_KEY};
use gateway::{Gateway, REGION, Reply, Seen};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use account::Account;
use run::{Home, TOKEN, canary, keys};

/// An API without deployments, whose endpoint `wine` can take a canary that is there.
async fn api() -> Gateway {
    api_that_plans("model-not-found").await
}

/// The same, which refuses every plan like this.
async fn api_that_plans(refusal: &'static str) -> Gateway {
    let problem = json!({
        "type": format!("urn:sagemaker-canary:problem:{refusal}"), "title": "a refusal",
        "status": 422, "detail": "that model is not to be had", "field": "model",
    });
    api_that_refuses(422, problem).await
}

/// The same, with this problem.
async fn api_that_refuses(status: u16, problem: Value) -> Gateway {
    Gateway::open(
        move |_, seen: &Seen| match (seen.method.as_str(), seen.path.as_str()) {
            ("GET", "/v1/health") => Reply::json(
                200,
                &json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}),
            ),
            ("GET", "/v1/deployments") => Reply::json(200, &json!({"items": []})),
            ("POST", "/v1/plan") => Reply::json(status, &problem),
            _ => Reply::gateway(
                403,
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            ),
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_environment_sign() {
    let (home, gateway) = (Home::new(), api().await);
    let ca = home.file("ca.pem", &gateway.ca);
    let ca = ca.to_str().expect("the path is text");
    let arguments = [
        "list",
        "--api",
        &gateway.api,
        "--region",
        REGION,
        "--ca-file",
        ca,
    ];
    let run = canary(&home, &arguments, &keys()).await;
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let asked = gateway.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].headers["x-amz-security-token"], TOKEN);

    // The variables that every AWS tool knows.
    let mut environment = keys();
    environment.extend([
        ("AWS_CA_BUNDLE", ca),
        ("AWS_REGION", REGION),
        ("CANARY_API", &gateway.api),
    ]);
    let run = canary(&home, &["list", "-o", "json"], &environment).await;
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(gateway.asked().len(), 2);
}

/// What the environment says already is nothing that a person would have to type.
#[tokio::test(flavor = "multi_thread")]
async fn the_usage_beside_an_error_asks_for_what_is_missing_alone() {
    let home = Home::new();
    let environment = [
        ("AWS_CA_BUNDLE", "/etc/ssl/ca.pem"),
        ("CANARY_API", "https://example.com"),
        ("NO_COLOR", "1"),
    ];
    let run = canary(&home, &["deploy"], &environment).await;
    assert_eq!(run.code, 2, "{}", run.stderr);
    let usage = "Usage: canary deploy --file <FILE>\n";
    assert!(run.stderr.contains(usage), "{}", run.stderr);
}

/// A variable that is set to nothing is not set, whatever is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_set_to_nothing_is_none() {
    let home = Home::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/wine-quality.yaml");
    let run = canary(&home, &["lint", "-f", example], &[("AWS_CA_BUNDLE", "")]).await;
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "ok\n"),
        "{}",
        run.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_profile_wins_over_keys_of_the_environment() {
    let (home, gateway) = (Home::new(), api().await);
    let ca = home.file("ca.pem", &gateway.ca);
    let given = json!({
        "Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "SessionToken": TOKEN,
    });
    let given = home.file("credentials.json", &given.to_string());
    let config = format!(
        "[profile release]\nregion = {REGION}\ncredential_process = /bin/cat {}\n",
        given.display()
    );
    let config = home.file("config", &config);
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIDOTHER"),
        ("AWS_SECRET_ACCESS_KEY", "other"),
        (
            "AWS_CONFIG_FILE",
            config.to_str().expect("the path is text"),
        ),
        ("AWS_CA_BUNDLE", ca.to_str().expect("the path is text")),
        ("CANARY_API", &gateway.api),
    ];
    let run = canary(&home, &["list", "--profile", "release"], &environment).await;
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(gateway.asked().len(), 1);

    let run = canary(
        &home,
        &["list", "--profile", "nobody", "--region", REGION],
        &environment,
    )
    .await;
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("nobody"), "{}", run.stderr);
    assert_eq!(gateway.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_before_anything_is_sent() {
    let (home, gateway) = (Home::new(), api().await);
    let ca = home.file("ca.pem", &gateway.ca);
    let ca = ca.to_str().expect("the path is text");
    let all = keys();
    let cases = [
        (
            vec!["--region", REGION, "--ca-file", ca],
            &all[..0],
            "no-credentials",
        ),
        (vec!["--ca-file", ca], &all, "no-region"),
        (
            vec!["--region", REGION, "--ca-file", "/nowhere.pem"],
            &all,
            "unfit-ca-file",
        ),
        (vec!["--region", REGION], &all, "api-untrusted"),
        (
            vec!["--region", "eu-west-1", "--ca-file", ca],
            &all,
            "signature-refused",
        ),
    ];
    for (arguments, environment, kind) in cases {
        let mut line = vec!["list", "-o", "json", "--api", &gateway.api];
        line.extend(arguments);
        let run = canary(&home, &line, environment).await;
        assert_eq!(run.code, 1, "{kind}: {}", run.stderr);
        let problem = &run.json()[0]["type"];
        assert_eq!(
            problem,
            &format!("urn:sagemaker-canary:problem:{kind}"),
            "{}",
            run.stderr
        );
    }
    for api in [
        "http://10.0.0.1:8686",
        "http://abc.execute-api.eu-central-1.amazonaws.com/v1",
    ] {
        let run = canary(&home, &["list", "--api", api], &all).await;
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains("https"), "{}", run.stderr);
    }
    let run = canary(
        &home,
        &["list", "--api", "https://anna:geheim@example.com"],
        &all,
    )
    .await;
    assert!(
        run.code == 2 && !run.stderr.contains("geheim"),
        "{}",
        run.stderr
    );
    assert!(
        gateway
            .seen()
            .iter()
            .all(|(seen, _)| seen.headers.contains_key("authorization"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_says_where_its_api_is() {
    let (home, gateway) = (Home::new(), api().await);
    let ca = home.file("ca.pem", &gateway.ca);
    let aws = Account::of(&gateway.api).open().await;
    let mut environment = keys();
    environment.extend([
        ("AWS_CA_BUNDLE", ca.to_str().expect("the path is text")),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", &aws),
    ]);
    let run = canary(&home, &["list", "--stack", "canary-prod"], &environment).await;
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(gateway.asked().len(), 1);
    for (stack, kind) in [
        ("missing", "stack-not-found"),
        ("another", "stack-without-api"),
        ("closed", "access-denied"),
    ] {
        let run = canary(
            &home,
            &["list", "-o", "json", "--stack", stack],
            &environment,
        )
        .await;
        assert_eq!(run.code, 1, "{stack}");
        let problem = &run.json()[0]["type"];
        assert_eq!(
            problem,
            &format!("urn:sagemaker-canary:problem:{kind}"),
            "{}",
            run.stderr
        );
    }
    // What is typed wins over what is set.
    let nobody = [
        ("CANARY_API", "http://127.0.0.1:1"),
        ("CANARY_STACK_NAME", "missing"),
    ];
    environment.extend(nobody);
    let run = canary(&home, &["list", "--stack", "canary-prod"], &environment).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    let run = canary(&home, &["list"], &environment).await;
    assert!(run.stderr.contains("127.0.0.1:1"), "{}", run.stderr);
}

/// A proxy that passes on whatever it is told to, and counts.
async fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let tunnels = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&tunnels);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let target = head
                    .strip_prefix("CONNECT ")
                    .and_then(|rest| rest.split(' ').next());
                let mut server = TcpStream::connect(target.unwrap_or_default()).await?;
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                tokio::io::copy_bidirectional(&mut stream, &mut server).await
            });
        }
    });
    (format!("http://{address}"), tunnels)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_gone_through_but_never_to_loopback() {
    let (home, gateway) = (Home::new(), api().await);
    let ca = home.file("ca.pem", &gateway.ca);
    let (proxy, tunnels) = proxy().await;
    let mut environment = keys();
    environment.extend([
        ("AWS_CA_BUNDLE", ca.to_str().expect("the path is text")),
        ("AWS_REGION", REGION),
        ("HTTPS_PROXY", &proxy),
        ("HTTP_PROXY", &proxy),
    ]);
    let run = canary(&home, &["list", "--api", &gateway.api], &environment).await;
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(
        (gateway.asked().len(), tunnels.load(Ordering::SeqCst)),
        (1, 1)
    );

    let local = Router::new().fallback(async || axum::Json(json!({"items": []})));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let api = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move { axum::serve(listener, local).await });
    let run = canary(&home, &["list", "--api", &api], &environment).await;
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(tunnels.load(Ordering::SeqCst), 1);
}

/// What is for the simulated account alone reaches no deployed API.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_simulated_on_a_deployed_stack() {
    let (home, gateway) = (Home::new(), api().await);
    let ca = home.file("ca.pem", &gateway.ca);
    let ca = ca.to_str().expect("the path is text");
    for what in [
        &["errors"][..],
        &["aws", "sns"],
        &["show"],
        &["clear"],
        &["tick"],
        &["reset"],
    ] {
        let mut arguments = vec!["simulate"];
        arguments.extend(what);
        arguments.extend(["--api", &gateway.api, "--region", REGION, "--ca-file", ca]);
        arguments.extend(["-o", "json"]);
        let run = canary(&home, &arguments, &keys()).await;
        assert_eq!(run.code, 2, "{what:?}");
        let complaint = &run.json()[0];
        let kind = complaint["type"].as_str().expect("a type");
        assert!(kind.ends_with(":not-local"), "{kind}");
        let detail = complaint["detail"].as_str().expect("a detail");
        assert!(detail.contains("is a deployed stack"), "{detail}");
    }
    assert!(gateway.asked().is_empty());
}
