//! What a canary is held against: guards with their limits, how much data a look needs, and how
//! long the control loop may be blind.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fairness::Fairness;
use super::plan::Preset;
use super::quantity::{Latency, Rate, Span};
use super::signal::SignalRule;

/// A percentile of `ModelLatency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Percentile {
    /// The median.
    P50,
    /// 90 of 100 requests are faster.
    P90,
    /// 95 of 100 requests are faster.
    P95,
    /// 99 of 100 requests are faster.
    P99,
}

impl Percentile {
    /// All that are read and can be guarded.
    pub const ALL: [Self; 4] = [Self::P50, Self::P90, Self::P95, Self::P99];

    /// The share of requests that may be slower, 0 to 1.
    pub const fn tail(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P90 => 0.1,
            Self::P95 => 0.05,
            Self::P99 => 0.01,
        }
    }

    /// As CloudWatch writes the statistic.
    pub const fn statistic(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.statistic())
    }
}

/// What a guard asks of a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// The canary's share of 5XX answers is above the limit.
    ErrorsAbove(Rate),
    /// The canary's share of 5XX answers is above production's by more than this many points.
    ErrorsWorseBy(Rate),
    /// The canary's percentile of latency is above the limit.
    LatencyAbove(Percentile, Latency),
    /// The canary's percentile of latency is above production's by more than this factor.
    LatencyRatio(Percentile, f64),
    /// The canary's cost of a request is above production's by more than this factor.
    CostRatio(f64),
    /// The canary's instances use more than this share of their memory on average.
    MemoryAbove(Rate),
}

impl Test {
    /// Whether production's own figures are needed; not so at 100 %, where it has no traffic.
    pub const fn compares(self) -> bool {
        matches!(
            self,
            Self::ErrorsWorseBy(_) | Self::LatencyRatio(..) | Self::CostRatio(_)
        )
    }

    /// Whether it is about what instances cost, which they do without requests too.
    pub const fn is_of_cost(self) -> bool {
        matches!(self, Self::CostRatio(_))
    }
}

/// How long a breach must go on before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sustain {
    /// This many checks in a row.
    Checks(u32),
    /// Checks in a row that cover at least this time.
    For(Span),
}

/// How bad a breach is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Grade {
    /// To be watched.
    Low,
    /// To be kept from more people.
    Medium,
    /// To be taken back.
    #[default]
    High,
    /// To be taken back at once.
    Critical,
}

/// What a breach sets going, from the mildest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Action {
    /// People are told.
    Notify,
    /// No raise while it lasts.
    Hold,
    /// Back to the share of the stage before; from the first stage, all the way.
    StepBack,
    /// Production takes everything back.
    Rollback,
}

impl Grade {
    /// What this grade does unless the specification says otherwise (the decision matrix of row
    /// P5: critical and high roll back, medium reduces the traffic, low watches).
    pub const fn action(self) -> Action {
        match self {
            Self::Critical | Self::High => Action::Rollback,
            Self::Medium => Action::StepBack,
            Self::Low => Action::Notify,
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Notify => "notify",
            Self::Hold => "hold",
            Self::StepBack => "step back",
            Self::Rollback => "roll back",
        })
    }
}

/// How bad a breach is, and what it sets going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consequence {
    /// How bad.
    pub severity: Grade,
    /// What happens.
    pub on_breach: Action,
    /// Computed and shown, but acts on nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
}

impl Default for Consequence {
    fn default() -> Self {
        Self::of(Grade::default())
    }
}

impl Consequence {
    /// The usual one of a grade.
    pub const fn of(severity: Grade) -> Self {
        Self {
            severity,
            on_breach: severity.action(),
            muted: false,
        }
    }

    /// What it acts by; absent while it is muted.
    pub fn action(self) -> Option<Action> {
        (!self.muted).then_some(self.on_breach)
    }

    /// Whether a breach lowers the share where the way back goes by steps: whatever acts on the
    /// share and is not critical.
    pub fn retreats(self) -> bool {
        match self.action() {
            Some(Action::StepBack) => true,
            Some(Action::Rollback) => self.severity < Grade::Critical,
            Some(Action::Hold | Action::Notify) | None => false,
        }
    }

    /// Whether a breach stands in the way of more traffic.
    pub fn holds(self) -> bool {
        self.action() >= Some(Action::Hold)
    }
}

