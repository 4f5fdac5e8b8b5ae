//! What a specification must bring before anything of the endpoint is looked at: results that pass
//! its gate. A model that the gate refuses has no deployment and no record, and is announced all the
//! same, through a row of the outbox: once it is written it can't get lost.

use std::time::Duration;

use jiff::Timestamp;

use super::accept::Key;
use super::announce::{shard_of, sweep_for};
use super::ports::{OutboxRow, PortError, Ports};
use super::refusal::{Refusal, unfit};
use crate::domain::gate::{Outcome, Unbound, judge};
use crate::domain::history::{Entry, Name, Severity};
use crate::domain::quantity::Weight;
use crate::domain::specification::Specification;
use crate::domain::state::{Phase, Status};
use crate::wire::digest;
use crate::wire::items::event_id;

/// How long the answer waits for the announcement.
const ANNOUNCING: Duration = Duration::from_secs(5);

/// What the gate says of the model, in words; nothing without a gate.
pub(super) fn pass(
    specification: &Specification,
    now: Timestamp,
) -> Result<Option<String>, Refusal> {
    let Some(gate) = &specification.gate else {
        return Ok(None);
    };
    // Of a package there may be no model yet by whose name it could be compared.
    let package = specification.package_to_make();
    let named = gate.results.as_ref().map(|results| results.model.as_str());
    let by_package = named.filter(|named| package.is_some_and(|package| package.is_same(named)));
    let challenger = by_package.unwrap_or(specification.model.as_str());
    let results = gate.results_for(challenger, now)?;
    let judgement = judge(results, &gate.rules);
    match judgement.outcome {
        Outcome::Passed => Ok(Some(judgement.sentence())),
        Outcome::Rejected => Err(Refusal::Rejected {
            model: specification.model.clone(),
            sentence: judgement.sentence(),
        }),
    }
}

/// Whether the champion of the results, where it is named, is what production serves.
pub(super) fn check_champion(
    specification: &Specification,
    production: &str,
) -> Result<(), Refusal> {
    let gate = specification.gate.as_ref();
    Ok(gate.map_or(Ok(()), |gate| gate.champion_is(production))?)
}

/// Announces a model that was refused. The same request has the same event id, however often it is
/// sent, where it has a key.
pub(super) async fn announce<P: Ports>(
    ports: &P,
    specification: &Specification,
    sentence: &str,
    caller: &str,
    key: Option<&Key>,
) -> Result<(), PortError> {
    // A key that is used once more for another request, which a refusal leaves free, is another event.
    let id = key.map_or_else(
        || ports.new_id(),
        |Key {
             key,
             digest: request,
         }| { format!("{:.32}", digest(format!("{key}#{request}").as_bytes())) },
    );
    let id = format!("rejected-{id}");
    let results = specification
        .gate
        .as_ref()
        .and_then(|gate| gate.results.as_ref());
    let champion = results.and_then(|results| results.champion.clone());
    let row = OutboxRow {
        event_id: event_id(&id, 1),
        shard: shard_of(&id),
        topics: specification.topics.clone(),
        deployment_id: id,
        endpoint: specification.endpoint.clone(),
        model: specification.model.clone(),
        former_model: champion.unwrap_or_default(),
        entry: entry(ports.now(), specification, sentence, caller),
        taken: Vec::new(),
    };
    ports.tell(&row).await?;
    sweep_for(ports, &row.deployment_id, ANNOUNCING).await;
    Ok(())
}

/// There is no deployment whose status it could tell; messages say REJECTED.
fn entry(at: Timestamp, specification: &Specification, sentence: &str, caller: &str) -> Entry {
    Entry {
        signal: None,
        signal_severity: None,
        seq: 1,
        at,
        event: Name::Rejected,
        severity: Severity::Warning,
        reason: format!("the gate refuses {}", specification.model),
        value: sentence.to_owned(),
        limit: "what the specification's gate requires".to_owned(),
        status: Status::Failed,
        phase: Phase::Ended,
        weight: Weight::ZERO,
        confirmed_weight: None,
        by: Some(caller.to_owned()),
    }
}

impl From<Unbound> for Refusal {
    fn from(unbound: Unbound) -> Self {
        let (kind, field) = match &unbound {
            Unbound::Missing { .. } => ("gate-results-missing", "gate.results"),
            Unbound::NoChampion => ("gate-results-missing", "gate.results.champion"),
            Unbound::OtherModel { .. } => ("gate-results-of-another", "gate.results.model"),
            Unbound::OtherChampion { .. } => ("gate-results-of-another", "gate.results.champion"),
            Unbound::TooOld { .. } => ("gate-results-too-old", "gate.results.compared_at"),
            Unbound::FromTheFuture { .. } => ("gate-results-too-new", "gate.results.compared_at"),
        };
        unfit(kind, field, unbound.to_string())
    }
}
