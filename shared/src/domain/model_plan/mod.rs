//! What it takes to have a model speak about itself, said before it starts: the metrics and the log lines
//! that CloudWatch bills, and the labels without which nothing is shown.

mod labels;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use labels::{Arrival, LabelNeed, Twice};

use super::deployment::Deployment;
use super::model_signals::{BINS, Figure, Outcome, Prediction, Readings};
use super::quantity::Span;

/// Dollars for a custom metric and a month, each of the first 10,000, billed by the hour in which it is
/// sent (<https://aws.amazon.com/cloudwatch/pricing/>, us-east-1).
const METRIC_MONTH: f64 = 0.30;
/// Hours of such a month.
const MONTH_HOURS: f64 = 730.0;
/// Dollars for 10^9 bytes of log that are ingested (same page, same region).
const LOG_GIGABYTE: f64 = 0.50;
const GIGABYTE: f64 = 1e9;
const SECONDS_AN_HOUR: f64 = 3600.0;
const MINUTES_AN_HOUR: f64 = 60.0;

/// What the figures that `inference` counts cost, and the labels that they need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ModelSignalsPlan))]
pub struct ModelPlan {
    /// Custom metrics of each variant, once labels come.
    pub custom_metrics: u64,
    /// Dollars for the metrics of both variants, from the first share to the end of the soak, if nothing holds
    /// it up, at us-east-1's price. Every hour that is begun counts, and most rollouts begin within one.
    pub rollout_dollars: f64,
    /// Dollars a month for those of the variant that stays: the last deployment's figures go on being counted.
    pub month_dollars: f64,
    /// Bytes of the log line that the metrics are made of: one for each request.
    #[serde(default)]
    pub log_line_bytes: usize,
    /// Dollars for those lines over the same time, at the requests of the last day, if all of them come through
    /// `inference`; what SageMaker is asked directly has none. Labels have lines of their own, which are in
    /// neither.
    #[serde(default)]
    pub log_rollout_dollars: f64,
    /// The same for a month of the variant that stays.
    #[serde(default)]
    pub log_month_dollars: f64,
    /// By signal: the labels that it needs.
    pub labels: BTreeMap<String, LabelNeed>,
}

impl ModelPlan {
    /// Of a proposed deployment that takes so long, and each of whose predictions is a log line of so many
    /// bytes; absent where `inference` counts nothing for it.
    pub fn of(deployment: &Deployment, rollout: Span, log_line_bytes: usize) -> Option<Self> {
        let terms = &deployment.terms;
        let is_sticky = terms.routing.is_some();
        if terms.readings.is_none() && !is_sticky {
            return None;
        }
        let custom_metrics = metrics_of(terms.readings.as_ref(), is_sticky);
        let month_dollars = custom_metrics as f64 * METRIC_MONTH;
        let requests_an_hour = terms.baseline.requests_per_minute() * MINUTES_AN_HOUR;
        let logged = requests_an_hour * log_line_bytes as f64 / GIGABYTE * LOG_GIGABYTE;
        Some(Self {
            custom_metrics,
            rollout_dollars: 2.0 * month_dollars * hours_of(rollout) as f64 / MONTH_HOURS,
            month_dollars,
            log_line_bytes,
            log_rollout_dollars: logged * rollout.secs() as f64 / SECONDS_AN_HOUR,
            log_month_dollars: logged * MONTH_HOURS,
            labels: labels::needs(deployment),
        })
    }
}

/// The hours of the clock that it touches, where it begins at the end of one.
const fn hours_of(rollout: Span) -> u64 {
    rollout.secs().div_ceil(3600) + 1
}

/// The custom metrics of a variant: every figure that a request or a label can add to, and those that are
/// kept by group once for each label and once for everybody else. Unread predictions are none of a model
/// that is read rightly.
fn metrics_of(readings: Option<&Readings>, is_sticky: bool) -> u64 {
    let mut figures: BTreeSet<Figure> = readings.map(figures_of).unwrap_or_default();
    if is_sticky {
        figures.extend([Figure::Served, Figure::Routed]);
    }
    let groups = readings.and_then(|readings| readings.group.as_ref());
    let groups = groups.map_or(0, |group| group.labels.len() + 1);
    let grouped = figures.iter().filter(|figure| figure.is_grouped()).count();
    (figures.len() + grouped * groups) as u64
}

/// Every figure that a prediction or a label can add to.
fn figures_of(readings: &Readings) -> BTreeSet<Figure> {
    let bins: Vec<Option<u8>> = if readings.positive_label.is_none() {
        (0..BINS).map(Some).collect()
    } else {
        vec![None]
    };
    let predictions = bins.into_iter().map(|bin| Prediction {
        is_positive: true,
        bin,
    });
    let outcomes = [(true, true), (true, false), (false, true), (false, false)];
    let outcomes = outcomes.map(|(predicted, actual)| Outcome { predicted, actual });
    let mut figures: BTreeSet<Figure> = predictions.flat_map(Prediction::figures).collect();
    figures.extend(outcomes.iter().flat_map(|outcome| {
        let figures = outcome.figures().into_iter();
        figures.map(|(figure, _)| figure)
    }));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::model_signals::Grouping;

    fn readings(positive_label: Option<&str>, labels: &[&str]) -> Readings {
        Readings {
            score: "/score".to_owned(),
            positive_from: 0.5,
            positive_label: positive_label.map(str::to_owned),
            group: (!labels.is_empty()).then(|| Grouping {
                attribute: "region".to_owned(),
                labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            }),
        }
    }

    /// Counted by hand from the table in docs/model.md: two of predictions, ten bins, ten of labels, two of
    /// routing, and four for each group, `other` among them.
    #[test]
    fn every_figure_is_a_metric_and_four_of_them_one_for_each_group() {
        for (readings, is_sticky, metrics) in [
            (readings(None, &[]), false, 22),
            (readings(None, &[]), true, 24),
            (readings(Some("fraud"), &[]), false, 12),
            (readings(None, &["north", "south"]), false, 22 + 4 * 3),
        ] {
            assert_eq!(
                metrics_of(Some(&readings), is_sticky),
                metrics,
                "{readings:?}"
            );
        }
        assert_eq!(
            metrics_of(None, true),
            2,
            "what was asked for by name is counted alone"
        );
    }

    /// A quarter of an hour from five to midnight on: CloudWatch bills two hours.
    #[test]
    fn an_hour_that_is_begun_is_billed() {
        for (minutes, hours) in [(1, 2), (15, 2), (60, 2), (61, 3)] {
            assert_eq!(hours_of(Span::from_mins(minutes)), hours, "{minutes}");
        }
    }

    /// The tables of docs/costs.md are made of the same prices.
    #[test]
    fn the_prices_are_the_projects_own() {
        let prices = include_str!("../../../../infra/prices.toml");
        let of = |name: &str| {
            let named = format!("{name} = ");
            let line = prices.lines().find_map(|line| line.strip_prefix(&named));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        };
        assert_eq!(of("cloudwatch_custom_metric_month"), Some(METRIC_MONTH));
        assert_eq!(of("log_gigabyte"), Some(LOG_GIGABYTE));
        assert_eq!(of("hours"), Some(MONTH_HOURS));
    }
}
