//! What a request costs on either model.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rand::{Rng, SeedableRng};

use super::builders::*;
use crate::domain::audience::Audience;
use crate::domain::command::{Command, IllegalCommand, apply};
use crate::domain::cost::{self, Prices, Spent};
use crate::domain::decide::after::look_after;
use crate::domain::decide::{Decision, decide};
use crate::domain::deployment::Watch;
use crate::domain::evidence::{Finding, GuardState};
use crate::domain::guard;
use crate::domain::history::Name;
use crate::domain::observation::{Metrics, Observation, Series};
use crate::domain::policy::{Action, Consequence, Grade, Guard, Sustain, Test};
use crate::domain::quantity::Span;
use crate::domain::state::{Outcome, Phase};

/// Above 1.5 times production's for so many minutes.
fn dear(sustained: u64) -> Guard {
    Guard {
        name: "cost.ratio".to_owned(),
        test: Test::CostRatio(1.5),
        sustain: Sustain::For(Span::from_mins(sustained)),
        consequence: Consequence::of(Grade::Low),
    }
}

fn prices(canary: f64, production: f64) -> Prices {
    Prices { canary, production }
}

/// A stage that is over, an hour after it began.
fn priced(at: u8, prices: Option<Prices>) -> Case {
    Case::baking(at).with(|case| {
        let terms = &mut case.deployment.terms;
        terms.prices = prices;
        terms.policy.min_samples = 100;
        terms.policy.guards = vec![dear(30)];
        case.deployment.state.stage_since = case.now - minutes(60);
    })
}

/// 35 minutes, each of them as this says by its index, on so many instances of the canary.
fn after(mut case: Case, instances: u32, minute: impl Fn(i64) -> (u64, u64)) -> Decision {
    let mut metrics = last_minutes(&mut case, 35, None, None);
    let of = |pick: fn((u64, u64)) -> u64| {
        let served = (0..35).filter_map(|index| {
            let requests = pick(minute(index));
            let at = metrics.from + minutes(index);
            (requests > 0).then(|| (at, arm(requests, 0)))
        });
        Series::Read(served.collect())
    };
    let (canary, production) = (of(|it| it.0), of(|it| it.1));
    (metrics.canary, metrics.production) = (canary, production);
    let mut view = split(case.deployment.state.weight.percent());
    for variant in &mut view.variants {
        if variant.name == CANARY {
            (variant.current_instances, variant.desired_instances) = (instances, instances);
        }
    }
    let seen = seen(view).metrics(metrics);
    decide(&case.deployment, &case.evidence, &seen, case.now).unwrap()
}

/// At a share, which 10,000 requests a minute are split by.
fn costing(at: u8, instances: u32, prices: Option<Prices>) -> Decision {
    let share = u64::from(at);
    after(priced(at, prices), instances, |_| {
        (100 * share, 100 * (100 - share))
    })
}

fn is_told(decision: &Decision) -> bool {
    decision.evidence.told.contains("cost.ratio")
}

/// What the last check measured.
fn value(decision: &Decision) -> &str {
    let last = decision.evidence.guards["cost.ratio"].last.as_ref();
    &last.expect("a check was made").value
}

#[test]
fn a_dearer_request_is_told_and_holds_nothing() {
    let decision = costing(50, 2, Some(prices(0.4, 0.2)));
    assert!(is_told(&decision), "{:?}", decision.evidence.guards);
    let entry = decision
        .entries
        .iter()
        .find(|entry| entry.event == Name::Breached);
    let reason = &entry.expect("told").reason;
    // Two of four instances at half the traffic of 10000 requests a minute.
    assert!(
        reason.contains("$0.0027 per 1000 requests against $0.0013"),
        "{reason}"
    );
    assert_eq!(
        decision.next.state.phase,
        Phase::Scaling,
        "{}",
        decision.next.state.reason
    );
}

#[test]
fn an_instance_that_rounding_brings_costs_nothing_and_one_too_many_does() {
    assert!(
        !is_told(&costing(10, 1, Some(prices(0.2, 0.2)))),
        "0.4 of an instance is needed"
    );
    assert!(
        is_told(&costing(10, 1, Some(prices(0.4, 0.2)))),
        "whatever is needed costs twice as much"
    );
    assert!(
        is_told(&costing(50, 4, Some(prices(0.2, 0.2)))),
        "two would do"
    );
}

