//! What an endpoint consists of: its variants, its status, and the one change it may be going through.
//!
//! An endpoint has at most one change under way. The change says what will be true when it is over, and when;
//! until then everything the endpoint serves by stays as it was.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::backend;
use super::input::{self, Kind};
use super::models;
use crate::wire::{AwsError, epoch_seconds};

/// `EndpointStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    OutOfService,
    Creating,
    Updating,
    SystemUpdating,
    RollingBack,
    InService,
    Deleting,
    Failed,
    UpdateRollbackFailed,
}

impl Status {
    const ALL: [Status; 9] = [
        Status::OutOfService,
        Status::Creating,
        Status::Updating,
        Status::SystemUpdating,
        Status::RollingBack,
        Status::InService,
        Status::Deleting,
        Status::Failed,
        Status::UpdateRollbackFailed,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Status::OutOfService => "OutOfService",
            Status::Creating => "Creating",
            Status::Updating => "Updating",
            Status::SystemUpdating => "SystemUpdating",
            Status::RollingBack => "RollingBack",
            Status::InService => "InService",
            Status::Deleting => "Deleting",
            Status::Failed => "Failed",
            Status::UpdateRollbackFailed => "UpdateRollbackFailed",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Status> {
        Status::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
    }

    /// Whether requests are answered in this status.
    pub(super) fn serves(self) -> bool {
        matches!(
            self,
            Status::InService
                | Status::Updating
                | Status::SystemUpdating
                | Status::RollingBack
                | Status::UpdateRollbackFailed
        )
    }
}

/// One variant of a fleet.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) name: String,
    /// Empty for a variant that hosts inference components.
    pub(super) model: String,
    image: String,
    /// The loopback server the image stands for.
    pub(super) server: Option<String>,
    pub(super) instance_type: Option<String>,
    pub(super) current_weight: f64,
    pub(super) desired_weight: f64,
    pub(super) current_count: i64,
    pub(super) desired_count: i64,
    /// As it stands in the endpoint config.
    specification: Value,
    deployed: Timestamp,
    /// Requests of the minute that is not over yet.
    pub(super) minute_invocations: u64,
}

impl Variant {
    fn new(
        specification: &Value,
        catalogue: &BTreeMap<String, Value>,
        now: Timestamp,
    ) -> Result<Variant, AwsError> {
        let model = specification["ModelName"].as_str().unwrap_or_default();
        let image = match catalogue.get(model) {
            Some(found) => models::containers(found)
                .first()
                .and_then(|container| container["Image"].as_str())
                .unwrap_or_default(),
            None if model.is_empty() => "",
            None => return Err(Kind::Model.missing(model)),
        };
        let server = backend::server_of_image(image).map_err(AwsError::validation)?;
        let weight = specification["InitialVariantWeight"]
            .as_f64()
            .unwrap_or(1.0);
        Ok(Variant {
            name: input::name(specification, "VariantName")?.to_owned(),
            model: model.to_owned(),
            image: image.to_owned(),
            server,
            instance_type: specification["InstanceType"].as_str().map(str::to_owned),
            current_weight: weight,
            desired_weight: weight,
            current_count: 0,
            desired_count: specification["InitialInstanceCount"].as_i64().unwrap_or(1),
            specification: specification.clone(),
            deployed: now,
            minute_invocations: 0,
        })
    }

    /// Reaches everything that is desired.
    pub(super) fn arrive(&mut self) {
        self.current_weight = self.desired_weight;
        self.current_count = self.desired_count;
    }

    /// Instances to divide load by.
    pub(super) fn instances(&self) -> f64 {
        self.current_count.max(1) as f64
    }

    fn is_serverless(&self) -> bool {
        self.specification["ServerlessConfig"].is_object()
    }

