//! A new deployment. Everything is checked before anything is written, and nothing in SageMaker
//! is changed here: the record is the intent, and `deploy` as provision carries it out.

use std::borrow::Cow;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::fitness;
use super::gate;
use super::health;
use super::past::{self, Past};
use super::ports::{
    Class, ConfigView, Creation, IdempotencyClaim, Loaded, PortError, Ports, Refused,
};
use super::pricing;
use super::registry::{self, Challenger};
use crate::domain::authority::{Grants, Outside, is_enabled};
use crate::domain::baseline::{Baseline, SlowCount, broken_by_production};
use crate::domain::clearance::{self, Clearance};
use crate::domain::cost::Prices;
use crate::domain::deployment::{Deployment, Terms};
use crate::domain::due::Actor;
use crate::domain::evidence::Evidence;
use crate::domain::freeze::{Freeze, Freezes};
use crate::domain::history::{Entry, Name, Severity};
use crate::domain::judge::floor_minute;
use crate::domain::observation::{EndpointStatus, EndpointView, VariantView};
use crate::domain::outlay::Machines;
use crate::domain::policy::{Guard, Policy, Test};
use crate::domain::replay::Recorded;
use crate::domain::scaling::ScalableTarget;
use crate::domain::specification::Specification;

/// How often a creation that met another writer is tried.
const CREATIONS: usize = 4;
/// The wait before the next try.
const BETWEEN_CREATIONS: Duration = Duration::from_millis(50);

/// Why a deployment was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The endpoint or the model can't take it: which field, and what to do.
    #[error("{detail}")]
    Unfit {
        /// A stable word for the kind of problem.
        kind: &'static str,
        /// The field of the specification.
        field: Cow<'static, str>,
        /// What is wrong and the way out.
        detail: String,
    },
    /// The gate refuses the model.
    #[error("the gate refuses {model}: {sentence}")]
    Rejected {
        /// The model.
        model: String,
        /// What it fell short of.
        sentence: String,
    },
    /// Nothing begins at the moment.
    #[error(
        "endpoint {endpoint} is {freeze}; wait until it is lifted, or, if this can't wait, say `hotfix: {{reason: …}}` as one of its approvers"
    )]
    Frozen {
        /// The endpoint.
        endpoint: String,
        /// By whom, until when and why.
        freeze: Box<Freeze>,
    },
    /// The endpoint has a deployment that is not over.
    #[error(
        "endpoint {endpoint} has deployment {by}, which is not over; wait for it, or roll it back"
    )]
    Locked {
        /// The endpoint.
        endpoint: String,
        /// The deployment that holds the lock.
        by: String,
    },
    /// There is nothing to go back to, or nowhere to go back from.
    #[error("{detail}")]
    NoWayBack {
        /// What is missing and the way out.
        detail: String,
    },
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for another request in the last 24 h; use a new one")]
    KeyReused,
    /// A request with the same key is under way.
    #[error("a request with this Idempotency-Key is under way; repeat it in a moment")]
    KeyInProgress,
    /// Something could not be read or written.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// An accepted deployment.
#[derive(Debug)]
pub struct Accepted {
    /// The record.
    pub loaded: Loaded,
    /// Whether the same key had made it before.
    pub repeated: bool,
}

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

/// The key of a request, and its digest.
#[derive(Debug, Clone)]
pub struct Key {
    /// The caller's role and the key given.
    pub key: String,
    /// SHA-256 of the request in hexadecimal.
    pub digest: String,
}

/// Checks and writes a new deployment.
pub async fn accept<P: Ports>(
    ports: &P,
    specification: &Specification,
    given: &serde_json::Value,
    caller: &str,
    key: Option<Key>,
) -> Result<Accepted, Refusal> {
    if let Some(accepted) = answered_before(ports, key.as_ref()).await? {
        return Ok(accepted);
    }
    let made = accept_new(ports, specification, given, caller, key.as_ref()).await;
    match or_answered(ports, key.as_ref(), made).await {
        Err(Refusal::Port(error)) => {
            health::report(ports, None, &error);
            Err(error.into())
        }
        other => other,
    }
}

async fn accept_new<P: Ports>(
    ports: &P,
    specification: &Specification,
    given: &serde_json::Value,
    caller: &str,
    key: Option<&Key>,
) -> Result<Accepted, Refusal> {
    unlocked(ports, &specification.endpoint).await?;
    let proposed = propose(ports, specification, caller).await;
    if let Err(Refusal::Rejected { sentence, .. }) = &proposed {
        // A refusal that could not be kept is none yet: the caller asks again.
        gate::announce(ports, specification, sentence, caller, key).await?;
    }
    accept_proposed(ports, proposed?, given, None, key).await
}

