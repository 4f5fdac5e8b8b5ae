//! The report of a deployment: what was deployed by whom, what happened and who was told of it, what was
//! seen, how it ended and what to do.
//!
//! One document in three forms. As JSON it is for programs; as a page it is read in a browser and sent
//! on as a file, with nothing in it that would have to be fetched; as Markdown it goes into a ticket or
//! a terminal. All three say the same, out of [`Report`]; the pictures are of the page alone. It is of
//! bounded size whatever the deployment went through: what is left out is said.

mod markdown;
mod page;
pub mod picture;
pub mod series;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::series::{Series, ShareOf};
use super::api::DeploymentView;
use super::items::event_id;
use crate::domain::audience::Audience;
use crate::domain::deployment::Deployment;
use crate::domain::evidence::Evidence;
use crate::domain::history::{Entry, Name};
use crate::domain::incident::{self, PostMortem, Room, Told};
use crate::domain::state::{Phase, Status};

pub use markdown::markdown;
pub use page::{POLICY, body, page, style};

/// The most lines of history in a report: the first ones and the last ones.
const MOST_LINES: usize = 600;
/// How many of them are the first ones.
const FIRST_LINES: usize = 150;

/// Why no histogram is shown of a model whose answers have scores.
const NO_BINS: &str =
    "Where the scores of the predictions lie is read and kept with `policy.drift` alone";

/// The report of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Report {
    /// The deployment as it stands.
    pub deployment: DeploymentView,
    /// How it stands, or how it ended, in a sentence or two.
    pub ending: String,
    /// When it ended: the record is written later as well. Absent while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What to do now.
    pub advice: Vec<Advice>,
    /// What spoke against the canary, with its figures, oldest first.
    pub breaches: Vec<Entry>,
    /// What happened, oldest first.
    pub timeline: Vec<ReportLine>,
    /// What of the timeline is left out; absent where it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline_left_out: Option<String>,
    /// Who was told of how much.
    pub told: Vec<Told>,
    /// What was judged, over time.
    pub series: Series,
    /// The draft of a post-mortem, after a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_mortem: Option<PostMortem>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Advice {
    /// What for.
    pub what: String,
    /// The command that does it.
    pub command: String,
}

/// A line of history, and who was told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportLine {
    /// The line.
    pub entry: Entry,
    /// The audiences it is for; it goes on the event bus and to the stack's topic in any case.
    pub told: Vec<Audience>,
    /// Whether it was announced; absent where that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<bool>,
}

/// What a report is made of.
#[derive(Debug)]
pub struct Material<'a> {
    /// The record.
    pub deployment: &'a Deployment,
    /// What was measured.
    pub evidence: &'a Evidence,
    /// The deployment as callers see it.
    pub view: DeploymentView,
    /// Every line of history, oldest first.
    pub history: Vec<Entry>,
    /// The ids of the announcements that still wait; absent where they could not be read.
    pub waiting: Option<BTreeSet<String>>,
    /// What was judged.
    pub series: Series,
}

impl Report {
    /// The report.
    pub fn of(material: Material<'_>) -> Self {
        let Material {
            deployment,
            evidence,
            view,
            history,
            waiting,
            series,
        } = material;
        let mut series = series.with_shares_of(&history);
        for rule in &deployment.terms.policy.signals {
            if let Some(track) = series.tracks.get_mut(&rule.name) {
                track.shown = ShareOf::of(rule);
            }
        }
        let readings = deployment.terms.readings.as_ref();
        if series.scores.is_none() && readings.is_some_and(|it| it.positive_label.is_none()) {
            series.scores_left_out = Some(NO_BINS.to_owned());
        }
        let draft = PostMortem::of(deployment, evidence, &history);
        let (shown, timeline_left_out) = bounded(&history);
        let line = |entry: &Entry| ReportLine {
            told: Audience::of(entry),
            announced: waiting
                .as_ref()
                .map(|waiting| !waiting.contains(&event_id(&view.deployment_id, entry.seq))),
            entry: entry.clone(),
        };
        let breaches = history.iter().filter(|entry| is_breach(entry));
        Self {
            ending: ending(&view),
            ended_at: ended_at(&history),
            advice: advice(&view),
            breaches: breaches.take(MOST_LINES).cloned().collect(),
            timeline: shown.into_iter().map(line).collect(),
            timeline_left_out,
            told: incident::told(&history),
            series,
            post_mortem: draft.map(|draft| draft.within(Room::REPORT)),
            deployment: view,
        }
    }
}

