//! The picture of the README, drawn from what demos kept: one panel a rollout, one bar a judged
//! minute, the requests of both models stacked and failed ones in red. So it shows what a run
//! showed, and is made again by running it again.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::steps::Outcome;

const WIDTH: usize = 860;
const PANEL: usize = 170;
const PLOT: usize = 96;
const LEFT: usize = 20;
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#334155}.t{font-weight:600;font-size:13px}.e{fill:#64748b;font-size:10px}.p{fill:#94a3b8}.c{fill:#0d9488}.x{fill:#dc2626}line{stroke:#cbd5e1}";

/// Draws `docs/rollout.svg` from the files that demos kept.
pub(crate) fn draw(root: &Path, files: &[String]) -> Outcome {
    match drawn(files) {
        Ok(svg) => match std::fs::write(root.join("docs/rollout.svg"), svg) {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::failed(format!("docs/rollout.svg can't be written: {error}")),
        },
        Err(why) => Outcome::failed(why),
    }
}

fn drawn(files: &[String]) -> Result<String, String> {
    let height = 34 + PANEL * files.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Requests per minute and model during rollouts\"><style>{STYLE}</style><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>"
    );
    legend(&mut svg);
    for (index, file) in files.iter().enumerate() {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        let kept: Value =
            serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
        panel(&mut svg, 34 + PANEL * index, &kept)
            .ok_or_else(|| format!("{file} is not what a demo keeps"))?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn legend(svg: &mut String) {
    let entries = [
        ("p", "old model"),
        ("c", "new model"),
        ("x", "answered 5XX"),
    ];
    for (index, (class, name)) in entries.iter().enumerate() {
        let x = LEFT + 110 * index;
        say(
            svg,
            format_args!(
                "<rect class=\"{class}\" x=\"{x}\" y=\"12\" width=\"12\" height=\"12\"/><text x=\"{}\" y=\"22\">{name}</text>",
                x + 18
            ),
        );
    }
    say(
        svg,
        format_args!(
            "<text class=\"e\" x=\"{}\" y=\"22\" text-anchor=\"end\">requests per minute</text>",
            WIDTH - LEFT
        ),
    );
}

fn panel(svg: &mut String, top: usize, kept: &Value) -> Option<()> {
    let (checks, history) = (kept["checks"].as_array()?, kept["history"].as_array()?);
    let deployment = &kept["deployment"];
    let title = format!(
        "{} → {}: {}",
        deployment["former_model"].as_str()?,
        deployment["model"].as_str()?,
        deployment["status"].as_str()?
    );
    say(
        svg,
        format_args!(
            "<text class=\"t\" x=\"{LEFT}\" y=\"{}\">{title}</text>",
            top + 16
        ),
    );
    let most = checks
        .iter()
        .map(|check| {
            count(check, "canary", "invocations") + count(check, "production", "invocations")
        })
        .max()?
        .max(1);
    let bar = (WIDTH - 2 * LEFT) / checks.len().max(36);
    let base = top + 52 + PLOT;
    for (index, check) in checks.iter().enumerate() {
        let x = LEFT + bar * index;
        let mut y = base;
        for (class, requests) in stack(check) {
            let tall = usize::try_from(requests).ok()? * PLOT / usize::try_from(most).ok()?;
            y -= tall;
            say(
                svg,
                format_args!(
                    "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{tall}\"/>",
                    bar - 2
                ),
            );
        }
    }
    say(
        svg,
        format_args!(
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{base}\" y2=\"{base}\"/>",
            WIDTH - LEFT
        ),
    );
    milestones(svg, top, bar, checks, history)
}

fn stack(check: &Value) -> [(&'static str, u64); 4] {
    let errors = |arm| count(check, arm, "errors_5xx");
    [
        (
            "p",
            count(check, "production", "invocations") - errors("production"),
        ),
        ("x", errors("production")),
        (
            "c",
            count(check, "canary", "invocations") - errors("canary"),
        ),
        ("x", errors("canary")),
    ]
}

fn count(check: &Value, arm: &str, what: &str) -> u64 {
    check[arm][what].as_u64().unwrap_or(0)
}

/// What happened, above the minute it happened in.
fn milestones(
    svg: &mut String,
    top: usize,
    bar: usize,
    checks: &[Value],
    history: &[Value],
) -> Option<()> {
    let first = minute_of(checks.first()?["minute"].as_str()?)?;
    for entry in history {
        let word = match entry["event"].as_str()? {
            "traffic.shifted" => format!("{} %", entry["weight"].as_u64()?),
            "deployment.soaking" => "100 %".to_owned(),
            "deployment.rolling_back" => "rolled back".to_owned(),
            "deployment.finalizing" => "old model removed".to_owned(),
            _ => continue,
        };
        let minute = (minute_of(entry["at"].as_str()?)? + 1440 - first) % 1440;
        let x = LEFT + bar * minute;
        say(
            svg,
            format_args!(
                "<line x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/><text class=\"e\" x=\"{}\" y=\"{}\">{word}</text>",
                top + 30,
                top + 52 + PLOT,
                x + 3,
                top + 38
            ),
        );
    }
    Some(())
}

/// The minute of the day of a timestamp like `2026-11-21T04:47:00Z`.
fn minute_of(timestamp: &str) -> Option<usize> {
    let (hour, minute) = (timestamp.get(11..13)?, timestamp.get(14..16)?);
    Some(hour.parse::<usize>().ok()? * 60 + minute.parse::<usize>().ok()?)
}

fn say(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let _ = svg.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bar_holds_every_request_once() {
        let check = json!({"canary": {"invocations": 40, "errors_5xx": 30}, "production": {"invocations": 60, "errors_5xx": 0}});
        assert_eq!(stack(&check), [("p", 60), ("x", 0), ("c", 10), ("x", 30)]);
        assert_eq!(minute_of("2026-11-21T04:47:00Z"), Some(287));
        assert_eq!(minute_of("yesterday"), None);
    }

    #[test]
    fn what_is_no_demo_is_refused() {
        let mut svg = String::new();
        assert!(panel(&mut svg, 0, &json!({"checks": []})).is_none());
    }
}
