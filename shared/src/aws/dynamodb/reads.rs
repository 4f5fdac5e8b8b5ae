//! Gets and queries, page by page.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use super::super::Aws;
use super::super::error::{nonsense, sort};
use super::{Item, text};
use crate::app::ports::{Ambient, Class, PortError};
use crate::wire::items::deployment_key;

/// The wait before keys that were left out are asked for again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest of these waits.
const LAST_WAIT: Duration = Duration::from_millis(400);
/// The most months a list goes back.
const LIST_MONTHS: i8 = 24;

/// A deployment as the list indexes hold it. The sort key is the cursor of the page after it.
pub(super) struct ListedRow {
    pub(super) id: String,
    pub(super) created_at: String,
}

impl Aws {
    pub(super) async fn get(&self, pk: &str, sk: &str) -> Result<Option<Item>, PortError> {
        let get = self
            .dynamodb
            .get_item()
            .table_name(&self.config.table)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .consistent_read(true);
        get.send()
            .await
            .map(|output| output.item)
            .map_err(|error| sort("GetItem", &error))
    }

    /// Items of one deployment, strongly consistent, in the order asked for. A table that is throttled
    /// leaves keys out of an answer of 200, which the SDK does not repeat: asked for at once they would
    /// be left out again.
    pub(super) async fn parts(
        &self,
        id: &str,
        sort_keys: &[&str],
    ) -> Result<Vec<Option<Item>>, PortError> {
        let mut wanted = KeysAndAttributes::builder().consistent_read(true);
        for sk in sort_keys {
            wanted = wanted.keys(HashMap::from([
                ("pk".to_owned(), text(deployment_key(id))),
                ("sk".to_owned(), text(*sk)),
            ]));
        }
        let mut pending = Some(
            wanted
                .build()
                .map_err(|error| nonsense("BatchGetItem", error.to_string()))?,
        );
        let mut found: HashMap<String, Item> = HashMap::new();
        let mut wait = FIRST_WAIT;
        while let Some(keys) = pending.take() {
            let output = self
                .dynamodb
                .batch_get_item()
                .request_items(&self.config.table, keys)
                .send()
                .await;
            let mut output = output.map_err(|error| sort("BatchGetItem", &error))?;
            for item in output
                .responses
                .as_mut()
                .and_then(|responses| responses.remove(&self.config.table))
                .unwrap_or_default()
            {
                if let Some(Ok(sk)) = item.get("sk").map(AttributeValue::as_s) {
                    found.insert(sk.clone(), item);
                }
            }
            pending = output
                .unprocessed_keys
                .and_then(|mut unprocessed| unprocessed.remove(&self.config.table));
            if pending.is_some() {
                if wait > LAST_WAIT {
                    let why = "the table left keys out of every answer";
                    return Err(PortError::new(Class::Retryable, "BatchGetItem", why));
                }
                self.pause(wait).await;
                wait *= 2;
            }
        }
        Ok(sort_keys.iter().map(|sk| found.remove(*sk)).collect())
    }

