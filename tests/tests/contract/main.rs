//! What is promised to others: endpoint configs copied whole, events of API Gateway that reach their
//! routes, messages in the shapes people and machines read, and a local mode that can't reach AWS.

mod config_copy;
mod gateway;
mod loopback;
mod messages;
