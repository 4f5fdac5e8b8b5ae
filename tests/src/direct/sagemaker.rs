//! SageMaker and Application Auto Scaling of the simulated account, asked without the SDK: requests
//! as JSON, answers as our own types. What `shared::aws` does with the SDK's shapes is done here
//! with the same members of the same documents.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::app::ports::{Class, ConfigVariant, ConfigView, PortError, Recipe};
use shared::aws::class_of;
use shared::domain::authority::Tags;
use shared::domain::model::{ModelView, Network};
use shared::domain::observation::{EndpointStatus, EndpointView, VariantView};
use shared::domain::registry::{Approval, PackageArn, PackageView, Standing};
use shared::domain::scaling::{ScalableTarget, Suspension};
use simulator::{Refusal, Simulator, service};

const DIMENSION: &str = "sagemaker:variant:DesiredInstanceCount";
/// The tag that says which deployment made a config.
const DEPLOYMENT_TAG: &str = "canary:deployment-id";

/// One operation of SageMaker, its error sorted as the adapter sorts it.
pub(super) fn ask(
    simulator: &Simulator,
    operation: &'static str,
    input: &Value,
) -> Result<Value, PortError> {
    let answer = simulator.call(service::SAGEMAKER, operation, input);
    answer.map_err(|refusal| sort(operation, &refusal))
}

fn sort(operation: &'static str, refusal: &Refusal) -> PortError {
    let class = class_of(&refusal.code, refusal.status);
    PortError::new(class, operation, refusal.to_string())
}

/// While an endpoint changes it refuses updates as invalid: for the moment, not for good.
fn change(simulator: &Simulator, operation: &'static str, input: &Value) -> Result<(), PortError> {
    ask(simulator, operation, input).map(drop).map_err(|error| {
        let class = if error.class == Class::Invalid {
            Class::Refused
        } else {
            error.class
        };
        PortError { class, ..error }
    })
}

fn lacking(operation: &'static str, what: &str) -> PortError {
    PortError::new(Class::Bug, operation, format!("no {what} in the answer"))
}

/// What was described, or `None` if the list does not have it either.
fn described(simulator: &Simulator, kind: &Kind, name: &str) -> Result<Option<Value>, PortError> {
    match ask(simulator, kind.describe, &json!({(kind.member): name})) {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.class == Class::Invalid => {
            let found = ask(
                simulator,
                kind.list,
                &json!({"NameContains": name, "MaxResults": 100}),
            )?;
            let mut names = found[kind.rows].as_array().into_iter().flatten();
            if names.any(|row| row[kind.member] == name) {
                Err(error)
            } else {
                Ok(None)
            }
        }
        Err(error) => Err(error),
    }
}

/// How a kind of resource is described and listed.
struct Kind {
    describe: &'static str,
    list: &'static str,
    member: &'static str,
    rows: &'static str,
}

const ENDPOINT: Kind = Kind {
    describe: "DescribeEndpoint",
    list: "ListEndpoints",
    member: "EndpointName",
    rows: "Endpoints",
};
const CONFIG: Kind = Kind {
    describe: "DescribeEndpointConfig",
    list: "ListEndpointConfigs",
    member: "EndpointConfigName",
    rows: "EndpointConfigs",
};
const MODEL: Kind = Kind {
    describe: "DescribeModel",
    list: "ListModels",
    member: "ModelName",
    rows: "Models",
};

pub(super) fn endpoint(
    simulator: &Simulator,
    name: &str,
) -> Result<Option<EndpointView>, PortError> {
    let found = described(simulator, &ENDPOINT, name)?;
    found.as_ref().map(view).transpose()
}

pub(super) fn endpoint_config(
    simulator: &Simulator,
    name: &str,
) -> Result<Option<ConfigView>, PortError> {
    let Some(found) = described(simulator, &CONFIG, name)? else {
        return Ok(None);
    };
    let arn = json!({"ResourceArn": found["EndpointConfigArn"]});
    let listed = ask(simulator, "ListTags", &arn)?;
    let tags = listed["Tags"].as_array().into_iter().flatten();
    let keys = tags.filter_map(|tag| tag["Key"].as_str());
    let copied = keys.filter(|key| is_copied(key)).map(str::to_owned);
    config_view(&found, copied.collect()).map(Some)
}

