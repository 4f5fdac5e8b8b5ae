//! What is watched beside the weights: instances, an endpoint that is changing, phases that don't end.

use std::collections::BTreeMap;

use super::builders::*;
use crate::domain::deployment::{Busy, Floor, Lease, Short};
use crate::domain::due::{Effect, due};
use crate::domain::history::{Name, Severity};
use crate::domain::observation::EndpointStatus::{RollingBack, SystemUpdating, Updating};
use crate::domain::observation::{EndpointReading, EndpointView};
use crate::domain::policy::{Consequence, Grade, OnDrift};
use crate::domain::protocol::{self, Answer};
use crate::domain::quantity::{Span, Weight};
use crate::domain::scaling::{Autoscaling, ScalableTarget, Suspension};
use crate::domain::state::{Outcome, Phase, Status};

/// The endpoint with so many instances in production.
fn with_production(mut view: EndpointView, current: u32) -> EndpointView {
    view.variants[0].current_instances = current;
    view
}

fn confirmed(case: Case, instances: u32) -> Case {
    case.with(|case| case.deployment.state.canary_instances = instances)
}

#[test]
fn instances_that_somebody_took_from_the_canary_hold_and_come_back_where_the_policy_says_so() {
    let case = || confirmed(Case::baking(30), 2);
    let fewer = || seen(split(30).canary_instances(1, 1));
    let held = goes_on(Phase::Holding)
        .tells(&[Name::Drift, Name::Held])
        .says("not the 2 its share was confirmed with");
    check(&case(), &fewer(), &held.clone().nothing_due());
    let restore = case().with(|case| case.deployment.terms.policy.on_drift = OnDrift::Restore);
    check(&restore, &fewer(), &held.due(Effect::Grow { instances: 2 }));
    let abandon = case().with(|case| case.deployment.terms.policy.on_drift = OnDrift::Abandon);
    check(
        &abandon,
        &fewer(),
        &goes_on(Phase::CleaningUp).outcome(Outcome::Failed),
    );
    // More than asked for is autoscaling's business, and instances on their way are not missing.
    for view in [
        split(30).canary_instances(3, 3),
        split(30).canary_instances(1, 2),
    ] {
        let decision = check(&case(), &seen(view), &goes_on(Phase::Scaling));
        assert_eq!(decision.next.state.drift, None);
    }
}

#[test]
fn a_raise_confirms_the_instances_it_was_made_with() {
    let decision = check(
        &Case::scaling(40, 50),
        &seen(split(40)),
        &goes_on(Phase::Shifting),
    );
    assert_eq!(decision.next.state.canary_instances, 2);
}

#[test]
fn nothing_is_raised_while_production_could_not_take_everything_back() {
    let short = || seen(with_production(split(30), INSTANCES - 1));
    let case = Case::baking(30);
    let held = goes_on(Phase::Holding).says("could not take everything back");
    let decision = check(&case, &short(), &held.clone().tells(&[Name::Held]));
    assert_eq!(
        decision.next.state.short,
        Some(Short {
            since: case.now,
            told: false
        })
    );
    // Scaling takes some minutes; then people are told, once.
    let since = |ago: i64, told: bool| {
        Case::holding(30).with(|case| {
            case.deployment.state.short = Some(Short {
                since: case.now - minutes(ago),
                told,
            });
        })
    };
    check(&since(4, false), &short(), &held.clone().quietly());
    let decision = check(
        &since(5, false),
        &short(),
        &held.clone().tells(&[Name::CapacityShort]),
    );
    assert_eq!(decision.entries[0].severity, Severity::Warning);
    check(&since(6, true), &short(), &held.quietly());
    check(
        &since(6, true),
        &seen(split(30)),
        &goes_on(Phase::Scaling).tells(&[Name::CapacityBack, Name::Scaling]),
    );
    check(
        &Case::scaling(30, 40),
        &short(),
        &goes_on(Phase::Scaling).target(40).quietly(),
    );
}

