//! Model servers as processes of their own.
//!
//! The `canary` binary runs itself again with a hidden subcommand. The child
//! says on its standard output where it listens, one JSON line, and ends when
//! its standard input does: the parent holds the other end of that pipe, so
//! however the parent dies, killed included, no server outlives it. The child
//! inherits no environment at all, hence no AWS profile and no credentials,
//! and stands in a process group of its own: Ctrl-C reaches the parent alone,
//! which stops in its own order.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum as _;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::recipe::Recipe;
use super::server::{self, Behaviour};
use super::train::{ModelName, SEED, TrainError, Trained};
use super::wine::Wines;

/// The name of the hidden subcommand.
pub(crate) const SUBCOMMAND: &str = "model-server";

/// Training takes two seconds, six for three times the trees; a machine that compiles at the same time gets
/// many times that before a start counts as failed.
const START_LIMIT: Duration = Duration::from_mins(1);

/// Between two looks at a server that does not answer yet.
const PING_INTERVAL: Duration = Duration::from_millis(20);

/// What the hidden subcommand takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ModelServerArgs {
    /// Which model to serve: wine-quality-v1 or wine-quality-v2.
    #[arg(long)]
    model: ModelName,
    /// How it is made.
    #[arg(long, value_enum, default_value_t)]
    recipe: Recipe,
    /// Answer 500 for wines stronger than this, percent by volume.
    #[arg(long, value_name = "PERCENT", value_parser = finite)]
    fail_above_alcohol: Option<f64>,
    /// Wait this long before each answer.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    delay_ms: u64,
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("{text:?} is not a finite number")),
    }
}

/// Why a model server ended otherwise than by its input's end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// There is no model to serve.
    #[error("cannot train {model}")]
    Train {
        /// The model that was asked for.
        model: ModelName,
        /// What went wrong.
        source: TrainError,
    },
    /// No port, no way to say which, or a broken listener.
    #[error("cannot serve on loopback")]
    Serve(#[source] std::io::Error),
}

/// The line by which a child says that it is up.
#[derive(Debug, Serialize, Deserialize)]
struct Announcement {
    listening: SocketAddr,
}

/// Runs a model server until standard input ends: the hidden subcommand.
pub(crate) async fn run_server(args: ModelServerArgs) -> Result<(), ServerError> {
    let model = args.model;
    let trained = Trained::train(model, args.recipe, &Wines::load(SEED), SEED)
        .map_err(|source| ServerError::Train { model, source })?;
    let behaviour = Behaviour {
        recipe: args.recipe,
        fail_above_alcohol: args.fail_above_alcohol,
        delay: Duration::from_millis(args.delay_ms),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(ServerError::Serve)?;
    announce(&listener).map_err(ServerError::Serve)?;
    let serving = server::serve(listener, server::router(trained, behaviour));
    // Not a graceful stop: with the parent gone nobody waits for an answer.
    tokio::select! {
        ended = serving => ended.map_err(ServerError::Serve),
        _ = end_of_input() => Ok(()),
    }
}

fn announce(listener: &TcpListener) -> std::io::Result<()> {
    let listening = listener.local_addr()?;
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, &Announcement { listening })?;
    output.write_all(b"\n")?;
    output.flush()
}

/// Resolves when standard input is closed. A thread of its own reads it: the
/// runtime would wait for one of its own blocking reads before it ends.
fn end_of_input() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut ignored), Ok(1..)) {}
        // A failure to tell means that the server has ended already.
        let _ = ended.send(());
    });
    end
}

