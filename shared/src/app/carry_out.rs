//! Carrying out one committed effect: re-read the record, look at the world, take the lease where
//! the effect needs one, call once, give the lease back when the answer is certain.
//!
//! What to do is derived anew from record and world, so an event that comes late, twice or for a
//! state that has passed does nothing.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::freeze;
use super::health;
use super::observe::{self, SHORT_LOOK};
use super::ports::{Class, Commit, Loaded, PortError, Ports, Recipe};
use super::{registry, scaling};
use crate::domain::deployment::{Deployment, Lease};
use crate::domain::due::{Actor, Effect, due};
use crate::domain::observation::EndpointReading;
use crate::domain::protocol::{self, Answer};
use crate::domain::quantity::Weight;
use crate::domain::state::Outcome;

/// The wait after a rollback's first try that was refused; it doubles four times.
const TAKE_BACK_WAIT: Duration = Duration::from_secs(1);

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
    let started = Instant::now();
    let left = || time_left.saturating_sub(started.elapsed());
    let error = match attempt(ports, actor, id, left).await {
        Ok(carried) => return Ok(carried),
        Err(error) => error,
    };
    health::report(ports, Some(id), &error);
    if error.class.is_for_good() {
        // It ends in the failure queue, where somebody looks.
        return Err(error);
    }
    Ok(Carried::NotYet(error.to_string()))
}

async fn attempt<P: Ports>(
    ports: &P,
    actor: Actor,
    id: &str,
    left: impl Fn() -> Duration,
) -> Result<Carried, PortError> {
    let Some(loaded) = ports.load(id).await? else {
        let what = format!("there is no deployment {id}");
        return Err(PortError::new(Class::Invalid, "carry_out", what));
    };
    // As of the time before the look: a lease that runs out after it may let its call land after it.
    let looked_at = ports.now();
    let terms = &loaded.deployment.terms;
    let endpoint = match actor {
        // Taking everything back is due unseen, too: it does not wait for a look that hangs.
        Actor::Rollback => observe::endpoint_within(ports, terms, SHORT_LOOK).await,
        Actor::Provision | Actor::TrafficShift => observe::endpoint(ports, terms).await,
    };
    let Some(effect) = due(&loaded.deployment, &loaded.evidence, &endpoint, looked_at)
        .filter(|effect| effect.actor() == actor)
    else {
        return Ok(Carried::Nothing);
    };
    // A freeze that came after the raise was committed holds it here, at the last step before the call.
    if effect.goes_up(&loaded.deployment, &endpoint)
        && let Some(why) = freeze::holds(ports, &loaded.deployment).await
    {
        return Ok(Carried::NotYet(why));
    }
    tracing::info!(deployment_id = id, ?effect, "carrying out");
    match effect {
        Effect::TakeBack => return take_back(ports, &loaded, left).await,
        Effect::Register => return registry::register(ports, loaded).await,
        _ => {}
    }
    let ready = match prepared(ports, loaded.clone(), &effect).await {
        Err(error) if error.class.is_for_good() => {
            // People are told why the raise stands.
            let next = protocol::refused(&loaded.deployment, &error.to_string());
            drop(write(ports, &loaded, &next).await);
            return Err(error);
        }
        other => other?,
    };
    leased(ports, &ready, &effect, left()).await
}

/// Intent and lease first, then the calls, then the answer.
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
    let lease = Lease {
        until: ports.now() + ports.lease().duration(),
        holder: ports.new_id(),
    };
    let next = protocol::intend(&loaded.deployment, effect, lease.clone());
    let leased = write(ports, loaded, &next).await?;
    let called = call(ports, &leased.deployment, effect, &lease).await;
    let (id, answer) = (&loaded.deployment.terms.id, answer_of(&called));
    give_back(ports, id, effect, &lease.holder, &answer).await?;
    called.map(|()| Carried::Done)
}

