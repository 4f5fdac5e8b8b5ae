//! The built binary against a deployed stack: API Gateway on loopback with TLS and every signature
//! verified, and the AWS services it asks beside it.

#[allow(dead_code, reason = "the unit tests use the rest of it")]
mod gateway;

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::response::{IntoResponse as _, Response};
use gateway::signature::{ACCESS_KEY, SECRET_KEY};
use gateway::{Gateway, REGION, Reply, Seen};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "the/session+token==";

/// A folder that is gone with the test: the home of whoever runs the binary.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static HOMES: AtomicUsize = AtomicUsize::new(0);
        let number = HOMES.fetch_add(1, Ordering::SeqCst);
        let name = format!("canary-home-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        Self(folder)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, text).expect("a file for the test");
        file
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the binary was started with, and what it wrote. Secrets are looked for in all of it.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Vec<Value> {
        let lines = self.stdout.lines().chain(self.stderr.lines());
        lines
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }
}

async fn canary(home: &Home, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_canary"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", &home.0)
        .env("PATH", "/usr/bin:/bin")
        // Nobody is asked who this machine is.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.expect("the binary runs");
    let run = Run {
        code: status.code().expect("no signal ended it"),
        stdout: String::from_utf8(stdout).expect("text is UTF-8"),
        stderr: String::from_utf8(stderr).expect("text is UTF-8"),
    };
    for secret in [SECRET_KEY, TOKEN] {
        assert!(
            !run.stdout.contains(secret) && !run.stderr.contains(secret),
            "a secret is printed"
        );
    }
    run
}

/// The keys of a session in the environment.
fn keys() -> Vec<(&'static str, &'static str)> {
    vec![
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_SESSION_TOKEN", TOKEN),
    ]
}

/// An API without deployments, whose endpoint `wine` can take a canary that is there.
async fn api() -> Gateway {
    Gateway::open(|_, seen: &Seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/v1/health") => Reply::json(200, &json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})),
        ("GET", "/v1/deployments") => Reply::json(200, &json!({"items": []})),
        ("POST", "/v1/plan") => Reply::json(422, &json!({
            "type": "urn:sagemaker-canary:problem:model-not-found", "title": "model not found",
            "status": 422, "detail": "there is no such model", "field": "model",
        })),
        _ => Reply::gateway(403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    })
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

/// CloudFormation, STS and SageMaker, as far as the binary asks them.
async fn aws(api: &str) -> String {
    let output = format!(
        "<Outputs><member><OutputKey>TableName</OutputKey><OutputValue>t</OutputValue></member>\
         <member><OutputKey>ApiUrl</OutputKey><OutputValue>{api}</OutputValue></member></Outputs>"
    );
    let router = Router::new().fallback(async move |headers: HeaderMap, body: Bytes| {
        let body = String::from_utf8(body.to_vec()).expect("a form or JSON");
        let target = headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok());
        match target {
            Some("SageMaker.DescribeEndpoint") => json_of(&json!({
                "EndpointName": "wine", "EndpointStatus": "InService",
                "EndpointArn": "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/wine",
                "CreationTime": 1.0, "LastModifiedTime": 1.0,
            })),
            Some("SageMaker.ListTags") => json_of(&json!({"Tags": [
                {"Key": "canary:enabled", "Value": "true"},
                {"Key": "canary:deployers", "Value": "Release"},
                {"Key": "canary:approvers", "Value": "Lead"},
            ]})),
            Some(other) => panic!("{other} is not asked"),
            None => query(&body, &output),
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn json_of(document: &Value) -> Response {
    (
        [("content-type", "application/x-amz-json-1.1")],
        document.to_string(),
    )
        .into_response()
}

fn query(body: &str, output: &str) -> Response {
    let error = |status: StatusCode, code: &str, message: &str| {
        let xml = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        );
        (status, [("content-type", "text/xml")], xml).into_response()
    };
    let stack = |outputs: &str| {
        let xml = format!(
            "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>s</StackName>\
             <CreationTime>2026-03-02T10:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>\
             {outputs}</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
        );
        ([("content-type", "text/xml")], xml).into_response()
    };
    if body.contains("Action=GetCallerIdentity") {
        let xml = "<GetCallerIdentityResponse><GetCallerIdentityResult>\
             <Arn>arn:aws:sts::123456789012:assumed-role/Release/build-17</Arn><UserId>A:b</UserId>\
             <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
        return ([("content-type", "text/xml")], xml).into_response();
    }
    match body.split("StackName=").nth(1) {
        Some("canary-prod") => stack(output),
        Some("another") => stack(""),
        Some("closed") => error(
            StatusCode::FORBIDDEN,
            "AccessDenied",
            "User is not authorized",
        ),
        _ => error(
            StatusCode::BAD_REQUEST,
            "ValidationError",
            "Stack with id missing does not exist",
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_says_where_its_api_is() {
    let (home, gateway) = (Home::new(), api().await);
    let ca = home.file("ca.pem", &gateway.ca);
    let aws = aws(&gateway.api).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_goes_through_the_setup() {
    let (home, gateway) = (Home::new(), api().await);
    let ca = home.file("ca.pem", &gateway.ca);
    let aws = aws(&gateway.api).await;
    let mut environment = keys();
    environment.extend([
        ("AWS_CA_BUNDLE", ca.to_str().expect("the path is text")),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", &aws),
        ("CANARY_STACK_NAME", "canary-prod"),
    ]);
    let arguments = ["doctor", "--endpoint", "wine", "-o", "json"];
    let run = canary(&home, &arguments, &environment).await;
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let found = run.json();
    let checks: Vec<(&str, &str)> = found
        .iter()
        .map(|finding| {
            let text = |field: &str| finding[field].as_str().expect("a text");
            (text("check"), text("standing"))
        })
        .collect();
    let names = [
        "address",
        "credentials",
        "api",
        "clock",
        "version",
        "reading",
        "endpoint",
        "tags",
    ];
    assert_eq!(checks, names.map(|name| (name, "ok")), "{}", run.stdout);
    assert!(run.stdout.contains("assumed-role/Release") && run.stdout.contains("approve: no"));

    let run = canary(&home, &["doctor", "--stack", "missing"], &environment).await;
    assert_eq!(run.code, 1);
    assert!(
        run.stdout.starts_with("not ok      address"),
        "{}",
        run.stdout
    );
    // Without a stage API Gateway knows no route.
    let bare = gateway.api.trim_end_matches("/v1");
    let run = canary(&home, &["doctor", "--api", bare], &environment).await;
    assert_eq!(run.code, 1);
    assert!(
        run.stdout.contains("not ok      api") && run.stdout.contains("stage"),
        "{}",
        run.stdout
    );
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
