//! The command line's shape: verbs, their arguments, and what holds for all of them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use http::HeaderValue;
use shared::domain::quantity::Span;
use shared::domain::state::Status;

use crate::demo::DemoArgs;
use crate::local::LocalArgs;
use crate::models::process::ModelServerArgs;
use crate::output::{Format, Surroundings};
use crate::place::PlaceArgs;

/// Canary deployments of SageMaker models, step by step and watched.
///
/// ID is a deployment's id or the beginning of one; it may be left out when exactly one deployment
/// is not over.
///
/// Exit codes: 0 done, 1 error or FAILED, 2 usage, 3 rolled back or cancelled, 4 waiting for a
/// person, 5 timed out.
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
    /// Follow a deployment until it is over or waits for an approval.
    Watch(WatchArgs),
    /// Show what happened and why, oldest first.
    History(Target),
    /// Show the evidence minute by minute, newest first.
    Checks(ChecksArgs),
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
    /// Check the setup: address, credentials, the API and, if named, an endpoint.
    Doctor(DoctorArgs),
    /// Judge a recorded rollout under a policy, or under two side by side; no API is needed.
    Replay(ReplayArgs),
    /// Play a whole rollout on this machine.
    Demo(DemoArgs),
    /// Run the API on a simulated AWS on this machine.
    Local(LocalArgs),
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
pub(crate) struct DoctorArgs {
    /// An endpoint that is to take deployments.
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Option<String>,
    /// A model that it is to take.
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) model: Option<String>,
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
