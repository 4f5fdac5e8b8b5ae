//! Slowness is a rate like any other: the requests above a limit. People think of it as a factor,
//! and this turns the one into the other.
//!
//! Assumed: the body of the latencies is lognormal, as multiplied delays tend to be, and a slower
//! model is slower by the same factor on every request. Then a rate p0 above the limit at one speed
//! is a rate p1 at another, and the factor is exp(sigma (z(p0) - z(p1))), z(p) being the normal value that p lies
//! above; where the limit stands drops out. Two peaks, a time-out or a slowdown of some requests
//! only are not like that: the rate is then still right, the factor only a picture.

use super::normal;
use crate::domain::quantity::Latency;

/// The normal value that 1 % lies above: how far the 99th percentile is from the middle.
const NORMAL_99: f64 = 2.326_347_874_040_841;

/// How far apart the latencies lie: the standard deviation of their logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread(f64);

impl Spread {
    /// From the percentiles of production's own requests; `None` when the 99th is not above the
    /// 50th: latencies that do not differ fit no body.
    pub fn from_percentiles(p50: Latency, p99: Latency) -> Option<Self> {
        let sigma = (p99.ms() / p50.ms()).ln() / NORMAL_99;
        (sigma.is_finite() && sigma > 0.0).then_some(Self(sigma))
    }
}

/// How many times slower each request is when the share above the limit goes from `before` to
/// `after`: 1.3 for 30 % slower. `None` where a share is none, or everything, and so fits any factor.
pub fn slowdown(before: f64, after: f64, spread: Spread) -> Option<f64> {
    let distance = normal::exceeded_by(before)? - normal::exceeded_by(after)?;
    let factor = (spread.0 * distance).exp();
    factor.is_finite().then_some(factor)
}