/// The lines that are shown, and what is said of the others.
fn bounded(history: &[Entry]) -> (Vec<&Entry>, Option<String>) {
    let missing = history.len().saturating_sub(MOST_LINES);
    if missing == 0 {
        return (history.iter().collect(), None);
    }
    let (first, rest) = history.split_at(FIRST_LINES);
    let shown = first.iter().chain(&rest[missing..]).collect();
    let note = format!(
        "{missing} lines after the first {FIRST_LINES} are left out; GET /deployments/{{id}}/history has all"
    );
    (shown, Some(note))
}

/// What speaks against the canary, or keeps it from being judged.
fn is_breach(entry: &Entry) -> bool {
    let by_itself = entry.by.is_none();
    match entry.event {
        Name::Incident => false,
        Name::Breached | Name::Blind | Name::Skewed | Name::Drift | Name::CapacityShort => true,
        Name::RollingBack => by_itself,
        _ => entry.signal.is_some(),
    }
}

/// What comes after the end, like the end of the watch, has the same status.
fn ended_at(history: &[Entry]) -> Option<Timestamp> {
    let end = history.iter().find(|entry| entry.status.is_terminal());
    end.map(|entry| entry.at)
}

fn ending(view: &DeploymentView) -> String {
    let (new, old, endpoint) = (&view.model, &view.former_model, &view.endpoint);
    let reason = view.reason.trim_end_matches('.');
    // The phase says so already.
    let reason = reason.strip_prefix("holding: ").unwrap_or(reason);
    match view.status {
        Status::Pending => format!("{new} is being set up beside {old} on {endpoint}: {reason}."),
        Status::InProgress => format!(
            "{new} has {} of the traffic of {endpoint} beside {old}, in phase {}: {reason}.",
            share(view),
            view.phase
        ),
        Status::RollingBack => format!("{old} takes {endpoint} back from {new}: {reason}."),
        Status::Completed => format!("Completed: {reason}."),
        Status::RolledBack => format!("Rolled back: {reason}."),
        Status::Cancelled => format!("Cancelled: {reason}."),
        Status::Failed => format!("Failed: {reason}."),
    }
}

/// The canary's share, and the one that is meant where that is another.
fn share(view: &DeploymentView) -> String {
    let share = view.share();
    match view.intended_instead() {
        Some(intended) if view.drifted => {
            format!("{share} (somebody else set it, {intended} is intended)")
        }
        Some(intended) => format!("{share} (on its way to {intended})"),
        None => share.to_string(),
    }
}

