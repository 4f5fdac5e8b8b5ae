//! What a rollout takes beside what production takes already, said before it starts: instances, room
//! under the account's quotas, and dollars.
//!
//! SageMaker deploys a config to a new fleet and then deletes the old one, so for some minutes an update
//! needs room for both. A rollout makes two of them: one that brings the canary, beside the whole of
//! production, and one that removes the old variant, beside the whole canary. Which of the two needs more
//! depends on the numbers, so both are looked at. What those minutes cost is left out of the dollars: nobody
//! says how long they are.
//!
//! Everything is counted from production's instances of now. A fleet that grows meanwhile takes the canary's
//! with it.

use serde::{Deserialize, Serialize};

use super::deployment::Deployment;
use super::quantity::{Span, Weight};

const SECONDS_AN_HOUR: f64 = 3600.0;

/// What the instances of both variants are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Machines {
    /// The type of production's; absent where its config names none.
    pub production: Option<String>,
    /// The type of the canary's.
    pub canary: Option<String>,
    /// Dollars for an hour of one of the canary's; absent where nobody has given a price.
    pub canary_price: Option<f64>,
}

/// What a stage takes beside production.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StageOutlay {
    /// The canary's instances, which run beside production's.
    #[serde(default)]
    pub instances: u32,
    /// Dollars for an hour of them; absent where the price of their type is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dollars_per_hour: Option<f64>,
}

/// A quota that must have room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Quota))]
pub struct QuotaNeed {
    /// Its name in Service Quotas, like `ml.c6i.large for endpoint usage`.
    pub name: String,
    /// The type of instances that it counts.
    pub instance_type: String,
    /// How many of the endpoint's it has to allow at the most, production's included, while an update has two
    /// fleets side by side. What other endpoints of the account use comes on top. Whether there is so much
    /// room was not asked.
    pub instances: u32,
}

/// What the whole rollout takes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outlay {
    /// One for each stage.
    pub stages: Vec<StageOutlay>,
    /// Dollars for the canary's instances from the first share to the end of the soak.
    pub dollars: Option<f64>,
    /// One for each type of instances that is known.
    pub quotas: Vec<QuotaNeed>,
}

impl Outlay {
    /// Of a proposed deployment, whose stages last so long; the last one for its soak.
    pub fn of(deployment: &Deployment, machines: &Machines, lengths: &[Span]) -> Self {
        let stages = deployment.terms.plan.stages.iter().map(|stage| {
            let instances = deployment.canary_instances_for(stage.weight);
            let price = machines.canary_price;
            StageOutlay {
                instances,
                dollars_per_hour: price.map(|price| price * f64::from(instances)),
            }
        });
        let stages: Vec<StageOutlay> = stages.collect();
        let each = stages.iter().zip(lengths).map(|(stage, length)| {
            let hours = length.secs() as f64 / SECONDS_AN_HOUR;
            Some(stage.dollars_per_hour? * hours)
        });
        Self {
            dollars: each.sum(),
            quotas: quotas(deployment, machines),
            stages,
        }
    }
}

fn quotas(deployment: &Deployment, machines: &Machines) -> Vec<QuotaNeed> {
    let production = deployment.production_needs();
    let terms = &deployment.terms;
    let first = deployment.canary_instances_for(terms.plan.stages[0].weight);
    let full = deployment.canary_instances_for(Weight::FULL);
    // Of production's and of the canary's, old and new fleet together.
    let mut moments = vec![(production.saturating_mul(2), first), (production, full)];
    if !terms.cleanup.keep_old_variant {
        moments.push((production, full.saturating_mul(2)));
    }
    let mut kinds: Vec<&String> = [&machines.production, &machines.canary]
        .into_iter()
        .flatten()
        .collect();
    kinds.dedup();
    let needs = kinds.into_iter().map(|kind| {
        let of = |is_of: &Option<String>, count: u32| {
            if is_of.as_ref() == Some(kind) {
                count
            } else {
                0
            }
        };
        let counted = moments.iter().map(|(production, canary)| {
            let production = of(&machines.production, *production);
            production.saturating_add(of(&machines.canary, *canary))
        });
        QuotaNeed {
            name: format!("{kind} for endpoint usage"),
            instance_type: kind.clone(),
            instances: counted.max().unwrap_or(0),
        }
    });
    needs.collect()
}
