//! What every store keeps to: promises that are held to the records in memory, on which thousands of
//! rollouts run, to the adapter of DynamoDB, and to the same adapter over DynamoDBs that others wrote.
//!
//! Records, lines and minutes are real ones, from a short rollout; only ids, endpoints and numbers
//! are set here.

#![allow(
    missing_docs,
    reason = "the name of a function is the promise it holds a store to"
)]

use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::app::announce::{SHARDS, shard_of};
use shared::app::ports::{
    Class, Commit, Creation, FreezeTurn, IdempotencyClaim, ListQuery, Loaded, OutboxRow, PortError,
    Refused, Store,
};
use shared::domain::deployment::State;
use shared::domain::evidence::Evidence;
use shared::domain::freeze::{EVERY_ENDPOINT, Freeze, Freezes};
use shared::domain::history::{Entry, Topics, Way};
use shared::domain::judge::MinuteReport;
use shared::domain::replay::Recorded;
use shared::domain::state::Status;
use shared::wire::items::event_id;
use simulator::clock::Clock;

use crate::direct::scenario::Scenario;

/// A rollout's rows.
struct Rows {
    accepted: Loaded,
    ended: State,
    /// As it was after every minute.
    evidence: Vec<Evidence>,
    history: Vec<Entry>,
    past: Vec<Recorded>,
    minutes: Vec<MinuteReport>,
}

fn rows() -> &'static Rows {
    static ROWS: OnceLock<Rows> = OnceLock::new();
    ROWS.get_or_init(|| {
        let mut world = Scenario::default().world();
        let id = world.accepted(json!({}));
        let accepted = world.load(&id);
        let mut evidence = vec![accepted.evidence.clone()];
        world.run();
        while !world.load(&id).deployment.state.status.is_terminal() {
            world.minute();
            evidence.push(world.load(&id).evidence);
        }
        evidence.dedup();
        Rows {
            accepted,
            ended: world.load(&id).deployment.state,
            evidence,
            history: world.store().lines(&id),
            past: world.store().recorded(&id),
            minutes: world.store().reports(&id, 100, None).items,
        }
    })
}

/// The time when every promise is held.
pub fn start() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("a valid timestamp")
}

/// Hands every promise's name to a macro: whoever holds a store to one holds it to all.
#[macro_export]
macro_rules! every_promise {
    ($hold:ident) => {
        $hold!(
            a_record_comes_back_as_it_was_written,
            an_endpoint_has_one_deployment_that_is_not_over,
            a_key_is_remembered_for_a_day,
            a_key_lost_with_the_lock_is_not_taken,
            a_commit_is_held_against_the_version_that_was_read,
            a_commit_is_held_against_the_watermark_that_was_read,
            evidence_alone_leaves_the_version,
            a_line_of_history_is_written_once,
            a_refused_commit_leaves_nothing_behind,
            a_record_that_breaks_its_invariants_is_never_written,
            an_end_frees_the_lock_and_leaves_the_active_list,
            the_outbox_is_in_order_until_it_is_sent,
            what_no_record_brings_is_told_once,
            a_freeze_is_the_endpoints_or_everybodys,
            a_turn_of_the_switch_is_held_against_what_was_read,
            nothing_begins_past_a_switch_that_was_turned,
            minutes_come_newest_first_page_by_page,
            evidence_comes_back_bit_by_bit,
            lists_come_newest_first_page_by_page,
        );
    };
}

/// A record like the rollout's, of this number and endpoint, a minute younger for each number.
fn record(number: u32, endpoint: &str) -> Loaded {
    let mut loaded = rows().accepted.clone();
    let terms = &mut loaded.deployment.terms;
    terms.id = format!("019cad95-0000-7000-8000-{number:012}");
    endpoint.clone_into(&mut terms.endpoint);
    terms.created_at = start() + SignedDuration::from_mins(i64::from(number));
    loaded
}

async fn put<S: Store>(store: &S, loaded: &Loaded, key: Option<&str>) -> Result<(), Refused> {
    let claim = key.map(|key| IdempotencyClaim {
        key: key.to_owned(),
        digest: "d1".to_owned(),
        deployment_id: loaded.deployment.terms.id.clone(),
    });
    let creation = Creation {
        loaded,
        specification: &json!({"endpoint": loaded.deployment.terms.endpoint}),
        past: &rows().past,
        entry: &rows().history[0],
        idempotency: claim.as_ref(),
        freezes: None,
    };
    store.create(creation).await
}

