//! What the signals set going: roll back, step back, hold, notify, or nothing.

use std::collections::BTreeMap;

use super::builders::*;
use crate::domain::baseline::{Baseline, Past, SlowCount, broken_by_production};
use crate::domain::comparison::Counts;
use crate::domain::decide::{Decision, decide};
use crate::domain::evidence::Evidence;
use crate::domain::guard::SHARED_LIMIT;
use crate::domain::history::{Name, Severity};
use crate::domain::judge::bench::Bench;
use crate::domain::judge::last_judgeable;
use crate::domain::observation::{ArmMinute, limit_key};
use crate::domain::policy::{Action, Consequence, Grade, Policy};
use crate::domain::quantity::{Rate, Span};
use crate::domain::signal::{
    CLIENT_ERRORS, Direction, ERRORS, MetricPair, MetricSource, SLOWNESS, SignalRule, Source,
};
use crate::domain::state::{Outcome, Phase, Status};

/// A stage at 10 % with no guard, so that the comparison alone judges.
fn compared(at: u8) -> Case {
    Case::baking(at).with(|case| case.deployment.terms.policy.guards.clear())
}

fn consequence(case: &mut Case, signal: &str, consequence: Consequence) {
    let signals = &mut case.deployment.terms.policy.signals;
    let rule = signals.iter_mut().find(|rule| rule.name == signal).unwrap();
    rule.consequence = consequence;
}

/// So many minutes, each the same, and the endpoint as committed.
fn after(mut case: Case, count: i64, canary: &ArmMinute, production: &ArmMinute) -> Decision {
    let metrics = last_minutes(&mut case, count, Some(canary), Some(production));
    let seen = seen(split(case.deployment.state.weight.percent())).metrics(metrics);
    decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
}

fn names(decision: &Decision) -> Vec<Name> {
    decision.entries.iter().map(|entry| entry.event).collect()
}

#[test]
fn a_canary_worse_than_production_is_taken_back_with_its_figures() {
    let decision = after(compared(10), 6, &arm(1000, 20), &arm(9000, 18));
    assert_eq!(decision.next.state.status, Status::RollingBack);
    let [entry, incident] = decision.entries.last_chunk().unwrap();
    assert_eq!(
        (entry.event, entry.severity),
        (Name::RollingBack, Severity::Critical)
    );
    assert_eq!(
        (
            incident.event,
            incident.severity,
            &incident.signal,
            &incident.value
        ),
        (
            Name::Incident,
            Severity::Critical,
            &entry.signal,
            &entry.value
        )
    );
    assert!(
        incident.reason.ends_with(&entry.reason),
        "{}",
        incident.reason
    );
    assert!(entry.reason.starts_with("5XX errors: canary 2.00% (120 of 6000), production 0.20% (108 of 54000), 10 times as often"), "{}", entry.reason);
    assert!(
        entry.reason.contains("odds against luck"),
        "{}",
        entry.reason
    );
    assert!(entry.reason.contains(&entry.value) && entry.reason.contains(&entry.limit));
    // The same sentence is the row's.
    let row = decision.minutes.last().unwrap();
    assert_eq!(
        (row.verdict.as_str(), &row.sentence),
        ("unhealthy", &entry.reason)
    );
    assert_eq!(row.signals[ERRORS].sentence, entry.reason);
    assert_eq!(row.signals[ERRORS].minute, Counts::new(1000, 20));
}

#[test]
fn a_canary_as_good_as_tolerated_goes_on() {
    for (canary, production) in [(2, 18), (0, 0), (2, 16), (1000, 9000)] {
        let decision = after(compared(10), 20, &arm(1000, canary), &arm(9000, production));
        assert_eq!(
            decision.next.state.phase,
            Phase::Scaling,
            "{canary} {production}"
        );
    }
}

#[test]
fn an_incident_of_both_is_not_the_canarys() {
    // Ten times the usual errors in both arms.
    let decision = after(compared(10), 20, &arm(1000, 20), &arm(9000, 180));
    assert_eq!(decision.next.state.status, Status::InProgress);
}

