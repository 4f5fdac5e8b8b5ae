//! `monitor`: one pass of the control loop over every active deployment, or over those that an event
//! concerns, then the announcements that wait. All policy is in `shared::domain`.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use shared::app::announce::{Swept, sweep_all};
use shared::app::ports::{Class, PortError};
use shared::app::tick::{Ticked, tick, tick_alarm, tick_endpoint};
use shared::aws::Aws;
use shared::wire::events::Change;

/// What is kept of an invocation's time for the announcements.
const FOR_ANNOUNCING: Duration = Duration::from_secs(10);
/// What is kept of it for the answer.
const FOR_THE_ANSWER: Duration = Duration::from_secs(1);

/// What one invocation did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The pass.
    #[serde(flatten)]
    pub ticked: Ticked,
    /// Announcements sent.
    pub announced: usize,
    /// Announcements that wait.
    pub waiting: usize,
}

/// Judges everything once, or what the event concerns where it says whom: the world is read anew, whatever
/// the event says of it.
///
/// An error is for the failure queue, where a person looks: only what no later pass mends by itself. The
/// schedule is the repetition of everything else, and where that lasts, the heartbeat's alarm tells.
pub async fn handle(aws: &Aws, event: &Value, time_left: Duration) -> Result<Report, PortError> {
    let (started, time_left) = (Instant::now(), time_left.saturating_sub(FOR_THE_ANSWER));
    let budget = time_left.saturating_sub(FOR_ANNOUNCING);
    let change = Change::of(event);
    // Boxed: the compiler bounds how deep futures may lie in each other.
    let ticked = match &change {
        None => Box::pin(tick(aws, budget)).await,
        Some(Change::Endpoint(name)) => Box::pin(tick_endpoint(aws, name, budget)).await,
        Some(Change::Alarm(name)) => Box::pin(tick_alarm(aws, name, budget)).await,
    };
    // People are told even when the pass failed: what was committed before still waits.
    let left = time_left.saturating_sub(started.elapsed());
    let swept = if change.is_some() && ticked.committed == 0 {
        Swept::default()
    } else {
        sweep_all(aws, FOR_ANNOUNCING.min(left)).await
    };
    let report = Report {
        ticked,
        announced: swept.sent,
        waiting: swept.waiting,
    };
    tracing::info!(
        ?change,
        active = report.ticked.active,
        committed = report.ticked.committed,
        failed = report.ticked.failed.len(),
        announced = report.announced,
        waiting = report.waiting,
        "tick"
    );
    let fails = |what| Err(PortError::new(Class::Bug, "tick", what));
    // All were tried.
    if let Some(first) = &report.ticked.failed_for_good {
        let count = report.ticked.failed.len();
        return fails(format!("of {count} that failed, for good: {first}"));
    }
    if swept.unreadable > 0 {
        let parts = swept.unreadable;
        return fails(format!("{parts} parts of the outbox could not be read"));
    }
    Ok(report)
}
