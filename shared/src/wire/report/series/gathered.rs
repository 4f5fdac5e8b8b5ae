//! How minutes become points.
//!
//! Minutes come newest first and page by page; of each no more is kept than is drawn. Each point stands
//! for the same length of time: of requests and outcomes it has the sums, of a signal's standing what was
//! known at its end, since that is over everything so far, and of the latency the slowest minute, since
//! percentiles of minutes have no mean.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Latency, Point, Reading, Scale, Scores, Series, Share, ShareOf, Track};
use crate::domain::comparison::Counts;
use crate::domain::comparison::effect::Interval;
use crate::domain::evidence::Totals;
use crate::domain::judge::{MinuteReport, SignalStanding};
use crate::domain::model_signals::BINS;
use crate::domain::observation::ArmMinute;
use crate::domain::quantity::Weight;
use crate::domain::signal::DRIFT;

/// The most points of a picture.
const MOST_POINTS: i64 = 240;
/// The minutes that a point may stand for; from the last one on as many times a day as it takes.
const LENGTHS: [i64; 9] = [1, 2, 5, 10, 15, 30, 60, 120, 240];

/// Minutes as they come in.
#[derive(Debug, Default)]
pub struct Gathered {
    minutes: BTreeMap<Timestamp, Kept>,
    tracks: BTreeMap<String, Track>,
    /// How each signal stands, drawn or not.
    sentences: BTreeMap<String, String>,
    scores: Option<Scores>,
}

#[derive(Debug)]
struct Kept {
    weight: Weight,
    observed_weight: Option<f64>,
    canary: Totals,
    production: Totals,
    canary_latency: Option<Latency>,
    production_latency: Option<Latency>,
    readings: Vec<(String, Scale, Reading)>,
    shares: Vec<(String, Share)>,
}

impl Gathered {
    /// Takes in a minute; the newest one first, because it says how every signal stands now.
    pub fn take(&mut self, report: &MinuteReport) {
        let (canary, production) = (report.canary.as_ref(), report.production.as_ref());
        let totals = |arm: Option<&_>| {
            let mut totals = Totals::default();
            if let Some(arm) = arm {
                totals.add(arm);
            }
            totals
        };
        let mut kept = Kept {
            weight: report.weight,
            observed_weight: report.observed_weight,
            canary: totals(canary),
            production: totals(production),
            canary_latency: canary.and_then(Latency::of),
            production_latency: production.and_then(Latency::of),
            readings: Vec::new(),
            shares: shares(report),
        };
        for (name, standing) in &report.signals {
            let sentence = self.sentences.entry(name.clone());
            sentence.or_insert_with(|| standing.sentence.clone());
        }
        self.take_scores(canary, production);
        for (name, track, reading) in read(report) {
            let scale = track.scale;
            kept.readings.push((name.clone(), scale, reading));
            // Before there is anything to compare, at the beginning and after a step back, a signal that
            // is also limited shows its share alone.
            let known = self.tracks.entry(name).or_insert_with(|| track.clone());
            if scale == Scale::Ratio && known.scale == Scale::Share {
                (known.scale, known.limit) = (scale, track.limit);
            }
        }
        self.minutes.insert(report.minute, kept);
    }

    /// Adds up the bins, where the minute keeps any.
    fn take_scores(&mut self, canary: Option<&ArmMinute>, production: Option<&ArmMinute>) {
        for (arm, is_canary) in [(canary, true), (production, false)] {
            let Some(counted) = arm.and_then(bins) else {
                continue;
            };
            let scores = self.scores.get_or_insert_with(|| Scores {
                canary: vec![0; usize::from(BINS)],
                production: vec![0; usize::from(BINS)],
            });
            let sums = if is_canary {
                &mut scores.canary
            } else {
                &mut scores.production
            };
            for (sum, more) in std::iter::zip(sums, counted) {
                *sum = sum.saturating_add(more);
            }
        }
    }

    /// How many minutes came in.
    pub fn len(&self) -> usize {
        self.minutes.len()
    }