pub(super) fn model(simulator: &Simulator, name: &str) -> Result<Option<ModelView>, PortError> {
    let found = described(simulator, &MODEL, name)?;
    Ok(found.map(|model| {
        let primary = Some(&model["PrimaryContainer"]).filter(|it| it.is_object());
        let several = model["Containers"].as_array().into_iter().flatten();
        let containers: Vec<&Value> = primary.into_iter().chain(several).collect();
        let package = match containers.as_slice() {
            [only] => only["ModelPackageName"].as_str().map(str::to_owned),
            _ => None,
        };
        let network = Some(&model["VpcConfig"]).filter(|it| it.is_object());
        ModelView {
            package,
            execution_role: model["ExecutionRoleArn"].as_str().map(str::to_owned),
            network: network.map(|network| Network {
                security_groups: ids(&network["SecurityGroupIds"]),
                subnets: ids(&network["Subnets"]),
            }),
            is_isolated: model["EnableNetworkIsolation"] == true,
        }
    }))
}

fn ids(list: &Value) -> BTreeSet<String> {
    let ids = list.as_array().into_iter().flatten();
    ids.filter_map(Value::as_str).map(str::to_owned).collect()
}

pub(super) fn make_model(
    simulator: &Simulator,
    name: &str,
    package: &PackageArn,
    like: &str,
    deployment_id: &str,
) -> Result<(), PortError> {
    let Some(like) = described(simulator, &MODEL, like)? else {
        let what = format!("model {like} was deleted");
        return Err(PortError::new(Class::Refused, "CreateModel", what));
    };
    let mut input = json!({
        "ModelName": name,
        "PrimaryContainer": {"ModelPackageName": package.as_str()},
        "Tags": [{"Key": DEPLOYMENT_TAG, "Value": deployment_id}],
    });
    for member in ["ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation"] {
        if !like[member].is_null() {
            input[member] = like[member].clone();
        }
    }
    ask(simulator, "CreateModel", &input).map(drop)
}

pub(super) fn package(
    simulator: &Simulator,
    package: &PackageArn,
) -> Result<PackageView, PortError> {
    let input = json!({"ModelPackageName": package.as_str()});
    let found = ask(simulator, "DescribeModelPackage", &input)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let at = &found["ModelLifeCycle"];
    Ok(PackageView {
        status: text(&found["ModelPackageStatus"]),
        approval: Approval::parse(&text(&found["ModelApprovalStatus"])),
        stage: (!at.is_null()).then(|| (text(&at["Stage"]), text(&at["StageStatus"]))),
    })
}

pub(super) fn update_package(simulator: &Simulator, standing: &Standing) -> Result<(), PortError> {
    let mut input = json!({"ModelPackageArn": standing.package.as_str()});
    if let Some((approval, why)) = &standing.approval {
        input["ModelApprovalStatus"] = approval.as_str().into();
        input["ApprovalDescription"] = why.as_str().into();
    }
    if let Some((stage, why)) = &standing.stage {
        let (stage, status) = stage.words();
        input["ModelLifeCycle"] =
            json!({"Stage": stage, "StageStatus": status, "StageDescription": why});
    }
    ask(simulator, "UpdateModelPackage", &input).map(drop)
}

