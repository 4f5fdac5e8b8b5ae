//! `canary demo`: a whole rollout before your eyes, on loopback, with one command. Two real models
//! in processes of their own serve a stream of real requests; the control plane that replaces one
//! by the other is the one that is deployed.

mod scenario;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::domain::history::Entry;
use shared::domain::judge::MinuteReport;
use shared::wire::api::{ChecksView, DeploymentView, HistoryView};
use shared::wire::specification;

use crate::exit::Exit;
use crate::output::progress::Progress;
use crate::output::{Format, Output, history};
use crate::stage::{Setting, Stage, StageError};
use scenario::{Cue, Scenario};

/// What the demo deploys; printed before it starts.
const SPECIFICATION: &str = include_str!("specification.yaml");
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
    say(output, &show::opening(args.scenario, SPECIFICATION))?;
    let setting = Setting {
        speed: args.speed,
        rps: args.rps,
        challenger: args.scenario.challenger(),
        state: None,
    };
    let stage = Stage::set(setting).await?;
    let specification: Value = specification::from_yaml(SPECIFICATION)
        .expect("a test holds that the demo's specification is valid");
    let accepted: DeploymentView = stage
        .ask(Method::POST, "/deploy", Some(specification.to_string()))
        .await?;
    let id = accepted.deployment_id.clone();
    let (last, minutes, entries) = Play {
        stage,
        scenario: args.scenario,
        id,
        said: 0,
        cues: 0,
        last_cue: Timestamp::MIN,
    }
    .play(output)
    .await?;
    let file = keep(&last, &entries, &minutes)?;
    match output.format {
        Format::Json => output.answer(&last, |_| String::new()).map_err(closed)?,
        Format::Text => say(output, &show::ending(output.look, &last, &minutes, &file))?,
    }
    Ok(Exit::of(&last).unwrap_or(Exit::Error).into())
}

struct Play {
    stage: Stage,
    scenario: Scenario,
    id: String,
    said: usize,
    cues: usize,
    last_cue: Timestamp,
}

impl Play {
    /// Until the deployment is over; returns how it ended and everything that was seen.
    async fn play(
        mut self,
        output: &mut Output<'_>,
    ) -> Result<(DeploymentView, Vec<MinuteReport>, Vec<Entry>), StageError> {
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
                .collect();
            fresh.reverse();
            progress.above(|| self.report(output, &history.items, &fresh))?;
            minutes.extend(fresh);
            progress.show(output.look, &view);
            if view.status.is_terminal() && self.said == history.items.len() {
                progress.end();
                return Ok((view, minutes, history.items));
            }
            if started.elapsed() > PLAY_LIMIT {
                progress.end();
                return Err(unfinished(&view));
            }
            self.follow_cues(output, &progress, &view).await?;
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
            for report in minutes {
                output.answer(&(), |look| show::minute(look, report))?;
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
    ) -> Result<(), StageError> {
        let now = self.stage.stack.simulator.clock().now();
        let minutes = if self.cues == 0 {
            0
        } else {
            now.duration_since(self.last_cue).as_mins()
        };
        let Some(cue) = self.scenario.cue(view, self.cues, minutes) else {
            return Ok(());
        };
        (self.cues, self.last_cue) = (self.cues + 1, now);
        progress.above(|| output.remark(&show::cue(output.look, cue)))?;
        match cue {
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
    view: &DeploymentView,
    entries: &[Entry],
    minutes: &[MinuteReport],
) -> Result<PathBuf, StageError> {
    let file = std::env::temp_dir().join(format!("canary-demo-{}.json", view.deployment_id));
    let all = json!({"deployment": view, "history": entries, "checks": minutes});
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_demo_deploys_is_valid() {
        let value = specification::from_yaml(SPECIFICATION).expect("YAML");
        let specification = specification::parse(&value).expect("a valid specification");
        assert_eq!(specification.endpoint, crate::stage::ENDPOINT);
    }
}
