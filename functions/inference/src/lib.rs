//! `inference`: validates a request, routes it, asks the model, and answers with the variant.
//!
//! Routing is SageMaker's own split by weight, but for one case: from the moment a rollback is
//! committed until production has everything back, production is asked for by name. That second
//! lever works while the endpoint refuses updates.
//!
//! A request is admitted by the endpoint's own tags, which are read through the small tagging API:
//! SageMaker's client alone would be larger than all the rest of this function.

mod admission;
mod api;
#[cfg(feature = "openapi")]
pub mod openapi;
mod request;
mod route;

pub use api::router;
