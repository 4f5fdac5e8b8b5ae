//! AWS on loopback: the services a canary deployment touches, behind their own wire protocols, on one virtual clock.
//!
//! The unmodified SDK, boto3 and the AWS CLI talk to it, so the code under test is the code that ships. There are
//! two ways in: a socket ([`Simulator::serve`]) and a transport inside the process
//! ([`Simulator::http_client`]) that makes thousands of runs cheap. Both end in [`Simulator::handle`], where
//! faults strike and calls are recorded.
//!
//! Time is the clock's. With a manual clock nothing happens unless [`Simulator::advance`] is called, and the same
//! seed and the same calls give the same run; with a running clock the present is caught up with at every call.
//! Two things stay real: the latency of model servers, and DynamoDB's ten-minute request tokens.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use jiff::SignedDuration;

pub mod autoscaling;
pub mod clock;
pub mod cloudwatch;
mod direct;
mod dynamodb;
mod eventbridge;
mod faults;
mod lambda;
mod loopback;
pub mod malformed;
mod router;
mod runtime_api;
pub mod sagemaker;
mod sns;
mod sts;
mod tagging;
mod transport;
mod wire;

pub use clock::Clock;
pub use direct::Refusal;
pub use eventbridge::PutEvent;
pub use faults::{Call, Fault, FaultKind, service};
pub use lambda::{DroppedEvent, Function, FunctionFuture};
pub use loopback::is_from_loopback;
pub use runtime_api::{Outcome, RuntimeApi};
pub use sagemaker::{Backend, Distribution, Disturbance};
pub use sns::Published;
pub use wire::{ACCOUNT, REGION};

/// The longest stretch of time [`Simulator::advance`] moves the clock by at once.
const STEP: SignedDuration = SignedDuration::from_secs(10);

/// How a simulator is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seeds every draw: traffic splits, latencies, errors, ids.
    pub seed: u64,
    /// The clock everything goes by.
    pub clock: Clock,
    /// How long things take.
    pub timings: Timings,
    /// The file that keeps DynamoDB's tables; `None` keeps them in memory.
    pub state: Option<PathBuf>,
}

/// How long things take, in virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// CreateEndpoint, until InService.
    pub create: SignedDuration,
    /// UpdateEndpoint.
    pub update_endpoint: SignedDuration,
    /// A change of weights.
    pub weights: SignedDuration,
    /// A change of an instance count.
    pub capacity: SignedDuration,
    /// How long after a minute's end its metrics can be read.
    pub metric_delay: SignedDuration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            create: SignedDuration::from_secs(60),
            update_endpoint: SignedDuration::from_secs(180),
            weights: SignedDuration::from_secs(15),
            capacity: SignedDuration::from_secs(90),
            metric_delay: SignedDuration::from_secs(20),
        }
    }
}

