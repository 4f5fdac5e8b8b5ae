//! Whether the canary is worse than production, however often one looks.
//!
//! Every signal is a pair of counts per variant and minute: trials, and bad ones among them. What
//! is judged is not a rate but the share of a minute's bad outcomes that fell on the canary: a bad
//! minute of both arms cancels out, and the split of the traffic may change at every stage.
//!
//! Each signal keeps an *e-process*: a capital that starts at one or below, that no fair game is
//! expected to raise, and that grows when the canary has more than its share. Ville's inequality
//! bounds the chance that such a capital **ever** reaches 1/alpha by alpha, so looking every minute
//! costs nothing, and an average of several capitals is again one, whatever they have in common:
//! one budget alpha covers all signals over the whole rollout.
//!
//! | module | holds |
//! |---|---|
//! | [`e_process`] | the comparison with production, one [`Signal`] per pair of counts |
//! | [`absolute`] | the same against a fixed limit, and the gate that asks for proof of health |
//! | [`pool`] | labels of two arms that come at different times |
//! | [`burstiness`] | how much more than chance the counts vary from minute to minute |
//! | [`split`] | whether the requests are split as the weights say |
//! | [`effect`] | rates, ratio, interval and the sentence people read |
//! | [`proportion`] | where a share lies, at all times together |
//! | `capital` | the mixture over sizes and beginnings of a change, and its exact text |
//!
//! Capitals are natural logarithms throughout. Nothing here takes part in a decision by itself.
//!
//! Sources: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic
//! confidence sequences" (2021); Turner, Ly and Gruenwald, arXiv 2106.02693; Lindon and Malek,
//! arXiv 2011.03567; Shin, Ramdas and Rinaldo, "E-detectors" (2022).

pub mod absolute;
pub mod burstiness;
mod capital;
pub mod e_process;
pub mod effect;
pub mod pool;
pub mod proportion;
pub mod split;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::quantity::Rate;

pub use absolute::{AbsoluteGuard, AbsoluteSettings, Limit, SafeGate};
pub use e_process::{Settings, Signal};
pub use effect::Effect;
pub use pool::Pool;
pub use split::Split;

/// Total evidence, as a factor, from which a stage is not left upwards.
pub const HOLDS_FROM: f64 = 10.0;

/// Trials and the bad ones among them, of one arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Bare")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counts {
    /// Trials.
    n: u64,
    /// The bad ones among them.
    x: u64,
}

/// What is read before it is known to be possible.
#[derive(Deserialize)]
struct Bare {
    n: u64,
    x: u64,
}

impl TryFrom<Bare> for Counts {
    type Error = &'static str;

    fn try_from(bare: Bare) -> Result<Self, Self::Error> {
        Self::new(bare.n, bare.x).ok_or("more bad outcomes than trials")
    }
}

impl Counts {
    /// Nothing counted.
    pub const NONE: Self = Self { n: 0, x: 0 };

    /// `n` trials of which `x` are bad; `None` when that can't be.
    pub const fn new(n: u64, x: u64) -> Option<Self> {
        if x <= n { Some(Self { n, x }) } else { None }
    }

    /// Trials.
    pub const fn n(self) -> u64 {
        self.n
    }

    /// Bad ones among them.
    pub const fn x(self) -> u64 {
        self.x
    }

    /// x / n; absent of nothing.
    pub fn rate(self) -> Option<f64> {
        (self.n > 0).then(|| self.x as f64 / self.n as f64)
    }

    /// The good ones in place of the bad ones.
    #[must_use]
    pub const fn turned(self) -> Self {
        Self {
            n: self.n,
            x: self.n - self.x,
        }
    }

    /// Whether more than half of the trials are bad ones: then it is the good ones that are rare, and
    /// whose number says something.
    pub fn are_mostly_bad(self) -> bool {
        self.x > self.n - self.x
    }

    /// Both together. Good and bad ones are added apart, so that x stays within n even where the
    /// sum no longer fits.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        let x = self.x.saturating_add(other.x);
        let good = (self.n - self.x).saturating_add(other.n - other.x);
        Self {
            n: x.saturating_add(good),
            x,
        }
    }
}

/// The logarithm of each signal's part when `signals` share the budget evenly.
pub fn ln_even_part(signals: usize) -> f64 {
    -(signals.max(1) as f64).ln()
}

/// The logarithm of the weighted average of all evidence: `(ln v, ln e)` of each signal, the v
/// summing to one or less. An average of e-values is one under any dependence (Vovk and Wang,
/// "E-values: calibration, combination and applications", 2021).
pub fn combined(signals: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let mut terms: Vec<f64> = signals.into_iter().map(|(v, e)| v + e).collect();
    // Sums of floats depend on their order; the order of the signals must not matter to a bit.
    terms.sort_by(f64::total_cmp);
    capital::ln_sum(&terms)
}

/// Whether the evidence refutes that every signal is as good as tolerated, at this budget of
/// false alarms over the whole rollout.
pub fn calls_for_rollback(ln_total: f64, alpha: Rate) -> bool {
    ln_total >= -alpha.fraction().ln()
}

/// Whether the evidence is too much to raise the canary's share on.
pub fn forbids_promotion(ln_total: f64) -> bool {
    ln_total >= HOLDS_FROM.ln()
}
