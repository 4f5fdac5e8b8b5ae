//! The minutes of a deployment, as few points as a picture has room for.
//!
//! Minutes come newest first and page by page; of each no more is kept than is drawn. Each point stands
//! for the same length of time: of requests it has the sums, of a signal what was known at its end,
//! since that is over everything so far.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::comparison::effect::Interval;
use crate::domain::evidence::Totals;
use crate::domain::judge::{MinuteReport, SignalStanding};
use crate::domain::quantity::Weight;
use crate::domain::signal::DRIFT;

/// The most points of a picture.
const MOST_POINTS: i64 = 240;
/// The minutes that a point may stand for; from the last one on as many times a day as it takes.
const LENGTHS: [i64; 9] = [1, 2, 5, 10, 15, 30, 60, 120, 240];

/// What was judged, over time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Series {
    /// How many minutes were judged and are still kept.
    pub minutes: usize,
    /// How many minutes a point stands for.
    pub minutes_per_point: i64,
    /// Oldest first; a time without a judged minute has none.
    pub points: Vec<Point>,
    /// How each signal stood, by name.
    pub tracks: BTreeMap<String, Track>,
    /// What is not in it; absent where it holds everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// Some minutes of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Point {
    /// Where it begins.
    pub from: Timestamp,
    /// How many minutes of it were judged.
    pub minutes: u64,
    /// The canary's confirmed share at its end, in percent.
    pub weight: Weight,
    /// The new model.
    pub canary: Totals,
    /// The old model.
    pub production: Totals,
}

/// How one signal stood, over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Track {
    /// What its values are.
    pub scale: Scale,
    /// What is still good; absent where it is held against nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// How it stood at the end, in words.
    pub sentence: String,
    /// Oldest first.
    pub readings: Vec<Reading>,
}

/// What the values of a track are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Scale {
    /// The canary's rate over production's.
    Ratio,
    /// The canary's share of bad outcomes, 0 to 1.
    Share,
    /// A measure of its own: of fairness, or of drift.
    Measure,
}

/// A track at one time, over everything since the rollout began, or since it last stepped back for that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reading {
    /// The minute it was taken after.
    pub at: Timestamp,
    /// The value; absent where there is a bound alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Where it lies with 95 % confidence: from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Up to here; absent where there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// Minutes as they come in.
#[derive(Debug, Default)]
pub struct Gathered {
    minutes: BTreeMap<Timestamp, Kept>,
    tracks: BTreeMap<String, Track>,
    /// How each signal stands, drawn or not.
    sentences: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Kept {
    weight: Weight,
    canary: Totals,
    production: Totals,
    readings: Vec<(String, Scale, Reading)>,
}

impl Gathered {
    /// Takes in a minute; the newest one first, because it says how every signal stands now.
    pub fn take(&mut self, report: &MinuteReport) {
        let totals = |arm: Option<&_>| {
            let mut totals = Totals::default();
            if let Some(arm) = arm {
                totals.add(arm);
            }
            totals
        };
        let mut kept = Kept {
            weight: report.weight,
            canary: totals(report.canary.as_ref()),
            production: totals(report.production.as_ref()),
            readings: Vec::new(),
        };
        for (name, standing) in &report.signals {
            let sentence = self.sentences.entry(name.clone());
            sentence.or_insert_with(|| standing.sentence.clone());
        }
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
        series
    }
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
            canary: kept.canary,
            production: kept.production,
        }
    }

    fn add(&mut self, kept: &Kept) {
        self.minutes += 1;
        self.weight = kept.weight;
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
    let is_bin = |name: &str| name.split('.').next() == Some(DRIFT);
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
            "population stability index {:.3}, of which {:.3} is luck",
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

    #[test]
    fn nothing_is_nothing_and_what_is_missing_is_said() {
        let series = Gathered::default().series(Some("cut".to_owned()));
        assert_eq!(
            (series.points.len(), series.left_out.as_deref()),
            (0, Some("cut"))
        );
    }
}
