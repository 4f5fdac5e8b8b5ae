//! The routes as OpenAPI, with the limits that `request` and `feedback` check.

use serde_json::{Map, Value, json};
use shared::wire::openapi::{
    BEFORE, BODY, Kind, NAME, NO_CONTROL_CHARACTERS, Schemas, add, problems, reference, refine,
};

use crate::api::{BODY_LIMIT, InferenceView, RouteView};
use crate::feedback::{self, FeedbackBody, FeedbackView, MOST_ITEMS};
use crate::request::{ATTRIBUTE_LIMIT, HEADER_LIMIT, InferenceBody, USER_LIMIT};

/// A user in a query: without control characters, and without the mark that stands for bytes that are no text.
const USER: &str = r"^[^\u0000-\u001f\u007f-\u009f\ufffd]*$";
/// What a query may meet where there should be none, or another one.
const QUERY: &[Kind] = &[(400, "unreadable-query"), (422, "invalid-parameter")];
/// What a request to a model may meet.
const INFERENCE: &[Kind] = &[
    (422, "endpoint-not-allowed"),
    (422, "endpoint-refused"),
    (422, "invalid-inference-request"),
    (424, "model-error"),
    (503, "temporarily-unavailable"),
    (504, "model-late"),
];

/// What labels may meet.
const FEEDBACK: &[Kind] = &[(422, "invalid-feedback"), (503, "temporarily-unavailable")];
/// What a question about a user's way may meet.
const ROUTE: &[Kind] = &[(422, "invalid-inference-request")];

/// Every path of this function.
pub fn paths() -> Map<String, Value> {
    let mut answers = problems(&[BEFORE, QUERY, BODY, INFERENCE]);
    answers.insert(
        "200".to_owned(),
        json!({
            "description": "The model answered.",
            "content": {"application/json": {"schema": reference("Inference")}},
        }),
    );
    let operation = json!({
        "operationId": "inference",
        "tags": ["inference"],
        "summary": "Ask the model behind an endpoint",
        "description": "Old and new model answer by their shares of the traffic; while a rollback is under way, the old one.",
        "requestBody": {
            "required": true,
            "description": format!("At most {BODY_LIMIT} bytes."),
            "content": {"application/json": {"schema": reference("InferenceRequest")}},
        },
        "responses": answers,
    });
    Map::from_iter([
        ("/inference".to_owned(), json!({"post": operation})),
        ("/feedback".to_owned(), json!({"post": feedback()})),
        ("/route".to_owned(), json!({"get": route()})),
    ])
}

fn feedback() -> Value {
    let mut answers = problems(&[BEFORE, QUERY, BODY, FEEDBACK]);
    answers.insert(
        "200".to_owned(),
        json!({
            "description": "What became of each label.",
            "content": {"application/json": {"schema": reference("Feedback")}},
        }),
    );
    json!({
        "operationId": "feedback",
        "tags": ["inference"],
        "summary": "Say what predictions should have been",
        "description": "Labels are counted for the variant that made the prediction, up to 30 days later, each once. Those of predictions from before the deployment under way are dropped.",
        "requestBody": {
            "required": true,
            "description": format!("At most {} bytes.", feedback::BODY_LIMIT),
            "content": {"application/json": {"schema": reference("FeedbackRequest")}},
        },
        "responses": answers,
    })
}

fn route() -> Value {
    let mut answers = problems(&[BEFORE, QUERY, ROUTE]);
    answers.insert(
        "200".to_owned(),
        json!({
            "description": "Where the user's requests go.",
            "content": {"application/json": {"schema": reference("Route")}},
        }),
    );
    let parameter = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "query", "required": true, "description": description, "schema": schema});
    json!({
        "operationId": "route",
        "tags": ["inference"],
        "summary": "Where a user's requests go",
        "description": "For callers that ask SageMaker themselves, to stream for example: the variant to name as TargetVariant. It changes with every stage and at once with a rollback: ask at most a few seconds before each request.",
        "parameters": [
            parameter("endpoint", "The endpoint.", json!({"type": "string", "pattern": NAME})),
            parameter("user", "The user, as in `user_id` of an inference: 1 to 256 bytes.", json!({"type": "string", "minLength": 1, "maxLength": USER_LIMIT, "pattern": USER})),
        ],
        "responses": answers,
    })
}

