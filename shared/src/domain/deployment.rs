//! The record of a deployment: the terms it was accepted on, which never change, and the state
//! the control loop commits.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::authority::Grants;
use super::baseline::Baseline;
use super::clearance::Clearance;
use super::cost::Prices;
use super::history::Topics;
use super::in_force::InForce;
use super::model_signals::Readings;
use super::plan::Plan;
use super::policy::Policy;
use super::quantity::{Span, Weight};
use super::registry::{self, Filing, Packages, Standing};
use super::retreat::{Descent, Rollback};
use super::routing::Sticky;
use super::scaling::{Autoscaling, ScalableTarget};
use super::state::{Interrupted, Outcome, Phase, Status};

/// The version of the record's shape that this code writes.
pub const SCHEMA_VERSION: u32 = 2;

/// What was accepted. Immutable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// A UUID of version 7: sortable by time.
    pub id: String,
    /// The endpoint whose model is replaced.
    pub endpoint: String,
    /// The endpoint's creation: tells it from one made again under the same name.
    pub endpoint_created_at: Timestamp,
    /// The new model.
    pub model: String,
    /// The model in production when the deployment was accepted.
    pub former_model: String,
    /// The variant in production when the deployment was accepted.
    pub production: String,
    /// The new model's variant, for good.
    pub canary: String,
    /// The endpoint config in force when the deployment was accepted.
    pub original_config: String,
    /// The config with both variants.
    pub canary_config: String,
    /// The config with the new model alone.
    pub final_config: String,
    /// Stages, soak, deadline.
    pub plan: Plan,
    /// What the canary is held against.
    pub policy: Policy,
    /// What production did before.
    #[serde(default)]
    pub baseline: Baseline,
    /// How many instances the canary gets, and of which type.
    pub capacity: CanaryCapacity,
    /// What is left behind, and when it goes.
    pub cleanup: Cleanup,
    /// How it goes back.
    #[serde(default)]
    pub rollback: Rollback,
    /// How long the new model is watched once the deployment is completed; zero: not at all.
    #[serde(default)]
    pub watch: Span,
    /// The topics that are told beside the stack's.
    #[serde(flatten)]
    pub topics: Topics,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Who asked for it, by the name that grants call the caller.
    pub created_by: String,
    /// How `inference` tells users apart; by the weights alone where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Sticky>,
    /// How `inference` reads predictions off the model's answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readings: Option<Readings>,
    /// What an hour of an instance costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// Who had which role when it was accepted: what decides while the endpoint's tags can't be
    /// read. Absent from records that were written before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Grants>,
    /// The completed deployment that this one brings the former model back from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// What let it in.
    #[serde(default)]
    pub clearance: Clearance,
    /// The versions of model packages that it is about; none where the model was named itself.
    #[serde(default, skip_serializing_if = "Packages::is_none")]
    pub packages: Packages,
}

/// The canary's instances.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CanaryCapacity {
    /// A fixed number, or its share of production's count (`None`).
    pub instances: Option<u32>,
    /// As production's, unless named.
    pub instance_type: Option<String>,
    /// How it scales by itself; as production does, unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
}

/// What happens to what the rollout leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleanup {
    /// After a rollback: how long the canary stays at weight 0 for inspection.
    pub after: Span,
    /// After a completion: whether the old variant stays at weight 0.
    pub keep_old_variant: bool,
}

impl Cleanup {
    /// The default of `after`.
    pub const AFTER: Span = Span::from_hours(1);
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// What was accepted.
    pub terms: Terms,
    /// What is committed.
    pub state: State,
}

