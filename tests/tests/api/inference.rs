//! `POST /inference`: what goes to the model, what comes back, and what is refused.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::SignedDuration;
use lambda_http::Context;
use serde_json::{Value, json};
use shared::domain::state::Phase;
use shared::wire::inference_id::InferenceId;
use simulator::{Backend, Distribution, FaultKind, service};
use tests::{ENDPOINT, OLD, PRODUCTION, World, specification};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

async fn infer(world: &World, body: Value) -> (StatusCode, Value) {
    world.post("/inference", &body).await
}

#[tokio::test]
async fn an_answer_names_its_variant() {
    let world = World::new().await;
    for body in [
        json!({"endpoint": ENDPOINT, "features": [7.4, 0.7]}),
        json!({"endpoint": ENDPOINT, "features": {"alcohol": 9.4}, "user_id": "anna", "attributes": {"region": "eu"}}),
        json!({"endpoint": ENDPOINT, "instances": [[7.4, 0.7], [6.1, 0.2]]}),
        json!({"endpoint": ENDPOINT, "payload": "7.4,0.7", "content_type": "text/csv", "accept": "application/json", "custom_attributes": "trace=1"}),
    ] {
        let (status, answer) = infer(&world, body.clone()).await;
        assert_eq!(status, StatusCode::OK, "{body}: {answer}");
        assert_eq!(
            (answer["variant"].as_str(), &answer["predictions"]),
            (Some(PRODUCTION), &json!([1.0]))
        );
        let keys = world.stack.aws.signing_keys().await.expect("made by now");
        let id = answer["inference_id"].as_str().expect("an id");
        let id = InferenceId::open(id, &keys).expect("signed");
        assert_eq!(
            (id.endpoint.as_str(), id.variant.as_str()),
            (ENDPOINT, PRODUCTION)
        );
        assert_eq!(
            (id.deployment, id.prediction),
            (None, None),
            "nobody asked for more"
        );
        assert!(
            answer["latency_ms"]
                .as_f64()
                .is_some_and(|latency| latency >= 0.0)
        );
    }
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let world = World::new().await;
    let cases = [
        (json!({"features": [1]}), "endpoint"),
        (
            json!({"endpoint": "no such name", "features": [1]}),
            "endpoint",
        ),
        (
            json!({"endpoint": "e".repeat(64), "features": [1]}),
            "endpoint",
        ),
        (json!({"endpoint": ENDPOINT}), "features"),
        (
            json!({"endpoint": ENDPOINT, "features": [1], "instances": [[1]]}),
            "features",
        ),
        (json!({"endpoint": ENDPOINT, "features": []}), "features"),
        (json!({"endpoint": ENDPOINT, "features": {}}), "features"),
        (json!({"endpoint": ENDPOINT, "features": 3}), "features"),
        (json!({"endpoint": ENDPOINT, "instances": []}), "instances"),
        (
            json!({"endpoint": ENDPOINT, "instances": {"a": 1}}),
            "instances",
        ),
        (
            json!({"endpoint": ENDPOINT, "payload": "1,2"}),
            "content_type",
        ),
        (
            json!({"endpoint": ENDPOINT, "payload": "1,2", "content_type": "text\ncsv"}),
            "content_type",
        ),
        (
            json!({"endpoint": ENDPOINT, "features": [1], "accept": "🍷"}),
            "accept",
        ),
        (
            json!({"endpoint": ENDPOINT, "features": [1], "custom_attributes": "a\r\nb: c"}),
            "custom_attributes",
        ),
        (
            json!({"endpoint": ENDPOINT, "features": [1], "user_id": ""}),
            "user_id",
        ),
        (
            json!({"endpoint": ENDPOINT, "features": [1], "user_id": "u".repeat(257)}),
            "user_id",
        ),
        (
            json!({"endpoint": ENDPOINT, "features": [1], "user_id": "a\u{0}b"}),
            "user_id",
        ),
        (
            json!({"endpoint": ENDPOINT, "features": [1], "attributes": {"n": 1}}),
            "attributes",
        ),
        (
            json!({"endpoint": ENDPOINT, "features": [1], "variant": "canary"}),
            "body",
        ),
        (json!({"endpoint": 1, "features": [1]}), "endpoint"),
        (
            json!({"endpoint": ENDPOINT, "features": [1], "user_id": 7}),
            "user_id",
        ),
        (
            json!({"endpoint": ENDPOINT, "payload": [1], "content_type": "text/csv"}),
            "payload",
        ),
        (json!([ENDPOINT]), "body"),
    ];
    for (body, field) in cases {
        let (status, problem) = infer(&world, body.clone()).await;
        assert_eq!(
            (status.as_u16(), problem["type"].as_str()),
            (
                422,
                Some("urn:sagemaker-canary:problem:invalid-inference-request")
            ),
            "{body}: {problem}"
        );
        assert_eq!(problem["field"].as_str(), Some(field), "{body}: {problem}");
    }
    let (status, problem) = world
        .request(Method::POST, "/inference", &[], b"{".to_vec())
        .await;
    assert_eq!(
        (status.as_u16(), problem["type"].as_str()),
        (400, Some("urn:sagemaker-canary:problem:not-json"))
    );
    assert_eq!(world.count_calls("InvokeEndpoint"), 0, "nothing was asked");
}

