//! A list shows what the caller may read, page by page, and asks about each endpoint once.

use std::collections::BTreeSet;

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::authority::Action;
use shared::domain::state::Phase;
use tests::{ENDPOINT, OLD, PRODUCTION, specification_with};

use super::{Guarded, role};

/// Endpoints, each with a deployment; those with an odd number are the other team's.
async fn two_teams(endpoints: usize) -> (Guarded, BTreeSet<String>, BTreeSet<String>) {
    let guarded = Guarded::new().await;
    let (mut wine, mut beer) = (BTreeSet::new(), BTreeSet::new());
    let aws = &guarded.world.stack.aws;
    for number in 0..endpoints {
        let (endpoint, config) = (format!("endpoint-{number}"), format!("config-{number}"));
        let made = aws.create_endpoint(&endpoint, &config, PRODUCTION, OLD, 1);
        made.await.expect("a new endpoint");
    }
    guarded.world.pass(SignedDuration::from_mins(3)).await;
    for number in 0..endpoints {
        let endpoint = format!("endpoint-{number}");
        let team = if number % 2 == 0 { "Wine" } else { "Beer" };
        guarded.tag(&endpoint, &[("canary:deployers", team)]);
        let given = specification_with(json!({"endpoint": endpoint}));
        let (status, answer) = guarded
            .send(Some(&role(team)), "POST", "/deploy", &given)
            .await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        let id = answer["deployment_id"].as_str().expect("an id").to_owned();
        if team == "Wine" { &mut wine } else { &mut beer }.insert(id);
    }
    (guarded, wine, beer)
}

/// Every id that the pages show, in order, and how many pages there were.
async fn pages(guarded: &Guarded, name: &str, query: &str) -> (Vec<String>, usize) {
    let (mut ids, mut count) = (Vec::new(), 0);
    let mut cursor = String::new();
    loop {
        let path = format!("/deployments?{query}{cursor}");
        let (status, page) = guarded
            .send(Some(&role(name)), "GET", &path, &Value::Null)
            .await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let items = page["items"].as_array().expect("items").iter();
        ids.extend(items.map(|item| item["deployment_id"].as_str().expect("an id").to_owned()));
        count += 1;
        assert!(count < 200, "the pages come to an end");
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", next.replace('#', "%23")),
            None => return (ids, count),
        }
    }
}

#[tokio::test]
async fn each_team_sees_its_own_whatever_the_size_of_a_page() {
    let (guarded, wine, beer) = two_teams(7).await;
    for (name, own) in [("Wine", &wine), ("Beer", &beer)] {
        for limit in [1, 2, 3, 100] {
            let (ids, _) = pages(&guarded, name, &format!("limit={limit}")).await;
            assert_eq!(ids.len(), own.len(), "{name} by {limit}: none twice");
            assert_eq!(&ids.iter().cloned().collect::<BTreeSet<_>>(), own);
            let mut newest_first = ids.clone();
            newest_first.sort_by(|one, other| other.cmp(one));
            assert_eq!(ids, newest_first);
        }
    }
    assert_eq!(pages(&guarded, "Intern", "limit=3").await.0, [""; 0]);
    // Neither a filter nor the name of the endpoint opens what is closed.
    let filtered = "limit=3&status=PENDING&endpoint=endpoint-1";
    assert_eq!(pages(&guarded, "Wine", filtered).await.0, [""; 0]);
    assert_eq!(pages(&guarded, "Beer", filtered).await.0.len(), 1);
}

#[tokio::test]
async fn each_endpoint_is_asked_about_once_and_not_all_in_one_request() {
    let (guarded, wine, _) = two_teams(4).await;
    let looks = || guarded.world.count_calls("ListTags");
    let before = looks();
    let (_, list) = guarded.by("Wine", Action::List, "").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(wine.len()));
    assert_eq!(looks() - before, 4);
    // An outage is met once, not once for each endpoint.
    guarded.cut_off_tags();
    let before = looks();
    let (_, list) = guarded.by("Wine", Action::List, "").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(wine.len()));
    assert_eq!(looks() - before, 1);
}

/// One that is not the stack's own any longer is decided by what was kept, and it alone.
#[tokio::test]
async fn an_endpoint_that_is_not_the_stacks_leaves_the_others_to_their_tags() {
    let (guarded, wine, beer) = two_teams(4).await;
    // The newest, which a page begins with.
    let guarded = guarded.narrowed_to("endpoint-0 endpoint-1 endpoint-2");
    for endpoint in ["endpoint-2", "endpoint-3"] {
        guarded.tag(endpoint, &[("canary:deployers", "Night")]);
    }
    let before = guarded.world.count_calls("ListTags");
    for (name, shown) in [("Wine", wine.len() - 1), ("Beer", beer.len()), ("Night", 1)] {
        let (_, list) = guarded.by(name, Action::List, "").await;
        let items = list["items"].as_array().map(Vec::len);
        assert_eq!(items, Some(shown), "{name}: {list}");
    }
    assert_eq!(guarded.world.count_calls("ListTags") - before, 3 * 3);
    assert_eq!(guarded.denied(), [""; 0]);
}

#[tokio::test]
async fn a_page_that_would_ask_about_too_many_endpoints_ends_early() {
    let (guarded, wine, beer) = two_teams(60).await;
    let before = guarded.world.count_calls("ListTags");
    let (_, list) = guarded
        .send(
            Some(&role("Beer")),
            "GET",
            "/deployments?limit=100",
            &Value::Null,
        )
        .await;
    assert_eq!(guarded.world.count_calls("ListTags") - before, 50);
    let shown = list["items"].as_array().map_or(0, Vec::len);
    assert!((20..30).contains(&shown), "of 50 looked at: {shown}");
    assert!(list["cursor"].is_string());
    for (name, own) in [("Wine", wine), ("Beer", beer)] {
        let (ids, count) = pages(&guarded, name, "limit=100").await;
        assert_eq!((ids.len(), count), (own.len(), 2));
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), own);
    }
}

#[tokio::test]
async fn the_local_mode_asks_nobody() {
    let guarded = Guarded::new().await;
    guarded.tag(
        ENDPOINT,
        &[("canary:deployers", ""), ("canary:approvers", "")],
    );
    let id = guarded.world.deploy(&tests::specification()).await;
    guarded.world.until_phase(&id, Phase::Baking).await;
    let before = guarded.world.count_calls("ListTags");
    let (status, list) = guarded.world.get("/deployments").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(list["items"][0]["deployment_id"], json!(id));
    assert_eq!(list["items"][0]["created_by"], "local");
    guarded.world.order(&id, "pause").await;
    guarded.world.order(&id, "resume").await;
    assert_eq!(guarded.world.count_calls("ListTags"), before);
    assert_eq!(guarded.forbidden(), 0);
}
