//! Pictures of what was judged, as SVG: the canary's share and the requests of both models over time, and
//! how each signal stood with its interval. Of a report's page, and of the README.
//!
//! Colours are named, and whoever shows a picture says what they are: [`STYLE`] draws with them, on
//! white by [`ON_WHITE`]. Whatever comes from the record is escaped.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::series::{Point, Reading, Scale, Series, Track};
use crate::domain::history::{Entry, Name};
use crate::wire::html::escaped;

/// How everything is drawn, in named colours.
pub const STYLE: &str = "svg text{font:12px system-ui,sans-serif;fill:var(--muted)}svg .strong{fill:var(--ink);font-weight:600}svg .grid{stroke:var(--line);fill:none}svg .mark{stroke:var(--muted);stroke-dasharray:2 3}svg .old{fill:var(--old)}svg .new{fill:var(--new)}svg .bad{fill:var(--bad)}svg .share{stroke:var(--share);stroke-width:2;fill:none}svg .under{fill:var(--share);fill-opacity:.15}svg .value{stroke:var(--new);stroke-width:2;fill:none}svg .band{fill:var(--new);fill-opacity:.2}svg .limit{stroke:var(--bad);stroke-dasharray:6 4}svg .dot{fill:var(--new)}";
/// The colours on a white ground.
pub const ON_WHITE: &str = "--ink:#0f172a;--muted:#475569;--line:#cbd5e1;--old:#94a3b8;--new:#0d9488;--bad:#dc2626;--share:#4f46e5;";

/// Width of every picture.
pub const WIDTH: f64 = 860.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 12.0;
const PLOT: f64 = WIDTH - LEFT - RIGHT;

/// A picture without its frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Its height.
    pub height: f64,
    /// What it shows, in words.
    pub label: String,
    /// Its elements, from the origin on.
    pub body: String,
}

impl Picture {
    /// As an element of a page.
    pub fn svg(&self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">{}</svg>",
            self.height,
            escaped(&self.label),
            self.body
        )
    }
}

/// A moment that is named in a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    at: Timestamp,
    word: String,
}

/// The moments of a history that a picture names.
pub fn moments(history: &[Entry]) -> Vec<Moment> {
    let named = history.iter().filter_map(|entry| {
        let word = match entry.event {
            Name::Shifted => entry.weight.to_string(),
            Name::Soaking => "100 %".to_owned(),
            Name::Paused => "paused".to_owned(),
            Name::Blind => "blind".to_owned(),
            Name::RollingBack => "rolled back".to_owned(),
            Name::Finalizing => "old model removed".to_owned(),
            Name::WatchEnded => "watch over".to_owned(),
            _ => return None,
        };
        Some(Moment { at: entry.at, word })
    });
    named.collect()
}

/// Time from left to right.
#[derive(Debug, Clone, Copy)]
struct Axis {
    from: Timestamp,
    seconds: f64,
}

impl Axis {
    /// Nothing where nothing was judged.
    fn of(series: &Series) -> Option<Self> {
        let (first, last) = (series.points.first()?, series.points.last()?);
        let end = last.from + SignedDuration::from_mins(series.minutes_per_point);
        Some(Self {
            from: first.from,
            seconds: end.duration_since(first.from).as_secs_f64().max(60.0),
        })
    }

    fn at(self, time: Timestamp) -> f64 {
        let since = time.duration_since(self.from).as_secs_f64();
        LEFT + PLOT * (since / self.seconds).clamp(0.0, 1.0)
    }

    fn holds(self, time: Timestamp) -> bool {
        (-300.0..=self.seconds + 300.0).contains(&time.duration_since(self.from).as_secs_f64())
    }

    /// Times below the plot, in UTC; with their days where there are several.
    fn labels(self, body: &mut String, y: f64) {
        const STEPS: u32 = 5;
        let format = if self.seconds > 20.0 * 3600.0 {
            "%b %-d %H:%M"
        } else {
            "%H:%M"
        };
        for step in 0..=STEPS {
            let part = f64::from(step) / f64::from(STEPS);
            let time = self.from + SignedDuration::from_secs_f64(self.seconds * part);
            let words = time.to_zoned(TimeZone::UTC).strftime(format).to_string();
            let anchor = match step {
                0 => "start",
                STEPS => "end",
                _ => "middle",
            };
            text(body, (LEFT + PLOT * part, y), anchor, "", &words);
        }
    }
}

