//! What the instances of both variants are, and what an hour of one costs: as the specification says, or
//! else the stack. Where cost is judged both prices must be known; a plan goes without.

use super::refusal::{Refusal, unfit};
use crate::domain::cost::{PriceList, Prices};
use crate::domain::outlay::Machines;
use crate::domain::policy::Test;
use crate::domain::specification::Specification;

/// What the instances of both variants cost, where that is judged.
pub(super) fn prices(
    specification: &Specification,
    list: &PriceList,
    production: Option<&str>,
) -> Result<Option<Prices>, Refusal> {
    let guards = &specification.policy.guards;
    if !guards
        .iter()
        .any(|guard| matches!(guard.test, Test::CostRatio(_)))
    {
        return Ok(None);
    }
    let price = |kind: Option<&str>| {
        let known = kind.and_then(|kind| price_of(kind, specification, list));
        known.ok_or_else(|| {
            let kind = kind.unwrap_or("an unknown type");
            let detail = format!(
                "there is no price for {kind}: add dollars an hour of one instance, like {{{kind}: 0.102}}, here or, once and above 0, to the stack's parameter InstancePrices"
            );
            unfit("price-unknown", "policy.cost.prices", detail)
        })
    };
    let canary = specification.capacity.instance_type.as_deref();
    Ok(Some(Prices {
        canary: price(canary.or(production))?,
        production: price(production)?,
    }))
}

/// Dollars for an hour of an instance: as the specification says, or else the stack.
fn price_of(kind: &str, specification: &Specification, list: &PriceList) -> Option<f64> {
    let given = specification.prices.get(kind).copied();
    given.or_else(|| list.of(kind))
}

/// What both variants run on, where that is known.
pub(super) fn machines(
    specification: &Specification,
    list: &PriceList,
    production: Option<&str>,
) -> Machines {
    let asked = specification.capacity.instance_type.as_deref();
    let canary = asked.or(production);
    Machines {
        production: production.map(str::to_owned),
        canary: canary.map(str::to_owned),
        canary_price: canary.and_then(|kind| price_of(kind, specification, list)),
    }
}
