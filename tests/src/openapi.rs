//! The API's description: put together out of the functions' routes and the shared types, with recorded
//! answers as examples, and held against every answer that the tests get.
//!
//! `docs/openapi.json` is [`text`], committed. Whatever a test asks of the API through [`crate::World`]
//! is checked by [`assert_documented`]: a status, a media type, a kind of problem or a field that the
//! document does not have fails that test.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use http::{Method, StatusCode};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The committed document.
pub const DOCUMENT: &str = "docs/openapi.json";
/// Answers as they were given, by `cargo xtask openapi --record`.
const RECORDED: &str = "tests/src/recorded.json";

/// A file of the checkout. Read when it is needed: a new document is no reason to build the tests anew.
pub fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    std::fs::read_to_string(root.join(path)).expect(path)
}

const DESCRIPTION: &str = "\
Canary deployments of SageMaker models: begin one, follow it, command it, and ask the model behind it.

Errors are problem documents (RFC 9457) with a stable `type` and, where one is at fault, the `field`. A path \
that is none of these is answered with 404 and the type `no-such-route`, a method that a path does not take with \
405 and `method-not-allowed`.

Unknown fields and parameters, keys that stand twice, and lists in place of objects are refused. Durations \
carry one unit (`10m`), rates a percent sign (`1%`); weights are whole percent.

A specification may also be written in YAML: the command line reads it and sends JSON.";

/// The whole document, in the order in which it is read.
pub fn text() -> String {
    let whole = document();
    let order = [
        "openapi",
        "info",
        "servers",
        "security",
        "tags",
        "paths",
        "components",
    ];
    let parts = order.map(|key| {
        let part = serde_json::to_string_pretty(&whole[key]).expect("JSON");
        format!("  \"{key}\": {}", part.replace('\n', "\n  "))
    });
    format!("{{\n{}\n}}\n", parts.join(",\n"))
}

/// The same as a tree.
pub fn document() -> Value {
    let mut paths = deploy::openapi::paths();
    paths.extend(inference::openapi::paths());
    let mut schemas = shared::wire::openapi::schemas();
    schemas.extend(inference::openapi::schemas());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sagemaker-canary",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A control plane for canary deployments of SageMaker models.",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": "http://127.0.0.1:8686", "description": "`canary local`, which takes unsigned requests."},
            {
                "url": "https://{api}.execute-api.{region}.amazonaws.com/v1",
                "description": "A deployed stack.",
                "variables": {
                    "api": {"default": "a1b2c3d4e5", "description": "The id of the stack's REST API."},
                    "region": {"default": "eu-central-1", "description": "The stack's region."},
                },
            },
        ],
        "security": [{"sigv4": []}, {}],
        "tags": [
            {"name": "deployments", "description": "Begin a deployment, and follow it."},
            {"name": "commands", "description": "Orders to a deployment that is under way. Each is kept in the history with who gave it and why."},
            {"name": "freezes", "description": "Let nothing begin and nothing be raised, on an endpoint or on all of them."},
            {"name": "inference", "description": "Ask the model behind an endpoint."},
            {"name": "service", "description": "The API itself."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"sigv4": {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "AWS Signature Version 4 for the service execute-api.",
                "x-amazon-apigateway-authtype": "awsSigv4",
            }},
        },
    });
    add_examples(&mut document);
    // Whatever order a build keeps maps in, the text is the same.
    document.sort_all_objects();
    document
}

