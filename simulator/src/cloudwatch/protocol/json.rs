//! JSON 1.0: timestamps are epoch seconds, and numbers JSON cannot write are strings.

use serde_json::Value;

use super::{ApiError, Tree};

/// Reads a body; an empty one is an empty structure.
pub(super) fn decode(body: &[u8]) -> Result<Tree, ApiError> {
    if body.is_empty() {
        return Ok(Tree::Structure(Vec::new()));
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::malformed(format!("The body is not valid JSON: {error}")))?;
    match to_tree(value) {
        tree @ Tree::Structure(_) => Ok(tree),
        _ => Err(ApiError::malformed("The body is not a JSON object.")),
    }
}

fn to_tree(value: Value) -> Tree {
    match value {
        Value::Null => Tree::Null,
        Value::Bool(flag) => Tree::Flag(flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Tree::Integer(integer),
            None => Tree::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Tree::Text(text),
        Value::Array(items) => Tree::List(items.into_iter().map(to_tree).collect()),
        Value::Object(members) => Tree::Structure(
            members
                .into_iter()
                .map(|(name, value)| (name, to_tree(value)))
                .collect(),
        ),
    }
}

/// Writes a body.
pub(super) fn encode(tree: &Tree) -> Vec<u8> {
    from_tree(tree).to_string().into_bytes()
}

fn from_tree(tree: &Tree) -> Value {
    match tree {
        Tree::Null => Value::Null,
        Tree::Flag(flag) => Value::Bool(*flag),
        Tree::Integer(integer) => Value::from(*integer),
        Tree::Number(number) => Value::from(*number),
        Tree::Text(text) => Value::from(text.as_str()),
        Tree::Time(time) => {
            let milliseconds = time.as_millisecond();
            if milliseconds % 1000 == 0 {
                Value::from(milliseconds / 1000)
            } else {
                Value::from(milliseconds as f64 / 1000.0)
            }
        }
        Tree::List(items) => items.iter().map(from_tree).collect(),
        Tree::Structure(members) | Tree::Map(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), from_tree(value)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use crate::cloudwatch::protocol::{Fields, Tree, structure};

    #[test]
    fn timestamps_are_epoch_seconds() {
        let tree = decode(br#"{"Whole": 10, "Half": 10.5}"#).expect("valid");
        let fields = Fields::root(&tree);
        let whole = fields.time("Whole").expect("a time").expect("present");
        let half = fields.time("Half").expect("a time").expect("present");
        assert_eq!(half.as_millisecond() - whole.as_millisecond(), 500);
        let answer = structure([("Whole", Tree::Time(whole)), ("Half", Tree::Time(half))]);
        assert_eq!(encode(&answer), br#"{"Half":10.5,"Whole":10}"#);
    }

    #[test]
    fn a_member_without_a_value_is_left_out() {
        let answer = structure([
            ("Points", Tree::List(Vec::new())),
            ("NextToken", Tree::Null),
        ]);
        assert_eq!(encode(&answer), br#"{"Points":[]}"#);
    }

    #[test]
    fn not_a_number_arrives_as_text() {
        let tree = decode(br#"{"Value": "NaN"}"#).expect("valid");
        let value = Fields::root(&tree).number("Value").expect("a number");
        assert!(value.expect("present").is_nan());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["[]", "1", "{", "null"] {
            assert!(decode(body.as_bytes()).is_err(), "{body}");
        }
    }
}
