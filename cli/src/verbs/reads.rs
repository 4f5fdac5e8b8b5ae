//! The verbs that only look: `list`, `get`, `history`, `checks`, `report`.

use shared::domain::judge::MinuteReport;
use shared::wire::report::{markdown, page};

use crate::client::{Client, ListFilter};
use crate::output::{self, Output};

use super::Failure;
use super::arguments::{ChecksArgs, ListArgs, ReportArgs, Target};
use super::which;

/// The largest page of checks that the API gives.
const CHECKS_PAGE: usize = 1000;

pub(super) async fn list(
    client: &Client,
    args: ListArgs,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let filter = ListFilter {
        endpoint: args.endpoint,
        status: args.status,
    };
    let views = which::all(client, &filter, args.limit as usize).await?;
    output.answers_of(&views, |views, look| output::list::list(look, views))?;
    Ok(())
}

pub(super) async fn get(
    client: &Client,
    target: Target,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let id = which::take(client, target.id, output).await?;
    let view = client.deployment(&id).await?;
    output.answer(&view, |look| output::deployment::in_full(look, &view))?;
    Ok(())
}

pub(super) async fn history(
    client: &Client,
    target: Target,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let id = which::take(client, target.id, output).await?;
    let entries = client.history(&id).await?.items;
    output.answers_of(&entries, |entries, look| {
        output::history::history(look, entries)
    })?;
    Ok(())
}

pub(super) async fn checks(
    client: &Client,
    args: ChecksArgs,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let id = which::take(client, args.target.id, output).await?;
    let limit = args.limit as usize;
    let (mut minutes, mut cursor) = (Vec::new(), None);
    loop {
        let size = CHECKS_PAGE.min(limit - minutes.len());
        let page = client.checks(&id, size, cursor.as_deref()).await?;
        minutes.extend(page.items);
        if page.cursor.is_none() || page.cursor == cursor || minutes.len() >= limit {
            break;
        }
        cursor = page.cursor;
    }
    minutes.truncate(limit);
    // Each is written with the share of its judging.
    let history = client.history(&id).await?.items;
    let of_then = |report: MinuteReport| report.with_share_of(&history);
    let minutes: Vec<MinuteReport> = minutes.into_iter().map(of_then).collect();
    output.answers_of(&minutes, |minutes, look| {
        output::checks::checks(look, minutes)
    })?;
    Ok(())
}

/// As text it is Markdown, so that it goes into a ticket as it stands; the page is made here of the same
/// document, by the code that makes the API's.
pub(super) async fn report(
    client: &Client,
    args: ReportArgs,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let id = which::take(client, args.target.id, output).await?;
    let report = client.report(&id).await?;
    let Some(file) = args.html else {
        output.document(&report, || markdown(&report))?;
        return Ok(());
    };
    let shown = file.display().to_string();
    std::fs::write(&file, page(&report)).map_err(|source| Failure::Unkept {
        file: shown.clone(),
        source,
    })?;
    output.answer(&report, |_| format!("The report is in {shown}"))?;
    Ok(())
}
