//! The records in memory, under the same conditions as in the table.
//!
//! What a commit writes and when it is refused is `shared::app::transaction`'s, which the adapter of
//! DynamoDB uses too; the promises in `crate::records` are held to both. Left out on
//! purpose: the wire shapes of the items, and every expiry but the idempotency key's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use shared::app::announce::shard_of;
use shared::app::ports::{
    Class, Commit, Creation, FreezeTurn, IdempotencyClaim, ListQuery, Loaded, Outbox, OutboxRow,
    Page, PortError, Refused, Store,
};
use shared::app::transaction::{Transaction, sound};
use shared::domain::deployment::{Deployment, SCHEMA_VERSION, Terms};
use shared::domain::freeze::{EVERY_ENDPOINT, Freeze, Freezes};
use shared::domain::history::{Entry, Way};
use shared::domain::judge::MinuteReport;
use shared::domain::replay::Recorded;
use shared::wire::items::{KEY_LIFETIME, check_key, event_id, expiry};
use simulator::clock::Clock;

/// TransactWriteItems takes no more.
const MOST_WRITES: usize = 100;

/// Every record, its history, and what is written beside it.
pub struct MemoryStore {
    clock: Clock,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    records: BTreeMap<String, Record>,
    /// By endpoint.
    locks: BTreeMap<String, String>,
    /// By caller and key, with the end in seconds since 1970.
    keys: HashMap<String, (IdempotencyClaim, i64)>,
    outbox: BTreeMap<(u8, String), OutboxRow>,
    /// By endpoint in lower case.
    freezes: BTreeMap<String, Freeze>,
    /// When a deployment came into the active index (`true`) or left it, oldest first.
    moves: Vec<(Timestamp, String, bool)>,
    /// How far the active index is behind.
    lag: SignedDuration,
    /// Records written since somebody last asked.
    written: BTreeSet<String>,
}

struct Record {
    loaded: Loaded,
    past: Vec<Recorded>,
    history: BTreeMap<u64, Entry>,
    /// By the row's sort key.
    minutes: BTreeMap<String, MinuteReport>,
}

