//! A rollback is an incident: told once, with the draft of a post-mortem that is the same however often
//! it is sent; and who has a topic of their own hears what is for them.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::ports::{MetricAnswer, MetricQuery, Metrics};
use shared::domain::audience::Audience;
use shared::domain::history::{Entry, Name, Severity};
use shared::domain::incident::{PostMortem, incident_id};
use shared::domain::judge::floor_minute;
use shared::domain::state::{Phase, Status};
use shared::wire::items::event_id;
use simulator::{Distribution, Fault, FaultKind, Published, service};
use tests::{ENDPOINT, World, specification, specification_with};

fn failing() -> Distribution {
    Distribution {
        error_rate: 0.5,
        ..Distribution::default()
    }
}

/// What arrived about the incidents of a deployment, on the bus and on the topic.
fn incidents(world: &World, id: &str) -> [Vec<Value>; 2] {
    [world.told_by_events(id), world.told_by_sns(id)].map(|told| {
        let messages = told.into_iter().map(|told| told.message);
        messages
            .filter(|message| message["event"] == "incident.opened")
            .collect()
    })
}

fn draft(message: &Value) -> PostMortem {
    serde_json::from_value(message["post_mortem"].clone()).expect("the draft of a post-mortem")
}

#[tokio::test]
async fn a_rollback_opens_one_incident_with_what_is_known() {
    let world = World::with_challenger(failing()).await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::RolledBack).await;
    let [events, messages] = incidents(&world, &id);
    assert_eq!((events.len(), messages.len()), (1, 1));
    assert_eq!(events[0], messages[0], "both ways say the same");
    let (message, draft) = (&events[0], draft(&events[0]));
    assert_eq!(message["incident_id"], incident_id(&id));
    assert_eq!(message["audiences"], json!(["on_call", "ml_team"]));
    let decided = world.entry(&id, Name::RollingBack).await;
    assert_eq!(draft.cause.reason, decided.reason);
    assert_eq!(draft.cause.signal, decided.signal);
    assert!(draft.cause.signal.is_some() && draft.cause.by.is_none());
    assert_eq!(draft.impact.largest_weight.percent(), 10);
    let loaded = world.load(&id).await;
    assert_eq!(draft.impact.canary, loaded.evidence.canary);
    assert!(draft.impact.canary.errors_5xx > 50, "{:?}", draft.impact);
    let strongest = draft.evidence.first().expect("signals");
    assert_eq!(strongest.signal, "errors");
    assert!(
        strongest
            .interval
            .is_some_and(|interval| interval.low > 10.0),
        "{strongest:?}"
    );
    let last = draft.timeline.last().expect("a timeline");
    assert_eq!(
        last.event,
        Name::Incident,
        "what came after is in the report"
    );
    assert_eq!(
        draft.timeline.first().map(|line| line.event),
        Some(Name::Started)
    );
    let on_call = draft
        .told
        .iter()
        .find(|told| told.audience == Audience::OnCall);
    assert!(
        on_call.is_some_and(|told| told.lines >= 2),
        "{:?}",
        draft.told
    );
    assert!(draft.traffic_back_at.is_none() && draft.left_out.is_none());
    assert!(
        draft
            .open_questions
            .iter()
            .any(|question| question.contains("answered 5XX"))
    );
    assert_eq!(draft.report, format!("/deployments/{id}/report"));
}

/// What CloudWatch has of a variant, from the beginning of the world on.
async fn all_of(world: &World, variant: &str, metric: &str) -> f64 {
    let dimension = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let query = MetricQuery {
        namespace: "AWS/SageMaker".to_owned(),
        metric: metric.to_owned(),
        dimensions: vec![
            dimension("EndpointName", ENDPOINT),
            dimension("VariantName", variant),
        ],
        statistic: "Sum".to_owned(),
        period: 60,
    };
    let now = floor_minute(world.now());
    let from = now - SignedDuration::from_hours(3);
    let answers = world.stack.aws.read(&[query], from, now).await;
    let answers = answers.expect("metrics that can be read");
    let [MetricAnswer::Complete(points)] = &answers[..] else {
        panic!("one whole answer: {answers:?}")
    };
    points.iter().map(|(_, requests)| requests).sum()
}

