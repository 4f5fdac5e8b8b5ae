//! Pictures of what was judged, as SVG: the canary's share and the requests of both models over time, their
//! latency, their scores, and how each signal stood with its interval. Of a report's page, and of the README.
//!
//! Colours are named, and whoever shows a picture says what they are: [`STYLE`] draws with them, on
//! white by [`ON_WHITE`]. Whatever comes from the record is escaped.

mod latency;
mod scores;
mod signal;

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::series::{Point, Series};
use crate::domain::history::{Entry, Name};
use crate::domain::quantity::Weight;
use crate::wire::html::escaped;

pub use latency::latency;
pub use scores::scores;
pub use signal::signal;

/// How everything is drawn, in named colours.
pub const STYLE: &str = "svg text{font:12px system-ui,sans-serif;fill:var(--muted)}svg .strong{fill:var(--ink);font-weight:600}svg .grid{stroke:var(--line);fill:none}svg .mark{stroke:var(--muted);stroke-dasharray:2 3}svg .old{fill:var(--old)}svg .new{fill:var(--new)}svg .bad{fill:var(--bad)}svg .over{paint-order:stroke;stroke:var(--panel);stroke-width:4px;stroke-linejoin:round}svg .unjudged{fill:var(--line);fill-opacity:.4}svg .share{stroke:var(--share);stroke-width:2;fill:none}svg .under{fill:var(--share);fill-opacity:.15}svg .value{stroke:var(--new);stroke-width:2;fill:none}svg .band{fill:var(--new);fill-opacity:.2}svg .limit{stroke:var(--bad);stroke-dasharray:6 4}svg .dot{fill:var(--new)}svg .old-line,svg .new-line{stroke:var(--old);stroke-width:1.75;fill:none}svg .new-line{stroke:var(--new)}svg .old-band,svg .new-band{fill:var(--old);fill-opacity:.28}svg .new-band{fill:var(--new);fill-opacity:.22}";
/// The colours on a white ground.
pub const ON_WHITE: &str = "--panel:#fff;--ink:#0f172a;--muted:#475569;--line:#cbd5e1;--old:#94a3b8;--new:#0d9488;--bad:#dc2626;--share:#4f46e5;";

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
    /// What stands above it.
    pub title: String,
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
    /// The canary's share from then on; absent where it stays what it was.
    share: Option<Weight>,
}

/// The moments of a history that a picture names.
pub fn moments(history: &[Entry]) -> Vec<Moment> {
    let named = history.iter().filter_map(|entry| {
        let word = match entry.event {
            Name::Shifted => entry.weight.to_string(),
            Name::Soaking => "100 %".to_owned(),
            Name::Paused => "paused".to_owned(),
            Name::Blind => "blind".to_owned(),
            Name::RollingBack => "rollback".to_owned(),
            Name::Reverted => "all back".to_owned(),
            Name::Finalizing => "old model removed".to_owned(),
            Name::WatchEnded => "watch over".to_owned(),
            _ => return None,
        };
        let confirms = matches!(entry.event, Name::Shifted | Name::Soaking | Name::Reverted);
        Some(Moment {
            at: entry.at,
            word,
            share: confirms.then_some(entry.weight),
        })
    });
    named.collect()
}

/// One model's part of a row.
type Of<Row, Part> = fn(&Row) -> Part;

/// Time from left to right.
#[derive(Debug, Clone, Copy)]
struct Axis {
    from: Timestamp,
    length: SignedDuration,
}

impl Axis {
    /// From the first judged minute to the last, and on to what happened shortly before and after: a
    /// rollback is decided and carried out when no more minutes are judged. Nothing where nothing was judged.
    fn of(series: &Series, moments: &[Moment]) -> Option<Self> {
        let (first, end) = judged(series)?;
        let around = |moment: &&Moment| (first - AROUND..=end + AROUND).contains(&moment.at);
        let reached = || moments.iter().filter(around).map(|moment| moment.at);
        let from = reached().fold(first, Timestamp::min);
        let until = reached().fold(end, Timestamp::max);
        let length = until.duration_since(from);
        Some(Self {
            from,
            length: length.max(SignedDuration::from_mins(1)),
        })
    }

    fn at(self, time: Timestamp) -> f64 {
        let since = time.duration_since(self.from).as_secs_f64();
        LEFT + PLOT * (since / self.length.as_secs_f64()).clamp(0.0, 1.0)
    }

    fn holds(self, time: Timestamp) -> bool {
        (SignedDuration::ZERO..=self.length).contains(&time.duration_since(self.from))
    }

