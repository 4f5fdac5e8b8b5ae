//! How long both models took: from the median to the 99th percentile as a band, with the 95th in it.

use jiff::SignedDuration;

use super::super::series::{Latency, Point, Series};
use super::signal::{figure, unbroken};
use super::{Axis, LEFT, Moment, Of, PLOT, Picture, legend, line, say, text};

/// Top and height of the plot.
const PLOT_OF: (f64, f64) = (40.0, 110.0);
/// So many times the largest 95th percentile the picture is high at the most: one slow request in a
/// minute with few must not flatten everything else.
const HIGHEST: f64 = 3.0;

/// The latency of both models; nothing where it was never measured.
pub fn latency(series: &Series, moments: &[Moment]) -> Option<Picture> {
    let axis = Axis::of(series, moments)?;
    let all = || {
        let points = series.points.iter();
        points.flat_map(|point| {
            [point.canary_latency, point.production_latency]
                .into_iter()
                .flatten()
        })
    };
    let of = |percentile: fn(&Latency) -> f64| all().map(|it| percentile(&it)).fold(0.0, f64::max);
    let (p95, p99) = (of(|it| it.p95_ms), of(|it| it.p99_ms));
    all().next()?;
    let most = p99.min(HIGHEST * p95).max(p95).max(0.1) * 1.05;
    let (top, height) = PLOT_OF;
    let base = top + height;
    let y = |milliseconds: f64| base - height * (milliseconds / most).clamp(0.0, 1.0);
    let mut body = String::new();
    let title = "Latency of the models".to_owned();
    text(&mut body, (0.0, 14.0), "start", "strong", &title);
    legend(
        &mut body,
        4.0,
        &[("old", "old model"), ("new", "new model")],
    );
    let note = "milliseconds; line: 95 % are faster, band: from the median to 99 %";
    text(&mut body, (LEFT, top - 8.0), "start", "", note);
    for part in [0.0, 0.5, 1.0] {
        let value = most * part;
        line(&mut body, "grid", (LEFT, y(value)), (LEFT + PLOT, y(value)));
        text(
            &mut body,
            (LEFT - 6.0, y(value) + 4.0),
            "end",
            "",
            &figure(value),
        );
    }
    let half = SignedDuration::from_secs(30 * series.minutes_per_point);
    let arms: [(&str, Of<Point, Option<Latency>>); 2] = [
        ("old", |point| point.production_latency),
        ("new", |point| point.canary_latency),
    ];
    for (class, of) in arms {
        let measured: Vec<Option<(f64, Latency)>> = series
            .points
            .iter()
            .map(|point| Some((axis.at(point.from + half), of(point)?)))
            .collect();
        band(&mut body, class, &measured, y);
        let line = measured
            .iter()
            .map(|it| it.map(|(x, it)| (x, y(it.p95_ms))));
        unbroken(&mut body, class, line);
    }
    axis.labels(&mut body, base + 16.0);
    Some(Picture {
        height: base + 24.0,
        title,
        label: "Latency of both models: median, 95th and 99th percentile".to_owned(),
        body,
    })
}

/// From the median to the 99th percentile, with a gap wherever nothing was measured.
fn band(
    body: &mut String,
    class: &str,
    measured: &[Option<(f64, Latency)>],
    y: impl Fn(f64) -> f64,
) {
    for run in measured.split(Option::is_none) {
        if run.len() < 2 {
            continue;
        }
        let places = || run.iter().copied().flatten();
        let above = places().map(|(x, it)| format!("{x:.1},{:.1}", y(it.p99_ms)));
        let below = places()
            .rev()
            .map(|(x, it)| format!("{x:.1},{:.1}", y(it.p50_ms)));
        let edge: Vec<String> = above.chain(below).collect();
        let edge = edge.join(" ");
        say(
            body,
            format_args!("<polygon class=\"{class}-band\" points=\"{edge}\"/>"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::series;
    use super::*;

    fn took(p50_ms: f64, p95_ms: f64, p99_ms: f64) -> Latency {
        Latency {
            p50_ms,
            p95_ms,
            p99_ms,
        }
    }

    #[test]
    fn a_minute_without_latency_is_a_gap_and_none_at_all_no_picture() {
        let mut measured = series(6);
        assert!(latency(&measured, &[]).is_none(), "never measured");
        for (place, point) in measured.points.iter_mut().enumerate() {
            point.production_latency = Some(took(10.0, 20.0, 30.0));
            if place != 2 {
                point.canary_latency = Some(took(20.0, 40.0, 60.0));
            }
        }
        let body = latency(&measured, &[]).expect("a picture").body;
        let count = |part: &str| body.matches(part).count();
        assert_eq!(
            (count("class=\"old-line\""), count("class=\"new-line\"")),
            (1, 2),
            "{body}"
        );
        assert_eq!(count("class=\"new-band\""), 2, "{body}");
    }

    /// One minute with one very slow request: the others stay readable, and everything inside.
    #[test]
    fn one_slow_minute_does_not_flatten_the_rest() {
        let mut measured = series(3);
        for point in &mut measured.points {
            point.canary_latency = Some(took(10.0, 20.0, 25.0));
        }
        measured.points[1].canary_latency = Some(took(10.0, 20.0, 60_000.0));
        let body = latency(&measured, &[]).expect("a picture").body;
        assert!(
            body.contains(">63.0<"),
            "three times 20 and a little: {body}"
        );
        assert!(!body.contains("NaN") && !body.contains("=\"-"), "{body}");
    }
}