/// Between the decision and the weights lie minutes in which users are served by the bad model.
#[tokio::test]
async fn an_incident_counts_on_until_production_has_everything_back() {
    let world = World::with_challenger(failing()).await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::RolledBack).await;
    let loaded = world.load(&id).await;
    let judged = &loaded.evidence.canary;
    let path = format!("/deployments/{id}/report");
    let accept = [("accept", "application/json")];
    let (_, report) = world.request(Method::GET, &path, &accept, Vec::new()).await;
    let whole = draft(&report);
    let served = whole.impact.canary;
    let canary = &loaded.deployment.terms.canary;
    for (metric, counted) in [
        ("Invocations", served.invocations),
        ("Invocation5XXErrors", served.errors_5xx),
    ] {
        let all = all_of(&world, canary, metric).await;
        let missing = all - counted as f64;
        assert!(missing.abs() < 0.5, "{metric}: {counted} of {all}");
    }
    assert!(
        served.invocations > judged.invocations + 100,
        "{served:?} after {judged:?}"
    );
    assert!(whole.impact.is_whole(whole.traffic_back_at));
    let words = "requests were counted until production had everything back";
    assert!(whole.summary.contains(words), "{}", whole.summary);
    // Those on call are told at once, with what was known then.
    let [events, _] = incidents(&world, &id);
    let told = draft(&events[0]);
    assert_eq!(told.impact.canary, *judged);
    assert!(told.impact.counted_until <= told.opened_at);
    let words = "(later ones are not in it)";
    assert!(told.summary.contains(words), "{}", told.summary);
    // Nothing of it is judged.
    let (_, checks) = world.get(&format!("/deployments/{id}/checks")).await;
    let last = checks["items"][0]["minute"].as_str().expect("a minute");
    assert_eq!(last, loaded.evidence.judged_through.to_string());
}

/// The topic is down for a while; the bus has told already, and what comes later is the same.
#[tokio::test]
async fn an_incident_that_is_told_late_says_the_same_under_the_same_id() {
    let world = World::with_challenger(failing()).await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    let down = FaultKind::Error {
        status: 400,
        code: "KMSAccessDenied".to_owned(),
        message: "the key can't be used".to_owned(),
    };
    while world.load(&id).await.deployment.state.phase != Phase::CleaningUp {
        world.disturb(service::SNS, "Publish", 1, down.clone());
        world.minute().await;
    }
    let [events, messages] = incidents(&world, &id);
    assert_eq!(
        (events.len(), messages.len()),
        (1, 0),
        "nobody waits for the other way"
    );
    world
        .until(&id, 60, |it| it.deployment.state.status.is_terminal())
        .await;
    // Faults that met no call yet hit some now.
    world.minutes(60).await;
    world.assert_over(&id).await;
    let [events, messages] = incidents(&world, &id);
    assert_eq!(
        (events.len(), messages.len()),
        (1, 1),
        "and nobody hears it twice"
    );
    assert_eq!(events, messages, "though the deployment has gone on since");
}

/// An answer that gets lost makes a second message, and no second incident.
#[tokio::test]
async fn a_repeated_incident_is_told_apart_by_nothing() {
    let world = World::with_challenger(failing()).await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    every_other(
        &world,
        service::EVENTBRIDGE,
        "PutEvents",
        &FaultKind::LoseAnswer,
    );
    world
        .until(&id, 60, |it| it.deployment.state.phase == Phase::CleaningUp)
        .await;
    world.minutes(3).await;
    let [events, _] = incidents(&world, &id);
    assert!(
        events.len() > 1,
        "told again, since nobody knows that it was told"
    );
    let all: BTreeSet<String> = events.iter().map(Value::to_string).collect();
    assert_eq!(all.len(), 1, "one incident, however often it is told");
}

/// Hits every other call: a fault counts what those before it have let pass.
fn every_other(world: &World, service: &str, operation: &str, kind: &FaultKind) {
    for skip in 1..=12 {
        world.simulator().inject(Fault {
            service: service.to_owned(),
            operation: Some(operation.to_owned()),
            skip,
            times: 1,
            kind: kind.clone(),
        });
    }
}

