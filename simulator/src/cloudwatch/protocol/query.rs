//! awsQuery: a form whose keys are paths (`MetricData.member.1.Value=5`), answered in XML.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use super::{ApiError, Tree};

const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// The deepest path in the model has ten segments; recursion must not go on for ever.
const DEPTH_LIMIT: usize = 16;

#[derive(Default)]
struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

/// Reads a form: the operation, and the rest as its input.
pub(super) fn decode(form: &[u8]) -> Result<(String, Tree), ApiError> {
    let mut root = Node::default();
    let mut action = None;
    for (key, value) in pairs(form)? {
        match key.as_ref() {
            "Action" => action = Some(value.into_owned()),
            "Version" => {}
            path => root.insert(path, value)?,
        }
    }
    let action = action.ok_or_else(|| ApiError::missing("Action"))?;
    // A request without parameters is still a structure.
    root.value = None;
    Ok((action, root.into_structure()))
}

/// Whether this is a form for the given version of an API.
pub(super) fn is_versioned(form: &[u8], version: &str) -> bool {
    let mut parts = form.split(|byte| *byte == b'&');
    let expected = format!("Version={version}");
    form.windows(7).any(|window| window == b"Action=")
        && parts.any(|part| part == expected.as_bytes())
}

impl Node {
    fn insert(&mut self, path: &str, value: Cow<'_, str>) -> Result<(), ApiError> {
        let mut node = self;
        for (depth, segment) in path.split('.').enumerate() {
            if depth == DEPTH_LIMIT {
                return Err(ApiError::malformed(
                    "A parameter's name is nested too deeply.",
                ));
            }
            node = node.children.entry(segment.to_owned()).or_default();
        }
        node.value = Some(value.into_owned());
        Ok(())
    }

    fn into_tree(mut self) -> Tree {
        if let Some(list) = self.children.remove("member") {
            let mut items: Vec<(usize, Node)> = list
                .children
                .into_iter()
                .map(|(index, node)| (index.parse().unwrap_or(usize::MAX), node))
                .collect();
            // The keys are text: 10 stands before 2 until here.
            items.sort_by_key(|(index, _)| *index);
            return Tree::List(
                items
                    .into_iter()
                    .map(|(_, node)| node.into_tree())
                    .collect(),
            );
        }
        match self.value.take() {
            Some(value) if self.children.is_empty() => Tree::Text(value),
            _ => self.into_structure(),
        }
    }

    fn into_structure(self) -> Tree {
        Tree::Structure(
            self.children
                .into_iter()
                .map(|(name, node)| (name, node.into_tree()))
                .collect(),
        )
    }
}

/// A key and its value, borrowed where nothing was escaped.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

