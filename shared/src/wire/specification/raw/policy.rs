//! What the canary is held against.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::words::QuotedText;
use crate::domain::policy::{Action, Grade, OnDrift};
use crate::domain::quantity::{Latency, Rate, Span};
use crate::domain::signal::Direction;

/// What the canary is held against. What is left out is the preset's own.
#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a policy, such as {"error_rate": {"limit": "1%"}}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Policy))]
pub(crate) struct RawPolicy {
    /// Answers 5XX of the canary.
    pub(crate) error_rate: Option<RawErrorRate>,
    /// The median of the canary's ModelLatency.
    pub(crate) latency_p50: Option<RawLatency>,
    /// The 90th percentile of the canary's ModelLatency.
    pub(crate) latency_p90: Option<RawLatency>,
    /// The 95th percentile of the canary's ModelLatency.
    pub(crate) latency_p95: Option<RawLatency>,
    /// The 99th percentile of the canary's ModelLatency.
    pub(crate) latency_p99: Option<RawLatency>,
    /// The comparison with production, every minute, over the whole rollout.
    pub(crate) comparison: Option<RawComparison>,
    /// Canary requests that a check, and a stage before it is left, must hold.
    pub(crate) min_samples: Option<u64>,
    /// Whether a stage is left only once the canary is shown to be below the limits.
    #[serde(default)]
    pub(crate) safe_gate: bool,
    /// Without metrics of the canary for longer than this: roll back. A minute at the least.
    pub(crate) blind_limit: Option<Span>,
    /// CloudWatch alarms whose ALARM state rolls back at once.
    #[serde(default)]
    pub(crate) alarms: Vec<String>,
    /// What follows when somebody else changed the endpoint.
    pub(crate) on_drift: Option<OnDrift>,
    /// Further signals: shares of counts in CloudWatch.
    #[serde(default)]
    pub(crate) checks: Vec<RawCheck>,
    /// Start although production itself breaks the policy today: the guards it breaks are muted.
    pub(crate) accept_baseline: Option<bool>,
    /// Right predictions among the labelled: the lowest share still good.
    pub(crate) accuracy: Option<RawQuality>,
    /// Found positives among the actual ones: the lowest share still good.
    pub(crate) recall: Option<RawQuality>,
    /// Right predictions among the positive ones: the lowest share still good.
    pub(crate) precision: Option<RawQuality>,
    /// The harmonic mean of precision and recall: the lowest still good.
    pub(crate) f1: Option<RawQuality>,
    /// Wrongly flagged negatives: the highest share still tolerated.
    pub(crate) false_positive_rate: Option<RawQuality>,
    /// Whether groups are treated alike.
    pub(crate) fairness: Option<RawFairness>,
    /// Whether the scores lie as production's do: a breach holds and notifies unless it is told
    /// otherwise. A stage waits for `min_samples` predictions whose score could be read.
    pub(crate) drift: Option<RawConsequence>,
    /// Predictions that could not be read, compared with production wherever there is `model_signals`: a
    /// breach holds and notifies unless it is told otherwise.
    pub(crate) unread_predictions: Option<RawConsequence>,
    /// What a request costs beside production's.
    pub(crate) cost: Option<RawCost>,
    /// How much of their memory the canary's instances use; part of the preset `playbook`.
    pub(crate) memory: Option<RawMemory>,
}

/// How much of their memory the canary's instances use on average (`MemoryUtilization`).
///
/// A minute without a reading speaks neither for the canary nor against it. After ten of them nothing is
/// raised until there is one, unless CloudWatch never had any of either model.
#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a limit of memory, such as {"limit": "95%"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MemoryGuard))]
pub(crate) struct RawMemory {
    /// The highest share still tolerated: above 0 % and below 100 %.
    pub(crate) limit: Option<Rate>,
    /// For how long it must be above to act, in minutes that have a reading.
    #[serde(rename = "for")]
    pub(crate) sustained: Option<Span>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does; critical if left out.
    pub(crate) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(crate) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(crate) muted: Option<bool>,
}