#[test]
fn refusals_and_slowness_count_as_errors_do() {
    let refused = |n, x| ArmMinute {
        errors_4xx: x,
        ..arm(n, 0)
    };
    let decision = after(compared(10), 6, &refused(1000, 40), &refused(9000, 18));
    assert_eq!(decision.next.state.status, Status::RollingBack);
    assert!(decision.next.state.reason.starts_with("4XX errors: "));

    let slow = |n: u64, x| arm(n, 0).taking(50.0).slower(90.0, x);
    let case = || {
        compared(10).with(|case| {
            case.deployment.terms.baseline.slow_over = Some(latency(90.0));
        })
    };
    let decision = after(case(), 6, &slow(1000, 60), &slow(9000, 90));
    assert!(decision.next.state.reason.starts_with("slow requests: "));
    // Nothing says what slow is: nothing is judged by it.
    let unknown = case().with(|case| case.deployment.terms.baseline.slow_over = None);
    let decision = after(unknown, 6, &slow(1000, 60), &slow(9000, 90));
    assert_eq!(decision.next.state.status, Status::InProgress);
    assert!(!decision.evidence.signals.contains_key(SLOWNESS));
}

#[test]
fn a_muted_signal_is_shown_and_acts_on_nothing() {
    let case = compared(10).with(|case| {
        let muted = Consequence {
            muted: true,
            ..Consequence::default()
        };
        consequence(case, ERRORS, muted);
    });
    let decision = after(case, 20, &arm(1000, 200), &arm(9000, 0));
    assert_eq!(decision.next.state.phase, Phase::Scaling);
    let standing = &decision.minutes.last().unwrap().signals[ERRORS];
    assert_eq!(standing.acts, None);
    assert!(standing.ln_e.unwrap() > 20.0, "{:?}", standing.ln_e);
}

#[test]
fn a_notice_is_given_once_and_stands_in_nobodys_way() {
    let case = compared(10).with(|case| consequence(case, ERRORS, Consequence::of(Grade::Low)));
    let decision = after(case, 6, &arm(1000, 20), &arm(9000, 18));
    assert_eq!(names(&decision), [Name::Breached, Name::Scaling]);
    assert_eq!(decision.entries[0].severity, Severity::Info);
    // The breach still stands at the next pass, and is old news.
    let next = decide(&decision.next, &decision.evidence, &seen(split(10)), now()).unwrap();
    assert!(!names(&next).contains(&Name::Breached));
    assert!(next.evidence.told.contains(ERRORS));
}

#[test]
fn a_hold_is_said_once_and_ends_no_rollout() {
    let case = compared(10).with(|case| {
        let hold = Consequence {
            on_breach: Action::Hold,
            ..Consequence::of(Grade::Medium)
        };
        consequence(case, ERRORS, hold);
    });
    let decision = after(case, 6, &arm(1000, 20), &arm(9000, 18));
    assert_eq!(names(&decision), [Name::Breached, Name::Held]);
    assert_eq!(decision.next.state.phase, Phase::Holding);
    assert!(
        decision
            .next
            .state
            .reason
            .contains("5XX errors: canary 2.00%")
    );
}

#[test]
fn a_medium_breach_steps_back_a_stage_and_judges_anew() {
    let case =
        || compared(30).with(|case| consequence(case, ERRORS, Consequence::of(Grade::Medium)));
    let decision = after(case(), 6, &arm(3000, 60), &arm(7000, 14));
    assert_eq!(
        (
            decision.next.state.phase,
            decision.next.state.target,
            decision.next.state.step_backs
        ),
        (Phase::Retreating, weight(20), 1)
    );
    assert!(
        decision
            .next
            .state
            .reason
            .ends_with("back to 20 % to bake again")
    );
    assert_eq!(
        decision.evidence.signals[ERRORS].comparison.minutes(),
        0,
        "acted on, so forgotten"
    );
    // On its way down it is not pushed further.
    let mut moving = case();
    (moving.deployment, moving.evidence) = (decision.next, decision.evidence);
    let decision = after(moving, 6, &arm(3000, 60), &arm(7000, 14));
    assert_eq!(decision.next.state.target, weight(20));
}

#[test]
fn there_is_no_step_below_the_first_stage_nor_a_fourth_one() {
    let medium = |mut case: Case| {
        consequence(&mut case, ERRORS, Consequence::of(Grade::Medium));
        case
    };
    let decision = after(medium(compared(10)), 6, &arm(1000, 20), &arm(9000, 18));
    assert_eq!(decision.next.state.status, Status::RollingBack);
    assert!(
        decision
            .next
            .state
            .reason
            .contains("there is no lower stage")
    );
    let often = medium(compared(30)).with(|case| case.deployment.state.step_backs = 3);
    let decision = after(often, 6, &arm(3000, 60), &arm(7000, 14));
    assert_eq!(decision.next.state.outcome, Some(Outcome::RolledBack));
}

