//! What is due, for each state of the record and each status of the endpoint.

use std::collections::BTreeMap;

use super::builders::*;
use crate::domain::deployment::{Deployment, Lease};
use crate::domain::due::{Actor, Effect, due};
use crate::domain::observation::{EndpointReading, EndpointStatus, EndpointView};
use crate::domain::protocol::{self, Answer};
use crate::domain::quantity::Weight;
use crate::domain::scaling::{Autoscaling, ScalableTarget, Suspension};
use crate::domain::state::{Outcome, Phase, Status};

const STATUSES: [EndpointStatus; 10] = [
    EndpointStatus::OutOfService,
    EndpointStatus::Creating,
    EndpointStatus::Updating,
    EndpointStatus::SystemUpdating,
    EndpointStatus::RollingBack,
    EndpointStatus::InService,
    EndpointStatus::Deleting,
    EndpointStatus::Failed,
    EndpointStatus::UpdateRollbackFailed,
    EndpointStatus::Unknown,
];

/// Production was found to scale by itself.
fn scales(case: &mut Case) {
    let floor = case.deployment.state.floor.as_mut();
    floor.expect("it is held").found = Some(Autoscaling::default().target());
}

/// The effect each state asks for while its endpoint is not yet as it should be.
fn unsettled() -> Vec<(Case, EndpointView, Effect)> {
    let deploy = |config: &str| Effect::Deploy {
        config: config.to_owned(),
    };
    vec![
        (Case::pending(), original(), deploy(CANARY_CONFIG)),
        (
            Case::scaling(40, 50).with(|case| case.deployment.state.floor = None),
            split(40),
            Effect::HoldFloor {
                instances: INSTANCES,
            },
        ),
        (
            Case::scaling(40, 50),
            split(40).canary_instances(1, 1),
            Effect::Grow { instances: 2 },
        ),
        (
            Case::scaling(40, 50).with(scales),
            split(40).canary_instances(1, 1),
            Effect::Grow { instances: 2 },
        ),
        (
            Case::scaling(40, 50).with(scales),
            split(40).canary_instances(3, 3),
            Effect::AutoScale { instances: 2 },
        ),
        (
            Case::shifting(20, 30),
            split(20),
            Effect::Shift { weight: weight(30) },
        ),
        (
            Case::retreating(30, 20),
            split(30),
            Effect::Shift { weight: weight(20) },
        ),
        (Case::finalizing(), split(100), deploy(FINAL)),
        (
            Case::reverting(100, Outcome::RolledBack),
            finished(),
            deploy(FORMER),
        ),
        (Case::cleaning(Outcome::Completed), finished(), Effect::Tidy),
        (
            Case::cleaning(Outcome::RolledBack)
                .with(|case| case.deployment.state.phase_since = case.now - minutes(61)),
            split(0),
            deploy(ORIGINAL),
        ),
    ]
}

#[test]
fn everything_but_taking_back_waits_for_an_endpoint_in_service_and_for_leases() {
    for (case, view, effect) in unsettled() {
        for status in STATUSES {
            let found = due(
                &case.deployment,
                &case.evidence,
                &EndpointReading::Seen(view.clone().is(status)),
                case.now,
            );
            assert_eq!(
                found,
                (status == EndpointStatus::InService).then(|| effect.clone()),
                "{} {status:?}",
                case.deployment.state.phase
            );
        }
        let leased = case.clone().leased();
        assert_eq!(
            due(
                &leased.deployment,
                &leased.evidence,
                &EndpointReading::Seen(view.clone()),
                leased.now
            ),
            None
        );
        assert_eq!(
            due(
                &leased.deployment,
                &leased.evidence,
                &EndpointReading::Seen(view),
                leased.now + minutes(1)
            ),
            Some(effect),
            "a lease that ended"
        );
        // Only taking everything back is right of an endpoint that can't be seen.
        let reverts = case.deployment.state.phase == Phase::Reverting;
        let unseen = reverts.then_some(Effect::TakeBack);
        for (reading, expected) in [(unread(), unseen), (EndpointReading::Missing, None)] {
            assert_eq!(
                due(&case.deployment, &case.evidence, &reading, case.now),
                expected
            );
        }
    }
}

#[test]
fn who_is_woken_late_touches_no_config_of_somebody_elses() {
    let mut held = 0;
    for (case, mut view, effect) in unsettled() {
        view.config = "somebody-elses".to_owned();
        let seen = EndpointReading::Seen(view);
        let found = due(&case.deployment, &case.evidence, &seen, case.now);
        assert_eq!(found, None, "{effect:?}");
        held += 1;
    }
    assert!(held > 5, "{held}");
}

#[test]
fn taking_back_waits_for_nothing() {
    let case = Case::reverting(30, Outcome::Cancelled).leased();
    for status in STATUSES {
        let found = due(
            &case.deployment,
            &case.evidence,
            &EndpointReading::Seen(split(30).is(status)),
            case.now,
        );
        assert_eq!(found, Some(Effect::TakeBack), "{status:?}");
        assert_eq!(
            due(
                &case.deployment,
                &case.evidence,
                &EndpointReading::Seen(split(0).is(status)),
                case.now
            ),
            None
        );
    }
}

