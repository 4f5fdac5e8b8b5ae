//! What a newcomer sees: the scenarios of the demo and the tutorial, played to their ends by the built binary.
//!
//! They take minutes of the wall clock, most of them waiting for virtual ones: so the page waits beside the
//! scenarios, of which two play at a time.

#[allow(dead_code, reason = "the tests of the shell use the rest of it")]
#[path = "../binary/mod.rs"]
mod binary;
mod demo;
mod tutorial;