#[test]
fn suspicion_short_of_proof_holds() {
    // Enough for "not upwards", too little for "back".
    let decision = after(compared(10), 2, &arm(1000, 20), &arm(9000, 18));
    assert_eq!(decision.next.state.phase, Phase::Holding);
    assert!(
        decision
            .next
            .state
            .reason
            .contains("too much speaks against it"),
        "{}",
        decision.next.state.reason
    );
    assert_eq!(decision.minutes.last().unwrap().verdict, "inconclusive");
}

#[test]
fn a_suspicion_that_nothing_feeds_for_an_hour_is_dropped() {
    // One bad minute of the canary alone, and then no bad outcome in either arm: the capital can't
    // fall by itself.
    let mut case = compared(10).with(|case| case.deployment.state.stage_since -= minutes(600));
    let bench = case.deployment.clone();
    let bench = Bench::of(&bench);
    let mut quiet_for = |count: i64, bad: u64, evidence: &mut Evidence| {
        for index in 0..count {
            let (canary, production) = (arm(1000, bad), arm(9000, 0));
            let minute = crate::domain::judge::bench::Minute {
                at: case.now + minutes(index),
                in_stage: true,
                share: None,
                canary: Some(&canary),
                production: Some(&production),
            };
            bench.take_in(evidence, minute);
        }
        case.now += minutes(count);
    };
    let mut evidence = Evidence::starting_after(now());
    quiet_for(2, 20, &mut evidence);
    quiet_for(59, 0, &mut evidence);
    assert!(bench.objection(&evidence).is_some());
    quiet_for(1, 0, &mut evidence);
    assert_eq!(bench.objection(&evidence), None);
    // What it takes to roll back is not forgotten.
    quiet_for(1, 20, &mut evidence);
    assert!(!bench.breaches(&evidence).is_empty());
}

#[test]
fn the_safe_gate_asks_for_proof_of_health() {
    let gated = |case: &mut Case| {
        case.deployment.terms.policy = Policy::preset(crate::domain::plan::Preset::Linear);
        case.deployment.terms.policy.guards.truncate(1);
        case.deployment.terms.policy.safe_gate = true;
    };
    let decision = after(Case::baking(10).with(gated), 3, &arm(100, 0), &arm(900, 1));
    assert_eq!(decision.next.state.phase, Phase::Holding);
    let reason = &decision.next.state.reason;
    assert!(
        reason.contains("more canary requests to be shown below error_rate.limit"),
        "{reason}"
    );
    let decision = after(Case::baking(10).with(gated), 8, &arm(100, 0), &arm(900, 1));
    assert_eq!(
        decision.next.state.phase,
        Phase::Scaling,
        "{}",
        decision.next.state.reason
    );
    // At nine in a thousand below ten no amount of requests shows it soon.
    let decision = after(
        Case::baking(10).with(gated),
        20,
        &arm(1000, 10),
        &arm(9000, 90),
    );
    assert!(
        decision.next.state.reason.contains("never has enough"),
        "{}",
        decision.next.state.reason
    );
}

#[test]
fn a_split_that_does_not_fit_the_weights_is_a_fault_of_routing() {
    let decision = after(compared(10), 8, &arm(3000, 6), &arm(7000, 14));
    assert_eq!(names(&decision), [Name::Skewed, Name::Held]);
    let reason = &decision.entries[0].reason;
    assert!(
        reason.starts_with(
            "routing: the canary got 30.0 % of 80000 requests where the weights say 10.0 %"
        ),
        "{reason}"
    );
    // Chance, keep-alive and a slow minute are no fault.
    for canary in [900, 1000, 1100] {
        let decision = after(compared(10), 20, &arm(canary, 2), &arm(10_000 - canary, 18));
        assert!(!names(&decision).contains(&Name::Skewed), "{canary}");
    }
    // While the weights move nothing can be said.
    let moving = Case::shifting(10, 20).with(|case| case.deployment.terms.policy.guards.clear());
    let decision = after(moving, 8, &arm(3000, 6), &arm(7000, 14));
    assert!(!names(&decision).contains(&Name::Skewed));
}

/// 24 hours of production: 1,000 requests a minute, two of them bad, five in the third hour.
fn day() -> Past {
    let mut past = Past::default();
    for minute in 0..1440 {
        let bad = if minute / 60 == 2 { 5 } else { 2 };
        past.take_in(Counts::new(1000, bad).unwrap());
    }
    past
}

