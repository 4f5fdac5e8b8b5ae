//! Alarms, as far as a rollout looks at them: they exist and have a state.
//!
//! An alarm is never evaluated here; its state is what `SetAlarmState` or a test made it. A new
//! alarm begins with `INSUFFICIENT_DATA`, as on AWS, and keeps its state when it is redefined.

use jiff::Timestamp;

use super::{
    ApiError, Fields, Tree, dimension_list, metric_data, metric_name, next_offset, offset,
    required, required_text,
};
use crate::cloudwatch::State;
use crate::cloudwatch::protocol::structure;
use crate::cloudwatch::statistics::Statistic;
use crate::{ACCOUNT, REGION};

const STATES: [&str; 3] = ["OK", "ALARM", "INSUFFICIENT_DATA"];
const PAGE: i64 = 50;
const DESCRIBED_LIMIT: i64 = 100;

/// What of a definition is kept, besides lists of text and `Dimensions`.
const TEXTS: [&str; 9] = [
    "AlarmDescription",
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Unit",
    "ComparisonOperator",
    "TreatMissingData",
    "EvaluateLowSampleCountPercentile",
];
const INTEGERS: [&str; 3] = ["Period", "EvaluationPeriods", "DatapointsToAlarm"];
const ACTIONS: [&str; 3] = ["OKActions", "AlarmActions", "InsufficientDataActions"];
const COMPARISONS: [&str; 4] = [
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
];

/// An alarm: its definition and its state.
#[derive(Debug, Clone)]
pub(in crate::cloudwatch) struct Alarm {
    /// The members of the definition, named and typed as `DescribeAlarms` gives them.
    definition: Vec<(String, Tree)>,
    configured_at: Timestamp,
    state: String,
    reason: String,
    reason_data: Option<String>,
    changed_at: Timestamp,
}

impl Alarm {
    /// An alarm without a definition, for a test that only needs its state.
    pub(in crate::cloudwatch) fn bare(now: Timestamp) -> Self {
        Self {
            definition: vec![("ActionsEnabled".to_owned(), Tree::Flag(true))],
            configured_at: now,
            state: "INSUFFICIENT_DATA".to_owned(),
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: None,
            changed_at: now,
        }
    }

    pub(in crate::cloudwatch) fn set_state(
        &mut self,
        now: Timestamp,
        state: &str,
        reason: &str,
        reason_data: Option<&str>,
    ) {
        state.clone_into(&mut self.state);
        reason.clone_into(&mut self.reason);
        self.reason_data = reason_data.map(str::to_owned);
        self.changed_at = now;
    }

    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub(in crate::cloudwatch) fn state(&self) -> &str {
        &self.state
    }

    fn describe(&self, name: &str) -> Tree {
        let mut members = vec![
            ("AlarmName", Tree::text(name)),
            (
                "AlarmArn",
                Tree::Text(format!(
                    "arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
                )),
            ),
            (
                "AlarmConfigurationUpdatedTimestamp",
                Tree::Time(self.configured_at),
            ),
            ("StateValue", Tree::text(&self.state)),
            ("StateReason", Tree::text(&self.reason)),
            ("StateUpdatedTimestamp", Tree::Time(self.changed_at)),
            ("StateTransitionedTimestamp", Tree::Time(self.changed_at)),
        ];
        if let Some(data) = &self.reason_data {
            members.push(("StateReasonData", Tree::text(data)));
        }
        let members = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Tree::Structure(members.chain(self.definition.iter().cloned()).collect())
    }
}

pub(super) fn put(state: &mut State, now: Timestamp, input: &Fields<'_>) -> Result<(), ApiError> {
    let name = required_text(input, "AlarmName", 255)?;
    let definition = definition(input).map_err(ApiError::into_validation)?;
    let alarm = state
        .alarms
        .entry(name.to_owned())
        .or_insert_with(|| Alarm::bare(now));
    alarm.definition = definition;
    alarm.configured_at = now;
    Ok(())
}

