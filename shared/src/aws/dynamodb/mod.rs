//! The records, in one DynamoDB table. Every transition is one transaction: record, evidence,
//! history, outbox, and the lock when it is freed. What a write is conditional on is what was
//! read: the record's version and the evidence's watermark.

#[cfg(test)]
mod fixtures;
mod freezes;
#[cfg(test)]
mod fuzz;
#[cfg(feature = "runtime")]
mod predictions;
mod reads;
mod record;
mod writes;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::record::loaded;
use self::writes::transaction_error;
use super::Aws;
use super::error::{nonsense, sort};
use crate::app::announce::shard_of;
use crate::app::ports::{
    Ambient, Class, Commit, Creation, FreezeTurn, IdempotencyClaim, ListQuery, Loaded, Outbox,
    OutboxRow, Page, PortError, Refused, Store,
};
use crate::app::transaction::{Transaction, sound};
use crate::domain::deployment::{Deployment, SCHEMA_VERSION};
use crate::domain::freeze::{EVERY_ENDPOINT, Freezes};
use crate::domain::history::{Entry, Way};
use crate::domain::judge::MinuteReport;
use crate::domain::replay::Recorded;
use crate::wire::items::{
    self, ACTIVE_KEY, CheckItem, EntryItem, EvidenceItem, KeyItem, LockItem, MetaItem, OutboxItem,
    PastItem, SpecItem, active_key, deployment_key, endpoint_key, idempotency_key, lock_key,
    outbox_key,
};

type Item = HashMap<String, AttributeValue>;

impl Store for Aws {
    async fn load(&self, id: &str) -> Result<Option<Loaded>, PortError> {
        let parts = self.parts(id, &["SPEC", "META", "EVIDENCE"]).await?;
        let [Some(spec), Some(meta), Some(evidence)] = parts.as_slice() else {
            return if parts.iter().all(Option::is_none) {
                Ok(None)
            } else {
                Err(nonsense(
                    "load",
                    format!("the record of {id} is incomplete"),
                ))
            };
        };
        loaded(id, spec.clone(), meta.clone(), evidence.clone()).map(Some)
    }

    async fn past(&self, id: &str) -> Result<Vec<Recorded>, PortError> {
        let parts = self.parts(id, &["PAST"]).await?;
        let Some(Some(item)) = parts.into_iter().next() else {
            return Ok(Vec::new());
        };
        let item: PastItem = read(item)?;
        item.recorded()
            .map_err(|error| nonsense("past", format!("the past of {id} can't be read: {error}")))
    }

    async fn create(&self, creation: Creation<'_>) -> Result<(), Refused> {
        let (deployment, evidence) = (&creation.loaded.deployment, &creation.loaded.evidence);
        let (terms, shard) = (&deployment.terms, shard_of(&deployment.terms.id));
        sound(deployment)?;
        let lock = LockItem {
            pk: lock_key(&terms.endpoint),
            sk: "LOCK".to_owned(),
            deployment_id: terms.id.clone(),
        };
        let spec = SpecItem {
            pk: deployment_key(&terms.id),
            sk: "SPEC".to_owned(),
            schema_version: SCHEMA_VERSION,
            terms: terms.clone(),
            specification: creation.specification.to_string(),
        };
        let mut writes = vec![self.put_new(&lock)?];
        let checks = match creation.freezes {
            Some(freezes) => self.freezes_unchanged(&terms.endpoint, freezes)?,
            None => Vec::new(),
        };
        let unfrozen = checks.len();
        writes.extend(checks);
        writes.extend([
            self.put_new(&spec)?,
            self.put_new(&MetaItem::new(deployment, deployment.state.version, shard))?,
            self.put_new(&evidence_item(&terms.id, evidence)?)?,
            self.put_new(&past_item(&terms.id, creation.past)?)?,
            self.put_new(&entry_item(&terms.id, creation.entry))?,
            self.put_new(&OutboxItem::new(terms, creation.entry, shard))?,
        ]);
        if let Some(claim) = creation.idempotency {
            writes.push(self.put_key(claim)?);
        }
        match self
            .dynamodb
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(Self::creation_refused(&error, unfrozen)),
        }
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<Loaded, PortError> {
        let transaction = Transaction::of(&commit, self.now())?;
        let terms = &commit.next.terms;
        let shard = shard_of(&terms.id);
        let version = AttributeValue::N(transaction.if_version.to_string());
        let mut writes = Vec::new();
        writes.push(if transaction.writes_record {
            let next = &transaction.next;
            let item = MetaItem::new(next, next.state.version, shard);
            self.put_if(&item, "version", version)?
        } else {
            self.unchanged(&terms.id, "META", "version", version)?
        });
        let watermark = AttributeValue::S(transaction.if_judged_through.to_string());
        writes.push(if transaction.writes_evidence {
            let item = evidence_item(&terms.id, commit.evidence)?;
            self.put_if(&item, "judged_through", watermark)?
        } else {
            self.unchanged(&terms.id, "EVIDENCE", "judged_through", watermark)?
        });
        for report in commit.minutes {
            let item = CheckItem::new(&terms.id, report)
                .map_err(|error| nonsense("commit", error.to_string()))?;
            writes.push(self.put(&item)?);
        }
        for entry in commit.entries {
            writes.push(self.put_new(&entry_item(&terms.id, entry))?);
            writes.push(self.put_new(&OutboxItem::new(terms, entry, shard))?);
        }
        if transaction.ends {
            writes.push(self.free_lock(&terms.endpoint, &terms.id)?);
        }
        match self
            .dynamodb
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await
        {
            Ok(_) => Ok(Loaded {
                deployment: transaction.next,
                evidence: commit.evidence.clone(),
            }),
            Err(error) => Err(transaction_error("commit", &error)),
        }
    }

