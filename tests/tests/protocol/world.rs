//! What the model is in: the stored record, the endpoint, the configs, the calls under way and the
//! workers between two of their steps.
//!
//! Time goes in minutes and never ends, so a state is told from another not by its timestamps but
//! by what the rules make of them. [`World`]'s hash is over [`Key`], in which
//!
//! - every time is an age in minutes, cut off above the longest wait that the rules know here (a
//!   minute for bake, soak and cleanup, two for an update that settles and for a lease, six for a step
//!   on the way down);
//! - version, event numbers, texts, ids and the watermark appear only as what they decide: whether
//!   a worker's record is still the stored one, whether a lease is this worker's, whether a minute
//!   is still to be judged;
//! - the evidence is what `decide` reads of it under these terms: the one guard's row. Totals and
//!   samples only count up and decide nothing at `min_samples: 0`;
//! - the two workers are interchangeable.
//!
//! What is thereby left out: waits of hours (the limit on provisioning, the deadline) and the
//! reminder every five minutes that a rollback waits.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use shared::app::ports::Loaded;
use shared::domain::baseline::Baseline;
use shared::domain::clearance::Clearance;
use shared::domain::decide::ROLLBACK_BUDGET;
use shared::domain::deployment::{CanaryCapacity, Cleanup, Deployment, Terms};
use shared::domain::evidence::{Evidence, Finding};
use shared::domain::history::Topics;
use shared::domain::judge::last_judgeable;
use shared::domain::observation::{EndpointReading, EndpointStatus, EndpointView, VariantView};
use shared::domain::plan::{Plan, Preset, Stage};
use shared::domain::policy::{Consequence, Guard, Policy, Sustain, Test};
use shared::domain::quantity::{Rate, Span, Weight};
use shared::domain::registry::Packages;
use shared::domain::retreat::{Rollback, Steps};
use shared::domain::state::{Interrupted, Outcome, Phase, Status};

use super::workers::{Worker, WorkerKey};

/// Production's variant.
pub(crate) const PRODUCTION: &str = "blue";
/// The challenger's variant.
pub(crate) const CANARY: &str = "canary-0a1b2c3d";
/// Production's instances, and so what the canary needs at 100 %.
pub(crate) const INSTANCES: u32 = 2;
/// Minutes after which an update that is not seen has come back, as `decide` has it.
const SETTLES: i64 = 2;
/// The guard of the scenario that judges minutes.
pub(crate) const GUARD: &str = "error_rate.limit";

/// The endpoint's configs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Config {
    /// With production alone.
    Original,
    /// With both variants.
    Both,
    /// With the canary alone.
    Last,
    /// With production alone again, as it was last.
    Former,
}

impl Config {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Original => "wine-original",
            Self::Both => "wine-canary-0a1b2c3d",
            Self::Last => "wine-final-0a1b2c3d",
            Self::Former => "wine-former-0a1b2c3d",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        [Self::Original, Self::Both, Self::Last, Self::Former]
            .into_iter()
            .find(|config| config.name() == name)
            .expect("the rules name no config but these")
    }

    /// Whether production is alone on it.
    pub(crate) const fn is_home(self) -> bool {
        matches!(self, Self::Original | Self::Former)
    }
}

/// What a call asks of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Change {
    /// UpdateEndpoint.
    Deploy(Config),
    /// Weights: the canary's share in percent.
    Share(u8),
    /// The canary's instances.
    Instances(u32),
    /// Production's scaling target gets the floor that the rollout needs; registered anew where it
    /// was removed.
    Floor { registers: bool },
    /// The canary's scaling target is registered, or its floor raised.
    CanaryFloor,
}

impl Change {
    /// Whether it could give the canary traffic, or change the variants.
    pub(crate) fn may_harm(self) -> bool {
        self != Self::Share(0)
    }

    /// Whether it gives the canary traffic.
    pub(crate) fn raises(self) -> bool {
        matches!(self, Self::Share(share) if share > 0)
    }
}

