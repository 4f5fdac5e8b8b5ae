//! `inference`: validates a request, routes it, asks the model, and answers with the variant.
//!
//! Routing is SageMaker's own split by weight, but for one case: from the moment a rollback is
//! committed until production has everything back, production is asked for by name. That second
//! lever works while the endpoint refuses updates.

mod api;
mod request;
mod route;

pub use api::router;
