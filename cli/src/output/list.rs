//! `canary list`.
//!
//! A terminal has no room for whole ids, and a beginning is enough to name a deployment by; a pipe
//! gets them whole. On a narrow one the names stand below the figures.

use std::collections::BTreeSet;

use shared::wire::api::DeploymentView;

use super::deployment::{share, standing_words};
use super::table::{Cell, cell, number, table, toned, with_sentences};
use super::text::{minute, time, width};
use super::{Look, Tone};

/// The first two groups of a UUID of version 7: milliseconds.
const TIME_OF_ID: usize = 13;
/// A UUID.
const WHOLE_ID: usize = 36;
/// No table needs more columns.
const BOUNDLESS: u16 = 1000;

/// The deployments, one a row.
pub(crate) fn list(look: Look, views: &[DeploymentView]) -> String {
    if views.is_empty() {
        return "no deployments".to_owned();
    }
    if look.terminal {
        return on_terminal(look, views);
    }
    let header = [
        "DEPLOYMENT",
        "ENDPOINT",
        "MODEL",
        "STATUS",
        "PHASE",
        "WEIGHT",
        "STAGE",
        "CREATED (UTC)",
    ];
    let rows = views.iter().map(|view| {
        vec![
            cell(&view.deployment_id),
            cell(&view.endpoint),
            cell(&view.model),
            status(view),
            cell(view.phase.to_string()),
            number(&share(view)),
            stage(view),
            cell(time(view.created_at)),
        ]
    });
    table(look, &header, rows.collect())
}

/// In a frame where it fits the terminal; in two lines for each deployment otherwise.
fn on_terminal(look: Look, views: &[DeploymentView]) -> String {
    // As wide as it likes: what it needs is compared with what there is.
    let boundless = Look {
        width: Some(BOUNDLESS),
        ..look
    };
    let framed = framed(boundless, views);
    let needed = framed.lines().map(width).max();
    if look.columns().is_none_or(|columns| needed <= Some(columns)) {
        return framed;
    }
    let header = ["DEPLOYMENT", "CREATED (UTC)", "WEIGHT", "STAGE", "STATUS"];
    let length = distinct_length(views);
    let rows = views.iter().map(|view| {
        let row = vec![
            beginning(view, length),
            cell(minute(view.created_at)),
            number(&share(view)),
            stage(view),
            status_and_phase(view),
        ];
        (row, format!("{}: {}", view.endpoint, view.model))
    });
    with_sentences(look, &header, rows.collect(), length + 2)
}

fn framed(look: Look, views: &[DeploymentView]) -> String {
    let header = [
        "DEPLOYMENT",
        "ENDPOINT",
        "MODEL",
        "STATUS",
        "WEIGHT",
        "STAGE",
        "CREATED (UTC)",
    ];
    let length = distinct_length(views);
    let rows = views.iter().map(|view| {
        vec![
            beginning(view, length),
            cell(&view.endpoint),
            cell(&view.model),
            status_and_phase(view),
            number(&share(view)),
            stage(view),
            cell(minute(view.created_at)),
        ]
    });
    table(look, &header, rows.collect())
}

/// Enough of the id to name the deployment by.
fn beginning(view: &DeploymentView, length: usize) -> Cell {
    let id: String = view.deployment_id.chars().take(length).collect();
    cell(id)
}

/// What waits for somebody and what goes on by itself have one status.
fn status_and_phase(view: &DeploymentView) -> Cell {
    toned(standing_words(view), Tone::of(view.status, view.phase))
}

fn status(view: &DeploymentView) -> Cell {
    toned(view.status.to_string(), Tone::of(view.status, view.phase))
}

fn stage(view: &DeploymentView) -> Cell {
    number(&format!("{}/{}", view.stage, view.stage_count))
}

/// The shortest beginning that tells these ids apart, and never less than their time.
fn distinct_length(views: &[DeploymentView]) -> usize {
    let distinct = |length: usize| {
        let beginnings: BTreeSet<String> = views
            .iter()
            .map(|view| view.deployment_id.chars().take(length).collect())
            .collect();
        beginnings.len() == views.len()
    };
    (TIME_OF_ID..WHOLE_ID)
        .find(|length| distinct(*length))
        .unwrap_or(WHOLE_ID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn ids_are_cut_where_they_differ() {
        let mut views = vec![samples::baking(), samples::baking(), samples::baking()];
        assert_eq!(distinct_length(&views[..1]), TIME_OF_ID);
        views[1].deployment_id = "01931f0b-7c00-7abc-8def-0123456789ab".to_owned();
        assert_eq!(distinct_length(&views[..2]), TIME_OF_ID);
        views[2].deployment_id = "01931f0a-7c00-7abd-8def-0123456789ab".to_owned();
        assert_eq!(distinct_length(&views), "01931f0a-7c00-7abc".len());
    }
}