/// What is committed: small, and written under a condition on `version`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The shape of this record.
    pub schema_version: u32,
    /// Counts writes; every write names the one it read.
    pub version: u64,
    /// See [`Status`].
    pub status: Status,
    /// See [`Phase`].
    pub phase: Phase,
    /// The share last confirmed by DescribeEndpoint.
    pub weight: Weight,
    /// The share intended.
    pub target: Weight,
    /// When the phase was entered.
    pub phase_since: Timestamp,
    /// When the present share was confirmed: the bake runs from here.
    pub stage_since: Timestamp,
    /// The last write.
    pub updated_at: Timestamp,
    /// Where a pause returns to.
    #[serde(default)]
    pub interrupted: Option<Interrupted>,
    /// Where the cleanup leads to.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// One plain sentence: why it stands where it stands.
    pub reason: String,
    /// Why it is ending otherwise than by completion; said again when it has ended.
    #[serde(default)]
    pub cause: Option<String>,
    /// The deadline's clock.
    pub clock: Clock,
    /// A raise or an UpdateEndpoint that may still be under way.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// The last UpdateEndpoint that was asked for.
    #[serde(default)]
    pub update: Option<Update>,
    /// What AWS said the last time that it did not do what was asked; absent once it did.
    #[serde(default)]
    pub refusal: Option<String>,
    /// Production's instances that the total traffic needs, as far as that was ever seen.
    pub production_instances: u32,
    /// The canary's instances that were confirmed for its share.
    #[serde(default)]
    pub canary_instances: u32,
    /// The canary's scaling floor; 0 while it does not scale by itself.
    #[serde(default)]
    pub canary_floor: u32,
    /// Production's scaling floor, while it is held above its own.
    #[serde(default)]
    pub floor: Option<Floor>,
    /// Whether everything that the rollout left behind is gone.
    #[serde(default)]
    pub cleaned: bool,
    /// When people were last told that a rollback waits.
    #[serde(default)]
    pub alarmed_at: Option<Timestamp>,
    /// What somebody else changed at the endpoint, while it stands.
    #[serde(default)]
    pub drift: Option<String>,
    /// When a drift was first seen to leave the canary less than its confirmed share, until that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowered_since: Option<Timestamp>,
    /// The share in force, once it was seen to be another one than `weight` since that was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForce>,
    /// Production has fewer instances than the total traffic needs, while it has.
    #[serde(default)]
    pub short: Option<Short>,
    /// The endpoint takes no updates, while it takes none.
    #[serde(default)]
    pub busy: Option<Busy>,
    /// Whether people were told that this phase does not come to its end; of a soak, that it is over and
    /// can't be left.
    #[serde(default)]
    pub stall_told: bool,
    /// Up to when this phase waited for what people know of, as a freeze; no stall counts before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_until: Option<Timestamp>,
    /// How often the share was taken back a stage.
    #[serde(default)]
    pub step_backs: u32,
    /// The way down by steps, while it is on one.
    #[serde(default)]
    pub descent: Option<Descent>,
    /// The watch after the completion, while there is one.
    #[serde(default)]
    pub watch: Option<Watch>,
    /// What the model registry is still to be told, while it is.
    #[serde(default)]
    pub filing: Option<Filing>,
    /// Whether the canary may have had requests: weights were on their way up at least once, or somebody else
    /// had set some.
    #[serde(default)]
    pub had_traffic: bool,
    /// The last history entry's number.
    pub last_seq: u64,
}

/// Time that counts against the deadline; it stops in pauses, approvals and closed windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock {
    /// Counted so far, up to `running_since`.
    pub used: Span,
    /// Set while it runs.
    pub running_since: Option<Timestamp>,
}

impl Clock {
    /// What has been used at `now`.
    pub fn used_at(&self, now: Timestamp) -> Span {
        let running = self
            .running_since
            .map_or(0, |since| Span::between(since, now).secs());
        Span::from_secs(self.used.secs() + running)
    }

    /// Starts or stops it; neither twice.
    pub fn run(&mut self, runs: bool, now: Timestamp) {
        match (runs, self.running_since) {
            (true, None) => self.running_since = Some(now),
            (false, Some(_)) => {
                *self = Self {
                    used: self.used_at(now),
                    running_since: None,
                }
            }
            _ => {}
        }
    }
}

/// A completed deployment that is still looked after; it holds no lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The completion.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// What can't be seen at the moment, and since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unseen: BTreeMap<String, Timestamp>,
}

/// Nobody else may raise or update, and no terminal state is written, before it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Outlasts the call's total timeout.
    pub until: Timestamp,
    /// Whose it is: the one who took it may give it back early.
    pub holder: String,
}

/// An UpdateEndpoint that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The config it was to deploy.
    pub config: String,
    /// How often it was refused.
    pub attempts: u32,
    /// When SageMaker accepted it; absent while that is not known.
    #[serde(default)]
    pub accepted_at: Option<Timestamp>,
    /// Why it was not accepted the last time.
    #[serde(default)]
    pub last_error: Option<String>,
}

/// Production can't take everything back without an overload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Short {
    /// Since when.
    pub since: Timestamp,
    /// Whether people were told.
    pub told: bool,
}

