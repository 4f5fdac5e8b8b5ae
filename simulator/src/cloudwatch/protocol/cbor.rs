//! rpc-v2-cbor: bodies are CBOR, timestamps are tag 1 (epoch seconds, whole or fractional).

use ciborium::Value;
use jiff::Timestamp;

use super::{ApiError, Tree};

const TIMESTAMP_TAG: u64 = 1;

/// Reads a body; an empty one is an empty structure.
pub(super) fn decode(body: &[u8]) -> Result<Tree, ApiError> {
    if body.is_empty() {
        return Ok(Tree::Structure(Vec::new()));
    }
    let value: Value = ciborium::from_reader(body)
        .map_err(|error| ApiError::malformed(format!("The body is not valid CBOR: {error}")))?;
    match to_tree(value) {
        Some(tree @ Tree::Structure(_)) => Ok(tree),
        _ => Err(ApiError::malformed("The body is not a CBOR structure.")),
    }
}

fn to_tree(value: Value) -> Option<Tree> {
    Some(match value {
        Value::Null => Tree::Null,
        Value::Bool(flag) => Tree::Flag(flag),
        Value::Integer(integer) => Tree::Integer(i64::try_from(integer).ok()?),
        Value::Float(number) => Tree::Number(number),
        Value::Text(text) => Tree::Text(text),
        Value::Array(items) => Tree::List(items.into_iter().map(to_tree).collect::<Option<_>>()?),
        Value::Map(members) => Tree::Structure(
            members
                .into_iter()
                .map(|(name, value)| Some((name.into_text().ok()?, to_tree(value)?)))
                .collect::<Option<_>>()?,
        ),
        Value::Tag(TIMESTAMP_TAG, seconds) => Tree::Time(match *seconds {
            Value::Integer(seconds) => Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?,
            Value::Float(seconds) => Tree::time_from_milliseconds(seconds * 1000.0)?,
            _ => return None,
        }),
        _ => return None,
    })
}

/// Writes a body.
pub(super) fn encode(tree: &Tree) -> Vec<u8> {
    let mut body = Vec::new();
    ciborium::into_writer(&from_tree(tree), &mut body)
        .expect("a value without foreign types, written to memory, cannot fail");
    body
}

fn from_tree(tree: &Tree) -> Value {
    match tree {
        Tree::Null => Value::Null,
        Tree::Flag(flag) => Value::Bool(*flag),
        Tree::Integer(integer) => Value::Integer((*integer).into()),
        Tree::Number(number) => Value::Float(*number),
        Tree::Text(text) => Value::Text(text.clone()),
        Tree::Time(time) => {
            let milliseconds = time.as_millisecond();
            let seconds = if milliseconds % 1000 == 0 {
                Value::Integer((milliseconds / 1000).into())
            } else {
                Value::Float(milliseconds as f64 / 1000.0)
            };
            Value::Tag(TIMESTAMP_TAG, Box::new(seconds))
        }
        Tree::List(items) => Value::Array(items.iter().map(from_tree).collect()),
        Tree::Structure(members) | Tree::Map(members) => Value::Map(
            members
                .iter()
                .map(|(name, value)| (Value::Text(name.clone()), from_tree(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use crate::cloudwatch::protocol::{Tree, structure};

    #[test]
    fn what_goes_out_comes_back() {
        let tree = structure([
            (
                "Time",
                Tree::Time("2026-01-01T00:00:00Z".parse().expect("a time")),
            ),
            (
                "Late",
                Tree::Time("2026-01-01T00:00:00.25Z".parse().expect("a time")),
            ),
            (
                "Values",
                Tree::List(vec![Tree::Number(1.5), Tree::Integer(-3)]),
            ),
            ("Flag", Tree::Flag(true)),
            ("Text", Tree::text("ü")),
        ]);
        assert_eq!(decode(&encode(&tree)), Ok(tree));
    }

    #[test]
    fn a_timestamp_is_tag_one() {
        let time = Tree::Time("1970-01-01T00:00:10Z".parse().expect("a time"));
        assert_eq!(encode(&time), [0xc1, 0x0a]);
    }

    #[test]
    fn indefinite_maps_are_read_and_nonsense_is_refused() {
        assert_eq!(
            decode(&[0xbf, 0x61, b'a', 0x01, 0xff]),
            Ok(structure([("a", Tree::Integer(1))]))
        );
        assert_eq!(decode(&[]), Ok(structure([])));
        for body in [&[0xff][..], &[0x01], &[0xbf, 0x61], b"{}x"] {
            assert!(decode(body).is_err(), "{body:?}");
        }
    }
}