#[test]
fn an_instance_that_was_asked_for_by_number_is_rounding_too() {
    let asked = |number: u32| {
        let case = priced(10, Some(prices(0.2, 0.2)));
        let case = case.with(|case| case.deployment.terms.capacity.instances = Some(number));
        after(case, number, |_| (1000, 9000))
    };
    assert!(!is_told(&asked(1)), "{}", value(&asked(1)));
    // 0.4 of one is needed and one more is there: 1.4 instead of 0.4.
    assert!(is_told(&asked(2)), "{}", value(&asked(2)));
}

#[test]
fn the_share_that_is_charged_is_the_measured_one() {
    // At a weight of 50 % the users of the canary's buckets make one request in ten, or nine.
    for canary in [1000, 9000] {
        let decision = after(priced(50, Some(prices(0.2, 0.2))), 2, |_| {
            (canary, 10_000 - canary)
        });
        assert!(!is_told(&decision), "{canary}: {}", value(&decision));
    }
    let alike = after(priced(50, Some(prices(0.2, 0.2))), 2, |_| (1000, 9000));
    assert_eq!(
        value(&alike),
        "$0.0013 per 1000 requests against $0.0013 per 1000 requests"
    );
}

#[test]
fn a_minute_without_a_canary_request_counts() {
    // One of the canary's in every second minute, ten of production's in each.
    let cost = |instances, prices| {
        let case = priced(10, Some(prices));
        let case = case.with(|case| case.deployment.terms.policy.min_samples = 10);
        after(case, instances, |index| (u64::from(index % 2 == 0), 10))
    };
    assert!(!is_told(&cost(1, prices(0.2, 0.2))));
    assert!(is_told(&cost(1, prices(0.4, 0.2))));
    let decision = cost(2, prices(0.2, 0.2));
    // In 30 minutes 15 x (4/11 + 1) + 15 x 1 instances over 15 requests, and 15 x (40/11 + 4) over 300,
    // at 0.2 / 60 dollars each: 7.8788 and 1.2727 thousandths of a dollar.
    assert_eq!(
        value(&decision),
        "$7.8788 per 1000 requests against $1.2727 per 1000 requests"
    );
    let idle = &decision.minutes[1];
    assert_eq!(idle.canary, None, "it answered nothing");
    assert_eq!(decision.evidence.canary.invocations, 18);
}

#[test]
fn what_another_share_cost_is_not_known() {
    let case = priced(50, Some(prices(0.4, 0.2)));
    let case = case.with(|case| case.deployment.state.stage_since = case.now - minutes(20));
    let decision = after(case, 2, |_| (5000, 5000));
    let guard = &decision.evidence.guards["cost.ratio"];
    assert_eq!(guard.last, None, "no 30 minutes of it yet");
    assert_eq!(guard.window.minutes, 17, "those that are judged");
    let of_the_former = &decision.minutes[0].canary;
    assert_eq!(of_the_former.as_ref().and_then(|arm| arm.cost), None);
}

#[test]
fn without_prices_nothing_is_said_of_costs() {
    let decision = costing(50, 4, None);
    assert!(!is_told(&decision));
    assert!(
        decision
            .evidence
            .guards
            .values()
            .all(|guard| guard.last.is_none())
    );
}

/// What production's requests cost in a stage at half of 10,000 a minute, on four instances of this price.
fn spent(production: f64) -> Option<Spent> {
    let decision = costing(50, 2, Some(prices(0.2, production)));
    decision.evidence.production_spent
}

#[test]
fn what_production_cost_is_kept_as_two_sums() {
    let spent = spent(0.2).expect("it had requests");
    assert_eq!(spent.requests, 35 * 5000);
    // Half of four instances at 0.2 an hour for 35 minutes.
    assert!((spent.dollars - 0.2 / 60.0 * 2.0 * 35.0).abs() < 1e-9);
    assert_eq!(costing(50, 2, None).evidence.production_spent, None);
}

/// Soaking, priced, beside a production of 0.2 dollars that cost this before.
fn at_full(canary: f64, spent: Option<Spent>) -> Case {
    let with = priced(100, Some(prices(canary, 0.2)));
    Case::soaking().with(|case| {
        case.deployment.terms = with.deployment.terms;
        case.deployment.state.stage_since = case.now - minutes(60);
        case.evidence.production_spent = spent;
    })
}

/// 35 minutes of it with so many requests, all of them the canary's, on so many instances.
fn full(canary: f64, instances: u32, requests: u64) -> Decision {
    after(at_full(canary, spent(0.2)), instances, |_| (requests, 0))
}