#[test]
fn a_rollback_does_not_wait_for_capacity_but_says_so_at_once() {
    let case = Case::reverting(30, Outcome::RolledBack).with(|case| {
        case.deployment.state.floor = Case::baking(30).deployment.state.floor;
    });
    let decision = check(
        &case,
        &seen(with_production(split(30), 1)),
        &becomes(Status::RollingBack, Phase::Reverting)
            .tells(&[Name::CapacityShort, Name::RollbackWaits])
            .due(Effect::TakeBack),
    );
    assert_eq!(decision.entries[0].severity, Severity::Critical);
}

/// What the total traffic would take beyond the ceiling of production's scaling is asked of nobody:
/// neither of production nor of the canary, which scales under the same ceiling.
#[test]
fn what_scaling_does_not_allow_is_not_missing() {
    let capped = Case::baking(30).with(|case| {
        let state = &mut case.deployment.state;
        state.production_instances = 40;
        state.floor = Some(Floor {
            held_at: 40,
            released: false,
            withdrawn: false,
            found: Some(ScalableTarget {
                min: 1,
                max: INSTANCES,
                policies: Vec::new(),
                suspended: Suspension::default(),
                tags: BTreeMap::new(),
            }),
        });
    });
    let decision = check(
        &capped,
        &seen(split(30)),
        &goes_on(Phase::Scaling)
            .target(40)
            .due(Effect::AutoScale { instances: 2 }),
    );
    assert_eq!(decision.next.state.short, None);
    let whole = capped.deployment.canary_instances_for(Weight::FULL);
    assert_eq!(whole, INSTANCES);
}

#[test]
fn the_floor_follows_what_the_total_traffic_needs() {
    // Scaling gave production 7 instances for 70 % of the traffic.
    let grown = || seen(with_production(split(30), 7));
    let wants = Effect::HoldFloor { instances: 10 };
    for case in [Case::baking(30), Case::awaiting(30)].map(Case::scales) {
        let decision =
            crate::domain::decide::decide(&case.deployment, &case.evidence, &grown(), case.now)
                .unwrap();
        assert_eq!(decision.next.state.production_instances, 10);
        let due = crate::domain::decide::effect_after(&decision, &grown().endpoint, case.now);
        assert_eq!(due, Some(wants.clone()), "{}", case.deployment.state.phase);
    }
    // What the floor itself brought is no growth: it would raise itself for ever.
    let held = Case::soaking().with(|case| {
        let state = &mut case.deployment.state;
        state.production_instances = 10;
        state.floor = Some(Floor {
            held_at: 10,
            released: false,
            withdrawn: false,
            found: None,
        });
    });
    let decision = check(
        &held,
        &seen(with_production(split(100), 10).canary_instances(10, 10)),
        &becomes(Status::InProgress, Phase::Finalizing),
    );
    assert_eq!(decision.next.state.production_instances, 10);
}

fn needs(case: &Case, view: EndpointView) -> u32 {
    let decided =
        crate::domain::decide::decide(&case.deployment, &case.evidence, &seen(view), case.now);
    decided.unwrap().next.state.production_instances
}

/// An instance more in a fleet that does not scale is a person's doing and says nothing about the
/// traffic: it is what production has, and no share of what it should have.
#[test]
fn an_instance_that_somebody_gave_production_is_no_growth_of_the_traffic() {
    let given = INSTANCES + 1;
    for percent in [10, 50, 90] {
        let fixed = Case::baking(percent);
        let view = || with_production(split(percent), given);
        assert_eq!(needs(&fixed, view()), given, "at {percent} %");
        let no_more = Case::baking(percent).withdrawn();
        assert_eq!(needs(&no_more, view()), given, "at {percent} %");
        let decision = check(&fixed, &seen(view()), &goes_on(Phase::Scaling));
        assert_eq!(decision.next.state.short, None, "at {percent} %");
    }
}

