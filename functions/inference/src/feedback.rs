//! `POST /feedback`: what predictions should have been, by their signed ids.
//!
//! An id says all that is needed to count its label, so that nothing was kept when it was made. A row is
//! written for each label, on the condition that there is none, before it is counted: a label counts once
//! at the most, however often it is sent. Labels of predictions from before the deployment under way are
//! dropped: they say nothing about it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use shared::app::health;
use shared::app::ports::{Ambient, Class, PortError};
use shared::aws::Aws;
use shared::domain::model_signals::{Outcome, Tally};
use shared::wire::inference_id::{InferenceId, Keys, Unknown};
use shared::wire::items::{LABEL_LIFETIME, LabelItem};
use shared::wire::problem::Problem;

use crate::keys::SigningKeys;
use crate::request::{parsed, wrong};
use crate::route::Route;

/// The most labels of a request.
pub(crate) const MOST_ITEMS: usize = 100;
/// The most endpoints that a request's labels are of: the tags of each are read.
const MOST_ENDPOINTS: usize = 10;
/// Room for as many with the longest ids.
pub(crate) const BODY_LIMIT: usize = 128 * 1024;
/// By how much the clocks of two functions may differ.
const CLOCKS: SignedDuration = SignedDuration::from_mins(5);
/// Rows that are written at once.
const AT_ONCE: usize = 25;
/// How long all the rows of a request are waited for.
const WRITE_LIMIT: Duration = Duration::from_secs(3);
/// How long one is waited for before it is asked whether it is there.
const ROW_LIMIT: Duration = Duration::from_millis(1500);

/// Labels: one, or up to 100 as `items`.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a label, such as {"inference_id": "AQcB...", "actual": true}, or several as items"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FeedbackRequest))]
pub(crate) struct FeedbackBody {
    /// The id that the prediction was answered with.
    inference_id: Option<String>,
    /// Whether it should have been positive: true or false, or 1 or 0.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    actual: Option<Actual>,
    /// Several labels.
    items: Option<Vec<FeedbackItem>>,
}

/// One label.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"a label, such as {"inference_id": "AQcB...", "actual": true}"#
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct FeedbackItem {
    /// The id that the prediction was answered with.
    inference_id: String,
    /// Whether it should have been positive: true or false, or 1 or 0.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    actual: Actual,
}

/// What a prediction should have been.
#[derive(Clone, Copy)]
struct Actual(bool);

impl<'de> Deserialize<'de> for Actual {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Actual;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false, or 1 or 0")
            }
            fn visit_bool<E>(self, is_positive: bool) -> Result<Actual, E> {
                Ok(Actual(is_positive))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Actual, E> {
                match number {
                    0 => Ok(Actual(false)),
                    1 => Ok(Actual(true)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What became of the labels, in their order.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Feedback))]
pub(crate) struct FeedbackView {
    /// One for each label.
    pub(crate) answers: Vec<Answer>,
    /// How many were counted.
    pub(crate) counted: usize,
}

/// What became of one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FeedbackAnswer))]
pub(crate) enum Answer {
    /// Counted.
    Counted,
    /// The prediction has a label already, which stays.
    Repeated,
    /// The id is none that was answered with: made up, changed, or signed by a key that is gone.
    Unknown,
    /// The prediction is older than 30 days.
    Expired,
    /// The prediction was made before the deployment that is under way, or by a function that could not
    /// read the records.
    BeforeDeployment,
    /// The prediction is said to be made later than now.
    Future,
    /// What the prediction was could not be read, or there were several under one id: nothing can be
    /// said about it.
    Unread,
    /// The label could not be kept, or the records or the keys not be read: send it again.
    Retry,
}

impl FeedbackBody {
    /// Reads a body. The errors name fields, never what was in them.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<FeedbackItem>, Box<Problem>> {
        let body: Self = parsed(bytes, KIND, &FIELDS)?;
        let items = match (body.inference_id, body.actual, body.items) {
            (Some(inference_id), Some(actual), None) => vec![FeedbackItem {
                inference_id,
                actual,
            }],
            (None, None, Some(items)) => items,
            (Some(_), None, None) => {
                return Err(Box::new(wrong(
                    KIND,
                    "actual",
                    "a label says what the prediction should have been: true or false, or 1 or 0",
                )));
            }
            _ => {
                return Err(Box::new(wrong(
                    KIND,
                    "inference_id",
                    "give either inference_id with actual, or items",
                )));
            }
        };
        if !(1..=MOST_ITEMS).contains(&items.len()) {
            return Err(Box::new(wrong(
                KIND,
                "items",
                "1 to 100 labels at once; send the others in a request of their own",
            )));
        }
        Ok(items)
    }
}

