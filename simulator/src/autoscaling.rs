//! Application Auto Scaling for endpoint variants: scalable targets, target tracking policies, and what they do
//! to a variant once a virtual minute.
//!
//! Scaling out waits for three busy minutes and scaling in for fifteen idle ones, as the alarms behind target
//! tracking do, and scaling in also for its cooldown. A variant without any traffic shrinks to its floor: on AWS
//! that depends on the metric (one that stops being sent never scales in), so this is the harsher reading, the
//! one a control plane must survive. A floor above or a ceiling below the count acts at the next minute.
//! Scheduled actions are kept, told and deleted with their target, but never carried out.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::wire::{AwsError, epoch_seconds};

const DIMENSION: &str = "sagemaker:variant:DesiredInstanceCount";
const METRIC: &str = "SageMakerVariantInvocationsPerInstance";
const BUSY_MINUTES: u32 = 3;
const IDLE_MINUTES: u32 = 15;
const DEFAULT_COOLDOWN_SECONDS: i64 = 300;
/// Scaling in begins below this share of the target.
const IDLE_SHARE: f64 = 0.9;

/// Application Auto Scaling, simulated.
#[derive(Debug, Default)]
pub struct AutoScaling {
    targets: Mutex<BTreeMap<String, Target>>,
}

/// What scaling knows about a variant at the end of a minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    pub(crate) current: i64,
    pub(crate) desired: i64,
    pub(crate) invocations: u64,
}

#[derive(Debug)]
struct Target {
    min: i64,
    max: i64,
    /// RoleARN and SuspendedState as given.
    members: Map<String, Value>,
    created: Timestamp,
    policies: BTreeMap<String, Policy>,
    /// Scheduled actions, as DescribeScheduledActions gives them back.
    schedules: BTreeMap<String, Value>,
    tags: Map<String, Value>,
    busy_minutes: u32,
    idle_minutes: u32,
    last_action: Option<Timestamp>,
}

#[derive(Debug)]
struct Policy {
    /// The members of the request, as DescribeScalingPolicies gives them back.
    members: Value,
    created: Timestamp,
}

fn resource_id(endpoint: &str, variant: &str) -> String {
    format!("endpoint/{endpoint}/variant/{variant}")
}

/// The endpoint and variant a resource id names.
pub(crate) fn parse_resource_id(id: &str) -> Option<(&str, &str)> {
    let (endpoint, variant) = id.strip_prefix("endpoint/")?.split_once("/variant/")?;
    let sound = |name: &str| !name.is_empty() && !name.contains('/');
    (sound(endpoint) && sound(variant)).then_some((endpoint, variant))
}

fn object_not_found(id: &str) -> AwsError {
    AwsError::new(
        400,
        "ObjectNotFoundException",
        format!(
            "No scalable target found for service namespace: sagemaker, resource ID: {id}, \
             scalable dimension: {DIMENSION}"
        ),
    )
}

impl AutoScaling {
    fn targets(&self) -> MutexGuard<'_, BTreeMap<String, Target>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a variant is a scalable target.
    pub fn is_registered(&self, endpoint: &str, variant: &str) -> bool {
        self.targets().contains_key(&resource_id(endpoint, variant))
    }

    /// The bounds of a variant's instance count, if it is a scalable target.
    pub fn bounds(&self, endpoint: &str, variant: &str) -> Option<(i64, i64)> {
        self.targets()
            .get(&resource_id(endpoint, variant))
            .map(|target| (target.min, target.max))
    }

