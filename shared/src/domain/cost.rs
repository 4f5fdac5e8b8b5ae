//! What a request costs: the price of the instances that a variant needs, by the requests it answers.
//!
//! Two things would make a healthy canary look dear, or a dear one cheap, and are taken out:
//!
//! - Instances come whole. A share of 10 % of four instances is served by one, which is 2.5 times
//!   what it needs. The part of an instance that is there by rounding alone is not charged.
//! - Production keeps what the total traffic needs all through the rollout, to be able to take it back.
//!   It is charged for its own share of that.

use std::collections::BTreeMap;

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

/// What an hour of an instance costs, by its type, in millionths of a dollar.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PriceList(BTreeMap<String, u64>);

/// Whether this can be the price of an hour of an instance, in dollars.
pub fn is_price(dollars: f64) -> bool {
    dollars.is_finite() && dollars > 0.0 && dollars < 10_000.0
}

impl PriceList {
    /// Prices as the stack's parameter has them, `ml.c6i.large=0.102 ml.m5.large=0.115`. A type whose
    /// price can't be read, or that stands there twice, has none: whoever needs it is told so, and nobody
    /// else is held up.
    pub fn parse(text: &str) -> Self {
        let mut given: BTreeMap<String, Option<u64>> = BTreeMap::new();
        for pair in text.split_whitespace() {
            let (kind, price) = pair.split_once('=').unwrap_or((pair, ""));
            given
                .entry(kind.to_owned())
                .and_modify(|twice| *twice = None)
                .or_insert_with(|| millionths(price));
        }
        let readable = given.into_iter();
        Self(
            readable
                .filter_map(|(kind, price)| Some((kind, price?)))
                .collect(),
        )
    }

    /// Dollars for an hour of an instance of this type.
    pub fn of(&self, kind: &str) -> Option<f64> {
        self.0.get(kind).map(|millionths| *millionths as f64 / 1e6)
    }
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

fn millionths(price: &str) -> Option<u64> {
    let dollars: f64 = price.parse().ok().filter(|dollars| is_price(*dollars))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above zero and below 10^10"
    )]
    let millionths = (dollars * 1e6).round() as u64;
    Some(millionths)
}

fn share_of(own: &ArmMinute, other: &ArmMinute) -> f64 {
    let all = own.invocations + other.invocations;
    if all == 0 {
        0.0
    } else {
        own.invocations as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_that_can_not_be_read_is_none_and_costs_the_others_nothing() {
        let list = PriceList::parse(" ml.c6i.large=0.102  ml.m5.large=1 ");
        assert_eq!(list.of("ml.c6i.large"), Some(0.102));
        assert_eq!(list.of("ml.m5.large"), Some(1.0));
        assert_eq!(list.of("ml.m5.xlarge"), None);
        assert_eq!(PriceList::parse(""), PriceList::default());
        for text in [
            "ml.c6i.large",
            "ml.c6i.large=",
            "ml.c6i.large=0",
            "ml.c6i.large=-1",
            "ml.c6i.large=NaN",
            "ml.c6i.large=0,102",
            "ml.c6i.large=10000",
            "ml.c6i.large=1 ml.c6i.large=2",
            "ml.c6i.large=1 ml.c6i.large=1 ml.c6i.large=1",
        ] {
            let list = PriceList::parse(&format!("{text} ml.m5.large=1"));
            assert_eq!(list.of("ml.c6i.large"), None, "{text}");
            assert_eq!(list.of("ml.m5.large"), Some(1.0), "{text}");
        }
    }
}
