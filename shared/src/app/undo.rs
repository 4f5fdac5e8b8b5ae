//! The way back after a completion: a new deployment of the former model, accepted like any other.
//!
//! It is for whoever is woken at night, so it waits for nothing that a person would have to wait for:
//! one stage of 100 %, no change windows, no approval. It is no leap either: the former model gets its
//! instances before it gets traffic, guards judge it, and the model it replaces stays beside it at
//! weight 0 for the soak, so that even this can be taken back. What the former model ran on is read
//! from the config that the endpoint was on before; where that is gone, nobody knows it any more.
//!
//! Of what is measured, only that the former model does not work takes it back: absolute limits of errors
//! and latency, and 5XX beyond production's. Whatever else it is worse in, it was in production with, and
//! whoever undoes wants it back: that is told. A version that somebody has rejected since does not come
//! back before it is approved again.
//!
//! An undo itself has no undo: that would bring the model back that was taken out, past its gate, its
//! approvals and every freeze.

use std::collections::BTreeMap;

use serde_json::json;

use super::accept::{Accepted, Key, accept_proposed, answered_before, or_answered};
use super::health;
use super::ports::{Class, ConfigVariant, Loaded, Ports};
use super::propose::{live_instances, or_locked, propose, unlocked};
use super::refusal::Refusal;
use crate::domain::cost::Prices;
use crate::domain::deployment::{CanaryCapacity, Cleanup, Deployment, Terms};
use crate::domain::observation::EndpointView;
use crate::domain::plan::{Plan, Stage};
use crate::domain::policy::{Action, OnDrift, Policy, Test};
use crate::domain::quantity::{Span, Weight};
use crate::domain::registry::{Approval, Packages};
use crate::domain::retreat::Rollback;
use crate::domain::scaling::Bounds;
use crate::domain::signal::Source;
use crate::domain::specification::Specification;
use crate::domain::state::Status;

/// How long the model that is undone stays beside the former one.
pub const SOAK: Span = Span::from_mins(30);

/// Accepts the deployment that brings the former model back, or says why there can't be one.
pub async fn undo<P: Ports>(
    ports: &P,
    completed: &Loaded,
    caller: &str,
    why: Option<&str>,
    key: Option<&Key>,
) -> Result<Accepted, Refusal> {
    let undone = once(ports, completed, caller, why, key).await;
    if let Err(Refusal::Port(error)) = &undone {
        health::report(ports, Some(&completed.deployment.terms.id), error);
    }
    undone
}

async fn once<P: Ports>(
    ports: &P,
    completed: &Loaded,
    caller: &str,
    why: Option<&str>,
    key: Option<&Key>,
) -> Result<Accepted, Refusal> {
    if let Some(accepted) = answered_before(ports, key).await? {
        return Ok(accepted);
    }
    is_completed(&completed.deployment)?;
    let made = bring_back(ports, completed, caller, why, key).await;
    let made = or_locked(ports, &completed.deployment.terms.endpoint, made).await;
    or_answered(ports, key, made).await
}

async fn bring_back<P: Ports>(
    ports: &P,
    completed: &Loaded,
    caller: &str,
    why: Option<&str>,
    key: Option<&Key>,
) -> Result<Accepted, Refusal> {
    let terms = &completed.deployment.terms;
    unlocked(ports, &terms.endpoint).await?;
    let view = ports.endpoint(&terms.endpoint).await?;
    let view = as_it_was_left(terms, view)?;
    let kept = kept(ports, terms).await?;
    let unread = not_rejected(ports, terms).await?;
    let present = ports.endpoint_config(&view.config).await?;
    let present = present.and_then(|config| config.variants.into_iter().next());
    let fleet = Fleet {
        present: live_instances(&view, &terms.canary),
        most: ports.bounds(&terms.endpoint, &terms.canary).await?,
    };
    let specification = specification(&completed.deployment, &kept, present.as_ref(), &fleet);
    let proposal = propose(ports, &specification, caller).await?;
    let given = json!({
        "undo": terms.id,
        "endpoint": specification.endpoint,
        "model": specification.model,
    });
    let why: Vec<&str> = why.into_iter().chain(unread.as_deref()).collect();
    let why = (!why.is_empty()).then(|| why.join("; "));
    accept_proposed(ports, proposal, &given, why.as_deref(), key).await
}

fn no(detail: String) -> Refusal {
    Refusal::NoWayBack { detail }
}

