//! `invoke-endpoint`, from outside: the process that asks SageMaker and does nothing else.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tests::ENDPOINT;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::measure::Environment;
use crate::subject::FEATURES;

/// A running one.
pub(crate) struct Direct {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Direct {
    /// Starts it over the account of this environment.
    pub(crate) fn start(program: &Path, environment: &Environment) -> Self {
        let url = environment
            .iter()
            .find(|(name, _)| name == "AWS_ENDPOINT_URL");
        let (_, url) = url.expect("an account on a socket");
        // As `inference` hands the same features on.
        let body = json!({"instances": [FEATURES]}).to_string();
        let mut child = Command::new(program)
            .args([url, ENDPOINT, &body])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let stdout = child.stdout.take().expect("it was piped");
        Self {
            questions: child.stdin.take().expect("it was piped"),
            answers: BufReader::new(stdout).lines(),
            child,
        }
    }

    /// One InvokeEndpoint.
    pub(crate) async fn one(&mut self) -> Duration {
        let asked = self.questions.write_all(b"\n").await;
        asked.expect("it reads until it ends");
        let line = self.answers.next_line().await.expect("text");
        let nanoseconds = line.and_then(|line| line.parse().ok());
        Duration::from_nanos(nanoseconds.expect("InvokeEndpoint is answered"))
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) {
        self.child.kill().await.expect("a child of ours");
    }
}
