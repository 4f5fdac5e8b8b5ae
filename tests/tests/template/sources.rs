//! The calls to AWS that the sources make, found in their text.
//!
//! A call of the SDK begins at a client: a field of `Aws` or `ControlPlane` whose type names the crate, or a
//! client handed to a function. It ends with `send()`, once. That both are as many proves that the search
//! misses none, whatever the client is called.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::root;

/// What only the local mode, tests and fuzzing call.
const NOT_IN_LAMBDA: [&str; 3] = ["loopback.rs", "fixtures.rs", "fuzz.rs"];

/// Every call, as `service.operation`.
pub(super) fn calls() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (clients, mut begun, mut sent) = (clients(), 0, 0);
    for (_, text) in adapters() {
        let here = calls_in(&clients, &text);
        begun += here.len();
        sent += text.matches(".send()").count();
        found.extend(here);
    }
    assert_eq!(
        begun, sent,
        "calls begun and sent; a client is reached in a way that this search does not know: {found:?}"
    );
    found
}

/// The adapters' files, without comments and white space.
fn adapters() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    collect(&root().join("shared/src/aws"), &mut texts);
    assert!(texts.len() > 8, "the adapters have moved");
    texts
}

fn collect(folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("a name").to_owned();
        if path.is_dir() {
            collect(&path, texts);
        } else if !NOT_IN_LAMBDA.contains(&name.as_str()) {
            let text = std::fs::read_to_string(&path).expect("a source");
            let code = text.lines().filter(|line| !line.trim().starts_with("//"));
            let code: String = code
                .flat_map(str::chars)
                .filter(|c| !c.is_whitespace())
                .collect();
            texts.push((name, code));
        }
    }
}

/// The clients by the names they are reached by, with their service.
fn clients() -> BTreeMap<String, String> {
    let mut clients = BTreeMap::new();
    for (_, text) in adapters() {
        for (before, after) in splits(&text, ":aws_sdk_") {
            let name = last_word(before);
            let service = first_word(after);
            if after[service.len()..].starts_with("::Client") {
                clients.insert(name.to_owned(), service.to_owned());
            }
        }
    }
    // config_copy.rs is handed SageMaker's.
    clients.insert("client".to_owned(), "sagemaker".to_owned());
    clients
}

fn calls_in(clients: &BTreeMap<String, String>, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (before, after) in splits(text, ".") {
        let operation = first_word(after);
        let Some(service) = clients.get(last_word(before)) else {
            continue;
        };
        if !operation.is_empty() && after[operation.len()..].starts_with("()") {
            found.push(format!("{service}.{operation}"));
        }
    }
    found
}

/// What stands before and after each occurrence.
fn splits<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let marks = text.match_indices(mark);
    marks.map(move |(at, _)| (&text[..at], &text[at + mark.len()..]))
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

fn last_word(text: &str) -> &str {
    let start = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[start.map_or(0, |at| at + 1)..]
}

#[test]
fn a_call_is_found_by_the_client_it_begins_at() {
    let clients = BTreeMap::from([("sns".to_owned(), "sns".to_owned())]);
    let text = "self.control.sns.publish().subject(x).send().await;other.publish().send()";
    assert_eq!(calls_in(&clients, text), ["sns.publish"]);
}