/// What a person can do now, most pressing first.
fn advice(view: &DeploymentView) -> Vec<Advice> {
    let id = &view.deployment_id;
    let advice = |what: &str, command: String| Advice {
        what: what.to_owned(),
        command,
    };
    let watch = || advice("Follow it", format!("canary watch {id}"));
    let rollback = || advice("Take everything back", format!("canary rollback {id}"));
    let evidence = || {
        let command = format!("canary checks {id}");
        advice("See the evidence minute by minute", command)
    };
    match (view.status, view.phase) {
        (Status::InProgress, Phase::CleaningUp) | (Status::RollingBack, _) => {
            vec![watch(), evidence()]
        }
        (Status::Pending, _) => vec![watch(), rollback()],
        (Status::InProgress, phase) => {
            let next = match phase {
                Phase::AwaitingApproval => {
                    advice("Approve the next raise", format!("canary approve {id}"))
                }
                Phase::Paused => advice("Let it go on", format!("canary resume {id}")),
                _ => watch(),
            };
            vec![next, rollback(), evidence()]
        }
        // What undid another is not undone itself.
        (Status::Completed, _) if view.undoes.is_some() => vec![evidence()],
        (Status::Completed, _) => vec![
            advice("Bring the old model back", format!("canary undo {id}")),
            evidence(),
        ],
        (Status::RolledBack | Status::Cancelled, _) => vec![
            evidence(),
            advice(
                "Hold the next model against the one in production before it has traffic",
                "canary compare predictions.csv".to_owned(),
            ),
        ],
        (Status::Failed, _) => vec![
            advice(
                "See what the endpoint was left as",
                format!(
                    "aws sagemaker describe-endpoint --endpoint-name {}",
                    view.endpoint
                ),
            ),
            evidence(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;

    fn entry(seq: u64, event: Name, by: Option<&str>, signal: Option<&str>) -> Entry {
        let entry = json!({
            "seq": seq, "at": "2026-03-02T09:30:00Z", "event": event, "severity": "info",
            "reason": "r", "value": "v", "limit": "l", "status": "IN_PROGRESS", "phase": "Baking",
            "weight": 10, "by": by, "signal": signal,
        });
        serde_json::from_value(entry).expect("a line of history")
    }

    #[test]
    fn a_long_history_keeps_its_beginning_and_its_end() {
        let history: Vec<Entry> = (1..=5000)
            .map(|seq| entry(seq, Name::Held, None, None))
            .collect();
        let (shown, note) = bounded(&history);
        assert_eq!(shown.len(), MOST_LINES);
        assert!(shown.is_sorted_by(|a, b| a.seq < b.seq));
        let ends = (
            shown[0].seq,
            shown[FIRST_LINES - 1].seq,
            shown[MOST_LINES - 1].seq,
        );
        assert_eq!(ends, (1, 150, 5000));
        assert!(note.is_some_and(|note| note.starts_with("4400 lines after the first 150")));
        let (shown, note) = bounded(&history[..MOST_LINES]);
        assert_eq!((shown.len(), note), (MOST_LINES, None));
    }

    #[test]
    fn what_comes_after_the_end_does_not_move_it() {
        let mut history = vec![
            entry(1, Name::Started, None, None),
            entry(2, Name::Completed, None, None),
            entry(3, Name::WatchEnded, None, None),
        ];
        assert_eq!(ended_at(&history), None);
        for (entry, minutes) in history[1..].iter_mut().zip([10, 120]) {
            entry.status = Status::Completed;
            entry.at += SignedDuration::from_mins(minutes);
        }
        let end = history[0].at + SignedDuration::from_mins(10);
        assert_eq!(ended_at(&history), Some(end));
    }

    #[test]
    fn a_breach_is_what_speaks_against_the_canary_by_itself() {
        for (entry, is_one) in [
            (entry(1, Name::Breached, None, Some("errors")), true),
            (entry(1, Name::RollingBack, None, None), true),
            (entry(1, Name::RollingBack, Some("OnCall"), None), false),
            (entry(1, Name::Retreating, None, Some("errors")), true),
            (entry(1, Name::Retreating, Some("OnCall"), None), false),
            (entry(1, Name::Incident, None, Some("errors")), false),
            (entry(1, Name::Blind, None, None), true),
            (entry(1, Name::Shifted, None, None), false),
        ] {
            assert_eq!(is_breach(&entry), is_one, "{} {:?}", entry.event, entry.by);
        }
    }

    /// In the middle of a rollback the endpoint may have the share of the raise before it.
    #[test]
    fn a_share_is_somebody_elses_where_the_endpoint_drifted_alone() {
        let said = |target: u8, drifted: bool| {
            let view = json!({
                "deployment_id": "x", "status": "ROLLING_BACK", "phase": "Reverting",
                "endpoint": "e", "model": "m", "former_model": "f",
                "canary_variant": "c", "production_variant": "p",
                "weight": 0, "target_weight": target, "observed_weight": 50.0, "drifted": drifted,
                "stage": 0, "stage_count": 2, "reason": "r", "version": 1,
                "created_at": "2026-03-02T10:00:00Z", "created_by": "Release",
                "updated_at": "2026-03-02T10:00:00Z", "as_of": "2026-03-02T10:00:00Z",
                "stages": [], "soak": "5m", "deadline": "6h", "deadline_used": "0s",
                "links": {"self": "", "history": "", "checks": ""},
            });
            share(&serde_json::from_value(view).expect("a deployment"))
        };
        assert_eq!(said(0, false), "50 % (on its way to 0 %)");
        assert_eq!(
            said(0, true),
            "50 % (somebody else set it, 0 % is intended)"
        );
        assert_eq!(said(50, false), "50 %");
    }
}
