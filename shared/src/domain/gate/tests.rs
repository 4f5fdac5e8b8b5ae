//! Figures against scipy and scikit-learn, and what is made of them.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

/// Counted so that recall is 95 % and the false positive rate 1.33 %, and the two models differ.
fn cells() -> Cells {
    Cells {
        positives: called(900, 10, 50, 40),
        negatives: called(100, 60, 20, 8820),
    }
}

fn called(both: u64, champion: u64, challenger: u64, neither: u64) -> Called {
    Called {
        both,
        champion,
        challenger,
        neither,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn results(cells: Cells) -> Results {
    Results {
        model: "wine-quality-v2".to_owned(),
        champion: Some("wine-quality-v1".to_owned()),
        compared_at: at("2026-03-02T10:00:00Z"),
        predictions: None,
        positives: cells.positives,
        negatives: cells.negatives,
        latency: Some(Measured {
            rows: 10_000,
            p95_ms: 87.5,
            low_ms: Some(86.0),
            high_ms: Some(89.25),
        }),
    }
}

fn verdicts(results: &Results, rules: &Rules) -> Vec<(&'static str, Verdict)> {
    let findings = judge(results, rules).requirements;
    findings
        .iter()
        .map(|finding| (finding.requirement.as_str(), finding.verdict))
        .collect()
}

#[track_caller]
fn assert_near(found: f64, expected: f64, relative: f64) {
    assert!(
        (found - expected).abs() <= relative * expected.abs(),
        "{found} for {expected}"
    );
}

/// By scipy 1.17.1: `beta.ppf(0.025, x, n - x + 1)` and `beta.ppf(0.975, x + 1, n - x)`.
#[test]
fn a_share_lies_where_clopper_and_pearson_say() {
    for (hits, trials, low, high) in [
        (0, 10, 0.0, 0.308_497_107_818_760_7),
        (10, 10, 0.691_502_892_181_239_2, 1.0),
        (5, 10, 0.187_086_028_447_398_55, 0.812_913_971_552_601_5),
        (950, 1000, 0.934_609_512_084_506_4, 0.962_664_602_395_338_2),
        (
            1,
            100_000,
            2.531_780_477_933_314e-7,
            5.571_516_034_774_275e-5,
        ),
        (7, 183, 0.015_515_037_409_613_028, 0.077_221_644_700_826_28),
        (
            49_000,
            50_000,
            0.978_734_627_838_732_1,
            0.981_209_204_821_057_9,
        ),
        (
            99_999_970,
            100_000_000,
            0.999_999_571_731_373_5,
            0.999_999_797_579_251,
        ),
    ] {
        let (found_low, found_high) = interval::share(hits, trials);
        assert_near(found_low, low, 1e-8);
        assert_near(found_high, high, 1e-8);
    }
    assert_eq!(interval::share(0, 0), (0.0, 1.0), "nothing was seen");
}

/// By scipy 1.17.1: the ranks at which `binom.cdf(k, n, 0.95)` passes 2.5 % and 97.5 %.
#[test]
fn a_percentile_lies_between_two_ranks_or_has_no_bound() {
    for (values, low, high) in [
        (0, None, None),
        (1, None, None),
        (71, Some(63), None),
        (72, Some(64), Some(72)),
        (73, Some(65), Some(73)),
        (100, Some(90), Some(100)),
        (1000, Some(936), Some(964)),
        (12_345, Some(11_680), Some(11_776)),
    ] {
        assert_eq!(interval::ranks(QUANTILE, values), (low, high), "{values}");
    }
}

/// F1 by scikit-learn 1.9.1 `f1_score`; the interval by numpy 2.4.6, the same quantiles of two
/// million multinomial draws, within what 2000 draws leave open.
#[test]
fn f1_and_its_ratio_are_those_of_others() {
    let (champion, challenger) = cells().f1();
    assert_near(champion.unwrap(), 0.879_227_053_140_096_6, 1e-14);
    assert_near(challenger.unwrap(), 0.917_874_396_135_265_7, 1e-14);
    assert_near(cells().f1_ratio().unwrap(), 1.043_956_043_956_043_8, 1e-14);
    let (low, high) = resample::f1_ratio(&cells()).unwrap();
    assert!((low - 1.031_244).abs() < 0.0012, "{low}");
    assert!((high - 1.057_368).abs() < 0.0012, "{high}");
    assert_eq!(
        resample::f1_ratio(&cells()),
        Some((low, high)),
        "no chance in it"
    );
}

#[test]
fn a_good_challenger_passes_and_a_limit_that_is_met_exactly_is_met() {
    let judgement = judge(&results(cells()), &Rules::default());
    assert_eq!(judgement.outcome, Outcome::Passed);
    let recall = &judgement.requirements[0];
    assert_eq!(
        (recall.verdict, recall.value),
        (Verdict::Passed, Some(0.95))
    );
    assert_eq!(
        recall.sentence,
        "recall 95.00% (95% interval 93.46% to 96.27%), 950 of 1000 positive rows found, at least 95% is required"
    );
}

#[test]
fn each_requirement_fails_by_itself() {
    use Verdict::{Failed, Passed};
    let with = |change: fn(&mut Results)| {
        let mut results = results(cells());
        change(&mut results);
        verdicts(&results, &Rules::default())
    };
    let recall = with(|it| it.positives = called(905, 10, 44, 41));
    assert_eq!(
        recall,
        [
            ("recall", Failed),
            ("fpr", Passed),
            ("latency", Passed),
            ("f1_ratio", Passed)
        ]
    );
    let fpr = with(|it| it.negatives = called(100, 160, 90, 8650));
    assert_eq!(
        fpr,
        [
            ("recall", Passed),
            ("fpr", Failed),
            ("latency", Passed),
            ("f1_ratio", Passed)
        ]
    );
    let latency = with(|it| it.latency.as_mut().unwrap().p95_ms = 100.001);
    assert_eq!(
        latency,
        [
            ("recall", Passed),
            ("fpr", Passed),
            ("latency", Failed),
            ("f1_ratio", Passed)
        ]
    );
    // As good as the champion is not better by 1 %.
    let f1 = with(|it| it.positives = called(955, 0, 0, 45));
    assert_eq!(f1[3], ("f1_ratio", Passed), "fewer false alarms");
    let f1 = with(|it| {
        it.positives = called(955, 0, 0, 45);
        it.negatives = called(100, 7, 7, 8886);
    });
    assert_eq!(
        f1,
        [
            ("recall", Passed),
            ("fpr", Passed),
            ("latency", Passed),
            ("f1_ratio", Failed)
        ]
    );
}

#[test]
fn too_few_rows_are_told_from_bad_ones() {
    use Verdict::{Failed, Passed, TooFew as Few};
    // Flawless, and yet 71 positive rows can't show 95 %, nor 182 negative ones 2 %.
    let few = |found, missed, quiet| Cells {
        positives: called(found, 0, 0, missed),
        negatives: called(0, 0, 0, quiet),
    };
    let of = |cells, rules: &Rules| {
        let found = verdicts(&results(cells), rules);
        (found[0].1, found[1].1)
    };
    let rules = Rules::default();
    assert_eq!(of(few(71, 0, 182), &rules), (Few, Few));
    assert_eq!(of(few(72, 0, 183), &rules), (Passed, Passed));
    assert_eq!(
        of(few(2, 5, 183), &rules).0,
        Failed,
        "few, and bad all the same"
    );
    assert_eq!(of(few(0, 0, 0), &rules), (Few, Few));
    let lenient = Rules {
        too_few: TooFew::Accept,
        leave_out: vec![Requirement::F1Ratio],
        ..Rules::default()
    };
    assert_eq!(
        judge(&results(few(71, 0, 182)), &lenient).outcome,
        Outcome::Passed
    );
    assert_eq!(
        judge(&results(few(2, 5, 183)), &lenient).outcome,
        Outcome::Rejected
    );
}

/// A bootstrap of the few rows on which two models differ knows no others: its interval is too short.
#[test]
fn too_few_rows_that_differ_show_no_better_model_by_their_interval() {
    let strict = Rules {
        by: By::Interval,
        leave_out: vec![Requirement::Recall, Requirement::Fpr, Requirement::Latency],
        ..Rules::default()
    };
    let of = |differing| {
        let positives = called(10, 0, differing, 1);
        let negatives = called(0, 0, 0, 200);
        let cells = Cells {
            positives,
            negatives,
        };
        verdicts(&results(cells), &strict)[0].1
    };
    assert_eq!(of(5), Verdict::TooFew);
    assert_eq!(of(6), Verdict::Passed);
}

/// Few rows are let through where the gate says so; what they show to be missed is not, nor what
/// nobody measured.
#[test]
fn too_few_rows_are_accepted_only_where_the_figure_itself_is_met() {
    let lenient = |by| Rules {
        too_few: TooFew::Accept,
        by,
        ..Rules::default()
    };
    // Flawless on few rows.
    let few = Results {
        latency: Some(Measured {
            rows: 20,
            p95_ms: 80.0,
            low_ms: Some(70.0),
            high_ms: None,
        }),
        ..results(Cells {
            positives: called(10, 0, 10, 0),
            negatives: called(0, 0, 0, 20),
        })
    };
    for by in [By::Estimate, By::Interval] {
        let judgement = judge(&few, &lenient(by));
        assert_eq!(judgement.outcome, Outcome::Passed, "{by:?}");
        let sentence = judgement.sentence();
        assert!(
            sentence.starts_with("accepted with too few rows: recall "),
            "{sentence}"
        );
        let strict = Rules {
            too_few: TooFew::Reject,
            ..lenient(by)
        };
        assert_eq!(judge(&few, &strict).outcome, Outcome::Rejected, "{by:?}");
    }
    let rejected = |change: fn(&mut Results), by, what: &str| {
        let mut results = few.clone();
        change(&mut results);
        let judgement = judge(&results, &lenient(by));
        assert_eq!(
            judgement.outcome,
            Outcome::Rejected,
            "{what}: {}",
            judgement.sentence()
        );
    };
    for by in [By::Estimate, By::Interval] {
        rejected(|it| it.latency = None, by, "no latency");
        rejected(|it| it.latency.as_mut().unwrap().rows = 0, by, "of no row");
        rejected(
            |it| it.latency.as_mut().unwrap().p95_ms = 120.0,
            by,
            "too slow",
        );
        rejected(|it| it.positives = Called::default(), by, "no positive row");
        rejected(|it| it.negatives = Called::default(), by, "no negative row");
        rejected(|it| it.positives = called(10, 0, 8, 2), by, "finds too few");
        let none = |it: &mut Results| {
            (it.positives, it.negatives, it.latency) = Default::default();
        };
        rejected(none, by, "nothing at all");
    }
    // 940 of 1,000, whose interval lies across 95 %.
    let across = results(Cells {
        positives: called(890, 10, 50, 50),
        ..cells()
    });
    let judgement = judge(&across, &lenient(By::Interval));
    assert_eq!(judgement.requirements[0].verdict, Verdict::TooFew);
    assert_eq!(judgement.outcome, Outcome::Rejected);
}

/// So many rows are enough whoever sent an upper bound: 72 by scipy, as above.
#[test]
fn enough_rows_with_a_latency_are_counted_and_not_claimed() {
    let of = |rows, high_ms| {
        let mut results = results(cells());
        results.latency = Some(Measured {
            rows,
            p95_ms: 90.0,
            low_ms: None,
            high_ms,
        });
        let strict = Rules {
            by: By::Interval,
            ..Rules::default()
        };
        [Rules::default(), strict].map(|rules| verdicts(&results, &rules)[2].1)
    };
    assert_eq!(of(72, None), [Verdict::Passed, Verdict::TooFew]);
    assert_eq!(of(72, Some(95.0)), [Verdict::Passed; 2]);
    assert_eq!(
        of(71, Some(95.0)),
        [Verdict::TooFew; 2],
        "the bound is made up"
    );
}

#[test]
fn what_was_not_measured_is_not_passed() {
    let mut unmeasured = results(cells());
    unmeasured.latency = None;
    let judgement = judge(&unmeasured, &Rules::default());
    assert_eq!(judgement.outcome, Outcome::Rejected);
    assert_eq!(
        judgement.sentence(),
        "latency p95 was not measured, at most 100ms is required"
    );
    let without = Rules {
        leave_out: vec![Requirement::Latency],
        ..Rules::default()
    };
    assert_eq!(judge(&unmeasured, &without).outcome, Outcome::Passed);
}

#[test]
fn a_champion_without_a_hit_is_no_measure() {
    let blind = |challenger| Cells {
        positives: called(0, 0, challenger, 100 - challenger),
        negatives: called(0, 0, 0, 1000),
    };
    let of = |cells| judge(&results(cells), &Rules::default()).requirements[3].clone();
    let better = of(blind(98));
    assert_eq!((better.verdict, better.value), (Verdict::Passed, None));
    assert_eq!(of(blind(0)).verdict, Verdict::TooFew, "neither finds any");
    // Any is better, by whatever it is judged, on rows enough to tell.
    let strict = Rules {
        by: By::Interval,
        ..Rules::default()
    };
    let of = |cells| judge(&results(cells), &strict).requirements[3].verdict;
    assert_eq!(
        (of(blind(98)), of(blind(5))),
        (Verdict::Passed, Verdict::TooFew)
    );
}

#[test]
fn by_the_interval_all_of_it_must_be_inside() {
    let strict = Rules {
        by: By::Interval,
        ..Rules::default()
    };
    let found = verdicts(&results(cells()), &strict);
    // 93.5 % to 96.3 % lies on both sides of 95 %.
    assert_eq!(
        found,
        [
            ("recall", Verdict::TooFew),
            ("fpr", Verdict::Passed),
            ("latency", Verdict::Passed),
            ("f1_ratio", Verdict::Passed)
        ]
    );
}

#[test]
fn results_speak_for_one_model_and_not_for_ever() {
    let gate = |results| Gate {
        rules: Rules::default(),
        results,
    };
    let measured = gate(Some(results(cells())));
    let of = |now| measured.results_for("wine-quality-v2", at(now)).map(drop);
    assert_eq!(of("2026-03-02T10:00:00Z"), Ok(()));
    assert_eq!(of("2026-04-01T10:00:00Z"), Ok(()), "30 days to the second");
    assert!(matches!(
        of("2026-04-01T10:00:01Z"),
        Err(Unbound::TooOld { .. })
    ));
    assert_eq!(of("2026-03-02T09:55:00Z"), Ok(()), "clocks differ");
    assert!(matches!(
        of("2026-03-02T09:54:59Z"),
        Err(Unbound::FromTheFuture { .. })
    ));
    let now = at("2026-03-02T10:00:00Z");
    let other = measured.results_for("wine-quality-v3", now);
    assert!(matches!(other, Err(Unbound::OtherModel { .. })));
    let missing = gate(None);
    let missing = missing.results_for("wine-quality-v2", now);
    assert!(matches!(missing, Err(Unbound::Missing { .. })));
    let unnamed = gate(Some(Results {
        champion: None,
        ..results(cells())
    }));
    let of = |gate: &Gate| gate.results_for("wine-quality-v2", now).map(drop);
    assert_eq!(of(&unnamed), Err(Unbound::NoChampion));
    let alone = Gate {
        rules: Rules {
            leave_out: vec![Requirement::F1Ratio],
            ..Rules::default()
        },
        ..unnamed
    };
    assert_eq!(of(&alone), Ok(()), "nothing is asked of a champion");
    assert_eq!(measured.champion_is("wine-quality-v1"), Ok(()));
    assert!(measured.champion_is("wine-quality-v0").is_err());
    assert_eq!(gate(None).champion_is("wine-quality-v0"), Ok(()));
}

fn any_called() -> impl Strategy<Value = Called> {
    let cell = || prop_oneof![Just(0), 0..20_u64, 0..2000_u64, 0..MOST_ROWS / 8];
    (cell(), cell(), cell(), cell()).prop_map(|(a, b, c, d)| called(a, b, c, d))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the counts: figures lie in their intervals, what is shown is also so, and a
    /// challenger who finds one more positive row never does worse at recall.
    #[test]
    fn verdicts_are_of_one_piece(positives in any_called(), negatives in any_called()) {
        let cells = Cells { positives, negatives };
        let strict = Rules { by: By::Interval, ..Rules::default() };
        let (usual, strict) = (judge(&results(cells), &Rules::default()), judge(&results(cells), &strict));
        for (finding, shown) in usual.requirements.iter().zip(&strict.requirements) {
            prop_assert!(!finding.sentence.contains("NaN") && !finding.sentence.contains("inf"));
            if shown.verdict == Verdict::Passed {
                prop_assert_eq!(finding.verdict, Verdict::Passed, "{}", &finding.sentence);
            }
            prop_assert_eq!(finding.verdict == Verdict::Failed && shown.verdict == Verdict::Passed, false);
            if let (Requirement::Recall | Requirement::Fpr, Some(value)) = (finding.requirement, finding.value) {
                prop_assert!(finding.low <= Some(value) && Some(value) <= finding.high);
            }
        }
        if cells.positives.neither > 0 {
            let mut better = cells;
            better.positives.neither -= 1;
            better.positives.challenger += 1;
            let better = judge(&results(better), &Rules::default());
            if usual.requirements[0].verdict == Verdict::Passed {
                prop_assert_eq!(better.requirements[0].verdict, Verdict::Passed);
            }
        }
    }
}
