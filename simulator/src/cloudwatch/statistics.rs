//! The statistics that CloudWatch offers, over the real samples of a period.
//!
//! Every sample has a weight (`PutMetricData` may send "this value, 40 times"), so each formula
//! works on weighted values. Choices made where the documentation leaves room:
//!
//! - **Percentiles are nearest-rank**: `pNN` is the smallest sample at or below which at least
//!   NN % of the samples lie. No interpolation, so that `pNN > L` holds exactly when
//!   `TC(L:) > (1 - NN/100) * SampleCount`, and a percentile can be judged by counts.
//! - **Bounds** given as values are exclusive below and inclusive above: `TC(a:b)` counts the
//!   samples in `(a, b]`. An open bound is written by leaving it out.
//! - **Bounds given as percentages** cut by rank. A sample that straddles a cut takes part with
//!   the share of it that lies inside, so `IQM` of a single sample is that sample.
//! - A count, sum or rank of no sample inside the bounds is 0; a mean of none is no point at all.
//! - Samples that arrived as a statistic set have no distribution. Like CloudWatch, everything
//!   but the five basic statistics is then absent, unless all samples of the set were equal.

#![expect(
    clippy::float_cmp,
    reason = "a sample equals another one, or a weight is one, exactly or not at all"
)]

/// Slack for comparing a weighted rank with a percentage of the whole: 99.9 % of 1,000 is a hair
/// above 999 in floating point and must still mean the 999th sample.
const RANK_SLACK: f64 = 1e-9;

/// How many of the first values of a minute are searched for an equal one before a new value is
/// appended. Enough to keep 0-or-1 metrics at two entries, cheap for latencies.
const SEARCHED_VALUES: usize = 4;

/// The samples of one metric in one minute.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    values: Vec<f64>,
    /// Weights beside `values`; empty as long as each is 1, which halves the memory of latencies.
    weights: Vec<f64>,
    count: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
    /// Some samples came as a set whose distribution is unknown.
    opaque: bool,
}

impl Samples {
    /// Adds `weight` samples of one value.
    pub(super) fn add(&mut self, value: f64, weight: f64) {
        self.summarize(weight, value * weight, value, value);
        let equal = if self.values.len() <= SEARCHED_VALUES {
            self.values.iter().position(|known| *known == value)
        } else {
            None
        };
        if let Some(index) = equal {
            self.weights.resize(self.values.len(), 1.0);
            self.weights[index] += weight;
            return;
        }
        if weight != 1.0 {
            self.weights.resize(self.values.len(), 1.0);
        }
        self.values.push(value);
        if weight != 1.0 || !self.weights.is_empty() {
            self.weights.push(weight);
        }
    }

    /// Adds a statistic set.
    pub(super) fn add_set(&mut self, count: f64, sum: f64, minimum: f64, maximum: f64) {
        if minimum == maximum && sum == minimum * count {
            self.add(minimum, count);
        } else {
            self.summarize(count, sum, minimum, maximum);
            self.opaque = true;
        }
    }

    fn summarize(&mut self, count: f64, sum: f64, minimum: f64, maximum: f64) {
        if self.count == 0.0 {
            (self.minimum, self.maximum) = (minimum, maximum);
        } else {
            self.minimum = self.minimum.min(minimum);
            self.maximum = self.maximum.max(maximum);
        }
        self.count += count;
        self.sum += sum;
    }

    /// The values, each with how often it occurred.
    pub(super) fn weighted(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let weights = self.weights.iter().copied().chain(std::iter::repeat(1.0));
        self.values.iter().copied().zip(weights)
    }
}

/// What part of a distribution a statistic looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bounds {
    /// Values in `(above, up_to]`.
    Values { above: f64, up_to: f64 },
    /// Ranks in `(above, up_to]`, as fractions of the whole.
    Shares { above: f64, up_to: f64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    TrimmedMean,
    WinsorizedMean,
    TrimmedCount,
    TrimmedSum,
    PercentileRank,
}

/// A statistic as named in a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Statistic(Kind);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    SampleCount,
    Sum,
    Average,
    Minimum,
    Maximum,
    /// The fraction of samples at or below the answer.
    Percentile(f64),
    Bounded(Measure, Bounds),
}