/// What was recorded, at the answers it was recorded of.
fn add_examples(document: &mut Value) {
    let recorded: Value = serde_json::from_str(&file(RECORDED)).expect("what was recorded is JSON");
    let kinds = recorded["problems"].as_object().expect("problems").iter();
    let problems = kinds.map(|(kind, problem)| (kind, problem["title"].clone(), problem));
    let answers = recorded["answers"].as_object().expect("answers").iter();
    let answers = answers.map(|(name, answer)| (name, json!("As it was answered."), answer));
    let all = answers.chain(problems);
    let all = all
        .map(|(name, summary, value)| (name.clone(), json!({"summary": summary, "value": value})));
    document["components"]["examples"] = Value::Object(all.collect());
    let paths = document["paths"].as_object_mut().expect("paths");
    for operation in paths.values_mut().flat_map(operations_mut) {
        let name = text_of(&operation["operationId"]);
        let is_command = operation["tags"][0] == "commands";
        let body = if is_command && name != "setWeight" {
            "command"
        } else {
            &name
        };
        if let Some(example) = recorded["requests"].get(body) {
            operation["requestBody"]["content"]["application/json"]["example"] = example.clone();
        }
        let answer = if is_command || name == "deploy" {
            "getDeployment"
        } else {
            &name
        };
        let answers = operation["responses"].as_object_mut().expect("responses");
        for (status, response) in answers {
            let contents = response["content"].as_object_mut().expect("content");
            for (media_type, content) in contents {
                let names = match media_type.as_str() {
                    "application/problem+json" => problems_of(&recorded, status, content),
                    "text/csv" => vec!["trace".to_owned()],
                    // A page is no document.
                    "text/html" | "text/markdown" => Vec::new(),
                    _ => vec![answer.to_owned()],
                };
                let known = names.into_iter().filter(|name| {
                    ["answers", "problems"]
                        .iter()
                        .any(|part| !recorded[part][name].is_null())
                });
                let examples: Map<String, Value> = known
                    .map(|name| {
                        let pointer = format!("#/components/examples/{name}");
                        (name, json!({"$ref": pointer}))
                    })
                    .collect();
                if !examples.is_empty() {
                    content["examples"] = Value::Object(examples);
                }
            }
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The recorded problems that an answer of this status may be.
fn problems_of(recorded: &Value, status: &str, content: &Value) -> Vec<String> {
    let may_be = &content["schema"]["allOf"][1]["properties"]["type"]["enum"];
    let kinds = may_be.as_array().into_iter().flatten().map(text_of);
    let kinds = kinds.filter_map(|urn| urn.rsplit(':').next().map(str::to_owned));
    let status = status.parse::<u64>().ok();
    let fits = |kind: &String| recorded["problems"][kind]["status"].as_u64() == status;
    kinds.filter(fits).collect()
}

fn operations_mut(item: &mut Value) -> impl Iterator<Item = &mut Value> {
    item.as_object_mut().into_iter().flat_map(Map::values_mut)
}

/// The document as it is committed, which is the one that is served.
pub static COMMITTED: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&file(DOCUMENT)).expect("docs/openapi.json is JSON"));

/// Whether a value fits a schema of the committed document; otherwise what does not.
pub fn mismatches(pointer: &str, value: &Value) -> Vec<String> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, &'static Validator>>> =
        LazyLock::new(Mutex::default);
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    let validator = validators
        .entry(pointer.to_owned())
        .or_insert_with(|| Box::leak(Box::new(validator(pointer))));
    let errors = validator.iter_errors(value);
    errors
        .map(|error| format!("{}: {error:.300}", error.instance_path()))
        .collect()
}

/// A validator of the schema at this pointer.
fn validator(pointer: &str) -> Validator {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#{pointer}"),
        "paths": COMMITTED["paths"],
        "components": COMMITTED["components"],
    });
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("a valid schema")
}

/// The path of the document that a request's path is one of.
pub fn template_of(path: &str) -> Option<String> {
    let path = path.split('?').next().unwrap_or(path);
    let parts: Vec<&str> = path.split('/').collect();
    let is_deployment = matches!(parts.as_slice(), ["", "deployments", id, ..] if !id.is_empty());
    let template = if is_deployment {
        let rest = parts[3..].iter().map(|part| format!("/{part}"));
        format!("/deployments/{{id}}{}", rest.collect::<String>())
    } else if matches!(parts.as_slice(), ["", "endpoints", name, "freeze"] if !name.is_empty()) {
        "/endpoints/{name}/freeze".to_owned()
    } else {
        path.to_owned()
    };
    COMMITTED["paths"].get(&template).map(|_| template)
}

/// Holds an answer against the committed document.
pub fn assert_documented(
    method: &Method,
    path: &str,
    status: StatusCode,
    media_type: &str,
    body: &Value,
) {
    let about = format!("{method} {path} {status} {media_type}");
    let verb = method.as_str().to_ascii_lowercase();
    let known = template_of(path).filter(|path| COMMITTED["paths"][path].get(&verb).is_some());
    let Some(template) = known else {
        assert!(
            [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status),
            "{about}: not in docs/openapi.json"
        );
        assert_eq!(
            mismatches("/components/schemas/Problem", body),
            Vec::<String>::new()
        );
        return;
    };
    let media_type = media_type.split(';').next().unwrap_or_default();
    let escaped = |text: &str| text.replace('~', "~0").replace('/', "~1");
    let pointer = format!(
        "/paths/{}/{verb}/responses/{}/content/{}/schema",
        escaped(&template),
        status.as_u16(),
        escaped(media_type),
    );
    assert!(
        COMMITTED.pointer(&pointer).is_some(),
        "{about}: no such answer in docs/openapi.json: {body:.300}"
    );
    // Braces are no characters of a URI reference.
    let pointer = pointer.replace('{', "%7B").replace('}', "%7D");
    let found = mismatches(&pointer, body);
    assert_eq!(found, Vec::<String>::new(), "{about}: {body}");
}
