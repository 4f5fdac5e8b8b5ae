//! What the outside world is asked for, in our own types. No type of the SDK passes here, and no
//! policy lives behind these traits.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::health::Figure;
use crate::domain::authority::{Settings, Tags};
use crate::domain::deployment::Deployment;
use crate::domain::due::Actor;
use crate::domain::evidence::Evidence;
use crate::domain::freeze::{Freeze, Freezes};
use crate::domain::history::{Entry, Topics, Way};
use crate::domain::incident::PostMortem;
use crate::domain::judge::MinuteReport;
use crate::domain::model::ModelView;
use crate::domain::observation::EndpointView;
use crate::domain::quantity::Span;
use crate::domain::registry::{PackageArn, PackageView, Standing};
use crate::domain::replay::Recorded;
use crate::domain::scaling::{Bounds, ScalableTarget};

/// What a caller can do about an error (row S10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request can never work: told to the caller, not retried.
    Invalid,
    /// Not allowed, which no repetition mends: a person must give the permission.
    Denied,
    /// Somebody else was faster: re-read, and do nothing now.
    Conflict,
    /// The endpoint takes no such update in its present state: described again, and tried again at
    /// a later tick, a bounded number of times.
    Refused,
    /// It may work later: throttled, timed out, refused for the moment.
    Retryable,
    /// The answer was lost: it may have happened, and may still happen until the lease ends.
    InDoubt,
    /// Ours: a record that can't be, an answer that makes no sense.
    Bug,
}

impl Class {
    /// Whether no repetition mends it: a person has to.
    pub const fn is_for_good(self) -> bool {
        matches!(self, Self::Bug | Self::Denied | Self::Invalid)
    }
}

/// A call that did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortError {
    /// What can be done about it.
    pub class: Class,
    /// The call.
    pub operation: &'static str,
    /// What the other side said, without anything that a model's user sent.
    pub message: String,
}

impl PortError {
    /// An error of this class.
    pub fn new(class: Class, operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            class,
            operation,
            message: message.into(),
        }
    }

    /// The call and the kind of its error, without the sentence that the other side added: for people who
    /// read a history, where the log has the rest.
    pub fn kind(&self) -> String {
        let kind = self.message.split(": ").next().unwrap_or_default();
        format!("{}: {kind}", self.operation)
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)
    }
}

impl std::error::Error for PortError {}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// Terms and state.
    pub deployment: Deployment,
    /// What has been measured.
    pub evidence: Evidence,
}

/// One transaction over a record: all of it is written, or none.
#[derive(Debug, Clone)]
pub struct Commit<'a> {
    /// What was read; the write is conditional on its version and watermark.
    pub before: &'a Loaded,
    /// The next record. Its version is set by the store.
    pub next: &'a Deployment,
    /// The next evidence.
    pub evidence: &'a Evidence,
    /// Rows of evidence.
    pub minutes: &'a [MinuteReport],
    /// History rows; each is an outbox row too.
    pub entries: &'a [Entry],
}

/// A new deployment, with everything that is written beside it.
#[derive(Debug, Clone)]
pub struct Creation<'a> {
    /// The record.
    pub loaded: &'a Loaded,
    /// The specification as it was given.
    pub specification: &'a serde_json::Value,
    /// Production's minutes before the rollout.
    pub past: &'a [Recorded],
    /// The first history row.
    pub entry: &'a Entry,
    /// The caller's key with a digest of the request, when one was given.
    pub idempotency: Option<&'a IdempotencyClaim>,
    /// What was read of the endpoint's freezes, on which the write is conditional; absent where none
    /// of them holds it.
    pub freezes: Option<&'a Freezes>,
}

/// A turn of the freeze switch, with its announcement: both are written, or neither.
#[derive(Debug, Clone)]
pub struct FreezeTurn<'a> {
    /// The endpoint, or `*`.
    pub endpoint: &'a str,
    /// What was read under this name; the write is conditional on it.
    pub before: Option<&'a Freeze>,
    /// What is to stand there; absent where it is lifted.
    pub next: Option<&'a Freeze>,
    /// What people are told.
    pub told: &'a OutboxRow,
}

/// An `Idempotency-Key` as it is remembered for 24 h.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// The caller's role and the key.
    pub key: String,
    /// SHA-256 of the request in hexadecimal.
    pub digest: String,
    /// The deployment it made.
    pub deployment_id: String,
}

