//! `monitor`: one pass of the control loop over every active deployment, then the announcements
//! that wait. All policy is in `shared::domain`.

use serde::Serialize;
use shared::app::announce::sweep_all;
use shared::app::ports::{Class, PortError};
use shared::app::tick::{Ticked, tick};
use shared::aws::Aws;

/// What one invocation did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The pass.
    #[serde(flatten)]
    pub ticked: Ticked,
    /// Announcements sent.
    pub announced: usize,
}

/// Judges everything once. What woke it (the schedule, an endpoint's state change, an alarm) makes
/// no difference: the world is read anew.
pub async fn handle(aws: &Aws) -> Result<Report, PortError> {
    let ticked = tick(aws).await;
    // People are told even when the pass failed: what was committed before still waits.
    let announced = sweep_all(aws).await;
    let report = Report {
        ticked: ticked?,
        announced: announced?,
    };
    tracing::info!(
        active = report.ticked.active,
        committed = report.ticked.committed,
        failed = report.ticked.failed.len(),
        announced = report.announced,
        "tick"
    );
    match report.ticked.failed.first() {
        None => Ok(report),
        // All were tried; the alarm on this function's errors has to see those that failed.
        Some((id, why)) => {
            let count = report.ticked.failed.len();
            let what = format!("{count} passes failed, the first over {id}: {why}");
            Err(PortError::new(Class::Bug, "tick", what))
        }
    }
}