#[test]
fn nothing_is_due_where_the_world_is_as_it_should_be() {
    let settled = vec![
        (Case::pending(), split(0)),
        (Case::scaling(20, 30), split(20)),
        (Case::shifting(20, 30), split(30)),
        (Case::retreating(30, 20), split(20)),
        (Case::finalizing(), finished()),
        (Case::reverting(30, Outcome::RolledBack), original()),
    ];
    for (case, view) in settled {
        assert_eq!(
            due(
                &case.deployment,
                &case.evidence,
                &EndpointReading::Seen(view),
                case.now
            ),
            None,
            "{}",
            case.deployment.state.phase
        );
    }
    for case in Case::every() {
        let state = &case.deployment.state;
        if state.status.is_terminal()
            || matches!(
                state.phase,
                Phase::Baking
                    | Phase::Holding
                    | Phase::AwaitingApproval
                    | Phase::Paused
                    | Phase::Soaking
            )
        {
            for share in [0, 30, 100] {
                assert_eq!(
                    due(
                        &case.deployment,
                        &case.evidence,
                        &EndpointReading::Seen(split(share)),
                        case.now
                    ),
                    None,
                    "{}/{}",
                    state.status,
                    state.phase
                );
            }
        }
    }
}

#[test]
fn a_failed_deployment_tidies_whatever_became_of_the_endpoint() {
    let case = Case::cleaning(Outcome::Failed);
    for status in STATUSES {
        assert_eq!(
            due(
                &case.deployment,
                &case.evidence,
                &EndpointReading::Seen(split(30).is(status)),
                case.now
            ),
            Some(Effect::Tidy)
        );
    }
    assert_eq!(
        due(
            &case.deployment,
            &case.evidence,
            &EndpointReading::Missing,
            case.now
        ),
        Some(Effect::Tidy)
    );
    assert_eq!(
        due(&case.deployment, &case.evidence, &unread(), case.now),
        None
    );
    let pending = Case::every().into_iter().find(|case| {
        case.deployment.state.status == Status::Pending
            && case.deployment.state.phase == Phase::CleaningUp
    });
    let pending = pending.expect("every state is among the cases");
    assert_eq!(
        due(
            &pending.deployment,
            &pending.evidence,
            &EndpointReading::Seen(original()),
            pending.now
        ),
        Some(Effect::Tidy)
    );
}

#[test]
fn who_carries_it_out_and_under_what() {
    let rows = [
        (
            Effect::Deploy {
                config: FINAL.to_owned(),
            },
            Actor::Provision,
            true,
        ),
        (
            Effect::HoldFloor { instances: 2 },
            Actor::TrafficShift,
            true,
        ),
        (
            Effect::AutoScale { instances: 2 },
            Actor::TrafficShift,
            true,
        ),
        (Effect::Grow { instances: 2 }, Actor::TrafficShift, true),
        (
            Effect::Shift {
                weight: Weight::FULL,
            },
            Actor::TrafficShift,
            true,
        ),
        (Effect::TakeBack, Actor::Rollback, false),
        (Effect::Tidy, Actor::Provision, true),
    ];
    for (effect, actor, leased) in rows {
        assert_eq!(
            (effect.actor(), effect.is_leased()),
            (actor, leased),
            "{effect:?}"
        );
    }
}

#[test]
fn the_canarys_floor_is_known_once_it_is_set_and_gone_before_the_canary_goes() {
    let mut case = Case::scaling(40, 50);
    scales(&mut case);
    let lease = |case: &Case| Lease {
        until: case.now + minutes(1),
        holder: "one".to_owned(),
    };
    let floor_after = |case: &Case, effect: &Effect, answer: &Answer| {
        let before = protocol::intend(&case.deployment, effect, lease(case));
        let after = protocol::answered(&before, effect, "one", answer, case.now);
        after.map(|after| after.state.canary_floor)
    };
    for effect in [
        Effect::AutoScale { instances: 2 },
        Effect::Grow { instances: 2 },
    ] {
        assert_eq!(floor_after(&case, &effect, &Answer::Accepted), Some(2));
        let refused = Answer::Refused("no".to_owned());
        assert_eq!(floor_after(&case, &effect, &refused), Some(0));
        assert_eq!(floor_after(&case, &effect, &Answer::InDoubt), None);
    }
    // Instances without scaling are no floor.
    let fixed = Case::scaling(40, 50);
    let grown = Effect::Grow { instances: 2 };
    assert_eq!(floor_after(&fixed, &grown, &Answer::Accepted), Some(0));
    case.deployment.state.canary_floor = 2;
    for (config, floor) in [(ORIGINAL, 0), (FORMER, 0), (FINAL, 2)] {
        let config = config.to_owned();
        let next = protocol::intend(&case.deployment, &Effect::Deploy { config }, lease(&case));
        assert_eq!(next.state.canary_floor, floor);
    }
}