    /// Whole times below the plot where they lie, in UTC; with their days where there are several.
    fn labels(self, body: &mut String, y: f64) {
        let format = if self.length > SignedDuration::from_hours(20) {
            "%b %-d %H:%M"
        } else {
            "%H:%M"
        };
        let step = self.step().as_secs();
        let mut since = (-self.from.as_second()).rem_euclid(step);
        while since <= self.length.as_secs() {
            let time = self.from + SignedDuration::from_secs(since);
            let words = time.to_zoned(TimeZone::UTC).strftime(format).to_string();
            let x = self.at(time);
            line(body, "grid", (x, y - 16.0), (x, y - 12.0));
            // About half as wide as it is drawn.
            if x + 3.5 * words.chars().count() as f64 <= WIDTH {
                text(body, (x, y), "middle", "", &words);
            }
            since += step;
        }
    }

    /// The shortest time between two labels that leaves room for them.
    fn step(self) -> SignedDuration {
        const MOST: i64 = 7;
        const DAY: i64 = 24 * 60;
        const MINUTES: [i64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, DAY];
        let length = self.length.as_mins();
        let known = MINUTES.into_iter().find(|minutes| length / minutes < MOST);
        let days = || (length / MOST / DAY + 1) * DAY;
        SignedDuration::from_mins(known.unwrap_or_else(days))
    }
}

/// What happened so shortly before the first judged minute or after the last one is in the pictures, too.
const AROUND: SignedDuration = SignedDuration::from_mins(5);

/// From the beginning of the first judged minute to the end of the last.
fn judged(series: &Series) -> Option<(Timestamp, Timestamp)> {
    let (first, last) = (series.points.first()?, series.points.last()?);
    let length = SignedDuration::from_mins(series.minutes_per_point);
    Some((first.from, last.from + length))
}

/// The canary's share above the requests of both models; nothing where nothing was judged.
pub fn traffic(title: &str, series: &Series, moments: &[Moment]) -> Option<Picture> {
    const SHARE: (f64, f64) = (74.0, 64.0);
    const REQUESTS: (f64, f64) = (164.0, 104.0);
    let axis = Axis::of(series, moments)?;
    let mut body = String::new();
    text(&mut body, (0.0, 14.0), "start", "strong", title);
    let colours = [
        ("old", "old model"),
        ("new", "new model"),
        ("bad", "answered 5XX"),
    ];
    legend(&mut body, 4.0, &colours);
    name_moments(&mut body, axis, moments, REQUESTS.0 + REQUESTS.1);
    unjudged(&mut body, axis, series, REQUESTS);
    share(&mut body, axis, (series, moments), SHARE);
    requests(&mut body, axis, series, REQUESTS);
    axis.labels(&mut body, REQUESTS.0 + REQUESTS.1 + 16.0);
    Some(Picture {
        height: REQUESTS.0 + REQUESTS.1 + 24.0,
        title: title.to_owned(),
        label: format!("{title}: the canary's share, and requests per minute by model"),
        body,
    })
}

/// What the colours stand for, from the right edge on.
fn legend(body: &mut String, top: f64, entries: &[(&str, &str)]) {
    const EACH: f64 = 110.0;
    let left = WIDTH - RIGHT - EACH * entries.len() as f64;
    for (place, (class, words)) in (0_u32..).zip(entries) {
        let x = left + EACH * f64::from(place);
        rectangle(body, class, (x, top), (12.0, 12.0));
        text(body, (x + 17.0, top + 10.0), "start", "", words);
    }
}

/// The times at the edges that were not judged, so that nobody takes them for times without requests.
fn unjudged(body: &mut String, axis: Axis, series: &Series, (top, height): (f64, f64)) {
    let Some((first, end)) = judged(series) else {
        return;
    };
    for (from, until) in [(LEFT, axis.at(first)), (axis.at(end), LEFT + PLOT)] {
        let width = until - from;
        if width < 1.0 {
            continue;
        }
        rectangle(body, "unjudged", (from, top), (width, height));
        // As wide as the words are drawn, and a little room.
        if width > 72.0 {
            let middle = (from + width / 2.0, top + height / 2.0);
            text(body, middle, "middle", "over", "not judged");
        }
    }
}

/// What happened, in the first of three rows that has room for the words; without them where none has.
/// The words come after all lines and cover those that they lie on.
fn name_moments(body: &mut String, axis: Axis, moments: &[Moment], bottom: f64) {
    let mut ends = [f64::NEG_INFINITY; 3];
    let mut words = String::new();
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
            text(&mut words, (at, top + 10.0), anchor, "over", &moment.word);
        }
    }
    body.push_str(&words);
}