/// Why a simulator could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The DynamoDB engine did not start.
    #[error("the embedded DynamoDB could not be opened")]
    DynamoDb(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A simulated AWS account in one region.
pub struct Simulator {
    clock: Clock,
    ids: wire::Ids,
    faults: faults::Faults,
    sagemaker: sagemaker::SageMaker,
    autoscaling: autoscaling::AutoScaling,
    cloudwatch: cloudwatch::CloudWatch,
    dynamodb: dynamodb::DynamoDb,
    sns: sns::Sns,
    eventbridge: eventbridge::EventBridge,
    lambda: lambda::Lambda,
}

/// The connection broke: the caller gets no answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed before the answer arrived")]
pub(crate) struct Lost;

impl Simulator {
    /// An empty account.
    pub fn new(options: Options) -> Result<Arc<Simulator>, SimulatorError> {
        let Options {
            seed,
            clock,
            timings,
            state,
        } = options;
        let dynamodb = dynamodb::DynamoDb::open(&clock, state)
            .map_err(|error| SimulatorError::DynamoDb(Box::new(error)))?;
        let cloudwatch = cloudwatch::CloudWatch::new();
        cloudwatch.set_delay(timings.metric_delay);
        Ok(Arc::new(Simulator {
            ids: wire::Ids::new(seed),
            faults: faults::Faults::default(),
            sagemaker: sagemaker::SageMaker::new(seed, clock.now(), timings),
            autoscaling: autoscaling::AutoScaling::default(),
            cloudwatch,
            dynamodb,
            sns: sns::Sns::default(),
            eventbridge: eventbridge::EventBridge::default(),
            lambda: lambda::Lambda::new(clock.clone()),
            clock,
        }))
    }

    /// The clock of this account.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// SageMaker, for the switches tests turn.
    pub fn sagemaker(&self) -> &sagemaker::SageMaker {
        &self.sagemaker
    }

    /// CloudWatch, for the switches tests turn.
    pub fn cloudwatch(&self) -> &cloudwatch::CloudWatch {
        &self.cloudwatch
    }

    /// Application Auto Scaling, to read what is registered.
    pub fn autoscaling(&self) -> &autoscaling::AutoScaling {
        &self.autoscaling
    }

    /// Answers a request to any service. A call whose answer is lost gets a 503 here, where there is no
    /// connection to break.
    pub async fn handle(self: &Arc<Self>, request: Request<Bytes>) -> Response<Bytes> {
        match router::answer(self, request).await {
            Ok(response) => response,
            Err(lost) => wire::AwsError::new(503, "ConnectionLost", lost.to_string())
                .response(wire::Protocol::Json, &self.ids.next()),
        }
    }

    /// Sets what serves a model whose image is no loopback URL. Without this, `Distribution::default()` does.
    pub fn set_backend(&self, model: &str, backend: Backend) {
        self.sagemaker.set_backend(model, backend);
    }

    /// Sets the bulk traffic of an endpoint. Only variants served by a distribution get any of it.
    pub fn set_traffic(&self, endpoint: &str, requests_per_minute: f64) {
        self.catch_up();
        self.sagemaker.set_traffic(endpoint, requests_per_minute);
    }

    /// Moves the clock forward, in steps, and lets everything happen that falls into the time.
    pub async fn advance(self: &Arc<Self>, by: SignedDuration) {
        let mut left = by;
        while left > SignedDuration::ZERO {
            let step = left.min(STEP);
            self.clock.advance(step);
            self.catch_up();
            left -= step;
            // Whoever sleeps on the clock gets a turn at every step.
            tokio::task::yield_now().await;
        }
    }

    /// Lets everything happen that was due until now.
    pub(crate) fn catch_up(&self) {
        let now = self.clock.now();
        self.sagemaker
            .catch_up(now, &self.autoscaling, &self.cloudwatch);
        self.dynamodb.catch_up(now);
    }

    /// Makes a function known to Lambda.
    pub fn register_function(&self, name: &str, function: Function) {
        self.lambda.register(name, function);
    }

    /// Runs the asynchronous invokes that are due, and those they cause, until none is. A failed one is due again
    /// a virtual minute later.
    pub async fn run_functions(self: &Arc<Self>) {
        self.lambda.run_due().await;
    }

    /// From now on asynchronous invokes run at once, in tasks of their own, instead of being queued.
    pub fn start_workers(self: &Arc<Self>) {
        self.lambda.start_spawning();
    }

    /// Asynchronous invokes that failed in every attempt.
    pub fn dropped_events(&self) -> Vec<DroppedEvent> {
        self.lambda.dropped()
    }

    /// What was published to SNS, oldest first.
    pub fn published(&self) -> Vec<Published> {
        self.sns.published()
    }

    /// Deletes a topic: what is published on it from now on is refused.
    pub fn delete_topic(&self, arn: &str) {
        self.sns.delete(arn);
    }

    /// What was put on EventBridge, oldest first.
    pub fn events(&self) -> Vec<PutEvent> {
        self.eventbridge.events()
    }

    /// The latest calls of any service, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.faults.calls()
    }

    /// Disturbs calls to come.
    pub fn inject(&self, fault: Fault) {
        self.faults.inject(fault);
    }

    /// The calls that are still to be disturbed.
    pub fn faults(&self) -> Vec<Fault> {
        self.faults.pending()
    }

    /// Lets a model misbehave, whatever serves it, in place of what was said of it before; whether there is such
    /// a model.
    #[must_use]
    pub fn disturb(&self, model: &str, disturbance: Disturbance) -> bool {
        self.sagemaker.disturb(model, disturbance)
    }

    /// The models that misbehave now.
    pub fn disturbances(&self) -> Vec<(String, Disturbance)> {
        self.sagemaker.disturbances(self.clock.now())
    }

    /// Lets every model and every call do as it should.
    pub fn undisturb(&self) {
        self.sagemaker.undisturb();
        self.faults.clear();
    }
}
