//! The API and inference as callers meet them, on the router that Lambda and the local mode share.

mod access;
mod approval;
mod feedback;
mod fitness;
mod freeze;
mod fuzz;
mod gate;
mod inference;
mod keys;
mod logs;
mod orders;
mod reading;
mod refusals;
mod registry;
mod report;
mod sticky;
mod strict;