/// The canary's share above the requests of both models; nothing where nothing was judged.
pub fn traffic(title: &str, series: &Series, moments: &[Moment]) -> Option<Picture> {
    const SHARE: (f64, f64) = (74.0, 64.0);
    const REQUESTS: (f64, f64) = (164.0, 104.0);
    let axis = Axis::of(series)?;
    let mut body = String::new();
    text(&mut body, (0.0, 14.0), "start", "strong", title);
    legend(&mut body);
    name_moments(&mut body, axis, moments, REQUESTS.0 + REQUESTS.1);
    share(&mut body, axis, series, SHARE);
    requests(&mut body, axis, series, REQUESTS);
    axis.labels(&mut body, REQUESTS.0 + REQUESTS.1 + 16.0);
    Some(Picture {
        height: REQUESTS.0 + REQUESTS.1 + 24.0,
        label: format!("{title}: the canary's share, and requests per minute by model"),
        body,
    })
}

fn legend(body: &mut String) {
    let entries = [
        ("old", "old model"),
        ("new", "new model"),
        ("bad", "answered 5XX"),
    ];
    for (place, (class, words)) in (0_u32..).zip(entries) {
        let x = WIDTH - RIGHT - 330.0 + 110.0 * f64::from(place);
        rectangle(body, class, (x, 4.0), (12.0, 12.0));
        text(body, (x + 17.0, 14.0), "start", "", words);
    }
}

/// What happened, in the first of three rows that has room for the words; without them where none has.
fn name_moments(body: &mut String, axis: Axis, moments: &[Moment], bottom: f64) {
    let mut ends = [f64::NEG_INFINITY; 3];
    for moment in moments.iter().filter(|moment| axis.holds(moment.at)) {
        let x = axis.at(moment.at);
        // About as wide as the words are drawn.
        let width = 7.0 * moment.word.chars().count() as f64 + 8.0;
        let is_late = x + width > WIDTH;
        let begins = if is_late { x - width } else { x };
        let row = ends.iter().position(|end| *end <= begins);
        let top = row.map_or(64.0, |row| 24.0 + 13.0 * row as f64);
        line(body, "mark", (x, top), (x, bottom));
        if let Some(row) = row {
            ends[row] = begins + width;
            let (at, anchor) = if is_late {
                (x - 3.0, "end")
            } else {
                (x + 3.0, "start")
            };
            text(body, (at, top + 10.0), anchor, "", &moment.word);
        }
    }
}

fn share(body: &mut String, axis: Axis, series: &Series, (top, height): (f64, f64)) {
    let base = top + height;
    for (part, words) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
        let y = base - height * part;
        line(body, "grid", (LEFT, y), (LEFT + PLOT, y));
        text(body, (LEFT - 6.0, y + 4.0), "end", "", words);
    }
    let step = SignedDuration::from_mins(series.minutes_per_point);
    let mut steps = String::new();
    for point in &series.points {
        let y = base - height * point.weight.fraction();
        let (from, until) = (axis.at(point.from), axis.at(point.from + step));
        let command = if steps.is_empty() { 'M' } else { 'L' };
        say(
            &mut steps,
            format_args!("{command}{from:.1} {y:.1}H{until:.1}"),
        );
    }
    say(
        body,
        format_args!("<path class=\"under\" d=\"{steps}V{base:.1}H{LEFT:.1}Z\"/>"),
    );
    say(body, format_args!("<path class=\"share\" d=\"{steps}\"/>"));
}

fn requests(body: &mut String, axis: Axis, series: &Series, (top, height): (f64, f64)) {
    let a_minute = |point: &Point, count: u64| count as f64 / point.minutes.max(1) as f64;
    let all = |point: &Point| {
        a_minute(
            point,
            point.canary.invocations + point.production.invocations,
        )
    };
    let most = series.points.iter().map(all).fold(1.0, f64::max);
    let base = top + height;
    let most_words = format!("{most:.0}");
    for (part, words) in [(0.0, "0"), (1.0, most_words.as_str())] {
        let y = base - height * part;
        line(body, "grid", (LEFT, y), (LEFT + PLOT, y));
        text(body, (LEFT - 6.0, y + 4.0), "end", "", words);
    }
    text(body, (LEFT, top - 6.0), "start", "", "requests per minute");
    let step = SignedDuration::from_mins(series.minutes_per_point);
    for point in &series.points {
        let (from, until) = (axis.at(point.from), axis.at(point.from + step));
        let width = (until - from - 1.0).max(0.6);
        let mut y = base;
        for (class, count) in stack(point) {
            let tall = height * a_minute(point, count) / most;
            y -= tall;
            if count > 0 {
                rectangle(body, class, (from, y), (width, tall));
            }
        }
    }
}

