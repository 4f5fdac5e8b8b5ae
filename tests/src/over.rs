//! What holds after every rollout, however it ended: record and endpoint agree, nothing is left
//! behind, and everything that happened was told, in order, under its stable event id.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::app::announce::{SHARDS, shard_of};
use shared::app::ports::{Endpoints, Store};
use shared::domain::audience::Audience;
use shared::domain::deployment::Terms;
use shared::domain::history::{Entry, Name};
use shared::domain::invariants;
use shared::domain::observation::EndpointView;
use shared::domain::state::Status;
use shared::wire::items::event_id;
use simulator::Simulator;

use crate::World;
use crate::registry::assert_registered;

/// One announcement as it arrived: its id, and the message for programs.
#[derive(Debug, PartialEq)]
pub struct Told {
    /// The stable event id.
    pub event_id: String,
    /// What programs get.
    pub message: Value,
}

impl World {
    /// Holds everything that is true of a deployment that is over.
    ///
    /// # Panics
    /// When something is not.
    pub async fn assert_over(&self, id: &str) {
        self.assert_over_and_told(id, self.told_by_sns(id)).await;
    }

    /// The same, where the announcements went to a topic elsewhere: `told_by_sns` is what arrived.
    ///
    /// # Panics
    /// When something is not.
    pub async fn assert_over_and_told(&self, id: &str, told_by_sns: Vec<Told>) {
        let dropped: Vec<String> = self
            .simulator()
            .dropped_events()
            .iter()
            .map(|event| format!("{event:?}"))
            .collect();
        assert_eq!(
            dropped,
            Vec::<String>::new(),
            "no async event was lost for good"
        );
        let told = [self.told_by_events(id), told_by_sns];
        assert_over(&self.stack.aws, self.simulator(), id, told).await;
    }

    /// The announcements of a deployment on the stack's topic, oldest first, repeated ones too.
    pub fn told_by_sns(&self, id: &str) -> Vec<Told> {
        let published = self.simulator().published().into_iter();
        let own = published.filter(|message| {
            let about = message.attributes.get("deployment_id");
            message.topic == self.stack.aws.config().topic && about.is_some_and(|found| found == id)
        });
        own.map(|message| {
            assert_eq!(message.structure.as_deref(), Some("json"));
            let protocols: Value =
                serde_json::from_str(&message.message).expect("the protocols' texts are JSON");
            let machine: Value =
                serde_json::from_str(protocols["sqs"].as_str().expect("a text for queues"))
                    .expect("queues get JSON");
            for name in ["event", "severity", "endpoint", "deployment_id", "event_id"] {
                assert_eq!(
                    Some(message.attributes[name].as_str()),
                    machine[name].as_str(),
                    "attribute {name}"
                );
            }
            let audiences = message.attributes.get("audience");
            let audiences = audiences.map_or(json!([]), |list| {
                serde_json::from_str(list).expect("a list of audiences")
            });
            assert_eq!(audiences, machine["audiences"], "attribute audience");
            Told {
                event_id: message.attributes["event_id"].clone(),
                message: machine,
            }
        })
        .collect()
    }

    /// The announcements of a deployment over EventBridge, oldest first, repeated ones too.
    pub fn told_by_events(&self, id: &str) -> Vec<Told> {
        let own = self
            .simulator()
            .events()
            .into_iter()
            .filter(|event| event.source == "canary" && event.detail["deployment_id"] == id);
        own.map(|event| {
            assert_eq!(event.detail["event"], event.detail_type.as_str());
            Told {
                event_id: event.detail["event_id"]
                    .as_str()
                    .expect("an event id")
                    .to_owned(),
                message: event.detail,
            }
        })
        .collect()
    }
}

/// Holds everything that is true of a deployment that is over, whatever the ports are made of.
/// `told` is what arrived on the event bus and on the topic.
pub(crate) async fn assert_over<P: Store + Endpoints>(
    ports: &P,
    simulator: &Simulator,
    id: &str,
    told: [Vec<Told>; 2],
) {
    let terms = assert_ended(ports, simulator, id).await;
    assert_told(ports, &terms, told).await;
}

/// Everything of [`assert_over`] that is true from the commit of the terminal status on; what was
/// told of it may still wait.
pub(crate) async fn assert_ended<P: Store + Endpoints>(
    ports: &P,
    simulator: &Simulator,
    id: &str,
) -> Terms {
    let loaded = ports.load(id).await.expect("a readable record");
    let loaded = loaded.expect("a known id");
    let (terms, state) = (&loaded.deployment.terms, &loaded.deployment.state);
    assert!(
        state.status.is_terminal(),
        "{} is not the end",
        state.status
    );
    assert_eq!(
        invariants::violations(&loaded.deployment),
        Vec::<String>::new()
    );
    assert_eq!(simulator.sagemaker().violations(), Vec::<String>::new());
    assert_eq!(
        ports
            .lock_holder(&terms.endpoint)
            .await
            .expect("a readable lock"),
        None,
        "the lock is free"
    );
    assert_eq!(
        ports
            .active(shard_of(id))
            .await
            .expect("a readable index")
            .contains(&id.to_owned()),
        state.is_active(),
        "it is active no more, unless it is watched"
    );
    let view = ports
        .endpoint(&terms.endpoint)
        .await
        .expect("a readable endpoint");
    assert_endpoint(terms, state.status, view.as_ref());
    let history = ports.history(id).await.expect("a readable history");
    if !history
        .iter()
        .any(|entry| entry.event == Name::RegistryLeft)
    {
        assert_registered(simulator, &loaded.deployment);
    }
    assert_configs(simulator, terms, state.status, view);
    loaded.deployment.terms
}

