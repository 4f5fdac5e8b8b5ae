//! What lies outside the control plane: the endpoint that calls reach, Application Auto Scaling, the
//! configs, and what a worker sees of them.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use shared::domain::deployment::Deployment;
use shared::domain::freeze::FreezeReading;
use shared::domain::judge::last_judgeable;
use shared::domain::observation::{AlarmReading, ArmMinute, Metrics, Observation, Series};
use shared::domain::protocol::Answer;
use shared::domain::quantity::Weight;

use super::workers::{Reading, Worker};
use super::world::{Broken, Change, Config, Endpoint, Scaling, World};

/// A worker sees the endpoint, and a tick its minutes.
pub(crate) fn look(world: &mut World, index: usize, is_bad: bool) {
    let (sight, looked_at) = (world.endpoint, world.minute);
    let worker = world.workers.remove(index);
    let next = match worker {
        Worker::TickLoaded { before, reading } => {
            let is_again = reading.is_some();
            let reading = reading.unwrap_or_else(|| Reading {
                from: before.evidence.judged_through + SignedDuration::from_mins(1),
                through: last_judgeable(world.now()),
                is_bad,
            });
            Worker::TickSeen {
                before,
                sight,
                looked_at,
                reading,
                is_again,
            }
        }
        Worker::Loaded { before } => Worker::Seen {
            before,
            sight,
            looked_at,
        },
        other => other,
    };
    world.workers.push(next);
}

/// A call reaches the endpoint, or Application Auto Scaling.
pub(crate) fn arrive(world: &mut World, change: Change) -> Answer {
    if let Change::Floor { registers } = change {
        if !registers && world.scaling == Scaling::Gone {
            return Answer::Refused("there is no such target".to_owned());
        }
        world.scaling = Scaling::Held;
        return Answer::Accepted;
    }
    let endpoint = world.endpoint;
    if matches!(change, Change::CanaryFloor | Change::Instances(_)) {
        if endpoint.config.is_home() {
            return Answer::Refused("there is no such variant".to_owned());
        }
        world.canary_scales = true;
        if change == Change::CanaryFloor {
            return Answer::Accepted;
        }
    }
    let both_are_there = endpoint.config == Config::Both;
    let refusal = match change {
        _ if endpoint.pending.is_some() => Some("the endpoint is being updated"),
        Change::Deploy(config) if !world.has_config(config) => Some("there is no such config"),
        Change::Deploy(config) if config == world.endpoint.config => Some("it is on this config"),
        Change::Deploy(Config::Last) if world.scaling != Scaling::Gone => {
            Some("a variant that goes has a scaling target")
        }
        Change::Deploy(config) if config.is_home() && world.canary_scales => {
            Some("a variant that goes has a scaling target")
        }
        Change::Share(_) | Change::Instances(_) if !both_are_there => {
            Some("there is no such variant")
        }
        _ => None,
    };
    if let Some(refusal) = refusal {
        return Answer::Refused(refusal.to_owned());
    }
    world.endpoint.pending = Some(change);
    Answer::Accepted
}

/// What must be there, or gone, before an update.
pub(crate) fn prepare(world: &mut World, config: Config) {
    world.make(config);
    if config == Config::Last {
        world.scaling = Scaling::Gone;
    }
    if config.is_home() {
        world.canary_scales = false;
    }
}

/// Looks at the endpoint and deletes what it is not on.
pub(crate) fn tidy(world: &mut World) -> Answer {
    let sight = world.endpoint;
    if sight.pending.is_some() {
        return Answer::NotNow("the endpoint is changing".to_owned());
    }
    if world.stored.deployment.state.floor.is_some() {
        world.scaling = Scaling::AsFound;
        world.canary_scales = sight.canary_share() > 0;
    }
    for (index, config) in World::MADE.into_iter().enumerate() {
        if sight.config != config && std::mem::take(&mut world.configs[index]) {
            let endpoint = world.endpoint;
            let is_used =
                endpoint.config == config || endpoint.pending == Some(Change::Deploy(config));
            if is_used {
                world.broken.insert(Broken::DeletedInUse);
            }
        }
    }
    Answer::Accepted
}

pub(crate) fn observation(sight: Endpoint, reading: Reading, before: &Deployment) -> Observation {
    Observation {
        endpoint: sight.describe(),
        metrics: metrics(reading, before),
        alarms: AlarmReading::Firing(Vec::new()),
        freeze: FreezeReading::NotAsked,
    }
}

/// Points only where a guard judges them: without guards and samples, no points are as good as
/// healthy ones.
fn metrics(reading: Reading, before: &Deployment) -> Metrics {
    let share = before.state.weight;
    let (mut canary, mut production) = (BTreeMap::new(), BTreeMap::new());
    let is_judged = !before.terms.policy.guards.is_empty() && share > Weight::ZERO;
    let mut minute = reading.from;
    while is_judged && minute <= reading.through {
        let of = |percent: u8, is_bad: bool| ArmMinute {
            invocations: 10 * u64::from(percent),
            errors_5xx: if is_bad { 10 * u64::from(percent) } else { 0 },
            ..ArmMinute::default()
        };
        canary.insert(minute, of(share.percent(), reading.is_bad));
        production.insert(minute, of(100 - share.percent(), false));
        minute += SignedDuration::from_mins(1);
    }
    Metrics {
        from: reading.from,
        through: reading.through,
        canary: Series::Read(canary),
        production: Series::Read(production),
        unread: BTreeMap::new(),
    }
}
