//! `GetMetricData`: many metrics at once.
//!
//! The time range is read like this: `StartTime` is rounded down to a whole period (periods are
//! aligned to the epoch), `EndTime` is exclusive to the minute, and the last period of a range
//! that ends inside it holds only the minutes before the end. Minutes that are not visible yet
//! count as absent.
//!
//! Paging: the points of all queries are laid end to end and cut into pages. A query that is cut
//! says `PartialData` until its last page. The token remembers the instant of the first page, so
//! that points which became visible in between cannot shift the pages, and a fingerprint of the
//! request, so that it fits no other.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;

use super::{ApiError, Fields, MetricName, Tree, metric_name, required_text, unit};
use crate::cloudwatch::protocol::structure;
use crate::cloudwatch::statistics::{Samples, Statistic};
use crate::cloudwatch::store::MINUTE_SECONDS;
use crate::cloudwatch::{GapKind, MetricRequest, MetricSeries, State};

const QUERY_LIMIT: usize = 500;
const POINT_LIMIT: i64 = 100_800;

/// Half-open, in seconds since the epoch.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct TimeRange {
    pub(super) start: i64,
    pub(super) end: i64,
}

struct Query<'a> {
    id: &'a str,
    label: Option<&'a str>,
    metric: MetricName,
    period: i64,
    statistic: Statistic,
    unit: Option<&'a str>,
    returned: bool,
}

/// Where a page begins, and as of when the whole answer is computed.
struct Cursor {
    now: Timestamp,
    query: usize,
    point: usize,
}

/// Answers queries that never were a message. What would be refused as one is refused in the same words.
pub(in crate::cloudwatch) fn read(
    state: &State,
    now: Timestamp,
    asked: &[MetricRequest<'_>],
    span: (Timestamp, Timestamp),
) -> Result<Vec<MetricSeries>, ApiError> {
    if asked.is_empty() || asked.len() > QUERY_LIMIT {
        return Err(ApiError::validation(format!(
            "The collection MetricDataQueries must have a size of 1 to {QUERY_LIMIT}."
        )));
    }
    let range = ordered(span.0, span.1)?;
    let mut answers = Vec::with_capacity(asked.len());
    for request in asked {
        let query = requested(request)?;
        let (points, status) = answer(state, now, &query, range);
        let points = points
            .into_iter()
            .filter_map(|(second, value)| Some((Timestamp::from_second(second).ok()?, value)));
        answers.push(MetricSeries {
            status,
            points: points.collect(),
        });
    }
    Ok(answers)
}

fn requested<'a>(request: &MetricRequest<'a>) -> Result<Query<'a>, ApiError> {
    let name = request.statistic;
    let statistic = Statistic::parse(name).ok_or_else(|| {
        ApiError::validation(format!(
            "The value {name} for parameter MetricStat.Stat is not supported."
        ))
    })?;
    let mut dimensions = request.dimensions.to_vec();
    dimensions.sort_unstable();
    Ok(Query {
        id: "",
        label: None,
        metric: MetricName {
            namespace: request.namespace.to_owned(),
            metric: request.metric.to_owned(),
            dimensions,
        },
        period: whole_minutes(i64::from(request.period), "MetricStat.Period")
            .map_err(ApiError::into_validation)?,
        statistic,
        unit: None,
        returned: true,
    })
}

pub(super) fn get(state: &State, now: Timestamp, input: &Fields<'_>) -> Result<Tree, ApiError> {
    let range = time_range(input)?;
    let queries = queries(input)?;
    let ascending = match input.text("ScanBy")? {
        None | Some("TimestampDescending") => false,
        Some("TimestampAscending") => true,
        Some(other) => {
            let message = format!("The value {other} for parameter ScanBy is invalid.");
            return Err(ApiError::validation(message));
        }
    };
    let page_limit = input.integer("MaxDatapoints")?.unwrap_or(POINT_LIMIT);
    let page_limit = usize::try_from(page_limit)
        .ok()
        .filter(|_| (1..=POINT_LIMIT).contains(&page_limit))
        .ok_or_else(|| {
            ApiError::validation(format!(
                "The value {page_limit} for parameter MaxDatapoints must be 1 to {POINT_LIMIT}."
            ))
        })?;
    let fingerprint = fingerprint(range, &queries, ascending);
    let cursor = match input.text("NextToken")? {
        None => Cursor {
            now,
            query: 0,
            point: 0,
        },
        Some(token) => Cursor::parse(token, fingerprint)?,
    };

    let mut results = Vec::new();
    let mut budget = page_limit;
    let mut next = None;
    for (index, query) in queries.iter().enumerate().skip(cursor.query) {
        let already = if index == cursor.query {
            cursor.point
        } else {
            0
        };
        let (mut points, status) = answer(state, cursor.now, query, range);
        if !ascending {
            points.reverse();
        }
        let rest = points.get(already..).unwrap_or_default();
        if budget == 0 && !rest.is_empty() {
            next = Some((index, already));
            break;
        }
        let page = &rest[..rest.len().min(budget)];
        budget -= page.len();
        let cut = page.len() < rest.len();
        let status = if cut { "PartialData" } else { status };
        results.push(result(query, page, status));
        if cut {
            next = Some((index, already + page.len()));
            break;
        }
    }
    let token = next.map_or(Tree::Null, |(query, point)| {
        let now = cursor.now.as_millisecond();
        Tree::Text(format!("{fingerprint:016x}.{now}.{query}.{point}"))
    });
    Ok(structure([
        ("MetricDataResults", Tree::List(results)),
        ("NextToken", token),
        ("Messages", Tree::List(Vec::new())),
    ]))
}