/// Writes a deployment that was proposed, with production's minutes before it, and under the key that
/// it was asked for with.
pub(super) async fn accept_proposed<P: Ports>(
    ports: &P,
    proposal: Proposal,
    given: &serde_json::Value,
    why: Option<&str>,
    key: Option<&Key>,
) -> Result<Accepted, Refusal> {
    let Proposal {
        deployment, past, ..
    } = proposal;
    let claim = key.map(|key| IdempotencyClaim {
        key: key.key.clone(),
        digest: key.digest.clone(),
        deployment_id: deployment.terms.id.clone(),
    });
    let loaded = create(ports, deployment, &past, given, why, claim.as_ref()).await?;
    Ok(woken(ports, loaded).await)
}

/// What was made, or what the same request has made: it may have won the race for the lock a moment
/// ago.
pub(super) async fn or_answered<P: Ports>(
    ports: &P,
    key: Option<&Key>,
    made: Result<Accepted, Refusal>,
) -> Result<Accepted, Refusal> {
    match made {
        Err(refusal @ (Refusal::Locked { .. } | Refusal::KeyInProgress)) => {
            answered_before(ports, key).await?.ok_or(refusal)
        }
        other => other,
    }
}

async fn woken<P: Ports>(ports: &P, loaded: Loaded) -> Accepted {
    let (id, version) = (&loaded.deployment.terms.id, loaded.deployment.state.version);
    if let Err(error) = ports.wake(Actor::Provision, id, version).await {
        // The next tick wakes it again.
        health::report(ports, Some(id), &error);
    }
    Accepted {
        loaded,
        repeated: false,
    }
}

/// The answer that the key had in the last 24 h, if it was used.
pub(super) async fn answered_before<P: Ports>(
    ports: &P,
    key: Option<&Key>,
) -> Result<Option<Accepted>, Refusal> {
    let Some(key) = key else { return Ok(None) };
    let Some(claim) = ports.idempotency(&key.key).await? else {
        return Ok(None);
    };
    if claim.digest != key.digest {
        return Err(Refusal::KeyReused);
    }
    let loaded = ports.load(&claim.deployment_id).await?;
    let loaded = loaded.ok_or_else(|| {
        PortError::new(
            Class::Bug,
            "load",
            "a key names a deployment that is not there",
        )
    })?;
    Ok(Some(Accepted {
        loaded,
        repeated: true,
    }))
}