/// Why a creation was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The endpoint has a deployment that is not over.
    Locked {
        /// The one that holds the lock.
        by: String,
    },
    /// The key was used a moment ago.
    KeyTaken,
    /// Somebody froze the endpoint, or lifted a freeze, a moment ago.
    FreezeTurned,
    /// Something else.
    Port(PortError),
}

impl From<PortError> for Refused {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// What [`Store::list`] is asked for.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only this endpoint's.
    pub endpoint: Option<String>,
    /// At most this many.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// One page, newest first.
#[derive(Debug, Clone, Default)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    pub cursor: Option<String>,
}

/// Something announced but not yet sent.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Stable: the deployment's id and the entry's number.
    pub event_id: String,
    /// Which part of the outbox it lies in.
    pub shard: u8,
    /// The topics that the deployment named.
    pub topics: Topics,
    /// The deployment's id.
    pub deployment_id: String,
    /// The endpoint.
    pub endpoint: String,
    /// The new model.
    pub model: String,
    /// The former model.
    pub former_model: String,
    /// What happened.
    pub entry: Entry,
    /// The ways that took it already, while another has not.
    pub taken: Vec<Way>,
}

/// What lies in a shard of the outbox.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outbox {
    /// In order per deployment.
    pub rows: Vec<OutboxRow>,
    /// Deployments with a row that can't be read, which holds up theirs after it and no others.
    pub unread: Vec<(String, PortError)>,
}

