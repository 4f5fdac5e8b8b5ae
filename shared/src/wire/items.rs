//! The items of the one table, and their keys. Values are documents made of the same serde types
//! that the domain uses; `schema_version` says of which shape.
//!
//! | key | holds |
//! |---|---|
//! | `EP#{endpoint}` / `LOCK` | the one deployment that is not over |
//! | `EP#{endpoint}` / `FREEZE` | a freeze, whether or not a deployment runs; of `EP#*`, the stack's |
//! | `DEP#{id}` / `SPEC` | terms and specification as given, immutable |
//! | `DEP#{id}` / `META` | the state, with the attributes of the indexes |
//! | `DEP#{id}` / `PAST` | production's minutes before the rollout, immutable |
//! | `DEP#{id}` / `EVIDENCE` | what has been measured |
//! | `DEP#{id}` / `CHECK#{minute}` | one minute's row of evidence (TTL) |
//! | `DEP#{id}` / `EV#{seq}` | one line of history |
//! | `OUTBOX#{shard}` / `{event id}` | announced, not yet sent |
//! | `IDEM#{role}#{key}` / `IDEM` | an idempotency key (TTL 24 h) |
//! | `KEY#inference` / `KEY` | the keys that sign the ids of predictions |
//! | `FB#{request}` / `FB` | a prediction that was labelled (TTL) |

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::comparison::Counts;
use crate::domain::deployment::{Deployment, SCHEMA_VERSION, State, Terms};
use crate::domain::evidence::Evidence;
use crate::domain::freeze::Freeze;
use crate::domain::history::{Entry, Topics, Way};
use crate::domain::judge::MinuteReport;
use crate::domain::quantity::Span;
use crate::domain::replay::{Pair, Recorded};
use crate::wire::base64url;
use crate::wire::inference_id::{Key, Keys, Secret};

/// How long a row of evidence is kept.
pub const CHECK_LIFETIME: Span = Span::from_hours(90 * 24);
/// How long an idempotency key is remembered.
pub const KEY_LIFETIME: Span = Span::from_hours(24);
/// How long after a prediction its label still counts.
pub const LABEL_LIFETIME: Span = Span::from_hours(30 * 24);
/// How long a key signs; what it signed counts for as long again, which is longer than a label may take.
pub const SIGNING_LIFETIME: Span = Span::from_hours(90 * 24);
/// The partition key of the row of signing keys.
pub const SIGNING_KEYS: &str = "KEY#inference";
/// The most bytes of [`PastItem::past`]: an item holds 400 KB.
const PAST_LIMIT: usize = 380_000;
/// The constant sort key of the active index.
pub const ACTIVE_KEY: &str = "ACTIVE";

/// `EP#{endpoint}` / `LOCK`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LockItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// Who holds it.
    pub deployment_id: String,
}

/// Sort key of a freeze.
pub const FREEZE_KEY: &str = "FREEZE";

/// `EP#{endpoint}` / `FREEZE`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FreezeItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// The freeze.
    pub freeze: Freeze,
}

/// `DEP#{id}` / `SPEC`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpecItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// The shape of `terms`.
    pub schema_version: u32,
    /// What was accepted.
    pub terms: Terms,
    /// The specification as JSON text, as it was given.
    pub specification: String,
}

/// `DEP#{id}` / `META`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MetaItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// The shape of `state`.
    pub schema_version: u32,
    /// What every write is conditional on.
    pub version: u64,
    /// For people who look at the table.
    pub status: String,
    /// The deployment's id.
    pub deployment_id: String,
    /// Sort key of the lists.
    pub created_at: String,
    /// Partition key of the list of all: `LIST#{yyyymm}`.
    pub list_month: String,
    /// Partition key of the endpoint's list: `ENDPOINT#{name}`.
    pub endpoint_name: String,
    /// Partition key of the sparse active index; absent once the deployment is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_shard: Option<String>,
    /// Its constant sort key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_key: Option<String>,
    /// What is committed.
    pub state: State,
}