impl Statistic {
    /// Reads a name such as `Sum`, `p99.9`, `TC(100000:)`, `TM(10%:90%)`, `wm95` or `IQM`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let kind = match name {
            "SampleCount" => Kind::SampleCount,
            "Sum" => Kind::Sum,
            "Average" => Kind::Average,
            "Minimum" => Kind::Minimum,
            "Maximum" => Kind::Maximum,
            "IQM" | "iqm" => Kind::Bounded(
                Measure::TrimmedMean,
                Bounds::Shares {
                    above: 0.25,
                    up_to: 0.75,
                },
            ),
            _ => match name.strip_prefix('p') {
                Some(percent) => Kind::Percentile(parse_percent(percent)?),
                None => parse_bounded(name)?,
            },
        };
        Some(Self(kind))
    }

    /// The five that `GetMetricStatistics` takes under `Statistics`.
    pub(super) fn is_basic(self) -> bool {
        !matches!(self.0, Kind::Percentile(_) | Kind::Bounded(..))
    }

    /// The statistic over all samples of the given minutes, or nothing where there is no point.
    pub(super) fn evaluate(self, minutes: &[&Samples]) -> Option<f64> {
        let count: f64 = minutes.iter().map(|samples| samples.count).sum();
        if count <= 0.0 {
            return None;
        }
        let sum = || minutes.iter().map(|samples| samples.sum).sum::<f64>();
        let minimum = minutes.iter().map(|samples| samples.minimum);
        let maximum = minutes.iter().map(|samples| samples.maximum);
        match self.0 {
            Kind::SampleCount => Some(count),
            Kind::Sum => Some(sum()),
            Kind::Average => Some(sum() / count),
            Kind::Minimum => minimum.reduce(f64::min),
            Kind::Maximum => maximum.reduce(f64::max),
            Kind::Percentile(_) | Kind::Bounded(..)
                if minutes.iter().any(|samples| samples.opaque) =>
            {
                None
            }
            // CloudWatch keeps percentiles in a logarithmic histogram that has no negative side.
            Kind::Percentile(_) if minimum.reduce(f64::min)? < 0.0 => None,
            Kind::Percentile(share) => percentile(&sorted(minutes), count, share),
            Kind::Bounded(measure, Bounds::Values { above, up_to }) => {
                by_value(measure, minutes, count, above, up_to)
            }
            Kind::Bounded(measure, Bounds::Shares { above, up_to }) => {
                by_rank(measure, &sorted(minutes), count, above, up_to)
            }
        }
    }
}

fn parse_bounded(name: &str) -> Option<Kind> {
    let (measure, rest) = name.split_at_checked(2)?;
    let measure = match measure {
        "TM" | "tm" => Measure::TrimmedMean,
        "WM" | "wm" => Measure::WinsorizedMean,
        "TC" | "tc" => Measure::TrimmedCount,
        "TS" | "ts" => Measure::TrimmedSum,
        "PR" | "pr" => Measure::PercentileRank,
        _ => return None,
    };
    let inside = rest
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    let bounds = match inside {
        Some(inside) => parse_bounds(inside)?,
        // The short form `tm99` is `TM(:99%)`.
        None => Bounds::Shares {
            above: 0.0,
            up_to: parse_percent(rest)?,
        },
    };
    // A percentile rank asks what share lies between two values: percentages would answer it.
    if measure == Measure::PercentileRank && matches!(bounds, Bounds::Shares { .. }) {
        return None;
    }
    Some(Kind::Bounded(measure, bounds))
}

fn parse_bounds(inside: &str) -> Option<Bounds> {
    let (low, high) = inside.split_once(':')?;
    if low.is_empty() && high.is_empty() {
        return None;
    }
    let bounds = if inside.contains('%') {
        let share = |text: &str, open: f64| match text {
            "" => Some(open),
            _ => parse_percent(text.strip_suffix('%')?),
        };
        Bounds::Shares {
            above: share(low, 0.0)?,
            up_to: share(high, 1.0)?,
        }
    } else {
        let value = |text: &str, open: f64| match text {
            "" => Some(open),
            _ => parse_decimal(text),
        };
        Bounds::Values {
            above: value(low, f64::NEG_INFINITY)?,
            up_to: value(high, f64::INFINITY)?,
        }
    };
    let (Bounds::Values { above, up_to } | Bounds::Shares { above, up_to }) = bounds;
    (above < up_to).then_some(bounds)
}

fn parse_percent(text: &str) -> Option<f64> {
    let percent = parse_decimal(text)?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

/// Digits with at most one point; Rust's own parser would let `inf`, `nan` and `+5` through.
fn parse_decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if plain { text.parse().ok() } else { None }
}

