//! Recorded rollouts of every kind, and what becomes of them.

use super::*;
use crate::domain::plan::{Plan, Preset};
use crate::domain::policy::{Consequence, Grade, Policy, Test};
use crate::domain::quantity::{Rate, Span};
use crate::domain::signal::{ERRORS, SLOWNESS, Source};

/// SplitMix64 (Steele, Lea and Flood 2014), so that a trace is the same everywhere.
struct Chance(u64);

impl Chance {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Bad ones of n, by the gaps between them.
    fn counts(&mut self, n: u64, rate: f64) -> Counts {
        let (mut at, mut bad) = (0.0, 0);
        loop {
            at += (self.uniform().ln() / (-rate).ln_1p()).floor() + 1.0;
            if at > n as f64 {
                return Counts::new(n, bad).expect("no more than n");
            }
            bad += 1;
        }
    }
}

/// Minutes of one signal: history of production alone, then both arms.
struct Trace {
    chance: Chance,
    minutes: Vec<Recorded>,
}

impl Trace {
    fn new(seed: u64) -> Self {
        Self {
            chance: Chance(seed),
            minutes: Vec::new(),
        }
    }

    fn next(&self) -> u64 {
        self.minutes.last().map_or(0, |last| last.minute + 1)
    }

    fn push(&mut self, name: &str, canary: Option<Counts>, production: Option<Counts>) {
        let minute = self.next();
        let signals = [(name.to_owned(), Pair { canary, production })].into();
        self.minutes.push(Recorded { minute, signals });
    }

    fn history(mut self, minutes: u64, rate: f64) -> Self {
        for _ in 0..minutes {
            let production = self.chance.counts(9000, rate);
            self.push(ERRORS, None, Some(production));
        }
        self
    }

    /// 1,000 canary requests a minute beside 9,000 of production at 0.2 %.
    fn both(mut self, minutes: u64, canary_rate: f64) -> Self {
        for _ in 0..minutes {
            let canary = self.chance.counts(1000, canary_rate);
            let production = self.chance.counts(9000, 0.002);
            self.push(ERRORS, Some(canary), Some(production));
        }
        self
    }

    fn without(mut self, arm: fn(&mut Pair) -> &mut Option<Counts>, minutes: &[usize]) -> Self {
        for minute in minutes {
            let pair = self.minutes[*minute]
                .signals
                .get_mut(ERRORS)
                .expect("errors");
            *arm(pair) = None;
        }
        self
    }
}

fn policy() -> Policy {
    Policy::preset(Preset::Linear)
}

/// The comparison alone: no guard gets in its way.
fn comparison() -> Policy {
    Policy {
        guards: Vec::new(),
        ..policy()
    }
}

fn consequence(mut policy: Policy, action: Action) -> Policy {
    for rule in &mut policy.signals {
        rule.consequence.on_breach = action;
    }
    policy
}

fn plan() -> Plan {
    let stages = Preset::Linear.stages();
    Plan::new(stages, Plan::SOAK, Span::from_hours(10), Vec::new()).expect("the preset fits")
}

fn case(policy: &Policy, minutes: &[Recorded]) -> Case {
    let mut survey = Survey::default();
    for minute in minutes {
        survey.take_in(minute);
    }
    Case::new(policy, &plan(), &survey).expect("it can be judged")
}

fn judged(policy: &Policy, minutes: &[Recorded]) -> Outcome {
    let case = case(policy, minutes);
    let mut replay = Replay::new(&case);
    for minute in minutes {
        replay.take_in(minute);
    }
    replay.outcome()
}

fn canary(pair: &mut Pair) -> &mut Option<Counts> {
    &mut pair.canary
}

fn production(pair: &mut Pair) -> &mut Option<Counts> {
    &mut pair.production
}