impl MemoryStore {
    /// An empty store, by whose clock keys expire and the active index lags.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            tables: Mutex::default(),
        }
    }

    /// From now on the active index shows what was so this long ago.
    pub fn set_active_lag(&self, lag: SignedDuration) {
        self.tables().lag = lag;
    }

    /// Every record as it is, by id.
    pub fn records(&self) -> Vec<Loaded> {
        let tables = self.tables();
        let records = tables.records.values();
        records.map(|record| record.loaded.clone()).collect()
    }

    /// Looks at every record, by id, without a copy.
    pub fn visit(&self, mut look: impl FnMut(&Loaded)) {
        for record in self.tables().records.values() {
            look(&record.loaded);
        }
    }

    /// Puts a record in the place of the one of its id, as a writer of another version would: its
    /// version counts on, and nobody is told.
    pub fn rewrite(&self, mut loaded: Loaded) {
        let mut tables = self.tables();
        if let Some(record) = tables.records.get_mut(&loaded.deployment.terms.id) {
            loaded.deployment.state.version = record.loaded.deployment.state.version + 1;
            record.loaded = loaded;
        }
    }

    /// The records written since the last call of this.
    pub fn take_written(&self) -> Vec<Loaded> {
        let mut tables = self.tables();
        let ids = std::mem::take(&mut tables.written);
        let found = ids.iter().filter_map(|id| tables.records.get(id));
        found.map(|record| record.loaded.clone()).collect()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`Store::load`].
    pub fn read(&self, id: &str) -> Result<Option<Loaded>, PortError> {
        let found = self
            .tables()
            .records
            .get(id)
            .map(|record| record.loaded.clone());
        if let Some(loaded) = &found {
            sound(&loaded.deployment)?;
        }
        Ok(found)
    }

    /// [`Store::create`], by a writer whose clock shows `now`.
    pub fn put(&self, creation: &Creation<'_>, now: Timestamp) -> Result<(), Refused> {
        let deployment = &creation.loaded.deployment;
        let (terms, id) = (&deployment.terms, &deployment.terms.id);
        sound(deployment)?;
        let mut tables = self.tables();
        // In the order in which the adapter reads a cancelled transaction: the lock, the freezes, the
        // key.
        if let Some(by) = tables.locks.get(&terms.endpoint) {
            return Err(Refused::Locked { by: by.clone() });
        }
        if let Some(read) = creation.freezes
            && [(&*terms.endpoint, &read.own), (EVERY_ENDPOINT, &read.stack)]
                .iter()
                .any(|(name, read)| !tables.has_freeze(name, read.as_ref()))
        {
            return Err(Refused::FreezeTurned);
        }
        if let Some(claim) = creation.idempotency
            && let Some((_, until)) = tables.keys.get(&claim.key)
            && *until > now.as_second()
        {
            return Err(Refused::KeyTaken);
        }
        if tables.records.contains_key(id) {
            return Err(conflict("create").into());
        }
        if let Some(claim) = creation.idempotency {
            let until = expiry(now, KEY_LIFETIME);
            tables
                .keys
                .insert(claim.key.clone(), (claim.clone(), until));
        }
        tables.locks.insert(terms.endpoint.clone(), id.clone());
        let mut loaded = creation.loaded.clone();
        loaded.deployment.state.schema_version = SCHEMA_VERSION;
        let record = Record {
            loaded,
            past: creation.past.to_vec(),
            history: BTreeMap::new(),
            minutes: BTreeMap::new(),
        };
        tables.records.insert(id.clone(), record);
        tables.tell(terms, creation.entry);
        let at = self.clock.now();
        tables.moves.push((at, id.clone(), true));
        tables.written.insert(id.clone());
        Ok(())
    }

    /// [`Store::commit`], by a writer whose clock shows `now`.
    pub fn write(&self, commit: &Commit<'_>, now: Timestamp) -> Result<Loaded, PortError> {
        let transaction = Transaction::of(commit, now)?;
        let terms = &commit.next.terms;
        let writes =
            2 + commit.minutes.len() + 2 * commit.entries.len() + usize::from(transaction.ends);
        if writes > MOST_WRITES {
            let what = format!("{writes} writes in one transaction");
            return Err(PortError::new(Class::Invalid, "commit", what));
        }
        let mut tables = self.tables();
        if !tables.allow(&transaction, commit.entries) {
            return Err(conflict("commit"));
        }
        let Some(record) = tables.records.get_mut(&terms.id) else {
            return Err(conflict("commit"));
        };
        if transaction.writes_record {
            record.loaded.deployment.state = transaction.next.state.clone();
            record.loaded.deployment.state.schema_version = SCHEMA_VERSION;
        }
        if transaction.writes_evidence {
            record.loaded.evidence = commit.evidence.clone();
        }
        for report in commit.minutes {
            record
                .minutes
                .insert(check_key(report.minute), report.clone());
        }
        for entry in commit.entries {
            tables.tell(terms, entry);
        }
        if transaction.ends {
            tables.locks.remove(&terms.endpoint);
        }
        let was_active = commit.before.deployment.state.is_active();
        if was_active && !transaction.next.state.is_active() {
            let at = self.clock.now();
            tables.moves.push((at, terms.id.clone(), false));
        }
        tables.written.insert(terms.id.clone());
        Ok(Loaded {
            deployment: transaction.next,
            evidence: commit.evidence.clone(),
        })
    }

    /// [`Store::active`], by id.
    pub fn listed_active(&self, shard: u8) -> Vec<String> {
        let tables = self.tables();
        let shown = self.clock.now() - tables.lag;
        let mut ids = BTreeSet::new();
        let moves = tables.moves.iter();
        for (_, id, came) in moves.filter(|(at, id, _)| *at <= shown && shard_of(id) == shard) {
            if *came {
                ids.insert(id);
            } else {
                ids.remove(id);
            }
        }
        ids.into_iter().cloned().collect()
    }

    /// [`Store::lock_holder`].
    pub fn holder(&self, endpoint: &str) -> Option<String> {
        self.tables().locks.get(endpoint).cloned()
    }

    /// [`Store::idempotency`], for a reader whose clock shows `now`.
    pub fn claim(&self, key: &str, now: Timestamp) -> Option<IdempotencyClaim> {
        let tables = self.tables();
        let (claim, until) = tables.keys.get(key)?;
        (*until > now.as_second()).then(|| claim.clone())
    }

    /// [`Store::list`].
    pub fn page(&self, query: &ListQuery) -> Page<Deployment> {
        let tables = self.tables();
        let key = |deployment: &Deployment| {
            format!("{}#{}", deployment.terms.created_at, deployment.terms.id)
        };
        let all = tables
            .records
            .values()
            .map(|record| &record.loaded.deployment);
        let mut rows: Vec<&Deployment> = all
            .filter(|one| {
                let asked = query.endpoint.as_ref();
                asked.is_none_or(|endpoint| one.terms.endpoint == *endpoint)
            })
            .filter(|one| {
                query
                    .cursor
                    .as_ref()
                    .is_none_or(|before| key(one) < *before)
            })
            .collect();
        rows.sort_by_key(|one| std::cmp::Reverse(key(one)));
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let last = rows.last().map(|one| key(one));
        Page {
            items: rows.into_iter().cloned().collect(),
            cursor: last.filter(|_| more),
        }
    }

    /// [`Store::history`].
    pub fn lines(&self, id: &str) -> Vec<Entry> {
        let tables = self.tables();
        let record = tables.records.get(id);
        record.map_or_else(Vec::new, |record| {
            record.history.values().cloned().collect()
        })
    }

    /// [`Store::minutes`].
    pub fn reports(&self, id: &str, limit: usize, cursor: Option<&str>) -> Page<MinuteReport> {
        let tables = self.tables();
        let Some(record) = tables.records.get(id) else {
            return Page {
                items: Vec::new(),
                cursor: None,
            };
        };
        let rows = record.minutes.iter().rev();
        let rows = rows.filter(|(key, _)| cursor.is_none_or(|before| key.as_str() < before));
        let rows: Vec<_> = rows.take(limit).collect();
        // As a query tells: a full page may be the last one, and says only then that it is not.
        let full = rows.len() == limit;
        let cursor = rows.last().map(|(key, _)| (*key).clone());
        Page {
            items: rows.into_iter().map(|(_, report)| report.clone()).collect(),
            cursor: cursor.filter(|_| full),
        }
    }

    /// [`Store::past`].
    pub fn recorded(&self, id: &str) -> Vec<Recorded> {
        let tables = self.tables();
        let record = tables.records.get(id);
        record.map_or_else(Vec::new, |record| record.past.clone())
    }

    /// [`Store::outbox`].
    pub fn unsent(&self, shard: u8) -> Vec<OutboxRow> {
        let tables = self.tables();
        let rows = tables.outbox.range((shard, String::new())..);
        let own = rows.take_while(|((of, _), _)| *of == shard);
        own.map(|(_, row)| row.clone()).collect()
    }

    /// [`Store::freezes`].
    pub fn frozen(&self, endpoint: &str) -> Freezes {
        let tables = self.tables();
        let of = |name: &str| tables.freezes.get(&name.to_ascii_lowercase()).cloned();
        Freezes {
            own: of(endpoint),
            stack: (endpoint != EVERY_ENDPOINT)
                .then(|| of(EVERY_ENDPOINT))
                .flatten(),
        }
    }

    /// [`Store::turn_freeze`].
    pub fn turn(&self, turn: &FreezeTurn<'_>) -> Result<(), PortError> {
        let mut tables = self.tables();
        if !tables.has_freeze(turn.endpoint, turn.before) {
            return Err(conflict("turn_freeze"));
        }
        let name = turn.endpoint.to_ascii_lowercase();
        match turn.next {
            Some(freeze) => tables.freezes.insert(name, freeze.clone()),
            None => tables.freezes.remove(&name),
        };
        let key = (turn.told.shard, turn.told.event_id.clone());
        tables.outbox.insert(key, turn.told.clone());
        Ok(())
    }

    /// [`Store::tell`].
    pub fn put_row(&self, row: &OutboxRow) {
        let key = (row.shard, row.event_id.clone());
        self.tables().outbox.insert(key, row.clone());
    }

    /// [`Store::sent`].
    pub fn remove(&self, row: &OutboxRow) {
        let key = (row.shard, row.event_id.clone());
        self.tables().outbox.remove(&key);
    }

    /// [`Store::half_sent`].
    pub fn keep_taken(&self, row: &OutboxRow, taken: &[Way]) {
        let key = (row.shard, row.event_id.clone());
        if let Some(row) = self.tables().outbox.get_mut(&key) {
            row.taken = taken.to_vec();
        }
    }
}

