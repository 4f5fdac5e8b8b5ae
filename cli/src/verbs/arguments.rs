//! The command line's shape: verbs, their arguments, and what holds for all of them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use http::HeaderValue;
use jiff::Timestamp;
use shared::domain::freeze::Freeze;
use shared::domain::gate::Requirement;
use shared::domain::quantity::{Latency, Rate, Span};
use shared::domain::state::Status;

use crate::demo::DemoArgs;
use crate::local::LocalArgs;
use crate::local::faults::{AwsFault, AwsFaultKind};
use crate::models::process::ModelServerArgs;
use crate::output::{Format, Surroundings};
use crate::place::PlaceArgs;

/// Canary deployments of SageMaker models, step by step and watched.
///
/// ID is a deployment's id or the beginning of one; it may be left out when exactly one deployment
/// is not over.
///
/// Exit codes: 0 done, 1 error or FAILED, 2 usage, 3 rolled back or cancelled, 4 waiting for a
/// person, 5 timed out, 6 rejected by the gate.
#[derive(Debug, Parser)]
#[command(name = "canary", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Text for people, or one compact JSON object per line.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) surroundings: Surroundings,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start a deployment.
    Deploy(DeployArgs),
    /// Show what a specification would do; nothing is done.
    Plan(FileArgs),
    /// Check a specification by itself; no API is needed.
    Lint(FileArgs),
    /// List deployments, newest first.
    List(ListArgs),
    /// Show a deployment in full.
    Get(Target),
    /// Follow a deployment until it is over or waits for a person.
    Watch(WatchArgs),
    /// Show what happened and why, oldest first.
    History(Target),
    /// Show the evidence minute by minute, newest first.
    Checks(ChecksArgs),
    /// Print the report: what was deployed, what happened, who was told, what was seen, what to do.
    Report(ReportArgs),
    /// Serve a live page of the deployments on this machine, for a browser.
    Dashboard(DashboardArgs),
    /// Stop raises; guards go on judging.
    Pause(OrderArgs),
    /// Let raises go on.
    Resume(OrderArgs),
    /// Skip the rest of the bake or the soak.
    Promote(PromoteArgs),
    /// Take all traffic back to the old model.
    Rollback(OrderArgs),
    /// Take all traffic back and call the deployment off.
    Cancel(OrderArgs),
    /// Let the raise happen that waits for a person.
    Approve(OrderArgs),
    /// Set the canary's share by hand; the plan goes on from there.
    Weight(WeightArgs),
    /// Bring the model back that a completed deployment replaced: a new deployment.
    Undo(UndoArgs),
    /// Let nothing begin and nothing be raised on an endpoint, or on all of them.
    Freeze(FreezeArgs),
    /// Lift a freeze.
    Thaw(ThawArgs),
    /// Check the setup: address, credentials, the API and, if named, an endpoint.
    Doctor(DoctorArgs),
    /// Judge a recorded rollout under a policy, or under two side by side; no API is needed.
    Replay(ReplayArgs),
    /// Hold a new model's predictions against the old one's, before any traffic; no API is needed.
    Compare(CompareArgs),
    /// Play a whole rollout on this machine.
    Demo(DemoArgs),
    /// Run the API on a simulated AWS on this machine.
    Local(LocalArgs),
    /// Let things go wrong in the account of `canary local`, let its control plane look now, or begin again.
    Simulate(SimulateArgs),
    /// Serves one model; started by other verbs, never by hand.
    #[command(hide = true)]
    ModelServer(ModelServerArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The specification in YAML or JSON; - reads standard input.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// Follow the deployment, as `watch` does.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Stop following after this time, like 2h; the deployment goes on.
    #[arg(long, value_name = "TIME", requires = "wait")]
    pub(crate) timeout: Option<Span>,
    /// Repeat the request safely: the same key starts one deployment only.
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    pub(crate) idempotency_key: Option<HeaderValue>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Of this endpoint alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Option<String>,
    /// In this status alone, like in-progress.
    #[arg(long, value_name = "STATUS", value_parser = status)]
    pub(crate) status: Option<Status>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The deployment's id, or the beginning of it.
    #[arg(value_parser = id)]
    pub(crate) id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Stop following after this time, like 2h; the deployment goes on.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Span>,
}