/// The kind of a body's problem.
const KIND: &str = "invalid-feedback";
/// Names that are ours, and that an error may say.
const FIELDS: [&str; 3] = ["inference_id", "actual", "items"];

/// A label and what its id says.
pub(crate) struct Label {
    /// Or what can be said without it.
    pub(crate) id: Result<InferenceId, Answer>,
    actual: bool,
}

/// Opens the ids. A key that is not at hand may be a new one: then the keys are read once more, and where
/// they can't be, nobody knows whether the id is one of ours.
pub(crate) async fn opened(
    aws: &Aws,
    keys: &SigningKeys,
    items: &[FeedbackItem],
) -> Result<Vec<Label>, Box<Problem>> {
    let unread = || {
        let detail =
            "the keys that predictions are signed with can't be read; send the labels again";
        Box::new(Problem::new(503, "temporarily-unavailable", detail))
    };
    let open = |keys: &Keys| -> Vec<_> {
        let ids = items.iter();
        ids.map(|item| InferenceId::open(&item.inference_id, keys))
            .collect()
    };
    let mut ids = open(&*keys.of(aws).await.ok_or_else(unread)?);
    let mut without_key = Answer::Unknown;
    if ids.contains(&Err(Unknown::NoSuchKey)) {
        match keys.renewed(aws).await {
            Some(keys) => ids = open(&keys),
            None => without_key = Answer::Retry,
        }
    }
    let labels = ids.into_iter().zip(items).map(|(id, item)| Label {
        id: id.map_err(|unknown| match unknown {
            Unknown::NoSuchKey => without_key,
            Unknown::Forged => Answer::Unknown,
        }),
        actual: item.actual.0,
    });
    Ok(labels.collect())
}

/// The endpoints that the ids are of, each once.
pub(crate) fn endpoints(labels: &[Label]) -> Result<BTreeSet<&str>, Box<Problem>> {
    let ids = labels.iter().filter_map(|label| label.id.as_ref().ok());
    let endpoints: BTreeSet<&str> = ids.map(|id| id.endpoint.as_str()).collect();
    if endpoints.len() > MOST_ENDPOINTS {
        let detail =
            "labels of at most 10 endpoints at once; send the others in a request of their own";
        return Err(Box::new(wrong(KIND, "items", detail)));
    }
    Ok(endpoints)
}

/// Why one endpoint's labels are not taken. Ids are opaque to whoever sends them, so a refusal says which endpoint's
/// they are, where each of them stands, and that the others need not wait: those of an endpoint that is gone
/// would keep them waiting for ever.
pub(crate) fn of_endpoint(problem: Problem, endpoint: &str, labels: &[Label]) -> Problem {
    // Rights that can't be read now can be later, of all of them.
    if problem.status != 403 {
        return problem;
    }
    let is_of_it = |label: &Label| label.id.as_ref().is_ok_and(|id| id.endpoint == endpoint);
    let mut detail = format!(
        "labels of endpoint {endpoint}: {}; an endpoint that was deleted has no tags",
        problem.detail
    );
    if labels.iter().all(is_of_it) {
        return Problem { detail, ..problem };
    }
    let places = (0..labels.len()).filter(|place| is_of_it(&labels[*place]));
    let places: Vec<usize> = places.collect();
    let listed: Vec<String> = places.iter().map(|it| format!("items[{it}]")).collect();
    detail += "; nothing was counted, send the other labels without these: ";
    detail += &listed.join(", ");
    let first = places.first().copied().unwrap_or_default();
    Problem { detail, ..problem }.field(format!("items[{first}].inference_id"))
}

