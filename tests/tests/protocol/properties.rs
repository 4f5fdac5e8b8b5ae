//! What must hold in every state, and what must be reachable so that it is no empty truth.

use shared::domain::invariants;
use shared::domain::state::{Phase, Status};
use stateright::{Model, Property};

use super::fair;
use super::steps::{Action, Rollout};
use super::world::{Broken, Change, Config, INSTANCES, Scaling, World};

/// The record is sound, and so was every commit that was tried.
pub(crate) const SOUND: &str = "every record keeps its invariants";
/// P2.
pub(crate) const NO_RAISE: &str = "P2: no raise starts from a read of a rollback";
/// What a rollback or an end has settled stays so.
pub(crate) const NOT_UNDONE: &str = "neither a rollback nor an end is undone";
/// P3, of COMPLETED.
pub(crate) const COMPLETED: &str = "P3: COMPLETED means 100 % canary, and nothing can change that";
/// P3, of `ROLLED_BACK` and CANCELLED.
pub(crate) const RESTORED: &str = "P3: ROLLED_BACK and CANCELLED mean 100 % production for good";
/// Between Reverted and its end.
pub(crate) const STAYS_BACK: &str = "what production has back after a rollback it keeps";
/// A terminal status is the last word of every call, too.
pub(crate) const NOTHING_LANDS: &str = "nothing that could do harm lands after the end";
/// The lease does what it is for.
pub(crate) const ONE_AT_A_TIME: &str = "at most one call that could do harm is under way";
/// Capacity before weights.
pub(crate) const CAPACITY: &str = "the canary has no share without its instances";
/// P1.
pub(crate) const LOCK: &str = "P1: the endpoint's lock is free just when the deployment is over";
/// P7.
pub(crate) const TOLD: &str = "P7: every transition is told, with consecutive numbers";
/// No config in use is deleted.
pub(crate) const IN_USE: &str = "no config is deleted while it is in use";
/// The end is tidy.
pub(crate) const NO_CONFIG_LEFT: &str = "the end leaves no config behind that nobody uses";
/// So is production's scaling.
pub(crate) const SCALING: &str = "the end leaves the scaling as it was found";
/// The evidence in the store counts.
pub(crate) const EVIDENCE: &str = "what was judged is neither rewound nor raised past";
/// Liveness.
pub(crate) const ENDS: &str = "from every state a fair run comes to an end";

/// What has to be reachable, or the promises above are empty.
pub(crate) const REACHED: [&str; 6] = [
    "COMPLETED is reached",
    "ROLLED_BACK is reached",
    CANCELLED,
    "FAILED is reached",
    "a raise lands while it rolls back",
    "a rollback brings the old variant back",
];
/// Only where the rules ask for it.
pub(crate) const GOES_DOWN: &str = "a breach lowers the share by a step";
/// Only by an order of its own.
pub(crate) const CANCELLED: &str = "CANCELLED is reached";

impl Model for Rollout {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        fair::beginnings(self)
    }

    fn actions(&self, state: &World, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        self.take(last, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SOUND, |_, world: &World| {
                !world.broken.contains(&Broken::Unsound)
                    && invariants::violations(&world.stored.deployment).is_empty()
            }),
            Property::always(NO_RAISE, |_, world: &World| {
                !world.broken.contains(&Broken::RaiseAfterRollback)
            }),
            Property::always(NOT_UNDONE, |_, world: &World| {
                !world.broken.contains(&Broken::Undone)
            }),
            Property::always(COMPLETED, |_, world: &World| is_completed_for_good(world)),
            Property::always(RESTORED, |_, world: &World| is_restored_for_good(world)),
            Property::always(STAYS_BACK, |_, world: &World| stays_back(world)),
            Property::always(NOTHING_LANDS, |_, world: &World| {
                !world.status().is_terminal() || harmful(world) == 0
            }),
            Property::always(ONE_AT_A_TIME, |_, world: &World| harmful(world) <= 1),
            Property::always(CAPACITY, |_, world: &World| {
                let endpoint = world.endpoint;
                endpoint.canary_share() < 100 || endpoint.canary_instances >= INSTANCES
            }),
            Property::always(LOCK, |_, world: &World| {
                world.is_locked != world.status().is_terminal()
            }),
            Property::always(TOLD, |_, world: &World| {
                !world.broken.contains(&Broken::Untold)
            }),
            Property::always(IN_USE, |_, world: &World| {
                !world.broken.contains(&Broken::DeletedInUse)
            }),
            Property::always(NO_CONFIG_LEFT, |_, world: &World| leaves_no_config(world)),
            Property::always(SCALING, |_, world: &World| {
                !world.status().is_terminal() || world.scaling == Scaling::AsFound
            }),
            Property::always(EVIDENCE, |_, world: &World| {
                !world.broken.contains(&Broken::PastEvidence)
            }),
            Property::always(ENDS, fair::ends),
            Property::sometimes(REACHED[0], |_, world: &World| {
                world.status() == Status::Completed
            }),
            Property::sometimes(REACHED[1], |_, world: &World| {
                world.status() == Status::RolledBack
            }),
            Property::sometimes(REACHED[2], |_, world: &World| {
                world.status() == Status::Cancelled
            }),
            Property::sometimes(REACHED[3], |_, world: &World| {
                world.status() == Status::Failed
            }),
            Property::sometimes(REACHED[4], |_, world: &World| {
                world.phase() == Phase::Reverting
                    && matches!(world.endpoint.pending, Some(change) if change.raises())
            }),
            Property::sometimes(REACHED[5], |_, world: &World| {
                world.status() == Status::RollingBack && world.endpoint.config == Config::Last
            }),
            Property::sometimes(GOES_DOWN, |_, world: &World| {
                world.stored.deployment.state.descent.is_some()
            }),
        ]
    }
}

/// Calls under way that could do harm.
fn harmful(world: &World) -> usize {
    world.calls().filter(|call| call.change.may_harm()).count()
}

fn is_completed_for_good(world: &World) -> bool {
    world.status() != Status::Completed
        || (world.endpoint.config == Config::Last
            && world.endpoint.canary_share() == 100
            && world.endpoint.pending.is_none())
}

fn is_restored_for_good(world: &World) -> bool {
    !matches!(world.status(), Status::RolledBack | Status::Cancelled)
        || (world.endpoint.config.is_home() && world.endpoint.pending.is_none())
}

/// From the confirmation that production has everything on, nothing gives the canary a share or
/// takes the old variant away.
fn stays_back(world: &World) -> bool {
    let is_back = world.status() == Status::RollingBack && world.phase() == Phase::CleaningUp;
    let endpoint = world.endpoint;
    !is_back
        || (endpoint.canary_share() == 0
            && endpoint.config != Config::Last
            && !endpoint.pending.is_some_and(Change::raises)
            && endpoint.pending != Some(Change::Deploy(Config::Last)))
}

fn leaves_no_config(world: &World) -> bool {
    let is_left = |config| world.has_config(config) && world.endpoint.config != config;
    !world.status().is_terminal() || !World::MADE.into_iter().any(is_left)
}