async fn created<S: Store>(store: &S, number: u32, endpoint: &str) -> Loaded {
    let loaded = record(number, endpoint);
    put(store, &loaded, None).await.expect("a free endpoint");
    loaded
}

/// Every active id, in the ids' order.
async fn active<S: Store>(store: &S) -> Result<Vec<String>, PortError> {
    let mut ids = Vec::new();
    for shard in 0..SHARDS {
        let found = store.active(shard).await?;
        assert!(found.iter().all(|id| shard_of(id) == shard));
        ids.extend(found);
    }
    ids.sort();
    Ok(ids)
}

async fn load<S: Store>(store: &S, id: &str) -> Loaded {
    let found = store.load(id).await.expect("a readable record");
    found.expect("a known id")
}

/// The record with another reason, which is a change of its state.
fn saying(before: &Loaded, reason: &str) -> Loaded {
    let mut next = before.clone();
    reason.clone_into(&mut next.deployment.state.reason);
    next
}

/// The record with its watermark a minute on.
fn judged(before: &Loaded) -> Loaded {
    let mut next = before.clone();
    next.evidence.judged_through += SignedDuration::from_mins(1);
    next
}

/// The record as it is when the rollout is over.
fn over(before: &Loaded) -> Loaded {
    let mut next = before.clone();
    let version = next.deployment.state.version;
    next.deployment.state = rows().ended.clone();
    next.deployment.state.version = version;
    next
}

async fn commit<S: Store>(
    store: &S,
    before: &Loaded,
    next: &Loaded,
    entries: &[Entry],
    minutes: &[MinuteReport],
) -> Result<Loaded, Class> {
    let commit = Commit {
        before,
        next: &next.deployment,
        evidence: &next.evidence,
        minutes,
        entries,
    };
    store.commit(commit).await.map_err(|error| error.class)
}

pub async fn a_record_comes_back_as_it_was_written<S: Store>(store: &S, clock: &Clock) {
    let loaded = created(store, 1, "a").await;
    let id = &loaded.deployment.terms.id;
    assert_eq!(load(store, id).await, loaded);
    assert_eq!(store.past(id).await, Ok(rows().past.clone()));
    assert_eq!(store.history(id).await, Ok(rows().history[..1].to_vec()));
    assert_eq!(active(store).await, Ok(vec![id.clone()]));
    assert_eq!(store.load("nobody").await, Ok(None));
    assert_eq!(store.past("nobody").await, Ok(Vec::new()));
    assert_eq!(store.history("nobody").await, Ok(Vec::new()));
    clock.advance(SignedDuration::from_mins(5));
    let written = commit(store, &loaded, &saying(&loaded, "on"), &[], &[]).await;
    let written = written.expect("nobody else wrote");
    let state = &written.deployment.state;
    assert_eq!(
        (state.version, state.reason.as_str()),
        (loaded.deployment.state.version + 1, "on")
    );
    assert_eq!(state.updated_at, start() + SignedDuration::from_mins(5));
    assert_eq!(load(store, id).await, written);
}

pub async fn an_endpoint_has_one_deployment_that_is_not_over<S: Store>(store: &S, _: &Clock) {
    assert_eq!(store.lock_holder("a").await, Ok(None));
    let first = created(store, 1, "a").await.deployment.terms.id;
    assert_eq!(store.lock_holder("a").await, Ok(Some(first.clone())));
    let refused = put(store, &record(2, "a"), None).await;
    assert_eq!(refused, Err(Refused::Locked { by: first }));
    let second = &record(2, "a").deployment.terms.id;
    assert_eq!(store.load(second).await, Ok(None));
    created(store, 3, "b").await;
}

pub async fn a_key_is_remembered_for_a_day<S: Store>(store: &S, clock: &Clock) {
    assert_eq!(store.idempotency("k").await, Ok(None));
    let first = record(1, "a");
    put(store, &first, Some("k")).await.expect("a new key");
    let claim = store.idempotency("k").await.expect("a readable key");
    let claim = claim.expect("a key that is remembered");
    assert_eq!(
        (
            claim.key.as_str(),
            claim.digest.as_str(),
            claim.deployment_id
        ),
        ("k", "d1", first.deployment.terms.id)
    );
    clock.advance(SignedDuration::from_secs(24 * 3600 - 1));
    let again = put(store, &record(2, "b"), Some("k")).await;
    assert_eq!(again, Err(Refused::KeyTaken));
    clock.advance(SignedDuration::from_secs(1));
    assert_eq!(store.idempotency("k").await, Ok(None));
    put(store, &record(3, "c"), Some("k"))
        .await
        .expect("a key that has expired");
}

