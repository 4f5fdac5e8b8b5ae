//! `GetMetricStatistics`: one metric, several statistics, a set of points per unit.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::metric_data::{TimeRange, period, visible};
use super::{ApiError, Fields, Tree, metric_name, required, unit};
use crate::cloudwatch::protocol::structure;
use crate::cloudwatch::statistics::{Samples, Statistic};
use crate::cloudwatch::{GapKind, State};

const POINT_LIMIT: i64 = 1_440;

pub(super) fn get(state: &State, now: Timestamp, input: &Fields<'_>) -> Result<Tree, ApiError> {
    let metric = metric_name(input)?;
    let start = required(input, "StartTime", input.time("StartTime"))?;
    let end = required(input, "EndTime", input.time("EndTime"))?;
    if start >= end {
        return Err(ApiError::invalid_combination(
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    let period = period(input)?;
    let range = TimeRange::new(start, end);
    let points = (range.end - range.start + period - 1) / period;
    if points > POINT_LIMIT {
        return Err(ApiError::invalid_combination(format!(
            "You have requested up to {points} datapoints, which exceeds the limit of \
             {POINT_LIMIT}. You may reduce the datapoints requested by increasing Period, or \
             decreasing the time range."
        )));
    }
    let statistics = statistics(input)?;
    let unit = unit(input)?;
    let gap = state.answering_gap(&metric.namespace, now);
    if gap == Some(GapKind::InternalError) {
        return Err(ApiError::internal("The request processing has failed."));
    }

    let mut datapoints = Vec::new();
    for (unit, minutes) in visible(state, now, &metric, unit, period, range) {
        let mut periods: BTreeMap<i64, Vec<&Samples>> = BTreeMap::new();
        for (start, samples) in minutes {
            periods.entry(start).or_default().push(samples);
        }
        datapoints.extend(
            periods
                .iter()
                .filter_map(|(start, samples)| datapoint(*start, unit, samples, &statistics)),
        );
    }
    // This operation has no status to say it in: the points are just not there.
    if gap == Some(GapKind::Partial) {
        datapoints.truncate(datapoints.len() / 2);
    }
    Ok(structure([
        ("Label", Tree::Text(metric.metric)),
        ("Datapoints", Tree::List(datapoints)),
    ]))
}

fn statistics<'a>(input: &Fields<'a>) -> Result<Vec<(&'a str, Statistic)>, ApiError> {
    let basic = input.texts("Statistics")?;
    let extended = input.texts("ExtendedStatistics")?;
    if basic.is_empty() && extended.is_empty() {
        return Err(ApiError::missing("Statistics or ExtendedStatistics"));
    }
    if !basic.is_empty() && !extended.is_empty() {
        return Err(ApiError::invalid_combination(
            "The parameters Statistics and ExtendedStatistics are mutually exclusive.",
        ));
    }
    let expect_basic = extended.is_empty();
    let parameter = if expect_basic {
        "Statistics"
    } else {
        "ExtendedStatistics"
    };
    basic
        .into_iter()
        .chain(extended)
        .map(|name| {
            Statistic::parse(name)
                .filter(|statistic| statistic.is_basic() == expect_basic)
                .map(|statistic| (name, statistic))
                .ok_or_else(|| {
                    ApiError::invalid_value(format!(
                        "The value {name} for parameter {parameter} is not supported."
                    ))
                })
        })
        .collect()
}

/// One point, unless none of the statistics has a value.
fn datapoint(
    start: i64,
    unit: &str,
    samples: &[&Samples],
    statistics: &[(&str, Statistic)],
) -> Option<Tree> {
    let mut members = vec![
        ("Timestamp".to_owned(), Tree::time(start)),
        ("Unit".to_owned(), Tree::text(unit)),
    ];
    let mut extended = Vec::new();
    for (name, statistic) in statistics {
        if let Some(value) = statistic.evaluate(samples) {
            let entry = ((*name).to_owned(), Tree::Number(value));
            if statistic.is_basic() {
                members.push(entry);
            } else {
                extended.push(entry);
            }
        }
    }
    if members.len() == 2 && extended.is_empty() {
        return None;
    }
    if !extended.is_empty() {
        members.push(("ExtendedStatistics".to_owned(), Tree::Map(extended)));
    }
    Some(Tree::Structure(members))
}
