//! How one signal stood: everything since the rollout began with its interval above, and each model by
//! itself, point by point, below.

use jiff::{SignedDuration, Timestamp};

use super::super::series::{Reading, Scale, Series, Share, ShareOf, Track};
use super::{Axis, LEFT, Moment, Of, PLOT, Picture, RIGHT, WIDTH, legend, line, say, text};
use crate::domain::comparison::Counts;
use crate::domain::signal::spoken;

/// Top and height of what is known so far.
const STANDING: (f64, f64) = (26.0, 96.0);
/// Top and height of each model by itself.
const APART: (f64, f64) = (172.0, 60.0);

/// How a signal stood; nothing where it was never read.
pub fn signal(name: &str, track: &Track, series: &Series, moments: &[Moment]) -> Option<Picture> {
    let name = spoken(name);
    let axis = Axis::of(series, moments)?;
    let last = track.readings.last()?;
    let mut body = String::new();
    let what = match track.scale {
        // Whatever the signal is called: of accuracy these are the wrong predictions.
        Scale::Ratio => "bad outcomes: the canary's rate over production's",
        Scale::Share => "bad outcomes: the canary's share",
        Scale::Measure => "the canary's",
    };
    text(&mut body, (0.0, 14.0), "start", "strong", name);
    let now = last.value.or(last.low).map_or_else(String::new, |value| {
        format!("{what}, at the end {}", figure(value))
    });
    text(&mut body, (WIDTH - RIGHT, 14.0), "end", "", &now);
    standing(&mut body, axis, track, series);
    let bottom = if apart(&mut body, axis, (name, track), series) {
        APART.0 + APART.1
    } else {
        STANDING.0 + STANDING.1
    };
    axis.labels(&mut body, bottom + 16.0);
    Some(Picture {
        height: bottom + 24.0,
        title: name.to_owned(),
        label: format!("{name}: {}", track.sentence),
        body,
    })
}

/// Everything since the rollout began, against what is still good.
fn standing(body: &mut String, axis: Axis, track: &Track, series: &Series) {
    let scaled = Scaled::of(track, STANDING);
    for value in scaled.ticks() {
        let y = scaled.at(value);
        line(body, "grid", (LEFT, y), (LEFT + PLOT, y));
        text(body, (LEFT - 6.0, y + 4.0), "end", "", &figure(value));
    }
    let x = |reading: &Reading| axis.at(middle(series, reading.at));
    band(body, x, &scaled, &track.readings);
    let values = track.readings.iter();
    let places: Vec<(f64, f64)> = values
        .filter_map(|it| Some((x(it), scaled.at(it.value?))))
        .collect();
    polyline(body, &places);
    if let Some(limit) = track.limit {
        let y = scaled.at(limit);
        line(body, "limit", (LEFT, y), (LEFT + PLOT, y));
    }
}

/// The middle of the point that holds a minute: where each model by itself is drawn as well.
fn middle(series: &Series, minute: Timestamp) -> Timestamp {
    let Some(first) = series.points.first() else {
        return minute;
    };
    let length = series.minutes_per_point.max(1);
    let point = minute.duration_since(first.from).as_mins() / length;
    first.from + SignedDuration::from_secs(60 * length * point + 30 * length)
}

/// What each model did in each point's minutes; whether there is any.
fn apart(body: &mut String, axis: Axis, (name, track): (&str, &Track), series: &Series) -> bool {
    let share = |counts: Counts| Some(track.shown.value(counts.rate()?));
    let all = track.shares.iter();
    let all = all.flat_map(|it| [share(it.canary), share(it.production)]);
    let Some(most) = all.flatten().reduce(f64::max) else {
        return false;
    };
    let (top, height) = APART;
    let (base, most) = (top + height, (most * 1.15).clamp(1e-6, 1.0));
    let what = match track.shown {
        ShareOf::Bad => "each model by itself: share of bad outcomes".to_owned(),
        ShareOf::Good | ShareOf::F1 => format!("each model by itself: {name}"),
    };
    text(body, (LEFT, top - 10.0), "start", "", &what);
    legend(
        body,
        top - 20.0,
        &[("old", "old model"), ("new", "new model")],
    );
    for value in [0.0, most] {
        let y = base - height * value / most;
        line(body, "grid", (LEFT, y), (LEFT + PLOT, y));
        text(body, (LEFT - 6.0, y + 4.0), "end", "", &in_percent(value));
    }
    let half = SignedDuration::from_secs(30 * series.minutes_per_point);
    let place = |at: &Share, counts: Counts| {
        let y = base - height * (share(counts)? / most).clamp(0.0, 1.0);
        Some((axis.at(at.from + half), y))
    };
    let arms: [(&str, Of<Share, Counts>); 2] =
        [("old", |it| it.production), ("new", |it| it.canary)];
    for (class, of) in arms {
        let places = track.shares.iter().map(|it| place(it, of(it)));
        unbroken(body, class, places);
    }
    true
}