#[tokio::test]
async fn an_order_is_an_incident_once_there_is_traffic() {
    for (command, with_traffic, status, opens) in [
        ("rollback", true, Status::RolledBack, true),
        ("cancel", true, Status::Cancelled, true),
        ("cancel", false, Status::Cancelled, false),
        ("rollback", false, Status::RolledBack, true),
    ] {
        let world = World::new().await;
        let id = world.deploy(&specification()).await;
        if with_traffic {
            world.until_phase(&id, Phase::Baking).await;
        }
        world.order(&id, command).await;
        world.until_over(&id, status).await;
        let [events, messages] = incidents(&world, &id);
        let about = format!("{command}, with traffic: {with_traffic}");
        assert_eq!(events.len(), usize::from(opens), "{about}");
        assert_eq!(messages.len(), usize::from(opens), "{about}");
        for message in &events {
            let entry = world.entry(&id, Name::Incident).await;
            assert_eq!(entry.severity, Severity::Warning, "{about}");
            let draft = draft(message);
            assert_eq!(draft.cause.by.as_deref(), Some("local"), "{about}");
            assert_eq!(draft.impact.since.is_some(), with_traffic, "{about}");
        }
    }
}

#[tokio::test]
async fn a_completion_opens_none() {
    let world = World::new().await;
    let id = world.deploy(&specification()).await;
    world.until_over(&id, Status::Completed).await;
    assert_eq!(incidents(&world, &id), [Vec::<Value>::new(), Vec::new()]);
}

const ON_CALL: &str = "arn:aws:sns:eu-central-1:123456789012:on-call";
const FINOPS: &str = "arn:aws:sns:eu-central-1:123456789012:finops";

/// A world whose stack has topics for two of the audiences.
async fn with_topics(challenger: Distribution) -> World {
    let mut world = World::with_challenger(challenger).await;
    let topics = BTreeMap::from([
        (Audience::OnCall, ON_CALL.to_owned()),
        (Audience::FinOps, FINOPS.to_owned()),
    ]);
    world.stack = world.stack.with_audiences(topics);
    world.with_a_new_router()
}

fn topic(name: &str) -> String {
    format!("arn:aws:sns:eu-central-1:123456789012:{name}")
}

fn published_on(world: &World, topic: &str) -> Vec<Published> {
    let all = world.simulator().published().into_iter();
    all.filter(|message| message.topic == topic).collect()
}

fn event_ids(messages: &[Published]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.attributes["event_id"].as_str())
        .collect()
}

#[tokio::test]
async fn an_audience_with_a_topic_of_its_own_hears_there_what_is_for_it() {
    let world = with_topics(failing()).await;
    let id = world.deploy(&specification()).await;
    world
        .until(&id, 200, |it| it.deployment.state.status.is_terminal())
        .await;
    let history = world.history(&id).await;
    for (audience, topic) in [(Audience::OnCall, ON_CALL), (Audience::FinOps, FINOPS)] {
        let told = history.iter().filter(|entry| audience.is_told(entry));
        let expected: Vec<String> = told.map(|entry| event_id(&id, entry.seq)).collect();
        assert!(expected.len() >= 2, "{audience}: {expected:?}");
        let published = published_on(&world, topic);
        assert_eq!(
            event_ids(&published),
            expected,
            "{audience}: each once and in order"
        );
    }
    let stack = published_on(&world, canary::TOPIC);
    assert_eq!(
        stack.len(),
        history.len(),
        "the stack's own topic hears everything"
    );
}