/// A call made and not landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Call {
    pub(crate) change: Change,
    /// The minute in which it lands at the latest.
    pub(crate) lands_by: i64,
}

/// The endpoint as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Endpoint {
    pub(crate) config: Config,
    /// Accepted and on its way; the endpoint refuses everything else meanwhile.
    pub(crate) pending: Option<Change>,
    /// The canary's weight in percent; production has the rest.
    pub(crate) share: u8,
    pub(crate) canary_instances: u32,
}

impl Endpoint {
    const fn new() -> Self {
        Self {
            config: Config::Original,
            pending: None,
            share: 0,
            canary_instances: 0,
        }
    }

    /// What comes of the change that is on its way.
    pub(crate) fn finish(&mut self) {
        match self.pending.take() {
            Some(Change::Deploy(config)) => {
                match config {
                    Config::Original | Config::Former => {
                        (self.share, self.canary_instances) = (0, 0);
                    }
                    Config::Both if self.config.is_home() => self.canary_instances = 1,
                    Config::Both => {}
                    Config::Last => (self.share, self.canary_instances) = (100, INSTANCES),
                }
                self.config = config;
            }
            Some(Change::Share(share)) => self.share = share,
            Some(Change::Instances(count)) => self.canary_instances = count,
            Some(Change::Floor { .. } | Change::CanaryFloor) | None => {}
        }
    }

    /// The canary's part of the traffic in percent.
    pub(crate) const fn canary_share(&self) -> u8 {
        match self.config {
            Config::Original | Config::Former => 0,
            Config::Both => self.share,
            Config::Last => 100,
        }
    }

    /// DescribeEndpoint.
    pub(crate) fn describe(&self) -> EndpointReading {
        let mut variants = Vec::with_capacity(2);
        let desired = match self.pending {
            Some(Change::Share(share)) => share,
            _ => self.share,
        };
        let desired_instances = match self.pending {
            Some(Change::Instances(count)) => count,
            _ => self.canary_instances,
        };
        let alone = self.config != Config::Both;
        if self.config != Config::Last {
            variants.push(VariantView {
                name: PRODUCTION.to_owned(),
                current_weight: if alone {
                    1.0
                } else {
                    f64::from(100 - self.share) / 100.0
                },
                desired_weight: if alone {
                    1.0
                } else {
                    f64::from(100 - desired) / 100.0
                },
                current_instances: INSTANCES,
                desired_instances: INSTANCES,
            });
        }
        if !self.config.is_home() {
            variants.push(VariantView {
                name: CANARY.to_owned(),
                current_weight: if alone {
                    1.0
                } else {
                    f64::from(self.share) / 100.0
                },
                desired_weight: if alone {
                    1.0
                } else {
                    f64::from(desired) / 100.0
                },
                current_instances: self.canary_instances,
                desired_instances,
            });
        }
        EndpointReading::Seen(EndpointView {
            name: String::new(),
            status: match self.pending {
                None => EndpointStatus::InService,
                Some(_) => EndpointStatus::Updating,
            },
            config: self.config.name().to_owned(),
            created_at: endpoint_made_at(),
            modified_at: None,
            failure: None,
            variants,
        })
    }
}

/// Application Auto Scaling of production.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scaling {
    /// As it was found, on whoever has the traffic.
    AsFound,
    /// With the floor that the rollout needs.
    Held,
    /// Removed: an update that removes its variant asks for that.
    Gone,
}

/// A promise that a step, and no state, has broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Broken {
    /// A record that breaks its invariants was to be written, or the table was used wrongly.
    Unsound,
    /// A raise started from a read of a deployment that rolls back or is over.
    RaiseAfterRollback,
    /// A rollback or an end was undone.
    Undone,
    /// A transition without a line of history, or with a gap in the numbers.
    Untold,
    /// A config was deleted that the endpoint was on, or on its way to.
    DeletedInUse,
    /// What was judged was rewound, or a raise was committed although it speaks against it.
    PastEvidence,
}

