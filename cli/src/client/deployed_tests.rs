//! The client against API Gateway as it is on loopback: TLS, and every signature verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use serde_json::json;
use shared::wire::problem::Problem;

use super::*;
use crate::gateway::signature::{ACCESS_KEY, SECRET_KEY};
use crate::gateway::{Gateway, REGION, Reply, Seen};
use crate::output::samples;

/// A bundle of certificates in a file of its own, gone with the test.
struct Bundle(std::path::PathBuf);

impl Bundle {
    fn of(pem: &str) -> Self {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::SeqCst);
        let name = format!("canary-bundle-{}-{number}.pem", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, pem).unwrap();
        Self(file)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn client_of(api: &str, ca: &str) -> Client {
    let bundle = Bundle::of(ca);
    let trust = Trust::of(Some(&bundle.0)).unwrap();
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
    let signer = Signer::new(
        SharedCredentialsProvider::new(credentials),
        REGION.to_owned(),
    );
    let mut client = Client::signed(&Address::parse(api).unwrap(), signer, &trust);
    client.first_wait = Duration::ZERO;
    client
}

pub(crate) fn client(gateway: &Gateway) -> Client {
    client_of(&gateway.api, &gateway.ca)
}

fn view() -> Reply {
    Reply::json(200, &samples::baking_json())
}

/// One answer for everything.
async fn always(reply: Reply) -> Gateway {
    Gateway::open(move |_, _: &Seen| reply.clone()).await
}

#[tokio::test]
async fn every_request_is_signed_as_it_arrives() {
    let gateway = always(view()).await;
    let client = client(&gateway);
    let key = HeaderValue::from_static("build-17");
    client
        .deploy(&json!({"endpoint": "ü"}), &key)
        .await
        .unwrap();
    client.deployment("01/../93 ä~").await.unwrap();
    client
        .weight("0193", 25, Some("why".to_owned()))
        .await
        .unwrap();
    let asked = gateway.asked();
    let paths: Vec<(&str, &str)> = asked
        .iter()
        .map(|seen| (seen.method.as_str(), seen.path.as_str()))
        .collect();
    assert_eq!(
        paths,
        [
            ("POST", "/v1/deploy"),
            ("GET", "/v1/deployments/01%2F..%2F93%20%C3%A4~"),
            ("PUT", "/v1/deployments/0193/weight"),
        ]
    );
    assert_eq!(asked[0].headers["idempotency-key"], "build-17");
    let agent = asked[0].headers["user-agent"].to_str().unwrap();
    assert!(agent.starts_with("canary/"), "{agent}");
}

#[tokio::test]
async fn queries_arrive_as_they_were_signed() {
    let gateway = always(Reply::json(200, &json!({"items": []}))).await;
    let filter = ListFilter {
        endpoint: Some("a b&c=d".to_owned()),
        status: Some(Status::RolledBack),
    };
    let cursor = Some("x+1/ü==");
    client(&gateway).list(&filter, 7, cursor).await.unwrap();
    assert_eq!(gateway.asked().len(), 1);
}

#[tokio::test]
async fn what_may_be_repeated_is() {
    let throttled = Reply::gateway(429, "TooManyRequestsException", "Too Many Requests");
    let gateway = Gateway::open(move |before, _: &Seen| match before % 3 {
        0 => throttled.clone(),
        1 => Reply::gateway(
            504,
            "InternalServerErrorException",
            "Endpoint request timed out",
        ),
        _ => view(),
    })
    .await;
    let client = client(&gateway);
    client.deployment("0193").await.unwrap();
    let key = HeaderValue::from_static("build-17");
    client.deploy(&json!({}), &key).await.unwrap();
    client.undo("0193", None, &key).await.unwrap();
    let asked = gateway.asked();
    assert_eq!(asked.len(), 9);
    for seen in &asked[3..] {
        assert_eq!(seen.headers["idempotency-key"], "build-17");
    }
}

#[tokio::test]
async fn orders_are_sent_once_and_patience_ends() {
    let gateway = always(Reply::gateway(
        429,
        "TooManyRequestsException",
        "Too Many Requests",
    ))
    .await;
    let client = client(&gateway);
    let error = client.order("0193", "pause", None).await.unwrap_err();
    assert_eq!(error.kind(), "throttled");
    assert!(error.is_passing() && !error.is_in_doubt());
    assert_eq!(gateway.asked().len(), 1);
    client.weight("0193", 5, None).await.unwrap_err();
    assert_eq!(gateway.asked().len(), 2);
    client.deployment("0193").await.unwrap_err();
    assert_eq!(gateway.asked().len(), 2 + TRIES as usize);
}

#[tokio::test]
async fn a_refusal_is_final() {
    let denied = Reply::gateway(
        403,
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/anna is not authorized to perform: execute-api:Invoke",
    );
    let gateway = always(denied).await;
    let error = client(&gateway).deployment("0193").await.unwrap_err();
    assert_eq!(error.kind(), "access-denied");
    assert!(error.to_string().contains("user/anna"), "{error}");
    assert_eq!(gateway.asked().len(), 1);

    let problem = Problem::new(403, "forbidden", "not a deployer");
    let gateway = always(Reply::json(403, &serde_json::to_value(&problem).unwrap())).await;
    let error = client(&gateway).deployment("0193").await.unwrap_err();
    assert!(matches!(error, ClientError::Problem(_)), "{error:?}");
}

/// Gives out credentials and counts.
#[derive(Debug)]
struct Counting(Arc<AtomicUsize>);

impl aws_credential_types::provider::ProvideCredentials for Counting {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.fetch_add(1, Ordering::SeqCst);
        let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
        aws_credential_types::provider::future::ProvideCredentials::ready(Ok(credentials))
    }
}

