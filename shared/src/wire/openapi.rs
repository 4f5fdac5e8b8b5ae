//! The shapes of the API's documents, as JSON Schema for OpenAPI.
//!
//! Fields, their types and their descriptions are derived from the types that read and write the
//! documents. What a type can't say (patterns, limits, defaults, which fields exclude each other) is laid
//! over them here and in `specification::openapi`, out of the constants that the checks themselves use
//! where there are any. Tests hold both directions: what the parser takes the schema takes, and what the
//! schema takes but the parser refuses is refused for a reason that no schema can state.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::api::{
    CommandBody, DeploymentView, FreezeBody, FreezeView, LONGEST_REASON, PlanView, StageView,
    WeightBody,
};
use super::problem::{MEDIA_TYPE, Problem};
use super::report::Report;
use super::specification;
pub use super::specification::openapi::NAME;
use crate::domain::calendar::ChangeWindow;
use crate::domain::forecast::StageForecast;
use crate::domain::history::{Entry, Name};
use crate::domain::judge::MinuteReport;
use crate::domain::outlay::StageOutlay;
use crate::domain::quantity::{Latency, Rate, Span, Weight};

/// The components of a document, by name.
pub type Schemas = BTreeMap<String, Value>;

/// A reference to a component.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Adds the component of a type, and of all that it is made of.
///
/// # Panics
/// Never: a schema is JSON.
pub fn add<T: ToSchema>(schemas: &mut Schemas) {
    let mut found = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut found);
    for (name, schema) in found {
        let mut schema = serde_json::to_value(schema).expect("a schema is JSON");
        unwrap_lines(&mut schema);
        schemas.insert(name, schema);
    }
}

/// Comments are broken into lines for the source; a description is text that flows.
fn unwrap_lines(schema: &mut Value) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs = text
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "));
        *text = paragraphs.collect::<Vec<_>>().join("\n\n");
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(unwrap_lines),
        Value::Array(items) => items.iter_mut().for_each(unwrap_lines),
        _ => {}
    }
}

/// Lays these keywords over a component (`Stage`) or one of its properties (`Stage.weight`).
///
/// # Panics
/// When there is no such component or property: the type has changed, and this must follow.
pub fn refine(schemas: &mut Schemas, place: &str, keywords: Value) {
    let (name, property) = place.split_once('.').unwrap_or((place, ""));
    let mut schema = schemas
        .get_mut(name)
        .unwrap_or_else(|| panic!("no component {name}"));
    if !property.is_empty() {
        schema = schema["properties"]
            .get_mut(property)
            .unwrap_or_else(|| panic!("{name} has no {property}"));
    }
    let Value::Object(keywords) = keywords else {
        panic!("keywords of {place} are an object");
    };
    schema
        .as_object_mut()
        .expect("a schema is an object")
        .extend(keywords);
}

/// Every component that the control plane's routes name.
pub fn schemas() -> Schemas {
    let mut all = Schemas::new();
    add::<DeploymentView>(&mut all);
    add::<PlanView>(&mut all);
    add::<Entry>(&mut all);
    add::<MinuteReport>(&mut all);
    add::<CommandBody>(&mut all);
    add::<FreezeBody>(&mut all);
    add::<FreezeView>(&mut all);
    add::<WeightBody>(&mut all);
    add::<Report>(&mut all);
    add::<Problem>(&mut all);
    specification::openapi::add_all(&mut all);
    flatten_planned_stage(&mut all);
    for (name, items, description) in [
        (
            "Deployments",
            "Deployment",
            "One page of deployments, newest first.",
        ),
        (
            "History",
            "HistoryEntry",
            "What happened and why, oldest first.",
        ),
        (
            "Checks",
            "Check",
            "One page of judged minutes, newest first.",
        ),
    ] {
        all.insert(name.to_owned(), page(items, description));
    }
    refine_answers(&mut all);
    all
}

