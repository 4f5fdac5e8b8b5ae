//! Where the predictions of both models lie: their scores in ten bins, side by side.
//!
//! Each model's bars are shares of its own predictions, so that a canary with a tenth of the traffic can be
//! laid beside production.

use super::super::series::Scores;
use super::{LEFT, PLOT, Picture, legend, line, rectangle, text};

/// Top and height of the plot.
const PLOT_OF: (f64, f64) = (40.0, 110.0);

/// The histogram of both models' scores; nothing where no prediction had one.
pub fn scores(scores: &Scores) -> Option<Picture> {
    let (old, new) = (shares(&scores.production), shares(&scores.canary));
    let most = old.iter().chain(&new).copied().fold(0.0, f64::max);
    if most == 0.0 {
        return None;
    }
    let (top, height) = PLOT_OF;
    let base = top + height;
    let mut body = String::new();
    let title = "Scores of the predictions".to_owned();
    text(&mut body, (0.0, 14.0), "start", "strong", &title);
    legend(
        &mut body,
        4.0,
        &[("old", "old model"), ("new", "new model")],
    );
    let note = "share of each model's own predictions, by their score from 0 to 1";
    text(&mut body, (LEFT, top - 8.0), "start", "", note);
    for value in [0.0, most] {
        let y = base - height * value / most;
        line(&mut body, "grid", (LEFT, y), (LEFT + PLOT, y));
        let words = format!("{:.0} %", 100.0 * value);
        text(&mut body, (LEFT - 6.0, y + 4.0), "end", "", &words);
    }
    let bins = old.len().max(new.len());
    let wide = PLOT / bins as f64;
    for (class, arm, offset) in [("old", &old, 0.12), ("new", &new, 0.5)] {
        for (bin, share) in arm.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let tall = height * share / most;
            let x = LEFT + wide * (bin as f64 + offset);
            rectangle(&mut body, class, (x, base - tall), (wide * 0.38, tall));
        }
    }
    for edge in 0..=bins {
        let x = LEFT + wide * edge as f64;
        let words = format!("{:.1}", edge as f64 / bins as f64);
        text(&mut body, (x, base + 16.0), "middle", "", &words);
    }
    Some(Picture {
        height: base + 24.0,
        title,
        label: "Scores of both models' predictions, in bins from 0 to 1".to_owned(),
        body,
    })
}

/// Of all; zeros of none.
fn shares(bins: &[u64]) -> Vec<f64> {
    let all = bins.iter().sum::<u64>().max(1) as f64;
    bins.iter().map(|count| *count as f64 / all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_its_own_hundred_percent() {
        let told = |canary: [u64; 10], production: [u64; 10]| Scores {
            canary: canary.to_vec(),
            production: production.to_vec(),
        };
        // A tenth of the traffic, and the same histogram: bars of the same heights.
        let body = scores(&told(
            [1, 0, 0, 0, 0, 0, 0, 0, 0, 3],
            [10, 0, 0, 0, 0, 0, 0, 0, 0, 30],
        ));
        let body = body.expect("a picture").body;
        let bars = |class: &str| -> Vec<&str> {
            let bars = body.split("<rect ").skip(1);
            let own = bars.filter(|bar| bar.starts_with(&format!("class=\"{class}\"")));
            let heights = own.filter_map(|bar| bar.split("height=\"").nth(1));
            let heights = heights.filter_map(|rest| rest.split('"').next());
            heights.skip(1).collect()
        };
        assert_eq!(bars("old").len(), 2, "empty bins have no bar: {body}");
        assert_eq!(bars("old"), bars("new"));
        assert!(body.contains(">75 %<"), "{body}");
        assert!(scores(&told([0; 10], [0; 10])).is_none());
        let alone = scores(&told([0; 10], [5; 10])).expect("production's alone");
        assert!(!alone.body.contains("NaN"), "{}", alone.body);
    }
}
