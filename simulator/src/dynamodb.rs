//! DynamoDB: dynoxide in process.
//!
//! Expressions, conditions, transactions and indexes are the embedded engine's. Here its operations are only
//! put behind the JSON 1.0 wire format. Two of its clocks cannot be replaced: the ten-minute life of a
//! `ClientRequestToken` and the creation dates of tables follow the wall clock.
//!
//! Items past their time to live are removed about once a virtual hour, as AWS removes them late and not at
//! the second. They are looked for here, by the simulator's clock: the engine's own sweep of a database in a
//! file would compare with the wall clock.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use dynoxide::{Database, DynoxideError};
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::wire;

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const SWEEP_EVERY: SignedDuration = SignedDuration::from_hours(1);

pub(crate) struct DynamoDb {
    database: Database,
    /// When the next sweep is due.
    next_sweep: Mutex<Timestamp>,
}

impl DynamoDb {
    pub(crate) fn open(clock: &Clock, state: Option<PathBuf>) -> Result<Self, DynoxideError> {
        let database = match state {
            Some(path) => Database::new(&path.to_string_lossy())?,
            None => Database::memory()?,
        };
        Ok(Self {
            database,
            next_sweep: Mutex::new(clock.now() + SWEEP_EVERY),
        })
    }

    /// Removes expired items when a sweep is due.
    pub(crate) fn catch_up(&self, now: Timestamp) {
        let mut next = self
            .next_sweep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *next <= now {
            *next = now + SWEEP_EVERY;
            if let Err(error) = self.sweep(now) {
                tracing::warn!(%error, "the sweep of expired items failed");
            }
        }
    }

    /// Removes what has expired of every table that says when its items do.
    fn sweep(&self, now: Timestamp) -> Result<(), DynoxideError> {
        let tables = self.ask("ListTables", &json!({}))?;
        for table in listed(&tables["TableNames"]) {
            let named = json!({"TableName": table});
            let lifetime = self.ask("DescribeTimeToLive", &named)?;
            let lifetime = &lifetime["TimeToLiveDescription"];
            if lifetime["TimeToLiveStatus"] == "ENABLED" {
                let described = self.ask("DescribeTable", &named)?;
                let keys = &described["Table"]["KeySchema"];
                self.sweep_table(table, keys, &lifetime["AttributeName"], now)?;
            }
        }
        Ok(())
    }

    fn sweep_table(
        &self,
        table: &Value,
        keys: &Value,
        attribute: &Value,
        now: Timestamp,
    ) -> Result<(), DynoxideError> {
        let names = json!({"#expires": attribute});
        let values = json!({":now": {"N": now.as_second().to_string()}});
        let expired = "#expires < :now";
        let mut scan = json!({
            "TableName": table, "FilterExpression": expired,
            "ExpressionAttributeNames": names, "ExpressionAttributeValues": values,
        });
        loop {
            let page = self.ask("Scan", &scan)?;
            for item in listed(&page["Items"]) {
                let parts = listed(keys).filter_map(|key| key["AttributeName"].as_str());
                let key: Map<String, Value> = parts
                    .map(|name| (name.to_owned(), item[name].clone()))
                    .collect();
                let delete = json!({
                    "TableName": table, "Key": key, "ConditionExpression": expired,
                    "ExpressionAttributeNames": names, "ExpressionAttributeValues": values,
                });
                match self.ask("DeleteItem", &delete) {
                    // Written anew since the page was read.
                    Err(DynoxideError::ConditionalCheckFailedException(..)) => {}
                    other => drop(other?),
                }
            }
            match &page["LastEvaluatedKey"] {
                Value::Null => return Ok(()),
                last => scan["ExclusiveStartKey"] = last.clone(),
            }
        }
    }

    /// One of its operations, for ourselves.
    fn ask(&self, operation: &str, request: &Value) -> Result<Value, DynoxideError> {
        let answer = self.dispatch(operation, request.to_string().as_bytes())?;
        serde_json::from_str(&answer)
            .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
    }

    pub(crate) fn handle(&self, operation: &str, body: &[u8]) -> Response<Bytes> {
        match self.dispatch(operation, body) {
            Ok(json) => wire::respond(StatusCode::OK, CONTENT_TYPE, Bytes::from(json)),
            Err(error) => {
                let status =
                    StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::BAD_REQUEST);
                let mut response =
                    wire::respond(status, CONTENT_TYPE, Bytes::from(error.to_json()));
                let code = error.error_type();
                let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
                response
                    .headers_mut()
                    .insert("x-amzn-errortype", http::HeaderValue::from_static(code));
                response
            }
        }
    }

    fn dispatch(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        let db = &self.database;
        match operation {
            "CreateTable" => call(body, |request| db.create_table(request)),
            "DeleteTable" => call(body, |request| db.delete_table(request)),
            "DescribeTable" => call(body, |request| db.describe_table(request)),
            "UpdateTable" => call(body, |request| db.update_table(request)),
            "ListTables" => call(body, |request| db.list_tables(request)),
            "PutItem" => call(body, |request| db.put_item(request)),
            "GetItem" => call(body, |request| db.get_item(request)),
            "UpdateItem" => call(body, |request| db.update_item(request)),
            "DeleteItem" => call(body, |request| db.delete_item(request)),
            "Query" => call(body, |request| db.query(request)),
            "Scan" => call(body, |request| db.scan(request)),
            "BatchGetItem" => call(body, |request| db.batch_get_item(request)),
            "BatchWriteItem" => call(body, |request| db.batch_write_item(request)),
            "TransactWriteItems" => call(body, |request| db.transact_write_items(request)),
            "TransactGetItems" => call(body, |request| db.transact_get_items(request)),
            "UpdateTimeToLive" => call(body, |request| db.update_time_to_live(request)),
            "DescribeTimeToLive" => call(body, |request| db.describe_time_to_live(request)),
            "TagResource" => call(body, |request| db.tag_resource(request)),
            "UntagResource" => call(body, |request| db.untag_resource(request)),
            "ListTagsOfResource" => call(body, |request| db.list_tags_of_resource(request)),
            _ => Err(DynoxideError::ValidationException(format!(
                "the operation {operation} is not simulated"
            ))),
        }
    }
}