fn pairs(form: &[u8]) -> Result<Vec<Pair<'_>>, ApiError> {
    form.split(|byte| *byte == b'&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let end = part.iter().position(|byte| *byte == b'=');
            let (key, value) = match end {
                Some(end) => (&part[..end], &part[end + 1..]),
                None => (part, &[][..]),
            };
            Some((percent_decode(key)?, percent_decode(value)?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| ApiError::malformed("The body is not a valid form."))
}

fn percent_decode(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Writes the answer of an operation; one that returns nothing has no result element.
pub(super) fn encode(operation: &str, request_id: &str, output: Option<&Tree>) -> Vec<u8> {
    let mut xml = format!("<{operation}Response xmlns=\"{NAMESPACE}\">");
    if let Some(output) = output {
        element(&mut xml, &format!("{operation}Result"), output);
    }
    xml.push_str("<ResponseMetadata>");
    element(&mut xml, "RequestId", &Tree::text(request_id));
    let _ = write!(xml, "</ResponseMetadata></{operation}Response>");
    xml.into_bytes()
}

/// Writes an error.
pub(super) fn encode_error(fault: &str, code: &str, message: &str, request_id: &str) -> Vec<u8> {
    let mut xml = format!("<ErrorResponse xmlns=\"{NAMESPACE}\"><Error>");
    for (name, value) in [("Type", fault), ("Code", code), ("Message", message)] {
        element(&mut xml, name, &Tree::text(value));
    }
    xml.push_str("</Error>");
    element(&mut xml, "RequestId", &Tree::text(request_id));
    xml.push_str("</ErrorResponse>");
    xml.into_bytes()
}

fn element(xml: &mut String, name: &str, tree: &Tree) {
    if *tree == Tree::Null {
        return;
    }
    // Writing to a string cannot fail.
    let _ = write!(xml, "<{name}>");
    match tree {
        Tree::Null => {}
        Tree::Flag(flag) => _ = write!(xml, "{flag}"),
        Tree::Integer(integer) => _ = write!(xml, "{integer}"),
        Tree::Number(number) => _ = write!(xml, "{number:?}"),
        Tree::Text(text) => escape(xml, text),
        Tree::Time(time) => _ = write!(xml, "{time}"),
        Tree::List(items) => {
            for item in items {
                element(xml, "member", item);
            }
        }
        Tree::Structure(members) => {
            for (name, value) in members {
                element(xml, name, value);
            }
        }
        Tree::Map(entries) => {
            for (key, value) in entries {
                xml.push_str("<entry>");
                element(xml, "key", &Tree::text(key));
                element(xml, "value", value);
                xml.push_str("</entry>");
            }
        }
    }
    let _ = write!(xml, "</{name}>");
}

fn escape(xml: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '&' => xml.push_str("&amp;"),
            '"' => xml.push_str("&quot;"),
            // XML 1.0 has no way to write the other control characters.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => xml.push('\u{fffd}'),
            c => xml.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, encode_error, is_versioned};
    use crate::cloudwatch::protocol::{Tree, structure};

    #[test]
    fn paths_become_lists_and_structures() {
        let form = b"Action=PutMetricData&Version=2010-08-01&Namespace=A%2FB+C\
            &MetricData.member.10.Value=10&MetricData.member.2.Value=2&Empty=";
        let (operation, tree) = decode(form).expect("a valid form");
        assert_eq!(operation, "PutMetricData");
        let item = |value| structure([("Value", Tree::text(value))]);
        assert_eq!(
            tree,
            structure([
                ("Empty", Tree::text("")),
                ("MetricData", Tree::List(vec![item("2"), item("10")])),
                ("Namespace", Tree::text("A/B C")),
            ])
        );
    }

    #[test]
    fn broken_forms_are_refused() {
        let deep = format!("Action=X&{}=1", "a.".repeat(100));
        for form in [
            "Namespace=x",
            "Action=X&a=%zz",
            "Action=X&a=%f",
            "Action=X&a=%ff",
            &deep,
        ] {
            assert!(decode(form.as_bytes()).is_err(), "{form}");
        }
    }

    #[test]
    fn only_the_right_version_is_ours() {
        assert!(is_versioned(
            b"Action=ListMetrics&Version=2010-08-01",
            "2010-08-01"
        ));
        assert!(!is_versioned(
            b"Action=Publish&Version=2010-03-31",
            "2010-08-01"
        ));
        assert!(!is_versioned(b"Version=2010-08-01", "2010-08-01"));
    }

    #[test]
    fn answers_are_xml() {
        let output = structure([
            ("Label", Tree::text("a<b & \u{1}")),
            (
                "Times",
                Tree::List(vec![Tree::Time(
                    "2026-01-01T00:01:00Z".parse().expect("a time"),
                )]),
            ),
            (
                "Extended",
                Tree::Map(vec![("p99".to_owned(), Tree::Number(2.0))]),
            ),
            ("Absent", Tree::Null),
        ]);
        let xml = String::from_utf8(encode("Op", "id", Some(&output))).expect("text");
        assert_eq!(
            xml,
            "<OpResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><OpResult>\
             <Label>a&lt;b &amp; \u{fffd}</Label>\
             <Times><member>2026-01-01T00:01:00Z</member></Times>\
             <Extended><entry><key>p99</key><value>2.0</value></entry></Extended>\
             </OpResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></OpResponse>"
        );
        let error = encode_error("Sender", "ValidationError", "no", "id");
        assert!(
            String::from_utf8(error)
                .expect("text")
                .contains("<Code>ValidationError</Code>")
        );
    }
}