fn is_completed(deployment: &Deployment) -> Result<(), Refusal> {
    let (terms, status) = (&deployment.terms, deployment.state.status);
    if let Some(undone) = &terms.undoes {
        return Err(no(format!(
            "deployment {} has undone {undone}, and an undo can't be undone: deploy {} with a specification of its own",
            terms.id, terms.former_model
        )));
    }
    let way_out = match status {
        Status::Completed if terms.cleanup.keep_old_variant => {
            return Err(no(format!(
                "deployment {} kept the old variant beside the new one, at weight 0: give that its weight back by hand",
                terms.id
            )));
        }
        Status::Completed => return Ok(()),
        Status::Pending | Status::InProgress => "roll it back",
        Status::RollingBack | Status::RolledBack | Status::Cancelled => {
            "production has, or is getting, everything back already"
        }
        Status::Failed => "its history says how it left the endpoint",
    };
    Err(no(format!(
        "deployment {} is {status}, and only a completed one can be undone: {way_out}",
        terms.id
    )))
}

/// The endpoint, as long as nobody has changed it since.
fn as_it_was_left(terms: &Terms, view: Option<EndpointView>) -> Result<EndpointView, Refusal> {
    let Terms {
        endpoint,
        final_config,
        ..
    } = terms;
    let Some(view) = view else {
        return Err(no(format!("endpoint {endpoint} was deleted since")));
    };
    if !view.was_made_at(terms.endpoint_created_at) {
        return Err(no(format!(
            "endpoint {endpoint} was deleted and made again since"
        )));
    }
    if view.config != *final_config {
        return Err(no(format!(
            "endpoint {endpoint} is on config {} by now, not on {final_config}, where this deployment left it: undo what came after it first, or deploy {}",
            view.config, terms.former_model
        )));
    }
    Ok(view)
}

/// What the former model ran on, as long as that is still kept.
async fn kept<P: Ports>(ports: &P, terms: &Terms) -> Result<ConfigVariant, Refusal> {
    let Terms {
        original_config,
        former_model,
        production,
        ..
    } = terms;
    let Some(config) = ports.endpoint_config(original_config).await? else {
        return Err(no(format!(
            "config {original_config}, which {former_model} ran on, was deleted since: deploy {former_model} with a specification of its own"
        )));
    };
    let mut variants = config.variants.into_iter();
    let kept = variants.find(|variant| {
        variant.name == *production && variant.model.as_ref() == Some(former_model)
    });
    let Some(kept) = kept else {
        return Err(no(format!(
            "config {original_config} is another one by now: it has no variant {production} of {former_model}"
        )));
    };
    if ports.model(former_model).await?.is_none() {
        return Err(no(format!(
            "model {former_model} was deleted since: create it again under this name"
        )));
    }
    Ok(kept)
}

/// Whether the version that the former model was made of may come back: one that was rejected since may not.
/// A registry that can't be read keeps nobody from the way back; that is said, in the words that this returns.
async fn not_rejected<P: Ports>(ports: &P, terms: &Terms) -> Result<Option<String>, Refusal> {
    let Some(package) = terms.packages.to_bring_back() else {
        return Ok(None);
    };
    match ports.package(package).await {
        Ok(view) if view.approval == Some(Approval::Rejected) => Err(no(format!(
            "model package {package}, which {} was made of, is Rejected by now: have it approved in the registry again, or deploy another model",
            terms.former_model
        ))),
        Ok(_) => Ok(None),
        Err(error) => {
            // One that was deleted is nobody's fault here.
            if error.class != Class::Invalid {
                health::report(ports, Some(&terms.id), &error);
            }
            Ok(Some(format!(
                "the approval of model package {package} could not be read ({error})"
            )))
        }
    }
}

/// What the model that is undone runs on now.
struct Fleet {
    /// Its instances.
    present: u32,
    /// What its scaling allows, which the former model takes over: more would be refused.
    most: Option<Bounds>,
}

/// The former model on what it ran on, with the instances that the total traffic needs.
fn specification(
    completed: &Deployment,
    kept: &ConfigVariant,
    present: Option<&ConfigVariant>,
    fleet: &Fleet,
) -> Specification {
    let terms = &completed.terms;
    let is_other_type = present.is_some_and(|present| present.instance_type != kept.instance_type);
    let other_type = kept.instance_type.clone().filter(|_| is_other_type);
    let needed = completed.instances_to_undo(fleet.present, !is_other_type);
    let most = fleet.most.as_ref().map_or(u32::MAX, |bounds| bounds.max);
    let capacity = CanaryCapacity {
        instances: Some(needed.min(most)),
        instance_type: other_type,
        autoscaling: None,
    };
    let all_at_once = Stage {
        weight: Weight::FULL,
        bake: Span::ZERO,
        approval: false,
        min_labels: 0,
    };
    Specification {
        endpoint: terms.endpoint.clone(),
        model: terms.former_model.clone(),
        packages: Packages {
            new: terms.packages.former.clone(),
            former: terms.packages.new.clone(),
        },
        capacity,
        plan: Plan {
            stages: vec![all_at_once],
            soak: SOAK,
            deadline: Plan::DEADLINE,
            change_windows: Vec::new(),
        },
        preset: None,
        policy: policy(&terms.policy),
        // Neither asked for again nor waited for: production had this model before.
        undoes: Some(terms.id.clone()),
        gate: None,
        preconditions: Vec::new(),
        hotfix: Some(format!("deployment {} is undone", terms.id)),
        routing: terms.routing.clone(),
        readings: terms.readings.clone(),
        prices: prices(terms.prices, kept, present),
        cleanup: Cleanup {
            after: Cleanup::AFTER,
            keep_old_variant: false,
        },
        rollback: Rollback::default(),
        watch: terms.watch,
        topics: terms.topics.clone(),
    }
}

