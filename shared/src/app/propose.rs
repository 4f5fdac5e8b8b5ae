//! What a specification would do on the endpoint as it is now: the deployment in full, or why there can't be
//! one. Writes nothing.

use jiff::{SignedDuration, Timestamp};

use super::fitness;
use super::gate;
use super::past::{self, Past};
use super::ports::{Class, ConfigView, Ports};
use super::pricing;
use super::refusal::{Refusal, unfit};
use super::registry::{self, Challenger};
use crate::domain::authority::{Grants, is_enabled};
use crate::domain::baseline::{Baseline, SlowCount, broken_by_production};
use crate::domain::clearance::{self, Clearance};
use crate::domain::cost::Prices;
use crate::domain::deployment::{Deployment, Terms};
use crate::domain::freeze::Freezes;
use crate::domain::observation::{EndpointStatus, EndpointView, VariantView};
use crate::domain::outlay::Machines;
use crate::domain::policy::{Guard, Policy, Test};
use crate::domain::replay::Recorded;
use crate::domain::scaling::ScalableTarget;
use crate::domain::specification::Specification;

/// A deployment that nobody has written yet.
#[derive(Debug)]
pub struct Proposal {
    /// As it would be written.
    pub deployment: Deployment,
    /// Production's minutes before it.
    pub past: Vec<Recorded>,
    /// What it would run on.
    pub machines: Machines,
}

/// The deployment that [`accept`](super::accept::accept) would write, refused for the same reasons and in the same order. Writes
/// nothing, and announces nothing.
pub async fn plan<P: Ports>(
    ports: &P,
    specification: &Specification,
    caller: &str,
) -> Result<Proposal, Refusal> {
    let endpoint = &specification.endpoint;
    unlocked(ports, endpoint).await?;
    let proposed = propose(ports, specification, caller).await;
    or_locked(ports, endpoint, proposed).await
}

/// The deployment that the specification would make, held against the endpoint as it is now, with
/// production's minutes before it. Writes nothing. Whether the endpoint has a deployment is asked before.
pub(super) async fn propose<P: Ports>(
    ports: &P,
    specification: &Specification,
    caller: &str,
) -> Result<Proposal, Refusal> {
    let endpoint = &specification.endpoint;
    if let Some(outside) = ports.settings().outside(specification) {
        return Err(outside.into());
    }
    let gate = gate::pass(specification, ports.now())?;
    if specification.hotfix.is_none() {
        unfrozen(ports, endpoint).await?;
    }
    let (view, config) = serving(ports, endpoint).await?;
    let former_model = fitness::can_take_canary(endpoint, &config)?;
    gate::check_champion(specification, &former_model)?;
    if let Some(role) = &config.execution_role
        && let Some(outside) = ports.settings().outside_role(endpoint, role)
    {
        return Err(outside.into());
    }
    fitness::can_be_copied(endpoint, &config)?;
    let grants = opened(ports, specification).await?;
    let challenger = registry::checked(ports, specification, &former_model).await?;
    let production = config.variants[0].name.as_str();
    let scaling = check_scaling(ports, endpoint, production).await?;
    let instances = live_instances(&view, production);
    let (kind, list) = (
        config.variants[0].instance_type.as_deref(),
        &ports.settings().prices,
    );
    fitness::can_scale(&specification.capacity, kind, scaling.as_ref())?;
    fitness::has_room(&specification.capacity, instances, scaling.as_ref())?;
    check_alarms(ports, &specification.policy.alarms).await?;
    let since = config.created_at.max(view.created_at);
    let mut past = past::read(ports, endpoint, production, &specification.policy, since).await?;
    past.baseline.changed_at = past::changed_within(view.modified_at, since, ports.now());
    let recorded = past.recorded(&specification.policy);
    let drawn = Drawn {
        now: ports.now(),
        id: ports.new_id(),
        policy: judged_by(specification.policy.clone(), &past)?,
        baseline: past.baseline,
        former_model,
        challenger,
        prices: pricing::prices(specification, list, kind)?,
        grants,
        clearance: Clearance {
            gate,
            preconditions: specification.preconditions.clone(),
            hotfix: specification.hotfix.clone(),
        },
    };
    Ok(Proposal {
        deployment: drawn.up(specification, &view, production, caller),
        past: recorded,
        machines: pricing::machines(specification, list, kind),
    })
}

/// Whether the endpoint has no deployment that is not over. Asked before the endpoint is looked at: in the
/// middle of a rollout it has two variants and is often changing, and neither is the caller's to repair.
pub(super) async fn unlocked<P: Ports>(ports: &P, endpoint: &str) -> Result<(), Refusal> {
    match ports.lock_holder(endpoint).await? {
        None => Ok(()),
        Some(by) => Err(Refusal::Locked {
            endpoint: endpoint.to_owned(),
            by,
        }),
    }
}