#[derive(Debug, Args)]
pub(crate) struct ChecksArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// At most this many minutes.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Write the report as a page with pictures into this file, for a browser.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DashboardArgs {
    /// Where it listens on loopback; 0 picks a free port.
    #[arg(long, default_value_t = 8687)]
    pub(crate) port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Why: kept in the history and told to everybody.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// The completed deployment's id, or the beginning of it.
    #[arg(value_parser = id)]
    pub(crate) id: String,
    /// Why: kept in the history and told to everybody.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Follow the new deployment, as `watch` does.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Stop following after this time, like 2h; the deployment goes on.
    #[arg(long, value_name = "TIME", requires = "wait")]
    pub(crate) timeout: Option<Span>,
    /// Repeat the request safely: the same key starts one deployment only.
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    pub(crate) idempotency_key: Option<HeaderValue>,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    pub(crate) order: OrderArgs,
    /// Straight to 100 %; never past a red guard.
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Debug, Args)]
// The number is the one that must be there, so a single word is it.
#[command(allow_missing_positional = true)]
pub(crate) struct WeightArgs {
    /// The deployment's id, or the beginning of it.
    #[arg(value_parser = id, index = 1)]
    pub(crate) id: Option<String>,
    /// The canary's share in whole percent.
    #[arg(value_name = "PERCENT", index = 2, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) weight: u8,
    /// Why: kept in the history and told to everybody.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Frozen {
    /// The endpoint.
    #[arg(
        value_name = "ENDPOINT",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub(crate) endpoint: Option<String>,
    /// Every endpoint of the stack.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FreezeArgs {
    #[command(flatten)]
    pub(crate) target: Frozen,
    /// Why: told to everybody.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// When it ends by itself, like 2026-12-27T00:00:00Z; at most 366 days ahead.
    #[arg(long, value_name = "TIME", value_parser = Freeze::end)]
    pub(crate) until: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub(crate) struct ThawArgs {
    #[command(flatten)]
    pub(crate) target: Frozen,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// An endpoint that is to take deployments.
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Option<String>,
    /// A model that it is to take.
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) model: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    #[command(subcommand)]
    pub(crate) what: Simulate,
}

/// What can be done to a simulated account.
#[derive(Debug, Subcommand)]
pub(crate) enum Simulate {
    /// Let a model answer part of its requests with 500.
    Errors {
        #[command(flatten)]
        of: DisturbedArgs,
        /// Of how many requests, like 50%.
        #[arg(long, value_name = "RATE", default_value = "50%")]
        rate: Rate,
    },
    /// Let a model answer late, 300ms unless something is said.
    Slow {
        #[command(flatten)]
        of: DisturbedArgs,
        /// How much later, like 300ms.
        #[arg(long, value_name = "TIME")]
        by: Option<Latency>,
        /// How many times as long its answers take, like 3.
        #[arg(long, value_name = "FACTOR")]
        times: Option<f64>,
    },
    /// Let calls of an AWS service go wrong.
    Aws(AwsArgs),
    /// Show what goes wrong.
    Show,
    /// Let every model and every service do as it should.
    Clear,
    /// Let the control plane look now, without waiting for the minute.
    Tick,
    /// Begin again: everything as it was when `canary local` started.
    Reset,
}

#[derive(Debug, Args)]
pub(crate) struct DisturbedArgs {
    /// The model; the one that is being deployed unless it is named, or wine-quality-v2 where none is.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// For how long, in the account's time, like 10m; until `canary simulate clear` where nothing is said.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) lasts: Option<Span>,
}

#[derive(Debug, Args)]
pub(crate) struct AwsArgs {
    /// Whose calls.
    #[arg(value_name = "SERVICE", value_parser = AwsFault::SERVICES)]
    pub(crate) service: String,
    /// Which of them, like UpdateEndpoint; all where none is named.
    #[arg(value_name = "OPERATION")]
    pub(crate) operation: Option<String>,
    /// What happens to them.
    #[arg(long, value_enum, value_name = "FAULT", default_value = "throttle")]
    pub(crate) fault: AwsFaultKind,
    /// How many calls are hit.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) times: u32,
    /// How many are let through before.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A specification in YAML or JSON, of which the policy and the deadline count; endpoint and
    /// model may be left out. Given twice, the two are shown side by side.
    #[arg(long = "policy", value_name = "FILE", required = true)]
    pub(crate) policies: Vec<PathBuf>,
    /// The recorded rollout in CSV: minute,signal,variant,n,x. Minutes before the canary's first
    /// request are its history.
    #[arg(value_name = "TRACE", value_parser = trace_file)]
    pub(crate) trace: PathBuf,
    /// Print a line per minute first.
    #[arg(long)]
    pub(crate) minutes: bool,
}

