//! What is promised to others: endpoint configs copied whole, events of API Gateway that reach their
//! routes, messages in the shapes people and machines read, a local mode that can't reach AWS, and
//! records that every store keeps alike.

mod config_copy;
mod direct;
mod gateway;
mod loopback;
mod messages;
mod store;