#[test]
fn a_healthy_canary_goes_on() {
    for seed in 0..20 {
        let trace = Trace::new(seed).history(100, 0.002).both(120, 0.002);
        let outcome = judged(&policy(), &trace.minutes);
        assert_eq!(outcome.ruling, Ruling::GoOn, "{seed}: {}", outcome.sentence);
        assert_eq!(
            (outcome.minute, outcome.minutes, outcome.gap),
            (None, 120, 0)
        );
        let errors = &outcome.signals[ERRORS];
        assert_eq!(
            (errors.canary.n(), errors.production.n()),
            (120_000, 1_080_000)
        );
        assert!(errors.ln_e.is_some_and(|ln_e| ln_e < 2.0));
    }
}

#[test]
fn a_bad_one_is_taken_back_within_three_minutes() {
    for seed in 0..20 {
        for policy in [policy(), comparison()] {
            let trace = Trace::new(seed).both(30, 0.05);
            let outcome = judged(&policy, &trace.minutes);
            assert_eq!(outcome.ruling, Ruling::Rollback);
            let minute = outcome.minute.expect("a rollback has its minute");
            assert!(minute < 3, "seed {seed}: minute {minute}");
            assert_eq!(outcome.minutes, minute + 1, "the first rollback ends it");
        }
    }
}

#[test]
fn the_minute_is_the_records_own() {
    let mut trace = Trace::new(1).history(50, 0.002).both(30, 0.05);
    let plain = judged(&comparison(), &trace.minutes);
    let offset = (1 << 40) - 1000;
    for minute in &mut trace.minutes {
        minute.minute += offset;
    }
    let moved = judged(&comparison(), &trace.minutes);
    assert_eq!(moved.minute, plain.minute.map(|minute| minute + offset));
    assert_eq!(moved.signals, plain.signals);
    assert!(plain.minute >= Some(50), "history is not judged");
}

#[test]
fn min_samples_holds_but_never_delays_a_rollback() {
    let greedy = Policy {
        min_samples: 1_000_000,
        ..comparison()
    };
    let bad = Trace::new(3).both(30, 0.05);
    assert_eq!(
        judged(&greedy, &bad.minutes),
        judged(&comparison(), &bad.minutes)
    );
    let good = judged(&greedy, &Trace::new(3).both(30, 0.002).minutes);
    assert_eq!(good.ruling, Ruling::Hold);
    assert_eq!(
        good.sentence,
        "too little to go on: needs about 970000 more canary requests"
    );
}

#[test]
fn bursts_of_the_history_temper_the_evidence() {
    let rollout = Trace::new(5).both(8, 0.005).minutes;
    let after = |history: Vec<u64>| {
        let mut trace = Trace::new(0);
        for bad in history {
            trace.push(ERRORS, None, Counts::new(9000, bad));
        }
        for minute in &rollout {
            let pair = minute.signals[ERRORS];
            trace.push(ERRORS, pair.canary, pair.production);
        }
        let outcome = judged(&comparison(), &trace.minutes);
        outcome.signals[ERRORS].ln_e.expect("minutes were compared")
    };
    let calm = after(vec![18; 240]);
    let bursty = after(
        (0..240)
            .map(|minute| if minute % 4 == 0 { 72 } else { 0 })
            .collect(),
    );
    assert!(bursty < calm - 1.0, "{bursty} against {calm}");
}

#[test]
fn production_sets_the_rate_before_the_canary_serves() {
    let trace = Trace::new(2).history(60, 0.002).both(1, 0.002);
    let mut survey = Survey::default();
    for minute in &trace.minutes {
        survey.take_in(minute);
    }
    assert_eq!(
        (survey.history_minutes(), survey.first_request),
        (60, Some(60))
    );
    assert_eq!(survey.baseline.signals[ERRORS].counts.n(), 540_000);
    // Rows of no trials neither end the history nor belong to it.
    let mut idle = Trace::new(2);
    idle.push(ERRORS, Some(Counts::NONE), Counts::new(10, 1));
    idle.push(ERRORS, Some(Counts::NONE), Some(Counts::NONE));
    let mut survey = Survey::default();
    for minute in &idle.minutes {
        survey.take_in(minute);
    }
    assert_eq!(survey.first_request, None);
    assert_eq!(survey.baseline.signals[ERRORS].counts.n(), 10);
    let none = Case::new(&policy(), &plan(), &survey);
    assert_eq!(none.unwrap_err(), Unfit::NoRequests);
}