/// Counts the labels, and says what became of each.
pub(crate) async fn count(
    aws: &Aws,
    routes: &HashMap<String, Arc<Route>>,
    labels: &[Label],
) -> FeedbackView {
    let (now, started) = (aws.now(), Instant::now());
    let left = || WRITE_LIMIT.saturating_sub(started.elapsed());
    let pending = labels
        .iter()
        .map(|label| answer(aws, routes, label, now, &left));
    let pending: Vec<_> = pending.collect();
    let answers: Vec<Answer> = stream::iter(pending).buffered(AT_ONCE).collect().await;
    let mut tallies: BTreeMap<(&str, &str, Option<&str>), Tally> = BTreeMap::new();
    for (label, answer) in labels.iter().zip(&answers) {
        if let (Answer::Counted, Ok(id)) = (answer, &label.id) {
            let key = (
                id.endpoint.as_str(),
                id.variant.as_str(),
                id.group.as_deref(),
            );
            let tally = tallies.entry(key).or_insert_with(|| empty(id));
            add(tally, id, label.actual);
        }
    }
    for tally in tallies.values() {
        aws.count(tally);
    }
    let counted = answers.iter().filter(|answer| **answer == Answer::Counted);
    FeedbackView {
        counted: counted.count(),
        answers,
    }
}

fn empty(id: &InferenceId) -> Tally {
    Tally {
        endpoint: id.endpoint.clone(),
        variant: id.variant.clone(),
        group: id.group.clone(),
        figures: BTreeMap::new(),
    }
}

fn add(tally: &mut Tally, id: &InferenceId, actual: bool) {
    let Some(prediction) = id.prediction else {
        return;
    };
    let outcome = Outcome {
        predicted: prediction.is_positive,
        actual,
    };
    for (figure, by) in outcome.figures() {
        *tally.figures.entry(figure).or_default() += by;
    }
}

async fn answer(
    aws: &Aws,
    routes: &HashMap<String, Arc<Route>>,
    label: &Label,
    now: Timestamp,
    left: &(impl Fn() -> Duration + Sync),
) -> Answer {
    let id = match &label.id {
        Ok(id) => id,
        Err(without) => return *without,
    };
    let route = routes.get(&id.endpoint);
    if let Some(without) = uncounted(id, route.map(|route| &**route), now) {
        return without;
    }
    let item = LabelItem::new(&id.request.to_string(), aws.new_id(), id.at);
    // The row knows its own writer: written once more, it says whether the first attempt came through.
    let mut written = put(aws, &item, left().min(ROW_LIMIT)).await;
    if written
        .as_ref()
        .is_err_and(|error| error.class == Class::InDoubt)
    {
        written = put(aws, &item, left()).await;
    }
    match written {
        Ok(true) => Answer::Counted,
        Ok(false) => Answer::Repeated,
        Err(error) => {
            health::report(aws, None, &error);
            Answer::Retry
        }
    }
}

async fn put(aws: &Aws, item: &LabelItem, limit: Duration) -> Result<bool, PortError> {
    let late = || PortError::new(Class::InDoubt, "label", "no answer in time");
    let written = aws.within(limit, aws.label(item)).await;
    written.unwrap_or_else(|| Err(late()))
}