fn sorted(minutes: &[&Samples]) -> Vec<(f64, f64)> {
    let mut all: Vec<(f64, f64)> = minutes
        .iter()
        .flat_map(|samples| samples.weighted())
        .collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    all
}

fn percentile(sorted: &[(f64, f64)], count: f64, share: f64) -> Option<f64> {
    let rank = share * count - RANK_SLACK * count;
    let mut below = 0.0;
    for (value, weight) in sorted {
        below += weight;
        if below >= rank {
            return Some(*value);
        }
    }
    sorted.last().map(|(value, _)| *value)
}

fn by_value(
    measure: Measure,
    minutes: &[&Samples],
    count: f64,
    above: f64,
    up_to: f64,
) -> Option<f64> {
    let all = || minutes.iter().flat_map(|samples| samples.weighted());
    if measure == Measure::WinsorizedMean {
        let sum: f64 = all()
            .map(|(value, weight)| value.clamp(above, up_to) * weight)
            .sum();
        return Some(sum / count);
    }
    let (mut inside, mut sum) = (0.0, 0.0);
    for (value, weight) in all() {
        if value > above && value <= up_to {
            inside += weight;
            sum += value * weight;
        }
    }
    match measure {
        Measure::TrimmedCount => Some(inside),
        Measure::TrimmedSum => Some(sum),
        Measure::PercentileRank => Some(100.0 * inside / count),
        Measure::TrimmedMean | Measure::WinsorizedMean => (inside > 0.0).then(|| sum / inside),
    }
}

fn by_rank(
    measure: Measure,
    sorted: &[(f64, f64)],
    count: f64,
    above: f64,
    up_to: f64,
) -> Option<f64> {
    if measure == Measure::WinsorizedMean {
        // The sample just above the lower cut, hence the step of more than the slack.
        let low = percentile(sorted, count, above + 2.0 * RANK_SLACK)?;
        let high = percentile(sorted, count, up_to)?.max(low);
        let sum: f64 = sorted
            .iter()
            .map(|(value, weight)| value.clamp(low, high) * weight)
            .sum();
        return Some(sum / count);
    }
    let (first, last) = (above * count, up_to * count);
    let (mut rank, mut inside, mut sum) = (0.0, 0.0, 0.0);
    for (value, weight) in sorted {
        let share = (last.min(rank + weight) - first.max(rank)).max(0.0);
        inside += share;
        sum += share * value;
        rank += weight;
    }
    match measure {
        Measure::TrimmedCount => Some(inside.round()),
        Measure::TrimmedSum => Some(sum),
        Measure::PercentileRank => Some(100.0 * inside / count),
        Measure::TrimmedMean | Measure::WinsorizedMean => (inside > 0.0).then(|| sum / inside),
    }
}

#[cfg(test)]
mod tests {
    use super::{Samples, Statistic};

    fn samples(values: impl IntoIterator<Item = f64>) -> Samples {
        let mut samples = Samples::default();
        for value in values {
            samples.add(value, 1.0);
        }
        samples
    }

    fn check(name: &str, minutes: &[&Samples], expected: Option<f64>) {
        let statistic = Statistic::parse(name).expect(name);
        let answer = statistic.evaluate(minutes);
        match (answer, expected) {
            (Some(answer), Some(expected)) => assert!(
                (answer - expected).abs() < 1e-9,
                "{name}: {answer} instead of {expected}"
            ),
            _ => assert_eq!(answer, expected, "{name}"),
        }
    }

    #[test]
    fn one_to_a_hundred() {
        let hundred = samples((1..=100).map(f64::from));
        for (name, expected) in [
            ("SampleCount", 100.0),
            ("Sum", 5050.0),
            ("Average", 50.5),
            ("Minimum", 1.0),
            ("Maximum", 100.0),
            ("p0", 1.0),
            ("p50", 50.0),
            ("p99", 99.0),
            ("p99.5", 100.0),
            ("p100", 100.0),
            ("TC(90:)", 10.0),
            ("TC(:90)", 90.0),
            ("TC(10:20)", 10.0),
            ("TC(1000:)", 0.0),
            ("TC(10%:90%)", 80.0),
            ("PR(:25)", 25.0),
            ("PR(25:)", 75.0),
            ("PR(0.5:2.5)", 2.0),
            ("TM(:10)", 5.5),
            ("TM(90%:)", 95.5),
            ("tm10", 5.5),
            ("TS(98:)", 199.0),
            ("ts10", 55.0),
            ("tc10", 10.0),
            ("WM(:10)", 9.55),
            ("wm10", 9.55),
            ("WM(90%:)", (91.0 * 91.0 + 864.0) / 100.0),
            ("IQM", 50.5),
        ] {
            check(name, &[&hundred], Some(expected));
        }
    }

