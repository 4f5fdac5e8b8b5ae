//! What is said before a rollout about the model's own signals.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::builders::*;
use super::registry::packages;
use crate::domain::baseline::{Baseline, SlowCount};
use crate::domain::comparison::Counts;
use crate::domain::fairness::{Fairness, FairnessRule, Measure};
use crate::domain::forecast::{Forecast, length_at};
use crate::domain::judge::bench::Bench;
use crate::domain::model_signals::Quality;
use crate::domain::observation::ArmMinute;
use crate::domain::policy::{Action, Consequence, Grade};
use crate::domain::schedule::Schedule;
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
fn a_version_that_production_has_already_is_named() {
    let named = |case: &Case| about(&warnings(case), "runs already").len();
    let mut case = proposed(&arm(1000, 2), Vec::new());
    case.deployment.terms.packages = packages();
    assert_eq!(named(&case), 0);
    let former = case.deployment.terms.packages.new.clone();
    case.deployment.terms.packages.former = former;
    assert_eq!(named(&case), 1);
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
fn a_stage_that_waits_for_no_labels_of_accuracy_is_named() {
    let mut case = proposed(&arm(1000, 2), vec![quality(Quality::Accuracy)]);
    let stages = &mut case.deployment.terms.plan.stages;
    for stage in stages.iter_mut().take(7) {
        stage.min_labels = 20;
    }
    let found = warnings(&case);
    assert_eq!(about(&found, "no stage waits"), [""; 0], "{found:?}");
    let told = "the stages at 80 %, 90 % wait for no labels of accuracy";
    assert_eq!(about(&found, told).len(), 1, "{found:?}");
    case.deployment.terms.plan.stages[7].min_labels = 20;
    let told = "the stage at 90 % waits for no labels of accuracy";
    assert_eq!(about(&warnings(&case), told).len(), 1);
}

/// Of 100 requests a minute the canary has 10 at first: 500 of them take 50 minutes and not ten.
#[test]
fn the_dates_of_a_plan_count_in_the_holds_that_it_names() {
    let case = proposed(&arm(100, 0), Vec::new());
    let told = "fewer than min_samples of 500: it will hold until it has them, about 50 min in all, which the dates of this plan count in";
    let found = warnings(&case);
    assert_eq!(about(&found, told).len(), 1, "{found:?}");
    let now = case.now;
    let length = |weight| length_at(&case.deployment, weight);
    let schedule = Schedule::with_lengths(&case.deployment, now, length);
    let begins = schedule.begins.iter().flatten().take(5);
    let begins: Vec<i64> = begins.map(|at| at.duration_since(now).as_mins()).collect();
    // Then 25, 17 and 13 minutes.
    assert_eq!(begins, [0, 50, 75, 92, 105]);

    let rare = proposed(&arm(1, 0), Vec::new());
    let told = "longer than the deadline of 6h, past which everything is taken back";
    assert!(!about(&warnings(&rare), told).is_empty());
    let first = rare.deployment.terms.plan.stages[0];
    assert_eq!(length_at(&rare.deployment, first.weight), first.bake);
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
                min_positives: FairnessRule::MIN_POSITIVES,
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

/// What is said of groups after a day in which so much was counted of each: the canary sees a tenth of it in
/// the first stage, which has ten minutes of six hours.
fn small_groups(measure: Measure, [north, south]: [u64; 2], on_breach: Action) -> Option<String> {
    let kind = match measure {
        Measure::EqualOpportunity => "opportunity",
        Measure::DemographicParity | Measure::DisparateImpact => "parity",
    };
    let counted = |label, n| {
        let name = format!("fairness.{kind}.{label}");
        (name, Counts::new(n, 0).unwrap())
    };
    let with_groups = ArmMinute {
        checks: BTreeMap::from([counted("north", north), counted("south", south)]),
        ..arm(1000, 2)
    };
    let mut case = proposed(&arm(1000, 2), Vec::new());
    let terms = &mut case.deployment.terms;
    terms.policy.fairness = Some(Fairness {
        rules: vec![FairnessRule {
            measure,
            limit: 0.1,
            min_samples: 100,
            min_positives: FairnessRule::MIN_POSITIVES,
        }],
        groups: ["north", "south"].map(str::to_owned).to_vec(),
        consequence: Consequence {
            on_breach,
            ..Consequence::default()
        },
    });
    let mut day: BTreeMap<Timestamp, ArmMinute> = (1..=1440)
        .map(|index| (accepted_at() - minutes(index), arm(1000, 2)))
        .collect();
    day.insert(accepted_at() - minutes(7), with_groups);
    terms.baseline = Baseline::of(&terms.policy, &day, None, SlowCount::default());
    let all = warnings(&case);
    let found = about(&all, "in each group, and production had");
    found.first().map(|sentence| (*sentence).clone())
}

#[test]
fn groups_that_stay_too_small_are_named_with_how_long() {
    let wait = |counted| small_groups(Measure::EqualOpportunity, counted, Action::Rollback);
    let unknown = wait([0, 0]).expect("nobody is labelled");
    assert!(
        unknown.starts_with("fairness.equal_opportunity: no stage is left before the canary has 100 labelled actual positives in each group, and production had 0 of north in the last day: at 10 % of the traffic the canary is held until then, nothing says how long, and past the deadline of 6h everything is taken back; labels come by POST /feedback"),
        "{unknown}"
    );
    // By hand, of 1440 minutes: 0.02, 0.5, 1 and 20 a minute of the canary's.
    for (south, words) in [
        (
            288,
            "288 of south in the last day: at 10 % of the traffic the canary is held until then, longer than the deadline of 6h",
        ),
        (7_200, "about 4 h, which the dates of this plan count in;"),
        (
            14_400,
            "about 100 min, which the dates of this plan count in;",
        ),
    ] {
        let found = wait([900_000, south]).expect("it is longer than ten minutes");
        assert!(found.contains(words), "{found}");
    }
    assert_eq!(wait([900_000, 288_000]), None, "five minutes are enough");
}

/// Half a million predictions of each group in the last day, and so many of the south's positive.
#[test]
fn a_ratio_waits_for_positive_predictions_of_each_group() {
    let minute = |positive| ArmMinute {
        checks: BTreeMap::from([
            (
                "fairness.parity.north".to_owned(),
                Counts::new(500_000, 400_000).unwrap(),
            ),
            (
                "fairness.parity.south".to_owned(),
                Counts::new(500_000, positive).unwrap(),
            ),
        ]),
        ..arm(1000, 2)
    };
    let told = |measure, positive| {
        let mut case = proposed(&arm(1000, 2), Vec::new());
        let terms = &mut case.deployment.terms;
        terms.policy.fairness = Some(Fairness {
            rules: vec![FairnessRule {
                measure,
                limit: 0.01,
                min_samples: 100,
                min_positives: FairnessRule::MIN_POSITIVES,
            }],
            groups: ["north", "south"].map(str::to_owned).to_vec(),
            consequence: Consequence::default(),
        });
        let mut day: BTreeMap<Timestamp, ArmMinute> = (1..=1440)
            .map(|index| (accepted_at() - minutes(index), arm(1000, 2)))
            .collect();
        day.insert(accepted_at() - minutes(7), minute(positive));
        terms.baseline = Baseline::of(&terms.policy, &day, None, SlowCount::default());
        let all = warnings(&case);
        let found = about(&all, "in each group, and production had");
        found.first().map(|sentence| (*sentence).clone())
    };
    // At a tenth of the traffic five positive ones of the south an hour make ten hours of it.
    let rare = told(Measure::DisparateImpact, 1200).expect("the bake is of ten minutes");
    assert!(
        rare.contains(
            "50 positive predictions in each group, and production had 1200 of south in the last day"
        ) && rare.contains("longer than the deadline of 6h")
            && rare.contains("a lower min_positives waits less"),
        "{rare}"
    );
    assert_eq!(told(Measure::DisparateImpact, 480_000), None);
    assert_eq!(told(Measure::DemographicParity, 1200), None);
}

#[test]
fn groups_are_waited_for_only_where_that_holds_and_where_they_can_be_counted() {
    let told = small_groups(Measure::EqualOpportunity, [0, 0], Action::Notify);
    assert_eq!(told, None);
    let parity = |counted| small_groups(Measure::DemographicParity, counted, Action::Rollback);
    assert_eq!(
        parity([0, 0]),
        None,
        "nothing is counted before the first deployment"
    );
    let rare = parity([900_000, 20]).expect("they hardly ever ask");
    assert!(
        rare.contains("100 predictions in each group, and production had 20 of south"),
        "{rare}"
    );
}
