//! Records that somebody edited by hand, that half arrived, or that another program wrote: what is
//! read keeps every rule and survives a pass, and everything else is refused.
//!
//! The valid ones are the fixtures, so every shape that was ever written is broken here too.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde::de::DeserializeOwned;
use serde_json::Value;
use simulator::malformed::{self, Choices};

use super::fixtures::{Fixture, NAMES, item, seen};
use super::{evidence_item, loaded, read, write};
use crate::app::ports::Loaded;
use crate::domain::decide::{effect_after, settle};
use crate::domain::deployment::SCHEMA_VERSION;
use crate::domain::invariants;
use crate::domain::judge::MinuteReport;
use crate::domain::observation::{EndpointReading, EndpointStatus, EndpointView, VariantView};
use crate::domain::replay::{Pair, Recorded};
use crate::wire::items::{
    CheckItem, EntryItem, KeyItem, LockItem, MetaItem, OutboxItem, PastItem, SpecItem,
};
use crate::wire::messages::{self, About};

fn fixtures() -> Vec<Fixture> {
    NAMES
        .iter()
        .map(|name| Fixture::read(SCHEMA_VERSION, name))
        .collect()
}

/// The endpoint as the record would have it.
fn as_intended(record: &Loaded) -> EndpointReading {
    let (terms, state) = (&record.deployment.terms, &record.deployment.state);
    let variant = |name: &String, share: f64| VariantView {
        name: name.clone(),
        current_weight: share,
        desired_weight: share,
        current_instances: 2,
        desired_instances: 2,
    };
    let share = state.weight.fraction();
    EndpointReading::Seen(EndpointView {
        name: terms.endpoint.clone(),
        status: EndpointStatus::InService,
        config: terms.canary_config.clone(),
        created_at: terms.endpoint_created_at,
        modified_at: None,
        failure: None,
        variants: vec![
            variant(&terms.production, 1.0 - share),
            variant(&terms.canary, share),
        ],
    })
}

/// One pass over a record that was read, and the record that it makes.
fn pass_over(record: &Loaded, choices: &mut Choices<'_>) {
    // Some minutes after the fixtures were recorded, whatever the record says.
    let now = "2026-03-02T09:00:00Z".parse().expect("a time");
    let endpoint = match choices.below(3) {
        0 => EndpointReading::Missing,
        1 => EndpointReading::Failed {
            reason: "throttled".to_owned(),
        },
        _ => as_intended(record),
    };
    let seen = seen(endpoint, record, now);
    let decision = settle(&record.deployment, &record.evidence, &seen, now)
        .expect("a transition of the table");
    assert_eq!(invariants::violations(&decision.next), Vec::<String>::new());
    effect_after(&decision, &seen.endpoint, now);
}

fn assert_comes_back(record: &Loaded) {
    let (terms, state) = (&record.deployment.terms, &record.deployment.state);
    let spec = SpecItem {
        pk: String::new(),
        sk: "SPEC".to_owned(),
        schema_version: SCHEMA_VERSION,
        terms: terms.clone(),
        specification: "{}".to_owned(),
    };
    let meta = MetaItem::new(&record.deployment, state.version, 0);
    let again = loaded(
        &terms.id,
        write(&spec).expect("written"),
        write(&meta).expect("written"),
        write(&evidence_item(&terms.id, &record.evidence).expect("JSON")).expect("written"),
    );
    let mut written = record.clone();
    written.deployment.state.schema_version = SCHEMA_VERSION;
    let again = again.expect("what was written can be read");
    assert_eq!(again.deployment, written.deployment);
    assert_eq!(again.evidence, written.evidence);
}

#[test]
fn every_record_is_refused_or_survives_a_pass() {
    let (fixtures, survivors) = (fixtures(), AtomicUsize::new(0));
    bolero::check!()
        .with_iterations(2000)
        .with_max_len(96)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let fixture = choices.of(&fixtures);
            let mut record = fixture.record();
            let part = choices.below(3);
            let Some(broken) = break_part(&record[part], part, &mut choices) else {
                return;
            };
            record[part] = broken;
            let [Some(spec), Some(meta), Some(evidence)] = record.each_ref().map(item) else {
                return;
            };
            match loaded(&fixture.id(), spec, meta, evidence) {
                Ok(record) => {
                    assert_eq!(
                        invariants::violations(&record.deployment),
                        Vec::<String>::new()
                    );
                    assert_comes_back(&record);
                    pass_over(&record, &mut choices);
                    survivors.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => assert!(!error.message.is_empty()),
            }
        });
    // Else the passes were never tried.
    assert!(survivors.into_inner() > 100);
}

