//! Further checks: pairs of metrics in CloudWatch that count.
//!
//! Only counts are taken: a share of counts can be judged at any time and added up over minutes; a
//! mean or a percentile of a minute can't. And each metric must tell the two variants apart, or the
//! canary would be compared with itself.

use std::collections::{BTreeMap, HashSet};

use super::super::raw::{QuotedText, RawCheck, RawConsequence, RawMetric};
use super::super::{SpecificationError, wrong};
use super::policy::MOST_SAMPLES;
use crate::domain::comparison::Limit;
use crate::domain::model_signals::Quality;
use crate::domain::policy::Consequence;
use crate::domain::quantity::Rate;
use crate::domain::signal::{self, Direction, MetricPair, MetricSource, SignalRule, Source};
use crate::domain::text::is_readable;

/// The most further checks: they share the budget of false alarms, and each costs four queries.
pub(in super::super) const MOST_CHECKS: usize = 20;
pub(in super::super) const LONGEST_NAME: usize = 40;
/// What the service model of CloudWatch allows of a namespace, a metric or a dimension's name.
pub(in super::super) const LONGEST_IN_CLOUDWATCH: usize = 255;
/// What it allows of a dimension's value.
pub(in super::super) const LONGEST_VALUE: usize = 1024;
/// CloudWatch's 30, less the two that may be added.
pub(in super::super) const MOST_DIMENSIONS: usize = 28;
/// The longest name of an endpoint or a variant.
const LONGEST_FILLED: usize = 63;
const ENDPOINT: &str = "{endpoint}";
const VARIANT: &str = "{variant}";

/// The rules of all further checks, in the order they are given.
pub(super) fn check(
    given: Vec<RawCheck>,
    policy_min_samples: u64,
) -> Result<Vec<SignalRule>, SpecificationError> {
    if given.len() > MOST_CHECKS {
        return Err(wrong(
            "policy.checks",
            "at most 20 further checks: all of them share one budget of false alarms; keep those that decide",
        ));
    }
    let mut names: HashSet<String> = HashSet::new();
    let mut rules = Vec::with_capacity(given.len());
    for (index, one) in given.into_iter().enumerate() {
        let field = format!("policy.checks[{index}]");
        check_name(&format!("{field}.name"), &one.name)?;
        if !names.insert(one.name.clone()) {
            return Err(wrong(
                format!("{field}.name"),
                "another check has this name; give each a name of its own",
            ));
        }
        rules.push(one.check(&field, policy_min_samples)?);
    }
    Ok(rules)
}

fn check_name(field: &str, name: &str) -> Result<(), SpecificationError> {
    if [signal::ERRORS, signal::CLIENT_ERRORS, signal::SLOWNESS].contains(&name) {
        return Err(wrong(
            field,
            format!(
                "{name} is compared with production on every endpoint: policy.comparison.{name} says what follows; give this check another name"
            ),
        ));
    }
    if Quality::ALL.iter().any(|quality| quality.name() == name)
        || [signal::DRIFT, signal::UNREAD].contains(&name)
    {
        return Err(wrong(
            field,
            format!(
                "{name} is a signal of the model itself: say it as policy.{name}, or give this check another name"
            ),
        ));
    }
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if starts_well && name.len() <= LONGEST_NAME && name.chars().all(inner) {
        return Ok(());
    }
    Err(wrong(
        field,
        "a check's name has 1 to 40 lower-case letters, digits, underscores and hyphens and starts with a letter, like \"wrong_predictions\"",
    ))
}

impl RawCheck {
    fn check(self, field: &str, policy_min_samples: u64) -> Result<SignalRule, SpecificationError> {
        let direction = self.direction.unwrap_or_default();
        let compares = self.compare.unwrap_or(true);
        if !compares && self.limit.is_none() {
            return Err(wrong(
                format!("{field}.compare"),
                "judges nothing: compare is false and there is no limit; give it a limit, like \"5%\", or leave compare out",
            ));
        }
        if let Some(limit) = self.limit {
            check_limit(field, limit, direction)?;
        }
        let min_samples = self.min_samples.unwrap_or(policy_min_samples);
        if min_samples > MOST_SAMPLES {
            return Err(wrong(
                format!("{field}.min_samples"),
                "min_samples is a number of trials from 0, which asks for none, to 1000000000",
            ));
        }
        let bad = self.bad.check(&format!("{field}.bad"))?;
        let of = self.of.check(&format!("{field}.of"))?;
        if bad == of {
            return Err(wrong(
                format!("{field}.bad"),
                "the same counts as in of, a share of 100% at all times; bad counts some of the outcomes, of all of them",
            ));
        }
        let consequence = RawConsequence {
            severity: self.severity,
            on_breach: self.on_breach,
            muted: self.muted,
        };
        Ok(SignalRule {
            name: self.name,
            source: Source::Metrics(MetricPair {
                bad,
                of,
                direction,
                beside: false,
            }),
            compares,
            limit: self.limit,
            min_samples,
            consequence: consequence.check(Consequence::default()),
            family: None,
        })
    }
}

fn check_limit(field: &str, limit: Rate, direction: Direction) -> Result<(), SpecificationError> {
    if Limit::new(limit).is_some() {
        return Ok(());
    }
    let what = match direction {
        Direction::HigherIsWorse => "the highest share of bad outcomes still tolerated",
        Direction::LowerIsWorse => {
            "the highest share still tolerated of trials that bad does not count, as lower_is_worse makes those the bad ones"
        }
    };
    Err(wrong(
        format!("{field}.limit"),
        format!("limit is {what}: above \"0%\" and below \"100%\", like \"5%\""),
    ))
}

