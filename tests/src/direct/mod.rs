//! The fast world: the control loop of `shared::app` over ports made of nothing but memory, so that
//! tens of thousands of rollouts run where the SDK's own world runs a hundred.
//!
//! | module | holds |
//! |---|---|
//! | [`store`] | the records, under the same conditions as in the table |
//! | [`gate`] | what becomes of each call: it happens, fails, is lost, stalls, or is the last one |
//! | [`calls`] | the way of one call: its turn, the gate, its effect |
//! | `ports` | the ports of one invocation, made of such calls |
//! | [`world`] | invocations that take turns, the clock, and the choice among what is possible |
//! | [`scenario`] | a short rollout on an endpoint that scales |
//! | [`chance`] | repeatable chance |
//!
//! The endpoint, its scaling and its metrics are those of the `simulator`: the one model of AWS that
//! the tests on the SDK's own wire use too. Lambda's own retries do not happen, because the template
//! turns them off.
//!
//! ```
//! use serde_json::json;
//! use shared::domain::state::Status;
//! use tests::direct::gate::{Call, Verdict};
//! use tests::direct::scenario::Scenario;
//!
//! let mut world = Scenario::default().world();
//! let id = world.accepted(json!({}));
//! // The 40th call of all happens, and its caller dies before it learns so.
//! world.set_gate(|call: &Call| match call.number {
//!     40 => Verdict::CrashAfter,
//!     _ => Verdict::Go,
//! });
//! world.run(); // what `accept` woke
//! assert_eq!(world.until_over(&id, 60), Status::Completed);
//! ```

pub mod calls;
pub mod chance;
pub mod gate;
mod ports;
mod sagemaker;
pub mod scenario;
pub mod store;
pub mod world;