/// In words, after what is judged; nothing for the usual rollback.
impl fmt::Display for Consequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action() {
            None => f.write_str(" (muted)"),
            Some(Action::Rollback) => Ok(()),
            Some(action) => write!(f, " ({action})"),
        }
    }
}

/// One limit that acts when it is broken for long enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// As in the specification: `error_rate.limit`, `latency_p99.ratio`.
    pub name: String,
    /// What it asks.
    pub test: Test,
    /// How often in a row.
    pub sustain: Sustain,
    /// What a breach sets going.
    #[serde(default)]
    pub consequence: Consequence,
}

impl Guard {
    fn new(name: impl Into<String>, test: Test, sustain: Sustain) -> Self {
        Self {
            name: name.into(),
            test,
            sustain,
            consequence: Consequence::default(),
        }
    }

    /// The name of the limit of the memory.
    pub const MEMORY: &str = "memory.limit";

    /// A fleet that is about to run out of memory: as an outage that has not come yet.
    pub fn memory() -> Self {
        let sustain = Sustain::For(Span::from_mins(5));
        Self::new(Self::MEMORY, Test::MemoryAbove(percent(95.0)), sustain).critical()
    }

    /// One that takes everything back at once, whatever the way back is.
    fn critical(self) -> Self {
        Self {
            consequence: Consequence::of(Grade::Critical),
            ..self
        }
    }
}

/// In words, as `canary plan` shows it.
impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.test {
            Test::ErrorsAbove(limit) => write!(f, "5XX errors above {limit}")?,
            Test::ErrorsWorseBy(points) => write!(
                f,
                "5XX errors more than {} percentage points above production's",
                points.fraction() * 100.0
            )?,
            Test::LatencyAbove(percentile, limit) => {
                write!(f, "{percentile} latency above {limit}")?;
            }
            Test::LatencyRatio(percentile, ratio) => {
                write!(f, "{percentile} latency above {ratio} times production's")?;
            }
            Test::CostRatio(ratio) => {
                write!(f, "cost of a request above {ratio} times production's")?;
            }
            Test::MemoryAbove(limit) => write!(f, "memory above {limit}")?,
        }
        match self.sustain {
            Sustain::Checks(1) => f.write_str(" in one check"),
            Sustain::Checks(checks) => write!(f, " in {checks} checks in a row"),
            Sustain::For(span) => write!(f, " for {span}"),
        }?;
        write!(f, "{}", self.consequence)
    }
}

/// The anytime-valid comparison with production: its budget of false rollbacks, and the odds
/// ratio still tolerated. Its state is in [`super::evidence::Evidence`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The share of healthy rollouts that may be rolled back, over the whole rollout.
    pub alpha: Rate,
    /// The odds ratio of bad outcomes that is still as good as production.
    pub tolerate: f64,
}

/// What happens when somebody else changed the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OnDrift {
    /// No raise until the endpoint is as intended again, or an operator resumes.
    #[default]
    Hold,
    /// Put the intended weights back, unless the canary's share was lowered.
    Restore,
    /// End the deployment and leave the endpoint as it was found.
    Abandon,
}

/// Everything a canary is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Absolute and relative limits, of what a request is answered with and of what it costs.
    pub guards: Vec<Guard>,
    /// The limit of the instances' memory. Not among `guards`: a version that knows no such test reads
    /// the record without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Guard>,
    /// What is compared with production.
    #[serde(default = "SignalRule::built_in")]
    pub signals: Vec<SignalRule>,
    /// The comparison with production.
    pub comparison: Comparison,
    /// Canary requests that a check's window, and a stage before it is left, must hold.
    pub min_samples: u64,
    /// Leave a stage only once the canary is shown to be below the limits.
    pub safe_gate: bool,
    /// How long the canary may go unseen before it is rolled back.
    pub blind_limit: Span,
    /// CloudWatch alarms whose ALARM state rolls back at once.
    pub alarms: Vec<String>,
    /// What happens on drift.
    pub on_drift: OnDrift,
    /// Start although production itself breaks the policy today: its broken guards are muted.
    #[serde(default)]
    pub accept_baseline: bool,
    /// What is asked of groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness: Option<Fairness>,
}

