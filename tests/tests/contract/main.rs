//! What is promised to others: endpoint configs copied whole, messages in the shapes people and
//! machines read, and a local mode that can't reach AWS.

mod config_copy;
mod loopback;
mod messages;
