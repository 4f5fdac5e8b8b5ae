//! DynamoDB: dynoxide in process, its time the simulator's clock.
//!
//! Expressions, conditions, transactions and indexes are the embedded engine's. Here its operations are only
//! put behind the JSON 1.0 wire format. Two of its clocks cannot be replaced: the ten-minute life of a
//! `ClientRequestToken` and the creation dates of tables follow the wall clock.
//!
//! Items past their time to live are removed about once a virtual hour, as AWS removes them late and not at
//! the second. A database in a file is never swept: its engine would compare with the wall clock.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dynoxide::{Database, DynoxideError};
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::wire;

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const SWEEP_EVERY: SignedDuration = SignedDuration::from_hours(1);

pub(crate) struct DynamoDb {
    database: Database,
    /// When the next sweep is due; `None` for a database that is never swept.
    next_sweep: Mutex<Option<Timestamp>>,
}

struct VirtualSeconds(Clock);

impl dynoxide::storage_backend::Clock for VirtualSeconds {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().as_second()).unwrap_or(0)
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_millisecond() as f64 / 1000.0
    }
}

impl DynamoDb {
    pub(crate) fn open(clock: &Clock, state: Option<PathBuf>) -> Result<Self, DynoxideError> {
        let (database, next_sweep) = match state {
            Some(path) => (Database::new(&path.to_string_lossy())?, None),
            None => (
                Database::memory_with_clock(Arc::new(VirtualSeconds(clock.clone())))?,
                Some(clock.now() + SWEEP_EVERY),
            ),
        };
        Ok(Self {
            database,
            next_sweep: Mutex::new(next_sweep),
        })
    }

    /// Removes expired items when a sweep is due.
    pub(crate) fn catch_up(&self, now: Timestamp) {
        let mut next = self
            .next_sweep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if next.is_some_and(|due| due <= now) {
            *next = Some(now + SWEEP_EVERY);
            if let Err(error) = self.database.sweep_ttl() {
                tracing::warn!(%error, "the sweep of expired items failed");
            }
        }
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
    use serde_json::{Value, json};

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
        let clock = Clock::manual("2026-01-05T09:00:00Z".parse().expect("a timestamp"));
        let dynamodb = table(&clock, None);
        let ttl = json!({
            "TableName": "things",
            "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "expires"},
        });
        assert_eq!(send(&dynamodb, "UpdateTimeToLive", &ttl).0, 200);
        let expires = (clock.now().as_second() + 60).to_string();
        let put = json!({
            "TableName": "things", "Item": {"pk": {"S": "a"}, "expires": {"N": expires}},
        });
        assert_eq!(send(&dynamodb, "PutItem", &put).0, 200);
        let get = json!({"TableName": "things", "Key": {"pk": {"S": "a"}}});
        dynamodb.catch_up(clock.now());
        assert!(send(&dynamodb, "GetItem", &get).1["Item"].is_object());
        clock.advance(SignedDuration::from_hours(2));
        dynamodb.catch_up(clock.now());
        assert!(send(&dynamodb, "GetItem", &get).1["Item"].is_null());
    }

    #[test]
    fn a_state_file_survives() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let path = std::env::temp_dir().join(format!("simulator-{}.sqlite", std::process::id()));
        let put = json!({"TableName": "things", "Item": {"pk": {"S": "kept"}}});
        assert_eq!(
            send(&table(&clock, Some(path.clone())), "PutItem", &put).0,
            200
        );
        let reopened = DynamoDb::open(&clock, Some(path.clone())).expect("the file opens again");
        let get = json!({"TableName": "things", "Key": {"pk": {"S": "kept"}}});
        assert!(send(&reopened, "GetItem", &get).1["Item"].is_object());
        drop(reopened);
        // Only a leftover in the temporary folder if it fails.
        let _ = std::fs::remove_file(path);
    }
}