/// A line with a gap wherever there is nothing, and a dot where a point stands alone.
pub(super) fn unbroken(
    body: &mut String,
    class: &str,
    places: impl Iterator<Item = Option<(f64, f64)>>,
) {
    let places: Vec<Option<(f64, f64)>> = places.collect();
    for run in places.split(Option::is_none) {
        let run: Vec<(f64, f64)> = run.iter().copied().flatten().collect();
        if let [(x, y)] = run.as_slice() {
            let dot =
                format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
            say(body, dot);
        } else if !run.is_empty() {
            let points: Vec<String> = run.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let line = points.join(" ");
            say(
                body,
                format_args!("<polyline class=\"{class}-line\" points=\"{line}\"/>"),
            );
        }
    }
}

/// A share with as many digits as say something.
fn in_percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent == 0.0 || percent >= 10.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.2} %")
    }
}

/// Where the values lie with 95 % confidence.
fn band(body: &mut String, x: impl Fn(&Reading) -> f64, scaled: &Scaled, readings: &[Reading]) {
    let bounded = || readings.iter().filter(|reading| reading.low.is_some());
    if bounded().count() < 2 {
        return;
    }
    let highest = |reading: &Reading| reading.high.map_or(scaled.top, |high| scaled.at(high));
    let mut edge = String::new();
    for reading in bounded() {
        let command = if edge.is_empty() { 'M' } else { 'L' };
        let (x, y) = (x(reading), highest(reading));
        say(&mut edge, format_args!("{command}{x:.1} {y:.1}"));
    }
    for reading in bounded().collect::<Vec<_>>().into_iter().rev() {
        let low = reading.low.map_or(scaled.top, |low| scaled.at(low));
        let x = x(reading);
        say(&mut edge, format_args!("L{x:.1} {low:.1}"));
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

/// How high a label is.
const LABEL: f64 = 14.0;
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
        if !self.is_ratio {
            return vec![self.lowest, self.highest / 2.0, self.highest];
        }
        // What is known best comes first, and the others where their labels have room.
        let known = [1.0, 10.0, 0.1, 2.0, 0.5, 50.0, 4.0, 0.25, 25.0];
        let mut ticks: Vec<f64> = Vec::with_capacity(known.len());
        for value in known {
            let is_apart = |tick: &f64| (self.at(*tick) - self.at(value)).abs() >= LABEL;
            let is_inside = (self.lowest..=self.highest).contains(&value);
            if is_inside && ticks.iter().all(is_apart) {
                ticks.push(value);
            }
        }
        ticks
    }
}

