//! Records as every version of this code has written them, and what the present one makes of them.
//!
//! Old and new functions share the records while a stack is updated, and a deployment may be half
//! way when it is. So the record of the version before is read, one of a version to come or of one
//! long gone is refused, and `shared/src/wire/fixtures/v1/` and its successors hold the table as
//! each version wrote it: an item a line, in DynamoDB's own JSON.
//!
//! Whoever raises `SCHEMA_VERSION` runs, with the code that writes the new version for the first
//! time,
//!
//! `cargo run -p tests --example record_fixture -- shared/src/wire/fixtures`
//!
//! and commits the new folder. A folder that is there is never written again.

use std::path::Path;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Item, loaded, read};
use crate::app::ports::{Class, Loaded};
use crate::domain::decide::settle;
use crate::domain::deployment::SCHEMA_VERSION;
use crate::domain::due::due;
use crate::domain::judge::MinuteReport;
use crate::domain::observation::{AlarmReading, EndpointReading, Metrics, Observation, Series};
use crate::domain::quantity::Weight;
use crate::domain::state::{Interrupted, Outcome, Phase, Status};
use crate::wire::items::{CheckItem, EntryItem, KeyItem, LockItem, OutboxItem, PastItem};
use crate::wire::specification;

/// The deployments that every version has recorded.
pub(super) const NAMES: [&str; 4] = ["baking", "paused", "rolling_back", "completed"];

/// One deployment's items, as DynamoDB's JSON.
#[derive(Debug, Clone)]
pub(super) struct Fixture(pub(super) Vec<Value>);

impl Fixture {
    pub(super) fn read(version: u32, name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("src/wire/fixtures/v{version}/{name}.json"));
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}; record it", file.display()));
        Self(serde_json::from_str(&text).expect("a fixture is a list of items"))
    }

    /// The items whose sort key begins like this.
    pub(super) fn find(&self, sort_key: &str) -> Vec<&Value> {
        let fits = |item: &&Value| {
            item["sk"]["S"]
                .as_str()
                .is_some_and(|sk| sk.starts_with(sort_key))
        };
        self.0.iter().filter(fits).collect()
    }

    pub(super) fn only(&self, sort_key: &str) -> Value {
        let [one] = self.find(sort_key)[..] else {
            panic!("one {sort_key}")
        };
        one.clone()
    }

    pub(super) fn id(&self) -> String {
        let id = self.only("META")["deployment_id"]["S"].clone();
        id.as_str().expect("an id").to_owned()
    }

    /// SPEC, META and EVIDENCE, as `load` reads them.
    pub(super) fn record(&self) -> [Value; 3] {
        ["SPEC", "META", "EVIDENCE"].map(|sort_key| self.only(sort_key))
    }
}

/// An item out of DynamoDB's JSON; `None` for what DynamoDB can't hold.
pub(super) fn item(typed: &Value) -> Option<Item> {
    let fields = typed.as_object()?.iter();
    fields
        .map(|(name, value)| Some((name.clone(), attribute(value)?)))
        .collect()
}