    /// The names of a variant's scaling policies.
    pub fn policies(&self, endpoint: &str, variant: &str) -> Vec<String> {
        self.targets()
            .get(&resource_id(endpoint, variant))
            .map(|target| target.policies.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The instance count a variant should now have, if that is another than it is to have already.
    pub(crate) fn evaluate(
        &self,
        endpoint: &str,
        variant: &str,
        observed: Observed,
        now: Timestamp,
    ) -> Option<i64> {
        let mut targets = self.targets();
        let target = targets.get_mut(&resource_id(endpoint, variant))?;
        let tracked = target.track(observed, now).unwrap_or(observed.desired);
        let bounded = tracked.clamp(target.min, target.max.max(target.min));
        (bounded != observed.desired).then_some(bounded)
    }

    /// Notes that the count [`AutoScaling::evaluate`] asked for is being carried out.
    pub(crate) fn acted(&self, endpoint: &str, variant: &str, now: Timestamp) {
        if let Some(target) = self.targets().get_mut(&resource_id(endpoint, variant)) {
            target.busy_minutes = 0;
            target.idle_minutes = 0;
            target.last_action = Some(now);
        }
    }

    /// Carries out an operation; `scalable` tells whether a variant can be scaled.
    pub(crate) fn handle(
        &self,
        now: Timestamp,
        operation: &str,
        input: &Value,
        scalable: impl Fn(&str, &str) -> Result<(), AwsError>,
    ) -> Result<Value, AwsError> {
        // These two know a target by its ARN alone.
        match operation {
            "ListTagsForResource" => return self.list_tags(input),
            "TagResource" => return self.tag(input),
            _ => {}
        }
        if input["ServiceNamespace"] != "sagemaker" {
            return Err(AwsError::validation(
                "only the service namespace sagemaker is simulated",
            ));
        }
        if operation == "DescribeScalableTargets" {
            return Ok(self.describe_targets(input));
        }
        if operation == "DescribeScalingPolicies" {
            return Ok(self.describe_policies(input));
        }
        if operation == "DescribeScheduledActions" {
            return Ok(self.describe_schedules(input));
        }
        let id = input["ResourceId"].as_str().unwrap_or_default();
        let (endpoint, variant) = parse_resource_id(id).ok_or_else(|| {
            AwsError::validation(format!("Unsupported resource ID format: '{id}'"))
        })?;
        if input["ScalableDimension"] != DIMENSION {
            return Err(AwsError::validation(format!(
                "only the scalable dimension {DIMENSION} is simulated"
            )));
        }
        match operation {
            "RegisterScalableTarget" => {
                scalable(endpoint, variant)?;
                self.register(now, id, input)
            }
            "DeregisterScalableTarget" => {
                let removed = self.targets().remove(id);
                removed
                    .map(|_| json!({}))
                    .ok_or_else(|| object_not_found(id))
            }
            "PutScalingPolicy" => self.put_policy(now, id, input),
            "DeleteScalingPolicy" => self.delete_policy(id, input),
            "PutScheduledAction" => self.put_schedule(now, id, input),
            "DeleteScheduledAction" => self.delete_schedule(id, input),
            _ => Err(AwsError::unknown_operation(operation)),
        }
    }

    fn register(&self, now: Timestamp, id: &str, input: &Value) -> Result<Value, AwsError> {
        let mut targets = self.targets();
        let known = targets.get(id);
        let bound = |member: &str, kept: Option<i64>| match &input[member] {
            Value::Null => kept.ok_or_else(|| {
                AwsError::validation(format!("{member} is required to register a new target"))
            }),
            value => value.as_i64().filter(|count| *count >= 0).ok_or_else(|| {
                AwsError::validation(format!("{member} must be a number that is not negative"))
            }),
        };
        let min = bound("MinCapacity", known.map(|target| target.min))?;
        let max = bound("MaxCapacity", known.map(|target| target.max))?;
        if min > max {
            return Err(AwsError::validation(
                "Maximum capacity cannot be less than minimum capacity",
            ));
        }
        let target = targets.entry(id.to_owned()).or_insert_with(|| Target {
            min,
            max,
            members: Map::new(),
            created: now,
            policies: BTreeMap::new(),
            schedules: BTreeMap::new(),
            tags: input["Tags"].as_object().cloned().unwrap_or_default(),
            busy_minutes: 0,
            idle_minutes: 0,
            last_action: None,
        });
        target.min = min;
        target.max = max;
        for member in ["RoleARN", "SuspendedState"] {
            if !input[member].is_null() {
                target
                    .members
                    .insert(member.to_owned(), input[member].clone());
            }
        }
        Ok(json!({"ScalableTargetARN": target_arn(id)}))
    }

    fn describe_targets(&self, input: &Value) -> Value {
        let wanted = input["ResourceIds"].as_array();
        let described: Vec<Value> = self
            .targets()
            .iter()
            .filter(|(id, _)| {
                wanted.is_none_or(|ids| ids.is_empty() || ids.iter().any(|wanted| wanted == *id))
            })
            .map(|(id, target)| target.describe(id))
            .collect();
        json!({"ScalableTargets": described})
    }

    fn put_policy(&self, now: Timestamp, id: &str, input: &Value) -> Result<Value, AwsError> {
        let name = input["PolicyName"].as_str().unwrap_or_default();
        if name.is_empty() {
            return Err(AwsError::validation("PolicyName is required"));
        }
        let mut targets = self.targets();
        let target = targets.get_mut(id).ok_or_else(|| object_not_found(id))?;
        let mut members = input.clone();
        if members["PolicyType"].is_null() {
            members["PolicyType"] = "StepScaling".into();
        }
        let tracking = members["PolicyType"] == "TargetTrackingScaling";
        let value = input["TargetTrackingScalingPolicyConfiguration"]["TargetValue"].as_f64();
        if tracking && value.is_none_or(|value| value <= 0.0) {
            return Err(AwsError::validation(
                "A target tracking policy needs a TargetValue above zero.",
            ));
        }
        let created = target.policies.get(name).map_or(now, |known| known.created);
        let policy = Policy { members, created };
        target.policies.insert(name.to_owned(), policy);
        Ok(json!({"PolicyARN": policy_arn(id, name), "Alarms": []}))
    }

    fn describe_policies(&self, input: &Value) -> Value {
        let names = input["PolicyNames"].as_array();
        let resource = input["ResourceId"].as_str();
        let targets = self.targets();
        let described: Vec<Value> = targets
            .iter()
            .filter(|(id, _)| resource.is_none_or(|wanted| wanted == id.as_str()))
            .flat_map(|(id, target)| target.policies.iter().map(move |entry| (id, entry)))
            .filter(|(_, (name, _))| {
                names
                    .is_none_or(|list| list.is_empty() || list.iter().any(|wanted| wanted == *name))
            })
            .map(|(id, (name, policy))| {
                let mut answer = policy.members.clone();
                answer["PolicyARN"] = policy_arn(id, name).into();
                answer["Alarms"] = json!([]);
                answer["CreationTime"] = epoch_seconds(policy.created);
                answer
            })
            .collect();
        json!({"ScalingPolicies": described})
    }

    fn delete_policy(&self, id: &str, input: &Value) -> Result<Value, AwsError> {
        let name = input["PolicyName"].as_str().unwrap_or_default();
        self.targets()
            .get_mut(id)
            .and_then(|target| target.policies.remove(name))
            .map(|_| json!({}))
            .ok_or_else(|| {
                AwsError::new(
                    400,
                    "ObjectNotFoundException",
                    format!("No scaling policy found: {name} of resource ID: {id}"),
                )
            })
    }

    fn list_tags(&self, input: &Value) -> Result<Value, AwsError> {
        let mut targets = self.targets();
        let target = by_arn(&mut targets, input)?;
        Ok(json!({"Tags": target.tags}))
    }

    fn tag(&self, input: &Value) -> Result<Value, AwsError> {
        let mut targets = self.targets();
        let target = by_arn(&mut targets, input)?;
        let given = input["Tags"].as_object().cloned().unwrap_or_default();
        target.tags.extend(given);
        Ok(json!({}))
    }

    fn put_schedule(&self, now: Timestamp, id: &str, input: &Value) -> Result<Value, AwsError> {
        let name = input["ScheduledActionName"].as_str().unwrap_or_default();
        if name.is_empty() {
            return Err(AwsError::validation("ScheduledActionName is required"));
        }
        let mut targets = self.targets();
        let target = targets.get_mut(id).ok_or_else(|| object_not_found(id))?;
        let mut action = input.clone();
        action["ScheduledActionARN"] = schedule_arn(id, name).into();
        action["CreationTime"] = epoch_seconds(now);
        target.schedules.insert(name.to_owned(), action);
        Ok(json!({}))
    }

    fn describe_schedules(&self, input: &Value) -> Value {
        let resource = input["ResourceId"].as_str();
        let targets = self.targets();
        let described = targets
            .iter()
            .filter(|(id, _)| resource.is_none_or(|wanted| wanted == id.as_str()))
            .flat_map(|(_, target)| target.schedules.values().cloned());
        json!({"ScheduledActions": described.collect::<Vec<_>>()})
    }

    fn delete_schedule(&self, id: &str, input: &Value) -> Result<Value, AwsError> {
        let name = input["ScheduledActionName"].as_str().unwrap_or_default();
        self.targets()
            .get_mut(id)
            .and_then(|target| target.schedules.remove(name))
            .map(|_| json!({}))
            .ok_or_else(|| {
                AwsError::new(
                    400,
                    "ObjectNotFoundException",
                    format!("No scheduled action found: {name} of resource ID: {id}"),
                )
            })
    }
}

fn by_arn<'a>(
    targets: &'a mut BTreeMap<String, Target>,
    input: &Value,
) -> Result<&'a mut Target, AwsError> {
    let arn = input["ResourceARN"].as_str().unwrap_or_default();
    let found = targets.iter_mut().find(|(id, _)| target_arn(id) == arn);
    found.map(|(_, target)| target).ok_or_else(|| {
        let message = format!("The specified resource doesn't exist: {arn}");
        AwsError::new(400, "ResourceNotFoundException", message)
    })
}

