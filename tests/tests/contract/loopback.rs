//! The local mode never reads the caller's AWS settings and can't reach AWS: a whole rollout in a
//! process whose environment points everywhere else.

use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sagemaker::config::{
    Builder, ConfigBag, Intercept, ProvideCredentials, RuntimeComponents,
};
use aws_sdk_sagemaker::error::BoxError;
use http::{HeaderMap, HeaderName, HeaderValue};
use shared::aws::loopback::{ENDPOINT as ADDRESS, REGION, sdk_config};
use shared::domain::state::Status;
use simulator::is_from_loopback;
use tests::{ENDPOINT, World, specification};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Set for the process that runs in the foreign environment.
const CHILD: &str = "CANARY_TEST_ENVIRONMENT";
const FOREIGN_KEY: &str = "AKIAFOREIGNFOREIGN00";

#[test]
fn foreign_settings_are_never_read() {
    let trap = TcpListener::bind("127.0.0.1:0").expect("a free port");
    trap.set_nonblocking(true)
        .expect("a socket that does not wait");
    let url = format!("http://{}", trap.local_addr().expect("an address"));
    let folder = std::env::temp_dir().join(format!("canary-foreign-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    let (config, was_run) = (
        folder.join("config"),
        folder.join("credential-process-was-run"),
    );
    let profile = format!(
        "[profile foreign]\nregion = us-east-1\nendpoint_url = {url}\ncredential_process = touch {}\n",
        was_run.display()
    );
    std::fs::write(&config, profile).expect("a writable folder");
    let child = Command::new(std::env::current_exe().expect("this test's own binary"))
        .args([
            "--exact",
            "loopback::a_rollout_that_looks_at_its_requests",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .env("AWS_CONFIG_FILE", &config)
        .env("AWS_SHARED_CREDENTIALS_FILE", &config)
        .envs([
            ("AWS_PROFILE", "foreign"),
            ("AWS_ACCESS_KEY_ID", FOREIGN_KEY),
            ("AWS_SECRET_ACCESS_KEY", "foreign"),
            ("AWS_SESSION_TOKEN", "foreign"),
        ])
        .envs([
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ])
        .envs(
            [
                "AWS_ENDPOINT_URL",
                "AWS_ENDPOINT_URL_SAGEMAKER",
                "AWS_ENDPOINT_URL_DYNAMODB",
                "AWS_ENDPOINT_URL_SNS",
            ]
            .map(|name| (name, url.as_str())),
        )
        .envs(
            [
                "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "HTTP_PROXY",
                "HTTPS_PROXY",
                "http_proxy",
                "https_proxy",
            ]
            .map(|name| (name, url.as_str())),
        )
        .output()
        .expect("a child process");
    let output = format!(
        "{}{}",
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr)
    );
    let (asked, ran) = (trap.accept().is_ok(), was_run.exists());
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    assert!(child.status.success(), "{output}");
    assert!(output.contains("1 passed"), "the rollout ran: {output}");
    assert!(!asked, "nobody called what the environment names");
    assert!(!ran, "the profile's credential process was not run");
}

/// Address and signature of each request.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Vec<(String, String)>>>);

impl Intercept for Seen {
    fn name(&self) -> &'static str {
        "Seen"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let signature = request
            .headers()
            .get("authorization")
            .unwrap_or_default()
            .to_owned();
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((request.uri().to_owned(), signature));
        Ok(())
    }
}

/// Runs in the foreign environment, and here as well.
#[tokio::test]
async fn a_rollout_that_looks_at_its_requests() {
    let world = World::new().await;
    let settings = sdk_config(world.stack.simulator.http_client());
    assert_eq!(
        (
            settings.endpoint_url(),
            settings.region().map(AsRef::as_ref)
        ),
        (Some(ADDRESS), Some(REGION))
    );
    assert!(ADDRESS.starts_with("http://127.0.0.1:"));
    let limits = settings.timeout_config().expect("bounded calls");
    assert_eq!(
        (
            limits.operation_attempt_timeout(),
            limits.operation_timeout()
        ),
        (Some(Duration::from_secs(5)), Some(Duration::from_secs(15)))
    );
    let provider = settings.credentials_provider().expect("dummy credentials");
    let credentials = provider
        .provide_credentials()
        .await
        .expect("dummy credentials");
    assert_eq!(
        (credentials.access_key_id(), credentials.session_token()),
        ("AKIAIOSFODNN7EXAMPLE", None)
    );

    let seen = Seen::default();
    let client = Client::from_conf(Builder::from(&settings).interceptor(seen.clone()).build());
    client
        .describe_endpoint()
        .endpoint_name(ENDPOINT)
        .send()
        .await
        .expect("the simulator's endpoint");
    client
        .list_endpoint_configs()
        .send()
        .await
        .expect("the simulator's configs");
    let requests = seen
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    assert_eq!(requests.len(), 2);
    for (uri, signature) in requests {
        assert!(uri.starts_with(ADDRESS), "{uri}");
        assert!(
            signature.contains("Credential=AKIAIOSFODNN7EXAMPLE/")
                && signature.contains(REGION)
                && !signature.contains(FOREIGN_KEY),
            "{signature}"
        );
    }
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

#[test]
fn a_page_elsewhere_can_not_give_orders() {
    for fine in [
        &[][..],
        &[("host", "127.0.0.1:8686")],
        &[("host", "localhost:1"), ("origin", "http://localhost:3000")],
        &[("host", "[::1]:8686")],
    ] {
        assert!(is_from_loopback(&headers(fine)), "{fine:?}");
    }
    for strange in [
        &[("host", "canary.example")][..],
        &[("host", "127.0.0.1.example:80")],
        &[
            ("host", "127.0.0.1:8686"),
            ("origin", "https://example.org"),
        ],
        &[("host", "127.0.0.1:8686"), ("origin", "null")],
        &[("host", "localhost:8686:x")],
    ] {
        assert!(!is_from_loopback(&headers(strange)), "{strange:?}");
    }
}

#[tokio::test]
async fn the_socket_refuses_a_page_elsewhere() {
    let world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(
        world
            .stack
            .simulator
            .clone()
            .serve(listener, std::future::pending()),
    );
    for (headers, status) in [
        (format!("Host: {address}"), "200"),
        (
            format!("Host: {address}\r\nOrigin: http://localhost:3000"),
            "200",
        ),
        (
            format!("Host: {address}\r\nOrigin: https://example.org"),
            "403",
        ),
        ("Host: simulator.example".to_owned(), "403"),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("a server");
        let request = format!("GET /health HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("a server that reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .await
            .expect("a whole answer");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{headers}: {answer}"
        );
    }
    server.abort();
}
