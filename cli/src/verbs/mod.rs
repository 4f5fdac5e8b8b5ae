//! What each verb does: ask the API, hand the answer to the output, say how it ended.
//!
//! A verb never decides how something looks and never exits by itself; what goes wrong comes back
//! as a [`Failure`], which knows its exit code and its words.

pub(crate) mod arguments;
mod compare;
mod dashboard;
mod doctor;
mod follow;
mod reads;
mod replay;
mod simulate;
mod specification;
mod which;

use std::fmt::Write as _;
use std::io;

use shared::domain::freeze::EVERY_ENDPOINT;
use shared::domain::quantity::Span;
use shared::wire::api::FreezeBody;
use shared::wire::problem::REJECTED_BY_GATE;
use shared::wire::specification::SpecificationError;

use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::loopback::LoopbackError;
use crate::output::complaint::Complaint;
use crate::output::{Output, deployment};
use crate::place::{PlaceArgs, PlaceError};

use arguments::{FreezeArgs, Frozen, OrderArgs, PromoteArgs, Target, UndoArgs, Verb, WeightArgs};
use compare::Uncounted;
use follow::{Pace, follow};
use replay::Unplayed;
use specification::{Unread, drawn_key, unstarted};
use which::NoneTaken;

/// Why a verb did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The API is not found, or nobody may ask it.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The API did not answer, or not as hoped.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An order was sent, and what became of it can't be told.
    #[error(
        "{}; whether it was done shows `canary get {id}`, then order it again if need be",
        chain(cause)
    )]
    InDoubt {
        /// The deployment.
        id: String,
        /// Why it can't be told; its words stand before the way out.
        cause: ClientError,
    },
    /// A deployment was asked for, and what became of it can't be told.
    #[error(
        "{}; whether it was started shows `canary list`, and a repetition with --idempotency-key {key} never starts a second one",
        chain(cause)
    )]
    Unstarted {
        /// The key of the request.
        key: String,
        /// Why it can't be told; its words stand before the way out.
        cause: ClientError,
    },
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
    /// The predictions can't be counted.
    #[error(transparent)]
    Uncounted(#[from] Uncounted),
    /// A followed deployment was not over in time.
    #[error("not over within {limit}; it goes on: canary watch {id}")]
    TimedOut {
        /// The deployment.
        id: String,
        /// The time it had.
        limit: Span,
    },
    /// A page can't be kept.
    #[error("{file} can't be written")]
    Unkept {
        /// Where it was to go.
        file: String,
        /// Why it is not there.
        source: io::Error,
    },
    /// The dashboard can't be served.
    #[error(transparent)]
    Loopback(#[from] LoopbackError),
    /// What only a simulated account takes was asked of another.
    #[error(
        "`canary simulate` is for the simulated account of `canary local`, and {api} is a deployed stack: nothing is simulated there, and nothing was sent"
    )]
    NotLocal {
        /// Where the API is.
        api: String,
    },
    /// Nobody takes the answer.
    #[error("the output can't be written")]
    Output(#[from] io::Error),
}

impl Failure {
    /// What the process ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Place(PlaceError::Address { .. })
            | Self::NotLocal { .. }
            | Self::Uncounted(Uncounted::NothingAsked | Uncounted::NoChampion) => Exit::Usage,
            Self::TimedOut { .. } => Exit::TimedOut,
            Self::Client(ClientError::Problem(problem)) if problem.is(REJECTED_BY_GATE) => {
                Exit::Rejected
            }
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
            Self::Place(error) => error.kind(),
            Self::Client(error) => error.kind(),
            Self::InDoubt { cause, .. } | Self::Unstarted { cause, .. } => cause.kind(),
            Self::Unread(_) => "unreadable-file",
            Self::Unplayed(error) => error.kind(),
            Self::Uncounted(error) => error.kind(),
            Self::NoneTaken(_) => "unclear-deployment",
            Self::Unkept { .. } => "unwritable-file",
            Self::Loopback(_) => "unserved",
            Self::NotLocal { .. } => "not-local",
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

/// The error and all that led to it, on one line. A layer that only repeats the one above is left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut last = error.to_string();
    let mut text = last.clone();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if words != last {
            write!(text, ": {words}").expect("a string takes everything");
            last = words;
        }
        source = error.source();
    }
    text
}