/// The prices that the deployment went by, each with its type: who was the canary is production now.
fn prices(
    had: Option<Prices>,
    kept: &ConfigVariant,
    present: Option<&ConfigVariant>,
) -> BTreeMap<String, f64> {
    let Some(had) = had else {
        return BTreeMap::new();
    };
    let present = present.and_then(|present| present.instance_type.clone());
    let priced = [
        (kept.instance_type.clone(), had.production),
        (present, had.canary),
    ];
    let known = priced.into_iter();
    known
        .filter_map(|(kind, price)| Some((kind?, price)))
        .collect()
}

/// The policy that the deployment had, without what the model that is undone would fail by: alarms that
/// it may have set off, limits that it breaks today, and a gate that asks for proof first. By what does not
/// show that the former model does not work, people are told and nothing else: it was in production with that.
fn policy(had: &Policy) -> Policy {
    let mut policy = Policy {
        alarms: Vec::new(),
        safe_gate: false,
        on_drift: OnDrift::Hold,
        accept_baseline: true,
        ..had.clone()
    };
    let guards = policy.guards.iter_mut().chain(&mut policy.memory);
    let guards = guards.filter(|guard| !is_of_service(guard.test));
    let signals = policy.signals.iter_mut();
    let signals = signals.filter(|rule| rule.source != Source::ServerErrors);
    let fairness = policy.fairness.iter_mut();
    let told = guards
        .map(|guard| &mut guard.consequence)
        .chain(signals.map(|rule| &mut rule.consequence))
        .chain(fairness.map(|fairness| &mut fairness.consequence));
    for consequence in told {
        consequence.on_breach = Action::Notify;
    }
    policy
}

/// Whether it says by itself that a model does not serve: nothing that is held against production, which
/// is the model that nobody wants.
const fn is_of_service(test: Test) -> bool {
    matches!(test, Test::ErrorsAbove(_) | Test::LatencyAbove(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fairness::Fairness;
    use crate::domain::plan::Preset;
    use crate::domain::policy::{Consequence, Guard};
    use crate::domain::signal::{CLIENT_ERRORS, ERRORS, SLOWNESS, SignalRule, UNREAD};

    #[test]
    fn only_a_former_model_that_does_not_serve_is_taken_back() {
        let mut had = Policy::preset(Preset::Linear);
        had.alarms.push("pager".to_owned());
        had.memory = Some(Guard::memory());
        had.signals.push(SignalRule::unread(Consequence::default()));
        had.signals[1].consequence.muted = true;
        had.fairness = Some(Fairness {
            rules: Vec::new(),
            groups: Vec::new(),
            consequence: Consequence::default(),
        });
        let policy = policy(&had);
        assert_eq!(policy.alarms, Vec::<String>::new());
        let fairness = policy.fairness.as_ref().expect("it is judged on");
        assert_eq!(fairness.consequence.action(), Some(Action::Notify));
        let guards = policy.all_guards();
        let guards = guards.map(|guard| (guard.name.as_str(), guard.consequence.action()));
        let signals = policy.signals.iter();
        let signals = signals.map(|rule| (rule.name.as_str(), rule.consequence.action()));
        let acts: Vec<(&str, Option<Action>)> = guards.chain(signals).collect();
        let (back, told) = (Some(Action::Rollback), Some(Action::Notify));
        let expected = [
            ("error_rate.limit", back),
            ("error_rate.worse_by", told),
            ("latency_p99.limit", back),
            ("latency_p99.ratio", told),
            (Guard::MEMORY, told),
            (ERRORS, back),
            (CLIENT_ERRORS, None),
            (SLOWNESS, told),
            (UNREAD, told),
        ];
        assert_eq!(acts, expected);
    }
}