/// What is required is the specification's `gate` where one is given, and 95 % recall, 2 % false
/// positives, a latency p95 of 100 ms and 1.01 times the champion's F1 where nothing is said.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("named").args(["model", "file"]).multiple(true)))]
pub(crate) struct CompareArgs {
    /// Both models' predictions in CSV, with a header: y_true, champion, challenger and, where they
    /// are measured, latency_ms (the challenger's) and group; - reads standard input.
    #[arg(value_name = "PREDICTIONS")]
    pub(crate) predictions: PathBuf,
    /// The specification that the result is for: its model, and what its gate requires.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The challenger's name as a SageMaker model: the result is bound to it.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// The champion's name, which --write asks for unless f1_ratio is left out; the API checks that it is
    /// the model in production.
    #[arg(long, value_name = "NAME")]
    pub(crate) champion: Option<String>,
    /// The score from which a row is called positive.
    #[arg(long, value_name = "SCORE", default_value_t = 0.5, value_parser = score)]
    pub(crate) threshold: f64,
    /// The champion's own, where it is another.
    #[arg(long, value_name = "SCORE", value_parser = score)]
    pub(crate) champion_threshold: Option<f64>,
    /// The columns hold labels, and this one is positive.
    #[arg(long, value_name = "LABEL")]
    pub(crate) positive: Option<String>,
    /// The least recall, like 95%.
    #[arg(long, value_name = "RATE", value_parser = share)]
    pub(crate) recall: Option<Rate>,
    /// The highest false positive rate, like 2%.
    #[arg(long, value_name = "RATE", value_parser = share)]
    pub(crate) fpr: Option<Rate>,
    /// The longest p95 of the latency, like 100ms.
    #[arg(long, value_name = "TIME")]
    pub(crate) latency: Option<Latency>,
    /// The least F1, as a multiple of the champion's.
    #[arg(long, value_name = "FACTOR", value_parser = ratio)]
    pub(crate) f1_ratio: Option<f64>,
    /// Require all of each 95 % interval to be inside, and not the figure alone.
    #[arg(long)]
    pub(crate) by_interval: bool,
    /// A requirement not to make: recall, fpr, latency or f1_ratio; may be given again.
    #[arg(long, value_name = "REQUIREMENT", value_parser = requirement)]
    pub(crate) leave_out: Vec<Requirement>,
    /// Print the `gate` block for a specification, in place of the table.
    #[arg(long, requires = "named")]
    pub(crate) write: bool,
}

fn score(text: &str) -> Result<f64, String> {
    let score = text.parse::<f64>().ok();
    let score = score.filter(|score| (0.0..=1.0).contains(score));
    score.ok_or_else(|| "a score from 0 to 1, like 0.5".to_owned())
}

fn share(text: &str) -> Result<Rate, String> {
    let rate: Rate = text.parse().map_err(|error| format!("{error}"))?;
    let fits = rate.fraction() > 0.0 && rate.fraction() < 1.0;
    fits.then_some(rate)
        .ok_or_else(|| "above 0% and below 100%".to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse::<f64>().ok();
    let ratio = ratio.filter(|ratio| (0.1..=10.0).contains(ratio));
    ratio.ok_or_else(|| "a factor from 0.1 to 10, like 1.01".to_owned())
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let found = Requirement::ALL
        .into_iter()
        .find(|requirement| requirement.as_str() == text);
    found.ok_or_else(|| "one of recall, fpr, latency, f1_ratio".to_owned())
}

/// A trace is read twice, which standard input can't be.
fn trace_file(text: &str) -> Result<PathBuf, String> {
    if text == "-" {
        return Err(
            "a trace is read twice, so it can't be standard input; save it to a file".to_owned(),
        );
    }
    Ok(PathBuf::from(text))
}

/// Ids are UUIDs, so what else is given was meant for another argument.
fn id(text: &str) -> Result<String, String> {
    let fits = (1..=36).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if fits {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("an id has hexadecimal digits and hyphens, 36 at the most".to_owned())
    }
}

fn status(text: &str) -> Result<Status, String> {
    let name = text.to_ascii_uppercase().replace('-', "_");
    let found = Status::ALL
        .into_iter()
        .find(|status| status.to_string() == name);
    found.ok_or_else(|| {
        let names = Status::ALL.map(|status| status.to_string());
        format!("one of {}", names.join(", "))
    })
}

fn idempotency_key(text: &str) -> Result<HeaderValue, String> {
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let value = HeaderValue::from_str(text).ok().filter(|_| fits);
    value.ok_or_else(|| {
        "a key has 1 to 255 visible ASCII characters without spaces, like a UUID".to_owned()
    })
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "recipes_tests.rs"]
mod recipes;
