//! The scaling of both variants beside a rollout: production's floor is held for as long as it may
//! have to take everything back, the canary scales as production does, and in the end every target
//! is its owner's again.
//!
//! A rollout lasts for days, and owners go on changing what is theirs. So only what the rollout
//! itself has changed is put back: to a target that was never removed its floor, and nothing else.
//! An update that removes a variant asks for its target to be removed first, policies, schedules and
//! all; that one is read once more right before, so that what comes back, or goes on to the canary,
//! is what was there last, and what its owner has removed comes back nowhere. What could not be put back
//! is refused then as it is in the beginning: the update waits, with the canary at 100 % and the old
//! variant beside it, until a person has decided.

use super::carry_out::still_fits;
use super::ports::{PortError, Ports};
use crate::domain::deployment::{Deployment, Floor, Lease};
use crate::domain::due::Effect;
use crate::domain::observation::EndpointView;
use crate::domain::protocol;
use crate::domain::scaling::ScalableTarget;
use crate::domain::state::Outcome;

/// The record with production's target as it is now, where the effect must not go by an older
/// reading; `None` where there is nothing new to keep.
pub(super) async fn looked_up<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    effect: &Effect,
) -> Result<Option<Deployment>, PortError> {
    let (terms, state) = (&deployment.terms, &deployment.state);
    let is_held = |floor: &Floor| floor.target().is_some() && !floor.released;
    if matches!(effect, Effect::HoldFloor { .. }) && state.floor.as_ref().is_some_and(is_held) {
        // A floor alone registers no target, so without one it would be refused at every try.
        let bounds = ports.bounds(&terms.endpoint, &terms.production).await?;
        return Ok(bounds
            .is_none()
            .then(|| protocol::target_seen(deployment, None)));
    }
    let is_due = match effect {
        Effect::HoldFloor { .. } => state.floor.is_none(),
        Effect::Deploy { config } => *config == terms.final_config,
        // The old variant keeps its target, and the canary gets the same.
        Effect::Tidy => state.outcome == Some(Outcome::Completed) && terms.cleanup.keep_old_variant,
        _ => false,
    };
    if !is_due {
        return Ok(None);
    }
    let target = ports.target(&terms.endpoint, &terms.production).await?;
    let next = protocol::target_seen(deployment, target);
    Ok((next != *deployment).then_some(next))
}

/// The variant that this config does not have and that may be registered to scale.
pub(super) fn leaving<'a>(deployment: &'a Deployment, config: &str) -> Option<&'a str> {
    let (terms, floor) = (&deployment.terms, deployment.state.floor.as_ref());
    if *config == terms.final_config {
        let scales = floor.is_some_and(|floor| floor.target().is_some());
        return scales.then_some(&terms.production);
    }
    let leaves = terms.is_home(config) && deployment.canary_target().is_some();
    leaves.then_some(&terms.canary)
}

/// The floor at what the total traffic needs, as far as the target's own ceiling allows; nothing where
/// production does not scale, or no more.
pub(super) async fn hold_floor<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    instances: u32,
) -> Result<(), PortError> {
    let (endpoint, production) = (&deployment.terms.endpoint, &deployment.terms.production);
    let floor = deployment.state.floor.as_ref();
    let Some((floor, target)) = floor.and_then(|floor| Some((floor, floor.target()?))) else {
        return Ok(());
    };
    let min = target.held_for(instances);
    if floor.released {
        let raised = ScalableTarget {
            min,
            ..target.clone()
        };
        return ports.register(endpoint, production, &raised).await;
    }
    ports.set_floor(endpoint, production, min).await
}

/// The canary's target as production's is, from this floor; nothing where neither scales.
pub(super) async fn follow<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    instances: u32,
) -> Result<(), PortError> {
    let terms = &deployment.terms;
    let Some(target) = deployment.canary_target() else {
        return Ok(());
    };
    let target = target.with_floor(instances);
    ports
        .register(&terms.endpoint, &terms.canary, &target)
        .await
}

/// Both variants' scaling as it is to be without the rollout. The canary has a target where it has
/// traffic, unless it scaled as production did and production's target was removed meanwhile: who pins
/// production's fleet pins the one that takes its place. A canary that is left without traffic goes on
/// without scaling, so that whoever removes it next is not refused; and since a registration whose
/// answer was lost is in no record, its target is removed whether it is known to be there or not. On an
/// endpoint that somebody else has taken over there may be neither variant.
pub(super) async fn put_back<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    view: &EndpointView,
    lease: &Lease,
) -> Result<(), PortError> {
    let terms = &deployment.terms;
    if view.variant(&terms.production).is_some() {
        put_back_production(ports, deployment, lease).await?;
    }
    if deployment.canary_target().is_none() {
        return Ok(());
    }
    still_fits(ports, lease)?;
    let has_traffic = view.share(&terms.canary).is_some_and(|share| share > 0.0);
    match deployment.lasting_target().filter(|_| has_traffic) {
        Some(target) => {
            ports
                .register(&terms.endpoint, &terms.canary, &target)
                .await
        }
        None => ports.deregister(&terms.endpoint, &terms.canary).await,
    }
}

/// The whole target where an update had asked for its removal; else its floor alone. A target that
/// is gone and that no update of ours removed was removed by its owner.
async fn put_back_production<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    lease: &Lease,
) -> Result<(), PortError> {
    let (endpoint, production) = (&deployment.terms.endpoint, &deployment.terms.production);
    let floor = deployment.state.floor.as_ref();
    let Some((floor, target)) = floor.and_then(|floor| Some((floor, floor.target()?))) else {
        return Ok(());
    };
    still_fits(ports, lease)?;
    if floor.released {
        return ports.register(endpoint, production, target).await;
    }
    let Some(now) = ports.bounds(endpoint, production).await? else {
        return Ok(());
    };
    let own = target.own_floor(now, deployment.state.production_instances);
    still_fits(ports, lease)?;
    ports.set_floor(endpoint, production, own).await
}
