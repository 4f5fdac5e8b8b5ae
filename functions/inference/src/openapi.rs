//! The route as OpenAPI, with the limits that `request` checks.

use serde_json::{Map, Value, json};
use shared::wire::openapi::{
    BEFORE, BODY, Kind, NAME, NO_CONTROL_CHARACTERS, Schemas, add, problems, reference, refine,
};

use crate::api::{BODY_LIMIT, InferenceView};
use crate::request::{ATTRIBUTE_LIMIT, HEADER_LIMIT, InferenceBody, USER_LIMIT};

/// What a request to a model may meet.
const INFERENCE: &[Kind] = &[
    (422, "endpoint-refused"),
    (422, "invalid-inference-request"),
    (424, "model-error"),
    (503, "temporarily-unavailable"),
    (504, "model-late"),
];

/// Every path of this function.
pub fn paths() -> Map<String, Value> {
    let mut answers = problems(&[BEFORE, BODY, INFERENCE]);
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
    Map::from_iter([("/inference".to_owned(), json!({"post": operation}))])
}

/// What they take and give.
pub fn schemas() -> Schemas {
    let mut all = Schemas::new();
    add::<InferenceBody>(&mut all);
    add::<InferenceView>(&mut all);
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
    all
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
