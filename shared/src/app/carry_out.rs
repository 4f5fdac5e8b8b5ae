//! Carrying out one committed effect: re-read the record, look at the world, take the lease where
//! the effect needs one, call once, give the lease back when the answer is certain.
//!
//! What to do is derived anew from record and world, so an event that comes late, twice or for a
//! state that has passed does nothing.

use std::time::Duration;

use serde::Serialize;

use super::observe;
use super::ports::{Class, Commit, Loaded, PortError, Ports, Recipe};
use crate::domain::deployment::{Deployment, Floor, Lease, Update};
use crate::domain::due::{Actor, Effect, due};
use crate::domain::observation::{EndpointReading, EndpointView};
use crate::domain::quantity::Weight;
use crate::domain::state::Outcome;

/// How often a rollback is tried within one invocation.
const TAKE_BACK_TRIES: u32 = 5;
/// The wait between those tries.
const TAKE_BACK_WAIT: Duration = Duration::from_secs(2);

/// What became of the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carried {
    /// Nothing is due for this function.
    Nothing,
    /// The call was made and accepted; the next tick confirms it.
    Done,
    /// The endpoint refused for the moment; still due at the next tick.
    NotYet(String),
}

/// Carries out what is due for this actor. `time_left` is the invocation's own.
pub async fn carry_out<P: Ports>(
    ports: &P,
    actor: Actor,
    id: &str,
    time_left: Duration,
) -> Result<Carried, PortError> {
    let Some(loaded) = ports.load(id).await? else {
        return Err(PortError::new(
            Class::Invalid,
            "carry_out",
            format!("there is no deployment {id}"),
        ));
    };
    let endpoint = observe::endpoint(ports, &loaded.deployment.terms.endpoint).await;
    let Some(effect) = due(&loaded.deployment, &loaded.evidence, &endpoint, ports.now())
        .filter(|effect| effect.actor() == actor)
    else {
        return Ok(Carried::Nothing);
    };
    tracing::info!(deployment_id = id, ?effect, "carrying out");
    let carried = if effect.is_leased() {
        leased(ports, &loaded, &effect, time_left).await
    } else {
        unleased(ports, loaded, &effect, &endpoint).await
    };
    match carried {
        Err(error) if error.class == Class::Conflict => Ok(Carried::NotYet(error.to_string())),
        other => other,
    }
}

/// Raises and UpdateEndpoint: intent and lease first, then one call.
async fn leased<P: Ports>(
    ports: &P,
    loaded: &Loaded,
    effect: &Effect,
    time_left: Duration,
) -> Result<Carried, PortError> {
    if time_left < ports.call_timeout() {
        return Ok(Carried::NotYet(
            "too little time is left in this invocation".to_owned(),
        ));
    }
    let holder = ports.new_id();
    let mut next = loaded.deployment.clone();
    next.state.lease = Some(Lease {
        until: ports.now() + ports.lease().duration(),
        holder: holder.clone(),
    });
    if let Effect::Deploy { config } = effect {
        let attempts = next
            .state
            .update
            .as_ref()
            .filter(|update| update.config == *config)
            .map_or(0, |update| update.attempts);
        next.state.update = Some(Update {
            config: config.clone(),
            attempts: attempts + 1,
            accepted_at: None,
        });
    }
    let leased = write(ports, loaded, &next).await?;
    let called = call(ports, &leased.deployment, effect).await;
    match &called {
        // In doubt it may still land: the lease runs out by itself.
        Err(error) if error.class == Class::InDoubt => {}
        answer => give_back(ports, &leased.deployment.terms.id, &holder, answer.is_ok()).await?,
    }
    match called {
        Ok(()) => Ok(Carried::Done),
        Err(error) if error.class == Class::Bug => Err(error),
        // An endpoint that refuses an update says so as a validation error: described again and
        // tried again at a later tick, whatever its text.
        Err(error) => Ok(Carried::NotYet(error.to_string())),
    }
}

async fn call<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    effect: &Effect,
) -> Result<(), PortError> {
    let terms = &deployment.terms;
    match effect {
        Effect::Deploy { config } => {
            prepare(ports, deployment, config).await?;
            ports.update(&terms.endpoint, config).await
        }
        Effect::Grow { instances } => {
            ports
                .set_instances(&terms.endpoint, &terms.canary, *instances)
                .await
        }
        Effect::Shift { weight } => set_share(ports, deployment, *weight).await,
        Effect::HoldFloor { .. } | Effect::TakeBack | Effect::Tidy => Ok(()),
    }
}

async fn set_share<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    canary: Weight,
) -> Result<(), PortError> {
    let (terms, share) = (&deployment.terms, f32::from(canary.percent()) / 100.0);
    let production = f32::from(100 - canary.percent()) / 100.0;
    ports
        .set_weights(
            &terms.endpoint,
            &[(&terms.production, production), (&terms.canary, share)],
        )
        .await
}

/// What must be there, or gone, before the config can be deployed.
async fn prepare<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    config: &str,
) -> Result<(), PortError> {
    let (terms, state) = (&deployment.terms, &deployment.state);
    if config == terms.canary_config {
        let recipe = Recipe::WithCanary {
            source: terms.original_config.clone(),
            name: terms.canary_config.clone(),
            production: terms.production.clone(),
            canary: terms.canary.clone(),
            model: terms.model.clone(),
            instances: deployment.canary_instances_for(terms.plan.stages[0].weight),
            instance_type: terms.capacity.instance_type.clone(),
            deployment_id: terms.id.clone(),
        };
        return ports.make_config(&recipe).await;
    }
    if config == terms.final_config {
        let recipe = Recipe::Only {
            source: terms.canary_config.clone(),
            name: terms.final_config.clone(),
            variant: terms.canary.clone(),
            deployment_id: terms.id.clone(),
        };
        ports.make_config(&recipe).await?;
        // An update that removes a registered variant fails. Its target is in the record.
        if state
            .floor
            .as_ref()
            .is_some_and(|floor| floor.found.is_some())
        {
            ports.deregister(&terms.endpoint, &terms.production).await?;
        }
    }
    Ok(())
}