pub async fn a_key_lost_with_the_lock_is_not_taken<S: Store>(store: &S, _: &Clock) {
    let first = created(store, 1, "a").await.deployment.terms.id;
    let refused = put(store, &record(2, "a"), Some("k")).await;
    assert_eq!(refused, Err(Refused::Locked { by: first }));
    assert_eq!(store.idempotency("k").await, Ok(None));
    put(store, &record(3, "b"), Some("k"))
        .await
        .expect("a key that was never taken");
}

pub async fn a_commit_is_held_against_the_version_that_was_read<S: Store>(store: &S, _: &Clock) {
    let read = created(store, 1, "a").await;
    let first = commit(store, &read, &saying(&read, "one"), &[], &[]).await;
    let first = first.expect("nobody else wrote");
    for late in [saying(&read, "two"), judged(&read), read.clone()] {
        let refused = commit(store, &read, &late, &[], &[]).await;
        assert_eq!(
            refused,
            Err(Class::Conflict),
            "even one that changes nothing"
        );
    }
    assert_eq!(load(store, &read.deployment.terms.id).await, first);
}

pub async fn a_commit_is_held_against_the_watermark_that_was_read<S: Store>(store: &S, _: &Clock) {
    let read = created(store, 1, "a").await;
    let grown = commit(store, &read, &judged(&read), &[], &[]).await;
    let grown = grown.expect("nobody else wrote");
    let refused = commit(store, &read, &saying(&read, "stale"), &[], &[]).await;
    assert_eq!(refused, Err(Class::Conflict), "decided on less evidence");
    let refused = commit(store, &read, &judged(&read), &[], &[]).await;
    assert_eq!(refused, Err(Class::Conflict), "a minute is judged once");
    commit(store, &grown, &saying(&grown, "fresh"), &[], &[])
        .await
        .expect("decided on all of it");
}

pub async fn evidence_alone_leaves_the_version<S: Store>(store: &S, clock: &Clock) {
    let read = created(store, 1, "a").await;
    clock.advance(SignedDuration::from_mins(1));
    let grown = commit(store, &read, &judged(&read), &[], &[]).await;
    let grown = grown.expect("nobody else wrote");
    assert_eq!(grown.deployment, read.deployment);
    assert_eq!(load(store, &read.deployment.terms.id).await, judged(&read));
}

pub async fn a_line_of_history_is_written_once<S: Store>(store: &S, _: &Clock) {
    let read = created(store, 1, "a").await;
    let again = &rows().history[..1];
    let refused = commit(store, &read, &saying(&read, "again"), again, &[]).await;
    assert_eq!(refused, Err(Class::Conflict));
    let rest = &rows().history[1..5];
    commit(store, &read, &saying(&read, "more"), rest, &[])
        .await
        .expect("lines that are new");
    let id = &read.deployment.terms.id;
    assert_eq!(store.history(id).await, Ok(rows().history[..5].to_vec()));
}

pub async fn a_refused_commit_leaves_nothing_behind<S: Store>(store: &S, _: &Clock) {
    let read = created(store, 1, "a").await;
    let id = &read.deployment.terms.id;
    commit(store, &read, &saying(&read, "one"), &[], &[])
        .await
        .expect("nobody else wrote");
    let before = load(store, id).await;
    let (entries, minutes) = (&rows().history[1..3], &rows().minutes[..2]);
    let refused = commit(store, &read, &over(&judged(&read)), entries, minutes).await;
    assert_eq!(refused, Err(Class::Conflict));
    assert_eq!(load(store, id).await, before);
    assert_eq!(store.history(id).await, Ok(rows().history[..1].to_vec()));
    assert_eq!(all_minutes(store, id, 10).await, Vec::new());
    assert_eq!(waiting(store, id).await.len(), 1);
    assert_eq!(store.lock_holder("a").await, Ok(Some(id.clone())));
    assert_eq!(active(store).await, Ok(vec![id.clone()]));
}

