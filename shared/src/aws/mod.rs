//! The SDK behind the ports: calls, their translation into our own types, and the sorting of their
//! errors. No policy.

mod account;
#[cfg(feature = "sagemaker")]
mod autoscaling;
#[cfg(feature = "sagemaker")]
mod cloudwatch;
#[cfg(feature = "sagemaker")]
pub mod config_copy;
mod dynamodb;
mod error;
pub mod figures;
#[cfg(feature = "sagemaker")]
mod functions;
#[cfg(feature = "sagemaker")]
pub mod loopback;
#[cfg(feature = "sagemaker")]
mod notifier;
#[cfg(feature = "sagemaker")]
mod registry;
#[cfg(feature = "runtime")]
pub mod runtime;
#[cfg(feature = "sagemaker")]
mod sagemaker;
#[cfg(feature = "runtime")]
mod tagging;
#[cfg(feature = "sagemaker")]
mod tags;
mod trust;

pub use error::class_of;
#[cfg(feature = "runtime")]
pub use tagging::Tagging;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use jiff::Timestamp;

use crate::app::ports::Ambient;
use crate::config::{Account, AccountError, Config};
use crate::domain::audience::Audience;
use crate::domain::authority::Settings;
use crate::domain::quantity::Span;

/// One attempt of a call that has no limit of its own.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same call with all its attempts and the waits between them.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// Where the time comes from.
pub type TimeSource = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clients, made once at the start of a function.
#[derive(Clone)]
pub struct Aws {
    config: Arc<Config>,
    time: TimeSource,
    dynamodb: aws_sdk_dynamodb::Client,
    #[cfg(feature = "sagemaker")]
    control: ControlPlane,
    /// Where the control plane's own figures go; nowhere outside Lambda, unless asked for.
    figures: Option<figures::Sink>,
    #[cfg(feature = "runtime")]
    runtime: aws_sdk_sagemakerruntime::Client,
    #[cfg(feature = "runtime")]
    tagging: aws_sdk_resourcegroupstagging::Client,
}

/// What `inference` does without.
#[cfg(feature = "sagemaker")]
#[derive(Clone)]
struct ControlPlane {
    sagemaker: aws_sdk_sagemaker::Client,
    /// For what is called under a lease: one call, no retry, a bounded time.
    sagemaker_once: aws_sdk_sagemaker::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    autoscaling: aws_sdk_applicationautoscaling::Client,
    /// The same.
    autoscaling_once: aws_sdk_applicationautoscaling::Client,
    sns: aws_sdk_sns::Client,
    events: aws_sdk_eventbridge::Client,
    lambda: aws_sdk_lambda::Client,
}

impl Aws {
    /// The clients of the account that the environment names.
    pub fn connect(mut config: Config) -> Result<Self, AccountError> {
        let account = Account::from_env()?;
        let time = match &account.clock {
            None => account::wall_clock(),
            Some(file) => {
                // A clock that stands still until somebody moves it: to wait for it would be for ever.
                config.waits = false;
                account::clock_in(file)?
            }
        };
        let aws = Self::new(config, &account::sdk_config(account), time);
        Ok(aws.with_figures(Arc::new(figures::to_the_log)))
    }

    /// The clients of this SDK configuration, with this clock.
    pub fn new(config: Config, sdk: &SdkConfig, time: TimeSource) -> Self {
        Self {
            time,
            dynamodb: aws_sdk_dynamodb::Client::new(sdk),
            #[cfg(feature = "sagemaker")]
            control: ControlPlane::new(&config, sdk),
            figures: None,
            #[cfg(feature = "runtime")]
            runtime: invoking(sdk),
            #[cfg(feature = "runtime")]
            tagging: aws_sdk_resourcegroupstagging::Client::new(sdk),
            config: Arc::new(config),
        }
    }

    /// The same clients, with the control plane's figures sent here.
    #[must_use]
    pub fn with_figures(self, sink: figures::Sink) -> Self {
        Self {
            figures: Some(sink),
            ..self
        }
    }

