//! Tests of the rules: the table of transitions cell by cell, tables beside `decide`, the guards
//! and the commands, and random rollouts that must never break an invariant.
//!
//! | module | holds |
//! |---|---|
//! | [`builders`] | a deployment in each state, endpoints, minutes, and the `check` harness |
//! | [`table`] | `state::next` against the table in ARCHITECTURE.md |
//! | [`decide`] | the way up: provisioning to 100 % |
//! | [`endings`] | rollback, cleanup, failure, leases, the deadline |
//! | [`descent`] | the way down by steps |
//! | [`shares`] | which share a line of history says is in force |
//! | [`sight`] | blind, quiet, inapplicable, drift |
//! | [`in_force`] | what is expected where somebody else set the weights |
//! | [`effects`] | what is due, for each state and endpoint status |
//! | [`guards`] | windows and checks |
//! | [`model_signals`] | what the model says about itself |
//! | [`costs`] | what a request costs |
//! | [`memory`] | the limit of the instances' memory |
//! | [`verdicts`] | the signals: roll back, step back, hold, notify; the baseline |
//! | [`checks`] | further checks: minutes that can't be, wanted outcomes that are rare |
//! | [`second_look`] | what a fresh reader of the verdict found |
//! | [`watching`] | instances, an endpoint that is changing, phases that do not end |
//! | [`incidents`] | the draft of a post-mortem |
//! | [`authority`] | who may do what |
//! | [`after`] | the watch after a completion |
//! | [`freezes`] | nothing goes up under a freeze, and a hotfix does |
//! | [`forecasts`] | what is said beforehand about the model's own signals |
//! | [`schedule`] | when stages will begin, and when windows open |
//! | [`outlay`] | what a rollout takes: instances, quotas, dollars |
//! | [`model`] | models that are alike, and the names of those that are not |
//! | [`registry`] | versions of model packages, and where they are to stand |
//! | [`filings`] | when the registry is told of that |
//! | [`commands`] | every order in every phase |
//! | [`quantities`] | numbers with units, plans, windows, names |
//! | [`fuzz`] | the same numbers, windows and names, from any text |
//! | [`properties`] | random sequences on a toy endpoint ([`world`]) |

mod after;
mod authority;
mod builders;
mod checks;
mod commands;
mod costs;
mod decide;
mod descent;
mod effects;
mod endings;
mod filings;
mod forecasts;
mod freezes;
mod fuzz;
mod guards;
mod in_force;
mod incidents;
mod memory;
mod model;
mod model_plan;
mod model_signals;
mod outlay;
mod properties;
mod quantities;
mod registry;
mod schedule;
mod second_look;
mod shares;
mod sight;
mod stalls;
mod table;
mod verdicts;
mod watching;
mod world;