    fn describe(&self, status: Option<(&str, Timestamp)>) -> Value {
        let mut summary = json!({
            "VariantName": self.name,
            "CurrentWeight": self.current_weight,
            "DesiredWeight": self.desired_weight,
        });
        if !self.image.is_empty() {
            let digest = format!("{}@sha256:{:064x}", self.image, self.image.len());
            summary["DeployedImages"] = json!([{
                "SpecifiedImage": self.image,
                "ResolvedImage": digest,
                "ResolutionTime": epoch_seconds(self.deployed),
            }]);
        }
        if self.is_serverless() {
            summary["CurrentServerlessConfig"] = self.specification["ServerlessConfig"].clone();
            summary["DesiredServerlessConfig"] = self.specification["ServerlessConfig"].clone();
        } else {
            summary["CurrentInstanceCount"] = self.current_count.into();
            summary["DesiredInstanceCount"] = self.desired_count.into();
        }
        for member in ["ManagedInstanceScaling", "RoutingConfig"] {
            if self.specification[member].is_object() {
                summary[member] = self.specification[member].clone();
            }
        }
        if let Some((status, since)) = status {
            summary["VariantStatus"] =
                json!([{"Status": status, "StartTime": epoch_seconds(since)}]);
        }
        summary
    }
}

/// A new fleet, as an endpoint config asks for it.
pub(super) fn variants_of(
    config: &Value,
    list: &str,
    catalogue: &BTreeMap<String, Value>,
    now: Timestamp,
) -> Result<Vec<Variant>, AwsError> {
    input::list(config, list)
        .iter()
        .map(|specification| Variant::new(specification, catalogue, now))
        .collect()
}

/// What a change brings about when it is over.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// The first fleet is up.
    Create,
    /// A new fleet takes over, or does not, for the reason given.
    Deploy {
        config_name: String,
        config: Value,
        variants: Vec<Variant>,
        shadow: Vec<Variant>,
        failure: Option<String>,
    },
    /// Weights or instance counts reach what is desired.
    Adjust,
    /// The endpoint is gone.
    Delete,
}

/// A change under way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) change: Change,
    pub(super) started: Timestamp,
    pub(super) due: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) config_name: String,
    /// The config as it was when it was deployed: deleting it later changes nothing here.
    pub(super) config: Value,
    pub(super) variants: Vec<Variant>,
    pub(super) shadow: Vec<Variant>,
    pub(super) pending: Option<Pending>,
    pub(super) failure_reason: Option<String>,
    pub(super) deployment_config: Option<Value>,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    forced: Option<(Status, Timestamp)>,
}

impl Endpoint {
    pub(super) fn creating(
        name: &str,
        config_name: &str,
        config: Value,
        fleet: (Vec<Variant>, Vec<Variant>),
        span: (Timestamp, Timestamp),
    ) -> Endpoint {
        let (started, due) = span;
        Endpoint {
            name: name.to_owned(),
            arn: Kind::Endpoint.arn(name),
            config_name: config_name.to_owned(),
            config,
            variants: fleet.0,
            shadow: fleet.1,
            pending: Some(Pending {
                change: Change::Create,
                started,
                due,
            }),
            failure_reason: None,
            deployment_config: None,
            created: started,
            modified: started,
            forced: None,
        }
    }

    pub(super) fn status(&self, now: Timestamp) -> Status {
        if let Some((status, until)) = self.forced
            && now < until
        {
            return status;
        }
        match self.pending.as_ref().map(|pending| &pending.change) {
            None => Status::InService,
            Some(Change::Create) => Status::Creating,
            Some(Change::Deploy { .. } | Change::Adjust) => Status::Updating,
            Some(Change::Delete) => Status::Deleting,
        }
    }

    pub(super) fn force(&mut self, status: Status, until: Timestamp) {
        if matches!(status, Status::Failed | Status::UpdateRollbackFailed) {
            self.pending = None;
        }
        self.forced = Some((status, until));
    }

    /// Only an endpoint that rests can be changed.
    pub(super) fn check_idle(&self, now: Timestamp) -> Result<(), AwsError> {
        if self.status(now) == Status::InService {
            Ok(())
        } else {
            Err(AwsError::validation(format!(
                "Cannot update in-progress endpoint \"{}\".",
                self.arn
            )))
        }
    }

    pub(super) fn begin(&mut self, change: Change, started: Timestamp, due: Timestamp) {
        self.modified = started;
        self.failure_reason = None;
        self.pending = Some(Pending {
            change,
            started,
            due,
        });
    }

    /// Ends the change under way if its time has come; `false` if that removed the endpoint.
    pub(super) fn settle(&mut self, now: Timestamp) -> bool {
        let Some(pending) = self.pending.take_if(|pending| pending.due <= now) else {
            return true;
        };
        self.modified = pending.due;
        match pending.change {
            Change::Delete => return false,
            Change::Create | Change::Adjust => self.arrive(),
            Change::Deploy {
                failure: Some(reason),
                ..
            } => self.failure_reason = Some(reason),
            Change::Deploy {
                config_name,
                config,
                variants,
                shadow,
                failure: None,
            } => {
                self.config_name = config_name;
                self.config = config;
                self.variants = variants;
                self.shadow = shadow;
                self.arrive();
            }
        }
        true
    }

