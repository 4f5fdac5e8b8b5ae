//! Where the samples are kept: per metric, unit and minute, in memory.
//!
//! Recording is the hot path: a simulated endpoint records several metrics for every request. A
//! metric is found by one hash over its name and its dimensions, computed without allocating and
//! without sorting (the hash of the dimensions is a sum, so their order does not matter). Reading
//! seeks to the minutes asked for; nothing else is looked at.
//!
//! CloudWatch treats the same metric under two units as two streams of data. They are kept apart
//! here too, and read together when a request names no unit.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use super::statistics::Samples;

pub(super) const MINUTE_SECONDS: i64 = 60;

/// Eight days: whatever a rollout may look back on, and a bound on memory.
const RETENTION_MINUTES: i64 = 8 * 24 * 60;

/// A metric's name: namespace, name, and dimensions as a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MetricName {
    pub(super) namespace: String,
    pub(super) metric: String,
    /// Sorted by name.
    pub(super) dimensions: Vec<(String, String)>,
}

#[derive(Debug)]
struct Series {
    name: MetricName,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    unit: String,
    /// Keyed by minutes since the epoch.
    minutes: BTreeMap<i64, Samples>,
}

/// Every metric with its samples.
#[derive(Debug, Default)]
pub(super) struct Store {
    hasher: RandomState,
    /// Metrics by hash; a bucket holds more than one only when two hashes collide.
    buckets: HashMap<u64, Vec<Series>>,
    newest_minute: i64,
}

impl Store {
    /// The samples of one minute (since the epoch), to add to.
    pub(super) fn minute(
        &mut self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        unit: &str,
        minute: i64,
    ) -> &mut Samples {
        if minute > self.newest_minute {
            let hour_began = minute / 60 > self.newest_minute / 60;
            self.newest_minute = minute;
            // Once an hour is often enough, and keeps the sweep off the hot path.
            if hour_began {
                self.drop_expired();
            }
        }
        let hash = self.hash(namespace, metric, dimensions);
        let bucket = self.buckets.entry(hash).or_default();
        let known = bucket
            .iter()
            .position(|series| series.is(namespace, metric, dimensions));
        let index = known.unwrap_or_else(|| {
            bucket.push(Series::new(namespace, metric, dimensions));
            bucket.len() - 1
        });
        let streams = &mut bucket[index].streams;
        let known = streams.iter().position(|stream| stream.unit == unit);
        let index = known.unwrap_or_else(|| {
            streams.push(Stream {
                unit: unit.to_owned(),
                minutes: BTreeMap::new(),
            });
            streams.len() - 1
        });
        streams[index].minutes.entry(minute).or_default()
    }

    /// The minutes in a range that have samples, per unit: every unit, or the one named.
    pub(super) fn read<'a>(
        &'a self,
        name: &MetricName,
        unit: Option<&'a str>,
        minutes: Range<i64>,
    ) -> impl Iterator<Item = (&'a str, impl Iterator<Item = (i64, &'a Samples)>)> {
        let dimensions: Vec<(&str, &str)> = name
            .dimensions
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let hash = self.hash(&name.namespace, &name.metric, &dimensions);
        let series = self
            .buckets
            .get(&hash)
            .and_then(|bucket| bucket.iter().find(|series| series.name == *name));
        let streams = series.map_or(&[][..], |series| &series.streams);
        streams
            .iter()
            .filter(move |stream| unit.is_none_or(|unit| unit == stream.unit))
            .map(move |stream| {
                let range = minutes.start..minutes.end.max(minutes.start);
                let minutes = stream.minutes.range(range);
                (
                    stream.unit.as_str(),
                    minutes.map(|(minute, samples)| (*minute, samples)),
                )
            })
    }

    /// Everything that was sampled in a range of minutes: name, unit, minute and samples.
    pub(super) fn all(
        &self,
        minutes: Range<i64>,
    ) -> impl Iterator<Item = (&MetricName, &str, i64, &Samples)> {
        self.buckets.values().flatten().flat_map(move |series| {
            let minutes = minutes.clone();
            series.streams.iter().flat_map(move |stream| {
                let found = stream.minutes.range(minutes.clone());
                found
                    .map(|(minute, samples)| (&series.name, stream.unit.as_str(), *minute, samples))
            })
        })
    }

    /// Every metric that has a sample in the given minute or later, sorted.
    pub(super) fn names_since(&self, minute: i64) -> Vec<&MetricName> {
        let mut names: Vec<&MetricName> = self
            .buckets
            .values()
            .flatten()
            .filter(|series| series.newest_minute() >= Some(minute))
            .map(|series| &series.name)
            .collect();
        names.sort_unstable();
        names
    }

    fn hash(&self, namespace: &str, metric: &str, dimensions: &[(&str, &str)]) -> u64 {
        dimensions
            .iter()
            .fold(self.hasher.hash_one((namespace, metric)), |hash, pair| {
                hash.wrapping_add(self.hasher.hash_one(pair))
            })
    }

    fn drop_expired(&mut self) {
        let oldest = self.newest_minute - RETENTION_MINUTES;
        self.buckets.retain(|_, bucket| {
            for series in bucket.iter_mut() {
                for stream in &mut series.streams {
                    stream.minutes = stream.minutes.split_off(&oldest);
                }
                series.streams.retain(|stream| !stream.minutes.is_empty());
            }
            bucket.retain(|series| !series.streams.is_empty());
            !bucket.is_empty()
        });
    }
}