/// One state of the model.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) minute: i64,
    pub(crate) stored: Arc<Loaded>,
    /// The endpoint's lock is this deployment's.
    pub(crate) is_locked: bool,
    pub(crate) endpoint: Endpoint,
    pub(crate) scaling: Scaling,
    /// Whether the canary has a scaling target.
    pub(crate) canary_scales: bool,
    /// Which of [`World::MADE`] exist.
    pub(crate) configs: [bool; 3],
    /// Calls whose caller is gone.
    pub(crate) orphans: Vec<Call>,
    pub(crate) workers: Vec<Worker>,
    /// All of them: one would hide another, and a longer way to it would be looked for.
    pub(crate) broken: BTreeSet<Broken>,
    pub(crate) left: Left,
}

/// What may still happen, where that is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Left {
    /// Ticks and functions.
    pub(crate) invocations: Option<u8>,
    /// Workers that vanish.
    pub(crate) crashes: Option<u8>,
}

fn accepted_at() -> Timestamp {
    "2026-03-02T09:00:20Z".parse().expect("a valid timestamp")
}

fn endpoint_made_at() -> Timestamp {
    accepted_at() - SignedDuration::from_hours(24)
}

/// The terms of the model's rollout: 50 %, 100 %, and a minute for everything that waits.
pub(crate) fn terms(judges_minutes: bool, goes_down: bool) -> Terms {
    let minute = Span::from_mins(1);
    let stage = |percent, bake| Stage {
        weight: Weight::new(percent).expect("a percentage"),
        bake,
        approval: false,
        min_labels: 0,
    };
    let guard = Guard {
        name: GUARD.to_owned(),
        test: Test::ErrorsAbove(Rate::from_percent(5.0).expect("a percentage")),
        sustain: Sustain::Checks(2),
        consequence: Consequence::default(),
    };
    Terms {
        id: "019c0000-0000-7000-8000-00000a1b2c3d".to_owned(),
        endpoint: "wine".to_owned(),
        endpoint_created_at: endpoint_made_at(),
        model: "wine-v2".to_owned(),
        former_model: "wine-v1".to_owned(),
        production: PRODUCTION.to_owned(),
        canary: CANARY.to_owned(),
        original_config: Config::Original.name().to_owned(),
        canary_config: Config::Both.name().to_owned(),
        final_config: Config::Last.name().to_owned(),
        plan: Plan::new(
            vec![stage(50, minute), stage(100, Span::ZERO)],
            minute,
            Span::from_hours(96),
            Vec::new(),
        )
        .expect("a plan that rises to 100"),
        policy: Policy {
            guards: if judges_minutes {
                vec![guard]
            } else {
                Vec::new()
            },
            signals: Vec::new(),
            min_samples: 0,
            safe_gate: false,
            alarms: vec!["pager".to_owned()],
            ..Policy::preset(Preset::Linear)
        },
        baseline: Baseline::default(),
        capacity: CanaryCapacity::default(),
        cleanup: Cleanup {
            after: Span::ZERO,
            keep_old_variant: false,
        },
        rollback: Rollback {
            steps: goes_down.then(|| Steps {
                weights: vec![Weight::new(25).expect("a percentage")],
                every: minute,
            }),
            ..Rollback::default()
        },
        watch: Span::ZERO,
        topics: Topics::default(),
        clearance: Clearance::default(),
        created_at: accepted_at(),
        created_by: "deployer".to_owned(),
        routing: None,
        readings: None,
        prices: None,
        grants: None,
        undoes: None,
        packages: Packages::default(),
    }
}

impl World {
    /// The configs that a rollout makes.
    pub(crate) const MADE: [Config; 3] = [Config::Both, Config::Last, Config::Former];