impl Tables {
    /// Whether every condition of the transaction holds.
    fn allow(&self, transaction: &Transaction, entries: &[Entry]) -> bool {
        let terms = &transaction.next.terms;
        let Some(record) = self.records.get(&terms.id) else {
            return false;
        };
        let shard = shard_of(&terms.id);
        let is_new = |entry: &Entry| {
            !record.history.contains_key(&entry.seq)
                && !self
                    .outbox
                    .contains_key(&(shard, event_id(&terms.id, entry.seq)))
        };
        record.loaded.deployment.state.version == transaction.if_version
            && record.loaded.evidence.judged_through == transaction.if_judged_through
            && entries.iter().all(is_new)
            && (!transaction.ends || self.locks.get(&terms.endpoint) == Some(&terms.id))
    }

    /// Whether this is what was set under a name, as the adapter tells it: by when it was ordered and
    /// when it ends.
    fn has_freeze(&self, name: &str, read: Option<&Freeze>) -> bool {
        let told = |freeze: &Freeze| (freeze.at, freeze.until);
        self.freezes.get(&name.to_ascii_lowercase()).map(told) == read.map(told)
    }

    /// A line of history, and its announcement.
    fn tell(&mut self, terms: &Terms, entry: &Entry) {
        let (event_id, shard) = (event_id(&terms.id, entry.seq), shard_of(&terms.id));
        let row = OutboxRow {
            event_id: event_id.clone(),
            shard,
            topics: terms.topics.clone(),
            deployment_id: terms.id.clone(),
            endpoint: terms.endpoint.clone(),
            model: terms.model.clone(),
            former_model: terms.former_model.clone(),
            entry: entry.clone(),
            taken: Vec::new(),
        };
        self.outbox.insert((shard, event_id), row);
        if let Some(record) = self.records.get_mut(&terms.id) {
            record.history.insert(entry.seq, entry.clone());
        }
    }
}