/// What came of a request, unless somebody else's was faster: then the endpoint was looked at in the middle of
/// that, and what it is refused for is not the caller's to repair.
pub(super) async fn or_locked<P: Ports, T>(
    ports: &P,
    endpoint: &str,
    made: Result<T, Refusal>,
) -> Result<T, Refusal> {
    let is_of_the_endpoint = matches!(made, Err(Refusal::Unfit { .. } | Refusal::NoWayBack { .. }));
    if is_of_the_endpoint {
        unlocked(ports, endpoint).await?;
    }
    made
}

/// What was read of the endpoint's freezes, where none of them stands.
pub(super) async fn unfrozen<P: Ports>(ports: &P, endpoint: &str) -> Result<Freezes, Refusal> {
    let freezes = ports.freezes(endpoint).await?;
    match freezes.clone().standing_at(ports.now()) {
        None => Ok(freezes),
        Some(freeze) => Err(Refusal::Frozen {
            endpoint: endpoint.to_owned(),
            freeze: Box::new(freeze),
        }),
    }
}

/// The endpoint as it is and the config that it is on, where both stand still.
async fn serving<P: Ports>(
    ports: &P,
    endpoint: &str,
) -> Result<(EndpointView, ConfigView), Refusal> {
    let Some(view) = ports.endpoint(endpoint).await? else {
        return Err(unfit(
            "endpoint-not-found",
            "endpoint",
            format!(
                "there is no endpoint {endpoint} in this account and region; check the name, or create it first"
            ),
        ));
    };
    if view.name != *endpoint {
        return Err(unfit(
            "endpoint-spelled-otherwise",
            "endpoint",
            format!(
                "the endpoint's name is {}, and its metrics and its callers go by that spelling; write it so",
                view.name
            ),
        ));
    }
    if view.status != EndpointStatus::InService {
        return Err(unfit(
            "endpoint-not-in-service",
            "endpoint",
            format!(
                "endpoint {endpoint} is {:?}; wait until it is InService, or repair it",
                view.status
            ),
        ));
    }
    let Some(config) = ports.endpoint_config(&view.config).await? else {
        return Err(unfit(
            "endpoint-config-not-found",
            "endpoint",
            format!(
                "endpoint {endpoint} is on config {}, which was deleted: no canary can be added to a copy of it; update the endpoint to a new config first",
                view.config
            ),
        ));
    };
    Ok((view, config))
}

/// Who has which role on the endpoint, once its owner has opened it to deployments: AWS refuses the
/// stack every change to one that is not, and does so only half way through. With what the owner and
/// the stack ask for beside that.
async fn opened<P: Ports>(ports: &P, specification: &Specification) -> Result<Grants, Refusal> {
    let (settings, endpoint) = (ports.settings(), &specification.endpoint);
    let tags = ports.tags(endpoint).await?;
    let Some(tags) = tags.filter(|tags| is_enabled(tags) || !settings.by_tag) else {
        return Err(settings.not_enabled(endpoint).into());
    };
    let grants = Grants::of(&tags, &settings.defaults);
    if specification.undoes.is_some() {
        return Ok(grants);
    }
    let missing = clearance::missing(
        &settings.preconditions,
        &tags,
        &specification.preconditions,
        specification.gate.as_ref(),
    );
    if missing.is_empty() {
        return Ok(grants);
    }
    let detail = format!(
        "endpoint {endpoint} takes no deployment without {}; each needs an entry with its name, a link to the proof and who gives it, and `gate` a gate that is passed (asked for by the stack's parameter RequiredPreconditions or the endpoint's tag {})",
        missing.join(", "),
        clearance::PRECONDITIONS_TAG
    );
    Err(unfit("preconditions-missing", "preconditions", detail))
}

/// The policy as production's own past lets it judge.
fn judged_by(policy: Policy, past: &Past) -> Result<Policy, Refusal> {
    check_gate(&policy, &past.baseline)?;
    let policy = check_baseline(policy, past)?;
    fitness::counts_what_can_be(policy, past)
}

