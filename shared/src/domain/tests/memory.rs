//! The limit of the instances' memory.

use super::builders::*;
use crate::domain::baseline::{Baseline, SlowCount, broken_by_production};
use crate::domain::decide::{Decision, decide};
use crate::domain::evidence::Finding;
use crate::domain::forecast::Forecast;
use crate::domain::observation::{ArmMinute, Metrics, Series};
use crate::domain::policy::{Action, Consequence, Guard};
use crate::domain::state::{Phase, Status};

/// A stage that is over, judged by nothing but the memory.
fn judged() -> Case {
    Case::baking(10).with(|case| {
        let policy = &mut case.deployment.terms.policy;
        policy.guards.clear();
        policy.memory = Some(Guard::memory());
    })
}

fn using(requests: u64, percent: Option<f64>) -> ArmMinute {
    ArmMinute {
        memory_percent: percent,
        ..arm(requests, 0)
    }
}

/// Minutes of both arms, of the canary as these readings say.
fn minutes_of(case: &mut Case, canary: &[Option<f64>], production: Option<f64>) -> Metrics {
    let count = i64::try_from(canary.len()).unwrap();
    let theirs = using(9000, production);
    let mut metrics = last_minutes(case, count, None, Some(&theirs));
    let from = metrics.from;
    let ours = canary.iter().enumerate().map(|(index, percent)| {
        let at = from + minutes(i64::try_from(index).unwrap());
        (at, using(1000, *percent))
    });
    metrics.canary = Series::Read(ours.collect());
    metrics
}

fn after(case: &mut Case, canary: &[Option<f64>], production: Option<f64>) -> Decision {
    let metrics = minutes_of(case, canary, production);
    let seen = seen(split(10)).metrics(metrics);
    decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
}

fn finding(decision: &Decision) -> Option<Finding> {
    decision.minutes.last().unwrap().guards[Guard::MEMORY].finding
}

#[test]
fn a_canary_that_runs_out_of_memory_is_taken_back_after_five_minutes() {
    let high = Some(97.31);
    let decision = after(&mut judged(), &[high; 4], Some(40.0));
    let reason = &decision.next.state.reason;
    assert_eq!(decision.next.state.phase, Phase::Holding, "{reason}");
    assert!(
        reason.contains(
            "memory of the canary: 97.3% of its instances' on average, past the limit of 95%, for 4m of 5m"
        ),
        "{reason}"
    );
    let decision = after(&mut judged(), &[high; 5], Some(40.0));
    assert_eq!(decision.next.state.status, Status::RollingBack);
    // One minute within the limit begins the five anew; the limit itself is within.
    let mut readings = [high; 6];
    readings[3] = Some(95.0);
    let decision = after(&mut judged(), &readings, Some(40.0));
    assert_eq!(decision.next.state.status, Status::InProgress);
    let decision = after(&mut judged(), &[Some(94.9); 30], Some(99.0));
    assert_eq!(decision.next.state.phase, Phase::Scaling);
}

/// Neither healthy nor a breach: a reading stands for its own minute, and none for ten minutes holds.
#[test]
fn a_missing_reading_speaks_neither_for_nor_against() {
    let (low, high) = (Some(40.0), Some(99.0));
    for (canary, production, found, phase) in [
        // Once in five minutes, as an endpoint may publish it.
        (
            vec![low, None, None, None, None],
            low,
            Some(Finding::Kept),
            Phase::Scaling,
        ),
        (vec![low; 1], None, Some(Finding::Kept), Phase::Scaling),
        (
            [vec![low], vec![None; 9]].concat(),
            low,
            Some(Finding::Kept),
            Phase::Scaling,
        ),
        (
            [vec![low], vec![None; 10]].concat(),
            low,
            Some(Finding::Unknown),
            Phase::Holding,
        ),
        (
            [vec![low], vec![None; 10], vec![low]].concat(),
            low,
            Some(Finding::Kept),
            Phase::Scaling,
        ),
        // Never of the canary, though of production.
        (vec![None; 9], low, None, Phase::Scaling),
        (vec![None; 10], low, Some(Finding::Unknown), Phase::Holding),
        // Of neither: nothing is waited for.
        (vec![None; 120], None, None, Phase::Scaling),
        // Four high ones with gaps between are four minutes and no more.
        (
            vec![high, None, high, None, None, high, None, high],
            low,
            Some(Finding::Broken),
            Phase::Holding,
        ),
    ] {
        let decision = after(&mut judged(), &canary, production);
        let reason = &decision.next.state.reason;
        assert_eq!(
            (finding(&decision), decision.next.state.phase),
            (found, phase),
            "{canary:?} beside {production:?}: {reason}"
        );
    }
    let unknown = [vec![low], vec![None; 10]].concat();
    let decision = after(&mut judged(), &unknown, low);
    let reason = &decision.next.state.reason;
    assert!(
        reason.contains("memory of the canary: no reading for 10 min, can't be told against"),
        "{reason}"
    );
}

#[test]
fn a_breach_does_what_is_said_and_nothing_where_it_is_muted() {
    let high = [Some(99.0); 6];
    let mut case = judged();
    let guard = case.deployment.terms.policy.memory.as_mut().unwrap();
    guard.consequence.on_breach = Action::Hold;
    let decision = after(&mut case, &high, Some(40.0));
    assert_eq!(decision.next.state.phase, Phase::Holding);
    let mut case = judged();
    let guard = case.deployment.terms.policy.memory.as_mut().unwrap();
    guard.consequence = Consequence {
        muted: true,
        ..guard.consequence
    };
    let decision = after(&mut case, &high, Some(40.0));
    assert_eq!(decision.next.state.phase, Phase::Scaling);
    assert_eq!(finding(&decision), Some(Finding::Broken), "it is shown");
}

/// Not even by steps: as an outage that has not come yet.
#[test]
fn it_is_critical() {
    let guard = Guard::memory();
    assert!(!guard.consequence.retreats());
    assert_eq!(guard.consequence.action(), Some(Action::Rollback));
}

#[test]
fn what_production_does_not_keep_is_said_before() {
    let policy = judged().deployment.terms.policy;
    let day = |percent: Option<f64>| {
        (0..240i64)
            .map(|index| (now() - minutes(300 - index), using(1000, percent)))
            .collect()
    };
    let baseline = Baseline::default();
    let broken = broken_by_production(&policy, &baseline, &day(Some(96.0)));
    assert_eq!(broken.len(), 1);
    assert!(
        broken[0].sentence.contains("memory above 95% for 5m")
            && broken[0].sentence.contains("240 of 240 checks")
            && broken[0].sentence.contains("96.0%"),
        "{}",
        broken[0].sentence
    );
    for kept in [Some(60.0), None] {
        assert_eq!(broken_by_production(&policy, &baseline, &day(kept)), []);
    }
    for (percent, is_warned) in [(Some(60.0), false), (None, true)] {
        let mut case = judged();
        let day = day(percent);
        case.deployment.terms.baseline = Baseline::of(&policy, &day, None, SlowCount::default());
        let warnings = Forecast::of(&case.deployment).warnings.join("; ");
        assert_eq!(
            warnings.contains("no MemoryUtilization of production"),
            is_warned,
            "{warnings}"
        );
    }
}