    /// Whether none did.
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    /// The points; `left_out` says what did not come in.
    pub fn series(self, left_out: Option<String>) -> Series {
        let mut series = Series {
            minutes: self.minutes.len(),
            minutes_per_point: 1,
            tracks: self.tracks,
            scores: self.scores,
            left_out,
            ..Series::default()
        };
        let ends = self
            .minutes
            .first_key_value()
            .zip(self.minutes.last_key_value());
        let Some(((first, _), (last, _))) = ends else {
            return series;
        };
        let (first, whole) = (*first, last.duration_since(*first).as_mins() + 1);
        series.minutes_per_point = length_of_point(whole);
        let start = |minute: Timestamp| {
            let point = minute.duration_since(first).as_mins() / series.minutes_per_point;
            first + SignedDuration::from_mins(point * series.minutes_per_point)
        };
        let mut last_readings: BTreeMap<(String, Timestamp), Reading> = BTreeMap::new();
        let mut sums: BTreeMap<(String, Timestamp), Share> = BTreeMap::new();
        for (minute, kept) in self.minutes {
            let from = start(minute);
            match series.points.last_mut() {
                Some(point) if point.from == from => point.add(&kept),
                _ => series.points.push(Point::of(from, &kept)),
            }
            for (name, scale, reading) in kept.readings {
                let track = series.tracks.get(&name);
                if track.is_some_and(|track| track.scale == scale) {
                    last_readings.insert((name, from), reading);
                }
            }
            for (name, share) in kept.shares {
                let sum = sums.entry((name, from)).or_insert(Share::none(from));
                sum.canary = sum.canary.plus(share.canary);
                sum.production = sum.production.plus(share.production);
            }
        }
        for (name, sentence) in self.sentences {
            if let Some(track) = series.tracks.get_mut(&name) {
                track.sentence = sentence;
            }
        }
        for ((name, _), reading) in last_readings {
            if let Some(track) = series.tracks.get_mut(&name) {
                track.readings.push(reading);
            }
        }
        for ((name, _), share) in sums {
            if let Some(track) = series.tracks.get_mut(&name) {
                track.shares.push(share);
            }
        }
        series
    }
}

impl Share {
    const fn none(from: Timestamp) -> Self {
        Self {
            from,
            canary: Counts::NONE,
            production: Counts::NONE,
        }
    }
}

impl Latency {
    fn of(minute: &ArmMinute) -> Option<Self> {
        let latency = minute.latency.as_ref()?;
        Some(Self {
            p50_ms: latency.p50_ms,
            p95_ms: latency.p95_ms,
            p99_ms: latency.p99_ms,
        })
    }

    /// The slower of the two, percentile by percentile.
    fn slowest(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(a), Some(b)) = (one, other) else {
            return one.or(other);
        };
        Some(Self {
            p50_ms: a.p50_ms.max(b.p50_ms),
            p95_ms: a.p95_ms.max(b.p95_ms),
            p99_ms: a.p99_ms.max(b.p99_ms),
        })
    }
}

/// A minute's predictions by the bin of their score; nothing where no bin was read.
fn bins(minute: &ArmMinute) -> Option<Vec<u64>> {
    let counted = (0..BINS).map(|bin| minute.checks.get(&format!("{DRIFT}.{bin}")));
    let counted: Vec<Option<&Counts>> = counted.collect();
    let some = counted.iter().any(Option::is_some);
    let in_bin = |counts: Option<&Counts>| counts.map_or(0, |counts| counts.x());
    some.then(|| counted.into_iter().map(in_bin).collect())
}

/// What a minute counted of each signal but the bins of the scores.
fn shares(report: &MinuteReport) -> Vec<(String, Share)> {
    let signals = report.signals.iter().filter(|(name, _)| !is_bin(name));
    let counted = signals.filter(|(_, it)| it.minute.is_some() || it.production_minute.is_some());
    let share = |(name, standing): (&String, &SignalStanding)| {
        let share = Share {
            from: report.minute,
            canary: standing.minute.unwrap_or(Counts::NONE),
            production: standing.production_minute.unwrap_or(Counts::NONE),
        };
        (name.clone(), share)
    };
    counted.map(share).collect()
}

