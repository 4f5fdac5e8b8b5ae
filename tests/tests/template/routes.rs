//! API Gateway's routes against the routers behind them and against the API's description: a route to
//! nowhere would answer 404 after all, and one that API Gateway does not have would never be reached.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use tests::World;
use tests::openapi::COMMITTED;

use super::document::of_type;

/// Method and path of every route, with the function that has it.
fn routed() -> BTreeSet<(String, String, String)> {
    let mut routes = BTreeSet::new();
    for (id, function) in of_type("AWS::Serverless::Function") {
        let events = function["Properties"]["Events"].as_object();
        for event in events.into_iter().flatten().map(|(_, event)| event) {
            if event["Type"] == "Api" {
                let text = |name: &str| event["Properties"][name].as_str().expect(name).to_owned();
                routes.insert((text("Method").to_uppercase(), text("Path"), id.clone()));
            }
        }
    }
    routes
}

#[tokio::test]
async fn every_route_leads_to_a_handler() {
    let world = World::new().await;
    let mut asked = 0;
    for (method, path, id) in routed() {
        // The document of the API has a test of its own.
        if path == "/openapi.json" {
            continue;
        }
        asked += 1;
        let method: Method = method.parse().expect("a method");
        let path = path
            .replace("{id}", "01997b6e-0000-7000-8000-0123456789ab")
            .replace("{name}", "wine");
        let (status, problem) = world.request(method.clone(), &path, &[], Vec::new()).await;
        assert_ne!(
            status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{id}: {method} {path}"
        );
        let kind = problem["type"].as_str().unwrap_or_default();
        assert!(!kind.ends_with(":no-such-route"), "{id}: {method} {path}");
    }
    assert!(asked >= 15);
}

#[test]
fn the_routes_are_those_that_are_described() {
    let paths = COMMITTED["paths"].as_object().expect("paths").iter();
    let described: BTreeSet<(String, String)> = paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("an item").keys();
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let routed = routed().into_iter().map(|(method, path, _)| (method, path));
    assert_eq!(routed.collect::<BTreeSet<_>>(), described);
}