    /// Rows below a deployment, by the beginning of their sort key.
    pub(super) async fn children(
        &self,
        id: &str,
        prefix: &str,
        forward: bool,
        limit: Option<usize>,
        cursor: Option<&str>,
    ) -> Result<(Vec<Item>, Option<String>), PortError> {
        let pk = deployment_key(id);
        let mut items = Vec::new();
        let mut start = cursor
            .map(|sk| HashMap::from([("pk".to_owned(), text(&pk)), ("sk".to_owned(), text(sk))]));
        loop {
            let query = self
                .dynamodb
                .query()
                .table_name(&self.config.table)
                .consistent_read(true)
                .scan_index_forward(forward);
            let query = query.key_condition_expression("pk = :pk AND begins_with(sk, :prefix)");
            let query = query
                .expression_attribute_values(":pk", text(&pk))
                .expression_attribute_values(":prefix", text(prefix));
            let left = limit.map(|limit| i32::try_from(limit - items.len()).unwrap_or(i32::MAX));
            let output = query
                .set_limit(left)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| sort("Query", &error))?;
            items.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key;
            let full = limit.is_some_and(|limit| items.len() >= limit);
            if start.is_none() || full {
                let cursor = start
                    .as_ref()
                    .and_then(|key| key.get("sk"))
                    .and_then(|sk| sk.as_s().ok())
                    .cloned();
                return Ok((items, cursor));
            }
        }
    }

    /// Rows of an index, newest first, at most so many; those before the cursor, if there is one.
    pub(super) async fn list_index(
        &self,
        index: &str,
        attribute: &str,
        key: &str,
        before: Option<&str>,
        most: usize,
    ) -> Result<Vec<ListedRow>, PortError> {
        let call = self
            .dynamodb
            .query()
            .table_name(&self.config.table)
            .index_name(index)
            .scan_index_forward(false);
        let (condition, call) = match before {
            Some(before) => (
                "#key = :key AND created_at < :before",
                call.expression_attribute_values(":before", text(before)),
            ),
            None => ("#key = :key", call),
        };
        let call = call
            .key_condition_expression(condition)
            .expression_attribute_names("#key", attribute)
            .expression_attribute_values(":key", text(key));
        let output = call
            .limit(i32::try_from(most).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| sort("Query", &error))?;
        let mut rows = Vec::new();
        for item in output.items() {
            if let (Some(Ok(id)), Some(Ok(created_at))) = (
                item.get("deployment_id").map(AttributeValue::as_s),
                item.get("created_at").map(AttributeValue::as_s),
            ) {
                rows.push(ListedRow {
                    id: id.clone(),
                    created_at: created_at.clone(),
                });
            }
        }
        Ok(rows)
    }

    /// Rows of all deployments, month by month back from now.
    pub(super) async fn list_months(
        &self,
        before: Option<&str>,
        most: usize,
    ) -> Result<Vec<ListedRow>, PortError> {
        let mut month = self
            .now()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date()
            .first_of_month();
        let mut rows = Vec::new();
        for _ in 0..LIST_MONTHS {
            let key = format!("LIST#{}", month.strftime("%Y%m"));
            rows.extend(
                self.list_index("list", "list_month", &key, before, most - rows.len())
                    .await?,
            );
            if rows.len() >= most {
                break;
            }
            month = month
                .yesterday()
                .map_err(|error| nonsense("list", error.to_string()))?
                .first_of_month();
        }
        Ok(rows)
    }
}

#[cfg(all(test, feature = "sagemaker"))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_types::body::SdkBody;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Config, FunctionNames};
    use crate::domain::authority::Settings;

    /// A table that leaves every key out of its first answers, and then has the one that is asked for.
    #[derive(Debug, Clone)]
    struct Throttled {
        answers: Arc<AtomicUsize>,
        left_out: usize,
    }

    impl HttpClient for Throttled {
        fn http_connector(
            &self,
            _: &HttpConnectorSettings,
            _: &RuntimeComponents,
        ) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    impl HttpConnector for Throttled {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let asked = request.body().bytes().expect("a body in memory");
            let asked: Value = serde_json::from_slice(asked).expect("JSON");
            let item = &asked["RequestItems"]["canary"]["Keys"][0];
            let answer = if self.answers.fetch_add(1, Ordering::Relaxed) < self.left_out {
                json!({"Responses": {}, "UnprocessedKeys": asked["RequestItems"]})
            } else {
                json!({"Responses": {"canary": [item]}, "UnprocessedKeys": {}})
            };
            let body = SdkBody::from(answer.to_string());
            let status = 200.try_into().expect("a status");
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
        }
    }

    /// What is read, and in how many answers.
    async fn read(left_out: usize) -> (Result<Vec<Option<Item>>, PortError>, usize) {
        let answers = Arc::new(AtomicUsize::new(0));
        let table = Throttled {
            answers: Arc::clone(&answers),
            left_out,
        };
        let config = Config {
            stack: "canary".to_owned(),
            table: "canary".to_owned(),
            topic: "arn:aws:sns:eu-central-1:123456789012:canary".to_owned(),
            audiences: std::collections::BTreeMap::new(),
            bus: "default".to_owned(),
            functions: FunctionNames {
                provision: String::new(),
                traffic_shift: String::new(),
                rollback: String::new(),
            },
            access: Settings::open("arn:aws:sns:eu-central-1:123456789012:canary")
                .expect("the ARN of a topic"),
            call_timeout: Config::CALL_TIMEOUT,
            speed: 1.0,
            waits: false,
        };
        let clock = Arc::new(|| Timestamp::UNIX_EPOCH);
        let aws = Aws::on_loopback(config, SharedHttpClient::new(table), clock);
        let read = aws.parts("019c", &["META"]).await;
        (read, answers.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn keys_that_are_left_out_are_asked_for_again_a_few_times() {
        for left_out in 0..=4 {
            let (read, answers) = read(left_out).await;
            let found = read.expect("an answer in the end");
            assert!(found[0].is_some());
            assert_eq!(answers, left_out + 1);
        }
        let (read, answers) = read(5).await;
        assert_eq!(read.expect_err("an end").class, Class::Retryable);
        assert_eq!(answers, 5, "and not for ever");
    }
}