/// One page of a list.
fn page(items: &str, description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "required": ["items"],
        "additionalProperties": false,
        "properties": {
            "items": {"type": "array", "items": reference(items), "description": "The rows."},
            "cursor": {
                "type": "string",
                "description": "Give it as `cursor` for the next page; absent on the last.",
            },
        },
    })
}

/// The stage, what it takes, and what it will see and show, stand side by side in one object.
fn flatten_planned_stage(all: &mut Schemas) {
    let mut fields = Map::new();
    let mut required = Vec::new();
    for (part, is_needed) in [
        (StageView::schema(), true),
        (StageOutlay::schema(), true),
        (StageForecast::schema(), false),
    ] {
        let mut part = serde_json::to_value(part).expect("a schema is JSON");
        unwrap_lines(&mut part);
        if let Value::Object(properties) = &part["properties"] {
            fields.extend(properties.clone());
        }
        if let (Value::Array(names), true) = (&part["required"], is_needed) {
            required.extend(names.clone());
        }
    }
    all.insert(
        "PlannedStage".to_owned(),
        json!({
            "type": "object",
            "description": "A stage with its date, what it takes, and what it will see and show. At 100 % there is nothing to compare with, and `canary_requests` and `catches` are absent.",
            "required": required,
            "properties": fields,
        }),
    );
    all.remove("StageForecast");
    all.remove("StageOutlay");
}

fn refine_answers(all: &mut Schemas) {
    let share = json!({"minimum": 0, "maximum": 1});
    for place in [
        "CaughtRegression.rate",
        "CaughtRegression.production_rate",
        "TwiceTheLimit.rate",
        "SignalStanding.canary_rate",
        "SignalStanding.production_rate",
        "SignalStanding.limit",
    ] {
        refine(all, place, share.clone());
    }
    refine(
        all,
        "Check.verdict",
        json!({"enum": ["healthy", "unhealthy", "inconclusive"]}),
    );
    let urns: Vec<String> = KINDS.iter().map(|(kind, _)| urn(kind)).collect();
    // API Gateway's own refusals are among them, with one word for whatever it has none for.
    let urns = [urns, vec![urn("refused")]].concat();
    refine(all, "Problem.type", json!({"enum": urns}));
    refine(
        all,
        "Problem.status",
        json!({"minimum": 400, "maximum": 599}),
    );
    refine(
        all,
        "Problem.model_status",
        json!({"minimum": 100, "maximum": 999}),
    );
    refine(all, "Deployment.deployment_id", json!({"format": "uuid"}));
    refine(
        all,
        "WeightChange.weight",
        json!({"minimum": 1, "maximum": 100}),
    );
    // Keys are texts, whatever they are the keys of.
    refine(
        all,
        "LatencyMinute.slower_than",
        json!({"propertyNames": {"pattern": "^[0-9]+$"}}),
    );
    // What can't be seen of a reason that may be left out is dropped, and refuses nothing.
    for place in ["Command.reason", "WeightChange.reason"] {
        refine(all, place, json!({"maxLength": LONGEST_REASON}));
    }
    let readable = json!({"minLength": 1, "maxLength": LONGEST_REASON, "pattern": READABLE});
    refine(all, "FreezeOrder.reason", readable);
    // What answers hold is told in full: nothing else is in them.
    for (name, schema) in all.iter_mut() {
        if is_answer(name) && schema["type"] == "object" {
            schema["additionalProperties"] = json!(false);
        }
    }
}

