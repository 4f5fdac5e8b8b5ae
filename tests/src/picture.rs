//! The picture of the README: what demos kept, drawn as a report draws it, one rollout below the other.
//! So it shows what a run showed, and is made again by running it again.

use std::fmt::Write as _;

use serde_json::Value;
use shared::domain::history::Entry;
use shared::domain::judge::MinuteReport;
use shared::wire::api::DeploymentView;
use shared::wire::html::escaped;
use shared::wire::report::picture::{ON_WHITE, Picture, STYLE, WIDTH, moments, traffic};
use shared::wire::report::series::Gathered;

/// Room around and between the pictures.
const GAP: f64 = 20.0;

/// The picture, or the file that is not what a demo keeps.
pub fn drawn(files: &[String]) -> Result<String, String> {
    let mut pictures = Vec::with_capacity(files.len());
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        pictures.push(rollout(&text).map_err(|error| format!("{file}: {error}"))?);
    }
    Ok(framed(&pictures))
}

fn framed(pictures: &[Picture]) -> String {
    let (width, mut y) = (WIDTH + 2.0 * GAP, GAP);
    let mut body = String::new();
    for picture in pictures {
        write!(
            body,
            "<g transform=\"translate({GAP} {y})\">{}</g>",
            picture.body
        )
        .expect("a string takes everything");
        y += picture.height + GAP;
    }
    let labels: Vec<&str> = pictures
        .iter()
        .map(|picture| picture.label.as_str())
        .collect();
    let label = escaped(&labels.join("; "));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" role=\"img\" aria-label=\"{label}\"><style>svg{{{ON_WHITE}}}{STYLE}</style><rect width=\"{width}\" height=\"{y}\" fill=\"#fff\"/>{body}</svg>\n"
    )
}

fn rollout(kept: &str) -> Result<Picture, String> {
    let kept: Value = serde_json::from_str(kept).map_err(|error| error.to_string())?;
    let part = |name: &str| kept[name].clone();
    let unread = |error: serde_json::Error| format!("not what a demo keeps: {error}");
    let view: DeploymentView = serde_json::from_value(part("deployment")).map_err(unread)?;
    let history: Vec<Entry> = serde_json::from_value(part("history")).map_err(unread)?;
    let minutes: Vec<MinuteReport> = serde_json::from_value(part("checks")).map_err(unread)?;
    let mut gathered = Gathered::default();
    // A demo keeps them oldest first.
    minutes
        .iter()
        .rev()
        .for_each(|minute| gathered.take(minute));
    let title = format!("{} → {}: {}", view.former_model, view.model, view.status);
    let series = gathered.series(None).with_shares_of(&history);
    let picture = traffic(&title, &series, &moments(&history));
    picture.ok_or_else(|| "not a minute was judged".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_demo_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"deployment": {}, "history": [], "checks": []}"#,
        ] {
            assert!(rollout(text).is_err(), "{text}");
        }
    }
}