impl Cursor {
    fn parse(token: &str, fingerprint: u64) -> Result<Self, ApiError> {
        let read = || {
            let mut parts = token.split('.');
            let own = u64::from_str_radix(parts.next()?, 16).ok()?;
            let now = parts.next()?.parse().ok()?;
            let cursor = Self {
                now: Timestamp::from_millisecond(now).ok()?,
                query: parts.next()?.parse().ok()?,
                point: parts.next()?.parse().ok()?,
            };
            (own == fingerprint && parts.next().is_none()).then_some(cursor)
        };
        read().ok_or_else(ApiError::invalid_token)
    }
}

fn fingerprint(range: TimeRange, queries: &[Query<'_>], ascending: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    (range, ascending).hash(&mut hasher);
    for query in queries {
        let metric = &query.metric;
        (query.id, query.period, query.unit).hash(&mut hasher);
        (&metric.namespace, &metric.metric, &metric.dimensions).hash(&mut hasher);
    }
    hasher.finish()
}

fn time_range(input: &Fields<'_>) -> Result<TimeRange, ApiError> {
    let time = |name| {
        input
            .time(name)?
            .ok_or_else(|| ApiError::validation(format!("The parameter {name} is required.")))
    };
    ordered(time("StartTime")?, time("EndTime")?)
}

fn ordered(start: Timestamp, end: Timestamp) -> Result<TimeRange, ApiError> {
    if start >= end {
        return Err(ApiError::validation(
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    Ok(TimeRange::new(start, end))
}

impl TimeRange {
    /// A minute takes part if it begins before `end`, even when `end` lies inside it.
    pub(super) fn new(start: Timestamp, end: Timestamp) -> Self {
        Self {
            start: start.as_second(),
            end: end.as_second() + i64::from(end.subsec_nanosecond() > 0),
        }
    }
}

fn queries<'a>(input: &Fields<'a>) -> Result<Vec<Query<'a>>, ApiError> {
    let queries = input.structures("MetricDataQueries")?;
    if queries.is_empty() {
        let message = "The parameter MetricDataQueries is required.";
        return Err(ApiError::validation(message));
    }
    if queries.len() > QUERY_LIMIT {
        return Err(ApiError::validation(format!(
            "The collection MetricDataQueries must not have a size greater than {QUERY_LIMIT}."
        )));
    }
    let mut queries = queries
        .iter()
        // Every fault of a query is a ValidationError, whatever other operations call it.
        .map(|fields| query(fields).map_err(ApiError::into_validation))
        .collect::<Result<Vec<_>, _>>()?;
    let mut ids = HashSet::new();
    if let Some(twice) = queries.iter().find(|query| !ids.insert(query.id)) {
        return Err(ApiError::validation(format!(
            "The values for parameter id in MetricDataQueries are not unique: {}.",
            twice.id
        )));
    }
    queries.retain(|query| query.returned);
    if queries.is_empty() {
        return Err(ApiError::validation(
            "At least one element of MetricDataQueries must have ReturnData set to true.",
        ));
    }
    Ok(queries)
}

fn query<'a>(fields: &Fields<'a>) -> Result<Query<'a>, ApiError> {
    let id = required_text(fields, "Id", 255)?;
    if !is_id(id) {
        return Err(ApiError::validation(format!(
            "The value {id} for parameter {} is not matching the expected pattern \
             ^[a-z][a-zA-Z0-9_]*$.",
            fields.path("Id")
        )));
    }
    if fields.has("Expression") {
        return Err(ApiError::validation(format!(
            "The parameter {} is refused: metric math is not simulated.",
            fields.path("Expression")
        )));
    }
    let stat = fields.structure("MetricStat")?.ok_or_else(|| {
        let path = fields.path("");
        ApiError::validation(format!("{path} must have a MetricStat or an Expression."))
    })?;
    let metric = stat
        .structure("Metric")?
        .ok_or_else(|| ApiError::missing(&stat.path("Metric")))?;
    let metric = metric_name(&metric)?;
    let name = required_text(&stat, "Stat", 255)?;
    let statistic = Statistic::parse(name).ok_or_else(|| {
        let path = stat.path("Stat");
        ApiError::validation(format!(
            "The value {name} for parameter {path} is not supported."
        ))
    })?;
    Ok(Query {
        id,
        label: fields.text("Label")?,
        metric,
        period: period(&stat)?,
        statistic,
        unit: unit(&stat)?,
        returned: fields.flag("ReturnData")?.unwrap_or(true),
    })
}

