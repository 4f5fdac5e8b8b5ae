//! The report of a deployment, gathered from the table: history, minutes, and what still waits to be
//! announced.
//!
//! The pictures end with the completion: what came after, in the watch, is in the history.
//!
//! A long rollout has thousands of minutes, of some kilobytes each, and an answer has a few seconds. So
//! they are read page by page, newest first, until there are no more, enough, or no time; what is
//! missing then is said in the report, and everything else of it stands. What was announced is a
//! remark: where it can't be read, the report goes without.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::announce::shard_of;
use super::health;
use super::ports::{Loaded, PortError, Ports};
use crate::domain::history::Name;
use crate::domain::judge::floor_minute;
use crate::wire::api::DeploymentView;
use crate::wire::items::check_key;
use crate::wire::report::series::{Gathered, Series};
use crate::wire::report::{Material, Report};

/// Minutes that are read at once.
const PAGE: usize = 500;
/// The most minutes of a report: two weeks of them.
const MOST: usize = 14 * 24 * 60;

/// Puts a report together. Reading the minutes takes the budget and the rest of one page at the most.
pub async fn report<P: Ports>(
    ports: &P,
    loaded: &Loaded,
    budget: Duration,
) -> Result<Report, PortError> {
    let (deployment, evidence) = (&loaded.deployment, &loaded.evidence);
    let id = &deployment.terms.id;
    let history = ports.history(id).await?;
    let waiting = match ports.outbox(shard_of(id)).await {
        // What waits behind a row that can't be read is not known.
        Ok(outbox) if outbox.unread.iter().any(|(unread, _)| unread == id) => None,
        Ok(outbox) => {
            let rows = outbox.rows.into_iter().map(|row| row.event_id);
            Some(rows.collect::<BTreeSet<String>>())
        }
        Err(error) => {
            health::report(ports, Some(id), &error);
            None
        }
    };
    let completed = history.iter().find(|entry| entry.event == Name::Completed);
    let end = completed.map(|entry| floor_minute(entry.at));
    let series = series(ports, id, end, budget).await?;
    Ok(Report::of(Material {
        deployment,
        evidence,
        view: DeploymentView::new(deployment, Some(evidence), &history, ports.now()),
        history,
        waiting,
        series,
    }))
}

/// The minutes before an end: those of the watch after a completion would leave little room for the
/// rollout.
async fn series<P: Ports>(
    ports: &P,
    id: &str,
    end: Option<Timestamp>,
    budget: Duration,
) -> Result<Series, PortError> {
    let started = Instant::now();
    let (mut gathered, mut cursor) = (Gathered::default(), end.map(check_key));
    loop {
        let page = ports.minutes(id, PAGE, cursor.as_deref()).await?;
        page.items.iter().for_each(|minute| gathered.take(minute));
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(gathered.series(None));
        }
        if gathered.len() >= MOST || started.elapsed() >= budget {
            let note = format!(
                "Only the last {} minutes that were judged are in the pictures; GET /deployments/{id}/checks has all, page by page.",
                gathered.len()
            );
            return Ok(gathered.series(Some(note)));
        }
    }
}
