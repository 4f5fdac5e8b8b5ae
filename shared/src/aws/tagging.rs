//! The tags of an endpoint, for `inference`: GetResources of the Resource Groups Tagging API, whose
//! client is a fraction of SageMaker's.
//!
//! It lists what is tagged, or once was: an endpoint without tags and one that is not there look
//! alike, and both are left to the stack's defaults; the invocation itself then tells a missing one.
//! A change of tags may take a while to show.
//!
//! The API: <https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html>

use aws_sdk_resourcegroupstagging::types::ResourceTagMapping;

use super::Aws;
use super::error::{nonsense, sort};
use crate::app::ports::{Access, PortError};
use crate::domain::authority::{Settings, Tags};

/// An account's tags, read without SageMaker's client.
#[derive(Clone)]
pub struct Tagging(Aws);

impl Aws {
    /// The tags of endpoints by the tagging API.
    pub fn tagging(&self) -> Tagging {
        Tagging(self.clone())
    }
}

impl Access for Tagging {
    /// Never `None`: see above.
    async fn tags(&self, endpoint: &str) -> Result<Option<Tags>, PortError> {
        const OPERATION: &str = "GetResources";
        let arns = self.settings().home.endpoint_arns(endpoint);
        let call = self.0.tagging.get_resources();
        let call = call.set_resource_arn_list(Some(arns));
        let found = call.send().await.map_err(|error| sort(OPERATION, &error))?;
        // Pages can't be asked for beside a list of ARNs, and so few resources never fill one.
        if found
            .pagination_token()
            .is_some_and(|token| !token.is_empty())
        {
            return Err(nonsense(OPERATION, "a page of one endpoint"));
        }
        let resources = found.resource_tag_mapping_list().iter();
        let tags = resources.flat_map(ResourceTagMapping::tags);
        let pairs = tags.map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
        Ok(Some(pairs.collect()))
    }

    fn settings(&self) -> &Settings {
        &self.0.config.access
    }
}