/// What they take and give.
pub fn schemas() -> Schemas {
    let mut all = Schemas::new();
    add::<InferenceBody>(&mut all);
    add::<InferenceView>(&mut all);
    add::<RouteView>(&mut all);
    add::<FeedbackBody>(&mut all);
    add::<FeedbackView>(&mut all);
    refine_feedback(&mut all);
    refine(
        &mut all,
        "Route.bucket",
        json!({"minimum": 0, "maximum": 99}),
    );
    refine(&mut all, "Route", json!({"additionalProperties": false}));
    refine(
        &mut all,
        "InferenceRequest.endpoint",
        json!({"pattern": NAME}),
    );
    refine(
        &mut all,
        "InferenceRequest.user_id",
        json!({"minLength": 1, "maxLength": USER_LIMIT, "pattern": NO_CONTROL_CHARACTERS}),
    );
    refine(
        &mut all,
        "InferenceRequest.features",
        json!({"type": ["array", "object", "null"], "minItems": 1, "minProperties": 1}),
    );
    refine(
        &mut all,
        "InferenceRequest.instances",
        json!({"type": ["array", "null"], "minItems": 1}),
    );
    refine(
        &mut all,
        "InferenceRequest.attributes",
        json!({
            "type": ["object", "null"],
            "maxProperties": ATTRIBUTE_LIMIT,
            "additionalProperties": {"type": "string"},
        }),
    );
    for header in ["content_type", "accept", "custom_attributes"] {
        refine(
            &mut all,
            &format!("InferenceRequest.{header}"),
            json!({"minLength": 1, "maxLength": HEADER_LIMIT, "pattern": "^[ -~]+$"}),
        );
    }
    refine(&mut all, "InferenceRequest", json!({"oneOf": forms()}));
    refine(
        &mut all,
        "Inference",
        json!({"additionalProperties": false}),
    );
    refine(&mut all, "Inference.latency_ms", json!({"minimum": 0}));
    refine(
        &mut all,
        "Inference.custom_attributes",
        json!({"maxLength": HEADER_LIMIT}),
    );
    all
}

fn refine_feedback(all: &mut Schemas) {
    let label = || json!({"enum": [true, false, 0, 1]});
    refine(all, "FeedbackItem.actual", label());
    refine(
        all,
        "FeedbackRequest.actual",
        json!({"enum": [true, false, 0, 1, null]}),
    );
    refine(
        all,
        "FeedbackRequest.items",
        json!({"minItems": 1, "maxItems": MOST_ITEMS}),
    );
    let left_out = || json!({"type": "null"});
    let forms = json!([
        {
            "title": "One label",
            "required": ["inference_id", "actual"],
            "properties": {"inference_id": {"type": "string"}, "actual": label(), "items": left_out()},
        },
        {
            "title": "Several labels",
            "required": ["items"],
            "properties": {"items": {"type": "array"}, "inference_id": left_out(), "actual": left_out()},
        },
    ]);
    refine(all, "FeedbackRequest", json!({"oneOf": forms}));
    refine(all, "Feedback", json!({"additionalProperties": false}));
    let most = json!({"minItems": 1, "maxItems": MOST_ITEMS});
    refine(all, "Feedback.answers", most);
    refine(
        all,
        "Feedback.counted",
        json!({"minimum": 0, "maximum": MOST_ITEMS}),
    );
}

/// The three ways to say what the model gets.
fn forms() -> Value {
    let left_out = || json!({"type": "null"});
    json!([
        {
            "title": "One example",
            "required": ["features"],
            "properties": {
                "features": {"type": ["array", "object"]},
                "instances": left_out(),
                "payload": left_out(),
            },
        },
        {
            "title": "Several examples",
            "required": ["instances"],
            "properties": {
                "instances": {"type": "array"},
                "features": left_out(),
                "payload": left_out(),
            },
        },
        {
            "title": "As it is",
            "required": ["payload", "content_type"],
            "properties": {
                "payload": {"type": "string"},
                "content_type": {"type": "string"},
                "features": left_out(),
                "instances": left_out(),
            },
        },
    ])
}
