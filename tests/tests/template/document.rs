//! The template as one JSON document: YAML with CloudFormation's short forms written out
//! (`!Ref Table` is `{"Ref": "Table"}`) and every alias replaced by what it stands for.

use std::collections::{BTreeMap, HashMap};

use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value, json};

use super::file;

/// The template's resources by their logical ids.
pub(super) fn resources() -> BTreeMap<String, Value> {
    let template = template();
    let resources = template["Resources"].as_object().expect("resources");
    resources
        .iter()
        .map(|(id, resource)| (id.clone(), resource.clone()))
        .collect()
}

/// The resources of a type.
pub(super) fn of_type(kind: &str) -> BTreeMap<String, Value> {
    let mut found = resources();
    found.retain(|_, resource| resource["Type"] == kind);
    assert!(!found.is_empty(), "no {kind} in the template");
    found
}

/// The whole template.
pub(super) fn template() -> Value {
    parse(&file("infra/template.yaml"))
}

fn parse(text: &str) -> Value {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
    };
    loop {
        match reader.next() {
            Event::StreamStart | Event::DocumentStart(..) => {}
            first => return reader.node(first),
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Value>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Event<'a> {
        let event = self.events.next_event().expect("a document that ends");
        event.expect("the template is YAML").0
    }

    fn node(&mut self, first: Event<'a>) -> Value {
        let (anchor, tag, value) = match first {
            Event::Alias(anchor) => return self.anchors[&anchor].clone(),
            Event::Scalar(text, style, anchor, tag) => {
                let value = if tag.is_none() && style == ScalarStyle::Plain {
                    plain(&text)
                } else {
                    Value::String(text.into_owned())
                };
                (anchor, tag, value)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let mut items = Vec::new();
                loop {
                    match self.next() {
                        Event::SequenceEnd => break,
                        item => items.push(self.node(item)),
                    }
                }
                (anchor, tag, Value::Array(items))
            }
            Event::MappingStart(_, anchor, tag) => {
                let mut fields = Map::new();
                loop {
                    let key = match self.next() {
                        Event::MappingEnd => break,
                        key => self.node(key),
                    };
                    let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                    let value = self.next();
                    let value = self.node(value);
                    assert!(!fields.contains_key(&key), "{key} stands twice");
                    fields.insert(key, value);
                }
                (anchor, tag, Value::Object(fields))
            }
            other => panic!("{other:?} where a value should be"),
        };
        let value = tag.map_or(value.clone(), |tag| written_out(&tag, value));
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        value
    }
}

/// The short form of an intrinsic function as its long one.
fn written_out(tag: &Tag, value: Value) -> Value {
    assert_eq!(tag.handle(), "!", "only CloudFormation's tags are expected");
    match (tag.suffix(), value) {
        (name @ ("Ref" | "Condition"), value) => json!({ name: value }),
        ("GetAtt", Value::String(path)) => {
            let (id, attribute) = path.split_once('.').expect("an attribute");
            json!({"Fn::GetAtt": [id, attribute]})
        }
        (name, value) => json!({ format!("Fn::{name}"): value }),
    }
}

fn plain(text: &str) -> Value {
    match text {
        "" | "null" | "~" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => text
            .parse::<i64>()
            .map_or_else(|_| Value::from(text), Value::from),
    }
}

#[test]
fn short_forms_are_written_out_and_aliases_are_what_they_stand_for() {
    let text =
        "a: &x !GetAtt Table.Arn\nb: [*x, !Ref Topic, !Sub '${A}-b']\nc: !If [Has, 1, 'on']\n";
    let arn = json!({"Fn::GetAtt": ["Table", "Arn"]});
    assert_eq!(
        parse(text),
        json!({
            "a": arn,
            "b": [arn, {"Ref": "Topic"}, {"Fn::Sub": "${A}-b"}],
            "c": {"Fn::If": ["Has", 1, "on"]},
        })
    );
}
