//! The routes as OpenAPI: the parameters that `api` reads, the bodies it takes and every answer it gives,
//! with the limits that it checks them against.

use serde_json::{Map, Value, json};
use shared::domain::state::Status;
use shared::wire::api::LONGEST_REASON;
use shared::wire::openapi::{BEFORE, BEHIND, BODY, Kind, NAME, problems, reference};

use crate::api::{CHECKS, COMMANDS, DEPLOYMENTS, MOST_CHECKS, MOST_DEPLOYMENTS};
use crate::request::{BODY_LIMIT, KEY_LIMIT};

/// What a request about one deployment may meet.
const ID: &[Kind] = &[(400, "unreadable-path"), (404, "deployment-not-found")];
/// What any request may meet: of a route without parameters every one is unknown.
const QUERY: &[Kind] = &[(400, "unreadable-query"), (422, "invalid-parameter")];
/// What a specification may meet.
const SPECIFICATION: &[Kind] = &[
    (409, "endpoint-frozen"),
    (409, "endpoint-locked"),
    (422, "alarm-firing"),
    (422, "alarm-not-found"),
    (422, "async-endpoint"),
    (422, "baseline-breaks-policy"),
    (422, "capacity-reservation"),
    (422, "check-miscounted"),
    (422, "endpoint-config-not-found"),
    (422, "endpoint-not-allowed"),
    (422, "endpoint-not-enabled"),
    (422, "endpoint-not-found"),
    (422, "endpoint-spelled-otherwise"),
    (422, "endpoint-not-in-service"),
    (422, "execution-role-not-allowed"),
    (422, "execution-role-unknown"),
    (422, "gate-results-missing"),
    (422, "gate-results-of-another"),
    (422, "gate-results-too-new"),
    (422, "gate-results-too-old"),
    (422, "inference-components"),
    (422, "invalid-specification"),
    (422, "model-name-taken"),
    (422, "model-not-allowed"),
    (422, "model-not-found"),
    (422, "model-package-elsewhere"),
    (422, "model-package-not-approved"),
    (422, "model-package-not-found"),
    (422, "model-package-not-ready"),
    (422, "preconditions-missing"),
    (422, "price-unknown"),
    (422, "rejected-by-gate"),
    (422, "safe-gate-uncounted"),
    (422, "scaling-burstable"),
    (422, "scaling-ceiling"),
    (422, "scaling-policy"),
    (422, "serverless-variant"),
    (422, "several-variants"),
    (422, "shadow-variant"),
    (422, "too-many-tags"),
    (422, "topic-elsewhere"),
    (422, "topic-not-allowed"),
    (422, "unknown-config-fields"),
];
/// What a new deployment may meet beside that.
const ACCEPT: &[Kind] = &[
    (409, "request-in-progress"),
    (422, "idempotency-key-reused"),
    (422, "invalid-idempotency-key"),
];
/// What a command may meet.
const COMMAND: &[Kind] = &[
    (403, "own-approval"),
    (409, "approval-needed"),
    (409, "endpoint-drifted"),
    (409, "endpoint-frozen"),
    (409, "illegal-command"),
    (409, "metrics-blind"),
    (409, "red-guard"),
    (422, "endpoint-not-allowed"),
    (422, "invalid-body"),
    (422, "invalid-reason"),
];
/// What bringing the former model back may meet beside what a new deployment may.
const UNDO: &[Kind] = &[
    (409, "no-way-back"),
    (422, "invalid-body"),
    (422, "invalid-reason"),
];
const WEIGHT: &[Kind] = &[(409, "same-weight"), (422, "invalid-weight")];
/// What a freeze may meet.
const FREEZE: &[Kind] = &[(400, "unreadable-path")];
/// And one that is lifted.
const THAW: &[Kind] = &[(422, "endpoint-not-allowed")];
/// And one that is ordered.
const FREEZE_ORDER: &[Kind] = &[
    (404, "endpoint-not-found"),
    (422, "endpoint-not-allowed"),
    (422, "invalid-body"),
    (422, "invalid-reason"),
];
/// What anything may meet that changes something.
const SITE: &[Kind] = &[(403, "from-another-site")];
/// What the page's form may meet.
const FORM: &[Kind] = &[(409, "approval-outdated")];
const TRACE: &[Kind] = &[(422, "trace-too-large")];

