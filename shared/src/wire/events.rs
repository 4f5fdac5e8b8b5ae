//! What the functions send each other, and what AWS sends them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A hint that something is due for a deployment. The version says which record was meant; the
/// receiver re-reads it and does only what is committed there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wake {
    /// The deployment's id.
    pub deployment_id: String,
    /// The record's version when it was sent.
    pub version: u64,
}

/// What has changed, as far as it is known whom it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An endpoint of this name has another status.
    Endpoint(String),
    /// An alarm of this name has another state.
    Alarm(String),
}

impl Change {
    /// Reads an event of EventBridge ([SageMaker's], [CloudWatch's]); `None` for any other, and for
    /// one that names nothing.
    ///
    /// [SageMaker's]: https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    /// [CloudWatch's]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
    pub fn of(event: &Value) -> Option<Self> {
        let named = |key: &str| event["detail"][key].as_str().map(str::to_owned);
        match event["detail-type"].as_str()? {
            "SageMaker Endpoint State Change" => named("EndpointName").map(Self::Endpoint),
            "CloudWatch Alarm State Change" => named("alarmName").map(Self::Alarm),
            _ => None,
        }
    }
}