#[test]
fn gaps_are_skipped_and_counted() {
    let whole = Trace::new(7).both(60, 0.002);
    let mut torn = Trace::new(7)
        .both(60, 0.002)
        .without(canary, &[10, 11])
        .without(production, &[20]);
    torn.minutes.remove(30);
    let outcome = judged(&policy(), &torn.minutes);
    assert_eq!(outcome.ruling, Ruling::GoOn, "{}", outcome.sentence);
    assert_eq!((outcome.minutes, outcome.gap), (59, 4));
    assert_eq!(outcome.signals[ERRORS].canary.n(), 56_000);
    // The comparison is what it would be had the minutes never been.
    let mut kept = whole.minutes;
    kept.retain(|minute| ![10, 11, 20, 30].contains(&minute.minute));
    let kept = judged(&comparison(), &kept);
    let torn = judged(&comparison(), &torn.minutes);
    assert_eq!(kept.signals[ERRORS].ln_e, torn.signals[ERRORS].ln_e);
}

#[test]
fn a_missing_arm_never_counts_as_one_without_errors() {
    let mut trace = Trace::new(4).both(40, 0.002);
    for minute in trace.minutes.iter_mut().skip(5) {
        let errors = minute.signals.remove(ERRORS).expect("errors");
        minute.signals.insert(SLOWNESS.to_owned(), errors);
    }
    let outcome = judged(&policy(), &trace.minutes);
    assert_eq!(outcome.signals[ERRORS].canary.n(), 5000);
    assert_eq!(outcome.signals[SLOWNESS].canary.n(), 35_000);
    assert_eq!(outcome.ruling, Ruling::Hold);
    assert!(
        outcome.sentence.contains("errors has no row of the canary"),
        "{}",
        outcome.sentence
    );
}

#[test]
fn labels_are_no_requests_where_the_record_counts_those() {
    let named = |name: &str, n| {
        let canary = Counts::new(n, 0);
        let production = canary;
        (name.to_owned(), Pair { canary, production })
    };
    let mut recorded = Recorded {
        minute: 1,
        signals: [named("accuracy", 30)].into(),
    };
    assert_eq!(recorded.canary_requests(true), 0);
    assert_eq!(recorded.canary_requests(false), 30);
    recorded.signals.extend([named(ERRORS, 12)]);
    assert_eq!(recorded.canary_requests(true), 12);
    let mut survey = Survey::default();
    assert!(!survey.counts_requests());
    survey.take_in(&recorded);
    assert!(survey.counts_requests());
}

#[test]
fn a_blind_end_holds() {
    let last = Trace::new(8).both(60, 0.002).without(canary, &[59]);
    let outcome = judged(&policy(), &last.minutes);
    assert_eq!(outcome.ruling, Ruling::Hold);
    assert_eq!(
        outcome.sentence,
        "blind: errors has no row of the canary in minute 59"
    );

    // Zero requests are blindness only where production's traffic predicts some.
    let mut silent = Trace::new(8).both(60, 0.002);
    silent.push(ERRORS, Some(Counts::NONE), Counts::new(9000, 18));
    let outcome = judged(&policy(), &silent.minutes);
    assert_eq!(outcome.ruling, Ruling::Hold, "{}", outcome.sentence);
    let mut quiet = Trace::new(8).both(60, 0.002);
    quiet.push(ERRORS, Some(Counts::NONE), Counts::new(20, 0));
    let outcome = judged(&policy(), &quiet.minutes);
    assert_eq!(outcome.ruling, Ruling::GoOn, "{}", outcome.sentence);
}