/// The members of a list; none of what is no list.
fn listed(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn call<Request: DeserializeOwned, Answer: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Answer, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    let answer = operation(request)?;
    serde_json::to_string(&answer)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The engine's request types mark some of their parse errors with a leading `CLASS:` for its own server; that
/// mark is no part of the message.
fn malformed(error: &serde_json::Error) -> DynoxideError {
    if error.is_syntax() || error.is_eof() {
        return DynoxideError::SerializationException(String::new());
    }
    let message = error.to_string();
    let unmarked = message
        .split_once(':')
        .filter(|(mark, _)| {
            !mark.is_empty() && mark.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        })
        .map_or(message.as_str(), |(_, rest)| rest);
    DynoxideError::ValidationException(unmarked.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(dynamodb: &DynamoDb, operation: &str, body: &Value) -> (u16, Value) {
        let response = dynamodb.handle(operation, body.to_string().as_bytes());
        let body = serde_json::from_slice(response.body()).expect("a JSON answer");
        (response.status().as_u16(), body)
    }

    fn table(clock: &Clock, state: Option<PathBuf>) -> DynamoDb {
        let dynamodb = DynamoDb::open(clock, state).expect("the database opens");
        let (status, _) = send(
            &dynamodb,
            "CreateTable",
            &json!({
                "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            }),
        );
        assert_eq!(status, 200);
        dynamodb
    }

    #[test]
    fn conditions_hold_and_failures_name_themselves() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let dynamodb = table(&clock, None);
        let put = json!({
            "TableName": "things", "Item": {"pk": {"S": "a"}},
            "ConditionExpression": "attribute_not_exists(pk)",
        });
        assert_eq!(send(&dynamodb, "PutItem", &put).0, 200);
        let (status, body) = send(&dynamodb, "PutItem", &put);
        assert_eq!(status, 400);
        let kind = body["__type"].as_str().expect("a type");
        assert!(kind.ends_with("#ConditionalCheckFailedException"), "{kind}");
        assert_eq!(send(&dynamodb, "DescribeLimits", &json!({})).0, 400);
        assert_eq!(send(&dynamodb, "PutItem", &json!({"Item": 3})).0, 400);
    }

    #[test]
    fn items_past_their_time_to_live_are_swept() {
        // Both before and after the wall clock's present, which has no say in it.
        for (start, state) in [
            ("2026-01-05T09:00:00Z", None),
            ("2026-01-05T09:00:00Z", Some(state_file("swept"))),
            ("2126-01-05T09:00:00Z", None),
            ("2126-01-05T09:00:00Z", Some(state_file("swept-later"))),
        ] {
            let clock = Clock::manual(start.parse().expect("a timestamp"));
            let dynamodb = table(&clock, state.clone());
            let ttl = json!({
                "TableName": "things",
                "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "expires"},
            });
            assert_eq!(send(&dynamodb, "UpdateTimeToLive", &ttl).0, 200);
            let put = |key: &str, seconds: i64| {
                let expires = (clock.now().as_second() + seconds).to_string();
                let item = json!({
                    "pk": {"S": key}, "expires": {"N": expires}, "text": {"S": "x".repeat(300_000)},
                });
                let put = json!({"TableName": "things", "Item": item});
                assert_eq!(send(&dynamodb, "PutItem", &put).0, 200);
            };
            // More than the megabyte of a page.
            let soon: Vec<String> = (0..8).map(|number| format!("soon-{number}")).collect();
            for key in &soon {
                put(key, 60);
            }
            put("later", 24 * 3600);
            let is_there = |key: &str| {
                let get = json!({"TableName": "things", "Key": {"pk": {"S": key}}});
                send(&dynamodb, "GetItem", &get).1["Item"].is_object()
            };
            dynamodb.catch_up(clock.now());
            assert!(soon.iter().all(|key| is_there(key)), "{start}");
            clock.advance(SignedDuration::from_hours(2));
            dynamodb.catch_up(clock.now());
            assert!(!soon.iter().any(|key| is_there(key)), "{start}");
            assert!(is_there("later"), "{start}");
            drop(dynamodb);
            state.into_iter().for_each(remove);
        }
    }

    fn state_file(name: &str) -> PathBuf {
        let name = format!("simulator-{name}-{}.sqlite", std::process::id());
        std::env::temp_dir().join(name)
    }

    /// Only a leftover in the temporary folder if it fails.
    fn remove(path: PathBuf) {
        let _ = std::fs::remove_file(path);
    }

    #[test]
    fn a_state_file_survives() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let path = state_file("kept");
        let put = json!({"TableName": "things", "Item": {"pk": {"S": "kept"}}});
        assert_eq!(
            send(&table(&clock, Some(path.clone())), "PutItem", &put).0,
            200
        );
        let reopened = DynamoDb::open(&clock, Some(path.clone())).expect("the file opens again");
        let get = json!({"TableName": "things", "Key": {"pk": {"S": "kept"}}});
        assert!(send(&reopened, "GetItem", &get).1["Item"].is_object());
        drop(reopened);
        remove(path);
    }
}