/// How good the predictions are, by the labels that `POST /feedback` takes.
#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a limit of this measure, such as {"limit": "85%"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = QualityGuard))]
pub(crate) struct RawQuality {
    /// Above 0 % and below 100 %; left out, it is compared with production alone.
    pub(crate) limit: Option<Rate>,
    /// Whether it is compared with production.
    pub(crate) compare: Option<bool>,
    /// Of the canary's labels, how many that say something of this measure a stage needs before it is
    /// left: all for accuracy, those of actual positives for recall, of flagged ones for precision, of
    /// either for F1, of actual negatives for the false-positive rate. 0, the default, asks for none.
    #[serde(default)]
    pub(crate) min_labels: u64,
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(crate) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(crate) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(crate) muted: Option<bool>,
}

/// Whether groups are treated alike, by the measures that are named; where none is, by all three with a
/// limit of 0.1, 0.1 and 0.8. Equal opportunity needs labels.
#[derive(Deserialize, Default)]
#[serde(
    deny_unknown_fields,
    expecting = r#"limits of fairness, such as {"demographic_parity": 0.1}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FairnessGuard))]
pub(crate) struct RawFairness {
    /// The largest difference between two groups' shares of positive predictions, like 0.1.
    pub(crate) demographic_parity: Option<f64>,
    /// The largest difference between two groups' shares of positives that are found, like 0.1.
    pub(crate) equal_opportunity: Option<f64>,
    /// The smallest ratio of two groups' shares of positive predictions, like 0.8.
    pub(crate) disparate_impact: Option<f64>,
    /// Predictions, or actual positives, of a group that say something about it; 100 if left out.
    pub(crate) min_samples: Option<u64>,
    /// Positive predictions of a group that say something about a ratio (`disparate_impact`), whatever the
    /// number of its predictions; 50 if left out.
    pub(crate) min_positives: Option<u64>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(crate) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(crate) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(crate) muted: Option<bool>,
}

/// The cost of a request, by instances and their prices. At 100 %, and in the watch, it is held against what
/// production's requests cost in this rollout while it had some.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a limit of the cost beside production's, such as {"ratio": 1.5}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CostGuard))]
pub(crate) struct RawCost {
    /// Dollars for an hour of an instance, by its type, like `ml.c6i.large: 0.102`. Those of production's
    /// type and the canary's are needed, here or in the stack's parameter `InstancePrices`.
    #[serde(default)]
    pub(crate) prices: BTreeMap<String, f64>,
    /// How many times production's cost is still tolerated; 1.5 if left out.
    pub(crate) ratio: Option<f64>,
    /// For how long it must be above to act; an hour if left out.
    #[serde(rename = "for")]
    pub(crate) sustained: Option<Span>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does; low if left out.
    pub(crate) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(crate) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(crate) muted: Option<bool>,
}

/// The canary's share of answers 5XX.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a limit of errors, such as {"limit": "1%"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ErrorRateGuard))]
pub(crate) struct RawErrorRate {
    /// The highest share still tolerated.
    pub(crate) limit: Option<Rate>,
    /// How many percentage points above production's share are still tolerated.
    pub(crate) worse_by: Option<Rate>,
    /// How many checks in a row must be broken to act; 2 if nothing is said. Excludes `for`.
    pub(crate) checks: Option<u32>,
    /// For how long checks in a row must be broken to act. Excludes `checks`.
    #[serde(rename = "for")]
    pub(crate) sustained: Option<Span>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(crate) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(crate) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(crate) muted: Option<bool>,
}

