//! One execution environment: a process under a Runtime API of its own, and what it prints.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use simulator::{Outcome, RuntimeApi};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::PATIENCE;

/// A line that a function printed.
#[derive(Clone, Debug)]
pub struct Line {
    /// The function.
    pub function: &'static str,
    /// Whether it came on standard output, where CloudWatch looks for figures.
    pub is_stdout: bool,
    /// The line.
    pub text: String,
}

/// Everything that was printed, by whichever process.
pub(super) type Log = Arc<Mutex<Vec<Line>>>;

/// A running function.
pub(super) struct Process {
    api: RuntimeApi,
    child: Child,
    invocations: u32,
    readers: JoinSet<()>,
}

impl Process {
    /// Starts a binary with this environment and no other.
    pub(super) async fn start(
        function: &'static str,
        program: &Path,
        environment: &[(String, String)],
        log: &Log,
    ) -> Self {
        let api = RuntimeApi::start().await.expect("a free port");
        let mut child = Command::new(program)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", function)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a binary that was built");
        let mut readers = JoinSet::new();
        let stdout = child.stdout.take().expect("it was piped");
        let stderr = child.stderr.take().expect("it was piped");
        readers.spawn(read(function, true, stdout, Arc::clone(log)));
        readers.spawn(read(function, false, stderr, Arc::clone(log)));
        Self {
            api,
            child,
            invocations: 0,
            readers,
        }
    }

    /// What becomes of an event, whatever its bytes, or how the process ended instead.
    ///
    /// # Panics
    /// When neither comes.
    pub(super) async fn invoke(&mut self, event: Vec<u8>) -> Result<Outcome, ExitStatus> {
        self.invocations += 1;
        let id = format!("8476a536-e9f4-11e8-9739-{:012x}", self.invocations);
        tokio::select! {
            outcome = self.api.invoke(&id, event) => Ok(outcome.expect("the Runtime API runs")),
            ended = self.child.wait() => Err(ended.expect("a child of ours")),
            () = tokio::time::sleep(PATIENCE) => panic!("no answer to {id}"),
        }
    }

    /// Whether the process is still there to take an event.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as a machine that loses its power does.
    pub(super) async fn kill(&mut self) {
        self.child.kill().await.expect("a child of ours");
        self.drain().await;
    }

    /// Asks it to end, as Lambda does before it takes an environment away.
    pub(super) async fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().expect("a running child").to_string();
        // A builtin of every shell; the program of the same name is not on every machine.
        let asked = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &pid])
            .status();
        assert!(asked.await.expect("a shell").success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        self.drain().await;
        ended.expect("it ends").expect("a child of ours")
    }

    /// What a process wrote before it ended is read to the end.
    async fn drain(&mut self) {
        while self.readers.join_next().await.is_some() {}
    }
}

async fn read(function: &'static str, is_stdout: bool, from: impl AsyncRead + Unpin, log: Log) {
    let mut lines = BufReader::new(from).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Line {
                function,
                is_stdout,
                text: String::from_utf8_lossy(&line).into_owned(),
            });
    }
}
