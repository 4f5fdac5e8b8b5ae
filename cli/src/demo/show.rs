//! What the demo shows besides the history: its opening, the minutes, and how it ended.
//!
//! Everything fits 80 columns: a minute is a row under two headings, one for each model, with the figure
//! that the scenario is about.

use std::fmt::Write as _;
use std::path::Path;

use shared::domain::audience::Audience;
use shared::domain::history::Entry;
use shared::domain::judge::MinuteReport;
use shared::domain::state::Status;
use shared::wire::api::DeploymentView;
use shared::wire::problem::Problem;

use super::Told;
use super::figure::{Figure, Side};
use super::scenario::{Cue, Scenario};
use crate::exit::Exit;
use crate::output::{Look, Tone, paragraph};

/// Before everything starts: what is to be seen.
pub(super) fn opening(look: Look, scenario: Scenario, speed: f64) -> String {
    let mut text = paragraph(look, 0, &format!("Demo: {}.", scenario.about()));
    if !scenario.story().is_empty() {
        write!(text, "\n\n{}", paragraph(look, 0, scenario.story()))
            .expect("a string takes everything");
    }
    let starting = format!(
        "Starting the simulated account, two model servers and traffic; a minute of the rollout takes about {}.",
        minute_takes(speed)
    );
    format!("{text}\n\n{}", paragraph(look, 0, &starting))
}

/// A virtual minute on the wall clock.
fn minute_takes(speed: f64) -> String {
    let seconds = 60.0 / speed;
    match format!("{seconds:.1}").as_str() {
        "1.0" => "a second".to_owned(),
        _ if seconds < 1.0 => format!("{:.0} milliseconds", seconds * 1000.0),
        tenths => format!("{} seconds", tenths.trim_end_matches(".0")),
    }
}

/// What is deployed.
pub(super) fn specification(text: &str) -> String {
    let text = text.trim_end().replace('\n', "\n    ");
    format!("\nThe specification:\n\n    {text}\n")
}

/// What the rows of minutes hold.
pub(super) fn legend(look: Look, figure: Figure) -> String {
    let words = format!(
        "Each row is a minute of the rollout: requests of both models, {}, and the 99th percentile of their latency.",
        figure.words()
    );
    format!("\n{}", paragraph(look, 0, &words))
}

/// The headings of the rows of minutes.
pub(super) fn heading(look: Look, figure: Figure) -> String {
    let of = figure.heading();
    let models = format!("{:11}{:<25}   {:<25}", "", "CANARY", "PRODUCTION");
    let columns = format!(
        "{:5} {:>5}  {:>6} {of:>8} {:>8}   {:>6} {of:>8} {:>8}",
        "UTC", "SHARE", "REQ.", "P99", "REQ.", "P99"
    );
    let lines = [models.trim_end(), &columns].map(|line| Tone::Quiet.paint(look, line));
    lines.join("\n")
}

/// One judged minute on one line.
pub(super) fn minute(look: Look, figure: Figure, report: &MinuteReport) -> String {
    let (verdict, tone) = verdict(figure, report);
    let line = format!(
        "{} {:>5}  {}   {}  ",
        report.minute.strftime("%H:%M"),
        report.share().to_string(),
        arm(figure, report, Side::Canary),
        arm(figure, report, Side::Production),
    );
    let verdict = tone.paint(look, verdict);
    format!("{}{verdict}", Tone::Quiet.paint(look, &line))
}

/// What a minute says of the canary. Healthy is what nothing speaks against, as far as it is known: without
/// a request that would be said of nobody, and after a step back, when the counting begins anew, of a figure
/// beside it that shows the contrary.
fn verdict(figure: Figure, report: &MinuteReport) -> (&str, Tone) {
    match report.verdict.as_str() {
        "healthy" if !asked(report) => ("no canary", Tone::Quiet),
        "healthy" if figure.is_past_limit(report) => ("inconclusive", Tone::Warning),
        "healthy" => ("healthy", Tone::Good),
        "unhealthy" => ("unhealthy", Tone::Bad),
        other => (other, Tone::Warning),
    }
}