/// Every path of this function.
pub fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    let mut add = |path: &str, method: &str, operation: Value| {
        paths.insert(path.to_owned(), json!({method: operation}));
    };
    add("/health", "get", health());
    add("/openapi.json", "get", document());
    add("/deploy", "post", deploy());
    add("/plan", "post", plan());
    add("/deployments", "get", list());
    add("/deployments/{id}", "get", one());
    add("/deployments/{id}/history", "get", history());
    add("/deployments/{id}/checks", "get", checks());
    add("/deployments/{id}/report", "get", report());
    add("/deployments/{id}/weight", "put", weight());
    add("/deployments/{id}/undo", "post", undo());
    for name in COMMANDS {
        add(
            &format!("/deployments/{{id}}/{name}"),
            "post",
            command(name),
        );
    }
    paths["/deployments/{id}/approve"]["get"] = review();
    let approve = &mut paths["/deployments/{id}/approve"]["post"];
    add_form(approve);
    for method in ["get", "post"] {
        add_pages(&mut paths["/deployments/{id}/approve"][method]);
    }
    paths.insert("/endpoints/{name}/freeze".to_owned(), freeze());
    paths
}

/// An operation that answers with this, or with a problem of these kinds.
fn operation(
    (id, tag, summary): (&str, &str, &str),
    description: &str,
    parts: Value,
    answers: Value,
    kinds: &[&[Kind]],
) -> Value {
    let mut operation = json!({
        "operationId": id, "tags": [tag], "summary": summary, "description": description,
    });
    let fields = operation.as_object_mut().expect("an object");
    if let Value::Object(parts) = parts {
        fields.extend(parts);
    }
    let mut all = problems(kinds);
    if let Value::Object(answers) = answers {
        all.extend(answers);
    }
    fields.insert("responses".to_owned(), Value::Object(all));
    operation
}

fn answer(description: &str, component: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/json": {"schema": reference(component)}},
    })
}

/// A deployment, and where to go with its id.
fn linked(description: &str) -> Value {
    let own = [
        "getDeployment",
        "getHistory",
        "getChecks",
        "getReport",
        "setWeight",
        "undo",
    ];
    let links = own.into_iter().chain(COMMANDS).map(|operation| {
        let link = json!({
            "operationId": operation,
            "parameters": {"id": "$response.body#/deployment_id"},
        });
        (operation.to_owned(), link)
    });
    let mut answer = answer(description, "Deployment");
    answer["links"] = Value::Object(links.collect());
    answer
}

fn id() -> Value {
    json!({
        "name": "id", "in": "path", "required": true,
        "description": "The deployment's id.",
        "schema": {"type": "string", "pattern": "^[0-9A-Fa-f-]{36}$", "format": "uuid"},
    })
}

fn parameter(name: &str, description: &str, schema: Value) -> Value {
    let mut parameter = json!({"name": name, "in": "query", "description": description});
    parameter["schema"] = schema;
    parameter
}

fn page_size(default: usize, most: usize) -> Value {
    parameter(
        "limit",
        "The most rows of the page.",
        json!({"type": "integer", "minimum": 1, "maximum": most, "default": default}),
    )
}

fn cursor(pattern: &str) -> Value {
    parameter(
        "cursor",
        "The one that the page before ended with, as it was given.",
        json!({"type": "string", "pattern": pattern}),
    )
}

fn body(component: &str, is_required: bool) -> Value {
    json!({
        "required": is_required,
        "description": format!("At most {BODY_LIMIT} bytes."),
        "content": {"application/json": {"schema": reference(component)}},
    })
}

fn health() -> Value {
    let schema = json!({
        "type": "object",
        "required": ["status", "version"],
        "additionalProperties": false,
        "properties": {
            "status": {"type": "string", "const": "ok", "description": "Always ok."},
            "version": {"type": "string", "description": "The release that answers."},
        },
    });
    let up = json!({
        "description": "The API answers.",
        "content": {"application/json": {"schema": schema}},
    });
    operation(
        ("health", "service", "Whether the API answers"),
        "Touches nothing behind the API.",
        json!({}),
        json!({"200": up}),
        &[BEFORE, QUERY],
    )
}

fn document() -> Value {
    let text = json!({
        "description": "This document.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    });
    operation(
        ("openapi", "service", "This document"),
        "The API as OpenAPI, of the version that answers.",
        json!({}),
        json!({"200": text}),
        &[BEFORE, QUERY],
    )
}

fn key() -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header",
        "description": "Names the request: the same key with the same body makes no second deployment for 24 h. A UUID, for example. The keys of different roles are different keys.",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LIMIT, "pattern": "^[!-~]+$"},
    })
}

fn deploy() -> Value {
    operation(
        ("deploy", "deployments", "Begin a deployment"),
        "Checks the specification, writes what is wanted and answers. The deployment begins within a minute; follow it under `links`.",
        json!({"parameters": [key()], "requestBody": body("Specification", true)}),
        json!({
            "202": linked("Accepted."),
            "200": linked("The deployment that the same request made before."),
        }),
        &[BEFORE, QUERY, SITE, BODY, SPECIFICATION, ACCEPT, BEHIND],
    )
}

