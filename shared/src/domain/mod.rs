//! The rules of a canary deployment, pure.
//!
//! Nothing here performs I/O, reads a clock or draws a random number: a pass of the control loop
//! hands in the record, what was seen and the time, and gets back the next record and what to
//! tell people. That is what lets the same code run in a Lambda, in a simulation of thousands of
//! rollouts and in a table of tests.
//!
//! | module | holds |
//! |---|---|
//! | [`state`] | the states and the only table of legal transitions |
//! | [`plan`], [`policy`] | what a deployment intends, and what it is held against |
//! | [`signal`], [`baseline`] | the pairs of counts that are compared, and what production did before |
//! | [`model_signals`] | what a model's answers and their labels are counted as |
//! | [`schedule`] | when the stages to come begin |
//! | [`forecast`] | what the stages of a plan will be able to prove |
//! | [`model_plan`] | what a model's own figures cost, and how many labels they need |
//! | [`outlay`] | what a rollout takes: instances, room under quotas, dollars |
//! | [`deployment`], [`evidence`] | the record: what is committed, what has been measured |
//! | [`in_force`] | the share that the canary really has, whoever set the weights |
//! | [`observation`] | what one pass saw of the world, failed readings included |
//! | [`guard`], [`judge`] | counts against limits over windows that never overlap; what the minutes say together |
//! | [`comparison`] | whether the canary is worse than production, however often one looks |
//! | [`fairness`], [`drift`], [`cost`] | whether groups are treated alike; how far scores lie apart; what a request costs |
//! | [`power`] | what a stage can prove at the endpoint's traffic, before it begins |
//! | [`decide`](mod@decide) | record + observation + time → next record |
//! | [`scaling`] | how a variant scales by itself |
//! | [`due`] | which call to AWS is due, from the record and the world alone |
//! | [`protocol`] | the record around a call: intent and lease before it, the answer after it |
//! | [`replay`] | a recorded rollout, judged again |
//! | [`retreat`] | the way back: at once, or down by steps |
//! | [`model`] | a SageMaker model as far as another one is made after it |
//! | [`registry`] | versions of model packages, and what the registry is told of them |
//! | [`clearance`] | what let a deployment in |
//! | [`freeze`] | nothing is raised, by order |
//! | [`gate`] | champion and challenger on labelled rows, before any traffic |
//! | [`command`] | what an operator may order, and when |
//! | [`audience`] | who is told of what |
//! | [`incident`] | a rollback as somebody has to look into it: the draft of a post-mortem |
//! | [`exposure`] | what users were served between a rollback's decision and the traffic being back |
//! | [`authority`] | who may do what |
//! | [`text`] | what people may write, and how it is shown |
//! | [`invariants`] | what no record may ever look like |

pub mod audience;
pub mod authority;
pub mod baseline;
pub mod calendar;
pub mod clearance;
pub mod command;
pub mod comparison;
pub mod cost;
pub mod decide;
pub mod deployment;
pub mod drift;
pub mod due;
pub mod evidence;
pub mod exposure;
pub mod fairness;
pub mod forecast;
pub mod freeze;
pub mod gate;
pub mod guard;
pub mod history;
pub mod in_force;
pub mod incident;
pub mod invariants;
pub mod judge;
pub mod model;
pub mod model_plan;
pub mod model_signals;
pub mod observation;
pub mod outlay;
pub mod plan;
pub mod policy;
pub mod power;
pub mod protocol;
pub mod quantity;
pub mod registry;
pub mod replay;
pub mod retreat;
pub mod routing;
pub mod scaling;
pub mod schedule;
pub mod signal;
pub mod specification;
pub mod state;
pub mod text;
mod truth;

#[cfg(test)]
mod tests;
