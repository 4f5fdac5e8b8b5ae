//! `canary plan`: what a specification would do, and what it would be able to prove.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use shared::domain::forecast::Caught;
use shared::domain::model_plan::ModelPlan;
use shared::wire::api::{PlanStage, PlanView};

use super::table::{Cell, cell, number, table};
use super::text::{facts, length, minute, printable, time};
use super::{Look, Tone, paragraph};

/// What would happen, and what would be watched.
pub(crate) fn plan(look: Look, plan: &PlanView) -> String {
    let mut rows = vec![
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
        ("costs", instances(plan)),
    ];
    rows.extend(plan.quotas.iter().map(|quota| {
        let (instances, name) = (quota.instances, printable(&quota.name));
        (
            "quota",
            format!("{instances} of {name}, two fleets in an update"),
        )
    }));
    rows.extend([
        (
            "traffic",
            format!(
                "{:.0} requests a minute over the last day",
                plan.requests_per_minute
            ),
        ),
        ("goes back", plan.rollback.clone()),
    ]);
    let mut text = facts(look, &rows);
    text.push('\n');
    text.push_str(&stages(look, &plan.stages));
    text.push_str(&catches(look, &plan.stages));
    if let Some(model) = &plan.model_signals {
        text.push_str(&figures(look, model));
    }
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

/// What the canary's instances cost.
fn instances(plan: &PlanView) -> String {
    let last = plan.stages.last();
    let an_hour = last.and_then(|planned| planned.outlay.dollars_per_hour);
    match (plan.instance_dollars, an_hour) {
        (Some(whole), Some(an_hour)) => format!(
            "{} dollars for those, at up to {} an hour",
            dollars(whole),
            dollars(an_hour)
        ),
        _ => "not known: the stack's InstancePrices has no price of their type".to_owned(),
    }
}

/// Cents, as long as there are any.
fn dollars(amount: f64) -> String {
    if amount > 0.0 && amount < 0.01 {
        "less than 0.01".to_owned()
    } else {
        format!("{amount:.2}")
    }
}

/// At most 80 columns on a terminal, so that nothing of it is broken.
fn stages(look: Look, stages: &[PlanStage]) -> String {
    let header = [
        "STAGE",
        "WEIGHT",
        "BAKE",
        "APPROVAL",
        "BEGINS (UTC)",
        "REQUESTS",
        "INSTANCES",
    ];
    let rows = stages.iter().enumerate().map(|(index, planned)| {
        let stage = &planned.stage;
        let (bake, requests) = match &planned.forecast {
            Some(forecast) => (length(stage.bake), forecast.canary_requests.to_string()),
            None => ("soak".to_owned(), "all".to_owned()),
        };
        vec![
            number(&(index + 1)),
            number(&stage.weight),
            cell(bake),
            cell(if stage.approval { "yes" } else { "-" }),
            cell(stage.begins_at.map_or_else(|| "-".to_owned(), minute)),
            number(&requests),
            number(&format!("+{}", planned.outlay.instances)),
        ]
    });
    table(look, &header, rows.collect())
}

/// What each stage below 100 % would catch; nothing where no signal has a past.
fn catches(look: Look, stages: &[PlanStage]) -> String {
    let forecasts: Vec<_> = stages
        .iter()
        .filter_map(|planned| Some((planned.stage.weight, planned.forecast.as_ref()?)))
        .collect();
    let signals: BTreeSet<&String> = forecasts
        .iter()
        .flat_map(|(_, forecast)| forecast.catches.keys())
        .collect();
    if signals.is_empty() {
        return String::new();
    }
    let names: Vec<String> = signals.iter().map(|name| name.to_uppercase()).collect();
    let mut header = vec!["WEIGHT"];
    header.extend(names.iter().map(String::as_str));
    let rows = forecasts.iter().map(|(weight, forecast)| {
        let mut row: Vec<Cell> = vec![number(weight)];
        row.extend(signals.iter().map(|name| {
            let caught = forecast.catches.get(*name).map(smallest);
            cell(caught.unwrap_or_else(|| "nothing".to_owned()))
        }));
        row
    });
    let table = table(look, &header, rows.collect());
    format!("\nThe smallest regression that four of five rollouts catch within the stage:\n{table}")
}

/// What the model's own figures cost, and the labels that they need.
fn figures(look: Look, model: &ModelPlan) -> String {
    let cost = format!(
        "The model's own figures are {} custom metrics of each variant: about {:.2} dollars for the rollout, and {:.2} a month for the variant that stays. Their log lines, {} bytes for each request that comes through inference, are up to {} for the rollout and {} a month (CloudWatch, us-east-1).",
        model.custom_metrics,
        model.rollout_dollars,
        model.month_dollars,
        model.log_line_bytes,
        dollars(model.log_rollout_dollars),
        dollars(model.log_month_dollars)
    );
    let mut text = format!("\n{}\n", paragraph(look, 0, &cost));
    if model.labels.is_empty() {
        return text;
    }
    let header = ["SIGNAL", "ACTS FROM", "TWICE ITS LIMIT", "COUNTED OVER"];
    let rows = model.labels.iter().map(|(signal, need)| {
        let twice = need.twice.as_ref().map(|twice| {
            let labels = twice.labels;
            format!("{labels} labels, {:.0}% bad", twice.rate * 100.0)
        });
        vec![
            cell(signal),
            cell(format!("{} labels, all bad", need.at_least)),
            cell(twice.unwrap_or_else(|| "-".to_owned())),
            cell(&need.of),
        ]
    });
    let table = table(look, &header, rows.collect());
    write!(
        text,
        "\nLabels of the canary's predictions that it takes, in four of five rollouts:\n{table}"
    )
    .expect("a string takes everything");
    text
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