/// `DEP#{id}` / `EVIDENCE`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvidenceItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// What every write is conditional on.
    pub judged_through: String,
    /// As JSON text: floating-point state must come back bit by bit.
    pub evidence: String,
}

/// `DEP#{id}` / `PAST`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PastItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// As JSON text, see [`Columns`].
    pub past: String,
}

/// `KEY#inference` / `KEY`.
#[derive(Clone, Serialize, Deserialize)]
pub struct SigningKeysItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// What every write is conditional on.
    pub version: u64,
    /// When `current` was made, in seconds since 1970.
    pub made_at: i64,
    /// The key that signs.
    pub current: KeyText,
    /// The one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<KeyText>,
}

/// A key in base64url.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyText {
    /// Its number.
    pub number: u8,
    /// 32 random bytes.
    pub secret: String,
}

impl From<&Key> for KeyText {
    fn from(key: &Key) -> Self {
        Self {
            number: key.number,
            secret: base64url::encode(&key.secret),
        }
    }
}

impl KeyText {
    fn key(&self) -> Option<Key> {
        Some(Key {
            number: self.number,
            secret: base64url::decode(&self.secret)?.try_into().ok()?,
        })
    }
}

impl SigningKeysItem {
    /// The row with a new key, made from these random bytes, in place of the one that signed before.
    pub fn after(before: Option<&Self>, secret: Secret, now: Timestamp) -> Self {
        let number = before.map_or(0, |before| before.current.number.wrapping_add(1));
        Self {
            pk: SIGNING_KEYS.to_owned(),
            sk: "KEY".to_owned(),
            version: before.map_or(1, |before| before.version + 1),
            made_at: now.as_second(),
            current: KeyText::from(&Key { number, secret }),
            former: before.map(|before| before.current.clone()),
        }
    }

    /// Whether the key that signs has done so for long enough.
    pub fn is_old(&self, now: Timestamp) -> bool {
        let lifetime = i64::try_from(SIGNING_LIFETIME.secs()).unwrap_or(i64::MAX);
        now.as_second().saturating_sub(self.made_at) >= lifetime
    }

    /// The keys; nothing where the row holds none.
    pub fn keys(&self) -> Option<Keys> {
        Some(Keys {
            current: self.current.key()?,
            former: match &self.former {
                None => None,
                Some(former) => Some(former.key()?),
            },
        })
    }
}

/// `FB#{request}` / `FB`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabelItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// Who wrote it: the same write once more is no second label.
    pub by: String,
    /// TTL, seconds since 1970.
    pub expires_at: i64,
}

impl LabelItem {
    /// The row of a request that is labelled. A day longer than its label counts: whoever comes then is
    /// late, not second.
    pub fn new(request: &str, by: String, made_at: Timestamp) -> Self {
        let kept = Span::from_secs(LABEL_LIFETIME.secs() + 24 * 3600);
        Self {
            pk: format!("FB#{request}"),
            sk: "FB".to_owned(),
            by,
            expires_at: expiry(made_at, kept),
        }
    }
}

/// A day of minutes as columns: an item holds 400 KB, and names would fill it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Columns {
    signals: Vec<String>,
    /// The minute's number, then n and x of each signal; null where it was not measured.
    minutes: Vec<Vec<Option<u64>>>,
}

/// `DEP#{id}` / `CHECK#{minute}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// TTL, seconds since 1970.
    pub expires_at: i64,
    /// As JSON text.
    pub report: String,
}

/// `DEP#{id}` / `EV#{seq}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntryItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// The line.
    pub entry: Entry,
}

/// `OUTBOX#{shard}` / `{event id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutboxItem {
    /// Partition key.
    pub pk: String,
    /// Sort key, and the stable event id.
    pub sk: String,
    /// The topics that the deployment named.
    #[serde(flatten)]
    pub topics: Topics,
    /// The deployment's id.
    pub deployment_id: String,
    /// The endpoint.
    pub endpoint: String,
    /// The new model.
    pub model: String,
    /// The former model.
    pub former_model: String,
    /// What happened.
    pub entry: Entry,
    /// The one of bus and topic that took it already, while the other has not: all that the version
    /// before knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Way>,
    /// The ways that took it already, while another has not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_by: Vec<Way>,
}