fn target_arn(id: &str) -> String {
    crate::wire::arn(
        "application-autoscaling",
        &format!("scalable-target/{}", id.replace('/', "-")),
    )
}

fn schedule_arn(id: &str, name: &str) -> String {
    crate::wire::arn(
        "autoscaling",
        &format!("scheduledAction:resource/sagemaker/{id}:scheduledActionName/{name}"),
    )
}

fn policy_arn(id: &str, name: &str) -> String {
    crate::wire::arn(
        "autoscaling",
        &format!("scalingPolicy:resource/sagemaker/{id}:policyName/{name}"),
    )
}

impl Target {
    fn describe(&self, id: &str) -> Value {
        let mut answer = json!({
            "ServiceNamespace": "sagemaker",
            "ResourceId": id,
            "ScalableDimension": DIMENSION,
            "MinCapacity": self.min,
            "MaxCapacity": self.max,
            "RoleARN": format!(
                "arn:aws:iam::{}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/\
                 AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
                crate::wire::ACCOUNT
            ),
            "CreationTime": epoch_seconds(self.created),
            "SuspendedState": {
                "DynamicScalingInSuspended": false,
                "DynamicScalingOutSuspended": false,
                "ScheduledScalingSuspended": false,
            },
            "ScalableTargetARN": target_arn(id),
        });
        for (member, value) in &self.members {
            match (answer[member].as_object_mut(), value.as_object()) {
                (Some(defaults), Some(given)) => {
                    defaults.extend(
                        given
                            .iter()
                            .map(|(key, value)| (key.clone(), value.clone())),
                    );
                }
                _ => answer[member] = value.clone(),
            }
        }
        answer
    }