    async fn active(&self, shard: u8) -> Result<Vec<String>, PortError> {
        let query = self
            .dynamodb
            .query()
            .table_name(&self.config.table)
            .index_name("active");
        let query = query.key_condition_expression("active_shard = :shard AND active_key = :key");
        let query = query
            .expression_attribute_values(":shard", text(active_key(shard)))
            .expression_attribute_values(":key", text(ACTIVE_KEY));
        let mut ids = Vec::new();
        let mut found = query.into_paginator().items().send();
        while let Some(item) = found.next().await {
            let item = item.map_err(|error| sort("Query", &error))?;
            if let Some(Ok(pk)) = item.get("pk").map(AttributeValue::as_s) {
                ids.push(pk.trim_start_matches("DEP#").to_owned());
            }
        }
        Ok(ids)
    }

    async fn lock_holder(&self, endpoint: &str) -> Result<Option<String>, PortError> {
        let lock: Option<LockItem> = self
            .get(&lock_key(endpoint), "LOCK")
            .await?
            .map(read)
            .transpose()?;
        Ok(lock.map(|lock| lock.deployment_id))
    }

    async fn idempotency(&self, key: &str) -> Result<Option<IdempotencyClaim>, PortError> {
        let Some(item) = self.get(&idempotency_key(key), "IDEM").await? else {
            return Ok(None);
        };
        let item: KeyItem = read(item)?;
        // TTL deletes late: what has expired is not there.
        let alive = item.expires_at > self.now().as_second();
        Ok(alive.then(|| IdempotencyClaim {
            key: key.to_owned(),
            digest: item.digest,
            deployment_id: item.deployment_id,
        }))
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Deployment>, PortError> {
        // One more than asked for tells whether there is another page.
        let most = query.limit + 1;
        let mut rows = match &query.endpoint {
            Some(endpoint) => {
                self.list_index(
                    "endpoint",
                    "endpoint_name",
                    &endpoint_key(endpoint),
                    query.cursor.as_deref(),
                    most,
                )
                .await?
            }
            None => self.list_months(query.cursor.as_deref(), most).await?,
        };
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let cursor = if more {
            rows.last().map(|row| row.created_at.clone())
        } else {
            None
        };
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            match self.load(&row.id).await {
                Ok(loaded) => items.extend(loaded.map(|loaded| loaded.deployment)),
                // One record that can't be read must not hide all the others.
                Err(error) if error.class == Class::Bug => {
                    tracing::error!(deployment_id = row.id, %error, "left out of the list");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Page { items, cursor })
    }

    async fn history(&self, id: &str) -> Result<Vec<Entry>, PortError> {
        let (items, _) = self.children(id, "EV#", true, None, None).await?;
        items
            .into_iter()
            .map(|item| read::<EntryItem>(item).map(|item| item.entry))
            .collect()
    }

    async fn minutes(
        &self,
        id: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<MinuteReport>, PortError> {
        let (found, cursor) = self
            .children(id, "CHECK#", false, Some(limit), cursor)
            .await?;
        let mut items = Vec::with_capacity(found.len());
        for item in found {
            let item: CheckItem = read(item)?;
            items.push(
                serde_json::from_str(&item.report)
                    .map_err(|error| nonsense("minutes", error.to_string()))?,
            );
        }
        Ok(Page { items, cursor })
    }

    async fn outbox(&self, shard: u8) -> Result<Outbox, PortError> {
        let query = self
            .dynamodb
            .query()
            .table_name(&self.config.table)
            .key_condition_expression("pk = :pk");
        let query = query
            .expression_attribute_values(":pk", text(outbox_key(shard)))
            .consistent_read(true);
        let mut outbox = Outbox::default();
        let mut found = query.into_paginator().items().send();
        while let Some(item) = found.next().await {
            let item = item.map_err(|error| sort("Query", &error))?;
            let id = item.get("deployment_id").and_then(|id| id.as_s().ok());
            let id = id.cloned().unwrap_or_default();
            if outbox.unread.iter().any(|(stuck, _)| *stuck == id) {
                continue;
            }
            match read::<OutboxItem>(item) {
                Ok(item) => outbox.rows.push(OutboxRow {
                    taken: item.taken(),
                    event_id: item.sk,
                    shard,
                    topics: item.topics,
                    deployment_id: item.deployment_id,
                    endpoint: item.endpoint,
                    model: item.model,
                    former_model: item.former_model,
                    entry: item.entry,
                }),
                Err(error) => outbox.unread.push((id, error)),
            }
        }
        Ok(outbox)
    }

    async fn freezes(&self, endpoint: &str) -> Result<Freezes, PortError> {
        let mut found = Freezes {
            own: self.freeze_of(endpoint).await?,
            stack: None,
        };
        if endpoint != EVERY_ENDPOINT {
            found.stack = self.freeze_of(EVERY_ENDPOINT).await?;
        }
        Ok(found)
    }

    async fn turn_freeze(&self, turn: FreezeTurn<'_>) -> Result<(), PortError> {
        let told = outbox_item(turn.told, &turn.told.taken);
        let written = self.dynamodb.transact_write_items();
        let written = written
            .transact_items(self.write_freeze(&turn)?)
            .transact_items(self.put(&told)?);
        let written = written.send().await;
        written
            .map(drop)
            .map_err(|error| transaction_error("turn_freeze", &error))
    }

    async fn tell(&self, row: &OutboxRow) -> Result<(), PortError> {
        let item = self.put(&outbox_item(row, &row.taken))?;
        let written = self.dynamodb.transact_write_items().transact_items(item);
        let written = written.send().await;
        written
            .map(drop)
            .map_err(|error| transaction_error("tell", &error))
    }

    async fn sent(&self, row: &OutboxRow) -> Result<(), PortError> {
        let delete = self.dynamodb.delete_item().table_name(&self.config.table);
        let delete = delete
            .key("pk", text(outbox_key(row.shard)))
            .key("sk", text(&row.event_id));
        delete
            .send()
            .await
            .map(drop)
            .map_err(|error| sort("DeleteItem", &error))
    }

    async fn half_sent(&self, row: &OutboxRow, taken: &[Way]) -> Result<(), PortError> {
        let item = outbox_item(row, taken);
        let written = self
            .dynamodb
            .transact_write_items()
            .transact_items(self.put_if(&item, "sk", text(&row.event_id))?)
            .send()
            .await;
        match written.map_err(|error| transaction_error("half_sent", &error)) {
            Err(error) if error.class != Class::Conflict => Err(error),
            // Or another sweep has sent it.
            _ => Ok(()),
        }
    }
}

fn outbox_item(row: &OutboxRow, taken: &[Way]) -> OutboxItem {
    let item = OutboxItem {
        pk: outbox_key(row.shard),
        sk: row.event_id.clone(),
        topics: row.topics.clone(),
        deployment_id: row.deployment_id.clone(),
        endpoint: row.endpoint.clone(),
        model: row.model.clone(),
        former_model: row.former_model.clone(),
        entry: row.entry.clone(),
        taken: None,
        taken_by: Vec::new(),
    };
    item.with_taken(taken)
}

fn entry_item(id: &str, entry: &Entry) -> EntryItem {
    EntryItem {
        pk: deployment_key(id),
        sk: items::entry_key(entry.seq),
        entry: entry.clone(),
    }
}

fn evidence_item(
    id: &str,
    evidence: &crate::domain::evidence::Evidence,
) -> Result<EvidenceItem, PortError> {
    EvidenceItem::new(id, evidence).map_err(|error| nonsense("commit", error.to_string()))
}

fn past_item(id: &str, past: &[Recorded]) -> Result<PastItem, PortError> {
    PastItem::new(id, past).map_err(|error| nonsense("create", error.to_string()))
}

fn write(item: &impl Serialize) -> Result<Item, PortError> {
    // By way of JSON, so that map keys that are numbers become texts as DynamoDB asks.
    let document =
        serde_json::to_value(item).map_err(|error| nonsense("write", error.to_string()))?;
    serde_dynamo::to_item(document).map_err(|error| nonsense("write", error.to_string()))
}

fn read<T: DeserializeOwned>(item: Item) -> Result<T, PortError> {
    let document: serde_json::Value =
        serde_dynamo::from_item(item).map_err(|error| nonsense("read", error.to_string()))?;
    serde_json::from_value(document).map_err(|error| nonsense("read", error.to_string()))
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}