#[test]
fn at_full_traffic_a_request_is_held_against_what_production_s_cost_in_the_stages() {
    let dear = full(3.2, 4, 10_000);
    assert!(is_told(&dear), "sixteen times: {}", value(&dear));
    assert_eq!(
        value(&dear),
        "$0.0213 per 1000 requests against $0.0013 per 1000 requests (reckoned from this rollout's stages)"
    );
    let alike = full(0.2, 4, 10_000);
    assert!(!is_told(&alike), "{}", value(&alike));
    assert!(is_told(&full(0.2, 7, 10_000)), "four would do");
}

#[test]
fn other_traffic_than_in_the_stages_makes_no_canary_dear_and_no_dear_one_cheap() {
    // At night: a tenth of the requests on as many instances, and on twice as many.
    let night = full(0.2, 4, 1000);
    assert!(!is_told(&night), "{}", value(&night));
    let dear_night = full(0.2, 8, 1000);
    assert!(is_told(&dear_night), "{}", value(&dear_night));
    // Four times the requests on four times the instances.
    let grown = full(0.2, 16, 40_000);
    assert!(!is_told(&grown), "{}", value(&grown));
    let dear_and_grown = full(0.4, 16, 40_000);
    assert!(is_told(&dear_and_grown), "{}", value(&dear_and_grown));
}

/// One instance, of four times the price and the size of each of production's four.
#[test]
fn a_fleet_of_fewer_and_larger_instances_is_a_whole_one_at_night_too() {
    let soak = |instances, requests| {
        let case = at_full(0.8, spent(0.2));
        let case = case.with(|case| case.deployment.terms.capacity.instances = Some(1));
        after(case, instances, |_| (requests, 0))
    };
    for requests in [10_000, 1000] {
        let alike = soak(1, requests);
        assert!(!is_told(&alike), "{requests}: {}", value(&alike));
        let dear = soak(2, requests);
        assert!(is_told(&dear), "{requests}: {}", value(&dear));
    }
}

#[test]
fn a_stray_request_of_production_s_is_no_arm_to_wait_for() {
    let decision = after(at_full(3.2, spent(0.2)), 4, |index| {
        (10_000, u64::from(index % 5 == 0))
    });
    assert!(is_told(&decision), "{:?}", decision.evidence.guards);
}

#[test]
fn without_anything_to_hold_it_against_a_cost_is_unknown_and_not_kept() {
    let decision = after(at_full(0.2, None), 4, |_| (10_000, 0));
    let last = decision.evidence.guards["cost.ratio"].last.as_ref();
    let last = last.expect("a check was made");
    assert_eq!(last.finding, Finding::Unknown);
    let why = "unknown (no priced request of production's is on record)";
    assert!(last.sentence.contains(why), "{}", last.sentence);
    assert!(!is_told(&decision));
    let shown = &decision.minutes[34].guards["cost.ratio"];
    assert_eq!(shown.finding, Some(Finding::Unknown));
    // It holds what its breach would hold.
    assert_eq!(decision.next.state.phase, Phase::Finalizing);
    let holds = at_full(0.2, None).with(|case| {
        let guard = &mut case.deployment.terms.policy.guards[0];
        guard.consequence.on_breach = Action::Hold;
    });
    let held = after(holds.clone(), 4, |_| (10_000, 0));
    let state = &held.next.state;
    assert_eq!(state.phase, Phase::Soaking);
    assert!(state.reason.contains(why), "{}", state.reason);
    // It would for ever, so a person may end it; not where the cost is known and too high.
    let promoted = |held: &Decision| {
        let (record, evidence) = (&held.next, &held.evidence);
        let command = Command::Promote { full: false };
        let at = now() + minutes(1);
        apply(record, evidence, command, "operator", None, at).map(|done| done.next.state.phase)
    };
    assert_eq!(promoted(&held).ok(), Some(Phase::Finalizing));
    let dear = holds.with(|case| {
        case.deployment.terms.prices = Some(prices(3.2, 0.2));
        case.evidence.production_spent = spent(0.2);
    });
    let refused = promoted(&after(dear, 4, |_| (10_000, 0)));
    let is_refused = matches!(refused, Err(IllegalCommand::RedGuard(_)));
    assert!(is_refused, "{refused:?}");
}

/// Completed and watched, with the same policy and what production cost before.
fn watched(canary: f64, spent: Option<Spent>) -> Case {
    let full = at_full(canary, spent);
    Case::ended(Outcome::Completed).with(|case| {
        case.deployment.terms = full.deployment.terms;
        case.deployment.state.stage_since = case.now - minutes(60);
        case.evidence = full.evidence;
        case.deployment.terms.watch = Span::from_hours(24);
        case.deployment.state.watch = Some(Watch {
            since: case.now - minutes(40),
            until: case.now + minutes(24 * 60),
            unseen: BTreeMap::new(),
        });
    })
}

