//! What a plan says of the labels that its figures need.
//!
//! The expected numbers come from a program of a few lines outside this project that lays the stakes of
//! `comparison::capital` and of the mixtures as their comments describe them; for four of five canaries
//! it drew 1,500 rollouts of Bernoulli labels.

use super::builders::*;
use crate::domain::deployment::Deployment;
use crate::domain::model_plan::{LabelNeed, ModelPlan};
use crate::domain::model_signals::{Quality, Readings};
use crate::domain::policy::Consequence;
use crate::domain::quantity::{Rate, Span};
use crate::domain::signal::{SignalRule, Source};

/// Bytes of a log line.
const LINE: usize = 660;
/// Nine stages of ten minutes and a soak of twenty.
const ROLLOUT: Span = Span::from_mins(110);

fn rule(quality: Quality, compares: bool, limit_of_bad: Option<f64>) -> SignalRule {
    SignalRule {
        name: quality.name().to_owned(),
        source: Source::Quality(quality),
        compares,
        limit: limit_of_bad.and_then(Rate::from_percent),
        min_samples: 0,
        consequence: Consequence::default(),
        family: None,
    }
}

fn plan_of(rules: Vec<SignalRule>) -> ModelPlan {
    ModelPlan::of(&speaking(rules), ROLLOUT, LINE).expect("its model speaks about itself")
}

fn speaking(rules: Vec<SignalRule>) -> Deployment {
    let mut deployment = Case::baking(10).deployment;
    deployment.terms.readings = Some(Readings {
        score: String::new(),
        positive_from: 0.5,
        positive_label: None,
        group: None,
    });
    deployment.terms.policy.signals.extend(rules);
    deployment
}

fn need(rule: SignalRule) -> LabelNeed {
    let name = rule.name.clone();
    plan_of(vec![rule]).labels[&name].clone()
}

#[test]
fn no_fewer_labels_than_a_wager_needs_can_act() {
    for (compares, limit, at_least) in [
        (true, Some(15.0), 7),
        (true, None, 7),
        (false, Some(15.0), 8),
        (false, Some(35.0), 14),
        (false, Some(5.0), 6),
    ] {
        let found = need(rule(Quality::Accuracy, compares, limit)).at_least;
        assert_eq!(found, at_least, "{compares} {limit:?}");
    }
}

#[test]
fn twice_the_limit_is_caught_about_when_drawn_rollouts_are() {
    for (quality, limit, drawn) in [
        (Quality::Accuracy, 15.0, 169.0),
        (Quality::Recall, 35.0, 49.0),
        (Quality::FalsePositiveRate, 2.0, 1159.0),
    ] {
        let twice = need(rule(quality, true, Some(limit))).twice;
        let twice = twice.expect("some number of labels is enough");
        assert!((twice.rate - limit / 50.0).abs() < 1e-12, "{twice:?}");
        let ratio = twice.labels as f64 / drawn;
        assert!((0.8..1.25).contains(&ratio), "{quality:?}: {twice:?}");
    }
    assert_eq!(need(rule(Quality::Accuracy, true, None)).twice, None);
}

#[test]
fn what_is_muted_needs_nothing_and_what_says_nothing_has_no_plan() {
    let mut muted = rule(Quality::Accuracy, true, Some(15.0));
    muted.consequence.muted = true;
    assert!(plan_of(vec![muted]).labels.is_empty());
    assert_eq!(
        ModelPlan::of(&Case::baking(10).deployment, ROLLOUT, LINE),
        None
    );
}

/// 22 metrics of two variants, for the 9 stages of 10 minutes and the soak of 20: two hours.
#[test]
fn metrics_are_paid_by_the_hour_and_those_of_the_model_that_stays_by_the_month() {
    let plan = plan_of(Vec::new());
    assert_eq!(plan.custom_metrics, 22);
    assert!((plan.month_dollars - 6.6).abs() < 1e-9, "{plan:?}");
    let rollout = 44.0 * 0.30 * 2.0 / 730.0;
    assert!((plan.rollout_dollars - rollout).abs() < 1e-9, "{plan:?}");
}

/// 1000 requests a second, as docs/model.md has it: 2.628 * 10^9 a month, 1734.48 GB, 867.24 dollars, by a
/// pocket calculator.
#[test]
fn the_lines_of_much_traffic_cost_more_than_the_metrics() {
    let mut deployment = speaking(Vec::new());
    let baseline = &mut deployment.terms.baseline;
    (baseline.requests, baseline.minutes) = (60_000 * 1440, 1440);
    let plan = ModelPlan::of(&deployment, ROLLOUT, LINE).expect("its model speaks about itself");
    assert!((plan.log_month_dollars - 867.24).abs() < 1e-9, "{plan:?}");
    assert!((plan.month_dollars - 6.6).abs() < 1e-9, "{plan:?}");
    // 1 h 50 min of 730 h.
    let share = plan.log_rollout_dollars / plan.log_month_dollars;
    assert!((share - 110.0 / 60.0 / 730.0).abs() < 1e-12, "{plan:?}");
    deployment.terms.baseline.requests = 0;
    let idle = ModelPlan::of(&deployment, ROLLOUT, LINE).expect("its model speaks about itself");
    assert!(idle.log_month_dollars.abs() < f64::EPSILON);
}
