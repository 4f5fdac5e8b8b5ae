//! The control plane on a simulated AWS, in one process: what `canary local`, `canary demo` and
//! the tests run. The functions, the adapters and the SDK are the ones that are deployed; only the
//! account behind them is simulated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use monitor::Report;
use serde_json::Value;
use shared::app::ports::PortError;
use shared::aws::{Aws, TimeSource};
use shared::config::{Config, FunctionNames};
use shared::domain::audience::Audience;
use shared::domain::authority::{Caller, Settings};
use shared::wire::events::Wake;
use simulator::clock::Clock;
use simulator::{Function, Simulator};

/// The topic of the simulated stack.
pub const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:canary";
/// The time an invocation has on Lambda.
const INVOCATION: Duration = Duration::from_mins(1);

/// A stack on the simulator.
#[derive(Clone)]
pub struct Stack {
    /// The simulated account.
    pub simulator: Arc<Simulator>,
    /// The adapters, as the functions hold them.
    pub aws: Aws,
}

impl Stack {
    /// Makes the table and puts the functions where async invokes find them.
    pub async fn new(simulator: Arc<Simulator>) -> Result<Self, PortError> {
        let clock = simulator.clock().clone();
        let time: TimeSource = Arc::new(move || clock.now());
        let aws = Aws::on_loopback(config(simulator.clock()), simulator.http_client(), time);
        // On AWS CloudWatch makes metrics of the functions' logs.
        let account = simulator.clone();
        let sink = Arc::new(move |line: &Value| account.cloudwatch().take_in_line(line));
        Self::with(simulator, aws.with_figures(sink)).await
    }

    /// The same over adapters of the caller's making, parts of whose account may be elsewhere. The
    /// functions go by the names that [`Stack::new`] gives them.
    pub async fn with(simulator: Arc<Simulator>, aws: Aws) -> Result<Self, PortError> {
        aws.create_table().await?;
        let stack = Self { simulator, aws };
        stack.register("canary-provision", |aws, wake| async move {
            deploy::provision(&aws, wake, INVOCATION).await
        });
        stack.register("canary-traffic-shift", |aws, wake| async move {
            traffic_shift::handle(&aws, wake, INVOCATION).await
        });
        stack.register("canary-rollback", |aws, wake| async move {
            rollback::handle(&aws, wake, INVOCATION).await
        });
        Ok(stack)
    }

    fn register<F, R, T>(&self, name: &str, run: F)
    where
        F: Fn(Aws, Wake) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<T, PortError>> + Send + 'static,
        T: serde::Serialize + 'static,
    {
        let aws = self.aws.clone();
        let function: Function = Arc::new(move |event| {
            let (aws, run) = (aws.clone(), run.clone());
            Box::pin(async move {
                let wake: Wake =
                    serde_json::from_value(event).map_err(|error| error.to_string())?;
                let done = run(aws, wake).await.map_err(|error| error.to_string())?;
                serde_json::to_value(done).map_err(|error| error.to_string())
            })
        });
        self.simulator.register_function(name, function);
    }

    /// What the schedule does every minute.
    pub async fn tick(&self) -> Result<Report, PortError> {
        self.wake_monitor(&Value::Null).await
    }

    /// What an event that names an endpoint or an alarm does.
    pub async fn wake_monitor(&self, event: &Value) -> Result<Report, PortError> {
        monitor::handle(&self.aws, event, TICK_TIME).await
    }

    /// The API and inference, as one router, for requests from this machine. There is no IAM before
    /// it: whoever gets here is one caller, who may do everything.
    pub fn router(&self) -> Router {
        self.guarded_router().layer(axum::Extension(Caller::Local))
    }

    /// The same as it is deployed: each request needs an identity from API Gateway, and is held
    /// against the endpoint's tags.
    pub fn guarded_router(&self) -> Router {
        deploy::router(self.aws.clone()).merge(inference::router(self.aws.clone()))
    }

    /// The same stack with other parameters of access.
    #[must_use]
    pub fn with_access(self, access: Settings) -> Self {
        let aws = self.aws.with_access(access);
        Self { aws, ..self }
    }

    /// The same stack, with topics that audiences have to themselves.
    #[must_use]
    pub fn with_audiences(self, topics: BTreeMap<Audience, String>) -> Self {
        let aws = self.aws.with_audiences(topics);
        Self { aws, ..self }
    }
}

/// What the template gives `monitor`.
const TICK_TIME: Duration = Duration::from_secs(55);

fn config(clock: &Clock) -> Config {
    Config {
        stack: "canary".to_owned(),
        table: "canary".to_owned(),
        topic: TOPIC.to_owned(),
        audiences: BTreeMap::new(),
        bus: "default".to_owned(),
        functions: FunctionNames {
            provision: "canary-provision".to_owned(),
            traffic_shift: "canary-traffic-shift".to_owned(),
            rollback: "canary-rollback".to_owned(),
        },
        access: Settings::open(TOPIC).expect("the ARN of a topic"),
        call_timeout: Config::CALL_TIMEOUT,
        speed: if clock.is_manual() {
            1.0
        } else {
            clock.speed()
        },
        waits: !clock.is_manual(),
    }
}