/// Before every call that could do harm by landing late: a slow one before it may have used the
/// lease up, and what is called then could land after its end.
pub(super) fn still_fits<P: Ports>(ports: &P, lease: &Lease) -> Result<(), PortError> {
    if protocol::may_call(ports.now(), lease, ports.landing()) {
        return Ok(());
    }
    let why = "the lease was too old to call under";
    Err(PortError::new(Class::Retryable, "lease", why))
}

fn answer_of(called: &Result<(), PortError>) -> Answer {
    match called {
        Ok(()) => Answer::Accepted,
        Err(error) => match error.class {
            Class::InDoubt => Answer::InDoubt,
            Class::Retryable => Answer::NotNow(error.to_string()),
            _ => Answer::Refused(error.to_string()),
        },
    }
}

async fn call<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    effect: &Effect,
    lease: &Lease,
) -> Result<(), PortError> {
    let terms = &deployment.terms;
    still_fits(ports, lease)?;
    match effect {
        Effect::Deploy { config } => {
            prepare_config(ports, deployment, config, lease).await?;
            still_fits(ports, lease)?;
            ports.update(&terms.endpoint, config).await
        }
        Effect::HoldFloor { instances } => scaling::hold_floor(ports, deployment, *instances).await,
        Effect::AutoScale { instances } => scaling::follow(ports, deployment, *instances).await,
        Effect::Grow { instances } => {
            // The floor first: from a count below it scaling would only start over.
            scaling::follow(ports, deployment, *instances).await?;
            still_fits(ports, lease)?;
            ports
                .set_instances(&terms.endpoint, &terms.canary, *instances)
                .await
        }
        Effect::Shift { weight } => set_share(ports, deployment, *weight).await,
        Effect::Tidy => tidy(ports, deployment, lease).await,
        // Made without a lease, and not here.
        Effect::TakeBack | Effect::Register => Ok(()),
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

/// The record with what has to be known before anything is changed: production's target as it is.
async fn prepared<P: Ports>(
    ports: &P,
    loaded: Loaded,
    effect: &Effect,
) -> Result<Loaded, PortError> {
    match scaling::looked_up(ports, &loaded.deployment, effect).await? {
        Some(next) => write(ports, &loaded, &next).await,
        None => Ok(loaded),
    }
}

/// What must be there, or gone, before a config can be deployed.
async fn prepare_config<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    config: &str,
    lease: &Lease,
) -> Result<(), PortError> {
    if *config == deployment.terms.canary_config {
        registry::prepare_model(ports, deployment, lease).await?;
        still_fits(ports, lease)?;
    }
    if let Some(recipe) = recipe_of(deployment, config) {
        ports.make_config(&recipe).await?;
    }
    // An update that removes a registered variant fails. Its target is in the record.
    if let Some(leaving) = scaling::leaving(deployment, config) {
        still_fits(ports, lease)?;
        let endpoint = &deployment.terms.endpoint;
        ports.deregister(endpoint, leaving).await?;
    }
    Ok(())
}

/// How a config of ours is made; `None` for the one that the endpoint was found on.
fn recipe_of(deployment: &Deployment, config: &str) -> Option<Recipe> {
    let terms = &deployment.terms;
    let only = |source: &str, variant: &str, instances| Recipe::Only {
        source: source.to_owned(),
        name: config.to_owned(),
        variant: variant.to_owned(),
        instances,
        deployment_id: terms.id.clone(),
    };
    if *config == terms.canary_config {
        return Some(Recipe::WithCanary {
            source: terms.original_config.clone(),
            name: terms.canary_config.clone(),
            production: terms.production.clone(),
            canary: terms.canary.clone(),
            model: terms.model.clone(),
            instances: deployment.canary_instances_for(terms.plan.stages[0].weight),
            instance_type: terms.capacity.instance_type.clone(),
            deployment_id: terms.id.clone(),
        });
    }
    if *config == terms.former_config() {
        let instances = deployment.production_needs();
        return Some(only(&terms.original_config, &terms.production, instances));
    }
    (*config == terms.final_config).then(|| {
        let instances = deployment.canary_instances_for(Weight::FULL);
        only(&terms.canary_config, &terms.canary, instances)
    })
}

/// Gives the lease back, so the next step need not wait it out. Other writers are re-read.
async fn give_back<P: Ports>(
    ports: &P,
    id: &str,
    effect: &Effect,
    holder: &str,
    answer: &Answer,
) -> Result<(), PortError> {
    if *answer == Answer::InDoubt {
        // It may still land: the lease runs out by itself.
        return Ok(());
    }
    for _ in 0..5 {
        let Some(loaded) = ports.load(id).await? else {
            return Ok(());
        };
        let Some(next) =
            protocol::answered(&loaded.deployment, effect, holder, answer, ports.now())
        else {
            return Ok(());
        };
        match write(ports, &loaded, &next).await {
            Err(error) if error.class == Class::Conflict => {}
            other => return other.map(drop),
        }
    }
    // Not given back: it runs out by itself.
    Ok(())
}

pub(super) async fn write<P: Ports>(
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

/// Production 1.0, canary 0.0: no lease, tried until the endpoint accepts or the time runs out.
async fn take_back<P: Ports>(
    ports: &P,
    loaded: &Loaded,
    left: impl Fn() -> Duration,
) -> Result<Carried, PortError> {
    let mut wait = TAKE_BACK_WAIT;
    loop {
        let refusal = match set_share(ports, &loaded.deployment, Weight::ZERO).await {
            Ok(()) => return Ok(Carried::Done),
            Err(error) => error,
        };
        if wait > TAKE_BACK_WAIT * 8
            || refusal.class.is_for_good()
            || left() < wait + ports.call_timeout()
        {
            // People are told why it waits. Whoever wrote in between has more to say.
            let next = protocol::refused(&loaded.deployment, &refusal.to_string());
            drop(write(ports, loaded, &next).await);
            return Err(refusal);
        }
        ports.pause(wait).await;
        wait *= 2;
    }
}

/// Scaling back as it was found, and configs that nobody uses deleted.
async fn tidy<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    lease: &Lease,
) -> Result<(), PortError> {
    let not_yet = |why: String| Err(PortError::new(Class::Retryable, "tidy", why));
    let terms = &deployment.terms;
    let view = match observe::endpoint(ports, terms).await {
        EndpointReading::Seen(view) => Some(view),
        EndpointReading::Missing => None,
        EndpointReading::Failed { reason } => return not_yet(reason),
    };
    // Until it rests, a config may be on its way to it.
    if view.as_ref().is_some_and(|view| !view.status.is_resting()) {
        return not_yet("the endpoint is changing".to_owned());
    }
    // What was made again under the same name has a scaling of its own.
    if let Some(view) = view
        .as_ref()
        .filter(|it| it.was_made_at(terms.endpoint_created_at))
    {
        let restored = scaling::put_back(ports, deployment, view, lease).await;
        or_left(ports, deployment, restored)?;
    }
    let ours = [
        terms.canary_config.clone(),
        terms.final_config.clone(),
        terms.former_config(),
    ];
    for config in &ours {
        // The one that the endpoint is on stays.
        if view.as_ref().is_none_or(|view| view.config != *config) {
            still_fits(ports, lease)?;
            let deleted = ports.delete_config(config).await;
            or_left(ports, deployment, deleted)?;
        }
    }
    Ok(())
}

/// After a failure the endpoint may be such that what is put back is refused for ever: it is said,
/// and left. The lock is worth more.
fn or_left<P: Ports>(
    ports: &P,
    deployment: &Deployment,
    tidied: Result<(), PortError>,
) -> Result<(), PortError> {
    match tidied {
        Err(error)
            if error.class.is_for_good() && deployment.state.outcome == Some(Outcome::Failed) =>
        {
            health::report(ports, Some(&deployment.terms.id), &error);
            Ok(())
        }
        other => other,
    }
}