/// `IDEM#{role}#{key}` / `IDEM`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyItem {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// SHA-256 of the request.
    pub digest: String,
    /// The deployment it made.
    pub deployment_id: String,
    /// TTL, seconds since 1970.
    pub expires_at: i64,
}

/// Partition key of a deployment's items.
pub fn deployment_key(id: &str) -> String {
    format!("DEP#{id}")
}

/// Partition key of an endpoint's lock and of its freeze. In lower case: SageMaker has no two endpoints
/// whose names differ in case alone, so what is held under any spelling is held under all.
pub fn lock_key(endpoint: &str) -> String {
    format!("EP#{}", endpoint.to_ascii_lowercase())
}

/// Partition key of a part of the outbox.
pub fn outbox_key(shard: u8) -> String {
    format!("OUTBOX#{shard}")
}

/// Partition key of a part of the active index.
pub fn active_key(shard: u8) -> String {
    format!("ACTIVE#{shard}")
}

/// Partition key of an idempotency key.
pub fn idempotency_key(key: &str) -> String {
    format!("IDEM#{key}")
}

/// Partition key of the list of all, by month.
pub fn month_key(at: Timestamp) -> String {
    format!("LIST#{}", at.strftime("%Y%m"))
}

/// Partition key of an endpoint's list.
pub fn endpoint_key(endpoint: &str) -> String {
    format!("ENDPOINT#{endpoint}")
}

/// Sort key of a line of history.
pub fn entry_key(seq: u64) -> String {
    format!("EV#{seq:06}")
}

/// Sort key of a row of evidence.
pub fn check_key(minute: Timestamp) -> String {
    format!("CHECK#{minute}")
}

/// Sort key of a record in the lists: the id sorts by time and breaks ties.
pub fn created_key(terms: &Terms) -> String {
    format!("{}#{}", terms.created_at, terms.id)
}

/// Whether a text is the sort key of a record in the lists, and so a cursor that was given out.
pub fn is_created_key(text: &str) -> bool {
    text.split_once('#').is_some_and(|(created_at, id)| {
        created_at
            .parse::<Timestamp>()
            .is_ok_and(|at| at.to_string() == created_at)
            && uuid::Uuid::try_parse(id).is_ok_and(|id_read| id_read.to_string() == id)
    })
}

/// Whether a text is the sort key of a row of evidence, and so a cursor that was given out.
pub fn is_check_key(text: &str) -> bool {
    text.strip_prefix("CHECK#")
        .and_then(|minute| minute.parse().ok())
        .is_some_and(|minute| check_key(minute) == text)
}

/// The stable id of an announcement: the same however often it is sent.
pub fn event_id(deployment_id: &str, seq: u64) -> String {
    format!("{deployment_id}#{seq:06}")
}

impl MetaItem {
    /// The item of a record, with the version it is to have.
    pub fn new(deployment: &Deployment, version: u64, shard: u8) -> Self {
        let (terms, mut state) = (&deployment.terms, deployment.state.clone());
        (state.version, state.schema_version) = (version, SCHEMA_VERSION);
        let is_active = state.is_active();
        Self {
            pk: deployment_key(&terms.id),
            sk: "META".to_owned(),
            schema_version: SCHEMA_VERSION,
            version,
            status: state.status.to_string(),
            deployment_id: terms.id.clone(),
            created_at: created_key(terms),
            list_month: month_key(terms.created_at),
            endpoint_name: endpoint_key(&terms.endpoint),
            active_shard: is_active.then(|| active_key(shard)),
            active_key: is_active.then(|| ACTIVE_KEY.to_owned()),
            state,
        }
    }
}

impl EvidenceItem {
    /// The item of an evidence.
    pub fn new(id: &str, evidence: &Evidence) -> Result<Self, serde_json::Error> {
        Ok(Self {
            pk: deployment_key(id),
            sk: "EVIDENCE".to_owned(),
            judged_through: evidence.judged_through.to_string(),
            evidence: serde_json::to_string(evidence)?,
        })
    }
}

