//! Whole rollouts whose records, announcements and (on ministack) metrics are kept by an emulator.
//! SageMaker, its runtime, scaling, Lambda and EventBridge are the simulator's, because no emulator
//! has endpoints that change.
//!
//! Each client finds its service as it would by `AWS_ENDPOINT_URL_DYNAMODB` and the like. The
//! simulator's clock begins some hours before the present and only the test moves it, so that all of
//! the rollout lies in the emulator's recent past. Where CloudWatch is the emulator's, a bridge puts
//! there, once a virtual minute, what the simulated endpoint was measured with in the minute before;
//! the adapters' GetMetricData then reads the emulator and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client as CloudWatch;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use aws_smithy_types::DateTime;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use canary::Stack;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::aws::Aws;
use shared::domain::history::Name;
use shared::domain::state::Status;
use simulator::clock::Clock;
use simulator::{Distribution, Simulator, service};
use tests::{Setup, Told, World, specification};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Case;
use super::topics::Queue;
use crate::account::{Account, Backend, config, over_sockets, simulated, wall_clock};

/// Longer than a rollout takes, and shorter than anything forgets.
const HEAD_START: SignedDuration = SignedDuration::from_hours(6);
/// PutMetricData takes no more values of one metric, and no more metrics.
const MOST_VALUES: usize = 150;
const MOST_DATA: usize = 1000;

pub(crate) fn cases() -> Vec<Case> {
    super::cases!("rollouts":
        a_healthy_canary_takes_over,
        a_canary_that_fails_is_rolled_back,
    )
}

/// Which services are the emulator's, by the ids of their models.
fn elsewhere(backend: &Backend) -> &'static [&'static str] {
    match backend {
        Backend::Simulator => &[],
        Backend::Moto(_) => &["DynamoDB", "SNS", "SQS"],
        Backend::Ministack(_) => &["DynamoDB", "SNS", "SQS", "CloudWatch"],
    }
}

/// What the SDK reads `AWS_ENDPOINT_URL_<SERVICE>` from, without the environment.
#[derive(Debug)]
struct Addresses {
    services: &'static [&'static str],
    url: String,
}

impl LoadServiceConfig for Addresses {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let is_here = key.env() == "AWS_ENDPOINT_URL" && self.services.contains(&key.service_id());
        is_here.then(|| self.url.clone())
    }
}

/// A world of which the emulator keeps a part.
struct Split {
    world: World,
    queue: Option<Queue>,
    bridge: Option<Bridge>,
    /// What the emulator keeps.
    elsewhere: &'static [&'static str],
    /// Ends with this value.
    _server: JoinSet<()>,
}

/// Carries what was measured from the simulator to the emulator's CloudWatch.
struct Bridge {
    client: CloudWatch,
    /// Seconds since 1970 up to which everything was carried.
    carried_to: AtomicI64,
}

impl Split {
    async fn with(account: &Account, setup: Setup) -> Self {
        let minute = wall_clock().as_second().div_euclid(60) * 60;
        let start = Timestamp::from_second(minute).expect("the present") - HEAD_START;
        let clock = Clock::manual(start);
        let simulator = simulated(&clock);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let here = listener.local_addr().expect("a bound socket");
        let mut server = JoinSet::new();
        server.spawn(simulator.clone().serve(listener, std::future::pending()));
        let services = elsewhere(&account.backend);
        let sdk = spread(services, account.backend.url(), &format!("http://{here}"));
        let (topic, queue) = heard(account, &sdk).await;
        let aws = Aws::new(
            config(&account.name("rollout"), topic),
            &sdk,
            Arc::new({
                let clock = clock.clone();
                move || clock.now()
            }),
        );
        let stack = Stack::with(simulator, aws).await.expect("an empty account");
        let bridge = services.contains(&"CloudWatch").then(|| Bridge {
            client: CloudWatch::new(&sdk),
            carried_to: AtomicI64::new(start.as_second()),
        });
        let world = World::on(stack, setup).await;
        let split = Self {
            world,
            queue,
            bridge,
            elsewhere: services,
            _server: server,
        };
        split.carry().await;
        split
    }

    async fn carry(&self) {
        if let Some(bridge) = &self.bridge {
            bridge.carry(self.world.simulator()).await;
        }
    }

    /// The simulator was asked for nothing that the emulator keeps.
    fn assert_apart(&self) {
        let calls = self.world.simulator().calls();
        let asked: BTreeSet<&str> = calls.iter().map(|call| call.service).collect();
        assert!(asked.contains(service::SAGEMAKER), "{asked:?}");
        for (id, name) in [
            ("DynamoDB", service::DYNAMODB),
            ("SNS", service::SNS),
            ("CloudWatch", service::CLOUDWATCH),
        ] {
            let is_here = !self.elsewhere.contains(&id);
            assert_eq!(asked.contains(name), is_here, "{id}");
        }
    }