#[tokio::test]
async fn the_models_own_error_is_424_with_its_status() {
    let world = World::new().await;
    for (distribution, status) in [
        (
            Distribution {
                error_rate: 1.0,
                ..Distribution::default()
            },
            "500",
        ),
        (
            Distribution {
                client_error_rate: 1.0,
                ..Distribution::default()
            },
            "400",
        ),
    ] {
        world
            .simulator()
            .set_backend(OLD, Backend::Distribution(distribution));
        let (found, problem) = infer(&world, json!({"endpoint": ENDPOINT, "features": [1]})).await;
        assert_eq!(
            (found.as_u16(), problem["type"].as_str()),
            (424, Some("urn:sagemaker-canary:problem:model-error"))
        );
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(status) && detail.contains("error")),
            "{problem}"
        );
        // For programs, which match no sentence.
        assert_eq!(problem["model_status"].to_string(), status, "{problem}");
        let body = problem["model_body"].as_str().expect("a text");
        assert!(body.starts_with("{\"error\":"), "{problem}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_the_callers_fault() {
    let world = World::new().await;
    let (status, problem) = infer(&world, json!({"endpoint": "nobody", "features": [1]})).await;
    assert_eq!(
        (
            status.as_u16(),
            problem["type"].as_str(),
            problem["field"].as_str()
        ),
        (
            422,
            Some("urn:sagemaker-canary:problem:endpoint-refused"),
            Some("endpoint")
        )
    );
}

#[tokio::test]
async fn records_that_cant_be_read_do_not_stop_inference() {
    let world = World::new().await;
    let denied = FaultKind::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not authorized".to_owned(),
    };
    world.disturb(service::DYNAMODB, "GetItem", 1, denied);
    assert_eq!(
        infer(&world, json!({"endpoint": ENDPOINT, "features": [1]}))
            .await
            .0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn records_that_never_answer_cost_one_request_a_second_and_not_every_request() {
    let world = World::new().await;
    world.disturb(service::DYNAMODB, "GetItem", 10, FaultKind::Silence);
    let ask = || infer(&world, json!({"endpoint": ENDPOINT, "features": [1]}));
    let reads = || world.count_calls("GetItem");
    // As long as the read takes, the time goes on that its result would be kept for.
    let (first, ()) = tokio::join!(ask(), world.pass(SignedDuration::from_secs(6)));
    let read = reads();
    // The route and the keys, side by side.
    assert_eq!((first.0, read), (StatusCode::OK, 2));
    for _ in 0..3 {
        assert_eq!(ask().await.0, StatusCode::OK);
    }
    assert_eq!(reads(), read, "known not to be readable");
    world.pass(SignedDuration::from_secs(6)).await;
    assert_eq!(ask().await.0, StatusCode::OK);
    assert_eq!(reads(), read + 2, "asked again after a while");
}

#[tokio::test]
async fn a_request_that_is_refused_lets_nobodys_pin_go() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world
        .until(&id, 60, |loaded| {
            loaded.deployment.state.weight.percent() == 50
        })
        .await;
    let until = world.now() + SignedDuration::from_mins(9);
    let sagemaker = world.simulator().sagemaker();
    sagemaker.set_status(ENDPOINT, "Updating", until);
    world.order(&id, "rollback").await;
    world.pass(SignedDuration::from_secs(6)).await;
    let refused = FaultKind::Error {
        status: 400,
        code: "ValidationError".to_owned(),
        message: "1 validation error detected".to_owned(),
    };
    // By name, and then by the weights.
    world.disturb(service::SAGEMAKER_RUNTIME, "InvokeEndpoint", 2, refused);
    let request = json!({"endpoint": ENDPOINT, "features": [1]});
    let (status, problem) = infer(&world, request.clone()).await;
    assert_eq!(
        (status.as_u16(), problem["type"].as_str()),
        (422, Some("urn:sagemaker-canary:problem:endpoint-refused"))
    );
    for _ in 0..20 {
        let (_, answer) = infer(&world, request.clone()).await;
        assert_eq!(answer["variant"], PRODUCTION, "{answer}");
    }
}