/// Nothing can be shown to be below a limit over which requests can't be counted.
fn check_gate(policy: &Policy, baseline: &Baseline) -> Result<(), Refusal> {
    let is_uncounted =
        |guard: &&Guard| matches!(guard.test, Test::LatencyAbove(..)) && guard.consequence.holds();
    match policy.guards.iter().find(is_uncounted) {
        Some(guard) if policy.safe_gate && baseline.counted_by == SlowCount::Neither => {
            let detail = format!(
                "CloudWatch counts no slow requests in this account (neither TC nor PR), so nothing is ever shown to be below {}: leave safe_gate out, or mute that limit",
                guard.name
            );
            Err(unfit("safe-gate-uncounted", "policy.safe_gate", detail))
        }
        _ => Ok(()),
    }
}

/// What production itself breaks would be broken by a canary that is just as good.
fn check_baseline(mut policy: Policy, past: &Past) -> Result<Policy, Refusal> {
    let broken = broken_by_production(&policy, &past.baseline, &past.minutes);
    if broken.is_empty() {
        return Ok(policy);
    }
    if !policy.accept_baseline {
        let sentences: Vec<&str> = broken
            .iter()
            .map(|breach| breach.sentence.as_str())
            .collect();
        let detail = format!(
            "{}; a canary just as good would be rolled back: set the limit to what production keeps, or accept_baseline: true, which mutes what production breaks",
            sentences.join("; ")
        );
        return Err(unfit("baseline-breaks-policy", "policy", detail));
    }
    for guard in policy.guards.iter_mut().chain(&mut policy.memory) {
        if broken.iter().any(|breach| breach.guard == guard.name) {
            guard.consequence.muted = true;
        }
    }
    Ok(policy)
}

/// The scaling that is found must be one that can be put back in the end.
async fn check_scaling<P: Ports>(
    ports: &P,
    endpoint: &str,
    variant: &str,
) -> Result<Option<ScalableTarget>, Refusal> {
    match ports.target(endpoint, variant).await {
        Err(error) if error.class == Class::Invalid => {
            Err(unfit("scaling-policy", "endpoint", error.message))
        }
        other => Ok(other?),
    }
}

/// What production has, or is about to have.
pub(super) fn live_instances(view: &EndpointView, production: &str) -> u32 {
    let has = |variant: &VariantView| variant.current_instances.max(variant.desired_instances);
    view.variant(production).map_or(1, has).max(1)
}

/// An alarm that is not there would hold every raise; one that fires already would roll back.
async fn check_alarms<P: Ports>(ports: &P, alarms: &[String]) -> Result<(), Refusal> {
    if alarms.is_empty() {
        return Ok(());
    }
    match ports.firing(alarms).await {
        Err(error) if error.class == Class::Invalid => {
            Err(unfit("alarm-not-found", "policy.alarms", error.message))
        }
        Err(error) => Err(error.into()),
        Ok(firing) if firing.is_empty() => Ok(()),
        Ok(firing) => {
            let names = firing.join(", ");
            let detail = format!(
                "alarm {names} is in state ALARM now, which would roll the canary back at once; wait until it is OK, or leave it out"
            );
            Err(unfit("alarm-firing", "policy.alarms", detail))
        }
    }
}

/// What a proposal is made of, beside the specification and the endpoint.
struct Drawn {
    now: Timestamp,
    id: String,
    policy: Policy,
    baseline: Baseline,
    former_model: String,
    challenger: Challenger,
    prices: Option<Prices>,
    grants: Grants,
    clearance: Clearance,
}

impl Drawn {
    fn up(
        self,
        specification: &Specification,
        view: &EndpointView,
        production: &str,
        caller: &str,
    ) -> Deployment {
        let names = Deployment::names(&specification.endpoint, &self.id);
        // Whole seconds: the record and every message say the same time.
        let now = self.now - SignedDuration::from_nanos(i64::from(self.now.subsec_nanosecond()));
        let instances = live_instances(view, production);
        let terms = Terms {
            id: self.id,
            endpoint: specification.endpoint.clone(),
            endpoint_created_at: view.created_at,
            model: self.challenger.model,
            former_model: self.former_model,
            production: production.to_owned(),
            canary: names.canary,
            original_config: view.config.clone(),
            canary_config: names.canary_config,
            final_config: names.final_config,
            plan: specification.plan.clone(),
            policy: self.policy,
            baseline: self.baseline,
            capacity: specification.capacity.clone(),
            cleanup: specification.cleanup,
            rollback: specification.rollback.clone(),
            watch: specification.watch,
            topics: specification.topics.clone(),
            created_at: now,
            created_by: caller.to_owned(),
            routing: specification.routing.clone(),
            readings: specification.readings.clone(),
            prices: self.prices,
            grants: Some(self.grants),
            undoes: specification.undoes.clone(),
            clearance: self.clearance,
            packages: self.challenger.packages,
        };
        Deployment::accepted(terms, instances)
    }
}
