//! The binary as a process of its own, and what the kernel says of it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Outcome, RuntimeApi};
use tokio::process::{Child, Command};

use crate::World;

/// The clock ticks of a second in `/proc`: 100 wherever Linux runs.
const TICKS_A_SECOND: u64 = 100;

/// A running `monitor`.
pub struct Process {
    api: RuntimeApi,
    child: Child,
    ticks: u32,
}

impl Process {
    /// Starts the binary over the account at this address.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(binary: &Path, world: &World, account: SocketAddr) -> Self {
        let api = RuntimeApi::start().await.expect("a free port");
        let config = world.stack.aws.config();
        let child = Command::new(binary)
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", api.address().as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "monitor"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_ENDPOINT_URL", format!("http://{account}").as_str()),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "loopback-only"),
                ("CANARY_STACK", "canary"),
                ("CANARY_TABLE", config.table.as_str()),
                ("CANARY_TOPIC_ARN", config.topic.as_str()),
                ("CANARY_BUS", config.bus.as_str()),
                ("CANARY_FUNCTION_PROVISION", "canary-provision"),
                ("CANARY_FUNCTION_TRAFFIC_SHIFT", "canary-traffic-shift"),
                ("CANARY_FUNCTION_ROLLBACK", "canary-rollback"),
                ("RUST_LOG", "warn"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("a binary that was built");
        Self {
            api,
            child,
            ticks: 0,
        }
    }

    /// One tick, as the schedule asks for it.
    ///
    /// # Panics
    /// When a pass fails, or the process ends.
    pub async fn tick(&mut self) -> Value {
        self.ticks += 1;
        let event = json!({"source": "aws.scheduler"}).to_string();
        let id = format!("tick-{}", self.ticks);
        tokio::select! {
            outcome = self.api.invoke(&id, event) => match outcome {
                Some(Outcome::Answered(report)) => report,
                other => panic!("the tick failed: {other:?}"),
            },
            ended = self.child.wait() => panic!("the process ended: {ended:?}"),
        }
    }

    /// The most memory it has had, in bytes.
    ///
    /// # Panics
    /// Where there is no `/proc`.
    pub fn peak(&self) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        kilobytes
            .and_then(|text| text.parse::<u64>().ok())
            .expect("VmHWM in kB")
            * 1024
    }

    /// What it has used of processors.
    ///
    /// # Panics
    /// Where there is no `/proc`.
    pub fn cpu(&self) -> Duration {
        let stat = self.read("stat");
        // After the name in parentheses: the 12th and 13th of the fields are the two modes' ticks.
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let fields = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
    }

    fn read(&self, file: &str) -> String {
        let id = self.child.id().expect("it runs");
        std::fs::read_to_string(format!("/proc/{id}/{file}")).expect("Linux tells")
    }
}