impl PastItem {
    /// The item of production's minutes; the oldest are left out where they don't fit.
    pub fn new(id: &str, past: &[Recorded]) -> Result<Self, serde_json::Error> {
        let mut columns = Columns::of(past);
        let mut text = serde_json::to_string(&columns)?;
        while text.len() > PAST_LIMIT && !columns.minutes.is_empty() {
            columns.minutes.drain(..columns.minutes.len().div_ceil(10));
            text = serde_json::to_string(&columns)?;
        }
        Ok(Self {
            pk: deployment_key(id),
            sk: "PAST".to_owned(),
            past: text,
        })
    }

    /// The minutes, in order.
    pub fn recorded(&self) -> Result<Vec<Recorded>, serde_json::Error> {
        let columns: Columns = serde_json::from_str(&self.past)?;
        Ok(columns.recorded())
    }
}

impl Columns {
    fn of(past: &[Recorded]) -> Self {
        let names: BTreeSet<&String> = past.iter().flat_map(|row| row.signals.keys()).collect();
        let signals: Vec<String> = names.into_iter().cloned().collect();
        let minutes = past.iter().map(|row| {
            let counts = signals.iter().flat_map(|name| {
                let counts = row.signals.get(name).and_then(|pair| pair.production);
                [counts.map(Counts::n), counts.map(Counts::x)]
            });
            std::iter::once(Some(row.minute)).chain(counts).collect()
        });
        let minutes = minutes.collect();
        Self { signals, minutes }
    }

    fn recorded(&self) -> Vec<Recorded> {
        let minutes = self.minutes.iter().filter_map(|row| {
            let (minute, counts) = row.split_first()?;
            let pairs = self.signals.iter().zip(counts.chunks_exact(2));
            let signals = pairs.filter_map(|(name, counts)| {
                let production = Some(Counts::new(counts[0]?, counts[1]?)?);
                let canary = None;
                Some((name.clone(), Pair { canary, production }))
            });
            Some(Recorded {
                minute: (*minute)?,
                signals: signals.collect(),
            })
        });
        minutes.collect()
    }
}

impl CheckItem {
    /// The item of a minute.
    pub fn new(id: &str, report: &MinuteReport) -> Result<Self, serde_json::Error> {
        Ok(Self {
            pk: deployment_key(id),
            sk: check_key(report.minute),
            expires_at: expiry(report.minute, CHECK_LIFETIME),
            report: serde_json::to_string(report)?,
        })
    }
}

impl OutboxItem {
    /// The row that announces a line of history.
    pub fn new(terms: &Terms, entry: &Entry, shard: u8) -> Self {
        Self {
            pk: outbox_key(shard),
            sk: event_id(&terms.id, entry.seq),
            topics: terms.topics.clone(),
            deployment_id: terms.id.clone(),
            endpoint: terms.endpoint.clone(),
            model: terms.model.clone(),
            former_model: terms.former_model.clone(),
            entry: entry.clone(),
            taken: None,
            taken_by: Vec::new(),
        }
    }

    /// The ways that took it already.
    pub fn taken(&self) -> Vec<Way> {
        let mut all = self.taken_by.clone();
        all.extend(self.taken.filter(|way| !self.taken_by.contains(way)));
        all
    }

    /// Says which ways took it already.
    #[must_use]
    pub fn with_taken(self, taken: &[Way]) -> Self {
        let mut known = Way::ALWAYS.into_iter().filter(|way| taken.contains(way));
        let one = match (known.next(), known.next()) {
            (Some(one), None) => Some(one),
            _ => None,
        };
        Self {
            taken: one,
            taken_by: taken.to_vec(),
            ..self
        }
    }
}

/// A TTL in seconds since 1970.
pub fn expiry(from: Timestamp, lifetime: Span) -> i64 {
    from.as_second()
        .saturating_add(i64::try_from(lifetime.secs()).unwrap_or(i64::MAX))
}