    /// Minutes until the deployment is over, which must be with this status, and everything that is
    /// true of one that is over.
    async fn until_over(&self, id: &str, status: Status) {
        for _ in 0..200 {
            let state = self.world.load(id).await.deployment.state;
            if state.status.is_terminal() {
                assert_eq!(state.status, status, "{}", state.reason);
                let told = match &self.queue {
                    Some(queue) => told(queue).await,
                    None => self.world.told_by_sns(id),
                };
                self.world.assert_over_and_told(id, told).await;
                self.assert_apart();
                return;
            }
            self.world.pass(SignedDuration::from_mins(1)).await;
            self.carry().await;
            self.world.tick().await;
        }
        panic!(
            "not over: {:#?}",
            self.world.load(id).await.deployment.state
        );
    }
}

/// Settings by which the services named are found at one URL, and all others at another.
fn spread(services: &'static [&'static str], url: Option<&str>, rest: &str) -> SdkConfig {
    let addresses = Addresses {
        services,
        url: url.unwrap_or(rest).to_owned(),
    };
    over_sockets(rest)
        .into_builder()
        .service_config(addresses)
        .build()
}

/// The stack's topic, and a queue that hears it where topics deliver.
async fn heard(account: &Account, sdk: &SdkConfig) -> (String, Option<Queue>) {
    let created = aws_sdk_sns::Client::new(sdk)
        .create_topic()
        .name(account.name("rollout"))
        .send()
        .await
        .expect("a new topic");
    let topic = created.topic_arn().expect("an ARN").to_owned();
    if account.backend == Backend::Simulator {
        return (topic, None);
    }
    let bare = [("RawMessageDelivery", "true")];
    let queue = Queue::hearing(account, "rollout", &topic, &bare).await;
    (topic, Some(queue))
}

/// Every announcement that has arrived, by its event id and so in the order of the history: a queue
/// promises none.
async fn told(queue: &Queue) -> Vec<Told> {
    let mut told: Vec<Told> = queue
        .drained()
        .await
        .iter()
        .map(|body| {
            let message: Value = serde_json::from_str(body).expect("queues get JSON");
            let event_id = message["event_id"]
                .as_str()
                .expect("an event id")
                .to_owned();
            Told { event_id, message }
        })
        .collect();
    told.sort_by(|a, b| a.event_id.cmp(&b.event_id));
    told
}

impl Bridge {
    /// Puts every sample of the minutes that are over and were not carried yet.
    async fn carry(&self, simulator: &Simulator) {
        let from = self.carried_to.load(Ordering::Relaxed);
        let to = simulator.clock().now().as_second().div_euclid(60) * 60;
        let instant = |second| Timestamp::from_second(second).expect("a time near the present");
        let mut data = Vec::new();
        for minute in simulator.cloudwatch().samples((instant(from), instant(to))) {
            for values in minute.values.chunks(MOST_VALUES) {
                let dimensions = minute
                    .dimensions
                    .iter()
                    .map(|(name, value)| Dimension::builder().name(name).value(value).build());
                let (values, counts) = values.iter().copied().unzip();
                let datum = MetricDatum::builder()
                    .metric_name(&minute.metric)
                    .set_dimensions(Some(dimensions.collect()))
                    .timestamp(DateTime::from_secs(minute.at.as_second()))
                    .unit(StandardUnit::from(minute.unit.as_str()))
                    .set_values(Some(values))
                    .set_counts(Some(counts));
                data.push((minute.namespace.clone(), datum.build()));
            }
        }
        data.sort_by(|a, b| a.0.cmp(&b.0));
        for of_one in data.chunk_by(|a, b| a.0 == b.0) {
            for some in of_one.chunks(MOST_DATA) {
                let sent = self
                    .client
                    .put_metric_data()
                    .namespace(&some[0].0)
                    .set_metric_data(Some(some.iter().map(|(_, datum)| datum.clone()).collect()))
                    .send();
                sent.await.expect("samples that are taken");
            }
        }
        self.carried_to.store(to, Ordering::Relaxed);
    }
}

/// Enough traffic to judge by, and no more samples than an emulator answers from in good time.
fn setup() -> Setup {
    Setup {
        requests_per_minute: 300.0,
        ..Setup::default()
    }
}

async fn a_healthy_canary_takes_over(account: &Account) {
    let split = Split::with(account, setup()).await;
    let id = split.world.deploy(&specification()).await;
    split.until_over(&id, Status::Completed).await;
}

async fn a_canary_that_fails_is_rolled_back(account: &Account) {
    let failing = Setup {
        challenger: Distribution {
            error_rate: 0.3,
            ..Distribution::default()
        },
        ..setup()
    };
    let split = Split::with(account, failing).await;
    let id = split.world.deploy(&specification()).await;
    split.until_over(&id, Status::RolledBack).await;
    let back = split.world.entry(&id, Name::RollingBack).await;
    assert!(back.reason.contains("error"), "{}", back.reason);
}
