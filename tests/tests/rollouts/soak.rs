//! A soak that is over and can't be left: told once, with no end in sight, and left as soon as it can be.

use http::Method;
use serde_json::Value;
use shared::domain::history::{Entry, Name};
use shared::domain::state::{Phase, Status};
use shared::wire::report::Report;
use tests::{ENDPOINT, World, specification};

async fn shown(world: &World, id: &str) -> Value {
    world.get(&format!("/deployments/{id}")).await.1
}

/// The report as this form.
async fn report(world: &World, id: &str, form: &str) -> Value {
    let path = format!("/deployments/{id}/report");
    let accept = [("accept", form)];
    world
        .request(Method::GET, &path, &accept, Vec::new())
        .await
        .1
}

/// Why the soak was held, each time that it was told.
fn told_of_the_soak(history: &[Entry]) -> Vec<&str> {
    let held = |entry: &&Entry| (entry.event, entry.phase) == (Name::Held, Phase::Soaking);
    let held = history.iter().filter(held);
    held.map(|entry| entry.reason.as_str()).collect()
}

/// A soak without requests, for longer than it was to last: told once, and with no end in sight.
#[tokio::test]
async fn a_soak_that_nobody_asks_anything_of_is_told_once_and_has_no_date() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Soaking).await;
    world.simulator().set_traffic(ENDPOINT, 0.0);
    let view = shown(&world, &id).await;
    assert!(view["expected_end"].is_string(), "{view}");
    world.minutes(40).await;
    let state = world.load(&id).await.deployment.state;
    assert_eq!((state.phase, state.stall_told), (Phase::Soaking, true));
    let history = world.history(&id).await;
    let held = told_of_the_soak(&history);
    let [reason] = held[..] else {
        panic!("one line: {held:?}")
    };
    assert!(reason.starts_with("holding: "), "{reason}");
    let view = shown(&world, &id).await;
    assert_eq!(view.get("expected_end"), None, "{view}");
    let found = report(&world, &id, "application/json").await;
    let found: Report = serde_json::from_value(found).expect("a report");
    assert!(found.deployment.is_held_up());
    let markdown = report(&world, &id, "text/markdown").await;
    let markdown = markdown.as_str().expect("a text");
    assert!(
        markdown.contains("(IN_PROGRESS/Soaking)") && markdown.contains("- Held up: holding: "),
        "{markdown}"
    );
    world.simulator().set_traffic(ENDPOINT, 1000.0);
    world.until_over(&id, Status::Completed).await;
}

#[tokio::test]
async fn a_soak_at_an_endpoint_that_cant_be_read_says_so_once() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Soaking).await;
    world.unread_endpoint(20).await;
    let history = world.history(&id).await;
    let held = told_of_the_soak(&history);
    let kind = "holding: the endpoint could not be read: DescribeEndpoint: AccessDeniedException";
    assert_eq!(held, [kind]);
    let view = shown(&world, &id).await;
    assert_eq!(view.get("expected_end"), None, "{view}");
    world.until_over(&id, Status::Completed).await;
}
