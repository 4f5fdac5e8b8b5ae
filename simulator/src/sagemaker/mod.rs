//! SageMaker: models and their packages, endpoint configs and endpoints whose changes take (virtual) time and refuse one another.
//!
//! All state is one `World` behind one lock. Nothing runs in the background: whoever asks first brings the
//! world up to the present (`catch_up`), step by step, so that every change ends, every minute is
//! scaled, and every simulated request is made, at its own instant and with the weights then in force. That
//! makes a run with a manual clock exact, and lets a running clock do without a pump.
//!
//! What real SageMaker lets happen although it is a fault, such as deleting the config of a live endpoint, is
//! allowed here too, and written down in [`SageMaker::violations`] for tests to find.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::Timings;
use crate::autoscaling::AutoScaling;
use crate::wire::AwsError;

mod backend;
mod configs;
mod disturbance;
mod endpoints;
mod fleet;
mod input;
mod listing;
mod models;
mod registry;
mod runtime;
mod tags;
#[cfg(test)]
mod tests;
mod traffic;
mod update;

pub use backend::{Backend, Distribution};
pub use disturbance::Disturbance;
use fleet::{Endpoint, Status};

/// The simulated SageMaker, with the switches tests turn.
pub struct SageMaker {
    world: Mutex<World>,
    timings: Timings,
    container: runtime::ContainerClient,
}

/// Everything that exists, and the state of the dice.
struct World {
    /// As DescribeModel answers them.
    models: BTreeMap<String, Value>,
    /// As DescribeEndpointConfig answers them.
    configs: BTreeMap<String, Value>,
    endpoints: BTreeMap<String, Endpoint>,
    /// By ARN.
    package_groups: BTreeMap<String, Value>,
    /// By ARN, as DescribeModelPackage answers them.
    packages: BTreeMap<String, Value>,
    /// By resource ARN.
    tags: BTreeMap<String, BTreeMap<String, String>>,
    /// By model name.
    backends: HashMap<String, Backend>,
    /// Models that misbehave on demand, by name.
    disturbances: BTreeMap<String, Disturbance>,
    /// By endpoint name.
    traffic: BTreeMap<String, traffic::Traffic>,
    violations: Vec<String>,
    /// Instances allowed, by instance type.
    quotas: HashMap<String, i64>,
    /// Reasons for which the next UpdateEndpoint fails, by endpoint name.
    failures: HashMap<String, String>,
    random: ChaCha8Rng,
    /// The instant up to which everything has happened.
    settled_to: Timestamp,
}

/// What a control plane operation needs besides the world.
struct Context<'simulator> {
    now: Timestamp,
    timings: &'simulator Timings,
    autoscaling: &'simulator AutoScaling,
}

