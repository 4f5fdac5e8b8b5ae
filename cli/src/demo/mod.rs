//! `canary demo`: a whole rollout before your eyes, on loopback, with one command. Two real models
//! in processes of their own serve a stream of real requests; the control plane that replaces one
//! by the other is the one that is deployed.
//!
//! Nothing of a scenario's end is played. A challenger has its fault from its training or its server,
//! an operator gives the orders that a person would give, and everything else is what the control
//! plane makes of it.

mod figure;
mod gate;
mod held_out;
mod scenario;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::domain::audience::Audience;
use shared::domain::history::Entry;
use shared::domain::judge::MinuteReport;
use shared::domain::quantity::Weight;
use shared::wire::api::{ChecksView, DeploymentView, HistoryView};
use shared::wire::specification;
use simulator::Published;

use crate::exit::Exit;
use crate::output::progress::Progress;
use crate::output::{Format, Output, history};
use crate::stage::{Setting, Stage, StageError};
use held_out::{HeldOut, Measured};
use scenario::{Cue, Scenario};

/// The wait between two looks, wall clock.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The longest that a rollout is waited for, wall clock: a demo in CI must end.
const PLAY_LIMIT: Duration = Duration::from_mins(10);

/// What `canary demo` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DemoArgs {
    /// What happens to the challenger.
    #[arg(long, value_enum, default_value_t)]
    scenario: Scenario,
    /// How many times faster than the wall clock virtual time runs.
    #[arg(long, default_value_t = 60.0, value_parser = crate::local::speed)]
    speed: f64,
    /// Requests per wall-clock second.
    #[arg(long, default_value_t = 250.0, value_parser = crate::local::rps)]
    rps: f64,
}

/// Runs a scenario to its end.
pub(crate) async fn run(args: DemoArgs, output: &mut Output<'_>) -> Result<ExitCode, StageError> {
    let scenario = args.scenario;
    say(output, &show::opening(output.look, scenario, args.speed))?;
    let setting = Setting {
        speed: args.speed,
        rps: args.rps,
        challenger: scenario.challenger(),
        labels: scenario.labels(),
        state: None,
        goes_on_from: None,
    };
    let mut stage = Stage::set(setting).await?;
    let text = scenario.specification();
    say(output, &show::specification(text))?;
    if scenario == Scenario::Rejected {
        return gate::play(&stage, text, output).await;
    }
    let held_out = if scenario.is_about_the_model() {
        let measured = HeldOut::ask(&stage).await?.measured();
        say(output, &held_out::shown(output.look, &measured))?;
        Some(measured)
    } else {
        None
    };
    say(output, &show::legend(output.look, scenario.figure()))?;
    say(output, "")?;
    let specification: Value = specification::from_yaml(text)
        .expect("a test holds that the demo's specifications are valid");
    let accepted: DeploymentView = stage
        .ask(Method::POST, "/deploy", Some(specification.to_string()))
        .await?;
    let play = Play {
        stage: &mut stage,
        scenario,
        id: accepted.deployment_id,
        said: 0,
        last_share: None,
        cues: 0,
        last_cue: Timestamp::MIN,
    };
    let seen = play.play(output).await?;
    ended(&stage, scenario, held_out.as_ref(), &seen, output)
}

/// Everything that was seen of a rollout.
struct Seen {
    last: DeploymentView,
    minutes: Vec<MinuteReport>,
    entries: Vec<Entry>,
}

/// A message that people were sent.
#[derive(serde::Serialize)]
struct Told {
    subject: String,
    /// Whom it is for; nobody, where it is a step between two milestones.
    audience: Vec<Audience>,
    /// The guard or signal that it is about.
    signal: Option<String>,
}

impl Told {
    fn of(mut message: Published) -> Self {
        let audience = message.attributes.get("audience");
        let audience = audience.and_then(|names| serde_json::from_str(names).ok());
        Self {
            subject: message.subject.unwrap_or_default(),
            audience: audience.unwrap_or_default(),
            signal: message.attributes.remove("signal"),
        }
    }
}

/// Keeps what was seen, and says how it ended.
fn ended(
    stage: &Stage,
    scenario: Scenario,
    held_out: Option<&[Measured; 2]>,
    seen: &Seen,
    output: &mut Output<'_>,
) -> Result<ExitCode, StageError> {
    let messages = stage.stack.simulator.published();
    let told: Vec<Told> = messages.into_iter().map(Told::of).collect();
    let file = keep(seen, held_out, &told)?;
    let exit = Exit::of(&seen.last).unwrap_or(Exit::Error);
    let ending = show::Seen {
        view: &seen.last,
        minutes: &seen.minutes,
        entries: &seen.entries,
        scenario,
        told: &told,
        file: &file,
        exit,
    };
    match output.format {
        Format::Json => output
            .answer(&seen.last, |_| String::new())
            .map_err(closed)?,
        Format::Text => say(output, &show::ending(output.look, &ending))?,
    }
    Ok(exit.into())
}