/// Ten times five is fifty, and no share in binary fractions makes it fifty-one.
#[test]
fn what_a_share_of_production_makes_of_the_total_is_exact() {
    for (percent, has, total) in [
        (90, 5, 50),
        (50, 5, 10),
        (30, 7, 10),
        (70, 6, 20),
        (1, 99, 100),
    ] {
        let case = Case::baking(percent).scales();
        let view = with_production(split(percent), has);
        assert_eq!(needs(&case, view), total, "{has} at {percent} %");
    }
    let mut deployment = Case::baking(30).deployment;
    deployment.state.production_instances = 100;
    for percent in 1..=100 {
        let instances = deployment.canary_instances_for(weight(percent));
        assert_eq!(instances, u32::from(percent));
    }
}

/// What the canary was given for a share it no longer has is no growth of the traffic.
#[test]
fn the_floor_follows_a_canary_that_scaling_has_grown_past_it() {
    let other_type = |case: &mut Case| {
        case.deployment.terms.capacity.instance_type = Some("ml.c6i.large".to_owned());
    };
    let rows = [
        (Case::baking(50).scales(), INSTANCES, INSTANCES),
        (Case::baking(50).scales(), 6, 6),
        (Case::baking(50).scales().with(other_type), 6, INSTANCES),
        (Case::baking(50), 6, INSTANCES),
    ];
    for (case, has, total) in rows {
        let view = split(50).canary_instances(has, has);
        assert_eq!(needs(&case, view), total, "{has}");
    }
}

#[test]
fn a_target_that_a_finalizing_update_had_removed_comes_back_with_a_rollback() {
    let released = |case: Case| {
        case.with(|case| {
            case.deployment.state.floor = Some(Floor {
                held_at: 0,
                released: true,
                withdrawn: false,
                found: Some(Autoscaling::default().target()),
            });
        })
    };
    let hold = Effect::HoldFloor {
        instances: INSTANCES,
    };
    // Traffic first.
    check(
        &released(Case::reverting(100, Outcome::RolledBack)),
        &seen(split(100)),
        &becomes(Status::RollingBack, Phase::Reverting).due(Effect::TakeBack),
    );
    check(
        &released(Case::reverting(100, Outcome::RolledBack)),
        &seen(split(0)),
        &becomes(Status::RollingBack, Phase::CleaningUp).due(hold.clone()),
    );
    check(
        &released(Case::cleaning(Outcome::RolledBack)),
        &seen(split(0)),
        &becomes(Status::RollingBack, Phase::CleaningUp).due(hold),
    );
    check(
        &released(Case::finalizing()),
        &seen(split(100)),
        &goes_on(Phase::Finalizing).due(Effect::Deploy {
            config: FINAL.to_owned(),
        }),
    );
}

#[test]
fn an_endpoint_that_takes_no_updates_is_counted_by_its_reason_and_told_once() {
    let busy = |updating: u64, maintenance: u64, told: bool| {
        Case::baking(30).with(|case| {
            case.deployment.state.busy = Some(Busy {
                seen_at: case.now - minutes(1),
                system_updating: Span::from_mins(maintenance),
                updating: Span::from_mins(updating),
                told,
            });
        })
    };
    let status = |status| seen(split(30).is(status));
    let counted = |case: &Case, view| {
        let seen = status(view);
        let decision =
            crate::domain::decide::decide(&case.deployment, &case.evidence, &seen, case.now)
                .unwrap();
        let busy = decision.next.state.busy.unwrap();
        let told: Vec<Name> = decision.entries.iter().map(|entry| entry.event).collect();
        (
            busy.updating.secs() / 60,
            busy.system_updating.secs() / 60,
            told.contains(&Name::EndpointBusy),
        )
    };
    assert_eq!(counted(&Case::baking(30), Updating), (0, 0, false));
    assert_eq!(counted(&busy(3, 2, false), Updating), (4, 2, false));
    assert_eq!(counted(&busy(3, 2, false), SystemUpdating), (3, 3, false));
    assert_eq!(counted(&busy(3, 2, false), RollingBack), (4, 2, false));
    assert_eq!(counted(&busy(29, 2, false), Updating), (30, 2, true));
    assert_eq!(counted(&busy(3, 9, false), SystemUpdating), (3, 10, true));
    assert_eq!(counted(&busy(40, 9, true), Updating), (41, 9, false));
    let rests = check(
        &busy(40, 9, true),
        &seen(split(30)),
        &goes_on(Phase::Scaling).tells(&[Name::EndpointRests, Name::Scaling]),
    );
    assert_eq!(rests.next.state.busy, None);
}