impl SageMaker {
    pub(crate) fn new(seed: u64, now: Timestamp, timings: Timings) -> Self {
        Self {
            world: Mutex::new(World {
                models: BTreeMap::new(),
                configs: BTreeMap::new(),
                endpoints: BTreeMap::new(),
                package_groups: BTreeMap::new(),
                packages: BTreeMap::new(),
                tags: BTreeMap::new(),
                backends: HashMap::new(),
                disturbances: BTreeMap::new(),
                traffic: BTreeMap::new(),
                violations: Vec::new(),
                quotas: HashMap::new(),
                failures: HashMap::new(),
                random: ChaCha8Rng::seed_from_u64(seed),
                settled_to: now,
            }),
            timings,
            container: runtime::container_client(),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was done although nobody should: for instance deleting an endpoint config in use.
    pub fn violations(&self) -> Vec<String> {
        self.world().violations.clone()
    }

    /// Makes the next UpdateEndpoint of an endpoint fail: it comes back InService, on its old config, with this
    /// reason.
    pub fn fail_next_update(&self, endpoint: &str, reason: &str) {
        self.world()
            .failures
            .insert(endpoint.to_owned(), reason.to_owned());
    }

    /// Shows an endpoint in another status until `until` ([`Timestamp::MAX`] for good), for instance
    /// `SystemUpdating` or `Failed`. A change under way goes on beneath it, unless the status is one it can never
    /// come back from.
    ///
    /// # Panics
    /// When there is no such endpoint or status: a mistake in the test.
    pub fn set_status(&self, endpoint: &str, status: &str, until: Timestamp) {
        let status = Status::parse(status)
            .unwrap_or_else(|| panic!("{status:?} is no status of an endpoint"));
        self.world()
            .endpoints
            .get_mut(endpoint)
            .unwrap_or_else(|| panic!("there is no endpoint {endpoint:?}"))
            .force(status, until);
    }

    /// Limits how many instances of a type all endpoints together may have. Without a limit there is none.
    pub fn set_instance_quota(&self, instance_type: &str, instances: i64) {
        self.world()
            .quotas
            .insert(instance_type.to_owned(), instances);
    }

    /// Puts a tag on a resource past all checks, also one whose key begins with `aws:`, as CloudFormation does.
    pub fn set_tag(&self, resource_arn: &str, key: &str, value: &str) {
        self.world()
            .tags
            .entry(resource_arn.to_owned())
            .or_default()
            .insert(key.to_owned(), value.to_owned());
    }

    /// The names of all endpoint configs.
    pub fn endpoint_configs(&self) -> Vec<String> {
        self.world().configs.keys().cloned().collect()
    }

    pub(crate) fn set_backend(&self, model: &str, backend: Backend) {
        self.world().backends.insert(model.to_owned(), backend);
    }

    /// Whether there is such a model, which then misbehaves.
    pub(crate) fn disturb(&self, model: &str, disturbance: Disturbance) -> bool {
        let mut world = self.world();
        let is_there = world.models.contains_key(model);
        if is_there {
            world.disturbances.insert(model.to_owned(), disturbance);
        }
        is_there
    }

    pub(crate) fn disturbances(&self, now: Timestamp) -> Vec<(String, Disturbance)> {
        let mut world = self.world();
        world
            .disturbances
            .retain(|_, disturbance| disturbance.lasts(now));
        let all = world.disturbances.iter();
        all.map(|(model, disturbance)| (model.clone(), *disturbance))
            .collect()
    }

    pub(crate) fn undisturb(&self) {
        self.world().disturbances.clear();
    }

    pub(crate) fn set_traffic(&self, endpoint: &str, requests_per_minute: f64) {
        self.world().traffic.insert(
            endpoint.to_owned(),
            traffic::Traffic::new(requests_per_minute),
        );
    }

    /// What has tags, or had some, for the tagging API.
    pub(crate) fn tagged(&self) -> crate::tagging::Tagged {
        self.world().tags.clone()
    }

    /// Whether a variant can be scaled, as Application Auto Scaling asks when one is registered: it is there, and
    /// its instances are none that can burst, which SageMaker does not scale (its guide, Configure model auto
    /// scaling with the console). What that refusal says is not documented.
    pub(crate) fn check_scalable(&self, endpoint: &str, variant: &str) -> Result<(), AwsError> {
        let world = self.world();
        let found = world.endpoints.get(endpoint);
        let found = found.and_then(|it| it.variants.iter().find(|it| it.name == variant));
        let refuse = |why: String| Err(AwsError::validation(why));
        match found.map(|variant| variant.instance_type.as_deref()) {
            None => refuse(format!(
                "Could not find variant \"{variant}\" of endpoint \"{endpoint}\"."
            )),
            Some(Some(burstable)) if burstable.starts_with("ml.t2.") => refuse(format!(
                "Auto scaling is not supported for instance type {burstable}"
            )),
            Some(_) => Ok(()),
        }
    }

    /// Carries out a control plane operation.
    pub(crate) fn handle(
        &self,
        now: Timestamp,
        autoscaling: &AutoScaling,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let context = &Context {
            now,
            timings: &self.timings,
            autoscaling,
        };
        let world = &mut *self.world();
        match operation {
            "CreateModel" => world.create_model(context, input),
            "DescribeModel" => world.describe_model(input),
            "ListModels" => Ok(world.list_models(input)),
            "DeleteModel" => world.delete_model(input),
            "CreateEndpointConfig" => world.create_config(context, input),
            "DescribeEndpointConfig" => world.describe_config(input),
            "ListEndpointConfigs" => Ok(world.list_configs(input)),
            "DeleteEndpointConfig" => world.delete_config(input),
            "CreateEndpoint" => world.create_endpoint(context, input),
            "DescribeEndpoint" => world.describe_endpoint(context, input),
            "ListEndpoints" => Ok(world.list_endpoints(context, input)),
            "DeleteEndpoint" => world.delete_endpoint(context, input),
            "UpdateEndpoint" => world.update_endpoint(context, input),
            "UpdateEndpointWeightsAndCapacities" => {
                world.update_weights_and_capacities(context, input)
            }
            "CreateModelPackageGroup" => world.create_package_group(context, input),
            "CreateModelPackage" => world.create_package(context, input),
            "DescribeModelPackage" => world.describe_package(input),
            "UpdateModelPackage" => world.update_package(context, input),
            "DeleteModelPackage" => world.delete_package(input),
            "AddTags" => world.add_tags(input),
            "ListTags" => world.list_tags(input),
            "DeleteTags" => world.delete_tags(input),
            _ => Err(AwsError::unknown_operation(operation)),
        }
    }
}
