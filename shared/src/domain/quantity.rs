//! Numbers with units. A share of traffic, a rate, a latency and a length of time never share a
//! bare number, and each has one constructor that refuses what can't be.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::text::excerpt;

/// The most characters of a text that the error about it repeats.
const LONGEST_SHOWN: usize = 40;

/// Why a text or number is not the quantity it was given for. The text says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

/// The canary's share of the traffic in whole percent, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Weight(u8);

impl Weight {
    /// No traffic on the canary.
    pub const ZERO: Self = Self(0);
    /// All traffic on the canary.
    pub const FULL: Self = Self(100);

    /// A share in whole percent; `None` past 100.
    pub const fn new(percent: u8) -> Option<Self> {
        if percent <= 100 {
            Some(Self(percent))
        } else {
            None
        }
    }

    /// Whole percent, 0 to 100.
    pub const fn percent(self) -> u8 {
        self.0
    }

    /// The share as a fraction, 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// What is left to the other variant.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(100 - self.0)
    }

    /// This share of so many instances, rounded up: exact, where a fraction would leave dust above
    /// a whole number and make one instance too many of it.
    pub fn part_of(self, instances: u32) -> u32 {
        let part = (u64::from(instances) * u64::from(self.0)).div_ceil(100);
        u32::try_from(part).unwrap_or(u32::MAX)
    }

    /// How many instances there are where this share of them is so many, rounded up: exact too.
    /// Saturates for a share of none.
    pub fn whole_of(self, instances: u32) -> u32 {
        let hundredfold = u64::from(instances) * 100;
        let whole = match u64::from(self.0) {
            0 => u64::MAX,
            percent => hundredfold.div_ceil(percent),
        };
        u32::try_from(whole).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = u8::deserialize(deserializer)?;
        Self::new(percent).ok_or_else(|| de::Error::custom("a weight is whole percent, 0 to 100"))
    }
}

/// A share of the traffic in hundredths of a percent, 0 to 10,000: what weights in force come to, whoever
/// set them. Finer than a [`Weight`], which is what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrafficShare(u16);

impl TrafficShare {
    /// No traffic.
    pub const NONE: Self = Self(0);
    /// All traffic.
    pub const ALL: Self = Self(10_000);

    /// The nearest to this fraction; what lies outside 0 to 1 is the nearer end.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 10,000"
    )]
    pub fn from_fraction(fraction: f64) -> Self {
        Self((fraction.clamp(0.0, 1.0) * 10_000.0).round() as u16)
    }

    /// What was observed, in percent, and where nothing was the share that is confirmed.
    pub fn observed_or(observed: Option<f64>, confirmed: Weight) -> Self {
        observed.map_or_else(
            || confirmed.into(),
            |percent| Self::from_fraction(percent / 100.0),
        )
    }

    /// What is left to the other variant.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(Self::ALL.0.saturating_sub(self.0))
    }

    /// The share as a fraction, 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// In hundredths of a percent, 0 to 10,000.
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// In percent, 0 to 100, with two places at the most.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl From<Weight> for TrafficShare {
    fn from(weight: Weight) -> Self {
        Self(u16::from(weight.percent()) * 100)
    }
}

impl fmt::Display for TrafficShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.percent())
    }
}

