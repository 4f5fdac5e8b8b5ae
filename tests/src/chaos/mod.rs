//! The seeded chaos run: thousands of rollouts in the fast world, each in a storm of faults, and
//! what was promised held against every step.
//!
//! | module | holds |
//! |---|---|
//! | [`fault`] | the 42 faults by number |
//! | [`journey`] | what a seed stands for: endpoints, challengers, operators, faults |
//! | `calls` | faults between the control plane and the account, waiting for a call they fit |
//! | `hands` | what others do to an endpoint |
//! | `strikes` | how each fault begins |
//! | `oracle` | the promises |
//! | [`voyage`] | one run: the storm, then the calm |
//! | `steps`, `people` | its steps, call by call; what people do in it |
//! | [`shrink`] | from a run that failed to the faults it takes |
//! | [`report`] | many runs, and their table |
//!
//! A seed is a run: the same seed gives the same calls. A seed that once broke something is kept in
//! `tests/chaos`.

mod calls;
pub mod fault;
mod hands;
pub mod journey;
mod oracle;
mod people;
pub mod report;
pub mod shrink;
mod steps;
mod strikes;
pub mod voyage;
