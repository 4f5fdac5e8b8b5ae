//! The control loop over the rules: load, observe, decide, commit, act. Generic over the ports, so
//! the same code runs against AWS and against the simulator.
//!
//! | module | holds |
//! |---|---|
//! | [`ports`] | what the outside world is asked for, in our own types |
//! | [`tick`](mod@tick) | one pass over every active deployment: `monitor` |
//! | [`observe`] | reading the world; the metric queries of all deployments in few calls |
//! | `metrics` | which queries are asked about a variant, and how answers become minutes |
//! | [`past`] | production's last day, read when a deployment is accepted |
//! | [`carry_out`](mod@carry_out) | one committed effect: `deploy` as provision, `traffic-shift`, `rollback` |
//! | `registry` | versions of model packages: fit to be deployed, made into a model, told how it came out |
//! | `scaling` | what such an effect does to Application Auto Scaling, and what of it is put back |
//! | [`accept`](mod@accept) | a new deployment is written, once for one request |
//! | [`propose`](mod@propose) | what it would be: everything is checked before anything is written |
//! | [`refusal`] | why one is not accepted, whichever check finds it |
//! | `fitness` | what would go wrong only later, refused before |
//! | `pricing` | what the instances are, and what an hour of one costs |
//! | [`order`](mod@order) | an operator's command |
//! | [`authority`] | whether a request is admitted |
//! | [`transaction`] | what a commit writes, and under which conditions |
//! | [`health`] | figures about the control plane itself, and one way to report an error |
//! | [`report`] | what is known of a deployment, gathered for people |
//! | [`announce`] | the outbox: telling people what was committed |

pub mod accept;
pub mod announce;
pub mod authority;
pub mod carry_out;
mod fitness;
pub mod freeze;
mod gate;
pub mod health;
mod metrics;
pub mod observe;
pub mod order;
pub mod past;
pub mod ports;
mod pricing;
pub mod propose;
pub mod refusal;
mod registry;
pub mod report;
mod scaling;
pub mod tick;
pub mod transaction;
pub mod undo;
