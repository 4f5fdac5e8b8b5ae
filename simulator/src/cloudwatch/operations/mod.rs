//! What each operation does, whatever protocol it came in by.
//!
//! An operation reads its [`Fields`], refuses what CloudWatch refuses (with CloudWatch's error
//! code; the wording is close, not guaranteed), and returns the answer as a tree.

mod alarms;
mod metric_data;
mod metric_list;
mod metric_statistics;
mod put_metric_data;

use jiff::Timestamp;

use super::State;
use super::protocol::{ApiError, Fields, Tree, structure};
use super::store::MetricName;

pub(super) use alarms::Alarm;
pub(super) use metric_data::read;

const DIMENSION_LIMIT: usize = 30;

/// The units of the model.
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

/// Runs one operation. `Ok(None)` is the answer of an operation that returns nothing.
pub(super) fn run(
    state: &mut State,
    now: Timestamp,
    operation: &str,
    input: &Tree,
) -> Result<Option<Tree>, ApiError> {
    let input = Fields::root(input);
    match operation {
        "GetMetricData" => metric_data::get(state, now, &input).map(Some),
        "GetMetricStatistics" => metric_statistics::get(state, now, &input).map(Some),
        "ListMetrics" => metric_list::list(state, now, &input).map(Some),
        "PutMetricData" => put_metric_data::put(state, now, &input).map(|()| None),
        "PutMetricAlarm" => alarms::put(state, now, &input).map(|()| None),
        "DescribeAlarms" => alarms::describe(state, &input).map(Some),
        "SetAlarmState" => alarms::set_state(state, now, &input).map(|()| None),
        "DeleteAlarms" => alarms::delete(state, &input).map(|()| None),
        _ => Err(ApiError::unknown_operation(operation)),
    }
}

/// A required member.
fn required<T>(
    fields: &Fields<'_>,
    name: &str,
    value: Result<Option<T>, ApiError>,
) -> Result<T, ApiError> {
    value?.ok_or_else(|| ApiError::missing(&fields.path(name)))
}

/// A required text of 1 to `limit` characters.
fn required_text<'a>(fields: &Fields<'a>, name: &str, limit: usize) -> Result<&'a str, ApiError> {
    let text = required(fields, name, fields.text(name))?;
    let length = text.chars().count();
    if length == 0 || length > limit {
        let path = fields.path(name);
        return Err(ApiError::invalid_value(format!(
            "The value for parameter {path} must have 1 to {limit} characters, it has {length}."
        )));
    }
    Ok(text)
}

fn namespace(fields: &Fields<'_>) -> Result<String, ApiError> {
    let namespace = required_text(fields, "Namespace", 255)?;
    if namespace.starts_with(':') {
        let message = format!("The value {namespace} for parameter Namespace is invalid.");
        return Err(ApiError::invalid_value(message));
    }
    Ok(namespace.to_owned())
}

/// Namespace, name and dimensions, as several operations carry them.
fn metric_name(fields: &Fields<'_>) -> Result<MetricName, ApiError> {
    Ok(MetricName {
        namespace: namespace(fields)?,
        metric: required_text(fields, "MetricName", 255)?.to_owned(),
        dimensions: dimensions(fields)?,
    })
}

/// The dimensions as a set, sorted.
fn dimensions(fields: &Fields<'_>) -> Result<Vec<(String, String)>, ApiError> {
    let mut dimensions = Vec::new();
    for dimension in fields.structures("Dimensions")? {
        let name = required_text(&dimension, "Name", 255)?;
        let value = required_text(&dimension, "Value", 1024)?;
        dimensions.push((name.to_owned(), value.to_owned()));
    }
    let path = || fields.path("Dimensions");
    if dimensions.len() > DIMENSION_LIMIT {
        return Err(ApiError::invalid_value(format!(
            "The collection {} must not have a size greater than {DIMENSION_LIMIT}.",
            path()
        )));
    }
    dimensions.sort_unstable();
    if dimensions.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(ApiError::invalid_value(format!(
            "The collection {} names a dimension twice.",
            path()
        )));
    }
    Ok(dimensions)
}

fn unit<'a>(fields: &Fields<'a>) -> Result<Option<&'a str>, ApiError> {
    let unit = fields.text("Unit")?;
    match unit {
        Some(unit) if !UNITS.contains(&unit) => Err(ApiError::invalid_value(format!(
            "The value {unit} for parameter {} is not a unit.",
            fields.path("Unit")
        ))),
        _ => Ok(unit),
    }
}

/// Where a list goes on: the token is the number of items already given.
fn offset(fields: &Fields<'_>) -> Result<usize, ApiError> {
    match fields.text("NextToken")? {
        None => Ok(0),
        Some(token) => token.parse().map_err(|_| ApiError::invalid_token()),
    }
}

fn next_offset(offset: usize, page: usize, all: usize) -> Tree {
    let next = offset.saturating_add(page);
    if next < all {
        Tree::Text(next.to_string())
    } else {
        Tree::Null
    }
}

fn dimension_list(dimensions: &[(String, String)]) -> Tree {
    Tree::List(
        dimensions
            .iter()
            .map(|(name, value)| {
                structure([("Name", Tree::text(name)), ("Value", Tree::text(value))])
            })
            .collect(),
    )
}