/// Gives the lease back, so the next step need not wait it out. Other writers are re-read.
async fn give_back<P: Ports>(
    ports: &P,
    id: &str,
    holder: &str,
    accepted: bool,
) -> Result<(), PortError> {
    for _ in 0..5 {
        let Some(loaded) = ports.load(id).await? else {
            return Ok(());
        };
        if loaded
            .deployment
            .state
            .lease
            .as_ref()
            .is_none_or(|lease| lease.holder != holder)
        {
            return Ok(());
        }
        let mut next = loaded.deployment.clone();
        next.state.lease = None;
        if let Some(update) = next.state.update.as_mut().filter(|_| accepted) {
            update.accepted_at.get_or_insert(ports.now());
        }
        match write(ports, &loaded, &next).await {
            Err(error) if error.class == Class::Conflict => {}
            other => return other.map(drop),
        }
    }
    // Not given back: it runs out by itself.
    Ok(())
}

async fn write<P: Ports>(
    ports: &P,
    before: &Loaded,
    next: &Deployment,
) -> Result<Loaded, PortError> {
    ports
        .commit(Commit {
            before,
            next,
            evidence: &before.evidence,
            minutes: &[],
            entries: &[],
        })
        .await
}

async fn unleased<P: Ports>(
    ports: &P,
    loaded: Loaded,
    effect: &Effect,
    endpoint: &EndpointReading,
) -> Result<Carried, PortError> {
    match effect {
        Effect::TakeBack => take_back(ports, &loaded.deployment).await,
        Effect::HoldFloor { instances } => hold_floor(ports, loaded, *instances).await,
        Effect::Tidy => tidy(ports, &loaded, endpoint).await,
        Effect::Deploy { .. } | Effect::Grow { .. } | Effect::Shift { .. } => Ok(Carried::Nothing),
    }
}

/// Production 1.0, canary 0.0: no lease, tried until the endpoint accepts.
async fn take_back<P: Ports>(ports: &P, deployment: &Deployment) -> Result<Carried, PortError> {
    let mut refusal = String::new();
    for attempt in 0..TAKE_BACK_TRIES {
        if attempt > 0 {
            ports.pause(TAKE_BACK_WAIT).await;
        }
        match set_share(ports, deployment, Weight::ZERO).await {
            Ok(()) => return Ok(Carried::Done),
            Err(error) if error.class == Class::Bug => return Err(error),
            Err(error) => refusal = error.to_string(),
        }
    }
    Ok(Carried::NotYet(refusal))
}

/// Remembers the target as it was found before it is changed.
async fn hold_floor<P: Ports>(
    ports: &P,
    loaded: Loaded,
    instances: u32,
) -> Result<Carried, PortError> {
    let terms = loaded.deployment.terms.clone();
    let found = match &loaded.deployment.state.floor {
        Some(floor) => floor.found.clone(),
        None => ports.target(&terms.endpoint, &terms.production).await?,
    };
    let mut next = loaded.deployment.clone();
    next.state.floor = Some(Floor {
        held_at: 0,
        found: found.clone(),
    });
    let saved = write(ports, &loaded, &next).await?;
    if let Some(target) = &found {
        ports
            .set_floor(
                &terms.endpoint,
                &terms.production,
                target.min.max(instances).min(target.max),
            )
            .await?;
    }
    let mut held = saved.deployment.clone();
    held.state.floor = Some(Floor {
        held_at: instances,
        found,
    });
    write(ports, &saved, &held).await?;
    Ok(Carried::Done)
}

/// Floors back as they were found, configs that nobody uses deleted, and the record says so.
async fn tidy<P: Ports>(
    ports: &P,
    loaded: &Loaded,
    endpoint: &EndpointReading,
) -> Result<Carried, PortError> {
    let (terms, state) = (&loaded.deployment.terms, &loaded.deployment.state);
    let view = match endpoint {
        EndpointReading::Seen(view) => Some(view),
        EndpointReading::Missing => None,
        EndpointReading::Failed { reason } => return Ok(Carried::NotYet(reason.clone())),
    };
    if view.is_some_and(|view| !view.is_in_service()) && state.outcome != Some(Outcome::Failed) {
        return Ok(Carried::NotYet("the endpoint is changing".to_owned()));
    }
    if let (Some(target), Some(view)) = (
        state.floor.as_ref().and_then(|floor| floor.found.as_ref()),
        view,
    ) {
        // The whole target, not its floor alone: a finalizing update that came back had removed it.
        let heir = if view.variant(&terms.production).is_some() {
            &terms.production
        } else {
            &terms.canary
        };
        ports.register(&terms.endpoint, heir, target).await?;
    }
    // A config that the endpoint is on, or may be on its way to, stays.
    let settled = view.is_none_or(EndpointView::is_in_service);
    for config in [&terms.canary_config, &terms.final_config] {
        let in_use = view.is_some_and(|view| view.config == *config);
        if settled && !in_use {
            ports.delete_config(config).await?;
        }
    }
    let mut next = loaded.deployment.clone();
    next.state.cleaned = true;
    write(ports, loaded, &next).await?;
    Ok(Carried::Done)
}