/// Texts that are kept, and shown to nobody.
pub const NO_CONTROL_CHARACTERS: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// The inside of a class of characters: those of `domain::text::is_hidden`.
macro_rules! hidden {
    () => {
        r"\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    };
}

/// Texts that are shown, as `domain::text::is_readable` has them: one character at the least can be seen.
pub const READABLE: &str = concat!(
    "^[^",
    hidden!(),
    r"]*[^\s\u200c\u200d",
    hidden!(),
    "][^",
    hidden!(),
    "]*$"
);

fn is_answer(name: &str) -> bool {
    const ANSWERS: [&str; 43] = [
        "Advice",
        "CaughtRegression",
        "Cause",
        "Check",
        "Checks",
        "Counts",
        "Deployment",
        "Deployments",
        "Freeze",
        "FreezeState",
        "GuardStanding",
        "History",
        "HistoryEntry",
        "Impact",
        "Interval",
        "LabelNeed",
        "LatencyMinute",
        "Line",
        "Links",
        "Measured",
        "Miscount",
        "ModelSignalsPlan",
        "Plan",
        "PlannedStage",
        "Point",
        "PostMortem",
        "Prolonged",
        "Quota",
        "Reading",
        "Report",
        "ReportLine",
        "Scores",
        "Series",
        "Shown",
        "SignalShare",
        "SignalStanding",
        "SlowestMinute",
        "Stage",
        "Told",
        "Totals",
        "Track",
        "TwiceTheLimit",
        "VariantMinute",
    ];
    ANSWERS.contains(&name)
}

/// Something that an answer can say, by its status and its stable word.
pub type Kind = (u16, &'static str);

/// Every stable word that a problem's `type` ends with, and when it is said.
pub const KINDS: &[(&str, &str)] = &[
    ("access-unknown", "the endpoint's tags could not be read"),
    ("alarm-firing", "an alarm of the policy is in ALARM already"),
    ("alarm-not-found", "an alarm of the policy does not exist"),
    ("approval-needed", "the stage is left by approve alone"),
    (
        "approval-outdated",
        "the page's form was of another stage, or of another time that this one waited",
    ),
    ("async-endpoint", "the endpoint is asynchronous"),
    (
        "baseline-breaks-policy",
        "production itself breaks the policy today",
    ),
    (
        "body-too-large",
        "the body has more bytes than the route takes",
    ),
    (
        "capacity-reservation",
        "the endpoint's instances come from a capacity reservation",
    ),
    (
        "check-miscounted",
        "the metrics of a further check count more outcomes than trials",
    ),
    ("deployment-not-found", "there is no deployment of this id"),
    ("duplicate-key", "an object of the body has a key twice"),
    (
        "endpoint-config-not-found",
        "the endpoint's config was deleted",
    ),
    ("endpoint-drifted", "somebody else changed the endpoint"),
    (
        "endpoint-frozen",
        "a freeze stands over the endpoint: nothing begins and nothing is raised",
    ),
    (
        "endpoint-locked",
        "the endpoint has a deployment that is not over",
    ),
    (
        "endpoint-not-allowed",
        "the endpoint is not on the stack's list",
    ),
    (
        "endpoint-not-enabled",
        "the endpoint lacks the tag `canary:enabled` = `true`",
    ),
    ("endpoint-not-found", "there is no such endpoint"),
    ("endpoint-not-in-service", "the endpoint is not InService"),
    ("endpoint-refused", "SageMaker refuses to ask the endpoint"),
    (
        "endpoint-spelled-otherwise",
        "the endpoint's name has other capitals",
    ),
    (
        "execution-role-not-allowed",
        "the endpoint's config, or production's model, has a role that the stack may not pass on",
    ),
    (
        "execution-role-unknown",
        "production's model has no execution role that the new model could get",
    ),
    (
        "forbidden",
        "IAM, or the endpoint's tags, do not admit the caller",
    ),
    (
        "from-another-site",
        "a page of another site made a browser send this",
    ),
    (
        "gate-results-missing",
        "the specification has a gate, and no results for it, or none that name their champion",
    ),
    (
        "gate-results-of-another",
        "the gate's results are of another model, or of another champion",
    ),
    (
        "gate-results-too-new",
        "the gate's results are of a time to come",
    ),
    ("gate-results-too-old", "the gate's results are too old"),
    (
        "idempotency-key-reused",
        "the key belongs to another request of the last 24 h",
    ),
    (
        "illegal-command",
        "the deployment's state does not allow the command",
    ),
    (
        "inference-components",
        "the endpoint serves inference components",
    ),
    ("internal-error", "a fault of the service"),
    ("invalid-body", "the body has another shape"),
    ("invalid-feedback", "the labels have another shape"),
    ("invalid-idempotency-key", "the key is none"),
    ("invalid-inference-request", "the body has another shape"),
    (
        "invalid-parameter",
        "a parameter of the query is unknown, missing, given twice or unfit",
    ),
    (
        "invalid-reason",
        "the reason is too long; of a freeze: or blank, or holds characters that can't be seen",
    ),
    (
        "invalid-specification",
        "the specification makes no sense in itself",
    ),
    (
        "invalid-weight",
        "the weight is not whole percent from 1 to 100",
    ),
    ("method-not-allowed", "the route does not take the method"),
    ("metrics-blind", "the canary can't be seen at present"),
    ("model-error", "the model itself answered with an error"),
    (
        "model-late",
        "the model gave no answer while the request could wait",
    ),
    (
        "model-name-taken",
        "a model has the name of the one that is to be made, and was not made of its package",
    ),
    ("model-not-allowed", "the model is not on the stack's list"),
    ("model-not-found", "there is no such model"),
    (
        "model-package-elsewhere",
        "the model package is in another account or region",
    ),
    (
        "model-package-not-approved",
        "the version of the model package is not approved",
    ),
    (
        "model-package-not-found",
        "there is no such version of a model package",
    ),
    (
        "model-package-not-ready",
        "the version of the model package is not whole, or never will be",
    ),
    ("no-such-route", "there is no such route"),
    (
        "no-way-back",
        "the deployment can't be undone: it is not completed, or what it replaced or left is gone or was rejected since",
    ),
    (
        "not-acceptable",
        "the answer has none of the forms that Accept names",
    ),
    (
        "not-from-loopback",
        "`canary local` takes requests from its own machine alone",
    ),
    ("not-json", "the body is not JSON"),
    (
        "own-approval",
        "who asked for the deployment may not approve it",
    ),
    (
        "preconditions-missing",
        "the stack or the endpoint asks for a precondition that is not attested",
    ),
    (
        "price-unknown",
        "an instance type of the endpoint has no price",
    ),
    ("red-guard", "a guard stands red"),
    (
        "refused-by-aws",
        "AWS refused a call that the request needs",
    ),
    (
        "rejected-by-gate",
        "the model falls short of what its gate requires; it is announced, and no endpoint was touched",
    ),
    (
        "request-in-progress",
        "a request with the same key is under way",
    ),
    (
        "safe-gate-uncounted",
        "the safe gate needs a count that CloudWatch does not keep",
    ),
    ("same-weight", "the canary has this share already"),
    (
        "scaling-burstable",
        "the canary is to scale, and its type of instances can't",
    ),
    (
        "scaling-ceiling",
        "the canary's scaling does not allow it the instances that it needs",
    ),
    (
        "scaling-policy",
        "the endpoint's scaling could not be put back",
    ),
    ("serverless-variant", "the endpoint is serverless"),
    (
        "several-variants",
        "the endpoint has several production variants",
    ),
    ("shadow-variant", "the endpoint has a shadow variant"),
    (
        "temporarily-unavailable",
        "AWS did not answer as it should; repeat the request",
    ),
    (
        "too-many-tags",
        "the endpoint's config has no room for the tag of its copy",
    ),
    (
        "topic-elsewhere",
        "the topic is in another account or region",
    ),
    ("topic-not-allowed", "the topic is not on the stack's list"),
    (
        "trace-too-large",
        "the trace is larger than an answer may be",
    ),
    ("unknown-caller", "the request carries no IAM identity"),
    (
        "unknown-config-fields",
        "the endpoint's config has fields that a copy would lose",
    ),
    ("unreadable-body", "the body could not be read"),
    ("unreadable-path", "the id in the path is no text"),
    (
        "unreadable-query",
        "the query can't be decoded: its bytes are no UTF-8",
    ),
];

fn urn(kind: &str) -> String {
    format!("urn:sagemaker-canary:problem:{kind}")
}

/// What any request may meet before it is looked at.
pub const BEFORE: &[Kind] = &[
    (403, "forbidden"),
    (403, "not-from-loopback"),
    (403, "unknown-caller"),
    (429, "temporarily-unavailable"),
    (503, "access-unknown"),
];

/// What any request with a body may meet.
pub const BODY: &[Kind] = &[
    (400, "duplicate-key"),
    (400, "not-json"),
    (400, "unreadable-body"),
    (413, "body-too-large"),
];

/// What any request may meet that needs AWS behind the API.
pub const BEHIND: &[Kind] = &[
    (500, "internal-error"),
    (502, "refused-by-aws"),
    (503, "temporarily-unavailable"),
];

/// The answers of these kinds, by status.
///
/// # Panics
/// When [`KINDS`] does not say what a word means.
pub fn problems(kinds: &[&[Kind]]) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (status, kind) in kinds.iter().copied().flatten() {
        by_status.entry(*status).or_default().push(kind);
    }
    let answers = by_status.into_iter().map(|(status, kinds)| {
        let meanings = kinds.iter().map(|kind| {
            let known = KINDS.iter().find(|(word, _)| word == kind);
            let (_, meaning) = known.unwrap_or_else(|| panic!("what does {kind} mean?"));
            format!("- `{kind}`: {meaning}")
        });
        let description = meanings.collect::<Vec<_>>().join("\n");
        let urns: Vec<String> = kinds.iter().map(|kind| urn(kind)).collect();
        let narrowed = json!({"properties": {"type": {"enum": urns}, "status": {"const": status}}});
        let schema = json!({"allOf": [reference("Problem"), narrowed]});
        let answer =
            json!({"description": description, "content": {MEDIA_TYPE: {"schema": schema}}});
        (status.to_string(), answer)
    });
    answers.collect()
}

/// What `str::trim` takes off the ends of a quantity. ECMA-262 and Unicode mean different characters by
/// `\s` (U+FEFF is one of them in the one, U+0085 in the other), so no client is left to choose.
const SPACE: &str =
    r"[\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]";

/// A text of this shape, in which `\s` is [`SPACE`].
fn text(description: &str, pattern: &str, examples: &[&str]) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(Some(pattern.replace(r"\s", SPACE)))
        .examples(examples.iter().map(|example| json!(example)))
        .into()
}

