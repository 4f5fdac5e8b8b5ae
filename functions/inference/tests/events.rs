//! Predictions through the binary that is deployed: a body is taken as text and as base64, and an
//! invocation that is no request fails without ending the process.

use serde_json::json;
use simulator::Outcome;
use tests::lambda::{Binary, INVOKER, events};
use tests::{ENDPOINT, PRODUCTION, World};

#[tokio::test]
async fn a_prediction_comes_back_and_what_is_no_request_fails() {
    let world = World::new().await;
    let mut function = Binary::start(env!("CARGO_BIN_EXE_inference"), &world, &[]).await;
    let body = json!({"endpoint": ENDPOINT, "features": [7.4, 0.7]}).to_string();
    let text = events::request(INVOKER, "POST", "/inference", Some(&body), world.now());
    let mut encoded = text.clone();
    encoded["body"] = json!("eyJlbmRwb2ludCI6IndpbmUtcXVhbGl0eSIsImZlYXR1cmVzIjpbNy40LDAuN119");
    encoded["isBase64Encoded"] = json!(true);
    for event in [&text, &encoded] {
        let answer = function.answer(event).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        let prediction = answer["body"].as_str().expect("a body");
        assert!(prediction.contains(PRODUCTION), "{prediction}");
    }
    for event in [
        "",
        "null",
        "{",
        "{}",
        "{\"detail-type\": \"Scheduled Event\"}",
    ] {
        let Outcome::Failed { message, .. } = function.invoke(event).await else {
            panic!("{event} was taken");
        };
        assert!(!message.is_empty());
        assert_eq!(function.answer(&text).await["statusCode"], 200);
    }
}