fn attribute(typed: &Value) -> Option<AttributeValue> {
    let fields = typed.as_object()?;
    let (kind, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    let text = || value.as_str().map(str::to_owned);
    let texts = || {
        let items = value.as_array()?.iter();
        items
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
    };
    Some(match kind.as_str() {
        "S" => AttributeValue::S(text()?),
        "N" => AttributeValue::N(text()?),
        "B" => AttributeValue::B(Blob::new(text()?)),
        "BOOL" => AttributeValue::Bool(value.as_bool()?),
        "NULL" => AttributeValue::Null(value.as_bool()?),
        "M" => AttributeValue::M(item(value)?),
        "L" => {
            let items = value.as_array()?.iter();
            AttributeValue::L(items.map(attribute).collect::<Option<_>>()?)
        }
        "SS" => AttributeValue::Ss(texts()?),
        "NS" => AttributeValue::Ns(texts()?),
        _ => return None,
    })
}

pub(super) fn load(id: &str, record: &[Value; 3]) -> Result<Loaded, crate::app::ports::PortError> {
    let [spec, meta, evidence] = record
        .each_ref()
        .map(|typed| item(typed).expect("what DynamoDB can hold"));
    loaded(id, spec, meta, evidence)
}

/// The endpoint gone, and no minute read: enough for a pass over any record.
pub(super) fn seen(endpoint: EndpointReading, record: &Loaded, now: Timestamp) -> Observation {
    let from = record.evidence.unjudged_from();
    let nothing = || Series::Read(std::collections::BTreeMap::new());
    Observation {
        endpoint,
        metrics: Metrics {
            from,
            through: from.min(now),
            canary: nothing(),
            production: nothing(),
            unread: std::collections::BTreeMap::new(),
        },
        alarms: AlarmReading::NotAsked,
        freeze: crate::domain::freeze::FreezeReading::NotAsked,
    }
}

fn readable() -> std::ops::RangeInclusive<u32> {
    SCHEMA_VERSION.saturating_sub(1).max(1)..=SCHEMA_VERSION
}

fn weight(percent: u8) -> Weight {
    Weight::new(percent).expect("a percentage")
}

#[test]
fn there_is_a_fixture_of_every_version() {
    for version in 1..=SCHEMA_VERSION {
        for name in NAMES {
            let meta = Fixture::read(version, name).only("META");
            let written = json!({"N": version.to_string()});
            assert_eq!(meta["schema_version"], written, "v{version}/{name}");
        }
    }
}

#[test]
fn the_records_of_this_version_and_the_one_before_are_read() {
    let expected = [
        (Status::InProgress, Phase::Baking, 10, None, None),
        (
            Status::InProgress,
            Phase::Paused,
            10,
            Some(Interrupted::Bake),
            None,
        ),
        (
            Status::RollingBack,
            Phase::Reverting,
            10,
            None,
            Some(Outcome::RolledBack),
        ),
        (
            Status::Completed,
            Phase::Ended,
            100,
            None,
            Some(Outcome::Completed),
        ),
    ];
    for version in readable() {
        for (name, (status, phase, percent, interrupted, outcome)) in NAMES.iter().zip(expected) {
            let fixture = Fixture::read(version, name);
            let record = load(&fixture.id(), &fixture.record()).expect(name);
            let (terms, state) = (&record.deployment.terms, &record.deployment.state);
            assert_eq!(
                (
                    state.status,
                    state.phase,
                    state.weight,
                    state.interrupted,
                    state.outcome
                ),
                (status, phase, weight(percent), interrupted, outcome),
                "v{version}/{name}"
            );
            assert_eq!(terms.endpoint, "recorded");
            assert_eq!(terms.model, "wine-quality-v2");
            assert_eq!(terms.former_model, "recorded-v1");
            assert_eq!(
                (terms.id.as_str(), terms.production.as_str()),
                (fixture.id().as_str(), "production")
            );
            assert!(record.evidence.canary.invocations > 0, "{name}");
            assert!(!record.evidence.signals.is_empty(), "{name}");
        }
    }
}

/// The terms hold everything that the specification said, in every version.
#[test]
fn the_specification_means_what_it_meant() {
    for version in readable() {
        let fixture = Fixture::read(version, "baking");
        let spec = fixture.only("SPEC");
        let given = spec["specification"]["S"].as_str().expect("JSON text");
        let given = serde_json::from_str(given).expect("a specification is JSON");
        let meant = specification::parse(&given).expect("a valid specification");
        let terms = load(&fixture.id(), &fixture.record())
            .expect("readable")
            .deployment
            .terms;
        assert_eq!(terms.plan, meant.plan);
        assert_eq!(terms.policy, meant.policy);
        assert_eq!(terms.capacity, meant.capacity);
        assert_eq!(terms.cleanup, meant.cleanup);
        assert_eq!(terms.topics, meant.topics);
    }
}

#[test]
fn a_pass_goes_over_every_record_that_is_read() {
    for version in readable() {
        for name in NAMES {
            let fixture = Fixture::read(version, name);
            let record = load(&fixture.id(), &fixture.record()).expect(name);
            let now = record.deployment.state.updated_at + SignedDuration::from_mins(3);
            for endpoint in [
                EndpointReading::Missing,
                EndpointReading::Failed {
                    reason: "throttled".to_owned(),
                },
            ] {
                let seen = seen(endpoint.clone(), &record, now);
                let decision = settle(&record.deployment, &record.evidence, &seen, now)
                    .expect("a transition of the table");
                assert_eq!(
                    crate::domain::invariants::violations(&decision.next),
                    Vec::<String>::new(),
                    "v{version}/{name}"
                );
                due(&decision.next, &decision.evidence, &endpoint, now);
            }
        }
    }
}

#[test]
fn everything_beside_the_record_is_read() {
    for version in readable() {
        for name in NAMES {
            let fixture = Fixture::read(version, name);
            let id = fixture.id();
            let items = |sort_key: &str| -> Vec<Item> {
                let found = fixture.find(sort_key).into_iter();
                found.map(|typed| item(typed).expect("an item")).collect()
            };
            let past: PastItem = read(items("PAST").remove(0)).expect("PAST");
            assert!(!past.recorded().expect("minutes").is_empty());
            for check in items("CHECK#") {
                let check: CheckItem = read(check).expect("CHECK");
                serde_json::from_str::<MinuteReport>(&check.report).expect("a report");
            }
            let entries: Vec<EntryItem> = items("EV#")
                .into_iter()
                .map(|item| read(item).expect("EV"))
                .collect();
            let rows: Vec<OutboxItem> = items(&format!("{id}#"))
                .into_iter()
                .map(|item| read(item).expect("OUTBOX"))
                .collect();
            assert_eq!(
                entries.len(),
                rows.len(),
                "each line of history is announced"
            );
            for (entry, row) in entries.iter().zip(&rows) {
                assert_eq!(entry.entry, row.entry);
            }
            let key: KeyItem = read(items("IDEM").remove(0)).expect("IDEM");
            assert_eq!(key.deployment_id, id);
            for lock in items("LOCK") {
                assert_eq!(read::<LockItem>(lock).expect("LOCK").deployment_id, id);
            }
        }
    }
}

/// SPEC keeps the version it was accepted under; META gets the one that wrote it last.
#[test]
fn other_versions_are_refused_with_the_way_out() {
    let fixture = Fixture::read(SCHEMA_VERSION, "baking");
    let long_gone = (0..*readable().start()).map(|version| (version, "finish it with"));
    let to_come = [SCHEMA_VERSION + 1, 999, u32::MAX].map(|version| (version, "bring the newer"));
    for (version, way_out) in long_gone.chain(to_come) {
        for part in [0, 1] {
            let mut record = fixture.record();
            record[part]["schema_version"] = json!({"N": version.to_string()});
            let error = load(&fixture.id(), &record).expect_err("refused");
            assert_eq!(error.class, Class::Bug);
            for piece in [&fixture.id(), &version.to_string(), way_out] {
                assert!(error.message.contains(piece), "{piece}: {error}");
            }
        }
    }
    for unreadable in [
        json!({"S": "1"}),
        json!({"N": "-1"}),
        json!({"N": "4294967296"}),
        json!({"NULL": true}),
    ] {
        let mut record = fixture.record();
        record[1]["schema_version"] = unreadable;
        let error = load(&fixture.id(), &record).expect_err("refused");
        assert!(error.message.contains("no schema version"), "{error}");
    }
}

/// Nothing acts on a record that can't be, however it came to be.
#[test]
fn a_record_that_breaks_a_rule_is_refused() {
    let fixture = Fixture::read(SCHEMA_VERSION, "baking");
    let state = |field: &str, value: Value| {
        let mut record = fixture.record();
        record[1]["state"]["M"][field] = value;
        record
    };
    let text = |text: &str| json!({"S": text});
    let mut elsewhere = fixture.record();
    elsewhere[0]["terms"]["M"]["id"] = text("019cad9b-0000-7000-8000-000000000000");
    let mut watermark = fixture.record();
    watermark[2]["judged_through"] = text("2026-03-02T08:00:00Z");
    for (record, rule) in [
        (
            state("target", json!({"N": "50"})),
            "confirmed while a stage is judged",
        ),
        (
            state("phase", text("Ended")),
            "the phase belongs to the status",
        ),
        (state("outcome", text("Completed")), "an outcome is set"),
        (state("version", json!({"N": "11"})), "version"),
        (state("weight", json!({"N": "101"})), "0 to 100"),
        (elsewhere, "another deployment"),
        (watermark, "watermark"),
    ] {
        let error = load(&fixture.id(), &record).expect_err(rule);
        assert_eq!(error.class, Class::Bug);
        assert!(error.message.contains(rule), "{rule}: {error}");
    }
}
