//! Blind is not quiet is not inapplicable; and drift.

use super::builders::*;
use crate::domain::command::{Command, apply};
use crate::domain::decide::{Decision, decide};
use crate::domain::due::{self, Effect};
use crate::domain::history::{Name, Severity};
use crate::domain::judge::BLIND_FROM;
use crate::domain::observation::{EndpointReading, EndpointStatus, Metrics, Series};
use crate::domain::policy::OnDrift;
use crate::domain::quantity::Span;
use crate::domain::state::{Interrupted, Outcome, Phase, Status};

fn one_minute(case: &mut Case, canary: Series, production: Series) -> Metrics {
    let metrics = last_minutes(case, 1, None, None);
    Metrics {
        canary,
        production,
        ..metrics
    }
}

fn nothing() -> Series {
    Series::Read(std::collections::BTreeMap::new())
}

#[test]
fn a_failed_query_is_blind_and_moves_no_watermark() {
    let mut case = Case::baking(30);
    let metrics = one_minute(&mut case, unreadable(), nothing());
    let watermark = case.evidence.judged_through;
    let held = goes_on(Phase::Holding)
        .tells(&[Name::Blind, Name::Held])
        .says("PartialData");
    let decision = check(&case, &seen(split(30)).metrics(metrics), &held);
    assert_eq!(decision.evidence.judged_through, watermark);
    assert!(decision.minutes.is_empty());
    let blind = decision.evidence.blind.unwrap();
    assert_eq!((blind.since, blind.production_too), (case.now, false));
}

#[test]
fn ten_minutes_blind_roll_back_but_not_with_production_blind_too() {
    for (ago, production_too) in [(9, false), (9, true), (10, true), (600, true)] {
        check(
            &Case::baking(30).blind_for(ago, production_too),
            &seen(split(30)),
            &goes_on(Phase::Holding).target(30).says("blind since"),
        );
    }
    let raising = [
        Case::scaling(20, 30),
        Case::shifting(20, 30),
        Case::baking(30),
    ];
    let waiting = [
        Case::holding(30),
        Case::awaiting(30),
        Case::paused(Interrupted::Bake, 30, 30),
        Case::soaking(),
    ];
    for case in raising.into_iter().chain(waiting) {
        let view = case.endpoint();
        check(
            &case.clone().blind_for(10, false),
            &seen(view),
            &rolls_back().says("could not be seen for 10m: InternalError"),
        );
        check(
            &case.blind_for(10, false),
            &reading(unread()),
            &rolls_back(),
        );
    }
    let longer = Case::baking(30)
        .blind_for(10, false)
        .with(|case| case.deployment.terms.policy.blind_limit = Span::from_mins(30));
    check(&longer, &seen(split(30)), &goes_on(Phase::Holding));
}

#[test]
fn a_stretch_with_production_blind_too_does_not_count() {
    let mut case = Case::holding(30).blind_for(60, true);
    let metrics = one_minute(&mut case, unreadable(), nothing());
    let decision = check(
        &case,
        &seen(split(30)).metrics(metrics),
        &goes_on(Phase::Holding),
    );
    let blind = decision.evidence.blind.unwrap();
    assert_eq!(blind.unseen_for(case.now), Span::ZERO);
    assert!(!blind.production_too);

    // What the canary alone was unseen before outlasts a minute in which CloudWatch was out.
    let mut case = Case::holding(30).blind_for(5, false);
    let metrics = one_minute(&mut case, unreadable(), unreadable());
    let decision = check(
        &case,
        &seen(split(30)).metrics(metrics),
        &goes_on(Phase::Holding),
    );
    assert_eq!(decision.evidence.blind.unwrap().counted, Span::from_mins(4));

    let mut case = Case::holding(30);
    let metrics = one_minute(&mut case, unreadable(), unreadable());
    let decision = check(
        &case,
        &seen(split(30)).metrics(metrics),
        &goes_on(Phase::Holding).tells(&[Name::Blind]),
    );
    assert!(decision.evidence.blind.unwrap().production_too);
    assert_eq!(
        decision.entries[0].severity,
        Severity::Critical,
        "CloudWatch itself is out: somebody should look now"
    );
}

