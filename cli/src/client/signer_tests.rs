//! Signatures against ones that botocore made, against a verifier of our own over drawn requests, and
//! the life of credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::provider::future;
use http::Method;
use proptest::prelude::*;

use super::*;
use crate::gateway::signature::{ACCESS_KEY, SECRET_KEY, verify};
use crate::gateway::{REGION, Seen};

fn then() -> SystemTime {
    let then: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
    then.into()
}

fn credentials(token: Option<&str>, expiry: Option<SystemTime>) -> Credentials {
    let token = token.map(str::to_owned);
    Credentials::new(ACCESS_KEY, SECRET_KEY, token, expiry, "test")
}

fn signer(token: Option<&str>) -> Signer {
    let provider = SharedCredentialsProvider::new(credentials(token, None));
    Signer::new(provider, REGION.to_owned()).at(then)
}

fn request(method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::from(body.to_owned())).unwrap()
}

/// Made by botocore 1.44.5: `SigV4Auth(credentials, "execute-api", "eu-central-1")` at that time, over
/// the same method, address, headers and body.
#[tokio::test]
async fn signatures_are_botocores() {
    const HOST: &str = "https://abc123.execute-api.eu-central-1.amazonaws.com/v1";
    const TOKEN: Option<&str> = Some("SESSION/TOKEN+with=signs");
    let json = ("content-type", "application/json");
    let cases = [
        (
            request(Method::GET, &format!("{HOST}/health"), &[], ""),
            None,
            "accept;host;x-amz-date",
            "75670f7d57de4f8dbf7a7ca1bbe97321232c00e58440a5b4fd15b900992072bc",
        ),
        (
            request(
                Method::GET,
                &format!(
                    "{HOST}/deployments?limit=7&endpoint=a%20b%26c&status=ROLLED_BACK&cursor=x%2B1%3D"
                ),
                &[],
                "",
            ),
            None,
            "accept;host;x-amz-date",
            "7c11403239ded9ff435a727be56e52af86db5a98e6261fc41053baab7c1d84f2",
        ),
        (
            request(
                Method::GET,
                &format!("{HOST}/deployments/0193%2F..%2F%C3%A4%7E/history"),
                &[],
                "",
            ),
            None,
            "accept;host;x-amz-date",
            "7f5b6eacacaf1ab6c06d9541a1633c06c76c205ee2f810da57ad99802c13dc90",
        ),
        (
            request(
                Method::POST,
                &format!("{HOST}/deployments/0193/promote?full=true"),
                &[json],
                r#"{"reason":null}"#,
            ),
            TOKEN,
            "accept;content-type;host;x-amz-date;x-amz-security-token",
            "1f0a71050e73fc9916d2615f2ad4ceb0df70cce7fc945b2af29a648b7252a93e",
        ),
        (
            request(
                Method::POST,
                &format!("{HOST}/deploy"),
                &[json, ("idempotency-key", "build-17")],
                r#"{"endpoint":"e","note":"ü"}"#,
            ),
            TOKEN,
            "accept;content-type;host;idempotency-key;x-amz-date;x-amz-security-token",
            "52e7995c7b08466e8829dc1f68b704cac54b9d0c426ebf1e19d4b0681d1a70a7",
        ),
        (
            request(
                Method::PUT,
                "https://127.0.0.1:8443/deployments/0193/weight",
                &[json],
                r#"{"reason":"why","weight":25}"#,
            ),
            None,
            "accept;content-type;host;x-amz-date",
            "98c59b40e0994847dfe2a7ed6f28ab59ce8ea947bf637bf5df01cf6dbb25fcd4",
        ),
    ];
    for (mut request, token, signed, signature) in cases {
        let headers = request.headers_mut();
        headers.insert("accept", "application/json".parse().unwrap());
        headers.insert("user-agent", "never signed".parse().unwrap());
        signer(token).sign(&mut request).await.unwrap();
        assert_eq!(
            request.headers()["authorization"],
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260302/eu-central-1/execute-api/aws4_request, \
                 SignedHeaders={signed}, Signature={signature}"
            ),
            "{}",
            request.uri()
        );
        assert_eq!(request.headers()["x-amz-date"], "20260302T100000Z");
        let sent = request.headers().get("x-amz-security-token");
        assert_eq!(sent.map(|token| token.to_str().unwrap()), token);
    }
}