/// The tags of an endpoint, by its ARN.
pub(super) fn tags(
    simulator: &Simulator,
    name: &str,
    arn: &str,
) -> Result<Option<Tags>, PortError> {
    let listed = match ask(simulator, "ListTags", &json!({"ResourceArn": arn})) {
        Err(error) if error.class == Class::Invalid => {
            let found = described(simulator, &ENDPOINT, name)?;
            return if found.is_some() {
                Err(error)
            } else {
                Ok(None)
            };
        }
        answer => answer?,
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tags = listed["Tags"].as_array().into_iter().flatten();
    let pairs = tags.map(|tag| (text(&tag["Key"]), text(&tag["Value"])));
    Ok(Some(pairs.collect()))
}

/// Copies a config with a change; one that is there already is left as it is.
pub(super) fn make_config(simulator: &Simulator, recipe: &Recipe) -> Result<(), PortError> {
    let (Recipe::WithCanary { source, name, .. } | Recipe::Only { source, name, .. }) = recipe;
    let source = ask(
        simulator,
        CONFIG.describe,
        &json!({(CONFIG.member): source}),
    )?;
    let tags = ask(
        simulator,
        "ListTags",
        &json!({"ResourceArn": source["EndpointConfigArn"]}),
    )?;
    let request = copied(source, &tags, recipe)?;
    match ask(simulator, "CreateEndpointConfig", &request) {
        Err(error)
            if error.class == Class::Invalid && endpoint_config(simulator, name)?.is_some() =>
        {
            Ok(())
        }
        other => other.map(drop),
    }
}

/// Deletes a config; one that is gone already is fine.
pub(super) fn delete_config(simulator: &Simulator, name: &str) -> Result<(), PortError> {
    match ask(
        simulator,
        "DeleteEndpointConfig",
        &json!({(CONFIG.member): name}),
    ) {
        Err(error)
            if error.class == Class::Invalid && endpoint_config(simulator, name)?.is_none() =>
        {
            Ok(())
        }
        other => other.map(drop),
    }
}

pub(super) fn update(simulator: &Simulator, endpoint: &str, config: &str) -> Result<(), PortError> {
    let input = json!({
        "EndpointName": endpoint,
        "EndpointConfigName": config,
        "RetainAllVariantProperties": true,
    });
    change(simulator, "UpdateEndpoint", &input)
}

pub(super) fn set_weights(
    simulator: &Simulator,
    endpoint: &str,
    weights: &[(String, f32)],
) -> Result<(), PortError> {
    let desired = weights.iter().map(|(variant, weight)| {
        // As it would be written on the wire: 0.1, not 0.10000000149.
        let weight: f64 = weight.to_string().parse().unwrap_or_default();
        json!({"VariantName": variant, "DesiredWeight": weight})
    });
    let desired: Vec<Value> = desired.collect();
    adjust(simulator, endpoint, &json!(desired))
}

pub(super) fn set_instances(
    simulator: &Simulator,
    endpoint: &str,
    variant: &str,
    instances: u32,
) -> Result<(), PortError> {
    let desired = json!([{"VariantName": variant, "DesiredInstanceCount": instances}]);
    adjust(simulator, endpoint, &desired)
}

fn adjust(simulator: &Simulator, endpoint: &str, desired: &Value) -> Result<(), PortError> {
    let input = json!({"EndpointName": endpoint, "DesiredWeightsAndCapacities": desired});
    change(simulator, "UpdateEndpointWeightsAndCapacities", &input)
}

/// The request that makes the copy of a config as it was described.
fn copied(mut config: Value, tags: &Value, recipe: &Recipe) -> Result<Value, PortError> {
    let (Recipe::WithCanary {
        name,
        deployment_id,
        ..
    }
    | Recipe::Only {
        name,
        deployment_id,
        ..
    }) = recipe;
    let variants = variants(&config, recipe)?;
    if let Some(members) = config.as_object_mut() {
        for own in ["EndpointConfigArn", "CreationTime"] {
            members.remove(own);
        }
    }
    let kept = tags["Tags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|tag| is_copied(tag["Key"].as_str().unwrap_or_default()));
    let marked = json!({"Key": DEPLOYMENT_TAG, "Value": deployment_id});
    let tags: Vec<Value> = kept.cloned().chain([marked]).collect();
    config[CONFIG.member] = json!(name);
    config["ProductionVariants"] = json!(variants);
    config["Tags"] = json!(tags);
    Ok(config)
}

fn variants(config: &Value, recipe: &Recipe) -> Result<Vec<Value>, PortError> {
    let find = |name: &str| {
        let mut all = config["ProductionVariants"]
            .as_array()
            .into_iter()
            .flatten();
        let found = all.find(|variant| variant["VariantName"] == name);
        found
            .cloned()
            .ok_or_else(|| lacking("CreateEndpointConfig", name))
    };
    match recipe {
        Recipe::WithCanary {
            production,
            canary,
            model,
            instances,
            instance_type,
            ..
        } => {
            let stable = find(production)?;
            let mut beside = stable.clone();
            beside["VariantName"] = json!(canary);
            beside["ModelName"] = json!(model);
            beside["InitialVariantWeight"] = json!(0.0);
            beside["InitialInstanceCount"] = json!(instances);
            if let Some(kind) = instance_type {
                beside["InstanceType"] = json!(kind);
            }
            Ok(vec![stable, beside])
        }
        Recipe::Only {
            variant, instances, ..
        } => {
            let mut alone = find(variant)?;
            alone["InitialVariantWeight"] = json!(1.0);
            alone["InitialInstanceCount"] = json!(instances);
            Ok(vec![alone])
        }
    }
}

fn view(answer: &Value) -> Result<EndpointView, PortError> {
    let operation = ENDPOINT.describe;
    let text = |member: &str| answer[member].as_str().map(str::to_owned);
    let mut variants = Vec::new();
    for summary in answer["ProductionVariants"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let name = summary["VariantName"].as_str();
        variants.push(VariantView {
            name: name
                .ok_or_else(|| lacking(operation, "VariantName"))?
                .to_owned(),
            current_weight: weight(&summary["CurrentWeight"]),
            desired_weight: weight(&summary["DesiredWeight"]),
            current_instances: count(&summary["CurrentInstanceCount"]),
            desired_instances: count(&summary["DesiredInstanceCount"]),
        });
    }
    Ok(EndpointView {
        name: text("EndpointName").unwrap_or_default(),
        // The enum's own names are SageMaker's.
        status: serde_json::from_value(answer["EndpointStatus"].clone())
            .unwrap_or(EndpointStatus::Unknown),
        config: text("EndpointConfigName").unwrap_or_default(),
        created_at: time(&answer["CreationTime"])
            .ok_or_else(|| lacking(operation, "CreationTime"))?,
        modified_at: time(&answer["LastModifiedTime"]),
        failure: text("FailureReason"),
        variants,
    })
}

fn config_view(answer: &Value, copied_tags: Vec<String>) -> Result<ConfigView, PortError> {
    let list = |member: &str| answer[member].as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let variants = list("ProductionVariants")
        .iter()
        .map(|variant| ConfigVariant {
            name: text(&variant["VariantName"]).unwrap_or_default(),
            model: text(&variant["ModelName"]),
            is_serverless: variant["ServerlessConfig"].is_object(),
            instance_type: text(&variant["InstanceType"]),
            initial_instances: count(&variant["InitialInstanceCount"]),
            is_reserved: variant["CapacityReservationConfig"].is_object(),
        });
    Ok(ConfigView {
        variants: variants.collect(),
        shadow_variants: list("ShadowProductionVariants").len(),
        is_async: answer["AsyncInferenceConfig"].is_object(),
        execution_role: text(&answer["ExecutionRoleArn"]),
        // A copy here is of the answer itself: it loses nothing.
        unknown_fields: Vec::new(),
        created_at: time(&answer["CreationTime"])
            .and_then(|at| Timestamp::from_second(at.as_second()).ok())
            .ok_or_else(|| lacking(CONFIG.describe, "CreationTime"))?,
        copied_tags,
    })
}

/// A weight has single precision on the wire.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what the SDK does with a float of the model"
)]
fn weight(value: &Value) -> f64 {
    value
        .as_f64()
        .map_or(0.0, |weight| f64::from(weight as f32))
}

