//! The study in one picture: how many healthy canaries each method rolls back, and how soon it finds
//! a worse one.

use std::fmt::Write as _;

use crate::{METHODS, Row};

const WIDTH: usize = 900;
const LEFT: usize = 250;
const ROW: usize = 20;
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#334155}.h{font-weight:600;font-size:14px}.s{fill:#64748b;font-size:11px}line{stroke:#cbd5e1}.l{stroke:#dc2626;stroke-dasharray:4 3}";
/// Light enough for dark words to be read on them: the label of a long bar stands inside.
const COLOURS: [&str; 7] = [
    "#fbbf24", "#f87171", "#a78bfa", "#60a5fa", "#22d3ee", "#cbd5e1", "#2dd4bf",
];
/// The cells shown, by their names in the tables.
const HEALTHY: [&str; 6] = [
    "100/min",
    "1000/min",
    "1000/min, errors of an arm vary by 100 %",
    "1000/min, an arm has x10 for 3 min every 2 h",
    "1000/min, both arms have x10 for 20 min",
    "100/min, lognormal latency",
];
const WORSE: [&str; 6] = [
    "1000/min, 0.5 %, 1 signal",
    "1000/min, 1 %, 1 signal",
    "1000/min, 5 %, 1 signal",
    "1000/min, 0.5 % from minute 60, 1 signal",
    "1000/min, 5 % from minute 60, 1 signal",
    "100/min, 1.2 times slower, lognormal latency",
];

/// The document.
pub(crate) fn draw(healthy: &[Row], worse: &[Row]) -> String {
    let group = ROW + METHODS.len() * 11 + 8;
    let height = 150 + group * (HEALTHY.len() + WORSE.len()) + 70;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"False rollbacks and minutes to detection by method\"><style>{STYLE}</style><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>"
    );
    legend(&mut svg);
    let mut top = 80;
    title(
        &mut svg,
        top,
        "Healthy canaries rolled back (percent of rollouts, 10 hours; red line: the promised 1 %)",
    );
    top += 14;
    for name in HEALTHY {
        if let Some(row) = healthy.iter().find(|row| row.name == name) {
            let bars = row.figures.iter().map(|figures| Bar {
                length: figures.rolled_back / 100.0,
                label: format!("{:.1} %", figures.rolled_back),
            });
            panel(&mut svg, top, name, &bars.collect::<Vec<_>>());
            let one = LEFT + (WIDTH - LEFT - 90) / 100;
            let (from, to) = (top + ROW - 4, top + group - 8);
            say(
                &mut svg,
                format_args!(
                    "<line class=\"l\" x1=\"{one}\" x2=\"{one}\" y1=\"{from}\" y2=\"{to}\"/>"
                ),
            );
        }
        top += group;
    }
    top += 30;
    title(
        &mut svg,
        top,
        "Worse canaries: median minutes from the onset to the rollback (bars end at 60)",
    );
    top += 14;
    for name in WORSE {
        if let Some(row) = worse.iter().find(|row| row.name == name) {
            let bars = row.figures.iter().map(|figures| match figures.median {
                Some(minutes) => Bar {
                    length: (minutes as f64 / 60.0).min(1.0),
                    label: early(format!("{minutes} min"), figures.too_early),
                },
                None => Bar {
                    length: 1.0,
                    label: early("not in half of the rollouts".to_owned(), figures.too_early),
                },
            });
            panel(&mut svg, top, name, &bars.collect::<Vec<_>>());
        }
        top += group;
    }
    svg.push_str("</svg>\n");
    svg
}

struct Bar {
    length: f64,
    label: String,
}

fn early(label: String, too_early: f64) -> String {
    if too_early < 5.0 {
        return label;
    }
    format!("{label}; {too_early:.0} % rolled back before")
}

fn legend(svg: &mut String) {
    for (index, (name, colour)) in METHODS.iter().zip(COLOURS).enumerate() {
        let (x, y) = (20 + index % 4 * 210, 16 + index / 4 * 22);
        say(
            svg,
            format_args!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"{}\">{}</text>",
                x + 18,
                y + 10,
                name.replace('<', "&lt;")
            ),
        );
    }
}

fn title(svg: &mut String, y: usize, text: &str) {
    say(
        svg,
        format_args!("<text class=\"h\" x=\"20\" y=\"{y}\">{text}</text>"),
    );
}

fn panel(svg: &mut String, top: usize, name: &str, bars: &[Bar]) {
    let middle = top + ROW + bars.len() * 11 / 2;
    for (index, part) in name.split(", ").enumerate() {
        let y = middle - 10 + index * 15;
        say(svg, format_args!("<text x=\"20\" y=\"{y}\">{part}</text>"));
    }
    for (index, (bar, colour)) in bars.iter().zip(COLOURS).enumerate() {
        let y = top + ROW - 4 + index * 11;
        let width = (bar.length * (WIDTH - LEFT - 90) as f64).max(1.0);
        let inside = bar.length > 0.75;
        let (x, anchor, fill) = if inside {
            (LEFT as f64 + width - 4.0, "end", "#0f172a")
        } else {
            (LEFT as f64 + width + 9.0, "start", "#334155")
        };
        say(
            svg,
            format_args!(
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"9\" fill=\"{colour}\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\" style=\"font-size:10px;fill:{fill}\">{}</text>",
                y + 8,
                bar.label
            ),
        );
    }
}

fn say(svg: &mut String, what: std::fmt::Arguments<'_>) {
    svg.write_fmt(what).expect("a text takes anything");
}