fn arm(figure: Figure, report: &MinuteReport, side: Side) -> String {
    let Some(minute) = side.of(report) else {
        return format!("{:>6} {:>8} {:>8}", "-", "-", "-");
    };
    let value = figure.of(report, side);
    let latency = minute.latency.as_ref();
    format!(
        "{:>6} {:>8} {:>8}",
        minute.invocations,
        value.map_or_else(|| "-".to_owned(), |value| figure.shown(value)),
        latency.map_or_else(|| "-".to_owned(), |of| format!("{:.1} ms", of.p99_ms)),
    )
}

/// Whether the canary had requests in this minute.
fn asked(report: &MinuteReport) -> bool {
    let canary = Side::Canary.of(report);
    canary.is_some_and(|minute| minute.invocations > 0)
}

/// What happens on the stage.
pub(super) fn cue(look: Look, cue: Cue) -> String {
    let text = match cue {
        Cue::Kill => "The challenger's process is killed.".to_owned(),
        Cue::Order(verb) => format!("The operator orders: {verb}."),
        Cue::Say(text) => text.to_owned(),
    };
    Tone::Warning.paint(look, &paragraph(look, 10, &text))
}

/// What was kept and seen of a rollout.
pub(super) struct Seen<'a> {
    /// How it ended.
    pub(super) view: &'a DeploymentView,
    /// Every judged minute.
    pub(super) minutes: &'a [MinuteReport],
    /// Its history.
    pub(super) entries: &'a [Entry],
    /// What it is about.
    pub(super) scenario: Scenario,
    /// The messages that people were sent, oldest first.
    pub(super) told: &'a [Told],
    /// Where the history is.
    pub(super) file: &'a Path,
    /// What the process ends with.
    pub(super) exit: Exit,
}

/// How it ended.
pub(super) fn ending(look: Look, seen: &Seen<'_>) -> String {
    let view = seen.view;
    let tone = if view.status == Status::Completed {
        Tone::Good
    } else {
        Tone::Bad
    };
    let status = tone.paint(look, &view.status.to_string());
    let mut text = format!("\n{status}\n{}\n\n", paragraph(look, 2, &view.reason));
    if let Some(moral) = seen.scenario.moral(view.status, seen.entries) {
        writeln!(text, "{}\n", paragraph(look, 2, moral)).expect("a string takes everything");
    }
    let rows = [
        ("canary", sum(seen, Side::Canary, &view.model)),
        (
            "production",
            sum(seen, Side::Production, &view.former_model),
        ),
        ("took", format!("{} of virtual time", took(view))),
        ("told", told(seen.told)),
        ("history", seen.file.display().to_string()),
        ("exit code", seen.exit.words().to_owned()),
    ];
    for (name, value) in rows {
        // The name stands where the paragraph has its margin.
        let value = paragraph(look, 14, &value);
        writeln!(text, "  {name:<12}{}", value.trim_start()).expect("a string takes everything");
    }
    text
}

/// All minutes of a model in one line.
fn sum(seen: &Seen<'_>, side: Side, model: &str) -> String {
    let arms = || seen.minutes.iter().filter_map(|report| side.of(report));
    let requests: u64 = arms().map(|minute| minute.invocations).sum();
    let errors: u64 = arms().map(|minute| minute.errors_5xx).sum();
    let mut text = format!("{model}: {requests} requests judged, {errors} of them 5XX");
    if let Some(figure) = seen.scenario.figure().over(seen.minutes, side) {
        write!(text, "; {figure}").expect("a string takes everything");
    }
    text
}

/// What each message was about, by its subject: `[warning] wine-quality: held (IN_PROGRESS)`; and who is
/// told of it, where it is about a guard or a signal.
fn told(messages: &[Told]) -> String {
    let about = messages.iter().map(|message| {
        let (head, what) = message
            .subject
            .split_once(": ")
            .unwrap_or(("", &message.subject));
        let what = what.split(" (").next().unwrap_or_default();
        let severity = head.trim_start_matches('[').split(']').next();
        let loud = severity.filter(|severity| ["warning", "critical"].contains(severity));
        let mut notes: Vec<String> = loud.map(str::to_owned).into_iter().collect();
        if message.signal.is_some() {
            notes.extend(message.audience.iter().map(Audience::to_string));
        }
        if notes.is_empty() {
            what.to_owned()
        } else {
            format!("{what} ({})", notes.join(", "))
        }
    });
    let about: Vec<String> = about.collect();
    format!("{} messages: {}", messages.len(), about.join(", "))
}