fn count(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(0)
}

/// Whether a copy takes a tag over: AWS reserves some for itself, and one says who made the config.
fn is_copied(key: &str) -> bool {
    !key.to_ascii_lowercase().starts_with("aws:") && key != DEPLOYMENT_TAG
}

/// Seconds since 1970, with milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "milliseconds of a timestamp in this century"
)]
fn time(value: &Value) -> Option<Timestamp> {
    Timestamp::from_millisecond((value.as_f64()? * 1000.0).round() as i64).ok()
}

fn scale(
    simulator: &Simulator,
    operation: &'static str,
    (endpoint, variant): (&str, &str),
    more: Value,
) -> Result<Value, PortError> {
    let mut input = json!({
        "ServiceNamespace": "sagemaker",
        "ScalableDimension": DIMENSION,
    });
    let id = format!("endpoint/{endpoint}/variant/{variant}");
    if operation == "DescribeScalableTargets" {
        input["ResourceIds"] = json!([id]);
    } else {
        input["ResourceId"] = json!(id);
    }
    if let (Some(members), Value::Object(more)) = (input.as_object_mut(), more) {
        members.extend(more);
    }
    let answer = simulator.call(service::AUTOSCALING, operation, &input);
    answer.map_err(|refusal| {
        let class = class_of(&refusal.code, refusal.status);
        PortError::new(class, operation, refusal.to_string())
    })
}