impl Policy {
    /// The default of `min_samples`.
    pub const MIN_SAMPLES: u64 = 500;
    /// The default of `blind_limit`.
    pub const BLIND_LIMIT: Span = Span::from_mins(10);

    /// The policy a preset brings, before the specification's own `policy` is laid over it.
    pub fn preset(preset: Preset) -> Self {
        let guards = match preset {
            Preset::Linear => vec![
                errors_above("error_rate.limit", 1.0, Sustain::Checks(2)),
                Guard::new(
                    "error_rate.worse_by",
                    Test::ErrorsWorseBy(percent(5.0)),
                    Sustain::Checks(2),
                ),
                latency_above(
                    "latency_p99.limit",
                    Percentile::P99,
                    100.0,
                    Sustain::Checks(3),
                ),
                Guard::new(
                    "latency_p99.ratio",
                    Test::LatencyRatio(Percentile::P99, 2.0),
                    Sustain::Checks(3),
                ),
            ],
            Preset::Playbook => vec![
                errors_above("error_rate.limit", 1.0, Sustain::Checks(2)),
                Guard::new(
                    "latency_p95.ratio",
                    Test::LatencyRatio(Percentile::P95, 1.2),
                    Sustain::Checks(3),
                ),
                errors_above(
                    "error_rate.emergency",
                    5.0,
                    Sustain::For(Span::from_mins(5)),
                )
                .critical(),
                latency_above(
                    "latency_p95.emergency",
                    Percentile::P95,
                    5000.0,
                    Sustain::For(Span::from_mins(5)),
                )
                .critical(),
            ],
            Preset::Quick => vec![
                errors_above("error_rate.limit", 5.0, Sustain::Checks(2)),
                latency_above(
                    "latency_p95.limit",
                    Percentile::P95,
                    100.0,
                    Sustain::Checks(3),
                ),
            ],
            Preset::Phased => vec![
                // Both of its emergencies, at once under a way back by steps too.
                errors_above("error_rate.limit", 5.0, Sustain::For(Span::from_mins(5))).critical(),
                Guard::new(
                    "latency_p95.ratio",
                    Test::LatencyRatio(Percentile::P95, 1.2),
                    Sustain::For(Span::from_mins(10)),
                ),
                Guard::new(
                    "latency_p95.emergency",
                    Test::LatencyRatio(Percentile::P95, 2.0),
                    Sustain::For(Span::from_mins(5)),
                )
                .critical(),
            ],
        };
        Self {
            guards,
            memory: (preset == Preset::Playbook).then(Guard::memory),
            signals: SignalRule::built_in(),
            comparison: Comparison {
                alpha: percent(1.0),
                tolerate: 1.25,
            },
            min_samples: Self::MIN_SAMPLES,
            safe_gate: false,
            blind_limit: Self::BLIND_LIMIT,
            alarms: Vec::new(),
            on_drift: OnDrift::Hold,
            accept_baseline: false,
            fairness: None,
        }
    }

    /// Every limit, in the order in which they are shown.
    pub fn all_guards(&self) -> impl Iterator<Item = &Guard> {
        self.guards.iter().chain(&self.memory)
    }

    /// The latency limits whose slower requests have to be counted, each once.
    pub fn latency_limits(&self) -> Vec<Latency> {
        let mut limits: Vec<Latency> = Vec::new();
        for guard in &self.guards {
            if let Test::LatencyAbove(_, limit) = guard.test
                && !limits.contains(&limit)
            {
                limits.push(limit);
            }
        }
        limits
    }

    /// Whether latency is judged at all.
    pub fn judges_latency(&self) -> bool {
        self.guards
            .iter()
            .any(|guard| matches!(guard.test, Test::LatencyAbove(..) | Test::LatencyRatio(..)))
    }
}

fn percent(value: f64) -> Rate {
    Rate::from_percent(value).expect("the presets' rates are between 0 and 100 %")
}

fn errors_above(name: &str, limit: f64, sustain: Sustain) -> Guard {
    Guard::new(name, Test::ErrorsAbove(percent(limit)), sustain)
}

fn latency_above(name: &str, percentile: Percentile, limit_ms: f64, sustain: Sustain) -> Guard {
    Guard::new(
        name,
        Test::LatencyAbove(
            percentile,
            Latency::from_ms(limit_ms).expect("the presets' latencies are above zero"),
        ),
        sustain,
    )
}