    #[test]
    fn a_percentile_agrees_with_the_count_above_its_limit() {
        for size in [1_u32, 7, 99, 100, 101, 1000, 1003] {
            let samples = samples((0..size).map(|n| f64::from((n * 7919) % 1013)));
            for percent in [50.0, 90.0, 95.0, 99.0, 99.9] {
                let p = Statistic::parse(&format!("p{percent}"))
                    .and_then(|p| p.evaluate(&[&samples]))
                    .expect("there are samples");
                for limit in [p - 1.0, p, p + 1.0] {
                    let slower = Statistic::parse(&format!("TC({limit}:)"))
                        .and_then(|tc| tc.evaluate(&[&samples]))
                        .expect("there are samples");
                    let allowed = (1.0 - percent / 100.0) * f64::from(size);
                    assert_eq!(
                        p > limit,
                        slower > allowed + 1e-6,
                        "p{percent} of {size} samples against {limit}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_mean_of_nothing_is_no_point_and_a_single_sample_is_its_own_mean() {
        let one = samples([7.0]);
        check("TM(10:)", &[&one], None);
        check("TS(10:)", &[&one], Some(0.0));
        check("IQM", &[&one], Some(7.0));
        check("p99", &[&one], Some(7.0));
        check("Sum", &[], None);
    }

    #[test]
    fn minutes_are_pooled_not_averaged() {
        let (quick, slow) = (samples([1.0; 990]), samples([50.0; 10]));
        check("p99", &[&quick, &slow], Some(1.0));
        check("p99.1", &[&quick, &slow], Some(50.0));
        check("Average", &[&quick, &slow], Some(1.49));
    }

    #[test]
    fn weights_count() {
        let mut weighted = samples([2.0, 2.0, 3.0]);
        weighted.add(5.0, 97.0);
        check("SampleCount", &[&weighted], Some(100.0));
        check("Sum", &[&weighted], Some(492.0));
        check("p2", &[&weighted], Some(2.0));
        check("p3", &[&weighted], Some(3.0));
        check("p4", &[&weighted], Some(5.0));
        check("TC(2:)", &[&weighted], Some(98.0));
    }

    #[test]
    fn many_distinct_values_with_weights_stay_beside_their_weights() {
        let mut mixed = samples([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        mixed.add(7.0, 3.0);
        mixed.add(8.0, 1.0);
        check("SampleCount", &[&mixed], Some(10.0));
        check("TC(6:7)", &[&mixed], Some(3.0));
        check("TC(7:)", &[&mixed], Some(1.0));
    }

    #[test]
    fn a_statistic_set_has_no_distribution_unless_all_its_samples_are_equal() {
        let mut set = Samples::default();
        set.add_set(3.0, 6.0, 2.0, 2.0);
        check("p50", &[&set], Some(2.0));
        set.add_set(2.0, 10.0, 1.0, 9.0);
        check("p50", &[&set], None);
        check("TC(1:)", &[&set], None);
        check("Sum", &[&set], Some(16.0));
        check("Minimum", &[&set], Some(1.0));
        check("Maximum", &[&set], Some(9.0));
    }

    #[test]
    fn negative_values_have_counts_but_no_percentile() {
        let negative = samples([-1.0, 1.0]);
        check("p50", &[&negative], None);
        check("TC(-1:)", &[&negative], Some(1.0));
        check("TC(-2:)", &[&negative], Some(2.0));
    }

    #[test]
    fn names_that_are_no_statistic() {
        for name in [
            "",
            "avg",
            "average",
            "p",
            "p101",
            "p-1",
            "pinf",
            "pNaN",
            "P99",
            "TC()",
            "TC(:)",
            "TC(5)",
            "TC(2:1)",
            "TC(1:1)",
            "TC(10%:90)",
            "TC(a:)",
            "TC(1:2",
            "TM(:101%)",
            "PR50",
            "PR(10%:)",
            "IQM(1:2)",
            "XX(1:2)",
            "é",
            "tm",
        ] {
            assert_eq!(Statistic::parse(name), None, "{name}");
        }
    }
}