fn is_id(id: &str) -> bool {
    id.starts_with(|first: char| first.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A period of whole minutes; sub-minute metrics are not simulated.
pub(super) fn period(fields: &Fields<'_>) -> Result<i64, ApiError> {
    let path = fields.path("Period");
    let period = fields
        .integer("Period")?
        .ok_or_else(|| ApiError::missing(&path))?;
    whole_minutes(period, &path)
}

fn whole_minutes(period: i64, path: &str) -> Result<i64, ApiError> {
    if period < MINUTE_SECONDS {
        return Err(ApiError::invalid_value(format!(
            "The value {period} for parameter {path} must be greater than or equal to 60."
        )));
    }
    if period % MINUTE_SECONDS != 0 {
        return Err(ApiError::invalid_value(format!(
            "The value {period} for parameter {path} must be a multiple of 60."
        )));
    }
    Ok(period)
}

/// The points of one query, oldest first, and its status.
fn answer(
    state: &State,
    now: Timestamp,
    query: &Query<'_>,
    range: TimeRange,
) -> (Vec<(i64, f64)>, &'static str) {
    let gap = state.answering_gap(&query.metric.namespace, now);
    if gap == Some(GapKind::InternalError) {
        return (Vec::new(), "InternalError");
    }
    let mut periods: BTreeMap<i64, Vec<&Samples>> = BTreeMap::new();
    for (_, minutes) in visible(state, now, &query.metric, query.unit, query.period, range) {
        for (start, samples) in minutes {
            periods.entry(start).or_default().push(samples);
        }
    }
    let mut points: Vec<(i64, f64)> = periods
        .iter()
        .filter_map(|(start, samples)| Some((*start, query.statistic.evaluate(samples)?)))
        .collect();
    if gap == Some(GapKind::Partial) {
        points.truncate(points.len() / 2);
        return (points, "PartialData");
    }
    (points, "Complete")
}

/// The samples a request may see, per unit, each with the start (in seconds) of its period.
pub(super) fn visible<'a>(
    state: &'a State,
    now: Timestamp,
    metric: &'a MetricName,
    unit: Option<&'a str>,
    period: i64,
    range: TimeRange,
) -> impl Iterator<Item = (&'a str, impl Iterator<Item = (i64, &'a Samples)>)> {
    let first = range.start.div_euclid(period) * period / MINUTE_SECONDS;
    // Rounded up: a minute that begins before the end takes part.
    let end = (range.end + MINUTE_SECONDS - 1).div_euclid(MINUTE_SECONDS);
    let minutes = first..end.min(state.first_hidden_minute(now));
    let streams = state.store.read(metric, unit, minutes);
    streams.map(move |(unit, minutes)| {
        let minutes = minutes
            .filter(|(minute, _)| !state.is_missing(&metric.namespace, *minute))
            .map(move |(minute, samples)| {
                let second = minute * MINUTE_SECONDS;
                (second.div_euclid(period) * period, samples)
            });
        (unit, minutes)
    })
}

fn result(query: &Query<'_>, points: &[(i64, f64)], status: &str) -> Tree {
    let times = points.iter().map(|(second, _)| Tree::time(*second));
    let values = points.iter().map(|(_, value)| Tree::Number(*value));
    structure([
        ("Id", Tree::text(query.id)),
        (
            "Label",
            Tree::text(query.label.unwrap_or(&query.metric.metric)),
        ),
        ("Timestamps", Tree::List(times.collect())),
        ("Values", Tree::List(values.collect())),
        ("StatusCode", Tree::text(status)),
    ])
}
