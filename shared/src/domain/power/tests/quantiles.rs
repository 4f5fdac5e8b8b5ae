//! The curves below: against sums done the long way, and against textbook values.

use crate::domain::power::path::quantile;
use crate::domain::power::{Spread, normal, slowdown};
use crate::domain::quantity::Latency;

fn ln_factorial(n: u64) -> f64 {
    (1..=n).map(|k| (k as f64).ln()).sum()
}

/// The smallest count whose probabilities up to it sum to `below`.
fn counted(below: f64, ln_probability: impl Fn(u64) -> f64) -> u64 {
    let mut sum = 0.0;
    (0..1_000)
        .find(|count| {
            sum += ln_probability(*count).exp();
            sum >= below
        })
        .expect("the sum comes to one")
}

#[test]
fn normal_values_are_those_of_the_tables() {
    for (z, above) in [
        (0.0, 0.5),
        (1.0, 0.158_655_253_931_457_05),
        (-1.959_963_984_540_054, 0.975),
        (2.999, 0.001_354_337_9),
        (3.001, 0.001_345_474_2),
        (6.0, 9.865_876_450_376_98e-10),
    ] {
        let found = normal::above(z);
        assert!((found / above - 1.0).abs() < 1e-5, "above {z}: {found}");
    }
    for probability in [1e-12, 0.001, 0.2, 0.5, 0.99] {
        let z = normal::exceeded_by(probability).expect("a probability");
        assert!((normal::above(z) / probability - 1.0).abs() < 1e-9);
    }
    for none in [0.0, 1.0, -0.1, 1.1, f64::NAN] {
        assert_eq!(normal::exceeded_by(none), None);
    }
}

#[test]
fn quantiles_of_counts_are_those_summed_the_long_way() {
    for deviation in [-0.841_621, -0.3, 0.0, 0.5, 0.841_621] {
        let below = normal::above(-deviation);
        // On both sides of where the gamma curve takes over.
        for mean in [0.1, 0.9, 4.0, 12.0, 19.9, 20.1, 60.0] {
            let poisson = counted(below, |k| k as f64 * f64::ln(mean) - mean - ln_factorial(k));
            near(quantile(mean, mean, below, deviation), poisson, mean);
            // Of 100 trials.
            let rate = mean / 100.0;
            let binomial = counted(below, |k| {
                ln_factorial(100) - ln_factorial(k) - ln_factorial(100_u64.saturating_sub(k))
                    + k as f64 * rate.ln()
                    + (100.0 - k as f64) * (-rate).ln_1p()
            });
            near(
                quantile(mean, mean * (1.0 - rate), below, deviation),
                binomial,
                mean,
            );
            // Of shape 3: failures before the third success.
            let success = 3.0 / (3.0 + mean);
            let negative = counted(below, |k| {
                ln_factorial(k + 2) - ln_factorial(k) - 2.0_f64.ln()
                    + 3.0 * success.ln()
                    + k as f64 * (-success).ln_1p()
            });
            near(
                quantile(mean, mean + mean * mean / 3.0, below, deviation),
                negative,
                mean,
            );
        }
    }
}

/// To the count where it is summed, to one of them or a fiftieth where a curve stands for the sum.
fn near(found: u64, summed: u64, mean: f64) {
    let allowed = if mean <= 20.0 { 0.0 } else { 1.0 + mean / 50.0 };
    let distance = found.abs_diff(summed) as f64;
    assert!(distance <= allowed, "mean {mean}: {found} for {summed}");
}

fn ms(value: f64) -> Latency {
    Latency::from_ms(value).expect("a test's latencies are latencies")
}

#[test]
fn slowness_is_a_factor_of_the_same_body() {
    let spread = Spread::from_percentiles(ms(40.0), ms(96.0)).expect("they differ");
    // The limit at production's 99th percentile: as slow as 96/40 puts the median there.
    let factor = slowdown(0.01, 0.5, spread).expect("both are shares");
    assert!((factor - 2.4).abs() < 1e-6, "{factor}");
    assert_eq!(slowdown(0.01, 0.01, spread), Some(1.0));
    let faster = slowdown(0.01, 0.005, spread).expect("both are shares");
    assert!(faster < 1.0);
    for (before, after) in [(0.0, 0.1), (0.1, 1.0), (f64::NAN, 0.1), (0.1, -1.0)] {
        assert_eq!(slowdown(before, after, spread), None);
    }
    assert_eq!(Spread::from_percentiles(ms(40.0), ms(40.0)), None);
    assert_eq!(Spread::from_percentiles(ms(40.0), ms(30.0)), None);
}
