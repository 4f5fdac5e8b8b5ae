//! What a rollout takes: instances, room under quotas, dollars. The numbers are worked out by hand.

use super::builders::*;
use crate::domain::deployment::Deployment;
use crate::domain::outlay::{Machines, Outlay};
use crate::domain::quantity::Span;

const LARGE: &str = "ml.c6i.large";
const XLARGE: &str = "ml.c6i.xlarge";

fn machines(production: Option<&str>, canary: Option<&str>) -> Machines {
    Machines {
        production: production.map(str::to_owned),
        canary: canary.map(str::to_owned),
        canary_price: None,
    }
}

/// Nine stages of ten minutes and a soak of twenty, beside four instances.
fn lengths() -> Vec<Span> {
    let mut lengths = vec![Span::from_mins(10); 9];
    lengths.push(Span::from_mins(20));
    lengths
}

fn proposed() -> Deployment {
    Case::pending().deployment
}

#[test]
fn each_stage_takes_its_share_of_productions_instances_for_as_long_as_it_lasts() {
    let mut priced = machines(Some(LARGE), Some(LARGE));
    priced.canary_price = Some(0.102);
    let outlay = Outlay::of(&proposed(), &priced, &lengths());
    let instances: Vec<u32> = outlay.stages.iter().map(|stage| stage.instances).collect();
    assert_eq!(instances, [1, 1, 2, 2, 2, 3, 3, 4, 4, 4]);
    let third = outlay.stages[2].dollars_per_hour.expect("a price");
    assert!((third - 0.204).abs() < 1e-12, "{third}");
    // 22 instances for a sixth of an hour and 4 for a third: five hours of one.
    let dollars = outlay.dollars.expect("a price");
    assert!((dollars - 0.51).abs() < 1e-12, "{dollars}");
    let unpriced = Outlay::of(&proposed(), &machines(Some(LARGE), Some(LARGE)), &lengths());
    assert_eq!(unpriced.dollars, None);
    assert!(
        unpriced
            .stages
            .iter()
            .all(|stage| stage.dollars_per_hour.is_none())
    );
}

#[test]
fn a_quota_needs_room_for_two_fleets_at_either_end() {
    let of = |deployment: &Deployment, production, canary| -> Vec<(String, u32)> {
        let outlay = Outlay::of(deployment, &machines(production, canary), &lengths());
        let needs = outlay.quotas.into_iter();
        needs.map(|need| (need.name, need.instances)).collect()
    };
    let usage = |kind: &str, instances| (format!("{kind} for endpoint usage"), instances);
    let like_production = proposed();
    // 4 + 2 * 4 where the old variant goes, more than 2 * 4 + 1 where the canary comes.
    assert_eq!(
        of(&like_production, Some(LARGE), Some(LARGE)),
        [usage(LARGE, 12)]
    );
    assert_eq!(
        of(&like_production, Some(LARGE), Some(XLARGE)),
        [usage(LARGE, 8), usage(XLARGE, 8)]
    );
    assert_eq!(of(&like_production, None, Some(XLARGE)), [usage(XLARGE, 8)]);
    assert!(of(&like_production, None, None).is_empty());
    let mut small = proposed();
    small.terms.capacity.instances = Some(1);
    // 2 * 4 + 1 where the canary comes, more than 4 + 2 * 1 where the old variant goes.
    assert_eq!(of(&small, Some(LARGE), Some(LARGE)), [usage(LARGE, 9)]);
    let mut kept = proposed();
    kept.terms.cleanup.keep_old_variant = true;
    // No second update: 2 * 4 + 1, more than 4 + 4.
    assert_eq!(of(&kept, Some(LARGE), Some(LARGE)), [usage(LARGE, 9)]);
}
