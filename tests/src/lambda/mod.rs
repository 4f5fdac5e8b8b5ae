//! The functions as Lambda runs them: their own binaries in processes of their own, with events from a
//! Runtime API and a simulated account behind the SDK.
//!
//! [`Binary`] is one function that a test talks to; [`Fleet`] is the whole stack, in which the functions
//! wake each other through Lambda's own API; [`events`] are the events as AWS documents them.

mod binary;
pub mod events;
mod fleet;
mod process;

pub use binary::Binary;
pub use fleet::{Fleet, INVOKER, OPERATOR, built};
pub use process::Line;

use simulator::{REGION, Simulator};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::World;

/// Far more than an answer takes, so that a slow machine is no failure.
const PATIENCE: Duration = Duration::from_mins(1);

/// A simulated account on a socket, until this value is dropped.
pub struct Account {
    url: String,
    _server: JoinSet<()>,
}

impl Account {
    /// Serves every service of this account.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn serve(simulator: &Arc<Simulator>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let mut server = JoinSet::new();
        server.spawn(Arc::clone(simulator).serve(listener, std::future::pending()));
        Self {
            url: format!("http://{address}"),
            _server: server,
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// What the template and Lambda itself put into the environment of every function.
pub fn environment(world: &World, account: &Account) -> Vec<(String, String)> {
    let config = world.stack.aws.config();
    [
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/canary/under-test"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/03/02/[$LATEST]0"),
        ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "true"),
        ("AWS_ENDPOINT_URL", account.url.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "loopback-only"),
        ("CANARY_STACK", config.stack.as_str()),
        ("CANARY_TABLE", config.table.as_str()),
        ("CANARY_TOPIC_ARN", config.topic.as_str()),
        ("CANARY_BUS", config.bus.as_str()),
        ("CANARY_DEPLOYERS", OPERATOR),
        ("CANARY_INVOKERS", INVOKER),
        ("CANARY_FUNCTION_PROVISION", "canary-provision"),
        ("CANARY_FUNCTION_TRAFFIC_SHIFT", "canary-traffic-shift"),
        ("CANARY_FUNCTION_ROLLBACK", "canary-rollback"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}