/// A target's policies are kept as the requests that put them.
pub(super) fn target(
    simulator: &Simulator,
    of: (&str, &str),
) -> Result<Option<ScalableTarget>, PortError> {
    let found = scale(simulator, "DescribeScalableTargets", of, json!({}))?;
    let Some(target) = found["ScalableTargets"]
        .as_array()
        .and_then(|all| all.first())
    else {
        return Ok(None);
    };
    let found = scale(simulator, "DescribeScalingPolicies", of, json!({}))?;
    let policies = found["ScalingPolicies"].as_array().into_iter().flatten();
    let members = ["PolicyName", "PolicyType", TRACKING];
    let kept = policies.map(|policy| {
        let members = members.map(|member| (member.to_owned(), policy[member].clone()));
        Value::Object(members.into_iter().collect()).to_string()
    });
    Ok(Some(ScalableTarget {
        min: count(&target["MinCapacity"]),
        max: count(&target["MaxCapacity"]),
        policies: kept.collect(),
        suspended: Suspension::default(),
        tags: BTreeMap::new(),
    }))
}

const TRACKING: &str = "TargetTrackingScalingPolicyConfiguration";

/// A target-tracking policy on requests per instance, as [`target`] gives it.
pub(super) fn tracking_policy(name: &str, requests_per_instance: f64) -> String {
    json!({
        "PolicyName": name,
        "PolicyType": "TargetTrackingScaling",
        (TRACKING): {
            "TargetValue": requests_per_instance,
            "PredefinedMetricSpecification":
                {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleInCooldown": 60,
            "ScaleOutCooldown": 60,
        },
    })
    .to_string()
}

pub(super) fn set_bounds(
    simulator: &Simulator,
    of: (&str, &str),
    min: u32,
    max: Option<u32>,
) -> Result<(), PortError> {
    let mut bounds = json!({"MinCapacity": min});
    if let Some(max) = max {
        bounds["MaxCapacity"] = json!(max);
    }
    scale(simulator, "RegisterScalableTarget", of, bounds).map(drop)
}

pub(super) fn put_policy(
    simulator: &Simulator,
    of: (&str, &str),
    policy: &str,
) -> Result<(), PortError> {
    let policy = serde_json::from_str(policy)
        .map_err(|error| PortError::new(Class::Bug, "PutScalingPolicy", error.to_string()))?;
    scale(simulator, "PutScalingPolicy", of, policy).map(drop)
}

/// Removes a target; one that is gone already is fine.
pub(super) fn deregister(simulator: &Simulator, of: (&str, &str)) -> Result<(), PortError> {
    match scale(simulator, "DeregisterScalableTarget", of, json!({})) {
        Err(error) if error.message.starts_with("ObjectNotFoundException") => Ok(()),
        other => other.map(drop),
    }
}