/// The endpoint is on the config that the outcome means, with all traffic on the right variant.
fn assert_endpoint(terms: &Terms, status: Status, view: Option<&EndpointView>) {
    let Some(view) = view else {
        assert_eq!(
            status,
            Status::Failed,
            "only a failed deployment may end without an endpoint"
        );
        return;
    };
    let names: Vec<&str> = view
        .variants
        .iter()
        .map(|variant| variant.name.as_str())
        .collect();
    let share = |name: &str| view.share(name).unwrap_or_default();
    match status {
        Status::Completed if terms.cleanup.keep_old_variant => {
            assert_eq!(view.config, terms.canary_config);
            assert!(
                share(&terms.canary) > 0.9999,
                "the old variant has no traffic"
            );
        }
        Status::Completed => {
            assert_eq!(
                (view.config.as_str(), names.as_slice()),
                (
                    terms.final_config.as_str(),
                    [terms.canary.as_str()].as_slice()
                )
            );
        }
        Status::RolledBack | Status::Cancelled => {
            assert!(terms.is_home(&view.config), "{}", view.config);
            assert_eq!(names, [terms.production.as_str()]);
        }
        _ => {}
    }
}

/// The original config stays (undo needs it); of those the deployment made, only one in use.
fn assert_configs(
    simulator: &Simulator,
    terms: &Terms,
    status: Status,
    view: Option<EndpointView>,
) {
    let former = terms.former_config();
    let made = [&terms.canary_config, &terms.final_config, &former];
    // An endpoint that broke in the middle of an update may be on its way to any of them.
    if view.as_ref().is_some_and(|view| !view.is_in_service()) {
        assert_eq!(
            status,
            Status::Failed,
            "every other end waits for the endpoint"
        );
        return;
    }
    let mut expected = BTreeSet::from([terms.original_config.clone()]);
    expected.extend(
        view.map(|view| view.config)
            .filter(|config| made.contains(&config)),
    );
    let configs = simulator.sagemaker().endpoint_configs().into_iter();
    let ours: BTreeSet<String> = configs
        .filter(|config| *config == terms.original_config || made.contains(&config))
        .collect();
    assert_eq!(ours, expected, "configs as intended");
}

/// Every line of history was announced on both ways, in order, and nothing else was.
pub(crate) async fn assert_told<P: Store>(ports: &P, terms: &Terms, arrived: [Vec<Told>; 2]) {
    for shard in 0..SHARDS {
        let left = ports.outbox(shard).await.expect("a readable outbox").rows;
        assert!(
            left.iter().all(|row| row.deployment_id != terms.id),
            "nothing waits in the outbox"
        );
    }
    let history = ports.history(&terms.id).await.expect("a readable history");
    let numbers: Vec<u64> = history.iter().map(|entry| entry.seq).collect();
    assert_eq!(
        numbers,
        (1..=history.len() as u64).collect::<Vec<_>>(),
        "history has no gap"
    );
    let expected: Vec<Told> = history.iter().map(|entry| told(terms, entry)).collect();
    let [events, messages] = arrived;
    assert_eq!(first_of_each(messages), expected, "SNS");
    assert_eq!(first_of_each(events), expected, "EventBridge");
}

/// What a line of history is announced as.
fn told(terms: &Terms, entry: &Entry) -> Told {
    let event_id = event_id(&terms.id, entry.seq);
    let message = json!({
        "event_id": event_id,
        "event": entry.event,
        "severity": entry.severity,
        "deployment_id": terms.id,
        "endpoint": terms.endpoint,
        "model": terms.model,
        "former_model": terms.former_model,
        "status": entry.status,
        "phase": entry.phase,
        "weight": entry.weight,
        "confirmed_weight": entry.confirmed_weight,
        "reason": entry.reason,
        "value": entry.value,
        "limit": entry.limit,
        "by": entry.by,
        "signal": entry.signal,
        "signal_severity": entry.signal_severity,
        "audiences": Audience::of(entry),
        "at": entry.at,
    });
    Told { event_id, message }
}

/// Announcements may come twice; whoever reads them keeps the first by its id. What an incident has
/// beside its line of history is the same each time.
fn first_of_each(told: Vec<Told>) -> Vec<Told> {
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let mut first = Vec::new();
    for mut told in told {
        let beside = beside_its_line(&mut told);
        if let Some(known) = seen.get(&told.event_id) {
            assert_eq!(*known, beside, "{} says the same again", told.event_id);
            continue;
        }
        seen.insert(told.event_id.clone(), beside);
        first.push(told);
    }
    first
}

/// Takes out what the message of an incident has beside its line of history.
fn beside_its_line(told: &mut Told) -> Value {
    let fields = told.message.as_object_mut().expect("an object");
    let names = ["incident_id", "post_mortem", "summary", "title"];
    let taken: Vec<Value> = names
        .iter()
        .filter_map(|name| fields.remove(*name))
        .collect();
    let is_incident = fields["event"] == "incident.opened";
    let expected = if is_incident { names.len() } else { 0 };
    assert_eq!(taken.len(), expected, "{}: {taken:?}", told.event_id);
    Value::Array(taken)
}