fn conflict(operation: &'static str) -> PortError {
    PortError::new(Class::Conflict, operation, "ConditionalCheckFailed")
}

/// Straight to the records: no gate, no turn to wait for.
impl Store for MemoryStore {
    async fn load(&self, id: &str) -> Result<Option<Loaded>, PortError> {
        self.read(id)
    }

    async fn create(&self, creation: Creation<'_>) -> Result<(), Refused> {
        self.put(&creation, self.clock.now())
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<Loaded, PortError> {
        self.write(&commit, self.clock.now())
    }

    async fn active(&self, shard: u8) -> Result<Vec<String>, PortError> {
        Ok(self.listed_active(shard))
    }

    async fn lock_holder(&self, endpoint: &str) -> Result<Option<String>, PortError> {
        Ok(self.holder(endpoint))
    }

    async fn idempotency(&self, key: &str) -> Result<Option<IdempotencyClaim>, PortError> {
        Ok(self.claim(key, self.clock.now()))
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Deployment>, PortError> {
        Ok(self.page(query))
    }

    async fn history(&self, id: &str) -> Result<Vec<Entry>, PortError> {
        Ok(self.lines(id))
    }

    async fn minutes(
        &self,
        id: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<MinuteReport>, PortError> {
        Ok(self.reports(id, limit, cursor))
    }

    async fn past(&self, id: &str) -> Result<Vec<Recorded>, PortError> {
        Ok(self.recorded(id))
    }

    async fn outbox(&self, shard: u8) -> Result<Outbox, PortError> {
        Ok(Outbox {
            rows: self.unsent(shard),
            unread: Vec::new(),
        })
    }

    async fn freezes(&self, endpoint: &str) -> Result<Freezes, PortError> {
        Ok(self.frozen(endpoint))
    }

    async fn turn_freeze(&self, turn: FreezeTurn<'_>) -> Result<(), PortError> {
        self.turn(&turn)
    }

    async fn tell(&self, row: &OutboxRow) -> Result<(), PortError> {
        self.put_row(row);
        Ok(())
    }

    async fn sent(&self, row: &OutboxRow) -> Result<(), PortError> {
        self.remove(row);
        Ok(())
    }

    async fn half_sent(&self, row: &OutboxRow, taken: &[Way]) -> Result<(), PortError> {
        self.keep_taken(row, taken);
        Ok(())
    }
}