#[test]
fn ten_predicted_requests_make_silence_blindness() {
    // At 10 %, 90 requests of production predict 10 of the canary.
    for (production, blind) in [(89, false), (90, true)] {
        let mut case = Case::holding(10);
        let metrics = last_minutes(&mut case, 1, None, Some(&arm(production, 0)));
        let decision = check(
            &case,
            &seen(split(10)).metrics(metrics),
            &goes_on(if blind {
                Phase::Holding
            } else {
                Phase::Scaling
            }),
        );
        assert_eq!(decision.evidence.blind.is_some(), blind);
        assert_eq!(decision.evidence.expected_unseen >= BLIND_FROM, blind);
    }
    // It adds up over minutes, and a single request of the canary clears it.
    let mut case = Case::holding(10);
    let metrics = last_minutes(&mut case, 3, None, Some(&arm(30, 0)));
    let decision = check(
        &case,
        &seen(split(10)).metrics(metrics),
        &goes_on(Phase::Holding).tells(&[Name::Blind]),
    );
    let mut case = case.with(|case| case.evidence = decision.evidence);
    let metrics = last_minutes(&mut case, 1, Some(&arm(1, 0)), Some(&arm(30, 0)));
    let decision = check(
        &case,
        &seen(split(10)).metrics(metrics),
        &goes_on(Phase::Scaling).tells(&[Name::Sighted, Name::Scaling]),
    );
    assert_eq!(
        (decision.evidence.blind, decision.evidence.expected_unseen),
        (None, 0.0)
    );
}

#[test]
fn silence_predicts_nothing_at_no_share_before_the_stage_or_at_full_traffic() {
    let mut unborn = Case::scaling(0, 10);
    let metrics = last_minutes(&mut unborn, 3, None, Some(&arm(10_000, 0)));
    let decision = check(
        &unborn,
        &seen(split(0)).metrics(metrics),
        &goes_on(Phase::Shifting),
    );
    assert_eq!(decision.evidence.blind, None);

    let mut young = Case::baking(50).with(|case| case.deployment.state.stage_since = case.now);
    let metrics = last_minutes(&mut young, 3, None, Some(&arm(10_000, 0)));
    let decision = check(
        &young,
        &seen(split(50)).metrics(metrics),
        &goes_on(Phase::Baking).quietly(),
    );
    assert!(decision.evidence.expected_unseen < 1e-9);

    let mut full = Case::soaking().with(|case| case.evidence.stage_samples = 0);
    let metrics = last_minutes(&mut full, 3, None, None);
    let decision = check(
        &full,
        &seen(split(100)).metrics(metrics),
        &goes_on(Phase::Soaking).tells(&[Name::Held]),
    );
    assert_eq!(decision.evidence.blind, None);
}

#[test]
fn quiet_holds_and_never_rolls_back() {
    let mut case = Case::holding(10).with(|case| {
        case.evidence.stage_samples = 3;
        case.evidence.requests_per_minute = 0.0;
    });
    for _ in 0..5 {
        // Two requests a minute in all, one of them an error: nothing is proved by one request.
        let metrics = last_minutes(&mut case, 1, None, Some(&arm(2, 0)));
        let decision = check(
            &case,
            &seen(split(10)).metrics(metrics),
            &goes_on(Phase::Holding)
                .quietly()
                .says("needs about 497 more canary requests: 42 h at today's rate"),
        );
        case.evidence = decision.evidence;
    }
    let metrics = last_minutes(&mut case, 1, Some(&arm(1, 1)), Some(&arm(2, 0)));
    check(
        &case,
        &seen(split(10)).metrics(metrics),
        &goes_on(Phase::Holding).quietly(),
    );
}