impl RawMetric {
    fn check(self, field: &str) -> Result<MetricSource, SpecificationError> {
        let plain_namespace = self.namespace.is_ascii() && !self.namespace.starts_with(':');
        if !(plain_namespace && is_readable(&self.namespace, LONGEST_IN_CLOUDWATCH)) {
            return Err(wrong(
                format!("{field}.namespace"),
                "a namespace of CloudWatch has 1 to 255 ASCII characters and no colon at the start, like \"Canary/Model\"",
            ));
        }
        if !is_readable(&self.metric, LONGEST_IN_CLOUDWATCH) {
            return Err(wrong(
                format!("{field}.metric"),
                "a metric of CloudWatch has a name of 1 to 255 characters, like \"WrongPredictions\"",
            ));
        }
        let statistic = self.stat.unwrap_or_else(|| "Sum".to_owned());
        check_statistic(&format!("{field}.stat"), &statistic)?;
        Ok(MetricSource {
            namespace: self.namespace,
            metric: self.metric,
            statistic,
            dimensions: check_dimensions(&format!("{field}.dimensions"), self.dimensions)?,
        })
    }
}

fn check_statistic(field: &str, statistic: &str) -> Result<(), SpecificationError> {
    if statistic == "Sum" || statistic == "SampleCount" {
        return Ok(());
    }
    let range = statistic
        .strip_prefix("TC(")
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|rest| rest.split_once(':'));
    let Some((low, high)) = range else {
        return Err(wrong(
            field,
            "not a count: stat is \"Sum\" (the default), \"SampleCount\" or \"TC(low:high)\"; a mean or a percentile counts nothing: to hold p99 under 0.5, count the values above it with \"TC(0.5:)\" and set the check's limit to \"1%\"",
        ));
    };
    let unfit = || {
        wrong(
            field,
            "TC(low:high) counts the values above low and up to high: plain numbers of at most ten decimals, low below high, one of them may be left out, like \"TC(0.5:)\" or \"TC(0.5:2)\"",
        )
    };
    match (low, high) {
        ("", "") => Err(wrong(
            field,
            "TC(:) counts every value; that is \"SampleCount\"",
        )),
        ("", bound) | (bound, "") => boundary(bound).map(drop).ok_or_else(unfit),
        _ => match (boundary(low), boundary(high)) {
            (Some(low), Some(high)) if low < high => Ok(()),
            _ => Err(unfit()),
        },
    }
}

/// A number as CloudWatch takes it in a statistic: no sign, no exponent, and no percent, which
/// would keep the same share of the values whatever they are.
fn boundary(text: &str) -> Option<f64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let plain = (1..=15).contains(&whole.len())
        && (1..=10).contains(&decimals.len())
        && digits(whole)
        && digits(decimals);
    plain.then(|| text.parse().ok()).flatten()
}

/// The dimensions as they are asked for. Those that name no variant get SageMaker's own two.
fn check_dimensions(
    field: &str,
    given: BTreeMap<String, QuotedText>,
) -> Result<BTreeMap<String, String>, SpecificationError> {
    if given.len() > MOST_DIMENSIONS {
        return Err(wrong(
            field,
            "at most 28 dimensions: CloudWatch takes 30, two of which name endpoint and variant",
        ));
    }
    let mut dimensions = BTreeMap::new();
    for (name, QuotedText(value)) in given {
        let plain_name = name.is_ascii() && !name.starts_with(':');
        if !(plain_name && is_readable(&name, LONGEST_IN_CLOUDWATCH)) {
            return Err(wrong(
                field,
                "a dimension's name has 1 to 255 ASCII characters and no colon at the start, like \"VariantName\"",
            ));
        }
        check_value(&format!("{field}.{name}"), &value)?;
        dimensions.insert(name, value);
    }
    if dimensions.values().any(|value| value.contains(VARIANT)) {
        return Ok(dimensions);
    }
    for (name, filled_in) in [("VariantName", VARIANT), ("EndpointName", ENDPOINT)] {
        if dimensions.contains_key(name) {
            return Err(wrong(
                format!("{field}.{name}"),
                "the two variants can't be told apart by these dimensions; write \"{variant}\" where a variant's name belongs, or leave EndpointName and VariantName out to have both added",
            ));
        }
        dimensions.insert(name.to_owned(), filled_in.to_owned());
    }
    Ok(dimensions)
}

fn check_value(field: &str, value: &str) -> Result<(), SpecificationError> {
    let longest_name = "x".repeat(LONGEST_FILLED);
    let filled = value
        .replace(ENDPOINT, &longest_name)
        .replace(VARIANT, &longest_name);
    if !(value.is_ascii() && is_readable(&filled, LONGEST_VALUE)) {
        return Err(wrong(
            field,
            "a dimension's value has 1 to 1024 ASCII characters, names of up to 63 filled in for {endpoint} and {variant}",
        ));
    }
    // A misspelt placeholder would name a metric that has no points, for good.
    let lower = filled.to_ascii_lowercase();
    if lower.contains(ENDPOINT) || lower.contains(VARIANT) {
        return Err(wrong(
            field,
            "placeholders are written in lower case: {endpoint} and {variant}",
        ));
    }
    Ok(())
}
