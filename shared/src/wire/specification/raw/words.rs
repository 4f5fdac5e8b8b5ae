//! Values that may be written in one way only, and say so where they are not.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::Value;

use crate::domain::quantity::Weight;

/// What tells users apart.
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(rename_all = "snake_case")
)]
pub(crate) enum StickyBy {
    /// The request's `user_id`.
    UserId,
}

impl<'de> Deserialize<'de> for StickyBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.as_str() {
            Some("user_id") => Ok(Self::UserId),
            _ => Err(de::Error::custom(
                "users are told apart by \"user_id\", the field of the request, and by nothing else",
            )),
        }
    }
}

/// A text that YAML takes for something else unless it is quoted: bare, `{variant}` is a map and
/// `3` a number.
pub(crate) struct QuotedText(pub(crate) String);

impl<'de> Deserialize<'de> for QuotedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;
        impl Visitor<'_> for Quoted {
            type Value = QuotedText;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text in quotes, like \"{variant}\" or \"3\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<QuotedText, E> {
                Ok(QuotedText(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Quoted)
    }
}

/// `match`, or a number.
#[derive(Default)]
pub(crate) enum Instances {
    #[default]
    Match,
    Number(u32),
}

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (value.as_str(), value.as_u64()) {
            (Some("match"), _) => Ok(Self::Match),
            (_, Some(number @ 1..=1000)) => Ok(Self::Number(
                u32::try_from(number).map_err(de::Error::custom)?,
            )),
            _ => Err(de::Error::custom(
                "instances is \"match\" (the canary's share of production's count) or a number from 1 to 1000",
            )),
        }
    }
}

/// A weight from 1 to 100: a whole number, so that 0.1, "10%" and NaN are refused alike.
#[derive(Clone, Copy)]
pub(crate) struct WholePercent(pub(crate) Weight);

impl<'de> Deserialize<'de> for WholePercent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = WholePercent;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("whole percent from 1 to 100, without a sign, like 10")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<WholePercent, E> {
                let percent = u8::try_from(number)
                    .ok()
                    .filter(|percent| *percent > 0)
                    .and_then(Weight::new);
                percent
                    .map(WholePercent)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}
