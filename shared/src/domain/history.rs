//! What happened, in words: one entry per transition or operator command. The same entry is the
//! history row, the message to people and the line on the terminal.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::audience::Audience;
use super::incident::shortened;
use super::policy::Grade;
use super::quantity::Weight;
use super::state::{Phase, Status};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = HistoryEntry))]
pub struct Entry {
    /// Counted from 1 in each deployment; with the deployment's id, the stable event id.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub event: Name,
    /// How loudly to say it.
    pub severity: Severity,
    /// One plain sentence.
    pub reason: String,
    /// The figure that mattered, with its unit.
    pub value: String,
    /// What it was held against, with its unit.
    pub limit: String,
    /// The status afterwards.
    pub status: Status,
    /// The phase afterwards.
    pub phase: Phase,
    /// The share that the canary is to have afterwards. The endpoint follows: `traffic.shifted`,
    /// `deployment.soaking` and `traffic.reverted` say that it has.
    pub weight: Weight,
    /// The share that DescribeEndpoint showed last, in percent: the one in force where it is the same as
    /// `weight`. Absent where it does not tell what is in force (somebody else changed the endpoint, or a
    /// raise that was called off may still land) and in lines that were written before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_weight: Option<Weight>,
    /// The person or pipeline that ordered it; absent when the control loop did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The guard or signal that it is about; absent where it is about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// How bad the policy calls a breach of that signal. Beside [`Entry::severity`], which says how
    /// loudly the entry is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_severity: Option<Grade>,
}

impl Entry {
    /// The same with texts of no more bytes than this.
    #[must_use]
    pub fn shortened(&self, most: usize) -> Self {
        Self {
            reason: shortened(&self.reason, most),
            value: shortened(&self.value, most),
            limit: shortened(&self.limit, most),
            ..self.clone()
        }
    }
}

/// The canary's share that was the last one confirmed before this time, by a history with the oldest first;
/// none where none was.
pub fn confirmed_share(history: &[Entry], before: Timestamp) -> Weight {
    let is_confirmed =
        |entry: &&Entry| matches!(entry.event, Name::Shifted | Name::Soaking | Name::Reverted);
    let mut earlier = history.iter().rev().filter(|entry| entry.at < before);
    let last = earlier.find(is_confirmed);
    last.map_or(Weight::ZERO, |entry| entry.weight)
}

/// Which of its ways an announcement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// To machines, by the event bus.
    Bus,
    /// To people, by the stack's topic.
    Topic,
    /// To those on call, by a topic of theirs that the stack has.
    OnCall,
    /// To the ML team, by a topic of its own that the stack has.
    MlTeam,
    /// To FinOps, by a topic of its own that the stack has.
    #[serde(rename = "finops")]
    FinOps,
    /// By the topic that the specification names.
    Named,
    /// To those on call, by the topic that the specification names for them.
    NamedOnCall,
    /// To the ML team, by the topic that the specification names for it.
    NamedMlTeam,
    /// To FinOps, by the topic that the specification names for it.
    #[serde(rename = "named_finops")]
    NamedFinOps,
}

impl Way {
    /// Those that every announcement goes.
    pub const ALWAYS: [Self; 2] = [Self::Bus, Self::Topic];

    /// All that an announcement for these audiences may go.
    pub fn open_to(audiences: &[Audience]) -> Vec<Self> {
        let of_audiences = audiences.iter().flat_map(|audience| match audience {
            Audience::OnCall => [Self::OnCall, Self::NamedOnCall],
            Audience::MlTeam => [Self::MlTeam, Self::NamedMlTeam],
            Audience::FinOps => [Self::FinOps, Self::NamedFinOps],
        });
        let to_everybody = Self::ALWAYS.into_iter().chain([Self::Named]);
        to_everybody.chain(of_audiences).collect()
    }
}

/// The topics that a specification names. They are told beside the stack's, which it can't silence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topics {
    /// The ARN of one that is told everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The ARN of one for each of these audiences, which is told what is for that audience.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub audiences: BTreeMap<Audience, String>,
}