    fn arrive(&mut self) {
        for variant in self.variants.iter_mut().chain(&mut self.shadow) {
            variant.arrive();
        }
    }

    fn deploying(&self) -> Option<(&str, &[Variant])> {
        match self.pending.as_ref().map(|pending| &pending.change) {
            Some(Change::Deploy {
                config_name,
                variants,
                ..
            }) => Some((config_name, variants)),
            _ => None,
        }
    }

    pub(super) fn uses_config(&self, name: &str) -> bool {
        self.config_name == name || self.deploying().is_some_and(|(config, _)| config == name)
    }

    pub(super) fn uses_model(&self, name: &str) -> bool {
        let deploying = self.deploying().map_or(&[][..], |(_, variants)| variants);
        self.variants
            .iter()
            .chain(&self.shadow)
            .chain(deploying)
            .any(|variant| variant.model == name)
    }

    /// The answer of DescribeEndpoint.
    pub(super) fn describe(&self, now: Timestamp) -> Value {
        let variant_status = self.pending.as_ref().and_then(|pending| {
            let status = match pending.change {
                Change::Create => "Creating",
                Change::Adjust => "Updating",
                Change::Delete => "Deleting",
                // The new fleet is built beside the old one, which rests.
                Change::Deploy { .. } => return None,
            };
            Some((status, pending.started))
        });
        let summaries = |variants: &[Variant]| -> Vec<Value> {
            variants
                .iter()
                .map(|variant| variant.describe(variant_status))
                .collect()
        };
        let mut answer = json!({
            "EndpointName": self.name,
            "EndpointArn": self.arn,
            "EndpointConfigName": self.config_name,
            "EndpointStatus": self.status(now).as_str(),
            "ProductionVariants": summaries(&self.variants),
            "CreationTime": epoch_seconds(self.created),
            "LastModifiedTime": epoch_seconds(self.modified),
        });
        if !self.shadow.is_empty() {
            answer["ShadowProductionVariants"] = summaries(&self.shadow).into();
        }
        if let Some(reason) = &self.failure_reason {
            answer["FailureReason"] = reason.clone().into();
        }
        if let Some(deployment) = &self.deployment_config {
            answer["LastDeploymentConfig"] = deployment.clone();
        }
        self.describe_config_parts(&mut answer);
        self.describe_deployment(&mut answer);
        answer
    }

    fn describe_config_parts(&self, answer: &mut Value) {
        for member in [
            "AsyncInferenceConfig",
            "ExplainerConfig",
            "MetricsConfig",
            "CrossRegionTrafficConfig",
        ] {
            if self.config[member].is_object() {
                answer[member] = self.config[member].clone();
            }
        }
        let capture = &self.config["DataCaptureConfig"];
        if capture.is_object() {
            let mut summary = json!({
                "EnableCapture": capture["EnableCapture"].as_bool().unwrap_or(false),
                "CaptureStatus": if capture["EnableCapture"] == true { "Started" } else { "Stopped" },
                "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
                "DestinationS3Uri": capture["DestinationS3Uri"],
            });
            summary["KmsKeyId"] = capture["KmsKeyId"].as_str().unwrap_or_default().into();
            answer["DataCaptureConfig"] = summary;
        }
    }

    fn describe_deployment(&self, answer: &mut Value) {
        let Some(Pending {
            change:
                Change::Deploy {
                    config_name,
                    variants,
                    ..
                },
            started,
            ..
        }) = &self.pending
        else {
            return;
        };
        let coming: Vec<Value> = variants
            .iter()
            .map(|variant| {
                let mut summary = variant.describe(Some(("Creating", *started)));
                if let Some(instance_type) = &variant.instance_type {
                    summary["InstanceType"] = instance_type.clone().into();
                }
                summary
            })
            .collect();
        answer["PendingDeploymentSummary"] = json!({
            "EndpointConfigName": config_name,
            "ProductionVariants": coming,
            "StartTime": epoch_seconds(*started),
        });
    }
}
