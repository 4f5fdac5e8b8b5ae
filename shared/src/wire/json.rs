//! JSON read to the letter.
//!
//! serde and serde_json are generous where a caller's mistake would pass unseen: of a key that stands
//! twice the last one counts, a structure may be written as a list of its values, and a name as an
//! object. Here each of them is an error. RFC 8259 leaves open what a doubled key means, so two
//! programs may read two different documents; the API must not be one of them.
//!
//! What serde says of a value that does not fit is said to programmers, with the names of their types. A
//! [`Mismatch`] says it to whoever wrote the document, and keeps apart what was needed and what was given:
//! of a request to a model nothing that was given may be repeated.

mod mismatch;

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Map, Number, Value};
use serde_path_to_error::Segment;

pub use self::mismatch::Mismatch;

/// Any JSON, in which no object has a key twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Unambiguous(pub Value);

/// How the error of a doubled key begins; the key follows between grave accents.
const DOUBLED: &str = "duplicate field";

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree).map(Self)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        let finite = Number::from_f64(number);
        finite
            .map(Value::Number)
            .ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }
    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Unambiguous(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if fields.contains_key(&key) {
                return Err(de::Error::custom(format_args!("{DOUBLED} `{key}`")));
            }
            let Unambiguous(value) = access.next_value()?;
            fields.insert(key, value);
        }
        Ok(fields.into())
    }
}

/// A value that does not fit, and the path to it.
pub type Misfit = serde_path_to_error::Error<Mismatch>;

/// Reads a document of this shape: structures are objects, and names are texts.
pub fn shaped<T: DeserializeOwned>(value: &Value) -> Result<T, Misfit> {
    serde_path_to_error::deserialize(Strict(value))
}

/// The path to what does not fit, as far as it consists of these names and of places in lists: any other
/// name is the caller's own. Empty where the whole document is at fault.
pub fn known_path(misfit: &Misfit, names: &[&str]) -> String {
    let mut path = String::new();
    for segment in misfit.path() {
        match segment {
            Segment::Seq { index } => path = format!("{path}[{index}]"),
            Segment::Map { key } if names.contains(&key.as_str()) => path = joined(&path, key),
            _ => break,
        }
    }
    path
}

/// The path to a field of what lies at this path.
pub fn joined(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

/// A value that is taken for nothing but what it is.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a Value);

impl Strict<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(flag) => Unexpected::Bool(*flag),
            Value::Number(number) => numbered(number),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }
}

fn numbered(number: &Number) -> Unexpected<'static> {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(number), ..) => Unexpected::Unsigned(number),
        (_, Some(number), _) => Unexpected::Signed(number),
        (.., Some(number)) => Unexpected::Float(number),
        _ => Unexpected::Other("a number"),
    }
}

/// A whole number that was written with a point: `100.0` is `100`, to JSON Schema and to programs that
/// know no integers.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole, and within the range in which every whole number is a float"
)]
fn whole(value: &Value) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = value.as_f64().filter(|_| value.is_f64())?;
    (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64)
}

impl<'de> IntoDeserializer<'de, Mismatch> for Strict<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Number(number) => match (whole(self.0), numbered(number)) {
                (Some(whole), _) => visitor.visit_u64(whole),
                (_, Unexpected::Unsigned(number)) => visitor.visit_u64(number),
                (_, Unexpected::Signed(number)) => visitor.visit_i64(number),
                (_, Unexpected::Float(number)) => visitor.visit_f64(number),
                (_, other) => Err(de::Error::invalid_type(other, &visitor)),
            },
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.iter().map(Strict));
                let read = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(read)
            }
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(key, value)| (key.as_str(), Strict(value)));
                let mut fields = MapDeserializer::new(fields);
                let read = visitor.visit_map(&mut fields)?;
                fields.end()?;
                Ok(read)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if self.0.is_object() {
            return self.deserialize_any(visitor);
        }
        Err(de::Error::invalid_type(self.unexpected(), &visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(StrDeserializer::<Mismatch>::new(text)),
            _ => Err(Mismatch::none_of(variants, self.unexpected())),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::api::{CommandBody, WeightBody};

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        for (text, key) in [
            (r#"{"a": 1, "a": 1}"#, "a"),
            (r#"[{"b": {"c": 1, "d": 2, "c": 3}}]"#, "c"),
            (r#"{"a": 1, "\u0061": 2}"#, "a"),
            (r#"{"": 1, "": 2}"#, ""),
        ] {
            let error = serde_json::from_str::<Unambiguous>(text).expect_err(text);
            assert!(error.is_data(), "{error}");
            assert!(
                error.to_string().starts_with(&format!("{DOUBLED} `{key}`")),
                "{error}"
            );
        }
    }

    #[test]
    fn everything_else_is_read_as_it_always_is() {
        for text in [
            "null",
            "true",
            r#"{"a": {"a": [1, -1, 0.1, 1e300, 18446744073709551615]}, "b": "\u00e9\n"}"#,
            "[]",
            "{}",
            "0.30000000000000004",
        ] {
            let Unambiguous(read) = serde_json::from_str(text).expect(text);
            assert_eq!(read, serde_json::from_str::<Value>(text).expect(text));
        }
        for text in ["", "{", "1e400", "[1,]", "nul", "{1: 2}", "[1] 2"] {
            let error = serde_json::from_str::<Unambiguous>(text).expect_err(text);
            assert!(!error.is_data(), "{text}: {error}");
        }
    }

    #[test]
    fn a_list_is_no_structure() {
        for (value, field) in [(json!(["why"]), "."), (json!([]), "."), (json!("x"), ".")] {
            let error = shaped::<CommandBody>(&value).expect_err("no object");
            assert_eq!(error.path().to_string(), field);
        }
        let read: WeightBody = shaped(&json!({"weight": 7})).expect("an object");
        assert_eq!((read.weight, read.reason), (7, None));
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let read = |text: &str| {
            let value: Value = serde_json::from_str(text).expect("JSON");
            shaped::<WeightBody>(&value).map(|body| body.weight).ok()
        };
        assert_eq!(read(r#"{"weight": 100.0}"#), Some(100));
        assert_eq!(read(r#"{"weight": 1e1}"#), Some(10));
        for unfit in ["0.1", "99.9", "-1.0", "1e3", "1e300"] {
            assert_eq!(read(&format!(r#"{{"weight": {unfit}}}"#)), None, "{unfit}");
        }
    }

    #[test]
    fn an_object_is_no_name() {
        use crate::domain::plan::Preset;
        let read = shaped::<Preset>(&json!("quick")).expect("a name");
        assert_eq!(read, Preset::Quick);
        assert!(shaped::<Preset>(&json!({"quick": null})).is_err());
        assert!(
            serde_json::from_value::<Preset>(json!({"quick": null})).is_ok(),
            "serde takes it"
        );
    }
}
