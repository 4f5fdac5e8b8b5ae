//! Structured logs: JSON lines on standard output, where CloudWatch Logs picks them up. Nothing
//! that a model's user sent is ever a field of one.

use tracing_subscriber::EnvFilter;

/// Starts logging, at the level of `RUST_LOG` or `info`.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second start in one process (tests, the local mode) keeps the first.
    drop(
        tracing_subscriber::fmt()
            .json()
            .with_env_filter(filter)
            .with_current_span(false)
            .try_init(),
    );
}
