//! An account on one of the backends: the adapters under test, the SDK's own clients to prepare and to
//! look at what the adapters don't, and a clock.
//!
//! The simulator's account is a new one, on a clock that only the case moves. An emulator has one
//! account for everybody and goes by the wall clock, so names carry the second of the run and the
//! case's number.

use std::sync::Arc;

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use shared::aws::Aws;
use shared::aws::loopback::sdk_config;
use shared::config::{Config, FunctionNames};
use shared::domain::authority::Settings;
use simulator::clock::Clock;
use simulator::{Options, Simulator, Timings};

/// The topic of an account whose case sends nothing.
const NO_TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:canary";

/// What answers the SDK's calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backend {
    /// Ours.
    Simulator,
    /// moto's server, at this URL.
    Moto(String),
    /// ministack, at this URL.
    Ministack(String),
}

impl Backend {
    /// As the list of gaps names it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
            Self::Moto(_) => "moto",
            Self::Ministack(_) => "ministack",
        }
    }

    /// Where it listens, unless it is in this process.
    pub(crate) fn url(&self) -> Option<&str> {
        match self {
            Self::Simulator => None,
            Self::Moto(url) | Self::Ministack(url) => Some(url),
        }
    }
}

/// An account for one case.
pub(crate) struct Account {
    /// Where it is.
    pub(crate) backend: Backend,
    /// The adapters under test.
    pub(crate) aws: Aws,
    /// For clients of the case's own.
    pub(crate) sdk: SdkConfig,
    /// The time the adapters go by.
    pub(crate) clock: Clock,
    /// Only where the account is simulated.
    pub(crate) simulator: Option<Arc<Simulator>>,
    /// Ends every name.
    mark: String,
}

impl Account {
    /// An account on this backend, for a case that is about this service.
    pub(crate) async fn open(backend: &Backend, number: usize, service: &str) -> Self {
        let mark = format!("{}-{number}", wall_clock().as_second());
        let clock = clock_of(backend, service);
        let (sdk, simulator) = match backend {
            Backend::Simulator => {
                let simulator = simulated(&clock);
                (sdk_config(simulator.http_client()), Some(simulator))
            }
            Backend::Moto(url) | Backend::Ministack(url) => (over_sockets(url), None),
        };
        let topic = if service == "sns" {
            let created = aws_sdk_sns::Client::new(&sdk)
                .create_topic()
                .name(format!("canary-{mark}"))
                .send()
                .await;
            let created = created.expect("a new topic");
            created.topic_arn().expect("an ARN").to_owned()
        } else {
            NO_TOPIC.to_owned()
        };
        let time = clock.clone();
        let aws = Aws::new(config(&mark, topic), &sdk, Arc::new(move || time.now()));
        Self {
            backend: backend.clone(),
            aws,
            sdk,
            clock,
            simulator,
            mark,
        }
    }

    /// A name that no other case of this account uses.
    pub(crate) fn name(&self, of: &str) -> String {
        format!("{of}-{}", self.mark)
    }

    /// Lets every change that was asked for come to its end. An emulator's are over at once.
    pub(crate) async fn settle(&self) {
        if let Some(simulator) = &self.simulator {
            simulator.advance(SignedDuration::from_mins(10)).await;
        }
    }

    /// The start of a minute so many minutes ago.
    pub(crate) fn minute(&self, ago: i64) -> Timestamp {
        let second = self.clock.now().as_second().div_euclid(60) * 60 - ago * 60;
        Timestamp::from_second(second).expect("a time near the present")
    }
}

/// An empty simulated account on this clock.
pub(crate) fn simulated(clock: &Clock) -> Arc<Simulator> {
    Simulator::new(Options {
        seed: 7,
        clock: clock.clone(),
        timings: Timings::default(),
        state: None,
    })
    .expect("an empty simulator starts")
}

/// The records bring their own time, wherever they are kept; what else an emulator does, it does now.
fn clock_of(backend: &Backend, service: &str) -> Clock {
    if *backend == Backend::Simulator || service == "dynamodb" {
        Clock::manual(tests::records::start())
    } else {
        Clock::running(wall_clock(), 1.0)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "emulators go by the wall clock and refuse or lose what is too old"
)]
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::now()
}

/// The settings of the simulator's clients, for an emulator at this URL.
pub(crate) fn over_sockets(url: &str) -> SdkConfig {
    let transport = aws_smithy_http_client::Builder::new().build_http();
    sdk_config(transport)
        .into_builder()
        .endpoint_url(url)
        .build()
}

pub(crate) fn config(mark: &str, topic: String) -> Config {
    Config {
        stack: "canary".to_owned(),
        table: format!("canary-{mark}"),
        access: Settings::open(NO_TOPIC).expect("the ARN of a topic"),
        topic,
        audiences: std::collections::BTreeMap::new(),
        bus: "default".to_owned(),
        functions: FunctionNames {
            provision: "canary-provision".to_owned(),
            traffic_shift: "canary-traffic-shift".to_owned(),
            rollback: "canary-rollback".to_owned(),
        },
        call_timeout: Config::CALL_TIMEOUT,
        speed: 1.0,
        waits: false,
    }
}