/// Every request once, from the bottom up.
fn stack(point: &Point) -> [(&'static str, u64); 4] {
    let (old, new) = (&point.production, &point.canary);
    let served = |invocations: u64, errors: u64| invocations.saturating_sub(errors);
    [
        ("old", served(old.invocations, old.errors_5xx)),
        ("bad", old.errors_5xx),
        ("new", served(new.invocations, new.errors_5xx)),
        ("bad", new.errors_5xx),
    ]
}

/// How a signal stood; nothing where it was never read.
pub fn signal(name: &str, track: &Track, series: &Series) -> Option<Picture> {
    const PANEL: (f64, f64) = (26.0, 96.0);
    let axis = Axis::of(series)?;
    let last = track.readings.last()?;
    let scaled = Scaled::of(track, PANEL);
    let mut body = String::new();
    let what = match track.scale {
        Scale::Ratio => "the canary's rate over production's",
        Scale::Share => "the canary's share of bad outcomes",
        Scale::Measure => "the canary's",
    };
    text(&mut body, (0.0, 14.0), "start", "strong", name);
    let now = last.value.or(last.low).map_or_else(String::new, |value| {
        format!("{what}, at the end {}", figure(value))
    });
    text(&mut body, (WIDTH - RIGHT, 14.0), "end", "", &now);
    for value in scaled.ticks() {
        let y = scaled.at(value);
        line(&mut body, "grid", (LEFT, y), (LEFT + PLOT, y));
        text(&mut body, (LEFT - 6.0, y + 4.0), "end", "", &figure(value));
    }
    let end = SignedDuration::from_mins(series.minutes_per_point / 2);
    band(&mut body, axis, &scaled, &track.readings);
    let values = track
        .readings
        .iter()
        .filter_map(|it| Some((it.at + end, it.value?)));
    let places: Vec<(f64, f64)> = values
        .map(|(at, value)| (axis.at(at), scaled.at(value)))
        .collect();
    polyline(&mut body, &places);
    if let Some(limit) = track.limit {
        let y = scaled.at(limit);
        line(&mut body, "limit", (LEFT, y), (LEFT + PLOT, y));
    }
    axis.labels(&mut body, PANEL.0 + PANEL.1 + 16.0);
    Some(Picture {
        height: PANEL.0 + PANEL.1 + 24.0,
        label: format!("{name}: {}", track.sentence),
        body,
    })
}

/// Where the values lie with 95 % confidence.
fn band(body: &mut String, axis: Axis, scaled: &Scaled, readings: &[Reading]) {
    let bounded = || readings.iter().filter(|reading| reading.low.is_some());
    if bounded().count() < 2 {
        return;
    }
    let highest = |reading: &Reading| reading.high.map_or(scaled.top, |high| scaled.at(high));
    let mut edge = String::new();
    for reading in bounded() {
        let command = if edge.is_empty() { 'M' } else { 'L' };
        let x = axis.at(reading.at);
        say(
            &mut edge,
            format_args!("{command}{x:.1} {:.1}", highest(reading)),
        );
    }
    for reading in bounded().collect::<Vec<_>>().into_iter().rev() {
        let low = reading.low.map_or(scaled.top, |low| scaled.at(low));
        say(
            &mut edge,
            format_args!("L{:.1} {low:.1}", axis.at(reading.at)),
        );
    }
    say(body, format_args!("<path class=\"band\" d=\"{edge}Z\"/>"));
}

fn polyline(body: &mut String, places: &[(f64, f64)]) {
    if let [(x, y)] = places {
        say(
            body,
            format_args!("<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"),
        );
    } else if !places.is_empty() {
        let points: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        say(
            body,
            format_args!(
                "<polyline class=\"value\" points=\"{}\"/>",
                points.join(" ")
            ),
        );
    }
}

/// Values from bottom to top: ratios by their logarithm, so that twice and half lie equally far from one.
struct Scaled {
    lowest: f64,
    highest: f64,
    is_ratio: bool,
    top: f64,
    height: f64,
}

/// What a ratio is drawn between, at the most.
const RATIOS: (f64, f64) = (0.05, 50.0);

impl Scaled {
    fn of(track: &Track, (top, height): (f64, f64)) -> Self {
        let is_ratio = track.scale == Scale::Ratio;
        let values = track
            .readings
            .iter()
            .flat_map(|it| [it.value, it.low, it.high]);
        let all: Vec<f64> = values
            .chain([track.limit])
            .flatten()
            .filter(|value| value.is_finite())
            .collect();
        let most = all.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        let (lowest, highest) = if is_ratio {
            let (floor, ceiling) = RATIOS;
            (
                (least * 0.9).clamp(floor, 0.5),
                (most * 1.1).clamp(2.0, ceiling),
            )
        } else {
            (least.min(0.0), (most * 1.15).min(1e300))
        };
        Self {
            lowest,
            highest,
            is_ratio,
            top,
            height,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.lowest, self.highest);
        let part = if self.is_ratio {
            (value / self.lowest).ln() / (self.highest / self.lowest).ln()
        } else {
            (value - self.lowest) / (self.highest - self.lowest)
        };
        self.top + self.height * (1.0 - part)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.is_ratio {
            let known = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 25.0, 50.0];
            let inside = |value: &f64| (self.lowest..=self.highest).contains(value);
            return known.into_iter().filter(inside).collect();
        }
        vec![self.lowest, self.highest / 2.0, self.highest]
    }
}