#[tokio::test]
async fn a_model_that_is_late_is_told_before_the_invocation_ends() {
    let world = World::new().await;
    world.disturb(
        service::SAGEMAKER_RUNTIME,
        "InvokeEndpoint",
        1,
        FaultKind::Silence,
    );
    let mut invoked = Context::default();
    invoked.deadline = in_milliseconds(1200);
    let body = json!({"endpoint": ENDPOINT, "features": [1]}).to_string();
    let request = Request::post("/inference").extension(invoked.clone());
    let request = request.body(Body::from(body)).expect("a request");
    let response = world.stack.router().oneshot(request).await;
    let response = response.expect("the router is infallible");
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(in_milliseconds(0) < invoked.deadline);
    let body = response.into_body().collect().await.expect("a body");
    let problem: Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
    assert_eq!(problem["type"], "urn:sagemaker-canary:problem:model-late");
}

/// So long from now, as Lambda tells a deadline.
#[expect(
    clippy::disallowed_methods,
    reason = "a Lambda deadline is wall-clock time"
)]
fn in_milliseconds(from_now: i64) -> u64 {
    let at = jiff::Timestamp::now().as_millisecond() + from_now;
    u64::try_from(at).expect("after 1970")
}

#[tokio::test]
async fn a_prediction_is_not_repeated() {
    let world = World::new().await;
    let down = FaultKind::Error {
        status: 503,
        code: "ServiceUnavailable".to_owned(),
        message: "try again".to_owned(),
    };
    world.disturb(service::SAGEMAKER_RUNTIME, "InvokeEndpoint", 1, down);
    let (status, _) = infer(&world, json!({"endpoint": ENDPOINT, "features": [1]})).await;
    assert!(matches!(status.as_u16(), 429 | 503), "{status}");
    assert_eq!(world.count_calls("InvokeEndpoint"), 1);
}

#[tokio::test]
async fn six_megabytes_pass_and_more_do_not() {
    let world = World::new().await;
    let frame = json!({"endpoint": ENDPOINT, "payload": "", "content_type": "text/csv"})
        .to_string()
        .len();
    let limit = 6 * 1024 * 1024;
    let body = |size: usize| json!({"endpoint": ENDPOINT, "payload": "x".repeat(size - frame), "content_type": "text/csv"});
    let (status, answer) = infer(&world, body(limit)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (status, problem) = infer(&world, body(limit + 1)).await;
    assert_eq!(
        (status.as_u16(), problem["type"].as_str()),
        (413, Some("urn:sagemaker-canary:problem:body-too-large"))
    );
}

#[tokio::test]
async fn traffic_is_split_by_the_weights_and_a_vanished_pin_is_tried_unpinned() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let canary = world
        .until(&id, 60, |loaded| {
            loaded.deployment.state.weight.percent() == 50
        })
        .await
        .deployment
        .terms
        .canary;
    let mut hits = 0;
    for _ in 0..60 {
        let (_, answer) = infer(&world, json!({"endpoint": ENDPOINT, "features": [1]})).await;
        hits += usize::from(answer["variant"] == canary.as_str());
    }
    assert!((15..45).contains(&hits), "about half of 60: {hits}");
    world.until_phase(&id, Phase::Finalizing).await;
    world.pass(SignedDuration::from_mins(5)).await;
    // Reverting pins production, which has just gone.
    world.order(&id, "rollback").await;
    world.pass(SignedDuration::from_secs(6)).await;
    let (status, answer) = infer(&world, json!({"endpoint": ENDPOINT, "features": [1]})).await;
    assert_eq!(
        (status, answer["variant"].as_str()),
        (StatusCode::OK, Some(canary.as_str()))
    );
}

