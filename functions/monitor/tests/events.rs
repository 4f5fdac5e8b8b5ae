//! What wakes `monitor` through the binary that is deployed: any event is a tick, whatever is in it,
//! and what is no JSON fails without ending the process.

use serde_json::json;
use simulator::Outcome;
use tests::World;
use tests::lambda::Binary;

#[tokio::test]
async fn any_event_is_a_tick_and_no_event_ends_the_process() {
    let world = World::new().await;
    let mut function = Binary::start(env!("CARGO_BIN_EXE_monitor"), &world, &[]).await;
    for event in [
        json!(null),
        json!([]),
        json!(7),
        json!({}),
        json!({"detail-type": "SageMaker Endpoint State Change", "detail": {"EndpointName": 7}}),
        json!("x".repeat(900_000)),
    ] {
        let report = function.answer(&event).await;
        assert_eq!(report["active"], 0, "{report}");
    }
    for text in ["", "{", "\u{feff}{}", &"[".repeat(10_000)] {
        let Outcome::Failed { message, .. } = function.invoke(text).await else {
            panic!("{text} was taken");
        };
        assert!(!message.is_empty());
        assert_eq!(function.answer(&json!({})).await["failed"], json!([]));
    }
}