/// The records. Every read is strongly consistent, except lists and the active index.
pub trait Store: Sync {
    /// A record; `None` if there is none.
    fn load(&self, id: &str) -> impl Future<Output = Result<Option<Loaded>, PortError>> + Send;
    /// Writes a new deployment under the endpoint's lock.
    fn create(&self, creation: Creation<'_>) -> impl Future<Output = Result<(), Refused>> + Send;
    /// Writes the next record; `Class::Conflict` if somebody else wrote since. A terminal record
    /// frees the lock in the same transaction, and leaves the active index once it is not watched either.
    fn commit(&self, commit: Commit<'_>) -> impl Future<Output = Result<Loaded, PortError>> + Send;
    /// The ids of the deployments of a shard that are not over, or still watched (eventually consistent).
    fn active(&self, shard: u8) -> impl Future<Output = Result<Vec<String>, PortError>> + Send;
    /// The deployment that holds the endpoint's lock.
    fn lock_holder(
        &self,
        endpoint: &str,
    ) -> impl Future<Output = Result<Option<String>, PortError>> + Send;
    /// What a key was used for in the last 24 h.
    fn idempotency(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<IdempotencyClaim>, PortError>> + Send;
    /// Deployments, newest first.
    fn list(
        &self,
        query: &ListQuery,
    ) -> impl Future<Output = Result<Page<Deployment>, PortError>> + Send;
    /// History rows in order.
    fn history(&self, id: &str) -> impl Future<Output = Result<Vec<Entry>, PortError>> + Send;
    /// Rows of evidence, newest first.
    fn minutes(
        &self,
        id: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Page<MinuteReport>, PortError>> + Send;
    /// Production's minutes before the rollout, in order.
    fn past(&self, id: &str) -> impl Future<Output = Result<Vec<Recorded>, PortError>> + Send;
    /// Unsent announcements of a shard, in order per deployment.
    fn outbox(&self, shard: u8) -> impl Future<Output = Result<Outbox, PortError>> + Send;
    /// The freeze of an endpoint, in whatever case its name is spelled, and that of the whole stack;
    /// whether they still stand is the reader's to see.
    fn freezes(&self, endpoint: &str) -> impl Future<Output = Result<Freezes, PortError>> + Send;
    /// Sets or removes a freeze and writes its announcement; `Class::Conflict` if somebody else has
    /// turned the switch since.
    fn turn_freeze(
        &self,
        turn: FreezeTurn<'_>,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Writes an announcement that no record's transaction brings; one of its id that waits already
    /// is replaced.
    fn tell(&self, row: &OutboxRow) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Removes a sent announcement.
    fn sent(&self, row: &OutboxRow) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Keeps which ways took an announcement that is not sent yet; of one that was removed
    /// meanwhile, nothing.
    fn half_sent(
        &self,
        row: &OutboxRow,
        taken: &[Way],
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// What an endpoint config holds, as far as it decides whether a canary can be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigView {
    /// Production variants.
    pub variants: Vec<ConfigVariant>,
    /// Shadow variants.
    pub shadow_variants: usize,
    /// Whether it is an asynchronous endpoint.
    pub is_async: bool,
    /// The ARN of the role that SageMaker takes on for the endpoint, where the config names one: a
    /// copy passes it on.
    pub execution_role: Option<String>,
    /// Fields that this version does not know, and a copy would lose.
    pub unknown_fields: Vec<String>,
    /// When it was made: what was measured before was not measured on it.
    pub created_at: Timestamp,
    /// The keys of the tags that a copy takes over, beside the one that says who made it.
    pub copied_tags: Vec<String>,
}

/// A production variant of an endpoint config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigVariant {
    /// Its name.
    pub name: String,
    /// Absent on endpoints of inference components.
    pub model: Option<String>,
    /// Whether it has no instances at all.
    pub is_serverless: bool,
    /// The type of its instances.
    pub instance_type: Option<String>,
    /// Instances at the start.
    pub initial_instances: u32,
    /// Whether its instances come from a capacity reservation.
    pub is_reserved: bool,
}

/// A new endpoint config, as a change to one that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipe {
    /// The source's config with a canary variant beside production, at weight 0.
    WithCanary {
        /// The config to copy.
        source: String,
        /// The new config's name.
        name: String,
        /// The variant whose settings the canary takes over.
        production: String,
        /// The canary variant's name.
        canary: String,
        /// The canary's model.
        model: String,
        /// The canary's instances at the start.
        instances: u32,
        /// Another instance type than production's.
        instance_type: Option<String>,
        /// For the tags.
        deployment_id: String,
    },
    /// The source's config with one variant alone, which carries all the weight.
    Only {
        /// The config to copy.
        source: String,
        /// The new config's name.
        name: String,
        /// The variant that stays.
        variant: String,
        /// Its instances: what the whole traffic needs.
        instances: u32,
        /// For the tags.
        deployment_id: String,
    },
}

/// SageMaker's control plane. Raises and UpdateEndpoint are one call each, never retried by the SDK.
pub trait Endpoints: Sync {
    /// DescribeEndpoint; `None` if there is none.
    fn endpoint(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<EndpointView>, PortError>> + Send;
    /// DescribeEndpointConfig; `None` if there is none.
    fn endpoint_config(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<ConfigView>, PortError>> + Send;
    /// Makes a config; one that is there already is left as it is.
    fn make_config(&self, recipe: &Recipe) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Deletes a config; one that is gone already is fine.
    fn delete_config(&self, name: &str) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Deploys a config, live weights and counts retained.
    fn update(
        &self,
        endpoint: &str,
        config: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Sets weights.
    fn set_weights(
        &self,
        endpoint: &str,
        weights: &[(&str, f32)],
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Sets one variant's instances.
    fn set_instances(
        &self,
        endpoint: &str,
        variant: &str,
        instances: u32,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// SageMaker's models and the registry of their packages.
pub trait Registry: Sync {
    /// DescribeModel; `None` if there is none.
    fn model(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<ModelView>, PortError>> + Send;
    /// Makes a model of a package, with the execution role, the network and the isolation of another
    /// model, and a tag that names the deployment it is made for. One call; a name that is taken is
    /// [`Class::Invalid`].
    fn make_model(
        &self,
        name: &str,
        package: &PackageArn,
        like: &str,
        deployment_id: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// DescribeModelPackage; one that is not there is [`Class::Invalid`].
    fn package(
        &self,
        package: &PackageArn,
    ) -> impl Future<Output = Result<PackageView, PortError>> + Send;
    /// UpdateModelPackage, one call.
    fn update_package(
        &self,
        standing: &Standing,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Application Auto Scaling of a variant's instances.
pub trait Scaling: Sync {
    /// The target with its policies; `None` if the variant does not scale by itself.
    fn target(
        &self,
        endpoint: &str,
        variant: &str,
    ) -> impl Future<Output = Result<Option<ScalableTarget>, PortError>> + Send;
    /// The target's bounds, whatever else it has; `None` if the variant does not scale by itself.
    /// Unlike [`Scaling::target`] it refuses nothing that could not be put back.
    fn bounds(
        &self,
        endpoint: &str,
        variant: &str,
    ) -> impl Future<Output = Result<Option<Bounds>, PortError>> + Send;
    /// Changes the floor alone.
    fn set_floor(
        &self,
        endpoint: &str,
        variant: &str,
        min: u32,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Registers a target with its policies.
    fn register(
        &self,
        endpoint: &str,
        variant: &str,
        target: &ScalableTarget,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Removes the target; its policies go with it.
    fn deregister(
        &self,
        endpoint: &str,
        variant: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// One query of GetMetricData.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetricQuery {
    /// Like `AWS/SageMaker`.
    pub namespace: String,
    /// The metric's name.
    pub metric: String,
    /// Names and values.
    pub dimensions: Vec<(String, String)>,
    /// `Sum`, `p99`, `TC(100000:)`.
    pub statistic: String,
    /// Seconds a point stands for.
    pub period: u32,
}

/// One query's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricAnswer {
    /// Every point of the range, by the start of its period.
    Complete(Vec<(Timestamp, f64)>),
    /// Partial, forbidden or failed inside CloudWatch.
    Incomplete(String),
    /// Never to be answered: the query itself is refused.
    Refused(String),
}

/// CloudWatch's metrics and alarms.
pub trait Metrics: Sync {
    /// At most 500 queries; answers in their order, pages followed.
    fn read(
        &self,
        queries: &[MetricQuery],
        from: Timestamp,
        through: Timestamp,
    ) -> impl Future<Output = Result<Vec<MetricAnswer>, PortError>> + Send;
    /// Those of the named alarms that are in state ALARM; an unknown name is an error.
    fn firing(
        &self,
        alarms: &[String],
    ) -> impl Future<Output = Result<Vec<String>, PortError>> + Send;
}

/// Where announcements go.
pub trait Notifier: Sync {
    /// The ways that an announcement goes, each once.
    fn ways(&self, _row: &OutboxRow) -> Vec<Way> {
        Way::ALWAYS.to_vec()
    }
    /// Sends one announcement one way; that of an incident with the draft of its post-mortem, where
    /// that could be put together.
    fn announce(
        &self,
        row: &OutboxRow,
        draft: Option<&PostMortem>,
        way: Way,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The other functions.
pub trait Functions: Sync {
    /// A hint that something is due; the next tick is the guarantee.
    fn wake(
        &self,
        actor: Actor,
        deployment_id: &str,
        version: u64,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Time and chance.
pub trait Ambient: Sync {
    /// The time.
    fn now(&self) -> Timestamp;
    /// A new UUID of version 7.
    fn new_id(&self) -> String;
    /// How long a call may take, wall clock.
    fn call_timeout(&self) -> Duration;
    /// How long a lease lasts: longer than a call can still land, in the clock's own time.
    fn lease(&self) -> Span;
    /// How long after its start a call can still land, in the clock's own time.
    fn landing(&self) -> Span;
    /// Waits before another try, wall clock: this long at the most, and jittered. A simulated clock
    /// does not wait.
    fn pause(&self, wait: Duration) -> impl Future<Output = ()> + Send;
    /// The work's result, or `None` once the limit has passed, wall clock: the work is broken off.
    fn within<T: Send>(
        &self,
        limit: Duration,
        work: impl Future<Output = T> + Send,
    ) -> impl Future<Output = Option<T>> + Send;
}

/// Who may do what, as the account and the stack's parameters say it.
pub trait Access: Sync {
    /// An endpoint's tags; `None` if there is no such endpoint.
    fn tags(&self, endpoint: &str) -> impl Future<Output = Result<Option<Tags>, PortError>> + Send;
    /// What the stack's parameters say.
    fn settings(&self) -> &Settings;
}

/// Where figures about the control plane go.
pub trait Meter: Sync {
    /// Takes a figure; it can't fail, and nothing waits for it.
    fn measure(&self, figure: &Figure);
}

/// Everything the control plane needs.
pub trait Ports:
    Store + Endpoints + Registry + Scaling + Metrics + Notifier + Functions + Ambient + Access + Meter
{
}
impl<T> Ports for T where
    T: Store
        + Endpoints
        + Registry
        + Scaling
        + Metrics
        + Notifier
        + Functions
        + Ambient
        + Access
        + Meter
{
}
