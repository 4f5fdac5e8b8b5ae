//! Requests that nobody means, through the whole router: an answer at once, below 500, and a problem
//! document that names the field where there is one.

use std::panic::AssertUnwindSafe;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use simulator::malformed::{self, Choices};
use tests::{ENDPOINT, World, specification};

/// A world, and a runtime to ask it.
struct Api {
    world: World,
    runtime: tokio::runtime::Runtime,
    id: String,
}

impl Api {
    /// With one deployment. The engine repeats a failing request on the same world.
    fn new() -> AssertUnwindSafe<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (world, id) = runtime.block_on(async {
            let world = World::new().await;
            let id = world.deploy(&specification()).await;
            world.minutes(8).await;
            (world, id)
        });
        AssertUnwindSafe(Self { world, runtime, id })
    }

    /// Answered below 500, and named where it is refused as a document.
    fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Option<(StatusCode, Value)> {
        // What is no path or header never arrives.
        path.parse::<http::Uri>().ok()?;
        for (_, value) in headers {
            http::HeaderValue::from_str(value).ok()?;
        }
        let answer = self.world.request(method, path, headers, body);
        let (status, answer) = self.runtime.block_on(answer);
        assert!(status.as_u16() < 500, "{status} {path}: {answer}");
        let detail = answer["detail"].as_str().unwrap_or_default();
        assert!(detail.len() < 2000, "{path}: {} bytes", detail.len());
        assert!(!detail.chars().any(char::is_control), "{path}: {detail:?}");
        Some((status, answer))
    }
}

fn assert_named(answer: &Value, known: &[&str], about: &str) {
    let field = answer["field"].as_str().unwrap_or_default();
    assert!(known.contains(&field), "{field:?} of {about}: {answer}");
}

#[test]
fn every_body_of_a_command_is_answered() {
    let api = Api::new();
    let valid = json!({"weight": 25, "reason": "a slow day"});
    bolero::check!()
        .with_iterations(400)
        .with_max_len(64)
        .for_each(|bytes: &[u8]| {
            let (mut choices, api) = (Choices::new(bytes), &*api);
            let document = malformed::json(&valid, &mut choices);
            let path = format!("/deployments/{}/weight", api.id);
            let answer = api.ask(Method::PUT, &path, &[], document.clone().into_bytes());
            let (status, answer) = answer.expect("a valid path");
            let is_object = serde_json::from_str::<Value>(&document).is_ok_and(|it| it.is_object());
            if status == StatusCode::UNPROCESSABLE_ENTITY && is_object {
                let detail = answer["detail"].as_str().unwrap_or_default();
                // A name that can't be shown is no name.
                let is_named =
                    answer["field"].is_string() || detail.starts_with("unknown field ``");
                assert!(is_named, "{document}: {answer}");
            }
        });
}

#[test]
fn every_specification_is_answered() {
    let api = Api::new();
    bolero::check!()
        .with_iterations(400)
        .with_max_len(64)
        .for_each(|bytes: &[u8]| {
            let (mut choices, api) = (Choices::new(bytes), &*api);
            let body = malformed::json(&specification(), &mut choices).into_bytes();
            api.ask(Method::POST, "/plan", &[], body);
        });
}

#[test]
fn every_query_is_answered() {
    let api = Api::new();
    let created = "2026-03-02T08:10:00Z%2300000000-0000-7000-8000-000000000000";
    let queries = [
        format!("/deployments?limit=5&status=PENDING&endpoint={ENDPOINT}&cursor={created}"),
        format!("/deployments/{}/checks?limit=5&format=json", api.id),
        format!(
            "/deployments/{}/checks?cursor=CHECK%232026-03-02T08:14:00Z",
            api.id
        ),
        format!("/deployments/{}/history", api.id),
        format!("/deployments/{}", api.id),
        format!("/route?endpoint={ENDPOINT}&user=anna"),
    ];
    bolero::check!()
        .with_iterations(600)
        .with_max_len(48)
        .for_each(|bytes: &[u8]| {
            let (mut choices, api) = (Choices::new(bytes), &*api);
            let whole: &String = choices.of(&queries);
            let path = malformed::text(whole, &mut choices);
            if path.len() < 8000 && path.starts_with('/') {
                api.ask(Method::GET, &path, &[], Vec::new());
            }
        });
}

