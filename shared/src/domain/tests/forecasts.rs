//! What is said before a rollout about the model's own signals.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::builders::*;
use crate::domain::baseline::{Baseline, SlowCount};
use crate::domain::comparison::Counts;
use crate::domain::fairness::{Fairness, FairnessRule, Measure};
use crate::domain::forecast::Forecast;
use crate::domain::judge::bench::Bench;
use crate::domain::model_signals::Quality;
use crate::domain::observation::ArmMinute;
use crate::domain::policy::{Action, Consequence, Grade};
use crate::domain::signal::{SignalRule, Source};

const HOLD: Consequence = Consequence {
    on_breach: Action::Hold,
    ..Consequence::of(Grade::Medium)
};

fn quality(quality: Quality) -> SignalRule {
    SignalRule {
        name: quality.name().to_owned(),
        source: Source::Quality(quality),
        compares: true,
        limit: None,
        min_samples: 0,
        consequence: Consequence::default(),
        family: None,
    }
}

/// A proposal after a day of such minutes, judged by these beside what every endpoint has.
fn proposed(minute: &ArmMinute, rules: Vec<SignalRule>) -> Case {
    Case::pending().with(|case| {
        let policy = &mut case.deployment.terms.policy;
        policy.signals.extend(rules);
        let day: BTreeMap<Timestamp, ArmMinute> = (0..1440)
            .map(|index| (accepted_at() - minutes(1440 - index), minute.clone()))
            .collect();
        case.deployment.terms.baseline = Baseline::of(policy, &day, None, SlowCount::default());
    })
}

fn warnings(case: &Case) -> Vec<String> {
    Forecast::of(&case.deployment).warnings
}

fn about<'a>(warnings: &'a [String], words: &str) -> Vec<&'a String> {
    let found = warnings.iter().filter(|warning| warning.contains(words));
    found.collect()
}

#[test]
fn what_the_model_never_said_is_one_sentence() {
    let rules = || {
        let own = [SignalRule::unread(HOLD), quality(Quality::Accuracy)];
        own.into_iter()
            .chain(SignalRule::drift(HOLD, 500))
            .collect()
    };
    let first = warnings(&proposed(&arm(1000, 2), rules()));
    let told = about(&first, "inference and its labels told nothing");
    let [sentence] = told.as_slice() else {
        panic!("once: {first:?}")
    };
    assert!(
        sentence.contains("unread_predictions, accuracy, drift in the last day"),
        "{sentence}"
    );
    assert_eq!(about(&first, "the check"), [""; 0], "{first:?}");

    let names = (0..10).map(|bin| format!("drift.{bin}"));
    let names = names.chain(["accuracy", "unread_predictions"].map(str::to_owned));
    let counts = Counts::new(1000, 0).unwrap();
    let minute = ArmMinute {
        checks: names.map(|name| (name, counts)).collect(),
        ..arm(1000, 2)
    };
    // That a bin is empty, or nothing unread, is no sign of a wrong name.
    let later = warnings(&proposed(&minute, rules()));
    assert_eq!(about(&later, "last day"), [""; 0], "{later:?}");
}

#[test]
fn quality_that_no_stage_waits_for_is_named() {
    let named = |labels, min_samples| {
        let rules = vec![
            SignalRule {
                min_samples,
                ..quality(Quality::Recall)
            },
            quality(Quality::Accuracy),
        ];
        let mut case = proposed(&arm(1000, 2), rules);
        for stage in &mut case.deployment.terms.plan.stages {
            stage.min_labels = labels;
        }
        let warnings = warnings(&case);
        let named = about(&warnings, "no stage waits for labels of");
        named
            .first()
            .map(|it| it.split(':').next().unwrap().to_owned())
    };
    let sentence = |names: &str| Some(format!("no stage waits for labels of {names}"));
    assert_eq!(named(0, 0), sentence("recall, accuracy"));
    assert_eq!(named(100, 0), sentence("recall"));
    assert_eq!(named(0, 100), sentence("accuracy"));
    assert_eq!(named(100, 100), None);
}

#[test]
fn a_bin_has_a_tenth_of_the_part_of_drift() {
    let case = proposed(&arm(1000, 2), SignalRule::drift(HOLD, 500).collect());
    let bench = Bench::of(&case.deployment);
    let part = |name: &str| {
        let rules = &case.deployment.terms.policy.signals;
        bench.parts_of(rules.iter().find(|rule| rule.name == name).unwrap())
    };
    // Errors, client errors, slowness and drift.
    assert_eq!((part("errors"), part("drift.3")), (4, 40));
}

#[test]
fn production_that_looked_unfair_is_named() {
    let counts = |x| Counts::new(500, x).unwrap();
    let minute = ArmMinute {
        checks: BTreeMap::from([
            ("fairness.parity.north".to_owned(), counts(300)),
            ("fairness.parity.south".to_owned(), counts(240)),
        ]),
        ..arm(1000, 2)
    };
    let named = |limit| {
        let mut case = proposed(&minute, Vec::new());
        let policy = &mut case.deployment.terms.policy;
        policy.fairness = Some(Fairness {
            rules: vec![FairnessRule {
                measure: Measure::DemographicParity,
                limit,
                min_samples: 100,
            }],
            groups: ["north", "south"].map(str::to_owned).to_vec(),
            consequence: Consequence::default(),
        });
        let day = BTreeMap::from([(accepted_at() - minutes(9), minute.clone())]);
        case.deployment.terms.baseline = Baseline::of(policy, &day, None, SlowCount::default());
        about(&warnings(&case), "production itself had 0.120").len()
    };
    assert_eq!((named(0.1), named(0.15)), (1, 0));
}