impl Topics {
    /// Their ARNs, each with the field of the specification that names it.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let of_audiences = self.audiences.iter().map(|(audience, arn)| {
            let field = match audience {
                Audience::OnCall => "notify.audiences.on_call",
                Audience::MlTeam => "notify.audiences.ml_team",
                Audience::FinOps => "notify.audiences.finops",
            };
            (field, arn)
        });
        let of_everybody = self.topic.iter().map(|arn| ("notify.topic", arn));
        let all = of_everybody.chain(of_audiences);
        all.map(|(field, arn)| (field, arn.as_str()))
    }
}

/// How loudly a thing is said; filter policies pick by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Severity {
    /// A step between two milestones.
    Detail,
    /// A milestone.
    Info,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Detail => "detail",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// The names of what can happen, as filter policies and event rules see them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }
        impl Name {
            /// Every name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The name as it stands in messages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

names! {
    /// Accepted.
    Started = "deployment.started",
    /// The canary variant stands at weight 0.
    Provisioned = "deployment.provisioned",
    /// The canary's capacity is growing.
    Scaling = "traffic.scaling",
    /// The weights are moving up.
    Shifting = "traffic.shifting",
    /// The weights are moving down.
    Retreating = "traffic.retreating",
    /// The weights are where they should be.
    Shifted = "traffic.shifted",
    /// A bake or the soak is over, and something stands in the way of what comes next.
    Held = "deployment.held",
    /// Raises stopped by an operator.
    Paused = "deployment.paused",
    /// Raises go on.
    Resumed = "deployment.resumed",
    /// A person is needed.
    ApprovalNeeded = "deployment.approval_needed",
    /// A person approved.
    Approved = "deployment.approved",
    /// An operator skipped the rest of a bake or soak.
    Promoted = "deployment.promoted",
    /// All traffic on the canary, the old variant kept.
    Soaking = "deployment.soaking",
    /// The old variant is being removed.
    Finalizing = "deployment.finalizing",
    /// The endpoint is being brought to its final config.
    CleaningUp = "deployment.cleaning_up",
    /// The new model is the only one.
    Completed = "deployment.completed",
    /// Traffic is being taken back.
    RollingBack = "deployment.rolling_back",
    /// A rollback, as somebody has to look into it: with what is known so far.
    Incident = "incident.opened",
    /// The endpoint does not take the rollback.
    RollbackWaits = "deployment.rollback_waits",
    /// Production has everything back; cleanup follows.
    Reverted = "traffic.reverted",
    /// Rolled back and cleaned up.
    RolledBack = "deployment.rolled_back",
    /// Cancelled and cleaned up.
    Cancelled = "deployment.cancelled",
    /// Ended from outside.
    Failed = "deployment.failed",
    /// The canary can't be seen.
    Blind = "metrics.blind",
    /// The canary is seen again.
    Sighted = "metrics.sighted",
    /// A guard or a signal speaks against the canary, and people are to know.
    Breached = "signal.breached",
    /// The requests are not split as the weights say.
    Skewed = "routing.skewed",
    /// Somebody changed the endpoint.
    Drift = "endpoint.drift",
    /// The endpoint is as intended again.
    DriftEnded = "endpoint.drift_ended",
    /// The endpoint takes no updates, for longer than a change takes.
    EndpointBusy = "endpoint.busy",
    /// It takes updates again.
    EndpointRests = "endpoint.rests",
    /// Production could not take everything back without an overload.
    CapacityShort = "capacity.short",
    /// Production has its instances again.
    CapacityBack = "capacity.back",
    /// A completed deployment is no longer watched.
    WatchEnded = "watch.ended",
    /// The model registry says how the deployment came out.
    Registered = "registry.updated",
    /// It could not be told, and is not tried any more.
    RegistryLeft = "registry.given_up",
    /// A phase does not come to its end.
    Stalled = "deployment.stalled",
    /// The gate refused a model; there is no deployment.
    Rejected = "deployment.rejected",
    /// Nothing begins and nothing is raised, by order.
    Frozen = "endpoint.frozen",
    /// The freeze was lifted.
    Thawed = "endpoint.thawed",
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