    /// A deployment just accepted.
    pub(crate) fn new(judges_minutes: bool, goes_down: bool) -> Self {
        let terms = terms(judges_minutes, goes_down);
        let evidence = Evidence::starting_after(last_judgeable(terms.created_at));
        let deployment = Deployment::accepted(terms, INSTANCES);
        Self {
            minute: 0,
            stored: Arc::new(Loaded {
                deployment,
                evidence,
            }),
            is_locked: true,
            endpoint: Endpoint::new(),
            scaling: Scaling::AsFound,
            canary_scales: false,
            configs: [false; 3],
            orphans: Vec::new(),
            workers: Vec::new(),
            broken: BTreeSet::new(),
            left: Left::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Self::at(self.minute)
    }

    pub(crate) fn at(minute: i64) -> Timestamp {
        accepted_at() + SignedDuration::from_mins(minute)
    }

    pub(crate) fn status(&self) -> Status {
        self.stored.deployment.state.status
    }

    pub(crate) fn phase(&self) -> Phase {
        self.stored.deployment.state.phase
    }

    /// Whether this is no longer what is stored: a commit from it fails.
    pub(crate) fn is_stale(&self, before: &Loaded) -> bool {
        before.deployment.state.version != self.stored.deployment.state.version
            || before.evidence.judged_through != self.stored.evidence.judged_through
    }

    pub(crate) fn has_config(&self, config: Config) -> bool {
        let made = Self::MADE.iter().position(|made| *made == config);
        made.is_none_or(|index| self.configs[index])
    }

    pub(crate) fn make(&mut self, config: Config) {
        if let Some(index) = Self::MADE.iter().position(|made| *made == config) {
            self.configs[index] = true;
        }
    }

    /// Every call that has not landed.
    pub(crate) fn calls(&self) -> impl Iterator<Item = Call> + '_ {
        let waited_for = self.workers.iter().filter_map(Worker::call);
        self.orphans.iter().copied().chain(waited_for)
    }

    pub(crate) fn key(&self) -> Key {
        let mut orphans: Vec<(Change, i64)> = self
            .orphans
            .iter()
            .map(|call| (call.change, call.lands_by - self.minute))
            .collect();
        orphans.sort_unstable();
        let mut workers: Vec<WorkerKey> =
            self.workers.iter().map(|worker| worker.key(self)).collect();
        workers.sort();
        Key {
            record: RecordKey::of(&self.stored, self.now()),
            is_locked: self.is_locked,
            endpoint: self.endpoint,
            scaling: self.scaling,
            canary_scales: self.canary_scales,
            configs: self.configs,
            orphans,
            workers,
            broken: self.broken.clone(),
            left: self.left,
        }
    }
}

/// A state without what no rule can tell apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    record: RecordKey,
    is_locked: bool,
    endpoint: Endpoint,
    scaling: Scaling,
    canary_scales: bool,
    configs: [bool; 3],
    orphans: Vec<(Change, i64)>,
    workers: Vec<WorkerKey>,
    broken: BTreeSet<Broken>,
    left: Left,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

/// The update that a phase waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Update {
    None,
    Asked,
    /// So many minutes ago, fewer than an update takes to settle.
    Accepted(i64),
    Settled,
}

/// A record with its evidence, without what no rule can tell apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts of a record"
)]
pub(crate) struct RecordKey {
    status: Status,
    phase: Phase,
    weight: Weight,
    target: Weight,
    phase_is_young: bool,
    stage_is_young: bool,
    interrupted: Option<u8>,
    outcome: Option<u8>,
    /// Minutes that the lease still stands.
    leased_for: i64,
    update: Update,
    canary_instances: u32,
    canary_floor: u32,
    floor: Option<(u32, bool)>,
    is_cleaned: bool,
    has_drifted: bool,
    goes_down: bool,
    /// Minutes that a step down has been under way or kept, as far as the rules tell them apart.
    on_the_way_down: i64,
    is_behind: bool,
    guard: Option<(u8, u32)>,
}