pub async fn a_record_that_breaks_its_invariants_is_never_written<S: Store>(store: &S, _: &Clock) {
    let read = created(store, 1, "a").await;
    let mut broken = saying(&read, "broken");
    broken.deployment.state.status = Status::Completed;
    let refused = commit(store, &read, &broken, &[], &[]).await;
    assert_eq!(refused, Err(Class::Bug));
    assert_eq!(load(store, &read.deployment.terms.id).await, read);
    let mut broken = record(2, "b");
    broken.deployment.state.status = Status::Completed;
    let refused = put(store, &broken, None).await;
    assert!(
        matches!(&refused, Err(Refused::Port(error)) if error.class == Class::Bug),
        "{refused:?}"
    );
    assert_eq!(store.lock_holder("b").await, Ok(None));
}

pub async fn an_end_frees_the_lock_and_leaves_the_active_list<S: Store>(store: &S, _: &Clock) {
    let read = created(store, 1, "a").await;
    let other = created(store, 2, "b").await.deployment.terms.id;
    let ended = commit(store, &read, &over(&read), &[], &[]).await;
    let ended = ended.expect("nobody else wrote");
    assert!(ended.deployment.state.status.is_terminal());
    assert_eq!(store.lock_holder("a").await, Ok(None));
    assert_eq!(active(store).await, Ok(vec![other.clone()]));
    let third = created(store, 3, "a").await.deployment.terms.id;
    // A record that is over is written again without touching the lock of the next one.
    commit(store, &ended, &saying(&ended, "said again"), &[], &[])
        .await
        .expect("nobody else wrote");
    assert_eq!(store.lock_holder("a").await, Ok(Some(third.clone())));
    assert_eq!(active(store).await, Ok(vec![other, third]));
}

async fn waiting<S: Store>(store: &S, id: &str) -> Vec<OutboxRow> {
    let rows = store.outbox(shard_of(id)).await.expect("a readable outbox");
    let rows = rows.rows;
    let own = rows.into_iter().filter(|row| row.deployment_id == id);
    own.collect()
}

pub async fn the_outbox_is_in_order_until_it_is_sent<S: Store>(store: &S, _: &Clock) {
    let first = created(store, 1, "a").await;
    let id = first.deployment.terms.id.clone();
    let second = created(store, 2, "b").await.deployment.terms.id;
    let next = commit(
        store,
        &first,
        &saying(&first, "x"),
        &rows().history[1..3],
        &[],
    )
    .await;
    let next = next.expect("nobody else wrote");
    commit(
        store,
        &next,
        &saying(&next, "y"),
        &rows().history[3..12],
        &[],
    )
    .await
    .expect("nobody else wrote");
    let rows_found = waiting(store, &id).await;
    let told: Vec<&Entry> = rows_found.iter().map(|row| &row.entry).collect();
    assert_eq!(told, rows().history[..12].iter().collect::<Vec<_>>());
    let row = &rows_found[11];
    assert_eq!(row.event_id, format!("{id}#000012"));
    let terms = &first.deployment.terms;
    assert_eq!(
        (&row.endpoint, &row.model, &row.former_model, row.shard),
        (
            &terms.endpoint,
            &terms.model,
            &terms.former_model,
            shard_of(&id)
        )
    );
    let (first, third) = (&rows_found[0], &rows_found[2]);
    for row in [first, third] {
        let kept = store.half_sent(row, &[Way::Topic]).await;
        kept.expect("a row to keep it in");
    }
    let kept = store.half_sent(&rows_found[3], &[Way::Bus, Way::Topic, Way::OnCall]);
    kept.await.expect("a row to keep them in");
    for row in &rows_found[..2] {
        store.sent(row).await.expect("a row to remove");
        store.sent(row).await.expect("removed already is fine");
    }
    let kept = store.half_sent(first, &[Way::Bus]).await;
    kept.expect("of a row that is gone nothing is kept");
    let mut left = rows_found[2..].to_vec();
    left[0].taken = vec![Way::Topic];
    left[1].taken = vec![Way::Bus, Way::Topic, Way::OnCall];
    assert_eq!(waiting(store, &id).await, left);
    assert_eq!(waiting(store, &second).await.len(), 1);
    let history = store.history(&id).await.expect("a readable history");
    assert_eq!(history.len(), 12, "what was sent stays in the history");
}

