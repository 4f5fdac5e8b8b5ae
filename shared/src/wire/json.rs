//! JSON read to the letter.
//!
//! serde and serde_json are generous where a caller's mistake would pass unseen: of a key that stands
//! twice the last one counts, a structure may be written as a list of its values, and a name as an
//! object. Here each of them is an error. RFC 8259 leaves open what a doubled key means, so two
//! programs may read two different documents; the API must not be one of them.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Error, Map, Number, Value};

/// Any JSON, in which no object has a key twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Unambiguous(pub Value);

/// How the error of a doubled key begins; the key follows between grave accents.
pub const DOUBLED: &str = "duplicate field";

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

/// Reads a document of this shape: structures are objects, and names are texts.
pub fn shaped<T: DeserializeOwned>(value: &Value) -> Result<T, serde_path_to_error::Error<Error>> {
    serde_path_to_error::deserialize(Strict(value))
}

/// A value that is taken for nothing but what it is.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a Value);

impl Strict<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(flag) => Unexpected::Bool(*flag),
            Value::Number(_) => Unexpected::Other("number"),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
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

impl<'de> IntoDeserializer<'de, Error> for Strict<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
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
            plain => match whole(plain) {
                Some(number) => visitor.visit_u64(number),
                None => plain.deserialize_any(visitor),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.0.is_object() {
            return self.deserialize_any(visitor);
        }
        Err(de::Error::invalid_type(self.unexpected(), &visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.0.is_string() {
            return self.0.deserialize_enum(name, variants, visitor);
        }
        Err(de::Error::invalid_type(self.unexpected(), &visitor))
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
