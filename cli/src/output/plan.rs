//! `canary plan`: what a specification would do, and what it would be able to prove.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use shared::domain::forecast::Caught;
use shared::wire::api::{PlanStage, PlanView};

use super::table::{Cell, cell, number, table};
use super::text::{facts, length, time};
use super::{Look, Tone};

/// What would happen, and what would be watched.
pub(crate) fn plan(look: Look, plan: &PlanView) -> String {
    let rows = [
        ("endpoint", plan.endpoint.clone()),
        (
            "model",
            format!("{}, replacing {}", plan.model, plan.former_model),
        ),
        (
            "duration",
            format!(
                "{}, of which {} soak at 100 %",
                length(plan.duration),
                length(plan.soak)
            ),
        ),
        (
            "ends",
            format!("{} UTC, if nothing holds it up", time(plan.ends_at)),
        ),
        (
            "instances",
            format!("up to {} beside production's", plan.extra_instances),
        ),
        (
            "traffic",
            format!(
                "{:.0} requests a minute over the last day",
                plan.requests_per_minute
            ),
        ),
    ];
    let mut text = facts(look, &rows);
    text.push('\n');
    text.push_str(&stages(look, &plan.stages));
    text.push_str("\nThe last columns: the smallest regression that four of five rollouts catch within the stage.\n");
    let acts = [
        ("Rolled back by, unless said otherwise", &plan.guards),
        ("Compared with production", &plan.signals),
    ];
    for (title, lines) in acts {
        if !lines.is_empty() {
            writeln!(text, "\n{title}:").expect("a string takes everything");
        }
        for line in lines {
            writeln!(text, "  {line}").expect("a string takes everything");
        }
    }
    if !plan.warnings.is_empty() {
        let title = Tone::Warning.paint(look, "Beware");
        writeln!(text, "\n{title}:").expect("a string takes everything");
    }
    for warning in &plan.warnings {
        writeln!(text, "  {warning}").expect("a string takes everything");
    }
    text
}

fn stages(look: Look, stages: &[PlanStage]) -> String {
    let catches = |stage: &PlanStage| stage.forecast.clone().unwrap_or_default().catches;
    let signals: BTreeSet<String> = stages
        .iter()
        .flat_map(|stage| catches(stage).into_keys())
        .collect();
    let mut header = vec![
        "STAGE".to_owned(),
        "WEIGHT".to_owned(),
        "BAKE".to_owned(),
        "APPROVAL".to_owned(),
        "BEGINS (UTC)".to_owned(),
        "REQUESTS".to_owned(),
    ];
    header.extend(signals.iter().map(|name| name.to_uppercase()));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows = stages.iter().enumerate().map(|(index, planned)| {
        let stage = &planned.stage;
        let is_last = planned.forecast.is_none();
        let requests = planned.forecast.as_ref().map_or_else(
            || "all".to_owned(),
            |forecast| forecast.canary_requests.to_string(),
        );
        let mut row: Vec<Cell> = vec![
            number(&(index + 1)),
            number(&stage.weight),
            cell(if is_last {
                "soak".to_owned()
            } else {
                length(stage.bake)
            }),
            cell(if stage.approval { "yes" } else { "-" }),
            cell(time(stage.begins_at)),
            number(&requests),
        ];
        let catches = catches(planned);
        row.extend(signals.iter().map(|name| {
            let caught = catches.get(name).map(smallest);
            cell(caught.unwrap_or_else(|| if is_last { "-" } else { "nothing" }.to_owned()))
        }));
        row
    });
    table(look, &header, rows.collect())
}

/// From which size on, and how soon.
fn smallest(caught: &Caught) -> String {
    let size = match (caught.slowdown, caught.ratio) {
        (Some(slowdown), _) => format!("{slowdown:.2}x slower"),
        (None, Some(ratio)) => format!("{:.2}% ({ratio:.1}x)", caught.rate * 100.0),
        (None, None) => format!("{:.2}%", caught.rate * 100.0),
    };
    format!("{size} in {} min", caught.minutes)
}