#[test]
fn a_rollback_that_waits_says_for_what() {
    let case = Case::reverting(30, Outcome::RolledBack).with(|case| {
        let state = &mut case.deployment.state;
        state.refusal = Some("ValidationException: in progress".to_owned());
        state.busy = Some(Busy {
            seen_at: case.now,
            system_updating: Span::from_mins(4),
            updating: Span::from_mins(2),
            told: false,
        });
    });
    let decision = check(
        &case,
        &seen(split(30).is(SystemUpdating)),
        &becomes(Status::RollingBack, Phase::Reverting).tells(&[Name::RollbackWaits]),
    );
    let reason = &decision.entries[0].reason;
    for part in [
        "2m of updates and 4m of SageMaker's own",
        "in progress",
        "30 % on the canary",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn a_phase_that_waits_for_aws_and_does_not_end_is_told_once() {
    let lasting = |case: Case, ago: i64, refusal: Option<&str>| {
        case.with(|case| {
            case.deployment.state.phase_since = case.now - minutes(ago);
            case.deployment.state.refusal = refusal.map(str::to_owned);
        })
    };
    let quota = Some("ResourceLimitExceeded: instances");
    let waits = goes_on(Phase::Finalizing);
    check(
        &lasting(Case::finalizing(), 29, quota),
        &seen(split(100)),
        &waits.clone().quietly(),
    );
    let told = check(
        &lasting(Case::finalizing(), 30, quota),
        &seen(split(100)),
        &waits.clone().tells(&[Name::Stalled]),
    );
    assert!(told.entries[0].reason.contains("ResourceLimitExceeded"));
    let again =
        lasting(Case::finalizing(), 40, quota).with(|case| case.deployment.state.stall_told = true);
    check(&again, &seen(split(100)), &waits.quietly());
    let scaling = lasting(Case::scaling(30, 40), 60, quota);
    let few = seen(split(30).canary_instances(1, 1));
    let waits = goes_on(Phase::Scaling).target(40);
    let told = check(&scaling, &few, &waits.tells(&[Name::Stalled]));
    assert!(told.entries[0].reason.contains("ResourceLimitExceeded"));
    // The hour of inspection is none.
    check(
        &lasting(Case::cleaning(Outcome::RolledBack), 89, None),
        &seen(split(0)),
        &becomes(Status::RollingBack, Phase::CleaningUp).quietly(),
    );
    check(
        &lasting(Case::cleaning(Outcome::RolledBack), 91, None),
        &seen(split(0)),
        &becomes(Status::RollingBack, Phase::CleaningUp).tells(&[Name::Stalled]),
    );
}

#[test]
fn weights_of_single_precision_are_no_drift_that_hides_another() {
    // As SageMaker shows 0.1 and 0.9: a share a little above 10 %.
    let mut view = split(10).canary_instances(1, 1);
    view.variants[0].current_weight = f64::from(0.9_f32);
    view.variants[1].current_weight = f64::from(0.1_f32);
    let case = confirmed(Case::baking(10), 2)
        .with(|case| case.deployment.terms.policy.on_drift = OnDrift::Restore);
    let held = goes_on(Phase::Holding).due(Effect::Grow { instances: 2 });
    check(&case, &seen(view), &held);
}

#[test]
fn a_way_down_is_no_way_up_from_where_somebody_has_put_less() {
    let waits = goes_on(Phase::Retreating).weight(30).target(20).quietly();
    let to_20 = Effect::Shift { weight: weight(20) };
    // Less that was there before is what the order puts right, if nothing bars a raise.
    let ordered = Case::retreating(30, 20).with(|case| {
        let state = &mut case.deployment.state;
        state.see_share(0.05, state.phase_since);
    });
    let barred = ordered.clone().with(|case| case.evidence.silent = true);
    check(&barred, &seen(split(5)), &waits.clone().nothing_due());
    check(&barred, &seen(split(30)), &waits.clone().due(to_20.clone()));
    check(&ordered, &seen(split(5)), &waits.clone().due(to_20.clone()));
    // Less than was there then is somebody's doing since.
    let told = waits.clone().tells(&[Name::Drift]).nothing_due();
    let told = told.says("holding: the canary's share is");
    check(&ordered, &seen(split(3)), &told);
    let stepped_back = Case::retreating(30, 20);
    let decision = check(
        &stepped_back,
        &seen(split(0)),
        &told.says("0.00 % at the endpoint, not the 20 % committed"),
    );
    // And so it is for who is woken late, before a pass has seen it.
    let (deployment, evidence) = (&stepped_back.deployment, &stepped_back.evidence);
    let late = EndpointReading::Seen(split(0));
    assert_eq!(due(deployment, evidence, &late, stepped_back.now), None);
    let held = stepped_back
        .with(|case| (case.deployment, case.evidence) = (decision.next, decision.evidence));
    check(
        &held,
        &seen(split(0)),
        &waits.clone().says("holding:").nothing_due(),
    );
    check(&held, &seen(split(25)), &waits.due(to_20));
    let confirmed = goes_on(Phase::Baking).weight(20).tells(&[Name::Shifted]);
    check(&held, &seen(split(20)), &confirmed);
}

/// The breach and the hand are seen by the same pass: a stage back would be up from there.
#[test]
fn a_breach_at_a_share_that_somebody_has_just_lowered_takes_everything_back() {
    let often = |case: Case| {
        case.red("error_rate.limit", 2).with(|case| {
            for guard in &mut case.deployment.terms.policy.guards {
                guard.consequence = Consequence::of(Grade::Medium);
            }
        })
    };
    let back = goes_on(Phase::Retreating).target(20);
    check(&often(Case::baking(30)), &seen(split(30)), &back);
    let taken = rolls_back().says("somebody else changed the weights");
    check(&often(Case::baking(30)), &seen(split(5)), &taken);
}

/// Production has had too few instances for so long that people were told.
fn long_short(case: Case) -> Case {
    case.with(|case| {
        case.deployment.state.short = Some(Short {
            since: case.now - minutes(6),
            told: true,
        });
    })
}

#[test]
fn a_floor_that_somebody_put_down_is_held_again() {
    check(
        &long_short(Case::holding(30).scales()),
        &seen(with_production(split(30), 1)),
        &goes_on(Phase::Holding).due(Effect::HoldFloor {
            instances: INSTANCES,
        }),
    );
}

/// Where the traffic has grown it is due once, and noted. Missing instances make it due nowhere: there is
/// no floor that could bring them.
#[test]
fn no_floor_is_held_where_nothing_scales() {
    let fewer = || seen(with_production(split(30), 1));
    for case in [Case::holding(30), Case::holding(30).withdrawn()] {
        let waits = goes_on(Phase::Holding).nothing_due();
        check(&long_short(case.clone()), &fewer(), &waits);
        let grown = case.with(|case| case.deployment.state.production_instances = 5);
        let effect = Effect::HoldFloor { instances: 5 };
        check(&grown, &fewer(), &waits.due(effect.clone()));
        let lease = Lease {
            until: grown.now + minutes(1),
            holder: "one".to_owned(),
        };
        let intended = protocol::intend(&grown.deployment, &effect, lease);
        let noted = protocol::answered(&intended, &effect, "one", &Answer::Accepted, grown.now);
        let held = Case {
            deployment: noted.expect("an answer to write"),
            ..grown
        };
        check(&held, &fewer(), &goes_on(Phase::Holding).nothing_due());
    }
    // And no raise that was committed before goes past it.
    for case in [Case::shifting(30, 40), Case::shifting(30, 40).withdrawn()] {
        let waits = goes_on(Phase::Shifting).target(40).nothing_due();
        check(&long_short(case), &fewer(), &waits);
    }
}