    fn suspended(&self, direction: &str) -> bool {
        self.members
            .get("SuspendedState")
            .is_some_and(|state| state[direction] == true)
    }

    /// The target tracking policy on invocations per instance, if there is one.
    fn tracking(&self) -> Option<&Value> {
        self.policies
            .values()
            .map(|policy| &policy.members["TargetTrackingScalingPolicyConfiguration"])
            .find(|config| {
                config["PredefinedMetricSpecification"]["PredefinedMetricType"] == METRIC
            })
    }

    /// Counts the minute, and gives the instance count tracking now asks for.
    fn track(&mut self, observed: Observed, now: Timestamp) -> Option<i64> {
        let config = self.tracking()?;
        let goal = config["TargetValue"].as_f64()?;
        let scale_in = config["DisableScaleIn"] != true;
        let cooldown = config["ScaleInCooldown"]
            .as_i64()
            .unwrap_or(DEFAULT_COOLDOWN_SECONDS);
        let per_instance = observed.invocations as f64 / observed.current.max(1) as f64;
        let busy = per_instance > goal;
        let idle = per_instance < goal * IDLE_SHARE;
        self.busy_minutes = if busy { self.busy_minutes + 1 } else { 0 };
        self.idle_minutes = if idle { self.idle_minutes + 1 } else { 0 };
        let needed = whole_instances(observed.invocations as f64 / goal);
        if self.busy_minutes >= BUSY_MINUTES && !self.suspended("DynamicScalingOutSuspended") {
            return Some(needed.max(observed.desired));
        }
        let rested = self
            .last_action
            .is_none_or(|last| now.duration_since(last) >= SignedDuration::from_secs(cooldown));
        if self.idle_minutes >= IDLE_MINUTES
            && scale_in
            && rested
            && !self.suspended("DynamicScalingInSuspended")
        {
            return Some(needed.min(observed.desired));
        }
        None
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "instance counts are small, and the cast saturates"
)]
fn whole_instances(needed: f64) -> i64 {
    needed.ceil() as i64
}