/// A percentile of the canary's ModelLatency: a limit, a ratio, or both.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a limit of latency, such as {"limit": "100ms"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = LatencyGuard))]
pub(crate) struct RawLatency {
    /// The highest value still tolerated.
    pub(crate) limit: Option<Latency>,
    /// How many times production's own percentile is still tolerated.
    pub(crate) ratio: Option<f64>,
    /// How many checks in a row must be broken to act; 3 if nothing is said. Excludes `for`.
    pub(crate) checks: Option<u32>,
    /// For how long checks in a row must be broken to act. Excludes `checks`.
    #[serde(rename = "for")]
    pub(crate) sustained: Option<Span>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(crate) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(crate) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(crate) muted: Option<bool>,
}

/// The comparison with production.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"how it is compared, such as {"alpha": "1%", "tolerate": 1.25}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Comparison))]
pub(crate) struct RawComparison {
    /// The share of sound rollouts that it may roll back: above 0 % and at most 50 %.
    pub(crate) alpha: Option<Rate>,
    /// The odds ratio, canary over production, that is still as good.
    pub(crate) tolerate: Option<f64>,
    /// What worse answers 5XX set going.
    #[serde(default)]
    pub(crate) errors: RawConsequence,
    /// What worse answers 4XX set going.
    #[serde(default)]
    pub(crate) client_errors: RawConsequence,
    /// What more slow requests set going.
    #[serde(default)]
    pub(crate) slowness: RawConsequence,
}

/// What a breach sets going: the grade's usual action, or the one that is named.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(
    deny_unknown_fields,
    expecting = r#"what a breach sets going, such as {"severity": "high"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Consequence))]
pub(crate) struct RawConsequence {
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(crate) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(crate) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(crate) muted: Option<bool>,
}

/// A further signal: any two metrics of CloudWatch that count. `bad` counts some outcomes, `of` the
/// trials they are counted among.
///
/// With `direction: lower_is_worse` the counted outcomes are the wanted ones (conversions, correct
/// predictions), and the bad ones are the trials that `bad` does not count. `limit` stays the
/// highest share of **bad** outcomes still tolerated: where at least 97 % of the predictions must be
/// right, it is 3 %.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a check, such as {"name": "refunds", "bad": {"namespace": "Shop", "metric": "Refunds"}, "of": {"namespace": "Shop", "metric": "Orders"}}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CheckSpecification))]
pub(crate) struct RawCheck {
    /// Lower case, and not one of the signals that every endpoint has.
    pub(crate) name: String,
    /// Counts the bad outcomes.
    pub(crate) bad: RawMetric,
    /// Counts the trials they are among.
    pub(crate) of: RawMetric,
    /// The highest share of bad outcomes still tolerated: above 0 % and below 100 %.
    pub(crate) limit: Option<Rate>,
    /// Whether it is compared with production.
    pub(crate) compare: Option<bool>,
    /// Which way is worse.
    pub(crate) direction: Option<Direction>,
    /// Trials, not requests; 0 asks for none. Left out, it is the policy's own.
    pub(crate) min_samples: Option<u64>,
    /// How bad a breach is, which says what it sets going unless `on_breach` does.
    pub(crate) severity: Option<Grade>,
    /// What a breach sets going, in place of what the severity says.
    pub(crate) on_breach: Option<Action>,
    /// Computed and shown, but acts on nothing.
    pub(crate) muted: Option<bool>,
}

/// One metric. Where no dimension holds `{variant}`, the two that SageMaker's own metrics have are
/// added.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a metric, such as {"namespace": "Shop", "metric": "Refunds"}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Metric))]
pub(crate) struct RawMetric {
    /// ASCII, and no colon at the start.
    pub(crate) namespace: String,
    /// The metric's name.
    pub(crate) metric: String,
    /// `Sum`, `SampleCount`, or `TC(low:high)`, which counts the values above low and up to high.
    pub(crate) stat: Option<String>,
    /// By name, with `{endpoint}` and `{variant}` where their names belong.
    #[serde(default)]
    pub(crate) dimensions: BTreeMap<String, QuotedText>,
}