#[test]
fn every_inference_request_is_answered() {
    let api = Api::new();
    let valid = json!({
        "endpoint": ENDPOINT, "user_id": "anna", "features": [0.1, 7.4],
        "content_type": "application/json", "accept": "application/json",
        "custom_attributes": "a=b", "attributes": {"region": "eu"},
    });
    bolero::check!()
        .with_iterations(600)
        .with_max_len(64)
        .for_each(|bytes: &[u8]| {
            let (mut choices, api) = (Choices::new(bytes), &*api);
            let body = match choices.below(4) {
                0 => malformed::bytes(valid.to_string().as_bytes(), &mut choices),
                _ => malformed::json(&valid, &mut choices).into_bytes(),
            };
            let answer = api.ask(Method::POST, "/inference", &[], body);
            let (status, answer) = answer.expect("a valid path");
            if status == StatusCode::UNPROCESSABLE_ENTITY {
                assert!(answer["field"].is_string(), "{answer}");
            }
        });
}

#[test]
fn every_label_is_answered() {
    let api = Api::new();
    let item = json!({"inference_id": "AQcBnK2t4mB4_rW3", "actual": true});
    let all = [
        json!({"inference_id": "AQcBnK2t4mB4_rW3", "actual": 0}),
        json!({"items": [item, {"inference_id": "x", "actual": 1}]}),
    ];
    bolero::check!()
        .with_iterations(600)
        .with_max_len(64)
        .for_each(|bytes: &[u8]| {
            let (mut choices, api) = (Choices::new(bytes), &*api);
            let valid: &Value = choices.of(&all);
            let body = match choices.below(4) {
                0 => malformed::bytes(valid.to_string().as_bytes(), &mut choices),
                _ => malformed::json(valid, &mut choices).into_bytes(),
            };
            let answer = api.ask(Method::POST, "/feedback", &[], body);
            let (status, answer) = answer.expect("a valid path");
            if status == StatusCode::UNPROCESSABLE_ENTITY {
                assert!(answer["field"].is_string(), "{answer}");
            }
            // Nobody has signed anything.
            let counted = answer["counted"].as_u64();
            assert!(counted.is_none_or(|counted| counted == 0), "{answer}");
        });
}

#[test]
fn every_idempotency_key_is_answered() {
    let api = Api::new();
    bolero::check!()
        .with_iterations(300)
        .with_max_len(32)
        .for_each(|bytes: &[u8]| {
            let (mut choices, api) = (Choices::new(bytes), &*api);
            let key = malformed::text("3f1c9a52-release", &mut choices);
            let body = specification().to_string().into_bytes();
            let answer = api.ask(Method::POST, "/deploy", &[("idempotency-key", &key)], body);
            // The endpoint is locked: nothing is made, whatever the key.
            if let Some((status, answer)) = answer {
                match status {
                    StatusCode::CONFLICT => assert_named(&answer, &["endpoint"], &key),
                    _ => assert_named(&answer, &["Idempotency-Key"], &key),
                }
            }
        });
}

/// An escape that is no UTF-8: the router refuses it before any handler sees it.
#[tokio::test]
async fn an_id_that_is_no_text_gets_a_problem_too() {
    let world = World::new().await;
    for path in ["/deployments/%ff", "/deployments/%80/checks?limit=5"] {
        let (status, answer) = world.get(path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {answer}");
    }
}

/// The field, not what a word of the caller looks like.
#[tokio::test]
async fn a_wrong_type_names_the_field_it_stands_in() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    let path = format!("/deployments/{id}/weight");
    for (body, field) in [
        (json!({"weight": "ten"}), "weight"),
        (json!({"weight": -1}), "weight"),
        (json!({"weight": "a `reason` is a field"}), "weight"),
        (json!({"weight": 10, "reason": 7}), "reason"),
        (json!({"reason": "no weight"}), "weight"),
        (json!({"weight": 10, "wieght": 20}), "wieght"),
    ] {
        let (status, answer) = world
            .request(Method::PUT, &path, &[], body.to_string().into_bytes())
            .await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_named(&answer, &[field], &body.to_string());
    }
    for (query, field) in [
        ("limit=ten", "limit"),
        ("limit=-1", "limit"),
        ("format=xml", "format"),
        ("fromat=csv", "fromat"),
    ] {
        let (status, answer) = world
            .get(&format!("/deployments/{id}/checks?{query}"))
            .await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert_named(&answer, &[field], query);
    }
}