#[test]
fn the_canarys_instances_follow_its_share() {
    let mut deployment = Case::baking(30).deployment;
    let rows = [(0, 1), (1, 1), (25, 1), (26, 2), (50, 2), (51, 3), (100, 4)];
    for (percent, instances) in rows {
        assert_eq!(
            deployment.canary_instances_for(weight(percent)),
            instances,
            "{percent} % of {INSTANCES}"
        );
    }
    deployment.terms.capacity.instances = Some(7);
    assert_eq!(deployment.canary_instances_for(weight(1)), 7);
}

/// What its owner changed stays changed; the floor that the rollout holds is not the owner's.
#[test]
fn a_target_seen_once_more_keeps_what_was_changed_but_for_the_floor() {
    let target = |min, max| ScalableTarget {
        min,
        max,
        policies: vec![format!("as of the ceiling {max}")],
        suspended: Suspension::default(),
        tags: BTreeMap::new(),
    };
    let seen_after = |found: Option<ScalableTarget>, now: Option<ScalableTarget>| {
        let mut deployment = Case::baking(50).deployment;
        let floor = deployment.state.floor.as_mut().unwrap();
        floor.found = found;
        let next = protocol::target_seen(&deployment, now).state.floor.unwrap();
        assert_eq!((next.held_at, next.released), (INSTANCES, false));
        assert!(!next.withdrawn);
        next.found
    };
    let found = || Some(target(1, 10));
    let held = INSTANCES;
    let rows = [
        // As it was left: nothing is new.
        (found(), Some(target(held, 10)), found()),
        (found(), Some(target(held, 30)), Some(target(1, 30))),
        // A floor above all that was asked for, and one that somebody put down.
        (
            found(),
            Some(target(held + 1, 30)),
            Some(target(held + 1, 30)),
        ),
        (found(), Some(target(0, 10)), found()),
        // A ceiling below the floor that was found.
        (Some(target(3, 10)), Some(target(2, 2)), Some(target(2, 2))),
        // Made during the rollout, or never.
        (None, Some(target(2, 5)), Some(target(2, 5))),
        (None, None, None),
    ];
    for (found, now, kept) in rows {
        assert_eq!(
            seen_after(found.clone(), now.clone()),
            kept,
            "{found:?}, {now:?}"
        );
    }
}

/// The intent to remove it is written before the removal: gone after that, it was removed by this
/// deployment, whoever crashed in between. Gone before, it was removed by its owner.
#[test]
fn a_target_that_is_gone_was_removed_by_its_owner_unless_an_update_may_have() {
    let case = Case::finalizing().scales();
    let floor = |deployment: &Deployment| deployment.state.floor.clone().unwrap();
    let removes = |before: &Deployment| {
        let lease = Lease {
            until: case.now + minutes(1),
            holder: "one".to_owned(),
        };
        let config = FINAL.to_owned();
        protocol::intend(before, &Effect::Deploy { config }, lease)
    };
    // By an earlier try.
    let tried = removes(&case.deployment);
    assert!(floor(&tried).released);
    assert_eq!(protocol::target_seen(&tried, None), tried);
    assert_eq!(floor(&tried).target(), floor(&case.deployment).target());
    assert_eq!(tried.lasting_target(), case.deployment.canary_target());
    // The same, from a record of version 1.
    let mut older = tried;
    older.state.floor.as_mut().unwrap().released = false;
    assert_eq!(protocol::target_seen(&older, None), older);
    // By its owner: no update removes it, no rollback brings it back, and the canary keeps it only for
    // the rollout.
    let gone = protocol::target_seen(&case.deployment, None);
    assert_eq!(floor(&gone).target(), None);
    assert_eq!(gone.canary_target(), case.deployment.canary_target());
    assert_eq!(gone.lasting_target(), None);
    let tried = removes(&gone);
    assert!(!floor(&tried).released);
    assert_eq!(protocol::target_seen(&tried, None), tried);
    // Made again by its owner, it is as it is, and no floor of the rollout's.
    let mut again = Autoscaling::default().target();
    again.min = INSTANCES;
    let seen = protocol::target_seen(&tried, Some(again.clone()));
    assert_eq!(floor(&seen).target(), Some(&again));
    assert!(floor(&removes(&seen)).released);
    // What never scaled has nothing to remove.
    assert!(!floor(&removes(&Case::finalizing().deployment)).released);
}

/// What the specification asks for does not depend on production.
#[test]
fn a_canary_that_was_to_scale_goes_on_scaling_without_productions_target() {
    let mut case = Case::finalizing().withdrawn();
    assert_eq!(case.deployment.lasting_target(), None);
    let asked = Autoscaling {
        max: 4,
        ..Autoscaling::default()
    };
    case.deployment.terms.capacity.autoscaling = Some(asked.clone());
    assert_eq!(case.deployment.lasting_target(), Some(asked.target()));
}
