//! What one pass saw of the world. A reading that failed is a value here, never an early return:
//! deadlines, operators and the other readings still count in the same pass.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::comparison::Counts;
use super::freeze::FreezeReading;
use super::policy::Percentile;
use super::quantity::{Latency, Weight};
use super::signal::Miscount;

/// Everything one pass saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// DescribeEndpoint.
    pub endpoint: EndpointReading,
    /// The minutes after the watermark.
    pub metrics: Metrics,
    /// The alarms the policy names.
    pub alarms: AlarmReading,
    /// Whether the endpoint is frozen, where that was asked.
    pub freeze: FreezeReading,
}

/// What DescribeEndpoint answered.
#[derive(Debug, Clone, PartialEq)]
pub enum EndpointReading {
    /// No answer, or one that can't be read.
    Failed {
        /// Why.
        reason: String,
    },
    /// There is no such endpoint.
    Missing,
    /// The endpoint.
    Seen(EndpointView),
}

/// `EndpointStatus` of SageMaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "SageMaker's own names")]
pub enum EndpointStatus {
    OutOfService,
    Creating,
    Updating,
    SystemUpdating,
    RollingBack,
    InService,
    Deleting,
    Failed,
    UpdateRollbackFailed,
    /// A status this version does not know: nothing is concluded from it.
    Unknown,
}

impl EndpointStatus {
    /// Whether no update is under way.
    pub const fn is_resting(self) -> bool {
        matches!(
            self,
            Self::InService | Self::OutOfService | Self::Failed | Self::UpdateRollbackFailed
        )
    }
}

/// An endpoint as DescribeEndpoint shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Its name as it was spelled when it was made: metrics and InvokeEndpoint go by it, and only
    /// CreateEndpoint takes no notice of case. Unknown is empty.
    #[serde(default)]
    pub name: String,
    /// Its status.
    pub status: EndpointStatus,
    /// The config in force.
    pub config: String,
    /// Told apart from one deleted and made again under the same name.
    pub created_at: Timestamp,
    /// When it was last changed, by whatever change; absent where SageMaker does not say.
    #[serde(default)]
    pub modified_at: Option<Timestamp>,
    /// Why the last update failed, if it did.
    pub failure: Option<String>,
    /// The production variants.
    pub variants: Vec<VariantView>,
}

/// A production variant as DescribeEndpoint shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantView {
    /// Its name.
    pub name: String,
    /// The weight in force; the share is weight / sum of weights.
    pub current_weight: f64,
    /// The weight asked for.
    pub desired_weight: f64,
    /// Instances that serve.
    pub current_instances: u32,
    /// Instances asked for.
    pub desired_instances: u32,
}

/// Weights are single-precision numbers at SageMaker: shares that differ by less are the same.
pub const TOLERANCE: f64 = 1e-4;

/// How far two readings of one creation may lie apart: a time that is cut or rounded to seconds in one
/// of them. An endpoint takes minutes to be made, so no two of the same name come that close.
const CREATION_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

impl EndpointView {
    /// Whether it is the endpoint that was made then, and not another one of its name.
    pub fn was_made_at(&self, then: Timestamp) -> bool {
        self.created_at.duration_since(then).abs() <= CREATION_TOLERANCE
    }

    /// The variant of this name.
    pub fn variant(&self, name: &str) -> Option<&VariantView> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// The variant's share of the traffic by the weights in force, 0 to 1.
    pub fn share(&self, name: &str) -> Option<f64> {
        let sum: f64 = self
            .variants
            .iter()
            .map(|variant| variant.current_weight)
            .sum();
        let own = self.variant(name)?.current_weight;
        // SageMaker splits evenly when every weight is 0.
        Some(if sum > 0.0 {
            own / sum
        } else {
            1.0 / self.variants.len().max(1) as f64
        })
    }

    /// Whether it takes updates and is not changing.
    pub fn is_in_service(&self) -> bool {
        self.status == EndpointStatus::InService
    }

    /// Whether it is in service with the variant at exactly this share.
    pub fn is_settled_at(&self, name: &str, weight: Weight) -> bool {
        self.is_in_service()
            && self
                .share(name)
                .is_some_and(|share| (share - weight.fraction()).abs() < TOLERANCE)
    }
}