#[tokio::test]
async fn expired_credentials_are_had_anew_once() {
    let expired = Reply::gateway(
        403,
        "ExpiredTokenException",
        "The security token included in the request is expired",
    );
    let last = expired.clone();
    let gateway = Gateway::open(move |before, _: &Seen| match before {
        0 | 2.. => last.clone(),
        1 => view(),
    })
    .await;
    let looks = Arc::<AtomicUsize>::default();
    let provider = SharedCredentialsProvider::new(Counting(Arc::clone(&looks)));
    let mut client = client(&gateway);
    client.access = Access::Signed(Box::new(Signer::new(provider, REGION.to_owned())));
    // An order too: it was refused before anybody looked at it.
    client.order("0193", "pause", None).await.unwrap();
    assert_eq!(looks.load(Ordering::SeqCst), 2);

    let error = client.deployment("0193").await.unwrap_err();
    assert_eq!(error.kind(), "credentials-expired");
    assert_eq!(gateway.asked().len(), 4);
    assert_eq!(looks.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = always(view()).await;
    let moved = Reply::json(307, &json!({})).with("location", elsewhere.api.clone());
    let gateway = always(moved).await;
    let error = client(&gateway).deployment("0193").await.unwrap_err();
    assert!(matches!(error, ClientError::Redirect { .. }), "{error:?}");
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn another_key_or_another_region_is_told_apart() {
    let gateway = always(view()).await;
    let mut client = client(&gateway);
    let credentials = Credentials::new(ACCESS_KEY, "another", None, None, "test");
    let provider = SharedCredentialsProvider::new(credentials);
    client.access = Access::Signed(Box::new(Signer::new(provider, REGION.to_owned())));
    let error = client.deployment("0193").await.unwrap_err();
    assert_eq!(error.kind(), "signature-refused", "{error}");
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let gateway = always(view()).await;
    let mut client = client(&gateway);
    let none = aws_credential_types::provider::error::CredentialsError::not_loaded_no_source;
    let provider = SharedCredentialsProvider::new(
        aws_credential_types::credential_fn::provide_credentials_fn(
            move || async move { Err(none()) },
        ),
    );
    client.access = Access::Signed(Box::new(Signer::new(provider, REGION.to_owned())));
    let error = client.deployment("0193").await.unwrap_err();
    assert_eq!(error.kind(), "no-credentials");
    assert!(gateway.seen().is_empty());
}

#[tokio::test]
async fn only_whom_the_bundle_names_is_believed() {
    let (gateway, other) = (always(view()).await, always(view()).await);
    let error = client_of(&gateway.api, &other.ca)
        .deployment("0193")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "api-untrusted", "{error:?}");
    assert!(error.to_string().contains("--ca-file"), "{error}");
    assert!(gateway.seen().is_empty());
}

#[tokio::test]
async fn a_stack_that_is_not_there_is_told_from_the_local_mode() {
    let gateway = always(view()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client_of(&api, &gateway.ca)
        .order("0193", "pause", None)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(error.is_passing() && !error.is_in_doubt());
}

#[test]
fn a_bundle_is_looked_at_before_it_is_believed() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let pem = own.cert.pem();
    let two = Bundle::of(&format!("# a comment\n{pem}\n{pem}"));
    assert!(Trust::of(Some(&two.0)).is_ok());
    let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let one_odd = Bundle::of(&format!("{pem}{odd}"));
    assert!(Trust::of(Some(&one_odd.0)).is_ok());
    for unfit in ["", "no certificate at all", &pem[..pem.len() / 2], odd] {
        let file = Bundle::of(unfit);
        let error = Trust::of(Some(&file.0)).expect_err(unfit).to_string();
        assert!(error.contains("canary-bundle"), "{error}");
    }
    let missing = std::path::Path::new("/nowhere/at/all.pem");
    assert!(Trust::of(Some(missing)).is_err());
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_by_how_much() {
    let gateway = always(view()).await;
    let mut client = client(&gateway);
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
    let provider = SharedCredentialsProvider::new(credentials);
    let signer = Signer::new(provider, REGION.to_owned());
    // Whatever the day is, this is long ago.
    let signer = signer.at(|| std::time::UNIX_EPOCH);
    client.access = Access::Signed(Box::new(signer));
    let error = client.deployment("0193").await.unwrap_err();
    assert_eq!(error.kind(), "clock-skew", "{error}");
    assert!(error.to_string().contains("minutes behind"), "{error}");
    assert_eq!(gateway.asked().len(), 1);
}

#[tokio::test]
async fn whoever_asks_for_a_long_wait_is_left_alone() {
    let busy = Reply::gateway(429, "TooManyRequestsException", "Too Many Requests");
    let gateway = always(busy.with("retry-after", "3600")).await;
    let error = client(&gateway).deployment("0193").await.unwrap_err();
    assert_eq!(error.kind(), "throttled");
    assert_eq!(gateway.asked().len(), 1);
}