/// The share before has nothing to do with it, nor how long the canary has been looked at: a tenth of 30
/// a minute from the first minute on, and a half of them as soon as it has that.
#[test]
fn the_wait_is_told_by_the_share_that_is_there() {
    for (percent, requests, told) in [
        (
            10,
            3,
            "needs about 11 more canary requests: 4 min at today's rate",
        ),
        (
            50,
            15,
            "needs about 11 more canary requests: 1 min at today's rate",
        ),
    ] {
        let mut case = Case::holding(percent).with(|case| {
            case.evidence.stage_samples = 489 - requests;
            case.evidence.requests_per_minute = 0.0;
        });
        let canary = arm(requests, 0).taking(20.0);
        let production = arm(30 - requests, 0).taking(20.0);
        let metrics = last_minutes(&mut case, 1, Some(&canary), Some(&production));
        check(
            &case,
            &seen(split(percent)).metrics(metrics),
            &goes_on(Phase::Holding).quietly().says(told),
        );
    }
}

#[test]
fn at_full_traffic_the_comparing_guards_rest() {
    // The last comparison before 100 % was broken once; nothing can ever repair it.
    let mut case = Case::soaking()
        .red("error_rate.worse_by", 1)
        .red("latency_p99.ratio", 1);
    let metrics = last_minutes(
        &mut case,
        2,
        Some(&arm(600, 0).taking(20.0).slower(100.0, 0)),
        None,
    );
    let decision = check(
        &case,
        &seen(split(100)).metrics(metrics),
        &goes_on(Phase::Finalizing),
    );
    let standing = &decision.minutes.last().unwrap().guards["error_rate.worse_by"];
    assert!(
        standing.sentence.starts_with("not applicable"),
        "{}",
        standing.sentence
    );
    // The absolute ones judge on.
    let metrics = last_minutes(
        &mut case,
        2,
        Some(&arm(600, 30).taking(20.0).slower(100.0, 0)),
        None,
    );
    check(
        &case,
        &seen(split(100)).metrics(metrics),
        &rolls_back().says("5XX errors of the canary: 5.00%"),
    );
}

#[test]
fn a_production_without_metrics_stops_comparisons_and_raises() {
    let mut case = Case::baking(30);
    let canary = last_minutes(&mut case, 2, Some(&arm(600, 0)), None).canary;
    let metrics = Metrics {
        canary,
        production: unreadable(),
        ..last_minutes(&mut case, 2, None, None)
    };
    let decision = check(
        &case,
        &seen(split(30)).metrics(metrics),
        &goes_on(Phase::Holding).says("blind"),
    );
    assert_eq!(
        decision.evidence.guards["error_rate.limit"]
            .last
            .as_ref()
            .unwrap()
            .samples,
        600,
        "absolute guards judge on"
    );
    assert!(
        decision
            .evidence
            .guards
            .get("error_rate.worse_by")
            .is_none_or(|state| state.last.is_none())
    );
}

#[test]
fn nothing_is_judged_before_the_canary_exists_or_once_it_is_over() {
    for mut case in [
        Case::pending(),
        Case::reverting(30, Outcome::RolledBack),
        Case::cleaning(Outcome::Completed),
    ] {
        let metrics = last_minutes(&mut case, 3, Some(&arm(1000, 1000)), Some(&arm(1000, 0)));
        let decision = decide(
            &case.deployment,
            &case.evidence,
            &seen(case.endpoint()).metrics(metrics),
            case.now,
        )
        .unwrap();
        assert_eq!(
            (decision.evidence, decision.minutes.len()),
            (case.evidence, 0)
        );
    }
}