    /// The same clients under other parameters of access.
    #[must_use]
    pub fn with_access(self, access: Settings) -> Self {
        let mut config = (*self.config).clone();
        config.access = access;
        Self {
            config: Arc::new(config),
            ..self
        }
    }

    /// The same clients, with topics that audiences have to themselves.
    #[must_use]
    pub fn with_audiences(self, topics: BTreeMap<Audience, String>) -> Self {
        let mut config = (*self.config).clone();
        config.audiences = topics;
        Self {
            config: Arc::new(config),
            ..self
        }
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

#[cfg(feature = "sagemaker")]
impl ControlPlane {
    fn new(config: &Config, sdk: &SdkConfig) -> Self {
        use aws_sdk_sagemaker::config::retry::RetryConfig;
        let timeout = TimeoutConfig::builder()
            .operation_timeout(config.call_timeout)
            .build();
        let once = aws_sdk_sagemaker::config::Builder::from(sdk)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeout.clone())
            .build();
        let scaling_once = aws_sdk_applicationautoscaling::config::Builder::from(sdk)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeout)
            .build();
        Self {
            sagemaker: aws_sdk_sagemaker::Client::new(sdk),
            sagemaker_once: aws_sdk_sagemaker::Client::from_conf(once),
            cloudwatch: aws_sdk_cloudwatch::Client::new(sdk),
            autoscaling: aws_sdk_applicationautoscaling::Client::new(sdk),
            autoscaling_once: aws_sdk_applicationautoscaling::Client::from_conf(scaling_once),
            sns: aws_sdk_sns::Client::new(sdk),
            events: aws_sdk_eventbridge::Client::new(sdk),
            lambda: aws_sdk_lambda::Client::new(sdk),
        }
    }
}

/// No call may outlast the function that makes it: without these the SDK waits for ever on a
/// connection that stays open and silent.
fn bounded() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

/// A prediction is not repeated, and takes as long as whoever asks for it can wait.
#[cfg(feature = "runtime")]
fn invoking(sdk: &SdkConfig) -> aws_sdk_sagemakerruntime::Client {
    use aws_sdk_sagemakerruntime::config::Builder;
    use aws_sdk_sagemakerruntime::config::retry::RetryConfig;
    let once = Builder::from(sdk)
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .disable_operation_attempt_timeout()
                .disable_operation_timeout()
                .build(),
        )
        .build();
    aws_sdk_sagemakerruntime::Client::from_conf(once)
}

impl Ambient for Aws {
    fn now(&self) -> Timestamp {
        (self.time)()
    }

    fn new_id(&self) -> String {
        // Milliseconds of our own clock, then 74 random bits.
        let milliseconds = u64::try_from(self.now().as_millisecond()).unwrap_or(0);
        let time = uuid::Timestamp::from_unix(
            uuid::NoContext,
            milliseconds / 1000,
            u32::try_from(milliseconds % 1000).unwrap_or(0) * 1_000_000,
        );
        uuid::Uuid::new_v7(time).to_string()
    }

    fn call_timeout(&self) -> Duration {
        self.config.call_timeout
    }

    fn lease(&self) -> Span {
        self.config.lease()
    }

    fn landing(&self) -> Span {
        self.config.landing()
    }

    async fn pause(&self, wait: Duration) {
        if self.config.waits {
            tokio::time::sleep(jittered(wait).div_f64(self.config.speed)).await;
        }
    }

    async fn within<T: Send>(
        &self,
        limit: Duration,
        work: impl Future<Output = T> + Send,
    ) -> Option<T> {
        tokio::time::timeout(limit, work).await.ok()
    }
}

/// Half of the wait at the least: functions that were refused together don't come back together.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the whole wait is as good.
    let part = getrandom::fill(&mut byte).map_or(1.0, |()| f64::from(byte[0]) / 255.0);
    wait.mul_f64(0.5 + part / 2.0)
}
