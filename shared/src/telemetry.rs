//! Structured logs: JSON lines on standard output, where CloudWatch Logs picks them up. Nothing
//! that a model's user sent is ever a field of one.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging, at the level of `RUST_LOG` or `info`. `RUST_LOG` may name levels by target, as in
/// `info,shared=debug`; the filters by span and field that need regular expressions are left out, and
/// half a megabyte with them.
pub fn init() {
    let filter = crate::config::log_filter()
        .and_then(|given| given.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .with_current_span(false)
        .with_filter(filter);
    // A second start in one process (tests, the local mode) keeps the first.
    drop(tracing_subscriber::registry().with(lines).try_init());
}
