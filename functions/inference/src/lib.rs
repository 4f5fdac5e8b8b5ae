//! `inference`: validates a request, routes it, asks the model, and answers with the variant.
//!
//! Routing is SageMaker's own split by weight, but for two cases. From the moment a rollback is
//! committed until production has everything back, production is asked for by name: that second
//! lever works while the endpoint refuses updates. And where a deployment's routing is sticky, a
//! request that names its user goes where that user belongs.
//!
//! What a model says about itself is counted on the way, in lines of the log that CloudWatch makes
//! metrics of: predictions, their scores, and, by the labels that `POST /feedback` takes, how good they
//! were.
//!
//! A request is admitted by the endpoint's own tags, which are read through the small tagging API:
//! SageMaker's client alone would be larger than all the rest of this function.

mod admission;
mod api;
mod feedback;
mod keys;
#[cfg(feature = "openapi")]
pub mod openapi;
mod problems;
mod query;
mod reading;
mod request;
mod route;

pub use api::router;
