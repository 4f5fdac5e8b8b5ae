//! What each verb does: ask the API, hand the answer to the output, say how it ended.
//!
//! A verb never decides how something looks and never exits by itself; what goes wrong comes back
//! as a [`Failure`], which knows its exit code and its words.

pub(crate) mod arguments;
mod follow;
mod reads;
mod replay;
mod specification;
mod which;

use std::fmt::Write as _;
use std::io;

use shared::domain::quantity::Span;
use shared::wire::specification::SpecificationError;

use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::output::complaint::Complaint;
use crate::output::{Output, deployment};

use arguments::{OrderArgs, PromoteArgs, Target, Verb, WeightArgs};
use follow::{Pace, follow};
use replay::Unplayed;
use specification::Unread;
use which::NoneTaken;

/// Why a verb did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The API did not answer, or not as hoped.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The file can't be read.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// The specification can't be.
    #[error(transparent)]
    Specification(#[from] SpecificationError),
    /// Which deployment is meant can't be told.
    #[error(transparent)]
    NoneTaken(#[from] NoneTaken),
    /// The trace can't be judged.
    #[error(transparent)]
    Unplayed(#[from] Unplayed),
    /// A followed deployment was not over in time.
    #[error("not over within {limit}; it goes on: canary watch {id}")]
    TimedOut {
        /// The deployment.
        id: String,
        /// The time it had.
        limit: Span,
    },
    /// Nobody takes the answer.
    #[error("the output can't be written")]
    Output(#[from] io::Error),
}

impl Failure {
    /// What the process ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Client(ClientError::Address { .. }) => Exit::Usage,
            Self::TimedOut { .. } => Exit::TimedOut,
            _ => Exit::Error,
        }
    }

    /// In the one shape that all errors have.
    pub(crate) fn complaint(self) -> Complaint {
        let kind = match &self {
            Self::Specification(error) => return error.into(),
            Self::TimedOut { id, .. } => {
                return Complaint::own("timed-out", &chain(&self)).deployment(id);
            }
            Self::Client(ClientError::Address { .. }) => "unfit-address",
            Self::Client(ClientError::Unreachable { .. }) => {
                // The way out stands in the message; the chain below it only says "refused".
                return Complaint::own("api-unreachable", &self.to_string());
            }
            Self::Client(ClientError::Late { .. }) => "api-late",
            Self::Client(_) => "api-answer",
            Self::Unread(_) => "unreadable-file",
            Self::Unplayed(error) => error.kind(),
            Self::NoneTaken(_) => "unclear-deployment",
            Self::Output(_) => "unwritable-output",
        };
        match self {
            Self::Client(ClientError::Problem(problem)) => (*problem).into(),
            other => Complaint::own(kind, &chain(&other)),
        }
    }

    /// Whether the reader has simply gone, as `head` does.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The error and all that led to it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, ": {error}").expect("a string takes everything");
        source = error.source();
    }
    text
}

/// Does what a verb of the API asks for. `demo`, `local` and the model server are none.
pub(crate) async fn run(verb: Verb, api: &str, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let verb = match verb {
        Verb::Lint(args) => return specification::lint(&args, output),
        Verb::Replay(args) => return replay::replay(&args, output),
        other => other,
    };
    let client = &Client::new(api)?;
    match verb {
        Verb::Deploy(args) => return specification::deploy(client, args, output).await,
        Verb::Watch(args) => {
            let id = which::take(client, args.target.id, output).await?;
            return follow(client, &id, Pace::new(args.timeout), output).await;
        }
        Verb::Plan(args) => specification::plan(client, &args, output).await?,
        Verb::List(args) => reads::list(client, args, output).await?,
        Verb::Get(target) => reads::get(client, target, output).await?,
        Verb::History(target) => reads::history(client, target, output).await?,
        Verb::Checks(args) => reads::checks(client, args, output).await?,
        Verb::Pause(args) => order(client, "pause", args, output).await?,
        Verb::Resume(args) => order(client, "resume", args, output).await?,
        Verb::Promote(PromoteArgs { order: args, full }) => {
            let name = if full { "promote?full=true" } else { "promote" };
            order(client, name, args, output).await?;
        }
        Verb::Rollback(args) => order(client, "rollback", args, output).await?,
        Verb::Cancel(args) => order(client, "cancel", args, output).await?,
        Verb::Approve(args) => order(client, "approve", args, output).await?,
        Verb::Weight(args) => weight(client, args, output).await?,
        Verb::Lint(_) | Verb::Replay(_) | Verb::Demo(_) | Verb::Local(_) | Verb::ModelServer(_) => {
            unreachable!("the first two were handled above, the others never come here")
        }
    }
    Ok(Exit::Done)
}

async fn order(
    client: &Client,
    name: &str,
    args: OrderArgs,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let Target { id } = args.target;
    let id = which::take(client, id, output).await?;
    let view = client.order(&id, name, args.reason).await?;
    let verb = name.split('?').next().unwrap_or(name);
    output.answer(&view, |look| deployment::ordered(look, verb, &view))?;
    Ok(())
}

async fn weight(client: &Client, args: WeightArgs, output: &mut Output<'_>) -> Result<(), Failure> {
    let id = which::take(client, args.id, output).await?;
    let view = client.weight(&id, args.weight, args.reason).await?;
    let verb = format!("weight {}", args.weight);
    output.answer(&view, |look| deployment::ordered(look, &verb, &view))?;
    Ok(())
}
