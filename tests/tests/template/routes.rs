//! API Gateway's routes against the routers behind them and against the API's description: a route to
//! nowhere would answer 404 after all, and one that API Gateway does not have would never be reached.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::Value;
use shared::domain::authority::{Action, Role};
use tests::World;
use tests::openapi::COMMITTED;

use super::document::of_type;
use super::file;

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

/// The policies of docs/install.md in their order: deployers, people on call, approvers, applications.
fn policies() -> Vec<Vec<String>> {
    let guide = file("docs/install.md");
    let (_, callers) = guide.split_once("\n## Callers\n").expect("the section");
    let (callers, _) = callers.split_once("\n## ").expect("the one after it");
    let blocks = callers.split("```json\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().expect("an end"));
    let resources = blocks.map(|block| {
        let policy: Value = serde_json::from_str(block).expect("JSON");
        let statement = &policy["Statement"][0];
        assert_eq!(policy["Statement"].as_array().map(Vec::len), Some(1));
        assert_eq!(statement["Effect"], "Allow");
        assert_eq!(statement["Action"], "execute-api:Invoke");
        let arns = statement["Resource"].as_array().expect("ARNs").iter();
        let routes = arns.map(|arn| {
            let arn = arn.as_str().expect("a text");
            let (api, route) = arn.split_once("/v1/").expect("a stage");
            assert_eq!(api, "arn:aws:execute-api:eu-central-1:111122223333:abc123");
            route.to_owned()
        });
        routes.collect()
    });
    resources.collect()
}

/// What of the API's routes a policy lets through: `METHOD/path`, with `*` for any run of characters.
fn let_through(policy: &[String]) -> BTreeSet<Action> {
    let fits = |pattern: &String, route: &str| {
        let (start, end) = pattern.split_once('*').unwrap_or((pattern, ""));
        let long_enough = route.len() >= start.len() + end.len();
        let fits = route.starts_with(start) && route.ends_with(end) && long_enough;
        fits && (pattern.contains('*') || pattern == route)
    };
    let actions = Action::ALL.into_iter();
    let through = actions.filter(|action| {
        let (method, path) = action.route();
        let route = format!("{method}{path}");
        policy.iter().any(|pattern| fits(pattern, &route))
    });
    through.collect()
}

/// Whoever was set up by the guide can do all that the table of routes lets its role do, and meets little else that
/// the API has to refuse.
#[test]
fn the_guides_policies_let_each_caller_do_what_its_role_may() {
    let policies = policies();
    let [deployers, on_call, approvers, applications] = policies.as_slice() else {
        panic!("{} policies", policies.len());
    };
    let of = |wanted: &dyn Fn(Action) -> bool| -> BTreeSet<Action> {
        Action::ALL
            .into_iter()
            .filter(|action| wanted(*action))
            .collect()
    };
    let admitted = |role: Role| {
        of(&|action| {
            action
                .rule()
                .roles
                .is_none_or(|roles| roles.contains(&role))
        })
    };
    // Who looks and makes things safer: what goes on while the tags can't be read.
    let safer = of(&|action| action.rule().outlives_tags);
    // `GET/*` lets through what only the API refuses, and so does `POST/deployments/*`.
    let (looks, orders) = ([Action::Route].as_slice(), [Action::Route, Action::Approve]);
    for (name, policy, wanted, beside) in [
        (
            "deployers",
            deployers,
            admitted(Role::Deployer),
            &orders[..],
        ),
        ("on call", on_call, safer, looks),
        ("approvers", approvers, admitted(Role::Approver), looks),
    ] {
        let through = let_through(policy);
        let missing: Vec<_> = wanted.difference(&through).collect();
        assert!(missing.is_empty(), "{name} can't {missing:?}");
        let more: Vec<_> = through.difference(&wanted).copied().collect();
        assert!(
            more.iter().all(|it| beside.contains(it)),
            "{name}: {more:?}"
        );
        assert_eq!(more.len(), beside.len(), "{name}: {more:?}");
    }
    let asks = of(&|action| {
        let roles = action.rule().roles;
        roles.is_some_and(|roles| roles.contains(&Role::Invoker))
    });
    assert_eq!(let_through(applications), asks);
}