impl RecordKey {
    pub(crate) fn of(loaded: &Loaded, now: Timestamp) -> Self {
        let state = &loaded.deployment.state;
        let is_young = |since: Timestamp| minutes_between(since, now) < 1;
        let guard = loaded.evidence.guards.get(GUARD);
        let judges = !loaded.deployment.terms.policy.guards.is_empty();
        let bakes = match state.phase {
            Phase::Baking | Phase::Holding | Phase::Soaking => true,
            Phase::Paused => state.interrupted != Some(Interrupted::Raise),
            _ => judges,
        };
        let back = state.status == Status::RollingBack || state.status.is_terminal();
        let awaited = match state.phase {
            Phase::Provisioning => Some(Config::Both),
            Phase::Finalizing => Some(Config::Last),
            Phase::Reverting | Phase::CleaningUp => Some(Config::Original),
            _ => None,
        };
        Self {
            status: state.status,
            phase: state.phase,
            weight: state.weight,
            target: state.target,
            phase_is_young: state.phase == Phase::CleaningUp && is_young(state.phase_since),
            stage_is_young: bakes && is_young(state.stage_since),
            interrupted: state.interrupted.map(|interrupted| match interrupted {
                Interrupted::Raise => 0,
                Interrupted::Bake => 1,
                Interrupted::Approval => 2,
                Interrupted::Soak => 3,
            }),
            outcome: state.outcome.map(|outcome| match outcome {
                Outcome::Completed => 0,
                Outcome::RolledBack => 1,
                Outcome::Cancelled => 2,
                Outcome::Failed => 3,
            }),
            leased_for: state
                .lease
                .as_ref()
                .map_or(0, |lease| minutes_between(now, lease.until).max(0)),
            update: state
                .update
                .as_ref()
                .filter(|update| Some(Config::named(&update.config)) == awaited)
                .map_or(Update::None, |update| match update.accepted_at {
                    None => Update::Asked,
                    Some(at) => match minutes_between(at, now) {
                        ago if ago < SETTLES => Update::Accepted(ago),
                        _ => Update::Settled,
                    },
                }),
            canary_instances: state.canary_instances,
            canary_floor: state.canary_floor,
            floor: state.floor.as_ref().map(|it| (it.held_at, it.released)),
            is_cleaned: state.cleaned,
            has_drifted: state.drift.is_some(),
            goes_down: state.descent.is_some(),
            on_the_way_down: on_the_way_down(loaded, now),
            is_behind: !back && loaded.evidence.judged_through < last_judgeable(now),
            guard: guard.map(|guard| {
                let finding = match guard.last.as_ref().map(|check| check.finding) {
                    None => 0,
                    Some(Finding::Kept) => 1,
                    Some(Finding::Broken) => 2,
                    Some(Finding::Shared | Finding::Incident | Finding::Unknown) => 3,
                };
                (finding, guard.breaches.min(2))
            }),
        }
    }
}

/// A step has [`ROLLBACK_BUDGET`] to be confirmed, and a share is kept for that much longer than its
/// minute at the most, until a minute of it was judged.
fn on_the_way_down(loaded: &Loaded, now: Timestamp) -> i64 {
    let state = &loaded.deployment.state;
    let budget = ROLLBACK_BUDGET.duration().as_mins();
    match (&state.descent, state.rests_on_the_way_down()) {
        (None, _) => 0,
        (Some(_), false) => minutes_between(state.phase_since, now).min(budget),
        (Some(_), true) if loaded.evidence.judged_through >= state.stage_since => -1,
        (Some(_), true) => minutes_between(state.stage_since, now).min(1 + budget),
    }
}

/// Whole minutes, rounded down.
pub(crate) fn minutes_between(earlier: Timestamp, later: Timestamp) -> i64 {
    later.duration_since(earlier).as_secs().div_euclid(60)
}
