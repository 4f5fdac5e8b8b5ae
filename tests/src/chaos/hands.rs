//! What others do to an endpoint, and what SageMaker does to it by itself. Each says whether the
//! account took it: an endpoint that is changing refuses people too.

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::domain::authority::ENABLED_TAG;
use simulator::{Refusal, Simulator, service};

use super::journey::variant;
use crate::PRODUCTION;

/// An endpoint and its account.
pub(super) struct Hands<'a> {
    pub(super) account: &'a Simulator,
    pub(super) endpoint: &'a str,
}

impl Hands<'_> {
    fn ask(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        self.account.call(service::SAGEMAKER, operation, input)
    }

    /// DescribeEndpoint, if there is one.
    pub(super) fn described(&self) -> Option<Value> {
        let input = json!({"EndpointName": self.endpoint});
        self.ask("DescribeEndpoint", &input).ok()
    }

    fn is_in(&self, statuses: &[&str]) -> bool {
        let view = self.described();
        let status = view.as_ref().and_then(|it| it["EndpointStatus"].as_str());
        status.is_some_and(|status| statuses.contains(&status))
    }

    /// Another status until then. One that is over by itself never hides one that is for good.
    pub(super) fn set_status(&self, status: &str, until: Timestamp) -> bool {
        let possible = self.is_in(&["InService", "Updating"]);
        if possible {
            let sagemaker = self.account.sagemaker();
            sagemaker.set_status(self.endpoint, status, until);
        }
        possible
    }

    /// Weights by hand: this percentage to every variant but production.
    pub(super) fn set_share(&self, percent: usize) -> bool {
        let Some(view) = self.described() else {
            return false;
        };
        let names = names(&view);
        if names.len() < 2 {
            return false;
        }
        let share = |name: &str| {
            if name == PRODUCTION {
                100 - percent
            } else {
                percent
            }
        };
        let desired: Vec<Value> = names
            .iter()
            .map(|name| json!({"VariantName": name, "DesiredWeight": share(name)}))
            .collect();
        self.adjust(&json!(desired))
    }

    /// Another instance count of one of the variants.
    pub(super) fn set_instances(&self, which: usize, count: usize) -> bool {
        let Some(view) = self.described() else {
            return false;
        };
        let names = names(&view);
        let Some(name) = names.get(which % names.len().max(1)) else {
            return false;
        };
        self.adjust(&json!([{"VariantName": name, "DesiredInstanceCount": count}]))
    }

    fn adjust(&self, desired: &Value) -> bool {
        let input = json!({"EndpointName": self.endpoint, "DesiredWeightsAndCapacities": desired});
        self.ask("UpdateEndpointWeightsAndCapacities", &input)
            .is_ok()
    }

    /// UpdateEndpoint to the config it is on, which forgets the live weights.
    pub(super) fn deploy_again(&self) -> bool {
        let Some(view) = self.described() else {
            return false;
        };
        let input = json!({
            "EndpointName": self.endpoint,
            "EndpointConfigName": view["EndpointConfigName"],
        });
        self.ask("UpdateEndpoint", &input).is_ok()
    }

    /// UpdateEndpoint to a config of somebody else's, whose only variant has this name.
    pub(super) fn deploy_foreign(&self, name: &str, model: &str) -> bool {
        let config = format!("foreign-{}-{name}", self.endpoint);
        let made = json!({
            "EndpointConfigName": config,
            "ProductionVariants": [variant(name, model)],
        });
        // It may be there from an attempt before.
        drop(self.ask("CreateEndpointConfig", &made));
        let input = json!({"EndpointName": self.endpoint, "EndpointConfigName": config});
        self.ask("UpdateEndpoint", &input).is_ok()
    }

    /// DeleteEndpoint.
    pub(super) fn delete(&self) -> bool {
        let input = json!({"EndpointName": self.endpoint});
        self.ask("DeleteEndpoint", &input).is_ok()
    }

    /// CreateEndpoint.
    pub(super) fn create(&self, config: &str) -> bool {
        let input = json!({
            "EndpointName": self.endpoint,
            "EndpointConfigName": config,
            "Tags": [{"Key": ENABLED_TAG, "Value": "true"}],
        });
        self.ask("CreateEndpoint", &input).is_ok()
    }

    /// Requests with an error each, in a minute that was read before or is under way.
    pub(super) fn record_errors(&self, at: Timestamp, times: u64) -> bool {
        let Some(view) = self.described() else {
            return false;
        };
        let names = names(&view);
        let Some(name) = names.last() else {
            return false;
        };
        let dimensions = [
            ("EndpointName", self.endpoint),
            ("VariantName", name.as_str()),
        ];
        let metrics = self.account.cloudwatch();
        let record = |metric: &str, value: f64, unit: &str| {
            metrics.record_repeated("AWS/SageMaker", metric, &dimensions, at, value, times, unit);
        };
        record("Invocations", 1.0, "None");
        record("Invocation5XXErrors", 1.0, "None");
        record("Invocation4XXErrors", 0.0, "None");
        record("ModelLatency", 20_000.0, "Microseconds");
        true
    }
}

fn names(view: &Value) -> Vec<String> {
    let variants = view["ProductionVariants"].as_array().into_iter().flatten();
    let names = variants.filter_map(|it| it["VariantName"].as_str());
    names.map(str::to_owned).collect()
}
