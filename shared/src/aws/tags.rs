//! The tags of an endpoint, for the control plane: SageMaker's own ListTags.
//!
//! It tells an endpoint without tags from one that is not there, which the tagging API of
//! [`Tagging`](super::Tagging) can't, and it is the service that also enforces the opt-in tag, so
//! a tag that was set a moment ago counts at once.

use super::Aws;
use super::error::{nonsense, sort};
use crate::app::ports::{Access, Class, PortError};
use crate::domain::authority::{Settings, Tags};

impl Access for Aws {
    async fn tags(&self, endpoint: &str) -> Result<Option<Tags>, PortError> {
        let arn = self.config.access.home.endpoint_arn(endpoint);
        let found = match self.tags_of(&arn).await {
            // Nothing has this ARN. Whether that is for want of the endpoint, the endpoint's own
            // description says, and not the text of the error.
            Err(error) if error.class == Class::Invalid => match self.arn_of(endpoint).await? {
                Some(described) => self.tags_of(&described).await?,
                None => return Ok(None),
            },
            answer => answer?,
        };
        Ok(Some(found.into_iter().collect()))
    }

    fn settings(&self) -> &Settings {
        &self.config.access
    }
}

impl Aws {
    async fn arn_of(&self, endpoint: &str) -> Result<Option<String>, PortError> {
        const OPERATION: &str = "DescribeEndpoint";
        let call = self.control.sagemaker.describe_endpoint();
        match call.endpoint_name(endpoint).send().await {
            Ok(output) => match output.endpoint_arn() {
                Some(arn) => Ok(Some(arn.to_owned())),
                None => Err(nonsense(OPERATION, "no ARN")),
            },
            Err(error) => {
                let error = sort(OPERATION, &error);
                if error.class == Class::Invalid && !self.lists_endpoint(endpoint).await? {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
        }
    }
}