impl Series {
    fn new(namespace: &str, metric: &str, dimensions: &[(&str, &str)]) -> Self {
        let mut dimensions: Vec<(String, String)> = dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        dimensions.sort_unstable();
        Self {
            name: MetricName {
                namespace: namespace.to_owned(),
                metric: metric.to_owned(),
                dimensions,
            },
            streams: Vec::new(),
        }
    }

    fn is(&self, namespace: &str, metric: &str, dimensions: &[(&str, &str)]) -> bool {
        let own = &self.name.dimensions;
        self.name.metric == metric
            && self.name.namespace == namespace
            && own.len() == dimensions.len()
            && own
                .iter()
                .all(|(name, value)| dimensions.contains(&(name.as_str(), value.as_str())))
    }

    fn newest_minute(&self) -> Option<i64> {
        self.streams
            .iter()
            .filter_map(|stream| stream.minutes.last_key_value().map(|(minute, _)| *minute))
            .max()
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of small whole numbers are exact")]
mod tests {
    use super::{MetricName, RETENTION_MINUTES, Store};
    use crate::cloudwatch::statistics::Statistic;

    fn name(dimensions: &[(&str, &str)]) -> MetricName {
        MetricName {
            namespace: "Test".to_owned(),
            metric: "Latency".to_owned(),
            dimensions: dimensions
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn sum(store: &Store, name: &MetricName, unit: Option<&str>) -> f64 {
        let sum = Statistic::parse("Sum").expect("a statistic");
        let streams = store.read(name, unit, 0..i64::MAX);
        streams
            .flat_map(|(_, minutes)| minutes.collect::<Vec<_>>())
            .filter_map(|(_, samples)| sum.evaluate(&[samples]))
            .sum()
    }

    #[test]
    fn dimensions_match_as_a_set() {
        let mut store = Store::default();
        let (a, b) = (("A", "1"), ("B", "2"));
        for (dimensions, value) in [
            (&[a, b][..], 1.0),
            (&[b, a][..], 10.0),
            (&[a][..], 100.0),
            (&[][..], 1000.0),
        ] {
            store
                .minute("Test", "Latency", dimensions, "None", 5)
                .add(value, 1.0);
        }
        assert_eq!(sum(&store, &name(&[a, b]), None), 11.0);
        assert_eq!(sum(&store, &name(&[a]), None), 100.0);
        assert_eq!(sum(&store, &name(&[]), None), 1000.0);
        assert_eq!(sum(&store, &name(&[b]), None), 0.0);
    }

    #[test]
    fn units_are_streams_of_their_own() {
        let mut store = Store::default();
        for (unit, value) in [("Count", 1.0), ("Seconds", 2.0)] {
            store
                .minute("Test", "Latency", &[], unit, 5)
                .add(value, 1.0);
        }
        assert_eq!(sum(&store, &name(&[]), Some("Seconds")), 2.0);
        assert_eq!(sum(&store, &name(&[]), None), 3.0);
    }

    #[test]
    fn old_minutes_and_silent_metrics_are_dropped() {
        let mut store = Store::default();
        store.minute("Test", "Old", &[], "None", 60).add(1.0, 1.0);
        store
            .minute("Test", "Latency", &[], "None", 60)
            .add(1.0, 1.0);
        let later = 60 + RETENTION_MINUTES;
        store
            .minute("Test", "Latency", &[], "None", later)
            .add(10.0, 1.0);
        assert_eq!(sum(&store, &name(&[]), None), 11.0, "just not too old");
        store
            .minute("Test", "Latency", &[], "None", later + 60)
            .add(100.0, 1.0);
        assert_eq!(sum(&store, &name(&[]), None), 110.0);
        assert_eq!(store.names_since(0), [&name(&[])]);
    }
}
