//! What a request costs: the price of the instances that a variant needs, by the requests it answers.
//!
//! Two things would make a healthy canary look dear, or a dear one cheap, and are taken out:
//!
//! - Instances come whole. A share of 10 % of four instances is served by one, which is 2.5 times
//!   what it needs. The part of an instance that is there by rounding alone is not charged.
//! - Production keeps what the total traffic needs all through the rollout, to be able to take it back.
//!   It is charged for its own share of that.

use serde::{Deserialize, Serialize};

use super::deployment::Deployment;
use super::observation::{ArmMinute, Metrics, Series};

const MINUTES_AN_HOUR: f64 = 60.0;

/// Dollars for an hour of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// Of the new model.
    pub canary: f64,
    /// Of the old one.
    pub production: f64,
}

/// Writes the cost of each minute into the reading, where prices and the canary's instances are known.
pub fn price(metrics: &mut Metrics, deployment: &Deployment, canary_instances: Option<u32>) {
    let (Some(prices), Some(instances)) = (deployment.terms.prices, canary_instances) else {
        return;
    };
    let (Series::Read(canary), Series::Read(production)) =
        (&mut metrics.canary, &mut metrics.production)
    else {
        return;
    };
    let needs = charged(deployment, instances);
    for (at, ours) in canary.iter_mut() {
        ours.cost = Some(prices.canary / MINUTES_AN_HOUR * needs);
        if let Some(theirs) = production.get_mut(at) {
            let part = share_of(theirs, ours);
            let total = f64::from(deployment.state.production_instances);
            theirs.cost = Some(prices.production / MINUTES_AN_HOUR * total * part);
        }
    }
}

/// The canary's instances less what rounding up made of its share.
fn charged(deployment: &Deployment, instances: u32) -> f64 {
    let instances = f64::from(instances);
    if deployment.terms.capacity.instances.is_some() {
        return instances;
    }
    let exact =
        f64::from(deployment.state.production_instances) * deployment.state.weight.fraction();
    let rounding = exact.ceil().max(1.0) - exact;
    // With fewer than its share needs it is charged for all of them.
    if instances > exact {
        (instances - rounding).max(exact)
    } else {
        instances
    }
}

fn share_of(own: &ArmMinute, other: &ArmMinute) -> f64 {
    let all = own.invocations + other.invocations;
    if all == 0 {
        0.0
    } else {
        own.invocations as f64 / all as f64
    }
}