fn plan() -> Value {
    operation(
        ("plan", "deployments", "What a specification would do"),
        "The same checks as those of a deployment, in the same order, and nothing done. While the endpoint has a deployment that is not over, that is all that is said of it, with its id.",
        json!({"requestBody": body("Specification", true)}),
        json!({"200": answer("Stages with dates and what they will show.", "Plan")}),
        &[BEFORE, QUERY, SITE, BODY, SPECIFICATION, BEHIND],
    )
}

fn list() -> Value {
    let statuses: Vec<String> = Status::ALL.iter().map(ToString::to_string).collect();
    let parameters = json!([
        parameter(
            "endpoint",
            "Of this endpoint.",
            json!({"type": "string", "pattern": NAME}),
        ),
        parameter(
            "status",
            "In this status.",
            json!({"type": "string", "enum": statuses})
        ),
        page_size(DEPLOYMENTS, MOST_DEPLOYMENTS),
        cursor("^[^#]+#[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    ]);
    operation(
        (
            "listDeployments",
            "deployments",
            "Deployments, newest first",
        ),
        "What was measured is left out; it stands in each deployment. A page may hold fewer rows than asked for and still have a cursor.",
        json!({"parameters": parameters}),
        json!({"200": answer("One page.", "Deployments")}),
        &[BEFORE, QUERY, BEHIND],
    )
}

fn one() -> Value {
    operation(
        ("getDeployment", "deployments", "One deployment"),
        "As it stands, with what was measured.",
        json!({"parameters": [id()]}),
        json!({"200": answer("The deployment.", "Deployment")}),
        &[BEFORE, QUERY, ID, BEHIND],
    )
}

fn history() -> Value {
    operation(
        ("getHistory", "deployments", "What happened and why"),
        "Every transition and every command, oldest first, on one page.",
        json!({"parameters": [id()]}),
        json!({"200": answer("The whole history.", "History")}),
        &[BEFORE, QUERY, ID, BEHIND],
    )
}

fn checks() -> Value {
    let format = json!({"type": "string", "enum": ["json", "csv"], "default": "json"});
    let parameters = json!([
        id(),
        page_size(CHECKS, MOST_CHECKS),
        cursor("^CHECK#"),
        parameter(
            "format",
            "`csv` is the whole trace, as `canary replay` reads it; limit and cursor are left out then.",
            format,
        ),
    ]);
    let both = json!({
        "description": "One page of minutes, newest first; or the trace, oldest first.",
        "content": {
            "application/json": {"schema": reference("Checks")},
            "text/csv": {"schema": {
                "type": "string",
                "description": "In long form, with the header `minute,signal,variant,n,x`: trials and the bad ones among them.",
            }},
        },
    });
    operation(
        ("getChecks", "deployments", "Minute by minute"),
        "What every judged minute showed.",
        json!({"parameters": parameters}),
        json!({"200": both}),
        &[BEFORE, QUERY, ID, TRACE, BEHIND],
    )
}

fn weight() -> Value {
    operation(
        ("setWeight", "commands", "Set the canary's share by hand"),
        "It is recorded, and the plan goes on from there. To take everything back, roll back.",
        json!({"parameters": [id()], "requestBody": body("WeightChange", true)}),
        json!({"202": answer("Ordered.", "Deployment")}),
        &[BEFORE, QUERY, SITE, ID, BODY, COMMAND, WEIGHT, BEHIND],
    )
}

fn undo() -> Value {
    operation(
        ("undo", "deployments", "Bring the former model back"),
        "A new deployment, of the model that a completed one replaced, on what it ran on: 100 % in one \
         stage, with the replaced model kept at weight 0 for a soak of 30 minutes. It is accepted as long as \
         the endpoint is as the completed deployment left it, the config before it is still there, and the version of a \
         model package that the former model was made of is not rejected. Of what is measured, absolute limits of errors \
         and latency and the comparison of 5XX answers can take it back; everything else is told. What an undo has taken out comes back by a deployment of its own, not by undoing the undo.",
        json!({"parameters": [id(), key()], "requestBody": body("Command", false)}),
        json!({
            "202": linked("Accepted: the new deployment."),
            "200": linked("The deployment that the same request made before."),
        }),
        &[
            BEFORE,
            QUERY,
            SITE,
            ID,
            BODY,
            SPECIFICATION,
            ACCEPT,
            UNDO,
            BEHIND,
        ],
    )
}

/// The report in its three forms.
fn report() -> Value {
    let all = json!({
        "description": "The report.",
        "content": {
            "text/html": {"schema": {"type": "string", "description": "One page, without scripts and with nothing to fetch."}},
            "text/markdown": {"schema": {"type": "string", "description": "The page without its pictures."}},
            "application/json": {"schema": reference("Report")},
        },
    });
    operation(
        ("getReport", "deployments", "The report of a deployment"),
        "What was deployed by whom, what happened and who was told, what was seen over time, how it ended, what to do, and after a rollback the draft of a post-mortem. Asked for by `Accept`; a page where the request does not say.",
        json!({"parameters": [id()]}),
        json!({"200": all}),
        &[BEFORE, QUERY, ID, &[(406, "not-acceptable")], BEHIND],
    )
}

/// The page behind an approval.
fn review() -> Value {
    let page = json!({
        "description": "The page.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    });
    operation(
        (
            "reviewApproval",
            "deployments",
            "What is to be approved, as a page",
        ),
        "What stands behind an approval, with the evidence and a form. Looking at it changes nothing.",
        json!({"parameters": [id()]}),
        json!({"200": page}),
        &[BEFORE, QUERY, ID, BEHIND],
    )
}

/// What the page's form sends, and where it leads back to.
fn add_form(approve: &mut Value) {
    approve["requestBody"]["content"]["application/x-www-form-urlencoded"] = json!({
        "schema": {
            "type": "object",
            "properties": {
                "reason": {
                    "type": "string", "maxLength": LONGEST_REASON,
                    "description": "Why; may be left empty.",
                },
                "shown": {"type": "string", "description": "Since when the stage that the page showed has waited."},
            },
            "required": ["shown"],
        },
    });
    approve["responses"]["303"] = json!({
        "description": "Ordered, by the page's form; back to the page.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    });
}

/// What a browser is shown of a refusal; programs get the problem document.
fn add_pages(operation: &mut Value) {
    let answers = operation["responses"].as_object_mut();
    for (status, answer) in answers.into_iter().flatten() {
        if status.starts_with(['4', '5']) {
            answer["content"]["text/html"] = json!({"schema": {"type": "string"}});
        }
    }
}

fn freeze() -> Value {
    let name = json!({
        "name": "name", "in": "path", "required": true,
        "description": "The endpoint, or `*` for every one of the stack.",
        "schema": {"type": "string", "pattern": format!("^\\*$|{NAME}")},
    });
    let parameters = json!([name]);
    json!({
        "get": operation(
            ("getFreeze", "freezes", "Whether nothing is raised"),
            "The endpoint's own freeze, or that of the whole stack.",
            json!({"parameters": parameters}),
            json!({"200": answer("What stands.", "FreezeState")}),
            &[BEFORE, QUERY, FREEZE, BEHIND],
        ),
        "put": operation(
            ("freeze", "freezes", "Raise nothing"),
            "No deployment begins and none is raised until the freeze is lifted or over; guards go on judging, and roll back. One that stands is prolonged; only who may lift it can have it end earlier. Who has subscribed to the stack's topic or listens to the bus is told.",
            json!({"parameters": parameters, "requestBody": body("FreezeOrder", true)}),
            json!({"200": answer("Frozen.", "FreezeState")}),
            &[BEFORE, QUERY, SITE, FREEZE, BODY, FREEZE_ORDER, BEHIND],
        ),
        "delete": operation(
            ("thaw", "freezes", "Let raises go on"),
            "Of the freeze that is named alone: an endpoint stays frozen while the whole stack is. Where one was lifted, who has subscribed to the stack's topic or listens to the bus is told.",
            json!({"parameters": parameters}),
            json!({"200": answer("What still stands.", "FreezeState")}),
            &[BEFORE, QUERY, SITE, FREEZE, THAW, BEHIND],
        ),
    })
}

fn command(name: &str) -> Value {
    let (summary, description) = match name {
        "pause" => (
            "Stop raises",
            "Guards go on judging, and roll back if they must.",
        ),
        "resume" => ("Let raises go on", "From where the pause met it."),
        "promote" => (
            "Skip the rest of the bake or soak",
            "On to the next stage, never past a red guard.",
        ),
        "rollback" => (
            "Give production everything back",
            "In whatever phase it is.",
        ),
        "cancel" => (
            "End it",
            "Production gets everything back; the status becomes CANCELLED.",
        ),
        _ => (
            "Approve the next raise",
            "Where the stage waits for a person.",
        ),
    };
    let mut parameters = vec![id()];
    if name == "promote" {
        parameters.push(parameter(
            "full",
            "Whether to go to 100 % at once.",
            json!({"type": "boolean", "default": false}),
        ));
    } else {
        parameters.push(parameter(
            "full",
            "Of promote alone: elsewhere it may only be false.",
            json!({"type": "boolean", "const": false, "default": false}),
        ));
    }
    let form = if name == "approve" { FORM } else { &[] };
    operation(
        (name, "commands", summary),
        description,
        json!({"parameters": parameters, "requestBody": body("Command", false)}),
        json!({"202": answer("Ordered.", "Deployment")}),
        &[BEFORE, QUERY, SITE, ID, BODY, COMMAND, form, BEHIND],
    )
}
