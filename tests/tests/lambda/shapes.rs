//! Events of another function's shape: an invocation that makes no sense has to fail, or no failure queue
//! and no alarm ever hears of it.

use serde_json::json;
use simulator::Outcome;
use tests::World;
use tests::lambda::{Fleet, OPERATOR, events};

#[tokio::test]
async fn an_event_of_another_shape_fails_and_the_process_goes_on() {
    let fleet = Fleet::over(World::new().await, "info").await;
    let now = fleet.world.now();
    let wake = json!({"deployment_id": "019c0000-0000-7000-8000-00000000dead", "version": 1});
    let request = events::request(OPERATOR, "GET", "/health", None, now);
    let schedule = events::schedule(now);
    for (function, unfit) in [
        ("canary-deploy", [&wake, &schedule]),
        ("canary-inference", [&wake, &schedule]),
        ("canary-provision", [&request, &schedule]),
        ("canary-traffic-shift", [&request, &schedule]),
        ("canary-rollback", [&request, &schedule]),
    ] {
        for event in unfit {
            let outcome = fleet.invoke(function, event).await;
            assert!(
                matches!(&outcome, Outcome::Failed { message, .. } if !message.is_empty()),
                "{function} took {event}: {outcome:?}"
            );
        }
        assert_eq!(fleet.starts(function), 1, "{function} goes on");
    }
    let (status, _) = fleet.request("GET", "/health", None).await;
    assert_eq!(status, 200);
}