#[test]
fn without_production_nothing_is_rolled_back_by_the_comparison() {
    let alone = |rate: f64| {
        let mut trace = Trace::new(9).history(60, 0.002).both(60, 0.002);
        for _ in 0..60 {
            let canary = trace.chance.counts(10_000, rate);
            trace.push(ERRORS, Some(canary), None);
        }
        judged(&comparison(), &trace.minutes)
    };
    let healthy = alone(0.002);
    assert_eq!(healthy.ruling, Ruling::GoOn, "{}", healthy.sentence);
    let bad = alone(0.01);
    assert_eq!(bad.ruling, Ruling::Hold);
    assert!(
        bad.sentence.contains("from minute 120 on"),
        "{}",
        bad.sentence
    );

    let mut never = Trace::new(9);
    for _ in 0..60 {
        never.push(ERRORS, Counts::new(1000, 2), None);
    }
    assert_eq!(judged(&comparison(), &never.minutes).ruling, Ruling::Hold);
}

#[test]
fn a_signal_with_trials_in_one_arm_only_holds() {
    let mut trace = Trace::new(10).both(60, 0.002);
    for minute in &mut trace.minutes {
        let pair = Pair {
            canary: Some(Counts::NONE),
            production: Counts::new(100, 1),
        };
        minute.signals.insert(SLOWNESS.to_owned(), pair);
    }
    let outcome = judged(&comparison(), &trace.minutes);
    assert_eq!(outcome.ruling, Ruling::Hold);
    assert_eq!(outcome.signals[SLOWNESS].ln_e, None);
}

#[test]
fn a_step_back_is_kept_and_judging_goes_on() {
    let milder = consequence(comparison(), Action::StepBack);
    let trace = Trace::new(11).both(20, 0.05).both(60, 0.002);
    let outcome = judged(&milder, &trace.minutes);
    let rolled_back = judged(&comparison(), &trace.minutes);
    assert_eq!(outcome.ruling, Ruling::StepBack);
    assert_eq!(outcome.minute, rolled_back.minute);
    assert_eq!(outcome.signals, rolled_back.signals, "as it stood then");
    assert_eq!(outcome.minutes, 80);

    // A rollback later on weighs more than a step back before it.
    let mut both = milder;
    let limit = Rate::from_percent(20.0);
    both.guards = policy().guards;
    both.guards.retain(|guard| guard.name == "error_rate.limit");
    both.guards[0].test = Test::ErrorsAbove(limit.expect("a rate"));
    let trace = Trace::new(11).both(20, 0.05).both(20, 0.5);
    let outcome = judged(&both, &trace.minutes);
    assert_eq!(outcome.ruling, Ruling::Rollback);
    assert!(outcome.minute >= Some(20));
}

#[test]
fn holding_and_telling_roll_nothing_back() {
    let trace = Trace::new(12).both(30, 0.05);
    let hold = judged(&consequence(comparison(), Action::Hold), &trace.minutes);
    assert_eq!(
        (hold.ruling, hold.minute, hold.minutes),
        (Ruling::Hold, None, 30)
    );
    let notify = judged(&consequence(comparison(), Action::Notify), &trace.minutes);
    assert_eq!(notify.ruling, Ruling::GoOn);
    let mut muted = comparison();
    for rule in &mut muted.signals {
        rule.consequence.muted = true;
    }
    let muted = judged(&muted, &trace.minutes);
    assert_eq!(muted.ruling, Ruling::GoOn);
    assert!(
        muted.signals[ERRORS].ln_e.is_some_and(|ln_e| ln_e > 10.0),
        "computed all the same"
    );
}

#[test]
fn the_budget_is_shared_by_the_signals_in_the_record_alone() {
    let trace = Trace::new(13).both(30, 0.004);
    let one = case(&comparison(), &trace.minutes);
    assert_eq!(one.bench(&one.policy).parts(), 1);
    let mut two = trace.minutes.clone();
    for minute in &mut two {
        let errors = minute.signals[ERRORS];
        minute.signals.insert(SLOWNESS.to_owned(), errors);
    }
    let two = case(&comparison(), &two);
    assert_eq!(two.bench(&two.policy).parts(), 2);
}

