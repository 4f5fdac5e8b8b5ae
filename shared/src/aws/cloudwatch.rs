//! CloudWatch: metrics and alarms.

use std::collections::HashMap;

use aws_sdk_cloudwatch::types::{
    AlarmType, Dimension, Metric, MetricDataQuery, MetricStat, ScanBy, StateValue, StatusCode,
};
use aws_smithy_types::DateTime;
use jiff::{SignedDuration, Timestamp};

use super::Aws;
use super::error::{nonsense, sort};
use crate::app::ports::{Class, MetricAnswer, MetricQuery, Metrics, PortError};

impl Metrics for Aws {
    async fn read(
        &self,
        queries: &[MetricQuery],
        from: Timestamp,
        through: Timestamp,
    ) -> Result<Vec<MetricAnswer>, PortError> {
        const OPERATION: &str = "GetMetricData";
        let asked: Vec<MetricDataQuery> = queries
            .iter()
            .enumerate()
            .map(|(index, query)| metric_query(index, query))
            .collect();
        // EndTime is exclusive, and `through` is the start of the last minute.
        let end = through + SignedDuration::from_mins(1);
        let mut found: HashMap<String, Collected> = HashMap::new();
        let mut token = None;
        loop {
            let call = self
                .control
                .cloudwatch
                .get_metric_data()
                .set_metric_data_queries(Some(asked.clone()));
            let call = call
                .start_time(date(from))
                .end_time(date(end))
                .scan_by(ScanBy::TimestampAscending)
                .set_next_token(token);
            let page = call.send().await.map_err(|error| sort(OPERATION, &error))?;
            for result in page.metric_data_results() {
                let collected = found
                    .entry(result.id().unwrap_or_default().to_owned())
                    .or_default();
                collected.status = result.status_code().cloned();
                for (at, value) in result.timestamps().iter().zip(result.values()) {
                    let at = Timestamp::from_second(at.secs())
                        .map_err(|_| nonsense(OPERATION, "a timestamp out of range"))?;
                    collected.points.push((at, *value));
                }
            }
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        Ok((0..queries.len())
            .map(|index| answer(found.remove(&id(index))))
            .collect())
    }

    async fn firing(&self, alarms: &[String]) -> Result<Vec<String>, PortError> {
        const OPERATION: &str = "DescribeAlarms";
        let call = self
            .control
            .cloudwatch
            .describe_alarms()
            .set_alarm_names(Some(alarms.to_vec()));
        let call = call
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .max_records(100);
        let output = call.send().await.map_err(|error| sort(OPERATION, &error))?;
        let metric = output
            .metric_alarms()
            .iter()
            .map(|alarm| (alarm.alarm_name(), alarm.state_value()));
        let composite = output
            .composite_alarms()
            .iter()
            .map(|alarm| (alarm.alarm_name(), alarm.state_value()));
        let states: HashMap<&str, Option<&StateValue>> = metric
            .chain(composite)
            .filter_map(|(name, state)| Some((name?, state)))
            .collect();
        let is_firing = |name: &&String| {
            let state = states.get(name.as_str()).copied().flatten();
            state == Some(&StateValue::Alarm)
        };
        let firing: Vec<String> = alarms.iter().filter(is_firing).cloned().collect();
        let unknown = alarms
            .iter()
            .find(|name| !states.contains_key(name.as_str()));
        match unknown {
            // One that was deleted never hides one that fires.
            Some(unknown) if firing.is_empty() => Err(PortError::new(
                Class::Invalid,
                OPERATION,
                format!("there is no alarm {unknown}"),
            )),
            _ => Ok(firing),
        }
    }
}

#[derive(Default)]
struct Collected {
    status: Option<StatusCode>,
    points: Vec<(Timestamp, f64)>,
}

fn answer(collected: Option<Collected>) -> MetricAnswer {
    match collected {
        None => MetricAnswer::Incomplete("no result for the query".to_owned()),
        // The last page's status is the whole answer's.
        Some(Collected {
            status: Some(StatusCode::Complete),
            points,
        }) => MetricAnswer::Complete(points),
        Some(Collected { status, .. }) => MetricAnswer::Incomplete(status.map_or_else(
            || "no status".to_owned(),
            |status| status.as_str().to_owned(),
        )),
    }
}

/// Ids begin with a lower-case letter.
fn id(index: usize) -> String {
    format!("q{index}")
}

fn date(at: Timestamp) -> DateTime {
    DateTime::from_secs(at.as_second())
}

fn metric_query(index: usize, query: &MetricQuery) -> MetricDataQuery {
    let dimensions = query
        .dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let metric = Metric::builder()
        .namespace(&query.namespace)
        .metric_name(&query.metric)
        .set_dimensions(Some(dimensions.collect()))
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(i32::try_from(query.period).unwrap_or(i32::MAX))
        .stat(&query.statistic)
        .build();
    MetricDataQuery::builder()
        .id(id(index))
        .metric_stat(stat)
        .return_data(true)
        .build()
}
