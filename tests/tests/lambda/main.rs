//! The stack as it is deployed, in processes: each function's own binary under a Runtime API, with the
//! events that AWS sends, over a simulated account on a socket.
//!
//! What the other tests hold of the handlers is not repeated. Here it is held that binaries, events,
//! settings and the wire fit together, that a process may end at any moment, and that what they print
//! can be read by CloudWatch and holds nothing that a caller sent.

mod bench;
mod printed;
mod rollouts;
mod shapes;