struct Play<'a> {
    stage: &'a mut Stage,
    scenario: Scenario,
    id: String,
    said: usize,
    /// What the last row of a minute was of: at another share the headings are said again.
    last_share: Option<Weight>,
    cues: usize,
    last_cue: Timestamp,
}

impl Play<'_> {
    /// Until the deployment is over; returns how it ended and everything that was seen.
    async fn play(mut self, output: &mut Output<'_>) -> Result<Seen, StageError> {
        let (progress, started) = (Progress::new(output.look), Instant::now());
        let mut minutes: Vec<MinuteReport> = Vec::new();
        loop {
            let view: DeploymentView = self.get("").await?;
            let history: HistoryView = self.get("/history").await?;
            let checks: ChecksView = self.get("/checks?limit=10").await?;
            let seen_through = minutes.last().map(|report| report.minute);
            let mut fresh: Vec<MinuteReport> = checks
                .items
                .into_iter()
                .filter(|report| Some(report.minute) > seen_through)
                // Each is written with the share of its judging.
                .map(|report| report.with_share_of(&history.items))
                .collect();
            fresh.reverse();
            progress.above(|| self.report(output, &history.items, &fresh))?;
            minutes.extend(fresh);
            progress.show(output.look, &view);
            if view.status.is_terminal() && self.said == history.items.len() {
                progress.end();
                return Ok(Seen {
                    last: view,
                    minutes,
                    entries: history.items,
                });
            }
            if started.elapsed() > PLAY_LIMIT {
                progress.end();
                return Err(unfinished(&view));
            }
            self.follow_cues(output, &progress, &view, &history.items)
                .await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, below: &str) -> Result<T, StageError> {
        self.stage
            .ask(
                Method::GET,
                &format!("/deployments/{}{below}", self.id),
                None,
            )
            .await
    }

    fn report(
        &mut self,
        output: &mut Output<'_>,
        entries: &[Entry],
        minutes: &[MinuteReport],
    ) -> std::io::Result<()> {
        if output.format == Format::Text {
            let figure = self.scenario.figure();
            for report in minutes {
                if self.last_share.replace(report.weight) != Some(report.weight) {
                    output.answer(&(), |look| show::heading(look, figure))?;
                }
                output.answer(&(), |look| show::minute(look, figure, report))?;
            }
        }
        let fresh = &entries[self.said.min(entries.len())..];
        for entry in fresh {
            output.answer(entry, |look| history::line(look, entry))?;
        }
        self.said = entries.len();
        Ok(())
    }

    async fn follow_cues(
        &mut self,
        output: &mut Output<'_>,
        progress: &Progress,
        view: &DeploymentView,
        history: &[Entry],
    ) -> Result<(), StageError> {
        let now = self.stage.stack.simulator.clock().now();
        let minutes = if self.cues == 0 {
            0
        } else {
            now.duration_since(self.last_cue).as_mins()
        };
        let Some(cue) = self.scenario.cue(view, history, self.cues, minutes) else {
            return Ok(());
        };
        (self.cues, self.last_cue) = (self.cues + 1, now);
        progress.above(|| output.remark(&show::cue(output.look, cue)))?;
        match cue {
            Cue::Say(_) => Ok(()),
            Cue::Kill => self.stage.kill(&view.model).await,
            Cue::Order(verb) => {
                let body = json!({"reason": "as the demo's scenario has it"}).to_string();
                let path = format!("/deployments/{}/{verb}", self.id);
                self.stage
                    .ask::<DeploymentView>(Method::POST, &path, Some(body))
                    .await
                    .map(drop)
            }
        }
    }
}

fn unfinished(view: &DeploymentView) -> StageError {
    StageError::Unfinished(format!(
        "the rollout was not over after {} minutes: it stood at {}, {:?} with {} on the canary ({}); a higher --speed makes it shorter",
        PLAY_LIMIT.as_secs() / 60,
        view.status,
        view.phase,
        view.weight,
        view.reason,
    ))
}

/// The whole history in a file, for whoever wants to look closer.
fn keep(
    seen: &Seen,
    held_out: Option<&[Measured; 2]>,
    told: &[Told],
) -> Result<PathBuf, StageError> {
    let name = format!("canary-demo-{}.json", seen.last.deployment_id);
    let file = std::env::temp_dir().join(name);
    let all = json!({
        "deployment": seen.last, "history": seen.entries, "checks": seen.minutes,
        "held_out": held_out, "told": told,
    });
    let text = serde_json::to_string_pretty(&all)?;
    std::fs::write(&file, text)
        .map_err(|error| StageError::Io(format!("{} can't be written", file.display()), error))?;
    Ok(file)
}

fn say(output: &mut Output<'_>, text: &str) -> Result<(), StageError> {
    if output.format == Format::Json {
        return Ok(());
    }
    output.answer(&(), |_| text.to_owned()).map_err(closed)
}

fn closed(error: std::io::Error) -> StageError {
    StageError::Io("standard output is closed".to_owned(), error)
}

impl From<std::io::Error> for StageError {
    fn from(error: std::io::Error) -> Self {
        closed(error)
    }
}