/// Of two topics one fails: it is told later, and the other not again.
#[tokio::test]
async fn a_topic_that_is_down_makes_no_other_hear_a_thing_twice() {
    let world = with_topics(failing()).await;
    let id = world.deploy(&specification()).await;
    world.until_phase(&id, Phase::Baking).await;
    // Long enough for all attempts of one publication, and too short for those of two.
    for skip in 1..=12 {
        world.simulator().inject(Fault {
            service: service::SNS.to_owned(),
            operation: Some("Publish".to_owned()),
            skip,
            times: 4,
            kind: FaultKind::Throttle,
        });
    }
    world
        .until(&id, 200, |it| it.deployment.state.status.is_terminal())
        .await;
    world.minutes(30).await;
    let history = world.history(&id).await;
    for topic in [ON_CALL, FINOPS, canary::TOPIC] {
        let published = published_on(&world, topic);
        let ids = event_ids(&published);
        let once: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), once.len(), "{topic}: {ids:?}");
    }
    let own = published_on(&world, ON_CALL);
    let told = history
        .iter()
        .filter(|entry| Audience::OnCall.is_told(entry));
    assert_eq!(own.len(), told.count(), "and nothing is lost");
    let stack = published_on(&world, canary::TOPIC);
    assert_eq!(stack.len(), history.len());
    let apart = own.iter().any(|message| {
        let same =
            |other: &&Published| other.attributes["event_id"] == message.attributes["event_id"];
        stack
            .iter()
            .find(same)
            .is_some_and(|other| other.at != message.at)
    });
    assert!(apart, "one topic was told before the other");
}

fn named(team: &str, on_call: &str) -> Value {
    specification_with(json!({
        "notify": {"topic": team, "audiences": {"on_call": on_call}},
    }))
}

#[tokio::test]
async fn topics_that_a_specification_names_are_told_beside_the_stacks() {
    let world = with_topics(failing()).await;
    let (team, pager) = (topic("wine-team"), topic("wine-pager"));
    let id = world.deploy(&named(&team, &pager)).await;
    world.until_over(&id, Status::RolledBack).await;
    let history = world.history(&id).await;
    let everything = history.iter().map(|entry| event_id(&id, entry.seq));
    let everything: Vec<String> = everything.collect();
    for topic in [&team, canary::TOPIC] {
        assert_eq!(
            event_ids(&published_on(&world, topic)),
            everything,
            "{topic}"
        );
    }
    let told = |entry: &&Entry| Audience::OnCall.is_told(entry);
    let for_those_on_call = history.iter().filter(told);
    let for_those_on_call: Vec<String> = for_those_on_call
        .map(|entry| event_id(&id, entry.seq))
        .collect();
    assert!(for_those_on_call.len() >= 2);
    for topic in [&pager, ON_CALL] {
        let ids = published_on(&world, topic);
        assert_eq!(event_ids(&ids), for_those_on_call, "{topic}");
    }
}

#[tokio::test]
async fn a_topic_that_is_named_twice_is_told_once() {
    let world = with_topics(failing()).await;
    let id = world.deploy(&named(canary::TOPIC, ON_CALL)).await;
    world.until_over(&id, Status::RolledBack).await;
    for topic in [ON_CALL, canary::TOPIC] {
        let published = published_on(&world, topic);
        let ids = event_ids(&published);
        let once: BTreeSet<&str> = ids.iter().copied().collect();
        assert!(!ids.is_empty(), "{topic}");
        assert_eq!(ids.len(), once.len(), "{topic}: {ids:?}");
    }
}

/// Neither one of the stack's nor one that a specification names: the stack's own has told the same.
#[tokio::test]
async fn a_topic_that_is_gone_holds_nothing_up() {
    let world = with_topics(Distribution::default()).await;
    let (team, pager) = (topic("wine-team"), topic("wine-pager"));
    let id = world.deploy(&named(&team, &pager)).await;
    world.until_phase(&id, Phase::Baking).await;
    let before = published_on(&world, canary::TOPIC).len();
    let others = [team.as_str(), pager.as_str(), ON_CALL];
    let told = others.map(|topic| published_on(&world, topic).len());
    for topic in others {
        world.simulator().delete_topic(topic);
    }
    world.order(&id, "rollback").await;
    world.until_over(&id, Status::RolledBack).await;
    let history = world.history(&id).await;
    let stack = published_on(&world, canary::TOPIC);
    assert_eq!(stack.len(), history.len(), "nothing waits for those");
    assert!(stack.len() > before);
    assert_eq!(others.map(|topic| published_on(&world, topic).len()), told);
}