/// Does what a verb of the API asks for. `demo`, `local` and the model server are none.
pub(crate) async fn run(
    verb: Verb,
    place: &PlaceArgs,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let verb = match verb {
        Verb::Lint(args) => return specification::lint(&args, output),
        Verb::Replay(args) => return replay::replay(&args, output),
        Verb::Compare(args) => return compare::compare(&args, output),
        Verb::Doctor(args) => return doctor::doctor(place, args, output).await,
        Verb::Dashboard(args) => return dashboard::dashboard(place, &args, output).await,
        other => other,
    };
    let client = &place.find().await?.client;
    match verb {
        Verb::Deploy(args) => return specification::deploy(client, args, output).await,
        Verb::Watch(args) => {
            let id = which::take(client, args.target.id, output).await?;
            return follow(client, &id, Pace::of(client, args.timeout), output).await;
        }
        Verb::Undo(args) => return undo(client, args, output).await,
        Verb::Plan(args) => specification::plan(client, &args, output).await?,
        Verb::List(args) => reads::list(client, args, output).await?,
        Verb::Get(target) => reads::get(client, target, output).await?,
        Verb::History(target) => reads::history(client, target, output).await?,
        Verb::Checks(args) => reads::checks(client, args, output).await?,
        Verb::Report(args) => reads::report(client, args, output).await?,
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
        Verb::Freeze(args) => freeze(client, args, output).await?,
        Verb::Thaw(args) => thaw(client, &args.target, output).await?,
        Verb::Simulate(args) => simulate::simulate(client, args.what, output).await?,
        Verb::Lint(_)
        | Verb::Replay(_)
        | Verb::Compare(_)
        | Verb::Doctor(_)
        | Verb::Dashboard(_) => {
            unreachable!("handled above")
        }
        Verb::Demo(_) | Verb::Local(_) | Verb::ModelServer(_) => {
            unreachable!("these never come here")
        }
    }
    Ok(Exit::Done)
}

/// An order is sent once; where its answer got lost, a person must look.
fn in_doubt(id: &str, cause: ClientError) -> Failure {
    // A problem document says itself what to do.
    if !cause.is_in_doubt() || matches!(cause, ClientError::Problem(_)) {
        return cause.into();
    }
    Failure::InDoubt {
        id: id.to_owned(),
        cause,
    }
}

async fn order(
    client: &Client,
    name: &str,
    args: OrderArgs,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let Target { id } = args.target;
    let id = which::take(client, id, output).await?;
    let view = client.order(&id, name, args.reason).await;
    let view = view.map_err(|error| in_doubt(&id, error))?;
    let verb = name.split('?').next().unwrap_or(name);
    output.answer(&view, |look| deployment::ordered(look, verb, &view))?;
    Ok(())
}

async fn undo(client: &Client, args: UndoArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let id = which::take(client, Some(args.id), output).await?;
    let key = args.idempotency_key.unwrap_or_else(drawn_key);
    let view = client.undo(&id, args.reason, &key).await;
    let view = view.map_err(|error| unstarted(&key, error))?;
    output.answer(&view, |look| deployment::accepted(look, &view))?;
    if !args.wait {
        return Ok(Exit::Done);
    }
    let pace = Pace::of(client, args.timeout);
    follow(client, &view.deployment_id, pace, output).await
}

async fn weight(client: &Client, args: WeightArgs, output: &mut Output<'_>) -> Result<(), Failure> {
    let id = which::take(client, args.id, output).await?;
    let view = client.weight(&id, args.weight, args.reason).await;
    let view = view.map_err(|error| in_doubt(&id, error))?;
    let verb = format!("weight {}", args.weight);
    output.answer(&view, |look| deployment::ordered(look, &verb, &view))?;
    Ok(())
}

async fn freeze(client: &Client, args: FreezeArgs, output: &mut Output<'_>) -> Result<(), Failure> {
    let body = FreezeBody {
        reason: args.reason,
        until: args.until,
    };
    let view = client.freeze(named(&args.target), &body).await?;
    output.answer(&view, |_| deployment::freeze(&view))?;
    Ok(())
}

async fn thaw(client: &Client, target: &Frozen, output: &mut Output<'_>) -> Result<(), Failure> {
    let view = client.thaw(named(target)).await?;
    output.answer(&view, |_| deployment::freeze(&view))?;
    Ok(())
}

fn named(target: &Frozen) -> &str {
    target.endpoint.as_deref().unwrap_or(EVERY_ENDPOINT)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn late() -> ClientError {
        ClientError::Late {
            api: "https://api".to_owned(),
            limit: Duration::from_secs(30),
        }
    }

    fn not_sent() -> ClientError {
        ClientError::NotStarted {
            api: "http://127.0.0.1:1".to_owned(),
        }
    }

    #[test]
    fn a_lost_answer_says_where_to_look() {
        let failure = in_doubt("0193", late());
        assert_eq!(failure.exit(), Exit::Error);
        let text = failure.complaint().json();
        assert!(
            text.contains("canary get 0193") && text.contains(":api-late"),
            "{text}"
        );
        assert!(matches!(in_doubt("0193", not_sent()), Failure::Client(_)));
    }

    #[test]
    fn what_the_gate_refuses_has_a_code_of_its_own() {
        let refused = |kind| {
            let problem = shared::wire::problem::Problem::new(422, kind, "no");
            Failure::Client(ClientError::Problem(Box::new(problem))).exit()
        };
        assert_eq!(refused(REJECTED_BY_GATE), Exit::Rejected);
        assert_eq!(refused("gate-results-missing"), Exit::Error);
        assert_eq!(Exit::Rejected as u8, 6);
    }

    #[test]
    fn a_lost_start_says_how_to_repeat_it() {
        let key = http::HeaderValue::from_static("build-17");
        let text = specification::unstarted(&key, late()).complaint().json();
        assert!(text.contains("--idempotency-key build-17"), "{text}");
        assert!(matches!(
            specification::unstarted(&key, not_sent()),
            Failure::Client(_)
        ));
    }
}
