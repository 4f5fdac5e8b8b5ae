//! SageMaker's models, and the registry of their packages.

use aws_sdk_sagemaker::operation::describe_model::DescribeModelOutput;
use aws_sdk_sagemaker::types::{
    ContainerDefinition, ModelApprovalStatus, ModelLifeCycle, ModelPackageStatus,
};

use super::Aws;
use super::config_copy::own_tags;
use super::error::sort;
use crate::app::ports::{Class, PortError, Registry};
use crate::domain::model::{ModelView, Network};
use crate::domain::registry::{Approval, PackageArn, PackageView, Standing};

impl Registry for Aws {
    async fn model(&self, name: &str) -> Result<Option<ModelView>, PortError> {
        let described = self.described_model(name).await?;
        Ok(described.as_ref().map(model_view))
    }

    async fn make_model(
        &self,
        name: &str,
        package: &PackageArn,
        like: &str,
        deployment_id: &str,
    ) -> Result<(), PortError> {
        let Some(like) = self.described_model(like).await? else {
            let what = format!("model {like}, after which it is to be made, was deleted");
            return Err(PortError::new(Class::Refused, "CreateModel", what));
        };
        let container = ContainerDefinition::builder().model_package_name(package.as_str());
        let call = self
            .control
            .sagemaker_once
            .create_model()
            .model_name(name)
            .primary_container(container.build())
            .set_tags(Some(own_tags(Vec::new(), deployment_id)));
        let call = call
            .set_execution_role_arn(like.execution_role_arn().map(str::to_owned))
            .set_vpc_config(like.vpc_config().cloned())
            .set_enable_network_isolation(like.enable_network_isolation());
        let made = call.send().await;
        made.map(drop).map_err(|error| sort("CreateModel", &error))
    }

    async fn package(&self, package: &PackageArn) -> Result<PackageView, PortError> {
        let call = self.control.sagemaker.describe_model_package();
        let call = call.model_package_name(package.as_str());
        let output = call.send().await;
        let output = output.map_err(|error| sort("DescribeModelPackage", &error))?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let approval = output.model_approval_status();
        Ok(PackageView {
            status: text(
                output
                    .model_package_status()
                    .map(ModelPackageStatus::as_str),
            ),
            approval: approval.and_then(|approval| Approval::parse(approval.as_str())),
            stage: output
                .model_life_cycle()
                .map(|at| (text(at.stage()), text(at.stage_status()))),
        })
    }

    async fn update_package(&self, standing: &Standing) -> Result<(), PortError> {
        let call = self.control.sagemaker_once.update_model_package();
        let mut call = call.model_package_arn(standing.package.as_str());
        if let Some((approval, why)) = &standing.approval {
            call = call
                .model_approval_status(ModelApprovalStatus::from(approval.as_str()))
                .approval_description(why);
        }
        if let Some((stage, why)) = &standing.stage {
            let (stage, status) = stage.words();
            let at = ModelLifeCycle::builder().stage(stage).stage_status(status);
            call = call.model_life_cycle(at.stage_description(why).build());
        }
        let told = call.send().await;
        told.map(drop)
            .map_err(|error| sort("UpdateModelPackage", &error))
    }
}

impl Aws {
    /// DescribeModel; a model that is missing is told from one that can't be described by the list.
    async fn described_model(&self, name: &str) -> Result<Option<DescribeModelOutput>, PortError> {
        let call = self.control.sagemaker.describe_model().model_name(name);
        match call.send().await {
            Ok(output) => Ok(Some(output)),
            Err(error) => {
                let error = sort("DescribeModel", &error);
                if error.class == Class::Invalid && !self.lists_model(name).await? {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
        }
    }

    async fn lists_model(&self, name: &str) -> Result<bool, PortError> {
        let call = self.control.sagemaker.list_models().name_contains(name);
        let pages = call.into_paginator().items().send();
        let found = pages.try_collect().await;
        let found: Vec<_> = found.map_err(|error| sort("ListModels", &error))?;
        Ok(found.iter().any(|it| it.model_name() == Some(name)))
    }
}

/// A model of several containers is no package's alone.
fn model_view(output: &DescribeModelOutput) -> ModelView {
    let primary = output.primary_container().into_iter();
    let containers: Vec<_> = primary.chain(output.containers()).collect();
    let package = match containers.as_slice() {
        [only] => only.model_package_name().map(str::to_owned),
        _ => None,
    };
    let network = output.vpc_config().map(|config| Network {
        security_groups: config.security_group_ids().iter().cloned().collect(),
        subnets: config.subnets().iter().cloned().collect(),
    });
    ModelView {
        package,
        execution_role: output.execution_role_arn().map(str::to_owned),
        network,
        is_isolated: output.enable_network_isolation() == Some(true),
    }
}
