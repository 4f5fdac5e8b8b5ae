//! One deployment: in full (`canary get`), as just accepted (`canary deploy`), after an order
//! (`canary pause` and its like), and at its end (`canary watch`).

use shared::domain::evidence::Totals;
use shared::domain::freeze::EVERY_ENDPOINT;
use shared::domain::state::{Phase, Status};
use shared::wire::api::{DeploymentView, DescentView, FreezeView, Measured, StageView};
use std::fmt::Write as _;

use super::table::{Cell, cell, number, table, toned};
use super::text::{error_rate, facts, length, time, traffic};
use super::{Look, Tone, printable};

/// In place of a date, while a stage or the soak is over and can't be left.
const HELD_UP: &str = "not known, for the reason above";

/// Everything that is known.
pub(crate) fn in_full(look: Look, view: &DeploymentView) -> String {
    let mut rows = vec![
        ("deployment", view.deployment_id.clone()),
        ("endpoint", view.endpoint.clone()),
        ("status", standing(look, view)),
        ("reason", view.reason.clone()),
        ("traffic", split(view)),
        ("stage", format!("{} of {}", view.stage, view.stage_count)),
        (
            "deadline",
            format!(
                "{} of {} used",
                length(view.deadline_used),
                length(view.deadline)
            ),
        ),
        ("soak", length(view.soak)),
        (
            "created",
            format!("{} UTC by {}", time(view.created_at), view.created_by),
        ),
        ("updated", format!("{} UTC", time(view.updated_at))),
    ];
    if let Some(descent) = &view.descent {
        rows.push(("going down", going_down(descent)));
    }
    if let Some(until) = view.watched_until {
        let way_back = match view.undoes {
            None => "; canary undo brings the old model back",
            Some(_) => "",
        };
        rows.push(("watched", format!("until {} UTC{way_back}", time(until))));
    }
    if let Some(package) = &view.model_package {
        let waits = if view.registry_waits {
            "; the registry is still to be told how it came out"
        } else {
            ""
        };
        rows.push(("package", format!("{}{waits}", printable(package))));
    }
    if let Some(gate) = &view.gate {
        rows.push(("gate", format!("passed: {}", printable(gate))));
    }
    if let Some(why) = &view.hotfix {
        rows.push(("hotfix", printable(why)));
    }
    for attestation in &view.preconditions {
        rows.push(("attested", printable(&attestation.to_string())));
    }
    if let Some(end) = view.expected_end {
        rows.push(("ends", format!("{} UTC, if nothing holds it up", time(end))));
    } else if view.is_held_up() {
        rows.push(("ends", HELD_UP.to_owned()));
    }
    let mut text = facts(look, &rows);
    text.push('\n');
    text.push_str(&stages(look, &view.stages, view.stage));
    if let Some(measured) = &view.measured {
        text.push('\n');
        text.push_str(&measurements(look, view, measured));
    }
    text
}

/// What was just accepted, and where to look next.
pub(crate) fn accepted(look: Look, view: &DeploymentView) -> String {
    let id = &view.deployment_id;
    let rows = [
        ("deployment", id.clone()),
        ("endpoint", view.endpoint.clone()),
        (
            "model",
            format!("{}, replacing {}", view.model, view.former_model),
        ),
        ("status", standing(look, view)),
    ];
    let mut text = facts(look, &rows);
    text.push('\n');
    text.push_str(&stages(look, &view.stages, view.stage));
    writeln!(text, "\nFollow it with: canary watch {id}").expect("a string takes everything");
    text
}

/// One line on how it stands after an order.
pub(crate) fn ordered(look: Look, order: &str, view: &DeploymentView) -> String {
    format!("{order} accepted: {}", standing_line(look, view))
}

/// How it stands, in one line.
pub(crate) fn standing_line(look: Look, view: &DeploymentView) -> String {
    format!(
        "{} at {} is {}, canary at {}: {}",
        view.deployment_id,
        view.endpoint,
        standing(look, view),
        share(view),
        view.reason
    )
}

/// Whether an endpoint is frozen, in one line.
pub(crate) fn freeze(view: &FreezeView) -> String {
    let what = match view.endpoint.as_str() {
        EVERY_ENDPOINT => "every endpoint".to_owned(),
        name => format!("endpoint {}", printable(name)),
    };
    match &view.freeze {
        Some(freeze) => format!("{what} is {}", printable(&freeze.to_string())),
        None => format!("{what} is not frozen"),
    }
}

/// The last lines of a deployment that was watched.
pub(crate) fn ending(look: Look, view: &DeploymentView) -> String {
    let tone = Tone::of(view.status, view.phase);
    let id = &view.deployment_id;
    let (title, way_on) = match view.phase {
        Phase::AwaitingApproval => (
            "waiting for an approval".to_owned(),
            format!("Go on with: canary approve {id}\n"),
        ),
        Phase::Paused => (
            "paused".to_owned(),
            format!("Go on with: canary resume {id}\n"),
        ),
        _ => (view.status.to_string(), String::new()),
    };
    let title = tone.paint(look, &title);
    let mut text = format!("\n{title}: {}\n{way_on}", view.reason);
    if let Some(measured) = &view.measured {
        text.push_str(&facts(
            look,
            &[
                ("canary", traffic(&measured.canary)),
                ("production", traffic(&measured.production)),
            ],
        ));
    }
    text
}

