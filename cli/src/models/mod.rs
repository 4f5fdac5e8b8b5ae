//! The real models behind the demo and the local mode.
//!
//! Two classifiers are trained on real wines (`wine`, `train`), the challenger
//! by a recipe that may have a fault (`recipe`), served by the
//! SageMaker container contract (`server`), each in a process of its own
//! (`process`): killing one is a real crash, its latency is really measured,
//! and what a rollout sees of it is what it would see of a container. A
//! process trains its own model when it starts, from the same seed every time,
//! so nothing is stored and a restarted server answers as its predecessor did.

pub(crate) mod process;
pub(crate) mod recipe;
pub(crate) mod server;
pub(crate) mod train;
pub(crate) mod wine;
