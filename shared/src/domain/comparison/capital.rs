//! A capital spread over `K` sizes of change and over every minute it may have begun in.
//!
//! The recursion keeps one number per size: what was staked so far, plus this minute's new stake,
//! times this minute's factor. A twenty-fifth of the stakes is laid at the first minute, for a canary
//! that is worse from the start; most are spread evenly over the first half day, where changes of
//! the weight and most late onsets fall, a fifth evenly over the rollout's longest length, and what is
//! left on the minutes after it.
//! Stakes sum to one, so the capital never exceeds a process that is expected to stay at one.
//! What a beginning costs is the logarithm of its stake: with half of everything on the first
//! minute, as one may lay it too, a late onset was found twelve minutes later than an early one.
//!
//! A JSON number neither holds minus infinity nor comes back to the bit from every parser, so each
//! float is kept as Rust's shortest text that reads back as the same bits.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Of the stakes, what is laid at the first minute.
const AT_ONCE: f64 = 0.04;
/// And what is spread over the first [`SOON_MINUTES`].
const SOON: f64 = 0.7;
/// And what is kept for rollouts that last longer than they should: pauses and approvals take time.
const LATE: f64 = 0.06;
/// Half a day.
const SOON_MINUTES: u64 = 720;

/// The logarithms of the capital by size of change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Capital<const K: usize> {
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    ln: [f64; K],
    minutes: u64,
}

impl<const K: usize> Default for Capital<K> {
    fn default() -> Self {
        Self {
            ln: [f64::NEG_INFINITY; K],
            minutes: 0,
        }
    }
}

impl<const K: usize> Capital<K> {
    /// Minutes taken in.
    pub(super) const fn minutes(&self) -> u64 {
        self.minutes
    }

    /// Lays this minute's stakes, parted by `parts` that sum to one, and multiplies by its factors,
    /// given as logarithms.
    pub(super) fn take_in(&mut self, factors: [f64; K], parts: [f64; K], longest_minutes: u64) {
        self.minutes = self.minutes.saturating_add(1);
        let stake = stake(self.minutes, longest_minutes);
        for ((ln, factor), part) in self.ln.iter_mut().zip(factors).zip(parts) {
            *ln = ln_add(*ln, (part * stake).ln()) + factor;
        }
    }

    /// The logarithm of the whole; minus infinity before the first minute.
    pub(super) fn ln_total(&self) -> f64 {
        ln_sum(&self.ln)
    }
}

/// The share of the starting capital that is laid at the `minute`-th minute, counted from one.
pub(super) fn stake(minute: u64, longest_minutes: u64) -> f64 {
    let longest = longest_minutes.max(1);
    let soon = longest.min(SOON_MINUTES);
    let mut stake = 0.0;
    if minute == 1 {
        stake += AT_ONCE;
    }
    if minute <= soon {
        stake += SOON / soon as f64;
    }
    if minute <= longest {
        stake += (1.0 - AT_ONCE - SOON - LATE) / longest as f64;
    } else {
        // The sum over all minutes past the longest is LATE: it telescopes.
        let (longest, minute) = (longest as f64, minute as f64);
        stake += LATE * longest / ((minute - 1.0) * minute);
    }
    stake
}

/// ln(e^a + e^b).
fn ln_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        high
    } else {
        high + (low - high).exp().ln_1p()
    }
}

/// The logarithm of the sum of exponentials; minus infinity of nothing.
pub(super) fn ln_sum(terms: &[f64]) -> f64 {
    let highest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if highest == f64::NEG_INFINITY {
        return highest;
    }
    let sum: f64 = terms.iter().map(|term| (term - highest).exp()).sum();
    highest + sum.ln()
}

fn as_text<S: Serializer, const K: usize>(
    values: &[f64; K],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|value| format!("{value:?}")))
}

fn from_text<'de, D: Deserializer<'de>, const K: usize>(
    deserializer: D,
) -> Result<[f64; K], D::Error> {
    let mut values = [0.0; K];
    let texts = Vec::<String>::deserialize(deserializer)?;
    if texts.len() != K {
        return Err(de::Error::invalid_length(
            texts.len(),
            &format!("{K} logarithms").as_str(),
        ));
    }
    for (value, text) in values.iter_mut().zip(texts) {
        *value = text
            .parse()
            .ok()
            .filter(|value| *value < f64::INFINITY)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is no logarithm of a capital")))?;
    }
    Ok(values)
}