#[test]
fn a_minute_without_a_request_of_either_model_raises_nothing_where_there_usually_are_some() {
    let at = |per_minute: u64| {
        let mut case = Case::baking(30).with(|case| {
            let baseline = &mut case.deployment.terms.baseline;
            (baseline.minutes, baseline.requests) = (60, 60 * per_minute);
        });
        let metrics = one_minute(&mut case, nothing(), nothing());
        (case, seen(split(30)).metrics(metrics))
    };
    let (busy, none) = at(10);
    let held = goes_on(Phase::Holding).says("neither model has had a request");
    let decision = check(&busy, &none, &held);
    assert!(decision.evidence.silent && decision.evidence.blind.is_none());
    let (quiet, none) = at(9);
    check(&quiet, &none, &goes_on(Phase::Scaling));
    // Committed already, it waits all the same.
    let shifting = Case::shifting(30, 40).with(|case| case.evidence.silent = true);
    check(
        &shifting,
        &seen(split(30)),
        &goes_on(Phase::Shifting).target(40).nothing_due(),
    );
    // And says so while its instances are there already.
    let scaling = Case::scaling(30, 40).with(|case| {
        case.evidence.silent = true;
        case.deployment.state.canary_instances = 2;
    });
    let waits = goes_on(Phase::Scaling).says("neither model has had a request");
    check(&scaling, &seen(split(30)), &waits.nothing_due());
}

#[test]
fn callers_who_have_turned_away_from_a_bad_model_do_not_keep_the_former_one_away() {
    let undo = |case: Case| {
        case.with(|case| {
            case.deployment.terms.undoes = Some("019b".to_owned());
            case.evidence.silent = true;
        })
    };
    let scaling = undo(Case::scaling(0, 100));
    check(&scaling, &seen(split(0)), &goes_on(Phase::Shifting));
    let shift = Effect::Shift {
        weight: weight(100),
    };
    let shifting = undo(Case::shifting(0, 100));
    check(
        &shifting,
        &seen(split(0)),
        &goes_on(Phase::Shifting).due(shift),
    );
    let over = undo(Case::soaking());
    check(&over, &seen(split(100)), &goes_on(Phase::Finalizing));
}

#[test]
fn an_undo_is_asked_for_no_proof() {
    let soaking = Case::soaking().with(|case| case.evidence.stage_samples = 0);
    let waits = goes_on(Phase::Soaking).says("needs about 500 more canary requests");
    check(&soaking, &seen(split(100)), &waits);
    let undo = soaking.with(|case| case.deployment.terms.undoes = Some("019b".to_owned()));
    check(&undo, &seen(split(100)), &goes_on(Phase::Finalizing));
    // What speaks against it speaks against it all the same.
    let red = undo.red("error_rate.limit", 1);
    check(&red, &seen(split(100)), &goes_on(Phase::Soaking));
}

#[test]
fn drift_holds_is_told_once_and_ends() {
    let case = Case::baking(30);
    let held = goes_on(Phase::Holding)
        .weight(30)
        .target(30)
        .tells(&[Name::Drift, Name::Held])
        .due(Effect::Shift { weight: weight(30) });
    let decision = check(&case, &seen(split(45)), &held.says("45.00 %"));
    let after =
        case.with(|case| (case.deployment, case.evidence) = (decision.next, decision.evidence));
    check(&after, &seen(split(45)), &goes_on(Phase::Holding).quietly());
    check(
        &after,
        &seen(split(30)),
        &goes_on(Phase::Scaling).tells(&[Name::DriftEnded, Name::Scaling]),
    );
}

#[test]
fn an_endpoint_that_is_changing_does_not_end_a_drift() {
    let drifted = Case::holding(30).with(|case| {
        case.deployment.state.drift = Some("somebody else changed the weights".to_owned());
    });
    check(
        &drifted,
        &seen(split(45).is(EndpointStatus::Updating)),
        &goes_on(Phase::Holding)
            .target(30)
            .quietly()
            .says("somebody else"),
    );
    check(
        &drifted,
        &reading(unread()),
        &goes_on(Phase::Holding).quietly(),
    );
    // Where the loop moves the weights itself there is no drift, and none that ended either.
    let moving = Case::retreating(30, 20).with(|case| {
        case.deployment.state.drift = Some("somebody else changed the weights".to_owned());
    });
    let decision = check(
        &moving,
        &seen(split(45)),
        &goes_on(Phase::Retreating)
            .quietly()
            .due(Effect::Shift { weight: weight(20) }),
    );
    assert_eq!(decision.next.state.drift, None);
}