/// Whether a signal is one bin of the scores, which mean something together alone.
fn is_bin(name: &str) -> bool {
    name.split('.').next() == Some(DRIFT)
}

/// How many minutes a point stands for, where so many are to be shown.
fn length_of_point(minutes: i64) -> i64 {
    let fits = |length: &i64| (minutes + length - 1) / length <= MOST_POINTS;
    let known = LENGTHS.into_iter().find(fits);
    known.unwrap_or_else(|| (minutes / MOST_POINTS / 240 + 1) * 240)
}

impl Point {
    fn of(from: Timestamp, kept: &Kept) -> Self {
        Self {
            from,
            minutes: 1,
            weight: kept.weight,
            observed_weight: kept.observed_weight,
            canary: kept.canary,
            production: kept.production,
            canary_latency: kept.canary_latency,
            production_latency: kept.production_latency,
        }
    }

    fn add(&mut self, kept: &Kept) {
        self.minutes += 1;
        (self.weight, self.observed_weight) = (kept.weight, kept.observed_weight);
        self.canary_latency = Latency::slowest(self.canary_latency, kept.canary_latency);
        self.production_latency =
            Latency::slowest(self.production_latency, kept.production_latency);
        for (sum, more) in [
            (&mut self.canary, kept.canary),
            (&mut self.production, kept.production),
        ] {
            sum.invocations += more.invocations;
            sum.errors_4xx += more.errors_4xx;
            sum.errors_5xx += more.errors_5xx;
        }
    }
}

/// What a minute says of each signal that can be drawn: the bins of the scores are one track, of how far
/// they lie apart.
fn read(report: &MinuteReport) -> Vec<(String, Track, Reading)> {
    let at = report.minute;
    let signals = report.signals.iter().filter(|(name, _)| !is_bin(name));
    let mut found: Vec<_> = signals
        .filter_map(|(name, standing)| {
            let (track, reading) = of_signal(at, standing)?;
            Some((name.clone(), track, reading))
        })
        .collect();
    let measures = report.fairness.iter().filter_map(|(name, standing)| {
        let measured = standing.canary.as_ref()?;
        let reading = Reading {
            at,
            value: Some(measured.value),
            low: Some(measured.interval.low),
            high: Some(measured.interval.high),
        };
        let track = track(Scale::Measure, Some(standing.limit), &standing.sentence);
        Some((format!("fairness.{name}"), track, reading))
    });
    found.extend(measures);
    found.extend(report.drift.iter().map(|drift| {
        let words = format!(
            "population stability index {:.3} (luck alone makes about {:.3})",
            drift.index, drift.by_luck
        );
        let reading = Reading {
            at,
            value: Some(drift.index),
            low: None,
            high: None,
        };
        (
            DRIFT.to_owned(),
            track(Scale::Measure, None, &words),
            reading,
        )
    }));
    found
}

fn of_signal(at: Timestamp, standing: &SignalStanding) -> Option<(Track, Reading)> {
    let words = &standing.sentence;
    if let Some(Interval { low, high }) = standing.interval {
        let reading = Reading {
            at,
            value: standing.ratio,
            low: Some(low),
            high,
        };
        return Some((
            track(Scale::Ratio, Some(standing.tolerated), words),
            reading,
        ));
    }
    let limit = standing.limit?;
    let reading = Reading {
        at,
        value: Some(standing.canary_rate?),
        low: None,
        high: None,
    };
    Some((track(Scale::Share, Some(limit), words), reading))
}