/// The endpoint is changing, by our own hand or another's. SageMaker's own maintenance is counted
/// apart: nobody can shorten it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// Up to when it was counted.
    pub seen_at: Timestamp,
    /// Time in `SystemUpdating`.
    pub system_updating: Span,
    /// Time in every other status that takes no updates.
    pub updating: Span,
    /// Whether people were told.
    pub told: bool,
}

/// A scalable target as it was found, and the floor it is held at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// Held at this many instances.
    pub held_at: u32,
    /// Whether the target was removed, for an update that removes the variant.
    #[serde(default)]
    pub released: bool,
    /// Whether its owner has removed the target since. The canary still scales by what was found, until
    /// the rollout is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// The target; `None` when the variant does not scale by itself.
    pub found: Option<ScalableTarget>,
}

impl Floor {
    /// Production's target, which is held and put back; `None` when the variant does not scale by
    /// itself, or does so no more because its owner has removed the target.
    pub fn target(&self) -> Option<&ScalableTarget> {
        self.found.as_ref().filter(|_| !self.withdrawn)
    }
}

impl State {
    /// Whether the control loop has to look at it: it is not over, it is still watched, or the model
    /// registry was not told yet.
    pub fn is_active(&self) -> bool {
        !self.status.is_terminal() || self.watch.is_some() || self.filing.is_some()
    }
}

impl Deployment {
    /// A deployment just accepted.
    pub fn accepted(terms: Terms, production_instances: u32) -> Self {
        let now = terms.created_at;
        let state = State {
            schema_version: SCHEMA_VERSION,
            version: 1,
            status: Status::Pending,
            phase: Phase::Provisioning,
            weight: Weight::ZERO,
            target: Weight::ZERO,
            phase_since: now,
            stage_since: now,
            updated_at: now,
            interrupted: None,
            outcome: None,
            reason: String::new(),
            cause: None,
            clock: Clock::default(),
            lease: None,
            update: None,
            refusal: None,
            production_instances,
            canary_instances: 0,
            canary_floor: 0,
            floor: None,
            cleaned: false,
            alarmed_at: None,
            drift: None,
            lowered_since: None,
            in_force: None,
            short: None,
            busy: None,
            stall_told: false,
            waited_until: None,
            step_backs: 0,
            descent: None,
            watch: None,
            filing: None,
            had_traffic: false,
            last_seq: 0,
        };
        Self { terms, state }
    }

    /// Whether its minutes are judged: on the way up, and once completed for as long as it is watched.
    pub fn is_judged(&self) -> bool {
        let goes_on =
            self.state.status == Status::InProgress && self.state.phase != Phase::CleaningUp;
        goes_on || self.state.watch.is_some()
    }