#[test]
fn guards_without_counts_are_left_out() {
    let trace = Trace::new(14).both(30, 0.002);
    let case_of_errors = case(&policy(), &trace.minutes);
    let names: Vec<&str> = case_of_errors
        .left_out()
        .iter()
        .map(String::as_str)
        .collect();
    assert!(
        names.iter().all(|name| name.starts_with("latency_")),
        "{names:?}"
    );
    assert!(!names.is_empty());

    let mut slowness = trace.minutes;
    for minute in &mut slowness {
        let errors = minute.signals.remove(ERRORS).expect("errors");
        minute.signals.insert(SLOWNESS.to_owned(), errors);
    }
    let case_of_slowness = case(&policy(), &slowness);
    assert_eq!(case_of_slowness.left_out().len(), policy().guards.len());
    assert_eq!(judged(&policy(), &slowness).ruling, Ruling::GoOn);
}

#[test]
fn a_guard_on_errors_judges_like_in_a_live_rollout() {
    // Bad in both arms: no comparison says a word, and the limit is not the canary's to break.
    let mut shared = Trace::new(15);
    let mut own = Trace::new(15);
    for _ in 0..10 {
        shared.push(ERRORS, Counts::new(1000, 30), Counts::new(9000, 270));
        own.push(ERRORS, Counts::new(1000, 30), None);
    }
    assert_eq!(judged(&policy(), &shared.minutes).ruling, Ruling::Hold);
    let own = judged(&policy(), &own.minutes);
    assert_eq!((own.ruling, own.minute), (Ruling::Rollback, Some(1)));
}

#[test]
fn a_check_with_a_limit_needs_no_production() {
    let mut checked = comparison();
    checked.signals = vec![SignalRule {
        name: "misses".to_owned(),
        source: Source::ServerErrors,
        compares: false,
        limit: Rate::from_percent(5.0),
        min_samples: 0,
        consequence: Consequence::of(Grade::High),
        family: None,
    }];
    let outcome = |bad: u64| {
        let mut trace = Trace::new(16);
        for _ in 0..60 {
            trace.push("misses", Counts::new(100, bad), None);
        }
        judged(&checked, &trace.minutes)
    };
    let good = outcome(2);
    assert_eq!(good.ruling, Ruling::GoOn, "{}", good.sentence);
    assert_eq!(good.signals["misses"].canary.n(), 6000);
    assert!(good.signals["misses"].ln_e.is_some());
    assert_eq!(outcome(20).ruling, Ruling::Rollback);
}

#[test]
fn what_no_policy_knows_can_not_be_judged() {
    let mut trace = Trace::new(17);
    trace.push("accuracy", Counts::new(100, 2), Counts::new(100, 2));
    let mut survey = Survey::default();
    survey.take_in(&trace.minutes[0]);
    let unfit = Case::new(&policy(), &plan(), &survey).unwrap_err();
    assert_eq!(unfit, Unfit::NothingKnown("accuracy".to_owned()));
}

#[test]
fn the_same_record_is_judged_the_same() {
    let trace = Trace::new(18).history(30, 0.002).both(200, 0.003);
    let first = judged(&policy(), &trace.minutes);
    assert_eq!(first, judged(&policy(), &trace.minutes));
    // Minute by minute it says what the whole says at its end.
    let case = case(&policy(), &trace.minutes);
    let mut replay = Replay::new(&case);
    let mut judged_minutes = 0;
    for minute in &trace.minutes {
        judged_minutes += u64::from(replay.take_in(minute));
    }
    assert_eq!(judged_minutes, first.minutes);
    assert_eq!(replay.at_present().ruling, first.ruling);
}
