//! What a plan says of the labels that its figures need.
//!
//! The expected numbers come from a program of a few lines outside this project that lays the stakes of
//! `comparison::capital` and of the mixtures as their comments describe them, with the ceiling of a minute
//! of so many labels. For four of five canaries it drew 1,500 rollouts of Bernoulli labels at each pace; for a
//! single minute it summed the binomial tail from the fewest bad ones that are enough.

use super::builders::*;
use crate::domain::deployment::Deployment;
use crate::domain::fairness::{Fairness, FairnessRule, Measure};
use crate::domain::model_plan::{Arrival, LabelNeed, ModelPlan};
use crate::domain::model_signals::{Quality, Readings};
use crate::domain::policy::{Action, Consequence};
use crate::domain::quantity::{Rate, Span};
use crate::domain::routing::Sticky;
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

/// The minutes at each pace, and the labels of the minute that has them all.
fn spread(arrivals: &[Arrival]) -> [u64; 4] {
    let [one, ten, hundred, at_once] = arrivals else {
        panic!("{arrivals:?}");
    };
    let paces = [one, ten, hundred].map(|arrival| arrival.labels_a_minute);
    assert_eq!((paces, at_once.minutes), ([1, 10, 100], 1));
    [
        one.minutes,
        ten.minutes,
        hundred.minutes,
        at_once.labels_a_minute,
    ]
}

#[test]
fn no_fewer_labels_than_a_wager_needs_can_act() {
    for (compares, limit, expected) in [
        (true, Some(15.0), [7, 3, 3, 300]),
        (true, None, [7, 3, 3, 300]),
        (false, Some(15.0), [8, 3, 3, 300]),
        (false, Some(35.0), [14, 3, 3, 300]),
        (false, Some(5.0), [6, 3, 3, 300]),
    ] {
        let found = need(rule(Quality::Accuracy, compares, limit)).all_bad;
        assert_eq!(spread(&found), expected, "{compares} {limit:?}");
    }
}

#[test]
fn twice_the_limit_is_caught_about_when_drawn_rollouts_are() {
    for (quality, limit, drawn) in [
        (Quality::Accuracy, 15.0, [169, 20, 4, 300]),
        (Quality::Recall, 35.0, [48, 6, 3, 300]),
        (Quality::FalsePositiveRate, 2.0, [1306, 159, 19, 1893]),
    ] {
        let twice = need(rule(quality, true, Some(limit))).twice;
        let twice = twice.expect("some number of labels is enough");
        assert!((twice.rate - limit / 50.0).abs() < 1e-12, "{twice:?}");
        for (found, drawn) in spread(&twice.caught).into_iter().zip(drawn) {
            let ratio = found as f64 / f64::from(drawn);
            assert!((0.8..1.25).contains(&ratio), "{quality:?}: {twice:?}");
        }
    }
    assert_eq!(need(rule(Quality::Accuracy, true, None)).twice, None);
    // 60 % bad: twice that is no share.
    let loose = need(rule(Quality::Accuracy, true, Some(60.0)));
    assert_eq!((loose.twice, loose.all_bad.len()), (None, 4));
}

#[test]
fn the_stage_that_asks_for_the_most_is_waited_for() {
    let mut deployment = speaking(vec![
        rule(Quality::Accuracy, true, None),
        SignalRule {
            min_samples: 40,
            ..rule(Quality::Recall, true, None)
        },
    ]);
    deployment.terms.plan.stages[1].min_labels = 30;
    let waits_for = |deployment: &Deployment| {
        let labels = ModelPlan::of(deployment, ROLLOUT, LINE)
            .expect("it has a plan")
            .labels;
        ["accuracy", "recall"].map(|name| labels[name].waits_for)
    };
    assert_eq!(waits_for(&deployment), [30, 40]);
    let recall = deployment.terms.policy.signals.last_mut();
    recall.expect("it was added").consequence.on_breach = Action::Notify;
    assert_eq!(
        waits_for(&deployment),
        [30, 0],
        "what only tells holds nothing up"
    );
}

#[test]
fn groups_wait_for_labels_of_each() {
    let with = |measure, consequence| {
        let mut deployment = speaking(Vec::new());
        deployment.terms.policy.fairness = Some(Fairness {
            rules: vec![FairnessRule {
                measure,
                limit: 0.1,
                min_samples: 100,
                min_positives: FairnessRule::MIN_POSITIVES,
            }],
            groups: ["north", "south"].map(str::to_owned).to_vec(),
            consequence,
        });
        ModelPlan::of(&deployment, ROLLOUT, LINE)
            .expect("it has a plan")
            .labels
    };
    let usual = Consequence::default();
    let labels = with(Measure::EqualOpportunity, usual);
    let need = &labels["fairness.equal_opportunity"];
    assert_eq!(
        (need.waits_for, need.of.as_str(), need.groups.as_slice()),
        (
            100,
            "labelled actual positives",
            ["north", "south"].map(str::to_owned).as_slice()
        )
    );
    assert!(with(Measure::DemographicParity, usual).is_empty());
    let muted = Consequence {
        muted: true,
        ..usual
    };
    assert!(with(Measure::EqualOpportunity, muted).is_empty());
}

/// Two metrics, of two variants, and of the one that stays.
#[test]
fn routing_is_counted_without_anything_that_the_model_says() {
    let mut deployment = Case::baking(10).deployment;
    deployment.terms.routing = Some(Sticky {
        salt: None,
        model_name: "wine".to_owned(),
    });
    let plan = ModelPlan::of(&deployment, ROLLOUT, LINE)
        .expect("inference counts who was asked for by name");
    assert_eq!((plan.custom_metrics, plan.labels.len()), (2, 0));
    assert!((plan.month_dollars - 0.6).abs() < 1e-9, "{plan:?}");
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

/// 22 metrics of two variants, for the 9 stages of 10 minutes and the soak of 20: two hours, and where they
/// begin within one three of the clock's.
#[test]
fn metrics_are_paid_by_the_hour_and_those_of_the_model_that_stays_by_the_month() {
    let plan = plan_of(Vec::new());
    assert_eq!(plan.custom_metrics, 22);
    assert!((plan.month_dollars - 6.6).abs() < 1e-9, "{plan:?}");
    let rollout = 44.0 * 0.30 * 3.0 / 730.0;
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