/// The item as DynamoDB holds it, or the JSON text inside of it.
fn break_part(typed: &Value, part: usize, choices: &mut Choices<'_>) -> Option<Value> {
    if part < 2 || choices.below(4) == 0 {
        return malformed::value(typed, choices);
    }
    let text = typed["evidence"]["S"].as_str()?;
    let inner: Value = serde_json::from_str(text).ok()?;
    let mut broken = typed.clone();
    broken["evidence"]["S"] = malformed::json(&inner, choices).into();
    // The attribute follows, so that it is not the watermark alone that is refused.
    if let Ok(Value::Object(fields)) = serde_json::from_str(broken["evidence"]["S"].as_str()?) {
        broken["judged_through"]["S"] = fields.get("judged_through")?.clone();
    }
    Some(broken)
}

fn each<T: DeserializeOwned>(sort_key: &str, iterations: usize, check: fn(T)) {
    let fixtures = fixtures();
    let items: Vec<&Value> = fixtures
        .iter()
        .flat_map(|fixture| fixture.find(sort_key))
        .collect();
    bolero::check!()
        .with_iterations(iterations)
        .with_max_len(64)
        .for_each(|bytes: &[u8]| {
            let mut choices = Choices::new(bytes);
            let typed: &&Value = choices.of(&items);
            let broken = malformed::value(typed, &mut choices);
            if let Some(Ok(read)) = broken.as_ref().and_then(item).map(read::<T>) {
                check(read);
            }
        });
}

#[test]
fn every_past_is_read_or_refused() {
    each("PAST", 500, |past: PastItem| drop(past.recorded()));
    let fixture = Fixture::read(SCHEMA_VERSION, "baking").only("PAST");
    let text: Value =
        serde_json::from_str(fixture["past"]["S"].as_str().expect("JSON text")).expect("columns");
    bolero::check!()
        .with_iterations(1000)
        .with_max_len(64)
        .for_each(|bytes: &[u8]| {
            let item = PastItem {
                pk: String::new(),
                sk: "PAST".to_owned(),
                past: malformed::json(&text, &mut Choices::new(bytes)),
            };
            let Ok(minutes) = item.recorded() else { return };
            let again = PastItem::new("id", &minutes).expect("JSON");
            // What an item has room for comes back whole.
            if item.past.len() < 100_000 {
                let again = again.recorded().expect("what was written can be read");
                assert_eq!(again.len(), minutes.len());
            }
        });
}

#[test]
fn every_row_of_evidence_is_read_or_refused() {
    each("CHECK#", 500, |check: CheckItem| {
        if let Ok(report) = serde_json::from_str::<MinuteReport>(&check.report) {
            Recorded::of(&report);
        }
    });
}

#[test]
fn every_line_of_history_is_read_or_refused() {
    each("EV#", 500, |item: EntryItem| {
        drop(item.entry.event.to_string());
    });
    each("IDEM", 300, |item: KeyItem| drop(item.digest));
    each("LOCK", 300, |item: LockItem| drop(item.deployment_id));
}

/// Names alone can be larger than an item: there is nothing left to leave out.
#[test]
fn a_past_of_endless_names_has_an_end() {
    let signals = [("x".repeat(400_000), Pair::default())].into();
    let minutes = [Recorded { minute: 1, signals }];
    let item = PastItem::new("id", &minutes).expect("JSON");
    assert!(item.recorded().expect("columns").is_empty());
}

/// SNS refuses a subject of more than 100 characters, and one with a line break.
#[test]
fn every_announcement_that_is_read_can_be_sent() {
    each("019c", 1000, |row: OutboxItem| {
        let about = About {
            event_id: &row.sk,
            deployment_id: &row.deployment_id,
            endpoint: &row.endpoint,
            model: &row.model,
            former_model: &row.former_model,
            entry: &row.entry,
            approvals: None,
            draft: None,
        };
        let subject = messages::subject(about);
        let fits = |c: char| c.is_ascii() && !c.is_ascii_control();
        assert!(
            subject.len() <= 100 && subject.chars().all(fits),
            "{subject}"
        );
        assert!(messages::by_protocol(about)["default"].is_string());
        assert!(messages::sms(about).chars().count() <= 140);
        messages::attributes(about);
    });
}