/// Why there is no running model server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// The binary cannot be started.
    #[error("cannot start {exe}")]
    Start {
        /// The binary.
        exe: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ended before it listened.
    #[error("the server of {model} ended before it listened ({status})")]
    Ended {
        /// The model it was to serve.
        model: ModelName,
        /// How it ended.
        status: ExitStatus,
    },
    /// Its first line is not the announcement.
    #[error("the server of {model} announced itself with {line:?}")]
    Announcement {
        /// The model it was to serve.
        model: ModelName,
        /// The line.
        line: String,
        /// Why it cannot be read.
        source: serde_json::Error,
    },
    /// It did not listen, or did not answer a ping, in time.
    #[error("the server of {model} was not up within {} s", START_LIMIT.as_secs())]
    Late {
        /// The model it was to serve.
        model: ModelName,
    },
    /// Reading from it, waiting for it or killing it failed.
    #[error("lost hold of the server of {model}")]
    Lost {
        /// The model it served.
        model: ModelName,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running model server. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct ModelProcess {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub(crate) url: String,
    model: ModelName,
    // Holds the child's standard input open; see the module's opening.
    child: Child,
}

impl ModelProcess {
    /// Starts `exe`, the `canary` binary, as the server of `model` and returns
    /// when it answers pings.
    pub(crate) async fn spawn(
        exe: &Path,
        model: ModelName,
        behaviour: &Behaviour,
    ) -> Result<ModelProcess, ProcessError> {
        let mut child =
            command(exe, model, behaviour)
                .spawn()
                .map_err(|source| ProcessError::Start {
                    exe: exe.to_owned(),
                    source,
                })?;
        let up = async {
            let listening = announced(&mut child, model).await?;
            let url = format!("http://{listening}");
            answering(&mut child, model, &url).await?;
            Ok(url)
        };
        let url = tokio::time::timeout(START_LIMIT, up)
            .await
            .map_err(|_| ProcessError::Late { model })??;
        Ok(ModelProcess { url, model, child })
    }

    /// The process id, until the process was killed.
    #[allow(dead_code, reason = "the tests of the servers look at their processes")]
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills the process as a crash would, without warning, and returns when
    /// its port is closed.
    pub(crate) async fn kill(&mut self) -> Result<(), ProcessError> {
        let model = self.model;
        self.child
            .kill()
            .await
            .map_err(|source| ProcessError::Lost { model, source })
    }
}

fn command(exe: &Path, model: ModelName, behaviour: &Behaviour) -> Command {
    let mut command = Command::new(exe);
    command
        .arg(SUBCOMMAND)
        .arg(format!("--model={model}"))
        .arg(format!("--recipe={}", name_of(behaviour.recipe)))
        .arg(format!("--delay-ms={}", behaviour.delay.as_millis()));
    if let Some(limit) = behaviour.fail_above_alcohol {
        command.arg(format!("--fail-above-alcohol={limit}"));
    }
    command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    command
}

/// As the child reads it.
fn name_of(recipe: Recipe) -> String {
    let value = recipe.to_possible_value();
    let value = value.expect("no recipe is hidden from the command line");
    value.get_name().to_owned()
}

/// Where the child says that it listens.
async fn announced(child: &mut Child, model: ModelName) -> Result<SocketAddr, ProcessError> {
    let output = child
        .stdout
        .take()
        .expect("its output is piped, and read here only");
    let mut line = String::new();
    BufReader::new(output)
        .read_line(&mut line)
        .await
        .map_err(|source| ProcessError::Lost { model, source })?;
    if line.is_empty() {
        let ended = child.wait().await;
        let status = ended.map_err(|source| ProcessError::Lost { model, source })?;
        return Err(ProcessError::Ended { model, status });
    }
    let announcement: Announcement =
        serde_json::from_str(&line).map_err(|source| ProcessError::Announcement {
            model,
            line,
            source,
        })?;
    Ok(announcement.listening)
}

/// Returns at the first ping that is answered.
async fn answering(child: &mut Child, model: ModelName, url: &str) -> Result<(), ProcessError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let ping: hyper::Uri = format!("{url}/ping")
        .parse()
        .expect("a socket address and a path make a URL");
    loop {
        if let Ok(response) = client.get(ping.clone()).await
            && response.status().is_success()
        {
            return Ok(());
        }
        let ended = child.try_wait();
        if let Some(status) = ended.map_err(|source| ProcessError::Lost { model, source })? {
            return Err(ProcessError::Ended { model, status });
        }
        tokio::time::sleep(PING_INTERVAL).await;
    }
}
