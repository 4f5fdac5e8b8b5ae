//! `ListMetrics`: which metrics exist.

use jiff::Timestamp;

use super::{ApiError, Fields, Tree, dimension_list, next_offset, offset, required_text};
use crate::cloudwatch::State;
use crate::cloudwatch::protocol::structure;
use crate::cloudwatch::store::MINUTE_SECONDS;

const PAGE: usize = 500;
const RECENT_MINUTES: i64 = 180;

pub(super) fn list(state: &State, now: Timestamp, input: &Fields<'_>) -> Result<Tree, ApiError> {
    let namespace = input.text("Namespace")?;
    let metric = input.text("MetricName")?;
    let mut filters = Vec::new();
    for filter in input.structures("Dimensions")? {
        filters.push((required_text(&filter, "Name", 255)?, filter.text("Value")?));
    }
    let since = match input.text("RecentlyActive")? {
        None => i64::MIN,
        Some("PT3H") => now.as_second().div_euclid(MINUTE_SECONDS) - RECENT_MINUTES,
        Some(other) => {
            let message = format!("The value {other} for parameter RecentlyActive is invalid.");
            return Err(ApiError::invalid_value(message));
        }
    };
    let mut names = state.store.names_since(since);
    names.retain(|name| {
        namespace.is_none_or(|namespace| name.namespace == namespace)
            && metric.is_none_or(|metric| name.metric == metric)
            && filters.iter().all(|(dimension, value)| {
                name.dimensions.iter().any(|(own, own_value)| {
                    own == dimension && value.is_none_or(|value| value == own_value)
                })
            })
    });
    let offset = offset(input)?;
    let metrics = names.iter().skip(offset).take(PAGE).map(|name| {
        structure([
            ("Namespace", Tree::text(&name.namespace)),
            ("MetricName", Tree::text(&name.metric)),
            ("Dimensions", dimension_list(&name.dimensions)),
        ])
    });
    Ok(structure([
        ("Metrics", Tree::List(metrics.collect())),
        ("NextToken", next_offset(offset, PAGE, names.len())),
    ]))
}