#[test]
fn at_full_traffic_the_worst_hour_of_production_judges() {
    let soaking = || {
        Case::soaking().with(|case| {
            case.deployment.terms.policy.guards.clear();
            let signals = &mut case.deployment.terms.baseline.signals;
            signals.insert(ERRORS.to_owned(), day());
        })
    };
    let alone = |mut case: Case, canary: &ArmMinute| {
        let metrics = last_minutes(&mut case, 20, Some(canary), None);
        let seen = seen(split(100)).metrics(metrics);
        decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
    };
    // 0.5 % was production's worst: as much and a quarter more is tolerated, 2 % is not.
    for (bad, status) in [
        (2, Status::InProgress),
        (5, Status::InProgress),
        (6, Status::InProgress),
        (20, Status::RollingBack),
    ] {
        let decision = alone(soaking(), &arm(1000, bad));
        assert_eq!(
            decision.next.state.status, status,
            "{bad}: {}",
            decision.next.state.reason
        );
    }
    let reason = alone(soaking(), &arm(1000, 20)).next.state.reason;
    assert!(
        reason.contains("at 100 % 2.00% (400 of 20000), held against 0.6"),
        "{reason}"
    );
    // With no past at all there is nothing to hold it against.
    let unknown = soaking().with(|case| case.deployment.terms.baseline = Baseline::default());
    assert_eq!(
        alone(unknown, &arm(1000, 20)).next.state.status,
        Status::InProgress
    );
}

fn further(name: &str) -> SignalRule {
    let source = MetricSource {
        namespace: "Shop".to_owned(),
        metric: name.to_owned(),
        statistic: "Sum".to_owned(),
        dimensions: BTreeMap::new(),
    };
    let pair = MetricPair {
        bad: source.clone(),
        of: source,
        direction: Direction::HigherIsWorse,
        beside: false,
    };
    SignalRule {
        name: name.to_owned(),
        source: Source::Metrics(pair),
        compares: true,
        limit: None,
        min_samples: 300,
        consequence: Consequence::default(),
        family: None,
    }
}

fn with_check(mut minute: ArmMinute, name: &str, n: u64, x: u64) -> ArmMinute {
    minute
        .checks
        .insert(name.to_owned(), Counts::new(n, x).unwrap());
    minute
}

#[test]
fn a_further_check_judges_like_any_signal() {
    let case =
        || compared(10).with(|case| case.deployment.terms.policy.signals.push(further("wrong")));
    let minute = |n, wrong| with_check(arm(n, 0), "wrong", n / 10, wrong);
    let decision = after(case(), 10, &minute(1000, 30), &minute(9000, 90));
    assert!(
        decision.next.state.reason.starts_with("wrong: canary 30"),
        "{}",
        decision.next.state.reason
    );
    // Its own limit, whatever production does.
    let limited = case().with(|case| {
        let rule = case.deployment.terms.policy.signals.last_mut().unwrap();
        (rule.compares, rule.limit) = (false, Rate::from_percent(15.0));
    });
    let decision = after(limited, 20, &minute(1000, 30), &minute(9000, 270));
    assert!(
        decision.next.state.reason.contains("limit 15%"),
        "{}",
        decision.next.state.reason
    );
    // Too few of its own trials hold the stage.
    let decision = after(case(), 2, &minute(1000, 1), &minute(9000, 9));
    assert!(
        decision
            .next
            .state
            .reason
            .contains("needs about 100 more trials of wrong"),
        "{}",
        decision.next.state.reason
    );
}

#[test]
fn a_check_that_cannot_be_read_holds_and_blinds_nothing_else() {
    let unread = |case: &mut Case, severity| {
        let mut rule = further("wrong");
        (rule.min_samples, rule.consequence) = (0, Consequence::of(severity));
        case.deployment.terms.policy.signals.push(rule);
        let mut metrics = last_minutes(case, 5, Some(&arm(1000, 2)), Some(&arm(9000, 18)));
        metrics
            .unread
            .insert("wrong".to_owned(), "Forbidden".to_owned());
        let seen = seen(split(10)).metrics(metrics);
        decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
    };
    let decision = unread(&mut compared(10), Grade::High);
    assert!(
        decision
            .next
            .state
            .reason
            .contains("the check wrong could not be read: Forbidden")
    );
    assert_eq!(decision.evidence.blind, None);
    assert_eq!(
        unread(&mut compared(10), Grade::Low).next.state.phase,
        Phase::Scaling
    );
}

