//! What the demo shows besides the history: its opening, the minutes, and how it ended.

use std::path::Path;

use shared::domain::judge::MinuteReport;
use shared::domain::observation::ArmMinute;
use shared::domain::state::Status;
use shared::wire::api::DeploymentView;

use super::scenario::{Cue, Scenario};
use crate::output::{Look, Tone};

/// What is to be seen, and what is deployed.
pub(super) fn opening(scenario: Scenario, specification: &str) -> String {
    let spec = specification.trim_end().replace('\n', "\n    ");
    format!(
        "Demo: {}.\n\n    {spec}\n\nStarting the simulated account, two model servers and traffic; a minute of the rollout takes about a second.",
        scenario.about()
    )
}

/// One judged minute on one line.
pub(super) fn minute(look: Look, report: &MinuteReport) -> String {
    let verdict = match report.verdict.as_str() {
        "healthy" => Tone::Good.paint(look, "healthy"),
        "unhealthy" => Tone::Bad.paint(look, "unhealthy"),
        other => Tone::Warning.paint(look, other),
    };
    let line = format!(
        "{}  {:>5}  canary {}   production {}   ",
        report.minute.strftime("%H:%M"),
        report.weight.to_string(),
        arm(report.canary.as_ref()),
        arm(report.production.as_ref()),
    );
    format!("{}{verdict}", Tone::Quiet.paint(look, &line))
}

fn arm(minute: Option<&ArmMinute>) -> String {
    let Some(minute) = minute else {
        return format!("{:<44}", "no requests");
    };
    let errors = 100.0 * minute.errors_5xx as f64 / minute.invocations.max(1) as f64;
    let latency = minute.latency.as_ref().map_or_else(String::new, |latency| {
        format!("p50 {:.1} p99 {:.1} ms", latency.p50_ms, latency.p99_ms)
    });
    format!(
        "{:<44}",
        format!(
            "{:>4} req {errors:>5.1} % 5XX {latency}",
            minute.invocations
        )
    )
}

/// What happens on the stage.
pub(super) fn cue(look: Look, cue: Cue) -> String {
    let text = match cue {
        Cue::Kill => "          The challenger's process is killed.".to_owned(),
        Cue::Order(verb) => format!("          The operator orders: {verb}."),
    };
    Tone::Warning.paint(look, &text)
}

/// How it ended.
pub(super) fn ending(
    look: Look,
    view: &DeploymentView,
    minutes: &[MinuteReport],
    file: &Path,
) -> String {
    let tone = if view.status == Status::Completed {
        Tone::Good
    } else {
        Tone::Bad
    };
    let total = |arm: fn(&MinuteReport) -> Option<&ArmMinute>| -> (u64, u64) {
        minutes
            .iter()
            .filter_map(arm)
            .fold((0, 0), |(n, x), minute| {
                (n + minute.invocations, x + minute.errors_5xx)
            })
    };
    let (canary, canary_errors) = total(|report| report.canary.as_ref());
    let (production, production_errors) = total(|report| report.production.as_ref());
    format!(
        "\n{}: {}\n\n  canary      {:<18} {canary:>6} requests judged, {canary_errors} of them 5XX\n  production  {:<18} {production:>6} requests judged, {production_errors} of them 5XX\n  took        {} of virtual time\n  history     {}",
        tone.paint(look, &view.status.to_string()),
        view.reason,
        view.model,
        view.former_model,
        took(view),
        file.display(),
    )
}

fn took(view: &DeploymentView) -> String {
    let minutes = view.updated_at.duration_since(view.created_at).as_mins();
    format!("{minutes} min")
}