/// The canary's share: of each judged minute, and after the last one as the moments have it.
fn share(
    body: &mut String,
    axis: Axis,
    (series, moments): (&Series, &[Moment]),
    (top, height): (f64, f64),
) {
    let Some((first, end)) = judged(series) else {
        return;
    };
    let base = top + height;
    for (part, words) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
        let y = base - height * part;
        line(body, "grid", (LEFT, y), (LEFT + PLOT, y));
        text(body, (LEFT - 6.0, y + 4.0), "end", "", words);
    }
    let step = SignedDuration::from_mins(series.minutes_per_point);
    let mut steps = String::new();
    for point in &series.points {
        let y = base - height * point.share().fraction();
        let (from, until) = (axis.at(point.from), axis.at(point.from + step));
        let command = if steps.is_empty() { 'M' } else { 'L' };
        say(
            &mut steps,
            format_args!("{command}{from:.1} {y:.1}H{until:.1}"),
        );
    }
    let after = moments
        .iter()
        .filter(|it| it.at >= end && axis.holds(it.at));
    for (moment, share) in after.filter_map(|it| Some((it, it.share?))) {
        let (x, y) = (axis.at(moment.at), base - height * share.fraction());
        say(&mut steps, format_args!("H{x:.1}V{y:.1}"));
    }
    say(&mut steps, format_args!("H{:.1}", LEFT + PLOT));
    let left = axis.at(first);
    say(
        body,
        format_args!("<path class=\"under\" d=\"{steps}V{base:.1}H{left:.1}Z\"/>"),
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
    let what = "requests per minute";
    text(body, (LEFT, top - 6.0), "start", "over", what);
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
    use super::*;
    use crate::domain::evidence::Totals;

    fn totals(invocations: u64, errors_5xx: u64) -> Totals {
        Totals {
            invocations,
            errors_4xx: 0,
            errors_5xx,
        }
    }

    pub(super) fn series(points: i64) -> Series {
        let point = |number: i64| Point {
            from: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(number),
            minutes: 1,
            weight: Weight::new(25).expect("a weight"),
            observed_weight: None,
            canary: totals(40, 30),
            production: totals(60, 0),
            canary_latency: None,
            production_latency: None,
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

    fn after(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    /// 12 minutes from 08:09:30 on: by hand, labels stand at 08:10, 08:12, … and nowhere else.
    #[test]
    fn labels_are_whole_times_where_they_lie() {
        let axis = Axis {
            from: after(8 * 3600 + 9 * 60 + 30),
            length: SignedDuration::from_mins(12),
        };
        let mut body = String::new();
        axis.labels(&mut body, 0.0);
        let x = LEFT + PLOT * 30.0 / 720.0;
        assert!(body.contains(&format!("<text x=\"{x:.1}\"")), "{body}");
        for words in [">08:10<", ">08:12<", ">08:20<"] {
            assert!(body.contains(words), "{words} in {body}");
        }
        assert!(!body.contains(">08:09<") && !body.contains(">08:11<"));
        for (minutes, step) in [
            (1, 1),
            (13, 2),
            (60, 10),
            (24 * 60, 360),
            (90 * 1440, 13 * 1440),
        ] {
            let length = SignedDuration::from_mins(minutes);
            let axis = Axis { length, ..axis };
            assert_eq!(axis.step(), SignedDuration::from_mins(step), "{minutes}");
        }
    }

    /// Decided 2 minutes after the last judged one and done 90 s later: both lie where they were, and the
    /// share goes on to the second.
    #[test]
    fn a_rollback_stands_where_it_was_and_the_time_after_the_last_minute_is_marked() {
        let moment = |seconds: i64, word: &str, share: Option<Weight>| Moment {
            at: after(seconds),
            word: word.to_owned(),
            share,
        };
        let moments = [
            moment(12 * 60, "rollback", None),
            moment(12 * 60 + 90, "all back", Some(Weight::ZERO)),
        ];
        let series = series(10);
        let axis = Axis::of(&series, &moments).expect("an axis");
        assert_eq!(axis.length, SignedDuration::from_secs(810));
        let body = traffic("t", &series, &moments).expect("a picture").body;
        assert_eq!(body.matches("class=\"unjudged\"").count(), 1, "{body}");
        assert!(body.contains(">not judged<"), "{body}");
        let x = axis.at(moments[0].at);
        assert!(body.contains(&format!("class=\"mark\" x1=\"{x:.1}\"")));
        assert!(x < LEFT + PLOT - 10.0, "{x}");
        let picture = traffic("t", &series, &[]).expect("a picture");
        assert!(!picture.body.contains("unjudged"), "{}", picture.body);
    }

    /// Words that would lie on each other are left out; their line is not.
    #[test]
    fn moments_that_come_at_once_keep_their_lines() {
        let moment = |minute: i64| Moment {
            at: after(60 * minute),
            word: "old model removed".to_owned(),
            share: None,
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
}
