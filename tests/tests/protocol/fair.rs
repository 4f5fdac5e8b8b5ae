//! Liveness: from every state that can be reached, a fair run comes to an end.
//!
//! In a fair run nothing goes wrong any more. The workers that are under way finish, their calls
//! land, the endpoint comes to rest; then every minute a tick looks, the function that it would
//! wake acts, and an operator resumes what is paused and puts back what has drifted. The run is a
//! function of the state, so its rests are remembered: a run that comes to a rest from which an
//! earlier one ended has ended too.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use shared::domain::command::Command;
use shared::domain::state::Phase;

use super::steps::{Action, Rollout};
use super::workers::Worker;
use super::world::{Left, World};

/// Rests from which a fair run ends.
pub(crate) type Memory = HashSet<u64>;

/// More minutes than any rollout of the model's plan takes when nothing goes wrong.
const MINUTES: usize = 60;

/// Where a rollout is begun: just accepted, and where there is a bound on what happens from there
/// on, at every rest of one in which nothing goes wrong as well.
pub(crate) fn beginnings(rollout: &Rollout) -> Vec<World> {
    let mut world = World::new(rollout.judges_minutes, rollout.goes_down);
    let mut beginnings = vec![world.clone()];
    while rollout.left != Left::default() && !world.status().is_terminal() {
        world = minute(rollout, &world);
        if !beginnings.contains(&world) {
            beginnings.push(world.clone());
        }
    }
    beginnings.retain(|world| rollout.begins_in.is_none_or(|phase| world.phase() == phase));
    for beginning in &mut beginnings {
        beginning.left = rollout.left;
    }
    beginnings
}

/// Whether the fair run from here ends.
pub(crate) fn ends(rollout: &Rollout, world: &World) -> bool {
    if world.status().is_terminal() {
        return true;
    }
    let mut world = rest(
        rollout,
        World {
            left: Left::default(),
            ..world.clone()
        },
    );
    let mut passed = Vec::new();
    let mut memory = rollout.memory.lock().expect("no checker thread panics");
    for _ in 0..MINUTES {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        let rest_key = hasher.finish();
        if world.status().is_terminal() || memory.contains(&rest_key) {
            memory.extend(passed);
            return true;
        }
        passed.push(rest_key);
        world = minute(rollout, &world);
    }
    false
}

/// A minute in which nothing goes wrong.
fn minute(rollout: &Rollout, world: &World) -> World {
    let mut world = step(rollout, world, Action::Minute);
    let state = &world.stored.deployment.state;
    let order = if state.phase == Phase::Paused {
        Some(Command::Resume)
    } else if state.drift.is_some() {
        Some(Command::SetWeight(state.weight))
    } else {
        None
    };
    if let Some(next) = order.and_then(|order| rollout.take(&world, Action::Order(order))) {
        world = next;
    }
    for action in [Action::Tick, Action::Function] {
        if !world.status().is_terminal() {
            world = step(rollout, &world, action);
        }
        world = rest(rollout, world);
    }
    world
}

/// Until no worker, call or change is under way.
fn rest(rollout: &Rollout, mut world: World) -> World {
    loop {
        let action = match world.workers.first() {
            Some(Worker::TickLoaded { .. } | Worker::Loaded { .. }) => Action::Look {
                worker: 0,
                is_bad: false,
            },
            Some(Worker::Calling { .. }) => Action::Land(0),
            Some(_) => Action::Step(0),
            None if !world.orphans.is_empty() => Action::LandOrphan(0),
            None if world.endpoint.pending.is_some() => Action::Finish,
            None => return world,
        };
        world = step(rollout, &world, action);
    }
}

fn step(rollout: &Rollout, world: &World, action: Action) -> World {
    rollout
        .take(world, action)
        .expect("only an order can be refused")
}