    /// Whether a call may still be under way that this deployment started.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.state
            .lease
            .as_ref()
            .is_some_and(|lease| lease.until > now)
    }

    /// The canary's instances that its share needs: a fixed number, or its share of what production
    /// should have, rounded up; never none, and never more than its own scaling allows. So nothing
    /// has to lift a ceiling that a team has set, and none cuts the fleet once the rollout is over.
    pub fn canary_instances_for(&self, weight: Weight) -> u32 {
        let most = self.canary_target().map_or(u32::MAX, |target| target.max);
        self.terms
            .capacity
            .instances
            .unwrap_or_else(|| weight.part_of(self.production_needs()))
            .min(most)
            .max(1)
    }

    /// How the canary scales by itself: as was asked for, or as production was found to.
    pub fn canary_target(&self) -> Option<ScalableTarget> {
        let asked = self.terms.capacity.autoscaling.as_ref();
        let found = || self.state.floor.as_ref()?.found.clone();
        asked.map(Autoscaling::target).or_else(found)
    }

    /// How the canary scales by itself once the rollout is over: what it has from a target that was
    /// removed from production meanwhile ends with the rollout.
    pub fn lasting_target(&self) -> Option<ScalableTarget> {
        let asked = self.terms.capacity.autoscaling.as_ref();
        let left = || self.state.floor.as_ref()?.target().cloned();
        asked.map(Autoscaling::target).or_else(left)
    }

    /// What the model registry is still to be told by now, in order; nothing where it was told.
    pub fn standings(&self) -> Vec<Standing> {
        let terms = &self.terms;
        let about = registry::About {
            id: &terms.id,
            endpoint: &terms.endpoint,
            model: &terms.model,
            undoes: terms.undoes.is_some(),
        };
        let filing = self.state.filing.as_ref();
        filing.map_or_else(Vec::new, |filing| {
            filing.left(registry::standings(&terms.packages, &filing.ending, about))
        })
    }

    /// Whether inference must ask for production by name: the second lever, for as long as
    /// production may not have everything back.
    pub fn pins_production(&self) -> bool {
        self.state.status == Status::RollingBack && self.state.phase == Phase::Reverting
    }

    /// The share of users that are asked of the canary; absent while everybody goes by the weights.
    ///
    /// It is the lower of the share that is confirmed and the one that is committed to, so that nobody
    /// is asked of the canary before its weight and its instances are there, and everybody above the
    /// new share is out as soon as less is wanted. While somebody else's hand is at the endpoint, what
    /// they set decides; and once the old variant may be going, it is asked for by nobody.
    pub fn sticky_share(&self) -> Option<(&Sticky, Weight)> {
        let state = &self.state;
        let is_split = match state.phase {
            Phase::Scaling
            | Phase::Shifting
            | Phase::Baking
            | Phase::Holding
            | Phase::AwaitingApproval
            | Phase::Paused
            | Phase::Retreating
            | Phase::Soaking => state.status == Status::InProgress && state.drift.is_none(),
            Phase::Provisioning
            | Phase::Finalizing
            | Phase::Reverting
            | Phase::CleaningUp
            | Phase::Ended => false,
        };
        let sticky = self.terms.routing.as_ref().filter(|_| is_split)?;
        Some((sticky, state.weight.min(state.target)))
    }

    /// The instances production should have: what the total traffic needs, as far as its scaling
    /// allows.
    pub fn production_needs(&self) -> u32 {
        let floor = self.state.floor.as_ref();
        let most = floor
            .and_then(|floor| floor.found.as_ref())
            .map(|it| it.max);
        most.map_or(self.state.production_instances, |most| {
            self.state.production_instances.min(most)
        })
    }

    /// Canary variant, config names: unique per deployment by the random end of its id.
    pub fn names(endpoint: &str, id: &str) -> Names {
        let short: String = id
            .chars()
            .rev()
            .filter(char::is_ascii_alphanumeric)
            .take(8)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        // 63 characters at most, less "-canary-" and the 8.
        let stem: String = endpoint.chars().take(47).collect();
        let stem = stem.trim_end_matches('-');
        Names {
            canary: format!("canary-{short}"),
            canary_config: format!("{stem}-canary-{short}"),
            final_config: format!("{stem}-final-{short}"),
            former_config: format!("{stem}-former-{short}"),
        }
    }
}

impl Watch {
    /// How long a completed deployment is watched unless the specification says otherwise.
    pub const USUAL: Span = Span::from_hours(7 * 24);
}

impl Terms {
    /// The config that a rollback deploys once the old variant is gone: the original one, with the
    /// instances that the total traffic needs.
    pub fn former_config(&self) -> String {
        Deployment::names(&self.endpoint, &self.id).former_config
    }

    /// Whether traffic may be raised now, as far as the calendar says: a hotfix waits for no window.
    pub fn allows_raise_at(&self, now: Timestamp) -> bool {
        self.clearance.hotfix.is_some() || self.plan.allows_raise_at(now)
    }

    /// The first moment from this one on at which the calendar allows a raise; absent where it allows none for
    /// weeks.
    pub fn raises_from(&self, now: Timestamp) -> Option<Timestamp> {
        if self.clearance.hotfix.is_some() {
            return Some(now);
        }
        self.plan.raises_from(now)
    }

    /// Whether the new model is the one that production runs already, or of the same version of a package.
    pub fn brings_the_same_model(&self) -> bool {
        self.model == self.former_model || self.packages.are_one()
    }

    /// Whether it brings back a model that production had. No proof is asked of that one, and callers
    /// who have turned away from the model that it replaces must not keep it away.
    pub const fn is_undo(&self) -> bool {
        self.undoes.is_some()
    }

    /// Whether production alone is on this config: the one it was found on, or the copy of it.
    pub fn is_home(&self, config: &str) -> bool {
        config == self.original_config || config == self.former_config()
    }
}

/// The names a deployment gives to what it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The canary variant.
    pub canary: String,
    /// The config with both variants.
    pub canary_config: String,
    /// The config with the new model alone.
    pub final_config: String,
    /// The config with the former model alone, with today's instances.
    pub former_config: String,
}
