//! A document that may be wrong: keys may stand in it twice, and a leaf is whatever text it is.

use std::fmt;

use serde_json::Value;

use super::{Choices, odd};

/// How deep a part may be buried; the first ones are around the limits that parsers have.
const DEPTHS: [usize; 6] = [1, 2, 127, 128, 600, 10_000];

#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// As it is written.
    Leaf(String),
    List(Vec<Node>),
    Fields(Vec<(String, Node)>),
    /// Under so many brackets.
    Buried(Box<Node>, usize),
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(fields) => Self::Fields(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::from(value)))
                    .collect(),
            ),
            leaf => Self::Leaf(leaf.to_string()),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(text) => f.write_str(text),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Fields(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{value}", odd::quoted(name))?;
                }
                f.write_str("}")
            }
            Self::Buried(node, depth) => {
                write!(f, "{}{node}{}", "[".repeat(*depth), "]".repeat(*depth))
            }
        }
    }
}

impl Node {
    /// Walks into the document and breaks what it comes to.
    pub(crate) fn break_somewhere(&mut self, choices: &mut Choices<'_>) {
        let stays = choices.below(4) == 0;
        let child = match self {
            _ if stays => None,
            Self::List(items) => {
                let index = choices.below(items.len());
                items.get_mut(index)
            }
            Self::Fields(fields) => {
                let index = choices.below(fields.len());
                fields.get_mut(index).map(|(_, value)| value)
            }
            Self::Leaf(_) | Self::Buried(..) => None,
        };
        match child {
            Some(child) => child.break_somewhere(choices),
            None => self.break_here(choices),
        }
    }

    fn break_here(&mut self, choices: &mut Choices<'_>) {
        match choices.below(12) {
            0 => {
                let inner = std::mem::replace(self, Self::List(Vec::new()));
                *self = Self::Buried(Box::new(inner), *choices.of(&DEPTHS));
            }
            1 => *self = Self::Leaf(odd::quoted(&self.to_string())),
            2 | 3 => *self = Self::Leaf(odd::leaf(choices)),
            _ => match self {
                Self::Leaf(text) => *text = odd::changed(text, choices),
                Self::List(items) => break_list(items, choices),
                Self::Fields(fields) => break_fields(fields, choices),
                Self::Buried(node, _) => node.break_here(choices),
            },
        }
    }
}

fn break_list(items: &mut Vec<Node>, choices: &mut Choices<'_>) {
    let at = choices.below(items.len());
    match choices.below(5) {
        0 if at < items.len() => drop(items.remove(at)),
        1 if at < items.len() => {
            let copies = 1 + choices.below(3) * 100;
            let copy = items[at].clone();
            items.splice(at..at, std::iter::repeat_n(copy, copies));
        }
        2 => items.reverse(),
        3 => items.clear(),
        _ => items.push(Node::Leaf(odd::leaf(choices))),
    }
}

fn break_fields(fields: &mut Vec<(String, Node)>, choices: &mut Choices<'_>) {
    if fields.is_empty() {
        fields.push((odd::text(choices), Node::Leaf(odd::leaf(choices))));
        return;
    }
    let (at, other) = (choices.below(fields.len()), choices.below(fields.len()));
    match choices.below(6) {
        0 => drop(fields.remove(at)),
        // The same key twice: with the same value, or with an odd one.
        1 => fields.push(fields[at].clone()),
        2 => fields.push((fields[at].0.clone(), Node::Leaf(odd::leaf(choices)))),
        3 => fields[at].0 = odd::edited(&fields[at].0, choices),
        4 => fields.push((odd::text(choices), Node::Leaf(odd::leaf(choices)))),
        _ => fields[at].1 = fields[other].1.clone(),
    }
}