async fn create<P: Ports>(
    ports: &P,
    mut deployment: Deployment,
    past: &[Recorded],
    given: &serde_json::Value,
    why: Option<&str>,
    claim: Option<&IdempotencyClaim>,
) -> Result<Loaded, Refusal> {
    let entry = first_entry(&mut deployment, why);
    let evidence = Evidence::starting_after(floor_minute(deployment.terms.created_at));
    let loaded = Loaded {
        deployment,
        evidence,
    };
    let terms = &loaded.deployment.terms;
    let mut tries = 0;
    loop {
        tries += 1;
        // Once more, and the write is conditional on it: the checks since the first look take a while.
        let freezes = match terms.clearance.hotfix {
            Some(_) => None,
            None => Some(unfrozen(ports, &terms.endpoint).await?),
        };
        let creation = Creation {
            loaded: &loaded,
            specification: given,
            past,
            entry: &entry,
            idempotency: claim,
            freezes: freezes.as_ref(),
        };
        let error = match ports.create(creation).await {
            Ok(()) => return Ok(loaded),
            Err(Refused::Locked { by }) => {
                let endpoint = terms.endpoint.clone();
                return Err(Refusal::Locked { endpoint, by });
            }
            Err(Refused::KeyTaken) => return Err(Refusal::KeyInProgress),
            Err(Refused::FreezeTurned) => {
                let why = "the freeze switch was turned meanwhile";
                PortError::new(Class::Conflict, "create", why)
            }
            Err(Refused::Port(error)) => error,
        };
        // Others who begin a deployment look at the stack's switch in the same moment.
        if error.class != Class::Conflict || tries == CREATIONS {
            return Err(error.into());
        }
        ports.pause(BETWEEN_CREATIONS).await;
    }
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

/// What was read of the endpoint's freezes, where none of them stands.
async fn unfrozen<P: Ports>(ports: &P, endpoint: &str) -> Result<Freezes, Refusal> {
    let freezes = ports.freezes(endpoint).await?;
    match freezes.clone().standing_at(ports.now()) {
        None => Ok(freezes),
        Some(freeze) => Err(Refusal::Frozen {
            endpoint: endpoint.to_owned(),
            freeze: Box::new(freeze),
        }),
    }
}

fn first_entry(deployment: &mut Deployment, why: Option<&str>) -> Entry {
    let (terms, state) = (&deployment.terms, &mut deployment.state);
    let undoes = terms.undoes.as_ref();
    let undoes = undoes.map_or_else(String::new, |id| format!(", to undo deployment {id}"));
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    let mut reason = format!(
        "{} is to replace {} on {}{undoes}{why}",
        terms.model, terms.former_model, terms.endpoint
    );
    state.reason.clone_from(&reason);
    if let Some(clearance) = terms.clearance.sentence() {
        reason = format!("{reason}; {clearance}");
    }
    if let Some(changed_at) = terms.baseline.changed_at {
        reason = format!(
            "{reason}; the endpoint was last changed at {changed_at}, and production's figures from before that may be of another config"
        );
    }
    state.last_seq = 1;
    Entry {
        seq: 1,
        at: terms.created_at,
        event: Name::Started,
        severity: Severity::Info,
        reason,
        value: format!(
            "{} stages, {} to 100 %",
            terms.plan.stages.len(),
            terms.plan.shortest()
        ),
        limit: format!("deadline {}", terms.plan.deadline),
        status: state.status,
        phase: state.phase,
        weight: state.target,
        by: Some(terms.created_by.clone()),
        signal: None,
        signal_severity: None,
    }
}

/// The deployment that [`accept`] would write, refused for the same reasons and in the same order. Writes
/// nothing, and announces nothing.
pub async fn plan<P: Ports>(
    ports: &P,
    specification: &Specification,
    caller: &str,
) -> Result<Proposal, Refusal> {
    unlocked(ports, &specification.endpoint).await?;
    propose(ports, specification, caller).await
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
    let former_model = can_take_canary(endpoint, &config)?;
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
    fitness::has_room(&specification.capacity, instances, scaling.as_ref())?;
    check_alarms(ports, &specification.policy.alarms).await?;
    let since = config.created_at.max(view.created_at);
    let mut past = past::read(ports, endpoint, production, &specification.policy, since).await?;
    past.baseline.changed_at = past::changed_within(view.modified_at, since, ports.now());
    check_gate(&specification.policy, &past.baseline)?;
    let recorded = past.recorded(&specification.policy);
    let drawn = Drawn {
        now: ports.now(),
        id: ports.new_id(),
        policy: check_baseline(specification.policy.clone(), &past)
            .and_then(|policy| fitness::counts_what_can_be(policy, &past))?,
        baseline: past.baseline,
        former_model,
        challenger,
        prices: pricing::prices(
            specification,
            &ports.settings().prices,
            config.variants[0].instance_type.as_deref(),
        )?,
        grants,
        clearance: Clearance {
            gate,
            preconditions: specification.preconditions.clone(),
            hotfix: specification.hotfix.clone(),
        },
    };
    let kind = config.variants[0].instance_type.as_deref();
    Ok(Proposal {
        deployment: drawn.up(specification, &view, production, caller),
        past: recorded,
        machines: pricing::machines(specification, &ports.settings().prices, kind),
    })
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

/// Whether a weighted canary variant can stand beside what the endpoint has; returns the model in
/// production.
fn can_take_canary(endpoint: &str, config: &ConfigView) -> Result<String, Refusal> {
    let refuse = |kind, detail: String| Err(unfit(kind, "endpoint", detail));
    let [production] = config.variants.as_slice() else {
        return refuse(
            "several-variants",
            format!(
                "endpoint {endpoint} has {} production variants; a canary needs exactly one, so update it to a config with one first",
                config.variants.len()
            ),
        );
    };
    if !config.unknown_fields.is_empty() {
        return refuse(
            "unknown-config-fields",
            format!(
                "the config of endpoint {endpoint} has {}, which this version does not know and its copy would lose; upgrade this stack, or update the endpoint to a config without it",
                config.unknown_fields.join(", ")
            ),
        );
    }
    if config.shadow_variants > 0 {
        return refuse(
            "shadow-variant",
            format!(
                "endpoint {endpoint} has a shadow variant, and SageMaker allows no second production variant beside it; remove the shadow first"
            ),
        );
    }
    if config.is_async {
        return refuse(
            "async-endpoint",
            format!(
                "endpoint {endpoint} is asynchronous: its latency metrics do not measure requests; canaries need a real-time endpoint"
            ),
        );
    }
    if production.is_serverless {
        return refuse(
            "serverless-variant",
            format!(
                "endpoint {endpoint} is serverless, which allows one production variant only; canaries need instances"
            ),
        );
    }
    match &production.model {
        Some(model) => Ok(model.clone()),
        None => refuse(
            "inference-components",
            format!(
                "endpoint {endpoint} serves inference components, which have no weighted split between variants"
            ),
        ),
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

impl From<Outside> for Refusal {
    fn from(outside: Outside) -> Self {
        unfit(outside.kind, outside.field, outside.detail)
    }
}

pub(super) fn unfit(
    kind: &'static str,
    field: impl Into<Cow<'static, str>>,
    detail: String,
) -> Refusal {
    Refusal::Unfit {
        kind,
        field: field.into(),
        detail,
    }
}