/// A share of requests, 0 to 1, written with a percent sign (`1%`) so that 0.01 and 1 can't be
/// mistaken for each other. Kept in percent, as it is written: a text comes back from the record as
/// the same rate, to the last bit.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// From percent, 0 to 100; `None` for anything else, NaN included.
    pub fn from_percent(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then_some(Self(percent))
    }

    /// The rate as a fraction, 0 to 1.
    pub const fn fraction(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Rate {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let unfit = || {
            Unfit(format!(
                "`{}` is not a rate: write percent with its sign, from \"0%\" to \"100%\", like \"1%\"",
                shown(text)
            ))
        };
        let number = text.trim().strip_suffix('%').ok_or_else(unfit)?;
        plain_number(number)
            .and_then(Self::from_percent)
            .ok_or_else(unfit)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A latency in milliseconds, above zero, written `100ms` or `1.5s`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Latency(f64);

impl Latency {
    /// From milliseconds; `None` unless finite and above zero.
    pub fn from_ms(milliseconds: f64) -> Option<Self> {
        (milliseconds.is_finite() && milliseconds > 0.0).then_some(Self(milliseconds))
    }

    /// Milliseconds.
    pub const fn ms(self) -> f64 {
        self.0
    }

    /// Microseconds: the unit of `ModelLatency` in CloudWatch.
    pub fn microseconds(self) -> f64 {
        self.0 * 1000.0
    }
}

impl FromStr for Latency {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let unfit = || {
            Unfit(format!(
                "`{}` is not a latency: write milliseconds or seconds above zero, like \"100ms\" or \"1.5s\"",
                shown(text)
            ))
        };
        let text_trimmed = text.trim();
        let (number, factor) = match text_trimmed.strip_suffix("ms") {
            Some(number) => (number, 1.0),
            None => (text_trimmed.strip_suffix('s').ok_or_else(unfit)?, 1000.0),
        };
        plain_number(number)
            .and_then(|value| Self::from_ms(value * factor))
            .ok_or_else(unfit)
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// So many of what has a plural in s: `1 request`, `2 requests`.
pub fn counted(number: impl Into<u64>, one: &str) -> String {
    let number: u64 = number.into();
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {one}{ending}")
}

/// A length of time in whole seconds, written `90s`, `10m`, `1h` or `7d` (a day is 24 h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span a specification may name: a year.
    pub const LONGEST: Self = Self(366 * 86_400);

    /// From whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }
    /// From whole minutes.
    pub const fn from_mins(minutes: u64) -> Self {
        Self(minutes * 60)
    }
    /// From whole hours.
    pub const fn from_hours(hours: u64) -> Self {
        Self(hours * 3600)
    }
    /// Whole seconds.
    pub const fn secs(self) -> u64 {
        self.0
    }
    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
    /// The same length for arithmetic with timestamps.
    pub fn duration(self) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
    /// From a difference of timestamps; a negative one is no time.
    pub fn between(earlier: jiff::Timestamp, later: jiff::Timestamp) -> Self {
        Self(u64::try_from(later.duration_since(earlier).as_secs()).unwrap_or(0))
    }
}

impl FromStr for Span {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let unfit = || {
            Unfit(format!(
                "`{}` is not a duration: write a whole number and one unit, like \"90s\", \"10m\", \"1h\" or \"7d\"",
                shown(text)
            ))
        };
        let trimmed = text.trim();
        let last = trimmed.chars().last().ok_or_else(unfit)?;
        let seconds = match last {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(unfit()),
        };
        let digits = &trimmed[..trimmed.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unfit());
        }
        let number: u64 = digits.parse().map_err(|_| unfit())?;
        let span = number.checked_mul(seconds).map(Self).ok_or_else(unfit)?;
        if span > Self::LONGEST {
            return Err(Unfit(format!("`{}` is longer than a year", shown(text))));
        }
        Ok(span)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0s"),
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

/// A number without exponent, sign or words, so that `inf`, `nan`, `1e9` and `-1` are refused.
fn plain_number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

/// What a person wrote, safe and short enough to repeat in an error.
fn shown(text: &str) -> String {
    excerpt(text, LONGEST_SHOWN)
}

/// Quantities are kept as people write them, in the record as in the specification.
macro_rules! as_text {
    ($($quantity:ty = $words:literal),+) => {$(
        impl Serialize for $quantity {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $quantity {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $quantity;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($words)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$quantity, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$quantity, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$quantity, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$quantity, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
    )+};
}
as_text! {
    Rate = "a share in percent with its sign, like \"1%\"",
    Latency = "a latency with its unit, like \"100ms\" or \"1.5s\"",
    Span = "a duration with its unit, like \"90s\", \"10m\", \"1h\" or \"7d\""
}
