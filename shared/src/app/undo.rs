//! The way back after a completion: a new deployment of the former model, accepted like any other.
//!
//! It is for whoever is woken at night, so it waits for nothing that a person would have to wait for:
//! one stage of 100 %, no change windows, no approval. It is no leap either: the former model gets its
//! instances before it gets traffic, guards judge it, and the model it replaces stays beside it at
//! weight 0 for the soak, so that even this can be taken back. What the former model ran on is read
//! from the config that the endpoint was on before; where that is gone, nobody knows it any more.
//!
//! An undo itself has no undo: that would bring the model back that was taken out, past its gate, its
//! approvals and every freeze.

use std::collections::BTreeMap;

use serde_json::json;

use super::accept::{Accepted, Key, Refusal, accept_proposed, answered_before, or_answered};
use super::health;
use super::ports::{ConfigVariant, Loaded, Ports};
use super::propose::{live_instances, propose, unlocked};
use crate::domain::cost::Prices;
use crate::domain::deployment::{CanaryCapacity, Cleanup, Deployment, Terms};
use crate::domain::observation::EndpointView;
use crate::domain::plan::{Plan, Stage};
use crate::domain::policy::{Action, OnDrift, Policy};
use crate::domain::quantity::{Span, Weight};
use crate::domain::registry::Packages;
use crate::domain::retreat::Rollback;
use crate::domain::scaling::Bounds;
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
    let made = bring_back(ports, completed, caller, why, key).await;
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
    is_completed(&completed.deployment)?;
    unlocked(ports, &terms.endpoint).await?;
    let view = ports.endpoint(&terms.endpoint).await?;
    let view = as_it_was_left(terms, view)?;
    let kept = kept(ports, terms).await?;
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
    accept_proposed(ports, proposal, &given, why, key).await
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
/// it may have set off, limits that it breaks today, and a gate that asks for proof first. How fair the
/// former model is was known before, and is told.
fn policy(had: &Policy) -> Policy {
    let mut policy = Policy {
        alarms: Vec::new(),
        safe_gate: false,
        on_drift: OnDrift::Hold,
        accept_baseline: true,
        ..had.clone()
    };
    if let Some(fairness) = &mut policy.fairness {
        fairness.consequence.on_breach = Action::Notify;
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fairness::Fairness;
    use crate::domain::plan::Preset;
    use crate::domain::policy::Consequence;

    #[test]
    fn the_former_model_is_told_of_its_unfairness_and_not_kept_away_by_it() {
        let mut had = Policy::preset(Preset::Linear);
        had.alarms.push("pager".to_owned());
        had.fairness = Some(Fairness {
            rules: Vec::new(),
            groups: Vec::new(),
            consequence: Consequence::default(),
        });
        let policy = policy(&had);
        let fairness = policy.fairness.expect("it is judged on");
        assert_eq!(fairness.consequence.action(), Some(Action::Notify));
        assert_eq!(policy.alarms, Vec::<String>::new());
        assert_eq!(policy.guards, had.guards);
    }
}
