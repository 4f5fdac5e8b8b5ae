//! What it takes to have a model speak about itself, said before it starts: the metrics and the log lines
//! that CloudWatch bills, and the labels without which nothing is shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::comparison::{AbsoluteGuard, Counts, Signal, calls_for_rollback, ln_even_part};
use super::deployment::Deployment;
use super::judge::bench::Bench;
use super::model_signals::{BINS, Figure, Outcome, Prediction, Quality, Readings};
use super::power;
use super::quantity::{Rate, Span};
use super::signal::{SignalRule, Source};

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
/// Labels that are tried before it is said that none are enough.
const MOST_LABELS: u64 = 100_000;

/// What the model's own figures cost and need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ModelSignalsPlan))]
pub struct ModelPlan {
    /// Custom metrics of each variant, once labels come.
    pub custom_metrics: u64,
    /// Dollars for the metrics of both variants, from the first share to the end of the soak, at us-east-1's
    /// price.
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

/// How many labels show something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabelNeed {
    /// Which labels: what the signal's trials are.
    pub of: String,
    /// The fewest of the canary's on which it acts by itself: with each of them bad.
    pub at_least: u64,
    /// A canary with twice the bad ones of its limit; absent without a limit, and where no number would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twice: Option<Twice>,
}

/// A canary with twice the bad outcomes that its limit allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TwiceTheLimit))]
pub struct Twice {
    /// Its share of bad outcomes, 0 to 1.
    pub rate: f64,
    /// The labels within which four of five such canaries are caught.
    pub labels: u64,
}

impl ModelPlan {
    /// Of a proposed deployment that takes so long, and each of whose predictions is a log line of so many
    /// bytes; absent where the model says nothing about itself.
    pub fn of(deployment: &Deployment, rollout: Span, log_line_bytes: usize) -> Option<Self> {
        let terms = &deployment.terms;
        let readings = terms.readings.as_ref()?;
        let custom_metrics = metrics_of(readings, terms.routing.is_some());
        let month_dollars = custom_metrics as f64 * METRIC_MONTH;
        let hours = rollout.secs().div_ceil(3600).max(1) as f64;
        let requests_an_hour = terms.baseline.requests_per_minute() * MINUTES_AN_HOUR;
        let logged = requests_an_hour * log_line_bytes as f64 / GIGABYTE * LOG_GIGABYTE;
        Some(Self {
            custom_metrics,
            rollout_dollars: 2.0 * month_dollars * hours / MONTH_HOURS,
            month_dollars,
            log_line_bytes,
            log_rollout_dollars: logged * rollout.secs() as f64 / SECONDS_AN_HOUR,
            log_month_dollars: logged * MONTH_HOURS,
            labels: needs(deployment),
        })
    }
}

/// The custom metrics of a variant: every figure that a request or a label can add to, and those that are
/// kept by group once for each label and once for everybody else. Unread predictions are none of a model
/// that is read rightly.
fn metrics_of(readings: &Readings, is_sticky: bool) -> u64 {
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
    if is_sticky {
        figures.extend([Figure::Served, Figure::Routed]);
    }
    let groups = readings.group.as_ref();
    let groups = groups.map_or(0, |group| group.labels.len() + 1);
    let grouped = figures.iter().filter(|figure| figure.is_grouped()).count();
    (figures.len() + grouped * groups) as u64
}

fn needs(deployment: &Deployment) -> BTreeMap<String, LabelNeed> {
    let bench = Bench::of(deployment);
    let rules = deployment.terms.policy.signals.iter();
    let acting = rules.filter(|rule| !rule.consequence.muted);
    let needs = acting.filter_map(|rule| {
        let Source::Quality(quality) = rule.source else {
            return None;
        };
        let need = need(deployment, &bench, rule, quality)?;
        Some((rule.name.clone(), need))
    });
    needs.collect()
}

fn need(
    deployment: &Deployment,
    bench: &Bench<'_>,
    rule: &SignalRule,
    quality: Quality,
) -> Option<LabelNeed> {
    let budget = Budget {
        ln_part: ln_even_part(bench.parts()),
        alpha: deployment.terms.policy.comparison.alpha,
    };
    let limited = bench.absolute(rule).and_then(|settings| {
        let mut guard = AbsoluteGuard::default();
        budget.spent_after(|| {
            guard.take_in(&settings, ALL_BAD);
            guard.ln_e()
        })
    });
    let compared = rule
        .compares
        .then(|| compared(deployment, bench, rule, &budget));
    let twice = bench.absolute(rule).and_then(|settings| {
        let rate = (rule.limit?.fraction() * 2.0).min(1.0);
        let labels = power::trials_above(&settings, rate, budget.ln_part, budget.alpha)?;
        Some(Twice { rate, labels })
    });
    Some(LabelNeed {
        of: quality.trials().to_owned(),
        at_least: limited.into_iter().chain(compared.flatten()).min()?,
        twice,
    })
}

/// One label, and a bad one: a minute can't add more for each than it does for one alone.
const ALL_BAD: Counts = match Counts::new(1, 1) {
    Some(counts) => counts,
    None => Counts::NONE,
};

/// Beside a production that is always right, at the first share.
fn compared(
    deployment: &Deployment,
    bench: &Bench<'_>,
    rule: &SignalRule,
    budget: &Budget,
) -> Option<u64> {
    let settings = bench.settings(rule);
    let first = deployment.terms.plan.stages.first()?.weight;
    let beside = u64::from(100 - first.percent()) / u64::from(first.percent().max(1));
    let production = Counts::new(beside.max(1), 0)?;
    let mut signal = Signal::default();
    budget.spent_after(|| {
        signal.take_in(&settings, ALL_BAD, production);
        signal.ln_e()
    })
}

/// What a signal may spend on false alarms.
struct Budget {
    ln_part: f64,
    alpha: Rate,
}

impl Budget {
    /// How often `take_in` has to be repeated until the evidence that it answers calls for a rollback.
    fn spent_after(&self, mut take_in: impl FnMut() -> f64) -> Option<u64> {
        (1..=MOST_LABELS).find(|_| calls_for_rollback(self.ln_part + take_in(), self.alpha))
    }
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
            assert_eq!(metrics_of(&readings, is_sticky), metrics, "{readings:?}");
        }
    }

    /// The tables of docs/costs.md are made of the same prices.
    #[test]
    fn the_prices_are_the_projects_own() {
        let prices = include_str!("../../../infra/prices.toml");
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