/// Status and phase; a phase that says nothing more is left out.
pub(super) fn standing_words(view: &DeploymentView) -> String {
    if view.phase == Phase::Ended {
        view.status.to_string()
    } else {
        format!("{}/{}", view.status, view.phase)
    }
}

/// The same in its colour.
pub(super) fn standing(look: Look, view: &DeploymentView) -> String {
    Tone::of(view.status, view.phase).paint(look, &standing_words(view))
}

/// What comes next on a way down by steps, and when.
pub(super) fn going_down(descent: &DescentView) -> String {
    let next = match descent.next_weight.percent() {
        0 => "all of it goes back".to_owned(),
        percent => format!("{percent} % is next"),
    };
    match descent.next_at {
        Some(at) => format!("{next} at {} UTC", time(at)),
        None => format!("{next}, under way"),
    }
}

/// The stages with their dates; the present one, counted from 1, is marked.
pub(super) fn stages(look: Look, stages: &[StageView], present: usize) -> String {
    let header = ["STAGE", "WEIGHT", "BAKE", "APPROVAL", "BEGINS (UTC)", ""];
    let rows = stages.iter().enumerate().map(|(index, stage)| {
        let is_present = index + 1 == present;
        let is_last = stage.weight.percent() == 100;
        vec![
            number(&(index + 1)),
            number(&stage.weight),
            cell(if is_last {
                "soak".to_owned()
            } else {
                length(stage.bake)
            }),
            cell(if stage.approval { "yes" } else { "-" }),
            cell(stage.begins_at.map_or_else(|| "-".to_owned(), time)),
            toned(if is_present { "now" } else { "" }, Tone::Strong),
        ]
    });
    table(look, &header, rows.collect())
}

/// The canary's share as the endpoint has it, and beside it the one that is meant where that is another.
pub(super) fn share(view: &DeploymentView) -> String {
    let share = view.share();
    match view.intended_instead() {
        Some(intended) => format!("{share} ({intended} intended)"),
        None => share.to_string(),
    }
}

/// How the endpoint splits the traffic, and what is meant where that is another split. After a failure
/// nothing is.
fn split(view: &DeploymentView) -> String {
    let share = view.share();
    let mut text = format!(
        "{share} on {} ({}), {} on {} ({})",
        view.canary_variant,
        view.model,
        share.rest(),
        view.production_variant,
        view.former_model
    );
    let more = match view.intended_instead() {
        _ if view.status == Status::Failed => " when last seen".to_owned(),
        Some(intended) if view.drifted => {
            format!("; somebody else set it, {intended} on the canary is intended")
        }
        Some(intended) => format!("; canary on its way to {intended}"),
        None if view.target_weight != view.weight => {
            format!("; canary to go to {}", view.target_weight)
        }
        _ => String::new(),
    };
    text.push_str(&more);
    text
}

fn measurements(look: Look, view: &DeploymentView, measured: &Measured) -> String {
    let header = ["VARIANT", "MODEL", "REQUESTS", "4XX", "5XX", "ERRORS"];
    let rows = vec![
        arm(&view.canary_variant, &view.model, &measured.canary),
        arm(
            &view.production_variant,
            &view.former_model,
            &measured.production,
        ),
    ];
    let mut text = table(look, &header, rows);
    writeln!(
        text,
        "\nmeasured through {} UTC; {} canary requests in this stage, {:.0} a minute",
        time(measured.judged_through),
        measured.stage_samples,
        measured.canary_per_minute
    )
    .expect("a string takes everything");
    for signal in measured.signals.values() {
        let tone = if signal.odds.is_some() {
            Tone::Warning
        } else {
            Tone::Good
        };
        writeln!(text, "{}", tone.paint(look, &signal.sentence))
            .expect("a string takes everything");
    }
    // What is on its way back, or over, has no raise before it.
    let rises = matches!(view.status, Status::Pending | Status::InProgress);
    if let Some(reason) = measured.objection.as_ref().filter(|_| rises) {
        let title = Tone::Warning.paint(look, "no raise while");
        writeln!(text, "{title}: {reason}").expect("a string takes everything");
    }
    if let Some(reason) = &measured.blind {
        let title = Tone::Warning.paint(look, "the canary can't be seen");
        writeln!(text, "{title}: {reason}").expect("a string takes everything");
    }
    text
}

fn arm(variant: &str, model: &str, totals: &Totals) -> Vec<Cell> {
    vec![
        cell(variant),
        cell(model),
        number(&totals.invocations),
        number(&totals.errors_4xx),
        number(&totals.errors_5xx),
        number(&error_rate(totals.errors_5xx, totals.invocations)),
    ]
}
