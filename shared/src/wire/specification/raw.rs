//! The fields as they are given, before they are checked against one another: what serde alone can
//! refuse is refused here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::Value;

use crate::domain::calendar::ChangeWindow;
use crate::domain::plan::Preset;
use crate::domain::policy::{Action, Grade, OnDrift};
use crate::domain::quantity::{Latency, Rate, Span, Weight};
use crate::domain::signal::Direction;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) endpoint: String,
    pub(super) model: Option<String>,
    pub(super) model_package: Option<String>,
    #[serde(default)]
    pub(super) canary: RawCanary,
    #[serde(default)]
    pub(super) plan: RawPlan,
    #[serde(default)]
    pub(super) policy: RawPolicy,
    pub(super) rollback: Option<RawRollback>,
    #[serde(default)]
    pub(super) cleanup: RawCleanup,
    #[serde(default)]
    pub(super) notify: RawNotify,
    pub(super) routing: Option<Value>,
    /// The same as in `policy`: it is an answer to a refusal, added in a hurry.
    pub(super) accept_baseline: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCanary {
    #[serde(default)]
    pub(super) instances: Instances,
    pub(super) instance_type: Option<String>,
    pub(super) autoscaling: Option<RawAutoscaling>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAutoscaling {
    pub(super) min: Option<u32>,
    pub(super) max: Option<u32>,
    pub(super) invocations_per_instance: Option<u32>,
    pub(super) scale_in_cooldown: Option<Span>,
    pub(super) scale_out_cooldown: Option<Span>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlan {
    pub(super) preset: Option<Preset>,
    pub(super) linear: Option<RawLinear>,
    pub(super) stages: Option<Vec<RawStage>>,
    pub(super) soak: Option<Span>,
    pub(super) deadline: Option<Span>,
    #[serde(default)]
    pub(super) change_windows: Vec<ChangeWindow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLinear {
    pub(super) initial: WholePercent,
    pub(super) step: WholePercent,
    pub(super) every: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStage {
    pub(super) weight: WholePercent,
    pub(super) bake: Option<Span>,
    #[serde(default)]
    pub(super) approval: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicy {
    pub(super) error_rate: Option<RawErrorRate>,
    pub(super) latency_p50: Option<RawLatency>,
    pub(super) latency_p90: Option<RawLatency>,
    pub(super) latency_p95: Option<RawLatency>,
    pub(super) latency_p99: Option<RawLatency>,
    pub(super) comparison: Option<RawComparison>,
    pub(super) min_samples: Option<u64>,
    #[serde(default)]
    pub(super) safe_gate: bool,
    pub(super) blind_limit: Option<Span>,
    #[serde(default)]
    pub(super) alarms: Vec<String>,
    pub(super) on_drift: Option<OnDrift>,
    #[serde(default)]
    pub(super) checks: Vec<RawCheck>,
    pub(super) accept_baseline: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawErrorRate {
    pub(super) limit: Option<Rate>,
    pub(super) worse_by: Option<Rate>,
    pub(super) checks: Option<u32>,
    #[serde(rename = "for")]
    pub(super) sustained: Option<Span>,
    pub(super) severity: Option<Grade>,
    pub(super) on_breach: Option<Action>,
    pub(super) muted: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLatency {
    pub(super) limit: Option<Latency>,
    pub(super) ratio: Option<f64>,
    pub(super) checks: Option<u32>,
    #[serde(rename = "for")]
    pub(super) sustained: Option<Span>,
    pub(super) severity: Option<Grade>,
    pub(super) on_breach: Option<Action>,
    pub(super) muted: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawComparison {
    pub(super) alpha: Option<Rate>,
    pub(super) tolerate: Option<f64>,
    #[serde(default)]
    pub(super) errors: RawConsequence,
    #[serde(default)]
    pub(super) client_errors: RawConsequence,
    #[serde(default)]
    pub(super) slowness: RawConsequence,
}

/// What a breach sets going: the grade's usual action, or the one that is named.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConsequence {
    pub(super) severity: Option<Grade>,
    pub(super) on_breach: Option<Action>,
    pub(super) muted: Option<bool>,
}

/// A further signal: any two metrics of CloudWatch that count. `bad` counts some outcomes, `of` the
/// trials they are counted among.
///
/// With `direction: lower_is_worse` the counted outcomes are the wanted ones (conversions, correct
/// predictions), and the bad ones are the trials that `bad` does not count. `limit` stays the
/// highest share of **bad** outcomes still tolerated: where at least 97 % of the predictions must be
/// right, it is 3 %.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheck {
    pub(super) name: String,
    pub(super) bad: RawMetric,
    pub(super) of: RawMetric,
    pub(super) limit: Option<Rate>,
    pub(super) compare: Option<bool>,
    pub(super) direction: Option<Direction>,
    /// Trials, not requests; 0 asks for none. Left out, it is the policy's own.
    pub(super) min_samples: Option<u64>,
    pub(super) severity: Option<Grade>,
    pub(super) on_breach: Option<Action>,
    pub(super) muted: Option<bool>,
}

/// One metric. Where no dimension holds `{variant}`, the two that SageMaker's own metrics have are
/// added.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetric {
    pub(super) namespace: String,
    pub(super) metric: String,
    pub(super) stat: Option<String>,
    #[serde(default)]
    pub(super) dimensions: BTreeMap<String, QuotedText>,
}

/// A text that YAML takes for something else unless it is quoted: bare, `{variant}` is a map and
/// `3` a number.
pub(super) struct QuotedText(pub(super) String);

impl<'de> Deserialize<'de> for QuotedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;
        impl Visitor<'_> for Quoted {
            type Value = QuotedText;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text in quotes, like \"{variant}\" or \"3\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<QuotedText, E> {
                Ok(QuotedText(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Quoted)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRollback {
    pub(super) mode: RollbackMode,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum RollbackMode {
    #[default]
    Immediate,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCleanup {
    pub(super) after: Option<Span>,
    #[serde(default)]
    pub(super) keep_old_variant: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    pub(super) topic: Option<String>,
}

/// `match`, or a number.
#[derive(Default)]
pub(super) enum Instances {
    #[default]
    Match,
    Number(u32),
}

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (value.as_str(), value.as_u64()) {
            (Some("match"), _) => Ok(Self::Match),
            (_, Some(number @ 1..=1000)) => Ok(Self::Number(
                u32::try_from(number).map_err(de::Error::custom)?,
            )),
            _ => Err(de::Error::custom(
                "instances is \"match\" (the canary's share of production's count) or a number from 1 to 1000",
            )),
        }
    }
}

/// A weight from 1 to 100: a whole number, so that 0.1, "10%" and NaN are refused alike.
#[derive(Clone, Copy)]
pub(super) struct WholePercent(pub(super) Weight);

impl<'de> Deserialize<'de> for WholePercent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = WholePercent;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("whole percent from 1 to 100, without a sign, like 10")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<WholePercent, E> {
                let percent = u8::try_from(number)
                    .ok()
                    .filter(|percent| *percent > 0)
                    .and_then(Weight::new);
                percent
                    .map(WholePercent)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}