pub async fn what_no_record_brings_is_told_once<S: Store>(store: &S, _: &Clock) {
    let id = "rejected-0123456789abcdef0123456789abcdef";
    let terms = &rows().accepted.deployment.terms;
    let row = OutboxRow {
        event_id: event_id(id, 1),
        shard: shard_of(id),
        topics: Topics::default(),
        deployment_id: id.to_owned(),
        endpoint: terms.endpoint.clone(),
        model: terms.model.clone(),
        former_model: String::new(),
        entry: rows().history[0].clone(),
        taken: Vec::new(),
    };
    for _ in 0..2 {
        store.tell(&row).await.expect("room for a row");
        assert_eq!(waiting(store, id).await, std::slice::from_ref(&row));
    }
    store.sent(&row).await.expect("a row to remove");
    assert_eq!(waiting(store, id).await, []);
    assert_eq!(store.load(id).await.expect("a readable table"), None);
}

fn freeze(reason: &str, until: Option<Timestamp>) -> Freeze {
    Freeze {
        reason: reason.to_owned(),
        by: "anna".to_owned(),
        at: start(),
        until,
        prolonged: None,
    }
}

async fn turn<S: Store>(
    store: &S,
    endpoint: &str,
    before: Option<&Freeze>,
    next: Option<&Freeze>,
) -> Result<(), PortError> {
    let told = OutboxRow {
        endpoint: endpoint.to_owned(),
        ..announcement()
    };
    let turn = FreezeTurn {
        endpoint,
        before,
        next,
        told: &told,
    };
    store.turn_freeze(turn).await
}

pub async fn a_freeze_is_the_endpoints_or_everybodys<S: Store>(store: &S, _: &Clock) {
    let (own, all) = (freeze("a sale", None), freeze("the holidays", None));
    let read = async |name: &str| store.freezes(name).await.expect("a readable table");
    let of = |own: Option<&Freeze>, stack: Option<&Freeze>| Freezes {
        own: own.cloned(),
        stack: stack.cloned(),
    };
    assert_eq!(read("a").await, Freezes::default());
    let set = turn(store, "a", None, Some(&own)).await;
    set.expect("room for a row");
    let set = turn(store, EVERY_ENDPOINT, None, Some(&all)).await;
    set.expect("room for a row");
    assert_eq!(read("a").await, of(Some(&own), Some(&all)));
    assert_eq!(read("A").await, of(Some(&own), Some(&all)), "one endpoint");
    assert_eq!(read("b").await, of(None, Some(&all)));
    assert_eq!(read(EVERY_ENDPOINT).await, of(Some(&all), None));
    // It outlasts deployments, and stands in no lock's way.
    created(store, 1, "a").await;
    let lifted = turn(store, EVERY_ENDPOINT, Some(&all), None).await;
    lifted.expect("a freeze to lift");
    assert_eq!(read("A").await, of(Some(&own), None));
}

pub async fn a_turn_of_the_switch_is_held_against_what_was_read<S: Store>(store: &S, _: &Clock) {
    let hour = start() + SignedDuration::from_hours(1);
    let (own, longer) = (freeze("a sale", Some(hour)), freeze("a sale", None));
    let refused = async |before: Option<&Freeze>, next: Option<&Freeze>| {
        let turned = turn(store, "a", before, next).await;
        assert_eq!(turned.expect_err("a conflict").class, Class::Conflict);
    };
    let told = announcement();
    refused(Some(&own), None).await;
    refused(Some(&own), Some(&longer)).await;
    assert_eq!(waiting(store, &told.deployment_id).await, []);
    let set = turn(store, "a", None, Some(&own)).await;
    set.expect("room for a row");
    assert_eq!(
        waiting(store, &told.deployment_id).await.len(),
        1,
        "told with it"
    );
    refused(None, Some(&longer)).await;
    refused(Some(&longer), None).await;
    let found = store.freezes("a").await.expect("a readable table");
    assert_eq!(found.own.as_ref(), Some(&own));
    let set = turn(store, "a", Some(&own), Some(&longer)).await;
    set.expect("what was read");
    let lifted = turn(store, "a", Some(&longer), None).await;
    lifted.expect("what was read");
    let found = store.freezes("a").await.expect("a readable table");
    assert_eq!(found, Freezes::default());
}

