//! A function's binary as Lambda runs it: a process with an environment, events from a Runtime API,
//! and a simulated account behind the SDK.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Outcome, RuntimeApi};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::World;

/// Far more than an answer takes, so that a slow machine is no failure.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running function.
pub struct Binary {
    api: RuntimeApi,
    process: Child,
    invocations: u32,
    /// Ends with this value.
    _account: JoinSet<()>,
}

impl Binary {
    /// Starts a binary over the account of this world.
    pub async fn start(path: &str, world: &World, more: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let account = listener.local_addr().expect("a bound socket");
        let mut server = JoinSet::new();
        let simulator = world.stack.simulator.clone();
        server.spawn(simulator.serve(listener, std::future::pending()));
        let api = RuntimeApi::start().await.expect("a free port");
        let config = world.stack.aws.config();
        let process = Command::new(path)
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", api.address().as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "under-test"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_ENDPOINT_URL", format!("http://{account}").as_str()),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "loopback-only"),
                ("CANARY_STACK", "canary"),
                ("CANARY_TABLE", config.table.as_str()),
                ("CANARY_TOPIC_ARN", config.topic.as_str()),
                ("CANARY_BUS", config.bus.as_str()),
                ("CANARY_FUNCTION_PROVISION", "canary-provision"),
                ("CANARY_FUNCTION_TRAFFIC_SHIFT", "canary-traffic-shift"),
                ("CANARY_FUNCTION_ROLLBACK", "canary-rollback"),
            ])
            .envs(more.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("a binary that was built");
        Self {
            api,
            process,
            invocations: 0,
            _account: server,
        }
    }

    /// What becomes of an event, whatever its bytes.
    ///
    /// # Panics
    /// When the process ends instead.
    pub async fn invoke(&mut self, event: impl Into<Vec<u8>>) -> Outcome {
        self.invocations += 1;
        let id = format!("invocation-{}", self.invocations);
        tokio::select! {
            outcome = self.api.invoke(&id, event.into()) => outcome.expect("the Runtime API runs"),
            ended = self.process.wait() => panic!("the process ended: {ended:?}"),
            () = tokio::time::sleep(PATIENCE) => panic!("no answer to {id}"),
        }
    }

    /// The answer to an event that must be taken.
    ///
    /// # Panics
    /// When it fails.
    pub async fn answer(&mut self, event: &Value) -> Value {
        match self.invoke(event.to_string()).await {
            Outcome::Answered(answer) => answer,
            failed @ Outcome::Failed { .. } => panic!("{event}: {failed:?}"),
        }
    }

    /// Every malformed wake fails in words that name what is wrong, so that it ends in the failure
    /// queue; the next good one is carried out all the same.
    ///
    /// # Panics
    /// When one is not.
    pub async fn assert_refuses_malformed_wakes(&mut self, good: &Value) {
        let unknown = "019c0000-0000-7000-8000-00000000dead";
        let long = format!("\"{}\"", "x".repeat(900_000));
        for (event, named) in [
            (String::new(), "EOF"),
            ("null".to_owned(), "null"),
            ("[]".to_owned(), "struct Wake"),
            ("{".to_owned(), "EOF"),
            ("7".to_owned(), "integer `7`"),
            ("{}".to_owned(), "deployment_id"),
            (json!({"deployment_id": "x"}).to_string(), "version"),
            (
                json!({"deployment_id": 7, "version": 1}).to_string(),
                "deployment_id",
            ),
            (
                json!({"deployment_id": "x", "version": -1}).to_string(),
                "version",
            ),
            (
                json!({"deployment_id": "x", "version": 1, "force": true}).to_string(),
                "force",
            ),
            (
                json!({"deployment_id": unknown, "version": 1}).to_string(),
                unknown,
            ),
            (long, "string"),
        ] {
            let shown = &event[..event.len().min(80)];
            let Outcome::Failed { message, kind } = self.invoke(event.as_str()).await else {
                panic!("{shown} was taken");
            };
            assert!(
                message.contains(named),
                "{named} in {shown}: {kind}: {message:.300}"
            );
            self.answer(good).await;
        }
    }
}
