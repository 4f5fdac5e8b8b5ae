//! The committed text: made by the code, served as it is, and fit to be read.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::Value;
use shared::wire::openapi::KINDS;
use tests::World;
use tests::openapi::{self, COMMITTED};

#[test]
fn the_committed_document_is_the_one_of_the_code() {
    let (made, committed) = (openapi::text(), openapi::file(openapi::DOCUMENT));
    let differs = made
        .lines()
        .zip(committed.lines())
        .find(|(made, committed)| made != committed);
    assert!(
        made == committed,
        "`cargo xtask openapi` makes it anew; the first line that differs: {differs:?}"
    );
}

#[tokio::test]
async fn it_is_served_as_it_is_committed() {
    let world = World::new().await;
    let (status, served) = world.get("/openapi.json").await;
    assert_eq!((status, &served), (StatusCode::OK, &*COMMITTED));
}

/// Calls `see` with every object of the document and the path to it.
fn walk(value: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    if value.is_object() {
        see(path, value);
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                walk(value, &format!("{path}/{key}"), see);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                walk(value, &format!("{path}/{index}"), see);
            }
        }
        _ => {}
    }
}

#[test]
fn every_component_is_used_and_every_reference_leads_somewhere() {
    let document = &*COMMITTED;
    let mut used = BTreeSet::new();
    walk(document, "", &mut |path, object| {
        if let Some(Value::String(reference)) = object.get("$ref") {
            let pointer = reference.strip_prefix('#').expect("a local reference");
            assert!(document.pointer(pointer).is_some(), "{path}: {reference}");
            used.insert(pointer.to_owned());
        }
    });
    let all = ["schemas", "examples"].iter().flat_map(|kind| {
        let components = document["components"][kind].as_object();
        let names = components.expect("components").keys();
        names.map(move |name| format!("/components/{kind}/{name}"))
    });
    assert_eq!(used, all.collect::<BTreeSet<_>>());
}

#[test]
fn every_field_says_what_it_is() {
    let document = &*COMMITTED;
    let described = |schema: &Value| schema["description"].is_string();
    let components = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    for (name, component) in components {
        assert!(described(component), "{name}");
        for (field, schema) in component["properties"].as_object().into_iter().flatten() {
            // Of a field that may be nothing, the other half is described.
            let halves = schema["oneOf"].as_array().into_iter().flatten();
            let is_described = described(schema) || halves.clone().any(described);
            assert!(is_described, "{name}.{field}: {schema}");
        }
    }
}

#[test]
fn every_operation_is_described_and_named_once() {
    let document = &*COMMITTED;
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let about = format!("{method} {path}");
            for field in ["operationId", "summary", "description"] {
                assert!(
                    operation[field]
                        .as_str()
                        .is_some_and(|text| !text.is_empty()),
                    "{about}: {field}"
                );
            }
            assert!(
                names.insert(operation["operationId"].to_string()),
                "{about}"
            );
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{about}: {parameter}");
            }
            for (status, answer) in operation["responses"].as_object().expect("responses") {
                let is_problem = answer["content"].get("application/problem+json").is_some();
                assert_eq!(is_problem, status.as_str() >= "400", "{about} {status}");
            }
        }
    }
}

#[test]
fn every_example_fits_what_it_is_an_example_of() {
    let document = &*COMMITTED;
    let mut seen = 0;
    walk(&document["paths"], "/paths", &mut |path, object| {
        if object.get("schema").is_none() || object.get("in").is_some() {
            return;
        }
        let named = object["examples"].as_object().into_iter().flatten();
        let named = named.map(|(_, example)| {
            let pointer = example["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
            &document
                .pointer(pointer.expect("a reference"))
                .expect("an example")["value"]
        });
        let pointer = |text: &str| text.replace('{', "%7B").replace('}', "%7D");
        for example in named.chain(object.get("example")) {
            let schema = escaped(document, path);
            let found = openapi::mismatches(&pointer(&schema), example);
            assert_eq!(found, Vec::<String>::new(), "{path}: {example}");
            seen += 1;
        }
    });
    assert!(seen > 30, "{seen} examples");
}

/// The pointer to the schema beside an example: paths and media types hold slashes.
fn escaped(document: &Value, plain: &str) -> String {
    let mut rest = plain.strip_prefix("/paths/").expect("in the paths");
    let paths = document["paths"].as_object().expect("paths");
    let path = paths
        .keys()
        .filter(|path| rest.starts_with(&format!("{path}/")))
        .max_by_key(|path| path.len())
        .expect("a path");
    rest = &rest[path.len() + 1..];
    let rest = ["application/json", "application/problem+json", "text/csv"]
        .iter()
        .fold(rest.to_owned(), |rest, kind| {
            rest.replace(kind, &kind.replace('/', "~1"))
        });
    format!("/paths/{}/{rest}/schema", path.replace('/', "~1"))
}

#[test]
fn every_kind_of_problem_is_said_somewhere() {
    let document = &*COMMITTED;
    let text = document["paths"].to_string();
    // Said on paths and by methods that are not described.
    let elsewhere = ["no-such-route", "method-not-allowed"];
    for (kind, _) in KINDS {
        let is_said = text.contains(&format!("urn:sagemaker-canary:problem:{kind}\""));
        assert_eq!(is_said, !elsewhere.contains(kind), "{kind}");
    }
    let mut sorted = KINDS.to_vec();
    sorted.sort_unstable();
    assert_eq!(sorted, KINDS, "in order, so that none stands twice unseen");
}