#[test]
fn more_on_the_canary_is_never_respected_and_less_always_is() {
    for policy in [OnDrift::Hold, OnDrift::Restore] {
        drift_is_restored_only_downwards(policy);
    }
}

fn drift_is_restored_only_downwards(policy: OnDrift) {
    let restore = |case: Case| case.with(|case| case.deployment.terms.policy.on_drift = policy);
    let back = |at: u8| Effect::Shift { weight: weight(at) };
    check(
        &restore(Case::baking(30)),
        &seen(split(45)),
        &goes_on(Phase::Holding).due(back(30)),
    );
    check(
        &restore(Case::baking(30)),
        &seen(split(15)),
        &goes_on(Phase::Holding).nothing_due(),
    );
    check(
        &restore(Case::scaling(30, 40)),
        &seen(split(35)),
        &goes_on(Phase::Scaling).target(40).due(back(30)),
    );
    check(
        &restore(Case::awaiting(30)),
        &seen(split(45)),
        &goes_on(Phase::AwaitingApproval).due(back(30)),
    );
    check(
        &restore(Case::paused(Interrupted::Bake, 30, 30)),
        &seen(split(45)),
        &goes_on(Phase::Paused).due(back(30)),
    );
    check(
        &restore(Case::baking(30)).leased(),
        &seen(split(45)),
        &goes_on(Phase::Holding).nothing_due(),
    );
    check(
        &restore(Case::soaking()),
        &seen(split(45)),
        &goes_on(Phase::Soaking).nothing_due(),
    );
}

#[test]
fn drift_can_end_the_deployment() {
    let abandon =
        |case: Case| case.with(|case| case.deployment.terms.policy.on_drift = OnDrift::Abandon);
    let failed = goes_on(Phase::CleaningUp)
        .outcome(Outcome::Failed)
        .says("somebody else changed the weights")
        .due(Effect::Tidy);
    check(&abandon(Case::baking(30)), &seen(split(45)), &failed);
    check(&abandon(Case::soaking()), &seen(split(45)), &failed);
    check(
        &abandon(Case::baking(30)),
        &seen(split(45).is(EndpointStatus::Updating)),
        &goes_on(Phase::Scaling),
    );
    for (case, share) in [
        (Case::shifting(20, 30), 25),
        (Case::shifting(20, 30), 0),
        (Case::finalizing(), 0),
    ] {
        check(&abandon(case), &seen(split(share)), &failed);
    }
    for (case, share) in [(Case::shifting(20, 30), 20), (Case::finalizing(), 100)] {
        let phase = case.deployment.state.phase;
        check(&abandon(case), &seen(split(share)), &goes_on(phase));
    }
}

