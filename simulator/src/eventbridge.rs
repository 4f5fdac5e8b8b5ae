//! EventBridge: takes events and keeps them. No rule is evaluated and nothing is delivered.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::wire::{AwsError, Ids};

const MOST_ENTRIES: usize = 10;

/// An event that was put on a bus.
#[derive(Clone, Debug, PartialEq)]
pub struct PutEvent {
    /// The id the sender was given.
    pub id: String,
    /// Name or ARN of the bus.
    pub bus: String,
    /// `Source`.
    pub source: String,
    /// `DetailType`.
    pub detail_type: String,
    /// `Detail`, parsed.
    pub detail: Value,
    /// `Resources`.
    pub resources: Vec<String>,
    /// When, in virtual time.
    pub at: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct EventBridge {
    events: Mutex<Vec<PutEvent>>,
}

impl EventBridge {
    pub(crate) fn events(&self) -> Vec<PutEvent> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn handle(
        &self,
        now: Timestamp,
        ids: &Ids,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        if operation != "PutEvents" {
            return Err(AwsError::unknown_operation(operation));
        }
        let entries = input["Entries"].as_array().map_or(&[][..], Vec::as_slice);
        if entries.is_empty() || entries.len() > MOST_ENTRIES {
            return Err(AwsError::validation(format!(
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: \
                 Member must have length between 1 and {MOST_ENTRIES}"
            )));
        }
        let mut failed = 0;
        let mut results = Vec::with_capacity(entries.len());
        for entry in entries {
            match accept(now, ids, entry) {
                Ok(event) => {
                    results.push(json!({"EventId": event.id}));
                    self.events
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(event);
                }
                Err((code, message)) => {
                    failed += 1;
                    results.push(json!({"ErrorCode": code, "ErrorMessage": message}));
                }
            }
        }
        Ok(json!({"FailedEntryCount": failed, "Entries": results}))
    }
}

/// One entry can be refused while its neighbours pass: the call answers 200 all the same.
fn accept(
    now: Timestamp,
    ids: &Ids,
    entry: &Value,
) -> Result<PutEvent, (&'static str, &'static str)> {
    let text = |member: &str| {
        entry[member]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let source = text("Source").ok_or((
        "InvalidArgument",
        "Parameter Source is not valid. Reason: Source is a required argument.",
    ))?;
    let detail_type = text("DetailType").ok_or((
        "InvalidArgument",
        "Parameter DetailType is not valid. Reason: DetailType is a required argument.",
    ))?;
    let detail = text("Detail").ok_or((
        "InvalidArgument",
        "Parameter Detail is not valid. Reason: Detail is a required argument.",
    ))?;
    let detail: Value = serde_json::from_str(&detail)
        .ok()
        .filter(Value::is_object)
        .ok_or(("MalformedDetail", "Detail is malformed."))?;
    let resources = entry["Resources"].as_array().map_or_else(Vec::new, |list| {
        list.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    });
    Ok(PutEvent {
        id: ids.next(),
        bus: text("EventBusName").unwrap_or_else(|| "default".to_owned()),
        source,
        detail_type,
        detail,
        resources,
        at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_entries_are_kept_and_bad_ones_reported() {
        let events = EventBridge::default();
        let input = json!({"Entries": [
            {"Source": "canary", "DetailType": "DeploymentStarted", "Detail": "{\"a\": 1}"},
            {"Source": "canary", "DetailType": "DeploymentStarted", "Detail": "no json"},
            {"DetailType": "DeploymentStarted", "Detail": "{}"},
        ]});
        let answer = events
            .handle(Timestamp::UNIX_EPOCH, &Ids::new(1), "PutEvents", &input)
            .expect("answered");
        assert_eq!(answer["FailedEntryCount"], 2);
        assert_eq!(answer["Entries"][1]["ErrorCode"], "MalformedDetail");
        let kept = events.events();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].detail["a"], 1);
        assert_eq!(kept[0].bus, "default");
    }

    #[test]
    fn an_empty_call_is_refused() {
        let error = EventBridge::default()
            .handle(
                Timestamp::UNIX_EPOCH,
                &Ids::new(1),
                "PutEvents",
                &json!({"Entries": []}),
            )
            .expect_err("refused");
        assert_eq!(error.code, "ValidationException");
    }
}