/// The metrics of both arms since the watermark.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// The start of the first minute asked for.
    pub from: Timestamp,
    /// The start of the last minute asked for; before `from` when no minute was due.
    pub through: Timestamp,
    /// The new model's variant.
    pub canary: Series,
    /// The old model's variant.
    pub production: Series,
    /// Further checks whose counts could not be read, with the reason: they blind nothing else.
    pub unread: BTreeMap<String, String>,
}

/// One variant's minutes.
#[derive(Debug, Clone, PartialEq)]
pub enum Series {
    /// The query failed or its answer was partial.
    Failed {
        /// Why.
        reason: String,
    },
    /// The minutes with requests, or with counts of further checks alone ([`ArmMinute::is_unasked`]), by
    /// their start. A minute without an entry had neither.
    Read(BTreeMap<Timestamp, ArmMinute>),
}

/// One variant in one minute. Percentiles and counts as CloudWatch computed them over the
/// minute's own samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = VariantMinute))]
pub struct ArmMinute {
    /// Requests; none in a minute in which only `checks` were counted, as labels of earlier predictions are.
    pub invocations: u64,
    /// Requests answered 4XX.
    pub errors_4xx: u64,
    /// Requests answered 5XX.
    pub errors_5xx: u64,
    /// ModelLatency; absent when CloudWatch had no points of it.
    pub latency: Option<LatencyMinute>,
    /// Mean OverheadLatency in milliseconds.
    pub overhead_ms: Option<f64>,
    /// Mean CPUUtilization in percent (up to 100 % x cores).
    pub cpu_percent: Option<f64>,
    /// Mean MemoryUtilization in percent.
    pub memory_percent: Option<f64>,
    /// What its instances cost in this minute, in dollars; absent where no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// The counts of the policy's further checks, by name; one that had no points is absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, Counts>,
    /// Those whose metrics counted more outcomes than trials, by name: they are not in `checks`, and
    /// what they show of this minute is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub miscounted: BTreeMap<String, Miscount>,
}

impl ArmMinute {
    /// Whether nothing was measured of it: it is there for what its instances cost.
    pub fn is_idle(&self) -> bool {
        let only_cost = Self {
            cost: self.cost,
            ..Self::default()
        };
        self.cost.is_some() && *self == only_cost
    }

    /// Whether something was counted of it although nobody asked it: labels come when they come. Of its
    /// requests such a minute says nothing.
    pub fn is_unasked(&self) -> bool {
        self.invocations == 0 && !(self.checks.is_empty() && self.miscounted.is_empty())
    }
}

/// ModelLatency of one variant in one minute.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LatencyMinute {
    /// Requests measured.
    pub samples: u64,
    /// In milliseconds.
    pub p50_ms: f64,
    /// In milliseconds.
    pub p90_ms: f64,
    /// In milliseconds.
    pub p95_ms: f64,
    /// In milliseconds.
    pub p99_ms: f64,
    /// Requests slower than each limit of the policy, by the limit in microseconds. A limit
    /// without an entry was not counted by this account's CloudWatch.
    #[serde(default)]
    pub slower_than: BTreeMap<u64, u64>,
}

impl LatencyMinute {
    /// The percentile in milliseconds.
    pub const fn percentile_ms(&self, percentile: Percentile) -> f64 {
        match percentile {
            Percentile::P50 => self.p50_ms,
            Percentile::P90 => self.p90_ms,
            Percentile::P95 => self.p95_ms,
            Percentile::P99 => self.p99_ms,
        }
    }

    /// Requests slower than this limit, if that was counted.
    pub fn slower(&self, limit: Latency) -> Option<u64> {
        self.slower_than.get(&limit_key(limit)).copied()
    }
}

/// The key of a limit in [`LatencyMinute::slower_than`]: whole microseconds.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limits are finite, above zero and below 2^53 microseconds"
)]
pub fn limit_key(limit: Latency) -> u64 {
    limit.microseconds().round() as u64
}

/// What DescribeAlarms answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmReading {
    /// The policy names none.
    NotAsked,
    /// No answer, or one that can't be read.
    Failed {
        /// Why.
        reason: String,
    },
    /// Those in state ALARM.
    Firing(Vec<String>),
}
