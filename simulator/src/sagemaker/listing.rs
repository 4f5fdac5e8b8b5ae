//! What all List operations share: filter, order, page.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::wire::epoch_seconds;

const DEFAULT_PAGE: usize = 10;

/// One resource in a listing.
pub(super) struct Item {
    pub(super) name: String,
    pub(super) created: f64,
    pub(super) modified: f64,
    pub(super) status: Option<&'static str>,
    /// What the answer shows of it.
    pub(super) summary: Value,
}

/// A timestamp to order and filter by.
pub(super) fn instant(at: Timestamp) -> f64 {
    epoch_seconds(at).as_f64().unwrap_or(0.0)
}

/// The page asked for, as the member `member` of an answer.
pub(super) fn page(mut items: Vec<Item>, input: &Value, member: &str) -> Value {
    items.retain(|item| matches(item, input));
    let by_name = input["SortBy"] == "Name";
    items.sort_by(|a, b| {
        if by_name {
            a.name.cmp(&b.name)
        } else {
            a.created
                .total_cmp(&b.created)
                .then_with(|| a.name.cmp(&b.name))
        }
    });
    if input["SortOrder"] != "Ascending" {
        items.reverse();
    }
    let offset = input["NextToken"]
        .as_str()
        .and_then(|token| token.parse().ok())
        .unwrap_or(0);
    let size = input["MaxResults"]
        .as_u64()
        .and_then(|size| usize::try_from(size).ok())
        .map_or(DEFAULT_PAGE, |size| size.clamp(1, 100));
    let more = items.len() > offset + size;
    let shown: Vec<Value> = items
        .into_iter()
        .skip(offset)
        .take(size)
        .map(|item| item.summary)
        .collect();
    let mut answer = json!({ member: shown });
    if more {
        answer["NextToken"] = (offset + size).to_string().into();
    }
    answer
}

fn matches(item: &Item, input: &Value) -> bool {
    let limit = |member: &str| input[member].as_f64();
    let named = input["NameContains"]
        .as_str()
        .is_none_or(|part| item.name.contains(part));
    let in_status = input["StatusEquals"]
        .as_str()
        .is_none_or(|wanted| item.status == Some(wanted));
    named
        && in_status
        && limit("CreationTimeAfter").is_none_or(|after| item.created > after)
        && limit("CreationTimeBefore").is_none_or(|before| item.created < before)
        && limit("LastModifiedTimeAfter").is_none_or(|after| item.modified > after)
        && limit("LastModifiedTimeBefore").is_none_or(|before| item.modified < before)
}