/// A container that answers one request, and hands back what it was sent.
async fn container_once(listener: tokio::net::TcpListener, answer: &[u8]) -> String {
    let (mut stream, _) = listener.accept().await.expect("a request");
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&request).contains("7.4") {
        let read = stream.read(&mut buffer).await.expect("a readable request");
        assert!(read > 0, "the request broke off");
        request.extend_from_slice(&buffer[..read]);
    }
    stream.write_all(answer).await.expect("a writable answer");
    String::from_utf8_lossy(&request).into_owned()
}

/// What a container is sent, and what becomes of its answer of these headers and this body.
async fn through(world: &World, headers: &str, body: &[u8]) -> (String, Value) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    world.simulator().set_backend(OLD, Backend::Http { url });
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n");
    let reply = [head.as_bytes(), body].concat();
    let request = json!({"endpoint": ENDPOINT, "payload": "7.4,0.7", "content_type": "text/csv", "accept": "text/csv", "custom_attributes": "trace=1"});
    let (sent, (status, answer)) =
        tokio::join!(container_once(listener, &reply), infer(world, request));
    assert_eq!(status, StatusCode::OK, "{answer}");
    (sent, answer)
}

#[tokio::test]
async fn headers_reach_the_container_and_any_answer_comes_back() {
    let world = World::new().await;
    for (kind, body, predictions) in [
        ("text/csv", &b"6,7"[..], json!("6,7")),
        (
            "application/json",
            br#"{"quality": 6.5}"#,
            json!({"quality": 6.5}),
        ),
        ("application/json", b"[6,7]", json!([6, 7])),
        ("application/jsonlines", b"{}\n{}", json!("{}\n{}")),
        ("text/plain; charset=utf-8", "süß".as_bytes(), json!("süß")),
        ("text/csv", b"", json!("")),
    ] {
        let (sent, answer) = through(&world, &format!("content-type: {kind}\r\n"), body).await;
        assert_eq!(
            (&answer["predictions"], &answer["content_type"]),
            (&predictions, &json!(kind))
        );
        assert_eq!(answer.get("encoding"), None, "{answer}");
        assert_eq!(answer.get("custom_attributes"), None, "it set none");
        let sent = sent.to_ascii_lowercase();
        for header in [
            "content-type: text/csv",
            "accept: text/csv",
            "x-amzn-sagemaker-custom-attributes: trace=1",
            "x-amzn-sagemaker-inference-id: ",
        ] {
            assert!(sent.contains(header), "{header} in {sent}");
        }
    }
}

/// Base64 as `base64.b64encode` of Python has it.
#[tokio::test]
async fn what_a_container_answers_beside_its_body_comes_back_and_no_byte_is_lost() {
    let world = World::new().await;
    let headers = "content-type: application/x-npy\r\nx-amzn-sagemaker-custom-attributes: trace=1;model=v7\r\n";
    for (body, encoded) in [
        (&[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59][..], "k05VTVBZ"),
        (&[0xff], "/w=="),
        (&[0xfb, 0xff, 0xbf, 0x00], "+/+/AA=="),
        // Latin 1 is no UTF-8.
        (b"s\xfc\xdf", "c/zf"),
    ] {
        let (_, answer) = through(&world, headers, body).await;
        assert_eq!(
            (&answer["predictions"], &answer["encoding"]),
            (&json!(encoded), &json!("base64")),
            "{body:?}"
        );
        assert_eq!(answer["content_type"], "application/x-npy");
        assert_eq!(answer["custom_attributes"], "trace=1;model=v7");
    }
    let (_, answer) = through(&world, headers, b"plain").await;
    assert_eq!(
        (&answer["predictions"], answer.get("encoding")),
        (&json!("plain"), None)
    );
}
