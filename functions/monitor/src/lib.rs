//! `monitor`: one pass of the control loop over every active deployment, then the announcements
//! that wait. All policy is in `shared::domain`.

use std::time::{Duration, Instant};

use serde::Serialize;
use shared::app::announce::sweep_all;
use shared::app::ports::{Class, PortError};
use shared::app::tick::{Ticked, tick};
use shared::aws::Aws;

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

/// Judges everything once. What woke it (the schedule, an endpoint's state change, an alarm) makes
/// no difference: the world is read anew.
pub async fn handle(aws: &Aws, time_left: Duration) -> Result<Report, PortError> {
    let (started, time_left) = (Instant::now(), time_left.saturating_sub(FOR_THE_ANSWER));
    let ticked = tick(aws, time_left.saturating_sub(FOR_ANNOUNCING)).await;
    // People are told even when the pass failed: what was committed before still waits.
    let left = time_left.saturating_sub(started.elapsed());
    let swept = sweep_all(aws, FOR_ANNOUNCING.min(left)).await;
    let report = Report {
        ticked,
        announced: swept.sent,
        waiting: swept.waiting,
    };
    tracing::info!(
        active = report.ticked.active,
        committed = report.ticked.committed,
        failed = report.ticked.failed.len(),
        announced = report.announced,
        waiting = report.waiting,
        "tick"
    );
    let fails = |what| Err(PortError::new(Class::Bug, "tick", what));
    match report.ticked.failed.first() {
        None if swept.unread == 0 => Ok(report),
        None => fails(format!(
            "{} parts of the outbox could not be read",
            swept.unread
        )),
        // All were tried; the alarm on this function's errors has to see those that failed.
        Some((id, why)) => {
            let count = report.ticked.failed.len();
            fails(format!("{count} passes failed, the first over {id}: {why}"))
        }
    }
}
