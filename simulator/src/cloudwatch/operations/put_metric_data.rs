//! `PutMetricData`: samples from outside AWS.
//!
//! The whole request is checked before anything of it is kept.

use jiff::{SignedDuration, Timestamp};

use super::{ApiError, Fields, MetricName, dimensions, namespace, required, required_text, unit};
use crate::cloudwatch::State;
use crate::cloudwatch::store::MINUTE_SECONDS;

const DATUM_LIMIT: usize = 1_000;
const VALUE_LIMIT: usize = 150;
const OLDEST: SignedDuration = SignedDuration::from_hours(14 * 24);
const NEWEST: SignedDuration = SignedDuration::from_hours(2);

/// 2^360, the largest magnitude CloudWatch takes.
const MAGNITUDE_EXPONENT: i32 = 360;

struct Datum<'a> {
    name: MetricName,
    unit: &'a str,
    at: Timestamp,
    samples: Sent,
}

enum Sent {
    /// Values with how often each occurred.
    Weighted(Vec<(f64, f64)>),
    Set {
        count: f64,
        sum: f64,
        minimum: f64,
        maximum: f64,
    },
}

pub(super) fn put(state: &mut State, now: Timestamp, input: &Fields<'_>) -> Result<(), ApiError> {
    let namespace = namespace(input)?;
    if namespace.starts_with("AWS/") {
        return Err(ApiError::invalid_value(
            "The value AWS/ for parameter Namespace is invalid.",
        ));
    }
    let mut all = input.structures("MetricData")?;
    for entity in input.structures("EntityMetricData")? {
        all.extend(entity.structures("MetricData")?);
    }
    if all.is_empty() {
        return Err(ApiError::missing("MetricData"));
    }
    if all.len() > DATUM_LIMIT {
        return Err(ApiError::invalid_value(format!(
            "The collection MetricData must not have a size greater than {DATUM_LIMIT}."
        )));
    }
    let data = all
        .iter()
        .map(|fields| datum(fields, &namespace, now))
        .collect::<Result<Vec<_>, _>>()?;
    for datum in data {
        keep(state, &datum);
    }
    Ok(())
}

fn keep(state: &mut State, datum: &Datum<'_>) {
    let name = &datum.name;
    let dimensions: Vec<(&str, &str)> = name
        .dimensions
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let minute = datum.at.as_second().div_euclid(MINUTE_SECONDS);
    let store = &mut state.store;
    let samples = store.minute(
        &name.namespace,
        &name.metric,
        &dimensions,
        datum.unit,
        minute,
    );
    match &datum.samples {
        Sent::Weighted(values) => {
            for (value, weight) in values {
                samples.add(*value, *weight);
            }
        }
        Sent::Set {
            count,
            sum,
            minimum,
            maximum,
        } => samples.add_set(*count, *sum, *minimum, *maximum),
    }
}

fn datum<'a>(fields: &Fields<'a>, namespace: &str, now: Timestamp) -> Result<Datum<'a>, ApiError> {
    let at = fields.time("Timestamp")?.unwrap_or(now);
    let age = now.duration_since(at);
    if age > OLDEST || age < -NEWEST {
        return Err(ApiError::invalid_value(format!(
            "The parameter {} must specify a time within the past two weeks, and no more than \
             two hours in the future.",
            fields.path("Timestamp")
        )));
    }
    if let Some(resolution) = fields.integer("StorageResolution")?
        && !matches!(resolution, 1 | 60)
    {
        return Err(ApiError::invalid_value(format!(
            "The value {resolution} for parameter {} must be 1 or 60.",
            fields.path("StorageResolution")
        )));
    }
    Ok(Datum {
        name: MetricName {
            namespace: namespace.to_owned(),
            metric: required_text(fields, "MetricName", 255)?.to_owned(),
            dimensions: dimensions(fields)?,
        },
        unit: unit(fields)?.unwrap_or("None"),
        at,
        samples: samples(fields)?,
    })
}

fn samples(fields: &Fields<'_>) -> Result<Sent, ApiError> {
    let given: Vec<&str> = ["Value", "Values", "StatisticValues"]
        .into_iter()
        .filter(|name| fields.has(name))
        .collect();
    match given[..] {
        ["Value"] => {
            let value = required(fields, "Value", fields.number("Value"))?;
            checked(fields, "Value", value)?;
            Ok(Sent::Weighted(vec![(value, 1.0)]))
        }
        ["Values"] => weighted(fields),
        ["StatisticValues"] => set(fields),
        [] => Err(ApiError::missing(&fields.path("Value"))),
        _ => {
            let paths: Vec<String> = given.iter().map(|name| fields.path(name)).collect();
            Err(ApiError::invalid_combination(format!(
                "The parameters {} are mutually exclusive and you have specified more than one.",
                paths.join(" and ")
            )))
        }
    }
}

fn weighted(fields: &Fields<'_>) -> Result<Sent, ApiError> {
    let values = fields.numbers("Values")?;
    if values.is_empty() || values.len() > VALUE_LIMIT {
        return Err(ApiError::invalid_value(format!(
            "The collection {} must have a size of 1 to {VALUE_LIMIT}.",
            fields.path("Values")
        )));
    }
    let counts = if fields.has("Counts") {
        fields.numbers("Counts")?
    } else {
        vec![1.0; values.len()]
    };
    if counts.len() != values.len() {
        return Err(ApiError::invalid_value(format!(
            "The parameters {} and {} must be of the same size.",
            fields.path("Values"),
            fields.path("Counts")
        )));
    }
    for (value, count) in values.iter().zip(&counts) {
        checked(fields, "Values", *value)?;
        checked(fields, "Counts", *count)?;
        if *count <= 0.0 {
            return Err(ApiError::invalid_value(format!(
                "The value {count} for parameter {} must be positive.",
                fields.path("Counts")
            )));
        }
    }
    Ok(Sent::Weighted(values.into_iter().zip(counts).collect()))
}

fn set(fields: &Fields<'_>) -> Result<Sent, ApiError> {
    let set = required(
        fields,
        "StatisticValues",
        fields.structure("StatisticValues"),
    )?;
    let number = |name| {
        let value = required(&set, name, set.number(name))?;
        checked(&set, name, value).map(|()| value)
    };
    let (count, sum) = (number("SampleCount")?, number("Sum")?);
    let (minimum, maximum) = (number("Minimum")?, number("Maximum")?);
    if count <= 0.0 || minimum > maximum {
        return Err(ApiError::invalid_value(format!(
            "The parameter {} must have a positive SampleCount, and a Minimum that is not above \
             its Maximum.",
            set.path("")
        )));
    }
    Ok(Sent::Set {
        count,
        sum,
        minimum,
        maximum,
    })
}

fn checked(fields: &Fields<'_>, name: &str, value: f64) -> Result<(), ApiError> {
    if value.is_finite() && value.abs() <= 2_f64.powi(MAGNITUDE_EXPONENT) {
        Ok(())
    } else {
        let path = fields.path(name);
        Err(ApiError::invalid_value(format!(
            "The value {value} for parameter {path} is invalid."
        )))
    }
}