fn track(scale: Scale, limit: Option<f64>, sentence: &str) -> Track {
    Track {
        scale,
        limit,
        sentence: sentence.to_owned(),
        readings: Vec::new(),
        shown: ShareOf::default(),
        shares: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn minute(number: i64, weight: u8, requests: u64, signal: &serde_json::Value) -> MinuteReport {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(number);
        let arm = |requests: u64| {
            json!({"invocations": requests, "errors_4xx": 0, "errors_5xx": requests / 10,
                   "latency": null, "overhead_ms": null, "cpu_percent": null, "memory_percent": null})
        };
        let row = json!({
            "minute": at, "weight": weight, "canary": arm(requests), "production": arm(3 * requests),
            "guards": {}, "signals": {"errors": signal}, "verdict": "healthy", "sentence": "s",
        });
        serde_json::from_value(row).expect("a row of evidence")
    }

    fn standing(ratio: Option<f64>, limit: Option<f64>) -> serde_json::Value {
        let interval = ratio.map(|ratio| json!({"low": ratio / 2.0, "high": null}));
        json!({"canary": {"n": 100, "x": 1}, "production": {"n": 100, "x": 1}, "canary_rate": 0.01,
               "production_rate": 0.01, "ratio": ratio, "interval": interval, "tolerated": 1.25,
               "limit": limit, "ln_e": 0.0, "odds": null, "minutes": 1, "acts": "rollback",
               "sentence": "errors: as often"})
    }

    proptest! {
        /// However long it went on and whatever minutes are missing: few points, in order, and every
        /// request once.
        #[test]
        fn points_are_few_and_hold_every_request(
            numbers in prop::collection::btree_set(0_i64..30_000, 1..400),
        ) {
            let mut gathered = Gathered::default();
            for number in numbers.iter().rev() {
                let requests = u64::try_from(*number).expect("a count");
                gathered.take(&minute(*number, 10, requests, &standing(Some(2.0), None)));
            }
            let series = gathered.series(None);
            prop_assert!(series.points.len() <= 240);
            prop_assert_eq!(series.minutes, numbers.len());
            let counted: u64 = series.points.iter().map(|point| point.minutes).sum();
            prop_assert_eq!(counted, numbers.len() as u64);
            let requests: u64 = series.points.iter().map(|point| point.canary.invocations).sum();
            prop_assert_eq!(requests, numbers.iter().map(|number| number.unsigned_abs()).sum::<u64>());
            let errors: u64 = series.points.iter().map(|point| point.production.errors_5xx).sum();
            prop_assert_eq!(errors, numbers.iter().map(|number| 3 * number.unsigned_abs() / 10).sum::<u64>());
            prop_assert!(series.points.is_sorted_by(|a, b| a.from < b.from));
            let track = &series.tracks["errors"];
            prop_assert_eq!(track.readings.len(), series.points.len());
            prop_assert!(track.readings.is_sorted_by(|a, b| a.at < b.at));
        }
    }

    #[test]
    fn a_point_ends_with_what_was_known_at_its_end() {
        let mut gathered = Gathered::default();
        for number in (0..480).rev() {
            let weight = if number < 240 { 10 } else { 50 };
            let ratio = 1.0 + number as f64;
            gathered.take(&minute(number, weight, 1, &standing(Some(ratio), None)));
        }
        let series = gathered.series(None);
        assert_eq!((series.minutes_per_point, series.points.len()), (2, 240));
        let weights: Vec<u8> = series
            .points
            .iter()
            .map(|point| point.weight.percent())
            .collect();
        assert_eq!((weights[119], weights[120]), (10, 50));
        let readings = &series.tracks["errors"].readings;
        assert_eq!(
            (readings[0].value, readings[239].value),
            (Some(2.0), Some(480.0))
        );
        assert_eq!((readings[0].low, readings[0].high), (Some(1.0), None));
    }

    /// A signal that is compared and limited has no ratio before the first bad outcome.
    #[test]
    fn ratios_and_shares_are_not_mixed() {
        let mut gathered = Gathered::default();
        gathered.take(&minute(1, 10, 1, &standing(Some(3.0), Some(0.1))));
        gathered.take(&minute(0, 10, 1, &standing(None, Some(0.1))));
        let track = &gathered.series(None).tracks["errors"];
        assert_eq!((track.scale, track.readings.len()), (Scale::Ratio, 1));
        let mut gathered = Gathered::default();
        gathered.take(&minute(0, 10, 1, &standing(None, Some(0.1))));
        let track = &gathered.series(None).tracks["errors"];
        assert_eq!((track.scale, track.limit), (Scale::Share, Some(0.1)));
    }

    /// A step back makes the evidence begin anew.
    #[test]
    fn what_was_compared_before_a_step_back_is_drawn_and_said_to_be_over() {
        let mut gathered = Gathered::default();
        let mut anew = standing(None, Some(0.1));
        anew["sentence"] = json!("errors: nothing yet");
        gathered.take(&minute(2, 5, 1, &anew));
        gathered.take(&minute(1, 10, 1, &standing(Some(3.0), Some(0.1))));
        gathered.take(&minute(0, 10, 1, &standing(Some(2.0), Some(0.1))));
        let track = &gathered.series(None).tracks["errors"];
        assert_eq!((track.scale, track.readings.len()), (Scale::Ratio, 2));
        assert_eq!(track.limit, Some(1.25));
        assert_eq!(track.sentence, "errors: nothing yet");
    }

    /// Of outcomes a point has the sums, of the latency its slowest minute, and what was not measured says
    /// nothing about either.
    #[test]
    fn a_point_has_sums_of_outcomes_and_the_slowest_minutes_latency() {
        let with = |number: i64, p99: Option<f64>, counts: Option<(u64, u64)>| {
            let mut row = minute(number, 10, 7, &standing(Some(2.0), None));
            let counts = counts.map(|(n, x)| Counts::new(n, x).expect("counts"));
            let signal = row.signals.get_mut("errors").expect("the signal");
            signal.minute = counts;
            row.canary.as_mut().expect("the canary").latency = p99.map(|p99_ms| {
                let ms = json!({"samples": 7, "p50_ms": 1.0, "p90_ms": 2.0, "p95_ms": 3.0, "p99_ms": p99_ms});
                serde_json::from_value(ms).expect("a minute's latency")
            });
            row
        };
        let mut gathered = Gathered::default();
        for number in (2..400).rev() {
            gathered.take(&with(number, None, None));
        }
        gathered.take(&with(1, Some(80.0), Some((10, 1))));
        gathered.take(&with(0, Some(20.0), Some((5, 2))));
        let series = gathered.series(None);
        assert_eq!(series.minutes_per_point, 2);
        let latency = series.points[0].canary_latency.expect("measured");
        assert_eq!((latency.p95_ms, latency.p99_ms), (3.0, 80.0));
        assert_eq!(series.points[1].canary_latency, None);
        let shares = &series.tracks["errors"].shares;
        assert_eq!(shares.len(), 1, "nothing was counted in the others");
        assert_eq!((shares[0].canary.n(), shares[0].canary.x()), (15, 3));
        assert_eq!(shares[0].production, Counts::NONE);
        assert_eq!(series.scores, None, "no bins were read");
    }

    #[test]
    fn bins_of_scores_add_up_and_are_no_track() {
        let with = |number: i64, last: u64| {
            let mut row = minute(number, 10, 10, &standing(Some(2.0), None));
            let canary = row.canary.as_mut().expect("the canary");
            for (bin, count) in [(0, 10 - last), (9, last)] {
                let counts = Counts::new(10, count).expect("counts");
                canary.checks.insert(format!("{DRIFT}.{bin}"), counts);
            }
            row
        };
        let mut gathered = Gathered::default();
        gathered.take(&with(1, 4));
        gathered.take(&with(0, 3));
        let series = gathered.series(None);
        let scores = series.scores.expect("scores");
        assert_eq!(scores.canary, [13, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(scores.production, [0; 10]);
        assert!(series.tracks.keys().all(|name| name == "errors"));
    }

    #[test]
    fn nothing_is_nothing_and_what_is_missing_is_said() {
        let series = Gathered::default().series(Some("cut".to_owned()));
        assert_eq!(
            (series.points.len(), series.left_out.as_deref()),
            (0, Some("cut"))
        );
    }
}