pub async fn nothing_begins_past_a_switch_that_was_turned<S: Store>(store: &S, _: &Clock) {
    let loaded = record(1, "a");
    let begin = async |read: &Freezes| {
        let creation = Creation {
            loaded: &loaded,
            specification: &json!({"endpoint": "a"}),
            past: &rows().past,
            entry: &rows().history[0],
            idempotency: None,
            freezes: Some(read),
        };
        store.create(creation).await
    };
    let over = freeze("a sale", Some(start()));
    for name in ["a", EVERY_ENDPOINT] {
        let read = store.freezes("a").await.expect("a readable table");
        let set = turn(store, name, None, Some(&over)).await;
        set.expect("room for a row");
        assert_eq!(begin(&read).await, Err(Refused::FreezeTurned), "{name}");
        assert_eq!(store.load(&loaded.deployment.terms.id).await, Ok(None));
    }
    let read = store.freezes("a").await.expect("a readable table");
    let lifted = turn(store, "a", Some(&over), None).await;
    lifted.expect("a freeze to lift");
    assert_eq!(begin(&read).await, Err(Refused::FreezeTurned), "or lifted");
    let read = store.freezes("a").await.expect("a readable table");
    assert_eq!(begin(&read).await, Ok(()), "one that is over lies there");
}

/// Every page's rows, as many at once.
async fn all_minutes<S: Store>(store: &S, id: &str, limit: usize) -> Vec<MinuteReport> {
    let (mut found, mut cursor) = (Vec::new(), None);
    for _ in 0..20 {
        let page = store.minutes(id, limit, cursor.as_deref()).await;
        let page = page.expect("a readable page");
        assert!(page.items.len() <= limit);
        found.extend(page.items);
        cursor = page.cursor;
        if cursor.is_none() {
            return found;
        }
    }
    panic!("pages without an end");
}

pub async fn minutes_come_newest_first_page_by_page<S: Store>(store: &S, _: &Clock) {
    let read = created(store, 1, "a").await;
    let id = &read.deployment.terms.id;
    let mut written = rows().minutes[..7].to_vec();
    written.reverse();
    let next = commit(store, &read, &judged(&read), &[], &written[..3]).await;
    let next = next.expect("nobody else wrote");
    commit(store, &next, &judged(&next), &[], &written[3..])
        .await
        .expect("nobody else wrote");
    let times = |reports: &[MinuteReport]| -> Vec<Timestamp> {
        reports.iter().map(|report| report.minute).collect()
    };
    for limit in [1, 2, 3, 7, 8] {
        let found = all_minutes(store, id, limit).await;
        assert_eq!(times(&found), times(&rows().minutes[..7]));
    }
}

pub async fn evidence_comes_back_bit_by_bit<S: Store>(store: &S, _: &Clock) {
    let mut read = created(store, 1, "a").await;
    assert!(rows().evidence.len() > 5, "a rollout that was judged");
    for evidence in &rows().evidence {
        let mut next = read.clone();
        next.evidence = evidence.clone();
        let written = commit(store, &read, &next, &[], &[]).await;
        assert_eq!(written.expect("nobody else wrote"), next);
        read = load(store, &read.deployment.terms.id).await;
        let through = evidence.judged_through;
        assert_eq!(read.evidence, *evidence, "the evidence through {through}");
    }
}

pub async fn lists_come_newest_first_page_by_page<S: Store>(store: &S, clock: &Clock) {
    // A list begins with the month that it is.
    clock.advance(SignedDuration::from_hours(1));
    let mut ids = Vec::new();
    for number in 1..=5 {
        let endpoint = if number % 2 == 0 { "even" } else { "odd" };
        let loaded = created(store, number, endpoint).await;
        commit(store, &loaded, &over(&loaded), &[], &[])
            .await
            .expect("nobody else wrote");
        ids.insert(0, loaded.deployment.terms.id);
    }
    let [newest, .., oldest] = ids.as_slice() else {
        panic!("five deployments");
    };
    for (endpoint, expected) in [
        (None, ids.clone()),
        (Some("even"), vec![ids[1].clone(), ids[3].clone()]),
        (Some("nobody"), Vec::new()),
    ] {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let query = ListQuery {
                endpoint: endpoint.map(str::to_owned),
                limit: 2,
                cursor,
            };
            let page = store.list(&query).await.expect("a readable list");
            found.extend(page.items.into_iter().map(|one| one.terms.id));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{endpoint:?}");
    }
    assert!(newest > oldest);
}

/// A line of a rollout's history as it waits in the outbox.
pub fn announcement() -> OutboxRow {
    let terms = &rows().accepted.deployment.terms;
    let entry = rows().history[1].clone();
    OutboxRow {
        event_id: event_id(&terms.id, entry.seq),
        shard: shard_of(&terms.id),
        topics: Topics::default(),
        deployment_id: terms.id.clone(),
        endpoint: terms.endpoint.clone(),
        model: terms.model.clone(),
        former_model: terms.former_model.clone(),
        entry,
        taken: Vec::new(),
    }
}
