//! `canary plan`: what a specification would do, and what it would be able to prove.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use shared::domain::comparison::effect::percent;
use shared::domain::forecast::Caught;
use shared::domain::model_plan::{Arrival, LabelNeed, ModelPlan};
use shared::domain::signal::spoken;
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
            "{} dollars for those, at {} an hour",
            dollars(whole),
            at_most(an_hour)
        ),
        _ => "not known: the stack's InstancePrices has no price of their type".to_owned(),
    }
}

/// What rounds to no cent.
const LESS: &str = "less than 0.01";

/// Cents, as long as there are any.
fn dollars(amount: f64) -> String {
    if rounds_to_nothing(amount) {
        LESS.to_owned()
    } else {
        format!("{amount:.2}")
    }
}

/// What it may come to.
fn at_most(amount: f64) -> String {
    if rounds_to_nothing(amount) {
        LESS.to_owned()
    } else {
        format!("up to {amount:.2}")
    }
}

fn rounds_to_nothing(amount: f64) -> bool {
    amount > 0.0 && amount < 0.01
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
    let names: Vec<String> = signals
        .iter()
        .map(|name| spoken(name).to_uppercase())
        .collect();
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

/// What `inference` counts for it costs, and the labels that the model's own figures need.
fn figures(look: Look, model: &ModelPlan) -> String {
    let cost = format!(
        "What inference counts are {} custom metrics of each variant: about {:.2} dollars for the rollout, and {:.2} a month for the variant that stays. Their log lines, {} bytes for each request that comes through inference, are {} for the rollout and {} a month (CloudWatch, us-east-1).",
        model.custom_metrics,
        model.rollout_dollars,
        model.month_dollars,
        model.log_line_bytes,
        at_most(model.log_rollout_dollars),
        at_most(model.log_month_dollars)
    );
    let mut text = format!("\n{}\n", paragraph(look, 0, &cost));
    if model.labels.is_empty() {
        return text;
    }
    let header = [
        "SIGNAL",
        "WAITS FOR",
        "BAD",
        "1/MIN",
        "10/MIN",
        "100/MIN",
        "IN 1 MIN",
        "COUNTED OVER",
    ];
    let rows = model.labels.iter().flat_map(|(signal, need)| {
        let all_bad = (!need.all_bad.is_empty()).then(|| ("all".to_owned(), &need.all_bad));
        let twice = need.twice.as_ref();
        let twice = twice.map(|twice| (share(twice.rate), &twice.caught));
        let mut canaries: Vec<(String, &[Arrival])> = all_bad
            .into_iter()
            .chain(twice)
            .map(|(bad, enough)| (bad, enough.as_slice()))
            .collect();
        if canaries.is_empty() {
            canaries.push(("-".to_owned(), &[]));
        }
        let row = move |(bad, enough): (String, _)| labels(signal, need, &bad, enough);
        canaries.into_iter().map(row)
    });
    let table = table(look, &header, rows.collect());
    let title = "Labels of the canary's predictions by which it is caught in four of five rollouts, as 1, 10 or 100 of them come in a minute, or all in one:";
    write!(text, "\n{}\n{table}", paragraph(look, 0, title)).expect("a string takes everything");
    text
}

/// What a signal needs of a canary of which so many are bad.
fn labels(signal: &str, need: &LabelNeed, bad: &str, enough: &[Arrival]) -> Vec<Cell> {
    let waits_for = match (need.waits_for, need.groups.len()) {
        (0, _) => "-".to_owned(),
        (labels, 0) => labels.to_string(),
        (labels, _) => format!("{labels} a group"),
    };
    // The last one is the minute that has them all, whatever its pace.
    let (at_once, steadily) = enough
        .split_last()
        .filter(|(last, _)| last.minutes == 1)
        .map_or((None, enough), |(last, others)| (Some(last), others));
    let at_pace = |pace| {
        let mut paces = steadily.iter();
        paces.find(|arrival| arrival.labels_a_minute == pace)
    };
    let shown = |arrival: Option<&Arrival>| {
        let labels = arrival.map(|arrival| arrival.labels().to_string());
        number(&labels.unwrap_or_else(|| "-".to_owned()))
    };
    vec![
        cell(signal),
        number(&waits_for),
        number(bad),
        shown(at_pace(1)),
        shown(at_pace(10)),
        shown(at_pace(100)),
        shown(at_once),
        cell(&need.of),
    ]
}

/// A share in percent, without the zeros at its end.
fn share(fraction: f64) -> String {
    let text = percent(fraction);
    let digits = text.trim_end_matches('%');
    format!("{}%", digits.trim_end_matches('0').trim_end_matches('.'))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_to_nothing_is_said_once_to_be_less() {
        assert_eq!(at_most(0.004), "less than 0.01");
        assert_eq!(at_most(0.0), "up to 0.00");
        assert_eq!(at_most(1.5), "up to 1.50");
    }

    #[test]
    fn a_share_keeps_the_digits_that_say_something() {
        for (fraction, text) in [
            (0.3, "30%"),
            (1.0, "100%"),
            (0.004, "0.4%"),
            (0.012, "1.2%"),
            (0.000_02, "0.002%"),
            (12.0 / 23.0, "52.17%"),
        ] {
            assert_eq!(share(fraction), text);
        }
    }
}