fn took(view: &DeploymentView) -> String {
    let minutes = view.updated_at.duration_since(view.created_at).as_mins();
    format!("{minutes} min")
}

/// Before the gate's table.
pub(super) fn comparing(look: Look, file: &Path) -> String {
    let words = format!(
        "Both servers have answered wines that neither model has learned from. Their answers are in {}, and this is what `canary compare` makes of them under the specification's gate:",
        file.display()
    );
    format!("\n{}\n", paragraph(look, 0, &words))
}

/// Between the table and the refusal.
pub(super) fn deploying(look: Look) -> String {
    let words = "The counts go into the specification, and it is deployed all the same. The API does not believe a verdict; it counts again:";
    format!("\n{}\n", paragraph(look, 0, words))
}

/// The end of a challenger that got no traffic.
pub(super) fn refused(look: Look, refusal: &Problem, reason: &str, subject: &str) -> String {
    let status = Tone::Bad.paint(look, &format!("{} {}", refusal.status, refusal.title));
    let told = format!("{subject}: {reason}");
    let rows = [
        (
            "endpoint",
            "as it was: one variant, one config, all requests to wine-quality-v1",
        ),
        ("told", told.as_str()),
        ("exit code", Exit::Rejected.words()),
    ];
    let mut text = format!("{status}\n{}\n\n", paragraph(look, 2, &refusal.detail));
    let moral = "No request ever reached it: what it would have done to callers is known from rows that were labelled anyway.";
    writeln!(text, "{}\n", paragraph(look, 2, moral)).expect("a string takes everything");
    for (name, value) in rows {
        let value = paragraph(look, 14, value);
        writeln!(text, "  {name:<12}{}", value.trim_start()).expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn no_minute_is_called_healthy_against_what_it_shows() {
        let mut report = samples::minutes().remove(0);
        report.verdict = "healthy".to_owned();
        let said = |report: &MinuteReport| verdict(Figure::Accuracy, report).0.to_owned();
        assert_eq!(said(&report), "healthy");
        // In its minute 3 % were bad.
        let mut accuracy = report.signals["errors"].clone();
        accuracy.limit = Some(0.01);
        report.signals.insert("accuracy".to_owned(), accuracy);
        assert_eq!(said(&report), "inconclusive");
        report.canary = None;
        assert_eq!(said(&report), "no canary");
    }

    #[test]
    fn who_is_told_of_a_breach_stands_beside_it() {
        let message = |subject: &str, audience: &[Audience], signal: Option<&str>| Told {
            subject: subject.to_owned(),
            audience: audience.to_vec(),
            signal: signal.map(str::to_owned),
        };
        let (team, finops) = (Audience::MlTeam, Audience::FinOps);
        let text = told(&[
            message("[info] wine: started (PENDING)", &[team], None),
            message(
                "[info] wine: breached (IN_PROGRESS)",
                &[team, finops],
                Some("cost.ratio"),
            ),
            message("[warning] wine: held (IN_PROGRESS)", &[team], None),
            message(
                "[critical] wine: rolling back (ROLLING_BACK)",
                &[Audience::OnCall],
                Some("accuracy"),
            ),
        ]);
        assert_eq!(
            text,
            "4 messages: started, breached (ML team, FinOps), held (warning), rolling back (critical, on call)"
        );
    }

    #[test]
    fn a_minute_takes_what_the_speed_makes_of_it() {
        for (speed, words) in [
            (60.0, "a second"),
            (1.0, "60 seconds"),
            (40.0, "1.5 seconds"),
            (120.0, "500 milliseconds"),
        ] {
            assert_eq!(minute_takes(speed), words);
        }
    }
}
