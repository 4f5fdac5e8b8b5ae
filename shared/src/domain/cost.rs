//! What a request costs: the price of the instances that a variant needs, by the requests it answers.
//!
//! Two things would make a healthy canary look dear, or a dear one cheap, and are taken out:
//!
//! - Instances come whole. A share of 10 % of four instances is served by one, which is 2.5 times
//!   what it needs. The part of an instance that is there by rounding alone is not charged, whoever
//!   asked for that instance.
//! - Production keeps what the total traffic needs all through the rollout, to be able to take it back.
//!
//! So each arm is charged for its measured share of production's instances, and the canary beside that
//! for those that are more than its weight asks for. The shares are measured minute by minute: few
//! requests, and users who are asked by name, make them other than the weights. A minute without a
//! canary request counts too, or the canary's part of the others would look larger than it is.
//!
//! At 100 % nothing is taken out of the canary's any more: it is charged for the instances that it has. It is
//! held against what production's requests cost in this rollout while it had some ([`Spent`]), each of them
//! charged to the instances that the total traffic needs, so both are a whole fleet by all requests. The
//! traffic is another one by then: at night the same instances answer a tenth of the requests, of either
//! model. So production is taken to have kept the part of its fleet that the canary has of its own
//! ([`Fleet::instead_of`]): one instance of four times the size is a whole fleet as four are. The other way round, after stages at night, production's requests look
//! dearer than they are by day, and a dear canary shows in the nights of the soak and of the watch.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::deployment::{Deployment, State};
use super::observation::{ArmMinute, Metrics, Series};
use super::quantity::Weight;

const MINUTES_AN_HOUR: f64 = 60.0;
const MILLION: f64 = 1e6;
/// Standard deviations by which a minute's share may differ from the weight by chance.
const DEVIATIONS: f64 = 3.0;

/// Dollars for an hour of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// Of the new model.
    pub canary: f64,
    /// Of the old one.
    pub production: f64,
}

/// What production's requests cost, over the minutes of a rollout in which it had some and their price is
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Its requests.
    pub requests: u64,
    /// What its instances were charged with for them, in dollars.
    pub dollars: f64,
}

impl Spent {
    /// Adds a minute of production's; one whose cost is not known adds nothing.
    pub fn note(spent: &mut Option<Self>, production: &ArmMinute) {
        if let Some(dollars) = production.cost
            && production.invocations > 0
        {
            let spent = spent.get_or_insert_default();
            spent.requests += production.invocations;
            spent.dollars += dollars;
        }
    }

    /// The dollars of one request; absent of none.
    pub fn each(self) -> Option<f64> {
        (self.requests > 0).then(|| self.dollars / self.requests as f64)
    }
}

/// What production's requests are priced by where it has none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fleet {
    prices: Prices,
    /// Production's instances that the total traffic needs.
    production: u32,
    /// The canary's that all of it needs: one at the least.
    needed: u32,
}

impl Fleet {
    /// A deployment's; absent where the prices are not known.
    pub fn of(deployment: &Deployment) -> Option<Self> {
        Some(Self {
            prices: deployment.terms.prices?,
            production: deployment.state.production_instances,
            needed: deployment.canary_instances_for(Weight::FULL),
        })
    }

    /// The dollars that production would have cost in a minute in which the canary has all requests: by what
    /// its own cost before, and no less than the part of its fleet that the canary has of the instances that all
    /// traffic needs. Absent while the one or the other is not known.
    pub fn instead_of(self, canary: &ArmMinute, spent: Option<Spent>) -> Option<f64> {
        let by_requests = spent?.each()? * canary.invocations as f64;
        let instances = canary.cost? * MINUTES_AN_HOUR / self.prices.canary;
        let there = (instances / f64::from(self.needed)).min(1.0);
        let kept = f64::from(self.production) * there;
        Some(by_requests.max(self.prices.production / MINUTES_AN_HOUR * kept))
    }
}

/// What an hour of an instance costs, by its type, in millionths of a dollar.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PriceList(BTreeMap<String, u64>);

/// Whether this can be the price of an hour of an instance, in dollars: prices are kept in millionths.
pub fn is_price(dollars: f64) -> bool {
    (1e-6..10_000.0).contains(&dollars)
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
        self.0
            .get(kind)
            .map(|millionths| *millionths as f64 / MILLION)
    }
}

/// Writes the cost of each minute of the present stage into the reading, where prices and the canary's
/// instances are known: those of another share are not known any more.
pub fn price(metrics: &mut Metrics, deployment: &Deployment, canary_instances: Option<u32>) {
    let (Some(prices), Some(instances)) = (deployment.terms.prices, canary_instances) else {
        return;
    };
    let (Series::Read(canary), Series::Read(production)) =
        (&mut metrics.canary, &mut metrics.production)
    else {
        return;
    };
    let state = &deployment.state;
    let total = f64::from(state.production_instances);
    let of = |arm: &BTreeMap<Timestamp, ArmMinute>| -> Vec<Timestamp> {
        let served = arm.range(state.stage_since..);
        let served = served.filter(|(_, minute)| minute.invocations > 0);
        served.map(|(at, _)| *at).collect()
    };
    for at in [of(canary), of(production)].concat() {
        let theirs = production.get_mut(&at);
        let ours = canary.entry(at).or_default();
        let rest = theirs.as_ref().map_or(0, |theirs| theirs.invocations);
        let all = (ours.invocations + rest) as f64;
        let share = ours.invocations as f64 / all;
        let needs = charged(state, f64::from(instances), share, all);
        ours.cost = Some(prices.canary / MINUTES_AN_HOUR * needs);
        if let Some(theirs) = theirs {
            theirs.cost = Some(prices.production / MINUTES_AN_HOUR * total * (1.0 - share));
        }
    }
}

/// The canary's instances, as many as its share of production's needs exactly, and those beyond the
/// whole ones that its weight asks for. With fewer than its weight asks for it is charged for as much
/// less, and for no more than it has where its share is above its weight by more than chance: cut off
/// at every lucky minute, a dear canary would look cheaper than it is.
fn charged(state: &State, instances: f64, share: f64, requests: f64) -> f64 {
    let total = f64::from(state.production_instances);
    let whole = f64::from(state.weight.part_of(state.production_instances).max(1));
    let beyond = (instances - whole).max(0.0);
    // At no weight nothing is asked for: the quotient is no bound then.
    let there = (instances / (total * state.weight.fraction())).min(1.0);
    let of = |share: f64| total * share * there + beyond;
    let by_chance = DEVIATIONS * (share * (1.0 - share) / requests).sqrt();
    if of(share - by_chance) >= instances {
        instances
    } else {
        of(share)
    }
}

fn millionths(price: &str) -> Option<u64> {
    let dollars: f64 = price.parse().ok().filter(|dollars| is_price(*dollars))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above zero and below 10^10"
    )]
    let millionths = (dollars * MILLION).round() as u64;
    Some(millionths)
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
            "ml.c6i.large=0.0000001",
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