/// So many minutes of the watch with 10,000 requests, and this look at the endpoint.
fn look(case: &mut Case, count: i64, endpoint: Observation) -> Decision {
    let metrics = last_minutes(case, count, Some(&arm(10_000, 0)), None);
    let seen = endpoint.metrics(metrics);
    look_after(&case.deployment, &case.evidence, &seen, None, case.now)
}

#[test]
fn a_dear_request_is_told_while_a_completed_model_is_watched() {
    let told = look(&mut watched(3.2, spent(0.2)), 35, seen(finished()));
    let [entry] = told.entries.as_slice() else {
        panic!("one word: {:?}", told.entries)
    };
    assert_eq!(
        (entry.event, entry.signal.as_deref()),
        (Name::Breached, Some("cost.ratio"))
    );
    assert!(
        entry
            .reason
            .contains("(reckoned from this rollout's stages)"),
        "{}",
        entry.reason
    );
    assert!(Audience::of(entry).contains(&Audience::FinOps));
    let shown = told.minutes[0].canary.as_ref();
    assert!(shown.is_some_and(|canary| canary.cost.is_some()));
    let alike = look(&mut watched(0.2, spent(0.2)), 35, seen(finished()));
    assert!(alike.entries.is_empty(), "{:?}", alike.entries);
}

#[test]
fn a_cost_that_can_not_be_told_in_the_watch_is_said_once_it_has_lasted() {
    for (spent, endpoint, why) in [
        (
            None,
            seen(finished()),
            "no priced request of production's is on record",
        ),
        (
            spent(0.2),
            reading(unread()),
            "could not be read: ThrottlingException",
        ),
    ] {
        let mut case = watched(0.2, spent);
        let first = look(&mut case, 35, endpoint.clone());
        assert!(first.entries.is_empty(), "{why}");
        (case.deployment, case.evidence) = (first.next, first.evidence);
        case.now += minutes(10);
        let told = look(&mut case, 10, endpoint);
        let [entry] = told.entries.as_slice() else {
            panic!("one word: {:?}", told.entries)
        };
        assert_eq!(
            (entry.event, entry.signal.as_deref()),
            (Name::Blind, Some("cost.ratio"))
        );
        assert!(entry.reason.contains(why), "{}", entry.reason);
        // Nobody is woken for what would wake nobody as a breach.
        assert_eq!(Audience::of(entry), [Audience::MlTeam, Audience::FinOps]);
    }
}

/// A rollout of four hours at 10 % of 100 requests a minute, each of which is the canary's by chance,
/// beside 50 instances of production's, and whether the cost of an hour is told.
fn four_hours(instances: u32, seed: u64) -> bool {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut case = priced(10, Some(prices(0.2, 0.2)));
    let began = Timestamp::UNIX_EPOCH;
    let state = &mut case.deployment.state;
    (state.stage_since, state.production_instances) = (began, 50);
    let (mut canary, mut production) = (BTreeMap::new(), BTreeMap::new());
    for index in 0..240 {
        let at = began + minutes(index);
        let ours = (0..100).filter(|_| random.random_bool(0.1)).count() as u64;
        if ours > 0 {
            canary.insert(at, arm(ours, 0));
        }
        production.insert(at, arm(100 - ours, 0));
    }
    let mut metrics = Metrics {
        from: began,
        through: began + minutes(240),
        canary: Series::Read(canary),
        production: Series::Read(production),
        unread: BTreeMap::new(),
    };
    cost::price(&mut metrics, &case.deployment, Some(instances));
    let (Series::Read(canary), Series::Read(production)) = (metrics.canary, metrics.production)
    else {
        panic!("both were read");
    };
    let (guard, mut state) = (dear(60), GuardState::default());
    let size = case.deployment.terms.baseline.window_size(&guard, 10);
    canary.iter().any(|(at, ours)| {
        guard::take_in(&guard, &mut state, ours, production.get(at), size);
        guard::has_tripped(&guard, &state)
    })
}

/// Five instances are needed: eight cost 1.6 times as much, seven 1.4 times. With ten requests of the
/// canary's a minute one minute's cost is off by a third, and 60 such minutes in a row past 1.5 do
/// not happen; over an hour it is off by 4 %.
#[test]
fn an_hour_of_costs_is_judged_as_an_hour() {
    let told = |instances| {
        (1..=100)
            .filter(|seed| four_hours(instances, *seed))
            .count()
    };
    assert_eq!((told(8), told(7)), (100, 0));
}