/// As it arrives: the client's own encoding, the host as hyper writes it.
fn arrived(request: &Request<Bytes>) -> Seen {
    let mut headers = request.headers().clone();
    let host = request.uri().authority().unwrap().as_str();
    headers.insert("host", host.parse().unwrap());
    Seen {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers,
        body: request.body().clone(),
    }
}

proptest! {
    #[test]
    fn whatever_is_asked_is_signed_as_it_is_sent(
        id in ".{0,12}",
        cursor in ".{0,12}",
        body in ".{0,40}",
        token in proptest::option::of("[A-Za-z0-9+/=]{1,40}"),
    ) {
        let url = format!(
            "https://127.0.0.1:8443/v1/deployments/{}/checks?limit=5&cursor={}",
            crate::client::encoded(&id),
            crate::client::encoded(&cursor),
        );
        let mut request = request(Method::POST, &url, &[("content-type", "application/json")], &body);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(signer(token.as_deref()).sign(&mut request)).unwrap();
        prop_assert_eq!(verify(&arrived(&request), REGION), Ok(()));

        // And nothing else than what was signed.
        let mut changed = arrived(&request);
        changed.body = Bytes::from(format!("{body} "));
        prop_assert!(verify(&changed, REGION).is_err());
        let mut changed = arrived(&request);
        changed.query.push('1');
        prop_assert!(verify(&changed, REGION).is_err());
        prop_assert!(verify(&arrived(&request), "eu-west-1").is_err());
    }
}

/// Gives out credentials that expire a while after the looks so far; none from some look on.
#[derive(Debug, Clone)]
struct Counting {
    looks: Arc<AtomicUsize>,
    lifetime: Duration,
    ends_at: usize,
}

impl aws_credential_types::provider::ProvideCredentials for Counting {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let look = self.looks.fetch_add(1, Ordering::SeqCst);
        future::ProvideCredentials::ready(if look < self.ends_at {
            Ok(credentials(None, Some(then() + self.lifetime)))
        } else {
            Err(CredentialsError::provider_error("signed out"))
        })
    }
}

fn counting(lifetime: Duration, ends_at: usize) -> (Signer, Arc<AtomicUsize>) {
    let looks = Arc::default();
    let provider = Counting {
        looks: Arc::clone(&looks),
        lifetime,
        ends_at,
    };
    let provider = SharedCredentialsProvider::new(provider);
    (Signer::new(provider, REGION.to_owned()).at(then), looks)
}

#[tokio::test]
async fn credentials_are_kept_while_they_are_good() {
    let (signer, looks) = counting(Duration::from_mins(15), 9);
    for _ in 0..3 {
        signer.credentials().await.unwrap();
    }
    assert_eq!(looks.load(Ordering::SeqCst), 1);
    signer.forget().await;
    signer.credentials().await.unwrap();
    assert_eq!(looks.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn credentials_near_their_end_are_renewed_and_used_to_the_end() {
    let (signer, looks) = counting(Duration::from_mins(4), 1);
    signer.credentials().await.unwrap();
    // The renewal fails, and they are still good.
    signer.credentials().await.unwrap();
    assert_eq!(looks.load(Ordering::SeqCst), 2);

    let (signer, _) = counting(Duration::ZERO, 1);
    signer.credentials().await.unwrap();
    assert!(signer.credentials().await.is_err());
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_way_out() {
    for (error, kind, words) in [
        (
            CredentialsError::not_loaded_no_source(),
            "no-credentials",
            "--profile",
        ),
        (
            CredentialsError::provider_error("the SSO session has expired"),
            "credentials-unavailable",
            "aws sso login",
        ),
        (
            CredentialsError::invalid_configuration("no profile `nobody`"),
            "credentials-unavailable",
            "nobody",
        ),
    ] {
        let unsigned = Unsigned::Credentials(error);
        assert_eq!(unsigned.kind(), kind);
        assert!(unsigned.to_string().contains(words), "{unsigned}");
    }
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let signer = signer(Some("the-token"));
    let mut request = request(Method::GET, "https://api.example.com/v1/health", &[], "");
    signer.sign(&mut request).await.unwrap();
    // Now it holds them, and the request carries the token.
    for shown in [format!("{signer:?}"), format!("{request:?}")] {
        assert!(
            !shown.contains(SECRET_KEY) && !shown.contains("the-token"),
            "{shown}"
        );
    }
}