macro_rules! named {
    ($($type:ty = $name:literal: $schema:expr;)+) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }
        impl ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    )+};
}

named! {
    Weight = "Weight": ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .description(Some("A share of the traffic in whole percent."))
        .minimum(Some(0))
        .maximum(Some(100))
        .into();
    Rate = "Rate": text(
        "A share of requests in percent, with the sign: from `0%` to `100%`.",
        r"^\s*(0*100(\.0*)?|0*[0-9]{1,2}(\.[0-9]*)?|\.[0-9]+)\s*%\s*$",
        &["1%", "0.5%"],
    );
    Latency = "Latency": text(
        "A latency above zero, in milliseconds or seconds.",
        r"^\s*([0-9]*[1-9][0-9]*(\.[0-9]*)?|[0-9]*\.[0-9]*[1-9][0-9]*)\s*m?s\s*$",
        &["100ms", "1.5s"],
    );
    Span = "Duration": text(
        "A length of time: a whole number and one unit, seconds, minutes, hours or days of 24 h; a year (366 d) at the most.",
        r"^\s*[0-9]+[smhd]\s*$",
        &["90s", "10m", "1h", "7d"],
    );
    ChangeWindow = "ChangeWindow": text(
        "Hours of days of the week in a time zone of the IANA database, in which traffic may be raised. The end is exclusive and comes after the beginning.",
        r"^\s*(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))?\s+[0-9]{1,2}:[0-9]{1,2}-[0-9]{1,2}:[0-9]{1,2}\s+\S+\s*$",
        &["Mon-Thu 09:00-17:00 Europe/Berlin"],
    );
    Name = "EventName": ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What happened: the same name as in messages and events."))
        .enum_values(Some(Name::ALL.iter().map(|name| name.as_str())))
        .into();
}