/// The raise is committed and not made yet, and somebody has already taken the canary's traffic.
#[test]
fn a_raise_that_is_committed_stops_for_what_somebody_else_set() {
    let after = |case: &Case, decision: Decision| {
        case.clone()
            .with(|case| (case.deployment, case.evidence) = (decision.next, decision.evidence))
    };
    let to = |percent: u8| Effect::Shift {
        weight: weight(percent),
    };
    let case = Case::shifting(20, 30);
    let waits = goes_on(Phase::Shifting).weight(20).target(30);
    for (share, due) in [(0, None), (15, None), (25, Some(20)), (45, Some(20))] {
        let told = waits.clone().tells(&[Name::Drift]).says("holding: the");
        let told = match due {
            None => told.nothing_due(),
            Some(percent) => told.due(to(percent)),
        };
        let told = told.says("not the 20 % committed");
        let held = after(&case, check(&case, &seen(split(share)), &told));
        let still = waits.clone().quietly().says("holding: the");
        check(&held, &seen(split(share)), &still);
        // As it was before, the raise is made.
        let ended = waits.clone().tells(&[Name::DriftEnded]).due(to(30));
        let again = after(&held, check(&held, &seen(split(20)), &ended));
        check(
            &again,
            &seen(split(20)),
            &waits.clone().quietly().due(to(30)),
        );
        // One that has landed all the same is not undone by who is woken before the next pass.
        let landed = EndpointReading::Seen(split(30));
        let due = due::due(&held.deployment, &held.evidence, &landed, held.now);
        assert_eq!(due, None, "{share}");
        let baking = goes_on(Phase::Baking).weight(30);
        let baking = baking.tells(&[Name::DriftEnded, Name::Shifted]);
        check(&held, &seen(split(30)), &baking);
    }
    // Who is woken late sees it before a pass does.
    let late = EndpointReading::Seen(split(0));
    assert_eq!(
        due::due(&case.deployment, &case.evidence, &late, case.now),
        None
    );
    // An order puts the share back, from where it was known to be.
    let told = waits.tells(&[Name::Drift]);
    let held = after(&case, check(&case, &seen(split(5)), &told));
    let order = Command::SetWeight(weight(20));
    let (deployment, evidence) = (&held.deployment, &held.evidence);
    let ordered = apply(deployment, evidence, order, "anna", None, held.now).unwrap();
    let ordered = after(&held, ordered);
    let back = goes_on(Phase::Retreating).target(20).quietly();
    check(&ordered, &seen(split(5)), &back.due(to(20)));
}

/// The update that removes the old variant waits for AWS, and somebody uses the way back meanwhile.
#[test]
fn the_way_back_is_not_removed_under_somebody_who_uses_it() {
    let case = Case::finalizing();
    let waits = goes_on(Phase::Finalizing);
    let told = waits.clone().tells(&[Name::Drift]).nothing_due();
    let told = told.says("holding: the canary's share is 0.00 %");
    let decision = check(&case, &seen(split(0)), &told);
    let late = EndpointReading::Seen(split(0));
    assert_eq!(
        due::due(&case.deployment, &case.evidence, &late, case.now),
        None
    );
    let held =
        case.with(|case| (case.deployment, case.evidence) = (decision.next, decision.evidence));
    check(
        &held,
        &seen(split(0)),
        &waits.clone().quietly().nothing_due(),
    );
    let lasting = held
        .clone()
        .with(|case| case.deployment.state.phase_since = case.now - minutes(30));
    let stalled = waits.clone().tells(&[Name::Stalled]).nothing_due();
    let stalled = check(&lasting, &seen(split(0)), &stalled);
    let reason = &stalled.entries[0].reason;
    assert!(reason.contains("the canary's share is 0.00 %"), "{reason}");
    let deploys = Effect::Deploy {
        config: FINAL.to_owned(),
    };
    let ended = waits
        .clone()
        .tells(&[Name::DriftEnded])
        .due(deploys.clone());
    check(&held, &seen(split(100)), &ended);
    // Instances are the scaling's, and the last config's.
    let fewer = Case::finalizing().with(|case| case.deployment.state.canary_instances = INSTANCES);
    let one = split(100).canary_instances(1, 1);
    check(&fewer, &seen(one), &waits.quietly().due(deploys));
    let (deployment, evidence) = (&held.deployment, &held.evidence);
    let order = Command::Rollback;
    let taken = apply(deployment, evidence, order, "anna", None, held.now).unwrap();
    let taken = held
        .clone()
        .with(|case| (case.deployment, case.evidence) = (taken.next, taken.evidence));
    let back = becomes(Status::RollingBack, Phase::CleaningUp).weight(0);
    check(&taken, &seen(split(0)), &back);
}
