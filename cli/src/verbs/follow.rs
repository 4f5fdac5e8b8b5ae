//! Following a deployment to its end: `watch`, and `deploy --wait`.
//!
//! The record is asked for again and again; its history only when the record's version has moved.
//! Each entry is printed once, by its number. The API may be away for a while without an end to
//! the watching, for a deployment does not stop when nobody looks; but not from the start.

use std::io;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use shared::domain::history::Entry;
use shared::domain::quantity::Span;
use shared::wire::api::DeploymentView;

use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::output::progress::Progress;
use crate::output::{Format, Look, Output, deployment, history};

use super::Failure;

/// The local mode answers at once and is looked at every second.
const LOCAL: (Duration, u32) = (Duration::from_secs(1), 30);
/// A deployed stack judges once a minute; every look costs it a request.
const DEPLOYED: (Duration, u32) = (Duration::from_secs(5), 80);

/// How often to look, and for how long. Both by this machine's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    interval: Duration,
    /// Failures in a row that are sat out: half a minute here, and ten minutes there with the tries of
    /// each call, where connections are refused at once.
    patience: u32,
    limit: Option<Span>,
}

impl Pace {
    /// As it suits the API.
    pub(super) fn of(client: &Client, limit: Option<Span>) -> Self {
        let (interval, patience) = match client.signer() {
            None => LOCAL,
            Some(_) => DEPLOYED,
        };
        Self {
            interval,
            patience,
            limit,
        }
    }
}

/// Prints what happens until there is nothing more to see.
pub(super) async fn follow(
    client: &Client,
    id: &str,
    pace: Pace,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let to_the_end = to_the_end(client, id, pace, output);
    let Some(limit) = pace.limit else {
        return to_the_end.await;
    };
    let ended = tokio::time::timeout(Duration::from_secs(limit.secs()), to_the_end).await;
    ended.unwrap_or_else(|_| {
        Err(Failure::TimedOut {
            id: id.to_owned(),
            limit,
        })
    })
}

async fn to_the_end(
    client: &Client,
    id: &str,
    pace: Pace,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    // JSON has no line that moves, not even on a terminal.
    let look = match output.format {
        Format::Text => output.look,
        Format::Json => Look::default(),
    };
    let progress = Progress::new(look);
    let mut seen = Seen::default();
    let mut failures = 0;
    loop {
        match seen.look(client, id).await {
            Ok((view, entries)) => {
                failures = 0;
                progress.above(|| seen.print(&entries, output))?;
                if let Some(exit) = Exit::of(&view) {
                    progress.end();
                    output.answer(&view, |look| deployment::ending(look, &view))?;
                    return Ok(exit);
                }
                progress.show(look, &view);
            }
            Err(error) if error.is_passing() && seen.version > 0 && failures < pace.patience => {
                failures += 1;
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pace.interval).await;
    }
}

/// What has been shown.
#[derive(Debug, Default)]
struct Seen {
    version: u64,
    last_seq: u64,
    day: Option<Date>,
}

impl Seen {
    /// The record, and the entries that are new.
    async fn look(
        &mut self,
        client: &Client,
        id: &str,
    ) -> Result<(DeploymentView, Vec<Entry>), ClientError> {
        let view = client.deployment(id).await?;
        if view.version == self.version {
            return Ok((view, Vec::new()));
        }
        let mut entries = client.history(id).await?.items;
        entries.retain(|entry| entry.seq > self.last_seq);
        // Only now: a history that could not be read is read again.
        self.version = view.version;
        Ok((view, entries))
    }

    fn print(&mut self, entries: &[Entry], output: &mut Output<'_>) -> io::Result<()> {
        for entry in entries {
            let day = entry.at.to_zoned(TimeZone::UTC).date();
            let is_new_day = self.day.replace(day).is_some_and(|before| before != day);
            output.answer(entry, |look| {
                let line = history::line(look, entry);
                if is_new_day {
                    format!("{}\n{line}", history::day(look, entry))
                } else {
                    line
                }
            })?;
            self.last_seq = self.last_seq.max(entry.seq);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
