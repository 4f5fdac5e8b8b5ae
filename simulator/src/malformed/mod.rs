//! Valid documents, made wrong: what the fuzz tests feed to parsers.
//!
//! Random bytes hardly get past a parser's first character, so a document that is valid is taken
//! and broken in a few places: fields are dropped, doubled, renamed, swapped, retyped, buried under
//! brackets; numbers, texts and dates become the ones that are known to hurt. Every choice is read
//! off the bytes of the fuzz engine, so an input can be repeated, shrunk, and found by a guided
//! engine as well as by chance. When the bytes run out, every choice is the first one.
//!
//! What comes out is text and not a tree: a tree can't hold a key twice or a number that is none.

mod node;
mod odd;

use serde_json::Value;

use self::node::Node;

/// Choices read off random bytes.
#[derive(Debug, Clone)]
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    /// The choices that these bytes make.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// A number below `end`; 0 when there is nothing to choose from or the bytes have run out.
    pub fn below(&mut self, end: usize) -> usize {
        let (taken, rest) = self.bytes.split_at(self.bytes.len().min(2));
        self.bytes = rest;
        let number = taken
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte));
        number.checked_rem(end).unwrap_or(0)
    }

    /// One of these.
    ///
    /// # Panics
    /// When there is none.
    pub fn of<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        &from[self.below(from.len())]
    }
}

/// The document, as JSON text, broken in one to four places.
pub fn json(document: &Value, choices: &mut Choices<'_>) -> String {
    let mut node = Node::from(document);
    for _ in 0..=choices.below(4) {
        node.break_somewhere(choices);
    }
    node.to_string()
}

/// The same, as a tree: `None` when what came out is not JSON.
pub fn value(document: &Value, choices: &mut Choices<'_>) -> Option<Value> {
    serde_json::from_str(&json(document, choices)).ok()
}

/// The bytes, with one to four of them changed, taken out, doubled or cut off.
pub fn bytes(whole: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..=choices.below(4) {
        let at = choices.below(bytes.len().max(1));
        let other = u8::try_from(choices.below(256)).unwrap_or_default();
        match choices.below(6) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = other;
                }
            }
            2 => bytes.insert(at.min(bytes.len()), other),
            3 => bytes.truncate(at),
            4 => {
                let end = (at + choices.below(8)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
            _ => {
                let end = (at + choices.below(64)).min(bytes.len());
                let doubled = bytes[at.min(end)..end].to_vec();
                bytes.splice(at.min(end)..at.min(end), doubled);
            }
        }
    }
    bytes
}

/// The text, with one to four pieces of it changed, or an odd text in its place.
pub fn text(whole: &str, choices: &mut Choices<'_>) -> String {
    let mut text = whole.to_owned();
    for _ in 0..=choices.below(4) {
        text = odd::edited(&text, choices);
    }
    text
}

/// A JSON document of nothing but brackets, nested so deeply.
pub fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Bytes that differ from case to case, without a random source.
    fn noise(seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        };
        (0..128).map(next).collect()
    }

    #[test]
    fn the_same_bytes_make_the_same_document() {
        let document = json!({"a": [1, "two", {"three": null}], "b": true});
        for seed in 0..200 {
            let bytes = noise(seed);
            let first = json(&document, &mut Choices::new(&bytes));
            assert_eq!(first, json(&document, &mut Choices::new(&bytes)));
        }
    }

    #[test]
    fn what_comes_out_is_often_json_still_and_seldom_the_same() {
        let document = json!({"a": [1, "two", {"three": null}], "b": true, "c": "text"});
        let (mut readable, mut same) = (0, 0);
        for seed in 0..1000 {
            let bytes = noise(seed);
            let broken = value(&document, &mut Choices::new(&bytes));
            readable += usize::from(broken.is_some());
            same += usize::from(broken.as_ref() == Some(&document));
        }
        assert!((400..1000).contains(&readable), "{readable} of 1000");
        assert!(same < 150, "{same} of 1000");
    }

    #[test]
    fn no_bytes_are_no_trouble() {
        for document in [json!(null), json!({}), json!([]), json!({"a": {"b": 1}})] {
            json(&document, &mut Choices::new(&[]));
        }
        assert_eq!(nested(2), "[[]]");
        text("", &mut Choices::new(&[]));
        bytes(b"", &mut Choices::new(&[0, 3, 0, 0, 0, 0, 0, 5]));
    }
}