/// Why a label is not counted, whether it is the first or not.
fn uncounted(id: &InferenceId, route: Option<&Route>, now: Timestamp) -> Option<Answer> {
    let age = now.duration_since(id.at);
    if age < -CLOCKS {
        return Some(Answer::Future);
    }
    let lifetime = i64::try_from(LABEL_LIFETIME.secs()).unwrap_or(i64::MAX);
    if age.as_secs() >= lifetime {
        return Some(Answer::Expired);
    }
    let Some((route, read_at)) = route.and_then(|route| Some((route, route.read_at?))) else {
        return Some(Answer::Retry);
    };
    let made_in = id.deployment.map(|deployment| deployment.to_string());
    if route.active.is_some() && route.active != made_in {
        // What was read before the prediction was made may not know its deployment yet; an id has whole seconds.
        let is_old_news = read_at < id.at + SignedDuration::from_secs(1);
        return Some(if is_old_news {
            Answer::Retry
        } else {
            Answer::BeforeDeployment
        });
    }
    id.prediction.is_none().then_some(Answer::Unread)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Stands in whatever is sent.
    const MARKER: &str = "marker-8d1f";

    fn refused(body: &Value) -> Problem {
        let refused = FeedbackBody::parse(body.to_string().as_bytes()).map(drop);
        *refused.expect_err("no labels")
    }

    #[test]
    fn a_label_that_does_not_fit_is_named_by_its_place_and_not_repeated() {
        let label = json!({"inference_id": "x", "actual": true});
        let among = |label: &Value, wrong: Value| json!({"items": [label, label, wrong]});
        let text = r#"this must be a text, like "wine-quality""#;
        let either = "this must be true or false, or 1 or 0";
        for (body, field, detail) in [
            (
                json!({"inference_id": "x", "actual": MARKER}),
                "actual",
                either,
            ),
            (
                json!({"inference_id": "x", "actual": 8_151_623}),
                "actual",
                either,
            ),
            (
                json!({"inference_id": "x", "actual": [MARKER]}),
                "actual",
                either,
            ),
            (
                json!({"inference_id": {MARKER: 1}, "actual": true}),
                "inference_id",
                text,
            ),
            (
                json!({"items": MARKER}),
                "items",
                r#"this must be a list, like ["one", "two"]"#,
            ),
            (
                among(&label, json!({"inference_id": "x", "actual": MARKER})),
                "items[2].actual",
                either,
            ),
            (
                among(&label, json!({"inference_id": [MARKER], "actual": 1})),
                "items[2].inference_id",
                text,
            ),
            (
                among(&label, json!({"inference_id": MARKER})),
                "items[2].actual",
                "this field is missing",
            ),
            (
                among(
                    &label,
                    json!({"inference_id": "x", "actual": 1, MARKER: MARKER}),
                ),
                "items[2]",
                "a field here is unknown; known are `inference_id`, `actual`",
            ),
            (
                among(&label, json!([MARKER, true])),
                "items[2]",
                r#"this must be a label, such as {"inference_id": "AQcB...", "actual": true}"#,
            ),
            (
                among(&label, json!(MARKER)),
                "items[2]",
                r#"this must be a label, such as {"inference_id": "AQcB...", "actual": true}"#,
            ),
            (
                json!({MARKER: MARKER}),
                "body",
                "a field here is unknown; known are `inference_id`, `actual`, `items`",
            ),
            (
                json!([MARKER]),
                "body",
                r#"this must be a label, such as {"inference_id": "AQcB...", "actual": true}, or several as items"#,
            ),
        ] {
            let problem = refused(&body);
            assert_eq!(problem.field.as_deref(), Some(field), "{body}");
            assert_eq!(problem.detail, detail, "{body}");
        }
    }

    #[test]
    fn a_label_is_one_or_the_other() {
        let read = |actual: &str| {
            let body = format!(r#"{{"items": [{{"inference_id": "x", "actual": {actual}}}]}}"#);
            let items = FeedbackBody::parse(body.as_bytes()).ok()?;
            items.first().map(|item| item.actual.0)
        };
        let read = ["true", "1", "1.0", "false", "0", "0.0"].map(read);
        assert_eq!(read, [true, true, true, false, false, false].map(Some));
    }
}