#[test]
fn a_limit_that_production_breaks_too_holds_for_a_while() {
    let case = || {
        Case::baking(10).with(|case| {
            case.deployment.terms.policy.guards.truncate(1);
            case.deployment.state.stage_since -= minutes(600);
        })
    };
    let decision = after(case(), 20, &arm(1000, 30), &arm(9000, 270));
    assert_eq!(
        decision.next.state.phase,
        Phase::Holding,
        "{}",
        decision.next.state.reason
    );
    assert!(
        decision
            .next
            .state
            .reason
            .contains("and so is production (3.00% over 9000 requests)"),
        "{}",
        decision.next.state.reason
    );
    // Both arms share what they call: an incident that does not end may be the canary's doing.
    let long = i64::try_from(SHARED_LIMIT.secs() / 60).unwrap();
    let decision = after(case(), long + 1, &arm(1000, 30), &arm(9000, 270));
    assert_eq!(decision.next.state.status, Status::RollingBack);
    // Much worse than production is no common incident.
    let decision = after(case(), 2, &arm(1000, 90), &arm(9000, 270));
    assert_eq!(decision.next.state.status, Status::RollingBack);
}

#[test]
fn evidence_goes_on_bit_by_bit_after_a_restart() {
    let case =
        compared(10).with(|case| case.deployment.terms.policy.signals.push(further("wrong")));
    let bench = Bench::of(&case.deployment);
    let (mut straight, mut restarted) = (case.evidence.clone(), case.evidence.clone());
    for index in 0..50i64 {
        let bad = u64::try_from(index * 7919 % 5).unwrap();
        let canary = with_check(arm(1000, bad), "wrong", 97, bad);
        let production = with_check(arm(9001, 18), "wrong", 873, 11);
        for evidence in [&mut straight, &mut restarted] {
            let minute = crate::domain::judge::bench::Minute {
                at: last_judgeable(case.now) + minutes(index),
                in_stage: true,
                share: Some(weight(10)),
                canary: Some(&canary),
                production: Some(&production),
            };
            bench.take_in(evidence, minute);
        }
        let text = serde_json::to_string(&restarted).unwrap();
        restarted = serde_json::from_str::<Evidence>(&text).unwrap();
    }
    assert_eq!(straight, restarted);
    assert_eq!(
        serde_json::to_string(&straight).unwrap(),
        serde_json::to_string(&restarted).unwrap()
    );
}

#[test]
fn what_production_breaks_itself_is_named_with_its_figures() {
    let policy = terms().policy;
    let minutes_of = |bad: u64, ms: f64, over: u64| {
        let minute = arm(1000, bad).taking(ms).slower(100.0, over);
        (0..240i64)
            .map(|index| (now() - minutes(300 - index), minute.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        broken_by_production(&policy, &Baseline::default(), &minutes_of(2, 50.0, 3)),
        []
    );
    let broken = broken_by_production(&policy, &Baseline::default(), &minutes_of(20, 120.0, 400));
    let guards: Vec<&str> = broken.iter().map(|breach| breach.guard.as_str()).collect();
    assert_eq!(guards, ["error_rate.limit", "latency_p99.limit"]);
    assert!(
        broken[0].sentence.contains("240 of 240 checks") && broken[0].sentence.contains("2.00%"),
        "{}",
        broken[0].sentence
    );
    // One bad quarter of an hour last night is no habit.
    let mut once = minutes_of(2, 50.0, 3);
    for minute in once.values_mut().take(10) {
        minute.errors_5xx = 50;
    }
    assert_eq!(
        broken_by_production(&policy, &Baseline::default(), &once),
        []
    );
    assert_eq!(
        broken_by_production(&policy, &Baseline::default(), &BTreeMap::new()),
        []
    );
}

#[test]
fn a_baseline_sums_up_a_day() {
    let policy = terms().policy;
    let minute = ArmMinute {
        errors_4xx: 7,
        ..arm(1000, 2).taking(50.0).slower(90.0, 11)
    };
    let day: BTreeMap<_, _> = (0..120i64)
        .map(|index| (now() - minutes(200 - index), minute.clone()))
        .collect();
    let baseline = Baseline::of(&policy, &day, Some(latency(90.0)), SlowCount::TrimmedCount);
    assert_eq!((baseline.minutes, baseline.requests), (120, 120_000));
    assert!((baseline.requests_per_minute() - 1000.0).abs() < 1e-9);
    let counts = |name: &str| baseline.signals[name].counts;
    assert_eq!(counts(ERRORS), Counts::new(120_000, 240).unwrap());
    assert_eq!(counts(CLIENT_ERRORS), Counts::new(120_000, 840).unwrap());
    assert_eq!(counts(SLOWNESS), Counts::new(120_000, 1320).unwrap());
    assert_eq!(limit_key(latency(90.0)), 90_000);
    assert_eq!(Span::from_hours(24), crate::domain::baseline::LENGTH);
}