fn definition(input: &Fields<'_>) -> Result<Vec<(String, Tree)>, ApiError> {
    for refused in ["Metrics", "ThresholdMetricId", "EvaluationCriteria"] {
        if input.has(refused) {
            return Err(ApiError::validation(format!(
                "The parameter {refused} is refused: metric math is not simulated."
            )));
        }
    }
    let metric = metric_name(input)?;
    metric_data::period(input)?;
    let (basic, extended) = (input.text("Statistic")?, input.text("ExtendedStatistic")?);
    let supported = match (basic, extended) {
        (Some(name), None) => Statistic::parse(name).is_some_and(Statistic::is_basic),
        (None, Some(name)) => Statistic::parse(name).is_some_and(|known| !known.is_basic()),
        _ => false,
    };
    if !supported {
        return Err(ApiError::validation(
            "Exactly one of Statistic and ExtendedStatistic must be given, and be supported.",
        ));
    }
    let comparison = required_text(input, "ComparisonOperator", 255)?;
    if !COMPARISONS.contains(&comparison) {
        return Err(ApiError::validation(format!(
            "The value {comparison} for parameter ComparisonOperator is not supported."
        )));
    }
    let threshold = required(input, "Threshold", input.number("Threshold"))?;
    let periods = required(
        input,
        "EvaluationPeriods",
        input.integer("EvaluationPeriods"),
    )?;
    if !threshold.is_finite() || periods < 1 {
        return Err(ApiError::validation(
            "Threshold must be finite and EvaluationPeriods at least 1.",
        ));
    }

    let mut members = vec![
        ("Threshold", Tree::Number(threshold)),
        ("Dimensions", dimension_list(&metric.dimensions)),
        (
            "ActionsEnabled",
            Tree::Flag(input.flag("ActionsEnabled")?.unwrap_or(true)),
        ),
    ];
    for name in TEXTS {
        if let Some(text) = input.text(name)? {
            members.push((name, Tree::text(text)));
        }
    }
    for name in INTEGERS {
        if let Some(integer) = input.integer(name)? {
            members.push((name, Tree::Integer(integer)));
        }
    }
    for name in ACTIONS {
        let actions = input.texts(name)?.into_iter().map(Tree::text);
        members.push((name, Tree::List(actions.collect())));
    }
    Ok(members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

pub(super) fn describe(state: &State, input: &Fields<'_>) -> Result<Tree, ApiError> {
    let names = input.texts("AlarmNames")?;
    let prefix = input.text("AlarmNamePrefix")?;
    if !names.is_empty() && prefix.is_some() {
        return Err(ApiError::validation(
            "AlarmNames and AlarmNamePrefix are mutually exclusive.",
        ));
    }
    let value = input.text("StateValue")?;
    if let Some(value) = value {
        known_state(value)?;
    }
    let action = input.text("ActionPrefix")?;
    let types = input.texts("AlarmTypes")?;
    let limit = input.integer("MaxRecords")?.unwrap_or(PAGE);
    let limit = usize::try_from(limit)
        .ok()
        .filter(|_| (1..=DESCRIBED_LIMIT).contains(&limit))
        .ok_or_else(|| {
            let message = format!("The value {limit} for parameter MaxRecords must be 1 to 100.");
            ApiError::validation(message)
        })?;
    let metric_alarms = types.is_empty() || types.contains(&"MetricAlarm");
    let matching: Vec<Tree> = state
        .alarms
        .iter()
        .filter(|(name, alarm)| {
            metric_alarms
                && (names.is_empty() || names.contains(&name.as_str()))
                && prefix.is_none_or(|prefix| name.starts_with(prefix))
                && value.is_none_or(|value| alarm.state == value)
                && action.is_none_or(|action| alarm.has_action(action))
        })
        .map(|(name, alarm)| alarm.describe(name))
        .collect();
    let offset = offset(input)?;
    let next = next_offset(offset, limit, matching.len());
    let page = matching.into_iter().skip(offset).take(limit).collect();
    Ok(structure([
        ("CompositeAlarms", Tree::List(Vec::new())),
        ("MetricAlarms", Tree::List(page)),
        ("NextToken", next),
    ]))
}

impl Alarm {
    fn has_action(&self, prefix: &str) -> bool {
        let lists = self.definition.iter();
        lists
            .filter(|(name, _)| ACTIONS.contains(&name.as_str()))
            .any(|(_, list)| match list {
                Tree::List(actions) => actions
                    .iter()
                    .filter_map(Tree::as_text)
                    .any(|action| action.starts_with(prefix)),
                _ => false,
            })
    }
}

pub(super) fn set_state(
    state: &mut State,
    now: Timestamp,
    input: &Fields<'_>,
) -> Result<(), ApiError> {
    let name = required_text(input, "AlarmName", 255)?;
    let value = required_text(input, "StateValue", 255)?;
    known_state(value)?;
    let reason = required(input, "StateReason", input.text("StateReason"))?;
    let data = input.text("StateReasonData")?;
    let alarm = state
        .alarms
        .get_mut(name)
        .ok_or_else(|| ApiError::not_found(format!("Alarm {name} does not exist.")))?;
    alarm.set_state(now, value, reason, data);
    Ok(())
}

fn known_state(value: &str) -> Result<(), ApiError> {
    if STATES.contains(&value) {
        Ok(())
    } else {
        Err(ApiError::validation(format!(
            "The value {value} for parameter StateValue must be one of {}.",
            STATES.join(", ")
        )))
    }
}

/// Names that do not exist are passed over: the others are still deleted.
pub(super) fn delete(state: &mut State, input: &Fields<'_>) -> Result<(), ApiError> {
    let names = input.texts("AlarmNames")?;
    if names.is_empty() {
        return Err(ApiError::missing("AlarmNames"));
    }
    for name in names {
        state.alarms.remove(name);
    }
    Ok(())
}