/// A number with three digits that say something.
pub(super) fn figure(value: f64) -> String {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::series;
    use super::*;

    fn track(with: &serde_json::Value) -> Track {
        let mut track = json!({"scale": "share", "sentence": "s", "readings": [
            {"at": "1970-01-01T00:01:00Z", "value": 0.5},
        ]});
        let fields = track.as_object_mut().expect("an object");
        fields.extend(with.as_object().expect("an object").clone());
        serde_json::from_value(track).expect("a track")
    }

    /// By hand: 3 of 4 wrong are 75 % wrong, 25 % right, and an F1 of 2 (1 - q) / (2 - q) = 0.4.
    #[test]
    fn a_share_is_shown_as_its_signal_is_called() {
        for (shown, value) in [
            (ShareOf::Bad, 0.75),
            (ShareOf::Good, 0.25),
            (ShareOf::F1, 0.4),
        ] {
            assert!((shown.value(0.75) - value).abs() < 1e-12, "{shown:?}");
        }
    }

    #[test]
    fn a_picture_is_named_as_people_call_its_signal() {
        let readings = json!([{"at": "1970-01-01T00:01:00Z", "value": 2.0}]);
        let track = track(&json!({"scale": "ratio", "readings": readings, "shares": []}));
        for (name, title) in [("client_errors", "4XX errors"), ("accuracy", "accuracy")] {
            let picture = signal(name, &track, &series(5), &[]).expect("a picture");
            assert_eq!(picture.title, title);
            assert!(
                picture.label.starts_with(&format!("{title}: ")),
                "{}",
                picture.label
            );
            assert!(
                picture.body.contains(&format!(">{title}<")),
                "{}",
                picture.body
            );
        }
    }

    /// A point without any trial is a gap and not a share of nothing.
    #[test]
    fn each_model_is_drawn_by_itself_with_gaps_where_nothing_was_counted() {
        let share = |minute: u8, canary: u64, production: u64| {
            json!({"from": format!("1970-01-01T00:0{minute}:00Z"),
                   "canary": {"n": canary, "x": 0}, "production": {"n": production, "x": production / 2}})
        };
        let drawn = |shares: serde_json::Value| {
            let track = track(&json!({"shares": shares}));
            signal("errors", &track, &series(5), &[])
                .expect("a picture")
                .body
        };
        let body = drawn(json!([
            share(0, 9, 10),
            share(1, 9, 10),
            share(2, 0, 10),
            share(3, 9, 10)
        ]));
        assert_eq!(body.matches("class=\"old-line\"").count(), 1, "{body}");
        assert_eq!(body.matches("class=\"new-line\"").count(), 1, "{body}");
        assert_eq!(body.matches("<circle class=\"new\"").count(), 1, "{body}");
        // Half of them, and a little room above.
        assert!(body.contains(">57 %<") || body.contains(">58 %<"), "{body}");
        let nothing = drawn(json!([share(0, 0, 0)]));
        assert!(!nothing.contains("by itself"), "{nothing}");
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
            let picture = signal("errors", &track, &series(5), &[]).expect("a picture");
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
        assert!(signal("errors", &none, &series(5), &[]).is_none());
    }

    /// What is compared is the wrong predictions, what each model did is the right ones; a minute's both
    /// lie in its middle.
    #[test]
    fn accuracy_says_which_of_its_panels_counts_the_bad_ones() {
        let readings = json!([{"at": "1970-01-01T00:01:00Z", "value": 18.0}]);
        let shares = json!([{"from": "1970-01-01T00:01:00Z", "canary": {"n": 5, "x": 5},
                             "production": {"n": 5, "x": 0}}]);
        let track = track(&json!({"scale": "ratio", "shown": "good", "shares": shares,
                                  "readings": readings}));
        let body = signal("accuracy", &track, &series(5), &[])
            .expect("a picture")
            .body;
        for words in [
            ">bad outcomes: the canary&#39;s rate over production&#39;s, at the end 18.0<",
            ">each model by itself: accuracy<",
        ] {
            assert!(body.contains(words), "{words} in {body}");
        }
        let x = LEFT + PLOT * 1.5 / 5.0;
        assert_eq!(body.matches(&format!("cx=\"{x:.1}\"")).count(), 3, "{body}");
    }

    #[test]
    fn labels_of_ratios_have_room() {
        let track = json!({"scale": "ratio", "sentence": "s", "readings": [
            {"at": "1970-01-01T00:01:00Z", "value": 1.0, "low": 0.01, "high": 100.0},
        ]});
        let track: Track = serde_json::from_value(track).expect("a track");
        let scaled = Scaled::of(&track, STANDING);
        let ticks = scaled.ticks();
        assert!(ticks.contains(&1.0) && ticks.len() >= 3, "{ticks:?}");
        let mut places: Vec<f64> = ticks.iter().map(|tick| scaled.at(*tick)).collect();
        places.sort_by(f64::total_cmp);
        assert!(
            places.windows(2).all(|it| it[1] - it[0] >= LABEL),
            "{places:?}"
        );
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
