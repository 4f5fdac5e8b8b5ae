//! What a model server answers, asked through its router without a socket.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::super::train::{ModelName, SEED};
use super::super::wine::Wines;
use super::*;

/// A real wine of 9.4 % alcohol.
const MILD: [f64; FEATURES] = [
    7.4, 0.7, 0.0, 1.9, 0.076, 11.0, 34.0, 0.9978, 3.51, 0.56, 9.4,
];

fn mild_but(column: usize, value: f64) -> [f64; FEATURES] {
    let mut features = MILD;
    features[column] = value;
    features
}

fn csv(features: &[f64]) -> String {
    let cells: Vec<String> = features.iter().map(f64::to_string).collect();
    cells.join(",")
}

fn served(behaviour: Behaviour) -> Router {
    let wines = Wines::load(SEED);
    let model = Trained::train(ModelName::WineQualityV1, Recipe::Sound, &wines, SEED)
        .expect("the wines can be learned");
    router(model, behaviour)
}

async fn ask(router: &Router, headers: &[(&str, &str)], body: &[u8]) -> (StatusCode, String) {
    let mut request = Request::post("/invocations");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_vec())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn ping_is_answered() {
    let request = Request::get("/ping").body(Body::empty()).unwrap();
    let response = served(Behaviour::default()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn json_rows_get_one_prediction_each() {
    let router = served(Behaviour::default());
    for (body, count) in [
        (json!({ "features": MILD }), 1),
        (json!({ "instances": [MILD, mild_but(ALCOHOL, 14.0)] }), 2),
    ] {
        let (status, text) = ask(&router, &[], body.to_string().as_bytes()).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let predictions = answer["predictions"].as_array().unwrap();
        assert_eq!(predictions.len(), count);
        for prediction in predictions {
            let score = prediction["score"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&score));
            assert_eq!(prediction["label"], json!(u8::from(score >= 0.5)));
        }
    }
}

#[tokio::test]
async fn csv_is_answered_in_csv_unless_json_is_asked_for() {
    let router = served(Behaviour::default());
    let body = format!("{}\r\n{}\n\n", csv(&MILD), csv(&MILD));
    let headers = [("content-type", "text/csv; charset=utf-8")];
    let (status, text) = ask(&router, &headers, body.as_bytes()).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].ends_with(",0") || lines[0].ends_with(",1"));

    let headers = [headers[0], ("accept", "application/json")];
    let (_, text) = ask(&router, &headers, body.as_bytes()).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["predictions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn bad_input_is_refused_with_a_reason() {
    let router = served(Behaviour::default());
    let json = ("content-type", "application/json");
    let csv_type = ("content-type", "text/csv");
    let short = json!({ "features": &MILD[1..] }).to_string();
    let ragged = json!({ "instances": [MILD.to_vec(), vec![1.0]] }).to_string();
    let both = json!({ "features": MILD, "instances": [MILD] }).to_string();
    let not_a_number = csv(&mild_but(3, f64::NAN));
    let infinite = csv(&mild_but(3, f64::INFINITY));
    let cases: [(_, &[u8], &str); 15] = [
        (json, b"", "not valid JSON"),
        (json, b"{", "not valid JSON"),
        (json, b"{\"features\": [NaN]}", "not valid JSON"),
        (json, b"{\"features\": [1e999]}", "out of range"),
        (json, b"{\"features\": [null]}", "not valid JSON"),
        (json, b"{\"rows\": []}", "unknown field"),
        (json, b"{}", "either"),
        (json, both.as_bytes(), "either"),
        (json, b"{\"instances\": []}", "no row"),
        (json, short.as_bytes(), "row 0 has 10 features"),
        (json, ragged.as_bytes(), "row 1 has 1 features"),
        (csv_type, not_a_number.as_bytes(), "feature 3 is not finite"),
        (csv_type, infinite.as_bytes(), "feature 3 is not finite"),
        (csv_type, b"a,b", "\"a\\\" is not a number"),
        (csv_type, b"\xff", "UTF-8"),
    ];
    for (header, body, reason) in cases {
        let (status, text) = ask(&router, &[header], body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer["error"].is_string(), "{text}");
        assert!(text.contains(reason), "{reason}: {text}");
    }
}

#[tokio::test]
async fn unknown_types_and_large_bodies_have_their_own_status() {
    let router = served(Behaviour::default());
    let (status, text) = ask(&router, &[("content-type", "image/png")], b"x").await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(text.contains("image/png"));

    let large = vec![b' '; BODY_LIMIT_BYTES + 1];
    let (status, text) = ask(&router, &[], &large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{text}");
    assert!(serde_json::from_str::<Value>(&text).unwrap()["error"].is_string());
}

#[tokio::test]
async fn strong_wines_fail_where_they_are_told_to() {
    let router = served(Behaviour {
        fail_above_alcohol: Some(11.0),
        ..Behaviour::default()
    });
    let strong = mild_but(ALCOHOL, 11.1);
    for (body, expected) in [
        (json!({ "features": MILD }), StatusCode::OK),
        (
            json!({ "features": mild_but(ALCOHOL, 11.0) }),
            StatusCode::OK,
        ),
        (
            json!({ "instances": [MILD, strong] }),
            StatusCode::INTERNAL_SERVER_ERROR,
        ),
        // A caller's mistake stays the caller's.
        (json!({ "features": &strong[1..] }), StatusCode::BAD_REQUEST),
    ] {
        let (status, text) = ask(&router, &[], body.to_string().as_bytes()).await;
        assert_eq!(status, expected, "{text}");
    }
}