/// A number with three digits that say something.
fn figure(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if magnitude >= 100.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else if magnitude >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

fn text(body: &mut String, (x, y): (f64, f64), anchor: &str, class: &str, words: &str) {
    let class = if class.is_empty() {
        String::new()
    } else {
        format!(" class=\"{class}\"")
    };
    say(
        body,
        format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{class}>{}</text>",
            escaped(words)
        ),
    );
}

fn line(body: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    say(
        body,
        format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ),
    );
}

fn rectangle(body: &mut String, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
    say(
        body,
        format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ),
    );
}

fn say(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::evidence::Totals;
    use crate::domain::quantity::Weight;

    fn totals(invocations: u64, errors_5xx: u64) -> Totals {
        Totals {
            invocations,
            errors_4xx: 0,
            errors_5xx,
        }
    }

    fn series(points: i64) -> Series {
        let point = |number: i64| Point {
            from: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(number),
            minutes: 1,
            weight: Weight::new(25).expect("a weight"),
            canary: totals(40, 30),
            production: totals(60, 0),
        };
        Series {
            minutes: 0,
            minutes_per_point: 1,
            points: (0..points).map(point).collect(),
            ..Series::default()
        }
    }

    #[test]
    fn a_bar_holds_every_request_once() {
        let point = series(1).points[0];
        assert_eq!(
            stack(&point),
            [("old", 60), ("bad", 0), ("new", 10), ("bad", 30)]
        );
        let picture = traffic("t <x>", &series(3), &[]).expect("a picture");
        assert_eq!(
            picture.body.matches("<rect class=\"bad\"").count(),
            1 + 3,
            "the legend's, and no empty ones"
        );
        assert!(picture.svg().contains("t &lt;x&gt;") && !picture.svg().contains("<x>"));
        assert!(traffic("t", &series(0), &[]).is_none());
    }

    /// Words that would lie on each other are left out; their line is not.
    #[test]
    fn moments_that_come_at_once_keep_their_lines() {
        let moment = |minute: i64| Moment {
            at: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute),
            word: "old model removed".to_owned(),
        };
        let moments: Vec<Moment> = [0, 1, 2, 3, 59, 600].into_iter().map(moment).collect();
        let picture = traffic("t", &series(60), &moments).expect("a picture");
        assert_eq!(
            picture.body.matches("class=\"mark\"").count(),
            5,
            "and what lies outside has none"
        );
        assert_eq!(picture.body.matches("old model removed").count(), 4);
    }

    #[test]
    fn whatever_a_signal_shows_stays_inside_its_picture() {
        let reading = |value: Option<f64>, low: f64, high: Option<f64>| json!({"at": "1970-01-01T00:01:00Z", "value": value, "low": low, "high": high});
        for scale in ["ratio", "share", "measure"] {
            let track = json!({
                "scale": scale, "limit": 1.25, "sentence": "s",
                "readings": [
                    reading(Some(0.0), 0.0, None), reading(None, 1e-300, Some(1e300)),
                    reading(Some(1e9), 0.1, Some(3.0)),
                ],
            });
            let track: Track = serde_json::from_value(track).expect("a track");
            let picture = signal("errors", &track, &series(5)).expect("a picture");
            assert!(
                !picture.body.contains("NaN") && !picture.body.contains("inf"),
                "{scale}: {}",
                picture.body
            );
            let scaled = Scaled::of(&track, (26.0, 96.0));
            for value in [0.0, 1e-300, 1.0, 1e300] {
                assert!(
                    (26.0..=122.0).contains(&scaled.at(value)),
                    "{scale}: {value}"
                );
            }
        }
        let none: Track =
            serde_json::from_value(json!({"scale": "ratio", "sentence": "s", "readings": []}))
                .expect("a track");
        assert!(signal("errors", &none, &series(5)).is_none());
    }

    #[test]
    fn twice_and_half_lie_equally_far_from_one() {
        let track = json!({"scale": "ratio", "sentence": "s", "readings": []});
        let track: Track = serde_json::from_value(track).expect("a track");
        let scaled = Scaled::of(&track, (0.0, 100.0));
        let (half, one, twice) = (scaled.at(0.5), scaled.at(1.0), scaled.at(2.0));
        assert!(
            (half - one - (one - twice)).abs() < 1e-9 && half > one,
            "{half} {one} {twice}"
        );
    }
}
