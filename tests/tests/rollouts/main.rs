//! Whole rollouts over the simulator: real SDK, real adapters, a clock that only the test moves.
//! Each ends in `World::until_over`, which holds what is true of every rollout that is over.

mod after;
mod commands;
mod comparison;
mod cost;
mod endings;
mod faults;
mod freezes;
mod health;
mod healthy;
mod in_force;
mod incidents;
mod kpi;
mod memory;
mod model;
mod operators;
mod outlay;
mod packages;
mod properties;
mod reference;
mod registry;
mod retreat;
mod scaling;
mod schedule;
mod several;
mod sight;
mod soak;
mod undo;
mod verdicts;
mod versions;
mod wakes;
